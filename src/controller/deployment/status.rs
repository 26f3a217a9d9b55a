//! Counts, conditions and the progress deadline.
//!
//! Upstream: `pkg/controller/deployment/progress.go`, `sync.go`, `util/deployment_util.go`, v1.34.

use super::rolling::{available, wanted};
use super::sync::{Again, Sync};
use crate::api::workload::{Deployment, DeploymentStatus, DeploymentStrategy, ReplicaSet};
use crate::api::{Condition, ConditionStatus, condition};
use crate::base::{Arc, SimDuration, Str, Timestamp, text::lit};
use crate::store::ApiError;

const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// Pods above `replicas` that the strategy allows.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    fenceposts(deployment).0
}

/// Pods that may be missing.
pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    if deployment.replicas == 0 { 0 } else { fenceposts(deployment).1.min(deployment.replicas) }
}

/// Upstream: `ResolveFenceposts`: surge rounds up, missing Pods round down, and one of both is possible.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    match deployment.strategy {
        DeploymentStrategy::Recreate => (0, 0),
        DeploymentStrategy::RollingUpdate { max_surge, max_unavailable } => {
            let surge = max_surge.resolve(deployment.replicas, true);
            let unavailable = max_unavailable.resolve(deployment.replicas, false);
            if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
        }
    }
}

/// Puts a condition at the end; one of the same status and reason stays as it is.
fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) {
    if let Some(old) = condition::find(conditions, &new.kind) {
        if old.status == new.status && old.reason == new.reason {
            return;
        }
        if old.status == new.status {
            new.transition = old.transition;
        }
    }
    conditions.retain(|c| c.kind != new.kind);
    conditions.push(new);
}

fn new_condition(
    kind: Str,
    status: ConditionStatus,
    reason: Str,
    message: impl Into<Str>,
    now: Timestamp,
) -> Condition {
    Condition { updated: Some(now), ..Condition::new(kind, status, reason, message, now) }
}

/// Upstream: `calculateStatus`.
fn count(
    deployment: &Deployment,
    old: &[Arc<ReplicaSet>],
    new: Option<&Arc<ReplicaSet>>,
    now: Timestamp,
) -> DeploymentStatus {
    let all = || old.iter().chain(new);
    let sum = |field: fn(&ReplicaSet) -> i32| all().fold(0, |sum: i32, set| sum.saturating_add(field(set)));
    let available = available(all());
    let mut status = DeploymentStatus {
        observed_generation: deployment.meta.generation,
        replicas: sum(|set| set.status.replicas),
        updated_replicas: new.map_or(0, |set| set.status.replicas),
        ready_replicas: sum(|set| set.status.ready_replicas),
        available_replicas: available,
        unavailable_replicas: (wanted(all()) - available).max(0),
        conditions: deployment.status.conditions.clone(),
        collision_count: deployment.status.collision_count,
    };
    let enough = available >= deployment.replicas - max_unavailable(deployment);
    let (reason, message) = if enough {
        (lit!("MinimumReplicasAvailable"), lit!("Deployment has minimum availability."))
    } else {
        (lit!("MinimumReplicasUnavailable"), lit!("Deployment does not have minimum availability."))
    };
    let new = new_condition(lit!("Available"), ConditionStatus::of(enough), reason, message, now);
    set_condition(&mut status.conditions, new);
    status
}

/// The first failure that a ReplicaSet reports, the new one before the others.
fn failure(old: &[Arc<ReplicaSet>], new: Option<&Arc<ReplicaSet>>) -> Option<Condition> {
    let sets = new.into_iter().chain(old);
    let found = sets.filter_map(|set| condition::find(&set.status.conditions, REPLICA_FAILURE)).next()?;
    Some(Condition { updated: found.transition, ..found.clone() })
}

impl Sync<'_, '_> {
    pub(super) const fn has_deadline(&self) -> bool {
        self.deployment.progress_deadline_seconds != i32::MAX
    }

