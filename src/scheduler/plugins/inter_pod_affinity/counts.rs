//! Counts by topology key and place that can be tried out: a shared base with a few entries changed on top.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/filtering.go` (`topologyToMatchedTermCount`), v1.34.

use crate::base::Arc;
use crate::scheduler::framework::topology::Topology;
use crate::scheduler::framework::whereabouts::Whereabouts;
use crate::scheduler::framework::{Gate, NodeId, Snapshot};

/// Sums by topology key and place, both as the snapshot numbers them. There are few keys, and many places of each.
#[derive(Clone, Debug, Default)]
pub struct TopologySums {
    keys: Vec<(usize, Vec<i64>)>,
    /// How many places have a sum other than 0.
    places: usize,
}

impl TopologySums {
    /// Adds to the sum of the place that a node is in by `key`; nothing if it lacks the key.
    pub fn add(&mut self, topology: &Topology, node: NodeId, key: usize, amount: i64) {
        if let Some(place) = topology.places(key).of(node) {
            self.add_at(topology, key, place, amount);
        }
    }

    fn add_at(&mut self, topology: &Topology, key: usize, place: usize, amount: i64) {
        let sum = &mut self.of_key(topology, key)[place];
        let before = *sum;
        *sum += amount;
        let after = *sum;
        self.places += usize::from(after != 0);
        self.places -= usize::from(before != 0);
    }

    /// Adds so much for each of some Pods to the sums of the places they are in by `key`.
    pub fn add_all(&mut self, snapshot: &Snapshot, pods: &Whereabouts, key: usize, amount: i64) {
        let topology = snapshot.topology();
        match snapshot.by_place(pods, key) {
            Some(counts) => {
                for (place, count) in counts.iter() {
                    self.add_at(topology, key, place, amount * count);
                }
            }
            None => {
                for (node, count) in pods.nodes.iter() {
                    self.add(topology, node, key, amount * i64::from(count));
                }
            }
        }
    }

    /// The sums of a key, by place.
    fn of_key(&mut self, topology: &Topology, key: usize) -> &mut Vec<i64> {
        let at = self.keys.iter().position(|(have, _)| *have == key).unwrap_or_else(|| {
            self.keys.push((key, vec![0; topology.places(key).len()]));
            self.keys.len() - 1
        });
        &mut self.keys[at].1
    }

    /// The sum of a place, 0 if there is none.
    pub fn get(&self, key: usize, place: usize) -> i64 {
        let sums = self.keys.iter().find(|(have, _)| *have == key);
        sums.and_then(|(_, sums)| sums.get(place)).copied().unwrap_or(0)
    }

    /// Whether no place has been added to.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The sums of all places that a node is in, added up.
    pub fn total(&self, topology: &Topology, node: NodeId) -> i64 {
        self.keys
            .iter()
            .filter_map(|(key, sums)| topology.places(*key).of(node).map(|place| sums[place]))
            .sum()
    }
}

/// Counts of Pods by place with changes on top. Cloning costs a counter increment and the few changes.
///
/// All counts of the base are positive: it is made of Pods that are there.
#[derive(Clone, Debug)]
pub struct TrialCounts {
    base: Arc<TopologySums>,
    /// Key, place and count.
    changed: Vec<(usize, usize, i64)>,
    /// Places whose count is not 0.
    places: usize,
}

impl TrialCounts {
    /// Nothing changed yet.
    pub fn new(base: TopologySums) -> Self {
        Self { places: base.places, base: Arc::new(base), changed: Vec::new() }
    }

    /// Adds to the count of the place that a node is in by `key`; nothing if it lacks the key.
    pub fn add(&mut self, topology: &Topology, node: NodeId, key: usize, delta: i64) {
        let Some(place) = topology.places(key).of(node) else { return };
        let before = self.get(key, place);
        let after = before + delta;
        match self.changed.iter_mut().find(|(k, p, _)| (*k, *p) == (key, place)) {
            Some(entry) => entry.2 = after,
            None => self.changed.push((key, place, after)),
        }
        self.places += usize::from(after != 0);
        self.places -= usize::from(before != 0);
    }

    /// The count of a place.
    pub fn get(&self, key: usize, place: usize) -> i64 {
        match self.changed.iter().find(|(k, p, _)| (*k, *p) == (key, place)) {
            Some(entry) => entry.2,
            None => self.base.get(key, place),
        }
    }

    /// The keys by which anything was counted.
    pub fn keys(&self) -> impl Iterator<Item = usize> {
        let changed = self.changed.iter().map(|(key, ..)| *key);
        let mut keys: Vec<usize> = self.base.keys.iter().map(|(key, _)| *key).chain(changed).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
    }

    /// Lets nodes pass in whose place of `key` there is something (`wanted`), or nothing. What is wanted is not found on nodes
    /// that lack the key.
    pub fn gate(&self, key: usize, places: usize, wanted: bool) -> Gate {
        let counts =
            self.base.keys.iter().find(|(have, _)| *have == key).map(|(_, counts)| counts.as_slice());
        let mut passes: Vec<bool> =
            counts.unwrap_or_default().iter().map(|count| (*count > 0) == wanted).collect();
        passes.resize(places, !wanted);
        for (_, place, count) in self.changed.iter().filter(|(changed, ..)| *changed == key) {
            passes[*place] = (*count > 0) == wanted;
        }
        Gate { key: Some(key), passes, elsewhere: !wanted }
    }

    /// Whether no place has a count other than 0.
    pub const fn is_empty(&self) -> bool {
        self.places == 0
    }

    /// Whether a place that a node is in has a positive count, by whichever key.
    pub fn any_positive(&self, topology: &Topology, node: NodeId) -> bool {
        if self.is_empty() {
            return false;
        }
        let positive =
            |key: usize| topology.places(key).of(node).is_some_and(|place| self.get(key, place) > 0);
        self.base.keys.iter().any(|(key, _)| positive(*key))
            || self.changed.iter().any(|(key, ..)| positive(*key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Lasting, Node};
    use crate::scheduler::framework::Snapshot;
    use crate::testkit::labels;

    #[test]
    fn a_trial_changes_alone_and_knows_when_nothing_is_left() {
        let mut snapshot = Snapshot::default();
        for (name, text) in [("a", "zone=a,host=1"), ("b", "zone=b")] {
            let meta = Lasting { labels: labels(text), ..Lasting::named("", name) }.into();
            snapshot.set_node(&Arc::new(Node { meta, ..Node::default() }));
        }
        let topology = snapshot.topology();
        let key = |name| topology.key(name).expect("a node has it");
        let id = |name| snapshot.get(name).expect("the node is there").id;
        let (zone, host, a, b) = (key("zone"), key("host"), id("a"), id("b"));
        let place = |key, node| topology.places(key).of(node).expect("the node has it");
        let mut sums = TopologySums::default();
        sums.add(topology, a, zone, 1);
        sums.add(topology, b, host, 1);
        let original = TrialCounts::new(sums);
        let mut copy = original.clone();
        assert!(copy.any_positive(topology, a) && !copy.any_positive(topology, b));
        copy.add(topology, a, zone, -1);
        assert!(copy.is_empty() && !copy.any_positive(topology, a));
        copy.add(topology, a, host, 1);
        assert!(copy.any_positive(topology, a) && !original.is_empty());
        copy.add(topology, a, host, -1);
        copy.add(topology, a, zone, 1);
        let counts = (copy.get(zone, place(zone, a)), copy.get(host, place(host, a)), copy.is_empty());
        assert_eq!(counts, (1, 0, false));
    }
}
