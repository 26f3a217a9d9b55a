//! How long the scheduler takes for what it does: hearing, cycles, calls to the API server.

use std::fmt::Write;

use wavetank::api::Pod;
use wavetank::base::{SimTime, SourceMap, Str};
use wavetank::facts::{Fact, NullRecorder, Recorder};
use wavetank::scenario::{self, MemoryFiles};
use wavetank::sim::World;

/// Hears when Pods get a node, when they are said to fit nowhere, and when they are asked to end.
#[derive(Default)]
struct Heard {
    bound: Vec<f64>,
    refused: Vec<f64>,
    deleted: Vec<(Str, f64)>,
}

impl Recorder for Heard {
    fn record(&mut self, fact: &Fact) {
        let Fact::Changed(change) = fact else { return };
        let Some((Some(old), Some(new))) = change.of::<Pod>() else { return };
        let at = change.at.as_secs_f64();
        if old.node_name.is_none() && new.node_name.is_some() {
            self.bound.push(at);
        }
        if old.status.conditions.is_empty() && !new.status.conditions.is_empty() && new.node_name.is_none() {
            self.refused.push(at);
        }
        if !old.meta.is_deleting() && new.meta.is_deleting() {
            self.deleted.push((new.meta.name.clone(), at));
        }
    }
}

/// A scenario with one large node and Pods that each request so much.
fn scenario(more: &str, pods: usize, cpu: &str) -> String {
    let size = "{cpu: '100', memory: 400Gi, pods: '1000'}";
    let mut text = format!(
        "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: pace}}\nspec:\n  duration: 1m\n  cluster:\n    \
         nodes: [{{name: node-1, capacity: {size}, allocatable: {size}}}]\n    {more}\n  manifests:\n  - inline:\n"
    );
    for index in 0..pods {
        let _ = writeln!(
            text,
            "    - {{apiVersion: v1, kind: Pod, metadata: {{name: p{index}}}, spec: {{containers: [{{name: c, image: app, \
             resources: {{requests: {{cpu: {cpu}}}}}}}]}}}}"
        );
    }
    text
}

fn heard(text: &str) -> Heard {
    let mut sources = SourceMap::default();
    let (plan, found) = scenario::load_text(&MemoryFiles::default(), "pace.yaml", text, &mut sources);
    let plan = plan.unwrap_or_else(|| panic!("{found:?}"));
    let mut heard = Heard::default();
    let mut world = World::new(&plan, &mut heard);
    world.check_invariants();
    world.run_until(SimTime::from_secs(60), &mut heard).unwrap();
    heard
}

/// Facts §10.5: the next Pod is taken while bindings run; `--kube-api-qps` and `--kube-api-burst` hold them back.
#[test]
fn bindings_follow_one_another_by_the_cycle_and_after_the_burst_by_the_budget() {
    let bound = heard(&scenario("latencies: {}", 200, "10m")).bound;
    assert_eq!(bound.len(), 200);
    // Heard after 4 ms; a cycle of 1 ms, a call of 5 ms.
    assert!((bound[0] - 0.010).abs() < 1e-6, "{}", bound[0]);
    assert!((bound[49] - bound[0] - 0.049).abs() < 1e-6, "{}", bound[49]);
    // 100 at once, then 50 a second.
    assert!((bound[199] - bound[149] - 1.0).abs() < 1e-6, "{} {}", bound[149], bound[199]);
    assert!((1.9..2.1).contains(&bound[199]), "{}", bound[199]);
    let faster = "settings: {kube-scheduler: {kube-api-qps: 1000, kube-api-burst: 1000}}";
    let bound = heard(&scenario(faster, 200, "10m")).bound;
    assert!(bound[199] < 0.25, "{}", bound[199]);
}

/// Facts §10.1: asynchronous API calls are off, so a cycle that finds no node waits for the call that says so.
#[test]
fn a_cycle_that_finds_no_node_waits_until_that_is_written() {
    let refused = heard(&scenario("latencies: {}", 300, "'101'")).refused;
    assert_eq!(refused.len(), 300);
    assert!((refused[10] - refused[9] - 0.006).abs() < 1e-6, "{refused:?}");
    let last = refused[299] - refused[298];
    assert!((0.019..0.022).contains(&last), "the budget lets 50 a second through: {last}");
}

/// The latency `watch`.
#[test]
fn the_scheduler_hears_of_a_pod_when_the_watch_brings_it() {
    let bound = heard(&scenario("latencies: {watch: 2s}", 1, "10m")).bound;
    assert!((bound[0] - 2.006).abs() < 1e-6, "{bound:?}");
    let random = scenario("latencies: {watch: {uniform: {min: 1s, max: 3s}}}", 5, "10m");
    let bound = heard(&random).bound;
    assert!(bound.iter().all(|at| (1.006..3.1).contains(at)), "{bound:?}");
    assert_eq!(bound, heard(&random).bound, "drawn from an addressed stream");
}

/// Facts §10.7, 6 and 7: all victims but the last go at the same time, then the last.
#[test]
fn victims_are_evicted_all_but_the_last_and_then_the_last() {
    let urgent = "
  - inline:
    - {apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000}
  steps:
  - at: 10s
    apply:
    - inline:
        {apiVersion: v1, kind: Pod, metadata: {name: urgent}, spec: {priorityClassName: high, containers: [{name: c, image: app, resources: {requests: {cpu: '100'}}}]}}
";
    let heard = heard(&(scenario("latencies: {}", 3, "30") + urgent));
    let at: Vec<f64> = heard.deleted.iter().map(|(_, at)| *at).collect();
    assert_eq!(at.len(), 3, "{:?}", heard.deleted);
    assert!(at[0] > 10.0 && at[0] == at[1] && at[2] > at[1], "{at:?}");
    let calls = (at[2] - at[1]) / (at[0] - 10.0);
    assert!((0.7..1.1).contains(&calls), "both take two calls: {at:?}");
}

/// Once all is as it should be, nothing ticks: neither kubelets nor controllers nor loops of the scheduler, however many
/// nodes and Pods there are.
#[test]
fn an_idle_cluster_has_no_events() {
    for nodes in [3, 300] {
        let text = format!(
            "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: idle}}\nspec:\n  duration: 48h\n  cluster:\n    \
             zones: [a, b, c]\n    nodeGroups: [{{name: workers, instanceType: m6i.large, size: {nodes}}}]\n  manifests:\n  - inline:\n    \
             - {{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{replicas: {nodes}, selector: {{matchLabels: \
             {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: c, image: app, \
             readinessProbe: {{httpGet: {{port: 80}}}}}}]}}}}}}}}\n"
        );
        let (plan, found) =
            scenario::load_text(&MemoryFiles::default(), "idle.yaml", &text, &mut SourceMap::default());
        let plan = plan.unwrap_or_else(|| panic!("{found:?}"));
        let mut world = World::new(&plan, &mut NullRecorder);
        let mut events_after = |hours: u64| {
            world.run_until(SimTime::from_secs(hours * 3600), &mut NullRecorder).unwrap();
            world.outcome().events
        };
        let (one, two, all) = (events_after(1), events_after(2), events_after(48));
        assert!(one > nodes, "{one} events in the first hour of {nodes} nodes");
        assert_eq!((two, all), (one, one), "{nodes} nodes");
    }
}
