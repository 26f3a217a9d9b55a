//! The best volume for a claim.
//!
//! Upstream: `component-helpers/storage/volume/pv_helpers.go` (`FindMatchingVolume`),
//! `pkg/controller/volume/persistentvolume/index.go`, v1.34.

use super::Binder;
use crate::api::storage::{AccessMode, PersistentVolume, PersistentVolumeClaim, VolumePhase};
use crate::base::Arc;
use crate::store::Store;

/// Whether a volume is reserved for this claim, by name or by identity too.
pub(super) fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    volume.claim_ref.as_ref().is_some_and(|reference| {
        reference.key == claim.meta.key() && (reference.uid.is_empty() || reference.uid == claim.meta.uid)
    })
}

/// Whether the volume can be used in all the ways the claim asks for.
fn has_modes(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim.spec.access_modes.iter().all(|mode| volume.access_modes.contains(mode))
}

/// Why a volume that a claim names cannot be bound to it.
///
/// # Errors
/// Upstream's words.
pub(super) fn satisfies(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Result<(), String> {
    if volume.meta.is_deleting() {
        return Err(format!("the volume is marked for deletion \"{}\"", volume.meta.name));
    }
    let refusal = if volume.size().value() < claim.requested().value() {
        "requested PV is too small"
    } else if volume.class() != claim.class() {
        "storageClassName does not match"
    } else if volume.attributes_class.as_deref().unwrap_or("")
        != claim.spec.attributes_class.as_deref().unwrap_or("")
    {
        "volumeAttributesClassName does not match"
    } else if volume.block != claim.spec.block {
        "incompatible volumeMode"
    } else if !has_modes(volume, claim) {
        "incompatible accessMode"
    } else {
        return Ok(());
    };
    Err(refusal.to_owned())
}

impl Binder {
    /// The volume that a claim should be bound to: one reserved for it, else the smallest free one of those with the
    /// fewest access modes. Claims of a class that waits for its first consumer take reserved ones only.
    ///
    /// Ties go to the first name; upstream takes them as its cache yields them.
    pub(super) fn best_match(
        &self,
        store: &Store,
        claim: &PersistentVolumeClaim,
        delayed: bool,
    ) -> Option<Arc<PersistentVolume>> {
        let reserved = self.reserved.get(&claim.meta.key()).into_iter().flatten();
        let free = self.free.get(&claim.class()).filter(|_| !delayed).into_iter().flatten();
        reserved
            .chain(free)
            .filter_map(|name| store.find::<PersistentVolume>("", name))
            .filter(|v| fits(v, claim) && (is_bound_to(v, claim) || is_free_for(v, claim)))
            .min_by_key(|v| {
                let modes = set_of_modes(v);
                (modes.len(), modes, !is_bound_to(v, claim), v.size(), &v.meta.name)
            })
            .cloned()
    }
}

/// The access modes of a volume, each once, in a fixed order.
fn set_of_modes(volume: &PersistentVolume) -> Vec<AccessMode> {
    let mut modes = volume.access_modes.clone();
    modes.sort_unstable();
    modes.dedup();
    modes
}

/// Whether size, mode, attributes and life of a volume allow for the claim at all.
fn fits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    (volume.claim_ref.is_none() || is_bound_to(volume, claim))
        && has_modes(volume, claim)
        && volume.size() >= claim.requested()
        && volume.block == claim.spec.block
        && volume.attributes_class.as_deref().unwrap_or("")
            == claim.spec.attributes_class.as_deref().unwrap_or("")
        && !volume.meta.is_deleting()
}

/// Whether a volume that is nobody's is one of those the claim wants.
fn is_free_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    volume.phase == VolumePhase::Available
        && claim.spec.selector.as_ref().is_none_or(|s| s.matches(&volume.meta.labels))
        && volume.class() == claim.class()
}
