use super::*;
use crate::api::service::Service;
use crate::api::{Meta, lower};
use crate::base::Arc;
use crate::controller::resourcequota::ResourceQuotaController;
use crate::controller::testing::Harness;
use crate::testkit;
use serde_json::json;

fn list(text: &str) -> ResourceList {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, amount)| (Str::from(name), Quantity::parse(amount).unwrap()))
        .collect()
}

fn quota(name: &str, hard: &str) -> ResourceQuota {
    ResourceQuota { meta: Meta::named("default", name), hard: list(hard), ..ResourceQuota::default() }
}

/// A store with quotas that have been counted.
fn harness(quotas: Vec<ResourceQuota>) -> Harness {
    let mut h = Harness::new(vec![Box::new(ResourceQuotaController::new(5))]);
    for quota in quotas {
        h.store.create(quota).unwrap();
    }
    h.advance_secs(1);
    h
}

fn pod(name: &str, requests: &str, limits: &str) -> Pod {
    let mut pod = testkit::pod(name, "app=web");
    let spec = Arc::make_mut(&mut pod.spec);
    spec.containers[0].requests = list(requests);
    spec.containers[0].limits = list(limits);
    // The admitted spec is shared by fingerprint.
    spec.fingerprint = crate::api::fingerprint::of(&(name, requests, limits));
    pod
}

fn used(h: &Harness, name: &str) -> String {
    let quota = h.store.find::<ResourceQuota>("default", name).unwrap();
    let parts: Vec<String> = quota.used.0.iter().map(|(n, a)| format!("{n}={a}")).collect();
    parts.join(",")
}

fn refusal(h: &mut Harness, pod: Pod) -> String {
    h.store.create(pod).unwrap_err().to_string()
}

/// §9.1, §13.40.
#[test]
fn pods_are_charged_when_they_are_made_and_refused_when_it_is_too_much() {
    let mut h = harness(vec![quota("q", "pods=2,requests.cpu=1,limits.memory=2Gi")]);
    assert_eq!(used(&h, "q"), "limits.memory=0,pods=0,requests.cpu=0");
    h.store.create(pod("a", "cpu=600m", "memory=1Gi")).unwrap();
    assert_eq!(used(&h, "q"), "limits.memory=1Gi,pods=1,requests.cpu=600m");
    assert_eq!(
        refusal(&mut h, pod("b", "cpu=500m", "memory=3Gi")),
        "pods \"b\" is forbidden: exceeded quota: q, requested: limits.memory=3Gi,requests.cpu=500m, \
         used: limits.memory=1Gi,requests.cpu=600m, limited: limits.memory=2Gi,requests.cpu=1"
    );
    assert_eq!(used(&h, "q"), "limits.memory=1Gi,pods=1,requests.cpu=600m", "a refusal costs nothing");
    h.remove_pod(&ObjectKey::new("default", "a"));
    h.advance_secs(1);
    assert_eq!(used(&h, "q"), "limits.memory=0,pods=0,requests.cpu=0");
}

/// A Pod from its manifest.
fn from(name: &str, spec: serde_json::Value) -> Pod {
    let json = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    let Ok(Object::Pod(pod)) = lower::object(json) else { panic!("{name}") };
    Arc::unwrap_or_clone(pod)
}

