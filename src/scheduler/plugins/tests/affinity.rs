//! Where Pods may be beside which others: node affinity, taints, ports, inter-Pod affinity, topology spreading.

use serde_json::{Value, json};

use super::{ask, labelled, placed, score, verdict, verdicts, waiting};
use crate::api::taint::{Taint, TaintEffect};
use crate::api::{Deletion, Object};
use crate::base::{Str, Timestamp};
use crate::scheduler::testing::{node, node_change, pod, pod_change};

const NOT_MATCHED: &str = "! node(s) didn't match Pod's node affinity/selector";
const NOT_NEAR: &str = "! node(s) didn't match pod affinity rules";
const NOT_FAR: &str = "node(s) didn't match pod anti-affinity rules";
const SKEWED: &str = "node(s) didn't match pod topology spread constraints";

fn tainted(node: &Object, key: &str) -> Object {
    let taint =
        Taint { key: key.into(), value: Str::new(), effect: TaintEffect::NoSchedule, time_added: None };
    node_change(node, |node| node.taints.push(taint))
}

fn leaving(pod: &Object) -> Object {
    pod_change(pod, |pod| {
        pod.meta.deletion = Some(Deletion { timestamp: Timestamp::new(0), grace_seconds: Some(30) });
    })
}

fn terms(what: &str, selectors: &[&str]) -> Value {
    let term = |app: &&str| {
        let (key, value) = app.split_once('=').unwrap();
        json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {key: value}}})
    };
    let all: Vec<Value> = selectors.iter().map(term).collect();
    json!({"affinity": {what: {"requiredDuringSchedulingIgnoredDuringExecution": all}}})
}

#[test]
fn node_selectors_are_matched_as_upstream_matches_them() {
    // Pitfall 34.
    let node = labelled("a", "disk=ssd,size=12");
    let expression = |key: &str, operator: &str, values: &[&str]| {
        let mut expression = json!({"key": key, "operator": operator});
        if !values.is_empty() {
            expression["values"] = json!(values);
        }
        json!({"matchExpressions": [expression]})
    };
    for (term, matches) in [
        (json!({}), false),
        (expression("disk", "In", &["hdd", "ssd"]), true),
        (expression("missing", "NotIn", &["x"]), true),
        (expression("missing", "Exists", &[]), false),
        (expression("missing", "DoesNotExist", &[]), true),
        (expression("size", "Gt", &["11"]), true),
        (expression("size", "Gt", &["12"]), false),
        (expression("disk", "Lt", &["12"]), false),
        (json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}), true),
        (json!({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["a"]}]}), false),
    ] {
        let required = json!({"nodeSelectorTerms": [term.clone()]});
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
        let found = ask([&node], &waiting("p", "", json!({ "affinity": affinity })));
        assert_eq!(verdict(&found, "a"), if matches { "" } else { NOT_MATCHED }, "{term}");
    }
}

