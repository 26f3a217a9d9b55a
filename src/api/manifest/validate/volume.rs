//! Volumes of Pods.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`ValidateVolumes` and below), v1.34.

use std::collections::{BTreeMap, BTreeSet};

use super::pod::Use;
use super::{At, Report, names, storage};
use crate::api::k8s::core::v1::{PodSpec, Volume};

/// Names of volumes, and whether each is a claim, which can be used as a block device.
pub(super) type Volumes<'v> = BTreeMap<&'v str, bool>;

/// The volumes of a Pod; returns their names.
pub(super) fn volumes<'v>(spec: &'v PodSpec, of: &Use<'v>, at: &At<'_>, report: &mut Report) -> Volumes<'v> {
    let mut names_taken = BTreeSet::new();
    let mut found: Volumes<'v> = of.added_volumes.iter().map(|name| (*name, true)).collect();
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        let at = at.index(i);
        source(volume, &at, report);
        created_claims(volume, spec, of, &at, report);
        if volume.name.is_empty() {
            report.required(&at.field("name"), "");
        } else {
            report.invalid_each(&at.field("name"), &volume.name, names::dns1123_label(&volume.name));
        }
        if !names_taken.insert(volume.name.as_str()) {
            report.duplicate(&at.field("name"), &volume.name);
        }
        let claim = volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some();
        found.insert(&volume.name, claim);
    }
    found
}

/// Which sources a volume has, by field.
fn sources(volume: &Volume) -> impl Iterator<Item = &'static str> {
    [
        ("emptyDir", volume.empty_dir.is_some()),
        ("hostPath", volume.host_path.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("secret", volume.secret.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("configMap", volume.config_map.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("storageos", volume.storageos.is_some()),
        ("projected", volume.projected.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("image", volume.image.is_some()),
    ]
    .into_iter()
    .filter(|(_, given)| *given)
    .map(|(name, _)| name)
}

/// Upstream: `validateVolumeSource`.
fn source(volume: &Volume, at: &At<'_>, report: &mut Report) {
    let mut given = sources(volume);
    if given.next().is_none() {
        report.required(at, "must specify a volume type");
    }
    for name in given {
        report.forbidden(&at.field(name), "may not specify more than 1 volume type");
    }
    if let Some(limit) = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref())
        && limit.0.starts_with('-')
    {
        let at = at.field("emptyDir");
        report.forbidden(&at.field("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
    if volume.host_path.as_ref().is_some_and(|path| path.path.is_empty()) {
        report.required(&at.field("hostPath").field("path"), "");
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        let at = at.field("persistentVolumeClaim");
        if claim.claim_name.is_empty() {
            report.required(&at.field("claimName"), "");
        }
    }
    if volume.secret.as_ref().is_some_and(|s| s.secret_name.as_deref().is_none_or(str::is_empty)) {
        report.required(&at.field("secret").field("secretName"), "");
    }
    if volume.config_map.as_ref().is_some_and(|c| c.name.is_empty()) {
        report.required(&at.field("configMap").field("name"), "");
    }
    if volume.csi.as_ref().is_some_and(|csi| csi.driver.is_empty()) {
        report.required(&at.field("csi").field("driver"), "");
    }
    if let Some(ephemeral) = &volume.ephemeral {
        let at = at.field("ephemeral");
        let at = at.field("volumeClaimTemplate");
        match &ephemeral.volume_claim_template {
            Some(template) => storage::claim_spec(&template.spec, &at.field("spec"), report),
            None => report.required(&at, ""),
        }
    }
}

/// A claim that a generic ephemeral volume of the same Pod will make is not to be used by name.
fn created_claims(volume: &Volume, spec: &PodSpec, of: &Use<'_>, at: &At<'_>, report: &mut Report) {
    let Some(claim) = &volume.persistent_volume_claim else { return };
    let made = |other: &Volume| {
        other.ephemeral.is_some() && claim.claim_name == format!("{}-{}", of.pod_name, other.name)
    };
    if !of.pod_name.is_empty() && spec.volumes.iter().flatten().any(made) {
        let at = at.field("persistentVolumeClaim");
        let detail = "must not reference a PVC that gets created for an ephemeral volume";
        report.invalid(&at.field("claimName"), &claim.claim_name, detail);
    }
}
