//! Recreating: everything down, then everything up.
//!
//! Upstream: `pkg/controller/deployment/recreate.go`, v1.34.

use super::sync::{Again, Sync};
use crate::api::workload::ReplicaSet;
use crate::base::Arc;
use crate::store::ApiError;

impl Sync<'_, '_> {
    /// One step: old sets to nothing; once their last Pod is gone, the new set to full size.
    pub(super) fn recreate(&mut self, sets: &[Arc<ReplicaSet>]) -> Result<Again, ApiError> {
        let (mut new, old) = self.new_and_old(sets, false)?;
        let mut scaled = false;
        for set in old.iter().filter(|set| set.replicas > 0) {
            self.scale_set(set, 0)?;
            scaled = true;
        }
        if scaled || self.old_pods_run(sets, new.as_ref()) {
            return self.write_rollout(&old, new.as_ref());
        }
        if new.is_none() {
            (new, _) = self.new_and_old(sets, true)?;
        }
        if let Some(new) = &new {
            self.scale_set(new, self.deployment.replicas)?;
        }
        if self.is_complete(&self.deployment.status) {
            self.clean_up(&old)?;
        }
        self.write_rollout(&old, new.as_ref())
    }

    /// Whether an old set reports Pods or has one that has not ended, be it on its way out.
    fn old_pods_run(&self, sets: &[Arc<ReplicaSet>], new: Option<&Arc<ReplicaSet>>) -> bool {
        let store = self.ctx.store();
        let selector = &self.deployment.selector;
        sets.iter().filter(|set| new.is_none_or(|new| new.meta.uid != set.meta.uid)).any(|set| {
            set.status.replicas > 0
                || store
                    .pods_of(&set.meta.uid)
                    .any(|pod| !pod.is_terminal() && selector.matches(&pod.meta.labels))
        })
    }
}
