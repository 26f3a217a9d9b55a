//! What an agent knows of a Pod and of its containers.

use super::admission::MIRROR;
use super::probes::Probes;
use super::recipe::Recipe;
use super::resize::Resize;
use super::usage::{Level, Uses};
use crate::api::pod::{RUNS_FOR, Terminated};
use crate::api::{Container, Labels, ObjectKey, Pod, PodSpec};
use crate::base::fetch::{Skim, mix};
use crate::base::{Arc, Few, Shared, SimDuration, SimTime, Str, Timestamp, text::lit};
use crate::store::{ObjId, Source};

/// The first back-off, of images and of restarts.
const BACKOFF_FIRST: SimDuration = SimDuration::from_secs(10);
/// The longest back-off.
const BACKOFF_MAX: SimDuration = SimDuration::from_secs(300);
/// A back-off that was not used for so long starts anew.
const BACKOFF_RESET: SimDuration = SimDuration::from_secs(600);

/// Requests that a Pod works on, or that wait in its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Burden {
    /// When it was so.
    pub from: SimTime,
    /// So many then.
    pub count: f64,
    /// So many more every second, until another is told.
    pub per_second: f64,
}

impl Burden {
    /// The memory of such requests, of so many bytes each.
    pub fn memory(&self, bytes: i64) -> Level {
        let of = |count: f64| libm::round(count * bytes as f64) as i64;
        Level::growing(self.from, of(self.count), of(self.per_second))
    }
}

/// How far a Pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Others are being ended so that it has room.
    Admitting,
    /// Seen, but the node's network is not ready.
    Arrived,
    /// Admitted; waits for its volumes.
    Volumes,
    /// The sandbox is being made.
    Sandbox,
    /// Containers start, run, start again.
    Live,
    /// Containers are being stopped; the last ends then.
    Terminating {
        /// The instant.
        ends: SimTime,
    },
    /// All is over.
    Ended,
}

/// Why the kubelet itself ended a Pod, or never ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `status.reason`.
    pub reason: Str,
    /// `status.message`.
    pub message: Str,
    /// What its condition `DisruptionTarget` says; none: it counts as no disruption.
    pub disruption: Option<Str>,
    /// Whether it was refused and never ran.
    pub rejected: bool,
}

/// A Pod as its agent knows it.
#[derive(Clone, Debug)]
pub struct LocalPod {
    /// Its place in the store.
    pub id: ObjId,
    /// Its key.
    pub key: ObjectKey,
    /// Its identity.
    pub uid: Str,
    /// The number of its node.
    pub node: u32,
    /// Its life: timers of an earlier one do nothing.
    pub epoch: u32,
    /// What it is to be.
    pub spec: Arc<PodSpec>,
    /// What that asks of the node.
    pub recipe: Arc<Recipe>,
    /// Its labels, by which behaviours are found.
    pub labels: Labels,
    /// How long its regular containers run before they end well, if the Pod itself says so.
    pub runs_for: Option<SimDuration>,
    /// The identity of its controller.
    pub controller: Option<Str>,
    /// How far it is.
    pub stage: Stage,
    /// When it was first synced; probes tick from there.
    pub seen: SimTime,
    /// The same for its status.
    pub start_time: Timestamp,
    /// Its address; empty before its first sandbox.
    pub ip: Str,
    /// Whether its sandbox exists.
    pub sandbox: bool,
    /// The runtime's event about the new sandbox is yet to come: another sync follows the first at once.
    pub fresh: bool,
    /// Whether all its init containers have done their work once in this sandbox.
    pub initialized: bool,
    /// Init containers, then regular ones, in the order of the spec.
    pub containers: Vec<Life>,
    /// What is in its `emptyDir` volumes, by name.
    pub scratch: Few<(Str, Level)>,
    /// The requests that it works on.
    pub burden: Burden,
    /// The container whose image or hook everything waits for.
    pub busy: Option<u16>,
    /// Whether its volumes are in use on the node.
    pub mounted: bool,
    /// The attachable ones of them, by unique name.
    pub volumes: Few<Str>,
    /// Whether containers run that may use its volumes.
    pub in_use: bool,
    /// Attempts at volumes that failed in a row.
    pub mount_failures: u32,
    /// Whether its room on the node is taken.
    pub admitted: bool,
    /// When its processes get SIGTERM.
    pub sigterm: Option<SimTime>,
    /// Why the kubelet ended it.
    pub verdict: Option<Box<Verdict>>,
    /// Resources that were changed in place.
    pub resize: Option<Box<Resize>>,
    /// Its status has changed and could not be reported.
    pub dirty: bool,
    /// It is a static Pod, and its object only mirrors it.
    pub mirror: bool,
    /// Its object is gone.
    pub deleted: bool,
    /// Nothing is left to do: it can be forgotten.
    pub gone: bool,
    /// Whether its machine counts it among those that use memory, disk or process numbers.
    pub is_user: bool,
    /// The revision of the last status that was reported.
    pub reported: u64,
    /// What was told of it as good news; none before the first.
    pub told: Option<Shared<Source>>,
}

