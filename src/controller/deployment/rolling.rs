//! The rolling update: up as far as the surge allows, down as far as availability allows.
//!
//! Upstream: `pkg/controller/deployment/rolling.go`, v1.34.

use super::history;
use super::status::{max_surge, max_unavailable};
use super::sync::{Again, Sync};
use crate::api::workload::{DeploymentStrategy, ReplicaSet};
use crate::base::Arc;
use crate::store::ApiError;

/// Wanted Pods of all sets.
pub(super) fn wanted<'a>(sets: impl IntoIterator<Item = &'a Arc<ReplicaSet>>) -> i32 {
    sets.into_iter().fold(0, |sum: i32, set| sum.saturating_add(set.replicas))
}

/// Available Pods of all sets.
pub(super) fn available<'a>(sets: impl IntoIterator<Item = &'a Arc<ReplicaSet>>) -> i32 {
    sets.into_iter().fold(0, |sum: i32, set| sum.saturating_add(set.status.available_replicas))
}

impl Sync<'_, '_> {
    /// One step of a rolling update: up, or else down.
    pub(super) fn roll(&mut self, sets: &[Arc<ReplicaSet>]) -> Result<Again, ApiError> {
        let (new, old) = self.new_and_old(sets, true)?;
        // Asked to, `new_and_old` creates the new set or fails.
        let Some(new) = new else { return Ok(None) };
        if self.scale_up_new(&new, &old)? || self.scale_down_old(&new, &old) {
            return self.write_rollout(&old, Some(&new));
        }
        if self.is_complete(&self.deployment.status) {
            self.clean_up(&old)?;
        }
        self.write_rollout(&old, Some(&new))
    }

    /// Wanted Pods of a new set of this size that the surge has room for.
    ///
    /// Upstream: `NewRSNewReplicas`.
    pub(super) fn room_for_new(&self, old: &[Arc<ReplicaSet>], current: i32) -> i32 {
        let deployment = &self.deployment;
        let DeploymentStrategy::RollingUpdate { .. } = deployment.strategy else {
            return deployment.replicas;
        };
        let total = wanted(old).saturating_add(current);
        let limit = deployment.replicas.saturating_add(max_surge(deployment));
        if total >= limit {
            return current;
        }
        current + (limit - total).min(deployment.replicas - current)
    }

    fn scale_up_new(&mut self, new: &Arc<ReplicaSet>, old: &[Arc<ReplicaSet>]) -> Result<bool, ApiError> {
        let replicas = self.deployment.replicas;
        let target = if new.replicas >= replicas { replicas } else { self.room_for_new(old, new.replicas) };
        if target == new.replicas {
            return Ok(false);
        }
        self.scale_set(new, target).map(|_| true)
    }

    /// Scales old sets down as far as the new one's availability allows. True if anything was scaled; upstream takes
    /// a refusal for nothing to do.
    fn scale_down_old(&mut self, new: &Arc<ReplicaSet>, old: &[Arc<ReplicaSet>]) -> bool {
        let mut active: Vec<_> = old.iter().filter(|set| set.replicas > 0).cloned().collect();
        if active.is_empty() {
            return false;
        }
        let min_available = self.deployment.replicas - max_unavailable(&self.deployment);
        let new_unavailable = new.replicas - new.status.available_replicas;
        let total = wanted(old).saturating_add(new.replicas);
        let budget = total - min_available - new_unavailable;
        if budget <= 0 {
            return false;
        }
        history::sort_by_age(&mut active);
        let cleaned = self.drop_unhealthy(&mut active, budget);
        let Ok(cleaned) = cleaned else { return false };
        let scaled = self.drop_available(new, &active, min_available);
        scaled.is_ok_and(|scaled| cleaned || scaled)
    }

    /// Pods that are not available go first, whatever is missing elsewhere. Old sets are given oldest first.
    fn drop_unhealthy(&mut self, old: &mut [Arc<ReplicaSet>], budget: i32) -> Result<bool, ApiError> {
        let mut left = budget;
        for set in old.iter_mut() {
            if left <= 0 {
                break;
            }
            let unhealthy = set.replicas - set.status.available_replicas;
            if set.replicas == 0 || unhealthy == 0 {
                continue;
            }
            let drop = left.min(unhealthy);
            if drop < 0 {
                // More Pods are available than wanted: upstream calls this an invalid request and gives up.
                let name = set.meta.name.clone();
                return Err(ApiError::Internal(format!("nothing to clean up in {name}").into()));
            }
            *set = self.scale_set(set, set.replicas - drop)?;
            left -= drop;
        }
        Ok(left < budget)
    }

    /// Available Pods beyond the minimum go, those of the oldest set first.
    fn drop_available(
        &mut self,
        new: &Arc<ReplicaSet>,
        old: &[Arc<ReplicaSet>],
        min_available: i32,
    ) -> Result<bool, ApiError> {
        let budget = available(old.iter().chain([new])) - min_available;
        let mut left = budget;
        for set in old {
            if left <= 0 {
                break;
            }
            let drop = set.replicas.min(left);
            if drop > 0 {
                self.scale_set(set, set.replicas - drop)?;
                left -= drop;
            }
        }
        Ok(left < budget)
    }
}
