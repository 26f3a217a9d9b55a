//! What became of requests, and how it is summed up.

use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use crate::base::{SimDuration, SimTime, Str};

/// Why requests fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// The Service has no endpoints.
    NoEndpoints,
    /// The Pod it was sent to refuses connections: its process has not begun or was told to end.
    Refused,
    /// Nothing comes back: the node has no power or no network, or the process hangs.
    Unreachable,
    /// The answer took longer than the caller waits.
    TimedOut,
    /// Another service that it calls failed.
    Dependency,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NoEndpoints, Self::Refused, Self::Unreachable, Self::TimedOut, Self::Dependency];

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoEndpoints => "noEndpoints",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timedOut",
            Self::Dependency => "dependency",
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoEndpoints => "no endpoints",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::Dependency => "a service they call failed",
        }
    }
}

/// How long an answer takes, in seconds: a fixed part and, with a chance, an exponential wait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Response {
    /// What every request takes.
    pub fixed: f64,
    /// The mean of the wait, those that do not wait counted as zero.
    pub wait: f64,
    /// The chance to wait at all.
    pub chance: f64,
}

impl Response {
    /// The chance that an answer takes longer than so many seconds.
    pub fn beyond(&self, seconds: f64) -> f64 {
        if seconds < self.fixed {
            return 1.0;
        }
        if self.wait <= 0.0 || self.chance <= 0.0 {
            return 0.0;
        }
        self.chance * libm::exp(-(seconds - self.fixed) * self.chance / self.wait)
    }
}

/// Steps of a table of the exponential function.
const STEPS: f64 = 32.0;
/// Beyond that the exponential function decays to less than 1e-17.
const DECAYED: f64 = 40.0;

/// `exp(-x)` for `x` of zero or more, within 1e-14 of its value: a table and the first terms of the series. Response
/// times are summed up class by class, by which the exponential function is asked a hundred times for each change of a rate.
#[derive(Debug)]
struct Decay(Vec<f64>);

impl Decay {
    fn new() -> Self {
        Self((0..=(DECAYED * STEPS) as u32).map(|step| libm::exp(-f64::from(step) / STEPS)).collect())
    }

    fn at(&self, x: f64) -> f64 {
        if x.is_nan() || x >= DECAYED {
            return 0.0;
        }
        let step = (x * STEPS) as usize;
        let r = step as f64 / STEPS - x;
        let terms = [1.0 / 6.0, 1.0 / 5.0, 1.0 / 4.0, 1.0 / 3.0, 1.0 / 2.0, 1.0];
        self.0[step] * terms.into_iter().fold(1.0, |sum, term| 1.0 + sum * r * term)
    }
}

/// Requests per second and the time of their answers, constant over a span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Requests that come.
    pub offered: f64,
    /// Requests that are answered well.
    pub succeeded: f64,
    /// Requests that fail, in the order of [`Failure::ALL`].
    pub failed: [f64; 5],
    /// How long good answers take.
    pub response: Response,
}

impl Rates {
    /// The part of requests that end well among those that end; one if none does.
    pub fn success(&self) -> f64 {
        let ended = self.succeeded + self.failed.iter().sum::<f64>();
        if ended > 0.0 { self.succeeded / ended } else { 1.0 }
    }
}

/// What became of the requests to a service over a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// The service's place in the scenario's list.
    pub service: usize,
    /// Its name in output.
    pub name: Str,
    /// From here on.
    pub from: SimTime,
    /// Until here.
    pub to: SimTime,
    /// How it was all that time.
    pub rates: Rates,
}

impl Hash for Interval {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.service, &self.name, self.from, self.to).hash(state);
        let rates = &self.rates;
        for value in [rates.offered, rates.succeeded, rates.response.fixed, rates.response.wait]
            .iter()
            .chain(&rates.failed)
        {
            // Thousandths of a request, thousandths of a millisecond.
            state.write_i64(libm::round(value * 1e6) as i64);
        }
    }
}

/// The shortest time that is told apart, in seconds.
const FIRST: f64 = 0.000_5;
/// Each class of times is so much wider than the one before.
const FACTOR: f64 = 1.05;
/// Classes; the last reaches beyond two minutes.
const CLASSES: usize = 256;

/// Requests over a span: how many, how many failed and why, how long answers took.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    /// Requests that came.
    pub offered: f64,
    /// Requests that were answered well.
    pub succeeded: f64,
    /// Requests that failed, in the order of [`Failure::ALL`].
    pub failed: [f64; 5],
    /// Answers by time, in classes that widen; empty as long as none was added.
    classes: Vec<f64>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { offered: 0.0, succeeded: 0.0, failed: [0.0; 5], classes: Vec::new() }
    }
}

impl Meter {
    /// Adds the part of an interval that lies between two instants.
    pub fn add(&mut self, interval: &Interval, from: SimTime, to: SimTime) {
        let answers = self.count(interval, from, to);
        self.add_times(&interval.rates.response, answers);
    }

