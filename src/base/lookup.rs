//! Hash maps for looking up only: no iterator, so their order can never show.

#![allow(clippy::disallowed_types, reason = "the one wrapper that hides iteration order")]

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use rustc_hash::FxBuildHasher;

/// A hash map without iteration: point reads and writes only.
#[derive(Clone, Debug)]
pub struct LookupMap<K, V> {
    inner: HashMap<K, V, FxBuildHasher>,
}

impl<K, V> Default for LookupMap<K, V> {
    fn default() -> Self {
        Self { inner: HashMap::with_hasher(FxBuildHasher) }
    }
}

impl<K: Hash + Eq, V> LookupMap<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value under `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.get(key)
    }

    /// The value under `key`, to be changed in place.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.get_mut(key)
    }

    /// Whether `key` is present.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.contains_key(key)
    }

    /// Puts `value` under `key` and returns what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.inner.insert(key, value)
    }

    /// Takes out what is under `key`.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.remove(key)
    }

    /// The value under `key`, made by `make` if absent.
    pub fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.inner.entry(key).or_insert_with(make)
    }

    /// Keeps what `keep` says of each entry by itself: it must not remember what it was asked before, or the order shows.
    pub fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        self.inner.retain(|key, value| keep(key, value));
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.inner.clear();
    }
}

/// A hash set without iteration.
#[derive(Clone, Debug)]
pub struct LookupSet<K> {
    inner: HashSet<K, FxBuildHasher>,
}

impl<K> Default for LookupSet<K> {
    fn default() -> Self {
        Self { inner: HashSet::with_hasher(FxBuildHasher) }
    }
}

impl<K: Hash + Eq> LookupSet<K> {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `key` is present.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.contains(key)
    }

    /// Adds `key`; false if it was there.
    pub fn insert(&mut self, key: K) -> bool {
        self.inner.insert(key)
    }

    /// Removes `key`; false if it was absent.
    pub fn remove<Q>(&mut self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.remove(key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }
}
