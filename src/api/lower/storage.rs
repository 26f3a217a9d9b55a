//! Lowering of storage kinds.

use super::at::{At, LowerError, collect};
use super::meta::{
    conditions, labels, lower_meta, node_selector, non_empty, resources, selector, text, texts,
};
use crate::api::defaults;
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::storage::v1 as storage;
use crate::api::meta::ObjectKey;
use crate::api::selector::{NodeSelectorTerm, Operator, Requirement};
use crate::api::storage::{
    AccessMode, ClaimPhase, ClaimRef, ClaimSpec, CsiDriver, CsiNode, CsiNodeDriver, CsiStorageCapacity,
    PersistentVolume, PersistentVolumeClaim, PvSource, ReclaimPolicy, StorageClass, VolumeAttachment,
    VolumePhase,
};
use crate::api::workload::BoundaryPart;
use crate::base::{Arc, Str};

const ACCESS_MODES: &[(&str, AccessMode)] = &[
    ("ReadOnlyMany", AccessMode::ReadOnlyMany),
    ("ReadWriteMany", AccessMode::ReadWriteMany),
    ("ReadWriteOnce", AccessMode::ReadWriteOnce),
    ("ReadWriteOncePod", AccessMode::ReadWriteOncePod),
];

const VOLUME_MODES: &[(&str, bool)] = &[("Block", true), ("Filesystem", false)];

fn access_modes(at: &At<'_>, modes: Option<Vec<String>>) -> Vec<AccessMode> {
    at.each(modes, |at, mode| at.one_of(&mode, ACCESS_MODES, AccessMode::ReadWriteOnce))
}

fn is_block(at: &At<'_>, mode: Option<String>) -> bool {
    at.field("volumeMode").one_of(mode.as_deref().unwrap_or("Filesystem"), VOLUME_MODES, false)
}

/// Lowers a PersistentVolumeClaim, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_persistent_volume_claim(
    mut value: core::PersistentVolumeClaim,
) -> Result<PersistentVolumeClaim, Vec<LowerError>> {
    defaults::default_persistent_volume_claim(&mut value);
    collect(|at| claim(at, value))
}

const CLAIM_PHASES: &[(&str, ClaimPhase)] =
    &[("Pending", ClaimPhase::Pending), ("Bound", ClaimPhase::Bound), ("Lost", ClaimPhase::Lost)];

pub(crate) fn claim(at: &At<'_>, value: core::PersistentVolumeClaim) -> PersistentVolumeClaim {
    let status = value.status.unwrap_or_default();
    let status_at = at.field("status");
    let phase = status.phase.as_deref().unwrap_or("Pending");
    PersistentVolumeClaim {
        meta: lower_meta(value.metadata),
        spec: claim_spec(&at.field("spec"), value.spec.unwrap_or_default()),
        phase: status_at.field("phase").one_of(phase, CLAIM_PHASES, ClaimPhase::Pending),
        status_access_modes: access_modes(&status_at.field("accessModes"), status.access_modes),
        status_capacity: resources(&status_at.field("capacity"), status.capacity),
        conditions: conditions!(status.conditions, last_probe_time),
    }
}

/// Lowers the spec of a claim that is made from a template (ephemeral volumes, StatefulSets).
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_claim_spec(mut value: core::PersistentVolumeClaimSpec) -> Result<ClaimSpec, Vec<LowerError>> {
    defaults::default_persistent_volume_claim_spec(&mut value);
    collect(|at| claim_spec(at, value))
}

