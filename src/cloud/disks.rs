//! What lies on all disks: who wrote it, and when. Nothing in the cluster reads it; expectations and stories do.
//!
//! Containers that run write into every volume that they mount, unless it is mounted read-only, from their start to their end.
//!
//! # Fidelity
//! * Data are instants: what was written when. What is written is there at once; file systems lose nothing when the power
//!   fails.
//! * What lay on a volume before the run began is not known.
//! * A single container that ends while another one of its Pod runs does not end the Pod's writing.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::inert::Inert;
use crate::api::storage::{
    PersistentVolume, PersistentVolumeClaim, ReclaimPolicy, VolumeAttachment, VolumePhase, annotation,
};
use crate::api::volume::{Volume, VolumeSource};
use crate::api::{Labels, Object, ObjectKey, PodSpec, Uid};
use crate::base::{SimTime, Str};
use crate::facts::{Content, DataChange, DataFact, Place};
use crate::store::{Change, Store, Verb};

/// What lies on all disks.
#[derive(Clone, Debug, Default)]
pub struct Disks {
    lying: BTreeMap<Place, Lying>,
    users: BTreeMap<Uid, User>,
}

/// What lies in a place.
#[derive(Clone, Debug, Default)]
struct Lying {
    content: Option<Content>,
    writers: BTreeSet<Uid>,
    /// Whether what lies there is a copy that nobody has written into: what comes next is not the rest of it.
    copied: bool,
}

/// A Pod whose containers run.
#[derive(Clone, Debug)]
struct User {
    pod: ObjectKey,
    node: Str,
    mounts: Vec<Mount>,
}

/// A volume that containers mount.
#[derive(Clone, Debug)]
struct Mount {
    volume: Str,
    place: Place,
    writes: bool,
}

/// Containers that begin to use their Pod's volumes.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The Pod.
    pub pod: &'a ObjectKey,
    /// Its identity.
    pub uid: &'a Uid,
    /// Its labels.
    pub labels: &'a Labels,
    /// Its node.
    pub node: &'a Str,
    /// Its spec.
    pub spec: &'a PodSpec,
}

impl Disks {
    /// Containers of a Pod begin to use its volumes.
    pub fn open(&mut self, opening: &Opening<'_>, store: &Store) -> Vec<DataFact> {
        let at = store.now();
        let mut said = self.close(opening.uid, at);
        let mounts: Vec<Mount> =
            opening.spec.volumes.iter().filter_map(|volume| mount(opening, volume, store)).collect();
        for mount in &mounts {
            let lying = self.lying.entry(mount.place.clone()).or_default();
            let found = lying.content.clone();
            if mount.writes {
                lying.writers.insert(opening.uid.clone());
                lying.begin(opening.pod, at);
            }
            let what = DataChange::Opened {
                pod: opening.pod.clone(),
                labels: opening.labels.clone(),
                volume: mount.volume.clone(),
                found,
            };
            said.push(lying.fact(at, &mount.place, what));
        }
        let user = User { pod: opening.pod.clone(), node: opening.node.clone(), mounts };
        self.users.insert(opening.uid.clone(), user);
        said
    }

    /// Containers of a Pod cease to use its volumes.
    pub fn close(&mut self, uid: &Uid, at: SimTime) -> Vec<DataFact> {
        let Some(user) = self.users.remove(uid) else { return Vec::new() };
        let mut said = Vec::new();
        for mount in user.mounts.iter().filter(|m| m.writes) {
            said.extend(self.stop(uid, &user.pod, &mount.place, at));
        }
        said
    }

    /// A writer stops, or is stopped.
    fn stop(&mut self, uid: &Uid, pod: &ObjectKey, place: &Place, at: SimTime) -> Option<DataFact> {
        let lying = self.lying.get_mut(place)?;
        if !lying.writers.remove(uid) {
            return None;
        }
        if let Some(content) = &mut lying.content {
            content.end(at);
        }
        Some(lying.fact(at, place, DataChange::Closed { pod: pod.clone() }))
    }

    /// A machine is gone for good, and its disks with it.
    pub fn machine_gone(&mut self, node: &str, at: SimTime) -> Vec<DataFact> {
        let places: Vec<Place> = self
            .lying
            .keys()
            .filter(|place| matches!(place, Place::Directory { node: on, .. } if on == node))
            .cloned()
            .collect();
        places.iter().filter_map(|place| self.destroy(place, at)).collect()
    }

