//! SchedulingGates: a Pod with gates does not enter the active queue.
//!
//! Upstream: `pkg/scheduler/framework/plugins/schedulinggates/scheduling_gates.go`, v1.34.

use crate::api::Object;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, EnqueueContext, EnqueueExtensions, EventResource, Extensions, Hint, PodInfo,
    PreEnqueue, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "SchedulingGates";

#[derive(Debug)]
struct SchedulingGates;

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, SchedulingGates).pre_enqueue().enqueue().done()
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, _: &EnqueueContext<'_>, pod: &PodInfo) -> Result<(), Status> {
        let gates = &pod.pod.spec.scheduling_gates;
        if gates.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = gates.iter().map(|gate| gate.as_str()).collect();
        let text = format!("waiting for scheduling gates: [{}]", names.join(" "));
        Err(Status::unresolvable(text, cause::SCHEDULING_GATED))
    }
}

impl EnqueueExtensions for SchedulingGates {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![ClusterEvent::new(EventResource::Pod, ActionType::UPDATE_POD_SCHEDULING_GATES_ELIMINATED)]
    }

    fn hint(
        &self,
        _: &Snapshot,
        _: ClusterEvent,
        pod: &PodInfo,
        _: Option<&Object>,
        new: Option<&Object>,
    ) -> Hint {
        match new {
            Some(Object::Pod(new)) => Hint::queue_if(new.meta.uid == *pod.uid()),
            _ => Hint::Queue,
        }
    }
}
