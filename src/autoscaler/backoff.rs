//! Groups that failed are left alone for a while.
//!
//! Upstream: `cluster-autoscaler/utils/backoff/exponential_backoff.go`, 1.34.

use std::collections::BTreeMap;

use crate::base::{SimDuration, SimTime};
use crate::cloud::fleet::GroupId;

const FIRST: SimDuration = SimDuration::from_mins(5);
const MAX: SimDuration = SimDuration::from_mins(30);
const RESET_AFTER: SimDuration = SimDuration::from_mins(180);

#[derive(Clone, Copy, Debug)]
struct Backoff {
    duration: SimDuration,
    until: SimTime,
    last: SimTime,
}

/// The groups that failed.
#[derive(Clone, Debug, Default)]
pub struct Backoffs {
    groups: BTreeMap<GroupId, Backoff>,
}

impl Backoffs {
    /// A group failed; false if it was left alone already.
    pub fn fail(&mut self, group: GroupId, now: SimTime) -> bool {
        let entry =
            self.groups.entry(group).or_insert(Backoff { duration: FIRST, until: now + FIRST, last: now });
        let fresh = entry.last == now && entry.until == now + entry.duration;
        if !fresh {
            if now < entry.until {
                entry.last = now;
                return false;
            }
            let again = now < entry.last + RESET_AFTER;
            entry.duration = if again { MAX.min(entry.duration * 2) } else { FIRST };
            entry.until = now + entry.duration;
            entry.last = now;
        }
        true
    }

    /// Whether a group is left alone.
    pub fn is_off(&self, group: GroupId, now: SimTime) -> bool {
        self.groups.get(&group).is_some_and(|b| now < b.until)
    }

    /// When groups may be tried again.
    pub fn ends(&self) -> impl Iterator<Item = SimTime> {
        self.groups.values().map(|b| b.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_after_the_end_of_a_backoff_double_it() {
        let mut backoffs = Backoffs::default();
        let mins = |m: u64| SimTime::ZERO + SimDuration::from_mins(m);
        let until = |backoffs: &Backoffs| backoffs.ends().next().unwrap();
        for (at, end) in [(10, 15), (12, 15), (15, 25), (30, 50), (60, 90), (100, 130), (400, 405)] {
            backoffs.fail(GroupId(0), mins(at));
            assert_eq!(until(&backoffs), mins(end), "failed at {at} min");
        }
        assert!(backoffs.is_off(GroupId(0), mins(404)) && !backoffs.is_off(GroupId(0), mins(405)));
        assert!(!backoffs.is_off(GroupId(1), mins(404)));
    }
}
