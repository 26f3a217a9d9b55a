//! Counting Pods that ended, exactly once: first their identities are written into the status, then their finalizers
//! are removed, then they are counted.
//!
//! Upstream: `trackJobStatusAndRemoveFinalizers` in `pkg/controller/job/job_controller.go`, v1.34.

use std::collections::BTreeSet;

use super::conditions::{self, COMPLETE, FAILED, FAILURE_TARGET, SUCCESS_CRITERIA_MET};
use super::plan::{Plan, Progressed, Work};
use super::pods::{completion_index, is_failed, is_tracked, valid_index};
use super::policies;
use super::sync::{Outcome, Sync};
use crate::api::workload::{Job, JobStatus};
use crate::api::{Condition, EventType, ObjectRef, Phase, Pod, Resource};
use crate::base::{Arc, SimDuration, Str, Timestamp};
use crate::controller::framework::{Action, Ctx};
use crate::store::ApiError;

/// What the write of a status takes before the first finalizer is removed.
const CALL: SimDuration = SimDuration::from_millis(10);
/// Identities in the status at most.
const UNCOUNTED_MAX: usize = 500;

/// Writes the status, removes finalizers and ends the Job if it is at its end.
pub(super) fn track(sync: &mut Sync, changed: bool, ctx: &mut Ctx<'_>) -> Outcome {
    let mut news = changed;
    if sync.job.indexed {
        // Completed indexes shall appear in order.
        sync.pods.sort_by_key(|p| completion_index(p));
    }
    let mut tracked: BTreeSet<Str> =
        sync.pods.iter().filter(|p| is_tracked(p)).map(|p| p.meta.uid.clone()).collect();
    let settled = settle(&mut sync.job.status, &tracked);
    let found = note_ended(sync);
    news |= found.news;
    if sync.job.indexed {
        news |= note_indexes(sync, &found.succeeded_indexes);
    }
    news |= announce_ending(sync, ctx.timestamp());
    let mut flush = settled || news;
    let mut record = None;
    let keys: Vec<_> = found.untrack.iter().map(|p| p.meta.key()).collect();
    let removes = !keys.is_empty();
    let mut plan = Plan::new(&sync.job, Work::Untrack { pods: keys, done: 0 });
    // What only counts the Pods that were let go just now is written with what follows from it.
    if flush && (news || removes || !sync.untracked) {
        if let Err(error) = write(sync, ctx) {
            return Outcome::retry(format!("tracking status: adding uncounted pods to status: {error}"));
        }
        record = Some(sync.backoff);
        if removes {
            // Others see this status before the finalizers go.
            return Outcome { action: Action::After(CALL), plan: Some(plan), record };
        }
        flush = false;
    }
    if let Progressed::Wait(wait) = plan.run(ctx) {
        return Outcome { action: Action::After(wait), plan: Some(plan), record };
    }
    for pod in &found.untrack {
        tracked.remove(&pod.meta.uid);
    }
    flush |= settle(&mut sync.job.status, &tracked);
    let ended = if found.is_full { None } else { end(sync, ctx.timestamp()) };
    if (flush || ended.is_some())
        && let Err(error) = write(sync, ctx)
    {
        return Outcome::retry(format!("tracking status: removing uncounted pods from status: {error}"));
    }
    if let Some(ending) = ended {
        say_ended(&sync.job, &ending, ctx);
    }
    Outcome { action: Action::Done, plan: None, record }
}

fn write(sync: &Sync, ctx: &mut Ctx<'_>) -> Result<(), ApiError> {
    let status = sync.job.status.clone();
    ctx.update::<Job>(&sync.job.key(), |job| job.status = status).map(|_| ())
}

/// Counts the Pods in the status whose finalizers are gone. True if there were any.
fn settle(status: &mut JobStatus, tracked: &BTreeSet<Str>) -> bool {
    let take = |list: &mut Vec<Str>| {
        let before = list.len();
        list.retain(|uid| tracked.contains(uid));
        i32::try_from(before - list.len()).unwrap_or(i32::MAX)
    };
    let succeeded = take(&mut status.uncounted_succeeded);
    let failed = take(&mut status.uncounted_failed);
    status.succeeded = status.succeeded.saturating_add(succeeded);
    status.failed = status.failed.saturating_add(failed);
    succeeded > 0 || failed > 0
}

/// Pods that ended.
struct Found {
    /// Their finalizers are to be removed.
    untrack: Vec<Arc<Pod>>,
    /// Indexes that have succeeded.
    succeeded_indexes: BTreeSet<i32>,
    /// Something is to be written.
    news: bool,
    /// There may be more than fit into the status.
    is_full: bool,
}

