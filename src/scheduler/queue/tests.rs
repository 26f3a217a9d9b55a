//! Where Pods wait, for how long, and what moves them.

use serde_json::json;

use super::backoff::Backoff;
use super::{Env, Queue, QueuedPod, Went};
use crate::api::taint::{Taint, TaintEffect};
use crate::api::{Kind, Object};
use crate::base::{Arc, LookupSet, SimDuration, SimTime, Str};
use crate::scheduler::decision::Nomination;
use crate::scheduler::framework::{ActionType, ClusterEvent, EventResource, Framework, PodInfo, Snapshot};
use crate::scheduler::testing::{bound, node, node_change, object, pod, pod_change, pod_with};
use crate::scheduler::{Config, Wording, changes};

/// A queue with what it looks at.
struct Bench {
    queue: Queue,
    frameworks: Vec<Arc<Framework>>,
    snapshot: Snapshot,
    preempting: LookupSet<Str>,
    now: SimTime,
}

fn seconds(seconds: f64) -> SimTime {
    SimTime::from_nanos((seconds * 1e9) as u64)
}

fn info(object: &Object) -> Arc<PodInfo> {
    let Object::Pod(pod) = object else { unreachable!("not a Pod: {object:?}") };
    Arc::new(PodInfo::new(pod.clone()))
}

impl Bench {
    fn new() -> Self {
        let frameworks = Config::default().frameworks(Wording::default()).unwrap();
        Self {
            queue: Queue::new(Backoff::default()),
            frameworks: frameworks.into_iter().map(Arc::new).collect(),
            snapshot: Snapshot::default(),
            preempting: LookupSet::new(),
            now: SimTime::ZERO,
        }
    }

    fn act<T>(&mut self, at: f64, act: impl FnOnce(&mut Queue, &Env<'_>) -> T) -> T {
        self.now = seconds(at);
        let env = Env {
            frameworks: &self.frameworks,
            snapshot: &self.snapshot,
            preempting: &self.preempting,
            now: self.now,
        };
        act(&mut self.queue, &env)
    }

    fn add(&mut self, at: f64, object: &Object) {
        let info = info(object);
        self.act(at, |queue, env| queue.add(env, info));
    }

    /// Takes the next Pod and puts it back as refused by a plugin, or by a fault if none is named.
    fn fail(&mut self, at: f64, plugin: &'static str) -> Went {
        let mut queued = self.queue.pop().unwrap();
        queued.refused_by(plugin);
        self.act(at, |queue, env| queue.add_unschedulable(env, queued))
    }

    fn happens(&mut self, at: f64, event: ClusterEvent, old: Option<&Object>, new: Option<&Object>) {
        self.act(at, |queue, env| queue.move_all(env, event, old, new, |_| true));
    }

    fn flush(&mut self, at: f64) {
        self.act(at, |queue, env| {
            queue.flush_backoff(env);
            queue.flush_unschedulable(env);
        });
    }

    fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(queued) = self.queue.pop() {
            names.push(queued.info.pod.meta.name.to_string());
            self.queue.done(queued.info.uid());
        }
        names
    }
}

const POD_DELETED: ClusterEvent = ClusterEvent::new(EventResource::AssignedPod, ActionType::DELETE);
const NODE_ADDED: ClusterEvent = ClusterEvent::new(EventResource::Node, ActionType::ADD);

/// Facts §10.1, §10.2, §13.44.
#[test]
fn backoff_doubles_to_its_limit_and_ends_with_whole_seconds() {
    let times = Backoff::default();
    let durations: Vec<u64> = (1..=7).map(|count| times.duration(count).as_secs()).collect();
    assert_eq!(durations, [1, 2, 4, 8, 10, 10, 10]);
    assert_eq!(times.duration(64), SimDuration::from_secs(10));
    let mut queued = QueuedPod::new(info(&pod("a", 1)), seconds(5.3), 1);
    for (count, now, backing_off) in
        [(0, 5.3, false), (1, 5.3, true), (1, 6.9, true), (1, 7.0, false), (3, 9.99, true), (3, 10.0, false)]
    {
        queued.unschedulable_count = count;
        assert_eq!(times.is_backing_off(&queued, seconds(now)), backing_off, "{count} failures, at {now}");
    }
    queued.consecutive_errors = 1;
    assert_eq!(times.expiry(&queued), seconds(6.0));
    assert!(!Backoff { max: SimDuration::ZERO, ..times }.is_backing_off(&queued, seconds(5.3)));
}

