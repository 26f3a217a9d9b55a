//! Runs the plugins of one profile in their order.
//!
//! Upstream: `pkg/scheduler/framework/runtime/framework.go`, v1.34.

use std::collections::BTreeSet;
use std::sync;

use super::{
    ClusterEvent, Code, CycleState, EnqueueContext, EnqueueExtensions, Filter, NodeInfo, NodeStatuses,
    Nominator, PodInfo, PostFilter, PostFiltered, PreEnqueue, PreFilter, PreFiltered, PreScore, PreScored,
    QueueSort, Reason, Reserve, Score, Snapshot, Status,
};
use crate::base::{Arc, Str};
use crate::scheduler::decision::{Choice, VolumeStep};

/// A plugin at one extension point: its name and its bit in skip sets.
#[derive(Debug)]
pub struct At<T: ?Sized> {
    /// The plugin's name.
    pub name: &'static str,
    pub(in crate::scheduler) bit: u64,
    /// Whether what it says of a node depends on the node and the Pod's own wishes only.
    pub(in crate::scheduler) local: bool,
    /// Whether it looks at the node's object alone.
    pub(in crate::scheduler) of_object: bool,
    /// The plugin.
    pub plugin: sync::Arc<T>,
}

impl<T: ?Sized> Clone for At<T> {
    fn clone(&self) -> Self {
        let Self { name, bit, local, of_object, ref plugin } = *self;
        Self { name, bit, local, of_object, plugin: plugin.clone() }
    }
}

/// A score plugin with its weight.
#[derive(Clone, Debug)]
pub struct Weighted {
    /// The plugin.
    pub at: At<dyn Score>,
    /// What its scores are multiplied by.
    pub weight: i64,
}

/// An event that may help Pods that a plugin refused.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The plugin.
    pub plugin: &'static str,
    /// The event.
    pub event: ClusterEvent,
    /// Says whether it helps a given Pod; without it every such event does.
    pub hints: Option<sync::Arc<dyn EnqueueExtensions>>,
}

/// The plugins of one profile, each extension point in its order.
#[derive(Clone, Debug, Default)]
pub struct Framework {
    /// The profile's name: the `schedulerName` of its Pods.
    pub profile_name: Str,
    /// `percentageOfNodesToScore`; 0 is adaptive.
    pub percentage_of_nodes_to_score: i32,
    pub(in crate::scheduler) pre_enqueue: Vec<At<dyn PreEnqueue>>,
    pub(in crate::scheduler) queue_sort: Option<sync::Arc<dyn QueueSort>>,
    pub(in crate::scheduler) pre_filter: Vec<At<dyn PreFilter>>,
    pub(in crate::scheduler) filter: Vec<At<dyn Filter>>,
    pub(in crate::scheduler) post_filter: Vec<At<dyn PostFilter>>,
    pub(in crate::scheduler) pre_score: Vec<At<dyn PreScore>>,
    pub(in crate::scheduler) score: Vec<Weighted>,
    pub(in crate::scheduler) reserve: Vec<At<dyn Reserve>>,
    pub(in crate::scheduler) registrations: Vec<Registration>,
}

/// Which nodes the PreFilter plugins left.
#[derive(Clone, Debug, Default)]
pub struct PreFilterResult {
    /// Names of the only nodes that can pass; none for all.
    pub nodes: Option<BTreeSet<Str>>,
    /// The plugins that named them.
    pub plugins: BTreeSet<&'static str>,
}

impl Framework {
    /// Whether there are PostFilter plugins.
    pub fn has_post_filter(&self) -> bool {
        !self.post_filter.is_empty()
    }

    /// Whether there are Score plugins.
    pub fn has_score(&self) -> bool {
        !self.score.is_empty()
    }

    /// The first PreEnqueue plugin that keeps the Pod out.
    ///
    /// # Errors
    /// Its status.
    pub fn run_pre_enqueue(&self, ctx: &EnqueueContext<'_>, pod: &PodInfo) -> Result<(), Status> {
        for at in &self.pre_enqueue {
            at.plugin.pre_enqueue(ctx, pod).map_err(|status| status.with_plugin(at.name))?;
        }
        Ok(())
    }

