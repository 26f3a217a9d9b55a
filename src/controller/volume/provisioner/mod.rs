//! The external provisioners of all drivers: volumes are made for claims and deleted when they are released.
//!
//! Upstream: kubernetes-csi/external-provisioner v6.1 and the library
//! kubernetes-sigs/sig-storage-lib-external-provisioner that it is built on (`controller/controller.go`).
//! What a driver does is in [`crate::params::drivers`].
//!
//! * [`claims`]: a volume for a claim. * [`source`]: what it is made from. * [`topology`]: where it goes.
//! * [`volumes`]: finalizers and deletion.
//!
//! # Fidelity
//! * The provisioner of every driver that is installed (in the table of [`crate::params::drivers`], or named by a
//!   CSIDriver or a CSINode) works; one program stands for all of them. Its Pod is named `<pod>-0` in the source of
//!   Events. Claims of classes with another provisioner wait.
//! * `--strict-topology` is not set, and the drivers take the first place they are offered.
//! * Calls fail with DeadlineExceeded, Aborted, ResourceExhausted, InvalidArgument or Internal; Canceled and Unavailable do not occur.
//! * Deleting a volume takes no time, and making one takes the latency `volumeProvision` whatever the driver, unless the
//!   scenario says otherwise of it.
//! * A clone lies where its source lies, and no node elsewhere can have it; a volume from a snapshot may lie anywhere.
//! * A zone without room refuses EBS volumes with `InsufficientVolumeCapacity`, which the driver reports as Internal: the claim
//!   is tried again in the same place for ever. Other drivers report ResourceExhausted.
//! * Known drivers that no CSINode lists are taken to run on every node; of unknown ones nothing is known about places
//!   then, and their volumes can be reached from everywhere.
//! * CSIStorageCapacity objects shrink and grow with the volumes that are made and deleted; upstream asks the driver
//!   for news after each volume and every minute.
//! * Volumes for in-tree classes are CSI volumes; upstream writes them back in the in-tree form.

mod claims;
mod source;
#[cfg(test)]
mod tests;
mod topology;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use crate::api::storage::{
    CsiDriver, CsiNode, PersistentVolume, PersistentVolumeClaim, VolumeAttachment, annotation,
    migrated_driver,
};
use crate::api::{Kind, ObjectKey, Resource};
use crate::base::{Arc, LookupMap, SimDuration, SimTime, Str};
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::kernel::{Seed, Stream};
use crate::params::operations::{self, Operation, Operations, Trouble};
use crate::params::{Delay, drivers};
use crate::store::{Change, Store};

/// The task of a claim.
const CLAIM: &str = "claim";
/// The task of a volume.
const VOLUME: &str = "volume";
/// `--worker-threads`.
const WORKERS: usize = 100;
/// `--retry-interval-start`.
const RETRY_START: SimDuration = SimDuration::from_secs(1);

/// The external provisioners.
#[derive(Clone, Debug)]
pub struct Provisioner {
    /// How long a driver takes to make a volume.
    provision: Delay,
    /// What is said of drivers.
    said: Operations,
    /// Volumes that are being made.
    calls: BTreeMap<ObjectKey, Call>,
    /// Claims and volumes that have failed: how often, and when they are tried again.
    failures: LookupMap<Str, (u32, SimTime)>,
    /// Claims whose driver nobody runs, by its name.
    unserved: BTreeMap<Str, BTreeSet<ObjectKey>>,
    /// Nodes that volumes are attached to.
    attached: BTreeMap<Str, BTreeSet<Str>>,
}

/// A call to a driver that has not returned.
#[derive(Clone, Debug)]
struct Call {
    claim: Arc<PersistentVolumeClaim>,
    driver: Str,
    place: Option<topology::Segment>,
    /// When the driver is done.
    due: SimTime,
    /// When the provisioner ceases to wait for it; none between two calls.
    ends: Option<SimTime>,
}

impl Provisioner {
    /// Provisioners whose drivers take so long.
    pub fn boxed(provision: Delay, said: Operations) -> Box<dyn Controller> {
        Box::new(Self {
            provision,
            said,
            calls: BTreeMap::new(),
            failures: LookupMap::new(),
            unserved: BTreeMap::new(),
            attached: BTreeMap::new(),
        })
    }

    /// Notes a failure and says when to try again: after twice the time each time.
    fn back_off(&mut self, uid: &Str, driver: &str, now: SimTime) -> Action {
        let failures = self.failures.get(uid).map_or(0, |(count, _)| *count);
        let delay = (RETRY_START * 2u64.saturating_pow(failures.min(30))).min(drivers::of(driver).retry_max);
        self.failures.insert(uid.clone(), (failures + 1, now + delay));
        Action::After(delay)
    }

