//! Requests from outside: where they go, how many come when, and which further requests they make.

use crate::api::LabelSelector;
use crate::base::time::Calendar;
use crate::base::{SimDuration, SimTime, Span, Str};
use crate::kernel::Seed;

/// How finely a rate that changes all the time is followed, unless the scenario says otherwise.
pub const RESOLUTION: SimDuration = SimDuration::from_secs(10);
/// A day's curve is followed in so many steps from its mean to its peak: it is never more than half a step off.
const DAILY_STEPS: f64 = 50.0;
/// A slope is followed in steps no smaller than this part of its higher end.
const SLOPE_STEP: f64 = 0.01;
const DAY: f64 = 86_400.0;
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
    /// A curve that changes all the time is looked at on this grid, and followed where it has moved by a step;
    /// noise is drawn for each span of it.
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
        let mean = self.mean(now, calendar);
        if !self.noise || mean <= 0.0 {
            return mean;
        }
        let (seed, name) = noise;
        let slot = slot(now, self.resolution);
        let span = self.resolution.as_secs_f64();
        let mut stream = seed.stream_of("traffic", &[name.as_bytes(), &slot.as_nanos().to_le_bytes()]);
        stream.poisson(mean * span) / span
    }

    /// The next instant after `now` at which the rate changes.
    pub fn next_change(&self, now: SimTime, calendar: Calendar) -> Option<SimTime> {
        let of_curve = match &self.curve {
            Curve::Steps(points) => points.iter().map(|(at, _)| *at).find(|at| *at > now),
            Curve::Lines(points) => step_of_lines(points, now, self.resolution).1,
            Curve::Daily { .. } => self.next_step(now, calendar),
        };
        let next_slot = slot(now, self.resolution) + self.resolution;
        if self.noise { Some(of_curve.map_or(next_slot, |at| at.min(next_slot))) } else { of_curve }
    }

    /// The mean from `now` until the curve changes: that of the middle of its span.
    fn mean(&self, now: SimTime, calendar: Calendar) -> f64 {
        match &self.curve {
            Curve::Steps(_) => self.curve.at(now, calendar),
            Curve::Lines(points) => {
                let (from, to) = step_of_lines(points, now, self.resolution);
                let middle = to.map_or(now, |to| from + to.since(from).scale(1, 2));
                self.curve.at(middle, calendar)
            }
            Curve::Daily { mean, peak, peak_at } => {
                let middle = slot(now, self.resolution) + self.resolution.scale(1, 2);
                let part = of_swing(*peak_at, middle, calendar);
                swung(*mean, *peak, libm::round(part * DAILY_STEPS) / DAILY_STEPS)
            }
        }
    }

    /// The next span in which a day's curve is a step higher or lower; none if it never is.
    fn next_step(&self, now: SimTime, calendar: Calendar) -> Option<SimTime> {
        let present = self.mean(now, calendar);
        let width = self.resolution.as_nanos().max(1);
        let mut at = slot(now, self.resolution);
        for _ in 0..=(DAY * 1e9) as u64 / width {
            at += self.resolution;
            if self.mean(at, calendar) != present {
                return Some(at);
            }
        }
        None
    }
}

/// The beginning of the span of this width in which `now` lies.
fn slot(now: SimTime, width: SimDuration) -> SimTime {
    let width = width.as_nanos().max(1);
    SimTime::from_nanos(now.as_nanos() / width * width)
}

/// How finely a straight line is followed: `finest`, or so many times two of it that a step is still no more than a
/// hundredth of its higher end.
fn on_slope((from, a): (SimTime, u64), (to, b): (SimTime, u64), finest: SimDuration) -> SimDuration {
    let per_second = a.abs_diff(b) as f64 / to.since(from).as_secs_f64();
    let allowed = SLOPE_STEP * a.max(b) as f64;
    let mut width = finest;
    while width < to.since(from) && 2.0 * width.as_secs_f64() * per_second <= allowed {
        width = width.scale(2, 1);
    }
    width
}

/// From when to when straight lines are followed with one value: within a slope a slot, on a level to its end, which is
/// none after the last point.
fn step_of_lines(points: &[(SimTime, u64)], now: SimTime, finest: SimDuration) -> (SimTime, Option<SimTime>) {
    let Some(next) = points.iter().position(|(at, _)| *at > now) else { return (now, None) };
    let end = points[next].0;
    let Some((from, before)) = next.checked_sub(1).map(|last| points[last]) else { return (now, Some(end)) };
    if before == points[next].1 {
        return (from, Some(end));
    }
    let width = on_slope((from, before), points[next], finest);
    let begin = slot(now, width);
    (begin.max(from), Some(end.min(begin + width)))
}

