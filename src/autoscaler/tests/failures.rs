//! Machines that do not come, clouds without machines, clusters that are not well.

use super::*;

/// `§3.9` and `§7` 26: two clocks of fifteen minutes.
#[test]
fn machines_that_never_register_are_given_up() {
    let mut tank = Tank::of("w a 0 0 9 2 8 100").pods("p 1");
    tank.stuck = true;
    tank.until(10);
    assert_eq!(tank.targets(), [1]);
    tank.until(919);
    assert!(tank.said("ConfigMap", "ScaleUpTimedOut").is_empty());
    tank.until(920);
    assert_eq!(
        tank.said("ConfigMap", "ScaleUpTimedOut"),
        ["Nodes added to group w failed to register within 15m10s"]
    );
    assert_eq!(
        tank.said("Pod", "NotTriggerScaleUp"),
        ["pod didn't trigger scale-up: 1 in backoff after failed scale-up"].map(String::from)[..0],
        "the machine still counts as coming"
    );
    tank.until(930);
    assert_eq!(tank.said("ConfigMap", "DeleteUnregistered"), ["Removed unregistered node w-1"]);
    assert_eq!(
        tank.said("Pod", "NotTriggerScaleUp"),
        ["pod didn't trigger scale-up: 1 in backoff after failed scale-up"]
    );
    // Left alone for five minutes, then tried again.
    tank.until(1220);
    assert_eq!(tank.targets(), [0]);
    tank.until(1230);
    assert_eq!(tank.targets(), [1]);
}

/// `§3.9` and `§7` 26: the second clock. A node that does not become ready counts as coming for fifteen minutes, then as unready.
#[test]
fn nodes_that_never_become_ready_are_counted_out() {
    let mut tank = Tank::of("w a 0 0 9 2 8 100").pods("p 1");
    tank.slow = true;
    tank.until(960);
    assert_eq!((tank.nodes(), tank.targets()), (vec!["w-1".to_owned()], vec![1]));
    assert!(tank.status().contains("notStarted: 1"), "{}", tank.status());
    // The request is older than that: it is given up, and the group left alone until 1220 s.
    assert_eq!(tank.said("ConfigMap", "ScaleUpTimedOut").len(), 1);
    tank.until(1000);
    let status = tank.status();
    assert!(status.contains("notStarted: 0") && status.contains("unready:"), "registered at 70 s: {status}");
    tank.until(1220);
    assert_eq!(tank.targets(), [1]);
    tank.until(1230);
    assert_eq!(tank.targets(), [2], "the one that is there is no help");
}

/// `§3.9`: no machine to be had: a placeholder, seen at the provider's next look, a back-off, another group.
#[test]
fn a_zone_without_machines_sends_pods_to_another_group() {
    let mut tank = Tank::of("x a 0 0 9 2 8 100;y b 0 0 9 4 8 400").pods("p 1");
    tank.short("a", 100_000);
    tank.until(10);
    assert_eq!(tank.targets(), [1, 0]);
    assert!(tank.status().contains("    status: InProgress"), "{}", tank.status());
    tank.until(59);
    assert_eq!(tank.targets(), [1, 0]);
    tank.until(60);
    assert_eq!(
        tank.said("ConfigMap", "ScaleUpFailed"),
        [
            "Failed adding 1 nodes to group x due to OutOfResource.placeholder-cannot-be-fulfilled; source errors: AWS cannot provision any more instances for this node group"
        ]
    );
    assert_eq!(tank.targets(), [0, 1], "given up and bought elsewhere in the same loop");
    assert!(tank.status().contains("errorCode: placeholder-cannot-be-fulfilled"), "{}", tank.status());
    tank.until(200);
    assert_eq!(tank.nodes(), ["y-1"]);
}

/// `§3.9` and `§7` 27.
#[test]
fn a_group_that_fails_again_is_left_alone_twice_as_long() {
    let mut tank = Tank::of("x a 0 0 9 2 8 100").pods("p 1");
    tank.short("a", 100_000);
    tank.until(3000);
    let tries: Vec<u64> = tank
        .store
        .events()
        .filter(|e| e.reason == "ScaledUpGroup" && e.message.starts_with("Scale-up: setting"))
        .flat_map(|e| [e.first, e.last])
        .map(|at| tank.store.calendar().instant(at).as_secs())
        .collect();
    // Tried at 10 s, seen at 60 s, off to 360 s; tried at 370 s, seen at 420 s, off for ten minutes; and so on.
    assert_eq!((tries.first(), tries.last()), (Some(&10), Some(&2290)), "{tries:?}");
}

