//! Object metadata, labels, owner references, keys.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::once;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::base::{Few, Shared, Str, Timestamp};

/// The identity of one object for its whole life, as the API server assigns it.
///
/// Text, not a number: objects read from a snapshot keep whatever they carry.
pub type Uid = Str;

/// A namespace and a name; the namespace of cluster-scoped objects is empty.
///
/// Ordered by namespace, then name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace, or nothing.
    pub namespace: Str,
    /// The name.
    pub name: Str,
}

impl ObjectKey {
    /// The key of a namespaced object.
    pub fn new(namespace: impl Into<Str>, name: impl Into<Str>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(name: impl Into<Str>) -> Self {
        Self { namespace: Str::new(), name: name.into() }
    }
}

/// A key, or the two texts of one: for looking something up without making a key first.
pub trait KeyParts {
    /// Namespace and name.
    fn parts(&self) -> (&str, &str);
}

impl KeyParts for ObjectKey {
    fn parts(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl KeyParts for (&str, &str) {
    fn parts(&self) -> (&str, &str) {
        *self
    }
}

impl Hash for dyn KeyParts + '_ {
    /// As a key is hashed, field by field.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (namespace, name) = self.parts();
        namespace.hash(state);
        name.hash(state);
    }
}

impl PartialEq for dyn KeyParts + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn KeyParts + '_ {}

impl<'a> Borrow<dyn KeyParts + 'a> for ObjectKey {
    fn borrow(&self) -> &(dyn KeyParts + 'a) {
        self
    }
}

impl fmt::Display for ObjectKey {
    /// `namespace/name`, or the bare name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            f.write_str(&self.namespace)?;
            f.write_str("/")?;
        }
        f.write_str(&self.name)
    }
}

/// Sorted pairs of text: labels, annotations, node selectors. Cheap to copy, shared by all Pods of a template.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Str, Str)]>);

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(k, v)| (k.as_str(), v.as_str()))).finish()
    }
}

impl Labels {
    /// Where these pairs are kept: copies of one another are kept in one place.
    pub fn place(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Str> {
        self.0.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok().map(|i| &self.0[i].1)
    }

    /// Whether `key` is present.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The pairs in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Str)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These pairs with `key` set to `value`.
    #[must_use]
    pub fn with(&self, key: impl Into<Str>, value: impl Into<Str>) -> Self {
        let (key, value) = (key.into(), value.into());
        let (before, behind) = match self.0.binary_search_by(|(k, _)| k.as_str().cmp(&key)) {
            Ok(at) => (&self.0[..at], &self.0[at + 1..]),
            Err(at) => self.0.split_at(at),
        };
        let pairs = before.iter().cloned().chain(once((key, value))).chain(behind.iter().cloned());
        Self(pairs.collect())
    }

    /// These pairs without `key`.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        if !self.contains_key(key) {
            return self.clone();
        }
        self.0.iter().filter(|(k, _)| k != key).cloned().collect()
    }

    /// These pairs overlaid with `other`, whose values win.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        self.0.iter().chain(other.0.iter()).cloned().collect()
    }
}

impl<K: Into<Str>, V: Into<Str>> FromIterator<(K, V)> for Labels {
    /// Later pairs win over earlier ones of the same key.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let map: std::collections::BTreeMap<Str, Str> =
            iter.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self(map.into_iter().collect())
    }
}

/// A reference from a dependent to its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerReference {
    /// Group and version of the owner's kind.
    pub api_version: Str,
    /// The owner's kind.
    pub kind: Str,
    /// The owner's name.
    pub name: Str,
    /// The owner's identity; the name alone does not make an owner.
    pub uid: Uid,
    /// Whether this owner manages the object.
    pub controller: bool,
    /// Whether a foreground deletion of the owner waits for the object.
    pub block_owner_deletion: bool,
}

/// A deletion that was accepted but has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deletion {
    /// `deletionTimestamp`: when the grace period ends, not when deletion was asked for.
    pub timestamp: Timestamp,
    /// `deletionGracePeriodSeconds`.
    pub grace_seconds: Option<i64>,
}

