//! Which groups are alike, so that a scale-up may be spread over them.
//!
//! Upstream: `cluster-autoscaler/processors/nodegroupset/{compare_nodegroups,aws_nodegroups}.go`, 1.34.

use super::template::Template;
use crate::api::node::NODE_GROUP_LABEL;
use crate::api::resources::MEMORY;
use crate::api::{Labels, ResourceList};
use crate::base::Quantity;
use crate::params::settings::ClusterAutoscaler as Flags;

/// Labels in which nodes of similar groups may differ. The last one is this simulator's name of a group, as
/// `eks.amazonaws.com/nodegroup` is EKS's.
const IGNORED: [&str; 15] = [
    "kubernetes.io/hostname",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "beta.kubernetes.io/fluentd-ds-ready",
    "kops.k8s.io/instancegroup",
    "alpha.eksctl.io/instance-id",
    "alpha.eksctl.io/nodegroup-name",
    "eks.amazonaws.com/nodegroup",
    "k8s.amazonaws.com/eniConfig",
    "lifecycle",
    "topology.ebs.csi.aws.com/zone",
    "topology.k8s.aws/zone-id",
    NODE_GROUP_LABEL,
];

/// Whether nodes after these templates are alike.
pub fn are_similar(flags: &Flags, a: &Template, b: &Template) -> bool {
    let (left, right) = (&a.node.status, &b.node.status);
    same_capacity(flags, &left.capacity, &right.capacity)
        && all_within(&left.allocatable, &right.allocatable, flags.max_allocatable_difference_ratio)
        && all_within(&free(a), &free(b), flags.max_free_difference_ratio)
        && same_labels(&a.node.meta.labels, &b.node.meta.labels)
}

fn same_capacity(flags: &Flags, a: &ResourceList, b: &ResourceList) -> bool {
    a.0.len() == b.0.len()
        && a.0.iter().all(|(name, have)| {
            b.get(name).is_some_and(|other| match name.as_str() {
                MEMORY => within(*have, other, flags.memory_difference_ratio),
                _ => *have == other,
            })
        })
}

fn all_within(a: &ResourceList, b: &ResourceList, ratio: f64) -> bool {
    a.0.len() == b.0.len()
        && a.0.iter().all(|(name, have)| b.get(name).is_some_and(|other| within(*have, other, ratio)))
}

/// Upstream: float64.
fn within(a: Quantity, b: Quantity, ratio: f64) -> bool {
    let (a, b) = (a.milli_value() as f64, b.milli_value() as f64);
    a.max(b) - a.min(b) <= a.max(b) * ratio
}

/// What the DaemonSet Pods of a new node leave of CPU and memory.
fn free(template: &Template) -> ResourceList {
    let room = &template.node.status.allocatable;
    let (cpu, memory) = template.daemons.iter().fold((0, 0), |(cpu, memory), pod| {
        let requests = &pod.resources.requests;
        (cpu + requests.milli_cpu, memory + requests.memory)
    });
    [
        ("cpu", Quantity::from_milli(room.cpu_milli() - cpu)),
        (MEMORY, Quantity::from_bytes(room.memory() - memory)),
    ]
    .into_iter()
    .collect()
}

fn same_labels(a: &Labels, b: &Labels) -> bool {
    let told = |labels: &Labels| -> Vec<(String, String)> {
        let kept = labels.iter().filter(|(key, _)| !IGNORED.contains(&key.as_str()));
        kept.map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    told(a) == told(b)
}
