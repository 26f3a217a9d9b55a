//! Finds nodes that are not needed and begins to delete them.
//!
//! Upstream: `cluster-autoscaler/core/scaledown/{eligibility,planner,unneeded,unremovable,pdb}`,
//! `simulator/{cluster,utilization/info}.go`, 1.34.
//!
//! # Fidelity
//! Pods that were evicted a moment ago and have not come back are not put back into the simulated cluster. Nodes of equal
//! standing are tried in the order of their creation; upstream's order is that of a map. Reasons to stay that are never
//! given: `NotAutoscaled` (nodes of no group are no candidates), `NodeGroupMaxDeletionCountReached`, `AtomicScaleDownFailed`,
//! `MinimalResourceLimitExceeded`, `NotUnneededOtherReason`, `UnexpectedError`, `NoNodeInfo`.

use std::collections::BTreeMap;

use super::drainability::{
    Budgets, Fate, fate, is_daemon, is_long_terminating, is_mirror, system_pod_lets_go,
};
use super::simulator::Simulator;
use super::taints::{self, has_taint};
use super::{ClusterAutoscaler, Ctx, TAINT_CANDIDATE, TAINT_TO_BE_DELETED};
use crate::api::{Node, ObjectKey, Pod, Taint, TaintEffect};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::cloud::fleet::GroupId;
use crate::scheduler::framework::{NodeInfo, PodInfo};

/// Candidates are marked and unmarked at most so many in a loop.
const SOFT_TAINTS_MAX: usize = 10;
/// Keeps a node out of the autoscaler's hands.
const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// What machines with GPUs are judged by.
const GPU: &str = "nvidia.com/gpu";

/// A node that could go.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) name: Str,
    group: GroupId,
    pub(super) utilization: Utilization,
    /// Pods that would have to move.
    pub(super) moving: Vec<PodInfo>,
    ready: bool,
    /// Not all of its Pods may go at once.
    risky: bool,
}

/// The shares of a node that are requested.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Utilization {
    pub(super) cpu: f64,
    pub(super) memory: f64,
    /// For nodes with GPUs, which are judged by nothing else.
    pub(super) gpu: Option<f64>,
}

impl Utilization {
    /// The share that decides.
    pub(super) fn highest(&self) -> f64 {
        self.gpu.unwrap_or_else(|| self.cpu.max(self.memory))
    }
}

impl std::fmt::Display for Utilization {
    /// As upstream prints its record of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.gpu {
            Some(_) => GPU,
            None if self.cpu > self.memory => "cpu",
            None => "memory",
        };
        let gpu = self.gpu.unwrap_or(0.0);
        write!(f, "{{{} {} {gpu} 0 {name} {}}}", self.cpu, self.memory, self.highest())
    }
}

/// A node that could not be emptied.
#[derive(Clone, Debug)]
pub(super) struct Unremovable {
    /// Until when that is taken for granted.
    pub(super) until: SimTime,
    /// Changes that had been heard of.
    changes: u64,
    /// When the passing of time alone may change it.
    by_itself: Option<SimTime>,
}

impl Unremovable {
    /// When trying again can have another outcome.
    pub(super) fn worth_another_try(&self, changes: u64) -> Option<SimTime> {
        if changes != self.changes { Some(self.until) } else { self.by_itself.map(|at| at.max(self.until)) }
    }
}

impl ClusterAutoscaler {
    /// Keeps account of nodes that are not needed, and begins to delete those that have not been for long.
    pub(super) fn sell(
        &mut self,
        ctx: &mut Ctx<'_>,
        mut simulator: Simulator<'_>,
        coming: &[Str],
        waits: bool,
    ) {
        let now = ctx.store.now();
        let removable = self.find_removable(ctx, &mut simulator, coming);
        let names: BTreeMap<&Str, &Candidate> = removable.iter().map(|c| (&c.name, c)).collect();
        self.unneeded.retain(|name, _| names.contains_key(name));
        for name in names.keys() {
            self.unneeded.entry((*name).clone()).or_insert(now);
        }
        if !waits && self.cooldown_end(now).is_none() {
            self.begin_deletions(ctx, removable);
        }
        self.mark_candidates(ctx);
    }

