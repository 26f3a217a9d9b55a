//! GpuShare: nodes whose devices are shared, chosen by a policy.
//!
//! A node with eight devices has `alibabacloud.com/gpu-milli: 8000`. A Pod that requests less than 1000 gets a part of one
//! device, one that requests whole thousands as many whole devices. Which ones it got is written into its annotation
//! `alibabacloud.com/gpu-index` (`2`, `4-5`) when it is bound. A profile enables the plugin; its arguments are
//!
//! ```yaml
//! args:
//!   policy: FGD                 # Random, DotProd, GpuClustering, GpuPacking, BestFit, FGD (the default)
//!   typicalPods:                # for FGD: what Pods are usually like; if nothing is said, as those on nodes are
//!     - {milliCpu: 4000, gpus: 1, milliGpu: 500, models: [T4], weight: 3}
//! ```
//!
//! # Fidelity
//! The plugin is not one of Kubernetes'. Names of the resource, the annotation and the node's label for the model
//! (`alibabacloud.com/gpu-card-model`) are those of Alibaba's Open-GPU-Share, whose Pods say by annotations what they say here by a
//! request; the model is asked for by `nodeSelector` or node affinity. Pods with a node and without the annotation count as on the
//! devices with the least left, in the order of their creation.

use serde_json::Value;

use super::fragmentation::{POPULARITY, Typical};
use super::machine::{DEVICE, Demand, Machine};
use super::policy::Policy;
use crate::base::{Arc, Str};
use crate::kernel::Seed;
use crate::scheduler::VolumeStep;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, NodeInfo,
    PodInfo, PreFilter, PreFiltered, PreScore, PreScored, Reserve, Score, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "GpuShare";
/// Thousandths of devices.
pub const RESOURCE: &str = "alibabacloud.com/gpu-milli";
/// The devices that a Pod has got.
pub const INDEX: &str = "alibabacloud.com/gpu-index";
/// The model of a node's devices.
pub const MODEL: &str = "alibabacloud.com/gpu-card-model";
/// Devices that a node may have.
const DEVICES_MAX: i64 = 1024;

#[derive(Debug)]
struct GpuShare {
    policy: Result<Policy, String>,
    typical: Option<Arc<Typical>>,
}

/// What Pods are usually like, for one cycle.
#[derive(Clone, Debug)]
struct Usual(Arc<Typical>);

/// Makes the plugin from its arguments.
pub fn new(setup: &Setup<'_>) -> Extensions {
    let args = setup.args.other.get(NAME);
    let policy = match args.map(|args| &args["policy"]) {
        None | Some(Value::Null) => Ok(Policy::Fgd),
        Some(given) => given.as_str().and_then(Policy::parse).ok_or_else(|| {
            let known: Vec<&str> = Policy::ALL.iter().map(|policy| policy.as_str()).collect();
            format!("unknown policy {given}, known are {}", known.join(", "))
        }),
    };
    let typical = args.and_then(|args| args["typicalPods"].as_array()).map(|pods| Arc::new(typical(pods)));
    let plugin = GpuShare { policy, typical };
    Extensions::of(NAME, plugin).pre_filter().filter().pre_score().score().reserve().enqueue().done()
}

/// What the arguments say of usual Pods.
fn typical(pods: &[Value]) -> Typical {
    let kind = |pod: &Value| {
        let number = |name: &str| pod[name].as_i64().unwrap_or(0).max(0);
        let models = pod["models"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Str::from);
        let demand = Demand {
            milli_cpu: number("milliCpu"),
            milli_gpu: number("milliGpu"),
            gpus: usize::try_from(number("gpus")).unwrap_or(0),
            models: models.collect(),
        };
        (demand, pod["weight"].as_f64().unwrap_or(1.0).max(0.0))
    };
    let mut kinds: Vec<(Demand, f64)> = pods.iter().map(kind).collect();
    let total: f64 = kinds.iter().map(|(_, weight)| weight).sum();
    if total > 0.0 {
        kinds.iter_mut().for_each(|(_, weight)| *weight /= total);
    }
    Typical { kinds }
}

/// What a Pod asks for. The model is a matter of its node affinity.
fn demand(pod: &PodInfo) -> Demand {
    let milli_cpu = pod.resources.requests.milli_cpu;
    match pod.resources.requests.scalar(RESOURCE) {
        total if total <= 0 => Demand { milli_cpu, ..Demand::default() },
        total if total < DEVICE => Demand { milli_cpu, milli_gpu: total, gpus: 1, models: Vec::new() },
        total => {
            let gpus = usize::try_from((total + DEVICE - 1) / DEVICE).unwrap_or(usize::MAX);
            Demand { milli_cpu, milli_gpu: DEVICE, gpus, models: Vec::new() }
        }
    }
}

