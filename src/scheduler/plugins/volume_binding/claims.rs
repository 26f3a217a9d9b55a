//! The claims of a Pod, and what a node has for them.
//!
//! Upstream: `pkg/scheduler/framework/plugins/volumebinding/binder.go` (`GetPodVolumeClaims`, `FindPodVolumes`),
//! v1.34.

use super::super::csi_migration::{InTree, effective_affinity};
use super::matching::{Candidates, reaches};
use super::places::Places;
use crate::api::selector::{NodeSelectorTerm, Operator, Requirement};
use crate::api::storage::{
    ClaimPhase, CsiNode, CsiStorageCapacity, PersistentVolume, PersistentVolumeClaim, StorageClass,
    annotation,
};
use crate::api::volume::{Volume, VolumeSource};
use crate::api::{Labels, Node, NodeSelector, ObjectKey, Pod, resources};
use crate::base::{Arc, Quantity, Str};
use crate::scheduler::decision::VolumeStep;
use crate::scheduler::framework::topology::Topology;
use crate::scheduler::framework::{Gate, Listers, Status, cause};

/// The provisioner of classes whose volumes are made by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Capacities that suffice for a claim.
#[derive(Clone, Debug, Default)]
struct Room {
    capacities: Vec<Arc<CsiStorageCapacity>>,
    places: Places,
}

/// A claim that binds once its Pod has a node.
#[derive(Clone, Debug)]
struct Delayed {
    claim: Arc<PersistentVolumeClaim>,
    /// The node that was chosen for it before.
    selected_node: Option<Str>,
    candidates: Candidates,
    class: Arc<StorageClass>,
    /// Where its driver says that there is room for it; none if the driver does not say.
    room: Option<Room>,
}

/// A claim's volume; none if it is gone.
type Bound = Option<Arc<PersistentVolume>>;

/// The claims of a Pod.
#[derive(Clone, Debug, Default)]
pub struct PodClaims {
    bound: Vec<Bound>,
    delayed: Vec<Delayed>,
    /// Whether a claim should have been bound before the Pod is placed and is not.
    pub has_unbound_immediate: bool,
}

/// What a node has for the claims of a Pod.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Claims with the volumes they are to be bound to, the smallest claim first.
    pub bindings: Vec<(Arc<PersistentVolumeClaim>, Arc<PersistentVolume>)>,
    /// Claims that volumes are to be made for.
    pub provisions: Vec<Arc<PersistentVolumeClaim>>,
}

/// Why a node has not what the claims need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// A bound volume cannot be reached.
    pub node_affinity: bool,
    /// A claim finds no volume.
    pub no_match: bool,
    /// There is no room for a new volume.
    pub no_room: bool,
    /// A bound volume does not exist.
    pub volume_gone: bool,
}

/// The claim of a volume of the Pod by its key, and whether it is an ephemeral one's.
pub fn claim_key(pod: &Pod, volume: &Volume) -> Option<(ObjectKey, bool)> {
    let key = |name| ObjectKey { namespace: pod.meta.namespace.clone(), name };
    match &volume.source {
        VolumeSource::Claim { claim, .. } => Some((key(claim.clone()), false)),
        VolumeSource::Ephemeral => Some((key(format!("{}-{}", pod.meta.name, volume.name).into()), true)),
        VolumeSource::EmptyDir { .. }
        | VolumeSource::HostPath(_)
        | VolumeSource::ConfigMap { .. }
        | VolumeSource::Secret { .. }
        | VolumeSource::AwsEbs { .. }
        | VolumeSource::GcePd { .. }
        | VolumeSource::Iscsi { .. }
        | VolumeSource::Rbd { .. }
        | VolumeSource::InlineCsi { .. }
        | VolumeSource::Other => None,
    }
}

