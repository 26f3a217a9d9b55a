//! The node lifecycle controller: finds silent nodes, taints them, and says so about their Pods.
//!
//! * [`health`]: when a node has been silent for too long. * [`zones`]: how fast nodes may be tainted
//!   `NoExecute`. * [`taints`]: which taints follow from which conditions. * [`pods`]: Pods of a node that
//!   is not ready.
//!
//! Upstream: `pkg/controller/nodelifecycle/node_lifecycle_controller.go`, v1.34.
//!
//! # Fidelity
//! There is no cloud node lifecycle controller: a machine that is taken away takes its Node with it, and one that is
//! shut down gets no taint `node.cloudprovider.kubernetes.io/shutdown`. One loop stands for upstream's workers.
//!
//! Upstream looks at every node every 5 s and at the taint queues every 100 ms. Here a pass is made only if
//! something can have changed, in the same instants: at the start and then on a grid of 5 s, whose phase is drawn from
//! the seed (a control plane was there long before anything failed), and on a grid of 100 ms for taints. The Pods of a node are marked in the instant of the pass that finds it silent.
//! A pass ends when its calls have been made, 25 ms each for 8 nodes side by side, or later if they wait for the client's
//! rate limit; only its end judges the zones. Until then taint queues are served beside it at the old rates, so that in
//! a loss of all zones a node may be tainted `NoExecute` and stay so, as in the race of upstream's two loops.

pub mod health;
pub mod pods;
pub mod taints;
pub mod zones;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::policy::{Lease, Renewals};
use crate::api::{
    ConditionStatus, EventType, Kind, Labels, Node, ObjectKey, ObjectRef, Pod, TaintEffect, condition,
};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::controller::aspects::Aspects;
use crate::controller::common::recount;
use crate::params::settings::ControllerManager;
use crate::store::census::{ZoneKey, zone_key};
use crate::store::{Change, ObjId, Store};
use health::{Monitor, NAMESPACE_NODE_LEASE, Watched};
use taints::{no_execute, opposite, ready_status};
use zones::{Disruption, Rates, Zones};

/// What a call of a pass, or of the loop over the taint queues, takes while nodes are marked side by side: measured on the
/// recorded control plane.
const CALL: SimDuration = SimDuration::from_millis(25);
/// Nodes that a pass works on side by side. Upstream: `nodeUpdateWorkerSize`.
const WORKERS: u64 = 8;
/// Calls for a taint: the node is read, then written.
const TAINT_CALLS: u64 = 2;
/// How often the taint queues are served.
const EVICTION_PERIOD: SimDuration = SimDuration::from_millis(100);
/// The loop over nodes and taint queues.
const LOOP: &str = "loop";
/// A node's `NoSchedule` taints and labels.
const NODE: &str = "node";
/// A Pod that was bound to a node that is not ready.
const POD: &str = "pod";

/// The node lifecycle controller.
#[derive(Clone, Debug)]
pub struct NodeLifecycle {
    flags: ControllerManager,
    monitor: Option<Monitor>,
    zones: Zones,
    known: BTreeMap<Str, Watched>,
    /// Nodes that the next pass must look at.
    attention: BTreeSet<Str>,
    /// Nodes whose end of grace must be computed anew.
    stale: BTreeSet<Str>,
    /// Nodes by the pass in which they will be found silent.
    due: BTreeSet<(SimTime, Str)>,
    /// The pass that is planned, or under way if it lies behind.
    pass: Option<SimTime>,
    /// The calls of that pass for one node at most, and for all.
    pass_calls: (u64, u64),
    /// The last pass that was made.
    last_pass: Option<SimTime>,
    /// The next turn of the taint queues.
    tick: Option<SimTime>,
    /// When the loop over the taint queues has made its last call.
    tainter_free: SimTime,
    /// Nodes that were tainted while a pass was under way: it does not know of that.
    tainted_meanwhile: BTreeSet<Str>,
    /// How many nodes are not ready.
    not_ready: usize,
}

impl NodeLifecycle {
    /// With these flags.
    pub fn new(flags: &ControllerManager) -> Self {
        Self {
            flags: flags.clone(),
            monitor: None,
            zones: Zones::new(Rates::new(flags)),
            known: BTreeMap::new(),
            attention: BTreeSet::new(),
            stale: BTreeSet::new(),
            due: BTreeSet::new(),
            pass: None,
            pass_calls: (0, 0),
            last_pass: None,
            tick: None,
            tainter_free: SimTime::ZERO,
            tainted_meanwhile: BTreeSet::new(),
            not_ready: 0,
        }
    }

