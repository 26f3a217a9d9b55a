//! Required terms, of the Pod to be placed and of those that are there.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/filtering.go`, v1.34.

use super::counts::{TopologySums, TrialCounts};
use super::term::{OwnTerm, all_match};
use crate::api::Labels;
use crate::base::{Arc, Str};
use crate::scheduler::framework::pod_info::{AffinityTerm, PodInfo, PodShape};
use crate::scheduler::framework::topology::Topology;
use crate::scheduler::framework::{Gate, NodeId, Snapshot};

/// Why a node does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// No Pod that the Pod wants to be near to is in the node's places.
    Affinity,
    /// A Pod that the Pod wants to keep away from is.
    AntiAffinity,
    /// A Pod that wants to keep away from this Pod is.
    ExistingAntiAffinity,
}

/// What the Pod requires, in its own terms.
#[derive(Debug)]
struct Wishes {
    affinity: Vec<OwnTerm>,
    anti_affinity: Vec<OwnTerm>,
    /// The Pod matches all its own affinity terms.
    likes_itself: bool,
    namespace: Str,
    labels: Labels,
    namespace_labels: Labels,
}

/// Which places have Pods that matter, as computed once for a Pod and changed in dry runs.
#[derive(Clone, Debug)]
pub struct Neighbours {
    wishes: Arc<Wishes>,
    /// Pods that keep away from this one.
    existing_anti_affinity: TrialCounts,
    /// Pods that match all affinity terms, counted under each term's key.
    affinity: TrialCounts,
    /// Pods that match an anti-affinity term.
    anti_affinity: TrialCounts,
}

impl Neighbours {
    /// Counts on all nodes.
    ///
    /// None if nobody requires anything, so that every node fits.
    pub fn count(info: &PodInfo, snapshot: &Snapshot) -> Option<Self> {
        let requires =
            !info.shape.required_affinity.is_empty() || !info.shape.required_anti_affinity.is_empty();
        if !requires && snapshot.kin().is_empty() {
            return None;
        }
        let own = |terms: &[_]| terms.iter().map(|t| OwnTerm::new(t, snapshot)).collect::<Vec<_>>();
        let (pod, shape, listers) = (&info.pod, &info.shape, &snapshot.listers);
        let affinity = own(&shape.required_affinity);
        let wishes = Wishes {
            likes_itself: all_match(&affinity, &pod.meta.namespace, &pod.meta.labels),
            affinity,
            anti_affinity: own(&shape.required_anti_affinity),
            namespace: pod.meta.namespace.clone(),
            labels: pod.meta.labels.clone(),
            namespace_labels: listers.namespace_labels(&pod.meta.namespace).clone(),
        };
        let existing = wishes.repelled(snapshot);
        if existing.is_empty() && wishes.affinity.is_empty() && wishes.anti_affinity.is_empty() {
            return None;
        }
        let (near, far) = (wishes.near(snapshot), wishes.far(snapshot));
        Some(Self {
            wishes: Arc::new(wishes),
            existing_anti_affinity: TrialCounts::new(existing),
            affinity: TrialCounts::new(near),
            anti_affinity: TrialCounts::new(far),
        })
    }

    /// Takes account of another Pod that is tried on a node (`delta` 1) or away from it (-1).
    pub fn update(&mut self, topology: &Topology, other: &PodInfo, node: NodeId, delta: i64) {
        let (wishes, meta) = (self.wishes.clone(), &other.pod.meta);
        for key in wishes.repelled_by(&other.shape, topology) {
            self.existing_anti_affinity.add(topology, node, key, delta);
        }
        if all_match(&wishes.affinity, &meta.namespace, &meta.labels) {
            for key in wishes.affinity.iter().filter_map(|term| term.key) {
                self.affinity.add(topology, node, key, delta);
            }
        }
        let meant = wishes.anti_affinity.iter().filter(|t| t.matches(&meta.namespace, &meta.labels));
        for key in meant.filter_map(|term| term.key) {
            self.anti_affinity.add(topology, node, key, delta);
        }
    }

