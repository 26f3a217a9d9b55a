//! A token bucket: what a client may do so often in the long run, and so often at once.

use crate::base::{SimDuration, SimTime};

/// A token bucket: so many calls per second in the long run, so many at once.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// Time that one call takes from the bucket; zero means no limit.
    interval: SimDuration,
    /// Time a full bucket is worth.
    depth: SimDuration,
    /// When the bucket will have been refilled up to the last call.
    settled: SimTime,
}

impl TokenBucket {
    /// A full bucket. A `qps` of zero or less means no limit.
    pub fn new(qps: f64, burst: u32) -> Self {
        let interval = if qps > 0.0 {
            // upstream: float32; the clock gets whole nanoseconds.
            SimDuration::from_nanos((1e9 / qps) as u64)
        } else {
            SimDuration::ZERO
        };
        Self { interval, depth: interval * u64::from(burst.max(1)), settled: SimTime::ZERO }
    }

    /// Takes one call.
    pub fn spend(&mut self, now: SimTime) {
        self.settled = self.settled.max(now) + self.interval;
    }

    /// Takes a call for which nobody waits: such calls are sent one after another, so that there is never
    /// more than one of them before the next ordinary call.
    pub fn spend_aside(&mut self, now: SimTime) {
        if self.wait(now) <= self.interval {
            self.spend(now);
        }
    }

    /// How long the next call would have to wait.
    pub fn wait(&self, now: SimTime) -> SimDuration {
        let debt = self.settled.since(now) + self.interval;
        debt.saturating_sub(self.depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_calls_wait() {
        let mut budget = TokenBucket::new(20.0, 30);
        let now = SimTime::from_secs(5);
        for _ in 0..30 {
            assert!(budget.wait(now).is_zero());
            budget.spend(now);
        }
        assert_eq!(budget.wait(now), SimDuration::from_millis(50));
        assert!(budget.wait(now + SimDuration::from_millis(50)).is_zero());
        budget.spend(now + SimDuration::from_secs(60));
        assert!(budget.wait(now + SimDuration::from_secs(60)).is_zero(), "the bucket filled again");
    }

    #[test]
    fn calls_aside_delay_others_by_little() {
        let mut budget = TokenBucket::new(20.0, 30);
        (0..1000).for_each(|_| budget.spend_aside(SimTime::ZERO));
        assert!(budget.wait(SimTime::ZERO) <= SimDuration::from_millis(100));
    }

    #[test]
    fn no_limit_never_waits() {
        let mut budget = TokenBucket::new(0.0, 0);
        (0..1000).for_each(|_| budget.spend(SimTime::ZERO));
        assert!(budget.wait(SimTime::ZERO).is_zero());
    }
}
