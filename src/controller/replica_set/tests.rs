use super::*;
use crate::api::{Kind, Meta, condition};
use crate::controller::manager::ManagerConfig;
use crate::controller::testing::{Harness, counted_quota};
use crate::store::DeleteOptions;
use crate::testkit;

fn harness() -> Harness {
    Harness::new(vec![Box::new(ReplicaSetController::<ReplicaSet>::default())])
}

fn key() -> ObjectKey {
    ObjectKey::new("default", "web")
}

fn web(harness: &Harness) -> ReplicaSet {
    (**harness.store.get::<ReplicaSet>(&key()).unwrap()).clone()
}

fn scale(harness: &mut Harness, replicas: i32) {
    harness.store.update_spec::<ReplicaSet>(&key(), |set| set.replicas = replicas).unwrap();
    harness.advance_millis(100);
}

/// Facts §2.1, step 4; §2.4.
#[test]
fn pods_are_created_and_reported_in_the_next_sync() {
    let mut h = harness();
    h.store.create(testkit::replica_set("web", 5)).unwrap();
    h.advance_millis(4);
    assert_eq!(h.active_pods(), 5);
    let status = web(&h).status;
    assert_eq!((status.replicas, status.observed_generation), (0, 1), "counted before they were created");
    h.advance_millis(200);
    let status = web(&h).status;
    assert_eq!((status.replicas, status.fully_labeled_replicas, status.ready_replicas), (5, 5, 0));
    let pod = h.store.list::<Pod>().next().unwrap();
    assert!(pod.meta.name.starts_with("web-") && pod.meta.name.len() == 9, "{}", pod.meta.name);
    assert_eq!(h.events_of("SuccessfulCreate").len(), 5);
    assert_eq!(h.events()[0], format!("SuccessfulCreate: Created pod: {}", pod.meta.name));
    h.ready_all();
    h.advance_millis(200);
    let status = web(&h).status;
    assert_eq!((status.ready_replicas, status.available_replicas), (5, 5));
    h.clear_log();
    h.advance_secs(3600);
    assert!(h.log.is_empty(), "a set that has what it wants writes nothing");
}

/// Facts §2.1, §2.3, §2.4: Pods that are being deleted are not counted.
#[test]
fn surplus_pods_are_deleted_not_ready_ones_first() {
    let mut h = harness();
    h.store.create(testkit::replica_set("web", 4)).unwrap();
    h.advance_millis(200);
    h.ready_all();
    let last = h.store.list::<Pod>().last().unwrap().meta.key();
    h.set_ready(&last, false);
    scale(&mut h, 3);
    assert!(h.store.get::<Pod>(&last).unwrap().meta.is_deleting());
    assert_eq!(h.events_of("SuccessfulDelete"), [format!("Deleted pod: {}", last.name)]);
    assert_eq!(web(&h).status.replicas, 3, "Pods that are being deleted are not counted");
    h.remove_pod(&last);
    h.advance_secs(1);
    assert_eq!(h.active_pods(), 3);
    scale(&mut h, 0);
    assert_eq!((h.active_pods(), web(&h).status.replicas), (0, 0));
}

/// Facts §2.4, §13.12: ended Pods stay and do not count.
#[test]
fn ended_and_deleted_pods_are_replaced_at_once() {
    let mut h = harness();
    h.store.create(testkit::replica_set("web", 2)).unwrap();
    h.advance_millis(200);
    h.ready_all();
    let pods: Vec<_> = h.store.list::<Pod>().map(|p| p.meta.key()).collect();
    h.store.update::<Pod>(&pods[0], |p| p.status.phase = crate::api::Phase::Failed).unwrap();
    h.store.delete::<Pod>(&pods[1], &DeleteOptions::default()).unwrap();
    h.advance_millis(200);
    assert_eq!((h.active_pods(), h.store.count::<Pod>()), (2, 4));
    let owned = h.store.get::<Pod>(&pods[0]).unwrap().meta.controller().cloned();
    assert_eq!(owned.unwrap().name, "web", "an ended Pod stays with its set");
}

