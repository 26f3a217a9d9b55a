//! A Pod with what the scheduler works out of it once.
//!
//! Upstream: `pkg/scheduler/framework/types.go` (`PodInfo`, `AffinityTerm`), v1.34.

use super::resources::PodResources;
use crate::api::pod::{ContainerPort, PodAffinityTerm};
use crate::api::selector::NodeSelectorTerm;
use crate::api::taint::Toleration;
use crate::api::volume::VolumeSource;
use crate::api::{LabelSelector, Labels, NodeSelector, ObjectKey, Pod, PodSpec, Uid};
use crate::base::{Arc, LookupMap, Str};

/// A term of Pod (anti-)affinity, ready for matching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffinityTerm {
    /// Namespaces by name.
    pub namespaces: Vec<Str>,
    /// Namespaces by label; nothing if the field is absent, everything if it is empty.
    pub namespace_selector: LabelSelector,
    /// Which Pods.
    pub selector: LabelSelector,
    /// The label whose equal values make one place.
    pub topology_key: Str,
}

impl AffinityTerm {
    fn new(namespace: &Str, term: &PodAffinityTerm) -> Self {
        let namespaces = if term.namespaces.is_empty() && term.namespace_selector.is_none() {
            vec![namespace.clone()]
        } else {
            term.namespaces.clone()
        };
        Self {
            namespaces,
            namespace_selector: term.namespace_selector.clone().unwrap_or(LabelSelector::Nothing),
            selector: term.selector.clone(),
            topology_key: term.topology_key.clone(),
        }
    }

    /// Whether a Pod of this namespace with these labels is meant; `namespace_labels` are those of its namespace.
    pub fn matches(&self, namespace: &str, labels: &Labels, namespace_labels: &Labels) -> bool {
        (self.namespaces.iter().any(|n| n == namespace) || self.namespace_selector.matches(namespace_labels))
            && self.selector.matches(labels)
    }
}

/// A preferred term with its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedAffinityTerm {
    /// The weight, 1 to 100.
    pub weight: i32,
    /// The term.
    pub term: AffinityTerm,
}

/// What all Pods of one spec and namespace share.
#[derive(Debug)]
pub struct PodShape {
    /// Required affinity.
    pub required_affinity: Vec<AffinityTerm>,
    /// Required anti-affinity.
    pub required_anti_affinity: Vec<AffinityTerm>,
    /// Preferred affinity.
    pub preferred_affinity: Vec<WeightedAffinityTerm>,
    /// Preferred anti-affinity.
    pub preferred_anti_affinity: Vec<WeightedAffinityTerm>,
    /// Ports on the host, of sidecars and containers.
    pub host_ports: Vec<ContainerPort>,
    /// Claims of `persistentVolumeClaim` volumes, in the order of the volumes, with the namespace.
    pub claims: Vec<ObjectKey>,
    /// Whether there is any volume that a storage plugin looks at.
    pub has_storage: bool,
    /// Whether there is a generic ephemeral volume.
    pub has_ephemeral: bool,
    /// The topology keys that it names, each once.
    pub topology_keys: Vec<Str>,
    /// Resources of a Pod without resized containers.
    pub resources: Arc<PodResources>,
    /// Pods with the same number ask the same of a node itself: resources, ports, labels, taints. 0 if that is not known.
    pub local: u64,
}

impl PodShape {
    fn new(pod: &Pod) -> Self {
        let (spec, namespace) = (&*pod.spec, &pod.meta.namespace);
        let terms = |terms: &[PodAffinityTerm]| -> Vec<AffinityTerm> {
            terms.iter().map(|t| AffinityTerm::new(namespace, t)).collect()
        };
        let weighted = |terms: &[(i32, PodAffinityTerm)]| -> Vec<WeightedAffinityTerm> {
            let term = |(weight, t): &(i32, PodAffinityTerm)| WeightedAffinityTerm {
                weight: *weight,
                term: AffinityTerm::new(namespace, t),
            };
            terms.iter().map(term).collect()
        };
        Self {
            required_affinity: terms(&spec.affinity.pod_required),
            required_anti_affinity: terms(&spec.affinity.anti_required),
            preferred_affinity: weighted(&spec.affinity.pod_preferred),
            preferred_anti_affinity: weighted(&spec.affinity.anti_preferred),
            host_ports: host_ports(spec),
            claims: claims(spec, namespace),
            has_storage: spec.volumes.iter().any(|v| is_storage(&v.source)),
            has_ephemeral: spec.volumes.iter().any(|v| matches!(v.source, VolumeSource::Ephemeral)),
            topology_keys: topology_keys(spec),
            resources: Arc::new(PodResources::of(pod)),
            local: 0,
        }
    }

    /// Upstream's `podWithAffinity`: affinity or anti-affinity to Pods, required or preferred.
    pub fn has_affinity(&self) -> bool {
        !(self.required_affinity.is_empty()
            && self.required_anti_affinity.is_empty()
            && self.preferred_affinity.is_empty()
            && self.preferred_anti_affinity.is_empty())
    }
}