/// Whether all claims of the Pod exist and are fit for use, and whether it has any.
///
/// # Errors
/// What is wrong with the first that is not.
pub fn check_claims(pod: &Pod, listers: &Listers) -> Result<bool, Status> {
    let mut any = false;
    for (key, ephemeral) in pod.spec.volumes.iter().filter_map(|v| claim_key(pod, v)) {
        any = true;
        let name = &key.name;
        let refuse = |text: String, cause| Err(Status::unresolvable(text, cause));
        let Some(claim) = listers.claims.at(&key) else {
            let text = if ephemeral {
                format!(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\""
                )
            } else {
                format!("persistentvolumeclaim \"{name}\" not found")
            };
            return refuse(text, cause::CLAIM_NOT_FOUND);
        };
        if claim.phase == ClaimPhase::Lost {
            let volume = &claim.spec.volume_name;
            let text = format!(
                "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
            );
            return refuse(text, cause::VOLUME_NOT_FOUND);
        }
        if claim.meta.is_deleting() {
            return refuse(
                format!("persistentvolumeclaim \"{name}\" is being deleted"),
                cause::CLAIM_BEING_DELETED,
            );
        }
        if ephemeral && !claim.meta.is_controlled_by(&pod.meta.uid) {
            let text = format!("PVC {key} was not created for pod {} (pod is not owner)", pod.meta.key());
            return refuse(text, cause::CLAIM_NOT_FOUND);
        }
    }
    Ok(any)
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    !claim.spec.volume_name.is_empty() && claim.meta.annotations.contains_key(annotation::BIND_COMPLETED)
}

impl PodClaims {
    /// Sorts out the claims of a Pod that [`check_claims`] has passed, as they are assumed to be.
    pub fn of(pod: &Pod, listers: &Listers) -> Self {
        let mut all = Self::default();
        for (key, _) in pod.spec.volumes.iter().filter_map(|v| claim_key(pod, v)) {
            let Some(claim) = listers.latest_claim(&key) else { continue };
            if is_bound(claim) {
                all.bound.push(listers.latest_volume(&claim.spec.volume_name).cloned());
                continue;
            }
            // A claim that names a volume already is waited for, whatever its class says.
            let class = listers.classes.named(&claim.class()).filter(|c| c.wait_for_first_consumer);
            match class.filter(|_| claim.spec.volume_name.is_empty()) {
                Some(class) => all.delayed.push(Delayed::new(claim, class, listers)),
                None => all.has_unbound_immediate = true,
            }
        }
        all
    }

    /// What a node has for the claims.
    ///
    /// # Errors
    /// Why it has not.
    pub fn find(&self, node: &Node, csi_node: Option<&CsiNode>) -> Result<Found, Conflicts> {
        let mut conflicts = self.check_bound(&node.meta.labels, csi_node);
        let elsewhere =
            |d: &Delayed| d.selected_node.as_ref().is_some_and(|selected| *selected != node.meta.name);
        if self.delayed.iter().any(elsewhere) {
            conflicts.no_match = true;
            return Err(conflicts);
        }
        let mut found = Found::default();
        let (mut to_make, mut to_match): (Vec<&Delayed>, Vec<&Delayed>) =
            self.delayed.iter().partition(|d| d.selected_node.is_some());
        to_match.sort_by_key(|d| d.claim.requested().nanos());
        let mut taken = Vec::new();
        for delayed in to_match {
            match delayed.candidates.choose(&node.meta.labels, &taken) {
                Some(volume) => {
                    taken.push(volume.meta.name.clone());
                    found.bindings.push((delayed.claim.clone(), volume.clone()));
                }
                None => to_make.push(delayed),
            }
        }
        for delayed in to_make {
            if !delayed.can_be_made(&node.meta.labels) {
                conflicts.no_match = true;
                break;
            }
            if !delayed.has_room(&node.meta.labels) {
                conflicts.no_room = true;
                break;
            }
            found.provisions.push(delayed.claim.clone());
        }
        if conflicts == Conflicts::default() { Ok(found) } else { Err(conflicts) }
    }

    fn check_bound(&self, labels: &Labels, csi_node: Option<&CsiNode>) -> Conflicts {
        for volume in &self.bound {
            let Some(volume) = volume else { return Conflicts { volume_gone: true, ..Conflicts::default() } };
            if !reaches(effective_affinity(volume, csi_node).as_deref(), labels) {
                return Conflicts { node_affinity: true, ..Conflicts::default() };
            }
        }
        Conflicts::default()
    }

    /// Says by gates from which nodes the volumes of bound claims can be reached. Whether that is all there is to say.
    pub fn gates(&self, topology: &Topology, gates: &mut Vec<Gate>) -> bool {
        let mut complete = self.all_bound();
        for volume in &self.bound {
            match volume {
                None => gates.push(Gate::CLOSED),
                // Where other volumes are may depend on the node's drivers.
                Some(volume) if InTree::of_volume(volume).is_none() => {
                    complete &= gates_of(volume.node_affinity.as_ref(), topology, gates);
                }
                Some(_) => complete = false,
            }
        }
        complete
    }

    /// Whether every claim is bound, so that nothing has to be written.
    pub fn all_bound(&self) -> bool {
        self.delayed.is_empty()
    }
}

