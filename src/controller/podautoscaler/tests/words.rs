//! Constants, and what is said and written of looks.

use serde_json::json;

use super::super::*;
use super::looks::{Meters, Tank, cpu, used};
use crate::api::workload::Deployment;
use crate::api::{Object, Phase, lower};
use crate::base::Str;
use crate::params::settings::{MetricsServer, Settings};
use crate::store::metrics::{MetricsApi, PodSample};
use crate::store::{DeleteOptions, ObjId};
use crate::testkit;

fn lowered(api_version: &str, spec: serde_json::Value) -> Arc<HorizontalPodAutoscaler> {
    let value = json!({"apiVersion": api_version, "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"}, "spec": spec});
    let object = lower::object(value).unwrap();
    let Object::HorizontalPodAutoscaler(hpa) = object else { unreachable!("{object:?}") };
    hpa
}

/// `§1.1`, every row but the forbidden windows; `§1.11` and `§7` 12: 15 s are the shipped manifest's.
#[test]
fn constants_are_upstreams() {
    let flags = ControllerManager::default();
    for (found, seconds) in [
        (flags.horizontal_pod_autoscaler_sync_period, 15),
        (flags.horizontal_pod_autoscaler_downscale_stabilization, 300),
        (flags.horizontal_pod_autoscaler_cpu_initialization_period, 300),
        (flags.horizontal_pod_autoscaler_initial_readiness_delay, 30),
        (MetricsServer::default().metric_resolution, 15),
    ] {
        assert_eq!(found, SimDuration::from_secs(seconds));
    }
    assert_eq!(flags.horizontal_pod_autoscaler_tolerance, 0.1);
    assert_eq!(flags.concurrent_horizontal_pod_autoscaler_syncs, 5);
    assert!(!Settings::default().set(
        "kube-controller-manager",
        "horizontal-pod-autoscaler-upscale-delay",
        crate::params::settings::FlagValue::Duration(SimDuration::from_secs(1))
    ));
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let hpa = lowered("autoscaling/v2", json!({"maxReplicas": 5, "scaleTargetRef": target}));
    let spec = serde_json::to_value(&hpa.spec.value).unwrap();
    assert_eq!((hpa.min_replicas, &spec["behavior"]), (1, &json!(null)), "no behaviour, none made up");
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    assert_eq!(spec["metrics"], cpu);
    // Any behaviour at all brings all of both directions.
    let behavior = json!({"scaleDown": {"selectPolicy": "Min"}});
    let hpa =
        lowered("autoscaling/v2", json!({"maxReplicas": 5, "scaleTargetRef": target, "behavior": behavior}));
    let spec = serde_json::to_value(&hpa.spec.value).unwrap();
    assert_eq!(
        spec["behavior"],
        json!({
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {"selectPolicy": "Min", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
        })
    );
    // The older version of the API says the same in other words.
    let old = json!({"maxReplicas": 5, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 60});
    let spec = serde_json::to_value(&lowered("autoscaling/v1", old).spec.value).unwrap();
    assert_eq!(spec["metrics"][0]["resource"]["target"]["averageUtilization"], json!(60));
    let old = json!({"maxReplicas": 5, "scaleTargetRef": target});
    let spec = serde_json::to_value(&lowered("autoscaling/v1", old).spec.value).unwrap();
    assert_eq!(spec["metrics"], cpu);
}

/// `§1.1`, tolerance, and `§0.3`: an autoscaler's own tolerances count while their gate is on, each for its direction.
#[test]
fn tolerances_are_the_flags_unless_a_gate_is_open() {
    let own = json!({"scaleUp": {"tolerance": "0.02"}, "scaleDown": {"tolerance": "0.3", "stabilizationWindowSeconds": 0}});
    for (gate, flag, milli, expected) in [
        // Off: 10 % both ways. The target is 50 of 100 millicores, of four Pods.
        (None, 0.1, 53, 4),
        (None, 0.1, 55, 4),
        (None, 0.1, 56, 5),
        (None, 0.1, 45, 4),
        (None, 0.1, 36, 3),
        (None, 0.3, 64, 4),
        (None, 0.3, 66, 6),
        (Some("HPAConfigurableTolerance=false"), 0.1, 53, 4),
        // On: 2 % up and 30 % down, edges inclusive.
        (Some("HPAConfigurableTolerance=true"), 0.1, 51, 4),
        (Some("HPAConfigurableTolerance=true"), 0.1, 52, 5),
        (Some("HPAConfigurableTolerance=true"), 0.1, 36, 4),
        (Some("HPAConfigurableTolerance=true"), 0.1, 34, 3),
    ] {
        let flags = ControllerManager {
            feature_gates: gate.into_iter().map(Str::from).collect(),
            horizontal_pod_autoscaler_tolerance: flag,
            ..ControllerManager::default()
        };
        let mut tank = Tank::with(&flags, 4, &[json!({"metrics": [cpu(50)], "behavior": own})]);
        tank.run(&used(milli), 16);
        assert_eq!(tank.replicas(), expected, "{gate:?} {flag} {milli}");
    }
}

/// `§1.2`: changes of Pods, of the target, of the autoscaler itself never bring a look forward; a deleted one forgets.
#[test]
fn only_time_brings_a_look() {
    let mut tank = Tank::new(2, &[json!({"minReplicas": 2, "metrics": [cpu(50)]})]);
    tank.run(&used(50), 16);
    // In the midst of a period all of it changes; the next look is at the period's end.
    tank.run(&used(150), 3);
    let key = ObjectKey::new("default", "web");
    tank.store.update_spec::<HorizontalPodAutoscaler>(&key, |hpa| hpa.max_replicas = 9).unwrap();
    tank.store.update::<Deployment>(&key, |web| web.status.replicas = 3).unwrap();
    tank.store
        .update::<Pod>(&ObjectKey::new("default", "p0"), |pod| pod.status.phase = Phase::Running)
        .unwrap();
    tank.run(&used(150), 11);
    assert_eq!(tank.replicas(), 2);
    tank.run(&used(150), 2);
    assert_eq!(tank.replicas(), 4);
    // It remembers that it wanted four, until it is deleted; a new one of the same name begins anew, with the present size.
    tank.store.delete::<HorizontalPodAutoscaler>(&key, &DeleteOptions::default()).unwrap();
    tank.run(&used(5), 1);
    tank.store.update_spec::<Deployment>(&key, |web| web.replicas = 3).unwrap();
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let again =
        lowered("autoscaling/v2", json!({"maxReplicas": 9, "scaleTargetRef": target, "metrics": [cpu(50)]}));
    tank.store.create(HorizontalPodAutoscaler::clone(&again)).unwrap();
    tank.run(&used(5), 60);
    assert_eq!(tank.replicas(), 3);
    assert!(tank.condition("AbleToScale").starts_with("True ScaleDownStabilized"));
}

/// `§1.3` 2, 6 and 7: what a look says of itself, and when the instants of its conditions move.
#[test]
fn a_look_leaves_conditions_events_and_a_status() {
    let mut tank = Tank::new(0, &[json!({"metrics": [cpu(50)]})]);
    tank.run(&used(5), 16);
    let expected = "True SucceededGetScale: the HPA controller was able to get the target's current scale";
    assert_eq!(tank.condition("AbleToScale"), expected);
    assert_eq!(tank.condition("ScalingLimited"), "");
    let mut tank = Tank::new(2, &[json!({"metrics": [cpu(50)]})]);
    let of =
        |tank: &Tank, kind: &str| condition::find(&tank.hpa().conditions, kind).and_then(|c| c.transition);
    tank.run(&used(100), 16);
    let first = of(&tank, "AbleToScale");
    let expected = "True SucceededRescale: the HPA controller was able to update the target scale to 4";
    assert_eq!(tank.condition("AbleToScale"), expected);
    let hpa = tank.hpa();
    assert_eq!((hpa.current_replicas, hpa.desired_replicas, hpa.last_scale_time.is_some()), (2, 4, true));
    assert_eq!(hpa.current_metrics.len(), 1);
    // Four Pods are wanted and two are there, hot: held, with another reason, at the same instant as before.
    let scaled = hpa.last_scale_time;
    tank.run(&used(50), 16);
    assert_eq!(tank.condition("AbleToScale").split(':').next(), Some("True ReadyForNewScale"));
    assert_eq!(of(&tank, "AbleToScale"), first, "only a status that flips moves the instant");
    assert_eq!(tank.hpa().last_scale_time, scaled, "only a rescale moves it");
    // A look that finds nothing new writes nothing.
    tank.run(&used(50), 16);
    let written = tank.hpa().meta.resource_version;
    tank.run(&used(50), 60);
    assert_eq!(tank.hpa().meta.resource_version, written);
    // The metric goes: the condition flips, and its instant moves; the desired size stays.
    let active = of(&tank, "ScalingActive");
    tank.run(&Meters::default(), 40);
    assert!(tank.condition("ScalingActive").starts_with("False FailedGetResourceMetric"));
    assert_ne!(of(&tank, "ScalingActive"), active);
    assert_eq!(tank.hpa().desired_replicas, 4);
}

/// No metrics API, as one that is down says it.
struct Down;

impl MetricsApi for Down {
    fn resource_metrics(&self) -> Result<(), Str> {
        Err("the server is currently unable to handle the request (get pods.metrics.k8s.io)".into())
    }

    fn pod_usage(&self, _: &Store, _: ObjId, _: &Pod, _: &str, _: Option<&str>) -> PodSample {
        PodSample::Missing
    }

    fn next_change(&self, _: SimTime, _: &[(ObjId, &Arc<Pod>)]) -> Option<SimTime> {
        None
    }
}

/// `§1.7`, reasons per source and inner texts; `§1.11`: without metrics the autoscaler holds.
#[test]
fn every_failure_has_its_reason_and_its_words() {
    let pods = json!({"type": "Pods", "pods": {"metric": {"name": "gone"}, "target": {"type": "AverageValue", "averageValue": "6"}}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
    let object = json!({"type": "Object", "object": {"metric": {"name": "gone"}, "describedObject": service,
        "target": {"type": "Value", "value": "5"}}});
    let external = json!({"type": "External", "external": {"metric": {"name": "gone"}, "target": {"type": "AverageValue", "averageValue": "5"}}});
    let container = json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main",
        "target": {"type": "Utilization", "averageUtilization": 80}}});
    let down = "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server is currently unable to handle the request (get pods.metrics.k8s.io)";
    let custom = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered";
    for (metric, reason, why, wrapped) in [
        (cpu(50), "FailedGetResourceMetric", format!("failed to get cpu utilization: {down}"), "failed to get cpu resource metric value"),
        (container, "FailedGetContainerResourceMetric", format!("failed to get cpu utilization: {down}"), "failed to get main container metric value"),
        (pods, "FailedGetPodsMetric", format!("unable to get metric gone: {custom}"), "failed to get pods metric value"),
        (object, "FailedGetObjectMetric", format!("unable to get metric gone: Service on default web/{custom}"), "failed to get object metric value"),
        (
            external,
            "FailedGetExternalMetric",
            "failed to get gone external metric: unable to get external metric default/gone/nil: unable to fetch metrics from external metrics API: the server could not find the requested resource (get gone.external.metrics.k8s.io)".to_owned(),
            "failed to get gone external metric value",
        ),
    ] {
        let mut tank = Tank::new(2, &[json!({"metrics": [metric]})]);
        tank.run_with(&Down, 16);
        assert_eq!(tank.events(reason).join("; "), why, "{reason}");
        let active = format!("False {reason}: the HPA was unable to compute the replica count: {why}");
        assert_eq!(tank.condition("ScalingActive"), active);
        let all = format!("invalid metrics (1 invalid out of 1), first error is: {wrapped}: {why}");
        assert_eq!(tank.events("FailedComputeMetricsReplicas"), [all]);
        assert_eq!(tank.replicas(), 2);
    }
    // A target without Pods has no metrics to ask for.
    let mut tank = Tank::new(1, &[json!({"metrics": [cpu(50)]})]);
    tank.store.delete::<Pod>(&ObjectKey::new("default", "p0"), &DeleteOptions::force()).unwrap();
    tank.run(&used(50), 16);
    let none = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API";
    assert_eq!(tank.events("FailedGetResourceMetric"), [none]);
    let values = json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}});
    let mut tank = Tank::new(1, &[json!({"metrics": [values]})]);
    tank.store.delete::<Pod>(&ObjectKey::new("default", "p0"), &DeleteOptions::force()).unwrap();
    tank.run(&Meters { cpu: None, named: vec![("queue", 9000)] }, 16);
    assert_eq!(
        tank.events("FailedGetExternalMetric"),
        [
            "failed to get external metric queue: unable to calculate ready pods: no pods returned by selector while calculating replica count"
        ]
    );
}

