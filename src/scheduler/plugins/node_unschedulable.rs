//! NodeUnschedulable: cordoned nodes take only Pods that tolerate it.
//!
//! Upstream: `pkg/scheduler/framework/plugins/nodeunschedulable/node_unschedulable.go`, v1.34.

use crate::api::taint::{Taint, TaintEffect, Toleration};
use crate::api::{Object, Pod};
use crate::base::Str;
use crate::base::text::lit;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, Hint,
    NodeInfo, PodInfo, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "NodeUnschedulable";

const REASON: &str = "node(s) were unschedulable";

#[derive(Debug)]
struct NodeUnschedulable {
    taint: Taint,
}

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    let taint = Taint {
        key: lit!("node.kubernetes.io/unschedulable"),
        value: Str::new(),
        effect: TaintEffect::NoSchedule,
        time_added: None,
    };
    Extensions::of(NAME, NodeUnschedulable { taint }).filter().enqueue().of_object().done()
}

impl NodeUnschedulable {
    fn is_tolerated(&self, tolerations: &[Toleration]) -> bool {
        tolerations.iter().any(|t| t.tolerates(&self.taint))
    }

    /// Whether the Pod's own new tolerations let it onto cordoned nodes.
    fn after_toleration(&self, pod: &PodInfo, new: &Pod) -> Hint {
        Hint::queue_if(new.meta.uid == *pod.uid() && self.is_tolerated(&new.spec.tolerations))
    }
}

impl Filter for NodeUnschedulable {
    fn filter(&self, _: &Snapshot, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        if node.is_unschedulable() && !self.is_tolerated(&pod.pod.spec.tolerations) {
            return Err(Status::unresolvable(REASON, cause::NODE_UNSCHEDULABLE));
        }
        Ok(())
    }
}

impl EnqueueExtensions for NodeUnschedulable {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![
            ClusterEvent::new(EventResource::Node, ActionType::ADD | ActionType::UPDATE_NODE_TAINT),
            ClusterEvent::new(EventResource::Pod, ActionType::UPDATE_POD_TOLERATION),
        ]
    }

    fn hint(
        &self,
        _: &Snapshot,
        _: ClusterEvent,
        pod: &PodInfo,
        old: Option<&Object>,
        new: Option<&Object>,
    ) -> Hint {
        match new {
            Some(Object::Pod(new)) => self.after_toleration(pod, new),
            _ => Hint::if_node_passes_now(old, new, |node| !node.unschedulable),
        }
    }
}
