//! Secondary indexes: Pods by node, label, manager, claim; nodes by zone; anything by identity and by owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use super::census::Zones;
use super::table::{ObjId, Stored, Table};
use crate::api::selector::Operator;
use crate::api::service::Namespace;
use crate::api::{Kind, LabelSelector, Labels, Meta, Node, ObjectKey, Pod};
use crate::base::fetch::mix;
use crate::base::{Arc, LookupMap, NumberSet, Str};

/// Pods of one controller with the same labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Their labels.
    pub labels: Labels,
    /// How many there are.
    pub count: u32,
    /// Those that are neither over nor being deleted.
    pub active: u32,
    /// Those of them that are ready.
    pub ready: u32,
}

/// All secondary indexes of the store.
#[derive(Clone, Debug, Default)]
pub struct Indexes {
    by_uid: LookupMap<Str, (ObjId, Kind)>,
    /// Pods are hardly ever asked for by their identity: here they are from the first time on that nothing else has it.
    pods_by_uid: OnceLock<LookupMap<Str, ObjId>>,
    by_owner: LookupMap<Str, BTreeMap<ObjId, Kind>>,
    pods_by_node: LookupMap<Str, NumberSet>,
    pods_by_controller: LookupMap<Str, NumberSet>,
    /// The same Pods by what they look like, with their numbers.
    alike_by_controller: LookupMap<Str, Vec<Alike>>,
    orphan_pods: LookupMap<Str, NumberSet>,
    unbound_pods: NumberSet,
    pods_by_label: LookupMap<(Str, Str, Str), NumberSet>,
    pods_by_claim: LookupMap<ObjectKey, NumberSet>,
    zones: Zones,
    /// Namespaces that are being deleted.
    terminating: BTreeSet<Str>,
    none: NumberSet,
}

impl Indexes {
    pub(super) fn pods_on(&self, node: &str) -> Option<&NumberSet> {
        self.pods_by_node.get(node)
    }

    pub(super) fn pods_of(&self, controller: &str) -> Option<&NumberSet> {
        self.pods_by_controller.get(controller)
    }

