//! Claims, volumes and classes.
//!
//! Upstream: `ValidatePersistentVolumeClaimSpec`, `ValidatePersistentVolumeSpec` of
//! `pkg/apis/core/validation/validation.go`, and `pkg/apis/storage/validation/validation.go`, v1.34.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Boundary;

use super::{At, Bad, Report, affinity, meta, names};
use crate::api::k8s::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeSpec,
};
use crate::api::k8s::storage::v1::StorageClass;
use crate::base::Quantity;

const MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// A PersistentVolumeClaim.
pub(in crate::api::manifest) fn claim(object: &PersistentVolumeClaim, report: &mut Report) {
    let at = At::top("spec");
    claim_spec_opt(object.spec.as_ref(), &at, report);
}

/// The spec of a claim, which has to be there.
pub(super) fn claim_spec_opt(spec: Option<&PersistentVolumeClaimSpec>, at: &At<'_>, report: &mut Report) {
    claim_spec(spec.unwrap_or(&PersistentVolumeClaimSpec::default()), at, report);
}

/// Upstream: `ValidatePersistentVolumeClaimSpec`.
pub(super) fn claim_spec(spec: &PersistentVolumeClaimSpec, at: &At<'_>, report: &mut Report) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        report.required(&at.field("accessModes"), "at least 1 access mode is required");
    }
    access_modes(modes, at, report);
    if let Some(selector) = &spec.selector {
        meta::label_selector(selector, &at.field("selector"), report);
    }
    let under = at.field("resources");
    let place = under.field("requests");
    let before = report.len();
    match spec.resources.as_ref().and_then(|r| r.requests.as_ref()?.get("storage")) {
        None => report.required(&under.key("storage"), ""),
        Some(size) => positive(size, &under.key("storage"), report),
    }
    report.point_at(before, &place.field("storage"));
    if let Some(class) = spec.storage_class_name.as_deref().filter(|c| !c.is_empty()) {
        report.invalid_each(&at.field("storageClassName"), class, names::dns1123_subdomain(class));
    }
    report.one_of(&at.field("volumeMode"), spec.volume_mode.as_deref(), &["Block", "Filesystem"]);
}

fn access_modes(modes: &[String], at: &At<'_>, report: &mut Report) {
    let at = at.field("accessModes");
    for (i, mode) in modes.iter().enumerate() {
        if !MODES.contains(&mode.as_str()) {
            let before = report.len();
            report.unsupported(&at, mode, MODES);
            report.point_at(before, &at.index(i));
        }
    }
    if modes.len() > 1 && modes.iter().any(|m| m == "ReadWriteOncePod") {
        report.forbidden(&at, "may not use ReadWriteOncePod with other access modes");
    }
}

fn positive(size: &Boundary, at: &At<'_>, report: &mut Report) {
    if Quantity::parse(&size.0).is_ok_and(|q| q.is_negative() || q.is_zero()) {
        report.invalid(at, &size.0, "must be greater than zero");
    }
}

/// A PersistentVolume. Upstream: `ValidatePersistentVolume`.
pub(in crate::api::manifest) fn volume(object: &PersistentVolume, report: &mut Report) {
    let at = At::top("spec");
    let fallback = PersistentVolumeSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&fallback);
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        report.required(&at.field("accessModes"), "");
    }
    access_modes(modes, &at, report);
    match spec.capacity.as_ref().filter(|c| !c.is_empty()) {
        None => report.required(&at.field("capacity"), ""),
        Some(capacity) => {
            let at = at.field("capacity");
            if capacity.len() > 1 || !capacity.contains_key("storage") {
                let names: Vec<&str> = capacity.keys().map(String::as_str).collect();
                report.unsupported(&at, &names.join(", "), &["storage"]);
            }
            for (name, size) in capacity {
                positive(size, &at.key(name), report);
            }
        }
    }
    let policy = spec.persistent_volume_reclaim_policy.as_deref();
    report.one_of(&at.field("persistentVolumeReclaimPolicy"), policy, &["Delete", "Recycle", "Retain"]);
    let required = spec.node_affinity.as_ref().and_then(|a| a.required.as_ref());
    if let Some(affinity) = &spec.node_affinity {
        let at = at.field("nodeAffinity");
        match &affinity.required {
            Some(selector) => affinity::node_selector(selector, &at.field("required"), report),
            None => report.required(&at.field("required"), "must specify required node constraints"),
        }
    }
    sources(spec, &at, report);
    if spec.local.is_some() && required.is_none() {
        report.required(&at.field("nodeAffinity"), "Local volume requires node affinity");
    }
    let recycled_root = policy == Some("Recycle") && spec.host_path.as_ref().is_some_and(|h| h.path == "/");
    if recycled_root {
        report.forbidden(
            &at.field("persistentVolumeReclaimPolicy"),
            "may not be 'recycle' for a hostPath mount of '/'",
        );
    }
    if let Some(class) = spec.storage_class_name.as_deref().filter(|c| !c.is_empty()) {
        report.invalid_each(&at.field("storageClassName"), class, names::dns1123_subdomain(class));
    }
    report.one_of(&at.field("volumeMode"), spec.volume_mode.as_deref(), &["Block", "Filesystem"]);
}