    fn destroy(&mut self, place: &Place, at: SimTime) -> Option<DataFact> {
        let lying = self.lying.remove(place)?;
        let (place, what) = (place.clone(), DataChange::Destroyed { lost: lying.content });
        Some(DataFact { at, place, content: None, busy: false, what })
    }

    fn copy(&mut self, from: &Place, to: Place, at: SimTime) -> Option<DataFact> {
        let source = self.lying.get(from)?;
        let mut content = source.content.clone()?;
        if !source.writers.is_empty() {
            content.end(at);
        }
        let lying = Lying { content: Some(content), writers: BTreeSet::new(), copied: true };
        let said = lying.fact(at, &to, DataChange::Copied { from: from.clone() });
        self.lying.insert(to, lying);
        Some(said)
    }

    /// Takes note of a change of the store.
    pub fn on_change(&mut self, change: &Change, store: &Store) -> Vec<DataFact> {
        match change.latest() {
            Object::PersistentVolume(volume) => self.volume_changed(change, volume, store),
            Object::VolumeAttachment(attachment) if change.verb == Verb::Deleted => {
                self.detached(attachment, change.at, store)
            }
            Object::Pod(pod) if change.verb == Verb::Deleted && !self.lying.is_empty() => {
                let first = Place::Scratch { pod: pod.meta.uid.clone(), volume: Str::new() };
                let own =
                    |place: &&Place| matches!(place, Place::Scratch { pod: of, .. } if *of == pod.meta.uid);
                let places: Vec<Place> =
                    self.lying.range(first..).map(|(place, _)| place).take_while(own).cloned().collect();
                places.iter().filter_map(|place| self.destroy(place, change.at)).collect()
            }
            Object::Inert(content) if content.kind == CONTENT_KIND => self.snapshot_changed(change, content),
            _ => Vec::new(),
        }
    }

    fn volume_changed(&mut self, change: &Change, volume: &PersistentVolume, store: &Store) -> Vec<DataFact> {
        let Some(place) = Place::of_volume(volume, "") else { return Vec::new() };
        let old = change.of::<PersistentVolume>().and_then(|(old, _)| old);
        let said = match change.verb {
            Verb::Added => source_of(volume, store).and_then(|from| self.copy(&from, place, change.at)),
            Verb::Deleted if is_deleted_with_data(volume) => self.destroy(&place, change.at),
            Verb::Modified
                if volume.phase == VolumePhase::Available
                    && volume.reclaim_policy == ReclaimPolicy::Recycle
                    && old.is_some_and(|old| old.phase == VolumePhase::Released) =>
            {
                self.destroy(&place, change.at)
            }
            Verb::Modified | Verb::Deleted => None,
        };
        said.into_iter().collect()
    }

    /// A disk that is taken away from a node cannot be written there, whatever still runs.
    fn detached(&mut self, attachment: &VolumeAttachment, at: SimTime, store: &Store) -> Vec<DataFact> {
        let Some(volume) = store.find::<PersistentVolume>("", &attachment.pv_name) else { return Vec::new() };
        let Some(place) = Place::of_volume(volume, &attachment.node_name) else { return Vec::new() };
        let writers = self.lying.get(&place).map(|lying| lying.writers.clone()).unwrap_or_default();
        let mut said = Vec::new();
        for uid in writers {
            let Some(user) = self.users.get(&uid).filter(|user| user.node == attachment.node_name) else {
                continue;
            };
            let pod = user.pod.clone();
            said.extend(self.stop(&uid, &pod, &place, at));
        }
        said
    }

    fn snapshot_changed(&mut self, change: &Change, content: &Inert) -> Vec<DataFact> {
        let parsed = SnapshotContent::of(content);
        let Some(place) = parsed.place() else { return Vec::new() };
        if change.verb == Verb::Deleted {
            let gone = if parsed.deletes { self.destroy(&place, change.at) } else { None };
            return gone.into_iter().collect();
        }
        if parsed.source.is_empty() || self.lying.contains_key(&place) {
            return Vec::new();
        }
        let from = Place::Disk { driver: parsed.driver, handle: parsed.source };
        self.copy(&from, place, change.at).into_iter().collect()
    }

