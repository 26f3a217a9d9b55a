//! The end of a container, by itself or by force.

use super::pod::{LocalPod, Run, Stage};
use super::worker::Worker;
use super::{ContainerStep, ProbeKind, habits};
use crate::api::pod::Terminated;
use crate::base::{Arc, SimDuration, SimTime, Str, text::lit};

impl Worker<'_, '_> {
    /// A container ends: by itself, or because it was killed.
    pub fn exits(&mut self, index: usize) {
        let code = match &self.pod.containers[index].doom {
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
        let life = &self.pod.containers[index];
        let (stopped, hook_failed) = (life.doom.is_some(), life.hook_failed);
        let started_at = self.started_at(index, now);
        let message = Str::new();
        self.machine.stale |= self.pod.containers[index].uses_something();
        mark_ended(
            self.pod,
            index,
            now,
            Terminated { exit_code: code, reason, message, started_at, finished_at: at },
        );
        if !self.machine.acts() {
            self.pod.dirty = true;
            return;
        }
        if self.will_restart(index, code) && self.pod.stage == Stage::Live && self.pod.busy.is_none() {
            if hook_failed {
                self.hook_has_failed(index);
            }
            // The sync that stopped a container starts it again, and says nothing in between.
            self.pod.containers[index].killed = stopped && !hook_failed;
            if !self.pod.containers[index].killed {
                self.report();
            }
        }
        self.advance();
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
        // Its own end, if it has one, no longer counts.
        let doom = self.stop(index, now, SimDuration::from_api_secs(grace));
        self.container_at(index, doom.at, ContainerStep::Exit);
        self.pause_probes(index);
    }

    /// A container's `postStart` hook has ended; if it failed, the container is killed for it.
    ///
    /// Upstream: `startContainer`.
    pub fn hooked(&mut self, index: usize) {
        if habits::of(&self.ctx.params, self.pod, index).post_start_fails {
            self.warning(lit!("FailedPostStartHook"), "PostStartHook failed");
            self.pod.containers[index].hook_failed = true;
            self.restart(index, "FailedPostStartHook".to_owned());
        } else {
            self.pod.busy = None;
            self.advance();
        }
    }

    /// A container that was killed for its hook waits with that for a reason.
    fn hook_has_failed(&mut self, index: usize) {
        let message = self.hook_error(index).unwrap_or_default().into();
        // The sync that says so is the one that the runtime's events make follow.
        self.pod.fresh = false;
        let life = &mut self.pod.containers[index];
        life.last = life.exited().cloned();
        life.run = Run::Waiting { reason: lit!("PostStartHookError"), message };
    }

    /// Upstream: `pkg/kubelet/lifecycle/handlers.go` `Run`.
    fn hook_error(&self, index: usize) -> Option<String> {
        let hook = self.pod.raw_container(index)?.lifecycle.as_ref()?.post_start.as_ref()?;
        let whose = format!(
            "for Container \"{}\" in Pod \"{}\"",
            self.pod.container(index).name,
            self.pod.long_name()
        );
        if let Some(get) = &hook.http_get {
            let path = get.path.as_deref().unwrap_or_default();
            return Some(format!("HTTP lifecycle hook ({path}) {whose} failed - error: EOF"));
        }
        let words = hook.exec.as_ref()?.command.as_ref()?.join(" ");
        Some(format!(
            "Exec lifecycle hook ([{words}]) {whose} failed - error: command '{words}' exited with 1: , message: \"\""
        ))
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
    life.prior = (life.starts > 1).then_some(life.ended);
    life.ended = now;
    life.ready = false;
    life.started = false;
    life.hung = false;
    life.held = false;
    life.killed = false;
    life.hook_failed = false;
    life.failure = None;
    life.doom = None;
    life.probes = None;
    life.over_limit = None;
    life.new_epoch();
}

/// The runtime's word for an exit code.
pub fn reason_of(code: i32) -> Str {
    if code == 0 { lit!("Completed") } else { lit!("Error") }
}
