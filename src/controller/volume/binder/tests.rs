use super::*;
use crate::api::storage::{AccessMode, ReclaimPolicy, VolumePhase};
use crate::api::{Kind, LabelSelector};
use crate::controller::testing::Harness;
use crate::controller::volume::testing::{
    claim, class, live_claim, live_volume, pod_with, reserved_for, storage, volume,
};
use crate::store::DeleteOptions;
use crate::testkit;

fn harness() -> Harness {
    Harness::new(vec![Binder::boxed()])
}

fn force() -> DeleteOptions {
    DeleteOptions::default()
}

/// Deletes a claim or volume whatever holds it.
fn remove<T: crate::store::Held>(h: &mut Harness, key: &ObjectKey) {
    h.store.update::<T>(key, |o| o.meta_mut().finalizers.clear()).unwrap();
    h.store.delete::<T>(key, &force()).unwrap();
}

#[test]
fn a_binding_takes_four_writes_in_upstreams_order() {
    // autoscaling-storage.md §5.4: PV claimRef, PV phase, PVC volumeName, PVC phase.
    let mut h = harness();
    h.store.create(volume("pv", "static", "20Gi")).unwrap();
    h.advance_millis(100);
    assert_eq!(live_volume(&h, "pv").phase, VolumePhase::Available);
    h.clear_log();
    h.store.create(claim("data", Some("static"))).unwrap();
    h.advance_millis(100);
    let writes = |h: &Harness| -> Vec<String> {
        let kinds = [Kind::PersistentVolume, Kind::PersistentVolumeClaim];
        let log = h.log.iter().filter(|c| kinds.contains(&c.kind()));
        log.map(|c| format!("{:?} {}", c.verb, c.object().meta().name)).collect()
    };
    assert_eq!(writes(&h), ["Added data", "Modified pv", "Modified pv", "Modified data", "Modified data"]);
    let (pv, pvc) = (live_volume(&h, "pv"), live_claim(&h, "data"));
    assert_eq!((pv.phase, pvc.phase), (VolumePhase::Bound, ClaimPhase::Bound));
    assert_eq!(pv.claim_ref.unwrap().uid, pvc.meta.uid);
    assert_eq!((pvc.spec.volume_name.as_str(), pvc.status_capacity), ("pv", storage("20Gi")));
    for (meta, key) in [
        (&pv.meta, annotation::BOUND_BY_CONTROLLER),
        (&pvc.meta, annotation::BOUND_BY_CONTROLLER),
        (&pvc.meta, annotation::BIND_COMPLETED),
    ] {
        assert_eq!(meta.annotations.get(key).map(Str::as_str), Some("yes"), "{key}");
    }
    h.clear_log();
    h.advance_secs(3600);
    assert!(h.log.is_empty(), "what is bound costs nothing: {:?}", h.writes(Kind::PersistentVolumeClaim));
}

#[test]
fn the_smallest_volume_of_the_narrowest_modes_is_taken() {
    // autoscaling-storage.md §5.3, on the controller's path: claimRef, size, mode, attributes, class, selector, access modes.
    type Edit = fn(&mut PersistentVolume);
    type Wish = fn(&mut PersistentVolumeClaim);
    let many: Edit = |v| v.access_modes.push(AccessMode::ReadWriteMany);
    let keep: Edit = |_| {};
    let any: Wish = |_| {};
    let cases: &[(&str, &[(&str, &str, Edit)], Wish, Option<&str>)] = &[
        ("smallest", &[("a", "100Gi", keep), ("b", "20Gi", keep), ("c", "50Gi", keep)], any, Some("b")),
        ("too small", &[("a", "5Gi", keep)], any, None),
        ("modes before size", &[("a", "20Gi", many), ("b", "100Gi", keep)], any, Some("b")),
        ("modes", &[("a", "20Gi", keep)], |c| c.spec.access_modes = vec![AccessMode::ReadWriteMany], None),
        ("class", &[("a", "20Gi", |v| v.storage_class = "other".into())], any, None),
        ("mode", &[("a", "20Gi", |v| v.block = true)], any, None),
        ("attributes", &[("a", "20Gi", |v| v.attributes_class = Some("gold".into()))], any, None),
        (
            "selector",
            &[("a", "20Gi", keep), ("b", "30Gi", |v| v.meta.labels = testkit::labels("disk=ssd"))],
            |c| c.spec.selector = Some(LabelSelector::parse("disk=ssd").unwrap()),
            Some("b"),
        ),
        (
            "reserved by name",
            &[("a", "20Gi", keep), ("b", "90Gi", |v| v.claim_ref = reserved_for("data", ""))],
            any,
            Some("b"),
        ),
        ("another's", &[("a", "20Gi", |v| v.claim_ref = reserved_for("other", ""))], any, None),
        ("another life's", &[("a", "20Gi", |v| v.claim_ref = reserved_for("data", "gone"))], any, None),
    ];
    for (name, volumes, wish, expected) in cases {
        let mut h = harness();
        for (volume_name, size, edit) in *volumes {
            let mut pv = volume(volume_name, "static", size);
            edit(&mut pv);
            h.store.create(pv).unwrap();
        }
        h.advance_millis(100);
        let mut pvc = claim("data", Some("static"));
        wish(&mut pvc);
        h.store.create(pvc).unwrap();
        h.advance_millis(100);
        let bound = live_claim(&h, "data").spec.volume_name;
        assert_eq!(bound.as_str(), expected.unwrap_or(""), "{name}");
    }
}

