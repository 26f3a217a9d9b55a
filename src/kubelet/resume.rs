//! What an agent does when something is due, was changed, or was missed.

use super::exit::mark_ended;
use super::pod::{Backoff, Run, Stage};
use super::resize::resizes;
use super::worker::Worker;
use super::{ContainerStep, PodStep, ProbeKind};
use crate::api::pod::Terminated;
use crate::api::{Pod, PodSpec};
use crate::base::{Arc, SimDuration, Str, text::lit};
use crate::store::DeleteOptions;

impl Worker<'_, '_> {
    /// A timer of the Pod is due.
    pub fn due(&mut self, step: PodStep) {
        if !self.machine.acts() {
            // What was due is made good when the kubelet starts again.
            return;
        }
        match (step, self.pod.stage) {
            (PodStep::Mount, _) => self.mount(),
            (PodStep::Mounted, Stage::Volumes) => self.mounted(),
            (PodStep::Start, Stage::Sandbox) => self.sandbox_made(),
            (PodStep::End, Stage::Terminating { .. }) => self.all_ended(),
            (PodStep::Deadline, _) => self.deadline(),
            (PodStep::Resized, _) => self.resized(),
            (PodStep::Mounted | PodStep::Start | PodStep::End, _) => {}
        }
    }

    /// A timer of a container is due.
    pub fn container_due(&mut self, index: usize, step: ContainerStep) {
        match step {
            ContainerStep::Exit => self.exits(index),
            ContainerStep::OutOfMemory => self.out_of_memory(index),
            ContainerStep::Recover => self.recover(index),
            ContainerStep::Hang(duration) => {
                self.hang(index, duration);
            }
            ContainerStep::ProbeFails(kind, fails) => self.probe_fails(index, kind, fails),
            ContainerStep::PreStopFailed => {
                self.warning(lit!("FailedPreStopHook"), "PreStopHook failed");
            }
            ContainerStep::Probe(ProbeKind::Readiness) if self.machine.acts() => {
                self.probe_due(index, ProbeKind::Readiness);
            }
            _ if !self.machine.acts() || self.pod.is_over() => {}
            ContainerStep::Pulled => {
                self.pulled(index);
                self.pod.busy = None;
                self.advance();
            }
            ContainerStep::Hooked => self.hooked(index),
            ContainerStep::Retry => self.retry(index),
            ContainerStep::Restart => self.start_anew(index),
            ContainerStep::Ready => self.ready_by_latency(index),
            ContainerStep::Probe(kind) => self.probe_due(index, kind),
        }
    }

    /// The Pod's object was written by somebody.
    pub fn changed(&mut self, revision: u64, new: &Arc<Pod>) {
        if revision == self.pod.reported {
            return;
        }
        if new.spec.fingerprint != self.pod.spec.fingerprint {
            self.respec(new);
        }
        if !self.machine.hears() {
            return;
        }
        match new.meta.deletion {
            Some(_) if self.pod.mirror => {
                // The mirror goes at once; the static Pod does not.
                let _ = self.ctx.store.delete::<Pod>(&self.pod.key, &DeleteOptions::force());
            }
            Some(deletion) => {
                self.terminate(SimDuration::from_api_secs(deletion.grace_seconds.unwrap_or(0)));
            }
            None if new.is_terminal() && !self.pod.is_over() => {
                // Somebody has ended it: its containers are stopped.
                self.terminate(SimDuration::from_api_secs(self.pod.spec.termination_grace_seconds));
            }
            None if !self.pod.spec.readiness_gates.is_empty() => self.report(),
            None => {}
        }
    }

    /// The desired state has changed in place: a container whose image is another starts again.
    fn respec(&mut self, new: &Arc<Pod>) {
        self.pod.labels = new.meta.labels.clone();
        if resizes(&self.pod.spec, &new.spec) && !self.pod.is_over() && self.machine.hears() {
            self.resize(&new.spec);
            return;
        }
        let old = std::mem::replace(&mut self.pod.spec, new.spec.clone());
        let images = |spec: &PodSpec| -> Vec<Str> {
            spec.init_containers.iter().chain(&spec.containers).map(|c| c.image.clone()).collect()
        };
        let (before, after) = (images(&old), images(&self.pod.spec));
        if before.len() != after.len() || self.pod.is_over() || !self.machine.acts() {
            return;
        }
        for index in (0..before.len()).filter(|index| before[*index] != after[*index]) {
            let life = &mut self.pod.containers[index];
            life.backoff = Backoff::default();
            if life.is_running() {
                let message = format!(
                    "Container {} definition changed, will be restarted",
                    self.pod.container(index).name
                );
                self.restart(index, message);
            } else {
                self.try_at_once(index);
            }
        }
    }

