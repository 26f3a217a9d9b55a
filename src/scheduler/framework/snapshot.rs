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

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::OnceLock;

use super::images::Images;
use super::kin::Kin;
use super::layout::{Layout, Touched};
use super::listers::Listers;
use super::looks::Looks;
use super::node_info::{NodeId, NodeInfo};
use super::node_tree::NodeTree;
use super::pod_info::PodInfo;
use super::topology::Topology;
use super::whereabouts::{PlaceCounts, Site, Watches, Whereabouts};
use crate::api::node::ZONE_LABEL;
use crate::api::{Node, ObjectKey, Pod, Uid};
use crate::base::text::lit;
use crate::base::{Arc, LookupMap, Shared, Str};

/// The cluster as the scheduler knows it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    slots: Vec<Arc<NodeInfo>>,
    free: Vec<NodeId>,
    by_name: Shared<LookupMap<Str, NodeId>>,
    /// How many nodes are there.
    present: usize,
    tree: Shared<NodeTree>,
    /// What follows from the tree, once it is asked for.
    layout: OnceLock<Arc<Layout>>,
    /// Counts changes of the order and of labels.
    arrangement: u64,
    /// Counts changes of nodes' objects.
    versions: u64,
    touched: Touched,
    topology: Shared<Topology>,
    watches: Watches,
    /// For counting: used again and again.
    site: Site,
    kin: Shared<Kin>,
    claim_users: Shared<LookupMap<ObjectKey, u32>>,
    /// Pods with a node that have generic ephemeral volumes.
    ephemeral_users: usize,
    /// How many Pods with a node there are of each priority.
    priorities: BTreeMap<i32, u32>,
    images: Shared<Images>,
    looks: Shared<Looks>,
    /// Everything that is neither a node nor a bound Pod.
    pub listers: Shared<Listers>,
}

impl Default for Snapshot {
    fn default() -> Self {
        let mut snapshot = Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: Shared::default(),
            present: 0,
            tree: Shared::default(),
            layout: OnceLock::new(),
            arrangement: 0,
            versions: 0,
            touched: Touched::default(),
            topology: Shared::default(),
            watches: Watches::default(),
            site: Site::new(),
            kin: Shared::default(),
            claim_users: Shared::default(),
            ephemeral_users: 0,
            priorities: BTreeMap::new(),
            images: Shared::default(),
            looks: Shared::default(),
            listers: Shared::default(),
        };
        // The constraints that the scheduler itself gives to Pods are over zones.
        snapshot.watch(&lit!(ZONE_LABEL));
        snapshot
    }
}

impl Snapshot {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.present
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// One more than the largest [`NodeId`] in use, for tables by node.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The nodes' places in the order in which they are looked at.
    pub fn order(&self) -> &[NodeId] {
        self.layout().order()
    }

    /// The order, and the position of each node in it.
    pub fn layout(&self) -> &Arc<Layout> {
        self.layout.get_or_init(|| Arc::new(Layout::new(self.tree.order(), self.slots.len())))
    }

    /// Another number once the order of the nodes or the labels of one have changed.
    pub const fn arrangement(&self) -> u64 {
        self.arrangement
    }

    /// Another number once the object of a node has been replaced.
    pub const fn versions(&self) -> u64 {
        self.versions
    }

    /// Which nodes have changed, or what is on them.
    pub const fn touched(&self) -> &Touched {
        &self.touched
    }

    /// The nodes in the order in which they are looked at.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.order().iter().map(|id| self.node(*id))
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

