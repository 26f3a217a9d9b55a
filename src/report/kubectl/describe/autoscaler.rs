//! HorizontalPodAutoscalers.

use super::{Scene, Sheet, date};
use crate::api::k8s::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscalerStatus, MetricSpec, MetricTarget, MetricValueStatus,
};
use crate::api::policy::HorizontalPodAutoscaler;
use crate::api::raise;

/// An autoscaler.
pub(super) fn autoscaler(sheet: &mut Sheet, hpa: &HorizontalPodAutoscaler, scene: &Scene<'_>) {
    let raised = raise::raise_horizontal_pod_autoscaler(hpa);
    let (spec, status) = (raised.spec.unwrap_or_default(), raised.status.unwrap_or_default());
    sheet.field(0, "Name", &hpa.meta.name);
    sheet.field(0, "Namespace", &hpa.meta.namespace);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(0, "CreationTimestamp", date(raised.metadata.creation_timestamp.as_ref()));
    sheet.field(0, "Reference", format_args!("{}/{}", hpa.target_kind, hpa.target_name));
    sheet.field(0, "Metrics", "( current / target )");
    for (index, wanted) in spec.metrics.iter().flatten().enumerate() {
        metric(sheet, wanted, &status, index);
    }
    sheet.field(0, "Min replicas", hpa.min_replicas);
    sheet.field(0, "Max replicas", hpa.max_replicas);
    if let Some(behavior) = &spec.behavior {
        sheet.line(0, "Behavior:");
        rules(sheet, "Scale Up", behavior.scale_up.as_ref());
        rules(sheet, "Scale Down", behavior.scale_down.as_ref());
    }
    let counts = format!("{} current / {} desired", hpa.current_replicas, hpa.desired_replicas);
    sheet.field(0, format_args!("{} pods", hpa.target_kind), counts);
    if !hpa.conditions.is_empty() {
        sheet.line(0, "Conditions:");
        sheet.line(1, "Type\tStatus\tReason\tMessage");
        sheet.line(1, "----\t------\t------\t-------");
        for c in &hpa.conditions {
            sheet.line(1, format_args!("{}\t{}\t{}\t{}", c.kind, c.status, c.reason, c.message));
        }
    }
    scene.events(sheet);
}

fn metric(sheet: &mut Sheet, wanted: &MetricSpec, status: &HorizontalPodAutoscalerStatus, index: usize) {
    let seen = status.current_metrics.as_ref().and_then(|m| m.get(index));
    if let Some(resource) = &wanted.resource {
        let current = seen.and_then(|m| m.resource.as_ref()).map(|m| &m.current);
        usage(sheet, &format!("resource {} on pods", resource.name), &resource.target, current);
    } else if let Some(resource) = &wanted.container_resource {
        let current = seen.and_then(|m| m.container_resource.as_ref()).map(|m| &m.current);
        let what = format!("resource {} of container \"{}\" on pods", resource.name, resource.container);
        usage(sheet, &what, &resource.target, current);
    } else if let Some(pods) = &wanted.pods {
        let current = seen.and_then(|m| m.pods.as_ref()).map(|m| &m.current);
        let what = format!("{:?} on pods", pods.metric.name);
        sheet.field(1, what, format_args!("{} / {}", average(current), target_average(&pods.target)));
    } else if let Some(object) = &wanted.object {
        let current = seen.and_then(|m| m.object.as_ref()).map(|m| &m.current);
        let on = &object.described_object;
        let what = format!("\"{}\" on {}/{}", object.metric.name, on.kind, on.name);
        value_or_average(sheet, &what, &object.target, current);
    } else if let Some(external) = &wanted.external {
        let current = seen.and_then(|m| m.external.as_ref()).map(|m| &m.current);
        value_or_average(sheet, &format!("{:?}", external.metric.name), &external.target, current);
    } else {
        sheet.line(1, format_args!("<unknown metric type {:?}>", wanted.type_));
    }
}

fn unknown() -> String {
    "<unknown>".to_owned()
}

fn average(current: Option<&MetricValueStatus>) -> String {
    current.and_then(|c| c.average_value.as_ref()).map_or_else(unknown, |q| q.0.clone())
}

fn target_average(target: &MetricTarget) -> String {
    target.average_value.as_ref().map_or_else(|| "<nil>".to_owned(), |q| q.0.clone())
}

fn usage(sheet: &mut Sheet, what: &str, target: &MetricTarget, current: Option<&MetricValueStatus>) {
    if target.average_value.is_some() {
        sheet.field(1, what, format_args!("{} / {}", average(current), target_average(target)));
        return;
    }
    let seen = current.and_then(|c| Some((c.average_utilization?, average(Some(c)))));
    let seen = seen.map_or_else(unknown, |(percent, value)| format!("{percent}% ({value})"));
    let wanted =
        target.average_utilization.map_or_else(|| "<auto>".to_owned(), |percent| format!("{percent}%"));
    sheet.field(1, format_args!("{what}  (as a percentage of request)"), format_args!("{seen} / {wanted}"));
}

fn value_or_average(
    sheet: &mut Sheet,
    what: &str,
    target: &MetricTarget,
    current: Option<&MetricValueStatus>,
) {
    if target.average_value.is_some() {
        let value = format!("{} / {}", average(current), target_average(target));
        sheet.field(1, format_args!("{what} (target average value)"), value);
        return;
    }
    let seen = current.and_then(|c| c.value.as_ref()).map_or_else(unknown, |q| q.0.clone());
    let wanted = target.value.as_ref().map_or_else(|| "<nil>".to_owned(), |q| q.0.clone());
    sheet.field(1, format_args!("{what} (target value)"), format_args!("{seen} / {wanted}"));
}

fn rules(sheet: &mut Sheet, title: &str, rules: Option<&HPAScalingRules>) {
    let Some(rules) = rules else { return };
    sheet.line(1, format_args!("{title}:"));
    if let Some(seconds) = rules.stabilization_window_seconds {
        sheet.line(2, format_args!("Stabilization Window: {seconds} seconds"));
    }
    let policies = rules.policies.as_deref().unwrap_or_default();
    if policies.is_empty() {
        return;
    }
    sheet.line(2, format_args!("Select Policy: {}", rules.select_policy.as_deref().unwrap_or("Max")));
    sheet.line(2, "Policies:");
    for policy in policies {
        let (kind, value, period) = (&policy.type_, policy.value, policy.period_seconds);
        sheet.line(3, format_args!("- Type: {kind}\tValue: {value}\tPeriod: {period} seconds"));
    }
}
