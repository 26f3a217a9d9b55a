//! What is said of attaching.
//!
//! Upstream: `reconciler/reconciler.go` (`reportMultiAttachError`), `operationexecutor/operation_generator.go`, v1.34.

use std::collections::BTreeSet;

use super::pass::Wanted;
use super::world::Doing;
use crate::api::{EventType, ObjectRef, Pod};
use crate::base::{Arc, Str};
use crate::controller::framework::Ctx;

/// Says to the Pods that want a volume on a node that another node has it.
pub(super) fn multi_attach(
    ctx: &mut Ctx<'_>,
    volume: &str,
    node: &Str,
    pods: &[Arc<Pod>],
    attached: &BTreeSet<Str>,
    wanted: &Wanted,
) {
    let others: Vec<&Arc<Pod>> =
        attached.iter().filter(|n| *n != node).filter_map(|n| wanted.get(n)).flatten().collect();
    for pod in pods {
        let why = users(&others, &pod.meta.namespace);
        let message = format!("Multi-Attach error for volume \"{volume}\" {why}");
        ctx.event(ObjectRef::to(&**pod), EventType::Warning, "FailedAttachVolume", message);
    }
}

/// Who has the volume, as far as a Pod of a namespace may know.
pub(super) fn users(others: &[&Arc<Pod>], namespace: &str) -> String {
    if others.is_empty() {
        return "Volume is already exclusively attached to one node and can't be attached to another"
            .to_owned();
    }
    let own = others.iter().filter(|p| p.meta.namespace == namespace);
    let mut names: Vec<&str> = own.map(|p| p.meta.name.as_str()).collect();
    names.sort_unstable();
    let foreign = others.len() - names.len();
    match (names.as_slice(), foreign) {
        ([], n) => format!("Volume is already used by {n} pod(s) in different namespaces"),
        (names, 0) => format!("Volume is already used by pod(s) {}", names.join(", ")),
        (names, n) => {
            format!(
                "Volume is already used by pod(s) {} and {n} pod(s) in different namespaces",
                names.join(", ")
            )
        }
    }
}

/// Says that a volume is there.
pub(super) fn attached(ctx: &mut Ctx<'_>, volume: &str, pods: &[ObjectRef]) {
    for pod in pods {
        // The blank at the end is upstream's.
        let message = format!("AttachVolume.Attach succeeded for volume \"{volume}\" ");
        ctx.event(pod.clone(), EventType::Normal, "SuccessfulAttachVolume", message);
    }
}

/// Says that a volume could not be attached.
pub(super) fn attach_failed(ctx: &mut Ctx<'_>, volume: &str, pods: &[ObjectRef], why: &str) {
    for pod in pods {
        let message = format!("AttachVolume.Attach failed for volume \"{volume}\" : {why}");
        ctx.event(pod.clone(), EventType::Warning, "FailedAttachVolume", message);
    }
}

/// Why an operation was given up.
pub(super) fn timeout(doing: Doing, driver: &str, handle: &str) -> String {
    match doing {
        Doing::Attach => {
            format!(
                "timed out waiting for external-attacher of {driver} CSI driver to attach volume {handle}"
            )
        }
        Doing::Detach => {
            format!("timed out waiting for external-attacher of unknown CSI driver to detach volume {handle}")
        }
    }
}
