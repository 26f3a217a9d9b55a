//! Keeps claims that Pods use, and volumes that are bound, from vanishing when they are deleted.
//!
//! Upstream: `pkg/controller/volume/{pvcprotection/pvc_protection_controller,pvprotection/pv_protection_controller}.go`,
//! v1.34.

use crate::api::storage::{PersistentVolume, PersistentVolumeClaim, VolumePhase};
use crate::api::volume::VolumeSource;
use crate::api::{Kind, Meta, ObjectKey, Pod, Resource};
use crate::base::Str;
use crate::controller::aspects::Aspects;
use crate::controller::common::pods::is_terminated;
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::store::admission::{FINALIZER_PV_PROTECTION, FINALIZER_PVC_PROTECTION};
use crate::store::{Change, Store, Stored};

/// Whether the finalizer must be put on, or might have to come off.
fn needs_work(meta: &Meta, finalizer: &str) -> bool {
    meta.is_deleting() == meta.has_finalizer(finalizer)
}

/// Takes the finalizer off a deleted object that is not in use, puts it on one that lacks it.
fn protect<T: Stored>(ctx: &mut Ctx<'_>, object: &T, finalizer: &'static str, used: bool) -> Action {
    let meta = object.meta();
    if !needs_work(meta, finalizer) || meta.is_deleting() && used {
        return Action::Done;
    }
    let deleting = meta.is_deleting();
    let written = ctx.update::<T>(&meta.key(), |object| {
        let finalizers = &mut object.meta_mut().finalizers;
        if deleting {
            finalizers.retain(|f| f != finalizer);
        } else {
            finalizers.push(finalizer.into());
        }
    });
    match written {
        Err(error) if !error.is_not_found() => Action::Retry(error.to_string().into()),
        Ok(_) | Err(_) => Action::Done,
    }
}

/// `persistentvolumeclaim-protection-controller`: a deleted claim stays as long as a Pod with a node names it, ended or
/// not.
#[derive(Clone, Debug, Default)]
pub struct ClaimProtection;

impl ClaimProtection {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self)
    }
}

impl Controller for ClaimProtection {
    fn name(&self) -> &'static str {
        "persistentvolumeclaim-protection-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PersistentVolumeClaim, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::VOLUMES
    }

    fn on_change(&mut self, change: &Change, _store: &Store, out: &mut Enqueue) {
        if let Some((_, Some(claim))) = change.of::<PersistentVolumeClaim>() {
            if needs_work(&claim.meta, FINALIZER_PVC_PROTECTION) {
                out.now(WorkKey::sync(claim.key()));
            }
        } else if let Some((old, new)) = change.of::<Pod>() {
            let Some(pod) = new.or(old).filter(|p| !p.spec.volumes.is_empty()) else { return };
            if new.is_some() && !is_terminated(pod) && pod.node_name.is_some() {
                return;
            }
            let ended = new.is_none() || old.is_none_or(|o| !is_terminated(o));
            for claim in ended.then(|| pod.spec.claim_names(&pod.meta.name)).into_iter().flatten() {
                out.now(WorkKey::sync(ObjectKey { namespace: pod.meta.namespace.clone(), name: claim }));
            }
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(claim) = ctx.store().get::<PersistentVolumeClaim>(&key.key).cloned() else {
            return Action::Done;
        };
        let used = claim.meta.is_deleting() && ctx.store().pods_using(&key.key).any(|pod| uses(pod, &claim));
        protect(ctx, &*claim, FINALIZER_PVC_PROTECTION, used)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// Whether a Pod holds a claim. Its own ephemeral claims it lets go once it is deleted without grace.
fn uses(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let shut_down = pod.meta.deletion.is_some_and(|d| d.grace_seconds == Some(0));
    let ephemeral = |volume: &Str| claim.meta.name == format!("{}-{volume}", pod.meta.name).as_str();
    pod.node_name.is_some()
        && pod.spec.volumes.iter().any(|volume| match &volume.source {
            VolumeSource::Claim { claim: name, .. } => *name == claim.meta.name,
            VolumeSource::Ephemeral => {
                !shut_down && ephemeral(&volume.name) && claim.meta.is_controlled_by(&pod.meta.uid)
            }
            _ => false,
        })
}

/// `persistentvolume-protection-controller`: a deleted volume stays as long as it is bound.
#[derive(Clone, Debug, Default)]
pub struct VolumeProtection;

impl VolumeProtection {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self)
    }
}

