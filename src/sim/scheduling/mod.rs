//! Drives the scheduler and writes what it decides.
//!
//! The scheduler hears of what is written after the latency `watch`. A cycle takes [`CYCLE_TIME`], and one that finds no
//! node also the call that writes so, if there is something new to say. Bindings ([`binding`]) and evictions
//! ([`evicting`]) run beside the cycles. Calls go out at the pace of the scheduler's API budget.
//!
//! Upstream: `pkg/scheduler/schedule_one.go`, v1.34 (the gate `SchedulerAsyncAPICalls` is off).
//!
//! # Fidelity
//! * The time of a cycle is a constant; the real one grows with the cluster (about 2 ms at 5,000 nodes).
//! * What a cycle finds is written at its beginning; the calls it makes are waited for after that.

mod binding;
mod evicting;
mod inbox;

use std::borrow::Cow;
use std::cell::LazyCell;

use super::alarm::Alarm;
use super::event::{Event, Placement, Preemption, PreemptionStage};
use super::world::World;
use crate::api::condition::{self, Condition};
use crate::api::pod::cond;
use crate::api::{ConditionStatus, EventType, ObjectKey, ObjectRef, Pod};
use crate::base::{Arc, SimDuration, SimTime, Str, text::lit};
use crate::controller::ApiBudget;
use crate::kernel::{Seed, Streams};
use crate::plan::Plan;
use crate::scheduler::{Attempt, Choice, Decision, Failure, Nomination, Scheduler, Skip};
use crate::store::{Change, Speaker, Words};
use inbox::Inbox;

/// One scheduling cycle.
pub const CYCLE_TIME: SimDuration = SimDuration::from_millis(1);
/// A call to the API server: a binding, a Pod's status.
pub const CALL_TIME: SimDuration = SimDuration::from_millis(5);

/// So many changes are heard of together at the latest: one after the other costs less than one here and there.
const HEARD_TOGETHER: usize = 64;

/// The scheduler with its pace.
#[derive(Clone, Debug)]
pub struct SchedulerDriver {
    inner: Scheduler,
    inbox: Inbox,
    budget: ApiBudget,
    /// The cycle that runs ends then.
    busy_until: SimTime,
    /// The earliest wake-up that has been asked for and has not come.
    wake: Alarm,
    attempts: u64,
    /// What it draws from, a stream for each cycle.
    draws: Streams,
}

impl SchedulerDriver {
    /// This scheduler at the pace that the plan gives it.
    pub fn new(scheduler: Scheduler, plan: &Plan) -> Self {
        let settings = &plan.settings.kube_scheduler;
        Self {
            inner: scheduler,
            inbox: Inbox::new(plan.latencies.watch),
            budget: ApiBudget::new(
                settings.kube_api_qps,
                u32::try_from(settings.kube_api_burst).unwrap_or(0),
            ),
            busy_until: SimTime::ZERO,
            wake: Alarm::default(),
            attempts: 0,
            draws: Seed(plan.seed).streams("scheduler"),
        }
    }

    /// The scheduler itself. It has not heard yet of what was written last: see [`Self::as_of`].
    pub const fn inner(&self) -> &Scheduler {
        &self.inner
    }

    /// The scheduler when it has heard of everything that reaches it up to this instant.
    pub fn as_of(&self, at: SimTime) -> Cow<'_, Scheduler> {
        if self.inbox.next(true).is_none_or(|arrives| arrives > at) {
            return Cow::Borrowed(&self.inner);
        }
        let mut copy = self.clone();
        copy.hear(at);
        Cow::Owned(copy.inner)
    }

    /// A change was written.
    pub fn on_change(&mut self, change: &Change, seed: Seed) {
        // Whatever has arrived is heard of before a cycle; until then it makes no difference when.
        if self.inbox.len() >= HEARD_TOGETHER {
            self.hear(change.at);
        }
        self.inbox.push(change, seed);
    }

    /// Hears of what has arrived by now.
    pub(super) fn hear(&mut self, now: SimTime) -> &mut Scheduler {
        while let Some((at, change)) = self.inbox.pop(now) {
            self.inner.change(at, change.old(), change.new());
        }
        &mut self.inner
    }

    /// When the next cycle can run, if there is anything to do.
    fn next(&self, now: SimTime) -> Option<SimTime> {
        let ready = self.inner.has_ready(now).then_some(now);
        let by_itself = self.inner.next_wakeup(now);
        let news = self.inbox.next(self.inner.awaits_changes());
        ready.into_iter().chain(by_itself).chain(news).min().map(|at| at.max(self.busy_until))
    }

    /// Makes a call at this instant that takes so long. When it has returned.
    fn call(&mut self, at: SimTime, takes: SimDuration) -> SimTime {
        let wait = self.budget.wait(at);
        self.budget.spend(at);
        at + wait + takes
    }
}

impl World {
    /// Queues the scheduler's next wake-up unless an earlier one is queued.
    pub(super) fn wake_scheduler(&mut self) {
        let now = self.store.now();
        let Some(at) = self.scheduler.next(now) else { return };
        if self.scheduler.wake.set(at, now) {
            self.schedule(at, Event::Scheduler);
        }
    }

