//! Amounts of resources as the scheduler counts them: whole numbers, common ones in fields.
//!
//! Upstream: `pkg/scheduler/framework/types.go` (`Resource`), `component-helpers/resource/helpers.go`, v1.34.

use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::api::{Container, ContainerStatus, Pod, ResourceList, condition};
use crate::base::{Quantity, Str};

/// What a container without a CPU request counts for when nodes are scored, in thousandths.
pub const DEFAULT_MILLI_CPU_REQUEST: i64 = 100;
/// What a container without a memory request counts for when nodes are scored, in bytes.
pub const DEFAULT_MEMORY_REQUEST: i64 = 200 * 1024 * 1024;

/// Amounts of resources. Sums wrap as upstream's do; no manifest comes near.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// CPU in thousandths.
    pub milli_cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i64,
    /// How many Pods a node may hold; not used for requests.
    pub pods: i64,
    /// Extended resources, huge pages and attachable volumes, ordered by name.
    pub scalars: Vec<(Str, i64)>,
}

impl Resources {
    /// The amounts of a list; resources that the scheduler does not count are left out.
    pub fn from_list(list: &ResourceList) -> Self {
        let mut all = Self::default();
        for (name, amount) in &list.0 {
            match name.as_str() {
                CPU => all.milli_cpu = amount.milli_value(),
                MEMORY => all.memory = amount.value(),
                EPHEMERAL_STORAGE => all.ephemeral_storage = amount.value(),
                PODS => all.pods = amount.value(),
                other if is_scalar(other) => all.scalars.push((name.clone(), amount.value())),
                _ => {}
            }
        }
        all
    }

    /// The amount of an extended resource; 0 if absent.
    pub fn scalar(&self, name: &str) -> i64 {
        self.find(name).map_or(0, |i| self.scalars[i].1)
    }

    /// Whether an extended resource is named.
    pub fn has_scalar(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.scalars.binary_search_by(|(have, _)| have.as_str().cmp(name))
    }

    /// Adds `other` `sign` times (1 or −1). The number of Pods stays.
    pub fn add(&mut self, other: &Self, sign: i64) {
        let add = |to: &mut i64, what: i64| *to = to.wrapping_add(sign.wrapping_mul(what));
        add(&mut self.milli_cpu, other.milli_cpu);
        add(&mut self.memory, other.memory);
        add(&mut self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalars {
            match self.find(name) {
                Ok(i) => add(&mut self.scalars[i].1, *amount),
                Err(i) => self.scalars.insert(i, (name.clone(), sign.wrapping_mul(*amount))),
            }
        }
    }
}

/// Whether the scheduler counts a resource other than the common ones.
///
/// Upstream: `pkg/scheduler/util/utils.go` `IsScalarResourceName`, v1.34.
pub fn is_scalar(name: &str) -> bool {
    name.starts_with("hugepages-")
        || name.starts_with("attachable-volumes-")
        || name.contains("kubernetes.io/")
        || (name.contains('/') && !name.starts_with("requests."))
}

/// Whether a resource is an extended one.
///
/// Upstream: `pkg/apis/core/v1/helper/helpers.go` `IsExtendedResourceName`, v1.34.
pub fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// Whether a resource may be requested for a whole Pod.
fn is_pod_level(name: &str) -> bool {
    name == CPU || name == MEMORY || name.starts_with("hugepages-")
}

/// What of a Pod is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOptions {
    /// Resources allocated to running containers count, as in-place resizing needs.
    pub use_status: bool,
    /// Pod-level resources do not count.
    pub skip_pod_level: bool,
    /// A container that does not name CPU counts for the default.
    pub default_cpu: bool,
    /// A container that does not name memory counts for the default.
    pub default_memory: bool,
}

/// The requests of a whole Pod: containers, init containers in their order, sidecars, pod level, overhead.
pub fn pod_requests(pod: &Pod, options: RequestOptions) -> ResourceList {
    let mut requests = aggregate(pod, options);
    if !options.skip_pod_level
        && let Some(level) = &pod.spec.pod_requests
    {
        for (name, amount) in level.0.iter().filter(|(name, _)| is_pod_level(name)) {
            requests.0.insert(name.clone(), *amount);
        }
    }
    requests.add(&pod.spec.overhead);
    requests
}

