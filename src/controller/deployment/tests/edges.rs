//! What happens at the edges of rollouts.

use super::*;
use crate::controller::testing::counted_quota;
use crate::store::Propagation;

/// Facts §1.2, step 3: a Deployment that waits for its dependents only counts.
#[test]
fn a_deployment_that_is_being_deleted_only_counts() {
    let mut h = ready(2);
    let foreground = DeleteOptions::with(Propagation::Foreground);
    h.store.delete::<Deployment>(&key(), &foreground).unwrap();
    image(&mut h, "app:v2");
    let set = h.store.list::<ReplicaSet>().next().unwrap().meta.key();
    h.store.update_spec::<ReplicaSet>(&set, |s| s.replicas = 1).unwrap();
    h.advance_secs(30);
    assert_eq!((sizes(&h), web(&h).status.available_replicas), (vec![1], 1));
    assert_eq!(web(&h).status.observed_generation, web(&h).meta.generation);
}

/// Facts §1.3: the oldest of several ReplicaSets with the template is the new one.
#[test]
fn the_oldest_of_equal_sets_is_the_new_one() {
    let mut h = ready(2);
    let first = (**h.store.list::<ReplicaSet>().next().unwrap()).clone();
    let mut twin = ReplicaSet { replicas: 1, ..first.clone() };
    twin.meta = crate::api::meta::Lasting {
        labels: first.meta.labels.clone(),
        owners: first.meta.owners.clone(),
        ..crate::api::meta::Lasting::named("default", "web-twin")
    }
    .into();
    h.store.create(twin).unwrap();
    h.advance_secs(30);
    assert_eq!(sizes(&h), [2, 0], "the younger is an old one, and goes");
}

/// Facts §1.3: annotations are copied but for those that stay, and neither they nor `minReadySeconds` make a rollout.
#[test]
fn annotations_and_min_ready_seconds_change_the_set_in_place() {
    let mut h = ready(2);
    change(&mut h, |d| {
        let annotations = d.meta.annotations.with("team", "shop");
        d.meta.annotations = annotations.with("kubectl.kubernetes.io/last-applied-configuration", "{}");
        d.min_ready_seconds = 3;
    });
    h.advance_secs(5);
    assert_eq!(sizes(&h), [2]);
    let set = h.store.list::<ReplicaSet>().next().unwrap();
    assert_eq!(set.min_ready_seconds, 3);
    let annotations: Vec<_> = set.meta.annotations.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(annotations, [history::DESIRED_REPLICAS, history::MAX_REPLICAS, history::REVISION, "team"]);
}

/// Facts §1.3, §1.8 `ReplicaSetCreateError`; §0.1: a Deployment is dropped after 15 retries.
#[test]
fn a_set_that_cannot_be_made_is_reported_and_given_up() {
    let mut h = harness();
    h.store.create(counted_quota("count/replicasets.apps", 0)).unwrap();
    h.store.create(testkit::deployment("web", 2)).unwrap();
    h.advance_secs(1);
    let progressing = condition_of(&h, "Progressing");
    assert_eq!(
        (progressing.status.as_str(), progressing.reason.as_str()),
        ("False", "ReplicaSetCreateError")
    );
    let said = h.events_of("ReplicaSetCreateError");
    assert_eq!(said, [progressing.message.to_string()]);
    let words =
        |text: &str| text.starts_with("Failed to create new replica set \"web-") && text.contains(": ");
    assert!(words(&said[0]) && said[0].contains("exceeded quota: q"), "{said:?}");
    let tries = |h: &Harness| h.store.events().map(|e| e.count).sum::<i32>();
    h.advance_secs(400);
    let before = tries(&h);
    assert!((16..=18).contains(&before), "{before}");
    h.advance_secs(1200);
    assert_eq!(tries(&h), before);
}

/// Facts §1.3: in a namespace that is being deleted nothing is said.
#[test]
fn a_set_that_cannot_be_made_in_a_terminating_namespace_is_passed_over() {
    let mut h = ready(2);
    let default = ObjectKey::cluster("default");
    h.store.update::<crate::api::service::Namespace>(&default, |n| n.terminating = true).unwrap();
    let said = h.events().len();
    image(&mut h, "app:v2");
    h.advance_secs(10);
    assert_eq!((sizes(&h), h.events().len()), (vec![2], said));
    assert_eq!(condition_of(&h, "Progressing").reason, "NewReplicaSetAvailable");
}

