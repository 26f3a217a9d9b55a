use super::*;
use crate::api::service::Namespace;
use crate::api::workload::{
    DaemonSet, Deployment, IntOrPercent, ReplicaSet, ReplicationController, StatefulSet,
};
use crate::api::{LabelSelector, Meta, OwnerReference, Phase, lower};
use crate::controller::testing::Harness;
use crate::store::{ApiError, DeleteOptions};
use crate::testkit;
use serde_json::json;

/// A ReplicaSet of `replicas` with as many ready Pods, and a budget over them.
fn harness(budget: PodDisruptionBudget, replicas: i32) -> Harness {
    let mut h = Harness::new(vec![Box::new(DisruptionController)]);
    let set = h.store.create(testkit::replica_set("web", replicas)).unwrap();
    for index in 0..replicas {
        let mut pod = testkit::pod(&format!("web-{index}"), "app=web");
        pod.meta.owners.push(OwnerReference::controller_of(&*set));
        h.store.create(pod).unwrap();
    }
    h.ready_all();
    h.store.create(budget).unwrap();
    h.advance_secs(1);
    h
}

fn budget(min: Option<IntOrPercent>, max: Option<IntOrPercent>) -> PodDisruptionBudget {
    PodDisruptionBudget {
        meta: Meta::named("default", "web"),
        selector: LabelSelector::from_labels(&testkit::labels("app=web")),
        min_available: min,
        max_unavailable: max,
        ..PodDisruptionBudget::default()
    }
}

fn at_most_one() -> PodDisruptionBudget {
    budget(None, Some(IntOrPercent::Int(1)))
}

fn web(h: &Harness) -> Arc<PodDisruptionBudget> {
    h.store.find::<PodDisruptionBudget>("default", "web").unwrap().clone()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn evict(h: &mut Harness, pod: &str) -> Result<(), ApiError> {
    eviction::evict(&mut h.store, &key(pod), None)
}

/// Expected, desired, current, allowed.
fn numbers(h: &Harness) -> (i32, i32, i32, i32) {
    let b = web(h);
    (b.expected_pods, b.desired_healthy, b.current_healthy, b.disruptions_allowed)
}

/// §5.1, §13.28.
#[test]
fn percentages_round_up_and_numbers_count_pods() {
    let percent = IntOrPercent::Percent;
    for (min, max, expected) in [
        (None, Some(percent(30)), (7, 4, 7, 3)),
        (Some(percent(50)), None, (7, 4, 7, 3)),
        (Some(IntOrPercent::Int(5)), None, (7, 5, 7, 2)),
        (None, Some(IntOrPercent::Int(10)), (7, 0, 7, 7)),
        (Some(IntOrPercent::Int(9)), None, (7, 9, 7, 0)),
    ] {
        let h = harness(budget(min, max), 7);
        assert_eq!(numbers(&h), expected, "{min:?} {max:?}");
        let reason = if expected.3 > 0 { "SufficientPods" } else { "InsufficientPods" };
        assert_eq!(web(&h).conditions[0].reason, reason);
    }
}

/// §5.1, §13.28.
#[test]
fn the_scale_counts_not_the_pods() {
    let mut h = harness(at_most_one(), 3);
    h.store.update_spec::<ReplicaSet>(&key("web"), |s| s.replicas = 5).unwrap();
    h.set_ready(&key("web-0"), false);
    h.advance_secs(1);
    assert_eq!(numbers(&h), (5, 4, 2, 0));
}

/// §5.1, §13.28: the scales of all managers are added, each once; a ReplicaSet's Pods count with its Deployment.
#[test]
fn the_scales_of_all_managers_are_added() {
    let mut h = Harness::new(vec![Box::new(DisruptionController)]);
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let selector = json!({"matchLabels": {"app": "web"}});
    for (kind, api, name, replicas) in [
        ("Deployment", "apps/v1", "front", 4),
        ("StatefulSet", "apps/v1", "db", 3),
        ("ReplicationController", "v1", "old", 2),
    ] {
        let selector = if kind == "ReplicationController" { json!({"app": "web"}) } else { selector.clone() };
        let object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"},
            "spec": {"replicas": replicas, "selector": selector, "template": template, "serviceName": "s"}});
        h.store.create_object(lower::object(object).unwrap()).unwrap();
    }
    let front = h.store.find::<Deployment>("default", "front").unwrap().clone();
    let mut set = testkit::replica_set("front-1", 1);
    set.meta.owners.push(OwnerReference::controller_of(&*front));
    let set = h.store.create(set).unwrap();
    let db = h.store.find::<StatefulSet>("default", "db").unwrap().clone();
    let old = h.store.find::<ReplicationController>("default", "old").unwrap().clone();
    for (name, owner) in [
        ("front-a", OwnerReference::controller_of(&*set)),
        ("front-b", OwnerReference::controller_of(&*set)),
        ("db-0", OwnerReference::controller_of(&*db)),
        ("old-a", OwnerReference::controller_of(&*old)),
    ] {
        let mut pod = testkit::pod(name, "app=web");
        pod.meta.owners.push(owner);
        h.store.create(pod).unwrap();
    }
    h.ready_all();
    h.store.create(budget(Some(IntOrPercent::Percent(50)), None)).unwrap();
    h.advance_secs(1);
    // 4 + 3 + 2; half of nine is five.
    assert_eq!(numbers(&h), (9, 5, 4, 0));
}

