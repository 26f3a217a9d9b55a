//! Why a Pod is where it is, or nowhere, and what would have to change.
//!
//! [`explain`] asks the plugins of the profile: as the cluster stands, then with the Pod or the cluster altered in one
//! way after the other ([`change`]). Nothing is guessed from the words of a refusal.
//!
//! * [`change`]: what can be altered. * [`lack`]: how much of a resource a node lacks. * [`chain`]: from the Pod over
//!   its claims and volumes to the nodes that can reach them.

pub mod chain;
pub mod change;
pub mod lack;

use super::evaluation::Evaluation;
use super::framework::{PodInfo, Snapshot, Status};
use super::placer::Placer;
use crate::api::node::HOSTNAME_LABEL;
use crate::api::{Node, Pod};
use crate::base::{Arc, Str};
pub use chain::ClaimChain;
pub use change::Change;
pub use lack::Lack;

/// Nodes that are tried as models for one more node.
const MODELS_MAX: usize = 50;
/// Ways out that are kept.
const CURES_MAX: usize = 6;

/// Everything that is to be said of a Pod without a node.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What every node says as the cluster stands.
    pub evaluation: Evaluation,
    /// If scheduling gates hold the Pod back: what the nodes would say without them.
    pub behind_gates: Option<Evaluation>,
    /// All refusals of every node, not only the first; empty if no node was asked.
    pub refusals: Vec<(Str, Vec<Status>)>,
    /// What the nodes lack that have nothing else against the Pod, the nearest first.
    pub lacks: Vec<Lack>,
    /// What would let nodes pass, the smallest change and the most nodes first.
    pub cures: Vec<Cure>,
    /// An empty node that would take the Pod.
    pub new_node: Option<NewNode>,
    /// Where the Pod's volumes hold it.
    pub chains: Vec<ClaimChain>,
}

/// A node that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// It is like this one.
    pub like: Str,
    /// But for these labels, which the Pod's volumes ask for.
    pub labels: Vec<(Str, Str)>,
}

/// Changes that together let nodes pass.
#[derive(Clone, Debug)]
pub struct Cure {
    /// The changes.
    pub changes: Vec<Change>,
    /// The nodes that pass then, sorted by name.
    pub nodes: Vec<Str>,
}

/// Finds out all that is to be said of a Pod; if no profile is its own, only that.
pub fn explain(placer: &mut Placer, pod: &Arc<Pod>) -> Explanation {
    let evaluation = placer.evaluate(pod).evaluation;
    let mut out = Explanation {
        evaluation,
        behind_gates: None,
        refusals: Vec::new(),
        lacks: Vec::new(),
        cures: Vec::new(),
        new_node: None,
        chains: Vec::new(),
    };
    if out.evaluation.pre_enqueue.is_some() {
        out.behind_gates = Some(placer.evaluate(&ungated(pod)).evaluation);
    }
    let Some(view) = placer.view(pod) else { return out };
    let info = PodInfo::new(pod.clone());
    out.refusals = view.all_refusals(&info).unwrap_or_default();
    out.chains = chain::chains(view.snapshot, pod, &out.refusals);
    if out.evaluation.is_placed() || view.snapshot.is_empty() || out.evaluation.pre_enqueue.is_some() {
        return out;
    }
    out.lacks = lack::lacks(&view, pod, &out.refusals);
    out.cures = cures(placer, pod, &out.refusals);
    out.new_node = new_node(placer, pod, &[]).or_else(|| {
        let wanted = chain::wanted_labels(&placer.view(pod)?.snapshot.listers, pod);
        if wanted.is_empty() { None } else { new_node(placer, pod, &wanted) }
    });
    out
}

fn ungated(pod: &Arc<Pod>) -> Arc<Pod> {
    let mut free = Pod::clone(pod);
    let mut spec = crate::api::PodSpec::clone(&free.spec);
    spec.scheduling_gates.clear();
    free.spec = Arc::new(spec);
    Arc::new(free)
}

