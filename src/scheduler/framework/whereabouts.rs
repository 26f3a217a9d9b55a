//! On which nodes some Pods are, and how many of them in which place of the topology keys that are watched.
//!
//! A place is counted as Pods come and go, so that asking how many are in a zone costs a step for each zone, not for each
//! node.

use std::collections::BTreeMap;

use super::node_info::NodeId;
use super::topology::Topology;
use crate::base::Str;

/// Keys with more places than this are not counted by place: there, counting by node is as good.
pub const PLACES_MAX: usize = 64;

/// The place of a node that is there and lacks the label.
const ELSEWHERE: u32 = u32::MAX;
/// The place of a node that is not there.
const GONE: u32 = u32::MAX - 1;

/// Topology keys by which Pods are counted.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    /// The keys, and their numbers in the topology once a node has had them.
    keys: Vec<(Str, Option<usize>)>,
}

/// The places of one node, by watched key.
pub type Site = Vec<u32>;

impl Watches {
    /// Begins to watch a key; whether it was not watched before.
    pub(super) fn add(&mut self, key: &Str, topology: &Topology) -> bool {
        if self.keys.iter().any(|(have, _)| have == key) {
            return false;
        }
        self.keys.push((key.clone(), topology.key(key)));
        true
    }

    /// Looks up keys that no node had before.
    pub(super) fn resolve(&mut self, topology: &Topology) {
        for (key, number) in &mut self.keys {
            *number = number.or_else(|| topology.key(key));
        }
    }

    /// Where a node is; `present` tells whether it is there at all.
    pub(super) fn site(&self, topology: &Topology, node: NodeId, present: bool, site: &mut Site) {
        site.clear();
        site.extend(self.keys.iter().map(|(_, key)| {
            if !present {
                return GONE;
            }
            let place = key.and_then(|key| topology.places(key).of(node));
            place.map_or(ELSEWHERE, |place| place as u32)
        }));
    }

    /// The number of a watched key.
    fn number(&self, key: usize) -> Option<usize> {
        self.keys.iter().position(|(_, number)| *number == Some(key))
    }
}

/// Pods by the place of one key that their nodes are in.
#[derive(Clone, Debug, Default)]
pub struct PlaceCounts {
    /// By place; may be too short.
    pub by_place: Vec<u32>,
    /// Those on nodes that lack the label.
    pub elsewhere: u32,
}

impl PlaceCounts {
    fn change(&mut self, place: u32, count: u32, more: bool) {
        let slot = match place {
            GONE => return,
            ELSEWHERE => &mut self.elsewhere,
            place if place as usize >= PLACES_MAX => return,
            place => {
                let place = place as usize;
                if place >= self.by_place.len() {
                    self.by_place.resize(place + 1, 0);
                }
                &mut self.by_place[place]
            }
        };
        *slot = if more { *slot + count } else { slot.saturating_sub(count) };
    }

    /// The places that have Pods, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, i64)> {
        let all = self.by_place.iter().enumerate().filter(|(_, count)| **count > 0);
        all.map(|(place, count)| (place, i64::from(*count)))
    }
}

/// How many of some Pods are on which node.
///
/// Those on a few nodes are a tree; those on many are numbers by the node's place, of which one is at hand in a single step.
#[derive(Clone, Debug, Default)]
pub struct NodeCounts {
    /// Empty if there is a list.
    few: BTreeMap<NodeId, u32>,
    /// By the node's place, if so many nodes have some.
    many: Vec<u32>,
    /// How many nodes have some.
    nodes: usize,
}

/// A tree becomes a list once that has at most so many places for each node that has Pods.
const DENSE: usize = 8;
/// A list has at most so many of them; before it has more it becomes a tree again.
const THIN: usize = 4 * DENSE;

impl NodeCounts {
    /// Whether no node has any.
    pub const fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// How many are on a node.
    fn get(&self, node: NodeId) -> u32 {
        match self.many.get(node.index()) {
            Some(count) => *count,
            None => self.few.get(&node).copied().unwrap_or(0),
        }
    }

    /// The nodes that have some, in the order of their places, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, u32)> {
        let many = self.many.iter().enumerate().filter(|(_, count)| **count > 0);
        let many = many.map(|(at, count)| (NodeId(at as u32), *count));
        self.few.iter().map(|(node, count)| (*node, *count)).chain(many)
    }

    /// One more on a node.
    fn add(&mut self, node: NodeId) {
        let places = self.many.len().max(node.index() + 1);
        if !self.many.is_empty() && places > THIN * (self.nodes + 1) {
            self.make_tree();
        }
        if self.many.is_empty() {
            *self.few.entry(node).or_default() += 1;
            self.nodes = self.few.len();
            self.make_list();
        } else {
            self.many.resize(places, 0);
            let count = &mut self.many[node.index()];
            self.nodes += usize::from(*count == 0);
            *count += 1;
        }
    }

    /// One fewer on a node. Whether there was one.
    fn remove(&mut self, node: NodeId) -> bool {
        if let Some(count) = self.many.get_mut(node.index()).filter(|count| **count > 0) {
            *count -= 1;
            if *count == 0 {
                self.nodes -= 1;
                if self.many.len() > THIN * self.nodes {
                    self.make_tree();
                }
            }
            return true;
        }
        let Some(count) = self.few.get_mut(&node) else { return false };
        *count -= 1;
        if *count == 0 {
            self.few.remove(&node);
            self.nodes = self.few.len();
        }
        true
    }

    /// Makes a list of the tree if enough of its places are taken.
    fn make_list(&mut self) {
        let places = self.few.last_key_value().map_or(0, |(last, _)| last.index() + 1);
        if places <= DENSE * self.nodes {
            self.many = vec![0; places];
            for (node, count) in std::mem::take(&mut self.few) {
                self.many[node.index()] = count;
            }
        }
    }

    /// Makes a tree of the list.
    fn make_tree(&mut self) {
        let few = self.iter().collect();
        *self = Self { few, many: Vec::new(), nodes: self.nodes };
    }
}

