//! Defaults of resources for the Pod as a whole.

use super::List;
use crate::api::k8s::core::v1 as core;
use crate::api::resources::{CPU, MEMORY, ResourceList};
use crate::base::{Quantity, Str};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as BoundaryQuantity;

const HUGE_PAGES: &str = "hugepages-";

/// Fills in Pod-level limits of huge pages, then Pod-level requests, if the field is partly there.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `defaultHugePagePodLimits`, `defaultPodRequests`, v1.34.
pub(crate) fn pod_resources(spec: &mut core::PodSpec) {
    let limits_of_all = aggregate(spec, |r| r.limits.as_ref());
    let requests_of_all = aggregate(spec, |r| r.requests.as_ref());
    let Some(resources) = &mut spec.resources else { return };
    let empty = |list: &Option<List>| list.as_ref().is_none_or(List::is_empty);
    if empty(&resources.limits) && empty(&resources.requests) {
        return;
    }
    let mut limits = resources.limits.take().unwrap_or_default();
    let mut requests = resources.requests.take().unwrap_or_default();
    for (name, amount) in limits_of_all.0.iter().filter(|(name, _)| name.starts_with(HUGE_PAGES)) {
        if !requests.contains_key(name.as_str()) {
            limits.entry(name.to_string()).or_insert_with(|| BoundaryQuantity(amount.to_string()));
        }
    }
    if !limits.is_empty() {
        // Huge pages cannot be overcommitted, so only CPU and memory follow from the containers.
        for (name, amount) in
            requests_of_all.0.iter().filter(|(name, _)| [CPU, MEMORY].contains(&name.as_str()))
        {
            requests.entry(name.to_string()).or_insert_with(|| BoundaryQuantity(amount.to_string()));
        }
        let supported = |name: &str| name == CPU || name == MEMORY || name.starts_with(HUGE_PAGES);
        for (name, amount) in limits.iter().filter(|(name, _)| supported(name)) {
            requests.entry(name.clone()).or_insert_with(|| amount.clone());
        }
    }
    resources.limits = Some(limits).filter(|l| !l.is_empty());
    resources.requests = Some(requests).filter(|l| !l.is_empty());
}

/// What all containers need together at their worst moment.
///
/// Upstream: `component-helpers/resource/helpers.go` `AggregateContainerRequests`, v1.34.
fn aggregate(spec: &core::PodSpec, which: fn(&core::ResourceRequirements) -> Option<&List>) -> ResourceList {
    let list = |container: &core::Container| -> ResourceList {
        let list = container.resources.as_ref().and_then(which).into_iter().flatten();
        list.filter_map(|(name, q)| Some((Str::from(name.as_str()), Quantity::parse(&q.0).ok()?))).collect()
    };
    let mut total = ResourceList::default();
    for container in &spec.containers {
        total.add(&list(container));
    }
    let (mut sidecars, mut peak) = (ResourceList::default(), ResourceList::default());
    for container in spec.init_containers.iter().flatten() {
        let mut need = list(container);
        if container.restart_policy.as_deref() == Some("Always") {
            total.add(&need);
            sidecars.add(&need);
            need = sidecars.clone();
        } else {
            need.add(&sidecars);
        }
        peak.raise_to(&need);
    }
    total.raise_to(&peak);
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    fn defaulted(resources: serde_json::Value) -> serde_json::Value {
        let mut spec: core::PodSpec = from_value(json!({
            "containers": [
                {"name": "a", "resources": {"requests": {"cpu": "100m"}, "limits": {"hugepages-2Mi": "4Mi"}}},
                {"name": "b", "resources": {"requests": {"cpu": "200m"}}},
            ],
            "initContainers": [
                {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
                {"name": "i", "resources": {"requests": {"cpu": "1"}}},
            ],
            "resources": resources,
        }))
        .unwrap();
        pod_resources(&mut spec);
        serde_json::to_value(spec.resources).unwrap()
    }

    #[test]
    fn pod_requests_follow_containers_then_limits() {
        assert_eq!(
            defaulted(json!({"limits": {"memory": "1Gi", "cpu": "2"}})),
            json!({
                "limits": {"cpu": "2", "hugepages-2Mi": "4Mi", "memory": "1Gi"},
                "requests": {"cpu": "1050m", "hugepages-2Mi": "4Mi", "memory": "1Gi"},
            })
        );
        assert_eq!(defaulted(json!({})), json!({}));
        assert_eq!(defaulted(json!(null)), json!(null));
    }
}
