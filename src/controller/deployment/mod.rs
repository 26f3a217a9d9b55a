//! Deployments: ReplicaSets of successive templates, the new one growing while the old ones shrink.
//!
//! Upstream: `pkg/controller/deployment`, v1.34. A sync works on copies taken at its start; what it wrote itself and
//! has not read again is refused with a conflict and tried again, as upstream's stale copies are, which gives the
//! same sequence of statuses.
//!
//! * [`sync`]: what a sync does in which order. * [`history`]: new and old ReplicaSets, revisions, clean-up.
//! * [`rolling`], [`recreate`]: the two strategies. * [`proportional`]: scaling while a rollout is under way.
//! * [`status`]: counts, conditions, deadline. * [`rollback`]: the rollback annotation. * [`rollout`]: what
//!   `kubectl rollout` does.
//!
//! # Fidelity
//! A Deployment that was complete once and lacks Pods for longer than its progress deadline makes upstream look again
//! ten times a second without effect; here it rests.

pub mod history;
mod proportional;
mod recreate;
mod rollback;
mod rolling;
pub mod rollout;
mod status;
mod sync;

use std::collections::BTreeSet;

use crate::api::workload::{Deployment, DeploymentStrategy, ReplicaSet};
use crate::api::{Kind, ObjectKey, Pod, Resource};
use crate::base::Arc;
use crate::controller::aspects::Aspects;
use crate::controller::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::store::{Change, Store};

/// The Deployment controller.
#[derive(Clone, Debug, Default)]
pub struct DeploymentController {
    /// ReplicaSets that nobody manages, for whoever may want to adopt them.
    orphans: BTreeSet<ObjectKey>,
}

impl Controller for DeploymentController {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Deployment, Kind::ReplicaSet, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::DELETED
    }

    fn needs(&self) -> Option<(Kind, Aspects)> {
        Some((Kind::Deployment, Aspects::NONE))
    }

    fn retries_max(&self) -> Option<u32> {
        Some(15)
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        if let Some((_, Some(deployment))) = change.of::<Deployment>() {
            out.now(WorkKey::sync(deployment.key()));
        } else if let Some((old, new)) = change.of::<ReplicaSet>() {
            self.replica_set_changed(old, new, store, out);
        } else if let Some((Some(pod), None)) = change.of::<Pod>() {
            pod_deleted(pod, store, out);
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        sync::reconcile(&key.key, &self.orphans, ctx)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl DeploymentController {
    fn replica_set_changed(
        &mut self,
        old: Option<&Arc<ReplicaSet>>,
        new: Option<&Arc<ReplicaSet>>,
        store: &Store,
        out: &mut Enqueue,
    ) {
        if let Some(set) = new.filter(|set| set.meta.controller().is_none()) {
            self.orphans.insert(set.key());
        } else if let Some(set) = old.or(new) {
            self.orphans.remove(&set.key());
        }
        let owner_changed = old.map(|s| s.meta.controller()) != new.map(|s| s.meta.controller());
        if owner_changed && let Some(deployment) = old.and_then(|set| owner_of(set, store)) {
            out.now(WorkKey::sync(deployment.key()));
        }
        let Some(set) = new else { return };
        if set.meta.controller().is_some() {
            if let Some(deployment) = owner_of(set, store) {
                out.now(WorkKey::sync(deployment.key()));
            }
        } else if owner_changed || old.is_none_or(|old| old.meta.labels != set.meta.labels) {
            for deployment in store.list_in::<Deployment>(&set.meta.namespace) {
                let selector = &deployment.selector;
                if !selector.is_everything() && selector.matches(&set.meta.labels) {
                    out.now(WorkKey::sync(deployment.key()));
                }
            }
        }
    }
}

/// The Deployment that manages a ReplicaSet, by name and identity.
fn owner_of<'a>(set: &ReplicaSet, store: &'a Store) -> Option<&'a Arc<Deployment>> {
    let reference = set.meta.controller().filter(|o| o.kind == Deployment::KIND.name())?;
    let deployment = store.find::<Deployment>(&set.meta.namespace, &reference.name)?;
    (deployment.meta.uid == reference.uid).then_some(deployment)
}

/// A Deployment that recreates goes on once its last Pod is gone.
fn pod_deleted(pod: &Pod, store: &Store, out: &mut Enqueue) {
    let Some(reference) = pod.meta.controller().filter(|o| o.kind == ReplicaSet::KIND.name()) else { return };
    let set = store.find::<ReplicaSet>(&pod.meta.namespace, &reference.name);
    let Some(set) = set.filter(|set| set.meta.uid == reference.uid) else { return };
    let Some(deployment) = owner_of(set, store) else { return };
    if deployment.strategy == DeploymentStrategy::Recreate
        && history::owned(store, deployment).iter().all(|set| store.pods_of(&set.meta.uid).next().is_none())
    {
        out.now(WorkKey::sync(deployment.key()));
    }
}

#[cfg(test)]
mod tests;
