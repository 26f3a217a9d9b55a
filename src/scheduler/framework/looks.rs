//! Where Pods that look alike to label selectors are, over all nodes.
//!
//! Counting Pods by selector over these costs a comparison for each look with a label that the selector names, and a step
//! for each node with such Pods, instead of a comparison for each node and each look on it.

use std::collections::{BTreeMap, BTreeSet};

use super::node_info::NodeId;
use super::pod_info::PodInfo;
use super::whereabouts::{Site, Whereabouts};
use crate::api::selector::{Operator, Requirement};
use crate::api::{LabelSelector, Labels};
use crate::base::{LookupMap, Str};

/// Pods of one namespace with the same labels.
#[derive(Clone, Debug)]
pub struct Look {
    /// Their namespace.
    pub namespace: Str,
    /// Their labels.
    pub labels: Labels,
    /// Whether they are being deleted.
    pub deleting: bool,
    /// Where they are.
    pub whereabouts: Whereabouts,
}

/// All looks of Pods with a node.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    index: LookupMap<(Str, Labels, bool), usize>,
    looks: Vec<Option<Look>>,
    by_namespace: BTreeMap<Str, BTreeSet<usize>>,
    /// By namespace, label and value.
    by_label: LookupMap<(Str, Str, Str), BTreeSet<usize>>,
    free: Vec<usize>,
    /// The one that was looked for last: often the next one is it again.
    last: usize,
}

impl Looks {
    /// A Pod is on a node, whose places are given.
    pub(super) fn add(&mut self, node: NodeId, info: &PodInfo, site: &Site) {
        let at = match self.find(info) {
            Some(at) => at,
            None => {
                let key = key(info);
                let at = self.free.pop().unwrap_or(self.looks.len());
                let look = Some(Look {
                    namespace: key.0.clone(),
                    labels: key.1.clone(),
                    deleting: key.2,
                    whereabouts: Whereabouts::default(),
                });
                match self.looks.get_mut(at) {
                    Some(slot) => *slot = look,
                    None => self.looks.push(look),
                }
                self.enter(&key, at);
                self.index.insert(key, at);
                at
            }
        };
        if let Some(look) = &mut self.looks[at] {
            look.whereabouts.add(node, site);
        }
    }

    /// A Pod is on a node no more.
    pub(super) fn remove(&mut self, node: NodeId, info: &PodInfo, site: &Site) {
        let Some(at) = self.find(info) else { return };
        let Some(look) = &mut self.looks[at] else { return };
        if look.whereabouts.remove(node, site) {
            let key = (look.namespace.clone(), look.labels.clone(), look.deleting);
            self.looks[at] = None;
            self.free.push(at);
            self.leave(&key, at);
            self.index.remove(&key);
        }
    }

    /// All of them, to be counted anew.
    pub(super) fn whereabouts_mut(&mut self) -> impl Iterator<Item = &mut Whereabouts> {
        self.looks.iter_mut().flatten().map(|look| &mut look.whereabouts)
    }

    /// The whereabouts of Pods that look like this one.
    pub(super) fn like(&mut self, info: &PodInfo) -> Option<&mut Whereabouts> {
        let at = self.find(info)?;
        self.looks[at].as_mut().map(|look| &mut look.whereabouts)
    }

    /// Where the look of a Pod is.
    fn find(&mut self, info: &PodInfo) -> Option<usize> {
        let meta = &info.pod.meta;
        let is = |look: &Look| {
            look.namespace == meta.namespace
                && look.labels == meta.labels
                && look.deleting == meta.is_deleting()
        };
        if !self.looks.get(self.last)?.as_ref().is_some_and(is) {
            self.last = *self.index.get(&key(info))?;
        }
        Some(self.last)
    }

    fn enter(&mut self, (namespace, labels, _): &(Str, Labels, bool), at: usize) {
        self.by_namespace.entry(namespace.clone()).or_default().insert(at);
        for (key, value) in labels.iter() {
            let label = (namespace.clone(), key.clone(), value.clone());
            self.by_label.or_insert_with(label, BTreeSet::new).insert(at);
        }
    }

