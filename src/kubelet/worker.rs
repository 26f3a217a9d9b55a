//! The steps of one Pod: what comes next, and when all is over.
//!
//! Upstream: `pkg/kubelet/kubelet.go` `SyncPod`, `pkg/kubelet/kuberuntime/{kuberuntime_manager,kuberuntime_container}.go`,
//! v1.34.

use super::machine::Machine;
use super::pod::{LocalPod, Run, Stage};
use super::recipe::Recipe;
use super::say::Sentence;
use super::start::Tried;
use super::volumes::Wait;
use super::{ContainerStep, Ctx, KubeletEvent, PodStep, status};
use crate::api::pod::RestartPolicy;
use crate::api::{Pod, PodSpec};
use crate::base::{Arc, LookupMap, SimDuration, SimTime, Str, text::lit};
use crate::params::Delay;
use crate::store::{DeleteOptions, ObjId};

/// What all agents share: things worked out once, and who waits for what.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// What specs ask for, by fingerprint.
    recipes: LookupMap<u64, Arc<Recipe>>,
    /// Containers that have ended by themselves, by controller.
    pub ends: LookupMap<Str, u32>,
    /// Whether a volume is attached to a node: node and volume by name.
    pub attached: LookupMap<(Str, Str), bool>,
    /// Pods that wait for something in the store.
    pub waiting: LookupMap<Wait, Vec<ObjId>>,
    /// What has been said of containers.
    pub(super) sentences: LookupMap<(Sentence, Str), Str>,
}

impl Common {
    /// What a spec asks of a node.
    pub fn recipe(&mut self, spec: &PodSpec) -> Arc<Recipe> {
        self.recipes.or_insert_with(spec.fingerprint, || Arc::new(Recipe::of(spec))).clone()
    }
}

/// An agent at work on one of its Pods.
#[derive(Debug)]
pub struct Worker<'a, 'c> {
    /// The Pod.
    pub pod: &'a mut LocalPod,
    /// The node.
    pub machine: &'a mut Machine,
    /// What all agents share.
    pub common: &'a mut Common,
    /// The store, the parameters, the timers.
    pub ctx: &'a mut Ctx<'c>,
}

/// What init containers say to a start of others.
enum Gate {
    /// This one is next.
    Start(usize),
    /// One of them must come further first.
    Shut,
    /// They are done.
    Open,
}

impl Worker<'_, '_> {
    /// The present instant.
    pub fn now(&self) -> SimTime {
        self.ctx.store.now()
    }

    /// Asks for a timer of the Pod's present life.
    pub fn at(&mut self, time: SimTime, step: PodStep) {
        let event = KubeletEvent::Pod { pod: self.pod.id, epoch: self.pod.epoch, step };
        self.ctx.out.push((time, event));
    }

    /// Asks for a timer of a container's present life.
    pub fn container_at(&mut self, index: usize, time: SimTime, step: ContainerStep) {
        let epoch = self.pod.containers[index].epoch;
        let container = u16::try_from(index).unwrap_or(u16::MAX);
        self.ctx.out.push((time, KubeletEvent::Container { pod: self.pod.id, container, epoch, step }));
    }

    /// One case of a delay.
    pub fn sample(&self, delay: &Delay, purpose: &'static str) -> SimDuration {
        delay.draw(|| self.ctx.store.seed().stream(purpose, &self.pod.uid))
    }

    /// One case of a delay of a container, another for each of its starts.
    pub fn sample_container(&self, delay: &Delay, purpose: &'static str, index: usize) -> SimDuration {
        delay.draw(|| {
            let starts = self.pod.containers[index].starts.to_le_bytes();
            let name = self.pod.container(index).name.as_bytes();
            self.ctx.store.seed().stream_of(purpose, &[self.pod.uid.as_bytes(), name, &starts])
        })
    }

    /// The network is there, or is not needed: volumes, then the sandbox.
    pub fn proceed(&mut self) {
        if !self.machine.network && !self.pod.spec.host_network {
            self.pod.stage = Stage::Arrived;
            if self.speaks() {
                self.warning(
                    lit!("NetworkNotReady"),
                    format!("network is not ready: {}", super::machine::NETWORK_NOT_READY),
                );
            }
            return;
        }
        self.pod.stage = Stage::Volumes;
        self.mount();
    }

    /// Volumes are there: the sandbox is made.
    pub fn make_sandbox(&mut self) {
        self.pod.stage = Stage::Sandbox;
        if self.pod.containers.iter().any(|life| life.starts > 0) {
            let message = "Pod sandbox changed, it will be killed and re-created.";
            self.normal(lit!("SandboxChanged"), message);
        }
        let takes = self.sample(&self.ctx.params.latencies.container_start, "container-start");
        let at = self.now() + takes;
        self.at(at, PodStep::Start);
    }

    /// The sandbox is there.
    pub fn sandbox_made(&mut self) {
        self.pod.stage = Stage::Live;
        self.pod.sandbox = true;
        self.pod.fresh = true;
        if self.pod.ip.is_empty() {
            self.pod.ip = if self.pod.spec.host_network {
                self.machine.ip.clone()
            } else {
                self.machine.take_address()
            };
        }
        self.advance();
    }

    /// Starts what can start now, in order; then tells how things are.
    pub fn advance(&mut self) {
        if self.pod.stage != Stage::Live || !self.machine.acts() {
            return;
        }
        while self.pod.busy.is_none() {
            let Some(index) = self.next() else {
                self.settle();
                return;
            };
            match self.try_start(index) {
                Tried::Done => {}
                Tried::Blocked => self.pod.busy = u16::try_from(index).ok(),
            }
        }
    }

