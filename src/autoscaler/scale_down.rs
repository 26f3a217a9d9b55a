//! Finds nodes that are not needed and begins to delete them.
//!
//! Upstream: `cluster-autoscaler/core/scaledown/{eligibility,planner,unneeded,unremovable}`,
//! `simulator/{cluster,utilization/info}.go`, 1.34.
//!
//! # Fidelity
//! Utilization counts CPU and memory; GPU nodes are judged alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::drainability::{Fate, fate};
use super::simulator::Simulator;
use super::template::has_taint;
use super::{ClusterAutoscaler, Ctx, TAINT_CANDIDATE, TAINT_TO_BE_DELETED};
use crate::api::{Node, ObjectKey, Taint, TaintEffect};
use crate::base::{SimDuration, Str};
use crate::cloud::fleet::GroupId;
use crate::scheduler::framework::{NodeInfo, PodInfo};

/// Nodes that cannot be emptied are not tried again for so long.
const UNREMOVABLE_AGAIN_AFTER: SimDuration = SimDuration::from_mins(5);
/// Candidates are marked and unmarked at most so many in a loop.
const SOFT_TAINTS_MAX: usize = 10;
/// Keeps a node out of the autoscaler's hands.
const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

/// A node that could go.
#[derive(Clone, Debug)]
struct Candidate {
    name: Str,
    group: GroupId,
    /// The larger share of CPU and memory that is requested.
    utilization: f64,
    /// Pods that would have to move.
    moving: Vec<PodInfo>,
    ready: bool,
}

impl ClusterAutoscaler {
    /// Keeps account of nodes that are not needed, and begins to delete those that have not been for long.
    pub(super) fn sell(&mut self, ctx: &mut Ctx<'_>, mut simulator: Simulator<'_>) {
        let now = ctx.store.now();
        let removable = self.find_removable(ctx, &mut simulator);
        let names: BTreeMap<&Str, &Candidate> = removable.iter().map(|c| (&c.name, c)).collect();
        self.unneeded.retain(|name, _| names.contains_key(name));
        for name in names.keys() {
            self.unneeded.entry((*name).clone()).or_insert(now);
        }
        self.mark_candidates(ctx);
        if self.cooldown_end(now).is_some() {
            return;
        }
        self.begin_deletions(ctx, removable);
    }

