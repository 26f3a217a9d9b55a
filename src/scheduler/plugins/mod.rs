//! The plugins, one file each, and the one table of them.
//!
//! Upstream: `pkg/scheduler/apis/config/v1/default_plugins.go`, `framework/plugins/registry.go`, v1.34.

pub mod csi_migration;
pub mod default_binder;
pub mod default_preemption;
pub mod dynamic_resources;
pub mod gpu_share;
pub mod image_locality;
pub mod inter_pod_affinity;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
mod node_resources;
pub mod node_resources_balanced_allocation;
pub mod node_resources_fit;
pub mod node_unschedulable;
pub mod node_volume_limits;
pub mod normalize;
pub mod pod_topology_spread;
pub mod priority_sort;
pub mod registry;
pub mod scheduling_gates;
pub mod taint_toleration;
pub mod volume_binding;
pub mod volume_restrictions;
pub mod volume_zone;

#[cfg(test)]
mod tests;

use super::framework::{Extensions, Setup};

/// A plugin of the default profile.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What its scores are multiplied by; 0 if it does not score or scores with weight 1 when enabled by hand.
    pub weight: i64,
    /// Makes it.
    pub make: fn(&Setup<'_>) -> Extensions,
}

const fn entry(name: &'static str, weight: i64, make: fn(&Setup<'_>) -> Extensions) -> Entry {
    Entry { name, weight, make }
}

/// Plugins that are there beside Kubernetes' own; a profile has to enable them.
pub const MORE: &[Entry] = &[entry("GpuShare", 0, gpu_share::new)];

/// The default profile: which plugins, in what order, with what weight.
pub const DEFAULT: &[Entry] = &[
    entry("SchedulingGates", 0, scheduling_gates::new),
    entry("PrioritySort", 0, priority_sort::new),
    entry("NodeUnschedulable", 0, node_unschedulable::new),
    entry("NodeName", 0, node_name::new),
    entry("TaintToleration", 3, taint_toleration::new),
    entry("NodeAffinity", 2, node_affinity::new),
    entry("NodePorts", 0, node_ports::new),
    entry("NodeResourcesFit", 1, node_resources_fit::new),
    entry("VolumeRestrictions", 0, volume_restrictions::new),
    entry("NodeVolumeLimits", 0, node_volume_limits::new),
    entry("VolumeBinding", 0, volume_binding::new),
    entry("VolumeZone", 0, volume_zone::new),
    entry("PodTopologySpread", 2, pod_topology_spread::new),
    entry("InterPodAffinity", 2, inter_pod_affinity::new),
    entry("DynamicResources", 0, dynamic_resources::new),
    entry("DefaultPreemption", 0, default_preemption::new),
    entry("NodeResourcesBalancedAllocation", 1, node_resources_balanced_allocation::new),
    entry("ImageLocality", 1, image_locality::new),
    entry("DefaultBinder", 0, default_binder::new),
];
