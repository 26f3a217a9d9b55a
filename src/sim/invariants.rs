//! What must hold after every event, whatever the scenario. A breach is a bug of ours.

use std::collections::BTreeMap;

use super::world::World;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::api::storage::{ClaimPhase, PersistentVolume, PersistentVolumeClaim, VolumeAttachment};
use crate::api::{Node, Pod, ResourceList, condition};
use crate::base::{Quantity, Str};
use crate::store::Store;

/// Checks everything; the first breach in words.
pub fn check(world: &World) -> Result<(), String> {
    let store = world.store();
    world.astray.clone().map_or(Ok(()), Err)?;
    bound_pods(store)?;
    node_room(store)?;
    volumes(store)?;
    attachments(store)?;
    world.disks.check(store)?;
    owners(store)?;
    indexes(store)
}

/// A bound Pod says so in its conditions, and an ended one never comes back (checked against the condition).
fn bound_pods(store: &Store) -> Result<(), String> {
    for pod in store.list::<Pod>() {
        let scheduled = condition::is_true(&pod.status.conditions, "PodScheduled");
        if pod.node_name.is_none() && scheduled {
            return Err(format!("pod {} is scheduled but has no node", pod.meta.key()));
        }
        if pod.node_name.is_none() && pod.status.phase == crate::api::Phase::Running {
            return Err(format!("pod {} runs without a node", pod.meta.key()));
        }
    }
    Ok(())
}

/// The scheduler never puts more on a node than it has room for. Pods that named their node are not its doing.
fn node_room(store: &Store) -> Result<(), String> {
    for node in store.list::<Node>() {
        let mut used = ResourceList::default();
        let mut count = 0;
        let mut forced = false;
        for pod in store.pods_on(&node.meta.name).filter(|p| !p.is_terminal()) {
            // A resize may ask for more than there is; the kubelet then defers it.
            forced |= pod.status.containers.iter().any(|c| c.resized.is_some());
            forced |= pod.spec.raw.node_name.is_some() || !was_scheduled(pod);
            used.add(&effective_requests(pod));
            count += 1;
        }
        if forced {
            continue;
        }
        for name in [CPU, MEMORY, EPHEMERAL_STORAGE] {
            let (Some(used), Some(room)) = (used.get(name), node.status.allocatable.get(name)) else {
                continue;
            };
            if used > room {
                return Err(format!("node {} has {room} {name} and {used} are requested", node.meta.name));
            }
        }
        if let Some(room) = node.status.allocatable.get(PODS)
            && Quantity::from_units(count) > room
        {
            return Err(format!("node {} has room for {room} Pods and holds {count}", node.meta.name));
        }
    }
    Ok(())
}

fn was_scheduled(pod: &Pod) -> bool {
    condition::is_true(&pod.status.conditions, "PodScheduled")
}

/// Requests as the scheduler counts them: the sum of containers and sidecars, or the largest init step.
fn effective_requests(pod: &Pod) -> ResourceList {
    let mut sum = ResourceList::default();
    pod.spec.containers.iter().for_each(|c| sum.add(&c.requests));
    let (mut sidecars, mut peak) = (ResourceList::default(), ResourceList::default());
    for init in &pod.spec.init_containers {
        if init.sidecar {
            sidecars.add(&init.requests);
            peak.raise_to(&sidecars);
        } else {
            let mut step = sidecars.clone();
            step.add(&init.requests);
            peak.raise_to(&step);
        }
    }
    sum.add(&sidecars);
    sum.raise_to(&peak);
    if let Some(whole) = &pod.spec.pod_requests {
        for (name, amount) in &whole.0 {
            sum.0.insert(name.clone(), *amount);
        }
    }
    sum.add(&pod.spec.overhead);
    sum
}