/// §5.1: no requirements select every Pod of the namespace, no selector at all selects none.
#[test]
fn an_empty_selector_is_not_a_missing_one() {
    for (selector, current) in [(LabelSelector::everything(), 3), (LabelSelector::Nothing, 0)] {
        let h = harness(PodDisruptionBudget { selector, ..at_most_one() }, 3);
        assert_eq!(web(&h).current_healthy, current);
    }
}

/// §5.2 rows 7 and 8, §12.2.
#[test]
fn evictions_in_one_instant_share_the_budget() {
    let mut h = harness(at_most_one(), 3);
    assert_eq!(evict(&mut h, "web-0"), Ok(()));
    let refused = evict(&mut h, "web-1").unwrap_err();
    assert_eq!(refused.to_string(), "Cannot evict pod as it would violate the pod's disruption budget.");
    let ApiError::TooManyRequests { cause, retry_after_seconds, .. } = refused else { panic!("{refused}") };
    assert_eq!(
        (cause.as_str(), retry_after_seconds),
        ("The disruption budget web needs 2 healthy pods and has 3 currently", None)
    );
    let pod = h.store.get::<Pod>(&key("web-0")).unwrap();
    let target = condition::find(&pod.status.conditions, cond::DISRUPTION_TARGET).unwrap();
    assert_eq!(
        (target.reason.as_str(), target.message.as_str()),
        ("EvictionByEvictionAPI", "Eviction API: evicting")
    );
    assert_eq!(pod.meta.deletion.unwrap().grace_seconds, Some(30), "the Pod's own grace");
    assert_eq!(web(&h).disrupted_pods.len(), 1);
    h.advance_secs(1);
    assert_eq!(numbers(&h), (3, 2, 2, 0));
    assert!(web(&h).disrupted_pods.is_empty(), "the deletion has been seen");
}

/// §5.2 rows 4 and 5, §13.29.
#[test]
fn what_is_not_ready_may_go_if_the_others_suffice() {
    let mut h = harness(at_most_one(), 3);
    h.set_ready(&key("web-0"), false);
    h.advance_secs(1);
    assert_eq!(numbers(&h), (3, 2, 2, 0));
    assert_eq!(evict(&mut h, "web-0"), Ok(()), "the budget is not touched");
    h.set_ready(&key("web-1"), false);
    h.advance_secs(1);
    assert!(evict(&mut h, "web-1").is_err(), "too few are healthy");
    h.store.update_spec::<PodDisruptionBudget>(&key("web"), |b| b.always_allow_unhealthy = true).unwrap();
    assert_eq!(evict(&mut h, "web-1"), Ok(()));
}

