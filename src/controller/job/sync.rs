//! One sync of a Job: count, decide, make or delete Pods, write the status.
//!
//! Upstream: `syncJob` in `pkg/controller/job/job_controller.go`, v1.34.

use std::collections::{BTreeMap, BTreeSet};

use super::backoff::Record;
use super::conditions::{self, FAILED, FAILURE_TARGET, SUCCESS_CRITERIA_MET, SUSPENDED};
use super::indexes::Intervals;
use super::manage::{self, Managed};
use super::plan::Plan;
use super::pods::{
    TRACKING_FINALIZER, finish_time, index_all_failures, index_failures, is_failed, is_tracked, valid_index,
};
use super::policies::{self, Verdict};
use super::track;
use crate::api::pod::RestartPolicy;
use crate::api::workload::Job;
use crate::api::{Condition, ConditionStatus, EventType, ObjectRef, Phase, Pod};
use crate::base::{Arc, SimDuration, Str};
use crate::controller::common;
use crate::controller::framework::{Action, Ctx};

/// What a sync works with.
#[derive(Debug)]
pub(super) struct Sync {
    /// The Job with the status as it shall be.
    pub job: Job,
    /// Its Pods.
    pub pods: Vec<Arc<Pod>>,
    /// Those that are active.
    pub active: Vec<Arc<Pod>>,
    pub ready: i32,
    pub terminating: i32,
    pub succeeded: i32,
    pub failed: i32,
    /// Pods counted as failed before, whose finalizers were not removed yet.
    pub uncounted_failed: BTreeSet<Str>,
    /// Pods counted as succeeded before, whose finalizers were not removed yet.
    pub uncounted_succeeded: BTreeSet<Str>,
    /// How the Job ends, if it does.
    pub ending: Option<Condition>,
    /// Indexes that had succeeded before this sync.
    pub old_succeeded_indexes: Intervals,
    pub succeeded_indexes: Intervals,
    /// Only with a limit per index.
    pub failed_indexes: Option<Intervals>,
    /// Failed Pods that keep their finalizer until their index has a new Pod.
    pub kept_per_index: BTreeMap<i32, Arc<Pod>>,
    pub backoff: Record,
    /// Finalizers of Pods in the status have just been removed: what is left is to count them.
    pub untracked: bool,
}

/// What a sync leaves behind.
#[derive(Debug)]
pub(super) struct Outcome {
    pub action: Action,
    /// Work to go on with.
    pub plan: Option<Plan>,
    /// Failures to remember, if they were written.
    pub record: Option<Record>,
}

impl Outcome {
    pub(super) fn retry(error: impl Into<Str>) -> Self {
        Self { action: Action::Retry(error.into()), plan: None, record: None }
    }
}

/// What came before in the same sync, if it was interrupted by the rate limit.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    /// Pods have been made or deleted already.
    pub managed: bool,
    /// That failed in these words.
    pub failure: Option<Str>,
    /// How the Job ends.
    pub ending: Option<Condition>,
    /// Finalizers of Pods in the status have just been removed.
    pub untracked: bool,
}

/// Syncs a Job that has not ended.
pub(super) fn sync(job: &Job, record: Record, resumed: Resumed, ctx: &mut Ctx<'_>) -> Outcome {
    let mut sync = Sync::new(job, record, ctx);
    sync.untracked = resumed.untracked;
    let now = ctx.timestamp();
    if sync.job.status.start_time.is_none() && !sync.job.suspend {
        sync.job.status.start_time = Some(now);
    }
    let deadline = sync.judge(resumed.ending, ctx);
    let mut wait = deadline;
    let mut failure = resumed.failure;
    let mut suspension_changed = false;
    let active = i32::try_from(sync.active.len()).unwrap_or(i32::MAX);
    let active = if sync.ending.is_some() {
        match manage::delete_active(&mut sync, ctx) {
            Managed::Done { active, failure: error, .. } => {
                if active > 0 {
                    // Not all could be deleted: the Job has not ended yet.
                    sync.ending = None;
                }
                failure = failure.or(error);
                active
            }
            Managed::Interrupted(plan, wait) => {
                return Outcome { action: Action::After(wait), plan: Some(*plan), record: None };
            }
        }
    } else {
        let active = if resumed.managed || sync.job.meta.is_deleting() {
            active
        } else {
            match manage::manage(&mut sync, ctx) {
                Managed::Done { active, failure: error, wait: again } => {
                    failure = failure.or(error);
                    wait = wait.into_iter().chain(again).min();
                    active
                }
                Managed::Interrupted(plan, wait) => {
                    return Outcome { action: Action::After(wait), plan: Some(*plan), record: None };
                }
            }
        };
        if sync.is_complete(active) {
            let message = "Reached expected number of succeeded pods";
            sync.ending = Some(conditions::new(SUCCESS_CRITERIA_MET, "CompletionsReached", message, now));
        } else if !sync.job.meta.is_deleting() {
            suspension_changed = sync.note_suspension(ctx);
        }
        active
    };
    let status = &mut sync.job.status;
    let changed = suspension_changed
        || status.active != active
        || status.ready != Some(sync.ready)
        || status.terminating != Some(sync.terminating);
    status.active = active;
    status.ready = Some(sync.ready);
    status.terminating = Some(sync.terminating);
    let mut outcome = track::track(&mut sync, changed, ctx);
    if outcome.plan.is_none() && outcome.action == Action::Done {
        outcome.action = match (failure, wait) {
            (Some(failure), _) => Action::Retry(failure),
            (None, Some(wait)) => Action::After(wait),
            (None, None) => Action::Done,
        };
    }
    outcome
}

