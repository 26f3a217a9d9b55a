use super::*;
use crate::api::node::ZONE_LABEL;
use crate::api::pod::cond;
use crate::api::policy::Renewals;
use crate::api::{Condition, Meta, Phase, Taint};
use crate::base::Timestamp;
use crate::controller::testing::Harness;
use crate::testkit;

/// With a node monitor that passes at whole multiples of five seconds.
fn harness() -> Harness {
    let flags = ControllerManager::default();
    let mut controller = NodeLifecycle::new(&flags);
    controller.monitor = Some(Monitor::new(&flags, SimDuration::ZERO));
    controller.pass = Some(SimTime::ZERO);
    Harness::new(vec![Box::new(controller)])
}

/// Adds nodes `<zone>-<n>` that are ready and renew their leases at 3 s, 13 s …
fn with_nodes(zones: &[(&str, usize)]) -> Harness {
    let mut h = harness();
    for (zone, count) in zones {
        for i in 1..=*count {
            add_node(&mut h, &format!("{zone}-{i}"), zone);
        }
    }
    h.settle();
    h
}

fn add_node(h: &mut Harness, name: &str, zone: &str) {
    let now = h.store.timestamp();
    let mut node = Node { meta: Meta::named("", name), ..Node::default() };
    node.meta.labels = [(ZONE_LABEL, zone)].into_iter().collect();
    for (kind, status) in [
        ("MemoryPressure", ConditionStatus::False),
        ("DiskPressure", ConditionStatus::False),
        ("PIDPressure", ConditionStatus::False),
        ("Ready", ConditionStatus::True),
    ] {
        node.status.conditions.push(Condition::new(kind, status, "Kubelet", "", now));
    }
    h.store.create(node).unwrap();
    h.store.create(Lease { meta: Meta::named(NAMESPACE_NODE_LEASE, name), ..Lease::default() }).unwrap();
    set_lease(h, name, None);
}

fn set_lease(h: &mut Harness, name: &str, until: Option<SimTime>) {
    let since = h.store.now();
    h.store
        .update::<Lease>(&ObjectKey::new(NAMESPACE_NODE_LEASE, name), |lease| {
            let period = SimDuration::from_secs(10);
            let phase = SimDuration::from_secs(3);
            lease.renewals = Some(Renewals { since, phase, period, until });
            if let Some(renewals) = lease.renewals.as_mut().filter(|r| r.until.is_some()) {
                renewals.since = SimTime::ZERO;
            }
        })
        .unwrap();
}

fn stop(h: &mut Harness, name: &str) {
    let now = h.store.now();
    set_lease(h, name, Some(now));
    h.settle();
}

fn post_ready(h: &mut Harness, name: &str, status: ConditionStatus) {
    let now = h.store.timestamp();
    h.store
        .update::<Node>(&ObjectKey::cluster(name), |node| {
            let condition = Condition::new("Ready", status, "Kubelet", "", now);
            condition::set(&mut node.status.conditions, condition);
        })
        .unwrap();
    h.settle();
}

fn put_pod(h: &mut Harness, name: &str, node: &str) {
    let mut pod = testkit::pod(name, "app=web");
    pod.node_name = Some(node.into());
    pod.status.phase = Phase::Running;
    let now = h.store.timestamp();
    pod.status.conditions.push(Condition::new(cond::READY, ConditionStatus::True, "", "", now));
    h.store.create(pod).unwrap();
    h.settle();
}

fn node(h: &Harness, name: &str) -> Arc<Node> {
    h.store.find::<Node>("", name).unwrap().clone()
}

fn taints(h: &Harness, name: &str) -> Vec<String> {
    node(h, name).taints.iter().map(Taint::to_string).collect()
}

/// When the first write of a node fulfils `test`, in milliseconds.
fn first(h: &Harness, name: &str, test: impl Fn(&Node) -> bool) -> Option<u64> {
    h.log
        .iter()
        .filter(|c| c.object().meta().name == name)
        .find(|c| c.of::<Node>().and_then(|(_, new)| new).is_some_and(|n| test(n)))
        .map(|c| c.at.as_nanos() / 1_000_000)
}

const UNREACHABLE_NO_EXECUTE: &str = "node.kubernetes.io/unreachable:NoExecute";
const UNREACHABLE_NO_SCHEDULE: &str = "node.kubernetes.io/unreachable:NoSchedule";

fn no_execute_at(h: &Harness, name: &str) -> Option<u64> {
    first(h, name, |n| n.taints.iter().any(|t| t.effect == TaintEffect::NoExecute))
}