/// §9.1: what a Pod uses: the larger of its init containers and the sum of the others, with sidecars and overhead;
/// under all names of a resource, extended ones as requests.
#[test]
fn a_pod_uses_what_it_effectively_requests() {
    let mut h = harness(vec![quota(
        "q",
        "pods=9,count/pods=9,cpu=9,requests.cpu=9,memory=9Gi,limits.memory=9Gi,requests.example.com/gpu=9,requests.ephemeral-storage=9Gi",
    )]);
    let with = |requests: serde_json::Value| json!({"requests": requests, "limits": {"memory": "1Gi", "example.com/gpu": 2}});
    let mut spec = json!({
        "overhead": {"cpu": "10m"},
        "initContainers": [
            {"name": "side", "image": "i", "restartPolicy": "Always", "resources": with(json!({"cpu": "100m", "memory": "100Mi"}))},
            {"name": "init", "image": "i", "resources": with(json!({"cpu": "900m", "memory": "50Mi"}))},
        ],
        "containers": [
            {"name": "a", "image": "i", "resources": with(json!({"cpu": "200m", "memory": "100Mi", "ephemeral-storage": "1Gi"}))},
            {"name": "b", "image": "i", "resources": with(json!({"cpu": "300m", "memory": "100Mi"}))},
        ],
    });
    h.store.create(from("a", spec.clone())).unwrap();
    assert_eq!(
        used(&h, "q"),
        "count/pods=1,cpu=1010m,limits.memory=3Gi,memory=300Mi,pods=1,requests.cpu=1010m,requests.ephemeral-storage=1Gi,requests.example.com/gpu=6"
    );
    // What has ended counts as an object only.
    h.store
        .update::<Pod>(&ObjectKey::new("default", "a"), |p| p.status.phase = crate::api::Phase::Failed)
        .unwrap();
    h.advance_secs(1);
    assert_eq!(
        used(&h, "q"),
        "count/pods=1,cpu=0,limits.memory=0,memory=0,pods=0,requests.cpu=0,requests.ephemeral-storage=0,requests.example.com/gpu=0"
    );
    // Resources of the Pod as a whole decide alone.
    spec["resources"] = json!({"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}});
    h.store.create(from("b", spec)).unwrap();
    assert!(
        used(&h, "q").starts_with("count/pods=2,cpu=2010m,limits.memory=2Gi,memory=1Gi,pods=1"),
        "{}",
        used(&h, "q")
    );
}

/// §9.1: every container must say it, init containers too, unless the Pod does as a whole.
#[test]
fn every_container_must_say_what_a_quota_counts() {
    let mut h = harness(vec![quota("q", "requests.cpu=9,limits.memory=9Gi")]);
    let mut spec = json!({
        "initContainers": [{"name": "init", "image": "i"}],
        "containers": [{"name": "b", "image": "i", "resources": {"requests": {"cpu": "1m"}}}, {"name": "a", "image": "i"}],
    });
    assert_eq!(
        refusal(&mut h, from("p", spec.clone())),
        "pods \"p\" is forbidden: failed quota: q: must specify limits.memory for: a,b,init; requests.cpu for: a,init"
    );
    spec["resources"] = json!({"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}});
    assert!(h.store.create(from("p", spec)).is_ok());
}

/// §9, §13.40: quotas are asked last: what a LimitRange fills in counts, and what another plugin refuses costs nothing.
#[test]
fn quotas_are_asked_last() {
    let mut h = harness(vec![quota("q", "requests.cpu=1,pods=5")]);
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "default"},
        "spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": "600m"}, "max": {"memory": "1Gi"}, "default": {"memory": "1Mi"}}]}});
    h.store.create_object(lower::object(range).unwrap()).unwrap();
    let plain = || json!({"containers": [{"name": "c", "image": "i"}]});
    h.store.create(from("a", plain())).unwrap();
    assert_eq!(used(&h, "q"), "pods=1,requests.cpu=600m");
    let mut greedy = plain();
    greedy["containers"][0]["resources"] = json!({"limits": {"memory": "2Gi"}});
    assert!(refusal(&mut h, from("b", greedy)).contains("maximum memory usage per Container"));
    let mut unknown = plain();
    unknown["priorityClassName"] = json!("nobody");
    assert!(refusal(&mut h, from("b", unknown)).contains("no PriorityClass"));
    assert_eq!(used(&h, "q"), "pods=1,requests.cpu=600m");
    assert!(refusal(&mut h, from("b", plain())).contains("exceeded quota: q, requested: requests.cpu=600m"));
}

