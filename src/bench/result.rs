//! What was measured, as data, as a table, as JSON, and held against an earlier measurement.

use std::fmt::Write;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::workload::{Case, Size};
use crate::scheduler::memo::Tally;

/// What the clocks said of the measured part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Nanoseconds on the wall.
    pub wall: u64,
    /// Nanoseconds on the CPU, if the machine tells.
    pub cpu: Option<u64>,
}

/// What came of one workload in one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The workload and its size: `SchedulingBasic/500Nodes`.
    pub name: String,
    /// Nodes at the end.
    pub nodes: usize,
    /// Pods that were to be placed while measuring.
    pub pods: usize,
    /// Those that were.
    pub placed: usize,
    /// Scheduling cycles while measuring.
    pub cycles: usize,
    /// Nanoseconds of all those cycles together: from taking a Pod off the queue to its being assumed on a node.
    pub cycles_wall: u64,
    /// Nanoseconds of a cycle: half of them took no longer.
    pub cycle_p50: u64,
    /// Nanoseconds of a cycle: 99 of 100 took no longer.
    pub cycle_p99: u64,
    /// The whole measured part, hearing of Pods and of their binding included.
    pub times: Times,
    /// Nodes that were filtered while measuring.
    pub evaluated: u64,
    /// A hash over all placements in their order, those before measuring included.
    pub placements: String,
    /// What the scheduler could use of earlier cycles, those before measuring included.
    pub tally: Tally,
}

impl Measured {
    /// Sums up a run.
    pub fn of(case: &Case, size: &Size, cluster: &Cluster, times: Times) -> Self {
        let measured = || cluster.batches.iter().filter(|batch| batch.measured);
        let mut sorted = cluster.samples.cycles.clone();
        sorted.sort_unstable();
        Self {
            name: format!("{}/{}", case.name, size.name),
            nodes: cluster.nodes(),
            pods: measured().map(|batch| batch.made).sum(),
            placed: measured().map(|batch| batch.placed).sum(),
            cycles: sorted.len(),
            cycles_wall: sorted.iter().sum(),
            cycle_p50: percentile(&sorted, 50),
            cycle_p99: percentile(&sorted, 99),
            times,
            evaluated: cluster.samples.evaluated,
            placements: cluster.placements.value().to_string(),
            tally: cluster.scheduler.tally().clone(),
        }
    }

    /// Pods placed for each second of scheduling cycles on the wall.
    pub fn pods_per_second(&self) -> Option<f64> {
        per_second(self.placed, self.cycles_wall)
    }

    /// Pods placed for each second that the process spent on a CPU.
    pub fn pods_per_cpu_second(&self) -> Option<f64> {
        per_second(self.placed, self.times.cpu?)
    }

    /// What the run cost, for choosing the median of several: CPU time, or wall time where there is none.
    pub fn cost(&self) -> u64 {
        self.times.cpu.unwrap_or(self.times.wall)
    }

    /// As JSON. Times are nanoseconds, rates Pods a second.
    pub fn to_json(&self) -> Value {
        let rounded = |rate: Option<f64>| rate.map(|rate| (rate * 10.0).round() / 10.0);
        json!({
            "workload": self.name,
            "nodes": self.nodes,
            "pods": self.pods,
            "placed": self.placed,
            "cycles": self.cycles,
            "podsPerSecond": rounded(self.pods_per_second()),
            "podsPerCpuSecond": rounded(self.pods_per_cpu_second()),
            "cycleNanosP50": self.cycle_p50,
            "cycleNanosP99": self.cycle_p99,
            "wallNanos": self.times.wall,
            "cpuNanos": self.times.cpu,
            "nodesEvaluated": self.evaluated,
            "cyclesShort": self.tally.short,
            "cyclesLong": self.tally.long,
            "pluginsAsked": self.tally.asked,
            "nodesRefreshed": self.tally.refreshed,
            "placements": self.placements,
        })
    }
}

/// The value that `percent` of a hundred do not exceed, of sorted values (nearest rank).
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

fn per_second(count: usize, nanos: u64) -> Option<f64> {
    (nanos > 0).then(|| count as f64 * 1e9 / nanos as f64)
}

/// The document of several results, as `wavetank bench -o json` writes it.
pub fn document(results: &[Measured]) -> Value {
    json!({"results": results.iter().map(Measured::to_json).collect::<Vec<_>>()})
}

