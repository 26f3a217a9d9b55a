//! Runs a scheduling cycle with nothing left out: every node is filtered, every feasible one is scored, every node is
//! tried by preemption, and the smallest name breaks ties.
//!
//! Upstream: `pkg/scheduler/schedule_one.go`, v1.34, as the recordings of the real scheduler drive it.

use super::decision::{Choice, VolumeStep};
use super::evaluation::{Evaluation, NodeEvaluation, PostFilter, PreemptionTrial};
use super::framework::runtime::PreFilterResult;
use super::framework::{
    Code, CycleState, EnqueueContext, Framework, Handle, NodeInfo, NodeStatuses, Nominator, PodInfo,
    PostFiltered, Snapshot, Status, cause,
};
use super::preemption::Preempted;
use crate::base::{Arc, LookupSet, Str};

const NO_NODES: &str = "no nodes available to schedule pods";

/// A cluster as a scheduling cycle sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The profile.
    pub framework: &'a Framework,
    /// Nodes and other objects.
    pub snapshot: &'a Snapshot,
    /// Pods nominated to nodes.
    pub nominator: &'a Nominator,
}

/// What a cycle found: the evaluation, and what would have to be written before the Pod is bound.
#[derive(Clone, Debug)]
pub struct Found {
    /// What every node said.
    pub evaluation: Evaluation,
    /// Claims to bind, in order.
    pub volumes: Vec<VolumeStep>,
}

