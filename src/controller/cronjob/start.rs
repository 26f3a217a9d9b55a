//! A Job for a time that has come, if the policy allows it.
//!
//! Upstream: the second half of `syncCronJob` in `pkg/controller/cronjob/cronjob_controllerv2.go`, v1.34.

use super::due::Clockwork;
use super::history;
use crate::api::workload::{CronJob, Job};
use crate::api::{EventType, Lasting, ObjectKey, ObjectRef, OwnerReference};
use crate::base::{SimDuration, Str, Timestamp};
use crate::controller::framework::Ctx;
use crate::store::ApiError;

/// The annotation of a Job with the time it stands for.
const SCHEDULED_TIMESTAMP: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Starts what is due, and tells how long until the next look.
///
/// # Errors
/// A call was refused; the sync is tried again.
pub(super) fn run(
    cron_job: &mut CronJob,
    clockwork: &Clockwork,
    ctx: &mut Ctx<'_>,
) -> Result<Option<SimDuration>, Str> {
    let about = ObjectRef::to(cron_job);
    let wait =
        |cron_job: &CronJob, ctx: &Ctx<'_>| Ok(clockwork.wait(cron_job, ctx.now(), ctx.store().calendar()));
    let due = match clockwork.due(cron_job, ctx.timestamp(), true) {
        Ok(due) => due,
        Err(why) => {
            let text = format!("invalid schedule: {} : {why}", cron_job.schedule);
            ctx.event(about, EventType::Warning, "InvalidSchedule", text);
            return Ok(None);
        }
    };
    let Some(time) = due.recent else { return wait(cron_job, ctx) };
    if due.too_many() {
        let text =
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        ctx.event(about.clone(), EventType::Warning, "TooManyMissedTimes", text);
    }
    if is_too_late(cron_job, time, ctx) {
        let text = format!("Missed scheduled time to start a job: {}", rfc1123z(time));
        ctx.event(about, EventType::Warning, "MissSchedule", text);
        return wait(cron_job, ctx);
    }
    let name = job_name(cron_job, time);
    if cron_job.active.iter().any(|(other, _)| *other == name) || cron_job.last_schedule_time == Some(time) {
        return wait(cron_job, ctx);
    }
    if cron_job.concurrency_policy == "Forbid" && !cron_job.active.is_empty() {
        let text = "Not starting job because prior execution is running and concurrency policy is Forbid";
        ctx.event(about, EventType::Normal, "JobAlreadyActive", text);
        return wait(cron_job, ctx);
    }
    if cron_job.concurrency_policy == "Replace" {
        replace(cron_job, ctx)?;
    }
    let job = job_for(cron_job, name, time, clockwork);
    if create(cron_job, job, time, ctx)? { wait(cron_job, ctx) } else { Ok(None) }
}

/// Creates the Job. False if there is one already and nothing is left to do.
fn create(cron_job: &mut CronJob, job: Job, time: Timestamp, ctx: &mut Ctx<'_>) -> Result<bool, Str> {
    let about = ObjectRef::to(cron_job);
    let key = job.meta.key();
    let created = match ctx.create(job) {
        Ok(created) => {
            let text = format!("Created job {}", created.meta.name);
            ctx.event(about, EventType::Normal, "SuccessfulCreate", text);
            created
        }
        Err(ApiError::AlreadyExists { .. }) => {
            let found = ctx.store().get::<Job>(&key).cloned();
            let ours = |job: &Job| {
                job.meta.is_controlled_by(&cron_job.meta.uid)
                    && !cron_job.active.iter().any(|(_, uid)| *uid == job.meta.uid)
            };
            let Some(found) = found.filter(|job| ours(job)) else { return Ok(false) };
            found
        }
        Err(error) => {
            if !error.is_namespace_terminating() {
                let text = format!("Error creating job: {error}");
                ctx.event(about, EventType::Warning, "FailedCreate", text);
            }
            return Err(error.to_string().into());
        }
    };
    cron_job.active.push((created.meta.name.clone(), created.meta.uid.clone()));
    cron_job.last_schedule_time = Some(time);
    Ok(true)
}

fn is_too_late(cron_job: &CronJob, time: Timestamp, ctx: &Ctx<'_>) -> bool {
    let calendar = ctx.store().calendar();
    cron_job.starting_deadline_seconds.is_some_and(|s| calendar.instant(time.plus_secs(s)) < ctx.now())
}

/// Deletes the Jobs that still run.
fn replace(cron_job: &mut CronJob, ctx: &mut Ctx<'_>) -> Result<(), Str> {
    for (name, _) in cron_job.active.clone() {
        let key = ObjectKey::new(cron_job.meta.namespace.clone(), name);
        let Some(job) = ctx.store().get::<Job>(&key).cloned() else {
            let error = ApiError::not_found(crate::api::Kind::Job, &key);
            ctx.event(ObjectRef::to(cron_job), EventType::Warning, "FailedGet", format!("Get job: {error}"));
            return Err(error.to_string().into());
        };
        if !history::delete(cron_job, &job, ctx) {
            return Err(format!("could not replace job {key}").into());
        }
    }
    Ok(())
}

/// `<cronjob>-<minutes since the epoch>`.
fn job_name(cron_job: &CronJob, time: Timestamp) -> Str {
    format!("{}-{}", cron_job.meta.name, time.secs().div_euclid(60)).into()
}

fn job_for(cron_job: &CronJob, name: Str, time: Timestamp, clockwork: &Clockwork) -> Job {
    let template = &*cron_job.job_template;
    let annotations = template.meta.annotations.with(SCHEDULED_TIMESTAMP, clockwork.zone.rfc3339(time));
    Job {
        meta: Lasting {
            labels: template.meta.labels.clone(),
            annotations,
            owners: vec![OwnerReference::controller_of(cron_job)].into(),
            ..Lasting::named(cron_job.meta.namespace.clone(), name)
        }
        .into(),
        ..template.clone()
    }
}

/// `Mon, 05 Jan 2026 08:00:00 +0000`.
fn rfc1123z(time: Timestamp) -> String {
    let Ok(at) = jiff::Timestamp::from_second(time.secs()) else { return time.to_rfc3339() };
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
