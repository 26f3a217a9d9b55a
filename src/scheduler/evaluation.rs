//! A scheduling cycle laid open: what every node said, every score, what preemption would do.
//!
//! Data only; [`super::placer`] and `explain` have it made, `report` shows it. Names of the fields are those of
//! `wavetank schedule -o json`.

use super::framework::status::{Code, Status};
use crate::api::ObjectKey;
use crate::base::Str;

/// What became of a Pod in one scheduling cycle over all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// The Pod.
    pub pod: ObjectKey,
    /// A PreEnqueue plugin holds the Pod back: it never enters a cycle.
    pub pre_enqueue: Option<Status>,
    /// A PreFilter plugin refused the Pod.
    pub pre_filter: Option<Status>,
    /// PreFilter plugins narrowed the nodes to these, sorted; some may not exist.
    pub pre_filter_nodes: Option<Vec<Str>>,
    /// One entry per node, sorted by name; empty if no node was asked.
    pub nodes: Vec<NodeEvaluation>,
    /// How many nodes pass.
    pub feasible: usize,
    /// Just one node passes: kube-scheduler takes it without scoring. The scores are there all the same.
    pub scoring_skipped: bool,
    /// The Pod's nominated node passes: kube-scheduler looks at no other one and does not score.
    pub nominated_first: bool,
    /// The nodes with the highest total, sorted.
    pub ties: Vec<Str>,
    /// The node: the smallest name of `ties`.
    pub chosen: Option<Str>,
    /// Claims bound with the Pod, in the order of binding.
    pub volumes: Vec<BoundClaim>,
    /// No node fits: the text before PostFilter.
    pub fit_message: Option<String>,
    /// The complete text of the condition `PodScheduled=False`.
    pub message: Option<String>,
    /// The cycle failed with an error; `message` repeats it.
    pub error: Option<String>,
    /// What PostFilter said, if no node fits.
    pub post_filter: Option<PostFilter>,
}

/// What became of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvaluation {
    /// The node.
    pub name: Str,
    /// What the first Filter plugin that refused it said; none if it is feasible. Without a plugin: a PreFilter
    /// plugin left the node out.
    pub filter: Option<Status>,
    /// Feasible nodes: plugin and score, normalised and weighted, in the order of the plugins.
    pub scores: Option<Vec<(&'static str, i64)>>,
    /// Their sum.
    pub total: Option<i64>,
}

/// A claim that was bound for a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundClaim {
    /// The claim.
    pub claim: ObjectKey,
    /// The volume.
    pub volume: Str,
    /// It was made for the claim.
    pub provisioned: bool,
}

/// How PostFilter ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostFilter {
    /// None: a node was nominated.
    pub refused: Option<Code>,
    /// What is appended to the message; empty if a node was nominated.
    pub message: String,
    /// The node nominated.
    pub nominated: Option<Str>,
    /// Nodes that are as good by all criteria, sorted.
    pub nominated_ties: Vec<Str>,
    /// Pods to be evicted from the nominated node, sorted.
    pub victims: Vec<ObjectKey>,
    /// Budgets that evicting them breaks.
    pub pdb_violations: usize,
    /// Every node on which removing Pods was tried, sorted by name.
    pub candidates: Vec<PreemptionTrial>,
}

/// Removing Pods of lower priority from one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreemptionTrial {
    /// The node.
    pub node: Str,
    /// Pods that have to go, most important first; or why it does not help.
    pub outcome: Result<Vec<ObjectKey>, Status>,
    /// Budgets that are broken.
    pub pdb_violations: usize,
}

impl Evaluation {
    /// Whether the Pod got a node.
    pub const fn is_placed(&self) -> bool {
        self.chosen.is_some()
    }
}
