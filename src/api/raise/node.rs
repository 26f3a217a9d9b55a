//! Raising of Nodes and Namespaces.

use crate::api::k8s::core::v1 as core;
use crate::api::node::Node;
use crate::api::service::Namespace;
use crate::api::taint::Taint;

use super::meta::{conditions, flag, list, raise_meta, resources, text, texts, time};

/// Raises a Node. One that was made here gets a plain address list and node information.
pub fn raise_node(node: &Node) -> core::Node {
    core::Node {
        metadata: raise_meta(&node.meta),
        spec: Some(core::NodeSpec {
            pod_cidr: text(&node.pod_cidr),
            pod_cidrs: text(&node.pod_cidr).map(|cidr| vec![cidr]),
            provider_id: text(&node.provider_id),
            taints: list(&node.taints, taint),
            unschedulable: flag(node.unschedulable),
            ..Default::default()
        }),
        status: Some(status(node)),
    }
}

fn taint(taint: &Taint) -> core::Taint {
    core::Taint {
        effect: taint.effect.as_str().to_owned(),
        key: taint.key.to_string(),
        time_added: taint.time_added.map(time),
        value: text(&taint.value),
    }
}

fn status(node: &Node) -> core::NodeStatus {
    let live = &node.status;
    let mut status = live.rest.as_ref().map(|rest| rest.value.clone()).unwrap_or_default();
    status.capacity = resources(&live.capacity);
    status.allocatable = resources(&live.allocatable);
    status.conditions = conditions!(live.conditions, core::NodeCondition, last_heartbeat_time);
    status.images = list(&live.images, |(names, size)| core::ContainerImage {
        names: texts(names),
        size_bytes: Some(*size).filter(|s| *s != 0),
    });
    status.volumes_in_use = texts(&live.volumes_in_use);
    status.volumes_attached = list(&live.volumes_attached, |name| core::AttachedVolume {
        device_path: String::new(),
        name: name.to_string(),
    });
    if status.node_info.is_none() && !live.kubelet_version.is_empty() {
        let arch = node.meta.labels.get("kubernetes.io/arch");
        status.node_info = Some(core::NodeSystemInfo {
            architecture: arch.map_or_else(|| "amd64".to_owned(), ToString::to_string),
            operating_system: "linux".to_owned(),
            ..Default::default()
        });
    }
    if let Some(info) = &mut status.node_info {
        info.kubelet_version = live.kubelet_version.to_string();
    }
    addresses(&mut status.addresses, &live.internal_ip, &node.meta.name);
    status
}

fn addresses(list: &mut Option<Vec<core::NodeAddress>>, internal_ip: &str, name: &str) {
    if internal_ip.is_empty() {
        return;
    }
    let address =
        |kind: &str, address: &str| core::NodeAddress { address: address.to_owned(), type_: kind.to_owned() };
    match list {
        None => *list = Some(vec![address("InternalIP", internal_ip), address("Hostname", name)]),
        Some(all) => match all.iter_mut().find(|a| a.type_ == "InternalIP") {
            Some(old) => internal_ip.clone_into(&mut old.address),
            None => all.insert(0, address("InternalIP", internal_ip)),
        },
    }
}

/// Raises a Namespace.
pub fn raise_namespace(namespace: &Namespace) -> core::Namespace {
    let phase = if namespace.terminating { "Terminating" } else { "Active" };
    core::Namespace {
        metadata: raise_meta(&namespace.meta),
        spec: Some(core::NamespaceSpec { finalizers: texts(&namespace.spec_finalizers) }),
        status: Some(core::NamespaceStatus {
            conditions: conditions!(namespace.conditions, core::NamespaceCondition),
            phase: Some(phase.to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Meta;
    use serde_json::json;

    #[test]
    fn a_node_made_here_says_what_it_is() {
        let mut node = Node { meta: Meta::named("", "n1"), ..Node::default() };
        node.status.internal_ip = "10.0.0.1".into();
        node.status.kubelet_version = "v1.34.0".into();
        let status = serde_json::to_value(raise_node(&node).status).unwrap();
        assert_eq!(
            status["addresses"],
            json!([{"address": "10.0.0.1", "type": "InternalIP"}, {"address": "n1", "type": "Hostname"}])
        );
        assert_eq!(status["nodeInfo"]["kubeletVersion"], "v1.34.0");
        assert_eq!(status["nodeInfo"]["architecture"], "amd64");
    }
}
