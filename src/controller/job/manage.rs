//! How many Pods a Job shall have, and which.
//!
//! Upstream: `manageJob` in `pkg/controller/job/job_controller.go`, v1.34.

use super::backoff;
use super::plan::{Creation, Deletion, IndexWish, Plan, Progressed, Work};
use super::pods::{
    completion_index, index_failures, index_ignored_failures, indexes_of, replaces_only_failed, sort_active,
};
use super::policies;
use super::sync::Sync;
use crate::api::Pod;
use crate::base::{Arc, SimDuration, Str};
use crate::controller::framework::Ctx;

/// Pods made or deleted in one sync at most.
const BURST: usize = 500;
/// Syncs that Pods cause are batched for so long.
pub(super) const BATCH: SimDuration = SimDuration::from_secs(1);

/// What managing achieved.
pub(super) enum Managed {
    /// All that was decided is done.
    Done {
        /// Active Pods, as the status shall say.
        active: i32,
        /// The first error.
        failure: Option<Str>,
        /// When to look again.
        wait: Option<SimDuration>,
    },
    /// The rate limit interrupted it.
    Interrupted(Box<Plan>, SimDuration),
}

impl Managed {
    const fn unchanged(active: i32) -> Self {
        Self::Done { active, failure: None, wait: None }
    }
}

fn number(pods: usize) -> i32 {
    i32::try_from(pods).unwrap_or(i32::MAX)
}

/// Deletes all active Pods, which are then counted as failed.
pub(super) fn delete_active(sync: &mut Sync, ctx: &mut Ctx<'_>) -> Managed {
    let pods = sync.active.clone();
    let ending = sync.ending.clone();
    delete(sync, &pods, false, ending, ctx)
}

fn delete(
    sync: &mut Sync,
    pods: &[Arc<Pod>],
    uncounted: bool,
    ending: Option<crate::api::Condition>,
    ctx: &mut Ctx<'_>,
) -> Managed {
    let active = number(sync.active.len());
    if pods.is_empty() {
        return Managed::unchanged(active);
    }
    let mut plan = Plan::new(&sync.job, Work::Delete(Deletion::new(&sync.job, pods, uncounted, ending)));
    match plan.run(ctx) {
        Progressed::Wait(wait) => Managed::Interrupted(Box::new(plan), wait),
        Progressed::Done(failure) => {
            let (deleted, ready) = match plan.work {
                Work::Delete(deletion) => (deletion.deleted, deletion.ready),
                Work::Create(_) | Work::Untrack { .. } => (0, 0),
            };
            sync.terminating += deleted;
            sync.ready -= ready;
            Managed::Done { active: active - deleted, failure, wait: None }
        }
    }
}

/// Brings the number of Pods to what is wanted: deletes if there are too many, else makes more.
pub(super) fn manage(sync: &mut Sync, ctx: &mut Ctx<'_>) -> Managed {
    let active = number(sync.active.len());
    if sync.job.suspend {
        let pods = surplus(sync, sync.active.len());
        return delete(sync, &pods, true, None, ctx);
    }
    let wanted = wanted_active(sync, active);
    let too_many = usize::try_from(active.saturating_sub(wanted)).unwrap_or(0);
    let mut pods = surplus(sync, too_many);
    pods.truncate(BURST);
    if !pods.is_empty() {
        return delete(sync, &pods, true, None, ctx);
    }
    let terminating = if replaces_only_failed(&sync.job) { sync.terminating } else { 0 };
    match usize::try_from(wanted - terminating - active) {
        Ok(missing) if missing > 0 => create(sync, missing, active, ctx),
        Ok(_) | Err(_) => Managed::unchanged(active),
    }
}

fn wanted_active(sync: &Sync, active: i32) -> i32 {
    let parallelism = sync.job.parallelism;
    match sync.job.completions {
        // A work queue: once a Pod has succeeded, the others are only waited for.
        None if sync.succeeded > 0 => active,
        None => parallelism,
        Some(completions) => completions.saturating_sub(sync.succeeded).min(parallelism).max(0),
    }
}

