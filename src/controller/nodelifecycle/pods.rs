//! Pods of a node that is not ready.
//!
//! Upstream: `pkg/controller/util/node/controller_utils.go` `MarkPodsNotReady`, v1.34: only the status of
//! the condition `Ready` changes; reason, message, phase and all other conditions stay.

use crate::api::pod::cond;
use crate::api::{ConditionStatus, EventType, Node, ObjectKey, ObjectRef, Pod, condition};
use crate::controller::Ctx;

/// Marks every Pod of a node.
pub fn mark_not_ready(ctx: &mut Ctx<'_>, node: &str) {
    let pods: Vec<ObjectKey> = ctx.store().pods_on(node).map(|p| p.meta.key()).collect();
    for pod in pods {
        mark(ctx, &pod);
    }
}

/// Marks a Pod that was just bound, if its node has a condition `Ready` that is not `True`.
pub fn sync(ctx: &mut Ctx<'_>, key: &ObjectKey) {
    let node = ctx.store().get::<Pod>(key).and_then(|p| p.node_name.clone());
    let node = node.and_then(|name| ctx.store().find::<Node>("", &name));
    let ready = node.and_then(|n| condition::find(&n.status.conditions, "Ready"));
    if ready.is_some_and(|c| !c.is_true()) {
        mark(ctx, key);
    }
}

fn mark(ctx: &mut Ctx<'_>, key: &ObjectKey) {
    let now = ctx.timestamp();
    let Some(pod) = ctx.store().get::<Pod>(key).cloned() else { return };
    if pod.ready_condition().is_none_or(|c| c.status == ConditionStatus::False) {
        return;
    }
    let written = ctx.update::<Pod>(key, |pod| {
        if let Some(ready) = pod.status.conditions.iter_mut().find(|c| c.kind == cond::READY) {
            ready.status = ConditionStatus::False;
            ready.transition = Some(now);
        }
    });
    if written.is_ok() {
        ctx.event(ObjectRef::to(&*pod), EventType::Warning, "NodeNotReady", "Node is not ready");
    }
}
