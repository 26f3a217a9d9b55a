//! Lowering of Nodes and Namespaces.

use super::at::{At, LowerError, collect};
use super::meta::{conditions, lower_meta, resources, text, texts, time};
use super::pod::EFFECTS;
use crate::api::defaults;
use crate::api::k8s::core::v1 as core;
use crate::api::node::{Node, NodeStatus};
use crate::api::service::Namespace;
use crate::api::taint::{Taint, TaintEffect};
use crate::api::workload::BoundaryPart;
use crate::base::{Arc, Str};

/// Lowers a Node, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_node(mut value: core::Node) -> Result<Node, Vec<LowerError>> {
    defaults::default_node(&mut value);
    collect(|at| {
        let spec = value.spec.unwrap_or_default();
        let name = value.metadata.name.clone().unwrap_or_default();
        Node {
            meta: lower_meta(value.metadata),
            unschedulable: spec.unschedulable.unwrap_or(false),
            taints: at.field("spec").field("taints").each(spec.taints, taint),
            provider_id: text(spec.provider_id),
            pod_cidr: text(spec.pod_cidr),
            status: node_status(&at.field("status"), value.status.unwrap_or_default(), &name),
        }
    })
}

fn taint(at: &At<'_>, taint: core::Taint) -> Taint {
    Taint {
        key: taint.key.into(),
        value: text(taint.value),
        effect: at.field("effect").one_of(&taint.effect, EFFECTS, TaintEffect::NoSchedule),
        time_added: time(taint.time_added),
    }
}

fn node_status(at: &At<'_>, mut status: core::NodeStatus, name: &str) -> NodeStatus {
    let address =
        |kind: &str| status.addresses.iter().flatten().find(|a| a.type_ == kind).map(|a| a.address.clone());
    let internal_ip = text(address("InternalIP"));
    let plain =
        usize::from(!internal_ip.is_empty()) + usize::from(address("Hostname").as_deref() == Some(name));
    if status.addresses.as_ref().is_none_or(|list| list.len() == plain) {
        status.addresses = None;
    }
    let kubelet_version = status
        .node_info
        .as_mut()
        .map(|info| std::mem::take(&mut info.kubelet_version))
        .map_or_else(Str::new, Str::from);
    let image = |image: core::ContainerImage| (texts(image.names), image.size_bytes.unwrap_or(0));
    let lowered = NodeStatus {
        capacity: resources(&at.field("capacity"), status.capacity.take()),
        allocatable: resources(&at.field("allocatable"), status.allocatable.take()),
        conditions: conditions!(status.conditions.take(), last_heartbeat_time),
        images: status.images.take().unwrap_or_default().into_iter().map(image).collect(),
        internal_ip,
        kubelet_version,
        volumes_in_use: texts(status.volumes_in_use.take()),
        volumes_attached: status
            .volumes_attached
            .take()
            .unwrap_or_default()
            .into_iter()
            .map(|volume| volume.name.into())
            .collect(),
        rest: None,
    };
    let rest = (status != core::NodeStatus::default()).then(|| Arc::new(BoundaryPart::new(status)));
    NodeStatus { rest, ..lowered }
}

/// Lowers a Namespace, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_namespace(mut value: core::Namespace) -> Result<Namespace, Vec<LowerError>> {
    defaults::default_namespace(&mut value);
    collect(|at| {
        let status = value.status.unwrap_or_default();
        let phase = status.phase.as_deref().unwrap_or("Active");
        Namespace {
            meta: lower_meta(value.metadata),
            spec_finalizers: texts(value.spec.and_then(|s| s.finalizers)),
            terminating: at.field("status").field("phase").one_of(
                phase,
                &[("Active", false), ("Terminating", true)],
                false,
            ),
            conditions: conditions!(status.conditions),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    #[test]
    fn nodes_keep_what_no_field_carries() {
        let node = |status: serde_json::Value| {
            let value = json!({
                "metadata": {"name": "n"},
                "spec": {"unschedulable": true, "taints": [{"key": "k", "effect": "NoExecute"}]},
                "status": status,
            });
            lower_node(from_value(value).unwrap()).unwrap()
        };
        let plain = node(json!({
            "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"},
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n"}],
        }));
        assert!(plain.unschedulable);
        assert_eq!(plain.taints[0].to_string(), "k:NoExecute");
        assert_eq!(plain.status.allocatable.cpu_milli(), 4000);
        assert_eq!((plain.status.internal_ip.as_str(), &plain.status.rest), ("10.0.0.1", &None));

        let rich = node(json!({"addresses": [{"type": "ExternalIP", "address": "1.2.3.4"}],
            "nodeInfo": {"kubeletVersion": "v1.34.1", "osImage": "x"}}));
        assert_eq!(rich.status.kubelet_version, "v1.34.1");
        let rest = &rich.status.rest.unwrap().value;
        assert_eq!(
            rest.node_info.as_ref().map(|i| (i.os_image.as_str(), i.kubelet_version.as_str())),
            Some(("x", ""))
        );
        assert_eq!(rest.addresses.as_ref().map(Vec::len), Some(1));
    }

    #[test]
    fn unknown_effects_are_refused() {
        let node: core::Node =
            from_value(json!({"spec": {"taints": [{"key": "k", "effect": "No"}]}})).unwrap();
        assert_eq!(
            lower_node(node).unwrap_err()[0].to_string(),
            "spec.taints[0].effect: Unsupported value: \"No\": supported values: \"NoExecute\", \"NoSchedule\", \"PreferNoSchedule\""
        );
    }

    #[test]
    fn namespaces_carry_their_name_as_a_label() {
        let value = json!({"metadata": {"name": "a"}, "status": {"phase": "Terminating"}});
        let namespace = lower_namespace(from_value(value).unwrap()).unwrap();
        assert_eq!(namespace.meta.labels.get("kubernetes.io/metadata.name").map(Str::as_str), Some("a"));
        assert!(namespace.terminating);
    }
}
