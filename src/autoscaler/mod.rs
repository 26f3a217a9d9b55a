//! The cluster autoscaler: buys nodes for Pods that fit nowhere, and sells nodes that nobody needs.
//!
//! * [`registry`]: how groups and nodes are; [`backoff`]: groups that failed; [`status`]: what is written of it.
//! * [`pending`]: which Pods wait. * [`template`]: what a new node would look like. * [`simulator`]: tries Pods on nodes
//!   with the scheduler's own plugins. * [`estimator`]: how many nodes. * [`expander`]: of which group. * [`similar`]: spread
//!   over which. * [`scale_up`]: buys.
//! * [`scale_down`]: finds nodes that are not needed; [`drainability`]: which Pods keep their node;
//!   [`actuation`]: empties and deletes.
//!
//! Upstream: `cluster-autoscaler/core/static_autoscaler.go`, 1.34.
//!
//! # Fidelity
//! A loop is made only when something can have changed since the last, at an instant of upstream's grid of
//! `--scan-interval` (the pause between two loops; upstream adds the loop's own time, here it takes none, so that no time
//! limit of a loop is ever hit: `--max-nodegroup-binpacking-duration`, `--max-binpacking-time`, `--scale-down-simulation-timeout`,
//! `--max-bulk-soft-taint-time`). Not simulated: `--cores-total` and `--memory-total` with their reason `max cluster ... limit
//! reached`, `--frequent-loops-enabled`, `--scale-down-delay-type-local`, `--node-deletion-delay-timeout` and the annotations that
//! delay a node's deletion, `--node-deletion-batcher-interval`, groups that are created by the autoscaler, ProvisioningRequests, DRA;
//! clouds are like AWS. There is no Karpenter.
//! Fixed at their defaults: `--estimator`, `--scale-up-from-zero`, `--max-bulk-soft-taint-count`, `--record-duplicated-events`,
//! `--status-config-map-name`, `--namespace`. Calls to the API server and the cloud never fail, so that `FailedToScaleUpGroup`,
//! `DeleteUnregisteredFailed`, `failed to mark the node as toBeDeleted/unschedulable` and `failed to forcefully delete pod for
//! ScaleDown` are not seen.
//!
//! Read in the source of 1.34, against what is often written: a loop that bought goes on to plan what can be sold (and sells
//! nothing, as ten minutes begin); a loop in which machines were given up goes on; nodes that are not ready are held to the
//! threshold of utilisation like any other.

pub mod actuation;
pub mod backoff;
pub mod drainability;
pub mod estimator;
pub mod expander;
pub mod pending;
pub mod registry;
pub mod scale_down;
pub mod scale_up;
pub mod similar;
pub mod simulator;
pub mod status;
pub mod taints;
pub mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::api::{EventType, Kind, Node, ObjectKey, ObjectRef, Pod, condition};
use crate::base::text::lit;
use crate::base::{SimDuration, SimTime, Str};
use crate::cloud::fleet::{Chances, Fleet, GroupId, Launch};
use crate::cloud::group::PlannedNode;
use crate::params::Latencies;
use crate::params::settings::ClusterAutoscaler as Flags;
use crate::scheduler::framework::{Framework, Snapshot};
use crate::store::{Change, Emit, Store};
use actuation::Deletion;
use pending::is_unschedulable;
use registry::Registry;
use scale_down::Unremovable;
use simulator::Simulator;
use status::Status;
use template::{Template, Templates};

/// The taint of a node that is about to be deleted.
pub const TAINT_TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// The taint of a node that is not needed at present.
pub const TAINT_CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";

/// Equal Events are said once in this time (`--record-duplicated-events=false`).
const EVENTS_AGAIN_AFTER: SimDuration = SimDuration::from_mins(5);
/// Pods that are all younger than this are not acted on: more may come.
const TOO_YOUNG: SimDuration = SimDuration::from_secs(2);

/// The same for Pods that ask for GPUs.
const TOO_YOUNG_GPU: SimDuration = SimDuration::from_secs(30);

/// What the autoscaler asks of the rest of the world.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A machine was asked for: its Node registers then.
    Joins(SimTime, Box<PlannedNode>),
    /// The machine is terminated and its Node goes.
    Terminate(Str),
    /// The eviction of a Pod is asked for, with this grace period in seconds.
    Evict(ObjectKey, i64),
}

/// What the autoscaler works with.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The API server's memory.
    pub store: &'a mut Store,
    /// The profile whose plugins judge.
    pub framework: &'a Framework,
    /// The cluster as the scheduler knows it.
    pub snapshot: &'a Snapshot,
    /// The machines.
    pub fleet: &'a mut Fleet,
    /// How long machines take.
    pub latencies: &'a Latencies,
    /// What is to happen.
    pub out: &'a mut Vec<Effect>,
}

