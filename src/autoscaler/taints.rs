//! Taints that come and go: which of them a new node will not have, and which say that a node is still starting.
//!
//! Upstream: `cluster-autoscaler/utils/taints/taints.go`, 1.34.

use super::{TAINT_CANDIDATE, TAINT_TO_BE_DELETED};
use crate::api::Node;
use crate::params::settings::ClusterAutoscaler as Flags;

/// Keys that begin so are taken away by whoever gets a node ready.
const STARTUP_PREFIXES: [&str; 2] =
    ["ignore-taint.cluster-autoscaler.kubernetes.io/", "startup-taint.cluster-autoscaler.kubernetes.io/"];
/// Keys that begin so tell of the state of a node, which is ready all the same.
const STATUS_PREFIX: &str = "status-taint.cluster-autoscaler.kubernetes.io/";
/// Taints that stand for conditions of a node.
const OF_CONDITIONS: [&str; 11] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/pid-pressure",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "node.cloudprovider.kubernetes.io/shutdown",
    "cloud.google.com/impending-node-termination",
    "NodeWithImpairedVolumes",
];

/// Whether a taint of this key is there only until its node is ready to take Pods.
fn is_startup(flags: &Flags, key: &str) -> bool {
    let mut named = flags.startup_taint.iter().chain(&flags.ignore_taint);
    named.any(|name| name == key) || STARTUP_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

fn is_status(flags: &Flags, key: &str) -> bool {
    flags.status_taint.iter().any(|name| name == key) || key.starts_with(STATUS_PREFIX)
}

/// Whether another node made after one with a taint of this key will have it as well, and keep it.
pub fn is_of_the_group(flags: &Flags, key: &str) -> bool {
    key != TAINT_TO_BE_DELETED
        && key != TAINT_CANDIDATE
        && !OF_CONDITIONS.contains(&key)
        && !is_startup(flags, key)
        && !is_status(flags, key)
}

/// Whether a node is ready as the autoscaler sees it: one with a start-up taint is not.
pub fn is_ready(flags: &Flags, node: &Node) -> bool {
    node.is_ready() && !node.taints.iter().any(|taint| is_startup(flags, &taint.key))
}

/// Whether a node has a taint of this key.
pub fn has_taint(node: &Node, key: &str) -> bool {
    node.taints.iter().any(|t| t.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Condition, ConditionStatus};
    use crate::testkit;

    /// §3.6: what is left of a node's taints in a template, and which nodes with taints count as ready.
    #[test]
    fn taints_that_pass_are_no_part_of_the_group() {
        let flags = Flags {
            startup_taint: vec!["ebs.csi.aws.com/agent-not-ready".into()],
            ignore_taint: vec!["example.com/old".into()],
            status_taint: vec!["example.com/full".into()],
            ..Flags::default()
        };
        for (key, stays, ready) in [
            ("dedicated", true, true),
            ("ebs.csi.aws.com/agent-not-ready", false, false),
            ("efs.csi.aws.com/agent-not-ready", true, true),
            ("example.com/old", false, false),
            ("startup-taint.cluster-autoscaler.kubernetes.io/cni", false, false),
            ("ignore-taint.cluster-autoscaler.kubernetes.io/cni", false, false),
            ("status-taint.cluster-autoscaler.kubernetes.io/full", false, true),
            ("example.com/full", false, true),
            ("node.kubernetes.io/disk-pressure", false, true),
            (TAINT_TO_BE_DELETED, false, true),
            (TAINT_CANDIDATE, false, true),
        ] {
            assert_eq!(is_of_the_group(&flags, key), stays, "{key}");
            let mut node = Node::default();
            let at = testkit::calendar().start;
            node.status.conditions = vec![Condition::new("Ready", ConditionStatus::True, "", "", at)];
            node.taints = vec![crate::api::Taint {
                key: key.into(),
                value: crate::base::Str::new(),
                effect: crate::api::TaintEffect::NoSchedule,
                time_added: None,
            }];
            assert_eq!(is_ready(&flags, &node), ready, "{key}");
        }
    }
}
