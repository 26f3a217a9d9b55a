//! Which Pods keep their node.
//!
//! Upstream: `cluster-autoscaler/simulator/drainability/rules/`, 1.34: the first rule that decides wins.

use crate::api::pod::{Pod, RestartPolicy};
use crate::api::policy::PodDisruptionBudget;
use crate::api::volume::VolumeSource;
use crate::api::workload::{DaemonSet, Job, ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{LabelSelector, ObjectKey, OwnerReference, Phase};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::params::settings::ClusterAutoscaler as Flags;
use crate::store::{Held, Store};

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
/// Marks Pods that behave like those of a DaemonSet.
const DAEMON_SET_POD: &str = "cluster-autoscaler.kubernetes.io/daemonset-pod";
/// A Pod that should have ended so long ago does not count.
const LONG_TERMINATING_EXTRA: SimDuration = SimDuration::from_secs(30);

/// Decides about one Pod.
pub fn fate(store: &Store, flags: &Flags, budgets: &Budgets, pod: &Pod) -> Fate {
    if is_mirror(pod) || is_long_terminating(store, pod) {
        return Fate::Skip;
    }
    if flags.skip_nodes_with_custom_controller_pods
        && let Some(reason) = controller_keeps(store, flags, pod)
    {
        return Fate::Block(reason);
    }
    let annotation = pod.meta.annotations.get(SAFE_TO_EVICT).map(|v| v.as_str());
    if is_daemon(pod) || annotation == Some("true") || is_done(pod) {
        return Fate::Move;
    }
    let owner = pod.meta.controller();
    if owner.is_none_or(|o| {
        flags.skip_nodes_with_custom_controller_pods && !REPLICATED.contains(&o.kind.as_str())
    }) {
        return Fate::Block("NotReplicated");
    }
    if flags.skip_nodes_with_system_pods
        && pod.meta.namespace == "kube-system"
        && budgets.of(pod).next().is_none()
    {
        return match system_pod_lets_go(store, flags, pod) {
            at if store.now() > at => Fate::Move,
            _ => Fate::Block("UnmovableKubeSystemPod"),
        };
    }
    if annotation == Some("false") {
        return Fate::Block("NotSafeToEvictAnnotation");
    }
    if flags.skip_nodes_with_local_storage && has_local_storage(pod) {
        return Fate::Block("LocalStorageRequested");
    }
    if budgets.of(pod).any(|left| left < 1) { Fate::Block("NotEnoughPdb") } else { Fate::Move }
}

/// From this instant on (exclusive) a Pod of `kube-system` without a budget does not keep its node.
pub fn system_pod_lets_go(store: &Store, flags: &Flags, pod: &Pod) -> SimTime {
    let created = pod.meta.created.map_or(SimTime::ZERO, |at| store.calendar().instant(at));
    created + flags.blocking_system_pod_distruption_timeout
}

/// Kinds of controllers that the autoscaler knows to replace a Pod.
const REPLICATED: [&str; 4] = ["ReplicationController", "Job", "ReplicaSet", "StatefulSet"];

/// Whether a Pod is of a DaemonSet or says that it is like one.
pub fn is_daemon(pod: &Pod) -> bool {
    pod.meta.controller().is_some_and(|owner| owner.kind == "DaemonSet")
        || pod.meta.annotations.get(DAEMON_SET_POD).is_some_and(|v| v == "true")
}

/// Whether a Pod comes from a file on its node.
pub fn is_mirror(pod: &Pod) -> bool {
    pod.meta.annotations.contains_key("kubernetes.io/config.mirror")
}

/// Whether a Pod will never run again.
fn is_done(pod: &Pod) -> bool {
    pod.status.phase == Phase::Failed
        || (pod.status.phase == Phase::Succeeded && pod.spec.restart_policy != RestartPolicy::Always)
}

/// What is left of disruption budgets while nodes are being chosen.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    left: Vec<(Str, LabelSelector, i32)>,
}

