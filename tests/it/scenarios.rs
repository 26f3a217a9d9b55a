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
    attach_limit: "attach-limit",
    autoscaling: "autoscaling",
    bad_image: "bad-image",
    bare_pods: "bare-pods",
    daemonset_new_node: "daemonset-new-node",
    drain_with_budget: "drain-with-budget",
    driver_without_permission: "driver-without-permission",
    efs_moves_freely: "efs-moves-freely",
    host_path: "host-path",
    graceful_shutdown: "graceful-shutdown",
    host_ports: "host-ports",
    immediate_or_patient: "immediate-or-patient",
    hpa_fights_replicas: "hpa-fights-replicas",
    hpa_without_requests: "hpa-without-requests",
    insufficient_cpu: "insufficient-cpu",
    job_backoff: "job-backoff",
    multi_attach: "multi-attach",
    multi_attach_six_minutes: "multi-attach-six-minutes",
    node_failure: "node-failure",
    node_pressure: "node-pressure",
    out_of_capacity: "out-of-capacity",
    pods_per_node: "pods-per-node",
    preemption: "preemption",
    retain_or_delete: "retain-or-delete",
    rolling_update: "rolling-update",
    scale_from_zero: "scale-from-zero",
    self_healing: "self-healing",
    shop_comes_up: "shop-comes-up",
    snapshot_restore: "snapshot-restore",
    statefulset_keeps_claims: "statefulset-keeps-claims",
    taints: "taints",
    topology_spread: "topology-spread",
    volume_binding_modes: "volume-binding-modes",
    volume_in_the_wrong_zone: "volume-in-the-wrong-zone",
    vpa_after_oom: "vpa-after-oom",
    zonal_groups: "zonal-groups",
    zone_outage: "zone-outage",
    zone_outage_under_load: "zone-outage-under-load",
    rolling_update_under_load: "rolling-update-under-load",
    noisy_neighbour: "noisy-neighbour",
    flash_crowd: "flash-crowd",
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
    assert!(report.outcome.refused_steps.is_empty(), "a step was refused\n{told}");
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
