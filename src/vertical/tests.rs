//! Recommendations and evictions, worked out by hand from upstream's formulas.

use serde_json::{Value, json};

use super::*;
use crate::api::{Meta, OwnerReference};
use crate::store::metrics::NoMetrics;
use crate::store::webhook::amounts::{Amounts, Recommendation};
use crate::store::webhook::capping::{Ranges, cap};
use crate::testkit;
use updater::{Priority, priority};

const MI: i64 = 1 << 20;

fn vpa_body(spec: Value) -> Value {
    let mut body =
        json!({"spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"}}});
    for (key, value) in spec.as_object().unwrap() {
        body["spec"][key] = value.clone();
    }
    body
}

fn vpa(spec: Value) -> Vpa {
    let key = ObjectKey::new("default", "VerticalPodAutoscaler/web");
    Vpa::read(key, &object(vpa_body(spec))).unwrap()
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

/// `§2.3` 1, 2 and 4, and `§7` 16: the bucket's upper edge, a margin of 15 %, at least 25m and 250 Mi per Pod.
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
    let pairs = requests.split_whitespace().filter_map(|pair| pair.split_once('='));
    let list: serde_json::Map<String, Value> =
        pairs.map(|(name, amount)| (name.to_owned(), amount.into())).collect();
    let mut raw = crate::api::k8s::core::v1::PodSpec::clone(&pod.spec.raw);
    raw.containers[0].resources = serde_json::from_value(json!({"requests": list})).unwrap();
    pod.spec = Arc::new(crate::api::lower::lower_pod_spec(raw).unwrap());
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

fn compared(pod: &Pod, list: &[Recommendation]) -> Priority {
    priority(pod, &cap(list, &[], &held(pod), &Ranges::default()))
}

/// `§2.4`: the sum over resources of |request - recommendation| / request, and the bounds.
#[test]
fn pods_are_compared_with_their_recommendation() {
    let list = wanted((200, 400), (100, 200), (400, 800));
    for (requests, outside, grows, difference) in [
        ("cpu=200m memory=400Mi", false, false, 0.0),
        ("cpu=100m memory=400Mi", false, true, 1.0),
        ("cpu=99m memory=400Mi", true, true, 1.0202),
        ("cpu=400m memory=800Mi", false, false, 1.0),
        ("cpu=401m memory=400Mi", true, false, 0.5012),
        ("cpu=160m memory=320Mi", false, true, 0.5),
    ] {
        let found = compared(&pod(requests, None), &list);
        assert_eq!((found.outside, found.grows), (outside, grows), "{requests}");
        assert!((found.difference - difference).abs() < 1e-3, "{requests}: {}", found.difference);
    }
    let found = compared(&pod("cpu=200m", None), &list);
    assert!(found.outside && found.grows, "a request that is absent");
    // Containers that the webhook has not seen do not count.
    let mut unseen = pod("cpu=100m", None);
    unseen.meta.annotations = unseen.meta.annotations.with("vpaObservedContainers", "other");
    assert_eq!(compared(&unseen, &list), Priority::default());
}

/// A ReplicaSet of this size and Pods of it, with requests and conditions (`type=reason`), on a node.
struct Crew {
    store: Store,
    vertical: Vertical,
}

impl Crew {
    fn new(replicas: i32, pods: usize, spec: Value, requests: &str) -> Self {
        let mut store = testkit::store();
        let set = store.create(testkit::replica_set("web", replicas)).unwrap();
        let owner = OwnerReference::controller_of(&*set);
        for index in 0..pods {
            let mut pod = pod(requests, Some(&owner));
            pod.meta.name = format!("p{index}").into();
            pod.node_name = Some("n".into());
            pod.status.start_time = Some(testkit::calendar().start);
            store.create(pod).unwrap();
        }
        let mut body = vpa_body(spec);
        body["status"] = json!({"recommendation": {"containerRecommendations": [{
            "containerName": "main", "target": {"cpu": "200m", "memory": "400Mi"},
            "lowerBound": {"cpu": "100m", "memory": "200Mi"}, "upperBound": {"cpu": "400m", "memory": "800Mi"}}]}});
        store.create(object(body)).unwrap();
        let mut crew = Self { store, vertical: Vertical::new(&Settings::default()) };
        crew.hear();
        crew
    }

    fn hear(&mut self) {
        for change in self.store.drain_changes() {
            self.vertical.on_change(&change);
        }
    }

    /// Gives a Pod a condition.
    fn set(&mut self, pod: &str, kind: &'static str, reason: &'static str) {
        let at = self.store.timestamp();
        let condition =
            crate::api::condition::Condition::new(kind, crate::api::ConditionStatus::True, reason, "", at);
        let key = ObjectKey::new("default", pod);
        self.store.update::<Pod>(&key, |pod| pod.status.conditions = vec![condition]).unwrap();
    }

    /// The turn at this minute: names of evicted Pods, and of those that were resized by now.
    fn turn(&mut self, minute: u64) -> (Vec<String>, Vec<String>) {
        self.store.advance(SimTime::from_secs(60 * minute));
        let asked = std::cell::RefCell::new(Vec::new());
        let evict = |_: &mut Store, pod: &ObjectKey| {
            asked.borrow_mut().push(pod.name.to_string());
            true
        };
        self.vertical.run(&mut self.store, &NoMetrics, evict);
        self.hear();
        let resized =
            self.store.list::<Pod>().filter(|pod| pod.meta.annotations.contains_key("vpaInPlaceUpdated"));
        let resized = resized.map(|pod| pod.meta.name.to_string()).collect();
        (asked.into_inner(), resized)
    }
}

/// Pods evicted in one turn, of a ReplicaSet of this size, all of them with these requests.
fn evicted(replicas: i32, pods: usize, spec: Value, age_hours: u64, requests: &str) -> usize {
    Crew::new(replicas, pods, spec, requests).turn(60 * age_hours).0.len()
}

/// `§2.4` and `§7` 17: half of a controller's Pods, at least two live ones, and twelve hours within the bounds.
#[test]
fn controllers_lose_no_more_pods_than_they_can_spare() {
    let small = "cpu=50m memory=400Mi";
    let none = || json!({});
    let requires = |resource: &str, change: &str| json!({"updatePolicy": {"evictionRequirements": [{"resources": [resource], "changeRequirement": change}]}});
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
        // What may change in which direction.
        (2, 2, requires("cpu", "TargetHigherThanRequests"), 1, small, 1),
        (2, 2, requires("cpu", "TargetLowerThanRequests"), 1, small, 0),
        (2, 2, requires("memory", "TargetHigherThanRequests"), 1, small, 0),
    ] {
        assert_eq!(
            evicted(replicas, pods, spec.clone(), age, requests),
            expected,
            "{replicas} {spec} {requests}"
        );
    }
}

