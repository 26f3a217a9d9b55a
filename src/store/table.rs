//! One table per kind: objects in the order of their creation, found by key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::meta::KeyParts;
use crate::api::{Kind, Object, ObjectKey, Resource};
use crate::base::{LookupMap, Paged, Str};

/// The place of an object in its table. Grows with creation across all kinds; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjId(pub u64);

/// The objects of one kind.
#[derive(Clone, Debug)]
pub struct Table<T> {
    objects: Paged<Arc<T>>,
    /// Empty for kinds that are not [named](is_named).
    by_key: LookupMap<ObjectKey, ObjId>,
    /// The same.
    by_namespace: BTreeMap<Str, BTreeSet<ObjId>>,
}

/// Whether objects of a kind are found by their names. Events are more than all other objects together, and it is people
/// only who ask for one by its name or for those of one namespace: all are looked through then.
fn is_named(kind: Kind) -> bool {
    kind != Kind::Event
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { objects: Paged::default(), by_key: LookupMap::default(), by_namespace: BTreeMap::new() }
    }
}

impl<T: Resource> Table<T> {
    /// The object under `key`.
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        self.get_id(self.id_of(key)?)
    }

    /// The object of this namespace and name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        let key = (namespace, name);
        self.get_id(self.place(&key)?)
    }

    /// The object at `id`.
    pub fn get_id(&self, id: ObjId) -> Option<&Arc<T>> {
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
        let is = |object: &Arc<T>| key.parts() == (&*object.meta().namespace, &*object.meta().name);
        self.iter().find(|(_, object)| is(object)).map(|(id, _)| id)
    }

    /// All objects in the order of their creation.
    pub fn iter(&self) -> impl Iterator<Item = (ObjId, &Arc<T>)> {
        self.objects.iter().map(|(id, object)| (ObjId(id), object))
    }

    /// The objects of a namespace in the order of their creation.
    pub fn iter_in<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Arc<T>> {
        let ids = self.by_namespace.get(namespace).into_iter().flatten();
        let all = (!is_named(T::KIND)).then(|| self.iter()).into_iter().flatten();
        let unnamed = all.filter(move |(_, object)| *object.meta().namespace == *namespace);
        ids.filter_map(|id| self.get_id(*id)).chain(unnamed.map(|(_, object)| object))
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
            self.by_namespace.entry(key.namespace.clone()).or_default().insert(id);
            self.by_key.insert(key, id);
        }
        self.objects.insert(id.0, object);
    }

    pub(super) fn replace(&mut self, id: ObjId, object: Arc<T>) {
        self.objects.insert(id.0, object);
    }

    pub(super) fn remove(&mut self, id: ObjId) -> Option<Arc<T>> {
        let object = self.objects.remove(id.0)?;
        if !is_named(T::KIND) {
            return Some(object);
        }
        let key = object.key();
        self.by_key.remove(&key);
        if let Some(ids) = self.by_namespace.get_mut(&key.namespace) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_namespace.remove(&key.namespace);
            }
        }
        Some(object)
    }
}

/// A kind that has a table.
pub trait Stored: Resource + 'static {
    /// Its table.
    fn table(tables: &Tables) -> &Table<Self>;
    /// Its table, to be changed.
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;
}

macro_rules! tables {
    ($($kind:ident)*) => {
        /// All tables.
        #[derive(Clone, Debug, Default)]
        #[allow(non_snake_case, reason = "one field per kind, named like it")]
        pub struct Tables { $($kind: Table<$kind>,)* }

        $(impl Stored for $kind {
            fn table(tables: &Tables) -> &Table<Self> { &tables.$kind }
            fn table_mut(tables: &mut Tables) -> &mut Table<Self> { &mut tables.$kind }
        })*

        impl Tables {
            /// The object of `kind` under `key`.
            pub fn get_object(&self, kind: Kind, key: &ObjectKey) -> Option<Object> {
                match kind { $(Kind::$kind => self.$kind.get(key).cloned().map($kind::wrap),)* }
            }

            /// The object of `kind` at `id`.
            pub fn get_object_id(&self, kind: Kind, id: ObjId) -> Option<Object> {
                match kind { $(Kind::$kind => self.$kind.get_id(id).cloned().map($kind::wrap),)* }
            }

            /// All objects of `kind` in the order of their creation.
            pub fn list_objects(&self, kind: Kind) -> Vec<Object> {
                match kind { $(Kind::$kind => self.$kind.iter().map(|(_, o)| $kind::wrap(o.clone())).collect(),)* }
            }

            /// All objects of `kind` in a namespace in the order of their creation.
            pub fn list_objects_in(&self, kind: Kind, namespace: &str) -> Vec<Object> {
                match kind { $(Kind::$kind => {
                    self.$kind.iter_in(namespace).map(|o| $kind::wrap(o.clone())).collect()
                })* }
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
