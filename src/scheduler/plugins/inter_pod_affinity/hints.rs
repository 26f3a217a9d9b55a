//! Whether an event may let a Pod fit that this plugin has refused.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/plugin.go` (`isSchedulableAfter…`), v1.34.

use crate::api::{Labels, Node, Pod};
use crate::scheduler::framework::pod_info::{AffinityTerm, PodShape};

/// After a Pod came, changed or went.
///
/// As upstream, namespaces are not looked up here: a namespace selector sees a namespace without labels.
pub fn after_pod(shape: &PodShape, old: Option<&Pod>, new: Option<&Pod>) -> bool {
    if [old, new].into_iter().flatten().any(|other| other.node_name.is_none()) {
        return false;
    }
    let none = Labels::default();
    let all_match = |terms: &[AffinityTerm], other: &Pod| {
        !terms.is_empty() && terms.iter().all(|t| t.matches(&other.meta.namespace, &other.meta.labels, &none))
    };
    let (near, far) = (&shape.required_affinity, &shape.required_anti_affinity);
    match (old, new) {
        (Some(old), Some(new)) => {
            (!all_match(near, old) && all_match(near, new)) || (all_match(far, old) && !all_match(far, new))
        }
        (None, Some(new)) => all_match(near, new),
        (Some(old), None) => all_match(far, old),
        (None, None) => true,
    }
}

/// After a node came or changed.
pub fn after_node(shape: &PodShape, old: Option<&Node>, new: Option<&Node>) -> bool {
    let Some(new) = new else { return true };
    let Some(old) = old else {
        // A node without the key takes every Pod with anti-affinity, so any new node is worth a try for those.
        return !shape.required_anti_affinity.is_empty()
            || shape.required_affinity.iter().any(|t| new.meta.labels.contains_key(&t.topology_key));
    };
    let value = |node: &Node, term: &AffinityTerm| node.meta.labels.get(&term.topology_key).cloned();
    let near = |t: &AffinityTerm| value(new, t).is_some() && value(old, t) != value(new, t);
    let far = |t: &AffinityTerm| value(old, t).is_some() && value(old, t) != value(new, t);
    shape.required_affinity.iter().any(near) || shape.required_anti_affinity.iter().any(far)
}
