//! What a set reports.
//!
//! Upstream: `pkg/controller/replicaset/replica_set_utils.go`, v1.34.

use crate::api::workload::{ReplicaSet, ReplicaSetStatus};
use crate::api::{Condition, ConditionStatus, Labels, Pod, condition};
use crate::base::{Arc, Str, Timestamp, text::lit};
use crate::store::Store;

/// The condition that says that Pods could not be created or deleted.
pub const REPLICA_FAILURE: &str = "ReplicaFailure";

/// Counts active Pods. Conditions are not looked at.
pub(super) fn count(set: &ReplicaSet, pods: &[Arc<Pod>], now: Timestamp) -> ReplicaSetStatus {
    let mut status = ReplicaSetStatus {
        replicas: i32::try_from(pods.len()).unwrap_or(i32::MAX),
        observed_generation: set.meta.generation,
        ..ReplicaSetStatus::default()
    };
    for pod in pods {
        status.fully_labeled_replicas += i32::from(has_all_labels(set, &pod.meta.labels));
        if pod.is_ready() {
            status.ready_replicas += 1;
            let available = pod.is_available(i64::from(set.min_ready_seconds), now);
            status.available_replicas += i32::from(available);
        }
    }
    status
}

/// The same from the numbers that the store keeps; none if they do not tell: there are Pods to be adopted or released, or how
/// long each has been ready counts.
pub(super) fn from_counts(set: &ReplicaSet, store: &Store) -> Option<ReplicaSetStatus> {
    let all = store.alike_pods_of(&set.meta.uid);
    let strays = all.iter().any(|alike| alike.active > 0 && !set.selector.matches(&alike.labels));
    let mut orphans = store.orphan_pods(&set.meta.namespace);
    if set.min_ready_seconds != 0
        || strays
        || orphans.any(|pod| pod.is_active() && set.selector.matches(&pod.meta.labels))
    {
        return None;
    }
    let mut status =
        ReplicaSetStatus { observed_generation: set.meta.generation, ..ReplicaSetStatus::default() };
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    for alike in all {
        status.replicas += number(alike.active);
        status.ready_replicas += number(alike.ready);
        if has_all_labels(set, &alike.labels) {
            status.fully_labeled_replicas += number(alike.active);
        }
    }
    status.available_replicas = status.ready_replicas;
    debug_assert_eq!(status, count_anew(set, store), "numbers of {}", set.meta.key());
    Some(status)
}

/// The same by looking at every Pod: for checking.
fn count_anew(set: &ReplicaSet, store: &Store) -> ReplicaSetStatus {
    let pods: Vec<Arc<Pod>> = store.pods_of(&set.meta.uid).filter(|pod| pod.is_active()).cloned().collect();
    count(set, &pods, store.timestamp())
}

/// Whether a Pod with these labels has all that the template gives.
fn has_all_labels(set: &ReplicaSet, labels: &Labels) -> bool {
    set.template.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Puts the failure of this sync into the conditions, or takes that of an earlier one away. `surplus` are Pods too
/// many (or, below zero, missing) at the start of the sync. A failure that is already there keeps its words.
pub(super) fn note_failure(
    conditions: &mut Vec<Condition>,
    failure: Option<Str>,
    surplus: i64,
    now: Timestamp,
) {
    let known = condition::find(conditions, REPLICA_FAILURE).is_some();
    match failure {
        Some(message) if !known => {
            let reason = match surplus {
                i64::MIN..0 => lit!("FailedCreate"),
                0 => Str::new(),
                1.. => lit!("FailedDelete"),
            };
            let status = ConditionStatus::True;
            conditions.push(Condition::new(lit!("ReplicaFailure"), status, reason, message, now));
        }
        Some(_) => {}
        None => {
            condition::remove(conditions, REPLICA_FAILURE);
        }
    }
}
