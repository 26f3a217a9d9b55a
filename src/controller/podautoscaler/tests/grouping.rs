//! Which Pods count, with all the instants that decide it, and what that does to the size.

use serde_json::json;

use super::*;
use crate::api::{Kind, Object, lower};
use crate::base::Timestamp;

/// A Pod that requests 1000m, as the calculator sees it. Instants are seconds before now.
#[derive(Clone)]
struct Facts {
    phase: Phase,
    started: Option<i64>,
    /// Readiness, and when that came about.
    ready: Option<(bool, i64)>,
    /// Millicores, the sample's age and its window.
    sample: Option<(i64, u64, u64)>,
}

impl Facts {
    fn running(started: i64, ready: bool, changed: i64, sample: (i64, u64, u64)) -> Self {
        let phase = Phase::Running;
        Self { phase, started: Some(started), ready: Some((ready, changed)), sample: Some(sample) }
    }
}

struct Exact(Vec<(String, Sample)>);

impl MetricsApi for Exact {
    fn resource_metrics(&self) -> Result<(), crate::base::Str> {
        Ok(())
    }

    fn pod_usage(&self, _: &Store, _: ObjId, pod: &Pod, _: &str, _: Option<&str>) -> PodSample {
        let found = self.0.iter().find(|(name, _)| pod.meta.name == name.as_str());
        found.map_or(PodSample::Missing, |(_, sample)| PodSample::Value(*sample))
    }

    fn next_change(&self, _: SimTime, _: &[(ObjId, &Arc<Pod>)]) -> Option<SimTime> {
        None
    }
}

/// The proposal for CPU at 100 % of two old Pods at 100 % and this one.
fn proposed(current: i32, others: &[i64], facts: &Facts, resource: &str) -> i32 {
    let mut store = testkit::store();
    store.advance(SimTime::from_secs(3600));
    let now: Timestamp = store.timestamp();
    let old = |milli: i64| Facts::running(3000, true, 2000, (milli, 0, 30));
    let all: Vec<Facts> = others.iter().map(|milli| old(*milli)).chain([facts.clone()]).collect();
    let mut samples = Vec::new();
    for (index, facts) in all.into_iter().enumerate() {
        let mut pod = testkit::pod(&format!("p{index}"), "app=web");
        let request = Quantity::from_milli(1000);
        Arc::make_mut(&mut pod.spec).containers[0].requests =
            [(CPU, request), (MEMORY, request)].into_iter().collect();
        pod.status.phase = facts.phase;
        pod.status.start_time = facts.started.map(|ago| now.plus_secs(-ago));
        let ready = facts.ready.map(|(is, ago)| {
            Condition::new(cond::READY, ConditionStatus::of(is), "", "", now.plus_secs(-ago))
        });
        pod.status.conditions = ready.into_iter().collect();
        samples.extend(facts.sample.map(|(milli, age, window)| {
            let at = SimTime::from_secs(3600 - age);
            (format!("p{index}"), Sample { milli, at, window: SimDuration::from_secs(window) })
        }));
        store.create(pod).unwrap();
    }
    let pods = selected(&store);
    let calculator = Calculator {
        store: &store,
        metrics: &Exact(samples),
        namespace: "default",
        pods: &pods,
        tolerances: Tolerances { down: 0.1, up: 0.1 },
        cpu_initialization_period: SimDuration::from_mins(5),
        initial_readiness_delay: SimDuration::from_secs(30),
    };
    calculator.by_utilization(current, 100, resource, None).unwrap().replicas
}

