//! What happens at the edges of a DaemonSet's syncs.

use super::*;
use crate::controller::manager::ManagerConfig;

/// Facts §4.1: the node's name replaces the required terms of the template.
#[test]
fn required_terms_of_the_template_are_replaced() {
    let requirement = Requirement { key: "gpu".into(), operator: Operator::Exists, values: vec![] };
    let raw = serde_json::json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]}}});
    let mut template = (*image("agent:v1")).clone();
    let mut spec = (*template.spec).clone();
    let term = NodeSelectorTerm { expressions: vec![requirement], fields: vec![] };
    spec.affinity.node_required = Some(NodeSelector { terms: vec![term] });
    let mut raw_spec = (*spec.raw).clone();
    raw_spec.affinity = Some(serde_json::from_value(raw).unwrap());
    spec.raw = Arc::new(raw_spec);
    template.spec = Arc::new(spec);
    let mut h = harness(DaemonSet { template: Arc::new(template), ..set() }, 0);
    let mut fitting = node("n1");
    fitting.meta.labels = testkit::labels("gpu=yes");
    h.store.create(fitting).unwrap();
    h.store.create(node("n2")).unwrap();
    h.advance_secs(1);
    assert_eq!(pods_of(&h), ["n1:v1"]);
    let affinity = pod_on(&h, "n1").spec.raw.affinity.clone().unwrap().node_affinity.unwrap();
    let terms = affinity.required_during_scheduling_ignored_during_execution.unwrap().node_selector_terms;
    assert_eq!(terms.len(), 1);
    assert!(terms[0].match_expressions.is_none() && terms[0].match_fields.is_some());
}

/// Facts §4.1: 250 Pods a sync.
#[test]
fn one_sync_makes_two_hundred_and_fifty_pods_at_most() {
    let fast = ManagerConfig { api_qps: 0.0, ..ManagerConfig::default() };
    let mut h = Harness::with_config(vec![DaemonSetController::boxed()], fast);
    for i in 0..300 {
        h.store.create(node(&format!("n{i}"))).unwrap();
    }
    h.advance_secs(1);
    h.store.create(set()).unwrap();
    h.advance_millis(4);
    assert_eq!(pods_of(&h).len(), 250);
    h.advance_secs(10);
    assert_eq!(pods_of(&h).len(), 300);
}

/// Facts §4.1 with `syncNodeUpdate`: a taint that neither brings nor takes a Pod is seen in the next sync only.
#[test]
fn a_taint_that_moves_nobody_is_not_looked_at() {
    let mut h = harness(set(), 2);
    run(&mut h, 2);
    change_node(&mut h, "n1", |n| n.taints.push(taint("x", TaintEffect::NoSchedule)));
    h.advance_secs(30);
    assert_eq!(get(&h).status.number_misscheduled, 0);
    change(&mut h, |s| s.min_ready_seconds = 1);
    h.advance_secs(1);
    assert_eq!((get(&h).status.number_misscheduled, get(&h).status.desired_number_scheduled), (1, 1));
    change_node(&mut h, "n1", |n| n.taints.clear());
    h.advance_secs(1);
    assert_eq!(get(&h).status.number_misscheduled, 0, "what was out of place is looked at again");
}