/// Facts §10.2: activeQ.
#[test]
fn higher_priority_goes_first_then_whoever_waits_longer() {
    let mut bench = Bench::new();
    let with_priority =
        |name: &str, priority: i32| pod_with(name, 1, |pod| pod["spec"]["priority"] = json!(priority));
    bench.add(1.0, &pod("first", 1));
    bench.add(1.0, &pod("second", 1));
    bench.add(2.0, &with_priority("urgent", 10));
    bench.add(3.0, &with_priority("more-urgent", 20));
    assert_eq!(bench.names(), ["more-urgent", "urgent", "first", "second"]);
}

/// Facts §10.2: Pop, error backoffQ; §13.43.
#[test]
fn an_idle_scheduler_takes_pods_before_their_backoff_ends_but_not_after_faults() {
    let mut bench = Bench::new();
    bench.add(0.0, &pod("refused", 1));
    assert_eq!(bench.fail(0.5, "NodeResourcesFit"), Went::Unschedulable);
    let gone = bound(&pod("gone", 1), "n");
    bench.happens(0.6, POD_DELETED, Some(&gone), None);
    assert_eq!(bench.queue.lengths(), (0, 1, 0));
    assert!(bench.queue.has_ready());
    bench.add(0.7, &pod("fresh", 1));
    assert_eq!(bench.names(), ["fresh", "refused"]);
    bench.add(1.0, &pod("broken", 1));
    assert_eq!(bench.fail(1.0, ""), Went::Backoff);
    assert!(!bench.queue.has_ready());
    assert_eq!(bench.queue.next_flush(), Some(seconds(3.0)));
    bench.flush(2.9);
    assert!(!bench.queue.has_ready());
    bench.flush(3.0);
    assert_eq!(bench.names(), ["broken"]);
}

/// Facts §10.3: "after backoff".
#[test]
fn after_its_backoff_a_pod_becomes_active_at_once() {
    let mut bench = Bench::new();
    bench.add(0.0, &pod("a", 1));
    bench.fail(0.0, "NodeResourcesFit");
    let gone = bound(&pod("gone", 1), "n");
    bench.happens(2.0, POD_DELETED, Some(&gone), None);
    assert_eq!(bench.queue.lengths(), (1, 0, 0));
}

/// Facts §10.1, §10.2: unschedulablePods; §13.45.
#[test]
fn parked_pods_are_tried_again_after_five_minutes_on_the_grid_of_thirty_seconds() {
    for (parked, flushed) in [(0.0, 330.0), (0.1, 330.0), (29.9, 330.0), (30.0, 360.0), (31.0, 360.0)] {
        let mut bench = Bench::new();
        bench.add(parked, &pod("a", 1));
        bench.fail(parked, "NodeAffinity");
        assert_eq!(bench.queue.next_flush(), Some(seconds(flushed)), "parked at {parked}");
        bench.flush(flushed - 0.1);
        assert_eq!(bench.queue.lengths(), (0, 0, 1), "parked at {parked}");
        bench.flush(flushed);
        assert_eq!(bench.queue.lengths(), (1, 0, 0), "parked at {parked}");
    }
}