/// Whether requests for the whole Pod are given.
pub fn has_pod_level_requests(pod: &Pod) -> bool {
    pod.spec.pod_requests.as_ref().is_some_and(|level| level.0.keys().any(|name| is_pod_level(name)))
}

fn aggregate(pod: &Pod, options: RequestOptions) -> ResourceList {
    let mut requests = ResourceList::default();
    for container in &pod.spec.containers {
        let status = options.use_status.then(|| find(&pod.status.containers, container)).flatten();
        requests.add(&container_requests(pod, container, status, options));
    }
    let mut sidecars = ResourceList::default();
    let mut largest = ResourceList::default();
    for container in &pod.spec.init_containers {
        let counts = options.use_status && container.sidecar;
        let status = counts.then(|| find(&pod.status.init_containers, container)).flatten();
        let mut own = container_requests(pod, container, status, options);
        if container.sidecar {
            requests.add(&own);
            sidecars.add(&own);
            largest.raise_to(&sidecars);
        } else {
            own.add(&sidecars);
            largest.raise_to(&own);
        }
    }
    requests.raise_to(&largest);
    requests
}

fn find<'a>(statuses: &'a [ContainerStatus], container: &Container) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|s| s.name == container.name)
}

fn container_requests(
    pod: &Pod,
    container: &Container,
    status: Option<&ContainerStatus>,
    options: RequestOptions,
) -> ResourceList {
    let mut requests = container.requests.clone();
    if let Some(resized) = status.and_then(|s| s.resized.as_ref())
        && let Some(actual) = &resized.actual_requests
    {
        if is_resize_infeasible(pod) {
            requests = ResourceList::default();
        }
        requests.raise_to(actual);
        if let Some(allocated) = &resized.allocated {
            requests.raise_to(allocated);
        }
    }
    let mut default = |wanted: bool, name: &'static str, amount: Quantity| {
        if wanted && !requests.0.contains_key(name) {
            requests.0.insert(name.into(), amount);
        }
    };
    default(options.default_cpu, CPU, Quantity::from_milli(DEFAULT_MILLI_CPU_REQUEST));
    default(options.default_memory, MEMORY, Quantity::from_bytes(DEFAULT_MEMORY_REQUEST));
    requests
}

/// Whether the kubelet has refused the resize that the spec asks for.
fn is_resize_infeasible(pod: &Pod) -> bool {
    condition::find(&pod.status.conditions, "PodResizePending").is_some_and(|c| c.reason == "Infeasible")
}

/// What a Pod takes on a node: really, and for scoring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodResources {
    /// What it requests.
    pub requests: Resources,
    /// CPU in thousandths with defaults for containers that name none.
    pub non_zero_milli_cpu: i64,
    /// Memory in bytes with defaults for containers that name none.
    pub non_zero_memory: i64,
    /// What it requests before it has a node: what running containers hold does not count.
    pub incoming: Resources,
    /// What it requests, by name.
    pub list: ResourceList,
    /// What NodeResourcesFit scores: defaults for containers that name none, no pod-level resources.
    pub score_list: ResourceList,
}

impl PodResources {
    /// Upstream: `PodInfo.CalculateResource` and `getNonMissingContainerRequests`.
    pub fn of(pod: &Pod) -> Self {
        let options = RequestOptions { use_status: true, ..RequestOptions::default() };
        let requests = pod_requests(pod, options);
        let level = has_pod_level_requests(pod);
        let default_cpu = !level || requests.get(CPU).is_none();
        let default_memory = !level || requests.get(MEMORY).is_none();
        let scored = pod_requests(pod, RequestOptions { default_cpu, default_memory, ..options });
        let fit = RequestOptions {
            skip_pod_level: true,
            default_cpu: true,
            default_memory: true,
            ..RequestOptions::default()
        };
        let incoming = Resources::from_list(&pod_requests(pod, RequestOptions::default()));
        Self {
            requests: Resources::from_list(&requests),
            non_zero_milli_cpu: scored.cpu_milli(),
            non_zero_memory: scored.memory(),
            incoming,
            list: requests,
            score_list: pod_requests(pod, fit),
        }
    }
}
