//! The external attachers of all drivers: they carry out what VolumeAttachments ask for.
//!
//! Upstream: kubernetes-csi/external-attacher v4.10 `pkg/controller`.
//!
//! # Fidelity
//! * Every driver has its attacher. Calls succeed after the latencies `volumeAttach` and `volumeDetach`, also for machines that
//!   are down, unless the scenario says otherwise of the driver.
//! * More volumes than a machine can have are refused only if the scenario gives an `attachLimit`; else they are kept away by
//!   the scheduler alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::storage::{CsiDriver, CsiNode, PersistentVolume, VolumeAttachment};
use crate::api::{Kind, Node, ObjectKey, Resource};
use crate::base::{Arc, LookupMap, SimDuration, SimTime, Str};
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::params::operations::{self, Ec2Error, Operation, Operations, RESOURCE_EXHAUSTED};
use crate::params::{Delay, drivers};
use crate::store::{Change, Store};

/// The task of an attachment.
const ATTACHMENT: &str = "attachment";
/// The task of a volume.
const VOLUME: &str = "volume";
/// `--worker-threads` of the EBS chart; the default is 10.
const WORKERS: usize = 100;
/// `--retry-interval-start` and `--retry-interval-max`.
const RETRY: (SimDuration, SimDuration) = (SimDuration::from_secs(1), SimDuration::from_mins(5));

/// What a sidecar needs besides its driver: its calls of the API, for finalizers before and the status after. So it was
/// on the recorded control plane.
const SIDECAR: (SimDuration, SimDuration) = (SimDuration::from_millis(70), SimDuration::from_millis(110));

/// The external attachers.
#[derive(Clone, Debug)]
pub struct Attacher {
    attach: Delay,
    detach: Delay,
    operations: Operations,
    /// Failed calls of an attachment in a row.
    failures: LookupMap<ObjectKey, Failures>,
    /// What drivers are doing.
    calls: BTreeMap<ObjectKey, Call>,
    /// Attachments of each volume.
    of_volume: BTreeMap<Str, BTreeSet<Str>>,
}

/// Calls of one kind that failed in a row, and when the next one is made. An attachment that is to go now is looked at
/// without waiting: upstream's `vaUpdated` queues it at once.
#[derive(Clone, Copy, Debug)]
struct Failures {
    detach: bool,
    count: u32,
    until: SimTime,
}

/// A call to a driver that has not returned.
#[derive(Clone, Copy, Debug)]
struct Call {
    detach: bool,
    /// When the driver is done.
    due: SimTime,
    /// When the attacher ceases to wait for it; the driver goes on.
    ends: SimTime,
}

impl Attacher {
    /// Attachers whose drivers take so long to attach and to detach.
    pub fn boxed(attach: Delay, detach: Delay, operations: Operations) -> Box<dyn Controller> {
        let (calls, of_volume) = (BTreeMap::new(), BTreeMap::new());
        Box::new(Self { attach, detach, operations, failures: LookupMap::new(), calls, of_volume })
    }
}

/// The finalizer of a driver's attacher: what is no letter or digit becomes a dash.
fn finalizer(driver: &str) -> Str {
    let mut name: String =
        driver.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    if name.ends_with('-') {
        name.push('X');
    }
    format!("external-attacher/{name}").into()
}

