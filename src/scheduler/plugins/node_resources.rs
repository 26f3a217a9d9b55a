//! What the two plugins that score by resources share.
//!
//! Upstream: `pkg/scheduler/framework/plugins/noderesources/resource_allocation.go`, v1.34.

use crate::api::ResourceList;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY};
use crate::base::Str;
use crate::scheduler::framework::NodeInfo;
use crate::scheduler::framework::args::ResourceSpec;
use crate::scheduler::framework::resources::is_scalar;

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

    /// What the node has of it and what is requested with the Pod on it; nothing if it does not count there.
    #[inline]
    pub fn on(&self, node: &NodeInfo, request: i64, real: bool) -> Option<(i64, i64)> {
        let (have, used) = (node.allocatable(), node.requested());
        let (have, used) = match &self.kind {
            Kind::Cpu if real => (have.milli_cpu, used.milli_cpu),
            Kind::Cpu => (have.milli_cpu, node.non_zero_milli_cpu()),
            Kind::Memory if real => (have.memory, used.memory),
            Kind::Memory => (have.memory, node.non_zero_memory()),
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