/// The devices that a Pod has got, if that was written down.
fn devices_of(pod: &PodInfo) -> Option<Vec<usize>> {
    let written = pod.pod.meta.annotations.get(INDEX)?;
    written.split('-').map(|index| index.parse().ok()).collect()
}

/// What a node has left.
fn machine(node: &NodeInfo) -> Machine {
    let devices = (node.allocatable().scalar(RESOURCE) / DEVICE).clamp(0, DEVICES_MAX);
    let model = node.node().meta.labels.get(MODEL).cloned().unwrap_or_default();
    let mut machine = Machine::new(0, usize::try_from(devices).unwrap_or(0), model);
    let mut unknown = Vec::new();
    for pod in node.pods() {
        let demand = demand(pod);
        match devices_of(pod) {
            _ if demand.kind().is_none() => {}
            Some(devices) => machine.put(&demand, &devices),
            None => unknown.push((pod.pod.meta.created, pod.uid().clone(), demand)),
        }
    }
    unknown.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    for (.., demand) in unknown {
        let devices = machine.tightest(&demand);
        machine.put(&demand, &devices);
    }
    machine.milli_cpu = node.allocatable().milli_cpu.saturating_sub(node.requested().milli_cpu);
    machine
}

impl GpuShare {
    fn policy(&self) -> Result<Policy, Status> {
        self.policy.clone().map_err(Status::error)
    }
}

impl PreFilter for GpuShare {
    fn pre_filter(&self, _: &Snapshot, _: &mut CycleState, pod: &PodInfo) -> Result<PreFiltered, Status> {
        let total = pod.resources.requests.scalar(RESOURCE);
        if total > DEVICE && total % DEVICE != 0 {
            let text = format!("{total} of {RESOURCE} is neither a part of a device nor whole ones");
            return Err(Status::unresolvable(text, cause::GPU_DEVICES));
        }
        Ok(if total <= 0 { PreFiltered::Skip } else { PreFiltered::AllNodes })
    }
}

impl Filter for GpuShare {
    fn filter(&self, _: &Snapshot, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        if machine(node).has_devices(&demand(pod)) {
            return Ok(());
        }
        Err(Status::unschedulable("node(s) didn't have enough free GPU devices", cause::GPU_DEVICES))
    }
}

impl PreScore for GpuShare {
    fn pre_score(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        _: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        match (self.policy()?, &self.typical) {
            (Policy::Random, _) => return Ok(PreScored::Skip),
            (Policy::Fgd, Some(typical)) => state.write(Usual(Arc::clone(typical))),
            (Policy::Fgd, None) => {
                let running = snapshot.nodes().flat_map(NodeInfo::pods).map(|pod| demand(pod));
                let all: Vec<Demand> = running.chain([demand(pod)]).collect();
                state.write(Usual(Arc::new(Typical::of(&all, POPULARITY))));
            }
            (Policy::DotProd | Policy::GpuClustering | Policy::GpuPacking | Policy::BestFit, _) => {}
        }
        Ok(PreScored::Score)
    }
}

/// What was worked out of usual Pods, if the policy looks at them.
fn usual(state: &CycleState) -> Arc<Typical> {
    state.read::<Usual>().map(|usual| Arc::clone(&usual.0)).unwrap_or_default()
}

impl Score for GpuShare {
    fn score(&self, _: &Snapshot, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<i64, Status> {
        Ok(self.policy()?.score(&machine(node), &demand(pod), &usual(state)))
    }
}

impl Reserve for GpuShare {
    fn reserve(
        &self,
        _: &Snapshot,
        _: &CycleState,
        _: &PodInfo,
        _: &NodeInfo,
    ) -> Result<Vec<VolumeStep>, Status> {
        Ok(Vec::new())
    }

