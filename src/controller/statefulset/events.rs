//! What the controller says about a StatefulSet.
//!
//! Upstream: `recordPodEvent` and `recordClaimEvent` in
//! `pkg/controller/statefulset/stateful_pod_control.go`, v1.34.

use std::fmt::Display;

use crate::api::workload::StatefulSet;
use crate::api::{EventType, ObjectRef};
use crate::controller::framework::Ctx;

/// What is done to a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It is created.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
}

impl Deed {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("Create", "create"),
            Self::Update => ("Update", "update"),
            Self::Delete => ("Delete", "delete"),
        }
    }
}

/// Says how a deed on a Pod went.
pub(super) fn pod<E: Display>(
    ctx: &mut Ctx<'_>,
    deed: Deed,
    set: &StatefulSet,
    pod: &str,
    result: Result<(), &E>,
) {
    let (reason, verb) = deed.words();
    let name = &set.meta.name;
    let (kind, reason, message) = match result {
        Ok(()) => (
            EventType::Normal,
            format!("Successful{reason}"),
            format!("{verb} Pod {pod} in StatefulSet {name} successful"),
        ),
        Err(error) => (
            EventType::Warning,
            format!("Failed{reason}"),
            format!("{verb} Pod {pod} in StatefulSet {name} failed error: {error}"),
        ),
    };
    ctx.event(ObjectRef::to(set), kind, reason, message);
}

/// A claim was made.
pub(super) fn claim_created(ctx: &mut Ctx<'_>, set: &StatefulSet, pod: &str, claim: &str) {
    let message = format!("create Claim {claim} Pod {pod} in StatefulSet {} success", set.meta.name);
    ctx.event(ObjectRef::to(set), EventType::Normal, "SuccessfulCreate", message);
}

/// A claim could not be made.
pub(super) fn claim_failed(
    ctx: &mut Ctx<'_>,
    set: &StatefulSet,
    pod: &str,
    claim: &str,
    error: &dyn Display,
) {
    let message =
        format!("create Claim {claim} for Pod {pod} in StatefulSet {} failed error: {error}", set.meta.name);
    ctx.event(ObjectRef::to(set), EventType::Warning, "FailedCreate", message);
}

/// A claim is managed by somebody else.
pub(super) fn conflicting_controller(ctx: &mut Ctx<'_>, set: &StatefulSet, claim: &str) {
    let message = format!(
        "PersistentVolumeClaim {claim} has a conflicting OwnerReference that acts as a manging controller, \
         the retention policy is ignored for this claim"
    );
    ctx.event(ObjectRef::to(set), EventType::Warning, "ConflictingController", message);
}
