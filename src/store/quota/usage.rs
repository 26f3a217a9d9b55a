//! What one object uses of a quota.
//!
//! Upstream: `pkg/quota/v1/evaluator/core/{pods,services,persistent_volume_claims,registry}.go`, v1.34.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::service::Service;
use crate::api::storage::{PersistentVolumeClaim, annotation};
use crate::api::{Container, Kind, Object, Pod, PodSpec, ResourceList, resources};
use crate::base::{Quantity, Str};
use crate::store::Store;

const ONE: Quantity = Quantity::from_units(1);
/// Compute resources that a quota counts, and under which other names.
const COMPUTE: [&str; 3] = [resources::CPU, resources::MEMORY, resources::EPHEMERAL_STORAGE];
/// What separates the name of a storage class from the resource.
const CLASS_SUFFIX: &str = ".storageclass.storage.k8s.io/";
/// Kinds that quotas count under their plural alone, beside `count/`.
const COUNTED: [&str; 4] = ["configmaps", "secrets", "replicationcontrollers", "resourcequotas"];

/// What an object uses now.
pub(super) fn of(object: &Object, store: &Store) -> ResourceList {
    let mut used: BTreeMap<Str, Quantity> = BTreeMap::new();
    let (plural, counted) = names(object);
    used.insert(counted, ONE);
    match object {
        Object::Pod(pod) if is_over(pod, store) => {}
        Object::Pod(pod) => compute(&requests(pod), &limits(pod), &mut used),
        Object::Service(service) => add_service(service, &mut used),
        Object::PersistentVolumeClaim(claim) => add_claim(claim, &mut used),
        _ if COUNTED.contains(&plural.as_str()) => {
            used.insert(plural, ONE);
        }
        _ => {}
    }
    ResourceList(used.into())
}

/// The plural of an object's kind, and the resource that counts objects of the kind.
fn names(object: &Object) -> (Str, Str) {
    let info = object.kind().info();
    let plural = match object {
        Object::Inert(inert) => format!("{}s", inert.kind.to_ascii_lowercase()),
        _ => info.plural.to_owned(),
    };
    let api_version = object.api_version();
    let counted = match api_version.split_once('/') {
        Some((group, _)) => format!("count/{plural}.{group}"),
        None => format!("count/{plural}"),
    };
    (plural.into(), counted.into())
}

/// Whether a Pod does not count any more: it has ended, or should have been gone for so long as its grace.
pub fn is_over(pod: &Pod, store: &Store) -> bool {
    // The timestamp contains the grace already; upstream adds it once more.
    let overdue = pod.meta.deletion.is_some_and(|d| {
        let end = d.timestamp.plus_secs(d.grace_seconds.unwrap_or(0));
        d.grace_seconds.is_some() && store.calendar().instant(end) < store.now()
    });
    pod.is_terminal() || overdue
}

/// Whether objects like this one use a resource.
pub fn counts(kind: Kind, object: &Object, resource: &str) -> bool {
    let (plural, counted) = names(object);
    resource == counted
        || match kind {
            Kind::Pod => is_of_pods(resource) && !resource.starts_with("count/"),
            Kind::Service => is_of_services(resource),
            Kind::PersistentVolumeClaim => is_of_claims(resource),
            _ => resource == plural && COUNTED.contains(&plural.as_str()),
        }
}

/// Whether objects of a kind may use a resource, as far as the kind tells.
pub(super) fn may_count(kind: Kind, resource: &str) -> bool {
    let info = kind.info();
    match kind {
        Kind::Inert => resource.starts_with("count/") || COUNTED.contains(&resource),
        Kind::Service => is_of_services(resource) || resource == "count/services",
        Kind::PersistentVolumeClaim => is_of_claims(resource) || resource == "count/persistentvolumeclaims",
        _ => {
            resource == info.plural
                || resource
                    .strip_prefix("count/")
                    .is_some_and(|counted| counted.split('.').next() == Some(info.plural))
        }
    }
}

/// Whether Pods use a resource.
pub(super) fn is_of_pods(resource: &str) -> bool {
    let bare = resource.strip_prefix("requests.").unwrap_or(resource);
    let native = |name: &str| COMPUTE.contains(&name);
    resource == resources::PODS
        || resource == "count/pods"
        || native(bare)
        || resource.strip_prefix("limits.").is_some_and(native)
        || bare.starts_with("hugepages-")
        // Of extended resources only requests are counted.
        || resource.starts_with("requests.") && bare.contains('/') && !bare.contains("kubernetes.io/")
}

fn is_of_services(resource: &str) -> bool {
    matches!(resource, "services" | "services.nodeports" | "services.loadbalancers")
}

fn is_of_claims(resource: &str) -> bool {
    let bare = resource.split_once(CLASS_SUFFIX).map_or(resource, |(_, bare)| bare);
    matches!(bare, "persistentvolumeclaims" | "requests.storage")
}

