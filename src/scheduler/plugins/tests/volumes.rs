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

/// A volume of the class `hand` in a zone, for nobody or a claim by name.
fn disk(name: &str, zone: &str, claim: Option<&str>, size: &str) -> Object {
    let mut spec = json!({
        "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "hand",
        "csi": {"driver": EBS, "volumeHandle": format!("vol-{name}")},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}]}]}},
    });
    if let Some(claim) = claim {
        spec["claimRef"] = json!({"namespace": "default", "name": claim});
    }
    object(
        Kind::PersistentVolume,
        json!({"metadata": {"name": name}, "spec": spec, "status": {"phase": "Available"}}),
    )
}

/// A claim whose object is altered.
fn altered(mode: &str, class: &str, volume: &str, alter: impl FnOnce(&mut serde_json::Value)) -> Object {
    let bound = if volume.is_empty() { json!({}) } else { json!({"pv.kubernetes.io/bind-completed": "yes"}) };
    let mut value = json!({
        "metadata": {"name": "data", "namespace": "default", "uid": "default-data", "annotations": bound},
        "spec": {"accessModes": [mode], "storageClassName": class, "volumeName": volume,
            "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": if volume.is_empty() { "Pending" } else { "Bound" }},
    });
    alter(&mut value);
    object(Kind::PersistentVolumeClaim, value)
}

/// autoscaling-storage.md §5.1, §7.46: the texts of Filter and whether preemption helps (without `!` it does).
#[test]
fn nodes_refuse_volumes_in_these_words() {
    let node = node("a", "z1", 1000);
    let waits = class("wait", EBS, "WaitForFirstConsumer");
    let hand = class("hand", "kubernetes.io/no-provisioner", "WaitForFirstConsumer");
    let data = |class: &str, volume: &str| claim("default", "data", "ReadWriteOnce", class, volume);
    let elsewhere = || disk("far", "z2", Some("data"), "1Gi");
    let capacity =
        object(Kind::CsiDriver, json!({"metadata": {"name": EBS}, "spec": {"storageCapacity": true}}));
    for (what, objects, expected) in [
        (
            "a volume elsewhere",
            vec![data("hand", "far"), elsewhere()],
            "! node(s) didn't match PersistentVolume's node affinity",
        ),
        (
            "no volume that fits",
            vec![data("hand", ""), hand.clone(), disk("far", "z2", None, "1Gi")],
            "! node(s) didn't find available persistent volumes to bind",
        ),
        (
            "no room for a new one",
            vec![data("wait", ""), waits, capacity],
            "! node(s) did not have enough free storage",
        ),
        ("a volume here", vec![data("hand", ""), hand, disk("near", "z1", None, "1Gi")], ""),
    ] {
        let found = ask(objects.iter().chain([&node]), &user("p", &["data"]));
        assert_eq!(verdict(&found, "a"), expected, "{what}");
    }
}

/// autoscaling-storage.md §5.1, §7.23: up to release 1.32 and 1.33 two texts were others.
#[test]
fn earlier_releases_had_other_words() {
    use crate::scheduler::{Config, Placer, Wording};
    let at = |release: &str, objects: &[Object], pod: &Object| {
        let frameworks = Config::default().frameworks(Wording::of_release(release)).unwrap();
        let mut placer = Placer::new(frameworks);
        objects.iter().for_each(|object| placer.add(object.clone()));
        let Object::Pod(pod) = pod else { unreachable!("a Pod") };
        verdict(&placer.evaluate(pod).evaluation, "a")
    };
    let node = node("a", "z1", 1000);
    let far = [
        node.clone(),
        claim("default", "data", "ReadWriteOnce", "hand", "far"),
        disk("far", "z2", Some("data"), "1Gi"),
    ];
    let held = [
        node,
        claim("default", "data", "ReadWriteOncePod", "", "v"),
        volume("v", "data", &[]),
        bound(&user("old", &["data"]), "a"),
    ];
    let pod = user("p", &["data"]);
    assert_eq!(at("1.32", &far, &pod), "! node(s) had volume node affinity conflict");
    assert_eq!(at("1.33", &far, &pod), "! node(s) didn't match PersistentVolume's node affinity");
    let before =
        "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
    assert_eq!(at("1.33", &held, &pod), before);
    assert!(at("1.34", &held, &pod).starts_with("node(s) unavailable due to PersistentVolumeClaim"));
}

