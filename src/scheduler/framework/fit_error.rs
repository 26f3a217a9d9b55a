//! The sentence that says why a Pod fits nowhere.
//!
//! Upstream: `pkg/scheduler/framework/types.go` (`FitError.Error`), v1.34.

use std::collections::BTreeMap;

use super::status::NodeStatuses;
use crate::base::Str;

/// `0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods. <post_filter>`.
///
/// If PreFilter refused the Pod its message stands in place of the counted reasons. Counted reasons are ordered as
/// texts, count included.
pub fn fit_error(nodes: usize, pre_filter: &str, statuses: &NodeStatuses, post_filter: &str) -> String {
    let mut text = if pre_filter.is_empty() {
        statuses.fit_message(nodes)
    } else {
        format!("0/{nodes} nodes are available: {pre_filter}.")
    };
    if !post_filter.is_empty() {
        text.push(' ');
        text.push_str(post_filter);
    }
    text
}

/// Stable names of the reasons with how many nodes gave each, in the order of the names. What PreFilter says counts
/// once.
pub fn count_causes(nodes: usize, pre_filter: bool, statuses: &NodeStatuses) -> Vec<(Str, u32)> {
    let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
    for reason in statuses.iter().flat_map(|status| status.reasons()).filter(|r| !r.cause.is_empty()) {
        *counts.entry(reason.cause).or_default() += 1;
    }
    if pre_filter || statuses.len() < nodes {
        let times = if pre_filter { 1 } else { (nodes - statuses.len()) as u32 };
        for reason in statuses.absent().reasons().filter(|r| !r.cause.is_empty()) {
            *counts.entry(reason.cause).or_default() += times;
        }
    }
    counts.into_iter().map(|(cause, count)| (Str::from(cause), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::framework::{NodeId, Status};

    #[test]
    fn reasons_are_ordered_as_texts_and_absent_nodes_count() {
        let mut statuses = NodeStatuses::new();
        for id in 0..12 {
            statuses.set(NodeId(id), Status::unschedulable("b", "B"));
        }
        statuses.set(NodeId(12), Status::unschedulable("a", ""));
        statuses.set(NodeId(13), Status::unschedulable("a", ""));
        assert_eq!(fit_error(14, "", &statuses, ""), "0/14 nodes are available: 12 b, 2 a.");
        assert_eq!(fit_error(14, "", &statuses, "x."), "0/14 nodes are available: 12 b, 2 a. x.");
        assert_eq!(fit_error(14, "no", &statuses, ""), "0/14 nodes are available: no.");
        statuses.set_absent(Status::unresolvable("c", "C"));
        assert_eq!(fit_error(15, "", &statuses, ""), "0/15 nodes are available: 1 c, 12 b, 2 a.");
        assert_eq!(count_causes(15, false, &statuses), [("B".into(), 12), ("C".into(), 1)]);
        assert_eq!(fit_error(0, "", &NodeStatuses::new(), ""), "0/0 nodes are available:");
    }
}
