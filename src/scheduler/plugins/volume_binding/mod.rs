//! VolumeBinding: nodes from which the Pod's volumes can be reached, or where they can be made.
//!
//! * [`matching`]: which volume fits a claim. [`claims`]: what a node has for all claims of a Pod.
//! * [`places`]: which of many volumes a node can reach at all.
//!
//! What is decided is only *assumed* until it has been written; the listers keep it
//! ([`Listers::assume`](crate::scheduler::framework::Listers::assume)).
//!
//! Upstream: `pkg/scheduler/framework/plugins/volumebinding`, v1.34.

pub mod claims;
pub mod matching;
pub mod places;

use claims::{Conflicts, PodClaims, check_claims, claim_key, volume_limit};

use super::csi_migration::MIGRATED_PLUGINS;
use crate::api::storage::{CsiDriver, CsiStorageCapacity};
use crate::api::volume::VolumeSource;
use crate::api::{Object, Pod};
use crate::scheduler::decision::{VolumeStep, Wording};
use crate::scheduler::framework::{
    ActionType, ClusterEvent, Code, Cover, CycleState, EnqueueExtensions, EventResource, Extensions, Filter,
    Foreseen, Gate, Hint, NodeInfo, PodInfo, PreFilter, PreFiltered, PreScore, PreScored, Reason, Reserve,
    Score, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "VolumeBinding";

const UNBOUND_IMMEDIATE: &str = "pod has unbound immediate PersistentVolumeClaims";
const NO_MATCH: &str = "node(s) didn't find available persistent volumes to bind";
const NODE_CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";
const NODE_CONFLICT_BEFORE_1_33: &str = "node(s) had volume node affinity conflict";
const NO_ROOM: &str = "node(s) did not have enough free storage";
const VOLUME_GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

#[derive(Debug)]
struct VolumeBinding {
    wording: Wording,
}

/// Makes the plugin.
pub fn new(setup: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, VolumeBinding { wording: setup.wording })
        .pre_filter()
        .filter()
        .pre_score()
        .score()
        .reserve()
        .enqueue()
        .done()
}

impl VolumeBinding {
    fn status(&self, conflicts: Conflicts) -> Status {
        let node_conflict =
            if self.wording.volume_conflict { NODE_CONFLICT_BEFORE_1_33 } else { NODE_CONFLICT };
        let mut status = Status::empty(Code::UnschedulableAndUnresolvable);
        for (given, text, cause) in [
            (conflicts.node_affinity, node_conflict, cause::VOLUME_NODE_AFFINITY_CONFLICT),
            (conflicts.no_match, NO_MATCH, cause::VOLUME_BIND_CONFLICT),
            (conflicts.no_room, NO_ROOM, cause::NOT_ENOUGH_STORAGE),
            (conflicts.volume_gone, VOLUME_GONE, cause::VOLUME_NOT_FOUND),
        ] {
            if given {
                status.push(Reason::new(text, cause));
            }
        }
        status
    }
}

impl PreFilter for VolumeBinding {
    fn pre_filter(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<PreFiltered, Status> {
        if !pod.shape.has_storage || !check_claims(&pod.pod, &snapshot.listers)? {
            return Ok(PreFiltered::Skip);
        }
        let claims = PodClaims::of(&pod.pod, &snapshot.listers);
        if claims.has_unbound_immediate {
            return Err(Status::unresolvable(UNBOUND_IMMEDIATE, cause::UNBOUND_IMMEDIATE_CLAIMS));
        }
        state.write(claims);
        Ok(PreFiltered::AllNodes)
    }
}

impl Filter for VolumeBinding {
    fn filter(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        let Some(claims) = state.read::<PodClaims>() else { return Ok(()) };
        let csi_node = snapshot.listers.csi_nodes.named(node.name()).map(|n| &**n);
        match claims.find(node.node(), csi_node) {
            Ok(_) => Ok(()),
            Err(conflicts) => Err(self.status(conflicts)),
        }
    }

