//! Which groups grow, by how much, and what is said of it.

use super::*;

/// Nodes bought per group for these Pods, at the first loop.
fn bought(flags: &Flags, text: &str, pods: &str) -> Vec<i64> {
    let groups = groups(text);
    let mut tank = Tank::new(&groups, flags).pods(pods);
    tank.until(10);
    tank.targets().iter().zip(&groups).map(|(new, old)| i64::from(*new) - i64::from(old.size)).collect()
}

/// `count` Pods `p0 … ` of this request.
fn many(count: usize, request: &str) -> String {
    (0..count).map(|i| format!("p{i} {request}")).collect::<Vec<_>>().join(";")
}

/// `§3.4`: groups of equal Pods, the largest first; the newest node is filled, else one more is added.
#[test]
fn the_estimator_packs_as_upstream_does() {
    let small = "w a 0 0 20 2 8 100";
    for (group, pods, nodes) in [
        (small, many(1, "500m"), 1),
        (small, many(4, "500m"), 1),
        (small, many(5, "500m"), 2),
        (small, many(3, "1100m"), 3),
        (small, many(9, "700m"), 5),
        // Memory decides as well as CPU does.
        (small, many(5, "100m/3Gi"), 3),
        // Large Pods first: two of 1200m need two nodes, and four of 400m go beside them.
        (small, format!("big0 1200m;big1 1200m;{}", many(4, "400m")), 2),
        // In the order of size, whatever the order in which they came.
        (small, format!("{};big0 1200m;big1 1200m", many(4, "400m")), 2),
        // A Pod that fits no node is no reason to add any.
        (small, "giant 3".to_owned(), 0),
        (small, "giant 3;small 500m".to_owned(), 1),
        // No more than the group may have.
        ("w a 1 0 3 2 8 100", many(9, "1500m"), 2),
        // Pods that ask for nothing: as many as fit.
        ("w a 0 0 20 2 8 100", many(3, "0"), 1),
    ] {
        assert_eq!(bought(&Flags::default(), group, &pods), [nodes], "{group}: {pods}");
    }
}

/// `§3.2` 8 and 9: Pods that fit nodes that are there or will come buy nothing.
#[test]
fn what_fits_what_is_there_or_will_come_buys_nothing() {
    let group = "w a 1 0 9 2 8 100";
    assert_eq!(bought(&Flags::default(), group, "run 1500m w-1;p 500m"), [0]);
    assert_eq!(bought(&Flags::default(), group, "run 1500m w-1;p 600m"), [1]);
    // The most important Pods take the room first.
    let mut tank = Tank::of(group).pods("run 1 w-1;low 900m");
    tank.pod_with("high", "900m", None, json!({"spec": {"priority": 10}}));
    tank.until(10);
    assert_eq!(tank.said("Pod", "TriggeredScaleUp"), ["pod triggered scale-up: [{w 1->2 (max: 9)}]"]);
    let told: Vec<_> = tank.store.events().map(|e| e.regarding.name.to_string()).collect();
    assert!(told.contains(&"low".to_owned()) && !told.contains(&"high".to_owned()), "{told:?}");
    // The machine boots for a minute; meanwhile every loop knows that it comes.
    tank.pod_with("next", "1", None, json!({}));
    tank.until(50);
    assert_eq!(tank.targets(), [2]);
    tank.pod_with("last", "1", None, json!({}));
    tank.until(60);
    assert_eq!(tank.targets(), [3]);
}

/// `§3.5`, through the whole of a loop.
#[test]
fn expanders_choose_among_groups_that_fit() {
    let two = "small a 0 0 9 2 4 100;large a 0 0 9 8 16 500";
    let with = |chain: &[&str]| Flags {
        expander: chain.iter().map(|name| Str::from(*name)).collect(),
        ..Flags::default()
    };
    for (chain, pods, expected) in [
        // Small nodes waste (2-1.5)/2 of CPU each, the large one (8-1.5)/8.
        (&["least-waste"][..], many(1, "1500m/3Gi"), [1, 0]),
        (&["least-waste"], many(5, "1500m/3Gi"), [0, 1]),
        (&["least-nodes"], many(4, "1500m/1Gi"), [0, 1]),
        (&["most-pods"], many(12, "1500m/1Gi"), [0, 3]),
        (&["price"], many(1, "1500m/1Gi"), [1, 0]),
        (&["most-pods", "least-nodes"], many(4, "1500m/1Gi"), [0, 1]),
        // What only one group can hold decides before any expander.
        (&["least-waste"], many(1, "3/1Gi"), [0, 1]),
    ] {
        assert_eq!(bought(&with(chain), two, &pods), expected, "{chain:?} {pods}");
    }
}

