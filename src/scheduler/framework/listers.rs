//! The objects beside nodes and bound Pods that plugins look at, as the scheduler's informers know them.

use std::collections::{BTreeMap, BTreeSet};

use super::assumed::Assumed;
use crate::api::policy::PodDisruptionBudget;
use crate::api::service::{Namespace, Service};
use crate::api::storage::{
    CsiDriver, CsiNode, CsiStorageCapacity, PersistentVolume, PersistentVolumeClaim, StorageClass,
    VolumeAttachment,
};
use crate::api::workload::{ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{Labels, Object, ObjectKey, Resource};
use crate::base::{Arc, LookupMap, Str};

/// Objects of one kind, found by key, listed in the order of their keys.
#[derive(Clone, Debug)]
pub struct Lister<T> {
    by_namespace: BTreeMap<Str, BTreeMap<Str, Arc<T>>>,
    /// Those outside namespaces once more, for looking up.
    named: LookupMap<Str, Arc<T>>,
}

impl<T> Default for Lister<T> {
    fn default() -> Self {
        Self { by_namespace: BTreeMap::new(), named: LookupMap::new() }
    }
}

impl<T: Resource> Lister<T> {
    /// The object of this namespace and name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.by_namespace.get(namespace)?.get(name)
    }

    /// The object under a key.
    pub fn at(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        self.get(&key.namespace, &key.name)
    }

    /// The cluster-scoped object of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<T>> {
        self.named.get(name)
    }

    /// All objects.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_namespace.values().flat_map(BTreeMap::values)
    }

    /// The objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<T>> {
        self.by_namespace.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_namespace.is_empty()
    }

    fn insert(&mut self, object: &Arc<T>) {
        let meta = object.meta();
        let names = self.by_namespace.entry(meta.namespace.clone()).or_default();
        names.insert(meta.name.clone(), object.clone());
        if meta.namespace.is_empty() {
            self.named.insert(meta.name.clone(), object.clone());
        }
    }

    fn remove(&mut self, object: &T) {
        let meta = object.meta();
        if meta.namespace.is_empty() {
            self.named.remove(meta.name.as_str());
        }
        if let Some(names) = self.by_namespace.get_mut(&meta.namespace) {
            names.remove(&meta.name);
            if names.is_empty() {
                self.by_namespace.remove(&meta.namespace);
            }
        }
    }
}

/// All listers.
#[derive(Clone, Debug, Default)]
pub struct Listers {
    /// Namespaces.
    pub namespaces: Lister<Namespace>,
    /// PersistentVolumes.
    pub volumes: Lister<PersistentVolume>,
    /// PersistentVolumeClaims.
    pub claims: Lister<PersistentVolumeClaim>,
    /// StorageClasses.
    pub classes: Lister<StorageClass>,
    /// CSINodes.
    pub csi_nodes: Lister<CsiNode>,
    /// CSIDrivers.
    pub csi_drivers: Lister<CsiDriver>,
    /// CSIStorageCapacities.
    pub csi_capacities: Lister<CsiStorageCapacity>,
    /// VolumeAttachments.
    pub attachments: Lister<VolumeAttachment>,
    /// Services.
    pub services: Lister<Service>,
    /// ReplicaSets.
    pub replica_sets: Lister<ReplicaSet>,
    /// StatefulSets.
    pub stateful_sets: Lister<StatefulSet>,
    /// ReplicationControllers.
    pub replication_controllers: Lister<ReplicationController>,
    /// PodDisruptionBudgets.
    pub budgets: Lister<PodDisruptionBudget>,
    /// Names of volumes by the claim their `claimRef` names.
    volumes_by_claim: LookupMap<ObjectKey, Vec<Str>>,
    /// Names of volumes by class.
    volumes_by_class: LookupMap<Str, BTreeSet<Str>>,
    /// Names of VolumeAttachments by node.
    attachments_by_node: LookupMap<Str, BTreeSet<Str>>,
    /// Keys of CSIStorageCapacities by class.
    capacities_by_class: LookupMap<Str, BTreeSet<ObjectKey>>,
    pub(super) assumed: Assumed,
    none: Labels,
    /// How often anything has changed.
    pub(super) changes: u64,
}

impl Listers {
    /// The labels of a namespace; none if it is unknown.
    pub fn namespace_labels(&self, namespace: &str) -> &Labels {
        self.namespaces.named(namespace).map_or(&self.none, |n| &n.meta.labels)
    }

    /// Names of volumes whose `claimRef` names this claim, bound or reserved.
    pub fn volumes_of_claim(&self, claim: &ObjectKey) -> &[Str] {
        self.volumes_by_claim.get(claim).map_or(&[], Vec::as_slice)
    }