#[test]
fn claims_say_whom_they_wait_for() {
    // autoscaling-storage.md §5.4, unbound claim without a volume's name.
    let external = "ExternalProvisioning: Waiting for a volume to be created either by the external provisioner \
                    'disk.example.com' or manually by the system administrator. If volume creation is delayed, please \
                    verify that the provisioner is running and correctly registered.";
    let none = "FailedBinding: no persistent volumes available for this claim and no storage class is set";
    let cases: &[(&str, Option<&str>, &[&str], &str)] = &[
        ("no class", Some(""), &[], none),
        ("class unset and no default", None, &[], none),
        ("immediate", Some("now"), &[], external),
        (
            "delayed",
            Some("later"),
            &[],
            "WaitForFirstConsumer: waiting for first consumer to be created before binding",
        ),
        ("a Pod", Some("later"), &["a"], "WaitForPodScheduled: waiting for pod a to be scheduled"),
        ("Pods", Some("later"), &["a", "b"], "WaitForPodScheduled: waiting for pods a,b to be scheduled"),
        ("absent", Some("nope"), &[], "ProvisioningFailed: storageclass.storage.k8s.io \"nope\" not found"),
        (
            "by hand",
            Some("hand"),
            &[],
            "ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner",
        ),
    ];
    for (name, storage_class, pods, expected) in cases {
        let mut h = harness();
        for (class_name, provisioner, wait) in [
            ("now", "disk.example.com", false),
            ("later", "disk.example.com", true),
            ("hand", "kubernetes.io/no-provisioner", false),
        ] {
            h.store.create(class(class_name, provisioner, wait)).unwrap();
        }
        for pod in *pods {
            h.store.create(pod_with(pod, "data", None)).unwrap();
        }
        h.store.create(claim("data", *storage_class)).unwrap();
        h.advance_millis(100);
        assert_eq!(h.events(), [*expected], "{name}");
        assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Pending, "{name}");
    }
}

/// autoscaling-storage.md §5.4: resync.
#[test]
fn waiting_claims_are_looked_at_every_fifteen_seconds() {
    let mut h = harness();
    h.store.create(claim("data", Some(""))).unwrap();
    h.advance_secs(40);
    let counts: Vec<i32> = h.store.events().map(|e| e.count).collect();
    assert_eq!(counts, [3], "at once, at 15 s and at 30 s");
    h.store.create(volume("pv", "", "10Gi")).unwrap();
    h.advance_secs(4);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Pending, "a new volume wakes no claim");
    h.advance_secs(2);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Bound);
}