impl Budgets {
    /// The budgets as they stand.
    pub fn new(store: &Store) -> Self {
        let left = store
            .list::<PodDisruptionBudget>()
            .map(|b| (b.meta.namespace.clone(), b.selector.clone(), b.disruptions_allowed));
        Self { left: left.collect() }
    }

    /// What the budgets of a Pod have left.
    fn of<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = i32> + 'a {
        let covers = move |(namespace, selector, _): &&(Str, LabelSelector, i32)| {
            *namespace == pod.meta.namespace && selector.matches(&pod.meta.labels)
        };
        self.left.iter().filter(covers).map(|(_, _, left)| *left)
    }

    /// Takes Pods off their budgets. Whether all may go at once.
    pub fn take<'a>(&mut self, pods: impl Iterator<Item = &'a Pod> + Clone) -> bool {
        let mut at_once = true;
        for (namespace, selector, left) in &mut self.left {
            let covered =
                pods.clone().filter(|p| *namespace == p.meta.namespace && selector.matches(&p.meta.labels));
            let count = i32::try_from(covered.count()).unwrap_or(i32::MAX);
            at_once &= count <= (*left).max(0);
            *left = left.saturating_sub(count);
        }
        at_once
    }
}

/// The mark is the end of the grace period; upstream adds another.
pub fn is_long_terminating(store: &Store, pod: &Pod) -> bool {
    pod.meta.deletion.is_some_and(|deletion| {
        let grace = SimDuration::from_api_secs(pod.spec.termination_grace_seconds);
        store.now() > store.calendar().instant(deletion.timestamp) + grace + LONG_TERMINATING_EXTRA
    })
}

/// Why a Pod's controller keeps its node, if it does.
fn controller_keeps(store: &Store, flags: &Flags, pod: &Pod) -> Option<&'static str> {
    let owner = pod.meta.controller()?;
    let replicas = match owner.kind.as_str() {
        "ReplicationController" => {
            Some(find::<ReplicationController>(store, pod, owner).map(|c| c.0.replicas))
        }
        "ReplicaSet" => Some(find::<ReplicaSet>(store, pod, owner).map(|c| c.replicas)),
        _ => None,
    };
    let found = match owner.kind.as_str() {
        "Job" => find::<Job>(store, pod, owner).is_some(),
        "StatefulSet" => find::<StatefulSet>(store, pod, owner).is_some(),
        "DaemonSet" => find::<DaemonSet>(store, pod, owner).is_some(),
        _ => replicas != Some(None),
    };
    if !found {
        return Some("ControllerNotFound");
    }
    let few = replicas.flatten().is_some_and(|replicas| i64::from(replicas) < flags.min_replica_count);
    few.then_some("MinReplicasReached")
}

