//! PodTopologySpread: Pods of a kind evenly over zones, nodes or whatever labels name.
//!
//! * [`constraint`]: what a Pod asks for, completed; system defaults.
//! * [`filtering`]: hard constraints. [`scoring`]: soft ones. [`counts`]: what both count with.
//! * [`hints`]: which events help.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread`, v1.34.

pub mod constraint;
pub mod counts;
pub mod filtering;
pub mod hints;
pub mod scoring;
#[cfg(test)]
mod testing;

use constraint::{Constraint, resolve, resolve_defaults, system_defaults};
use filtering::{Misfit, Spread};
use scoring::Crowding;

use crate::api::pod::TopologySpreadConstraint;
use crate::api::{Node, Object, Pod, Resource};
use crate::scheduler::framework::{
    ActionType, ClusterEvent, Cover, CycleState, EnqueueExtensions, EventResource, Extensions, Filter,
    Foreseen, Gate, Hint, Listers, NodeInfo, Passed, PodInfo, PreFilter, PreFiltered, PreScore, PreScored,
    Relief, Score, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "PodTopologySpread";

const SKEW: &str = "node(s) didn't match pod topology spread constraints";
const MISSING_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

#[derive(Debug)]
struct PodTopologySpread {
    defaults: Vec<TopologySpreadConstraint>,
    system_defaulting: bool,
}

/// Makes the plugin.
pub fn new(setup: &Setup<'_>) -> Extensions {
    let args = &setup.args.pod_topology_spread;
    let system_defaulting = args.system_defaulting;
    let defaults = if system_defaulting { system_defaults() } else { args.default_constraints.clone() };
    Extensions::of(NAME, PodTopologySpread { defaults, system_defaulting })
        .pre_filter()
        .filter()
        .pre_score()
        .score()
        .enqueue()
        .done()
}

impl PodTopologySpread {
    /// The Pod's hard or soft constraints: its own, or if it has none of either sort, the defaults.
    fn constraints(&self, pod: &Pod, hard: bool, listers: &Listers) -> Vec<Constraint> {
        let own = &pod.spec.topology_spread;
        if own.is_empty() {
            resolve_defaults(&self.defaults, pod, hard, listers)
        } else {
            resolve(own, &pod.meta.labels, hard)
        }
    }

    /// Whether nodes that lack a key get no score: under system defaults nodes without a zone are still told apart by their
    /// Pods.
    fn requires_all(&self, pod: &Pod) -> bool {
        !pod.spec.topology_spread.is_empty() || !self.system_defaulting
    }
}

/// The soft constraints, once they are known.
#[derive(Clone, Debug)]
struct Soft(Vec<Constraint>);

impl PreFilter for PodTopologySpread {
    fn pre_filter(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<PreFiltered, Status> {
        let constraints = self.constraints(&pod.pod, true, &snapshot.listers);
        if constraints.is_empty() {
            return Ok(PreFiltered::Skip);
        }
        state.write(Spread::count(&pod.pod, constraints, snapshot));
        Ok(PreFiltered::AllNodes)
    }

    fn add_pod(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        added: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        if let Some(spread) = state.read_mut::<Spread>() {
            spread.update(&pod.pod, &added.pod, (snapshot, node), 1);
        }
        Ok(())
    }

    fn remove_pod(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        removed: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        if let Some(spread) = state.read_mut::<Spread>() {
            spread.update(&pod.pod, &removed.pod, (snapshot, node), -1);
        }
        Ok(())
    }
}

impl Filter for PodTopologySpread {
    fn filter(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        let Some(spread) = state.read::<Spread>() else { return Ok(()) };
        spread.fits(snapshot, node.id).map_err(|misfit| match misfit {
            Misfit::MissingLabel => Status::unresolvable(MISSING_LABEL, cause::TOPOLOGY_SPREAD),
            Misfit::Skew => Status::unschedulable(SKEW, cause::TOPOLOGY_SPREAD),
        })
    }

    fn cover(&self, snapshot: &Snapshot, state: &CycleState, _: &PodInfo, gates: &mut Vec<Gate>) -> Cover {
        if let Some(spread) = state.read::<Spread>() {
            spread.gates(snapshot, gates);
        }
        Cover::Gated
    }
}

impl PreScore for PodTopologySpread {
    fn pre_score(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        let constraints = match state.read::<Soft>() {
            Some(Soft(constraints)) => constraints.clone(),
            None => self.constraints(&pod.pod, false, &snapshot.listers),
        };
        if constraints.is_empty() {
            return Ok(PreScored::Skip);
        }
        let require_all = self.requires_all(&pod.pod);
        state.write(Crowding::count(&pod.pod, constraints, (snapshot, nodes), require_all));
        Ok(PreScored::Score)
    }

    fn foresee(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<Foreseen, Status> {
        let constraints = self.constraints(&pod.pod, false, &snapshot.listers);
        if constraints.is_empty() {
            return Ok(Foreseen::Equal);
        }
        let key = scoring::key(&constraints, snapshot);
        state.write(Soft(constraints));
        Ok(key.map_or(Foreseen::Open, Foreseen::ByPlace))
    }

    fn by_place(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        passed: Passed<'_>,
    ) -> Option<Relief> {
        let Soft(constraints) = state.read()?;
        let require_all = self.requires_all(&pod.pod);
        Some(Crowding::relief(&pod.pod, constraints, (snapshot, passed), require_all))
    }
}

impl Score for PodTopologySpread {
    fn score(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        node: &NodeInfo,
    ) -> Result<i64, Status> {
        let crowding = state.read::<Crowding>();
        Ok(crowding.map_or(0, |crowding| crowding.score(snapshot, node.id)))
    }

    fn score_all(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        nodes: &[&NodeInfo],
        scores: &mut Vec<i64>,
    ) -> Result<(), Status> {
        match state.read::<Crowding>() {
            Some(crowding) => scores.extend(nodes.iter().map(|node| crowding.score(snapshot, node.id))),
            None => scores.resize(scores.len() + nodes.len(), 0),
        }
        Ok(())
    }

    fn normalize(
        &self,
        _: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        nodes: &[&NodeInfo],
        scores: &mut [i64],
    ) -> Result<(), Status> {
        if let Some(crowding) = state.read::<Crowding>() {
            crowding.normalize(scores, |index| nodes[index].id);
        }
        Ok(())
    }
}

impl EnqueueExtensions for PodTopologySpread {
    fn events(&self) -> Vec<ClusterEvent> {
        let pod = ActionType::ADD
            | ActionType::UPDATE_POD_LABEL
            | ActionType::UPDATE_POD_TOLERATION
            | ActionType::DELETE;
        let node = ActionType::ADD
            | ActionType::DELETE
            | ActionType::UPDATE_NODE_LABEL
            | ActionType::UPDATE_NODE_TAINT;
        vec![ClusterEvent::new(EventResource::Pod, pod), ClusterEvent::new(EventResource::Node, node)]
    }

    fn hint(
        &self,
        snapshot: &Snapshot,
        registered: ClusterEvent,
        pod: &PodInfo,
        old: Option<&Object>,
        new: Option<&Object>,
    ) -> Hint {
        let constraints = self.constraints(&pod.pod, true, &snapshot.listers);
        Hint::queue_if(if registered.resource == EventResource::Node {
            hints::after_node(&constraints, get::<Node>(old), get::<Node>(new))
        } else {
            hints::after_pod(&pod.pod, &constraints, get::<Pod>(old), get::<Pod>(new))
        })
    }
}

fn get<T: Resource>(object: Option<&Object>) -> Option<&T> {
    object.and_then(T::unwrap).map(|object| &**object)
}