/// `§1.3` 1 and `§1.7`, selectors: targets that cannot be read, and one that does not say which Pods are its own.
#[test]
fn a_target_that_cannot_be_scaled_is_told() {
    for (target, why) in [
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}),
            "deployments.apps \"gone\" not found",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Nonsense", "name": "web"}),
            "no matches for kind \"Nonsense\" in group \"apps\"",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Deployment", "name": "web"}),
            "no matches for kind \"Deployment\" in group \"\"",
        ),
        (
            json!({"apiVersion": "a/b/c", "kind": "Deployment", "name": "web"}),
            "unexpected GroupVersion string: a/b/c",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web"}),
            "the server could not find the requested resource",
        ),
    ] {
        let mut tank = Tank::new(1, &[json!({"scaleTargetRef": target})]);
        tank.run(&used(5), 16);
        assert_eq!(tank.events("FailedGetScale"), [why], "{target}");
        let expected = format!(
            "False FailedGetScale: the HPA controller was unable to get the target's current scale: {why}"
        );
        assert_eq!(tank.condition("AbleToScale"), expected, "{target}");
    }
    let target = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "bare"});
    let mut tank = Tank::new(1, &[json!({"scaleTargetRef": target})]);
    let mut bare = testkit::replica_set("bare", 1);
    bare.selector = LabelSelector::Nothing;
    tank.store.create(bare).unwrap();
    tank.run(&used(5), 16);
    assert_eq!(tank.events("SelectorRequired"), ["selector is required"]);
    let expected = "False InvalidSelector: the HPA target's scale is missing a selector";
    assert_eq!(tank.condition("ScalingActive"), expected);
}
