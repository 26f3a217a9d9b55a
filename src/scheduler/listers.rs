//! What the scheduler knows of objects other than Pods and nodes: its informers' caches, indexed for the plugins.
//!
//! [`Listers`] follows the watch through [`Listers::change`]. Claims and volumes have two faces: as the API has
//! them, and as VolumeBinding *assumes* them between its decision and the write. Only VolumeBinding looks at the
//! second, by the methods named `latest_*`.
//!
//! Upstream: `client-go` listers; `pkg/scheduler/util/assumecache/assume_cache.go`, v1.34.
//!
//! # Fidelity
//! Upstream keeps one cache of assumed volumes for each profile; here all profiles share one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::policy::PodDisruptionBudget;
use crate::api::service::{Namespace, Service};
use crate::api::storage::{
    CsiDriver, CsiNode, CsiStorageCapacity, PersistentVolume, PersistentVolumeClaim, StorageClass,
    VolumeAttachment,
};
use crate::api::workload::{ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{Object, ObjectKey, Resource};
use crate::base::Str;

/// Objects of one kind by key.
type ByKey<T> = BTreeMap<ObjectKey, Arc<T>>;
/// Objects of one kind, grouped by what plugins ask for, then by key.
type Grouped<T> = BTreeMap<Str, ByKey<T>>;

/// The caches.
#[derive(Clone, Debug, Default)]
pub struct Listers {
    claims: ByKey<PersistentVolumeClaim>,
    volumes: ByKey<PersistentVolume>,
    volumes_by_class: BTreeMap<Str, BTreeSet<ObjectKey>>,
    assumed_claims: ByKey<PersistentVolumeClaim>,
    assumed_volumes: ByKey<PersistentVolume>,
    classes: ByKey<StorageClass>,
    csi_nodes: ByKey<CsiNode>,
    csi_drivers: ByKey<CsiDriver>,
    capacities_by_class: Grouped<CsiStorageCapacity>,
    attachments_by_node: Grouped<VolumeAttachment>,
    services_by_namespace: Grouped<Service>,
    replica_sets: ByKey<ReplicaSet>,
    stateful_sets: ByKey<StatefulSet>,
    replication_controllers: ByKey<ReplicationController>,
    namespaces: ByKey<Namespace>,
    budgets_by_namespace: Grouped<PodDisruptionBudget>,
    resource_claims: BTreeSet<ObjectKey>,
}

impl Listers {
    /// Takes in one change of the watch; Pods, nodes and kinds that no plugin asks for are passed over.
    pub fn change(&mut self, old: Option<&Object>, new: Option<&Object>) {
        if let Some(old) = old {
            self.remove(old);
        }
        if let Some(new) = new {
            self.insert(new);
        }
    }

    fn remove(&mut self, object: &Object) {
        match object {
            Object::PersistentVolumeClaim(o) => {
                self.claims.remove(&o.key());
                self.assumed_claims.remove(&o.key());
            }
            Object::PersistentVolume(o) => self.remove_volume(o),
            Object::StorageClass(o) => drop(self.classes.remove(&o.key())),
            Object::CsiNode(o) => drop(self.csi_nodes.remove(&o.key())),
            Object::CsiDriver(o) => drop(self.csi_drivers.remove(&o.key())),
            Object::CsiStorageCapacity(o) => {
                ungroup(&mut self.capacities_by_class, &o.storage_class, &o.key())
            }
            Object::VolumeAttachment(o) => ungroup(&mut self.attachments_by_node, &o.node_name, &o.key()),
            Object::Service(o) => ungroup(&mut self.services_by_namespace, &o.meta.namespace, &o.key()),
            Object::ReplicaSet(o) => drop(self.replica_sets.remove(&o.key())),
            Object::StatefulSet(o) => drop(self.stateful_sets.remove(&o.key())),
            Object::ReplicationController(o) => drop(self.replication_controllers.remove(&o.key())),
            Object::Namespace(o) => drop(self.namespaces.remove(&o.key())),
            Object::PodDisruptionBudget(o) => {
                ungroup(&mut self.budgets_by_namespace, &o.meta.namespace, &o.key());
            }
            Object::Inert(o) if o.kind == "ResourceClaim" => {
                self.resource_claims.remove(&o.meta.key());
            }
            _ => {}
        }
    }

    fn insert(&mut self, object: &Object) {
        match object {
            Object::PersistentVolumeClaim(o) => {
                // A newer object from the API replaces what was assumed of it.
                self.assumed_claims.remove(&o.key());
                self.claims.insert(o.key(), o.clone());
            }
            Object::PersistentVolume(o) => self.insert_volume(o),
            Object::StorageClass(o) => drop(self.classes.insert(o.key(), o.clone())),
            Object::CsiNode(o) => drop(self.csi_nodes.insert(o.key(), o.clone())),
            Object::CsiDriver(o) => drop(self.csi_drivers.insert(o.key(), o.clone())),
            Object::CsiStorageCapacity(o) => group(&mut self.capacities_by_class, &o.storage_class, o),
            Object::VolumeAttachment(o) => group(&mut self.attachments_by_node, &o.node_name, o),
            Object::Service(o) => group(&mut self.services_by_namespace, &o.meta.namespace, o),
            Object::ReplicaSet(o) => drop(self.replica_sets.insert(o.key(), o.clone())),
            Object::StatefulSet(o) => drop(self.stateful_sets.insert(o.key(), o.clone())),
            Object::ReplicationController(o) => drop(self.replication_controllers.insert(o.key(), o.clone())),
            Object::Namespace(o) => drop(self.namespaces.insert(o.key(), o.clone())),
            Object::PodDisruptionBudget(o) => group(&mut self.budgets_by_namespace, &o.meta.namespace, o),
            Object::Inert(o) if o.kind == "ResourceClaim" => drop(self.resource_claims.insert(o.meta.key())),
            _ => {}
        }
    }

    fn remove_volume(&mut self, volume: &PersistentVolume) {
        let key = volume.key();
        self.assumed_volumes.remove(&key);
        self.volumes.remove(&key);
        let class = volume.class();
        if let Some(names) = self.volumes_by_class.get_mut(&class) {
            names.remove(&key);
            if names.is_empty() {
                self.volumes_by_class.remove(&class);
            }
        }
    }

    fn insert_volume(&mut self, volume: &Arc<PersistentVolume>) {
        let key = volume.key();
        self.assumed_volumes.remove(&key);
        if let Some(before) = self.volumes.get(&key).cloned() {
            self.remove_volume(&before);
        }
        self.volumes_by_class.entry(volume.class()).or_default().insert(key.clone());
        self.volumes.insert(key, volume.clone());
    }
}

fn group<T: Resource>(groups: &mut Grouped<T>, by: &Str, object: &Arc<T>) {
    groups.entry(by.clone()).or_default().insert(object.key(), object.clone());
}

fn ungroup<T>(groups: &mut Grouped<T>, by: &Str, key: &ObjectKey) {
    if let Some(group) = groups.get_mut(by) {
        group.remove(key);
        if group.is_empty() {
            groups.remove(by);
        }
    }
}

fn members<'a, T>(groups: &'a Grouped<T>, by: &str) -> impl Iterator<Item = &'a Arc<T>> {
    groups.get(by).into_iter().flat_map(BTreeMap::values)
}