/// autoscaling-storage.md §5.1, §7.50: what VolumeBinding and its neighbours say of the whole Pod.
#[test]
fn claims_that_are_not_ready_refuse_the_whole_pod_in_these_words() {
    let lost = altered("ReadWriteOnce", "now", "gone", |c| c["status"]["phase"] = json!("Lost"));
    let going = altered("ReadWriteOnce", "now", "v", |c| {
        c["metadata"]["deletionTimestamp"] = json!("2026-01-05T08:00:00Z");
        c["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    let half = altered("ReadWriteOnce", "now", "v", |c| {
        c["metadata"]["annotations"] = json!({});
        c["status"]["phase"] = json!("Pending");
    });
    let here = volume("v", "data", &[]);
    let immediate = class("now", EBS, "Immediate");
    let ephemeral = waiting_for_ephemeral();
    for (what, objects, pod, text) in [
        (
            "lost",
            vec![lost],
            user("p", &["data"]),
            "persistentvolumeclaim \"data\" bound to non-existent persistentvolume \"gone\"",
        ),
        (
            "being deleted",
            vec![going, here.clone()],
            user("p", &["data"]),
            "persistentvolumeclaim \"data\" is being deleted",
        ),
        (
            "named but not bound yet",
            vec![half, here],
            user("p", &["data"]),
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (
            "ephemeral and not made yet",
            vec![],
            ephemeral,
            "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-tmp\"",
        ),
    ] {
        let node = node("a", "z", 1000);
        let found = ask(objects.iter().chain([&node, &immediate]), &pod);
        let message = found.message.clone().unwrap_or_default();
        assert!(message.starts_with(&format!("0/1 nodes are available: {text}.")), "{what}: {message}");
    }
}

/// A Pod with a generic ephemeral volume.
fn waiting_for_ephemeral() -> Object {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let volumes = json!([{"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}]);
    super::waiting("p", "", json!({ "volumes": volumes }))
}

/// autoscaling-storage.md §5.1: in-tree disks that two Pods name themselves are not on one node twice.
#[test]
fn a_disk_that_a_pod_names_itself_is_not_shared() {
    let disk = |name: &str| {
        let volumes = json!([{"name": "d", "awsElasticBlockStore": {"volumeID": "vol-1"}}]);
        super::waiting(name, "", json!({ "volumes": volumes }))
    };
    let nodes = [node("a", "z", 1000), node("b", "z", 1000)];
    let old = bound(&disk("old"), "a");
    let found = ask(nodes.iter().chain([&old]), &disk("p"));
    assert_eq!(verdicts(&found), ["node(s) had no available disk", ""]);
}

/// autoscaling-storage.md §5.1, §7.35: two Pods share a ReadWriteOnce claim as far as the scheduler is concerned.
#[test]
fn one_writer_at_a_time_is_not_the_schedulers_business() {
    let nodes = [node("a", "z", 1000), node("b", "z", 1000)];
    let data = claim("default", "data", "ReadWriteOnce", "", "v");
    let old = bound(&user("old", &["data"]), "a");
    let found = ask(nodes.iter().chain([&data, &volume("v", "data", &[]), &old]), &user("p", &["data"]));
    assert_eq!(verdicts(&found), ["", ""]);
}

/// autoscaling-storage.md §5.6, §7.45: an attachment that no Pod stands behind any more occupies its slot.
#[test]
fn attachments_count_for_the_limit() {
    let node = node("a", "z", 1000);
    let driver = json!({"name": EBS, "nodeID": "a", "topologyKeys": [], "allocatable": {"count": 1}});
    let limit = object(Kind::CsiNode, json!({"metadata": {"name": "a"}, "spec": {"drivers": [driver]}}));
    let attachment = object(
        Kind::VolumeAttachment,
        json!({"metadata": {"name": "csi-1"}, "status": {"attached": true},
            "spec": {"attacher": EBS, "nodeName": "a", "source": {"persistentVolumeName": "old"}}}),
    );
    let waits = class("wait", EBS, "WaitForFirstConsumer");
    let data = claim("default", "data", "ReadWriteOnce", "wait", "");
    let old = volume("old", "gone", &[]);
    let ground = [&node, &limit, &waits, &data, &old];
    let verdict_of = |more: &[&Object]| {
        verdict(&ask(ground.iter().copied().chain(more.iter().copied()), &user("p", &["data"])), "a")
    };
    assert_eq!(verdict_of(&[]), "");
    assert_eq!(verdict_of(&[&attachment]), "node(s) exceed max volume count");
}

/// autoscaling-storage.md §5.2: where a volume would be made does not count for the score.
#[test]
fn new_volumes_do_not_weigh() {
    let nodes = [node("a", "z1", 1000), node("b", "z2", 1000)];
    let waits = class("wait", EBS, "WaitForFirstConsumer");
    let data = claim("default", "data", "ReadWriteOnce", "wait", "");
    let found = ask(nodes.iter().chain([&waits, &data]), &user("p", &["data"]));
    assert_eq!(super::score(&found, "a", "VolumeBinding"), None, "the plugin has no opinion");
    assert_eq!(found.ties.len(), 2);
}

/// autoscaling-storage.md §5.10: claims of delayed classes without a volume, and nodes without any zone, are none of
/// VolumeZone's business.
#[test]
fn a_volume_that_is_not_there_yet_has_no_zone() {
    let waits = class("wait", EBS, "WaitForFirstConsumer");
    let data = claim("default", "data", "ReadWriteOnce", "wait", "");
    let nodes = [labelled("a", "topology.kubernetes.io/zone=z1"), labelled("b", "disk=ssd")];
    assert_eq!(verdicts(&ask(nodes.iter().chain([&waits, &data]), &user("p", &["data"]))), ["", ""]);
}
