//! What `kubectl rollout` does with a StatefulSet.
//!
//! Upstream: `kubectl/pkg/polymorphichelpers/{rollout_status,rollback}.go`, v1.34.

use crate::api::PodTemplate;
use crate::api::workload::StatefulSet;
use crate::base::Arc;
use crate::controller::history::{self, UndoError};
use crate::store::Store;

/// What `kubectl rollout status` says, and whether the rollout is over.
///
/// # Errors
/// kubectl's refusal for the strategy `OnDelete`.
pub fn status(set: &StatefulSet) -> Result<(String, bool), &'static str> {
    if set.on_delete {
        return Err("rollout status is only available for RollingUpdate strategy type");
    }
    let status = &set.status;
    if status.observed_generation == 0 || set.meta.generation > status.observed_generation {
        return Ok(("Waiting for statefulset spec update to be observed...".to_owned(), false));
    }
    if status.ready_replicas < set.replicas {
        let missing = set.replicas - status.ready_replicas;
        return Ok((format!("Waiting for {missing} pods to be ready..."), false));
    }
    let (updated, wanted) = (status.updated_replicas, set.replicas.saturating_sub(set.partition));
    if updated < wanted {
        return Ok((
            format!(
                "Waiting for partitioned roll out to finish: {updated} out of {wanted} new pods have been updated..."
            ),
            false,
        ));
    }
    Ok((format!("partitioned roll out complete: {updated} new pods have been updated..."), true))
}

/// The template that `kubectl rollout undo` puts back; `to` 0 means the last revision.
///
/// # Errors
/// There is nothing to go back to.
pub fn undo(store: &Store, set: &StatefulSet, to: i64) -> Result<Arc<PodTemplate>, UndoError> {
    history::undo(&history::list(store, &set.meta, &set.selector), &set.template, to)
}
