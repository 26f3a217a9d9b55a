use super::*;
use crate::api::workload::{DaemonSetStatus, IntOrPercent};
use crate::api::{
    LabelSelector, Phase, PodTemplate, Requirement, Taint, TaintEffect,
    selector::{NodeSelector, NodeSelectorTerm, Operator},
};
use crate::base::{Arc, Str};
use crate::controller::history::UndoError;
use crate::controller::testing::{FakeKubelet, Harness};
use crate::store::DeleteOptions;
use crate::testkit;

fn set() -> DaemonSet {
    DaemonSet {
        meta: Meta::named("default", "agent"),
        selector: LabelSelector::from_labels(&testkit::labels("app=agent")),
        match_labels: testkit::labels("app=agent"),
        template: image("agent:v1"),
        on_delete: false,
        max_unavailable: IntOrPercent::Int(1),
        max_surge: IntOrPercent::Int(0),
        min_ready_seconds: 0,
        revision_history_limit: 10,
        status: DaemonSetStatus::default(),
    }
}

fn image(image: &str) -> Arc<PodTemplate> {
    testkit::image_template("app=agent", image)
}

fn node(name: &str) -> Node {
    let mut node = Node { meta: Meta::named("", name), ..Node::default() };
    node.status.conditions.push(crate::api::Condition::new(
        "Ready",
        crate::api::ConditionStatus::True,
        "",
        "",
        testkit::calendar().start,
    ));
    node
}

fn taint(key: &str, effect: TaintEffect) -> Taint {
    Taint { key: key.into(), value: Str::new(), effect, time_added: None }
}

/// A DaemonSet over nodes `n1`, `n2` …; deleted Pods are gone after a second.
fn harness(set: DaemonSet, nodes: usize) -> Harness {
    let mut h = Harness::new(vec![DaemonSetController::boxed()]);
    h.kubelet = FakeKubelet { ready_after: None, removed_after: Some(SimDuration::from_secs(1)) };
    for i in 1..=nodes {
        h.store.create(node(&format!("n{i}"))).unwrap();
    }
    h.store.create(set).unwrap();
    h
}

fn key() -> ObjectKey {
    ObjectKey::new("default", "agent")
}

fn get(h: &Harness) -> Arc<DaemonSet> {
    h.store.get::<DaemonSet>(&key()).unwrap().clone()
}

fn change(h: &mut Harness, change: impl FnOnce(&mut DaemonSet)) {
    h.store.update_spec::<DaemonSet>(&key(), change).unwrap();
}

fn change_node(h: &mut Harness, name: &str, change: impl FnOnce(&mut Node)) {
    h.store.update::<Node>(&ObjectKey::cluster(name), change).unwrap();
}

/// Binds Pods to their nodes and makes them ready.
fn start_pods(h: &mut Harness) {
    let pods: Vec<_> = h.store.list::<Pod>().filter(|p| p.is_active() && !p.is_ready()).cloned().collect();
    for pod in pods {
        let node = pods::target_node(&pod).cloned();
        h.store.update::<Pod>(&pod.key(), |p| p.node_name = node).unwrap();
        h.set_ready(&pod.key(), true);
    }
    h.advance_millis(50);
}

/// Lets seconds pass; Pods start at the end of each.
fn run(h: &mut Harness, seconds: usize) {
    for _ in 0..seconds {
        h.advance_secs(1);
        start_pods(h);
    }
}

/// `node:image` of all Pods, those being deleted marked, by node.
fn pods_of(h: &Harness) -> Vec<String> {
    let mut all: Vec<_> = h
        .store
        .list::<Pod>()
        .map(|p| {
            let mark = if p.meta.is_deleting() { "!" } else { "" };
            let image = p.spec.containers[0].image.trim_start_matches("agent:").to_owned();
            format!("{}:{image}{mark}", pods::target_node(p).unwrap())
        })
        .collect();
    all.sort();
    all
}

fn pod_on(h: &Harness, node: &str) -> Arc<Pod> {
    h.store.list::<Pod>().find(|p| pods::target_node(p).is_some_and(|n| n == node)).unwrap().clone()
}