/// autoscaling-storage.md §5.4, §5.3 step 8, §7.42: free volumes are not for claims of a delayed class.
#[test]
fn a_chosen_node_sets_the_provisioner_off() {
    let mut h = harness();
    h.store.create(class("later", "disk.example.com", true)).unwrap();
    h.store.create(volume("pv", "later", "10Gi")).unwrap();
    h.store.create(claim("data", Some("later"))).unwrap();
    h.advance_millis(100);
    assert_eq!(
        live_claim(&h, "data").phase,
        ClaimPhase::Pending,
        "free volumes are the scheduler's to choose"
    );
    h.store
        .update::<PersistentVolumeClaim>(&ObjectKey::new("default", "data"), |c| {
            c.meta.annotations = c.meta.annotations.with(annotation::SELECTED_NODE, "n1");
        })
        .unwrap();
    h.advance_millis(100);
    let pvc = live_claim(&h, "data");
    for key in [annotation::STORAGE_PROVISIONER, annotation::STORAGE_PROVISIONER_BETA] {
        assert_eq!(pvc.meta.annotations.get(key).map(Str::as_str), Some("disk.example.com"));
    }
    assert_eq!(h.events_of("ExternalProvisioning").len(), 1);
}

#[test]
fn in_tree_classes_are_the_drivers() {
    let mut h = harness();
    h.store.create(class("gp2", "kubernetes.io/aws-ebs", false)).unwrap();
    h.store.create(claim("data", Some("gp2"))).unwrap();
    h.advance_millis(100);
    let provisioner = live_claim(&h, "data").meta.annotations.get(annotation::STORAGE_PROVISIONER).cloned();
    assert_eq!(provisioner.as_deref(), Some("ebs.csi.aws.com"));
}

/// autoscaling-storage.md §5.4: the default class is assigned retroactively.
#[test]
fn the_default_class_is_assigned_also_later() {
    let mut h = harness();
    h.store.create(claim("data", None)).unwrap();
    h.advance_secs(1);
    assert_eq!(h.events_of("FailedBinding").len(), 1);
    let mut default = class("gp3", "disk.example.com", false);
    default.meta.annotations = default.meta.annotations.with(annotation::DEFAULT_CLASS, "true");
    h.store.create(default).unwrap();
    h.advance_secs(15);
    assert_eq!(live_claim(&h, "data").spec.storage_class.as_deref(), Some("gp3"));
    assert_eq!(h.events_of("ExternalProvisioning").len(), 1);
}

#[test]
fn a_named_volume_must_satisfy_the_claim() {
    // autoscaling-storage.md §5.4, unbound claim with spec.volumeName.
    type Edit = fn(&mut PersistentVolume);
    let mismatch = |why: &str| format!("VolumeMismatch: Cannot bind to requested volume \"pv\": {why}");
    let cases: &[(Edit, String)] = &[
        (|v| v.capacity = storage("1Gi"), mismatch("requested PV is too small")),
        (|v| v.storage_class = "other".into(), mismatch("storageClassName does not match")),
        (|v| v.block = true, mismatch("incompatible volumeMode")),
        (|v| v.access_modes = vec![AccessMode::ReadOnlyMany], mismatch("incompatible accessMode")),
        (|v| v.attributes_class = Some("gold".into()), mismatch("volumeAttributesClassName does not match")),
        (
            |v| v.claim_ref = reserved_for("other", "u"),
            "FailedBinding: volume \"pv\" already bound to a different claim.".to_owned(),
        ),
    ];
    for (edit, expected) in cases {
        let mut h = harness();
        let mut pv = volume("pv", "static", "10Gi");
        edit(&mut pv);
        let mut pvc = claim("data", Some("static"));
        pvc.spec.volume_name = "pv".into();
        h.store.create(pv).unwrap();
        h.store.create(pvc).unwrap();
        h.advance_millis(100);
        assert_eq!(h.events(), [expected.as_str()]);
        assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Pending);
    }
}

/// autoscaling-storage.md §5.4: the volume that is named is absent.
#[test]
fn a_named_volume_may_come_later_and_is_not_marked_as_chosen_here() {
    let mut h = harness();
    let mut pvc = claim("data", Some("static"));
    pvc.spec.volume_name = "pv".into();
    h.store.create(pvc).unwrap();
    h.advance_secs(1);
    assert!(h.events().is_empty());
    let mut pv = volume("pv", "static", "10Gi");
    pv.claim_ref = reserved_for("data", "");
    h.store.create(pv).unwrap();
    h.advance_secs(15);
    let (pv, pvc) = (live_volume(&h, "pv"), live_claim(&h, "data"));
    assert_eq!((pv.phase, pvc.phase), (VolumePhase::Bound, ClaimPhase::Bound));
    assert!(!pv.meta.annotations.contains_key(annotation::BOUND_BY_CONTROLLER));
    assert!(!pvc.meta.annotations.contains_key(annotation::BOUND_BY_CONTROLLER));
    assert!(pvc.meta.annotations.contains_key(annotation::BIND_COMPLETED));
}

