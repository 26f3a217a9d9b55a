use super::*;
use crate::api::condition::{self, Condition};
use crate::api::node::{TAINT_OUT_OF_SERVICE, ZONE_LABEL};
use crate::api::selector::{NodeSelectorTerm, Operator, Requirement};
use crate::api::storage::{AccessMode, CsiNode, PvSource};
use crate::api::{ConditionStatus, ContainerState, ContainerStatus, Meta, NodeSelector, Taint, TaintEffect};
use crate::controller::testing::Harness;
use crate::controller::volume::attacher::Attacher;
use crate::controller::volume::binder::Binder;
use crate::controller::volume::testing::{
    attachments, claim, live_claim, pod_with, put_node, reserved_for, volume,
};
use crate::params::{Delay, DriverChange, Operation, Operations};
use crate::store::DeleteOptions;
use crate::testkit;

const SECOND: Delay = Delay::millis(1000);
const DRIVER: &str = "disk.example.com";
const UNIQUE: &str = "kubernetes.io/csi/disk.example.com^h-pv";

/// Two nodes, and a volume bound to the claim `data`.
fn cluster() -> Harness {
    cluster_where(Operations::default())
}

/// The same with a driver that does otherwise than usual.
fn cluster_where(operations: Operations) -> Harness {
    let sync = SimDuration::from_mins(1);
    let mut h = Harness::new(vec![
        Binder::boxed(),
        AttachDetach::boxed(sync),
        Attacher::boxed(SECOND, SECOND, operations),
    ]);
    for node in ["n1", "n2"] {
        put_node(&mut h, node, "a", DRIVER, &[ZONE_LABEL]);
    }
    let mut pv = volume("pv", "static", "10Gi");
    pv.claim_ref = reserved_for("data", "");
    h.store.create(pv).unwrap();
    put_claim(&mut h, "data", "pv");
    h
}

/// A claim that names its volume, a second later.
fn put_claim(h: &mut Harness, name: &str, volume: &str) {
    let mut pvc = claim(name, Some("static"));
    pvc.spec.volume_name = volume.into();
    h.store.create(pvc).unwrap();
    h.advance_secs(1);
}

/// A running Pod with the claim.
fn run(h: &mut Harness, name: &str, node: &str) {
    let mut pod = pod_with(name, "data", Some(node));
    pod.status.containers = vec![testkit::container_status("main", 0)];
    h.store.create(pod).unwrap();
    h.settle();
}

fn remove(h: &mut Harness, name: &str) {
    h.remove_pod(&ObjectKey::new("default", name));
    h.settle();
}

fn node(h: &Harness, name: &str) -> Node {
    (**h.store.find::<Node>("", name).unwrap()).clone()
}

fn edit_node(h: &mut Harness, name: &str, edit: impl FnOnce(&mut Node)) {
    h.store.update::<Node>(&ObjectKey::cluster(name), edit).unwrap();
    h.settle();
}

/// What the kubelet says that it uses.
fn in_use(h: &mut Harness, name: &str, used: bool) {
    edit_node(h, name, |n| n.status.volumes_in_use = used.then(|| Str::from(UNIQUE)).into_iter().collect());
}

fn make_unready(h: &mut Harness, name: &str) {
    let at = h.store.timestamp();
    edit_node(h, name, |n| {
        let unknown = Condition::new("Ready", ConditionStatus::Unknown, "NodeStatusUnknown", "", at);
        condition::set(&mut n.status.conditions, unknown);
    });
}