    /// The condition `Progressing` of the working copy.
    pub(super) fn progressing(&self) -> Option<&Condition> {
        condition::find(&self.deployment.status.conditions, PROGRESSING)
    }

    /// Sets the condition `Progressing` of the working copy.
    pub(super) fn set_progressing(&mut self, progressing: bool, reason: Str, message: impl Into<Str>) {
        let status = ConditionStatus::of(progressing);
        let new = new_condition(lit!("Progressing"), status, reason, message, self.ctx.timestamp());
        set_condition(&mut self.deployment.status.conditions, new);
    }

    /// Whether all Pods are new and available.
    pub(super) fn is_complete(&self, status: &DeploymentStatus) -> bool {
        let replicas = self.deployment.replicas;
        status.updated_replicas == replicas
            && status.replicas == replicas
            && status.available_replicas == replicas
            && status.observed_generation >= self.deployment.meta.generation
    }

    /// Whether the rollout came further since the working copy.
    fn is_progressing(&self, new: &DeploymentStatus) -> bool {
        let old = &self.deployment.status;
        new.updated_replicas > old.updated_replicas
            || new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
            || new.ready_replicas > old.ready_replicas
            || new.available_replicas > old.available_replicas
    }

    /// Notes that rollouts are held or go on, so that the time between does not count.
    ///
    /// Upstream: `checkPausedConditions`.
    pub(super) fn note_pause(&mut self) -> Result<(), ApiError> {
        let reason = self.progressing().map(|c| c.reason.clone());
        if !self.has_deadline() || reason.as_deref() == Some(TIMED_OUT) {
            return Ok(());
        }
        let noted = reason.as_deref() == Some(PAUSED);
        let (reason, message) = match (self.deployment.paused, noted) {
            (true, false) => (lit!("DeploymentPaused"), lit!("Deployment is paused")),
            (false, true) => (lit!("DeploymentResumed"), lit!("Deployment is resumed")),
            (true, true) | (false, false) => return Ok(()),
        };
        let now = self.ctx.timestamp();
        let new = new_condition(lit!("Progressing"), ConditionStatus::Unknown, reason, message, now);
        set_condition(&mut self.deployment.status.conditions, new);
        self.write_status()
    }

    /// Writes the counts, without judging progress.
    ///
    /// Upstream: `syncDeploymentStatus`.
    pub(super) fn write_counts(
        &mut self,
        old: &[Arc<ReplicaSet>],
        new: Option<&Arc<ReplicaSet>>,
    ) -> Result<(), ApiError> {
        let status = count(&self.deployment, old, new, self.ctx.timestamp());
        if status == self.deployment.status {
            return Ok(());
        }
        self.deployment.status = status;
        self.write_status()
    }

    /// Writes counts and progress. If nothing changes: when to look again.
    ///
    /// Upstream: `syncRolloutStatus`.
    pub(super) fn write_rollout(
        &mut self,
        old: &[Arc<ReplicaSet>],
        new: Option<&Arc<ReplicaSet>>,
    ) -> Result<Again, ApiError> {
        let mut status = count(&self.deployment, old, new, self.ctx.timestamp());
        if self.has_deadline() {
            self.judge_progress(&mut status, new);
        } else {
            condition::remove(&mut status.conditions, PROGRESSING);
        }
        match failure(old, new) {
            Some(failure) => set_condition(&mut status.conditions, failure),
            None => {
                condition::remove(&mut status.conditions, REPLICA_FAILURE);
            }
        }
        if status == self.deployment.status {
            return Ok(self.next_progress_check(&status));
        }
        self.deployment.status = status;
        self.write_status().map(|()| None)
    }

