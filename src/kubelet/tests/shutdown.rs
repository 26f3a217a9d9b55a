//! Machines that go off with notice, and containers whose behaviour fails in spans.

use super::*;
use crate::params::behaviour::{Outage, ProbeKind, ProbeOutage};

fn shut_down(rig: &mut Rig) -> bool {
    let off = rig.with(|kubelets, ctx| kubelets.shut_down_node("n1", ctx)).is_some();
    rig.settle();
    off
}

/// §7.13: other Pods first, then critical ones, each group for its part of the time; then the machine goes off.
#[test]
fn a_graceful_shutdown_ends_critical_pods_last() {
    let mut rig = Rig::new();
    rig.settings.shutdown_grace_period = SimDuration::from_secs(30);
    rig.settings.shutdown_grace_period_critical_pods = SimDuration::from_secs(10);
    for (name, takes) in [("app", 5), ("slow", 300), ("vital", 3)] {
        rig.behave(name, |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(takes))));
    }
    rig.pod("app", app());
    let mut slow = app();
    slow["terminationGracePeriodSeconds"] = json!(3600);
    rig.pod("slow", slow);
    let mut vital = app();
    vital["priority"] = json!(2_000_000_000);
    rig.pod("vital", vital);
    rig.run(10);
    rig.trace();
    assert!(!shut_down(&mut rig));
    // Who comes meanwhile is refused.
    rig.run(11);
    rig.pod("late", app());
    assert_eq!(
        (rig.get("late").status.reason.as_str(), rig.get("late").status.message.as_str()),
        ("NodeShutdown", "Pod was rejected: Pod was rejected as the node is shutting down.")
    );
    rig.run(100);
    let ends: Vec<String> = rig.trace().into_iter().filter(|line| !line.contains("late")).collect();
    assert_eq!(
        ends,
        [
            "15.01 app Failed 0/1 Completed(0)",
            "30.01 slow Failed 0/1 Error(137)",
            "33.01 vital Failed 0/1 Completed(0)",
        ]
    );
    let status = &rig.get("app").status;
    assert_eq!(status.reason, "Terminated");
    assert_eq!(status.message, "Pod was terminated in response to imminent node shutdown.");
    let target = condition::find(&status.conditions, "DisruptionTarget").unwrap();
    assert_eq!(target.reason, "TerminationByKubelet");
    let node = rig.store.find::<Node>("", "n1").unwrap();
    let ready = condition::find(&node.status.conditions, "Ready").unwrap();
    assert_eq!((ready.reason.as_str(), ready.message.as_str()), ("KubeletNotReady", "node is shutting down"));
    assert_eq!(rig.events("n1")[0], "Shutdown: Shutdown manager detected shutdown event");
    assert!(!rig.kubelets.is_up("n1"));
    assert!(rig.timers.values().all(|event| !matches!(event, KubeletEvent::Node { .. })), "nothing ticks on");
}

/// §7.13: periods by priority: each Pod belongs to the highest one that is not above its priority, the lowest ends first,
/// and nobody waits for a group without Pods.
#[test]
fn a_graceful_shutdown_goes_by_priority() {
    let mut rig = Rig::new();
    let secs = SimDuration::from_secs;
    rig.settings.shutdown_grace_period_by_pod_priority =
        vec![(2_000_000_000, secs(5)), (0, secs(10)), (1000, secs(20)), (5000, secs(60))];
    for (name, priority, takes) in
        [("low", -5, 300), ("app", 999, 300), ("mid", 1000, 300), ("vital", 2_000_001_000, 2)]
    {
        rig.behave(name, |b| b.shutdown = Some(Delay::Constant(secs(takes))));
        let mut spec = app();
        spec["priority"] = json!(priority);
        spec["terminationGracePeriodSeconds"] = json!(3600);
        rig.pod(name, spec);
    }
    rig.run(10);
    rig.trace();
    assert!(!shut_down(&mut rig));
    rig.run(200);
    assert_eq!(
        rig.trace(),
        [
            "20.01 low Failed 0/1 Error(137)",
            "20.01 app Failed 0/1 Error(137)",
            "40.01 mid Failed 0/1 Error(137)",
            "42.01 vital Failed 0/1 Completed(0)",
        ]
    );
}

/// §7.13: without a grace period the machine goes off at once and its Pods are not told.
#[test]
fn a_shutdown_without_grace_is_a_loss_of_power() {
    let mut rig = Rig::new();
    rig.pod("app", app());
    rig.run(10);
    rig.trace();
    assert!(shut_down(&mut rig));
    rig.run(100);
    assert!(rig.trace().is_empty() && rig.events("n1").is_empty());
    assert!(!rig.kubelets.is_up("n1"));
}

/// §7.7: a failing readiness probe never restarts, a failing liveness probe does, whether the container answers or not.
#[test]
fn probes_fail_in_spans_of_a_container_s_life() {
    let second = |n| Delay::Constant(SimDuration::from_secs(n));
    let mut rig = Rig::new();
    let get = json!({"httpGet": {"path": "/", "port": 80}, "periodSeconds": 10, "failureThreshold": 3});
    for (name, kind) in [("ready", ProbeKind::Readiness), ("alive", ProbeKind::Liveness)] {
        let outage = Outage { after: second(20), lasts: Some(second(60)) };
        rig.behave(name, |b| b.probes = vec![ProbeOutage { kind, outage }]);
    }
    rig.pod("ready", container(json!({"readinessProbe": get})));
    rig.pod("alive", container(json!({"livenessProbe": get})));
    rig.run(100);
    let of = |name: &str, trace: &[String]| -> Vec<String> {
        trace.iter().filter(|line| line.contains(name)).cloned().collect()
    };
    let trace = rig.trace();
    // Asked every 10 s from 1 s on; three failures from 31 s on; it passes again from 81 s on.
    assert_eq!(
        of("ready ", &trace)[1..],
        [
            "1 ready Running 0/1",
            "1 ready Running 1/1 Ready",
            "41 ready Running 0/1",
            "81 ready Running 1/1 Ready"
        ]
    );
    assert!(
        rig.events("ready").contains(
            &"Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 500 x6".to_owned()
        ),
        "{:?}",
        rig.events("ready")
    );
    assert_eq!(rig.get("ready").status.containers[0].restart_count, 0);
    assert_eq!(rig.get("alive").status.containers[0].restart_count, 1);
}

/// §7.7, §7.4: a container that hangs some time after its start is restarted by its liveness probe, in each life anew.
#[test]
fn containers_hang_after_a_while() {
    let mut rig = Rig::new();
    let outage = Outage { after: Delay::Constant(SimDuration::from_secs(60)), lasts: None };
    for name in ["asked", "unasked"] {
        rig.behave(name, |b| b.hangs = Some(outage));
    }
    rig.pod(
        "asked",
        container(json!({"livenessProbe": {"exec": {"command": ["true"]}, "failureThreshold": 1}})),
    );
    rig.pod("unasked", app());
    rig.run(400);
    assert!(rig.get("asked").status.containers[0].restart_count >= 2);
    let unasked = rig.get("unasked");
    assert_eq!((unasked.status.containers[0].restart_count, unasked.is_ready()), (0, true));
}
