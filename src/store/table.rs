//! One table per kind: objects in the order of their creation, found by key.

use std::collections::BTreeMap;

use super::kept::{Kept, KeptEvent};
use crate::api::meta::KeyParts;
use crate::api::{Kind, Meta, Object, ObjectKey, Resource};
use crate::base::{Arc, LookupMap, NumberSet, Paged, Str};

/// The place of an object in its table. Grows with creation across all kinds; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjId(pub u64);

/// The objects of one kind.
#[derive(Clone, Debug)]
pub struct Table<T: Stored> {
    objects: Paged<T::Kept>,
    /// Empty for kinds that are not [named](is_named).
    by_key: LookupMap<ObjectKey, ObjId>,
    /// The same.
    by_namespace: BTreeMap<Str, NumberSet>,
}

/// Whether objects of a kind are found by their names. Events are more than all other objects together, and it is people
/// only who ask for one by its name or for those of one namespace: all are looked through then.
fn is_named(kind: Kind) -> bool {
    kind != Kind::Event
}

impl<T: Stored> Default for Table<T> {
    fn default() -> Self {
        Self { objects: Paged::default(), by_key: LookupMap::default(), by_namespace: BTreeMap::new() }
    }
}

impl<T: Stored> Table<T> {
    /// What is kept at `id`.
    pub fn kept(&self, id: ObjId) -> Option<&T::Kept> {
        self.objects.get(id.0)
    }

    /// The place of the object under `key`.
    pub fn id_of(&self, key: &ObjectKey) -> Option<ObjId> {
        self.place(key)
    }

    fn place(&self, key: &dyn KeyParts) -> Option<ObjId> {
        if is_named(T::KIND) {
            return self.by_key.get(key).copied();
        }
        let (namespace, name) = key.parts();
        let is = |kept: &T::Kept| kept.is_in(namespace) && kept.is_called(name);
        self.all_kept().find(|(_, kept)| is(kept)).map(|(id, _)| id)
    }

    /// All that is kept, in the order of its creation.
    pub fn all_kept(&self) -> impl Iterator<Item = (ObjId, &T::Kept)> {
        self.objects.iter().map(|(id, kept)| (ObjId(id), kept))
    }

    /// The first that is kept at `id` or after it.
    pub fn next_from(&self, id: ObjId) -> Option<(ObjId, &T::Kept)> {
        self.objects.next_from(id.0).map(|(id, kept)| (ObjId(id), kept))
    }

    /// All objects in the order of their creation, each made when it is asked for.
    pub fn objects(&self) -> impl Iterator<Item = (ObjId, Arc<T>)> {
        self.all_kept().map(|(id, kept)| (id, kept.object(id)))
    }

    /// The objects of a namespace in the order of their creation.
    fn objects_in(&self, namespace: &str) -> impl Iterator<Item = Arc<T>> {
        self.places_in(namespace).filter_map(|id| Some(self.kept(id)?.object(id)))
    }

    fn places_in(&self, namespace: &str) -> impl Iterator<Item = ObjId> {
        let ids = self.by_namespace.get(namespace).into_iter().flat_map(NumberSet::iter).map(ObjId);
        let all = (!is_named(T::KIND)).then(|| self.all_kept()).into_iter().flatten();
        let unnamed = all.filter(move |(_, kept)| kept.is_in(namespace));
        ids.chain(unnamed.map(|(id, _)| id))
    }

    /// A number that is made of all that is needed to remove the object of this name from `id`.
    pub(super) fn skim_for(&self, id: ObjId, meta: &Meta) -> u64 {
        let by_key = self.by_key.contains_key(&(&*meta.namespace, &*meta.name) as &dyn KeyParts);
        let of_namespace = self.by_namespace.get(&meta.namespace);
        u64::from(by_key) ^ u64::from(of_namespace.is_some_and(|ids| ids.contains(id.0)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub(super) fn insert(&mut self, id: ObjId, object: Arc<T>) {
        if is_named(T::KIND) {
            let key = object.key();
            self.by_namespace.entry(key.namespace.clone()).or_default().insert(id.0);
            self.by_key.insert(key, id);
        }
        self.replace(id, object);
    }

    pub(super) fn replace(&mut self, id: ObjId, object: Arc<T>) {
        self.put(id, T::Kept::whole(object));
    }

    /// Puts something to its place that is not found by its name, or was there before.
    pub(super) fn put(&mut self, id: ObjId, kept: T::Kept) {
        self.objects.insert(id.0, kept);
    }

    pub(super) fn remove(&mut self, id: ObjId) {
        let Some(kept) = self.objects.remove(id.0).filter(|_| is_named(T::KIND)) else { return };
        let key = kept.object(id).key();
        self.by_key.remove(&key);
        if let Some(ids) = self.by_namespace.get_mut(&key.namespace) {
            ids.remove(id.0);
            if ids.is_empty() {
                self.by_namespace.remove(&key.namespace);
            }
        }
    }
}

impl<T: Held> Table<T> {
    /// The object under `key`.
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        self.kept(self.id_of(key)?)
    }

    /// The object of this namespace and name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        let key = (namespace, name);
        self.kept(self.place(&key)?)
    }

    /// All objects in the order of their creation.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.all_kept().map(|(_, object)| object)
    }

