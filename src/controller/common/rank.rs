//! Which Pods are deleted first when there are too many.
//!
//! Upstream: `ActivePodsWithRanks` in `pkg/controller/controller_utils.go`, v1.34.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::api::{ContainerStatus, Phase, Pod};
use crate::base::{Arc, SimTime, Str, Timestamp, time::Calendar};

/// The annotation that makes deleting a Pod dearer.
pub const POD_DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Sorts Pods so that those to be deleted first come first. `ranks` are numbers of related Pods on the same node, one
/// for each Pod (see [`colocated_ranks`]); Pods of a higher rank go first.
///
/// # Fidelity
/// Upstream's sort is unstable and its order not transitive where ready times lie close together; ours inserts Pods
/// one by one in the order given.
pub fn sort_for_deletion(pods: &mut Vec<Arc<Pod>>, ranks: &[usize], now: SimTime, calendar: Calendar) {
    let wall = i128::from(calendar.start.secs()) * 1_000_000_000 + i128::from(now.as_nanos());
    let mut sorted: Vec<(Key, Arc<Pod>)> = Vec::with_capacity(pods.len());
    for (index, pod) in pods.drain(..).enumerate() {
        let key = Key::new(&pod, ranks.get(index).copied().unwrap_or(0));
        // The order is not transitive, which sorts of the library may refuse.
        let place = sorted.partition_point(|(other, _)| !key.goes_before(other, wall));
        sorted.insert(place, (key, pod));
    }
    pods.extend(sorted.into_iter().map(|(_, pod)| pod));
}

/// For each of `pods` the number of active Pods among `related` on the same node.
pub fn colocated_ranks<'a>(pods: &[Arc<Pod>], related: impl IntoIterator<Item = &'a Arc<Pod>>) -> Vec<usize> {
    let mut on_node: BTreeMap<Option<Str>, usize> = BTreeMap::new();
    for pod in related {
        if pod.is_active() {
            *on_node.entry(pod.node_name.clone()).or_default() += 1;
        }
    }
    pods.iter().map(|pod| on_node.get(&pod.node_name).copied().unwrap_or(0)).collect()
}

/// What the order looks at.
struct Key {
    assigned: bool,
    phase: u8,
    ready: bool,
    cost: i32,
    rank: usize,
    ready_since: Option<Timestamp>,
    restarts: u32,
    sidecar_restarts: u32,
    created: Option<Timestamp>,
    uid: Str,
}

impl Key {
    fn new(pod: &Pod, rank: usize) -> Self {
        let ready = pod.ready_condition().filter(|c| c.is_true());
        let restarts = |statuses: &[ContainerStatus], counts: &dyn Fn(&Str) -> bool| {
            statuses.iter().filter(|s| counts(&s.name)).map(|s| s.restart_count).max().unwrap_or(0)
        };
        let sidecar = |name: &Str| pod.spec.init_containers.iter().any(|c| c.sidecar && c.name == *name);
        Self {
            assigned: pod.node_name.is_some(),
            phase: match pod.status.phase {
                Phase::Unknown => 1,
                Phase::Running => 2,
                Phase::Pending | Phase::Succeeded | Phase::Failed => 0,
            },
            ready: ready.is_some(),
            cost: pod.meta.annotations.get(POD_DELETION_COST).map_or(0, |text| deletion_cost(text)),
            rank,
            ready_since: ready.and_then(|c| c.transition),
            restarts: restarts(&pod.status.containers, &|_| true),
            sidecar_restarts: restarts(&pod.status.init_containers, &sidecar),
            created: pod.meta.created,
            uid: pod.meta.uid.clone(),
        }
    }

    /// Whether it goes before `other`; neither may.
    fn goes_before(&self, other: &Self, now: i128) -> bool {
        let by_state = (self.assigned, self.phase, self.ready, self.cost, std::cmp::Reverse(self.rank))
            .cmp(&(other.assigned, other.phase, other.ready, other.cost, std::cmp::Reverse(other.rank)));
        by_state
            .then_with(|| match self.ready && self.ready_since != other.ready_since {
                true => self.by_age(self.ready_since, other, other.ready_since, now),
                false => Ordering::Equal,
            })
            .then_with(|| {
                (other.restarts, other.sidecar_restarts).cmp(&(self.restarts, self.sidecar_restarts))
            })
            .then_with(|| match self.created == other.created {
                true => Ordering::Equal,
                false => self.by_age(self.created, other, other.created, now),
            })
            .is_lt()
    }

    /// Younger first, where ages differ by a power of two; else by identity. Without a time comes first.
    fn by_age(
        &self,
        at: Option<Timestamp>,
        other: &Self,
        other_at: Option<Timestamp>,
        now: i128,
    ) -> Ordering {
        match (at, other_at) {
            (Some(a), Some(b)) => {
                log_age(a, now).cmp(&log_age(b, now)).then_with(|| self.uid.cmp(&other.uid))
            }
            (None, _) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
        }
    }
}

/// The age in nanoseconds as a power of two, rounded down; -1 for none. Upstream takes the logarithm as float64,
/// which differs within a millionth of a second of a power of two only.
fn log_age(at: Timestamp, now: i128) -> i64 {
    let age = now - i128::from(at.secs()) * 1_000_000_000;
    u128::try_from(age).ok().and_then(u128::checked_ilog2).map_or(-1, i64::from)
}

