//! Lowering of budgets, priorities, quotas, limits, autoscalers and leases.

use super::at::{At, LowerError, collect};
use super::meta::{
    common_conditions, conditions, int_or_percent, lower_meta, micro_time, resources, selector, text, texts,
    time,
};
use super::pod::PREEMPTION_POLICIES;
use crate::api::defaults;
use crate::api::k8s::autoscaling::{v1 as autoscaling_v1, v2 as autoscaling};
use crate::api::k8s::coordination::v1 as coordination;
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::policy::v1 as policy;
use crate::api::k8s::scheduling::v1 as scheduling;
use crate::api::policy::{
    HorizontalPodAutoscaler, Lease, LimitRange, PodDisruptionBudget, PriorityClass, ResourceQuota,
};
use crate::api::workload::BoundaryPart;
use crate::base::{Arc, Quantity, Str, Timestamp};

/// Lowers a PodDisruptionBudget.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_pod_disruption_budget(
    value: policy::PodDisruptionBudget,
) -> Result<PodDisruptionBudget, Vec<LowerError>> {
    const EVICTION: &[(&str, bool)] = &[("AlwaysAllow", true), ("IfHealthyBudget", false)];
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    collect(|at| {
        let at = at.field("spec");
        let eviction = spec.unhealthy_pod_eviction_policy.as_deref().unwrap_or("IfHealthyBudget");
        PodDisruptionBudget {
            meta: lower_meta(value.metadata),
            selector: selector(&at.field("selector"), spec.selector),
            min_available: at.opt("minAvailable", spec.min_available, |at, v| int_or_percent(at, &v)),
            max_unavailable: at.opt("maxUnavailable", spec.max_unavailable, |at, v| int_or_percent(at, &v)),
            always_allow_unhealthy: at.field("unhealthyPodEvictionPolicy").one_of(eviction, EVICTION, false),
            observed_generation: status.observed_generation.unwrap_or(0),
            disrupted_pods: status
                .disrupted_pods
                .unwrap_or_default()
                .into_iter()
                .map(|(name, at)| (name.into(), Timestamp::new(at.0.as_second())))
                .collect(),
            disruptions_allowed: status.disruptions_allowed,
            current_healthy: status.current_healthy,
            desired_healthy: status.desired_healthy,
            expected_pods: status.expected_pods,
            conditions: common_conditions(status.conditions),
        }
    })
}

/// Lowers a PriorityClass, filling in what the API server would.
///
/// # Errors
/// An unknown preemption policy.
pub fn lower_priority_class(mut value: scheduling::PriorityClass) -> Result<PriorityClass, Vec<LowerError>> {
    defaults::default_priority_class(&mut value);
    let preemption = value.preemption_policy.unwrap_or_default();
    collect(|at| PriorityClass {
        meta: lower_meta(value.metadata),
        value: value.value,
        global_default: value.global_default.unwrap_or(false),
        never_preempts: at.field("preemptionPolicy").one_of(&preemption, PREEMPTION_POLICIES, false),
        description: text(value.description),
    })
}

/// Lowers a ResourceQuota.
///
/// # Errors
/// Every amount that is none.
pub fn lower_resource_quota(value: core::ResourceQuota) -> Result<ResourceQuota, Vec<LowerError>> {
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    collect(|at| ResourceQuota {
        meta: lower_meta(value.metadata),
        hard: resources(&at.field("spec").field("hard"), spec.hard),
        scopes: texts(spec.scopes),
        scope_selector: spec
            .scope_selector
            .and_then(|s| s.match_expressions)
            .unwrap_or_default()
            .into_iter()
            .map(|e| (e.scope_name.into(), e.operator.into(), texts(e.values)))
            .collect(),
        status_hard: resources(&at.field("status").field("hard"), status.hard),
        used: resources(&at.field("status").field("used"), status.used),
    })
}

