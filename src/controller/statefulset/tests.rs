use super::*;
use crate::api::ObjectKey;
use crate::api::storage::{ClaimSpec, PersistentVolumeClaim};
use crate::api::volume::VolumeSource;
use crate::api::workload::{ClaimTemplate, ControllerRevision, StatefulSetStatus};
use crate::api::{LabelSelector, Phase, PodTemplate};
use crate::base::{Arc, Str};
use crate::controller::history::UndoError;
use crate::controller::testing::Harness;
use crate::store::DeleteOptions;
use crate::testkit;

fn set(name: &str, replicas: i32) -> StatefulSet {
    let text = format!("app={name}");
    StatefulSet {
        meta: Meta::named("default", name),
        replicas,
        ordinals_start: 0,
        selector: LabelSelector::from_labels(&testkit::labels(&text)),
        match_labels: testkit::labels(&text),
        template: testkit::pod_template(&text),
        claim_templates: Vec::new(),
        service_name: name.into(),
        parallel: false,
        on_delete: false,
        partition: 0,
        min_ready_seconds: 0,
        revision_history_limit: 10,
        delete_claims_when_deleted: false,
        delete_claims_when_scaled: false,
        status: StatefulSetStatus::default(),
    }
}

fn with_claims(mut set: StatefulSet) -> StatefulSet {
    set.claim_templates =
        vec![Arc::new(ClaimTemplate { meta: Meta::named("", "data"), spec: ClaimSpec::default() })];
    set
}

fn image(image: &str) -> Arc<PodTemplate> {
    testkit::image_template("app=db", image)
}

fn harness(set: StatefulSet) -> Harness {
    let mut harness = Harness::new(vec![StatefulSetController::boxed()]).with_kubelet();
    harness.store.create(set).unwrap();
    harness
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn get(harness: &Harness) -> Arc<StatefulSet> {
    harness.store.get::<StatefulSet>(&key("db")).unwrap().clone()
}

fn change(harness: &mut Harness, change: impl FnOnce(&mut StatefulSet)) {
    harness.store.update_spec::<StatefulSet>(&key("db"), change).unwrap();
}

/// Names of the Pods in the order of their creation, those being deleted marked.
fn pods(harness: &Harness) -> Vec<String> {
    let mark =
        |p: &Pod| if p.meta.is_deleting() { format!("{}!", p.meta.name) } else { p.meta.name.to_string() };
    harness.store.list::<Pod>().map(|p| mark(p)).collect()
}

fn images(harness: &Harness) -> Vec<Str> {
    let mut pods: Vec<_> = harness.store.list::<Pod>().collect();
    pods.sort_by_key(|p| p.meta.name.clone());
    pods.iter().map(|p| p.spec.containers[0].image.clone()).collect()
}

/// Facts §3.2, step 4; §3.3; §3.5.
#[test]
fn pods_are_made_in_order_each_when_the_one_before_is_ready() {
    let mut h = harness(set("db", 3));
    h.advance_millis(100);
    assert_eq!(pods(&h), ["db-0"]);
    h.advance_millis(950);
    assert_eq!(pods(&h), ["db-0", "db-1"]);
    h.advance_secs(5);
    assert_eq!(pods(&h), ["db-0", "db-1", "db-2"]);
    let status = &get(&h).status;
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas), (3, 3, 3));
    assert_eq!((status.current_replicas, status.updated_replicas), (3, 3));
    assert_eq!(status.current_revision, status.update_revision);
    assert_eq!(
        h.events_of("SuccessfulCreate"),
        [0, 1, 2].map(|i| format!("create Pod db-{i} in StatefulSet db successful"))
    );
    let statuses: Vec<i32> =
        h.log.iter().filter_map(|c| c.of::<StatefulSet>()?.1.map(|s| s.status.replicas)).collect();
    assert_eq!(statuses[..3], [0, 0, 1], "the first status counts the Pods seen before the first creation");
}

