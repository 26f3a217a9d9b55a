//! Autoscalers.
//!
//! Upstream: `pkg/apis/autoscaling/validation/validation.go`, v1.34.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Boundary;

use super::{At, Report, names};
use crate::api::k8s::autoscaling::{v1, v2};
use crate::base::Quantity;

const METRIC_TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];
const SECONDS_MAX_PERIOD: i32 = 1800;
const SECONDS_MAX_STABILIZATION: i32 = 3600;

/// A HorizontalPodAutoscaler of `autoscaling/v2`.
pub(in crate::api::manifest) fn autoscaler(object: &v2::HorizontalPodAutoscaler, report: &mut Report) {
    let at = At::top("spec");
    let fallback = v2::HorizontalPodAutoscalerSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&fallback);
    bounds(spec.min_replicas, spec.max_replicas, &at, report);
    let target = &spec.scale_target_ref;
    reference(&target.kind, &target.name, &at.field("scaleTargetRef"), report);
    let metrics = spec.metrics.as_deref().unwrap_or_default();
    let under = at.field("metrics");
    for (i, one) in metrics.iter().enumerate() {
        metric(one, &under.index(i), report);
    }
    if let Some(behavior) = &spec.behavior {
        let at = at.field("behavior");
        for (name, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
            if let Some(given) = rules {
                scaling_rules(given, &at.field(name), report);
            }
        }
    }
}

/// A HorizontalPodAutoscaler of `autoscaling/v1`.
pub(in crate::api::manifest) fn autoscaler_v1(object: &v1::HorizontalPodAutoscaler, report: &mut Report) {
    let at = At::top("spec");
    let fallback = v1::HorizontalPodAutoscalerSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&fallback);
    bounds(spec.min_replicas, spec.max_replicas, &at, report);
    let target = &spec.scale_target_ref;
    reference(&target.kind, &target.name, &at.field("scaleTargetRef"), report);
    if let Some(percent) = spec.target_cpu_utilization_percentage.filter(|p| *p < 1) {
        report.invalid(&at.field("targetCPUUtilizationPercentage"), percent, "must be greater than 0");
    }
}

fn bounds(min: Option<i32>, max: i32, at: &At<'_>, report: &mut Report) {
    if let Some(min) = min.filter(|m| *m < 1) {
        report.invalid(&at.field("minReplicas"), min, "must be greater than or equal to 1");
    }
    if max < 1 {
        report.invalid(&at.field("maxReplicas"), max, "must be greater than 0");
    }
    if min.is_some_and(|min| max < min) {
        report.invalid(&at.field("maxReplicas"), max, "must be greater than or equal to `minReplicas`");
    }
}

fn reference(kind: &str, name: &str, at: &At<'_>, report: &mut Report) {
    for (field, value) in [("kind", kind), ("name", name)] {
        if value.is_empty() {
            report.required(&at.field(field), "");
        } else {
            report.invalid_each(&at.field(field), value, names::path_segment(value));
        }
    }
}

/// Upstream: `validateMetricSpec`.
fn metric(metric: &v2::MetricSpec, at: &At<'_>, report: &mut Report) {
    if metric.type_.is_empty() {
        return report.required(&at.field("type"), "must specify a metric source type");
    }
    if !METRIC_TYPES.contains(&metric.type_.as_str()) {
        return report.unsupported(&at.field("type"), &metric.type_, METRIC_TYPES);
    }
    for (kind, field, given) in [
        ("Object", "object", metric.object.is_some()),
        ("External", "external", metric.external.is_some()),
        ("Pods", "pods", metric.pods.is_some()),
        ("Resource", "resource", metric.resource.is_some()),
        ("ContainerResource", "containerResource", metric.container_resource.is_some()),
    ] {
        if kind == metric.type_ && !given {
            report.required(&at.field(field), "must populate information for the given metric source");
        } else if kind != metric.type_ && given {
            report.forbidden(&at.field(field), "must populate the given metric source only");
        }
    }
    if let Some(source) = &metric.resource {
        resource(&source.name, &source.target, &at.field("resource"), report);
    }
    if let Some(source) = &metric.container_resource {
        let at = at.field("containerResource");
        if source.container.is_empty() {
            report.required(&at.field("container"), "must specify a container");
        }
        resource(&source.name, &source.target, &at, report);
    }
    if let Some(source) = &metric.pods {
        custom(&source.metric, &source.target, &at.field("pods"), report);
    }
    if let Some(source) = &metric.object {
        custom(&source.metric, &source.target, &at.field("object"), report);
    }
    if let Some(source) = &metric.external {
        custom(&source.metric, &source.target, &at.field("external"), report);
    }
}

