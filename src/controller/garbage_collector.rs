//! The garbage collector: what no owner holds any more goes.
//!
//! Upstream: `pkg/controller/garbagecollector`, v1.34. There a graph of all objects is kept from watches; here the
//! store's own index of owners is read.
//!
//! # Fidelity
//! Upstream's client makes 40 calls a second, two for each deletion; here it is one call of 20. Objects whose
//! owner is of a kind that nobody knows are left alone; upstream asks again and again, and leaves them, too.

use crate::api::{Kind, Meta, Object, ObjectKey, OwnerReference, Uid};
use crate::base::{SimDuration, Str};
use crate::controller::aspects::Aspects;
use crate::controller::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::store::write::{FINALIZER_FOREGROUND, FINALIZER_ORPHAN};
use crate::store::{ApiError, Change, DeleteOptions, Propagation, Store, Verb};

/// The task that deletes an object nobody holds, or frees an owner that waits for its dependents.
const DELETE: &str = "delete";
/// The task that lets the dependents of an owner go.
const ORPHAN: &str = "orphan";

/// What the calls that let dependents go take.
const CALLS: SimDuration = SimDuration::from_millis(10);

/// The garbage collector. Its keys carry identities for names, since names may be used again.
#[derive(Clone, Debug)]
pub struct GarbageCollector {
    workers: usize,
}

impl Default for GarbageCollector {
    fn default() -> Self {
        Self::new(20)
    }
}