/// Facts §0.5: the bound is inclusive, and the set looks at the very instant.
#[test]
fn a_pod_is_available_when_it_has_been_ready_long_enough() {
    let mut h = harness();
    h.store.create(ReplicaSet { min_ready_seconds: 10, ..testkit::replica_set("web", 1) }).unwrap();
    h.advance_millis(500);
    h.ready_all();
    h.advance_secs(9);
    assert_eq!((web(&h).status.ready_replicas, web(&h).status.available_replicas), (1, 0));
    h.advance_secs(1);
    assert_eq!(web(&h).status.available_replicas, 1, "ten seconds after the second in which it became ready");
}

/// Facts §2.2, §2.4: `ReplicaFailure`.
#[test]
fn failures_are_reported_until_they_pass() {
    let mut h = harness();
    // Without this class no Pod is admitted.
    let mut set = testkit::replica_set("web", 3);
    let mut template = (*set.template).clone();
    let mut spec = testkit::pod_spec("app:v1");
    spec.priority_class_name = "gold".into();
    template.spec = crate::base::Arc::new(spec);
    set.template = crate::base::Arc::new(template);
    h.store.create(set).unwrap();
    h.advance_millis(4);
    let condition = web(&h).status.conditions[0].clone();
    assert_eq!((condition.kind.as_str(), condition.reason.as_str()), ("ReplicaFailure", "FailedCreate"));
    assert!(condition.message.ends_with("is forbidden: no PriorityClass with name gold was found"));
    assert_eq!(h.events(), [format!("FailedCreate: Error creating: {}", condition.message)]);
    h.advance_millis(50);
    let tries = h.store.events().next().unwrap().count;
    assert!((3..8).contains(&tries), "retried with backoff, one Pod a time: {tries}");
    let class = crate::api::policy::PriorityClass { meta: Meta::named("", "gold"), ..Default::default() };
    h.store.create(class).unwrap();
    h.advance_secs(10);
    assert_eq!((h.active_pods(), web(&h).status.replicas), (3, 3));
    assert!(condition::find(&web(&h).status.conditions, "ReplicaFailure").is_none());
}

/// Facts §2.2: that refusal is passed over.
#[test]
fn nothing_is_created_or_said_in_a_namespace_that_is_being_deleted() {
    let mut h = harness();
    h.store.create(testkit::replica_set("web", 2)).unwrap();
    h.advance_millis(100);
    h.ready_all();
    let default = ObjectKey::cluster("default");
    h.store.update::<crate::api::service::Namespace>(&default, |n| n.terminating = true).unwrap();
    let pod = h.store.list::<Pod>().next().unwrap().meta.key();
    h.store.delete::<Pod>(&pod, &DeleteOptions::force()).unwrap();
    let said = h.events().len();
    h.advance_secs(1);
    assert_eq!((h.active_pods(), h.events().len()), (1, said));
    assert!(web(&h).status.conditions.is_empty());
}

/// Facts §2.1, step 1.
#[test]
fn orphans_are_adopted_when_they_appear_or_change() {
    let mut h = harness();
    h.store.create(testkit::replica_set("web", 1)).unwrap();
    h.advance_millis(100);
    h.store.create(testkit::pod("extra", "app=web")).unwrap();
    h.advance_millis(100);
    assert_eq!(h.active_pods(), 1, "adopted, then one too many");
    let pod = h.store.list::<Pod>().next().unwrap().meta.key();
    h.store.update::<Pod>(&pod, |p| p.meta.labels = testkit::labels("app=debug")).unwrap();
    h.advance_millis(100);
    assert!(h.store.get::<Pod>(&pod).unwrap().meta.owners.is_empty(), "released");
    assert_eq!(h.active_pods(), 2, "and replaced");
    h.store.update::<Pod>(&pod, |p| p.meta.labels = testkit::labels("app=web")).unwrap();
    h.advance_millis(100);
    assert_eq!(h.active_pods(), 1);
}

#[test]
fn the_clients_rate_limit_stretches_large_changes() {
    let mut h = harness();
    h.store.create(testkit::replica_set("web", 100)).unwrap();
    h.advance_millis(10);
    assert_eq!(h.active_pods(), 15, "a burst of 30 calls: 15 Pods and 15 Events");
    h.advance_secs(4);
    let pods = h.active_pods();
    assert!((50..=60).contains(&pods), "20 calls a second: {pods}");
    assert_eq!(web(&h).status.observed_generation, 0, "reported at the end of the sync");
    h.advance_secs(10);
    assert_eq!((h.active_pods(), web(&h).status.replicas), (100, 100));
    scale(&mut h, 0);
    let pods = h.active_pods();
    assert!((80..100).contains(&pods), "{pods}");
    h.advance_secs(20);
    assert_eq!((h.active_pods(), web(&h).status.replicas), (0, 0));
}

