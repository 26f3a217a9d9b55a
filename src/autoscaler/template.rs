//! What a new node of a group will look like.
//!
//! Upstream: `cluster-autoscaler/processors/nodeinfosprovider/mixed_nodeinfos_processor.go`,
//! `simulator/node_info_utils.go`, `cloudprovider/aws/aws_manager.go`, 1.34.

use std::sync::Arc;

use super::{TAINT_CANDIDATE, TAINT_TO_BE_DELETED};
use crate::api::node::HOSTNAME_LABEL;
use crate::api::resources::PODS;
use crate::api::storage::CsiNode;
use crate::api::workload::DaemonSet;
use crate::api::{Meta, Node, Object, Phase, Pod, PodStatus, Taint, Toleration, condition};
use crate::base::{Quantity, SimDuration, SimTime, Str};
use crate::cloud::fleet::GroupFleet;
use crate::scheduler::framework::{Framework, PodInfo, Snapshot};
use crate::store::Store;

use super::simulator::Simulator;

/// A real node is trusted as a model once it has been ready for so long.
const STABLE_AFTER: SimDuration = SimDuration::from_mins(1);
/// Pods that the template of an empty group takes.
const PODS_OF_EMPTY_GROUP: i64 = 110;

/// A node that does not exist, with the DaemonSet Pods that it will have.
#[derive(Clone, Debug)]
pub struct Template {
    /// The node.
    pub node: Arc<Node>,
    /// Its DaemonSet Pods.
    pub daemons: Vec<PodInfo>,
    /// Its drivers.
    csi_node: CsiNode,
}

impl Template {
    /// The template of a group: like a real node of it that is well, else like the cloud describes it.
    pub fn of(group: &GroupFleet, store: &Store, framework: &Framework, snapshot: &Snapshot) -> Self {
        let now = store.now();
        let model = group
            .instances
            .iter()
            .filter(|(_, i)| i.joined.is_some_and(|at| now >= at + STABLE_AFTER || at == SimTime::ZERO))
            .filter_map(|(name, _)| store.find::<Node>("", name))
            .find(|node| node.is_ready() && !node.unschedulable && !has_taint(node, TAINT_TO_BE_DELETED));
        let mut node = match model {
            Some(model) => Node::clone(model),
            None => from_cloud(group),
        };
        let name: Str = format!("template-node-for-{}", group.group.name).into();
        sanitize(&mut node, &name);
        let node = Arc::new(node);
        let daemons = daemons_of(&node, store, framework, snapshot);
        Self { node, daemons, csi_node: group.group.node(0).csi_node }
    }

    /// Puts the `number`-th node made after the template into a cluster, with its DaemonSet Pods.
    pub fn add_to(&self, simulator: &mut Simulator<'_>, number: usize) -> Str {
        let node = self.copy(number);
        let name = node.meta.name.clone();
        let mut csi_node = self.csi_node.clone();
        csi_node.meta.name = name.clone();
        csi_node.drivers.iter_mut().for_each(|driver| driver.node_id = name.clone());
        simulator.snapshot.listers.change(None, Some(&Object::CsiNode(Arc::new(csi_node))));
        simulator.add_node(&node, &self.daemons);
        name
    }

    fn copy(&self, number: usize) -> Arc<Node> {
        let mut node = Node::clone(&self.node);
        let name: Str = format!("{}-{number}", self.node.meta.name).into();
        sanitize(&mut node, &name);
        Arc::new(node)
    }
}

/// Whether a node has a taint of this key.
pub fn has_taint(node: &Node, key: &str) -> bool {
    node.taints.iter().any(|t| t.key == key)
}

/// A node of a group that has none: the cloud knows the machine, not what kubelet and system keep for themselves.
fn from_cloud(group: &GroupFleet) -> Node {
    let mut node = group.group.node(0).node;
    node.status.capacity.0.insert(PODS.into(), Quantity::from_units(PODS_OF_EMPTY_GROUP));
    node.status.allocatable = node.status.capacity.clone();
    node
}

/// Makes another node of it: without what belongs to the one it was taken from.
fn sanitize(node: &mut Node, name: &Str) {
    let labels = node.meta.labels.with(HOSTNAME_LABEL, name.clone());
    node.meta = Meta { labels, ..Meta::named("", name.clone()) };
    node.meta.uid = name.clone();
    node.taints.retain(|t| t.key != TAINT_TO_BE_DELETED && t.key != TAINT_CANDIDATE && !is_of_condition(t));
    node.unschedulable = false;
    node.status.images.clear();
    let ready = condition::find(&node.status.conditions, "Ready").cloned();
    node.status.conditions = ready.into_iter().collect();
}

fn is_of_condition(taint: &Taint) -> bool {
    [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.cloudprovider.kubernetes.io/uninitialized",
    ]
    .contains(&taint.key.as_str())
}

/// Pods of all DaemonSets that the node would get.
fn daemons_of(node: &Arc<Node>, store: &Store, framework: &Framework, snapshot: &Snapshot) -> Vec<PodInfo> {
    let mut simulator = Simulator::new(framework, snapshot);
    simulator.add_node(node, &[]);
    let mut daemons = Vec::new();
    for set in store.list::<DaemonSet>() {
        let mut spec = crate::api::PodSpec::clone(&set.template.spec);
        spec.tolerations.extend(daemon_tolerations());
        let labels = set.template.labels.clone();
        let name = format!("{}-{}", set.meta.name, node.meta.name);
        let mut meta = Meta { labels, ..Meta::named(set.meta.namespace.clone(), name) };
        meta.uid = format!("{}/{}", set.meta.uid, node.meta.name).into();
        let status = PodStatus { phase: Phase::Pending, ..PodStatus::default() };
        let pod = PodInfo::new(Arc::new(Pod { meta, spec: Arc::new(spec), node_name: None, status }));
        if simulator.fits(&pod, &node.meta.name).is_ok() {
            simulator.place(&pod, &node.meta.name);
            daemons.push(pod);
        }
    }
    daemons
}

/// What every DaemonSet Pod tolerates.
fn daemon_tolerations() -> Vec<Toleration> {
    ["not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"]
        .into_iter()
        .map(|key| Toleration {
            key: format!("node.kubernetes.io/{key}").into(),
            exists: true,
            value: Str::new(),
            effect: None,
            seconds: None,
        })
        .collect()
}
