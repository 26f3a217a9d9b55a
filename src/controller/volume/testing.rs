//! Claims, volumes, classes and nodes for unit tests.

use crate::api::condition::Condition;
use crate::api::node::ZONE_LABEL;
use crate::api::resources::STORAGE;
use crate::api::storage::{
    AccessMode, ClaimRef, ClaimSpec, CsiNode, CsiNodeDriver, PersistentVolume, PersistentVolumeClaim,
    PvSource, ReclaimPolicy, StorageClass, VolumeAttachment,
};
use crate::api::volume::{Volume, VolumeSource};
use crate::api::{ConditionStatus, Labels, Lasting, Meta, Node, ObjectKey, Pod, ResourceList};
use crate::base::{Arc, Quantity, Str};
use crate::controller::framework::Controller;
use crate::controller::testing::Harness;
use crate::testkit;

/// An amount of storage.
pub fn storage(size: &str) -> ResourceList {
    [(STORAGE, Quantity::parse(size).unwrap())].into_iter().collect()
}

/// A claim of the namespace `default` for 10Gi, ReadWriteOnce.
pub fn claim(name: &str, class: Option<&str>) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        meta: Meta::named("default", name),
        spec: ClaimSpec {
            access_modes: vec![AccessMode::ReadWriteOnce],
            requests: storage("10Gi"),
            storage_class: class.map(Str::from),
            ..ClaimSpec::default()
        },
        ..PersistentVolumeClaim::default()
    }
}

/// A CSI volume, ReadWriteOnce, Retain.
pub fn volume(name: &str, class: &str, size: &str) -> PersistentVolume {
    let source = PvSource::Csi { driver: "disk.example.com".into(), handle: format!("h-{name}").into() };
    PersistentVolume {
        capacity: storage(size),
        access_modes: vec![AccessMode::ReadWriteOnce],
        reclaim_policy: ReclaimPolicy::Retain,
        storage_class: class.into(),
        ..testkit::persistent_volume(name, source)
    }
}

/// A reservation for a claim of the namespace `default`, by name only unless `uid` is given.
pub fn reserved_for(claim: &str, uid: &str) -> Option<ClaimRef> {
    Some(ClaimRef { key: ObjectKey::new("default", claim), uid: uid.into() })
}

/// A class with Delete; `wait`: for the first consumer.
pub fn class(name: &str, provisioner: &str, wait: bool) -> StorageClass {
    StorageClass {
        meta: Meta::named("", name),
        provisioner: provisioner.into(),
        parameters: Labels::default(),
        reclaim_policy: ReclaimPolicy::Delete,
        wait_for_first_consumer: wait,
        allow_expansion: false,
        allowed_topologies: Vec::new(),
        mount_options: Vec::new(),
    }
}

/// A Pod of the namespace `default` that mounts a claim; `node`: bound to it.
pub fn pod_with(name: &str, claim: &str, node: Option<&str>) -> Pod {
    let mut pod = testkit::pod(name, "app=x");
    let mut spec = (*pod.spec).clone();
    let source = VolumeSource::Claim { claim: claim.into(), read_only: false };
    spec.volumes.push(Volume { name: "data".into(), source });
    // Specs of one fingerprint are taken for the same.
    spec.fingerprint = claim.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte));
    pod.spec = Arc::new(spec);
    pod.node_name = node.map(Str::from);
    pod
}

/// A Ready node in a zone, with a driver that places volumes by zone.
pub fn put_node(h: &mut Harness, name: &str, zone: &str, driver: &str, keys: &[&str]) {
    let labels = keys.iter().map(|k| (*k, zone)).chain([(ZONE_LABEL, zone)]).collect();
    let mut node = Node { meta: Lasting { labels, ..Lasting::named("", name) }.into(), ..Node::default() };
    let at = h.store.timestamp();
    node.status.conditions.push(Condition::new("Ready", ConditionStatus::True, "KubeletReady", "", at));
    h.store.create(node).unwrap();
    let driver = CsiNodeDriver {
        name: driver.into(),
        node_id: name.into(),
        topology_keys: keys.iter().map(|k| Str::from(*k)).collect(),
        allocatable: None,
    };
    h.store.create(CsiNode { meta: Meta::named("", name), drivers: vec![driver] }).unwrap();
    h.settle();
}

/// Controllers over an empty store.
pub fn harness(controllers: Vec<Box<dyn Controller>>) -> Harness {
    Harness::new(controllers)
}

/// A claim of the namespace `default` as it is now.
pub fn live_claim(h: &Harness, name: &str) -> PersistentVolumeClaim {
    (**h.store.find::<PersistentVolumeClaim>("default", name).unwrap()).clone()
}

/// A volume as it is now.
pub fn live_volume(h: &Harness, name: &str) -> PersistentVolume {
    (**h.store.find::<PersistentVolume>("", name).unwrap()).clone()
}

/// All attachments: `volume on node`, with `attached` or `deleting` behind it.
pub fn attachments(h: &Harness) -> Vec<String> {
    let word = |a: &VolumeAttachment| match (a.meta.is_deleting(), a.attached) {
        (true, _) => " deleting",
        (false, true) => " attached",
        (false, false) => "",
    };
    h.store
        .list::<VolumeAttachment>()
        .map(|a| format!("{} on {}{}", a.pv_name, a.node_name, word(a)))
        .collect()
}
