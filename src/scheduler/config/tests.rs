//! Configurations that are read and ones that are refused.

use serde_json::{Value, json};

use super::Config;
use crate::scheduler::framework::args::ScoringStrategy;
use crate::scheduler::{Scheduler, Wording};

fn config(mut body: Value) -> Result<Config, Vec<String>> {
    body["apiVersion"] = "kubescheduler.config.k8s.io/v1".into();
    body["kind"] = "KubeSchedulerConfiguration".into();
    Config::from_json(&body)
}

fn profile(body: Value) -> Result<Config, Vec<String>> {
    config(json!({"profiles": [body]}))
}

fn scores(config: &Config) -> Vec<(&'static str, i64)> {
    let frameworks = config.frameworks(Wording::default()).unwrap();
    frameworks[0].score.iter().map(|w| (w.at.name, w.weight)).collect()
}

/// Facts §10.1: plugin order and the weights of scores.
#[test]
fn the_default_profile_has_upstreams_plugins_in_upstreams_order() {
    let config = config(json!({})).unwrap();
    assert_eq!(config, Config::default());
    let frameworks = config.frameworks(Wording::default()).unwrap();
    let f = &frameworks[0];
    assert_eq!(
        f.pre_enqueue.iter().map(|a| a.name).collect::<Vec<_>>(),
        ["SchedulingGates", "DefaultPreemption"]
    );
    assert_eq!(
        f.filter.iter().map(|a| a.name).collect::<Vec<_>>(),
        [
            "NodeUnschedulable",
            "NodeName",
            "TaintToleration",
            "NodeAffinity",
            "NodePorts",
            "NodeResourcesFit",
            "VolumeRestrictions",
            "NodeVolumeLimits",
            "VolumeBinding",
            "VolumeZone",
            "PodTopologySpread",
            "InterPodAffinity",
        ]
    );
    assert_eq!(
        f.score.iter().map(|w| (w.at.name, w.weight)).collect::<Vec<_>>(),
        [
            ("TaintToleration", 3),
            ("NodeAffinity", 2),
            ("NodeResourcesFit", 1),
            ("VolumeBinding", 1),
            ("PodTopologySpread", 2),
            ("InterPodAffinity", 2),
            ("NodeResourcesBalancedAllocation", 1),
            ("ImageLocality", 1),
        ]
    );
    assert_eq!(
        f.post_filter.iter().map(|a| a.name).collect::<Vec<_>>(),
        ["DynamicResources", "DefaultPreemption"]
    );
}

#[test]
fn plugins_are_enabled_disabled_weighed_and_ordered() {
    let default = scores(&Config::default());
    assert!(default.contains(&("TaintToleration", 3)));
    let one = profile(json!({"plugins": {"score": {
        "disabled": [{"name": "*"}], "enabled": [{"name": "ImageLocality", "weight": 5}, {"name": "NodeAffinity"}],
    }}}));
    assert_eq!(scores(&one.unwrap()), [("ImageLocality", 5), ("NodeAffinity", 1)]);
    let last = profile(json!({"plugins": {"score": {
        "disabled": [{"name": "NodeAffinity"}], "enabled": [{"name": "NodeAffinity", "weight": 4}],
    }}}));
    assert_eq!(scores(&last.unwrap()).last(), Some(&("NodeAffinity", 4)));
    let first = profile(json!({"plugins": {"score": {"enabled": [{"name": "ImageLocality", "weight": 7}]}}}));
    assert_eq!(scores(&first.unwrap())[0], ("ImageLocality", 7));
    let everywhere = profile(json!({"plugins": {"multiPoint": {
        "disabled": [{"name": "PodTopologySpread"}], "enabled": [{"name": "TaintToleration", "weight": 9}],
    }}}))
    .unwrap();
    assert_eq!(scores(&everywhere)[0], ("TaintToleration", 9));
    assert!(!scores(&everywhere).iter().any(|(name, _)| *name == "PodTopologySpread"));
}

#[test]
fn arguments_are_read_with_their_defaults() {
    let config = profile(json!({"schedulerName": "mine", "percentageOfNodesToScore": 30, "pluginConfig": [
        {"name": "NodeResourcesFit", "args": {"scoringStrategy": {
            "type": "RequestedToCapacityRatio", "resources": [{"name": "cpu"}],
            "requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]},
        }}},
        {"name": "NodeAffinity", "args": {"kind": "NodeAffinityArgs", "addedAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "a", "operator": "Exists"}]}]},
        }}},
        {"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]}},
    ]}))
    .unwrap();
    let profile = &config.profiles[0];
    assert_eq!((profile.scheduler_name.as_str(), profile.percentage_of_nodes_to_score), ("mine", Some(30)));
    let args = &profile.args;
    assert_eq!(
        args.node_resources_fit.strategy,
        ScoringStrategy::RequestedToCapacityRatio(vec![(0, 0), (100, 10)])
    );
    assert_eq!(args.node_resources_fit.resources[0].weight, 1);
    assert_eq!(args.node_affinity.added_required.as_ref().map(|s| s.terms.len()), Some(1));
    assert!(!args.pod_topology_spread.system_defaulting);
    assert!(!args.pod_topology_spread.default_constraints[0].hard);
    Scheduler::new(config, Wording::default());
}