/// Facts §7.12.
#[test]
fn a_volume_is_attached_where_a_pod_wants_it_and_the_node_is_told() {
    // autoscaling-storage.md §5.7: name of the attachment, success, finalizers of 5.11.
    let mut h = cluster();
    run(&mut h, "web", "n1");
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1"]);
    let attachment = h.store.list::<VolumeAttachment>().next().unwrap().clone();
    // sha256 of handle, driver and node.
    let hash = crate::base::sha256::hex("h-pvdisk.example.comn1");
    assert_eq!(attachment.meta.name, format!("csi-{hash}").as_str());
    assert_eq!(attachment.meta.finalizers, ["external-attacher/disk-example-com"]);
    h.advance_millis(1000);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
    h.advance_millis(700);
    assert_eq!(h.events_of("SuccessfulAttachVolume"), ["AttachVolume.Attach succeeded for volume \"pv\" "]);
    assert_eq!(node(&h, "n1").status.volumes_attached, [UNIQUE]);
    h.clear_log();
    h.advance_secs(3600);
    assert!(h.log.is_empty(), "what is attached costs nothing");
}

#[test]
fn a_volume_that_nobody_wants_is_detached_once_the_kubelet_lets_it_go() {
    // autoscaling-storage.md §5.7, detach is allowed when.
    let mut h = cluster();
    run(&mut h, "web", "n1");
    h.advance_secs(3);
    in_use(&mut h, "n1", true);
    remove(&mut h, "web");
    h.advance_secs(3600);
    assert_eq!(attachments(&h), ["pv on n1 attached"], "a healthy node is waited for without limit");
    in_use(&mut h, "n1", false);
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1 deleting"]);
    assert!(node(&h, "n1").status.volumes_attached.is_empty(), "the node is told first");
    h.advance_millis(1000);
    assert!(attachments(&h).is_empty());
}

/// autoscaling-storage.md §5.7: a Pod leaves the desired state when it ends.
#[test]
fn an_ended_pod_wants_nothing() {
    let mut h = cluster();
    run(&mut h, "web", "n1");
    h.advance_secs(3);
    let key = ObjectKey::new("default", "web");
    h.store.delete::<Pod>(&key, &DeleteOptions::default()).unwrap();
    h.advance_secs(10);
    assert_eq!(attachments(&h), ["pv on n1 attached"], "its containers still run");
    h.store
        .update::<Pod>(&key, |pod| {
            let waiting = ContainerState::Waiting { reason: "x".into(), message: "".into() };
            pod.status.containers.iter_mut().for_each(|c: &mut ContainerStatus| c.state = waiting.clone());
        })
        .unwrap();
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1 deleting"]);
}

/// Facts §7.12.
#[test]
fn a_disk_has_one_node_and_the_second_is_told_so_once() {
    // autoscaling-storage.md §5.7, exclusive volumes.
    let mut h = cluster();
    run(&mut h, "old", "n1");
    h.advance_secs(3);
    run(&mut h, "new", "n2");
    h.advance_secs(60);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
    let said = "Multi-Attach error for volume \"pv\" Volume is already used by pod(s) old";
    let events: Vec<_> = h.store.events().filter(|e| e.reason == "FailedAttachVolume").collect();
    assert_eq!((events.len(), events[0].count, events[0].message.as_str()), (1, 1, said));
    assert_eq!(events[0].regarding.name, "new");
    remove(&mut h, "old");
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1 deleting"]);
    h.advance_secs(4);
    assert_eq!(attachments(&h), ["pv on n2 attached"]);
}

#[test]
fn two_pods_of_one_node_share_a_disk() {
    // autoscaling-storage.md §5.7: RWO means one node, not one Pod.
    let mut h = cluster();
    run(&mut h, "a", "n1");
    run(&mut h, "b", "n1");
    h.advance_secs(3);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
    assert_eq!(h.store.events().filter(|e| e.reason == "SuccessfulAttachVolume").count(), 2);
    remove(&mut h, "a");
    h.advance_secs(3);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
}

/// autoscaling-storage.md §5.7, §5.10: ReadWriteMany is not exclusive.
#[test]
fn a_shared_volume_goes_to_many_nodes() {
    let mut h = cluster();
    h.store
        .update::<PersistentVolume>(&ObjectKey::cluster("pv"), |v| {
            v.access_modes.push(AccessMode::ReadWriteMany)
        })
        .unwrap();
    run(&mut h, "a", "n1");
    run(&mut h, "b", "n2");
    h.advance_secs(3);
    assert_eq!(attachments(&h), ["pv on n1 attached", "pv on n2 attached"]);
}