impl LocalPod {
    /// A Pod that was just seen.
    pub fn new(
        id: ObjId,
        pod: &Arc<Pod>,
        node: u32,
        recipe: Arc<Recipe>,
        seen: SimTime,
        start_time: Timestamp,
    ) -> Self {
        let inits = pod.spec.init_containers.len();
        let first = if inits > 0 { Run::initializing() } else { Run::creating() };
        let count = inits + pod.spec.containers.len();
        Self {
            id,
            key: pod.meta.key(),
            uid: pod.meta.uid.clone(),
            node,
            epoch: 0,
            spec: pod.spec.clone(),
            recipe,
            labels: pod.meta.labels.clone(),
            runs_for: pod.meta.annotations.get(&RUNS_FOR).and_then(|text| SimDuration::parse_go(text).ok()),
            controller: pod.meta.controller().map(|owner| owner.uid.clone()),
            stage: Stage::Volumes,
            seen,
            start_time,
            ip: Str::new(),
            sandbox: false,
            fresh: false,
            initialized: inits == 0,
            containers: (0..count).map(|_| Life::new(first.clone())).collect(),
            scratch: Few::new(),
            burden: Burden::default(),
            busy: None,
            mounted: false,
            volumes: Few::new(),
            in_use: false,
            mount_failures: 0,
            admitted: false,
            sigterm: None,
            verdict: None,
            resize: None,
            dirty: false,
            mirror: pod.meta.annotations.contains_key(MIRROR),
            deleted: false,
            gone: false,
            is_user: false,
            reported: 0,
            told: None,
        }
    }

    /// How many of the containers are init containers.
    pub fn init_count(&self) -> usize {
        self.spec.init_containers.len()
    }

    /// The spec of a container.
    pub fn container(&self, index: usize) -> &Container {
        let inits = self.init_count();
        if index < inits { &self.spec.init_containers[index] } else { &self.spec.containers[index - inits] }
    }

    /// The spec of a container as it was given.
    pub fn raw_container(&self, index: usize) -> Option<&crate::api::k8s::core::v1::Container> {
        let raw = &self.spec.raw;
        raw.init_containers.iter().flatten().chain(&raw.containers).nth(index)
    }

    /// Whether a container is a regular one.
    pub fn is_regular(&self, index: usize) -> bool {
        index >= self.init_count()
    }

    /// Whether a container runs beside the regular ones, though it is listed among the init containers.
    pub fn is_sidecar(&self, index: usize) -> bool {
        !self.is_regular(index) && self.container(index).sidecar
    }

    /// The regular containers.
    pub fn regular(&self) -> &[Life] {
        &self.containers[self.init_count()..]
    }

    /// Whether it is being stopped or has ended.
    pub const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Terminating { .. } | Stage::Ended)
    }

    /// Forgets all timers of the Pod.
    pub fn new_epoch(&mut self) -> u32 {
        self.epoch = self.epoch.wrapping_add(1);
        self.epoch
    }

    /// How Events and waiting reasons name it: `pod_namespace(uid)`.
    pub fn long_name(&self) -> String {
        format!("{}_{}({})", self.key.name, self.key.namespace, self.uid)
    }
}