#[test]
fn wrong_configurations_are_refused_in_kube_schedulers_words() {
    let fit =
        |args: Value| json!({"profiles": [{"pluginConfig": [{"name": "NodeResourcesFit", "args": args}]}]});
    for (body, expected) in [
        (
            json!({"profiles": [{"plugin": {}}], "paralelism": 2}),
            "strict decoding error: unknown field \"profiles[0].plugin\", unknown field \"paralelism\"",
        ),
        (
            fit(json!({"scoring": {}})),
            "strict decoding error: decoding .profiles[0].pluginConfig[0]: strict decoding error: decoding args for \
             plugin NodeResourcesFit: strict decoding error: unknown field \"scoring\"",
        ),
        (
            fit(json!({"kind": "NodeAffinityArgs"})),
            "decoding .profiles[0].pluginConfig[0]: args for plugin NodeResourcesFit were not of type \
             NodeResourcesFitArgs.kubescheduler.config.k8s.io, got NodeAffinityArgs.kubescheduler.config.k8s.io",
        ),
        (
            fit(json!({"scoringStrategy": {"type": "Best", "resources": [{"name": "cpu", "weight": 101}]}})),
            "initializing profiles: creating profile for scheduler name default-scheduler: initializing plugin \
             \"NodeResourcesFit\": [scoringStrategy.type: Unsupported value: \"Best\": supported values: \
             \"LeastAllocated\", \"MostAllocated\", \"RequestedToCapacityRatio\", scoringStrategy.resources[0].weight: \
             Invalid value: 101: resource weight of cpu not in valid range (0, 100]]",
        ),
        (
            json!({"parallelism": 0}),
            "parallelism: Invalid value: 0: should be an integer value greater than zero",
        ),
        (
            json!({"podInitialBackoffSeconds": 20}),
            "podMaxBackoffSeconds: Invalid value: 10: must be greater than or equal to PodInitialBackoffSeconds",
        ),
        (
            json!({"percentageOfNodesToScore": 101}),
            "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
        ),
        (
            json!({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}),
            "profiles[1].schedulerName: Duplicate value: \"profiles[0].schedulerName\"",
        ),
        (
            json!({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "Nope"}]}}}]}),
            "initializing profiles: creating profile for scheduler name default-scheduler: FilterPlugin \"Nope\" does \
             not exist",
        ),
        (
            json!({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "ImageLocality"}]}}}]}),
            "initializing profiles: creating profile for scheduler name default-scheduler: plugin \"ImageLocality\" \
             does not extend FilterPlugin plugin",
        ),
        (
            json!({"profiles": [{"plugins": {"bind": {"disabled": [{"name": "*"}]}}}]}),
            "initializing profiles: creating profile for scheduler name default-scheduler: at least one bind plugin is \
             needed for profile with scheduler name \"default-scheduler\"",
        ),
        (
            json!({"profiles": [{"plugins": {"queueSort": {"disabled": [{"name": "*"}]}}}]}),
            "initializing profiles: creating profile for scheduler name default-scheduler: only one queue sort plugin \
             required for profile with scheduler name \"default-scheduler\", but got 0",
        ),
        (
            json!({"profiles": [{"pluginConfig": [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]}]}),
            "profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]",
        ),
    ] {
        assert_eq!(config(body.clone()).unwrap_err(), [expected], "{body}");
    }
    let old =
        json!({"apiVersion": "kubescheduler.config.k8s.io/v1beta3", "kind": "KubeSchedulerConfiguration"});
    assert_eq!(
        Config::from_json(&old).unwrap_err(),
        [
            "no kind \"KubeSchedulerConfiguration\" is registered for version \"kubescheduler.config.k8s.io/v1beta3\" in \
         scheme \"pkg/scheduler/apis/config/scheme/scheme.go:29\""
        ]
    );
}

#[test]
fn several_profiles_share_one_queue() {
    let two = config(json!({"profiles": [{"schedulerName": "a"}, {"schedulerName": "b"}]})).unwrap();
    assert_eq!(two.frameworks(Wording::default()).unwrap().len(), 2);
}