/// §5.2 rows 1 and 2, §13.29.
#[test]
fn budgets_do_not_count_for_pods_that_do_not_run() {
    let mut h = harness(budget(Some(IntOrPercent::Int(9)), None), 6);
    for (pod, phase) in [("web-0", Phase::Pending), ("web-1", Phase::Succeeded), ("web-2", Phase::Failed)] {
        h.store.update::<Pod>(&key(pod), |p| p.status.phase = phase).unwrap();
        assert_eq!(evict(&mut h, pod), Ok(()), "{phase:?}");
    }
    h.store.delete::<Pod>(&key("web-3"), &DeleteOptions::default()).unwrap();
    assert_eq!(evict(&mut h, "web-3"), Ok(()), "it is being deleted already");
    assert!(evict(&mut h, "web-4").is_err());
    assert!(evict(&mut h, "nobody").unwrap_err().is_not_found());
    h.store.delete::<PodDisruptionBudget>(&key("web"), &DeleteOptions::default()).unwrap();
    assert_eq!(eviction::evict(&mut h.store, &key("web-4"), Some(7)), Ok(()), "no budget is left");
    assert_eq!(h.store.get::<Pod>(&key("web-4")).unwrap().meta.deletion.unwrap().grace_seconds, Some(7));
}

/// §5.2: a budget remembers so many granted evictions, and no more are granted.
#[test]
fn a_budget_remembers_so_many_granted_evictions() {
    let mut h = harness(budget(None, Some(IntOrPercent::Int(2))), 3);
    let now = h.store.timestamp();
    h.store
        .update::<PodDisruptionBudget>(&key("web"), |b| {
            b.disrupted_pods = (0..2001).map(|n| (format!("p{n}").into(), now)).collect();
        })
        .unwrap();
    assert_eq!(
        evict(&mut h, "web-0").unwrap_err().to_string(),
        "poddisruptionbudgets.policy \"web\" is forbidden: DisruptedPods map too big - too many evictions not \
         confirmed by PDB controller"
    );
}

/// §5.3: an eviction is created, which a namespace that is being deleted does not let through.
#[test]
fn nothing_is_evicted_from_a_namespace_that_is_being_deleted() {
    let mut h = harness(at_most_one(), 3);
    h.store.update::<Namespace>(&ObjectKey::cluster("default"), |n| n.terminating = true).unwrap();
    let refused = evict(&mut h, "web-0").unwrap_err();
    assert!(refused.is_namespace_terminating());
    assert_eq!(
        refused.to_string(),
        "pods \"web-0\" is forbidden: unable to create new content in namespace default because it is being terminated"
    );
}

/// §5.2 row 3, §13.29.
#[test]
fn two_budgets_are_one_too_many() {
    let mut h = harness(at_most_one(), 2);
    h.store.create(PodDisruptionBudget { meta: Meta::named("default", "again"), ..at_most_one() }).unwrap();
    let refused = evict(&mut h, "web-0").unwrap_err().to_string();
    assert!(refused.starts_with("This pod has more than one PodDisruptionBudget"), "{refused}");
    h.set_ready(&key("web-0"), false);
    h.advance_secs(1);
    assert_eq!(
        h.events_of("MultiplePodDisruptionBudgets"),
        ["Pod \"default\"/\"web-0\" matches multiple PodDisruptionBudgets.  Chose \"web\" arbitrarily."]
    );
}

/// §5.2 row 6.
#[test]
fn a_changed_budget_must_be_seen_first() {
    let mut h = harness(at_most_one(), 2);
    h.store
        .update_spec::<PodDisruptionBudget>(&key("web"), |b| b.max_unavailable = Some(IntOrPercent::Int(2)))
        .unwrap();
    let Err(ApiError::TooManyRequests { cause, retry_after_seconds, .. }) = evict(&mut h, "web-0") else {
        panic!("granted")
    };
    assert_eq!(retry_after_seconds, Some(10));
    assert!(cause.ends_with("is still being processed by the server."), "{cause}");
}

