//! Rows of claims, volumes, classes and CSI objects.

use super::{age_of, plain, text};
use crate::api::storage::{AccessMode, CsiDriver, PersistentVolume, PersistentVolumeClaim};
use crate::api::{Object, ResourceList, raise};
use crate::base::Timestamp;

fn modes(modes: &[AccessMode]) -> String {
    modes.iter().map(|m| m.short()).collect::<Vec<_>>().join(",")
}

fn capacity(list: &ResourceList) -> String {
    list.get(crate::api::resources::STORAGE).map_or_else(String::new, |q| q.to_string())
}

fn claim_row(claim: &PersistentVolumeClaim, age: String, wide: bool) -> Vec<String> {
    let phase = if claim.meta.is_deleting() { "Terminating" } else { claim.phase.as_str() };
    let bound = !claim.spec.volume_name.is_empty();
    let mut row = vec![
        claim.meta.name.to_string(),
        text(phase),
        claim.spec.volume_name.to_string(),
        if bound { capacity(&claim.status_capacity) } else { String::new() },
        if bound { modes(&claim.status_access_modes) } else { String::new() },
        claim.class().to_string(),
        claim.spec.attributes_class.as_ref().map_or_else(|| text("<unset>"), ToString::to_string),
        age,
    ];
    if wide {
        row.push(text(if claim.spec.block { "Block" } else { "Filesystem" }));
    }
    row
}

fn volume_row(volume: &PersistentVolume, age: String, wide: bool) -> Vec<String> {
    let phase = if volume.meta.is_deleting() { "Terminating" } else { volume.phase.as_str() };
    let mut row = vec![
        volume.meta.name.to_string(),
        capacity(&volume.capacity),
        modes(&volume.access_modes),
        text(volume.reclaim_policy.as_str()),
        text(phase),
        volume.claim_ref.as_ref().map_or_else(String::new, |r| r.key.to_string()),
        volume.class().to_string(),
        volume.attributes_class.as_ref().map_or_else(|| text("<unset>"), ToString::to_string),
        volume.reason.to_string(),
        age,
    ];
    if wide {
        row.push(text(if volume.block { "Block" } else { "Filesystem" }));
    }
    row
}

pub(super) fn storage(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let age = age_of(object, now);
    let name = object.meta().name.to_string();
    match object {
        Object::PersistentVolumeClaim(claim) => claim_row(claim, age, wide),
        Object::PersistentVolume(volume) => volume_row(volume, age, wide),
        Object::StorageClass(class) => vec![
            if class.is_default() { format!("{name} (default)") } else { name },
            class.provisioner.to_string(),
            text(class.reclaim_policy.as_str()),
            text(if class.wait_for_first_consumer { "WaitForFirstConsumer" } else { "Immediate" }),
            class.allow_expansion.to_string(),
            age,
        ],
        Object::VolumeAttachment(a) => vec![
            name,
            a.attacher.to_string(),
            a.pv_name.to_string(),
            a.node_name.to_string(),
            a.attached.to_string(),
            age,
        ],
        Object::CsiDriver(driver) => driver_row(driver, age),
        Object::CsiStorageCapacity(c) => vec![
            name,
            c.storage_class.to_string(),
            c.capacity.map_or_else(|| text("<unset>"), |q| q.to_string()),
        ],
        Object::CsiNode(node) => vec![name, node.drivers.len().to_string(), age],
        _ => plain(object, now, wide),
    }
}

fn driver_row(driver: &CsiDriver, age: String) -> Vec<String> {
    let spec = raise::raise_csi_driver(driver).spec;
    let flag = |value: Option<bool>, default: bool| value.unwrap_or(default).to_string();
    let tokens: Vec<String> = spec.token_requests.iter().flatten().map(|t| t.audience.clone()).collect();
    let modes = spec.volume_lifecycle_modes.unwrap_or_default().join(",");
    vec![
        driver.meta.name.to_string(),
        flag(spec.attach_required, true),
        flag(spec.pod_info_on_mount, false),
        flag(spec.storage_capacity, false),
        if tokens.is_empty() { text("<unset>") } else { tokens.join(",") },
        flag(spec.requires_republish, false),
        if modes.is_empty() { text("Persistent") } else { modes },
        age,
    ]
}
