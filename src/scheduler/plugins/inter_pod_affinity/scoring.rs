//! Preferred terms, of the Pod to be placed and of those that are there.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/scoring.go`, v1.34.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use super::counts::TopologySums;
use super::term::OwnTerm;
use crate::api::Labels;
use crate::base::Str;
use crate::scheduler::framework::pod_info::{AffinityTerm, PodInfo, PodShape, WeightedAffinityTerm};
use crate::scheduler::framework::topology::Topology;
use crate::scheduler::framework::{NodeId, Snapshot};

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
    namespace_labels: &'a Labels,
    /// Preferred terms with their weights; those of anti-affinity are negative.
    terms: Vec<(i64, OwnTerm)>,
    hard_weight: i64,
}

impl Attraction {
    /// Sums up over all Pods with a node; none if no term matches anything there. `hard_weight` is what a required
    /// affinity term of an existing Pod weighs.
    pub fn sum(info: &PodInfo, snapshot: &Snapshot, hard_weight: i64) -> Option<Self> {
        let (shape, meta) = (&info.shape, &info.pod.meta);
        let own = |sign: i64, terms: &[WeightedAffinityTerm]| {
            let one =
                |t: &WeightedAffinityTerm| (sign * i64::from(t.weight), OwnTerm::new(&t.term, snapshot));
            terms.iter().map(one).collect::<Vec<_>>()
        };
        let mut terms = own(1, &shape.preferred_affinity);
        terms.extend(own(-1, &shape.preferred_anti_affinity));
        let incoming = Incoming {
            namespace: &meta.namespace,
            labels: &meta.labels,
            namespace_labels: snapshot.listers.namespace_labels(&meta.namespace),
            terms,
            hard_weight,
        };
        let sums = incoming.sum(snapshot);
        (!sums.is_empty()).then_some(Self { sums })
    }

    /// What speaks for a node; may be negative.
    pub fn score(&self, topology: &Topology, node: NodeId) -> i64 {
        self.sums.total(topology, node)
    }
}

impl Incoming<'_> {
    fn sum(&self, snapshot: &Snapshot) -> TopologySums {
        let (mut sums, topology) = (TopologySums::default(), snapshot.topology());
        for (weight, term) in &self.terms {
            let Some(key) = term.key else { continue };
            for look in term.looks(snapshot.looks()) {
                sums.add_all(snapshot, &look.whereabouts, key, *weight);
            }
        }
        for family in snapshot.kin().iter() {
            for (key, weight) in self.liked_by(&family.shape) {
                let Some(key) = topology.key(key) else { continue };
                sums.add_all(snapshot, &family.whereabouts, key, weight);
            }
        }
        sums
    }

    /// What a Pod of this shape thinks of the Pod to be placed: topology keys with weights.
    fn liked_by<'s>(&self, shape: &'s PodShape) -> Vec<(&'s Str, i64)> {
        let means = |t: &AffinityTerm| t.matches(self.namespace, self.labels, self.namespace_labels);
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
