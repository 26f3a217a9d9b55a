//! One pass of the reconciler over a volume: what is attached and not wanted is detached, what is wanted and not
//! attached is attached, nodes are told.
//!
//! Upstream: `reconciler/reconciler.go`, `statusupdater/node_status_updater.go`, v1.34.

use std::collections::BTreeMap;

use super::world::{Doing, State, Volume};
use super::{AttachDetach, words};
use crate::api::storage::{AccessMode, ClaimPhase, PersistentVolume, PersistentVolumeClaim};
use crate::api::volume::VolumeSource;
use crate::api::{Node, ObjectKey, Pod};
use crate::base::{Arc, SimDuration, Str};
use crate::controller::common::pods::is_terminated;
use crate::controller::framework::Ctx;
use crate::store::Store;

/// How long a node that is not healthy may go on saying that it uses a volume (`ReconcilerMaxWaitForUnmountDuration`).
const MAX_WAIT_FOR_UNMOUNT: SimDuration = SimDuration::from_mins(6);

/// Nodes that a volume is wanted on, with the Pods that want it.
pub(super) type Wanted = BTreeMap<Str, Vec<Arc<Pod>>>;

impl AttachDetach {
    pub(super) fn pass(&mut self, name: &Str, volume: &mut Volume, ctx: &mut Ctx<'_>) {
        let wanted = wanted(ctx.store(), name, volume);
        let shared = is_shared(ctx.store(), name);
        for place in volume.places.iter_mut().filter(|(node, _)| !wanted.contains_key(*node)).map(|(_, p)| p)
        {
            place.multi_attach_said = false;
        }
        let nodes: Vec<Str> = volume.places.keys().cloned().collect();
        for node in nodes.iter().filter(|node| !wanted.contains_key(*node)) {
            self.detach_unless_used(volume, node, shared, ctx);
        }
        for (node, pods) in &wanted {
            self.attach_if_possible(name, volume, node, pods, &wanted, shared, ctx);
        }
        report_attached(volume, ctx);
    }

    /// Detaches a volume from a node where nobody wants it, once the node has unmounted it, or is given up.
    fn detach_unless_used(&mut self, volume: &mut Volume, node: &Str, shared: bool, ctx: &mut Ctx<'_>) {
        let now = ctx.now();
        let (busy, unique) = (volume.is_busy(node, shared), volume.unique_name());
        let Some(place) = volume.places.get_mut(node) else { return };
        if busy || place.held_back(Doing::Detach, now) || place.state == State::Detached {
            return;
        }
        let since = *place.detach_since.get_or_insert(now);
        let live = ctx.store().find::<Node>("", node);
        let used = match live {
            Some(live) => live.status.volumes_in_use.contains(&unique),
            None => self.used_by_gone.get(node).is_some_and(|used| used.contains(&unique)),
        };
        let healthy = live.is_some_and(|n| n.is_ready());
        let out_of_service = live.is_some_and(|n| n.is_out_of_service());
        let expired = now.since(since) > MAX_WAIT_FOR_UNMOUNT;
        place.force_at = None;
        if used && !out_of_service && (healthy || !expired) {
            // Upstream compares with "longer than": the pass after the span is over.
            let over = since + MAX_WAIT_FOR_UNMOUNT + SimDuration::from_nanos(1);
            place.force_at = (!healthy).then(|| super::pass_at(over));
            return;
        }
        self.start_detach(volume, node, ctx);
    }

    #[allow(clippy::too_many_arguments, reason = "one step of a pass, split off for its length")]
    fn attach_if_possible(
        &mut self,
        name: &Str,
        volume: &mut Volume,
        node: &Str,
        pods: &[Arc<Pod>],
        wanted: &Wanted,
        shared: bool,
        ctx: &mut Ctx<'_>,
    ) {
        if volume.is_busy(node, shared) {
            return;
        }
        let now = ctx.now();
        let attached = volume.attached_to();
        let place = volume.places.entry(node.clone()).or_default();
        place.force_at = None;
        place.detach_since = None;
        if place.state == State::Attached {
            return;
        }
        if !shared && !attached.is_empty() {
            if !std::mem::replace(&mut place.multi_attach_said, true) {
                words::multi_attach(ctx, name, node, pods, &attached, wanted);
            }
            return;
        }
        place.multi_attach_said = false;
        if place.held_back(Doing::Attach, now) {
            return;
        }
        self.start_attach(name, volume, node, pods, ctx);
    }
}

/// Whether several nodes may have the volume.
fn is_shared(store: &Store, name: &str) -> bool {
    let Some(volume) = store.find::<PersistentVolume>("", name) else { return false };
    let many = |mode: &AccessMode| matches!(mode, AccessMode::ReadWriteMany | AccessMode::ReadOnlyMany);
    volume.access_modes.is_empty() || volume.access_modes.iter().any(many)
}

/// Nodes of the Pods that use the claim a volume is bound to.
fn wanted(store: &Store, name: &str, volume: &Volume) -> Wanted {
    let mut wanted = Wanted::new();
    let reference = store.find::<PersistentVolume>("", name).and_then(|v| v.claim_ref.clone());
    let claim = reference.and_then(|r| {
        store
            .get::<PersistentVolumeClaim>(&r.key)
            .filter(|c| c.meta.uid == r.uid && c.phase == ClaimPhase::Bound && c.spec.volume_name == name)
    });
    let Some(claim) = claim else { return wanted };
    for pod in store.pods_using(&claim.meta.key()) {
        let Some(node) = pod.node_name.as_ref().filter(|_| !is_terminated(pod)) else { continue };
        let known = volume.places.get(node).is_some_and(|place| place.state != State::Detached);
        if names(pod, claim) && (known || store.find::<Node>("", node).is_some()) {
            wanted.entry(node.clone()).or_default().push(pod.clone());
        }
    }
    wanted
}

/// Whether the Pod really means this claim, and not one that only has the name its ephemeral volume would have.
fn names(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let direct =
        pod.spec.volumes.iter().any(
            |v| matches!(&v.source, VolumeSource::Claim { claim: name, .. } if *name == claim.meta.name),
        );
    direct || claim.meta.is_controlled_by(&pod.meta.uid)
}

/// Tells the nodes which volumes they have.
fn report_attached(volume: &mut Volume, ctx: &mut Ctx<'_>) {
    let unique = volume.unique_name();
    for (node, place) in &mut volume.places {
        if place.state == State::Attached && place.operation.is_none() && !place.reported {
            place.reported = true;
            set_reported(ctx, node, &unique, true);
        }
    }
}

/// Puts a volume into the list of a node's status, or takes it out.
pub(super) fn set_reported(ctx: &mut Ctx<'_>, node: &Str, unique: &Str, attached: bool) {
    // A node that has vanished needs no list.
    let _ = ctx.update::<Node>(&ObjectKey::cluster(node.clone()), |n| {
        let list = &mut n.status.volumes_attached;
        match (list.binary_search(unique), attached) {
            (Err(at), true) => list.insert(at, unique.clone()),
            (Ok(at), false) => {
                list.remove(at);
            }
            (Ok(_), true) | (Err(_), false) => {}
        }
    });
}