    fn annotations(
        &self,
        _: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Vec<(Str, Str)> {
        let demand = demand(pod);
        let (Ok(policy), Some(_)) = (&self.policy, demand.kind()) else { return Vec::new() };
        let mut stream =
            Seed::default().stream_of("gpu-device", &[pod.uid().as_bytes(), node.name().as_bytes()]);
        let mut draw = |bound: u64| stream.below(bound);
        let devices = policy.devices(&machine(node), &demand, &usual(state), &mut draw);
        let written: Vec<String> = devices.iter().map(ToString::to_string).collect();
        vec![(INDEX.into(), written.join("-").into())]
    }
}

impl EnqueueExtensions for GpuShare {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![
            ClusterEvent::new(EventResource::Pod, ActionType::DELETE),
            ClusterEvent::new(EventResource::Node, ActionType::ADD | ActionType::UPDATE_NODE_ALLOCATABLE),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{Kind as ApiKind, Object, lower};
    use crate::base::SimTime;
    use crate::scheduler::plugins::registry::Registry;
    use crate::scheduler::{Choice, Config, Decision, Scheduler, Wording};

    fn read(kind: ApiKind, json: Value) -> Object {
        lower::from_json(kind, json).unwrap()
    }

    fn pod(name: &str, milli: i64) -> Object {
        let amounts = json!({"cpu": "1", "alibabacloud.com/gpu-milli": milli.to_string()});
        read(
            ApiKind::Pod,
            json!({
                "metadata": {"name": name, "namespace": "default", "uid": name},
                "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": amounts, "limits": amounts}}]}
            }),
        )
    }

    /// A scheduler with a policy and two nodes of two devices.
    fn scheduler(args: Value) -> Scheduler {
        let config = json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "profiles": [{
                "plugins": {"multiPoint": {"enabled": [{"name": "GpuShare", "weight": 1000}]}},
                "pluginConfig": [{"name": "GpuShare", "args": args}],
            }],
        });
        let registry = Registry::default();
        let config = Config::from_json_with(&config, &registry).unwrap();
        let mut scheduler = Scheduler::with_plugins(config, Wording::default(), &registry).unwrap();
        for name in ["a", "b"] {
            let list =
                json!({"cpu": "64", "memory": "64Gi", "pods": "110", "alibabacloud.com/gpu-milli": "2000"});
            let node = json!({"metadata": {"name": name}, "status": {"allocatable": list}});
            scheduler.change(SimTime::ZERO, None, Some(&read(ApiKind::Node, node)));
        }
        scheduler
    }

    /// Where Pods go that ask for so much, one after the other: node and devices, or why not.
    fn place(args: Value, asked: &[i64]) -> Vec<String> {
        let mut scheduler = scheduler(args);
        let mut told = Vec::new();
        for (index, milli) in asked.iter().enumerate() {
            scheduler.change(SimTime::ZERO, None, Some(&pod(&format!("p-{index}"), *milli)));
            let queued = scheduler.pop(SimTime::ZERO).unwrap();
            told.push(
                match scheduler.schedule_one(SimTime::ZERO, queued, &mut Choice::SmallestName).decision {
                    Decision::Bind(binding) => match binding.annotations.first() {
                        Some((_, devices)) => format!("{} {devices}", binding.node),
                        None => binding.node.to_string(),
                    },
                    Decision::Failed(failure) => failure.message.to_string(),
                    Decision::Skipped(why) => format!("{why:?}"),
                },
            );
        }
        told
    }

    #[test]
    fn shares_are_packed_and_whole_devices_are_free_ones() {
        let placed = place(json!({"policy": "GpuPacking"}), &[500, 300, 1000, 600, 2000, 1000]);
        assert_eq!(placed[..4], ["a 0", "a 0", "a 1", "b 0"]);
        assert!(placed[4].starts_with("0/2 nodes are available: "), "{}", placed[4]);
        assert_eq!(placed[5], "b 1");
    }

    #[test]
    fn enough_in_all_is_not_enough_on_one_device() {
        let placed = place(json!({"policy": "BestFit"}), &[600, 600, 600, 600, 700]);
        assert!(placed[4].contains("2 node(s) didn't have enough free GPU devices"), "{}", placed[4]);
    }

    #[test]
    fn descent_keeps_rests_that_are_of_use() {
        let usual = json!([{"milliCpu": 1000, "gpus": 1, "milliGpu": 500}]);
        // 400 beside 600 would leave nothing, beside 500 it would leave 100 of no use.
        let placed = place(json!({"policy": "FGD", "typicalPods": usual}), &[500, 600, 400]);
        assert_eq!(placed[1].split(' ').next(), placed[2].split(' ').next(), "{placed:?}");
        assert_eq!(placed[1], placed[2], "{placed:?}");
        assert_eq!(place(json!({}), &[2000, 2000]), ["a 0-1", "b 0-1"]);
    }

    #[test]
    fn what_is_wrong_is_told_when_a_pod_is_placed() {
        assert!(place(json!({"policy": "Best"}), &[500])[0].contains("unknown policy \"Best\""));
        assert!(place(json!({}), &[1500])[0].contains("neither a part of a device nor whole ones"));
    }
}
