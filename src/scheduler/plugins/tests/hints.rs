//! Which events set a refused Pod in motion: a table per plugin (facts §10.3).
//!
//! Upstream: `isSchedulableAfter…` of the plugins, `pkg/scheduler/framework/events.go`, v1.34.

use serde_json::{Value, json};

use super::{claim, class, labelled, placed, user, waiting};
use crate::api::taint::{Taint, TaintEffect};
use crate::api::{Kind, Node, Object, Phase};
use crate::base::Str;
use crate::scheduler::framework::{ActionType, ClusterEvent, EventResource, Hint, PodInfo, Snapshot};
use crate::scheduler::testing::{bound, node, node_change, object, pod, pod_change, pod_with};
use crate::scheduler::{Config, Wording, changes};

type Row<'a> = (&'a str, Option<&'a Object>, Option<&'a Object>, bool);

/// What happened, as plugins register for it.
fn events(old: Option<&Object>, new: Option<&Object>) -> Vec<ClusterEvent> {
    let action = match (old, new) {
        (None, _) => ActionType::ADD,
        (Some(_), None) => ActionType::DELETE,
        (Some(Object::Pod(old)), Some(Object::Pod(new))) => return changes::of_pod(old, new),
        (Some(Object::Node(old)), Some(Object::Node(new))) => return changes::of_node(old, new),
        (Some(_), Some(_)) => ActionType::UPDATE,
    };
    let object = old.or(new).unwrap();
    let resource = match object {
        Object::Pod(_) => EventResource::AssignedPod,
        Object::Node(_) => EventResource::Node,
        other => changes::resource_of(other).unwrap(),
    };
    vec![ClusterEvent::new(resource, action)]
}

