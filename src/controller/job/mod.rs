//! The Job controller: Pods that run to their end, counted once each.
//!
//! Upstream: `pkg/controller/job`, v1.34.
//!
//! * [`sync`]: one sync. * [`manage`]: how many Pods, and which. * [`plan`]: calls that the rate limit interrupts.
//! * [`track`]: counting and the end. * [`policies`]: failure and success policies. * [`backoff`]: waiting after
//!   failures. * [`indexes`]: sets of indexes. * [`pods`]: what Pods say. * [`conditions`]: how Jobs end.
//! * [`orphans`]: finalizers that nobody would remove.

mod backoff;
pub mod conditions;
mod indexes;
mod manage;
mod orphans;
mod plan;
pub mod pods;
mod policies;
mod sync;
#[cfg(test)]
mod tests;
mod track;

use backoff::Record;
use manage::BATCH;
use plan::{Plan, Progressed, Work};
use sync::{Outcome, Resumed};

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::workload::Job;
use crate::api::{Kind, Meta, ObjectKey, Pod, Resource};
use crate::base::{Arc, LookupMap, SimDuration, Str};
use crate::controller::aspects::Aspects;
use crate::store::{Change, Store};

/// A failing sync is tried again after a second, doubling to a minute.
const RETRY_FIRST: SimDuration = SimDuration::from_secs(1);
const RETRY_LONGEST: SimDuration = SimDuration::from_mins(1);
/// `managedBy` of Jobs that this controller manages.
const OWN_NAME: &str = "kubernetes.io/job-controller";

/// The Job controller.
#[derive(Clone, Debug, Default)]
pub struct JobController {
    records: LookupMap<ObjectKey, Record>,
    plans: LookupMap<ObjectKey, Plan>,
    failures: LookupMap<WorkKey, u32>,
}

impl JobController {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self::default())
    }

    fn forget(&mut self, key: &ObjectKey) {
        self.records.remove(key);
        self.plans.remove(key);
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(job) = ctx.store().get::<Job>(key).cloned() else {
            self.forget(key);
            return Action::Done;
        };
        if is_managed_elsewhere(&job) {
            return Action::Done;
        }
        if conditions::finished(&job).is_some() {
            self.forget(key);
            return Action::Done;
        }
        let mut resumed = Resumed::default();
        if let Some(mut plan) = self.plans.remove(key).filter(|p| p.is_for(&job)) {
            match plan.run(ctx) {
                Progressed::Wait(wait) => {
                    self.plans.insert(key.clone(), plan);
                    return Action::After(wait);
                }
                Progressed::Done(failure) => resumed = resume(plan, failure),
            }
        }
        let record = self.records.get(key).copied().unwrap_or_default();
        let Outcome { action, plan, record } = sync::sync(&job, record, resumed, ctx);
        if let Some(plan) = plan {
            self.plans.insert(key.clone(), plan);
        }
        if let Some(record) = record {
            self.records.insert(key.clone(), record);
        }
        action
    }

    /// Failures wait longer than the work queue would have them wait.
    fn back_off(&mut self, key: &WorkKey, action: Action) -> Action {
        if let Action::Retry(_) = action {
            let failures = self.failures.or_insert_with(key.clone(), || 0);
            let wait = (RETRY_FIRST * (1u64 << (*failures).min(10))).min(RETRY_LONGEST);
            *failures += 1;
            return Action::After(wait);
        }
        self.failures.remove(key);
        action
    }
}

/// What the sync that follows finished work must know of it.
fn resume(plan: Plan, failure: Option<Str>) -> Resumed {
    match plan.work {
        Work::Create(_) => Resumed { managed: true, failure, ..Resumed::default() },
        Work::Delete(deletion) => {
            Resumed { managed: true, failure, ending: deletion.ending, untracked: false }
        }
        Work::Untrack { .. } => Resumed { failure, untracked: true, ..Resumed::default() },
    }
}

fn is_managed_elsewhere(job: &Job) -> bool {
    job.managed_by.as_ref().is_some_and(|by| by != OWN_NAME)
}

impl Controller for JobController {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Job, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::OF_MANAGERS | Aspects::FINALIZED
    }

    fn needs(&self) -> Option<(Kind, Aspects)> {
        Some((Kind::Job, Aspects::FINALIZED))
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::Job => {
                if let Some((old, new)) = change.of::<Job>() {
                    job_changed(old, new, store, out);
                }
            }
            Kind::Pod => {
                if let Some((old, new)) = change.of::<Pod>() {
                    pod_changed(old, new, store, out);
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        match key.task {
            orphans::POD => orphans::sync_pod(&key.key, ctx),
            orphans::SELECTOR => orphans::sync_selector(&key.key, ctx),
            _ => {
                let action = self.sync(&key.key, ctx);
                self.back_off(key, action)
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The Job that controls an object.
fn controlling<'s>(meta: &Meta, store: &'s Store) -> Option<&'s Arc<Job>> {
    let reference = meta.controller().filter(|c| c.kind == Kind::Job.name())?;
    store.find::<Job>(&meta.namespace, &reference.name).filter(|j| j.meta.uid == reference.uid)
}

fn job_changed(old: Option<&Arc<Job>>, new: Option<&Arc<Job>>, store: &Store, out: &mut Enqueue) {
    let Some(job) = new else {
        if let Some(job) = old {
            out.now(WorkKey::sync(job.key()));
            out.now(orphans::selector_key(job));
        }
        return;
    };
    let key = WorkKey::sync(job.key());
    let Some(old) = old else {
        out.now(key);
        return;
    };
    if conditions::finished(job).is_some() {
        out.now(orphans::selector_key(job));
        return;
    }
    if old.meta.generation == job.meta.generation {
        out.after(key.clone(), BATCH);
    } else {
        out.now(key.clone());
    }
    if let (Some(start), Some(seconds)) = (job.status.start_time, job.active_deadline_seconds)
        && old.active_deadline_seconds != Some(seconds)
    {
        let passed = store.now().since(store.calendar().instant(start));
        out.after(key, SimDuration::from_api_secs(seconds).saturating_sub(passed));
    }
}

fn pod_changed(old: Option<&Arc<Pod>>, new: Option<&Arc<Pod>>, store: &Store, out: &mut Enqueue) {
    let Some(pod) = new.or(old) else { return };
    let gone = new.is_none();
    let tracked = pods::is_tracked(pod);
    if gone || pod.meta.is_deleting() {
        match controlling(&pod.meta, store) {
            Some(job) if conditions::finished(job).is_none() => out.after(WorkKey::sync(job.key()), BATCH),
            // Nobody else would remove the finalizer.
            Some(_) | None if tracked && !gone => out.now(orphans::pod_key(pod)),
            Some(_) | None => {}
        }
        return;
    }
    let owner_changed = old.is_none_or(|o| o.meta.controller() != pod.meta.controller());
    if owner_changed && let Some(job) = old.and_then(|o| controlling(&o.meta, store)) {
        out.after(WorkKey::sync(job.key()), BATCH);
    }
    if pod.meta.controller().is_some() {
        if let Some(job) = controlling(&pod.meta, store) {
            out.after(WorkKey::sync(job.key()), BATCH);
        }
        return;
    }
    if tracked {
        out.now(orphans::pod_key(pod));
    }
    if owner_changed || old.is_none_or(|o| o.meta.labels != pod.meta.labels) {
        let selecting =
            store.list_in::<Job>(&pod.meta.namespace).filter(|j| j.selector.matches(&pod.meta.labels));
        selecting.for_each(|j| out.after(WorkKey::sync(j.key()), BATCH));
    }
}
