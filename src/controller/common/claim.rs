//! Who manages what: adopting orphans that a selector selects, releasing what it no longer selects.
//!
//! Upstream: `pkg/controller/controller_ref_manager.go`, v1.34.

use crate::api::{LabelSelector, ObjectRef, OwnerReference, Pod, Resource};
use crate::base::{Arc, Str};
use crate::controller::Ctx;
use crate::store::Stored;

/// An object that manages others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The reference put on what it manages.
    pub reference: OwnerReference,
    /// The reference its Events carry.
    pub object: ObjectRef,
    /// Whether it is being deleted; then it neither adopts nor releases.
    pub deleting: bool,
    /// Finalizers that come with its management (Jobs).
    pub finalizers: Vec<Str>,
}

impl Owner {
    /// What must be known of `object` for managing others.
    pub fn of<T: Resource>(object: &T) -> Self {
        Self {
            reference: OwnerReference::controller_of(object),
            object: ObjectRef::to(object),
            deleting: object.meta().is_deleting(),
            finalizers: Vec::new(),
        }
    }

    /// Its namespace.
    pub const fn namespace(&self) -> &Str {
        &self.object.namespace
    }
}

/// Takes what belongs to `owner` out of `candidates`: keeps what it manages and `matches`, releases what it manages
/// and does not, adopts what nobody manages and does. What was adopted is returned in its new state.
///
/// Upstream: `BaseControllerRefManager.ClaimObject`. Objects that have vanished meanwhile are passed over.
pub fn claim<T: Stored>(
    ctx: &mut Ctx<'_>,
    owner: &Owner,
    candidates: Vec<Arc<T>>,
    matches: impl Fn(&T) -> bool,
) -> Vec<Arc<T>> {
    let mut claimed = Vec::with_capacity(candidates.len());
    for object in candidates {
        let meta = object.meta();
        match meta.controller() {
            Some(reference) if reference.uid != owner.reference.uid => {}
            Some(_) if matches(&object) => claimed.push(object),
            Some(_) => {
                if !owner.deleting {
                    release(ctx, owner, &*object);
                }
            }
            None => {
                let wanted = !owner.deleting
                    && !meta.is_deleting()
                    && meta.namespace == *owner.namespace()
                    && matches(&object);
                if wanted && let Some(adopted) = adopt(ctx, owner, &*object) {
                    claimed.push(adopted);
                }
            }
        }
    }
    claimed
}

/// The Pods that belong to `owner`, among those that pass `filter`.
pub fn claim_pods(
    ctx: &mut Ctx<'_>,
    owner: &Owner,
    selector: &LabelSelector,
    filter: impl Fn(&Pod) -> bool,
) -> Vec<Arc<Pod>> {
    let store = ctx.store();
    let orphans = store
        .orphan_pods(owner.namespace())
        .filter(|pod| !pod.meta.is_deleting() && selector.matches(&pod.meta.labels));
    let candidates =
        store.pods_of(&owner.reference.uid).chain(orphans).filter(|pod| filter(pod)).cloned().collect();
    claim(ctx, owner, candidates, |pod: &Pod| selector.matches(&pod.meta.labels))
}

fn adopt<T: Stored>(ctx: &mut Ctx<'_>, owner: &Owner, object: &T) -> Option<Arc<T>> {
    ctx.update::<T>(&object.key(), |object| {
        let meta = object.meta_mut();
        // A reference without control becomes one with it.
        meta.owners.retain(|o| o.uid != owner.reference.uid);
        meta.owners.push(owner.reference.clone());
        for finalizer in &owner.finalizers {
            if !meta.has_finalizer(finalizer) {
                meta.finalizers.push(finalizer.clone());
            }
        }
    })
    .ok()
}

fn release<T: Stored>(ctx: &mut Ctx<'_>, owner: &Owner, object: &T) {
    // Upstream passes over objects that are gone, too.
    let _ = ctx.update::<T>(&object.key(), |object| {
        let meta = object.meta_mut();
        meta.owners.retain(|o| o.uid != owner.reference.uid);
        meta.finalizers.retain(|f| !owner.finalizers.contains(f));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::ApiBudget;
    use crate::store::DeleteOptions;
    use crate::testkit;

    #[test]
    fn orphans_are_adopted_strays_released_and_others_left() {
        let mut store = testkit::store();
        let set = store.create(testkit::replica_set("web", 1)).unwrap();
        let other = store.create(testkit::replica_set("other", 1)).unwrap();
        let mut pod = |name: &str, labels: &str, owner: Option<OwnerReference>| {
            let mut pod = testkit::pod(name, labels);
            pod.meta.owners.extend(owner);
            store.create(pod).unwrap()
        };
        let reference = OwnerReference::controller_of(&*set);
        pod("own", "app=web", Some(reference.clone()));
        pod("stray", "app=gone", Some(reference.clone()));
        pod("orphan", "app=web", None);
        pod("unrelated", "app=api", None);
        pod("foreign", "app=web", Some(OwnerReference::controller_of(&*other)));
        let mut budget = ApiBudget::new(20.0, 30);
        let mut ctx = Ctx::new(&mut store, &mut budget, "test".into());
        let claimed = claim_pods(&mut ctx, &Owner::of(&*set), &set.selector, |_| true);
        let names: Vec<_> = claimed.iter().map(|p| p.meta.name.as_str()).collect();
        assert_eq!(names, ["own", "orphan"]);
        assert_eq!(claimed[1].meta.controller(), Some(&reference));
        let find = |name: &str| store.find::<Pod>("default", name).unwrap().clone();
        assert!(find("stray").meta.owners.is_empty() && find("unrelated").meta.owners.is_empty());
        assert_eq!(find("foreign").meta.owners.len(), 1);
    }

    #[test]
    fn an_owner_that_is_being_deleted_claims_nothing_new() {
        let mut store = testkit::store();
        let mut set = testkit::replica_set("web", 1);
        set.meta.finalizers.push("x".into());
        let key = store.create(set).unwrap().meta.key();
        store.create(testkit::pod("orphan", "app=web")).unwrap();
        store.delete::<crate::api::workload::ReplicaSet>(&key, &DeleteOptions::default()).unwrap();
        let set = store.get::<crate::api::workload::ReplicaSet>(&key).unwrap().clone();
        let mut budget = ApiBudget::new(20.0, 30);
        let mut ctx = Ctx::new(&mut store, &mut budget, "test".into());
        assert!(claim_pods(&mut ctx, &Owner::of(&*set), &set.selector, |_| true).is_empty());
    }
}
