use super::*;
use crate::api::node::{EBS_ZONE_LABEL, OS_LABEL, ZONE_LABEL};
use crate::api::selector::{NodeSelectorTerm, Operator, Requirement};
use crate::api::storage::{
    AccessMode, ClaimPhase, CsiDriver, CsiNode, CsiStorageCapacity, PvSource, ReclaimPolicy, StorageClass,
    VolumePhase,
};
use crate::api::{LabelSelector, Meta, Node};
use crate::base::{Quantity, SimTime};
use crate::controller::testing::Harness;
use crate::controller::volume::binder::Binder;
use crate::controller::volume::protection::{ClaimProtection, VolumeProtection};
use crate::controller::volume::testing::{claim, class, live_claim, live_volume, put_node};
use crate::params::DriverChange;
use crate::store::DeleteOptions;

const EBS: &str = "ebs.csi.aws.com";
const SECOND: Delay = Delay::millis(1000);

/// Binder and provisioner, and a node in each of three zones.
fn cluster(driver: &str, keys: &[&str]) -> Harness {
    let protection = [ClaimProtection::boxed(), VolumeProtection::boxed()];
    let mut h = Harness::new(
        [Binder::boxed(), Provisioner::boxed(SECOND, Operations::default())]
            .into_iter()
            .chain(protection)
            .collect(),
    );
    for zone in ["a", "b", "c"] {
        put_node(&mut h, &format!("node-{zone}"), zone, driver, keys);
    }
    h
}

fn ebs() -> Harness {
    cluster(EBS, &[OS_LABEL, EBS_ZONE_LABEL, ZONE_LABEL])
}

fn select(h: &mut Harness, name: &str, node: &str) {
    h.store
        .update::<PersistentVolumeClaim>(&ObjectKey::new("default", name), |c| {
            c.meta.annotations = c.meta.annotations.with(annotation::SELECTED_NODE, node);
        })
        .unwrap();
}

/// The volume of a bound claim.
fn volume_of(h: &Harness, claim: &str) -> PersistentVolume {
    let claim = live_claim(h, claim);
    assert_eq!(claim.phase, ClaimPhase::Bound, "{}: {:?}", claim.meta.name, h.events());
    live_volume(h, &claim.spec.volume_name)
}

/// Where a volume can be reached from: `key=value`.
fn place(volume: &PersistentVolume) -> Vec<String> {
    let terms = volume.node_affinity.iter().flat_map(|a| &a.terms);
    terms.flat_map(|t| &t.expressions).map(ToString::to_string).collect()
}

#[test]
fn a_chosen_node_brings_a_volume_in_its_zone() {
    // autoscaling-storage.md §5.2 (order of effects), 5.5, 5.6 (the key on new volumes).
    let mut h = ebs();
    h.store.create(class("gp3", EBS, true)).unwrap();
    h.store.create(claim("data", Some("gp3"))).unwrap();
    h.advance_secs(5);
    assert_eq!(h.store.count::<PersistentVolume>(), 0, "nobody has chosen a node");
    select(&mut h, "data", "node-b");
    h.advance_millis(900);
    assert_eq!(h.store.count::<PersistentVolume>(), 0, "the driver takes a second");
    h.advance_millis(200);
    let volume = volume_of(&h, "data");
    assert_eq!(place(&volume), ["topology.kubernetes.io/zone=b"]);
    assert_eq!(volume.meta.name, format!("pvc-{}", live_claim(&h, "data").meta.uid).as_str());
    assert_eq!((volume.reclaim_policy, volume.phase), (ReclaimPolicy::Delete, VolumePhase::Bound));
    assert_eq!(
        volume.meta.finalizers,
        ["external-provisioner.volume.kubernetes.io/finalizer", "kubernetes.io/pv-protection"]
    );
    assert!(!volume.meta.annotations.contains_key(annotation::BOUND_BY_CONTROLLER));
    let PvSource::Csi { driver, handle } = &volume.source else { panic!("{:?}", volume.source) };
    assert!(driver == EBS && handle.starts_with("vol-0") && handle.len() == 21, "{handle}");
    let provisioning = "External provisioner is provisioning volume for claim \"default/data\"";
    assert_eq!(h.events_of("Provisioning"), [provisioning]);
    assert_eq!(
        h.events_of("ProvisioningSucceeded"),
        [format!("Successfully provisioned volume {}", volume.meta.name)]
    );
    let event = h.store.events().find(|e| e.reason == "Provisioning").unwrap();
    assert!(event.source.starts_with("ebs.csi.aws.com_ebs-csi-controller-0_"), "{}", event.source);
}