    /// What cannot be: a volume of one writer that is written on several nodes. The first breach in words.
    ///
    /// # Errors
    /// There is one.
    pub fn check(&self, store: &Store) -> Result<(), String> {
        let single: BTreeSet<Place> = store
            .list::<PersistentVolume>()
            .filter(|volume| volume.is_single_node())
            .filter_map(|volume| Place::of_volume(volume, ""))
            .collect();
        for (place, lying) in self.lying.iter().filter(|(place, _)| single.contains(*place)) {
            let nodes: BTreeSet<&Str> =
                lying.writers.iter().filter_map(|uid| self.users.get(uid)).map(|user| &user.node).collect();
            if nodes.len() > 1 {
                return Err(format!("{place} is written on {nodes:?} at once"));
            }
        }
        for (uid, user) in &self.users {
            for mount in &user.mounts {
                if !self.lying.contains_key(&mount.place) && mount.writes {
                    let (pod, place) = (&user.pod, &mount.place);
                    return Err(format!("pod {pod} ({uid}) writes into {place}, which has been destroyed"));
                }
            }
        }
        Ok(())
    }
}

impl Lying {
    /// A writer begins.
    fn begin(&mut self, writer: &ObjectKey, at: SimTime) {
        let mut content =
            self.content.take().unwrap_or_else(|| Content { spans: Vec::new(), writer: writer.clone() });
        content.writer = writer.clone();
        if content.spans.is_empty() || std::mem::take(&mut self.copied) {
            content.spans.push((at, at));
        }
        self.content = Some(content);
    }

    fn fact(&self, at: SimTime, place: &Place, what: DataChange) -> DataFact {
        let (content, busy) = (self.content.clone(), !self.writers.is_empty());
        DataFact { at, place: place.clone(), content, busy, what }
    }
}

/// Whether a volume's data go with its object: somebody made it, and deletes it.
fn is_deleted_with_data(volume: &PersistentVolume) -> bool {
    volume.reclaim_policy == ReclaimPolicy::Delete
        && volume.phase == VolumePhase::Released
        && volume.meta.annotations.contains_key(annotation::PROVISIONED_BY)
}

/// What a volume was made from.
fn source_of(volume: &PersistentVolume, store: &Store) -> Option<Place> {
    let reference = volume.claim_ref.as_ref()?;
    let claim = store.get::<PersistentVolumeClaim>(&reference.key).filter(|c| c.meta.uid == reference.uid)?;
    let (kind, name) = claim.spec.data_source.as_ref()?;
    let namespace = &reference.key.namespace;
    match kind.as_str() {
        "VolumeSnapshot" => snapshot_place(namespace, name, store),
        "PersistentVolumeClaim" => {
            let source = store.find::<PersistentVolumeClaim>(namespace, name)?;
            Place::of_volume(store.find::<PersistentVolume>("", &source.spec.volume_name)?, "")
        }
        _ => None,
    }
}

/// What a snapshot holds its data in.
fn snapshot_place(namespace: &str, name: &str, store: &Store) -> Option<Place> {
    let snapshot = store.find::<Inert>(namespace, &Inert::table_name("VolumeSnapshot", name))?;
    let bound = snapshot.text(&["status", "boundVolumeSnapshotContentName"]);
    let content = store.find::<Inert>("", &Inert::table_name(CONTENT_KIND, &bound))?;
    SnapshotContent::of(content).place()
}

/// The kind of snapshots' contents.
const CONTENT_KIND: &str = "VolumeSnapshotContent";

/// What matters here of a VolumeSnapshotContent.
struct SnapshotContent {
    driver: Str,
    /// The handle of the volume; empty for snapshots that were there before.
    source: Str,
    /// The handle of the snapshot; empty before it is taken.
    handle: Str,
    deletes: bool,
}

impl SnapshotContent {
    fn of(content: &Inert) -> Self {
        Self {
            driver: content.text(&["spec", "driver"]),
            source: content.text(&["spec", "source", "volumeHandle"]),
            handle: content.text(&["status", "snapshotHandle"]),
            deletes: content.text(&["spec", "deletionPolicy"]) == "Delete",
        }
    }

    fn place(&self) -> Option<Place> {
        let (driver, handle) = (self.driver.clone(), self.handle.clone());
        (!handle.is_empty()).then_some(Place::Snapshot { driver, handle })
    }
}

