//! A mutating webhook: what the vertical autoscaler's admission controller makes of a Pod's resources.
//!
//! * [`amounts`]: recommendations and policies. * [`capping`]: what of them a Pod can be given.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/admission-controller/resource/pod/`, `pkg/utils/vpa/api.go`, 1.5.1.
//!
//! # Fidelity
//! The webhook always answers, at once, and speaks of CPU before memory; upstream's order is that of a map.

pub mod amounts;
pub mod capping;

use std::collections::BTreeMap;

use super::Store;
use crate::api::workload::{Job, ReplicaSet};
use crate::api::{LabelSelector, Meta, ObjectKey, Pod, PodSpec, k8s, lower};
use crate::base::{Arc, Str};
use amounts::{Amounts, Policy, RESOURCES, Recommendation, policy_of, quantity};
use capping::{Capped, Held, Ranges, cap, held, proportional_limit};
use k8s::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Boundary;

/// Says what was changed.
pub const UPDATES: &str = "vpaUpdates";
/// Says which containers were looked at.
pub const OBSERVED: &str = "vpaObservedContainers";

/// New resources for the Pods of an autoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resizer {
    /// The autoscaler's name.
    pub name: Str,
    /// Where its Pods live.
    pub namespace: Str,
    /// Kind and name of the controller whose Pods they are.
    pub target: (Str, Str),
    /// Which Pods.
    pub selector: LabelSelector,
    /// What may be recommended.
    pub policies: Vec<Policy>,
    /// What is recommended.
    pub list: Vec<Recommendation>,
}

impl Resizer {
    /// Whether a Pod is this autoscaler's.
    pub fn covers(&self, store: &Store, meta: &Meta) -> bool {
        self.namespace == meta.namespace
            && self.selector.matches(&meta.labels)
            && parent(store, meta).is_some_and(|parent| parent == self.target)
    }

    /// What is recommended, as far as this Pod can have it.
    pub fn capped(&self, store: &Store, pod: &Pod) -> Vec<Capped> {
        cap(&self.list, &self.policies, &held(pod), &Ranges::of(store, &pod.meta.namespace))
    }

    /// A Pod's spec with the resources that it should have, and for each container what is new. None: there is nothing
    /// that could be written.
    pub fn apply(&self, store: &Store, pod: &Pod) -> Option<(PodSpec, Vec<String>)> {
        let ranges = Ranges::of(store, &pod.meta.namespace);
        let held = held(pod);
        let capped = cap(&self.list, &self.policies, &held, &ranges);
        let mut raw = k8s::core::v1::PodSpec::clone(&pod.spec.raw);
        let mut notes = Vec::new();
        for (container, held) in raw.containers.iter_mut().zip(&held) {
            let found = capped.iter().find(|c| c.recommendation.container == held.container);
            let mut said = Vec::new();
            if let Some(Capped { recommendation, notes }) = found {
                let policy = policy_of(&self.policies, &held.container);
                let default = ranges.container.map(|range| range.default).unwrap_or_default();
                let limits = match policy {
                    Some(policy) if policy.requests_only => Limits::default(),
                    Some(_) | None => Limits::of(held, recommendation.target, default),
                };
                said.extend(notes.iter().chain(&limits.notes).cloned());
                let resources = container.resources.get_or_insert_default();
                said.extend(write(resources, recommendation.target, limits.amounts));
            }
            notes.push(said.join(", "));
        }
        // What was valid stays valid: amounts are whole numbers above zero.
        Some((lower::lower_pod_spec(raw).ok()?, notes))
    }
}

/// The controller that stands behind a Pod: the topmost of those that are known.
///
/// Upstream: `FindTopMostWellKnownOrScalable`.
pub fn parent(store: &Store, meta: &Meta) -> Option<(Str, Str)> {
    let owner = meta.controller()?;
    let key = ObjectKey::new(meta.namespace.clone(), owner.name.clone());
    let above = match owner.kind.as_str() {
        "ReplicaSet" => store.get::<ReplicaSet>(&key).and_then(|set| set.meta.controller().cloned()),
        "Job" => store.get::<Job>(&key).and_then(|job| job.meta.controller().cloned()),
        _ => None,
    };
    let top = above.as_ref().filter(|above| ["Deployment", "CronJob"].contains(&above.kind.as_str()));
    let top = top.unwrap_or(owner);
    Some((top.kind.clone(), top.name.clone()))
}