/// Goes through a table: what happened (object before, object after), and whether it moves a Pod that `plugin` refused.
fn check(plugin: &str, refused: &Object, rows: &[Row<'_>]) {
    let frameworks = Config::default().frameworks(Wording::default()).unwrap();
    let registrations: Vec<_> = frameworks[0].registrations.iter().filter(|r| r.plugin == plugin).collect();
    assert!(!registrations.is_empty(), "{plugin} registers nothing");
    let info = PodInfo::new(super::inner(refused).clone());
    let snapshot = Snapshot::default();
    for (what, old, new, moves) in rows {
        let queues = events(*old, *new).into_iter().any(|event| {
            registrations.iter().filter(|r| r.event.covers(event)).any(|r| {
                r.hints.as_ref().is_none_or(|h| h.hint(&snapshot, r.event, &info, *old, *new) == Hint::Queue)
            })
        });
        assert_eq!(queues, *moves, "{plugin}: {what}");
    }
}

fn changed(node: &Object, change: impl FnOnce(&mut Node)) -> Object {
    node_change(node, change)
}

fn with_label(node: &Object, key: &'static str, value: &'static str) -> Object {
    changed(node, |node| node.meta.labels = node.meta.labels.with(key, value))
}

fn tainted(node: &Object, effect: TaintEffect) -> Object {
    changed(node, |node| {
        node.taints.push(Taint { key: "k".into(), value: Str::new(), effect, time_added: None });
    })
}

/// The Pod with a toleration of everything.
fn tolerant(pod: &Object) -> Object {
    pod_change(pod, |pod| {
        let all = waiting("t", "", json!({"tolerations": [{"operator": "Exists"}]}));
        let mut spec = crate::api::PodSpec::clone(&pod.spec);
        spec.tolerations.clone_from(&super::inner(&all).spec.tolerations);
        pod.spec = spec.into();
    })
}

fn relabelled(pod: &Object, key: &'static str, value: &'static str) -> Object {
    pod_change(pod, |pod| pod.meta.labels = pod.meta.labels.with(key, value))
}

#[test]
fn what_helps_a_pod_that_lacked_resources() {
    let refused = pod("p", 1000);
    let (small, big) = (node("n", "z", 500), node("n", "z", 4000));
    let bigger = node("n", "z", 5000);
    let no_more_memory = changed(&big, |node| node.meta.annotations = node.meta.annotations.with("a", "b"));
    let gone = bound(&pod("gone", 1), "n");
    let never_placed = pod("gone", 1);
    let nominated = pod_change(&never_placed, |pod| pod.status.nominated_node = Some("n".into()));
    let (had, has) = (bound(&pod("other", 500), "n"), bound(&pod("other", 200), "n"));
    let on_its_own = |milli| {
        bound(
            &pod_with("other", milli, |pod| {
                pod["spec"]["containers"][0]["resources"]["requests"]["memory"] = json!("64Mi");
            }),
            "n",
        )
    };
    let (storage, less_storage) = (
        bound(
            &pod_with("other", 1, |p| {
                p["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] = json!("2Gi")
            }),
            "n",
        ),
        bound(
            &pod_with("other", 1, |p| {
                p["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] = json!("1Gi")
            }),
            "n",
        ),
    );
    let smaller = pod("p", 10);
    let terminating = pod_change(&gone, |pod| pod.status.phase = Phase::Running);
    check(
        "NodeResourcesFit",
        &refused,
        &[
            ("a large node comes", None, Some(&big), true),
            ("a small node comes", None, Some(&small), false),
            ("a node grows so that it could hold the Pod", Some(&small), Some(&big), true),
            ("a large node grows", Some(&big), Some(&bigger), true),
            ("a node shrinks", Some(&big), Some(&small), false),
            ("a node's annotations change", Some(&big), Some(&no_more_memory), false),
            ("a node goes", Some(&big), None, false),
            ("a placed Pod goes", Some(&gone), None, true),
            ("a nominated Pod goes", Some(&nominated), None, true),
            ("a Pod that had no node goes", Some(&never_placed), None, false),
            ("a placed Pod comes", None, Some(&gone), false),
            ("a placed Pod's status changes", Some(&gone), Some(&terminating), false),
            ("a placed Pod needs less CPU", Some(&had), Some(&has), true),
            ("a placed Pod needs more CPU", Some(&has), Some(&had), false),
            ("a placed Pod needs the same", Some(&on_its_own(5)), Some(&on_its_own(5)), false),
            (
                "a placed Pod needs less of what this one does not ask for",
                Some(&storage),
                Some(&less_storage),
                false,
            ),
            ("the Pod itself needs less", Some(&refused), Some(&smaller), true),
        ],
    );
}

#[test]
fn what_helps_a_pod_that_no_node_was_made_for() {
    let refused = waiting("p", "", json!({"nodeSelector": {"disk": "ssd"}}));
    let plain = node("n", "z", 1000);
    let matching = with_label(&plain, "disk", "ssd");
    let other = with_label(&matching, "size", "large");
    let gone = bound(&pod("gone", 1), "n");
    check(
        "NodeAffinity",
        &refused,
        &[
            ("a matching node comes", None, Some(&matching), true),
            ("another node comes", None, Some(&plain), false),
            ("a node gets the label", Some(&plain), Some(&matching), true),
            ("a node loses the label", Some(&matching), Some(&plain), false),
            ("a matching node gets another label", Some(&matching), Some(&other), false),
            ("a Pod goes", Some(&gone), None, false),
        ],
    );
    check(
        "NodeName",
        &refused,
        &[
            ("a node comes", None, Some(&plain), true),
            ("a node's labels change", Some(&plain), Some(&matching), false),
            ("a Pod goes", Some(&gone), None, false),
        ],
    );
}

#[test]
fn what_helps_a_pod_that_cordons_or_taints_kept_out() {
    let refused = pod("p", 1);
    let open = node("n", "z", 1000);
    let cordoned = changed(&open, |node| node.unschedulable = true);
    let (closed, soft) =
        (tainted(&open, TaintEffect::NoSchedule), tainted(&open, TaintEffect::PreferNoSchedule));
    let labelled = with_label(&open, "a", "b");
    let (own, other) = (tolerant(&refused), tolerant(&pod("other", 1)));
    check(
        "NodeUnschedulable",
        &refused,
        &[
            ("an open node comes", None, Some(&open), true),
            ("a cordoned node comes", None, Some(&cordoned), false),
            ("a node is uncordoned", Some(&cordoned), Some(&open), true),
            ("a node is cordoned", Some(&open), Some(&cordoned), false),
            ("an open node loses a taint", Some(&closed), Some(&open), false),
            ("the Pod gets a toleration", Some(&refused), Some(&own), true),
            ("another Pod gets one", Some(&pod("other", 1)), Some(&other), false),
        ],
    );
    check(
        "TaintToleration",
        &refused,
        &[
            ("an open node comes", None, Some(&open), true),
            ("a tainted node comes", None, Some(&closed), false),
            ("a node that is only avoided comes", None, Some(&soft), true),
            ("a taint goes", Some(&closed), Some(&open), true),
            ("a taint comes", Some(&open), Some(&closed), false),
            ("a taint becomes softer", Some(&closed), Some(&soft), true),
            ("an open node changes its taints", Some(&soft), Some(&open), false),
            ("a node's labels change", Some(&open), Some(&labelled), false),
            ("the Pod gets a toleration", Some(&refused), Some(&own), true),
            ("another Pod gets one", Some(&pod("other", 1)), Some(&other), false),
        ],
    );
}

#[test]
fn what_helps_a_pod_whose_port_was_taken() {
    let with_port = |name: &str, port: i32| {
        pod_with(name, 1, |pod| {
            pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": port, "hostPort": port}]);
        })
    };
    let refused = with_port("p", 80);
    let (same, other) = (bound(&with_port("o", 80), "n"), bound(&with_port("o", 81), "n"));
    check(
        "NodePorts",
        &refused,
        &[
            ("a Pod with the port goes", Some(&same), None, true),
            ("a Pod with another port goes", Some(&other), None, false),
            ("a Pod without ports goes", Some(&bound(&pod("o", 1), "n")), None, false),
            ("a Pod with the port that had no node goes", Some(&with_port("o", 80)), None, false),
            ("a node comes", None, Some(&node("n", "z", 1)), true),
        ],
    );
}

/// A Pod with a required term over zones.
fn wanting(what: &str, app: &str) -> Object {
    let term = json!([{"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}}]);
    waiting(
        "p",
        "app=p",
        json!({"affinity": {what: {"requiredDuringSchedulingIgnoredDuringExecution": term}}}),
    )
}

#[test]
fn what_helps_a_pod_that_wanted_others_near_or_far() {
    let web = placed("web", "app=web", "n", json!({}));
    let db = relabelled(&web, "app", "db");
    let homeless = waiting("web", "app=web", json!({}));
    let (plain, zoned, moved) = (labelled("n", "disk=ssd"), labelled("n", "zone=1"), labelled("n", "zone=2"));
    let other_label = with_label(&zoned, "a", "b");
    check(
        "InterPodAffinity",
        &wanting("podAffinity", "web"),
        &[
            ("a Pod that it wants gets a node", None, Some(&web), true),
            ("another Pod gets a node", None, Some(&db), false),
            ("a Pod becomes one that it wants", Some(&db), Some(&web), true),
            ("a Pod is one no longer", Some(&web), Some(&db), false),
            ("a Pod that it wants goes", Some(&web), None, false),
            ("a Pod without a node comes", None, Some(&homeless), false),
            ("a node with the key comes", None, Some(&zoned), true),
            ("a node without the key comes", None, Some(&plain), false),
            ("a node gets the key", Some(&plain), Some(&zoned), true),
            ("a node loses the key", Some(&zoned), Some(&plain), false),
            ("a node moves", Some(&zoned), Some(&moved), true),
            ("a node gets another label", Some(&zoned), Some(&other_label), false),
        ],
    );
    check(
        "InterPodAffinity",
        &wanting("podAntiAffinity", "web"),
        &[
            ("a Pod that it shuns goes", Some(&web), None, true),
            ("another Pod goes", Some(&db), None, false),
            ("a Pod is no longer one that it shuns", Some(&web), Some(&db), true),
            ("a Pod becomes one that it shuns", Some(&db), Some(&web), false),
            ("a Pod that it shuns gets a node", None, Some(&web), false),
            ("any node comes", None, Some(&plain), true),
            ("a node loses the key", Some(&zoned), Some(&plain), true),
            ("a node gets the key", Some(&plain), Some(&zoned), false),
            ("a node moves", Some(&zoned), Some(&moved), true),
        ],
    );
}

fn spread(policy: &str) -> Value {
    json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": policy, "labelSelector": {"matchLabels": {"app": "web"}}}]})
}

#[test]
fn what_helps_a_pod_that_would_have_been_uneven() {
    let refused = waiting("p", "app=web", spread("Ignore"));
    let honouring = waiting("p", "app=web", spread("Honor"));
    let web = placed("web", "app=web", "n", json!({}));
    let db = relabelled(&web, "app", "db");
    let elsewhere = pod_change(&web, |pod| pod.meta.namespace = "other".into());
    let louder = relabelled(&web, "tier", "1");
    let (plain, zoned, moved) = (labelled("n", "disk=ssd"), labelled("n", "zone=1"), labelled("n", "zone=2"));
    let closed = tainted(&zoned, TaintEffect::NoSchedule);
    check(
        "PodTopologySpread",
        &refused,
        &[
            ("a counted Pod gets a node", None, Some(&web), true),
            ("a counted Pod goes", Some(&web), None, true),
            ("another Pod goes", Some(&db), None, false),
            ("a counted Pod of another namespace goes", Some(&elsewhere), None, false),
            ("a Pod begins to count", Some(&db), Some(&web), true),
            ("a Pod counts no longer", Some(&web), Some(&db), true),
            ("a counted Pod gets another label", Some(&web), Some(&louder), false),
            ("the Pod gets a toleration", Some(&refused), Some(&tolerant(&refused)), false),
            ("a node with the key comes", None, Some(&zoned), true),
            ("a node without the key comes", None, Some(&plain), false),
            ("a node with the key goes", Some(&zoned), None, true),
            ("a node without the key goes", Some(&plain), None, false),
            ("a node gets the key", Some(&plain), Some(&zoned), true),
            ("a node moves", Some(&zoned), Some(&moved), true),
            ("a node's taints change", Some(&zoned), Some(&closed), true),
            ("a node gets another label", Some(&zoned), Some(&with_label(&zoned, "a", "b")), false),
        ],
    );
    check(
        "PodTopologySpread",
        &honouring,
        &[(
            "the Pod gets a toleration and taints count",
            Some(&honouring),
            Some(&tolerant(&honouring)),
            true,
        )],
    );
}

#[test]
fn what_helps_a_pod_whose_disk_was_in_use() {
    let refused = user("p", &["data"]);
    let (same, other) = (bound(&user("o", &["data"]), "n"), bound(&user("o", &["logs"]), "n"));
    let elsewhere = pod_change(&same, |pod| pod.meta.namespace = "other".into());
    let disk = |name: &str, id: &str| {
        let source = json!({"name": "d", "awsElasticBlockStore": {"volumeID": id}});
        waiting(name, "", json!({"volumes": [source]}))
    };
    check(
        "VolumeRestrictions",
        &refused,
        &[
            ("a Pod with the claim goes", Some(&same), None, true),
            ("a Pod with another claim goes", Some(&other), None, false),
            ("a Pod of another namespace goes", Some(&elsewhere), None, false),
            ("the claim comes", None, Some(&claim("default", "data", "ReadWriteOnce", "", "")), true),
            ("another claim comes", None, Some(&claim("default", "logs", "ReadWriteOnce", "", "")), false),
            ("a node comes", None, Some(&node("n", "z", 1)), true),
        ],
    );
    check(
        "VolumeRestrictions",
        &disk("p", "vol-1"),
        &[
            ("a Pod with the disk goes", Some(&bound(&disk("o", "vol-1"), "n")), None, true),
            ("a Pod with another disk goes", Some(&bound(&disk("o", "vol-2"), "n")), None, false),
        ],
    );
}

/// A CSINode with one driver that takes so many volumes.
fn csi_node(count: i32) -> Object {
    let driver = json!({"name": "d", "nodeID": "n", "topologyKeys": [], "allocatable": {"count": count}});
    object(Kind::CsiNode, json!({"metadata": {"name": "n"}, "spec": {"drivers": [driver]}}))
}

#[test]
fn what_helps_a_pod_for_whose_volumes_there_was_no_slot() {
    let refused = user("p", &["data"]);
    let attachment = object(
        Kind::VolumeAttachment,
        json!({"metadata": {"name": "a"}, "spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}),
    );
    let data = claim("default", "data", "ReadWriteOnce", "", "");
    check(
        "NodeVolumeLimits",
        &refused,
        &[
            ("a CSINode comes", None, Some(&csi_node(1)), true),
            ("a CSINode takes more", Some(&csi_node(1)), Some(&csi_node(2)), true),
            ("a CSINode takes less", Some(&csi_node(2)), Some(&csi_node(1)), false),
            ("a Pod with volumes goes", Some(&bound(&user("o", &["x"]), "n")), None, true),
            ("a Pod with volumes that had no node goes", Some(&user("o", &["x"])), None, false),
            ("a Pod without volumes goes", Some(&bound(&pod("o", 1), "n")), None, false),
            ("the claim comes", None, Some(&data), true),
            ("another claim comes", None, Some(&claim("default", "logs", "ReadWriteOnce", "", "")), false),
            (
                "the claim changes",
                Some(&data),
                Some(&claim("default", "data", "ReadWriteOnce", "c", "")),
                false,
            ),
            ("a volume is detached", Some(&attachment), None, true),
            ("a volume is attached", None, Some(&attachment), false),
        ],
    );
    let without = pod("p", 1);
    check("NodeVolumeLimits", &without, &[("a volume is detached", Some(&attachment), None, false)]);
}

#[test]
fn what_helps_a_pod_whose_claims_were_not_bound() {
    let refused = user("p", &["data"]);
    let of_zone = |zone: &str| {
        let term = json!([{"matchLabelExpressions": [{"key": "zone", "values": [zone]}]}]);
        object(
            Kind::StorageClass,
            json!({"metadata": {"name": "c"}, "provisioner": "d", "allowedTopologies": term}),
        )
    };
    let retained = object(
        Kind::StorageClass,
        json!({"metadata": {"name": "c"}, "provisioner": "d",
        "reclaimPolicy": "Retain", "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["1"]}]}]}),
    );
    let volume = |zone: &str| {
        object(
            Kind::PersistentVolume,
            json!({"metadata": {"name": "v", "labels": {"topology.kubernetes.io/zone": zone}},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}}}),
        )
    };
    let capacity = |size: &str| {
        object(
            Kind::CsiStorageCapacity,
            json!({"metadata": {"name": "c", "namespace": "default"},
            "storageClassName": "c", "capacity": size}),
        )
    };
    let driver = |capacity: bool| {
        object(Kind::CsiDriver, json!({"metadata": {"name": "d"}, "spec": {"storageCapacity": capacity}}))
    };
    let migrated = object(
        Kind::CsiNode,
        json!({"metadata": {"name": "n", "annotations":
        {"storage.alpha.kubernetes.io/migrated-plugins": "kubernetes.io/aws-ebs"}}, "spec": {"drivers": []}}),
    );
    let plain = object(Kind::CsiNode, json!({"metadata": {"name": "n"}, "spec": {"drivers": []}}));
    let data = claim("default", "data", "ReadWriteOnce", "c", "");
    let bound_data = claim("default", "data", "ReadWriteOnce", "c", "v");
    let logs = claim("default", "logs", "ReadWriteOnce", "c", "");
    let (bare, zoned) = (labelled("n", "disk=ssd"), labelled("n", "zone=1"));
    check(
        "VolumeBinding",
        &refused,
        &[
            ("a class comes", None, Some(&of_zone("1")), true),
            ("a class allows another zone", Some(&of_zone("1")), Some(&of_zone("2")), true),
            ("a class changes otherwise", Some(&of_zone("1")), Some(&retained), false),
            ("the claim comes", None, Some(&data), true),
            ("the claim is bound", Some(&data), Some(&bound_data), true),
            ("another claim comes", None, Some(&logs), false),
            ("a volume comes", None, Some(&volume("1")), true),
            ("a node comes", None, Some(&bare), true),
            ("a node's labels change", Some(&bare), Some(&zoned), true),
            ("a CSINode comes", None, Some(&csi_node(1)), true),
            ("a CSINode's limit changes", Some(&csi_node(1)), Some(&csi_node(2)), false),
            ("a CSINode migrates a plugin", Some(&plain), Some(&migrated), true),
            ("a capacity comes", None, Some(&capacity("1Gi")), true),
            ("a capacity grows", Some(&capacity("1Gi")), Some(&capacity("2Gi")), true),
            ("a capacity shrinks", Some(&capacity("2Gi")), Some(&capacity("1Gi")), false),
            ("a driver comes", None, Some(&driver(true)), false),
            (
                "a driver that the Pod does not use inline changes",
                Some(&driver(true)),
                Some(&driver(false)),
                false,
            ),
        ],
    );
    let inline = waiting("p", "", json!({"volumes": [{"name": "v", "csi": {"driver": "d"}}]}));
    check(
        "VolumeBinding",
        &inline,
        &[
            ("the driver no longer publishes capacity", Some(&driver(true)), Some(&driver(false)), true),
            ("the driver begins to", Some(&driver(false)), Some(&driver(true)), false),
        ],
    );
    check(
        "VolumeZone",
        &refused,
        &[
            ("a class that waits comes", None, Some(&class("c", "d", "WaitForFirstConsumer")), true),
            ("an immediate class comes", None, Some(&class("c", "d", "Immediate")), false),
            ("the claim is bound", Some(&data), Some(&bound_data), true),
            ("another claim comes", None, Some(&logs), false),
            ("a volume comes", None, Some(&volume("1")), true),
            ("a volume moves", Some(&volume("1")), Some(&volume("2")), true),
            ("a volume changes otherwise", Some(&volume("1")), Some(&volume("1")), false),
            ("a node comes", None, Some(&bare), true),
        ],
    );
}

#[test]
fn what_helps_a_pod_that_is_held_back() {
    let gated = waiting("p", "", json!({"schedulingGates": [{"name": "wait"}]}));
    let free = pod("p", 100);
    let other = (waiting("o", "", json!({"schedulingGates": [{"name": "wait"}]})), pod("o", 100));
    check(
        "SchedulingGates",
        &gated,
        &[
            ("its last gate goes", Some(&gated), Some(&free), true),
            ("another Pod's last gate goes", Some(&other.0), Some(&other.1), false),
            ("its labels change", Some(&gated), Some(&relabelled(&gated, "a", "b")), false),
            ("a node comes", None, Some(&node("n", "z", 1)), false),
        ],
    );
    // What preemption holds back it lets go itself.
    let gone = bound(&pod("gone", 1), "n");
    check("DefaultPreemption", &free, &[("a placed Pod goes", Some(&gone), None, false)]);
}