/// Pods to be deleted, at least so many; of an indexed Job also those without an index of their own.
fn surplus(sync: &Sync, at_least: usize) -> Vec<Arc<Pod>> {
    let (mut doomed, mut left) = (Vec::new(), sync.active.clone());
    if sync.job.indexed {
        (doomed, left) = split_doubles(left, sync.completions());
    }
    if doomed.len() < at_least {
        sort_active(&mut left);
        let missing = at_least - doomed.len();
        doomed.extend(left.into_iter().take(missing));
    }
    doomed
}

/// Takes out Pods without a valid index, and all but one of each index.
fn split_doubles(mut pods: Vec<Arc<Pod>>, completions: i32) -> (Vec<Arc<Pod>>, Vec<Arc<Pod>>) {
    let (mut doomed, mut left) = (Vec::new(), Vec::new());
    pods.sort_by_key(|p| completion_index(p));
    for group in pods.chunk_by(|a, b| completion_index(a) == completion_index(b)) {
        let valid = group.first().and_then(|p| completion_index(p)).is_some_and(|i| i < completions);
        let mut group = group.to_vec();
        sort_active(&mut group);
        if valid {
            left.extend(group.pop());
        }
        doomed.append(&mut group);
    }
    (doomed, left)
}

fn create(sync: &Sync, missing: usize, active: i32, ctx: &mut Ctx<'_>) -> Managed {
    let (now, calendar) = (ctx.now(), ctx.store().calendar());
    let per_index = sync.job.backoff_limit_per_index.is_some();
    // Upstream reports no active Pods while a backoff holds creations back.
    let held = |left: SimDuration| Managed::Done { active: 0, failure: None, wait: Some(left.max(BATCH)) };
    if !per_index {
        let left = sync.backoff.remaining(now, calendar);
        if !left.is_zero() {
            return held(left);
        }
    }
    let mut count = missing.min(BURST);
    let mut indexes = Vec::new();
    if sync.job.indexed {
        let pending = pending_indexes(sync, count);
        let left_for =
            |index: &i32| backoff::remaining_for_index(sync.kept_per_index.get(index), now, calendar);
        let (due, held_back): (Vec<i32>, Vec<i32>) =
            pending.into_iter().partition(|i| !per_index || left_for(i).is_zero());
        if due.is_empty()
            && let Some(left) = held_back.iter().map(left_for).min()
        {
            return held(left);
        }
        indexes = due.into_iter().map(|index| wish(sync, index)).collect();
        count = indexes.len();
    }
    let mut plan = Plan::new(&sync.job, Work::Create(Box::new(Creation::new(&sync.job, count, indexes))));
    match plan.run(ctx) {
        Progressed::Wait(wait) => Managed::Interrupted(Box::new(plan), wait),
        Progressed::Done(failure) => {
            let made = match &plan.work {
                Work::Create(creation) => creation.made,
                Work::Delete(_) | Work::Untrack { .. } => 0,
            };
            Managed::Done { active: active + made, failure, wait: None }
        }
    }
}

/// The lowest indexes that have no Pod and have not ended.
fn pending_indexes(sync: &Sync, count: usize) -> Vec<i32> {
    let mut taken = sync.succeeded_indexes.with(&indexes_of(&sync.active));
    if replaces_only_failed(&sync.job) {
        let terminating = sync.pods.iter().filter(|p| p.meta.is_deleting() && !p.is_terminal());
        taken = taken.with(&indexes_of(terminating));
    }
    let failed = sync.failed_indexes.clone().unwrap_or_default();
    taken.merged(&failed).gaps(count, sync.completions())
}

/// The Pod for an index; with a limit per index it inherits the failures of the one it replaces.
fn wish(sync: &Sync, index: i32) -> IndexWish {
    let failures = sync.job.backoff_limit_per_index.map(|_| match sync.kept_per_index.get(&index) {
        None => (0, 0),
        Some(replaced) => {
            let (counted, ignored) = (index_failures(replaced), index_ignored_failures(replaced));
            match policies::judge(&sync.job, replaced).counts() {
                true => (counted.saturating_add(1), ignored),
                false => (counted, ignored.saturating_add(1)),
            }
        }
    });
    IndexWish { index, failures }
}