impl View<'_> {
    const fn handle(&self) -> Handle<'_> {
        Handle { framework: self.framework, snapshot: self.snapshot, nominator: self.nominator }
    }

    /// A cycle for `pod`.
    pub fn evaluate(&self, pod: &PodInfo) -> Found {
        let mut evaluation = Evaluation { pod: pod.pod.meta.key(), ..Evaluation::default() };
        let context = EnqueueContext { preempting: &LookupSet::default() };
        if let Err(gate) = self.framework.run_pre_enqueue(&context, pod) {
            evaluation.pre_enqueue = Some(gate);
            return Found { evaluation, volumes: Vec::new() };
        }
        let volumes = self.cycle(pod, &mut evaluation).unwrap_or_else(|error| {
            evaluation.message = Some(error.message());
            evaluation.error = Some(error.message());
            evaluation.chosen = None;
            Vec::new()
        });
        Found { evaluation, volumes }
    }

    fn cycle(&self, pod: &PodInfo, out: &mut Evaluation) -> Result<Vec<VolumeStep>, Status> {
        if self.snapshot.is_empty() {
            return Err(Status::unresolvable(NO_NODES, cause::NO_NODES));
        }
        let mut state = CycleState::new();
        let (narrowed, refused) = self.framework.run_pre_filter(self.snapshot, &mut state, pod);
        let mut statuses = NodeStatuses::new();
        if let Err(status) = refused {
            if status.code == Code::Error {
                out.pre_filter = Some(status.clone());
                return Err(status);
            }
            let message = format!("{} {}.", nodes_available(self.snapshot.len()), status.message());
            statuses.set_absent(status.clone());
            out.pre_filter = Some(status);
            self.refused(pod, &state, &statuses, message, out);
            return Ok(Vec::new());
        }
        let feasible = self.filter(pod, &state, &narrowed, &mut statuses, out)?;
        out.feasible = feasible.len();
        if feasible.is_empty() {
            let message = statuses.fit_message(self.snapshot.len());
            self.refused(pod, &state, &statuses, message, out);
            return Ok(Vec::new());
        }
        self.choose(pod, &mut state, &feasible, out)?;
        let chosen = out.chosen.as_ref().and_then(|name| self.snapshot.get(name));
        chosen.map_or(Ok(Vec::new()), |node| self.framework.run_reserve(self.snapshot, &state, pod, node))
    }

    /// Filters every node. Those that pass, sorted by name.
    fn filter<'s>(
        &'s self,
        pod: &PodInfo,
        state: &CycleState,
        narrowed: &PreFilterResult,
        statuses: &mut NodeStatuses,
        out: &mut Evaluation,
    ) -> Result<Vec<&'s NodeInfo>, Status> {
        out.pre_filter_nodes = narrowed.nodes.as_ref().map(|names| names.iter().cloned().collect());
        let mut feasible = Vec::new();
        let mut broken = None;
        for node in self.snapshot.nodes() {
            let left_out = narrowed.nodes.as_ref().is_some_and(|names| !names.contains(node.name()));
            let filtered = if left_out {
                Err(left_out_by(narrowed))
            } else {
                self.handle().run_filter_with_nominated_pods(state, pod, node)
            };
            if let Err(status) = &filtered {
                if status.code == Code::Error {
                    broken.get_or_insert_with(|| status.clone());
                }
                statuses.set(node.id, status.clone());
            } else {
                feasible.push(node);
            }
            out.nodes.push(NodeEvaluation {
                name: node.name().clone(),
                filter: filtered.err(),
                scores: None,
                total: None,
            });
        }
        out.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        feasible.sort_by(|a, b| a.name().cmp(b.name()));
        broken.map_or(Ok(feasible), Err)
    }

    /// Scores the nodes that passed and takes the best.
    fn choose(
        &self,
        pod: &PodInfo,
        state: &mut CycleState,
        feasible: &[&NodeInfo],
        out: &mut Evaluation,
    ) -> Result<(), Status> {
        let nominated = pod.pod.status.nominated_node.as_ref();
        if let Some(name) = nominated.filter(|name| feasible.iter().any(|n| n.name() == *name)) {
            out.nominated_first = true;
            out.ties = vec![name.clone()];
            out.chosen = Some(name.clone());
            return Ok(());
        }
        out.scoring_skipped = feasible.len() == 1;
        self.framework.run_pre_score(self.snapshot, state, pod, feasible)?;
        let scores = self.framework.run_score(self.snapshot, state, pod, feasible)?;
        for (index, node) in feasible.iter().enumerate() {
            let Ok(place) = out.nodes.binary_search_by(|n| n.name.cmp(node.name())) else { continue };
            let own: Vec<(&'static str, i64)> =
                scores.iter().map(|(plugin, all)| (*plugin, all[index])).collect();
            out.nodes[place].total = Some(own.iter().map(|(_, score)| score).sum());
            out.nodes[place].scores = Some(own);
        }
        let best = out.nodes.iter().filter_map(|n| n.total).max();
        out.ties = out
            .nodes
            .iter()
            .filter(|n| n.total.is_some() && n.total == best)
            .map(|n| n.name.clone())
            .collect();
        out.chosen = out.ties.first().cloned();
        Ok(())
    }

    /// No node fits: asks the PostFilter plugins.
    fn refused(
        &self,
        pod: &PodInfo,
        state: &CycleState,
        statuses: &NodeStatuses,
        message: String,
        out: &mut Evaluation,
    ) {
        out.fit_message = Some(message.clone());
        out.message = Some(message.clone());
        if !self.framework.has_post_filter() {
            return;
        }
        let filtered = self.handle().run_post_filter(state, pod, statuses, &mut Choice::SmallestName);
        let found = post_filter(&filtered);
        if !found.message.is_empty() {
            out.message = Some(format!("{message} {}", found.message));
        }
        out.post_filter = Some(found);
    }

    /// The nodes that pass, sorted by name. Nothing is scored.
    pub fn feasible(&self, pod: &PodInfo) -> Vec<Str> {
        let mut state = CycleState::new();
        let (narrowed, refused) = self.framework.run_pre_filter(self.snapshot, &mut state, pod);
        if refused.is_err() {
            return Vec::new();
        }
        let named =
            |node: &&NodeInfo| narrowed.nodes.as_ref().is_none_or(|names| names.contains(node.name()));
        let passes =
            |node: &&NodeInfo| self.handle().run_filter_with_nominated_pods(&state, pod, node).is_ok();
        let nodes = self.snapshot.nodes().filter(named).filter(passes);
        let mut names: Vec<Str> = nodes.map(|n| n.name().clone()).collect();
        names.sort();
        names
    }

    /// What every Filter plugin says of every node, not only the first that refuses it: nodes sorted by name, with
    /// all refusals in the order of the plugins. None if a PreFilter plugin refuses the Pod.
    pub fn all_refusals(&self, pod: &PodInfo) -> Option<Vec<(Str, Vec<Status>)>> {
        let mut state = CycleState::new();
        let (narrowed, refused) = self.framework.run_pre_filter(self.snapshot, &mut state, pod);
        refused.ok()?;
        let mut all: Vec<(Str, Vec<Status>)> = Vec::new();
        for node in self.snapshot.nodes() {
            let mut refusals = self.framework.run_all_filters(self.snapshot, &state, pod, node);
            if refusals.is_empty()
                && let Err(status) = self.handle().run_filter_with_nominated_pods(&state, pod, node)
            {
                refusals.push(status);
            }
            let left_out = narrowed.nodes.as_ref().is_some_and(|names| !names.contains(node.name()));
            if left_out && !refusals.iter().any(|s| narrowed.plugins.contains(s.plugin)) {
                refusals.push(left_out_by(&narrowed));
            }
            all.push((node.name().clone(), refusals));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Some(all)
    }
}

/// Upstream: `NoNodeAvailableMsg`.
fn nodes_available(nodes: usize) -> String {
    format!("0/{nodes} nodes are available:")
}

/// Upstream: `findNodesThatFitPod` on nodes that a PreFilter plugin left out.
fn left_out_by(narrowed: &PreFilterResult) -> Status {
    let plugins: Vec<&str> = narrowed.plugins.iter().copied().collect();
    Status::unresolvable(
        format!("node(s) didn't satisfy plugin(s) [{}]", plugins.join(" ")),
        cause::NODE_AFFINITY,
    )
}

fn post_filter(filtered: &PostFiltered) -> PostFilter {
    let nothing = Arc::new(Preempted::default());
    let found = filtered.preempted.as_ref().unwrap_or(&nothing);
    let victims = found.chosen.iter().flat_map(|c| &c.victims).map(|p| p.meta.key());
    let mut victims: Vec<_> = victims.collect();
    victims.sort();
    let mut candidates: Vec<PreemptionTrial> = found
        .trials
        .iter()
        .map(|trial| PreemptionTrial {
            node: trial.node.clone(),
            outcome: match &trial.outcome {
                Ok(candidate) => Ok(candidate.victims.iter().map(|p| p.meta.key()).collect()),
                Err(status) => Err(status.clone()),
            },
            pdb_violations: trial.outcome.as_ref().map_or(0, |c| c.pdb_violations),
        })
        .collect();
    candidates.sort_by(|a, b| a.node.cmp(&b.node));
    PostFilter {
        refused: filtered.status.as_ref().map(|s| s.code),
        message: filtered.status.as_ref().map(Status::message).unwrap_or_default(),
        nominated: found.chosen.as_ref().map(|c| c.node.clone()),
        nominated_ties: found.ties.clone(),
        victims,
        pdb_violations: found.chosen.as_ref().map_or(0, |c| c.pdb_violations),
        candidates,
    }
}
