//! Hard constraints: how Pods are spread now, and whether one more fits on a node.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread/filtering.go`, v1.34.

use super::constraint::{Constraint, Keys, counts_nothing};
use super::counts::{Domains, Trial};
use crate::api::Pod;
use crate::base::Arc;
use crate::scheduler::framework::{Gate, NodeId, NodeInfo, Snapshot};

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
    keys: Keys,
    /// By constraint: whether the Pod itself counts.
    counts_itself: Arc<[bool]>,
    /// By constraint.
    trials: Vec<Trial>,
}

impl Spread {
    /// Counts on all nodes.
    pub fn count(pod: &Pod, constraints: Vec<Constraint>, snapshot: &Snapshot) -> Self {
        let keys = Keys::of(&constraints, snapshot);
        let mut trials = Vec::with_capacity(constraints.len());
        for (index, constraint) in constraints.iter().enumerate() {
            let mut domains = domains(pod, constraint, &keys, index, snapshot);
            if !counts_nothing(&constraint.selector) {
                add_pods(pod, constraint, &keys, index, snapshot, &mut domains);
            }
            trials.push(Trial::new(domains));
        }
        Self {
            counts_itself: constraints.iter().map(|c| c.selector.matches(&pod.meta.labels)).collect(),
            constraints: constraints.into(),
            keys,
            trials,
        }
    }

    /// Takes account of another Pod that is tried on `node` (`delta` 1) or away from it (-1).
    pub fn update(&mut self, pod: &Pod, other: &Pod, (snapshot, node): (&Snapshot, &NodeInfo), delta: i64) {
        if other.meta.namespace != pod.meta.namespace || !self.keys.are_all_on(snapshot, node.id) {
            return;
        }
        for (index, (constraint, trial)) in self.constraints.iter().zip(&mut self.trials).enumerate() {
            let Some(place) = self.keys.place(snapshot, index, node.id) else { continue };
            if constraint.selector.matches(&other.meta.labels) && constraint.includes(pod, node.node()) {
                trial.add(place, delta);
            }
        }
    }

    /// Whether the Pod fits on a node.
    ///
    /// # Errors
    /// Why it does not, by the first constraint that fails.
    pub fn fits(&self, snapshot: &Snapshot, node: NodeId) -> Result<(), Misfit> {
        for index in 0..self.constraints.len() {
            let place = self.keys.place(snapshot, index, node).ok_or(Misfit::MissingLabel)?;
            if self.trials[index].get(place) > self.most(index) {
                return Err(Misfit::Skew);
            }
        }
        Ok(())
    }

    /// How many Pods a domain may have for one more to fit, by the constraint number `index`.
    fn most(&self, index: usize) -> i64 {
        let (constraint, trial) = (&self.constraints[index], &self.trials[index]);
        let too_few = trial.domains() < constraint.min_domains;
        // Upstream's least count of no domain is the largest int32.
        let least = if too_few { 0 } else { trial.least().unwrap_or(i64::from(i32::MAX)) };
        constraint.max_skew + least - i64::from(self.counts_itself[index])
    }

    /// Says by gates on which nodes the Pod fits.
    pub fn gates(&self, snapshot: &Snapshot, gates: &mut Vec<Gate>) {
        for (index, trial) in self.trials.iter().enumerate() {
            let Some(key) = self.keys.number(index) else {
                gates.push(Gate::CLOSED);
                continue;
            };
            let (most, places) = (self.most(index), snapshot.topology().places(key).len());
            let passes = (0..places).map(|place| trial.get(place) <= most).collect();
            gates.push(Gate { key: Some(key), passes, elsewhere: false });
        }
    }
}

/// The places of the nodes that count for a constraint.
fn domains(pod: &Pod, constraint: &Constraint, keys: &Keys, index: usize, snapshot: &Snapshot) -> Domains {
    let Some(places) = keys.places(snapshot, index) else { return Domains::default() };
    let mut domains = Domains::of_places(places.len());
    if keys.count() == 1 && constraint.includes_all(pod) {
        (0..places.len()).filter(|place| places.nodes_in(*place) > 0).for_each(|place| domains.open(place));
        return domains;
    }
    let all = constraint.includes_all(pod);
    for id in snapshot.order() {
        if keys.are_all_on(snapshot, *id)
            && let Some(place) = places.of(*id)
            && (all || constraint.includes(pod, snapshot.node(*id).node()))
        {
            domains.open(place);
        }
    }
    domains
}

