//! The Pod garbage collector: Pods that nobody else will remove.
//!
//! Upstream: `pkg/controller/podgc/gc_controller.go`, v1.34: a pass every 20 s over ended Pods beyond the
//! threshold, terminating Pods of out-of-service nodes, Pods of nodes that are gone, and terminating Pods
//! that were never scheduled, in this order.
//!
//! # Fidelity
//! A pass is made only if something can have changed, on a grid that starts 15.3 s after the controller. A node
//! that is missing for two whole periods has passed its quarantine of 40 s (upstream's delaying queue and the
//! pass race there).

use std::collections::{BTreeMap, BTreeSet};

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::pod::cond;
use crate::api::{Condition, ConditionStatus, Kind, Node, Phase, Pod, condition};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::controller::aspects::Aspects;
use crate::controller::common::recount;
use crate::params::settings::ControllerManager;
use crate::store::{Change, DeleteOptions, Store};

const PERIOD: SimDuration = SimDuration::from_secs(20);
/// The first pass after the start: so it was on the recorded control plane, which had been up for some seconds when its nodes
/// were ready (15.2 s and 16.9 s).
const PHASE: SimDuration = SimDuration::from_millis(15_300);
const QUARANTINE: SimDuration = SimDuration::from_secs(40);
const LOOP: &str = "loop";

/// The Pod garbage collector.
#[derive(Clone, Debug)]
pub struct PodGc {
    /// Ended Pods that may exist; none: no limit.
    threshold: Option<usize>,
    epoch: Option<SimTime>,
    /// Ended Pods that exist.
    ended: usize,
    /// Whether the next pass can find something.
    attention: bool,
    /// Nodes that are missing, and until when they are given time to appear.
    quarantine: BTreeMap<Str, SimTime>,
    /// The pass that is planned, or under way if it lies behind.
    pass: Option<SimTime>,
}

impl PodGc {
    /// With these flags.
    pub fn new(flags: &ControllerManager) -> Self {
        Self {
            threshold: usize::try_from(flags.terminated_pod_gc_threshold).ok().filter(|t| *t > 0),
            epoch: None,
            ended: 0,
            attention: false,
            quarantine: BTreeMap::new(),
            pass: None,
        }
    }

    fn too_many_ended(&self) -> bool {
        self.threshold.is_some_and(|threshold| self.ended > threshold)
    }

    fn run_loop(&mut self, ctx: &mut Ctx<'_>) -> Action {
        let now = ctx.now();
        let epoch = *self.epoch.get_or_insert(now + PHASE);
        if self.pass.is_some_and(|at| at <= now) {
            self.attention = false;
            if let Some(wait) = self.make_pass(ctx) {
                return Action::After(wait);
            }
            self.pass = None;
        }
        let grid = |at: SimTime| at.next_on_grid(SimDuration::from_nanos(epoch.as_nanos()), PERIOD);
        let after_now = grid(now + SimDuration::from_nanos(1));
        let soon = (self.attention || self.too_many_ended()).then_some(after_now);
        let quarantined = self.quarantine.values().min().map(|at| grid(*at).max(after_now));
        self.pass = self.pass.into_iter().chain(soon).chain(quarantined).min();
        self.pass.map_or(Action::Done, |at| Action::After(at.since(now)))
    }

    /// A pass. If the client's rate limit stops it: when to go on.
    fn make_pass(&mut self, ctx: &mut Ctx<'_>) -> Option<SimDuration> {
        let doomed = self.doomed(ctx.store());
        for (pod, orphaned) in doomed {
            let wait = ctx.throttled();
            if !wait.is_zero() {
                return Some(wait);
            }
            fail_and_delete(ctx, &pod, orphaned);
        }
        let now = ctx.now();
        self.quarantine.retain(|_, until| *until > now);
        None
    }

    /// The Pods to remove, and whether their node is gone.
    fn doomed(&mut self, store: &Store) -> Vec<(Arc<Pod>, bool)> {
        let mut doomed: Vec<(Arc<Pod>, bool)> = Vec::new();
        doomed.extend(self.beyond_threshold(store).into_iter().map(|p| (p, false)));
        let out_of_service: BTreeSet<&Str> = store
            .list::<Node>()
            .filter(|n| n.is_out_of_service() && !n.is_ready())
            .map(|n| &n.meta.name)
            .collect();
        let mut terminating: Vec<Arc<Pod>> = store
            .list::<Pod>()
            .filter(|p| p.meta.is_deleting())
            .filter(|p| p.node_name.as_ref().is_some_and(|n| out_of_service.contains(n)))
            .cloned()
            .collect();
        sort_by_eviction_and_age(&mut terminating);
        doomed.extend(terminating.into_iter().map(|p| (p, false)));
        let gone = self.nodes_gone(store);
        for pod in store.list::<Pod>() {
            match &pod.node_name {
                Some(node) if gone.contains(node) => doomed.push((pod.clone(), true)),
                None if pod.meta.is_deleting() && pod.status.phase != Phase::Failed => {
                    doomed.push((pod.clone(), false));
                }
                _ => {}
            }
        }
        doomed
    }

