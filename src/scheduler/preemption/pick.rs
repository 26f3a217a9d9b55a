//! The pure parts of preemption: who is more important, whose budget breaks, which node is the cheapest.
//!
//! Upstream: `pkg/scheduler/framework/preemption/preemption.go` (`pickOneNodeForPreemption`),
//! `plugins/defaultpreemption/default_preemption.go` (`filterPodsWithPDBViolation`), `util/utils.go`, v1.34.

use std::cmp::Ordering;

use crate::api::Pod;
use crate::api::policy::PodDisruptionBudget;
use crate::base::{Arc, Str, Timestamp};

/// When a Pod started; one that has not counts as starting now, after all others.
fn start(pod: &Pod) -> Timestamp {
    pod.status.start_time.unwrap_or(Timestamp::new(i64::MAX))
}

/// The order of importance, highest first: by priority, then by age.
pub fn by_importance(a: &Pod, b: &Pod) -> Ordering {
    b.spec.priority.cmp(&a.spec.priority).then(start(a).cmp(&start(b)))
}

/// Splits Pods, given most important first, into those whose eviction breaks a budget and those whose does not,
/// keeping their order. Budgets are used up one Pod after the other.
///
/// A budget with an empty selector covers nothing here, nor does any cover a Pod without labels; a Pod that the
/// budget already counts as disrupted costs nothing.
pub fn split_by_budget<T>(
    pods: Vec<T>,
    pod_of: impl Fn(&T) -> &Pod,
    budgets: &[Arc<PodDisruptionBudget>],
) -> (Vec<T>, Vec<T>) {
    let mut allowed: Vec<i64> = budgets.iter().map(|b| i64::from(b.disruptions_allowed)).collect();
    pods.into_iter().partition(|entry| {
        let pod = pod_of(entry);
        let mut violates = false;
        for (budget, left) in budgets.iter().zip(&mut allowed) {
            if covers(budget, pod) {
                *left -= 1;
                violates |= *left < 0;
            }
        }
        violates
    })
}

fn covers(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    !pod.meta.labels.is_empty()
        && budget.meta.namespace == pod.meta.namespace
        && !budget.selector.is_everything()
        && budget.selector.matches(&pod.meta.labels)
        && !budget.disrupted_pods.iter().any(|(name, _)| *name == pod.meta.name)
}

/// A node on which evicting Pods makes room.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The node.
    pub node: Str,
    /// The Pods that have to go, most important first; never empty.
    pub victims: Vec<Arc<Pod>>,
    /// How many evictions break a budget.
    pub pdb_violations: usize,
}

impl Candidate {
    /// What it costs; the smallest is the best. In upstream's order of criteria: budgets broken, priority of the
    /// highest victim, sum of the priorities (made non-negative), number of victims, and the start of the oldest
    /// among the highest victims, the later the better.
    fn cost(&self) -> (usize, i32, i64, usize, std::cmp::Reverse<Timestamp>) {
        let highest = self.victims.first().map_or(i32::MIN, |v| v.spec.priority);
        let sum = self.victims.iter().map(|v| i64::from(v.spec.priority) + (1 << 31)).sum();
        // Victims are in order of importance, yet upstream looks at all of them, so this does too.
        let top = self.victims.iter().map(|v| v.spec.priority).max().unwrap_or(i32::MIN);
        let oldest = self.victims.iter().filter(|v| v.spec.priority == top).map(|v| start(v)).min();
        let oldest = oldest.unwrap_or(Timestamp::new(i64::MIN));
        (self.pdb_violations, highest, sum, self.victims.len(), std::cmp::Reverse(oldest))
    }
}

/// The places of the best candidates, which are equal in all criteria.
pub fn best(candidates: &[Candidate]) -> Vec<usize> {
    let costs: Vec<_> = candidates.iter().map(Candidate::cost).collect();
    let Some(least) = costs.iter().min() else { return Vec::new() };
    (0..costs.len()).filter(|i| costs[*i] == *least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{LabelSelector, Lasting, Meta, PodSpec, PodStatus};
    use crate::testkit;

    fn pod(name: &str, priority: i32, start: i64, labels: &str) -> Arc<Pod> {
        let spec = PodSpec { priority, ..testkit::pod_spec("i") };
        Arc::new(Pod {
            meta: Lasting { labels: testkit::labels(labels), ..Lasting::named("default", name) }.into(),
            spec: Arc::new(spec),
            node_name: Some("n".into()),
            status: PodStatus { start_time: Some(Timestamp::new(start)), ..PodStatus::default() },
        })
    }

    fn candidate(node: &str, pdb_violations: usize, victims: &[(i32, i64)]) -> Candidate {
        let victims = victims.iter().map(|(priority, start)| pod("v", *priority, *start, "")).collect();
        Candidate { node: node.into(), victims, pdb_violations }
    }

    /// Names of the best.
    fn check(candidates: &[Candidate], expected: &[&str]) {
        let found: Vec<&str> = best(candidates).into_iter().map(|i| candidates[i].node.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_cheapest_node_is_found_criterion_by_criterion() {
        check(&[candidate("a", 1, &[(0, 1)]), candidate("b", 0, &[(9, 1), (9, 1)])], &["b"]);
        check(&[candidate("a", 0, &[(5, 1)]), candidate("b", 0, &[(4, 1), (4, 1)])], &["b"]);
        check(&[candidate("a", 0, &[(5, 1), (1, 1)]), candidate("b", 0, &[(5, 1), (0, 1)])], &["b"]);
        check(&[candidate("a", 0, &[(-5, 1), (-5, 1)]), candidate("b", 0, &[(-5, 1)])], &["b"]);
        check(&[candidate("a", 0, &[(5, 10)]), candidate("b", 0, &[(5, 20)])], &["b"]);
        check(&[candidate("a", 0, &[(5, 10)]), candidate("b", 0, &[(5, 10)])], &["a", "b"]);
    }

    #[test]
    fn older_pods_of_the_same_priority_are_more_important() {
        let mut pods = [pod("young", 5, 20, ""), pod("low", 1, 1, ""), pod("old", 5, 10, "")];
        pods.sort_by(|a, b| by_importance(a, b));
        assert_eq!(pods.map(|p| p.meta.name.to_string()), ["old", "young", "low"]);
    }

    #[test]
    fn budgets_are_used_up_in_the_order_of_importance() {
        let budget = |selector: &str, allowed: i32, disrupted: &[&str]| {
            Arc::new(PodDisruptionBudget {
                meta: Meta::named("default", "b"),
                selector: LabelSelector::parse(selector).unwrap(),
                disruptions_allowed: allowed,
                disrupted_pods: disrupted.iter().map(|n| (Str::from(*n), Timestamp::new(0))).collect(),
                ..PodDisruptionBudget::default()
            })
        };
        let violating = |budgets: &[Arc<PodDisruptionBudget>]| {
            let pods = vec![pod("a", 0, 1, "app=x"), pod("b", 0, 2, "app=x"), pod("c", 0, 3, "")];
            let (violating, _) = split_by_budget(pods, |p| p, budgets);
            violating.iter().map(|p| p.meta.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(violating(&[budget("app=x", 1, &[])]), ["b"]);
        assert_eq!(violating(&[budget("app=x", 0, &[])]), ["a", "b"]);
        assert_eq!(violating(&[budget("app=x", 0, &["a"])]), ["b"]);
        assert!(violating(&[budget("", 0, &[])]).is_empty(), "an empty selector covers nothing");
        assert_eq!(violating(&[budget("app=x", 2, &[]), budget("app=x", 0, &[])]), ["a", "b"]);
    }
}
