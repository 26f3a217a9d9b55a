//! Whole looks: what is set, said and written for an autoscaler and its target.

use serde_json::{Value, json};

use super::super::*;
use crate::api::pod::cond;
use crate::api::workload::Deployment;
use crate::api::{Kind, Object, Phase, lower};
use crate::base::{Quantity, Str};
use crate::controller::Manager;
use crate::controller::manager::ManagerConfig;
use crate::store::metrics::{MetricsApi, PodSample, Sample};
use crate::store::{ObjId, Store};
use crate::testkit;

/// Every Pod uses so much CPU; metrics by name have a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Meters {
    pub(super) cpu: Option<i64>,
    pub(super) named: Vec<(&'static str, i64)>,
}

impl Meters {
    fn value(&self, name: &str) -> Result<i64, Str> {
        self.named.iter().find(|(n, _)| *n == name).map(|(_, v)| *v).ok_or_else(|| "not served".into())
    }
}

impl MetricsApi for Meters {
    fn resource_metrics(&self) -> Result<(), Str> {
        Ok(())
    }

    fn pod_usage(
        &self,
        store: &Store,
        _: ObjId,
        _: &Pod,
        resource: &str,
        container: Option<&str>,
    ) -> PodSample {
        let sample = |milli| Sample { milli, at: store.now(), window: SimDuration::from_secs(15) };
        match (resource, container, self.cpu) {
            ("cpu", None | Some("main"), Some(milli)) => PodSample::Value(sample(milli)),
            (_, Some(other), _) if other != "main" => PodSample::NoContainer,
            _ => PodSample::Missing,
        }
    }

    fn pod_metric(
        &self,
        store: &Store,
        _: ObjId,
        _: &Pod,
        metric: &str,
        _: &LabelSelector,
    ) -> Result<Option<Sample>, Str> {
        let milli = self.value(metric)?;
        Ok(Some(Sample { milli, at: store.now(), window: SimDuration::from_secs(15) }))
    }

    fn object_metric(
        &self,
        _: &Store,
        _: &str,
        _: (&str, &str),
        metric: &str,
        _: &LabelSelector,
    ) -> Result<i64, Str> {
        self.value(metric)
    }

    fn external_metric(&self, _: &Store, _: &str, metric: &str, _: &LabelSelector) -> Result<Vec<i64>, Str> {
        self.value(metric).map(|value| vec![value / 2, value - value / 2])
    }

    fn next_change(&self, _: SimTime, _: &[(ObjId, &Arc<Pod>)]) -> Option<SimTime> {
        None
    }
}

pub(super) struct Tank {
    pub(super) store: Store,
    pub(super) manager: Manager,
    due: std::collections::BTreeSet<(SimTime, crate::controller::ControllerId)>,
}

impl Tank {
    /// A Deployment of so many ready Pods that request 100m each, and autoscalers with these specs.
    pub(super) fn new(replicas: i32, specs: &[Value]) -> Self {
        Self::with(&ControllerManager::default(), replicas, specs)
    }

