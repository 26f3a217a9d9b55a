//! What a new node of a group will look like.
//!
//! Upstream: `cluster-autoscaler/processors/nodeinfosprovider/mixed_nodeinfos_processor.go`,
//! `simulator/node_info_utils.go`, `cloudprovider/aws/aws_manager.go`, 1.34.
//!
//! # Fidelity
//! As upstream, a new node is taken to have no CSINode, so that nothing limits the volumes it is planned to take. A group
//! with several zones is simulated in one: that of the node it is modelled on, or its first. That a group without nodes
//! has a template needs no tags here: labels and taints are the group's own unless `nodeTemplate` says otherwise.

use std::collections::BTreeMap;

use super::drainability::{is_daemon, is_mirror};
use super::simulator::Simulator;
use super::taints::{self, has_taint};
use super::{Ctx, TAINT_TO_BE_DELETED};
use crate::api::node::HOSTNAME_LABEL;
use crate::api::resources::{MEMORY, PODS};
use crate::api::workload::DaemonSet;
use crate::api::{Labels, Lasting, Meta, Node, Phase, Pod, PodStatus, Toleration, condition};
use crate::base::{Arc, Quantity, SimDuration, SimTime, Str};
use crate::cloud::catalogue;
use crate::cloud::fleet::{GroupFleet, GroupId};
use crate::params::settings::ClusterAutoscaler as Flags;
use crate::scheduler::framework::{PodInfo, Snapshot};
use crate::store::Store;

/// A real node is trusted as a model once it has been ready for longer.
const STABLE_AFTER: SimDuration = SimDuration::from_mins(1);
/// Pods that the template of an empty group takes.
const PODS_OF_EMPTY_GROUP: i64 = 110;
/// Labels that the AWS provider knows of a machine without any tag.
const GENERIC_LABELS: [&str; 7] = [
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.ebs.csi.aws.com/zone",
    HOSTNAME_LABEL,
];

/// A node that does not exist, with the DaemonSet Pods that it will have.
#[derive(Clone, Debug)]
pub struct Template {
    /// The node.
    pub node: Arc<Node>,
    /// Its DaemonSet Pods, and static ones.
    pub daemons: Vec<PodInfo>,
}

/// Templates of all managed groups, and the models they were taken from: those outlive their nodes.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    models: BTreeMap<GroupId, Arc<Node>>,
}

impl Templates {
    /// A template for each managed group: like a real node that is well, like one that was, as the cloud describes it.
    pub fn of_all(&mut self, flags: &Flags, ctx: &Ctx<'_>) -> BTreeMap<GroupId, Template> {
        let mut templates = BTreeMap::new();
        for (id, group) in ctx.fleet.groups().filter(|(_, group)| group.group.bounds.is_some()) {
            if let Some(model) = good_model(group, flags, ctx.store) {
                self.models.insert(id, model.clone());
            }
            let node = match self.models.get(&id) {
                Some(model) => Node::clone(model),
                None => from_cloud(group),
            };
            templates.insert(id, Template::new(node, group, flags, ctx));
        }
        templates
    }
}

/// A node of the group that is ready and stays so, takes Pods and is not about to go; of several the first.
fn good_model<'s>(group: &GroupFleet, flags: &Flags, store: &'s Store) -> Option<&'s Arc<Node>> {
    let nodes = group.instances.iter().filter_map(|(name, i)| Some((i, store.find::<Node>("", name)?)));
    let ready_since = |node: &Node| {
        let ready = condition::find(&node.status.conditions, "Ready").and_then(|c| c.transition);
        ready.map_or(SimTime::ZERO, |at| store.calendar().instant(at))
    };
    nodes
        .filter(|(instance, node)| {
            // Nodes that are there at the start have been ready for long.
            let since = ready_since(node);
            let stable = (instance.joined == Some(SimTime::ZERO) && since == SimTime::ZERO)
                || since + STABLE_AFTER < store.now();
            stable
                && taints::is_ready(flags, node)
                && !node.unschedulable
                && !has_taint(node, TAINT_TO_BE_DELETED)
        })
        .map(|(_, node)| node)
        .next()
}

