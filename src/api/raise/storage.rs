//! Raising of storage kinds.

use crate::api::defaults;
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::storage::v1 as storage;
use crate::api::lower::pv_source;
use crate::api::selector::NodeSelectorTerm;
use crate::api::storage::{
    AccessMode, ClaimSpec, CsiDriver, CsiNode, CsiStorageCapacity, PersistentVolume, PersistentVolumeClaim,
    PvSource, StorageClass, VolumeAttachment,
};

use super::meta::{
    conditions, flag, labels, list, node_selector, quantity, raise_meta, resources, selector, text, texts,
};

fn access_modes(modes: &[AccessMode]) -> Option<Vec<String>> {
    list(modes, |mode| mode.as_str().to_owned())
}

fn volume_mode(block: bool) -> Option<String> {
    Some(if block { "Block" } else { "Filesystem" }.to_owned())
}

/// Raises a PersistentVolumeClaim.
pub fn raise_persistent_volume_claim(claim: &PersistentVolumeClaim) -> core::PersistentVolumeClaim {
    core::PersistentVolumeClaim {
        metadata: raise_meta(&claim.meta),
        spec: Some(raise_claim_spec(&claim.spec)),
        status: Some(core::PersistentVolumeClaimStatus {
            access_modes: access_modes(&claim.status_access_modes),
            capacity: resources(&claim.status_capacity),
            conditions: conditions!(claim.conditions, core::PersistentVolumeClaimCondition, last_probe_time),
            phase: Some(claim.phase.as_str().to_owned()),
            ..Default::default()
        }),
    }
}

/// Raises the spec of a claim.
pub fn raise_claim_spec(claim: &ClaimSpec) -> core::PersistentVolumeClaimSpec {
    let mut spec = claim.rest.as_ref().map(|rest| rest.value.clone()).unwrap_or_default();
    spec.access_modes = access_modes(&claim.access_modes);
    spec.selector = claim.selector.as_ref().and_then(selector);
    spec.resources.get_or_insert_default().requests = resources(&claim.requests);
    spec.storage_class_name = claim.storage_class.as_ref().map(ToString::to_string);
    spec.volume_attributes_class_name = claim.attributes_class.as_ref().map(ToString::to_string);
    spec.volume_mode = volume_mode(claim.block);
    spec.volume_name = text(&claim.volume_name);
    if let Some((kind, name)) = &claim.data_source
        && spec.data_source.is_none()
        && spec.data_source_ref.is_none()
    {
        let api_group = (kind == "VolumeSnapshot").then(|| "snapshot.storage.k8s.io".to_owned());
        spec.data_source = Some(core::TypedLocalObjectReference {
            api_group,
            kind: kind.to_string(),
            name: name.to_string(),
        });
    }
    spec
}

/// Raises a PersistentVolume.
pub fn raise_persistent_volume(volume: &PersistentVolume) -> core::PersistentVolume {
    let rest = volume.rest.as_ref().map(|rest| &rest.value).filter(|rest| pv_source(rest) == volume.source);
    let mut spec = rest.cloned().unwrap_or_else(|| source(&volume.source));
    spec.access_modes = access_modes(&volume.access_modes);
    spec.capacity = resources(&volume.capacity);
    spec.claim_ref = volume.claim_ref.as_ref().map(|claim| core::ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        name: text(&claim.key.name),
        namespace: text(&claim.key.namespace),
        uid: text(&claim.uid),
        ..Default::default()
    });
    spec.mount_options = texts(&volume.mount_options);
    spec.node_affinity = volume
        .node_affinity
        .as_ref()
        .map(|affinity| core::VolumeNodeAffinity { required: Some(node_selector(affinity)) });
    spec.persistent_volume_reclaim_policy = Some(volume.reclaim_policy.as_str().to_owned());
    spec.storage_class_name = text(&volume.storage_class);
    spec.volume_attributes_class_name = volume.attributes_class.as_ref().map(ToString::to_string);
    spec.volume_mode = volume_mode(volume.block);
    core::PersistentVolume {
        metadata: raise_meta(&volume.meta),
        spec: Some(spec),
        status: Some(core::PersistentVolumeStatus {
            last_phase_transition_time: None,
            message: text(&volume.message),
            phase: Some(volume.phase.as_str().to_owned()),
            reason: text(&volume.reason),
        }),
    }
}

/// The source alone, for volumes that are made here.
fn source(source: &PvSource) -> core::PersistentVolumeSpec {
    let mut spec = core::PersistentVolumeSpec::default();
    match source {
        PvSource::Csi { driver, handle } => {
            spec.csi = Some(core::CSIPersistentVolumeSource {
                driver: driver.to_string(),
                volume_handle: handle.to_string(),
                ..Default::default()
            });
        }
        PvSource::AwsEbs(id) => {
            spec.aws_elastic_block_store = Some(core::AWSElasticBlockStoreVolumeSource {
                volume_id: id.to_string(),
                ..Default::default()
            });
        }
        PvSource::GcePd(name) => {
            spec.gce_persistent_disk =
                Some(core::GCEPersistentDiskVolumeSource { pd_name: name.to_string(), ..Default::default() });
        }
        PvSource::AzureDisk(name) => {
            spec.azure_disk =
                Some(core::AzureDiskVolumeSource { disk_name: name.to_string(), ..Default::default() });
        }
        PvSource::Nfs { server, path } => {
            spec.nfs = Some(core::NFSVolumeSource {
                server: server.to_string(),
                path: path.to_string(),
                ..Default::default()
            });
        }
        PvSource::HostPath(path) => {
            spec.host_path =
                Some(core::HostPathVolumeSource { path: path.to_string(), ..Default::default() });
        }
        PvSource::Local(path) => {
            spec.local = Some(core::LocalVolumeSource { path: path.to_string(), ..Default::default() });
        }
        // Such a source is only ever read, and then `rest` has it.
        PvSource::Other(_) => {}
    }
    spec
}

