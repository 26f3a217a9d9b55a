//! Pods made from templates, and the Events that creating and deleting them bring.
//!
//! Upstream: `pkg/controller/controller_utils.go` (`RealPodControl`), v1.34.

use super::claim::Owner;
use crate::api::{
    ContainerState, ContainerStatus, EventType, Lasting, ObjectKey, Pod, PodStatus, PodTemplate,
};
use crate::base::{Arc, SimDuration, SimTime, Str, text::lit, time::Calendar};
use crate::controller::Ctx;
use crate::store::{ApiError, DeleteOptions};

/// A Pod from a template, managed by `owner`, with a name to be generated from the owner's. It shares the
/// template's spec. Callers give it another name, more labels, volumes of its own where their kind does.
pub fn pod_from_template(template: &PodTemplate, owner: &Owner) -> Pod {
    let name = &owner.object.name;
    let prefix = if name.len() < 253 { format!("{name}-").into() } else { name.clone() };
    let meta = Lasting {
        namespace: owner.namespace().clone(),
        generate_name: prefix,
        labels: template.labels.clone(),
        annotations: template.annotations.clone(),
        finalizers: template.finalizers.clone(),
        owners: vec![owner.reference.clone()].into(),
        ..Lasting::default()
    }
    .into();
    let node_name = template.raw.spec.as_ref().and_then(|s| s.node_name.as_deref());
    Pod {
        meta,
        spec: template.spec.clone(),
        node_name: node_name.filter(|n| !n.is_empty()).map(Str::from),
        status: PodStatus::default(),
    }
}

/// Creates a Pod and says so, or says why not. Nothing is said in a namespace that is being deleted.
///
/// # Errors
/// As [`Ctx::create`].
pub fn create_pod(ctx: &mut Ctx<'_>, pod: Pod, owner: &Owner) -> Result<Arc<Pod>, ApiError> {
    if pod.meta.labels.is_empty() {
        return Err(ApiError::Internal(lit!("unable to create pods, no labels")));
    }
    match ctx.create(pod) {
        Ok(pod) => {
            let message = format!("Created pod: {}", pod.meta.name);
            ctx.event(owner.object.clone(), EventType::Normal, lit!("SuccessfulCreate"), message);
            Ok(pod)
        }
        Err(error) => {
            if !error.is_namespace_terminating() {
                let message = format!("Error creating: {error}");
                ctx.event(owner.object.clone(), EventType::Warning, lit!("FailedCreate"), message);
            }
            Err(error)
        }
    }
}

/// Whether nothing of a Pod runs any more, or it is being deleted and nothing does.
///
/// Upstream: `pkg/volume/util/util.go` (`IsPodTerminated`), v1.34.
pub fn is_terminated(pod: &Pod) -> bool {
    let stopped = |c: &ContainerStatus| !matches!(c.state, ContainerState::Running { .. });
    pod.is_terminal() || pod.meta.is_deleting() && pod.status.containers.iter().all(stopped)
}

/// Deletes a Pod with its own grace and says so, or says why not. Nothing is said of a Pod that is gone.
///
/// # Errors
/// As [`Ctx::delete`]. Upstream's text for all but "not found" is `unable to delete pods: <error>`.
pub fn delete_pod(ctx: &mut Ctx<'_>, pod: &ObjectKey, owner: &Owner) -> Result<(), ApiError> {
    match ctx.delete::<Pod>(pod, &DeleteOptions::default()) {
        Ok(_) => {
            let message = format!("Deleted pod: {}", pod.name);
            ctx.event(owner.object.clone(), EventType::Normal, lit!("SuccessfulDelete"), message);
            Ok(())
        }
        Err(error) if error.is_not_found() => Err(error),
        Err(error) => {
            let message = format!("Error deleting: {error}");
            ctx.event(owner.object.clone(), EventType::Warning, lit!("FailedDelete"), message);
            Err(error)
        }
    }
}

/// How long until the next of `pods` that is ready becomes available.
///
/// Upstream: `FindMinNextPodAvailabilityCheck`.
pub fn next_availability<'a>(
    pods: impl IntoIterator<Item = &'a Arc<Pod>>,
    min_ready_seconds: i32,
    now: SimTime,
    calendar: Calendar,
) -> Option<SimDuration> {
    if min_ready_seconds <= 0 {
        return None;
    }
    pods.into_iter()
        .filter_map(|pod| pod.ready_condition().filter(|c| c.is_true()))
        .filter_map(|ready| ready.transition)
        .map(|since| calendar.instant(since.plus_secs(i64::from(min_ready_seconds))).since(now))
        .filter(|wait| !wait.is_zero())
        .min()
}
