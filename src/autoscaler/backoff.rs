//! Groups that failed are left alone for a while.
//!
//! Upstream: `cluster-autoscaler/utils/backoff/exponential_backoff.go`, 1.34.

use std::collections::BTreeMap;

use crate::base::SimTime;
use crate::base::{SimDuration, Str};
use crate::cloud::fleet::GroupId;
use crate::params::settings::ClusterAutoscaler as Flags;

#[derive(Clone, Debug)]
struct Backoff {
    duration: SimDuration,
    until: SimTime,
    last: SimTime,
    /// Code and message of the failure.
    error: (Str, Str),
}

/// The groups that failed.
#[derive(Clone, Debug, Default)]
pub struct Backoffs {
    groups: BTreeMap<GroupId, Backoff>,
}

impl Backoffs {
    /// A group failed. Failures while it is left alone prolong that, they do not double it.
    pub fn fail(&mut self, flags: &Flags, group: GroupId, now: SimTime, error: (Str, Str)) {
        let duration = match self.groups.get(&group) {
            None => flags.initial_node_group_backoff_duration,
            Some(before) if before.until < now => {
                flags.max_node_group_backoff_duration.min(before.duration * 2)
            }
            Some(before) => before.duration,
        };
        self.groups.insert(group, Backoff { duration, until: now + duration, last: now, error });
    }

    /// Failures of long ago are forgotten.
    pub fn forget_stale(&mut self, flags: &Flags, now: SimTime) {
        self.groups.retain(|_, backoff| backoff.last + flags.node_group_backoff_reset_timeout >= now);
    }

    /// Why a group is left alone, if it is: code and message.
    pub fn status(&self, group: GroupId, now: SimTime) -> Option<&(Str, Str)> {
        self.groups.get(&group).filter(|backoff| backoff.until >= now).map(|backoff| &backoff.error)
    }

    /// The last instants at which groups are left alone.
    pub fn ends(&self) -> impl Iterator<Item = SimTime> {
        self.groups.values().map(|backoff| backoff.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `§3.9`.
    #[test]
    fn failures_after_the_end_of_a_backoff_double_it_and_failures_within_prolong_it() {
        let flags = Flags::default();
        let mut backoffs = Backoffs::default();
        let mins = |m: u64| SimTime::ZERO + SimDuration::from_mins(m);
        let until = |backoffs: &Backoffs| backoffs.ends().next().unwrap();
        for (at, end) in [
            (10, 15),
            // Within: the same five minutes, from now on.
            (12, 17),
            // At its very end it is still left alone.
            (17, 22),
            (23, 33),
            (40, 60),
            (61, 91),
            (100, 130),
            // Three hours and a minute without a failure: the first again.
            (281, 286),
        ] {
            backoffs.forget_stale(&flags, mins(at));
            backoffs.fail(&flags, GroupId(0), mins(at), ("code".into(), "message".into()));
            assert_eq!(until(&backoffs), mins(end), "failed at {at} min");
        }
        assert!(backoffs.status(GroupId(0), mins(286)).is_some_and(|(code, _)| code == "code"));
        let after = mins(286) + SimDuration::from_nanos(1);
        assert!(backoffs.status(GroupId(0), after).is_none());
        assert!(backoffs.status(GroupId(1), mins(281)).is_none());
    }
}