    /// Nodes that could go, each with its Pods in another place; in the order in which that was tried.
    fn find_removable(
        &mut self,
        ctx: &Ctx<'_>,
        simulator: &mut Simulator<'_>,
        coming: &[Str],
    ) -> Vec<Candidate> {
        let mut budgets = Budgets::new(ctx.store);
        let nodes: Vec<Arc<Node>> = ctx.store.list::<Node>().cloned().collect();
        let mut candidates: Vec<(Str, Result<Candidate, &'static str>)> = nodes
            .iter()
            .filter(|node| !coming.contains(&node.meta.name) && !self.deletions.contains_key(&node.meta.name))
            .filter_map(|node| {
                Some((node.meta.name.clone(), self.candidate(ctx, simulator, &budgets, node)?))
            })
            .collect();
        // Empty nodes first, then those that were not needed before.
        let rank = |(name, candidate): &(Str, Result<Candidate, &'static str>)| {
            let empty = candidate.as_ref().is_ok_and(|c| c.moving.is_empty());
            (!empty, !self.unneeded.contains_key(name))
        };
        candidates.sort_by_key(rank);
        let limit = self.unneeded_limit();
        let mut removable: Vec<Candidate> = Vec::new();
        for (name, candidate) in candidates {
            match candidate {
                _ if removable.len() >= limit => break,
                Err(reason) => {
                    self.keep(ctx, name, reason);
                }
                Ok(mut candidate) => {
                    // Budgets have shrunk since the node was looked at.
                    let blocked = candidate.moving.iter().find_map(|pod| {
                        match fate(ctx.store, &self.flags, &budgets, &pod.pod) {
                            Fate::Block(reason) => Some(reason),
                            Fate::Skip | Fate::Move => None,
                        }
                    });
                    if let Some(reason) = blocked {
                        self.keep(ctx, name, reason);
                    } else if move_away(simulator, &candidate, coming) {
                        candidate.risky = !budgets.take(candidate.moving.iter().map(|pod| &*pod.pod));
                        removable.push(candidate);
                    } else {
                        self.keep(ctx, name, "NoPlaceToMovePods");
                    }
                }
            }
        }
        removable
    }

    /// How many nodes are worth finding: no more than could be deleted in time.
    fn unneeded_limit(&self) -> usize {
        let at_once = usize::try_from(self.flags.max_scale_down_parallelism).unwrap_or(0);
        let interval = self.flags.scan_interval.as_nanos().max(1);
        let loops = self.flags.scale_down_unneeded_time.as_nanos().max(interval) / interval;
        let loops = usize::try_from(loops).unwrap_or(usize::MAX);
        (self.unneeded.len() + 2 * at_once).min(at_once.saturating_mul(loops).saturating_add(at_once))
    }

    /// Notes why a node stays; one that was looked into is not looked into again for a while.
    fn keep(&mut self, ctx: &Ctx<'_>, name: Str, reason: &'static str) {
        self.kept.insert(name.clone(), reason);
        if !matches!(
            reason,
            "NotUnderutilized"
                | "ScaleDownDisabledAnnotation"
                | "CurrentlyBeingDeleted"
                | "RecentlyUnremovable"
                | "ScaleDownUnreadyDisabled"
                | "NodeGroupMinSizeReached"
        ) {
            let by_itself = (reason == "UnmovableKubeSystemPod").then(|| self.system_pods_let_go(ctx, &name));
            let until = ctx.store.now() + self.flags.unremovable_node_recheck_timeout;
            let unremovable = Unremovable { until, changes: self.changes, by_itself: by_itself.flatten() };
            self.unremovable.insert(name, unremovable);
        }
    }

    fn system_pods_let_go(&self, ctx: &Ctx<'_>, node: &str) -> Option<SimTime> {
        let pods = ctx.store.pods_on(node).filter(|pod| pod.meta.namespace == "kube-system");
        let ends = pods.map(|pod| system_pod_lets_go(ctx.store, &self.flags, pod));
        ends.filter(|at| *at >= ctx.store.now()).max().map(|at| at + SimDuration::from_nanos(1))
    }

    /// The node as a candidate, or what speaks against it that needs no trying. None if it is nobody's to remove.
    fn candidate(
        &self,
        ctx: &Ctx<'_>,
        simulator: &Simulator<'_>,
        budgets: &Budgets,
        node: &Arc<Node>,
    ) -> Option<Result<Candidate, &'static str>> {
        let name = &node.meta.name;
        let group = ctx.fleet.group_of(name)?;
        let machines = ctx.fleet.group(group);
        let (min, _) = machines.group.bounds?;
        let info = simulator.snapshot.get(name)?;
        if machines.target <= min {
            return Some(Err("NodeGroupMinSizeReached"));
        }
        if self.unremovable.contains_key(name) {
            return Some(Err("RecentlyUnremovable"));
        }
        if has_taint(node, TAINT_TO_BE_DELETED) {
            return Some(Err("CurrentlyBeingDeleted"));
        }
        if node.meta.annotations.get(SCALE_DOWN_DISABLED).is_some_and(|v| v == "true") {
            return Some(Err("ScaleDownDisabledAnnotation"));
        }
        let ready = taints::is_ready(&self.flags, node);
        if !ready && !self.flags.scale_down_unready_enabled {
            return Some(Err("ScaleDownUnreadyDisabled"));
        }
        let utilization = self.utilization(ctx, info);
        let threshold = match utilization.gpu {
            Some(_) => self.flags.scale_down_gpu_utilization_threshold,
            None => self.flags.scale_down_utilization_threshold,
        };
        if utilization.highest() > threshold {
            return Some(Err("NotUnderutilized"));
        }
        let mut moving = Vec::new();
        for pod in info.pods() {
            match fate(ctx.store, &self.flags, budgets, &pod.pod) {
                // Pods of DaemonSets go with the node.
                Fate::Move if is_daemon(&pod.pod) => {}
                Fate::Skip => {}
                Fate::Move => moving.push(PodInfo::clone(pod)),
                Fate::Block(reason) => return Some(Err(reason)),
            }
        }
        let name = name.clone();
        Some(Ok(Candidate { name, group, utilization, moving, ready, risky: false }))
    }