    fn run_loop(&mut self, ctx: &mut Ctx<'_>) -> Action {
        let now = ctx.now();
        let monitor = match self.monitor {
            Some(monitor) => monitor,
            None => {
                self.pass = Some(now);
                let mut stream = ctx.seed().stream("node-monitor", "");
                let phase = stream.duration_between(SimDuration::ZERO, self.flags.node_monitor_period);
                *self.monitor.insert(Monitor::new(&self.flags, phase))
            }
        };
        self.refresh(ctx.store(), &monitor);
        if self.pass.is_some_and(|at| at <= now) {
            if let Some(wait) = self.make_pass(ctx) {
                if self.tick.is_some_and(|at| at <= now) {
                    self.taint_next(ctx);
                }
                self.plan_tick(now);
                return Action::After(self.tick.map_or(wait, |at| at.since(now).min(wait)));
            }
            self.pass = None;
            self.pass_calls = (0, 0);
            self.tainted_meanwhile.clear();
            self.last_pass = Some(now);
            self.refresh(ctx.store(), &monitor);
        } else if self.tick.is_some_and(|at| at <= now) {
            self.taint_next(ctx);
        }
        self.plan(now, &monitor);
        match self.pass.into_iter().chain(self.tick).min() {
            Some(at) => Action::After(at.since(now)),
            None => Action::Done,
        }
    }

    /// Plans the next pass and the next turn of the taint queues in which something can happen.
    fn plan(&mut self, now: SimTime, monitor: &Monitor) {
        let soon = if self.last_pass == Some(now) { monitor.pass_after(now) } else { monitor.pass_from(now) };
        let attention = (!self.attention.is_empty()).then(|| monitor.pass_after(now));
        let due = self.due.first().map(|(at, _)| (*at).max(soon));
        self.pass = self.pass.into_iter().chain(attention).chain(due).min();
        self.plan_tick(now);
    }

    fn plan_tick(&mut self, now: SimTime) {
        let soon = self.tainter_free.max(now + SimDuration::from_nanos(1));
        let taint = self.zones.next().map(|at| at.max(soon));
        self.tick = taint.map(|at| at.next_on_grid(SimDuration::ZERO, EVICTION_PERIOD));
    }

    /// Computes anew when the nodes of which something was heard will be found silent.
    fn refresh(&mut self, store: &Store, monitor: &Monitor) {
        let clock = (store.now(), store.calendar());
        for name in std::mem::take(&mut self.stale) {
            let Some(watched) = self.known.get_mut(&name) else { continue };
            if let Some(old) = watched.due.take() {
                self.due.remove(&(old, name.clone()));
            }
            let Some(node) = store.find::<Node>("", &name) else { continue };
            let lease = store.find::<Lease>(NAMESPACE_NODE_LEASE, &name);
            watched.due = monitor.due(node, watched, lease.map(|l| &**l), clock);
            if let Some(at) = watched.due {
                self.due.insert((at, name));
            }
        }
    }

