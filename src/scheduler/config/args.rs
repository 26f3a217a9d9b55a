//! Arguments of plugins: decoding, defaults, what they may not say.
//!
//! Upstream: `kube-scheduler/config/v1/types_pluginargs.go`, `pkg/scheduler/apis/config/v1/defaults.go`,
//! `pkg/scheduler/apis/config/validation/validation_pluginargs.go`, v1.34.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::boundary::{BoundaryProfile, PluginConfig, strict};
use super::field::{aggregate, duplicate, forbidden, invalid, invalid_text, not_supported, required};
use crate::api::lower::{At, collect};
use crate::api::pod::TopologySpreadConstraint;
use crate::api::{LabelSelector, k8s, lower};
use crate::base::Str;
use crate::scheduler::framework::PluginArgs;
use crate::scheduler::framework::args::{
    DefaultPreemptionArgs, InterPodAffinityArgs, NodeAffinityArgs, NodeResourcesBalancedAllocationArgs,
    NodeResourcesFitArgs, PodTopologySpreadArgs, ResourceSpec, ScoringStrategy, VolumeBindingArgs,
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Preemption {
    min_candidate_nodes_percentage: Option<i32>,
    min_candidate_nodes_absolute: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InterPod {
    hard_pod_affinity_weight: Option<i32>,
    ignore_preferred_terms_of_existing_pods: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FitBoundary {
    ignored_resources: Vec<String>,
    ignored_resource_groups: Vec<String>,
    scoring_strategy: Option<Strategy>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Strategy {
    r#type: String,
    resources: Vec<Spec>,
    requested_to_capacity_ratio: Option<Ratio>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ratio {
    shape: Vec<ShapePoint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ShapePoint {
    utilization: i32,
    score: i32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    name: String,
    weight: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Balanced {
    resources: Vec<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spread {
    default_constraints: Vec<k8s::core::v1::TopologySpreadConstraint>,
    defaulting_type: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Binding {
    bind_timeout_seconds: Option<i64>,
    shape: Option<Vec<ShapePoint>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AffinityBoundary {
    added_affinity: Option<k8s::core::v1::NodeAffinity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Dynamic {
    filter_timeout: Option<String>,
}

/// The arguments without their kind and version.
fn body(config: &PluginConfig) -> Value {
    let mut args = config.args.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if let Some(fields) = args.as_object_mut() {
        fields.shift_remove("apiVersion");
        fields.shift_remove("kind");
    }
    args
}

fn read<T: DeserializeOwned + Default>(config: &PluginConfig) -> T {
    strict(&body(config)).map(|(read, _)| read).unwrap_or_default()
}

/// Decodes the arguments of a default plugin and names the fields in them that do not exist.
///
/// # Errors
/// A wrong kind, or the first value of a wrong type.
pub(super) fn check(config: &PluginConfig) -> Result<Vec<String>, String> {
    let unknown = |body: Value| match config.name.as_str() {
        "DefaultPreemption" => strict::<Preemption>(&body).map(|(_, unknown)| unknown),
        "InterPodAffinity" => strict::<InterPod>(&body).map(|(_, unknown)| unknown),
        "NodeAffinity" => strict::<AffinityBoundary>(&body).map(|(_, unknown)| unknown),
        "NodeResourcesFit" => strict::<FitBoundary>(&body).map(|(_, unknown)| unknown),
        "NodeResourcesBalancedAllocation" => strict::<Balanced>(&body).map(|(_, unknown)| unknown),
        "PodTopologySpread" => strict::<Spread>(&body).map(|(_, unknown)| unknown),
        "VolumeBinding" => strict::<Binding>(&body).map(|(_, unknown)| unknown),
        "DynamicResources" => strict::<Dynamic>(&body).map(|(_, unknown)| unknown),
        _ => Ok(Vec::new()),
    };
    let has_args = HAS_ARGS.contains(&config.name.as_str());
    let kind = config.args.as_ref().and_then(|args| args.get("kind")).and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| has_args && *kind != format!("{}Args", config.name)) {
        let group = "kubescheduler.config.k8s.io";
        return Err(format!(
            "args for plugin {0} were not of type {0}Args.{group}, got {kind}.{group}",
            config.name
        ));
    }
    unknown(body(config)).map_err(|why| format!("decoding args for plugin {}: {why}", config.name))
}

const HAS_ARGS: [&str; 8] = [
    "DefaultPreemption",
    "InterPodAffinity",
    "NodeAffinity",
    "NodeResourcesFit",
    "NodeResourcesBalancedAllocation",
    "PodTopologySpread",
    "VolumeBinding",
    "DynamicResources",
];

/// The arguments of a profile, with what is wrong with them.
pub(super) fn of_profile(profile: &BoundaryProfile, path: &str, name: &Str) -> (PluginArgs, Vec<String>) {
    let mut args = PluginArgs::default();
    let mut errors = Vec::new();
    for (index, config) in profile.plugin_config.iter().enumerate() {
        let at = format!("{path}.pluginConfig[{index}].args");
        match config.name.as_str() {
            "DefaultPreemption" => args.default_preemption = preemption(&read(config), &at, &mut errors),
            "InterPodAffinity" => args.inter_pod_affinity = inter_pod(&read(config), &at, &mut errors),
            "NodeAffinity" => args.node_affinity = node_affinity(read(config), &at, &mut errors),
            "NodeResourcesFit" => {
                // Upstream looks at these only when the plugin is made.
                let mut wrong = Vec::new();
                args.node_resources_fit = fit(read(config), &mut wrong);
                if !wrong.is_empty() {
                    errors.push(format!(
                        "initializing profiles: creating profile for scheduler name {name}: initializing plugin \
                         \"NodeResourcesFit\": {}",
                        aggregate(&wrong)
                    ));
                }
            }
            "NodeResourcesBalancedAllocation" => {
                args.node_resources_balanced_allocation = balanced(read(config), &at, &mut errors);
            }
            "PodTopologySpread" => args.pod_topology_spread = spread(read(config), &at, &mut errors),
            "VolumeBinding" => args.volume_binding = binding(&read(config), &at, &mut errors),
            "DynamicResources" => {
                if read::<Dynamic>(config).filter_timeout.is_some() {
                    let why = "DRASchedulingFilterTimeout feature gate is disabled";
                    errors.push(forbidden(&format!("{at}.filterTimeout"), why));
                }
            }
            other => {
                args.other.insert(other.into(), config.args.clone().unwrap_or(Value::Null));
            }
        }
    }
    (args, errors)
}

fn preemption(args: &Preemption, at: &str, errors: &mut Vec<String>) -> DefaultPreemptionArgs {
    let default = DefaultPreemptionArgs::default();
    let percentage = args.min_candidate_nodes_percentage.unwrap_or(default.min_candidate_nodes_percentage);
    let absolute = args.min_candidate_nodes_absolute.unwrap_or(default.min_candidate_nodes_absolute);
    let (percentage_at, absolute_at) =
        (format!("{at}.minCandidateNodesPercentage"), format!("{at}.minCandidateNodesAbsolute"));
    if !(0..=100).contains(&percentage) {
        errors.push(invalid(&percentage_at, percentage, "not in valid range [0, 100]"));
    }
    if absolute < 0 {
        errors.push(invalid(&absolute_at, absolute, "not in valid range [0, inf)"));
    }
    if percentage == 0 && absolute == 0 {
        let why = "cannot be zero at the same time as minCandidateNodesAbsolute";
        errors.push(invalid(&percentage_at, percentage, why));
        let why = "cannot be zero at the same time as minCandidateNodesPercentage";
        errors.push(invalid(&absolute_at, absolute, why));
    }
    DefaultPreemptionArgs {
        min_candidate_nodes_percentage: percentage,
        min_candidate_nodes_absolute: absolute,
    }
}

fn inter_pod(args: &InterPod, at: &str, errors: &mut Vec<String>) -> InterPodAffinityArgs {
    let weight = args.hard_pod_affinity_weight.unwrap_or(1);
    if !(0..=100).contains(&weight) {
        errors.push(invalid(&format!("{at}.hardPodAffinityWeight"), weight, "not in valid range [0, 100]"));
    }
    InterPodAffinityArgs {
        hard_pod_affinity_weight: weight,
        ignore_preferred_terms_of_existing_pods: args.ignore_preferred_terms_of_existing_pods,
    }
}

fn node_affinity(args: AffinityBoundary, at: &str, errors: &mut Vec<String>) -> NodeAffinityArgs {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let Some(added) = args.added_affinity else { return NodeAffinityArgs::default() };
    let lowered = collect(|root: &At<'_>| {
        let required = added.required_during_scheduling_ignored_during_execution;
        let preferred = added.preferred_during_scheduling_ignored_during_execution;
        NodeAffinityArgs {
            added_required: root.opt(REQUIRED, required, lower::meta::node_selector),
            added_preferred: root.field(PREFERRED).each(preferred, |at, term| {
                (term.weight, lower::meta::node_selector_term(&at.field("preference"), term.preference))
            }),
        }
    });
    lowered.unwrap_or_else(|wrong| {
        errors.extend(wrong.into_iter().map(|e| format!("{at}.addedAffinity.{e}")));
        NodeAffinityArgs::default()
    })
}

fn specs(specs: Vec<Spec>) -> Vec<ResourceSpec> {
    if specs.is_empty() {
        return NodeResourcesFitArgs::default().resources;
    }
    let spec = |spec: Spec| ResourceSpec {
        name: spec.name.into(),
        weight: if spec.weight == 0 { 1 } else { spec.weight },
    };
    specs.into_iter().map(spec).collect()
}

fn fit(args: FitBoundary, errors: &mut Vec<String>) -> NodeResourcesFitArgs {
    let default = NodeResourcesFitArgs::default();
    for (index, group) in args.ignored_resource_groups.iter().enumerate() {
        if group.contains('/') {
            let at = format!("ignoredResourceGroups[{index}]");
            errors.push(invalid_text(&at, group, "resource group name can't contain '/'"));
        }
    }
    let ignored_resources = args.ignored_resources.into_iter().map(Str::from).collect();
    let ignored_resource_groups = args.ignored_resource_groups.into_iter().map(Str::from).collect();
    let Some(strategy) = args.scoring_strategy else {
        return NodeResourcesFitArgs { ignored_resources, ignored_resource_groups, ..default };
    };
    let shape = strategy.requested_to_capacity_ratio.map(|ratio| ratio.shape);
    let points = |shape: Option<&Vec<ShapePoint>>| {
        let point = |p: &ShapePoint| (i64::from(p.utilization), i64::from(p.score));
        shape.into_iter().flatten().map(point).collect()
    };
    let kind = match strategy.r#type.as_str() {
        "LeastAllocated" => ScoringStrategy::LeastAllocated,
        "MostAllocated" => ScoringStrategy::MostAllocated,
        "RequestedToCapacityRatio" => ScoringStrategy::RequestedToCapacityRatio(points(shape.as_ref())),
        other => {
            let words = ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"];
            errors.push(not_supported("scoringStrategy.type", other, &words));
            ScoringStrategy::LeastAllocated
        }
    };
    let resources = specs(strategy.resources);
    for (index, spec) in resources.iter().enumerate().filter(|(_, s)| !(1..=100).contains(&s.weight)) {
        let at = format!("scoringStrategy.resources[{index}].weight");
        let why = format!("resource weight of {} not in valid range (0, 100]", spec.name);
        errors.push(invalid(&at, spec.weight, &why));
    }
    // Upstream breaks down if the strategy has no shape.
    if shape.is_some() || matches!(kind, ScoringStrategy::RequestedToCapacityRatio(_)) {
        function_shape(&shape.unwrap_or_default(), "scoringStrategy.shape", errors);
    }
    NodeResourcesFitArgs { ignored_resources, ignored_resource_groups, strategy: kind, resources }
}

fn function_shape(shape: &[ShapePoint], at: &str, errors: &mut Vec<String>) {
    if shape.is_empty() {
        errors.push(required(at, "at least one point must be specified"));
    }
    let falls = |i: &usize| shape[i - 1].utilization >= shape[*i].utilization;
    if let Some(i) = (1..shape.len()).find(falls) {
        let at = format!("{at}[{i}].utilization");
        errors.push(invalid(&at, shape[i].utilization, "values must be sorted in increasing order"));
    }
    for (i, point) in shape.iter().enumerate() {
        if !(0..=100).contains(&point.utilization) {
            let at = format!("{at}[{i}].utilization");
            errors.push(invalid(&at, point.utilization, "not in valid range [0, 100]"));
        }
        if !(0..=10).contains(&point.score) {
            errors.push(invalid(&format!("{at}[{i}].score"), point.score, "not in valid range [0, 10]"));
        }
    }
}

fn balanced(args: Balanced, at: &str, errors: &mut Vec<String>) -> NodeResourcesBalancedAllocationArgs {
    let resources = specs(args.resources);
    for (index, spec) in resources.iter().enumerate() {
        if resources[..index].iter().any(|other| other.name == spec.name) {
            errors.push(duplicate(&format!("{at}.resources[{index}].name"), &spec.name));
        }
        if spec.weight != 1 {
            errors.push(invalid(&format!("{at}.resources[{index}].weight"), spec.weight, "must be 1"));
        }
    }
    NodeResourcesBalancedAllocationArgs { resources }
}

fn binding(args: &Binding, at: &str, errors: &mut Vec<String>) -> VolumeBindingArgs {
    let seconds = args.bind_timeout_seconds.unwrap_or(600);
    if seconds < 0 {
        let why = "invalid BindTimeoutSeconds, should not be a negative value";
        errors.push(invalid(&format!("{at}.bindTimeoutSeconds"), seconds, why));
    }
    if let Some(shape) = &args.shape {
        let points: Vec<String> = shape
            .iter()
            .map(|p| format!("{{\"Utilization\":{},\"Score\":{}}}", p.utilization, p.score))
            .collect();
        let why = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring";
        errors.push(invalid(&format!("{at}.shape"), format!("[{}]", points.join(",")), why));
    }
    VolumeBindingArgs { bind_timeout_seconds: seconds }
}

fn spread(args: Spread, at: &str, errors: &mut Vec<String>) -> PodTopologySpreadArgs {
    let system = match args.defaulting_type.as_str() {
        "" | "System" => true,
        "List" => false,
        other => {
            errors.push(not_supported(&format!("{at}.defaultingType"), other, &["System", "List"]));
            false
        }
    };
    if system && !args.default_constraints.is_empty() {
        let why = "when .defaultConstraints are not empty";
        errors.push(invalid_text(&format!("{at}.defaultingType"), "System", why));
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut default_constraints = Vec::new();
    for (index, constraint) in args.default_constraints.into_iter().enumerate() {
        let at = format!("{at}.defaultConstraints[{index}]");
        default_constraints.extend(spread_constraint(&constraint, &at, errors));
        let key = (constraint.topology_key, constraint.when_unsatisfiable);
        if seen.contains(&key) {
            errors.push(duplicate(&at, &format!("{{{}, {}}}", key.0, key.1)));
        }
        seen.push(key);
    }
    PodTopologySpreadArgs { default_constraints, system_defaulting: system }
}

fn spread_constraint(
    constraint: &k8s::core::v1::TopologySpreadConstraint,
    at: &str,
    errors: &mut Vec<String>,
) -> Option<TopologySpreadConstraint> {
    let before = errors.len();
    if constraint.max_skew <= 0 {
        errors.push(invalid(&format!("{at}.maxSkew"), constraint.max_skew, "not in valid range (0, inf)"));
    }
    if constraint.topology_key.is_empty() {
        errors.push(required(&format!("{at}.topologyKey"), "can not be empty"));
    }
    let hard = match constraint.when_unsatisfiable.as_str() {
        "DoNotSchedule" => true,
        "ScheduleAnyway" => false,
        "" => {
            errors.push(required(&format!("{at}.whenUnsatisfiable"), "can not be empty"));
            false
        }
        other => {
            let words = ["DoNotSchedule", "ScheduleAnyway"];
            errors.push(not_supported(&format!("{at}.whenUnsatisfiable"), other, &words));
            false
        }
    };
    if constraint.label_selector.is_some() {
        let why = "constraint must not define a selector, as they deduced for each pod";
        errors.push(forbidden(&format!("{at}.labelSelector"), why));
    }
    let policy = |word: &Option<String>, default: bool| word.as_ref().map_or(default, |w| w == "Honor");
    (errors.len() == before).then(|| TopologySpreadConstraint {
        max_skew: constraint.max_skew,
        topology_key: constraint.topology_key.as_str().into(),
        hard,
        selector: LabelSelector::Nothing,
        min_domains: constraint.min_domains,
        honor_affinity: policy(&constraint.node_affinity_policy, true),
        honor_taints: policy(&constraint.node_taints_policy, false),
        match_label_keys: constraint
            .match_label_keys
            .iter()
            .flatten()
            .map(|key| key.as_str().into())
            .collect(),
    })
}