/// `§1.5`, rows 1 to 7 with their edges. Two Pods at 200 % of the target and one that counts with its 200 % make six, one
/// that counts as nothing makes four.
#[test]
fn what_a_pods_sample_is_worth_depends_on_instants() {
    const COUNTS: i32 = 6;
    const UNREADY: i32 = 4;
    let at =
        |started, ready, changed, age, window| Facts::running(started, ready, changed, (2000, age, window));
    let old = || at(3000, true, 2000, 0, 30);
    for (what, facts, cpu, memory) in [
        ("ready for long", old(), COUNTS, COUNTS),
        // Row 2: whatever else is known.
        ("pending", Facts { phase: Phase::Pending, ..old() }, UNREADY, UNREADY),
        // Row 3: missing Pods count as nothing on the way up.
        ("without a sample", Facts { sample: None, ..old() }, UNREADY, UNREADY),
        (
            "ended well, without a sample",
            Facts { phase: Phase::Succeeded, sample: None, ..old() },
            UNREADY,
            UNREADY,
        ),
        // Row 4.
        ("without the condition", Facts { ready: None, ..old() }, UNREADY, COUNTS),
        ("without a start", Facts { started: None, ..old() }, UNREADY, COUNTS),
        // Row 5: within five minutes of the start.
        ("young and not ready", at(299, false, 299, 0, 30), UNREADY, COUNTS),
        ("young, ready for less than a window", at(299, true, 29, 0, 30), UNREADY, COUNTS),
        ("young, ready for just a window", at(299, true, 30, 0, 30), COUNTS, COUNTS),
        ("young, and the sample is older than that", at(299, true, 44, 15, 30), UNREADY, COUNTS),
        ("young, and the sample is just as old", at(299, true, 45, 15, 30), COUNTS, COUNTS),
        ("young, but ready and lost again", at(299, false, 10, 0, 30), UNREADY, COUNTS),
        // Row 6: five minutes and more.
        ("five minutes old, ready since a moment", at(300, true, 1, 0, 30), COUNTS, COUNTS),
        ("old, never ready: that turned 29 s after the start", at(600, false, 571, 0, 30), UNREADY, COUNTS),
        ("old, not ready since 30 s after the start", at(600, false, 570, 0, 30), COUNTS, COUNTS),
        // Row 7.
        ("old, ready once, and not any more", at(3000, false, 100, 0, 30), COUNTS, COUNTS),
    ] {
        assert_eq!(proposed(3, &[2000, 2000], &facts, CPU), cpu, "cpu, {what}");
        // `§7` 7: readiness plays a part for CPU only.
        assert_eq!(proposed(3, &[2000, 2000], &facts, MEMORY), memory, "memory, {what}");
    }
    // Row 1: of three Pods two are left, and four times as much is no more than twice two.
    let failed = Facts { phase: Phase::Failed, ..old() };
    assert_eq!(proposed(3, &[2000, 2000], &failed, CPU), 4);
}

/// `§1.6`: what unready and missing Pods do to both directions; they damp, and never turn a change around.
#[test]
fn pods_of_which_nothing_is_known_damp_a_change() {
    let missing = Facts { sample: None, ..Facts::running(3000, true, 2000, (0, 0, 30)) };
    let unready = Facts::running(60, false, 60, (900, 0, 30));
    // Present size, what the others use of a target of 1000m, the third or fourth Pod, expected.
    for (current, others, facts, expected) in [
        // Up: both count as nothing. 4000/3000 is 133 %.
        (3, &[2000, 2000][..], &missing, 4),
        (3, &[2000, 2000], &unready, 4),
        // Up, and within the tolerance once they are counted: 3300/3000.
        (3, &[1650, 1650], &missing, 3),
        (3, &[1650, 1650], &unready, 3),
        (3, &[1680, 1680], &missing, 4),
        // Up, and down once they are counted: nothing happens.
        (3, &[1200, 1200], &missing, 3),
        (3, &[1200, 1200], &unready, 3),
        // Down: missing ones count as all of their request, unready ones not at all.
        (3, &[100, 100], &missing, 2),
        (3, &[100, 100], &unready, 1),
        (3, &[800, 800], &missing, 3),
        (3, &[800, 800], &unready, 2),
        // Exactly at the target nothing is filled in.
        (3, &[1000, 1000], &missing, 3),
        // More Pods than the target is to have (a rollout's surge): a change against the direction is none.
        (2, &[800, 800], &missing, 2),
        (6, &[2000, 2000], &missing, 6),
    ] {
        assert_eq!(proposed(current, others, facts, CPU), expected, "{current} {others:?} {:?}", facts.ready);
    }
}

