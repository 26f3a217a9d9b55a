//! The gallery: every scenario is a test of its own name and must come out as it expects.

use std::collections::BTreeSet;

use crate::support::{self, scenarios_folder};

macro_rules! gallery {
    ($($test:ident: $name:literal,)*) => {
        const LISTED: &[&str] = &[$($name),*];
        $(#[test] fn $test() { comes_out_as_expected($name); })*
    };
}

gallery! {
    all_on_one_node: "all-on-one-node",
    attach_limit: "attach-limit",
    autoscaler_never_scales_down: "autoscaler-never-scales-down",
    autoscaling: "autoscaling",
    bad_image: "bad-image",
    bare_pods: "bare-pods",
    budget_blocks_drain: "budget-blocks-drain",
    crash_loop: "crash-loop",
    cronjob_flood: "cronjob-flood",
    daemonset_new_node: "daemonset-new-node",
    daemonset_starves: "daemonset-starves",
    dns_oom_loop: "dns-oom-loop",
    drain_with_budget: "drain-with-budget",
    driver_not_ready: "driver-not-ready",
    driver_without_permission: "driver-without-permission",
    efs_moves_freely: "efs-moves-freely",
    flash_crowd: "flash-crowd",
    gpu_sharing: "gpu-sharing",
    graceful_shutdown: "graceful-shutdown",
    host_path: "host-path",
    host_ports: "host-ports",
    hpa_fights_replicas: "hpa-fights-replicas",
    hpa_without_requests: "hpa-without-requests",
    image_pull_herd: "image-pull-herd",
    immediate_or_patient: "immediate-or-patient",
    insufficient_cpu: "insufficient-cpu",
    job_backoff: "job-backoff",
    mount_target_missing: "mount-target-missing",
    memory_bound_under_load: "memory-bound-under-load",
    multi_attach: "multi-attach",
    multi_attach_six_minutes: "multi-attach-six-minutes",
    node_failure: "node-failure",
    node_label_removed: "node-label-removed",
    node_pressure: "node-pressure",
    noisy_neighbour: "noisy-neighbour",
    object_storage: "object-storage",
    out_of_capacity: "out-of-capacity",
    partition_and_return: "partition-and-return",
    pods_per_node: "pods-per-node",
    preemption: "preemption",
    priority_cascade: "priority-cascade",
    priority_cascade_stopped: "priority-cascade-stopped",
    quota_stops_rollout: "quota-stops-rollout",
    retain_or_delete: "retain-or-delete",
    rolling_update: "rolling-update",
    rolling_update_under_load: "rolling-update-under-load",
    rollout_deadlock: "rollout-deadlock",
    rollout_without_readiness: "rollout-without-readiness",
    scale_from_zero: "scale-from-zero",
    self_healing: "self-healing",
    shop_comes_up: "shop-comes-up",
    slow_start_killed: "slow-start-killed",
    snapshot_restore: "snapshot-restore",
    spread_after_rollout: "spread-after-rollout",
    static_pod_finds_room: "static-pod-finds-room",
    statefulset_keeps_claims: "statefulset-keeps-claims",
    statefulset_on_a_lost_node: "statefulset-on-a-lost-node",
    statefulset_stuck_rollback: "statefulset-stuck-rollback",
    taints: "taints",
    toleration_seconds: "toleration-seconds",
    topology_spread: "topology-spread",
    volume_binding_modes: "volume-binding-modes",
    volume_in_the_wrong_zone: "volume-in-the-wrong-zone",
    trace_generated: "trace-generated",
    trace_of_gpu_jobs: "trace-of-gpu-jobs",
    vpa_after_oom: "vpa-after-oom",
    vpa_in_place: "vpa-in-place",
    zonal_groups: "zonal-groups",
    zone_outage: "zone-outage",
    zone_outage_under_load: "zone-outage-under-load",
    zone_partial_disruption: "zone-partial-disruption",
    zone_without_room: "zone-without-room",
}

/// Runs a scenario with the invariants watched, and tells its story if it fails.
fn comes_out_as_expected(name: &str) {
    let path = format!("{}/{name}.yaml", scenarios_folder());
    let scenario = support::load(&path);
    assert!(!scenario.plan.description.is_empty(), "{name} has no description");
    assert!(!scenario.plan.expectations.is_empty(), "{name} expects nothing");
    assert_eq!(scenario.plan.name, name, "the scenario's name is not its file's");
    let report = support::run(&scenario);
    let told = support::told(&report);
    // A drain that gives up is an outcome; whatever else is refused is a mistake of the scenario.
    let mistaken = |why: &str| !why.contains("global timeout reached");
    let refused = report.outcome.refused_steps.iter().any(|(_, _, why)| mistaken(why));
    assert!(!refused, "a step was refused\n{told}");
    assert!(support::passed(&report), "\n{told}");
}

#[test]
fn every_scenario_of_the_gallery_is_listed() {
    let entries = std::fs::read_dir(scenarios_folder()).unwrap().filter_map(Result::ok);
    let found: BTreeSet<String> =
        entries.filter_map(|e| e.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned)).collect();
    let listed: BTreeSet<String> = LISTED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, listed, "add the scenario to the list in tests/it/scenarios.rs");
}
