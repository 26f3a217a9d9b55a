//! Required terms, of the Pod to be placed and of those that are there.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/filtering.go`, v1.34.

use std::sync::Arc;

use super::counts::{TopologySums, TrialCounts};
use super::term::{OwnTerm, all_match};
use crate::api::Labels;
use crate::base::{LookupMap, Str};
use crate::scheduler::framework::listers::Listers;
use crate::scheduler::framework::node_info::NodeInfo;
use crate::scheduler::framework::pod_info::{AffinityTerm, PodInfo, PodShape};

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
    /// Counts on `nodes`; those in `repelling` are the ones with Pods that have required anti-affinity.
    ///
    /// None if nobody requires anything, so that every node fits.
    pub fn count<'a>(
        info: &PodInfo,
        listers: &Listers,
        repelling: impl Iterator<Item = &'a NodeInfo>,
        nodes: impl Iterator<Item = &'a NodeInfo>,
    ) -> Option<Self> {
        let own = |terms: &[_]| terms.iter().map(|t| OwnTerm::new(t, listers)).collect::<Vec<_>>();
        let (pod, shape) = (&info.pod, &info.shape);
        let affinity = own(&shape.required_affinity);
        let wishes = Wishes {
            likes_itself: all_match(&affinity, &pod.meta.namespace, &pod.meta.labels),
            affinity,
            anti_affinity: own(&shape.required_anti_affinity),
            namespace: pod.meta.namespace.clone(),
            labels: pod.meta.labels.clone(),
            namespace_labels: listers.namespace_labels(&pod.meta.namespace).clone(),
        };
        let existing = wishes.repelled(repelling);
        if existing.is_empty() && wishes.affinity.is_empty() && wishes.anti_affinity.is_empty() {
            return None;
        }
        let (near, far) = wishes.found(nodes);
        Some(Self {
            wishes: Arc::new(wishes),
            existing_anti_affinity: TrialCounts::new(existing),
            affinity: TrialCounts::new(near),
            anti_affinity: TrialCounts::new(far),
        })
    }

    /// Takes account of another Pod that is tried on a node with these labels (`delta` 1) or away from it (-1).
    pub fn update(&mut self, other: &PodInfo, node: &Labels, delta: i64) {
        let (wishes, meta) = (&self.wishes, &other.pod.meta);
        for term in &other.shape.required_anti_affinity {
            if term.matches(&wishes.namespace, &wishes.labels, &wishes.namespace_labels) {
                self.existing_anti_affinity.add(node, &term.topology_key, delta);
            }
        }
        if all_match(&wishes.affinity, &meta.namespace, &meta.labels) {
            for term in &wishes.affinity {
                self.affinity.add(node, &term.topology_key, delta);
            }
        }
        for term in wishes.anti_affinity.iter().filter(|t| t.matches(&meta.namespace, &meta.labels)) {
            self.anti_affinity.add(node, &term.topology_key, delta);
        }
    }

    /// Whether the Pod fits on a node with these labels.
    ///
    /// # Errors
    /// Why it does not.
    pub fn fits(&self, node: &Labels) -> Result<(), Misfit> {
        if !self.affinity_fits(node) {
            return Err(Misfit::Affinity);
        }
        let crowded = |term: &OwnTerm| {
            node.get(&term.topology_key).is_some_and(|v| self.anti_affinity.get(&term.topology_key, v) > 0)
        };
        if !self.anti_affinity.is_empty() && self.wishes.anti_affinity.iter().any(crowded) {
            return Err(Misfit::AntiAffinity);
        }
        if self.existing_anti_affinity.any_positive(node) {
            return Err(Misfit::ExistingAntiAffinity);
        }
        Ok(())
    }

    fn affinity_fits(&self, node: &Labels) -> bool {
        let mut all_there = true;
        for term in &self.wishes.affinity {
            let Some(value) = node.get(&term.topology_key) else { return false };
            all_there &= self.affinity.get(&term.topology_key, value) > 0;
        }
        // The first of a series of Pods that like each other may go anywhere.
        all_there || (self.affinity.is_empty() && self.wishes.likes_itself)
    }
}

impl Wishes {
    fn repelled<'a>(&self, nodes: impl Iterator<Item = &'a NodeInfo>) -> TopologySums {
        let mut sums = TopologySums::default();
        // Replicas share their shape, so each shape is asked once.
        let mut known: LookupMap<*const PodShape, Vec<&Str>> = LookupMap::new();
        for node in nodes {
            for pod in node.pods_with_required_anti_affinity() {
                let keys = known.or_insert_with(Arc::as_ptr(&pod.shape), || self.repelled_by(&pod.shape));
                for key in keys {
                    sums.add(&node.node().meta.labels, key, 1);
                }
            }
        }
        sums
    }

    /// The topology keys of the anti-affinity terms that mean this Pod.
    fn repelled_by<'a>(&self, shape: &'a PodShape) -> Vec<&'a Str> {
        let means = |t: &&AffinityTerm| t.matches(&self.namespace, &self.labels, &self.namespace_labels);
        shape.required_anti_affinity.iter().filter(means).map(|t| &t.topology_key).collect()
    }

    fn found<'a>(&self, nodes: impl Iterator<Item = &'a NodeInfo>) -> (TopologySums, TopologySums) {
        let (mut near, mut far) = (TopologySums::default(), TopologySums::default());
        if self.affinity.is_empty() && self.anti_affinity.is_empty() {
            return (near, far);
        }
        for node in nodes {
            let labels = &node.node().meta.labels;
            for group in node.pod_groups() {
                let count = i64::from(group.count);
                if all_match(&self.affinity, &group.namespace, &group.labels) {
                    for term in &self.affinity {
                        near.add(labels, &term.topology_key, count);
                    }
                }
                for term in self.anti_affinity.iter().filter(|t| t.matches(&group.namespace, &group.labels)) {
                    far.add(labels, &term.topology_key, count);
                }
            }
        }
        (near, far)
    }
}
