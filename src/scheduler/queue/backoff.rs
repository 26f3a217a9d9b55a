//! How long Pods back off.
//!
//! Upstream: `pkg/scheduler/backend/queue/backoff_queue.go`, v1.34: expiries are cut to whole seconds, and a Pod backs
//! off for as long as the second of its expiry lasts.

use super::QueuedPod;
use crate::base::{SimDuration, SimTime};

const WINDOW: SimDuration = SimDuration::from_secs(1);

/// `podInitialBackoffSeconds` and `podMaxBackoffSeconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub initial: SimDuration,
    /// At most; zero switches backoff off.
    pub max: SimDuration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: SimDuration::from_secs(1), max: SimDuration::from_secs(10) }
    }
}

/// The order of the backoff queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// When the backoff ends, cut to a whole second.
    pub expiry: SimTime,
    /// The order in the active queue.
    pub order: (i64, u64, u64),
}

fn floor(time: SimTime) -> SimTime {
    SimTime::from_nanos(time.as_nanos() / WINDOW.as_nanos() * WINDOW.as_nanos())
}

impl Backoff {
    /// When the Pod's backoff ends, cut to a whole second; zero if it has none.
    pub fn expiry(self, queued: &QueuedPod) -> SimTime {
        let errors = queued.consecutive_errors;
        let count = if errors > 0 { errors } else { queued.unschedulable_count };
        if self.max.is_zero() || count == 0 {
            return SimTime::ZERO;
        }
        floor(queued.timestamp + self.duration(count))
    }

    /// The backoff after so many failures.
    pub fn duration(self, count: u32) -> SimDuration {
        let (initial, max) = (self.initial.as_nanos(), self.max.as_nanos());
        let shift = count.saturating_sub(1);
        match max.checked_shr(shift) {
            Some(limit) if initial <= limit => SimDuration::from_nanos(initial << shift),
            _ => self.max,
        }
    }

    /// Whether the Pod still backs off.
    pub fn is_backing_off(self, queued: &QueuedPod, now: SimTime) -> bool {
        let errors = queued.consecutive_errors;
        let count = if errors > 0 { errors } else { queued.unschedulable_count };
        // Upstream compares the zero time of Pods without backoff, which is before everything.
        count != 0 && !self.max.is_zero() && Self::is_backing_off_at(self.expiry(queued), now)
    }

    /// Whether a backoff with this expiry still lasts.
    pub fn is_backing_off_at(expiry: SimTime, now: SimTime) -> bool {
        expiry >= floor(now)
    }

    /// The flush that finds a backoff with this expiry over.
    pub fn flush_after(expiry: SimTime) -> SimTime {
        expiry + WINDOW
    }
}