/// A claim and a volume that are bound to each other.
fn bound(policy: ReclaimPolicy) -> Harness {
    let mut h = harness();
    let mut pv = volume("pv", "static", "10Gi");
    pv.reclaim_policy = policy;
    h.store.create(pv).unwrap();
    h.store.create(claim("data", Some("static"))).unwrap();
    h.advance_secs(15);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Bound);
    h
}

/// autoscaling-storage.md §5.4: the volume of a bound claim is gone.
#[test]
fn a_claim_whose_volume_is_gone_is_lost() {
    let mut h = bound(ReclaimPolicy::Retain);
    remove::<PersistentVolume>(&mut h, &ObjectKey::cluster("pv"));
    h.advance_secs(60);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Lost);
    let lost = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
    assert_eq!(h.events_of("ClaimLost"), [lost]);
    let mut pv = volume("pv", "static", "10Gi");
    pv.claim_ref = reserved_for("data", "somebody else");
    h.store.create(pv).unwrap();
    h.advance_secs(60);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Lost, "it is not this claim's volume");
}

/// autoscaling-storage.md §5.4, PV phases: Retain; §7.39.
#[test]
fn a_released_volume_is_retained_and_never_taken_again() {
    let mut h = bound(ReclaimPolicy::Retain);
    remove::<PersistentVolumeClaim>(&mut h, &ObjectKey::new("default", "data"));
    h.advance_secs(1);
    assert_eq!(live_volume(&h, "pv").phase, VolumePhase::Released);
    h.store.create(claim("data", Some("static"))).unwrap();
    h.advance_secs(60);
    assert_eq!(
        live_claim(&h, "data").phase,
        ClaimPhase::Pending,
        "a new claim of the name has another identity"
    );
    // An administrator clears the reference.
    h.store.update::<PersistentVolume>(&ObjectKey::cluster("pv"), |v| v.claim_ref = None).unwrap();
    h.advance_secs(60);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Bound);
}