/// How far a day's curve is from its mean, from -1 to 1 at its peak.
fn of_swing(peak_at: SimDuration, now: SimTime, calendar: Calendar) -> f64 {
    let midnight = calendar.timestamp(SimTime::ZERO).secs().rem_euclid(86_400) as f64;
    let since_peak = midnight + now.as_secs_f64() - peak_at.as_secs_f64();
    libm::cos(std::f64::consts::TAU * since_peak / DAY)
}

/// Requests per second of a day's curve that far from its mean.
fn swung(mean: u64, peak: u64, part: f64) -> f64 {
    (mean as f64 + (peak as f64 - mean as f64) * part).max(0.0) / 1000.0
}

impl Curve {
    /// The mean at `now`, in requests per second.
    pub fn at(&self, now: SimTime, calendar: Calendar) -> f64 {
        let milli = match self {
            Self::Steps(points) => {
                points.iter().take_while(|(at, _)| *at <= now).last().map_or(0.0, |(_, rate)| *rate as f64)
            }
            Self::Lines(points) => on_lines(points, now),
            Self::Daily { mean, peak, peak_at } => {
                return swung(*mean, *peak, of_swing(*peak_at, now, calendar));
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

    const CALENDAR: Calendar = Calendar { start: Timestamp::new(8 * 3600) };

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
        assert_eq!(steps.next_change(s(10), CALENDAR), Some(s(20)));
        assert_eq!(steps.next_change(s(20), CALENDAR), None);
    }

    #[test]
    fn a_slope_is_followed_in_steps_and_a_level_costs_none() {
        let lines = rate(Curve::Lines(vec![(s(60), 0), (s(100), 40_000), (s(200), 40_000)]));
        assert_eq!([0, 60, 70, 95, 150, 900].map(|t| at(&lines, t)), [0.0, 5.0, 15.0, 35.0, 40.0, 40.0]);
        let next = [0, 60, 65, 95, 100, 200].map(|t| lines.next_change(s(t), CALENDAR).map(SimTime::as_secs));
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
    fn a_day_is_followed_within_a_hundredth_of_its_swing() {
        let peak_at = SimDuration::from_secs(20 * 3600);
        let curve = Curve::Daily { mean: 100_000, peak: 180_000, peak_at };
        let daily = Rate { resolution: SimDuration::from_mins(1), ..rate(curve.clone()) };
        let (mut now, mut steps) = (s(0), 0);
        while now < s(86_400) {
            let next = daily.next_change(now, CALENDAR).unwrap();
            let followed = at(&daily, now.as_secs());
            for second in (now.as_secs()..next.as_secs()).step_by(20) {
                assert_eq!(at(&daily, second), followed);
                let off = (followed - curve.at(s(second), CALENDAR)).abs();
                // Half a step of 1.6, and what the curve moves in half a minute.
                assert!(off < 0.8 + 0.18, "{off} at {second}");
            }
            (now, steps) = (next, steps + 1);
        }
        assert!((200..=201).contains(&steps), "{steps}");
        let level = rate(Curve::Daily { mean: 5_000, peak: 5_000, peak_at });
        assert_eq!((at(&level, 77), level.next_change(s(77), CALENDAR)), (5.0, None));
        // The trough of this one lies below nothing.
        let steep = rate(Curve::Daily { mean: 100_000, peak: 300_000, peak_at });
        assert_eq!(at(&steep, 0), 0.0);
        assert!(steep.next_change(s(0), CALENDAR).is_some_and(|at| at > s(3 * 3600)));
    }

    #[test]
    fn a_gentle_slope_takes_steps_of_a_hundredth() {
        let lines = rate(Curve::Lines(vec![(s(0), 100_000), (s(6400), 200_000), (s(12_800), 200_000)]));
        // 0.0156 per second: 64 s, 128 s would be more than two requests per second; 80 s is eight times the finest.
        assert_eq!(
            [0, 79, 80, 6390].map(|t| lines.next_change(s(t), CALENDAR)),
            [80, 80, 160, 6400].map(|t| Some(s(t)))
        );
        assert!((at(&lines, 0) - 100.625).abs() < 1e-9);
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
        assert_eq!(noisy.next_change(s(15), CALENDAR), Some(s(20)));
    }
}
