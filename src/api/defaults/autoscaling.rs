//! Defaults of HorizontalPodAutoscalers.

use crate::api::k8s::autoscaling::v2 as autoscaling;

/// Seconds over which the default policies count.
const PERIOD_SECONDS: i32 = 15;
/// Percent of CPU aimed at when no metric is given.
const CPU_UTILIZATION: i32 = 80;

/// Fills in an autoscaler: one CPU metric if it has none, and both directions of a behaviour if it has one.
///
/// Upstream: `pkg/apis/autoscaling/v2/defaults.go`, v1.34.
pub fn default_horizontal_pod_autoscaler(scaler: &mut autoscaling::HorizontalPodAutoscaler) {
    let spec = scaler.spec.get_or_insert_default();
    spec.min_replicas.get_or_insert(1);
    if spec.metrics.as_ref().is_none_or(Vec::is_empty) {
        spec.metrics = Some(vec![cpu_metric(CPU_UTILIZATION)]);
    }
    if let Some(behavior) = &mut spec.behavior {
        let policy = |kind: &str, value| autoscaling::HPAScalingPolicy {
            type_: kind.to_owned(),
            value,
            period_seconds: PERIOD_SECONDS,
        };
        let up = behavior.scale_up.get_or_insert_default();
        up.stabilization_window_seconds.get_or_insert(0);
        up.policies.get_or_insert_with(|| vec![policy("Pods", 4), policy("Percent", 100)]);
        up.select_policy.get_or_insert_with(|| "Max".to_owned());
        // The window of scaling down stays unset: a flag of the controller gives it.
        let down = behavior.scale_down.get_or_insert_default();
        down.policies.get_or_insert_with(|| vec![policy("Percent", 100)]);
        down.select_policy.get_or_insert_with(|| "Max".to_owned());
    }
}

/// A metric that aims at a share of the requested CPU.
pub(crate) fn cpu_metric(percent: i32) -> autoscaling::MetricSpec {
    autoscaling::MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(autoscaling::ResourceMetricSource {
            name: "cpu".to_owned(),
            target: autoscaling::MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..Default::default()
            },
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_autoscaler_without_metrics_watches_cpu() {
        let mut scaler = autoscaling::HorizontalPodAutoscaler::default();
        default_horizontal_pod_autoscaler(&mut scaler);
        let value = serde_json::to_value(scaler.spec).unwrap();
        assert_eq!(value["minReplicas"], json!(1));
        assert_eq!(value["behavior"], json!(null));
        assert_eq!(
            value["metrics"],
            json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}])
        );
    }

    #[test]
    fn one_direction_of_a_behaviour_brings_the_other() {
        let mut scaler = autoscaling::HorizontalPodAutoscaler::default();
        let spec = scaler.spec.get_or_insert_default();
        let rules =
            autoscaling::HPAScalingRules { stabilization_window_seconds: Some(60), ..Default::default() };
        spec.behavior.get_or_insert_default().scale_down = Some(rules);
        default_horizontal_pod_autoscaler(&mut scaler);
        let value = serde_json::to_value(scaler.spec).unwrap();
        assert_eq!(value["behavior"]["scaleDown"]["stabilizationWindowSeconds"], json!(60));
        assert_eq!(
            value["behavior"]["scaleDown"]["policies"],
            json!([{"type": "Percent", "value": 100, "periodSeconds": 15}])
        );
        assert_eq!(value["behavior"]["scaleUp"]["stabilizationWindowSeconds"], json!(0));
    }
}
