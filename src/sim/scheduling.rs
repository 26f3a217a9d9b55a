//! Drives the scheduler and writes what it decides.
//!
//! A cycle takes [`CYCLE_TIME`]; bindings run beside it and each takes [`BIND_TIME`], at the pace of the
//! scheduler's API budget. Upstream: `pkg/scheduler/schedule_one.go`, v1.34.
//!
//! # Fidelity
//! The time of a cycle is a constant; the real one grows with the cluster (about 2 ms at 5,000 nodes).

use super::event::{Event, Placement, Preemption};
use super::world::World;
use crate::api::condition::{self, Condition};
use crate::api::pod::cond;
use crate::api::storage::{self, ClaimPhase, ClaimRef, PersistentVolume, PersistentVolumeClaim};
use crate::api::{ConditionStatus, EventType, ObjectKey, ObjectRef, Pod};
use crate::base::{SimDuration, SimTime, Str, text::lit};
use crate::controller::ApiBudget;
use crate::plan::Plan;
use crate::scheduler::{Attempt, Choice, Decision, Failure, Nomination, Scheduler, Skip, VolumeStep};
use crate::store::{Change, DeleteOptions, Emit};

/// From a write to the scheduler's hearing of it.
const WATCH_DELAY: SimDuration = SimDuration::from_millis(4);
/// One scheduling cycle.
pub const CYCLE_TIME: SimDuration = SimDuration::from_millis(1);
/// From the decision to the binding.
pub const BIND_TIME: SimDuration = SimDuration::from_millis(5);
/// How often bound claims are looked for (`volumebinding/binder.go`: `BindVolumes` polls).
const PRE_BIND_POLL: SimDuration = SimDuration::from_secs(1);
/// `bindTimeoutSeconds` of VolumeBinding.
const PRE_BIND_TIMEOUT: SimDuration = SimDuration::from_secs(600);

/// The scheduler with its pace.
#[derive(Clone, Debug)]
pub struct SchedulerDriver {
    inner: Scheduler,
    budget: ApiBudget,
    /// The cycle that runs ends then.
    busy_until: SimTime,
    /// The earliest wake-up that has been asked for and has not come.
    wake: Option<SimTime>,
    /// The first Pod to wait is heard of then.
    ready_from: SimTime,
    attempts: u64,
}

impl SchedulerDriver {
    /// A scheduler for this plan.
    pub fn new(plan: &Plan) -> Self {
        let settings = &plan.settings.kube_scheduler;
        Self {
            inner: super::bootstrap::scheduler(plan),
            budget: ApiBudget::new(
                settings.kube_api_qps,
                u32::try_from(settings.kube_api_burst).unwrap_or(0),
            ),
            busy_until: SimTime::ZERO,
            wake: None,
            ready_from: SimTime::ZERO,
            attempts: 0,
        }
    }

    /// The scheduler itself.
    pub const fn inner(&self) -> &Scheduler {
        &self.inner
    }

    /// Hears of a change.
    pub fn on_change(&mut self, change: &Change) {
        let idle = !self.inner.has_ready(change.at);
        self.inner.change(change.at, change.old.as_ref(), change.new());
        if idle && self.inner.has_ready(change.at) {
            self.ready_from = change.at + WATCH_DELAY;
        }
    }

    /// When the next cycle can run, if there is anything to do.
    fn next(&mut self, now: SimTime) -> Option<SimTime> {
        let ready = self.inner.has_ready(now).then(|| self.ready_from.max(now));
        let by_itself = self.inner.next_wakeup(now);
        ready.into_iter().chain(by_itself).min().map(|at| at.max(self.busy_until))
    }
}

impl World {
    /// Queues the scheduler's next wake-up unless an earlier one is queued.
    pub(super) fn wake_scheduler(&mut self) {
        let now = self.store.now();
        let Some(at) = self.scheduler.next(now) else { return };
        if self.scheduler.wake.is_none_or(|wake| at < wake || wake < now) {
            self.scheduler.wake = Some(at);
            self.schedule(at, Event::Scheduler);
        }
    }

