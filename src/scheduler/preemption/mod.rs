//! Preemption: on which node which Pods would have to go to make room for a Pod.
//!
//! [`Evaluator::preempt`] asks whether it may, tries the nodes one after the other, and picks the cheapest. Who may be
//! evicted from a node is found by [`victims`]; what is cheap by [`pick`].
//!
//! Upstream: `pkg/scheduler/framework/preemption/preemption.go`, v1.34.
//!
//! # Fidelity
//! Upstream tries nodes in parallel and may look at a few more than it needs; here they are tried one by one.

pub mod pick;
pub mod victims;

use super::decision::Choice;
use super::framework::args::DefaultPreemptionArgs;
use super::framework::{Code, CycleState, Handle, NodeId, NodeStatuses, PodInfo, Status};
use crate::api::condition;
use crate::api::pod::cond;
use crate::api::policy::PodDisruptionBudget;
use crate::api::{ConditionStatus, Pod};
use crate::base::{Arc, Str};
use pick::Candidate;

const NEVER: &str = "not eligible due to preemptionPolicy=Never.";
const TERMINATING: &str = "not eligible due to a terminating pod on the nominated node.";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

/// One node on which it was tried to remove Pods.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The node.
    pub node: Str,
    /// What has to go, or why that does not help.
    pub outcome: Result<Candidate, Status>,
}

/// What came of a preemption.
#[derive(Clone, Debug, Default)]
pub struct Preempted {
    /// Where room can be made.
    pub chosen: Option<Candidate>,
    /// Names of the nodes that are as good as the chosen one by all criteria, sorted.
    pub ties: Vec<Str>,
    /// The nodes that were tried, in that order.
    pub trials: Vec<Trial>,
    /// Why there is no room to be made; none if there is.
    pub status: Option<Status>,
    /// The Pod's nomination, if it has one, has come to nothing.
    pub clear_nomination: bool,
}

impl Preempted {
    fn refused(status: Status) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}

/// Decides on preemption for one Pod.
#[derive(Clone, Copy, Debug)]
pub struct Evaluator<'a> {
    /// The cluster and the plugins.
    pub handle: Handle<'a>,
    /// How many candidates are enough.
    pub args: &'a DefaultPreemptionArgs,
}