/// The cluster autoscaler.
#[derive(Clone, Debug)]
pub struct ClusterAutoscaler {
    flags: Flags,
    /// Whether any group is its to manage.
    enabled: bool,
    registry: Registry,
    templates: Templates,
    status: Status,
    /// When it last bought.
    last_up: Option<SimTime>,
    /// When it last deleted a node.
    last_delete: Option<SimTime>,
    /// Since when nodes are not needed.
    unneeded: BTreeMap<Str, SimTime>,
    /// Nodes that could not be emptied, and until when that is taken for granted.
    unremovable: BTreeMap<Str, Unremovable>,
    /// Why nodes stay, as of the last loop.
    kept: BTreeMap<Str, &'static str>,
    /// Changes heard of that can matter.
    changes: u64,
    /// Deletions under way.
    deletions: BTreeMap<Str, Deletion>,
    /// When Events were last said.
    said: BTreeMap<(Str, Str, Str), SimTime>,
    last_loop: Option<SimTime>,
    /// When the next loop is to be made, if it is known to be of use.
    due: Option<SimTime>,
}

/// What became of the Pods that wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bought {
    /// Nothing was needed or could be had.
    Nothing,
    /// Nodes.
    Nodes,
    /// More Pods may come: nothing is bought or sold in this loop.
    Waits,
}

impl ClusterAutoscaler {
    /// With these flags, over the groups of a fleet that have bounds.
    pub fn new(flags: &Flags, fleet: &Fleet) -> Self {
        let enabled = fleet.groups().any(|(_, g)| g.group.bounds.is_some());
        Self {
            flags: flags.clone(),
            enabled,
            registry: Registry::default(),
            templates: Templates::default(),
            status: Status::default(),
            last_up: None,
            last_delete: None,
            unneeded: BTreeMap::new(),
            unremovable: BTreeMap::new(),
            kept: BTreeMap::new(),
            changes: 0,
            deletions: BTreeMap::new(),
            said: BTreeMap::new(),
            last_loop: None,
            due: enabled.then_some(SimTime::ZERO + flags.scan_interval),
        }
    }

    /// Hears of a change.
    pub fn on_change(&mut self, change: &Change) {
        if self.enabled && concerns(change) {
            self.changes += 1;
            self.want(change.at);
        }
    }

    /// Asks for a loop at the first instant of the grid at or after `at`.
    fn want(&mut self, at: SimTime) {
        let at = match self.last_loop {
            Some(last) if at <= last => last + self.flags.scan_interval,
            _ => at,
        };
        let at = at.next_on_grid(SimDuration::ZERO, self.flags.scan_interval);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When [`Self::run`] must be called.
    pub fn next(&self) -> Option<SimTime> {
        self.due.into_iter().chain(self.deletions.values().map(|d| d.due)).min()
    }

    /// Goes on with deletions, and makes a loop if one is due.
    pub fn run(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        self.go_on_deleting(ctx);
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.last_loop = Some(now);
            self.run_once(ctx);
            self.plan(ctx);
        }
    }

    /// One loop.
    fn run_once(&mut self, ctx: &mut Ctx<'_>) {
        self.forget_the_past(ctx.store);
        let remarks = self.registry.update(ctx.store, ctx.fleet, &self.flags);
        for (reason, text) in remarks {
            self.say(ctx, status_config_map(), EventType::Warning, reason, text);
        }
        self.remove_unregistered(ctx);
        if self.registry.is_healthy(&self.flags) {
            self.buy_and_sell(ctx);
        } else {
            self.unneeded.clear();
            let text = "Cluster is unhealthy".to_owned();
            self.say(ctx, status_config_map(), EventType::Warning, lit!("ClusterUnhealthy"), text);
        }
        self.write_status(ctx);
    }

    fn buy_and_sell(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let groups: Vec<GroupId> = ctx.fleet.groups().map(|(id, _)| id).collect();
        for id in groups {
            if ctx.fleet.group(id).group.bounds.is_some() {
                ctx.fleet.give_up_failed(id, now);
            }
        }
        let templates = self.templates.of_all(&self.flags, ctx);
        let mut simulator = Simulator::new(ctx.framework, ctx.snapshot);
        drop_expendable(&mut simulator, self.flags.expendable_pods_priority_cutoff);
        let coming = self.add_upcoming(&mut simulator, ctx, &templates);
        let mut waiting = pending::unschedulable(ctx.store, self.flags.expendable_pods_priority_cutoff);
        for (node, _) in self.deletions.iter().filter(|(_, deletion)| deletion.drains) {
            waiting.extend(pending::of_drained_node(ctx.store, node));
        }
        let waiting = pending::filter_out_schedulable(&mut simulator, waiting);
        let delay = self.flags.new_pod_scale_up_delay;
        let counts = |pod: &crate::scheduler::framework::PodInfo| {
            now >= pending::counts_from(ctx.store, delay, &pod.pod)
        };
        let waiting: Vec<_> = waiting.into_iter().filter(counts).collect();
        let bought = self.buy(ctx, &simulator, &templates, &waiting);
        if bought == Bought::Nodes {
            self.last_up = Some(now);
            // One group grows in a loop; Pods that it does not help come next.
            self.want(now + self.flags.scan_interval);
        }
        if self.flags.scale_down_enabled {
            self.sell(ctx, simulator, &coming, bought == Bought::Waits);
        }
        if self.flags.enforce_node_group_min_size {
            self.fill_up(ctx);
        }
    }