pub(crate) fn claim_spec(at: &At<'_>, mut spec: core::PersistentVolumeClaimSpec) -> ClaimSpec {
    let requests = spec.resources.as_mut().and_then(|r| r.requests.take());
    let source = spec.data_source.as_ref().map(|s| (Str::from(s.kind.as_str()), Str::from(s.name.as_str())));
    let reference =
        || spec.data_source_ref.as_ref().map(|s| (Str::from(s.kind.as_str()), Str::from(s.name.as_str())));
    let data_source = source.or_else(reference);
    let lowered = ClaimSpec {
        access_modes: access_modes(&at.field("accessModes"), spec.access_modes.take()),
        selector: at.opt("selector", spec.selector.take(), |at, s| selector(at, Some(s))),
        requests: resources(&at.field("resources").field("requests"), requests),
        volume_name: text(spec.volume_name.take()),
        storage_class: spec.storage_class_name.take().map(Str::from),
        block: is_block(at, spec.volume_mode.take()),
        attributes_class: spec.volume_attributes_class_name.take().map(Str::from),
        data_source,
        rest: None,
    };
    spec.resources = spec.resources.filter(|r| r.limits.is_some());
    let rest =
        (spec != core::PersistentVolumeClaimSpec::default()).then(|| Arc::new(BoundaryPart::new(spec)));
    ClaimSpec { rest, ..lowered }
}

const VOLUME_PHASES: &[(&str, VolumePhase)] = &[
    ("Pending", VolumePhase::Pending),
    ("Available", VolumePhase::Available),
    ("Bound", VolumePhase::Bound),
    ("Released", VolumePhase::Released),
    ("Failed", VolumePhase::Failed),
];

/// Lowers a PersistentVolume, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_persistent_volume(
    mut value: core::PersistentVolume,
) -> Result<PersistentVolume, Vec<LowerError>> {
    defaults::default_persistent_volume(&mut value);
    collect(|at| volume(at, value))
}

fn volume(at: &At<'_>, value: core::PersistentVolume) -> PersistentVolume {
    let status = value.status.unwrap_or_default();
    let mut spec = value.spec.unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("Pending");
    let (status_at, at) = (at.field("status"), at.field("spec"));
    let policy = spec.persistent_volume_reclaim_policy.take();
    let lowered = PersistentVolume {
        meta: lower_meta(value.metadata),
        capacity: resources(&at.field("capacity"), spec.capacity.take()),
        access_modes: access_modes(&at.field("accessModes"), spec.access_modes.take()),
        claim_ref: spec.claim_ref.take().map(|r| ClaimRef {
            key: ObjectKey { namespace: text(r.namespace), name: text(r.name) },
            uid: text(r.uid),
        }),
        reclaim_policy: reclaim_policy(
            &at.field("persistentVolumeReclaimPolicy"),
            policy,
            ReclaimPolicy::Retain,
        ),
        storage_class: text(spec.storage_class_name.take()),
        block: is_block(&at, spec.volume_mode.take()),
        node_affinity: spec
            .node_affinity
            .take()
            .and_then(|a| a.required)
            .map(|required| node_selector(&at.field("nodeAffinity").field("required"), required)),
        source: pv_source(&spec),
        attributes_class: non_empty(spec.volume_attributes_class_name.take()),
        mount_options: texts(spec.mount_options.take()),
        rest: None,
        phase: status_at.field("phase").one_of(phase, VOLUME_PHASES, VolumePhase::Pending),
        reason: text(status.reason),
        message: text(status.message),
    };
    let rest = (spec != core::PersistentVolumeSpec::default()).then(|| Arc::new(BoundaryPart::new(spec)));
    PersistentVolume { rest, ..lowered }
}

fn reclaim_policy(at: &At<'_>, word: Option<String>, default: ReclaimPolicy) -> ReclaimPolicy {
    word.map_or(default, |word| at.one_of(&word, ReclaimPolicy::WORDS, default))
}

/// What the simulation knows of a source; the boundary form of all of it goes to [`PersistentVolume::rest`].
pub(crate) fn pv_source(spec: &core::PersistentVolumeSpec) -> PvSource {
    let own = |text: &str| Str::from(text);
    if let Some(csi) = &spec.csi {
        PvSource::Csi { driver: own(&csi.driver), handle: own(&csi.volume_handle) }
    } else if let Some(ebs) = &spec.aws_elastic_block_store {
        PvSource::AwsEbs(own(&ebs.volume_id))
    } else if let Some(disk) = &spec.gce_persistent_disk {
        PvSource::GcePd(own(&disk.pd_name))
    } else if let Some(disk) = &spec.azure_disk {
        PvSource::AzureDisk(own(&disk.disk_name))
    } else if let Some(nfs) = &spec.nfs {
        PvSource::Nfs { server: own(&nfs.server), path: own(&nfs.path) }
    } else if let Some(path) = &spec.host_path {
        PvSource::HostPath(own(&path.path))
    } else if let Some(local) = &spec.local {
        PvSource::Local(own(&local.path))
    } else {
        PvSource::Other(own(other_source(spec)))
    }
}

