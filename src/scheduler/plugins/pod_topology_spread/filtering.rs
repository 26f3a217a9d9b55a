//! Hard constraints: how Pods are spread now, and whether one more fits on a node.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread/filtering.go`, v1.34.

use std::sync::Arc;

use super::constraint::{Constraint, count_matching, has_all_keys};
use super::counts::{Domains, Trial};
use crate::api::{Labels, Node, Pod};
use crate::scheduler::framework::node_info::PodGroup;

/// Why a node does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It lacks a topology key.
    MissingLabel,
    /// One more Pod there would exceed a skew.
    Skew,
}

/// How matching Pods are spread, as computed once for a Pod and changed in dry runs.
#[derive(Clone, Debug)]
pub struct Spread {
    constraints: Arc<[Constraint]>,
    /// By constraint: whether the Pod itself counts.
    counts_itself: Arc<[bool]>,
    /// By constraint.
    trials: Vec<Trial>,
}

impl Spread {
    /// Counts on all nodes; `nodes` gives each with its Pods.
    pub fn count<'a>(
        pod: &Pod,
        constraints: Vec<Constraint>,
        nodes: impl Iterator<Item = (&'a Node, &'a [PodGroup])>,
    ) -> Self {
        let mut domains = vec![Domains::default(); constraints.len()];
        for (node, groups) in nodes {
            if !has_all_keys(&node.meta.labels, &constraints) {
                continue;
            }
            for (constraint, domains) in constraints.iter().zip(&mut domains) {
                let Some(value) = node.meta.labels.get(&constraint.topology_key) else { continue };
                if constraint.includes(pod, node) {
                    domains.add(value, count_matching(groups, &constraint.selector, &pod.meta.namespace));
                }
            }
        }
        Self {
            counts_itself: constraints.iter().map(|c| c.selector.matches(&pod.meta.labels)).collect(),
            constraints: constraints.into(),
            trials: domains.into_iter().map(Trial::new).collect(),
        }
    }

    /// Takes account of another Pod that is tried on `node` (`delta` 1) or away from it (-1).
    pub fn update(&mut self, pod: &Pod, other: &Pod, node: &Node, delta: i64) {
        if other.meta.namespace != pod.meta.namespace || !has_all_keys(&node.meta.labels, &self.constraints) {
            return;
        }
        for (constraint, trial) in self.constraints.iter().zip(&mut self.trials) {
            let Some(value) = node.meta.labels.get(&constraint.topology_key) else { continue };
            if constraint.selector.matches(&other.meta.labels) && constraint.includes(pod, node) {
                trial.add(value, delta);
            }
        }
    }

    /// Whether the Pod fits on a node with these labels.
    ///
    /// # Errors
    /// Why it does not, by the first constraint that fails.
    pub fn fits(&self, labels: &Labels) -> Result<(), Misfit> {
        for ((constraint, trial), itself) in
            self.constraints.iter().zip(&self.trials).zip(self.counts_itself.iter())
        {
            let value = labels.get(&constraint.topology_key).ok_or(Misfit::MissingLabel)?;
            let too_few = trial.domains() < constraint.min_domains;
            // Upstream's least count of no domain is the largest int32.
            let least = if too_few { 0 } else { trial.least().unwrap_or(i64::from(i32::MAX)) };
            if trial.get(value) + i64::from(*itself) - least > constraint.max_skew {
                return Err(Misfit::Skew);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{LabelSelector, Meta};
    use crate::testkit;

    fn node(name: &str, text: &str) -> Node {
        Node { meta: Meta { labels: testkit::labels(text), ..Meta::named("", name) }, ..Node::default() }
    }

    fn group(count: u32) -> PodGroup {
        let labels = testkit::labels("app=web");
        PodGroup { namespace: "default".into(), labels, deleting: false, count }
    }

    fn constraint(key: &str, selector: &str, max_skew: i64, min_domains: usize) -> Constraint {
        Constraint {
            max_skew,
            topology_key: key.into(),
            selector: LabelSelector::parse(selector).unwrap(),
            min_domains,
            honor_affinity: true,
            honor_taints: false,
        }
    }

    /// Three nodes in two zones, and one without a zone; `counts` matching Pods on each.
    fn verdicts(constraints: Vec<Constraint>, counts: [u32; 4]) -> String {
        let pod = testkit::pod("new", "app=web");
        let nodes = [node("a1", "z=a"), node("a2", "z=a"), node("b1", "z=b"), node("none", "")];
        let groups = counts.map(|count| [group(count)]);
        let with_pods = nodes.iter().zip(groups.iter().map(<[_; 1]>::as_slice));
        let spread = Spread::count(&pod, constraints, with_pods);
        let letter = |labels: &Labels| match spread.fits(labels) {
            Ok(()) => '+',
            Err(Misfit::Skew) => '-',
            Err(Misfit::MissingLabel) => '?',
        };
        nodes.iter().map(|n| letter(&n.meta.labels)).collect()
    }

    #[test]
    fn skew_is_counted_by_domain() {
        let zone = |selector, skew, min| vec![constraint("z", selector, skew, min)];
        for (constraints, counts, expected) in [
            (zone("app=web", 1, 1), [0, 0, 0, 0], "+++?"),
            (zone("app=web", 1, 1), [1, 0, 0, 0], "--+?"),
            (zone("app=web", 1, 1), [1, 1, 1, 5], "--+?"),
            (zone("app=web", 2, 1), [1, 1, 1, 0], "+++?"),
            (zone("app=web", 1, 3), [1, 0, 1, 0], "---?"),
            (zone("app=web", 1, 3), [0, 0, 1, 0], "++-?"),
            (zone("app=other", 1, 1), [5, 0, 0, 0], "+++?"),
            (zone("", 1, 1), [5, 0, 0, 0], "+++?"),
            (vec![constraint("none", "app=web", 1, 1)], [0, 0, 0, 0], "????"),
        ] {
            assert_eq!(verdicts(constraints, counts), expected, "{counts:?}");
        }
    }

    #[test]
    fn a_pod_taken_away_makes_room() {
        let pod = testkit::pod("new", "app=web");
        let other = testkit::pod("old", "app=web");
        let nodes = [node("a", "z=a"), node("b", "z=b")];
        let one = [group(1)];
        let each = nodes.iter().zip([&one[..], &[]]);
        let mut spread = Spread::count(&pod, vec![constraint("z", "app=web", 1, 1)], each);
        assert_eq!(spread.fits(&nodes[0].meta.labels), Err(Misfit::Skew));
        spread.update(&pod, &other, &nodes[0], -1);
        assert_eq!(spread.fits(&nodes[0].meta.labels), Ok(()));
        spread.update(&pod, &other, &nodes[0], 1);
        assert_eq!(spread.fits(&nodes[0].meta.labels), Err(Misfit::Skew));
    }
}
