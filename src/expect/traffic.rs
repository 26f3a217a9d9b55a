//! Expectations about requests: how many succeed, how long answers take.

use std::fmt;

use super::{Count, When};
use crate::base::{SimDuration, SimTime, Str};
use crate::facts::traffic::{Failure, Interval, Meter};

/// Requests to a service over a span: the expectation's `during`, or the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSubject {
    /// The service's place in the scenario's list.
    pub service: usize,
    /// Its name.
    pub name: Str,
    /// What must be true; never empty.
    pub checks: Vec<TrafficCheck>,
}

/// One thing that must be true of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficCheck {
    /// At least so many thousandths of a percent are answered well.
    AtLeast(u32),
    /// So many fail, in whole requests.
    Failed(Count),
    /// So many come, in whole requests.
    Requests(Count),
    /// So many percent of the good answers come within a time.
    Within(u32, SimDuration),
}

impl TrafficSubject {
    /// What is wanted, in words.
    pub fn wanted(&self) -> String {
        self.checks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Whether all checks hold. Without any request, nothing can be said of how they end.
    pub fn holds(&self, meter: &Meter) -> bool {
        self.checks.iter().all(|check| check.holds(meter))
    }

    /// What there was.
    pub fn actual(&self, meter: &Meter) -> String {
        let Some(availability) = meter.availability() else { return "no requests".to_owned() };
        let mut text = format!("{} of {} requests answered", percent(availability), whole(meter.offered));
        let failed: Vec<String> = Failure::ALL
            .iter()
            .map(|why| (why, whole(meter.failed[*why as usize])))
            .filter(|(_, count)| *count > 0)
            .map(|(why, count)| format!("{count} {}", why.words()))
            .collect();
        if !failed.is_empty() {
            text.push_str(&format!(" ({})", failed.join(", ")));
        }
        for check in &self.checks {
            if let TrafficCheck::Within(share, _) = check
                && let Some(time) = meter.percentile(f64::from(*share))
            {
                text.push_str(&format!(", p{share} {}", short(time)));
            }
        }
        text
    }
}

impl TrafficCheck {
    fn holds(&self, meter: &Meter) -> bool {
        match self {
            Self::AtLeast(milli) => {
                meter.availability().is_some_and(|got| got + 1e-9 >= f64::from(*milli) / 1000.0)
            }
            Self::Failed(count) => meter.offered > 0.0 && count.holds(whole(meter.failures())),
            Self::Requests(count) => count.holds(whole(meter.offered)),
            Self::Within(share, time) => meter.percentile(f64::from(*share)).is_some_and(|got| got <= *time),
        }
    }
}

impl fmt::Display for TrafficCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(milli) => write!(f, "at least {}", percent(f64::from(*milli) / 1000.0)),
            Self::Failed(count) => write!(f, "failed {count}"),
            Self::Requests(count) => write!(f, "requests {count}"),
            Self::Within(share, time) => write!(f, "p{share} at most {time}"),
        }
    }
}

/// Adds what lies in the span that counts.
pub fn count(meter: &mut Meter, subject: &TrafficSubject, when: When, interval: &Interval) {
    if interval.service != subject.service {
        return;
    }
    let (from, to) = match when {
        When::During(from, to) => (from, to),
        When::At(_) | When::By(_) | When::End => (SimTime::ZERO, SimTime::MAX),
    };
    if subject.checks.iter().any(|check| matches!(check, TrafficCheck::Within(..))) {
        meter.add(interval, from, to);
    } else {
        meter.count(interval, from, to);
    }
}

/// Whole requests; what a flow leaves of one is rounded.
pub fn whole(requests: f64) -> i64 {
    libm::round(requests) as i64
}

/// `99.95 %`: three digits behind the point at most, never rounded up to 100.
pub fn percent(value: f64) -> String {
    let thousandths = libm::floor(value * 1000.0 + 1e-6) as i64;
    let digits = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// A time in milliseconds, in seconds with two digits, or from a minute on in whole seconds.
pub fn short(time: SimDuration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis >= 60_000.0 {
        SimDuration::from_secs((millis / 1000.0).round() as u64).to_string()
    } else if millis >= 1000.0 {
        format!("{:.2}s", millis / 1000.0)
    } else if millis >= 10.0 {
        format!("{millis:.0}ms")
    } else {
        format!("{millis:.1}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::traffic::{Rates, Response};

    #[test]
    fn times_are_told_as_finely_as_it_matters() {
        let told = [1.25, 999.9, 1500.0, 59_990.0, 60_000.0, 7_751_070.0]
            .map(|millis| short(SimDuration::from_nanos((millis * 1e6) as u64)));
        assert_eq!(told, ["1.2ms", "1000ms", "1.50s", "59.99s", "1m0s", "2h9m11s"]);
    }

    /// What was counted for an expectation.
    fn meter(subject: &TrafficSubject) -> Meter {
        let response = Response { fixed: 0.1, wait: 0.0, chance: 0.0 };
        let rates = Rates { offered: 10.0, succeeded: 9.9, failed: [0.05, 0.0, 0.05, 0.0, 0.0], response };
        let interval = Interval {
            service: 3,
            name: "web".into(),
            from: SimTime::ZERO,
            to: SimTime::from_secs(100),
            rates,
        };
        let mut meter = Meter::default();
        count(&mut meter, subject, When::End, &interval);
        count(&mut meter, subject, When::End, &Interval { service: 4, ..interval });
        meter
    }

    fn subject(checks: Vec<TrafficCheck>) -> TrafficSubject {
        TrafficSubject { service: 3, name: "web".into(), checks }
    }

    #[test]
    fn requests_are_judged_by_their_share_their_number_and_their_time() {
        let ms = SimDuration::from_millis;
        for (check, holds) in [
            (TrafficCheck::AtLeast(99_000), true),
            (TrafficCheck::AtLeast(99_001), false),
            (TrafficCheck::Failed(Count::exactly(10)), true),
            (TrafficCheck::Failed(Count::exactly(0)), false),
            (TrafficCheck::Requests(Count::at_least(1000)), true),
            (TrafficCheck::Within(99, ms(106)), true),
            (TrafficCheck::Within(50, ms(99)), false),
        ] {
            let subject = subject(vec![check]);
            assert_eq!(subject.holds(&meter(&subject)), holds, "{check}");
        }
    }

    #[test]
    fn without_requests_nothing_is_available() {
        let none = Meter::default();
        assert!(!subject(vec![TrafficCheck::AtLeast(0)]).holds(&none));
        assert!(!subject(vec![TrafficCheck::Failed(Count::exactly(0))]).holds(&none));
        assert_eq!(subject(Vec::new()).actual(&none), "no requests");
    }

    #[test]
    fn the_message_says_why_requests_failed() {
        let subject = subject(vec![TrafficCheck::Within(50, SimDuration::from_secs(1))]);
        let told = subject.actual(&meter(&subject));
        assert_eq!(told, "99 % of 1000 requests answered (5 no endpoints, 5 unreachable), p50 102ms");
        assert_eq!(percent(99.9999), "99.999 %");
    }
}
