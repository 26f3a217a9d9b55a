//! Tries Pods on nodes with the scheduler's own plugins.
//!
//! Upstream: `cluster-autoscaler/simulator/clustersnapshot/predicate/plugin_runner.go`, 1.34.
//!
//! # Fidelity
//! A search over nodes goes on after the last one found, as upstream does, but begins anew with every list of Pods; upstream goes
//! on where the last search of the process ended, in a list that is partly in the order of a map.

use crate::api::{Node, Pod};
use crate::base::{Arc, Str};
use crate::scheduler::framework::{CycleState, Framework, NodeId, PodInfo, Snapshot, Status};

/// A copy of the cluster that Pods and nodes can be put into.
#[derive(Clone, Debug)]
pub struct Simulator<'a> {
    framework: &'a Framework,
    /// The cluster.
    pub snapshot: Snapshot,
}

impl<'a> Simulator<'a> {
    /// A copy of this cluster, judged by this profile.
    pub fn new(framework: &'a Framework, snapshot: &Snapshot) -> Self {
        Self { framework, snapshot: snapshot.clone() }
    }

    /// Whether the Pod fits the node.
    ///
    /// # Errors
    /// Why not, in the scheduler's words.
    pub fn fits(&self, pod: &PodInfo, node: &str) -> Result<(), Status> {
        let mut state = CycleState::new();
        let (allowed, refused) = self.framework.run_pre_filter(&self.snapshot, &mut state, pod);
        refused?;
        let Some(info) = self.snapshot.get(node) else {
            return Err(Status::error(format!("node \"{node}\" not found")));
        };
        if allowed.nodes.is_some_and(|names| !names.contains(node)) {
            return Err(Status::unresolvable(
                "node(s) didn't satisfy plugin(s)",
                crate::scheduler::framework::cause::NODE_AFFINITY,
            ));
        }
        self.framework.run_filter(&self.snapshot, &state, pod, info)
    }

    /// The first node, from place `from` on and around, that the Pod fits and that `may` be taken.
    pub fn find(
        &self,
        pod: &PodInfo,
        nodes: &[NodeId],
        from: usize,
        may: impl Fn(&str) -> bool,
    ) -> Option<usize> {
        let mut state = CycleState::new();
        let (allowed, refused) = self.framework.run_pre_filter(&self.snapshot, &mut state, pod);
        if refused.is_err() {
            return None;
        }
        (0..nodes.len()).map(|step| (from + step) % nodes.len()).find(|place| {
            let info = self.snapshot.node(nodes[*place]);
            let named = allowed.nodes.as_ref().is_none_or(|names| names.contains(info.name()));
            named
                && may(info.name())
                && !info.node().unschedulable
                && self.framework.run_filter(&self.snapshot, &state, pod, info).is_ok()
        })
    }

    /// Puts a Pod on a node.
    pub fn place(&mut self, pod: &PodInfo, node: &Str) {
        let mut placed = Pod::clone(&pod.pod);
        placed.node_name = Some(node.clone());
        let info = PodInfo { pod: Arc::new(placed), ..pod.clone() };
        self.snapshot.add_pod(node, Arc::new(info));
    }

    /// Takes a node out.
    pub fn remove_node(&mut self, node: &str) {
        self.snapshot.remove_node(node);
    }

    /// Adds a node with Pods.
    pub fn add_node(&mut self, node: &Arc<Node>, pods: &[PodInfo]) {
        self.snapshot.set_node(node);
        for pod in pods {
            self.place(pod, &node.meta.name);
        }
    }
}
