//! The start of a container: back-off, image, references, process, hook.
//!
//! Upstream: `pkg/kubelet/kuberuntime/{kuberuntime_manager,kuberuntime_container}.go`,
//! `pkg/kubelet/images/image_manager.go`, v1.34.

use std::sync::Arc;

use super::habits::Habits;
use super::pod::{PullNote, Run, retry_after};
use super::volumes::Wait;
use super::worker::Worker;
use super::{ContainerStep, ProbeKind, habits, images};
use crate::api::Inert;
use crate::api::pod::PullPolicy;
use crate::base::{SimDuration, SimTime, Str, text::lit};
use crate::params::Delay;
use crate::params::behaviour::{Outage, ProbeOutage};

/// Attempts without a ConfigMap or Secret after which only its change is a reason for another; upstream tries
/// on, but its recorder drops nearly all further Events.
const ATTEMPTS_MAX: u32 = 25;

/// What came of an attempt to start a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It started, or is left alone for now.
    Done,
    /// Everything waits for its image or its hook.
    Blocked,
}

impl Worker<'_, '_> {
    /// Tries to start a container.
    pub fn try_start(&mut self, index: usize) -> Tried {
        if self.backs_off(index) {
            return Tried::Done;
        }
        if !self.pod.containers[index].image_ready {
            match self.ensure_image(index) {
                Some(tried) => return tried,
                None => self.pod.containers[index].image_ready = true,
            }
        }
        if let Some((wait, why)) = self.missing_reference(index) {
            self.refuse(index, wait, why);
            return Tried::Done;
        }
        self.launch(index)
    }

    /// The first sync after one that failed at `failed` that lies at least `delay` later.
    fn next_sync(&self, index: usize, failed: SimTime, delay: SimDuration) -> SimTime {
        let every = self.ctx.params.latencies.sync_retry;
        if let Delay::Constant(every) = every {
            return retry_after(failed, delay, |_| every);
        }
        let (uid, at) = (self.pod.uid.as_bytes(), failed.as_nanos().to_le_bytes());
        let name = self.pod.container(index).name.as_bytes();
        let mut stream = self.ctx.store.seed().stream_of("sync-retry", &[uid, name, &at]);
        retry_after(failed, delay, |_| every.sample(&mut stream))
    }

    /// Leaves a container alone until a retry comes.
    fn hold(&mut self, index: usize, reason: Str, message: impl Into<Str>) {
        let life = &mut self.pod.containers[index];
        if let Run::Exited(end) = &life.run {
            life.last = Some(end.clone());
        }
        life.run = Run::Waiting { reason, message: message.into() };
        life.held = true;
    }

    /// Whether a container that ended must wait before it starts again.
    ///
    /// Upstream: `doBackOff`.
    fn backs_off(&mut self, index: usize) -> bool {
        let life = &self.pod.containers[index];
        if life.end().is_none() {
            return false;
        }
        let Some(delay) = life.backoff.current(life.ended) else { return false };
        let ended = life.ended;
        if self.now() >= ended + delay {
            return false;
        }
        let name = &self.pod.container(index).name;
        let pod = self.pod.long_name();
        let event = format!("Back-off restarting failed container {name} in pod {pod}");
        let message = format!("back-off {delay} restarting failed container={name} pod={pod}");
        self.hold(index, lit!("CrashLoopBackOff"), message);
        self.warning(lit!("BackOff"), event);
        let at = self.next_sync(index, ended, delay);
        self.container_at(index, at, ContainerStep::Retry);
        true
    }

    /// Makes sure of the image. None: it is there.
    fn ensure_image(&mut self, index: usize) -> Option<Tried> {
        let container = self.pod.container(index);
        let (image, policy) = (container.image.clone(), container.pull_policy);
        let present = self.machine.images.has(&image, self.now());
        match policy {
            PullPolicy::IfNotPresent | PullPolicy::Never if present => {
                if self.speaks() {
                    self.normal(
                        lit!("Pulled"),
                        format!("Container image \"{image}\" already present on machine"),
                    );
                }
                None
            }
            PullPolicy::Never => {
                let why = format!("Container image \"{image}\" is not present with pull policy of Never");
                self.warning(lit!("ErrImageNeverPull"), why.clone());
                self.warning(lit!("Failed"), "Error: ErrImageNeverPull");
                self.hold(index, lit!("ErrImageNeverPull"), why);
                let at = self.now() + self.ctx.params.settings.sync_frequency;
                self.container_at(index, at, ContainerStep::Retry);
                Some(Tried::Done)
            }
            PullPolicy::IfNotPresent | PullPolicy::Always => self.pull(index, &image),
        }
    }

