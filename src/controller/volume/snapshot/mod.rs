//! Snapshots: points in time of volumes that new volumes are made from, also in another zone.
//!
//! Upstream: kubernetes-csi/external-snapshotter v8 `pkg/common-controller` ([`controller`]) and `pkg/sidecar-controller`
//! ([`sidecar`]). The kinds are custom resources; they are carried as such.
//!
//! # Fidelity
//! * The custom resources and the controller are there in every cluster, and every driver that can take snapshots has its
//!   sidecar. Defaults and rules of the resources' schemas are not checked.
//! * A snapshot that is deleted while a volume is being made from it goes at once.
//! * VolumeGroupSnapshots are not simulated.

pub mod controller;
pub mod sidecar;
#[cfg(test)]
mod tests;

use crate::api::{Inert, ObjectKey, ObjectRef};
use crate::base::{Arc, Str};
use crate::store::Store;

/// A snapshot that somebody asks for.
pub const SNAPSHOT: &str = "VolumeSnapshot";
/// A snapshot that there is.
pub const CONTENT: &str = "VolumeSnapshotContent";
/// How snapshots are taken.
pub const CLASS: &str = "VolumeSnapshotClass";
/// Holds a content until its snapshot has been deleted at the driver.
pub const FINALIZER_CONTENT: &str = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection";

/// A custom object of a kind, by namespace and name.
pub fn find<'a>(store: &'a Store, kind: &str, namespace: &str, name: &str) -> Option<&'a Arc<Inert>> {
    store.find::<Inert>(namespace, &Inert::table_name(kind, name))
}

/// Where the store keeps a custom object.
pub(super) fn key(kind: &str, namespace: &Str, name: &str) -> ObjectKey {
    ObjectKey { namespace: namespace.clone(), name: Inert::table_name(kind, name) }
}

/// Whether something is a custom object of the snapshot API.
fn is_kind(object: &Inert, kind: &str) -> bool {
    object.kind == kind && object.api_version.starts_with("snapshot.storage.k8s.io/")
}

/// Whether a snapshot or its content can be used.
pub fn is_ready(object: &Inert) -> bool {
    object.json()["status"]["readyToUse"] == true
}

fn reference(object: &Inert) -> ObjectRef {
    ObjectRef {
        kind: object.kind.clone(),
        namespace: object.meta.namespace.clone(),
        name: object.meta.name.clone(),
        uid: object.meta.uid.clone(),
    }
}