/// `§2.5` and `§7` 14: which modes patch new Pods, and which touch old ones.
#[test]
fn modes_decide_what_new_pods_get() {
    for (mode, patched) in
        [("Off", false), ("Initial", true), ("Recreate", true), ("Auto", true), ("InPlaceOrRecreate", true)]
    {
        let mut store = testkit::store();
        let set = store.create(testkit::replica_set("web", 2)).unwrap();
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
        vertical.run(&mut store, &NoMetrics, |_, _| false);
        let mut pod = testkit::pod("p", "app=web");
        pod.meta.owners = vec![OwnerReference::controller_of(&*set)].into();
        let pod = store.create(pod).unwrap();
        assert_eq!(pod.meta.annotations.contains_key("vpaUpdates"), patched, "{mode}");
        let mut crew = Crew::new(2, 2, json!({"updatePolicy": {"updateMode": mode}}), "cpu=50m memory=400Mi");
        let (evicted, resized) = crew.turn(1);
        let acts = (["Recreate", "Auto"].contains(&mode), mode == "InPlaceOrRecreate");
        assert_eq!((!evicted.is_empty(), !resized.is_empty()), acts, "{mode}");
        assert_eq!(vertical.next(SimTime::from_secs(1)), Some(SimTime::from_secs(60)), "a turn a minute");
    }
}

