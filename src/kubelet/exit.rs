//! The end of a container, by itself or by force.

use std::sync::Arc;

use super::pod::{LocalPod, Run};
use super::worker::Worker;
use super::{ContainerStep, ProbeKind, habits};
use crate::api::pod::Terminated;
use crate::base::{SimDuration, SimTime, Str, text::lit};

impl Worker<'_, '_> {
    /// A container ends: by itself, or because it was killed.
    pub fn exits(&mut self, index: usize) {
        let code = match self.pod.containers[index].doom {
            Some(doom) => doom.code,
            None => self.own_exit_code(index),
        };
        self.ended(index, code, reason_of(code));
    }

    /// With what code a container ends by itself: of those of one controller the first few may fail.
    fn own_exit_code(&mut self, index: usize) -> i32 {
        let Some(completion) = habits::of(&self.ctx.params, self.pod, index).completes else { return 0 };
        let Some(first) = completion.fail_first else { return completion.exit_code };
        let owner = self.pod.controller.clone().unwrap_or_else(|| self.pod.uid.clone());
        let ends = self.common.ends.or_insert_with(owner, || 0);
        *ends += 1;
        if *ends <= first { completion.exit_code } else { 0 }
    }

    /// A container has ended; what comes next.
    pub fn ended(&mut self, index: usize, code: i32, reason: Str) {
        let (now, at) = (self.now(), self.ctx.store.timestamp());
        let started_at = self.started_at(index, now);
        let message = Str::new();
        self.machine.pressure.stale |= self.pod.containers[index].uses_something();
        mark_ended(
            self.pod,
            index,
            now,
            Terminated { exit_code: code, reason, message, started_at, finished_at: at },
        );
        if self.machine.acts() {
            self.advance();
        } else {
            self.pod.dirty = true;
        }
    }

    /// When a container started; the present if it never did.
    pub fn started_at(&self, index: usize, now: SimTime) -> crate::base::Timestamp {
        let since = match self.pod.containers[index].run {
            Run::Running { since, .. } => since,
            Run::Waiting { .. } | Run::Exited(_) => now,
        };
        self.ctx.store.calendar().timestamp(since)
    }

    /// A probe has found that a container must be restarted.
    ///
    /// Upstream: `computePodActions`, `killContainer`.
    pub fn kill(&mut self, index: usize, kind: ProbeKind) {
        let container = self.pod.container(index);
        let (word, probe) = match kind {
            ProbeKind::Startup => ("startup", container.startup_probe),
            ProbeKind::Liveness | ProbeKind::Readiness => ("liveness", container.liveness_probe),
        };
        let tail = if self.will_restart(index, 137) { ", will be restarted" } else { "" };
        let message = format!("Container {} failed {word} probe{tail}", container.name);
        let grace = probe
            .and_then(|p| p.termination_grace_seconds)
            .unwrap_or(self.pod.spec.termination_grace_seconds);
        self.normal(lit!("Killing"), message);
        let now = self.now();
        let doom = self.stop(index, now, SimDuration::from_api_secs(grace));
        // Its own end, if it has one, no longer counts.
        self.pod.containers[index].new_epoch();
        self.container_at(index, doom.at, ContainerStep::Exit);
        self.pause_probes(index);
    }

    /// A container ends at once, whatever the kubelet wants.
    pub fn crash(&mut self, index: usize, code: i32, reason: &Str) -> bool {
        if !self.machine.power || !self.pod.containers[index].is_running() {
            return false;
        }
        self.ended(index, code, reason.clone());
        true
    }
}

/// Notes that a container has ended.
pub fn mark_ended(pod: &mut LocalPod, index: usize, now: SimTime, end: Terminated) {
    if pod.busy == u16::try_from(index).ok() {
        pod.busy = None;
    }
    let life = &mut pod.containers[index];
    life.run = Run::Exited(Arc::new(end));
    life.ended = now;
    life.ready = false;
    life.started = false;
    life.hung = false;
    life.held = false;
    life.doom = None;
    life.probes = None;
    life.over_limit = None;
    life.new_epoch();
}

/// The runtime's word for an exit code.
pub fn reason_of(code: i32) -> Str {
    if code == 0 { lit!("Completed") } else { lit!("Error") }
}
