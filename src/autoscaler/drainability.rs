//! Which Pods keep their node.
//!
//! Upstream: `cluster-autoscaler/simulator/drainability/rules/`, 1.34: the first rule that decides wins.

use crate::api::pod::Pod;
use crate::api::policy::PodDisruptionBudget;
use crate::api::volume::VolumeSource;
use crate::api::workload::{DaemonSet, Job, ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{ObjectKey, OwnerReference};
use crate::base::{SimDuration, SimTime};
use crate::params::settings::ClusterAutoscaler as Flags;
use crate::store::Store;

/// What becomes of a Pod if its node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does not count.
    Skip,
    /// It must find another place.
    Move,
    /// Its node stays, for this reason.
    Block(&'static str),
}

const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const SAFE_LOCAL_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
/// Pods of `kube-system` without a budget keep their node while they are younger.
const SYSTEM_POD_BLOCKS: SimDuration = SimDuration::from_mins(60);
/// A Pod that should have ended so long ago does not count.
const LONG_TERMINATING_EXTRA: SimDuration = SimDuration::from_secs(30);

/// Decides about one Pod.
pub fn fate(store: &Store, flags: &Flags, pod: &Pod) -> Fate {
    let now = store.now();
    if pod.meta.annotations.contains_key("kubernetes.io/config.mirror") || is_long_terminating(store, pod) {
        return Fate::Skip;
    }
    let owner = pod.meta.controller();
    if flags.skip_nodes_with_custom_controller_pods
        && let Some(owner) = owner
        && is_known_kind(owner)
        && !exists(store, &pod.meta.namespace, owner)
    {
        return Fate::Block("ControllerNotFound");
    }
    let annotation = pod.meta.annotations.get(SAFE_TO_EVICT).map(|v| v.as_str());
    if owner.is_some_and(|o| o.kind == "DaemonSet") {
        return Fate::Skip;
    }
    if annotation == Some("true") || pod.is_terminal() {
        return pdb(store, pod);
    }
    if owner.is_none_or(|o| flags.skip_nodes_with_custom_controller_pods && !is_known_kind(o)) {
        return Fate::Block("NotReplicated");
    }
    let budgets = budgets_of(store, pod).count();
    let created = pod.meta.created.map_or(SimTime::ZERO, |at| store.calendar().instant(at));
    if flags.skip_nodes_with_system_pods
        && pod.meta.namespace == "kube-system"
        && budgets == 0
        && now < created + SYSTEM_POD_BLOCKS
    {
        return Fate::Block("UnmovableKubeSystemPod");
    }
    if annotation == Some("false") {
        return Fate::Block("NotSafeToEvictAnnotation");
    }
    if flags.skip_nodes_with_local_storage && has_local_storage(pod) {
        return Fate::Block("LocalStorageRequested");
    }
    pdb(store, pod)
}

fn pdb(store: &Store, pod: &Pod) -> Fate {
    let blocked = budgets_of(store, pod).any(|budget| budget.disruptions_allowed < 1);
    if blocked { Fate::Block("NotEnoughPdb") } else { Fate::Move }
}

fn budgets_of<'a>(store: &'a Store, pod: &'a Pod) -> impl Iterator<Item = &'a PodDisruptionBudget> {
    store
        .list_in::<PodDisruptionBudget>(&pod.meta.namespace)
        .map(|budget| &**budget)
        .filter(|budget| budget.selector.matches(&pod.meta.labels))
}

fn is_long_terminating(store: &Store, pod: &Pod) -> bool {
    pod.meta.deletion.is_some_and(|deletion| {
        // The timestamp is the end of the grace period.
        store.now() > store.calendar().instant(deletion.timestamp) + LONG_TERMINATING_EXTRA
    })
}

fn is_known_kind(owner: &OwnerReference) -> bool {
    ["ReplicationController", "Job", "ReplicaSet", "StatefulSet", "DaemonSet"].contains(&owner.kind.as_str())
}

fn exists(store: &Store, namespace: &str, owner: &OwnerReference) -> bool {
    let key = ObjectKey::new(namespace, owner.name.clone());
    match owner.kind.as_str() {
        "ReplicationController" => store.get::<ReplicationController>(&key).is_some(),
        "Job" => store.get::<Job>(&key).is_some(),
        "ReplicaSet" => store.get::<ReplicaSet>(&key).is_some(),
        "StatefulSet" => store.get::<StatefulSet>(&key).is_some(),
        "DaemonSet" => store.get::<DaemonSet>(&key).is_some(),
        _ => true,
    }
}

/// Directories of the node and scratch space on disk, but for volumes that the Pod gives free.
fn has_local_storage(pod: &Pod) -> bool {
    let free = pod.meta.annotations.get(SAFE_LOCAL_VOLUMES).map(|v| v.as_str()).unwrap_or_default();
    pod.spec.volumes.iter().any(|volume| {
        let local = match &volume.source {
            VolumeSource::HostPath(_) => true,
            VolumeSource::EmptyDir { memory, .. } => !memory,
            VolumeSource::Claim { .. }
            | VolumeSource::Ephemeral
            | VolumeSource::ConfigMap { .. }
            | VolumeSource::Secret { .. }
            | VolumeSource::AwsEbs { .. }
            | VolumeSource::GcePd { .. }
            | VolumeSource::Iscsi { .. }
            | VolumeSource::Rbd { .. }
            | VolumeSource::InlineCsi { .. }
            | VolumeSource::Other => false,
        };
        local && !free.split(',').any(|name| name == volume.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::volume::Volume;
    use crate::testkit;
    use std::sync::Arc;

    #[test]
    fn the_first_rule_that_decides_wins() {
        let mut store = testkit::store();
        let set = store.create(testkit::replica_set("web", 3)).unwrap();
        store.advance(SimTime::from_secs(100));
        let owned = |mut pod: Pod| {
            pod.meta.owners = vec![OwnerReference::controller_of(&*set)];
            pod
        };
        let volume = |mut pod: Pod, source| {
            Arc::make_mut(&mut pod.spec).volumes = vec![Volume { name: "v".into(), source }];
            pod
        };
        let annotated = |mut pod: Pod, key: &'static str, value: &'static str| {
            pod.meta.annotations = pod.meta.annotations.with(key, value);
            pod
        };
        let pod = || testkit::pod("p", "app=web");
        let scratch = || VolumeSource::EmptyDir { memory: false, size_limit: None };
        let mut lost = owned(pod());
        lost.meta.owners[0].name = "gone".into();
        for (pod, expected) in [
            (annotated(pod(), "kubernetes.io/config.mirror", "x"), Fate::Skip),
            (pod(), Fate::Block("NotReplicated")),
            (annotated(pod(), SAFE_TO_EVICT, "true"), Fate::Move),
            (owned(pod()), Fate::Move),
            (lost, Fate::Block("ControllerNotFound")),
            (annotated(owned(pod()), SAFE_TO_EVICT, "false"), Fate::Block("NotSafeToEvictAnnotation")),
            (volume(owned(pod()), scratch()), Fate::Block("LocalStorageRequested")),
            (volume(owned(pod()), VolumeSource::HostPath("/".into())), Fate::Block("LocalStorageRequested")),
            (volume(owned(pod()), VolumeSource::EmptyDir { memory: true, size_limit: None }), Fate::Move),
            (annotated(volume(owned(pod()), scratch()), SAFE_LOCAL_VOLUMES, "a,v"), Fate::Move),
        ] {
            assert_eq!(fate(&store, &Flags::default(), &pod), expected, "{pod:?}");
        }
    }

    #[test]
    fn a_budget_without_room_keeps_the_node() {
        let mut store = testkit::store();
        let set = store.create(testkit::replica_set("web", 3)).unwrap();
        let mut pod = testkit::pod("p", "app=web");
        pod.meta.owners = vec![OwnerReference::controller_of(&*set)];
        let budget = PodDisruptionBudget {
            meta: crate::api::Meta::named("default", "web"),
            selector: crate::api::LabelSelector::parse("app=web").unwrap(),
            ..PodDisruptionBudget::default()
        };
        store.create(budget).unwrap();
        assert_eq!(fate(&store, &Flags::default(), &pod), Fate::Block("NotEnoughPdb"));
        let safe = pod.meta.annotations.with(SAFE_TO_EVICT, "true");
        pod.meta.annotations = safe;
        assert_eq!(fate(&store, &Flags::default(), &pod), Fate::Block("NotEnoughPdb"));
    }
}