    /// How many of some Pods are in which place of a key; none if that is not counted.
    pub fn by_place<'a>(&self, of: &'a Whereabouts, key: usize) -> Option<&'a PlaceCounts> {
        of.by_place(&self.watches, &self.topology, key)
    }

    /// Whether a Pod with a node has a generic ephemeral volume.
    pub const fn has_ephemeral_users(&self) -> bool {
        self.ephemeral_users > 0
    }

    /// Pods are counted by the places of this topology key from now on.
    pub fn watch(&mut self, key: &Str) {
        if !self.watches.add(key, &self.topology) {
            return;
        }
        let Self { watches, topology, slots, looks, kin, .. } = self;
        for pods in looks.whereabouts_mut().chain(kin.whereabouts_mut()) {
            pods.recount(|id, site| watches.site(topology, id, slots[id.index()].is_present(), site));
        }
    }

    /// Which images are where.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// A node came or changed.
    pub fn set_node(&mut self, node: &Arc<Node>) {
        let id = self.slot(&node.meta.name);
        let info = &self.slots[id.index()];
        let old = info.is_present().then(|| info.node().clone());
        let stays = old.as_ref().is_some_and(|old| old.meta.labels == node.meta.labels);
        let from = if stays { None } else { Some(self.site_of(id)) };
        self.versions += 1;
        Arc::make_mut(&mut self.slots[id.index()]).set_node(node.clone(), self.versions);
        if !stays {
            self.topology.set(id, old.as_ref().map(|old| &old.meta.labels), Some(&node.meta.labels));
        }
        let moved = match &old {
            Some(_) if stays => false,
            Some(old) => self.tree.update(id, old, node),
            None => {
                self.present += 1;
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
        if let Some(from) = from {
            self.rearranged(id, &from, moved);
        }
        self.touch(id);
    }

    /// A node went; Pods bound to its name stay until they go too.
    pub fn remove_node(&mut self, name: &str) {
        let Some(id) = self.by_name.get(name).copied() else { return };
        if !self.slots[id.index()].is_present() {
            return;
        }
        let from = self.site_of(id);
        let info = Arc::make_mut(&mut self.slots[id.index()]);
        let node = info.node().clone();
        info.remove_node();
        self.present -= 1;
        self.topology.set(id, Some(&node.meta.labels), None);
        self.images.remove(id, &node);
        self.tree.remove(id, &node);
        self.rearranged(id, &from, true);
        self.touch(id);
        self.release(id);
    }

    fn site_of(&self, id: NodeId) -> Site {
        let mut site = Site::new();
        self.watches.site(&self.topology, id, self.slots[id.index()].is_present(), &mut site);
        site
    }

    /// The labels of a node have changed, or it came or went: what is on it counts elsewhere. `moved`: the order is another one.
    fn rearranged(&mut self, id: NodeId, from: &Site, moved: bool) {
        self.watches.resolve(&self.topology);
        self.arrangement += 1;
        if moved {
            self.layout = OnceLock::new();
        }
        let to = self.site_of(id);
        let pods = self.slots[id.index()].pods();
        if *from == to || pods.is_empty() {
            return;
        }
        if pods.iter().any(|info| info.shape.has_affinity()) {
            self.kin.whereabouts_mut().for_each(|pods| pods.moved(id, from, &to));
        }
        // Pods that look alike have the same whereabouts, which are to be moved once.
        let mut seen: Vec<&Pod> = Vec::new();
        for info in self.slots[id.index()].pods() {
            let meta = &info.pod.meta;
            let alike = |other: &&Pod| {
                other.meta.namespace == meta.namespace
                    && other.meta.labels == meta.labels
                    && other.meta.is_deleting() == meta.is_deleting()
            };
            if seen.iter().any(alike) {
                continue;
            }
            seen.push(&info.pod);
            if let Some(pods) = self.looks.like(info) {
                pods.moved(id, from, &to);
            }
        }
    }

    /// A Pod is on a node, or is assumed to be: on the one at the place given, which is kept for it while the Pod is there.
    pub fn add_pod(&mut self, node: &Str, info: Arc<PodInfo>) -> NodeId {
        let id = self.slot(node);
        for claim in &info.shape.claims {
            *self.claim_users.or_insert_with(claim.clone(), || 0) += 1;
        }
        self.ephemeral_users += usize::from(info.shape.has_ephemeral);
        *self.priorities.entry(info.priority()).or_default() += 1;
        let Self { watches, topology, slots, site, kin, looks, .. } = self;
        let slot = &mut slots[id.index()];
        watches.site(topology, id, slot.is_present(), site);
        if info.shape.has_affinity() {
            kin.add(id, &info.shape, site);
        }
        looks.add(id, &info, site);
        Arc::make_mut(slot).add_pod(info);
        self.touch(id);
        id
    }

    /// The lowest priority of a Pod with a node; none if there are no such Pods.
    pub fn lowest_priority(&self) -> Option<i32> {
        self.priorities.keys().next().copied()
    }

    /// A Pod is no more on a node.
    pub fn remove_pod(&mut self, node: &str, uid: &Uid) -> Option<Arc<PodInfo>> {
        self.remove_pod_at(self.by_name.get(node).copied()?, uid)
    }

    /// The same of the node at this place.
    pub fn remove_pod_at(&mut self, id: NodeId, uid: &Uid) -> Option<Arc<PodInfo>> {
        let Self { watches, topology, slots, site, kin, looks, .. } = self;
        let slot = &mut slots[id.index()];
        let removed = Arc::make_mut(slot).remove_pod(uid)?;
        watches.site(topology, id, slot.is_present(), site);
        looks.remove(id, &removed, site);
        if removed.shape.has_affinity() {
            kin.remove(id, &removed.shape, site);
        }
        self.touch(id);
        self.ephemeral_users -= usize::from(removed.shape.has_ephemeral);
        if let Entry::Occupied(mut count) = self.priorities.entry(removed.priority()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
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

    /// A Pod on a node has changed in nothing that is counted; false if it may have, or is not there. The node stays what it
    /// was, but for the order of its Pods: this one is the last now.
    pub fn renew_pod(&mut self, id: NodeId, pod: &Arc<Pod>) -> bool {
        let slot = &mut self.slots[id.index()];
        let Some(at) = slot.place_of(&pod.meta.uid) else { return false };
        let looks_alike = slot.pods()[at].looks_like(pod);
        if looks_alike {
            Arc::make_mut(slot).renew_pod(at, pod);
        }
        looks_alike
    }

    fn touch(&mut self, id: NodeId) {
        self.touched.push(id, self.slots.len());
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
