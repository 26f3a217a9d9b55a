//! One Pod's way through the plugins: filter, score, choose.
//!
//! Upstream: `pkg/scheduler/schedule_one.go` (`schedulePod`, `findNodesThatFitPod`, `findNodesThatPassFilters`,
//! `numFeasibleNodesToFind`, `prioritizeNodes`, `selectHost`), v1.34.
//!
//! # Fidelity
//! Nodes are filtered one after the other. Upstream's 16 workers may look at a few more.

use std::collections::BTreeSet;

use super::decision::Choice;
use super::framework::runtime::PreFilterResult;
use super::framework::{Code, CycleState, Handle, NodeId, NodeInfo, NodeStatuses, PodInfo, Status};
use super::memo::Kept;
use super::memo::search::Before;
use super::memo::table::Table;

/// Fewer nodes than this are all looked at.
const MIN_FEASIBLE_NODES_TO_FIND: usize = 100;
/// The least share of nodes that is looked for, in percent.
const MIN_FEASIBLE_NODES_PERCENTAGE: usize = 5;

/// The node for which preemption nominated the Pod has refused it.
const NOMINATED: &str = "nominated node";

/// Why a Pod fits nowhere.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// Per node.
    pub statuses: NodeStatuses,
    /// Plugins that refused it, in the order of their names.
    pub unschedulable_plugins: BTreeSet<&'static str>,
    /// What PreFilter said, if it refused.
    pub pre_filter_message: String,
}

impl Diagnosis {
    fn refuse(&mut self, node: NodeId, status: Status) {
        if !status.plugin.is_empty() {
            self.unschedulable_plugins.insert(status.plugin);
        }
        self.statuses.set(node, status);
    }
}

/// What a search for nodes gave.
pub struct Search {
    /// Nodes that passed, in the order in which they were looked at.
    pub feasible: Vec<NodeId>,
    /// Why the others did not.
    pub diagnosis: Diagnosis,
    /// What plugins remember.
    pub state: CycleState,
    /// Plugins would say the same of all Pods of its sort.
    pub of_its_sort: bool,
}

/// Where a Pod goes.
pub struct Placement {
    /// The node.
    pub node: NodeId,
    /// Nodes that were filtered.
    pub evaluated: usize,
    /// Nodes that passed.
    pub feasible: usize,
    /// What plugins remember.
    pub state: CycleState,
}

/// Why a cycle gave no node.
pub enum Miss {
    /// There are no nodes.
    NoNodes,
    /// No node passed.
    Unfit(Box<Search>),
    /// A plugin broke.
    Broken(Status),
}

/// Which nodes are looked at, and what is known of them.
pub struct Sampling<'a> {
    /// Where the search begins; moved on by what was looked at.
    pub start: &'a mut usize,
    /// Every node is looked at from the first on, and `start` stays.
    pub all: bool,
    /// What is kept from earlier cycles for Pods like this one.
    pub kept: Option<Kept<'a>>,
}

/// Finds a node for a Pod.
///
/// # Errors
/// Why there is none.
pub fn schedule_pod(
    handle: &Handle<'_>,
    pod: &PodInfo,
    mut sampling: Sampling<'_>,
    choice: &mut Choice<'_>,
) -> Result<Placement, Miss> {
    if handle.snapshot.is_empty() {
        return Err(Miss::NoNodes);
    }
    match find_nodes_that_fit(handle, pod, &mut sampling).map_err(Miss::Broken)? {
        Found::Kept { feasible, evaluated, mut state } => {
            let before = Before { handle, pod };
            let chosen = sampling.kept.as_mut().map(|kept| kept.choose(before, &mut state, choice));
            let node =
                chosen.unwrap_or_else(|| Err(Status::error("nothing is kept"))).map_err(Miss::Broken)?;
            Ok(Placement { node, evaluated, feasible, state })
        }
        Found::Asked(mut search) => {
            let feasible = search.feasible.len();
            let evaluated = feasible + search.diagnosis.statuses.len();
            let node = match search.feasible.as_slice() {
                [] => return Err(Miss::Unfit(search)),
                [only] => *only,
                _ => {
                    let nodes: Vec<&NodeInfo> =
                        search.feasible.iter().map(|id| handle.snapshot.node(*id)).collect();
                    let totals = prioritize(handle, &mut search.state, pod, &nodes).map_err(Miss::Broken)?;
                    search.feasible[select_host(&nodes, &totals, choice)]
                }
            };
            Ok(Placement { node, evaluated, feasible, state: search.state })
        }
    }
}

