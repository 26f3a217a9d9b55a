//! Soft constraints: how crowded the domains of a node are.
//!
//! [`Crowding`] scores node by node. Where constraints name one key beside `kubernetes.io/hostname`, as a rule the zone, all
//! nodes of a place on which no matching Pod runs have the same score: [`Crowding::relief`] works out those of the places, and
//! of the nodes on which some do.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread/scoring.go`, v1.34.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use super::constraint::{Constraint, Keys, counts_nothing};
use super::counts::Domains;
use crate::api::Pod;
use crate::api::node::HOSTNAME_LABEL;
use crate::scheduler::framework::{MAX_NODE_SCORE, NodeId, NodeInfo, Passed, Relief, Snapshot};

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
        let counting = Counting { pod, snapshot, keys: &keys, scored: Scored::Nodes(&scored), require_all };
        let parts = constraints.iter().enumerate().map(|(index, c)| counting.part(index, c)).collect();
        Self { keys, ignored, parts }
    }

    /// What [`Self::score`] and [`Self::normalize`] would give the nodes that passed, for constraints that have a [`key`].
    pub fn relief(
        pod: &Pod,
        constraints: &[Constraint],
        (snapshot, passed): (&Snapshot, Passed<'_>),
        require_all: bool,
    ) -> Relief {
        let keys = Keys::of(constraints, snapshot);
        let is_host = |c: &Constraint| c.topology_key == HOSTNAME_LABEL;
        let key = constraints.iter().position(|c| !is_host(c));
        let place_of = |id| key.and_then(|index| keys.place(snapshot, index, id));
        // Nodes that lack the label get no score then.
        let ignored = require_all && key.is_some();
        let elsewhere = if ignored { 0 } else { passed.elsewhere };
        let scored = Scored::Places(passed.by_place, elsewhere);
        let counting = Counting { pod, snapshot, keys: &keys, scored, require_all };
        let parts: Vec<Part> =
            constraints.iter().enumerate().map(|(index, c)| counting.sparse(index, c)).collect();
        let mut named: BTreeMap<NodeId, i64> = BTreeMap::new();
        for constraint in constraints.iter().filter(|c| is_host(c)) {
            for (id, count) in counting.of_nodes(constraint).filter(|(id, _)| (passed.has)(*id)) {
                *named.entry(id).or_default() += count;
            }
        }
        named.retain(|id, _| !ignored || place_of(*id).is_some());
        // How many nodes are left of each place beside those that are named.
        let (mut left, mut left_elsewhere) = (passed.by_place.to_vec(), elsewhere);
        let crowded = named.into_iter().map(|(id, count)| {
            let place = place_of(id);
            *place.map_or(&mut left_elsewhere, |place| &mut left[place]) -= 1;
            (id, crowding(&parts, place, count))
        });
        let crowded: Vec<(NodeId, i64)> = crowded.collect();
        let by_place: Vec<i64> = (0..left.len()).map(|place| crowding(&parts, Some(place), 0)).collect();
        let of_elsewhere = crowding(&parts, None, 0);
        let places = by_place.iter().zip(&left).filter(|(_, left)| **left > 0).map(|(raw, _)| *raw);
        let beside = (left_elsewhere > 0).then_some(of_elsewhere);
        let range = Range::of(places.chain(beside).chain(crowded.iter().map(|(_, raw)| *raw)));
        let of_left = |raw: i64, left: u32| if left > 0 { range.normalized(raw) } else { 0 };
        Relief {
            by_place: by_place.into_iter().zip(left).map(|(raw, left)| of_left(raw, left)).collect(),
            elsewhere: of_left(of_elsewhere, left_elsewhere),
            named: crowded.into_iter().map(|(id, raw)| (id, range.normalized(raw))).collect(),
        }
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
                Part::Nodes { counts, .. } => part.of_count(counts.get(node.index()).copied().unwrap_or(0)),
            };
        }
        score.round() as i64
    }

    /// Turns crowding into scores: the emptier, the higher. `node` tells whose score each is.
    pub fn normalize(&self, scores: &mut [i64], node: impl Fn(usize) -> NodeId) {
        let ignored = |index: usize| !self.ignored.is_empty() && self.is_ignored(node(index));
        let scored = scores.iter().enumerate().filter(|(i, _)| !ignored(*i)).map(|(_, s)| *s);
        let range = Range::of(scored);
        for (index, score) in scores.iter_mut().enumerate() {
            *score = if ignored(index) { 0 } else { range.normalized(*score) };
        }
    }
}