/// `§3.7`: groups that differ in their zone only share a scale-up, the smallest first.
#[test]
fn similar_groups_are_balanced() {
    let balance = Flags { balance_similar_node_groups: true, ..Flags::default() };
    for (groups, pods, expected) in [
        ("x a 0 0 9 2 8 100;y b 0 0 9 2 8 100", 4, vec![2, 2]),
        ("x a 3 0 9 2 8 100;y b 1 0 9 2 8 100;z c 1 0 9 2 8 100", 4, vec![0, 2, 2]),
        // A full group gets none, and the others more.
        ("x a 1 0 1 2 8 100;y b 0 0 9 2 8 100", 3, vec![0, 3]),
        // Other machines are not alike, nor is memory that differs by more than 1.5 %.
        ("x a 0 0 9 2 8 100;y b 0 0 9 4 8 100", 2, vec![0, 1]),
        ("x a 0 0 9 2 16 100;y b 0 0 9 2 15 100", 2, vec![0, 2]),
    ] {
        let used: String = groups
            .split(';')
            .flat_map(|g| {
                let words: Vec<&str> = g.split_whitespace().collect();
                let size: usize = words[2].parse().unwrap();
                (1..=size)
                    .map(move |n| format!(";run-{}-{n} 1900m {}-{n}", words[0], words[0]))
                    .collect::<Vec<_>>()
            })
            .collect();
        let pods = format!("{}{used}", many(pods, "1500m"));
        assert_eq!(bought(&balance, groups, &pods), expected, "{groups}");
    }
    // Without the flag all go to one group.
    let one = bought(&Flags::default(), "x a 0 0 9 2 8 100;y b 0 0 9 2 8 100", &many(4, "1500m"));
    assert!(one == [4, 0] || one == [0, 4], "{one:?}");
}

/// `§3.8`: the number counts groups, whatever the sentence seems to say.
#[test]
fn what_does_not_trigger_a_scale_up_is_told_why() {
    for (groups, pod, expected) in [
        ("w a 0 0 9 2 8 100", "3", "pod didn't trigger scale-up: 1 Insufficient cpu"),
        ("w a 0 0 9 2 8 100;v b 0 0 9 2 8 100", "3", "pod didn't trigger scale-up: 2 Insufficient cpu"),
        ("w a 1 0 1 2 8 100", "2100m", "pod didn't trigger scale-up: 1 max node group size reached"),
        (
            "w a 1 0 1 2 8 100;v b 0 0 9 2 8 100",
            "1/9Gi",
            "pod didn't trigger scale-up: 1 Insufficient memory, 1 max node group size reached",
        ),
    ] {
        let mut tank = Tank::of(groups).pods(&format!("p {pod}"));
        tank.until(10);
        assert_eq!(tank.said("Pod", "NotTriggerScaleUp"), [expected], "{groups}");
    }
    let mut tank = Tank::of("w a 0 0 9 2 8 100");
    tank.pod_with("p", "1", None, json!({"spec": {"nodeSelector": {"topology.kubernetes.io/zone": "b"}}}));
    tank.until(10);
    let expected = "pod didn't trigger scale-up: 1 node(s) didn't match Pod's node affinity/selector";
    assert_eq!(tank.said("Pod", "NotTriggerScaleUp"), [expected]);
}

/// `§3.8`: nothing is said of Pods that are left over in a loop that did buy something.
#[test]
fn one_group_grows_in_a_loop_and_leftovers_hear_nothing() {
    let mut tank = Tank::of("w a 0 0 9 2 8 100").pods("giant 3;p 1");
    tank.until(10);
    assert_eq!(tank.targets(), [1]);
    assert!(tank.said("Pod", "NotTriggerScaleUp").is_empty());
    tank.until(20);
    assert_eq!(tank.said("Pod", "NotTriggerScaleUp"), ["pod didn't trigger scale-up: 1 Insufficient cpu"]);
    assert_eq!(
        tank.said("ConfigMap", "ScaledUpGroup"),
        [
            "Scale-up: setting group w size to 1 instead of 0 (max: 9)",
            "Scale-up: group w size set to 1 instead of 0 (max: 9)"
        ]
    );
}

/// `§3.1` and `§3.2` 11.
#[test]
fn the_cluster_may_be_limited_to_so_many_nodes() {
    let flags = Flags { max_nodes_total: 3, ..Flags::default() };
    let full = "r1 1900m w-1;r2 1900m w-2;";
    assert_eq!(bought(&flags, "w a 2 0 9 2 8 100", &format!("{full}{}", many(4, "1500m"))), [1]);
    let mut tank = Tank::new(&groups("w a 3 0 9 2 8 100"), &flags);
    tank = tank.pods(&format!("{full}r3 1900m w-3;p 1500m"));
    tank.until(10);
    assert_eq!(tank.targets(), [3]);
    let expected = "pod didn't trigger scale-up: max total nodes in cluster reached";
    assert_eq!(tank.said("Pod", "NotTriggerScaleUp"), [expected]);
    assert_eq!(tank.said("ConfigMap", "MaxNodesTotalReached"), ["Max total nodes in cluster reached: 3"]);
}

