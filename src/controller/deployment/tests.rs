use super::*;
use crate::api::workload::IntOrPercent;
use crate::api::{Condition, Kind, condition};
use crate::base::SimDuration;
use crate::controller::common::hash::POD_TEMPLATE_HASH;
use crate::controller::replica_set::ReplicaSetController;
use crate::controller::testing::{FakeKubelet, Harness};
use crate::store::DeleteOptions;
use crate::testkit;

fn harness() -> Harness {
    Harness::new(vec![
        Box::new(DeploymentController::default()),
        Box::new(ReplicaSetController::<ReplicaSet>::default()),
    ])
}

fn key() -> ObjectKey {
    ObjectKey::new("default", "web")
}

fn web(h: &Harness) -> Deployment {
    (**h.store.get::<Deployment>(&key()).unwrap()).clone()
}

fn change(h: &mut Harness, change: impl FnOnce(&mut Deployment)) {
    h.store.update_spec::<Deployment>(&key(), change).unwrap();
}

fn image(h: &mut Harness, image: &str) {
    change(h, |d| d.template = testkit::image_template("app=web", image));
}

/// A Deployment whose Pods are all ready.
fn ready(replicas: i32) -> Harness {
    let mut h = harness().with_kubelet();
    h.store.create(testkit::deployment("web", replicas)).unwrap();
    h.advance_secs(60);
    assert_eq!(web(&h).status.available_replicas, replicas);
    h
}

/// The ReplicaSets' wanted Pods, oldest first.
fn sizes(h: &Harness) -> Vec<i32> {
    h.store.list::<ReplicaSet>().map(|s| s.replicas).collect()
}

fn condition_of(h: &Harness, kind: &str) -> Condition {
    condition::find(&web(h).status.conditions, kind).unwrap().clone()
}

/// Statuses of the Deployment as they were written: `replicas/updated/available/unavailable reason of Progressing`.
fn statuses(h: &Harness) -> Vec<String> {
    let of = |d: &Deployment| {
        let s = &d.status;
        let reason = condition::find(&s.conditions, "Progressing").map_or("-".into(), |c| c.reason.clone());
        let available = condition::find(&s.conditions, "Available").map_or("-", |c| c.status.as_str());
        format!(
            "{}/{}/{}/{} {reason} {available}",
            s.replicas, s.updated_replicas, s.available_replicas, s.unavailable_replicas
        )
    };
    let written = h.log.iter().filter_map(|c| c.of::<Deployment>()).filter_map(|(_, new)| new);
    let mut all: Vec<_> = written.map(|d| of(d)).collect();
    all.dedup();
    all
}

/// Facts §1.3, §1.8: names, annotations, statuses and conditions of a creation.
#[test]
fn creation_writes_what_the_real_controller_writes() {
    let mut h = harness();
    h.store.create(testkit::deployment("web", 5)).unwrap();
    h.advance_secs(1);
    let set = h.store.list::<ReplicaSet>().next().unwrap().clone();
    assert_eq!(
        statuses(&h),
        [
            "0/0/0/0 - -",
            "0/0/0/0 NewReplicaSetCreated -",
            "0/0/0/5 NewReplicaSetCreated False",
            "5/5/0/5 ReplicaSetUpdated False",
        ]
    );
    let hash = set.meta.labels.get(POD_TEMPLATE_HASH).unwrap().clone();
    assert_eq!(set.meta.name, format!("web-{hash}"));
    assert_eq!(
        h.events()[0],
        format!("ScalingReplicaSet: Scaled up replica set {} from 0 to 5", set.meta.name)
    );
    let annotation = |name: &str| set.meta.annotations.get(name).map(|v| v.to_string());
    assert_eq!(annotation(history::REVISION).as_deref(), Some("1"));
    assert_eq!(annotation(history::DESIRED_REPLICAS).as_deref(), Some("5"));
    assert_eq!(annotation(history::MAX_REPLICAS).as_deref(), Some("7"));
    assert_eq!(web(&h).meta.annotations.get(history::REVISION).unwrap(), "1");
    assert_eq!(set.selector.to_string(), format!("app=web,pod-template-hash={hash}"));
    assert_eq!(h.store.select_pods("default", &set.selector).len(), 5);
    let progressing = condition_of(&h, "Progressing");
    assert_eq!(progressing.message, format!("ReplicaSet \"{}\" is progressing.", set.meta.name));
    assert_eq!(condition_of(&h, "Available").message, "Deployment does not have minimum availability.");
    h.ready_all();
    h.advance_secs(1);
    let progressing = condition_of(&h, "Progressing");
    assert_eq!(progressing.reason, "NewReplicaSetAvailable");
    assert_eq!(progressing.message, format!("ReplicaSet \"{}\" has successfully progressed.", set.meta.name));
    assert_eq!(condition_of(&h, "Available").message, "Deployment has minimum availability.");
    assert_eq!(condition_of(&h, "Available").reason, "MinimumReplicasAvailable");
    h.clear_log();
    h.advance_secs(7200);
    assert!(h.log.iter().all(|c| c.kind() == Kind::Event), "at rest nothing is written");
}

