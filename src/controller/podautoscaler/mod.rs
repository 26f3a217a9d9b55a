//! The HorizontalPodAutoscaler controller: looks at metrics every 15 s and sets the size of its target.
//!
//! * [`scale`]: the target's scale. * [`metrics`]: what each metric proposes. * [`calculate`]: from samples to replicas.
//! * [`normalize`]: stabilisation, rates and bounds.
//!
//! Upstream: `pkg/controller/podautoscaler/{horizontal,rate_limiters}.go`, v1.34.
//!
//! # Fidelity
//! A look takes [`LOOK_TIME`], by which the looks drift, as the recorded ones do. A look whose answer cannot
//! differ from the last one is left out; the next one is made at the instant at which it would have been made. The
//! controller never restarts, so that what it remembers is never lost. Writing a scale or a status never fails: `FailedRescale`
//! and `FailedUpdateStatus` are not seen. The gate `HPAScaleToZero` cannot be switched on: `minReplicas` is 1 or more. The flags of
//! the forbidden windows, which upstream takes and ignores, are unknown.

pub mod calculate;
pub mod metrics;
pub mod normalize;
pub mod scale;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::condition::{self, Condition};
use crate::api::policy::HorizontalPodAutoscaler;
use crate::api::selectors::Selectors;
use crate::api::{ConditionStatus, EventType, Kind, LabelSelector, ObjectKey, ObjectRef, Pod};
use crate::base::{Arc, Few, LookupMap, LookupSet, SimDuration, SimTime, Str, Timestamp};
use crate::controller::aspects::Aspects;
use crate::params::settings::ControllerManager;
use crate::store::{Change, ObjId, Store};
use calculate::Selected;
use metrics::{Outcome, Seeing};
use normalize::{Bounds, Memory};
use scale::Scale;

/// What a look takes, API calls and metrics included.
pub const LOOK_TIME: SimDuration = SimDuration::from_millis(15);

/// No sample's window is longer.
const SETTLED_AFTER: SimDuration = SimDuration::from_secs(120);

const ABLE_TO_SCALE: &str = "AbleToScale";
const SCALING_ACTIVE: &str = "ScalingActive";
const SCALING_LIMITED: &str = "ScalingLimited";

/// The HorizontalPodAutoscaler controller.
#[derive(Clone, Debug)]
pub struct HorizontalController {
    flags: ControllerManager,
    scalers: LookupMap<ObjectKey, Scaler>,
    /// Counts what makes all that is kept of metrics worthless.
    era: u64,
    /// The selectors of all autoscalers' targets, as they are now.
    selectors: Selectors<ObjectKey>,
    /// Autoscalers by namespace and name of their target.
    by_target: LookupMap<(Str, Str), BTreeSet<ObjectKey>>,
}

/// What is remembered of one autoscaler.
#[derive(Clone, Debug)]
struct Scaler {
    memory: Memory,
    /// The last look that was made or would have been made.
    last: SimTime,
    /// Whether looks are left out.
    asleep: bool,
    /// What the metrics proposed at the last look at them.
    kept: Option<Arc<Kept>>,
    /// When that was.
    era: u64,
    /// The earliest instant from which on they may propose something else.
    until: Option<SimTime>,
}

/// What metrics proposed, without any failure.
#[derive(Debug)]
struct Kept {
    statuses: Vec<metrics::Seen>,
    replicas: i32,
    name: String,
}

/// What became of a look.
struct Look {
    /// Whether anything was written or said.
    moved: bool,
    /// The earliest instant at which the next look can come to another end, as far as is known.
    horizon: Option<SimTime>,
}

impl HorizontalController {
    /// With these flags.
    pub fn new(flags: &ControllerManager) -> Self {
        Self {
            flags: flags.clone(),
            scalers: LookupMap::new(),
            era: 0,
            selectors: Selectors::default(),
            by_target: LookupMap::new(),
        }
    }

    const fn period(&self) -> SimDuration {
        SimDuration::from_nanos(
            self.flags.horizontal_pod_autoscaler_sync_period.as_nanos() + LOOK_TIME.as_nanos(),
        )
    }

    /// Makes sure that a sleeping autoscaler looks at the first instant of its grid from `at` on.
    fn wake(&mut self, key: &ObjectKey, at: SimTime, out: &mut Enqueue) {
        let period = self.period();
        let Some(scaler) = self.scalers.get_mut(key) else { return };
        scaler.until = scaler.until.into_iter().chain([at]).min();
        if scaler.asleep {
            out.at(WorkKey::sync(key.clone()), next_look(scaler.last, period, at));
        }
    }