/// Facts §7.12.
#[test]
fn the_users_of_a_disk_are_named_as_far_as_the_pod_may_know() {
    // autoscaling-storage.md §5.7, the table of texts.
    let pods = |list: &[(&str, &str)]| -> Vec<Arc<Pod>> {
        list.iter()
            .map(|(namespace, name)| {
                let mut pod = testkit::pod(name, "a=b");
                pod.meta = Meta::named(*namespace, *name);
                Arc::new(pod)
            })
            .collect()
    };
    for (others, expected) in [
        (&[][..], "Volume is already exclusively attached to one node and can't be attached to another"),
        (&[("own", "b"), ("own", "a")], "Volume is already used by pod(s) a, b"),
        (&[("x", "a"), ("y", "b")], "Volume is already used by 2 pod(s) in different namespaces"),
        (
            &[("own", "a"), ("y", "b")],
            "Volume is already used by pod(s) a and 1 pod(s) in different namespaces",
        ),
    ] {
        let pods = pods(others);
        assert_eq!(words::users(&pods.iter().collect::<Vec<_>>(), "own"), expected);
    }
}

/// A volume in use on a node that has failed, wanted on another.
fn failed_node() -> Harness {
    let mut h = cluster();
    run(&mut h, "old", "n1");
    h.advance_secs(3);
    in_use(&mut h, "n1", true);
    make_unready(&mut h, "n1");
    run(&mut h, "new", "n2");
    h
}

/// Facts §7.12.
#[test]
fn a_dead_node_is_waited_for_six_minutes() {
    // autoscaling-storage.md §5.7 and 5.9: the span begins when the Pod is gone.
    let mut h = failed_node();
    h.advance_secs(600);
    assert_eq!(attachments(&h), ["pv on n1 attached"], "the Pod on the dead node still wants it");
    remove(&mut h, "old");
    h.advance_secs(359);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
    h.advance_secs(2);
    assert_eq!(attachments(&h), ["pv on n1 deleting"]);
    h.advance_secs(4);
    assert_eq!(attachments(&h), ["pv on n2 attached"]);
}

/// autoscaling-storage.md §5.7, §7.37: a healthy node is waited for without limit.
#[test]
fn a_node_that_comes_back_in_time_lets_go_by_itself() {
    let mut h = failed_node();
    remove(&mut h, "old");
    h.advance_secs(300);
    let at = h.store.timestamp();
    edit_node(&mut h, "n1", |n| {
        let ready = Condition::new("Ready", ConditionStatus::True, "KubeletReady", "", at);
        condition::set(&mut n.status.conditions, ready);
    });
    h.advance_secs(300);
    assert_eq!(attachments(&h), ["pv on n1 attached"], "a healthy node is never forced");
    in_use(&mut h, "n1", false);
    h.advance_secs(5);
    assert_eq!(attachments(&h), ["pv on n2 attached"]);
}

/// Facts §7.12.
#[test]
fn the_out_of_service_taint_ends_the_wait_at_once() {
    // autoscaling-storage.md §5.7: the key is tested, the effect is not.
    let mut h = failed_node();
    remove(&mut h, "old");
    h.advance_secs(10);
    let taint = Taint {
        key: TAINT_OUT_OF_SERVICE.into(),
        value: "nodeshutdown".into(),
        effect: TaintEffect::NoSchedule,
        time_added: None,
    };
    edit_node(&mut h, "n1", |n| n.taints.push(taint));
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1 deleting"]);
}

/// autoscaling-storage.md §5.9: the Node is deleted.
#[test]
fn a_deleted_node_is_waited_for_too() {
    let mut h = failed_node();
    h.store.delete::<Node>(&ObjectKey::cluster("n1"), &DeleteOptions::default()).unwrap();
    remove(&mut h, "old");
    h.advance_secs(300);
    assert_eq!(attachments(&h), ["pv on n1 attached"], "it said last that it used the volume");
    h.advance_secs(65);
    assert_eq!(attachments(&h), ["pv on n2 attached"]);
}

