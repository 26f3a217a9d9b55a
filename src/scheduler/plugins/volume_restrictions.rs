//! VolumeRestrictions: disks that one node or one Pod can have at a time.
//!
//! Upstream: `pkg/scheduler/framework/plugins/volumerestrictions/volume_restrictions.go`, v1.34.

use std::collections::BTreeSet;

use crate::api::storage::AccessMode;
use crate::api::volume::VolumeSource;
use crate::api::{Object, ObjectKey, Pod, PodSpec};
use crate::base::Str;
use crate::scheduler::decision::Wording;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, Cover, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, Gate,
    Hint, NodeInfo, PodInfo, PreFilter, PreFiltered, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "VolumeRestrictions";

const DISK_CONFLICT: &str = "node(s) had no available disk";
const IN_USE: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already \
                      in-use by another pod";

const IN_USE_BEFORE_1_34: &str =
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";

#[derive(Debug)]
struct VolumeRestrictions {
    wording: Wording,
}

/// Makes the plugin.
pub fn new(setup: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, VolumeRestrictions { wording: setup.wording }).pre_filter().filter().enqueue().done()
}

/// Claims of the Pod that one Pod alone may use, and how many Pods with a node use them.
#[derive(Clone, Debug, Default)]
struct OncePod {
    claims: BTreeSet<Str>,
    users: i64,
}

impl OncePod {
    fn count(&mut self, other: &PodInfo, sign: i64) {
        // Upstream compares names only: a claim of the same name in another namespace counts here too.
        let uses = other.shape.claims.iter().filter(|key| self.claims.contains(&key.name)).count();
        self.users += sign * i64::try_from(uses).unwrap_or(0);
    }
}

/// Whether a disk of this kind can be in the way of another.
const fn is_exclusive(source: &VolumeSource) -> bool {
    match source {
        VolumeSource::AwsEbs { .. }
        | VolumeSource::GcePd { .. }
        | VolumeSource::Iscsi { .. }
        | VolumeSource::Rbd { .. } => true,
        VolumeSource::Claim { .. }
        | VolumeSource::Ephemeral
        | VolumeSource::EmptyDir { .. }
        | VolumeSource::HostPath(_)
        | VolumeSource::ConfigMap { .. }
        | VolumeSource::Secret { .. }
        | VolumeSource::InlineCsi { .. }
        | VolumeSource::Other => false,
    }
}

/// Whether two Pods cannot have these on one node.
fn conflict(a: &VolumeSource, b: &VolumeSource) -> bool {
    use VolumeSource::{AwsEbs, GcePd, Iscsi, Rbd};
    match (a, b) {
        (AwsEbs { volume_id: a, .. }, AwsEbs { volume_id: b, .. }) => a == b,
        (GcePd { pd_name: a, read_only: ro_a }, GcePd { pd_name: b, read_only: ro_b })
        | (Iscsi { iqn: a, read_only: ro_a }, Iscsi { iqn: b, read_only: ro_b }) => {
            a == b && !(*ro_a && *ro_b)
        }
        (
            Rbd { monitors: a, pool: pool_a, image: image_a, read_only: ro_a },
            Rbd { monitors: b, pool: pool_b, image: image_b, read_only: ro_b },
        ) => a.iter().any(|m| b.contains(m)) && pool_a == pool_b && image_a == image_b && !(*ro_a && *ro_b),
        _ => false,
    }
}

fn specs_conflict(pod: &PodSpec, other: &PodSpec) -> bool {
    let disks = pod.volumes.iter().filter(|v| is_exclusive(&v.source));
    disks.into_iter().any(|v| other.volumes.iter().any(|o| conflict(&v.source, &o.source)))
}

/// Whether the Pod mounts a claim (not an ephemeral one) of this key.
fn mounts(pod: &PodInfo, key: &ObjectKey) -> bool {
    pod.shape.claims.contains(key)
}