#[test]
fn a_quiet_cluster_costs_nothing() {
    let mut h = with_nodes(&[("a", 3)]);
    h.advance_secs(20);
    assert_eq!(h.events_of("RegisteredNode").len(), 3);
    h.clear_log();
    while h.manager.next_wake().is_some() {}
    h.advance_secs(86_400);
    assert!(h.log.is_empty() && h.manager.next_wake().is_none());
}

/// §6.2, §6.3, §6.4, §11.2, §13.1–3: Ready becomes Unknown, and so do the other conditions; only the status of the Pod's Ready flips.
#[test]
fn a_silent_node_becomes_unknown_with_all_upstream_s_words() {
    let mut h = with_nodes(&[("a", 1), ("b", 1)]);
    put_pod(&mut h, "web-1", "a-1");
    put_pod(&mut h, "sick", "a-1");
    h.store
        .update::<Pod>(&ObjectKey::new("default", "sick"), |pod| {
            pod.status.conditions[0].status = ConditionStatus::False;
        })
        .unwrap();
    h.store
        .update::<Pod>(&ObjectKey::new("default", "web-1"), |pod| {
            let at = Timestamp::new(0);
            pod.status.conditions = vec![
                Condition::new(cond::READY, ConditionStatus::True, "Mine", "as before", at),
                Condition::new("ContainersReady", ConditionStatus::True, "", "", at),
            ];
        })
        .unwrap();
    h.store
        .update::<Node>(&ObjectKey::cluster("a-1"), |node| {
            let at = Timestamp::new(0);
            let network =
                Condition::new("NetworkUnavailable", ConditionStatus::False, "RouteCreated", "", at);
            node.status.conditions.push(network);
        })
        .unwrap();
    h.advance_secs(36);
    stop(&mut h, "a-1");
    h.advance_secs(100);
    let dead = node(&h, "a-1");
    let network = condition::find(&dead.status.conditions, "NetworkUnavailable").unwrap();
    assert_eq!((network.status, network.reason.as_str()), (ConditionStatus::False, "RouteCreated"));
    for c in dead.status.conditions.iter().filter(|c| c.kind != "NetworkUnavailable") {
        assert_eq!(
            (c.status, c.reason.as_str(), c.message.as_str()),
            (ConditionStatus::Unknown, "NodeStatusUnknown", "Kubelet stopped posting node status.")
        );
    }
    // The last renewal, at 33 s, was seen at 35 s.
    assert_eq!(first(&h, "a-1", |n| !n.is_ready()), Some(85_000));
    assert_eq!(h.events_of("NodeNotReady"), ["Node a-1 status is now: NodeNotReady", "Node is not ready"]);
    let pod = h.store.find::<Pod>("default", "web-1").unwrap();
    assert_eq!((pod.is_ready(), pod.status.phase), (false, Phase::Running));
    // Only the status of the one condition has changed, and only of Pods that were ready.
    let ready = pod.ready_condition().unwrap();
    assert_eq!((ready.reason.as_str(), ready.message.as_str()), ("Mine", "as before"));
    assert_eq!(ready.transition, Some(h.store.calendar().timestamp(SimTime::from_secs(85))));
    assert!(condition::is_true(&pod.status.conditions, "ContainersReady"));
    assert_eq!(h.events_of("NodeNotReady").len(), 2, "nothing is said of the Pod that was not ready");
    let said: Vec<_> = h.store.events().filter(|e| e.reason == "NodeNotReady").collect();
    assert_eq!(
        said.iter().map(|e| (e.regarding.kind.as_str(), e.event_type)).collect::<Vec<_>>(),
        [("Node", EventType::Normal), ("Pod", EventType::Warning)]
    );
    assert!(said.iter().all(|e| e.source == "node-controller"));
    assert_eq!(taints(&h, "a-1"), [UNREACHABLE_NO_SCHEDULE, UNREACHABLE_NO_EXECUTE]);
    assert_eq!(no_execute_at(&h, "a-1"), Some(85_100));
    assert!(node(&h, "b-1").is_ready());
}

/// §6.1, §6.4, §13.5: the first node of a zone at once, the next one 10 s later.
#[test]
fn nodes_of_one_zone_are_tainted_ten_seconds_apart() {
    let mut h = with_nodes(&[("a", 2), ("b", 1)]);
    h.advance_secs(36);
    stop(&mut h, "a-1");
    stop(&mut h, "a-2");
    h.advance_secs(100);
    assert_eq!([no_execute_at(&h, "a-1"), no_execute_at(&h, "a-2")], [Some(85_100), Some(95_100)]);
}

