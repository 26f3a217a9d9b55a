//! Policy kinds: budgets, priority classes, quotas, autoscalers as objects.

use super::condition::Condition;
use super::k8s;
use super::meta::{Labels, Meta};
use super::resources::ResourceList;
use super::selector::LabelSelector;
use super::workload::{BoundaryPart, IntOrPercent};
use crate::base::{Quantity, Str, Timestamp};
use std::sync::Arc;

/// A PodDisruptionBudget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodDisruptionBudget {
    /// Metadata.
    pub meta: Meta,
    /// Which Pods. Empty selects all of the namespace.
    pub selector: LabelSelector,
    /// `minAvailable`.
    pub min_available: Option<IntOrPercent>,
    /// `maxUnavailable`.
    pub max_unavailable: Option<IntOrPercent>,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
    pub always_allow_unhealthy: bool,
    /// The generation last seen.
    pub observed_generation: i64,
    /// Pods whose eviction was granted and that still exist: name and when.
    pub disrupted_pods: Vec<(Str, Timestamp)>,
    /// Evictions that would be granted now.
    pub disruptions_allowed: i32,
    /// Healthy Pods.
    pub current_healthy: i32,
    /// Healthy Pods there must be.
    pub desired_healthy: i32,
    /// Pods counted.
    pub expected_pods: i32,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A PriorityClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PriorityClass {
    /// Metadata.
    pub meta: Meta,
    /// The priority.
    pub value: i32,
    /// For Pods that name no class.
    pub global_default: bool,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    /// Free text.
    pub description: Str,
}

/// A ResourceQuota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourceQuota {
    /// Metadata.
    pub meta: Meta,
    /// Limits.
    pub hard: ResourceList,
    /// Scopes by name.
    pub scopes: Vec<Str>,
    /// `scopeSelector.matchExpressions`: scope name, operator, values.
    pub scope_selector: Vec<(Str, Str, Vec<Str>)>,
    /// Limits the controller has seen.
    pub status_hard: ResourceList,
    /// What is used of them.
    pub used: ResourceList,
}

/// A LimitRange, in its boundary form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LimitRange {
    /// Metadata.
    pub meta: Meta,
    /// The limits, defaulted.
    pub spec: Arc<BoundaryPart<k8s::core::v1::LimitRangeSpec>>,
}

/// A HorizontalPodAutoscaler (v2), its spec in the boundary form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HorizontalPodAutoscaler {
    /// Metadata.
    pub meta: Meta,
    /// Kind of the target.
    pub target_kind: Str,
    /// Name of the target.
    pub target_name: Str,
    /// Lower bound.
    pub min_replicas: i32,
    /// Upper bound.
    pub max_replicas: i32,
    /// Everything else.
    pub spec: Arc<BoundaryPart<k8s::autoscaling::v2::HorizontalPodAutoscalerSpec>>,
    /// The generation last seen.
    pub observed_generation: i64,
    /// When it last scaled.
    pub last_scale_time: Option<Timestamp>,
    /// Replicas seen.
    pub current_replicas: i32,
    /// Replicas wanted.
    pub desired_replicas: i32,
    /// Metrics seen: name, average utilisation in percent, average value.
    pub current_metrics: Vec<(Str, Option<i32>, Option<Quantity>)>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A node's lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Metadata.
    pub meta: Meta,
    /// Who holds it.
    pub holder: Str,
    /// How long it lasts.
    pub duration_seconds: i32,
    /// When it was renewed.
    pub renew_time: Option<Timestamp>,
}

/// Labels of a selector that only has `matchLabels`, for output.
pub fn match_labels(selector: &LabelSelector) -> Labels {
    match selector {
        LabelSelector::Nothing => Labels::default(),
        LabelSelector::Requirements(all) => all
            .iter()
            .filter(|r| r.operator == super::selector::Operator::In && r.values.len() == 1)
            .map(|r| (r.key.clone(), r.values[0].clone()))
            .collect(),
    }
}
