//! NodeVolumeLimits: a node's drivers can attach so many volumes.
//!
//! Upstream: `pkg/scheduler/framework/plugins/nodevolumelimits/csi.go`, v1.34.

use std::collections::{BTreeMap, BTreeSet};

use super::csi_migration::InTree;
use crate::api::storage::{CsiNode, PersistentVolumeClaim, PvSource};
use crate::api::volume::{Volume, VolumeSource};
use crate::api::{Object, ObjectKey, Pod};
use crate::base::Str;
use crate::scheduler::framework::{
    ActionType, ClusterEvent, Cover, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, Gate,
    Hint, Listers, NodeInfo, PodInfo, PreFilter, PreFiltered, Setup, Snapshot, Status, cause,
};

/// The plugin's name.
pub const NAME: &str = "NodeVolumeLimits";

const EXCEEDED: &str = "node(s) exceed max volume count";

#[derive(Debug)]
struct NodeVolumeLimits;

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, NodeVolumeLimits).pre_filter().filter().enqueue().done()
}

/// A volume as the driver knows it: driver and handle.
type Attachable = (Str, Str);

/// Volumes of Pods that are attached to a node, each once.
type Volumes = BTreeSet<Attachable>;

/// What the Pod to be placed wants attached, if that is the same on every node: no driver takes a part of it over.
#[derive(Clone, Debug)]
struct Wanted(Result<Volumes, Status>);

/// Whether the volume can count: it is of a claim or one that a driver has taken over.
fn can_count(volume: &Volume) -> bool {
    matches!(volume.source, VolumeSource::Claim { .. } | VolumeSource::Ephemeral)
        || InTree::of_inline(&volume.source).is_some()
}

/// The claim of a volume, and whether it is an ephemeral one.
fn claim_of(pod: &Pod, volume: &Volume) -> Option<(ObjectKey, bool)> {
    let namespace = pod.meta.namespace.clone();
    match &volume.source {
        VolumeSource::Claim { claim, .. } => Some((ObjectKey { namespace, name: claim.clone() }, false)),
        VolumeSource::Ephemeral => {
            let name = format!("{}-{}", pod.meta.name, volume.name).into();
            Some((ObjectKey { namespace, name }, true))
        }
        _ => None,
    }
}

/// What drivers attach on one node.
struct Counter<'a> {
    listers: &'a Listers,
    csi_node: Option<&'a CsiNode>,
}

