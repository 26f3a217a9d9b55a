//! The scheduler from outside: changes in, decisions out.

use serde_json::json;

use super::testing::{bound, node, pod, pod_change, pod_with};
use super::*;
use crate::api::Deletion;
use crate::base::{SimDuration, Timestamp};

fn at(seconds: u64) -> SimTime {
    SimTime::from_secs(seconds)
}

fn scheduler(nodes: &[Object]) -> Scheduler {
    let mut scheduler = Scheduler::default();
    nodes.iter().for_each(|node| scheduler.change(at(0), None, Some(node)));
    scheduler
}

/// Tries the next Pod, all nodes looked at.
fn next(scheduler: &mut Scheduler, now: SimTime) -> Attempt {
    scheduler.wake(now);
    let queued = scheduler.pop(now).expect("a Pod waits");
    scheduler.schedule_one(now, queued, &mut Choice::SmallestName)
}

fn node_of(attempt: &Attempt) -> &str {
    match &attempt.decision {
        Decision::Bind(binding) => binding.node.as_str(),
        other => panic!("not placed: {other:?}"),
    }
}

fn failure_of(attempt: &Attempt) -> &Failure {
    match &attempt.decision {
        Decision::Failed(failure) => failure,
        other => panic!("not refused: {other:?}"),
    }
}

/// Facts §10.1: assumed Pods never expire; §10.5, §10.6.
#[test]
fn assumed_pods_take_room_until_their_binding_fails() {
    let mut s = scheduler(&[node("n1", "a", 1000)]);
    let (first, second) = (pod("first", 800), pod("second", 800));
    s.change(at(0), None, Some(&first));
    s.change(at(0), None, Some(&second));
    assert_eq!(node_of(&next(&mut s, at(0))), "n1");
    let refused = next(&mut s, at(0));
    let failure = failure_of(&refused);
    assert_eq!(failure.reason, "Unschedulable");
    assert_eq!(
        failure.message,
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
         available: 1 No preemption victims found for incoming pod."
    );
    assert_eq!(failure.causes, [("InsufficientCpu".into(), 1)]);
    assert!(!s.has_ready(at(0)));
    let failed =
        s.binding_failed(at(1), &first.key(), &"uid-first".into(), "no way").expect("the Pod is there");
    assert_eq!((failed.reason, failed.message.as_str()), ("SchedulerError", "no way"));
    // The room is free again: the second one goes on, the first one backs off by a fault.
    assert_eq!(next(&mut s, at(1)).pod.meta.name, "second");
    assert!(!s.has_ready(at(1)));
    assert_eq!(s.next_wakeup(at(1)), Some(at(3)));
}

/// Facts §10.2: Pods that ended.
#[test]
fn a_bound_pod_is_confirmed_and_frees_its_room_when_it_ends() {
    let mut s = scheduler(&[node("n1", "a", 1000)]);
    let first = pod("first", 800);
    s.change(at(0), None, Some(&first));
    next(&mut s, at(0));
    let placed = bound(&first, "n1");
    s.finish_binding(at(0), &first.key(), "uid-first");
    s.change(at(0), Some(&first), Some(&placed));
    assert_eq!(s.snapshot().get("n1").map(|n| n.requested().milli_cpu), Some(800));
    let ended = pod_change(&placed, |pod| pod.status.phase = crate::api::Phase::Succeeded);
    s.change(at(9), Some(&placed), Some(&ended));
    assert_eq!(s.snapshot().get("n1").map(|n| (n.requested().milli_cpu, n.pods().len())), Some((0, 0)));
    s.change(at(9), Some(&ended), None);
    assert_eq!(s.queue().lengths(), (0, 0, 0));
}