    fn pull(&mut self, index: usize, image: &Str) -> Option<Tried> {
        let now = self.now();
        let habits = habits::of(&self.ctx.params, self.pod, index);
        let sample = |delay: &_| self.sample_container(delay, "image-pull", index);
        let (takes, known, size) = images::pull_time(&self.ctx.params, &habits, sample);
        let fails = habits.pull_fails;
        let pull = self.machine.images.pull(image, takes, known, fails, &self.ctx.params, now);
        if self.speaks() {
            self.normal(lit!("Pulling"), format!("Pulling image \"{image}\""));
        }
        let note = PullNote { asked: now, takes: pull.takes, fails, size, told: habits.size.is_some() };
        self.pod.containers[index].pull = Some(Box::new(note));
        if pull.done > now {
            self.container_at(index, pull.done, ContainerStep::Pulled);
            return Some(Tried::Blocked);
        }
        if self.pulled(index) { None } else { Some(Tried::Done) }
    }

    /// A pull is over; whether the image is there.
    pub fn pulled(&mut self, index: usize) -> bool {
        let Some(note) = self.pod.containers[index].pull.take() else { return false };
        let image = self.pod.container(index).image.clone();
        if note.fails {
            self.pull_failed(index, &image);
            return false;
        }
        let life = &mut self.pod.containers[index];
        life.image_ready = true;
        life.pull_error = Str::new();
        self.machine.images.weigh(&image, i64::try_from(note.size).unwrap_or(i64::MAX));
        self.machine.pressure.stale |= note.size > 0;
        if note.told {
            let (name, size) = (full_name(&image), i64::try_from(note.size).unwrap_or(i64::MAX));
            self.machine.post_image(name.into(), size, self.ctx);
        }
        if self.speaks() {
            let millis = |span: SimDuration| SimDuration::from_millis(span.as_millis());
            let (alone, waited) = (millis(note.takes), millis(self.now() - note.asked));
            let size = note.size;
            self.normal(
                lit!("Pulled"),
                format!(
                    "Successfully pulled image \"{image}\" in {alone} ({waited} including waiting). Image size: {size} bytes."
                ),
            );
        }
        true
    }

    fn pull_failed(&mut self, index: usize, image: &Str) {
        let now = self.now();
        let full = full_name(image);
        let error = Str::from(format!(
            "rpc error: code = NotFound desc = failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\": {full}: not found"
        ));
        self.warning(lit!("Failed"), format!("Failed to pull image \"{image}\": {error}"));
        self.warning(lit!("Failed"), "Error: ErrImagePull");
        self.hold(index, lit!("ErrImagePull"), error.clone());
        let life = &mut self.pod.containers[index];
        life.pull_error = error;
        life.pull_backoff.next(now, now);
        let at = self.next_sync(index, now, SimDuration::ZERO);
        self.container_at(index, at, ContainerStep::Retry);
    }

    /// The next attempt at a container that was left alone.
    pub fn retry(&mut self, index: usize) {
        let error = std::mem::take(&mut self.pod.containers[index].pull_error);
        if error.is_empty() {
            self.pod.containers[index].held = false;
            self.advance();
            return;
        }
        let image = self.pod.container(index).image.clone();
        let event = format!("Back-off pulling image \"{image}\"");
        let message = format!("{event}: ErrImagePull: {error}");
        self.hold(index, lit!("ImagePullBackOff"), message);
        self.normal(lit!("BackOff"), event);
        self.warning(lit!("Failed"), "Error: ImagePullBackOff");
        let backoff = self.pod.containers[index].pull_backoff;
        let soonest = self.next_sync(index, self.now(), SimDuration::ZERO);
        let at = self.next_sync(index, backoff.used, backoff.delay).max(soonest);
        self.container_at(index, at, ContainerStep::Retry);
        self.report();
    }

    fn missing_reference(&self, index: usize) -> Option<(Wait, String)> {
        self.pod.recipe.env[index].iter().find_map(|reference| {
            let name = Inert::table_name(reference.kind, &reference.name);
            self.missing(reference).map(|why| (Wait::Object(self.pod.key.namespace.clone(), name), why))
        })
    }

