//! The eviction subresource: a deletion that asks the budgets first.
//!
//! Upstream: `pkg/registry/core/pod/storage/eviction.go`, v1.34.
//!
//! # Fidelity
//! Nobody writes between the look at a budget and its charge, so that there are no conflicts to try again after
//! (upstream: 20 times, 500 ms apart).

use super::{budgets_of, status};
use crate::api::pod::cond;
use crate::api::policy::PodDisruptionBudget;
use crate::api::{Condition, ConditionStatus, Kind, ObjectKey, Phase, Pod, Resource, condition};
use crate::base::{Str, text::lit};
use crate::store::{ApiError, DeleteOptions, Store};

/// Granted evictions that a budget remembers while the controller has not seen the deletions.
const DISRUPTED_PODS_MAX: usize = 2000;

/// Evicts a Pod if its disruption budget allows it.
///
/// # Errors
/// The Pod is not there (404), its namespace is being deleted (403), its budget allows no disruption or is not up to
/// date (429), or several budgets select it (500).
pub fn evict(store: &mut Store, pod: &ObjectKey, grace_seconds: Option<i64>) -> Result<(), ApiError> {
    let live = store.get::<Pod>(pod).cloned().ok_or_else(|| ApiError::not_found(Kind::Pod, pod))?;
    // An eviction is created, like any other content.
    store.check_content(&pod.namespace, Kind::Pod, &pod.name)?;
    if !ignores_budgets(&live) {
        let budgets: Vec<_> = budgets_of(store, &live).take(2).cloned().collect();
        match budgets.as_slice() {
            [] => {}
            [budget] => spend(store, budget, &live)?,
            _ => {
                return Err(ApiError::Internal(lit!(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
                )));
            }
        }
    }
    mark_and_delete(store, pod, grace_seconds)
}

/// Pods that have ended, or not begun, disrupt nothing any more.
fn ignores_budgets(pod: &Pod) -> bool {
    pod.meta.is_deleting() || matches!(pod.status.phase, Phase::Succeeded | Phase::Failed | Phase::Pending)
}

fn spend(store: &mut Store, budget: &PodDisruptionBudget, pod: &Pod) -> Result<(), ApiError> {
    if !pod.is_ready() {
        // A Pod that is not healthy takes nothing from the budget; by default it may go if the others suffice.
        let suffices = budget.current_healthy >= budget.desired_healthy && budget.desired_healthy > 0;
        if budget.always_allow_unhealthy || suffices {
            return Ok(());
        }
    }
    check(budget)?;
    let now = store.timestamp();
    let name = pod.meta.name.clone();
    store.update::<PodDisruptionBudget>(&budget.key(), |live| {
        live.disruptions_allowed -= 1;
        if live.disruptions_allowed == 0 {
            status::set_condition(live, now);
        }
        live.disrupted_pods.retain(|(other, _)| *other != name);
        live.disrupted_pods.push((name, now));
        live.disrupted_pods.sort();
    })?;
    Ok(())
}

fn check(budget: &PodDisruptionBudget) -> Result<(), ApiError> {
    let name = &budget.meta.name;
    let forbidden = |why: &'static str| ApiError::forbidden(Kind::PodDisruptionBudget, name, why);
    if budget.observed_generation < budget.meta.generation {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(cause, Some(10)));
    }
    if budget.disruptions_allowed < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    if budget.disrupted_pods.len() > DISRUPTED_PODS_MAX {
        return Err(forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if budget.disruptions_allowed == 0 {
        let (needs, has) = (budget.desired_healthy, budget.current_healthy);
        let cause =
            format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently");
        return Err(too_many(cause, None));
    }
    Ok(())
}

fn too_many(cause: String, retry_after_seconds: Option<u32>) -> ApiError {
    ApiError::TooManyRequests {
        message: lit!("Cannot evict pod as it would violate the pod's disruption budget."),
        cause: cause.into(),
        retry_after_seconds,
    }
}

fn mark_and_delete(store: &mut Store, pod: &ObjectKey, grace_seconds: Option<i64>) -> Result<(), ApiError> {
    let now = store.timestamp();
    store.update::<Pod>(pod, |pod| {
        let target = Condition::new(
            cond::DISRUPTION_TARGET,
            ConditionStatus::True,
            "EvictionByEvictionAPI",
            Str::from("Eviction API: evicting"),
            now,
        );
        condition::set(&mut pod.status.conditions, target);
    })?;
    store.delete::<Pod>(pod, &DeleteOptions { grace_seconds, ..DeleteOptions::default() }).map(|_| ())
}
