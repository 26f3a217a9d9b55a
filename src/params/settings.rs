//! Flags of upstream's components, under upstream's names, with upstream's defaults (v1.34).
//!
//! One table per component makes the struct, its defaults, the reader and the reference page.

use crate::base::{Arc, Quantity, SimDuration, Str};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagType {
    /// A duration.
    Duration,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Decimal,
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A comma list of these words.
    Words(&'static [&'static str]),
    /// A comma list of keys of taints.
    Keys,
    /// Amounts by resource: `cpu=70m,memory=574Mi`, or a map.
    Resources,
    /// Eviction thresholds: `memory.available<100Mi,nodefs.available<10%`.
    Thresholds,
    /// Amounts by signal of eviction: `memory.available=100Mi,nodefs.available=10%`.
    Reclaims,
    /// Durations by signal of eviction: `memory.available=1m30s`, or a map.
    SignalSpans,
    /// Durations by priority of Pods: `{0: 30s, 2000000000: 10s}`, or `0=30s,2000000000=10s`.
    PrioritySpans,
    /// A configuration document in place.
    Document,
}

/// The value of a flag.
#[derive(Clone, Debug, PartialEq)]
pub enum FlagValue {
    /// A duration.
    Duration(SimDuration),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A word.
    Word(Str),
    /// Words in order.
    Words(Vec<Str>),
    /// Amounts by resource; none if the flag is not given.
    Resources(Option<Vec<(Str, Quantity)>>),
    /// Eviction thresholds, or what must be reclaimed.
    Thresholds(Vec<Threshold>),
    /// Durations by signal.
    SignalSpans(Vec<(Str, SimDuration)>),
    /// Durations by priority.
    PrioritySpans(Vec<(i32, SimDuration)>),
    /// A configuration document.
    Document(Option<Arc<serde_json::Value>>),
}

/// Signals of eviction.
pub const SIGNALS: [&str; 6] = [
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
];

/// An eviction threshold of the kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// `memory.available`, `nodefs.available` …
    pub signal: Str,
    /// Below which the kubelet evicts.
    pub limit: ThresholdLimit,
}

/// The limit of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdLimit {
    /// An amount.
    Amount(Quantity),
    /// Hundredths of the capacity.
    Percent(u32),
}

/// A flag of a component.
#[derive(Clone, Copy, Debug)]
pub struct FlagInfo {
    /// The flag, without dashes.
    pub name: &'static str,
    /// What it takes.
    pub takes: FlagType,
    /// The default, as the scenario file would write it.
    pub default: &'static str,
    /// What it is.
    pub doc: &'static str,
}

/// A component with its flags.
#[derive(Clone, Copy, Debug)]
pub struct ComponentInfo {
    /// The component.
    pub name: &'static str,
    /// Its flags.
    pub flags: &'static [FlagInfo],
}

const fn secs(seconds: u64) -> SimDuration {
    SimDuration::from_secs(seconds)
}

const fn mins(minutes: u64) -> SimDuration {
    SimDuration::from_mins(minutes)
}

