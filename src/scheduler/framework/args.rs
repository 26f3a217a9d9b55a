//! Arguments of the default plugins, with upstream's defaults.
//!
//! Upstream: `pkg/scheduler/apis/config/{types_pluginargs.go,v1/defaults.go}`, v1.34.

use std::collections::BTreeMap;

use crate::api::NodeSelector;
use crate::api::pod::TopologySpreadConstraint;
use crate::api::selector::NodeSelectorTerm;
use crate::base::Str;
use crate::base::text::lit;
use crate::scheduler::decision::Wording;

/// `DefaultPreemptionArgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultPreemptionArgs {
    /// `minCandidateNodesPercentage`.
    pub min_candidate_nodes_percentage: i32,
    /// `minCandidateNodesAbsolute`.
    pub min_candidate_nodes_absolute: i32,
}

impl Default for DefaultPreemptionArgs {
    fn default() -> Self {
        Self { min_candidate_nodes_percentage: 10, min_candidate_nodes_absolute: 100 }
    }
}

/// `InterPodAffinityArgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterPodAffinityArgs {
    /// `hardPodAffinityWeight`.
    pub hard_pod_affinity_weight: i32,
    /// `ignorePreferredTermsOfExistingPods`.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinityArgs {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignore_preferred_terms_of_existing_pods: false }
    }
}

/// `NodeAffinityArgs.addedAffinity`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAffinityArgs {
    /// Required of every node beside what the Pod says.
    pub added_required: Option<NodeSelector>,
    /// Preferred beside what the Pod says.
    pub added_preferred: Vec<(i32, NodeSelectorTerm)>,
}

/// A resource that is scored, with its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceSpec {
    /// The resource.
    pub name: Str,
    /// Its weight.
    pub weight: i64,
}

fn cpu_and_memory() -> Vec<ResourceSpec> {
    vec![ResourceSpec { name: lit!("cpu"), weight: 1 }, ResourceSpec { name: lit!("memory"), weight: 1 }]
}

/// How NodeResourcesFit scores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ScoringStrategy {
    /// Emptier nodes first.
    #[default]
    LeastAllocated,
    /// Fuller nodes first.
    MostAllocated,
    /// By a curve: points of utilisation (percent) and score (0 to 10), utilisation rising.
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

/// `NodeResourcesFitArgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeResourcesFitArgs {
    /// `ignoredResources`.
    pub ignored_resources: Vec<Str>,
    /// `ignoredResourceGroups`.
    pub ignored_resource_groups: Vec<Str>,
    /// `scoringStrategy.type`.
    pub strategy: ScoringStrategy,
    /// `scoringStrategy.resources`.
    pub resources: Vec<ResourceSpec>,
}

impl Default for NodeResourcesFitArgs {
    fn default() -> Self {
        Self {
            ignored_resources: Vec::new(),
            ignored_resource_groups: Vec::new(),
            strategy: ScoringStrategy::default(),
            resources: cpu_and_memory(),
        }
    }
}

/// `NodeResourcesBalancedAllocationArgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeResourcesBalancedAllocationArgs {
    /// `resources`.
    pub resources: Vec<ResourceSpec>,
}

impl Default for NodeResourcesBalancedAllocationArgs {
    fn default() -> Self {
        Self { resources: cpu_and_memory() }
    }
}

/// `PodTopologySpreadArgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTopologySpreadArgs {
    /// `defaultConstraints`, without selectors.
    pub default_constraints: Vec<TopologySpreadConstraint>,
    /// `defaultingType: System` instead of `List`.
    pub system_defaulting: bool,
}

impl Default for PodTopologySpreadArgs {
    fn default() -> Self {
        Self { default_constraints: Vec::new(), system_defaulting: true }
    }
}

/// `VolumeBindingArgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeBindingArgs {
    /// `bindTimeoutSeconds`.
    pub bind_timeout_seconds: i64,
}

impl Default for VolumeBindingArgs {
    fn default() -> Self {
        Self { bind_timeout_seconds: 600 }
    }
}

/// The arguments of all plugins of one profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginArgs {
    /// Of DefaultPreemption.
    pub default_preemption: DefaultPreemptionArgs,
    /// Of InterPodAffinity.
    pub inter_pod_affinity: InterPodAffinityArgs,
    /// Of NodeAffinity.
    pub node_affinity: NodeAffinityArgs,
    /// Of NodeResourcesFit.
    pub node_resources_fit: NodeResourcesFitArgs,
    /// Of NodeResourcesBalancedAllocation.
    pub node_resources_balanced_allocation: NodeResourcesBalancedAllocationArgs,
    /// Of PodTopologySpread.
    pub pod_topology_spread: PodTopologySpreadArgs,
    /// Of VolumeBinding.
    pub volume_binding: VolumeBindingArgs,
    /// Of plugins beyond the default ones, by name.
    pub other: BTreeMap<Str, serde_json::Value>,
}

/// What a plugin is made from.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The arguments of the profile.
    pub args: &'a PluginArgs,
    /// The release's words.
    pub wording: Wording,
}