    fn buy(
        &mut self,
        ctx: &mut Ctx<'_>,
        simulator: &Simulator<'_>,
        templates: &BTreeMap<GroupId, Template>,
        waiting: &[crate::scheduler::framework::PodInfo],
    ) -> Bought {
        let now = ctx.store.now();
        if waiting.is_empty() {
            return Bought::Nothing;
        }
        if self.flags.max_nodes_total > 0 && self.ready_nodes(ctx) >= self.flags.max_nodes_total {
            self.say_nodes_max(ctx);
            for pod in waiting {
                let text = "pod didn't trigger scale-up: max total nodes in cluster reached".to_owned();
                let about = ObjectRef::to(&*pod.pod);
                self.say(ctx, about, EventType::Normal, lit!("NotTriggerScaleUp"), text);
            }
            return Bought::Nothing;
        }
        if now < pending::oldest(ctx.store, waiting) + TOO_YOUNG || new_gpu_pods(ctx.store, waiting, now) {
            self.want(now + self.flags.scan_interval);
            return Bought::Waits;
        }
        if self.scale_up(ctx, simulator, templates, waiting) { Bought::Nodes } else { Bought::Nothing }
    }

    fn say_nodes_max(&mut self, ctx: &mut Ctx<'_>) {
        let text = format!("Max total nodes in cluster reached: {}", self.flags.max_nodes_total);
        self.say(ctx, status_config_map(), EventType::Warning, lit!("MaxNodesTotalReached"), text);
    }

    /// When another loop is of use though nothing is written meanwhile.
    fn plan(&mut self, ctx: &Ctx<'_>) {
        let now = ctx.store.now();
        let just_after = SimDuration::from_nanos(1);
        let mut soon: Vec<SimTime> = Vec::new();
        let waits = ctx.store.unbound_pods().any(|pod| is_unschedulable(pod));
        if waits {
            // What was said of it is said again, and groups come out of their back-off.
            soon.extend(self.said.values().map(|at| *at + EVENTS_AGAIN_AFTER));
            soon.extend(self.registry.backoffs.ends().map(|end| end + just_after));
            let delay = self.flags.new_pod_scale_up_delay;
            let waiting = ctx.store.unbound_pods().filter(|pod| is_unschedulable(pod));
            soon.extend(waiting.map(|pod| pending::counts_from(ctx.store, delay, pod)));
        }
        soon.extend(self.registry.deadlines(ctx.fleet, &self.flags));
        for (node, since) in &self.unneeded {
            let ready = ctx.store.find::<Node>("", node).is_some_and(|n| taints::is_ready(&self.flags, n));
            soon.push(*since + self.unneeded_time(ready) + just_after);
        }
        if !self.unneeded.is_empty() {
            soon.extend(self.cooldown_end(now));
        }
        soon.extend(self.unremovable.values().filter_map(|u| u.worth_another_try(self.changes)));
        if let Some(at) = soon.into_iter().filter(|at| *at > now).min() {
            self.want(at);
        }
    }

    fn unneeded_time(&self, ready: bool) -> SimDuration {
        if ready { self.flags.scale_down_unneeded_time } else { self.flags.scale_down_unready_time }
    }

    /// Until when nothing may be deleted; none if that lies behind. A drain that fails does not count: upstream
    /// waits after a failure to taint only, which does not happen here.
    fn cooldown_end(&self, now: SimTime) -> Option<SimTime> {
        let ends = [
            (self.last_up, self.flags.scale_down_delay_after_add),
            (self.last_delete, self.flags.scale_down_delay_after_delete),
        ];
        ends.into_iter().filter_map(|(at, delay)| Some(at? + delay)).max().filter(|end| *end > now)
    }

    fn forget_the_past(&mut self, store: &Store) {
        let now = store.now();
        self.said.retain(|_, at| now < *at + EVENTS_AGAIN_AFTER);
        self.unremovable.retain(|node, u| now < u.until && store.find::<Node>("", node).is_some());
        self.unneeded.retain(|node, _| store.find::<Node>("", node).is_some());
        self.kept.clear();
    }