    fn beyond_threshold(&self, store: &Store) -> Vec<Arc<Pod>> {
        let Some(threshold) = self.threshold.filter(|_| self.too_many_ended()) else { return Vec::new() };
        let mut ended: Vec<Arc<Pod>> = store.list::<Pod>().filter(|p| p.is_terminal()).cloned().collect();
        let excess = ended.len().saturating_sub(threshold);
        sort_by_eviction_and_age(&mut ended);
        ended.truncate(excess);
        ended
    }

    /// Nodes that have been missing for the whole quarantine; those just missed are put into it.
    fn nodes_gone(&mut self, store: &Store) -> BTreeSet<Str> {
        let now = store.now();
        let missing = |name: &Str| store.find::<Node>("", name).is_none();
        let lost: BTreeSet<&Str> =
            store.list::<Pod>().filter_map(|p| p.node_name.as_ref()).filter(|n| missing(n)).collect();
        for name in lost {
            self.quarantine.entry(name.clone()).or_insert(now + QUARANTINE);
        }
        let over = self.quarantine.iter().filter(|(name, until)| **until <= now && missing(name));
        over.map(|(name, _)| name.clone()).collect()
    }
}

/// Evicted Pods first, then the oldest, then by name.
fn sort_by_eviction_and_age(pods: &mut [Arc<Pod>]) {
    let evicted = |p: &Pod| p.status.phase == Phase::Failed && p.status.reason == "Evicted";
    pods.sort_by_key(|p| (!evicted(p), p.meta.created, p.meta.name.clone()));
}

fn fail_and_delete(ctx: &mut Ctx<'_>, pod: &Pod, orphaned: bool) {
    let (key, at) = (pod.meta.key(), ctx.timestamp());
    if !pod.is_terminal() {
        let _ = ctx.update::<Pod>(&key, |pod| {
            pod.status.phase = Phase::Failed;
            if orphaned {
                let (reason, message) = ("DeletionByPodGC", "PodGC: node no longer exists");
                let status = ConditionStatus::True;
                let condition = Condition::new(cond::DISRUPTION_TARGET, status, reason, message, at);
                condition::set(&mut pod.status.conditions, condition);
            }
        });
    }
    // A Pod that went meanwhile needs nothing more.
    let _ = ctx.delete::<Pod>(&key, &DeleteOptions::force());
}

