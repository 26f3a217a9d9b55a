//! Small clusters for the scheduler's unit tests.

use serde_json::{Value, json};

use crate::api::{Kind, Node, Object, Pod, lower};
use crate::base::Arc;

/// An object from JSON.
pub fn object(kind: Kind, value: Value) -> Object {
    lower::from_json(kind, value).unwrap()
}

/// A node of a zone with so much CPU (thousandths), 64 GiB of memory, and room for 110 Pods.
pub fn node(name: &str, zone: &str, milli: i64) -> Object {
    object(
        Kind::Node,
        json!({
            "metadata": {"name": name, "uid": name, "labels": {
                "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}},
            "status": {"allocatable": {"cpu": format!("{milli}m"), "memory": "64Gi", "pods": "110"}},
        }),
    )
}

/// A Pod that requests so much CPU (thousandths), changed by `change`.
pub fn pod_with(name: &str, milli: i64, change: impl FnOnce(&mut Value)) -> Object {
    let mut value = json!({
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "app:1",
            "resources": {"requests": {"cpu": format!("{milli}m"), "memory": "64Mi"}}}]},
    });
    change(&mut value);
    object(Kind::Pod, value)
}

/// A Pod that requests so much CPU (thousandths).
pub fn pod(name: &str, milli: i64) -> Object {
    pod_with(name, milli, |_| {})
}

/// The same Pod with changes.
pub fn pod_change(object: &Object, change: impl FnOnce(&mut Pod)) -> Object {
    let Object::Pod(pod) = object else { unreachable!("not a Pod: {object:?}") };
    let mut pod = Pod::clone(pod);
    change(&mut pod);
    Object::Pod(Arc::new(pod))
}

/// The same Pod on a node.
pub fn bound(object: &Object, node: &str) -> Object {
    pod_change(object, |pod| pod.node_name = Some(node.into()))
}

/// The same node with changes.
pub fn node_change(object: &Object, change: impl FnOnce(&mut Node)) -> Object {
    let Object::Node(node) = object else { unreachable!("not a node: {object:?}") };
    let mut node = Node::clone(node);
    change(&mut node);
    Object::Node(Arc::new(node))
}