    /// A container cannot be made for want of a ConfigMap or Secret. After many attempts only a change of
    /// that object is a reason for another.
    fn refuse(&mut self, index: usize, wait: Wait, why: String) {
        self.warning(lit!("Failed"), format!("Error: {why}"));
        self.hold(index, lit!("CreateContainerConfigError"), why);
        let life = &mut self.pod.containers[index];
        life.refused += 1;
        if life.refused < ATTEMPTS_MAX {
            let at = self.next_sync(index, self.now(), SimDuration::ZERO);
            self.container_at(index, at, ContainerStep::Retry);
        } else {
            self.common.waiting.or_insert_with(wait, Vec::new).push(self.pod.id);
        }
    }

    /// A ConfigMap or Secret that is waited for was written.
    pub fn object_written(&mut self) {
        for life in &mut self.pod.containers {
            if matches!(&life.run, Run::Waiting { reason, .. } if reason == "CreateContainerConfigError") {
                life.held = false;
            }
        }
        self.advance();
    }

    /// The process starts.
    fn launch(&mut self, index: usize) -> Tried {
        let now = self.now();
        let habits = habits::of(&self.ctx.params, self.pod, index);
        let startup =
            habits.startup.map_or(SimDuration::ZERO, |d| self.sample_container(&d, "startup", index));
        let life = &mut self.pod.containers[index];
        if let Some(end) = life.end() {
            life.last = Some(Arc::clone(end));
            let ended = life.ended;
            life.backoff.next(ended, now);
        }
        life.run = Run::Running { since: now, answers: now + startup };
        life.starts += 1;
        life.image_ready = false;
        life.hung = false;
        life.refused = 0;
        life.doom = None;
        life.new_epoch();
        if self.speaks() {
            let name = self.pod.container(index).name.clone();
            self.normal(lit!("Created"), format!("Created container: {name}"));
            self.normal(lit!("Started"), format!("Started container {name}"));
        }
        if let Some(completion) = habits.completes {
            let after = self.sample_container(&completion.after, "completion", index);
            self.container_at(index, now + after, ContainerStep::Exit);
        }
        self.begin_usage(index);
        self.begin_probes(index);
        self.plan_outages(index, &habits);
        let hook = self.pod.recipe.post_start[index];
        if hook.is_zero() {
            return Tried::Done;
        }
        self.container_at(index, now + hook, ContainerStep::Hooked);
        Tried::Blocked
    }
}

impl Worker<'_, '_> {
    /// When the container will stop answering, and when its probes will fail.
    fn plan_outages(&mut self, index: usize, habits: &Habits) {
        let now = self.now();
        let lasts = |worker: &Self, outage: &Outage, purpose| {
            outage.lasts.map(|lasts| worker.sample_container(&lasts, purpose, index))
        };
        if let Some(outage) = &habits.hangs {
            let at = now + self.sample_container(&outage.after, "hang", index);
            let step = ContainerStep::Hang(lasts(self, outage, "hang-lasts"));
            self.container_at(index, at, step);
        }
        for ProbeOutage { kind, outage } in &habits.probes {
            let (begins, ends) = match kind {
                ProbeKind::Startup => ("startup-fails", "startup-passes"),
                ProbeKind::Readiness => ("readiness-fails", "readiness-passes"),
                ProbeKind::Liveness => ("liveness-fails", "liveness-passes"),
            };
            let at = now + self.sample_container(&outage.after, begins, index);
            self.container_at(index, at, ContainerStep::ProbeFails(*kind, true));
            if let Some(lasts) = lasts(self, outage, ends) {
                self.container_at(index, at + lasts, ContainerStep::ProbeFails(*kind, false));
            }
        }
    }
}

/// An image's name with registry and tag, as the runtime gives it.
pub fn full_name(image: &str) -> String {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let registry = first.contains(['.', ':']) || first == "localhost";
    let path = match (registry, first) {
        (true, _) => image.to_owned(),
        (false, "") => format!("docker.io/library/{image}"),
        (false, _) => format!("docker.io/{image}"),
    };
    if rest.contains([':', '@']) { path } else { format!("{path}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_full_names() {
        for (image, full) in [
            ("app:bad", "docker.io/library/app:bad"),
            ("nginx", "docker.io/library/nginx:latest"),
            ("me/app", "docker.io/me/app:latest"),
            ("quay.io/me/app:v1", "quay.io/me/app:v1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
        ] {
            assert_eq!(full_name(image), full);
        }
    }
}
