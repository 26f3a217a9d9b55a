//! Resources of containers that are changed while they run.
//!
//! Upstream: `pkg/kubelet/allocation/allocation_manager.go`, `pkg/kubelet/kuberuntime/kuberuntime_manager.go`
//! `doPodResizeAction`, `pkg/kubelet/status/status_manager.go`, v1.34.
//!
//! # Fidelity
//!
//! * What was allocated is in force at once and shows as applied a second later, with the runtime's next relist. It
//!   never fails: a memory limit below what a container uses kills the container instead of being refused.
//! * Containers of Pods that were never resized show neither `allocatedResources` nor `resources` in their status.

use super::pod::{Backoff, Stage};
use super::recipe::Recipe;
use super::worker::Worker;
use super::{ContainerStep, Kubelets, PodStep};
use crate::api::pod::{QosClass, ResizedResources};
use crate::api::resources::{CPU, MEMORY};
use crate::api::{Container, Node, ObjectKey, PodSpec, ResourceList};
use crate::base::{Arc, Quantity, SimDuration, Str, text::lit};
use crate::store::ObjId;

/// From an allocation to the status that shows it as applied.
const RELIST: SimDuration = SimDuration::from_secs(1);

/// A resize of a Pod, under way or done.
#[derive(Clone, Debug)]
pub struct Resize {
    /// The spec that is wanted and has not been allocated.
    wanted: Option<Arc<PodSpec>>,
    /// Why not: `Deferred` or `Infeasible`, and a sentence.
    pub pending: Option<(Str, Str)>,
    /// Allocated, and not yet shown as applied.
    pub in_progress: bool,
    /// What the runtime has applied: requests and limits per container.
    applied: Vec<(ResourceList, ResourceList)>,
}

impl Resize {
    /// What the status of a container shows.
    pub fn shown(&self, index: usize, allocated: &Container) -> Arc<ResizedResources> {
        let (requests, limits) = self.applied.get(index).cloned().unzip();
        Arc::new(ResizedResources {
            allocated: Some(allocated.requests.clone()),
            actual_requests: requests,
            actual_limits: limits.filter(|limits| !limits.0.is_empty()),
        })
    }
}

/// Whether a new spec changes resources of containers.
pub fn resizes(old: &PodSpec, new: &PodSpec) -> bool {
    let resources = |spec: &PodSpec| -> Vec<(ResourceList, ResourceList)> {
        let all = spec.init_containers.iter().chain(&spec.containers);
        all.map(|c| (c.requests.clone(), c.limits.clone())).collect()
    };
    resources(old) != resources(new)
}

impl Worker<'_, '_> {
    fn resources_of_all(&self) -> Vec<(ResourceList, ResourceList)> {
        let all = (0..self.pod.containers.len()).map(|index| self.pod.container(index));
        all.map(|c| (c.requests.clone(), c.limits.clone())).collect()
    }

    /// Other resources are wanted: they are allocated if the node has room, else the Pod goes on as it is.
    pub fn resize(&mut self, wanted: &Arc<PodSpec>) {
        let recipe = self.common.recipe(wanted);
        let refusal = self.refuses_resize(&recipe);
        let applied = self.resources_of_all();
        let resize = self.pod.resize.get_or_insert_with(|| {
            Box::new(Resize { wanted: None, pending: None, in_progress: false, applied })
        });
        resize.pending.clone_from(&refusal);
        match refusal {
            None => {
                resize.wanted = None;
                self.allocate(wanted, recipe);
            }
            Some((reason, _)) => {
                resize.wanted = Some(wanted.clone());
                let (id, deferred) = (self.pod.id, &mut self.machine.deferred);
                deferred.retain(|waiting| *waiting != id);
                if reason == "Deferred" {
                    deferred.push(id);
                }
            }
        }
        self.report();
    }

    /// Why the node cannot give what is wanted.
    fn refuses_resize(&self, recipe: &Recipe) -> Option<(Str, Str)> {
        let node = self.ctx.store.get::<Node>(&ObjectKey::cluster(&self.machine.name))?;
        let number = |name: &str, q: Quantity| if name == CPU { q.milli_value() } else { q.value() };
        let amount = |list: &ResourceList, name: &str| list.get(name).map_or(0, |q| number(name, q));
        let (old, new, room) = (&self.pod.recipe.requests, &recipe.requests, &node.status.allocatable);
        for name in [MEMORY, CPU] {
            let (asked, capacity) = (amount(new, name), amount(room, name));
            if asked > capacity {
                let message = format!(
                    "Node didn't have enough capacity: {name}, requested: {asked}, capacity: {capacity}"
                );
                return Some((lit!("Infeasible"), message.into()));
            }
        }
        let own = |name: &str| if self.pod.admitted { amount(old, name) } else { 0 };
        [CPU, MEMORY].into_iter().find_map(|name| {
            let (asked, capacity) = (amount(new, name), amount(room, name));
            let used = number(name, self.machine.used.of(name)) - own(name);
            (asked > 0 && asked + used > capacity).then(|| {
                let message = format!(
                    "Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {capacity}"
                );
                (lit!("Deferred"), message.into())
            })
        })
    }

