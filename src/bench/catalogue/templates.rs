//! Objects of the built-in workloads.
//!
//! Upstream: `test/integration/scheduler_perf/templates`, v1.34.

use serde_json::{Value, json};

/// The image of all Pods.
const IMAGE: &str = "registry.k8s.io/pause:3.10.1";

/// A node of 4 CPUs and 32 GiB for 110 Pods.
pub fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"generateName": "node-"},
        "status": {
            "capacity": {"pods": "110", "cpu": "4", "memory": "32Gi"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// The node `scheduler-perf-node`, for any number of Pods.
pub fn named_node() -> Value {
    let mut node = node();
    node["metadata"] = json!({"name": "scheduler-perf-node"});
    node["status"]["capacity"]["pods"] = json!("90000");
    node
}

/// A Pod whose one container requests `cpu` and `memory`, and is limited to them.
pub fn sized_pod(labels: Value, cpu: &str, memory: &str) -> Value {
    let amounts = json!({"cpu": cpu, "memory": memory});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-", "labels": labels},
        "spec": {"containers": [{"name": "pause", "image": IMAGE, "ports": [{"containerPort": 80}],
            "resources": {"requests": amounts, "limits": amounts}}]},
    })
}

/// A Pod of upstream's usual size.
pub fn pod(labels: Value) -> Value {
    sized_pod(labels, "100m", "500Mi")
}

/// A Pod that requests nothing.
pub fn light_pod(labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-", "labels": labels},
        "spec": {"containers": [{"name": "pause", "image": IMAGE}], "terminationGracePeriodSeconds": 0},
    })
}

/// The Pod with a field of its spec set.
pub fn with(mut pod: Value, field: &str, value: Value) -> Value {
    pod["spec"][field] = value;
    pod
}

/// A term of Pod affinity to Pods with one label in these namespaces.
pub fn term(label: (&str, &str), key: &str, namespaces: Value) -> Value {
    let (name, value) = label;
    json!({"labelSelector": {"matchLabels": {name: value}}, "topologyKey": key, "namespaces": namespaces})
}

/// A term of Pod affinity to Pods with one label in namespaces of the team `devops`.
pub fn team_term(label: (&str, &str), key: &str) -> Value {
    let (name, value) = label;
    json!({"labelSelector": {"matchLabels": {name: value}}, "topologyKey": key,
        "namespaceSelector": {"matchLabels": {"team": "devops"}}})
}

/// Required `podAffinity` or `podAntiAffinity` with one term.
pub fn required(kind: &str, term: Value) -> Value {
    json!({kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
}

/// Preferred `podAffinity` or `podAntiAffinity` with one term of weight 1.
pub fn preferred(kind: &str, term: Value) -> Value {
    json!({kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}})
}

/// One spread constraint over Pods with a label.
pub fn spread(label: (&str, &str), key: &str, max_skew: i32, when: &str) -> Value {
    let (name, value) = label;
    json!([{"maxSkew": max_skew, "topologyKey": key, "whenUnsatisfiable": when,
        "labelSelector": {"matchLabels": {name: value}}}])
}

/// A claim for a volume that is bound to it already.
pub fn claim(mode: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "true"}},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

/// A volume of a source.
pub fn volume(mode: &str, source: &str, value: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "spec": {"accessModes": [mode], "capacity": {"storage": "1Gi"}, source: value,
            "persistentVolumeReclaimPolicy": "Retain"},
    })
}
