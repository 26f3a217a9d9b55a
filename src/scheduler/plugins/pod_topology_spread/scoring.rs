//! Soft constraints: how crowded the domains of a node are.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread/scoring.go`, v1.34.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use super::constraint::{Constraint, counts_nothing, has_all_keys};
use super::counts::Domains;
use crate::api::Pod;
use crate::api::node::HOSTNAME_LABEL;
use crate::base::text::lit;
use crate::base::{LookupSet, Str};
use crate::scheduler::framework::{NodeId, NodeInfo, Snapshot};

/// The highest score of a node.
const MAX_NODE_SCORE: i64 = 100;

/// How matching Pods are spread over the domains of the feasible nodes.
#[derive(Clone, Debug)]
pub struct Crowding {
    constraints: Vec<Constraint>,
    /// Feasible nodes that lack a topology key and so get no score.
    ignored: LookupSet<Str>,
    /// By constraint; empty for `kubernetes.io/hostname`, which is counted node by node.
    domains: Vec<Domains>,
    /// By constraint and the node's place: which domain the node is in; none if it lacks the label or is ignored.
    places: Vec<Vec<Option<usize>>>,
    /// By constraint, for `kubernetes.io/hostname` only: matching Pods by the node's place.
    of_nodes: Vec<Vec<i64>>,
    /// By constraint: what one Pod weighs, so that few large domains are not drowned by many small ones.
    weights: Vec<f64>,
    require_all: bool,
}

impl Crowding {
    /// Finds the domains of the feasible nodes. Without `require_all` nodes that lack a key are scored too.
    pub fn new(constraints: Vec<Constraint>, feasible: &[&NodeInfo], require_all: bool) -> Self {
        let slots = feasible.iter().map(|node| node.id.index() + 1).max().unwrap_or(0);
        let mut ignored = LookupSet::new();
        let mut domains = vec![Domains::default(); constraints.len()];
        let mut places = vec![vec![None; slots]; constraints.len()];
        let mut nodes = 0usize;
        for info in feasible {
            if require_all && !has_all_keys(&info.node().meta.labels, &constraints) {
                ignored.insert(info.name().clone());
                continue;
            }
            nodes += 1;
            for (index, constraint) in constraints.iter().enumerate() {
                let value = info.topology(&constraint.topology_key);
                let place = &mut places[index][info.id.index()];
                if constraint.topology_key == HOSTNAME_LABEL {
                    *place = value.map(|_| 0);
                    continue;
                }
                // A node without the label makes a domain of its own, under the empty value.
                let domain = domains[index].place(value.unwrap_or(&NO_VALUE));
                *place = value.map(|_| domain);
            }
        }
        let size =
            |c: &Constraint, d: &Domains| if c.topology_key == HOSTNAME_LABEL { nodes } else { d.len() };
        let weights = constraints.iter().zip(&domains).map(|(c, d)| weight(size(c, d))).collect();
        let of_nodes = vec![Vec::new(); constraints.len()];
        Self { constraints, ignored, domains, places, of_nodes, weights, require_all }
    }

    /// Counts what runs on nodes, feasible or not.
    pub fn count(&mut self, pod: &Pod, snapshot: &Snapshot) {
        let (namespace, no_value) = (&pod.meta.namespace, NO_VALUE);
        for (index, constraint) in self.constraints.iter().enumerate() {
            if counts_nothing(&constraint.selector) {
                continue;
            }
            let by_node = constraint.topology_key == HOSTNAME_LABEL;
            for look in snapshot.looks().alive(namespace, &constraint.selector) {
                for (id, count) in &look.nodes {
                    let info = snapshot.node(*id);
                    let node = info.node();
                    if by_node {
                        let of_nodes = &mut self.of_nodes[index];
                        if of_nodes.len() <= id.index() {
                            of_nodes.resize(snapshot.slots(), 0);
                        }
                        of_nodes[id.index()] += i64::from(*count);
                        continue;
                    }
                    let lacks = self.require_all && !has_all_keys(&node.meta.labels, &self.constraints);
                    if !info.is_present() || lacks || !constraint.includes(pod, node) {
                        continue;
                    }
                    let value = info.topology(&constraint.topology_key).unwrap_or(&no_value);
                    if self.domains[index].get(value).is_some() {
                        self.domains[index].add(value, i64::from(*count));
                    }
                }
            }
        }
    }

    /// How crowded it is around a node; 0 for nodes that get no score.
    pub fn score(&self, node: NodeId) -> i64 {
        let mut score = 0f64;
        for (index, (constraint, weight)) in self.constraints.iter().zip(&self.weights).enumerate() {
            // Nodes that lack the label, and ignored ones, have no place.
            let Some(place) = self.places[index].get(node.index()).copied().flatten() else { continue };
            let count = if constraint.topology_key == HOSTNAME_LABEL {
                self.of_nodes[index].get(node.index()).copied().unwrap_or(0)
            } else {
                self.domains[index].at(place)
            };
            // upstream: float64
            score += count as f64 * weight + (constraint.max_skew - 1) as f64;
        }
        score.round() as i64
    }

    /// Turns crowding into scores: the emptier, the higher. `name` tells whose score each is.
    pub fn normalize<'a>(&self, scores: &mut [i64], name: impl Fn(usize) -> &'a str) {
        let ignored = |index: usize| !self.ignored.is_empty() && self.ignored.contains(name(index));
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

/// The domain of nodes without the label.
const NO_VALUE: Str = lit!("");

fn weight(domains: usize) -> f64 {
    libm::log((domains + 2) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{LabelSelector, Meta, Node};
    use crate::scheduler::framework::PodInfo;
    use crate::testkit;
    use std::sync::Arc;

    fn node(name: &str, text: &str) -> Node {
        Node { meta: Meta { labels: testkit::labels(text), ..Meta::named("", name) }, ..Node::default() }
    }

    #[test]
    fn emptier_domains_score_higher_and_nodes_without_the_key_nothing() {
        let zone = Constraint {
            max_skew: 1,
            topology_key: "z".into(),
            selector: LabelSelector::parse("app=web").unwrap(),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        };
        let pod = testkit::pod("new", "app=web");
        let nodes = [node("a", "z=a"), node("b", "z=b"), node("c", "z=c"), node("none", "")];
        let scores = |counts: [u32; 4], require_all| {
            let mut snapshot = Snapshot::default();
            for (node, count) in nodes.iter().zip(counts) {
                snapshot.set_node(&Arc::new(node.clone()));
                for number in 0..count {
                    let mut pod = testkit::pod(&format!("{}-{number}", node.meta.name), "app=web");
                    pod.meta.uid = pod.meta.name.clone();
                    snapshot.add_pod(&node.meta.name, Arc::new(PodInfo::new(Arc::new(pod))));
                }
            }
            let feasible: Vec<&NodeInfo> = nodes.iter().filter_map(|n| snapshot.get(&n.meta.name)).collect();
            let mut crowding = Crowding::new(vec![zone.clone()], &feasible, require_all);
            crowding.count(&pod, &snapshot);
            let mut scores: Vec<i64> = feasible.iter().map(|n| crowding.score(n.id)).collect();
            crowding.normalize(&mut scores, |i| nodes[i].meta.name.as_str());
            scores
        };
        assert_eq!(scores([0, 0, 0, 3], true), [100, 100, 100, 0]);
        assert_eq!(scores([4, 2, 1, 0], true), [33, 83, 100, 0], "raw 6, 3, 2");
        assert_eq!(scores([4, 0, 0, 0], false), [0, 100, 100, 100], "four domains with the empty one");
    }
}
