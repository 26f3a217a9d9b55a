//! The fields of a boundary type, asked from its `Deserialize`: holds the table complete.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor, value};

use super::table::KINDS;

/// Fields below this many others are not asked for; no row is that deep.
const DEPTH_MAX: usize = 14;

/// The paths of all values that are not structs.
fn leaves<T: DeserializeOwned>(api_version: &str, kind: &str) -> BTreeSet<String> {
    let found = RefCell::new(BTreeSet::new());
    let asker = Asker { path: String::new(), depth: 0, found: &found, api_version, kind };
    T::deserialize(asker).map(|_| ()).unwrap();
    found.into_inner()
}

/// Gives every type some value, and notes where it gave one.
#[derive(Clone)]
struct Asker<'f> {
    path: String,
    depth: usize,
    found: &'f RefCell<BTreeSet<String>>,
    api_version: &'f str,
    kind: &'f str,
}

impl Asker<'_> {
    fn below(&self, step: &str) -> Self {
        Asker { path: format!("{}{step}", self.path), depth: self.depth + 1, ..self.clone() }
    }

    fn note(&self) {
        self.found.borrow_mut().insert(self.path.clone());
    }

    fn text(&self) -> &str {
        match self.path.as_str() {
            "apiVersion" => self.api_version,
            "kind" => self.kind,
            // The one type that contains whole objects.
            "spec.volumeClaimTemplates[].apiVersion" => "v1",
            "spec.volumeClaimTemplates[].kind" => "PersistentVolumeClaim",
            // A time, which is also a string like any other.
            _ => "2026-01-05T08:00:00Z",
        }
    }
}

macro_rules! primitives {
    ($($method:ident $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
            self.note();
            visitor.$visit($value)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Asker<'_> {
    type Error = value::Error;

    primitives! {
        deserialize_bool visit_bool true;
        deserialize_i8 visit_i8 1;
        deserialize_i16 visit_i16 1;
        deserialize_i32 visit_i32 1;
        deserialize_i64 visit_i64 1;
        deserialize_u8 visit_u8 1;
        deserialize_u16 visit_u16 1;
        deserialize_u32 visit_u32 1;
        deserialize_u64 visit_u64 1;
        deserialize_f32 visit_f32 1.0;
        deserialize_f64 visit_f64 1.0;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        self.note();
        visitor.visit_str(self.text())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        if self.depth > DEPTH_MAX { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_seq(Once { asker: self, done: false })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        self.note();
        visitor.visit_map(value::MapDeserializer::new(std::iter::empty::<(&str, &str)>()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        if fields.is_empty() || self.depth > DEPTH_MAX {
            self.note();
        }
        let fields = if self.depth > DEPTH_MAX { &[] } else { fields };
        visitor.visit_map(Fields { asker: self, fields: fields.iter(), next: "" })
    }

    serde::forward_to_deserialize_any! {
        char string bytes byte_buf unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

struct Once<'f> {
    asker: Asker<'f>,
    done: bool,
}

impl<'de> de::SeqAccess<'de> for Once<'_> {
    type Error = value::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, value::Error> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        seed.deserialize(self.asker.below("[]")).map(Some)
    }
}

struct Fields<'f> {
    asker: Asker<'f>,
    fields: std::slice::Iter<'static, &'static str>,
    next: &'static str,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = value::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, value::Error> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.next = field;
        seed.deserialize(value::StrDeserializer::new(field)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, value::Error> {
        let step = if self.asker.path.is_empty() { self.next.to_owned() } else { format!(".{}", self.next) };
        seed.deserialize(self.asker.below(&step))
    }
}

/// Whether `row` is `path` or stands above it.
fn covers(row: &str, path: &str) -> bool {
    path.strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn check<T: DeserializeOwned>(api_version: &str, kind: &str) {
    let rows: Vec<String> = super::Fields::of(kind, api_version).0.into_keys().collect();
    assert!(!rows.is_empty(), "{kind} is not in the table");
    let leaves = leaves::<T>(api_version, kind);
    let bare: Vec<_> = leaves.iter().filter(|leaf| !rows.iter().any(|row| covers(row, leaf))).collect();
    assert!(bare.is_empty(), "fields of {kind} without a row: {bare:#?}");
    // A section of several kinds may say more than one of them has; `list[]` is a row's element.
    let idle: Vec<_> = rows.iter().filter(|row| !leaves.iter().any(|leaf| covers(row, leaf))).collect();
    assert!(idle.is_empty(), "rows of {kind} without a field: {idle:#?}");
}

#[test]
fn every_field_has_a_row_and_every_row_a_field() {
    use crate::api::k8s;
    let mut checked = Vec::new();
    macro_rules! check_all {
        ($($group:ident::$version:ident::$type:ident,)*) => {$({
            type Type = k8s::$group::$version::$type;
            let (api_version, kind) = (<Type as k8s_openapi::Resource>::API_VERSION, <Type as k8s_openapi::Resource>::KIND);
            check::<Type>(api_version, kind);
            checked.push((api_version, kind));
        })*};
    }
    check_all! {
        core::v1::Pod, core::v1::Node, core::v1::Namespace, core::v1::Service, core::v1::Event,
        core::v1::PersistentVolume, core::v1::PersistentVolumeClaim, core::v1::ReplicationController,
        core::v1::ResourceQuota, core::v1::LimitRange, apps::v1::Deployment, apps::v1::ReplicaSet,
        apps::v1::StatefulSet, apps::v1::DaemonSet, apps::v1::ControllerRevision, batch::v1::Job, batch::v1::CronJob,
        autoscaling::v2::HorizontalPodAutoscaler, autoscaling::v1::HorizontalPodAutoscaler,
        policy::v1::PodDisruptionBudget, scheduling::v1::PriorityClass, storage::v1::StorageClass,
        storage::v1::CSINode, storage::v1::CSIDriver, storage::v1::CSIStorageCapacity, storage::v1::VolumeAttachment,
        coordination::v1::Lease, discovery::v1::EndpointSlice,
    }
    let simulated = crate::api::manifest::kinds::SERVED.iter().filter(|row| row.simulated.is_some());
    let mut simulated: Vec<_> = simulated.map(|row| (row.api_version, row.kind)).collect();
    let mut listed: Vec<_> = KINDS.iter().map(|row| (row.api_version, row.kind)).collect();
    for list in [&mut simulated, &mut listed, &mut checked] {
        list.sort_unstable();
    }
    assert_eq!(listed, simulated);
    assert_eq!(checked, simulated);
}
