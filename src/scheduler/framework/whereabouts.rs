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

/// Where some Pods are.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts {
    /// How many of them are on which node, Pods bound to nodes that are gone included.
    pub nodes: BTreeMap<NodeId, u32>,
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
        *self.nodes.entry(node).or_default() += 1;
        self.count(site, 1, true);
    }

    /// A Pod is on a node no more; whether none is left anywhere.
    pub(super) fn remove(&mut self, node: NodeId, site: &Site) -> bool {
        if let Some(count) = self.nodes.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                self.nodes.remove(&node);
            }
            self.count(site, 1, false);
        }
        self.nodes.is_empty()
    }

    /// The node of some of them, if there are any on it, has moved to other places.
    pub(super) fn moved(&mut self, node: NodeId, from: &Site, to: &Site) {
        if let Some(count) = self.nodes.get(&node).copied() {
            self.count(from, count, false);
            self.count(to, count, true);
        }
    }

    /// One more key is watched; `site` gives the places of a node.
    pub(super) fn recount(&mut self, mut site: impl FnMut(NodeId, &mut Site)) {
        self.counts.clear();
        let mut at = Site::new();
        for (node, count) in std::mem::take(&mut self.nodes) {
            site(node, &mut at);
            self.count(&at, count, true);
            self.nodes.insert(node, count);
        }
    }

    fn count(&mut self, site: &Site, count: u32, more: bool) {
        if self.counts.len() < site.len() {
            self.counts.resize(site.len(), PlaceCounts::default());
        }
        for (counts, place) in self.counts.iter_mut().zip(site) {
            counts.change(*place, count, more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::labels;

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