#[test]
fn immediate_claims_of_a_set_go_to_one_zone_after_the_other() {
    // autoscaling-storage.md §5.5, Immediate: rotated by a hash of the name and the ordinal.
    let mut h = ebs();
    h.store.create(class("now", EBS, false)).unwrap();
    for name in ["data-web-0", "data-web-1", "data-web-2", "data-web-3", "logs-web-0"] {
        h.store.create(claim(name, Some("now"))).unwrap();
    }
    h.advance_secs(2);
    let zones =
        |names: &[&str]| -> Vec<String> { names.iter().flat_map(|n| place(&volume_of(&h, n))).collect() };
    let mut three = zones(&["data-web-0", "data-web-1", "data-web-2"]);
    assert_eq!(zones(&["data-web-3", "logs-web-0"]), [three[0].clone(), three[0].clone()]);
    three.sort_unstable();
    assert_eq!(three, ["a", "b", "c"].map(|z| format!("topology.kubernetes.io/zone={z}")));
}

#[test]
fn allowed_topologies_narrow_the_choice() {
    for (key, immediate) in [(ZONE_LABEL, true), (EBS_ZONE_LABEL, true), (EBS_ZONE_LABEL, false)] {
        let mut h = ebs();
        let requirement = Requirement { key: key.into(), operator: Operator::In, values: vec!["c".into()] };
        let term = NodeSelectorTerm { expressions: vec![requirement], fields: Vec::new() };
        h.store
            .create(StorageClass { allowed_topologies: vec![term], ..class("sc", EBS, !immediate) })
            .unwrap();
        h.store.create(claim("data", Some("sc"))).unwrap();
        if !immediate {
            select(&mut h, "data", "node-a");
            h.advance_secs(1);
            let why = "failed to provision volume with StorageClass \"sc\": error generating accessibility requirements: \
                       topology [{kubernetes.io/os a} {topology.ebs.csi.aws.com/zone a} {topology.kubernetes.io/zone a}] \
                       from selected node \"node-a\" is not in requisite: [[{topology.ebs.csi.aws.com/zone c}]]";
            assert_eq!(h.events_of("ProvisioningFailed"), [why]);
            select(&mut h, "data", "node-c");
        }
        h.advance_secs(3);
        assert_eq!(place(&volume_of(&h, "data")), ["topology.kubernetes.io/zone=c"]);
    }
}

#[test]
fn drivers_differ_in_where_their_volumes_can_be_reached_from() {
    // autoscaling-storage.md §5.10: kinds of volumes.
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("efs.csi.aws.com", &[], &[]),
        ("nfs.csi.k8s.io", &[], &[]),
        ("topolvm.io", &["topology.topolvm.io/node"], &["topology.topolvm.io/node=b"]),
        ("rancher.io/local-path", &["kubernetes.io/hostname"], &["kubernetes.io/hostname=b"]),
        ("disk.example.com", &[ZONE_LABEL], &["topology.kubernetes.io/zone=b"]),
        ("example.com/nfs", &[], &[]),
    ];
    for (driver, keys, expected) in cases {
        let mut h = cluster(driver, keys);
        h.store.create(class("sc", driver, true)).unwrap();
        h.store.create(claim("data", Some("sc"))).unwrap();
        select(&mut h, "data", "node-b");
        h.advance_secs(2);
        assert_eq!(place(&volume_of(&h, "data")), *expected, "{driver}");
    }
}

#[test]
fn what_a_driver_cannot_do_is_tried_again_much_later() {
    // autoscaling-storage.md §5.5, infeasible; the EBS chart waits 30 minutes.
    let mut h = ebs();
    h.store.create(class("gp3", EBS, false)).unwrap();
    let mut shared = claim("data", Some("gp3"));
    shared.spec.access_modes = vec![AccessMode::ReadWriteMany];
    h.store.create(shared).unwrap();
    h.advance_secs(1799);
    let why = "Volume provisioning failed with infeasible error. Retries will be delayed. rpc error: code = InvalidArgument \
               desc = Volume capabilities not supported";
    let events: Vec<_> = h.store.events().filter(|e| e.reason == "ProvisioningFailed").collect();
    assert_eq!((events.len(), events[0].count, events[0].message.as_str()), (1, 1, why));
    h.advance_secs(5);
    let count = h.store.events().find(|e| e.reason == "ProvisioningFailed").map(|e| e.count);
    assert_eq!(count, Some(2));
}

