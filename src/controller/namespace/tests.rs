use super::*;
use crate::api::storage::PersistentVolumeClaim;
use crate::api::workload::Deployment;
use crate::api::{ConditionStatus, Meta, Phase};
use crate::controller::testing::Harness;
use crate::testkit;

fn harness() -> Harness {
    let mut harness = Harness::new(vec![Box::new(NamespaceController::default())]).with_kubelet();
    harness.store.create(testkit::namespace("shop")).unwrap();
    harness
}

fn in_shop(mut meta: Meta) -> Meta {
    meta.namespace = "shop".into();
    meta
}

fn delete(harness: &mut Harness) {
    harness.store.delete::<Namespace>(&ObjectKey::cluster("shop"), &DeleteOptions::default()).unwrap();
}

fn shop(harness: &Harness) -> Option<Namespace> {
    harness.store.get::<Namespace>(&ObjectKey::cluster("shop")).map(|n| Namespace::clone(n))
}

/// Reasons of the conditions that are `True`, with their messages.
fn findings(harness: &Harness) -> Vec<String> {
    let namespace = shop(harness).unwrap();
    let bad = namespace.conditions.iter().filter(|c| c.status == ConditionStatus::True);
    bad.map(|c| format!("{}: {}", c.reason, c.message)).collect()
}

/// Facts §8.2, points 1, 3, 4 and 7; §13.51.
#[test]
fn pods_go_first_then_the_rest_then_the_namespace() {
    let mut h = harness();
    let pod = testkit::pod("a", "app=a");
    h.store.create(Pod { meta: in_shop(pod.meta.clone()), ..pod }).unwrap();
    let deployment = testkit::deployment("web", 1);
    h.store.create(Deployment { meta: in_shop(deployment.meta.clone()), ..deployment }).unwrap();
    let map = testkit::config_map("settings");
    h.store.create(Inert { meta: in_shop(map.meta.clone()), ..map }).unwrap();
    h.advance_secs(3);
    delete(&mut h);
    assert!(shop(&h).unwrap().terminating);
    h.advance_millis(4900);
    assert!(!h.store.list::<Pod>().next().unwrap().meta.is_deleting(), "the grace of 5 s");
    h.advance_millis(300);
    assert!(h.store.list::<Pod>().next().unwrap().meta.is_deleting());
    assert_eq!((findings(&h).len(), shop(&h).unwrap().conditions.len()), (0, 5));
    h.advance_secs(4);
    assert_eq!((h.store.count::<Pod>(), h.store.count::<Deployment>()), (0, 1), "no pass yet");
    h.advance_secs(2);
    assert_eq!((h.store.count::<Deployment>(), h.store.count::<Inert>()), (0, 0));
    assert!(shop(&h).is_none());
}

/// Facts §8.2, points 5 and 6.
#[test]
fn finalizers_are_named_and_waited_for() {
    let mut h = harness();
    let claim = PersistentVolumeClaim { meta: Meta::named("shop", "data"), ..Default::default() };
    h.store.create(claim).unwrap();
    delete(&mut h);
    h.advance_secs(6);
    assert_eq!(
        findings(&h),
        [
            "SomeResourcesRemain: Some resources are remaining: persistentvolumeclaims. has 1 resource instances",
            "SomeFinalizersRemain: Some content in the namespace has finalizers remaining: \
             kubernetes.io/pvc-protection in 1 resource instances",
        ]
    );
    let key = ObjectKey::new("shop", "data");
    h.store.update::<PersistentVolumeClaim>(&key, |c| c.meta.finalizers.clear()).unwrap();
    h.advance_secs(10);
    assert!(shop(&h).is_none());
}

/// Facts §8.2, points 5 and 6: the estimate.
#[test]
fn a_pod_that_outlives_its_grace_is_an_error_and_holds_the_namespace() {
    let mut h = Harness::new(vec![Box::new(NamespaceController::default())]);
    h.store.create(testkit::namespace("shop")).unwrap();
    let mut pod = testkit::pod("a", "app=a");
    pod.meta.namespace = "shop".into();
    pod.node_name = Some("dead".into());
    pod.status.phase = Phase::Running;
    h.store.create(pod).unwrap();
    delete(&mut h);
    h.advance_secs(20);
    assert!(findings(&h).is_empty());
    h.advance_secs(60);
    assert_eq!(
        findings(&h),
        [
            "ContentDeletionFailed: Failed to delete all resource types, 1 remaining: unexpected items still remain \
             in namespace: shop for gvr: /v1, Resource=pods"
        ]
    );
    h.remove_pod(&ObjectKey::new("shop", "a"));
    h.advance_secs(120);
    assert!(shop(&h).is_none());
}