impl Controller for VolumeProtection {
    fn name(&self) -> &'static str {
        "persistentvolume-protection-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PersistentVolume]
    }

    fn workers(&self) -> usize {
        1
    }

    fn on_change(&mut self, change: &Change, _store: &Store, out: &mut Enqueue) {
        if change.kind() == Kind::PersistentVolume
            && let Some(object) = change.new()
            && needs_work(object.meta(), FINALIZER_PV_PROTECTION)
        {
            out.now(WorkKey::sync(object.key()));
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(volume) = ctx.store().get::<PersistentVolume>(&key.key).cloned() else {
            return Action::Done;
        };
        protect(ctx, &*volume, FINALIZER_PV_PROTECTION, volume.phase == VolumePhase::Bound)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::Harness;
    use crate::controller::volume::testing::{claim, pod_with, volume};
    use crate::store::DeleteOptions;

    fn data() -> ObjectKey {
        ObjectKey::new("default", "data")
    }

    /// Whether a deleted claim still exists a second later.
    fn is_held(h: &mut Harness) -> bool {
        h.advance_secs(1);
        h.store.get::<PersistentVolumeClaim>(&data()).is_some()
    }

    #[test]
    fn a_claim_stays_while_a_pod_with_a_node_names_it() {
        // autoscaling-storage.md §5.11: ended Pods hold a claim, Pods that never were scheduled do not.
        use crate::api::Phase;
        type Edit = fn(&mut Pod);
        let cases: &[(&str, Option<&str>, Edit, bool)] = &[
            ("running", Some("n"), |_| {}, true),
            ("completed", Some("n"), |p| p.status.phase = Phase::Succeeded, true),
            ("failed", Some("n"), |p| p.status.phase = Phase::Failed, true),
            ("never scheduled", None, |_| {}, false),
        ];
        for (name, node, edit, held) in cases {
            let mut h = Harness::new(vec![ClaimProtection::boxed()]);
            h.store.create(claim("data", Some("c"))).unwrap();
            let mut pod = pod_with("p", "data", *node);
            edit(&mut pod);
            let pod = h.store.create(pod).unwrap();
            h.store.delete::<PersistentVolumeClaim>(&data(), &DeleteOptions::default()).unwrap();
            assert_eq!(is_held(&mut h), *held, "{name}");
            h.store.delete::<Pod>(&pod.key(), &DeleteOptions::force()).unwrap();
            assert!(!is_held(&mut h), "{name}: the last Pod has gone");
        }
    }

    #[test]
    fn a_volume_stays_while_it_is_bound() {
        let mut h = Harness::new(vec![VolumeProtection::boxed()]);
        let mut pv = volume("pv", "c", "1Gi");
        pv.phase = VolumePhase::Bound;
        let key = h.store.create(pv).unwrap().key();
        h.store.delete::<PersistentVolume>(&key, &DeleteOptions::default()).unwrap();
        h.advance_secs(1);
        assert!(h.store.get::<PersistentVolume>(&key).is_some());
        h.store.update::<PersistentVolume>(&key, |v| v.phase = VolumePhase::Released).unwrap();
        h.advance_secs(1);
        assert!(h.store.get::<PersistentVolume>(&key).is_none());
    }

    #[test]
    fn a_finalizer_that_was_taken_off_is_put_on_again() {
        let mut h = Harness::new(vec![ClaimProtection::boxed()]);
        h.store.create(claim("data", Some("c"))).unwrap();
        h.store.update::<PersistentVolumeClaim>(&data(), |c| c.meta.finalizers.clear()).unwrap();
        h.advance_secs(1);
        let live = h.store.get::<PersistentVolumeClaim>(&data()).unwrap();
        assert_eq!(live.meta.finalizers, [FINALIZER_PVC_PROTECTION]);
    }
}
