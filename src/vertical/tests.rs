//! Recommendations and evictions, worked out by hand from upstream's formulas.

use serde_json::{Value, json};

use super::*;
use crate::api::{Meta, OwnerReference, ResourceList};
use crate::base::Quantity;
use crate::testkit;
use object::{Amounts, Recommendation};
use updater::priority;

const MI: i64 = 1 << 20;

fn vpa(spec: Value) -> Vpa {
    let mut body =
        json!({"spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"}}});
    for (key, value) in spec.as_object().unwrap() {
        body["spec"][key] = value.clone();
    }
    Vpa::read(ObjectKey::new("default", "VerticalPodAutoscaler/web"), &object(body)).unwrap()
}

fn object(body: Value) -> Inert {
    Inert {
        meta: Meta::named("default", "web"),
        api_version: "autoscaling.k8s.io/v1".into(),
        kind: object::KIND.into(),
        namespaced: true,
        body: body.to_string().into(),
    }
}

/// What is known of a container that used so much, seen once a minute.
fn seen(milli: i64, bytes: i64, minutes: u64) -> Aggregate {
    let (mut aggregate, mut container) = (Aggregate::default(), Container::default());
    for minute in 0..=minutes {
        let at = SimTime::from_secs(60 * minute);
        aggregate.add_cpu(&mut container, milli, at);
        aggregate.add_memory(&mut container, bytes, at, false);
    }
    aggregate
}

fn one(vpa: &Vpa, aggregates: &[(&'static str, Aggregate)]) -> Vec<Recommendation> {
    let map = aggregates.iter().map(|(name, a)| ((*name).into(), a.clone())).collect();
    recommender::recommend(&VpaRecommender::default(), vpa, &map)
}

/// `§2.3` 1, 2 and 4: the bucket's upper edge, a margin of 15 %, at least 25m and 250 Mi per Pod.
#[test]
fn targets_are_percentiles_with_a_margin_and_a_minimum() {
    let any = vpa(json!({}));
    for (milli, mib, cpu, memory) in [
        // Nothing used: the minimum.
        (0, 0, 25, 250 * MI),
        // 100m lies in the bucket up to 110.27m: 110 + 16. 200 Mi in the one up to 215785635 bytes: with 15 % below the minimum.
        (100, 200, 126, 250 * MI),
        // 1 core: bucket 36, up to 1.016 cores: 1016 + 152.
        (1000, 1024, 1168, 1_266_247_563),
    ] {
        let found = one(&any, &[("main", seen(milli, mib * MI, 60))]);
        assert_eq!(found[0].target.cpu, Some(cpu), "{milli}m");
        let memory_found = found[0].target.memory.unwrap();
        assert!((memory_found - memory).abs() < memory / 20, "{mib} Mi: {memory_found}");
        assert_eq!(found[0].uncapped, found[0].target);
    }
    // Two containers share the minimum.
    let found = one(&any, &[("a", seen(0, 0, 5)), ("b", seen(0, 0, 5))]);
    assert_eq!(found.iter().map(|r| r.target.cpu.unwrap()).collect::<Vec<_>>(), [12, 12]);
    assert_eq!(found[0].target.memory, Some(125 * MI));
}

/// `§2.3`, the table of multipliers, and `§7` 18: only the bounds are widened.
#[test]
fn young_histories_have_wide_bounds() {
    let any = vpa(json!({}));
    for (minutes, upper, lower) in
        [(5, 289.0, 0.6028), (30, 49.0, 0.9103), (60, 25.0, 0.9537), (720, 3.0, 0.996), (1440, 2.0, 0.998)]
    {
        let found = &one(&any, &[("main", seen(1000, 0, minutes))])[0];
        let share = |amounts: Amounts| amounts.cpu.unwrap() as f64 / found.target.cpu.unwrap() as f64;
        assert!((share(found.upper) - upper).abs() < 0.01 * upper, "{minutes}: {}", share(found.upper));
        assert!((share(found.lower) - lower).abs() < 0.01, "{minutes}: {}", share(found.lower));
    }
}

/// `§2.3` 5: policies cap what is recommended, not the uncapped target.
#[test]
fn policies_bound_what_is_recommended() {
    for (policy, cpu, memory) in [
        (json!({"containerName": "*", "minAllowed": {"cpu": "200m"}}), Some(200), Some(250 * MI)),
        (
            json!({"containerName": "main", "maxAllowed": {"cpu": "0.1", "memory": "100Mi"}}),
            Some(100),
            Some(100 * MI),
        ),
        (json!({"containerName": "*", "controlledResources": ["memory"]}), None, Some(250 * MI)),
        (json!({"containerName": "other", "maxAllowed": {"cpu": "1m"}}), Some(126), Some(250 * MI)),
    ] {
        let with = vpa(json!({"resourcePolicy": {"containerPolicies": [policy]}}));
        let found = &one(&with, &[("main", seen(100, 0, 60))])[0];
        assert_eq!((found.target.cpu, found.target.memory), (cpu, memory), "{policy}");
        assert!(found.uncapped.cpu.is_none_or(|uncapped| uncapped == 126));
    }
    let off =
        vpa(json!({"resourcePolicy": {"containerPolicies": [{"containerName": "main", "mode": "Off"}]}}));
    assert!(one(&off, &[("main", seen(100, 0, 60))]).is_empty());
}

/// `§2.3`: a kill for memory counts as the larger of 1.2 times and 100 Mi more, of the request or the peak.
#[test]
fn a_kill_for_memory_raises_the_recommendation() {
    let flags = VpaRecommender::default();
    let any = vpa(json!({}));
    for (used, requested, needed) in
        [(100 * MI, 300 * MI, 400 * MI), (350 * MI, 300 * MI, 450 * MI), (100 * MI, 1000 * MI, 1200 * MI)]
    {
        let (mut aggregate, mut container) = (Aggregate::default(), Container::default());
        aggregate.add_cpu(&mut container, 100, SimTime::from_secs(60));
        aggregate.add_memory(&mut container, used, SimTime::from_secs(60), false);
        aggregate.add_oom(&flags, &mut container, requested, SimTime::from_secs(90));
        let found = one(&any, &[("main", aggregate)])[0].target.memory.unwrap();
        // The bucket is at most 5 % wide, and the margin is 15 %.
        let least = needed + needed * 15 / 100;
        assert!(found >= least && found <= least + least / 10, "{used} {requested}: {found}");
    }
}

/// `§2.2`: of the memory of a day only the peak counts.
#[test]
fn only_the_highest_memory_of_a_day_counts() {
    let (mut aggregate, mut container) = (Aggregate::default(), Container::default());
    aggregate.add_cpu(&mut container, 100, SimTime::from_secs(0));
    for (hour, mib) in [(0, 900), (1, 300), (2, 1000), (3, 200)] {
        aggregate.add_memory(&mut container, mib * MI, SimTime::from_secs(3600 * hour), false);
    }
    let any = vpa(json!({}));
    let first = one(&any, &[("main", aggregate.clone())])[0].target.memory.unwrap();
    assert!((1150 * MI..1270 * MI).contains(&first), "{first}");
    // Five days of 300 Mi: the old peak weighs next to nothing, but the ninth tenth still feels it for a while.
    for day in 1..=5 {
        aggregate.add_memory(&mut container, 300 * MI, SimTime::from_secs(86_400 * day + 60), false);
    }
    let later = one(&any, &[("main", aggregate)])[0].target.memory.unwrap();
    assert!(later < 400 * MI, "{later}");
}

fn pod(requests: &str, owner: Option<&OwnerReference>) -> Pod {
    let mut pod = testkit::pod("p", "app=web");
    let list: ResourceList = requests
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, amount)| (Str::from(name), Quantity::parse(amount).unwrap()))
        .collect();
    Arc::make_mut(&mut pod.spec).containers[0].requests = list;
    pod.meta.owners = owner.into_iter().cloned().collect();
    pod.status.phase = crate::api::Phase::Running;
    pod
}