impl Evaluator<'_> {
    /// Finds the node on which evicting Pods of lower priority costs least.
    ///
    /// `statuses` says why no node passed. With [`Choice::SmallestName`] every node is tried.
    pub fn preempt(
        &self,
        state: &CycleState,
        pod: &PodInfo,
        statuses: &NodeStatuses,
        choice: &mut Choice<'_>,
    ) -> Preempted {
        if let Err(why) = self.eligible(&pod.pod, statuses) {
            return Preempted::refused(Status::unschedulable(why, ""));
        }
        let snapshot = self.handle.snapshot;
        if snapshot.is_empty() {
            return Preempted::refused(Status::error("no nodes available"));
        }
        let nodes = statuses.nodes_of_code(snapshot, Code::Unschedulable);
        let trials = self.dry_run(state, pod, &nodes, choice);
        let candidates: Vec<Candidate> = trials.iter().filter_map(|t| t.outcome.clone().ok()).collect();
        let best = pick::best(&candidates);
        if best.is_empty() {
            return Self::no_candidate(snapshot.len(), snapshot_ids(self, &trials), trials);
        }
        let mut ties: Vec<Str> = best.iter().map(|i| candidates[*i].node.clone()).collect();
        ties.sort();
        let chosen = match choice {
            Choice::SmallestName => ties[0].clone(),
            Choice::Random(_) if ties.len() == 1 => ties[0].clone(),
            Choice::Random(draw) => ties[draw(ties.len() as u64) as usize].clone(),
        };
        let chosen = candidates.into_iter().find(|c| c.node == chosen);
        Preempted { chosen, ties, trials, status: None, clear_nomination: false }
    }

    /// Whether the Pod may evict others.
    ///
    /// Upstream: `default_preemption.go` `PodEligibleToPreemptOthers`.
    fn eligible(&self, pod: &Pod, statuses: &NodeStatuses) -> Result<(), &'static str> {
        if pod.spec.never_preempts {
            return Err(NEVER);
        }
        let Some(nominated) = &pod.status.nominated_node else { return Ok(()) };
        let node = self.handle.snapshot.get(nominated);
        let status = node.map_or_else(|| statuses.absent(), |n| statuses.get(n.id));
        if status.code == Code::UnschedulableAndUnresolvable {
            return Ok(());
        }
        let leaving = |p: &Arc<PodInfo>| p.priority() < pod.spec.priority && is_being_preempted(&p.pod);
        if node.is_some_and(|n| n.pods().iter().any(leaving)) { Err(TERMINATING) } else { Ok(()) }
    }

    /// Tries the nodes in turn, from an offset on, until there are enough candidates and one of them breaks no
    /// budget.
    fn dry_run(
        &self,
        state: &CycleState,
        pod: &PodInfo,
        nodes: &[NodeId],
        choice: &mut Choice<'_>,
    ) -> Vec<Trial> {
        if nodes.is_empty() {
            return Vec::new();
        }
        let (offset, wanted) = match choice {
            Choice::SmallestName => (0, usize::MAX),
            Choice::Random(draw) => {
                (draw(nodes.len() as u64) as usize, candidates_wanted(self.args, nodes.len()))
            }
        };
        let budgets: Vec<Arc<PodDisruptionBudget>> =
            self.handle.snapshot.listers.budgets.iter().cloned().collect();
        let mut trials = Vec::new();
        let (mut unharmful, mut harmful) = (0, 0);
        for i in 0..nodes.len() {
            let node = self.handle.snapshot.node(nodes[(offset + i) % nodes.len()]);
            let outcome = victims::on_node(&self.handle, state, pod, node, &budgets);
            match &outcome {
                Ok(candidate) if candidate.pdb_violations == 0 => unharmful += 1,
                Ok(_) => harmful += 1,
                Err(_) => {}
            }
            trials.push(Trial { node: node.name().clone(), outcome });
            if unharmful > 0 && unharmful + harmful >= wanted {
                break;
            }
        }
        trials
    }

    fn no_candidate(nodes: usize, statuses: NodeStatuses, trials: Vec<Trial>) -> Preempted {
        let mut errors: Vec<String> =
            statuses.iter().filter(|s| s.code == Code::Error).map(Status::message).collect();
        errors.dedup();
        let status = match errors.as_slice() {
            [] => {
                let mut statuses = statuses;
                statuses.set_absent(Status::unresolvable(NOT_HELPFUL, ""));
                return Preempted {
                    status: Some(Status::unschedulable(statuses.fit_message(nodes), "")),
                    clear_nomination: true,
                    trials,
                    ..Preempted::default()
                };
            }
            [one] => Status::error(one.as_str()),
            several => Status::error(format!("[{}]", several.join(", "))),
        };
        Preempted { status: Some(status), trials, ..Preempted::default() }
    }
}

/// How many candidates are enough, of so many nodes that may be some.
///
/// Upstream: `default_preemption.go` `calculateNumCandidates`.
fn candidates_wanted(args: &DefaultPreemptionArgs, nodes: usize) -> usize {
    let share = nodes * usize::try_from(args.min_candidate_nodes_percentage).unwrap_or(0) / 100;
    share.max(usize::try_from(args.min_candidate_nodes_absolute).unwrap_or(0)).min(nodes)
}

/// The refusals of the nodes that were tried.
fn snapshot_ids(evaluator: &Evaluator<'_>, trials: &[Trial]) -> NodeStatuses {
    let mut statuses = NodeStatuses::new();
    for trial in trials {
        if let (Err(status), Some(node)) = (&trial.outcome, evaluator.handle.snapshot.get(&trial.node)) {
            statuses.set(node.id, status.clone());
        }
    }
    statuses
}

/// Whether a Pod is being deleted because the scheduler evicted it.
fn is_being_preempted(pod: &Pod) -> bool {
    pod.meta.is_deleting()
        && condition::find(&pod.status.conditions, cond::DISRUPTION_TARGET)
            .is_some_and(|c| c.status == ConditionStatus::True && c.reason == "PreemptionByScheduler")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts §10.1: a tenth of the nodes, at least a hundred, at most all.
    #[test]
    fn a_tenth_of_the_candidates_is_enough() {
        let args = DefaultPreemptionArgs::default();
        for (nodes, wanted) in [(0, 0), (7, 7), (100, 100), (500, 100), (1000, 100), (2000, 200)] {
            assert_eq!(candidates_wanted(&args, nodes), wanted, "{nodes}");
        }
    }
}
