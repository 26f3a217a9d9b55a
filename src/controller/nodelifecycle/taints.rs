//! Taints that follow from a node's conditions, and how a controller puts them on and takes them off.
//!
//! Upstream: `pkg/controller/nodelifecycle/node_lifecycle_controller.go`,
//! `pkg/controller/controller_utils.go`, v1.34.

use crate::api::{Condition, ConditionStatus, Node, ObjectKey, Taint, TaintEffect, condition};
use crate::base::{Str, Timestamp};
use crate::controller::Ctx;
use crate::store::admission::{TAINT_NOT_READY, TAINT_UNREACHABLE};

/// The taint of a cordoned node.
pub const TAINT_UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, the status that taints, and the key of the `NoSchedule` taint.
const BY_CONDITION: &[(&str, ConditionStatus, &str)] = &[
    ("Ready", ConditionStatus::False, TAINT_NOT_READY),
    ("Ready", ConditionStatus::Unknown, TAINT_UNREACHABLE),
    ("MemoryPressure", ConditionStatus::True, "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", ConditionStatus::True, "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", ConditionStatus::True, "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", ConditionStatus::True, "node.kubernetes.io/pid-pressure"),
];

/// A taint without a value.
pub fn taint(key: &'static str, effect: TaintEffect) -> Taint {
    Taint { key: key.into(), value: Str::new(), effect, time_added: None }
}

/// The `NoExecute` taint that a status of the condition `Ready` calls for; none if it is `True`.
pub fn no_execute(ready: ConditionStatus) -> Option<Taint> {
    match ready {
        ConditionStatus::True => None,
        ConditionStatus::False => Some(taint(TAINT_NOT_READY, TaintEffect::NoExecute)),
        ConditionStatus::Unknown => Some(taint(TAINT_UNREACHABLE, TaintEffect::NoExecute)),
    }
}

/// The `NoExecute` taint of the other kind of outage.
pub fn opposite(ready: ConditionStatus) -> Option<Taint> {
    match ready {
        ConditionStatus::True => None,
        ConditionStatus::False => no_execute(ConditionStatus::Unknown),
        ConditionStatus::Unknown => no_execute(ConditionStatus::False),
    }
}

/// Whether the node has a taint of this key and effect.
pub fn has(node: &Node, taint: &Taint) -> bool {
    node.taints.iter().any(|t| t.matches(taint))
}

/// The status of the condition `Ready`; none if it was never posted.
pub fn ready_status(node: &Node) -> Option<ConditionStatus> {
    condition::find(&node.status.conditions, "Ready").map(|c| c.status)
}

/// What must change for the `NoSchedule` taints to agree with conditions and cordon: to add, to remove.
pub fn no_schedule_changes(node: &Node) -> (Vec<Taint>, Vec<Taint>) {
    let taints_by = |c: &Condition| {
        BY_CONDITION
            .iter()
            .find(|(kind, status, _)| *kind == c.kind && *status == c.status)
            .map(|(_, _, key)| taint(key, TaintEffect::NoSchedule))
    };
    let mut wanted: Vec<Taint> = node.status.conditions.iter().filter_map(taints_by).collect();
    if node.unschedulable {
        wanted.push(taint(TAINT_UNSCHEDULABLE, TaintEffect::NoSchedule));
    }
    let ours = |t: &Taint| {
        t.effect == TaintEffect::NoSchedule
            && (t.key == TAINT_UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, key)| t.key == *key))
    };
    let remove = node.taints.iter().filter(|t| ours(t) && !wanted.iter().any(|w| w.matches(t)));
    let remove = remove.cloned().collect();
    wanted.retain(|w| !has(node, w));
    (wanted, remove)
}

/// Adds taints, then removes others, in one write each.
pub fn swap(ctx: &mut Ctx<'_>, node: &Node, add: &[Taint], remove: &[Taint]) {
    add_to_node(ctx, &node.meta.key(), add);
    remove_from_node(ctx, &node.meta.key(), remove);
}