/// Facts §4.1: placement, names, status.
#[test]
fn every_fitting_node_gets_a_pod_tied_to_it() {
    let mut h = harness(set(), 2);
    change_node(&mut h, "n2", |n| n.taints.push(taint("dedicated", TaintEffect::NoSchedule)));
    h.store.create(node("n3")).unwrap();
    h.advance_secs(1);
    assert_eq!(pods_of(&h), ["n1:v1", "n3:v1"]);
    let pod = pod_on(&h, "n3");
    assert!(pod.node_name.is_none(), "the scheduler binds it");
    let raw = pod.spec.raw.affinity.clone().and_then(|a| a.node_affinity).unwrap();
    let terms = raw.required_during_scheduling_ignored_during_execution.unwrap().node_selector_terms;
    assert_eq!(terms[0].match_fields.as_ref().unwrap()[0].values, Some(vec!["n3".to_owned()]));
    assert_ne!(pod.spec, pod_on(&h, "n1").spec);
    assert!(pod.meta.name.starts_with("agent-") && pod.meta.labels.contains_key("controller-revision-hash"));
    let status = get(&h).status.clone();
    assert_eq!((status.desired_number_scheduled, status.current_number_scheduled), (2, 2));
    assert_eq!((status.updated_number_scheduled, status.number_ready, status.number_unavailable), (2, 0, 2));
    start_pods(&mut h);
    let status = get(&h).status.clone();
    assert_eq!((status.number_ready, status.number_available, status.number_unavailable), (2, 2, 0));
    assert_eq!(h.events_of("SuccessfulCreate").len(), 2);
}

/// Facts §4.1: tolerations; §13.22.
#[test]
fn daemons_tolerate_what_befalls_nodes() {
    let spec = |host_network| crate::api::PodSpec { host_network, ..testkit::pod_spec("a") };
    let listed = |host_network| -> Vec<String> {
        placement::tolerations(&spec(host_network))
            .iter()
            .map(|t| format!("{}:{}:{}", t.key, t.exists, t.effect.unwrap().as_str()))
            .collect()
    };
    assert_eq!(
        listed(false),
        [
            "node.kubernetes.io/not-ready:true:NoExecute",
            "node.kubernetes.io/unreachable:true:NoExecute",
            "node.kubernetes.io/disk-pressure:true:NoSchedule",
            "node.kubernetes.io/memory-pressure:true:NoSchedule",
            "node.kubernetes.io/pid-pressure:true:NoSchedule",
            "node.kubernetes.io/unschedulable:true:NoSchedule",
        ]
    );
    assert_eq!(listed(true).last().unwrap(), "node.kubernetes.io/network-unavailable:true:NoSchedule");
    let mut limited = spec(false);
    limited.tolerations.push(crate::api::Toleration {
        key: "node.kubernetes.io/not-ready".into(),
        exists: true,
        value: Str::new(),
        effect: Some(TaintEffect::NoExecute),
        seconds: Some(5),
    });
    let merged = placement::tolerations(&limited);
    assert_eq!((merged.len(), merged[0].seconds), (6, None), "for ever, in the old one's place");
}

/// Facts §4.1: `NodeShouldRunDaemonPod`.
#[test]
fn taints_and_affinity_decide_who_runs_and_who_stays() {
    let verdict = |change: &dyn Fn(&mut Node, &mut crate::api::PodSpec)| {
        let mut node = node("n1");
        let mut spec = testkit::pod_spec("a");
        change(&mut node, &mut spec);
        let template = PodTemplate { spec: Arc::new(spec), ..(*image("a")).clone() };
        let verdict = Placement::of(&DaemonSet { template: Arc::new(template), ..set() }).verdict(&node);
        (verdict.run, verdict.keep)
    };
    assert_eq!(verdict(&|_, _| {}), (true, true));
    assert_eq!(verdict(&|n, _| n.taints.push(taint("x", TaintEffect::NoSchedule))), (false, true));
    assert_eq!(verdict(&|n, _| n.taints.push(taint("x", TaintEffect::NoExecute))), (false, false));
    assert_eq!(verdict(&|n, _| n.taints.push(taint("x", TaintEffect::PreferNoSchedule))), (true, true));
    let unschedulable = "node.kubernetes.io/unschedulable";
    assert_eq!(verdict(&|n, _| n.taints.push(taint(unschedulable, TaintEffect::NoSchedule))), (true, true));
    let not_ready = "node.kubernetes.io/not-ready";
    assert_eq!(verdict(&|n, _| n.taints.push(taint(not_ready, TaintEffect::NoSchedule))), (false, true));
    assert_eq!(verdict(&|_, s| s.node_selector = testkit::labels("disk=ssd")), (false, false));
    assert_eq!(
        verdict(&|n, s| {
            n.meta.labels = testkit::labels("disk=ssd");
            s.node_selector = testkit::labels("disk=ssd");
        }),
        (true, true)
    );
    let requirement = Requirement { key: "gpu".into(), operator: Operator::Exists, values: vec![] };
    let selector =
        NodeSelector { terms: vec![NodeSelectorTerm { expressions: vec![requirement], fields: vec![] }] };
    assert_eq!(verdict(&|_, s| s.affinity.node_required = Some(selector.clone())), (false, false));
}

