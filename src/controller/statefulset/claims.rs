//! Claims of a StatefulSet's Pods: creation and owner references by retention policy.
//!
//! Upstream: `pkg/controller/statefulset/{stateful_pod_control,stateful_set_utils}.go`, v1.34.

use super::events;
use super::identity::{claim_name, in_range, ordinal};
use crate::api::storage::PersistentVolumeClaim;
use crate::api::workload::{ClaimTemplate, StatefulSet};
use crate::api::{Lasting, Meta, OwnerReference, Pod, Resource};
use crate::base::{Arc, Str};
use crate::controller::framework::Ctx;
use crate::store::ApiError;

/// The claim that a template makes for an ordinal.
fn claim_for(set: &StatefulSet, template: &ClaimTemplate, ordinal: i32) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        meta: Lasting {
            labels: template.meta.labels.merged(&set.match_labels),
            annotations: template.meta.annotations.clone(),
            finalizers: template.meta.finalizers.clone(),
            ..Lasting::named(set.meta.namespace.clone(), claim_name(&template.meta.name, set, ordinal))
        }
        .into(),
        spec: template.spec.clone(),
        ..PersistentVolumeClaim::default()
    }
}

fn claims_of<'a>(
    ctx: &'a Ctx<'_>,
    set: &'a StatefulSet,
    pod: &Pod,
) -> impl Iterator<Item = &'a Arc<PersistentVolumeClaim>> + use<'a> {
    let ordinal = ordinal(pod);
    set.claim_templates.iter().filter_map(move |template| {
        let name = claim_name(&template.meta.name, set, ordinal?);
        ctx.store().find::<PersistentVolumeClaim>(&set.meta.namespace, &name)
    })
}

/// Creates the claims of a Pod that do not exist yet.
///
/// # Errors
/// A sentence for each claim that could not be made or is being deleted.
pub(super) fn create_missing(ctx: &mut Ctx<'_>, set: &StatefulSet, pod: &Pod) -> Result<(), Str> {
    let Some(ordinal) = ordinal(pod) else { return Ok(()) };
    let mut errors: Vec<String> = Vec::new();
    for template in &set.claim_templates {
        let claim = claim_for(set, template, ordinal);
        let name = claim.meta.name.clone();
        match ctx.store().get::<PersistentVolumeClaim>(&claim.key()) {
            Some(live) if live.meta.is_deleting() => errors.push(format!("pvc {name} is being deleted")),
            Some(_) => {}
            None => match ctx.create(claim) {
                Ok(_) => events::claim_created(ctx, set, &pod.meta.name, &name),
                Err(error) => {
                    errors.push(format!("failed to create PVC {name}: {error}"));
                    if !matches!(error, ApiError::AlreadyExists { .. }) {
                        events::claim_failed(ctx, set, &pod.meta.name, &name, &error);
                    }
                }
            },
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.as_str().into()),
        many => Err(format!("[{}]", many.join(", ")).into()),
    }
}

/// Whether a claim of a Pod to be created still belongs to its predecessor and will vanish with it.
pub(super) fn any_stale(ctx: &Ctx<'_>, set: &StatefulSet, pod: &Pod) -> bool {
    set.delete_claims_when_scaled && claims_of(ctx, set, pod).any(|c| has_stale_owner(c, pod))
}

/// Whether the owners of all claims of the Pod are as the retention policy wants them.
pub(super) fn owners_match(ctx: &Ctx<'_>, set: &StatefulSet, pod: &Pod) -> bool {
    claims_of(ctx, set, pod).all(|c| owners_up_to_date(c, set, pod))
}

/// Brings the owners of the Pod's claims in line with the retention policy.
///
/// # Errors
/// A sentence, if a claim could not be written.
pub(super) fn update_owners(ctx: &mut Ctx<'_>, set: &StatefulSet, pod: &Pod) -> Result<(), Str> {
    let claims: Vec<_> = claims_of(ctx, set, pod).cloned().collect();
    for claim in claims {
        let name = &claim.meta.name;
        if has_unexpected_controller(&claim, set, pod) {
            events::conflicting_controller(ctx, set, name);
        }
        if owners_up_to_date(&claim, set, pod) {
            continue;
        }
        let owners = wanted_owners(&claim, set, pod);
        ctx.update::<PersistentVolumeClaim>(&claim.key(), |c| c.meta.owners = owners.into())
            .map_err(|e| format!("could not update claim {name} for delete policy ownerRefs: {e}"))?;
    }
    Ok(())
}

fn refers_to<T: Resource>(reference: &OwnerReference, object: &T) -> bool {
    let info = T::KIND.info();
    reference.api_version == info.api_version
        && reference.kind == info.name
        && reference.name == object.meta().name
}

fn owns(claim: &PersistentVolumeClaim, owner: &Meta) -> bool {
    claim.meta.owners.iter().any(|o| o.uid == owner.uid)
}

/// A reference to an object of this name but another identity.
fn has_stale_owner<T: Resource>(claim: &PersistentVolumeClaim, object: &T) -> bool {
    claim.meta.owners.iter().find(|o| refers_to(o, object)).is_some_and(|o| o.uid != object.meta().uid)
}

fn has_unexpected_controller(claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> bool {
    if !set.delete_claims_when_scaled && !set.delete_claims_when_deleted {
        return false;
    }
    claim.meta.owners.iter().any(|o| {
        if refers_to(o, set) {
            o.uid != set.meta.uid
        } else if refers_to(o, pod) {
            o.uid != pod.meta.uid
        } else {
            o.controller
        }
    })
}

fn owners_up_to_date(claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> bool {
    if has_stale_owner(claim, set) || has_stale_owner(claim, pod) {
        return true;
    }
    let (by_set, by_pod) = (owns(claim, &set.meta), owns(claim, &pod.meta));
    if has_unexpected_controller(claim, set, pod) {
        return !by_set && !by_pod;
    }
    let ours = |o: &OwnerReference| o.uid == set.meta.uid || o.uid == pod.meta.uid;
    if claim.meta.owners.iter().any(|o| ours(o) && !o.controller) {
        return false;
    }
    (by_set, by_pod) == wanted(set, pod)
}

/// Whether the set, and whether the Pod, shall own the claims.
fn wanted(set: &StatefulSet, pod: &Pod) -> (bool, bool) {
    let condemned = !ordinal(pod).is_some_and(|o| in_range(set, o));
    match (set.delete_claims_when_scaled, set.delete_claims_when_deleted) {
        (false, by_set) => (by_set, false),
        (true, false) => (false, condemned),
        (true, true) => (!condemned, condemned),
    }
}

fn wanted_owners(claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> Vec<OwnerReference> {
    let mut owners: Vec<_> =
        claim.meta.owners.iter().filter(|o| !refers_to(o, set) && !refers_to(o, pod)).cloned().collect();
    if has_unexpected_controller(claim, set, pod) {
        return owners;
    }
    let (by_set, by_pod) = wanted(set, pod);
    if by_pod && !owners.iter().any(|o| o.uid == pod.meta.uid) {
        owners.push(OwnerReference::controller_of(pod));
    }
    if by_set && !owners.iter().any(|o| o.uid == set.meta.uid) {
        owners.push(OwnerReference::controller_of(set));
    }
    owners
}
