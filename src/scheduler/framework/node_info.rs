//! A node with the Pods on it and their sums.
//!
//! Upstream: `pkg/scheduler/framework/types.go` (`NodeInfo`), `kube-scheduler/framework/types.go`
//! (`HostPortInfo`), v1.34.

use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;

use super::pod_info::PodInfo;
use super::resources::Resources;
use crate::api::pod::ContainerPort;
use crate::api::{Node, ObjectKey, Pod, Uid};
use crate::base::fetch::{Skim, mix};
use crate::base::text::lit;
use crate::base::{Arc, Str};

/// The place of a node in the scheduler's tables: dense, and given to another node once the first has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Host ports in use on a node: address, protocol, port. A set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPorts {
    used: Vec<(Str, Str, i32)>,
}

/// The address that stands for all addresses.
const ALL_ADDRESSES: Str = lit!("0.0.0.0");

impl HostPorts {
    fn entry(port: &ContainerPort) -> (Str, Str, i32) {
        let address = if port.host_ip.is_empty() { ALL_ADDRESSES } else { port.host_ip.clone() };
        let protocol = if port.protocol.is_empty() { lit!("TCP") } else { port.protocol.clone() };
        (address, protocol, port.host_port)
    }

    /// Notes a port as used.
    pub fn add(&mut self, port: &ContainerPort) {
        let entry = Self::entry(port);
        if port.host_port > 0 && !self.used.contains(&entry) {
            self.used.push(entry);
        }
    }

    /// Notes a port as free.
    pub fn remove(&mut self, port: &ContainerPort) {
        let entry = Self::entry(port);
        self.used.retain(|have| *have != entry);
    }

    /// Whether a port is taken. The address for all conflicts with every other.
    pub fn conflicts(&self, port: &ContainerPort) -> bool {
        if port.host_port <= 0 || self.used.is_empty() {
            return false;
        }
        let (address, protocol, number) = Self::entry(port);
        self.used.iter().any(|(a, p, n)| {
            *n == number
                && *p == protocol
                && (address == ALL_ADDRESSES || *a == ALL_ADDRESSES || *a == address)
        })
    }

    /// Whether no port is used.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}

/// A node with the Pods on it and their sums.
// The fields lie in this order, and begin where a line of the processor's memory does: those that change with the Pods on the node
// are those that are read when it has changed, and lie together.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct NodeInfo {
    requested: Resources,
    non_zero_milli_cpu: i64,
    allocatable: Resources,
    non_zero_memory: i64,
    pods: Vec<Arc<PodInfo>>,
    /// What the identity of each of them hashes to: a Pod is found without a look at all of them.
    marks: Vec<u32>,
    /// Another number for each object that was put in the place of one before; 0 until the first.
    version: u64,
    /// Its place in the scheduler's tables.
    pub id: NodeId,
    present: bool,
    /// A copy of what is asked of the node in every cycle, so that asking does not leave this record.
    unschedulable: bool,
    /// The same of its name.
    name: Str,
    node: Arc<Node>,
    claims: Vec<(ObjectKey, u32)>,
    used_ports: HostPorts,
}

impl Skim for NodeInfo {
    fn skim(&self) -> u64 {
        let sums = [self.requested.milli_cpu, self.allocatable.milli_cpu, self.non_zero_memory];
        mix(sums.map(|sum| sum as u64)) ^ self.version ^ self.used_ports.used.len() as u64
    }
}

impl NodeInfo {
    /// A node without Pods.
    pub fn new(id: NodeId, node: Arc<Node>) -> Self {
        let mut info = Self::ghost(id, node.meta.name.clone());
        info.set_node(node, 1);
        info
    }

    /// A name under which Pods are bound but no node is known.
    pub fn ghost(id: NodeId, name: Str) -> Self {
        let mut node = Node::default();
        node.meta.name = name.clone();
        Self {
            id,
            name,
            node: Arc::new(node),
            present: false,
            version: 0,
            unschedulable: false,
            pods: Vec::new(),
            marks: Vec::new(),
            claims: Vec::new(),
            used_ports: HostPorts::default(),
            requested: Resources::default(),
            non_zero_milli_cpu: 0,
            non_zero_memory: 0,
            allocatable: Resources::default(),
        }
    }

    /// The node.
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Its name.
    pub const fn name(&self) -> &Str {
        &self.name
    }

    /// Whether the node is cordoned.
    pub const fn is_unschedulable(&self) -> bool {
        self.unschedulable
    }

    /// Whether the node exists; if not, only Pods bound to its name do.
    pub const fn is_present(&self) -> bool {
        self.present
    }

