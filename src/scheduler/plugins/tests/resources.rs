//! What Pods request and nodes have: NodeResourcesFit, NodeResourcesBalancedAllocation, ImageLocality.

use serde_json::{Value, json};

use super::{ask, inner, score, verdict};
use crate::api::{Deletion, Kind, Object, Phase};
use crate::base::Timestamp;
use crate::scheduler::framework::resources::PodResources;
use crate::scheduler::testing::{bound, node, object, pod, pod_change, pod_with};

/// A Pod whose containers are these.
fn of_containers(containers: Value) -> Object {
    pod_with("p", 0, |pod| pod["spec"]["containers"] = containers)
}

fn container(name: &str, requests: Value) -> Value {
    json!({"name": name, "image": "app:1", "resources": {"requests": requests}})
}

/// A node with this much allocatable.
fn sized(name: &str, allocatable: Value) -> Object {
    object(
        Kind::Node,
        json!({"metadata": {"name": name, "uid": name}, "status": {"allocatable": allocatable}}),
    )
}

#[test]
fn a_request_that_no_empty_node_could_hold_is_beyond_preemption() {
    // Pitfall 10, 9: all that is missing is listed; more than the node ever has is unresolvable.
    let full = bound(&pod("old", 900), "a");
    for (cpu, memory, expected) in [
        ("100m", "1Gi", ""),
        ("200m", "1Gi", "Insufficient cpu"),
        ("1", "1Gi", "Insufficient cpu"),
        ("1001m", "1Gi", "! Insufficient cpu"),
        ("200m", "65Gi", "! Insufficient cpu, Insufficient memory"),
    ] {
        let pod = of_containers(json!([container("c", json!({"cpu": cpu, "memory": memory}))]));
        assert_eq!(verdict(&ask([&node("a", "z", 1000), &full], &pod), "a"), expected, "{cpu} {memory}");
    }
}

#[test]
fn a_pod_without_requests_fits_where_there_is_nothing_left() {
    // Pitfall 14.
    let overcommitted = [node("a", "z", 1000), bound(&pod("old", 2000), "a")];
    for (requests, expected) in [
        (json!({}), ""),
        (json!({"cpu": "0"}), ""),
        (json!({"memory": "1Gi"}), ""),
        (json!({"cpu": "1m"}), "Insufficient cpu"),
    ] {
        let pod = of_containers(json!([container("c", requests.clone())]));
        assert_eq!(verdict(&ask(&overcommitted, &pod), "a"), expected, "{requests}");
    }
}

#[test]
fn extended_resources_and_the_number_of_pods_are_counted() {
    let have =
        json!({"cpu": "4", "memory": "8Gi", "pods": "2", "example.com/gpu": "2", "hugepages-2Mi": "4Mi"});
    let gpu = |name: &str, count: &str| {
        pod_with(name, 100, |pod| {
            pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m", "example.com/gpu": count}, "limits": {"example.com/gpu": count}});
        })
    };
    let one = bound(&gpu("one", "1"), "a");
    for (objects, pod, expected) in [
        (vec![&one], gpu("p", "1"), ""),
        (vec![&one], gpu("p", "2"), "Insufficient example.com/gpu"),
        (vec![&one], gpu("p", "3"), "! Insufficient example.com/gpu"),
        (vec![&one, &bound(&pod("two", 1), "a")], pod("p", 1), "Too many pods"),
        (
            vec![],
            of_containers(json!([container(
                "c",
                json!({"hugepages-2Mi": "6Mi", "memory": "1Gi", "cpu": "1"})
            )])),
            "! Insufficient hugepages-2Mi",
        ),
        (
            vec![],
            of_containers(json!([container("c", json!({"ephemeral-storage": "1Gi"}))])),
            "! Insufficient ephemeral-storage",
        ),
    ] {
        let node = sized("a", have.clone());
        let found = ask(objects.into_iter().chain([&node]), &pod);
        assert_eq!(verdict(&found, "a"), expected);
    }
}