    /// The objects of a namespace in the order of their creation.
    pub fn iter_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<T>> {
        self.places_in(namespace).filter_map(|id| self.kept(id))
    }
}

/// A kind that has a table.
pub trait Stored: Resource + 'static {
    /// What an object is in it.
    type Kept: Kept<Self>;
    /// Its table.
    fn table(tables: &Tables) -> &Table<Self>;
    /// Its table, to be changed.
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;
}

/// A kind whose objects lie in its table as they are, so that they can be lent.
pub trait Held: Stored<Kept = Arc<Self>> {}

impl<T: Stored<Kept = Arc<T>>> Held for T {}

macro_rules! kept {
    (Event) => { KeptEvent };
    ($kind:ident) => { Arc<$kind> };
}

macro_rules! tables {
    ($($kind:ident)*) => {
        /// All tables.
        #[derive(Clone, Debug, Default)]
        #[allow(non_snake_case, reason = "one field per kind, named like it")]
        pub struct Tables { $($kind: Table<$kind>,)* }

        $(impl Stored for $kind {
            type Kept = kept!($kind);
            fn table(tables: &Tables) -> &Table<Self> { &tables.$kind }
            fn table_mut(tables: &mut Tables) -> &mut Table<Self> { &mut tables.$kind }
        })*

        impl Tables {
            /// The object of `kind` under `key`.
            pub fn get_object(&self, kind: Kind, key: &ObjectKey) -> Option<Object> {
                match kind { $(Kind::$kind => {
                    let id = self.$kind.id_of(key)?;
                    Some($kind::wrap(self.$kind.kept(id)?.object(id)))
                })* }
            }

            /// The object of `kind` at `id`.
            pub fn get_object_id(&self, kind: Kind, id: ObjId) -> Option<Object> {
                match kind { $(Kind::$kind => Some($kind::wrap(self.$kind.kept(id)?.object(id))),)* }
            }

            /// All objects of `kind` in the order of their creation.
            pub fn list_objects(&self, kind: Kind) -> Vec<Object> {
                match kind { $(Kind::$kind => self.$kind.objects().map(|(_, o)| $kind::wrap(o)).collect(),)* }
            }

            /// All objects of `kind` in a namespace in the order of their creation.
            pub fn list_objects_in(&self, kind: Kind, namespace: &str) -> Vec<Object> {
                match kind { $(Kind::$kind => self.$kind.objects_in(namespace).map($kind::wrap).collect(),)* }
            }
        }

        impl super::Store {
            /// Creates an object of whatever kind.
            ///
            /// # Errors
            /// As [`super::Store::create`].
            pub fn create_object(&mut self, object: Object) -> Result<Object, super::ApiError> {
                match object { $(Object::$kind(o) => {
                    self.create(Arc::unwrap_or_clone(o)).map(|o| $kind::wrap(o))
                })* }
            }

            /// Replaces an object of whatever kind by a new desired state, keeping what the store owns.
            ///
            /// # Errors
            /// As [`super::Store::update_spec`].
            pub fn replace_object(&mut self, object: Object) -> Result<Object, super::ApiError> {
                super::update::check(self, &object)?;
                match object { $(Object::$kind(o) => {
                    let new = Arc::unwrap_or_clone(o);
                    let key = Resource::key(&new);
                    super::claim::check_update(self, &new)?;
                    self.update_spec::<$kind>(&key, move |live| super::write::adopt(live, new)).map(|o| $kind::wrap(o))
                })* }
            }

            /// Changes only metadata of an object of whatever kind.
            ///
            /// # Errors
            /// As [`super::Store::update`].
            pub fn update_meta(
                &mut self, kind: Kind, key: &ObjectKey, change: impl FnOnce(&mut crate::api::Meta),
            ) -> Result<Object, super::ApiError> {
                match kind { $(Kind::$kind => {
                    self.update::<$kind>(key, |o| change(o.meta_mut())).map(|o| $kind::wrap(o))
                })* }
            }

            /// Deletes an object of whatever kind.
            ///
            /// # Errors
            /// As [`super::Store::delete`].
            pub fn delete_object(
                &mut self, kind: Kind, key: &ObjectKey, options: &super::DeleteOptions,
            ) -> Result<super::Deleted, super::ApiError> {
                match kind { $(Kind::$kind => self.delete::<$kind>(key, options),)* }
            }
        }
    };
}

use crate::api::event::Event;
use crate::api::inert::Inert;
use crate::api::node::Node;
use crate::api::pod::Pod;
use crate::api::policy::{
    HorizontalPodAutoscaler, Lease, LimitRange, PodDisruptionBudget, PriorityClass, ResourceQuota,
};
use crate::api::service::{EndpointSlice, Namespace, Service};
use crate::api::storage::{
    CsiDriver, CsiNode, CsiStorageCapacity, PersistentVolume, PersistentVolumeClaim, StorageClass,
    VolumeAttachment,
};
use crate::api::workload::{
    ControllerRevision, CronJob, DaemonSet, Deployment, Job, ReplicaSet, ReplicationController, StatefulSet,
};

crate::api::object::for_each_kind!(tables);
