//! One sync of a DaemonSet.
//!
//! Upstream: `syncDaemonSet`, `syncNodes`, `updateDaemonSetStatus` in
//! `pkg/controller/daemon/daemon_controller.go`, v1.34.

use super::backoff::Backoffs;
use super::manage::{self, Work};
use super::placement::{Placement, Verdict};
use super::pods::{self, ByNode, Maker, is_updated};
use super::{revisions, update};
use crate::api::workload::{ControllerRevision, DaemonSet};
use crate::api::{Node, ObjectKey, Pod, Resource, Uid};
use crate::base::{Arc, LookupSet, SimDuration, Str, Timestamp};
use crate::controller::common::{self, Progress, SlowStart};
use crate::controller::framework::{Action, Ctx};
use crate::store::ApiError;

/// Pods made, and Pods deleted, in one sync at most.
const BURST: usize = 250;

/// What a sync sees when it begins.
pub(super) struct View<'a> {
    /// The DaemonSet.
    pub set: &'a DaemonSet,
    /// The hash of its present revision.
    pub hash: &'a Str,
    /// All nodes.
    pub nodes: Vec<(Arc<Node>, Verdict)>,
    /// Its Pods.
    pub by_node: ByNode,
    names: LookupSet<Str>,
    now: Timestamp,
}

impl<'a> View<'a> {
    fn new(ctx: &mut Ctx<'_>, set: &'a DaemonSet, hash: &'a Str) -> Self {
        let by_node = ByNode::claim(ctx, set);
        let placement = Placement::of(set);
        let nodes: Vec<_> = ctx.store().list::<Node>().map(|n| (n.clone(), placement.verdict(n))).collect();
        let mut names = LookupSet::new();
        for (node, _) in &nodes {
            names.insert(node.meta.name.clone());
        }
        Self { set, hash, nodes, by_node, names, now: ctx.timestamp() }
    }

    /// Whether a node of this name exists.
    pub(super) fn has_node(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether a Pod has been ready for long enough.
    pub(super) fn is_available(&self, pod: &Pod) -> bool {
        pod.is_available(i64::from(self.set.min_ready_seconds), self.now)
    }

    /// Whether updates may put a second Pod on a node.
    pub(super) const fn allows_surge(&self) -> bool {
        use crate::api::workload::IntOrPercent::{Int, Percent};
        let (Int(n) | Percent(n)) = self.set.max_surge;
        !self.set.on_delete && n > 0
    }
}

/// Work that is under way: it stops at the client's rate limit and goes on from there.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    uid: Uid,
    generation: i64,
    create: Vec<Str>,
    delete: Vec<ObjectKey>,
    creations: SlowStart,
    deleted: usize,
    failure: Option<ApiError>,
    maker: Maker,
}

impl Plan {
    /// Plans the work, as much as one sync may do. Without creations nothing need be made ready for them.
    fn new(set: &DaemonSet, hash: &Str, mut work: Work) -> Self {
        work.create.truncate(BURST);
        work.delete.truncate(BURST);
        Self {
            uid: set.meta.uid.clone(),
            generation: set.meta.generation,
            creations: SlowStart::new(work.create.len()),
            create: work.create,
            delete: work.delete,
            deleted: 0,
            failure: None,
            maker: Maker::new(set, hash),
        }
    }

    /// Whether it is work for the DaemonSet as it is now.
    pub(super) fn is_for(&self, set: &DaemonSet) -> bool {
        self.uid == set.meta.uid && self.generation == set.meta.generation && !set.meta.is_deleting()
    }

    /// Does as much as the rate limit allows; a time to wait if there is more.
    fn run(&mut self, ctx: &mut Ctx<'_>) -> Option<SimDuration> {
        let (create, maker) = (&self.create, &self.maker);
        let progress = self.creations.run(ctx, |ctx, number| {
            let Some(node) = create.get(number) else { return Ok(()) };
            match common::create_pod(ctx, maker.pod(node), maker.owner()) {
                Err(error) if !error.is_namespace_terminating() => Err(error),
                Ok(_) | Err(_) => Ok(()),
            }
        });
        match progress {
            Progress::Wait(wait) => return Some(wait),
            Progress::Failed(error) => self.failure = Some(error),
            Progress::Done => {}
        }
        while let Some(pod) = self.delete.get(self.deleted) {
            let wait = ctx.throttled();
            if !wait.is_zero() {
                return Some(wait);
            }
            self.deleted += 1;
            match common::delete_pod(ctx, pod, self.maker.owner()) {
                Err(error) if !error.is_not_found() => self.failure = Some(error),
                Ok(()) | Err(_) => {}
            }
        }
        None
    }
}