/// Facts §1.4, §1.5, §11.1: ten Pods, a quarter more and a quarter less.
#[test]
fn a_rolling_update_takes_upstreams_steps() {
    let mut h = ready(10);
    h.kubelet = FakeKubelet { ready_after: None, removed_after: Some(SimDuration::from_secs(1)) };
    h.clear_log();
    image(&mut h, "app:v2");
    h.advance_millis(10);
    assert_eq!(sizes(&h), [8, 3], "created with the surge and made room for in one sync");
    h.advance_secs(5);
    assert_eq!(sizes(&h), [8, 5]);
    assert_eq!(web(&h).status.unavailable_replicas, 5);
    let new: Vec<_> =
        h.store.list::<Pod>().filter(|p| !p.is_ready() && p.is_active()).map(|p| p.meta.key()).collect();
    h.bind(&new[0]);
    h.set_ready(&new[0], true);
    h.advance_secs(5);
    assert_eq!(sizes(&h), [7, 6], "one more available: one old Pod goes, one new one comes");
    for _ in 0..12 {
        h.ready_all();
        h.advance_secs(5);
    }
    assert_eq!(sizes(&h), [0, 10]);
    assert_eq!(web(&h).meta.annotations.get(history::REVISION).unwrap(), "2");
    let (mut most, mut fewest) = (0, i32::MAX);
    for (_, new) in h.log.iter().filter_map(|c| c.of::<Deployment>()) {
        let status = &new.unwrap().status;
        (most, fewest) = (most.max(status.replicas), fewest.min(status.available_replicas));
    }
    assert_eq!((most, fewest), (13, 8));
    assert_eq!(statuses(&h).last().unwrap(), "10/10/10/0 NewReplicaSetAvailable True");
}

