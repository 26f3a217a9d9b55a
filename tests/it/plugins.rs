//! Scheduler plugins of one's own: registered, enabled by a profile, asked in a scheduler and in a whole run.

use serde_json::json;
use wavetank::api::{Kind, Object, Pod, lower};
use wavetank::base::{SimTime, SourceMap, Str};
use wavetank::facts::NullRecorder;
use wavetank::plan::Plan;
use wavetank::scenario::{self, MemoryFiles};
use wavetank::scheduler::framework::{
    CycleState, Extensions, Filter, MAX_NODE_SCORE, NodeInfo, PodInfo, Score, Setup, Snapshot, Status,
};
use wavetank::scheduler::plugins::registry::Registry;
use wavetank::scheduler::{Choice, Config, Decision, Scheduler, Wording};
use wavetank::sim::World;

/// Refuses nodes that cost more than a limit, and prefers the cheapest.
#[derive(Debug)]
struct Price {
    limit: i64,
}

fn price(setup: &Setup<'_>) -> Extensions {
    let limit = setup.args.other.get("Price").and_then(|args| args["limit"].as_i64());
    Extensions::of("Price", Price { limit: limit.unwrap_or(i64::MAX) }).filter().score().done()
}

fn price_of(node: &NodeInfo) -> i64 {
    node.node().meta.labels.get("price").and_then(|price| price.parse().ok()).unwrap_or(0)
}

impl Filter for Price {
    fn filter(&self, _: &Snapshot, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        if price_of(node) > self.limit {
            return Err(Status::unresolvable("node(s) cost too much", "TooDear"));
        }
        Ok(())
    }
}

impl Score for Price {
    fn score(&self, _: &Snapshot, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<i64, Status> {
        Ok((MAX_NODE_SCORE - price_of(node)).max(0))
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register("Price", price).unwrap();
    registry
}

fn configuration() -> serde_json::Value {
    json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{
            "plugins": {"multiPoint": {"enabled": [{"name": "Price", "weight": 100}]}},
            "pluginConfig": [{"name": "Price", "args": {"limit": 50}}],
        }],
    })
}

fn node(name: &str, price: i64) -> Object {
    let object = json!({
        "metadata": {"name": name, "labels": {"price": price.to_string()}},
        "status": {"allocatable": {"cpu": "2", "memory": "8Gi", "pods": "10"}},
    });
    lower::from_json(Kind::Node, object).unwrap()
}

#[test]
fn a_name_is_registered_once_and_a_profile_knows_registered_names_only() {
    let mut registry = registry();
    assert_eq!(registry.register("Price", price).unwrap_err(), "a plugin named Price already exists");
    assert!(registry.register("NodeAffinity", price).is_err(), "nor in the place of a default one");
    let unknown = Config::from_json(&configuration()).unwrap_err();
    assert!(unknown[0].contains("Price"), "{unknown:?}");
}

