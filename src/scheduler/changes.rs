//! What a change of an object means for Pods that wait.
//!
//! Upstream: `pkg/scheduler/framework/events.go`, v1.34.

use super::framework::resources::PodResources;
use super::framework::{ActionType, ClusterEvent, EventResource};
use crate::api::{ConditionStatus, Node, Object, Pod};
use crate::base::Str;

/// What changed of a Pod, as specific as possible.
pub fn of_pod(old: &Pod, new: &Pod) -> Vec<ClusterEvent> {
    let assigned = new.node_name.as_ref().is_some_and(|n| !n.is_empty());
    let resource = if assigned { EventResource::AssignedPod } else { EventResource::UnscheduledPod };
    let (was, is) = (&old.spec, &new.spec);
    let same_spec = crate::base::Arc::ptr_eq(was, is);
    let specific = [
        (old.meta.labels != new.meta.labels, ActionType::UPDATE_POD_LABEL),
        (is_scaled_down(old, new), ActionType::UPDATE_POD_SCALE_DOWN),
        (
            !same_spec && is.scheduling_gates.is_empty() && !was.scheduling_gates.is_empty(),
            ActionType::UPDATE_POD_SCHEDULING_GATES_ELIMINATED,
        ),
        (!same_spec && is.tolerations.len() != was.tolerations.len(), ActionType::UPDATE_POD_TOLERATION),
    ];
    let mut events: Vec<ClusterEvent> = specific
        .into_iter()
        .filter(|(changed, _)| *changed)
        .map(|(_, action)| ClusterEvent::new(resource, action))
        .collect();
    if events.is_empty() {
        events.push(ClusterEvent::new(resource, ActionType::UPDATE));
    }
    events
}

/// Whether the Pod requests less of anything.
fn is_scaled_down(old: &Pod, new: &Pod) -> bool {
    if crate::base::Arc::ptr_eq(&old.spec, &new.spec) && !old.is_resized() && !new.is_resized() {
        return false;
    }
    let (had, has) = (PodResources::of(old).list, PodResources::of(new).list);
    had.0.iter().any(|(name, had)| has.get(name).is_none_or(|has| had.milli_value() > has.milli_value()))
}

/// What changed of a node.
pub fn of_node(old: &Node, new: &Node) -> Vec<ClusterEvent> {
    let specific = [
        (old.unschedulable && !new.unschedulable, ActionType::UPDATE_NODE_TAINT),
        (old.status.allocatable != new.status.allocatable, ActionType::UPDATE_NODE_ALLOCATABLE),
        (old.meta.labels != new.meta.labels, ActionType::UPDATE_NODE_LABEL),
        (old.taints != new.taints, ActionType::UPDATE_NODE_TAINT),
        (conditions(old) != conditions(new), ActionType::UPDATE_NODE_CONDITION),
        (old.meta.annotations != new.meta.annotations, ActionType::UPDATE_NODE_ANNOTATION),
    ];
    specific
        .into_iter()
        .filter(|(changed, _)| *changed)
        .map(|(_, action)| ClusterEvent::new(EventResource::Node, action))
        .collect()
}

fn conditions(node: &Node) -> Vec<(&Str, ConditionStatus)> {
    let mut all: Vec<_> = node.status.conditions.iter().map(|c| (&c.kind, c.status)).collect();
    all.sort_unstable();
    all
}

/// The event resource of kinds that raise events as a whole.
pub const fn resource_of(object: &Object) -> Option<EventResource> {
    Some(match object {
        Object::PersistentVolume(_) => EventResource::PersistentVolume,
        Object::PersistentVolumeClaim(_) => EventResource::PersistentVolumeClaim,
        Object::StorageClass(_) => EventResource::StorageClass,
        Object::CsiNode(_) => EventResource::CsiNode,
        Object::CsiDriver(_) => EventResource::CsiDriver,
        Object::CsiStorageCapacity(_) => EventResource::CsiStorageCapacity,
        Object::VolumeAttachment(_) => EventResource::VolumeAttachment,
        _ => return None,
    })
}