/// Facts §1.8, §1.10, §13.16, §13.17: the deadline sets a condition and nothing else; undo makes a new revision.
#[test]
fn a_rollout_that_stands_still_misses_its_deadline_and_can_be_undone() {
    let mut h = harness().with_kubelet();
    h.store.create(Deployment { progress_deadline_seconds: 60, ..testkit::deployment("web", 10) }).unwrap();
    h.advance_secs(30);
    h.kubelet.ready_after = None;
    image(&mut h, "app:bad");
    h.advance_secs(55);
    assert_eq!(sizes(&h), [8, 5]);
    assert_eq!(condition_of(&h, "Progressing").reason, "ReplicaSetUpdated");
    let progress = condition_of(&h, "Progressing").updated.unwrap();
    h.advance_secs(20);
    let late = condition_of(&h, "Progressing");
    assert_eq!((late.reason.as_str(), late.status.as_str()), ("ProgressDeadlineExceeded", "False"));
    let bad = h.store.list::<ReplicaSet>().last().unwrap().meta.name.clone();
    assert_eq!(late.message, format!("ReplicaSet \"{bad}\" has timed out progressing."));
    assert_eq!(late.transition, Some(progress.plus_secs(61)));
    assert_eq!(condition_of(&h, "Available").status.as_str(), "True");
    let name = key();
    let status = rollout::status(&web(&h));
    assert_eq!(status, Err("deployment \"web\" exceeded its progress deadline".to_owned()));
    h.kubelet.ready_after = Some(SimDuration::from_secs(1));
    h.clear_log();
    assert_eq!(rollout::undo(&mut h.store, &name, 0), Ok("deployment.apps/web rolled back".to_owned()));
    h.advance_secs(30);
    assert_eq!(sizes(&h), [10, 0]);
    let old = h.store.list::<ReplicaSet>().next().unwrap().clone();
    assert_eq!(old.meta.annotations.get(history::REVISION).unwrap(), "3");
    assert_eq!(old.meta.annotations.get(history::REVISION_HISTORY).unwrap(), "1");
    let scalings = h.events_of("ScalingReplicaSet");
    assert!(scalings.contains(&format!("Scaled down replica set {bad} from 5 to 0")), "{scalings:?}");
    assert!(scalings.contains(&format!("Scaled up replica set {} from 8 to 10", old.meta.name)));
    assert_eq!(condition_of(&h, "Progressing").reason, "NewReplicaSetAvailable");
    assert_eq!(rollout::status(&web(&h)).unwrap().0, "deployment \"web\" successfully rolled out");
}

/// Facts §1.7, first rule: the one active ReplicaSet is scaled.
#[test]
fn scaling_alone_starts_no_rollout() {
    let mut h = ready(4);
    h.kubelet.ready_after = None;
    let name = h.store.list::<ReplicaSet>().next().unwrap().meta.name.clone();
    h.clear_log();
    change(&mut h, |d| d.replicas = 9);
    h.advance_secs(1);
    assert_eq!(
        statuses(&h),
        [
            "4/4/4/0 NewReplicaSetAvailable True",
            "4/4/4/0 NewReplicaSetAvailable False",
            "4/4/4/5 NewReplicaSetAvailable False",
            "9/9/4/5 NewReplicaSetAvailable False",
        ]
    );
    assert!(h.events_of("ScalingReplicaSet").contains(&format!("Scaled up replica set {name} from 4 to 9")));
    h.kubelet.ready_after = Some(SimDuration::from_secs(1));
    change(&mut h, |d| d.replicas = 0);
    h.advance_secs(5);
    assert_eq!((h.active_pods(), condition_of(&h, "Available").status.as_str()), (0, "True"));
    assert_eq!(web(&h).meta.annotations.get(history::REVISION).unwrap(), "1");
}

/// Facts §1.7, third rule; §13.14: the rollout does not move on in that sync.
#[test]
fn scaling_in_the_middle_of_a_rollout_is_proportional() {
    let mut h = ready(10);
    h.kubelet.ready_after = None;
    image(&mut h, "app:bad");
    h.advance_secs(5);
    assert_eq!(sizes(&h), [8, 5]);
    change(&mut h, |d| d.replicas = 20);
    h.advance_millis(20);
    // 25 in all: 8 * 25 / 13 = 15.4, 5 * 25 / 13 = 9.6.
    assert_eq!(sizes(&h), [15, 10]);
    h.advance_secs(5);
    assert_eq!(sizes(&h), [15, 10], "fifteen can be missed of twenty at most: nothing moves on");
}

