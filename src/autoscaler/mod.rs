//! The cluster autoscaler: buys nodes for Pods that fit nowhere, and sells nodes that nobody needs.
//!
//! * [`pending`]: which Pods wait. * [`template`]: what a new node would look like. * [`simulator`]: tries Pods on nodes
//!   with the scheduler's own plugins. * [`estimator`]: how many nodes. * [`expander`]: of which group. * [`scale_up`]: buys.
//! * [`scale_down`]: finds nodes that are not needed; [`drainability`]: which Pods keep their node;
//!   [`actuation`]: empties and deletes. * [`backoff`]: groups that failed.
//!
//! Upstream: `cluster-autoscaler/core/static_autoscaler.go`, 1.34.
//!
//! # Fidelity
//! A loop is made only when something can have changed since the last, at an instant of upstream's grid of
//! `--scan-interval`; a loop takes no time. Similar groups are those that differ in their zone only. The price
//! expander prices Pods by the model of the GCE provider; the AWS provider has none.

pub mod actuation;
pub mod backoff;
pub mod drainability;
pub mod estimator;
pub mod expander;
pub mod pending;
pub mod scale_down;
pub mod scale_up;
pub mod simulator;
pub mod template;

use std::collections::BTreeMap;

use crate::api::{EventType, Kind, Node, ObjectKey, ObjectRef, Pod, condition};
use crate::base::text::lit;
use crate::base::{SimDuration, SimTime, Str};
use crate::cloud::fleet::{Fleet, GroupId};
use crate::cloud::group::PlannedNode;
use crate::params::Latencies;
use crate::params::settings::ClusterAutoscaler as Flags;
use crate::scheduler::framework::{Framework, Snapshot};
use crate::store::{Change, Emit, Store};
use actuation::Deletion;
use backoff::Backoffs;
use pending::is_unschedulable;
use simulator::Simulator;
use template::Template;

/// The taint of a node that is about to be deleted.
pub const TAINT_TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// The taint of a node that is not needed at present.
pub const TAINT_CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";

/// Equal Events are said once in this time (`--record-duplicated-events=false`).
const EVENTS_AGAIN_AFTER: SimDuration = SimDuration::from_mins(5);
/// Pods that are all younger than this are not acted on: more may come.
const TOO_YOUNG: SimDuration = SimDuration::from_secs(2);

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
    backoffs: Backoffs,
    /// When it last bought.
    last_up: Option<SimTime>,
    /// When it last deleted a node.
    last_delete: Option<SimTime>,
    /// When a deletion last failed.
    last_failure: Option<SimTime>,
    /// Since when nodes are not needed.
    unneeded: BTreeMap<Str, SimTime>,
    /// Nodes whose Pods have no other place, and until when that is taken for granted.
    unremovable: BTreeMap<Str, SimTime>,
    /// Deletions under way.
    deletions: BTreeMap<Str, Deletion>,
    /// When Events were last said.
    said: BTreeMap<(Str, Str, Str), SimTime>,
    last_loop: Option<SimTime>,
    /// When the next loop is to be made, if it is known to be of use.
    due: Option<SimTime>,
}

/// How a loop went on.
enum Progress {
    /// Nothing more in this loop.
    Ended,
    /// On to selling.
    GoOn,
}

impl ClusterAutoscaler {
    /// With these flags, over the groups of a fleet that have bounds.
    pub fn new(flags: &Flags, fleet: &Fleet) -> Self {
        let enabled = fleet.groups().any(|(_, g)| g.group.bounds.is_some());
        Self {
            flags: flags.clone(),
            enabled,
            backoffs: Backoffs::default(),
            last_up: None,
            last_delete: None,
            last_failure: None,
            unneeded: BTreeMap::new(),
            unremovable: BTreeMap::new(),
            deletions: BTreeMap::new(),
            said: BTreeMap::new(),
            last_loop: None,
            due: enabled.then_some(SimTime::ZERO + flags.scan_interval),
        }
    }