    /// How often anything has changed, or what is assumed.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Hears of a change; kinds that are not listed are passed over.
    pub fn change(&mut self, old: Option<&Object>, new: Option<&Object>) {
        self.changes += 1;
        self.index_volume(old, false);
        self.index_groups(old, false);
        match (old, new) {
            (_, Some(object)) => self.put(object),
            (Some(object), None) => self.drop(object),
            (None, None) => {}
        }
        self.index_volume(new, true);
        self.index_groups(new, true);
    }

    /// Names of the volumes of a class, sorted.
    pub fn volumes_of_class(&self, class: &str) -> impl Iterator<Item = &Str> {
        self.volumes_by_class.get(class).into_iter().flatten()
    }

    /// The VolumeAttachments of a node, by name.
    pub fn attachments_of_node(&self, node: &str) -> impl Iterator<Item = &Arc<VolumeAttachment>> {
        let names = self.attachments_by_node.get(node).into_iter().flatten();
        names.filter_map(|name| self.attachments.named(name))
    }

    /// The CSIStorageCapacities of a class, by namespace and name.
    pub fn capacities_of_class(&self, class: &str) -> impl Iterator<Item = &Arc<CsiStorageCapacity>> {
        let keys = self.capacities_by_class.get(class).into_iter().flatten();
        keys.filter_map(|key| self.csi_capacities.at(key))
    }

    fn index_groups(&mut self, object: Option<&Object>, add: bool) {
        let Some(object) = object else { return };
        self.assumed.forget(object);
        match object {
            Object::PersistentVolume(o) => {
                index(&mut self.volumes_by_class, &o.class(), o.meta.name.clone(), add);
            }
            Object::VolumeAttachment(o) => {
                index(&mut self.attachments_by_node, &o.node_name, o.meta.name.clone(), add);
            }
            Object::CsiStorageCapacity(o) => {
                index(&mut self.capacities_by_class, &o.storage_class, o.meta.key(), add);
            }
            _ => {}
        }
    }

    fn index_volume(&mut self, object: Option<&Object>, add: bool) {
        let Some(Object::PersistentVolume(volume)) = object else { return };
        let Some(claim) = &volume.claim_ref else { return };
        let names = self.volumes_by_claim.or_insert_with(claim.key.clone(), Vec::new);
        names.retain(|name| *name != volume.meta.name);
        if add {
            names.push(volume.meta.name.clone());
        } else if names.is_empty() {
            self.volumes_by_claim.remove(&claim.key);
        }
    }

    fn put(&mut self, object: &Object) {
        match object {
            Object::Namespace(o) => self.namespaces.insert(o),
            Object::PersistentVolume(o) => self.volumes.insert(o),
            Object::PersistentVolumeClaim(o) => self.claims.insert(o),
            Object::StorageClass(o) => self.classes.insert(o),
            Object::CsiNode(o) => self.csi_nodes.insert(o),
            Object::CsiDriver(o) => self.csi_drivers.insert(o),
            Object::CsiStorageCapacity(o) => self.csi_capacities.insert(o),
            Object::VolumeAttachment(o) => self.attachments.insert(o),
            Object::Service(o) => self.services.insert(o),
            Object::ReplicaSet(o) => self.replica_sets.insert(o),
            Object::StatefulSet(o) => self.stateful_sets.insert(o),
            Object::ReplicationController(o) => self.replication_controllers.insert(o),
            Object::PodDisruptionBudget(o) => self.budgets.insert(o),
            _ => {}
        }
    }

    fn drop(&mut self, object: &Object) {
        match object {
            Object::Namespace(o) => self.namespaces.remove(o),
            Object::PersistentVolume(o) => self.volumes.remove(o),
            Object::PersistentVolumeClaim(o) => self.claims.remove(o),
            Object::StorageClass(o) => self.classes.remove(o),
            Object::CsiNode(o) => self.csi_nodes.remove(o),
            Object::CsiDriver(o) => self.csi_drivers.remove(o),
            Object::CsiStorageCapacity(o) => self.csi_capacities.remove(o),
            Object::VolumeAttachment(o) => self.attachments.remove(o),
            Object::Service(o) => self.services.remove(o),
            Object::ReplicaSet(o) => self.replica_sets.remove(o),
            Object::StatefulSet(o) => self.stateful_sets.remove(o),
            Object::ReplicationController(o) => self.replication_controllers.remove(o),
            Object::PodDisruptionBudget(o) => self.budgets.remove(o),
            _ => {}
        }
    }
}

fn index<K: Ord>(groups: &mut LookupMap<Str, BTreeSet<K>>, group: &Str, key: K, add: bool) {
    let members = groups.or_insert_with(group.clone(), BTreeSet::new);
    if add {
        members.insert(key);
    } else {
        members.remove(&key);
    }
    if members.is_empty() {
        groups.remove(group);
    }
}
