//! The finalizer of volumes that are deleted with their claim, and their deletion.
//!
//! Upstream: the library's `syncVolume`, `handleProtectionFinalizer`, `shouldDelete`, `deleteVolumeOperation`;
//! external-provisioner's `canDeleteVolume`.

use super::{Provisioner, event_source, responsible_for};
use crate::api::storage::{CsiStorageCapacity, PersistentVolume, ReclaimPolicy, VolumePhase};
use crate::api::{EventType, LabelSelector, ObjectKey, ObjectRef};
use crate::base::Arc;
use crate::controller::framework::{Action, Ctx};
use crate::params::Operation;
use crate::store::DeleteOptions;

/// Holds a volume until its data are deleted.
pub(super) const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

/// Whether a volume must be deleted, or its finalizer put on or taken off.
pub(super) fn may_need_work(volume: &PersistentVolume) -> bool {
    responsible_for(volume).is_some() && (finalizer_is_wrong(volume) || should_delete(volume))
}

fn finalizer_is_wrong(volume: &PersistentVolume) -> bool {
    let has = volume.meta.has_finalizer(FINALIZER);
    // Provisioners that are no CSI drivers run without the finalizer.
    let csi = volume.source.csi().is_some();
    match volume.reclaim_policy {
        ReclaimPolicy::Delete => {
            csi && !has && !volume.meta.is_deleting() && volume.phase == VolumePhase::Bound
        }
        ReclaimPolicy::Retain | ReclaimPolicy::Recycle => has,
    }
}

fn should_delete(volume: &PersistentVolume) -> bool {
    volume.phase == VolumePhase::Released
        && volume.reclaim_policy == ReclaimPolicy::Delete
        && (!volume.meta.is_deleting() || volume.meta.has_finalizer(FINALIZER))
}

impl Provisioner {
    /// Looks after the finalizer of a volume, and deletes a released one.
    pub(super) fn sync_volume(&mut self, key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(volume) = ctx.store().get::<PersistentVolume>(key).cloned() else { return Action::Done };
        let Some(driver) = responsible_for(&volume) else { return Action::Done };
        if finalizer_is_wrong(&volume) {
            let wanted = volume.reclaim_policy == ReclaimPolicy::Delete;
            // A volume that has vanished needs no finalizer.
            let _ = ctx.update::<PersistentVolume>(key, |v| {
                v.meta.finalizers.retain(|f| f != FINALIZER);
                if wanted {
                    v.meta.finalizers.push(FINALIZER.into());
                }
            });
        }
        if !should_delete(&volume) {
            return Action::Done;
        }
        if let Some(left) = self.held_back(&volume.meta.uid, ctx.now()) {
            return Action::After(left);
        }
        if let Some(node) = self.attached.get(&volume.meta.name).and_then(|nodes| nodes.first()) {
            let message = format!("persistentvolume {} is still attached to node {node}", volume.meta.name);
            let source = event_source(ctx.seed(), &driver);
            ctx.event_as(source, ObjectRef::to(&*volume), EventType::Warning, "VolumeFailedDelete", message);
            return self.back_off(&volume.meta.uid, &driver, ctx.now());
        }
        let draw = (ctx.now(), ctx.seed());
        if let Some(trouble) = self.said.trouble(&driver, Operation::Delete, &volume.meta.uid, draw) {
            let handle = volume.source.csi().map(|(_, handle)| handle).unwrap_or_default();
            let why = super::words(ctx, &driver, (Operation::Delete, &handle), trouble);
            let source = event_source(ctx.seed(), &driver);
            ctx.event_as(source, ObjectRef::to(&*volume), EventType::Warning, "VolumeFailedDelete", why);
            return self.back_off(&volume.meta.uid, &driver, ctx.now());
        }
        self.failures.remove(&volume.meta.uid);
        give_capacity_back(&volume, ctx);
        // Somebody else's deletion is as good; the finalizer comes off in any case.
        let _ = ctx.delete::<PersistentVolume>(key, &DeleteOptions::default());
        let _ = ctx.update::<PersistentVolume>(key, |v| v.meta.finalizers.retain(|f| f != FINALIZER));
        Action::Done
    }
}

/// Returns the room of a deleted volume to the capacity of its place.
fn give_capacity_back(volume: &PersistentVolume, ctx: &mut Ctx<'_>) {
    let Some(affinity) = &volume.node_affinity else { return };
    let same_place = |topology: &LabelSelector| {
        let LabelSelector::Requirements(all) = topology else { return false };
        affinity.terms.iter().any(|term| {
            all.iter().all(|r| term.expressions.iter().any(|e| e.key == r.key && e.values == r.values))
        })
    };
    let of_place = |c: &&Arc<CsiStorageCapacity>| {
        c.storage_class == volume.storage_class && c.node_topology.as_ref().is_some_and(same_place)
    };
    let room = ctx.store().list::<CsiStorageCapacity>().find(of_place).map(|c| c.meta.key());
    if let Some(key) = room {
        let size = volume.size();
        // The object was there a moment ago, and nothing else runs meanwhile.
        let _ =
            ctx.update::<CsiStorageCapacity>(&key, |c| c.capacity = c.capacity.map(|have| have.plus(size)));
    }
}
