//! One pass over the Pods of a StatefulSet: create, wait, scale down, update.
//!
//! Upstream: `updateStatefulSet` in `pkg/controller/statefulset/stateful_set_control.go`, v1.34.

use super::claims;
use super::events::{self, Deed};
use super::identity::{
    identity_labels, identity_matches, in_range, new_pod, ordinal, revision_of, storage_matches, with_claims,
};
use super::status::Counts;
use crate::api::workload::{ControllerRevision, StatefulSet};
use crate::api::{Phase, Pod, Resource};
use crate::base::{Arc, SimDuration, Str, Timestamp};
use crate::controller::framework::Ctx;
use crate::store::DeleteOptions;

/// The largest batch in which Pods of a `Parallel` set are handled.
const BATCH_MAX: usize = 500;

/// Why a pass ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It must wait for a Pod.
    Wait,
    /// It failed, in these words.
    Failed(Str),
    /// The client's rate limit is reached; to be continued after this time.
    Throttled(SimDuration),
}

/// How a pass ended.
#[derive(Debug)]
pub(super) struct Pass {
    /// What the status shall count; none if the pass is to be continued.
    pub counts: Option<Counts>,
    /// An error to retry after.
    pub error: Option<Str>,
    /// When to continue.
    pub after: Option<SimDuration>,
}

/// What a pass works on.
pub(super) struct Control<'a> {
    pub set: &'a StatefulSet,
    /// The set's past: what Pods below the partition are made from.
    pub current: &'a ControllerRevision,
    /// The set's template as a revision.
    pub update: &'a ControllerRevision,
    /// The present in whole seconds.
    pub now: Timestamp,
}

/// A place of the set: its Pod, or the ordinal of the Pod that shall be made for it.
enum Slot {
    Live(Arc<Pod>),
    New(i32),
}

impl Slot {
    const fn live(&self) -> Option<&Arc<Pod>> {
        match self {
            Self::Live(pod) => Some(pod),
            Self::New(_) => None,
        }
    }
}