/// How the nodes were found.
enum Found {
    /// With what is kept, which knows them.
    Kept { feasible: usize, evaluated: usize, state: CycleState },
    /// By asking of one after the other.
    Asked(Box<Search>),
}

fn find_nodes_that_fit(
    handle: &Handle<'_>,
    pod: &PodInfo,
    sampling: &mut Sampling<'_>,
) -> Result<Found, Status> {
    let snapshot = handle.snapshot;
    let mut state = CycleState::new();
    let mut diagnosis = Diagnosis::default();
    let asked = |feasible, diagnosis, state, of_its_sort| {
        Ok(Found::Asked(Box::new(Search { feasible, diagnosis, state, of_its_sort })))
    };
    let mut of_its_sort = false;
    let (left, refused) = handle.framework.run_pre_filter(snapshot, &mut state, pod);
    if let Err(status) = refused {
        if !status.is_rejected() {
            return Err(status);
        }
        pre_filter_refused(&mut diagnosis, &left, status);
        return asked(Vec::new(), diagnosis, state, false);
    }
    diagnosis.unschedulable_plugins = left.plugins.clone();
    if let Some(feasible) = nominated_node(handle, pod, &state, &mut diagnosis)? {
        return asked(vec![feasible], diagnosis, state, false);
    }
    let all = sampling.all;
    let wanted = |nodes: usize| match (all, handle.framework.has_score()) {
        (true, _) => nodes,
        (false, true) => num_feasible_nodes_to_find(handle.framework.percentage_of_nodes_to_score, nodes),
        (false, false) => 1,
    };
    let from = if sampling.all { 0 } else { *sampling.start };
    let why = left.plugins.first().copied().or_else(|| (!diagnosis.statuses.is_empty()).then_some(NOMINATED));
    match search_short((handle, pod), &state, sampling, (wanted(snapshot.len()), why)) {
        Some((0, _)) => of_its_sort = true,
        Some((feasible, evaluated)) => return Ok(Found::Kept { feasible, evaluated, state }),
        None => {}
    }
    let nodes: Vec<NodeId> = match &left.nodes {
        None => Vec::new(),
        Some(names) => {
            diagnosis.statuses.set_absent(limited_by(&left.plugins));
            names.iter().filter_map(|name| snapshot.get(name)).map(|node| node.id).collect()
        }
    };
    let nodes = if left.nodes.is_some() { nodes.as_slice() } else { snapshot.order() };
    let wanted = wanted(nodes.len());
    let mut asking = Asking { handle, pod, state: &state, kept: None };
    if let Some(kept) = sampling.kept.as_mut()
        && kept.refresh(Before { handle, pod }, &state).is_ok()
    {
        asking.kept = Some(kept.table);
    }
    let found = asking.find_nodes_that_pass(&mut diagnosis, nodes, from, wanted);
    if !sampling.all {
        let looked_at = diagnosis.statuses.len() + found.as_ref().map_or(0, Vec::len);
        *sampling.start = (*sampling.start + looked_at) % snapshot.len();
    }
    asked(found?, diagnosis, state, of_its_sort)
}

