//! In which place each node is, by topology key, as numbers: comparing and counting places costs an index, not a text.

use super::node_info::NodeId;
use crate::api::Labels;
use crate::base::{LookupMap, Str};

/// Stands for a node without the label.
const NOWHERE: u32 = u32::MAX;

/// The places of one topology key: the values that nodes have of a label, numbered. A number is given to another value
/// once no node has the first one any more.
#[derive(Clone, Debug, Default)]
pub struct Places {
    index: LookupMap<Str, u32>,
    /// By place: its value and how many nodes are in it.
    values: Vec<(Str, u32)>,
    free: Vec<u32>,
    /// How many nodes have the label.
    labelled: usize,
    /// By node, from `first` on.
    of_node: Vec<u32>,
    first: usize,
}

impl Places {
    /// The place of a node; none if it lacks the label.
    pub fn of(&self, node: NodeId) -> Option<usize> {
        let place = *self.of_node.get(node.index().wrapping_sub(self.first))?;
        (place != NOWHERE).then_some(place as usize)
    }

    /// How many nodes have the label.
    pub const fn labelled(&self) -> usize {
        self.labelled
    }

    /// One more than the largest number of a place.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no node has ever had the label.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The place of a value; none if no node has it.
    pub fn find(&self, value: &str) -> Option<usize> {
        self.index.get(value).map(|place| *place as usize)
    }

    /// The value of a place.
    pub fn value(&self, place: usize) -> &Str {
        &self.values[place].0
    }

    /// How many nodes are in a place.
    pub fn nodes_in(&self, place: usize) -> u32 {
        self.values[place].1
    }

    fn enter(&mut self, node: NodeId, value: &Str) {
        let place = match self.index.get(value) {
            Some(place) => *place,
            None => {
                let place = self.free.pop().unwrap_or(self.values.len() as u32);
                match self.values.get_mut(place as usize) {
                    Some(slot) => slot.0 = value.clone(),
                    None => self.values.push((value.clone(), 0)),
                }
                self.index.insert(value.clone(), place);
                place
            }
        };
        self.values[place as usize].1 += 1;
        self.labelled += 1;
        *self.slot(node) = place;
    }

    fn leave(&mut self, node: NodeId) {
        let Some(place) = self.of(node) else { return };
        *self.slot(node) = NOWHERE;
        self.labelled -= 1;
        let (value, nodes) = &mut self.values[place];
        *nodes -= 1;
        if *nodes == 0 {
            self.index.remove(value.as_str());
            self.free.push(place as u32);
        }
    }

    fn slot(&mut self, node: NodeId) -> &mut u32 {
        let index = node.index();
        if self.of_node.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let missing = self.first - index;
            self.of_node.splice(0..0, std::iter::repeat_n(NOWHERE, missing));
            self.first = index;
        }
        let at = index - self.first;
        if at >= self.of_node.len() {
            self.of_node.resize(at + 1, NOWHERE);
        }
        &mut self.of_node[at]
    }
}

/// The places of all label keys that nodes have.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    index: LookupMap<Str, usize>,
    keys: Vec<Places>,
}

impl Topology {
    /// The number of a key; none if no node has ever had it.
    pub fn key(&self, key: &str) -> Option<usize> {
        self.index.get(key).copied()
    }

    /// The places of a key by its number.
    pub fn places(&self, key: usize) -> &Places {
        &self.keys[key]
    }

    /// The places of a key.
    pub fn of(&self, key: &str) -> Option<&Places> {
        self.key(key).map(|key| self.places(key))
    }

    /// A node's labels have changed; none for a node that is not there.
    pub(super) fn set(&mut self, node: NodeId, old: Option<&Labels>, new: Option<&Labels>) {
        if old == new {
            return;
        }
        for (key, value) in old.into_iter().flat_map(Labels::iter) {
            let stays = new.is_some_and(|new| new.get(key) == Some(value));
            if let Some(at) = self.key(key).filter(|_| !stays) {
                self.keys[at].leave(node);
            }
        }
        for (key, value) in new.into_iter().flat_map(Labels::iter) {
            if old.is_some_and(|old| old.get(key) == Some(value)) {
                continue;
            }
            let at = self.key(key).unwrap_or_else(|| {
                self.index.insert(key.clone(), self.keys.len());
                self.keys.push(Places::default());
                self.keys.len() - 1
            });
            self.keys[at].enter(node, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::labels;

    #[test]
    fn places_follow_the_labels_of_nodes() {
        let mut topology = Topology::default();
        let (a, b, none) = (labels("zone=a,host=1"), labels("zone=b,host=2"), labels("host=3"));
        let at = |topology: &Topology, node: u32| {
            let places = topology.of("zone").expect("the key is known");
            places.of(NodeId(node)).map(|place| places.value(place).to_string())
        };
        topology.set(NodeId(7), None, Some(&a));
        topology.set(NodeId(2), None, Some(&b));
        topology.set(NodeId(9), None, Some(&a));
        topology.set(NodeId(4), None, Some(&none));
        assert_eq!([2, 4, 7, 9, 11].map(|n| at(&topology, n).unwrap_or_default()), ["b", "", "a", "a", ""]);
        assert_eq!(
            topology.of("zone").map(|p| (p.len(), p.find("a").map(|a| p.nodes_in(a)))),
            Some((2, Some(2)))
        );
        topology.set(NodeId(2), Some(&b), Some(&none));
        topology.set(NodeId(7), Some(&a), None);
        let places = topology.of("zone").expect("the key is known");
        assert_eq!((at(&topology, 2), at(&topology, 7), places.find("b")), (None, None, None));
        topology.set(NodeId(2), Some(&none), Some(&labels("zone=c,host=3")));
        assert_eq!((at(&topology, 2).as_deref(), topology.of("zone").map(Places::len)), (Some("c"), Some(2)));
        assert!(topology.of("region").is_none());
    }
}
