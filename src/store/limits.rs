//! LimitRanges: what Pods get that say nothing, and what they may not ask for.
//!
//! Upstream: `plugin/pkg/admission/limitranger/admission.go`, v1.34.
//!
//! # Fidelity
//! Upstream reports several mistakes of one Pod in the order of a hash map; here by resource.

use std::collections::BTreeMap;

use super::Store;
use super::quota::usage::sum_of;
use crate::api::policy::LimitRange;
use crate::api::storage::PersistentVolumeClaim;
use crate::api::{Pod, PodSpec, ResourceList, defaults, fingerprint, k8s, lower};
use crate::base::{Arc, Quantity, Str};
use k8s::core::v1::{Container, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Boundary;

/// Says what was added to a Pod.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// What the ranges of a namespace make of a spec.
#[derive(Clone, Debug)]
pub(super) struct Limited {
    spec: Arc<PodSpec>,
    /// The annotation, if anything was added.
    note: Option<Str>,
    /// Why the Pod is refused, if it is.
    refusal: Option<Str>,
}

/// Applies the ranges of its namespace to a Pod that is created. Returns why it will be refused: it asks for too
/// little, too much, or says too little.
pub(super) fn admit_pod(store: &mut Store, pod: &mut Pod) -> Option<Str> {
    let ranges: Vec<_> = store.list_in::<LimitRange>(&pod.meta.namespace).cloned().collect();
    if ranges.is_empty() {
        return None;
    }
    let marks: Vec<u64> = ranges.iter().map(|range| range.spec.fingerprint).collect();
    let key = (pod.spec.fingerprint, fingerprint::of(&marks));
    let limited = match store.admission.limited.get(&key) {
        Some(limited) => limited.clone(),
        None => {
            let limited = limit(&ranges, &pod.spec);
            store.admission.limited.insert(key, limited.clone());
            limited
        }
    };
    if let Some(note) = limited.note {
        pod.meta.annotations = pod.meta.annotations.with(ANNOTATION, note);
        pod.spec = limited.spec;
    }
    limited.refusal
}

/// Why a Pod that a webhook has changed is refused, if it is.
pub(super) fn check_pod_again(store: &Store, pod: &Pod) -> Option<Str> {
    let mut ranges = store.list_in::<LimitRange>(&pod.meta.namespace);
    ranges.find_map(|range| aggregate(check_pod(&range.spec.value.limits, &pod.spec)))
}

fn limit(ranges: &[Arc<LimitRange>], spec: &Arc<PodSpec>) -> Limited {
    let mut raw = k8s::core::v1::PodSpec::clone(&spec.raw);
    defaults::default_requests(&mut raw);
    let mut added = Vec::new();
    for range in ranges {
        // The annotation speaks of the last range that added something.
        added = fill(&range.spec.value.limits, &mut raw).unwrap_or(added);
    }
    let (spec, note) = if added.is_empty() {
        (spec.clone(), None)
    } else {
        let note = format!("LimitRanger plugin set: {}", added.join("; "));
        match lower::lower_pod_spec(raw) {
            Ok(spec) => (Arc::new(spec), Some(note.into())),
            Err(_) => (spec.clone(), None),
        }
    };
    let refusal = ranges.iter().find_map(|range| aggregate(check_pod(&range.spec.value.limits, &spec)));
    Limited { spec, note, refusal }
}

/// Fills in defaults, and says for which containers; none if nothing was missing.
fn fill(items: &[LimitRangeItem], spec: &mut k8s::core::v1::PodSpec) -> Option<Vec<String>> {
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    for item in items.iter().filter(|item| item.type_ == "Container") {
        requests.extend(item.default_request.clone().into_iter().flatten());
        limits.extend(item.default.clone().into_iter().flatten());
    }
    let mut added = Vec::new();
    let groups =
        [("container", Some(&mut spec.containers)), ("init container", spec.init_containers.as_mut())];
    for (word, containers) in groups {
        for container in containers.into_iter().flatten() {
            fill_container(container, word, &requests, &limits, &mut added);
        }
    }
    (!added.is_empty()).then_some(added)
}

fn fill_container(
    container: &mut Container,
    word: &str,
    requests: &BTreeMap<String, Boundary>,
    limits: &BTreeMap<String, Boundary>,
    added: &mut Vec<String>,
) {
    let resources = container.resources.get_or_insert_default();
    let mut merge =
        |have: &mut Option<BTreeMap<String, Boundary>>, wanted: &BTreeMap<String, Boundary>, what| {
            let mut names = Vec::new();
            for (name, amount) in wanted {
                if !have.as_ref().is_some_and(|have| have.contains_key(name)) {
                    have.get_or_insert_default().insert(name.clone(), amount.clone());
                    names.push(name.as_str());
                }
            }
            if !names.is_empty() {
                added.push(format!("{} {what} for {word} {}", names.join(", "), container.name));
            }
        };
    merge(&mut resources.requests, requests, "request");
    merge(&mut resources.limits, limits, "limit");
}

fn aggregate(errors: Vec<String>) -> Option<Str> {
    match errors.as_slice() {
        [] => None,
        [one] => Some(one.as_str().into()),
        many => Some(format!("[{}]", many.join(", ")).into()),
    }
}

fn check_pod(items: &[LimitRangeItem], spec: &PodSpec) -> Vec<String> {
    let mut errors = Vec::new();
    for item in items {
        match item.type_.as_str() {
            "Container" => {
                for container in spec.containers.iter().chain(&spec.init_containers) {
                    check(item, &container.requests, &container.limits, &mut errors);
                }
            }
            "Pod" => {
                let requests = sum_of(spec, |c| &c.requests, spec.pod_requests.as_ref());
                let limits = sum_of(spec, |c| &c.limits, spec.pod_limits.as_ref());
                check(item, &requests, &limits, &mut errors);
            }
            _ => {}
        }
    }
    errors
}

/// The amounts of a boundary list; what cannot be read was refused with the LimitRange.
fn amounts(list: Option<&BTreeMap<String, Boundary>>) -> Vec<(&str, Quantity)> {
    list.into_iter()
        .flatten()
        .filter_map(|(name, amount)| Some((name.as_str(), Quantity::parse(&amount.0).ok()?)))
        .collect()
}

fn check(item: &LimitRangeItem, requests: &ResourceList, limits: &ResourceList, errors: &mut Vec<String>) {
    let kind = &item.type_;
    for (name, min) in amounts(item.min.as_ref()) {
        let head = format!("minimum {name} usage per {kind} is {min}");
        errors.extend(match (requests.get(name), limits.get(name)) {
            (None, _) => Some(format!("{head}.  No request is specified")),
            (Some(request), _) if request < min => Some(format!("{head}, but request is {request}")),
            (_, Some(limit)) if limit < min => Some(format!("{head}, but limit is {limit}")),
            _ => None,
        });
    }
    for (name, max) in amounts(item.max.as_ref()) {
        let head = format!("maximum {name} usage per {kind} is {max}");
        errors.extend(match (requests.get(name), limits.get(name)) {
            (_, None) => Some(format!("{head}.  No limit is specified")),
            (_, Some(limit)) if limit > max => Some(format!("{head}, but limit is {limit}")),
            (Some(request), _) if request > max => Some(format!("{head}, but request is {request}")),
            _ => None,
        });
    }
    for (name, ratio) in amounts(item.max_limit_request_ratio.as_ref()) {
        errors.extend(check_ratio(kind, name, ratio, requests.get(name), limits.get(name)));
    }
}

fn check_ratio(
    kind: &str,
    name: &str,
    ratio: Quantity,
    request: Option<Quantity>,
    limit: Option<Quantity>,
) -> Option<String> {
    let head = format!("{name} max limit to request ratio per {kind} is {ratio}");
    let Some(request) = request.filter(|amount| !amount.is_zero()) else {
        return Some(format!("{head}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|amount| !amount.is_zero()) else {
        return Some(format!("{head}, but no limit is specified or limit is 0"));
    };
    // upstream: float64
    let observed = limit.milli_value() as f64 / request.milli_value() as f64;
    (observed * 1000.0 > ratio.milli_value() as f64)
        .then(|| format!("{head}, but provided ratio is {observed:.6}"))
}

/// Why a claim is refused by the ranges of its namespace: it asks for too little or too much storage.
pub(super) fn check_claim(store: &Store, claim: &PersistentVolumeClaim) -> Option<Str> {
    for range in store.list_in::<LimitRange>(&claim.meta.namespace) {
        let mut errors = Vec::new();
        for item in range.spec.value.limits.iter().filter(|item| item.type_ == "PersistentVolumeClaim") {
            let requests = &claim.spec.requests;
            check(
                &LimitRangeItem { max: None, ..item.clone() },
                requests,
                &ResourceList::default(),
                &mut errors,
            );
            for (name, max) in amounts(item.max.as_ref()) {
                let head = format!("maximum {name} usage per PersistentVolumeClaim is {max}");
                errors.extend(match requests.get(name) {
                    None => Some(format!("{head}.  No request is specified")),
                    Some(request) if request > max => Some(format!("{head}, but request is {request}")),
                    Some(_) => None,
                });
            }
        }
        if let Some(why) = aggregate(errors) {
            return Some(why);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Object, Resource};
    use crate::testkit;
    use serde_json::{Value, json};

    fn store(limits: Value) -> Store {
        let mut store = testkit::store();
        let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "default"},
            "spec": {"limits": limits}});
        store.create_object(lower::object(range).unwrap()).unwrap();
        store
    }

    fn create(store: &mut Store, kind: &str, spec: Value) -> Result<Object, String> {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "default"}, "spec": spec});
        store.create_object(lower::object(object).unwrap()).map_err(|error| error.to_string())
    }

    fn pod(store: &mut Store, resources: Value) -> Result<Arc<Pod>, String> {
        let spec = json!({"containers": [{"name": "main", "image": "app:v1", "resources": resources}]});
        create(store, "Pod", spec).map(|object| Pod::unwrap(&object).unwrap().clone())
    }

    /// §9.2.
    #[test]
    fn what_is_not_said_is_filled_in_and_noted() {
        let mut store = store(
            json!([{"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m", "memory": "64Mi"}}]),
        );
        let made = pod(&mut store, json!({})).unwrap();
        let main = &made.spec.containers[0];
        assert_eq!(
            (main.requests.cpu_milli(), main.requests.memory(), main.limits.cpu_milli()),
            (100, 64 << 20, 500)
        );
        assert_eq!(
            made.meta.annotations.get(ANNOTATION).unwrap(),
            "LimitRanger plugin set: cpu, memory request for container main; cpu limit for container main"
        );
        store.delete::<Pod>(&made.key(), &crate::store::DeleteOptions::force()).unwrap();
        let made = pod(&mut store, json!({"limits": {"cpu": "2"}})).unwrap();
        let main = &made.spec.containers[0];
        assert_eq!(
            (main.requests.cpu_milli(), main.limits.cpu_milli()),
            (2000, 2000),
            "requests come from limits first"
        );
    }

    /// §9.2.
    #[test]
    fn too_little_and_too_much_is_refused() {
        let limits = json!([{"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1", "memory": "1Gi"}, "default": {"memory": "1Mi", "cpu": "200m"},
            "maxLimitRequestRatio": {"cpu": "2"}}]);
        for (resources, expected) in [
            (
                json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}}),
                "minimum cpu usage per Container is 100m, but request is 50m",
            ),
            (
                json!({"limits": {"cpu": "2", "memory": "2Gi"}}),
                "[maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Container is 1Gi, but limit is 2Gi]",
            ),
            (
                json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "500m"}}),
                "cpu max limit to request ratio per Container is 2, but provided ratio is 5.000000",
            ),
        ] {
            let refused = pod(&mut store(limits.clone()), resources).unwrap_err();
            assert_eq!(refused, format!("pods \"x\" is forbidden: {expected}"));
        }
    }

    /// §9.2: several ranges all apply, the first to fill something in decides it; Pods that exist are left alone.
    #[test]
    fn several_ranges_all_apply_to_new_pods() {
        let mut store = store(json!([{"type": "Container", "defaultRequest": {"cpu": "100m"}}]));
        let first = pod(&mut store, json!({})).unwrap();
        for (name, limits) in [
            ("m", json!([{"type": "Container", "defaultRequest": {"cpu": "200m", "memory": "1Mi"}}])),
            ("n", json!([{"type": "Container", "min": {"cpu": "150m"}}])),
        ] {
            let range = json!({"apiVersion": "v1", "kind": "LimitRange",
                "metadata": {"name": name, "namespace": "default"}, "spec": {"limits": limits}});
            store.create_object(lower::object(range).unwrap()).unwrap();
        }
        let kept = store.get::<Pod>(&first.key()).unwrap();
        assert_eq!(kept.spec.containers[0].requests.cpu_milli(), 100);
        store.delete::<Pod>(&first.key(), &crate::store::DeleteOptions::force()).unwrap();
        assert_eq!(
            pod(&mut store, json!({})).unwrap_err(),
            "pods \"x\" is forbidden: minimum cpu usage per Container is 150m, but request is 100m"
        );
        let made = pod(&mut store, json!({"requests": {"cpu": "150m"}})).unwrap();
        assert_eq!(made.spec.containers[0].requests.memory(), 1 << 20);
    }

    /// §9.2: what is not given, given as a limit only, and the ratio, in upstream's words.
    #[test]
    fn each_bound_has_its_words() {
        let two = json!({"cpu": "2"});
        for (item, resources, expected) in [
            (
                json!({"min": {"cpu": "1"}, "type": "Pod"}),
                json!({}),
                "minimum cpu usage per Pod is 1.  No request is specified",
            ),
            (
                json!({"max": {"cpu": "1"}}),
                json!({"limits": two}),
                "maximum cpu usage per Container is 1, but limit is 2",
            ),
            (
                json!({"maxLimitRequestRatio": {"cpu": "3"}}),
                json!({"requests": {"cpu": "300m"}, "limits": {"cpu": "1"}}),
                "cpu max limit to request ratio per Container is 3, but provided ratio is 3.333333",
            ),
            (
                json!({"maxLimitRequestRatio": {"cpu": "3"}}),
                json!({}),
                "cpu max limit to request ratio per Container is 3, but no request is specified or request is 0",
            ),
        ] {
            let mut item = item;
            if item.get("type").is_none() {
                item["type"] = json!("Container");
            }
            let refused = pod(&mut store(json!([item])), resources).unwrap_err();
            assert_eq!(refused, format!("pods \"x\" is forbidden: {expected}"));
        }
        // Init containers are containers, too.
        let mut store = store(json!([{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"}}]));
        let init = json!([{"name": "init", "image": "i", "resources": {"limits": two}}]);
        let spec = json!({"initContainers": init, "containers": [{"name": "main", "image": "i"}]});
        assert!(
            create(&mut store, "Pod", spec).unwrap_err().contains("maximum cpu usage per Container is 1")
        );
    }

    /// §9.2.
    #[test]
    fn pods_and_claims_have_ranges_of_their_own() {
        let mut pods = store(json!([{"type": "Pod", "max": {"cpu": "1"}}]));
        assert_eq!(
            pod(&mut pods, json!({})).unwrap_err(),
            "pods \"x\" is forbidden: maximum cpu usage per Pod is 1.  No limit is specified"
        );
        let mut claims = store(
            json!([{"type": "PersistentVolumeClaim", "min": {"storage": "2Gi"}, "max": {"storage": "5Gi"}}]),
        );
        let claim = |size: &str| json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
        for (size, tail) in [
            ("1Gi", "minimum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Gi"),
            ("9Gi", "maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 9Gi"),
        ] {
            let refused = create(&mut claims, "PersistentVolumeClaim", claim(size)).unwrap_err();
            assert_eq!(refused, format!("persistentvolumeclaims \"x\" is forbidden: {tail}"));
        }
        assert!(create(&mut claims, "PersistentVolumeClaim", claim("3Gi")).is_ok());
    }
}