    pub(super) fn with(flags: &ControllerManager, replicas: i32, specs: &[Value]) -> Self {
        let mut store = testkit::store();
        store.advance(SimTime::from_secs(3600));
        let mut deployment = testkit::deployment("web", replicas);
        deployment.status.replicas = replicas;
        store.create(deployment).unwrap();
        let at = store.timestamp().plus_secs(-2000);
        for index in 0..replicas {
            let mut pod = testkit::pod(&format!("p{index}"), "app=web");
            Arc::make_mut(&mut pod.spec).containers[0].requests =
                [("cpu", Quantity::from_milli(100))].into_iter().collect();
            pod.status.phase = Phase::Running;
            pod.status.start_time = Some(at);
            pod.status.conditions = vec![Condition::new(cond::READY, ConditionStatus::True, "", "", at)];
            store.create(pod).unwrap();
        }
        let controller = HorizontalController::new(flags);
        let manager = Manager::new(vec![Box::new(controller)], ManagerConfig::default(), store.now());
        let mut tank = Self { store, manager, due: std::collections::BTreeSet::new() };
        for (index, spec) in specs.iter().enumerate() {
            let mut spec = spec.clone();
            if spec["scaleTargetRef"].is_null() {
                spec["scaleTargetRef"] =
                    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
            }
            if spec["maxReplicas"].is_null() {
                spec["maxReplicas"] = json!(10);
            }
            let name = if index == 0 { "web".to_owned() } else { format!("web-{index}") };
            let value = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name, "namespace": "default"}, "spec": spec});
            let Object::HorizontalPodAutoscaler(hpa) =
                lower::from_json(Kind::HorizontalPodAutoscaler, value).unwrap()
            else {
                unreachable!()
            };
            tank.store.create(HorizontalPodAutoscaler::clone(&hpa)).unwrap();
        }
        tank
    }

    /// Lets seconds pass.
    pub(super) fn run(&mut self, meters: &Meters, seconds: u64) {
        self.run_with(meters, seconds);
    }

    pub(super) fn run_with(&mut self, meters: &dyn MetricsApi, seconds: u64) {
        // The meters may be others than before.
        self.manager.on_metrics_change(self.store.now(), None, &self.store);
        let end = self.store.now() + SimDuration::from_secs(seconds);
        loop {
            while self.store.has_changes() {
                for change in self.store.drain_changes() {
                    self.manager.on_change(&change, &self.store);
                }
            }
            self.due.extend(std::iter::from_fn(|| self.manager.next_wake()));
            let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= end) else { break };
            self.due.pop_first();
            self.store.advance(at.max(self.store.now()));
            self.manager.run(id, &mut self.store, meters);
        }
        self.store.advance(end);
    }

    pub(super) fn replicas(&self) -> i32 {
        self.store.find::<Deployment>("default", "web").unwrap().replicas
    }

    pub(super) fn hpa(&self) -> Arc<HorizontalPodAutoscaler> {
        self.store.find::<HorizontalPodAutoscaler>("default", "web").unwrap().clone()
    }

    /// A condition: `True reason: message`.
    pub(super) fn condition(&self, kind: &str) -> String {
        let hpa = self.hpa();
        let found = condition::find(&hpa.conditions, kind);
        found.map_or_else(String::new, |c| format!("{:?} {}: {}", c.status, c.reason, c.message))
    }

    pub(super) fn events(&self, reason: &str) -> Vec<String> {
        let events = self.store.events().filter(|e| e.reason == reason);
        events.map(|e| e.message.to_string()).collect()
    }
}

pub(super) fn cpu(target: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}})
}

pub(super) fn used(milli: i64) -> Meters {
    Meters { cpu: Some(milli), named: Vec::new() }
}

/// `§1.3`, the table of cases, and `§7` 6, 9.
#[test]
fn bounds_are_restored_at_once_and_zero_switches_off() {
    for (replicas, spec, milli, expected, reason) in [
        (0, json!({"minReplicas": 1}), 0, 0, None),
        (9, json!({"maxReplicas": 5}), 50, 5, Some("Current number of replicas above Spec.MaxReplicas")),
        (1, json!({"minReplicas": 3}), 50, 3, Some("Current number of replicas below Spec.MinReplicas")),
        (2, json!({}), 160, 4, Some("cpu resource utilization (percentage of request) above target")),
        // `§1.1`: without metrics, CPU at 80 % of the request.
        (2, json!({}), 80, 2, None),
    ] {
        let mut tank = Tank::new(replicas, std::slice::from_ref(&spec));
        tank.run(&used(milli), 16);
        assert_eq!(tank.replicas(), expected, "{replicas} {spec}");
        let said: Vec<String> =
            reason.map(|r| format!("New size: {expected}; reason: {r}")).into_iter().collect();
        assert_eq!(tank.events("SuccessfulRescale"), said, "{replicas} {spec}");
    }
    let mut tank = Tank::new(0, &[json!({})]);
    tank.run(&used(0), 16);
    let expected = "False ScalingDisabled: scaling is disabled since the replica count of the target is zero";
    assert_eq!(tank.condition("ScalingActive"), expected);
}

