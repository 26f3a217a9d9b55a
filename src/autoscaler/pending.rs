//! Pods that wait for a node.
//!
//! Upstream: `cluster-autoscaler/core/static_autoscaler.go`, `core/podlistprocessor/{filter_out_schedulable,currently_drained_nodes}.go`,
//! `core/scaleup/equivalence/groups.go`, 1.34.

use super::drainability::{is_daemon, is_mirror};
use super::simulator::Simulator;
use crate::api::{Kind, Pod, condition};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::scheduler::framework::PodInfo;
use crate::store::Store;

/// At most so many groups of equivalent Pods per controller.
const GROUPS_PER_CONTROLLER: usize = 10;

/// Pods that the scheduler tried and placed nowhere; those of lower priority than `cutoff` do not count.
pub fn unschedulable(store: &Store, cutoff: i64) -> Vec<PodInfo> {
    store
        .unbound_pods()
        .filter(|pod| is_unschedulable(pod) && i64::from(pod.spec.priority) >= cutoff)
        .filter(|pod| pod.meta.controller().is_none_or(|owner| owner.kind != Kind::DaemonSet.name()))
        .map(|pod| PodInfo::new(pod.clone()))
        .collect()
}

/// Pods of a node that is being emptied, without those that go with it: they will need a place. Those that are on their way
/// already do not count.
///
/// Upstream: `core/podlistprocessor/currently_drained_nodes.go`.
pub fn of_drained_node(store: &Store, node: &str) -> Vec<PodInfo> {
    let pods = store.pods_on(node).filter(|pod| !pod.meta.is_deleting() && !pod.is_terminal());
    let unbound = |pod: &Arc<Pod>| PodInfo::new(Arc::new(Pod { node_name: None, ..Pod::clone(pod) }));
    pods.filter(|pod| !is_mirror(pod) && !is_daemon(pod)).map(unbound).collect()
}

/// Whether the scheduler says that a Pod fits nowhere.
pub fn is_unschedulable(pod: &Pod) -> bool {
    let waits = pod.node_name.is_none() && pod.is_active();
    waits
        && condition::find(&pod.status.conditions, "PodScheduled")
            .is_some_and(|c| !c.is_true() && c.reason == "Unschedulable")
}

/// Takes out the Pods that fit the cluster as it is or will be, the most important first, and puts them in.
pub fn filter_out_schedulable(simulator: &mut Simulator<'_>, mut pods: Vec<PodInfo>) -> Vec<PodInfo> {
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.priority()));
    let nodes = simulator.snapshot.order().to_vec();
    let mut next = 0;
    pods.retain(|pod| match simulator.find(pod, &nodes, next, |_| true) {
        Some(place) => {
            let name = simulator.snapshot.node(nodes[place]).name().clone();
            simulator.place(pod, &name);
            next = (place + 1) % nodes.len();
            false
        }
        None => true,
    });
    pods
}

/// Pods that are alike: the same controller, labels and spec.
#[derive(Clone, Debug)]
pub struct Group {
    /// The Pods, at least one.
    pub pods: Vec<PodInfo>,
}

impl Group {
    /// One that stands for all.
    pub fn sample(&self) -> &PodInfo {
        &self.pods[0]
    }
}

/// Puts Pods that are alike together.
pub fn groups(pods: &[PodInfo]) -> Vec<Group> {
    let mut groups: Vec<(Option<Str>, Group)> = Vec::new();
    for pod in pods {
        let controller = pod.pod.meta.controller().map(|owner| owner.uid.clone());
        let same = |group: &Group| {
            let other = &group.sample().pod;
            other.meta.labels == pod.pod.meta.labels && other.spec == pod.pod.spec
        };
        let of_controller = |c: &Option<Str>| c.is_some() && *c == controller;
        let found = groups.iter().position(|(c, group)| of_controller(c) && same(group));
        let many = groups.iter().filter(|(c, _)| of_controller(c)).count() >= GROUPS_PER_CONTROLLER;
        match found {
            Some(index) => groups[index].1.pods.push(pod.clone()),
            None => {
                let controller = if many { None } else { controller };
                groups.push((controller, Group { pods: vec![pod.clone()] }));
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Lengthens the time that a Pod must be old before it counts.
const SCALE_UP_DELAY: &str = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay";

/// When a Pod is old enough to count, by the flag or its own annotation, whichever is longer.
pub fn counts_from(store: &Store, delay: SimDuration, pod: &Pod) -> SimTime {
    let own = pod.meta.annotations.get(SCALE_UP_DELAY).and_then(|text| SimDuration::parse_go(text).ok());
    let created = pod.meta.created.map_or(SimTime::ZERO, |at| store.calendar().instant(at));
    created + own.map_or(delay, |own| own.max(delay))
}

/// When the oldest of these Pods was made.
pub fn oldest(store: &Store, pods: &[PodInfo]) -> SimTime {
    let created = |pod: &Arc<Pod>| pod.meta.created.map(|at| store.calendar().instant(at));
    pods.iter().filter_map(|pod| created(&pod.pod)).min().unwrap_or(SimTime::ZERO)
}
