//! Workloads from distributions: no file, a seed.

use serde_json::Value;

use super::read::Record;
use super::shapes::{Parts, Shapes};
use crate::base::{Arc, Quantity, SimDuration, Str};
use crate::kernel::Seed;
use crate::kernel::rng::Stream;
use crate::params::Delay;

/// A workload as it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Generate {
    /// How many Pods.
    pub count: u64,
    /// How they follow one another.
    pub intervals: Intervals,
    /// How long each runs; none: until something else ends it.
    pub lasts: Option<Delay>,
    /// What each requests, by resource.
    pub requests: Vec<(Str, Draw)>,
}

/// How Pods follow one another. The first arrives at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Intervals {
    /// Evenly, all within this time.
    Over(SimDuration),
    /// With these spans between them.
    Each(Delay),
}

/// An amount that differs from Pod to Pod; in thousandths of its unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Draw {
    /// Always the same.
    Constant(i64),
    /// One of `min`, `min + step` … `max`, all equally likely.
    Uniform {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
        /// From one to the next; above zero.
        step: i64,
    },
    /// One of these, by weight.
    OneOf(Vec<(u32, i64)>),
    /// So much for every unit of an earlier one, by its place.
    Per {
        /// The other resource's place in the list.
        of: usize,
        /// For every whole unit of it.
        amount: i64,
    },
}

/// Draws one Pod after the other.
#[derive(Clone, Debug)]
pub struct Generator {
    spec: Arc<Generate>,
    drawn: u64,
    at: u64,
    intervals: Stream,
    lasts: Stream,
    requests: Vec<Stream>,
    shapes: Shapes,
    amounts: Vec<i64>,
    key: Vec<u8>,
}

impl Generator {
    /// Before the first Pod. Everything that is drawn has a stream of its own, so that another distribution of the
    /// one changes nothing of the others.
    pub fn new(name: &str, spec: &Arc<Generate>, template: &Arc<Value>, seed: Seed) -> Self {
        let stream = |what: &str| seed.stream_of("trace", &[name.as_bytes(), what.as_bytes()]);
        Self {
            spec: Arc::clone(spec),
            drawn: 0,
            at: 0,
            intervals: stream("interval"),
            lasts: stream("duration"),
            requests: spec.requests.iter().map(|(resource, _)| stream(resource)).collect(),
            shapes: Shapes::new(template),
            amounts: Vec::new(),
            key: Vec::new(),
        }
    }

    /// The next Pod.
    ///
    /// # Errors
    /// Why the API server would refuse such a Pod.
    pub fn draw(&mut self) -> Option<Result<Record, String>> {
        let spec = Arc::clone(&self.spec);
        if self.drawn == spec.count {
            return None;
        }
        match spec.intervals {
            Intervals::Over(span) => self.at = span.scale(self.drawn, spec.count).as_nanos(),
            Intervals::Each(_) if self.drawn == 0 => {}
            Intervals::Each(delay) => {
                self.at = self.at.saturating_add(delay.sample(&mut self.intervals).as_nanos());
            }
        }
        self.drawn += 1;
        let lasts = spec.lasts.as_ref().map(|delay| delay.sample(&mut self.lasts));
        self.amounts.clear();
        self.key.clear();
        for ((_, draw), stream) in spec.requests.iter().zip(&mut self.requests) {
            let amount = draw.sample(stream, &self.amounts);
            self.amounts.push(amount);
            self.key.extend_from_slice(&amount.to_le_bytes());
        }
        let amounts = &self.amounts;
        let shape = self.shapes.get(&self.key, || {
            let requests = spec.requests.iter().zip(amounts).filter(|(_, amount)| **amount > 0);
            let written = requests
                .map(|((resource, _), milli)| (resource.clone(), Quantity::from_milli(*milli).to_string()));
            Parts { requests: written.collect(), ..Parts::default() }
        });
        let at = i64::try_from(self.at).unwrap_or(i64::MAX);
        Some(shape.map(|shape| Record { at, lasts, count: 1, name: None, shape }))
    }
}

