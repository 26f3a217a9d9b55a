//! What happens at the edges of a StatefulSet's passes.

use super::*;
use crate::controller::testing::counted_quota;

/// Facts §3.2, step 3: a set that waits for its dependents only counts.
#[test]
fn a_set_that_is_being_deleted_only_counts() {
    let mut h = harness(set("db", 2));
    h.advance_secs(5);
    h.store
        .delete::<StatefulSet>(&key("db"), &DeleteOptions::with(crate::store::Propagation::Foreground))
        .unwrap();
    h.remove_pod(&key("db-1"));
    h.advance_secs(10);
    assert_eq!((pods(&h), get(&h).status.replicas), (vec!["db-0".to_owned()], 1));
}

/// Facts §3.2, step 4: a Pod that has not started gets claims that went missing.
#[test]
fn a_pending_pod_gets_its_missing_claims() {
    let mut h = harness(with_claims(set("db", 1)));
    h.kubelet.ready_after = None;
    h.advance_millis(100);
    let claim = key("data-db-0");
    h.store.update::<PersistentVolumeClaim>(&claim, |c| c.meta.finalizers.clear()).unwrap();
    h.store.delete::<PersistentVolumeClaim>(&claim, &DeleteOptions::default()).unwrap();
    h.store.update::<Pod>(&key("db-0"), |p| p.meta.annotations = testkit::labels("touched=yes")).unwrap();
    h.advance_millis(100);
    assert_eq!(h.store.count::<PersistentVolumeClaim>(), 1);
    assert_eq!(h.writes(Kind::Pod).iter().filter(|w| w.starts_with("Added")).count(), 1);
}

/// Facts §3.5: Events of a claim that is refused, and of its Pod.
#[test]
fn a_refused_claim_holds_its_pod_back() {
    let mut h = Harness::new(vec![StatefulSetController::boxed()]);
    h.store.create(counted_quota("persistentvolumeclaims", 0)).unwrap();
    h.store.create(with_claims(set("db", 1))).unwrap();
    h.advance_millis(10);
    let why = "persistentvolumeclaims \"data-db-0\" is forbidden: exceeded quota: q, requested: \
               persistentvolumeclaims=1, used: persistentvolumeclaims=0, limited: persistentvolumeclaims=0";
    assert_eq!(
        h.events_of("FailedCreate"),
        [
            format!("create Claim data-db-0 for Pod db-0 in StatefulSet db failed error: {why}"),
            format!("create Pod db-0 in StatefulSet db failed error: failed to create PVC data-db-0: {why}"),
        ]
    );
    assert!(pods(&h).is_empty());
}

/// Facts §3.2, step 4 with `Parallel`: batches grow, and one with an error is the last of its pass.
#[test]
fn a_parallel_set_stops_after_a_batch_with_an_error() {
    let mut h = Harness::new(vec![StatefulSetController::boxed()]);
    h.store.create(counted_quota("pods", 2)).unwrap();
    h.store.create(StatefulSet { parallel: true, ..set("db", 9) }).unwrap();
    h.advance_millis(6);
    assert_eq!(pods(&h), ["db-0", "db-1"]);
    assert_eq!(
        h.events_of("FailedCreate").len(),
        1,
        "one, then two of which one failed; four more are not tried"
    );
}

/// Facts §3.2, step 7 without a partition of its own: a Pod below an unavailable one waits.
#[test]
fn an_update_waits_for_the_pod_above() {
    let mut h = harness(set("db", 3));
    h.advance_secs(5);
    change(&mut h, |s| (s.template, s.parallel) = (image("app:v2"), true));
    h.kubelet.ready_after = None;
    h.advance_secs(30);
    assert_eq!(images(&h), ["app:v1", "app:v1", "app:v2"], "the new db-2 is not ready");
}
