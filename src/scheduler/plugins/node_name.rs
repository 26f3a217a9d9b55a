//! NodeName: a Pod that names a node fits that node alone.
//!
//! Upstream: `pkg/scheduler/framework/plugins/nodename/node_name.go`, v1.34.

use crate::scheduler::framework::{
    ActionType, ClusterEvent, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, NodeInfo,
    PodInfo, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "NodeName";

const REASON: &str = "node(s) didn't match the requested node name";

#[derive(Debug)]
struct NodeName;

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, NodeName).filter().enqueue().of_object().done()
}

impl Filter for NodeName {
    fn filter(&self, _: &Snapshot, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        match &pod.pod.node_name {
            Some(wanted) if wanted != node.name() && !wanted.is_empty() => {
                Err(Status::unresolvable(REASON, cause::NODE_NAME))
            }
            _ => Ok(()),
        }
    }
}

impl EnqueueExtensions for NodeName {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![ClusterEvent::new(EventResource::Node, ActionType::ADD)]
    }
}
