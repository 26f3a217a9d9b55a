//! How long a Job waits after failures before it makes more Pods.
//!
//! Upstream: `pkg/controller/job/backoff_utils.go`, v1.34.

use super::pods::{finish_time, index_all_failures};
use crate::api::Pod;
use crate::base::{Arc, SimDuration, SimTime, Timestamp, time::Calendar};

const FIRST: SimDuration = SimDuration::from_secs(10);
const LONGEST: SimDuration = SimDuration::from_mins(10);

/// What is remembered of a Job's failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Failures since the last success.
    pub failures: i32,
    /// The last of them.
    pub last: Option<Timestamp>,
}

impl Record {
    /// The record after more Pods have ended.
    pub(super) fn after(self, succeeded: &[Arc<Pod>], failed: &[Arc<Pod>]) -> Self {
        let mut ends: Vec<_> = failed.iter().map(|p| finish_time(p)).collect();
        ends.sort_unstable();
        let Some(last_success) = succeeded.iter().map(|p| finish_time(p)).max() else {
            let more = i32::try_from(ends.len()).unwrap_or(i32::MAX);
            return Self {
                failures: self.failures.saturating_add(more),
                last: ends.last().copied().or(self.last),
            };
        };
        // Only failures after the last success count.
        ends.retain(|end| *end > last_success);
        Self { failures: i32::try_from(ends.len()).unwrap_or(i32::MAX), last: ends.last().copied() }
    }

    /// What is left to wait.
    pub(super) fn remaining(self, now: SimTime, calendar: Calendar) -> SimDuration {
        match self.last {
            Some(last) => remaining(self.failures, last, now, calendar),
            None => SimDuration::ZERO,
        }
    }
}

/// What is left to wait before an index is tried again after this Pod of it failed.
pub(super) fn remaining_for_index(
    failed: Option<&Arc<Pod>>,
    now: SimTime,
    calendar: Calendar,
) -> SimDuration {
    failed.map_or(SimDuration::ZERO, |pod| {
        remaining(index_all_failures(pod).saturating_add(1), finish_time(pod), now, calendar)
    })
}

fn remaining(failures: i32, last: Timestamp, now: SimTime, calendar: Calendar) -> SimDuration {
    let Ok(failures) = u32::try_from(failures) else { return SimDuration::ZERO };
    let Some(doublings) = failures.checked_sub(1) else { return SimDuration::ZERO };
    let backoff = (FIRST * (1u64 << doublings.min(30))).min(LONGEST);
    backoff.saturating_sub(now.since(calendar.instant(last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;

    fn ended(at: i64) -> Arc<Pod> {
        let mut pod = testkit::pod("p", "app=a");
        pod.meta.created = Some(testkit::calendar().start.plus_secs(at));
        Arc::new(pod)
    }

    /// Facts §4.2: Pod failure backoff; §13.23.
    #[test]
    fn waits_double_from_ten_seconds_to_ten_minutes() {
        let calendar = testkit::calendar();
        let last = Some(calendar.start);
        let waits: Vec<u64> = (0..10)
            .map(|failures| Record { failures, last }.remaining(SimTime::ZERO, calendar).as_secs())
            .collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
        let record = Record { failures: 1, last };
        let at = |millis| SimTime::ZERO + SimDuration::from_millis(millis);
        assert_eq!(record.remaining(at(5380), calendar), SimDuration::from_millis(4620));
        assert!(record.remaining(at(10_000), calendar).is_zero());
    }

    /// Facts §4.2: a success resets the count.
    #[test]
    fn a_success_forgets_earlier_failures() {
        let record = Record::default().after(&[], &[ended(5), ended(3)]);
        let start = testkit::calendar().start;
        assert_eq!(record, Record { failures: 2, last: Some(start.plus_secs(5)) });
        assert_eq!(record.after(&[], &[]), record);
        assert_eq!(record.after(&[ended(9)], &[]), Record::default());
        let mixed = record.after(&[ended(6)], &[ended(4), ended(7), ended(8), ended(6)]);
        assert_eq!(mixed, Record { failures: 2, last: Some(start.plus_secs(8)) });
    }
}
