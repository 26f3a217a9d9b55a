//! Fetches from memory what the events that come next will need.
//!
//! A Pod that has run for minutes lies in memory that nobody has touched since: its end, and later its removal, would wait
//! for some fifty places of it one after the other, which takes longer than everything else about them. That they come is known long
//! before.

use super::event::Event;
use super::world::World;
use crate::base::{fetch, gather};
use crate::kubelet::KubeletEvent;
use crate::store::ObjId;

/// So many Pods of a trace that go one after the other are thought of together: of more, what was fetched first would have
/// gone again before it is needed.
pub(super) const GONE_TOGETHER: usize = 16;

impl World {
    /// Fetches what the next timers of kubelets will need.
    pub(super) fn look_ahead(&mut self) {
        let pods = gather(self.queue.upcoming().filter_map(pod_of));
        if pods.is_empty() {
            return;
        }
        self.kubelets.fetch(&pods);
        let held = self.store.fetch_pods(&pods);
        self.scheduler.inner().fetch(held.into_iter().map(|(_, pod)| pod));
        self.usage.fetch(&pods);
        self.evaluator.traces().fetch(&pods);
    }

    /// Fetches what a Pod will need that is about to be bound to a node.
    pub(super) fn think_of(&self, node: &str) {
        fetch([self.kubelets.skim_node(node), self.store.skim_node(node)]);
    }
}

/// The Pod that an event is about, if it is one about a Pod that has been there for a while.
fn pod_of(event: &Event) -> Option<ObjId> {
    match event {
        Event::Kubelet(KubeletEvent::Pod { pod, .. } | KubeletEvent::Container { pod, .. }) => Some(*pod),
        _ => None,
    }
}
