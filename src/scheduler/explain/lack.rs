//! What nodes lack that have nothing against a Pod but its requests.

use super::change::Change;
use crate::api::Pod;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::base::{Arc, Str};
use crate::scheduler::framework::{NodeInfo, PodInfo, Resources, Status};
use crate::scheduler::view::View;

/// Nodes that are kept.
const NODES_MAX: usize = 5;

/// What a node lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The node.
    pub node: Str,
    /// The resources it has too little of.
    pub missing: Vec<Missing>,
    /// The node would be too small even if it were empty.
    pub never: bool,
}

/// Too little of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The resource.
    pub resource: Str,
    /// How much is missing: thousandths of CPU, bytes, numbers.
    pub amount: i64,
    /// What the Pod asks for.
    pub asked: i64,
    /// What the node has altogether.
    pub allocatable: i64,
}

/// The nodes that only lack resources, the nearest first. That nothing else keeps the Pod off is found by asking the
/// plugins for a Pod without requests.
pub fn lacks(view: &View<'_>, pod: &Arc<Pod>, refusals: &[(Str, Vec<Status>)]) -> Vec<Lack> {
    let Some(light) = super::change::altered(pod, &[Change::NoRequests]) else { return Vec::new() };
    let passes = view.feasible(&PodInfo::new(light));
    let info = PodInfo::new(pod.clone());
    let mut found: Vec<Lack> = refusals
        .iter()
        .filter(|(_, statuses)| statuses.iter().all(|s| s.plugin == "NodeResourcesFit"))
        .filter_map(|(name, _)| view.snapshot.get(name))
        .map(|node| of_node(&info.resources.requests, node))
        // A node without room for one more Pod refuses a Pod without requests as well.
        .filter(|lack| passes.contains(&lack.node) || lack.missing.iter().any(|m| m.resource == PODS))
        .filter(|lack| !lack.missing.is_empty())
        .collect();
    found.sort_by_key(|lack| {
        (lack.never, lack.missing.len(), lack.missing.iter().map(Missing::weight).sum::<i64>())
    });
    found.truncate(NODES_MAX);
    found
}

impl Missing {
    /// The missing part in thousandths of the node's whole.
    fn weight(&self) -> i64 {
        let whole = i128::from(self.allocatable.max(1));
        i64::try_from(i128::from(self.amount) * 1000 / whole).unwrap_or(i64::MAX)
    }
}

/// What a node lacks for these requests.
pub fn of_node(requests: &Resources, node: &NodeInfo) -> Lack {
    let (used, whole) = (node.requested(), node.allocatable());
    let mut missing = Vec::new();
    let mut compare = |resource: Str, asked: i64, used: i64, allocatable: i64| {
        let amount = asked.saturating_add(used).saturating_sub(allocatable);
        if asked > 0 && amount > 0 {
            missing.push(Missing { resource, amount, asked, allocatable });
        }
    };
    compare(PODS.into(), 1, node.pods().len() as i64, whole.pods);
    compare(CPU.into(), requests.milli_cpu, used.milli_cpu, whole.milli_cpu);
    compare(MEMORY.into(), requests.memory, used.memory, whole.memory);
    compare(
        EPHEMERAL_STORAGE.into(),
        requests.ephemeral_storage,
        used.ephemeral_storage,
        whole.ephemeral_storage,
    );
    for (name, asked) in &requests.scalars {
        compare(name.clone(), *asked, used.scalar(name), whole.scalar(name));
    }
    let never = missing.iter().any(|m| m.asked > m.allocatable);
    Lack { node: node.name().clone(), missing, never }
}
