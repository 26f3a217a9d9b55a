//! What the two plugins that score by resources share.
//!
//! Upstream: `pkg/scheduler/framework/plugins/noderesources/resource_allocation.go`, v1.34.

use crate::api::ResourceList;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY};
use crate::base::Str;
use crate::scheduler::framework::NodeInfo;
use crate::scheduler::framework::args::ResourceSpec;
use crate::scheduler::framework::resources::is_scalar;

/// How much of a resource that counts is there, and how much would be used.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What the node has; never 0.
    pub have: i64,
    /// What is requested of it with the Pod on the node.
    pub used: i64,
    /// The weight of the resource.
    pub weight: i64,
}

/// CPU and memory where these two are scored and nothing else, as nearly everywhere: their loads are at hand without looking
/// for what is scored.
#[derive(Clone, Copy, Debug)]
pub struct CpuAndMemory {
    weights: [i64; 2],
    requests: [i64; 2],
}

impl CpuAndMemory {
    /// These, if the resources are the two.
    pub fn of(all: &[Scored], requests: &[i64]) -> Option<Self> {
        let [a, b] = all else { return None };
        let (cpu, memory) = match (&a.kind, &b.kind) {
            (Kind::Cpu, Kind::Memory) => (0, 1),
            (Kind::Memory, Kind::Cpu) => (1, 0),
            _ => return None,
        };
        let [Some(for_cpu), Some(for_memory)] = [cpu, memory].map(|at| requests.get(at).copied()) else {
            return None;
        };
        Some(Self { weights: [cpu, memory].map(|at| all[at].weight), requests: [for_cpu, for_memory] })
    }

    /// As [`Scored::loads`].
    #[inline]
    pub fn loads(self, node: &NodeInfo, real: bool) -> impl Iterator<Item = Load> {
        self.all(node, real).into_iter().filter(|load| load.have != 0)
    }

    /// The loads if the node has both.
    #[inline]
    pub fn both(self, node: &NodeInfo, real: bool) -> Option<[Load; 2]> {
        Some(self.all(node, real)).filter(|[a, b]| a.have != 0 && b.have != 0)
    }

    #[inline]
    fn all(self, node: &NodeInfo, real: bool) -> [Load; 2] {
        let load = |at: usize, (have, used): (i64, i64)| Load {
            have,
            used: used.wrapping_add(self.requests[at]),
            weight: self.weights[at],
        };
        [load(0, cpu(node, real)), load(1, memory(node, real))]
    }
}

/// The CPU that a node has, and what is requested of it: in truth, or with what those count for that request none.
#[inline]
fn cpu(node: &NodeInfo, real: bool) -> (i64, i64) {
    let used = if real { node.requested().milli_cpu } else { node.non_zero_milli_cpu() };
    (node.allocatable().milli_cpu, used)
}

/// The same of memory.
#[inline]
fn memory(node: &NodeInfo, real: bool) -> (i64, i64) {
    let used = if real { node.requested().memory } else { node.non_zero_memory() };
    (node.allocatable().memory, used)
}

/// A resource that is scored.
#[derive(Clone, Debug)]
pub struct Scored {
    kind: Kind,
    /// Its weight.
    pub weight: i64,
}

#[derive(Clone, Debug)]
enum Kind {
    Cpu,
    Memory,
    EphemeralStorage,
    Scalar(Str),
    /// The scheduler does not count it.
    Other,
}

impl Scored {
    /// The resources of a plugin's arguments.
    pub fn all(specs: &[ResourceSpec]) -> Vec<Self> {
        specs.iter().map(|spec| Self { kind: Kind::of(&spec.name), weight: spec.weight }).collect()
    }

    /// What a Pod requests of it.
    pub fn request(&self, requests: &ResourceList) -> i64 {
        match &self.kind {
            Kind::Cpu => requests.cpu_milli(),
            Kind::Memory => requests.memory(),
            Kind::EphemeralStorage => requests.get(EPHEMERAL_STORAGE).map_or(0, |q| q.value()),
            Kind::Scalar(name) => requests.get(name).map_or(0, |q| q.value()),
            Kind::Other => 0,
        }
    }

    /// What nodes have of these resources, and how much of it is used with a Pod on them that requests so much of each.
    pub fn loads<'a>(
        all: &'a [Self],
        requests: &'a [i64],
        node: &'a NodeInfo,
        real: bool,
    ) -> impl Iterator<Item = Load> + 'a {
        let each = all.iter().zip(requests);
        each.filter_map(move |(scored, request)| {
            let (have, used) = scored.on(node, *request, real)?;
            Some(Load { have, used, weight: scored.weight })
        })
    }

    /// What the node has of it and what is requested with the Pod on it; nothing if it does not count there.
    fn on(&self, node: &NodeInfo, request: i64, real: bool) -> Option<(i64, i64)> {
        let (have, used) = (node.allocatable(), node.requested());
        let (have, used) = match &self.kind {
            Kind::Cpu => cpu(node, real),
            Kind::Memory => memory(node, real),
            Kind::EphemeralStorage => (have.ephemeral_storage, used.ephemeral_storage),
            Kind::Scalar(_) if request == 0 => return None,
            Kind::Scalar(name) => (have.scalar(name), used.scalar(name)),
            Kind::Other => return None,
        };
        (have != 0).then(|| (have, used.wrapping_add(request)))
    }
}

impl Kind {
    fn of(name: &Str) -> Self {
        match name.as_str() {
            CPU => Self::Cpu,
            MEMORY => Self::Memory,
            EPHEMERAL_STORAGE => Self::EphemeralStorage,
            other if is_scalar(other) => Self::Scalar(name.clone()),
            _ => Self::Other,
        }
    }
}
