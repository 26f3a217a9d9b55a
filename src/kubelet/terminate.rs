//! The end of a Pod: its containers are stopped, with grace.
//!
//! Upstream: `pkg/kubelet/kuberuntime/kuberuntime_container.go` `killContainer`,
//! `kuberuntime_termination_order.go`, `pkg/kubelet/kubelet.go` `SyncTerminatingPod`, v1.34.
//!
//! # Fidelity
//!
//! A runtime ends what it is told to: `FailedKillPod` and `ExceededGracePeriod` are never said, and no eviction is given up
//! after 1.5 times its grace.

use super::exit::{mark_ended, reason_of};
use super::habits;
use super::pod::{Doom, Run, Stage};
use super::worker::Worker;
use super::{ContainerStep, PodStep};
use crate::api::pod::Terminated;
use crate::base::{SimDuration, SimTime, Str, text::lit};

/// What the runtime gives a container in any case. Upstream: `minimumGracePeriodInSeconds`.
const GRACE_MIN: SimDuration = SimDuration::from_secs(2);
/// From the end of the last container to the status that tells of it: the runtime's event, the status manager, the call.
pub const REPORT: SimDuration = SimDuration::from_millis(10);
/// The exit code of a process that was killed.
const KILLED: i32 = 137;

impl Worker<'_, '_> {
    /// The Pod's containers are stopped. One timer stands for all of their ends: nobody sees those between.
    pub fn terminate(&mut self, grace: SimDuration) {
        match self.pod.stage {
            Stage::Ended => return,
            Stage::Terminating { ends } => {
                self.hurry(ends, grace);
                return;
            }
            Stage::Admitting | Stage::Arrived | Stage::Volumes | Stage::Sandbox | Stage::Live => {}
        }
        let now = self.now();
        self.pod.new_epoch();
        self.pod.busy = None;
        let running: Vec<usize> =
            (0..self.pod.containers.len()).filter(|i| self.pod.containers[*i].is_running()).collect();
        let none = running.is_empty();
        let (sidecars, others): (Vec<usize>, Vec<usize>) =
            running.into_iter().partition(|index| self.pod.is_sidecar(*index));
        let mut ends = now;
        for index in others {
            ends = ends.max(self.stop_for_good(index, now, grace));
        }
        // Upstream: each sidecar goes after all that were started later.
        for index in sidecars.into_iter().rev() {
            let left = grace.saturating_sub(ends - now).max(GRACE_MIN);
            ends = self.stop_for_good(index, ends, left);
        }
        if none {
            let takes = self.sample(&self.ctx.params.latencies.pod_termination, "pod-termination");
            ends = now + takes.min(grace);
        }
        self.pod.stage = Stage::Terminating { ends };
        self.at(ends + REPORT, PodStep::End);
    }

    fn stop_for_good(&mut self, index: usize, begins: SimTime, grace: SimDuration) -> SimTime {
        if self.speaks() {
            let name = &self.pod.container(index).name;
            let message = format!("Stopping container {name}");
            self.normal(lit!("Killing"), message);
        }
        let hook = self.pod.recipe.pre_stop[index].unwrap_or_default().min(grace);
        if self.pod.is_regular(index) {
            let signal = begins + hook;
            self.pod.sigterm = Some(self.pod.sigterm.map_or(signal, |at| at.min(signal)));
        }
        self.stop(index, begins, grace).at
    }

    /// Stops a container from `begins` on: its hook, SIGTERM, at last SIGKILL. What else was due for it is forgotten.
    pub fn stop(&mut self, index: usize, begins: SimTime, grace: SimDuration) -> Doom {
        let own = self.pod.recipe.pre_stop[index].unwrap_or_default();
        let hook = own.min(grace);
        let rest = grace.saturating_sub(hook);
        let patience = rest.max(GRACE_MIN);
        let habits = habits::of(&self.ctx.params, self.pod, index);
        let obeys = habits.shutdown_exit_code.unwrap_or(0);
        let (takes, code) = if self.pod.containers[index].hung {
            (patience, KILLED)
        } else if let Some(shutdown) = habits.shutdown {
            let takes = self.sample_container(&shutdown, "shutdown", index);
            if takes <= patience { (takes, obeys) } else { (patience, KILLED) }
        } else {
            let usual = self.ctx.params.latencies.pod_termination;
            (self.sample_container(&usual, "pod-termination", index).min(rest), obeys)
        };
        let signal = begins + hook;
        let doom = Doom { code, at: signal + takes, signal };
        self.pod.containers[index].doom = Some(Box::new(doom));
        self.pod.containers[index].new_epoch();
        // A hook that takes too long dies with its container.
        let overruns = own > hook;
        if self.pod.recipe.pre_stop[index].is_some()
            && !grace.is_zero()
            && (habits.pre_stop_fails || overruns)
        {
            let at = if overruns { doom.at.min(begins + own) } else { signal };
            self.container_at(index, at, ContainerStep::PreStopFailed);
        }
        self.readiness_goes_on(index);
        doom
    }

    /// A shorter grace period for what is being stopped already.
    fn hurry(&mut self, ends: SimTime, grace: SimDuration) {
        let limit = self.now() + grace.max(GRACE_MIN);
        if limit >= ends {
            return;
        }
        for life in &mut self.pod.containers {
            if let Some(doom) = life.doom.as_mut().filter(|doom| doom.at > limit) {
                **doom = Doom { code: KILLED, at: limit, signal: doom.signal };
            }
        }
        self.pod.new_epoch();
        self.pod.stage = Stage::Terminating { ends: limit };
        self.at(limit + REPORT, PodStep::End);
    }

    /// All containers have ended.
    pub fn all_ended(&mut self) {
        let now = self.now();
        for index in 0..self.pod.containers.len() {
            let life = &self.pod.containers[index];
            let end = match (&life.run, &life.last) {
                (Run::Running { .. }, _) => {
                    let by_itself = Doom { code: 0, at: now, signal: now };
                    let doom = life.doom.as_deref().copied().unwrap_or(by_itself);
                    (doom.code, doom.at.min(now))
                }
                (Run::Waiting { .. }, Some(last)) => {
                    let last = last.clone();
                    self.pod.containers[index].run = Run::Exited(last);
                    continue;
                }
                (Run::Waiting { .. }, None) if self.pod.is_regular(index) => (0, now),
                (Run::Waiting { .. } | Run::Exited(_), _) => continue,
            };
            let (exit_code, at) = end;
            let end = Terminated {
                exit_code,
                reason: reason_of(exit_code),
                message: Str::new(),
                started_at: self.started_at(index, now),
                finished_at: self.ctx.store.calendar().timestamp(at),
            };
            mark_ended(self.pod, index, at, end);
        }
        self.finish();
    }

    /// The object is gone while containers may run: they are killed, nothing is reported.
    pub fn object_gone(&mut self) {
        self.pod.deleted = true;
        self.unadmit();
        if !self.machine.power || self.pod.stage == Stage::Ended {
            self.release();
            self.pod.gone = true;
            return;
        }
        if !self.machine.hears() {
            return;
        }
        if self.pod.containers.iter().any(|life| life.is_running()) {
            self.terminate(GRACE_MIN);
        } else {
            self.pod.stage = Stage::Ended;
            self.release();
            self.pod.gone = true;
        }
    }
}