impl Delayed {
    fn new(claim: &Arc<PersistentVolumeClaim>, class: &Arc<StorageClass>, listers: &Listers) -> Self {
        let selected_node = claim.meta.annotations.get(annotation::SELECTED_NODE).cloned();
        let candidates = match selected_node {
            Some(_) => Candidates::default(),
            None => Candidates::new(claim, listers.latest_volumes_of_class(&class.meta.name)),
        };
        let room = room_for(claim, class, listers);
        Self { claim: claim.clone(), selected_node, candidates, class: class.clone(), room }
    }

    fn can_be_made(&self, labels: &Labels) -> bool {
        let provisioner = &self.class.provisioner;
        !provisioner.is_empty()
            && provisioner != NO_PROVISIONER
            && topology_allows(&self.class.allowed_topologies, labels)
    }

    fn has_room(&self, labels: &Labels) -> bool {
        let Some(room) = &self.room else { return true };
        let reaches = |index: usize| {
            room.capacities[index].node_topology.as_ref().is_some_and(|topology| topology.matches(labels))
        };
        room.places.first(labels, reaches).is_some()
    }
}

/// Says a volume's node affinity by gates, if it names places in one term. Whether it does.
fn gates_of(affinity: Option<&NodeSelector>, topology: &Topology, gates: &mut Vec<Gate>) -> bool {
    let Some(affinity) = affinity else { return true };
    let [term] = affinity.terms.as_slice() else { return false };
    let named = |r: &Requirement| r.operator == Operator::In;
    if term.expressions.is_empty() || !term.fields.is_empty() || !term.expressions.iter().all(named) {
        return false;
    }
    gates.extend(term.expressions.iter().map(|requirement| {
        let key = topology.key(&requirement.key);
        let places = key.map(|key| topology.places(key));
        let mut passes = vec![false; places.map_or(0, |places| places.len())];
        for value in &requirement.values {
            if let Some(place) = places.and_then(|places| places.find(value)) {
                passes[place] = true;
            }
        }
        Gate { key, passes, elsewhere: false }
    }));
    true
}

/// Whether a node with these labels is within the allowed topologies of a class; none allow every node.
fn topology_allows(terms: &[NodeSelectorTerm], labels: &Labels) -> bool {
    terms.is_empty() || terms.iter().any(|term| term.matches("", labels))
}

/// The capacities of a class that suffice for a claim; none if its driver does not publish any.
fn room_for(claim: &PersistentVolumeClaim, class: &StorageClass, listers: &Listers) -> Option<Room> {
    let size = claim.spec.requests.get(resources::STORAGE)?.value();
    listers.csi_drivers.named(&class.provisioner).filter(|driver| driver.storage_capacity)?;
    let mut room = Room::default();
    for capacity in listers.capacities_of_class(&class.meta.name) {
        let suffices = volume_limit(capacity).is_some_and(|limit| limit.value() >= size);
        if let Some(topology) = capacity.node_topology.as_ref().filter(|_| suffices) {
            room.places.add_labelled(room.capacities.len(), topology);
            room.capacities.push(capacity.clone());
        }
    }
    Some(room)
}

/// The largest volume that a capacity allows.
pub fn volume_limit(capacity: &CsiStorageCapacity) -> Option<Quantity> {
    capacity.maximum_volume_size.or(capacity.capacity)
}

