//! One sync of a set.
//!
//! Upstream: `syncReplicaSet`, `manageReplicas` in `pkg/controller/replicaset/replica_set.go`, v1.34.

use std::collections::BTreeMap;

use super::{PodSet, status};
use crate::api::workload::{ReplicaSet, ReplicaSetStatus};
use crate::api::{ObjectKey, Pod, Uid};
use crate::base::{Arc, LookupMap, SimDuration, Str};
use crate::controller::common::{
    Owner, Progress, SlowStart, claim_pods, colocated_ranks, create_pod, delete_pod, next_availability,
    pod_from_template, sort_for_deletion,
};
use crate::controller::{Action, Ctx};
use crate::store::ApiError;

/// Pods created or deleted by one sync at most (`BurstReplicas`).
const BURST_REPLICAS: i64 = 500;

/// The rest of a sync that was stopped by the client's rate limit.
#[derive(Clone, Debug)]
pub(super) struct Burst {
    calls: SlowStart,
    /// Pods to be deleted; none if Pods are to be created.
    doomed: Option<Vec<ObjectKey>>,
    /// Pods too many at the start of the sync; below zero: missing.
    surplus: i64,
    /// What was seen at the start of the sync, to be reported at its end.
    seen: ReplicaSetStatus,
}

/// Works on a set: goes on with a burst, or counts, creates and deletes anew.
pub(super) fn sync<T: PodSet>(
    bursts: &mut LookupMap<Uid, Burst>,
    key: &ObjectKey,
    ctx: &mut Ctx<'_>,
) -> Action {
    let Some(object) = ctx.store().get::<T>(key).cloned() else { return Action::Done };
    let (set, owner) = (object.set(), Owner::of(&*object));
    let burst = bursts.remove(&set.meta.uid);
    let mut burst = match burst {
        Some(burst) => burst,
        None => {
            let surplus = |seen: &ReplicaSetStatus| i64::from(seen.replicas) - i64::from(set.replicas.max(0));
            // Which of the Pods go must be known; that some are missing is seen from their numbers.
            let counted = status::from_counts(set, ctx.store()).filter(|seen| surplus(seen) <= 0);
            let (seen, pods) = counted.map(|seen| (seen, Vec::new())).unwrap_or_else(|| {
                let pods = claim_pods(ctx, &owner, &set.selector, Pod::is_active);
                (status::count(set, &pods, ctx.timestamp()), pods)
            });
            let surplus = surplus(&seen);
            if set.meta.is_deleting() || surplus == 0 {
                return report::<T>(ctx, key, seen, None, surplus);
            }
            start::<T>(ctx, set, pods, surplus, seen)
        }
    };
    match advance(&mut burst, ctx, set, &owner) {
        Progress::Wait(wait) => {
            bursts.insert(set.meta.uid.clone(), burst);
            Action::After(wait)
        }
        Progress::Done => report::<T>(ctx, key, burst.seen, None, burst.surplus),
        Progress::Failed(error) => {
            let message: Str = match &burst.doomed {
                None => error.to_string().into(),
                Some(_) => format!("unable to delete pods: {error}").into(),
            };
            report::<T>(ctx, key, burst.seen, Some(message), burst.surplus)
        }
    }
}

/// Decides what is to be done about missing Pods or Pods too many.
fn start<T: PodSet>(
    ctx: &Ctx<'_>,
    set: &ReplicaSet,
    pods: Vec<Arc<Pod>>,
    surplus: i64,
    seen: ReplicaSetStatus,
) -> Burst {
    let count = usize::try_from(surplus.abs().min(BURST_REPLICAS)).unwrap_or(0);
    if surplus < 0 {
        return Burst { calls: SlowStart::new(count), doomed: None, surplus, seen };
    }
    let doomed = pods_to_delete::<T>(ctx, set, pods, count);
    Burst { calls: SlowStart::at_once(doomed.len()), doomed: Some(doomed), surplus, seen }
}

fn pods_to_delete<T: PodSet>(
    ctx: &Ctx<'_>,
    set: &ReplicaSet,
    mut pods: Vec<Arc<Pod>>,
    count: usize,
) -> Vec<ObjectKey> {
    if count < pods.len() {
        let related = related_pods::<T>(ctx, set);
        let ranks = colocated_ranks(&pods, &related);
        sort_for_deletion(&mut pods, &ranks, ctx.now(), ctx.store().calendar());
    }
    pods.iter().take(count).map(|pod| pod.meta.key()).collect()
}

/// Pods of all sets that have the same manager as this one.
fn related_pods<T: PodSet>(ctx: &Ctx<'_>, set: &ReplicaSet) -> Vec<Arc<Pod>> {
    let Some(manager) = set.meta.controller() else { return Vec::new() };
    let store = ctx.store();
    let mut related = BTreeMap::new();
    for object in store.dependents(&manager.uid) {
        let Some(other) = T::unwrap(&object).map(|o| o.set()) else { continue };
        if other.meta.is_controlled_by(&manager.uid) {
            for pod in store.select_pods(&other.meta.namespace, &other.selector) {
                related.insert(pod.meta.uid.clone(), pod.clone());
            }
        }
    }
    related.into_values().collect()
}

fn advance(burst: &mut Burst, ctx: &mut Ctx<'_>, set: &ReplicaSet, owner: &Owner) -> Progress {
    match &burst.doomed {
        None => {
            let pod = pod_from_template(&set.template, owner);
            burst.calls.run(ctx, |ctx, _| match create_pod(ctx, pod.clone(), owner) {
                // Whatever is created in a namespace that is being deleted will fail.
                Err(error) if !error.is_namespace_terminating() => Err(error),
                Ok(_) | Err(_) => Ok(()),
            })
        }
        Some(doomed) => burst.calls.run(ctx, |ctx, number| match doomed.get(number) {
            Some(pod) => ignore_not_found(delete_pod(ctx, pod, owner)),
            None => Ok(()),
        }),
    }
}

fn ignore_not_found(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// Writes what was seen at the start of the sync and says when to look again.
fn report<T: PodSet>(
    ctx: &mut Ctx<'_>,
    key: &ObjectKey,
    seen: ReplicaSetStatus,
    failure: Option<Str>,
    surplus: i64,
) -> Action {
    let now = ctx.timestamp();
    let written = ctx.update::<T>(key, |object| {
        let status = &mut object.set_mut().status;
        let mut conditions = std::mem::take(&mut status.conditions);
        status::note_failure(&mut conditions, failure.clone(), surplus, now);
        *status = ReplicaSetStatus { conditions, ..seen };
    });
    match (written, failure) {
        (_, Some(message)) => Action::Retry(message),
        (Err(_), None) => Action::Done,
        (Ok(object), None) => next_check(ctx, object.set()),
    }
}

/// Some ready Pods are not available yet: look again when the next of them is.
fn next_check(ctx: &Ctx<'_>, set: &ReplicaSet) -> Action {
    if set.min_ready_seconds <= 0 || set.status.ready_replicas == set.status.available_replicas {
        return Action::Done;
    }
    let store = ctx.store();
    let active = store.pods_of(&set.meta.uid).filter(|pod| pod.is_active());
    let next = next_availability(active, set.min_ready_seconds, ctx.now(), store.calendar());
    Action::After(next.unwrap_or(SimDuration::from_api_secs(i64::from(set.min_ready_seconds))))
}
