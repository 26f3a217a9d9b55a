//! The status of a StatefulSet.
//!
//! Upstream: `computeReplicaStatus`, `completeRollingUpdate`, `inconsistentStatus` in
//! `pkg/controller/statefulset`, v1.34.

use super::identity::revision_of;
use crate::api::workload::{StatefulSet, StatefulSetStatus};
use crate::api::{Phase, Pod};
use crate::base::{Arc, Str, Timestamp};

/// Numbers of Pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub replicas: i32,
    pub ready: i32,
    pub available: i32,
    pub current: i32,
    pub updated: i32,
}

impl Counts {
    /// Counts Pods that exist.
    pub(super) fn of<'a>(
        pods: impl Iterator<Item = &'a Arc<Pod>>,
        set: &StatefulSet,
        now: Timestamp,
        current: &str,
        update: &str,
    ) -> Self {
        let mut counts = Self::default();
        for pod in pods {
            counts.replicas += 1;
            if pod.status.phase == Phase::Running && pod.is_ready() {
                counts.ready += 1;
                counts.available += i32::from(pod.is_available(i64::from(set.min_ready_seconds), now));
            }
            if !pod.meta.is_deleting() {
                counts.current += i32::from(revision_of(pod) == current);
                counts.updated += i32::from(revision_of(pod) == update);
            }
        }
        counts
    }
}

/// The status that follows from the counts. A rollout is complete when all replicas are updated and ready.
pub(super) fn status(
    set: &StatefulSet,
    counts: Counts,
    current: &Str,
    update: &Str,
    collisions: i32,
) -> StatefulSetStatus {
    let complete = !set.on_delete
        && counts.updated == set.replicas
        && counts.ready == set.replicas
        && counts.replicas == set.replicas;
    StatefulSetStatus {
        observed_generation: set.meta.generation,
        replicas: counts.replicas,
        ready_replicas: counts.ready,
        available_replicas: counts.available,
        current_replicas: if complete { counts.updated } else { counts.current },
        updated_replicas: counts.updated,
        current_revision: if complete { update.clone() } else { current.clone() },
        update_revision: update.clone(),
        collision_count: Some(collisions),
        conditions: Vec::new(),
    }
}

/// Whether the status says something that the set's does not say yet.
pub(super) fn is_news(set: &StatefulSet, status: &StatefulSetStatus) -> bool {
    let old = &set.status;
    status.observed_generation > old.observed_generation
        || status.replicas != old.replicas
        || status.ready_replicas != old.ready_replicas
        || status.available_replicas != old.available_replicas
        || status.current_replicas != old.current_replicas
        || status.updated_replicas != old.updated_replicas
        || status.current_revision != old.current_revision
        || status.update_revision != old.update_revision
}
