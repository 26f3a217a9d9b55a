//! Which Pods a quota is for.
//!
//! Upstream: `podMatchesScopeFunc` in `pkg/quota/v1/evaluator/core/pods.go`, v1.34.

use crate::api::pod::{PodAffinityTerm, QosClass};
use crate::api::policy::ResourceQuota;
use crate::api::{Object, Pod};
use crate::base::Str;

/// Whether an object is of all scopes of a quota. Only Pods have scopes.
pub(super) fn matches(quota: &ResourceQuota, object: &Object) -> bool {
    if quota.scopes.is_empty() && quota.scope_selector.is_empty() {
        return true;
    }
    let Object::Pod(pod) = object else { return false };
    quota.scopes.iter().all(|scope| is_of(pod, scope, "Exists", &[]))
        && quota.scope_selector.iter().all(|(scope, operator, values)| is_of(pod, scope, operator, values))
}

fn is_of(pod: &Pod, scope: &str, operator: &str, values: &[Str]) -> bool {
    let terminating = pod.spec.active_deadline_seconds.is_some_and(|seconds| seconds >= 0);
    let best_effort = pod.spec.qos == QosClass::BestEffort;
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => {
            let class = &pod.spec.priority_class_name;
            match operator {
                "Exists" => !class.is_empty(),
                "DoesNotExist" => class.is_empty(),
                "In" => values.contains(class),
                "NotIn" => !values.contains(class),
                _ => false,
            }
        }
        "CrossNamespacePodAffinity" => reaches_beyond(pod),
        _ => false,
    }
}

/// Whether the Pod's affinity looks into other namespaces.
fn reaches_beyond(pod: &Pod) -> bool {
    let beyond = |term: &PodAffinityTerm| !term.namespaces.is_empty() || term.namespace_selector.is_some();
    let affinity = &pod.spec.affinity;
    affinity.pod_required.iter().chain(&affinity.anti_required).any(beyond)
        || affinity.pod_preferred.iter().chain(&affinity.anti_preferred).any(|(_, term)| beyond(term))
}
