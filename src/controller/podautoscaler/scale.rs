//! The scale of a target: what the subresource `scale` shows and takes.

use crate::api::k8s::autoscaling::v2::CrossVersionObjectReference;
use crate::api::workload::{Deployment, ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{Kind, LabelSelector, ObjectKey};
use crate::controller::Ctx;
use crate::store::metrics::NOT_SERVED;
use crate::store::{ApiError, Store};

/// The scale of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    kind: Kind,
    key: ObjectKey,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.replicas`.
    pub running: i32,
    /// `status.selector`.
    pub selector: LabelSelector,
}

/// The kind that a reference names.
///
/// # Errors
/// There is no such kind, in the words of the API machinery.
fn kind_of(reference: &CrossVersionObjectReference) -> Result<Kind, String> {
    let version = reference.api_version.as_deref().unwrap_or_default();
    let mut parts = version.split('/');
    let group = match (parts.next(), parts.next(), parts.next()) {
        (_, None, _) => "",
        (Some(group), Some(_), None) => group,
        _ => return Err(format!("unexpected GroupVersion string: {version}")),
    };
    let no_match = || format!("no matches for kind \"{}\" in group \"{group}\"", reference.kind);
    let kind =
        Kind::parse(&reference.kind).filter(|kind| kind.name() == reference.kind).ok_or_else(no_match)?;
    let (kinds_group, _) = kind.info().api_version.split_once('/').unwrap_or(("", ""));
    if kinds_group == group { Ok(kind) } else { Err(no_match()) }
}

impl Scale {
    /// Reads the scale of what a reference in this namespace names.
    ///
    /// # Errors
    /// Why there is none, in the API server's words.
    pub fn get(
        store: &Store,
        namespace: &str,
        reference: &CrossVersionObjectReference,
    ) -> Result<Self, String> {
        let kind = kind_of(reference)?;
        let key = ObjectKey::new(namespace, reference.name.as_str());
        let missing = || ApiError::not_found(kind, &key).to_string();
        let (replicas, running, selector) = match kind {
            Kind::Deployment => store
                .get::<Deployment>(&key)
                .map(|o| (o.replicas, o.status.replicas, o.selector.clone()))
                .ok_or_else(missing)?,
            Kind::ReplicaSet => store
                .get::<ReplicaSet>(&key)
                .map(|o| (o.replicas, o.status.replicas, o.selector.clone()))
                .ok_or_else(missing)?,
            Kind::ReplicationController => store
                .get::<ReplicationController>(&key)
                .map(|o| (o.0.replicas, o.0.status.replicas, o.0.selector.clone()))
                .ok_or_else(missing)?,
            Kind::StatefulSet => store
                .get::<StatefulSet>(&key)
                .map(|o| (o.replicas, o.status.replicas, o.selector.clone()))
                .ok_or_else(missing)?,
            _ => return Err(NOT_SERVED.to_owned()),
        };
        Ok(Self { kind, key, replicas, running, selector })
    }

    /// Sets `spec.replicas`.
    ///
    /// # Errors
    /// The target is gone.
    pub fn set(&self, ctx: &mut Ctx<'_>, replicas: i32) -> Result<(), ApiError> {
        match self.kind {
            Kind::Deployment => {
                ctx.update_spec::<Deployment>(&self.key, |o| o.replicas = replicas).map(|_| ())
            }
            Kind::ReplicaSet => {
                ctx.update_spec::<ReplicaSet>(&self.key, |o| o.replicas = replicas).map(|_| ())
            }
            Kind::ReplicationController => {
                ctx.update_spec::<ReplicationController>(&self.key, |o| o.0.replicas = replicas).map(|_| ())
            }
            _ => ctx.update_spec::<StatefulSet>(&self.key, |o| o.replicas = replicas).map(|_| ()),
        }
    }
}