impl GarbageCollector {
    /// With `--concurrent-gc-syncs`.
    pub const fn new(workers: usize) -> Self {
        Self { workers }
    }
}

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector-controller"
    }

    fn of_pods(&self) -> Aspects {
        Aspects::ADDED | Aspects::DELETED | Aspects::OWNERS | Aspects::DELETION | Aspects::FINALIZED
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let new = change.latest().meta();
        let old = change.old().map(Object::meta);
        match change.verb {
            Verb::Added => {
                if !new.owners.iter().all(|owner| is_held_by(change.object(), owner, store)) {
                    out.now(delete(&new.uid));
                }
                deletion_started(None, new, store, out);
            }
            Verb::Modified => {
                if let Some(old) = old
                    && old.owners != new.owners
                {
                    owners_changed(&old.owners, change.object(), store, out);
                }
                deletion_started(old, new, store, out);
            }
            Verb::Deleted => {
                for dependent in store.dependents(&new.uid) {
                    out.now(delete(&dependent.meta().uid));
                }
                for owner in &new.owners {
                    if waits_for_dependents(&owner.uid, store) {
                        out.now(delete(&owner.uid));
                    }
                }
            }
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let uid = &key.key.name;
        let result = match key.task {
            ORPHAN => orphan_dependents(uid, ctx),
            _ => attempt_to_delete(uid, ctx).map(|()| Action::Done),
        };
        match result {
            Ok(action) => action,
            Err(error) if error.is_not_found() => Action::Done,
            Err(error) => Action::Retry(error.to_string().into()),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

fn delete(uid: &Uid) -> WorkKey {
    WorkKey::task(DELETE, ObjectKey::cluster(uid.clone()))
}

/// Owners that no longer block are looked at, and so is the object if it names a new owner that is not there.
fn owners_changed(old: &[OwnerReference], object: &Object, store: &Store, out: &mut Enqueue) {
    let new = &object.meta().owners;
    for owner in old.iter().filter(|owner| owner.block_owner_deletion) {
        if !new.iter().any(|o| o.uid == owner.uid && o.block_owner_deletion) {
            out.now(delete(&owner.uid));
        }
    }
    let mut added = new.iter().filter(|owner| !old.iter().any(|o| o.uid == owner.uid));
    if added.any(|owner| !is_held_by(object, owner, store)) {
        out.now(delete(&object.meta().uid));
    }
}

/// Starts orphaning or foreground deletion when an object is first seen to wait for it.
fn deletion_started(old: Option<&Meta>, new: &Meta, store: &Store, out: &mut Enqueue) {
    let waits = |meta: &Meta, finalizer: &str| meta.is_deleting() && meta.has_finalizer(finalizer);
    let started = |finalizer: &str| waits(new, finalizer) && !old.is_some_and(|old| waits(old, finalizer));
    if started(FINALIZER_ORPHAN) {
        out.now(WorkKey::task(ORPHAN, ObjectKey::cluster(new.uid.clone())));
    } else if started(FINALIZER_FOREGROUND) {
        for dependent in store.dependents(&new.uid) {
            out.now(delete(&dependent.meta().uid));
        }
        out.now(delete(&new.uid));
    }
}

/// Whether the object that a reference names exists: same identity, name and kind, in reach.
fn is_held_by(object: &Object, reference: &OwnerReference, store: &Store) -> bool {
    store.by_uid(&reference.uid).is_some_and(|owner| {
        let (owned, meta) = (object.meta(), owner.meta());
        meta.name == reference.name
            && owner.kind_name() == reference.kind
            && (meta.namespace.is_empty() || meta.namespace == owned.namespace)
    })
}

/// Whether an object is being deleted in the foreground.
fn waits_for_dependents(uid: &Uid, store: &Store) -> bool {
    store.by_uid(uid).is_some_and(|object| is_deleting_dependents(object.meta()))
}

fn is_deleting_dependents(meta: &Meta) -> bool {
    meta.is_deleting() && meta.has_finalizer(FINALIZER_FOREGROUND)
}

/// What becomes of a reference.
#[derive(PartialEq, Eq)]
enum Hold {
    /// The owner exists and is not waiting for its dependents.
    Solid,
    /// The owner is gone.
    Dangling,
    /// The owner waits for its dependents to go.
    Waiting,
}

/// Upstream: `classifyReferences`; none if the reference cannot be judged.
fn classify(object: &Object, reference: &OwnerReference, store: &Store) -> Option<Hold> {
    let namespaced = is_namespaced(&reference.kind, store)?;
    if namespaced && object.meta().namespace.is_empty() {
        return None;
    }
    if !is_held_by(object, reference, store) {
        return Some(Hold::Dangling);
    }
    Some(if waits_for_dependents(&reference.uid, store) { Hold::Waiting } else { Hold::Solid })
}

/// Whether a kind lives in namespaces; none if nobody knows it.
fn is_namespaced(kind: &Str, store: &Store) -> Option<bool> {
    Kind::named(kind).map(|kind| kind.info().namespaced).or_else(|| {
        let inert = store.list::<crate::api::Inert>().find(|object| object.kind == *kind);
        inert.map(|object| object.namespaced)
    })
}

/// Upstream: `attemptToDeleteItem`.
fn attempt_to_delete(uid: &Uid, ctx: &mut Ctx<'_>) -> Result<(), ApiError> {
    let Some(object) = ctx.store().by_uid(uid) else { return Ok(()) };
    let meta = object.meta();
    if is_deleting_dependents(meta) {
        return free_or_delete_dependents(&object, ctx);
    }
    if meta.is_deleting() || meta.owners.is_empty() {
        return Ok(());
    }
    report_foreign_owners(&object, ctx);
    let store = ctx.store();
    let holds: Option<Vec<Hold>> = meta.owners.iter().map(|owner| classify(&object, owner, store)).collect();
    let Some(holds) = holds else { return Ok(()) };
    let waiting = holds.contains(&Hold::Waiting);
    if holds.contains(&Hold::Solid) {
        let kept: Vec<_> = meta
            .owners
            .iter()
            .zip(&holds)
            .filter(|(_, hold)| **hold == Hold::Solid)
            .map(|(o, _)| o)
            .collect();
        if kept.len() == holds.len() {
            return Ok(());
        }
        let kept = kept.into_iter().cloned().collect();
        return ctx.update_meta(&object, |meta| meta.owners = kept);
    }
    let dependents = store.dependents(uid);
    if waiting && !dependents.is_empty() {
        if dependents.iter().any(|dependent| is_deleting_dependents(dependent.meta())) {
            // A circle of owners would wait for itself for ever.
            ctx.update_meta(&object, |meta| {
                meta.owners.iter_mut().for_each(|o| o.block_owner_deletion = false)
            })?;
        }
        return delete_with(&object, Propagation::Foreground, ctx);
    }
    let propagation = if meta.has_finalizer(FINALIZER_ORPHAN) {
        Propagation::Orphan
    } else if meta.has_finalizer(FINALIZER_FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    delete_with(&object, propagation, ctx)
}

fn delete_with(object: &Object, propagation: Propagation, ctx: &mut Ctx<'_>) -> Result<(), ApiError> {
    let options = DeleteOptions { uid: Some(object.meta().uid.clone()), ..DeleteOptions::with(propagation) };
    ctx.delete_object(object, &options).map(|_| ())
}

/// An owner in another namespace is no owner.
fn report_foreign_owners(object: &Object, ctx: &mut Ctx<'_>) {
    let namespace = object.meta().namespace.clone();
    for reference in &object.meta().owners {
        let owner = ctx.store().by_uid(&reference.uid);
        let Some(owner) = owner.filter(|o| !o.meta().namespace.is_empty()) else { continue };
        if owner.meta().namespace != namespace {
            let OwnerReference { api_version, kind, name, uid, .. } = reference;
            let message = format!(
                "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] \
                 does not exist in namespace \"{namespace}\""
            );
            let warning = crate::api::EventType::Warning;
            ctx.event(object.reference(), warning, "OwnerRefInvalidNamespace", message);
        }
    }
}

/// Upstream: `processDeletingDependentsItem`.
fn free_or_delete_dependents(owner: &Object, ctx: &mut Ctx<'_>) -> Result<(), ApiError> {
    let uid = &owner.meta().uid;
    let blocks = |object: &Object| {
        object.meta().owners.iter().any(|reference| reference.uid == *uid && reference.block_owner_deletion)
    };
    let blocking: Vec<_> = ctx.store().dependents(uid).into_iter().filter(blocks).collect();
    if blocking.is_empty() {
        return remove_finalizer(owner, FINALIZER_FOREGROUND, ctx);
    }
    for dependent in blocking {
        // Those that wait for their own dependents are looked at in their turn.
        if !is_deleting_dependents(dependent.meta()) {
            attempt_to_delete(&dependent.meta().uid, ctx)?;
        }
    }
    Ok(())
}

/// Upstream: `attemptToOrphanWorker`.
fn orphan_dependents(uid: &Uid, ctx: &mut Ctx<'_>) -> Result<Action, ApiError> {
    let Some(owner) = ctx.store().by_uid(uid) else { return Ok(Action::Done) };
    let dependents = ctx.store().dependents(uid);
    for dependent in &dependents {
        ctx.update_meta(dependent, |meta| meta.owners.retain(|reference| reference.uid != *uid))?;
    }
    if !dependents.is_empty() {
        // The owner's controller sees that it has lost them before the owner goes.
        return Ok(Action::After(CALLS));
    }
    remove_finalizer(&owner, FINALIZER_ORPHAN, ctx)?;
    Ok(Action::Done)
}

fn remove_finalizer(object: &Object, finalizer: &str, ctx: &mut Ctx<'_>) -> Result<(), ApiError> {
    ctx.update_meta(object, |meta| meta.finalizers.retain(|name| name != finalizer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::workload::{Deployment, ReplicaSet};
    use crate::api::{EventType, Pod};
    use crate::controller::testing::Harness;
    use crate::store::Deleted;
    use crate::testkit;

    fn harness() -> Harness {
        Harness::new(vec![Box::new(GarbageCollector::default())])
    }

    /// A Deployment, a ReplicaSet, Pods: each with an owner reference to the one above.
    fn family(h: &mut Harness, pods: usize) -> ObjectKey {
        let deployment = h.store.create(testkit::deployment("web", 1)).unwrap();
        let mut set = testkit::replica_set("web-1", 1);
        set.meta.owners = vec![OwnerReference::controller_of(&*deployment)].into();
        let set = h.store.create(set).unwrap();
        for index in 0..pods {
            let mut pod = testkit::pod(&format!("p{index}"), "app=web");
            pod.meta.owners = vec![OwnerReference::controller_of(&*set)].into();
            pod.node_name = Some("n".into());
            h.store.create(pod).unwrap();
        }
        h.advance_secs(1);
        deployment.meta.key()
    }

    fn delete_deployment(h: &mut Harness, key: &ObjectKey, propagation: Propagation) {
        h.store.delete::<Deployment>(key, &DeleteOptions::with(propagation)).unwrap();
        h.advance_secs(1);
    }

    /// Facts §8.1: background; two hops from Deployment to Pod.
    #[test]
    fn in_the_background_owners_go_before_their_dependents() {
        let mut h = harness();
        let key = family(&mut h, 2);
        h.clear_log();
        delete_deployment(&mut h, &key, Propagation::Background);
        assert_eq!((h.store.count::<Deployment>(), h.store.count::<ReplicaSet>()), (0, 0));
        assert!(h.store.list::<Pod>().all(|p| p.meta.is_deleting()), "Pods keep their grace");
        let order: Vec<_> =
            h.log.iter().map(|c| format!("{:?} {}", c.verb, c.object().meta().name)).collect();
        assert_eq!(order, ["Deleted web", "Deleted web-1", "Modified p0", "Modified p1"]);
        assert!(h.events().is_empty());
    }

    /// Facts §8.1: foreground, and its chain.
    #[test]
    fn in_the_foreground_dependents_go_before_their_owners() {
        let mut h = harness();
        let key = family(&mut h, 2);
        delete_deployment(&mut h, &key, Propagation::Foreground);
        let set = h.store.list::<ReplicaSet>().next().unwrap();
        assert!(set.meta.is_deleting() && set.meta.has_finalizer(FINALIZER_FOREGROUND));
        assert!(h.store.get::<Deployment>(&key).unwrap().meta.is_deleting());
        assert!(h.store.list::<Pod>().all(|p| p.meta.is_deleting()));
        h.remove_pod(&ObjectKey::new("default", "p0"));
        h.advance_secs(1);
        assert_eq!(h.store.count::<ReplicaSet>(), 1, "one Pod still blocks");
        h.remove_pod(&ObjectKey::new("default", "p1"));
        h.advance_secs(1);
        assert_eq!((h.store.count::<Deployment>(), h.store.count::<ReplicaSet>()), (0, 0));
    }

    /// Facts §8.1, §13.52.
    #[test]
    fn foreground_deletion_waits_for_blocking_dependents_only() {
        let mut h = harness();
        let key = family(&mut h, 1);
        let pod = ObjectKey::new("default", "p0");
        h.store.update::<Pod>(&pod, |p| p.meta.owners[0].block_owner_deletion = false).unwrap();
        delete_deployment(&mut h, &key, Propagation::Foreground);
        assert_eq!((h.store.count::<Deployment>(), h.store.count::<ReplicaSet>()), (0, 0));
        assert!(h.store.get::<Pod>(&pod).unwrap().meta.is_deleting());
    }

    /// Facts §8.1: orphan.
    #[test]
    fn orphans_stay_without_their_owner() {
        let mut h = harness();
        let key = family(&mut h, 2);
        delete_deployment(&mut h, &key, Propagation::Orphan);
        assert_eq!(h.store.count::<Deployment>(), 0);
        assert!(h.store.list::<ReplicaSet>().all(|s| s.meta.owners.is_empty() && !s.meta.is_deleting()));
        assert!(h.store.list::<Pod>().all(|p| !p.meta.is_deleting() && p.meta.owners.len() == 1));
    }

    /// Facts §8.1: several owners.
    #[test]
    fn an_object_of_several_owners_goes_with_the_last() {
        let mut h = harness();
        let owners: Vec<_> =
            ["a", "b"].map(|name| h.store.create(testkit::replica_set(name, 0)).unwrap()).into();
        let mut pod = testkit::pod("p", "app=web");
        pod.meta.owners = owners.iter().map(|o| OwnerReference::controller_of(&**o)).collect();
        pod.meta.owners[1].controller = false;
        pod.node_name = Some("n".into());
        let pod = h.store.create(pod).unwrap().meta.key();
        h.store.delete::<ReplicaSet>(&owners[0].meta.key(), &DeleteOptions::default()).unwrap();
        h.advance_secs(1);
        let meta = h.store.get::<Pod>(&pod).unwrap().meta.clone();
        assert_eq!((meta.owners.len(), meta.is_deleting()), (1, false), "the dangling reference is removed");
        assert_eq!(meta.owners[0].name, "b");
        h.store.delete::<ReplicaSet>(&owners[1].meta.key(), &DeleteOptions::default()).unwrap();
        h.advance_secs(1);
        assert!(h.store.get::<Pod>(&pod).unwrap().meta.is_deleting());
    }

    /// Facts §8.1, §13.52: identity counts.
    #[test]
    fn an_owner_of_the_same_name_is_not_the_owner() {
        let mut h = harness();
        let set = h.store.create(testkit::replica_set("a", 0)).unwrap();
        let mut pod = testkit::pod("p", "app=web");
        pod.meta.owners = vec![OwnerReference::controller_of(&*set)].into();
        let delete = DeleteOptions::default();
        assert_eq!(h.store.delete::<ReplicaSet>(&set.meta.key(), &delete), Ok(Deleted::Gone));
        h.store.create(testkit::replica_set("a", 0)).unwrap();
        h.store.create(pod).unwrap();
        h.advance_secs(1);
        assert_eq!(h.store.count::<Pod>(), 0, "its owner had another identity");
    }

    /// Facts §8.1: `OwnerRefInvalidNamespace`.
    #[test]
    fn an_owner_in_another_namespace_is_reported() {
        let mut h = harness();
        h.store.create(testkit::namespace("other")).unwrap();
        let mut set = testkit::replica_set("a", 0);
        set.meta.namespace = "other".into();
        let set = h.store.create(set).unwrap();
        let mut pod = testkit::pod("p", "app=web");
        pod.meta.owners = vec![OwnerReference::controller_of(&*set)].into();
        h.store.create(pod).unwrap();
        h.advance_secs(1);
        assert_eq!(h.store.count::<Pod>(), 0);
        let event = h.store.events().next().unwrap();
        assert_eq!(
            (event.reason.as_str(), event.event_type),
            ("OwnerRefInvalidNamespace", EventType::Warning)
        );
        assert!(event.message.ends_with("does not exist in namespace \"default\""), "{}", event.message);
    }

    #[test]
    fn owners_of_unknown_kinds_hold() {
        let mut h = harness();
        let mut pod = testkit::pod("p", "app=web");
        pod.meta.owners = vec![OwnerReference {
            api_version: "argoproj.io/v1alpha1".into(),
            kind: "Rollout".into(),
            name: "web".into(),
            uid: "1".into(),
            controller: true,
            block_owner_deletion: true,
        }]
        .into();
        h.store.create(pod).unwrap();
        h.advance_secs(60);
        assert_eq!(h.store.count::<Pod>(), 1);
    }

    #[test]
    fn circles_of_owners_end() {
        let mut h = harness();
        let a = h.store.create(testkit::replica_set("a", 0)).unwrap();
        let mut b = testkit::replica_set("b", 0);
        b.meta.owners = vec![OwnerReference::controller_of(&*a)].into();
        let b = h.store.create(b).unwrap();
        let back = OwnerReference::controller_of(&*b);
        h.store.update::<ReplicaSet>(&a.meta.key(), |a| a.meta.owners.push(back)).unwrap();
        h.store.delete::<ReplicaSet>(&a.meta.key(), &DeleteOptions::with(Propagation::Foreground)).unwrap();
        h.advance_secs(5);
        assert_eq!(h.store.count::<ReplicaSet>(), 0);
    }
}