    /// A pass of the node monitor. If the client's rate limit stops it: when to go on.
    fn make_pass(&mut self, ctx: &mut Ctx<'_>) -> Option<SimDuration> {
        let now = ctx.now();
        ctx.events_behind_calls();
        self.forget_removed(ctx);
        let due = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, name)| name);
        let hot = self.attention.iter().chain(due);
        let store = ctx.store();
        let found = |name: &Str| {
            let id = store.id_of::<Node>(&ObjectKey::cluster(name))?;
            Some((id, store.get_id::<Node>(id)?.clone()))
        };
        // In the order of their creation, those that are both once.
        let nodes: BTreeMap<ObjId, Arc<Node>> = hot.filter_map(found).collect();
        for node in nodes.into_values() {
            let wait = ctx.throttled();
            if !wait.is_zero() {
                return Some(wait);
            }
            let before = ctx.calls;
            self.examine(ctx, &node);
            let calls = ctx.calls - before;
            self.pass_calls = (self.pass_calls.0.max(calls), self.pass_calls.1 + calls);
        }
        // All calls of the pass must have been made before zones are judged.
        let (longest, all) = self.pass_calls;
        let end = self.pass.unwrap_or(now) + CALL * longest.max(all.div_ceil(WORKERS));
        let wait = ctx.throttled().max(end.since(now));
        if !wait.is_zero() {
            return Some(wait);
        }
        self.attention.clear();
        self.judge_zones(ctx);
        None
    }

    fn forget_removed(&mut self, ctx: &mut Ctx<'_>) {
        let gone: Vec<Str> = self
            .attention
            .iter()
            .filter(|name| self.known.contains_key(*name) && ctx.store().find::<Node>("", name).is_none())
            .cloned()
            .collect();
        for name in gone {
            self.attention.remove(&name);
            self.zones.unmark(&name);
            let Some(watched) = self.known.remove(&name) else { continue };
            if let Some(due) = watched.due {
                self.due.remove(&(due, name.clone()));
            }
            let node = ObjectRef { kind: "Node".into(), name, uid: watched.uid, ..ObjectRef::default() };
            let message = format!("Node {0} event: Removing Node {0} from Controller", node.name);
            ctx.event(node, EventType::Normal, "RemovingNode", message);
        }
    }

    /// Looks at one node in a pass.
    fn examine(&mut self, ctx: &mut Ctx<'_>, node: &Arc<Node>) {
        let (now, name) = (ctx.now(), node.meta.name.clone());
        self.zones.ensure(node, now);
        if !self.known.contains_key(&name) {
            self.register(ctx, node);
        }
        let before = ready_status(node);
        let silent = self.known.get(&name).and_then(|w| w.due).is_some_and(|due| due <= now);
        let node = if silent { health::mark_unknown(ctx, node) } else { node.clone() };
        self.attention.remove(&name);
        self.stale.insert(name.clone());
        if let Some(watched) = self.known.get_mut(&name)
            && let Some(due) = watched.due.take()
        {
            self.due.remove(&(due, name));
        }
        let Some(ready) = ready_status(&node) else { return };
        self.process_taints(ctx, &node, ready);
        if ready != ConditionStatus::True && before == Some(ConditionStatus::True) {
            let message = format!("Node {} status is now: NodeNotReady", node.meta.name);
            ctx.event(ObjectRef::to(&*node), EventType::Normal, "NodeNotReady", message);
            pods::mark_not_ready(ctx, &node.meta.name);
        }
    }

    fn register(&mut self, ctx: &mut Ctx<'_>, node: &Arc<Node>) {
        let name = node.meta.name.clone();
        let message = format!("Node {name} event: Registered Node {name} in Controller");
        ctx.event(ObjectRef::to(&**node), EventType::Normal, "RegisteredNode", message);
        let watched = Watched { uid: node.meta.uid.clone(), base: ctx.now(), heartbeat: None, due: None };
        self.known.insert(name, watched);
        self.mark_reachable(ctx, node);
    }

    /// Queues the node for its `NoExecute` taint, swaps one for the other, or takes both off.
    fn process_taints(&mut self, ctx: &mut Ctx<'_>, node: &Arc<Node>, ready: ConditionStatus) {
        let (Some(wanted), Some(other)) = (no_execute(ready), opposite(ready)) else {
            self.mark_reachable(ctx, node);
            return;
        };
        if taints::has(node, &other) {
            taints::swap(ctx, node, &[wanted], &[other]);
        } else if !taints::has(node, &wanted) {
            self.zones.mark(node, ctx.now());
        }
    }

    fn mark_reachable(&mut self, ctx: &mut Ctx<'_>, node: &Node) {
        for status in [ConditionStatus::Unknown, ConditionStatus::False] {
            if let Some(taint) = no_execute(status).filter(|t| taints::has(node, t)) {
                taints::remove_from_node(ctx, &node.meta.key(), &[taint]);
            }
        }
        self.zones.unmark(&node.meta.name);
    }

    fn judge_zones(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now();
        match self.zones.judge(ctx.store().zones().all(), now) {
            Disruption::Partial => {}
            Disruption::Entered => {
                let nodes: Vec<Arc<Node>> = ctx.store().list::<Node>().cloned().collect();
                for node in nodes {
                    // Upstream: taints are taken off by what the pass listed at its beginning.
                    if self.tainted_meanwhile.contains(&node.meta.name) {
                        self.zones.unmark(&node.meta.name);
                    } else {
                        self.mark_reachable(ctx, &node);
                    }
                    // The next pass queues it again; its zone does not let it through.
                    self.attention.insert(node.meta.name.clone());
                }
            }
            Disruption::Left => {
                for (name, watched) in &mut self.known {
                    watched.base = now;
                    self.stale.insert(name.clone());
                }
            }
        }
    }

    /// Serves the taint queues, zone by zone: each call waits for the one before.
    fn taint_next(&mut self, ctx: &mut Ctx<'_>) {
        let (now, seed) = (ctx.now(), ctx.seed());
        let rank = |zone: &ZoneKey| {
            let at = now.as_nanos().to_le_bytes();
            seed.stream_of("taint-zone", &[zone.0.as_bytes(), zone.1.as_bytes(), &at]).next_u64()
        };
        while self.tainter_free <= now
            && let Some(name) = self.zones.take(now, rank)
        {
            let Some(node) = ctx.store().find::<Node>("", &name).cloned() else { continue };
            let Some(ready) = ready_status(&node) else { continue };
            if let (Some(wanted), Some(other)) = (no_execute(ready), opposite(ready)) {
                let remove: Vec<_> = Some(other).filter(|t| taints::has(&node, t)).into_iter().collect();
                taints::swap(ctx, &node, &[wanted], &remove);
                if self.pass.is_some_and(|at| at <= now) {
                    self.tainted_meanwhile.insert(name);
                }
            }
            self.tainter_free = now + ctx.throttled().max(CALL * TAINT_CALLS);
        }
    }

    fn sync_node(ctx: &mut Ctx<'_>, key: &ObjectKey) -> Action {
        let Some(node) = ctx.store().get::<Node>(key).cloned() else { return Action::Done };
        let (add, remove) = taints::no_schedule_changes(&node);
        taints::swap(ctx, &node, &add, &remove);
        if let Some(labels) = beta_labels(&node.meta.labels) {
            let _ = ctx.update::<Node>(key, |node| node.meta.labels = node.meta.labels.merged(&labels));
        }
        Action::Done
    }

    fn node_changed(&mut self, change: &Change, old: Option<&Arc<Node>>, new: Option<&Arc<Node>>) -> bool {
        let name = change.latest().meta().name.clone();
        let heartbeat = |n: &Arc<Node>| condition::find(&n.status.conditions, "Ready").cloned();
        if let (Some(old), Some(new)) = (old, new) {
            let (was, is) = (heartbeat(old), heartbeat(new));
            // Our own verdict is no sign of life.
            let posted = is.as_ref().is_some_and(|c| c.status != ConditionStatus::Unknown) && was != is;
            if posted && let Some(watched) = self.known.get_mut(&name) {
                watched.heartbeat = Some(change.at);
                self.stale.insert(name.clone());
            }
            let status = |c: Option<_>| c.map(|c: crate::api::Condition| c.status);
            let no_execute =
                |n: &Node| n.taints.iter().filter(|t| t.effect == TaintEffect::NoExecute).count();
            if status(was) == status(is)
                && no_execute(old) == no_execute(new)
                && zone_key(old) == zone_key(new)
            {
                return false;
            }
        }
        self.stale.insert(name.clone());
        self.attention.insert(name);
        true
    }
}

