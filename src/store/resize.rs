//! Changes of a Pod's resources: only by its subresource `resize`, and only those that a kubelet can make in place.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` `ValidatePodResize`, v1.34.

use super::Store;
use super::error::ApiError;
use crate::api::k8s::core::v1 as core;
use crate::api::{Kind, Pod, ResourceList};
use crate::base::Arc;

impl Store {
    /// Asks for other resources of a Pod, as its subresource `resize` does.
    ///
    /// # Errors
    /// No kubelet could make the change in place (422), or a quota refuses it; as [`Store::update`] besides.
    pub fn resize_pod(&mut self, new: Pod) -> Result<Arc<Pod>, ApiError> {
        let key = new.meta.key();
        if let Some(old) = self.get::<Pod>(&key) {
            check(old, &new)?;
        }
        self.update_spec::<Pod>(&key, move |live| super::write::adopt(live, new))
    }
}

/// Refuses a resize that no kubelet could make in place.
fn check(old: &Pod, new: &Pod) -> Result<(), ApiError> {
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

fn invalid(pod: &Pod, wrong: &[String]) -> ApiError {
    let why = if wrong.len() == 1 { wrong[0].clone() } else { format!("[{}]", wrong.join(", ")) };
    ApiError::Invalid { kind: Kind::Pod, name: pod.meta.name.clone(), why: why.into() }
}