/// §5.1.
#[test]
fn unmanaged_pods_are_reported_and_left_out() {
    let mut h = harness(at_most_one(), 1);
    h.store.create(testkit::pod("alone", "app=web")).unwrap();
    h.ready_all();
    h.advance_secs(1);
    assert_eq!(numbers(&h), (1, 0, 2, 2));
    let said = h.events_of("UnmanagedPods").remove(0);
    assert!(
        said.contains("(selector: &LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},})"),
        "{said}"
    );
}

/// §5.1.
#[test]
fn a_manager_without_scale_makes_the_sync_fail_on_the_safe_side() {
    let mut h = harness(at_most_one(), 1);
    let owner = OwnerReference {
        kind: Kind::DaemonSet.name().into(),
        api_version: "apps/v1".into(),
        uid: "u".into(),
        name: "agent".into(),
        controller: true,
        block_owner_deletion: true,
    };
    let mut pod = testkit::pod("agent-1", "app=web");
    pod.meta.owners.push(owner);
    h.store.create(pod).unwrap();
    h.advance_secs(1);
    let b = web(&h);
    assert_eq!((b.disruptions_allowed, b.conditions[0].reason.as_str()), (0, "SyncFailed"));
    assert_eq!(
        h.events_of("CalculateExpectedPodCountFailed"),
        [
            "Failed to calculate the number of expected pods: daemonsets.apps does not implement the scale subresource"
        ]
    );
    assert_eq!(h.store.count::<DaemonSet>(), 0);
}

/// §5.1.
#[test]
fn nothing_matches_and_it_is_said() {
    let h = harness(at_most_one(), 0);
    assert_eq!(h.events_of("NoPods"), ["No matching pods found"]);
    assert_eq!(numbers(&h), (0, 0, 0, 0));
}

/// §5.1: not so if it is the kubelet that has ended the Pod.
#[test]
fn a_target_that_is_not_deleted_is_none_after_two_minutes() {
    for (reason, stays) in [("PreemptionByScheduler", false), ("TerminationByKubelet", true)] {
        let mut h = harness(at_most_one(), 1);
        let now = h.store.timestamp();
        h.store
            .update::<Pod>(&key("web-0"), |pod| {
                let target = Condition::new(cond::DISRUPTION_TARGET, ConditionStatus::True, reason, "", now);
                condition::set(&mut pod.status.conditions, target);
            })
            .unwrap();
        let target = |h: &Harness| {
            let pod = h.store.get::<Pod>(&key("web-0")).unwrap();
            condition::is_true(&pod.status.conditions, cond::DISRUPTION_TARGET)
        };
        h.advance_secs(119);
        assert!(target(&h));
        h.advance_secs(2);
        assert_eq!(target(&h), stays, "{reason}");
    }
}

/// §5.1.
#[test]
fn a_granted_eviction_that_never_comes_is_forgotten_after_two_minutes() {
    let mut h = harness(at_most_one(), 2);
    let now = h.store.timestamp();
    h.store
        .update::<PodDisruptionBudget>(&key("web"), |b| b.disrupted_pods = vec![("web-0".into(), now)])
        .unwrap();
    h.advance_secs(1);
    assert_eq!(numbers(&h), (2, 1, 1, 0));
    h.advance_secs(122);
    assert_eq!(numbers(&h), (2, 1, 2, 1));
    assert_eq!(
        h.events_of("NotDeleted"),
        ["Pod was expected by PDB default/default to be deleted but it wasn't"]
    );
    h.store.delete::<Pod>(&key("web-0"), &DeleteOptions::force()).unwrap();
    h.advance_secs(1);
    assert_eq!(numbers(&h), (2, 1, 1, 0));
}