    /// One scheduling cycle.
    pub(super) fn scheduling_cycle(&mut self) {
        let now = self.store.now();
        let driver = &mut self.scheduler;
        driver.wake = driver.wake.filter(|wake| *wake > now);
        if driver.busy_until > now || driver.ready_from > now {
            return;
        }
        driver.inner.wake(now);
        let Some(queued) = driver.inner.pop(now) else { return };
        driver.attempts += 1;
        let mut stream = self.store.seed().stream_of("scheduler", &[&driver.attempts.to_le_bytes()]);
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
            Decision::Failed(failure) => self.failed_scheduling(&pod, &scheduler_name, *failure),
            Decision::Bind(binding) => {
                let placement = Box::new(Placement {
                    pod: pod.meta.key(),
                    uid: pod.meta.uid.clone(),
                    node: binding.node,
                    scheduler_name,
                    volumes: binding.volumes,
                    deadline: now + PRE_BIND_TIMEOUT,
                });
                let start = now + CYCLE_TIME;
                if placement.volumes.is_empty() {
                    let at = self.bind_instant(start);
                    self.schedule(at, Event::Bind(placement));
                } else {
                    self.write_volume_steps(&placement);
                    self.schedule(start + PRE_BIND_POLL, Event::PreBind(placement));
                }
            }
        }
    }

    /// When a binding that is ready at `ready` is written, at the pace of the API budget.
    fn bind_instant(&mut self, ready: SimTime) -> SimTime {
        let wait = self.scheduler.budget.wait(ready);
        self.scheduler.budget.spend(ready);
        ready + wait + BIND_TIME
    }

    fn write_volume_steps(&mut self, placement: &Placement) {
        for step in &placement.volumes {
            let written = match step {
                VolumeStep::Bind { claim, volume } => {
                    let uid = self.store.get::<PersistentVolumeClaim>(claim).map(|c| c.meta.uid.clone());
                    let claim = ClaimRef { key: claim.clone(), uid: uid.unwrap_or_default() };
                    self.store
                        .update::<PersistentVolume>(&ObjectKey::cluster(volume), |pv| {
                            pv.claim_ref = Some(claim);
                            pv.meta.annotations =
                                pv.meta.annotations.with(storage::annotation::BOUND_BY_CONTROLLER, "yes");
                        })
                        .map(|_| ())
                }
                VolumeStep::Provision { claim, node } => self
                    .store
                    .update::<PersistentVolumeClaim>(claim, |pvc| {
                        pvc.meta.annotations =
                            pvc.meta.annotations.with(storage::annotation::SELECTED_NODE, node.clone());
                    })
                    .map(|_| ()),
                VolumeStep::Wait { .. } => Ok(()),
            };
            // A claim or volume that vanished meanwhile is found missing when the claims are looked at.
            let _ = written;
        }
    }

    /// Looks whether the claims of a placed Pod are bound by now.
    pub(super) fn pre_bind(&mut self, placement: Placement) {
        let now = self.store.now();
        if self.pod_of(&placement.pod, &placement.uid).is_none() {
            self.scheduler.inner.binding_failed(now, &placement.pod, &placement.uid, "pod is gone");
            return;
        }
        match self.claims_bound(&placement) {
            Ok(true) => {
                let at = self.bind_instant(now);
                self.schedule(at, Event::Bind(Box::new(placement)));
            }
            Ok(false) if now < placement.deadline => {
                self.schedule(now + PRE_BIND_POLL, Event::PreBind(Box::new(placement)));
            }
            Ok(false) => self.volumes_fail(&placement, "context deadline exceeded"),
            Err(why) => self.volumes_fail(&placement, &why),
        }
    }

    /// Upstream: `volumebinding/binder.go` `checkBindings`, v1.34.
    fn claims_bound(&self, placement: &Placement) -> Result<bool, String> {
        let node = self.store.find::<crate::api::Node>("", &placement.node);
        let node = node.ok_or_else(|| format!("failed to get node {:?}: not found", placement.node))?;
        let mut all = true;
        for step in &placement.volumes {
            let (VolumeStep::Provision { claim, .. }
            | VolumeStep::Bind { claim, .. }
            | VolumeStep::Wait { claim }) = step;
            let Some(pvc) = self.store.get::<PersistentVolumeClaim>(claim) else {
                return Err(format!("failed to get pvc {claim} from the cache: not found"));
            };
            let volume = match step {
                VolumeStep::Bind { volume, .. } => volume,
                VolumeStep::Provision { .. } | VolumeStep::Wait { .. } => &pvc.spec.volume_name,
            };
            if let VolumeStep::Provision { node, .. } = step {
                still_selected(pvc, node)?;
            }
            if let Some(pv) = self.store.find::<PersistentVolume>("", volume) {
                let reachable =
                    pv.node_affinity.as_ref().is_none_or(|a| a.matches(&node.meta.name, &node.meta.labels));
                if !reachable {
                    let (pv, node) = (&pv.meta.name, &node.meta.name);
                    return Err(format!(
                        "pv {pv:?} node affinity doesn't match node {node:?}: no matching NodeSelectorTerms"
                    ));
                }
                let reserved = pv.claim_ref.as_ref().is_some_and(|r| !r.uid.is_empty());
                if matches!(step, VolumeStep::Bind { .. }) && !reserved {
                    return Err(format!("ClaimRef got reset for pv {:?}", pv.meta.name));
                }
            }
            all &= pvc.phase == ClaimPhase::Bound
                && pvc.meta.annotations.contains_key(storage::annotation::BIND_COMPLETED);
        }
        Ok(all)
    }

    fn volumes_fail(&mut self, placement: &Placement, why: &str) {
        let message = format!("running PreBind plugin \"VolumeBinding\": binding volumes: {why}");
        self.binding_fails(placement, &message);
    }

    fn binding_fails(&mut self, placement: &Placement, why: &str) {
        let now = self.store.now();
        let failure = self.scheduler.inner.binding_failed(now, &placement.pod, &placement.uid, why);
        let Some(pod) = self.pod_of(&placement.pod, &placement.uid) else { return };
        if let Some(failure) = failure {
            self.failed_scheduling(&pod, &placement.scheduler_name, failure);
        }
    }

    /// Binds a Pod: the API server sets the node and the condition `PodScheduled`.
    ///
    /// Upstream: `pkg/registry/core/pod/storage/storage.go` (`assignPod`), v1.34.
    pub(super) fn bind(&mut self, placement: &Placement) {
        let now = self.store.now();
        let Some(pod) = self.pod_of(&placement.pod, &placement.uid) else {
            self.scheduler.inner.binding_failed(now, &placement.pod, &placement.uid, "pod is gone");
            return;
        };
        if pod.meta.is_deleting() {
            let why = format!(
                "Operation cannot be fulfilled on pods/binding \"{}\": pod {} is being deleted, cannot be assigned to a host",
                pod.meta.name, pod.meta.name
            );
            self.binding_fails(placement, &why);
            return;
        }
        let at = self.store.timestamp();
        let node = placement.node.clone();
        let bound = self.store.update::<Pod>(&placement.pod, |pod| {
            pod.node_name = Some(node);
            pod.status.nominated_node = None;
            condition::set(
                &mut pod.status.conditions,
                Condition::new(cond::POD_SCHEDULED, ConditionStatus::True, "", "", at),
            );
        });
        match bound {
            Ok(pod) => {
                self.scheduler.inner.finish_binding(now, &placement.pod, &placement.uid);
                let message = format!("Successfully assigned {} to {}", placement.pod, placement.node);
                self.say_of_pod(
                    &pod,
                    &placement.scheduler_name,
                    EventType::Normal,
                    lit!("Scheduled"),
                    message,
                );
            }
            Err(why) => self.binding_fails(placement, &why.to_string()),
        }
    }

    /// Writes a failed attempt: condition, nomination, event, victims.
    fn failed_scheduling(&mut self, pod: &Pod, scheduler_name: &Str, failure: Failure) {
        let now = self.store.now();
        let at = self.store.timestamp();
        self.say_of_pod(
            pod,
            scheduler_name,
            EventType::Warning,
            lit!("FailedScheduling"),
            failure.event_message(),
        );
        self.scheduler.budget.spend(now);
        // The Pod may have gone or been bound by another hand meanwhile: then there is nothing to write.
        let _ = self.store.update::<Pod>(&pod.meta.key(), |live| {
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
        for key in &failure.clear_nominations {
            let _ = self.store.update::<Pod>(key, |pod| pod.status.nominated_node = None);
        }
        if let Nomination::Set(node) = &failure.nomination
            && !failure.victims.is_empty()
        {
            let preemption = Preemption {
                pod: pod.meta.key(),
                uid: pod.meta.uid.clone(),
                node: node.clone(),
                victims: failure.victims.clone(),
                scheduler_name: scheduler_name.clone(),
            };
            self.schedule(now + BIND_TIME, Event::Preempt(Box::new(preemption)));
        } else if matches!(failure.nomination, Nomination::Set(_)) {
            self.scheduler.inner.preemption_issued(now, &pod.meta.key(), &pod.meta.uid);
        }
    }

    /// Evicts the victims of a preemption.
    ///
    /// Upstream: `pkg/scheduler/framework/preemption/executor.go`, v1.34: the condition first, then the
    /// deletion; the preemptor may be tried again just before the last one.
    pub(super) fn preempt(&mut self, preemption: &Preemption) {
        let now = self.store.now();
        let at = self.store.timestamp();
        let message =
            format!("{}: preempting to accommodate a higher priority pod", preemption.scheduler_name);
        let mut nobody = true;
        for (index, key) in preemption.victims.iter().enumerate() {
            let marked = self.store.update::<Pod>(key, |victim| {
                condition::set(
                    &mut victim.status.conditions,
                    Condition::new(
                        cond::DISRUPTION_TARGET,
                        ConditionStatus::True,
                        "PreemptionByScheduler",
                        message.as_str(),
                        at,
                    ),
                );
            });
            if index + 1 == preemption.victims.len() {
                self.scheduler.inner.preemption_issued(now, &preemption.pod, &preemption.uid);
            }
            // A victim that went by itself has made its room.
            let Ok(victim) = marked else { continue };
            nobody &= self.store.delete::<Pod>(key, &DeleteOptions::default()).is_err();
            let note = format!("Preempted by pod {} on node {}", preemption.uid, preemption.node);
            self.say_of_pod(&victim, &preemption.scheduler_name, EventType::Normal, lit!("Preempted"), note);
        }
        if nobody {
            self.scheduler.inner.preemption_found_nobody(now, &preemption.uid);
        }
    }

    fn say_of_pod(
        &mut self,
        pod: &Pod,
        source: &Str,
        event_type: EventType,
        reason: Str,
        message: impl Into<Str>,
    ) {
        self.store.emit(Emit {
            source: source.clone(),
            host: Str::new(),
            regarding: ObjectRef::to(pod),
            event_type,
            reason,
            message: message.into(),
            series: true,
        });
    }

    fn pod_of(&self, key: &ObjectKey, uid: &str) -> Option<std::sync::Arc<Pod>> {
        self.store.get::<Pod>(key).filter(|pod| pod.meta.uid == uid).cloned()
    }
}

/// Whether the provisioner still works for the node that was chosen. If it has given the claim back, the scheduler begins
/// again.
fn still_selected(claim: &PersistentVolumeClaim, node: &str) -> Result<(), String> {
    let name = &claim.meta.name;
    match claim.meta.annotations.get(storage::annotation::SELECTED_NODE) {
        Some(selected) if selected == node => Ok(()),
        None if claim.meta.annotations.is_empty() => {
            Err(format!("selectedNode annotation reset for PVC {name:?}"))
        }
        None | Some(_) => Err(format!("provisioning failed for PVC {name:?}")),
    }
}
