//! Manifests of Nodes and CSINodes: merged into the nodes of the cluster, or nodes of their own.

use super::cluster::Cluster;
use super::code;
use super::read::Reader;
use crate::api::node::{ARCH_LABEL, HOSTNAME_LABEL, OS_LABEL};
use crate::api::storage::CsiNode;
use crate::api::{Labels, Meta, Node, Object};
use crate::cloud::PlannedNode;
use crate::plan::PlannedObject;

/// Takes Nodes out of the manifests: one whose name the cluster has is merged into that node, one that
/// describes a machine (`status.allocatable` or `status.capacity`) becomes a node of the cluster. A
/// CSINode of the same name says what drivers the node has.
pub fn merge_manifests(reader: &mut Reader<'_>, cluster: &mut Cluster, manifests: &mut Vec<PlannedObject>) {
    let all = std::mem::take(manifests);
    let (nodes, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|o| matches!(o.object, Object::Node(_)));
    for planned in nodes {
        let Object::Node(node) = &planned.object else { continue };
        match cluster.nodes.iter_mut().find(|n| *n.name() == node.meta.name) {
            Some(known) => merge(known, node),
            None if node.status.allocatable.is_empty() && node.status.capacity.is_empty() => {
                let message = format!("the cluster has no node `{}` to merge this into", node.meta.name);
                reader.cure::<()>(
                    code::UNKNOWN_PLACE,
                    planned.origin,
                    message,
                    "name it under `spec.cluster.nodes`, or give it `status.capacity`",
                );
            }
            None => cluster.nodes.push(machine(node, cluster)),
        }
    }
    for planned in rest {
        match &planned.object {
            Object::CsiNode(csi) => {
                let node = cluster.nodes.iter_mut().find(|n| *n.name() == csi.meta.name);
                match node {
                    Some(node) => node.csi_node = CsiNode::clone(csi),
                    None => manifests.push(planned),
                }
            }
            _ => manifests.push(planned),
        }
    }
    for node in &cluster.nodes {
        if !node.zone.is_empty() && !cluster.zones.contains(&node.zone) {
            cluster.zones.push(node.zone.clone());
        }
    }
}

/// What an apply of a Node's manifest changes of a node that is there.
fn merge(known: &mut PlannedNode, manifest: &Node) {
    let node = &mut known.node;
    node.meta.labels = node.meta.labels.merged(&manifest.meta.labels);
    node.meta.annotations = node.meta.annotations.merged(&manifest.meta.annotations);
    node.unschedulable |= manifest.unschedulable;
    for taint in &manifest.taints {
        node.taints.retain(|t| !t.matches(taint));
        node.taints.push(taint.clone());
    }
    for (list, given) in [
        (&mut node.status.capacity, &manifest.status.capacity),
        (&mut node.status.allocatable, &manifest.status.allocatable),
    ] {
        list.0.extend(given.0.iter().map(|(k, v)| (k.clone(), *v)));
    }
    let zone = node.zone();
    known.zone = zone;
}

/// A machine as a Node's manifest describes it.
fn machine(manifest: &Node, cluster: &Cluster) -> PlannedNode {
    let mut node = manifest.clone();
    let name = node.meta.name.clone();
    let known: Labels =
        [(HOSTNAME_LABEL, name.as_str()), (OS_LABEL, "linux"), (ARCH_LABEL, "amd64")].into_iter().collect();
    node.meta.labels = known.merged(&node.meta.labels);
    // Conditions are the kubelet's to write, and so are the taints that follow from them.
    node.status.conditions.clear();
    node.taints.retain(|t| !t.key.starts_with("node.kubernetes.io/"));
    let status = &mut node.status;
    if status.capacity.is_empty() {
        status.capacity = status.allocatable.clone();
    }
    if status.allocatable.is_empty() {
        status.allocatable = status.capacity.clone();
    }
    if status.kubelet_version.is_empty() {
        status.kubelet_version = cluster.version.kubelet().into();
    }
    let csi_node = CsiNode { meta: Meta::named("", name), drivers: Vec::new() };
    let zone = node.zone();
    PlannedNode { node, csi_node, zone, group: None }
}