    fn leave(&mut self, (namespace, labels, _): &(Str, Labels, bool), at: usize) {
        if let Some(of_namespace) = self.by_namespace.get_mut(namespace) {
            of_namespace.remove(&at);
            if of_namespace.is_empty() {
                self.by_namespace.remove(namespace);
            }
        }
        for (key, value) in labels.iter() {
            let label = (namespace.clone(), key.clone(), value.clone());
            let Some(with_label) = self.by_label.get_mut(&label) else { continue };
            with_label.remove(&at);
            if with_label.is_empty() {
                self.by_label.remove(&label);
            }
        }
    }

    /// The namespaces that have Pods with a node, sorted.
    pub fn namespaces(&self) -> impl Iterator<Item = &Str> {
        self.by_namespace.keys()
    }

    /// The looks of a namespace that a selector selects.
    pub fn selected<'a>(
        &'a self,
        namespace: &Str,
        selector: &'a LabelSelector,
    ) -> impl Iterator<Item = &'a Look> {
        let candidates = self.candidates(namespace, selector);
        candidates
            .into_iter()
            .flatten()
            .filter_map(|at| self.looks[*at].as_ref())
            .filter(move |look| selector.matches(&look.labels))
    }

    /// The same, Pods that are being deleted left out.
    pub fn alive<'a>(
        &'a self,
        namespace: &Str,
        selector: &'a LabelSelector,
    ) -> impl Iterator<Item = &'a Look> {
        self.selected(namespace, selector).filter(|look| !look.deleting)
    }

    /// Sets of looks outside which the selector selects nothing: those with the values that a requirement names, or all.
    fn candidates(&self, namespace: &Str, selector: &LabelSelector) -> Vec<&BTreeSet<usize>> {
        let LabelSelector::Requirements(all) = selector else { return Vec::new() };
        let of = |requirement: &Requirement| -> Vec<&BTreeSet<usize>> {
            let label = |value: &Str| (namespace.clone(), requirement.key.clone(), value.clone());
            requirement.values.iter().filter_map(|value| self.by_label.get(&label(value))).collect()
        };
        let named = all.iter().filter(|requirement| requirement.operator == Operator::In).map(of);
        let least = named.min_by_key(|sets| sets.iter().map(|set| set.len()).sum::<usize>());
        least.unwrap_or_else(|| self.by_namespace.get(namespace).into_iter().collect())
    }
}

/// What the look of a Pod is found by.
fn key(info: &PodInfo) -> (Str, Labels, bool) {
    let meta = &info.pod.meta;
    (meta.namespace.clone(), meta.labels.clone(), meta.is_deleting())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Arc;
    use crate::testkit;

    #[test]
    fn pods_are_counted_where_they_are() {
        let mut looks = Looks::default();
        let pod = |name: &str, labels: &str| PodInfo::new(Arc::new(testkit::pod(name, labels)));
        let counts = |looks: &Looks, selector: &str| -> Vec<(u32, u32)> {
            let selector = LabelSelector::parse(selector).unwrap();
            let namespace = Str::from("default");
            let nodes = looks.alive(&namespace, &selector).flat_map(|look| look.whereabouts.nodes.iter());
            nodes.map(|(node, count)| (node.0, count)).collect()
        };
        for (node, name, labels) in
            [(0, "a", "app=web"), (0, "b", "app=web"), (2, "c", "app=web"), (1, "d", "app=db")]
        {
            looks.add(NodeId(node), &pod(name, labels), &Site::new());
        }
        assert_eq!(counts(&looks, "app=web"), [(0, 2), (2, 1)]);
        assert_eq!(counts(&looks, "app"), [(0, 2), (2, 1), (1, 1)]);
        looks.remove(NodeId(0), &pod("a", "app=web"), &Site::new());
        looks.remove(NodeId(1), &pod("d", "app=db"), &Site::new());
        assert_eq!(counts(&looks, "app"), [(0, 1), (2, 1)]);
        looks.add(NodeId(3), &pod("e", "app=cache"), &Site::new());
        assert_eq!(counts(&looks, "app!=web"), [(3, 1)]);
        assert_eq!(counts(&looks, "app in (web,cache),app!=cache"), [(0, 1), (2, 1)]);
        assert_eq!(counts(&looks, "app=none"), []);
    }
}