/// `§1.2`: a new autoscaler is looked at one period later, and then once per period.
#[test]
fn the_first_look_comes_after_a_period() {
    let mut tank = Tank::new(2, &[json!({"maxReplicas": 20, "metrics": [cpu(50)]})]);
    tank.run(&used(150), 14);
    assert_eq!(tank.replicas(), 2);
    tank.run(&used(150), 2);
    // Twice as many at most, or four.
    assert_eq!(tank.replicas(), 4);
}

/// `§1.3`: shrinking waits until what was seen at first is five minutes old.
#[test]
fn nothing_shrinks_in_the_first_five_minutes() {
    let mut tank = Tank::new(4, &[json!({"metrics": [cpu(50)]})]);
    tank.run(&used(5), 300);
    assert_eq!(tank.replicas(), 4);
    let expected = "True ScaleDownStabilized: recent recommendations were higher than current one, applying the highest recent recommendation";
    assert_eq!(tank.condition("AbleToScale"), expected);
    tank.run(&used(5), 31);
    assert_eq!(tank.replicas(), 1);
    assert_eq!(tank.events("SuccessfulRescale"), ["New size: 1; reason: All metrics below target"]);
}

/// `§1.3` 1: a target that is not there.
#[test]
fn a_target_that_is_missing_is_told() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"});
    let mut tank = Tank::new(1, &[json!({"scaleTargetRef": target})]);
    tank.run(&used(5), 16);
    let expected = "False FailedGetScale: the HPA controller was unable to get the target's current scale: deployments.apps \"gone\" not found";
    assert_eq!(tank.condition("AbleToScale"), expected);
    assert_eq!(tank.events("FailedGetScale"), ["deployments.apps \"gone\" not found"]);
}

/// `§1.4`: every source, its name in the reason, and its number.
#[test]
fn every_source_has_its_name_and_its_maths() {
    let meters = Meters { cpu: Some(160), named: vec![("hits", 9000), ("queue", 9000)] };
    let object = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
    for (metric, expected, name) in [
        (cpu(80), 4, "cpu resource utilization (percentage of request)"),
        (
            json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "80m"}}}),
            4,
            "cpu resource",
        ),
        (
            json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main",
                "target": {"type": "Utilization", "averageUtilization": 80}}}),
            4,
            "cpu container resource utilization (percentage of request)",
        ),
        (
            json!({"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "6"}}}),
            3,
            "pods metric hits",
        ),
        (
            json!({"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": object,
                "target": {"type": "Value", "value": "5"}}}),
            4,
            "Service metric hits",
        ),
        (
            json!({"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": object,
                "target": {"type": "AverageValue", "averageValue": "3"}}}),
            3,
            "external metric hits(nil)",
        ),
        (
            json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "5"}}}),
            4,
            "external metric queue(nil)",
        ),
        (
            json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "3"}}}),
            3,
            "external metric queue(nil)",
        ),
    ] {
        let mut tank = Tank::new(2, &[json!({"metrics": [metric]})]);
        tank.run(&meters, 16);
        assert_eq!(tank.replicas(), expected, "{metric}");
        let said = format!("New size: {expected}; reason: {name} above target");
        assert_eq!(tank.events("SuccessfulRescale"), [said], "{metric}");
        let active = format!(
            "True ValidMetricFound: the HPA was able to successfully calculate a replica count from {name}"
        );
        assert_eq!(tank.condition("ScalingActive"), active);
    }
}

