//! What flags do that are not at their defaults, and limits that are.

use super::*;

fn daemon() -> serde_json::Value {
    json!({"metadata": {"ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "agent", "controller": true}]}})
}

/// `§3.1`, nodes per scale-up: no more at once, the rest in the next loop.
#[test]
fn a_scale_up_has_a_size() {
    let flags = Flags { max_nodes_per_scaleup: 2, ..Flags::default() };
    let mut tank = Tank::new(&groups("w a 0 0 9 2 8 100"), &flags).pods("p 1500m;q 1500m;r 1500m");
    tank.until(10);
    assert_eq!(tank.targets(), [2]);
    tank.until(20);
    assert_eq!(tank.targets(), [3]);
}

/// `§3.1`, soft taints: ten nodes are marked in a loop.
#[test]
fn candidates_are_marked_ten_at_a_time() {
    let mut tank = Tank::of("w a 14 0 20 2 8 100");
    let marked = |tank: &Tank| {
        tank.store.list::<Node>().filter(|node| taints::has_taint(node, TAINT_CANDIDATE)).count()
    };
    tank.until(0);
    assert_eq!(marked(&tank), 10);
    tank.until(10);
    assert_eq!(marked(&tank), 14);
}

/// `§3.1`, graceful termination, and `§3.10`: the grace of an eviction is the Pod's own, at most ten minutes.
#[test]
fn nobody_is_waited_for_longer_than_ten_minutes() {
    for (own, expected) in [(30, 30), (600, 600), (3600, 600)] {
        let mut tank = Tank::of("w a 2 0 9 2 8 100").pods("b 1500m w-2");
        let spec = json!({"spec": {"terminationGracePeriodSeconds": own}});
        tank.pod_with("a", "400m", Some("w-1"), spec);
        tank.until(620);
        assert_eq!(tank.graces, [expected]);
    }
}

/// `§3.1`, DaemonSet eviction: Pods of DaemonSets are evicted from drained nodes, and from empty ones if asked.
#[test]
fn daemons_of_nodes_that_go_are_evicted_or_not() {
    for (empty, occupied, pods, expected) in [
        (false, true, "", &[][..]),
        (true, true, "", &["agent"]),
        (false, true, "a 400m w-1", &["agent", "a"]),
        (false, false, "a 400m w-1", &["a"]),
    ] {
        let flags = Flags {
            daemonset_eviction_for_empty_nodes: empty,
            daemonset_eviction_for_occupied_nodes: occupied,
            ..Flags::default()
        };
        let mut tank = Tank::new(&groups("w a 2 0 9 2 8 100"), &flags).pods("b 1500m w-2").pods(pods);
        let set = json!({"metadata": {"name": "agent", "namespace": "default"}, "spec": {
            "selector": {"matchLabels": {"app": "agent"}}, "template": {"metadata": {"labels": {"app": "agent"}},
            "spec": {"containers": [{"name": "c", "image": "app:1"}]}}}});
        tank.store.create_object(lower::from_json(Kind::DaemonSet, set).unwrap()).unwrap();
        tank.pod_with("agent", "10m", Some("w-1"), daemon());
        tank.until(620);
        let evicted: Vec<&str> = tank.evicted.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(evicted, expected, "{empty} {occupied} {pods}");
    }
}

/// `§3.1`, cordon, and the delay after the taint.
#[test]
fn nodes_are_cordoned_and_given_time_as_the_flags_say() {
    for (cordons, delay) in [(true, 5), (false, 60)] {
        let flags = Flags {
            cordon_node_before_terminating: cordons,
            node_delete_delay_after_taint: SimDuration::from_secs(delay),
            ..Flags::default()
        };
        let mut tank = Tank::new(&groups("w a 1 0 9 2 8 100"), &flags);
        tank.until(610 + delay - 1);
        let node = tank.store.find::<Node>("", "w-1").unwrap();
        assert!(taints::has_taint(node, TAINT_TO_BE_DELETED));
        assert_eq!(node.unschedulable, cordons);
        tank.until(610 + delay);
        assert!(tank.nodes().is_empty());
    }
}

/// `§3.1`, delays, times and thresholds of scaling down: when the second of two nodes goes.
#[test]
fn scaling_down_takes_its_time_by_flags() {
    let minutes = SimDuration::from_mins;
    let base = Flags::default;
    for (what, flags, pods, gone) in [
        ("by default", base(), "run 1900m w-1", 615),
        (
            "unneeded for a minute",
            Flags { scale_down_unneeded_time: minutes(1), ..base() },
            "run 1900m w-1",
            75,
        ),
        (
            "a fifth in use, threshold a tenth",
            Flags { scale_down_utilization_threshold: 0.1, ..base() },
            "run 1200m w-1;a 400m w-2",
            9999,
        ),
        ("a fifth in use, threshold a half", base(), "run 1200m w-1;a 400m w-2", 620),
        ("never", Flags { scale_down_enabled: false, ..base() }, "run 1900m w-1", 9999),
    ] {
        let mut tank = Tank::new(&groups("w a 2 0 9 2 8 100"), &flags).pods(pods);
        tank.until(gone.min(3000) - 1);
        assert_eq!(tank.nodes().len(), 2, "{what}");
        tank.until(gone.min(3000));
        assert_eq!(tank.nodes().len(), if gone > 3000 { 2 } else { 1 }, "{what}");
    }
    // After a deletion the next one waits as long as the flag says.
    let flags = Flags { scale_down_delay_after_delete: minutes(5), max_scale_down_parallelism: 1, ..base() };
    let mut tank = Tank::new(&groups("w a 2 0 9 2 8 100"), &flags);
    tank.until(615);
    assert_eq!(tank.nodes().len(), 1);
    tank.until(914);
    assert_eq!(tank.nodes().len(), 1);
    tank.until(930);
    assert_eq!(tank.nodes().len(), 0);
}

/// `§3.10`, against what is often written: a node that is not ready is held to the threshold like any other.
#[test]
fn a_node_that_is_not_ready_and_well_used_stays() {
    let mut tank = Tank::of("w a 1 0 9 2 8 100").pods("a 1500m w-1");
    tank.set_ready("w-1", false);
    tank.until(3000);
    assert_eq!((tank.nodes().len(), tank.kept("w-1")), (1, Some("NotUnderutilized")));
}

/// `§3.7` and the ratios of `§3.1`: what groups may differ in and still share a scale-up.
#[test]
fn groups_are_alike_within_tolerances() {
    type Change = fn(&mut crate::cloud::group::NodeTemplate);
    let memory = |template: &mut crate::cloud::group::NodeTemplate, share: i64| {
        for list in [&mut template.capacity, &mut template.allocatable] {
            let amount = list.memory() / 1000 * share;
            list.0.insert("memory".into(), crate::base::Quantity::from_bytes(amount));
        }
    };
    let label = |template: &mut crate::cloud::group::NodeTemplate, key: &'static str| {
        template.labels = [(key, "x")].into_iter().collect();
    };
    let cpu = |template: &mut crate::cloud::group::NodeTemplate, milli: i64| {
        template.allocatable.0.insert("cpu".into(), crate::base::Quantity::from_milli(milli));
    };
    let cases: [(&str, Box<dyn Fn(&mut crate::cloud::group::NodeTemplate)>, bool); 9] = [
        ("nothing but the zone", Box::new((|_| {}) as Change), true),
        ("memory by 1.4 %", Box::new(move |t| memory(t, 986)), true),
        ("memory by 1.6 %", Box::new(move |t| memory(t, 984)), false),
        ("allocatable by 4 %", Box::new(move |t| cpu(t, 1920)), true),
        ("allocatable by 6 %", Box::new(move |t| cpu(t, 1880)), false),
        ("a label of one's own", Box::new(move |t| label(t, "pool")), false),
        ("EKS's name of the group", Box::new(move |t| label(t, "eks.amazonaws.com/nodegroup")), true),
        ("kops' name of the group", Box::new(move |t| label(t, "kops.k8s.io/instancegroup")), true),
        ("the instance type", Box::new((|t| t.instance_type = "other".into()) as Change), false),
    ];
    let balance = Flags { balance_similar_node_groups: true, ..Flags::default() };
    for (what, change, alike) in cases {
        // Nodes that are there show what is allocatable; they are full.
        let mut pair = groups("x a 1 0 9 2 8 100;y b 1 0 9 2 8 100");
        change(&mut pair[1].template);
        let pods = "r 1800m x-1;s 1800m y-1;p0 1500m;p1 1500m;p2 1500m;p3 1500m";
        let mut tank = Tank::new(&pair, &balance).pods(pods);
        tank.until(10);
        let targets = tank.targets();
        assert_eq!(targets.iter().sum::<u32>(), 6, "{what}");
        assert_eq!(targets == [3, 3], alike, "{what}: {targets:?}");
    }
}
