//! The revisions of a StatefulSet's template.
//!
//! Upstream: `getStatefulSetRevisions` in `pkg/controller/statefulset/stateful_set_control.go`, v1.34.

use crate::api::workload::{ControllerRevision, StatefulSet};
use crate::api::{Lasting, OwnerReference, Resource};
use crate::base::Arc;
use crate::controller::common::template_hash;
use crate::controller::framework::Ctx;
use crate::controller::history;
use crate::store::ApiError;

/// The label with the hash in a revision's name.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// What a pass must know of the past.
#[derive(Debug)]
pub(super) struct Known {
    /// What Pods had before the rollout.
    pub current: Arc<ControllerRevision>,
    /// What they shall have.
    pub update: Arc<ControllerRevision>,
    /// Hash collisions met so far.
    pub collisions: i32,
}

/// All revisions of the set, orphans among them adopted, oldest first.
pub(super) fn adopted(
    ctx: &mut Ctx<'_>,
    set: &StatefulSet,
) -> Result<Vec<Arc<ControllerRevision>>, ApiError> {
    let mut revisions = history::list(ctx.store(), &set.meta, &set.selector);
    if set.meta.is_deleting() {
        return Ok(revisions);
    }
    for revision in &mut revisions {
        if revision.meta.controller().is_none() {
            *revision = history::adopt(ctx, set, revision)?;
        }
    }
    Ok(revisions)
}

/// Finds the two revisions that matter, making or renumbering that of the present template.
pub(super) fn current_and_update(
    ctx: &mut Ctx<'_>,
    set: &StatefulSet,
    revisions: &[Arc<ControllerRevision>],
) -> Result<Known, ApiError> {
    let mut collisions = set.status.collision_count.unwrap_or(0);
    let equal = revisions.iter().rev().find(|r| r.template == set.template);
    let update = match (equal, revisions.last()) {
        (Some(equal), Some(last)) if equal.template == last.template => last.clone(),
        (Some(equal), _) => history::renumber(ctx, equal, history::next_number(revisions))?,
        (None, _) => create(ctx, set, history::next_number(revisions), &mut collisions)?,
    };
    let current = revisions.iter().find(|r| r.meta.name == set.status.current_revision);
    let current = current.cloned().unwrap_or_else(|| update.clone());
    Ok(Known { current, update, collisions })
}

fn create(
    ctx: &mut Ctx<'_>,
    set: &StatefulSet,
    number: i64,
    collisions: &mut i32,
) -> Result<Arc<ControllerRevision>, ApiError> {
    loop {
        let hash = template_hash(set.template.fingerprint, Some(*collisions));
        let revision = ControllerRevision {
            meta: Lasting {
                labels: set.template.labels.with(HASH_LABEL, hash.clone()),
                annotations: set.meta.annotations.clone(),
                owners: vec![OwnerReference::controller_of(set)].into(),
                ..Lasting::named(set.meta.namespace.clone(), history::name(&set.meta.name, &hash))
            }
            .into(),
            template: set.template.clone(),
            revision: number,
        };
        let key = revision.key();
        match ctx.create(revision) {
            Err(ApiError::AlreadyExists { .. }) => {
                if let Some(live) = ctx.store().get::<ControllerRevision>(&key)
                    && live.template == set.template
                {
                    return Ok(live.clone());
                }
                *collisions += 1;
            }
            result => return result,
        }
    }
}