impl Sync {
    fn new(job: &Job, record: Record, ctx: &mut Ctx<'_>) -> Self {
        let mut owner = common::Owner::of(job);
        owner.finalizers.push(TRACKING_FINALIZER.into());
        let pods = common::claim_pods(ctx, &owner, &job.selector, |_| true);
        let active: Vec<_> = pods.iter().filter(|p| p.is_active()).cloned().collect();
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let mut sync = Self {
            ready: count(active.iter().filter(|p| p.is_ready()).count()),
            terminating: count(pods.iter().filter(|p| p.meta.is_deleting() && !p.is_terminal()).count()),
            succeeded: 0,
            failed: 0,
            uncounted_failed: job.status.uncounted_failed.iter().cloned().collect(),
            uncounted_succeeded: job.status.uncounted_succeeded.iter().cloned().collect(),
            ending: None,
            old_succeeded_indexes: Intervals::default(),
            succeeded_indexes: Intervals::default(),
            failed_indexes: None,
            kept_per_index: BTreeMap::new(),
            backoff: record,
            untracked: false,
            job: job.clone(),
            pods,
            active,
        };
        sync.count();
        sync
    }

    /// Counts Pods that ended since the last sync.
    fn count(&mut self) {
        let is_new = |p: &&Arc<Pod>, counted: &BTreeSet<Str>| {
            is_tracked(p)
                && !counted.contains(&p.meta.uid)
                && (!self.job.indexed || valid_index(p, &self.job).is_some())
        };
        let new = |counted: &BTreeSet<Str>, ended: &dyn Fn(&Pod) -> bool| -> Vec<Arc<Pod>> {
            self.pods.iter().filter(|p| is_new(p, counted) && ended(p)).cloned().collect()
        };
        let succeeded = new(&self.uncounted_succeeded, &|p| p.status.phase == Phase::Succeeded);
        let failed = new(&self.uncounted_failed, &|p| is_failed(p, &self.job));
        let counting = failed.iter().filter(|p| policies::judge(&self.job, p).counts()).count();
        let total = |before: i32, new: usize, uncounted: usize| {
            before.saturating_add(i32::try_from(new + uncounted).unwrap_or(i32::MAX))
        };
        let status = &self.job.status;
        self.succeeded = total(status.succeeded, succeeded.len(), self.uncounted_succeeded.len());
        self.failed = total(status.failed, counting, self.uncounted_failed.len());
        self.backoff = self.backoff.after(&succeeded, &failed);
    }

    /// Decides whether the Job ends, and how. Returns the time left until its deadline.
    fn judge(&mut self, resumed: Option<Condition>, ctx: &Ctx<'_>) -> Option<SimDuration> {
        let now = ctx.timestamp();
        let mut wait = None;
        self.ending = conditions::holding(&self.job, SUCCESS_CRITERIA_MET).cloned();
        if self.ending.is_none()
            && let Some(target) = conditions::holding(&self.job, FAILURE_TARGET)
        {
            self.ending = Some(conditions::new(FAILED, target.reason.clone(), target.message.clone(), now));
        }
        self.ending = self.ending.take().or(resumed);
        if self.ending.is_none()
            && let Some(message) = self.failed_by_policy()
        {
            self.ending = Some(conditions::new(FAILURE_TARGET, "PodFailurePolicy", message, now));
        }
        let fail = |reason: &'static str, message: &'static str| {
            Some(conditions::new(FAILURE_TARGET, reason, message, now))
        };
        if self.ending.is_none() {
            let left = self.until_deadline(ctx);
            if self.failed > self.job.backoff_limit || self.restarts_exceed_limit() {
                self.ending = fail("BackoffLimitExceeded", "Job has reached the specified backoff limit");
            } else if left == Some(SimDuration::ZERO) {
                self.ending = fail("DeadlineExceeded", "Job was active longer than specified deadline");
            } else {
                wait = left;
            }
        }
        if self.job.indexed {
            self.judge_indexes(&fail);
            let policy = self.job.success_policy.clone();
            if self.ending.is_none()
                && let Some(policy) = policy
                && let Some(message) =
                    policies::success(&policy.value, self.completions(), &self.succeeded_indexes)
            {
                self.ending = Some(conditions::new(SUCCESS_CRITERIA_MET, "SuccessPolicy", message, now));
            }
        }
        wait
    }

