//! InterPodAffinity: Pods near to or away from other Pods.
//!
//! * [`term`]: terms of the Pod to be placed. Those of existing Pods are in their `PodShape`.
//! * [`filtering`]: required terms, of both sides. [`scoring`]: preferred ones. [`counts`]: what both count with.
//! * [`hints`]: which events help.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity`, v1.34.

pub mod counts;
pub mod filtering;
pub mod hints;
pub mod scoring;
pub mod term;

use filtering::{Misfit, Neighbours};
use scoring::Attraction;

use crate::api::{Node, Object, Pod, Resource};
use crate::scheduler::framework::{
    ActionType, ClusterEvent, Cover, CycleState, EnqueueExtensions, EventResource, Extensions, Filter,
    Foreseen, Gate, Hint, NodeInfo, PodInfo, PreFilter, PreFiltered, PreScore, PreScored, Score, Setup,
    Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "InterPodAffinity";

const AFFINITY: &str = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const EXISTING_ANTI_AFFINITY: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

#[derive(Debug)]
struct InterPodAffinity {
    hard_weight: i64,
    ignore_existing: bool,
}

/// Makes the plugin.
pub fn new(setup: &Setup<'_>) -> Extensions {
    let args = &setup.args.inter_pod_affinity;
    let plugin = InterPodAffinity {
        hard_weight: i64::from(args.hard_pod_affinity_weight),
        ignore_existing: args.ignore_preferred_terms_of_existing_pods,
    };
    Extensions::of(NAME, plugin).pre_filter().filter().pre_score().score().enqueue().done()
}

impl PreFilter for InterPodAffinity {
    fn pre_filter(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<PreFiltered, Status> {
        match Neighbours::count(pod, snapshot) {
            Some(neighbours) => state.write(neighbours),
            None => return Ok(PreFiltered::Skip),
        }
        Ok(PreFiltered::AllNodes)
    }

    fn add_pod(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        _: &PodInfo,
        added: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        if let Some(neighbours) = state.read_mut::<Neighbours>() {
            neighbours.update(snapshot.topology(), added, node.id, 1);
        }
        Ok(())
    }

    fn remove_pod(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        _: &PodInfo,
        removed: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        if let Some(neighbours) = state.read_mut::<Neighbours>() {
            neighbours.update(snapshot.topology(), removed, node.id, -1);
        }
        Ok(())
    }
}

impl Filter for InterPodAffinity {
    fn filter(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        let Some(neighbours) = state.read::<Neighbours>() else { return Ok(()) };
        neighbours.fits(snapshot.topology(), node.id).map_err(|misfit| match misfit {
            Misfit::Affinity => Status::unresolvable(AFFINITY, cause::POD_AFFINITY),
            Misfit::AntiAffinity => Status::unschedulable(ANTI_AFFINITY, cause::POD_ANTI_AFFINITY),
            Misfit::ExistingAntiAffinity => {
                Status::unschedulable(EXISTING_ANTI_AFFINITY, cause::POD_ANTI_AFFINITY)
            }
        })
    }

    fn cover(&self, snapshot: &Snapshot, state: &CycleState, _: &PodInfo, gates: &mut Vec<Gate>) -> Cover {
        if let Some(neighbours) = state.read::<Neighbours>() {
            neighbours.gates(snapshot.topology(), gates);
        }
        Cover::Gated
    }
}

impl PreScore for InterPodAffinity {
    fn pre_score(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        _: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        let shape = &pod.shape;
        let has_wishes = !shape.preferred_affinity.is_empty() || !shape.preferred_anti_affinity.is_empty();
        if self.ignore_existing && !has_wishes {
            return Ok(PreScored::Skip);
        }
        let attraction = Attraction::sum(pod, snapshot, self.hard_weight);
        match attraction {
            Some(attraction) => state.write(attraction),
            None => return Ok(PreScored::Skip),
        }
        Ok(PreScored::Score)
    }

    fn foresee(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<Foreseen, Status> {
        Ok(match self.pre_score(snapshot, state, pod, &[])? {
            PreScored::Skip => Foreseen::Equal,
            PreScored::Score => Foreseen::Ready,
        })
    }
}

impl Score for InterPodAffinity {
    fn score(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        node: &NodeInfo,
    ) -> Result<i64, Status> {
        let attraction = state.read::<Attraction>();
        Ok(attraction.map_or(0, |attraction| attraction.score(snapshot.topology(), node.id)))
    }

    fn score_all(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        nodes: &[&NodeInfo],
        scores: &mut Vec<i64>,
    ) -> Result<(), Status> {
        let topology = snapshot.topology();
        match state.read::<Attraction>() {
            Some(attraction) => scores.extend(nodes.iter().map(|node| attraction.score(topology, node.id))),
            None => scores.resize(scores.len() + nodes.len(), 0),
        }
        Ok(())
    }

    fn normalize(
        &self,
        _: &Snapshot,
        _: &CycleState,
        _: &PodInfo,
        _: &[&NodeInfo],
        scores: &mut [i64],
    ) -> Result<(), Status> {
        scoring::normalize(scores);
        Ok(())
    }
}

impl EnqueueExtensions for InterPodAffinity {
    fn events(&self) -> Vec<ClusterEvent> {
        let pod = ActionType::ADD | ActionType::UPDATE_POD_LABEL | ActionType::DELETE;
        let node = ActionType::ADD | ActionType::UPDATE_NODE_LABEL;
        vec![ClusterEvent::new(EventResource::Pod, pod), ClusterEvent::new(EventResource::Node, node)]
    }

    fn hint(
        &self,
        _: &Snapshot,
        registered: ClusterEvent,
        pod: &PodInfo,
        old: Option<&Object>,
        new: Option<&Object>,
    ) -> Hint {
        Hint::queue_if(if registered.resource == EventResource::Node {
            hints::after_node(&pod.shape, get::<Node>(old), get::<Node>(new))
        } else {
            hints::after_pod(&pod.shape, get::<Pod>(old), get::<Pod>(new))
        })
    }
}

fn get<T: Resource>(object: Option<&Object>) -> Option<&T> {
    object.and_then(T::unwrap).map(|object| &**object)
}
