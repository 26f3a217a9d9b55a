//! The quota controller: counts what is used, and takes new limits into the status.
//!
//! Upstream: `pkg/controller/resourcequota`, v1.34.
//!
//! # Fidelity
//! Upstream counts everything again every five minutes. Here only Pods that outlive their grace period, which stop
//! counting without any change, bring a count on that grid.

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::policy::ResourceQuota;
use crate::api::service::Service;
use crate::api::{Kind, Object, Pod, Resource};
use crate::base::{SimDuration, SimTime};
use crate::controller::aspects::Aspects;
use crate::store::{Change, Store, Verb, quota};

/// `--resource-quota-sync-period`.
const RESYNC: SimDuration = SimDuration::from_mins(5);

/// The quota controller.
#[derive(Clone, Debug)]
pub struct ResourceQuotaController {
    workers: usize,
}

impl ResourceQuotaController {
    /// With `--concurrent-resource-quota-syncs`.
    pub const fn new(workers: usize) -> Self {
        Self { workers }
    }
}

impl Controller for ResourceQuotaController {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn of_pods(&self) -> Aspects {
        Aspects::ADDED | Aspects::DELETED | Aspects::ENDED | Aspects::DELETION
    }

    fn needs(&self) -> Option<(Kind, Aspects)> {
        Some((Kind::ResourceQuota, Aspects::NONE))
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let meta = change.latest().meta();
        if meta.namespace.is_empty() {
            return;
        }
        if let Some((old, new)) = change.of::<ResourceQuota>() {
            if old.is_none() || old.map(|q| &q.hard) != new.map(|q| &q.hard) {
                out.now(WorkKey::sync(change.key()));
            }
            return;
        }
        if store.list_in::<ResourceQuota>(&meta.namespace).next().is_none() {
            return;
        }
        if frees(change) {
            enqueue(change, store, SimDuration::ZERO, out);
        }
        if let Some(wait) = overdue(change, store) {
            enqueue(change, store, wait, out);
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(quota) = ctx.store().get::<ResourceQuota>(&key.key).cloned() else { return Action::Done };
        let used = quota::total(ctx.store(), &quota);
        let written = ctx.update::<ResourceQuota>(&key.key, |quota| {
            quota.status_hard = quota.hard.clone();
            quota.used = used;
        });
        match written {
            Ok(_) => Action::Done,
            Err(error) if error.is_not_found() => Action::Done,
            Err(error) => Action::Retry(error.to_string().into()),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// Whether a change may free what a quota counts.
///
/// Upstream: the update filter of `pkg/quota/v1/install/update_filter.go`.
fn frees(change: &Change) -> bool {
    if change.verb == Verb::Deleted {
        return true;
    }
    if let Some((Some(old), Some(new))) = change.of::<Pod>() {
        return !old.is_terminal() && new.is_terminal();
    }
    if let Some((Some(old), Some(new))) = change.of::<Service>() {
        return old.service_type != new.service_type;
    }
    false
}

/// When a Pod that is now being deleted stops counting if it stays: the next count after its grace.
fn overdue(change: &Change, store: &Store) -> Option<SimDuration> {
    let (old, new) = change.of::<Pod>()?;
    let deletion = new?.meta.deletion?;
    if old.is_some_and(|old| old.meta.deletion == Some(deletion)) {
        return None;
    }
    let end = deletion.timestamp.plus_secs(deletion.grace_seconds?);
    let after: SimTime = store.calendar().instant(end) + SimDuration::from_nanos(1);
    Some(after.next_on_grid(SimDuration::ZERO, RESYNC).since(store.now()))
}

/// The quotas that count the object.
fn enqueue(change: &Change, store: &Store, wait: SimDuration, out: &mut Enqueue) {
    let object: &Object = change.object();
    for quota in store.list_in::<ResourceQuota>(&object.meta().namespace) {
        if quota.status_hard.0.keys().any(|resource| quota::counts(object.kind(), object, resource)) {
            out.after(WorkKey::sync(quota.key()), wait);
        }
    }
}
