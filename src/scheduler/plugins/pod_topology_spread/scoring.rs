//! Soft constraints: how crowded the domains of a node are.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread/scoring.go`, v1.34.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use super::constraint::{Constraint, Keys, counts_nothing};
use super::counts::Domains;
use crate::api::Pod;
use crate::api::node::HOSTNAME_LABEL;
use crate::scheduler::framework::{NodeId, NodeInfo, Snapshot};

/// The highest score of a node.
const MAX_NODE_SCORE: i64 = 100;

/// How matching Pods are spread over the domains of the feasible nodes.
#[derive(Clone, Debug)]
pub struct Crowding {
    keys: Keys,
    /// By the node's place in the scheduler's tables: feasible nodes that lack a topology key and so get no score.
    /// Empty if there is none.
    ignored: Vec<bool>,
    /// By constraint.
    parts: Vec<Part>,
}

/// What one constraint adds to scores.
#[derive(Clone, Debug)]
enum Part {
    /// By domain.
    Domains(Vec<f64>),
    /// `kubernetes.io/hostname`, which is counted node by node.
    Nodes {
        /// Matching Pods by the node's place in the scheduler's tables; may be too short.
        counts: Vec<i64>,
        /// What one of them weighs.
        weight: f64,
        /// What is added beside.
        beside: f64,
    },
}

impl Crowding {
    /// Finds the domains of the feasible nodes and counts what runs on nodes, feasible or not. Without `require_all` nodes
    /// that lack a key are scored too.
    pub fn count(
        pod: &Pod,
        constraints: Vec<Constraint>,
        (snapshot, feasible): (&Snapshot, &[&NodeInfo]),
        require_all: bool,
    ) -> Self {
        let keys = Keys::of(&constraints, snapshot);
        let mut ignored = Vec::new();
        let mut scored = Vec::with_capacity(feasible.len());
        for node in feasible {
            if require_all && !keys.are_all_on(snapshot, node.id) {
                ignored.resize(snapshot.slots(), false);
                ignored[node.id.index()] = true;
            } else {
                scored.push(node.id);
            }
        }
        let counting = Counting { pod, snapshot, keys: &keys, scored: &scored, require_all };
        let parts = constraints.iter().enumerate().map(|(index, c)| counting.part(index, c)).collect();
        Self { keys, ignored, parts }
    }

    fn is_ignored(&self, node: NodeId) -> bool {
        self.ignored.get(node.index()).copied().unwrap_or(false)
    }

    /// How crowded it is around a node; 0 for nodes that get no score.
    pub fn score(&self, snapshot: &Snapshot, node: NodeId) -> i64 {
        if self.is_ignored(node) {
            return 0;
        }
        let mut score = 0f64;
        for (index, part) in self.parts.iter().enumerate() {
            // Nodes that lack the label are not scored by it.
            let Some(place) = self.keys.place(snapshot, index, node) else { continue };
            // upstream: float64
            score += match part {
                Part::Domains(crowded) => crowded[place],
                Part::Nodes { counts, weight, beside } => {
                    counts.get(node.index()).copied().unwrap_or(0) as f64 * weight + beside
                }
            };
        }
        score.round() as i64
    }

    /// Turns crowding into scores: the emptier, the higher. `node` tells whose score each is.
    pub fn normalize(&self, scores: &mut [i64], node: impl Fn(usize) -> NodeId) {
        let ignored = |index: usize| !self.ignored.is_empty() && self.is_ignored(node(index));
        let scored = || scores.iter().enumerate().filter(|(i, _)| !ignored(*i)).map(|(_, s)| *s);
        let (least, most) = (scored().min().unwrap_or(0), scored().max().unwrap_or(0).max(0));
        for (index, score) in scores.iter_mut().enumerate() {
            *score = if ignored(index) {
                0
            } else if most == 0 {
                MAX_NODE_SCORE
            } else {
                MAX_NODE_SCORE * (most + least - *score) / most
            };
        }
    }
}

/// What counting works with.
struct Counting<'a> {
    pod: &'a Pod,
    snapshot: &'a Snapshot,
    keys: &'a Keys,
    /// Feasible nodes that get scores.
    scored: &'a [NodeId],
    require_all: bool,
}

