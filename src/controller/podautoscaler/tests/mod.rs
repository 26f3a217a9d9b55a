mod grouping;
mod looks;
mod words;

use super::*;
use crate::api::condition::Condition;
use crate::api::pod::cond;
use crate::api::resources::{CPU, MEMORY};
use crate::api::{Phase, ResourceList};
use crate::base::{Arc, Quantity};
use crate::store::metrics::{MetricsApi, PodSample, Sample};
use crate::store::{ObjId, Store};
use crate::testkit;
use calculate::{Calculator, Selected, Tolerances};
use normalize::Memory;

/// Samples by the Pod's name.
struct Samples(Vec<(String, i64)>);

impl MetricsApi for Samples {
    fn resource_metrics(&self) -> Result<(), crate::base::Str> {
        Ok(())
    }

    fn pod_usage(&self, store: &Store, _: ObjId, pod: &Pod, _: &str, container: Option<&str>) -> PodSample {
        if container.is_some_and(|name| name != "main") {
            return PodSample::NoContainer;
        }
        match self.0.iter().find(|(name, _)| pod.meta.name == name.as_str()) {
            Some((_, milli)) => {
                let window = SimDuration::from_secs(30);
                PodSample::Value(Sample { milli: *milli, at: store.now(), window })
            }
            None => PodSample::Missing,
        }
    }

    fn pod_metric(
        &self,
        store: &Store,
        id: ObjId,
        pod: &Pod,
        metric: &str,
        _: &LabelSelector,
    ) -> Result<Option<Sample>, crate::base::Str> {
        Ok(match self.pod_usage(store, id, pod, metric, None) {
            PodSample::Value(sample) => Some(sample),
            PodSample::Missing | PodSample::NoContainer => None,
        })
    }

    fn next_change(&self, _: SimTime, _: &[(ObjId, &Arc<Pod>)]) -> Option<SimTime> {
        None
    }
}

/// Pods as words, a word each: `400` ready and using so many millicores, `?` ready without a sample, `pending`,
/// `deleted`, `failed`, `starting:400` not ready and young, `fresh:400` ready for less than a window, `lost:400` not
/// ready any more after a long life, `never:400` old and never ready. Each requests 1000m.
fn world(pods: &str, request: Option<i64>) -> (Store, Samples) {
    let mut store = testkit::store();
    store.advance(SimTime::from_secs(3600));
    let now = store.timestamp();
    let mut samples = Vec::new();
    for (index, word) in pods.split_whitespace().enumerate() {
        let (state, usage) = match word.split_once(':') {
            Some((state, usage)) => (state, usage.parse().ok()),
            None => match word.parse::<i64>() {
                Ok(usage) => ("old", Some(usage)),
                Err(_) => (word, None),
            },
        };
        let name = format!("p{index}");
        let mut pod = testkit::pod(&name, "app=web");
        let spec = Arc::make_mut(&mut pod.spec);
        spec.containers[0].requests =
            request.map(|milli| (CPU, Quantity::from_milli(milli))).into_iter().collect::<ResourceList>();
        // Seconds since the start, whether it is ready, seconds since that changed.
        let (age, ready, changed) = match state {
            "starting" => (60, false, 60),
            "fresh" => (60, true, 10),
            "lost" => (3000, false, 100),
            "never" => (3000, false, 2990),
            _ => (3000, true, 2000),
        };
        pod.status.start_time = Some(now.plus_secs(-age));
        pod.status.phase = match state {
            "pending" => Phase::Pending,
            "failed" => Phase::Failed,
            _ => Phase::Running,
        };
        let at = now.plus_secs(-changed);
        pod.status.conditions = vec![Condition::new(cond::READY, ConditionStatus::of(ready), "", "", at)];
        if state == "deleted" {
            pod.meta.deletion = Some(crate::api::Deletion { timestamp: now, grace_seconds: Some(30) });
        }
        samples.extend(usage.map(|milli| (name, milli)));
        store.create(pod).unwrap();
    }
    (store, Samples(samples))
}

