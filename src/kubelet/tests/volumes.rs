//! What stands between a Pod and its volumes. The sections are those of autoscaling-storage.md.

use super::*;
use crate::api::selector::{NodeSelectorTerm, Operator, Requirement};
use crate::api::storage::{
    AccessMode, ClaimPhase, CsiNodeDriver, PersistentVolume, PersistentVolumeClaim, PvSource,
    VolumeAttachment,
};
use crate::api::{NodeSelector, Taint, TaintEffect};
use crate::kubelet::recipe::Recipe;
use crate::params::{DriverChange, Operation, drivers};

const UNIQUE: &str = "kubernetes.io/csi/ebs.csi.aws.com^vol-1";

/// A Pod that mounts the claims `data`, and other volumes.
fn user(claims: &[&str]) -> Value {
    let volumes: Vec<Value> = claims
        .iter()
        .map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))
        .collect();
    let mounts: Vec<Value> =
        claims.iter().map(|name| json!({"name": name, "mountPath": format!("/{name}")})).collect();
    let mut spec = container(json!({ "volumeMounts": mounts }));
    spec["volumes"] = Value::Array(volumes);
    spec
}

fn claim(rig: &mut Rig, name: &str) {
    let meta = Meta::named("default", name);
    rig.store.create(PersistentVolumeClaim { meta, ..Default::default() }).unwrap();
    rig.settle();
}

/// The claim is bound to a volume `pv` of this source.
fn bind(rig: &mut Rig, name: &str, source: PvSource) {
    let mut volume = testkit::persistent_volume("pv", source);
    volume.access_modes = vec![AccessMode::ReadWriteOnce];
    rig.store.create(volume).unwrap();
    rig.store
        .update::<PersistentVolumeClaim>(&ObjectKey::new("default", name), |claim| {
            claim.phase = ClaimPhase::Bound;
            claim.spec.volume_name = "pv".into();
        })
        .unwrap();
    rig.settle();
}

fn disk() -> PvSource {
    PvSource::Csi { driver: drivers::EBS.into(), handle: "vol-1".into() }
}

fn efs() -> PvSource {
    PvSource::Csi { driver: drivers::EFS.into(), handle: "fs-1".into() }
}

fn attach(rig: &mut Rig) {
    let attachment = VolumeAttachment {
        meta: Meta::named("", "csi-1"),
        attacher: drivers::EBS.into(),
        node_name: "n1".into(),
        pv_name: "pv".into(),
        attached: true,
        ..Default::default()
    };
    rig.store.create(attachment).unwrap();
    rig.settle();
}

fn edit_volume(rig: &mut Rig, edit: impl FnOnce(&mut PersistentVolume)) {
    rig.store.update::<PersistentVolume>(&ObjectKey::cluster("pv"), edit).unwrap();
    rig.settle();
}

fn said(driver: &str, at: u64, change: DriverChange) -> (SimTime, DriverChange) {
    (SimTime::from_secs(at), DriverChange { driver: driver.into(), ..change })
}

fn in_use(rig: &Rig) -> Vec<Str> {
    rig.store.find::<Node>("", "n1").unwrap().status.volumes_in_use.clone()
}

/// §5.8, §5.7: after the binding of the claim comes the attachment; of both the kubelet hears by itself.
#[test]
fn a_pod_waits_for_claim_and_attachment() {
    let mut rig = Rig::new();
    claim(&mut rig, "data");
    rig.pod("db", user(&["data"]));
    rig.run(10);
    bind(&mut rig, "data", disk());
    rig.run(20);
    assert_eq!(in_use(&rig), [UNIQUE], "the sync after the binding");
    attach(&mut rig);
    rig.run(30);
    assert_eq!(rig.trace(), ["0 db Pending 0/1 ContainerCreating", "21 db Running 1/1 Ready"]);
    rig.delete("db", None);
    rig.run(40);
    assert!(in_use(&rig).is_empty());
}

/// §5.8: the sync of a Pod with a claim that cannot be used fails at once, and says so each time.
#[test]
fn claims_that_cannot_be_used_are_named_at_each_sync() {
    let mut rig = Rig::new();
    claim(&mut rig, "good");
    bind(&mut rig, "good", disk());
    claim(&mut rig, "open");
    rig.pod("db", user(&["good", "open", "none"]));
    rig.run(30);
    let expected = "FailedMount: Unable to attach or mount volumes: unmounted volumes=[good open none], unattached volumes=[good], \
                    failed to process volumes=[open none]: error processing PVC default/open: PVC is not bound; error processing \
                    PVC default/none: failed to fetch PVC from API server: persistentvolumeclaims \"none\" not found x3";
    assert_eq!(rig.events("db"), [expected]);
}