impl Control<'_> {
    /// Runs the pass over the Pods seen at its start.
    pub(super) fn run(&self, ctx: &mut Ctx<'_>, pods: &[Arc<Pod>]) -> Pass {
        if self.set.meta.is_deleting() {
            return Pass { counts: Some(self.count(pods.iter())), error: None, after: None };
        }
        let (replicas, condemned) = self.slots(pods);
        let mut counts = self.count(replicas.iter().filter_map(Slot::live).chain(&condemned));
        let result = self.steps(ctx, &replicas, &condemned, &mut counts);
        match result {
            Ok(()) | Err(Stop::Wait) => Pass { counts: Some(counts), error: None, after: None },
            Err(Stop::Failed(error)) => Pass { counts: Some(counts), error: Some(error), after: None },
            Err(Stop::Throttled(wait)) => Pass { counts: None, error: None, after: Some(wait) },
        }
    }

    fn count<'p>(&self, pods: impl Iterator<Item = &'p Arc<Pod>>) -> Counts {
        Counts::of(pods, self.set, self.now, &self.current.meta.name, &self.update.meta.name)
    }

    fn steps(
        &self,
        ctx: &mut Ctx<'_>,
        replicas: &[Slot],
        condemned: &[Arc<Pod>],
        counts: &mut Counts,
    ) -> Result<(), Stop> {
        // An unhealthy replica keeps all condemned Pods from being the first.
        let replicas_healthy =
            replicas.iter().all(|slot| slot.live().is_some_and(|pod| !self.is_unavailable(pod)));
        let first_unhealthy =
            condemned.iter().rev().filter(|_| replicas_healthy).find(|p| self.is_unavailable(p));
        let first_unhealthy = first_unhealthy.map(|p| p.meta.name.as_str());
        self.for_all(ctx, replicas, |ctx, slot| self.process_replica(ctx, slot))?;
        self.for_all(ctx, condemned, |ctx, pod| self.fix_claims(ctx, pod))?;
        self.for_all(ctx, condemned, |ctx, pod| self.process_condemned(ctx, pod, first_unhealthy))?;
        if self.set.on_delete {
            return Ok(());
        }
        self.roll(ctx, replicas, counts)
    }

    /// Pods in and out of the range of ordinals; the latter from the highest down.
    fn slots(&self, pods: &[Arc<Pod>]) -> (Vec<Slot>, Vec<Arc<Pod>>) {
        let start = self.set.ordinals_start;
        let mut replicas: Vec<Option<Slot>> =
            (0..usize::try_from(self.set.replicas).unwrap_or(0)).map(|_| None).collect();
        let mut condemned: Vec<(i32, Arc<Pod>)> = Vec::new();
        for pod in pods {
            let Some(ordinal) = ordinal(pod) else { continue };
            let index = usize::try_from(i64::from(ordinal) - i64::from(start)).ok();
            match index.and_then(|i| replicas.get_mut(i)) {
                Some(place) if in_range(self.set, ordinal) => *place = Some(Slot::Live(pod.clone())),
                Some(_) | None => condemned.push((ordinal, pod.clone())),
            }
        }
        condemned.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
        let slots = replicas
            .into_iter()
            .zip(0i32..)
            .map(|(slot, index)| slot.unwrap_or(Slot::New(start.saturating_add(index))));
        (slots.collect(), condemned.into_iter().map(|(_, pod)| pod).collect())
    }

    fn versioned_pod(&self, ordinal: i32) -> Pod {
        let below =
            !self.set.on_delete && ordinal < self.set.ordinals_start.saturating_add(self.set.partition);
        new_pod(self.set, if below { self.current } else { self.update }, ordinal)
    }

    /// In order, stopping at the first that must be waited for; or all, in growing batches, stopping after a batch
    /// with an error.
    fn for_all<T>(
        &self,
        ctx: &mut Ctx<'_>,
        items: &[T],
        mut step: impl FnMut(&mut Ctx<'_>, &T) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if !self.set.parallel {
            return items.iter().try_for_each(|item| step(ctx, item));
        }
        let (mut rest, mut size) = (items, 1);
        while !rest.is_empty() {
            let (batch, tail) = rest.split_at(size.min(rest.len()));
            let mut failed: Option<Str> = None;
            for item in batch {
                match step(ctx, item) {
                    Ok(()) | Err(Stop::Wait) => {}
                    Err(Stop::Failed(error)) => failed = failed.or(Some(error)),
                    Err(Stop::Throttled(wait)) => return Err(Stop::Throttled(wait)),
                }
            }
            if let Some(error) = failed {
                return Err(Stop::Failed(error));
            }
            (rest, size) = (tail, (size * 2).min(BATCH_MAX));
        }
        Ok(())
    }

    fn process_replica(&self, ctx: &mut Ctx<'_>, slot: &Slot) -> Result<(), Stop> {
        let monotonic = !self.set.parallel;
        let pod = match slot {
            Slot::New(ordinal) => {
                self.create(ctx, &self.versioned_pod(*ordinal))?;
                return if monotonic { Err(Stop::Wait) } else { Ok(()) };
            }
            Slot::Live(pod) if pod.is_terminal() => {
                if !pod.meta.is_deleting() {
                    self.delete(ctx, pod)?;
                }
                return Err(Stop::Wait);
            }
            Slot::Live(pod) => pod,
        };
        if pod.status.phase == Phase::Pending {
            claims::create_missing(ctx, self.set, pod).map_err(Stop::Failed)?;
            self.update_owners(ctx, pod)?;
        }
        if monotonic && self.is_unavailable(pod) {
            return Err(Stop::Wait);
        }
        self.fix_identity(ctx, pod)
    }

    fn create(&self, ctx: &mut Ctx<'_>, pod: &Pod) -> Result<(), Stop> {
        if claims::any_stale(ctx, self.set, pod) {
            return Err(Stop::Wait);
        }
        let wait = ctx.throttled();
        if !wait.is_zero() && self.set.parallel {
            return Err(Stop::Throttled(wait));
        }
        let name = &pod.meta.name;
        if let Err(error) = claims::create_missing(ctx, self.set, pod) {
            events::pod(ctx, Deed::Create, self.set, name, Err(&error));
            return Err(Stop::Failed(error));
        }
        let created = ctx.create(pod.clone());
        if let Err(error @ crate::store::ApiError::AlreadyExists { .. }) = &created {
            return Err(Stop::Failed(error.to_string().into()));
        }
        self.update_owners(ctx, pod)?;
        events::pod(ctx, Deed::Create, self.set, name, created.as_ref().map(|_| ()));
        created.map(|_| ()).map_err(|e| Stop::Failed(e.to_string().into()))
    }

    fn update_owners(&self, ctx: &mut Ctx<'_>, pod: &Pod) -> Result<(), Stop> {
        claims::update_owners(ctx, self.set, pod).map_err(|error| {
            events::pod(ctx, Deed::Update, self.set, &pod.meta.name, Err(&error));
            Stop::Failed(error)
        })
    }

    fn delete(&self, ctx: &mut Ctx<'_>, pod: &Pod) -> Result<(), Stop> {
        let wait = ctx.throttled();
        if !wait.is_zero() && self.set.parallel {
            return Err(Stop::Throttled(wait));
        }
        let result = ctx.delete::<Pod>(&pod.key(), &DeleteOptions::default());
        events::pod(ctx, Deed::Delete, self.set, &pod.meta.name, result.as_ref().map(|_| ()));
        result.map(|_| ()).map_err(|e| Stop::Failed(e.to_string().into()))
    }

    /// Puts labels, volumes and owners of claims right where they drifted.
    fn fix_identity(&self, ctx: &mut Ctx<'_>, pod: &Pod) -> Result<(), Stop> {
        let (identity, storage) = (identity_matches(self.set, pod), storage_matches(self.set, pod));
        let owners = claims::owners_match(ctx, self.set, pod);
        if identity && storage && owners {
            return Ok(());
        }
        let Some(ordinal) = ordinal(pod) else { return Ok(()) };
        if !storage && let Err(error) = claims::create_missing(ctx, self.set, pod) {
            events::pod(ctx, Deed::Update, self.set, &pod.meta.name, Err(&error));
            return Err(Stop::Failed(error));
        }
        if !owners {
            self.update_owners(ctx, pod)?;
        }
        let result = ctx.update_spec::<Pod>(&pod.key(), |p| {
            if !identity {
                p.meta.labels = identity_labels(&p.meta.labels, &p.meta.name, ordinal);
            }
            if !storage {
                p.spec = Arc::new(with_claims(self.set, &p.spec, ordinal));
            }
        });
        events::pod(ctx, Deed::Update, self.set, &pod.meta.name, result.as_ref().map(|_| ()));
        result.map(|_| ()).map_err(|e| Stop::Failed(e.to_string().into()))
    }

    fn fix_claims(&self, ctx: &mut Ctx<'_>, pod: &Pod) -> Result<(), Stop> {
        if claims::owners_match(ctx, self.set, pod) {
            return Ok(());
        }
        claims::update_owners(ctx, self.set, pod).map_err(Stop::Failed)
    }

    fn process_condemned(
        &self,
        ctx: &mut Ctx<'_>,
        pod: &Pod,
        first_unhealthy: Option<&str>,
    ) -> Result<(), Stop> {
        if pod.meta.is_deleting() {
            return if self.set.parallel { Ok(()) } else { Err(Stop::Wait) };
        }
        let is_first_unhealthy = first_unhealthy == Some(pod.meta.name.as_str());
        if !self.set.parallel && self.is_unavailable(pod) && !is_first_unhealthy {
            return Err(Stop::Wait);
        }
        self.delete(ctx, pod)?;
        Err(Stop::Wait)
    }

    /// Deletes the Pod with the highest ordinal that is not of the update revision, unless one above it is
    /// unavailable.
    fn roll(&self, ctx: &mut Ctx<'_>, replicas: &[Slot], counts: &mut Counts) -> Result<(), Stop> {
        let first = usize::try_from(self.set.partition).unwrap_or(0);
        for slot in replicas.iter().skip(first).rev() {
            let Slot::Live(pod) = slot else { return Err(Stop::Wait) };
            if revision_of(pod) != self.update.meta.name && !pod.meta.is_deleting() {
                let key = pod.key();
                let gone = ctx.store().get::<Pod>(&key).is_none();
                let result = self.delete(ctx, pod);
                if let (Err(stop), false) = (result, gone) {
                    return Err(stop);
                }
                counts.current -= 1;
                return Err(Stop::Wait);
            }
            if self.is_unavailable(pod) {
                return Err(Stop::Wait);
            }
        }
        Ok(())
    }

    /// Not running, not ready for long enough, or being deleted.
    fn is_unavailable(&self, pod: &Pod) -> bool {
        let available = pod.status.phase == Phase::Running
            && pod.is_available(i64::from(self.set.min_ready_seconds), self.now);
        !available || pod.meta.is_deleting()
    }
}