impl Counter<'_> {
    /// Adds the Pod's volumes. A Pod to be placed needs all its claims; of others unknown claims are passed over.
    fn add(&self, pod: &Pod, is_new: bool, volumes: &mut Volumes) -> Result<(), Status> {
        for volume in &pod.spec.volumes {
            let Some((key, ephemeral)) = claim_of(pod, volume) else {
                if let Some((plugin, handle)) = InTree::of_inline(&volume.source)
                    && plugin.counts_on(self.csi_node)
                {
                    volumes.insert((plugin.driver.into(), handle));
                }
                continue;
            };
            let Some(claim) = self.listers.claims.at(&key) else {
                if is_new {
                    let text =
                        format!("looking up PVC {key}: persistentvolumeclaim \"{}\" not found", key.name);
                    return Err(Status::unresolvable(text, cause::CLAIM_NOT_FOUND));
                }
                continue;
            };
            if ephemeral && !claim.meta.is_controlled_by(&pod.meta.uid) {
                let owner = pod.meta.key();
                let text = format!("PVC {key} was not created for pod {owner} (pod is not owner)");
                return Err(Status::error(text));
            }
            if let Some(attachable) = self.of_claim(claim) {
                volumes.insert(attachable);
            }
        }
        Ok(())
    }

    /// Driver and handle of what the claim is bound to, or will be made of.
    fn of_claim(&self, claim: &PersistentVolumeClaim) -> Option<Attachable> {
        let name = &claim.spec.volume_name;
        let volume = if name.is_empty() { None } else { self.listers.volumes.named(name) };
        let Some(volume) = volume else { return self.of_class(claim) };
        let attachable = match &volume.source {
            PvSource::Csi { driver, handle } => (driver.clone(), handle.clone()),
            _ => {
                let plugin = InTree::of_volume(volume).filter(|p| p.counts_on(self.csi_node))?;
                (plugin.driver.into(), plugin.handle(volume))
            }
        };
        (!attachable.0.is_empty() && !attachable.1.is_empty()).then_some(attachable)
    }

    fn of_class(&self, claim: &PersistentVolumeClaim) -> Option<Attachable> {
        let class = self.listers.classes.named(&claim.class())?;
        let driver = match InTree::of_name(&class.provisioner) {
            Some(plugin) if plugin.counts_on(self.csi_node) => plugin.driver.into(),
            Some(_) => return None,
            None => class.provisioner.clone(),
        };
        // No volume has a handle of this form.
        Some((driver, format!("\u{0}{}", claim.meta.key()).into()))
    }

    /// Whether it depends on the node what is attached for the Pod.
    fn depends_on_node(&self, pod: &Pod) -> bool {
        pod.spec.volumes.iter().any(|volume| {
            let Some((key, _)) = claim_of(pod, volume) else {
                return InTree::of_inline(&volume.source).is_some();
            };
            let Some(claim) = self.listers.claims.at(&key) else { return false };
            let name = &claim.spec.volume_name;
            let volume = if name.is_empty() { None } else { self.listers.volumes.named(name) };
            match volume.map(|volume| &volume.source) {
                Some(PvSource::Csi { .. }) => false,
                Some(_) => true,
                None => self
                    .listers
                    .classes
                    .named(&claim.class())
                    .is_some_and(|class| InTree::of_name(&class.provisioner).is_some()),
            }
        })
    }

    fn wanted(&self, pod: &Pod) -> Result<Volumes, Status> {
        let mut wanted = Volumes::new();
        self.add(pod, true, &mut wanted)?;
        Ok(wanted)
    }

    fn limit(&self, driver: &str) -> Option<i64> {
        let drivers = self.csi_node.iter().flat_map(|n| &n.drivers);
        drivers.rev().find(|d| d.name == driver && d.allocatable.is_some())?.allocatable.map(i64::from)
    }

    /// Volumes that the node's VolumeAttachments name and none of its Pods uses, by driver.
    fn only_attached(&self, node: &str, used: &Volumes) -> BTreeMap<Str, i64> {
        let mut found = Volumes::new();
        for attachment in self.listers.attachments_of_node(node) {
            let volume = self.listers.volumes.named(&attachment.pv_name);
            if let Some(PvSource::Csi { handle, .. }) = volume.map(|v| &v.source)
                && !attachment.attacher.is_empty()
            {
                found.insert((attachment.attacher.clone(), handle.clone()));
            }
        }
        by_driver(found.into_iter().filter(|attachable| !used.contains(attachable)))
    }
}

/// More volumes than this are not attached to the node, whatever their drivers: a cheap bound.
fn at_most(node: &NodeInfo, listers: &Listers) -> usize {
    let pods = node.pods().iter().filter(|p| p.shape.has_storage);
    let mounted: usize = pods.map(|p| p.pod.spec.volumes.len()).sum();
    mounted + listers.attachments_of_node(node.name()).count()
}

fn by_driver(volumes: impl Iterator<Item = Attachable>) -> BTreeMap<Str, i64> {
    let mut counts = BTreeMap::new();
    for (driver, _) in volumes {
        *counts.entry(driver).or_insert(0) += 1;
    }
    counts
}