/// Changes the resources of a Pod that is created, if an autoscaler is for it. Whether anything is new.
pub(super) fn mutate(store: &Store, pod: &mut Pod) -> bool {
    let resizer = store.admission.resizers.iter().find(|resizer| resizer.covers(store, &pod.meta));
    let Some((resizer, (spec, notes))) = resizer.and_then(|r| Some((r, r.apply(store, pod)?))) else {
        return false;
    };
    pod.spec = Arc::new(spec);
    let notes: Vec<String> =
        notes.iter().enumerate().map(|(index, note)| format!("container {index}: {note}")).collect();
    let names: Vec<&str> = pod.spec.containers.iter().map(|c| c.name.as_str()).collect();
    let note = format!("Pod resources updated by {}: {}", resizer.name, notes.join("; "));
    pod.meta.annotations = pod.meta.annotations.with(UPDATES, note).with(OBSERVED, names.join(", "));
    true
}

/// New limits, and why there are none.
#[derive(Default)]
struct Limits {
    amounts: Amounts,
    notes: Vec<String>,
}

impl Limits {
    /// Upstream: `GetProportionalLimit`. Of a container without any limit nothing is said.
    fn of(held: &Held, target: Amounts, default: Amounts) -> Self {
        let mut limits = Self::default();
        for resource in RESOURCES {
            match proportional_limit(held, resource, target.of(resource), default.of(resource)) {
                Ok(amount) => limits.amounts.set(resource, amount),
                Err(why) => limits.notes.push(format!("{resource}: {why}")),
            }
        }
        if limits.amounts == Amounts::default() { Self::default() } else { limits }
    }
}