/// Earlier results that others are held against.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    rates: Vec<(String, f64)>,
}

impl Baseline {
    /// Reads a document that was written before, or any other with `workload` and `podsPerCpuSecond` in its `results`.
    ///
    /// # Errors
    /// It has no results.
    pub fn from_json(document: &Value) -> Result<Self, String> {
        let results = document["results"].as_array().ok_or("it has no list `results`")?;
        let rates: Vec<(String, f64)> = results
            .iter()
            .filter_map(|r| {
                let rate = r["podsPerCpuSecond"].as_f64().or_else(|| r["podsPerSecond"].as_f64());
                Some((r["workload"].as_str()?.to_owned(), rate.filter(|rate| *rate > 0.0)?))
            })
            .collect();
        if rates.is_empty() { Err("none of its `results` has a rate".to_owned()) } else { Ok(Self { rates }) }
    }

    /// How many times as fast a result is as the earlier one of the same name.
    pub fn ratio(&self, measured: &Measured) -> Option<f64> {
        let (_, before) = self.rates.iter().find(|(name, _)| *name == measured.name)?;
        measured.pods_per_cpu_second().or_else(|| measured.pods_per_second()).map(|now| now / before)
    }
}

/// The results as a table for people.
pub fn table(results: &[Measured], baseline: Option<&Baseline>) -> String {
    let mut rows = vec![header(baseline.is_some())];
    rows.extend(results.iter().map(|result| row(result, baseline)));
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = match column {
                0 => write!(out, "{cell:<width$}"),
                _ => write!(out, "  {cell:>width$}"),
            };
        }
        out.push('\n');
    }
    for result in
        results.iter().filter(|result| !(result.tally.long.is_empty() && result.tally.asked.is_empty()))
    {
        let _ = writeln!(out, "{}: {}", result.name, result.tally.render());
    }
    out
}

fn header(compared: bool) -> Vec<String> {
    let mut names = vec!["WORKLOAD", "NODES", "PODS", "PLACED", "PODS/S", "P50", "P99", "PODS/CPU-S"];
    names.extend(compared.then_some("RATIO"));
    names.into_iter().map(str::to_owned).collect()
}

fn row(result: &Measured, baseline: Option<&Baseline>) -> Vec<String> {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
    let micros = |nanos: u64| format!("{:.1}µs", nanos as f64 / 1e3);
    let mut cells = vec![
        result.name.clone(),
        result.nodes.to_string(),
        result.pods.to_string(),
        result.placed.to_string(),
        rate(result.pods_per_second()),
        micros(result.cycle_p50),
        micros(result.cycle_p99),
        rate(result.pods_per_cpu_second()),
    ];
    cells.extend(baseline.map(|baseline| {
        baseline.ratio(result).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
    }));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, placed: usize, cpu: u64) -> Measured {
        let times = Times { wall: cpu, cpu: Some(cpu) };
        Measured {
            name: name.to_owned(),
            nodes: 5,
            pods: 10,
            placed,
            cycles_wall: cpu / 2,
            times,
            ..Measured::default()
        }
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!([50, 99, 100].map(|p| percentile(&hundred, p)), [50, 99, 100]);
        assert_eq!([50, 99].map(|p| percentile(&[7], p)), [7, 7]);
        assert_eq!(percentile(&[], 99), 0);
    }

    #[test]
    fn results_are_held_against_earlier_ones_of_the_same_name() {
        let before = document(&[measured("a/5Nodes", 10, 1_000_000_000), measured("b/5Nodes", 10, 1_000)]);
        let baseline = Baseline::from_json(&before).unwrap();
        let now = [measured("a/5Nodes", 10, 250_000_000), measured("c/5Nodes", 0, 0)];
        assert_eq!(baseline.ratio(&now[0]), Some(4.0));
        assert_eq!(baseline.ratio(&now[1]), None);
        assert_eq!(
            table(&now, Some(&baseline)),
            "WORKLOAD  NODES  PODS  PLACED  PODS/S    P50    P99  PODS/CPU-S  RATIO\n\
             a/5Nodes      5    10      10      80  0.0µs  0.0µs          40   4.00\n\
             c/5Nodes      5    10       0       -  0.0µs  0.0µs           -      -\n"
        );
        assert!(Baseline::from_json(&json!({"results": []})).is_err());
    }
}
