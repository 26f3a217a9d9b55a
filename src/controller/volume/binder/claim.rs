//! The sync of a claim.
//!
//! Upstream: `pv_controller.go`: `syncClaim`, `syncUnboundClaim`, `syncBoundClaim`, `provisionClaim`, v1.34.

use super::matching::{is_bound_to, satisfies};
use super::{Binder, writes};
use crate::api::storage::{
    ClaimPhase, PersistentVolume, PersistentVolumeClaim, StorageClass, annotation, migrated_driver,
};
use crate::api::{EventType, ObjectRef, Pod};
use crate::base::{Arc, SimDuration, Str, text::lit};
use crate::controller::common::pods::is_terminated;
use crate::controller::framework::Ctx;
use crate::store::admission;

/// How long the provisioner is being written and spoken of.
const WRITING: (SimDuration, SimDuration) = (SimDuration::from_millis(2), SimDuration::from_millis(10));

impl Binder {
    /// Moves a claim towards its volume.
    pub(super) fn sync_claim(&mut self, claim: &Arc<PersistentVolumeClaim>, ctx: &mut Ctx<'_>) {
        if claim.meta.annotations.contains_key(annotation::BIND_COMPLETED) {
            sync_bound(claim, ctx);
        } else if claim.spec.volume_name.is_empty() {
            self.sync_open(claim, ctx);
        } else {
            sync_named(claim, ctx);
        }
    }

    /// A claim that takes any volume that fits.
    fn sync_open(&mut self, claim: &Arc<PersistentVolumeClaim>, ctx: &mut Ctx<'_>) {
        let delayed =
            ctx.store().find::<StorageClass>("", &claim.class()).is_some_and(|c| c.wait_for_first_consumer);
        if let Some(volume) = self.best_match(ctx.store(), claim, delayed) {
            writes::bind(ctx, &volume, claim);
            return;
        }
        if assign_default_class(claim, ctx) {
            return;
        }
        if delayed && !claim.meta.annotations.contains_key(annotation::SELECTED_NODE) {
            say_waiting(claim, ctx);
        } else if !claim.class().is_empty() {
            self.provision(claim, ctx);
            return;
        } else {
            say(
                ctx,
                claim,
                EventType::Normal,
                "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set".into(),
            );
        }
        writes::claim_status(ctx, claim, ClaimPhase::Pending, None);
    }
}

pub(super) fn say(
    ctx: &mut Ctx<'_>,
    claim: &PersistentVolumeClaim,
    kind: EventType,
    reason: &'static str,
    message: Str,
) {
    ctx.event(ObjectRef::to(claim), kind, reason, message);
}

/// Gives the default class to a claim that named none when there was none (`RetroactiveDefaultStorageClass`).
fn assign_default_class(claim: &PersistentVolumeClaim, ctx: &mut Ctx<'_>) -> bool {
    if claim.meta.annotations.contains_key(annotation::CLASS_BETA) || claim.spec.storage_class.is_some() {
        return false;
    }
    let Some(class) = admission::default_storage_class(ctx.store()).map(|c| c.meta.name.clone()) else {
        return false;
    };
    ctx.update_spec::<PersistentVolumeClaim>(&claim.meta.key(), |c| c.spec.storage_class = Some(class))
        .is_ok()
}

/// Says whom a claim of a delayed class waits for.
fn say_waiting(claim: &PersistentVolumeClaim, ctx: &mut Ctx<'_>) {
    let waiting = |pod: &&Arc<Pod>| pod.node_name.is_none() && !is_terminated(pod);
    let pods: Vec<Str> =
        ctx.store().pods_using(&claim.meta.key()).filter(waiting).map(|p| p.meta.name.clone()).collect();
    let (reason, message) = match pods.as_slice() {
        [] => ("WaitForFirstConsumer", lit!("waiting for first consumer to be created before binding")),
        [pod] => ("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled").into()),
        pods => {
            let names: Vec<&str> = pods.iter().map(Str::as_str).collect();
            ("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", names.join(",")).into())
        }
    };
    say(ctx, claim, EventType::Normal, reason, message);
}