impl PreFilter for NodeVolumeLimits {
    fn pre_filter(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<PreFiltered, Status> {
        if !pod.shape.has_storage || !pod.pod.spec.volumes.iter().any(can_count) {
            return Ok(PreFiltered::Skip);
        }
        let counter = Counter { listers: &snapshot.listers, csi_node: None };
        if !counter.depends_on_node(&pod.pod) {
            state.write(Wanted(counter.wanted(&pod.pod)));
        }
        Ok(PreFiltered::AllNodes)
    }
}

impl Filter for NodeVolumeLimits {
    fn filter(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status> {
        let listers = &snapshot.listers;
        let csi_node = listers.csi_nodes.named(node.name()).map(|n| &**n);
        let counter = Counter { listers, csi_node };
        let own;
        let wanted = match state.read::<Wanted>() {
            Some(Wanted(wanted)) => wanted.as_ref().map_err(Clone::clone)?,
            None => {
                own = counter.wanted(&pod.pod)?;
                &own
            }
        };
        let Some(least) = wanted.iter().filter_map(|(driver, _)| counter.limit(driver)).min() else {
            return Ok(());
        };
        if at_most(node, listers) + wanted.len() <= usize::try_from(least).unwrap_or(0) {
            return Ok(());
        }
        let limited = |(driver, _): &&Attachable| counter.limit(driver).is_some();
        let mut wanted: Volumes = wanted.iter().filter(limited).cloned().collect();
        let mut used = Volumes::new();
        for other in node.pods().iter().filter(|p| p.shape.has_storage) {
            counter.add(&other.pod, false, &mut used)?;
        }
        wanted.retain(|attachable| !used.contains(attachable));
        let attached = counter.only_attached(node.name(), &used);
        let used = by_driver(used.into_iter());
        for (driver, new) in by_driver(wanted.into_iter()) {
            let count = |of: &BTreeMap<Str, i64>| of.get(&driver).copied().unwrap_or(0);
            let limit = counter.limit(&driver).unwrap_or(i64::MAX);
            if count(&used) + count(&attached) + new > limit {
                return Err(Status::unschedulable(EXCEEDED, cause::MAX_VOLUME_COUNT));
            }
        }
        Ok(())
    }

    fn cover(&self, snapshot: &Snapshot, state: &CycleState, _: &PodInfo, _: &mut Vec<Gate>) -> Cover {
        // Claims of ephemeral volumes that belong to others break it on the nodes where they are mounted.
        match state.read::<Wanted>() {
            Some(Wanted(Ok(_))) if !snapshot.has_ephemeral_users() => Cover::Asked,
            _ => Cover::Unknown,
        }
    }
}

/// Whether a driver of the node may attach more than before.
fn more_allowed(old: &CsiNode, new: &CsiNode) -> bool {
    let limit = |node: &CsiNode, driver: &str| {
        node.drivers.iter().rev().find(|d| d.name == driver).and_then(|d| d.allocatable).unwrap_or(0)
    };
    new.drivers.iter().any(|d| d.allocatable.unwrap_or(0) > limit(old, &d.name))
}

impl EnqueueExtensions for NodeVolumeLimits {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![
            ClusterEvent::new(EventResource::CsiNode, ActionType::ADD),
            ClusterEvent::new(EventResource::CsiNode, ActionType::UPDATE),
            ClusterEvent::new(EventResource::Pod, ActionType::DELETE),
            ClusterEvent::new(EventResource::PersistentVolumeClaim, ActionType::ADD),
            ClusterEvent::new(EventResource::VolumeAttachment, ActionType::DELETE),
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
        let volumes = &pod.pod.spec.volumes;
        match (old, new) {
            (Some(Object::CsiNode(old)), Some(Object::CsiNode(new))) => {
                Hint::queue_if(more_allowed(old, new))
            }
            (Some(Object::Pod(gone)), None) => {
                let had_place = gone.node_name.is_some() || gone.status.nominated_node.is_some();
                Hint::queue_if(had_place && gone.spec.volumes.iter().any(can_count))
            }
            (_, Some(Object::PersistentVolumeClaim(claim))) => {
                let key = claim.meta.key();
                Hint::queue_if(volumes.iter().any(|v| claim_of(&pod.pod, v).is_some_and(|(k, _)| k == key)))
            }
            (Some(Object::VolumeAttachment(gone)), None) => Hint::queue_if(volumes.iter().any(|v| {
                matches!(v.source, VolumeSource::Claim { .. })
                    || InTree::of_inline(&v.source).is_some_and(|(p, _)| gone.attacher == p.driver)
            })),
            _ => Hint::Queue,
        }
    }
}
