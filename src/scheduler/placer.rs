//! Places Pods of a snapshot one after the other: no clock, no queue, no controllers.
//!
//! Around the scheduler it plays, at the moment of binding, what a cluster would do: the API server binds the Pod,
//! the PV controller binds claims, the external provisioner makes volumes.
//!
//! # Fidelity
//! Deterministic where kube-scheduler is not: every node is looked at, the smallest name wins among equal scores,
//! preemption tries every node in order and breaks ties by the smallest name. A Pod that does not fit stays
//! pending; victims are named and stay. A claim of a class that binds immediately is never bound here, since no
//! controller runs; the room that CSIStorageCapacity objects tell of does not shrink.

use std::collections::BTreeMap;

use super::decision::VolumeStep;
use super::evaluation::{BoundClaim, Evaluation};
use super::framework::{Framework, Nominator, Shapes, Snapshot};
use super::view::{Found, View};
use crate::api::node::{HOSTNAME_LABEL, ZONE_LABEL};
use crate::api::selector::{NodeSelectorTerm, Operator};
use crate::api::storage::{
    ClaimPhase, ClaimRef, PersistentVolume, PersistentVolumeClaim, PvSource, StorageClass, VolumePhase,
    annotation,
};
use crate::api::{Kind, Lasting, NodeSelector, Object, ObjectKey, Phase, Pod, Requirement, Resource};
use crate::base::text::lit;
use crate::base::{Arc, Str, Timestamp};
use crate::store::Store;

/// 2026-01-01T00:00:00Z: Pods placed here start after it, and after every Pod of the snapshot.
const EPOCH: Timestamp = Timestamp::new(1_767_225_600);

/// The kinds that the scheduler looks at, nodes before the Pods on them.
pub const KINDS_SEEN: &[Kind] = &[
    Kind::Namespace,
    Kind::Node,
    Kind::PersistentVolume,
    Kind::PersistentVolumeClaim,
    Kind::StorageClass,
    Kind::CsiNode,
    Kind::CsiDriver,
    Kind::CsiStorageCapacity,
    Kind::VolumeAttachment,
    Kind::Service,
    Kind::ReplicationController,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::PodDisruptionBudget,
    Kind::Pod,
];

/// A snapshot with a scheduler over it.
#[derive(Clone, Debug)]
pub struct Placer {
    profiles: Vec<Arc<Framework>>,
    objects: BTreeMap<(Kind, ObjectKey), Object>,
    snapshot: Snapshot,
    nominator: Nominator,
    shapes: Shapes,
    /// When the last Pod started.
    started: Timestamp,
}

impl Placer {
    /// An empty cluster whose Pods are placed by these profiles.
    pub fn new(profiles: Vec<impl Into<Arc<Framework>>>) -> Self {
        Self {
            profiles: profiles.into_iter().map(Into::into).collect(),
            objects: BTreeMap::new(),
            snapshot: Snapshot::default(),
            nominator: Nominator::default(),
            shapes: Shapes::default(),
            started: EPOCH,
        }
    }

    /// The cluster that a store holds. What the scheduler has decided and not yet written is not in it.
    pub fn of(profiles: &[Arc<Framework>], store: &Store) -> Self {
        let mut placer = Self::new(profiles.to_vec());
        for kind in KINDS_SEEN {
            store.list_objects(*kind).into_iter().for_each(|object| placer.add(object));
        }
        placer
    }

    /// Puts an object into the cluster, or in the place of an older one.
    pub fn add(&mut self, object: Object) {
        let key = (object.kind(), object.key());
        let old = self.objects.insert(key, object.clone());
        self.change(old.as_ref(), Some(&object));
    }

    /// Takes an object out of the cluster.
    pub fn remove(&mut self, kind: Kind, key: &ObjectKey) -> Option<Object> {
        let old = self.objects.remove(&(kind, key.clone()))?;
        self.change(Some(&old), None);
        Some(old)
    }

