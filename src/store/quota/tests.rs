use super::*;
use crate::api::Meta;
use crate::api::service::Service;
use crate::controller::resourcequota::ResourceQuotaController;
use crate::controller::testing::Harness;
use crate::testkit;
use std::sync::Arc;

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