fn wanted(target: (i64, i64), lower: (i64, i64), upper: (i64, i64)) -> Vec<Recommendation> {
    let amounts = |(cpu, mib): (i64, i64)| Amounts { cpu: Some(cpu), memory: Some(mib * MI) };
    let container = testkit::pod("p", "app=web").spec.containers[0].name.clone();
    vec![Recommendation {
        container,
        target: amounts(target),
        lower: amounts(lower),
        upper: amounts(upper),
        uncapped: amounts(target),
    }]
}

/// `§2.4`: the sum over resources of |request - recommendation| / request, and the bounds.
#[test]
fn pods_are_compared_with_their_recommendation() {
    let any = vpa(json!({}));
    let list = wanted((200, 400), (100, 200), (400, 800));
    for (requests, outside, grows, difference) in [
        ("cpu=200m memory=400Mi", false, false, 0.0),
        ("cpu=100m memory=400Mi", false, true, 1.0),
        ("cpu=99m memory=400Mi", true, true, 1.0202),
        ("cpu=400m memory=800Mi", false, false, 1.0),
        ("cpu=401m memory=400Mi", true, false, 0.5012),
        ("cpu=160m memory=320Mi", false, true, 0.5),
    ] {
        let found = priority(&pod(requests, None), &any, &list);
        assert_eq!((found.outside, found.grows), (outside, grows), "{requests}");
        assert!((found.difference - difference).abs() < 1e-3, "{requests}: {}", found.difference);
    }
    let found = priority(&pod("cpu=200m", None), &any, &list);
    assert!(found.outside && found.grows, "a request that is absent");
}