    /// An autoscaler has come, or has another target.
    fn aim(&mut self, key: &ObjectKey, old: Option<&HorizontalPodAutoscaler>, store: &Store) {
        let target = |hpa: &HorizontalPodAutoscaler| (key.namespace.clone(), hpa.target_name.clone());
        let new = store.get::<HorizontalPodAutoscaler>(key);
        if let Some(there) = old.and_then(|old| self.by_target.get_mut(&target(old))) {
            there.remove(key);
        }
        if let Some(new) = new {
            self.by_target.or_insert_with(target(new), BTreeSet::new).insert(key.clone());
            let scale = Scale::get(store, &key.namespace, &new.spec.value.scale_target_ref);
            let selector = scale.map_or(LabelSelector::Nothing, |scale| scale.selector().clone());
            // Whoever looks at the same Pods must know.
            if self.selectors.set(key, &key.namespace, &selector) {
                self.era += 1;
            }
        } else {
            self.selectors.remove(key);
            self.era += 1;
        }
    }

    fn look(&mut self, key: &ObjectKey, hpa: &Arc<HorizontalPodAutoscaler>, ctx: &mut Ctx<'_>) -> Look {
        let now = ctx.now();
        let period = self.period();
        let era = self.era;
        let scaler = self.scalers.or_insert_with(key.clone(), || Scaler {
            memory: Memory::default(),
            last: now,
            asleep: false,
            kept: None,
            era,
            until: None,
        });
        if std::mem::replace(&mut scaler.era, era) != era {
            scaler.kept = None;
        }
        if std::mem::take(&mut scaler.asleep) && now >= scaler.last + period {
            let longest = windows(&self.flags, hpa).max().unwrap_or_default();
            scaler.memory.backfill(now.minus(period), now.minus(longest));
        }
        scaler.last = now;
        let mut draft = Draft::new(hpa);
        let scale = match Scale::get(ctx.store(), &key.namespace, &hpa.spec.value.scale_target_ref) {
            Ok(scale) => scale,
            Err(why) => {
                draft.warn(ctx, "FailedGetScale", &why);
                let message =
                    format!("the HPA controller was unable to get the target's current scale: {why}");
                draft.condition(ctx, ABLE_TO_SCALE, false, "FailedGetScale", message);
                return draft.finish(ctx, None);
            }
        };
        draft.able(
            ctx,
            ("SucceededGetScale", "the HPA controller was able to get the target's current scale"),
        );
        scaler.memory.begin(now, scale.replicas);
        scaler.kept = decide((&self.flags, &self.selectors), scaler, &mut draft, &scale, ctx);
        draft.settle(ctx);
        let (flags, scaler) = (&self.flags, &*scaler);
        let horizon = if draft.moves() { None } else { horizon(flags, scaler, hpa, now) };
        draft.finish(ctx, horizon)
    }
}

/// The first look at or after `now`.
fn next_look(last: SimTime, period: SimDuration, now: SimTime) -> SimTime {
    if now <= last {
        last + period
    } else {
        now.next_on_grid(SimDuration::from_nanos(last.as_nanos()), period)
    }
}

