//! Conditions of a Job, in the order in which v1.34 gives them.
//!
//! Upstream: `pkg/controller/job/{job_controller,success_policy}.go`, v1.34. The gates `JobManagedBy` and
//! `JobPodReplacementPolicy` are on, so that the terminal condition waits for the end of all Pods.

use crate::api::workload::Job;
use crate::api::{Condition, ConditionStatus, condition};
use crate::base::{Str, Timestamp};

/// The Job is done.
pub const COMPLETE: &str = "Complete";
/// The Job has failed.
pub const FAILED: &str = "Failed";
/// The Job will have failed once its Pods have ended.
pub const FAILURE_TARGET: &str = "FailureTarget";
/// The Job will be done once its Pods have ended.
pub const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
/// The Job is held.
pub const SUSPENDED: &str = "Suspended";

/// A condition that is `True` from now on.
pub(super) fn new(
    kind: &'static str,
    reason: impl Into<Str>,
    message: impl Into<Str>,
    at: Timestamp,
) -> Condition {
    Condition { updated: Some(at), ..Condition::new(kind, ConditionStatus::True, reason, message, at) }
}

/// The condition under which the Job ended, if it has.
pub fn finished(job: &Job) -> Option<&Condition> {
    job.finished()
}

/// The condition of a type, if it is `True`.
pub(super) fn holding<'j>(job: &'j Job, kind: &str) -> Option<&'j Condition> {
    condition::find(&job.status.conditions, kind).filter(|c| c.is_true())
}

/// Sets a condition; what is absent is not made `False`. True if anything changed.
pub(super) fn ensure(job: &mut Job, mut wanted: Condition) -> bool {
    wanted.updated = wanted.transition;
    match job.status.conditions.iter_mut().find(|c| c.kind == wanted.kind) {
        Some(old) => {
            let same =
                old.status == wanted.status && old.reason == wanted.reason && old.message == wanted.message;
            if !same {
                *old = wanted;
            }
            !same
        }
        None if wanted.status == ConditionStatus::False => false,
        None => {
            job.status.conditions.push(wanted);
            true
        }
    }
}
