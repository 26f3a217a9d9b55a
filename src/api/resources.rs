//! Amounts of resources by name.

use std::collections::BTreeMap;

use crate::base::{Quantity, Sparse, Str};

/// The resource `cpu`.
pub const CPU: &str = "cpu";
/// The resource `memory`.
pub const MEMORY: &str = "memory";
/// The resource `ephemeral-storage`.
pub const EPHEMERAL_STORAGE: &str = "ephemeral-storage";
/// The resource `pods`.
pub const PODS: &str = "pods";
/// The resource `storage` of claims and volumes.
pub const STORAGE: &str = "storage";

/// Amounts by resource name, ordered by name. An absent name differs from an amount of zero. Copies share them: all nodes of
/// a machine type have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourceList(pub Sparse<BTreeMap<Str, Quantity>>);

impl ResourceList {
    /// The amount of a resource.
    pub fn get(&self, name: &str) -> Option<Quantity> {
        self.0.get(name).copied()
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// CPU in thousandths, rounded up; 0 if absent.
    pub fn cpu_milli(&self) -> i64 {
        self.get(CPU).map_or(0, |q| q.milli_value())
    }

    /// Memory in bytes, rounded up; 0 if absent.
    pub fn memory(&self) -> i64 {
        self.get(MEMORY).map_or(0, |q| q.value())
    }

    /// Adds every amount of `other`.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            match self.0.get_mut(name) {
                Some(have) => *have = have.plus(*amount),
                None => {
                    self.0.insert(name.clone(), *amount);
                }
            }
        }
    }

    /// Raises every amount to that of `other` if that is larger.
    pub fn raise_to(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            if self.0.get(name).is_none_or(|have| have < amount) {
                self.0.insert(name.clone(), *amount);
            }
        }
    }
}

impl<K: Into<Str>> FromIterator<(K, Quantity)> for ResourceList {
    fn from_iter<I: IntoIterator<Item = (K, Quantity)>>(iter: I) -> Self {
        Self(iter.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }
}