/// The Pods of the app.
fn selected(store: &Store) -> Vec<Selected<'_>> {
    store.select_pod_ids("default", &LabelSelector::parse("app=web").unwrap())
}

fn with_calculator<R>(pods: &str, request: Option<i64>, act: impl FnOnce(&Calculator<'_>) -> R) -> R {
    let (store, samples) = world(pods, request);
    let pods = selected(&store);
    act(&Calculator {
        store: &store,
        metrics: &samples,
        namespace: "default",
        pods: &pods,
        tolerances: Tolerances { down: 0.1, up: 0.1 },
        cpu_initialization_period: SimDuration::from_mins(5),
        initial_readiness_delay: SimDuration::from_secs(30),
    })
}

/// `§1.4` to `§1.6`, and `§7` 2, 3, 7, 10: utilisation is truncated, ready Pods are multiplied, edges are inclusive.
#[test]
fn utilisation_decides_the_size() {
    // Present size, target in percent, Pods, expected size and reported percent. Worked out by hand.
    for (current, target, pods, expected, percent) in [
        (3, 50, "500 500 500", 3, 50),
        // The edges of the tolerance are inside: 0.9 and 1.1 of the target.
        (10, 100, "1100 1100 1100 1100 1100 1100 1100 1100 1100 1100", 10, 110),
        (3, 100, "1110 1110 1110", 4, 111),
        (3, 100, "900 900 900", 3, 90),
        (3, 100, "890 890 890", 3, 89),
        (4, 100, "660 660 660 660", 3, 66),
        (3, 30, "300 500 700", 5, 50),
        (3, 30, "100 100 100", 1, 10),
        // Percents are truncated before the ratio is taken: 33.3 % is 33 %.
        (3, 30, "333 333 334", 3, 33),
        (2, 75, "1400 1400", 4, 140),
        (1, 75, "0", 0, 0),
        // Missing samples count as nothing on the way up …
        (4, 75, "1250 1250 ? ?", 4, 125),
        (4, 50, "1250 1250 ? ?", 5, 125),
        (3, 100, "2000 2000 ?", 4, 200),
        // … and as everything on the way down,
        (3, 50, "100 100 ?", 3, 10),
        (4, 100, "100 100 100 ?", 2, 10),
        // or as the target if that is more.
        (3, 150, "100 100 ?", 2, 10),
        // Unready ones count as nothing on the way up and not at all on the way down.
        (4, 100, "2000 2000 2000 starting:900", 6, 200),
        (4, 100, "2000 2000 2000 pending", 6, 200),
        (3, 50, "400 starting:900 starting:900", 1, 40),
        (3, 100, "500 500 pending", 1, 50),
        (4, 100, "1200 1200 pending pending", 4, 120),
        // Deleted and failed Pods are no Pods.
        (2, 50, "1000 1000 deleted failed", 4, 100),
        // A sample that begins before the Pod was ready is none.
        (2, 50, "1000 fresh:1000", 2, 100),
        // A Pod that was ready once counts for ever; one that never was does not.
        (2, 50, "1000 lost:1000", 4, 100),
        (2, 50, "1000 never:1000", 2, 100),
        // A change that turns around when missing Pods are filled in is none.
        (3, 80, "700 ? ?", 3, 70),
    ] {
        let found = with_calculator(pods, Some(1000), |c| c.by_utilization(current, target, CPU, None));
        let found = found.unwrap_or_else(|why| panic!("{pods}: {why}"));
        assert_eq!(
            (found.replicas, found.utilization),
            (expected, Some(percent)),
            "{current} at {target}: {pods}"
        );
    }
}

/// `§1.4` to `§1.6`: averages; memory and custom metrics know no start-up.
#[test]
fn averages_decide_the_size() {
    // Present size, target in millicores, Pods, expected size and reported average.
    for (current, target, pods, expected, average) in [
        (3, 500, "500 500 500", 3, 500),
        (3, 500, "550 550 550", 3, 550),
        (3, 500, "560 560 560", 4, 560),
        (3, 500, "450 450 450", 3, 450),
        (3, 500, "240 240 240", 2, 240),
        (3, 500, "1000 1000 ?", 4, 1000),
        (3, 500, "100 100 ?", 2, 100),
        (3, 500, "1000 1000 pending", 4, 1000),
        (3, 500, "100 100 pending", 1, 100),
        (2, 500, "1000 deleted 1000", 4, 1000),
    ] {
        let found = with_calculator(pods, Some(1000), |c| c.by_resource_value(current, target, CPU, None));
        let found = found.unwrap_or_else(|why| panic!("{pods}: {why}"));
        assert_eq!((found.replicas, found.milli), (expected, average), "{current} at {target}: {pods}");
    }
    // Memory and custom metrics know no start-up.
    for (resource, expected) in [(MEMORY, 4), (CPU, 2)] {
        let found =
            with_calculator("1000 fresh:1000", Some(1000), |c| c.by_resource_value(2, 500, resource, None));
        assert_eq!(found.unwrap().replicas, expected, "{resource}");
    }
    let custom = with_calculator("1000 fresh:1000", Some(1000), |c| {
        c.by_pods_metric(2, 500, "requests", &LabelSelector::everything())
    });
    assert_eq!(custom.unwrap().replicas, 4);
}

/// `§1.4`: values of objects and external metrics, as they are and per Pod.
#[test]
fn values_decide_the_size() {
    // Present size, value, target, Pods, expected size.
    for (current, value, target, pods, expected) in [
        (2, 1000, 1000, "0 0", 2),
        (2, 1100, 1000, "0 0", 2),
        (2, 1101, 1000, "0 0", 3),
        (2, 2000, 1000, "0 pending", 2),
        (4, 250, 1000, "0 0 0 0", 1),
        (0, 3500, 1000, "0", 4),
        (0, 0, 1000, "0", 0),
    ] {
        let found = with_calculator(pods, Some(1000), |c| c.by_value(current, value, target));
        assert_eq!(found.unwrap().replicas, expected, "{current}: {value} of {target}, {pods}");
    }
    // Running, value, target per Pod, expected size and reported average.
    for (running, value, target, expected, average) in [
        (4, 4000, 1000, 4, 1000),
        (4, 4400, 1000, 4, 1100),
        (4, 4401, 1000, 5, 1101),
        (4, 3599, 1000, 4, 900),
        (4, 2999, 1000, 3, 750),
        (4, 100, 1000, 1, 25),
    ] {
        let found = with_calculator("0", Some(1000), |c| c.by_value_per_pod(running, value, target));
        assert_eq!((found.replicas, found.milli), (expected, average), "{running}: {value} of {target}");
    }
}

/// `§1.7`, inner texts, and `§7` 4.
#[test]
fn what_cannot_be_worked_out_is_said_in_upstreams_words() {
    for (pods, request, container, expected) in [
        (
            "",
            Some(1000),
            None,
            "unable to get metrics for resource cpu: no metrics returned from resource metrics API",
        ),
        (
            "? ?",
            Some(1000),
            None,
            "unable to get metrics for resource cpu: no metrics returned from resource metrics API",
        ),
        ("500 500", None, None, "missing request for cpu in container main of Pod p0"),
        ("500 ?", Some(0), None, "no metrics returned matched known pods"),
        (
            "starting:500",
            Some(1000),
            None,
            "did not receive metrics for targeted pods (pods might be unready)",
        ),
        (
            "500",
            Some(1000),
            Some("side"),
            "unable to get metrics for resource cpu: failed to get container metrics: container side not present in metrics for pod default/p0",
        ),
    ] {
        let found = with_calculator(pods, request, |c| c.by_utilization(2, 50, CPU, container));
        assert_eq!(found.unwrap_err(), expected, "{pods}");
    }
}

fn t(seconds: u64) -> SimTime {
    SimTime::from_secs(seconds)
}

/// `§1.8`, `§1.10` and `§7` 1, 5.
#[test]
fn without_a_behaviour_growth_at_most_doubles_and_shrinking_waits_five_minutes() {
    let bounds = |current| Bounds { min: 2, max: 10, current };
    let window = SimDuration::from_mins(5);
    let mut memory = Memory::default();
    memory.begin(t(0), 2);
    // Instant, present size, proposal, result, reasons.
    for (at, current, proposed, expected, able, limit) in [
        (15, 2, 2, 2, "ReadyForNewScale", "DesiredWithinRange"),
        (60, 2, 6, 4, "ReadyForNewScale", "ScaleUpLimit"),
        (75, 4, 5, 6, "ScaleDownStabilized", "DesiredWithinRange"),
        (90, 6, 14, 10, "ReadyForNewScale", "TooManyReplicas"),
        (105, 10, 1, 10, "ScaleDownStabilized", "TooManyReplicas"),
        (390, 10, 1, 10, "ScaleDownStabilized", "TooManyReplicas"),
        (391, 10, 1, 2, "ReadyForNewScale", "TooFewReplicas"),
    ] {
        let found = memory.plain(t(at), proposed, bounds(current), window);
        assert_eq!((found.replicas, found.able.0, found.limit.0), (expected, able, limit), "at {at}");
    }
}

/// Rules as `window; select; kind value period, …`.
fn rules(text: &str) -> crate::api::k8s::autoscaling::v2::HPAScalingRules {
    let parts: Vec<&str> = text.split("; ").collect();
    let policies = parts[2].split(", ").filter(|p| !p.is_empty()).map(|policy| {
        let words: Vec<&str> = policy.split(' ').collect();
        crate::api::k8s::autoscaling::v2::HPAScalingPolicy {
            type_: words[0].to_owned(),
            value: words[1].parse().unwrap(),
            period_seconds: words[2].parse().unwrap(),
        }
    });
    crate::api::k8s::autoscaling::v2::HPAScalingRules {
        stabilization_window_seconds: parts[0].parse().ok(),
        select_policy: Some(parts[1].to_owned()),
        policies: Some(policies.collect()),
        ..Default::default()
    }
}

/// `§1.9`, rates, and `§1.10`.
#[test]
fn policies_limit_the_rate() {
    const UP: &str = "0; Max; Pods 4 15, Percent 100 15";
    const DOWN: &str = "-; Max; Percent 100 15";
    // Rules up, rules down, rescales before (instant, from, to), present size, proposal at 100 s, result, limit.
    for (up, down, before, current, proposed, expected, limit) in [
        (UP, DOWN, &[][..], 3, 20, 7, "ScaleUpLimit"),
        (UP, DOWN, &[], 6, 20, 12, "ScaleUpLimit"),
        (UP, DOWN, &[(90, 3, 7)], 7, 20, 7, "ScaleUpLimit"),
        (UP, DOWN, &[(85, 3, 7)], 7, 20, 14, "ScaleUpLimit"),
        ("0; Min; Pods 4 15, Percent 100 15", DOWN, &[], 3, 20, 6, "ScaleUpLimit"),
        ("0; Disabled; Pods 4 15", DOWN, &[], 3, 20, 3, "ScaleUpLimit"),
        ("0; Max; Percent 10 60", DOWN, &[], 3, 20, 4, "ScaleUpLimit"),
        ("0; Max; Percent 1000 60", DOWN, &[], 30, 200, 100, "TooManyReplicas"),
        ("0; Max; Pods 2 60", DOWN, &[(50, 3, 5)], 5, 9, 5, "ScaleUpLimit"),
        ("0; Max; Pods 2 60", DOWN, &[(50, 3, 4)], 4, 9, 5, "ScaleUpLimit"),
        (UP, "0; Max; Percent 100 15", &[], 10, 1, 2, "TooFewReplicas"),
        (UP, "0; Max; Pods 2 60", &[], 10, 3, 8, "ScaleDownLimit"),
        (UP, "0; Max; Pods 2 60, Percent 50 60", &[], 10, 3, 5, "ScaleDownLimit"),
        (UP, "0; Min; Pods 2 60, Percent 50 60", &[], 10, 3, 8, "ScaleDownLimit"),
        (UP, "0; Max; Percent 10 60", &[], 9, 3, 8, "ScaleDownLimit"),
        (UP, "0; Disabled; Percent 10 60", &[], 9, 3, 9, "ScaleDownLimit"),
        (UP, "0; Max; Pods 3 60", &[(70, 12, 10)], 10, 3, 9, "ScaleDownLimit"),
        (UP, "0; Max; Pods 3 60", &[(30, 12, 10)], 10, 3, 7, "ScaleDownLimit"),
        (UP, "0; Max; Pods 3 60", &[(70, 8, 10)], 10, 3, 5, "ScaleDownLimit"),
    ] {
        let behavior = crate::api::k8s::autoscaling::v2::HorizontalPodAutoscalerBehavior {
            scale_up: Some(rules(up)),
            scale_down: Some(rules(down)),
        };
        let mut memory = Memory::default();
        for (at, from, to) in before {
            memory.rescaled(t(*at), *from, *to, Some(&behavior));
        }
        let bounds = Bounds { min: 2, max: 100, current };
        let found = memory.with_behavior(t(100), proposed, bounds, &behavior, SimDuration::from_mins(5));
        assert_eq!(
            (found.replicas, found.limit.0),
            (expected, limit),
            "{up} | {down} | {before:?} {current} {proposed}"
        );
    }
}

/// `§1.9`, stabilisation.
#[test]
fn windows_hold_both_directions() {
    // Windows up and down, recommendations before (instant, size), present size, proposal at 400 s, result, reason.
    for (up, down, before, current, proposed, expected, able) in [
        ("0", "300", &[(200, 9)][..], 8, 4, 8, "ScaleDownStabilized"),
        ("0", "300", &[(200, 7)], 8, 4, 7, "ScaleDownStabilized"),
        ("0", "300", &[(100, 9)], 8, 4, 4, "ReadyForNewScale"),
        ("0", "300", &[(101, 9)], 8, 4, 8, "ScaleDownStabilized"),
        ("0", "-", &[(101, 9)], 8, 4, 8, "ScaleDownStabilized"),
        ("0", "0", &[(399, 9)], 8, 4, 4, "ReadyForNewScale"),
        ("60", "300", &[(350, 5)], 4, 8, 5, "ScaleUpStabilized"),
        ("60", "300", &[(350, 3)], 4, 8, 4, "ScaleUpStabilized"),
        ("60", "300", &[(340, 3)], 4, 8, 8, "ReadyForNewScale"),
    ] {
        let behavior = crate::api::k8s::autoscaling::v2::HorizontalPodAutoscalerBehavior {
            scale_up: Some(rules(&format!("{up}; Max; Pods 100 15"))),
            scale_down: Some(rules(&format!("{down}; Max; Percent 100 15"))),
        };
        let recommendations = before.iter().map(|(at, size)| (t(*at), *size)).collect();
        let mut memory = Memory { recommendations, ..Memory::default() };
        let bounds = Bounds { min: 1, max: 100, current };
        let found = memory.with_behavior(t(400), proposed, bounds, &behavior, SimDuration::from_mins(5));
        assert_eq!(
            (found.replicas, found.able.0),
            (expected, able),
            "{up} {down} {before:?} {current} {proposed}"
        );
    }
}

/// `§1.2`: one look per period.
#[test]
fn a_sleeping_autoscaler_keeps_its_grid() {
    let period = SimDuration::from_millis(15_015);
    assert_eq!(next_look(t(100), period, t(100)), t(100) + period);
    assert_eq!(next_look(t(100), period, t(101)), t(100) + period);
    assert_eq!(next_look(t(100), period, t(100) + period), t(100) + period);
    assert_eq!(next_look(t(100), period, t(116)), t(100) + period * 2);
}