    /// Hears of a change.
    pub fn on_change(&mut self, change: &Change) {
        if self.enabled && concerns(change) {
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
        let now = ctx.store.now();
        self.forget_the_past(now, ctx.store);
        self.give_up_late_machines(ctx);
        if self.is_unhealthy(ctx) {
            let reference = status_config_map();
            self.say(
                ctx,
                reference,
                EventType::Warning,
                lit!("ClusterUnhealthy"),
                "Cluster is unhealthy".to_owned(),
            );
            return;
        }
        let templates: BTreeMap<GroupId, Template> = ctx
            .fleet
            .groups()
            .filter(|(_, group)| group.group.bounds.is_some())
            .map(|(id, group)| (id, Template::of(group, ctx.store, ctx.framework, ctx.snapshot)))
            .collect();
        let mut simulator = Simulator::new(ctx.framework, ctx.snapshot);
        drop_expendable(&mut simulator, self.flags.expendable_pods_priority_cutoff);
        add_upcoming(&mut simulator, ctx, &templates);
        let waiting = pending::unschedulable(ctx.store, self.flags.expendable_pods_priority_cutoff);
        let waiting = pending::filter_out_schedulable(&mut simulator, waiting);
        let old_enough = |at: &SimTime| now >= *at + self.flags.new_pod_scale_up_delay;
        let waiting: Vec<_> = waiting
            .into_iter()
            .filter(|pod| old_enough(&pending::oldest(ctx.store, std::slice::from_ref(pod))))
            .collect();
        if let Progress::Ended = self.buy(ctx, &simulator, &templates, &waiting) {
            return;
        }
        if self.flags.scale_down_enabled {
            self.sell(ctx, simulator);
        }
    }

    fn buy(
        &mut self,
        ctx: &mut Ctx<'_>,
        simulator: &Simulator<'_>,
        templates: &BTreeMap<GroupId, Template>,
        waiting: &[crate::scheduler::framework::PodInfo],
    ) -> Progress {
        let now = ctx.store.now();
        if waiting.is_empty() {
            return Progress::GoOn;
        }
        let total = ctx.fleet.groups().map(|(_, g)| i64::from(g.target)).sum::<i64>();
        if self.flags.max_nodes_total > 0 && total >= self.flags.max_nodes_total {
            let text = format!("Max total nodes in cluster reached: {}", self.flags.max_nodes_total);
            self.say(ctx, status_config_map(), EventType::Warning, lit!("MaxNodesTotalReached"), text);
            for pod in waiting {
                let text = "pod didn't trigger scale-up: max total nodes in cluster reached".to_owned();
                let about = ObjectRef::to(&*pod.pod);
                self.say(ctx, about, EventType::Normal, lit!("NotTriggerScaleUp"), text);
            }
            return Progress::GoOn;
        }
        if now < pending::oldest(ctx.store, waiting) + TOO_YOUNG {
            self.want(now + self.flags.scan_interval);
            return Progress::Ended;
        }
        if self.scale_up(ctx, simulator, templates, waiting) {
            self.last_up = Some(now);
            return Progress::Ended;
        }
        Progress::GoOn
    }

    /// When another loop is of use though nothing is written meanwhile.
    fn plan(&mut self, ctx: &Ctx<'_>) {
        let now = ctx.store.now();
        let mut soon: Vec<SimTime> = Vec::new();
        let waits = ctx.store.list::<Pod>().any(|pod| is_unschedulable(pod));
        if waits {
            // What was said of it is said again, and groups come out of their back-off.
            soon.extend(self.said.values().map(|at| *at + EVENTS_AGAIN_AFTER));
            soon.extend(self.backoffs.ends());
        }
        for (_, group) in ctx.fleet.groups() {
            let boots = group.instances.values().filter(|i| i.joined.is_none());
            soon.extend(boots.map(|i| i.requested + self.flags.max_node_provision_time));
        }
        for (node, since) in &self.unneeded {
            let ready = ctx.store.find::<Node>("", node).is_some_and(|n| n.is_ready());
            soon.push(*since + self.unneeded_time(ready) + SimDuration::from_nanos(1));
        }
        if !self.unneeded.is_empty() {
            soon.extend(self.cooldown_end(now));
        }
        soon.extend(self.unremovable.values().copied());
        if let Some(at) = soon.into_iter().filter(|at| *at > now).min() {
            self.want(at);
        }
    }

    fn unneeded_time(&self, ready: bool) -> SimDuration {
        if ready { self.flags.scale_down_unneeded_time } else { self.flags.scale_down_unready_time }
    }

    /// Until when nothing may be deleted; none if that lies behind.
    fn cooldown_end(&self, now: SimTime) -> Option<SimTime> {
        let ends = [
            (self.last_up, self.flags.scale_down_delay_after_add),
            (self.last_delete, self.flags.scale_down_delay_after_delete),
            (self.last_failure, self.flags.scale_down_delay_after_failure),
        ];
        ends.into_iter().filter_map(|(at, delay)| Some(at? + delay)).max().filter(|end| *end > now)
    }

    fn forget_the_past(&mut self, now: SimTime, store: &Store) {
        self.said.retain(|_, at| now < *at + EVENTS_AGAIN_AFTER);
        self.unremovable.retain(|_, until| now < *until);
        self.unneeded.retain(|node, _| store.find::<Node>("", node).is_some());
    }

    /// Machines that never registered are given up; their group is left alone for a while.
    fn give_up_late_machines(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let limit = self.flags.max_node_provision_time;
        let late: Vec<(GroupId, Str, Str)> = ctx
            .fleet
            .groups()
            .flat_map(|(id, group)| {
                let is_late =
                    move |i: &crate::cloud::fleet::Instance| i.joined.is_none() && now >= i.requested + limit;
                group
                    .instances
                    .iter()
                    .filter(move |(_, i)| is_late(i))
                    .map(move |(name, _)| (id, group.group.name.clone(), name.clone()))
            })
            .collect();
        for (id, group, machine) in late {
            ctx.fleet.terminate(&machine);
            if self.backoffs.fail(id, now) {
                let text = format!("Nodes added to group {group} failed to register within {limit}");
                self.say(ctx, status_config_map(), EventType::Warning, lit!("ScaleUpTimedOut"), text);
            }
            let text = format!("Removed unregistered node {machine}");
            self.say(ctx, status_config_map(), EventType::Normal, lit!("DeleteUnregistered"), text);
        }
    }

    /// More than a few nodes and a large share of all are not ready.
    fn is_unhealthy(&self, ctx: &Ctx<'_>) -> bool {
        let all = ctx.store.count::<Node>();
        let unready = ctx.store.list::<Node>().filter(|n| !n.is_ready()).count();
        let share = unready as f64 * 100.0 / all.max(1) as f64;
        i64::try_from(unready).unwrap_or(i64::MAX) > self.flags.ok_total_unready_count
            && share > self.flags.max_total_unready_percentage
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
        name: lit!("cluster-autoscaler-status"),
        ..ObjectRef::default()
    }
}

/// The room of Pods that do not count is free.
fn drop_expendable(simulator: &mut Simulator<'_>, cutoff: i64) {
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

/// Nodes that will come are there already, so that nothing is bought twice.
fn add_upcoming(simulator: &mut Simulator<'_>, ctx: &Ctx<'_>, templates: &BTreeMap<GroupId, Template>) {
    for (id, template) in templates {
        let group = ctx.fleet.group(*id);
        let is_up = |name: &Str| ctx.store.find::<Node>("", name).is_some_and(|n| n.is_ready());
        let coming = group.instances.iter().filter(|(name, i)| {
            let starts = i.joined.is_none_or(|at| ctx.store.now() < at + SimDuration::from_mins(15));
            starts && !is_up(name)
        });
        for number in 0..coming.count() {
            template.add_to(simulator, 1_000_000 + number);
        }
    }
}