/// Pods evicted in one turn, of a ReplicaSet of this size, all of them with requests that are far too small.
fn evicted(replicas: i32, pods: usize, spec: Value, age_hours: u64, requests: &str) -> usize {
    let mut store = testkit::store();
    let set = store.create(testkit::replica_set("web", replicas)).unwrap();
    let owner = OwnerReference::controller_of(&*set);
    for index in 0..pods {
        let mut pod = pod(requests, Some(&owner));
        pod.meta.name = format!("p{index}").into();
        pod.status.start_time = Some(testkit::calendar().start);
        store.create(pod).unwrap();
    }
    store.advance(SimTime::from_secs(3600 * age_hours));
    let mut autoscaler = vpa(spec);
    autoscaler.recommendation = Some(wanted((200, 400), (100, 200), (400, 800)));
    let pods: Vec<Arc<Pod>> = store.list::<Pod>().cloned().collect();
    let mut count = 0;
    updater::update(&mut store, &VpaUpdater::default(), &autoscaler, &pods, |_, _| {
        count += 1;
        true
    });
    count
}

/// `§2.4`: half of a controller's Pods, at least two live ones, and twelve hours within the bounds.
#[test]
fn controllers_lose_no_more_pods_than_they_can_spare() {
    let small = "cpu=50m memory=400Mi";
    let none = || json!({});
    for (replicas, pods, spec, age, requests, expected) in [
        (1, 1, none(), 1, small, 0),
        (1, 1, json!({"updatePolicy": {"minReplicas": 1}}), 1, small, 1),
        (2, 2, none(), 1, small, 1),
        (3, 3, none(), 1, small, 1),
        (4, 4, none(), 1, small, 2),
        (10, 10, none(), 1, small, 5),
        // One is missing already.
        (4, 3, none(), 1, small, 1),
        (2, 2, json!({"updatePolicy": {"minReplicas": 3}}), 1, small, 0),
        // Within the bounds: nothing before twelve hours, and only if it is worth it.
        (2, 2, none(), 11, "cpu=160m memory=400Mi", 0),
        (2, 2, none(), 12, "cpu=160m memory=400Mi", 1),
        (2, 2, none(), 12, "cpu=190m memory=400Mi", 0),
        (2, 2, none(), 1, "cpu=200m memory=400Mi", 0),
    ] {
        assert_eq!(
            evicted(replicas, pods, spec.clone(), age, requests),
            expected,
            "{replicas} {spec} {requests}"
        );
    }
}

/// `§2.5`: which modes patch new Pods.
#[test]
fn modes_decide_what_new_pods_get() {
    for (mode, patched) in
        [("Off", false), ("Initial", true), ("Recreate", true), ("Auto", true), ("InPlaceOrRecreate", true)]
    {
        let mut store = testkit::store();
        store.create(testkit::replica_set("web", 2)).unwrap();
        let status = json!({"recommendation": {"containerRecommendations": [
            {"containerName": "main", "target": {"cpu": "150m", "memory": "262144k"}}]}});
        let spec =
            json!({"targetRef": {"kind": "ReplicaSet", "name": "web"}, "updatePolicy": {"updateMode": mode}});
        store.create(object(json!({"spec": spec, "status": status}))).unwrap();
        let mut vertical = Vertical::new(&Settings::default());
        for change in store.drain_changes() {
            vertical.on_change(&change);
        }
        assert_eq!(vertical.next(SimTime::ZERO), Some(SimTime::ZERO));
        vertical.run(&mut store, &crate::store::metrics::NoMetrics, |_, _| false);
        let pod = store.create(testkit::pod("p", "app=web")).unwrap();
        assert_eq!(pod.meta.annotations.contains_key("vpaUpdates"), patched, "{mode}");
        assert_eq!(vertical.next(SimTime::from_secs(1)), Some(SimTime::from_secs(60)), "a turn a minute");
    }
}

/// Nothing ticks without an autoscaler; with one that matches nothing its status says so.
#[test]
fn an_autoscaler_without_pods_says_so_and_none_costs_nothing() {
    let mut store = testkit::store();
    let mut vertical = Vertical::new(&Settings::default());
    assert_eq!(vertical.next(SimTime::ZERO), None);
    let spec = json!({"targetRef": {"kind": "Deployment", "name": "gone"}});
    store.create(object(json!({"spec": spec}))).unwrap();
    for change in store.drain_changes() {
        vertical.on_change(&change);
    }
    store.advance(SimTime::from_secs(60));
    vertical.run(&mut store, &crate::store::metrics::NoMetrics, |_, _| false);
    let body = store.list::<Inert>().next().unwrap().body.clone();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body["status"]["conditions"],
        json!([
            {"type": "NoPodsMatched", "status": "True", "reason": "NoPodsMatched",
             "message": "No pods match this VPA object", "lastTransitionTime": "2026-01-05T08:01:00Z"},
            {"type": "RecommendationProvided", "status": "False", "reason": "NoPodsMatched",
             "message": "No pods match this VPA object", "lastTransitionTime": "2026-01-05T08:01:00Z"},
        ])
    );
    let key = ObjectKey::new("default", Inert::table_name(object::KIND, "web"));
    store.delete::<Inert>(&key, &crate::store::DeleteOptions::default()).unwrap();
    for change in store.drain_changes() {
        vertical.on_change(&change);
    }
    vertical.run(&mut store, &crate::store::metrics::NoMetrics, |_, _| false);
    assert_eq!(vertical.next(SimTime::from_secs(61)), None);
}
