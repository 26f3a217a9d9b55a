//! Many label selectors, and which of them select an object.

use std::collections::{BTreeMap, BTreeSet};

use super::meta::Labels;
use super::selector::{LabelSelector, Operator};
use crate::base::{LookupMap, Str};

/// Selectors under keys, each for objects of one namespace, found by the labels that they ask for: whether an object is
/// selected is asked of those only that may select it.
#[derive(Clone, Debug)]
pub struct Selectors<K> {
    all: BTreeMap<K, (Str, LabelSelector)>,
    /// By namespace and one label that they ask for.
    by_label: LookupMap<(Str, Str, Str), BTreeSet<K>>,
    /// Those that ask for no single value of any label, by namespace.
    others: LookupMap<Str, BTreeSet<K>>,
}

impl<K> Default for Selectors<K> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), by_label: LookupMap::default(), others: LookupMap::default() }
    }
}

impl<K: Ord + Clone> Selectors<K> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Puts a selector under a key, in the place of an earlier one. Whether that was another.
    pub fn set(&mut self, key: &K, namespace: &Str, selector: &LabelSelector) -> bool {
        let same = self.all.get(key).is_some_and(|(n, s)| n == namespace && s == selector);
        if same {
            return false;
        }
        self.remove(key);
        if let Some(bucket) = self.bucket(namespace, selector) {
            bucket.insert(key.clone());
        }
        self.all.insert(key.clone(), (namespace.clone(), selector.clone()));
        true
    }

    /// Takes the selector under a key out.
    pub fn remove(&mut self, key: &K) {
        if let Some((namespace, selector)) = self.all.remove(key)
            && let Some(bucket) = self.bucket(&namespace, &selector)
        {
            bucket.remove(key);
        }
    }

    /// The keys of the selectors that select objects of this namespace with these labels, in their order.
    pub fn matching(&self, namespace: &Str, labels: &Labels) -> Vec<K> {
        let mut found = Vec::new();
        self.each_matching(namespace, labels, |key| found.push(key.clone()));
        found.sort();
        found
    }

    /// Passes the same to `found`, in no order.
    pub fn each_matching(&self, namespace: &Str, labels: &Labels, mut found: impl FnMut(&K)) {
        if self.all.is_empty() {
            return;
        }
        let mut take = |bucket: Option<&BTreeSet<K>>| {
            let selects = |key: &&K| self.all.get(*key).is_some_and(|(_, s)| s.matches(labels));
            bucket.into_iter().flatten().filter(selects).for_each(&mut found);
        };
        take(self.others.get(namespace));
        for (key, value) in labels.iter() {
            take(self.by_label.get(&(namespace.clone(), key.clone(), value.clone())));
        }
    }

    /// Where a selector is kept; none if it selects nothing.
    fn bucket(&mut self, namespace: &Str, selector: &LabelSelector) -> Option<&mut BTreeSet<K>> {
        let LabelSelector::Requirements(all) = selector else { return None };
        let single = all.iter().find(|r| r.operator == Operator::In && r.values.len() == 1);
        Some(match single {
            Some(r) => {
                let label = (namespace.clone(), r.key.clone(), r.values[0].clone());
                self.by_label.or_insert_with(label, BTreeSet::new)
            }
            None => self.others.or_insert_with(namespace.clone(), BTreeSet::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_found_that_select() {
        let mut selectors = Selectors::default();
        let set = |selectors: &mut Selectors<u8>, key, namespace: &str, text: &str| {
            selectors.set(&key, &namespace.into(), &LabelSelector::parse(text).unwrap());
        };
        set(&mut selectors, 1, "a", "app=web");
        set(&mut selectors, 2, "a", "app=web,tier=back");
        set(&mut selectors, 3, "b", "app=web");
        set(&mut selectors, 4, "a", "tier!=back");
        set(&mut selectors, 5, "a", "");
        set(&mut selectors, 6, "a", "app in (web,api)");
        selectors.set(&7, &"a".into(), &LabelSelector::Nothing);
        let found = |selectors: &Selectors<u8>, namespace: &str, text: &str| {
            let labels = text.split(' ').filter_map(|pair| pair.split_once('=')).collect();
            selectors.matching(&namespace.into(), &labels)
        };
        assert_eq!(found(&selectors, "a", "app=web tier=front"), [1, 4, 5, 6]);
        assert_eq!(found(&selectors, "a", "app=web tier=back"), [1, 2, 5, 6]);
        assert_eq!(found(&selectors, "b", "app=web"), [3]);
        assert_eq!(found(&selectors, "a", ""), [4, 5]);
        set(&mut selectors, 1, "a", "app=api");
        selectors.remove(&5);
        assert_eq!(found(&selectors, "a", "app=web"), [4, 6]);
        assert_eq!(found(&selectors, "a", "app=api"), [1, 4, 6]);
    }
}
