//! From what containers were seen to use to what they should request.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/recommender/{logic/{recommender,estimator},model/{container,aggregate_container_state}}.go`,
//! 1.5.1.

use std::collections::BTreeMap;

use super::histogram::{Histogram, Scale};
use super::object::Vpa;
use crate::base::{SimDuration, SimTime, Str};
use crate::params::settings::VpaRecommender as Flags;
use crate::store::webhook::amounts::{Amounts, Policy, Recommendation};

/// Weight of a CPU sample.
const CPU_WEIGHT: f64 = 0.1;
/// One memory peak counts per container and span.
const MEMORY_INTERVAL: SimDuration = SimDuration::from_mins(24 * 60);
/// A sample comes every minute.
const SAMPLE_SECONDS: f64 = 60.0;
const SECONDS_PER_DAY: f64 = 86_400.0;
/// Days of memory peaks that are kept.
const WINDOW_DAYS: f64 = 8.0;
/// The form of checkpoints.
const CHECKPOINT_VERSION: &str = "v3";
/// No amount is larger.
const AMOUNT_MAX: f64 = 1e14;

/// What is known of all containers of a name under an autoscaler.
#[derive(Clone, Debug)]
pub struct Aggregate {
    cpu: Histogram,
    memory: Histogram,
    /// The first and the last CPU sample, in seconds from the start of the run.
    span: Option<(f64, f64)>,
    samples: f64,
}

impl Default for Aggregate {
    fn default() -> Self {
        Self {
            cpu: Histogram::new(Scale::cpu()),
            memory: Histogram::new(Scale::memory()),
            span: None,
            samples: 0.0,
        }
    }
}

/// What is known of one container of one Pod.
#[derive(Clone, Debug, Default)]
pub struct Container {
    window_end: Option<SimTime>,
    memory_peak: i64,
    oom_peak: i64,
    last_cpu: Option<SimTime>,
    last_memory: Option<SimTime>,
}

impl Aggregate {
    /// Adds the CPU that a container used, in millicores.
    pub fn add_cpu(&mut self, container: &mut Container, milli: i64, at: SimTime) {
        if container.last_cpu.is_some_and(|last| at <= last) {
            return;
        }
        container.last_cpu = Some(at);
        self.cpu.add(milli as f64 / 1000.0, CPU_WEIGHT, at);
        let now = at.as_secs_f64();
        let (first, last) = self.span.unwrap_or((now, now));
        self.span = Some((first.min(now), last.max(now)));
        self.samples += 1.0;
    }

    /// Adds the memory that a container used, in bytes: only the highest of a day counts.
    pub fn add_memory(&mut self, container: &mut Container, bytes: i64, at: SimTime, oom: bool) {
        if !oom && container.last_memory.is_some_and(|last| at < last) {
            return;
        }
        container.last_memory = Some(at);
        let end = *container.window_end.get_or_insert(at);
        let before = container.memory_peak.max(container.oom_peak);
        if at < end {
            if before == 0 || bytes <= before {
                return;
            }
            self.memory.subtract(before as f64, 1.0, end);
        } else {
            let days = at.since(end).as_nanos() / MEMORY_INTERVAL.as_nanos() + 1;
            container.window_end = Some(end + MEMORY_INTERVAL * days);
            (container.memory_peak, container.oom_peak) = (0, 0);
        }
        self.memory.add(bytes as f64, 1.0, container.window_end.unwrap_or(end));
        if oom { container.oom_peak = bytes } else { container.memory_peak = bytes }
    }

    /// A container was killed for its memory, of which it had requested so many bytes.
    pub fn add_oom(&mut self, flags: &Flags, container: &mut Container, requested: i64, at: SimTime) {
        if container.window_end.is_some_and(|end| at + MEMORY_INTERVAL < end) {
            return;
        }
        let used = requested.max(container.memory_peak);
        let more = used.saturating_add(amount(flags.oom_min_bump_up_bytes));
        let needed = more.max(amount(used as f64 * flags.oom_bump_up_ratio));
        self.add_memory(container, needed, at, true);
    }

    /// Adds what a checkpoint holds; `instant` gives the seconds from the start of the run of a time.
    pub fn load(&mut self, status: &serde_json::Value, instant: impl Fn(&str) -> Option<f64>) {
        let time = |value: &serde_json::Value| value.as_str().and_then(&instant);
        let (Some(first), Some(last)) = (time(&status["firstSampleStart"]), time(&status["lastSampleStart"]))
        else {
            return;
        };
        for (histogram, name) in [(&mut self.cpu, "cpuHistogram"), (&mut self.memory, "memoryHistogram")] {
            let reference = time(&status[name]["referenceTimestamp"]).unwrap_or(last);
            histogram.load(&status[name], reference);
        }
        let (a, b) = self.span.unwrap_or((first, last));
        self.span = Some((a.min(first), b.max(last)));
        self.samples += status["totalSamplesCount"].as_f64().unwrap_or(0.0);
    }