impl Binder {
    /// Leaves the claim to the provisioner of its class.
    fn provision(&mut self, claim: &PersistentVolumeClaim, ctx: &mut Ctx<'_>) {
        let name = claim.class();
        let Some(class) = ctx.store().find::<StorageClass>("", &name) else {
            let message = format!("storageclass.storage.k8s.io \"{name}\" not found");
            say(ctx, claim, EventType::Warning, "ProvisioningFailed", message.into());
            return;
        };
        let provisioner = class.provisioner.clone();
        let driver = migrated_driver(&provisioner).map_or_else(|| provisioner.clone(), Str::from);
        if driver.starts_with("kubernetes.io/") {
            // Upstream knows no such plugin; `kubernetes.io/no-provisioner` is the usual one.
            let message = format!("no volume plugin matched name: {driver}");
            say(ctx, claim, EventType::Warning, "ProvisioningFailed", message.into());
            return;
        }
        if !self.begin_writing(claim, ctx) {
            return;
        }
        if claim.meta.annotations.get(annotation::STORAGE_PROVISIONER) != Some(&driver) {
            let written = ctx.update::<PersistentVolumeClaim>(&claim.meta.key(), |c| {
                for key in [annotation::STORAGE_PROVISIONER_BETA, annotation::STORAGE_PROVISIONER] {
                    c.meta.annotations = c.meta.annotations.with(key, driver.clone());
                }
            });
            if let Err(error) = written {
                say(
                    ctx,
                    claim,
                    EventType::Warning,
                    "ProvisioningFailed",
                    format!("Error saving claim: {error}").into(),
                );
                return;
            }
        }
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{driver}' or manually by the system \
             administrator. If volume creation is delayed, please verify that the provisioner is running and correctly \
             registered."
        );
        say(ctx, claim, EventType::Normal, "ExternalProvisioning", message.into());
    }

    /// Whether the provisioner may be written: not while that is still going on. Whether the news of the first writing
    /// comes before its own end, and so is passed over, is a race upstream too.
    fn begin_writing(&mut self, claim: &PersistentVolumeClaim, ctx: &Ctx<'_>) -> bool {
        let (now, key) = (ctx.now(), claim.meta.key());
        self.writing.retain(|_, until| *until > now);
        if self.writing.contains_key(&key) {
            return false;
        }
        let parts = [claim.meta.uid.as_bytes(), &now.as_nanos().to_le_bytes()];
        let mut stream = ctx.seed().stream_of("write-provisioner", &parts);
        let (least, most) = WRITING;
        self.writing.insert(key, now + stream.duration_between(least, most));
        true
    }
}

/// A claim that names its volume and is not bound yet.
fn sync_named(claim: &Arc<PersistentVolumeClaim>, ctx: &mut Ctx<'_>) {
    let Some(volume) = ctx.store().find::<PersistentVolume>("", &claim.spec.volume_name).cloned() else {
        writes::claim_status(ctx, claim, ClaimPhase::Pending, None);
        return;
    };
    if volume.claim_ref.is_none() {
        match satisfies(&volume, claim) {
            Ok(()) => writes::bind(ctx, &volume, claim),
            Err(why) => {
                let message = format!("Cannot bind to requested volume \"{}\": {why}", volume.meta.name);
                say(ctx, claim, EventType::Warning, "VolumeMismatch", message.into());
                writes::claim_status(ctx, claim, ClaimPhase::Pending, None);
            }
        }
    } else if is_bound_to(&volume, claim) {
        writes::bind(ctx, &volume, claim);
    } else {
        let message = format!("volume \"{}\" already bound to a different claim.", volume.meta.name);
        say(ctx, claim, EventType::Warning, "FailedBinding", message.into());
        if !claim.meta.annotations.contains_key(annotation::BOUND_BY_CONTROLLER) {
            writes::claim_status(ctx, claim, ClaimPhase::Pending, None);
        }
    }
}

/// A claim whose binding was completed once.
fn sync_bound(claim: &Arc<PersistentVolumeClaim>, ctx: &mut Ctx<'_>) {
    let name = &claim.spec.volume_name;
    if name.is_empty() {
        let message = lit!("Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
        lose(claim, ctx, "ClaimLost", message);
        return;
    }
    let Some(volume) = ctx.store().find::<PersistentVolume>("", name).cloned() else {
        let message = lit!("Bound claim has lost its PersistentVolume. Data on the volume is lost!");
        lose(claim, ctx, "ClaimLost", message);
        return;
    };
    if volume.claim_ref.as_ref().is_none_or(|reference| reference.uid == claim.meta.uid) {
        writes::bind(ctx, &volume, claim);
    } else {
        let message = lit!("Two claims are bound to the same volume, this one is bound incorrectly");
        lose(claim, ctx, "ClaimMisbound", message);
    }
}

/// Marks a claim as lost, once.
fn lose(claim: &PersistentVolumeClaim, ctx: &mut Ctx<'_>, reason: &'static str, message: Str) {
    if claim.phase != ClaimPhase::Lost {
        writes::claim_status(ctx, claim, ClaimPhase::Lost, None);
        say(ctx, claim, EventType::Warning, reason, message);
    }
}