    fn judge_progress(&self, status: &mut DeploymentStatus, new: Option<&Arc<ReplicaSet>>) {
        let current = self.progressing();
        let was_complete = current.is_some_and(|c| c.reason == NEW_AVAILABLE);
        if was_complete && status.replicas == status.updated_replicas {
            // No rollout is under way.
            return;
        }
        let subject = match new {
            Some(set) => format!("ReplicaSet \"{}\"", set.meta.name),
            None => format!("Deployment \"{}\"", self.deployment.meta.name),
        };
        let now = self.ctx.timestamp();
        let condition = |holds: bool, reason: Str, words: &str| {
            let holds = ConditionStatus::of(holds);
            new_condition(lit!("Progressing"), holds, reason, format!("{subject} {words}"), now)
        };
        if self.is_complete(status) {
            let new = condition(true, lit!("NewReplicaSetAvailable"), "has successfully progressed.");
            set_condition(&mut status.conditions, new);
        } else if self.is_progressing(status) {
            let mut new = condition(true, lit!("ReplicaSetUpdated"), "is progressing.");
            if let Some(current) = current.filter(|c| c.is_true()) {
                new.transition = current.transition;
            }
            // Progress counts as an update even if the words stay the same.
            condition::remove(&mut status.conditions, PROGRESSING);
            status.conditions.push(new);
        } else if self.is_timed_out(status) {
            let new = condition(false, lit!("ProgressDeadlineExceeded"), "has timed out progressing.");
            set_condition(&mut status.conditions, new);
        }
    }

    fn is_timed_out(&self, status: &DeploymentStatus) -> bool {
        let Some(current) = condition::find(&status.conditions, PROGRESSING) else { return false };
        match current.reason.as_str() {
            NEW_AVAILABLE => false,
            TIMED_OUT => true,
            _ => self.deadline(current).is_some_and(|deadline| deadline < self.ctx.now()),
        }
    }

    fn deadline(&self, progressing: &Condition) -> Option<crate::base::SimTime> {
        let seconds = i64::from(self.deployment.progress_deadline_seconds);
        let at = progressing.updated?.plus_secs(seconds);
        Some(self.ctx.store().calendar().instant(at))
    }

    /// Upstream: `requeueStuckDeployment`: a second after the deadline, or at short intervals if that is near.
    fn next_progress_check(&self, status: &DeploymentStatus) -> Again {
        let current = self.progressing().filter(|_| self.has_deadline())?;
        if self.is_complete(status) || current.reason == TIMED_OUT || current.reason == NEW_AVAILABLE {
            return None;
        }
        let left = self.deadline(current)?.since(self.ctx.now());
        let second = SimDuration::from_secs(1);
        Some(left + if left < second { SimDuration::from_millis(5) } else { second })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::workload::IntOrPercent::{self, Int, Percent};
    use crate::testkit;

    fn posts(replicas: i32, max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> (i32, i32) {
        let mut deployment = testkit::deployment("web", replicas);
        deployment.strategy = DeploymentStrategy::RollingUpdate { max_surge, max_unavailable };
        (super::max_surge(&deployment), super::max_unavailable(&deployment))
    }

    /// Facts §1.4: fenceposts; §13.13.
    #[test]
    fn surge_rounds_up_and_missing_pods_round_down() {
        let quarter = |replicas| posts(replicas, Percent(25), Percent(25));
        for (replicas, expected) in
            [(1, (1, 0)), (3, (1, 0)), (4, (1, 1)), (5, (2, 1)), (8, (2, 2)), (10, (3, 2)), (100, (25, 25))]
        {
            assert_eq!(quarter(replicas), expected, "{replicas}");
        }
        assert_eq!(posts(4, Int(0), Percent(10)), (0, 1), "not both can be nothing");
        assert_eq!(posts(3, Int(0), Int(5)), (0, 3), "no more can be missing than there are");
        assert_eq!(posts(0, Percent(25), Percent(25)), (0, 0));
        let mut recreate = testkit::deployment("web", 3);
        recreate.strategy = DeploymentStrategy::Recreate;
        assert_eq!((super::max_surge(&recreate), super::max_unavailable(&recreate)), (0, 0));
    }
}
