//! kube-scheduler: the queue of waiting Pods, the cluster as it knows it, and the cycle that places one Pod.
//!
//! The scheduler hears of every change of an object ([`Scheduler::change`]) and is asked for one decision at a time
//! ([`Scheduler::pop`], [`Scheduler::schedule_one`]). It writes nothing: a [`Decision`] says what is to be written, and
//! the caller reports how a binding went. It does no I/O and keeps no clock.
//!
//! * [`framework`]: what plugins are made of and what they see. [`plugins`]: the plugins and their one table.
//! * [`queue`]: active, backing off, unschedulable; what moves Pods between them.
//! * [`cache`]: Pods with a node, assumed ones included. [`profile`], [`config`]: what runs for whom.
//! * [`cycle`]: the way of one Pod through the plugins. [`memo`]: what need not be asked again. [`view`], [`evaluation`]: the same for every node, with all
//!   reasons. [`placer`]: a snapshot without a clock. [`explain`]: what would have to change.
//!
//! Upstream: `pkg/scheduler`, v1.34.
//!
//! # Fidelity
//! * No extenders and no Permit plugins.
//! * Nodes are filtered one after the other; upstream's 16 workers (`parallelism`) may look at a few more than are needed.
//! * Feature gates are as v1.34 ships them: queueing hints, taking Pods out of their backoff and asynchronous preemption are
//!   on, asynchronous API calls and nominations for expected placements are off.

pub mod cache;
mod changes;
pub mod config;
pub mod cycle;
pub mod decision;
pub mod evaluation;
mod events;
pub mod explain;
pub mod framework;
pub mod memo;
pub mod placer;
pub mod plugins;
pub mod preemption;
pub mod profile;
#[cfg(test)]
mod properties;
pub mod queue;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod view;

pub use config::Config;
pub use decision::{Attempt, Binding, Choice, Decision, Failure, Nomination, Skip, VolumeStep, Wording};
pub use placer::Placer;
pub use queue::QueuedPod as Queued;

use crate::api::{Object, ObjectKey, Pod, Uid};
use crate::base::{Arc, LookupMap, LookupSet, SimDuration, SimTime, Str};
use cache::Cache;
use cycle::{Miss, Sampling, Search};
use framework::fit_error::{count_causes, fit_error};
use framework::{ActionType, ClusterEvent, EventResource, Framework, Handle, Status};
use memo::Memo;
use plugins::registry::Registry;
use queue::backoff::Backoff;
use queue::{Env, Queue};
use view::View;

/// What upstream says of a cluster without nodes.
const NO_NODES: &str = "no nodes available to schedule pods";
/// Reason of the condition for Pods that fit nowhere.
const UNSCHEDULABLE: &str = "Unschedulable";
/// Reason of the condition for cycles that broke.
const SCHEDULER_ERROR: &str = "SchedulerError";

/// A scheduler.
#[derive(Clone, Debug)]
pub struct Scheduler {
    frameworks: Vec<Arc<Framework>>,
    cache: Cache,
    queue: Queue,
    /// Pods without a node that are ours to place, as last heard of.
    waiting: LookupMap<Uid, Arc<Pod>>,
    /// Pods whose victims are being evicted right now.
    preempting: LookupSet<Str>,
    /// Pods whose binding is under way, with their history in the queue and what is assumed of their volumes.
    binding: LookupMap<Uid, (Queued, Vec<VolumeStep>)>,
    next_start_node_index: usize,
    memo: Memo,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::new(Config::default(), Wording::default())
    }
}

impl Scheduler {
    /// A scheduler with the default plugins.
    pub fn new(config: Config, wording: Wording) -> Self {
        // A configuration was checked against the default plugins when it was read.
        Self::with_plugins(config, wording, &Registry::default())
            .unwrap_or_else(|_| Self::of(Vec::new(), Backoff::default()))
    }

    /// A scheduler with plugins of one's own beside the default ones. They run in the profiles that enable them.
    ///
    /// # Errors
    /// In kube-scheduler's words, why a profile cannot be.
    pub fn with_plugins(config: Config, wording: Wording, registry: &Registry) -> Result<Self, String> {
        let frameworks = config.build(registry, wording)?;
        Ok(Self::of(frameworks, config.backoff))
    }