    /// Upstream: float64.
    pub(super) fn utilization(&self, ctx: &Ctx<'_>, info: &NodeInfo) -> Utilization {
        let room = info.allocatable();
        let gpus = room.scalar(GPU);
        let [mut used, mut aside] = [[0i64; 3]; 2];
        for pod in info.pods() {
            let ignored = (self.flags.ignore_daemonsets_utilization && is_daemon(&pod.pod))
                || (self.flags.ignore_mirror_pods_utilization && is_mirror(&pod.pod));
            let sum = match ignored {
                true => &mut aside,
                false if is_long_terminating(ctx.store, &pod.pod) => continue,
                false => &mut used,
            };
            let requests = &pod.resources.requests;
            sum[0] += requests.milli_cpu;
            sum[1] += requests.memory;
            sum[2] += if gpus > 0 { requests.scalar(GPU) } else { 0 };
        }
        let share = |of: usize, room: i64| {
            if room - aside[of] > 0 { used[of] as f64 / (room - aside[of]) as f64 } else { 0.0 }
        };
        if gpus > 0 {
            return Utilization { cpu: 0.0, memory: 0.0, gpu: Some(share(2, gpus)) };
        }
        Utilization { cpu: share(0, room.milli_cpu), memory: share(1, room.memory), gpu: None }
    }