/// `§1.12`: who else touches what the calculator sees.
#[test]
fn other_controllers_change_what_is_seen() {
    let counts = |milli| Facts::running(3000, true, 2000, (milli, 0, 30));
    // A rollout's surge Pod enters the average: three Pods of which the Deployment wants two.
    assert_eq!(proposed(2, &[1000, 1000], &counts(100), CPU), 3, "70 % of three Pods, rounded up");
    // Pods that wait for a node count as nothing on the way up: two Pods at 200 % and one that waits ask for four, not six.
    let waits = Facts { phase: Phase::Pending, ..counts(0) };
    assert_eq!(proposed(3, &[2000, 2000], &waits, CPU), 4);
    // Ended Pods of a Job under the same labels have no sample, and keep the size up.
    let ended = Facts { phase: Phase::Succeeded, sample: None, ..counts(0) };
    assert_eq!(proposed(3, &[300, 300], &ended, CPU), 2);
    assert_eq!(proposed(2, &[300], &counts(300), CPU), 1, "without one");
    // A vertical autoscaler that doubles requests halves the utilisation of the same usage.
    for (request, expected) in [(500, 4), (1000, 2), (2000, 1)] {
        let found = with_calculator("1000 1000", Some(request), |c| c.by_utilization(2, 100, CPU, None));
        assert_eq!(found.unwrap().replicas, expected, "{request}m");
    }
}

/// `§1.4`: requests of all containers and sidecars, of one container, or of the Pod as a whole.
#[test]
fn requests_are_those_of_containers_or_of_the_pod() {
    let cpu = |milli: i64| json!({"requests": {"cpu": format!("{milli}m")}});
    let none = || json!({});
    let memory = || json!({"requests": {"memory": "1Gi"}});
    // Resources of the main container, of a sidecar, of an init container that ends, of the Pod; the share that 1000m are of it.
    for (main, sidecar, init, whole, expected) in [
        (cpu(500), None, None, None, Ok(200)),
        (cpu(500), Some(cpu(500)), None, None, Ok(100)),
        (cpu(500), None, Some(cpu(500)), None, Ok(200)),
        (cpu(500), None, Some(none()), None, Ok(200)),
        (cpu(500), Some(none()), None, None, Err("missing request for cpu in container side of Pod p0")),
        (none(), None, None, Some(cpu(250)), Ok(400)),
        (none(), None, None, Some(memory()), Err("missing pod-level request for cpu in Pod p0")),
    ] {
        let says_cpu = !main["requests"]["cpu"].is_null();
        let case = format!("{main} {sidecar:?} {init:?} {whole:?}");
        let mut spec = json!({"containers": [{"name": "main", "image": "app:1", "resources": main}], "initContainers": []});
        for (resources, name, policy) in [(sidecar, "side", Some("Always")), (init, "init", None)] {
            if let Some(resources) = resources {
                let container =
                    json!({"name": name, "image": "app:1", "resources": resources, "restartPolicy": policy});
                spec["initContainers"].as_array_mut().unwrap().push(container);
            }
        }
        if let Some(whole) = whole {
            spec["resources"] = whole;
        }
        let (mut store, samples) = world("1000", Some(1000));
        let key = ObjectKey::new("default", "p0");
        let before = store.get::<Pod>(&key).unwrap().clone();
        store.delete::<Pod>(&key, &crate::store::DeleteOptions::force()).unwrap();
        let pod = json!({"metadata": {"name": "p0", "namespace": "default", "labels": {"app": "web"}}, "spec": spec});
        let Object::Pod(pod) = lower::from_json(Kind::Pod, pod).unwrap() else { unreachable!() };
        store.create(Pod { status: before.status.clone(), ..Pod::clone(&pod) }).unwrap();
        let pods = selected(&store);
        let calculator = Calculator {
            store: &store,
            metrics: &samples,
            namespace: "default",
            pods: &pods,
            tolerances: Tolerances { down: 0.1, up: 0.1 },
            cpu_initialization_period: SimDuration::from_mins(5),
            initial_readiness_delay: SimDuration::from_secs(30),
        };
        let found = calculator.by_utilization(1, 100, CPU, None);
        let found = found.map(|proposal| proposal.utilization.unwrap_or_default());
        assert_eq!(found.as_ref().map_err(String::as_str), expected.as_ref().map_err(|why| *why), "{case}");
        // One container's own request comes before the Pod's.
        let of_one = calculator.by_utilization(1, 100, CPU, Some("main"));
        assert_eq!(of_one.is_ok(), says_cpu, "{case}: {of_one:?}");
    }
}
