//! A mutating webhook: what the vertical autoscaler's admission controller makes of a Pod's resources.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/admission-controller/resource/pod/`, `pkg/utils/vpa/limit_and_request_scaling.go`,
//! 1.5.1.
//!
//! # Fidelity
//! The webhook always answers, at once. Limits that a LimitRange gives by default are in place before it, so that they
//! are scaled like any other; that a LimitRange's bounds may cap what is recommended is not simulated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Store;
use crate::api::resources::{CPU, MEMORY};
use crate::api::{LabelSelector, Pod, k8s, lower};
use crate::base::quantity::Format;
use crate::base::{Quantity, Str};
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
    /// Which Pods.
    pub selector: LabelSelector,
    /// By container.
    pub containers: BTreeMap<Str, Target>,
}

/// New resources of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Millicores; none: CPU is left alone.
    pub cpu: Option<i64>,
    /// Bytes; none: memory is left alone.
    pub memory: Option<i64>,
    /// Limits stay, and requests stay below them; else limits keep their ratio to requests.
    pub requests_only: bool,
}

/// Changes the resources of a Pod that is created, if an autoscaler is for it.
pub(super) fn mutate(store: &Store, pod: &mut Pod) {
    let meta = &pod.meta;
    let covers = |r: &&Resizer| r.namespace == meta.namespace && r.selector.matches(&meta.labels);
    let Some(resizer) = store.admission.resizers.iter().find(covers) else { return };
    let mut raw = k8s::core::v1::PodSpec::clone(&pod.spec.raw);
    let mut notes = Vec::new();
    for (index, container) in raw.containers.iter_mut().enumerate() {
        let Some(target) = resizer.containers.get(container.name.as_str()) else {
            notes.push(format!("container {index}: "));
            continue;
        };
        let changed = resize(container.resources.get_or_insert_default(), target);
        notes.push(format!("container {index}: {}", changed.join(", ")));
    }
    let names: Vec<&str> = raw.containers.iter().map(|c| c.name.as_str()).collect();
    let observed = names.join(", ");
    // What was valid stays valid: amounts are whole numbers above zero.
    let Ok(spec) = lower::lower_pod_spec(raw) else { return };
    pod.spec = Arc::new(spec);
    let note = format!("Pod resources updated by {}: {}", resizer.name, notes.join("; "));
    pod.meta.annotations = pod.meta.annotations.with(UPDATES, note).with(OBSERVED, observed);
}

fn resize(resources: &mut ResourceRequirements, target: &Target) -> Vec<String> {
    let mut changed = Vec::new();
    let mut limits = Vec::new();
    for (name, amount) in [(CPU, target.cpu), (MEMORY, target.memory)] {
        let Some(amount) = amount else { continue };
        let read = |list: &Option<BTreeMap<String, Boundary>>| {
            let written = list.as_ref()?.get(name)?;
            let quantity = Quantity::parse(&written.0).ok()?;
            Some(if name == CPU { quantity.milli_value() } else { quantity.value() })
        };
        let (request, limit) = (read(&resources.requests), read(&resources.limits));
        let request_to_be = match limit {
            Some(limit) if target.requests_only => amount.min(limit),
            _ => amount,
        };
        let write = |amount: i64| Boundary(quantity(name, amount).to_string());
        resources.requests.get_or_insert_default().insert(name.to_owned(), write(request_to_be));
        changed.push(format!("{name} request"));
        if let Some(limit) = limit.filter(|limit| *limit > 0 && !target.requests_only) {
            let scaled = match request {
                Some(request) if request > 0 && request != limit => {
                    let scaled = i128::from(limit) * i128::from(amount) / i128::from(request);
                    i64::try_from(scaled).unwrap_or(i64::MAX)
                }
                _ => amount,
            };
            resources.limits.get_or_insert_default().insert(name.to_owned(), write(scaled));
            limits.push(format!("{name} limit"));
        }
    }
    changed.extend(limits);
    changed
}

/// An amount as the vertical autoscaler writes it: millicores, or bytes with decimal suffixes.
pub fn quantity(name: &str, amount: i64) -> Quantity {
    if name == CPU {
        Quantity::from_milli(amount)
    } else {
        Quantity::from_bytes(amount).with_format(Format::DecimalSi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    /// `§2.5`: limits keep their ratio, by whole numbers; without a limit there is none.
    #[test]
    fn requests_become_the_target_and_limits_keep_their_ratio() {
        let both = Target { cpu: Some(150), memory: Some(262_144_000), requests_only: false };
        let only = Target { requests_only: true, ..both };
        for (requests, limits, target, new_requests, new_limits) in [
            ("cpu=100m memory=100Mi", "", both, "cpu=150m memory=262144k", ""),
            ("cpu=100m memory=100Mi", "cpu=200m", both, "cpu=150m memory=262144k", "cpu=300m"),
            ("cpu=100m memory=100Mi", "memory=150Mi", both, "cpu=150m memory=262144k", "memory=393216k"),
            ("cpu=100m", "cpu=100m", both, "cpu=150m memory=262144k", "cpu=150m"),
            ("", "cpu=1", both, "cpu=150m memory=262144k", "cpu=150m"),
            ("cpu=70m", "cpu=100m", both, "cpu=150m memory=262144k", "cpu=214m"),
            ("cpu=100m", "cpu=120m", only, "cpu=120m memory=262144k", "cpu=120m"),
            ("cpu=100m", "cpu=500m", only, "cpu=150m memory=262144k", "cpu=500m"),
            ("", "", Target { memory: None, ..both }, "cpu=150m", ""),
        ] {
            let mut resources = ResourceRequirements {
                requests: requirements(requests),
                limits: requirements(limits),
                ..Default::default()
            };
            resize(&mut resources, &target);
            let found = (told(&resources.requests), told(&resources.limits));
            assert_eq!(found, (new_requests.to_owned(), new_limits.to_owned()), "{requests} | {limits}");
        }
    }

    #[test]
    fn a_pod_that_is_created_is_changed_and_says_so() {
        let mut store = testkit::store();
        let target = Target { cpu: Some(150), memory: None, requests_only: false };
        store.admission_mut().resizers = vec![Resizer {
            name: "web".into(),
            namespace: "default".into(),
            selector: LabelSelector::parse("app=web").unwrap(),
            containers: [("main".into(), target)].into_iter().collect(),
        }];
        let pod = store.create(testkit::pod("a", "app=web")).unwrap();
        assert_eq!(pod.spec.containers[0].requests.cpu_milli(), 150);
        let note = pod.meta.annotations.get(UPDATES).map(|v| v.as_str());
        assert_eq!(note, Some("Pod resources updated by web: container 0: cpu request"));
        let other = store.create(testkit::pod("b", "app=other")).unwrap();
        assert!(other.meta.annotations.get(UPDATES).is_none());
    }
}