/// Lowers a LimitRange, filling in what the API server would.
///
/// # Errors
/// Every amount that is none.
pub fn lower_limit_range(mut value: core::LimitRange) -> Result<LimitRange, Vec<LowerError>> {
    defaults::default_limit_range(&mut value);
    let spec = value.spec.unwrap_or_default();
    collect(|at| {
        let limits_at = at.field("spec");
        let limits_at = limits_at.field("limits");
        for (index, item) in spec.limits.iter().enumerate() {
            let at = limits_at.index(index);
            for (name, list) in [
                ("max", &item.max),
                ("min", &item.min),
                ("default", &item.default),
                ("defaultRequest", &item.default_request),
                ("maxLimitRequestRatio", &item.max_limit_request_ratio),
            ] {
                resources(&at.field(name), list.clone());
            }
        }
        LimitRange { meta: lower_meta(value.metadata), spec: Arc::new(BoundaryPart::new(spec)) }
    })
}

/// Lowers a HorizontalPodAutoscaler, filling in what the API server would.
///
/// # Errors
/// Every amount that is none.
pub fn lower_horizontal_pod_autoscaler(
    mut value: autoscaling::HorizontalPodAutoscaler,
) -> Result<HorizontalPodAutoscaler, Vec<LowerError>> {
    defaults::default_horizontal_pod_autoscaler(&mut value);
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    collect(|at| {
        check_metrics(&at.field("spec"), &spec);
        let status_at = at.field("status");
        HorizontalPodAutoscaler {
            meta: lower_meta(value.metadata),
            target_kind: spec.scale_target_ref.kind.as_str().into(),
            target_name: spec.scale_target_ref.name.as_str().into(),
            min_replicas: spec.min_replicas.unwrap_or(1),
            max_replicas: spec.max_replicas,
            spec: Arc::new(BoundaryPart::new(spec)),
            observed_generation: status.observed_generation.unwrap_or(0),
            last_scale_time: time(status.last_scale_time),
            current_replicas: status.current_replicas.unwrap_or(0),
            desired_replicas: status.desired_replicas,
            current_metrics: status_at.field("currentMetrics").each(status.current_metrics, current_metric),
            conditions: conditions!(status.conditions).into(),
        }
    })
}

fn check_metrics(at: &At<'_>, spec: &autoscaling::HorizontalPodAutoscalerSpec) {
    let list_at = at.field("metrics");
    for (index, metric) in spec.metrics.iter().flatten().enumerate() {
        let at = list_at.index(index);
        let targets = [
            ("resource", metric.resource.as_ref().map(|m| &m.target)),
            ("containerResource", metric.container_resource.as_ref().map(|m| &m.target)),
            ("pods", metric.pods.as_ref().map(|m| &m.target)),
            ("object", metric.object.as_ref().map(|m| &m.target)),
            ("external", metric.external.as_ref().map(|m| &m.target)),
        ];
        for (name, target) in targets {
            let Some(target) = target else { continue };
            let at = at.field(name);
            let at = at.field("target");
            at.opt("value", target.value.as_ref(), |at, q| at.quantity(&q.0));
            at.opt("averageValue", target.average_value.as_ref(), |at, q| at.quantity(&q.0));
        }
    }
}

/// Name, utilisation and average value of what the controller saw last.
fn current_metric(at: &At<'_>, status: autoscaling::MetricStatus) -> (Str, Option<i32>, Option<Quantity>) {
    let (field, name, current) = if let Some(m) = status.resource {
        ("resource", m.name, m.current)
    } else if let Some(m) = status.container_resource {
        ("containerResource", m.name, m.current)
    } else if let Some(m) = status.pods {
        ("pods", m.metric.name, m.current)
    } else if let Some(m) = status.object {
        ("object", m.metric.name, m.current)
    } else if let Some(m) = status.external {
        ("external", m.metric.name, m.current)
    } else {
        ("", String::new(), autoscaling::MetricValueStatus::default())
    };
    let at = at.field(field);
    let at = at.field("current");
    let value = at
        .opt("averageValue", current.average_value, |at, q| at.quantity(&q.0))
        .or_else(|| at.opt("value", current.value, |at, q| at.quantity(&q.0)));
    (name.into(), current.average_utilization, value)
}

