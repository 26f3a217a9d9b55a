//! What `kubectl rollout` does with a DaemonSet.
//!
//! Upstream: `kubectl/pkg/polymorphichelpers/{rollout_status,rollback}.go`, v1.34.

use crate::api::PodTemplate;
use crate::api::workload::DaemonSet;
use crate::base::Arc;
use crate::controller::history::{self, UndoError};
use crate::store::Store;

/// What `kubectl rollout status` says, and whether the rollout is over.
///
/// # Errors
/// kubectl's refusal for the strategy `OnDelete`.
pub fn status(set: &DaemonSet) -> Result<(String, bool), &'static str> {
    if set.on_delete {
        return Err("rollout status is only available for RollingUpdate strategy type");
    }
    let (status, name) = (&set.status, &set.meta.name);
    if set.meta.generation > status.observed_generation {
        return Ok(("Waiting for daemon set spec update to be observed...".to_owned(), false));
    }
    let desired = status.desired_number_scheduled;
    let (updated, available) = (status.updated_number_scheduled, status.number_available);
    if updated < desired {
        let text = format!(
            "Waiting for daemon set {name:?} rollout to finish: {updated} out of {desired} new pods have been updated..."
        );
        return Ok((text, false));
    }
    if available < desired {
        let text = format!(
            "Waiting for daemon set {name:?} rollout to finish: {available} of {desired} updated pods are available..."
        );
        return Ok((text, false));
    }
    Ok((format!("daemon set {name:?} successfully rolled out"), true))
}

/// The template that `kubectl rollout undo` puts back; `to` 0 means the last revision.
///
/// # Errors
/// There is nothing to go back to.
pub fn undo(store: &Store, set: &DaemonSet, to: i64) -> Result<Arc<PodTemplate>, UndoError> {
    history::undo(&history::list(store, &set.meta, &set.selector), &set.template, to)
}
