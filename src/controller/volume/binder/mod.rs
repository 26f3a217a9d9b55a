//! The persistent volume controller: claims and volumes find each other, and volumes are reclaimed.
//!
//! Upstream: `pkg/controller/volume/persistentvolume/{pv_controller,pv_controller_base,index}.go`, v1.34.
//!
//! * [`claim`]: the sync of a claim. * [`volume`]: the sync of a volume. * [`matching`]: the best volume for a claim.
//! * [`writes`]: the steps of a binding. * [`reclaim`]: what becomes of released volumes.
//!
//! One worker syncs claims and one syncs volumes. Failures are not retried by backoff: upstream comes back to every
//! object every 15 s (`--pvclaimbinder-sync-period`), and so does this controller to those for which that can
//! make a difference.
//!
//! # Fidelity
//! * The passes of the 15 s loop are at multiples of 15 s from the start.
//! * Recycling (deprecated) succeeds at once, without the Pod that scrubs the volume.
//! * In-tree volumes and provisioners that CSI drivers serve today are theirs from the start: the annotation
//!   `pv.kubernetes.io/migrated-to` is not written.
//! * What the controller does itself (deleting host paths, recycling) never fails for a while, so that its back-off of 500 ms to
//!   2 min does not show. The finalizer `kubernetes.io/pv-controller` of in-tree volumes is not put on.
//! * VolumeAttributesClasses must match by name; their objects are not looked at.

mod claim;
mod matching;
mod reclaim;
#[cfg(test)]
mod tests;
mod volume;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use crate::api::storage::{ClaimPhase, PersistentVolume, PersistentVolumeClaim, annotation};
use crate::api::{Kind, ObjectKey};
use crate::base::{SimDuration, SimTime, Str};
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::store::{Change, Store};

/// `--pvclaimbinder-sync-period`.
const SYNC_PERIOD: SimDuration = SimDuration::from_secs(15);
/// The task of syncing a claim.
const CLAIM: &str = "claim";
/// The task of syncing a volume.
const VOLUME: &str = "volume";

/// The persistent volume controller.
#[derive(Clone, Debug, Default)]
pub struct Binder {
    /// Volumes that are free, by class: those without a claim, for which a claim could be found.
    free: BTreeMap<Str, BTreeSet<Str>>,
    /// Volumes that are reserved for a claim by name.
    reserved: BTreeMap<ObjectKey, BTreeSet<Str>>,
    /// Claims whose provisioner is being written, until when.
    writing: BTreeMap<ObjectKey, SimTime>,
    /// Claims that name a volume which is not there.
    missing: BTreeMap<Str, BTreeSet<ObjectKey>>,
}