    fn cover(&self, snapshot: &Snapshot, state: &CycleState, _: &PodInfo, gates: &mut Vec<Gate>) -> Cover {
        match state.read::<PodClaims>() {
            None => Cover::Gated,
            Some(claims) if claims.gates(snapshot.topology(), gates) => Cover::Gated,
            Some(_) => Cover::Asked,
        }
    }
}

impl PreScore for VolumeBinding {
    fn pre_score(
        &self,
        _: &Snapshot,
        _: &mut CycleState,
        _: &PodInfo,
        _: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        // Upstream scores only with the feature gate StorageCapacityScoring, which is off in v1.34.
        Ok(PreScored::Skip)
    }

    fn foresee(&self, _: &Snapshot, _: &mut CycleState, _: &PodInfo) -> Result<Foreseen, Status> {
        Ok(Foreseen::Equal)
    }
}

impl Score for VolumeBinding {
    fn score(&self, _: &Snapshot, _: &CycleState, _: &PodInfo, _: &NodeInfo) -> Result<i64, Status> {
        Ok(0)
    }
}

impl Reserve for VolumeBinding {
    fn reserve(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        _: &PodInfo,
        node: &NodeInfo,
    ) -> Result<Vec<VolumeStep>, Status> {
        let Some(claims) = state.read::<PodClaims>().filter(|claims| !claims.all_bound()) else {
            return Ok(Vec::new());
        };
        // What Filter found on this node is found again: nothing has changed since.
        let csi_node = snapshot.listers.csi_nodes.named(node.name()).map(|n| &**n);
        let found = claims.find(node.node(), csi_node).map_err(|conflicts| self.status(conflicts))?;
        Ok(found.steps(node.name()))
    }
}

/// Whether a driver of one of the Pod's inline volumes does no more ask for room.
fn no_more_capacity(pod: &Pod, old: &CsiDriver, new: &CsiDriver) -> bool {
    let is_of = |source: &VolumeSource| matches!(source, VolumeSource::InlineCsi { driver } if *driver == new.meta.name);
    old.storage_capacity && !new.storage_capacity && pod.spec.volumes.iter().any(|v| is_of(&v.source))
}

fn more_room(old: &CsiStorageCapacity, new: &CsiStorageCapacity) -> bool {
    let limit = |capacity| volume_limit(capacity).map(|limit| limit.value());
    limit(new).is_some_and(|new| limit(old).is_none_or(|old| new > old))
}

impl EnqueueExtensions for VolumeBinding {
    fn events(&self) -> Vec<ClusterEvent> {
        let change = ActionType::ADD | ActionType::UPDATE;
        vec![
            ClusterEvent::new(EventResource::StorageClass, change),
            ClusterEvent::new(EventResource::PersistentVolumeClaim, change),
            ClusterEvent::new(EventResource::PersistentVolume, change),
            ClusterEvent::new(EventResource::Node, ActionType::ADD | ActionType::UPDATE_NODE_LABEL),
            ClusterEvent::new(EventResource::CsiNode, change),
            ClusterEvent::new(EventResource::CsiDriver, ActionType::UPDATE),
            ClusterEvent::new(EventResource::CsiStorageCapacity, change),
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
        let pod = &pod.pod;
        match (old, new) {
            (Some(Object::StorageClass(old)), Some(Object::StorageClass(new))) => {
                Hint::queue_if(old.allowed_topologies != new.allowed_topologies)
            }
            (_, Some(Object::PersistentVolumeClaim(claim))) => {
                let key = claim.meta.key();
                Hint::queue_if(
                    pod.spec.volumes.iter().any(|v| claim_key(pod, v).is_some_and(|(k, _)| k == key)),
                )
            }
            (Some(Object::CsiNode(old)), Some(Object::CsiNode(new))) => {
                let migrated = |node: &crate::api::storage::CsiNode| {
                    node.meta.annotations.get(MIGRATED_PLUGINS).cloned().unwrap_or_default()
                };
                Hint::queue_if(migrated(old) != migrated(new))
            }
            (Some(Object::CsiDriver(old)), Some(Object::CsiDriver(new))) => {
                Hint::queue_if(no_more_capacity(pod, old, new))
            }
            (Some(Object::CsiStorageCapacity(old)), Some(Object::CsiStorageCapacity(new))) => {
                Hint::queue_if(more_room(old, new))
            }
            _ => Hint::Queue,
        }
    }
}
