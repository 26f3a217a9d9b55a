//! Defaults of volumes, in Pods and as PersistentVolumes.

use super::storage::default_persistent_volume_claim_spec;
use super::{canonical, text};
use crate::api::k8s::core::v1 as core;

/// The mode of files from ConfigMaps, Secrets and the like: 0644.
const FILE_MODE: i32 = 0o644;

/// Fills in a volume of a Pod.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_Volume` and the generated defaults, v1.34.
pub(crate) fn volume(volume: &mut core::Volume) {
    if *volume == (core::Volume { name: volume.name.clone(), ..Default::default() }) {
        volume.empty_dir = Some(core::EmptyDirVolumeSource::default());
    }
    if let Some(image) = &mut volume.image {
        let policy = super::container::pull_policy(image.reference.as_deref().unwrap_or_default());
        text(&mut image.pull_policy, policy);
    }
    volume.host_path.iter_mut().for_each(host_path);
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(map) = &mut volume.config_map {
        map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(api) = &mut volume.downward_api {
        api.default_mode.get_or_insert(FILE_MODE);
        api.items.iter_mut().flatten().for_each(downward_file);
    }
    volume.projected.iter_mut().for_each(projected);
    volume.azure_disk.iter_mut().for_each(azure_disk);
    if let Some(iscsi) = &mut volume.iscsi {
        text(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut volume.rbd {
        rbd_fields([&mut rbd.pool, &mut rbd.user, &mut rbd.keyring]);
    }
    if let Some(scale_io) = &mut volume.scale_io {
        text(&mut scale_io.storage_mode, "ThinProvisioned");
        text(&mut scale_io.fs_type, "xfs");
    }
    if let Some(claim) = &mut volume.persistent_volume_claim {
        canonical::no_false(&mut claim.read_only);
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|e| e.volume_claim_template.as_mut()) {
        default_persistent_volume_claim_spec(&mut template.spec);
    }
}

/// Fills in a `hostPath`.
pub(crate) fn host_path(source: &mut core::HostPathVolumeSource) {
    source.type_.get_or_insert_default();
}

/// Fills in pool, user and keyring of a Ceph RBD source.
pub(crate) fn rbd_fields([pool, user, keyring]: [&mut Option<String>; 3]) {
    text(pool, "rbd");
    text(user, "admin");
    text(keyring, "/etc/ceph/keyring");
}

/// Fills in an Azure disk.
pub(crate) fn azure_disk(disk: &mut core::AzureDiskVolumeSource) {
    disk.caching_mode.get_or_insert_with(|| "ReadWrite".to_owned());
    disk.fs_type.get_or_insert_with(|| "ext4".to_owned());
    disk.read_only.get_or_insert(false);
    disk.kind.get_or_insert_with(|| "Shared".to_owned());
}

fn downward_file(file: &mut core::DownwardAPIVolumeFile) {
    if let Some(field) = &mut file.field_ref {
        text(&mut field.api_version, "v1");
    }
}

fn projected(projected: &mut core::ProjectedVolumeSource) {
    projected.default_mode.get_or_insert(FILE_MODE);
    for source in projected.sources.iter_mut().flatten() {
        if let Some(api) = &mut source.downward_api {
            api.items.iter_mut().flatten().for_each(downward_file);
        }
        if let Some(token) = &mut source.service_account_token {
            token.expiration_seconds.get_or_insert(3600);
        }
    }
}