/// `§2.3`, conditions: nothing ticks without an autoscaler; with one that matches nothing its status says so.
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
    vertical.run(&mut store, &NoMetrics, |_, _| false);
    let body = store.list::<Inert>().next().unwrap().body.clone();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body["status"]["conditions"],
        json!([
            {"type": "ConfigUnsupported", "status": "True", "lastTransitionTime": "2026-01-05T08:01:00Z",
             "message": "Cannot read targetRef. Reason: Deployment default/gone does not exist"},
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
    vertical.run(&mut store, &NoMetrics, |_, _| false);
    assert_eq!(vertical.next(SimTime::from_secs(61)), None);
}

/// `§2.4`, in place, and `§2.5`: resized as far as the controller can spare Pods, and evicted if the node cannot or takes too long.
#[test]
fn pods_are_resized_in_place_or_evicted() {
    let in_place = || json!({"updatePolicy": {"updateMode": "InPlaceOrRecreate"}});
    let small = "cpu=50m memory=400Mi";
    // Nobody is evicted; half of the Pods are resized, and the others in the next turn.
    let mut crew = Crew::new(4, 4, in_place(), small);
    assert_eq!(crew.turn(1), (vec![], vec!["p0".to_owned(), "p1".to_owned()]));
    let resized = crew.store.find::<Pod>("default", "p0").unwrap();
    assert_eq!(resized.spec.containers[0].requests.cpu_milli(), 200);
    assert_eq!(crew.turn(2).1.len(), 4);
    // What the kubelet makes of it (condition, reason), the minute, and whether the Pod is evicted then.
    for (kind, reason, minute, expected) in [
        ("PodResizePending", "Infeasible", 1, true),
        ("PodResizePending", "Deferred", 6, false),
        ("PodResizePending", "Deferred", 7, true),
        ("PodResizePending", "Unheard", 1, true),
        ("PodResizeInProgress", "", 61, false),
        ("PodResizeInProgress", "", 62, true),
        ("PodResizeInProgress", "Error", 1, true),
    ] {
        let mut crew = Crew::new(2, 2, in_place(), small);
        crew.set("p0", kind, reason);
        crew.set("p1", "PodResizeInProgress", "");
        let mut evicted = Vec::new();
        for now in 1..=minute {
            evicted = crew.turn(now).0;
        }
        assert_eq!(evicted.contains(&"p0".to_owned()), expected, "{kind} {reason} {minute}");
    }
    // A quality of service that would change is refused by the API server: that Pod is evicted at once.
    let mut crew = Crew::new(2, 2, in_place(), "");
    assert_eq!(crew.turn(1), (vec!["p0".to_owned()], vec![]));
    // Pods that wait for their containers are left alone, and single ones.
    let mut crew = Crew::new(2, 2, in_place(), small);
    let key = ObjectKey::new("default", "p0");
    crew.store.update::<Pod>(&key, |pod| pod.status.phase = crate::api::Phase::Pending).unwrap();
    assert_eq!(crew.turn(1), (vec![], vec![]));
    assert_eq!(Crew::new(1, 1, in_place(), small).turn(1), (vec![], vec![]));
}

/// `§2.4`: Pods that have no node yet are nobody's to evict, those that start always are.
#[test]
fn pending_pods_may_go_once_they_have_a_node() {
    let small = "cpu=50m memory=400Mi";
    let mut crew = Crew::new(4, 4, json!({}), small);
    for (index, has_node) in [(0, true), (1, true), (2, true), (3, false)] {
        let key = ObjectKey::new("default", format!("p{index}"));
        crew.store
            .update::<Pod>(&key, |pod| {
                pod.status.phase = crate::api::Phase::Pending;
                pod.node_name = pod.node_name.take().filter(|_| has_node);
            })
            .unwrap();
    }
    assert_eq!(crew.turn(1).0, ["p0", "p1", "p2"]);
}

/// `vpa/api.go` `Stronger`: of two autoscalers for the same Pods the older one has them.
#[test]
fn the_older_autoscaler_has_a_pod() {
    let mut crew = Crew::new(2, 2, json!({}), "cpu=50m memory=400Mi");
    crew.store.advance(SimTime::from_secs(10));
    let mut younger = object(vpa_body(json!({"updatePolicy": {"updateMode": "Recreate"}})));
    younger.meta.name = "a-younger-one".into();
    crew.store.create(younger).unwrap();
    assert_eq!(crew.turn(1).0.len(), 1);
    let set = crew.store.find::<crate::api::workload::ReplicaSet>("default", "web").unwrap().clone();
    let mut fresh = testkit::pod("fresh", "app=web");
    fresh.meta.owners = vec![OwnerReference::controller_of(&*set)].into();
    let fresh = crew.store.create(fresh).unwrap();
    let note = fresh.meta.annotations.get("vpaUpdates").map(|note| note.to_string()).unwrap_or_default();
    assert!(note.starts_with("Pod resources updated by web: "), "{note}");
}

/// `§2.3`: a Pod that is evicted for want of memory needs what it used, and more.
#[test]
fn an_eviction_for_want_of_memory_counts_as_a_kill() {
    let said = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. \
        Container main was using 900Mi, request is 500Mi, has larger consumption of memory. \
        Container side was using 30Mi, request is 0, has larger consumption of memory. ";
    assert_eq!(starved_of_memory(said), [("main".into(), 900 * MI), ("side".into(), 30 * MI)]);
    assert!(starved_of_memory(&said.replace("of memory", "of ephemeral-storage")).is_empty());
    let mut crew = Crew::new(2, 2, json!({"updatePolicy": {"updateMode": "Off"}}), "cpu=50m memory=400Mi");
    crew.store.advance(SimTime::from_secs(50));
    let evict = |pod: &mut Pod| {
        pod.status.phase = crate::api::Phase::Failed;
        pod.status.reason = "Evicted".into();
        pod.status.message = said.into();
    };
    crew.store.update::<Pod>(&ObjectKey::new("default", "p0"), evict).unwrap();
    crew.hear();
    crew.turn(1);
    let web = autoscalers(&crew.store).remove(0);
    let list = web.recommendation.unwrap();
    let memory = list.iter().find(|r| r.container == "main").unwrap().target.memory.unwrap();
    // 1.2 times 900 Mi, a bucket's width and 15 %.
    assert!((1242 * MI..1305 * MI).contains(&memory), "{}", memory / MI);
}

/// `§2.1`: what is known is written every turn, without the peak of the present day, and deleted with its autoscaler.
#[test]
fn what_is_known_is_kept_in_checkpoints() {
    let mut crew = Crew::new(2, 2, json!({"updatePolicy": {"updateMode": "Off"}}), "cpu=50m memory=400Mi");
    let key = ObjectKey::new("default", Inert::table_name(object::KIND, "web"));
    let mut aggregate = seen(1000, 300 * MI, 60);
    aggregate.add_cpu(&mut Container::default(), 100, SimTime::from_secs(60));
    crew.vertical.aggregates.insert(key.clone(), [("main".into(), aggregate.clone())].into_iter().collect());
    crew.turn(60);
    let checkpoint = |crew: &Crew| {
        let key = ObjectKey::new("default", Inert::table_name(object::CHECKPOINT_KIND, "web-main"));
        crew.store.get::<Inert>(&key).map(|object| serde_json::from_str::<Value>(&object.body).unwrap())
    };
    let body = checkpoint(&crew).unwrap();
    assert_eq!(body["spec"], json!({"containerName": "main", "vpaObjectName": "web"}));
    let status = &body["status"];
    assert_eq!((status["version"].as_str(), status["totalSamplesCount"].as_u64()), (Some("v3"), Some(62)));
    assert_eq!(status["lastUpdateTime"], "2026-01-05T09:00:00Z");
    // One core lies in bucket 36, 61 times over an hour; 100m in bucket 8, once in the first minute:
    // 10000 / 61 * 2^(-29 / 1440), half an hour older than the mean of the others.
    assert_eq!(status["cpuHistogram"]["bucketWeights"], json!({"36": 10_000, "8": 162}));
    // Read again, it says the same.
    let mut again = Aggregate::default();
    let start = crew.store.calendar().start.secs();
    again.load(status, |text| Timestamp::parse_rfc3339(text).map(|at| (at.secs() - start) as f64));
    let any = vpa(json!({}));
    let (before, after) = (one(&any, &[("main", aggregate)]), one(&any, &[("main", again)]));
    assert_eq!((&before[0].target, &before[0].upper), (&after[0].target, &after[0].upper));
    // Every ten minutes checkpoints without an autoscaler go.
    crew.store.delete::<Inert>(&key, &crate::store::DeleteOptions::default()).unwrap();
    crew.hear();
    assert_eq!(crew.vertical.next(crew.store.now()), Some(crew.store.now()));
    crew.turn(61);
    assert!(checkpoint(&crew).is_some());
    crew.turn(71);
    assert!(checkpoint(&crew).is_none());
    assert_eq!(crew.vertical.next(crew.store.now() + SimDuration::from_secs(1)), None);
}

/// `§2.1`: after eight days without a sample nothing is known any more; that is looked at every hour.
#[test]
fn what_was_seen_long_ago_is_forgotten() {
    for (days, expected) in [(8, true), (9, false)] {
        let mut crew =
            Crew::new(2, 2, json!({"updatePolicy": {"updateMode": "Off"}}), "cpu=50m memory=400Mi");
        let key = ObjectKey::new("default", Inert::table_name(object::KIND, "web"));
        let known = [("main".into(), seen(1000, 300 * MI, 60))].into_iter().collect();
        crew.vertical.aggregates.insert(key.clone(), known);
        crew.turn(60 * 24 * days);
        assert_eq!(crew.vertical.aggregates[&key].contains_key("main"), expected, "{days}");
    }
}

/// `§2.1` and `§2.4`: every flag that is simulated.
#[test]
fn constants_are_upstreams() {
    let flags = VpaRecommender::default();
    assert_eq!(flags.recommender_interval, SimDuration::from_mins(1));
    for (found, expected) in [
        (flags.target_cpu_percentile, 0.9),
        (flags.recommendation_lower_bound_cpu_percentile, 0.5),
        (flags.recommendation_upper_bound_cpu_percentile, 0.95),
        (flags.target_memory_percentile, 0.9),
        (flags.recommendation_lower_bound_memory_percentile, 0.5),
        (flags.recommendation_upper_bound_memory_percentile, 0.95),
        (flags.recommendation_margin_fraction, 0.15),
        (flags.pod_recommendation_min_cpu_millicores, 25.0),
        (flags.pod_recommendation_min_memory_mb, 250.0),
        (flags.oom_bump_up_ratio, 1.2),
        (flags.oom_min_bump_up_bytes, 104_857_600.0),
        (VpaUpdater::default().eviction_tolerance, 0.5),
        (VpaUpdater::default().pod_update_threshold, 0.1),
    ] {
        assert_eq!(found, expected);
    }
    assert_eq!(flags.confidence_interval_cpu, SimDuration::from_mins(24 * 60));
    assert_eq!(flags.confidence_interval_memory, SimDuration::from_mins(24 * 60));
    assert_eq!((flags.round_cpu_millicores, flags.round_memory_bytes), (1, 1));
    let flags = VpaUpdater::default();
    assert_eq!(flags.min_replicas, 2);
    assert_eq!(flags.in_recommendation_bounds_eviction_lifetime_threshold, SimDuration::from_mins(12 * 60));
    assert_eq!(flags.evict_after_oom_threshold, SimDuration::from_mins(10));
}

/// `§2.2`, weights, and `§7` 15: a sample of CPU weighs 0.1, a peak of memory 1, whatever was requested and used.
#[test]
fn every_sample_of_cpu_weighs_the_same() {
    let (mut aggregate, mut container) = (Aggregate::default(), Container::default());
    for (second, milli) in [(0, 5), (1, 4000), (2, 100), (3, 100)] {
        aggregate.add_cpu(&mut container, milli, SimTime::from_secs(second));
    }
    aggregate.add_memory(&mut container, 300 * MI, SimTime::ZERO, false);
    let saved = aggregate.save(|_| String::new());
    let total = |name: &str| saved[name]["totalWeight"].as_f64().unwrap();
    assert!((total("cpuHistogram") - 0.4).abs() < 1e-4, "{saved}");
    // The peak is dated at the end of its day, and so weighs two of the day before.
    assert!((total("memoryHistogram") - 2.0).abs() < 1e-4, "{saved}");
    assert_eq!(saved["totalSamplesCount"], 4);
}

/// `§2.4`, quick kills: a container that was killed for its memory within ten minutes of its start does not wait for twelve
/// hours, unless nothing would change.
#[test]
fn a_container_that_was_killed_soon_does_not_wait() {
    for (reason, minutes, requests, expected) in [
        ("OOMKilled", 9, "cpu=160m memory=400Mi", 1),
        ("OOMKilled", 10, "cpu=160m memory=400Mi", 0),
        ("Error", 9, "cpu=160m memory=400Mi", 0),
        ("OOMKilled", 9, "cpu=200m memory=400Mi", 0),
    ] {
        let mut crew = Crew::new(2, 2, json!({}), requests);
        let ended = json!({"terminated": {"exitCode": 137, "reason": reason,
            "startedAt": "2026-01-05T08:00:00Z", "finishedAt": format!("2026-01-05T08:{minutes:02}:00Z")}});
        let status = json!({"containerStatuses": [{"name": "main", "image": "app:1", "imageID": "", "ready": true,
            "restartCount": 1, "lastState": ended, "state": {"running": {"startedAt": "2026-01-05T08:11:00Z"}}}]});
        let pod = json!({"metadata": {"name": "p0"}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}, "status": status});
        let lowered = crate::api::lower::from_json(crate::api::Kind::Pod, pod).unwrap();
        let crate::api::Object::Pod(model) = lowered else { unreachable!() };
        let key = ObjectKey::new("default", "p0");
        crew.store
            .update::<Pod>(&key, |pod| pod.status.containers.clone_from(&model.status.containers))
            .unwrap();
        assert_eq!(crew.turn(60).0.len(), expected, "{reason} after {minutes} min, {requests}");
    }
}

