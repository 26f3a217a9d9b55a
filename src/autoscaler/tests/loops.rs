//! Constants, and what a loop sees: which Pods count, which nodes are models, what is said and how often.

use super::*;
use crate::api::{Deletion, OwnerReference};
use crate::scheduler::framework::PodInfo;

/// `§3.1`, every flag that is simulated; `§7` 19, 20 and 24.
#[test]
fn flags_are_upstreams() {
    let flags = Flags::default();
    for (found, seconds) in [
        (flags.scan_interval, 10),
        (flags.max_node_provision_time, 15 * 60),
        (flags.initial_node_group_backoff_duration, 5 * 60),
        (flags.max_node_group_backoff_duration, 30 * 60),
        (flags.node_group_backoff_reset_timeout, 3 * 3600),
        (flags.new_pod_scale_up_delay, 0),
        (flags.scale_down_delay_after_add, 10 * 60),
        (flags.scale_down_delay_after_delete, 0),
        (flags.scale_down_delay_after_failure, 3 * 60),
        (flags.scale_down_unneeded_time, 10 * 60),
        (flags.scale_down_unready_time, 20 * 60),
        (flags.max_pod_eviction_time, 2 * 60),
        (flags.node_delete_delay_after_taint, 5),
        (flags.unremovable_node_recheck_timeout, 5 * 60),
        (flags.blocking_system_pod_distruption_timeout, 3600),
    ] {
        assert_eq!(found, SimDuration::from_secs(seconds));
    }
    for (found, expected) in [
        (flags.max_nodes_total, 0),
        (flags.expendable_pods_priority_cutoff, -10),
        (flags.max_nodes_per_scaleup, 1000),
        (flags.max_scale_down_parallelism, 10),
        (flags.max_drain_parallelism, 1),
        (flags.max_graceful_termination_sec, 600),
        (flags.min_replica_count, 0),
        (flags.ok_total_unready_count, 3),
    ] {
        assert_eq!(found, expected);
    }
    for (found, expected) in [
        (flags.scale_down_utilization_threshold, 0.5),
        (flags.scale_down_gpu_utilization_threshold, 0.5),
        (flags.max_total_unready_percentage, 45.0),
        (flags.memory_difference_ratio, 0.015),
        (flags.max_allocatable_difference_ratio, 0.05),
        (flags.max_free_difference_ratio, 0.05),
    ] {
        assert_eq!(found, expected);
    }
    for (found, expected) in [
        (flags.balance_similar_node_groups, false),
        (flags.scale_down_enabled, true),
        (flags.scale_down_unready_enabled, true),
        (flags.skip_nodes_with_system_pods, true),
        (flags.skip_nodes_with_local_storage, true),
        (flags.skip_nodes_with_custom_controller_pods, true),
        (flags.cordon_node_before_terminating, true),
        (flags.daemonset_eviction_for_empty_nodes, false),
        (flags.daemonset_eviction_for_occupied_nodes, true),
        (flags.enforce_node_group_min_size, false),
        (flags.ignore_daemonsets_utilization, false),
        (flags.ignore_mirror_pods_utilization, false),
        (flags.write_status_configmap, true),
    ] {
        assert_eq!(found, expected);
    }
    assert_eq!(flags.expander, ["least-waste"]);
}

