//! What becomes of a volume whose claim is gone.
//!
//! Upstream: `pv_controller.go`: `reclaimVolume`, `deleteVolumeOperation`, `recycleVolumeOperation`;
//! `pkg/volume/{plugins,hostpath/host_path}.go`, v1.34.

use super::writes;
use crate::api::storage::{PersistentVolume, PvSource, ReclaimPolicy, VolumePhase, annotation};
use crate::api::{EventType, ObjectRef};
use crate::base::SimDuration;
use crate::controller::framework::{Action, Ctx};
use crate::store::DeleteOptions;

/// Who deletes a volume's data.
enum Deleter {
    /// A provisioner outside; nothing to be done here.
    External,
    /// This controller, at once.
    Here,
    /// Nobody can, in upstream's words.
    Nobody(String),
}

/// Does what the volume's policy says.
pub(super) fn reclaim(volume: &PersistentVolume, ctx: &mut Ctx<'_>) -> Action {
    match volume.reclaim_policy {
        ReclaimPolicy::Retain => Action::Done,
        ReclaimPolicy::Recycle => recycle(volume, ctx),
        ReclaimPolicy::Delete => delete(volume, ctx),
    }
}

fn delete(volume: &PersistentVolume, ctx: &mut Ctx<'_>) -> Action {
    match deleter(volume) {
        Deleter::External => Action::Done,
        Deleter::Here => {
            // A volume that somebody else has deleted is what was wanted.
            let _ = ctx.delete::<PersistentVolume>(&volume.meta.key(), &DeleteOptions::default());
            Action::Done
        }
        Deleter::Nobody(why) => {
            fail(volume, ctx, "VolumeFailedDelete", &why);
            // The answer follows from the volume alone, so that trying again would only repeat it.
            Action::Done
        }
    }
}

/// Marks a volume as failed and says why, once.
fn fail(volume: &PersistentVolume, ctx: &mut Ctx<'_>, reason: &'static str, why: &str) {
    let failed = ctx
        .store()
        .get::<PersistentVolume>(&volume.meta.key())
        .is_none_or(|v| v.phase == VolumePhase::Failed);
    if !failed {
        writes::volume_phase(ctx, volume, VolumePhase::Failed, why);
        ctx.event(ObjectRef::to(volume), EventType::Warning, reason, why);
    }
}

fn deleter(volume: &PersistentVolume) -> Deleter {
    let provisioned_by = volume.meta.annotations.get(annotation::PROVISIONED_BY);
    let external = provisioned_by.is_some_and(|p| !p.starts_with("kubernetes.io/"));
    if external || volume.source.csi().is_some() {
        return Deleter::External;
    }
    match &volume.source {
        PvSource::HostPath(path) if path.len() > "/tmp/".len() && path.contains("/tmp/") => Deleter::Here,
        PvSource::HostPath(path) => {
            Deleter::Nobody(format!("host_path deleter only supports /tmp/.+ but received provided {path}"))
        }
        PvSource::Csi { .. }
        | PvSource::AwsEbs(_)
        | PvSource::GcePd(_)
        | PvSource::AzureDisk(_)
        | PvSource::Nfs { .. }
        | PvSource::Local(_)
        | PvSource::Other(_) => Deleter::Nobody(format!(
            "error getting deleter volume plugin for volume \"{}\": no deletable volume plugin matched",
            volume.meta.name
        )),
    }
}

fn recycle(volume: &PersistentVolume, ctx: &mut Ctx<'_>) -> Action {
    if !matches!(volume.source, PvSource::Nfs { .. } | PvSource::HostPath(_)) {
        fail(volume, ctx, "VolumeFailedRecycle", "No recycler plugin found for the volume!");
        return Action::Done;
    }
    let claim = volume.claim_ref.as_ref().map(|c| c.key.clone()).unwrap_or_default();
    let users = ctx.store().pods_using(&claim).filter(|p| !crate::controller::common::pods::is_terminated(p));
    let mut users: Vec<String> = users.map(|p| p.meta.key().to_string()).collect();
    if !users.is_empty() {
        users.sort_unstable();
        let message = format!("Volume is used by pods: {}", users.join(","));
        ctx.event(ObjectRef::to(volume), EventType::Normal, "VolumeFailedRecycle", message);
        return Action::After(SimDuration::from_secs(15));
    }
    ctx.event(ObjectRef::to(volume), EventType::Normal, "VolumeRecycled", "Volume recycled");
    writes::unbind(ctx, volume);
    Action::Done
}