    fn change(&mut self, old: Option<&Object>, new: Option<&Object>) {
        match old {
            Some(Object::Pod(pod)) => self.drop_pod(pod),
            Some(Object::Node(node)) if new.is_none() => self.snapshot.remove_node(&node.meta.name),
            _ => {}
        }
        match new {
            Some(Object::Pod(pod)) => self.put_pod(pod),
            Some(Object::Node(node)) => self.snapshot.set_node(node),
            _ => self.snapshot.listers.change(old, new),
        }
    }

    fn put_pod(&mut self, pod: &Arc<Pod>) {
        if let Some(start) = pod.status.start_time {
            self.started = self.started.max(start);
        }
        if pod.is_terminal() {
            return;
        }
        let info = Arc::new(self.shapes.info(pod.clone()));
        match (&pod.node_name, &pod.status.nominated_node) {
            (Some(node), _) => {
                self.snapshot.add_pod(node, info);
            }
            (None, Some(node)) => self.nominator.add(info, node),
            (None, None) => {}
        }
    }

    fn drop_pod(&mut self, pod: &Pod) {
        if let Some(node) = &pod.node_name {
            self.snapshot.remove_pod(node, &pod.meta.uid);
        }
        self.nominator.remove(&pod.meta.uid);
    }

    /// The object under a key.
    pub fn get<T: Resource>(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        T::unwrap(self.objects.get(&(T::KIND, key.clone()))?)
    }

