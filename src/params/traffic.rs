//! Requests from outside: where they go, how many come when, and which further requests they make.

use crate::api::LabelSelector;
use crate::base::time::Calendar;
use crate::base::{SimDuration, SimTime, Span, Str};
use crate::kernel::Seed;

/// How finely a rate that changes all the time is followed, unless the scenario says otherwise.
pub const RESOLUTION: SimDuration = SimDuration::from_secs(10);
/// How long callers wait for an answer, unless the scenario says otherwise.
pub const PATIENCE: SimDuration = SimDuration::from_secs(10);

/// A service that gets requests: from outside at a rate, from other services by their calls, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Its name in output.
    pub name: Str,
    /// Where the Service or the Pods live.
    pub namespace: Str,
    /// Whom the requests reach.
    pub to: TrafficTarget,
    /// Requests from outside; none: only other services call.
    pub rate: Option<Rate>,
    /// What each request asks of other services.
    pub calls: Vec<Call>,
    /// How long its callers wait before they give a request up.
    pub patience: SimDuration,
    /// Where it stands in the scenario.
    pub origin: Span,
}

/// Whom requests reach.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TrafficTarget {
    /// The endpoints of a Service.
    Service(Str),
    /// The Ready Pods that are selected.
    Selector(LabelSelector),
}

/// What becomes of a request that is sent to a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It is answered.
    Answers,
    /// The connection is refused at once: no process listens.
    Refuses,
    /// Nothing comes back, and the caller waits in vain: no power, no network, a process that hangs.
    Silent,
}

/// Requests that a request makes, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The place of the called service in the plan's list.
    pub to: usize,
    /// How many on average, in thousandths.
    pub per_request: u64,
}

/// Requests per second over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The mean at each instant.
    pub curve: Curve,
    /// How finely a curve that changes all the time is followed, and over which spans noise is drawn.
    pub resolution: SimDuration,
    /// Whether arrivals are random (a Poisson process) or even.
    pub noise: bool,
}

/// A mean rate over time, in thousandths of a request per second.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// From each instant on, a rate; zero before the first. Ordered by time.
    Steps(Vec<(SimTime, u64)>),
    /// Straight lines between points; before the first and after the last the rate of that point. Ordered by time.
    Lines(Vec<(SimTime, u64)>),
    /// A sine over the day.
    Daily {
        /// The mean over the day.
        mean: u64,
        /// The rate at the peak.
        peak: u64,
        /// When the peak is, from midnight of the virtual wall clock.
        peak_at: SimDuration,
    },
}

impl Rate {
    /// Always so many thousandths of a request per second.
    pub fn constant(milli: u64) -> Self {
        Self { curve: Curve::Steps(vec![(SimTime::ZERO, milli)]), resolution: RESOLUTION, noise: false }
    }

    /// Requests per second from `now` until [`Rate::next_change`]. `name` addresses the noise.
    pub fn at(&self, now: SimTime, calendar: Calendar, noise: (Seed, &str)) -> f64 {
        let slot = self.slot(now);
        let middle = if self.curve.is_stepwise() { now } else { slot + self.resolution.scale(1, 2) };
        let mean = self.curve.at(middle, calendar);
        if !self.noise || mean <= 0.0 {
            return mean;
        }
        let (seed, name) = noise;
        let span = self.resolution.as_secs_f64();
        let mut stream = seed.stream_of("traffic", &[name.as_bytes(), &slot.as_nanos().to_le_bytes()]);
        stream.poisson(mean * span) / span
    }

    /// The next instant after `now` at which the rate changes.
    pub fn next_change(&self, now: SimTime) -> Option<SimTime> {
        let next_slot = self.slot(now) + self.resolution;
        let of_curve = match &self.curve {
            Curve::Steps(points) => points.iter().map(|(at, _)| *at).find(|at| *at > now),
            Curve::Lines(points) => next_bend(points, now, next_slot),
            Curve::Daily { .. } => Some(next_slot),
        };
        if self.noise { Some(of_curve.map_or(next_slot, |at| at.min(next_slot))) } else { of_curve }
    }

    /// The beginning of the span of [`Rate::resolution`] in which `now` lies.
    fn slot(&self, now: SimTime) -> SimTime {
        let width = self.resolution.as_nanos().max(1);
        SimTime::from_nanos(now.as_nanos() / width * width)
    }
}

/// The next instant at which straight lines change: within a slope every slot, on a level its end.
fn next_bend(points: &[(SimTime, u64)], now: SimTime, next_slot: SimTime) -> Option<SimTime> {
    let after = points.iter().position(|(at, _)| *at > now)?;
    let level = after == 0 || points[after - 1].1 == points[after].1;
    let bend = points[after].0;
    Some(if level { bend } else { bend.min(next_slot) })
}