/// Where a Pod's volume leads, if containers mount it and data can be kept there.
fn mount(opening: &Opening<'_>, volume: &Volume, store: &Store) -> Option<Mount> {
    let mut uses = mounts_of(opening.spec, &volume.name).peekable();
    uses.peek()?;
    let mut writes = uses.any(|read_only| !read_only);
    let of_claim = |claim: &str| {
        let claim = store.find::<PersistentVolumeClaim>(&opening.pod.namespace, claim)?;
        Place::of_volume(store.find::<PersistentVolume>("", &claim.spec.volume_name)?, opening.node)
    };
    let place = match &volume.source {
        VolumeSource::Claim { claim, read_only } => {
            writes &= !read_only;
            of_claim(claim)?
        }
        VolumeSource::Ephemeral => of_claim(&format!("{}-{}", opening.pod.name, volume.name))?,
        VolumeSource::EmptyDir { .. } => {
            Place::Scratch { pod: opening.uid.clone(), volume: volume.name.clone() }
        }
        VolumeSource::HostPath(path) => Place::Directory { node: opening.node.clone(), path: path.clone() },
        VolumeSource::Other => share(opening.spec, &volume.name)?,
        VolumeSource::ConfigMap { .. }
        | VolumeSource::Secret { .. }
        | VolumeSource::AwsEbs { .. }
        | VolumeSource::GcePd { .. }
        | VolumeSource::Iscsi { .. }
        | VolumeSource::Rbd { .. }
        | VolumeSource::InlineCsi { .. } => return None,
    };
    Some(Mount { volume: volume.name.clone(), place, writes })
}

/// For each container that mounts a volume: whether it may only read.
fn mounts_of<'a>(spec: &'a PodSpec, volume: &'a str) -> impl Iterator<Item = bool> + 'a {
    let containers = spec.raw.containers.iter();
    let mounts = containers.flat_map(|c| c.volume_mounts.iter().flatten()).filter(move |m| m.name == volume);
    let devices = spec.raw.containers.iter().flat_map(|c| c.volume_devices.iter().flatten());
    mounts.map(|m| m.read_only == Some(true)).chain(devices.filter(move |d| d.name == volume).map(|_| false))
}