#[test]
fn a_vanished_node_sends_the_claim_back_to_the_scheduler() {
    // autoscaling-storage.md §5.5: selected Node not found.
    let mut h = ebs();
    h.store.create(class("gp3", EBS, true)).unwrap();
    h.store.create(claim("data", Some("gp3"))).unwrap();
    select(&mut h, "data", "gone");
    h.advance_secs(1);
    assert!(!live_claim(&h, "data").meta.annotations.contains_key(annotation::SELECTED_NODE));
    assert_eq!(h.events_of("ProvisioningFailed"), ["node \"gone\" not found"]);
}

#[test]
fn a_node_without_the_driver_fails_until_it_has_it() {
    // autoscaling-storage.md §5.5.
    let mut h = ebs();
    h.store.create(Node { meta: Meta::named("", "bare"), ..Node::default() }).unwrap();
    h.store.create(CsiNode { meta: Meta::named("", "bare"), drivers: Vec::new() }).unwrap();
    h.store.create(class("gp3", EBS, true)).unwrap();
    h.store.create(claim("data", Some("gp3"))).unwrap();
    select(&mut h, "data", "bare");
    h.advance_secs(8);
    let why = "failed to provision volume with StorageClass \"gp3\": error generating accessibility requirements: no topology \
               key found for node bare";
    let failed = h.store.events().find(|e| e.reason == "ProvisioningFailed").unwrap();
    assert_eq!((failed.message.as_str(), failed.count), (why, 4), "at 0, 1, 3 and 7 s");
}

/// autoscaling-storage.md §5.5: the CSINode of the chosen node is gone.
#[test]
fn a_node_without_a_csinode_sends_the_claim_back_to_the_scheduler() {
    let mut h = ebs();
    h.store.create(Node { meta: Meta::named("", "bare"), ..Node::default() }).unwrap();
    h.store.create(class("gp3", EBS, true)).unwrap();
    h.store.create(claim("data", Some("gp3"))).unwrap();
    select(&mut h, "data", "bare");
    h.advance_secs(8);
    assert!(!live_claim(&h, "data").meta.annotations.contains_key(annotation::SELECTED_NODE));
    let why = "failed to provision volume with StorageClass \"gp3\": failed to get selected CSINode bare: \
               csinode.storage.k8s.io \"bare\" not found";
    assert_eq!(h.events_of("ProvisioningFailed"), [why]);
}

/// autoscaling-storage.md §5.3: a claim with a selector takes volumes that are there, and gets none made.
#[test]
fn a_claim_with_a_selector_gets_no_volume_made() {
    let mut h = ebs();
    h.store.create(class("gp3", EBS, false)).unwrap();
    let mut wish = claim("data", Some("gp3"));
    wish.spec.selector = Some(LabelSelector::parse("disk=ssd").unwrap());
    h.store.create(wish).unwrap();
    h.advance_secs(5);
    let why = "failed to provision volume with StorageClass \"gp3\": claim Selector is not supported";
    assert_eq!(h.events_of("ProvisioningFailed"), [why]);
    assert_eq!(h.store.count::<PersistentVolume>(), 0);
}

/// A cluster in which a driver is told something, and a claim of its class.
fn told(driver: &str, wait: bool, change: DriverChange) -> Harness {
    let change = DriverChange { driver: driver.into(), ..change };
    let said = Operations::new(vec![(SimTime::ZERO, change)]);
    let mut h = Harness::new(vec![Binder::boxed(), Provisioner::boxed(SECOND, said)]);
    for zone in ["a", "b"] {
        put_node(&mut h, &format!("node-{zone}"), zone, driver, &[ZONE_LABEL]);
    }
    h.store.create(class("sc", driver, wait)).unwrap();
    h.store.create(claim("data", Some("sc"))).unwrap();
    h.settle();
    h
}

fn failures(h: &Harness) -> (i32, bool) {
    let events = h.store.events().filter(|e| e.reason == "ProvisioningFailed");
    let selected = live_claim(h, "data").meta.annotations.contains_key(annotation::SELECTED_NODE);
    (events.map(|e| e.count).sum(), selected)
}