    fn judge_indexes(&mut self, fail: &dyn Fn(&'static str, &'static str) -> Option<Condition>) {
        let completions = self.completions();
        self.old_succeeded_indexes = Intervals::parse(&self.job.status.completed_indexes, completions);
        let new = |ended: &dyn Fn(&Pod) -> bool| -> BTreeSet<i32> {
            let pods = self.pods.iter().filter(|p| is_tracked(p) && ended(p));
            pods.filter_map(|p| valid_index(p, &self.job)).collect()
        };
        let succeeded = new(&|p| p.status.phase == Phase::Succeeded);
        let failed = new(&|p| self.index_has_failed(p));
        self.succeeded_indexes = self.old_succeeded_indexes.with(&succeeded);
        self.succeeded = self.succeeded_indexes.total();
        if self.job.backoff_limit_per_index.is_none() {
            return;
        }
        let before = self.job.status.failed_indexes.as_deref().unwrap_or_default();
        let failed = Intervals::parse(before, completions).with(&failed);
        let (failures, successes) = (failed.total(), self.succeeded_indexes.total());
        self.failed_indexes = Some(failed);
        if self.ending.is_none() {
            if self.job.max_failed_indexes.is_some_and(|max| failures > max) {
                let message = "Job has exceeded the specified maximal number of failed indexes";
                self.ending = fail("MaxFailedIndexesExceeded", message);
            } else if failures > 0 && failures.saturating_add(successes) >= completions {
                self.ending = fail("FailedIndexes", "Job has failed indexes");
            }
        }
        self.keep_last_failures();
    }

    /// Whether this Pod's failure makes its index fail.
    fn index_has_failed(&self, pod: &Pod) -> bool {
        let Some(limit) = self.job.backoff_limit_per_index else { return false };
        is_failed(pod, &self.job)
            && match policies::judge(&self.job, pod) {
                Verdict::FailIndex => true,
                Verdict::Ignore => false,
                Verdict::Count | Verdict::FailJob(_) => index_failures(pod) >= limit,
            }
    }

    /// The last failed Pod of every index that shall be tried again carries the count of its failures.
    fn keep_last_failures(&mut self) {
        let running = super::pods::indexes_of(&self.active);
        let mut kept: BTreeMap<i32, Arc<Pod>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|p| is_tracked(p) && is_failed(p, &self.job)) {
            let Some(index) = valid_index(pod, &self.job) else { continue };
            let settled = self.succeeded_indexes.has(index)
                || self.failed_indexes.as_ref().is_some_and(|f| f.has(index))
                || running.contains(&index);
            let is_later = |old: &Arc<Pod>| {
                index_all_failures(old) <= index_all_failures(pod) && finish_time(pod) >= finish_time(old)
            };
            if !settled && kept.get(&index).is_none_or(is_later) {
                kept.insert(index, pod.clone());
            }
        }
        self.kept_per_index = kept;
    }

    pub(super) fn completions(&self) -> i32 {
        self.job.completions.unwrap_or(0)
    }

    fn failed_by_policy(&self) -> Option<String> {
        self.job.pod_failure_policy.as_ref()?;
        let failed = self.pods.iter().filter(|p| is_failed(p, &self.job));
        failed
            .filter_map(|p| match policies::judge(&self.job, p) {
                Verdict::FailJob(message) => Some(message),
                Verdict::Count | Verdict::Ignore | Verdict::FailIndex => None,
            })
            .next()
    }

    /// With `OnFailure`: whether containers of live Pods have started again too often.
    fn restarts_exceed_limit(&self) -> bool {
        if self.job.template.spec.restart_policy != RestartPolicy::OnFailure {
            return false;
        }
        let live = self.pods.iter().filter(|p| matches!(p.status.phase, Phase::Running | Phase::Pending));
        let restarts: i64 = live
            .flat_map(|p| p.status.init_containers.iter().chain(&p.status.containers))
            .map(|s| i64::from(s.restart_count))
            .sum();
        match self.job.backoff_limit {
            0 => restarts > 0,
            limit => restarts >= i64::from(limit),
        }
    }

    /// What is left of `activeDeadlineSeconds`; none if there is no deadline or the Job is held.
    fn until_deadline(&self, ctx: &Ctx<'_>) -> Option<SimDuration> {
        let seconds = self.job.active_deadline_seconds.filter(|_| !self.job.suspend)?;
        let start = ctx.store().calendar().instant(self.job.status.start_time?);
        Some(SimDuration::from_api_secs(seconds).saturating_sub(ctx.now().since(start)))
    }

    fn is_complete(&self, active: i32) -> bool {
        active == 0
            && match self.job.completions {
                Some(completions) => self.succeeded >= completions,
                None => self.succeeded > 0,
            }
    }

    /// Says that the Job is held or goes on. True if that is new. Going on restarts the clock.
    fn note_suspension(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let now = ctx.timestamp();
        let (status, reason, word, message) = match self.job.suspend {
            true => (ConditionStatus::True, "JobSuspended", "Suspended", "Job suspended"),
            false => (ConditionStatus::False, "JobResumed", "Resumed", "Job resumed"),
        };
        let changed =
            conditions::ensure(&mut self.job, Condition::new(SUSPENDED, status, reason, message, now));
        if changed {
            ctx.event(ObjectRef::to(&self.job), EventType::Normal, word, message);
            if !self.job.suspend {
                self.job.status.start_time = Some(now);
            }
        }
        changed
    }
}