impl Skim for LocalPod {
    fn skim(&self) -> u64 {
        mix([
            self.id.0,
            u64::from(self.node),
            self.containers.len() as u64,
            self.seen.as_nanos(),
            u64::from(self.runs_for.is_some()),
            self.ip.len() as u64,
            self.burden.from.as_nanos(),
            self.volumes.len() as u64,
            u64::from(self.sigterm.is_some()),
            u64::from(self.verdict.is_some()),
            u64::from(self.resize.is_some()),
            u64::from(self.mount_failures),
            u64::from(self.is_user),
            self.reported,
        ])
    }
}

impl Skim for Life {
    fn skim(&self) -> u64 {
        mix([
            u64::from(self.is_running()),
            u64::from(self.starts),
            self.ended.as_nanos(),
            self.backoff.used.as_nanos(),
            self.pull_backoff.used.as_nanos(),
            u64::from(self.over_limit.is_some()),
            u64::from(self.probes.is_some()),
        ])
    }
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// Nothing yet, or nothing any more until it is started again.
    Waiting {
        /// Why, in the API's words.
        reason: Str,
        /// A sentence to it.
        message: Str,
    },
    /// It runs.
    Running {
        /// Since when.
        since: SimTime,
        /// From when on it can answer.
        answers: SimTime,
    },
    /// It ended.
    Exited(Arc<Terminated>),
}

impl Run {
    /// It has not begun.
    pub const fn creating() -> Self {
        Self::Waiting { reason: lit!("ContainerCreating"), message: Str::new() }
    }

    /// Init containers come first.
    pub const fn initializing() -> Self {
        Self::Waiting { reason: lit!("PodInitializing"), message: Str::new() }
    }
}

/// A back-off that doubles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// The present span; zero if there is none.
    pub delay: SimDuration,
    /// When it was last used.
    pub used: SimTime,
}

impl Backoff {
    /// The span that holds for what failed at `failed`; none if it has expired or never began.
    pub fn current(&self, failed: SimTime) -> Option<SimDuration> {
        (!self.delay.is_zero() && failed.since(self.used) <= BACKOFF_RESET).then_some(self.delay)
    }

    /// Takes the next span, after a failure at `failed`.
    pub fn next(&mut self, failed: SimTime, now: SimTime) {
        self.delay = match self.current(failed) {
            Some(delay) => (delay * 2).min(BACKOFF_MAX),
            None => BACKOFF_FIRST,
        };
        self.used = now;
    }
}

/// How a container that is being killed will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doom {
    /// Its exit code.
    pub code: i32,
    /// When.
    pub at: SimTime,
    /// When it gets SIGTERM: from then on it answers nothing.
    pub signal: SimTime,
}

/// A pull that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullNote {
    /// When it was asked for.
    pub asked: SimTime,
    /// How long it takes by itself.
    pub takes: SimDuration,
    /// Why it fails, if it does.
    pub error: Option<Str>,
    /// Bytes of the image.
    pub size: u64,
    /// Whether the scenario gives that size; only such images are told of in the node's status.
    pub told: bool,
}

/// Why an attempt to start a container failed.
///
/// Upstream: the reason cache, `pkg/kubelet/reason_cache.go`, v1.34.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason for which it waits.
    pub reason: Str,
    /// A sentence to it.
    pub message: Str,
}

