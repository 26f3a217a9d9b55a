//! The scale of a target: what the subresource `scale` shows and takes.

use crate::api::k8s::autoscaling::v2::CrossVersionObjectReference;
use crate::api::workload::{Deployment, ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{Kind, LabelSelector, ObjectKey};
use crate::base::Arc;
use crate::controller::Ctx;
use crate::store::metrics::NOT_SERVED;
use crate::store::{ApiError, Store};

/// The scale of a workload, as it was when it was read.
#[derive(Clone, Debug)]
pub struct Scale {
    of: Scaled,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.replicas`.
    pub running: i32,
}

/// A workload with a scale.
#[derive(Clone, Debug)]
enum Scaled {
    Deployment(Arc<Deployment>),
    ReplicaSet(Arc<ReplicaSet>),
    ReplicationController(Arc<ReplicationController>),
    StatefulSet(Arc<StatefulSet>),
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
    let kind = Kind::named(&reference.kind).ok_or_else(no_match)?;
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
        let name = reference.name.as_str();
        let of = match kind {
            Kind::Deployment => store.find(namespace, name).cloned().map(Scaled::Deployment),
            Kind::ReplicaSet => store.find(namespace, name).cloned().map(Scaled::ReplicaSet),
            Kind::ReplicationController => {
                store.find(namespace, name).cloned().map(Scaled::ReplicationController)
            }
            Kind::StatefulSet => store.find(namespace, name).cloned().map(Scaled::StatefulSet),
            _ => return Err(NOT_SERVED.to_owned()),
        };
        let of = of.ok_or_else(|| ApiError::not_found(kind, &ObjectKey::new(namespace, name)).to_string())?;
        let (replicas, running) = match &of {
            Scaled::Deployment(of) => (of.replicas, of.status.replicas),
            Scaled::ReplicaSet(of) => (of.replicas, of.status.replicas),
            Scaled::ReplicationController(of) => (of.0.replicas, of.0.status.replicas),
            Scaled::StatefulSet(of) => (of.replicas, of.status.replicas),
        };
        Ok(Self { of, replicas, running })
    }

    /// `status.selector`.
    pub fn selector(&self) -> &LabelSelector {
        match &self.of {
            Scaled::Deployment(of) => &of.selector,
            Scaled::ReplicaSet(of) => &of.selector,
            Scaled::ReplicationController(of) => &of.0.selector,
            Scaled::StatefulSet(of) => &of.selector,
        }
    }

    /// Sets `spec.replicas`.
    ///
    /// # Errors
    /// The target is gone.
    pub fn set(&self, ctx: &mut Ctx<'_>, replicas: i32) -> Result<(), ApiError> {
        match &self.of {
            Scaled::Deployment(of) => {
                ctx.update_spec::<Deployment>(&of.meta.key(), |o| o.replicas = replicas).map(|_| ())
            }
            Scaled::ReplicaSet(of) => {
                ctx.update_spec::<ReplicaSet>(&of.meta.key(), |o| o.replicas = replicas).map(|_| ())
            }
            Scaled::ReplicationController(of) => ctx
                .update_spec::<ReplicationController>(&of.0.meta.key(), |o| o.0.replicas = replicas)
                .map(|_| ()),
            Scaled::StatefulSet(of) => {
                ctx.update_spec::<StatefulSet>(&of.meta.key(), |o| o.replicas = replicas).map(|_| ())
            }
        }
    }
}