/// Facts §1.8: `ReplicaFailure` goes once no ReplicaSet has it.
#[test]
fn a_failure_that_passes_is_forgotten() {
    let mut h = harness();
    h.store.create(counted_quota("pods", 1)).unwrap();
    h.store.create(testkit::deployment("web", 2)).unwrap();
    h.advance_secs(1);
    assert_eq!(condition_of(&h, "ReplicaFailure").reason, "FailedCreate");
    let quota = ObjectKey::new("default", "q");
    h.store.delete::<crate::api::policy::ResourceQuota>(&quota, &DeleteOptions::default()).unwrap();
    h.advance_secs(30);
    assert!(condition::find(&web(&h).status.conditions, "ReplicaFailure").is_none());
}

/// Facts §1.5, step 3a: Pods that are down anyway make room before healthy ones.
#[test]
fn unhealthy_old_pods_go_before_healthy_ones() {
    let mut h = ready(10);
    h.kubelet.ready_after = None;
    image(&mut h, "app:bad");
    h.advance_secs(5);
    assert_eq!(sizes(&h), [8, 5]);
    image(&mut h, "app:v3");
    h.advance_millis(10);
    assert_eq!(sizes(&h), [8, 0, 0]);
    h.advance_secs(5);
    assert_eq!(sizes(&h), [8, 0, 5]);
}

/// Facts §1.7, second rule: a new ReplicaSet that has all its Pods is not scaled in favour of old ones.
#[test]
fn a_saturated_new_set_lets_the_old_ones_go() {
    let mut h = ready(4);
    image(&mut h, "app:v2");
    h.advance_secs(30);
    assert_eq!(sizes(&h), [0, 4]);
    h.clear_log();
    let old = h.store.list::<ReplicaSet>().next().unwrap().meta.key();
    h.store
        .update_spec::<ReplicaSet>(&old, |s| {
            s.replicas = 3;
            s.meta.annotations = s.meta.annotations.with(history::DESIRED_REPLICAS, "7");
        })
        .unwrap();
    h.advance_secs(10);
    assert_eq!(sizes(&h), [0, 4]);
    let written = h.log.iter().filter_map(|c| c.of::<ReplicaSet>()?.1.cloned());
    let wanted: Vec<_> = written.map(|s| (s.meta.key() == old, s.replicas)).collect();
    assert!(wanted.iter().all(|(is_old, replicas)| *is_old || *replicas == 4), "{wanted:?}");
}

/// Facts §1.9: a pause is not written over a missed deadline, and without a deadline not at all.
#[test]
fn a_pause_is_not_always_said() {
    let deadline =
        |seconds| Deployment { progress_deadline_seconds: seconds, ..testkit::deployment("web", 2) };
    let mut h = harness();
    h.store.create(deadline(10)).unwrap();
    h.advance_secs(30);
    assert_eq!(condition_of(&h, "Progressing").reason, "ProgressDeadlineExceeded");
    rollout::pause(&mut h.store, &key()).unwrap();
    h.advance_secs(5);
    assert_eq!(condition_of(&h, "Progressing").reason, "ProgressDeadlineExceeded");
    let mut h = harness();
    h.store.create(deadline(i32::MAX)).unwrap();
    rollout::pause(&mut h.store, &key()).unwrap();
    h.advance_secs(5);
    assert!(condition::find(&web(&h).status.conditions, "Progressing").is_none());
}

/// Facts §1.9: time in a pause does not count towards the deadline.
#[test]
fn a_pause_stops_the_clock() {
    let mut h = harness().with_kubelet();
    h.store.create(Deployment { progress_deadline_seconds: 60, ..testkit::deployment("web", 2) }).unwrap();
    h.advance_secs(10);
    h.kubelet.ready_after = None;
    image(&mut h, "app:bad");
    h.advance_secs(40);
    rollout::pause(&mut h.store, &key()).unwrap();
    h.advance_secs(300);
    rollout::resume(&mut h.store, &key()).unwrap();
    h.advance_secs(55);
    assert_eq!(condition_of(&h, "Progressing").reason, "DeploymentResumed");
    h.advance_secs(10);
    assert_eq!(condition_of(&h, "Progressing").reason, "ProgressDeadlineExceeded");
}

/// Facts §1.11: a candidate that still has Pods is passed over, and no younger one goes in its place.
#[test]
fn history_passes_over_sets_that_have_pods() {
    let mut h = harness().with_kubelet();
    h.store.create(Deployment { revision_history_limit: 0, ..testkit::deployment("web", 4) }).unwrap();
    h.advance_secs(10);
    h.kubelet.ready_after = None;
    image(&mut h, "app:bad");
    h.advance_secs(5);
    rollout::pause(&mut h.store, &key()).unwrap();
    h.advance_secs(5);
    assert_eq!(sizes(&h), [3, 2]);
    rollout::resume(&mut h.store, &key()).unwrap();
    h.ready_all();
    h.kubelet.ready_after = Some(SimDuration::from_secs(1));
    h.advance_secs(30);
    assert_eq!(sizes(&h), [4], "none is kept");
}