/// A container as its agent and the runtime know it.
#[derive(Clone, Debug)]
pub struct Life {
    /// What it does.
    pub run: Run,
    /// How it ended before.
    pub last: Option<Arc<Terminated>>,
    /// When it last ended.
    pub ended: SimTime,
    /// How often it has started.
    pub starts: u32,
    /// Its life: timers of an earlier one do nothing.
    pub epoch: u32,
    /// When it ended before that.
    pub prior: Option<SimTime>,
    /// A retry will come; until then it is left alone.
    pub held: bool,
    /// Why the last attempt to start it failed: what its status says from the next sync on.
    pub failure: Option<Box<Failure>>,
    /// It was stopped by the very sync that is about to start it anew.
    pub killed: bool,
    /// Its image was made sure of for the coming start.
    pub image_ready: bool,
    /// Why its image could not be had, if it could not.
    pub pull_error: Str,
    /// Whether its readiness probe passes.
    pub ready: bool,
    /// Whether its startup probe has passed.
    pub started: bool,
    /// It answers nothing.
    pub hung: bool,
    /// Its `postStart` hook has failed, for which it is being killed.
    pub hook_failed: bool,
    /// It is being killed, and will end so and then.
    pub doom: Option<Box<Doom>>,
    /// The pull of its image that is under way.
    pub pull: Option<Box<PullNote>>,
    /// Starts in a row that failed for want of a ConfigMap or Secret.
    pub refused: u32,
    /// Of restarts.
    pub backoff: Backoff,
    /// Of image pulls.
    pub pull_backoff: Backoff,
    /// What it uses; none: nothing.
    uses: Option<Box<Uses>>,
    /// When it crosses its memory limit.
    pub over_limit: Option<SimTime>,
    /// Its probes.
    pub probes: Option<Box<Probes>>,
}

impl Life {
    /// A container that waits.
    pub fn new(run: Run) -> Self {
        Self {
            run,
            last: None,
            ended: SimTime::ZERO,
            starts: 0,
            epoch: 0,
            prior: None,
            held: false,
            failure: None,
            killed: false,
            image_ready: false,
            pull_error: Str::new(),
            ready: false,
            started: false,
            hung: false,
            hook_failed: false,
            doom: None,
            pull: None,
            refused: 0,
            backoff: Backoff::default(),
            pull_backoff: Backoff::default(),
            uses: None,
            over_limit: None,
            probes: None,
        }
    }

    /// What it uses.
    pub fn uses(&self) -> &Uses {
        self.uses.as_deref().unwrap_or(&Uses::NOTHING)
    }

    /// The same, to be changed.
    pub fn uses_mut(&mut self) -> &mut Uses {
        self.uses.get_or_insert_default()
    }

    /// Whether it runs.
    pub const fn is_running(&self) -> bool {
        matches!(self.run, Run::Running { .. })
    }

    /// Whether its status says that it waits for this reason.
    pub fn waits_for(&self, why: &str) -> bool {
        matches!(&self.run, Run::Waiting { reason, .. } if reason == why)
    }

    /// How it ended, if it has.
    pub const fn exited(&self) -> Option<&Arc<Terminated>> {
        match &self.run {
            Run::Exited(end) => Some(end),
            Run::Waiting { .. } | Run::Running { .. } => None,
        }
    }

    /// How it ended, whether it now rests or waits to start again.
    pub fn end(&self) -> Option<&Arc<Terminated>> {
        match &self.run {
            Run::Exited(end) => Some(end),
            Run::Waiting { .. } => self.last.as_ref(),
            Run::Running { .. } => None,
        }
    }

    /// From which of its ends its back-off counts: the last, or of a container that the present sync has stopped the
    /// one before; none if there is no such end.
    pub fn counts_from(&self) -> Option<SimTime> {
        self.end()?;
        if self.killed { self.prior } else { Some(self.ended) }
    }

    /// Whether it runs and answers at `now`.
    pub fn answers(&self, now: SimTime) -> bool {
        matches!(self.run, Run::Running { answers, .. } if answers <= now)
            && !self.hung
            && self.doom.as_ref().is_none_or(|doom| now < doom.signal)
    }

    /// Forgets all timers of the container.
    pub fn new_epoch(&mut self) -> u32 {
        self.epoch = self.epoch.wrapping_add(1);
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §7.3, §7.4, §13.32.
    #[test]
    fn back_offs_double_up_to_five_minutes_and_expire() {
        let s = SimTime::from_secs;
        let mut backoff = Backoff::default();
        let mut spans = Vec::new();
        let mut at = s(0);
        for _ in 0..7 {
            backoff.next(at, at);
            spans.push(backoff.delay.as_secs());
            at += backoff.delay;
        }
        assert_eq!(spans, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.current(backoff.used + SimDuration::from_secs(600)), Some(BACKOFF_MAX));
        backoff.next(backoff.used + SimDuration::from_secs(601), at);
        assert_eq!(backoff.delay.as_secs(), 10);
    }
}