/// Facts §3.1: identity.
#[test]
fn a_member_knows_its_name_ordinal_revision_and_host() {
    let mut h = harness(StatefulSet { ordinals_start: 4, ..set("db", 1) });
    h.advance_secs(1);
    let pod = h.store.get::<Pod>(&key("db-4")).unwrap().clone();
    let label = |k: &str| pod.meta.labels.get(k).map(|v| v.to_string());
    assert_eq!(label("statefulset.kubernetes.io/pod-name").as_deref(), Some("db-4"));
    assert_eq!(label("apps.kubernetes.io/pod-index").as_deref(), Some("4"));
    assert_eq!(label("controller-revision-hash"), Some(get(&h).status.update_revision.to_string()));
    assert_eq!(pod.spec.raw.hostname.as_deref(), Some("db-4"));
    assert_eq!(pod.spec.raw.subdomain.as_deref(), Some("db"));
    assert!(pod.meta.is_controlled_by(&get(&h).meta.uid) && pod.meta.generate_name.is_empty());
    let revision = h.store.get::<ControllerRevision>(&key(&get(&h).status.update_revision)).unwrap();
    assert!(revision.revision == 1 && revision.meta.is_controlled_by(&get(&h).meta.uid));
}

/// Facts §3.2, steps 4 and 5 with `Parallel`.
#[test]
fn parallel_makes_and_deletes_all_at_once() {
    let mut h = harness(StatefulSet { parallel: true, ..set("db", 3) });
    h.advance_millis(100);
    assert_eq!(pods(&h), ["db-0", "db-1", "db-2"]);
    h.advance_secs(2);
    change(&mut h, |s| s.replicas = 1);
    h.advance_millis(100);
    assert_eq!(pods(&h), ["db-0", "db-1!", "db-2!"]);
}

/// Facts §3.2, step 5.
#[test]
fn scaling_down_takes_the_highest_ordinal_and_waits_until_it_is_gone() {
    let mut h = harness(set("db", 3));
    h.advance_secs(5);
    change(&mut h, |s| s.replicas = 1);
    h.advance_millis(500);
    assert_eq!(pods(&h), ["db-0", "db-1", "db-2!"]);
    h.advance_secs(1);
    assert_eq!(pods(&h), ["db-0", "db-1!"]);
    h.advance_secs(2);
    assert_eq!(pods(&h), ["db-0"]);
    assert_eq!(h.events_of("SuccessfulDelete").len(), 2);
}

/// Facts §3.2, step 5: the first unhealthy Pod.
#[test]
fn scaling_down_waits_for_an_unhealthy_pod_below_unless_it_is_the_first() {
    let mut h = harness(set("db", 3));
    h.advance_secs(5);
    h.set_ready(&key("db-2"), false);
    h.advance_millis(100);
    change(&mut h, |s| s.replicas = 2);
    h.advance_millis(100);
    assert_eq!(pods(&h)[2], "db-2!", "the first unhealthy Pod may go");
    let mut h = harness(set("db", 3));
    h.advance_secs(5);
    for pod in ["db-1", "db-2"] {
        h.set_ready(&key(pod), false);
    }
    h.advance_millis(100);
    change(&mut h, |s| s.replicas = 1);
    h.advance_secs(30);
    assert_eq!(pods(&h), ["db-0", "db-1", "db-2"], "db-1 is the first unhealthy Pod, and db-2 is above it");
}

/// Facts §3.1, §3.2, §3.5: names and labels of claims, and their Event.
#[test]
fn claims_come_before_the_pod_and_carry_the_sets_labels() {
    let mut h = harness(with_claims(set("db", 1)));
    h.advance_secs(1);
    assert_eq!(h.writes(Kind::PersistentVolumeClaim), ["Added data-db-0"]);
    assert_eq!(
        h.events()[..2],
        [
            "SuccessfulCreate: create Claim data-db-0 Pod db-0 in StatefulSet db success",
            "SuccessfulCreate: create Pod db-0 in StatefulSet db successful",
        ]
    );
    let claim = h.store.get::<PersistentVolumeClaim>(&key("data-db-0")).unwrap();
    assert_eq!(claim.meta.labels, testkit::labels("app=db"));
    assert!(claim.meta.owners.is_empty());
    let pod = h.store.get::<Pod>(&key("db-0")).unwrap();
    assert!(matches!(&pod.spec.volumes[..], [v] if v.name == "data"
        && matches!(&v.source, VolumeSource::Claim { claim, .. } if claim == "data-db-0")));
    assert_eq!(pod.spec.raw.volumes.as_ref().map(Vec::len), Some(1));
}