/// §5.8, §5.11: a claim that is being deleted can be used as long as its finalizer holds it.
#[test]
fn a_claim_that_is_being_deleted_serves_the_pods_that_hold_it() {
    let mut rig = Rig::new();
    claim(&mut rig, "data");
    bind(&mut rig, "data", efs());
    rig.store
        .delete::<PersistentVolumeClaim>(&ObjectKey::new("default", "data"), &DeleteOptions::default())
        .unwrap();
    rig.pod("db", user(&["data"]));
    rig.run(5);
    assert_eq!(rig.trace().last().unwrap(), "1 db Running 1/1 Ready");
}

/// §5.8: the wait for an attachment is begun anew every 2m3s; since release 1.27 the end of the time makes no Event.
#[test]
fn a_volume_that_is_not_attached_is_waited_for_in_silence() {
    let mut rig = Rig::new();
    claim(&mut rig, "data");
    bind(&mut rig, "data", disk());
    rig.pod("db", user(&["data"]));
    rig.run(1200);
    assert!(rig.events("db").is_empty(), "{:?}", rig.events("db"));
    assert_eq!(rig.trace(), ["0 db Pending 0/1 ContainerCreating"]);
}

/// §5.8: what is attached is not mounted before the node's status says that it is in use, nor detached before it says no more.
#[test]
fn the_node_says_which_volumes_it_uses_at_its_next_status() {
    let mut rig = Rig::new();
    rig.latencies.volume_report = Delay::Constant(SimDuration::from_secs(7));
    claim(&mut rig, "data");
    bind(&mut rig, "data", disk());
    attach(&mut rig);
    rig.pod("db", user(&["data"]));
    rig.pod("log", user(&["data"]));
    rig.run(20);
    let trace = rig.trace();
    assert_eq!(trace.last().unwrap(), "8 log Running 1/1 Ready", "{trace:?}");
    assert_eq!(in_use(&rig), [UNIQUE]);
    rig.delete("db", None);
    rig.run(40);
    assert_eq!(in_use(&rig), [UNIQUE], "the other Pod uses it");
    rig.delete("log", None);
    rig.run(47);
    assert_eq!(in_use(&rig), [UNIQUE]);
    rig.run(49);
    assert!(in_use(&rig).is_empty());
}

/// §5.8: volumes that no container mounts are neither waited for nor used.
#[test]
fn a_volume_that_nobody_mounts_is_passed_over() {
    let mut rig = Rig::new();
    let mut spec = app();
    spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "none"}}]);
    rig.pod("web", spec.clone());
    rig.run(5);
    assert_eq!(rig.trace().last().unwrap(), "1 web Running 1/1 Ready");
    spec["containers"][0]["volumeDevices"] = json!([{"name": "data", "devicePath": "/dev/data"}]);
    let boundary = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
    let pod = lower_pod(boundary).unwrap();
    assert_eq!(Recipe::of(&pod.spec).claims.len(), 1, "a device is a mount too");
}

/// §5.8: a mount that fails is tried again after 0.5 s, 1 s, 2 s, up to 2m2s, and said each time in the driver's words.
#[test]
fn mounts_that_fail_are_tried_again_after_twice_the_time() {
    let mut rig = Rig::new();
    let denied = DriverChange { denied: Some(vec![Operation::Mount]), ..DriverChange::default() };
    let allowed = DriverChange { denied: Some(Vec::new()), ..DriverChange::default() };
    rig.operations = Operations::new(vec![said(drivers::EFS, 0, denied), said(drivers::EFS, 10, allowed)]);
    claim(&mut rig, "data");
    bind(&mut rig, "data", efs());
    rig.pod("db", user(&["data"]));
    rig.run(60);
    let events = rig.events("db");
    let front = "FailedMount: MountVolume.SetUp failed for volume \"pv\" : rpc error: code = Internal desc = Could not mount \
                 \"fs-1:/\" at \"/var/lib/kubelet/pods/";
    assert!(events[0].starts_with(front), "{events:?}");
    let end = "Output: mount.nfs4: access denied by server while mounting 127.0.0.1:/ x5";
    assert!(events[0].ends_with(end), "at 0, 0.5, 1.5, 3.5 and 7.5 s: {events:?}");
    assert_eq!(rig.trace().last().unwrap(), "16.5 db Running 1/1 Ready", "the attempt at 15.5 s succeeds");
}

/// §5.10: EFS is mounted through the target of the node's own zone.
#[test]
fn efs_needs_a_mount_target_in_the_zone_of_the_node() {
    let mut rig = Rig::new();
    rig.store
        .update::<Node>(&ObjectKey::cluster("n1"), |n| {
            n.meta.labels = testkit::labels("topology.kubernetes.io/zone=b");
        })
        .unwrap();
    let targets = |zones: &[&str]| DriverChange {
        mount_targets: Some(zones.iter().map(|z| Str::from(*z)).collect()),
        ..DriverChange::default()
    };
    rig.operations = Operations::new(vec![
        said(drivers::EFS, 0, targets(&["a", "c"])),
        said(drivers::EFS, 60, targets(&["a", "b", "c"])),
    ]);
    claim(&mut rig, "data");
    bind(&mut rig, "data", efs());
    rig.pod("db", user(&["data"]));
    rig.run(59);
    assert!(rig.events("db")[0].contains("Available mount target(s) are in az ['a', 'c']"));
    rig.run(200);
    assert_eq!(rig.trace().last().unwrap(), "64.5 db Running 1/1 Ready");
}