/// Writes requests and limits; what was written.
fn write(resources: &mut ResourceRequirements, requests: Amounts, limits: Amounts) -> Vec<String> {
    let mut written = Vec::new();
    let mut put = |list: &mut Option<BTreeMap<String, Boundary>>, amounts: Amounts, word: &str| {
        for name in RESOURCES {
            if let Some(amount) = amounts.of(name) {
                let text = Boundary(quantity(name, amount).to_string());
                list.get_or_insert_default().insert(name.to_owned(), text);
                written.push(format!("{name} {word}"));
            }
        }
    };
    put(&mut resources.requests, requests, "request");
    put(&mut resources.limits, limits, "limit");
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::OwnerReference;
    use crate::testkit;

    fn requirements(text: &str) -> Option<BTreeMap<String, Boundary>> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        let map: BTreeMap<_, _> = pairs.map(|(k, v)| (k.to_owned(), Boundary(v.to_owned()))).collect();
        (!map.is_empty()).then_some(map)
    }

    fn told(map: &Option<BTreeMap<String, Boundary>>) -> String {
        let pairs: Vec<String> = map.iter().flatten().map(|(k, v)| format!("{k}={}", v.0)).collect();
        pairs.join(" ")
    }

    /// A store with a ReplicaSet `web`, whose Pods should have this.
    fn store_with(target: Amounts, requests_only: bool) -> (Store, OwnerReference) {
        let mut store = testkit::store();
        let set = store.create(testkit::replica_set("web", 2)).unwrap();
        let policy = Policy {
            container: "*".into(),
            off: false,
            min: Amounts::default(),
            max: Amounts::default(),
            cpu: true,
            memory: true,
            requests_only,
        };
        store.admission_mut().resizers = vec![Resizer {
            name: "web".into(),
            namespace: "default".into(),
            target: ("ReplicaSet".into(), "web".into()),
            selector: LabelSelector::parse("app=web").unwrap(),
            policies: vec![policy],
            list: vec![Recommendation { container: "main".into(), target, ..Recommendation::default() }],
        }];
        (store, OwnerReference::controller_of(&*set))
    }

    const BOTH: Amounts = Amounts { cpu: Some(150), memory: Some(262_144_000) };
    const CPU_ONLY: Amounts = Amounts { cpu: Some(150), memory: None };

    /// `§2.5`: requests become the target, limits keep their ratio or stay; the annotation says what was done.
    #[test]
    fn requests_become_the_target_and_limits_keep_their_ratio() {
        let none = "limit NOT set since originalLimit is nil or 0";
        for (requests, limits, target, requests_only, new_requests, new_limits, note) in [
            (
                "cpu=100m memory=100Mi",
                "",
                BOTH,
                false,
                "cpu=150m memory=262144k",
                "",
                "cpu request, memory request".to_owned(),
            ),
            (
                "cpu=100m memory=100Mi",
                "cpu=200m",
                BOTH,
                false,
                "cpu=150m memory=262144k",
                "cpu=300m",
                format!("memory: {none}, cpu request, memory request, cpu limit"),
            ),
            (
                "cpu=100m memory=100Mi",
                "memory=150Mi",
                BOTH,
                false,
                "cpu=150m memory=262144k",
                "memory=393216k",
                format!("cpu: {none}, cpu request, memory request, memory limit"),
            ),
            (
                "cpu=100m memory=100Mi",
                "cpu=100m memory=100Mi",
                BOTH,
                false,
                "cpu=150m memory=262144k",
                "cpu=150m memory=262144k",
                "cpu request, memory request, cpu limit, memory limit".to_owned(),
            ),
            (
                "cpu=100m",
                "cpu=120m",
                BOTH,
                true,
                "cpu=120m memory=262144k",
                "cpu=120m",
                "cpu capped to container limit, cpu request, memory request".to_owned(),
            ),
            (
                "cpu=100m",
                "cpu=500m",
                BOTH,
                true,
                "cpu=150m memory=262144k",
                "cpu=500m",
                "cpu request, memory request".to_owned(),
            ),
            ("", "", CPU_ONLY, false, "cpu=150m", "", "cpu request".to_owned()),
        ] {
            let (mut store, owner) = store_with(target, requests_only);
            let mut pod = testkit::pod("a", "app=web");
            pod.meta.owners = vec![owner].into();
            let mut raw = k8s::core::v1::PodSpec::clone(&pod.spec.raw);
            raw.containers[0].resources = Some(ResourceRequirements {
                requests: requirements(requests),
                limits: requirements(limits),
                ..Default::default()
            });
            pod.spec = Arc::new(lower::lower_pod_spec(raw).unwrap());
            let pod = store.create(pod).unwrap();
            let resources = pod.spec.raw.containers[0].resources.clone().unwrap_or_default();
            let found = (told(&resources.requests), told(&resources.limits));
            assert_eq!(found, (new_requests.to_owned(), new_limits.to_owned()), "{requests} | {limits}");
            let said = pod.meta.annotations.get(UPDATES).map(|v| v.to_string()).unwrap_or_default();
            assert_eq!(
                said,
                format!("Pod resources updated by web: container 0: {note}"),
                "{requests} | {limits}"
            );
        }
    }

    /// `§2.5`: labels alone do not make a Pod an autoscaler's: its target must stand behind it.
    #[test]
    fn only_pods_of_the_target_are_changed() {
        let (mut store, owner) = store_with(CPU_ONLY, false);
        let other = store.create(testkit::replica_set("other", 1)).unwrap();
        for (name, labels, owners, changed) in [
            ("a", "app=web", vec![owner.clone()], true),
            ("b", "app=other", vec![owner], false),
            ("c", "app=web", vec![], false),
            ("d", "app=web", vec![OwnerReference::controller_of(&*other)], false),
        ] {
            let mut pod = testkit::pod(name, labels);
            pod.meta.owners = owners.into();
            let pod = store.create(pod).unwrap();
            assert_eq!(pod.meta.annotations.contains_key(OBSERVED), changed, "{name}");
            assert_eq!(pod.spec.containers[0].requests.cpu_milli() == 150, changed, "{name}");
        }
    }

    /// `§2.5`: what a policy makes of a Pod is held against the namespace's LimitRange like any other Pod.
    #[test]
    fn what_the_webhook_writes_is_validated() {
        let (mut store, owner) = store_with(CPU_ONLY, false);
        store.admission_mut().resizers[0].policies[0].min = CPU_ONLY;
        let range = serde_json::json!({"metadata": {"name": "l", "namespace": "default"},
            "spec": {"limits": [{"type": "Container", "max": {"cpu": "120m"}}]}});
        let range = lower::from_json(crate::api::Kind::LimitRange, range).unwrap();
        store.create_object(range).unwrap();
        let mut pod = testkit::pod("a", "app=web");
        pod.meta.owners = vec![owner].into();
        let why = store.create(pod).unwrap_err().to_string();
        assert!(why.contains("maximum cpu usage per Container is 120m"), "{why}");
    }
}
