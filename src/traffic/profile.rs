//! What a Pod is to the requests it bears: its costs, its weight on the node, its limit.

use super::share::{Claim, WEIGHT_MIN};
use crate::api::{Container, Pod};
use crate::base::{Arc, LookupMap, Str};
use crate::params::Behaviour;
use crate::store::{ObjId, Store};

/// What a Pod is to the requests it bears. CPU is in millicores.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its node.
    pub node: Str,
    /// CPU without any request.
    pub idle: f64,
    /// Millicore-seconds of a request.
    pub cost: f64,
    /// Seconds that a request waits for the outside.
    pub latency: f64,
    /// CPU request: its weight when the node runs short.
    pub weight: f64,
    /// CPU limit; infinite if a container has none.
    pub limit: f64,
}

impl Profile {
    /// Of a bound Pod, by what the scenario says its containers do.
    pub fn of(pod: &Pod, behaviours: &[Behaviour]) -> Self {
        let mut profile = Self {
            node: pod.node_name.clone().unwrap_or_default(),
            idle: 0.0,
            cost: 0.0,
            latency: 0.0,
            weight: 0.0,
            limit: 0.0,
        };
        for container in &pod.spec.containers {
            let meant = |b: &&Behaviour| {
                b.matches.covers(
                    (&pod.meta.namespace, &pod.meta.name),
                    &pod.meta.labels,
                    &container.name,
                    &container.image,
                )
            };
            if let Some(cpu) = behaviours.iter().filter(meant).find_map(|b| b.cpu) {
                profile.idle += cpu.idle as f64;
                profile.cost += cpu.per_request as f64;
            }
            if let Some(latency) = behaviours.iter().filter(meant).find_map(|b| b.latency) {
                profile.latency += latency.as_secs_f64();
            }
        }
        let sidecars = pod.spec.init_containers.iter().filter(|c| c.sidecar);
        for container in pod.spec.containers.iter().chain(sidecars) {
            profile.weight += container.requests.cpu_milli() as f64;
            profile.limit += limit(container);
        }
        profile.weight = profile.weight.max(WEIGHT_MIN);
        profile
    }
}

/// The CPU limit of a container; infinite if it has none.
fn limit(container: &Container) -> f64 {
    match container.limits.cpu_milli() {
        0 => f64::INFINITY,
        milli => milli as f64,
    }
}

/// Profiles of Pods, worked out once.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    known: LookupMap<ObjId, Arc<Profile>>,
}

impl Profiles {
    /// The profile of a Pod; none if it is gone or has no node.
    pub fn get(&mut self, id: ObjId, store: &Store, behaviours: &[Behaviour]) -> Option<Arc<Profile>> {
        if let Some(known) = self.known.get(&id) {
            return Some(Arc::clone(known));
        }
        let pod = store.get_id::<Pod>(id).filter(|pod| pod.node_name.is_some())?;
        let profile = Arc::new(Profile::of(pod, behaviours));
        self.known.insert(id, Arc::clone(&profile));
        Some(profile)
    }

    /// A Pod is gone or has changed.
    pub fn forget(&mut self, id: ObjId) {
        self.known.remove(&id);
    }
}

/// The CPU that Pods use of a node which bear no requests.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// Millicores that the node has for Pods.
    pub capacity: f64,
    /// What each wants, bounded by its limit.
    pub claims: Vec<(ObjId, Claim)>,
    /// All of it together.
    pub wanted: f64,
}

impl Neighbours {
    /// Those of a node, leaving out the Pods that `bears` says bear requests. `load` is CPU set from outside.
    pub fn of(
        node: &str,
        store: &Store,
        bears: impl Fn(ObjId) -> bool,
        mut profile: impl FnMut(ObjId) -> Option<Arc<Profile>>,
        load: impl Fn(ObjId, &Pod) -> i64,
    ) -> Self {
        let capacity =
            store.find::<crate::api::Node>("", node).map_or(0.0, |n| n.status.allocatable.cpu_milli() as f64);
        let mut neighbours = Self { capacity, ..Self::default() };
        for pod in store.pods_on(node).filter(|pod| !pod.is_terminal()) {
            let Some(id) = store.id_of::<Pod>(&pod.meta.key()) else { continue };
            if bears(id) {
                continue;
            }
            let Some(profile) = profile(id) else { continue };
            let wants = (profile.idle + load(id, pod) as f64).min(profile.limit);
            if wants > 0.0 {
                neighbours.wanted += wants;
                neighbours.claims.push((id, Claim { weight: profile.weight, wants }));
            }
        }
        neighbours
    }
}