impl Binder {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self::default())
    }

    /// Keeps the lists of volumes by what they are free for.
    fn index(&mut self, old: Option<&PersistentVolume>, new: Option<&PersistentVolume>) {
        for (volume, present) in old.map(|v| (v, false)).into_iter().chain(new.map(|v| (v, true))) {
            let name = &volume.meta.name;
            match &volume.claim_ref {
                None => change(&mut self.free, volume.class(), name.clone(), present),
                Some(claim) => change(&mut self.reserved, claim.key.clone(), name.clone(), present),
            }
        }
    }

    fn claim_changed(
        &mut self,
        old: Option<&PersistentVolumeClaim>,
        new: Option<&PersistentVolumeClaim>,
        store: &Store,
        out: &mut Enqueue,
    ) {
        if let Some(claim) = old {
            change(&mut self.missing, claim.spec.volume_name.clone(), claim.meta.key(), false);
        }
        match (old, new) {
            (_, Some(claim)) => {
                let name = &claim.spec.volume_name;
                if !name.is_empty() && store.find::<PersistentVolume>("", name).is_none() {
                    change(&mut self.missing, name.clone(), claim.meta.key(), true);
                }
                out.now(WorkKey::task(CLAIM, claim.meta.key()));
            }
            // Upstream: a deleted claim without a volume's name is not followed up; the next pass finds volumes
            // that are reserved for it.
            (Some(claim), None) if !claim.spec.volume_name.is_empty() => {
                out.now(WorkKey::task(VOLUME, ObjectKey::cluster(claim.spec.volume_name.clone())));
            }
            (Some(claim), None) => {
                let delay = next_pass(store.now());
                for volume in self.reserved.get(&claim.meta.key()).into_iter().flatten() {
                    out.after(WorkKey::task(VOLUME, ObjectKey::cluster(volume.clone())), delay);
                }
            }
            (None, None) => {}
        }
    }

    fn volume_changed(
        &mut self,
        old: Option<&PersistentVolume>,
        new: Option<&PersistentVolume>,
        store: &Store,
        out: &mut Enqueue,
    ) {
        self.index(old, new);
        match (old, new) {
            (old, Some(volume)) => {
                if old.is_none() {
                    // Claims that wait for this volume are looked at in the next pass.
                    let delay = next_pass(store.now());
                    for claim in self.missing.remove(&volume.meta.name).into_iter().flatten() {
                        out.after(WorkKey::task(CLAIM, claim), delay);
                    }
                }
                out.now(WorkKey::task(VOLUME, volume.meta.key()));
            }
            (Some(volume), None) => {
                if let Some(claim) = &volume.claim_ref {
                    let live = store.get::<PersistentVolumeClaim>(&claim.key);
                    if live.is_some_and(|c| c.spec.volume_name == volume.meta.name) {
                        change(&mut self.missing, volume.meta.name.clone(), claim.key.clone(), true);
                    }
                    out.now(WorkKey::task(CLAIM, claim.key.clone()));
                }
            }
            (None, None) => {}
        }
    }
}

/// Puts a value under a key or takes it away; no key is left without values.
fn change<K: Ord, V: Ord>(map: &mut BTreeMap<K, BTreeSet<V>>, key: K, value: V, present: bool) {
    if present {
        map.entry(key).or_default().insert(value);
    } else if let Some(set) = map.get_mut(&key) {
        set.remove(&value);
        if set.is_empty() {
            map.remove(&key);
        }
    }
}

/// The time until the next pass over all objects.
fn next_pass(now: SimTime) -> SimDuration {
    let next = now + SimDuration::from_nanos(1);
    next.next_on_grid(SimDuration::ZERO, SYNC_PERIOD).since(now)
}

impl Controller for Binder {
    fn name(&self) -> &'static str {
        "persistentvolume-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PersistentVolumeClaim, Kind::PersistentVolume]
    }

    fn workers(&self) -> usize {
        2
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::PersistentVolumeClaim => {
                if let Some((old, new)) = change.of::<PersistentVolumeClaim>() {
                    self.claim_changed(old.map(|c| &**c), new.map(|c| &**c), store, out);
                }
            }
            Kind::PersistentVolume => {
                if let Some((old, new)) = change.of::<PersistentVolume>() {
                    self.volume_changed(old.map(|v| &**v), new.map(|v| &**v), store, out);
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        if key.task == CLAIM {
            let Some(claim) = ctx.store().get::<PersistentVolumeClaim>(&key.key).cloned() else {
                return Action::Done;
            };
            self.sync_claim(&claim, ctx);
            return self.claim_again(&key.key, ctx);
        }
        let Some(volume) = ctx.store().get::<PersistentVolume>(&key.key).cloned() else {
            return Action::Done;
        };
        self.sync_volume(&volume, ctx)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Binder {
    /// When a claim is looked at again if nothing happens: in the next pass, unless that could change nothing.
    fn claim_again(&self, key: &ObjectKey, ctx: &Ctx<'_>) -> Action {
        let Some(claim) = ctx.store().get::<PersistentVolumeClaim>(key) else { return Action::Done };
        let bound = claim.meta.annotations.contains_key(annotation::BIND_COMPLETED);
        let waits = self.missing.get(&claim.spec.volume_name).is_some_and(|claims| claims.contains(key));
        let settled = bound && claim.phase != ClaimPhase::Pending || waits;
        if settled { Action::Done } else { Action::After(next_pass(ctx.now())) }
    }
}