/// `§3.2`, what an unschedulable Pod is, and step 9; `§7` 29: only what the scheduler has refused counts.
#[test]
fn only_pods_that_the_scheduler_has_refused_buy_nodes() {
    type Change = fn(&mut Pod);
    let condition = |reason: &'static str, is_true| {
        let status =
            if is_true { crate::api::ConditionStatus::True } else { crate::api::ConditionStatus::False };
        move |pod: &mut Pod| {
            pod.status.conditions = vec![condition::Condition::new(
                "PodScheduled",
                status,
                reason,
                "",
                testkit::calendar().start,
            )];
        }
    };
    let other = condition("SchedulingGated", false);
    let error = condition("SchedulerError", false);
    let placed = condition("", true);
    let cases: [(&str, Box<dyn Fn(&mut Pod)>, u32); 8] = [
        ("refused", Box::new((|_| {}) as Change), 1),
        ("not tried yet", Box::new((|pod| pod.status.conditions.clear()) as Change), 0),
        ("held by a gate", Box::new(other), 0),
        ("met by an error", Box::new(error), 0),
        ("placed", Box::new(placed), 0),
        (
            "on its way out",
            Box::new(|pod: &mut Pod| {
                pod.meta.deletion =
                    Some(Deletion { timestamp: testkit::calendar().start, grace_seconds: Some(30) });
            }),
            0,
        ),
        (
            "a DaemonSet's",
            Box::new(|pod: &mut Pod| {
                let owner = OwnerReference { kind: "DaemonSet".into(), ..pod.meta.owners[0].clone() };
                pod.meta.owners = vec![owner].into();
            }),
            0,
        ),
        ("ended", Box::new(|pod: &mut Pod| pod.status.phase = crate::api::Phase::Failed), 0),
    ];
    for (what, change, expected) in cases {
        let mut tank = Tank::of("w a 0 0 9 2 8 100").pods("p 1");
        let key = ObjectKey::new("default", "p");
        let mut pod = Pod::clone(tank.store.get::<Pod>(&key).unwrap());
        tank.store.delete::<Pod>(&key, &DeleteOptions::force()).unwrap();
        change(&mut pod);
        (pod.meta.name, pod.meta.uid) = ("q".into(), Str::new());
        tank.store.create(pod).unwrap();
        tank.until(30);
        assert_eq!(tank.targets(), [expected], "{what}");
    }
}

/// `§3.2` 2: the room of expendable Pods counts as free; 9: Pods of nodes that are being emptied need a place, too.
#[test]
fn the_simulated_cluster_is_what_it_will_be() {
    let mut tank = Tank::of("w a 1 0 9 2 8 100");
    tank.pod_with("cheap", "1900m", Some("w-1"), json!({"spec": {"priority": -11}}));
    tank.pod_with("p", "1500m", None, json!({}));
    tank.until(30);
    assert_eq!(tank.targets(), [1], "it will be preempted");
    // A node that is drained slowly: in the meantime its Pod's place is taken, so that another node must come.
    let mut tank = Tank::of("w a 2 0 9 2 8 100").pods("a 400m w-1;b 1500m w-2");
    tank.evictions_work = false;
    tank.until(614);
    assert!(tank.store.find::<Node>("", "w-1").unwrap().unschedulable, "it is being emptied");
    tank.pod_with("c", "450m", Some("w-2"), json!({}));
    tank.until(621);
    assert_eq!(tank.targets(), [3]);
    let told: Vec<_> = tank.store.events().filter(|e| e.reason == "TriggeredScaleUp").collect();
    assert_eq!(told.iter().map(|e| e.regarding.name.as_str()).collect::<Vec<_>>(), ["a"]);
}

/// `§3.2` 4: what never registers is given up, but no group falls below its minimum for it.
#[test]
fn giving_up_machines_respects_the_minimum() {
    let mut groups = groups("w a 0 0 9 2 8 100");
    groups[0].bounds = Some((1, 9));
    let mut tank = Tank::new(&groups, &Flags::default()).pods("p 1;q 1500m");
    tank.stuck = true;
    tank.until(940);
    assert_eq!(tank.said("ConfigMap", "DeleteUnregistered").len(), 1, "one of two");
    assert_eq!(tank.targets(), [1]);
}