#[test]
fn a_node_that_comes_or_loses_its_taint_gets_a_pod() {
    let mut h = harness(set(), 1);
    run(&mut h, 1);
    let mut late = node("n2");
    late.taints.push(taint("x", TaintEffect::NoSchedule));
    h.store.create(late).unwrap();
    h.advance_secs(1);
    assert_eq!(pods_of(&h), ["n1:v1"]);
    change_node(&mut h, "n2", |n| n.taints.clear());
    h.advance_millis(100);
    assert_eq!(pods_of(&h), ["n1:v1", "n2:v1"]);
}

/// Facts §4.1: run and keep.
#[test]
fn a_taint_moves_running_pods_only_if_it_says_so() {
    let mut h = harness(set(), 2);
    run(&mut h, 1);
    change_node(&mut h, "n1", |n| n.taints.push(taint("x", TaintEffect::NoSchedule)));
    change_node(&mut h, "n2", |n| n.taints.push(taint("x", TaintEffect::NoExecute)));
    h.advance_millis(100);
    assert_eq!(pods_of(&h), ["n1:v1", "n2:v1!"]);
    h.advance_secs(2);
    assert_eq!(pods_of(&h), ["n1:v1"]);
    let status = get(&h).status.clone();
    assert_eq!((status.desired_number_scheduled, status.number_misscheduled), (0, 1));
}

#[test]
fn a_node_that_is_gone_changes_nothing_until_its_pod_goes() {
    let mut h = harness(set(), 2);
    run(&mut h, 2);
    h.store.delete::<Node>(&ObjectKey::cluster("n2"), &DeleteOptions::default()).unwrap();
    h.advance_secs(10);
    assert_eq!(get(&h).status.desired_number_scheduled, 2);
    h.remove_pod(&pod_on(&h, "n2").key());
    h.advance_secs(1);
    assert_eq!(get(&h).status.desired_number_scheduled, 1);
    assert_eq!(pods_of(&h), ["n1:v1"]);
}

/// Facts §4.1: Pods for nodes that no longer exist.
#[test]
fn an_unbound_pod_of_a_node_that_is_gone_is_deleted() {
    let mut h = harness(set(), 2);
    h.advance_secs(1);
    h.store.delete::<Node>(&ObjectKey::cluster("n2"), &DeleteOptions::default()).unwrap();
    start_on(&mut h, "n1");
    h.advance_secs(2);
    assert_eq!(pods_of(&h), ["n1:v1"]);
}

fn start_on(h: &mut Harness, node: &str) {
    let pod = pod_on(h, node);
    h.store.update::<Pod>(&pod.key(), |p| p.node_name = Some(node.into())).unwrap();
    h.set_ready(&pod.key(), true);
}

