//! How many Pods a budget counts with.
//!
//! Upstream: `getExpectedPodCount` and the finders of `pkg/controller/disruption/disruption.go`, v1.34.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::policy::PodDisruptionBudget;
use crate::api::workload::{Deployment, IntOrPercent, ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{Kind, Meta, OwnerReference, Pod, Uid};
use crate::base::Arc;
use crate::store::{Held, Store};

/// What a budget aims at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Pods there should be.
    pub pods: i32,
    /// Healthy ones there must be.
    pub healthy: i32,
    /// Whether Pods without a manager were left out.
    pub unmanaged: bool,
}

impl Expected {
    /// # Errors
    /// A Pod's manager is gone or has no scale.
    pub(super) fn of(store: &Store, budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Result<Self, String> {
        if let Some(max) = budget.max_unavailable {
            let (expected, unmanaged) = scale_of_all(store, pods)?;
            let healthy = expected.saturating_sub(max.resolve(expected, true)).max(0);
            return Ok(Self { pods: expected, healthy, unmanaged });
        }
        match budget.min_available {
            Some(IntOrPercent::Int(min)) => {
                let count = i32::try_from(pods.len()).unwrap_or(i32::MAX);
                Ok(Self { pods: count, healthy: min, unmanaged: false })
            }
            Some(percent @ IntOrPercent::Percent(_)) => {
                let (expected, unmanaged) = scale_of_all(store, pods)?;
                Ok(Self { pods: expected, healthy: percent.resolve(expected, true), unmanaged })
            }
            None => Ok(Self::default()),
        }
    }
}

/// The replicas wanted by all managers of Pods together, and whether some Pods have none.
fn scale_of_all(store: &Store, pods: &[Arc<Pod>]) -> Result<(i32, bool), String> {
    let mut scales: BTreeMap<Uid, i32> = BTreeMap::new();
    // Pods of one manager come in thousands; their reference is looked up once.
    let mut known: BTreeSet<&Uid> = BTreeSet::new();
    let mut unmanaged = false;
    for pod in pods {
        let Some(reference) = pod.meta.controller() else {
            unmanaged = true;
            continue;
        };
        if !known.insert(&reference.uid) {
            continue;
        }
        let (uid, replicas) = scale_of(store, reference, &pod.meta.namespace)?
            .ok_or_else(|| format!("found no controllers for pod \"{}\"", pod.meta.name))?;
        scales.insert(uid, replicas);
    }
    Ok((scales.values().fold(0, |sum: i32, n| sum.saturating_add(*n)), unmanaged))
}

/// The object that a reference means, if it is still the same one.
fn referent<'a, T: Held>(
    store: &'a Store,
    reference: &OwnerReference,
    namespace: &str,
) -> Option<&'a Arc<T>> {
    let wanted = reference.kind == T::KIND.name()
        && group(&reference.api_version) == group(T::KIND.info().api_version);
    let found = store.find::<T>(namespace, &reference.name).filter(|_| wanted)?;
    (found.meta().uid == reference.uid).then_some(found)
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

fn scale_of(
    store: &Store,
    reference: &OwnerReference,
    namespace: &str,
) -> Result<Option<(Uid, i32)>, String> {
    let named = |meta: &Meta, replicas: i32| Some((meta.uid.clone(), replicas));
    if let Some(set) = referent::<ReplicationController>(store, reference, namespace) {
        return Ok(named(&set.0.meta, set.0.replicas));
    }
    if let Some(set) = referent::<ReplicaSet>(store, reference, namespace) {
        let owner = set.meta.controller().filter(|owner| owner.kind == Kind::Deployment.name());
        return Ok(match owner {
            None => named(&set.meta, set.replicas),
            Some(owner) => {
                referent::<Deployment>(store, owner, namespace).and_then(|d| named(&d.meta, d.replicas))
            }
        });
    }
    if let Some(set) = referent::<StatefulSet>(store, reference, namespace) {
        return Ok(named(&set.meta, set.replicas));
    }
    match Kind::parse(&reference.kind) {
        Some(Kind::ReplicationController | Kind::ReplicaSet | Kind::Deployment | Kind::StatefulSet) => {
            Ok(None)
        }
        Some(kind) => {
            let info = kind.info();
            let group = group(info.api_version);
            let resource =
                if group.is_empty() { info.plural.to_owned() } else { format!("{}.{group}", info.plural) };
            Err(format!("{resource} does not implement the scale subresource"))
        }
        None => Err(format!(
            "no matches for kind \"{}\" in version \"{}\"",
            reference.kind, reference.api_version
        )),
    }
}
