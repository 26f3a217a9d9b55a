//! Snapshots from their request to volumes made from them.

use super::controller::SnapshotController;
use super::sidecar::Snapshotter;
use super::*;
use crate::api::storage::{ClaimPhase, PersistentVolumeClaim, PvSource};
use crate::api::{Labels, Meta};
use crate::base::SimTime;
use crate::controller::testing::Harness;
use crate::controller::volume::binder::Binder;
use crate::controller::volume::provisioner::Provisioner;
use crate::controller::volume::testing::{claim, class, live_claim, put_node, storage, volume};
use crate::params::{Delay, DriverChange, Operation, Operations, drivers};
use crate::store::DeleteOptions;

const SECOND: Delay = Delay::millis(1000);

fn custom(kind: &str, namespace: &str, name: &str, body: &str) -> Inert {
    Inert {
        meta: Meta::named(namespace.to_owned(), name.to_owned()),
        api_version: "snapshot.storage.k8s.io/v1".into(),
        kind: kind.into(),
        namespaced: !namespace.is_empty(),
        body: body.into(),
    }
}

fn snapshot_of(claim: &str, class: &str) -> Inert {
    let body = format!(
        r#"{{"spec": {{"volumeSnapshotClassName": "{class}", "source": {{"persistentVolumeClaimName": "{claim}"}}}}}}"#
    );
    custom(SNAPSHOT, "default", "snap", &body)
}

fn snapshot_class(policy: &str) -> Inert {
    let body = format!(r#"{{"driver": "{}", "deletionPolicy": "{policy}"}}"#, drivers::EBS);
    custom(CLASS, "", "ebs", &body)
}

/// A bound claim `data` on an EBS volume, a class of snapshots, nodes in two zones.
fn cluster(policy: &str, said: Operations) -> Harness {
    let mut h = Harness::new(vec![
        Binder::boxed(),
        Provisioner::boxed(SECOND, said.clone()),
        SnapshotController::boxed(),
        Snapshotter::boxed(SECOND, Delay::millis(10_000), said),
    ]);
    let keys = drivers::of(drivers::EBS).volume_keys;
    for zone in ["a", "b"] {
        put_node(&mut h, &format!("node-{zone}"), zone, drivers::EBS, keys);
    }
    h.store.create(class("gp3", drivers::EBS, false)).unwrap();
    h.store.create(class("late", drivers::EBS, true)).unwrap();
    h.store.create(snapshot_class(policy)).unwrap();
    let mut pv = volume("pv", "gp3", "10Gi");
    pv.source = PvSource::Csi { driver: drivers::EBS.into(), handle: "vol-1".into() };
    h.store.create(pv).unwrap();
    h.store.create(claim("data", Some("gp3"))).unwrap();
    h.advance_secs(16);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Bound);
    h
}

fn live(h: &Harness, kind: &str) -> Option<Arc<Inert>> {
    h.store.list::<Inert>().find(|o| o.kind == kind).cloned()
}

#[test]
fn a_snapshot_is_cut_at_once_and_ready_later() {
    // autoscaling-storage.md §5.11, snapshots.
    let mut h = cluster("Delete", Operations::default());
    h.store.create(snapshot_of("data", "ebs")).unwrap();
    h.advance_millis(500);
    let finalizer = "snapshot.storage.kubernetes.io/pvc-as-source-protection";
    let held = |h: &Harness| live_claim(h, "data").meta.has_finalizer(finalizer);
    let before = held(&h);
    h.advance_millis(1000);
    let snapshot = live(&h, SNAPSHOT).unwrap();
    assert!(!is_ready(&snapshot) && !snapshot.text(&["status", "creationTime"]).is_empty());
    h.advance_secs(10);
    let (snapshot, content) = (live(&h, SNAPSHOT).unwrap(), live(&h, CONTENT).unwrap());
    assert!(is_ready(&snapshot) && is_ready(&content));
    assert_eq!(content.meta.name, format!("snapcontent-{}", snapshot.meta.uid));
    assert_eq!(snapshot.text(&["status", "restoreSize"]), "10Gi");
    assert!(content.text(&["status", "snapshotHandle"]).starts_with("snap-0"));
    let said: Vec<String> = h.events().into_iter().filter(|e| e.contains("napshot")).collect();
    assert_eq!(
        said,
        [
            "CreatingSnapshot: Waiting for a snapshot default/snap to be created by the CSI driver.",
            "SnapshotCreated: Snapshot default/snap was successfully created by the CSI driver.",
            "SnapshotReady: Snapshot default/snap is ready to use.",
        ]
    );
    assert!(before && !held(&h), "the claim is held while the snapshot is taken");
}

#[test]
fn what_is_wrong_is_said_once_and_made_good() {
    let mut h = cluster("Delete", Operations::default());
    h.store.create(snapshot_of("data", "none")).unwrap();
    h.advance_secs(60);
    let said = "Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io \"none\" not found";
    assert_eq!(h.events_of("GetSnapshotClassFailed"), [said]);
    h.store.create(custom(CLASS, "", "none", &snapshot_class("Delete").body)).unwrap();
    h.advance_secs(120);
    assert!(is_ready(&live(&h, SNAPSHOT).unwrap()));
}

