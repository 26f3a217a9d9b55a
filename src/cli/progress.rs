//! How far long work has got, on a terminal; nothing in a pipe.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Context;
use super::run::Watch;
use crate::api::Pod;
use crate::plan::Plan;
use crate::sim::World;

/// Work that ends sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);
/// Events between two looks at the clock.
const EVENTS_PER_LOOK: u64 = 256;

/// A bar on standard error that goes away when the work is done.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    shown: bool,
}

impl Progress {
    /// The progress of a run through its simulated time.
    pub fn of_run(plan: &Plan, context: &Context) -> Self {
        let style = "{wide_bar} {msg}";
        Self::new(plan.duration.map_or(0, |d| d.as_nanos() / 1_000_000), style, context)
    }

    /// The progress of many runs.
    pub fn of_many(count: usize, context: &Context) -> Self {
        Self::new(count as u64, "{wide_bar} {pos} of {len} runs", context)
    }

    fn new(length: u64, template: &str, context: &Context) -> Self {
        let wanted = !context.quiet && length > 0 && std::io::stderr().is_terminal();
        let bar = wanted.then(|| {
            let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
            // The templates are constants, and tested.
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar
        });
        Self { bar, shown: false }
    }

    /// One of many runs is done.
    pub fn step(&mut self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
            self.show();
        }
    }

    fn show(&mut self) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| !self.shown && bar.elapsed() > PATIENCE) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Progress {
    fn event(&mut self, world: &World) {
        let Some(bar) = self.bar.as_ref().filter(|_| world.events().is_multiple_of(EVENTS_PER_LOOK)) else {
            return;
        };
        bar.set_position(world.now().as_nanos() / 1_000_000);
        let rate = world.events() as f64 / bar.elapsed().as_secs_f64().max(1e-3);
        let pods = world.store().count::<Pod>();
        bar.set_message(format!("{}s simulated, {rate:.0} events/s, {pods} Pods", world.now().as_secs()));
        self.show();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_can_be_read() {
        for template in ["{wide_bar} {msg}", "{wide_bar} {pos} of {len} runs"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