/// Facts §3.4: `pvc ... is being deleted`.
#[test]
fn a_claim_being_deleted_holds_its_pod_back() {
    let mut h = harness(with_claims(set("db", 0)));
    h.advance_secs(1);
    let mut claim = PersistentVolumeClaim { meta: Meta::named("default", "data-db-0"), ..Default::default() };
    claim.meta.finalizers.push("kubernetes.io/pvc-protection".into());
    h.store.create(claim).unwrap();
    h.store.delete::<PersistentVolumeClaim>(&key("data-db-0"), &DeleteOptions::default()).unwrap();
    change(&mut h, |s| s.replicas = 1);
    h.advance_millis(10);
    assert!(pods(&h).is_empty());
    assert_eq!(
        h.events_of("FailedCreate"),
        ["create Pod db-0 in StatefulSet db failed error: pvc data-db-0 is being deleted"]
    );
}

/// Facts §3.2, step 7; §3.3: the rollout is complete.
#[test]
fn an_update_goes_from_the_highest_ordinal_down_one_at_a_time() {
    let mut h = harness(set("db", 3));
    h.advance_secs(5);
    change(&mut h, |s| s.template = image("app:v2"));
    h.advance_millis(500);
    assert_eq!(pods(&h), ["db-0", "db-1", "db-2!"]);
    let status = get(&h).status.clone();
    assert_ne!(status.current_revision, status.update_revision);
    assert_eq!((status.current_replicas, status.updated_replicas), (2, 0));
    h.advance_secs(2);
    assert_eq!(images(&h), ["app:v1", "app:v1", "app:v2"]);
    h.advance_secs(5);
    assert_eq!(images(&h), ["app:v2"; 3]);
    let status = get(&h).status.clone();
    assert_eq!(status.current_revision, status.update_revision);
    assert_eq!((status.current_replicas, status.updated_replicas), (3, 3));
}

/// Facts §3.2, step 7; §13.20.
#[test]
fn a_parallel_set_is_updated_one_at_a_time_too() {
    let mut h = harness(StatefulSet { parallel: true, ..set("db", 3) });
    h.advance_secs(3);
    change(&mut h, |s| s.template = image("app:v2"));
    h.advance_millis(100);
    assert_eq!(pods(&h), ["db-0", "db-1", "db-2!"]);
}

/// Facts §3.2, steps 2 and 7.
#[test]
fn a_partition_keeps_lower_ordinals_at_the_current_revision() {
    let mut h = harness(set("db", 3));
    h.advance_secs(5);
    change(&mut h, |s| (s.template, s.partition) = (image("app:v2"), 2));
    h.advance_secs(10);
    assert_eq!(images(&h), ["app:v1", "app:v1", "app:v2"]);
    assert_eq!(
        rollout::status(&get(&h)),
        Ok(("partitioned roll out complete: 1 new pods have been updated...".to_owned(), true))
    );
    h.remove_pod(&key("db-0"));
    h.advance_secs(3);
    assert_eq!(images(&h)[0], "app:v1", "made again from the current revision");
    change(&mut h, |s| s.partition = 0);
    h.advance_secs(10);
    assert_eq!(images(&h), ["app:v2"; 3]);
}

/// Facts §3.2, step 6.
#[test]
fn on_delete_waits_for_somebody_to_delete() {
    let mut h = harness(StatefulSet { on_delete: true, ..set("db", 2) });
    h.advance_secs(5);
    change(&mut h, |s| s.template = image("app:v2"));
    h.advance_secs(5);
    assert_eq!(images(&h), ["app:v1", "app:v1"]);
    h.store.delete::<Pod>(&key("db-0"), &DeleteOptions::default()).unwrap();
    h.advance_secs(5);
    assert_eq!(images(&h), ["app:v2", "app:v1"]);
    assert!(rollout::status(&get(&h)).is_err());
}

/// Facts §3.2: the deadlock of `OrderedReady`.
#[test]
fn a_broken_rollout_stays_broken_when_the_template_is_set_back() {
    let mut h = harness(set("db", 2));
    h.advance_secs(5);
    h.kubelet.ready_after = None;
    change(&mut h, |s| s.template = image("app:bad"));
    h.advance_secs(5);
    assert_eq!(images(&h), ["app:v1", "app:bad"]);
    let template = rollout::undo(&h.store, &get(&h), 0).unwrap();
    change(&mut h, |s| s.template = template);
    h.advance_secs(30);
    assert_eq!(images(&h), ["app:v1", "app:bad"], "the pass waits for the broken Pod");
    let status = get(&h).status.clone();
    assert_eq!(status.current_revision, status.update_revision);
    assert_eq!((status.current_replicas, status.updated_replicas), (1, 1));
    h.store.delete::<Pod>(&key("db-1"), &DeleteOptions::default()).unwrap();
    h.advance_secs(3);
    assert_eq!(images(&h), ["app:v1", "app:v1"]);
}