    /// Marks nodes that are not needed with a taint that new Pods avoid, and takes it off the others.
    fn mark_candidates(&mut self, ctx: &mut Ctx<'_>) {
        let mut wrong: Vec<(ObjectKey, bool)> = ctx
            .store
            .list::<Node>()
            .map(|node| (node, self.unneeded.contains_key(&node.meta.name)))
            .filter(|(node, wanted)| has_taint(node, TAINT_CANDIDATE) != *wanted)
            .filter(|(node, _)| !has_taint(node, TAINT_TO_BE_DELETED))
            .map(|(node, wanted)| (node.meta.key(), wanted))
            .take(SOFT_TAINTS_MAX + 1)
            .collect();
        if wrong.len() > SOFT_TAINTS_MAX {
            // The rest comes in the next loop.
            wrong.truncate(SOFT_TAINTS_MAX);
            self.want(ctx.store.now() + self.flags.scan_interval);
        }
        let value: Str = ctx.store.timestamp().secs().to_string().into();
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
        for group in self.deletions.keys().filter_map(|node| ctx.fleet.group_of(node)) {
            *leaving.entry(group).or_default() += 1;
        }
        let mut due: Vec<Candidate> = Vec::new();
        for candidate in removable {
            let since = self.unneeded.get(&candidate.name).copied().unwrap_or(now);
            let group = ctx.fleet.group(candidate.group);
            let min = group.group.bounds.map_or(0, |(min, _)| min);
            let gone = leaving.entry(candidate.group).or_default();
            let reason = match candidate.ready {
                true if now <= since + self.flags.scale_down_unneeded_time => Some("NotUnneededLongEnough"),
                false if now <= since + self.flags.scale_down_unready_time => Some("NotUnreadyLongEnough"),
                _ if group.target.saturating_sub(*gone) <= min => Some("NodeGroupMinSizeReached"),
                _ => None,
            };
            match reason {
                Some(reason) => {
                    self.kept.insert(candidate.name, reason);
                }
                None => {
                    *gone += 1;
                    due.push(candidate);
                }
            }
        }
        // Empty nodes, then those whose Pods may all go at once.
        due.sort_by_key(|c| (!c.moving.is_empty(), c.risky));
        let limit = |n: i64| usize::try_from(n).unwrap_or(0);
        for candidate in due {
            let drains = self.deletions.values().filter(|d| d.drains).count();
            let full = self.deletions.len() >= limit(self.flags.max_scale_down_parallelism)
                || (!candidate.moving.is_empty() && drains >= limit(self.flags.max_drain_parallelism));
            if !full {
                self.begin_deletion(ctx, &candidate);
                self.last_delete = Some(now);
            }
        }
    }
}

/// Whether all Pods of a node find other places. If they do, that is where they are from now on, and the node is
/// gone; if not, nothing has changed. While they look for a place the node is there and takes nothing, so that it still
/// counts as a domain of topology spreading.
fn move_away(simulator: &mut Simulator<'_>, candidate: &Candidate, coming: &[Str]) -> bool {
    let mut tried = simulator.clone();
    let Some(info) = tried.snapshot.get(&candidate.name) else { return false };
    let mut ghost = Node::clone(info.node());
    let uids: Vec<Str> = info.pods().iter().map(|pod| pod.uid().clone()).collect();
    for uid in uids {
        tried.snapshot.remove_pod(&candidate.name, &uid);
    }
    ghost.taints.push(Taint {
        key: TAINT_TO_BE_DELETED.into(),
        value: Str::new(),
        effect: TaintEffect::NoSchedule,
        time_added: None,
    });
    tried.snapshot.set_node(&Arc::new(ghost));
    let nodes: Vec<_> = tried.snapshot.order().to_vec();
    // Nodes that are to come are no place to move to: they are not there yet.
    let other = |name: &str| {
        name != candidate.name && !name.starts_with("template-node-for-") && !coming.iter().any(|c| c == name)
    };
    for pod in &candidate.moving {
        if pod.pod.is_terminal() {
            continue;
        }
        let mut unbound = Pod::clone(&pod.pod);
        unbound.node_name = None;
        let unbound = PodInfo { pod: Arc::new(unbound), ..pod.clone() };
        let Some(place) = tried.find(&unbound, &nodes, 0, other) else { return false };
        let name = tried.snapshot.node(nodes[place]).name().clone();
        tried.place(&unbound, &name);
    }
    tried.remove_node(&candidate.name);
    *simulator = tried;
    true
}