    /// What a checkpoint holds; `time` writes an instant, given in seconds from the start of the run.
    pub fn save(&self, time: impl Fn(f64) -> String) -> serde_json::Value {
        let (first, last) = self.span.unwrap_or_default();
        serde_json::json!({
            "version": CHECKPOINT_VERSION,
            "firstSampleStart": time(first),
            "lastSampleStart": time(last),
            "totalSamplesCount": self.samples as u64,
            "cpuHistogram": self.cpu.save(&time),
            "memoryHistogram": self.memory.save(&time),
        })
    }

    /// Without the peak of a container's present day, which is not over.
    pub fn without_peak(&mut self, container: &Container, now: SimTime) {
        if let Some(end) = container.window_end.filter(|end| now < *end) {
            self.memory.subtract(container.memory_peak.max(container.oom_peak) as f64, 1.0, end);
        }
    }

    /// Whether its last sample is older than all that counts.
    pub fn is_expired(&self, now: SimTime) -> bool {
        self.span.is_some_and(|(_, last)| now.as_secs_f64() - last >= WINDOW_DAYS * SECONDS_PER_DAY)
    }

    /// How often the history is as long as this, or the samples would be if one came every minute, whichever is less.
    fn confidence(&self, interval: SimDuration) -> f64 {
        let seconds = interval.as_secs_f64();
        let length = self.span.map_or(0.0, |(first, last)| (last - first) / seconds);
        length.min(self.samples / (seconds / SAMPLE_SECONDS))
    }

    /// Lower bound, target and upper bound of a container of which the Pod has `containers`.
    fn estimate(&self, flags: &Flags, containers: usize) -> [Amounts; 3] {
        let share = 1.0 / containers.max(1) as f64;
        let least_cpu = amount(flags.pod_recommendation_min_cpu_millicores * share);
        let least_memory = amount(flags.pod_recommendation_min_memory_mb * 1024.0 * 1024.0 * share);
        let percentiles = [
            (
                flags.recommendation_lower_bound_cpu_percentile,
                flags.recommendation_lower_bound_memory_percentile,
            ),
            (flags.target_cpu_percentile, flags.target_memory_percentile),
            (
                flags.recommendation_upper_bound_cpu_percentile,
                flags.recommendation_upper_bound_memory_percentile,
            ),
        ];
        let multipliers = |interval| {
            let confidence = self.confidence(interval);
            [libm::pow(1.0 + 0.001 / confidence, -2.0), 1.0, 1.0 + 1.0 / confidence]
        };
        let (cpu, memory) =
            (multipliers(flags.confidence_interval_cpu), multipliers(flags.confidence_interval_memory));
        let one = |base: i64, multiplier: f64, least: i64| {
            let with_margin = base + amount(base as f64 * flags.recommendation_margin_fraction);
            amount(with_margin as f64 * multiplier).max(least)
        };
        [0, 1, 2].map(|i| Amounts {
            cpu: Some(rounded(
                one(amount(self.cpu.percentile(percentiles[i].0) * 1000.0), cpu[i], least_cpu),
                flags.round_cpu_millicores,
            )),
            memory: Some(rounded(
                one(amount(self.memory.percentile(percentiles[i].1)), memory[i], least_memory),
                flags.round_memory_bytes,
            )),
        })
    }
}

/// Rounded up to a multiple.
fn rounded(amount: i64, multiple: i64) -> i64 {
    if multiple <= 1 {
        amount
    } else {
        (amount.saturating_add(multiple - 1) / multiple).saturating_mul(multiple)
    }
}

/// Rounded down, within what an amount can be.
fn amount(value: f64) -> i64 {
    // upstream: float64
    if value.is_nan() || value < 0.0 { 0 } else { value.min(AMOUNT_MAX) as i64 }
}

/// What an autoscaler recommends for its containers.
pub fn recommend(flags: &Flags, vpa: &Vpa, aggregates: &BTreeMap<Str, Aggregate>) -> Vec<Recommendation> {
    let wanted: Vec<(&Str, &Aggregate)> =
        aggregates.iter().filter(|(name, _)| vpa.policy(name).is_none_or(|policy| !policy.off)).collect();
    let count = wanted.len();
    wanted
        .into_iter()
        .map(|(name, aggregate)| {
            let policy = vpa.policy(name);
            let [lower, target, upper] =
                aggregate.estimate(flags, count).map(|amounts| controlled(policy, amounts));
            let capped = |amounts: Amounts| policy.map_or(amounts, |p| amounts.within(&p.min, &p.max));
            Recommendation {
                container: name.clone(),
                target: capped(target),
                lower: capped(lower),
                upper: capped(upper),
                uncapped: target,
            }
        })
        .collect()
}

fn controlled(policy: Option<&Policy>, amounts: Amounts) -> Amounts {
    let Some(policy) = policy else { return amounts };
    Amounts { cpu: amounts.cpu.filter(|_| policy.cpu), memory: amounts.memory.filter(|_| policy.memory) }
}