/// The names under which requests and limits count.
fn compute(requests: &ResourceList, limits: &ResourceList, used: &mut BTreeMap<Str, Quantity>) {
    used.insert(resources::PODS.into(), ONE);
    for (name, amount) in &requests.0 {
        if COMPUTE.contains(&name.as_str()) || name.starts_with("hugepages-") {
            used.insert(name.clone(), *amount);
            used.insert(format!("requests.{name}").into(), *amount);
        } else if name.contains('/') && !name.contains("kubernetes.io/") {
            used.insert(format!("requests.{name}").into(), *amount);
        }
    }
    for (name, amount) in limits.0.iter().filter(|(name, _)| COMPUTE.contains(&name.as_str())) {
        used.insert(format!("limits.{name}").into(), *amount);
    }
}

/// What a Pod requests, with its overhead.
///
/// Upstream: `PodRequests` in `component-helpers/resource/helpers.go`.
fn requests(pod: &Pod) -> ResourceList {
    let mut sum = sum_of(&pod.spec, |c| &c.requests, pod.spec.pod_requests.as_ref());
    sum.add(&pod.spec.overhead);
    sum
}

/// What a Pod may use; overhead counts where there is a limit.
fn limits(pod: &Pod) -> ResourceList {
    let mut sum = sum_of(&pod.spec, |c| &c.limits, pod.spec.pod_limits.as_ref());
    for (name, amount) in &pod.spec.overhead.0 {
        if let Some(have) = sum.get(name) {
            sum.0.insert(name.clone(), have.plus(*amount));
        }
    }
    sum
}

/// The sum over containers and sidecars, or the largest init container with the sidecars before it; what the Pod as
/// a whole says wins.
pub(in crate::store) fn sum_of(
    spec: &PodSpec,
    part: impl Fn(&Container) -> &ResourceList,
    pod_level: Option<&ResourceList>,
) -> ResourceList {
    let mut sum = ResourceList::default();
    spec.containers.iter().for_each(|c| sum.add(part(c)));
    let (mut sidecars, mut largest) = (ResourceList::default(), ResourceList::default());
    for container in &spec.init_containers {
        let mut at_once = part(container).clone();
        if container.sidecar {
            sum.add(&at_once);
            sidecars.add(&at_once);
            at_once = sidecars.clone();
        } else {
            at_once.add(&sidecars);
        }
        largest.raise_to(&at_once);
    }
    sum.raise_to(&largest);
    for (name, amount) in pod_level.into_iter().flat_map(|level| &level.0) {
        sum.0.insert(name.clone(), *amount);
    }
    sum
}

/// What a Pod must say because a quota counts it: `limits.cpu for: a,b; requests.cpu for: a`.
pub(super) fn missing(pod: &Pod, restricted: &[&Str]) -> Option<String> {
    if pod.spec.pod_requests.is_some() || pod.spec.pod_limits.is_some() {
        return None;
    }
    let must = |resource: &str| {
        let bare = resource
            .strip_prefix("requests.")
            .or_else(|| resource.strip_prefix("limits."))
            .unwrap_or(resource);
        matches!(bare, resources::CPU | resources::MEMORY)
    };
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for resource in restricted.iter().filter(|resource| must(resource)) {
        for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
            let said = match resource.strip_prefix("limits.") {
                Some(bare) => container.limits.get(bare),
                None => container.requests.get(resource.strip_prefix("requests.").unwrap_or(resource)),
            };
            if said.is_none() {
                missing.entry(resource.as_str()).or_default().insert(&container.name);
            }
        }
    }
    let texts: Vec<String> = missing
        .iter()
        .map(|(resource, names)| {
            format!("{resource} for: {}", names.iter().copied().collect::<Vec<_>>().join(","))
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn add_service(service: &Service, used: &mut BTreeMap<Str, Quantity>) {
    let count = |n: usize| Quantity::from_units(i64::try_from(n).unwrap_or(i64::MAX));
    let balanced = service.service_type == "LoadBalancer";
    let wants = service.rest.as_ref().and_then(|r| r.value.allocate_load_balancer_node_ports).unwrap_or(true);
    let ports = match service.service_type.as_str() {
        "NodePort" => service.ports.len(),
        "LoadBalancer" if wants => service.ports.len(),
        "LoadBalancer" => service.ports.iter().filter(|p| p.node_port != 0).count(),
        _ => 0,
    };
    used.insert("services".into(), ONE);
    used.insert("services.loadbalancers".into(), count(usize::from(balanced)));
    used.insert("services.nodeports".into(), count(ports));
}

fn add_claim(claim: &PersistentVolumeClaim, used: &mut BTreeMap<Str, Quantity>) {
    let class = claim.meta.annotations.get(annotation::CLASS_BETA).or(claim.spec.storage_class.as_ref());
    let storage = claim.spec.requests.get(resources::STORAGE);
    let mut add = |resource: &str, amount: Quantity| {
        used.insert(resource.into(), amount);
        if let Some(class) = class.filter(|class| !class.is_empty()) {
            used.insert(format!("{class}{CLASS_SUFFIX}{resource}").into(), amount);
        }
    };
    add("persistentvolumeclaims", ONE);
    if let Some(amount) = storage {
        add("requests.storage", amount);
    }
}
