//! Where the time of a run went, by what was due.
//!
//! The core knows no clock: the time between two events is taken here, and belongs to the event that was carried out in
//! between, with all that it set off in the same instant.

#![allow(clippy::disallowed_types, reason = "measuring is what this is for")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use super::run::Watch;
use crate::api::{Node, Pod};
use crate::scheduler::memo::Tally;
use crate::sim::World;

/// What comes before the first event.
const SETTING_UP: &str = "setting up";

/// Counts events and their time.
#[derive(Debug)]
pub struct Stats {
    started: Instant,
    last: Instant,
    setting_up: Option<Duration>,
    kinds: BTreeMap<&'static str, Kind>,
    /// The most there were at once.
    pods: usize,
    nodes: usize,
    /// How the scheduler found its nodes.
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    events: u64,
    time: Duration,
    longest: Duration,
}

impl Stats {
    /// From now on.
    pub fn begin() -> Self {
        let now = Instant::now();
        let (kinds, tally) = (BTreeMap::new(), Tally::default());
        Self { started: now, last: now, setting_up: None, kinds, pods: 0, nodes: 0, tally }
    }

    fn carried_out(&mut self, name: &'static str, took: Duration) {
        let kind = self.kinds.entry(name).or_default();
        kind.events += 1;
        kind.time += took;
        kind.longest = kind.longest.max(took);
    }

    /// A table, the costliest first.
    pub fn render(&self, simulated: crate::base::SimDuration) -> String {
        let whole = self.last - self.started;
        let mut rows: Vec<(&str, Kind)> = self.kinds.iter().map(|(name, kind)| (*name, *kind)).collect();
        rows.sort_by_key(|(name, kind)| (std::cmp::Reverse(kind.time), *name));
        let wide =
            rows.iter().map(|(name, _)| name.len()).chain([SETTING_UP.len()]).max().unwrap_or_default();
        let mut out = format!(
            "{:<wide$} {:>11} {:>10} {:>7} {:>10} {:>10}\n",
            "DUE", "EVENTS", "TIME", "SHARE", "MEAN", "LONGEST"
        );
        let mut row = |name: &str, events: String, time: Duration, mean: String, longest: String| {
            let share = 100.0 * time.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
            let _ = writeln!(
                out,
                "{name:<wide$} {events:>11} {:>10} {share:>5.1} % {mean:>10} {longest:>10}",
                short(time)
            );
        };
        if let Some(time) = self.setting_up {
            row(SETTING_UP, String::new(), time, String::new(), String::new());
        }
        for (name, kind) in &rows {
            let mean = kind.time / u32::try_from(kind.events.max(1)).unwrap_or(u32::MAX);
            row(name, kind.events.to_string(), kind.time, short(mean), short(kind.longest));
        }
        let events: u64 = rows.iter().map(|(_, kind)| kind.events).sum();
        let seconds = whole.as_secs_f64().max(f64::MIN_POSITIVE);
        let _ = write!(
            out,
            "{events} events in {}, {:.0} a second; {:.0} times as fast as the cluster; at most {} Pods on {} nodes",
            short(whole),
            events as f64 / seconds,
            simulated.as_secs_f64() / seconds,
            self.pods,
            self.nodes
        );
        if let Some(mebibytes) = peak_memory() {
            let _ = write!(out, "; {mebibytes} MiB of memory at most");
        }
        if self.tally != Tally::default() {
            let _ = write!(out, "\nscheduler: {}", self.tally.render());
        }
        out
    }
}

impl Watch for Stats {
    fn event(&mut self, world: &World) {
        let now = Instant::now();
        let took = now - self.last;
        self.last = now;
        self.pods = self.pods.max(world.store().count::<Pod>());
        self.nodes = self.nodes.max(world.store().count::<Node>());
        match world.last_event() {
            Some(name) => {
                self.carried_out(name, took);
                if name == "scheduler" {
                    self.tally.clone_from(world.scheduler().inner().tally());
                }
            }
            None => self.setting_up = Some(took),
        }
    }
}

/// Three digits and a unit.
fn short(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (value, unit) = match time.as_nanos() {
        0..1_000 => (nanos, "ns"),
        1_000..1_000_000 => (nanos / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// The most memory that this process has held, in MiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SimDuration;

    #[test]
    fn the_costliest_stands_first_and_shares_add_up() {
        let mut stats = Stats::begin();
        stats.setting_up = Some(Duration::from_millis(1));
        stats.carried_out("kubelet", Duration::from_millis(2));
        stats.carried_out("scheduler", Duration::from_millis(3));
        stats.carried_out("scheduler", Duration::from_millis(4));
        stats.last = stats.started + Duration::from_millis(10);
        let table = stats.render(SimDuration::from_secs(100));
        let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["setting", "up", "1.00", "ms", "10.0", "%"]);
        assert_eq!(words[2], ["scheduler", "2", "7.00", "ms", "70.0", "%", "3.50", "ms", "4.00", "ms"]);
        assert_eq!(words[3][..3], ["kubelet", "1", "2.00"]);
        assert!(
            table.contains("3 events in 10.0 ms, 300 a second; 10000 times as fast as the cluster"),
            "{table}"
        );
    }

    #[test]
    fn times_have_three_digits() {
        let shown = [999, 1_500, 23_456, 345_678_000, 12_345_678_901].map(|n| short(Duration::from_nanos(n)));
        assert_eq!(shown, ["999 ns", "1.50 µs", "23.5 µs", "346 ms", "12.3 s"]);
    }
}