/// Facts §7.12.
/// autoscaling-storage.md §5.7: the state is reconciled with the cloud every minute.
#[test]
fn an_attachment_that_somebody_deletes_is_missed_within_a_minute() {
    let mut h = cluster();
    run(&mut h, "web", "n1");
    h.advance_secs(3);
    let name = h.store.list::<VolumeAttachment>().next().unwrap().meta.key();
    h.store.delete::<VolumeAttachment>(&name, &DeleteOptions::default()).unwrap();
    h.advance_secs(2);
    assert!(attachments(&h).is_empty());
    h.advance_secs(60);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
}

/// Facts §7.12.
/// autoscaling-storage.md §5.7: the wait for an attachment.
#[test]
fn an_attacher_that_never_answers_is_given_up_after_two_minutes() {
    let mut h = cluster();
    let key = ObjectKey::cluster("disk.example.com");
    h.manager = crate::controller::Manager::new(
        vec![AttachDetach::boxed(SimDuration::from_mins(1))],
        crate::controller::manager::ManagerConfig::default(),
        h.store.now(),
    );
    assert!(h.store.get::<CsiDriver>(&key).is_none());
    run(&mut h, "web", "n1");
    h.advance_secs(121);
    let why = "AttachVolume.Attach failed for volume \"pv\" : timed out waiting for external-attacher of disk.example.com CSI \
               driver to attach volume h-pv";
    assert_eq!(h.events_of("FailedAttachVolume"), [why]);
}

#[test]
fn drivers_that_do_not_attach_have_no_attachments() {
    // autoscaling-storage.md §5.10: EFS, NFS.
    for source in [
        PvSource::Csi { driver: "efs.csi.aws.com".into(), handle: "fs-1".into() },
        PvSource::Nfs { server: "s".into(), path: "/".into() },
        PvSource::Local("/mnt".into()),
        PvSource::HostPath("/data".into()),
    ] {
        let mut h = cluster();
        h.store.update::<PersistentVolume>(&ObjectKey::cluster("pv"), |v| v.source = source).unwrap();
        run(&mut h, "web", "n1");
        h.advance_secs(5);
        assert!(attachments(&h).is_empty());
    }
}

#[test]
fn looks_lie_half_a_second_apart_and_more() {
    let now = SimTime::from_secs(10);
    let seed = crate::kernel::Seed(1);
    let look = |at: u64| {
        let mut operation = world::Operation::new(world::Doing::Attach, Vec::new(), now);
        operation.next_look(now + SimDuration::from_millis(at), seed, "pv", "n").since(now).as_millis()
    };
    assert!((500..=550).contains(&look(0)), "{}", look(0));
    assert!((1025..=1128).contains(&look(700)), "{}", look(700));
    assert!((1576..=1734).contains(&look(1200)), "{}", look(1200));
    assert_eq!(look(119_999), 120_000, "never after the deadline");
}

/// Another driver, or nodes without it.
fn ebs_cluster(zone: &str, listed: &[&str]) -> Harness {
    let sync = SimDuration::from_mins(1);
    let attacher = Attacher::boxed(SECOND, SECOND, Operations::default());
    let mut h = Harness::new(vec![Binder::boxed(), AttachDetach::boxed(sync), attacher]);
    for node in ["n1", "n2"] {
        let driver = if listed.contains(&node) { drivers::EBS } else { "other.example.com" };
        put_node(&mut h, node, "a", driver, &[ZONE_LABEL]);
    }
    let mut pv = volume("pv", "static", "10Gi");
    pv.claim_ref = reserved_for("data", "");
    pv.source = PvSource::Csi { driver: drivers::EBS.into(), handle: "vol-1".into() };
    let expression =
        Requirement { key: ZONE_LABEL.into(), operator: Operator::In, values: vec![zone.into()] };
    let term = NodeSelectorTerm { expressions: vec![expression], fields: Vec::new() };
    pv.node_affinity = Some(NodeSelector { terms: vec![term] });
    h.store.create(pv).unwrap();
    put_claim(&mut h, "data", "pv");
    run(&mut h, "web", "n1");
    h
}

