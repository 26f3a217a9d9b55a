//! What was written and has not reached the scheduler yet.

use std::collections::VecDeque;

use super::HEARD_TOGETHER;
use crate::api::Object;
use crate::base::SimTime;
use crate::kernel::Seed;
use crate::params::{Delay, Watch};
use crate::scheduler::placer::KINDS_SEEN;
use crate::store::Change;

/// An inbox with room for more changes than that gives it back when no more than these are left, since room that is used again
/// soon is at hand.
const ROOM_MAX: usize = 4 * HEARD_TOGETHER;

/// Changes on their way, in the order of writing.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    watch: Watch,
    changes: VecDeque<(SimTime, Change)>,
    /// When the changes of Pods without a node among them arrive. These are worth waking for whatever waits.
    pods: VecDeque<SimTime>,
}

impl Inbox {
    /// An empty inbox whose changes take so long.
    pub(super) fn new(watch: Delay) -> Self {
        Self { watch: Watch::new(watch), changes: VecDeque::new(), pods: VecDeque::new() }
    }

    /// How many changes are on their way or have not been fetched.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// A change was written.
    pub(super) fn push(&mut self, change: &Change, seed: Seed) {
        if !KINDS_SEEN.contains(&change.kind()) {
            return;
        }
        let at = self.watch.heard(change.at, change.revision, seed);
        if may_be_tried(change) {
            self.pods.push_back(at);
        }
        self.changes.push_back((at, change.clone()));
    }

    /// The next change that has arrived by now, and when it arrived.
    pub(super) fn pop(&mut self, now: SimTime) -> Option<(SimTime, Change)> {
        let (at, _) = self.changes.front()?;
        if *at > now {
            return None;
        }
        let (at, change) = self.changes.pop_front()?;
        if self.changes.len() <= HEARD_TOGETHER && self.changes.capacity() > ROOM_MAX {
            self.changes.shrink_to(2 * HEARD_TOGETHER);
        }
        if may_be_tried(&change) {
            self.pods.pop_front();
        }
        Some((at, change))
    }

    /// When something arrives that a scheduler has to be woken for. If it has Pods that wait for changes
    /// (`any_counts`), every change is.
    pub(super) fn next(&self, any_counts: bool) -> Option<SimTime> {
        if any_counts { self.changes.front().map(|(at, _)| *at) } else { self.pods.front().copied() }
    }
}

/// Whether the change brings a Pod that wants a node.
fn may_be_tried(change: &Change) -> bool {
    matches!(change.new(), Some(Object::Pod(pod)) if pod.node_name.is_none() && !pod.is_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Pod, Resource};
    use crate::store::{ObjId, Verb};

    #[test]
    fn a_rush_leaves_no_room_behind_and_everything_arrives_in_order() {
        let mut inbox = Inbox::new(Delay::millis(1));
        let rush = 4 * ROOM_MAX as u64;
        for revision in 0..rush {
            let pod = Pod::wrap(crate::testkit::pod("a", "app=web").into());
            let when = (SimTime::from_secs(1), revision);
            inbox.push(&Change::of_object(when, Verb::Added, ObjId(revision), None, pod), Seed(1));
        }
        assert!(inbox.pop(SimTime::from_secs(1)).is_none(), "it has not arrived");
        for revision in 0..rush {
            assert_eq!(inbox.len() as u64, rush - revision);
            let popped = inbox.pop(SimTime::from_secs(2)).map(|(_, change)| change.revision);
            assert_eq!(popped, Some(revision));
        }
        assert_eq!((inbox.len(), inbox.next(true), inbox.next(false)), (0, None, None));
        assert!(inbox.changes.capacity() <= ROOM_MAX);
    }
}
