//! Jobs that have ended, or are gone.
//!
//! Upstream: `cleanupFinishedJobs` and the first half of `syncCronJob` in
//! `pkg/controller/cronjob/cronjob_controllerv2.go`, v1.34.

use crate::api::workload::{CronJob, Job};
use crate::api::{EventType, ObjectKey, ObjectRef, Resource};
use crate::base::Arc;
use crate::controller::framework::Ctx;
use crate::store::{DeleteOptions, Propagation};

/// Deletes the oldest ended Jobs beyond the limits.
pub(super) fn clean_up(cron_job: &mut CronJob, jobs: &[Arc<Job>], ctx: &mut Ctx<'_>) {
    for (kind, limit) in
        [("Complete", cron_job.successful_jobs_history_limit), ("Failed", cron_job.failed_jobs_history_limit)]
    {
        let mut ended: Vec<&Arc<Job>> =
            jobs.iter().filter(|job| job.finished().is_some_and(|c| c.kind == kind)).collect();
        let excess = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        // Jobs that never began come last.
        ended.sort_by_key(|job| {
            let start = job.status.start_time;
            (start.is_none(), start, job.meta.name.clone())
        });
        for job in ended.into_iter().take(excess) {
            delete(cron_job, job, ctx);
        }
    }
}

/// Deletes a Job and forgets it. False if that was refused.
pub(super) fn delete(cron_job: &mut CronJob, job: &Job, ctx: &mut Ctx<'_>) -> bool {
    let about = ObjectRef::to(cron_job);
    if let Err(error) = ctx.delete::<Job>(&job.key(), &DeleteOptions::with(Propagation::Background)) {
        ctx.event(about, EventType::Warning, "FailedDelete", format!("Deleted job: {error}"));
        return false;
    }
    cron_job.active.retain(|(_, uid)| *uid != job.meta.uid);
    ctx.event(about, EventType::Normal, "SuccessfulDelete", format!("Deleted job {}", job.meta.name));
    true
}

/// Brings the list of running Jobs in line with what there is.
pub(super) fn settle(cron_job: &mut CronJob, jobs: &[Arc<Job>], ctx: &mut Ctx<'_>) {
    let about = ObjectRef::to(cron_job);
    for job in jobs {
        let name = &job.meta.name;
        let listed = cron_job.active.iter().any(|(_, uid)| *uid == job.meta.uid);
        let Some(end) = job.finished() else {
            if !listed {
                let text = format!("Saw a job that the controller did not create or forgot: {name}");
                ctx.event(about.clone(), EventType::Warning, "UnexpectedJob", text);
            }
            continue;
        };
        if listed {
            cron_job.active.retain(|(_, uid)| *uid != job.meta.uid);
            let text = format!("Saw completed job: {name}, condition: {}", end.kind);
            ctx.event(about.clone(), EventType::Normal, "SawCompletedJob", text);
        }
        if end.kind == "Complete" {
            cron_job.last_successful_time = cron_job.last_successful_time.max(job.status.completion_time);
        }
    }
    let missing: Vec<_> = cron_job
        .active
        .iter()
        .filter(|(_, uid)| !jobs.iter().any(|job| job.meta.uid == *uid))
        .filter(|(name, _)| {
            let key = ObjectKey::new(cron_job.meta.namespace.clone(), name.clone());
            ctx.store().get::<Job>(&key).is_none()
        })
        .cloned()
        .collect();
    for (name, uid) in missing {
        ctx.event(about.clone(), EventType::Normal, "MissingJob", format!("Active job went missing: {name}"));
        cron_job.active.retain(|(_, other)| *other != uid);
    }
}