#[test]
fn what_cannot_be_deleted_fails_and_says_so() {
    // autoscaling-storage.md §5.4, PV phases: Delete.
    type Case = (PvSource, &'static str, Option<&'static str>);
    use crate::api::storage::PvSource;
    let nfs = PvSource::Nfs { server: "s".into(), path: "/".into() };
    let cases: Vec<Case> = vec![
        (
            nfs,
            "Failed",
            Some("error getting deleter volume plugin for volume \"pv\": no deletable volume plugin matched"),
        ),
        (
            PvSource::HostPath("/data".into()),
            "Failed",
            Some("host_path deleter only supports /tmp/.+ but received provided /data"),
        ),
        (PvSource::HostPath("/tmp/x".into()), "", None),
        (PvSource::Csi { driver: "d".into(), handle: "h".into() }, "Released", None),
    ];
    for (source, phase, event) in cases {
        let mut h = bound(ReclaimPolicy::Delete);
        h.store
            .update::<PersistentVolume>(&ObjectKey::cluster("pv"), |v| {
                v.source = source;
                v.meta.finalizers.clear();
            })
            .unwrap();
        remove::<PersistentVolumeClaim>(&mut h, &ObjectKey::new("default", "data"));
        h.advance_secs(60);
        let live = h.store.find::<PersistentVolume>("", "pv").map_or("", |v| v.phase.as_str());
        assert_eq!(live, phase);
        assert_eq!(h.events_of("VolumeFailedDelete"), event.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_volume_whose_claim_is_bound_elsewhere_is_given_back_or_dropped() {
    for (provisioned, expected) in [(false, "Available"), (true, "Released")] {
        let mut h = bound(ReclaimPolicy::Retain);
        let uid = live_claim(&h, "data").meta.uid.clone();
        let mut other = volume("other", "static", "10Gi");
        other.claim_ref = reserved_for("data", &uid);
        other.reclaim_policy = ReclaimPolicy::Delete;
        if provisioned {
            other.meta.annotations =
                other.meta.annotations.with(annotation::PROVISIONED_BY, "disk.example.com");
        }
        h.store.create(other).unwrap();
        h.advance_secs(1);
        assert_eq!(live_volume(&h, "other").phase.as_str(), expected);
    }
}

/// autoscaling-storage.md §5.4, §5.3: a volume that is being deleted is nobody's choice.
#[test]
fn a_volume_that_is_being_deleted_is_not_bound() {
    for named in [true, false] {
        let mut h = harness();
        let mut pv = volume("pv", "static", "10Gi");
        pv.meta.finalizers.push("example.com/held".into());
        let key = h.store.create(pv).unwrap().meta.key();
        h.advance_millis(100);
        h.store.delete::<PersistentVolume>(&key, &force()).unwrap();
        let mut pvc = claim("data", Some("static"));
        pvc.spec.volume_name = if named { "pv".into() } else { Str::new() };
        h.store.create(pvc).unwrap();
        h.advance_millis(100);
        let why = "Cannot bind to requested volume \"pv\": the volume is marked for deletion \"pv\"";
        assert_eq!(h.events_of("VolumeMismatch"), if named { vec![why] } else { vec![] });
        assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Pending);
    }
}

/// autoscaling-storage.md §5.4: a named volume is bound without a look at the claim's selector.
#[test]
fn a_named_volume_is_bound_whatever_the_selector_says() {
    let mut h = harness();
    h.store.create(volume("pv", "static", "10Gi")).unwrap();
    let mut pvc = claim("data", Some("static"));
    pvc.spec.volume_name = "pv".into();
    pvc.spec.selector = Some(LabelSelector::parse("disk=ssd").unwrap());
    h.store.create(pvc).unwrap();
    h.advance_millis(100);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Bound);
}

/// autoscaling-storage.md §5.4: a bound claim whose volume belongs to another is lost.
#[test]
fn two_claims_of_one_volume_are_one_too_many() {
    let mut h = bound(ReclaimPolicy::Retain);
    h.store
        .update::<PersistentVolume>(&ObjectKey::cluster("pv"), |v| {
            v.claim_ref = reserved_for("other", "another uid");
        })
        .unwrap();
    h.store
        .update::<PersistentVolumeClaim>(&ObjectKey::new("default", "data"), |c| {
            c.meta.annotations = c.meta.annotations.with("touched", "yes");
        })
        .unwrap();
    h.advance_secs(1);
    assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Lost);
    let why = "Two claims are bound to the same volume, this one is bound incorrectly";
    assert_eq!(h.events_of("ClaimMisbound"), [why]);
}

/// autoscaling-storage.md §5.4: a volume that an administrator has reserved by name stays Available until the claim comes.
#[test]
fn a_volume_that_is_reserved_waits_for_its_claim() {
    let mut h = harness();
    let mut pv = volume("pv", "static", "10Gi");
    pv.claim_ref = reserved_for("data", "");
    h.store.create(pv).unwrap();
    h.advance_secs(60);
    assert_eq!(live_volume(&h, "pv").phase, VolumePhase::Available);
    h.store.create(claim("other", Some("static"))).unwrap();
    h.advance_secs(60);
    assert_eq!(live_claim(&h, "other").phase, ClaimPhase::Pending, "another claim does not get it");
    h.store.create(claim("data", Some("static"))).unwrap();
    h.advance_millis(100);
    assert_eq!(live_claim(&h, "data").spec.volume_name, "pv");
}

/// autoscaling-storage.md §5.4, Recycle: the volume is scrubbed and free again.
#[test]
fn a_recycled_volume_is_available_again() {
    use crate::api::storage::PvSource;
    let mut h = bound(ReclaimPolicy::Recycle);
    let nfs = PvSource::Nfs { server: "s".into(), path: "/".into() };
    h.store.update::<PersistentVolume>(&ObjectKey::cluster("pv"), |v| v.source = nfs).unwrap();
    remove::<PersistentVolumeClaim>(&mut h, &ObjectKey::new("default", "data"));
    h.advance_secs(5);
    assert_eq!(h.events_of("VolumeRecycled"), ["Volume recycled"]);
    assert_eq!(live_volume(&h, "pv").phase, VolumePhase::Available);
    h.store.create(claim("next", Some("static"))).unwrap();
    h.advance_secs(1);
    assert_eq!(live_claim(&h, "next").phase, ClaimPhase::Bound);
}