/// Lookups as the API has the objects.
impl Listers {
    /// A claim.
    pub fn claim(&self, key: &ObjectKey) -> Option<&Arc<PersistentVolumeClaim>> {
        self.claims.get(key)
    }

    /// A volume.
    pub fn volume(&self, name: &Str) -> Option<&Arc<PersistentVolume>> {
        self.volumes.get(&ObjectKey::cluster(name.clone()))
    }

    /// A StorageClass.
    pub fn class(&self, name: &Str) -> Option<&Arc<StorageClass>> {
        self.classes.get(&ObjectKey::cluster(name.clone()))
    }

    /// The CSINode of a node.
    pub fn csi_node(&self, node: &Str) -> Option<&Arc<CsiNode>> {
        self.csi_nodes.get(&ObjectKey::cluster(node.clone()))
    }

    /// A CSIDriver.
    pub fn csi_driver(&self, name: &Str) -> Option<&Arc<CsiDriver>> {
        self.csi_drivers.get(&ObjectKey::cluster(name.clone()))
    }

    /// The CSIStorageCapacity objects of a class, by namespace and name.
    pub fn capacities_of_class(&self, class: &str) -> impl Iterator<Item = &Arc<CsiStorageCapacity>> {
        members(&self.capacities_by_class, class)
    }

    /// The VolumeAttachments of a node, by name.
    pub fn attachments_of_node(&self, node: &str) -> impl Iterator<Item = &Arc<VolumeAttachment>> {
        members(&self.attachments_by_node, node)
    }

    /// The Services of a namespace, by name.
    pub fn services_of(&self, namespace: &str) -> impl Iterator<Item = &Arc<Service>> {
        members(&self.services_by_namespace, namespace)
    }

    /// A ReplicaSet.
    pub fn replica_set(&self, key: &ObjectKey) -> Option<&Arc<ReplicaSet>> {
        self.replica_sets.get(key)
    }

    /// A StatefulSet.
    pub fn stateful_set(&self, key: &ObjectKey) -> Option<&Arc<StatefulSet>> {
        self.stateful_sets.get(key)
    }