/// `§3.1`: Pods of a priority below -10 neither buy nor keep nodes; `§3.2` 10: nor do young ones.
#[test]
fn expendable_and_young_pods_do_not_count() {
    let mut tank = Tank::of("w a 0 0 9 2 8 100");
    tank.pod_with("p", "1", None, json!({"spec": {"priority": -11}}));
    tank.until(30);
    assert_eq!(tank.targets(), [0]);
    tank.pod_with("q", "1", None, json!({"spec": {"priority": -10}}));
    tank.until(60);
    assert_eq!(tank.targets(), [1]);
    for (flag, annotation, at) in [(0, "35s", 40), (35, "5s", 40), (0, "nonsense", 10)] {
        let delay = SimDuration::from_secs(flag);
        let mut tank = Tank::new(
            &groups("w a 0 0 9 2 8 100"),
            &Flags { new_pod_scale_up_delay: delay, ..Flags::default() },
        );
        let annotations = json!({"cluster-autoscaler.kubernetes.io/pod-scale-up-delay": annotation});
        tank.pod_with("p", "1", None, json!({"metadata": {"annotations": annotations}}));
        tank.until(at - 1);
        assert_eq!(tank.targets(), [0], "{flag} {annotation}");
        tank.until(at);
        assert_eq!(tank.targets(), [1], "{flag} {annotation}");
    }
}

/// `§3.2` 11: more Pods may come, so the loop after next is waited for.
#[test]
fn pods_that_are_all_new_wait_one_loop() {
    let mut tank = Tank::of("w a 0 0 9 2 8 100");
    tank.until(19);
    tank.pod_with("p", "1", None, json!({}));
    tank.until(29);
    assert_eq!(tank.targets(), [0]);
    tank.until(30);
    assert_eq!(tank.targets(), [1]);
    let mut tank = Tank::of("w a 0 0 9 2 8 100");
    tank.until(18);
    tank.pod_with("p", "1", None, json!({}));
    tank.until(20);
    assert_eq!(tank.targets(), [1]);
}

/// `§3.6`: a real node is the model, then the one that was, then what the cloud says.
#[test]
fn templates_come_from_nodes_from_memory_or_from_the_cloud() {
    let told =
        |labels: &[(&'static str, &'static str)], without: &[&str]| crate::cloud::group::TemplateTags {
            labels: labels.iter().copied().collect(),
            taints: Vec::new(),
            without_labels: without.iter().map(|l| Str::from(*l)).collect(),
        };
    let pool = |tags| {
        let mut groups = groups("w a 0 0 9 2 8 100");
        groups[0].template.labels = [("pool", "web")].into_iter().collect();
        groups[0].template.volume_limits = vec![("ebs.csi.aws.com".into(), Some(25))];
        groups[0].tags = tags;
        groups
    };
    let ebs = "topology.ebs.csi.aws.com/zone";
    for (tags, wanted, value, expected) in [
        // By default the autoscaler knows of an empty group what its nodes will have.
        (None, "pool", "web", 1),
        (None, ebs, "a", 1),
        // With tags of its own it knows what they say, and what the provider knows by itself.
        (Some(told(&[], &[])), "pool", "web", 0),
        (Some(told(&[("pool", "web")], &[])), "pool", "web", 1),
        (Some(told(&[], &[])), ebs, "a", 1),
        (Some(told(&[], &[])), "topology.kubernetes.io/zone", "a", 1),
        (Some(told(&[], &[ebs])), ebs, "a", 0),
    ] {
        let mut tank = Tank::new(&pool(tags.clone()), &Flags::default());
        tank.pod_with("p", "1", None, json!({"spec": {"nodeSelector": {wanted: value}}}));
        tank.until(10);
        assert_eq!(tank.targets(), [expected], "{tags:?} {wanted}");
    }
    // A group that had a node is remembered with what that node had.
    let mut tank = Tank::new(&pool(Some(told(&[], &[]))), &Flags::default()).pods("p 1");
    tank.until(200);
    assert_eq!(tank.nodes(), ["w-1"]);
    tank.store.delete::<Pod>(&ObjectKey::new("default", "p"), &DeleteOptions::force()).unwrap();
    tank.until(1500);
    assert!(tank.nodes().is_empty());
    tank.pod_with("q", "1", None, json!({"spec": {"nodeSelector": {"pool": "web"}}}));
    tank.until(1520);
    assert_eq!(tank.targets(), [1]);
}

/// `§7` 28: a group over several zones is simulated in one, and the cloud picks another.
#[test]
fn a_group_over_zones_is_simulated_in_its_first() {
    let mut tank = Tank::of("w a+b 1 0 4 2 8 100").pods("run 1900m w-1");
    let zone = |zone: &str| json!({"spec": {"nodeSelector": {"topology.kubernetes.io/zone": zone}}});
    tank.pod_with("here", "1", None, zone("a"));
    tank.pod_with("there", "1", None, zone("b"));
    tank.until(10);
    // The new machine goes to b, where there is none; the autoscaler believes it goes to a.
    assert_eq!(tank.targets(), [2]);
    tank.until(100);
    assert_eq!(tank.store.find::<Node>("", "w-2").unwrap().zone(), "b");
    // Now there is a node for the one in b; for the one in a another is bought.
    assert_eq!(tank.targets(), [3]);
}
