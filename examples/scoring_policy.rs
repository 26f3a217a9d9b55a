//! A scoring policy of one's own: cheaper nodes are preferred.
//!
//! A plugin is a type that implements the traits of the extension points it serves. It is registered under a name, and
//! a profile enables it, as in kube-scheduler. Run it with `cargo run --example scoring_policy`.

use std::error::Error;
use wavetank::base::Arc;

use serde_json::json;
use wavetank::api::{Kind, Object, Pod, lower};
use wavetank::base::{SimTime, Str};
use wavetank::scheduler::framework::{
    CycleState, Extensions, MAX_NODE_SCORE, NodeInfo, PodInfo, Score, Setup, Snapshot, Status,
};
use wavetank::scheduler::plugins::registry::Registry;
use wavetank::scheduler::{Choice, Config, Decision, Scheduler, Wording};

/// Prefers nodes by their price per hour, in cents, which is the value of a label.
#[derive(Debug)]
struct Cheapest {
    label: Str,
}

/// Makes the plugin from its arguments: `{"label": "example.com/price"}`.
fn cheapest(setup: &Setup<'_>) -> Extensions {
    let label = setup.args.other.get("Cheapest").and_then(|args| args["label"].as_str());
    Extensions::of("Cheapest", Cheapest { label: label.unwrap_or("price").into() }).score().done()
}

impl Score for Cheapest {
    fn score(&self, _: &Snapshot, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<i64, Status> {
        let price = node.node().meta.labels.get(&self.label).and_then(|text| text.parse().ok());
        // A node without a price is as dear as the dearest: normalising turns the scores round.
        Ok(price.unwrap_or(i64::MAX))
    }

    fn normalize(
        &self,
        _: &Snapshot,
        _: &CycleState,
        _: &PodInfo,
        _: &[&NodeInfo],
        scores: &mut [i64],
    ) -> Result<(), Status> {
        let dearest = scores.iter().copied().filter(|price| *price != i64::MAX).max().unwrap_or(0).max(1);
        for price in scores {
            *price = MAX_NODE_SCORE - (*price).min(dearest) * MAX_NODE_SCORE / dearest;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut registry = Registry::default();
    registry.register("Cheapest", cheapest)?;
    let config = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{
            "plugins": {"multiPoint": {"enabled": [{"name": "Cheapest", "weight": 10}]}},
            "pluginConfig": [{"name": "Cheapest", "args": {"label": "example.com/price"}}],
        }],
    });
    let config = Config::from_json_with(&config, &registry).map_err(|errors| errors.join("\n"))?;
    let mut scheduler = Scheduler::with_plugins(config, Wording::default(), &registry)?;

    for (name, price) in [("spot", "3"), ("reserved", "5"), ("on-demand", "10")] {
        let node = read(
            Kind::Node,
            json!({
                "metadata": {"name": name, "labels": {"example.com/price": price}},
                "status": {"allocatable": {"cpu": "2", "memory": "8Gi", "pods": "10"}},
            }),
        )?;
        scheduler.change(SimTime::ZERO, None, Some(&node));
    }
    for index in 0..7 {
        let pod = read(
            Kind::Pod,
            json!({
                "metadata": {"name": format!("web-{index}"), "namespace": "default", "uid": format!("uid-{index}")},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.29", "resources": {"requests": {"cpu": "1"}}}]},
            }),
        )?;
        scheduler.change(SimTime::ZERO, None, Some(&pod));
    }
    while let Some(queued) = scheduler.pop(SimTime::ZERO) {
        let attempt = scheduler.schedule_one(SimTime::ZERO, queued, &mut Choice::SmallestName);
        report(&attempt.pod, &attempt.decision);
    }
    Ok(())
}

fn read(kind: Kind, json: serde_json::Value) -> Result<Object, Box<dyn Error>> {
    lower::from_json(kind, json)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>().into())
}

#[allow(clippy::print_stdout, reason = "an example tells what it found")]
fn report(pod: &Arc<Pod>, decision: &Decision) {
    match decision {
        Decision::Bind(binding) => println!("{}: {}", pod.meta.name, binding.node),
        Decision::Failed(failure) => println!("{}: {}", pod.meta.name, failure.message),
        Decision::Skipped(why) => println!("{}: {why:?}", pod.meta.name),
    }
}
