//! The sync of a volume.
//!
//! Upstream: `pv_controller.go`: `syncVolume`, v1.34.

use super::{Binder, claim::say, reclaim, writes};
use crate::api::storage::{PersistentVolume, PersistentVolumeClaim, ReclaimPolicy, VolumePhase, annotation};
use crate::api::{EventType, ObjectRef};
use crate::controller::framework::{Action, Ctx};

impl Binder {
    /// Brings the phase of a volume in line with its claim, and reclaims it once the claim is gone.
    pub(super) fn sync_volume(&mut self, volume: &PersistentVolume, ctx: &mut Ctx<'_>) -> Action {
        let Some(reference) = volume.claim_ref.as_ref().filter(|r| !r.uid.is_empty()) else {
            // Free, or reserved for a claim that has not come yet.
            writes::volume_phase(ctx, volume, VolumePhase::Available, "");
            return Action::Done;
        };
        let claim = ctx.store().get::<PersistentVolumeClaim>(&reference.key);
        let Some(claim) = claim.filter(|c| c.meta.uid == reference.uid).cloned() else {
            return release(volume, ctx);
        };
        let name = &claim.spec.volume_name;
        if *name == volume.meta.name {
            writes::volume_phase(ctx, volume, VolumePhase::Bound, "");
            return Action::Done;
        }
        if name.is_empty() {
            return self.hand_to_claim(volume, &claim, ctx);
        }
        // The claim is bound to another volume.
        let provisioned = volume.meta.annotations.contains_key(annotation::PROVISIONED_BY);
        if provisioned && volume.reclaim_policy == ReclaimPolicy::Delete {
            return release(volume, ctx);
        }
        writes::unbind(ctx, volume);
        Action::Done
    }

    /// A volume that is reserved for a claim which does not name it yet.
    fn hand_to_claim(
        &mut self,
        volume: &PersistentVolume,
        claim: &crate::base::Arc<PersistentVolumeClaim>,
        ctx: &mut Ctx<'_>,
    ) -> Action {
        if claim.spec.block == volume.block {
            // Upstream puts the claim into the other worker's queue; its sync is the next thing that happens.
            self.sync_claim(claim, ctx);
            return Action::Done;
        }
        let message = format!(
            "Cannot bind PersistentVolume to requested PersistentVolumeClaim \"{}\" due to incompatible volumeMode.",
            claim.meta.name
        );
        ctx.event(ObjectRef::to(volume), EventType::Warning, "VolumeMismatch", message);
        let message = format!(
            "Cannot bind PersistentVolume \"{}\" to requested PersistentVolumeClaim due to incompatible volumeMode.",
            volume.meta.name
        );
        say(ctx, claim, EventType::Warning, "VolumeMismatch", message.into());
        Action::After(super::next_pass(ctx.now()))
    }
}

/// A volume whose claim is gone.
fn release(volume: &PersistentVolume, ctx: &mut Ctx<'_>) -> Action {
    // A failure stays visible while reclaiming is tried again.
    if !matches!(volume.phase, VolumePhase::Released | VolumePhase::Failed) {
        writes::volume_phase(ctx, volume, VolumePhase::Released, "");
    }
    reclaim::reclaim(volume, ctx)
}