/// Facts §10.3.
#[test]
fn an_event_moves_a_pod_if_a_plugin_that_refused_it_finds_it_useful() {
    let small = node("n", "z", 500);
    let big = node("n", "z", 4000);
    let tainted = node_change(&big, |n| {
        n.taints.push(Taint {
            key: "k".into(),
            value: Str::new(),
            effect: TaintEffect::NoSchedule,
            time_added: None,
        });
    });
    let cordoned = node_change(&big, |n| n.unschedulable = true);
    let labelled = node_change(&big, |n| n.meta.labels = n.meta.labels.with("disk", "ssd"));
    let warmer = node_change(&big, |n| n.meta.annotations = n.meta.annotations.with("a", "b"));
    let gone = bound(&pod("gone", 100), "n");
    let ported = bound(&with_port("ported", 80), "n");
    let volume = object(Kind::StorageClass, json!({"metadata": {"name": "fast"}, "provisioner": "x"}));
    let class_added = ClusterEvent::new(EventResource::StorageClass, ActionType::ADD);
    let node_event = |old: &Object, new: &Object| match (old, new) {
        (Object::Node(old), Object::Node(new)) => changes::of_node(old, new),
        _ => Vec::new(),
    };
    for (what, plugin, events, old, new, moves) in [
        ("a large node comes", "NodeResourcesFit", vec![NODE_ADDED], None, Some(&big), true),
        ("a small node comes", "NodeResourcesFit", vec![NODE_ADDED], None, Some(&small), false),
        ("a node grows", "NodeResourcesFit", node_event(&small, &big), Some(&small), Some(&big), true),
        ("a node shrinks", "NodeResourcesFit", node_event(&big, &small), Some(&big), Some(&small), false),
        // Plugins that hear of new nodes hear of changed taints without a hint.
        ("a taint goes", "NodeResourcesFit", node_event(&tainted, &big), Some(&tainted), Some(&big), true),
        ("a placed Pod goes", "NodeResourcesFit", vec![POD_DELETED], Some(&gone), None, true),
        ("a taint goes", "TaintToleration", node_event(&tainted, &big), Some(&tainted), Some(&big), true),
        ("a taint comes", "TaintToleration", node_event(&big, &tainted), Some(&big), Some(&tainted), false),
        ("a tainted node comes", "TaintToleration", vec![NODE_ADDED], None, Some(&tainted), false),
        (
            "a node is uncordoned",
            "NodeUnschedulable",
            node_event(&cordoned, &big),
            Some(&cordoned),
            Some(&big),
            true,
        ),
        (
            "a node is cordoned",
            "NodeUnschedulable",
            node_event(&big, &cordoned),
            Some(&big),
            Some(&cordoned),
            false,
        ),
        ("a label comes", "NodeAffinity", node_event(&big, &labelled), Some(&big), Some(&labelled), true),
        ("a label goes", "NodeAffinity", node_event(&labelled, &big), Some(&labelled), Some(&big), false),
        ("an annotation comes", "NodeAffinity", node_event(&big, &warmer), Some(&big), Some(&warmer), false),
        ("a placed Pod goes", "NodeAffinity", vec![POD_DELETED], Some(&gone), None, false),
        ("a Pod without ports goes", "NodePorts", vec![POD_DELETED], Some(&gone), None, false),
        ("a Pod with the port goes", "NodePorts", vec![POD_DELETED], Some(&ported), None, true),
        ("a class comes", "NodeResourcesFit", vec![class_added], None, Some(&volume), false),
        ("a node comes", "NodeName", vec![NODE_ADDED], None, Some(&small), true),
    ] {
        let mut bench = Bench::new();
        let waiting = pod_with("waiting", 1000, |pod| {
            pod["spec"]["nodeSelector"] = json!({"disk": "ssd"});
            pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
        });
        bench.add(0.0, &waiting);
        bench.fail(0.0, plugin);
        for event in events {
            bench.happens(5.0, event, old, new);
        }
        let went = bench.queue.place_of("uid-waiting");
        assert_eq!(went, Some(if moves { Went::Active } else { Went::Unschedulable }), "{plugin}: {what}");
    }
}

fn with_port(name: &str, port: i32) -> Object {
    pod_with(name, 1, |pod| {
        pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": port, "hostPort": port}]);
    })
}

/// Facts §10.2: gated Pods.
#[test]
fn gated_pods_stay_out_until_their_gates_go() {
    let mut bench = Bench::new();
    let gated = pod_with("gated", 1, |pod| pod["spec"]["schedulingGates"] = json!([{"name": "wait"}]));
    bench.add(0.0, &gated);
    assert_eq!(bench.queue.lengths(), (0, 0, 1));
    assert_eq!(bench.queue.get("uid-gated").map(|q| q.gating_plugin), Some("SchedulingGates"));
    assert_eq!(bench.queue.next_flush(), None);
    bench.happens(1.0, NODE_ADDED, None, Some(&node("n", "z", 1000)));
    bench.flush(400.0);
    assert_eq!(bench.queue.lengths(), (0, 0, 1));
    let free = pod("gated", 1);
    let (Object::Pod(old), Object::Pod(new)) = (&gated, &free) else { unreachable!("Pods") };
    let events = changes::of_pod(old, new);
    let info = info(&free);
    bench.act(401.0, |queue, env| queue.update(env, info, old, &events));
    assert_eq!(bench.names(), ["gated"]);
}

/// Facts §10.2: events in flight.
#[test]
fn what_happens_while_a_pod_is_tried_counts_when_it_comes_back() {
    for (event, expected) in [(POD_DELETED, Went::Backoff), (NODE_ADDED, Went::Unschedulable)] {
        let mut bench = Bench::new();
        bench.add(0.0, &pod("a", 1000));
        let mut queued = bench.queue.pop().unwrap();
        let gone = bound(&pod("gone", 1), "n");
        let (old, new) = if event == POD_DELETED { (Some(&gone), None) } else { (None, None) };
        let small = node("n", "z", 1);
        bench.happens(0.1, event, old, new.or((event == NODE_ADDED).then_some(&small)));
        queued.refused_by("NodeResourcesFit");
        assert_eq!(bench.act(0.2, |queue, env| queue.add_unschedulable(env, queued)), expected);
    }
}

