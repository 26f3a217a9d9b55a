//! One sync of a budget: count, compare, write the status.
//!
//! Upstream: `trySync` and `updatePdbStatus` in `pkg/controller/disruption/disruption.go`, v1.34.

use super::DELETION_TIMEOUT;
use super::expected::Expected;
use crate::api::policy::PodDisruptionBudget;
use crate::api::selector::Operator;
use crate::api::{
    Condition, ConditionStatus, EventType, LabelSelector, ObjectKey, ObjectRef, Pod, condition,
};
use crate::base::{Arc, SimTime, Str, Timestamp};
use crate::controller::framework::{Action, Ctx};
use crate::store::ApiError;

/// The condition of a budget.
pub(super) const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

pub(super) fn sync(key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
    let Some(budget) = ctx.store().get::<PodDisruptionBudget>(key).cloned() else { return Action::Done };
    let result = match try_sync(&budget, ctx) {
        Ok(recheck) => {
            let now = ctx.now();
            return recheck.map_or(Action::Done, |at| Action::After(at.since(now)));
        }
        Err(why) => fail_safe(key, ctx, why),
    };
    match result {
        Ok(()) => Action::Done,
        Err(error) if error.is_not_found() => Action::Done,
        Err(error) => Action::Retry(error.to_string().into()),
    }
}

/// Writes the status and tells when to look again.
fn try_sync(budget: &Arc<PodDisruptionBudget>, ctx: &mut Ctx<'_>) -> Result<Option<SimTime>, String> {
    let about = ObjectRef::to(&**budget);
    let pods: Vec<Arc<Pod>> =
        ctx.store().select_pods(&budget.meta.namespace, &budget.selector).into_iter().cloned().collect();
    if pods.is_empty() {
        ctx.event(about.clone(), EventType::Normal, "NoPods", "No matching pods found");
    }
    let expected = match Expected::of(ctx.store(), budget, &pods) {
        Ok(expected) => expected,
        Err(why) => {
            let text = format!("Failed to calculate the number of expected pods: {why}");
            ctx.event(about, EventType::Warning, "CalculateExpectedPodCountFailed", text);
            return Err(why);
        }
    };
    if expected.unmanaged {
        ctx.event(about, EventType::Warning, "UnmanagedPods", unmanaged_text(&budget.selector));
    }
    let (disrupted, recheck) = still_disrupted(budget, &pods, ctx);
    let healthy = count_healthy(&pods, &disrupted, ctx);
    write_status(budget, expected, healthy, disrupted, ctx).map_err(|error| error.to_string())?;
    Ok(recheck)
}

/// The Pods that are expected to be deleted soon, and when the first of them is given up.
fn still_disrupted(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    ctx: &mut Ctx<'_>,
) -> (Vec<(Str, Timestamp)>, Option<SimTime>) {
    let (mut kept, mut recheck) = (Vec::new(), None);
    if budget.disrupted_pods.is_empty() {
        return (kept, recheck);
    }
    for pod in pods.iter().filter(|p| !p.meta.is_deleting()) {
        let Some((name, at)) = budget.disrupted_pods.iter().find(|(name, _)| *name == pod.meta.name) else {
            continue;
        };
        let end = end_of(*at, ctx);
        if end < ctx.now() {
            // Upstream names the namespace in the place of the budget.
            let namespace = &budget.meta.namespace;
            let text = format!("Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't");
            ctx.event(ObjectRef::to(&**pod), EventType::Warning, "NotDeleted", text);
        } else {
            let after = end + crate::base::SimDuration::from_nanos(1);
            recheck = Some(recheck.map_or(after, |at: SimTime| at.min(after)));
            kept.push((name.clone(), *at));
        }
    }
    kept.sort();
    (kept, recheck)
}

fn end_of(granted: Timestamp, ctx: &Ctx<'_>) -> SimTime {
    ctx.store().calendar().instant(granted) + DELETION_TIMEOUT
}

fn count_healthy(pods: &[Arc<Pod>], disrupted: &[(Str, Timestamp)], ctx: &Ctx<'_>) -> i32 {
    let leaving = |pod: &Pod| {
        let entry = disrupted.binary_search_by(|(name, _)| name.cmp(&pod.meta.name));
        entry.is_ok_and(|i| end_of(disrupted[i].1, ctx) > ctx.now())
    };
    let healthy = pods.iter().filter(|p| !p.meta.is_deleting() && p.is_ready() && !leaving(p)).count();
    i32::try_from(healthy).unwrap_or(i32::MAX)
}

fn write_status(
    budget: &PodDisruptionBudget,
    expected: Expected,
    healthy: i32,
    disrupted: Vec<(Str, Timestamp)>,
    ctx: &mut Ctx<'_>,
) -> Result<(), ApiError> {
    let spare = healthy.saturating_sub(expected.healthy);
    let allowed = if expected.pods <= 0 { 0 } else { spare.max(0) };
    let now = ctx.timestamp();
    ctx.update::<PodDisruptionBudget>(&budget.meta.key(), |live| {
        live.current_healthy = healthy;
        live.desired_healthy = expected.healthy;
        live.expected_pods = expected.pods;
        live.disruptions_allowed = allowed;
        live.disrupted_pods = disrupted;
        live.observed_generation = live.meta.generation;
        set_condition(live, now);
    })?;
    Ok(())
}

/// Brings the condition in line with the number of disruptions allowed.
pub(super) fn set_condition(budget: &mut PodDisruptionBudget, now: Timestamp) {
    let allowed = budget.disruptions_allowed > 0;
    let reason = if allowed { "SufficientPods" } else { "InsufficientPods" };
    let status = ConditionStatus::of(allowed);
    condition::set(
        &mut budget.conditions,
        Condition::new(DISRUPTION_ALLOWED, status, reason, Str::new(), now),
    );
}

/// Nothing may be evicted while nobody knows how many Pods there should be.
fn fail_safe(key: &ObjectKey, ctx: &mut Ctx<'_>, why: String) -> Result<(), ApiError> {
    let now = ctx.timestamp();
    ctx.update::<PodDisruptionBudget>(key, |budget| {
        budget.disruptions_allowed = 0;
        let failed =
            Condition::new(DISRUPTION_ALLOWED, ConditionStatus::False, "SyncFailed", Str::from(why), now);
        condition::set(&mut budget.conditions, failed);
    })?;
    Ok(())
}

/// Upstream prints the selector as Go prints the structure.
fn unmanaged_text(selector: &LabelSelector) -> String {
    let (mut labels, mut expressions) = (String::new(), String::new());
    if let LabelSelector::Requirements(all) = selector {
        for r in all {
            if r.operator == Operator::In && r.values.len() == 1 {
                labels.push_str(&format!("{}: {},", r.key, r.values[0]));
            } else {
                let operator = match r.operator {
                    Operator::In => "In",
                    Operator::NotIn => "NotIn",
                    Operator::Exists => "Exists",
                    Operator::DoesNotExist => "DoesNotExist",
                    other => {
                        debug_assert!(false, "{other:?} in a label selector");
                        continue;
                    }
                };
                let values = r.values.iter().map(Str::as_str).collect::<Vec<_>>().join(" ");
                expressions.push_str(&format!(
                    "LabelSelectorRequirement{{Key:{},Operator:{operator},Values:[{values}],}},",
                    r.key
                ));
            }
        }
    }
    format!(
        "Pods selected by this PodDisruptionBudget (selector: &LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}) were found to be unmanaged. As a result, the status \
         of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods \
         please set \".spec.minAvailable\" field of the PDB to an integer value."
    )
}
