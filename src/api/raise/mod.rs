//! Core types to boundary types, and on to JSON: the way back from [`lower`](super::lower).
//!
//! What core types do not carry of a boundary type is kept behind `rest` fields where users can set it, and
//! live values overlay it; so lowering what was raised gives the same object again.

mod job;
pub(crate) mod meta;
mod node;
mod pod;
mod policy;
mod service;
mod storage;
mod workload;

pub use job::{raise_cron_job, raise_job};
pub use meta::raise_meta;
pub use node::{raise_namespace, raise_node};
pub use pod::{raise_pod, raise_pod_template};
pub use policy::{
    raise_horizontal_pod_autoscaler, raise_lease, raise_limit_range, raise_pod_disruption_budget,
    raise_priority_class, raise_resource_quota,
};
pub use service::{raise_endpoint_slice, raise_event, raise_service};
pub use storage::{
    raise_claim_spec, raise_csi_driver, raise_csi_node, raise_csi_storage_capacity, raise_persistent_volume,
    raise_persistent_volume_claim, raise_storage_class, raise_volume_attachment,
};
pub use workload::{
    raise_controller_revision, raise_daemon_set, raise_deployment, raise_replica_set,
    raise_replication_controller, raise_stateful_set,
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::inert::Inert;
use super::object::Object;

/// The object as JSON: `apiVersion`, `kind`, `metadata`, then the rest; absent fields are left out.
pub fn to_json(object: &Object) -> Value {
    match object {
        Object::Pod(o) => write(&raise_pod(o)),
        Object::Node(o) => write(&raise_node(o)),
        Object::Namespace(o) => write(&raise_namespace(o)),
        Object::Service(o) => write(&raise_service(o)),
        Object::EndpointSlice(o) => write(&raise_endpoint_slice(o)),
        Object::Event(o) => write(&raise_event(o)),
        Object::PersistentVolume(o) => write(&raise_persistent_volume(o)),
        Object::PersistentVolumeClaim(o) => write(&raise_persistent_volume_claim(o)),
        Object::ReplicationController(o) => write(&raise_replication_controller(o)),
        Object::ResourceQuota(o) => write(&raise_resource_quota(o)),
        Object::LimitRange(o) => write(&raise_limit_range(o)),
        Object::Deployment(o) => write(&raise_deployment(o)),
        Object::ReplicaSet(o) => write(&raise_replica_set(o)),
        Object::StatefulSet(o) => write(&raise_stateful_set(o)),
        Object::DaemonSet(o) => write(&raise_daemon_set(o)),
        Object::ControllerRevision(o) => write(&raise_controller_revision(o)),
        Object::Job(o) => write(&raise_job(o)),
        Object::CronJob(o) => write(&raise_cron_job(o)),
        Object::HorizontalPodAutoscaler(o) => write(&raise_horizontal_pod_autoscaler(o)),
        Object::PodDisruptionBudget(o) => write(&raise_pod_disruption_budget(o)),
        Object::PriorityClass(o) => write(&raise_priority_class(o)),
        Object::StorageClass(o) => write(&raise_storage_class(o)),
        Object::CsiNode(o) => write(&raise_csi_node(o)),
        Object::CsiDriver(o) => write(&raise_csi_driver(o)),
        Object::CsiStorageCapacity(o) => write(&raise_csi_storage_capacity(o)),
        Object::VolumeAttachment(o) => write(&raise_volume_attachment(o)),
        Object::Lease(o) => write(&raise_lease(o)),
        Object::Inert(o) => inert(o),
    }
}

/// Boundary types always have a JSON form.
fn write<T: Serialize>(boundary: &T) -> Value {
    in_order(serde_json::to_value(boundary).unwrap_or_default())
}

fn inert(object: &Inert) -> Value {
    let mut value: Value = serde_json::from_str(&object.body).unwrap_or_else(|_| Value::Object(Map::new()));
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), object.api_version.as_str().into());
        fields.insert("kind".to_owned(), object.kind.as_str().into());
        fields.insert(
            "metadata".to_owned(),
            serde_json::to_value(raise_meta(&object.meta)).unwrap_or_default(),
        );
    }
    in_order(value)
}

/// Some kinds keep their fields beside the metadata; those come after it.
fn in_order(value: Value) -> Value {
    let Value::Object(mut fields) = value else { return value };
    let mut ordered = Map::new();
    for name in ["apiVersion", "kind", "metadata"] {
        if let Some(field) = fields.shift_remove(name) {
            ordered.insert(name.to_owned(), field);
        }
    }
    ordered.extend(fields);
    Value::Object(ordered)
}

#[cfg(test)]
mod tests;