fn other_source(spec: &core::PersistentVolumeSpec) -> &'static str {
    [
        (spec.azure_file.is_some(), "azureFile"),
        (spec.cephfs.is_some(), "cephfs"),
        (spec.cinder.is_some(), "cinder"),
        (spec.fc.is_some(), "fc"),
        (spec.flex_volume.is_some(), "flexVolume"),
        (spec.flocker.is_some(), "flocker"),
        (spec.glusterfs.is_some(), "glusterfs"),
        (spec.iscsi.is_some(), "iscsi"),
        (spec.photon_persistent_disk.is_some(), "photonPersistentDisk"),
        (spec.portworx_volume.is_some(), "portworxVolume"),
        (spec.quobyte.is_some(), "quobyte"),
        (spec.rbd.is_some(), "rbd"),
        (spec.scale_io.is_some(), "scaleIO"),
        (spec.storageos.is_some(), "storageos"),
        (spec.vsphere_volume.is_some(), "vsphereVolume"),
    ]
    .into_iter()
    .find_map(|(present, name)| present.then_some(name))
    .unwrap_or("")
}

/// Lowers a StorageClass, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_storage_class(mut value: storage::StorageClass) -> Result<StorageClass, Vec<LowerError>> {
    defaults::default_storage_class(&mut value);
    const MODES: &[(&str, bool)] = &[("Immediate", false), ("WaitForFirstConsumer", true)];
    collect(|at| StorageClass {
        meta: lower_meta(value.metadata),
        provisioner: value.provisioner.into(),
        parameters: labels(value.parameters),
        reclaim_policy: reclaim_policy(
            &at.field("reclaimPolicy"),
            value.reclaim_policy,
            ReclaimPolicy::Delete,
        ),
        wait_for_first_consumer: at.field("volumeBindingMode").one_of(
            value.volume_binding_mode.as_deref().unwrap_or("Immediate"),
            MODES,
            false,
        ),
        allow_expansion: value.allow_volume_expansion.unwrap_or(false),
        allowed_topologies: value.allowed_topologies.unwrap_or_default().into_iter().map(topology).collect(),
        mount_options: texts(value.mount_options),
    })
}

fn topology(term: core::TopologySelectorTerm) -> NodeSelectorTerm {
    let requirement = |r: core::TopologySelectorLabelRequirement| Requirement {
        key: r.key.into(),
        operator: Operator::In,
        values: texts(Some(r.values)),
    };
    let expressions = term.match_label_expressions.unwrap_or_default().into_iter().map(requirement).collect();
    NodeSelectorTerm { expressions, fields: Vec::new() }
}

/// Lowers a CSINode.
///
/// # Errors
/// None so far; the signature is that of all kinds.
pub fn lower_csi_node(value: storage::CSINode) -> Result<CsiNode, Vec<LowerError>> {
    let driver = |driver: storage::CSINodeDriver| CsiNodeDriver {
        name: driver.name.into(),
        node_id: driver.node_id.into(),
        topology_keys: texts(driver.topology_keys),
        allocatable: driver.allocatable.and_then(|a| a.count),
    };
    Ok(CsiNode {
        meta: lower_meta(value.metadata),
        drivers: value.spec.drivers.into_iter().map(driver).collect(),
    })
}

/// Lowers a CSIDriver, filling in what the API server would.
///
/// # Errors
/// None so far; the signature is that of all kinds.
pub fn lower_csi_driver(mut value: storage::CSIDriver) -> Result<CsiDriver, Vec<LowerError>> {
    defaults::default_csi_driver(&mut value);
    let mut spec = value.spec;
    Ok(CsiDriver {
        meta: lower_meta(value.metadata),
        attach_required: spec.attach_required.take().unwrap_or(true),
        storage_capacity: spec.storage_capacity.take().unwrap_or(false),
        rest: Some(Arc::new(BoundaryPart::new(spec))),
    })
}