/// An autoscaler of `autoscaling/v1` in the form of `autoscaling/v2`, as the API server converts it.
///
/// Upstream: `pkg/apis/autoscaling/v1/conversion.go`, v1.34.
pub(crate) fn autoscaler_v2(
    value: autoscaling_v1::HorizontalPodAutoscaler,
) -> autoscaling::HorizontalPodAutoscaler {
    let status = value.status.unwrap_or_default();
    let spec = value.spec.unwrap_or_default();
    let target = spec.scale_target_ref;
    autoscaling::HorizontalPodAutoscaler {
        metadata: value.metadata,
        spec: Some(autoscaling::HorizontalPodAutoscalerSpec {
            max_replicas: spec.max_replicas,
            min_replicas: spec.min_replicas,
            scale_target_ref: autoscaling::CrossVersionObjectReference {
                api_version: target.api_version,
                kind: target.kind,
                name: target.name,
            },
            metrics: spec.target_cpu_utilization_percentage.map(|p| vec![defaults::cpu_metric(p)]),
            behavior: None,
        }),
        status: Some(autoscaling::HorizontalPodAutoscalerStatus {
            current_replicas: Some(status.current_replicas),
            desired_replicas: status.desired_replicas,
            last_scale_time: status.last_scale_time,
            observed_generation: status.observed_generation,
            ..Default::default()
        }),
    }
}

/// Lowers a Lease.
///
/// # Errors
/// None so far; the signature is that of all kinds.
pub fn lower_lease(value: coordination::Lease) -> Result<Lease, Vec<LowerError>> {
    let spec = value.spec.unwrap_or_default();
    Ok(Lease {
        renewals: None,
        meta: lower_meta(value.metadata),
        holder: text(spec.holder_identity),
        duration_seconds: spec.lease_duration_seconds.unwrap_or(0),
        renew_time: micro_time(spec.renew_time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use crate::api::workload::IntOrPercent;
    use serde_json::json;

    #[test]
    fn budgets_are_read() {
        let value = json!({"spec": {"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}}},
            "status": {"disruptionsAllowed": 1, "disruptedPods": {"p": "2026-01-01T00:00:00Z"}}});
        let budget = lower_pod_disruption_budget(from_value(value).unwrap()).unwrap();
        assert_eq!((budget.min_available, budget.max_unavailable), (Some(IntOrPercent::Percent(50)), None));
        assert_eq!(budget.disrupted_pods[0].0, "p");
        let wrong = json!({"spec": {"maxUnavailable": "half", "unhealthyPodEvictionPolicy": "Never"}});
        let errors = lower_pod_disruption_budget(from_value(wrong).unwrap()).unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["spec.maxUnavailable", "spec.unhealthyPodEvictionPolicy"]);
    }

    #[test]
    fn autoscalers_of_both_versions_are_read() {
        let old = json!({"spec": {"maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "targetCPUUtilizationPercentage": 50}});
        let old = lower_horizontal_pod_autoscaler(autoscaler_v2(from_value(old).unwrap())).unwrap();
        let new = json!({"spec": {"maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}});
        let new = lower_horizontal_pod_autoscaler(from_value(new).unwrap()).unwrap();
        assert_eq!(old, new);
        assert_eq!((new.min_replicas, new.target_kind.as_str()), (1, "Deployment"));
    }

    #[test]
    fn amounts_in_cold_specs_are_checked() {
        let range = json!({"spec": {"limits": [{"type": "Pod", "max": {"cpu": "x"}}]}});
        let errors = lower_limit_range(from_value(range).unwrap()).unwrap_err();
        assert_eq!(errors[0].path, "spec.limits[0].max.cpu");
        let scaler = json!({"spec": {"metrics": [{"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "x"}}}]}});
        let errors = lower_horizontal_pod_autoscaler(from_value(scaler).unwrap()).unwrap_err();
        assert_eq!(errors[0].path, "spec.metrics[0].pods.target.averageValue");
    }

    #[test]
    fn classes_quotas_and_leases_are_read() {
        let class = lower_priority_class(from_value(json!({"value": 5})).unwrap()).unwrap();
        assert_eq!((class.value, class.never_preempts), (5, false));
        let quota = json!({"spec": {"hard": {"pods": "10"}, "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}}});
        let quota = lower_resource_quota(from_value(quota).unwrap()).unwrap();
        assert_eq!(quota.scope_selector, [("PriorityClass".into(), "In".into(), vec!["high".into()])]);
        let lease = json!({"spec": {"holderIdentity": "n", "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.250000Z"}});
        let lease = lower_lease(from_value(lease).unwrap()).unwrap();
        assert_eq!((lease.holder.as_str(), lease.duration_seconds), ("n", 40));
        assert_eq!(lease.renew_time, Timestamp::parse_rfc3339("2026-01-01T00:00:00Z"));
    }
}