#[test]
fn requests_add_up_over_containers_sidecars_init_containers_pod_level_and_overhead() {
    let cpu = |milli: i64| json!({"cpu": format!("{milli}m")});
    let init = |name: &str, milli, sidecar: bool| {
        let mut container = container(name, cpu(milli));
        if sidecar {
            container["restartPolicy"] = json!("Always");
        }
        container
    };
    for (what, spec, expected) in [
        ("containers", json!({}), 100),
        (
            "an init container is not there at the same time",
            json!({"initContainers": [init("i", 1000, false)]}),
            1000,
        ),
        ("a sidecar is", json!({"initContainers": [init("s", 1000, true)]}), 1100),
        // Pitfall 15: the order matters.
        (
            "an init container before a sidecar",
            json!({"initContainers": [init("i", 1000, false), init("s", 1000, true)]}),
            1100,
        ),
        (
            "an init container after a sidecar",
            json!({"initContainers": [init("s", 1000, true), init("i", 1000, false)]}),
            2000,
        ),
        // Pitfall 16: the pod's own requests replace the sum, overhead comes on top.
        ("pod-level requests", json!({"resources": {"requests": cpu(250)}}), 250),
        ("overhead", json!({"overhead": cpu(50)}), 150),
        ("both", json!({"resources": {"requests": cpu(250)}, "overhead": cpu(50)}), 300),
    ] {
        let pod = super::waiting("p", "", spec);
        assert_eq!(PodResources::of(inner(&pod)).requests.milli_cpu, expected, "{what}");
        let (fits, full) = (node("a", "z", expected), node("b", "z", expected - 1));
        assert_eq!(super::verdicts(&ask([&fits, &full], &pod)), ["", "! Insufficient cpu"], "{what}");
    }
    let fractions = of_containers(json!([container("c", json!({"memory": "1500m", "cpu": "1"}))]));
    assert_eq!(PodResources::of(inner(&fractions)).requests.memory, 2, "Pitfall 18: rounded up");
}

#[test]
fn a_resized_pod_holds_the_most_of_what_it_asks_for_has_and_was_given() {
    // Pitfall 17, in-place resize.
    for (spec, actual, allocated, infeasible, expected) in [
        ("500m", "500m", "500m", false, 500),
        ("800m", "500m", "500m", false, 800),
        ("200m", "500m", "200m", false, 500),
        ("200m", "200m", "300m", false, 300),
        ("800m", "500m", "500m", true, 500),
    ] {
        let pod = pod_with("p", 0, |pod| {
            pod["spec"]["nodeName"] = json!("a");
            pod["spec"]["containers"] = json!([container("c", json!({"cpu": spec}))]);
            let reason = if infeasible { "Infeasible" } else { "Deferred" };
            pod["status"] = json!({
                "phase": "Running",
                "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
                "containerStatuses": [{"name": "c", "image": "app:1", "imageID": "", "ready": true, "restartCount": 0,
                    "resources": {"requests": {"cpu": actual}}, "allocatedResources": {"cpu": allocated}}],
            });
        });
        let held = PodResources::of(inner(&pod)).requests.milli_cpu;
        assert_eq!(held, expected, "{spec} {actual} {allocated} {infeasible}");
        let room = super::waiting("next", "", json!({}));
        let (fits, full) = (node("a", "z", expected + 100), node("a", "z", expected + 99));
        assert_eq!(verdict(&ask([&fits, &pod], &room), "a"), "");
        assert_eq!(verdict(&ask([&full, &pod], &room), "a"), "Insufficient cpu");
    }
}

#[test]
fn ended_pods_hold_nothing_and_terminating_ones_all() {
    // Pitfall 18.
    let old = bound(&pod("old", 900), "a");
    let terminating = pod_change(&old, |pod| {
        pod.meta.deletion = Some(Deletion { timestamp: Timestamp::new(0), grace_seconds: Some(30) });
    });
    let ended = pod_change(&old, |pod| pod.status.phase = Phase::Failed);
    for (other, expected) in [(&old, "Insufficient cpu"), (&terminating, "Insufficient cpu"), (&ended, "")] {
        assert_eq!(verdict(&ask([&node("a", "z", 1000), other], &pod("p", 200)), "a"), expected);
    }
}