    fn of(frameworks: Vec<Framework>, backoff: Backoff) -> Self {
        Self {
            frameworks: frameworks.into_iter().map(Arc::new).collect(),
            cache: Cache::default(),
            queue: Queue::new(backoff),
            waiting: LookupMap::new(),
            preempting: LookupSet::new(),
            binding: LookupMap::new(),
            next_start_node_index: 0,
            memo: Memo::default(),
        }
    }

    /// The same scheduler, which parks Pods that fit nowhere for so long before it tries them unasked
    /// (`--pod-max-in-unschedulable-pods-duration`).
    #[must_use]
    pub fn parking_for(mut self, span: SimDuration) -> Self {
        self.queue.set_max_parked(span);
        self
    }

    /// The profiles.
    pub fn frameworks(&self) -> &[Arc<Framework>] {
        &self.frameworks
    }

    /// Fetches from memory what it will need once it hears that these Pods have ended.
    pub fn fetch<'a>(&self, pods: impl Iterator<Item = &'a Pod>) {
        self.cache.fetch(pods);
    }

    /// Whether a Pod has been given a node that is not written yet.
    pub fn is_assumed(&self, uid: &str) -> bool {
        self.cache.is_assumed(uid)
    }

    /// Whether what plugins said of nodes in earlier cycles is kept. It is unless this says otherwise; decisions are the same.
    pub fn keep_verdicts(&mut self, keep: bool) {
        self.memo.enable(keep);
    }

    /// How often something that was kept could be used.
    pub const fn tally(&self) -> &memo::Tally {
        &self.memo.tally
    }

    /// The queue.
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The cluster as the scheduler knows it.
    pub const fn snapshot(&self) -> &framework::Snapshot {
        &self.cache.snapshot
    }

    /// The first profile, which a component that simulates the scheduler takes its plugins from.
    pub fn default_framework(&self) -> Option<&Framework> {
        self.frameworks.first().map(Arc::as_ref)
    }

    /// What a cycle for this Pod sees; none if no profile is for it.
    pub fn view(&self, pod: &Pod) -> Option<View<'_>> {
        let framework = self.frameworks.iter().find(|f| f.profile_name == pod.spec.scheduler_name)?;
        Some(View { framework, snapshot: &self.cache.snapshot, nominator: &self.queue.nominator })
    }

    /// Hears of a change.
    pub fn change(&mut self, now: SimTime, old: Option<&Object>, new: Option<&Object>) {
        events::change(self, now, old, new);
    }

    /// Whether a Pod can be tried now.
    pub fn has_ready(&self, _now: SimTime) -> bool {
        self.queue.has_ready()
    }

    /// Whether a change may set a Pod in motion that waits already.
    pub fn awaits_changes(&self) -> bool {
        self.queue.awaits_changes()
    }

    /// When the queue moves by itself next; never earlier than `now`.
    pub fn next_wakeup(&self, now: SimTime) -> Option<SimTime> {
        self.queue.next_flush().map(|at| at.max(now))
    }

    /// Moves what is due in the queue.
    pub fn wake(&mut self, now: SimTime) {
        let (queue, env) = self.split(now);
        queue.flush_backoff(&env);
        queue.flush_unschedulable(&env);
    }

    /// Takes the next Pod to try.
    pub fn pop(&mut self, _now: SimTime) -> Option<Queued> {
        self.queue.pop()
    }

    /// The queue, and what it looks at.
    fn split(&mut self, now: SimTime) -> (&mut Queue, Env<'_>) {
        let env = Env {
            frameworks: &self.frameworks,
            snapshot: &self.cache.snapshot,
            preempting: &self.preempting,
            now,
        };
        (&mut self.queue, env)
    }

    /// One scheduling cycle for a Pod that [`Self::pop`] gave.
    pub fn schedule_one(&mut self, now: SimTime, mut queued: Queued, choice: &mut Choice<'_>) -> Attempt {
        let pod = queued.info.pod.clone();
        let scheduler_name = pod.spec.scheduler_name.clone();
        let mut attempt = Attempt {
            pod,
            scheduler_name,
            decision: Decision::Skipped(Skip::Gone),
            evaluated: 0,
            feasible: 0,
        };
        let framework = self.frameworks.iter().find(|f| f.profile_name == attempt.scheduler_name).cloned();
        let uid = queued.info.uid().clone();
        let skip = if attempt.pod.meta.is_deleting() {
            Some(Skip::Deleting)
        } else if self.cache.is_assumed(&uid) {
            Some(Skip::Assumed)
        } else if !self.waiting.contains_key(&uid) {
            Some(Skip::Gone)
        } else {
            None
        };
        let (Some(framework), None) = (framework, skip) else {
            self.queue.done(&uid);
            attempt.decision = Decision::Skipped(skip.unwrap_or(Skip::Gone));
            return attempt;
        };
        let handle = Handle {
            framework: &framework,
            snapshot: &self.cache.snapshot,
            nominator: &self.queue.nominator,
        };
        if matches!(choice, Choice::Random(_))
            && let Some(missed) = self.memo.missed(&handle, &queued.info)
        {
            attempt.evaluated = missed.evaluated;
            missed.refused_by.iter().for_each(|plugin| queued.refused_by(plugin));
            attempt.decision = self.fail(now, queued, missed.failure);
            return attempt;
        }
        let sampling = Sampling {
            start: &mut self.next_start_node_index,
            all: matches!(choice, Choice::SmallestName),
            kept: self.memo.of(&framework, &queued.info),
        };
        match cycle::schedule_pod(&handle, &queued.info, sampling, choice) {
            Ok(placement) => {
                (attempt.evaluated, attempt.feasible) = (placement.evaluated, placement.feasible);
                attempt.decision = self.assume(now, queued, &framework, &placement);
            }
            Err(Miss::Unfit(search)) => {
                attempt.evaluated = search.diagnosis.statuses.len();
                attempt.decision = self.post_filter(now, queued, &framework, *search, choice);
            }
            Err(Miss::NoNodes) => {
                let causes = vec![(Str::from(framework::cause::NO_NODES), 1)];
                attempt.decision =
                    self.fail(now, queued, Failure { causes, ..failure(UNSCHEDULABLE, NO_NODES.to_owned()) });
            }
            Err(Miss::Broken(status)) => {
                attempt.decision = self.fail(now, queued, failure(SCHEDULER_ERROR, status.message()));
            }
        }
        attempt
    }

    /// The Pod has a node: it counts as being there, and what it needs beside is reserved.
    fn assume(
        &mut self,
        now: SimTime,
        mut queued: Queued,
        framework: &Framework,
        placement: &cycle::Placement,
    ) -> Decision {
        let snapshot = &self.cache.snapshot;
        let node = snapshot.node(placement.node);
        let name = node.name().clone();
        match framework.run_reserve(snapshot, &placement.state, &queued.info, node) {
            Ok(volumes) => {
                let annotations = framework.annotations(snapshot, &placement.state, &queued.info, node);
                self.cache.assume(&queued.info, &name, &annotations);
                self.queue.nominator.remove(queued.info.uid());
                self.queue.done(queued.info.uid());
                self.cache.snapshot.listers.assume(&volumes);
                self.binding.insert(queued.info.uid().clone(), (queued, volumes.clone()));
                Decision::Bind(Binding { node: name, volumes, annotations })
            }
            Err(status) if status.is_rejected() => {
                queued.refused_by(status.plugin);
                let mut statuses = framework::NodeStatuses::new();
                statuses.set(placement.node, status);
                let message = fit_error(1, "", &statuses, "");
                let causes = count_causes(1, false, &statuses);
                self.fail(now, queued, Failure { causes, ..failure(UNSCHEDULABLE, message) })
            }
            Err(status) => self.fail(now, queued, failure(SCHEDULER_ERROR, status.message())),
        }
    }

    /// No node passed: PostFilter may make room.
    fn post_filter(
        &mut self,
        now: SimTime,
        mut queued: Queued,
        framework: &Framework,
        search: Search,
        choice: &mut Choice<'_>,
    ) -> Decision {
        let Search { diagnosis, state, of_its_sort, .. } = search;
        for plugin in &diagnosis.unschedulable_plugins {
            queued.refused_by(plugin);
        }
        let nodes = self.cache.snapshot.len();
        let in_pre_filter = !diagnosis.pre_filter_message.is_empty();
        let mut failure = Failure {
            nomination: Nomination::Keep,
            causes: count_causes(nodes, in_pre_filter, &diagnosis.statuses),
            ..failure(UNSCHEDULABLE, String::new())
        };
        let mut said = String::new();
        if framework.has_post_filter() {
            let handle =
                Handle { framework, snapshot: &self.cache.snapshot, nominator: &self.queue.nominator };
            let found = handle.run_post_filter(&state, &queued.info, &diagnosis.statuses, choice);
            said = found.status.as_ref().map(Status::message).unwrap_or_default();
            failure.nomination = found.nomination.unwrap_or(Nomination::Keep);
            let victims = found.victims.iter().filter(|v| !v.pod.meta.is_deleting());
            failure.victims = victims.map(|v| v.pod.meta.key()).collect();
            failure.clear_nominations = found.clear_nominations;
        }
        failure.message = fit_error(nodes, &diagnosis.pre_filter_message, &diagnosis.statuses, &said);
        if of_its_sort {
            let handle =
                Handle { framework, snapshot: &self.cache.snapshot, nominator: &self.queue.nominator };
            let asked = (diagnosis.statuses.len(), queued.unschedulable_plugins.as_slice());
            self.memo.miss(&handle, &queued.info, asked, &failure);
        }
        if !failure.victims.is_empty() {
            // Until the victims are dealt with the Pod stays out of the active queue.
            self.preempting.insert(queued.info.uid().clone());
        }
        self.fail(now, queued, failure)
    }

    /// Puts a Pod back into the queue after a failed attempt.
    fn fail(&mut self, now: SimTime, mut queued: Queued, failure: Failure) -> Decision {
        let uid = queued.info.uid().clone();
        match self.waiting.get(&uid).cloned() {
            None => self.queue.done(&uid),
            Some(pod) => {
                if !Arc::ptr_eq(&pod, &queued.info.pod) {
                    queued.info = self.cache.info(pod);
                }
                let info = queued.info.clone();
                let (queue, env) = self.split(now);
                queue.add_unschedulable(&env, queued);
                queue.nominate(&info, &failure.nomination);
            }
        }
        Decision::Failed(Box::new(failure))
    }

    /// A binding was written. The Pod stays assumed until it is heard of with its node.
    pub fn finish_binding(&mut self, _now: SimTime, _key: &ObjectKey, uid: &str) {
        self.binding.remove(uid);
    }

    /// A binding failed, for a reason in the API's words. Gives what is to be written; nothing if the Pod is gone.
    ///
    /// Upstream: `handleBindingCycleError`: the room it held is free again, which may help others; the Pod itself
    /// backs off as after a fault.
    pub fn binding_failed(
        &mut self,
        now: SimTime,
        _key: &ObjectKey,
        uid: &Uid,
        why: &str,
    ) -> Option<Failure> {
        let (queued, volumes) = self.binding.remove(uid)?;
        self.cache.snapshot.listers.revert(&volumes);
        let assumed = self.cache.forget(uid)?;
        let event = ClusterEvent::new(EventResource::AssignedPod, ActionType::DELETE);
        let old = Object::Pod(assumed.pod.clone());
        let (queue, env) = self.split(now);
        queue.move_all(&env, event, Some(&old), None, |_| true);
        if !self.waiting.contains_key(uid) {
            return None;
        }
        match self.fail(now, queued, failure(SCHEDULER_ERROR, why.to_owned())) {
            Decision::Failed(failure) => Some(*failure),
            Decision::Bind(_) | Decision::Skipped(_) => None,
        }
    }

    /// The victims of a Pod's preemption are being deleted, all but the last: the Pod may be tried again.
    pub fn preemption_issued(&mut self, _now: SimTime, _key: &ObjectKey, uid: &str) {
        self.preempting.remove(uid);
    }

    /// A victim was gone when its turn came, so perhaps nothing else will wake the Pod: it is tried again at once.
    pub fn preemption_found_nobody(&mut self, now: SimTime, uid: &str) {
        self.preempting.remove(uid);
        if let Some(pod) = self.waiting.get(uid).cloned() {
            let (queue, env) = self.split(now);
            queue.activate(&env, &pod);
        }
    }
}

fn failure(reason: &'static str, message: String) -> Failure {
    Failure {
        reason,
        message,
        nomination: Nomination::Clear,
        victims: Vec::new(),
        clear_nominations: Vec::new(),
        causes: Vec::new(),
    }
}
