//! What `kubectl rollout` does to Deployments, and what it prints.
//!
//! Upstream: `staging/src/k8s.io/kubectl/pkg/polymorphichelpers`, `pkg/cmd/rollout`, v1.34. Each gives the line that
//! kubectl prints, or its error without the leading `error: `.

use super::history;
use crate::api::workload::{Deployment, ReplicaSet};
use crate::api::{ObjectKey, condition};
use crate::base::Arc;
use crate::controller::common::{equal_ignore_hash, restarted, without_hash_label};
use crate::store::Store;

/// `kubectl rollout undo`: to a revision, or with 0 to the one before the present.
///
/// # Errors
/// There is no such revision, or the Deployment is paused or missing.
pub fn undo(store: &mut Store, key: &ObjectKey, to_revision: i64) -> Result<String, String> {
    let deployment = find(store, key)?;
    let set = target(store, &deployment, to_revision)?;
    if deployment.paused {
        return Err(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' \
                    and try again"
                .to_owned(),
        );
    }
    if equal_ignore_hash(&set.template, &deployment.template) {
        return Ok(said(
            key,
            &format!("skipped rollback (current template already matches revision {to_revision})"),
        ));
    }
    let template = without_hash_label(&set.template);
    let annotations = history::rolled_back_annotations(&deployment.meta.annotations, &set.meta.annotations);
    change(store, key, |deployment| {
        deployment.template = template;
        deployment.meta.annotations = annotations;
    })?;
    Ok(said(key, "rolled back"))
}

/// `kubectl rollout restart`: new Pods of the same template.
///
/// # Errors
/// The Deployment is paused or missing.
pub fn restart(store: &mut Store, key: &ObjectKey) -> Result<String, String> {
    let deployment = find(store, key)?;
    if deployment.paused {
        let why = "can't restart paused deployment (run rollout resume first)";
        return Err(format!("deployments.apps \"{}\" {why}", key.name));
    }
    let now = store.timestamp().to_rfc3339();
    let template = restarted(&deployment.template, &key.name, &now)?;
    change(store, key, |deployment| deployment.template = template)?;
    Ok(said(key, "restarted"))
}

/// `kubectl rollout pause`.
///
/// # Errors
/// The Deployment is paused already or missing.
pub fn pause(store: &mut Store, key: &ObjectKey) -> Result<String, String> {
    if find(store, key)?.paused {
        return Err(format!("deployments.apps \"{}\" is already paused", key.name));
    }
    change(store, key, |deployment| deployment.paused = true)?;
    Ok(said(key, "paused"))
}

/// `kubectl rollout resume`.
///
/// # Errors
/// The Deployment is not paused or missing.
pub fn resume(store: &mut Store, key: &ObjectKey) -> Result<String, String> {
    if !find(store, key)?.paused {
        return Err(format!("deployments.apps \"{}\" is not paused", key.name));
    }
    change(store, key, |deployment| deployment.paused = false)?;
    Ok(said(key, "resumed"))
}

/// `kubectl rollout status`: what it prints now, and whether it would stop there.
///
/// # Errors
/// The progress deadline has passed.
pub fn status(deployment: &Deployment) -> Result<(String, bool), String> {
    let (name, status) = (&deployment.meta.name, &deployment.status);
    let waiting =
        |what: String| Ok((format!("Waiting for deployment \"{name}\" rollout to finish: {what}..."), false));
    if deployment.meta.generation > status.observed_generation {
        return Ok(("Waiting for deployment spec update to be observed...".to_owned(), false));
    }
    let progressing = condition::find(&status.conditions, "Progressing");
    if progressing.is_some_and(|c| c.reason == "ProgressDeadlineExceeded") {
        return Err(format!("deployment \"{name}\" exceeded its progress deadline"));
    }
    let (updated, available) = (status.updated_replicas, status.available_replicas);
    if updated < deployment.replicas {
        return waiting(format!("{updated} out of {} new replicas have been updated", deployment.replicas));
    }
    if status.replicas > updated {
        return waiting(format!("{} old replicas are pending termination", status.replicas - updated));
    }
    if available < updated {
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Ok((format!("deployment \"{name}\" successfully rolled out"), true))
}

fn find(store: &Store, key: &ObjectKey) -> Result<Arc<Deployment>, String> {
    let found = store.get::<Deployment>(key).cloned();
    found.ok_or_else(|| format!("Error from server (NotFound): deployments.apps \"{}\" not found", key.name))
}

fn change(store: &mut Store, key: &ObjectKey, change: impl FnOnce(&mut Deployment)) -> Result<(), String> {
    store.update_spec::<Deployment>(key, change).map(|_| ()).map_err(|error| error.to_string())
}

fn said(key: &ObjectKey, what: &str) -> String {
    format!("deployment.apps/{} {what}", key.name)
}

/// The ReplicaSet of a revision, or of the second newest one.
fn target(store: &Store, deployment: &Deployment, revision: i64) -> Result<Arc<ReplicaSet>, String> {
    let sets: Vec<_> = history::owned(store, deployment)
        .into_iter()
        .filter(|set| deployment.selector.matches(&set.meta.labels))
        .filter_map(|set| history::revision(&set).map(|revision| (revision, set)))
        .collect();
    if revision != 0 {
        let found = sets.into_iter().find(|(number, _)| *number == revision && revision > 0);
        return found
            .map(|(_, set)| set)
            .ok_or_else(|| format!("unable to find specified revision {revision} in history"));
    }
    let mut sets = sets;
    sets.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let second = sets.into_iter().nth(1);
    second
        .map(|(_, set)| set)
        .ok_or_else(|| format!("no rollout history found for deployment \"{}\"", deployment.meta.name))
}