fn sources(spec: &PersistentVolumeSpec, at: &At<'_>, report: &mut Report) {
    let all = [
        ("hostPath", spec.host_path.is_some()),
        ("gcePersistentDisk", spec.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", spec.aws_elastic_block_store.is_some()),
        ("glusterfs", spec.glusterfs.is_some()),
        ("flocker", spec.flocker.is_some()),
        ("nfs", spec.nfs.is_some()),
        ("rbd", spec.rbd.is_some()),
        ("quobyte", spec.quobyte.is_some()),
        ("cephfs", spec.cephfs.is_some()),
        ("iscsi", spec.iscsi.is_some()),
        ("cinder", spec.cinder.is_some()),
        ("fc", spec.fc.is_some()),
        ("flexVolume", spec.flex_volume.is_some()),
        ("azureFile", spec.azure_file.is_some()),
        ("vsphereVolume", spec.vsphere_volume.is_some()),
        ("photonPersistentDisk", spec.photon_persistent_disk.is_some()),
        ("portworxVolume", spec.portworx_volume.is_some()),
        ("azureDisk", spec.azure_disk.is_some()),
        ("scaleIO", spec.scale_io.is_some()),
        ("local", spec.local.is_some()),
        ("storageos", spec.storageos.is_some()),
        ("csi", spec.csi.is_some()),
    ];
    let mut given = all.iter().filter(|(_, given)| *given);
    if given.next().is_none() {
        report.required(at, "must specify a volume type");
    }
    for (name, _) in given {
        report.forbidden(&at.field(name), "may not specify more than 1 volume type");
    }
    if let Some(csi) = &spec.csi {
        let at = at.field("csi");
        if csi.driver.is_empty() {
            report.required(&at.field("driver"), "");
        }
        if csi.volume_handle.is_empty() {
            report.required(&at.field("volumeHandle"), "");
        }
    }
}

/// A StorageClass. Upstream: `ValidateStorageClass`.
pub(in crate::api::manifest) fn class(object: &StorageClass, report: &mut Report) {
    let root = At::Root;
    if object.provisioner.is_empty() {
        report.required(&root.field("provisioner"), "");
    } else {
        let wrong = names::qualified_name(&object.provisioner.to_lowercase());
        report.invalid_each(&root.field("provisioner"), &object.provisioner, wrong);
    }
    report.one_of(&root.field("reclaimPolicy"), object.reclaim_policy.as_deref(), &["Delete", "Retain"]);
    report.one_of(
        &root.field("volumeBindingMode"),
        object.volume_binding_mode.as_deref(),
        &["Immediate", "WaitForFirstConsumer"],
    );
    let under = root.field("allowedTopologies");
    for (i, term) in object.allowed_topologies.iter().flatten().enumerate() {
        let at = under.index(i);
        let expressions = at.field("matchLabelExpressions");
        for (j, expression) in term.match_label_expressions.iter().flatten().enumerate() {
            let at = expressions.index(j);
            meta::label_name(&expression.key, &at.field("key"), report);
            if expression.values.is_empty() {
                report.required(&at.field("values"), "");
            }
            let mut sorted = expression.values.clone();
            sorted.sort();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                report.duplicate(&at.field("values"), Bad::from(&pair[0]));
            }
        }
    }
}