impl Draw {
    fn sample(&self, stream: &mut Stream, earlier: &[i64]) -> i64 {
        match self {
            Self::Constant(amount) => *amount,
            Self::Uniform { min, max, step } => {
                let steps = max.saturating_sub(*min) / (*step).max(1);
                let taken = stream.below(steps.unsigned_abs().saturating_add(1));
                min.saturating_add(step.saturating_mul(i64::try_from(taken).unwrap_or(i64::MAX)))
            }
            Self::OneOf(choices) => {
                let total: u64 = choices.iter().map(|(weight, _)| u64::from(*weight)).sum();
                let mut left = stream.below(total);
                for (weight, amount) in choices {
                    if left < u64::from(*weight) {
                        return *amount;
                    }
                    left -= u64::from(*weight);
                }
                0
            }
            Self::Per { of, amount } => {
                let units = i128::from(earlier.get(*of).copied().unwrap_or(0));
                i64::try_from(units * i128::from(*amount) / 1000).unwrap_or(i64::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shapes::tests::template;
    use super::*;

    fn spec() -> Generate {
        let secs = SimDuration::from_secs;
        Generate {
            count: 2000,
            intervals: Intervals::Over(secs(1000)),
            lasts: Some(Delay::Uniform { min: secs(60), max: secs(600) }),
            requests: vec![
                ("cpu".into(), Draw::Uniform { min: 250, max: 4000, step: 250 }),
                ("memory".into(), Draw::Per { of: 0, amount: (4i64 << 30) * 1000 }),
                ("example.com/gpu".into(), Draw::OneOf(vec![(3, 0), (1, 8000)])),
            ],
        }
    }

    fn all(spec: Generate, seed: u64) -> Vec<Record> {
        let mut generator = Generator::new("t", &Arc::new(spec), &template(), Seed(seed));
        std::iter::from_fn(|| generator.draw()).collect::<Result<_, _>>().unwrap()
    }

    fn requests(record: &Record, resource: &str) -> i64 {
        record.shape.spec.containers[0].requests.get(resource).map_or(0, |q| q.milli_value())
    }

    #[test]
    fn pods_are_drawn_from_their_distributions() {
        let records = all(spec(), 1);
        assert_eq!((records.len(), records[0].at, records[1999].at), (2000, 0, 999_500_000_000));
        let mean = |f: &dyn Fn(&Record) -> i64| records.iter().map(f).sum::<i64>() / 2000;
        assert!((2050..2200).contains(&mean(&|r| requests(r, "cpu"))));
        assert!((1700..2300).contains(&mean(&|r| requests(r, "example.com/gpu"))));
        assert!((320..340).contains(&mean(&|r| r.lasts.unwrap().as_secs() as i64)));
        for record in &records {
            let cpu = requests(record, "cpu");
            assert!(cpu % 250 == 0 && (250..=4000).contains(&cpu), "{cpu}");
            assert_eq!(requests(record, "memory"), cpu * (4 << 30));
        }
    }

    #[test]
    fn what_is_drawn_depends_on_the_seed_and_on_its_own_distribution_only() {
        let cpus = |spec, seed| all(spec, seed).iter().map(|r| requests(r, "cpu")).collect::<Vec<_>>();
        let each = Intervals::Each(Delay::Exponential { mean: SimDuration::from_secs(1) });
        let other = Generate { intervals: each, lasts: None, ..spec() };
        assert_eq!(cpus(spec(), 1), cpus(other.clone(), 1));
        assert_ne!(cpus(spec(), 1), cpus(spec(), 2));
        let records = all(other, 1);
        assert!(records.is_sorted_by_key(|r| r.at) && records[0].at == 0);
        assert!((1800..2200).contains(&(records[1999].at / 1_000_000_000)));
    }
}
