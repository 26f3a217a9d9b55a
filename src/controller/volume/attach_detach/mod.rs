//! The attach/detach controller: volumes are attached to the nodes whose Pods want them, and detached when no Pod does.
//!
//! Upstream: `pkg/controller/volume/attachdetach`, `pkg/volume/util/operationexecutor`,
//! `pkg/volume/csi/csi_attacher.go`, v1.34.
//!
//! * [`world`]: what is attached, and what is going on. * [`pass`]: one pass of the reconciler over a volume.
//! * [`operation`]: attaching and detaching, and waiting for the external attacher. * [`words`]: what is said of it.
//!
//! Upstream's reconciler looks at everything every 100 ms. Here a volume is looked at in the first pass after something
//! about it has changed, and when a span of time that it waits for is over; nothing else could make a difference.
//!
//! # Fidelity
//! * Passes are at 50 ms, 150 ms, 250 ms … from the start; upstream's period is 100 ms and the time of a pass.
//! * In-tree disks that Pods name without a claim are not attached.
//! * `disableAttachDetachReconcilerSync` and `disable-force-detach-on-timeout` are not set.

mod operation;
mod pass;
#[cfg(test)]
mod tests;
mod words;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use crate::api::storage::{ClaimPhase, CsiDriver, PersistentVolume, PersistentVolumeClaim, VolumeAttachment};
use crate::api::{Kind, Node, ObjectKey, Pod};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::controller::aspects::Aspects;
use crate::controller::common::pods::is_terminated;
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::params::drivers;
use crate::store::{Change, Store, Verb};
use world::{State, Volume};

/// The reconciler's period, and where its passes lie.
const PASS_PERIOD: SimDuration = SimDuration::from_millis(100);
const PASS_PHASE: SimDuration = SimDuration::from_millis(50);

/// The first pass at or after an instant.
fn pass_at(at: SimTime) -> SimTime {
    at.next_on_grid(PASS_PHASE, PASS_PERIOD)
}

/// The attach/detach controller.
#[derive(Clone, Debug)]
pub struct AttachDetach {
    /// `--attach-detach-reconcile-sync-period`.
    sync_period: SimDuration,
    /// Volumes that are wanted or attached somewhere, by name.
    volumes: BTreeMap<Str, Volume>,
    /// Volumes that are attached to a node or on their way.
    by_node: BTreeMap<Str, BTreeSet<Str>>,
    /// What deleted nodes said last of the volumes they used.
    used_by_gone: BTreeMap<Str, Vec<Str>>,
}

impl AttachDetach {
    /// A controller that looks so often whether what it has attached still is.
    pub fn boxed(sync_period: SimDuration) -> Box<dyn Controller> {
        Box::new(Self {
            sync_period,
            volumes: BTreeMap::new(),
            by_node: BTreeMap::new(),
            used_by_gone: BTreeMap::new(),
        })
    }

    /// Looks at a volume in the first pass after `at`.
    fn request(&mut self, volume: &Str, at: SimTime, store: &Store, out: &mut Enqueue) {
        if !self.volumes.contains_key(volume) {
            let Some(new) = attachable(store, volume) else { return };
            self.volumes.insert(volume.clone(), new);
        }
        if let Some(known) = self.volumes.get_mut(volume) {
            let pass = pass_at(at);
            known.next_pass = Some(known.next_pass.map_or(pass, |earlier| earlier.min(pass)));
            out.after(key_of(volume), pass.since(at));
        }
    }

    fn pod_changed(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let Some((old, new)) = change.of::<Pod>() else { return };
        let Some(pod) = new.or(old).filter(|p| p.node_name.is_some() && !p.spec.volumes.is_empty()) else {
            return;
        };
        let wants = |pod: Option<&Arc<Pod>>| pod.is_some_and(|p| p.node_name.is_some() && !is_terminated(p));
        if wants(old) == wants(new) {
            return;
        }
        for name in pod.spec.claim_names(&pod.meta.name) {
            let claim = store.find::<PersistentVolumeClaim>(&pod.meta.namespace, &name);
            if let Some(volume) = claim.map(|c| c.spec.volume_name.clone()).filter(|v| !v.is_empty()) {
                self.request(&volume, change.at, store, out);
            }
        }
    }