    fn allocate(&mut self, wanted: &Arc<PodSpec>, recipe: Arc<Recipe>) {
        let old = std::mem::replace(&mut self.pod.spec, wanted.clone());
        let before = std::mem::replace(&mut self.pod.recipe, recipe);
        if self.pod.admitted {
            self.machine.used.take_back(&before.requests);
            self.machine.used.add(&self.pod.recipe.requests);
            self.machine.freed = true;
        }
        let all = || old.init_containers.iter().chain(&old.containers);
        let changed: Vec<(usize, bool)> = all()
            .enumerate()
            .filter_map(|(index, before)| {
                let now = self.pod.container(index);
                let differs = |name: &str| {
                    before.requests.get(name) != now.requests.get(name)
                        || before.limits.get(name) != now.limits.get(name)
                };
                let restarts =
                    [CPU, MEMORY].iter().any(|name| differs(name) && self.restarts_for(index, name));
                (differs(CPU) || differs(MEMORY)).then_some((index, restarts))
            })
            .collect();
        for (index, restarts) in changed {
            if !self.pod.containers[index].is_running() {
                // The key of its back-off contains the resources.
                self.try_at_once(index);
                continue;
            }
            self.pod.containers[index].backoff = Backoff::default();
            if restarts {
                let message = format!("Container {} resize requires restart", self.pod.container(index).name);
                self.restart(index, message);
            } else {
                self.plan_kill(index);
            }
        }
        if let Some(resize) = &mut self.pod.resize {
            resize.in_progress = true;
        }
        let at = self.now() + RELIST;
        self.at(at, PodStep::Resized);
    }

    /// Whether a container starts anew when this resource of it changes.
    fn restarts_for(&self, index: usize, resource: &str) -> bool {
        self.pod.raw_container(index).is_some_and(|c| {
            let policies = c.resize_policy.iter().flatten();
            policies
                .into_iter()
                .any(|p| p.resource_name == resource && p.restart_policy == "RestartContainer")
        })
    }

    /// A container is stopped, to start again.
    pub fn restart(&mut self, index: usize, message: String) {
        self.normal(lit!("Killing"), message);
        let (now, grace) = (self.now(), self.pod.spec.termination_grace_seconds);
        let doom = self.stop(index, now, SimDuration::from_api_secs(grace));
        self.container_at(index, doom.at, ContainerStep::Exit);
    }

    /// What was allocated shows as applied.
    pub fn resized(&mut self) {
        let applied = self.resources_of_all();
        let Some(resize) = self.pod.resize.as_mut().filter(|resize| resize.in_progress) else { return };
        resize.in_progress = false;
        resize.applied = applied;
        let message = self.completed();
        self.normal(lit!("ResizeCompleted"), message);
        self.report();
    }

    /// Upstream: `podResizeCompletionMsg`.
    fn completed(&self) -> String {
        let raw = &self.pod.spec.raw;
        let list = |containers: &[crate::api::k8s::core::v1::Container]| -> Vec<serde_json::Value> {
            let one = |c: &crate::api::k8s::core::v1::Container| {
                let resources = c.resources.as_ref().map(|r| serde_json::json!(r));
                serde_json::json!({ "name": c.name, "resources": resources.unwrap_or_else(|| serde_json::json!({})) })
            };
            containers.iter().map(one).collect()
        };
        let mut parts = Vec::new();
        for (name, containers) in [
            ("initContainers", raw.init_containers.as_deref().unwrap_or_default()),
            ("containers", raw.containers.as_slice()),
        ] {
            if !containers.is_empty() {
                parts.push(format!("\"{name}\":{}", serde_json::Value::from(list(containers))));
            }
        }
        format!("Pod resize completed: {{{}}}", parts.join(","))
    }
}

impl Kubelets {
    /// Room has become free on a node: resizes that wait for it are tried again, the most important first.
    ///
    /// Upstream: `sortPendingResizes`.
    pub(super) fn retry_resizes(&mut self, number: u32, ctx: &mut super::Ctx<'_>) {
        let machine = &mut self.machines[number as usize];
        machine.freed = false;
        let mut waiting: Vec<ObjId> = machine.deferred.clone();
        let rank = |id: &ObjId| {
            let spec = self.pods.get(id).map(|pod| pod.spec.clone());
            let class = |spec: &PodSpec| match spec.qos {
                QosClass::Guaranteed => 0,
                QosClass::Burstable => 1,
                QosClass::BestEffort => 2,
            };
            spec.map(|spec| (std::cmp::Reverse(spec.priority), class(&spec)))
        };
        waiting.sort_by_key(rank);
        for id in waiting {
            self.work(id, ctx, |worker| {
                let wanted = worker.pod.resize.as_ref().and_then(|resize| resize.wanted.clone());
                if let Some(wanted) =
                    wanted.filter(|_| worker.pod.stage != Stage::Ended && worker.machine.hears())
                {
                    worker.resize(&wanted);
                }
            });
        }
        let gone = |id: &ObjId| self.pods.get(id).is_none_or(|pod| pod.is_over());
        let gone: Vec<ObjId> =
            self.machines[number as usize].deferred.iter().filter(|id| gone(id)).copied().collect();
        self.machines[number as usize].deferred.retain(|id| !gone.contains(id));
    }
}