#[test]
fn the_default_class_is_that_of_the_driver() {
    let mut h = cluster("Delete", Operations::default());
    let mut wrong =
        custom(CLASS, "", "other", r#"{"driver": "other.example.com", "deletionPolicy": "Delete"}"#);
    let default: Labels = [("snapshot.storage.kubernetes.io/is-default-class", "true")].into_iter().collect();
    wrong.meta.annotations = default.clone();
    h.store.create(wrong).unwrap();
    let body = r#"{"spec": {"source": {"persistentVolumeClaimName": "data"}}}"#;
    h.store.create(custom(SNAPSHOT, "default", "snap", body)).unwrap();
    h.advance_secs(10);
    assert_eq!(
        h.events_of("SetDefaultSnapshotClassFailed"),
        ["Failed to set default snapshot class with error cannot find default snapshot class"]
    );
    h.store.update::<Inert>(&key(CLASS, &Str::new(), "ebs"), |c| c.meta.annotations = default).unwrap();
    h.advance_secs(60);
    assert_eq!(live(&h, CONTENT).unwrap().text(&["spec", "volumeSnapshotClassName"]), "ebs");
}

#[test]
fn the_policy_decides_whether_a_snapshot_goes_with_its_request() {
    for (policy, stays) in [("Delete", false), ("Retain", true)] {
        let mut h = cluster(policy, Operations::default());
        h.store.create(snapshot_of("data", "ebs")).unwrap();
        h.advance_secs(20);
        let name = key(SNAPSHOT, &"default".into(), "snap");
        h.store.delete::<Inert>(&name, &DeleteOptions::default()).unwrap();
        h.advance_secs(5);
        assert!(live(&h, SNAPSHOT).is_none(), "{policy}");
        assert_eq!(live(&h, CONTENT).is_some(), stays, "{policy}");
    }
}

#[test]
fn a_driver_without_permission_says_so_until_it_has_it() {
    let said = |at, denied| {
        let change =
            DriverChange { driver: drivers::EBS.into(), denied: Some(denied), ..DriverChange::default() };
        (SimTime::from_secs(at), change)
    };
    let mut h =
        cluster("Delete", Operations::new(vec![said(0, vec![Operation::Snapshot]), said(60, Vec::new())]));
    h.store.create(snapshot_of("data", "ebs")).unwrap();
    h.advance_secs(30);
    let told = h.events_of("SnapshotCreationFailed");
    assert!(
        told[0].starts_with(
            "Failed to create snapshot: failed to take snapshot of the volume vol-1: \"rpc error"
        )
    );
    assert!(told[0].contains("UnauthorizedOperation"), "{told:?}");
    assert!(!live(&h, SNAPSHOT).unwrap().text(&["status", "error", "message"]).is_empty());
    h.advance_secs(120);
    assert!(is_ready(&live(&h, SNAPSHOT).unwrap()));
    assert!(live(&h, SNAPSHOT).unwrap().text(&["status", "error", "message"]).is_empty());
}

/// A claim that is made from something.
fn sourced(name: &str, size: &str, kind: &str, from: &str) -> PersistentVolumeClaim {
    let mut new = claim(name, Some("gp3"));
    new.spec.requests = storage(size);
    new.spec.data_source = Some((kind.into(), from.into()));
    new
}

#[test]
fn a_volume_is_made_from_a_snapshot_that_is_ready_and_small_enough() {
    // autoscaling-storage.md §5.11: the snapshot must be readyToUse.
    let mut h = cluster("Delete", Operations::default());
    h.store.create(snapshot_of("data", "ebs")).unwrap();
    h.advance_secs(2);
    h.store.create(sourced("restored", "10Gi", SNAPSHOT, "snap")).unwrap();
    h.store.create(sourced("small", "5Gi", SNAPSHOT, "snap")).unwrap();
    h.store.create(sourced("lost", "10Gi", SNAPSHOT, "none")).unwrap();
    h.advance_secs(5);
    let front = "failed to provision volume with StorageClass \"gp3\": error getting handle for DataSource Type VolumeSnapshot by Name";
    let told = h.events_of("ProvisioningFailed");
    assert!(told.contains(&format!("{front} snap: snapshot snap is not Ready")), "{told:?}");
    assert!(
        told.iter().any(|t| t.starts_with(&format!("{front} none: error getting snapshot none"))),
        "{told:?}"
    );
    h.advance_secs(60);
    assert_eq!(live_claim(&h, "restored").phase, ClaimPhase::Bound);
    assert_eq!(live_claim(&h, "small").phase, ClaimPhase::Pending);
    let less =
        "requested volume size 5368709120 is less than the size 10737418240 for the source snapshot snap";
    assert!(h.events_of("ProvisioningFailed").contains(&format!("{front} snap: {less}")));
}

#[test]
fn a_clone_lies_where_its_source_lies() {
    let mut h = cluster("Delete", Operations::default());
    h.store.create(claim("first", Some("gp3"))).unwrap();
    h.advance_secs(20);
    h.store.create(sourced("second", "10Gi", "PersistentVolumeClaim", "first")).unwrap();
    h.advance_secs(20);
    let place = |name: &str| {
        let claim = live_claim(&h, name);
        h.store
            .find::<crate::api::storage::PersistentVolume>("", &claim.spec.volume_name)
            .unwrap()
            .node_affinity
            .clone()
    };
    assert!(place("first").is_some() && place("first") == place("second"));
}
