//! What DefaultPreemption makes of the refusals, and in which words.

use serde_json::json;

use super::{ask, claim, placed, user, waiting};
use crate::api::Object;
use crate::scheduler::evaluation::Evaluation;
use crate::scheduler::testing::{bound, node, node_change, pod, pod_change, pod_with};

fn urgent(name: &str, milli: i64) -> Object {
    pod_with(name, milli, |pod| pod["spec"]["priority"] = json!(10))
}

fn said(found: &Evaluation) -> &str {
    found.message.as_deref().unwrap_or_default()
}

fn nominated(found: &Evaluation) -> Option<&str> {
    found.post_filter.as_ref()?.nominated.as_deref()
}

#[test]
fn the_words_tell_what_was_tried_and_why_it_does_not_help() {
    // Pitfall 1, 4, 7, 8; facts §10.6, §10.7, §13.47, §13.49.
    let small = node("b", "z", 500);
    let cordoned = node_change(&node("c", "z", 1000), |node| node.unschedulable = true);
    let old = bound(&pod("old", 900), "a");
    let peer = bound(&urgent("peer", 900), "a");
    let nodes = [node("a", "z", 1000), small, cordoned];
    let tail = "no new claims to deallocate, preemption:";
    let refusals = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.";
    for (what, other, pod, expected) in [
        ("room is made", &old, urgent("p", 800), refusals.to_owned()),
        (
            "nobody is less important",
            &peer,
            urgent("p", 800),
            format!(
                "{refusals} {tail} 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 \
                 Preemption is not helpful for scheduling."
            ),
        ),
        (
            "no node is large enough",
            &old,
            urgent("p", 2000),
            format!("{refusals} {tail} 0/3 nodes are available: 3 Preemption is not helpful for scheduling."),
        ),
    ] {
        assert_eq!(said(&ask(nodes.iter().chain([other]), &pod)), expected, "{what}");
    }
    let two = [bound(&urgent("peer", 300), "a"), bound(&pod("old", 600), "a")];
    let found = ask(nodes.iter().chain(&two), &urgent("p", 800));
    assert!(
        said(&found).ends_with(
            "0/3 nodes are available: 1 Insufficient cpu, 2 Preemption is not helpful for scheduling."
        ),
        "what still refuses the Pod when all less important ones are gone: {}",
        said(&found)
    );
}

#[test]
fn nobody_is_evicted_whom_the_pod_needs() {
    // Pitfall 48.
    let near = json!({"priority": 10, "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}]}}});
    let friend = pod_change(&placed("db", "app=db", "a", json!({})), |_| {});
    let full = bound(&pod("old", 850), "a");
    let needs = waiting("p", "app=web", near);
    let found = ask([&node("a", "z", 1000), &friend, &full], &needs);
    let victims = found.post_filter.map(|p| p.victims).unwrap_or_default();
    assert_eq!(nominated(&ask([&node("a", "z", 1000), &friend], &needs)), None, "it fits without");
    assert!(victims.iter().all(|key| key.name != "db"), "{victims:?}");
}

#[test]
fn claims_of_other_namespaces_are_mixed_up_as_upstream_mixes_them_up() {
    // Pitfall 39, an upstream bug: dry runs compare the names of claims without their namespaces.
    let data = claim("default", "data", "ReadWriteOncePod", "", "v");
    let volume = crate::scheduler::testing::object(
        crate::api::Kind::PersistentVolume,
        json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"],
            "csi": {"driver": "x", "volumeHandle": "h"},
            "claimRef": {"namespace": "default", "name": "data", "uid": "default-data"}}, "status": {"phase": "Bound"}}),
    );
    let users = |name: &str, namespace: &str, node: &str, priority: i32| {
        let pod = pod_change(&user(name, &["data"]), |pod| {
            pod.meta.namespace = namespace.into();
            let mut spec = crate::api::PodSpec::clone(&pod.spec);
            spec.priority = priority;
            pod.spec = spec.into();
        });
        bound(&pod, node)
    };
    let (own, stranger) = (users("own", "default", "a", 100), users("stranger", "elsewhere", "b", 0));
    let nodes = [node("a", "z", 1000), node("b", "z", 1000)];
    let pod = pod_change(&users("p", "default", "", 50), |pod| pod.node_name = None);
    // The claim's user is more important, yet the stranger's node becomes a candidate.
    let found = ask(nodes.iter().chain([&data, &volume, &own, &stranger]), &pod);
    assert_eq!(nominated(&found), Some("b"));
}

#[test]
fn filters_must_pass_with_and_without_the_pods_nominated_to_a_node() {
    // Pitfall 49; facts §10.4.
    let node = node("a", "z", 1000);
    let nominee = pod_change(&urgent("nominee", 800), |pod| pod.status.nominated_node = Some("a".into()));
    for (what, pod, fits) in [
        ("less important", pod("p", 300), false),
        ("small enough", pod("p", 200), true),
        ("more important", pod_with("p", 300, |pod| pod["spec"]["priority"] = json!(11)), true),
    ] {
        let found = ask([&node, &nominee], &pod);
        assert_eq!(super::verdict(&found, "a").is_empty(), fits, "{what}");
    }
    // Whom it needs near it must be there already, not only nominated.
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "nominee"}}}]}}});
    let found = ask([&node, &nominee], &waiting("p", "app=web", near));
    assert_eq!(super::verdict(&found, "a"), "! node(s) didn't match pod affinity rules");
}
