//! New and old ReplicaSets, revisions, and what is kept of the past.
//!
//! Upstream: `pkg/controller/deployment/util/deployment_util.go`, `sync.go`, v1.34.

use super::sync::Sync;
use crate::api::workload::{Deployment, ReplicaSet};
use crate::api::{Labels, Resource};
use crate::base::{Arc, Str};
use crate::controller::common::equal_ignore_hash;
use crate::store::{ApiError, DeleteOptions, Store};

/// The revision of a ReplicaSet, or of a Deployment's newest one.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Revisions that a ReplicaSet had before.
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's replicas when it last scaled the ReplicaSet.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The same and the surge.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Asks the controller to roll back.
pub const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";
/// What `kubectl apply` remembers.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Longest revision history, in characters.
const REVISION_HISTORY_MAX: usize = 2000;

/// Whether an annotation stays with its object when others are copied between Deployment and ReplicaSet.
pub(super) fn stays(annotation: &str) -> bool {
    [LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS, ROLLBACK_TO]
        .contains(&annotation)
}

/// The annotations a Deployment has after it was rolled back to a ReplicaSet.
pub(super) fn rolled_back_annotations(deployment: &Labels, set: &Labels) -> Labels {
    let kept = deployment.iter().filter(|(key, _)| stays(key));
    let copied = set.iter().filter(|(key, _)| !stays(key));
    kept.chain(copied).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// ReplicaSets that a Deployment manages, oldest first.
pub(super) fn owned(store: &Store, deployment: &Deployment) -> Vec<Arc<ReplicaSet>> {
    let uid = &deployment.meta.uid;
    let mut sets: Vec<_> = store
        .dependents(uid)
        .iter()
        .filter_map(ReplicaSet::unwrap)
        .filter(|set| set.meta.is_controlled_by(uid))
        .cloned()
        .collect();
    sort_by_age(&mut sets);
    sets
}

/// Oldest first; those of one second by name.
pub(super) fn sort_by_age(sets: &mut [Arc<ReplicaSet>]) {
    sets.sort_by(|a, b| (a.meta.created, &a.meta.name).cmp(&(b.meta.created, &b.meta.name)));
}

/// The oldest of `sets` (oldest first) that makes the Deployment's Pods.
pub(super) fn find_new<'a>(
    deployment: &Deployment,
    sets: &'a [Arc<ReplicaSet>],
) -> Option<&'a Arc<ReplicaSet>> {
    sets.iter().find(|set| equal_ignore_hash(&set.template, &deployment.template))
}

/// The revision of a ReplicaSet: 0 without one; none if it cannot be read.
pub fn revision(set: &ReplicaSet) -> Option<i64> {
    set.meta.annotations.get(REVISION).map_or(Some(0), |text| text.parse().ok())
}

/// The highest revision.
pub(super) fn max_revision(sets: &[Arc<ReplicaSet>]) -> i64 {
    sets.iter().filter_map(|set| revision(set)).max().unwrap_or(0).max(0)
}

/// The second highest revision; 0 if there is none.
pub(super) fn last_revision(sets: &[Arc<ReplicaSet>]) -> i64 {
    let (mut max, mut second) = (0, 0);
    for revision in sets.iter().filter_map(|set| revision(set)) {
        if revision >= max {
            (second, max) = (max, revision);
        } else if revision > second {
            second = revision;
        }
    }
    second
}

/// A count from an annotation; none if it is absent or not one.
pub(super) fn annotated_count(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    let text = set.meta.annotations.get(annotation)?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Annotations of a ReplicaSet of the newest revision; none if nothing changes.
///
/// Upstream: `SetNewReplicaSetAnnotations`, without those of the size.
pub(super) fn new_annotations(
    deployment: &Deployment,
    annotations: &Labels,
    new_revision: i64,
) -> Option<Labels> {
    let copied = deployment.meta.annotations.iter().filter(|(key, _)| !stays(key));
    let mut new: Labels =
        annotations.iter().chain(copied).map(|(key, value)| (key.clone(), value.clone())).collect();
    let old_text = annotations.get(REVISION);
    let old_revision = match old_text.map(|text| text.parse::<i64>()) {
        None => 0,
        Some(Ok(revision)) => revision,
        Some(Err(_)) if old_text.is_some_and(|text| text.is_empty()) => 0,
        Some(Err(_)) => return None,
    };
    if old_revision < new_revision {
        new = new.with(REVISION, new_revision.to_string());
        if let Some(old) = old_text {
            let history = annotations.get(REVISION_HISTORY).map_or("", |text| text.as_str());
            if let Some(history) = longer_history(history, old) {
                new = new.with(REVISION_HISTORY, history);
            }
        }
    }
    (new != *annotations).then_some(new)
}

/// The history with one more revision, cut from the front to its greatest length.
fn longer_history(history: &str, revision: &Str) -> Option<Str> {
    if history.is_empty() || history.starts_with(',') {
        return Some(revision.clone());
    }
    let mut rest = history;
    while rest.len() + revision.len() + 1 > REVISION_HISTORY_MAX {
        // Nothing is left to be cut off: the revision alone is too long.
        let Some((_, tail)) = rest.split_once(',') else {
            return (revision.len() <= REVISION_HISTORY_MAX).then(|| revision.clone());
        };
        rest = tail;
    }
    Some(format!("{rest},{revision}").into())
}

impl Sync<'_, '_> {
    /// Deletes the oldest of the old ReplicaSets beyond the limit, if they have no Pods.
    ///
    /// Upstream: `cleanupDeployment`.
    pub(super) fn clean_up(&mut self, old: &[Arc<ReplicaSet>]) -> Result<(), ApiError> {
        let limit = self.deployment.revision_history_limit;
        if limit == i32::MAX {
            return Ok(());
        }
        let mut sets: Vec<_> = old.iter().filter(|set| !set.meta.is_deleting()).cloned().collect();
        let excess = sets.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        if excess == 0 {
            return Ok(());
        }
        // A revision that cannot be read comes first; upstream compares such sets by age.
        sort_by_age(&mut sets);
        sets.sort_by_key(|set| revision(set));
        for set in sets.iter().take(excess) {
            let status = &set.status;
            if status.replicas != 0 || set.replicas != 0 || set.meta.generation > status.observed_generation {
                continue;
            }
            match self.ctx.delete::<ReplicaSet>(&set.key(), &DeleteOptions::default()) {
                Err(error) if !error.is_not_found() => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts §1.3: the revision history, 2000 characters at most.
    #[test]
    fn histories_are_cut_from_the_front() {
        let add = |history: &str, revision: &str| longer_history(history, &revision.into());
        assert_eq!(add("", "1").as_deref(), Some("1"));
        assert_eq!(add("1,3", "5").as_deref(), Some("1,3,5"));
        let long = vec!["111"; 500].join(",");
        let cut = add(&long, "222").unwrap();
        assert_eq!(cut.len(), long.len());
        assert!(cut.ends_with(",111,222"));
    }
}