fn topology_keys(spec: &PodSpec) -> Vec<Str> {
    let affinity = &spec.affinity;
    let required = affinity.pod_required.iter().chain(&affinity.anti_required);
    let preferred = affinity.pod_preferred.iter().chain(&affinity.anti_preferred).map(|(_, term)| term);
    let spread = spec.topology_spread.iter().map(|constraint| &constraint.topology_key);
    let mut keys: Vec<Str> =
        required.chain(preferred).map(|term| &term.topology_key).chain(spread).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn host_ports(spec: &PodSpec) -> Vec<ContainerPort> {
    let sidecars = spec.init_containers.iter().filter(|c| c.sidecar);
    sidecars.chain(&spec.containers).flat_map(|c| &c.ports).filter(|p| p.host_port > 0).cloned().collect()
}

fn claims(spec: &PodSpec, namespace: &Str) -> Vec<ObjectKey> {
    let claim = |source: &VolumeSource| match source {
        VolumeSource::Claim { claim, .. } => Some(ObjectKey::new(namespace.clone(), claim.clone())),
        _ => None,
    };
    spec.volumes.iter().filter_map(|v| claim(&v.source)).collect()
}

const fn is_storage(source: &VolumeSource) -> bool {
    match source {
        VolumeSource::EmptyDir { .. }
        | VolumeSource::HostPath(_)
        | VolumeSource::ConfigMap { .. }
        | VolumeSource::Secret { .. }
        | VolumeSource::Other => false,
        VolumeSource::Claim { .. }
        | VolumeSource::Ephemeral
        | VolumeSource::AwsEbs { .. }
        | VolumeSource::GcePd { .. }
        | VolumeSource::Iscsi { .. }
        | VolumeSource::Rbd { .. }
        | VolumeSource::InlineCsi { .. } => true,
    }
}

/// A Pod with what was worked out of it.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// The Pod.
    pub pod: Arc<Pod>,
    /// What it shares with its like.
    pub shape: Arc<PodShape>,
    /// What it takes on a node.
    pub resources: Arc<PodResources>,
}

impl PodInfo {
    /// Works out everything anew. [`Shapes::info`] shares the work.
    pub fn new(pod: Arc<Pod>) -> Self {
        let shape = Arc::new(PodShape::new(&pod));
        Self { resources: shape.resources.clone(), pod, shape }
    }

    /// Its identity.
    pub fn uid(&self) -> &Uid {
        &self.pod.meta.uid
    }

    /// Whether it makes no difference to what is counted of the node and of the cluster which of two states of the Pod is
    /// there: what they ask for, their labels, and whether they are about to go. When it started counts once victims are chosen.
    pub fn looks_like(&self, other: &Pod) -> bool {
        let (mine, theirs) = (&self.pod.meta, &other.meta);
        Arc::ptr_eq(&self.pod.spec, &other.spec)
            && !self.pod.is_resized()
            && !other.is_resized()
            && mine.labels == theirs.labels
            && mine.deletion == theirs.deletion
            && self.pod.status.nominated_node == other.status.nominated_node
    }

    /// Its priority.
    pub fn priority(&self) -> i32 {
        self.pod.spec.priority
    }
}

/// The shapes in use, so that a thousand replicas share one.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    known: LookupMap<(u64, Str), (Arc<PodSpec>, Arc<PodShape>)>,
    wishes: LookupMap<LocalWishes, u64>,
}

/// All that plugins which look at a node alone read of a Pod without a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LocalWishes {
    scheduler_name: Str,
    node_selector: Labels,
    node_required: Option<NodeSelector>,
    node_preferred: Vec<(i32, NodeSelectorTerm)>,
    tolerations: Vec<Toleration>,
    host_ports: Vec<ContainerPort>,
    resources: Arc<PodResources>,
}

impl LocalWishes {
    fn of(spec: &PodSpec, shape: &PodShape) -> Self {
        Self {
            scheduler_name: spec.scheduler_name.clone(),
            node_selector: spec.node_selector.clone(),
            node_required: spec.affinity.node_required.clone(),
            node_preferred: spec.affinity.node_preferred.clone(),
            tolerations: spec.tolerations.clone(),
            host_ports: shape.host_ports.clone(),
            resources: shape.resources.clone(),
        }
    }
}

impl Shapes {
    /// A Pod with what is known of its like.
    pub fn info(&mut self, pod: Arc<Pod>) -> PodInfo {
        if pod.is_resized() {
            // What it takes depends on its status, so it shares nothing.
            return PodInfo::new(pod);
        }
        let key = (pod.spec.fingerprint, pod.meta.namespace.clone());
        if let Some((spec, shape)) = self.known.get(&key)
            && (Arc::ptr_eq(spec, &pod.spec) || *spec == pod.spec)
        {
            let shape = shape.clone();
            return PodInfo { resources: shape.resources.clone(), pod, shape };
        }
        let mut shape = PodShape::new(&pod);
        let next = self.wishes.len() as u64 + 1;
        shape.local = *self.wishes.or_insert_with(LocalWishes::of(&pod.spec, &shape), || next);
        let shape = Arc::new(shape);
        self.known.insert(key, (pod.spec.clone(), shape.clone()));
        PodInfo { resources: shape.resources.clone(), pod, shape }
    }
}