    /// Whether the Pod fits on a node.
    ///
    /// # Errors
    /// Why it does not.
    pub fn fits(&self, topology: &Topology, node: NodeId) -> Result<(), Misfit> {
        if !self.affinity_fits(topology, node) {
            return Err(Misfit::Affinity);
        }
        let crowded = |term: &OwnTerm| {
            term.key.is_some_and(|key| {
                topology.places(key).of(node).is_some_and(|place| self.anti_affinity.get(key, place) > 0)
            })
        };
        if !self.anti_affinity.is_empty() && self.wishes.anti_affinity.iter().any(crowded) {
            return Err(Misfit::AntiAffinity);
        }
        if self.existing_anti_affinity.any_positive(topology, node) {
            return Err(Misfit::ExistingAntiAffinity);
        }
        Ok(())
    }

    /// Says by gates on which nodes the Pod fits.
    pub fn gates(&self, topology: &Topology, gates: &mut Vec<Gate>) {
        let places = |key: usize| topology.places(key).len();
        let anywhere = self.affinity.is_empty() && self.wishes.likes_itself;
        for term in &self.wishes.affinity {
            gates.push(match term.key {
                None => Gate::CLOSED,
                Some(key) if anywhere => {
                    Gate { key: Some(key), passes: vec![true; places(key)], elsewhere: false }
                }
                Some(key) => self.affinity.gate(key, places(key), true),
            });
        }
        if !self.anti_affinity.is_empty() {
            let keys = self.wishes.anti_affinity.iter().filter_map(|term| term.key);
            gates.extend(keys.map(|key| self.anti_affinity.gate(key, places(key), false)));
        }
        if !self.existing_anti_affinity.is_empty() {
            let keys = self.existing_anti_affinity.keys();
            gates.extend(keys.map(|key| self.existing_anti_affinity.gate(key, places(key), false)));
        }
    }

    fn affinity_fits(&self, topology: &Topology, node: NodeId) -> bool {
        let mut all_there = true;
        for term in &self.wishes.affinity {
            let Some(key) = term.key else { return false };
            let Some(place) = topology.places(key).of(node) else { return false };
            all_there &= self.affinity.get(key, place) > 0;
        }
        // The first of a series of Pods that like each other may go anywhere.
        all_there || (self.affinity.is_empty() && self.wishes.likes_itself)
    }
}

impl Wishes {
    /// Where Pods are that keep away from this one.
    fn repelled(&self, snapshot: &Snapshot) -> TopologySums {
        let (mut sums, topology) = (TopologySums::default(), snapshot.topology());
        for family in snapshot.kin().iter() {
            for key in self.repelled_by(&family.shape, topology) {
                sums.add_all(snapshot, &family.whereabouts, key, 1);
            }
        }
        sums
    }

    /// The topology keys of the anti-affinity terms that mean this Pod.
    fn repelled_by(&self, shape: &PodShape, topology: &Topology) -> Vec<usize> {
        let means = |t: &&AffinityTerm| t.matches(&self.namespace, &self.labels, &self.namespace_labels);
        let meant = shape.required_anti_affinity.iter().filter(means);
        meant.filter_map(|term| topology.key(&term.topology_key)).collect()
    }

    /// Where Pods are that match all affinity terms.
    fn near(&self, snapshot: &Snapshot) -> TopologySums {
        let mut sums = TopologySums::default();
        let Some(first) = self.affinity.first() else { return sums };
        let meant = first.looks(snapshot.looks());
        for look in meant.filter(|look| all_match(&self.affinity, &look.namespace, &look.labels)) {
            for key in self.affinity.iter().filter_map(|term| term.key) {
                sums.add_all(snapshot, &look.whereabouts, key, 1);
            }
        }
        sums
    }

    /// Where Pods are that match an anti-affinity term.
    fn far(&self, snapshot: &Snapshot) -> TopologySums {
        let mut sums = TopologySums::default();
        for term in &self.anti_affinity {
            let Some(key) = term.key else { continue };
            for look in term.looks(snapshot.looks()) {
                sums.add_all(snapshot, &look.whereabouts, key, 1);
            }
        }
        sums
    }
}