/// Between which crowdings scores lie.
#[derive(Clone, Copy, Debug)]
struct Range {
    least: i64,
    most: i64,
}

impl Range {
    fn of(scores: impl Iterator<Item = i64>) -> Self {
        let ends = scores.fold(None, |ends: Option<(i64, i64)>, score| {
            Some(ends.map_or((score, score), |(least, most)| (least.min(score), most.max(score))))
        });
        let (least, most) = ends.unwrap_or((0, 0));
        Self { least, most: most.max(0) }
    }

    /// The emptier, the higher.
    const fn normalized(self, score: i64) -> i64 {
        if self.most == 0 {
            MAX_NODE_SCORE
        } else {
            MAX_NODE_SCORE * (self.most + self.least - score) / self.most
        }
    }
}

/// The key by whose places nodes get the same score, but for those with matching Pods: `Some(None)` if it is the node alone
/// that counts. None if there is no such key, so that nodes have to be scored one by one.
pub fn key(constraints: &[Constraint], snapshot: &Snapshot) -> Option<Option<usize>> {
    let (hosts, others): (Vec<&Constraint>, Vec<&Constraint>) =
        constraints.iter().partition(|c| c.topology_key == HOSTNAME_LABEL);
    // Each node has the label, as a rule.
    let topology = snapshot.topology();
    let labelled = hosts.is_empty()
        || topology.of(HOSTNAME_LABEL).is_some_and(|places| places.labelled() == snapshot.len());
    if hosts.len() > 1 || !labelled {
        return None;
    }
    let Some(first) = others.first() else { return Some(None) };
    let key = topology.key(&first.topology_key)?;
    others.iter().all(|c| c.topology_key == first.topology_key).then_some(Some(key))
}

impl Part {
    /// What so many matching Pods on the node itself add.
    fn of_count(&self, count: i64) -> f64 {
        match self {
            Self::Nodes { weight, beside, .. } => count as f64 * weight + beside,
            Self::Domains(_) => 0.0,
        }
    }
}

/// How crowded it is around a node in this place, none if it lacks the label, with so many matching Pods on itself.
fn crowding(parts: &[Part], place: Option<usize>, count: i64) -> i64 {
    let of_part = |part: &Part| match part {
        Part::Domains(crowded) => place.map_or(0.0, |place| crowded[place]),
        Part::Nodes { .. } => part.of_count(count),
    };
    // upstream: float64
    parts.iter().map(of_part).fold(0f64, |sum, part| sum + part).round() as i64
}

/// Feasible nodes that get scores.
#[derive(Clone, Copy, Debug)]
enum Scored<'a> {
    /// One by one.
    Nodes(&'a [NodeId]),
    /// How many there are in each place of the only key that is no hostname, and how many lack its label.
    Places(&'a [u32], u32),
}

impl Scored<'_> {
    fn len(self) -> usize {
        match self {
            Self::Nodes(nodes) => nodes.len(),
            Self::Places(by_place, elsewhere) => {
                by_place.iter().chain([&elsewhere]).map(|n| *n as usize).sum()
            }
        }
    }
}

/// What counting works with.
struct Counting<'a> {
    pod: &'a Pod,
    snapshot: &'a Snapshot,
    keys: &'a Keys,
    scored: Scored<'a>,
    require_all: bool,
}