/// A directory of a file server that a Pod names itself.
fn share(spec: &PodSpec, volume: &str) -> Option<Place> {
    let volume = spec.raw.volumes.iter().flatten().find(|v| v.name == volume)?;
    let nfs = volume.nfs.as_ref()?;
    Some(Place::Share { server: nfs.server.as_str().into(), path: nfs.path.as_str().into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::lower_pod;
    use crate::api::{Meta, Pod, ResourceList};
    use crate::testkit;

    fn pod(name: &str, volume: &serde_json::Value) -> Pod {
        let boundary = serde_json::json!({
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "db"}, "uid": name},
            "spec": {
                "containers": [{"name": "c", "image": "db", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                "volumes": [volume],
            },
        });
        lower_pod(serde_json::from_value(boundary).unwrap()).unwrap()
    }

    /// A claim `data`, bound to the EBS volume `vol-1`.
    fn store() -> Store {
        let mut store = testkit::store();
        let mut claim = PersistentVolumeClaim { meta: Meta::named("default", "data"), ..Default::default() };
        claim.spec.volume_name = "pv".into();
        claim.spec.access_modes = vec![crate::api::storage::AccessMode::ReadWriteOnce];
        store.create(claim).unwrap();
        store.create(volume("pv", "vol-1")).unwrap();
        store
    }

    fn volume(name: &str, handle: &str) -> PersistentVolume {
        PersistentVolume {
            meta: Meta::named("", name.to_owned()),
            capacity: ResourceList::default(),
            access_modes: vec![crate::api::storage::AccessMode::ReadWriteOnce],
            claim_ref: None,
            reclaim_policy: ReclaimPolicy::Delete,
            storage_class: Str::new(),
            block: false,
            node_affinity: None,
            source: crate::api::storage::PvSource::Csi {
                driver: "ebs.csi.aws.com".into(),
                handle: handle.into(),
            },
            attributes_class: None,
            mount_options: Vec::new(),
            rest: None,
            phase: VolumePhase::Released,
            reason: Str::new(),
            message: Str::new(),
        }
    }

    fn open(disks: &mut Disks, pod: &Pod, node: &str, store: &Store) -> Vec<DataFact> {
        let (key, node) = (pod.meta.key(), Str::from(node));
        let (labels, uid) = (&pod.meta.labels, &pod.meta.uid);
        disks.open(&Opening { pod: &key, uid, labels, node: &node, spec: &pod.spec }, store)
    }

    fn found(facts: &[DataFact]) -> Option<Content> {
        facts.iter().find_map(|fact| match &fact.what {
            DataChange::Opened { found, .. } => found.clone(),
            _ => None,
        })
    }

    fn claimed() -> serde_json::Value {
        serde_json::json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
    }

    #[test]
    fn a_claim_takes_its_data_along_and_a_directory_does_not() {
        // autoscaling-storage.md §5.10: hostPath, rescheduling elsewhere sees other data.
        let directory = serde_json::json!({"name": "data", "hostPath": {"path": "/srv"}});
        for (volume, moves) in [(claimed(), true), (directory, false)] {
            let (mut disks, mut store) = (Disks::default(), store());
            open(&mut disks, &pod("a", &volume), "n1", &store);
            store.advance(SimTime::from_secs(60));
            disks.close(&"a".into(), store.now());
            store.advance(SimTime::from_secs(90));
            let seen = found(&open(&mut disks, &pod("b", &volume), "n2", &store));
            assert_eq!(seen.map(|c| c.spans), moves.then(|| vec![(SimTime::ZERO, SimTime::from_secs(60))]));
            assert_eq!(disks.check(&store), Ok(()));
        }
    }

    #[test]
    fn two_nodes_never_write_to_one_disk() {
        let (mut disks, store) = (Disks::default(), store());
        open(&mut disks, &pod("a", &claimed()), "n1", &store);
        open(&mut disks, &pod("b", &claimed()), "n1", &store);
        assert_eq!(disks.check(&store), Ok(()), "two Pods of one node may");
        open(&mut disks, &pod("c", &claimed()), "n2", &store);
        assert!(disks.check(&store).unwrap_err().contains("written on"));
    }

    #[test]
    fn a_disk_that_is_taken_away_is_written_no_more() {
        // autoscaling-storage.md §5.9: the node may be cut off and run on.
        let (mut disks, mut store) = (Disks::default(), store());
        let attachment = VolumeAttachment {
            meta: Meta::named("", "csi-1"),
            node_name: "n1".into(),
            pv_name: "pv".into(),
            ..VolumeAttachment::default()
        };
        let key = ObjectKey::cluster("csi-1");
        store.create(attachment).unwrap();
        open(&mut disks, &pod("a", &claimed()), "n1", &store);
        store.drain_changes();
        store.advance(SimTime::from_secs(30));
        store.delete::<VolumeAttachment>(&key, &crate::store::DeleteOptions::default()).unwrap();
        let said: Vec<DataFact> =
            store.drain_changes().iter().flat_map(|change| disks.on_change(change, &store)).collect();
        assert!(
            matches!(said.as_slice(), [fact] if !fact.busy && fact.content.as_ref().unwrap().last() == store.now())
        );
    }

    #[test]
    fn scratch_goes_with_its_pod_and_directories_with_their_machine() {
        // autoscaling-storage.md §5.10: emptyDir.
        let (mut disks, mut store) = (Disks::default(), store());
        let scratch = serde_json::json!({"name": "data", "emptyDir": {}});
        let mut mine = pod("a", &scratch);
        mine.node_name = Some("n1".into());
        let live = store.create(mine).unwrap();
        open(&mut disks, &live, "n1", &store);
        let directory = serde_json::json!({"name": "data", "hostPath": {"path": "/srv"}});
        open(&mut disks, &pod("b", &directory), "n1", &store);
        store.drain_changes();
        store.delete::<Pod>(&live.meta.key(), &crate::store::DeleteOptions::force()).unwrap();
        let said: Vec<DataFact> =
            store.drain_changes().iter().flat_map(|change| disks.on_change(change, &store)).collect();
        assert!(
            matches!(said.as_slice(), [DataFact { place: Place::Scratch { .. }, content: None, .. }]),
            "{said:?}"
        );
        let gone = disks.machine_gone("n1", store.now());
        assert!(matches!(gone.as_slice(), [DataFact { place: Place::Directory { .. }, .. }]), "{gone:?}");
    }

    #[test]
    fn what_was_written_after_a_copy_was_taken_is_not_in_it() {
        let s = SimTime::from_secs;
        let mut lying = Lying {
            content: Some(Content { spans: vec![(s(0), s(100))], writer: ObjectKey::new("default", "a") }),
            copied: true,
            ..Lying::default()
        };
        lying.begin(&ObjectKey::new("default", "b"), s(200));
        let content = lying.content.unwrap();
        assert_eq!([50, 150, 250].map(|at| content.reaches(s(at), true)), [true, false, true]);
    }
}