/// Upstream: `GetDeletionCostFromPodAnnotations`: no plus sign, no leading zero; what cannot be read is 0.
fn deletion_cost(text: &str) -> i32 {
    let first_ok = text == "0" || text.starts_with('-') || text.starts_with(|c| ('1'..='9').contains(&c));
    if first_ok { text.parse().unwrap_or(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Condition, ConditionStatus};
    use crate::testkit;

    const NOW: SimTime = SimTime::from_secs(10_000);

    fn pod(uid: &str, change: impl FnOnce(&mut Pod)) -> Arc<Pod> {
        let mut pod = testkit::pod(uid, "app=web");
        pod.meta.uid = uid.into();
        pod.meta.created = Some(at(0));
        pod.node_name = Some("n1".into());
        pod.status.phase = Phase::Running;
        ready_since(&mut pod, 100);
        change(&mut pod);
        Arc::new(pod)
    }

    fn at(second: i64) -> Timestamp {
        testkit::calendar().start.plus_secs(second)
    }

    fn ready_since(pod: &mut Pod, second: i64) {
        pod.status.conditions = vec![Condition::new("Ready", ConditionStatus::True, "", "", at(second))];
    }

    /// The order of the Pods' identities, whichever way they come.
    fn order(pods: &[Arc<Pod>], ranks: &[usize]) -> Vec<String> {
        let sorted = |mut pods: Vec<Arc<Pod>>, ranks: Vec<usize>| {
            sort_for_deletion(&mut pods, &ranks, NOW, testkit::calendar());
            pods.iter().map(|p| p.meta.uid.to_string()).collect::<Vec<_>>()
        };
        let forward = sorted(pods.to_vec(), ranks.to_vec());
        let backward = sorted(pods.iter().rev().cloned().collect(), ranks.iter().rev().copied().collect());
        assert_eq!(forward, backward);
        forward
    }

    /// Facts §2.3, criteria 1 to 5; §13.18.
    #[test]
    fn state_decides_before_cost_and_cost_before_crowds() {
        let cost = |pod: &mut Pod, text: &str| {
            pod.meta.annotations = [(POD_DELETION_COST, text)].into_iter().collect();
        };
        let pods = [
            pod("a-crowded", |_| {}),
            pod("b-alone", |_| {}),
            pod("c-cheap", |p| cost(p, "-5")),
            pod("d-dear", |p| cost(p, "7")),
            pod("e-not-ready", |p| p.status.conditions.clear()),
            pod("f-pending", |p| p.status.phase = Phase::Pending),
            pod("g-unassigned", |p| p.node_name = None),
            pod("h-unknown", |p| p.status.phase = Phase::Unknown),
        ];
        assert_eq!(
            order(&pods, &[2, 1, 9, 9, 9, 0, 0, 0]),
            [
                "g-unassigned",
                "f-pending",
                "h-unknown",
                "e-not-ready",
                "c-cheap",
                "a-crowded",
                "b-alone",
                "d-dear"
            ]
        );
    }

    #[test]
    fn ages_count_in_powers_of_two_and_then_identity() {
        // 9900 s, 9800 s and 9000 s ago lie within one power of two; 100 s ago does not.
        let pods = [
            pod("c", |p| ready_since(p, 100)),
            pod("b", |p| ready_since(p, 200)),
            pod("a", |p| ready_since(p, 1000)),
            pod("z", |p| ready_since(p, 9900)),
        ];
        assert_eq!(order(&pods, &[0; 4]), ["z", "a", "b", "c"]);
    }

    /// Facts §2.3, criteria 7 and 8.
    #[test]
    fn restarts_count_where_ready_times_are_equal() {
        let restarts = |pod: &mut Pod, count| {
            pod.status.containers = vec![testkit::container_status("main", count)];
        };
        let pods = [
            pod("a", |p| p.meta.created = Some(at(9990))),
            pod("b", |p| restarts(p, 2)),
            pod("c", |p| restarts(p, 5)),
        ];
        assert_eq!(order(&pods, &[0; 3]), ["c", "b", "a"]);
        let pods = [pod("a", |_| {}), pod("b", |p| p.meta.created = Some(at(9990)))];
        assert_eq!(order(&pods, &[0; 2]), ["b", "a"], "the younger goes first");
    }

    /// Facts §2.3, criterion 5: siblings of other ReplicaSets count, too.
    #[test]
    fn related_active_pods_on_the_node_are_counted() {
        let pods = [pod("a", |_| {}), pod("b", |p| p.node_name = Some("n2".into()))];
        let related = [
            pod("x", |_| {}),
            pod("y", |p| p.status.phase = Phase::Failed),
            pods[0].clone(),
            pods[1].clone(),
        ];
        assert_eq!(colocated_ranks(&pods, &related), [2, 1]);
    }

    /// Facts §2.3, criterion 4.
    #[test]
    fn costs_are_read_strictly() {
        for (text, cost) in
            [("5", 5), ("-5", -5), ("0", 0), ("+5", 0), ("05", 0), ("-05", -5), ("", 0), ("9999999999", 0)]
        {
            assert_eq!(deletion_cost(text), cost, "{text}");
        }
    }
}
