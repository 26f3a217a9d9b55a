//! What a new volume is made from: nothing, a snapshot, or another volume.
//!
//! Upstream: external-provisioner's `dataSource`, `getSnapshotSource`, `getPVCSource`.

use super::topology::{self, Segment};
use crate::api::storage::{ClaimPhase, PersistentVolume, PersistentVolumeClaim, StorageClass, VolumePhase};
use crate::base::{Quantity, Str};
use crate::controller::volume::snapshot;
use crate::params::drivers;
use crate::store::Store;

/// Why a volume cannot be made from what the claim names.
pub(super) enum Wrong {
    /// Something else makes volumes from such sources.
    NotOurs,
    /// It may be otherwise later.
    Now(String),
}

/// Checks what a claim is to be made from. For a clone: where the new volume must go.
pub(super) fn check(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    driver: &str,
    store: &Store,
) -> Result<Option<Segment>, Wrong> {
    let Some((kind, name)) = &claim.spec.data_source else { return Ok(None) };
    let known = drivers::of(driver);
    let unable = |what: &str, capability: &str| {
        Wrong::Now(format!(
            "CSI driver does not support {what}: controller {capability} capability is not reported"
        ))
    };
    let handle = |why: String| {
        Wrong::Now(format!("error getting handle for DataSource Type {kind} by Name {name}: {why}"))
    };
    match kind.as_str() {
        "VolumeSnapshot" if !known.snapshots => Err(unable("snapshot restore", "CREATE_DELETE_SNAPSHOT")),
        "VolumeSnapshot" => of_snapshot(claim, class, name, store).map_err(handle).map(|()| None),
        "PersistentVolumeClaim" if !known.clones => Err(unable("clone operations", "CLONE_VOLUME")),
        "PersistentVolumeClaim" => of_claim(claim, class, name, store).map_err(handle),
        _ => Err(Wrong::NotOurs),
    }
}

fn of_snapshot(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    name: &Str,
    store: &Store,
) -> Result<(), String> {
    let Some(found) = snapshot::find(store, snapshot::SNAPSHOT, &claim.meta.namespace, name) else {
        return Err(format!(
            "error getting snapshot {name} from api server: volumesnapshots.snapshot.storage.k8s.io \"{name}\" not found"
        ));
    };
    if found.meta.is_deleting() {
        return Err(format!("snapshot {name} is being deleted"));
    }
    let bound = found.text(&["status", "boundVolumeSnapshotContentName"]);
    if bound.is_empty() {
        return Err(format!("snapshot {name} not bound"));
    }
    let Some(content) = snapshot::find(store, snapshot::CONTENT, "", &bound) else {
        return Err(format!("error getting snapshotcontent {bound} for snapshot {name} from api server"));
    };
    if content.text(&["spec", "driver"]) != class.provisioner {
        let class = &class.meta.name;
        return Err(format!(
            "snapshotcontent {bound} for snapshot {name} is handled by a different CSI driver than requested by StorageClass {class}"
        ));
    }
    if !snapshot::is_ready(found) {
        return Err(format!("snapshot {name} is not Ready"));
    }
    let size = found.text(&["status", "restoreSize"]);
    let (asked, least) = (claim.requested(), Quantity::parse(&size).unwrap_or(Quantity::ZERO));
    if asked < least {
        let (asked, least) = (asked.value(), least.value());
        return Err(format!(
            "requested volume size {asked} is less than the size {least} for the source snapshot {name}"
        ));
    }
    Ok(())
}

fn of_claim(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    name: &Str,
    store: &Store,
) -> Result<Option<Segment>, String> {
    let Some(source) = store.find::<PersistentVolumeClaim>(&claim.meta.namespace, name) else {
        let namespace = &claim.meta.namespace;
        return Err(format!(
            "error getting PVC {name} (namespace {namespace:?}) from api server: persistentvolumeclaim \"{name}\" not found"
        ));
    };
    if source.phase != ClaimPhase::Bound {
        let phase = source.phase.as_str();
        return Err(format!("the PVC DataSource {name} must have a status of Bound.  Got {phase}"));
    }
    if source.meta.is_deleting() {
        return Err(format!("the PVC DataSource {name} is currently being deleted"));
    }
    if claim.requested() < source.requested() {
        let (asked, least) = (claim.requested().value(), source.requested().value());
        return Err(format!(
            "error, new PVC request must be greater than or equal in size to the specified PVC data source, requested {asked} but source is {least}"
        ));
    }
    if claim.spec.block != source.spec.block {
        let word = |block: bool| if block { "Block" } else { "Filesystem" };
        let (from, to) = (word(source.spec.block), word(claim.spec.block));
        return Err(format!(
            "the source PVC and destination PVCs must have the same volume mode for cloning.  Source is {from}, but new PVC requested {to}"
        ));
    }
    let fits = |volume: &&crate::base::Arc<PersistentVolume>| {
        volume.source.csi().is_some_and(|(driver, _)| driver == class.provisioner)
            && volume.claim_ref.as_ref().is_some_and(|r| r.uid == source.meta.uid)
            && volume.phase == VolumePhase::Bound
    };
    let volume = store.find::<PersistentVolume>("", &source.spec.volume_name).filter(fits);
    let volume = volume.ok_or_else(|| "claim in dataSource not bound or invalid".to_owned())?;
    Ok(topology::of_volume(volume))
}