/// Facts §10.2: Pods that are being deleted.
#[test]
fn there_is_nothing_to_decide_for_pods_that_go_or_are_placed() {
    let mut s = scheduler(&[node("n1", "a", 1000)]);
    let going = pod_change(&pod("going", 1), |pod| {
        pod.meta.deletion = Some(Deletion { timestamp: Timestamp::new(9), grace_seconds: Some(30) });
    });
    s.change(at(0), None, Some(&going));
    assert!(matches!(next(&mut s, at(0)).decision, Decision::Skipped(Skip::Deleting)));
    let other = pod_with("other", 1, |pod| pod["spec"]["schedulerName"] = json!("mine"));
    s.change(at(0), None, Some(&other));
    assert!(!s.has_ready(at(0)));
}

/// Facts §10.4: no nodes.
#[test]
fn an_empty_cluster_is_a_fault_that_is_tried_again() {
    let mut s = scheduler(&[]);
    s.change(at(0), None, Some(&pod("a", 1)));
    let attempt = next(&mut s, at(0));
    let failure = failure_of(&attempt);
    assert_eq!(
        (failure.reason, failure.message.as_str()),
        ("Unschedulable", "no nodes available to schedule pods")
    );
    assert_eq!(s.next_wakeup(at(0)), Some(at(2)));
}

/// Facts §10.4: nominated Pods.
#[test]
fn a_nominated_node_is_taken_without_looking_further() {
    let mut s = scheduler(&[node("n1", "a", 4000), node("n2", "a", 1000)]);
    let nominated = pod_with("a", 500, |pod| pod["status"] = json!({"nominatedNodeName": "n2"}));
    s.change(at(0), None, Some(&nominated));
    let attempt = next(&mut s, at(0));
    assert_eq!((node_of(&attempt), attempt.evaluated, attempt.feasible), ("n2", 1, 1));
}

/// Facts §10.7, 8; §13.48.
#[test]
fn room_that_is_kept_for_a_nominated_pod_is_not_given_away() {
    let mut s = scheduler(&[node("n1", "a", 1000)]);
    let keeper = pod_with("keeper", 800, |pod| {
        pod["status"] = json!({"nominatedNodeName": "n1"});
        pod["spec"]["priority"] = json!(10);
    });
    s.change(at(0), None, Some(&keeper));
    let queued = s.pop(at(0)).unwrap();
    s.change(at(0), None, Some(&pod("low", 800)));
    let attempt = next(&mut s, at(0));
    assert!(failure_of(&attempt).message.starts_with("0/1 nodes are available: 1 Insufficient cpu."));
    s.schedule_one(at(0), queued, &mut Choice::SmallestName);
    // Once the nominated Pod is gone those of no higher priority are tried again.
    s.change(at(5), Some(&keeper), None);
    assert!(s.has_ready(at(5)));
}

/// Facts §10.7, 7.
#[test]
fn preemption_keeps_the_pod_out_until_its_victims_are_dealt_with() {
    let mut s = scheduler(&[node("n1", "a", 1000)]);
    let victim = bound(&pod("victim", 800), "n1");
    s.change(at(0), None, Some(&victim));
    let urgent = pod_with("urgent", 800, |pod| pod["spec"]["priority"] = json!(100));
    s.change(at(0), None, Some(&urgent));
    let attempt = next(&mut s, at(0));
    let failure = failure_of(&attempt);
    assert_eq!(failure.nomination, Nomination::Set("n1".into()));
    assert_eq!(failure.victims, [victim.key()]);
    assert_eq!(failure.message, "0/1 nodes are available: 1 Insufficient cpu.");
    let other = bound(&pod("other", 1), "n1");
    s.change(at(0), None, Some(&other));
    s.change(at(3), Some(&other), None);
    assert!(!s.has_ready(at(3)), "gated while the victims are being evicted");
    s.preemption_issued(at(3), &urgent.key(), "uid-urgent");
    s.change(at(4), Some(&victim), None);
    assert_eq!(node_of(&next(&mut s, at(4))), "n1");
}