/// §6.6, §13.4.
#[test]
fn the_loss_of_all_zones_stops_evictions_until_a_node_is_back() {
    let mut h = with_nodes(&[("a", 1), ("b", 1)]);
    h.advance_secs(36);
    stop(&mut h, "a-1");
    stop(&mut h, "b-1");
    h.advance_secs(300);
    assert_eq!(taints(&h, "a-1"), [UNREACHABLE_NO_SCHEDULE]);
    assert_eq!(taints(&h, "b-1"), [UNREACHABLE_NO_SCHEDULE]);
    set_lease(&mut h, "b-1", None);
    post_ready(&mut h, "b-1", ConditionStatus::True);
    h.advance_secs(60);
    assert!(taints(&h, "b-1").is_empty());
    // Seen at 340 s; the bucket of the zone was empty.
    assert_eq!(no_execute_at(&h, "a-1"), Some(350_000));
}

/// §6.6: the tainting loop may serve a node before the pass has come to judge the zones.
#[test]
fn in_the_loss_of_all_zones_one_node_may_be_tainted_while_they_are_counted() {
    let tainted = |phase_ms: u64| {
        let flags = ControllerManager::default();
        let mut controller = NodeLifecycle::new(&flags);
        controller.monitor = Some(Monitor::new(&flags, SimDuration::from_millis(phase_ms)));
        controller.pass = Some(SimTime::ZERO);
        let mut h = Harness::new(vec![Box::new(controller)]);
        for name in ["a-1", "b-1", "c-1"] {
            add_node(&mut h, name, &name[..1]);
            for n in 0..2 {
                let mut pod = testkit::pod(&format!("{name}-{n}"), "app=web");
                pod.node_name = Some(name.into());
                pod.status.conditions.push(Condition::new(
                    cond::READY,
                    ConditionStatus::True,
                    "",
                    "",
                    h.store.timestamp(),
                ));
                h.store.create(pod).unwrap();
            }
        }
        h.settle();
        h.advance_secs(36);
        ["a-1", "b-1", "c-1"].iter().for_each(|name| stop(&mut h, name));
        h.advance_secs(300);
        ["a-1", "b-1", "c-1"]
            .iter()
            .filter(|name| taints(&h, name).contains(&UNREACHABLE_NO_EXECUTE.to_string()))
            .count()
    };
    // A pass of three calls takes 75 ms: the loop, which looks every 100 ms, comes into it or not.
    assert_eq!([10, 50, 90].map(tainted), [0, 1, 1]);
}

/// §6.6, §13.4: without zone labels all nodes are one zone: one ready node is enough to go on evicting, and a cluster of
/// one node is never evicted from.
#[test]
fn nodes_without_labels_are_one_zone() {
    for (count, evicted) in [(1, false), (2, true)] {
        let mut h = with_nodes(&[("", count)]);
        h.advance_secs(36);
        stop(&mut h, "-1");
        h.advance_secs(600);
        assert_eq!(no_execute_at(&h, "-1").is_some(), evicted, "{count}");
    }
}

/// §6.6: leaving a loss of all zones gives every node a fresh grace period.
#[test]
fn the_end_of_a_loss_of_all_zones_gives_every_node_time() {
    let mut h = with_nodes(&[("a", 2), ("b", 1)]);
    h.advance_secs(36);
    stop(&mut h, "a-1");
    stop(&mut h, "b-1");
    // This one says itself that it is not ready, so that it is not due when the others are.
    post_ready(&mut h, "a-2", ConditionStatus::False);
    h.advance_secs(60);
    set_lease(&mut h, "b-1", None);
    post_ready(&mut h, "b-1", ConditionStatus::True);
    stop(&mut h, "a-2");
    h.advance_secs(300);
    // All lost from 85 s on; left at 100 s, the pass after the return; 50 s later it is found silent.
    assert_eq!(first(&h, "a-2", |n| ready_status(n) == Some(ConditionStatus::Unknown)), Some(150_000));
}

/// §6.4.
#[test]
fn a_node_that_returns_loses_its_taints_the_no_execute_one_in_a_pass() {
    let mut h = with_nodes(&[("a", 1), ("b", 1)]);
    h.advance_secs(36);
    stop(&mut h, "a-1");
    h.advance_secs(100);
    set_lease(&mut h, "a-1", None);
    post_ready(&mut h, "a-1", ConditionStatus::True);
    h.advance_millis(100);
    assert_eq!(taints(&h, "a-1"), [UNREACHABLE_NO_EXECUTE]);
    h.advance_secs(5);
    assert!(taints(&h, "a-1").is_empty());
}