/// What every object carries.
///
/// What lasts from one write to the next as a rule is shared by all states of the object; it is read and written as if it were
/// part of this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The store's revision of the last write.
    pub resource_version: u64,
    /// Counts changes of the desired state.
    pub generation: i64,
    /// Set once deletion was accepted.
    pub deletion: Option<Deletion>,
    /// The rest.
    pub lasting: Shared<Lasting>,
}

/// What of the metadata of an object lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lasting {
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: Str,
    /// The name, unique per kind and namespace.
    pub name: Str,
    /// The prefix a missing name is generated from.
    pub generate_name: Str,
    /// Assigned by the store on creation, if empty.
    pub uid: Uid,
    /// `creationTimestamp`.
    pub created: Option<Timestamp>,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Owners; at most one is the controller.
    pub owners: Few<OwnerReference>,
    /// What must be done before the object may vanish.
    pub finalizers: Few<Str>,
}

impl Deref for Meta {
    type Target = Lasting;

    fn deref(&self) -> &Lasting {
        &self.lasting
    }
}

impl DerefMut for Meta {
    fn deref_mut(&mut self) -> &mut Lasting {
        &mut self.lasting
    }
}

impl From<Lasting> for Meta {
    /// That of an object that has never been written.
    fn from(lasting: Lasting) -> Self {
        Self { lasting: lasting.into(), ..Self::default() }
    }
}

impl Hash for Meta {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { resource_version, generation, deletion, lasting } = self;
        let Lasting { namespace, name, generate_name, uid, created, labels, annotations, owners, finalizers } =
            &**lasting;
        (namespace, name, generate_name, uid, resource_version, generation, created, deletion).hash(state);
        (labels, annotations, owners, finalizers).hash(state);
    }
}

impl Lasting {
    /// A name only.
    pub fn named(namespace: impl Into<Str>, name: impl Into<Str>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), ..Self::default() }
    }
}

impl Meta {
    /// Metadata with a name only.
    pub fn named(namespace: impl Into<Str>, name: impl Into<Str>) -> Self {
        Lasting::named(namespace, name).into()
    }

    /// The object's key.
    pub fn key(&self) -> ObjectKey {
        ObjectKey { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// The name, or the prefix it will be generated from: what refuses an object before it has a name calls it so.
    ///
    /// Upstream: `extractResourceName` in `apiserver/pkg/admission/errors.go`, v1.34.
    pub fn name_or_prefix(&self) -> &Str {
        if self.name.is_empty() { &self.generate_name } else { &self.name }
    }

    /// The owner that manages the object.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owners.iter().find(|o| o.controller)
    }

    /// Whether the object with this identity manages the object.
    pub fn is_controlled_by(&self, uid: &str) -> bool {
        self.controller().is_some_and(|o| o.uid == uid)
    }

    /// Whether deletion was accepted.
    pub const fn is_deleting(&self) -> bool {
        self.deletion.is_some()
    }

    /// Whether a finalizer of this name is present.
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|f| f == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_their_parts() {
        let mut map = crate::base::LookupMap::new();
        for (number, (namespace, name)) in
            [("a", "b"), ("", "ab"), ("ab", ""), ("b", "a")].into_iter().enumerate()
        {
            map.insert(ObjectKey::new(namespace, name), number);
        }
        let find = |parts: (&str, &str)| map.get(&parts as &dyn KeyParts).copied();
        assert_eq!(
            [("a", "b"), ("", "ab"), ("ab", ""), ("b", "a"), ("a", "a")].map(find),
            [Some(0), Some(1), Some(2), Some(3), None]
        );
    }

    #[test]
    fn labels_stay_sorted_and_unique() {
        let labels: Labels = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["a=2", "b=3"]);
        let more = labels.with("aa", "x").without("b");
        assert_eq!(more.get("aa").map(Str::as_str), Some("x"));
        assert!(!more.contains_key("b") && labels.contains_key("b"));
    }
}
