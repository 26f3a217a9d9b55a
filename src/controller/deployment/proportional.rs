//! Scaling while several ReplicaSets have Pods: each gets its share.
//!
//! Upstream: `scale` in `pkg/controller/deployment/sync.go`, `GetReplicaSetProportion` in `util`, v1.34.

use std::cmp::Reverse;

use super::history::{self, DESIRED_REPLICAS, MAX_REPLICAS};
use super::rolling::wanted;
use super::status::max_surge;
use super::sync::Sync;
use crate::api::workload::{Deployment, DeploymentStrategy, ReplicaSet};
use crate::base::Arc;
use crate::store::ApiError;

impl Sync<'_, '_> {
    /// Brings the ReplicaSets to the Deployment's size without advancing a rollout. Orders `old` newest first.
    pub(super) fn scale(
        &mut self,
        new: Option<&Arc<ReplicaSet>>,
        old: &mut [Arc<ReplicaSet>],
    ) -> Result<(), ApiError> {
        history::sort_by_age(old);
        old.reverse();
        let replicas = self.deployment.replicas;
        let mut active: Vec<_> = old.iter().chain(new).filter(|set| set.replicas > 0).cloned().collect();
        let only = match active.as_slice() {
            [] => new.or(old.first()).cloned(),
            [only] => Some(only.clone()),
            _ => None,
        };
        if let Some(set) = only {
            return self.scale_set(&set, replicas).map(|_| ());
        }
        if active.is_empty() {
            return Ok(());
        }
        if new.is_some_and(|new| is_saturated(&self.deployment, new)) {
            for set in old.iter().filter(|set| set.replicas > 0) {
                self.scale_set(set, 0)?;
            }
            return Ok(());
        }
        if let DeploymentStrategy::RollingUpdate { .. } = self.deployment.strategy {
            let sizes = shares(&self.deployment, &mut active);
            for (set, size) in active.iter().zip(sizes) {
                self.resize_set(set, size)?;
            }
        }
        Ok(())
    }
}

/// Whether the new set has all Pods that are wanted.
fn is_saturated(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let replicas = deployment.replicas;
    set.replicas == replicas
        && set.status.available_replicas == replicas
        && history::annotated_count(set, DESIRED_REPLICAS) == Some(replicas)
}

/// Orders the active sets by size and gives the size that each is to have.
fn shares(deployment: &Deployment, active: &mut [Arc<ReplicaSet>]) -> Vec<i32> {
    let allowed = match deployment.replicas {
        0 => 0,
        replicas => replicas.saturating_add(max_surge(deployment)),
    };
    let to_add = allowed - wanted(active.iter());
    history::sort_by_age(active);
    if to_add > 0 {
        active.reverse();
    }
    if to_add != 0 {
        active.sort_by_key(|set| Reverse(set.replicas));
    }
    let mut added = 0;
    let mut sizes: Vec<i32> = Vec::with_capacity(active.len());
    for set in active.iter() {
        let share = proportion(deployment, set, to_add, added);
        sizes.push(set.replicas.saturating_add(share));
        added += share;
    }
    if let Some(largest) = sizes.first_mut() {
        *largest = largest.saturating_add(to_add - added).max(0);
    }
    sizes
}

/// What a set gains or loses of the Pods still to be added.
fn proportion(deployment: &Deployment, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    if set.replicas == 0 || to_add == added {
        return 0;
    }
    let fraction = fraction(deployment, set);
    if to_add > 0 { fraction.min(to_add - added) } else { fraction.max(to_add - added) }
}

/// What a set would gain or lose to keep its share of the Deployment.
fn fraction(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    if deployment.replicas == 0 {
        return -set.replicas;
    }
    let before = history::annotated_count(set, MAX_REPLICAS)
        .filter(|max| *max != 0)
        .unwrap_or(deployment.status.replicas);
    if before == 0 {
        return 0;
    }
    let max = deployment.replicas.saturating_add(max_surge(deployment));
    // Upstream multiplies as int32, divides as float64 and rounds halves away from zero.
    let size = f64::from(set.replicas.wrapping_mul(max)) / f64::from(before);
    (if size < 0.0 { size - 0.5 } else { size + 0.5 }) as i32 - set.replicas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;

    /// Sizes after scaling from `old` to `new` replicas, by name; surge as given. Sets are given oldest first.
    fn scaled(from: i32, to: i32, surge: i32, sizes: &[i32]) -> Vec<i32> {
        let strategy = |n| DeploymentStrategy::RollingUpdate {
            max_surge: crate::api::workload::IntOrPercent::Int(n),
            max_unavailable: crate::api::workload::IntOrPercent::Int(1),
        };
        let mut deployment = testkit::deployment("web", to);
        deployment.strategy = strategy(surge);
        deployment.status.replicas = from;
        let mut sets: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| {
                let mut set = testkit::replica_set(&format!("s{index}"), *size);
                set.meta.created = Some(testkit::calendar().start.plus_secs(index as i64));
                set.meta.annotations = [(MAX_REPLICAS, (from + surge).to_string())].into_iter().collect();
                Arc::new(set)
            })
            .collect();
        let result = shares(&deployment, &mut sets);
        let mut named: Vec<_> = sets.iter().map(|s| s.meta.name.clone()).zip(result).collect();
        named.sort();
        named.into_iter().map(|(_, size)| size).collect()
    }

    /// Facts §1.7: shares of active ReplicaSets.
    #[test]
    fn every_set_gets_its_share() {
        // The cases of upstream's TestScale, without the ones that take another path.
        for (from, to, surge, sizes, expected) in [
            (10, 12, 0, vec![5, 5], vec![6, 6]),
            (10, 6, 0, vec![5, 5], vec![3, 3]),
            (10, 20, 0, vec![7, 3], vec![14, 6]),
            (10, 5, 0, vec![8, 2], vec![4, 1]),
            (10, 0, 0, vec![8, 2], vec![0, 0]),
            // Of equal sets the newer ones grow and the older ones shrink by what is left over.
            (10, 5, 0, vec![5, 3, 2], vec![2, 2, 1]),
            (9, 10, 0, vec![3, 3, 3], vec![3, 3, 4]),
            (9, 8, 0, vec![3, 3, 3], vec![2, 3, 3]),
            (10, 15, 3, vec![8, 5], vec![11, 7]),
            (10, 10, 3, vec![8, 5], vec![8, 5]),
        ] {
            let got = scaled(from, to, surge, &sizes);
            assert_eq!(got, expected, "{from} to {to}, surge {surge}, {sizes:?}");
            assert_eq!(got.iter().sum::<i32>(), if to == 0 { 0 } else { to + surge });
        }
    }
}