/// Facts §4.1: rolling update without surge.
#[test]
fn an_update_replaces_one_node_after_the_other() {
    let mut h = harness(set(), 3);
    run(&mut h, 1);
    change(&mut h, |s| s.template = image("agent:v2"));
    h.advance_millis(200);
    assert_eq!(pods_of(&h), ["n1:v1!", "n2:v1", "n3:v1"]);
    h.advance_secs(1);
    assert_eq!(pods_of(&h), ["n1:v2", "n2:v1", "n3:v1"]);
    h.advance_secs(20);
    assert_eq!(pods_of(&h), ["n1:v2", "n2:v1", "n3:v1"], "it waits until the new Pod is available");
    let (text, over) = rollout::status(&get(&h)).unwrap();
    assert_eq!(
        (text.as_str(), over),
        (
            "Waiting for daemon set \"agent\" rollout to finish: 1 out of 3 new pods have been updated...",
            false
        )
    );
    run(&mut h, 8);
    assert_eq!(pods_of(&h), ["n1:v2", "n2:v2", "n3:v2"]);
    assert_eq!(
        rollout::status(&get(&h)),
        Ok(("daemon set \"agent\" successfully rolled out".to_owned(), true))
    );
}

/// Facts §4.1, §13.22.
#[test]
fn max_unavailable_rounds_up_and_unavailable_old_pods_go_first() {
    let mut h = harness(DaemonSet { max_unavailable: IntOrPercent::Percent(30), ..set() }, 4);
    run(&mut h, 1);
    change(&mut h, |s| s.template = image("agent:v2"));
    h.advance_millis(200);
    assert_eq!(pods_of(&h), ["n1:v1!", "n2:v1!", "n3:v1", "n4:v1"]);
    let mut h = harness(set(), 3);
    run(&mut h, 1);
    for node in ["n2", "n3"] {
        let key = pod_on(&h, node).key();
        h.set_ready(&key, false);
    }
    h.advance_millis(100);
    change(&mut h, |s| s.template = image("agent:v2"));
    h.advance_millis(200);
    assert_eq!(pods_of(&h), ["n1:v1", "n2:v1!", "n3:v1!"], "beyond the limit, as they are down anyway");
}

/// Facts §4.1: both 0 is one unavailable.
#[test]
fn an_impossible_strategy_counts_as_one_unavailable() {
    let mut h = harness(DaemonSet { max_unavailable: IntOrPercent::Int(0), ..set() }, 2);
    run(&mut h, 1);
    change(&mut h, |s| s.template = image("agent:v2"));
    h.advance_millis(200);
    assert_eq!(pods_of(&h), ["n1:v1!", "n2:v1"]);
}

/// Facts §4.1: `maxSurge`.
#[test]
fn a_surge_puts_the_new_pod_beside_the_old_one() {
    let surging =
        DaemonSet { max_unavailable: IntOrPercent::Int(0), max_surge: IntOrPercent::Int(1), ..set() };
    let mut h = harness(surging, 2);
    run(&mut h, 1);
    change(&mut h, |s| s.template = image("agent:v2"));
    h.advance_millis(200);
    assert_eq!(pods_of(&h), ["n1:v1", "n1:v2", "n2:v1"]);
    start_pods(&mut h);
    h.advance_millis(200);
    assert_eq!(pods_of(&h), ["n1:v1!", "n1:v2", "n2:v1", "n2:v2"]);
    run(&mut h, 3);
    assert_eq!(pods_of(&h), ["n1:v2", "n2:v2"]);
}

/// Facts §4.1: `maxSurge`.
#[test]
fn a_surge_drops_an_old_pod_that_is_not_ready_as_soon_as_there_is_a_new_one() {
    let surging =
        DaemonSet { max_unavailable: IntOrPercent::Int(0), max_surge: IntOrPercent::Int(1), ..set() };
    let mut h = harness(surging, 1);
    run(&mut h, 1);
    let key = pod_on(&h, "n1").key();
    h.set_ready(&key, false);
    change(&mut h, |s| s.template = image("agent:v2"));
    h.advance_millis(200);
    assert_eq!(pods_of(&h), ["n1:v1!", "n1:v2"]);
}

#[test]
fn on_delete_waits_for_somebody_to_delete() {
    let mut h = harness(DaemonSet { on_delete: true, ..set() }, 2);
    run(&mut h, 1);
    change(&mut h, |s| s.template = image("agent:v2"));
    run(&mut h, 3);
    assert_eq!(pods_of(&h), ["n1:v1", "n2:v1"]);
    assert_eq!(get(&h).status.updated_number_scheduled, 0);
    h.store.delete::<Pod>(&pod_on(&h, "n2").key(), &DeleteOptions::default()).unwrap();
    run(&mut h, 3);
    assert_eq!(pods_of(&h), ["n1:v1", "n2:v2"]);
}

