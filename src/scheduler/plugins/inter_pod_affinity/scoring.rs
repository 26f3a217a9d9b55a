//! Preferred terms, of the Pod to be placed and of those that are there.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/scoring.go`, v1.34.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::sync::Arc;

use super::counts::TopologySums;
use super::term::OwnTerm;
use crate::api::Labels;
use crate::base::{LookupMap, Str};
use crate::scheduler::framework::listers::Listers;
use crate::scheduler::framework::node_info::NodeInfo;
use crate::scheduler::framework::pod_info::{AffinityTerm, PodInfo, PodShape, WeightedAffinityTerm};

/// The highest score of a node.
const MAX_NODE_SCORE: f64 = 100.0;

/// How much the Pod and those that are there attract each other, by place.
#[derive(Clone, Debug)]
pub struct Attraction {
    sums: TopologySums,
}

/// What Pods of each shape think of the Pod to be placed.
type Likes<'a> = LookupMap<*const PodShape, Vec<(&'a Str, i64)>>;

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
        // Replicas share their shape, so each shape is asked once.
        let mut known = LookupMap::new();
        for node in nodes {
            incoming.add_node(node, &mut known, &mut sums);
        }
        (!sums.is_empty()).then_some(Self { sums })
    }

    /// What speaks for a node with these labels; may be negative.
    pub fn score(&self, node: &Labels) -> i64 {
        self.sums.total(node)
    }
}

impl Incoming<'_> {
    fn add_node<'a>(&self, node: &'a NodeInfo, known: &mut Likes<'a>, sums: &mut TopologySums) {
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
            let likes = known.or_insert_with(Arc::as_ptr(&existing.shape), || self.liked_by(&existing.shape));
            for (key, weight) in likes {
                sums.add(labels, key, *weight);
            }
        }
    }

    /// What a Pod of this shape thinks of the Pod to be placed: topology keys with weights.
    fn liked_by<'a>(&self, shape: &'a PodShape) -> Vec<(&'a Str, i64)> {
        let means = |t: &AffinityTerm| t.matches(self.namespace, self.labels, &self.namespace_labels);
        let hard = shape.required_affinity.iter().filter(|t| self.hard_weight > 0 && means(t));
        let mut likes: Vec<(&Str, i64)> = hard.map(|t| (&t.topology_key, self.hard_weight)).collect();
        for (sign, terms) in [(1, &shape.preferred_affinity), (-1, &shape.preferred_anti_affinity)] {
            let meant = terms.iter().filter(|t| means(&t.term));
            likes.extend(meant.map(|t| (&t.term.topology_key, sign * i64::from(t.weight))));
        }
        likes
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