/// A bound claim and its volume agree; a zonal volume is used on nodes of its zone only.
fn volumes(store: &Store) -> Result<(), String> {
    for claim in store.list::<PersistentVolumeClaim>().filter(|c| c.phase == ClaimPhase::Bound) {
        let Some(volume) = store.find::<PersistentVolume>("", &claim.spec.volume_name) else { continue };
        let agrees = volume.claim_ref.as_ref().is_some_and(|r| r.key == claim.meta.key());
        if !agrees {
            return Err(format!("claim {} and volume {} disagree", claim.meta.key(), volume.meta.name));
        }
    }
    for pod in store.list::<Pod>().filter(|p| !p.is_terminal() && was_scheduled(p)) {
        let Some(node) = pod.node_name.as_ref().and_then(|n| store.find::<Node>("", n)) else { continue };
        for claim in pod.spec.claim_names(&pod.meta.name) {
            let volume = store
                .find::<PersistentVolumeClaim>(&pod.meta.namespace, &claim)
                .filter(|c| c.phase == ClaimPhase::Bound)
                .and_then(|c| store.find::<PersistentVolume>("", &c.spec.volume_name));
            let Some(affinity) = volume.and_then(|v| v.node_affinity.as_ref()) else { continue };
            if !affinity.matches(&node.meta.name, &node.meta.labels) {
                return Err(format!(
                    "pod {} is on node {}, which its claim {claim} cannot be reached from",
                    pod.meta.key(),
                    node.meta.name
                ));
            }
        }
    }
    Ok(())
}

/// A volume that can be used from one node at a time is attached to one node at most, and only to nodes that can reach it.
fn attachments(store: &Store) -> Result<(), String> {
    for attachment in store.list::<VolumeAttachment>().filter(|a| a.attached) {
        let volume = store.find::<PersistentVolume>("", &attachment.pv_name);
        let node = store.find::<Node>("", &attachment.node_name);
        let (Some(affinity), Some(node)) = (volume.and_then(|v| v.node_affinity.as_ref()), node) else {
            continue;
        };
        let scheduled = store.pods_on(&node.meta.name).any(|p| was_scheduled(p));
        if scheduled && !affinity.matches(&node.meta.name, &node.meta.labels) {
            let (volume, node) = (&attachment.pv_name, &attachment.node_name);
            return Err(format!("volume {volume} is attached to {node}, which cannot reach it"));
        }
    }
    let mut nodes: BTreeMap<&Str, &Str> = BTreeMap::new();
    for attachment in store.list::<VolumeAttachment>().filter(|a| a.attached) {
        let Some(volume) = store.find::<PersistentVolume>("", &attachment.pv_name) else { continue };
        let single = volume.is_single_node();
        if let Some(other) = nodes.insert(&attachment.pv_name, &attachment.node_name).filter(|_| single) {
            let (volume, node) = (&attachment.pv_name, &attachment.node_name);
            return Err(format!("volume {volume} is attached to both {other} and {node}"));
        }
    }
    Ok(())
}

/// Two live Pods never have one identity, and every Pod's controller reference is unique.
fn owners(store: &Store) -> Result<(), String> {
    let mut seen: BTreeMap<&Str, &Str> = BTreeMap::new();
    for pod in store.list::<Pod>() {
        if let Some(other) = seen.insert(&pod.meta.uid, &pod.meta.name) {
            return Err(format!("pods {other} and {} share one identity", pod.meta.name));
        }
        if pod.meta.owners.iter().filter(|o| o.controller).count() > 1 {
            return Err(format!("pod {} has two controllers", pod.meta.key()));
        }
    }
    Ok(())
}

/// The indexes say what a look at every Pod says.
fn indexes(store: &Store) -> Result<(), String> {
    let mut on: BTreeMap<&Str, usize> = BTreeMap::new();
    let mut of: BTreeMap<&Str, usize> = BTreeMap::new();
    let mut pods = 0;
    for pod in store.list::<Pod>() {
        pods += 1;
        if let Some(node) = &pod.node_name {
            *on.entry(node).or_default() += 1;
        }
        if let Some(owner) = pod.meta.controller() {
            *of.entry(&owner.uid).or_default() += 1;
        }
        if store.by_uid(&pod.meta.uid).is_none_or(|found| found.key() != pod.meta.key()) {
            return Err(format!("pod {} is not found by its identity", pod.meta.key()));
        }
    }
    if pods != store.count::<Pod>() {
        return Err(format!("{pods} Pods are listed and {} counted", store.count::<Pod>()));
    }
    for (node, count) in on {
        let found = store.pods_on(node).count();
        if found != count {
            return Err(format!("node {node} holds {count} Pods, its index {found}"));
        }
    }
    for (owner, count) in of {
        let found = store.pods_of(owner).count();
        if found != count {
            return Err(format!("controller {owner} has {count} Pods, its index {found}"));
        }
    }
    Ok(())
}
