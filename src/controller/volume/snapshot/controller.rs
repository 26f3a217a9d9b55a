//! The snapshot controller: finds class and volume of a VolumeSnapshot, makes its content, and says how it stands.
//!
//! Upstream: `pkg/common-controller/snapshot_controller.go`, v8.

use serde_json::{Value, json};

use super::{CLASS, CONTENT, FINALIZER_CONTENT, SNAPSHOT, find, is_kind, is_ready, key, reference};
use crate::api::storage::{ClaimPhase, PersistentVolume, PersistentVolumeClaim};
use crate::api::{EventType, Inert, Kind, Lasting, ObjectKey, Resource};
use crate::base::{Arc, Quantity, SimDuration, Str, Timestamp, text::lit};
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::store::{Change, DeleteOptions, Store};

/// Holds a snapshot while its content is there.
const FINALIZER_BOUND: Str = lit!("snapshot.storage.kubernetes.io/volumesnapshot-bound-protection");
/// Holds a snapshot while a volume is made from it.
const FINALIZER_SOURCE: Str = lit!("snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection");
/// Holds a claim while a snapshot is taken of it.
const FINALIZER_CLAIM: Str = lit!("snapshot.storage.kubernetes.io/pvc-as-source-protection");
/// The class is the default one of its driver.
const DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";
const NANOS: i64 = 1_000_000_000;

/// `snapshot-controller`.
#[derive(Clone, Debug, Default)]
pub struct SnapshotController;

impl SnapshotController {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self)
    }
}