/// Facts §4.1: Events and backoff of failed Pods.
#[test]
fn ended_pods_are_deleted_failed_ones_with_backoff() {
    let mut h = harness(set(), 1);
    run(&mut h, 1);
    let fail = |h: &mut Harness, phase| {
        let pod = pod_on(h, "n1");
        h.store.update::<Pod>(&pod.key(), |p| p.status.phase = phase).unwrap();
        pod.meta.name.clone()
    };
    let first = fail(&mut h, Phase::Failed);
    h.advance_millis(100);
    assert_eq!(
        h.events_of("FailedDaemonPod"),
        [format!("Found failed daemon pod default/{first} on node n1, will try to kill it")]
    );
    let second = pod_on(&h, "n1").meta.name.clone();
    assert_ne!(first, second, "made again at once");
    fail(&mut h, Phase::Failed);
    h.advance_millis(500);
    assert_eq!(pod_on(&h, "n1").meta.name, second, "left for a second");
    h.advance_secs(2);
    assert_ne!(pod_on(&h, "n1").meta.name, second);
    let third = fail(&mut h, Phase::Succeeded);
    h.advance_millis(500);
    assert_eq!(
        h.events_of("SucceededDaemonPod"),
        [format!("Found succeeded daemon pod default/{third} on node n1, will try to delete it")]
    );
}

/// Facts §4.1: duplicates.
#[test]
fn of_two_pods_on_a_node_the_older_stays() {
    let mut h = harness(set(), 1);
    run(&mut h, 1);
    let old = pod_on(&h, "n1");
    let mut double = testkit::pod("double", "app=agent");
    double.node_name = Some("n1".into());
    double.meta.labels = old.meta.labels.clone();
    h.store.create(double).unwrap();
    h.advance_secs(3);
    let left: Vec<_> = h.store.list::<Pod>().map(|p| &p.meta.name).collect();
    assert_eq!(left, [&old.meta.name]);
}

/// Facts §4.1: `revisionHistoryLimit`.
#[test]
fn revisions_are_numbered_undone_and_forgotten() {
    let mut h = harness(DaemonSet { revision_history_limit: 1, ..set() }, 1);
    for version in ["agent:v2", "agent:v1", "agent:v3"] {
        run(&mut h, 4);
        change(&mut h, |s| s.template = image(version));
    }
    run(&mut h, 4);
    let mut numbers: Vec<i64> = h.store.list::<ControllerRevision>().map(|r| r.revision).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4], "v1 again is 3, v3 is 4, v2 was 2");
    assert_eq!(rollout::undo(&h.store, &get(&h), 0).unwrap(), image("agent:v1"));
    assert_eq!(rollout::undo(&h.store, &get(&h), 2), Err(UndoError::NotFound(2)));
    assert_eq!(rollout::undo(&h.store, &get(&h), 4), Err(UndoError::Unchanged(4)));
}

/// Facts §0.5.
#[test]
fn min_ready_seconds_delay_availability() {
    let mut h = harness(DaemonSet { min_ready_seconds: 5, ..set() }, 1);
    run(&mut h, 1);
    h.advance_secs(2);
    assert_eq!((get(&h).status.number_ready, get(&h).status.number_available), (1, 0));
    h.advance_secs(5);
    assert_eq!((get(&h).status.number_available, get(&h).status.number_unavailable), (1, 0));
}

#[test]
fn the_rate_limit_spreads_many_nodes_and_loses_none() {
    let mut h = harness(set(), 60);
    h.advance_secs(1);
    let some = pods_of(&h).len();
    assert!((15..60).contains(&some), "{some}");
    h.advance_secs(30);
    assert_eq!(pods_of(&h).len(), 60);
    assert_eq!(get(&h).status.current_number_scheduled, 60);
}

#[test]
fn a_selector_for_everything_is_refused() {
    let mut h = harness(DaemonSet { selector: LabelSelector::everything(), ..set() }, 1);
    h.advance_secs(1);
    assert!(pods_of(&h).is_empty());
    assert_eq!(
        h.events_of("SelectingAll"),
        ["This daemon set is selecting all pods. A non-empty selector is required."]
    );
}

mod edges;