/// Raises a StorageClass.
pub fn raise_storage_class(class: &StorageClass) -> storage::StorageClass {
    let mode = if class.wait_for_first_consumer { "WaitForFirstConsumer" } else { "Immediate" };
    storage::StorageClass {
        allow_volume_expansion: flag(class.allow_expansion),
        allowed_topologies: list(&class.allowed_topologies, topology),
        metadata: raise_meta(&class.meta),
        mount_options: texts(&class.mount_options),
        parameters: labels(&class.parameters),
        provisioner: class.provisioner.to_string(),
        reclaim_policy: Some(class.reclaim_policy.as_str().to_owned()),
        volume_binding_mode: Some(mode.to_owned()),
    }
}

fn topology(term: &NodeSelectorTerm) -> core::TopologySelectorTerm {
    core::TopologySelectorTerm {
        match_label_expressions: list(&term.expressions, |r| core::TopologySelectorLabelRequirement {
            key: r.key.to_string(),
            values: r.values.iter().map(ToString::to_string).collect(),
        }),
    }
}

/// Raises a CSINode.
pub fn raise_csi_node(node: &CsiNode) -> storage::CSINode {
    let drivers = node.drivers.iter().map(|driver| storage::CSINodeDriver {
        allocatable: driver.allocatable.map(|count| storage::VolumeNodeResources { count: Some(count) }),
        name: driver.name.to_string(),
        node_id: driver.node_id.to_string(),
        topology_keys: texts(&driver.topology_keys),
    });
    storage::CSINode {
        metadata: raise_meta(&node.meta),
        spec: storage::CSINodeSpec { drivers: drivers.collect() },
    }
}

/// Raises a CSIDriver.
pub fn raise_csi_driver(driver: &CsiDriver) -> storage::CSIDriver {
    let mut spec = driver.rest.as_ref().map(|rest| rest.value.clone()).unwrap_or_default();
    spec.attach_required = Some(driver.attach_required);
    spec.storage_capacity = Some(driver.storage_capacity);
    let mut raised = storage::CSIDriver { metadata: raise_meta(&driver.meta), spec };
    defaults::default_csi_driver(&mut raised);
    raised
}

/// Raises a CSIStorageCapacity.
pub fn raise_csi_storage_capacity(capacity: &CsiStorageCapacity) -> storage::CSIStorageCapacity {
    storage::CSIStorageCapacity {
        capacity: capacity.capacity.map(quantity),
        maximum_volume_size: capacity.maximum_volume_size.map(quantity),
        metadata: raise_meta(&capacity.meta),
        node_topology: capacity.node_topology.as_ref().and_then(selector),
        storage_class_name: capacity.storage_class.to_string(),
    }
}

/// Raises a VolumeAttachment.
pub fn raise_volume_attachment(attachment: &VolumeAttachment) -> storage::VolumeAttachment {
    let error = |message: &str| {
        text(message).map(|m| storage::VolumeError { message: Some(m), ..Default::default() })
    };
    storage::VolumeAttachment {
        metadata: raise_meta(&attachment.meta),
        spec: storage::VolumeAttachmentSpec {
            attacher: attachment.attacher.to_string(),
            node_name: attachment.node_name.to_string(),
            source: storage::VolumeAttachmentSource {
                inline_volume_spec: None,
                persistent_volume_name: text(&attachment.pv_name),
            },
        },
        status: Some(storage::VolumeAttachmentStatus {
            attach_error: error(&attachment.attach_error),
            attached: attachment.attached,
            attachment_metadata: None,
            detach_error: error(&attachment.detach_error),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use crate::api::lower::{lower_persistent_volume, lower_persistent_volume_claim};
    use serde_json::json;

    #[test]
    fn live_values_overlay_what_was_read() {
        let value = json!({"spec": {"csi": {"driver": "d", "volumeHandle": "h", "fsType": "xfs"}, "storageClassName": "old"}});
        let mut volume = lower_persistent_volume(from_value(value).unwrap()).unwrap();
        volume.storage_class = "new".into();
        let raised = raise_persistent_volume(&volume).spec.unwrap();
        assert_eq!(raised.csi.as_ref().and_then(|c| c.fs_type.as_deref()), Some("xfs"));
        assert_eq!(raised.storage_class_name.as_deref(), Some("new"));
        volume.source = PvSource::Local("/mnt".into());
        let raised = raise_persistent_volume(&volume).spec.unwrap();
        assert_eq!((raised.csi, raised.local.map(|l| l.path)), (None, Some("/mnt".to_owned())));
    }

    #[test]
    fn claims_keep_their_source() {
        let source = json!({"apiGroup": "x.io", "kind": "Thing", "name": "t"});
        let value = json!({"spec": {"dataSourceRef": source, "resources": {"limits": {"storage": "2Gi"}}}});
        let mut claim = lower_persistent_volume_claim(from_value(value).unwrap()).unwrap();
        claim.spec.volume_name = "pv".into();
        let raised = serde_json::to_value(raise_claim_spec(&claim.spec)).unwrap();
        assert_eq!(
            raised,
            json!({"dataSourceRef": source, "resources": {"limits": {"storage": "2Gi"}}, "volumeMode": "Filesystem", "volumeName": "pv"})
        );
    }
}