/// Searches with what is kept, unless something (`why`) forbids it: how many nodes pass and how many were looked at. None if nodes have
/// to be asked for it.
fn search_short(
    (handle, pod): (&Handle<'_>, &PodInfo),
    state: &CycleState,
    sampling: &mut Sampling<'_>,
    (wanted, why): (usize, Option<&'static str>),
) -> Option<(usize, usize)> {
    let kept = sampling.kept.as_mut().filter(|_| !sampling.all)?;
    if let Some(why) = why {
        *kept.tally.long.entry(why).or_default() += 1;
        return None;
    }
    let (feasible, evaluated) = kept.search(Before { handle, pod }, state, *sampling.start, wanted)?;
    if feasible > 0 {
        *sampling.start = (*sampling.start + evaluated) % handle.snapshot.len();
    }
    Some((feasible, evaluated))
}

/// Notes what PreFilter said: all nodes count as refused for it.
pub fn pre_filter_refused(diagnosis: &mut Diagnosis, left: &PreFilterResult, status: Status) {
    diagnosis.unschedulable_plugins = left.plugins.clone();
    if !status.plugin.is_empty() {
        diagnosis.unschedulable_plugins.insert(status.plugin);
    }
    diagnosis.pre_filter_message = status.message();
    diagnosis.statuses.set_absent(status);
}

/// The status of nodes that PreFilter plugins did not name.
pub fn limited_by(plugins: &BTreeSet<&'static str>) -> Status {
    let names: Vec<&str> = plugins.iter().copied().collect();
    let text = format!("node(s) didn't satisfy plugin(s) [{}]", names.join(" "));
    Status::new(Code::UnschedulableAndUnresolvable, text, super::framework::cause::NODE_AFFINITY)
}

/// The node for which preemption nominated the Pod, if it passes.
fn nominated_node(
    handle: &Handle<'_>,
    pod: &PodInfo,
    state: &CycleState,
    diagnosis: &mut Diagnosis,
) -> Result<Option<NodeId>, Status> {
    let Some(name) = pod.pod.status.nominated_node.as_ref().filter(|n| !n.is_empty()) else {
        return Ok(None);
    };
    let Some(node) = handle.snapshot.get(name) else { return Ok(None) };
    match handle.run_filter_with_nominated_pods(state, pod, node) {
        Ok(()) => Ok(Some(node.id)),
        Err(status) if status.is_rejected() => {
            diagnosis.refuse(node.id, status);
            Ok(None)
        }
        // Upstream writes the fault to its log and looks at all nodes.
        Err(_) => Ok(None),
    }
}

/// One Pod before many nodes.
struct Asking<'a> {
    handle: &'a Handle<'a>,
    pod: &'a PodInfo,
    state: &'a CycleState,
    /// What local plugins say, if it is known.
    kept: Option<&'a Table>,
}

impl Asking<'_> {
    fn find_nodes_that_pass(
        &self,
        diagnosis: &mut Diagnosis,
        nodes: &[NodeId],
        from: usize,
        wanted: usize,
    ) -> Result<Vec<NodeId>, Status> {
        let mut feasible = Vec::with_capacity(wanted.min(nodes.len()));
        let from = from % nodes.len().max(1);
        for id in nodes[from..].iter().chain(&nodes[..from]).copied() {
            if feasible.len() >= wanted {
                break;
            }
            match self.passes(id) {
                Ok(()) => feasible.push(id),
                Err(status) if status.is_rejected() => diagnosis.refuse(id, status),
                Err(status) => return Err(status),
            }
        }
        Ok(feasible)
    }

    fn passes(&self, id: NodeId) -> Result<(), Status> {
        let Handle { framework, snapshot, .. } = *self.handle;
        let node = snapshot.node(id);
        self.handle.run_filter_with_others(self.state, self.pod, node)?;
        match self.kept.and_then(|kept| kept.verdict(id)) {
            Some(local) => framework.run_filter_after(local, snapshot, self.state, self.pod, node),
            None => framework.run_filter(snapshot, self.state, self.pod, node),
        }
    }
}