#[test]
fn names_that_exclude_each_other_refuse_the_pod_before_any_node_is_asked() {
    // Pitfall 35.
    let field = |name: &str| json!({"key": "metadata.name", "operator": "In", "values": [name]});
    let required = json!({"nodeSelectorTerms": [{"matchFields": [field("a"), field("b")]}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
    let found = ask(
        [&labelled("a", "x=y"), &labelled("b", "x=y")],
        &waiting("p", "", json!({ "affinity": affinity })),
    );
    assert!(found.nodes.is_empty());
    assert_eq!(found.pre_filter.map(|s| s.plugin), Some("NodeAffinity"));
}

#[test]
fn cordons_and_taints_hold_unless_they_are_tolerated() {
    // Pitfall 33, 9, 19.
    let cordoned = node_change(&node("a", "z", 1000), |node| node.unschedulable = true);
    let twice = tainted(&tainted(&node("b", "z", 1000), "first"), "second");
    let clean = node("c", "z", 1000);
    let tolerating =
        |key: &str| json!({"tolerations": [{"key": key, "operator": "Exists", "effect": "NoSchedule"}]});
    // Only the first taint that is not tolerated is named.
    let first = "! node(s) had untolerated taint {first: }";
    let second = "! node(s) had untolerated taint {second: }";
    for (spec, expected) in [
        (json!({}), ["! node(s) were unschedulable", first, ""]),
        (tolerating("node.kubernetes.io/unschedulable"), ["", first, ""]),
        (tolerating("first"), ["! node(s) were unschedulable", second, ""]),
        (json!({"tolerations": [{"operator": "Exists"}]}), ["", "", ""]),
    ] {
        let found = ask([&cordoned, &twice, &clean], &waiting("p", "", spec));
        assert_eq!(verdicts(&found), expected);
        assert_eq!(score(&found, "c", "TaintToleration"), Some(300));
        // Nobody prefers anything: no other plugin tells the nodes apart.
        assert_eq!(score(&found, "c", "NodeAffinity").unwrap_or(0), 0);
    }
}

#[test]
fn host_ports_conflict_by_number_protocol_and_address() {
    // Pitfall 32.
    let using = |port: Value| json!({"containers": [{"name": "c", "image": "app:1", "ports": [port]}]});
    let tcp = |port: i32| json!({"containerPort": port, "hostPort": port});
    let at = |port: i32, ip: &str| json!({"containerPort": port, "hostPort": port, "hostIP": ip});
    let udp = |port: i32| json!({"containerPort": port, "hostPort": port, "protocol": "UDP"});
    let before = |port: Value, sidecar: bool| {
        let mut init = json!({"name": "i", "image": "app:1", "ports": [port]});
        if sidecar {
            init["restartPolicy"] = json!("Always");
        }
        json!({"initContainers": [init]})
    };
    for (what, there, comes, conflict) in [
        ("the same", using(tcp(80)), using(tcp(80)), true),
        ("another number", using(tcp(80)), using(tcp(81)), false),
        ("another protocol", using(tcp(80)), using(udp(80)), false),
        ("no address is every address", using(tcp(80)), using(at(80, "10.0.0.1")), true),
        ("two addresses", using(at(80, "10.0.0.2")), using(at(80, "10.0.0.1")), false),
        ("every address, said so", using(at(80, "0.0.0.0")), using(at(80, "10.0.0.1")), true),
        ("a sidecar's", before(tcp(80), true), using(tcp(80)), true),
        ("an init container's", before(tcp(80), false), using(tcp(80)), false),
    ] {
        let found = ask([&node("a", "z", 1000), &placed("old", "", "a", there)], &waiting("p", "", comes));
        let expected =
            if conflict { "node(s) didn't have free ports for the requested pod ports" } else { "" };
        assert_eq!(verdict(&found, "a"), expected, "{what}");
    }
}

#[test]
fn several_terms_want_one_pod_near_that_matches_all_and_no_pod_far_that_matches_any() {
    // Pitfall 22.
    let nodes = [labelled("a", "zone=1"), labelled("b", "zone=2")];
    let apart = [placed("x", "x=1", "a", json!({})), placed("y", "y=1", "a", json!({}))];
    let both = [placed("xy", "x=1,y=1", "a", json!({}))];
    let near = waiting("p", "", terms("podAffinity", &["x=1", "y=1"]));
    let far = waiting("p", "", terms("podAntiAffinity", &["x=1", "z=1"]));
    assert_eq!(verdicts(&ask(nodes.iter().chain(&apart), &near)), [NOT_NEAR, NOT_NEAR]);
    assert_eq!(verdicts(&ask(nodes.iter().chain(&both), &near)), ["", NOT_NEAR]);
    assert_eq!(verdicts(&ask(nodes.iter().chain(&apart), &far)), [NOT_FAR, ""]);
}

#[test]
fn the_first_pod_of_its_kind_may_go_wherever_the_key_is() {
    // Pitfall 23.
    let nodes = [labelled("a", "zone=1"), labelled("b", "disk=ssd")];
    let to_itself = terms("podAffinity", &["app=web"]);
    let keyless = placed("x", "app=web", "b", json!({}));
    for (what, labels, other, expected) in [
        ("nobody is there", "app=web", None, ["", NOT_NEAR]),
        ("it is not of the kind it wants", "app=other", None, [NOT_NEAR, NOT_NEAR]),
        ("a Pod on a node without the key is nowhere", "app=web", Some(&keyless), ["", NOT_NEAR]),
    ] {
        let found = ask(nodes.iter().chain(other), &waiting("p", labels, to_itself.clone()));
        assert_eq!(verdicts(&found), expected, "{what}");
    }
    let there = [placed("x", "app=web", "c", json!({})), labelled("c", "zone=3")];
    let found = ask(nodes.iter().chain(&there), &waiting("p", "app=web", to_itself));
    assert_eq!(verdicts(&found), [NOT_NEAR, NOT_NEAR, ""]);
}

#[test]
fn terminating_pods_are_still_neighbours_but_no_longer_spread() {
    // Pitfall 24, 28, 29.
    let nodes = [labelled("a", "zone=1"), labelled("b", "zone=2"), labelled("c", "disk=ssd")];
    let old = placed("old", "app=web", "a", json!({}));
    let gone = leaving(&old);
    let far = waiting("p", "app=web", terms("podAntiAffinity", &["app=web"]));
    for other in [&old, &gone] {
        assert_eq!(verdicts(&ask(nodes.iter().chain([other]), &far)), [NOT_FAR, "", ""]);
    }
    let constraint = |more: Value| {
        let mut constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}}});
        constraint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"topologySpreadConstraints": [constraint]})
    };
    let no_key = format!("! {SKEWED} (missing required label)");
    let spread = waiting("p", "app=web", constraint(json!({})));
    assert_eq!(verdicts(&ask(nodes.iter().chain([&old]), &spread)), [SKEWED, "", no_key.as_str()]);
    assert_eq!(verdicts(&ask(nodes.iter().chain([&gone]), &spread)), ["", "", no_key.as_str()]);
    // An empty zone that cannot be used holds the minimum at nothing, unless taints are honoured.
    let closed = [labelled("a", "zone=1"), tainted(&labelled("b", "zone=2"), "k"), labelled("c", "zone=1")];
    let taint = "! node(s) had untolerated taint {k: }";
    assert_eq!(verdicts(&ask(closed.iter().chain([&old]), &spread)), [SKEWED, taint, SKEWED]);
    let honouring = waiting("p", "app=web", constraint(json!({"nodeTaintsPolicy": "Honor"})));
    assert_eq!(verdicts(&ask(closed.iter().chain([&old]), &honouring)), ["", taint, ""]);
    // Fewer domains than `minDomains` count as one more with nothing in it.
    let one_zone = [labelled("a", "zone=1")];
    let many = waiting("p", "app=web", constraint(json!({"minDomains": 2})));
    assert_eq!(verdicts(&ask(one_zone.iter().chain([&old]), &spread)), [""]);
    assert_eq!(verdicts(&ask(one_zone.iter().chain([&old]), &many)), [SKEWED]);
}