impl Curve {
    /// Whether it stands still between a few instants.
    const fn is_stepwise(&self) -> bool {
        matches!(self, Self::Steps(_))
    }

    /// The mean at `now`, in requests per second.
    pub fn at(&self, now: SimTime, calendar: Calendar) -> f64 {
        let milli = match self {
            Self::Steps(points) => {
                points.iter().take_while(|(at, _)| *at <= now).last().map_or(0.0, |(_, rate)| *rate as f64)
            }
            Self::Lines(points) => on_lines(points, now),
            Self::Daily { mean, peak, peak_at } => {
                const DAY: f64 = 86_400.0;
                let midnight = calendar.timestamp(SimTime::ZERO).0.rem_euclid(86_400) as f64;
                let since_peak = midnight + now.as_secs_f64() - peak_at.as_secs_f64();
                let swing = *peak as f64 - *mean as f64;
                *mean as f64 + swing * libm::cos(std::f64::consts::TAU * since_peak / DAY)
            }
        };
        milli.max(0.0) / 1000.0
    }
}

fn on_lines(points: &[(SimTime, u64)], now: SimTime) -> f64 {
    let after = points.iter().position(|(at, _)| *at > now);
    match after {
        None => points.last().map_or(0.0, |(_, rate)| *rate as f64),
        Some(0) => points[0].1 as f64,
        Some(next) => {
            let ((from, a), (to, b)) = (points[next - 1], points[next]);
            let done = now.since(from).as_secs_f64() / to.since(from).as_secs_f64();
            a as f64 + (b as f64 - a as f64) * done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    const CALENDAR: Calendar = Calendar { start: Timestamp(8 * 3600) };

    fn s(secs: u64) -> SimTime {
        SimTime::from_secs(secs)
    }

    fn rate(curve: Curve) -> Rate {
        Rate { curve, resolution: RESOLUTION, noise: false }
    }

    fn at(rate: &Rate, secs: u64) -> f64 {
        rate.at(s(secs), CALENDAR, (Seed(1), "users"))
    }

    #[test]
    fn a_rate_holds_until_the_next() {
        let steps = rate(Curve::Steps(vec![(s(10), 5000), (s(20), 0)]));
        assert_eq!([0, 10, 19, 20].map(|t| at(&steps, t)), [0.0, 5.0, 5.0, 0.0]);
        assert_eq!(steps.next_change(s(10)), Some(s(20)));
        assert_eq!(steps.next_change(s(20)), None);
    }

    #[test]
    fn a_slope_is_followed_in_steps_and_a_level_costs_none() {
        let lines = rate(Curve::Lines(vec![(s(60), 0), (s(100), 40_000), (s(200), 40_000)]));
        assert_eq!([0, 60, 70, 95, 150, 900].map(|t| at(&lines, t)), [0.0, 5.0, 15.0, 35.0, 40.0, 40.0]);
        let next = [0, 60, 65, 95, 100, 200].map(|t| lines.next_change(s(t)).map(SimTime::as_secs));
        assert_eq!(next, [Some(60), Some(70), Some(70), Some(100), Some(200), None]);
    }

    #[test]
    fn a_day_has_its_peak_where_it_is_said_to_be() {
        let peak_at = SimDuration::from_secs(20 * 3600);
        let daily = rate(Curve::Daily { mean: 100_000, peak: 180_000, peak_at });
        // The run starts at eight in the morning: twelve hours before the peak is the trough.
        assert!((at(&daily, 0) - 20.0).abs() < 0.01);
        assert!((at(&daily, 12 * 3600) - 180.0).abs() < 0.01);
        assert!((at(&daily, 6 * 3600) - 100.0).abs() < 0.1);
    }

    #[test]
    fn noise_has_the_mean_of_its_curve_and_is_the_same_each_time() {
        let noisy = Rate { noise: true, ..rate(Curve::Steps(vec![(s(0), 20_000)])) };
        let drawn: Vec<f64> = (0..2000).map(|slot| at(&noisy, slot * 10)).collect();
        let mean = drawn.iter().sum::<f64>() / 2000.0;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 2000.0;
        assert!((mean - 20.0).abs() < 0.15, "{mean}");
        // Arrivals of 10 s are Poisson with mean 200: their rate has a variance of 2.
        assert!((variance - 2.0).abs() < 0.25, "{variance}");
        assert_eq!(at(&noisy, 15), at(&noisy, 10));
        assert_eq!(noisy.next_change(s(15)), Some(s(20)));
    }
}