fn find<'s, T: Held>(store: &'s Store, pod: &Pod, owner: &OwnerReference) -> Option<&'s Arc<T>> {
    store.get::<T>(&ObjectKey::new(pod.meta.namespace.clone(), owner.name.clone()))
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
    use crate::api::Meta;
    use crate::api::meta::Deletion;
    use crate::api::volume::Volume;
    use crate::store::Held;
    use crate::testkit;

    /// A cluster at 4000 s with a ReplicaSet of three, one DaemonSet and budgets with and without room.
    fn cluster() -> Store {
        let mut store = testkit::store();
        store.create(testkit::replica_set("web", 3)).unwrap();
        let daemon = serde_json::json!({
            "metadata": {"name": "agent", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "c", "image": "agent:1"}]}}},
        });
        let daemon = crate::api::lower::from_json(crate::api::Kind::DaemonSet, daemon).unwrap();
        let crate::api::Object::DaemonSet(daemon) = daemon else { unreachable!() };
        store.create(DaemonSet::clone(&daemon)).unwrap();
        store.create(testkit::namespace("kube-system")).unwrap();
        for (namespace, name, left) in
            [("default", "tight", 0), ("default", "roomy", 1), ("kube-system", "tight", 0)]
        {
            let budget = PodDisruptionBudget {
                meta: Meta::named(namespace, name),
                selector: LabelSelector::parse(&format!("budget={name}")).unwrap(),
                disruptions_allowed: left,
                ..PodDisruptionBudget::default()
            };
            store.create(budget).unwrap();
        }
        store.advance(SimTime::from_secs(4000));
        store
    }

    fn owned<T: Held>(store: &Store, mut pod: Pod, name: &str) -> Pod {
        let owner = store.find::<T>("default", name).unwrap();
        pod.meta.owners = vec![OwnerReference::controller_of(&**owner)].into();
        pod
    }

    fn volume(mut pod: Pod, source: VolumeSource) -> Pod {
        Arc::make_mut(&mut pod.spec).volumes = vec![Volume { name: "v".into(), source }];
        pod
    }

    fn annotated(mut pod: Pod, key: &'static str, value: &'static str) -> Pod {
        pod.meta.annotations = pod.meta.annotations.with(key, value);
        pod
    }

    /// In `kube-system`, so many seconds old.
    fn system(mut pod: Pod, age: i64) -> Pod {
        pod.meta.namespace = "kube-system".into();
        let owner = testkit::replica_set("custom", 1);
        pod.meta.owners = vec![OwnerReference::controller_of(&owner)].into();
        pod.meta.created = Some(crate::base::Timestamp::new(testkit::calendar().start.secs() + 4000 - age));
        pod
    }

    fn ended(mut pod: Pod, phase: Phase, restart_policy: RestartPolicy) -> Pod {
        Arc::make_mut(&mut pod.spec).restart_policy = restart_policy;
        pod.status.phase = phase;
        pod
    }

    fn check(flags: &Flags, cases: impl IntoIterator<Item = (Pod, Fate)>) {
        let store = cluster();
        let budgets = Budgets::new(&store);
        for (pod, expected) in cases {
            assert_eq!(fate(&store, flags, &budgets, &pod), expected, "{pod:?}");
        }
    }

    /// `§3.10`, the table of rules from top to bottom.
    #[test]
    fn the_first_rule_that_decides_wins() {
        let store = cluster();
        let pod = || testkit::pod("p", "app=web");
        let web = || owned::<ReplicaSet>(&store, pod(), "web");
        let scratch = || VolumeSource::EmptyDir { memory: false, size_limit: None };
        let mut lost = web();
        lost.meta.owners[0].name = "gone".into();
        let mut lost_daemon = owned::<DaemonSet>(&store, pod(), "agent");
        lost_daemon.meta.owners[0].name = "gone".into();
        let block = Fate::Block;
        let never = RestartPolicy::Never;
        let mut odd = web();
        odd.meta.owners[0].kind = "CloneSet".into();
        check(
            &Flags::default(),
            [
                (annotated(pod(), "kubernetes.io/config.mirror", "x"), Fate::Skip),
                (lost, block("ControllerNotFound")),
                (lost_daemon, block("ControllerNotFound")),
                (owned::<DaemonSet>(&store, pod(), "agent"), Fate::Move),
                (
                    volume(owned::<DaemonSet>(&store, pod(), "agent"), VolumeSource::HostPath("/".into())),
                    Fate::Move,
                ),
                (annotated(pod(), DAEMON_SET_POD, "true"), Fate::Move),
                (annotated(pod(), SAFE_TO_EVICT, "true"), Fate::Move),
                (annotated(volume(web(), scratch()), SAFE_TO_EVICT, "true"), Fate::Move),
                (ended(pod(), Phase::Failed, RestartPolicy::Always), Fate::Move),
                (ended(pod(), Phase::Succeeded, never), Fate::Move),
                (ended(pod(), Phase::Succeeded, RestartPolicy::Always), block("NotReplicated")),
                (pod(), block("NotReplicated")),
                (odd, block("NotReplicated")),
                (web(), Fate::Move),
                (annotated(web(), SAFE_TO_EVICT, "false"), block("NotSafeToEvictAnnotation")),
                (volume(web(), scratch()), block("LocalStorageRequested")),
                (volume(web(), VolumeSource::HostPath("/".into())), block("LocalStorageRequested")),
                (volume(web(), VolumeSource::EmptyDir { memory: true, size_limit: None }), Fate::Move),
                (annotated(volume(web(), scratch()), SAFE_LOCAL_VOLUMES, "a,v"), Fate::Move),
                (
                    annotated(volume(web(), scratch()), SAFE_LOCAL_VOLUMES, "a"),
                    block("LocalStorageRequested"),
                ),
            ],
        );
    }

    /// `§3.10`, rule 8, and `§7` 25: their first hour, and only without a budget.
    #[test]
    fn system_pods_keep_their_node_for_an_hour() {
        let flags = Flags { skip_nodes_with_custom_controller_pods: false, ..Flags::default() };
        let pod = |age| system(testkit::pod("dns", "k8s-app=dns"), age);
        let budgeted = system(testkit::pod("dns", "budget=tight"), 60);
        check(
            &flags,
            [
                (pod(60), Fate::Block("UnmovableKubeSystemPod")),
                (pod(3600), Fate::Block("UnmovableKubeSystemPod")),
                (pod(3601), Fate::Move),
                (volume(pod(3601), VolumeSource::HostPath("/".into())), Fate::Move),
                (budgeted, Fate::Block("NotEnoughPdb")),
            ],
        );
        let free = Flags { skip_nodes_with_system_pods: false, ..flags };
        check(&free, [(pod(60), Fate::Move)]);
    }

    /// `§3.10`, rules 3, 7, 10 and 11 with their flags.
    #[test]
    fn flags_and_budgets_decide_the_rest() {
        let store = cluster();
        let web = |labels| owned::<ReplicaSet>(&store, testkit::pod("p", labels), "web");
        let mut odd = web("app=web");
        odd.meta.owners[0].kind = "CloneSet".into();
        let local = volume(web("app=web"), VolumeSource::HostPath("/".into()));
        check(&Flags { skip_nodes_with_local_storage: false, ..Flags::default() }, [(local, Fate::Move)]);
        let custom = Flags { skip_nodes_with_custom_controller_pods: false, ..Flags::default() };
        check(&custom, [(odd, Fate::Move)]);
        let four = Flags { min_replica_count: 4, ..Flags::default() };
        check(&four, [(web("app=web"), Fate::Block("MinReplicasReached"))]);
        let three = Flags { min_replica_count: 3, ..Flags::default() };
        check(&three, [(web("app=web"), Fate::Move)]);
        check(
            &Flags::default(),
            [
                (web("budget=tight"), Fate::Block("NotEnoughPdb")),
                (web("budget=roomy"), Fate::Move),
                // "true" decides before budgets are asked; the eviction itself still asks them.
                (annotated(web("budget=tight"), SAFE_TO_EVICT, "true"), Fate::Move),
            ],
        );
    }

    /// `§3.10`, rule 2.
    #[test]
    fn a_pod_that_should_long_be_gone_does_not_count() {
        let mut pod = testkit::pod("p", "app=web");
        let marked = |secs: i64| crate::base::Timestamp::new(testkit::calendar().start.secs() + secs);
        let grace = pod.spec.termination_grace_seconds;
        for (end, expected) in
            [(4000 - grace - 31, Fate::Skip), (4000 - grace - 30, Fate::Block("NotReplicated"))]
        {
            pod.meta.deletion = Some(Deletion { timestamp: marked(end), grace_seconds: Some(grace) });
            check(&Flags::default(), [(pod.clone(), expected)]);
        }
    }

    /// Upstream: `core/scaledown/pdb/basic.go`.
    #[test]
    fn budgets_shrink_while_nodes_are_chosen() {
        let store = cluster();
        let mut budgets = Budgets::new(&store);
        let pods = [testkit::pod("a", "budget=roomy"), testkit::pod("b", "budget=roomy")];
        assert!(!budgets.clone().take(pods.iter()), "two at once are too many");
        assert!(budgets.take(pods[..1].iter()));
        assert_eq!(budgets.of(&pods[1]).collect::<Vec<_>>(), [0]);
    }
}
