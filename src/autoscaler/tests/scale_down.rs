//! Which nodes go, when, and what keeps them.

use super::*;

/// Runs until then: nodes that are left.
fn left(flags: &Flags, groups: &str, pods: &str, second: u64) -> Vec<String> {
    let mut tank = Tank::new(&super::groups(groups), flags).pods(pods);
    tank.until(second);
    tank.nodes()
}

/// `§3.10`: longer than ten minutes unneeded, 5 s after its taint, never below the minimum.
#[test]
fn nodes_that_nobody_needs_go() {
    let flags = Flags::default();
    for (groups, pods, second, expected) in [
        // First seen at 0 s; at 600 s it is ten minutes and not more.
        ("w a 2 0 9 2 8 100", "run 1900m w-1", 614, &["w-1", "w-2"][..]),
        ("w a 2 0 9 2 8 100", "run 1900m w-1", 615, &["w-1"]),
        ("w a 2 2 9 2 8 100", "run 1900m w-1", 2000, &["w-1", "w-2"]),
        ("w a 3 2 9 2 8 100", "", 2000, &["w-2", "w-3"]),
        // Half of a node is requested: still not more than the threshold.
        ("w a 2 0 9 2 8 100", "a 1 w-1;b 1 w-2", 2000, &["w-2"]),
        ("w a 2 0 9 2 8 100", "a 1001m w-1;b 1001m w-2", 2000, &["w-1", "w-2"]),
        // Memory counts as well as CPU.
        ("w a 2 0 9 2 8 100", "a 10m/5Gi w-1;b 10m/5Gi w-2", 2000, &["w-1", "w-2"]),
        // There is no room for it elsewhere.
        ("w a 2 0 9 2 8 100", "a 900m w-1;b 1200m w-2", 2000, &["w-1", "w-2"]),
    ] {
        assert_eq!(left(&flags, groups, pods, second), expected, "{groups}: {pods}");
    }
}

/// `§3.10`: why nodes stay, in upstream's words.
#[test]
fn what_keeps_a_node_has_a_name() {
    let with = |flags: Flags, groups: &str, pods: &str, second| {
        let mut tank = Tank::new(&super::groups(groups), &flags).pods(pods);
        tank.until(second);
        tank.kept("w-1")
    };
    let default = Flags::default;
    for (flags, groups, pods, second, expected) in [
        (default(), "w a 1 0 9 2 8 100", "a 1500m w-1", 10, Some("NotUnderutilized")),
        (default(), "w a 1 1 9 2 8 100", "", 10, Some("NodeGroupMinSizeReached")),
        (default(), "w a 1 0 9 2 8 100", "", 10, Some("NotUnneededLongEnough")),
        (default(), "w a 1 0 9 2 8 100", "a 100m w-1", 10, Some("NoPlaceToMovePods")),
    ] {
        assert_eq!(with(flags, groups, pods, second), expected, "{groups}: {pods}");
    }
    let mut tank = Tank::of("w a 2 0 9 2 8 100").pods("b 1900m w-2");
    tank.pod_with("a", "100m", Some("w-1"), json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}));
    tank.until(10);
    assert_eq!(tank.kept("w-1"), Some("LocalStorageRequested"));
    // Looked at again only when something has changed, and not within five minutes.
    tank.pod_with("c", "10m", Some("w-2"), json!({}));
    tank.until(20);
    assert_eq!(tank.kept("w-1"), Some("RecentlyUnremovable"));
}

/// `§3.10`: an annotation of the node, and readiness.
#[test]
fn annotations_and_readiness_have_their_own_rules() {
    let mut tank = Tank::of("w a 1 0 9 2 8 100");
    let key = ObjectKey::cluster("w-1");
    let disabled = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
    tank.store
        .update::<Node>(&key, |n| n.meta.annotations = n.meta.annotations.with(disabled, "true"))
        .unwrap();
    tank.until(2000);
    assert_eq!((tank.nodes().len(), tank.kept("w-1")), (1, Some("ScaleDownDisabledAnnotation")));
    // Not ready: twenty minutes instead of ten.
    let mut tank = Tank::of("w a 1 0 9 2 8 100");
    tank.set_ready("w-1", false);
    tank.until(1214);
    assert_eq!(tank.nodes(), ["w-1"]);
    tank.until(1215);
    assert!(tank.nodes().is_empty());
    let mut tank = Tank::new(
        &super::groups("w a 1 0 9 2 8 100"),
        &Flags { scale_down_unready_enabled: false, ..Flags::default() },
    );
    tank.set_ready("w-1", false);
    tank.until(2000);
    assert_eq!((tank.nodes().len(), tank.kept("w-1")), (1, Some("ScaleDownUnreadyDisabled")));
}