/// Tries changes one by one, then in pairs and in threes, until some nodes pass.
fn cures(placer: &Placer, pod: &Arc<Pod>, refusals: &[(Str, Vec<Status>)]) -> Vec<Cure> {
    let Some(view) = placer.view(pod) else { return Vec::new() };
    let changes = change::candidates(view.snapshot, pod, refusals);
    for size in 1..=3usize.min(changes.len()) {
        let mut found: Vec<Cure> = Vec::new();
        for chosen in subsets(changes.len(), size) {
            let changes: Vec<Change> = chosen.iter().map(|i| changes[*i].clone()).collect();
            let nodes = nodes_with(placer, pod, &changes);
            if !nodes.is_empty() {
                found.push(Cure { changes, nodes });
            }
        }
        if !found.is_empty() {
            found.sort_by_key(|cure| std::cmp::Reverse(cure.nodes.len()));
            found.truncate(CURES_MAX);
            return found;
        }
    }
    Vec::new()
}

/// The nodes that pass with these changes.
fn nodes_with(placer: &Placer, pod: &Arc<Pod>, changes: &[Change]) -> Vec<Str> {
    let Some(altered) = change::altered(pod, changes) else { return Vec::new() };
    let Some(view) = placer.view(&altered) else { return Vec::new() };
    let info = PodInfo::new(altered.clone());
    match change::altered_cluster(view.snapshot, changes) {
        Some(snapshot) => super::view::View { snapshot: &snapshot, ..view }.feasible(&info),
        None => view.feasible(&info),
    }
}

/// The subsets of `0..n` of a size, in order.
fn subsets(n: usize, size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for last in size - 1..n {
        for mut rest in subsets(last, size - 1) {
            rest.push(last);
            all.push(rest);
        }
    }
    all
}

/// An empty node, like one of the cluster but for these labels, that would take the Pod.
fn new_node(placer: &Placer, pod: &Arc<Pod>, labels: &[(Str, Str)]) -> Option<NewNode> {
    let view = placer.view(pod)?;
    let info = PodInfo::new(pod.clone());
    let mut tried: Vec<Arc<Node>> = Vec::new();
    for model in view.snapshot.nodes().map(|n| n.node()) {
        if tried.iter().any(|other| same_sort(other, model)) || tried.len() >= MODELS_MAX {
            continue;
        }
        tried.push(model.clone());
        let mut twin = twin(model);
        for (key, value) in labels {
            twin.meta.labels = twin.meta.labels.with(key.clone(), value.clone());
        }
        let name = twin.meta.name.clone();
        let mut snapshot: Snapshot = view.snapshot.clone();
        snapshot.set_node(&Arc::new(twin));
        let passes = super::view::View { snapshot: &snapshot, ..view }.feasible(&info);
        if passes.contains(&name) {
            return Some(NewNode { like: model.meta.name.clone(), labels: labels.to_vec() });
        }
    }
    None
}

/// Whether two nodes differ in nothing but their names.
fn same_sort(a: &Node, b: &Node) -> bool {
    let labels = |n: &Node| n.meta.labels.without(HOSTNAME_LABEL);
    labels(a) == labels(b)
        && a.status.allocatable == b.status.allocatable
        && a.taints == b.taints
        && a.unschedulable == b.unschedulable
}

/// A node of the same sort under a new name, as an autoscaler would add it: without what befell the model.
fn twin(model: &Node) -> Node {
    let name: Str = format!("{}-twin", model.meta.name).into();
    let mut twin = model.clone();
    twin.meta.name = name.clone();
    twin.meta.uid = name.clone();
    if model.meta.labels.contains_key(HOSTNAME_LABEL) {
        twin.meta.labels = model.meta.labels.with(HOSTNAME_LABEL, name);
    }
    twin.unschedulable = false;
    twin.taints.retain(|taint| !taint.key.starts_with("node.kubernetes.io/"));
    twin
}

#[cfg(test)]
mod tests {
    #[test]
    fn subsets_are_all_there_once() {
        assert_eq!(super::subsets(4, 2), [[0, 1], [0, 2], [1, 2], [0, 3], [1, 3], [2, 3]].map(Vec::from));
        assert_eq!(super::subsets(2, 3), Vec::<Vec<usize>>::new());
        assert_eq!(super::subsets(3, 3), [vec![0, 1, 2]]);
    }
}
