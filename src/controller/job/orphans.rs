//! Finalizers of Pods whose Job is gone or has ended.
//!
//! Upstream: `syncOrphanPod` in `pkg/controller/job/job_controller.go`, v1.34.

use super::plan::remove_finalizer;
use super::pods::is_tracked;
use super::{conditions, controlling, is_managed_elsewhere};
use crate::api::workload::Job;
use crate::api::{Kind, LabelSelector, ObjectKey, Pod};
use crate::base::Str;
use crate::controller::framework::{Action, Ctx, WorkKey};
use crate::store::Store;

/// The task about one Pod.
pub(super) const POD: &str = "orphan-pod";
/// The task about all Pods that a Job selected; its key has the selector in the place of the name.
pub(super) const SELECTOR: &str = "orphan-pods";

/// The task about a Pod.
pub(super) fn pod_key(pod: &Pod) -> WorkKey {
    WorkKey::task(POD, pod.meta.key())
}

/// The task about the Pods of a Job.
pub(super) fn selector_key(job: &Job) -> WorkKey {
    let key = ObjectKey::new(job.meta.namespace.clone(), Str::from(job.selector.to_string()));
    WorkKey::task(SELECTOR, key)
}

/// Whether the Pod is held by a finalizer that its Job will not remove.
fn is_orphan(pod: &Pod, store: &Store) -> bool {
    if !is_tracked(pod) {
        return false;
    }
    match pod.meta.controller() {
        None => true,
        Some(owner)
            if owner.kind != Kind::Job.name() || owner.api_version != Kind::Job.info().api_version =>
        {
            false
        }
        Some(_) => controlling(&pod.meta, store)
            .is_none_or(|job| !is_managed_elsewhere(job) && conditions::finished(job).is_some()),
    }
}

/// Removes the finalizer of one Pod.
pub(super) fn sync_pod(key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
    let orphaned = ctx.store().get::<Pod>(key).is_some_and(|p| is_orphan(p, ctx.store()));
    match orphaned.then(|| remove_finalizer(ctx, key)) {
        Some(Err(error)) if !error.is_not_found() => Action::Retry(error.to_string().into()),
        Some(_) | None => Action::Done,
    }
}

/// Removes the finalizers of all Pods that a selector selects.
pub(super) fn sync_selector(key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
    let Ok(selector) = LabelSelector::parse(&key.name) else { return Action::Done };
    let store = ctx.store();
    let pods = store.select_pods(&key.namespace, &selector);
    let orphans: Vec<_> = pods.iter().filter(|p| is_orphan(p, store)).map(|p| p.meta.key()).collect();
    for pod in orphans {
        let wait = ctx.throttled();
        if !wait.is_zero() {
            return Action::After(wait);
        }
        // A Pod that is gone needs no finalizer removed.
        let _ = remove_finalizer(ctx, &pod);
    }
    Action::Done
}