    /// Runs the PreFilter plugins. The nodes they leave are returned even if they refuse the Pod, with the plugins
    /// that upstream blames for it.
    ///
    /// # Errors
    /// The Pod fits nowhere, or a plugin broke.
    pub fn run_pre_filter(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> (PreFilterResult, Result<(), Status>) {
        let mut result = PreFilterResult::default();
        let mut refused = Ok(());
        for at in &self.pre_filter {
            match at.plugin.pre_filter(snapshot, state, pod) {
                Ok(PreFiltered::Skip) => state.skip_filter |= at.bit,
                Ok(PreFiltered::AllNodes) => {}
                Ok(PreFiltered::Nodes(nodes)) => {
                    result.plugins.insert(at.name);
                    result.nodes = Some(match result.nodes.take() {
                        Some(have) => have.intersection(&nodes).cloned().collect(),
                        None => nodes,
                    });
                }
                Err(status) => match status.code {
                    Code::UnschedulableAndUnresolvable => {
                        return (PreFilterResult::default(), Err(status.with_plugin(at.name)));
                    }
                    // Preemption will be tried, which needs the state of all plugins.
                    Code::Unschedulable => {
                        refused = Err(status.with_plugin(at.name));
                        continue;
                    }
                    Code::Error => {
                        let text = format!("running PreFilter plugin \"{}\": {}", at.name, status.message());
                        return (PreFilterResult::default(), Err(Status::error(text).with_plugin(at.name)));
                    }
                },
            }
            if result.nodes.as_ref().is_some_and(BTreeSet::is_empty) {
                let status = no_node_left(&result.plugins);
                return (result, Err(status));
            }
        }
        (result, refused)
    }

    /// How many Filter plugins, of those that run first, are local.
    pub fn local_filters(&self) -> usize {
        self.filter.iter().take_while(|at| at.local).count()
    }

    /// How many of these look at the node's object alone, of those that run first.
    pub fn object_filters(&self) -> usize {
        self.filter.iter().take_while(|at| at.of_object).count()
    }

    /// Runs the Filter plugins until one refuses.
    ///
    /// # Errors
    /// The refusal, or a plugin broke.
    pub fn run_filter(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        run_filters(&self.filter, snapshot, state, pod, node)
    }

    /// The same, if it is known what those that are local and run first say.
    ///
    /// # Errors
    /// The refusal, or a plugin broke.
    pub fn run_filter_after(
        &self,
        local: Result<(), &Status>,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        local.map_err(Clone::clone)?;
        run_filters(&self.filter[self.local_filters()..], snapshot, state, pod, node)
    }

    /// Runs all Filter plugins, also after one has refused: what they refuse or break with, in their order.
    pub fn run_all_filters(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Vec<Status> {
        let asked = self.filter.iter().filter(|at| state.skip_filter & at.bit == 0);
        let refused = |at: &At<dyn Filter>| at.plugin.filter(snapshot, state, pod, node).err();
        asked.filter_map(|at| refused(at).map(|status| status.with_plugin(at.name))).collect()
    }

    /// Runs PreScore.
    ///
    /// # Errors
    /// A plugin broke.
    pub fn run_pre_score(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
    ) -> Result<(), Status> {
        for at in &self.pre_score {
            at.run(snapshot, state, pod, nodes)?;
        }
        Ok(())
    }

    /// Scores, normalises and weighs. One entry for each plugin that was not skipped, in their order; its scores are parallel to
    /// `nodes`.
    ///
    /// # Errors
    /// A plugin broke or gave a score beyond 0..=100.
    pub fn run_score(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
    ) -> Result<Vec<(&'static str, Vec<i64>)>, Status> {
        let mut all = Vec::with_capacity(self.score.len());
        for weighted in self.score.iter().filter(|weighted| state.skip_score & weighted.at.bit == 0) {
            let mut scores = Vec::with_capacity(nodes.len());
            weighted.score(snapshot, state, pod, nodes, &mut scores)?;
            all.push((weighted.at.name, scores));
        }
        Ok(all)
    }

    /// Runs Reserve on the chosen node.
    ///
    /// # Errors
    /// The first refusal or fault.
    pub fn run_reserve(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<Vec<VolumeStep>, Status> {
        let mut steps = Vec::new();
        for at in &self.reserve {
            match at.plugin.reserve(snapshot, state, pod, node) {
                Ok(more) => steps.extend(more),
                Err(status) if status.is_rejected() => return Err(status.with_plugin(at.name)),
                Err(status) => {
                    let text = format!("running Reserve plugin \"{}\": {}", at.name, status.message());
                    return Err(Status::error(text).with_plugin(at.name));
                }
            }
        }
        Ok(steps)
    }
}

impl Framework {
    /// What is written into a Pod's annotations when it is bound to `node`.
    pub fn annotations(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Vec<(Str, Str)> {
        self.reserve.iter().flat_map(|at| at.plugin.annotations(snapshot, state, pod, node)).collect()
    }
}

impl Weighted {
    /// Scores, normalises and weighs: scores parallel to `nodes`.
    pub(in crate::scheduler) fn score(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
        scores: &mut Vec<i64>,
    ) -> Result<(), Status> {
        let scored = self.at.plugin.score_all(snapshot, state, pod, nodes, scores);
        scored.map_err(|status| score_failed(self.at.name, &status))?;
        self.weigh(snapshot, state, pod, nodes, scores)
    }

    /// Normalises and weighs scores that the plugin gave.
    pub(in crate::scheduler) fn weigh(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
        scores: &mut [i64],
    ) -> Result<(), Status> {
        let name = self.at.name;
        self.at.plugin.normalize(snapshot, state, pod, nodes, scores).map_err(|status| {
            let text = format!("running Normalize on Score plugins: plugin \"{name}\" failed with: {status}");
            Status::error(text).with_plugin(name)
        })?;
        for score in scores {
            if !(0..=super::MAX_NODE_SCORE).contains(score) {
                let text = format!(
                    "applying score defaultWeights on Score plugins: plugin \"{name}\" returns an invalid score \
                     {score}, it should in the range of [0, 100] after normalizing"
                );
                return Err(Status::error(text).with_plugin(name));
            }
            *score *= self.weight;
        }
        Ok(())
    }
}

impl At<dyn PreScore> {
    /// Runs the plugin; `state` remembers it if its Score is not to be asked.
    ///
    /// # Errors
    /// The plugin broke.
    pub(in crate::scheduler) fn run(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
    ) -> Result<(), Status> {
        match self.plugin.pre_score(snapshot, state, pod, nodes) {
            Ok(PreScored::Skip) => state.skip_score |= self.bit,
            Ok(PreScored::Score) => {}
            Err(status) => return Err(pre_score_failed(self.name, &status)),
        }
        Ok(())
    }
}

/// What is said of a PreScore plugin that broke.
pub(in crate::scheduler) fn pre_score_failed(plugin: &'static str, status: &Status) -> Status {
    let text = format!("running PreScore plugin \"{plugin}\": {}", status.message());
    Status::error(text).with_plugin(plugin)
}

fn score_failed(plugin: &'static str, status: &Status) -> Status {
    let text = format!("running Score plugins: plugin \"{plugin}\" failed with: {status}");
    Status::error(text).with_plugin(plugin)
}

/// Runs some Filter plugins until one refuses.
pub(in crate::scheduler) fn run_filters(
    filters: &[At<dyn Filter>],
    snapshot: &Snapshot,
    state: &CycleState,
    pod: &PodInfo,
    node: &NodeInfo,
) -> Result<(), Status> {
    for at in filters {
        if state.skip_filter & at.bit != 0 {
            continue;
        }
        if let Err(status) = at.plugin.filter(snapshot, state, pod, node) {
            if status.is_rejected() {
                return Err(status.with_plugin(at.name));
            }
            let text = format!("running \"{}\" filter plugin: {}", at.name, status.message());
            return Err(Status::error(text).with_plugin(at.name));
        }
    }
    Ok(())
}

fn no_node_left(plugins: &BTreeSet<&'static str>) -> Status {
    let names: Vec<&str> = plugins.iter().copied().collect();
    let text = match names.as_slice() {
        [one] => format!("node(s) didn't satisfy plugin {one}"),
        _ => format!("node(s) didn't satisfy plugin(s) [{}] simultaneously", names.join(" ")),
    };
    Status::unresolvable(text, super::cause::NODE_AFFINITY)
}

/// What a plugin that tries out other clusters may use: the profile, the snapshot, the nominations.
#[derive(Clone, Copy, Debug)]
pub struct Handle<'a> {
    /// The profile.
    pub framework: &'a Framework,
    /// The cluster.
    pub snapshot: &'a Snapshot,
    /// Pods nominated to nodes.
    pub nominator: &'a Nominator,
}

impl Handle<'_> {
    /// Tells all PreFilter plugins that a dry run has put `added` on `node`.
    ///
    /// # Errors
    /// A plugin broke.
    pub fn run_add_pod(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        added: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        for at in &self.framework.pre_filter {
            if state.skip_filter & at.bit == 0 {
                at.plugin.add_pod(self.snapshot, state, pod, added, node).map_err(|status| {
                    Status::error(format!("running AddPod on PreFilter plugin \"{}\": {status}", at.name))
                })?;
            }
        }
        Ok(())
    }

    /// Tells all PreFilter plugins that a dry run has taken `removed` from `node`.
    ///
    /// # Errors
    /// A plugin broke.
    pub fn run_remove_pod(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        removed: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        for at in &self.framework.pre_filter {
            if state.skip_filter & at.bit == 0 {
                at.plugin.remove_pod(self.snapshot, state, pod, removed, node).map_err(|status| {
                    Status::error(format!("running RemovePod on PreFilter plugin \"{}\": {status}", at.name))
                })?;
            }
        }
        Ok(())
    }

    /// Runs the Filter plugins on a node, and if Pods of equal or higher priority are nominated to it, first with
    /// those put on it: the Pod must pass both times.
    ///
    /// # Errors
    /// The refusal, or a plugin broke.
    pub fn run_filter_with_nominated_pods(
        &self,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        self.run_filter_with_others(state, pod, node)?;
        self.framework.run_filter(self.snapshot, state, pod, node)
    }

    /// Runs the Filter plugins with Pods of equal or higher priority put on the node that are nominated to it, if there are
    /// any.
    ///
    /// # Errors
    /// The refusal, or a plugin broke.
    pub fn run_filter_with_others(
        &self,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        if self.nominator.is_empty() {
            return Ok(());
        }
        let nominated = self.nominator.on_node(node.name());
        let counts = |p: &&Arc<PodInfo>| p.priority() >= pod.priority() && p.uid() != pod.uid();
        if nominated.iter().any(|p| counts(&p)) {
            let (mut state, mut node) = (state.clone(), node.clone());
            for added in nominated.iter().filter(counts) {
                node.add_pod(added.clone());
                self.run_add_pod(&mut state, pod, added, &node)?;
            }
            self.framework.run_filter(self.snapshot, &state, pod, &node)?;
        }
        Ok(())
    }

    /// Runs the PostFilter plugins until one succeeds, breaks or says that nothing helps.
    pub fn run_post_filter(
        &self,
        state: &CycleState,
        pod: &PodInfo,
        statuses: &NodeStatuses,
        choice: &mut Choice<'_>,
    ) -> PostFiltered {
        let mut last = PostFiltered::default();
        let mut preempted = None;
        let mut reasons: Vec<Reason> = Vec::new();
        let mut rejector = "";
        for at in &self.framework.post_filter {
            let mut found = at.plugin.post_filter(self, state, pod, statuses, choice);
            let Some(status) = found.status.take() else { return found };
            match status.code {
                Code::UnschedulableAndUnresolvable => {
                    return PostFiltered { status: Some(status.with_plugin(at.name)), ..found };
                }
                Code::Error => {
                    let status = Some(status.with_plugin(at.name));
                    let preempted = found.preempted;
                    return PostFiltered { status, preempted, ..PostFiltered::default() };
                }
                Code::Unschedulable => {
                    reasons.extend(status.reasons().cloned());
                    preempted = found.preempted.take().or(preempted);
                    if found.nomination.is_some() {
                        last = found;
                    }
                    if rejector.is_empty() {
                        rejector = at.name;
                    }
                }
            }
        }
        let mut status = Status::empty(Code::Unschedulable).with_plugin(rejector);
        reasons.into_iter().for_each(|reason| status.push(reason));
        PostFiltered { status: Some(status), preempted, ..last }
    }
}
