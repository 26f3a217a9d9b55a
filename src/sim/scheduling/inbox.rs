//! What was written and has not reached the scheduler yet.

use std::collections::VecDeque;

use crate::api::Object;
use crate::base::SimTime;
use crate::kernel::Seed;
use crate::params::{Delay, Watch};
use crate::scheduler::placer::KINDS_SEEN;
use crate::store::Change;

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