    /// All objects of a kind, by namespace and name.
    pub fn list<T: Resource + 'static>(&self) -> impl Iterator<Item = &Arc<T>> {
        let first = (T::KIND, ObjectKey::default());
        self.objects
            .range(first..)
            .take_while(|((kind, _), _)| *kind == T::KIND)
            .filter_map(|(_, o)| T::unwrap(o))
    }

    /// What a scheduling cycle for this Pod sees; none if no profile has its `schedulerName`.
    pub fn view(&self, pod: &Pod) -> Option<View<'_>> {
        let framework = self.profiles.iter().find(|p| p.profile_name == pod.spec.scheduler_name)?;
        Some(View { framework, snapshot: &self.snapshot, nominator: &self.nominator })
    }

    /// What would become of a Pod, without placing it. A Pod that names a node is shown to the plugins with that
    /// name, as the NodeName plugin expects it.
    pub fn evaluate(&mut self, pod: &Arc<Pod>) -> Found {
        let info = self.shapes.info(pod.clone());
        match self.view(pod) {
            Some(view) => view.evaluate(&info),
            None => {
                let error = format!("profile not found for scheduler name \"{}\"", pod.spec.scheduler_name);
                let evaluation = Evaluation {
                    pod: pod.meta.key(),
                    message: Some(error.clone()),
                    error: Some(error),
                    ..Evaluation::default()
                };
                Found { evaluation, volumes: Vec::new() }
            }
        }
    }

    /// Puts a Pod into the cluster, runs a scheduling cycle for it, and binds it if it fits.
    pub fn place(&mut self, pod: &Arc<Pod>) -> Evaluation {
        let mut waiting = Pod::clone(pod);
        waiting.node_name = None;
        let waiting = Arc::new(waiting);
        self.add(Object::Pod(waiting.clone()));
        let Found { mut evaluation, volumes } = self.evaluate(pod);
        if let Some(node) = evaluation.chosen.clone() {
            evaluation.volumes = volumes.iter().filter_map(|step| self.bind_claim(step, &node)).collect();
            self.bind(&waiting, node);
        }
        evaluation
    }

    fn bind(&mut self, pod: &Arc<Pod>, node: Str) {
        let mut bound = Pod::clone(pod);
        bound.node_name = Some(node);
        bound.status.phase = Phase::Running;
        bound.status.start_time = Some(self.started.plus_secs(1));
        bound.status.nominated_node = None;
        self.add(Object::Pod(Arc::new(bound)));
    }

    /// Carries out a write of PreBind and what the controllers make of it.
    fn bind_claim(&mut self, step: &VolumeStep, node: &Str) -> Option<BoundClaim> {
        let (key, volume, provisioned) = match step {
            VolumeStep::Bind { claim, volume } => (claim, volume.clone(), false),
            VolumeStep::Provision { claim, .. } => {
                let volume = self.provision(claim, node)?;
                (claim, volume, true)
            }
            VolumeStep::Wait { .. } => return None,
        };
        let claim = self.get::<PersistentVolumeClaim>(key)?.clone();
        let mut pv = PersistentVolume::clone(self.get(&ObjectKey::cluster(volume.clone()))?);
        pv.claim_ref = Some(ClaimRef { key: key.clone(), uid: claim.meta.uid.clone() });
        pv.phase = VolumePhase::Bound;
        self.add(Object::from(pv));
        let mut claim = PersistentVolumeClaim::clone(&claim);
        claim.spec.volume_name = volume.clone();
        claim.phase = ClaimPhase::Bound;
        claim.meta.annotations = claim
            .meta
            .annotations
            .with(annotation::BIND_COMPLETED, "yes")
            .with(annotation::BOUND_BY_CONTROLLER, "yes");
        if provisioned {
            claim.meta.annotations = claim.meta.annotations.with(annotation::SELECTED_NODE, node.clone());
        }
        self.add(Object::from(claim));
        Some(BoundClaim { claim: key.clone(), volume, provisioned })
    }

    /// Makes a volume for a claim, as an external provisioner would. The volume's name.
    fn provision(&mut self, key: &ObjectKey, node: &Str) -> Option<Str> {
        let claim = self.get::<PersistentVolumeClaim>(key)?.clone();
        let class = self.get::<StorageClass>(&ObjectKey::cluster(claim.class()))?.clone();
        let name: Str = format!("pvc-{}", claim.meta.uid).into();
        let volume = PersistentVolume {
            meta: Lasting {
                annotations: [(annotation::PROVISIONED_BY, class.provisioner.clone())].into_iter().collect(),
                ..Lasting::named("", name.clone())
            }
            .into(),
            capacity: [("storage", claim.requested())].into_iter().collect(),
            access_modes: claim.spec.access_modes.clone(),
            claim_ref: None,
            reclaim_policy: class.reclaim_policy,
            storage_class: class.meta.name.clone(),
            block: claim.spec.block,
            node_affinity: self.reach(&class.provisioner, node),
            source: PvSource::Csi { driver: class.provisioner.clone(), handle: name.clone() },
            attributes_class: claim.spec.attributes_class.clone(),
            mount_options: class.mount_options.clone(),
            rest: None,
            phase: VolumePhase::Available,
            reason: Str::new(),
            message: Str::new(),
        };
        self.add(Object::from(volume));
        Some(name)
    }

    /// From which nodes a new volume can be reached, guessed from the provisioner's name: local disks from their
    /// node, network file systems from everywhere, all others from the zone.
    fn reach(&self, provisioner: &str, node: &Str) -> Option<NodeSelector> {
        let any = |parts: &[&str]| parts.iter().any(|part| provisioner.contains(part));
        let key = if any(&["local", "topolvm"]) {
            lit!(HOSTNAME_LABEL)
        } else if any(&["nfs", "efs", "cephfs"]) {
            return None;
        } else {
            lit!(ZONE_LABEL)
        };
        let node = self.get::<crate::api::Node>(&ObjectKey::cluster(node.clone()))?;
        let value = node.meta.labels.get(&key)?.clone();
        let requirement = Requirement { key, operator: Operator::In, values: vec![value] };
        Some(NodeSelector {
            terms: vec![NodeSelectorTerm { expressions: vec![requirement], fields: Vec::new() }],
        })
    }
}