impl Controller for PodGc {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::ADDED | Aspects::DELETED | Aspects::NODE | Aspects::DELETION | Aspects::ENDED
    }

    fn workers(&self) -> usize {
        1
    }

    fn start(&mut self, out: &mut Enqueue) {
        out.now(WorkKey::whole(LOOP));
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let concerns = if let Some((old, new)) = change.of::<Node>() {
            let out_of_service = |n: Option<&Arc<Node>>| n.is_some_and(|n| n.is_out_of_service());
            new.is_none()
                || (out_of_service(new) && old.map(|o| o.is_ready()) != new.map(|n| n.is_ready()))
                || out_of_service(new) && !out_of_service(old)
        } else if let Some((old, new)) = change.of::<Pod>() {
            let ended = |p: Option<&Arc<Pod>>| p.is_some_and(|p| p.is_terminal());
            recount(&mut self.ended, ended(old), ended(new));
            self.too_many_ended() || new.is_some_and(|pod| concerns_pod(old, pod, store))
        } else {
            false
        };
        if concerns {
            self.attention = true;
            out.now(WorkKey::whole(LOOP));
        }
    }

    fn reconcile(&mut self, _key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        self.run_loop(ctx)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// Whether a change of a Pod gives the collector something to do.
fn concerns_pod(old: Option<&Arc<Pod>>, pod: &Pod, store: &Store) -> bool {
    let newly_deleting = pod.meta.is_deleting() && !old.is_some_and(|o| o.meta.is_deleting());
    let Some(name) = &pod.node_name else { return newly_deleting };
    let newly_bound = old.is_none_or(|o| o.node_name != pod.node_name);
    if !newly_deleting && !newly_bound {
        return false;
    }
    match store.find::<Node>("", name) {
        None => newly_bound,
        Some(node) => newly_deleting && node.is_out_of_service(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Meta, ObjectKey, Taint, TaintEffect};
    use crate::controller::testing::Harness;
    use crate::testkit;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("default", name)
    }

    fn harness(threshold: i64) -> Harness {
        let flags =
            ControllerManager { terminated_pod_gc_threshold: threshold, ..ControllerManager::default() };
        Harness::new(vec![Box::new(PodGc::new(&flags))])
    }

    fn put_node(h: &mut Harness, name: &str, ready: bool) {
        let mut node = Node { meta: Meta::named("", name), ..Node::default() };
        let status = ConditionStatus::of(ready);
        node.status.conditions.push(Condition::new("Ready", status, "", "", h.store.timestamp()));
        h.store.create(node).unwrap();
        h.settle();
    }

    fn put_pod(h: &mut Harness, name: &str, node: Option<&str>, phase: Phase) {
        let mut pod = testkit::pod(name, "app=web");
        pod.node_name = node.map(Str::from);
        pod.status.phase = phase;
        h.store.create(pod).unwrap();
        h.settle();
    }

    fn names(h: &Harness) -> Vec<&str> {
        h.store.list::<Pod>().map(|p| p.meta.name.as_str()).collect()
    }

    /// §6.1, §6.7.
    #[test]
    fn pods_of_a_node_that_is_gone_go_after_the_quarantine() {
        let mut h = harness(0);
        put_node(&mut h, "n", true);
        put_pod(&mut h, "web", Some("n"), Phase::Running);
        h.advance_secs(30);
        h.store.delete::<Node>(&ObjectKey::cluster("n"), &DeleteOptions::default()).unwrap();
        // Missed at 35.3 s, still missing at 75.3 s.
        h.advance_secs(45);
        assert_eq!(names(&h), ["web"]);
        h.clear_log();
        h.advance_secs(2);
        assert!(names(&h).is_empty());
        let failed = h.log.iter().find_map(|c| c.of::<Pod>()?.1.cloned()).unwrap();
        assert_eq!(failed.status.phase, Phase::Failed);
        let target = condition::find(&failed.status.conditions, cond::DISRUPTION_TARGET).unwrap();
        assert_eq!(
            (target.reason.as_str(), target.message.as_str()),
            ("DeletionByPodGC", "PodGC: node no longer exists")
        );
    }

    #[test]
    fn a_node_that_comes_back_in_time_saves_its_pods() {
        let mut h = harness(0);
        put_pod(&mut h, "web", Some("n"), Phase::Running);
        h.advance_secs(30);
        put_node(&mut h, "n", true);
        h.advance_secs(200);
        assert_eq!(names(&h), ["web"]);
    }

    /// §6.7.
    #[test]
    fn terminating_pods_of_an_out_of_service_node_go_if_it_is_not_ready() {
        let mut h = harness(0);
        for (node, ready) in [("dead", false), ("alive", true)] {
            put_node(&mut h, node, ready);
            put_pod(&mut h, &format!("on-{node}"), Some(node), Phase::Running);
            put_pod(&mut h, &format!("left-{node}"), Some(node), Phase::Running);
            h.store.delete::<Pod>(&key(&format!("on-{node}")), &DeleteOptions::default()).unwrap();
        }
        h.advance_secs(41);
        assert_eq!(names(&h).len(), 4);
        for node in ["dead", "alive"] {
            let taint = Taint {
                key: crate::api::node::TAINT_OUT_OF_SERVICE.into(),
                value: "nodeshutdown".into(),
                effect: TaintEffect::NoExecute,
                time_added: None,
            };
            h.store.update_spec::<Node>(&ObjectKey::cluster(node), |n| n.taints.push(taint)).unwrap();
        }
        h.advance_secs(14);
        assert_eq!(names(&h).len(), 4);
        h.advance_secs(2);
        assert_eq!(names(&h), ["left-dead", "on-alive", "left-alive"]);
    }

    /// §6.7, §13.12.
    #[test]
    fn ended_pods_beyond_the_threshold_go_the_evicted_first() {
        let mut h = harness(2);
        put_pod(&mut h, "old", Some("n"), Phase::Succeeded);
        h.advance_secs(1);
        put_pod(&mut h, "young", Some("n"), Phase::Succeeded);
        put_pod(&mut h, "evicted", Some("n"), Phase::Failed);
        h.store.update::<Pod>(&key("evicted"), |p| p.status.reason = "Evicted".into()).unwrap();
        put_pod(&mut h, "runs", Some("n"), Phase::Running);
        put_node(&mut h, "n", true);
        h.advance_secs(20);
        assert_eq!(names(&h), ["old", "young", "runs"]);
        put_pod(&mut h, "third", Some("n"), Phase::Failed);
        h.advance_secs(20);
        assert_eq!(names(&h), ["young", "runs", "third"]);
    }

    /// §6.7.
    #[test]
    fn a_terminating_pod_without_a_node_is_failed() {
        let mut h = harness(0);
        put_pod(&mut h, "held", None, Phase::Pending);
        h.store.update::<Pod>(&key("held"), |p| p.meta.finalizers.push("x".into())).unwrap();
        h.store.delete::<Pod>(&key("held"), &DeleteOptions::default()).unwrap();
        h.advance_secs(21);
        assert_eq!(h.store.find::<Pod>("default", "held").unwrap().status.phase, Phase::Failed);
    }
}
