//! ResourceQuotas: what is used of them, and the refusal of what would be too much.
//!
//! Upstream: `apiserver/pkg/admission/plugin/resourcequota/controller.go`, `pkg/quota/v1`, v1.34.
//!
//! * [`usage`]: what one object uses. * [`scope`]: which Pods a quota is for.
//!
//! # Fidelity
//! A quota counts what the controller has taken into its status, as upstream; requests of one instant are charged one
//! after the other. The scope `VolumeAttributesClass` matches nothing.

mod scope;
pub(super) mod usage;

use std::collections::BTreeMap;

use super::Store;
use super::error::ApiError;
use super::table::Stored;
use crate::api::policy::ResourceQuota;
use crate::api::{Object, ObjectKey, Pod, ResourceList};
use crate::base::{Quantity, Str};

pub use usage::{counts, is_over};

/// Charges what is created or changed to the quotas of its namespace.
///
/// # Errors
/// A quota would be exceeded, or wants a Pod to say what it needs, or has not been counted yet (403).
pub(super) fn charge<T: Stored>(store: &mut Store, old: Option<&T>, new: &T) -> Result<(), ApiError> {
    let namespace = &new.meta().namespace;
    if namespace.is_empty() || store.list_in::<ResourceQuota>(namespace).next().is_none() {
        return Ok(());
    }
    let new = T::wrap(crate::base::Arc::new(new.clone()));
    let old = old.map(|old| T::wrap(crate::base::Arc::new(old.clone())));
    let quotas: Vec<_> = store.list_in::<ResourceQuota>(namespace).cloned().collect();
    let mut charged: Vec<(ObjectKey, ResourceList)> = Vec::new();
    for quota in &quotas {
        if let Some(used) = charge_one(store, quota, old.as_ref(), &new)? {
            charged.push((quota.meta.key(), used));
        }
    }
    for (key, used) in charged {
        store.update::<ResourceQuota>(&key, |quota| quota.used = used)?;
    }
    Ok(())
}

/// What is used of a quota after a request; none if the request does not touch it.
fn charge_one(
    store: &Store,
    quota: &ResourceQuota,
    old: Option<&Object>,
    new: &Object,
) -> Result<Option<ResourceList>, ApiError> {
    let name = &quota.meta.name;
    let forbidden = |why: String| ApiError::forbidden(new.kind(), &new.meta().name, why);
    let restricted = restricted(quota, new);
    if restricted.is_empty() {
        return Ok(None);
    }
    if let (Object::Pod(pod), None) = (new, old)
        && let Some(missing) = usage::missing(pod, &restricted)
    {
        return Err(forbidden(format!("failed quota: {name}: must specify {missing}")));
    }
    if let Some(unknown) = unknown(quota, &restricted) {
        return Err(forbidden(format!("status unknown for quota: {name}, resources: {unknown}")));
    }
    let mut delta = usage::of(new, store);
    if let Some(old) = old.filter(|old| !self::restricted(quota, old).is_empty()) {
        let before = usage::of(old, store);
        for (resource, amount) in &mut delta.0 {
            if let Some(had) = before.get(resource) {
                *amount = amount.minus(had);
            }
        }
    }
    delta.0.retain(|resource, amount| amount.nanos() > 0 && quota.status_hard.get(resource).is_some());
    if delta.is_empty() {
        return Ok(None);
    }
    let mut used = quota.used.clone();
    used.add(&delta);
    let exceeded: Vec<&Str> = delta
        .0
        .keys()
        .filter(|resource| {
            used.get(resource).zip(quota.status_hard.get(resource)).is_some_and(|(u, h)| u > h)
        })
        .collect();
    if !exceeded.is_empty() {
        return Err(forbidden(format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            amounts(&delta, &exceeded),
            amounts(&quota.used, &exceeded),
            amounts(&quota.status_hard, &exceeded)
        )));
    }
    Ok(Some(used))
}

/// `pods=1,requests.cpu=500m`.
fn amounts(list: &ResourceList, names: &[&Str]) -> String {
    let parts: Vec<String> =
        names.iter().filter_map(|name| Some(format!("{name}={}", list.get(name)?))).collect();
    parts.join(",")
}

/// The resources of a quota that an object of its scopes can use.
fn restricted<'q>(quota: &'q ResourceQuota, object: &Object) -> Vec<&'q Str> {
    if !scope::matches(quota, object) {
        return Vec::new();
    }
    quota.status_hard.0.keys().filter(|resource| usage::counts(object.kind(), object, resource)).collect()
}

/// The resources whose usage the controller has not counted, if there are any.
fn unknown(quota: &ResourceQuota, restricted: &[&Str]) -> Option<String> {
    let missing = restricted.iter().any(|resource| quota.used.get(resource).is_none());
    let names: Vec<&str> = restricted.iter().map(|resource| resource.as_str()).collect();
    missing.then(|| names.join(","))
}

/// What all objects of a namespace together use of the resources that a quota limits.
///
/// Upstream: `CalculateUsage`.
pub fn total(store: &Store, quota: &ResourceQuota) -> ResourceList {
    let namespace = &quota.meta.namespace;
    let mut used: BTreeMap<Str, Quantity> = BTreeMap::new();
    let mut add = |object: &Object| {
        if !scope::matches(quota, object) {
            return;
        }
        for (resource, amount) in usage::of(object, store).0 {
            if quota.hard.get(&resource).is_some() {
                let sum = used.get(&resource).map_or(amount, |have| have.plus(amount));
                used.insert(resource, sum);
            }
        }
    };
    // Only kinds that the quota speaks of are gone through.
    if quota.hard.0.keys().any(|resource| usage::is_of_pods(resource)) {
        store.list_in::<Pod>(namespace).for_each(|pod| add(&Object::Pod(pod.clone())));
    }
    for info in crate::api::object::KINDS {
        let speaks = info.namespaced
            && info.kind != crate::api::Kind::Pod
            && quota.hard.0.keys().any(|resource| usage::may_count(info.kind, resource));
        if speaks {
            store.list_objects_in(info.kind, namespace).iter().for_each(&mut add);
        }
    }
    let zero = |resource: &Str| used.get(resource).copied().unwrap_or(Quantity::ZERO);
    quota.hard.0.keys().map(|resource| (resource.clone(), zero(resource))).collect()
}

#[cfg(test)]
mod tests;
