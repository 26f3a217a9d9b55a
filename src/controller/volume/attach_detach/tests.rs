use super::*;
use crate::api::condition::{self, Condition};
use crate::api::node::ZONE_LABEL;
use crate::api::storage::AccessMode;
use crate::api::{ConditionStatus, ContainerState, ContainerStatus, Meta, Taint, TaintEffect};
use crate::controller::testing::Harness;
use crate::controller::volume::attacher::Attacher;
use crate::controller::volume::binder::Binder;
use crate::controller::volume::testing::{attachments, claim, pod_with, put_node, reserved_for, volume};
use crate::params::{Delay, Operations};
use crate::store::DeleteOptions;
use crate::testkit;

const SECOND: Delay = Delay::millis(1000);
const DRIVER: &str = "disk.example.com";
const UNIQUE: &str = "kubernetes.io/csi/disk.example.com^h-pv";

/// Two nodes, and a volume bound to the claim `data`.
fn cluster() -> Harness {
    let sync = SimDuration::from_mins(1);
    let mut h = Harness::new(vec![
        Binder::boxed(),
        AttachDetach::boxed(sync),
        Attacher::boxed(SECOND, SECOND, Operations::default()),
    ]);
    for node in ["n1", "n2"] {
        put_node(&mut h, node, "a", DRIVER, &[ZONE_LABEL]);
    }
    let mut pv = volume("pv", "static", "10Gi");
    pv.claim_ref = reserved_for("data", "");
    h.store.create(pv).unwrap();
    let mut pvc = claim("data", Some("static"));
    pvc.spec.volume_name = "pv".into();
    h.store.create(pvc).unwrap();
    h.advance_secs(1);
    h
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

#[test]
fn a_volume_is_attached_where_a_pod_wants_it_and_the_node_is_told() {
    // autoscaling-storage.md 5.7: name of the attachment, success, finalizers of 5.11.
    let mut h = cluster();
    run(&mut h, "web", "n1");
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1"]);
    let attachment = h.store.list::<VolumeAttachment>().next().unwrap().clone();
    // sha256 of handle, driver and node.
    let hash = crate::controller::volume::sha256::hex("h-pvdisk.example.comn1");
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
    // autoscaling-storage.md 5.7, detach is allowed when.
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

#[test]
fn a_disk_has_one_node_and_the_second_is_told_so_once() {
    // autoscaling-storage.md 5.7, exclusive volumes.
    let mut h = cluster();
    run(&mut h, "old", "n1");
    h.advance_secs(3);
    run(&mut h, "new", "n2");
    h.advance_secs(60);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
    let said = "Multi-Attach error for volume \"pv\" Volume is already used by pod(s) old";
    let events: Vec<_> =
        h.store.list::<crate::api::Event>().filter(|e| e.reason == "FailedAttachVolume").collect();
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
    // autoscaling-storage.md 5.7: RWO means one node, not one Pod.
    let mut h = cluster();
    run(&mut h, "a", "n1");
    run(&mut h, "b", "n1");
    h.advance_secs(3);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
    assert_eq!(
        h.store.list::<crate::api::Event>().filter(|e| e.reason == "SuccessfulAttachVolume").count(),
        2
    );
    remove(&mut h, "a");
    h.advance_secs(3);
    assert_eq!(attachments(&h), ["pv on n1 attached"]);
}

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

#[test]
fn the_users_of_a_disk_are_named_as_far_as_the_pod_may_know() {
    // autoscaling-storage.md 5.7, the table of texts.
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

#[test]
fn a_dead_node_is_waited_for_six_minutes() {
    // autoscaling-storage.md 5.7 and 5.9: the span begins when the Pod is gone.
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

#[test]
fn the_out_of_service_taint_ends_the_wait_at_once() {
    // autoscaling-storage.md 5.7: the key is tested, the effect is not.
    let mut h = failed_node();
    remove(&mut h, "old");
    h.advance_secs(10);
    let taint = Taint {
        key: OUT_OF_SERVICE.into(),
        value: "nodeshutdown".into(),
        effect: TaintEffect::NoSchedule,
        time_added: None,
    };
    edit_node(&mut h, "n1", |n| n.taints.push(taint));
    h.advance_millis(200);
    assert_eq!(attachments(&h), ["pv on n1 deleting"]);
}

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
    // autoscaling-storage.md 5.10: EFS, NFS.
    use crate::api::storage::PvSource;
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