impl Counting<'_> {
    fn part(&self, index: usize, constraint: &Constraint) -> Part {
        let mut part = self.sparse(index, constraint);
        if let Part::Nodes { counts, .. } = &mut part {
            for (id, count) in self.of_nodes(constraint) {
                counts.resize(self.snapshot.slots(), 0);
                counts[id.index()] += count;
            }
        }
        part
    }

    /// The same without the numbers of single nodes.
    fn sparse(&self, index: usize, constraint: &Constraint) -> Part {
        let beside = (constraint.max_skew - 1) as f64;
        if constraint.topology_key == HOSTNAME_LABEL {
            return Part::Nodes { counts: Vec::new(), weight: weight(self.scored.len()), beside };
        }
        let domains = self.domains(index, constraint);
        let weight = weight(domains.len());
        let places = self.keys.places(self.snapshot, index).map_or(0, |places| places.len());
        let crowded = (0..places).map(|place| domains.get(place).unwrap_or(0) as f64 * weight + beside);
        Part::Domains(crowded.collect())
    }

    /// Matching Pods by node; a node may come more than once.
    fn of_nodes<'s>(&'s self, constraint: &'s Constraint) -> impl Iterator<Item = (NodeId, i64)> + 's {
        let counts = !counts_nothing(&constraint.selector);
        let looks = counts
            .then(|| self.snapshot.looks().alive(&self.pod.meta.namespace, &constraint.selector))
            .into_iter()
            .flatten();
        looks.flat_map(|look| look.whereabouts.nodes.iter()).map(|(id, count)| (id, i64::from(count)))
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
        match self.scored {
            Scored::Nodes(nodes) => nodes.iter().for_each(|node| domains.open(self.domain(index, *node))),
            Scored::Places(by_place, elsewhere) => {
                let there = by_place.iter().enumerate().filter(|(_, nodes)| **nodes > 0);
                there.for_each(|(place, _)| domains.open(place));
                if elsewhere > 0 {
                    domains.open(self.elsewhere(index));
                }
            }
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
            for (id, count) in look.whereabouts.nodes.iter() {
                let info = self.snapshot.node(id);
                let lacks = self.require_all && !self.keys.are_all_on(self.snapshot, id);
                if info.is_present() && !lacks && (all || constraint.includes(self.pod, info.node())) {
                    domains.add(self.domain(index, id), i64::from(count));
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
    use proptest::prelude::*;

    use super::super::testing::{Cluster, constraint};
    use super::*;
    use crate::testkit;

    proptest! {
        /// Whatever the constraints, labels, Pods and the nodes that pass: by places comes out what comes out node by node.
        #[test]
        fn relief_is_what_scoring_node_by_node_gives(
            nodes in prop::collection::vec((0..4usize, 0..4u32, any::<bool>()), 1..20),
            asked in prop::sample::subsequence(vec![0, 1, 2, 3], 1..4),
            skew in 1..4i64,
            require_all in any::<bool>(),
        ) {
            let names: Vec<String> = (0..nodes.len()).map(|number| format!("n{number}")).collect();
            let labels: Vec<String> = nodes
                .iter()
                .zip(&names)
                .map(|((zone, ..), name)| {
                    let zone = ["", ",z=a", ",z=b", ",z=c"][*zone];
                    format!("kubernetes.io/hostname={name}{zone}")
                })
                .collect();
            let pairs: Vec<(&str, &str)> =
                names.iter().zip(&labels).map(|(name, labels)| (name.as_str(), labels.as_str())).collect();
            let counts: Vec<u32> = nodes.iter().map(|(_, count, _)| *count).collect();
            let cluster = Cluster::new(&pairs, &counts);
            let snapshot = &cluster.snapshot;
            let all = [
                constraint(HOSTNAME_LABEL, "app=web", skew, 1),
                constraint("z", "app=web", 1, 1),
                constraint("z", "app=api", skew, 1),
                constraint("z", "app in (web,api)", 2, 1),
            ];
            let constraints: Vec<Constraint> = asked.iter().map(|at| all[*at].clone()).collect();
            let Some(key) = key(&constraints, snapshot) else { return Ok(()) };
            let feasible: Vec<&NodeInfo> =
                cluster.nodes().zip(&nodes).filter(|(_, (.., passes))| *passes).map(|(n, _)| n).collect();
            let places = key.map(|key| snapshot.topology().places(key));
            let mut by_place = vec![0; places.map_or(0, |places| places.len())];
            let mut elsewhere = 0;
            for node in &feasible {
                match places.and_then(|places| places.of(node.id)) {
                    Some(place) => by_place[place] += 1,
                    None => elsewhere += 1,
                }
            }
            let has = |id| feasible.iter().any(|node| node.id == id);
            let pod = testkit::pod("new", "app=web");
            let passed = Passed { by_place: &by_place, elsewhere, has: &has };
            let relief = Crowding::relief(&pod, &constraints, (snapshot, passed), require_all);
            let crowding = Crowding::count(&pod, constraints, (snapshot, &feasible), require_all);
            let mut scores: Vec<i64> = feasible.iter().map(|n| crowding.score(snapshot, n.id)).collect();
            crowding.normalize(&mut scores, |i| feasible[i].id);
            for (node, score) in feasible.iter().zip(scores) {
                let named = relief.named.iter().find(|(id, _)| *id == node.id).map(|(_, score)| *score);
                let place = places.and_then(|places| places.of(node.id));
                let of_place = place.map_or(relief.elsewhere, |place| relief.by_place[place]);
                prop_assert_eq!(named.unwrap_or(of_place), score, "{} {:?}", node.name(), relief);
            }
            let named = relief.named.iter().map(|(_, score)| score);
            let mut given = relief.by_place.iter().chain([&relief.elsewhere]).chain(named);
            prop_assert!(given.all(|score| (0..=MAX_NODE_SCORE).contains(score)), "{relief:?}");
        }
    }

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
