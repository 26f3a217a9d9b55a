//! Boundary types to core types.
//!
//! One function per kind: `lower_<kind>(boundary) -> Result<core, Vec<LowerError>>`. Each fills in what the API
//! server would ([`defaults`](super::defaults)), then compiles; all errors of an object are reported at once,
//! with JSON paths. [`from_json`] and [`object`] do the same from JSON values.
//!
//! Lowering checks what core types cannot hold. It does not validate beyond that, and it adds nothing that
//! admission or creation add.

pub(crate) mod at;
mod container;
pub(crate) mod job;
pub mod json;
mod label_keys;
pub(crate) mod meta;
mod node;
mod pod;
mod policy;
mod qos;
mod service;
mod storage;
mod volume;
mod workload;

pub use at::LowerError;
pub(crate) use at::{At, collect};
pub use job::{lower_cron_job, lower_job};
pub use label_keys::merge_label_keys;
pub use meta::{lower_label_selector, lower_meta};
pub use node::{lower_namespace, lower_node};
pub use pod::{lower_pod, lower_pod_spec, lower_pod_template};
pub use policy::{
    lower_horizontal_pod_autoscaler, lower_lease, lower_limit_range, lower_pod_disruption_budget,
    lower_priority_class, lower_resource_quota,
};
pub use service::{lower_endpoint_slice, lower_event, lower_service};
pub(crate) use storage::pv_source;
pub use storage::{
    lower_claim_spec, lower_csi_driver, lower_csi_node, lower_csi_storage_capacity, lower_persistent_volume,
    lower_persistent_volume_claim, lower_storage_class, lower_volume_attachment,
};
pub use workload::{
    lower_controller_revision, lower_daemon_set, lower_deployment, lower_replica_set,
    lower_replication_controller, lower_stateful_set,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::inert::Inert;
use super::metav1;
use super::object::{KINDS, Kind, Object};

/// Lowers a JSON object of a known kind; `apiVersion` and `kind` in it are not looked at.
///
/// # Errors
/// A value of the wrong type (the first one found), or every value that its field cannot hold.
pub fn from_json(kind: Kind, value: Value) -> Result<Object, Vec<LowerError>> {
    match kind {
        Kind::Pod => read(value, lower_pod),
        Kind::Node => read(value, lower_node),
        Kind::Namespace => read(value, lower_namespace),
        Kind::Service => read(value, lower_service),
        Kind::EndpointSlice => read(value, lower_endpoint_slice),
        Kind::Event => read(value, lower_event),
        Kind::PersistentVolume => read(value, lower_persistent_volume),
        Kind::PersistentVolumeClaim => read(value, lower_persistent_volume_claim),
        Kind::ReplicationController => read(value, lower_replication_controller),
        Kind::ResourceQuota => read(value, lower_resource_quota),
        Kind::LimitRange => read(value, lower_limit_range),
        Kind::Deployment => read(value, lower_deployment),
        Kind::ReplicaSet => read(value, lower_replica_set),
        Kind::StatefulSet => read(value, lower_stateful_set),
        Kind::DaemonSet => read(value, lower_daemon_set),
        Kind::ControllerRevision => read(value, lower_controller_revision),
        Kind::Job => read(value, lower_job),
        Kind::CronJob => read(value, lower_cron_job),
        Kind::HorizontalPodAutoscaler => read(value, lower_horizontal_pod_autoscaler),
        Kind::PodDisruptionBudget => read(value, lower_pod_disruption_budget),
        Kind::PriorityClass => read(value, lower_priority_class),
        Kind::StorageClass => read(value, lower_storage_class),
        Kind::CsiNode => read(value, lower_csi_node),
        Kind::CsiDriver => read(value, lower_csi_driver),
        Kind::CsiStorageCapacity => read(value, lower_csi_storage_capacity),
        Kind::VolumeAttachment => read(value, lower_volume_attachment),
        Kind::Lease => read(value, lower_lease),
        Kind::Inert => inert(value).map(Object::from),
    }
}

/// Lowers a JSON object of the kind that its `apiVersion` and `kind` say. Kinds that have no table here become
/// [`Inert`]; `autoscaling/v1` and `events.k8s.io/v1` are converted.
///
/// # Errors
/// As [`from_json`], and a missing `apiVersion` or `kind`.
pub fn object(value: Value) -> Result<Object, Vec<LowerError>> {
    let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    match (word("apiVersion"), word("kind")) {
        ("autoscaling/v1", "HorizontalPodAutoscaler") => {
            read(value, |old| lower_horizontal_pod_autoscaler(policy::autoscaler_v2(old)))
        }
        ("events.k8s.io/v1", "Event") => read(value, |event| lower_event(service::core_event(event))),
        (api_version, kind) => {
            let known = KINDS.iter().find(|k| k.name == kind && k.api_version == api_version);
            from_json(known.map_or(Kind::Inert, |k| k.kind), value)
        }
    }
}

fn read<B, C>(mut value: Value, lower: fn(B) -> Result<C, Vec<LowerError>>) -> Result<Object, Vec<LowerError>>
where
    B: DeserializeOwned,
    Object: From<C>,
{
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("apiVersion");
        fields.shift_remove("kind");
    }
    let boundary = json::from_value(value).map_err(|error| vec![error])?;
    lower(boundary).map(Object::from)
}