/// `§1.7`, the table of cases, and `§7` 8: the largest proposal wins; a broken metric blocks shrinking, not growing.
#[test]
fn several_metrics_agree_on_the_largest_and_a_broken_one_blocks_shrinking() {
    let hits = |target: &str| json!({"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": target}}});
    let broken = json!({"type": "External", "external": {"metric": {"name": "gone"}, "target": {"type": "Value", "value": "5"}}});
    for (metrics, milli, replicas, expected, active) in [
        (vec![cpu(80), hits("6")], 160, 2, 4, "ValidMetricFound"),
        (vec![cpu(80), hits("3")], 80, 2, 4, "ValidMetricFound"),
        (vec![cpu(80), broken.clone()], 160, 2, 4, "ValidMetricFound"),
        (vec![cpu(80), broken.clone()], 80, 2, 2, "ValidMetricFound"),
        (vec![cpu(80), broken.clone()], 5, 2, 2, "FailedGetExternalMetric"),
        (vec![broken.clone()], 160, 2, 2, "FailedGetExternalMetric"),
    ] {
        let meters = Meters { cpu: Some(milli), named: vec![("hits", 9000)] };
        let mut tank = Tank::new(replicas, &[json!({"metrics": metrics})]);
        tank.run(&meters, 400);
        assert_eq!(tank.replicas().min(expected.max(4)), expected, "{metrics:?} {milli}");
        assert!(tank.condition("ScalingActive").contains(active), "{}", tank.condition("ScalingActive"));
    }
    let mut tank = Tank::new(2, &[json!({"metrics": [broken]})]);
    tank.run(&used(50), 16);
    assert_eq!(
        tank.events("FailedComputeMetricsReplicas"),
        [
            "invalid metrics (1 invalid out of 1), first error is: failed to get gone external metric value: failed to get external metric gone: unable to get external metric default/gone/nil: unable to fetch metrics from external metrics API: not served"
        ]
    );
}

/// `§1.7`: two autoscalers of the same Pods.
#[test]
fn two_autoscalers_of_the_same_pods_do_nothing() {
    let mut tank = Tank::new(2, &[json!({"metrics": [cpu(50)]}), json!({"metrics": [cpu(50)]})]);
    tank.run(&used(150), 20);
    assert_eq!(tank.replicas(), 2);
    let expected = "pods by selector app=web are controlled by multiple HPAs: [default/web default/web-1]";
    assert!(tank.events("AmbiguousSelector").iter().all(|said| said == expected));
    assert!(tank.condition("ScalingActive").starts_with("False AmbiguousSelector"));
}

/// `§1.7`: container names, and requests of the whole Pod.
#[test]
fn containers_and_pods_that_ask_for_nothing_spoil_the_metric() {
    let side = json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "side",
        "target": {"type": "Utilization", "averageUtilization": 80}}});
    let mut tank = Tank::new(1, &[json!({"metrics": [side]})]);
    tank.run(&used(150), 16);
    assert!(tank.condition("ScalingActive").starts_with("False FailedGetContainerResourceMetric"));
    let mut tank = Tank::new(1, &[json!({"metrics": [cpu(50)]})]);
    tank.run(&Meters::default(), 16);
    assert_eq!(
        tank.events("FailedGetResourceMetric"),
        [
            "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
        ]
    );
}

/// `§1.9`: rescales are remembered, and only rescales; `§1.10`.
#[test]
fn policies_look_back_at_rescales() {
    let behavior = json!({"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}});
    let mut tank = Tank::new(2, &[json!({"metrics": [cpu(50)], "behavior": behavior})]);
    tank.run(&used(200), 16);
    assert_eq!(tank.replicas(), 3);
    let expected =
        "True ScaleUpLimit: the desired replica count is increasing faster than the maximum scale rate";
    assert_eq!(tank.condition("ScalingLimited"), expected);
    tank.run(&used(200), 45);
    assert_eq!(tank.replicas(), 3);
    tank.run(&used(200), 31);
    assert_eq!(tank.replicas(), 4);
}