/// What a sync leaves behind: what to do next, and work to go on with.
pub(super) struct Outcome {
    pub action: Action,
    pub plan: Option<Plan>,
}

impl Outcome {
    const fn done(action: Action) -> Self {
        Self { action, plan: None }
    }

    fn retry(error: &dyn std::fmt::Display) -> Self {
        Self::done(Action::Retry(error.to_string().into()))
    }
}

/// Syncs a DaemonSet, going on with `plan` if there is one.
pub(super) fn sync(
    set: &Arc<DaemonSet>,
    plan: Option<Plan>,
    backoffs: &mut Backoffs,
    ctx: &mut Ctx<'_>,
) -> Outcome {
    if let Some(mut plan) = plan {
        // Nothing is looked at again before the work is done.
        if let Some(wait) = plan.run(ctx) {
            return Outcome { action: Action::After(wait), plan: Some(plan) };
        }
        return match look(set, ctx) {
            Ok((hash, old)) => finish(&View::new(ctx, set, &hash), &old, plan.failure, None, ctx),
            Err(error) => Outcome::retry(&error),
        };
    }
    let (hash, old) = match look(set, ctx) {
        Ok(known) => known,
        Err(error) => return Outcome::retry(&error),
    };
    let view = View::new(ctx, set, &hash);
    let mut work = manage::manage(&view, ctx, backoffs);
    let again = work.again;
    if work.is_empty() && !set.on_delete {
        work = match update::roll(&view) {
            Ok(work) => work,
            Err(error) => return finish(&view, &old, Some(ApiError::Internal(error)), again, ctx),
        };
    }
    if work.is_empty() {
        return finish(&view, &old, None, again, ctx);
    }
    let mut plan = Plan::new(set, &hash, work);
    match plan.run(ctx) {
        Some(wait) => Outcome { action: Action::After(wait), plan: Some(plan) },
        None => finish(&view, &old, plan.failure, again, ctx),
    }
}

fn look(set: &DaemonSet, ctx: &mut Ctx<'_>) -> Result<revisions::Known, ApiError> {
    revisions::construct(ctx, set)
}

/// Forgets old revisions and writes the status; an error of the work comes first.
fn finish(
    view: &View<'_>,
    old: &[Arc<ControllerRevision>],
    failure: Option<ApiError>,
    again: Option<SimDuration>,
    ctx: &mut Ctx<'_>,
) -> Outcome {
    let failure = failure.or_else(|| revisions::clean_up(ctx, view.set, old).err());
    let status = write_status(view, ctx);
    match (failure, status) {
        (Some(error), _) | (None, Err(error)) => Outcome::retry(&error),
        (None, Ok(wait)) => match wait.into_iter().chain(again).min() {
            Some(wait) => Outcome::done(Action::After(wait)),
            None => Outcome::done(Action::Done),
        },
    }
}

/// Writes the status of the Pods seen at the start; a time if some are ready but not available yet.
fn write_status(view: &View<'_>, ctx: &mut Ctx<'_>) -> Result<Option<SimDuration>, ApiError> {
    let set = view.set;
    let mut status = set.status.clone();
    status.observed_generation = status.observed_generation.max(set.meta.generation);
    status.desired_number_scheduled = 0;
    status.current_number_scheduled = 0;
    status.number_misscheduled = 0;
    status.number_ready = 0;
    status.number_available = 0;
    status.updated_number_scheduled = 0;
    for (node, verdict) in &view.nodes {
        let pods = view.by_node.on(&node.meta.name).unwrap_or_default();
        if !verdict.run {
            status.number_misscheduled += i32::from(!pods.is_empty());
            continue;
        }
        status.desired_number_scheduled += 1;
        let mut pods: Vec<_> = pods.iter().collect();
        pods::sort(&mut pods);
        let Some(oldest) = pods.first() else { continue };
        status.current_number_scheduled += 1;
        status.number_ready += i32::from(oldest.is_ready());
        status.number_available += i32::from(oldest.is_ready() && view.is_available(oldest));
        status.updated_number_scheduled += i32::from(is_updated(oldest, view.hash));
    }
    status.number_unavailable = status.desired_number_scheduled - status.number_available;
    let waiting = set.min_ready_seconds > 0 && status.number_ready != status.number_available;
    ctx.update::<DaemonSet>(&set.key(), |s| {
        status.collision_count = s.status.collision_count;
        s.status = status;
    })?;
    Ok(waiting.then(|| SimDuration::from_api_secs(i64::from(set.min_ready_seconds))))
}
