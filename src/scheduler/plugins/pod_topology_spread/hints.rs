//! Whether an event may let a Pod fit that this plugin has refused.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread/plugin.go` (`isSchedulableAfter…`), v1.34.

use super::constraint::{Constraint, has_all_keys};
use crate::api::{Node, Pod};

/// Whether a change of `other` concerns `pod`: it is the Pod itself, or one of its namespace that has a node.
fn concerns(other: &Pod, pod: &Pod) -> bool {
    other.meta.uid == pod.meta.uid
        || (other.node_name.is_some() && other.meta.namespace == pod.meta.namespace)
}

/// After a Pod came, changed or went.
pub fn after_pod(pod: &Pod, constraints: &[Constraint], old: Option<&Pod>, new: Option<&Pod>) -> bool {
    if [old, new].into_iter().flatten().any(|other| !concerns(other, pod)) {
        return false;
    }
    let selected = |other: &Pod| constraints.iter().any(|c| c.selector.matches(&other.meta.labels));
    match (old, new) {
        (Some(old), Some(new)) => {
            let more_tolerant = new.meta.uid == pod.meta.uid
                && new.spec.tolerations != old.spec.tolerations
                && constraints.iter().any(|c| c.honor_taints);
            more_tolerant
                || constraints
                    .iter()
                    .any(|c| c.selector.matches(&old.meta.labels) != c.selector.matches(&new.meta.labels))
        }
        (None, Some(other)) | (Some(other), None) => selected(other),
        (None, None) => true,
    }
}

/// After a node came, changed or went.
pub fn after_node(constraints: &[Constraint], old: Option<&Node>, new: Option<&Node>) -> bool {
    let counts = |node: &Node| has_all_keys(&node.meta.labels, constraints);
    match (old, new) {
        (Some(old), Some(new)) => {
            let moved = || {
                constraints
                    .iter()
                    .any(|c| old.meta.labels.get(&c.topology_key) != new.meta.labels.get(&c.topology_key))
            };
            counts(old) != counts(new) || (counts(new) && (moved() || old.taints != new.taints))
        }
        (None, Some(node)) | (Some(node), None) => counts(node),
        (None, None) => true,
    }
}
