//! The closed list of kinds, as one table, and the sum over them.

use std::fmt;

use super::event::Event;
use super::inert::Inert;
use super::meta::{Meta, ObjectKey, OwnerReference, Uid};
use super::node::Node;
use super::pod::Pod;
use super::policy::{
    HorizontalPodAutoscaler, Lease, LimitRange, PodDisruptionBudget, PriorityClass, ResourceQuota,
};
use super::service::{EndpointSlice, Namespace, Service};
use super::storage::{
    CsiDriver, CsiNode, CsiStorageCapacity, PersistentVolume, PersistentVolumeClaim, StorageClass,
    VolumeAttachment,
};
use super::workload::{
    ControllerRevision, CronJob, DaemonSet, Deployment, Job, ReplicaSet, ReplicationController, StatefulSet,
};
use crate::base::text::lit;
use crate::base::{Arc, Str};

/// A kind of object that the store has a table for.
pub trait Resource: Clone + fmt::Debug + PartialEq + std::hash::Hash {
    /// Its kind.
    const KIND: Kind;
    /// Metadata.
    fn meta(&self) -> &Meta;
    /// Metadata, to be changed.
    fn meta_mut(&mut self) -> &mut Meta;
    /// Wraps it.
    fn wrap(this: Arc<Self>) -> Object;
    /// Unwraps it, if it is of this kind.
    fn unwrap(object: &Object) -> Option<&Arc<Self>>;

    /// The key under which the store finds it.
    fn key(&self) -> ObjectKey {
        self.meta().key()
    }
}

/// What is known of a kind by name.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo {
    /// The kind.
    pub kind: Kind,
    /// `Deployment`.
    pub name: &'static str,
    /// `deployments`.
    pub plural: &'static str,
    /// kubectl's short names.
    pub short: &'static [&'static str],
    /// Group and version served by v1.34 and used in output.
    pub api_version: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindSet(u64);

const _: () = assert!(KINDS.len() <= u64::BITS as usize, "a kind has a bit of its own");

impl KindSet {
    const fn bit(kind: Kind) -> u64 {
        1 << kind as u64
    }

    /// Puts a kind in, or takes it out.
    pub const fn set(&mut self, kind: Kind, is_in: bool) {
        if is_in {
            self.0 |= Self::bit(kind);
        } else {
            self.0 &= !Self::bit(kind);
        }
    }

    /// Whether a kind is in it.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::default(), |mut set, kind| {
            set.set(kind, true);
            set
        })
    }
}