/// Adds the Pods that match to the domains they are in.
fn add_pods(
    pod: &Pod,
    constraint: &Constraint,
    keys: &Keys,
    index: usize,
    snapshot: &Snapshot,
    domains: &mut Domains,
) {
    let all = constraint.includes_all(pod);
    for look in snapshot.looks().alive(&pod.meta.namespace, &constraint.selector) {
        if all
            && keys.count() == 1
            && let Some(counts) = keys.number(index).and_then(|key| snapshot.by_place(&look.whereabouts, key))
        {
            counts.iter().for_each(|(place, count)| domains.add(place, count));
            continue;
        }
        for (id, count) in look.whereabouts.nodes.iter() {
            if keys.are_all_on(snapshot, id)
                && let Some(place) = keys.place(snapshot, index, id)
                && (all || constraint.includes(pod, snapshot.node(id).node()))
            {
                domains.add(place, i64::from(count));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, constraint};
    use super::*;
    use crate::testkit;

    /// Three nodes in two zones, and one without a zone; `counts` matching Pods on each.
    fn verdicts(constraints: Vec<Constraint>, counts: [u32; 4]) -> String {
        let pod = testkit::pod("new", "app=web");
        let cluster = Cluster::new(&[("a1", "z=a"), ("a2", "z=a"), ("b1", "z=b"), ("none", "")], &counts);
        let spread = Spread::count(&pod, constraints, &cluster.snapshot);
        let letter = |node: &NodeInfo| match spread.fits(&cluster.snapshot, node.id) {
            Ok(()) => '+',
            Err(Misfit::Skew) => '-',
            Err(Misfit::MissingLabel) => '?',
        };
        cluster.nodes().map(letter).collect()
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
            (
                vec![constraint("z", "app=web", 1, 1), constraint("none", "app=web", 1, 1)],
                [3, 0, 0, 0],
                "????",
            ),
        ] {
            assert_eq!(verdicts(constraints, counts), expected, "{counts:?}");
        }
    }

    #[test]
    fn a_node_that_does_not_count_makes_no_domain() {
        let mut pod = testkit::pod("new", "app=web");
        Arc::make_mut(&mut pod.spec).node_selector = testkit::labels("disk=ssd");
        let nodes = [("a", "z=a,disk=ssd"), ("b", "z=b,disk=ssd"), ("c", "z=c,disk=hdd")];
        let cluster = Cluster::new(&nodes, &[1, 1, 0]);
        let fits = |honor_affinity| {
            let constraint = Constraint { honor_affinity, ..constraint("z", "app=web", 1, 1) };
            let spread = Spread::count(&pod, vec![constraint], &cluster.snapshot);
            cluster.nodes().map(|n| spread.fits(&cluster.snapshot, n.id).is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(fits(true), [true, true, true], "the least of a and b is 1");
        assert_eq!(fits(false), [false, false, true], "c counts, with 0");
    }

    #[test]
    fn a_pod_taken_away_makes_room() {
        let pod = testkit::pod("new", "app=web");
        let other = testkit::pod("old", "app=web");
        let cluster = Cluster::new(&[("a", "z=a"), ("b", "z=b")], &[1, 0]);
        let mut spread = Spread::count(&pod, vec![constraint("z", "app=web", 1, 1)], &cluster.snapshot);
        let node = cluster.snapshot.get("a").expect("the node is there");
        assert_eq!(spread.fits(&cluster.snapshot, node.id), Err(Misfit::Skew));
        spread.update(&pod, &other, (&cluster.snapshot, node), -1);
        assert_eq!(spread.fits(&cluster.snapshot, node.id), Ok(()));
        spread.update(&pod, &other, (&cluster.snapshot, node), 1);
        assert_eq!(spread.fits(&cluster.snapshot, node.id), Err(Misfit::Skew));
    }
}