/// Facts §1.6, §1.2 (a deleted Pod wakes a Deployment that recreates), §13.15.
#[test]
fn recreate_waits_for_the_last_pod() {
    let mut h = harness().with_kubelet();
    h.store
        .create(Deployment { strategy: DeploymentStrategy::Recreate, ..testkit::deployment("web", 4) })
        .unwrap();
    h.advance_secs(30);
    h.kubelet.removed_after = None;
    image(&mut h, "app:v2");
    h.advance_secs(30);
    assert_eq!((sizes(&h), h.active_pods(), h.store.count::<Pod>()), (vec![0], 0, 4));
    assert_eq!(condition_of(&h, "Available").reason, "MinimumReplicasUnavailable");
    assert_eq!(condition_of(&h, "Progressing").reason, "NewReplicaSetAvailable");
    let pods: Vec<_> = h.store.list::<Pod>().map(|p| p.meta.key()).collect();
    for pod in &pods[..3] {
        h.remove_pod(pod);
    }
    h.advance_secs(30);
    assert_eq!(sizes(&h), [0], "one Pod is still on its way out");
    h.remove_pod(&pods[3]);
    h.advance_millis(50);
    assert_eq!(sizes(&h), [0, 4]);
    h.advance_secs(10);
    assert_eq!(web(&h).status.available_replicas, 4);
    assert_eq!(condition_of(&h, "Progressing").reason, "NewReplicaSetAvailable");
}

/// Facts §1.9, §1.10: kubectl refuses undo and restart of a paused Deployment.
#[test]
fn pausing_holds_the_rollout_but_not_scaling() {
    let mut h = ready(3);
    let name = key();
    assert_eq!(rollout::pause(&mut h.store, &name), Ok("deployment.apps/web paused".to_owned()));
    assert_eq!(
        rollout::pause(&mut h.store, &name),
        Err("deployments.apps \"web\" is already paused".to_owned())
    );
    image(&mut h, "app:v2");
    h.advance_secs(5);
    assert_eq!(sizes(&h), [3]);
    let progressing = condition_of(&h, "Progressing");
    assert_eq!(
        (progressing.status.as_str(), progressing.reason.as_str(), progressing.message.as_str()),
        ("Unknown", "DeploymentPaused", "Deployment is paused")
    );
    change(&mut h, |d| d.replicas = 5);
    h.advance_secs(5);
    assert_eq!((sizes(&h), web(&h).status.updated_replicas), (vec![5], 0));
    assert!(rollout::undo(&mut h.store, &name, 1).unwrap_err().starts_with("you cannot rollback a paused"));
    assert_eq!(
        rollout::restart(&mut h.store, &name),
        Err("deployments.apps \"web\" can't restart paused deployment (run rollout resume first)".to_owned())
    );
    assert_eq!(rollout::resume(&mut h.store, &name), Ok("deployment.apps/web resumed".to_owned()));
    h.clear_log();
    h.advance_secs(1);
    let reasons: Vec<_> = statuses(&h);
    assert!(reasons.iter().any(|s| s.contains("DeploymentResumed")), "{reasons:?}");
    h.advance_secs(30);
    assert_eq!(sizes(&h), [0, 5]);
    assert_eq!(
        rollout::resume(&mut h.store, &name),
        Err("deployments.apps \"web\" is not paused".to_owned())
    );
}

/// Facts §1.10: texts of `kubectl rollout`.
#[test]
fn restart_and_undo_speak_as_kubectl_does() {
    let mut h = ready(2);
    let name = key();
    assert_eq!(
        rollout::undo(&mut h.store, &name, 0),
        Err("no rollout history found for deployment \"web\"".to_owned())
    );
    assert_eq!(
        rollout::undo(&mut h.store, &name, 7),
        Err("unable to find specified revision 7 in history".to_owned())
    );
    assert_eq!(
        rollout::undo(&mut h.store, &name, 1),
        Ok("deployment.apps/web skipped rollback (current template already matches revision 1)".to_owned())
    );
    assert_eq!(rollout::restart(&mut h.store, &name), Ok("deployment.apps/web restarted".to_owned()));
    assert!(rollout::restart(&mut h.store, &name).unwrap_err().starts_with("failed to create patch for web"));
    assert_eq!(rollout::status(&web(&h)).unwrap().0, "Waiting for deployment spec update to be observed...");
    h.advance_millis(100);
    assert_eq!(
        rollout::status(&web(&h)).unwrap().0,
        "Waiting for deployment \"web\" rollout to finish: 1 out of 2 new replicas have been updated..."
    );
    h.advance_secs(30);
    assert_eq!(sizes(&h), [0, 2]);
    let pod = h.store.list::<Pod>().next().unwrap();
    assert!(pod.meta.annotations.contains_key(crate::controller::common::RESTARTED_AT));
    assert!(
        rollout::undo(&mut h.store, &ObjectKey::new("default", "x"), 0).unwrap_err().ends_with("not found")
    );
}

