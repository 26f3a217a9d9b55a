//! Which parked Pods an event sets in motion.
//!
//! Upstream: `pkg/scheduler/backend/queue/scheduling_queue.go` (`isPodWorthRequeuing`,
//! `movePodsToActiveOrBackoffQueue`), `nominator.go`, v1.34.

use std::collections::BTreeSet;

use super::{Env, InFlightEvent, Queue, QueuedPod, Went};
use crate::api::{Object, Pod};
use crate::base::{Arc, Str};
use crate::scheduler::decision::Nomination;
use crate::scheduler::framework::{ClusterEvent, Hint, PodInfo};

/// Whether any of the plugins that refused the Pod registered for the event and finds it useful.
pub(super) fn is_worth_requeuing(
    env: &Env<'_>,
    queued: &QueuedPod,
    event: ClusterEvent,
    old: Option<&Object>,
    new: Option<&Object>,
) -> bool {
    if queued.unschedulable_plugins.is_empty() {
        return true;
    }
    if event == ClusterEvent::WILDCARD {
        // With an object it is meant for that Pod alone.
        return match new {
            None => true,
            Some(Object::Pod(pod)) => pod.meta.uid == *queued.info.uid(),
            Some(_) => false,
        };
    }
    let Some(framework) = env.framework(&queued.info.pod) else { return true };
    framework.registrations.iter().any(|r| {
        queued.unschedulable_plugins.binary_search(&r.plugin).is_ok()
            && r.event.covers(event)
            && r.hints
                .as_ref()
                .is_none_or(|h| h.hint(env.snapshot, r.event, &queued.info, old, new) == Hint::Queue)
    })
}

/// Whether the plugin that keeps the Pod out registered for the event.
fn interests_gate(env: &Env<'_>, queued: &QueuedPod, event: ClusterEvent) -> bool {
    env.frameworks
        .iter()
        .flat_map(|f| &f.registrations)
        .any(|r| r.plugin == queued.gating_plugin && r.event.covers(event))
}

impl Queue {
    /// Something happened: Pods that it may help start moving, if `pre_check` lets them.
    pub fn move_all(
        &mut self,
        env: &Env<'_>,
        event: ClusterEvent,
        old: Option<&Object>,
        new: Option<&Object>,
        pre_check: impl Fn(&Pod) -> bool,
    ) {
        if !self.awaits_changes() {
            return;
        }
        let interested: BTreeSet<&'static str> = env
            .frameworks
            .iter()
            .flat_map(|f| &f.registrations)
            .filter(|r| r.event.covers(event))
            .map(|r| r.plugin)
            .collect();
        if interested.is_empty() {
            return;
        }
        for (_, happened) in &mut self.in_flight {
            happened.push(InFlightEvent { event, old: old.cloned(), new: new.cloned() });
        }
        if self.unschedulable.is_empty() {
            return;
        }
        for sequence in self.unschedulable.refused_by(&interested) {
            let Some(queued) = self.unschedulable.get(sequence) else { continue };
            let moves = pre_check(&queued.info.pod)
                && (!queued.is_gated() || interests_gate(env, queued, event))
                && is_worth_requeuing(env, queued, event, old, new);
            if moves && let Some(queued) = self.take_unschedulable(sequence) {
                self.requeue(env, queued, true);
            }
        }
    }

    /// Makes a Pod active at once, whatever refused it; if it is being scheduled, once it comes back.
    ///
    /// Upstream: `Activate`.
    pub fn activate(&mut self, env: &Env<'_>, pod: &Arc<Pod>) {
        let uid = &pod.meta.uid;
        match self.place_of(uid) {
            Some(Went::Backoff | Went::Unschedulable) => {
                if let Some(queued) = self.take(uid) {
                    self.move_to_active(env, queued, false);
                }
            }
            Some(Went::Active) => {}
            None => {
                if let Some((_, happened)) = self.in_flight.iter_mut().find(|(have, _)| have == uid) {
                    let new = Some(Object::Pod(pod.clone()));
                    happened.push(InFlightEvent { event: ClusterEvent::WILDCARD, old: None, new });
                }
            }
        }
    }

    /// Notes the nomination that a failed attempt gave to a Pod.
    pub fn nominate(&mut self, info: &Arc<PodInfo>, nomination: &Nomination) {
        self.nominator.remove(info.uid());
        match nomination {
            Nomination::Set(node) => self.nominator.add(info.clone(), node),
            Nomination::Clear => {}
            Nomination::Keep => self.nominate_as_said(info),
        }
    }

    /// Notes the nomination that the Pod's status says.
    pub(super) fn nominate_as_said(&mut self, info: &Arc<PodInfo>) {
        self.nominator.remove(info.uid());
        if let Some(node) = said(&info.pod) {
            self.nominator.add(info.clone(), node);
        }
    }

    /// A waiting Pod changed. If neither form says a nomination, one that is known here and not yet written stays.
    pub(super) fn update_nominated(&mut self, old: &Pod, info: &Arc<PodInfo>) {
        let known = self.nominator.node_of(info.uid()).cloned();
        match known {
            Some(node) if said(old).is_none() && said(&info.pod).is_none() => {
                self.nominator.add(info.clone(), &node);
            }
            _ => self.nominate_as_said(info),
        }
    }
}

/// The nomination in the status.
fn said(pod: &Pod) -> Option<&Str> {
    pod.status.nominated_node.as_ref().filter(|node| !node.is_empty())
}
