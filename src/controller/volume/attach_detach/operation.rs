//! Attaching and detaching: an attachment is written or deleted, then the external attacher does the rest.
//!
//! Upstream: `operationexecutor/operation_generator.go`, `csi/csi_attacher.go`, v1.34.

use super::pass::set_reported;
use super::world::{Doing, Operation, Place, State, Volume};
use super::{AttachDetach, pass_at, words};
use crate::api::storage::VolumeAttachment;
use crate::api::{Meta, ObjectKey, ObjectRef, Pod};
use crate::base::{Arc, Str};
use crate::controller::framework::Ctx;
use crate::store::DeleteOptions;

/// How an operation stands.
enum Progress {
    Pending,
    Done,
    Failed(String),
}

impl AttachDetach {
    pub(super) fn start_attach(
        &mut self,
        name: &Str,
        volume: &mut Volume,
        node: &Str,
        pods: &[Arc<Pod>],
        ctx: &mut Ctx<'_>,
    ) {
        let now = ctx.now();
        let throttled = ctx.throttled();
        if !throttled.is_zero() {
            volume.next_pass = Some(pass_at(now + throttled));
            return;
        }
        let key = ObjectKey::cluster(volume.attachment(node));
        let place = volume.places.entry(node.clone()).or_default();
        let mut operation =
            Operation::new(Doing::Attach, pods.iter().map(|p| ObjectRef::to(&**p)).collect(), now);
        if let Some(existing) = ctx.store().get::<VolumeAttachment>(&key) {
            if operation.may_end(Some(existing)) {
                operation.next_look(now, ctx.seed(), name, node);
            }
        } else {
            let attachment = VolumeAttachment {
                meta: Meta::named("", key.name.clone()),
                attacher: volume.driver.clone(),
                node_name: node.clone(),
                pv_name: name.clone(),
                ..VolumeAttachment::default()
            };
            if let Err(error) = ctx.create(attachment) {
                words::attach_failed(ctx, name, &operation.pods, &error.to_string());
                place.back_off(Doing::Attach, now);
                return;
            }
        }
        place.retry_at = None;
        place.operation = Some(operation);
        self.by_node.entry(node.clone()).or_default().insert(name.clone());
    }

    pub(super) fn start_detach(&mut self, volume: &mut Volume, node: &Str, ctx: &mut Ctx<'_>) {
        let now = ctx.now();
        let throttled = ctx.throttled();
        if !throttled.is_zero() {
            volume.next_pass = Some(pass_at(now + throttled));
            return;
        }
        let (unique, key) = (volume.unique_name(), ObjectKey::cluster(volume.attachment(node)));
        let Some(place) = volume.places.get_mut(node) else { return };
        place.reported = false;
        place.retry_at = None;
        set_reported(ctx, node, &unique, false);
        match ctx.delete::<VolumeAttachment>(&key, &DeleteOptions::default()) {
            Ok(_) => place.operation = Some(Operation::new(Doing::Detach, Vec::new(), now)),
            // It is gone already.
            Err(_) => {
                *place = Place::default();
                volume.next_pass = Some(pass_at(now));
            }
        }
        // Without a finalizer the attachment has vanished at once; the first look finds that out.
        let gone = ctx.store().get::<VolumeAttachment>(&key).is_none();
        if let Some(operation) = place.operation.as_mut().filter(|_| gone) {
            operation.next_look(now, ctx.seed(), &key.name, node);
        }
    }

    /// Looks at the attachments that are waited for, and draws the consequences.
    pub(super) fn complete(&mut self, name: &Str, volume: &mut Volume, ctx: &mut Ctx<'_>) {
        let now = ctx.now();
        let nodes: Vec<Str> = volume.places.keys().cloned().collect();
        let mut changed = false;
        for node in &nodes {
            let key = ObjectKey::cluster(volume.attachment(node));
            let (driver, handle) = (volume.driver.clone(), volume.handle.clone());
            let Some(place) = volume.places.get_mut(node) else { continue };
            changed |= is_over(place, now);
            let Some(operation) = &mut place.operation else { continue };
            let looks = operation.look.is_some_and(|at| at <= now);
            let late = operation.deadline <= now;
            if !looks && !late {
                continue;
            }
            operation.look = None;
            let progress = match look(operation.doing, ctx.store().get::<VolumeAttachment>(&key)) {
                Progress::Pending if late => {
                    Progress::Failed(words::timeout(operation.doing, &driver, &handle))
                }
                progress => progress,
            };
            let doing = operation.doing;
            let pods = match progress {
                Progress::Pending => continue,
                Progress::Done | Progress::Failed(_) => {
                    place.operation.take().map(|o| o.pods).unwrap_or_default()
                }
            };
            changed = true;
            conclude(name, place, doing, progress, &pods, ctx);
        }
        if changed {
            volume.next_pass = Some(volume.next_pass.map_or(pass_at(now), |at| at.min(pass_at(now))));
        }
    }
}

/// Whether a span of time that a place without an operation waits for is over.
fn is_over(place: &mut Place, now: crate::base::SimTime) -> bool {
    if place.operation.is_some() {
        return false;
    }
    if place.lost.is_some_and(|at| at <= now) {
        *place = Place::default();
        return true;
    }
    let retry = place.retry_at.is_some_and(|at| at <= now);
    if retry {
        place.retry_at = None;
    }
    let force = place.force_at.is_some_and(|at| at <= now);
    if force {
        place.force_at = None;
    }
    retry || force
}

fn look(doing: Doing, attachment: Option<&Arc<VolumeAttachment>>) -> Progress {
    match (doing, attachment) {
        (Doing::Attach, None) => Progress::Pending,
        (Doing::Attach, Some(a)) if a.meta.is_deleting() => {
            Progress::Failed("volume attachment is being deleted".to_owned())
        }
        (Doing::Attach, Some(a)) if a.attached => Progress::Done,
        (Doing::Attach, Some(a)) if !a.attach_error.is_empty() => {
            Progress::Failed(a.attach_error.to_string())
        }
        (Doing::Detach, None) => Progress::Done,
        (Doing::Detach, Some(a)) if !a.detach_error.is_empty() => {
            Progress::Failed(a.detach_error.to_string())
        }
        (Doing::Attach | Doing::Detach, Some(_)) => Progress::Pending,
    }
}

fn conclude(
    name: &Str,
    place: &mut Place,
    doing: Doing,
    progress: Progress,
    pods: &[ObjectRef],
    ctx: &mut Ctx<'_>,
) {
    match (doing, progress) {
        (Doing::Attach, Progress::Done) => {
            words::attached(ctx, name, pods);
            *place = Place { state: State::Attached, ..Place::default() };
        }
        (Doing::Detach, Progress::Done) => *place = Place::default(),
        (Doing::Attach, Progress::Failed(why)) => {
            words::attach_failed(ctx, name, pods, &why);
            place.state = State::Uncertain;
            place.back_off(doing, ctx.now());
        }
        (Doing::Detach, Progress::Failed(_)) => place.back_off(doing, ctx.now()),
        (Doing::Attach | Doing::Detach, Progress::Pending) => {}
    }
}