impl Template {
    fn new(mut node: Node, group: &GroupFleet, flags: &Flags, ctx: &Ctx<'_>) -> Self {
        let model = node.meta.name.clone();
        let name: Str = format!("template-node-for-{}", group.group.name).into();
        sanitize(flags, &mut node, &name);
        let node = Arc::new(node);
        let mut daemons = daemons_of(&node, ctx);
        daemons.extend(mirrors_on(&model, ctx.snapshot));
        Self { node, daemons }
    }

    /// Puts the `number`-th node made after the template into a cluster, with its DaemonSet Pods.
    pub fn add_to(&self, simulator: &mut Simulator<'_>, number: usize) -> Str {
        let node = self.copy(number);
        simulator.add_node(&node, &self.daemons);
        node.meta.name.clone()
    }

    fn copy(&self, number: usize) -> Arc<Node> {
        let mut node = Node::clone(&self.node);
        rename(&mut node, &format!("{}-{number}", self.node.meta.name).into());
        Arc::new(node)
    }
}

/// A node of a group that has none: the cloud knows the machine, not what hypervisor, kubelet and system keep for
/// themselves, and of labels and taints what it is told.
fn from_cloud(group: &GroupFleet) -> Node {
    let mut node = group.group.node(0).node;
    let capacity = &mut node.status.capacity;
    if let Ok(kind) = catalogue::find(&group.group.template.instance_type) {
        let advertised = Quantity::from_bytes(i64::from(kind.memory_mib) << 20);
        capacity.0.insert(MEMORY.into(), advertised);
    }
    capacity.0.insert(PODS.into(), Quantity::from_units(PODS_OF_EMPTY_GROUP));
    node.status.allocatable = node.status.capacity.clone();
    if let Some(tags) = &group.group.tags {
        let known = node.meta.labels.iter().filter(|(key, _)| GENERIC_LABELS.contains(&key.as_str()));
        let known: Labels = known.map(|(k, v)| (k.clone(), v.clone())).collect();
        let told = known.merged(&tags.labels);
        let kept = told.iter().filter(|(key, _)| !tags.without_labels.contains(key));
        node.meta.labels = kept.map(|(k, v)| (k.clone(), v.clone())).collect();
        node.taints.clone_from(&tags.taints);
    }
    node
}

/// The static Pods of the model: every node of the group has them.
fn mirrors_on(model: &str, snapshot: &Snapshot) -> Vec<PodInfo> {
    let pods = snapshot.get(model).map(|info| info.pods()).unwrap_or_default();
    pods.iter()
        .filter(|pod| is_mirror(&pod.pod) && !is_daemon(&pod.pod))
        .map(|pod| PodInfo::clone(pod))
        .collect()
}

/// Gives a node a name of its own, and an identity with it.
fn rename(node: &mut Node, name: &Str) {
    let labels = node.meta.labels.with(HOSTNAME_LABEL, name.clone());
    node.meta = Lasting { labels, ..Lasting::named("", name.clone()) }.into();
    node.meta.uid = name.clone();
}

/// Makes another node of it: without what belongs to the one it was taken from.
fn sanitize(flags: &Flags, node: &mut Node, name: &Str) {
    rename(node, name);
    node.taints.retain(|taint| taints::is_of_the_group(flags, &taint.key));
    node.unschedulable = false;
    node.status.images.clear();
    let ready = condition::find(&node.status.conditions, "Ready").cloned();
    node.status.conditions = ready.into_iter().collect();
}

/// Pods of all DaemonSets that the node would get.
fn daemons_of(node: &Arc<Node>, ctx: &Ctx<'_>) -> Vec<PodInfo> {
    let (store, framework, snapshot) = (&*ctx.store, ctx.framework, ctx.snapshot);
    if store.list::<DaemonSet>().next().is_none() {
        return Vec::new();
    }
    let mut simulator = Simulator::new(framework, snapshot);
    simulator.add_node(node, &[]);
    let mut daemons = Vec::new();
    for set in store.list::<DaemonSet>() {
        let mut spec = crate::api::PodSpec::clone(&set.template.spec);
        spec.tolerations.extend(daemon_tolerations());
        let labels = set.template.labels.clone();
        let name = format!("{}-{}", set.meta.name, node.meta.name);
        let mut meta: Meta = Lasting { labels, ..Lasting::named(set.meta.namespace.clone(), name) }.into();
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
