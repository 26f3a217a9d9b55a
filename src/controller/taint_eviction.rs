//! The taint eviction controller: deletes Pods whose node has a `NoExecute` taint they do not tolerate, or
//! tolerate for some time only.
//!
//! Upstream: `pkg/controller/tainteviction/taint_eviction.go` and `timed_workers.go`, v1.34.
//!
//! # Fidelity
//! Deletions do not fail, so that none is tried again (upstream: 5 times, 10 ms apart). One loop stands for the eight workers
//! that upstream has for nodes and for Pods; what slows both down is the client's rate limit.

use std::collections::{BTreeMap, BTreeSet};

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::pod::cond;
use crate::api::{
    Condition, ConditionStatus, EventType, Kind, Node, ObjectKey, ObjectRef, Pod, Taint, TaintEffect,
    Toleration, condition,
};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::controller::aspects::Aspects;
use crate::controller::common::recount;
use crate::store::{Change, DeleteOptions, Store};

/// The one loop over changed nodes, changed Pods and evictions that have come due.
const LOOP: &str = "loop";

/// The taint eviction controller.
#[derive(Clone, Debug, Default)]
pub struct TaintEviction {
    /// How many nodes have such taints.
    tainted: usize,
    /// Nodes whose `NoExecute` taints changed.
    nodes: BTreeSet<Str>,
    /// Pods that came to a tainted node, or vanished before their eviction.
    pods: BTreeSet<ObjectKey>,
    /// Evictions to come, by Pod.
    planned: BTreeMap<ObjectKey, Planned>,
    /// The same by time, and those due at once.
    queue: BTreeSet<(SimTime, u64, ObjectKey)>,
    sequence: u64,
}

/// An eviction to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Planned {
    /// When its wait began.
    created: SimTime,
    fire: SimTime,
    sequence: u64,
}

/// What the tolerations of a Pod say about all taints of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// One taint is not tolerated, or for no time.
    Now,
    /// All are, for so long.
    After(SimDuration),
    /// All are, without end.
    Never,
}

impl TaintEviction {
    fn run_loop(&mut self, ctx: &mut Ctx<'_>) -> Action {
        for name in std::mem::take(&mut self.nodes) {
            self.handle_node(ctx, &name);
        }
        for key in std::mem::take(&mut self.pods) {
            self.handle_pod(ctx, &key);
        }
        let now = ctx.now();
        while let Some((at, _, _)) = self.queue.first() {
            if *at > now {
                return Action::After(at.since(now));
            }
            let wait = ctx.throttled();
            if !wait.is_zero() {
                return Action::After(wait);
            }
            if let Some((_, _, pod)) = self.queue.pop_first() {
                self.planned.remove(&pod);
                evict(ctx, &pod);
            }
        }
        Action::Done
    }

    fn handle_node(&mut self, ctx: &mut Ctx<'_>, name: &str) {
        // Evictions planned for Pods of a node that is gone stay planned.
        let Some(node) = ctx.store().find::<Node>("", name) else { return };
        let taints = no_execute_taints(node);
        let pods: Vec<Arc<Pod>> = ctx.store().pods_on(name).cloned().collect();
        for pod in pods {
            if taints.is_empty() {
                self.cancel(ctx, &pod.meta.key());
            } else {
                self.process(ctx, &pod, &taints);
            }
        }
    }

    fn handle_pod(&mut self, ctx: &mut Ctx<'_>, key: &ObjectKey) {
        let Some(pod) = ctx.store().get::<Pod>(key).cloned() else {
            self.cancel(ctx, key);
            return;
        };
        let node = pod.node_name.as_ref().and_then(|name| ctx.store().find::<Node>("", name));
        let taints = node.map(|n| no_execute_taints(n)).unwrap_or_default();
        if !taints.is_empty() {
            self.process(ctx, &pod, &taints);
        }
    }

    fn process(&mut self, ctx: &mut Ctx<'_>, pod: &Pod, taints: &[Taint]) {
        let (now, key) = (ctx.now(), pod.meta.key());
        match verdict(taints, &pod.spec.tolerations) {
            Verdict::Now => {
                self.cancel(ctx, &key);
                self.plan(key, now, now);
            }
            Verdict::Never => self.cancel(ctx, &key),
            Verdict::After(wait) => {
                let mut created = now;
                if let Some(old) = self.planned.get(&key) {
                    created = old.created;
                    // What was planned keeps its time; a change of taints never makes it later.
                    if created + wait < now + wait {
                        return;
                    }
                    self.cancel(ctx, &key);
                }
                self.plan(key, created, now + wait);
            }
        }
    }

    fn plan(&mut self, pod: ObjectKey, created: SimTime, fire: SimTime) {
        self.sequence += 1;
        self.queue.insert((fire, self.sequence, pod.clone()));
        self.planned.insert(pod, Planned { created, fire, sequence: self.sequence });
    }

