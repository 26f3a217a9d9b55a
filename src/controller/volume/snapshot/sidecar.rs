//! The drivers' sidecars that take and delete snapshots.
//!
//! Upstream: `pkg/sidecar-controller/snapshot_controller.go`, v8.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{CONTENT, FINALIZER_CONTENT, is_kind, is_ready, reference};
use crate::api::storage::PersistentVolume;
use crate::api::{EventType, Inert, Kind, ObjectKey, Resource};
use crate::base::{SimDuration, SimTime, Str};
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::params::operations::{self, Operation, Operations};
use crate::params::{Delay, drivers};
use crate::store::{Change, Store};

/// The external snapshotters of all drivers.
#[derive(Clone, Debug)]
pub struct Snapshotter {
    snapshot: Delay,
    ready: Delay,
    operations: Operations,
    /// Calls to drivers that have not returned: when they do.
    calls: BTreeMap<ObjectKey, SimTime>,
    /// Snapshots that are being completed: when they are ready.
    completing: BTreeMap<ObjectKey, SimTime>,
}

impl Snapshotter {
    /// Snapshotters whose drivers take so long until the instant is fixed, and then until the snapshot can be used.
    pub fn boxed(snapshot: Delay, ready: Delay, operations: Operations) -> Box<dyn Controller> {
        let (calls, completing) = (BTreeMap::new(), BTreeMap::new());
        Box::new(Self { snapshot, ready, operations, calls, completing })
    }
}

impl Controller for Snapshotter {
    fn name(&self) -> &'static str {
        "csi-snapshotter"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Inert]
    }

    fn workers(&self) -> usize {
        10
    }

    /// `--retry-interval-start` and `--retry-interval-max`.
    fn retry_backoff(&self) -> (SimDuration, SimDuration) {
        (SimDuration::from_secs(1), SimDuration::from_mins(5))
    }

    fn on_change(&mut self, change: &Change, _store: &Store, out: &mut Enqueue) {
        if change.kind() == Kind::Inert
            && let Some((_, Some(content))) = change.of::<Inert>()
            && is_kind(content, CONTENT)
        {
            out.now(WorkKey::sync(content.key()));
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(content) = ctx.store().get::<Inert>(&key.key).cloned() else { return Action::Done };
        let driver = content.text(&["spec", "driver"]);
        if !drivers::of(&driver).snapshots {
            return Action::Done;
        }
        if content.meta.is_deleting() {
            // The driver deletes the snapshot at once; a content that has vanished needs no finalizer.
            let _ = ctx.update::<Inert>(&key.key, |c| c.meta.finalizers.retain(|f| f != FINALIZER_CONTENT));
            return Action::Done;
        }
        let handle = content.text(&["status", "snapshotHandle"]);
        let given = content.text(&["spec", "source", "snapshotHandle"]);
        if handle.is_empty() && !given.is_empty() {
            adopt(&key.key, &given, ctx);
            return Action::Done;
        }
        if !handle.is_empty() {
            return self.complete(&key.key, &content, ctx);
        }
        self.take(&key.key, &content, &driver, ctx)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Snapshotter {
    /// Has the driver take a snapshot.
    fn take(&mut self, key: &ObjectKey, content: &Inert, driver: &Str, ctx: &mut Ctx<'_>) -> Action {
        let now = ctx.now();
        let uid = &content.meta.uid;
        let Some(due) = self.calls.get(key).copied() else {
            let delay = self.operations.latency(driver, Operation::Snapshot, now).unwrap_or(self.snapshot);
            let due = now + delay.sample(&mut ctx.seed().stream("volume-snapshot", uid));
            self.calls.insert(key.clone(), due);
            return Action::After(due.since(now));
        };
        if due > now {
            return Action::After(due.since(now));
        }
        self.calls.remove(key);
        let volume = content.text(&["spec", "source", "volumeHandle"]);
        if let Some(trouble) = self.operations.trouble(driver, Operation::Snapshot, uid, (now, ctx.seed())) {
            let mut stream =
                ctx.seed().stream_of("request-id", &[uid.as_bytes(), &now.as_nanos().to_le_bytes()]);
            let why =
                operations::words(driver, Operation::Snapshot, &format!("{volume:?}"), trouble, &mut stream);
            let why =
                format!("Failed to create snapshot: failed to take snapshot of the volume {volume}: {why:?}");
            let error = json!({"message": why, "time": ctx.timestamp().to_rfc3339()});
            // A content that has vanished has no status.
            let _ = ctx.update::<Inert>(key, |c| {
                c.set("status", "error", error);
                c.set("status", "readyToUse", json!(false));
            });
            say(driver, content, "SnapshotCreationFailed", why.clone(), ctx);
            return Action::Retry(why.into());
        }
        let handle = if driver == drivers::EBS {
            format!("snap-0{:016x}", ctx.seed().stream("snapshot-handle", uid).next_u64())
        } else {
            format!("snapshot-{}", content.text(&["spec", "volumeSnapshotRef", "uid"]))
        };
        let size = size_of(driver, &volume, ctx.store());
        let time = ctx.timestamp().secs().saturating_mul(1_000_000_000);
        let delay = self.ready.sample(&mut ctx.seed().stream("snapshot-ready", uid));
        self.completing.insert(key.clone(), now + delay);
        // A content that has vanished has no status.
        let _ = ctx.update::<Inert>(key, |c| {
            c.set("status", "creationTime", json!(time));
            c.set("status", "readyToUse", json!(false));
            c.set("status", "restoreSize", json!(size));
            c.set("status", "snapshotHandle", json!(handle));
            c.set("status", "error", Value::Null);
        });
        Action::After(delay)
    }

    /// Says that a snapshot can be used, once it can.
    fn complete(&mut self, key: &ObjectKey, content: &Inert, ctx: &mut Ctx<'_>) -> Action {
        let now = ctx.now();
        match self.completing.get(key) {
            Some(at) if *at > now => Action::After(at.since(now)),
            _ if is_ready(content) => Action::Done,
            _ => {
                self.completing.remove(key);
                // A content that has vanished has no status.
                let _ = ctx.update::<Inert>(key, |c| c.set("status", "readyToUse", json!(true)));
                Action::Done
            }
        }
    }
}

/// A snapshot that was there before.
fn adopt(key: &ObjectKey, handle: &str, ctx: &mut Ctx<'_>) {
    let time = ctx.timestamp().secs().saturating_mul(1_000_000_000);
    // A content that has vanished has no status.
    let _ = ctx.update::<Inert>(key, |c| {
        c.set("status", "creationTime", json!(time));
        c.set("status", "readyToUse", json!(true));
        c.set("status", "snapshotHandle", json!(handle));
    });
}

/// The size of the volume behind a handle, in bytes.
fn size_of(driver: &str, handle: &str, store: &Store) -> i64 {
    let is_it = |volume: &&crate::base::Arc<PersistentVolume>| {
        volume.source.csi().is_some_and(|(d, h)| d == driver && h == handle)
    };
    store.list::<PersistentVolume>().find(is_it).map_or(0, |volume| volume.size().value())
}

fn say(driver: &str, content: &Inert, reason: &'static str, why: String, ctx: &mut Ctx<'_>) {
    let source = format!("csi-snapshotter {driver}");
    ctx.event_as(source.into(), reference(content), EventType::Warning, reason, why);
}