/// Built-in kinds without a table here that live outside namespaces.
const CLUSTER_SCOPED: &[&str] = &[
    "APIService",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "PriorityLevelConfiguration",
    "ResourceSlice",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageVersionMigration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttributesClass",
];

/// Keeps an object of a kind that nothing acts on. Kinds not known to be cluster-scoped count as namespaced.
///
/// # Errors
/// A missing `apiVersion` or `kind`, metadata that is none.
fn inert(mut value: Value) -> Result<Inert, Vec<LowerError>> {
    let missing = |path: &str| LowerError { path: path.to_owned(), message: "Required value".to_owned() };
    let Some(fields) = value.as_object_mut() else {
        let message = "an API object is a JSON object".to_owned();
        return Err(vec![LowerError { path: String::new(), message }]);
    };
    let mut word = |name: &str| match fields.shift_remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(missing(name)),
    };
    let (api_version, kind) = (word("apiVersion"), word("kind"));
    let meta = fields.shift_remove("metadata").unwrap_or_default();
    let meta = json::from_value::<Option<metav1::ObjectMeta>>(meta)
        .map_err(|e| LowerError { path: format!("metadata.{}", e.path), message: e.message });
    match (api_version, kind, meta) {
        (Ok(api_version), Ok(kind), Ok(meta)) => Ok(Inert {
            meta: lower_meta(meta.unwrap_or_default()),
            namespaced: !CLUSTER_SCOPED.contains(&kind.as_str()),
            api_version: api_version.into(),
            kind: kind.into(),
            body: value.to_string().into(),
        }),
        (api_version, kind, meta) => {
            Err([api_version.err(), kind.err(), meta.err()].into_iter().flatten().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_kind_decides() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}});
        assert_eq!(object(pod.clone()).unwrap().kind(), Kind::Pod);
        assert_eq!(from_json(Kind::Pod, pod.clone()).unwrap(), object(pod).unwrap());
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": {"k": "v"}});
        let Object::Inert(map) = object(map).unwrap() else { panic!("a ConfigMap is inert") };
        assert_eq!(
            (map.kind.as_str(), &*map.body, map.namespaced),
            ("ConfigMap", r#"{"data":{"k":"v"}}"#, true)
        );
        let scaler = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}});
        assert_eq!(object(scaler).unwrap().kind(), Kind::HorizontalPodAutoscaler);
        let old =
            json!({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": {"name": "a"}});
        assert_eq!(object(old).unwrap().kind(), Kind::Inert);
    }

    #[test]
    fn objects_without_a_kind_are_refused() {
        let errors = object(json!({"metadata": {"name": 1}})).unwrap_err();
        assert_eq!(
            errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
            ["apiVersion", "kind", "metadata.name"]
        );
        assert!(object(json!([])).is_err());
    }
}