macro_rules! kinds {
    ($($variant:ident => $plural:literal, [$($short:literal),*], $api:literal, $namespaced:literal, $meta:ident $(. $inner:tt)*, $name:literal;)*) => {
        /// Every kind that the store has a table for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = concat!("The kind `", $name, "`.")] $variant,)* }

        /// All kinds in the order of [`Kind`].
        pub const KINDS: &[KindInfo] = &[$(KindInfo {
            kind: Kind::$variant, name: $name, plural: $plural, short: &[$($short),*],
            api_version: $api, namespaced: $namespaced,
        },)*];

        impl Kind {
            /// [`Kind::name`] as a text of objects, for which no room is needed.
            pub const fn text(self) -> Str {
                match self { $(Self::$variant => lit!($name),)* }
            }

            /// [`KindInfo::api_version`] as such a text.
            pub const fn api_version_text(self) -> Str {
                match self { $(Self::$variant => lit!($api),)* }
            }
        }

        /// An object of any kind, shared.
        #[derive(Clone, Debug, PartialEq, Hash)]
        pub enum Object { $(#[doc = concat!("The kind `", $name, "`.")] $variant(Arc<$variant>),)* }

        impl Object {
            /// Its kind.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant,)* }
            }

            /// Its metadata.
            pub fn meta(&self) -> &Meta {
                match self { $(Self::$variant(object) => object.meta(),)* }
            }

            /// Its metadata, to be changed; copies the object if it is shared.
            pub fn meta_mut(&mut self) -> &mut Meta {
                match self { $(Self::$variant(object) => Arc::make_mut(object).meta_mut(),)* }
            }

            /// The key under which the store finds it.
            pub fn key(&self) -> ObjectKey {
                match self { $(Self::$variant(object) => Resource::key(&**object),)* }
            }
        }

        $(
            impl Resource for $variant {
                const KIND: Kind = Kind::$variant;
                fn meta(&self) -> &Meta { &self$(.$inner)*.$meta }
                fn meta_mut(&mut self) -> &mut Meta { &mut self$(.$inner)*.$meta }
                fn wrap(this: Arc<Self>) -> Object { Object::$variant(this) }
                fn unwrap(object: &Object) -> Option<&Arc<Self>> {
                    if let Object::$variant(object) = object { Some(object) } else { None }
                }
                kinds!(@key $variant);
            }

            impl From<$variant> for Object {
                fn from(object: $variant) -> Self { Self::$variant(Arc::new(object)) }
            }
        )*

        /// Calls a macro with the list of all kinds, for tables over them.
        macro_rules! for_each_kind {
            ($callback:ident) => { $callback! { $($variant)* } };
        }
        pub(crate) use for_each_kind;
    };
    (@key Inert) => {
        fn key(&self) -> ObjectKey {
            // Inert objects of different kinds share one table.
            ObjectKey { namespace: self.meta.namespace.clone(), name: Inert::table_name(&self.kind, &self.meta.name) }
        }
    };
    (@key $other:ident) => {};
}

kinds! {
    Pod => "pods", ["po"], "v1", true, meta, "Pod";
    Node => "nodes", ["no"], "v1", false, meta, "Node";
    Namespace => "namespaces", ["ns"], "v1", false, meta, "Namespace";
    Service => "services", ["svc"], "v1", true, meta, "Service";
    EndpointSlice => "endpointslices", [], "discovery.k8s.io/v1", true, meta, "EndpointSlice";
    Event => "events", ["ev"], "v1", true, meta, "Event";
    PersistentVolume => "persistentvolumes", ["pv"], "v1", false, meta, "PersistentVolume";
    PersistentVolumeClaim => "persistentvolumeclaims", ["pvc"], "v1", true, meta, "PersistentVolumeClaim";
    ReplicationController => "replicationcontrollers", ["rc"], "v1", true, meta . 0, "ReplicationController";
    ResourceQuota => "resourcequotas", ["quota"], "v1", true, meta, "ResourceQuota";
    LimitRange => "limitranges", ["limits"], "v1", true, meta, "LimitRange";
    Deployment => "deployments", ["deploy"], "apps/v1", true, meta, "Deployment";
    ReplicaSet => "replicasets", ["rs"], "apps/v1", true, meta, "ReplicaSet";
    StatefulSet => "statefulsets", ["sts"], "apps/v1", true, meta, "StatefulSet";
    DaemonSet => "daemonsets", ["ds"], "apps/v1", true, meta, "DaemonSet";
    ControllerRevision => "controllerrevisions", [], "apps/v1", true, meta, "ControllerRevision";
    Job => "jobs", [], "batch/v1", true, meta, "Job";
    CronJob => "cronjobs", ["cj"], "batch/v1", true, meta, "CronJob";
    HorizontalPodAutoscaler => "horizontalpodautoscalers", ["hpa"], "autoscaling/v2", true, meta, "HorizontalPodAutoscaler";
    PodDisruptionBudget => "poddisruptionbudgets", ["pdb"], "policy/v1", true, meta, "PodDisruptionBudget";
    PriorityClass => "priorityclasses", ["pc"], "scheduling.k8s.io/v1", false, meta, "PriorityClass";
    StorageClass => "storageclasses", ["sc"], "storage.k8s.io/v1", false, meta, "StorageClass";
    CsiNode => "csinodes", [], "storage.k8s.io/v1", false, meta, "CSINode";
    CsiDriver => "csidrivers", [], "storage.k8s.io/v1", false, meta, "CSIDriver";
    CsiStorageCapacity => "csistoragecapacities", [], "storage.k8s.io/v1", true, meta, "CSIStorageCapacity";
    VolumeAttachment => "volumeattachments", [], "storage.k8s.io/v1", false, meta, "VolumeAttachment";
    Lease => "leases", [], "coordination.k8s.io/v1", true, meta, "Lease";
    Inert => "", [], "", true, meta, "";
}

impl Kind {
    /// The row of the table.
    pub fn info(self) -> &'static KindInfo {
        &KINDS[self as usize]
    }

    /// `Deployment`.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The kind of this name, letter by letter.
    pub fn named(name: &str) -> Option<Self> {
        KINDS.iter().find(|kind| kind.name == name && !name.is_empty()).map(|kind| kind.kind)
    }

    /// Finds a kind by kind, plural or short name, in any case, with or without the group.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let word = word.split('.').next().unwrap_or(&word);
        KINDS
            .iter()
            .find(|k| {
                !k.name.is_empty()
                    && (k.name.eq_ignore_ascii_case(word) || k.plural == word || k.short.contains(&word))
            })
            .map(|k| k.kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Object {
    /// The kind's name, also for inert objects.
    pub fn kind_name(&self) -> Str {
        match self {
            Self::Inert(inert) => inert.kind.clone(),
            _ => self.kind().text(),
        }
    }

    /// Group and version, also for inert objects.
    pub fn api_version(&self) -> Str {
        match self {
            Self::Inert(inert) => inert.api_version.clone(),
            _ => self.kind().api_version_text(),
        }
    }

    /// A reference to it, as Events carry.
    pub fn reference(&self) -> ObjectRef {
        let meta = self.meta();
        ObjectRef {
            kind: self.kind_name(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
        }
    }
}

impl Inert {
    /// The name under which the shared table of inert objects keeps one: `<Kind>/<name>`.
    pub fn table_name(kind: &str, name: &str) -> Str {
        format!("{kind}/{name}").into()
    }
}

/// A reference to an object, by kind, key and identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// The kind.
    pub kind: Str,
    /// The namespace, or nothing.
    pub namespace: Str,
    /// The name.
    pub name: Str,
    /// The identity, if known.
    pub uid: Uid,
}

impl ObjectRef {
    /// A reference to `object`.
    pub fn to<T: Resource>(object: &T) -> Self {
        let meta = object.meta();
        Self {
            kind: T::KIND.text(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
        }
    }
}

impl OwnerReference {
    /// The reference of a controller to put on what it makes.
    pub fn controller_of<T: Resource>(owner: &T) -> Self {
        let meta = owner.meta();
        Self {
            api_version: T::KIND.api_version_text(),
            kind: T::KIND.text(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            controller: true,
            block_owner_deletion: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_every_name_kubectl_takes() {
        for word in ["deployment", "Deployment", "deployments", "deploy", "deployments.apps"] {
            assert_eq!(Kind::parse(word), Some(Kind::Deployment), "{word}");
        }
        assert_eq!(Kind::parse("csinode"), Some(Kind::CsiNode));
        assert_eq!(Kind::parse(""), None);
    }

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, info) in KINDS.iter().enumerate() {
            assert_eq!(info.kind as usize, index);
        }
    }
}
