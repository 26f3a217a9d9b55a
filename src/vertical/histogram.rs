//! Histograms whose samples lose half of their weight in a day.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/recommender/util/{histogram,decaying_histogram,histogram_options}.go` and
//! `model/aggregations_config.go`, 1.5.1.

use serde_json::Value;

use crate::base::SimTime;

/// Each bucket is by so much wider than the one before.
const RATIO: f64 = 1.05;
/// Buckets of less weight count as empty.
const EPSILON: f64 = 0.0001;
/// In so many seconds a sample loses half of its weight.
const HALF_LIFE_SECONDS: f64 = 86_400.0;
/// Weights beyond two to the power of this are scaled down.
const EXPONENT_MAX: f64 = 100.0;
/// The weight of a checkpoint's fullest bucket.
const CHECKPOINT_WEIGHT_MAX: f64 = 10_000.0;

/// The buckets of a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    first: f64,
    count: usize,
}

impl Scale {
    fn new(max: f64, first: f64) -> Self {
        // upstream: float64
        let count = (log(max * (RATIO - 1.0) / first + 1.0)).ceil() as usize + 1;
        Self { first, count }
    }

    /// Cores from 0.01 to 1000.
    pub fn cpu() -> Self {
        Self::new(1000.0, 0.01)
    }

    /// Bytes from 10^7 to 10^12.
    pub fn memory() -> Self {
        Self::new(1e12, 1e7)
    }

    fn bucket(self, value: f64) -> usize {
        if value < self.first {
            return 0;
        }
        (log(value * (RATIO - 1.0) / self.first + 1.0) as usize).min(self.count - 1)
    }

    fn start(self, bucket: usize) -> f64 {
        if bucket == 0 {
            return 0.0;
        }
        self.first * (libm::pow(RATIO, bucket as f64) - 1.0) / (RATIO - 1.0)
    }
}

fn log(x: f64) -> f64 {
    libm::log(x) / libm::log(RATIO)
}

/// A histogram with decay.
#[derive(Clone, Debug)]
pub struct Histogram {
    scale: Scale,
    weights: Vec<f64>,
    total: f64,
    /// The instant at which a sample's weight is its own, in half-lives from the start of the run.
    reference: f64,
}

impl Histogram {
    /// An empty one.
    pub fn new(scale: Scale) -> Self {
        Self { scale, weights: vec![0.0; scale.count], total: 0.0, reference: 0.0 }
    }

    /// Whether there is no sample of any weight.
    pub fn is_empty(&self) -> bool {
        !self.weights.iter().any(|weight| *weight >= EPSILON)
    }

    fn factor(&mut self, at: SimTime) -> f64 {
        let age = at.as_secs_f64() / HALF_LIFE_SECONDS;
        if age - self.reference > EXPONENT_MAX {
            let reference = (age + 0.5).floor();
            let factor = libm::exp2(self.reference - reference);
            self.weights.iter_mut().for_each(|weight| *weight *= factor);
            self.total *= factor;
            self.reference = reference;
        }
        libm::exp2(age - self.reference)
    }

    /// Adds a sample.
    pub fn add(&mut self, value: f64, weight: f64, at: SimTime) {
        let weight = weight * self.factor(at);
        let bucket = self.scale.bucket(value);
        self.weights[bucket] += weight;
        self.total += weight;
    }

    /// Takes a sample away that was added before.
    pub fn subtract(&mut self, value: f64, weight: f64, at: SimTime) {
        let weight = weight * self.factor(at);
        let bucket = self.scale.bucket(value);
        let less = |have: f64| if have - weight < EPSILON { 0.0 } else { have - weight };
        self.total = less(self.total);
        self.weights[bucket] = less(self.weights[bucket]);
    }

    /// The upper edge of the bucket below which this share of the weight lies; 0 if it is empty.
    pub fn percentile(&self, share: f64) -> f64 {
        let filled = |weight: &f64| *weight >= EPSILON;
        let Some(first) = self.weights.iter().position(filled) else { return 0.0 };
        let last = self.weights.iter().rposition(filled).unwrap_or(first);
        let threshold = share * self.total;
        let mut sum = 0.0;
        let mut bucket = first;
        while bucket < last {
            sum += self.weights[bucket];
            if sum >= threshold {
                break;
            }
            bucket += 1;
        }
        self.scale.start((bucket + 1).min(self.scale.count - 1))
    }