/// Puts the identities of Pods that ended into the status.
fn note_ended(sync: &mut Sync) -> Found {
    let mut found =
        Found { untrack: Vec::new(), succeeded_indexes: BTreeSet::new(), news: false, is_full: false };
    let fails = sync.ending.as_ref().is_some_and(|e| e.kind != SUCCESS_CRITERIA_MET);
    for pod in sync.pods.iter().filter(|p| is_tracked(p)) {
        let failed = is_failed(pod, &sync.job);
        if !may_untrack(sync, pod, failed) {
            continue;
        }
        found.untrack.push(pod.clone());
        let uid = &pod.meta.uid;
        let known_failed = sync.uncounted_failed.contains(uid);
        if pod.status.phase == Phase::Succeeded && !known_failed {
            if sync.job.indexed {
                let new = valid_index(pod, &sync.job).filter(|i| !sync.old_succeeded_indexes.has(*i));
                found.news |= new.is_some();
                found.succeeded_indexes.extend(new);
            } else if !sync.uncounted_succeeded.contains(uid) {
                found.news = true;
                sync.job.status.uncounted_succeeded.push(uid.clone());
            }
        } else if failed || fails {
            // When the Job fails, every Pod that has not ended counts as failed.
            let counts = !known_failed
                && (!sync.job.indexed || valid_index(pod, &sync.job).is_some())
                && policies::judge(&sync.job, pod).counts();
            if counts {
                found.news = true;
                sync.job.status.uncounted_failed.push(uid.clone());
            }
        }
        let status = &sync.job.status;
        let noted =
            found.succeeded_indexes.len() + status.uncounted_succeeded.len() + status.uncounted_failed.len();
        if noted >= UNCOUNTED_MAX {
            found.is_full = true;
            break;
        }
    }
    found
}

/// Whether a Pod need not be held any longer.
fn may_untrack(sync: &Sync, pod: &Pod, failed: bool) -> bool {
    if sync.job.meta.is_deleting() || sync.ending.is_some() || pod.status.phase == Phase::Succeeded {
        return true;
    }
    let kept = completion_index(pod).and_then(|i| sync.kept_per_index.get(&i));
    failed && kept.is_none_or(|k| k.meta.uid != pod.meta.uid)
}

/// Writes the indexes that ended into the status. True if that is new.
fn note_indexes(sync: &mut Sync, succeeded: &BTreeSet<i32>) -> bool {
    sync.succeeded_indexes = sync.succeeded_indexes.with(succeeded);
    let status = &mut sync.job.status;
    let completed = Str::from(sync.succeeded_indexes.to_string());
    let failed = sync.failed_indexes.as_ref().map(|f| Str::from(f.to_string()));
    let changed = completed != status.completed_indexes || failed != status.failed_indexes;
    status.succeeded = sync.succeeded_indexes.total();
    status.completed_indexes = completed;
    status.failed_indexes = failed;
    changed
}

/// Says first that the Job will end, before finalizers go; what follows is the terminal condition. True if it was
/// not said before.
fn announce_ending(sync: &mut Sync, now: Timestamp) -> bool {
    let Some(ending) = sync.ending.take() else { return false };
    let terminal = match ending.kind.as_str() {
        FAILURE_TARGET => FAILED,
        SUCCESS_CRITERIA_MET => COMPLETE,
        _ => {
            sync.ending = Some(ending);
            return false;
        }
    };
    sync.ending = Some(conditions::new(terminal, ending.reason.clone(), ending.message.clone(), now));
    let said = terminal == COMPLETE && conditions::holding(&sync.job, SUCCESS_CRITERIA_MET).is_some();
    if !said {
        sync.job.status.conditions.push(ending);
    }
    !said
}

/// Sets the terminal condition once all Pods are counted and none is terminating.
fn end(sync: &mut Sync, now: Timestamp) -> Option<Condition> {
    let ending = sync.ending.clone()?;
    let status = &sync.job.status;
    let uncounted = !status.uncounted_succeeded.is_empty() || !status.uncounted_failed.is_empty();
    if uncounted || sync.terminating > 0 {
        return None;
    }
    let condition = Condition::new(
        ending.kind.clone(),
        ending.status,
        ending.reason.clone(),
        ending.message.clone(),
        now,
    );
    conditions::ensure(&mut sync.job, condition);
    if ending.kind == COMPLETE {
        sync.job.status.completion_time = Some(now);
    }
    Some(ending)
}

fn say_ended(job: &Job, ending: &Condition, ctx: &mut Ctx<'_>) {
    let about = ObjectRef::to(job);
    if ending.kind != COMPLETE {
        ctx.event(about, EventType::Warning, ending.reason.clone(), ending.message.clone());
        return;
    }
    if job.completions.is_some_and(|wanted| job.status.succeeded > wanted) {
        let message = "Too many succeeded pods running after completion count reached";
        ctx.event(about.clone(), EventType::Warning, "TooManySucceededPods", message);
    }
    ctx.event(about, EventType::Normal, "Completed", "Job completed");
}
