//! The revisions of a DaemonSet's template.
//!
//! Upstream: `constructHistory`, `snapshot`, `cleanupHistory` in `pkg/controller/daemon/update.go`, v1.34.

use crate::api::workload::{ControllerRevision, DaemonSet};
use crate::api::{LabelSelector, Labels, Lasting, OwnerReference, Pod, Resource};
use crate::base::{Arc, Str};
use crate::controller::common::{self, template_hash};
use crate::controller::framework::Ctx;
use crate::controller::history::{self, REVISION_LABEL};
use crate::store::{ApiError, DeleteOptions};

/// The hash of the present template's revision, and older revisions, oldest first.
pub(super) type Known = (Str, Vec<Arc<ControllerRevision>>);

/// Finds the revisions, making or renumbering that of the present template.
pub(super) fn construct(ctx: &mut Ctx<'_>, set: &DaemonSet) -> Result<Known, ApiError> {
    let (mut current, mut old) = (Vec::new(), Vec::new());
    for mut revision in claimed(ctx, set) {
        if !revision.meta.labels.contains_key(REVISION_LABEL) {
            revision = ctx.update::<ControllerRevision>(&revision.key(), |r| {
                r.meta.labels = r.meta.labels.with(REVISION_LABEL, r.meta.name.clone());
            })?;
        }
        let list = if revision.template == set.template { &mut current } else { &mut old };
        list.push(revision);
    }
    let number = old.iter().map(|r| r.revision).max().unwrap_or(0) + 1;
    let revision = match current.last() {
        None => snapshot(ctx, set, number)?,
        Some(newest) => {
            drop_doubles(ctx, set, &current, newest)?;
            match newest.revision < number {
                true => history::renumber(ctx, newest, number)?,
                false => newest.clone(),
            }
        }
    };
    Ok((hash_of(&revision), old))
}

fn hash_of(revision: &ControllerRevision) -> Str {
    revision.meta.labels.get(REVISION_LABEL).cloned().unwrap_or_default()
}

fn claimed(ctx: &mut Ctx<'_>, set: &DaemonSet) -> Vec<Arc<ControllerRevision>> {
    let candidates = history::list(ctx.store(), &set.meta, &set.selector);
    let mut claimed = common::claim(ctx, &common::Owner::of(set), candidates, |r: &ControllerRevision| {
        set.selector.matches(&r.meta.labels)
    });
    history::sort(&mut claimed);
    claimed
}

fn snapshot(ctx: &mut Ctx<'_>, set: &DaemonSet, number: i64) -> Result<Arc<ControllerRevision>, ApiError> {
    let hash = template_hash(set.template.fingerprint, set.status.collision_count);
    let revision = ControllerRevision {
        meta: Lasting {
            labels: set.template.labels.with(REVISION_LABEL, hash.clone()),
            annotations: set.meta.annotations.clone(),
            owners: vec![OwnerReference::controller_of(set)].into(),
            ..Lasting::named(set.meta.namespace.clone(), history::name(&set.meta.name, &hash))
        }
        .into(),
        template: set.template.clone(),
        revision: number,
    };
    let key = revision.key();
    let taken = match ctx.create(revision) {
        Err(error @ ApiError::AlreadyExists { .. }) => error,
        result => return result,
    };
    if let Some(live) = ctx.store().get::<ControllerRevision>(&key)
        && live.template == set.template
    {
        return Ok(live.clone());
    }
    // Another template has this hash: count the collision and try again with it.
    ctx.update::<DaemonSet>(&set.key(), |s| {
        s.status.collision_count = Some(s.status.collision_count.unwrap_or(0) + 1);
    })?;
    Err(taken)
}

/// Of several revisions with the present template only the newest stays; Pods are relabelled to it.
fn drop_doubles(
    ctx: &mut Ctx<'_>,
    set: &DaemonSet,
    current: &[Arc<ControllerRevision>],
    newest: &ControllerRevision,
) -> Result<(), ApiError> {
    if current.len() < 2 {
        return Ok(());
    }
    let hash = hash_of(newest);
    for pod in common::claim_pods(ctx, &common::Owner::of(set), &set.selector, |_| true) {
        ctx.update::<Pod>(&pod.key(), |p| {
            p.meta.labels = p.meta.labels.with(REVISION_LABEL, hash.clone());
        })?;
    }
    for double in current.iter().filter(|r| r.meta.name != newest.meta.name) {
        ctx.delete::<ControllerRevision>(&double.key(), &DeleteOptions::default())?;
    }
    Ok(())
}

/// Deletes the oldest revisions beyond the limit, but none that a Pod still has.
pub(super) fn clean_up(
    ctx: &mut Ctx<'_>,
    set: &DaemonSet,
    old: &[Arc<ControllerRevision>],
) -> Result<(), ApiError> {
    let keep = usize::try_from(set.revision_history_limit).unwrap_or(0);
    let surplus = old.len().saturating_sub(keep);
    if surplus == 0 {
        return Ok(());
    }
    let dead: Vec<_> = old.iter().filter(|r| !in_use(ctx, set, r)).take(surplus).cloned().collect();
    dead.iter()
        .try_for_each(|r| ctx.delete::<ControllerRevision>(&r.key(), &DeleteOptions::default()).map(|_| ()))
}

fn in_use(ctx: &Ctx<'_>, set: &DaemonSet, revision: &ControllerRevision) -> bool {
    let labels: Labels = [(REVISION_LABEL, hash_of(revision))].into_iter().collect();
    let pods = ctx.store().select_pods(&set.meta.namespace, &LabelSelector::from_labels(&labels));
    pods.iter().any(|p| p.meta.is_controlled_by(&set.meta.uid))
}