/// Adds taints; one of the same key and effect is replaced.
pub fn add_to_node(ctx: &mut Ctx<'_>, node: &ObjectKey, add: &[Taint]) {
    if add.is_empty() {
        return;
    }
    let now = ctx.timestamp();
    // A node that has gone meanwhile needs no taint.
    let _ = ctx.update_spec::<Node>(node, |node| add.iter().for_each(|t| put(&mut node.taints, t, now)));
}

fn put(taints: &mut Vec<Taint>, taint: &Taint, now: Timestamp) {
    let taint = Taint { time_added: Some(now), ..taint.clone() };
    match taints.iter_mut().find(|t| t.matches(&taint)) {
        Some(old) => *old = taint,
        None => taints.push(taint),
    }
}

/// Removes taints by key and effect.
pub fn remove_from_node(ctx: &mut Ctx<'_>, node: &ObjectKey, remove: &[Taint]) {
    if remove.is_empty() {
        return;
    }
    let _ =
        ctx.update_spec::<Node>(node, |node| node.taints.retain(|t| !remove.iter().any(|r| r.matches(t))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Meta;

    fn node(conditions: &[(&str, ConditionStatus)], taints: &[&'static str]) -> Node {
        let mut node = Node { meta: Meta::named("", "n"), ..Node::default() };
        let at = Timestamp::new(0);
        node.status.conditions = conditions.iter().map(|(k, s)| Condition::new(*k, *s, "", "", at)).collect();
        node.taints = taints.iter().map(|key| taint(key, TaintEffect::NoSchedule)).collect();
        node
    }

    fn keys(taints: &[Taint]) -> Vec<&str> {
        taints.iter().map(|t| t.key.as_str()).collect()
    }

    /// §6.4: every row of the table.
    #[test]
    fn each_condition_has_its_taint() {
        use ConditionStatus::{False, True, Unknown};
        for (kind, status, expected) in [
            ("Ready", True, None),
            ("Ready", False, Some("node.kubernetes.io/not-ready")),
            ("Ready", Unknown, Some("node.kubernetes.io/unreachable")),
            ("MemoryPressure", True, Some("node.kubernetes.io/memory-pressure")),
            ("DiskPressure", True, Some("node.kubernetes.io/disk-pressure")),
            ("PIDPressure", True, Some("node.kubernetes.io/pid-pressure")),
            ("NetworkUnavailable", True, Some("node.kubernetes.io/network-unavailable")),
            ("MemoryPressure", Unknown, None),
            ("NetworkUnavailable", False, None),
        ] {
            let (add, _) = no_schedule_changes(&node(&[(kind, status)], &[]));
            assert_eq!(keys(&add), expected.into_iter().collect::<Vec<_>>(), "{kind} {status}");
            // Only Ready evicts.
            let evicts = if kind == "Ready" { no_execute(status) } else { None };
            let key = evicts.map(|taint| (taint.key.to_string(), taint.effect));
            let wanted = expected.filter(|_| kind == "Ready").map(str::to_owned);
            assert_eq!(key, wanted.map(|key| (key, TaintEffect::NoExecute)), "{kind} {status}");
        }
    }

    /// §6.4.
    #[test]
    fn conditions_and_cordon_decide_the_no_schedule_taints() {
        let mut node = node(
            &[("Ready", ConditionStatus::Unknown), ("MemoryPressure", ConditionStatus::True)],
            &[TAINT_NOT_READY, "mine"],
        );
        node.unschedulable = true;
        let (add, remove) = no_schedule_changes(&node);
        assert_eq!(
            keys(&add),
            [TAINT_UNREACHABLE, "node.kubernetes.io/memory-pressure", "node.kubernetes.io/unschedulable"]
        );
        assert_eq!(keys(&remove), [TAINT_NOT_READY], "taints of others are left alone");
    }

    #[test]
    fn a_ready_node_needs_no_taint_of_ours() {
        let node = node(
            &[("Ready", ConditionStatus::True), ("MemoryPressure", ConditionStatus::Unknown)],
            &[TAINT_NOT_READY, TAINT_UNSCHEDULABLE],
        );
        let (add, remove) = no_schedule_changes(&node);
        assert!(add.is_empty());
        assert_eq!(keys(&remove), [TAINT_NOT_READY, TAINT_UNSCHEDULABLE]);
    }
}
