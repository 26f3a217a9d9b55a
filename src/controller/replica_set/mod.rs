//! ReplicaSets and ReplicationControllers: as many Pods as wanted, made from one template.
//!
//! Upstream: `pkg/controller/replicaset`, v1.34; ReplicationControllers run the same code under another name, here as
//! there.
//!
//! # Fidelity
//! Upstream's controller remembers the creations and deletions it has not yet seen in its cache ("expectations") and
//! holds back until it has; here the store itself is read, so there is nothing to wait for. Changes of Pods that
//! cannot change what the controller would do or report do not wake it.

mod status;
mod sync;

use std::marker::PhantomData;

use crate::api::workload::{ReplicaSet, ReplicationController};
use crate::api::{Kind, ObjectKey, OwnerReference, Pod, Uid};
use crate::base::{LookupMap, SimDuration, SimTime, Str};
use crate::controller::aspects::Aspects;
use crate::controller::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::store::{Change, Held, Store};
use sync::Burst;

/// A kind that runs on this controller.
pub trait PodSet: Held + Send + Sync {
    /// The component's name in Events.
    const COMPONENT: &'static str;
    /// The set itself.
    fn set(&self) -> &ReplicaSet;
    /// The set itself, to be changed.
    fn set_mut(&mut self) -> &mut ReplicaSet;
}

impl PodSet for ReplicaSet {
    const COMPONENT: &'static str = "replicaset-controller";
    fn set(&self) -> &ReplicaSet {
        self
    }
    fn set_mut(&mut self) -> &mut ReplicaSet {
        self
    }
}

impl PodSet for ReplicationController {
    const COMPONENT: &'static str = "replication-controller";
    fn set(&self) -> &ReplicaSet {
        &self.0
    }
    fn set_mut(&mut self) -> &mut ReplicaSet {
        &mut self.0
    }
}

/// The controller of one kind of Pod set.
#[derive(Debug)]
pub struct ReplicaSetController<T> {
    /// Creations and deletions that wait for the client's rate limit.
    bursts: LookupMap<Uid, Burst>,
    /// Sets whose last sync failed, and when the last change of a Pod of theirs comes to be heard of: any change is
    /// another try, and counts for the backoff.
    failing: LookupMap<ObjectKey, SimTime>,
    kind: PhantomData<T>,
}

impl<T: PodSet> Default for ReplicaSetController<T> {
    fn default() -> Self {
        Self { bursts: LookupMap::default(), failing: LookupMap::default(), kind: PhantomData }
    }
}

impl<T: PodSet> ReplicaSetController<T> {
    /// A change of a Pod of a failing set. No two kubelets write in the same instant; each write is a try.
    fn try_again(&mut self, pod: &Pod, at: SimTime, store: &Store, out: &mut Enqueue) {
        /// From one kubelet's write to the next.
        const APART: SimDuration = SimDuration::from_millis(12);
        let Some(owner) = owner_of::<T>(pod, store) else { return };
        let key = owner.key();
        if let Some(last) = self.failing.get_mut(&key) {
            *last = at.max(*last + APART);
            out.late(WorkKey::sync(key), last.since(at));
        }
    }
}

impl<T: PodSet> Controller for ReplicaSetController<T> {
    fn name(&self) -> &'static str {
        T::COMPONENT
    }

    fn watches(&self) -> &'static [Kind] {
        const { &[T::KIND, Kind::Pod] }
    }

    fn of_pods(&self) -> Aspects {
        Aspects::OF_MANAGERS
    }

    fn needs(&self) -> Option<(Kind, Aspects)> {
        Some((T::KIND, Aspects::NONE))
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        if let Some((old, new)) = change.of::<T>() {
            if let Some(set) = new {
                out.now(WorkKey::sync(set.key()));
            } else if let Some(set) = old {
                self.bursts.remove(&set.meta().uid);
                self.failing.remove(&set.key());
            }
        } else if let Some((old, new)) = change.of::<Pod>() {
            pod_changed::<T>(old.map(|p| &**p), new.map(|p| &**p), store, out);
            if let Some(pod) = new {
                self.try_again(pod, change.at, store, out);
            }
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let action = sync::sync::<T>(&mut self.bursts, &key.key, ctx);
        if let Action::Retry(_) = action {
            self.failing.or_insert_with(key.key.clone(), || SimTime::ZERO);
        } else {
            self.failing.remove(&key.key);
        }
        action
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { bursts: self.bursts.clone(), failing: self.failing.clone(), kind: PhantomData })
    }
}

fn pod_changed<T: PodSet>(old: Option<&Pod>, new: Option<&Pod>, store: &Store, out: &mut Enqueue) {
    let Some(pod) = new else {
        // Nobody cares about orphans being deleted.
        if let Some(owner) = old.and_then(|p| owner_of::<T>(p, store)) {
            out.now(WorkKey::sync(owner.key()));
        }
        return;
    };
    let owner_changed = old.is_some_and(|o| o.meta.controller() != pod.meta.controller());
    if owner_changed && let Some(owner) = old.and_then(|p| owner_of::<T>(p, store)) {
        out.now(WorkKey::sync(owner.key()));
    }
    if pod.meta.controller().is_some() {
        let Some(owner) = owner_of::<T>(pod, store) else { return };
        if owner_changed || old.is_none_or(|old| matters(old, pod)) {
            out.now(WorkKey::sync(owner.key()));
        }
        let min_ready = owner.set().min_ready_seconds;
        if min_ready > 0 && old.is_some_and(|old| !old.is_ready()) && pod.is_ready() {
            out.after(WorkKey::sync(owner.key()), SimDuration::from_api_secs(i64::from(min_ready)));
        }
        return;
    }
    let labels_changed = old.is_some_and(|o| o.meta.labels != pod.meta.labels);
    if !pod.meta.is_deleting() && (old.is_none() || labels_changed || owner_changed) {
        for set in store.list_in::<T>(&pod.meta.namespace) {
            if set.set().selector.matches(&pod.meta.labels) {
                out.now(WorkKey::sync(set.key()));
            }
        }
    }
}

/// Whether a change of a Pod can change what its set does or reports.
fn matters(old: &Pod, new: &Pod) -> bool {
    let ready = |pod: &Pod| pod.ready_condition().map(|c| (c.is_true(), c.transition));
    old.is_active() != new.is_active()
        || old.meta.labels != new.meta.labels
        || old.is_active() && ready(old) != ready(new)
}

/// The set that manages a Pod, by name and identity.
fn owner_of<'a, T: PodSet>(pod: &Pod, store: &'a Store) -> Option<&'a T> {
    let reference = pod.meta.controller()?;
    resolve::<T>(&pod.meta.namespace, reference, store)
}

fn resolve<'a, T: PodSet>(namespace: &Str, reference: &OwnerReference, store: &'a Store) -> Option<&'a T> {
    if reference.kind != T::KIND.name() {
        return None;
    }
    let key = ObjectKey { namespace: namespace.clone(), name: reference.name.clone() };
    store.get::<T>(&key).map(|set| &**set).filter(|set| set.meta().uid == reference.uid)
}

#[cfg(test)]
mod tests;