#[test]
fn a_scheduler_asks_the_plugin_to_filter_and_to_score() {
    let registry = registry();
    let config = Config::from_json_with(&configuration(), &registry).unwrap();
    let mut scheduler = Scheduler::with_plugins(config, Wording::default(), &registry).unwrap();
    for object in [node("cheap", 3), node("fair", 5), node("dear", 90)] {
        scheduler.change(SimTime::ZERO, None, Some(&object));
    }
    let mut told = Vec::new();
    for index in 0..5 {
        let pod = json!({
            "metadata": {"name": format!("p{index}"), "namespace": "default", "uid": format!("uid-{index}")},
            "spec": {"containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "1"}}}]},
        });
        let pod = lower::from_json(Kind::Pod, pod).unwrap();
        scheduler.change(SimTime::ZERO, None, Some(&pod));
        let queued = scheduler.pop(SimTime::ZERO).unwrap();
        let attempt = scheduler.schedule_one(SimTime::ZERO, queued, &mut Choice::SmallestName);
        told.push(match attempt.decision {
            Decision::Bind(binding) => binding.node.to_string(),
            Decision::Failed(failure) => failure.message,
            Decision::Skipped(why) => format!("{why:?}"),
        });
    }
    assert_eq!(told[..4], ["cheap", "cheap", "fair", "fair"]);
    assert!(
        told[4].starts_with("0/3 nodes are available: 1 node(s) cost too much, 2 Insufficient cpu."),
        "{}",
        told[4]
    );
}

/// A plugin that does not implement `cover` is asked of node after node, which is counted under its name.
#[test]
fn what_a_plugin_costs_is_told() {
    let registry = registry();
    let config = Config::from_json_with(&configuration(), &registry).unwrap();
    let schedulers = [
        (
            Scheduler::with_plugins(config, Wording::default(), &registry).unwrap(),
            "0 cycles the short way, 2 the long way (Price 2)",
        ),
        (Scheduler::default(), "2 cycles the short way, 0 the long way"),
    ];
    for (mut scheduler, expected) in schedulers {
        for object in [node("cheap", 3), node("fair", 5)] {
            scheduler.change(SimTime::ZERO, None, Some(&object));
        }
        for index in 0..2 {
            let pod = json!({
                "metadata": {"name": format!("p{index}"), "namespace": "default", "uid": format!("uid-{index}")},
                "spec": {"containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "1"}}}]},
            });
            scheduler.change(SimTime::ZERO, None, Some(&lower::from_json(Kind::Pod, pod).unwrap()));
            let queued = scheduler.pop(SimTime::ZERO).unwrap();
            let attempt = scheduler.schedule_one(SimTime::ZERO, queued, &mut Choice::Random(&mut |_| 0));
            assert!(matches!(attempt.decision, Decision::Bind(_)), "{:?}", attempt.decision);
        }
        assert!(scheduler.tally().render().starts_with(expected), "{}", scheduler.tally().render());
    }
}

const SCENARIO: &str = "
apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {name: own-plugins}
spec:
  duration: 2m
  cluster:
    nodes:
    - {name: cheap, capacity: {cpu: '2', memory: 8Gi, pods: '10'}, allocatable: {cpu: '2', memory: 8Gi, pods: '10'}, labels: {price: '3'}}
    - {name: fair, capacity: {cpu: '2', memory: 8Gi, pods: '10'}, allocatable: {cpu: '2', memory: 8Gi, pods: '10'}, labels: {price: '5'}}
    - {name: dear, capacity: {cpu: '2', memory: 8Gi, pods: '10'}, allocatable: {cpu: '2', memory: 8Gi, pods: '10'}, labels: {price: '90'}}
  manifests:
  - inline:
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: web}
      spec:
        replicas: 5
        selector: {matchLabels: {app: web}}
        template:
          metadata: {labels: {app: web}}
          spec:
            containers:
            - {name: web, image: 'nginx:1.29', resources: {requests: {cpu: '1'}}}
  steps:
  - at: 1m
    label: {resource: node/dear, labels: {price: '9'}}
";

fn plan() -> Plan {
    let mut sources = SourceMap::default();
    let (plan, found) = scenario::load_text(&MemoryFiles::default(), "own.yaml", SCENARIO, &mut sources);
    let mut plan = plan.unwrap_or_else(|| panic!("{found:?}"));
    plan.settings.kube_scheduler.config = Some(configuration().into());
    plan
}

/// How many Pods are on each node, and what those without one say.
fn where_pods_are(world: &World) -> (Vec<(Str, usize)>, Vec<Str>) {
    let mut nodes = std::collections::BTreeMap::new();
    let mut waiting = Vec::new();
    for pod in world.store().list::<Pod>() {
        match &pod.node_name {
            Some(node) => *nodes.entry(node.clone()).or_insert(0) += 1,
            None => waiting.extend(pod.status.conditions.iter().map(|c| c.message.clone())),
        }
    }
    (nodes.into_iter().collect(), waiting)
}

#[test]
fn a_whole_run_asks_the_plugin_and_tries_again_when_something_changes() {
    let mut world = World::with_registry(&plan(), &registry(), &mut NullRecorder).unwrap();
    world.run_until(SimTime::from_secs(59), &mut NullRecorder).unwrap();
    let (nodes, waiting) = where_pods_are(&world);
    assert_eq!(nodes, [("cheap".into(), 2), ("fair".into(), 2)]);
    assert!(waiting.len() == 1 && waiting[0].contains("1 node(s) cost too much"), "{waiting:?}");
    world.run_to_end(&mut NullRecorder).unwrap();
    let (nodes, waiting) = where_pods_are(&world);
    assert_eq!(nodes, [("cheap".into(), 2), ("dear".into(), 1), ("fair".into(), 2)]);
    assert!(waiting.is_empty(), "{waiting:?}");
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_not_dropped() {
    let refused = World::with_registry(&plan(), &Registry::default(), &mut NullRecorder).map(|_| ());
    assert!(refused.unwrap_err()[0].contains("Price"));
    // Whoever asks for no registry gets the default scheduler, and is told.
    let world = World::new(&plan(), &mut NullRecorder);
    let told = world.outcome().refused_steps;
    assert!(told.iter().any(|(_, what, why)| what == "kube-scheduler" && why.contains("Price")), "{told:?}");
}
