//! The DaemonSet controller: one Pod on every node that fits.
//!
//! Upstream: `pkg/controller/daemon`, v1.34.
//!
//! * [`placement`]: which nodes fit. * [`pods`]: Pods tied to a node. * [`manage`]: what is missing and what is too
//!   much. * [`update`]: rolling update. * [`revisions`]: the template's history. * [`sync`]: one sync and the status.
//! * [`backoff`]: failed Pods. * [`rollout`]: what `kubectl rollout` does.
//!
//! # Fidelity
//! * Nodes come in the order of their creation; upstream's order is that of a map.
//! * The label `pod-template-generation` of old API versions is neither written nor looked at.

mod backoff;
mod manage;
mod placement;
mod pods;
mod revisions;
pub mod rollout;
mod sync;
#[cfg(test)]
mod tests;
mod update;

use backoff::Backoffs;
use placement::Placement;
use sync::Plan;

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::workload::{ControllerRevision, DaemonSet};
use crate::api::{EventType, Kind, Labels, Meta, Node, ObjectKey, ObjectRef, Pod, Resource};
use crate::base::{Arc, LookupMap, SimDuration};
use crate::controller::aspects::Aspects;
use crate::store::{Change, Store};

/// The DaemonSet controller.
#[derive(Clone, Debug, Default)]
pub struct DaemonSetController {
    backoffs: Backoffs,
    plans: LookupMap<ObjectKey, Plan>,
}

impl DaemonSetController {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self::default())
    }
}

impl Controller for DaemonSetController {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::DaemonSet, Kind::Pod, Kind::Node, Kind::ControllerRevision]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::OF_MANAGERS
    }

    fn needs(&self) -> Option<(Kind, Aspects)> {
        Some((Kind::DaemonSet, Aspects::NONE))
    }

    fn workers(&self) -> usize {
        2
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::DaemonSet => out.now(WorkKey::sync(change.key())),
            Kind::Pod => {
                if let Some((old, new)) = change.of::<Pod>() {
                    pod_changed(old, new, store, out);
                }
            }
            Kind::Node => {
                if let Some((old, Some(node))) = change.of::<Node>() {
                    node_changed(old, node, store, out);
                }
            }
            Kind::ControllerRevision => {
                if let Some((old, new)) = change.of::<ControllerRevision>() {
                    revision_changed(old, new, store, out);
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let plan = self.plans.remove(&key.key);
        let Some(set) = ctx.store().get::<DaemonSet>(&key.key).cloned() else { return Action::Done };
        if set.selector.is_everything() {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            ctx.event(ObjectRef::to(&*set), EventType::Warning, "SelectingAll", message);
            return Action::Done;
        }
        if set.meta.is_deleting() {
            return Action::Done;
        }
        let outcome = sync::sync(&set, plan.filter(|p| p.is_for(&set)), &mut self.backoffs, ctx);
        if let Some(plan) = outcome.plan {
            self.plans.insert(key.key.clone(), plan);
        }
        outcome.action
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The DaemonSet that controls an object.
fn controlling<'s>(meta: &Meta, store: &'s Store) -> Option<&'s Arc<DaemonSet>> {
    let reference = meta.controller().filter(|c| c.kind == Kind::DaemonSet.name())?;
    store.find::<DaemonSet>(&meta.namespace, &reference.name).filter(|s| s.meta.uid == reference.uid)
}

/// Enqueues the DaemonSets whose selector selects these labels.
fn enqueue_selecting(namespace: &str, labels: &Labels, store: &Store, out: &mut Enqueue) {
    let sets = store.list_in::<DaemonSet>(namespace);
    sets.filter(|s| s.selector.matches(labels)).for_each(|s| out.now(WorkKey::sync(s.key())));
}

fn pod_changed(old: Option<&Arc<Pod>>, new: Option<&Arc<Pod>>, store: &Store, out: &mut Enqueue) {
    let Some(pod) = new else {
        if let Some(set) = old.and_then(|p| controlling(&p.meta, store)) {
            out.now(WorkKey::sync(set.key()));
        }
        return;
    };
    let owners_changed = old.is_none_or(|o| o.meta.controller() != pod.meta.controller());
    if owners_changed && let Some(set) = old.and_then(|p| controlling(&p.meta, store)) {
        out.now(WorkKey::sync(set.key()));
    }
    if pod.meta.controller().is_some() {
        let Some(set) = controlling(&pod.meta, store) else { return };
        let key = WorkKey::sync(set.key());
        let became_ready = old.is_some_and(|o| !o.is_ready()) && pod.is_ready();
        if became_ready && set.min_ready_seconds > 0 {
            // Upstream adds a second against skewed clocks.
            let delay = SimDuration::from_api_secs(i64::from(set.min_ready_seconds) + 1);
            out.after(key.clone(), delay);
        }
        out.now(key);
    } else if !pod.meta.is_deleting()
        && (owners_changed || old.is_none_or(|o| o.meta.labels != pod.meta.labels))
    {
        enqueue_selecting(&pod.meta.namespace, &pod.meta.labels, store, out);
    }
}

/// A node concerns only DaemonSets whose Pod is missing there, must go, or was out of place.
///
/// Upstream: `syncNodeUpdate`; a node's deletion is not looked at.
fn node_changed(old: Option<&Arc<Node>>, node: &Node, store: &Store, out: &mut Enqueue) {
    if old.is_some_and(|o| o.meta.labels == node.meta.labels && o.taints == node.taints) {
        return;
    }
    for set in store.list::<DaemonSet>() {
        let verdict = Placement::of(set).verdict(node);
        let scheduled = store.pods_on(&node.meta.name).any(|p| p.meta.is_controlled_by(&set.meta.uid));
        let concerned =
            if scheduled { !verdict.keep || set.status.number_misscheduled > 0 } else { verdict.run };
        if concerned {
            out.now(WorkKey::sync(set.key()));
        }
    }
}

fn revision_changed(
    old: Option<&Arc<ControllerRevision>>,
    new: Option<&Arc<ControllerRevision>>,
    store: &Store,
    out: &mut Enqueue,
) {
    let controlled = |r: &ControllerRevision| controlling(&r.meta, store).map(|s| WorkKey::sync(s.key()));
    let changed = match (old, new) {
        (_, None) => old.and_then(|r| controlled(r)),
        (None, Some(_)) => None,
        (Some(old), Some(new)) => {
            if old.meta.controller() != new.meta.controller()
                && let Some(key) = controlled(old)
            {
                out.now(key);
            }
            controlled(new)
        }
    };
    if let Some(key) = changed {
        out.now(key);
    }
    let orphan = new.filter(|r| r.meta.controller().is_none() && !r.meta.is_deleting());
    if let Some(revision) = orphan
        && old.is_none_or(|o| o.meta.labels != revision.meta.labels || o.meta.controller().is_some())
    {
        enqueue_selecting(&revision.meta.namespace, &revision.meta.labels, store, out);
    }
}