/// autoscaling-storage.md §5.6, §5.10: EBS lies in one zone. A Pod that names its node comes past the scheduler, not past EC2.
#[test]
fn a_disk_of_another_zone_is_not_attached() {
    let mut h = ebs_cluster("b", &["n1", "n2"]);
    h.advance_secs(5);
    let said = h.events_of("FailedAttachVolume");
    let front = "AttachVolume.Attach failed for volume \"pv\" : rpc error: code = Internal desc = Could not attach volume \"vol-1\" to node \"n1\"";
    let end = "api error InvalidVolume.ZoneMismatch: The volume 'vol-1' is not in the same availability zone as instance 'n1'";
    assert!(said[0].starts_with(front) && said[0].ends_with(end), "{said:?}");
    assert_eq!(attachments(&h), ["pv on n1"]);
}

/// autoscaling-storage.md §5.6: before the driver has registered on a node, the attacher does not know the machine.
#[test]
fn a_node_whose_driver_has_not_registered_gets_no_disk() {
    let mut h = ebs_cluster("a", &["n2"]);
    h.advance_secs(5);
    let why =
        "AttachVolume.Attach failed for volume \"pv\" : CSINode n1 does not contain driver ebs.csi.aws.com";
    assert_eq!(h.events_of("FailedAttachVolume")[0], why);
    let listed = h.store.find::<CsiNode>("", "n2").unwrap().drivers.clone();
    h.store.update::<CsiNode>(&ObjectKey::cluster("n1"), |n| n.drivers = listed).unwrap();
    h.advance_secs(60);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
}

/// autoscaling-storage.md §5.7: external-attacher tries again after 1 s, 2 s, 4 s …; the controller, whose own pauses are
/// 0.5 s, 1 s, 2 s …, reads the last error of the attachment each time it looks.
#[test]
fn attachers_try_again_after_twice_the_time() {
    let mut h = ebs_cluster("b", &["n1", "n2"]);
    h.advance_secs(60);
    let tries = |h: &Harness| {
        let of = |c: &&Change| {
            c.of::<VolumeAttachment>().is_some_and(|(_, new)| new.is_some_and(|a| !a.attach_error.is_empty()))
        };
        h.log.iter().filter(of).map(|c| c.at.as_secs_f64() as u64).collect::<Vec<_>>()
    };
    let at = tries(&h);
    assert!(
        at.len() == 6 && at.windows(2).map(|w| w[1] - w[0]).eq([2, 3, 5, 9, 17]),
        "a second each, and 1, 2, 4, 8, 16 s between: {at:?}"
    );
    let events = h.store.events().filter(|e| e.reason == "FailedAttachVolume");
    let said: i32 = events.map(|e| e.count).sum();
    assert!((6..20).contains(&said), "{said}");
}

/// autoscaling-storage.md §5.7: in one pass what is not wanted is detached before anything is attached.
#[test]
fn detaching_comes_before_attaching() {
    let mut h = cluster();
    run(&mut h, "old", "n1");
    h.advance_secs(3);
    remove(&mut h, "old");
    run(&mut h, "new", "n2");
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1 deleting"], "the disk goes first");
    assert!(h.events_of("FailedAttachVolume").is_empty(), "and so nobody is told of a Multi-Attach");
    h.advance_secs(4);
    assert_eq!(attachments(&h), ["pv on n2 attached"]);
}

