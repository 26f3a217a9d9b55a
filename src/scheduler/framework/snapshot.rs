//! What plugins see of the cluster in one cycle: nodes with their Pods, and all other objects.
//!
//! Upstream: `pkg/scheduler/backend/cache/{cache,snapshot}.go`, v1.34. Upstream copies what changed since the last
//! cycle, because informers write beside the cycle; here nothing happens within a cycle, so the cache itself is
//! the snapshot and a change of one node touches that node alone. A copy shares everything with the one it was taken from,
//! part by part, until it changes there.
//!
//! # Fidelity
//! Upstream counts on how many nodes an image is when a node is copied into the snapshot, so the counts of nodes
//! without changes lag behind. Here they are always current.

use std::sync::Arc;

use super::images::Images;
use super::kin::Kin;
use super::listers::Listers;
use super::looks::Looks;
use super::node_info::{NodeId, NodeInfo};
use super::node_tree::NodeTree;
use super::pod_info::PodInfo;
use super::topology::Topology;
use crate::api::{Node, ObjectKey};
use crate::base::{LookupMap, Shared, Str};

/// The cluster as the scheduler knows it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    slots: Vec<Arc<NodeInfo>>,
    free: Vec<NodeId>,
    by_name: Shared<LookupMap<Str, NodeId>>,
    tree: Shared<NodeTree>,
    order: Shared<Vec<NodeId>>,
    /// By node: changes with everything that changes of the node and of what is on it.
    generations: Vec<u64>,
    /// The last generation that was given.
    generation: u64,
    topology: Shared<Topology>,
    kin: Shared<Kin>,
    claim_users: Shared<LookupMap<ObjectKey, u32>>,
    images: Shared<Images>,
    looks: Shared<Looks>,
    /// Everything that is neither a node nor a bound Pod.
    pub listers: Shared<Listers>,
}

impl Snapshot {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// One more than the largest [`NodeId`] in use, for tables by node.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The nodes' places in the order in which they are looked at.
    pub fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// The nodes in the order in which they are looked at.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.order.iter().map(|id| self.node(*id))
    }

    /// The node at a place that [`Self::order`] or another node gave.
    pub fn node(&self, id: NodeId) -> &NodeInfo {
        &self.slots[id.index()]
    }

    /// The same, shared.
    pub fn node_arc(&self, id: NodeId) -> &Arc<NodeInfo> {
        &self.slots[id.index()]
    }

    /// The node of this name, if it exists.
    pub fn get(&self, name: &str) -> Option<&NodeInfo> {
        self.by_name.get(name).map(|id| self.node(*id)).filter(|n| n.is_present())
    }

    /// A number that is another one once anything has changed of the node or of what is on it.
    pub fn generation(&self, id: NodeId) -> u64 {
        self.generations.get(id.index()).copied().unwrap_or(0)
    }

    /// In which places nodes are.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Where Pods with Pod (anti-)affinity are.
    pub fn kin(&self) -> &Kin {
        &self.kin
    }

    /// Whether a Pod with a node mounts this claim (generic ephemeral volumes not counted).
    pub fn is_claim_used(&self, claim: &ObjectKey) -> bool {
        self.claim_users.contains_key(claim)
    }

    /// Where Pods that look alike are.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// Which images are where.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// A node came or changed.
    pub fn set_node(&mut self, node: &Arc<Node>) {
        let id = self.slot(&node.meta.name);
        let info = Arc::make_mut(&mut self.slots[id.index()]);
        let old = info.is_present().then(|| info.node().clone());
        info.set_node(node.clone());
        let relabelled = old.as_ref().is_none_or(|old| old.meta.labels != node.meta.labels);
        if relabelled {
            self.topology.set(id, old.as_ref().map(|old| &old.meta.labels), Some(&node.meta.labels));
        }
        self.touch(id);
        let moved = match &old {
            Some(_) if !relabelled => false,
            Some(old) => self.tree.update(id, old, node),
            None => {
                self.tree.add(id, node);
                true
            }
        };
        match &old {
            Some(old) if old.status.images == node.status.images => {}
            Some(old) => {
                self.images.remove(id, old);
                self.images.add(id, node);
            }
            None if node.status.images.is_empty() => {}
            None => self.images.add(id, node),
        }
        if moved {
            self.order = self.tree.order().into();
        }
    }

    /// A node went; Pods bound to its name stay until they go too.
    pub fn remove_node(&mut self, name: &str) {
        let Some(id) = self.by_name.get(name).copied() else { return };
        let info = Arc::make_mut(&mut self.slots[id.index()]);
        if !info.is_present() {
            return;
        }
        let node = info.node().clone();
        info.remove_node();
        self.topology.set(id, Some(&node.meta.labels), None);
        self.touch(id);
        self.images.remove(id, &node);
        self.tree.remove(id, &node);
        self.order = self.tree.order().into();
        self.release(id);
    }

    /// A Pod is on a node, or is assumed to be.
    pub fn add_pod(&mut self, node: &Str, info: Arc<PodInfo>) {
        let id = self.slot(node);
        for claim in &info.shape.claims {
            *self.claim_users.or_insert_with(claim.clone(), || 0) += 1;
        }
        if info.shape.has_affinity() {
            self.kin.add(id, &info.shape);
        }
        self.looks.add(id, &info);
        Arc::make_mut(&mut self.slots[id.index()]).add_pod(info);
        self.touch(id);
    }

    /// A Pod on a node has changed in nothing that plugins see; false if it has, or is not there. The node stays what it was,
    /// but for the order of its Pods: this one is the last now.
    pub fn replace_pod(&mut self, node: &str, info: &Arc<PodInfo>) -> bool {
        let Some(id) = self.by_name.get(node).copied() else { return false };
        let slot = &mut self.slots[id.index()];
        let Some(at) = slot.place_of(info.uid()) else { return false };
        let looks_alike = slot.pods()[at].looks_like(info);
        if looks_alike {
            Arc::make_mut(slot).replace_pod(at, info.clone());
        }
        looks_alike
    }

    /// A Pod is no more on a node.
    pub fn remove_pod(&mut self, node: &str, uid: &str) -> Option<Arc<PodInfo>> {
        let id = self.by_name.get(node).copied()?;
        let info = Arc::make_mut(&mut self.slots[id.index()]);
        let removed = info.remove_pod(uid)?;
        self.looks.remove(id, &removed);
        if removed.shape.has_affinity() {
            self.kin.remove(id, &removed.shape);
        }
        self.touch(id);
        for claim in &removed.shape.claims {
            let left = self.claim_users.get_mut(claim).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                self.claim_users.remove(claim);
            }
        }
        self.release(id);
        Some(removed)
    }

    fn touch(&mut self, id: NodeId) {
        self.generation += 1;
        if self.generations.len() <= id.index() {
            self.generations.resize(self.slots.len(), 0);
        }
        self.generations[id.index()] = self.generation;
    }

    fn slot(&mut self, name: &Str) -> NodeId {
        if let Some(id) = self.by_name.get(name.as_str()) {
            return *id;
        }
        let id = self.free.pop().unwrap_or(NodeId(self.slots.len() as u32));
        let ghost = Arc::new(NodeInfo::ghost(id, name.clone()));
        match self.slots.get_mut(id.index()) {
            Some(slot) => *slot = ghost,
            None => self.slots.push(ghost),
        }
        self.by_name.insert(name.clone(), id);
        id
    }

    fn release(&mut self, id: NodeId) {
        let info = &self.slots[id.index()];
        if !info.is_present() && info.pods().is_empty() {
            self.by_name.remove(info.name().as_str());
            self.free.push(id);
        }
    }
}