    /// One scheduling cycle.
    pub(super) fn scheduling_cycle(&mut self) {
        let now = self.store.now();
        let driver = &mut self.scheduler;
        driver.wake.went_off(now);
        if driver.busy_until > now {
            return;
        }
        driver.hear(now).wake(now);
        let Some(queued) = driver.inner.pop(now) else { return };
        driver.attempts += 1;
        let (draws, attempts) = (&driver.draws, driver.attempts);
        let mut stream = LazyCell::new(|| draws.of(&[&attempts.to_le_bytes()]));
        let mut draw = |bound: u64| stream.below(bound);
        let attempt = driver.inner.schedule_one(now, queued, &mut Choice::Random(&mut draw));
        driver.busy_until = now + CYCLE_TIME;
        self.act_on(attempt);
    }

    fn act_on(&mut self, attempt: Attempt) {
        let now = self.store.now();
        let Attempt { pod, scheduler_name, decision, .. } = attempt;
        match decision {
            Decision::Skipped(Skip::Deleting) => {
                let message = format!("skip schedule deleting pod: {}", pod.meta.key());
                self.say_of_pod(&pod, &scheduler_name, EventType::Warning, lit!("FailedScheduling"), message);
            }
            Decision::Skipped(Skip::Assumed | Skip::Gone) => {}
            Decision::Failed(failure) => {
                if self.failed_scheduling(&pod, &scheduler_name, *failure) {
                    // The cycle waits for the answer.
                    self.scheduler.busy_until = self.scheduler.call(now + CYCLE_TIME, CALL_TIME);
                }
            }
            Decision::Bind(binding) => {
                let placement = Box::new(Placement {
                    pod: pod.meta.key(),
                    uid: pod.meta.uid.clone(),
                    node: binding.node,
                    scheduler_name,
                    volumes: binding.volumes,
                    annotations: binding.annotations,
                    deadline: now + binding::PRE_BIND_TIMEOUT,
                });
                let start = now + CYCLE_TIME;
                if placement.volumes.is_empty() {
                    let at = self.scheduler.call(start, CALL_TIME);
                    self.schedule(at, Event::Bind(placement));
                } else {
                    self.write_volume_steps(&placement);
                    self.schedule(start + binding::PRE_BIND_POLL, Event::PreBind(placement));
                }
            }
        }
    }

    /// Writes a failed attempt: event, condition, nomination, victims. Whether condition or nomination are new.
    fn failed_scheduling(&mut self, pod: &Pod, scheduler_name: &Str, failure: Failure) -> bool {
        let at = self.store.timestamp();
        self.say_of_pod(
            pod,
            scheduler_name,
            EventType::Warning,
            lit!("FailedScheduling"),
            failure.event_message(),
        );
        let before = self.pod_of(&pod.meta.key(), &pod.meta.uid);
        // The Pod may have gone or been bound by another hand meanwhile: then there is nothing to write.
        let after = self.store.update::<Pod>(&pod.meta.key(), |live| {
            if live.meta.uid != pod.meta.uid || live.node_name.is_some() {
                return;
            }
            condition::set(
                &mut live.status.conditions,
                Condition::new(
                    cond::POD_SCHEDULED,
                    ConditionStatus::False,
                    failure.reason,
                    failure.message.as_str(),
                    at,
                ),
            );
            match &failure.nomination {
                Nomination::Keep => {}
                Nomination::Set(node) => live.status.nominated_node = Some(node.clone()),
                Nomination::Clear => live.status.nominated_node = None,
            }
        });
        let is_new = matches!((before, after), (Some(before), Ok(after)) if !Arc::ptr_eq(&before, &after));
        if let Nomination::Set(node) = failure.nomination
            && !failure.victims.is_empty()
        {
            self.begin_eviction(Preemption {
                pod: pod.meta.key(),
                uid: pod.meta.uid.clone(),
                node,
                victims: failure.victims,
                clear_nominations: failure.clear_nominations,
                scheduler_name: scheduler_name.clone(),
                stage: PreemptionStage::MarkFirst,
                failed: false,
            });
        }
        is_new
    }

    fn say_of_pod(
        &mut self,
        pod: &Pod,
        source: &Str,
        event_type: EventType,
        reason: Str,
        message: impl Into<Str>,
    ) {
        let words = Words { reason, message: message.into() };
        self.store.emit_as(speaker(pod, source, event_type), words);
    }

    fn pod_of(&self, key: &ObjectKey, uid: &str) -> Option<Arc<Pod>> {
        self.store.get::<Pod>(key).filter(|pod| pod.meta.uid == uid).cloned()
    }
}

/// A scheduler that speaks of a Pod.
fn speaker(pod: &Pod, scheduler_name: &Str, event_type: EventType) -> Speaker {
    let regarding = ObjectRef::to(pod);
    Speaker { source: scheduler_name.clone(), host: Str::new(), regarding, event_type, series: true }
}
