//! What a user may change of a claim.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`ValidatePersistentVolumeClaimUpdate`),
//! `plugin/pkg/admission/storage/persistentvolume/resize`, v1.34.
//!
//! # Fidelity
//! The refusal of an immutable spec lacks the difference that upstream prints behind it.

use super::Store;
use super::error::ApiError;
use super::table::Stored;
use crate::api::Kind;
use crate::api::resources::STORAGE;
use crate::api::storage::{ClaimPhase, PersistentVolume, PersistentVolumeClaim, StorageClass};
use crate::base::Quantity;

/// Checks the new desired state of an object that exists; only claims have rules here.
///
/// # Errors
/// What must not change has changed, or a claim is to grow that cannot.
pub(super) fn check_update<T: Stored>(store: &Store, new: &T) -> Result<(), ApiError> {
    let Some(new) = (new as &dyn std::any::Any).downcast_ref::<PersistentVolumeClaim>() else {
        return Ok(());
    };
    let Some(old) = store.get::<PersistentVolumeClaim>(&new.meta.key()) else { return Ok(()) };
    let size = |claim: &PersistentVolumeClaim| claim.requested();
    if size(new) > size(old) {
        may_grow(store, old)?;
    }
    let invalid = |why: &str| ApiError::Invalid {
        kind: Kind::PersistentVolumeClaim,
        name: new.meta.name.clone(),
        why: why.into(),
    };
    if !same_but_for_size(old, new) {
        return Err(invalid(
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
    let has = old.status_capacity.get(STORAGE).unwrap_or(Quantity::ZERO);
    if size(new) < size(old) && size(new) <= has {
        return Err(invalid(
            "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity",
        ));
    }
    Ok(())
}

fn may_grow(store: &Store, claim: &PersistentVolumeClaim) -> Result<(), ApiError> {
    let forbidden =
        |why: &'static str| Err(ApiError::forbidden(Kind::PersistentVolumeClaim, &claim.meta.name, why));
    if claim.phase != ClaimPhase::Bound {
        return forbidden("Only bound persistent volume claims can be expanded");
    }
    let volume = store.find::<PersistentVolume>("", &claim.spec.volume_name);
    let class = volume.map(|v| v.class()).filter(|c| !c.is_empty()).unwrap_or_else(|| claim.class());
    if store.find::<StorageClass>("", &class).is_some_and(|c| c.allow_expansion) {
        return Ok(());
    }
    forbidden(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    )
}

/// Whether two states of a claim differ only in what may change: the size and the attributes of a bound one, and what
/// was left open.
fn same_but_for_size(old: &PersistentVolumeClaim, new: &PersistentVolumeClaim) -> bool {
    let mut allowed = old.spec.clone();
    if old.spec.volume_name.is_empty() {
        allowed.volume_name.clone_from(&new.spec.volume_name);
    }
    if old.spec.storage_class.is_none() {
        allowed.storage_class.clone_from(&new.spec.storage_class);
    }
    if new.phase == ClaimPhase::Bound {
        allowed.attributes_class.clone_from(&new.spec.attributes_class);
        if let Some(size) = new.spec.requests.get(STORAGE) {
            allowed.requests.0.insert(STORAGE.into(), size);
        }
    }
    allowed == new.spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::storage::{AccessMode, ClaimSpec};
    use crate::api::{Labels, Meta, Object, ResourceList};
    use crate::testkit;

    fn storage(size: &str) -> ResourceList {
        [(STORAGE, Quantity::parse(size).unwrap())].into_iter().collect()
    }

    /// Applies an edit to a bound claim of 10Gi whose class may or may not grow.
    fn edit(allow_expansion: bool, edit: impl FnOnce(&mut PersistentVolumeClaim)) -> String {
        let mut store = testkit::store();
        let class = StorageClass {
            meta: Meta::named("", "gp3"),
            provisioner: "ebs.csi.aws.com".into(),
            parameters: Labels::default(),
            reclaim_policy: Default::default(),
            wait_for_first_consumer: true,
            allow_expansion,
            allowed_topologies: Vec::new(),
            mount_options: Vec::new(),
        };
        store.create(class).unwrap();
        let claim = PersistentVolumeClaim {
            meta: Meta::named("default", "data"),
            spec: ClaimSpec {
                requests: storage("10Gi"),
                storage_class: Some("gp3".into()),
                volume_name: "pv".into(),
                ..ClaimSpec::default()
            },
            phase: ClaimPhase::Bound,
            status_capacity: storage("10Gi"),
            ..PersistentVolumeClaim::default()
        };
        let mut new = (*store.create(claim).unwrap()).clone();
        edit(&mut new);
        store.replace_object(Object::from(new)).map_or_else(|error| error.to_string(), |_| "ok".to_owned())
    }

    #[test]
    fn a_bound_claim_may_grow_if_its_class_allows_it() {
        // autoscaling-storage.md §5.11, expansion.
        let grow = |c: &mut PersistentVolumeClaim| c.spec.requests = storage("20Gi");
        assert_eq!(edit(true, grow), "ok");
        assert_eq!(
            edit(false, grow),
            "persistentvolumeclaims \"data\" is forbidden: only dynamically provisioned pvc can be resized and the \
             storageclass that provisions the pvc must support resize"
        );
        assert_eq!(
            edit(true, |c| c.spec.requests = storage("5Gi")),
            "PersistentVolumeClaim \"data\" is invalid: spec.resources.requests.storage: Forbidden: field can not be less than \
             status.capacity"
        );
        let immutable = "PersistentVolumeClaim \"data\" is invalid: spec: Forbidden: spec is immutable after creation except \
                         resources.requests and volumeAttributesClassName for bound claims";
        assert_eq!(edit(true, |c| c.spec.access_modes = vec![AccessMode::ReadWriteMany]), immutable);
        assert_eq!(edit(true, |c| c.meta.labels = testkit::labels("a=b")), "ok");
    }
}