impl PreFilter for VolumeRestrictions {
    fn pre_filter(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<PreFiltered, Status> {
        let mut once = OncePod::default();
        for key in &pod.shape.claims {
            let claim = snapshot.listers.claims.at(key).ok_or_else(|| {
                let text = format!("persistentvolumeclaim \"{}\" not found", key.name);
                Status::unresolvable(text, cause::CLAIM_NOT_FOUND)
            })?;
            if claim.spec.access_modes.contains(&AccessMode::ReadWriteOncePod)
                && once.claims.insert(key.name.clone())
                && snapshot.is_claim_used(key)
            {
                once.users += 1;
            }
        }
        if once.users == 0 && !pod.pod.spec.volumes.iter().any(|v| is_exclusive(&v.source)) {
            return Ok(PreFiltered::Skip);
        }
        state.write(once);
        Ok(PreFiltered::AllNodes)
    }

    fn add_pod(
        &self,
        _: &Snapshot,
        state: &mut CycleState,
        _: &PodInfo,
        added: &PodInfo,
        _: &NodeInfo,
    ) -> Result<(), Status> {
        if let Some(once) = state.read_mut::<OncePod>() {
            once.count(added, 1);
        }
        Ok(())
    }

    fn remove_pod(
        &self,
        _: &Snapshot,
        state: &mut CycleState,
        _: &PodInfo,
        removed: &PodInfo,
        _: &NodeInfo,
    ) -> Result<(), Status> {
        if let Some(once) = state.read_mut::<OncePod>() {
            once.count(removed, -1);
        }
        Ok(())
    }
}

impl Filter for VolumeRestrictions {
    fn filter(&self, _: &Snapshot, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        let spec = &pod.pod.spec;
        let exclusive = spec.volumes.iter().any(|v| is_exclusive(&v.source));
        if exclusive && node.pods().iter().any(|other| specs_conflict(spec, &other.pod.spec)) {
            return Err(Status::unschedulable(DISK_CONFLICT, cause::DISK_CONFLICT));
        }
        if state.read::<OncePod>().is_some_and(|once| once.users > 0) {
            let text = if self.wording.same_name { IN_USE_BEFORE_1_34 } else { IN_USE };
            return Err(Status::unschedulable(text, cause::READ_WRITE_ONCE_POD_IN_USE));
        }
        Ok(())
    }

    fn cover(&self, _: &Snapshot, _: &CycleState, _: &PodInfo, _: &mut Vec<Gate>) -> Cover {
        Cover::Asked
    }
}

/// Whether a Pod that went may have held what `pod` needs.
fn after_deletion(pod: &PodInfo, gone: &Pod) -> bool {
    gone.meta.namespace == pod.pod.meta.namespace
        && (specs_conflict(&pod.pod.spec, &gone.spec)
            || gone.spec.volumes.iter().any(|v| match &v.source {
                VolumeSource::Claim { claim, .. } => pod.shape.claims.iter().any(|key| key.name == *claim),
                _ => false,
            }))
}

impl EnqueueExtensions for VolumeRestrictions {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![
            ClusterEvent::new(EventResource::Pod, ActionType::DELETE),
            ClusterEvent::new(EventResource::Node, ActionType::ADD),
            ClusterEvent::new(EventResource::PersistentVolumeClaim, ActionType::ADD),
        ]
    }

    fn hint(
        &self,
        _: &Snapshot,
        _: ClusterEvent,
        pod: &PodInfo,
        old: Option<&Object>,
        new: Option<&Object>,
    ) -> Hint {
        match (old, new) {
            (Some(Object::Pod(gone)), None) => Hint::queue_if(after_deletion(pod, gone)),
            (_, Some(Object::PersistentVolumeClaim(claim))) => Hint::queue_if(mounts(pod, &claim.meta.key())),
            _ => Hint::Queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> VolumeSource {
        let (read_only, rest) = match text.strip_prefix("ro ") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (kind, id) = rest.split_once(' ').unwrap();
        let id = Str::from(id);
        match kind {
            "ebs" => VolumeSource::AwsEbs { volume_id: id, read_only },
            "pd" => VolumeSource::GcePd { pd_name: id, read_only },
            "iscsi" => VolumeSource::Iscsi { iqn: id, read_only },
            _ => VolumeSource::Rbd {
                monitors: id.split('+').map(Str::from).collect(),
                pool: "rbd".into(),
                image: "foo".into(),
                read_only,
            },
        }
    }

    #[test]
    fn disks_are_shared_only_to_read_and_ebs_never() {
        for (a, b, expected) in [
            ("ebs 1", "ebs 1", true),
            ("ro ebs 1", "ro ebs 1", true),
            ("ebs 1", "ebs 2", false),
            ("pd 1", "pd 1", true),
            ("ro pd 1", "pd 1", true),
            ("ro pd 1", "ro pd 1", false),
            ("iscsi 1", "iscsi 1", true),
            ("ro iscsi 1", "ro iscsi 1", false),
            ("rbd a+b", "rbd b+c", true),
            ("rbd a", "rbd c", false),
            ("ro rbd a", "ro rbd a", false),
            ("pd 1", "ebs 1", false),
        ] {
            assert_eq!(conflict(&source(a), &source(b)), expected, "{a} with {b}");
        }
    }
}