    /// Machines that never registered are given up, as far as the minimum of their group allows.
    fn remove_unregistered(&mut self, ctx: &mut Ctx<'_>) {
        let groups: Vec<GroupId> = ctx.fleet.groups().map(|(id, _)| id).collect();
        for id in groups {
            let group = ctx.fleet.group(id);
            let min = group.group.bounds.map_or(u32::MAX, |(min, _)| min);
            let most = group.target.saturating_sub(min) as usize;
            for machine in self.registry.of(id).long_unregistered.into_iter().take(most) {
                ctx.fleet.terminate(&machine);
                ctx.out.push(Effect::Terminate(machine.clone()));
                let text = format!("Removed unregistered node {machine}");
                self.say(ctx, status_config_map(), EventType::Normal, lit!("DeleteUnregistered"), text);
            }
        }
    }

    /// Nodes that will come are there already, so that nothing is bought twice. Those that have registered are replaced
    /// by what they will be; their names.
    fn add_upcoming(
        &self,
        simulator: &mut Simulator<'_>,
        ctx: &Ctx<'_>,
        templates: &BTreeMap<GroupId, Template>,
    ) -> Vec<Str> {
        let mut registered = Vec::new();
        for (id, template) in templates {
            let (count, names) = self.registry.upcoming(*id, ctx.fleet.group(*id));
            for name in names {
                simulator.remove_node(&name);
                registered.push(name);
            }
            for number in 0..count {
                template.add_to(simulator, 1_000_000 + number as usize);
            }
        }
        registered
    }

    /// Says something, unless the same was said a little while ago.
    fn say(&mut self, ctx: &mut Ctx<'_>, about: ObjectRef, event_type: EventType, reason: Str, text: String) {
        let now = ctx.store.now();
        let message = Str::from(text);
        let key = (
            Str::from(format!("{}/{}/{}", about.kind, about.namespace, about.name)),
            reason.clone(),
            message.clone(),
        );
        if self.said.get(&key).is_some_and(|at| now < *at + EVENTS_AGAIN_AFTER) {
            return;
        }
        self.said.insert(key, now);
        ctx.store.emit(Emit {
            source: lit!("cluster-autoscaler"),
            host: Str::new(),
            regarding: about,
            event_type,
            reason,
            message,
            series: false,
        });
    }
}

/// Whether a change can make a loop come to another end.
fn concerns(change: &Change) -> bool {
    if let Some((old, new)) = change.of::<Pod>() {
        let (Some(old), Some(new)) = (old, new) else {
            return true;
        };
        let scheduled = |pod: &Pod| condition::find(&pod.status.conditions, "PodScheduled").map(|c| c.status);
        return old.node_name != new.node_name
            || scheduled(old) != scheduled(new)
            || old.is_active() != new.is_active();
    }
    if let Some((old, new)) = change.of::<Node>() {
        let (Some(old), Some(new)) = (old, new) else {
            return true;
        };
        return old.is_ready() != new.is_ready()
            || old.taints != new.taints
            || old.unschedulable != new.unschedulable
            || old.meta.labels != new.meta.labels
            || old.status.allocatable != new.status.allocatable;
    }
    matches!(
        change.kind(),
        Kind::PersistentVolume | Kind::PersistentVolumeClaim | Kind::PodDisruptionBudget | Kind::DaemonSet
    )
}

/// What Events about the whole are said of.
fn status_config_map() -> ObjectRef {
    ObjectRef {
        kind: lit!("ConfigMap"),
        namespace: lit!("kube-system"),
        name: status::NAME.into(),
        ..ObjectRef::default()
    }
}

/// The room of Pods that do not count is free.
fn drop_expendable(simulator: &mut Simulator<'_>, cutoff: i64) {
    if simulator.snapshot.lowest_priority().is_none_or(|lowest| i64::from(lowest) >= cutoff) {
        return;
    }
    let expendable: Vec<(Str, Str)> = simulator
        .snapshot
        .nodes()
        .flat_map(|node| {
            let pods = node.pods().iter().filter(|pod| i64::from(pod.priority()) < cutoff);
            pods.map(|pod| (node.name().clone(), pod.uid().clone()))
        })
        .collect();
    for (node, uid) in expendable {
        simulator.snapshot.remove_pod(&node, &uid);
    }
}

/// Whether Pods that ask for GPUs are too new to be acted on.
fn new_gpu_pods(store: &Store, pods: &[crate::scheduler::framework::PodInfo], now: SimTime) -> bool {
    let asks = |pod: &&crate::scheduler::framework::PodInfo| {
        let containers = pod.pod.spec.containers.iter();
        containers.flat_map(|c| c.requests.get("nvidia.com/gpu")).any(|count| !count.is_zero())
    };
    let gpu: Vec<_> = pods.iter().filter(asks).cloned().collect();
    !gpu.is_empty() && now < pending::oldest(store, &gpu) + TOO_YOUNG_GPU
}
