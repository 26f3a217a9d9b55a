//! Which Pods are evicted so that they come back with what is recommended.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/updater/{logic,priority,restriction}/`, 1.5.1.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::{Amounts, Recommendation, Vpa};
use crate::api::workload::{DaemonSet, ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{Container, ObjectKey, Phase, Pod};
use crate::base::{SimDuration, SimTime, Str};
use crate::params::settings::VpaUpdater as Flags;
use crate::store::Store;

/// How much a Pod's requests are off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Priority {
    /// A request is outside of its bounds, or there is none.
    pub outside: bool,
    /// A container should get more.
    pub grows: bool,
    /// The shares by which the sums of requests differ from what is recommended, added up.
    pub difference: f64,
}

/// Compares a Pod with what is recommended for it.
pub fn priority(pod: &Pod, vpa: &Vpa, list: &[Recommendation]) -> Priority {
    let mut found = Priority::default();
    let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for container in &pod.spec.containers {
        let Some(wanted) = list.iter().find(|r| r.container == container.name) else { continue };
        let [lower, target, upper] = for_container(vpa, container, wanted);
        for resource in ["cpu", "memory"] {
            let Some(recommended) = target.of(resource) else { continue };
            // Sums and comparisons are in thousandths.
            let scale = if resource == "cpu" { 1 } else { 1000 };
            let sum = sums.entry(resource).or_default();
            sum.1 += recommended * scale;
            let Some(request) = amount(container, resource) else {
                (found.grows, found.outside) = (true, true);
                continue;
            };
            sum.0 += request * scale;
            found.grows |= recommended > request;
            found.outside |= lower.of(resource).is_some_and(|l| request < l)
                || upper.of(resource).is_some_and(|u| request > u);
        }
    }
    // upstream: float64
    found.difference = sums
        .values()
        .map(|(requested, recommended)| {
            let requested = (*requested as f64).max(1.0);
            (requested - *recommended as f64).abs() / requested
        })
        .sum();
    found
}

/// Lower bound, target and upper bound as a container may have them.
fn for_container(vpa: &Vpa, container: &Container, wanted: &Recommendation) -> [Amounts; 3] {
    let policy = vpa.policy(&container.name);
    [wanted.lower, wanted.target, wanted.upper].map(|amounts| {
        let Some(policy) = policy else { return amounts };
        let amounts = amounts.within(&policy.min, &policy.max);
        if !policy.requests_only {
            return amounts;
        }
        let limits = &container.limits;
        let most = Amounts {
            cpu: limits.get("cpu").map(|q| q.milli_value()),
            memory: limits.get("memory").map(|q| q.value()),
        };
        amounts.within(&Amounts::default(), &most)
    })
}

fn amount(container: &Container, resource: &str) -> Option<i64> {
    let quantity = container.requests.get(resource)?;
    Some(if resource == "cpu" { quantity.milli_value() } else { quantity.value() })
}

/// Whether a container was killed for its memory soon after it had started.
fn quick_oom(store: &Store, flags: &Flags, vpa: &Vpa, pod: &Pod) -> bool {
    let calendar = store.calendar();
    pod.status.containers.iter().any(|status| {
        let Some(end) = status.last_termination.as_ref().filter(|end| end.reason == "OOMKilled") else {
            return false;
        };
        let (from, to) = (calendar.instant(end.started_at), calendar.instant(end.finished_at));
        let off = vpa.policy(&status.name).is_some_and(|policy| policy.off);
        !off && to.since(from) < flags.evict_after_oom_threshold
    })
}

/// Whether a Pod is to be replaced.
fn wants_update(store: &Store, flags: &Flags, vpa: &Vpa, pod: &Pod, priority: &Priority) -> bool {
    let oom = quick_oom(store, flags, vpa, pod);
    if !priority.outside && !oom {
        let now = store.now();
        let young = pod.status.start_time.is_none_or(|start| {
            now < store.calendar().instant(start) + flags.in_recommendation_bounds_eviction_lifetime_threshold
        });
        if young || priority.difference < flags.pod_update_threshold {
            return false;
        }
    }
    !(oom && priority.difference == 0.0)
}