impl Controller for SnapshotController {
    fn name(&self) -> &'static str {
        "snapshot-controller"
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
        if change.kind() != Kind::Inert {
            return;
        }
        let Some((old, new)) = change.of::<Inert>() else { return };
        let Some(object) = new.or(old) else { return };
        if is_kind(object, SNAPSHOT) && new.is_some() {
            out.now(WorkKey::sync(object.key()));
        } else if is_kind(object, CONTENT) {
            let snapshot = object.json()["spec"]["volumeSnapshotRef"].clone();
            let word = |field: &str| Str::from(snapshot[field].as_str().unwrap_or_default());
            out.now(WorkKey::sync(key(SNAPSHOT, &word("namespace"), &word("name"))));
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(snapshot) = ctx.store().get::<Inert>(&key.key).cloned() else { return Action::Done };
        if snapshot.meta.is_deleting() {
            return delete(&snapshot, &key.key, ctx);
        }
        protect(&snapshot, &key.key, ctx);
        match content_of(&snapshot, ctx) {
            Ok(content) => follow(&snapshot, &key.key, &content, ctx),
            Err((reason, why)) => {
                refuse(&snapshot, &key.key, reason, &why, ctx);
                Action::Retry(why.into())
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The deletion of a snapshot: its content goes first, if the policy says so.
fn delete(snapshot: &Arc<Inert>, at: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
    release_claim(snapshot, ctx);
    let content = snapshot.text(&["status", "boundVolumeSnapshotContentName"]);
    if let Some(content) = find(ctx.store(), CONTENT, "", &content).cloned()
        && content.text(&["spec", "deletionPolicy"]) == "Delete"
    {
        if !content.meta.is_deleting() {
            // Somebody else's deletion is as good.
            let _ = ctx.delete::<Inert>(&content.key(), &DeleteOptions::default());
        }
        if ctx.store().get::<Inert>(&content.key()).is_some() {
            // Its end brings the snapshot back here.
            return Action::Done;
        }
    }
    let own = [FINALIZER_BOUND, FINALIZER_SOURCE];
    // A snapshot that has vanished needs no finalizer.
    let _ = ctx.update::<Inert>(at, |s| s.meta.finalizers.retain(|f| !own.contains(f)));
    Action::Done
}

fn protect(snapshot: &Inert, at: &ObjectKey, ctx: &mut Ctx<'_>) {
    let missing: Vec<Str> = [FINALIZER_SOURCE, FINALIZER_BOUND]
        .into_iter()
        .filter(|finalizer| !snapshot.meta.has_finalizer(finalizer))
        .collect();
    if !missing.is_empty() {
        // A snapshot that has vanished needs no finalizer.
        let _ = ctx.update::<Inert>(at, |s| s.meta.finalizers.extend(missing));
    }
}

/// The content of a snapshot; made if need be. Errors: reason and message of an Event.
fn content_of(snapshot: &Inert, ctx: &mut Ctx<'_>) -> Result<Arc<Inert>, (&'static str, String)> {
    let given = snapshot.text(&["spec", "source", "volumeSnapshotContentName"]);
    if !given.is_empty() {
        let missing = || ("SnapshotContentMissing", "VolumeSnapshotContent is missing".to_owned());
        return find(ctx.store(), CONTENT, "", &given).cloned().ok_or_else(missing);
    }
    let name = Str::from(format!("snapcontent-{}", snapshot.meta.uid));
    if let Some(content) = find(ctx.store(), CONTENT, "", &name) {
        return Ok(content.clone());
    }
    let (volume, claim) = volume_of(snapshot, ctx.store());
    let class = class_of(snapshot, volume.as_deref().ok(), ctx.store())?;
    let failed = |why: String| {
        ("SnapshotContentCreationFailed", format!("Failed to create snapshot content with error {why}"))
    };
    let input = |why: String| {
        failed(format!("failed to get input parameters to create snapshot {}: {why:?}", snapshot.meta.name))
    };
    let volume = volume.map_err(input)?;
    let Some((_, handle)) = volume.source.csi() else {
        return Err(failed(format!(
            "cannot find CSI PersistentVolumeSource for volume {}",
            volume.meta.name
        )));
    };
    hold_claim(&claim, ctx);
    let created = ctx.create(content(snapshot, &class, name, &handle));
    let created = created.map_err(|error| failed(error.to_string()))?;
    let message = format!("Waiting for a snapshot {} to be created by the CSI driver.", snapshot.meta.key());
    ctx.event(reference(snapshot), EventType::Normal, "CreatingSnapshot", message);
    Ok(created)
}

fn content(snapshot: &Inert, class: &Inert, name: Str, handle: &str) -> Inert {
    let body = json!({
        "spec": {
            "deletionPolicy": class.json()["deletionPolicy"],
            "driver": class.json()["driver"],
            "source": {"volumeHandle": handle},
            "volumeSnapshotClassName": class.meta.name.as_str(),
            "volumeSnapshotRef": {
                "apiVersion": snapshot.api_version.as_str(),
                "kind": SNAPSHOT,
                "name": snapshot.meta.name.as_str(),
                "namespace": snapshot.meta.namespace.as_str(),
                "uid": snapshot.meta.uid.as_str(),
            },
        },
    });
    Inert {
        meta: Lasting { finalizers: vec![FINALIZER_CONTENT.into()].into(), ..Lasting::named("", name) }
            .into(),
        api_version: snapshot.api_version.clone(),
        kind: CONTENT.into(),
        namespaced: false,
        body: body.to_string().into(),
    }
}

/// The volume that is to be taken a snapshot of, and the claim that names it.
fn volume_of(snapshot: &Inert, store: &Store) -> (Result<Arc<PersistentVolume>, String>, ObjectKey) {
    let claim = snapshot.text(&["spec", "source", "persistentVolumeClaimName"]);
    let key = ObjectKey { namespace: snapshot.meta.namespace.clone(), name: claim.clone() };
    let find = || {
        let Some(found) = store.get::<PersistentVolumeClaim>(&key) else {
            return Err(format!(
                "failed to retrieve PVC {claim} from the lister: \"persistentvolumeclaim \\\"{claim}\\\" not found\""
            ));
        };
        if found.phase != ClaimPhase::Bound {
            return Err(format!(
                "the PVC {claim} is not yet bound to a PV, will not attempt to take a snapshot"
            ));
        }
        let volume = store.find::<PersistentVolume>("", &found.spec.volume_name);
        let bound = volume.filter(|v| v.claim_ref.as_ref().is_some_and(|r| r.uid == found.meta.uid));
        bound.cloned().ok_or_else(|| "claim in dataSource not bound or invalid".to_owned())
    };
    (find(), key)
}

/// The class that a snapshot names, or the default one of its volume's driver.
fn class_of(
    snapshot: &Inert,
    volume: Option<&PersistentVolume>,
    store: &Store,
) -> Result<Arc<Inert>, (&'static str, String)> {
    let name = snapshot.text(&["spec", "volumeSnapshotClassName"]);
    if !name.is_empty() {
        return find(store, CLASS, "", &name).cloned().ok_or_else(|| {
            let why = format!("volumesnapshotclass.snapshot.storage.k8s.io \"{name}\" not found");
            ("GetSnapshotClassFailed", format!("Failed to get snapshot class with error {why}"))
        });
    }
    let driver = volume.and_then(|v| v.source.csi()).map(|(driver, _)| driver).unwrap_or_default();
    let is_default = |class: &&Arc<Inert>| {
        is_kind(class, CLASS)
            && class.meta.annotations.get(DEFAULT_CLASS).is_some_and(|v| v == "true")
            && class.text(&["driver"]) == driver
    };
    let found: Vec<&Arc<Inert>> = store.list::<Inert>().filter(is_default).collect();
    let why = match found.as_slice() {
        [one] => return Ok((*one).clone()),
        [] => "cannot find default snapshot class".to_owned(),
        many => format!("{} default snapshot classes were found", many.len()),
    };
    Err(("SetDefaultSnapshotClassFailed", format!("Failed to set default snapshot class with error {why}")))
}

fn hold_claim(claim: &ObjectKey, ctx: &mut Ctx<'_>) {
    // A claim that has vanished needs no finalizer.
    let _ = ctx.update::<PersistentVolumeClaim>(claim, |c| {
        if !c.meta.has_finalizer(&FINALIZER_CLAIM) && !c.meta.is_deleting() {
            c.meta.finalizers.push(FINALIZER_CLAIM);
        }
    });
}

/// Lets the claim go, unless another snapshot of it is being taken.
fn release_claim(snapshot: &Inert, ctx: &mut Ctx<'_>) {
    let name = snapshot.text(&["spec", "source", "persistentVolumeClaimName"]);
    let waits = |other: &&Arc<Inert>| {
        is_kind(other, SNAPSHOT)
            && other.meta.uid != snapshot.meta.uid
            && other.text(&["spec", "source", "persistentVolumeClaimName"]) == name
            && !is_ready(other)
    };
    let claim = ObjectKey { namespace: snapshot.meta.namespace.clone(), name: name.clone() };
    let held = ctx
        .store()
        .get::<PersistentVolumeClaim>(&claim)
        .is_some_and(|c| c.meta.has_finalizer(&FINALIZER_CLAIM));
    if held && ctx.store().list_in::<Inert>(&snapshot.meta.namespace).find(waits).is_none() {
        // A claim that has vanished needs no finalizer.
        let _ = ctx.update::<PersistentVolumeClaim>(&claim, |c| {
            c.meta.finalizers.retain(|f| *f != FINALIZER_CLAIM);
        });
    }
}

fn refuse(snapshot: &Inert, at: &ObjectKey, reason: &'static str, why: &str, ctx: &mut Ctx<'_>) {
    if snapshot.text(&["status", "error", "message"]) == why {
        return;
    }
    let time = ctx.timestamp().to_rfc3339();
    // A snapshot that has vanished has no status.
    let _ = ctx.update::<Inert>(at, |s| {
        s.set("status", "error", json!({"message": why, "time": time}));
        s.set("status", "readyToUse", json!(false));
    });
    ctx.event(reference(snapshot), EventType::Warning, reason, why.to_owned());
}

/// What the content says, said of the snapshot.
fn follow(snapshot: &Arc<Inert>, at: &ObjectKey, content: &Inert, ctx: &mut Ctx<'_>) -> Action {
    let status = content.json()["status"].clone();
    let created = status["creationTime"].as_i64();
    let (was_created, was_ready) = (!snapshot.json()["status"]["creationTime"].is_null(), is_ready(snapshot));
    let ready = status["readyToUse"] == true;
    let size = status["restoreSize"].as_i64();
    let name = content.meta.name.clone();
    let error = if ready { Value::Null } else { status["error"].clone() };
    // A snapshot that has vanished has no status.
    let _ = ctx.update::<Inert>(at, |s| {
        let before = s.body.clone();
        let mut after = s.clone();
        after.set("status", "boundVolumeSnapshotContentName", json!(name.as_str()));
        if let Some(nanos) = created {
            after.set("status", "creationTime", json!(Timestamp::new(nanos / NANOS).to_rfc3339()));
        }
        after.set("status", "readyToUse", json!(ready));
        if let Some(bytes) = size {
            after.set("status", "restoreSize", json!(Quantity::from_bytes(bytes).to_string()));
        }
        after.set("status", "error", error);
        if after.body != before {
            *s = after;
        }
    });
    let key = snapshot.meta.key();
    if created.is_some() && !was_created {
        let message = format!("Snapshot {key} was successfully created by the CSI driver.");
        ctx.event(reference(snapshot), EventType::Normal, "SnapshotCreated", message);
    }
    if ready && !was_ready {
        ctx.event(
            reference(snapshot),
            EventType::Normal,
            "SnapshotReady",
            format!("Snapshot {key} is ready to use."),
        );
        release_claim(snapshot, ctx);
    }
    Action::Done
}
