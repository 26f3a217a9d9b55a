//! DynamicResources: devices that Pods claim.
//!
//! Its part in the messages of Pods without claims is complete: it runs first among the PostFilter plugins and
//! says that there is nothing to deallocate, and it breaks with `not found` if its PreFilter has not been reached.
//!
//! Upstream: `pkg/scheduler/framework/plugins/dynamicresources/dynamicresources.go`, v1.34.
//!
//! # Fidelity
//! ResourceClaims are not simulated: those of a Pod count as allocated on whichever node takes the Pod.

use crate::scheduler::decision::Choice;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, CycleState, EnqueueExtensions, EventResource, Extensions, Handle, NodeStatuses,
    PodInfo, PostFilter, PostFiltered, PreFilter, PreFiltered, Setup, Snapshot, Status,
};

/// The plugin's name.
pub const NAME: &str = "DynamicResources";

#[derive(Debug)]
struct DynamicResources;

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, DynamicResources).pre_filter().post_filter().enqueue().done()
}

/// What PreFilter leaves behind: that it was reached.
#[derive(Clone, Debug)]
struct Reached;

impl PreFilter for DynamicResources {
    fn pre_filter(&self, _: &Snapshot, state: &mut CycleState, _: &PodInfo) -> Result<PreFiltered, Status> {
        state.write(Reached);
        Ok(PreFiltered::Skip)
    }
}

impl PostFilter for DynamicResources {
    fn post_filter(
        &self,
        _: &Handle<'_>,
        state: &CycleState,
        pod: &PodInfo,
        _: &NodeStatuses,
        _: &mut Choice<'_>,
    ) -> PostFiltered {
        let status = match state.read::<Reached>() {
            None => Status::error("not found"),
            Some(Reached) if pod.pod.spec.resource_claims.is_empty() => {
                Status::unschedulable("no new claims to deallocate", "")
            }
            Some(Reached) => Status::unschedulable("still not schedulable", ""),
        };
        PostFiltered { status: Some(status), ..PostFiltered::default() }
    }
}

impl EnqueueExtensions for DynamicResources {
    fn events(&self) -> Vec<ClusterEvent> {
        let change = ActionType::ADD | ActionType::UPDATE;
        let node = ActionType::ADD | ActionType::UPDATE_NODE_LABEL | ActionType::UPDATE_NODE_ALLOCATABLE;
        vec![
            ClusterEvent::new(EventResource::Node, node),
            ClusterEvent::new(EventResource::ResourceClaim, change),
            ClusterEvent::new(EventResource::Pod, ActionType::UPDATE_POD_GENERATED_RESOURCE_CLAIM),
            ClusterEvent::new(EventResource::DeviceClass, change),
            ClusterEvent::new(EventResource::ResourceSlice, change),
        ]
    }
}
