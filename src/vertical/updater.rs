//! Which Pods are resized, or evicted so that they come back with what is recommended.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/updater/{logic,priority,restriction,inplace}/`, 1.5.1.

use std::collections::BTreeMap;

use super::object::{EvictionRequirement, Mode, Vpa};
use crate::api::resources::CPU;
use crate::api::workload::{DaemonSet, ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{ConditionStatus, ObjectKey, Phase, Pod, condition};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::params::settings::VpaUpdater as Flags;
use crate::store::Store;
use crate::store::webhook::amounts::{Amounts, RESOURCES, Recommendation};
use crate::store::webhook::capping::{Capped, Held, held};
use crate::store::webhook::{OBSERVED, Resizer};

/// A resize that its node puts off for longer is given up.
const DEFERRED_TIMEOUT: SimDuration = SimDuration::from_mins(5);
/// A resize that is under way for longer is given up.
const IN_PROGRESS_TIMEOUT: SimDuration = SimDuration::from_mins(60);
/// Marks Pods that were resized in place.
const RESIZED: &str = "vpaInPlaceUpdated";

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

/// Compares what a Pod has with what it could be given.
pub fn priority(pod: &Pod, capped: &[Capped]) -> Priority {
    let mut found = Priority::default();
    let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for (held, wanted) in looked_at(pod, capped) {
        for resource in RESOURCES {
            let Some(recommended) = wanted.target.of(resource) else { continue };
            // Sums and comparisons are in thousandths.
            let scale = if resource == CPU { 1 } else { 1000 };
            let sum = sums.entry(resource).or_default();
            sum.1 += recommended * scale;
            let Some(request) = held.requests.of(resource) else {
                (found.grows, found.outside) = (true, true);
                continue;
            };
            sum.0 += request * scale;
            found.grows |= recommended > request;
            found.outside |= wanted.lower.of(resource).is_some_and(|lower| request < lower)
                || wanted.upper.of(resource).is_some_and(|upper| request > upper);
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

/// What containers have and could have, of those that the webhook has seen.
fn looked_at<'a>(pod: &'a Pod, capped: &'a [Capped]) -> impl Iterator<Item = (Held, &'a Recommendation)> {
    let all = held(pod).into_iter().filter(|held| is_observed(pod, &held.container));
    all.filter_map(|held| {
        let found = capped.iter().find(|c| c.recommendation.container == held.container)?;
        Some((held, &found.recommendation))
    })
}

/// Whether the webhook has seen a container; a Pod of which it says nothing is looked at whole.
fn is_observed(pod: &Pod, container: &str) -> bool {
    let list = pod.meta.annotations.get(OBSERVED);
    list.is_none_or(|list| list.split(',').any(|name| name.trim() == container))
}

/// Whether the direction of a change allows an eviction: for one container at least all that is required holds.
fn is_admitted(pod: &Pod, capped: &[Capped], requirements: &[EvictionRequirement]) -> bool {
    let fulfilled = |held: &Held, target: &Amounts, requirement: &EvictionRequirement| {
        requirement.resources.iter().any(|resource| {
            let (have, want) = (held.requests.of(resource).unwrap_or(0), target.of(resource).unwrap_or(0));
            if requirement.higher { want > have } else { want < have }
        })
    };
    requirements.is_empty()
        || held(pod).iter().any(|held| {
            let found = capped.iter().find(|c| c.recommendation.container == held.container);
            let says_all = RESOURCES.iter().all(|resource| held.requests.of(resource).is_some());
            found.is_some_and(|c| {
                !says_all || requirements.iter().all(|r| fulfilled(held, &c.recommendation.target, r))
            })
        })
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
        is_observed(pod, &status.name) && !off && to.since(from) < flags.evict_after_oom_threshold
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
    /// Evicted or resized in this turn.
    disrupted: i64,
}

impl Crew {
    /// Whether one more may be disrupted.
    const fn may_lose_one(&self) -> bool {
        self.running - self.disrupted > self.configured - self.tolerance
            || (self.configured == self.running && self.tolerance == 0 && self.disrupted == 0)
    }
}

/// What is to be done with a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Resize,
    Evict,
    Wait,
}

/// When Pods were first seen with a resize under way, by namespace and name.
///
/// Upstream never forgets that either: the next resize of a Pod of the same name is given up the sooner.
pub type Attempts = BTreeMap<ObjectKey, SimTime>;

/// One turn over the Pods of an autoscaler.
pub struct Turn<'a> {
    /// The flags.
    pub flags: &'a Flags,
    /// The autoscaler.
    pub vpa: &'a Vpa,
    /// What it has for its Pods.
    pub resizer: &'a Resizer,
    /// What is remembered of resizes.
    pub attempts: &'a mut Attempts,
}

impl Turn<'_> {
    /// Resizes Pods or evicts them, in the order of their need, as far as their controllers can spare them. `evict` says
    /// whether it was granted.
    pub fn update(
        &mut self,
        store: &mut Store,
        pods: &[Arc<Pod>],
        mut evict: impl FnMut(&mut Store, &Arc<Pod>) -> bool,
    ) {
        let live: Vec<&Arc<Pod>> = pods.iter().filter(|pod| !pod.meta.is_deleting()).collect();
        let mut crews = crews(store, self.flags, self.vpa, &live);
        let in_place = self.vpa.mode == Mode::InPlaceOrRecreate;
        let mut due: Vec<(Priority, &Arc<Pod>)> = Vec::new();
        for pod in live {
            let Some(crew) = crew_of(pod).and_then(|uid| crews.get(&uid)) else { continue };
            let may = match in_place {
                true => self.decide(store, pod, crew) != Decision::Wait,
                false => self.may_evict(store, pod, crew),
            };
            if may && let Some(priority) = self.need(store, pod) {
                due.push((priority, pod));
            }
        }
        due.sort_by(|(a, _), (b, _)| b.grows.cmp(&a.grows).then(b.difference.total_cmp(&a.difference)));
        let mut doomed: Vec<&Arc<Pod>> = Vec::new();
        for (_, pod) in due {
            let Some(crew) = crew_of(pod).and_then(|uid| crews.get_mut(&uid)) else { continue };
            match if in_place { self.decide(store, pod, crew) } else { Decision::Evict } {
                Decision::Wait => {}
                Decision::Resize if resize(store, self.resizer, pod) => crew.disrupted += 1,
                // What cannot be resized at all is evicted.
                Decision::Resize | Decision::Evict => doomed.push(pod),
            }
        }
        for pod in doomed {
            let Some(crew) = crew_of(pod).and_then(|uid| crews.get_mut(&uid)) else { continue };
            if self.may_evict(store, pod, crew) {
                // A Pod that does not run yet is no loss to its crew.
                let pending = pod.status.phase == Phase::Pending;
                crew.disrupted += i64::from(evict(store, pod) && !pending);
            }
        }
    }

    /// How much a Pod needs a change; none if it needs none.
    fn need(&self, store: &Store, pod: &Pod) -> Option<Priority> {
        let capped = self.resizer.capped(store, pod);
        let priority = priority(pod, &capped);
        let wanted = wants_update(store, self.flags, self.vpa, pod, &priority);
        (wanted && is_admitted(pod, &capped, &self.vpa.requirements)).then_some(priority)
    }

    /// Upstream: `CanInPlaceUpdate`.
    fn decide(&mut self, store: &Store, pod: &Pod, crew: &Crew) -> Decision {
        if pod.status.phase == Phase::Pending {
            Decision::Wait
        } else if is_resizing(pod) {
            if self.has_failed(store, pod, crew) { Decision::Evict } else { Decision::Wait }
        } else if crew.may_lose_one() {
            Decision::Resize
        } else {
            Decision::Wait
        }
    }

    /// Upstream: `CanEvict`.
    fn may_evict(&mut self, store: &Store, pod: &Pod, crew: &Crew) -> bool {
        if pod.status.phase == Phase::Pending {
            true
        } else if is_resizing(pod) {
            self.has_failed(store, pod, crew)
        } else {
            crew.may_lose_one()
        }
    }

    /// Whether a resize has failed or takes too long, and the Pod can be spared. Upstream: `CanEvictInPlacingPod`.
    fn has_failed(&mut self, store: &Store, pod: &Pod, crew: &Crew) -> bool {
        let now = store.now();
        let since = *self.attempts.entry(pod.meta.key()).or_insert(now);
        if !crew.may_lose_one() {
            return false;
        }
        let condition = |kind: &str| condition::find(&pod.status.conditions, kind);
        if let Some(pending) = condition(RESIZE_PENDING) {
            return pending.reason != "Deferred" || now.since(since) > DEFERRED_TIMEOUT;
        }
        condition(RESIZE_IN_PROGRESS).is_some_and(|under_way| {
            !(under_way.reason.is_empty() && under_way.message.is_empty())
                || now.since(since) > IN_PROGRESS_TIMEOUT
        })
    }
}

const RESIZE_PENDING: &str = "PodResizePending";
const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";

/// Whether the kubelet has a resize of the Pod before it.
fn is_resizing(pod: &Pod) -> bool {
    let concerns = |kind: &str| kind == RESIZE_PENDING || kind == RESIZE_IN_PROGRESS;
    let found = pod.status.conditions.iter().find(|c| concerns(&c.kind));
    found.is_some_and(|c| c.status == ConditionStatus::True)
}

/// Asks for other resources of a Pod and marks it. Whether that was accepted.
fn resize(store: &mut Store, resizer: &Resizer, pod: &Arc<Pod>) -> bool {
    let Some((spec, _)) = resizer.apply(store, pod) else { return false };
    let resized = store.resize_pod(Pod { spec: Arc::new(spec), ..Pod::clone(pod) });
    let mark = |pod: &mut Pod| pod.meta.annotations = pod.meta.annotations.with(RESIZED, "true");
    resized.is_ok() && store.update::<Pod>(&pod.meta.key(), mark).is_ok()
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
            disrupted: 0,
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
