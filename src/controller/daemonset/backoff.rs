//! How long a failed Pod of a node is left before it is deleted.
//!
//! Upstream: `client-go/util/flowcontrol/backoff.go`, set up in `cmd/kube-controller-manager/app/apps.go`, v1.34.

use std::collections::BTreeMap;

use crate::api::Uid;
use crate::base::{SimDuration, SimTime, Str};

const FIRST: SimDuration = SimDuration::from_secs(1);
const LONGEST: SimDuration = SimDuration::from_mins(15);

/// A DaemonSet at a generation, and a node.
type Key = (Uid, i64, Str);

/// Backoffs of DaemonSets on nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoffs(BTreeMap<Key, Entry>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    wait: SimDuration,
    since: SimTime,
}

impl Entry {
    fn has_expired(self, now: SimTime) -> bool {
        now.since(self.since) > LONGEST * 2
    }
}

impl Backoffs {
    /// The wait that a failed Pod is in; none if it may go, which starts the next wait.
    pub(super) fn wait_or_start(&mut self, key: Key, now: SimTime) -> Option<SimDuration> {
        let live = self.0.get(&key).copied().filter(|e| !e.has_expired(now));
        let wait = match live {
            Some(entry) if now.since(entry.since) < entry.wait => return Some(entry.wait),
            Some(entry) => (entry.wait * 2).min(LONGEST),
            None => FIRST,
        };
        self.0.retain(|_, entry| !entry.has_expired(now));
        self.0.insert(key, Entry { wait, since: now });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_quarter_of_an_hour_and_are_forgotten() {
        let mut backoffs = Backoffs::default();
        let key = || (Uid::from("u"), 1, Str::from("n"));
        let (mut now, mut waits) = (SimTime::ZERO, Vec::new());
        for _ in 0..13 {
            assert_eq!(backoffs.wait_or_start(key(), now), None);
            let wait = backoffs.wait_or_start(key(), now).unwrap();
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        now += SimDuration::from_mins(31);
        assert_eq!(backoffs.wait_or_start(key(), now), None);
        assert_eq!(backoffs.wait_or_start(key(), now), Some(FIRST));
        assert_eq!(backoffs.0.len(), 1);
    }
}