/// Finds the size and sets it. What the metrics proposed, if it can be kept.
fn decide(
    (flags, selectors): (&ControllerManager, &Selectors<ObjectKey>),
    scaler: &mut Scaler,
    draft: &mut Draft,
    scale: &Scale,
    ctx: &mut Ctx<'_>,
) -> Option<Arc<Kept>> {
    let now = ctx.now();
    // Metrics of which nothing has changed propose what they proposed.
    let known = scaler.kept.take().filter(|_| scaler.until.is_none_or(|at| at > now));
    if known.is_none() {
        scaler.until = None;
    }
    let memory = &mut scaler.memory;
    let mut kept = None;
    let hpa = Arc::clone(&draft.hpa);
    let bounds = Bounds { min: hpa.min_replicas, max: hpa.max_replicas, current: scale.replicas };
    let behavior = hpa.spec.value.behavior.as_ref();
    let mut statuses = Vec::new();
    let (desired, reason) = if bounds.current == 0 && bounds.min != 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        draft.condition(ctx, SCALING_ACTIVE, false, "ScalingDisabled", message);
        (0, String::new())
    } else if bounds.current > bounds.max {
        (bounds.max, "Current number of replicas above Spec.MaxReplicas".to_owned())
    } else if bounds.current < bounds.min {
        (bounds.min, "Current number of replicas below Spec.MinReplicas".to_owned())
    } else {
        let found = match known {
            Some(known) => Ok(known),
            None => {
                let pods = ctx.store().select_pod_ids(&hpa.meta.namespace, scale.selector());
                scaler.until = settled(flags, &pods, ctx);
                let (statuses, outcome) =
                    metrics::propose(flags, draft, scale, Seeing { pods: &pods, selectors }, ctx);
                draft.speak(ctx);
                match outcome {
                    Outcome::Valid { replicas, name } => Ok(Arc::new(Kept { statuses, replicas, name })),
                    Outcome::Invalid(error) => Err((statuses, error)),
                }
            }
        };
        let found = match found {
            Ok(found) => found,
            Err((statuses, error)) => {
                draft.status.current_replicas = bounds.current;
                draft.status.current_metrics = statuses;
                draft.settle(ctx);
                draft.write(ctx);
                draft.warn(ctx, "FailedComputeMetricsReplicas", &error);
                return None;
            }
        };
        statuses.clone_from(&found.statuses);
        let (proposed, name) = (found.replicas.max(0), &found.name);
        kept = (!draft.said).then(|| Arc::clone(&found));
        let reason = match proposed.cmp(&bounds.current) {
            std::cmp::Ordering::Greater => format!("{name} above target"),
            std::cmp::Ordering::Less => "All metrics below target".to_owned(),
            std::cmp::Ordering::Equal => String::new(),
        };
        let window = flags.horizontal_pod_autoscaler_downscale_stabilization;
        let normalized = match behavior {
            None => memory.plain(now, proposed, bounds, window),
            Some(behavior) => memory.with_behavior(now, proposed, bounds, behavior, window),
        };
        draft.able(ctx, normalized.able);
        draft.condition(ctx, SCALING_LIMITED, normalized.limited, normalized.limit.0, normalized.limit.1);
        (normalized.replicas, reason)
    };
    if desired != bounds.current {
        if let Err(why) = scale.set(ctx, desired) {
            draft.warn(ctx, "FailedRescale", &format!("New size: {desired}; reason: {reason}; error: {why}"));
            let message = format!("the HPA controller was unable to update the target scale: {why}");
            draft.condition(ctx, ABLE_TO_SCALE, false, "FailedUpdateScale", message);
            draft.status.current_replicas = bounds.current;
            draft.status.current_metrics = statuses;
            return None;
        }
        let message = format!("the HPA controller was able to update the target scale to {desired}");
        draft.condition(ctx, ABLE_TO_SCALE, true, "SucceededRescale", message);
        draft.say(
            ctx,
            EventType::Normal,
            "SuccessfulRescale",
            &format!("New size: {desired}; reason: {reason}"),
        );
        memory.rescaled(now, bounds.current, desired, behavior);
        draft.status.last_scale_time = Some(ctx.timestamp());
    }
    draft.status.current_replicas = bounds.current;
    draft.status.desired_replicas = desired;
    draft.status.current_metrics = statuses;
    kept
}