    /// The container that starts next, if one can.
    fn next(&mut self) -> Option<usize> {
        if self.init_failed() || self.regular_finished() {
            return None;
        }
        match self.gate() {
            Gate::Start(index) => Some(index),
            Gate::Shut => None,
            Gate::Open => {
                self.pod.initialized = true;
                (self.pod.init_count()..self.pod.containers.len()).find(|index| self.can_start(*index))
            }
        }
    }

    /// Upstream: `computeInitContainerActions`.
    fn gate(&self) -> Gate {
        for index in 0..self.pod.init_count() {
            let life = &self.pod.containers[index];
            let passed = if self.pod.is_sidecar(index) {
                life.is_running() && life.started
            } else {
                self.pod.initialized || life.exited().is_some_and(|end| end.exit_code == 0)
            };
            if passed {
                continue;
            }
            if !life.is_running() && self.can_start(index) {
                return Gate::Start(index);
            }
            if !self.pod.initialized {
                return Gate::Shut;
            }
        }
        Gate::Open
    }

    fn can_start(&self, index: usize) -> bool {
        let life = &self.pod.containers[index];
        !life.held
            && match &life.run {
                Run::Waiting { .. } => true,
                Run::Running { .. } => false,
                Run::Exited(end) => self.will_restart(index, end.exit_code),
            }
    }

    /// Whether a container that ended with this code starts again.
    pub fn will_restart(&self, index: usize, code: i32) -> bool {
        if self.pod.is_sidecar(index) {
            return true;
        }
        match self.pod.spec.restart_policy {
            RestartPolicy::Always => self.pod.is_regular(index) || code != 0,
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::Never => false,
        }
    }

    /// Whether an init container failed for good.
    pub fn init_failed(&self) -> bool {
        self.pod.spec.restart_policy == RestartPolicy::Never
            && (0..self.pod.init_count()).any(|index| {
                !self.pod.is_sidecar(index)
                    && self.pod.containers[index].exited().is_some_and(|end| end.exit_code != 0)
            })
    }

    /// Whether all regular containers have ended for good.
    fn regular_finished(&self) -> bool {
        (self.pod.init_count()..self.pod.containers.len()).all(|index| {
            let end = self.pod.containers[index].exited();
            end.is_some_and(|end| !self.will_restart(index, end.exit_code))
        })
    }

    /// Nothing more can start now: the Pod is over, or goes on as it is.
    pub fn settle(&mut self) {
        if self.sync_again() {
            self.advance();
            return;
        }
        if self.pod.stage != Stage::Live || !(self.init_failed() || self.regular_finished()) {
            self.report();
        } else if self.pod.containers.iter().any(|life| life.is_running()) {
            // Sidecars are stopped when what they stood beside has ended.
            let grace = SimDuration::from_api_secs(self.pod.spec.termination_grace_seconds);
            self.report();
            self.terminate(grace);
        } else {
            self.finish();
        }
    }

    /// All containers have ended: the last status, then the object if it is to go.
    pub fn finish(&mut self) {
        self.pod.stage = Stage::Ended;
        self.pod.new_epoch();
        self.pod.sandbox = false;
        self.pod.busy = None;
        self.release();
        self.report();
        self.bury();
    }

    /// What is over and reported can be forgotten; an object that is to go goes.
    pub fn bury(&mut self) {
        if self.pod.deleted {
            self.pod.gone = true;
        }
        if self.pod.gone || self.pod.dirty {
            return;
        }
        self.pod.gone = true;
        let Some(live) = self.ctx.store.get_id::<Pod>(self.pod.id) else { return };
        if live.meta.is_deleting() {
            // A finalizer may hold it; that is no longer the kubelet's business.
            let _ = self.ctx.store.delete::<Pod>(&self.pod.key, &DeleteOptions::force());
        }
    }

    /// Gives back what the Pod held of the node.
    pub fn release(&mut self) {
        self.unadmit();
        self.unmount();
        self.machine.stale |= self.pod.uses_something();
        let now = self.now();
        for index in 0..self.pod.containers.len() {
            self.machine.images.used(&self.pod.container(index).image, now);
        }
        if !self.pod.ip.is_empty() && !self.pod.spec.host_network {
            self.machine.free_address(&self.pod.ip);
        }
    }

    /// Writes the status, if it has changed and the API server can be reached.
    pub fn report(&mut self) {
        if self.pod.deleted {
            return;
        }
        if !self.machine.hears() {
            self.pod.dirty = true;
            return;
        }
        self.pod.dirty = false;
        let now = self.ctx.store.timestamp();
        let Some(live) = self.ctx.store.get_id::<Pod>(self.pod.id) else { return };
        if live.is_terminal() {
            // Somebody has ended it in the meantime; a terminal phase never reverts.
            return;
        }
        let calendar = self.ctx.store.calendar();
        let before = live.meta.resource_version;
        let new = status::of(self.pod, self.machine, &live.status, calendar, now);
        let written = self.ctx.store.set_pod_status(self.pod.id, new);
        // A status that was there already is no write: what others wrote last is still to be heard of.
        if let Some(pod) = written.filter(|pod| pod.meta.resource_version != before) {
            self.pod.reported = pod.meta.resource_version;
        }
    }
}
