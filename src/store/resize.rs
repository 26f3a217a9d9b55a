//! Changes of a Pod's resources: only by its subresource `resize`, and only those that a kubelet can make in place.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` `ValidatePodResize` and `ValidatePodUpdate`, v1.34.
//!
//! # Fidelity
//!
//! Of an ordinary update only its resources are looked at; upstream refuses whatever else may not change.

use crate::api::k8s::core::v1 as core;
use crate::api::{Pod, ResourceList};

/// What an ordinary update of a Pod may change.
const UPDATES: &str = "spec: Forbidden: pod updates may not change fields other than \
`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Refuses an ordinary update that changes resources of containers.
///
/// # Errors
/// The API server's sentence.
pub fn check_update(old: &Pod, new: &Pod) -> Result<(), String> {
    if resources(old) == resources(new) { Ok(()) } else { Err(invalid(old, &[UPDATES.to_owned()])) }
}

/// Refuses a resize that no kubelet could make in place.
///
/// # Errors
/// The API server's sentence, with all that is wrong.
pub fn check_resize(old: &Pod, new: &Pod) -> Result<(), String> {
    if old.spec.pod_requests.is_some() || new.spec.pod_requests.is_some() {
        return Err(invalid(old, &["Forbidden: pods with pod-level resources cannot be resized".to_owned()]));
    }
    if old.meta.annotations.contains_key("kubernetes.io/config.mirror") {
        return Err(invalid(old, &["Forbidden: static pods cannot be resized".to_owned()]));
    }
    let mut wrong = Vec::new();
    if old.spec.qos != new.spec.qos {
        let class = new.spec.qos.as_str();
        wrong.push(format!(
            "spec: Invalid value: \"{class}\": Pod QOS Class may not change as a result of resizing"
        ));
    }
    for (index, (had, has)) in resources(old).into_iter().zip(resources(new)).enumerate() {
        for (place, had, has) in [("requests", had.0, has.0), ("limits", had.1, has.1)] {
            if had.0.keys().any(|name| !has.0.contains_key(name)) {
                wrong.push(format!(
                    "spec.containers[{index}].resources.{place}: Forbidden: resource {place} cannot be removed"
                ));
            }
        }
    }
    if without_resources(&old.spec.raw) != without_resources(&new.spec.raw) {
        wrong.push("spec: Forbidden: only cpu and memory resources are mutable".to_owned());
    }
    if wrong.is_empty() { Ok(()) } else { Err(invalid(old, &wrong)) }
}

/// Requests and limits of the regular containers.
fn resources(pod: &Pod) -> Vec<(ResourceList, ResourceList)> {
    pod.spec.containers.iter().map(|c| (c.requests.clone(), c.limits.clone())).collect()
}

/// The spec without CPU and memory of regular containers and sidecars.
fn without_resources(spec: &core::PodSpec) -> core::PodSpec {
    let mut spec = spec.clone();
    let sidecars =
        spec.init_containers.iter_mut().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    for container in spec.containers.iter_mut().chain(sidecars) {
        let Some(resources) = &mut container.resources else { continue };
        for list in [&mut resources.requests, &mut resources.limits] {
            list.iter_mut().for_each(|list| list.retain(|name, _| name != "cpu" && name != "memory"));
            list.take_if(|list| list.is_empty());
        }
        container.resources.take_if(|resources| *resources == core::ResourceRequirements::default());
    }
    spec
}

fn invalid(pod: &Pod, wrong: &[String]) -> String {
    let wrong = if wrong.len() == 1 { wrong[0].clone() } else { format!("[{}]", wrong.join(", ")) };
    format!("The Pod \"{}\" is invalid: {wrong}", pod.meta.name)
}