/// §9.1: claims are charged, by class too, and so are changes: a resize, a deadline that brings another scope.
#[test]
fn claims_and_changes_are_charged() {
    let mut deadline = quota("deadline", "pods=5");
    deadline.scopes.push("Terminating".into());
    let mut h = harness(vec![
        quota(
            "q",
            "requests.cpu=1,persistentvolumeclaims=1,requests.storage=5Gi,fast.storageclass.storage.k8s.io/requests.storage=2Gi",
        ),
        deadline,
    ]);
    let claim = |name: &str, size: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
            "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}})
    };
    let mut create = |name: &str, size: &str| {
        h.store
            .create_object(lower::object(claim(name, size)).unwrap())
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert_eq!(
        create("big", "3Gi").unwrap_err(),
        "persistentvolumeclaims \"big\" is forbidden: exceeded quota: q, requested: fast.storageclass.storage.k8s.io/requests.storage=3Gi, \
         used: fast.storageclass.storage.k8s.io/requests.storage=0, limited: fast.storageclass.storage.k8s.io/requests.storage=2Gi"
    );
    assert_eq!(create("one", "1Gi"), Ok(()));
    assert!(
        create("two", "1Gi")
            .unwrap_err()
            .contains("requested: persistentvolumeclaims=1, used: persistentvolumeclaims=1")
    );
    let spec = |cpu: &str| json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]});
    h.store.create(from("p", spec("600m"))).unwrap();
    let resized = |h: &Harness, cpu: &str| {
        let mut json =
            crate::api::raise::to_json(&Object::Pod(h.store.find::<Pod>("default", "p").unwrap().clone()));
        json["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!(cpu);
        let Ok(Object::Pod(pod)) = lower::object(json) else { panic!() };
        Arc::unwrap_or_clone(pod)
    };
    let more = resized(&h, "1500m");
    let refused = h.store.resize_pod(more).unwrap_err().to_string();
    assert!(
        refused.contains("exceeded quota: q, requested: requests.cpu=900m, used: requests.cpu=600m"),
        "{refused}"
    );
    let more = resized(&h, "900m");
    h.store.resize_pod(more).unwrap();
    assert!(used(&h, "q").contains("requests.cpu=900m"));
    let key = ObjectKey::new("default", "p");
    h.store
        .update_spec::<Pod>(&key, |pod| {
            let spec = Arc::make_mut(&mut pod.spec);
            (spec.active_deadline_seconds, spec.fingerprint) = (Some(60), 99);
        })
        .unwrap();
    assert_eq!(used(&h, "deadline"), "pods=1");
}

/// §9.1.
#[test]
fn what_a_quota_counts_must_be_said() {
    let mut h = harness(vec![quota("q", "requests.cpu=1,limits.cpu=1,memory=1Gi")]);
    assert_eq!(
        refusal(&mut h, pod("a", "memory=1Mi", "")),
        "pods \"a\" is forbidden: failed quota: q: must specify limits.cpu for: main; requests.cpu for: main"
    );
}

/// §9.1.
#[test]
fn a_quota_that_has_not_been_counted_holds_nothing_or_everything() {
    let mut store = testkit::store();
    store.create(quota("q", "pods=1")).unwrap();
    assert!(store.create(testkit::pod("a", "app=web")).is_ok(), "its limits are not in force yet");
    let key = ObjectKey::new("default", "q");
    store.update::<ResourceQuota>(&key, |q| q.status_hard = q.hard.clone()).unwrap();
    assert_eq!(
        store.create(testkit::pod("b", "app=web")).unwrap_err().to_string(),
        "pods \"b\" is forbidden: status unknown for quota: q, resources: pods"
    );
}