    pub(super) fn alike_of(&self, controller: &str) -> &[Alike] {
        self.alike_by_controller.get(controller).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn orphan_pods(&self, namespace: &str) -> Option<&NumberSet> {
        self.orphan_pods.get(namespace)
    }

    pub(super) const fn unbound_pods(&self) -> &NumberSet {
        &self.unbound_pods
    }

    pub(super) fn pods_using(&self, claim: &ObjectKey) -> Option<&NumberSet> {
        self.pods_by_claim.get(claim)
    }

    pub(super) fn dependents(&self, owner: &str) -> Option<&BTreeMap<ObjId, Kind>> {
        self.by_owner.get(owner)
    }

    /// What has this identity; `pods` are all Pods there are.
    pub(super) fn by_uid(&self, uid: &str, pods: &Table<Pod>) -> Option<(ObjId, Kind)> {
        self.by_uid.get(uid).copied().or_else(|| {
            let pods = self.pods_by_uid.get_or_init(|| {
                let mut known = LookupMap::new();
                for (id, pod) in pods.all_kept() {
                    known.insert(pod.meta.uid.clone(), id);
                }
                known
            });
            pods.get(uid).map(|id| (*id, Kind::Pod))
        })
    }

    /// Whether a namespace is being deleted.
    pub(super) fn is_terminating(&self, namespace: &str) -> bool {
        !self.terminating.is_empty() && self.terminating.contains(namespace)
    }

    pub(super) const fn zones(&self) -> &Zones {
        &self.zones
    }

    /// A superset of the Pods that `selector` selects in `namespace`; none if no label narrows it.
    pub(super) fn candidates(&self, namespace: &str, selector: &LabelSelector) -> Option<&NumberSet> {
        let LabelSelector::Requirements(all) = selector else { return Some(&self.none) };
        all.iter()
            .filter(|r| r.operator == Operator::In && r.values.len() == 1)
            .map(|r| {
                let key = (Str::from(namespace), r.key.clone(), r.values[0].clone());
                self.pods_by_label.get(&key).unwrap_or(&self.none)
            })
            .min_by_key(|ids| ids.len())
    }

    pub(super) fn insert<T: Stored>(&mut self, id: ObjId, object: &T) {
        let meta = object.meta();
        if is_found_by_uid(T::KIND) {
            self.by_uid.insert(meta.uid.clone(), (id, T::KIND));
        }
        for owner in &meta.owners {
            self.by_owner.or_insert_with(owner.uid.clone(), BTreeMap::new).insert(id, T::KIND);
        }
        if let Some(pod) = as_pod(object) {
            if let Some(known) = self.pods_by_uid.get_mut() {
                known.insert(meta.uid.clone(), id);
            }
            self.insert_pod_owner(id, meta);
            self.count_alike(pod);
            self.insert_pod_labels(id, meta);
            self.insert_pod_claims(id, pod);
            self.insert_pod_place(id, pod);
        }
        if let Some(node) = downcast::<Node, T>(object) {
            self.zones.insert(node);
        }
        if let Some(namespace) = downcast::<Namespace, T>(object) {
            self.set_namespace(namespace, namespace.terminating);
        }
    }

    /// A number that is made of all that is needed to remove a Pod.
    pub(super) fn skim_for(&self, id: ObjId, pod: &Pod) -> u64 {
        let meta = &pod.meta;
        let owned = match meta.controller() {
            Some(owner) => self.pods_by_controller.get(&owner.uid),
            None => self.orphan_pods.get(&meta.namespace),
        };
        let there =
            pod.node_name.as_ref().map_or(Some(&self.unbound_pods), |node| self.pods_by_node.get(node));
        let alike = label_keys(meta).map(|key| self.pods_by_label.get(&key));
        let sets = [owned, there].into_iter().chain(alike).flatten();
        mix(sets.map(|set| u64::from(set.contains(id.0))))
    }

    fn set_namespace(&mut self, namespace: &Namespace, terminating: bool) {
        if terminating {
            self.terminating.insert(namespace.meta.name.clone());
        } else {
            self.terminating.remove(&namespace.meta.name);
        }
    }

    pub(super) fn replace<T: Stored>(&mut self, id: ObjId, old: &T, new: &T) {
        let (before, after) = (old.meta(), new.meta());
        let other_owners = before.owners != after.owners;
        let other_labels = before.labels != after.labels;
        if other_owners {
            self.remove_owners(id, before);
            for owner in &after.owners {
                self.by_owner.or_insert_with(owner.uid.clone(), BTreeMap::new).insert(id, T::KIND);
            }
        }
        if let (Some(old), Some(new)) = (downcast::<Node, T>(old), downcast::<Node, T>(new)) {
            self.zones.replace(old, new);
        }
        if let Some(namespace) = downcast::<Namespace, T>(new) {
            self.set_namespace(namespace, namespace.terminating);
        }
        let (Some(old), Some(new)) = (as_pod(old), as_pod(new)) else { return };
        let managed = before.controller().is_some() || after.controller().is_some();
        let other = || other_owners || other_labels || standing(old) != standing(new);
        if managed && other() {
            self.uncount_alike(old);
            self.count_alike(new);
        }
        if other_owners {
            self.remove_pod_owner(id, before);
            self.insert_pod_owner(id, after);
        }
        if other_labels {
            self.remove_pod_labels(id, before);
            self.insert_pod_labels(id, after);
        }
        if !Arc::ptr_eq(&old.spec, &new.spec) && old.spec.volumes != new.spec.volumes {
            self.remove_pod_claims(id, old);
            self.insert_pod_claims(id, new);
        }
        if old.node_name != new.node_name {
            self.remove_pod_place(id, old);
            self.insert_pod_place(id, new);
        }
    }

    pub(super) fn remove<T: Stored>(&mut self, id: ObjId, object: &T) {
        let meta = object.meta();
        if is_found_by_uid(T::KIND) {
            self.by_uid.remove(&meta.uid);
        }
        self.remove_owners(id, meta);
        if let Some(pod) = as_pod(object) {
            if let Some(known) = self.pods_by_uid.get_mut() {
                known.remove(&meta.uid);
            }
            self.remove_pod_owner(id, meta);
            self.uncount_alike(pod);
            self.remove_pod_labels(id, meta);
            self.remove_pod_claims(id, pod);
            self.remove_pod_place(id, pod);
        }
        if let Some(node) = downcast::<Node, T>(object) {
            self.zones.remove(node);
        }
        if let Some(namespace) = downcast::<Namespace, T>(object) {
            self.set_namespace(namespace, false);
        }
    }

    fn remove_owners(&mut self, id: ObjId, meta: &Meta) {
        for owner in &meta.owners {
            if let Some(ids) = self.by_owner.get_mut(&owner.uid) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_owner.remove(&owner.uid);
                }
            }
        }
    }

    fn insert_pod_owner(&mut self, id: ObjId, meta: &Meta) {
        let set = match meta.controller() {
            Some(owner) => self.pods_by_controller.or_insert_with(owner.uid.clone(), NumberSet::new),
            None => self.orphan_pods.or_insert_with(meta.namespace.clone(), NumberSet::new),
        };
        set.insert(id.0);
    }

    fn remove_pod_owner(&mut self, id: ObjId, meta: &Meta) {
        match meta.controller() {
            Some(owner) => drop_from(&mut self.pods_by_controller, &owner.uid, id),
            None => drop_from(&mut self.orphan_pods, &meta.namespace, id),
        }
    }

    fn insert_pod_place(&mut self, id: ObjId, pod: &Pod) {
        let there = match &pod.node_name {
            Some(node) => self.pods_by_node.or_insert_with(node.clone(), NumberSet::new),
            None => &mut self.unbound_pods,
        };
        there.insert(id.0);
    }

    fn remove_pod_place(&mut self, id: ObjId, pod: &Pod) {
        match &pod.node_name {
            Some(node) => drop_from(&mut self.pods_by_node, node, id),
            None => {
                self.unbound_pods.remove(id.0);
            }
        }
    }

    fn count_alike(&mut self, pod: &Pod) {
        let Some(owner) = pod.meta.controller() else { return };
        let all = self.alike_by_controller.or_insert_with(owner.uid.clone(), Vec::new);
        let labels = &pod.meta.labels;
        let found = all.iter().position(|alike| alike.labels == *labels);
        let at = found.unwrap_or_else(|| {
            all.push(Alike { labels: labels.clone(), count: 0, active: 0, ready: 0 });
            all.len() - 1
        });
        let (active, ready) = standing(pod);
        let alike = &mut all[at];
        alike.count += 1;
        alike.active += u32::from(active);
        alike.ready += u32::from(ready);
    }

    fn uncount_alike(&mut self, pod: &Pod) {
        let Some(owner) = pod.meta.controller() else { return };
        let Some(all) = self.alike_by_controller.get_mut(&owner.uid) else { return };
        let Some(at) = all.iter().position(|alike| alike.labels == pod.meta.labels) else { return };
        let (active, ready) = standing(pod);
        let alike = &mut all[at];
        alike.count -= 1;
        alike.active -= u32::from(active);
        alike.ready -= u32::from(ready);
        if alike.count == 0 {
            all.remove(at);
        }
        if all.is_empty() {
            self.alike_by_controller.remove(&owner.uid);
        }
    }

    fn insert_pod_labels(&mut self, id: ObjId, meta: &Meta) {
        for key in label_keys(meta) {
            self.pods_by_label.or_insert_with(key, NumberSet::new).insert(id.0);
        }
    }

    fn remove_pod_labels(&mut self, id: ObjId, meta: &Meta) {
        for key in label_keys(meta) {
            drop_from(&mut self.pods_by_label, &key, id);
        }
    }

    fn insert_pod_claims(&mut self, id: ObjId, pod: &Pod) {
        for key in claims_of(pod) {
            self.pods_by_claim.or_insert_with(key, NumberSet::new).insert(id.0);
        }
    }

    fn remove_pod_claims(&mut self, id: ObjId, pod: &Pod) {
        for key in claims_of(pod) {
            drop_from(&mut self.pods_by_claim, &key, id);
        }
    }
}