/// Facts §3.2, step 1.
#[test]
fn going_back_renumbers_the_old_revision() {
    let mut h = harness(set("db", 1));
    for template in ["app:v2", "app:v1"] {
        h.advance_secs(5);
        change(&mut h, |s| s.template = image(template));
    }
    h.advance_secs(5);
    let mut numbers: Vec<i64> = h.store.list::<ControllerRevision>().map(|r| r.revision).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(rollout::undo(&h.store, &get(&h), 9), Err(UndoError::NotFound(9)));
    assert_eq!(rollout::undo(&h.store, &get(&h), 3), Err(UndoError::Unchanged(3)));
    assert_eq!(rollout::undo(&h.store, &get(&h), 0).unwrap(), image("app:v2"));
}

/// Facts §3.3: history.
#[test]
fn old_revisions_are_forgotten_beyond_the_limit() {
    let mut h = harness(StatefulSet { revision_history_limit: 1, ..set("db", 1) });
    for i in 2..6 {
        h.advance_secs(5);
        change(&mut h, |s| s.template = image(&format!("app:v{i}")));
    }
    h.advance_secs(5);
    let numbers: Vec<i64> = h.store.list::<ControllerRevision>().map(|r| r.revision).collect();
    assert_eq!(numbers, [4, 5]);
}

/// Facts §3.2, step 4: failed and succeeded Pods.
#[test]
fn ended_pods_are_deleted_and_made_again() {
    for phase in [Phase::Failed, Phase::Succeeded] {
        let mut h = harness(set("db", 1));
        h.advance_secs(3);
        let before = h.store.get::<Pod>(&key("db-0")).unwrap().meta.uid.clone();
        h.store.update::<Pod>(&key("db-0"), |p| p.status.phase = phase).unwrap();
        h.advance_secs(3);
        let after = h.store.get::<Pod>(&key("db-0")).unwrap().meta.uid.clone();
        assert_ne!(before, after);
        assert_eq!(h.events_of("SuccessfulDelete"), ["delete Pod db-0 in StatefulSet db successful"]);
    }
}

/// Facts §3.6, §13.21.
#[test]
fn a_terminating_pod_is_not_replaced() {
    let mut h = harness(set("db", 2));
    h.advance_secs(5);
    h.kubelet.removed_after = None;
    h.store.delete::<Pod>(&key("db-0"), &DeleteOptions::default()).unwrap();
    h.advance_secs(60);
    assert_eq!(pods(&h), ["db-0!", "db-1"]);
    h.remove_pod(&key("db-0"));
    h.advance_secs(3);
    assert_eq!(pods(&h), ["db-1", "db-0"]);
}

/// Facts §0.5, §3.2.
#[test]
fn min_ready_seconds_delay_the_next_pod() {
    let mut h = harness(StatefulSet { min_ready_seconds: 5, ..set("db", 2) });
    h.advance_secs(5);
    assert_eq!(pods(&h), ["db-0"]);
    assert_eq!(get(&h).status.available_replicas, 0);
    // The look that was planned when the Pod was made comes a second too early, and the next five later.
    h.advance_secs(4);
    assert_eq!(pods(&h), ["db-0"]);
    h.advance_secs(2);
    assert_eq!(pods(&h), ["db-0", "db-1"]);
    h.advance_secs(12);
    assert_eq!(get(&h).status.available_replicas, 2);
}

fn owners(h: &Harness, claim: &str) -> Vec<String> {
    let claim = h.store.get::<PersistentVolumeClaim>(&key(claim)).unwrap();
    claim.meta.owners.iter().map(|o| format!("{}/{}", o.kind, o.name)).collect()
}

/// Facts §3.4: the table.
#[test]
fn the_retention_policy_decides_who_owns_the_claims() {
    for (when_scaled, when_deleted, in_range, condemned) in [
        (false, false, vec![], vec![]),
        (false, true, vec!["StatefulSet/db"], vec!["StatefulSet/db"]),
        (true, false, vec![], vec!["Pod/db-1"]),
        (true, true, vec!["StatefulSet/db"], vec!["Pod/db-1"]),
    ] {
        let mut h = harness(StatefulSet {
            delete_claims_when_scaled: when_scaled,
            delete_claims_when_deleted: when_deleted,
            ..with_claims(set("db", 2))
        });
        h.advance_secs(5);
        assert_eq!(owners(&h, "data-db-1"), in_range, "{when_scaled} {when_deleted}");
        change(&mut h, |s| s.replicas = 1);
        h.advance_millis(100);
        assert_eq!(owners(&h, "data-db-1"), condemned, "{when_scaled} {when_deleted}");
    }
}