/// Facts §1.10: the annotation, and its Events.
#[test]
fn the_rollback_annotation_is_obeyed_and_removed() {
    let mut h = ready(2);
    let ask = |h: &mut Harness, revision: &str| {
        let revision = revision.to_owned();
        h.store
            .update::<Deployment>(&key(), |d| {
                d.meta.annotations = d.meta.annotations.with(history::ROLLBACK_TO, revision);
            })
            .unwrap();
        h.advance_secs(20);
        assert!(!web(h).meta.annotations.contains_key(history::ROLLBACK_TO));
    };
    ask(&mut h, "0");
    ask(&mut h, "9");
    ask(&mut h, "1");
    image(&mut h, "app:v2");
    h.advance_secs(20);
    ask(&mut h, "1");
    let said: Vec<_> = h.events().into_iter().filter(|e| e.contains("Rollback")).collect();
    assert_eq!(
        said,
        [
            "DeploymentRollbackRevisionNotFound: Unable to find last revision.",
            "DeploymentRollbackRevisionNotFound: Unable to find the revision to rollback to.",
            "DeploymentRollbackTemplateUnchanged: The rollback revision contains the same template as current deployment \"web\"",
            "DeploymentRollback: Rolled back deployment \"web\" to revision 1",
        ]
    );
    assert_eq!(sizes(&h), [2, 0]);
    assert_eq!(web(&h).meta.annotations.get(history::REVISION).unwrap(), "3");
}

/// Facts §1.11.
#[test]
fn old_replica_sets_go_beyond_the_limit() {
    let mut h = harness().with_kubelet();
    h.store.create(Deployment { revision_history_limit: 2, ..testkit::deployment("web", 2) }).unwrap();
    for version in 1..6 {
        image(&mut h, &format!("app:v{version}"));
        h.advance_secs(30);
    }
    let revisions: Vec<_> = h.store.list::<ReplicaSet>().map(|s| history::revision(s).unwrap()).collect();
    assert_eq!(revisions.len(), 3, "the new one and two old ones");
    assert_eq!(web(&h).meta.annotations.get(history::REVISION).unwrap(), &revisions[2].to_string());
}

/// Facts §1.3: a taken name counts as a collision.
#[test]
fn colliding_hashes_are_counted_and_avoided() {
    let mut h = harness();
    let deployment = testkit::deployment("web", 1);
    let hash = crate::controller::common::template_hash(deployment.template.fingerprint, None);
    let mut squatter = testkit::replica_set(&format!("web-{hash}"), 0);
    squatter.meta.labels = testkit::labels("app=other");
    h.store.create(squatter).unwrap();
    h.store.create(deployment).unwrap();
    h.advance_secs(1);
    assert_eq!(web(&h).status.collision_count, Some(1));
    assert_eq!((h.store.count::<ReplicaSet>(), h.active_pods()), (2, 1));
}

