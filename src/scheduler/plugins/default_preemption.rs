//! DefaultPreemption: makes room for a Pod by evicting others of lower priority.
//!
//! Upstream: `pkg/scheduler/framework/plugins/defaultpreemption/default_preemption.go`, v1.34. The evictions
//! themselves are the caller's part; until they are under way the Pod is gated.

use crate::api::Object;
use crate::base::Arc;
use crate::scheduler::decision::{Choice, Nomination};
use crate::scheduler::framework::args::DefaultPreemptionArgs;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, CycleState, EnqueueContext, EnqueueExtensions, EventResource, Extensions,
    Handle, Hint, NodeStatuses, PodInfo, PostFilter, PostFiltered, PreEnqueue, Reason, Setup, Snapshot,
    Status,
};
use crate::scheduler::preemption::{Evaluator, Preempted};

/// The plugin's name.
pub const NAME: &str = "DefaultPreemption";

const GATED: &str = "waiting for the preemption for this pod to be finished";

#[derive(Debug)]
struct DefaultPreemption {
    args: DefaultPreemptionArgs,
}

/// Makes the plugin.
pub fn new(setup: &Setup<'_>) -> Extensions {
    let plugin = DefaultPreemption { args: setup.args.default_preemption.clone() };
    Extensions::of(NAME, plugin).pre_enqueue().post_filter().enqueue().done()
}

impl PreEnqueue for DefaultPreemption {
    fn pre_enqueue(&self, ctx: &EnqueueContext<'_>, pod: &PodInfo) -> Result<(), Status> {
        if ctx.preempting.contains(pod.uid()) { Err(Status::unresolvable(GATED, "")) } else { Ok(()) }
    }
}

impl PostFilter for DefaultPreemption {
    fn post_filter(
        &self,
        handle: &Handle<'_>,
        state: &CycleState,
        pod: &PodInfo,
        statuses: &NodeStatuses,
        choice: &mut Choice<'_>,
    ) -> PostFiltered {
        let evaluator = Evaluator { handle: *handle, args: &self.args };
        let found = evaluator.preempt(state, pod, statuses, choice);
        let mut out = PostFiltered {
            nomination: found.clear_nomination.then_some(Nomination::Clear),
            status: found.status.as_ref().map(prefixed),
            ..PostFiltered::default()
        };
        if let Some(chosen) = &found.chosen {
            let node = handle.snapshot.get(&chosen.node);
            let on_node = |uid: &str| node.and_then(|n| n.pods().iter().find(|p| p.uid() == uid).cloned());
            let leaving = chosen.victims.iter().filter(|v| !v.meta.is_deleting());
            out.victims = leaving.filter_map(|v| on_node(&v.meta.uid)).collect();
            out.nomination = Some(Nomination::Set(chosen.node.clone()));
            if !out.victims.is_empty() {
                out.clear_nominations = handle
                    .nominator
                    .on_node(&chosen.node)
                    .iter()
                    .filter(|p| p.priority() < pod.priority())
                    .map(|p| p.pod.meta.key())
                    .collect();
            }
        }
        if matches!(choice, Choice::SmallestName) {
            out.preempted = Some(Arc::new(found));
        }
        out
    }
}

/// The status in the plugin's words.
fn prefixed(status: &Status) -> Status {
    let mut out = Status::empty(status.code);
    let text = status.message();
    if !text.is_empty() {
        out.push(Reason::new(format!("preemption: {text}"), ""));
    }
    out
}

impl EnqueueExtensions for DefaultPreemption {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![ClusterEvent::new(EventResource::Pod, ActionType::DELETE)]
    }

    /// What this plugin holds back it lets go itself; the plugins that refused the Pod decide when it is tried.
    fn hint(
        &self,
        _: &Snapshot,
        _: ClusterEvent,
        _: &PodInfo,
        _: Option<&Object>,
        _: Option<&Object>,
    ) -> Hint {
        Hint::Skip
    }
}

/// What preemption found, if the choice was to look at everything.
pub fn details(filtered: &PostFiltered) -> Option<&Preempted> {
    filtered.preempted.as_deref()
}
