//! TaintToleration: taints keep Pods away that do not tolerate them.
//!
//! Upstream: `pkg/scheduler/framework/plugins/tainttoleration/taint_toleration.go`, v1.34.

use super::normalize::default_normalize;
use crate::api::taint::{Taint, TaintEffect, Toleration, find_untolerated};
use crate::api::{Node, Object};
use crate::base::Str;
use crate::base::text::lit;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, Hint,
    NodeInfo, PodInfo, PreScore, PreScored, Score, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "TaintToleration";

#[derive(Debug)]
struct TaintToleration {
    names_taints: bool,
}

/// Makes the plugin.
pub fn new(setup: &Setup<'_>) -> Extensions {
    let plugin = TaintToleration { names_taints: setup.wording.names_taints };
    Extensions::of(NAME, plugin).filter().pre_score().score().enqueue().of_object().done()
}

/// Tolerations that count for taints of the effect `PreferNoSchedule`.
#[derive(Clone, Debug)]
struct Tolerations(Vec<Toleration>);

/// The first taint that keeps the Pod from the node.
fn untolerated<'a>(node: &'a Node, pod: &PodInfo) -> Option<&'a Taint> {
    find_untolerated(&node.taints, &pod.pod.spec.tolerations, |taint| match taint.effect {
        TaintEffect::NoSchedule | TaintEffect::NoExecute => true,
        TaintEffect::PreferNoSchedule => false,
    })
}

impl TaintToleration {
    fn reason(&self, taint: &Taint) -> Str {
        if self.names_taints {
            format!("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value).into()
        } else {
            lit!("node(s) had untolerated taint(s)")
        }
    }
}

impl Filter for TaintToleration {
    fn filter(&self, _: &Snapshot, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        match untolerated(node.node(), pod) {
            None => Ok(()),
            Some(taint) => Err(Status::unresolvable(self.reason(taint), cause::UNTOLERATED_TAINT)),
        }
    }
}

impl PreScore for TaintToleration {
    fn pre_score(
        &self,
        _: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        _: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        let counts = |t: &&Toleration| t.effect.is_none_or(|e| e == TaintEffect::PreferNoSchedule);
        state.write(Tolerations(pod.pod.spec.tolerations.iter().filter(counts).cloned().collect()));
        Ok(PreScored::Score)
    }
}

impl Score for TaintToleration {
    fn score(&self, _: &Snapshot, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<i64, Status> {
        let taints = &node.node().taints;
        if taints.is_empty() {
            return Ok(0);
        }
        let Some(Tolerations(tolerations)) = state.read() else {
            return Err(Status::error(
                "failed to read \"PreScoreTaintToleration\" from cycleState: not found",
            ));
        };
        let disliked = |t: &&Taint| {
            t.effect == TaintEffect::PreferNoSchedule && !tolerations.iter().any(|x| x.tolerates(t))
        };
        Ok(taints.iter().filter(disliked).count() as i64)
    }

    fn normalize(
        &self,
        _: &Snapshot,
        _: &CycleState,
        _: &PodInfo,
        _: &[&NodeInfo],
        scores: &mut [i64],
    ) -> Result<(), Status> {
        default_normalize(true, scores);
        Ok(())
    }
}

impl EnqueueExtensions for TaintToleration {
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
            Some(Object::Pod(new)) => Hint::queue_if(new.meta.uid == *pod.uid()),
            _ => Hint::if_node_passes_now(old, new, |node| untolerated(node, pod).is_none()),
        }
    }
}