macro_rules! component {
    ($(#[$meta:meta])* $type:ident, $component:literal, $table:ident;
     $($field:ident : $variant:ident($rust:ty) = $default:expr, $name:literal, $takes:expr, $text:literal, $doc:literal;)*) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $type { $(#[doc = $doc] pub $field: $rust,)* }

        impl Default for $type {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $type {
            /// Sets a flag by name. False if there is no such flag, or it takes another type.
            pub fn set(&mut self, name: &str, value: FlagValue) -> bool {
                match (name, value) {
                    $(($name, FlagValue::$variant(value)) => self.$field = value,)*
                    _ => return false,
                }
                true
            }
        }

        /// The flags.
        pub const $table: ComponentInfo = ComponentInfo { name: $component, flags: &[$(FlagInfo {
            name: $name, takes: $takes, default: $text, doc: $doc,
        },)*] };
    };
}

component! {
    /// Flags of kube-controller-manager.
    ControllerManager, "kube-controller-manager", CONTROLLER_MANAGER;
    node_monitor_period: Duration(SimDuration) = secs(5), "node-monitor-period", FlagType::Duration, "5s",
        "How often the node lifecycle controller looks at all nodes.";
    node_monitor_grace_period: Duration(SimDuration) = secs(50), "node-monitor-grace-period", FlagType::Duration, "50s",
        "How long a node may be silent before its Ready becomes Unknown.";
    node_startup_grace_period: Duration(SimDuration) = secs(60), "node-startup-grace-period", FlagType::Duration, "1m0s",
        "The same for a node that has never been Ready.";
    node_eviction_rate: Decimal(f64) = 0.1, "node-eviction-rate", FlagType::Decimal, "0.1",
        "Nodes per second that are tainted NoExecute in a healthy zone.";
    secondary_node_eviction_rate: Decimal(f64) = 0.01, "secondary-node-eviction-rate", FlagType::Decimal, "0.01",
        "The same in a disrupted zone that is larger than `large-cluster-size-threshold`.";
    large_cluster_size_threshold: Integer(i64) = 50, "large-cluster-size-threshold", FlagType::Integer, "50",
        "Zones up to this size are not tainted at all while they are disrupted.";
    unhealthy_zone_threshold: Decimal(f64) = 0.55, "unhealthy-zone-threshold", FlagType::Decimal, "0.55",
        "The share of not-ready nodes (and at least 3) that makes a zone disrupted.";
    terminated_pod_gc_threshold: Integer(i64) = 12_500, "terminated-pod-gc-threshold", FlagType::Integer, "12500",
        "Ended Pods that may exist before the Pod garbage collector deletes the oldest.";
    attach_detach_reconcile_sync_period: Duration(SimDuration) = secs(60), "attach-detach-reconcile-sync-period", FlagType::Duration, "1m0s",
        "How often the attach/detach controller compares what is attached.";
    horizontal_pod_autoscaler_sync_period: Duration(SimDuration) = secs(15), "horizontal-pod-autoscaler-sync-period", FlagType::Duration, "15s",
        "How often each autoscaler looks at its metrics.";
    horizontal_pod_autoscaler_tolerance: Decimal(f64) = 0.1, "horizontal-pod-autoscaler-tolerance", FlagType::Decimal, "0.1",
        "How far the ratio may be from 1 without scaling.";
    horizontal_pod_autoscaler_downscale_stabilization: Duration(SimDuration) = mins(5), "horizontal-pod-autoscaler-downscale-stabilization", FlagType::Duration, "5m0s",
        "Scaling down goes no lower than the highest recommendation of this span.";
    horizontal_pod_autoscaler_cpu_initialization_period: Duration(SimDuration) = mins(5), "horizontal-pod-autoscaler-cpu-initialization-period", FlagType::Duration, "5m0s",
        "How long after its start CPU samples of a Pod may be skipped.";
    horizontal_pod_autoscaler_initial_readiness_delay: Duration(SimDuration) = secs(30), "horizontal-pod-autoscaler-initial-readiness-delay", FlagType::Duration, "30s",
        "How long after its start a Pod's unreadiness counts as initial.";
    feature_gates: Words(Vec<Str>) = Vec::new(), "feature-gates",
        FlagType::Words(&["HPAConfigurableTolerance=true", "HPAConfigurableTolerance=false"]), "",
        "Gates that are not as v1.34 ships them; `HPAConfigurableTolerance` lets autoscalers give their own tolerances.";
    concurrent_deployment_syncs: Integer(i64) = 5, "concurrent-deployment-syncs", FlagType::Integer, "5", "Workers of the Deployment controller.";
    concurrent_replicaset_syncs: Integer(i64) = 5, "concurrent-replicaset-syncs", FlagType::Integer, "5", "Workers of the ReplicaSet controller.";
    concurrent_statefulset_syncs: Integer(i64) = 5, "concurrent-statefulset-syncs", FlagType::Integer, "5", "Workers of the StatefulSet controller.";
    concurrent_daemonset_syncs: Integer(i64) = 2, "concurrent-daemonset-syncs", FlagType::Integer, "2", "Workers of the DaemonSet controller.";
    concurrent_job_syncs: Integer(i64) = 5, "concurrent-job-syncs", FlagType::Integer, "5", "Workers of the Job controller.";
    concurrent_cron_job_syncs: Integer(i64) = 5, "concurrent-cron-job-syncs", FlagType::Integer, "5", "Workers of the CronJob controller.";
    concurrent_rc_syncs: Integer(i64) = 5, "concurrent-rc-syncs", FlagType::Integer, "5", "Workers of the ReplicationController controller.";
    concurrent_endpoint_syncs: Integer(i64) = 5, "concurrent-service-endpoint-syncs", FlagType::Integer, "5", "Workers of the EndpointSlice controller.";
    concurrent_gc_syncs: Integer(i64) = 20, "concurrent-gc-syncs", FlagType::Integer, "20", "Workers of the garbage collector.";
    concurrent_namespace_syncs: Integer(i64) = 10, "concurrent-namespace-syncs", FlagType::Integer, "10", "Workers of the namespace controller.";
    concurrent_resource_quota_syncs: Integer(i64) = 5, "concurrent-resource-quota-syncs", FlagType::Integer, "5", "Workers of the quota controller.";
    concurrent_ttl_after_finished_syncs: Integer(i64) = 5, "concurrent-ttl-after-finished-syncs", FlagType::Integer, "5", "Workers of the controller that deletes finished Jobs.";
    concurrent_horizontal_pod_autoscaler_syncs: Integer(i64) = 5, "concurrent-horizontal-pod-autoscaler-syncs", FlagType::Integer, "5", "Workers of the autoscaler controller.";
    kube_api_qps: Decimal(f64) = 20.0, "kube-api-qps", FlagType::Decimal, "20",
        "Requests per second of each controller.";
    kube_api_burst: Integer(i64) = 30, "kube-api-burst", FlagType::Integer, "30", "Requests at once of each controller.";
}

component! {
    /// Flags of kube-apiserver.
    ApiServer, "kube-apiserver", API_SERVER;
    default_not_ready_toleration_seconds: Integer(i64) = 300, "default-not-ready-toleration-seconds", FlagType::Integer, "300",
        "The toleration of `node.kubernetes.io/not-ready` that Pods get.";
    default_unreachable_toleration_seconds: Integer(i64) = 300, "default-unreachable-toleration-seconds", FlagType::Integer, "300",
        "The toleration of `node.kubernetes.io/unreachable` that Pods get.";
    event_ttl: Duration(SimDuration) = mins(60), "event-ttl", FlagType::Duration, "1h0m0s", "How long Events are kept; 0s: for good.";
}

component! {
    /// Flags of kube-scheduler.
    Scheduler, "kube-scheduler", SCHEDULER;
    config: Document(Option<Arc<serde_json::Value>>) = None, "config", FlagType::Document, "none",
        "A `KubeSchedulerConfiguration` in place.";
    pod_max_in_unschedulable_pods_duration: Duration(SimDuration) = mins(5), "pod-max-in-unschedulable-pods-duration", FlagType::Duration, "5m0s",
        "After this an unschedulable Pod is tried again even if nothing happened.";
    kube_api_qps: Decimal(f64) = 50.0, "kube-api-qps", FlagType::Decimal, "50", "Requests per second.";
    kube_api_burst: Integer(i64) = 100, "kube-api-burst", FlagType::Integer, "100", "Requests at once.";
}

component! {
    /// Flags of every kubelet.
    Kubelet, "kubelet", KUBELET;
    node_status_update_frequency: Duration(SimDuration) = secs(10), "node-status-update-frequency", FlagType::Duration, "10s",
        "How often the node's status is computed.";
    node_status_report_frequency: Duration(SimDuration) = mins(5), "node-status-report-frequency", FlagType::Duration, "5m0s",
        "How often it is posted if nothing changed; such a post tells nobody anything, and is not made here.";
    node_lease_duration_seconds: Integer(i64) = 40, "node-lease-duration-seconds", FlagType::Integer, "40",
        "The lease's duration; it is renewed every quarter of it.";
    max_pods: Integer(i64) = 110, "max-pods", FlagType::Integer, "110",
        "Pods per node, for node groups with neither an instance type nor `pods` in their capacity.";
    kube_reserved: Resources(Option<Vec<(Str, Quantity)>>) = None, "kube-reserved", FlagType::Resources, "EKS's formula for instance types, else nothing",
        "What Kubernetes' own daemons get; subtracted from allocatable.";
    system_reserved: Resources(Option<Vec<(Str, Quantity)>>) = None, "system-reserved", FlagType::Resources, "nothing",
        "What the system's daemons get; subtracted from allocatable.";
    eviction_hard: Thresholds(Vec<Threshold>) = default_eviction_hard(), "eviction-hard", FlagType::Thresholds, "memory.available<100Mi,nodefs.available<10%,imagefs.available<15%,nodefs.inodesFree<5%,imagefs.inodesFree<5%",
        "Below this the kubelet evicts; memory and nodefs are subtracted from allocatable.";
    eviction_soft: Thresholds(Vec<Threshold>) = Vec::new(), "eviction-soft", FlagType::Thresholds, "none",
        "Below this the kubelet evicts once it has been so for the grace period of the signal; subtracted from nothing.";
    eviction_soft_grace_period: SignalSpans(Vec<(Str, SimDuration)>) = Vec::new(), "eviction-soft-grace-period", FlagType::SignalSpans, "none",
        "How long a soft threshold must have been crossed; every one must have such a period.";
    eviction_max_pod_grace_period: Integer(i64) = 0, "eviction-max-pod-grace-period", FlagType::Integer, "0",
        "The longest grace period in seconds of a Pod that is evicted for a soft threshold.";
    eviction_minimum_reclaim: Thresholds(Vec<Threshold>) = Vec::new(), "eviction-minimum-reclaim", FlagType::Reclaims, "nothing",
        "How far beyond a threshold the kubelet goes on evicting, by signal.";
    eviction_pressure_transition_period: Duration(SimDuration) = mins(5), "eviction-pressure-transition-period", FlagType::Duration, "5m0s",
        "How long a condition of pressure holds after it was last seen.";
    image_gc_high_threshold: Integer(i64) = 85, "image-gc-high-threshold", FlagType::Integer, "85",
        "Percent of the disk in use from which unused images are deleted.";
    image_gc_low_threshold: Integer(i64) = 80, "image-gc-low-threshold", FlagType::Integer, "80",
        "Percent of the disk in use down to which they are.";
    minimum_image_ttl_duration: Duration(SimDuration) = mins(2), "minimum-image-ttl-duration", FlagType::Duration, "2m0s",
        "Images younger than this are not deleted.";
    shutdown_grace_period: Duration(SimDuration) = SimDuration::ZERO, "shutdown-grace-period", FlagType::Duration, "0s",
        "How long a shutdown of the machine is held back until its Pods have ended; zero: not at all.";
    shutdown_grace_period_critical_pods: Duration(SimDuration) = SimDuration::ZERO, "shutdown-grace-period-critical-pods", FlagType::Duration, "0s",
        "The part of it that is kept for critical Pods.";
    shutdown_grace_period_by_pod_priority: PrioritySpans(Vec<(i32, SimDuration)>) = Vec::new(), "shutdown-grace-period-by-pod-priority", FlagType::PrioritySpans, "none",
        "How long Pods of this priority and up to the next one may take to end when the machine shuts down, the lowest first; instead of the two periods above.";
    registry_qps: Decimal(f64) = 5.0, "registry-qps", FlagType::Decimal, "5", "Image pulls per second of a node, beyond which they fail; 0: any number.";
    registry_burst: Integer(i64) = 10, "registry-burst", FlagType::Integer, "10", "Image pulls of a node at once.";
    serialize_image_pulls: Bool(bool) = true, "serialize-image-pulls", FlagType::Bool, "true", "One image at a time per node.";
    max_parallel_image_pulls: Integer(i64) = 1, "max-parallel-image-pulls", FlagType::Integer, "1", "Images at a time, if pulls are not serial.";
    sync_frequency: Duration(SimDuration) = mins(1), "sync-frequency", FlagType::Duration, "1m0s", "How often every Pod is looked at without a reason.";
    kube_api_qps: Decimal(f64) = 50.0, "kube-api-qps", FlagType::Decimal, "50", "Requests per second of each kubelet.";
    kube_api_burst: Integer(i64) = 100, "kube-api-burst", FlagType::Integer, "100", "Requests at once of each kubelet.";
}

component! {
    /// What metrics-server does.
    MetricsServer, "metrics-server", METRICS_SERVER;
    enabled: Bool(bool) = true, "enabled", FlagType::Bool, "true", "Whether it runs; without it, no autoscaler can read CPU or memory.";
    first_sample: Duration(SimDuration) = SimDuration::ZERO, "first-sample", FlagType::Duration, "0s",
        "If given, metrics-server is a fake: a Pod is listed from so long after its start, and answers are computed at the moment of the question.";
    window: Duration(SimDuration) = secs(15), "window", FlagType::Duration, "15s", "The span that samples of the fake say they cover.";
    metric_resolution: Duration(SimDuration) = secs(15), "metric-resolution", FlagType::Duration, "15s",
        "How often kubelets are asked (the shipped manifest's value); samples are means from one time to the next.";
}

component! {
    /// Flags of the cluster autoscaler; it runs if a node group has `min` and `max`.
    ClusterAutoscaler, "cluster-autoscaler", CLUSTER_AUTOSCALER;
    expander: Words(Vec<Str>) = vec!["least-waste".into()], "expander",
        FlagType::Words(&["random", "most-pods", "least-waste", "price", "priority", "least-nodes"]), "least-waste",
        "How one of several fitting groups is chosen; a comma list is a chain.";
    scan_interval: Duration(SimDuration) = secs(10), "scan-interval", FlagType::Duration, "10s", "The pause between two loops.";
    max_nodes_total: Integer(i64) = 0, "max-nodes-total", FlagType::Integer, "0", "Nodes of the whole cluster; 0 means no limit.";
    max_node_provision_time: Duration(SimDuration) = mins(15), "max-node-provision-time", FlagType::Duration, "15m0s",
        "How long a machine may take before it is given up.";
    new_pod_scale_up_delay: Duration(SimDuration) = SimDuration::ZERO, "new-pod-scale-up-delay", FlagType::Duration, "0s",
        "Pods younger than this do not count.";
    expendable_pods_priority_cutoff: Integer(i64) = -10, "expendable-pods-priority-cutoff", FlagType::Integer, "-10",
        "Pods of a lower priority neither scale up nor block scaling down.";
    max_nodes_per_scaleup: Integer(i64) = 1000, "max-nodes-per-scaleup", FlagType::Integer, "1000", "Nodes per scale-up.";
    balance_similar_node_groups: Bool(bool) = false, "balance-similar-node-groups", FlagType::Bool, "false",
        "Spread a scale-up over groups that differ in their zone only.";
    startup_taint: Words(Vec<Str>) = Vec::new(), "startup-taint", FlagType::Keys, "",
        "Taints that a new node has until it is ready to take Pods: new nodes are planned without them, and nodes with one count as starting.";
    ignore_taint: Words(Vec<Str>) = Vec::new(), "ignore-taint", FlagType::Keys, "", "The same, by its old name.";
    status_taint: Words(Vec<Str>) = Vec::new(), "status-taint", FlagType::Keys, "",
        "Taints that new nodes are planned without, though nodes with one count as ready.";
    scale_down_enabled: Bool(bool) = true, "scale-down-enabled", FlagType::Bool, "true", "Whether nodes are removed.";
    scale_down_delay_after_add: Duration(SimDuration) = mins(10), "scale-down-delay-after-add", FlagType::Duration, "10m0s",
        "After a scale-up no node is removed for so long.";
    scale_down_delay_after_delete: Duration(SimDuration) = SimDuration::ZERO, "scale-down-delay-after-delete", FlagType::Duration, "0s",
        "The same after a removal.";
    scale_down_delay_after_failure: Duration(SimDuration) = mins(3), "scale-down-delay-after-failure", FlagType::Duration, "3m0s",
        "The same after a failed removal.";
    scale_down_unneeded_time: Duration(SimDuration) = mins(10), "scale-down-unneeded-time", FlagType::Duration, "10m0s",
        "How long a node must be unneeded.";
    scale_down_unready_time: Duration(SimDuration) = mins(20), "scale-down-unready-time", FlagType::Duration, "20m0s",
        "How long a node that is not ready must be unneeded.";
    scale_down_utilization_threshold: Decimal(f64) = 0.5, "scale-down-utilization-threshold", FlagType::Decimal, "0.5",
        "Requests over allocatable below which a node may be unneeded.";
    max_scale_down_parallelism: Integer(i64) = 10, "max-scale-down-parallelism", FlagType::Integer, "10", "Nodes removed at once.";
    max_drain_parallelism: Integer(i64) = 1, "max-drain-parallelism", FlagType::Integer, "1", "Nodes drained at once.";
    max_graceful_termination_sec: Integer(i64) = 600, "max-graceful-termination-sec", FlagType::Integer, "600",
        "The longest grace period that is waited for.";
    max_pod_eviction_time: Duration(SimDuration) = mins(2), "max-pod-eviction-time", FlagType::Duration, "2m0s",
        "How long an eviction is tried.";
    skip_nodes_with_system_pods: Bool(bool) = true, "skip-nodes-with-system-pods", FlagType::Bool, "true",
        "Pods of kube-system without a budget keep their node.";
    skip_nodes_with_local_storage: Bool(bool) = true, "skip-nodes-with-local-storage", FlagType::Bool, "true",
        "Pods with local storage keep their node.";
    skip_nodes_with_custom_controller_pods: Bool(bool) = true, "skip-nodes-with-custom-controller-pods", FlagType::Bool, "true",
        "Pods of unknown controllers keep their node.";
    ignore_daemonsets_utilization: Bool(bool) = false, "ignore-daemonsets-utilization", FlagType::Bool, "false",
        "Whether DaemonSet Pods are left out of the utilization.";
    ok_total_unready_count: Integer(i64) = 3, "ok-total-unready-count", FlagType::Integer, "3",
        "Nodes that may be unready before the autoscaler stands still.";
    max_total_unready_percentage: Decimal(f64) = 45.0, "max-total-unready-percentage", FlagType::Decimal, "45",
        "The share of unready nodes at which it does.";
    initial_node_group_backoff_duration: Duration(SimDuration) = mins(5), "initial-node-group-backoff-duration", FlagType::Duration, "5m0s",
        "A group that failed is left alone for so long.";
    max_node_group_backoff_duration: Duration(SimDuration) = mins(30), "max-node-group-backoff-duration", FlagType::Duration, "30m0s",
        "The longest time that a group that fails again and again is left alone.";
    node_group_backoff_reset_timeout: Duration(SimDuration) = mins(180), "node-group-backoff-reset-timeout", FlagType::Duration, "3h0m0s",
        "After so long without a failure the next one counts as the first.";
    unremovable_node_recheck_timeout: Duration(SimDuration) = mins(5), "unremovable-node-recheck-timeout", FlagType::Duration, "5m0s",
        "A node that could not be emptied is not tried again for so long.";
    node_delete_delay_after_taint: Duration(SimDuration) = secs(5), "node-delete-delay-after-taint", FlagType::Duration, "5s",
        "From the taint of a node to be deleted to its first eviction.";
    blocking_system_pod_distruption_timeout: Duration(SimDuration) = mins(60), "blocking-system-pod-distruption-timeout", FlagType::Duration, "1h0m0s",
        "Pods of kube-system without a budget keep their node until they are so old.";
    scale_down_unready_enabled: Bool(bool) = true, "scale-down-unready-enabled", FlagType::Bool, "true",
        "Whether nodes that are not ready are removed.";
    scale_down_gpu_utilization_threshold: Decimal(f64) = 0.5, "scale-down-gpu-utilization-threshold", FlagType::Decimal, "0.5",
        "The same for nodes with GPUs, of which only those count.";
    min_replica_count: Integer(i64) = 0, "min-replica-count", FlagType::Integer, "0",
        "Pods of a ReplicaSet or ReplicationController with fewer replicas keep their node.";
    ignore_mirror_pods_utilization: Bool(bool) = false, "ignore-mirror-pods-utilization", FlagType::Bool, "false",
        "Whether static Pods are left out of the utilization.";
    daemonset_eviction_for_occupied_nodes: Bool(bool) = true, "daemonset-eviction-for-occupied-nodes", FlagType::Bool, "true",
        "Whether DaemonSet Pods of a node that is drained are evicted too.";
    daemonset_eviction_for_empty_nodes: Bool(bool) = false, "daemonset-eviction-for-empty-nodes", FlagType::Bool, "false",
        "Whether DaemonSet Pods of an empty node are evicted.";
    cordon_node_before_terminating: Bool(bool) = true, "cordon-node-before-terminating", FlagType::Bool, "true",
        "Whether nodes to be deleted are cordoned.";
    memory_difference_ratio: Decimal(f64) = 0.015, "memory-difference-ratio", FlagType::Decimal, "0.015",
        "Memory by which nodes of similar groups may differ.";
    max_allocatable_difference_ratio: Decimal(f64) = 0.05, "max-allocatable-difference-ratio", FlagType::Decimal, "0.05",
        "Allocatable by which nodes of similar groups may differ.";
    max_free_difference_ratio: Decimal(f64) = 0.05, "max-free-difference-ratio", FlagType::Decimal, "0.05",
        "Free room by which new nodes of similar groups may differ.";
    write_status_configmap: Bool(bool) = true, "write-status-configmap", FlagType::Bool, "true",
        "Whether the ConfigMap `cluster-autoscaler-status` is written.";
    enforce_node_group_min_size: Bool(bool) = false, "enforce-node-group-min-size", FlagType::Bool, "false",
        "Whether groups below their minimum are filled up.";
}

component! {
    /// Flags of the vertical autoscaler's recommender; it runs while there is a VerticalPodAutoscaler.
    VpaRecommender, "vpa-recommender", VPA_RECOMMENDER;
    recommender_interval: Duration(SimDuration) = mins(1), "recommender-interval", FlagType::Duration, "1m0s", "How often metrics are read and recommendations made.";
    target_cpu_percentile: Decimal(f64) = 0.9, "target-cpu-percentile", FlagType::Decimal, "0.9", "Of the CPU samples, for the target.";
    recommendation_lower_bound_cpu_percentile: Decimal(f64) = 0.5, "recommendation-lower-bound-cpu-percentile", FlagType::Decimal, "0.5", "The same for the lower bound.";
    recommendation_upper_bound_cpu_percentile: Decimal(f64) = 0.95, "recommendation-upper-bound-cpu-percentile", FlagType::Decimal, "0.95", "The same for the upper bound.";
    target_memory_percentile: Decimal(f64) = 0.9, "target-memory-percentile", FlagType::Decimal, "0.9", "Of the daily memory peaks, for the target.";
    recommendation_lower_bound_memory_percentile: Decimal(f64) = 0.5, "recommendation-lower-bound-memory-percentile", FlagType::Decimal, "0.5", "The same for the lower bound.";
    recommendation_upper_bound_memory_percentile: Decimal(f64) = 0.95, "recommendation-upper-bound-memory-percentile", FlagType::Decimal, "0.95", "The same for the upper bound.";
    recommendation_margin_fraction: Decimal(f64) = 0.15, "recommendation-margin-fraction", FlagType::Decimal, "0.15", "Added to what was used.";
    pod_recommendation_min_cpu_millicores: Decimal(f64) = 25.0, "pod-recommendation-min-cpu-millicores", FlagType::Decimal, "25", "The least CPU of a Pod, shared by its containers.";
    pod_recommendation_min_memory_mb: Decimal(f64) = 250.0, "pod-recommendation-min-memory-mb", FlagType::Decimal, "250", "The least memory of a Pod in MiB, shared by its containers.";
    confidence_interval_cpu: Duration(SimDuration) = mins(1440), "confidence-interval-cpu", FlagType::Duration, "24h0m0s", "The history after which the bounds of CPU are twice and once as wide as what was seen.";
    confidence_interval_memory: Duration(SimDuration) = mins(1440), "confidence-interval-memory", FlagType::Duration, "24h0m0s", "The same for memory.";
    round_cpu_millicores: Integer(i64) = 1, "round-cpu-millicores", FlagType::Integer, "1", "CPU is rounded up to a multiple of so many millicores.";
    round_memory_bytes: Integer(i64) = 1, "round-memory-bytes", FlagType::Integer, "1", "Memory is rounded up to a multiple of so many bytes.";
    oom_bump_up_ratio: Decimal(f64) = 1.2, "oom-bump-up-ratio", FlagType::Decimal, "1.2", "A container that was killed for its memory is taken to need so many times as much,";
    oom_min_bump_up_bytes: Decimal(f64) = 104_857_600.0, "oom-min-bump-up-bytes", FlagType::Decimal, "104857600", "or so many bytes more, if that is more.";
}

component! {
    /// Flags of the vertical autoscaler's updater.
    VpaUpdater, "vpa-updater", VPA_UPDATER;
    min_replicas: Integer(i64) = 2, "min-replicas", FlagType::Integer, "2", "Pods of a controller with fewer live ones are not evicted.";
    eviction_tolerance: Decimal(f64) = 0.5, "eviction-tolerance", FlagType::Decimal, "0.5", "The share of a controller's Pods that may be missing.";
    pod_update_threshold: Decimal(f64) = 0.1, "pod-update-threshold", FlagType::Decimal, "0.1", "Old Pods are evicted if their requests differ by this share.";
    in_recommendation_bounds_eviction_lifetime_threshold: Duration(SimDuration) = mins(720), "in-recommendation-bounds-eviction-lifetime-threshold", FlagType::Duration, "12h0m0s", "How old that is.";
    evict_after_oom_threshold: Duration(SimDuration) = mins(10), "evict-after-oom-threshold", FlagType::Duration, "10m0s", "A container that is killed for its memory so soon has its Pod evicted.";
}

/// Upstream: `pkg/kubelet/eviction/defaults_linux.go`, v1.34.
fn default_eviction_hard() -> Vec<Threshold> {
    let percent = |signal: &str, p| Threshold { signal: signal.into(), limit: ThresholdLimit::Percent(p) };
    vec![
        Threshold {
            signal: "memory.available".into(),
            limit: ThresholdLimit::Amount(Quantity::from_bytes(100 << 20)),
        },
        percent("nodefs.available", 10),
        percent("imagefs.available", 15),
        percent("nodefs.inodesFree", 5),
        percent("imagefs.inodesFree", 5),
    ]
}

/// Flags of all components.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// kube-controller-manager.
    pub kube_controller_manager: ControllerManager,
    /// kube-apiserver.
    pub kube_apiserver: ApiServer,
    /// kube-scheduler.
    pub kube_scheduler: Scheduler,
    /// kubelet.
    pub kubelet: Kubelet,
    /// metrics-server.
    pub metrics_server: MetricsServer,
    /// cluster-autoscaler.
    pub cluster_autoscaler: ClusterAutoscaler,
    /// The vertical autoscaler's recommender.
    pub vpa_recommender: VpaRecommender,
    /// The vertical autoscaler's updater.
    pub vpa_updater: VpaUpdater,
}

/// All components.
pub const COMPONENTS: &[ComponentInfo] = &[
    CONTROLLER_MANAGER,
    API_SERVER,
    SCHEDULER,
    KUBELET,
    METRICS_SERVER,
    CLUSTER_AUTOSCALER,
    VPA_RECOMMENDER,
    VPA_UPDATER,
];

impl Settings {
    /// Sets a flag of a component. False if there is no such flag, or it takes another type.
    pub fn set(&mut self, component: &str, flag: &str, value: FlagValue) -> bool {
        match component {
            "kube-controller-manager" => self.kube_controller_manager.set(flag, value),
            "kube-apiserver" => self.kube_apiserver.set(flag, value),
            "kube-scheduler" => self.kube_scheduler.set(flag, value),
            "kubelet" => self.kubelet.set(flag, value),
            "metrics-server" => self.metrics_server.set(flag, value),
            "cluster-autoscaler" => self.cluster_autoscaler.set(flag, value),
            "vpa-recommender" => self.vpa_recommender.set(flag, value),
            "vpa-updater" => self.vpa_updater.set(flag, value),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of the type that a flag takes.
    fn sample(takes: FlagType) -> FlagValue {
        match takes {
            FlagType::Duration => FlagValue::Duration(secs(1)),
            FlagType::Integer => FlagValue::Integer(7),
            FlagType::Decimal => FlagValue::Decimal(0.7),
            FlagType::Bool => FlagValue::Bool(true),
            FlagType::Word(words) => FlagValue::Word(words[0].into()),
            FlagType::Words(words) => FlagValue::Words(vec![words[0].into()]),
            FlagType::Keys => FlagValue::Words(vec!["example.com/starting".into()]),
            FlagType::Resources => FlagValue::Resources(Some(Vec::new())),
            FlagType::Thresholds | FlagType::Reclaims => FlagValue::Thresholds(Vec::new()),
            FlagType::SignalSpans => FlagValue::SignalSpans(Vec::new()),
            FlagType::PrioritySpans => FlagValue::PrioritySpans(Vec::new()),
            FlagType::Document => FlagValue::Document(None),
        }
    }

    #[test]
    fn every_flag_can_be_set_with_its_own_type_only() {
        let mut settings = Settings::default();
        for component in COMPONENTS {
            for flag in component.flags {
                assert!(settings.set(component.name, flag.name, sample(flag.takes)), "{}", flag.name);
            }
        }
        assert_eq!(settings.kube_controller_manager.node_monitor_period, secs(1));
        assert!(!settings.set("kubelet", "max-pods", FlagValue::Bool(true)));
        assert!(!settings.set("kubelet", "nonsense", FlagValue::Bool(true)));
        assert!(!settings.set("nonsense", "max-pods", FlagValue::Integer(1)));
    }

    #[test]
    fn documented_defaults_of_durations_are_the_real_ones() {
        for component in COMPONENTS {
            for flag in component.flags.iter().filter(|f| f.takes == FlagType::Duration) {
                let mut changed = Settings::default();
                let value = SimDuration::parse_go(flag.default).unwrap();
                assert!(changed.set(component.name, flag.name, FlagValue::Duration(value)));
                assert_eq!(changed, Settings::default(), "{}", flag.name);
            }
        }
    }

    #[test]
    fn documented_defaults_of_numbers_are_the_real_ones() {
        for component in COMPONENTS {
            for flag in component.flags {
                let mut changed = Settings::default();
                let value = match flag.takes {
                    FlagType::Integer => FlagValue::Integer(flag.default.parse().unwrap()),
                    FlagType::Decimal => FlagValue::Decimal(flag.default.parse().unwrap()),
                    FlagType::Bool => FlagValue::Bool(flag.default.parse().unwrap()),
                    _ => continue,
                };
                assert!(changed.set(component.name, flag.name, value));
                assert_eq!(changed, Settings::default(), "{}", flag.name);
            }
        }
    }

    /// §6.1, §7.1, §7.3, §7.10, §7.13, §13.1: what upstream does if nobody says otherwise.
    #[test]
    fn defaults_are_those_of_the_release() {
        let settings = Settings::default();
        let (manager, kubelet) = (&settings.kube_controller_manager, &settings.kubelet);
        assert_eq!(
            [
                manager.node_monitor_period,
                manager.node_monitor_grace_period,
                manager.node_startup_grace_period,
                kubelet.node_status_update_frequency,
                kubelet.node_status_report_frequency,
                kubelet.sync_frequency,
                kubelet.eviction_pressure_transition_period,
                kubelet.minimum_image_ttl_duration,
                kubelet.shutdown_grace_period,
            ]
            .map(|span| span.as_secs()),
            [5, 50, 60, 10, 300, 60, 300, 120, 0]
        );
        assert_eq!(
            [
                manager.large_cluster_size_threshold,
                manager.terminated_pod_gc_threshold,
                kubelet.node_lease_duration_seconds,
                kubelet.max_pods,
                kubelet.image_gc_high_threshold,
                kubelet.image_gc_low_threshold,
                kubelet.registry_burst,
                settings.kube_apiserver.default_not_ready_toleration_seconds,
                settings.kube_apiserver.default_unreachable_toleration_seconds,
            ],
            [50, 12_500, 40, 110, 85, 80, 10, 300, 300]
        );
        assert!(kubelet.serialize_image_pulls && kubelet.eviction_soft.is_empty());
        let hard: Vec<String> = kubelet
            .eviction_hard
            .iter()
            .map(|t| match &t.limit {
                ThresholdLimit::Amount(amount) => format!("{}<{amount}", t.signal),
                ThresholdLimit::Percent(percent) => format!("{}<{percent}%", t.signal),
            })
            .collect();
        assert_eq!(
            hard.join(","),
            "memory.available<100Mi,nodefs.available<10%,imagefs.available<15%,nodefs.inodesFree<5%,imagefs.inodesFree<5%"
        );
    }
}
