//! Revisions of templates: what StatefulSets and DaemonSets remember of their past.
//!
//! Upstream: `pkg/controller/history/controller_history.go`; undo as in
//! `kubectl/pkg/polymorphichelpers/rollback.go`, v1.34.

use super::framework::Ctx;
use crate::api::workload::ControllerRevision;
use crate::api::{LabelSelector, Meta, OwnerReference, PodTemplate, Resource};
use crate::base::{Arc, Str};
use crate::store::{ApiError, DeleteOptions, Store};

/// The label of a Pod that names the revision it was made from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// Revisions that `owner` controls, and matching ones that nobody controls, oldest number first.
pub fn list(store: &Store, owner: &Meta, selector: &LabelSelector) -> Vec<Arc<ControllerRevision>> {
    let mut found: Vec<_> = store
        .list_in::<ControllerRevision>(&owner.namespace)
        .filter(|r| match r.meta.controller() {
            Some(controller) => controller.uid == owner.uid,
            None => selector.matches(&r.meta.labels),
        })
        .cloned()
        .collect();
    sort(&mut found);
    found
}

/// Orders revisions by number, then age, then name.
pub fn sort(revisions: &mut [Arc<ControllerRevision>]) {
    revisions.sort_by(|a, b| {
        (a.revision, a.meta.created, &a.meta.name).cmp(&(b.revision, b.meta.created, &b.meta.name))
    });
}

/// The number after the highest of sorted revisions.
pub fn next_number(revisions: &[Arc<ControllerRevision>]) -> i64 {
    revisions.last().map_or(1, |r| r.revision + 1)
}

/// `<owner>-<hash>`, cut so that it stays a name.
pub fn name(owner: &str, hash: &str) -> Str {
    let mut end = owner.len().min(223);
    while !owner.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{hash}", &owner[..end]).into()
}

/// Makes `owner` the controller of a revision that nobody controls.
///
/// # Errors
/// The revision is gone.
pub fn adopt<T: Resource>(
    ctx: &mut Ctx<'_>,
    owner: &T,
    revision: &ControllerRevision,
) -> Result<Arc<ControllerRevision>, ApiError> {
    ctx.update::<ControllerRevision>(&revision.key(), |r| {
        r.meta.owners.push(OwnerReference::controller_of(owner));
    })
}

/// Gives a revision another number.
///
/// # Errors
/// The revision is gone.
pub fn renumber(
    ctx: &mut Ctx<'_>,
    revision: &ControllerRevision,
    number: i64,
) -> Result<Arc<ControllerRevision>, ApiError> {
    ctx.update::<ControllerRevision>(&revision.key(), |r| r.revision = number)
}

/// Deletes the oldest of sorted revisions that are not `live`, beyond the newest `keep` of them.
///
/// # Errors
/// As the store refuses.
pub fn truncate(
    ctx: &mut Ctx<'_>,
    revisions: &[Arc<ControllerRevision>],
    keep: i32,
    live: impl Fn(&ControllerRevision) -> bool,
) -> Result<(), ApiError> {
    let Ok(keep) = usize::try_from(keep) else { return Ok(()) };
    let dead: Vec<_> = revisions.iter().filter(|r| !live(r)).collect();
    for revision in dead.iter().take(dead.len().saturating_sub(keep)) {
        ctx.delete::<ControllerRevision>(&revision.key(), &DeleteOptions::default())?;
    }
    Ok(())
}

/// Why an undo does nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// There is only one revision.
    #[error("no last revision to roll back to")]
    NoLastRevision,
    /// No revision has this number.
    #[error("unable to find specified revision {0} in history")]
    NotFound(i64),
    /// The template is that of the revision already.
    #[error("skipped rollback (current template already matches revision {0})")]
    Unchanged(i64),
}

/// The template that `kubectl rollout undo` puts back: of the revision `to`, or of the last but one for 0.
///
/// # Errors
/// There is nothing to go back to.
pub fn undo(
    revisions: &[Arc<ControllerRevision>],
    current: &PodTemplate,
    to: i64,
) -> Result<Arc<PodTemplate>, UndoError> {
    if to == 0 && revisions.len() <= 1 {
        return Err(UndoError::NoLastRevision);
    }
    let target = match to {
        0 => revisions.len().checked_sub(2).and_then(|i| revisions.get(i)),
        _ => revisions.iter().find(|r| r.revision == to),
    };
    let target = target.ok_or(UndoError::NotFound(to))?;
    if *target.template == *current {
        return Err(UndoError::Unchanged(to));
    }
    Ok(target.template.clone())
}