/// autoscaling-storage.md §5.7: pauses after failures are an operation's own, `nestedpendingoperations.go`.
#[test]
fn a_disk_that_could_not_be_attached_is_let_go_without_waiting() {
    let refusing = DriverChange {
        driver: DRIVER.into(),
        error_rates: vec![(Operation::Attach, 1000)],
        ..DriverChange::default()
    };
    let mut h = cluster_where(Operations::new(vec![(SimTime::ZERO, refusing)]));
    run(&mut h, "old", "n1");
    h.advance_secs(40);
    assert!(!h.events_of("FailedAttachVolume").is_empty(), "and the next try lies far away");
    remove(&mut h, "old");
    run(&mut h, "new", "n2");
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1 deleting"], "it may be there after all, so it goes first");
    h.advance_secs(4);
    assert_eq!(attachments(&h), ["pv on n2"]);
}

/// autoscaling-storage.md §5.7: EC2 gives a disk to one machine, whatever the controllers believe.
#[test]
fn a_disk_that_is_with_another_machine_is_refused() {
    let mut h = ebs_cluster("a", &["n1", "n2"]);
    h.advance_secs(3);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
    let second = VolumeAttachment {
        meta: Meta::named("", "by-hand"),
        attacher: drivers::EBS.into(),
        node_name: "n2".into(),
        pv_name: "pv".into(),
        ..VolumeAttachment::default()
    };
    h.store.create(second).unwrap();
    h.advance_secs(3);
    let second = h.store.find::<VolumeAttachment>("", "by-hand").unwrap();
    let end = "api error VolumeInUse: vol-1 is already attached to an instance";
    assert!(!second.attached && second.attach_error.ends_with(end), "{second:?}");
}

/// autoscaling-storage.md §5.7, §7.49: one loop looks at all nodes, every 100 ms.
#[test]
fn one_pass_serves_all_nodes() {
    let mut h = cluster();
    let mut other = volume("pv2", "static", "10Gi");
    other.claim_ref = reserved_for("more", "");
    h.store.create(other).unwrap();
    put_claim(&mut h, "more", "pv2");
    h.advance_millis(14_010);
    assert_eq!(live_claim(&h, "more").phase, ClaimPhase::Bound);
    run(&mut h, "one", "n1");
    h.advance_millis(20);
    h.store.create(pod_with("two", "more", Some("n2"))).unwrap();
    h.advance_millis(200);
    let made = |c: &&Change| c.kind() == Kind::VolumeAttachment && c.verb == Verb::Added;
    let at: Vec<SimTime> = h.log.iter().filter(made).map(|c| c.at).collect();
    assert!(at.len() == 2 && at[0] == at[1], "in the same pass: {at:?}");
}

/// autoscaling-storage.md §5.7: external-attacher waits 15 s for a call (with the EBS chart six minutes) and makes it again.
#[test]
fn a_slow_attachment_is_asked_for_again() {
    for (driver, errors) in [(DRIVER, true), (drivers::EBS, false)] {
        let slow = DriverChange {
            driver: driver.into(),
            latencies: vec![(Operation::Attach, Delay::millis(40_000))],
            ..DriverChange::default()
        };
        let attacher = Attacher::boxed(SECOND, SECOND, Operations::new(vec![(SimTime::ZERO, slow)]));
        let mut h =
            Harness::new(vec![Binder::boxed(), AttachDetach::boxed(SimDuration::from_mins(1)), attacher]);
        put_node(&mut h, "n1", "a", driver, &[ZONE_LABEL]);
        let mut pv = volume("pv", "static", "10Gi");
        pv.source = PvSource::Csi { driver: driver.into(), handle: "vol-1".into() };
        pv.claim_ref = reserved_for("data", "");
        h.store.create(pv).unwrap();
        put_claim(&mut h, "data", "pv");
        run(&mut h, "web", "n1");
        h.advance_secs(39);
        let late = "AttachVolume.Attach failed for volume \"pv\" : rpc error: code = DeadlineExceeded desc = context deadline exceeded";
        let said = h.events_of("FailedAttachVolume");
        assert_eq!(said.first().map(String::as_str), errors.then_some(late), "{driver}");
        h.advance_secs(30);
        assert_eq!(attachments(&h), ["pv on n1 attached"], "{driver}");
    }
}