    fn claim_changed(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let Some((old, new)) = change.of::<PersistentVolumeClaim>() else { return };
        let volume = |claim: Option<&Arc<PersistentVolumeClaim>>| {
            claim.filter(|c| c.phase == ClaimPhase::Bound).map(|c| c.spec.volume_name.clone())
        };
        let (before, after) = (volume(old), volume(new));
        if before == after {
            return;
        }
        let used = store.pods_using(&change.key()).any(|p| p.node_name.is_some());
        for volume in before.into_iter().chain(after).filter(|v| !v.is_empty()) {
            if used || self.volumes.contains_key(&volume) {
                self.request(&volume, change.at, store, out);
            }
        }
    }

    fn node_changed(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let Some((old, new)) = change.of::<Node>() else { return };
        let name = change.latest().meta().name.clone();
        match (old, new) {
            (_, None) if !self.by_node.contains_key(&name) => return,
            (_, None) => {
                let used = old.map(|n| n.status.volumes_in_use.clone()).unwrap_or_default();
                self.used_by_gone.insert(name.clone(), used);
            }
            (None, Some(_)) => {
                self.used_by_gone.remove(&name);
            }
            (Some(old), Some(new)) => {
                let same = old.is_ready() == new.is_ready()
                    && old.status.volumes_in_use == new.status.volumes_in_use
                    && old.is_out_of_service() == new.is_out_of_service();
                if same {
                    return;
                }
            }
        }
        for volume in self.by_node.get(&name).cloned().into_iter().flatten() {
            self.request(&volume, change.at, store, out);
        }
    }

    fn attachment_changed(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let Some((old, new)) = change.of::<VolumeAttachment>() else { return };
        let Some(attachment) = new.or(old) else { return };
        let (volume, node) = (attachment.pv_name.clone(), attachment.node_name.clone());
        if !self.volumes.contains_key(&volume) {
            // Somebody else has made it: what it says is taken over.
            self.request(&volume, change.at, store, out);
        }
        let Some(known) = self.volumes.get_mut(&volume) else { return };
        let place = known.places.entry(node.clone()).or_default();
        if let Some(operation) = &mut place.operation {
            if !operation.may_end(new.map(|a| &**a)) {
                return;
            }
            let wake = operation.next_look(change.at, store.seed(), &volume, &node);
            out.after(key_of(&volume), wake.since(change.at));
        } else if change.verb == Verb::Deleted {
            // Found out when what is attached is verified.
            let found =
                (change.at + SimDuration::from_nanos(1)).next_on_grid(SimDuration::ZERO, self.sync_period);
            place.lost = Some(found);
            out.after(key_of(&volume), found.since(change.at));
        } else if place.state == State::Detached {
            place.state = if attachment.attached { State::Attached } else { State::Uncertain };
            self.by_node.entry(node).or_default().insert(volume.clone());
            self.request(&volume, change.at, store, out);
        }
    }
}

fn key_of(volume: &Str) -> WorkKey {
    WorkKey::sync(ObjectKey::cluster(volume.clone()))
}

/// What is known of a volume that a driver attaches; none for others.
fn attachable(store: &Store, name: &Str) -> Option<Volume> {
    let volume = store.find::<PersistentVolume>("", name)?;
    let (driver, handle) = volume.source.csi()?;
    let object = store.find::<CsiDriver>("", &driver).map(|d| &**d);
    drivers::attaches(&driver, object).then(|| Volume::new(driver, handle))
}

impl Controller for AttachDetach {
    fn name(&self) -> &'static str {
        "attachdetach-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Pod, Kind::PersistentVolumeClaim, Kind::Node, Kind::VolumeAttachment]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::VOLUMES
    }

    /// One loop starts operations and does not wait for them.
    fn workers(&self) -> usize {
        1000
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::Pod => self.pod_changed(change, store, out),
            Kind::PersistentVolumeClaim => self.claim_changed(change, store, out),
            Kind::Node => self.node_changed(change, store, out),
            Kind::VolumeAttachment => self.attachment_changed(change, store, out),
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let name = &key.key.name;
        let Some(mut volume) = self.volumes.remove(name) else { return Action::Done };
        let now = ctx.now();
        self.complete(name, &mut volume, ctx);
        if volume.next_pass.is_some_and(|at| at <= now) {
            volume.next_pass = None;
            self.pass(name, &mut volume, ctx);
        }
        volume.places.retain(|node, place| {
            let keep = place.matters();
            if !keep && let Some(volumes) = self.by_node.get_mut(node) {
                volumes.remove(name);
                if volumes.is_empty() {
                    self.by_node.remove(node);
                }
            }
            keep
        });
        let due = volume.due();
        if !volume.places.is_empty() || due.is_some() {
            self.volumes.insert(name.clone(), volume);
        }
        due.map_or(Action::Done, |at| Action::After(at.since(now)))
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