    /// What a checkpoint holds of it: weights by bucket, the largest of them 10000, and their sum. `time` writes an
    /// instant, given in seconds from the start of the run.
    pub fn save(&self, time: impl Fn(f64) -> String) -> Value {
        let largest = self.weights.iter().copied().fold(0.0, f64::max);
        // upstream: float64, rounded
        let share = |weight: f64| (weight * CHECKPOINT_WEIGHT_MAX / largest + 0.5).floor();
        let filled = self.weights.iter().enumerate().filter(|(_, weight)| **weight >= EPSILON);
        let buckets: serde_json::Map<String, Value> = filled
            .map(|(bucket, weight)| (bucket.to_string(), share(*weight) as u64))
            .filter(|(_, weight)| *weight > 0)
            .map(|(bucket, weight)| (bucket, weight.into()))
            .collect();
        serde_json::json!({
            "referenceTimestamp": time(self.reference * HALF_LIFE_SECONDS),
            "bucketWeights": buckets,
            "totalWeight": self.total,
        })
    }

    /// Adds what a checkpoint holds: weights by bucket, their sum, and the instant they refer to, in seconds from the start.
    pub fn load(&mut self, checkpoint: &Value, reference_seconds: f64) {
        let buckets = checkpoint["bucketWeights"].as_object();
        let weights: Vec<(usize, f64)> = buckets
            .into_iter()
            .flatten()
            .filter_map(|(bucket, weight)| Some((bucket.parse().ok()?, weight.as_f64()?)))
            .filter(|(bucket, weight)| *bucket < self.weights.len() && *weight >= 0.0)
            .collect();
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let total = checkpoint["totalWeight"].as_f64().unwrap_or(0.0);
        if sum <= 0.0 || total <= 0.0 {
            return;
        }
        // The instants of this run come after those of the checkpoint: its weights are of less worth.
        let factor = libm::exp2(self.reference - reference_seconds / HALF_LIFE_SECONDS);
        let factor = if factor > 0.0 { 1.0 / factor } else { 0.0 };
        for (bucket, weight) in weights {
            self.weights[bucket] += weight * total / sum * factor;
        }
        self.total += total * factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> SimTime {
        SimTime::from_secs(hours * 3600)
    }

    /// `§2.2`: bucket n starts at first x (1.05^n - 1) / 0.05.
    #[test]
    fn buckets_grow_by_a_twentieth() {
        let cpu = Scale::cpu();
        for (value, bucket) in [(0.0, 0), (0.009, 0), (0.0101, 1), (0.0206, 2), (1.0, 36), (5000.0, 175)] {
            assert_eq!(cpu.bucket(value), bucket, "{value}");
        }
        assert!((cpu.start(1) - 0.01).abs() < 1e-12 && (cpu.start(2) - 0.0205).abs() < 1e-12);
        assert_eq!((cpu.count, Scale::memory().count), (176, 176));
    }

    /// `§2.2`: the upper edge of the bucket reached.
    #[test]
    fn percentiles_are_the_upper_edges_of_buckets() {
        let mut histogram = Histogram::new(Scale::cpu());
        assert!(histogram.is_empty());
        assert_eq!(histogram.percentile(0.9), 0.0);
        for _ in 0..9 {
            histogram.add(0.015, 0.1, at(0));
        }
        histogram.add(0.5, 0.1, at(0));
        let edge = |n: usize| Scale::cpu().start(n);
        assert_eq!(histogram.percentile(0.5), edge(2));
        assert_eq!(histogram.percentile(0.89), edge(2));
        // 0.5 lies in bucket 25: from 0.477 to 0.511.
        assert_eq!(histogram.percentile(0.95), edge(26));
        histogram.subtract(0.5, 0.1, at(0));
        assert_eq!(histogram.percentile(0.95), edge(2));
    }

    /// `§2.2`: after a day a sample weighs half.
    #[test]
    fn old_samples_count_for_less() {
        let mut histogram = Histogram::new(Scale::cpu());
        for _ in 0..30 {
            histogram.add(1.0, 0.1, at(0));
        }
        for _ in 0..20 {
            histogram.add(0.1, 0.1, at(24));
        }
        // 30 old ones weigh as 15: the median is of the new ones.
        assert!(histogram.percentile(0.5) < 0.12);
        assert!(histogram.percentile(0.6) > 0.9);
        // A hundred days later the old ones are next to nothing, and weights stay finite.
        histogram.add(0.1, 0.1, at(24 * 130));
        assert!(histogram.percentile(0.99) < 0.12 && histogram.total.is_finite());
    }

    #[test]
    fn a_checkpoint_is_history() {
        let mut histogram = Histogram::new(Scale::cpu());
        let checkpoint =
            serde_json::json!({"bucketWeights": {"36": 10_000, "2": 10_000}, "totalWeight": 40.0});
        histogram.load(&checkpoint, -86_400.0);
        // A day old: 40 weigh as 20, half of it in bucket 2.
        assert!((histogram.total - 20.0).abs() < 1e-9);
        assert_eq!(histogram.percentile(0.5), Scale::cpu().start(3));
        assert_eq!(histogram.percentile(0.9), Scale::cpu().start(37));
    }
}