/// Facts §3.4: stale owners.
#[test]
fn a_pod_waits_for_the_claim_of_its_condemned_predecessor_to_vanish() {
    let mut h = harness(StatefulSet { delete_claims_when_scaled: true, ..with_claims(set("db", 2)) });
    h.advance_secs(5);
    change(&mut h, |s| s.replicas = 1);
    h.advance_secs(3);
    change(&mut h, |s| s.replicas = 2);
    h.advance_secs(3);
    assert_eq!(pods(&h), ["db-0"]);
    h.store.delete::<PersistentVolumeClaim>(&key("data-db-1"), &DeleteOptions::default()).unwrap();
    // As the protection controller does once no Pod uses the claim.
    h.store.update::<PersistentVolumeClaim>(&key("data-db-1"), |c| c.meta.finalizers.clear()).unwrap();
    change(&mut h, |s| s.meta.annotations = testkit::labels("touched=yes"));
    h.advance_secs(3);
    assert_eq!(pods(&h), ["db-0", "db-1"]);
}

/// Facts §3.5 `ConflictingController`.
#[test]
fn another_controller_of_a_claim_is_reported_and_left_alone() {
    let mut h = harness(StatefulSet { delete_claims_when_deleted: true, ..with_claims(set("db", 0)) });
    let other = h.store.create(testkit::replica_set("other", 0)).unwrap();
    let mut claim = PersistentVolumeClaim { meta: Meta::named("default", "data-db-0"), ..Default::default() };
    claim.meta.owners.push(crate::api::OwnerReference::controller_of(&*other));
    h.store.create(claim).unwrap();
    change(&mut h, |s| s.replicas = 1);
    h.advance_secs(1);
    assert_eq!(owners(&h, "data-db-0"), ["ReplicaSet/other"]);
    assert_eq!(
        h.events_of("ConflictingController")[0],
        "PersistentVolumeClaim data-db-0 has a conflicting OwnerReference that acts as a manging controller, the \
         retention policy is ignored for this claim"
    );
}

#[test]
fn orphans_with_the_right_name_are_adopted_and_others_left() {
    let mut h = harness(set("db", 0));
    h.advance_secs(1);
    let mut stray = testkit::pod("stray-x", "app=db");
    stray.node_name = Some("n".into());
    h.store.create(stray).unwrap();
    let mut member = testkit::pod("db-0", "app=db");
    member.node_name = Some("n".into());
    h.store.create(member).unwrap();
    change(&mut h, |s| s.replicas = 1);
    h.advance_secs(3);
    assert!(h.store.get::<Pod>(&key("stray-x")).unwrap().meta.controller().is_none());
    let uid = get(&h).meta.uid.clone();
    assert!(h.store.get::<Pod>(&key("db-0")).unwrap().meta.is_controlled_by(&uid));
}

/// Facts §3.2, step 4; §3.5 `SuccessfulUpdate`.
#[test]
fn a_lost_identity_label_is_put_back() {
    let mut h = harness(set("db", 1));
    h.advance_secs(3);
    h.store
        .update::<Pod>(&key("db-0"), |p| {
            p.meta.labels = p.meta.labels.without("statefulset.kubernetes.io/pod-name");
        })
        .unwrap();
    h.advance_secs(1);
    let pod = h.store.get::<Pod>(&key("db-0")).unwrap();
    assert!(pod.meta.labels.contains_key("statefulset.kubernetes.io/pod-name"));
    assert_eq!(h.events_of("SuccessfulUpdate"), ["update Pod db-0 in StatefulSet db successful"]);
}

#[test]
fn the_rate_limit_spreads_a_parallel_set_and_loses_nothing() {
    let mut h = harness(StatefulSet { parallel: true, ..set("db", 40) });
    h.advance_secs(1);
    let some = pods(&h).len();
    assert!((15..40).contains(&some), "{some}");
    h.advance_secs(30);
    assert_eq!(pods(&h).len(), 40);
    assert_eq!(get(&h).status.ready_replicas, 40);
}

mod edges;