    /// Adds the numbers of the same, not how long answers took. How many answers that were.
    pub fn count(&mut self, interval: &Interval, from: SimTime, to: SimTime) -> f64 {
        let (from, to) = (interval.from.max(from), interval.to.min(to));
        if to <= from {
            return 0.0;
        }
        let seconds = to.since(from).as_secs_f64();
        let rates = &interval.rates;
        self.offered += rates.offered * seconds;
        self.succeeded += rates.succeeded * seconds;
        for (sum, rate) in self.failed.iter_mut().zip(rates.failed) {
            *sum += rate * seconds;
        }
        rates.succeeded * seconds
    }

    fn add_times(&mut self, response: &Response, answers: f64) {
        if answers <= 0.0 {
            return;
        }
        let Tables { upper, decay } = &*TABLES;
        self.classes.resize(CLASSES, 0.0);
        let waits = response.wait > 0.0 && response.chance > 0.0;
        let per_second = if waits { response.chance / response.wait } else { f64::INFINITY };
        let mut above = 1.0;
        let first = class_of(response.fixed);
        for (class, sum) in self.classes.iter_mut().enumerate().skip(first) {
            let last = class + 1 == CLASSES;
            let beyond = if last || !waits {
                0.0
            } else {
                response.chance * decay.at((upper[class] - response.fixed).max(0.0) * per_second)
            };
            *sum += answers * (above - beyond);
            above = beyond;
            if above < 1e-9 {
                break;
            }
        }
    }

    /// Requests that failed.
    pub fn failures(&self) -> f64 {
        self.failed.iter().sum()
    }

    /// Percent of requests that were answered well; none if there were no requests.
    pub fn availability(&self) -> Option<f64> {
        let ended = self.succeeded + self.failures();
        (ended > 0.0).then(|| 100.0 * self.succeeded / ended)
    }

    /// The time within which `percent` of the good answers came; none if there were none. Within five percent.
    pub fn percentile(&self, percent: f64) -> Option<SimDuration> {
        let total: f64 = self.classes.iter().sum();
        if total <= 0.0 {
            return None;
        }
        let wanted = total * percent / 100.0;
        let mut sum = 0.0;
        let class = self.classes.iter().position(|count| {
            sum += count;
            sum >= wanted - total * 1e-9
        });
        let class = class.unwrap_or(CLASSES - 1);
        Some(SimDuration::from_micros(libm::round(TABLES.upper[class] * 1e6) as u64))
    }
}

/// The class in which a time lies.
fn class_of(seconds: f64) -> usize {
    if seconds <= FIRST {
        return 0;
    }
    let class = libm::ceil(libm::log(seconds / FIRST) / libm::log(FACTOR) - 1e-9);
    (class as usize).min(CLASSES - 1)
}

/// What times are summed up by.
#[derive(Debug)]
struct Tables {
    /// The longest time of each class.
    upper: [f64; CLASSES],
    decay: Decay,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables {
    upper: std::array::from_fn(|class| FIRST * libm::pow(FACTOR, class as f64)),
    decay: Decay::new(),
});

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(rates: Rates, from: u64, to: u64) -> Interval {
        let at = SimTime::from_secs;
        Interval { service: 0, name: "web".into(), from: at(from), to: at(to), rates }
    }

    #[test]
    fn what_decays_does_so_exponentially() {
        let decay = Decay::new();
        for step in 0..100_000u32 {
            let x = f64::from(step) / 2499.0;
            let exact = if x < DECAYED { libm::exp(-x) } else { 0.0 };
            let decayed = decay.at(x);
            assert!((decayed - exact).abs() <= exact * 1e-14, "{x}: {decayed} instead of {exact}");
        }
        assert_eq!(decay.at(f64::INFINITY), 0.0);
    }

    #[test]
    fn only_the_part_within_the_span_counts() {
        let rates =
            Rates { offered: 10.0, succeeded: 9.0, failed: [0.0, 1.0, 0.0, 0.0, 0.0], ..Rates::default() };
        let mut meter = Meter::default();
        meter.add(&interval(rates, 0, 100), SimTime::from_secs(90), SimTime::from_secs(500));
        meter.add(&interval(rates, 600, 700), SimTime::from_secs(90), SimTime::from_secs(500));
        assert_eq!((meter.offered, meter.succeeded, meter.failures()), (100.0, 90.0, 10.0));
        assert_eq!(meter.availability(), Some(90.0));
        assert_eq!(Meter::default().availability(), None);
    }

    #[test]
    fn percentiles_are_those_of_the_distribution_within_five_percent() {
        // Every answer takes 100 ms and waits exponentially with a mean of 50 ms.
        let response = Response { fixed: 0.1, wait: 0.05, chance: 1.0 };
        let rates = Rates { succeeded: 100.0, response, ..Rates::default() };
        let mut meter = Meter::default();
        meter.add(&interval(rates, 0, 10), SimTime::ZERO, SimTime::MAX);
        for (percent, wanted) in
            [(50.0, 0.1 + 0.05 * 0.693), (90.0, 0.1 + 0.05 * 2.303), (99.0, 0.1 + 0.05 * 4.605)]
        {
            let got = meter.percentile(percent).unwrap().as_secs_f64();
            assert!(got >= wanted * 0.999 && got <= wanted * 1.051, "p{percent}: {got}, wanted {wanted}");
        }
        assert_eq!(Meter::default().percentile(99.0), None);
    }
}
