//! What claims and volumes ask of nodes: VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone.

use serde_json::json;

use super::{ask, claim, class, labelled, user, verdict, verdicts};
use crate::api::{Kind, Object};
use crate::scheduler::evaluation::Evaluation;
use crate::scheduler::testing::{bound, node, object, pod_change};

const EBS: &str = "ebs.csi.aws.com";

fn refused_by(found: &Evaluation) -> Option<&'static str> {
    found.pre_filter.as_ref().map(|status| status.plugin)
}

/// A CSI volume with labels, bound to a claim of the namespace `default`.
fn volume(name: &str, claim: &str, labels: &[(&str, &str)]) -> Object {
    let labels: serde_json::Map<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    object(
        Kind::PersistentVolume,
        json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "csi": {"driver": EBS, "volumeHandle": format!("vol-{name}")},
                "claimRef": {"namespace": "default", "name": claim, "uid": format!("default-{claim}")}},
            "status": {"phase": "Bound"},
        }),
    )
}

#[test]
fn claims_that_cannot_be_used_refuse_the_pod_before_any_node_is_asked() {
    // Pitfall 36, 37, 38, 2: who says it, and what is appended since no PostFilter can work.
    let unbound = "pod has unbound immediate PersistentVolumeClaims";
    let immediate = class("now", EBS, "Immediate");
    for (what, objects, plugin, text) in [
        ("no claim", vec![], "VolumeRestrictions", "persistentvolumeclaim \"data\" not found"),
        (
            "an immediate claim that waits",
            vec![claim("default", "data", "ReadWriteOnce", "now", ""), immediate],
            "VolumeBinding",
            unbound,
        ),
        ("no class", vec![claim("default", "data", "ReadWriteOnce", "none", "")], "VolumeBinding", unbound),
        (
            "a volume that has vanished",
            vec![claim("default", "data", "ReadWriteOnce", "", "gone")],
            "VolumeZone",
            "persistentvolume \"gone\" not found",
        ),
    ] {
        let found = ask(objects.iter().chain([&node("a", "z", 1000)]), &user("p", &["data"]));
        assert_eq!(refused_by(&found), Some(plugin), "{what}");
        let message = format!("0/1 nodes are available: {text}. not found");
        assert_eq!(found.message.as_deref(), Some(message.as_str()), "{what}");
    }
}

#[test]
fn a_claim_for_one_pod_only_fails_every_node_and_can_be_preempted() {
    // Pitfall 40.
    let nodes = [node("a", "z", 1000), node("b", "z", 1000)];
    let data = claim("default", "data", "ReadWriteOncePod", "", "v");
    let objects = [data, volume("v", "data", &[])];
    let old = bound(&user("old", &["data"]), "a");
    let in_use = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";
    let pod = user("p", &["data"]);
    assert_eq!(verdicts(&ask(nodes.iter().chain(&objects).chain([&old]), &pod)), [in_use, in_use]);
    let urgent = pod_change(&pod, |pod| {
        let mut spec = crate::api::PodSpec::clone(&pod.spec);
        spec.priority = 10;
        pod.spec = spec.into();
    });
    let found = ask(nodes.iter().chain(&objects).chain([&old]), &urgent);
    let nominated = found.post_filter.and_then(|p| p.nominated);
    assert_eq!(nominated.as_deref(), Some("a"));
}

#[test]
fn volumes_are_counted_once_each_and_by_node() {
    // Pitfall 42.
    let limit = |count: i32| {
        let driver = json!({"name": EBS, "nodeID": "a", "topologyKeys": [], "allocatable": {"count": count}});
        object(Kind::CsiNode, json!({"metadata": {"name": "a"}, "spec": {"drivers": [driver]}}))
    };
    let waits = class("wait", EBS, "WaitForFirstConsumer");
    let claims: Vec<Object> = ["one", "two", "three"]
        .iter()
        .map(|name| claim("default", name, "ReadWriteOnce", "wait", ""))
        .collect();
    let old = bound(&user("old", &["one"]), "a");
    let full = "node(s) exceed max volume count";
    for (what, csi_node, pod, expected) in [
        ("one more", Some(limit(2)), user("p", &["two"]), ""),
        ("two more", Some(limit(2)), user("p", &["two", "three"]), full),
        ("a claim that is there already", Some(limit(1)), user("p", &["one"]), ""),
        ("no CSINode", None, user("p", &["two", "three"]), ""),
    ] {
        let node = node("a", "z", 1000);
        let objects = [&node, &waits, &old].into_iter().chain(&claims).chain(csi_node.as_ref());
        assert_eq!(verdict(&ask(objects, &pod), "a"), expected, "{what}");
    }
}

#[test]
fn volumes_are_where_their_labels_say() {
    // Pitfall 43: a set of zones, either label, and nodes that say nothing.
    let nodes = [
        labelled("a", "topology.kubernetes.io/zone=z1"),
        labelled("b", "failure-domain.beta.kubernetes.io/zone=z2"),
        labelled("c", "topology.kubernetes.io/zone=z3"),
        labelled("d", "disk=ssd"),
    ];
    let conflict = "! node(s) had no available volume zone";
    let data = claim("default", "data", "ReadWriteOnce", "", "v");
    for (label, zones, expected) in [
        ("topology.kubernetes.io/zone", "z1", ["", conflict, conflict, ""]),
        ("failure-domain.beta.kubernetes.io/zone", "z1__z2", ["", "", conflict, ""]),
    ] {
        let volume = volume("v", "data", &[(label, zones)]);
        let found = ask(nodes.iter().chain([&data, &volume]), &user("p", &["data"]));
        assert_eq!(verdicts(&found), expected, "{label}={zones}");
    }
}

#[test]
fn a_claim_with_a_selected_node_pins_the_pod() {
    // Pitfall 44, 45.
    let nodes = [node("a", "z", 1000), node("b", "z", 1000)];
    let waits = class("wait", EBS, "WaitForFirstConsumer");
    let pinned = object(
        Kind::PersistentVolumeClaim,
        json!({
            "metadata": {"name": "data", "namespace": "default", "uid": "u",
                "annotations": {"volume.kubernetes.io/selected-node": "b"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "wait",
                "resources": {"requests": {"storage": "1Gi"}}},
        }),
    );
    let found = ask(nodes.iter().chain([&waits, &pinned]), &user("p", &["data"]));
    assert_eq!(verdicts(&found), ["! node(s) didn't find available persistent volumes to bind", ""]);
}