/// Facts §2.1, §2.2: the burst of a sync.
#[test]
fn one_sync_makes_five_hundred_pods_at_most() {
    let fast = ManagerConfig { api_qps: 0.0, ..ManagerConfig::default() };
    let mut h = Harness::with_config(vec![Box::new(ReplicaSetController::<ReplicaSet>::default())], fast);
    h.store.create(testkit::replica_set("web", 1200)).unwrap();
    h.advance_millis(4);
    assert_eq!(h.active_pods(), 500);
    h.advance_secs(30);
    assert_eq!((h.active_pods(), web(&h).status.replicas), (1200, 1200));
}

#[test]
fn replication_controllers_work_alike() {
    let mut h = Harness::new(vec![Box::new(ReplicaSetController::<ReplicationController>::default())]);
    h.store.create(ReplicationController(testkit::replica_set("web", 2))).unwrap();
    h.advance_millis(200);
    let pod = h.store.list::<Pod>().next().unwrap();
    assert_eq!(pod.meta.controller().unwrap().kind, "ReplicationController");
    assert_eq!(h.store.get::<ReplicationController>(&key()).unwrap().0.status.replicas, 2);
    let source = h.store.events().next().unwrap().source.clone();
    assert_eq!(source, "replication-controller");
    assert_eq!(h.writes(Kind::ReplicaSet).len(), 0);
}

/// Facts §0.1, §13.19: with a quota, one Pod a retry.
#[test]
fn a_set_over_its_quota_backs_off_and_keeps_the_earliest_retry() {
    let mut h = Harness::new(vec![Box::new(ReplicaSetController::<ReplicaSet>::default())]);
    h.store.create(counted_quota("pods", 3)).unwrap();
    h.store.create(testkit::replica_set("web", 5)).unwrap();
    h.advance_millis(1000);
    h.ready_all();
    h.advance_secs(20);
    let refused = |c: &&crate::store::Change| {
        c.of::<crate::api::Event>().is_some_and(|(_, e)| e.is_some_and(|e| e.reason == "FailedCreate"))
    };
    let times: Vec<String> = h.log.iter().filter(refused).map(|c| c.at.to_string()).collect();
    // Three Pods are bound and ready: six changes and one of the set's own. The retry of 666 ms stays due.
    assert_eq!(times[8..].join(" "), "666ms 1.004s 1.015s 1.021s 1.028s 1.04s 1.052s 1.064s 1.306s");
}

/// Facts §2.1, step 2: nothing is managed any more.
#[test]
fn a_set_that_is_being_deleted_makes_no_pods() {
    let mut h = harness();
    let mut set = testkit::replica_set("web", 2);
    set.meta.finalizers.push("example.com/hold".into());
    h.store.create(set).unwrap();
    h.advance_millis(200);
    h.store.delete::<ReplicaSet>(&key(), &DeleteOptions::default()).unwrap();
    let pod = h.store.list::<Pod>().next().unwrap().meta.key();
    h.store.delete::<Pod>(&pod, &DeleteOptions::force()).unwrap();
    h.advance_secs(30);
    assert_eq!((h.active_pods(), web(&h).status.replicas), (1, 1), "counted, not replaced");
}

/// Facts §9.2 with §2.4: validating admission comes after the name is made, so that every refusal reads differently.
#[test]
fn refusals_of_a_limit_range_name_the_pod_to_be() {
    let mut h = harness();
    let range = serde_json::json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "default"},
        "spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]},
    });
    h.store.create_object(crate::api::lower::object(range).unwrap()).unwrap();
    h.store.create(testkit::replica_set("web", 1)).unwrap();
    h.advance_millis(30);
    let said = h.events_of("FailedCreate");
    assert!(said.len() > 1, "{said:?}");
    for message in said {
        let name = message.split('"').nth(1).unwrap();
        assert!(name.starts_with("web-") && name.len() == 9, "{message}");
    }
}
