//! How far long work has got, on a terminal; nothing in a pipe.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Context;
use crate::base::SimTime;
use crate::facts::{Fact, Recorder};
use crate::plan::Plan;

/// Work that ends sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);
/// Facts between two looks at the clock.
const FACTS_PER_LOOK: u32 = 256;

/// A bar on standard error that goes away when the work is done.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    shown: bool,
    facts: u32,
}

impl Progress {
    /// The progress of a run through its simulated time. As a [`Recorder`] it learns of it by itself.
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
        Self { bar, shown: false, facts: 0 }
    }

    /// One of many runs is done.
    pub fn step(&mut self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
            self.show();
        }
    }

    fn at(&mut self, now: SimTime) {
        self.facts = self.facts.wrapping_add(1);
        if !self.facts.is_multiple_of(FACTS_PER_LOOK) {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(now.as_nanos() / 1_000_000);
            bar.set_message(format!("{}s simulated", now.as_secs()));
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

impl Recorder for Progress {
    fn record(&mut self, fact: &Fact) {
        self.at(fact.at());
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
