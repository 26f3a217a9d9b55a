//! The start of a container: back-off, image, references, process, hook.
//!
//! Upstream: `pkg/kubelet/kuberuntime/{kuberuntime_manager,kuberuntime_container}.go`,
//! `pkg/kubelet/images/image_manager.go`, v1.34.
//!
//! # Fidelity
//!
//! What the runtime refuses does not come about: `InvalidImageName`, `ImageInspectError`, `CreateContainerError`,
//! `RunContainerError`. Kubernetes' words for a registry's refusal are those of an image that is not there.

use super::habits::Habits;
use super::pod::{Failure, PullNote, Run};
use super::say::Sentence;
use super::volumes::Wait;
use super::worker::Worker;
use super::{ContainerStep, ProbeKind, habits, images};
use crate::api::Inert;
use crate::api::pod::PullPolicy;
use crate::base::{Arc, SimDuration, SimTime, Str, text::lit};
use crate::params::behaviour::{Outage, ProbeOutage};

/// Attempts without a ConfigMap or Secret after which only its change is a reason for another; upstream tries
/// on, but its recorder drops nearly all further Events.
const ATTEMPTS_MAX: u32 = 25;

/// Syncs do not follow one another faster than this, whatever the scenario says.
const SYNC_MIN: SimDuration = SimDuration::from_millis(100);

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
        let life = &self.pod.containers[index];
        if life.end().is_none() || life.killed || self.pod.fresh {
            return self.launch(index);
        }
        let takes = self.ctx.params.latencies.container_restart;
        let at = self.now() + self.sample_container(&takes, "container-restart", index);
        self.pod.containers[index].held = true;
        self.container_at(index, at, ContainerStep::Restart);
        Tried::Done
    }

    /// A container that had ended starts anew, unless everything waits for another one; then it is tried again later.
    pub fn start_anew(&mut self, index: usize) {
        self.pod.containers[index].held = false;
        if self.pod.busy.is_some() {
            return;
        }
        if self.launch(index) == Tried::Blocked {
            self.pod.busy = u16::try_from(index).ok();
        }
        self.advance();
    }

    /// The sync after one that failed at `at`.
    fn sync_after(&self, index: usize, at: SimTime) -> SimTime {
        let wait = self.ctx.params.latencies.sync_retry.draw(|| {
            let (uid, at) = (self.pod.uid.as_bytes(), at.as_nanos().to_le_bytes());
            let name = self.pod.container(index).name.as_bytes();
            self.ctx.store.seed().stream_of("sync-retry", &[uid, name, &at])
        });
        at + wait.max(SYNC_MIN)
    }

    /// The next sync; if nobody hears any more what it says, the first one in which a back-off is over.
    fn next_sync(&self, index: usize, heard: bool, over: SimTime) -> SimTime {
        let mut at = self.sync_after(index, self.now());
        while !heard && at < over {
            at = self.sync_after(index, at);
        }
        at
    }

    /// An attempt to start a container has failed. Its status says so from the next sync on.
    fn fail(&mut self, index: usize, (reason, message): (Str, impl Into<Str>), retry: Option<SimTime>) {
        let life = &mut self.pod.containers[index];
        life.failure = Some(Box::new(Failure { reason, message: message.into() }));
        life.held = true;
        life.new_epoch();
        if let Some(at) = retry {
            self.container_at(index, at, ContainerStep::Retry);
        }
    }

    /// A sync says of a container why it could not be started in an earlier one; whether there was something to say.
    fn show_failure(&mut self, index: usize) -> bool {
        let life = &mut self.pod.containers[index];
        let Some(failure) = life.failure.take() else { return false };
        if let Run::Exited(end) = &life.run {
            life.last = Some(end.clone());
        }
        let Failure { reason, message } = *failure;
        life.run = Run::Waiting { reason, message };
        true
    }

    /// The runtime's event about a new sandbox makes another sync follow the first one at once: it shows what failed,
    /// and tries that again. Whether something had failed.
    pub fn sync_again(&mut self) -> bool {
        if !std::mem::take(&mut self.pod.fresh) {
            return false;
        }
        let failed: Vec<usize> =
            (0..self.pod.containers.len()).filter(|index| self.show_failure(*index)).collect();
        for index in &failed {
            self.pod.containers[*index].held = false;
        }
        !failed.is_empty()
    }

    /// Whether a container that ended must wait before it starts again.
    ///
    /// Upstream: `doBackOff`. Of a container that the same sync has stopped the end before that one counts.
    fn backs_off(&mut self, index: usize) -> bool {
        let (now, life) = (self.now(), &mut self.pod.containers[index]);
        let Some(since) = life.counts_from() else { return false };
        let Some(delay) = life.backoff.current(since).filter(|delay| now < since + *delay) else {
            return false;
        };
        let (stopped, over) = (std::mem::take(&mut life.killed), life.ended + delay);
        let name = &self.pod.container(index).name;
        let pod = self.pod.long_name();
        let event = Str::from(format!("Back-off restarting failed container {name} in pod {pod}"));
        let message = format!("back-off {delay} restarting failed container={name} pod={pod}");
        let mut heard = self.warning(lit!("BackOff"), event.clone());
        if stopped {
            // The runtime's event about its end makes another sync follow.
            heard = self.warning(lit!("BackOff"), event);
        }
        // The next sync shows it in any case.
        heard |= !self.pod.containers[index].waits_for("CrashLoopBackOff") && !stopped;
        let at = self.next_sync(index, heard, over);
        self.fail(index, (lit!("CrashLoopBackOff"), message), Some(at));
        if stopped {
            self.show_failure(index);
        }
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
                    let message = self.common.sentence(Sentence::Present, &image);
                    self.normal(lit!("Pulled"), message);
                }
                None
            }
            PullPolicy::Never => {
                let why = format!("Container image \"{image}\" is not present with pull policy of Never");
                self.warning(lit!("ErrImageNeverPull"), why.clone());
                let heard = self.warning(lit!("Failed"), "Error: ErrImageNeverPull");
                let soon = self.now() + self.ctx.params.settings.sync_frequency;
                let at = self.next_sync(index, heard, soon);
                self.fail(index, (lit!("ErrImageNeverPull"), why), Some(at));
                Some(Tried::Done)
            }
            PullPolicy::IfNotPresent | PullPolicy::Always if self.pull_backs_off(index, &image) => {
                Some(Tried::Done)
            }
            PullPolicy::IfNotPresent | PullPolicy::Always => self.pull(index, &image),
        }
    }

    /// Whether an image that could not be had is not asked for yet.
    ///
    /// Upstream: `pullImage`.
    fn pull_backs_off(&mut self, index: usize, image: &Str) -> bool {
        let (now, life) = (self.now(), &self.pod.containers[index]);
        let over = life.pull_backoff.current(now).map(|delay| life.pull_backoff.used + delay);
        let Some(over) = over.filter(|over| now < *over) else { return false };
        let event = format!("Back-off pulling image \"{image}\"");
        let message = format!("{event}: ErrImagePull: {}", life.pull_error);
        self.normal(lit!("BackOff"), event);
        let shown = self.pod.containers[index].waits_for("ImagePullBackOff");
        let heard = self.warning(lit!("Failed"), "Error: ImagePullBackOff") || !shown;
        let at = self.next_sync(index, heard, over);
        self.fail(index, (lit!("ImagePullBackOff"), message), Some(at));
        true
    }

    fn pull(&mut self, index: usize, image: &Str) -> Option<Tried> {
        let now = self.now();
        let habits = habits::of(&self.ctx.params, self.pod, index);
        let sample = |delay: &_| self.sample_container(delay, "image-pull", index);
        let (takes, known, size) = images::pull_time(&self.ctx.params, &habits, sample);
        let fails = habits.pull_fails;
        let pull = self.machine.images.pull(image, takes, known, fails, &self.ctx.params, now);
        if self.speaks() {
            let message = self.common.sentence(Sentence::Pulling, image);
            self.normal(lit!("Pulling"), message);
        }
        let error =
            if pull.exceeded { Some(lit!("pull QPS exceeded")) } else { fails.then(|| not_found(image)) };
        let note = PullNote { asked: now, takes: pull.takes, error, size, told: habits.size.is_some() };
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
        if let Some(error) = note.error {
            self.pull_failed(index, &image, error);
            return false;
        }
        let life = &mut self.pod.containers[index];
        life.image_ready = true;
        life.pull_error = Str::new();
        self.machine.stale |= self.machine.images.weigh(&image, i64::try_from(note.size).unwrap_or(i64::MAX));
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

    fn pull_failed(&mut self, index: usize, image: &Str, error: Str) {
        let now = self.now();
        self.warning(lit!("Failed"), format!("Failed to pull image \"{image}\": {error}"));
        self.warning(lit!("Failed"), "Error: ErrImagePull");
        let life = &mut self.pod.containers[index];
        life.pull_error = error.clone();
        life.pull_backoff.next(now, now);
        let at = self.sync_after(index, now);
        self.fail(index, (lit!("ErrImagePull"), error), Some(at));
    }

    /// The next sync of a container that was left alone: it says what has failed, then tries again.
    pub fn retry(&mut self, index: usize) {
        self.pod.containers[index].held = false;
        if self.pod.busy.is_some() {
            return;
        }
        let shown = (0..self.pod.containers.len()).filter(|other| self.show_failure(*other)).count();
        if shown > 0 {
            self.report();
        }
        self.advance();
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
        self.pod.containers[index].refused += 1;
        let again = self.pod.containers[index].refused < ATTEMPTS_MAX;
        let at = again.then(|| self.sync_after(index, self.now()));
        self.fail(index, (lit!("CreateContainerConfigError"), why), at);
        if !again {
            self.show_failure(index);
            self.common.waiting.or_insert_with(wait, Vec::new).push(self.pod.id);
        }
    }

    /// A ConfigMap or Secret that is waited for was written.
    pub fn object_written(&mut self) {
        for life in &mut self.pod.containers {
            if life.waits_for("CreateContainerConfigError") {
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
        if let Some(since) = life.counts_from() {
            life.backoff.next(since, now);
        }
        if let Some(end) = life.end() {
            life.last = Some(Arc::clone(end));
        }
        life.killed = false;
        life.failure = None;
        life.run = Run::Running { since: now, answers: now + startup };
        life.starts += 1;
        life.image_ready = false;
        life.hung = false;
        life.refused = 0;
        life.doom = None;
        life.new_epoch();
        if self.speaks() {
            let name = self.pod.container(index).name.clone();
            for (reason, sentence) in
                [(lit!("Created"), Sentence::Created), (lit!("Started"), Sentence::Started)]
            {
                let message = self.common.sentence(sentence, &name);
                self.normal(reason, message);
            }
        }
        if let Some(completion) = habits.completes {
            let after = self.sample_container(&completion.after, "completion", index);
            self.container_at(index, now + after, ContainerStep::Exit);
        }
        self.begin_usage(index);
        self.begin_probes(index);
        self.plan_outages(index, &habits);
        match self.pod.recipe.post_start[index] {
            Some(hook) if !hook.is_zero() || habits.post_start_fails => {
                self.container_at(index, now + hook, ContainerStep::Hooked);
                Tried::Blocked
            }
            _ => Tried::Done,
        }
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

/// What the runtime says of an image that the registry has not.
fn not_found(image: &str) -> Str {
    let full = full_name(image);
    format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\": {full}: not found"
    )
    .into()
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