/// Where some Pods are.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts {
    /// How many of them are on which node, Pods bound to nodes that are gone included.
    pub nodes: NodeCounts,
    /// By watched key.
    counts: Vec<PlaceCounts>,
}

impl Whereabouts {
    /// How many are in which place of a key of the topology; none if that is not counted.
    pub fn by_place(&self, watches: &Watches, topology: &Topology, key: usize) -> Option<&PlaceCounts> {
        if topology.places(key).len() > PLACES_MAX {
            return None;
        }
        self.counts.get(watches.number(key)?)
    }

    /// A Pod is on a node, whose places are given.
    pub(super) fn add(&mut self, node: NodeId, site: &Site) {
        self.nodes.add(node);
        self.count(site, 1, true);
    }

    /// A Pod is on a node no more; whether none is left anywhere.
    pub(super) fn remove(&mut self, node: NodeId, site: &Site) -> bool {
        if self.nodes.remove(node) {
            self.count(site, 1, false);
        }
        self.nodes.is_empty()
    }

    /// The node of some of them, if there are any on it, has moved to other places.
    pub(super) fn moved(&mut self, node: NodeId, from: &Site, to: &Site) {
        let count = self.nodes.get(node);
        self.count(from, count, false);
        self.count(to, count, true);
    }

    /// One more key is watched; `site` gives the places of a node.
    pub(super) fn recount(&mut self, mut site: impl FnMut(NodeId, &mut Site)) {
        self.counts.clear();
        let mut at = Site::new();
        for (node, count) in self.nodes.iter() {
            site(node, &mut at);
            count_at(&mut self.counts, &at, count, true);
        }
    }

    fn count(&mut self, site: &Site, count: u32, more: bool) {
        count_at(&mut self.counts, site, count, more);
    }
}

fn count_at(all: &mut Vec<PlaceCounts>, site: &Site, count: u32, more: bool) {
    if all.len() < site.len() {
        all.resize(site.len(), PlaceCounts::default());
    }
    for (counts, place) in all.iter_mut().zip(site) {
        counts.change(*place, count, more);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testkit::labels;

    proptest! {
        /// Wherever Pods come and go, it holds what a tree of numbers holds, and a list is not much longer than it need be.
        #[test]
        fn nodes_are_counted_as_a_tree_counts_them(
            steps in prop::collection::vec((prop_oneof![0..8u32, 0..600u32], prop::bool::weighted(0.6)), 0..400),
        ) {
            let (mut counts, mut model) = (NodeCounts::default(), BTreeMap::<NodeId, u32>::new());
            for (node, more) in steps.into_iter().map(|(node, more)| (NodeId(node), more)) {
                if more {
                    counts.add(node);
                    *model.entry(node).or_default() += 1;
                } else {
                    prop_assert_eq!(counts.remove(node), model.contains_key(&node));
                    if let Some(count) = model.get_mut(&node) {
                        *count -= 1;
                    }
                    model.retain(|_, count| *count > 0);
                }
                prop_assert_eq!(counts.get(node), model.get(&node).copied().unwrap_or(0));
                prop_assert_eq!(counts.is_empty(), model.is_empty());
                prop_assert!(counts.many.len() <= THIN * model.len());
            }
            prop_assert!(counts.iter().eq(model));
        }
    }

    #[test]
    fn places_are_counted_as_pods_and_labels_change() {
        let (mut topology, mut watches) = (Topology::default(), Watches::default());
        watches.add(&"zone".into(), &topology);
        let (a, b) = (labels("zone=a"), labels("zone=b,host=b"));
        topology.set(NodeId(0), None, Some(&a));
        topology.set(NodeId(1), None, Some(&b));
        watches.resolve(&topology);
        let mut site = Site::new();
        let mut pods = Whereabouts::default();
        for (node, present) in [(0, true), (0, true), (1, true), (2, true), (3, false)] {
            watches.site(&topology, NodeId(node), present, &mut site);
            pods.add(NodeId(node), &site);
        }
        let zone = topology.key("zone").expect("nodes have it");
        let counts = |pods: &Whereabouts, watches: &Watches, topology: &Topology, key| {
            let counts = pods.by_place(watches, topology, key).expect("it is watched");
            (counts.by_place.clone(), counts.elsewhere)
        };
        assert_eq!(counts(&pods, &watches, &topology, zone), (vec![2, 1], 1));
        let (from, mut to) = (vec![0], Site::new());
        topology.set(NodeId(0), Some(&a), Some(&b));
        watches.site(&topology, NodeId(0), true, &mut to);
        pods.moved(NodeId(0), &from, &to);
        assert_eq!(counts(&pods, &watches, &topology, zone), (vec![0, 3], 1));
        let host = topology.key("host").expect("a node has it");
        assert!(pods.by_place(&watches, &topology, host).is_none());
        watches.add(&"host".into(), &topology);
        pods.recount(|node, site| watches.site(&topology, node, node.0 < 3, site));
        assert_eq!(counts(&pods, &watches, &topology, host), (vec![3], 1));
        assert!(!pods.remove(NodeId(2), &vec![ELSEWHERE, ELSEWHERE]));
        assert_eq!(counts(&pods, &watches, &topology, zone), (vec![0, 3], 0));
    }
}