#[test]
fn a_change_of_a_waiting_pod_is_seen_wherever_it_waits() {
    let mut bench = Bench::new();
    let old = pod("a", 1);
    bench.add(0.0, &old);
    let relabelled = pod_change(&old, |pod| pod.meta.labels = pod.meta.labels.with("x", "y"));
    let (Object::Pod(before), Object::Pod(after)) = (&old, &relabelled) else { unreachable!("Pods") };
    let events = changes::of_pod(before, after);
    let new = info(&relabelled);
    bench.act(1.0, |queue, env| queue.update(env, new.clone(), before, &events));
    assert!(bench.queue.get("uid-a").unwrap().info.pod.meta.labels.contains_key("x"));
    // A Pod that no queue knows is put among the active ones.
    let queued = bench.queue.pop().unwrap();
    bench.queue.done(queued.info.uid());
    bench.act(2.0, |queue, env| queue.update(env, new, before, &events));
    assert_eq!(bench.queue.lengths(), (1, 0, 0));
}

/// Facts §10.7, 6.
#[test]
fn a_nomination_that_is_not_yet_written_survives_an_update() {
    let mut bench = Bench::new();
    let old = pod("a", 1);
    bench.add(0.0, &old);
    bench.fail(0.0, "NodeResourcesFit");
    let waiting = info(&old);
    bench.queue.nominate(&waiting, &Nomination::Set("n1".into()));
    let Object::Pod(before) = &old else { unreachable!("a Pod") };
    let update = ClusterEvent::new(EventResource::UnscheduledPod, ActionType::UPDATE);
    bench.act(0.1, |queue, env| queue.update(env, waiting.clone(), before, &[update]));
    assert_eq!(bench.queue.nominator.node_of("uid-a").map(Str::as_str), Some("n1"));
    bench.queue.nominate(&waiting, &Nomination::Clear);
    assert_eq!(bench.queue.nominator.node_of("uid-a"), None);
    bench.queue.delete("uid-a");
    assert_eq!(bench.queue.lengths(), (0, 0, 0));
}

#[test]
fn activation_moves_a_pod_whatever_refused_it() {
    let mut bench = Bench::new();
    let waiting = pod("a", 1);
    bench.add(0.0, &waiting);
    bench.fail(0.0, "NodeAffinity");
    let Object::Pod(inner) = &waiting else { unreachable!("a Pod") };
    bench.act(0.1, |queue, env| queue.activate(env, inner));
    assert_eq!(bench.queue.lengths(), (1, 0, 0));
    let mut queued = bench.queue.pop().unwrap();
    bench.act(0.2, |queue, env| queue.activate(env, inner));
    queued.refused_by("NodeAffinity");
    assert_eq!(bench.act(0.3, |queue, env| queue.add_unschedulable(env, queued)), Went::Backoff);
}

/// Facts §10.2: the timestamp is that of the last failure; §13.42.
#[test]
fn a_pod_that_was_refused_goes_behind_its_equals() {
    let mut bench = Bench::new();
    bench.add(0.0, &pod("first", 1));
    bench.fail(1.0, "NodeResourcesFit");
    bench.add(0.5, &pod("second", 1));
    let gone = bound(&pod("gone", 1), "n");
    bench.happens(4.0, POD_DELETED, Some(&gone), None);
    assert_eq!(bench.queue.lengths(), (2, 0, 0));
    assert_eq!(bench.names(), ["second", "first"]);
}

/// Facts §10.2: backoffQ.
#[test]
fn of_those_backing_off_the_first_to_end_is_taken_then_the_more_important() {
    let mut bench = Bench::new();
    let with_priority =
        |name: &str, priority: i32| pod_with(name, 1, |pod| pod["spec"]["priority"] = json!(priority));
    let gone = bound(&pod("gone", 1), "n");
    for (at, name, priority) in [(0.2, "early", 0), (1.1, "late", 0), (1.2, "late-urgent", 10)] {
        bench.add(at, &with_priority(name, priority));
        bench.fail(at, "NodeResourcesFit");
    }
    bench.happens(1.3, POD_DELETED, Some(&gone), None);
    assert_eq!(bench.queue.lengths(), (0, 3, 0));
    assert_eq!(bench.names(), ["early", "late-urgent", "late"]);
}

/// The flag `--pod-max-in-unschedulable-pods-duration`.
#[test]
fn how_long_pods_are_parked_can_be_set() {
    let mut bench = Bench::new();
    bench.queue.set_max_parked(SimDuration::from_secs(60));
    bench.add(0.0, &pod("a", 1));
    bench.fail(0.0, "NodeAffinity");
    assert_eq!(bench.queue.next_flush(), Some(seconds(90.0)));
    bench.flush(90.0);
    assert_eq!(bench.queue.lengths(), (1, 0, 0));
}