    /// A ReplicationController.
    pub fn replication_controller(&self, key: &ObjectKey) -> Option<&Arc<ReplicationController>> {
        self.replication_controllers.get(key)
    }

    /// A namespace.
    pub fn namespace(&self, name: &Str) -> Option<&Arc<Namespace>> {
        self.namespaces.get(&ObjectKey::cluster(name.clone()))
    }

    /// All namespaces, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.values()
    }

    /// The PodDisruptionBudgets of a namespace, by name.
    pub fn budgets_of(&self, namespace: &str) -> impl Iterator<Item = &Arc<PodDisruptionBudget>> {
        members(&self.budgets_by_namespace, namespace)
    }

    /// Whether a ResourceClaim of this key exists; what it claims is not simulated.
    pub fn has_resource_claim(&self, key: &ObjectKey) -> bool {
        self.resource_claims.contains(key)
    }
}

/// Claims and volumes as VolumeBinding assumes them.
impl Listers {
    /// A claim, as assumed if it is.
    pub fn latest_claim(&self, key: &ObjectKey) -> Option<&Arc<PersistentVolumeClaim>> {
        self.assumed_claims.get(key).or_else(|| self.claims.get(key))
    }

    /// A volume, as assumed if it is.
    pub fn latest_volume(&self, name: &Str) -> Option<&Arc<PersistentVolume>> {
        self.latest_volume_by_key(&ObjectKey::cluster(name.clone()))
    }

    fn latest_volume_by_key(&self, key: &ObjectKey) -> Option<&Arc<PersistentVolume>> {
        self.assumed_volumes.get(key).or_else(|| self.volumes.get(key))
    }

    /// The volumes of a class by name, as assumed if they are.
    pub fn latest_volumes_of_class(&self, class: &str) -> impl Iterator<Item = &Arc<PersistentVolume>> {
        self.volumes_by_class
            .get(class)
            .into_iter()
            .flatten()
            .filter_map(|key| self.latest_volume_by_key(key))
    }

    /// Assumes a claim to be what is about to be written.
    pub fn assume_claim(&mut self, claim: Arc<PersistentVolumeClaim>) {
        self.assumed_claims.insert(claim.key(), claim);
    }

    /// Assumes a volume to be what is about to be written.
    pub fn assume_volume(&mut self, volume: Arc<PersistentVolume>) {
        self.assumed_volumes.insert(volume.key(), volume);
    }

    /// Takes a claim as the API has it again.
    pub fn restore_claim(&mut self, key: &ObjectKey) {
        self.assumed_claims.remove(key);
    }

    /// Takes a volume as the API has it again.
    pub fn restore_volume(&mut self, name: &Str) {
        self.assumed_volumes.remove(&ObjectKey::cluster(name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Meta;

    fn claim(name: &str, class: &str) -> Object {
        let mut claim = PersistentVolumeClaim { meta: Meta::named("default", name), ..Default::default() };
        claim.spec.storage_class = Some(class.into());
        Object::PersistentVolumeClaim(Arc::new(claim))
    }

    #[test]
    fn an_assumption_lasts_until_the_api_says_something_newer() {
        let mut listers = Listers::default();
        let first = claim("data", "a");
        listers.change(None, Some(&first));
        let key = first.key();
        let class = |l: &Listers| (l.claim(&key).map(|c| c.class()), l.latest_claim(&key).map(|c| c.class()));

        let mut assumed = listers.claim(&key).map(|c| (**c).clone()).unwrap();
        assumed.spec.storage_class = Some("b".into());
        listers.assume_claim(Arc::new(assumed.clone()));
        assert_eq!(class(&listers), (Some("a".into()), Some("b".into())));

        listers.restore_claim(&key);
        assert_eq!(class(&listers).1, Some("a".into()));

        listers.assume_claim(Arc::new(assumed));
        listers.change(Some(&first), Some(&claim("data", "c")));
        assert_eq!(class(&listers), (Some("c".into()), Some("c".into())));
        listers.change(Some(&first), None);
        assert_eq!(class(&listers), (None, None));
    }

    #[test]
    fn groups_follow_their_members() {
        let mut listers = Listers::default();
        let on = |node: &str| {
            let meta = Meta::named("", "a1");
            let attachment = VolumeAttachment { meta, node_name: node.into(), ..Default::default() };
            Object::VolumeAttachment(Arc::new(attachment))
        };
        listers.change(None, Some(&on("n1")));
        listers.change(Some(&on("n1")), Some(&on("n2")));
        assert_eq!(listers.attachments_of_node("n1").count(), 0);
        assert_eq!(listers.attachments_of_node("n2").count(), 1);
    }
}
