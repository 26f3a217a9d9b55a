//! The controller that an autoscaler is for: which Pods are its own, or why that cannot be said.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/target/fetcher.go`, `pkg/recommender/input/cluster_feeder.go` (`getSelector`), 1.5.1.
//!
//! # Fidelity
//! A target of a kind that is not known here, with a subresource `scale` of its own, counts as one that cannot be read.

use super::object::Vpa;
use crate::api::workload::{
    CronJob, DaemonSet, Deployment, Job, ReplicaSet, ReplicationController, StatefulSet,
};
use crate::api::{Kind, LabelSelector, Meta, ObjectKey};
use crate::base::Str;
use crate::store::Store;
use crate::store::metrics::NOT_SERVED;
use crate::store::webhook::parent;

/// The selector of an autoscaler's target.
///
/// # Errors
/// There is none, or it is not the topmost controller of its Pods; in upstream's words.
pub fn selector_of(store: &Store, vpa: &Vpa) -> Result<LabelSelector, String> {
    let (kind, name) = (&vpa.target.0, &vpa.target.1);
    let unread = |why: String| format!("Cannot read targetRef. Reason: {why}");
    if kind.is_empty() {
        return Err(unread("targetRef not defined. If this is a v1beta1 object, switch to v1".to_owned()));
    }
    let namespace = &vpa.key.namespace;
    let Some(found) = find(store, kind, &ObjectKey::new(namespace.clone(), name.clone())) else {
        return Err(unread(unhandled(vpa)));
    };
    let (selector, meta) =
        found.ok_or_else(|| unread(format!("{kind} {namespace}/{name} does not exist")))?;
    if parent(store, &meta).is_some() {
        return Err(format!(
            "The target {}.{kind}/{name} has a parent controller but it should point to a topmost well-known or scalable controller",
            vpa.target_version
        ));
    }
    Ok(selector)
}

/// Selector and metadata of a target, if it is there; none if the kind is no controller's.
fn find(store: &Store, kind: &str, key: &ObjectKey) -> Option<Option<(LabelSelector, Meta)>> {
    Some(match kind {
        "Deployment" => store.get::<Deployment>(key).map(|o| (o.selector.clone(), o.meta.clone())),
        "ReplicaSet" => store.get::<ReplicaSet>(key).map(|o| (o.selector.clone(), o.meta.clone())),
        "ReplicationController" => {
            store.get::<ReplicationController>(key).map(|o| (o.0.selector.clone(), o.0.meta.clone()))
        }
        "StatefulSet" => store.get::<StatefulSet>(key).map(|o| (o.selector.clone(), o.meta.clone())),
        "DaemonSet" => store.get::<DaemonSet>(key).map(|o| (o.selector.clone(), o.meta.clone())),
        "Job" => store.get::<Job>(key).map(|o| (o.selector.clone(), o.meta.clone())),
        "CronJob" => store
            .get::<CronJob>(key)
            .map(|o| (LabelSelector::from_labels(&o.job_template.template.labels), o.meta.clone())),
        _ => return None,
    })
}

/// What is said of a target of another kind.
fn unhandled(vpa: &Vpa) -> String {
    let (version, kind, name) = (&vpa.target_version, &vpa.target.0, &vpa.target.1);
    let group = version.split_once('/').map_or(Str::new(), |(group, _)| group.into());
    let why = match Kind::parse(kind).is_some_and(|known| known.name() == kind.as_str()) {
        true => NOT_SERVED.to_owned(),
        false => format!("no matches for kind \"{kind}\" in group \"{group}\""),
    };
    format!("unhandled targetRef {version} / {kind} / {name}, last error {why}")
}
