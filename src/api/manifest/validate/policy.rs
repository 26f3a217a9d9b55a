//! Budgets, priorities, quotas, limits, autoscalers, nodes.
//!
//! Upstream: `pkg/apis/{policy,scheduling,autoscaling}/validation/validation.go` and
//! `pkg/apis/core/validation/validation.go`, v1.34.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Boundary;

use super::container::{amount, quantities};
use super::workload::{int_or_percent, not_more_than_all};
use super::{At, Bad, Report, meta, names, pod};
use crate::api::k8s::core::v1::{LimitRange, LimitRangeItem, Node, ResourceQuota};
use crate::api::k8s::policy::v1::PodDisruptionBudget;
use crate::api::k8s::scheduling::v1::PriorityClass;
use crate::base::Quantity;

/// A PodDisruptionBudget. Upstream: `ValidatePodDisruptionBudgetSpec`.
pub(in crate::api::manifest) fn disruption_budget(object: &PodDisruptionBudget, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return };
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        report.invalid(&at, Bad::json(spec), "minAvailable and maxUnavailable cannot be both set");
    }
    for (name, value) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
        int_or_percent(value.as_ref(), &at.field(name), report);
        not_more_than_all(value.as_ref(), &at.field(name), report);
    }
    if let Some(selector) = &spec.selector {
        meta::label_selector(selector, &at.field("selector"), report);
    }
    report.one_of(
        &at.field("unhealthyPodEvictionPolicy"),
        spec.unhealthy_pod_eviction_policy.as_deref(),
        &["AlwaysAllow", "IfHealthyBudget"],
    );
}

const PRIORITY_MAX_USER: i32 = 1_000_000_000;