/// How many nodes that pass are enough, of so many.
pub fn num_feasible_nodes_to_find(percentage: i32, nodes: usize) -> usize {
    if nodes < MIN_FEASIBLE_NODES_TO_FIND {
        return nodes;
    }
    let share = match usize::try_from(percentage) {
        Ok(0) | Err(_) => 50usize.saturating_sub(nodes / 125).max(MIN_FEASIBLE_NODES_PERCENTAGE),
        Ok(share) => share,
    };
    (nodes * share / 100).max(MIN_FEASIBLE_NODES_TO_FIND)
}

/// The weighted scores of all plugins, added up for each node.
fn prioritize(
    handle: &Handle<'_>,
    state: &mut CycleState,
    pod: &PodInfo,
    nodes: &[&NodeInfo],
) -> Result<Vec<i64>, Status> {
    let Handle { framework, snapshot, .. } = *handle;
    if !framework.has_score() {
        return Ok(vec![1; nodes.len()]);
    }
    framework.run_pre_score(snapshot, state, pod, nodes)?;
    let mut totals = vec![0i64; nodes.len()];
    for (_, scores) in framework.run_score(snapshot, state, pod, nodes)? {
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score;
        }
    }
    Ok(totals)
}

/// The index of one of the nodes with the highest total.
pub fn select_host(nodes: &[&NodeInfo], totals: &[i64], choice: &mut Choice<'_>) -> usize {
    let best = totals.iter().copied().max().unwrap_or(0);
    let mut ties = totals.iter().enumerate().filter(|(_, total)| **total == best).map(|(i, _)| i);
    match choice {
        Choice::SmallestName => ties.min_by(|a, b| nodes[*a].name().cmp(nodes[*b].name())).unwrap_or(0),
        // Upstream draws once for each further tie; what is drawn has the same distribution.
        Choice::Random(below) => match ties.clone().count() {
            0 | 1 => ties.next().unwrap_or(0),
            count => ties.nth(below(count as u64) as usize).unwrap_or(0),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{num_feasible_nodes_to_find, select_host};
    use crate::scheduler::decision::Choice;
    use crate::scheduler::framework::{NodeInfo, Snapshot};
    use crate::scheduler::testing::node;

    /// Facts §10.4, §13.46: upstream draws by reservoir sampling; here once, to the same effect.
    #[test]
    fn the_best_nodes_are_drawn_with_equal_chances() {
        let mut snapshot = Snapshot::default();
        for name in ["a", "b", "c", "d"] {
            if let crate::api::Object::Node(node) = node(name, "z", 1000) {
                snapshot.set_node(&node);
            }
        }
        let nodes: Vec<&NodeInfo> = snapshot.nodes().collect();
        let mut chosen = [0; 4];
        for drawn in 0..3 {
            let mut draws = [drawn].into_iter();
            let mut below = |bound| {
                assert_eq!(bound, 3);
                draws.next().expect("one draw is enough")
            };
            chosen[select_host(&nodes, &[7, 3, 7, 7], &mut Choice::Random(&mut below))] += 1;
        }
        assert_eq!(chosen, [1, 0, 1, 1]);
        let mut never = |_| unreachable!("nothing is drawn where one node is the best");
        assert_eq!(select_host(&nodes, &[7, 3, 8, 7], &mut Choice::Random(&mut never)), 2);
    }

    /// Facts §10.4, §13.46: numFeasibleNodesToFind.
    #[test]
    fn larger_clusters_are_looked_at_in_smaller_parts() {
        for (percentage, nodes, expected) in [
            (0, 99, 99),
            (0, 100, 100),
            (0, 250, 120),
            (0, 500, 230),
            (0, 1000, 420),
            (0, 2000, 680),
            (0, 5000, 500),
            (0, 6000, 300),
            (40, 1000, 400),
            (100, 1000, 1000),
            (1, 1000, 100),
        ] {
            assert_eq!(num_feasible_nodes_to_find(percentage, nodes), expected, "{percentage} % of {nodes}");
        }
    }
}