/// §9.1.
#[test]
fn scopes_choose_pods() {
    let mut not_ended = quota("short", "pods=5");
    not_ended.scopes.push("Terminating".into());
    let mut important = quota("important", "pods=5");
    important.scope_selector.push(("PriorityClass".into(), "In".into(), vec!["system-node-critical".into()]));
    let mut h = harness(vec![not_ended, important, quota("all", "pods=5")]);
    let mut short = testkit::pod("a", "app=web");
    let spec = Arc::make_mut(&mut short.spec);
    (spec.active_deadline_seconds, spec.fingerprint) = (Some(60), 1);
    h.store.create(short).unwrap();
    let mut critical = testkit::pod("b", "app=web");
    let spec = Arc::make_mut(&mut critical.spec);
    (spec.priority_class_name, spec.fingerprint) = ("system-node-critical".into(), 2);
    h.store.create(critical).unwrap();
    assert_eq!(["short", "important", "all"].map(|q| used(&h, q)), ["pods=1", "pods=1", "pods=2"]);
}

/// §9.1: each scope.
#[test]
fn each_scope_has_its_pods() {
    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "zone", "namespaces": ["other"], "labelSelector": {}}]}});
    let requests = json!({"requests": {"cpu": "1m"}});
    let containers =
        |resources: serde_json::Value| json!([{"name": "c", "image": "i", "resources": resources}]);
    let pods = [
        ("plain", json!({"containers": containers(json!({}))})),
        ("burst", json!({"containers": containers(requests)})),
        ("short", json!({"containers": containers(json!({})), "activeDeadlineSeconds": 60})),
        ("vital", json!({"containers": containers(json!({})), "priorityClassName": "system-node-critical"})),
        ("far", json!({"containers": containers(json!({})), "affinity": affinity})),
    ];
    for (scope, expected) in [
        ("Terminating", &["short"][..]),
        ("NotTerminating", &["plain", "burst", "vital", "far"]),
        ("BestEffort", &["plain", "short", "vital", "far"]),
        ("NotBestEffort", &["burst"]),
        ("PriorityClass", &["vital"]),
        ("CrossNamespacePodAffinity", &["far"]),
    ] {
        let mut scoped = quota("q", "pods=9");
        scoped.scopes.push(scope.into());
        let mut h = harness(vec![scoped]);
        let mut counted = Vec::new();
        for (name, spec) in &pods {
            let before = used(&h, "q");
            h.store.create(from(name, spec.clone())).unwrap();
            if used(&h, "q") != before {
                counted.push(*name);
            }
        }
        assert_eq!(counted, expected, "{scope}");
    }
}

/// §9.1.
#[test]
fn services_and_other_kinds_are_counted_too() {
    let mut h =
        harness(vec![quota("q", "services=2,services.nodeports=2,count/deployments.apps=1,configmaps=1")]);
    h.store
        .create(Service { service_type: "NodePort".into(), cluster_ip: Str::new(), ..testkit::service("a") })
        .unwrap();
    h.store.create(testkit::deployment("web", 1)).unwrap();
    h.store.create(testkit::config_map("settings")).unwrap();
    assert_eq!(used(&h, "q"), "configmaps=1,count/deployments.apps=1,services=1,services.nodeports=1");
    assert_eq!(
        h.store.create(testkit::deployment("api", 1)).unwrap_err().to_string(),
        "deployments.apps \"api\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, \
         used: count/deployments.apps=1, limited: count/deployments.apps=1"
    );
    let key = ObjectKey::new("default", "a");
    h.store.update_spec::<Service>(&key, |s| s.service_type = "ClusterIP".into()).unwrap();
    h.advance_secs(1);
    assert_eq!(used(&h, "q"), "configmaps=1,count/deployments.apps=1,services=1,services.nodeports=0");
}

/// §9.1.
#[test]
fn a_pod_stuck_in_its_end_stops_counting_at_the_next_full_count() {
    let mut h = harness(vec![quota("q", "pods=5")]);
    let key = h.store.create(testkit::pod("a", "app=web")).unwrap().meta.key();
    h.bind(&key);
    h.set_ready(&key, true);
    h.store.delete::<Pod>(&key, &crate::store::DeleteOptions::default()).unwrap();
    h.advance_secs(290);
    assert_eq!(used(&h, "q"), "pods=1");
    h.advance_secs(20);
    assert_eq!(used(&h, "q"), "pods=0");
}