#[test]
fn selectors_that_are_missing_match_nothing_and_empty_ones_all() {
    // Pitfall 27.
    let nodes = [labelled("a", "zone=1"), labelled("b", "zone=2")];
    let old = placed("old", "app=web", "a", json!({}));
    let far = |selector: Value| {
        let term = json!([{"topologyKey": "zone", "labelSelector": selector}]);
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}})
    };
    let spread = |selector: Value| {
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]})
    };
    for (spec, expected) in [
        (far(Value::Null), ["", ""]),
        (far(json!({})), [NOT_FAR, ""]),
        (spread(Value::Null), ["", ""]),
        // An empty selector counts no Pod that is there, but the Pod itself.
        (spread(json!({})), ["", ""]),
        (spread(json!({"matchLabels": {"app": "web"}})), [SKEWED, ""]),
    ] {
        assert_eq!(
            verdicts(&ask(nodes.iter().chain([&old]), &waiting("p", "app=web", spec.clone()))),
            expected,
            "{spec}"
        );
    }
}

#[test]
fn what_pods_that_are_there_need_near_them_attracts() {
    // Pitfall 25, 19.
    let nodes = [labelled("a", "zone=1"), labelled("b", "zone=2")];
    let wants = placed("old", "app=web", "a", terms("podAffinity", &["app=web"]));
    let found = ask(nodes.iter().chain([&wants]), &waiting("p", "app=web", json!({})));
    assert_eq!(score(&found, "a", "InterPodAffinity"), Some(200));
    assert_eq!(score(&found, "b", "InterPodAffinity"), Some(0));
    let indifferent = ask(&nodes, &waiting("p", "app=web", json!({})));
    assert_eq!(score(&indifferent, "a", "InterPodAffinity").unwrap_or(0), 0);
}

#[test]
fn one_node_that_fits_is_taken_unscored() {
    // Pitfall 21.
    assert!(ask([&node("a", "z", 1000)], &pod("p", 1)).scoring_skipped);
    assert!(!ask([&node("a", "z", 1000), &node("b", "z", 1000)], &pod("p", 1)).scoring_skipped);
}