/// `§3.2` 11, the guard of Pods with GPUs, and `§7` 29: new Pods hold back scaling down as well.
#[test]
fn new_pods_hold_a_loop_back() {
    let mut gpu = groups("w a 0 0 9 2 8 100");
    let template = &mut gpu[0].template;
    for list in [&mut template.capacity, &mut template.allocatable] {
        list.0.insert("nvidia.com/gpu".into(), crate::base::Quantity::from_units(1));
    }
    let asks = json!({"spec": {"containers": [{"name": "c", "image": "app:1", "resources": {
        "requests": {"cpu": "1", "nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}}]}});
    let mut tank = Tank::new(&gpu, &Flags::default());
    tank.pod_with("p", "1", None, asks);
    tank.until(29);
    assert_eq!(tank.targets(), [0]);
    tank.until(30);
    assert_eq!(tank.targets(), [1], "thirty seconds old");
    // The second node is due to go at 610 s. A Pod of a moment ago puts that off by a loop.
    for (born, gone) in [(None, 615), (Some(609), 625), (Some(607), 615)] {
        let mut tank = Tank::of("w a 2 0 9 2 8 100").pods("run 1900m w-1");
        if let Some(born) = born {
            tank.until(born);
            tank.pod_with("p", "3", None, json!({}));
        }
        tank.until(gone - 1);
        assert_eq!(tank.nodes().len(), 2, "{born:?}");
        tank.until(gone);
        assert_eq!(tank.nodes().len(), 1, "{born:?}");
    }
}

/// `§3.3` 1: the same controller, labels and spec; ten groups of a controller, and the rest by themselves.
#[test]
fn pods_that_are_alike_are_one_group() {
    let store = {
        let mut store = testkit::store();
        store.create(testkit::replica_set("web", 3)).unwrap();
        store
    };
    let owner = OwnerReference::controller_of(
        &**store.find::<crate::api::workload::ReplicaSet>("default", "web").unwrap(),
    );
    let pod = |name: &str, app: &str, milli: i64, owned: bool| {
        let pod = json!({"metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
            "spec": {"containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": format!("{milli}m")}}}]}});
        let Object::Pod(pod) = lower::from_json(Kind::Pod, pod).unwrap() else { unreachable!() };
        let mut pod = Pod::clone(&pod);
        pod.meta.owners = owned.then(|| owner.clone()).into_iter().collect();
        PodInfo::new(Arc::new(pod))
    };
    let sizes = |pods: Vec<PodInfo>| pending::groups(&pods).iter().map(|g| g.pods.len()).collect::<Vec<_>>();
    let alike = |count, owned| (0..count).map(|_| pod("p", "web", 100, owned)).collect::<Vec<_>>();
    assert_eq!(sizes(alike(5, true)), [5]);
    assert_eq!(sizes(alike(3, false)), [1, 1, 1], "nobody's Pods are alone");
    assert_eq!(sizes(vec![pod("p", "web", 100, true), pod("q", "other", 100, true)]), [1, 1]);
    assert_eq!(sizes(vec![pod("p", "web", 100, true), pod("q", "web", 200, true)]), [1, 1]);
    // Twelve kinds of Pods, two of each: ten groups of two, and four Pods by themselves.
    let many = (0..24).map(|i| pod("p", "web", 100 + i / 2, true)).collect();
    assert_eq!(sizes(many), [vec![2; 10], vec![1; 4]].concat());
}

/// `§3.3` 2 and 7: why groups are not even tried, in this order; the deadline is in `machines_that_never_register_are_given_up`.
#[test]
fn groups_are_passed_over_for_a_reason() {
    let mut tank = Tank::of("w a 0 0 9 2 8 100;v b 1 0 1 2 8 100").pods("run 1900m v-1;p 1");
    tank.short("a", 100_000);
    tank.until(70);
    let expected =
        "pod didn't trigger scale-up: 1 in backoff after failed scale-up, 1 max node group size reached";
    assert_eq!(tank.said("Pod", "NotTriggerScaleUp"), [expected]);
}

/// `§3.4`, ordering, and `§7` 30 and 31: Pods are ordered by allocatable, options compared by capacity, and a search goes on
/// after the node that was last found.
#[test]
fn the_estimator_is_no_first_fit() {
    let bought = |pods: &str| {
        let mut tank = Tank::of("w a 0 0 20 2 8 100").pods(pods);
        tank.until(10);
        tank.targets()[0]
    };
    // Two nodes with 700m and 800m free. In turn 450m and 240m go to the first, 250m to the second: 10m and 550m are left, which is
    // room for two of 185m. First fit would have left 560m in one place, room for three.
    let before = "a 1300m;b 1200m;c 450m;d 250m;e 240m";
    assert_eq!(bought(&format!("{before};f0 185m;f1 185m;f2 185m")), 3);
    assert_eq!(bought(&format!("{before};f0 185m;f1 185m")), 2);
    // Both groups have machines of 4 cores, of which one leaves only two to Pods. A Pod wastes as much of the capacity of either: a
    // tie, and the price decides. Of what is allocatable it would waste less on the dear one.
    let mut pair = groups("whole a 0 0 9 4 8 100;half b 0 0 9 4 8 500");
    pair[1].template.allocatable.0.insert("cpu".into(), crate::base::Quantity::from_units(2));
    // With nodes of their own the templates keep to what those have.
    pair.iter_mut().for_each(|group| group.size = 1);
    let chain = Flags { expander: vec!["least-waste".into(), "price".into()], ..Flags::default() };
    let mut tank = Tank::new(&pair, &chain).pods("r 3900m whole-1;s 1900m half-1;p 1500m/1Gi");
    tank.until(10);
    assert_eq!(tank.targets(), [2, 1]);
}

/// `§3.6`: a node is a model once it has been ready for more than a minute, takes Pods and is not about to go.
#[test]
fn only_a_settled_node_is_a_model() {
    // The group's machines say `pool: new` by now; the node that is there says `pool: old`.
    let pool = |value: &'static str| json!({"spec": {"nodeSelector": {"pool": value}}});
    let label = |node: &mut Node| node.meta.labels = node.meta.labels.with("pool", "old");
    for (what, born, expected) in [("50 s old", 115, 0), ("70 s old", 135, 1)] {
        let mut tank = Tank::of("w a 0 0 9 2 8 100").pods("p 1500m");
        tank.until(90);
        assert_eq!(tank.nodes(), ["w-1"], "joined at 70 s");
        tank.store.update::<Node>(&ObjectKey::cluster("w-1"), label).unwrap();
        tank.deliver();
        tank.until(born);
        tank.pod_with("q", "1500m", None, pool("old"));
        tank.until(born + 9);
        assert_eq!(tank.targets()[0] - 1, expected, "{what}");
    }
    let mut tank = Tank::of("w a 1 0 9 2 8 100").pods("run 1900m w-1");
    tank.store
        .update::<Node>(&ObjectKey::cluster("w-1"), |node| {
            label(node);
            node.unschedulable = true;
        })
        .unwrap();
    tank.deliver();
    tank.pod_with("q", "1500m", None, pool("old"));
    tank.until(10);
    assert_eq!(tank.targets(), [1], "a cordoned node is no model, and nobody remembers one");
}

/// `§3.6`, the AWS provider: what is known of a group without nodes.
#[test]
fn a_machine_from_nothing_keeps_nothing_back() {
    let mut groups = groups("w a+b 0 0 9 2 8 100");
    groups[0].template.allocatable.0.insert("cpu".into(), crate::base::Quantity::from_milli(1930));
    groups[0].template.capacity.0.insert("pods".into(), crate::base::Quantity::from_units(29));
    // The whole of the capacity counts as allocatable, so that a Pod buys a node that will not take it; 110 Pods fit.
    let mut tank = Tank::new(&groups, &Flags::default()).pods("p 1950m");
    tank.pod_with(
        "zoned",
        "10m",
        None,
        json!({"spec": {"nodeSelector": {"topology.kubernetes.io/zone": "b"}}}),
    );
    tank.until(10);
    assert_eq!(tank.targets(), [1]);
    let many: String = (0..60).map(|i| format!("p{i} 1m;")).collect();
    let mut tank = Tank::new(&groups, &Flags::default()).pods(&many);
    tank.until(10);
    assert_eq!(tank.targets(), [1]);
}

/// `§3.8` and `§7` 22, 23: the words of a zonal volume, counts of groups, and the same thing once in five minutes.
#[test]
fn refusals_are_said_in_the_schedulers_words_and_not_too_often() {
    let mut tank = Tank::of("w a 0 0 9 2 8 100;v c 0 0 9 2 8 100");
    let volume = json!({"metadata": {"name": "disk"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "claimRef": {"namespace": "default", "name": "disk"}, "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["b"]}]}]}}}, "status": {"phase": "Bound"}});
    let claim = json!({"metadata": {"name": "disk", "namespace": "default",
            "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "disk", "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Bound"}});
    for (kind, value) in [(Kind::PersistentVolume, volume), (Kind::PersistentVolumeClaim, claim)] {
        tank.store.create_object(lower::from_json(kind, value).unwrap()).unwrap();
    }
    let uses = json!({"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "disk"}}]}});
    tank.pod_with("p", "1", None, uses);
    tank.until(309);
    let expected = "pod didn't trigger scale-up: 2 node(s) didn't match PersistentVolume's node affinity";
    assert_eq!(tank.said("Pod", "NotTriggerScaleUp"), [expected]);
    let count = |tank: &Tank| {
        let events = tank.store.events().filter(|e| e.reason == "NotTriggerScaleUp");
        events.map(|e| e.count).sum::<i32>()
    };
    assert_eq!(count(&tank), 1);
    tank.until(311);
    assert_eq!(count(&tank), 2);
}

/// `§3.10`: what nodes with GPUs are judged by, long-terminating Pods, and what the other group needs.
#[test]
fn utilization_leaves_out_what_does_not_count() {
    let highest = |tank: &mut Tank| {
        let mut out = Vec::new();
        let ctx = Ctx {
            store: &mut tank.store,
            framework: tank.scheduler.default_framework().unwrap(),
            snapshot: tank.scheduler.snapshot(),
            fleet: &mut tank.fleet,
            latencies: &tank.latencies,
            out: &mut out,
        };
        let found = tank.autoscaler.utilization(&ctx, ctx.snapshot.get("w-1").unwrap());
        (found.highest() * 1000.0).round() as i64
    };
    let mut gpu = groups("w a 1 0 9 2 8 100");
    let template = &mut gpu[0].template;
    for list in [&mut template.capacity, &mut template.allocatable] {
        list.0.insert("nvidia.com/gpu".into(), crate::base::Quantity::from_units(4));
    }
    let mut tank = Tank::new(&gpu, &Flags::default()).pods("a 1900m w-1");
    assert_eq!(highest(&mut tank), 0, "CPU does not count beside GPUs");
    let asks = json!({"spec": {"containers": [{"name": "c", "image": "app:1", "resources": {
        "requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}}]}});
    tank.pod_with("b", "1m", Some("w-1"), asks);
    assert_eq!(highest(&mut tank), 250);
    // Mirror Pods count unless told otherwise, and then in neither part.
    for (ignore, expected) in [(false, 500), (true, 375)] {
        let flags = Flags { ignore_mirror_pods_utilization: ignore, ..Flags::default() };
        let mut tank = Tank::new(&groups("w a 1 0 9 2 8 100"), &flags).pods("a 600m w-1");
        let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
        tank.pod_with("static", "400m", Some("w-1"), mirror);
        assert_eq!(highest(&mut tank), expected);
    }
    // A Pod that should have been gone for longer than its grace and 30 s does not count.
    let mut tank = Tank::of("w a 1 0 9 2 8 100").pods("a 600m w-1;b 400m w-1");
    tank.store.delete::<Pod>(&ObjectKey::new("default", "b"), &DeleteOptions::default()).unwrap();
    tank.deliver();
    for (second, expected) in [(1, 500), (90, 500), (91, 300)] {
        tank.store.advance(SimTime::from_secs(second));
        assert_eq!(highest(&mut tank), expected, "{second}");
    }
}

/// `§3.11` and `§6.5`: a Pod that is refused has its node asked for within a loop and two seconds, wherever in the grid it came.
#[test]
fn the_autoscaler_reacts_within_a_loop_and_a_moment() {
    for born in 20..30 {
        let mut tank = Tank::of("w a 0 0 9 2 8 100");
        tank.until(born);
        tank.pod_with("p", "1", None, json!({}));
        tank.until(born + 12);
        assert_eq!(tank.targets(), [1], "{born}");
    }
    // An idle node goes ten minutes and the five seconds after its taint later: in the first loop after that.
    let mut tank = Tank::of("w a 1 0 9 2 8 100");
    tank.until(614);
    assert_eq!(tank.nodes(), ["w-1"]);
    tank.until(615);
    assert!(tank.nodes().is_empty());
}