/// Lowers a CSIStorageCapacity.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_csi_storage_capacity(
    value: storage::CSIStorageCapacity,
) -> Result<CsiStorageCapacity, Vec<LowerError>> {
    collect(|at| CsiStorageCapacity {
        meta: lower_meta(value.metadata),
        storage_class: value.storage_class_name.into(),
        node_topology: at.opt("nodeTopology", value.node_topology, |at, s| selector(at, Some(s))),
        capacity: at.opt("capacity", value.capacity, |at, q| at.quantity(&q.0)),
        maximum_volume_size: at
            .opt("maximumVolumeSize", value.maximum_volume_size, |at, q| at.quantity(&q.0)),
    })
}

/// Lowers a VolumeAttachment.
///
/// # Errors
/// None so far; the signature is that of all kinds.
///
/// # Fidelity
/// Inline volume specs, which only the migration of in-tree drivers writes, are dropped.
pub fn lower_volume_attachment(
    value: storage::VolumeAttachment,
) -> Result<VolumeAttachment, Vec<LowerError>> {
    let status = value.status.unwrap_or_default();
    let message = |error: Option<storage::VolumeError>| text(error.and_then(|e| e.message));
    Ok(VolumeAttachment {
        meta: lower_meta(value.metadata),
        attacher: value.spec.attacher.into(),
        node_name: value.spec.node_name.into(),
        pv_name: text(value.spec.source.persistent_volume_name),
        attached: status.attached,
        attach_error: message(status.attach_error),
        detach_error: message(status.detach_error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    #[test]
    fn claims_are_read() {
        let lower = |spec| lower_persistent_volume_claim(from_value(json!({"spec": spec})).unwrap());
        let plain =
            lower(json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}));
        let plain = plain.unwrap();
        assert_eq!((plain.requested().to_string().as_str(), &plain.spec.rest), ("1Gi", &None));
        assert_eq!((plain.spec.storage_class, plain.phase), (None, ClaimPhase::Pending));
        let empty = lower(json!({"storageClassName": "", "volumeMode": "Block"})).unwrap();
        assert_eq!((empty.spec.storage_class.as_deref(), empty.spec.block), (Some(""), true));
        let source = json!({"dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}});
        let sourced = lower(source).unwrap();
        assert_eq!(sourced.spec.data_source, Some(("VolumeSnapshot".into(), "s".into())));
        assert!(sourced.spec.rest.is_some());
        let errors = lower(json!({"accessModes": ["RWO"]})).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "spec.accessModes[0]: Unsupported value: \"RWO\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \
             \"ReadWriteOnce\", \"ReadWriteOncePod\""
        );
    }

    #[test]
    fn volumes_know_their_source() {
        let lower = |spec| lower_persistent_volume(from_value(json!({"spec": spec})).unwrap()).unwrap();
        let csi = lower(
            json!({"csi": {"driver": "d", "volumeHandle": "h", "fsType": "xfs"}, "claimRef": {"namespace": "n", "name": "c"}}),
        );
        assert_eq!(csi.source, PvSource::Csi { driver: "d".into(), handle: "h".into() });
        assert_eq!(csi.claim_ref.map(|r| r.key.to_string()).as_deref(), Some("n/c"));
        assert_eq!(csi.reclaim_policy, ReclaimPolicy::Retain);
        assert_eq!(lower(json!({"cephfs": {"monitors": []}})).source, PvSource::Other("cephfs".into()));
    }

    #[test]
    fn classes_and_drivers_have_defaults() {
        let class = lower_storage_class(from_value(json!({"provisioner": "p"})).unwrap()).unwrap();
        assert_eq!((class.reclaim_policy, class.wait_for_first_consumer), (ReclaimPolicy::Delete, false));
        let driver = lower_csi_driver(from_value(json!({"spec": {}})).unwrap()).unwrap();
        assert!(driver.attach_required && !driver.storage_capacity);
        let wrong =
            from_value(json!({"provisioner": "p", "volumeBindingMode": "Later", "reclaimPolicy": "Keep"}))
                .unwrap();
        assert_eq!(lower_storage_class(wrong).unwrap_err().len(), 2);
    }
}