    /// A container that was left alone is tried again at once, since what it is to be has changed.
    pub fn try_at_once(&mut self, index: usize) {
        let life = &mut self.pod.containers[index];
        life.backoff = Backoff::default();
        life.pull_backoff = Backoff::default();
        if std::mem::take(&mut life.held) {
            life.new_epoch();
            self.advance();
        }
    }

    /// The machine has lost power.
    pub fn lose_power(&mut self) {
        self.pod.new_epoch();
        for life in &mut self.pod.containers {
            life.new_epoch();
            life.hung = false;
            life.pull = None;
        }
        if self.pod.deleted {
            self.release();
            self.pod.gone = true;
        }
    }

    /// The first look after a time without agent or API server.
    pub fn resync(&mut self) {
        let live = self.ctx.store.get_id::<Pod>(self.pod.id).cloned();
        let Some(live) = live else {
            self.removed_meanwhile();
            return;
        };
        if self.machine.rebooted {
            self.containers_lost();
        }
        if live.spec.fingerprint != self.pod.spec.fingerprint {
            // What was changed meanwhile is seen now.
            self.respec(&live);
        }
        match (self.pod.stage, live.meta.deletion) {
            (Stage::Ended, _) => {
                self.report();
                self.bury();
            }
            (_, Some(_)) if self.pod.mirror => {
                let _ = self.ctx.store.delete::<Pod>(&self.pod.key, &DeleteOptions::force());
            }
            // What is being stopped with grace goes on so.
            (Stage::Terminating { ends }, _) if ends > self.now() => {
                self.pod.new_epoch();
                self.at(ends, PodStep::End);
            }
            // Those that were marked meanwhile end now: their time to end has passed.
            (_, Some(_)) => {
                self.pod.new_epoch();
                self.all_ended();
            }
            (Stage::Terminating { .. }, None) => self.all_ended(),
            (Stage::Admitting | Stage::Arrived, None) => self.proceed(),
            (Stage::Volumes, None) => self.mount(),
            (Stage::Sandbox, None) => self.make_sandbox(),
            (Stage::Live, None) => self.pick_up(),
        }
    }

    /// The object went while nobody looked: containers that nobody has begun to stop end now, as those of a Pod that was
    /// marked meanwhile do.
    fn removed_meanwhile(&mut self) {
        let being_stopped = matches!(self.pod.stage, Stage::Terminating { .. });
        self.object_gone();
        if !being_stopped && matches!(self.pod.stage, Stage::Terminating { .. }) {
            self.pod.new_epoch();
            self.all_ended();
        }
    }

    /// Goes on with containers that nobody looked after.
    fn pick_up(&mut self) {
        for index in 0..self.pod.containers.len() {
            let life = &mut self.pod.containers[index];
            if !life.is_running() {
                life.held = false;
                life.pull = None;
                life.new_epoch();
            } else {
                self.replan_probes(index);
            }
        }
        self.pod.busy = None;
        self.advance();
    }

    /// The machine has booted: what ran is gone, with its sandbox.
    fn containers_lost(&mut self) {
        if self.pod.is_over() {
            return;
        }
        let now = self.now();
        for index in 0..self.pod.containers.len() {
            if self.pod.containers[index].is_running() {
                let end = Terminated {
                    exit_code: 255,
                    reason: lit!("Unknown"),
                    message: Str::new(),
                    started_at: self.started_at(index, now),
                    finished_at: self.ctx.store.timestamp(),
                };
                mark_ended(self.pod, index, now, end);
            }
            let regular_init = !self.pod.is_regular(index) && !self.pod.is_sidecar(index);
            let life = &mut self.pod.containers[index];
            life.held = false;
            life.backoff = Backoff::default();
            life.pull_error = Str::new();
            if regular_init && let Run::Exited(end) = &life.run {
                life.last = Some(end.clone());
                life.run = Run::initializing();
            }
        }
        self.pod.busy = None;
        if self.pod.stage == Stage::Live && !self.ends_with_the_machine() {
            self.machine.free_address(&self.pod.ip);
            self.pod.ip = Str::new();
            self.pod.sandbox = false;
            self.pod.initialized = false;
            self.pod.stage = Stage::Arrived;
        }
    }

    /// Whether none of the containers starts again.
    fn ends_with_the_machine(&self) -> bool {
        (self.pod.init_count()..self.pod.containers.len()).all(|index| {
            let end = self.pod.containers[index].exited();
            end.is_some_and(|end| !self.will_restart(index, end.exit_code))
        })
    }
}
