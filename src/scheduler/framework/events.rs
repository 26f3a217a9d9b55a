//! What can happen in a cluster, as plugins register for it, and their hints.
//!
//! Upstream: `kube-scheduler/framework/types.go`, `pkg/scheduler/framework/types.go` (`MatchClusterEvents`), v1.34.

use std::ops::BitOr;

use crate::api::{Node, Object};

/// A kind of object that events are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventResource {
    /// Pods. Registered only; what comes in is one of the next two.
    Pod,
    /// Pods that have a node. Comes in only.
    AssignedPod,
    /// Pods that have none. Comes in only.
    UnscheduledPod,
    /// Nodes.
    Node,
    /// PersistentVolumes.
    PersistentVolume,
    /// PersistentVolumeClaims.
    PersistentVolumeClaim,
    /// CSINodes.
    CsiNode,
    /// CSIDrivers.
    CsiDriver,
    /// VolumeAttachments.
    VolumeAttachment,
    /// CSIStorageCapacities.
    CsiStorageCapacity,
    /// StorageClasses.
    StorageClass,
    /// ResourceClaims.
    ResourceClaim,
    /// ResourceSlices.
    ResourceSlice,
    /// DeviceClasses.
    DeviceClass,
    /// Everything.
    WildCard,
}

impl EventResource {
    /// What a plugin that registers nothing by itself hears of.
    pub const REGISTRABLE: [Self; 10] = [
        Self::Pod,
        Self::Node,
        Self::PersistentVolume,
        Self::PersistentVolumeClaim,
        Self::CsiNode,
        Self::CsiDriver,
        Self::CsiStorageCapacity,
        Self::StorageClass,
        Self::ResourceClaim,
        Self::DeviceClass,
    ];
}

/// What happened to an object; a set of them when registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionType(u32);

impl ActionType {
    /// It came.
    pub const ADD: Self = Self(1);
    /// It went.
    pub const DELETE: Self = Self(1 << 1);
    /// A node's allocatable resources changed.
    pub const UPDATE_NODE_ALLOCATABLE: Self = Self(1 << 2);
    /// A node's labels changed.
    pub const UPDATE_NODE_LABEL: Self = Self(1 << 3);
    /// A node's taints changed or it was uncordoned.
    pub const UPDATE_NODE_TAINT: Self = Self(1 << 4);
    /// The status of a node's condition changed.
    pub const UPDATE_NODE_CONDITION: Self = Self(1 << 5);
    /// A node's annotations changed.
    pub const UPDATE_NODE_ANNOTATION: Self = Self(1 << 6);
    /// A Pod's labels changed.
    pub const UPDATE_POD_LABEL: Self = Self(1 << 7);
    /// A Pod asks for less.
    pub const UPDATE_POD_SCALE_DOWN: Self = Self(1 << 8);
    /// A Pod got a toleration.
    pub const UPDATE_POD_TOLERATION: Self = Self(1 << 9);
    /// A Pod lost its last scheduling gate.
    pub const UPDATE_POD_SCHEDULING_GATES_ELIMINATED: Self = Self(1 << 10);
    /// A Pod's generated resource claims changed.
    pub const UPDATE_POD_GENERATED_RESOURCE_CLAIM: Self = Self(1 << 11);
    /// Everything.
    pub const ALL: Self = Self((1 << 12) - 1);
    /// Any change of an object that stays.
    pub const UPDATE: Self = Self(Self::ALL.0 & !0b11);

    /// Both sets.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets share an action.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for ActionType {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

/// Something that happens to objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterEvent {
    /// The kind.
    pub resource: EventResource,
    /// What happens.
    pub actions: ActionType,
}

impl ClusterEvent {
    /// Upstream's `EventUnschedulableTimeout` and its like: moves every Pod.
    pub const WILDCARD: Self = Self { resource: EventResource::WildCard, actions: ActionType::ALL };

    /// An event.
    pub const fn new(resource: EventResource, actions: ActionType) -> Self {
        Self { resource, actions }
    }

    /// Whether this registration covers what came in.
    pub fn covers(self, incoming: Self) -> bool {
        if self == Self::WILDCARD {
            return true;
        }
        let resource = self.resource == EventResource::WildCard
            || self.resource == incoming.resource
            || (self.resource == EventResource::Pod
                && matches!(incoming.resource, EventResource::AssignedPod | EventResource::UnscheduledPod));
        resource && self.actions.meets(incoming.actions) && incoming.actions <= self.actions
    }
}

/// What a plugin makes of an event for a Pod that it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It changes nothing.
    Skip,
    /// The Pod may fit now.
    Queue,
}

impl Hint {
    /// `Queue` if `useful`.
    pub const fn queue_if(useful: bool) -> Self {
        if useful { Self::Queue } else { Self::Skip }
    }

    /// For a node that came or changed: `Queue` if it passes now and did not before. What else happened may help.
    pub fn if_node_passes_now(
        old: Option<&Object>,
        new: Option<&Object>,
        passes: impl Fn(&Node) -> bool,
    ) -> Self {
        let Some(Object::Node(new)) = new else { return Self::Queue };
        let passed = matches!(old, Some(Object::Node(old)) if passes(old));
        Self::queue_if(!passed && passes(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_cover_what_is_as_specific_or_more() {
        use EventResource::{AssignedPod, Node, Pod};
        let on = ClusterEvent::new;
        let node_change = on(Node, ActionType::ADD | ActionType::UPDATE_NODE_LABEL);
        for (registered, incoming, expected) in [
            (node_change, on(Node, ActionType::UPDATE_NODE_LABEL), true),
            (node_change, on(Node, ActionType::UPDATE_NODE_TAINT), false),
            (node_change, on(Node, ActionType::UPDATE), false),
            (on(Node, ActionType::UPDATE), on(Node, ActionType::UPDATE_NODE_TAINT), true),
            (on(Pod, ActionType::DELETE), on(AssignedPod, ActionType::DELETE), true),
            (on(AssignedPod, ActionType::DELETE), on(Pod, ActionType::DELETE), false),
            (node_change, ClusterEvent::WILDCARD, false),
            (ClusterEvent::WILDCARD, on(Node, ActionType::ADD), true),
        ] {
            assert_eq!(registered.covers(incoming), expected, "{registered:?} {incoming:?}");
        }
    }
}
