//! Where Pods that look alike to label selectors are, over all nodes.
//!
//! Counting Pods by selector over these costs a comparison for each look in the namespace and a step for each node
//! with such Pods, instead of a comparison for each node and each look on it.

use std::collections::{BTreeMap, BTreeSet};

use super::node_info::NodeId;
use super::pod_info::PodInfo;
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
    /// How many of them are on which node, Pods bound to nodes that are gone included.
    pub nodes: BTreeMap<NodeId, u32>,
}

/// All looks of Pods with a node.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    index: LookupMap<(Str, Labels, bool), usize>,
    looks: Vec<Option<Look>>,
    by_namespace: BTreeMap<Str, BTreeSet<usize>>,
    free: Vec<usize>,
}

impl Looks {
    /// A Pod is on a node.
    pub fn add(&mut self, node: NodeId, info: &PodInfo) {
        let meta = &info.pod.meta;
        let key = (meta.namespace.clone(), meta.labels.clone(), meta.is_deleting());
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None => {
                let at = self.free.pop().unwrap_or(self.looks.len());
                let look = Some(Look {
                    namespace: key.0.clone(),
                    labels: key.1.clone(),
                    deleting: key.2,
                    nodes: BTreeMap::new(),
                });
                match self.looks.get_mut(at) {
                    Some(slot) => *slot = look,
                    None => self.looks.push(look),
                }
                self.by_namespace.entry(key.0.clone()).or_default().insert(at);
                self.index.insert(key, at);
                at
            }
        };
        if let Some(look) = &mut self.looks[at] {
            *look.nodes.entry(node).or_default() += 1;
        }
    }

    /// A Pod is on a node no more.
    pub fn remove(&mut self, node: NodeId, info: &PodInfo) {
        let meta = &info.pod.meta;
        let key = (meta.namespace.clone(), meta.labels.clone(), meta.is_deleting());
        let Some(at) = self.index.get(&key).copied() else { return };
        let Some(look) = &mut self.looks[at] else { return };
        if let Some(count) = look.nodes.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                look.nodes.remove(&node);
            }
        }
        if look.nodes.is_empty() {
            self.looks[at] = None;
            self.free.push(at);
            if let Some(of_namespace) = self.by_namespace.get_mut(&key.0) {
                of_namespace.remove(&at);
                if of_namespace.is_empty() {
                    self.by_namespace.remove(&key.0);
                }
            }
            self.index.remove(&key);
        }
    }

    /// The looks of a namespace that a selector selects, Pods that are being deleted left out.
    pub fn alive<'a>(
        &'a self,
        namespace: &str,
        selector: &'a LabelSelector,
    ) -> impl Iterator<Item = &'a Look> {
        self.by_namespace
            .get(namespace)
            .into_iter()
            .flatten()
            .filter_map(|at| self.looks[*at].as_ref())
            .filter(move |look| !look.deleting && selector.matches(&look.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;
    use std::sync::Arc;

    #[test]
    fn pods_are_counted_where_they_are() {
        let mut looks = Looks::default();
        let pod = |name: &str, labels: &str| PodInfo::new(Arc::new(testkit::pod(name, labels)));
        let counts = |looks: &Looks, selector: &str| -> Vec<(u32, u32)> {
            let selector = LabelSelector::parse(selector).unwrap();
            let nodes = looks.alive("default", &selector).flat_map(|look| &look.nodes);
            nodes.map(|(node, count)| (node.0, *count)).collect()
        };
        for (node, name, labels) in
            [(0, "a", "app=web"), (0, "b", "app=web"), (2, "c", "app=web"), (1, "d", "app=db")]
        {
            looks.add(NodeId(node), &pod(name, labels));
        }
        assert_eq!(counts(&looks, "app=web"), [(0, 2), (2, 1)]);
        assert_eq!(counts(&looks, "app"), [(0, 2), (2, 1), (1, 1)]);
        looks.remove(NodeId(0), &pod("a", "app=web"));
        looks.remove(NodeId(1), &pod("d", "app=db"));
        assert_eq!(counts(&looks, "app"), [(0, 1), (2, 1)]);
        looks.add(NodeId(3), &pod("e", "app=cache"));
        assert_eq!(counts(&looks, "app!=web"), [(3, 1)]);
    }
}
