//! Preferred terms, of the Pod to be placed and of those that are there.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/scoring.go`, v1.34.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use super::counts::TopologySums;
use super::term::OwnTerm;
use crate::api::Labels;
use crate::base::Str;
use crate::scheduler::framework::listers::Listers;
use crate::scheduler::framework::node_info::NodeInfo;
use crate::scheduler::framework::pod_info::{PodInfo, WeightedAffinityTerm};

/// The highest score of a node.
const MAX_NODE_SCORE: f64 = 100.0;

/// How much the Pod and those that are there attract each other, by place.
#[derive(Clone, Debug)]
pub struct Attraction {
    sums: TopologySums,
}

/// The Pod to be placed, as terms see it.
struct Incoming<'a> {
    namespace: &'a Str,
    labels: &'a Labels,
    namespace_labels: Labels,
    /// Preferred terms with their weights; those of anti-affinity are negative.
    terms: Vec<(i64, OwnTerm)>,
    hard_weight: i64,
}

impl Attraction {
    /// Sums up over the Pods on `nodes`; none if no term matches anything there. `hard_weight` is what a required
    /// affinity term of an existing Pod weighs.
    pub fn sum<'a>(
        info: &PodInfo,
        listers: &Listers,
        hard_weight: i64,
        nodes: impl Iterator<Item = &'a NodeInfo>,
    ) -> Option<Self> {
        let shape = &info.shape;
        let own = |sign: i64, terms: &[WeightedAffinityTerm]| {
            let one = |t: &WeightedAffinityTerm| (sign * i64::from(t.weight), OwnTerm::new(&t.term, listers));
            terms.iter().map(one).collect::<Vec<_>>()
        };
        let mut terms = own(1, &shape.preferred_affinity);
        terms.extend(own(-1, &shape.preferred_anti_affinity));
        let incoming = Incoming {
            namespace: &info.pod.meta.namespace,
            labels: &info.pod.meta.labels,
            namespace_labels: listers.namespace_labels(&info.pod.meta.namespace).clone(),
            terms,
            hard_weight,
        };
        let mut sums = TopologySums::default();
        for node in nodes {
            incoming.add_node(node, &mut sums);
        }
        (!sums.is_empty()).then_some(Self { sums })
    }

    /// What speaks for a node with these labels; may be negative.
    pub fn score(&self, node: &Labels) -> i64 {
        self.sums.total(node)
    }
}

impl Incoming<'_> {
    fn add_node(&self, node: &NodeInfo, sums: &mut TopologySums) {
        let labels = &node.node().meta.labels;
        if labels.is_empty() {
            return;
        }
        if !self.terms.is_empty() {
            for group in node.pod_groups() {
                for (weight, term) in &self.terms {
                    if term.matches(&group.namespace, &group.labels) {
                        sums.add(labels, &term.topology_key, weight * i64::from(group.count));
                    }
                }
            }
        }
        for existing in node.pods_with_affinity() {
            self.add_existing(existing, labels, sums);
        }
    }

    /// What an existing Pod thinks of the Pod to be placed.
    fn add_existing(&self, existing: &PodInfo, node: &Labels, sums: &mut TopologySums) {
        let shape = &existing.shape;
        if self.hard_weight > 0 {
            for term in &shape.required_affinity {
                if term.matches(self.namespace, self.labels, &self.namespace_labels) {
                    sums.add(node, &term.topology_key, self.hard_weight);
                }
            }
        }
        for (sign, terms) in [(1, &shape.preferred_affinity), (-1, &shape.preferred_anti_affinity)] {
            for t in terms {
                if t.term.matches(self.namespace, self.labels, &self.namespace_labels) {
                    sums.add(node, &t.term.topology_key, sign * i64::from(t.weight));
                }
            }
        }
    }
}

/// Stretches the scores so that the worst node gets 0 and the best 100; all get 0 if they are equal.
pub fn normalize(scores: &mut [i64]) {
    let (least, most) = (scores.iter().min().copied(), scores.iter().max().copied());
    let (Some(least), Some(most)) = (least, most) else { return };
    let span = most - least;
    for score in scores {
        // upstream: float64
        *score = if span > 0 { (MAX_NODE_SCORE * ((*score - least) as f64 / span as f64)) as i64 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_stretched_and_truncated() {
        for (mut scores, expected) in [
            ([1, 1, 1], [0, 0, 0]),
            ([-5, 0, 5], [0, 50, 100]),
            ([0, 1, 3], [0, 33, 100]),
            ([0, 2, 7], [0, 28, 100]),
        ] {
            normalize(&mut scores);
            assert_eq!(scores, expected);
        }
    }
}