/// Whether a Pod is active, and whether it is so and ready.
fn standing(pod: &Pod) -> (bool, bool) {
    let active = pod.is_active();
    (active, active && pod.is_ready())
}

/// Pods have an index of their own; Events are many, and own nothing.
const fn is_found_by_uid(kind: Kind) -> bool {
    !matches!(kind, Kind::Pod | Kind::Event)
}

/// What a Pod is found by for each of its labels.
fn label_keys(meta: &Meta) -> impl Iterator<Item = (Str, Str, Str)> {
    meta.labels.iter().map(|(key, value)| (meta.namespace.clone(), key.clone(), value.clone()))
}

/// The claims a Pod names, ephemeral ones included.
fn claims_of(pod: &Pod) -> impl Iterator<Item = ObjectKey> {
    let key = |name| ObjectKey { namespace: pod.meta.namespace.clone(), name };
    pod.spec.claim_names(&pod.meta.name).into_iter().map(key)
}

fn drop_from<K: std::hash::Hash + Eq>(map: &mut LookupMap<K, NumberSet>, key: &K, id: ObjId) {
    if let Some(ids) = map.get_mut(key) {
        ids.remove(id.0);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}

/// The object as a Pod, if it is one.
pub(super) fn as_pod<T: Stored>(object: &T) -> Option<&Pod> {
    downcast(object)
}

/// The object as one of this kind, if it is one.
fn downcast<K: Stored, T: Stored>(object: &T) -> Option<&K> {
    (object as &dyn std::any::Any).downcast_ref()
}