    /// What is left of the time until something that has failed is tried again.
    fn held_back(&self, uid: &Str, now: SimTime) -> Option<SimDuration> {
        self.failures.get(uid).map(|(_, at)| at.since(now)).filter(|left| !left.is_zero())
    }
}

/// What a driver says of a call that failed.
fn words(ctx: &Ctx<'_>, driver: &str, (operation, what): (Operation, &str), trouble: Trouble) -> String {
    operations::words(driver, operation, &format!("{what:?}"), trouble, &mut request_id(ctx, what))
}

/// Where the identity of a request to the cloud comes from.
fn request_id(ctx: &Ctx<'_>, what: &str) -> Stream {
    ctx.seed().stream_of("request-id", &[what.as_bytes(), &ctx.now().as_nanos().to_le_bytes()])
}

/// The source of a provisioner's Events: `<provisioner>_<host name>_<uuid>`.
fn event_source(seed: Seed, driver: &str) -> Str {
    let id = seed.stream("csi-provisioner", driver).uuid();
    format!("{driver}_{}-0_{id}", drivers::of(driver).pod).into()
}

/// The provisioner that is to make a volume for the claim, in the name of its driver.
fn wanted_from(claim: &PersistentVolumeClaim) -> Option<&Str> {
    let annotations = &claim.meta.annotations;
    annotations
        .get(annotation::STORAGE_PROVISIONER)
        .or_else(|| annotations.get(annotation::STORAGE_PROVISIONER_BETA))
}

/// The driver that is responsible for a volume.
fn responsible_for(volume: &PersistentVolume) -> Option<Str> {
    match volume.meta.annotations.get(annotation::PROVISIONED_BY) {
        Some(by) => {
            let driver = migrated_driver(by).map_or_else(|| by.clone(), Str::from);
            (!driver.starts_with("kubernetes.io/")).then_some(driver)
        }
        None => volume.source.csi().map(|(driver, _)| driver),
    }
}

impl Controller for Provisioner {
    fn name(&self) -> &'static str {
        "csi-provisioner"
    }

    fn watches(&self) -> &'static [Kind] {
        &[
            Kind::PersistentVolumeClaim,
            Kind::PersistentVolume,
            Kind::VolumeAttachment,
            Kind::CsiDriver,
            Kind::CsiNode,
        ]
    }

    fn workers(&self) -> usize {
        WORKERS
    }

    fn on_change(&mut self, change: &Change, _store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::PersistentVolumeClaim => {
                if let Some((_, Some(claim))) = change.of::<PersistentVolumeClaim>()
                    && claim.spec.volume_name.is_empty()
                    && wanted_from(claim).is_some()
                {
                    out.now(WorkKey::task(CLAIM, claim.key()));
                }
            }
            Kind::PersistentVolume => {
                if let Some((_, Some(volume))) = change.of::<PersistentVolume>()
                    && volumes::may_need_work(volume)
                {
                    out.now(WorkKey::task(VOLUME, volume.key()));
                }
            }
            Kind::VolumeAttachment => {
                if let Some((old, new)) = change.of::<VolumeAttachment>()
                    && let Some(attachment) = new.or(old)
                {
                    self.note_attachment(attachment, new.is_some());
                }
            }
            Kind::CsiDriver => {
                if let Some((_, Some(driver))) = change.of::<CsiDriver>() {
                    self.serve(&driver.meta.name, out);
                }
            }
            Kind::CsiNode => {
                if let Some((_, Some(node))) = change.of::<CsiNode>() {
                    node.drivers.iter().for_each(|driver| self.serve(&driver.name, out));
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        if key.task == CLAIM { self.sync_claim(&key.key, ctx) } else { self.sync_volume(&key.key, ctx) }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Provisioner {
    /// A driver is there: claims that waited for it are looked at.
    fn serve(&mut self, driver: &str, out: &mut Enqueue) {
        for claim in self.unserved.remove(driver).into_iter().flatten() {
            out.now(WorkKey::task(CLAIM, claim));
        }
    }

    fn note_attachment(&mut self, attachment: &VolumeAttachment, present: bool) {
        let nodes = self.attached.entry(attachment.pv_name.clone()).or_default();
        if present {
            nodes.insert(attachment.node_name.clone());
        } else {
            nodes.remove(&attachment.node_name);
        }
        if nodes.is_empty() {
            self.attached.remove(&attachment.pv_name);
        }
    }
}