impl Controller for Attacher {
    fn name(&self) -> &'static str {
        "csi-attacher"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::VolumeAttachment, Kind::PersistentVolume]
    }

    fn workers(&self) -> usize {
        WORKERS
    }

    fn on_change(&mut self, change: &Change, _store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::VolumeAttachment => {
                let Some((old, new)) = change.of::<VolumeAttachment>() else { return };
                let Some(attachment) = new.or(old) else { return };
                let all = self.of_volume.entry(attachment.pv_name.clone()).or_default();
                if new.is_some() {
                    all.insert(attachment.meta.name.clone());
                } else {
                    all.remove(&attachment.meta.name);
                }
                if all.is_empty() {
                    self.of_volume.remove(&attachment.pv_name);
                    out.now(WorkKey::task(VOLUME, ObjectKey::cluster(attachment.pv_name.clone())));
                }
                if new.is_some_and(|a| !a.attached || a.meta.is_deleting()) {
                    out.now(WorkKey::task(ATTACHMENT, attachment.key()));
                }
            }
            Kind::PersistentVolume => {
                if let Some(object) = change.new().filter(|o| o.meta().is_deleting()) {
                    out.now(WorkKey::task(VOLUME, object.key()));
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        if key.task == VOLUME { self.let_go(&key.key, ctx) } else { self.sync(&key.key, ctx) }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Attacher {
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(attachment) = ctx.store().get::<VolumeAttachment>(key).cloned() else {
            self.calls.remove(key);
            return Action::Done;
        };
        let detach = attachment.meta.is_deleting();
        let operation = if detach { Operation::Detach } else { Operation::Attach };
        let held = attachment.meta.has_finalizer(&finalizer(&attachment.attacher));
        if detach && !held || !detach && attachment.attached {
            self.calls.remove(key);
            return Action::Done;
        }
        let now = ctx.now();
        if let Some(failures) = self.failures.get(key).filter(|f| f.detach == detach && f.until > now) {
            return Action::After(failures.until.since(now));
        }
        let timeout = drivers::of(&attachment.attacher).timeouts.1;
        let call = match self.calls.get(key) {
            // A call that took too long is made again, and finds the driver at work.
            Some(call) if call.detach == detach && call.ends < now => Call { ends: now + timeout, ..*call },
            Some(call) if call.detach == detach => *call,
            _ => {
                if !detach {
                    hold(&attachment, ctx);
                }
                let (usual, purpose) =
                    if detach { (self.detach, "volume-detach") } else { (self.attach, "volume-attach") };
                let delay = self.operations.latency(&attachment.attacher, operation, now).unwrap_or(usual);
                // Drivers that attach nothing have nothing to do.
                let driver = ctx.store().find::<CsiDriver>("", &attachment.attacher).map(|d| &**d);
                let works = drivers::attaches(&attachment.attacher, driver);
                let mut stream = ctx.seed().stream(purpose, &attachment.meta.uid);
                let due = if works {
                    now + delay.sample(&mut stream) + stream.duration_between(SIDECAR.0, SIDECAR.1)
                } else {
                    now
                };
                Call { detach, due, ends: now + timeout }
            }
        };
        self.calls.insert(key.clone(), call);
        if call.due > now {
            if call.ends > now {
                return Action::After(call.due.min(call.ends).since(now));
            }
            let why = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
            return self.fail(key, operation, why.to_owned(), ctx);
        }
        self.calls.remove(key);
        if let Some(why) = self.refusal(&attachment, operation, ctx) {
            return self.fail(key, operation, why, ctx);
        }
        self.failures.remove(key);
        let mine = finalizer(&attachment.attacher);
        let written = ctx.update::<VolumeAttachment>(key, |a| {
            if detach {
                a.meta.finalizers.retain(|f| *f != mine);
            } else {
                a.attached = true;
                a.attach_error = Str::new();
            }
        });
        written.map_or_else(|error| Action::Retry(error.to_string().into()), |_| Action::Done)
    }

    /// Why the driver refuses a call, if it does.
    fn refusal(&self, attachment: &VolumeAttachment, operation: Operation, ctx: &Ctx<'_>) -> Option<String> {
        let (driver, now, seed) = (&attachment.attacher, ctx.now(), ctx.seed());
        let store = ctx.store();
        let volume = store.find::<PersistentVolume>("", &attachment.pv_name);
        let handle = volume.and_then(|v| v.source.csi()).map(|(_, handle)| handle).unwrap_or_default();
        let uid = &attachment.meta.uid;
        let mut stream = seed.stream_of("request-id", &[uid.as_bytes(), &now.as_nanos().to_le_bytes()]);
        let way = if operation == Operation::Attach { "to" } else { "from" };
        let node = node_id(&attachment.node_name, driver, store);
        let what = format!("{handle:?} {way} node {node:?}");
        if operation == Operation::Attach {
            if lacks_driver(&attachment.node_name, driver, store) {
                return Some(format!("CSINode {} does not contain driver {driver}", attachment.node_name));
            }
            if volume.is_some_and(|v| is_out_of_reach(v, attachment, store)) {
                let why = format!(
                    "The volume '{handle}' is not in the same availability zone as instance '{node}'"
                );
                let error = Ec2Error::of("InvalidVolume.ZoneMismatch", &why);
                return Some(operations::ec2_words(operation, &what, &error, &mut stream));
            }
            if volume.is_some_and(|v| self.is_elsewhere(v, attachment, store)) {
                let why = format!("{handle} is already attached to an instance");
                let error = Ec2Error::of("VolumeInUse", &why);
                return Some(operations::ec2_words(operation, &what, &error, &mut stream));
            }
            if self.is_full(attachment, ctx) {
                let error = Ec2Error::of("AttachmentLimitExceeded", "Volume attachment limit exceeded");
                let error = error.passed_on_as(RESOURCE_EXHAUSTED);
                return Some(operations::ec2_words(operation, &what, &error, &mut stream));
            }
        }
        let trouble = self.operations.trouble(driver, operation, uid, (now, seed))?;
        Some(operations::words(driver, operation, &what, trouble, &mut stream))
    }

    /// Whether a disk that one machine can have at a time is with another.
    fn is_elsewhere(&self, volume: &PersistentVolume, attachment: &VolumeAttachment, store: &Store) -> bool {
        let others = self.of_volume.get(&attachment.pv_name).into_iter().flatten();
        volume.is_single_node()
            && others
                .filter(|name| **name != attachment.meta.name)
                .filter_map(|name| store.find::<VolumeAttachment>("", name))
                .any(|other| other.attached)
    }

    /// Whether the machine has as many volumes as it can have, by what the scenario says.
    fn is_full(&self, attachment: &VolumeAttachment, ctx: &Ctx<'_>) -> bool {
        let there = |a: &&Arc<VolumeAttachment>| {
            a.attached && a.attacher == attachment.attacher && a.node_name == attachment.node_name
        };
        let limit = self.operations.attach_limit(&attachment.attacher, ctx.now());
        limit.is_some_and(|limit| ctx.store().list::<VolumeAttachment>().filter(there).count() >= limit)
    }

    /// Writes down why a call failed, for the attach/detach controller to read, and tries again later.
    fn fail(&mut self, key: &ObjectKey, operation: Operation, why: String, ctx: &mut Ctx<'_>) -> Action {
        let detach = operation == Operation::Detach;
        let count = self.failures.get(key).filter(|f| f.detach == detach).map_or(0, |f| f.count);
        let pause = (RETRY.0 * 2u64.saturating_pow(count.min(20))).min(RETRY.1);
        self.failures.insert(key.clone(), Failures { detach, count: count + 1, until: ctx.now() + pause });
        // An attachment that has vanished has no status.
        let _ = ctx.update::<VolumeAttachment>(key, |a| match operation {
            Operation::Detach => a.detach_error = why.into(),
            _ => a.attach_error = why.into(),
        });
        Action::After(pause)
    }

    /// Lets a deleted volume go that nothing is attached of.
    fn let_go(&mut self, key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(volume) = ctx.store().get::<PersistentVolume>(key) else { return Action::Done };
        let Some((driver, _)) = volume.source.csi() else { return Action::Done };
        let mine = finalizer(&driver);
        if volume.meta.is_deleting()
            && volume.meta.has_finalizer(&mine)
            && !self.of_volume.contains_key(&key.name)
        {
            // A volume that has vanished is let go.
            let _ = ctx.update::<PersistentVolume>(key, |v| v.meta.finalizers.retain(|f| *f != mine));
        }
        Action::Done
    }
}

/// Whether a node has not the driver, which others have: it has not registered there yet.
fn lacks_driver(node: &str, driver: &str, store: &Store) -> bool {
    let lists = |node: &CsiNode| node.drivers.iter().any(|d| d.name == *driver);
    let own = store.find::<CsiNode>("", node);
    own.is_some_and(|own| !lists(own)) && store.list::<CsiNode>().any(|other| lists(other))
}

/// Whether a zonal disk is to be attached to a machine of another zone: Pods that name their node come there.
fn is_out_of_reach(volume: &PersistentVolume, attachment: &VolumeAttachment, store: &Store) -> bool {
    let Some(node) = store.find::<Node>("", &attachment.node_name) else { return false };
    let affinity = volume.node_affinity.as_ref();
    drivers::find(&attachment.attacher).is_some_and(|driver| !driver.volume_keys.is_empty())
        && affinity.is_some_and(|a| !a.matches(&node.meta.name, &node.meta.labels))
}

/// The node's name at the driver.
fn node_id(node: &str, driver: &str, store: &Store) -> Str {
    let found = store.find::<CsiNode>("", node);
    let own = found.and_then(|n| n.drivers.iter().find(|d| d.name == *driver)).map(|d| d.node_id.clone());
    own.filter(|id| !id.is_empty()).unwrap_or_else(|| node.into())
}

/// Puts the finalizer on an attachment and its volume.
fn hold(attachment: &VolumeAttachment, ctx: &mut Ctx<'_>) {
    let mine = finalizer(&attachment.attacher);
    let volume = ObjectKey::cluster(attachment.pv_name.clone());
    // What has vanished meanwhile needs no finalizer.
    let _ = ctx.update::<VolumeAttachment>(&attachment.meta.key(), |a| {
        if !a.meta.has_finalizer(&mine) {
            a.meta.finalizers.push(mine.clone());
        }
    });
    let _ = ctx.update::<PersistentVolume>(&volume, |v| {
        if !v.meta.has_finalizer(&mine) && !v.meta.is_deleting() {
            v.meta.finalizers.push(mine.clone());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finalizers_are_named_after_the_driver() {
        assert_eq!(finalizer("ebs.csi.example.com"), "external-attacher/ebs-csi-example-com");
        assert_eq!(finalizer("x_"), "external-attacher/x-X");
    }
}