/// `§3.1` and `§3.2` 5: more than three and more than 45 % unready.
#[test]
fn an_unhealthy_cluster_is_left_alone() {
    for (nodes, down, expected) in [(10, 4, false), (8, 4, true), (4, 3, false), (9, 5, true)] {
        let mut tank = Tank::of(&format!("w a {nodes} 0 20 2 8 100"));
        for number in 1..=down {
            tank.set_ready(&format!("w-{number}"), false);
        }
        let full: String = (down + 1..=nodes).map(|n| format!(";r{n} 1900m w-{n}")).collect();
        tank = tank.pods(&format!("p 1900m{full}"));
        tank.until(10);
        let unhealthy = tank.said("ConfigMap", "ClusterUnhealthy") == ["Cluster is unhealthy"];
        assert_eq!(unhealthy, expected, "{down} of {nodes}");
        assert_eq!(tank.targets()[0] > nodes, !expected, "{down} of {nodes}");
        assert_eq!(tank.status().contains("status: Unhealthy"), expected, "{}", tank.status());
    }
}

/// `clusterstate.go`: a group that misses more than three of its nodes, and 45 %, does not grow.
#[test]
fn an_unhealthy_group_does_not_grow() {
    let mut tank = Tank::of("w a 5 0 20 2 8 100;v b 9 0 9 2 8 100");
    for number in 1..=4 {
        tank.set_ready(&format!("w-{number}"), false);
    }
    let full: String = (1..=9).map(|n| format!(";r{n} 1900m v-{n}")).collect();
    tank = tank.pods(&format!("p 1900m;r 1900m w-5{full}"));
    tank.until(10);
    assert_eq!(
        tank.said("Pod", "NotTriggerScaleUp"),
        ["pod didn't trigger scale-up: 1 max node group size reached, 1 not ready for scale-up"]
    );
}

/// `clusterstate/api/types.go`: the ConfigMap as it is read by people.
#[test]
fn the_status_says_how_groups_are() {
    let mut tank = Tank::of("w a 1 0 3 2 8 100").pods("p 1900m;r 1900m w-1");
    tank.until(10);
    let expected = "\
time: 2026-01-05 08:00:10 +0000 UTC
autoscalerStatus: Running
clusterWide:
  health:
    status: Healthy
    nodeCounts:
      registered:
        total: 1
        ready: 1
        notStarted: 0
      longUnregistered: 0
      unregistered: 0
    lastProbeTime: \"2026-01-05T08:00:10Z\"
    lastTransitionTime: \"2026-01-05T08:00:00Z\"
  scaleUp:
    status: InProgress
    lastProbeTime: \"2026-01-05T08:00:10Z\"
    lastTransitionTime: \"2026-01-05T08:00:10Z\"
  scaleDown:
    status: NoCandidates
    lastProbeTime: \"2026-01-05T08:00:10Z\"
    lastTransitionTime: \"2026-01-05T08:00:00Z\"
nodeGroups:
- name: w
  health:
    status: Healthy
    nodeCounts:
      registered:
        total: 1
        ready: 1
        notStarted: 0
      longUnregistered: 0
      unregistered: 0
    cloudProviderTarget: 2
    minSize: 0
    maxSize: 3
    lastProbeTime: \"2026-01-05T08:00:10Z\"
    lastTransitionTime: \"2026-01-05T08:00:00Z\"
  scaleUp:
    status: InProgress
    lastProbeTime: \"2026-01-05T08:00:10Z\"
    lastTransitionTime: \"2026-01-05T08:00:10Z\"
  scaleDown:
    status: NoCandidates
    lastProbeTime: \"2026-01-05T08:00:10Z\"
    lastTransitionTime: \"2026-01-05T08:00:00Z\"
";
    assert_eq!(tank.status(), expected);
    tank.until(200);
    let status = tank.status();
    assert!(status.contains("total: 2") && !status.contains("InProgress"), "{status}");
}