    /// Pods on it, assumed ones included. Removal changes their order, as upstream.
    pub fn pods(&self) -> &[Arc<PodInfo>] {
        &self.pods
    }

    /// Host ports in use.
    pub const fn used_ports(&self) -> &HostPorts {
        &self.used_ports
    }

    /// The sum of all requests.
    pub const fn requested(&self) -> &Resources {
        &self.requested
    }

    /// The sum of CPU in thousandths, with defaults for containers that name none.
    pub const fn non_zero_milli_cpu(&self) -> i64 {
        self.non_zero_milli_cpu
    }

    /// The sum of memory in bytes, with defaults for containers that name none.
    pub const fn non_zero_memory(&self) -> i64 {
        self.non_zero_memory
    }

    /// What Pods may use.
    pub const fn allocatable(&self) -> &Resources {
        &self.allocatable
    }

    /// How many Pods on it mount this claim (generic ephemeral volumes not counted).
    pub fn claim_users(&self, claim: &ObjectKey) -> u32 {
        self.claims.iter().find(|(have, _)| have == claim).map_or(0, |(_, count)| *count)
    }

    /// Another number once the node has been replaced.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Replaces the node; `version` is a number that no other node ever had in this place.
    pub fn set_node(&mut self, node: Arc<Node>, version: u64) {
        self.version = version;
        self.allocatable = Resources::from_list(&node.status.allocatable);
        self.unschedulable = node.unschedulable;
        self.name = node.meta.name.clone();
        self.node = node;
        self.present = true;
    }

    /// The node has gone; Pods bound to it stay.
    pub fn remove_node(&mut self) {
        self.present = false;
        self.allocatable = Resources::default();
    }

    /// Puts a Pod on it.
    pub fn add_pod(&mut self, info: Arc<PodInfo>) {
        self.count(&info, 1);
        self.marks.push(mark(info.uid()));
        self.pods.push(info);
    }

    /// A number that is made of what is needed to take a Pod off it; most probably that Pod's.
    pub fn skim_pod(&self, uid: &Uid) -> u64 {
        self.marked(uid).next().map_or(0, |at| u64::from(self.pods[at].shape.has_affinity()))
    }

    /// At which place among its Pods the one of this identity is.
    pub fn place_of(&self, uid: &Uid) -> Option<usize> {
        self.marked(uid).find(|at| self.pods[*at].uid() == uid)
    }

    /// At which places among its Pods the one of this identity may be, the last one first.
    fn marked(&self, uid: &Uid) -> impl Iterator<Item = usize> {
        let wanted = mark(uid);
        (0..self.pods.len()).rev().filter(move |at| self.marks[*at] == wanted)
    }

    /// Puts another state of the Pod at a place, which asks for the same, behind all others.
    pub fn renew_pod(&mut self, at: usize, pod: &Arc<Pod>) {
        let mut info = self.pods.swap_remove(at);
        Arc::make_mut(&mut info).pod = pod.clone();
        let mark = self.marks.swap_remove(at);
        self.pods.push(info);
        self.marks.push(mark);
    }

    /// Takes a Pod off it, found by its identity.
    pub fn remove_pod(&mut self, uid: &Uid) -> Option<Arc<PodInfo>> {
        let at = self.place_of(uid)?;
        self.marks.swap_remove(at);
        let removed = self.pods.swap_remove(at);
        self.count(&removed, -1);
        Some(removed)
    }

    fn count(&mut self, info: &PodInfo, sign: i64) {
        self.requested.add(&info.resources.requests, sign);
        let add = |to: &mut i64, what: i64| *to = to.wrapping_add(sign.wrapping_mul(what));
        add(&mut self.non_zero_milli_cpu, info.resources.non_zero_milli_cpu);
        add(&mut self.non_zero_memory, info.resources.non_zero_memory);
        for port in &info.shape.host_ports {
            if sign > 0 {
                self.used_ports.add(port);
            } else {
                self.used_ports.remove(port);
            }
        }
        for claim in &info.shape.claims {
            step(&mut self.claims, claim, sign > 0);
        }
    }
}

fn mark(uid: &str) -> u32 {
    (FxBuildHasher.hash_one(uid) >> 32) as u32
}

fn step(counts: &mut Vec<(ObjectKey, u32)>, key: &ObjectKey, more: bool) {
    match (counts.iter().position(|(have, _)| have == key), more) {
        (Some(i), true) => counts[i].1 += 1,
        (Some(i), false) if counts[i].1 <= 1 => {
            counts.swap_remove(i);
        }
        (Some(i), false) => counts[i].1 -= 1,
        (None, true) => counts.push((key.clone(), 1)),
        (None, false) => {}
    }
}