impl Counting<'_> {
    fn part(&self, index: usize, constraint: &Constraint) -> Part {
        let beside = (constraint.max_skew - 1) as f64;
        if constraint.topology_key == HOSTNAME_LABEL {
            let weight = weight(self.scored.len());
            return Part::Nodes { counts: self.of_nodes(constraint), weight, beside };
        }
        let domains = self.domains(index, constraint);
        let weight = weight(domains.len());
        let places = self.keys.places(self.snapshot, index).map_or(0, |places| places.len());
        let crowded = (0..places).map(|place| domains.get(place).unwrap_or(0) as f64 * weight + beside);
        Part::Domains(crowded.collect())
    }

    /// Matching Pods by node.
    fn of_nodes(&self, constraint: &Constraint) -> Vec<i64> {
        let mut counts = Vec::new();
        if counts_nothing(&constraint.selector) {
            return counts;
        }
        for look in self.snapshot.looks().alive(&self.pod.meta.namespace, &constraint.selector) {
            counts.resize(self.snapshot.slots(), 0);
            for (id, count) in &look.whereabouts.nodes {
                counts[id.index()] += i64::from(*count);
            }
        }
        counts
    }

    /// The domain of a node. Nodes without the label make one of their own, that of the empty value.
    fn domain(&self, index: usize, node: NodeId) -> usize {
        let place = self.keys.places(self.snapshot, index).and_then(|places| places.of(node));
        place.unwrap_or_else(|| self.elsewhere(index))
    }

    /// The domain of nodes without the label.
    fn elsewhere(&self, index: usize) -> usize {
        let places = self.keys.places(self.snapshot, index);
        places.map_or(0, |places| places.find("").unwrap_or(places.len()))
    }

    fn domains(&self, index: usize, constraint: &Constraint) -> Domains {
        let places = self.keys.places(self.snapshot, index).map_or(0, |places| places.len());
        let mut domains = Domains::of_places(places + 1);
        for node in self.scored {
            domains.open(self.domain(index, *node));
        }
        if counts_nothing(&constraint.selector) {
            return domains;
        }
        let all = constraint.includes_all(self.pod);
        for look in self.snapshot.looks().alive(&self.pod.meta.namespace, &constraint.selector) {
            // Only nodes that have every key count, or all do.
            let by_key = all && (!self.require_all || self.keys.count() == 1);
            let key = self.keys.number(index).filter(|_| by_key);
            if let Some(counts) = key.and_then(|key| self.snapshot.by_place(&look.whereabouts, key)) {
                counts.iter().for_each(|(place, count)| domains.add(place, count));
                if !self.require_all {
                    domains.add(self.elsewhere(index), i64::from(counts.elsewhere));
                }
                continue;
            }
            for (id, count) in &look.whereabouts.nodes {
                let info = self.snapshot.node(*id);
                let lacks = self.require_all && !self.keys.are_all_on(self.snapshot, *id);
                if info.is_present() && !lacks && (all || constraint.includes(self.pod, info.node())) {
                    domains.add(self.domain(index, *id), i64::from(*count));
                }
            }
        }
        domains
    }
}

fn weight(domains: usize) -> f64 {
    libm::log((domains + 2) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, constraint};
    use super::*;
    use crate::testkit;

    #[test]
    fn emptier_domains_score_higher_and_nodes_without_the_key_nothing() {
        let pod = testkit::pod("new", "app=web");
        let nodes = [("a", "z=a"), ("b", "z=b"), ("c", "z=c"), ("none", "")];
        let scores = |counts: [u32; 4], require_all| {
            let cluster = Cluster::new(&nodes, &counts);
            let feasible: Vec<&NodeInfo> = cluster.nodes().collect();
            let constraints = vec![constraint("z", "app=web", 1, 1)];
            let crowding = Crowding::count(&pod, constraints, (&cluster.snapshot, &feasible), require_all);
            let mut scores: Vec<i64> =
                feasible.iter().map(|n| crowding.score(&cluster.snapshot, n.id)).collect();
            crowding.normalize(&mut scores, |i| feasible[i].id);
            scores
        };
        assert_eq!(scores([0, 0, 0, 3], true), [100, 100, 100, 0]);
        assert_eq!(scores([4, 2, 1, 0], true), [33, 83, 100, 0], "raw 6, 3, 2");
        assert_eq!(scores([4, 0, 0, 0], false), [0, 100, 100, 100], "four domains with the empty one");
    }
}
