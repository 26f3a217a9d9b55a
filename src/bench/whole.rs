//! The same workloads in the whole simulation: API server, controllers, kubelets, and the scheduler with its queue.
//!
//! # Fidelity
//! Everything is made at time zero, and all Pods count as measured. Churn, deletions and waits have no part in it. The
//! scheduler may write 5,000 times a second, as in upstream's tests.

use super::Meter;
use super::make::{self, PodMaker};
use super::result::{Measured, Times};
use super::run::Options;
use super::template::{Template, object};
use super::workload::{Case, CreatePods, Op, Size};
use crate::api::storage::CsiNode;
use crate::api::{Meta, Object};
use crate::base::{Arc, SourceId, Span};
use crate::cloud::PlannedNode;
use crate::facts::NullRecorder;
use crate::plan::{Plan, PlannedObject};
use crate::sim::World;

/// Requests a second that upstream's tests allow the scheduler.
const QPS: u32 = 5000;

/// Carries a workload out in the whole simulation.
///
/// # Errors
/// What is wrong with the workload, or an operation that has no part in it.
pub fn run_whole(
    case: &Case,
    size: &Size,
    options: Options,
    meter: &mut dyn Meter,
) -> Result<Measured, String> {
    let mut planner =
        Planner { size, plan: Plan { seed: options.seed, ..Plan::default() }, serial: 0, pods: 0 };
    let scheduler = &mut planner.plan.settings.kube_scheduler;
    (scheduler.kube_api_qps, scheduler.kube_api_burst) = (f64::from(QPS), i64::from(QPS));
    for op in &case.ops {
        planner.add(op)?;
    }
    let Planner { plan, pods, .. } = planner;
    let (wall, cpu) = (meter.wall(), meter.cpu());
    let mut world = World::new(&plan, &mut NullRecorder);
    world.run_to_end(&mut NullRecorder).map_err(|fault| fault.to_string())?;
    let times = Times {
        wall: meter.wall().saturating_sub(wall),
        cpu: meter.cpu().zip(cpu).map(|(end, begin)| end.saturating_sub(begin)),
    };
    let outcome = world.outcome();
    Ok(Measured {
        name: format!("{}/{}:whole", case.name, size.name),
        nodes: plan.nodes.len(),
        pods,
        placed: outcome.pods.running as usize,
        times,
        placements: outcome.digest.to_string(),
        tally: world.scheduler().inner().tally().clone(),
        ..Measured::default()
    })
}

/// Turns operations into a plan.
struct Planner<'a> {
    size: &'a Size,
    plan: Plan,
    serial: usize,
    pods: usize,
}

impl Planner<'_> {
    fn add(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::CreateNodes(nodes) => {
                for object in make::nodes(nodes, nodes.count.of(self.size)?, &mut self.serial)? {
                    self.add_node(object);
                }
            }
            Op::CreateNamespaces { count, prefix, template } => {
                for index in 0..count.of(self.size)? {
                    self.add_namespace(&format!("{prefix}-{index}"), template.as_ref())?;
                }
            }
            Op::CreatePods(pods) => {
                let namespace = pods.namespace.clone().unwrap_or_else(|| "default".into());
                self.add_pods(pods, &namespace)?;
            }
            Op::CreatePodSets { count, prefix, pods } => {
                for index in 0..count.of(self.size)? {
                    self.add_pods(pods, &format!("{prefix}-{index}"))?;
                }
            }
            Op::CreateAny { count, namespace, template } => {
                let count = count.of(self.size)?;
                self.add_namespace(namespace, None)?;
                for index in 0..count {
                    let manifest = template.manifest(index, count);
                    self.serial += 1;
                    let name = Template::name(&manifest, self.serial);
                    self.push(make::any(manifest, namespace, &name)?);
                }
            }
            Op::DeletePods(_) | Op::Churn(_) | Op::Sleep(_) | Op::Barrier(_) => {
                return Err("churn, deletions and waits have no part in the whole simulation".to_owned());
            }
            Op::StartMeasuring | Op::StopMeasuring => {}
        }
        Ok(())
    }

    fn push(&mut self, mut object: Object) {
        // The API server gives identities.
        object.meta_mut().uid = Default::default();
        let origin = Span { source: SourceId(0), start: 0, end: 0 };
        self.plan.manifests.push(PlannedObject { json: Arc::default(), object, origin });
    }

    fn add_node(&mut self, object: Object) {
        match object {
            Object::Node(node) => {
                let csi_node =
                    CsiNode { meta: Meta::named("", node.meta.name.clone()), ..CsiNode::default() };
                let mut node = Arc::unwrap_or_clone(node);
                node.meta.uid = Default::default();
                self.plan.nodes.push(PlannedNode { node, csi_node, zone: Default::default(), group: None });
            }
            Object::CsiNode(csi_node) => {
                if let Some(last) = self.plan.nodes.last_mut() {
                    last.csi_node = Arc::unwrap_or_clone(csi_node);
                    last.csi_node.meta.uid = Default::default();
                }
            }
            _ => {}
        }
    }

    fn add_namespace(&mut self, name: &str, template: Option<&Template>) -> Result<(), String> {
        let known = |planned: &PlannedObject| matches!(&planned.object, Object::Namespace(namespace) if namespace.meta.name == name);
        if name.is_empty() || name == "default" || self.plan.manifests.iter().any(known) {
            return Ok(());
        }
        let none = Template::new(serde_json::json!({"apiVersion": "v1", "kind": "Namespace"}));
        self.push(object(template.unwrap_or(&none).manifest(0, 1), "", name)?);
        Ok(())
    }

    fn add_pods(&mut self, pods: &CreatePods, namespace: &str) -> Result<(), String> {
        self.add_namespace(namespace, None)?;
        let count = pods.count.of(self.size)?;
        let mut maker = PodMaker::new(pods, &namespace.into(), count)?;
        for index in 0..count {
            self.serial += 1;
            let (objects, pod) = maker.make(index, self.serial)?;
            objects.into_iter().for_each(|object| self.push(object));
            self.push(Object::Pod(Arc::new(pod)));
        }
        self.pods += count;
        Ok(())
    }
}