/// autoscaling-storage.md §5.5, §7.41: only ResourceExhausted sends the claim back, and only one whose node was chosen.
#[test]
fn other_errors_are_tried_again_on_the_same_node() {
    let denied = || DriverChange { denied: Some(vec![Operation::Create]), ..DriverChange::default() };
    let full = || DriverChange {
        room: ["a", "b"].into_iter().map(|zone| (zone.into(), Quantity::parse("1Gi").unwrap())).collect(),
        ..DriverChange::default()
    };
    for (driver, wait, change, expected) in [
        // A call takes a second; the next follows 1 s, 2 s and 4 s after the failure before.
        (EBS, true, denied(), (4, true)),
        ("disk.example.com", true, full(), (1, false)),
        ("disk.example.com", false, full(), (4, false)),
    ] {
        let mut h = told(driver, wait, change);
        if wait {
            select(&mut h, "data", "node-a");
        }
        h.advance_secs(12);
        assert_eq!(failures(&h), expected, "{driver} {wait}");
    }
}

/// autoscaling-storage.md §5.5: a call that takes too long is given up by the provisioner, not by the driver: it is asked again
/// on the same node until it is done.
#[test]
fn a_slow_driver_is_asked_again_until_it_is_done() {
    let slow = || DriverChange {
        latencies: vec![(Operation::Create, Delay::Constant(SimDuration::from_secs(90)))],
        ..DriverChange::default()
    };
    let late = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
    for (driver, expected) in [
        // `--timeout` of the EBS chart is a minute; then the driver says that it is at it.
        (EBS, vec![(late, 1), ("rpc error: code = Aborted desc = Create volume request for pvc-", 4)]),
        // Ten seconds, and 1 s, 2 s, 4 s … between.
        ("disk.example.com", vec![(late, 5)]),
    ] {
        let mut h = told(driver, true, slow());
        select(&mut h, "data", "node-a");
        h.advance_secs(89);
        let events: Vec<(String, i32)> = h
            .store
            .events()
            .filter(|e| e.reason == "ProvisioningFailed")
            .map(|e| (e.message.to_string(), e.count))
            .collect();
        for (words, count) in &expected {
            let front = format!("failed to provision volume with StorageClass \"sc\": {words}");
            let said: i32 = events.iter().filter(|(m, _)| m.starts_with(&front)).map(|(_, n)| n).sum();
            assert_eq!(said, *count, "{driver}: {events:?}");
        }
        assert!(live_claim(&h, "data").meta.annotations.contains_key(annotation::SELECTED_NODE));
        h.advance_secs(60);
        assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Bound, "{driver}");
    }
}

/// autoscaling-storage.md §5.6: what EC2 does not make, the driver passes on as its own failure, and what it takes for wrong
/// as infeasible.
#[test]
fn ebs_refuses_volumes_that_cannot_be() {
    let internal = "failed to provision volume with StorageClass \"odd\": rpc error: code = Internal desc = Could not create volume \"pvc-";
    let wrong = "Volume provisioning failed with infeasible error. Retries will be delayed. rpc error: code = InvalidArgument desc = ";
    for (parameters, block, front, part) in [
        (
            &[("type", "st1")][..],
            false,
            internal,
            "InvalidParameterValue: Volume of 10GiB is too small; minimum is 125GiB.",
        ),
        (
            &[("type", "gp2"), ("iops", "3000")],
            false,
            wrong,
            "invalid argument: operation error EC2: CreateVolume",
        ),
        (&[("colour", "red")], false, wrong, "Invalid parameter key colour for CreateVolume"),
        (&[], true, internal, "CreateDisk: multi-attach is only supported for io2 volumes"),
    ] {
        let mut h = ebs();
        let parameters = parameters.iter().copied().collect();
        h.store.create(StorageClass { parameters, ..class("odd", EBS, false) }).unwrap();
        let mut wish = claim("data", Some("odd"));
        if block {
            wish.spec.block = true;
            wish.spec.access_modes = vec![AccessMode::ReadWriteMany];
        }
        h.store.create(wish).unwrap();
        h.advance_secs(2);
        let said = h.events_of("ProvisioningFailed");
        assert!(said[0].starts_with(front) && said[0].contains(part), "{said:?}");
    }
    let mut h = ebs();
    let parameters = [("type", "io2"), ("iops", "1000")].into_iter().collect();
    h.store.create(StorageClass { parameters, ..class("odd", EBS, false) }).unwrap();
    let mut wish = claim("data", Some("odd"));
    wish.spec.block = true;
    wish.spec.access_modes = vec![AccessMode::ReadWriteMany];
    h.store.create(wish).unwrap();
    h.advance_secs(3);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Bound);
}