/// §5.1, §7.36: the scheduler keeps two Pods from a claim for one Pod only; for Pods that name their node the kubelet does.
#[test]
fn a_volume_for_one_pod_alone_is_mounted_for_one() {
    let mut rig = Rig::new();
    claim(&mut rig, "data");
    bind(&mut rig, "data", efs());
    edit_volume(&mut rig, |v| v.access_modes = vec![AccessMode::ReadWriteOncePod]);
    rig.pod("one", user(&["data"]));
    rig.pod("two", user(&["data"]));
    rig.run(10);
    let why = "FailedMount: MountVolume.SetUp failed for volume \"pv\" : volume uses the ReadWriteOncePod access mode and is already \
               in use by another pod";
    assert!(rig.events("two")[0].starts_with(why), "{:?}", rig.events("two"));
    rig.delete("one", Some(0));
    rig.run(40);
    assert_eq!(rig.trace().last().unwrap(), "16.5 two Running 1/1 Ready");
}

/// §5.10: a local volume is mounted on its own node only, whoever put the Pod elsewhere.
#[test]
fn a_node_that_cannot_reach_the_volume_does_not_mount_it() {
    let mut rig = Rig::new();
    claim(&mut rig, "data");
    bind(&mut rig, "data", PvSource::Local("/mnt/disk".into()));
    let elsewhere = Requirement { key: "pool".into(), operator: Operator::In, values: vec!["b".into()] };
    let term = NodeSelectorTerm { expressions: vec![elsewhere], fields: Vec::new() };
    edit_volume(&mut rig, |v| v.node_affinity = Some(NodeSelector { terms: vec![term] }));
    rig.pod("db", user(&["data"]));
    rig.run(1);
    let why = "FailedMount: MountVolume.NodeAffinity check failed for volume \"pv\" : no matching NodeSelectorTerms x2";
    assert_eq!(rig.events("db"), [why]);
    edit_volume(&mut rig, |v| v.block = true);
    rig.run(5);
    let why = "FailedMapVolume: MapVolume.NodeAffinity check failed for volume \"pv\" : no matching NodeSelectorTerms";
    assert!(rig.events("db").iter().any(|e| e.starts_with(why)), "a device is mapped, not mounted");
}

/// §5.6: the start-up taint keeps Pods away until the driver has registered; without it their mounts fail until then.
#[test]
fn a_driver_registers_some_time_after_the_node_and_takes_its_taint_off() {
    let mut rig = Rig::without_nodes();
    rig.latencies.driver_ready = Delay::Constant(SimDuration::from_secs(10));
    let (mut node, mut csi) = Rig::node("n1");
    let taint = |key: &str| Taint {
        key: key.into(),
        value: Str::new(),
        effect: TaintEffect::NoExecute,
        time_added: None,
    };
    node.taints = vec![taint("ebs.csi.aws.com/agent-not-ready"), taint("other.example.com/agent-not-ready")];
    csi.drivers = vec![CsiNodeDriver {
        name: drivers::EBS.into(),
        node_id: "n1".into(),
        topology_keys: Vec::new(),
        allocatable: Some(25),
    }];
    rig.with(|kubelets, ctx| kubelets.join(node, csi, ctx)).unwrap();
    claim(&mut rig, "data");
    bind(&mut rig, "data", disk());
    attach(&mut rig);
    let mut spec = user(&["data"]);
    spec["tolerations"] = json!([{"operator": "Exists"}]);
    rig.pod("db", spec);
    rig.run(11);
    let keys = |rig: &Rig| -> Vec<String> {
        let taints = &rig.store.find::<Node>("", "n1").unwrap().taints;
        taints.iter().map(|t| t.key.to_string()).filter(|k| k.ends_with("agent-not-ready")).collect()
    };
    let drivers_of = |rig: &Rig| rig.store.find::<CsiNode>("", "n1").unwrap().drivers.len();
    assert_eq!((keys(&rig).len(), drivers_of(&rig)), (2, 0));
    let why = "FailedMount: MountVolume.MountDevice failed for volume \"pv\" : kubernetes.io/csi: attacher.MountDevice failed to \
               create newCsiDriverClient: driver name ebs.csi.aws.com not found in the list of registered CSI drivers";
    assert!(rig.events("db").iter().any(|e| e.starts_with(why)), "{:?}", rig.events("db"));
    rig.run(30);
    assert_eq!((keys(&rig), drivers_of(&rig)), (vec!["other.example.com/agent-not-ready".to_owned()], 1));
    assert_eq!(rig.get("db").status.phase, crate::api::Phase::Running);
}