#[test]
fn a_preemption_that_finds_nobody_is_tried_again_at_once() {
    let mut s = scheduler(&[node("n1", "a", 1000)]);
    let victim = bound(&pod("victim", 800), "n1");
    s.change(at(0), None, Some(&victim));
    s.change(at(0), None, Some(&pod_with("urgent", 800, |pod| pod["spec"]["priority"] = json!(100))));
    next(&mut s, at(0));
    s.change(at(0), Some(&victim), None);
    assert!(!s.has_ready(at(0)));
    s.preemption_found_nobody(at(0), "uid-urgent");
    assert_eq!(node_of(&next(&mut s, at(0))), "n1");
}

/// Facts §10.4: nextStartNodeIndex.
#[test]
fn the_search_goes_on_where_the_last_one_ended() {
    let nodes: Vec<Object> = (0..200).map(|i| node(&format!("n{i:03}"), "a", 1000)).collect();
    let mut s = scheduler(&nodes);
    let mut zero = |_| 0;
    let mut placed = Vec::new();
    for i in 0..3 {
        s.change(at(0), None, Some(&pod(&format!("p{i}"), 500)));
        let queued = s.pop(at(0)).unwrap();
        let attempt = s.schedule_one(at(0), queued, &mut Choice::Random(&mut zero));
        assert_eq!(attempt.feasible, 100);
        placed.push(node_of(&attempt).to_owned());
    }
    // The draw of zero takes the first of equals: node 0, node 100, and then node 1, since node 0 is fuller.
    assert_eq!(placed, ["n000", "n100", "n001"]);
}

#[test]
fn waiting_costs_nothing_until_something_can_change() {
    let mut s = scheduler(&[node("n1", "a", 100)]);
    s.change(at(0), None, Some(&pod("a", 500)));
    next(&mut s, at(0));
    assert!(!s.has_ready(at(0)));
    assert_eq!(s.next_wakeup(at(0)), Some(SimTime::ZERO + SimDuration::from_secs(330)));
    let empty = scheduler(&[node("n1", "a", 100)]);
    assert_eq!(empty.next_wakeup(at(0)), None);
}

/// Facts §13.48: a nomination is a preference.
#[test]
fn a_pod_whose_nominated_node_is_full_goes_elsewhere() {
    let mut s = scheduler(&[node("n1", "a", 1000), node("n2", "a", 1000)]);
    s.change(at(0), None, Some(&bound(&pod("other", 900), "n2")));
    let nominated = pod_with("a", 500, |pod| pod["status"] = json!({"nominatedNodeName": "n2"}));
    s.change(at(0), None, Some(&nominated));
    assert_eq!(node_of(&next(&mut s, at(0))), "n1");
}

/// Facts §10.7, 1: whoever waits for victims does not take more of them.
#[test]
fn a_pod_whose_victims_are_leaving_evicts_nobody_else() {
    let mut s = scheduler(&[node("n1", "a", 1000), node("n2", "a", 1000)]);
    let leaving = pod_change(&bound(&pod("leaving", 800), "n1"), |pod| {
        pod.meta.deletion = Some(Deletion { timestamp: Timestamp::new(9), grace_seconds: Some(30) });
        let why = crate::api::condition::Condition::new(
            crate::api::pod::cond::DISRUPTION_TARGET,
            crate::api::ConditionStatus::True,
            "PreemptionByScheduler",
            "",
            Timestamp::new(0),
        );
        pod.status.conditions.push(why);
    });
    s.change(at(0), None, Some(&leaving));
    s.change(at(0), None, Some(&bound(&pod("other", 800), "n2")));
    let urgent = pod_with("urgent", 800, |pod| {
        pod["spec"]["priority"] = json!(10);
        pod["status"] = json!({"nominatedNodeName": "n1"});
    });
    s.change(at(0), None, Some(&urgent));
    let attempt = next(&mut s, at(0));
    let failure = failure_of(&attempt);
    assert!(failure.victims.is_empty());
    assert_eq!(failure.nomination, Nomination::Keep);
    assert_eq!(
        failure.message,
        "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to a \
         terminating pod on the nominated node."
    );
}