#[test]
fn scores_count_defaults_per_container_and_no_pod_level_requests() {
    // Pitfall 11, 12, 13. The node has 3 CPU and 8000 MiB.
    let nodes = [
        sized("a", json!({"cpu": "3", "memory": "8000Mi", "pods": "10"})),
        sized("b", json!({"cpu": "3", "memory": "8000Mi", "pods": "10"})),
    ];
    let fit = "NodeResourcesFit";
    let balanced = "NodeResourcesBalancedAllocation";
    let (none, zero) = (json!({}), json!({"cpu": "0", "memory": "0"}));
    let all = |requests: &[&Value]| {
        let containers: Vec<Value> =
            requests.iter().enumerate().map(|(i, r)| container(&format!("c{i}"), (*r).clone())).collect();
        of_containers(json!(containers))
    };
    let pod_level = pod_with("p", 0, |pod| {
        pod["spec"]["containers"] = json!([container("c", json!({}))]);
        pod["spec"]["resources"] = json!({"requests": {"cpu": "1500m", "memory": "4000Mi"}});
    });
    for (what, pod, expected, balance) in [
        // 2900 · 100 / 3000 = 96, 7800 · 100 / 8000 = 97, (96 + 97) / 2 = 96.
        ("no requests", all(&[&none]), 96, None),
        // 93 and 95.
        ("twice", all(&[&none, &none]), 94, None),
        ("zeros", all(&[&zero]), 100, None),
        // 66 and 100: cut off twice. Balance: 1 − |1/3 − 0| / 2.
        ("a third of the CPU", all(&[&json!({"cpu": "1", "memory": "0"})]), 83, Some(83)),
        ("half of both for the whole Pod", pod_level, 96, Some(100)),
    ] {
        let found = ask(&nodes, &pod);
        assert_eq!(score(&found, "a", fit), Some(expected), "{what}");
        assert_eq!(score(&found, "a", balanced), balance, "{what}");
    }
}

#[test]
fn images_count_by_what_of_them_is_there_and_how_many_nodes_have_them() {
    // Pitfall 20. 500 MiB on one of two nodes are worth 250: (250 − 23) of (1000 − 23) per container.
    let with_image = |name: &str, image: &str| {
        let allocatable = json!({"cpu": "4", "memory": "8Gi", "pods": "10"});
        object(
            Kind::Node,
            json!({"metadata": {"name": name, "uid": name}, "status": {"allocatable": allocatable,
                "images": [{"names": [image], "sizeBytes": 500 << 20}]}}),
        )
    };
    let using = |image: &str, init: Option<&str>| {
        pod_with("p", 100, |pod| {
            pod["spec"]["containers"][0]["image"] = json!(image);
            if let Some(init) = init {
                pod["spec"]["initContainers"] = json!([{"name": "i", "image": init}]);
            }
        })
    };
    for (what, present, pod, expected) in [
        ("the tag is the same", "app:1", using("app:1", None), 23),
        ("a missing tag is latest", "app:latest", using("app", None), 23),
        ("another tag", "app:2", using("app:1", None), 0),
        ("the long form of a name is another name", "docker.io/library/app:1", using("app:1", None), 0),
        // (250 − 23) of (2000 − 23).
        ("init containers count", "init:1", using("app:1", Some("init:1")), 11),
    ] {
        let nodes = [with_image("a", present), with_image("b", "other:1")];
        assert_eq!(score(&ask(&nodes, &pod), "a", "ImageLocality"), Some(expected), "{what}");
        assert_eq!(score(&ask(&nodes, &pod), "b", "ImageLocality"), Some(0), "{what}");
    }
}