/// `§3.10`: the clock starts anew whenever a loop finds the node needed.
#[test]
fn a_node_that_is_needed_once_starts_from_the_beginning() {
    let mut tank = Tank::of("w a 1 0 9 2 8 100");
    tank.until(500);
    tank.pod_with("a", "1500m", Some("w-1"), json!({}));
    tank.until(520);
    tank.store.delete::<Pod>(&ObjectKey::new("default", "a"), &DeleteOptions::force()).unwrap();
    tank.until(1134);
    assert_eq!(tank.nodes(), ["w-1"], "unneeded since 520 s only");
    tank.until(1135);
    assert!(tank.nodes().is_empty());
}

/// `§3.1`: ten minutes after a scale-up nothing is removed.
#[test]
fn after_a_scale_up_nothing_goes_for_ten_minutes() {
    let mut tank = Tank::of("w a 2 0 9 2 8 100").pods("run 1900m w-1");
    tank.until(300);
    tank.pod_with("p", "1900m", None, json!({"spec": {"nodeSelector": {"no": "where"}}}));
    tank.until(400);
    tank.store.delete::<Pod>(&ObjectKey::new("default", "p"), &DeleteOptions::force()).unwrap();
    tank.until(625);
    assert_eq!(tank.nodes(), ["w-1"], "a Pod that bought nothing delays nothing");
    let mut tank = Tank::of("w a 2 0 9 2 8 100;v a 0 0 9 4 8 100").pods("run 1900m w-1");
    tank.until(295);
    tank.pod_with("p", "3", None, json!({}));
    tank.until(899);
    assert_eq!(tank.nodes(), ["w-1", "w-2", "v-1"]);
    tank.until(905);
    assert_eq!(tank.nodes(), ["w-1", "v-1"], "bought at 300 s");
}

/// `§3.10`: up to ten at once, of which one with a drain; empty ones first.
#[test]
fn drains_go_one_at_a_time_and_empty_nodes_together() {
    let mut tank = Tank::of("w a 14 0 20 2 8 100");
    tank.until(614);
    assert_eq!(tank.nodes().len(), 14);
    tank.until(615);
    assert_eq!(tank.nodes().len(), 4);
    tank.until(640);
    assert_eq!(tank.nodes().len(), 0);
    let mut tank = Tank::of("w a 3 0 9 2 8 100").pods("a 100m w-1;b 100m w-2;c 1500m w-3");
    tank.until(700);
    let drained: Vec<_> = tank.evicted.iter().map(|(at, name)| (*at, name.as_str())).collect();
    assert_eq!(
        drained,
        [(615, "a"), (625, "b")],
        "the second node is tainted in the loop after the first is gone"
    );
}

/// `§3.8` and `§3.10`: taints, Events and the order of a deletion.
#[test]
fn a_node_is_marked_tainted_emptied_and_deleted() {
    let mut tank = Tank::of("w a 2 0 9 2 8 100").pods("a 400m w-1;b 1500m w-2");
    tank.until(10);
    let taints = |tank: &Tank| {
        let node = tank.store.find::<Node>("", "w-1").unwrap().clone();
        node.taints.iter().map(|t| format!("{}:{:?}", t.key, t.effect)).collect::<Vec<_>>()
    };
    assert_eq!(taints(&tank), ["DeletionCandidateOfClusterAutoscaler:PreferNoSchedule"]);
    tank.until(614);
    assert!(taints(&tank).contains(&"ToBeDeletedByClusterAutoscaler:NoSchedule".to_owned()));
    assert!(tank.store.find::<Node>("", "w-1").unwrap().unschedulable);
    assert!(tank.evicted.is_empty());
    tank.until(640);
    assert_eq!(tank.evicted, [(615, "a".to_owned())]);
    assert_eq!(tank.nodes(), ["w-2"]);
    assert_eq!(
        tank.said("ConfigMap", "ScaleDown"),
        [
            "Scale-down: removing node w-1, utilization: {0.2 0.0078125 0 0 cpu 0.2}, pods to reschedule: a",
            "Scale-down: node w-1 removed with drain"
        ]
    );
    assert_eq!(
        tank.said("Node", "ScaleDown"),
        ["marked the node as toBeDeleted/unschedulable", "nodes removed by cluster autoscaler"]
    );
    assert_eq!(tank.said("Pod", "ScaleDown"), ["deleting pod for node scale down"]);
}

/// `§3.1`: an eviction is tried every 10 s for two minutes, then the node is given back.
#[test]
fn a_drain_that_is_refused_is_given_up() {
    let mut tank = Tank::of("w a 2 0 9 2 8 100").pods("a 400m w-1;b 1500m w-2");
    tank.evictions_work = false;
    tank.until(800);
    let instants: Vec<u64> = tank.evicted.iter().map(|(at, _)| *at).collect();
    assert_eq!(instants, (0..12).map(|i| 615 + 10 * i).collect::<Vec<_>>());
    assert_eq!(tank.said("Pod", "ScaleDownFailed"), ["failed to delete pod for ScaleDown"]);
    assert_eq!(
        tank.said("Node", "ScaleDownFailed"),
        [
            "failed to drain and delete node: Failed to drain node /w-1, due to following errors: [failed to evict pod default/a within allowed timeout (last error: Cannot evict pod as it would violate the pod's disruption budget.)]"
        ]
    );
    let node = tank.store.find::<Node>("", "w-1").unwrap();
    assert!(!node.unschedulable && !taints::has_taint(node, TAINT_TO_BE_DELETED));
}

