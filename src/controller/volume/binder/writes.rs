//! The steps of a binding, and of undoing one.
//!
//! Upstream: `pv_controller.go`: `bind`, `bindVolumeToClaim`, `updateVolumePhase`, `bindClaimToVolume`,
//! `updateClaimStatus`, `unbindVolume`, v1.34.

use super::matching::is_bound_to;
use crate::api::Resource;
use crate::api::resources::STORAGE;
use crate::api::storage::{
    ClaimPhase, ClaimRef, PersistentVolume, PersistentVolumeClaim, VolumePhase, annotation,
};
use crate::base::Arc;
use crate::controller::framework::Ctx;

/// Binds a volume and a claim to each other: the volume's reference and phase, then the claim's name and phase. Only
/// what differs is written, so that an interrupted binding is completed and a complete one left alone.
pub(super) fn bind(ctx: &mut Ctx<'_>, volume: &Arc<PersistentVolume>, claim: &Arc<PersistentVolumeClaim>) {
    let chosen_here = !is_bound_to(volume, claim);
    let reference = ClaimRef { key: claim.meta.key(), uid: claim.meta.uid.clone() };
    let written = ctx.update::<PersistentVolume>(&volume.key(), |v| {
        v.claim_ref = Some(reference);
        if chosen_here && !v.meta.annotations.contains_key(annotation::BOUND_BY_CONTROLLER) {
            v.meta.annotations = v.meta.annotations.with(annotation::BOUND_BY_CONTROLLER, "yes");
        }
    });
    let Ok(volume) = written else { return };
    volume_phase(ctx, &volume, VolumePhase::Bound, "");
    let name = volume.meta.name.clone();
    let written = ctx.update_spec::<PersistentVolumeClaim>(&claim.key(), |c| {
        if c.spec.volume_name != name {
            c.spec.volume_name = name;
            if !c.meta.annotations.contains_key(annotation::BOUND_BY_CONTROLLER) {
                c.meta.annotations = c.meta.annotations.with(annotation::BOUND_BY_CONTROLLER, "yes");
            }
        }
        if !c.meta.annotations.contains_key(annotation::BIND_COMPLETED) {
            c.meta.annotations = c.meta.annotations.with(annotation::BIND_COMPLETED, "yes");
        }
    });
    if let Ok(claim) = written {
        claim_status(ctx, &claim, ClaimPhase::Bound, Some(&volume));
    }
}

/// Writes the phase of a claim, with what its volume has. The capacity is taken over when the phase changes:
/// growing a volume is the resizer's to report.
pub(super) fn claim_status(
    ctx: &mut Ctx<'_>,
    claim: &PersistentVolumeClaim,
    phase: ClaimPhase,
    volume: Option<&PersistentVolume>,
) {
    // A claim that has vanished meanwhile needs no status.
    let _ = ctx.update::<PersistentVolumeClaim>(&claim.meta.key(), |c| {
        match volume {
            None => {
                c.status_access_modes.clear();
                c.status_capacity.0.clear();
            }
            Some(volume) => {
                c.status_access_modes.clone_from(&volume.access_modes);
                if c.phase != phase && c.status_capacity.get(STORAGE) != volume.capacity.get(STORAGE) {
                    c.status_capacity = volume.capacity.clone();
                }
            }
        }
        c.phase = phase;
    });
}

/// Writes the phase of a volume. A volume that has the phase keeps its message.
pub(super) fn volume_phase(ctx: &mut Ctx<'_>, volume: &PersistentVolume, phase: VolumePhase, message: &str) {
    // A volume that has vanished meanwhile needs no phase.
    let _ = ctx.update::<PersistentVolume>(&volume.meta.key(), |v| {
        if v.phase != phase {
            v.phase = phase;
            v.message = message.into();
        }
    });
}

/// Takes a volume away from a claim that it does not belong to: wholly if this controller gave it, else back to being
/// reserved by name.
pub(super) fn unbind(ctx: &mut Ctx<'_>, volume: &PersistentVolume) {
    let written = ctx.update::<PersistentVolume>(&volume.meta.key(), |v| {
        if v.meta.annotations.contains_key(annotation::BOUND_BY_CONTROLLER) {
            v.claim_ref = None;
            v.meta.annotations = v.meta.annotations.without(annotation::BOUND_BY_CONTROLLER);
        } else if let Some(claim) = &mut v.claim_ref {
            claim.uid = Default::default();
        }
    });
    if let Ok(volume) = written {
        volume_phase(ctx, &volume, VolumePhase::Available, "");
    }
}