/// Pods of one controller.
#[derive(Clone, Debug, Default)]
struct Crew {
    configured: i64,
    tolerance: i64,
    running: i64,
    evicted: i64,
}

impl Crew {
    /// Whether one more may go.
    const fn may_lose_one(&self) -> bool {
        self.running - self.evicted > self.configured - self.tolerance
            || (self.configured == self.running && self.tolerance == 0 && self.evicted == 0)
    }
}

/// The Pods that are to be evicted now, in order, as far as controllers can spare them. `evict` says whether it was granted.
pub fn update(
    store: &mut Store,
    flags: &Flags,
    vpa: &Vpa,
    pods: &[Arc<Pod>],
    mut evict: impl FnMut(&mut Store, &Arc<Pod>) -> bool,
) {
    let Some(list) = &vpa.recommendation else { return };
    let live: Vec<&Arc<Pod>> = pods.iter().filter(|pod| !pod.meta.is_deleting()).collect();
    let mut crews = crews(store, flags, vpa, &live);
    let mut due: Vec<(Priority, &Arc<Pod>)> = live
        .into_iter()
        .filter(|pod| crew_of(pod).is_some_and(|uid| crews.contains_key(&uid)))
        .map(|pod| (priority(pod, vpa, list), pod))
        .filter(|(priority, pod)| wants_update(store, flags, vpa, pod, priority))
        .collect();
    due.sort_by(|(a, _), (b, _)| b.grows.cmp(&a.grows).then(b.difference.total_cmp(&a.difference)));
    for (_, pod) in due {
        let pending = pod.status.phase == Phase::Pending;
        let Some(crew) = crew_of(pod).and_then(|uid| crews.get_mut(&uid)) else { continue };
        if !pending && !crew.may_lose_one() {
            continue;
        }
        // A Pod that does not run yet is no loss to its crew.
        crew.evicted += i64::from(evict(store, pod) && !pending);
    }
}

fn crew_of(pod: &Pod) -> Option<Str> {
    pod.meta.controller().map(|owner| owner.uid.clone())
}

/// Controllers with enough Pods, by their identity.
fn crews(store: &Store, flags: &Flags, vpa: &Vpa, live: &[&Arc<Pod>]) -> BTreeMap<Str, Crew> {
    let mut members: BTreeMap<Str, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in live {
        if let Some(uid) = crew_of(pod) {
            members.entry(uid).or_default().push(*pod);
        }
    }
    let least = vpa.min_replicas.unwrap_or(flags.min_replicas);
    let mut crews = BTreeMap::new();
    for (uid, pods) in members {
        let count = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        let configured = configured(store, pods[0], count);
        let (true, Some(configured)) = (count >= least, configured) else { continue };
        let pending = pods.iter().filter(|pod| pod.status.phase == Phase::Pending).count();
        let crew = Crew {
            configured,
            // upstream: float64, rounded down
            tolerance: (configured as f64 * flags.eviction_tolerance) as i64,
            running: count - i64::try_from(pending).unwrap_or(0),
            evicted: 0,
        };
        crews.insert(uid, crew);
    }
    crews
}

/// How many Pods the controller of a Pod is to have.
fn configured(store: &Store, pod: &Pod, count: i64) -> Option<i64> {
    let owner = pod.meta.controller()?;
    let key = ObjectKey::new(pod.meta.namespace.clone(), owner.name.clone());
    let replicas = match owner.kind.as_str() {
        "ReplicaSet" => store.get::<ReplicaSet>(&key)?.replicas,
        "ReplicationController" => store.get::<ReplicationController>(&key)?.0.replicas,
        "StatefulSet" => store.get::<StatefulSet>(&key)?.replicas,
        "DaemonSet" => store.get::<DaemonSet>(&key)?.status.number_ready,
        "Job" => return Some(count),
        _ => 0,
    };
    (replicas > 0
        || !["ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet"]
            .contains(&owner.kind.as_str()))
    .then_some(replicas.into())
}

/// How old a Pod must be before it is replaced within its bounds.
pub fn becomes_old(store: &Store, flags: &Flags, pod: &Pod) -> Option<SimTime> {
    let start = pod.status.start_time?;
    let age: SimDuration = flags.in_recommendation_bounds_eviction_lifetime_threshold;
    Some(store.calendar().instant(start) + age)
}