impl Found {
    /// What has to be written before the Pod can be bound to `node`.
    pub fn steps(&self, node: &Str) -> Vec<VolumeStep> {
        // Upstream writes a volume that is reserved already once more, which changes nothing.
        let bind = |(claim, volume): &(Arc<PersistentVolumeClaim>, Arc<PersistentVolume>)| VolumeStep::Bind {
            claim: claim.meta.key(),
            volume: volume.meta.name.clone(),
        };
        let provision = |claim: &Arc<PersistentVolumeClaim>| VolumeStep::Provision {
            claim: claim.meta.key(),
            node: node.clone(),
        };
        self.bindings.iter().map(bind).chain(self.provisions.iter().map(provision)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::storage::{AccessMode, CsiDriver, PvSource, VolumePhase};
    use crate::api::{LabelSelector, Lasting, Meta, NodeSelector, Object};
    use crate::testkit::{self, labels};

    fn class(name: &str, provisioner: &str, allowed: &str) -> Object {
        let LabelSelector::Requirements(expressions) = LabelSelector::parse(allowed).unwrap() else {
            unreachable!("a parsed selector has requirements")
        };
        let term = NodeSelectorTerm { expressions, fields: Vec::new() };
        Object::StorageClass(Arc::new(StorageClass {
            meta: Meta::named("", name),
            provisioner: provisioner.into(),
            parameters: Labels::default(),
            reclaim_policy: Default::default(),
            wait_for_first_consumer: true,
            allow_expansion: false,
            allowed_topologies: if allowed.is_empty() { Vec::new() } else { vec![term] },
            mount_options: Vec::new(),
        }))
    }

    fn volume(name: &str, size: i64, zone: &str) -> Object {
        let LabelSelector::Requirements(expressions) = LabelSelector::parse(&format!("zone={zone}")).unwrap()
        else {
            unreachable!("a parsed selector has requirements")
        };
        let term = NodeSelectorTerm { expressions, fields: Vec::new() };
        Object::PersistentVolume(Arc::new(PersistentVolume {
            meta: Meta::named("", name),
            capacity: [("storage", Quantity::from_units(size))].into_iter().collect(),
            access_modes: vec![AccessMode::ReadWriteOnce],
            claim_ref: None,
            reclaim_policy: Default::default(),
            storage_class: "disk".into(),
            block: false,
            node_affinity: Some(NodeSelector { terms: vec![term] }),
            source: PvSource::Local("/".into()),
            attributes_class: None,
            mount_options: Vec::new(),
            rest: None,
            phase: VolumePhase::Available,
            reason: Str::new(),
            message: Str::new(),
        }))
    }

    /// The same, reserved for a claim by name.
    fn reserved(name: &str, zone: &str, claim: &str) -> Object {
        let Object::PersistentVolume(volume) = volume(name, 9, zone) else { unreachable!("a volume") };
        let mut volume = PersistentVolume::clone(&volume);
        let key = ObjectKey::new("default", claim);
        volume.claim_ref = Some(crate::api::storage::ClaimRef { key, uid: Str::new() });
        Object::PersistentVolume(Arc::new(volume))
    }

    /// The same claim, but of so many units.
    fn sized(object: &Object, units: i64) -> Object {
        let Object::PersistentVolumeClaim(claim) = object else { unreachable!("a claim") };
        let mut claim = PersistentVolumeClaim::clone(claim);
        claim.spec.requests = [("storage", Quantity::from_units(units))].into_iter().collect();
        Object::PersistentVolumeClaim(Arc::new(claim))
    }

    /// A claim `name` of 5 units in the class `disk`, with an annotation or a volume.
    fn claim(name: &str, selected: &str, bound_to: &str) -> Object {
        let mut claim = PersistentVolumeClaim { meta: Meta::named("default", name), ..Default::default() };
        claim.spec.storage_class = Some("disk".into());
        claim.spec.access_modes = vec![AccessMode::ReadWriteOnce];
        claim.spec.requests = [("storage", Quantity::from_units(5))].into_iter().collect();
        if !selected.is_empty() {
            claim.meta.annotations = [(annotation::SELECTED_NODE, selected)].into_iter().collect();
        }
        if !bound_to.is_empty() {
            claim.spec.volume_name = bound_to.into();
            claim.meta.annotations = [(annotation::BIND_COMPLETED, "yes")].into_iter().collect();
        }
        Object::PersistentVolumeClaim(Arc::new(claim))
    }

    fn pod(claims: &[&str]) -> Pod {
        let mut spec = testkit::pod_spec("app:v1");
        spec.volumes = claims
            .iter()
            .map(|name| Volume {
                name: (*name).into(),
                source: VolumeSource::Claim { claim: (*name).into(), read_only: false },
            })
            .collect();
        Pod { spec: Arc::new(spec), ..testkit::pod("p", "") }
    }

    /// What a node `n` of zone `a` has for the claims, in short words.
    fn found(objects: &[Object], claims: &[&str]) -> String {
        let mut listers = Listers::default();
        objects.iter().for_each(|o| listers.change(None, Some(o)));
        let pod = pod(claims);
        assert_eq!(check_claims(&pod, &listers), Ok(true));
        let all = PodClaims::of(&pod, &listers);
        if all.has_unbound_immediate {
            return "unbound".to_owned();
        }
        let node = Node {
            meta: Lasting { labels: labels("zone=a"), ..Lasting::named("", "n") }.into(),
            ..Node::default()
        };
        match all.find(&node, None) {
            Ok(found) => {
                let step = |step: &VolumeStep| match step {
                    VolumeStep::Bind { claim, volume } => format!("{}={volume}", claim.name),
                    VolumeStep::Provision { claim, node } => format!("{}@{node}", claim.name),
                    VolumeStep::Wait { claim } => claim.name.to_string(),
                };
                found.steps(&"n".into()).iter().map(step).collect::<Vec<_>>().join(" ")
            }
            Err(c) => [
                (c.node_affinity, "affinity"),
                (c.no_match, "match"),
                (c.no_room, "room"),
                (c.volume_gone, "gone"),
            ]
            .iter()
            .filter_map(|(given, word)| given.then_some(*word))
            .collect::<Vec<_>>()
            .join("+"),
        }
    }

    /// autoscaling-storage.md §5.2 (classes of claims; what Filter does for delayed ones), §5.3 (steps 6, 7 and 10), §5.1 (volumes
    /// that are gone).
    #[test]
    fn claims_are_matched_then_provisioned() {
        let made = || class("disk", "csi.example", "");
        let by_hand = || class("disk", NO_PROVISIONER, "");
        let (near, far) = (|| volume("near", 9, "a"), || volume("far", 6, "b"));
        for (objects, claims, expected) in [
            (vec![made(), claim("c", "", ""), near(), far()], vec!["c"], "c=near"),
            (vec![made(), claim("c", "", ""), far()], vec!["c"], "c@n"),
            (vec![by_hand(), claim("c", "", ""), far()], vec!["c"], "match"),
            (vec![made(), claim("c", "n", ""), near()], vec!["c"], "c@n"),
            (vec![made(), claim("c", "other", ""), near()], vec!["c"], "match"),
            (vec![class("disk", "csi.example", "zone=b"), claim("c", "", "")], vec!["c"], "match"),
            (vec![made(), claim("c", "", ""), claim("d", "", ""), near()], vec!["c", "d"], "c=near d@n"),
            (
                vec![made(), claim("c", "", ""), near(), volume("more", 8, "a")],
                vec!["c", "c"],
                "c=more c=near",
            ),
            (vec![by_hand(), claim("c", "", ""), reserved("mine", "b", "c"), near()], vec!["c"], "match"),
            (
                vec![by_hand(), claim("c", "", ""), reserved("mine", "a", "c"), volume("small", 6, "a")],
                vec!["c"],
                "c=mine",
            ),
            (
                vec![
                    by_hand(),
                    sized(&claim("c", "", ""), 8),
                    claim("d", "", ""),
                    near(),
                    volume("large", 20, "a"),
                ],
                vec!["c", "d"],
                "d=near c=large",
            ),
            (vec![claim("c", "", "near"), near()], vec!["c"], ""),
            (vec![claim("c", "", "far"), far()], vec!["c"], "affinity"),
            (vec![claim("c", "", "none")], vec!["c"], "gone"),
            (
                vec![made(), claim("c", "", "far"), far(), claim("d", "other", "")],
                vec!["c", "d"],
                "affinity+match",
            ),
            (vec![claim("c", "", ""), near()], vec!["c"], "unbound"),
        ] {
            assert_eq!(found(&objects, &claims), expected, "{claims:?}");
        }
    }

    /// autoscaling-storage.md §5.2, step 3: CSIStorageCapacity.
    #[test]
    fn a_driver_that_publishes_capacity_needs_room() {
        let driver = |storage_capacity| {
            let meta = Meta::named("", "csi.example");
            Object::CsiDriver(Arc::new(CsiDriver { meta, storage_capacity, ..CsiDriver::default() }))
        };
        let capacity = |zone: &str, units: i64| {
            Object::CsiStorageCapacity(Arc::new(CsiStorageCapacity {
                meta: Meta::named("kube-system", "room"),
                storage_class: "disk".into(),
                node_topology: Some(LabelSelector::parse(&format!("zone={zone}")).unwrap()),
                capacity: Some(Quantity::from_units(units)),
                maximum_volume_size: None,
            }))
        };
        let ground = || vec![class("disk", "csi.example", ""), claim("c", "", "")];
        for (more, expected) in [
            (vec![], "c@n"),
            (vec![driver(false)], "c@n"),
            (vec![driver(true)], "room"),
            (vec![driver(true), capacity("a", 5)], "c@n"),
            (vec![driver(true), capacity("a", 4)], "room"),
            (vec![driver(true), capacity("b", 9)], "room"),
        ] {
            let objects: Vec<Object> = ground().into_iter().chain(more).collect();
            assert_eq!(found(&objects, &["c"]), expected);
        }
    }
}