/// `§2.4`, Events: what is said of the Pod and of its autoscaler, of evictions only.
#[test]
fn evictions_are_told_twice_and_resizes_not_at_all() {
    let said = |mode: &str| -> Vec<String> {
        let mut crew = Crew::new(2, 2, json!({"updatePolicy": {"updateMode": mode}}), "cpu=50m memory=400Mi");
        crew.turn(1);
        let events = crew.store.events();
        events
            .map(|e| format!("{} {} {}: {}", e.regarding.kind, e.regarding.name, e.reason, e.message))
            .collect()
    };
    assert_eq!(
        said("Recreate"),
        [
            "Pod p0 EvictedByVPA: Pod was evicted by VPA Updater to apply resource recommendation.",
            "VerticalPodAutoscaler web EvictedPod: VPA Updater evicted Pod p0 to apply resource recommendation.",
        ]
    );
    assert!(said("InPlaceOrRecreate").is_empty());
}

/// `§2.3`, conditions: what is said of targets that are not there, not known, or not the topmost.
#[test]
fn targets_that_cannot_be_used_are_told() {
    let mut store = testkit::store();
    let deployment = store.create(testkit::deployment("web", 1)).unwrap();
    let mut owned = testkit::replica_set("owned", 1);
    owned.meta.owners = vec![OwnerReference::controller_of(&*deployment)].into();
    store.create(owned).unwrap();
    store.create(testkit::replica_set("free", 1)).unwrap();
    for (target, expected) in [
        (json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}), None),
        (json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "free"}), None),
        (
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "owned"}),
            Some(
                "The target apps/v1.ReplicaSet/owned has a parent controller but it should point to a topmost well-known or scalable controller",
            ),
        ),
        (
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "gone"}),
            Some("Cannot read targetRef. Reason: CronJob default/gone does not exist"),
        ),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "name": "p"}),
            Some(
                "Cannot read targetRef. Reason: unhandled targetRef v1 / Pod / p, last error the server could not find the requested resource",
            ),
        ),
        (
            json!({"apiVersion": "x.io/v1", "kind": "Odd", "name": "o"}),
            Some(
                "Cannot read targetRef. Reason: unhandled targetRef x.io/v1 / Odd / o, last error no matches for kind \"Odd\" in group \"x.io\"",
            ),
        ),
        (
            json!({}),
            Some(
                "Cannot read targetRef. Reason: targetRef not defined. If this is a v1beta1 object, switch to v1",
            ),
        ),
    ] {
        let found = target::selector_of(&store, &vpa(json!({"targetRef": target})));
        assert_eq!(found.err().as_deref(), expected, "{target}");
    }
}

/// `§2.1`, rounding and the confidence interval: amounts go up to the next multiple; shorter intervals make bounds narrow sooner.
#[test]
fn amounts_are_rounded_up_and_bounds_narrow_by_flags() {
    let flags = VpaRecommender {
        round_cpu_millicores: 50,
        round_memory_bytes: 1_000_000_000,
        confidence_interval_cpu: SimDuration::from_mins(60),
        ..VpaRecommender::default()
    };
    let map = [("main".into(), seen(100, 0, 60))].into_iter().collect();
    let found = &recommender::recommend(&flags, &vpa(json!({})), &map)[0];
    // 126m and 250 Mi; after an hour of one-hour intervals the upper bound of CPU is twice the target.
    assert_eq!((found.target.cpu, found.target.memory), (Some(150), Some(1_000_000_000)));
    assert_eq!(found.uncapped, found.target);
    assert_eq!(found.upper.cpu, Some(300), "252m");
}