    fn cancel(&mut self, ctx: &mut Ctx<'_>, pod: &ObjectKey) {
        let Some(planned) = self.planned.remove(pod) else { return };
        self.queue.remove(&(planned.fire, planned.sequence, pod.clone()));
        if planned.fire > planned.created {
            say(ctx, pod, format!("Cancelling deletion of Pod {pod}"));
        }
    }
}

fn no_execute_taints(node: &Node) -> Vec<Taint> {
    node.taints.iter().filter(|t| t.effect == TaintEffect::NoExecute).cloned().collect()
}

/// The shortest time for which the first toleration of every taint holds.
fn verdict(taints: &[Taint], tolerations: &[Toleration]) -> Verdict {
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let Some(used) = tolerations.iter().find(|t| t.tolerates(taint)) else { return Verdict::Now };
        if let Some(seconds) = used.seconds {
            if seconds <= 0 {
                return Verdict::Now;
            }
            shortest = Some(shortest.map_or(seconds, |s| s.min(seconds)));
        }
    }
    shortest.map_or(Verdict::Never, |seconds| Verdict::After(SimDuration::from_api_secs(seconds)))
}

fn say(ctx: &mut Ctx<'_>, pod: &ObjectKey, message: String) {
    let regarding = ObjectRef {
        kind: "Pod".into(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        ..ObjectRef::default()
    };
    ctx.event(regarding, EventType::Normal, "TaintManagerEviction", message);
}

fn evict(ctx: &mut Ctx<'_>, key: &ObjectKey) {
    say(ctx, key, format!("Marking for deletion Pod {key}"));
    let at = ctx.timestamp();
    let written = ctx.update::<Pod>(key, |pod| {
        let condition = Condition::new(
            cond::DISRUPTION_TARGET,
            ConditionStatus::True,
            "DeletionByTaintManager",
            "Taint manager: deleting due to NoExecute taint",
            at,
        );
        condition::set(&mut pod.status.conditions, condition);
    });
    if written.is_ok() {
        // Budgets for disruptions are not asked.
        let _ = ctx.delete::<Pod>(key, &DeleteOptions::default());
    }
}

impl Controller for TaintEviction {
    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::ADDED | Aspects::DELETED | Aspects::NODE | Aspects::SPEC
    }

    fn workers(&self) -> usize {
        8
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        if let Some((old, new)) = change.of::<Node>() {
            let taints = |n: Option<&Arc<Node>>| n.map(|n| no_execute_taints(n)).unwrap_or_default();
            let (was, is) = (taints(old), taints(new));
            recount(&mut self.tainted, !was.is_empty(), !is.is_empty());
            if let Some(node) = new
                && was != is
            {
                self.nodes.insert(node.meta.name.clone());
                out.now(WorkKey::whole(LOOP));
            }
        } else if let Some((old, new)) = change.of::<Pod>() {
            let concerns = match (old, new) {
                (_, None) => !self.planned.is_empty() && self.planned.contains_key(&change.key()),
                (Some(old), Some(new))
                    if old.node_name == new.node_name && old.spec.tolerations == new.spec.tolerations =>
                {
                    false
                }
                (_, Some(_)) if self.tainted == 0 => false,
                (_, Some(new)) => new
                    .node_name
                    .as_ref()
                    .and_then(|name| store.find::<Node>("", name))
                    .is_some_and(|node| node.taints.iter().any(|t| t.effect == TaintEffect::NoExecute)),
            };
            if concerns {
                self.pods.insert(change.key());
                out.now(WorkKey::whole(LOOP));
            }
        }
    }

    fn reconcile(&mut self, _key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        self.run_loop(ctx)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Meta;
    use crate::controller::testing::Harness;
    use crate::testkit;

    fn harness() -> Harness {
        let mut h = Harness::new(vec![Box::new(TaintEviction::default())]);
        h.store.create(Node { meta: Meta::named("", "n"), ..Node::default() }).unwrap();
        set_taints(&mut h, &[]);
        h
    }

    fn set_taints(h: &mut Harness, keys: &[&str]) {
        h.store
            .update_spec::<Node>(&ObjectKey::cluster("n"), |node| {
                let taint = |key: &&str| Taint {
                    key: (*key).into(),
                    value: Str::new(),
                    effect: TaintEffect::NoExecute,
                    time_added: None,
                };
                node.taints = keys.iter().map(taint).collect();
            })
            .unwrap();
        h.settle();
    }

    fn put_pod(h: &mut Harness, name: &str, tolerations: &[(&str, Option<i64>)]) {
        let mut pod = testkit::pod(name, "app=web");
        pod.node_name = Some("n".into());
        let spec = Arc::make_mut(&mut pod.spec);
        spec.tolerations = tolerations
            .iter()
            .map(|(key, seconds)| Toleration {
                key: (*key).into(),
                exists: true,
                value: Str::new(),
                effect: None,
                seconds: *seconds,
            })
            .collect();
        // Distinct specs must not be taken for one another.
        spec.fingerprint = crate::kernel::Seed(9).stream("fingerprint", name).next_u64();
        h.store.create(pod).unwrap();
        h.settle();
    }

    fn deleting(h: &Harness, name: &str) -> bool {
        h.store.find::<Pod>("default", name).is_none_or(|p| p.meta.is_deleting())
    }

    /// §6.5, §11.2, §13.1.
    #[test]
    fn default_tolerations_keep_a_pod_for_five_minutes() {
        let mut h = harness();
        put_pod(&mut h, "web", &[]);
        h.advance_secs(1);
        set_taints(&mut h, &["node.kubernetes.io/unreachable"]);
        h.advance_secs(299);
        assert!(!deleting(&h, "web"));
        h.advance_secs(2);
        assert!(deleting(&h, "web"));
        assert_eq!(h.events(), ["TaintManagerEviction: Marking for deletion Pod default/web"]);
        let pod = h.store.find::<Pod>("default", "web").unwrap();
        let target = condition::find(&pod.status.conditions, cond::DISRUPTION_TARGET).unwrap();
        assert_eq!(
            (target.reason.as_str(), target.message.as_str()),
            ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
        );
    }

    /// §6.5, §13.6: the shortest of the tolerations that are used, from the controller's own time on; budgets are not
    /// asked, and the Pod has its own grace.
    #[test]
    fn the_shortest_toleration_in_use_counts_and_no_budget() {
        let mut h = harness();
        put_pod(&mut h, "web", &[("one", Some(30)), ("two", Some(20)), ("other", Some(1))]);
        let budget = crate::api::policy::PodDisruptionBudget {
            meta: Meta::named("default", "all"),
            selector: crate::api::LabelSelector::everything(),
            min_available: Some(crate::api::workload::IntOrPercent::Percent(100)),
            ..Default::default()
        };
        h.store.create(budget).unwrap();
        h.advance_secs(100);
        set_taints(&mut h, &["one", "two"]);
        let long_ago = h.store.calendar().timestamp(SimTime::ZERO);
        h.store
            .update_spec::<Node>(&ObjectKey::cluster("n"), |node| {
                node.taints.iter_mut().for_each(|taint| taint.time_added = Some(long_ago));
            })
            .unwrap();
        h.advance_secs(19);
        assert!(!deleting(&h, "web"));
        h.advance_secs(2);
        assert!(deleting(&h, "web"));
        let deletion = h.store.find::<Pod>("default", "web").unwrap().meta.deletion.unwrap();
        assert_eq!(deletion.grace_seconds, Some(30));
    }

    /// §6.5, §13.6.
    #[test]
    fn the_wait_goes_on_when_one_taint_takes_the_place_of_another() {
        let mut h = harness();
        put_pod(&mut h, "web", &[]);
        set_taints(&mut h, &["node.kubernetes.io/not-ready"]);
        h.advance_secs(200);
        set_taints(&mut h, &["node.kubernetes.io/unreachable"]);
        h.advance_secs(101);
        assert!(deleting(&h, "web"));
    }

    /// §6.5.
    #[test]
    fn evictions_are_called_off_when_the_taint_goes_or_the_pod_does() {
        let mut h = harness();
        put_pod(&mut h, "stays", &[]);
        put_pod(&mut h, "goes", &[]);
        set_taints(&mut h, &["node.kubernetes.io/unreachable"]);
        h.advance_secs(10);
        h.store.delete::<Pod>(&ObjectKey::new("default", "goes"), &DeleteOptions::force()).unwrap();
        h.advance_secs(10);
        set_taints(&mut h, &[]);
        h.advance_secs(400);
        assert!(!deleting(&h, "stays"));
        assert_eq!(
            h.events_of("TaintManagerEviction"),
            ["Cancelling deletion of Pod default/goes", "Cancelling deletion of Pod default/stays"]
        );
    }

    /// §6.5.
    #[test]
    fn a_taint_that_is_not_tolerated_evicts_at_once() {
        let mut h = harness();
        put_pod(&mut h, "web", &[]);
        put_pod(&mut h, "agent", &[("", None)]);
        put_pod(&mut h, "brief", &[("mine", Some(0))]);
        put_pod(&mut h, "some", &[("mine", Some(30)), ("mine", Some(5))]);
        set_taints(&mut h, &["mine"]);
        h.advance_secs(1);
        assert!(deleting(&h, "web") && deleting(&h, "brief"));
        h.advance_secs(28);
        assert!(!deleting(&h, "some"), "the first matching toleration counts");
        h.advance_secs(2);
        assert!(deleting(&h, "some"));
        h.advance_secs(4000);
        assert!(!deleting(&h, "agent"));
    }

    /// §6.5.
    #[test]
    fn a_pod_that_comes_to_a_tainted_node_is_evicted_too() {
        let mut h = harness();
        set_taints(&mut h, &["mine"]);
        h.advance_secs(5);
        put_pod(&mut h, "web", &[]);
        h.advance_secs(1);
        assert!(deleting(&h, "web"));
    }
}
