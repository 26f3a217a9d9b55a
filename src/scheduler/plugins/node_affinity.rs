//! NodeAffinity: `nodeSelector` and node affinity, and what the profile adds to every Pod.
//!
//! Upstream: `pkg/scheduler/framework/plugins/nodeaffinity/node_affinity.go`, v1.34.

use std::collections::BTreeSet;

use super::normalize::default_normalize;
use crate::api::selector::{NodeSelectorTerm, Operator, Requirement};
use crate::api::{Labels, Node, NodeSelector, Object, PodSpec};
use crate::base::Str;
use crate::scheduler::framework::args::NodeAffinityArgs;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, Hint,
    NodeInfo, PodInfo, PreFilter, PreFiltered, PreScore, PreScored, Score, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "NodeAffinity";

const REASON_POD: &str = "node(s) didn't match Pod's node affinity/selector";
const REASON_ENFORCED: &str = "node(s) didn't match scheduler-enforced node affinity";
const REASON_CONFLICT: &str = "pod affinity terms conflict";

#[derive(Debug)]
struct NodeAffinity {
    args: NodeAffinityArgs,
}

/// Makes the plugin.
pub fn new(setup: &Setup<'_>) -> Extensions {
    let plugin = NodeAffinity { args: setup.args.node_affinity.clone() };
    Extensions::of(NAME, plugin).pre_filter().filter().pre_score().score().enqueue().of_object().done()
}

fn selects(selector: &NodeSelector, node: &Node) -> bool {
    selector.matches(&node.meta.name, &node.meta.labels)
}

/// Upstream's `RequiredNodeAffinity`: the node selector and the required affinity.
///
/// Upstream: `component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go`, v1.34.
pub fn required_matches(spec: &PodSpec, node: &Node) -> bool {
    let carries = |wanted: &Labels| wanted.iter().all(|(k, v)| node.meta.labels.get(k) == Some(v));
    carries(&spec.node_selector) && spec.affinity.node_required.as_ref().is_none_or(|s| selects(s, node))
}

/// The sum of the weights of the preferred terms that a node matches.
fn preferred(terms: &[(i32, NodeSelectorTerm)], node: &Node) -> i64 {
    let matches = |term: &NodeSelectorTerm| term.matches(&node.meta.name, &node.meta.labels);
    terms
        .iter()
        .filter(|(weight, term)| *weight != 0 && matches(term))
        .map(|(weight, _)| i64::from(*weight))
        .sum()
}

/// The names that a term limits the nodes to; none if it does not.
fn names_of(term: &NodeSelectorTerm) -> Option<BTreeSet<Str>> {
    let by_name = |r: &&Requirement| r.key == "metadata.name" && r.operator == Operator::In;
    let sets = term.fields.iter().filter(by_name).map(|r| r.values.iter().cloned().collect::<BTreeSet<_>>());
    sets.reduce(|a, b| a.intersection(&b).cloned().collect())
}

impl PreFilter for NodeAffinity {
    fn pre_filter(&self, _: &Snapshot, _: &mut CycleState, pod: &PodInfo) -> Result<PreFiltered, Status> {
        let spec = &pod.pod.spec;
        let Some(required) = &spec.affinity.node_required else {
            let idle = self.args.added_required.is_none() && spec.node_selector.is_empty();
            return Ok(if idle { PreFiltered::Skip } else { PreFiltered::AllNodes });
        };
        let mut names = BTreeSet::new();
        for term in &required.terms {
            match names_of(term) {
                Some(more) => names.extend(more),
                None => return Ok(PreFiltered::AllNodes),
            }
        }
        match (required.terms.is_empty(), names.is_empty()) {
            (true, _) => Ok(PreFiltered::AllNodes),
            (false, true) => Err(Status::unresolvable(REASON_CONFLICT, cause::NODE_AFFINITY)),
            (false, false) => Ok(PreFiltered::Nodes(names)),
        }
    }
}

impl Filter for NodeAffinity {
    fn filter(&self, _: &Snapshot, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        let node = node.node();
        if self.args.added_required.as_ref().is_some_and(|added| !selects(added, node)) {
            return Err(Status::unresolvable(REASON_ENFORCED, cause::NODE_AFFINITY));
        }
        if !required_matches(&pod.pod.spec, node) {
            return Err(Status::unresolvable(REASON_POD, cause::NODE_AFFINITY));
        }
        Ok(())
    }
}

impl PreScore for NodeAffinity {
    fn pre_score(
        &self,
        _: &Snapshot,
        _: &mut CycleState,
        pod: &PodInfo,
        _: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        let idle = pod.pod.spec.affinity.node_preferred.is_empty() && self.args.added_preferred.is_empty();
        Ok(if idle { PreScored::Skip } else { PreScored::Score })
    }
}

impl Score for NodeAffinity {
    fn score(&self, _: &Snapshot, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<i64, Status> {
        let node = node.node();
        Ok(preferred(&self.args.added_preferred, node)
            + preferred(&pod.pod.spec.affinity.node_preferred, node))
    }

    fn normalize(
        &self,
        _: &Snapshot,
        _: &CycleState,
        _: &PodInfo,
        _: &[&NodeInfo],
        scores: &mut [i64],
    ) -> Result<(), Status> {
        default_normalize(false, scores);
        Ok(())
    }
}

impl EnqueueExtensions for NodeAffinity {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![ClusterEvent::new(EventResource::Node, ActionType::ADD | ActionType::UPDATE_NODE_LABEL)]
    }

    fn hint(
        &self,
        _: &Snapshot,
        _: ClusterEvent,
        pod: &PodInfo,
        old: Option<&Object>,
        new: Option<&Object>,
    ) -> Hint {
        let added = self.args.added_required.as_ref();
        if let (Some(added), Some(Object::Node(new))) = (added, new)
            && !selects(added, new)
        {
            return Hint::Skip;
        }
        // As upstream, a node that only the added affinity kept out is not noticed.
        Hint::if_node_passes_now(old, new, |node| required_matches(&pod.pod.spec, node))
    }
}