#[test]
fn room_is_taken_and_given_back() {
    let mut h = cluster("topolvm.io", &["topology.topolvm.io/node"]);
    let driver =
        CsiDriver { meta: Meta::named("", "topolvm.io"), storage_capacity: true, ..CsiDriver::default() };
    h.store.create(driver).unwrap();
    h.store.create(class("lvm", "topolvm.io", true)).unwrap();
    let room = CsiStorageCapacity {
        meta: Meta::named("default", "room"),
        storage_class: "lvm".into(),
        node_topology: Some(LabelSelector::parse("topology.topolvm.io/node=a").unwrap()),
        capacity: Some(Quantity::parse("15Gi").unwrap()),
        maximum_volume_size: None,
    };
    h.store.create(room).unwrap();
    for name in ["one", "two"] {
        h.store.create(claim(name, Some("lvm"))).unwrap();
        select(&mut h, name, "node-a");
        h.advance_secs(2);
    }
    let left = |h: &Harness| {
        h.store.find::<CsiStorageCapacity>("default", "room").unwrap().capacity.unwrap().to_string()
    };
    assert_eq!(left(&h), "5Gi");
    assert_eq!(live_claim(&h, "one").phase, ClaimPhase::Bound);
    let two = live_claim(&h, "two");
    assert!(
        two.phase == ClaimPhase::Pending && !two.meta.annotations.contains_key(annotation::SELECTED_NODE)
    );
    assert!(h.events_of("ProvisioningFailed")[0].contains("code = ResourceExhausted"));
    h.store
        .delete::<PersistentVolumeClaim>(&ObjectKey::new("default", "one"), &DeleteOptions::default())
        .unwrap();
    h.advance_secs(2);
    assert_eq!((left(&h).as_str(), h.store.count::<PersistentVolume>()), ("15Gi", 0));
}

/// An EBS volume bound to the claim `data`.
fn provisioned(policy: ReclaimPolicy) -> (Harness, ObjectKey) {
    let mut h = ebs();
    h.store.create(StorageClass { reclaim_policy: policy, ..class("gp3", EBS, true) }).unwrap();
    h.store.create(claim("data", Some("gp3"))).unwrap();
    select(&mut h, "data", "node-b");
    h.advance_secs(2);
    let name = volume_of(&h, "data").meta.name.clone();
    (h, ObjectKey::cluster(name))
}

#[test]
fn a_volume_goes_with_its_claim_if_its_class_says_so() {
    for (policy, left) in [(ReclaimPolicy::Delete, 0), (ReclaimPolicy::Retain, 1)] {
        let (mut h, _) = provisioned(policy);
        h.store
            .delete::<PersistentVolumeClaim>(&ObjectKey::new("default", "data"), &DeleteOptions::default())
            .unwrap();
        h.advance_secs(2);
        assert_eq!(
            (h.store.count::<PersistentVolumeClaim>(), h.store.count::<PersistentVolume>()),
            (0, left)
        );
    }
}

#[test]
fn a_deleted_volume_waits_for_its_claim() {
    // HonorPVReclaimPolicy: the order of the deletions does not matter.
    let (mut h, volume) = provisioned(ReclaimPolicy::Delete);
    h.store.delete::<PersistentVolume>(&volume, &DeleteOptions::default()).unwrap();
    h.advance_secs(60);
    assert!(h.store.get::<PersistentVolume>(&volume).is_some_and(|v| v.meta.is_deleting()));
    h.store
        .delete::<PersistentVolumeClaim>(&ObjectKey::new("default", "data"), &DeleteOptions::default())
        .unwrap();
    h.advance_secs(2);
    assert!(h.store.get::<PersistentVolume>(&volume).is_none());
}

#[test]
fn an_attached_volume_is_not_deleted() {
    let (mut h, volume) = provisioned(ReclaimPolicy::Delete);
    let attachment = VolumeAttachment {
        meta: Meta::named("", "va"),
        pv_name: volume.name.clone(),
        node_name: "node-b".into(),
        ..VolumeAttachment::default()
    };
    h.store.create(attachment).unwrap();
    h.store
        .delete::<PersistentVolumeClaim>(&ObjectKey::new("default", "data"), &DeleteOptions::default())
        .unwrap();
    h.advance_secs(2);
    let why = format!("persistentvolume {} is still attached to node node-b", volume.name);
    assert_eq!(h.events_of("VolumeFailedDelete"), [why]);
    h.store.delete::<VolumeAttachment>(&ObjectKey::cluster("va"), &DeleteOptions::default()).unwrap();
    h.advance_secs(4);
    assert!(h.store.get::<PersistentVolume>(&volume).is_none());
}