/// §6.4, §13.5.
#[test]
fn not_ready_and_unreachable_are_swapped_without_waiting() {
    let mut h = with_nodes(&[("a", 1), ("b", 1)]);
    h.advance_secs(12);
    post_ready(&mut h, "a-1", ConditionStatus::False);
    h.advance_secs(10);
    assert_eq!(
        taints(&h, "a-1"),
        ["node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"]
    );
    stop(&mut h, "a-1");
    h.advance_secs(60);
    assert_eq!(taints(&h, "a-1"), [UNREACHABLE_NO_EXECUTE, UNREACHABLE_NO_SCHEDULE]);
}

/// §5.3, §6.4.
#[test]
fn a_cordon_taints_at_once_and_only_for_scheduling() {
    let mut h = with_nodes(&[("a", 1)]);
    h.advance_secs(10);
    let key = ObjectKey::cluster("a-1");
    h.store.update_spec::<Node>(&key, |n| n.unschedulable = true).unwrap();
    h.advance_millis(20);
    assert_eq!(taints(&h, "a-1"), ["node.kubernetes.io/unschedulable:NoSchedule"]);
    h.store.update_spec::<Node>(&key, |n| n.unschedulable = false).unwrap();
    h.advance_millis(20);
    assert!(taints(&h, "a-1").is_empty());
}

/// §6.2.
#[test]
fn a_new_node_is_registered_and_a_removed_one_named_in_the_next_pass() {
    let mut h = with_nodes(&[("a", 1)]);
    h.advance_secs(12);
    add_node(&mut h, "a-2", "a");
    h.advance_secs(4);
    assert_eq!(
        h.events_of("RegisteredNode"),
        [
            "Node a-1 event: Registered Node a-1 in Controller",
            "Node a-2 event: Registered Node a-2 in Controller"
        ]
    );
    h.store.delete::<Node>(&ObjectKey::cluster("a-2"), &crate::store::DeleteOptions::default()).unwrap();
    h.advance_secs(5);
    assert_eq!(h.events_of("RemovingNode"), ["Node a-2 event: Removing Node a-2 from Controller"]);
    h.advance_secs(200);
    assert_eq!(h.events_of("NodeNotReady").len(), 0);
}

/// §6.3.
#[test]
fn a_pod_bound_to_a_node_that_is_not_ready_is_marked_too() {
    let mut h = with_nodes(&[("a", 1), ("b", 1)]);
    h.advance_secs(12);
    post_ready(&mut h, "a-1", ConditionStatus::False);
    put_pod(&mut h, "late", "a-1");
    h.advance_millis(50);
    assert!(!h.store.find::<Pod>("default", "late").unwrap().is_ready());
}

/// §6.1, §6.2.
#[test]
fn a_node_whose_agent_never_posted_is_given_a_minute() {
    let mut h = with_nodes(&[("a", 1)]);
    h.advance_secs(7);
    h.store.create(Node { meta: Meta::named("", "new"), ..Node::default() }).unwrap();
    h.advance_secs(100);
    let new = node(&h, "new");
    assert_eq!(new.status.conditions.len(), 4);
    assert!(new.status.conditions.iter().all(|c| c.reason == "NodeStatusNeverUpdated"));
    assert_eq!(first(&h, "new", |n| !n.status.conditions.is_empty()), Some(70_000));
}

/// §6.6: the pass that finds everything lost waits for its calls; meanwhile first nodes of zones are tainted and
/// stay so, since the end of the pass takes off only what its beginning saw.
#[test]
fn a_long_pass_that_finds_everything_lost_is_overtaken_by_the_taint_queues() {
    let mut h = with_nodes(&[("a", 2), ("b", 2), ("c", 2)]);
    for (node, index) in
        ["a", "b", "c"].iter().flat_map(|zone| [1, 2].map(|i| format!("{zone}-{i}"))).zip(0..)
    {
        for pod in 0..3 {
            put_pod(&mut h, &format!("web-{index}-{pod}"), &node);
        }
    }
    h.advance_secs(36);
    for zone in ["a", "b", "c"] {
        stop(&mut h, &format!("{zone}-1"));
        stop(&mut h, &format!("{zone}-2"));
    }
    h.advance_secs(300);
    let is_tainted = |name: &&str| taints(&h, name).contains(&UNREACHABLE_NO_EXECUTE.to_owned());
    assert!(["a-1", "b-1", "c-1"].iter().any(is_tainted));
    assert_eq!(["a-2", "b-2", "c-2"].iter().filter(|name| is_tainted(name)).count(), 0);
}
