//! NodePorts: host ports must be free.
//!
//! Upstream: `pkg/scheduler/framework/plugins/nodeports/node_ports.go`, v1.34.

use crate::api::Object;
use crate::base::Arc;
use crate::scheduler::framework::node_info::HostPorts;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, Hint,
    NodeInfo, PodInfo, PreFilter, PreFiltered, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "NodePorts";

const REASON: &str = "node(s) didn't have free ports for the requested pod ports";

#[derive(Debug)]
struct NodePorts;

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, NodePorts).pre_filter().filter().enqueue().local().done()
}

fn fits(pod: &PodInfo, used: &HostPorts) -> bool {
    !pod.shape.host_ports.iter().any(|port| used.conflicts(port))
}

impl PreFilter for NodePorts {
    fn pre_filter(&self, _: &Snapshot, _: &mut CycleState, pod: &PodInfo) -> Result<PreFiltered, Status> {
        Ok(if pod.shape.host_ports.is_empty() { PreFiltered::Skip } else { PreFiltered::AllNodes })
    }
}

impl Filter for NodePorts {
    fn filter(&self, _: &Snapshot, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        if fits(pod, node.used_ports()) {
            Ok(())
        } else {
            Err(Status::unschedulable(REASON, cause::NODE_PORTS))
        }
    }
}

impl EnqueueExtensions for NodePorts {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![
            ClusterEvent::new(EventResource::Pod, ActionType::DELETE),
            ClusterEvent::new(EventResource::Node, ActionType::ADD),
        ]
    }

    fn hint(
        &self,
        _: &Snapshot,
        _: ClusterEvent,
        pod: &PodInfo,
        old: Option<&Object>,
        _: Option<&Object>,
    ) -> Hint {
        let Some(Object::Pod(deleted)) = old else { return Hint::Queue };
        if deleted.node_name.is_none() && deleted.status.nominated_node.is_none() {
            return Hint::Skip;
        }
        let mut freed = HostPorts::default();
        for port in &PodInfo::new(Arc::clone(deleted)).shape.host_ports {
            freed.add(port);
        }
        Hint::queue_if(!fits(pod, &freed))
    }
}