    /// Nodes that could go, each with its Pods in another place; in the order in which that was tried.
    fn find_removable(&mut self, ctx: &Ctx<'_>, simulator: &mut Simulator<'_>) -> Vec<Candidate> {
        let now = ctx.store.now();
        let mut candidates: Vec<Candidate> =
            ctx.store.list::<Node>().filter_map(|node| self.candidate(ctx, node)).collect();
        // Nodes that were not needed before are tried first, then the emptier ones.
        candidates.sort_by(|a, b| {
            let known = |c: &Candidate| !self.unneeded.contains_key(&c.name);
            (known(a), !a.moving.is_empty())
                .cmp(&(known(b), !b.moving.is_empty()))
                .then(a.utilization.total_cmp(&b.utilization))
                .then_with(|| a.name.cmp(&b.name))
        });
        let mut removable: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            if move_away(simulator, &candidate) {
                removable.push(candidate);
            } else {
                self.unremovable.insert(candidate.name, now + UNREMOVABLE_AGAIN_AFTER);
            }
        }
        removable
    }

    /// The node as a candidate, if nothing speaks against it that needs no trying.
    fn candidate(&self, ctx: &Ctx<'_>, node: &Arc<Node>) -> Option<Candidate> {
        let name = &node.meta.name;
        let group = ctx.fleet.group_of(name)?;
        ctx.fleet.group(group).group.bounds?;
        let info = ctx.snapshot.get(name)?;
        let kept = has_taint(node, TAINT_TO_BE_DELETED)
            || node.meta.annotations.get(SCALE_DOWN_DISABLED).is_some_and(|v| v == "true")
            || self.unremovable.contains_key(name)
            || self.deletions.contains_key(name);
        let utilization = self.utilization(info);
        if kept || (node.is_ready() && utilization > self.flags.scale_down_utilization_threshold) {
            return None;
        }
        let mut moving = Vec::new();
        for pod in info.pods() {
            match fate(ctx.store, &self.flags, &pod.pod) {
                Fate::Skip => {}
                Fate::Move => moving.push(PodInfo::clone(pod)),
                Fate::Block(_) => return None,
            }
        }
        Some(Candidate { name: name.clone(), group, utilization, moving, ready: node.is_ready() })
    }

    /// Upstream: float64; the larger of both shares.
    fn utilization(&self, info: &NodeInfo) -> f64 {
        let is_daemon =
            |pod: &&Arc<PodInfo>| pod.pod.meta.controller().is_some_and(|owner| owner.kind == "DaemonSet");
        let (mut cpu, mut memory) = (0, 0);
        let (mut daemon_cpu, mut daemon_memory) = (0, 0);
        for pod in info.pods() {
            let requests = &pod.resources.requests;
            if self.flags.ignore_daemonsets_utilization && is_daemon(&pod) {
                daemon_cpu += requests.milli_cpu;
                daemon_memory += requests.memory;
            } else {
                cpu += requests.milli_cpu;
                memory += requests.memory;
            }
        }
        let share = |used: i64, room: i64| if room > 0 { used as f64 / room as f64 } else { 0.0 };
        let room = info.allocatable();
        share(cpu, room.milli_cpu - daemon_cpu).max(share(memory, room.memory - daemon_memory))
    }

    /// Marks nodes that are not needed with a taint that new Pods avoid, and takes it off the others.
    fn mark_candidates(&self, ctx: &mut Ctx<'_>) {
        let wrong: Vec<(ObjectKey, bool)> = ctx
            .store
            .list::<Node>()
            .map(|node| (node, self.unneeded.contains_key(&node.meta.name)))
            .filter(|(node, wanted)| has_taint(node, TAINT_CANDIDATE) != *wanted)
            .filter(|(node, _)| !has_taint(node, TAINT_TO_BE_DELETED))
            .map(|(node, wanted)| (node.meta.key(), wanted))
            .take(SOFT_TAINTS_MAX)
            .collect();
        let value: Str = ctx.store.timestamp().0.to_string().into();
        for (key, wanted) in wrong {
            // A node that went meanwhile needs no mark.
            let _ = ctx.store.update_spec::<Node>(&key, |node| {
                node.taints.retain(|t| t.key != TAINT_CANDIDATE);
                if wanted {
                    node.taints.push(Taint {
                        key: TAINT_CANDIDATE.into(),
                        value: value.clone(),
                        effect: TaintEffect::PreferNoSchedule,
                        time_added: None,
                    });
                }
            });
        }
    }

    fn begin_deletions(&mut self, ctx: &mut Ctx<'_>, removable: Vec<Candidate>) {
        let now = ctx.store.now();
        let mut leaving: BTreeMap<GroupId, u32> = BTreeMap::new();
        let (mut all, mut drains) =
            (self.deletions.len(), self.deletions.values().filter(|d| d.drains).count());
        let limit = |n: i64| usize::try_from(n).unwrap_or(0);
        let long_enough = |c: &Candidate| {
            let since = self.unneeded.get(&c.name).copied().unwrap_or(now);
            now > since + self.unneeded_time(c.ready)
        };
        let mut due: Vec<Candidate> = removable.into_iter().filter(long_enough).collect();
        due.sort_by_key(|c| !c.moving.is_empty());
        for candidate in due {
            let group = ctx.fleet.group(candidate.group);
            let gone = leaving.entry(candidate.group).or_insert_with(|| {
                let of_group = |n: &&Str| ctx.fleet.group_of(n) == Some(candidate.group);
                u32::try_from(self.deletions.keys().filter(of_group).count()).unwrap_or(u32::MAX)
            });
            let min = group.group.bounds.map_or(0, |(min, _)| min);
            if group.target.saturating_sub(*gone) <= min
                || all >= limit(self.flags.max_scale_down_parallelism)
            {
                continue;
            }
            if !candidate.moving.is_empty() {
                if drains >= limit(self.flags.max_drain_parallelism) {
                    continue;
                }
                drains += 1;
            }
            *gone += 1;
            all += 1;
            let pods = candidate.moving.iter().map(|pod| pod.pod.clone()).collect();
            self.begin_deletion(ctx, &candidate.name, candidate.utilization, pods);
        }
    }
}

/// Whether all Pods of a node find other places. If they do, that is where they are from now on, and the node is
/// out of the game; if not, nothing has changed.
fn move_away(simulator: &mut Simulator<'_>, candidate: &Candidate) -> bool {
    let mut tried = simulator.clone();
    for pod in &candidate.moving {
        tried.snapshot.remove_pod(&candidate.name, pod.uid());
    }
    let nodes: Vec<_> = tried.snapshot.order().to_vec();
    let other = |name: &str| name != candidate.name;
    for pod in &candidate.moving {
        if pod.pod.is_terminal() || pod.pod.meta.is_deleting() {
            continue;
        }
        let mut unbound = crate::api::Pod::clone(&pod.pod);
        unbound.node_name = None;
        let unbound = PodInfo { pod: Arc::new(unbound), ..pod.clone() };
        let Some(place) = tried.find(&unbound, &nodes, 0, other) else { return false };
        let name = tried.snapshot.node(nodes[place]).name().clone();
        tried.place(&unbound, &name);
    }
    let mut closed = Node::clone(tried.snapshot.get(&candidate.name).map_or(&Arc::default(), |n| n.node()));
    closed.unschedulable = true;
    if !closed.meta.name.is_empty() {
        tried.snapshot.set_node(&Arc::new(closed));
    }
    *simulator = tried;
    true
}
