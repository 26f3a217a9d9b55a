//! Soft constraints: how crowded the domains of a node are.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread/scoring.go`, v1.34.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use super::constraint::{Constraint, count_matching, has_all_keys};
use super::counts::Domains;
use crate::api::node::HOSTNAME_LABEL;
use crate::api::{Node, Pod};
use crate::base::{LookupSet, Str};
use crate::scheduler::framework::node_info::PodGroup;

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
    /// By constraint: what one Pod weighs, so that few large domains are not drowned by many small ones.
    weights: Vec<f64>,
    require_all: bool,
}

impl Crowding {
    /// Finds the domains of the feasible nodes. Without `require_all` nodes that lack a key are scored too.
    pub fn new<'a>(
        constraints: Vec<Constraint>,
        feasible: impl Iterator<Item = &'a Node>,
        require_all: bool,
    ) -> Self {
        let mut ignored = LookupSet::new();
        let mut domains = vec![Domains::default(); constraints.len()];
        let mut nodes = 0usize;
        for node in feasible {
            if require_all && !has_all_keys(&node.meta.labels, &constraints) {
                ignored.insert(node.meta.name.clone());
                continue;
            }
            nodes += 1;
            for (constraint, domains) in constraints.iter().zip(&mut domains) {
                if constraint.topology_key != HOSTNAME_LABEL {
                    // A node without the label makes a domain of its own, under the empty value.
                    domains.add(&value_of(node, constraint), 0);
                }
            }
        }
        let size =
            |c: &Constraint, d: &Domains| if c.topology_key == HOSTNAME_LABEL { nodes } else { d.len() };
        let weights = constraints.iter().zip(&domains).map(|(c, d)| weight(size(c, d))).collect();
        Self { constraints, ignored, domains, weights, require_all }
    }

    /// Counts what runs on a node, feasible or not.
    pub fn count(&mut self, pod: &Pod, node: &Node, groups: &[PodGroup]) {
        if self.require_all && !has_all_keys(&node.meta.labels, &self.constraints) {
            return;
        }
        for (constraint, domains) in self.constraints.iter().zip(&mut self.domains) {
            if constraint.topology_key == HOSTNAME_LABEL || !constraint.includes(pod, node) {
                continue;
            }
            let value = value_of(node, constraint);
            if domains.get(&value).is_some() {
                domains.add(&value, count_matching(groups, &constraint.selector, &pod.meta.namespace));
            }
        }
    }

    /// Whether all of it is counted node by node, so that nodes need not be counted beforehand.
    pub fn is_by_node_only(&self) -> bool {
        self.constraints.iter().all(|c| c.topology_key == HOSTNAME_LABEL)
    }

    /// How crowded it is around a node; 0 for nodes that get no score.
    pub fn score(&self, pod: &Pod, node: &Node, groups: &[PodGroup]) -> i64 {
        if self.ignored.contains(&node.meta.name) {
            return 0;
        }
        let mut score = 0f64;
        for ((constraint, domains), weight) in self.constraints.iter().zip(&self.domains).zip(&self.weights) {
            let Some(value) = node.meta.labels.get(&constraint.topology_key) else { continue };
            let count = if constraint.topology_key == HOSTNAME_LABEL {
                count_matching(groups, &constraint.selector, &pod.meta.namespace)
            } else {
                domains.get(value).unwrap_or(0)
            };
            // upstream: float64
            score += count as f64 * weight + (constraint.max_skew - 1) as f64;
        }
        score.round() as i64
    }

    /// Turns crowding into scores: the emptier, the higher. `name` tells whose score each is.
    pub fn normalize<'a>(&self, scores: &mut [i64], name: impl Fn(usize) -> &'a str) {
        let ignored = |index: usize| self.ignored.contains(name(index));
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

fn value_of(node: &Node, constraint: &Constraint) -> Str {
    node.meta.labels.get(&constraint.topology_key).cloned().unwrap_or_default()
}

fn weight(domains: usize) -> f64 {
    libm::log((domains + 2) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{LabelSelector, Meta};
    use crate::testkit;

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
        let group = |count| {
            let labels = testkit::labels("app=web");
            [PodGroup { namespace: "default".into(), labels, deleting: false, count }]
        };
        let nodes = [node("a", "z=a"), node("b", "z=b"), node("c", "z=c"), node("none", "")];
        let scores = |counts: [u32; 4], require_all| {
            let mut crowding = Crowding::new(vec![zone.clone()], nodes.iter(), require_all);
            for (node, count) in nodes.iter().zip(counts) {
                crowding.count(&pod, node, &group(count));
            }
            let mut scores: Vec<i64> = nodes.iter().map(|n| crowding.score(&pod, n, &[])).collect();
            crowding.normalize(&mut scores, |i| nodes[i].meta.name.as_str());
            scores
        };
        assert_eq!(scores([0, 0, 0, 3], true), [100, 100, 100, 0]);
        assert_eq!(scores([4, 2, 1, 0], true), [33, 83, 100, 0], "raw 6, 3, 2");
        assert_eq!(scores([4, 0, 0, 0], false), [0, 100, 100, 100], "four domains with the empty one");
    }
}
