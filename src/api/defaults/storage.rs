//! Defaults of storage kinds.

use super::{canonical, resource_list, text, volume};
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::storage::v1 as storage;

/// Fills in a claim's spec.
pub fn default_persistent_volume_claim_spec(spec: &mut core::PersistentVolumeClaimSpec) {
    text(&mut spec.volume_mode, "Filesystem");
    canonical::no_empty(&mut spec.volume_name);
    let resources = spec.resources.get_or_insert_default();
    resource_list(&mut resources.limits);
    resource_list(&mut resources.requests);
}

/// Fills in a claim.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_PersistentVolumeClaim`, v1.34.
pub fn default_persistent_volume_claim(claim: &mut core::PersistentVolumeClaim) {
    default_persistent_volume_claim_spec(claim.spec.get_or_insert_default());
    let status = claim.status.get_or_insert_default();
    text(&mut status.phase, "Pending");
    resource_list(&mut status.capacity);
}

/// Fills in a PersistentVolume.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_PersistentVolume` and the generated defaults, v1.34.
pub fn default_persistent_volume(volume: &mut core::PersistentVolume) {
    text(&mut volume.status.get_or_insert_default().phase, "Pending");
    let spec = volume.spec.get_or_insert_default();
    text(&mut spec.persistent_volume_reclaim_policy, "Retain");
    text(&mut spec.volume_mode, "Filesystem");
    canonical::no_empty(&mut spec.storage_class_name);
    resource_list(&mut spec.capacity);
    spec.host_path.iter_mut().for_each(volume::host_path);
    if let Some(rbd) = &mut spec.rbd {
        volume::rbd_fields([&mut rbd.pool, &mut rbd.user, &mut rbd.keyring]);
    }
    if let Some(iscsi) = &mut spec.iscsi {
        text(&mut iscsi.iscsi_interface, "default");
    }
    spec.azure_disk.iter_mut().for_each(volume::azure_disk);
    if let Some(scale_io) = &mut spec.scale_io {
        text(&mut scale_io.storage_mode, "ThinProvisioned");
        text(&mut scale_io.fs_type, "xfs");
    }
}

/// Fills in a StorageClass.
///
/// Upstream: `pkg/apis/storage/v1/defaults.go` `SetDefaults_StorageClass`, v1.34.
pub fn default_storage_class(class: &mut storage::StorageClass) {
    class.reclaim_policy.get_or_insert_with(|| "Delete".to_owned());
    class.volume_binding_mode.get_or_insert_with(|| "Immediate".to_owned());
}

/// Fills in a CSIDriver.
///
/// Upstream: `pkg/apis/storage/v1/defaults.go` `SetDefaults_CSIDriver`, v1.34 (`SELinuxMountReadWriteOncePod` is on).
pub fn default_csi_driver(driver: &mut storage::CSIDriver) {
    let spec = &mut driver.spec;
    spec.attach_required.get_or_insert(true);
    spec.pod_info_on_mount.get_or_insert(false);
    spec.storage_capacity.get_or_insert(false);
    spec.fs_group_policy.get_or_insert_with(|| "ReadWriteOnceWithFSType".to_owned());
    if spec.volume_lifecycle_modes.as_ref().is_none_or(Vec::is_empty) {
        spec.volume_lifecycle_modes = Some(vec!["Persistent".to_owned()]);
    }
    spec.requires_republish.get_or_insert(false);
    spec.se_linux_mount.get_or_insert(false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn storage_objects_are_filled_in() {
        let mut class = storage::StorageClass::default();
        default_storage_class(&mut class);
        assert_eq!(
            (class.reclaim_policy.as_deref(), class.volume_binding_mode.as_deref()),
            (Some("Delete"), Some("Immediate"))
        );

        let mut driver = storage::CSIDriver::default();
        default_csi_driver(&mut driver);
        assert_eq!(
            serde_json::to_value(driver.spec).unwrap(),
            json!({
                "attachRequired": true, "fsGroupPolicy": "ReadWriteOnceWithFSType", "podInfoOnMount": false,
                "requiresRepublish": false, "seLinuxMount": false, "storageCapacity": false,
                "volumeLifecycleModes": ["Persistent"],
            })
        );

        let mut volume = core::PersistentVolume::default();
        default_persistent_volume(&mut volume);
        let spec = volume.spec.unwrap();
        assert_eq!(
            (spec.persistent_volume_reclaim_policy.as_deref(), spec.volume_mode.as_deref()),
            (Some("Retain"), Some("Filesystem"))
        );

        let mut claim = core::PersistentVolumeClaim::default();
        default_persistent_volume_claim(&mut claim);
        assert_eq!(claim.spec.unwrap().volume_mode.as_deref(), Some("Filesystem"));
        assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Pending"));
    }
}