/// Labels under their older names that the node lacks or has otherwise; none if all is well.
///
/// Upstream: `labelReconcileInfo`.
fn beta_labels(labels: &Labels) -> Option<Labels> {
    let pairs =
        [("kubernetes.io/os", "beta.kubernetes.io/os"), ("kubernetes.io/arch", "beta.kubernetes.io/arch")];
    let missing: Labels = pairs
        .iter()
        .filter_map(|(key, beta)| labels.get(key).map(|value| (*beta, value.clone())))
        .filter(|(beta, value)| labels.get(beta) != Some(value))
        .collect();
    (!missing.is_empty()).then_some(missing)
}

impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Lease, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::ADDED | Aspects::NODE
    }

    fn workers(&self) -> usize {
        8
    }

    fn start(&mut self, out: &mut Enqueue) {
        out.now(WorkKey::whole(LOOP));
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        if let Some((old, new)) = change.of::<Node>() {
            let not_ready = |n: Option<&Arc<Node>>| n.is_some_and(|n| !n.is_ready());
            recount(&mut self.not_ready, not_ready(old), not_ready(new));
            if self.node_changed(change, old, new) {
                out.now(WorkKey::whole(LOOP));
            }
            if let Some(node) = new {
                let (add, remove) = taints::no_schedule_changes(node);
                if !add.is_empty() || !remove.is_empty() || beta_labels(&node.meta.labels).is_some() {
                    out.now(WorkKey::task(NODE, node.meta.key()));
                }
            }
        } else if let Some((_, lease)) = change.of::<Lease>() {
            let meta = change.latest().meta();
            if meta.namespace == NAMESPACE_NODE_LEASE {
                self.stale.insert(meta.name.clone());
                // An agent that renews often enough is no reason to look.
                let flags = &self.flags;
                let often =
                    |r: Renewals| r.period + flags.node_monitor_period <= flags.node_monitor_grace_period;
                let goes_on =
                    lease.is_some_and(|l| l.renewals.is_some_and(|r| r.until.is_none() && often(r)));
                let was_due = self.known.get(&meta.name).is_some_and(|w| w.due.is_some());
                if !goes_on || was_due {
                    out.now(WorkKey::whole(LOOP));
                }
            }
        } else if self.not_ready > 0
            && let Some((old, Some(pod))) = change.of::<Pod>()
            && let Some(node) = &pod.node_name
            && old.is_none_or(|old| old.node_name != pod.node_name)
            && store.find::<Node>("", node).is_some_and(|n| !n.is_ready())
        {
            out.now(WorkKey::task(POD, pod.meta.key()));
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        match key.task {
            LOOP => self.run_loop(ctx),
            NODE => Self::sync_node(ctx, &key.key),
            _ => {
                pods::sync(ctx, &key.key);
                Action::Done
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