#[test]
fn failures_of_replica_sets_show() {
    let mut h = harness();
    let mut template = (*testkit::pod_template("app=web")).clone();
    let mut spec = testkit::pod_spec("app:v1");
    spec.priority_class_name = "gold".into();
    template.spec = Arc::new(spec);
    h.store.create(Deployment { template: Arc::new(template), ..testkit::deployment("web", 2) }).unwrap();
    h.advance_secs(1);
    let failure = condition_of(&h, "ReplicaFailure");
    assert_eq!((failure.status.as_str(), failure.reason.as_str()), ("True", "FailedCreate"));
    assert!(failure.message.ends_with("no PriorityClass with name gold was found"), "{}", failure.message);
}

/// Facts §1.1: 2147483647 is no deadline.
#[test]
fn without_a_deadline_there_is_no_progressing() {
    let mut h = harness().with_kubelet();
    h.store
        .create(Deployment { progress_deadline_seconds: i32::MAX, ..testkit::deployment("web", 2) })
        .unwrap();
    h.advance_secs(10);
    assert!(condition::find(&web(&h).status.conditions, "Progressing").is_none());
    assert_eq!(web(&h).status.available_replicas, 2);
}

/// Facts §1.2, step 1.
#[test]
fn a_selector_of_everything_is_refused() {
    let mut h = harness();
    let selector = crate::api::LabelSelector::everything();
    h.store.create(Deployment { selector, ..testkit::deployment("web", 2) }).unwrap();
    h.advance_secs(1);
    assert_eq!(
        h.events(),
        ["SelectingAll: This deployment is selecting all pods. A non-empty selector is required."]
    );
    assert_eq!((web(&h).status.observed_generation, h.store.count::<ReplicaSet>()), (1, 0));
}

/// Facts §1.2, step 2; §1.8 `FoundNewReplicaSet`.
#[test]
fn orphaned_replica_sets_are_adopted() {
    let mut h = ready(2);
    let orphan = DeleteOptions::with(crate::store::Propagation::Background);
    let set = h.store.list::<ReplicaSet>().next().unwrap().meta.key();
    h.store.update::<ReplicaSet>(&set, |s| s.meta.owners.clear()).unwrap();
    h.advance_secs(1);
    assert_eq!(h.store.get::<ReplicaSet>(&set).unwrap().meta.controller().unwrap().name, "web");
    h.store.update::<ReplicaSet>(&set, |s| s.meta.owners.clear()).unwrap();
    h.store.delete::<Deployment>(&key(), &orphan).unwrap();
    h.advance_secs(1);
    h.store.create(testkit::deployment("web", 2)).unwrap();
    h.advance_secs(5);
    assert_eq!((h.store.count::<ReplicaSet>(), h.active_pods()), (1, 2));
    let written = statuses(&h);
    assert!(written.iter().any(|s| s.contains("FoundNewReplicaSet")), "{written:?}");
    assert_eq!(condition_of(&h, "Progressing").reason, "NewReplicaSetAvailable");
}

/// Facts §0.5, §1.5: only available Pods let old ones go.
#[test]
fn readiness_must_last_before_a_rollout_goes_on() {
    let mut h = harness().with_kubelet();
    h.store
        .create(Deployment {
            min_ready_seconds: 10,
            strategy: DeploymentStrategy::RollingUpdate {
                max_surge: IntOrPercent::Int(1),
                max_unavailable: IntOrPercent::Int(0),
            },
            ..testkit::deployment("web", 2)
        })
        .unwrap();
    h.advance_secs(30);
    let start = h.store.now();
    image(&mut h, "app:v2");
    h.advance_secs(60);
    assert_eq!(sizes(&h), [0, 2]);
    let done = h.log.iter().filter(|c| {
        c.of::<Deployment>().and_then(|(_, new)| new).is_some_and(|d| {
            d.status.observed_generation == 2
                && d.status.updated_replicas == 2
                && d.status.available_replicas == 2
                && d.status.replicas == 2
        })
    });
    let done = done.map(|c| c.at).find(|at| *at > start).unwrap().since(start).as_secs();
    assert!((21..=24).contains(&done), "twice a second to start and ten to last: {done}");
}

mod edges;