/// A PriorityClass. Upstream: `ValidatePriorityClass`.
pub(in crate::api::manifest) fn priority_class(object: &PriorityClass, report: &mut Report) {
    let root = At::Root;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let system = match name {
        "system-cluster-critical" => Some(2_000_000_000),
        "system-node-critical" => Some(2_000_001_000),
        _ => None,
    };
    if name.starts_with("system-") {
        if system != Some(object.value) || object.global_default == Some(true) {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
            );
            report.forbidden(&root.field("metadata").field("name"), &detail);
        }
    } else if object.value > PRIORITY_MAX_USER {
        let detail = format!("maximum allowed value of a user defined priority is {PRIORITY_MAX_USER}");
        report.forbidden(&root.field("value"), &detail);
    }
    report.one_of(
        &root.field("preemptionPolicy"),
        object.preemption_policy.as_deref(),
        &["PreemptLowerPriority", "Never"],
    );
}

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// A ResourceQuota. Upstream: `ValidateResourceQuotaSpec`.
pub(in crate::api::manifest) fn resource_quota(object: &ResourceQuota, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return };
    let hard = at.field("hard");
    for (name, quantity) in spec.hard.iter().flatten() {
        report.invalid_each(&hard.key(name), name, names::qualified_name(name));
        amount(name, quantity, &hard.key(name), report);
    }
    let scopes = spec.scopes.as_deref().unwrap_or_default();
    let under = at.field("scopes");
    for (i, scope) in scopes.iter().enumerate().filter(|(_, s)| !SCOPES.contains(&s.as_str())) {
        let before = report.len();
        report.invalid(&under, Bad::json(&scopes), format!("unsupported scope {scope}"));
        report.point_at(before, &under.index(i));
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.iter().any(|s| s == scope)) {
            report.invalid(&under, Bad::json(&scopes), "conflicting scopes");
        }
    }
    let under = at.field("scopeSelector");
    let under = under.field("matchExpressions");
    let expressions = spec.scope_selector.iter().flat_map(|s| s.match_expressions.iter().flatten());
    for (i, expression) in expressions.enumerate() {
        let at = under.index(i);
        let values = expression.values.as_deref().unwrap_or_default();
        if !SCOPES.contains(&expression.scope_name.as_str()) {
            report.invalid(&at.field("scopeName"), &expression.scope_name, "unsupported scope");
        }
        match expression.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => report.required(
                &at.field("values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ),
            "Exists" | "DoesNotExist" if !values.is_empty() => report.invalid(
                &at.field("values"),
                Bad::json(&values),
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => report.invalid(&at.field("operator"), other, "not a valid selector operator"),
        }
    }
}

/// A LimitRange. Upstream: `ValidateLimitRange`.
pub(in crate::api::manifest) fn limit_range(object: &LimitRange, report: &mut Report) {
    let at = At::top("spec");
    let under = at.field("limits");
    let mut types = BTreeSet::new();
    for (i, item) in object.spec.iter().flat_map(|s| &s.limits).enumerate() {
        let at = under.index(i);
        if item.type_.is_empty() {
            report.required(&at.field("type"), "");
        } else if !matches!(item.type_.as_str(), "Pod" | "Container" | "PersistentVolumeClaim") {
            report.invalid_each(&at.field("type"), &item.type_, names::qualified_name(&item.type_));
        }
        if !types.insert(item.type_.as_str()) {
            report.duplicate(&at.field("type"), &item.type_);
        }
        limit(item, &at, report);
    }
}

fn limit(item: &LimitRangeItem, at: &At<'_>, report: &mut Report) {
    if item.type_ == "Pod" {
        for (name, given) in [("default", &item.default), ("defaultRequest", &item.default_request)] {
            if given.as_ref().is_some_and(|list| !list.is_empty()) {
                report.forbidden(&at.field(name), "may not be specified when `type` is 'Pod'");
            }
        }
    }
    let has_storage =
        |list: &Option<BTreeMap<String, Boundary>>| list.as_ref().is_some_and(|l| l.contains_key("storage"));
    if item.type_ == "PersistentVolumeClaim" && !has_storage(&item.min) && !has_storage(&item.max) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        report.required(&at.field("limits"), detail);
    }
    let lists = [
        ("min", "min value", &item.min),
        ("defaultRequest", "default request value", &item.default_request),
        ("default", "default value", &item.default),
        ("max", "max value", &item.max),
    ];
    for (i, (name, words, low)) in lists.iter().enumerate() {
        for (_, other_words, high) in &lists[i + 1..] {
            for (resource, low) in low.iter().flatten() {
                let Some(high) = high.as_ref().and_then(|h| h.get(resource)) else { continue };
                if exceeds(low, high) {
                    let detail = format!("{words} {} is greater than {other_words} {}", low.0, high.0);
                    report.invalid(&at.field(name).key(resource), &low.0, detail);
                }
            }
        }
    }
    let ratios = at.field("maxLimitRequestRatio");
    for (resource, ratio) in item.max_limit_request_ratio.iter().flatten() {
        if exceeds(&Boundary("1".to_owned()), ratio) {
            report.invalid(&ratios.key(resource), &ratio.0, format!("ratio {} is less than 1", ratio.0));
        }
    }
}

fn exceeds(a: &Boundary, b: &Boundary) -> bool {
    matches!((Quantity::parse(&a.0), Quantity::parse(&b.0)), (Ok(a), Ok(b)) if a.nanos() > b.nanos())
}

/// A Node. Upstream: `ValidateNode`.
pub(in crate::api::manifest) fn node(object: &Node, report: &mut Report) {
    let root = At::Root;
    let at = root.field("spec");
    let under = at.field("taints");
    let mut seen = BTreeSet::new();
    for (i, taint) in object.spec.iter().flat_map(|s| s.taints.iter().flatten()).enumerate() {
        let at = under.index(i);
        meta::label_name(&taint.key, &at.field("key"), report);
        if let Some(value) = taint.value.as_deref() {
            report.invalid_each(&at.field("value"), value, names::label_value(value));
        }
        if taint.effect.is_empty() {
            report.required(&at.field("effect"), "");
        }
        report.one_of(&at.field("effect"), Some(&taint.effect), pod::EFFECTS);
        if !seen.insert((&taint.key, &taint.effect)) {
            report.duplicate(&at, Bad::json(taint));
        }
    }
    let at = root.field("status");
    let Some(status) = &object.status else { return };
    quantities(status.capacity.as_ref(), &at.field("capacity"), report);
    quantities(status.allocatable.as_ref(), &at.field("allocatable"), report);
}
