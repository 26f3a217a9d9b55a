//! PodDisruptionBudgets: how many Pods may be evicted now.
//!
//! Upstream: `pkg/controller/disruption/disruption.go`, v1.34.
//!
//! * [`expected`]: how many Pods there should be. * [`status`]: what a budget says of them. * [`eviction`]: the
//!   eviction subresource of Pods, which spends the budget.
//!
//! # Fidelity
//! Upstream looks at a budget after every change of one of its Pods; here only after changes that it looks at
//! (readiness, deletion, labels, owners), so that `MultiplePodDisruptionBudgets` is said less often. Owners of
//! kinds that are not known have no scale. Conditions carry no `observedGeneration`.

pub mod eviction;
mod expected;
mod status;
#[cfg(test)]
mod tests;

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::pod::cond;
use crate::api::policy::PodDisruptionBudget;
use crate::api::{
    Condition, ConditionStatus, EventType, Kind, ObjectKey, ObjectRef, Pod, Resource, condition,
};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::controller::aspects::Aspects;
use crate::store::{Change, Store};

/// How long a Pod whose eviction was granted, or that was marked as a target, may take until it is deleted.
pub const DELETION_TIMEOUT: SimDuration = SimDuration::from_mins(2);
/// A Pod that carries `DisruptionTarget` and may be left alone after all.
const STALE: &str = "stale-pod-disruption";
/// A Pod that several budgets select.
const MULTIPLE: &str = "multiple-budgets";
/// The reason of the kubelet's own condition, which does not get stale.
const TERMINATION_BY_KUBELET: &str = "TerminationByKubelet";

/// The disruption controller.
#[derive(Clone, Debug, Default)]
pub struct DisruptionController;

impl Controller for DisruptionController {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PodDisruptionBudget, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::ADDED
            | Aspects::DELETED
            | Aspects::READY
            | Aspects::DELETION
            | Aspects::LABELS
            | Aspects::OWNERS
            | Aspects::DISRUPTED
    }

    fn needs(&self) -> Option<(Kind, Aspects)> {
        Some((Kind::PodDisruptionBudget, Aspects::DISRUPTED))
    }

    fn event_source(&self) -> &'static str {
        "controllermanager"
    }

    fn workers(&self) -> usize {
        1
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::PodDisruptionBudget => out.now(WorkKey::sync(change.key())),
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
            STALE => reset_stale_condition(&key.key, ctx),
            MULTIPLE => {
                report_several(&key.key, ctx);
                Action::Done
            }
            _ => status::sync(&key.key, ctx),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The budgets that select a Pod, oldest first.
pub(crate) fn budgets_of<'a>(
    store: &'a Store,
    pod: &'a Pod,
) -> impl Iterator<Item = &'a Arc<PodDisruptionBudget>> {
    store
        .list_in::<PodDisruptionBudget>(&pod.meta.namespace)
        .filter(|budget| budget.selector.matches(&pod.meta.labels))
}

fn pod_changed(old: Option<&Arc<Pod>>, new: Option<&Arc<Pod>>, store: &Store, out: &mut Enqueue) {
    let Some(pod) = new.or(old) else { return };
    let same = |a: &Pod, b: &Pod| {
        a.is_ready() == b.is_ready()
            && a.meta.deletion == b.meta.deletion
            && a.meta.labels == b.meta.labels
            && a.meta.owners == b.meta.owners
    };
    let matters = match (old, new) {
        (Some(old), Some(new)) => !same(old, new),
        _ => true,
    };
    if matters {
        let mut budgets = budgets_of(store, pod);
        if let Some(budget) = budgets.next() {
            out.now(WorkKey::sync(budget.key()));
            if budgets.next().is_some() {
                out.now(WorkKey::task(MULTIPLE, pod.key()));
            }
        }
    }
    if let Some(pod) = new
        && let Some(due) = stale_at(pod, store)
        && old.is_none_or(|old| stale_at(old, store) != Some(due))
    {
        out.after(WorkKey::task(STALE, pod.key()), due.since(store.now()));
    }
}

/// Says on a Pod that several budgets select it; only the first counts.
fn report_several(key: &ObjectKey, ctx: &mut Ctx<'_>) {
    let Some(pod) = ctx.store().get::<Pod>(key).cloned() else { return };
    let mut budgets = budgets_of(ctx.store(), &pod).map(|b| b.meta.name.clone());
    let (Some(first), Some(_)) = (budgets.next(), budgets.next()) else { return };
    drop(budgets);
    let message = format!(
        "Pod \"{}\"/\"{}\" matches multiple PodDisruptionBudgets.  Chose \"{first}\" arbitrarily.",
        key.namespace, key.name
    );
    ctx.event(ObjectRef::to(&*pod), EventType::Warning, "MultiplePodDisruptionBudgets", message);
}

/// When the condition `DisruptionTarget` of a Pod that nobody deletes is taken back; none if there is nothing to
/// take back.
fn stale_at(pod: &Pod, store: &Store) -> Option<SimTime> {
    if pod.meta.is_deleting() || pod.is_terminal() {
        return None;
    }
    let target = condition::find(&pod.status.conditions, cond::DISRUPTION_TARGET)?;
    if !target.is_true() || target.reason == TERMINATION_BY_KUBELET {
        return None;
    }
    Some(store.calendar().instant(target.transition?) + DELETION_TIMEOUT)
}

fn reset_stale_condition(key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
    let Some(pod) = ctx.store().get::<Pod>(key).cloned() else { return Action::Done };
    let Some(due) = stale_at(&pod, ctx.store()) else { return Action::Done };
    if due > ctx.now() {
        return Action::After(due.since(ctx.now()));
    }
    let now = ctx.timestamp();
    let written = ctx.update::<Pod>(key, |pod| {
        let lapsed =
            Condition::new(cond::DISRUPTION_TARGET, ConditionStatus::False, Str::new(), Str::new(), now);
        condition::set(&mut pod.status.conditions, lapsed);
    });
    match written {
        Ok(_) => Action::Done,
        Err(error) if error.is_not_found() => Action::Done,
        Err(error) => Action::Retry(error.to_string().into()),
    }
}