fn resource(name: &str, given: &v2::MetricTarget, at: &At<'_>, report: &mut Report) {
    if name.is_empty() {
        report.required(&at.field("name"), "must specify a resource name");
    }
    let at = at.field("target");
    target(given, &at, report);
    match (given.average_utilization, &given.average_value) {
        (None, None) => {
            let detail = "must set either a target raw value or a target utilization";
            report.required(&at.field("averageUtilization"), detail);
        }
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            report.forbidden(&at.field("averageValue"), detail);
        }
        _ => {}
    }
}

fn custom(metric: &v2::MetricIdentifier, given: &v2::MetricTarget, at: &At<'_>, report: &mut Report) {
    if metric.name.is_empty() {
        report.required(&at.field("metric").field("name"), "must specify a metric name");
    }
    let at = at.field("target");
    target(given, &at, report);
    if given.value.is_none() && given.average_value.is_none() {
        report.required(&at.field("averageValue"), "must set either a target value or averageValue");
    }
}

/// Upstream: `validateMetricTarget`.
fn target(target: &v2::MetricTarget, at: &At<'_>, report: &mut Report) {
    match target.type_.as_str() {
        "" => report.required(&at.field("type"), "must specify a metric target type"),
        "Utilization" | "Value" | "AverageValue" => {}
        other => {
            report.invalid(&at.field("type"), other, "must be either Utilization, Value, or AverageValue")
        }
    }
    for (name, value) in [("value", &target.value), ("averageValue", &target.average_value)] {
        if let Some(value) = value.as_ref().filter(|v| !is_positive(v)) {
            report.invalid(&at.field(name), &value.0, "must be positive");
        }
    }
    if let Some(percent) = target.average_utilization.filter(|p| *p < 1) {
        report.invalid(&at.field("averageUtilization"), percent, "must be greater than 0");
    }
}

fn is_positive(quantity: &Boundary) -> bool {
    Quantity::parse(&quantity.0).is_ok_and(|q| !q.is_negative() && !q.is_zero())
}

/// Upstream: `validateScalingRules`.
fn scaling_rules(rules: &v2::HPAScalingRules, at: &At<'_>, report: &mut Report) {
    if let Some(seconds) = rules.stabilization_window_seconds {
        let at = at.field("stabilizationWindowSeconds");
        if seconds < 0 {
            report.invalid(&at, seconds, "must be greater than or equal to zero");
        } else if seconds > SECONDS_MAX_STABILIZATION {
            let detail = format!("must be less than or equal to {SECONDS_MAX_STABILIZATION}");
            report.invalid(&at, seconds, detail);
        }
    }
    report.one_of(&at.field("selectPolicy"), rules.select_policy.as_deref(), &["Disabled", "Max", "Min"]);
    let under = at.field("policies");
    // Absent policies are defaulted; a list that is written and empty is not.
    if rules.policies.as_ref().is_some_and(Vec::is_empty) {
        report.required(&under, "must specify at least one Policy");
    }
    for (i, policy) in rules.policies.iter().flatten().enumerate() {
        let at = under.index(i);
        if !matches!(policy.type_.as_str(), "Pods" | "Percent") {
            report.unsupported(&at.field("type"), &policy.type_, &["Percent", "Pods"]);
        }
        for (name, value) in [("value", policy.value), ("periodSeconds", policy.period_seconds)] {
            if value <= 0 {
                report.invalid(&at.field(name), value, "must be greater than zero");
            }
        }
        if policy.period_seconds > SECONDS_MAX_PERIOD {
            let detail = format!("must be less than or equal to {SECONDS_MAX_PERIOD}");
            report.invalid(&at.field("periodSeconds"), policy.period_seconds, detail);
        }
    }
}