/// `core/scaledown/actuation/actuator.go`: a Pod that came between the choice and the deletion saves its node.
#[test]
fn a_node_that_is_no_longer_empty_stays() {
    let mut tank = Tank::of("w a 1 0 9 2 8 100");
    tank.until(611);
    tank.pod_with("late", "100m", Some("w-1"), json!({}));
    tank.until(630);
    assert_eq!(tank.nodes(), ["w-1"]);
    assert_eq!(
        tank.said("Node", "ScaleDownFailed"),
        ["failed to delete empty node: failed to delete empty node \"w-1\", new pods scheduled"]
    );
}

/// `§3.10`: a node that is about to go still counts for spreading; its Pods move only where that allows it.
#[test]
fn pods_that_must_be_spread_keep_their_nodes() {
    let spread = json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]}});
    let mut tank = Tank::of("w a 2 0 9 2 8 100");
    tank.pod_with("a", "100m", Some("w-1"), spread.clone());
    tank.pod_with("b", "100m", Some("w-2"), spread);
    tank.until(2000);
    assert_eq!(tank.nodes(), ["w-1", "w-2"]);
}

/// `§3.10`: budgets shrink while nodes are chosen, and risky nodes come last.
#[test]
fn nodes_whose_pods_share_a_tight_budget_go_one_by_one() {
    let mut tank = Tank::of("w a 3 0 9 2 8 100").pods("c 100m/1Gi w-3;room 1200m w-3");
    tank.pod_with("a", "100m", Some("w-1"), json!({"metadata": {"labels": {"tight": "yes"}}}));
    tank.pod_with("b", "100m", Some("w-2"), json!({"metadata": {"labels": {"tight": "yes"}}}));
    let budget = crate::api::policy::PodDisruptionBudget {
        meta: crate::api::Meta::named("default", "tight"),
        selector: crate::api::LabelSelector::parse("tight=yes").unwrap(),
        disruptions_allowed: 1,
        ..Default::default()
    };
    tank.store.create(budget).unwrap();
    tank.until(0);
    let unneeded: Vec<_> = tank.autoscaler.unneeded.keys().map(|n| n.to_string()).collect();
    assert_eq!(unneeded, ["w-1"]);
    assert_eq!(tank.kept("w-2"), Some("NotEnoughPdb"));
}

/// `§3.1`: `--enforce-node-group-min-size`.
#[test]
fn groups_below_their_minimum_are_filled_up_if_asked() {
    for (enforce, expected) in [(false, [1]), (true, [3])] {
        let mut groups = super::groups("w a 1 1 9 2 8 100");
        groups[0].bounds = Some((3, 9));
        let flags = Flags { enforce_node_group_min_size: enforce, ..Flags::default() };
        let mut tank = Tank::new(&groups, &flags);
        tank.until(10);
        assert_eq!(tank.targets(), expected);
    }
}

/// `§3.10` and `§7` 21: the larger share of requests, DaemonSets included unless told otherwise.
#[test]
fn utilization_is_the_larger_share() {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "u", "controller": true}]);
    for (ignore, expected) in [(false, 0.5), (true, 0.25)] {
        let flags = Flags { ignore_daemonsets_utilization: ignore, ..Flags::default() };
        let mut tank = Tank::new(&super::groups("w a 1 0 9 2 8 100"), &flags).pods("a 400m/1Gi w-1");
        tank.pod_with("agent", "400m", Some("w-1"), json!({"metadata": {"ownerReferences": owner}}));
        tank.pod_with("agent2", "200m", Some("w-1"), json!({}));
        tank.store.delete::<Pod>(&ObjectKey::new("default", "agent2"), &DeleteOptions::force()).unwrap();
        tank.pod_with("b", "200m", Some("w-1"), json!({"metadata": {"ownerReferences": owner}}));
        tank.deliver();
        let mut out = Vec::new();
        let ctx = Ctx {
            store: &mut tank.store,
            framework: tank.scheduler.default_framework().unwrap(),
            snapshot: tank.scheduler.snapshot(),
            fleet: &mut tank.fleet,
            latencies: &tank.latencies,
            out: &mut out,
        };
        let info = ctx.snapshot.get("w-1").unwrap();
        // 400m + 400m + 200m of 2000m; without DaemonSets 400m of 1400m.
        let found = tank.autoscaler.utilization(&ctx, info).highest();
        let expected = if ignore { 400.0 / 1400.0 } else { expected };
        assert!((found - expected).abs() < 1e-9, "{ignore} {found}");
    }
}