/// The earliest instant at which the metrics of these Pods can propose something else though nothing is written meanwhile.
fn settled(flags: &ControllerManager, pods: &[Selected<'_>], ctx: &Ctx<'_>) -> Option<SimTime> {
    let (now, calendar) = (ctx.now(), ctx.store().calendar());
    let mut soon = ctx.metrics().next_change(now, pods);
    for (_, pod) in pods {
        let start = pod.status.start_time.map(|at| calendar.instant(at));
        let ready = pod.ready_condition().and_then(|c| c.transition).map(|at| calendar.instant(at));
        // A sample counts once it lies a whole window after the Pod became ready: every look is made until then.
        let unsettled = ready.filter(|at| *at + SETTLED_AFTER > now).map(|_| now);
        let begun = start.map(|at| at + flags.horizontal_pod_autoscaler_cpu_initialization_period);
        soon = soon.into_iter().chain(unsettled).chain(begun.filter(|at| *at > now)).min();
    }
    soon
}

/// The earliest instant at which a look can come to another end though nothing is written meanwhile.
fn horizon(
    flags: &ControllerManager,
    scaler: &Scaler,
    hpa: &HorizontalPodAutoscaler,
    now: SimTime,
) -> Option<SimTime> {
    let window = flags.horizontal_pod_autoscaler_downscale_stabilization;
    // What the last recommendation was; others still count until their window is over.
    let last = scaler.memory.recommendations.iter().max_by_key(|(at, _)| *at).map_or(0, |(_, r)| *r);
    let memory = match &hpa.spec.value.behavior {
        None => scaler.memory.next_shrink(now, last, window),
        Some(_) => {
            let windows: Vec<SimDuration> = windows(flags, hpa).collect();
            scaler.memory.next_change(now, last, &windows)
        }
    };
    memory.into_iter().chain(scaler.until).min()
}

/// For how long what is remembered counts, in one way or another.
fn windows(flags: &ControllerManager, hpa: &HorizontalPodAutoscaler) -> impl Iterator<Item = SimDuration> {
    let behavior = hpa.spec.value.behavior.iter();
    let rules = behavior.flat_map(|b| [&b.scale_up, &b.scale_down].into_iter().flatten());
    let seconds = rules.flat_map(|rules| {
        let policies = rules.policies.iter().flatten().map(|policy| policy.period_seconds);
        rules.stabilization_window_seconds.into_iter().chain(policies)
    });
    let own = seconds.map(|seconds| SimDuration::from_api_secs(i64::from(seconds)));
    std::iter::once(flags.horizontal_pod_autoscaler_downscale_stabilization).chain(own)
}

/// An autoscaler and the status that is being worked out.
pub(super) struct Draft {
    hpa: Arc<HorizontalPodAutoscaler>,
    status: Status,
    /// Whether anything was said.
    said: bool,
    /// What the condition [`ABLE_TO_SCALE`] says unless something else is said of it in the same look.
    able: Option<(&'static str, &'static str)>,
    /// Warnings that are to be said.
    unsaid: Vec<(&'static str, String)>,
}

/// What a look writes of an autoscaler.
struct Status {
    last_scale_time: Option<Timestamp>,
    current_replicas: i32,
    desired_replicas: i32,
    current_metrics: Vec<metrics::Seen>,
    conditions: Few<Condition>,
}

impl Status {
    fn of(hpa: &HorizontalPodAutoscaler) -> Self {
        Self {
            last_scale_time: hpa.last_scale_time,
            current_replicas: hpa.current_replicas,
            desired_replicas: hpa.desired_replicas,
            current_metrics: hpa.current_metrics.clone(),
            conditions: hpa.conditions.clone(),
        }
    }

    fn is_of(&self, hpa: &HorizontalPodAutoscaler) -> bool {
        self.last_scale_time == hpa.last_scale_time
            && self.current_replicas == hpa.current_replicas
            && self.desired_replicas == hpa.desired_replicas
            && self.current_metrics == hpa.current_metrics
            && self.conditions == hpa.conditions
    }
}

impl Draft {
    fn new(hpa: &Arc<HorizontalPodAutoscaler>) -> Self {
        Self { hpa: Arc::clone(hpa), status: Status::of(hpa), said: false, able: None, unsaid: Vec::new() }
    }

    fn condition(
        &mut self,
        ctx: &Ctx<'_>,
        kind: &'static str,
        holds: bool,
        reason: &'static str,
        message: impl AsRef<str>,
    ) {
        if kind == ABLE_TO_SCALE {
            self.able = None;
        }
        let words = (kind, ConditionStatus::of(holds), reason, message.as_ref());
        // What says nothing new leaves the list shared with the autoscaler's own.
        if !condition::says(&self.status.conditions, words) {
            condition::put(&mut self.status.conditions, words, ctx.timestamp());
        }
    }

    /// The target can be scaled: said at once if that is news, and else if nothing else is said of it until the draft is
    /// [settled](Draft::settle), since the last word counts.
    fn able(&mut self, ctx: &Ctx<'_>, (reason, message): (&'static str, &'static str)) {
        if condition::is_true(&self.status.conditions, ABLE_TO_SCALE) {
            self.able = Some((reason, message));
        } else {
            self.condition(ctx, ABLE_TO_SCALE, true, reason, message);
        }
    }

    /// Says what was put off.
    fn settle(&mut self, ctx: &Ctx<'_>) {
        if let Some((reason, message)) = self.able.take() {
            self.condition(ctx, ABLE_TO_SCALE, true, reason, message);
        }
    }

    fn say(&mut self, ctx: &mut Ctx<'_>, event_type: EventType, reason: &'static str, message: &str) {
        self.said = true;
        ctx.event(ObjectRef::to(&*self.hpa), event_type, reason, message);
    }

    fn warn(&mut self, ctx: &mut Ctx<'_>, reason: &'static str, message: &str) {
        self.say(ctx, EventType::Warning, reason, message);
    }

    /// A warning that is said with the next [`Draft::speak`].
    fn warn_later(&mut self, reason: &'static str, message: &str) {
        self.said = true;
        self.unsaid.push((reason, message.to_owned()));
    }

    /// Says the warnings that wait.
    fn speak(&mut self, ctx: &mut Ctx<'_>) {
        for (reason, message) in std::mem::take(&mut self.unsaid) {
            self.warn(ctx, reason, &message);
        }
    }

    /// Whether anything was said or is to be written.
    fn moves(&self) -> bool {
        self.said || !self.status.is_of(&self.hpa)
    }

    /// Writes the status.
    fn write(&self, ctx: &mut Ctx<'_>) {
        let status = &self.status;
        // An autoscaler that is gone has no status.
        let _ = ctx.update::<HorizontalPodAutoscaler>(&self.hpa.meta.key(), |live| {
            live.last_scale_time = status.last_scale_time;
            live.current_replicas = status.current_replicas;
            live.desired_replicas = status.desired_replicas;
            live.current_metrics.clone_from(&status.current_metrics);
            live.conditions = status.conditions.clone();
        });
    }

    fn finish(self, ctx: &mut Ctx<'_>, horizon: Option<SimTime>) -> Look {
        let moved = self.moves();
        if moved {
            self.write(ctx);
        }
        Look { moved, horizon }
    }
}

impl Controller for HorizontalController {
    fn name(&self) -> &'static str {
        "horizontal-pod-autoscaler"
    }

    fn workers(&self) -> usize {
        usize::try_from(self.flags.concurrent_horizontal_pod_autoscaler_syncs).unwrap_or(1).max(1)
    }

    fn needs(&self) -> Option<(Kind, Aspects)> {
        Some((Kind::HorizontalPodAutoscaler, Aspects::NONE))
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let meta = change.latest().meta();
        if let Some((old, new)) = change.of::<HorizontalPodAutoscaler>() {
            let key = change.key();
            let generation = |hpa: &Arc<HorizontalPodAutoscaler>| hpa.meta.generation;
            if old.map(generation) != new.map(generation) {
                self.aim(&key, old.map(AsRef::as_ref), store);
            }
            match (old, new) {
                (_, None) => {
                    self.scalers.remove(&key);
                }
                (None, Some(_)) => {
                    out.after(WorkKey::sync(key), self.flags.horizontal_pod_autoscaler_sync_period);
                }
                (Some(old), Some(new)) if old.meta.generation != new.meta.generation => {
                    self.era += 1;
                    self.wake(&key, change.at, out);
                }
                (Some(_), Some(_)) => {}
            }
        } else if change.of::<Pod>().is_some() {
            for key in self.selectors.matching(&meta.namespace, &meta.labels) {
                self.wake(&key, change.at, out);
            }
        } else {
            let target = (meta.namespace.clone(), meta.name.clone());
            for key in self.by_target.get(&target).cloned().into_iter().flatten() {
                self.aim(&key, None, store);
                self.wake(&key, change.at, out);
            }
        }
    }

    fn on_metrics_change(&mut self, at: SimTime, pods: Option<&[ObjId]>, store: &Store, out: &mut Enqueue) {
        let Some(pods) = pods else {
            let keys: BTreeSet<ObjectKey> =
                store.list::<HorizontalPodAutoscaler>().map(|hpa| hpa.meta.key()).collect();
            keys.iter().for_each(|key| self.wake(key, at, out));
            return;
        };
        let mut keys = BTreeSet::new();
        // Pods of one template share their labels, and their namespace.
        let mut seen = LookupSet::new();
        for pod in pods.iter().filter_map(|id| store.get_id::<Pod>(*id)) {
            let (namespace, labels) = (&pod.meta.namespace, &pod.meta.labels);
            if seen.insert((labels.place(), namespace.as_ptr())) {
                keys.extend(self.selectors.matching(namespace, labels));
            }
        }
        keys.iter().for_each(|key| self.wake(key, at, out));
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(hpa) = ctx.store().get::<HorizontalPodAutoscaler>(&key.key).cloned() else {
            self.scalers.remove(&key.key);
            return Action::Done;
        };
        let now = ctx.now();
        let look = self.look(&key.key, &hpa, ctx);
        let period = self.period();
        if look.moved {
            return Action::After(period);
        }
        if let Some(scaler) = self.scalers.get_mut(&key.key) {
            scaler.asleep = true;
        }
        match look.horizon {
            None => Action::Done,
            Some(at) => Action::After(next_look(now, period, at).since(now)),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
