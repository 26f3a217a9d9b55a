//! VolumeZone: bound volumes with zone labels want nodes of their zone.
//!
//! Upstream: `pkg/scheduler/framework/plugins/volumezone/volume_zone.go`, v1.34.

use crate::api::node::{REGION_LABEL, REGION_LABEL_BETA, ZONE_LABEL, ZONE_LABEL_BETA};
use crate::api::storage::PersistentVolume;
use crate::api::{Labels, Object};
use crate::base::Str;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, Cover, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, Gate,
    Hint, Listers, NodeInfo, PodInfo, PreFilter, PreFiltered, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "VolumeZone";

const CONFLICT: &str = "node(s) had no available volume zone";

/// Labels that say where a volume is.
const TOPOLOGY_LABELS: [&str; 4] = [ZONE_LABEL_BETA, REGION_LABEL_BETA, ZONE_LABEL, REGION_LABEL];

#[derive(Debug)]
struct VolumeZone;

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, VolumeZone).pre_filter().filter().enqueue().done()
}

/// One label of a volume: the node must have one of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    key: &'static str,
    values: Vec<Str>,
}

/// Where the Pod's volumes are.
#[derive(Clone, Debug)]
struct Places(Vec<Place>);

/// The places that a volume's labels name. `a__b` means either; a label with an empty part is passed over.
fn places_of(volume: &PersistentVolume) -> Vec<Place> {
    let place = |key: &'static str| {
        let zones: Vec<&str> = volume.meta.labels.get(key)?.split("__").map(str::trim).collect();
        if zones.iter().any(|zone| zone.is_empty()) {
            return None;
        }
        Some(Place { key, values: zones.into_iter().map(Str::from).collect() })
    };
    TOPOLOGY_LABELS.into_iter().filter_map(place).collect()
}

/// The label that has taken the place of an older one.
fn current(key: &'static str) -> &'static str {
    match key {
        ZONE_LABEL_BETA => ZONE_LABEL,
        REGION_LABEL_BETA => REGION_LABEL,
        _ => key,
    }
}

/// Whether a node with these labels is in all the places. A node without any topology label is everywhere.
fn is_there(labels: &Labels, places: &[Place]) -> bool {
    let inside = |place: &Place| {
        let value = labels.get(place.key).or_else(|| labels.get(current(place.key)));
        value.is_some_and(|v| place.values.contains(v))
    };
    !TOPOLOGY_LABELS.iter().any(|key| labels.contains_key(key)) || places.iter().all(inside)
}

/// Finds where the Pod's bound volumes are. Claims that wait for their first consumer are passed over.
fn places_of_pod(listers: &Listers, pod: &PodInfo) -> Result<Vec<Place>, Status> {
    let mut places = Vec::new();
    for key in &pod.shape.claims {
        if key.name.is_empty() {
            return Err(Status::unresolvable("PersistentVolumeClaim had no name", cause::CLAIM_NOT_FOUND));
        }
        let claim = listers.claims.at(key).ok_or_else(|| {
            let text = format!("persistentvolumeclaim \"{}\" not found", key.name);
            Status::unresolvable(text, cause::CLAIM_NOT_FOUND)
        })?;
        let name = &claim.spec.volume_name;
        if name.is_empty() {
            check_unbound(listers, &claim.class())?;
            continue;
        }
        let volume = listers.volumes.named(name).ok_or_else(|| {
            Status::unresolvable(format!("persistentvolume \"{name}\" not found"), cause::VOLUME_NOT_FOUND)
        })?;
        places.extend(places_of(volume));
    }
    Ok(places)
}

fn check_unbound(listers: &Listers, class: &Str) -> Result<(), Status> {
    let unbound = |text: String| Status::unresolvable(text, cause::UNBOUND_IMMEDIATE_CLAIMS);
    if class.is_empty() {
        return Err(unbound("PersistentVolumeClaim had no pv name and storageClass name".into()));
    }
    match listers.classes.named(class) {
        None => Err(unbound(format!("storageclass.storage.k8s.io \"{class}\" not found"))),
        Some(class) if class.wait_for_first_consumer => Ok(()),
        Some(_) => Err(unbound("PersistentVolume had no name".into())),
    }
}

impl PreFilter for VolumeZone {
    fn pre_filter(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<PreFiltered, Status> {
        let places = places_of_pod(&snapshot.listers, pod)?;
        if places.is_empty() {
            return Ok(PreFiltered::Skip);
        }
        state.write(Places(places));
        Ok(PreFiltered::AllNodes)
    }
}

impl Filter for VolumeZone {
    fn filter(&self, _: &Snapshot, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        let places = state.read::<Places>().map_or(&[][..], |places| &places.0);
        if is_there(&node.node().meta.labels, places) {
            return Ok(());
        }
        Err(Status::unresolvable(CONFLICT, cause::VOLUME_ZONE))
    }

    fn cover(&self, _: &Snapshot, _: &CycleState, _: &PodInfo, _: &mut Vec<Gate>) -> Cover {
        Cover::Asked
    }
}

impl EnqueueExtensions for VolumeZone {
    fn events(&self) -> Vec<ClusterEvent> {
        let change = ActionType::ADD | ActionType::UPDATE;
        vec![
            ClusterEvent::new(EventResource::StorageClass, ActionType::ADD),
            ClusterEvent::new(EventResource::Node, ActionType::ADD | ActionType::UPDATE_NODE_LABEL),
            ClusterEvent::new(EventResource::PersistentVolumeClaim, change),
            ClusterEvent::new(EventResource::PersistentVolume, change),
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
            (_, Some(Object::StorageClass(class))) => Hint::queue_if(class.wait_for_first_consumer),
            (_, Some(Object::PersistentVolumeClaim(claim))) => {
                Hint::queue_if(pod.shape.claims.contains(&claim.meta.key()))
            }
            (Some(Object::PersistentVolume(old)), Some(Object::PersistentVolume(new))) => {
                Hint::queue_if(places_of(old) != places_of(new))
            }
            _ => Hint::Queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::labels;

    #[test]
    fn nodes_are_compared_by_either_label() {
        let place =
            |key, values: &[&str]| Place { key, values: values.iter().map(|v| Str::from(*v)).collect() };
        for (node, expected) in [
            ("", true),
            ("kubernetes.io/hostname=n", true),
            ("topology.kubernetes.io/zone=a", true),
            ("topology.kubernetes.io/zone=b", true),
            ("topology.kubernetes.io/zone=c", false),
            ("failure-domain.beta.kubernetes.io/zone=a", true),
            ("failure-domain.beta.kubernetes.io/zone=c,topology.kubernetes.io/zone=a", false),
            ("topology.kubernetes.io/region=r", false),
        ] {
            let places = [place(ZONE_LABEL_BETA, &["a", "b"])];
            assert_eq!(is_there(&labels(node), &places), expected, "{node}");
        }
        assert!(!is_there(&labels("failure-domain.beta.kubernetes.io/zone=a"), &[place(ZONE_LABEL, &["a"])]));
    }
}
