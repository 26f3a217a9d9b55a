//! cordon, taint, and what happens to machines.

use super::Refusal;
use crate::api::{Node, ObjectKey, Taint};
use crate::base::{SimTime, Str};
use crate::cloud::fleet::Shortage;
use crate::facts::Fact;
use crate::kubelet::{self, Kubelets};
use crate::plan::PlannedNode;
use crate::plan::step::{AddNodes, NodeSet, OutOfCapacity, TaintChange};
use crate::sim::world::World;

impl World {
    pub(super) fn cordon(&mut self, nodes: &NodeSet, unschedulable: bool) -> Result<(), Refusal> {
        let names = self.resolve_nodes(nodes)?;
        self.cordon_names(&names, unschedulable)
    }

    pub(super) fn cordon_names(&mut self, names: &[Str], unschedulable: bool) -> Result<(), Refusal> {
        for name in names {
            self.store
                .update_spec::<Node>(&ObjectKey::cluster(name), |node| node.unschedulable = unschedulable)
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    pub(super) fn taint(&mut self, nodes: &NodeSet, changes: &[TaintChange]) -> Result<(), Refusal> {
        let at = self.store.timestamp();
        for name in self.resolve_nodes(nodes)? {
            self.store
                .update_spec::<Node>(&ObjectKey::cluster(name), |node| {
                    for change in changes {
                        change_taint(&mut node.taints, change, at);
                    }
                })
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    pub(super) fn fail_nodes(&mut self, nodes: &NodeSet) -> Result<(), Refusal> {
        let renewals = self.silence(nodes, Kubelets::fail_node)?;
        self.nodes_stopped("failNode", renewals);
        Ok(())
    }

    /// A machine that gives its Pods time goes silent later; that is no step of its own.
    pub(super) fn shut_down_nodes(&mut self, nodes: &NodeSet) -> Result<(), Refusal> {
        let renewals = self.silence(nodes, Kubelets::shut_down_node)?;
        if !renewals.is_empty() {
            self.nodes_stopped("shutdownNode", renewals);
        }
        Ok(())
    }

    pub(super) fn restore_nodes(&mut self, nodes: &NodeSet) -> Result<(), Refusal> {
        for name in self.resolve_nodes(nodes)? {
            self.with_kubelets(|kubelets, ctx| kubelets.restore_node(&name, ctx));
        }
        Ok(())
    }

    pub(super) fn fail_zone(&mut self, zone: &Str) -> Result<(), Refusal> {
        self.fail_nodes(&NodeSet::Zone(zone.clone()))
    }

    pub(super) fn restore_zone(&mut self, zone: &Str) -> Result<(), Refusal> {
        self.restore_nodes(&NodeSet::Zone(zone.clone()))
    }

    pub(super) fn stop_kubelets(&mut self, nodes: &NodeSet) -> Result<(), Refusal> {
        let renewals = self.silence(nodes, Kubelets::stop_kubelet)?;
        self.nodes_stopped("stopKubelet", renewals);
        Ok(())
    }

    pub(super) fn start_kubelets(&mut self, nodes: &NodeSet) -> Result<(), Refusal> {
        for name in self.resolve_nodes(nodes)? {
            self.with_kubelets(|kubelets, ctx| kubelets.start_kubelet(&name, ctx));
        }
        Ok(())
    }

    pub(super) fn partition(&mut self, nodes: &NodeSet) -> Result<(), Refusal> {
        let renewals = self.silence(nodes, Kubelets::partition)?;
        self.nodes_stopped("partition", renewals);
        Ok(())
    }

    pub(super) fn heal(&mut self, nodes: &NodeSet) -> Result<(), Refusal> {
        for name in self.resolve_nodes(nodes)? {
            self.with_kubelets(|kubelets, ctx| kubelets.heal(&name, ctx));
        }
        Ok(())
    }

    /// Does to nodes what makes them silent. Those that were heard of until now, with their last lease renewals.
    fn silence(
        &mut self,
        nodes: &NodeSet,
        mut befall: impl FnMut(&mut Kubelets, &str, &mut kubelet::Ctx<'_>) -> Option<SimTime>,
    ) -> Result<Vec<(Str, SimTime)>, Refusal> {
        let mut renewals = Vec::new();
        for name in self.resolve_nodes(nodes)? {
            let last = self.with_kubelets(|kubelets, ctx| befall(kubelets, &name, ctx));
            renewals.extend(last.map(|last| (name, last)));
        }
        Ok(renewals)
    }

    /// Tells when the control plane last heard of nodes that went silent.
    fn nodes_stopped(&mut self, verb: &'static str, last_lease_renewal: Vec<(Str, SimTime)>) {
        let names: Vec<&str> = last_lease_renewal.iter().map(|(name, _)| name.as_str()).collect();
        let summary = names.join(", ").into();
        self.fact(Fact::Action { at: self.store.now(), verb: verb.into(), summary, last_lease_renewal });
    }

    pub(super) fn add_nodes(&mut self, nodes: &AddNodes) -> Result<(), Refusal> {
        match nodes {
            AddNodes::Nodes(nodes) => {
                nodes.iter().for_each(|node| self.node_joins(node.clone()));
                Ok(())
            }
            AddNodes::Group { group, count } => self.grow_group(group, *count),
        }
    }

    /// Asks the cloud for more machines of a group, dealt out to its zones in turn.
    fn grow_group(&mut self, group: &Str, count: u32) -> Result<(), Refusal> {
        let parts: Vec<_> =
            self.fleet.groups().filter(|(_, g)| g.group.of == *group).map(|(id, _)| id).collect();
        if parts.is_empty() {
            return Err(format!("there is no node group `{group}`"));
        }
        for index in 0..count {
            self.request_machine(parts[index as usize % parts.len()]);
        }
        Ok(())
    }

    /// A machine registers; its Node is Ready after the kubelet's own time.
    pub(in crate::sim) fn node_joins(&mut self, planned: PlannedNode) {
        let PlannedNode { node, csi_node, .. } = planned;
        let name = node.meta.name.clone();
        if !self.fleet.join(&name, self.store.now()) {
            return;
        }
        if let Err(error) = self.with_kubelets(|kubelets, ctx| kubelets.join(node, csi_node, ctx)) {
            self.refuse("addNodes", format!("node {name} cannot join: {error}"));
        }
        if let Some(group) = self.fleet.group_of(&name) {
            self.shed_surplus(group);
        }
    }

    /// The cloud has no machines of a kind to give for a while.
    pub(super) fn out_of_capacity(&mut self, step: &OutOfCapacity) -> Result<(), Refusal> {
        let until = step.duration.map(|duration| self.store.now() + duration);
        let OutOfCapacity { instance_type, zone, .. } = step.clone();
        self.run_short(Shortage { instance_type, zone, until });
        Ok(())
    }

    /// The machines are terminated; the cloud's node controller finds their Nodes without one.
    pub(super) fn remove_nodes(&mut self, nodes: &NodeSet) -> Result<(), Refusal> {
        for name in self.resolve_nodes(nodes)? {
            self.terminate(&name);
        }
        Ok(())
    }
}

fn change_taint(taints: &mut Vec<Taint>, change: &TaintChange, at: crate::base::Timestamp) {
    match change {
        TaintChange::Add(taint) => {
            let mut taint = taint.clone();
            if taint.effect == crate::api::TaintEffect::NoExecute {
                taint.time_added.get_or_insert(at);
            }
            match taints.iter_mut().find(|t| t.matches(&taint)) {
                Some(old) => *old = taint,
                None => taints.push(taint),
            }
        }
        TaintChange::Remove { key, effect } => {
            taints.retain(|t| t.key != *key || effect.is_some_and(|effect| effect != t.effect));
        }
    }
}

/// One argument of `kubectl taint`, as it is written.
pub(super) fn taint_text(change: &TaintChange) -> String {
    match change {
        TaintChange::Add(taint) => taint.to_string(),
        TaintChange::Remove { key, effect: None } => format!("{key}-"),
        TaintChange::Remove { key, effect: Some(effect) } => format!("{key}:{}-", effect.as_str()),
    }
}
