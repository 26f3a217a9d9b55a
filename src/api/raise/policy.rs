//! Raising of budgets, priorities, quotas, limits, autoscalers and leases.

use crate::api::k8s::autoscaling::v2 as autoscaling;
use crate::api::k8s::coordination::v1 as coordination;
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::policy::v1 as policy;
use crate::api::k8s::scheduling::v1 as scheduling;
use crate::api::policy::{
    HorizontalPodAutoscaler, Lease, LimitRange, PodDisruptionBudget, PriorityClass, ResourceQuota,
};
use crate::base::{Quantity, Str};

use super::meta::{
    common_conditions, conditions, flag, generation, int_or_string, list, micro_time, number, quantity,
    raise_meta, resources, selector, text, texts, time,
};

/// Raises a PodDisruptionBudget.
pub fn raise_pod_disruption_budget(budget: &PodDisruptionBudget) -> policy::PodDisruptionBudget {
    let disrupted = budget.disrupted_pods.iter().map(|(name, at)| (name.to_string(), time(*at)));
    policy::PodDisruptionBudget {
        metadata: raise_meta(&budget.meta),
        spec: Some(policy::PodDisruptionBudgetSpec {
            max_unavailable: budget.max_unavailable.map(int_or_string),
            min_available: budget.min_available.map(int_or_string),
            selector: selector(&budget.selector),
            unhealthy_pod_eviction_policy: budget.always_allow_unhealthy.then(|| "AlwaysAllow".to_owned()),
        }),
        status: Some(policy::PodDisruptionBudgetStatus {
            conditions: common_conditions(&budget.conditions),
            current_healthy: budget.current_healthy,
            desired_healthy: budget.desired_healthy,
            disrupted_pods: (!budget.disrupted_pods.is_empty()).then(|| disrupted.collect()),
            disruptions_allowed: budget.disruptions_allowed,
            expected_pods: budget.expected_pods,
            observed_generation: generation(budget.observed_generation),
        }),
    }
}

/// Raises a PriorityClass.
pub fn raise_priority_class(class: &PriorityClass) -> scheduling::PriorityClass {
    let preemption = if class.never_preempts { "Never" } else { "PreemptLowerPriority" };
    scheduling::PriorityClass {
        description: text(&class.description),
        global_default: flag(class.global_default),
        metadata: raise_meta(&class.meta),
        preemption_policy: Some(preemption.to_owned()),
        value: class.value,
    }
}

/// Raises a ResourceQuota.
pub fn raise_resource_quota(quota: &ResourceQuota) -> core::ResourceQuota {
    let scopes =
        list(&quota.scope_selector, |(scope, operator, values)| core::ScopedResourceSelectorRequirement {
            operator: operator.to_string(),
            scope_name: scope.to_string(),
            values: texts(values),
        });
    core::ResourceQuota {
        metadata: raise_meta(&quota.meta),
        spec: Some(core::ResourceQuotaSpec {
            hard: resources(&quota.hard),
            scope_selector: scopes.map(|all| core::ScopeSelector { match_expressions: Some(all) }),
            scopes: texts(&quota.scopes),
        }),
        status: Some(core::ResourceQuotaStatus {
            hard: resources(&quota.status_hard),
            used: resources(&quota.used),
        }),
    }
}

/// Raises a LimitRange.
pub fn raise_limit_range(range: &LimitRange) -> core::LimitRange {
    core::LimitRange { metadata: raise_meta(&range.meta), spec: Some(range.spec.value.clone()) }
}

/// Raises a HorizontalPodAutoscaler.
pub fn raise_horizontal_pod_autoscaler(
    scaler: &HorizontalPodAutoscaler,
) -> autoscaling::HorizontalPodAutoscaler {
    let mut spec = scaler.spec.value.clone();
    spec.min_replicas = Some(scaler.min_replicas);
    spec.max_replicas = scaler.max_replicas;
    scaler.target_kind.as_str().clone_into(&mut spec.scale_target_ref.kind);
    scaler.target_name.as_str().clone_into(&mut spec.scale_target_ref.name);
    let specs = spec.metrics.as_deref().unwrap_or_default();
    let seen = scaler.current_metrics.iter().enumerate();
    let metrics: Vec<_> = seen.map(|(index, seen)| current_metric(specs.get(index), seen)).collect();
    let metrics = (!metrics.is_empty()).then_some(metrics);
    autoscaling::HorizontalPodAutoscaler {
        metadata: raise_meta(&scaler.meta),
        status: Some(autoscaling::HorizontalPodAutoscalerStatus {
            conditions: conditions!(scaler.conditions, autoscaling::HorizontalPodAutoscalerCondition),
            current_metrics: metrics,
            current_replicas: number(scaler.current_replicas),
            desired_replicas: scaler.desired_replicas,
            last_scale_time: scaler.last_scale_time.map(time),
            observed_generation: generation(scaler.observed_generation),
        }),
        spec: Some(spec),
    }
}

/// What was last seen of the metric that stands in this place of the spec, in its shape. A metric that could not
/// be had has no name, and its status no type.
fn current_metric(
    spec: Option<&autoscaling::MetricSpec>,
    (name, utilization, value): &(Str, Option<i32>, Option<Quantity>),
) -> autoscaling::MetricStatus {
    let mut status = autoscaling::MetricStatus::default();
    if name.is_empty() {
        return status;
    }
    let name = name.to_string();
    let amount = value.map(quantity);
    let current = autoscaling::MetricValueStatus {
        average_utilization: *utilization,
        average_value: amount.clone(),
        value: None,
    };
    let whole = autoscaling::MetricValueStatus { value: amount, ..Default::default() };
    let spec = spec.cloned().unwrap_or_default();
    spec.type_.clone_into(&mut status.type_);
    let per_pod = |target: &autoscaling::MetricTarget| target.type_ == "AverageValue";
    if let Some(m) = spec.container_resource {
        let container = m.container;
        status.container_resource =
            Some(autoscaling::ContainerResourceMetricStatus { container, current, name });
    } else if let Some(m) = spec.pods {
        status.pods = Some(autoscaling::PodsMetricStatus { current, metric: m.metric });
    } else if let Some(m) = spec.object {
        let current = if per_pod(&m.target) { current } else { whole };
        let described_object = m.described_object;
        status.object = Some(autoscaling::ObjectMetricStatus { current, described_object, metric: m.metric });
    } else if let Some(m) = spec.external {
        let current = if per_pod(&m.target) { current } else { whole };
        status.external = Some(autoscaling::ExternalMetricStatus { current, metric: m.metric });
    } else {
        "Resource".clone_into(&mut status.type_);
        status.resource = Some(autoscaling::ResourceMetricStatus { current, name });
    }
    status
}

/// Raises a Lease.
pub fn raise_lease(lease: &Lease) -> coordination::Lease {
    coordination::Lease {
        metadata: raise_meta(&lease.meta),
        spec: Some(coordination::LeaseSpec {
            holder_identity: text(&lease.holder),
            lease_duration_seconds: number(lease.duration_seconds),
            renew_time: lease.renew_time.map(micro_time),
            ..Default::default()
        }),
    }
}
