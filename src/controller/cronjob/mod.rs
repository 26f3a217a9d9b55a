//! The CronJob controller: a Job whenever the clock says so.
//!
//! Upstream: `pkg/controller/cronjob/{cronjob_controllerv2,utils}.go`, v1.34.
//!
//! * [`due`]: which time is due, and when the next one is. * [`history`]: Jobs that have ended.
//! * [`start`]: a Job for a time.
//!
//! # Fidelity
//! The clock of the controller and that of the API server are the same one. A CronJob of the name of an earlier
//! one does not take that one's Jobs for its own (upstream compares names).

mod due;
mod history;
mod start;
#[cfg(test)]
mod tests;

use due::Clockwork;

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::cron::{Schedule, Zone};
use crate::api::workload::{CronJob, Job};
use crate::api::{EventType, Kind, Meta, ObjectKey, ObjectRef, Resource};
use crate::base::{Arc, Str};
use crate::store::{Change, Store};

/// The task that reports a schedule that cannot be read.
const UNREADABLE: &str = "unreadable-schedule";

/// The CronJob controller.
#[derive(Clone, Debug)]
pub struct CronJobController {
    workers: usize,
}

impl CronJobController {
    /// With `--concurrent-cron-job-syncs`.
    pub const fn new(workers: usize) -> Self {
        Self { workers }
    }
}

impl Controller for CronJobController {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::CronJob, Kind::Job]
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::CronJob => {
                if let Some((old, new)) = change.of::<CronJob>() {
                    cron_job_changed(old, new, change.key(), store, out);
                }
            }
            Kind::Job => {
                if let Some((old, new)) = change.of::<Job>() {
                    let before = old.and_then(|job| owner_of(&job.meta, store));
                    let after = new.and_then(|job| owner_of(&job.meta, store));
                    for owner in
                        before.iter().chain(after.iter().filter(|after| before.as_ref() != Some(after)))
                    {
                        out.now(WorkKey::sync(owner.clone()));
                    }
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(live) = ctx.store().get::<CronJob>(&key.key).cloned() else { return Action::Done };
        if key.task == UNREADABLE {
            let text = format!("unparseable schedule for cronjob: {}", live.schedule);
            ctx.event(ObjectRef::to(&*live), EventType::Warning, "UnParseableCronJobSchedule", text);
            return Action::Done;
        }
        sync(&live, ctx)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The CronJob that manages an object.
fn owner_of(meta: &Meta, store: &Store) -> Option<ObjectKey> {
    let reference = meta.controller().filter(|owner| owner.kind == Kind::CronJob.name())?;
    let found = store.find::<CronJob>(&meta.namespace, &reference.name)?;
    (found.meta.uid == reference.uid).then(|| found.key())
}

/// A new schedule is looked at when it fires; any other change at once.
fn cron_job_changed(
    old: Option<&Arc<CronJob>>,
    new: Option<&Arc<CronJob>>,
    key: ObjectKey,
    store: &Store,
    out: &mut Enqueue,
) {
    let (Some(old), Some(new)) = (old, new) else { return out.now(WorkKey::sync(key)) };
    if old.schedule == new.schedule && old.time_zone == new.time_zone {
        return out.now(WorkKey::sync(key));
    }
    match Clockwork::of(new) {
        Ok(clockwork) => {
            let wait = clockwork.wait(new, store.now(), store.calendar());
            if let Some(wait) = wait {
                out.after(WorkKey::sync(key), wait);
            }
        }
        Err(_) => out.now(WorkKey::task(UNREADABLE, key)),
    }
}

/// One sync: forget old Jobs, learn what became of running ones, start what is due.
///
/// The status is written once, at the end.
fn sync(live: &Arc<CronJob>, ctx: &mut Ctx<'_>) -> Action {
    let mut cron_job = CronJob::clone(live);
    let jobs = jobs_of(ctx.store(), live);
    history::clean_up(&mut cron_job, &jobs, ctx);
    history::settle(&mut cron_job, &jobs, ctx);
    let result = if cron_job.meta.is_deleting() { Ok(None) } else { proceed(&mut cron_job, ctx) };
    let written = ctx.update::<CronJob>(&live.key(), |live| {
        live.active = cron_job.active;
        live.last_schedule_time = cron_job.last_schedule_time;
        live.last_successful_time = cron_job.last_successful_time;
    });
    match (result, written) {
        (_, Err(error)) if error.is_not_found() => Action::Done,
        (_, Err(error)) => Action::Retry(error.to_string().into()),
        (Err(error), Ok(_)) => Action::Retry(error),
        (Ok(None), Ok(_)) => Action::Done,
        (Ok(Some(wait)), Ok(_)) => Action::After(wait),
    }
}

/// The Jobs that a CronJob manages, oldest first.
fn jobs_of(store: &Store, cron_job: &CronJob) -> Vec<Arc<Job>> {
    let owned = store.dependents(&cron_job.meta.uid);
    let managed = |job: &&Arc<Job>| job.meta.is_controlled_by(&cron_job.meta.uid);
    owned.iter().filter_map(Job::unwrap).filter(managed).cloned().collect()
}

/// Starts a Job if one is due, and tells how long until the next look.
///
/// # Errors
/// A call was refused; the sync is tried again.
fn proceed(cron_job: &mut CronJob, ctx: &mut Ctx<'_>) -> Result<Option<crate::base::SimDuration>, Str> {
    let about = ObjectRef::to(cron_job);
    if let Some(Err(why)) = cron_job.time_zone.as_ref().map(|zone| Zone::find(zone)) {
        let zone = cron_job.time_zone.clone().unwrap_or_default();
        ctx.event(
            about,
            EventType::Warning,
            "UnknownTimeZone",
            format!("invalid timeZone: \"{zone}\": {why}"),
        );
        return Ok(None);
    }
    if cron_job.suspend {
        return Ok(None);
    }
    if let Err(why) = Schedule::parse(&cron_job.schedule) {
        let text = format!("unparseable schedule: \"{}\" : {why}", cron_job.schedule);
        ctx.event(about, EventType::Warning, "UnparseableSchedule", text);
        return Ok(None);
    }
    let clockwork = Clockwork::of(cron_job)?;
    start::run(cron_job, &clockwork, ctx)
}
