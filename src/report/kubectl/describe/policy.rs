//! Namespaces, quotas, limit ranges, budgets and priority classes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scene, Sheet, date, or_none};
use crate::api::k8s::core::v1::LimitRangeSpec;
use crate::api::policy::{LimitRange, PodDisruptionBudget, PriorityClass, ResourceQuota};
use crate::api::service::Namespace;
use crate::api::{LabelSelector, raise};
use crate::report::kubectl::columns::int_or_percent;

/// A namespace, with its quotas and limit ranges.
pub(super) fn namespace(sheet: &mut Sheet, namespace: &Namespace, scene: &Scene<'_>) {
    let raised = raise::raise_namespace(namespace);
    sheet.field(0, "Name", &namespace.meta.name);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(0, "Status", if namespace.terminating { "Terminating" } else { "Active" });
    let conditions = raised.status.and_then(|s| s.conditions).unwrap_or_default();
    if !conditions.is_empty() {
        sheet.line(0, "Conditions:");
        sheet.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
        sheet.line(1, "----\t------\t------------------\t------\t-------");
        for c in conditions {
            let (reason, message) = (c.reason.unwrap_or_default(), c.message.unwrap_or_default());
            let changed = date(c.last_transition_time.as_ref());
            sheet.line(1, format_args!("{}\t{}\t{changed}\t{reason}\t{message}", c.type_, c.status));
        }
    }
    sheet.line(0, "");
    let mut quotas: Vec<&ResourceQuota> =
        scene.store.list_in::<ResourceQuota>(&namespace.meta.name).map(AsRef::as_ref).collect();
    quotas.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    sheet.line(0, if quotas.is_empty() { "No resource quota." } else { "Resource Quotas" });
    for quota in quotas {
        sheet.field(1, "Name", &quota.meta.name);
        scopes(sheet, 1, "* ", quota);
        sheet.line(1, "Resource\tUsed\tHard");
        sheet.line(1, "--------\t---\t---");
        amounts(sheet, 1, quota);
    }
    sheet.line(0, "");
    let mut ranges: Vec<&LimitRange> =
        scene.store.list_in::<LimitRange>(&namespace.meta.name).map(AsRef::as_ref).collect();
    ranges.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    if ranges.is_empty() {
        sheet.line(0, "No LimitRange resource.");
        return;
    }
    sheet.line(0, "Resource Limits");
    limits_head(sheet, " ");
    ranges.iter().for_each(|range| limits(sheet, " ", &range.spec.value));
}

/// A quota.
pub(super) fn quota(sheet: &mut Sheet, quota: &ResourceQuota) {
    sheet.field(0, "Name", &quota.meta.name);
    sheet.field(0, "Namespace", &quota.meta.namespace);
    scopes(sheet, 0, " * ", quota);
    sheet.line(0, "Resource\tUsed\tHard");
    sheet.line(0, "--------\t----\t----");
    amounts(sheet, 0, quota);
}

fn scopes(sheet: &mut Sheet, level: usize, mark: &str, quota: &ResourceQuota) {
    let mut scopes: Vec<&str> = quota.scopes.iter().map(AsRef::as_ref).collect();
    scopes.sort_unstable();
    if scopes.is_empty() {
        return;
    }
    sheet.field(level, "Scopes", scopes.join(", "));
    for help in scopes.into_iter().filter_map(scope_help) {
        sheet.line(level, format_args!("{mark}{help}"));
    }
}

fn scope_help(scope: &str) -> Option<&'static str> {
    Some(match scope {
        "Terminating" => {
            "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being \
             actively terminated by the system."
        }
        "NotTerminating" => {
            "Matches all pods that do not have an active deadline. These pods usually include long running pods whose \
             container command is not expected to terminate."
        }
        "BestEffort" => {
            "Matches all pods that do not have resource requirements set. These pods have a best effort quality of \
             service."
        }
        "NotBestEffort" => {
            "Matches all pods that have at least one resource requirement set. These pods have a burstable or \
             guaranteed quality of service."
        }
        _ => return None,
    })
}

fn amounts(sheet: &mut Sheet, level: usize, quota: &ResourceQuota) {
    for (name, hard) in &quota.status_hard.0 {
        let used = quota.used.get(name).map_or_else(|| "0".to_owned(), |q| q.to_string());
        sheet.line(level, format_args!("{name}\t{used}\t{hard}"));
    }
}

/// A limit range.
pub(super) fn limit_range(sheet: &mut Sheet, range: &LimitRange) {
    sheet.field(0, "Name", &range.meta.name);
    sheet.field(0, "Namespace", &range.meta.namespace);
    limits_head(sheet, "");
    limits(sheet, "", &range.spec.value);
}

fn limits_head(sheet: &mut Sheet, indent: &str) {
    let head = "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio";
    sheet.line(0, format_args!("{indent}{head}"));
    let rule = "----\t--------\t---\t---\t---------------\t-------------\t-----------------------";
    sheet.line(0, format_args!("{indent}{rule}"));
}

fn limits(sheet: &mut Sheet, indent: &str, spec: &LimitRangeSpec) {
    for limit in &spec.limits {
        let columns =
            [&limit.min, &limit.max, &limit.default_request, &limit.default, &limit.max_limit_request_ratio]
                .map(|column| column.clone().unwrap_or_default());
        let names: BTreeSet<&String> = columns.iter().flat_map(BTreeMap::keys).collect();
        for name in names {
            let cells: Vec<&str> =
                columns.iter().map(|c| c.get(name).map_or("-", |q| q.0.as_str())).collect();
            sheet.line(0, format_args!("{indent}{}\t{name}\t{}", limit.type_, cells.join("\t")));
        }
    }
}

/// A budget.
pub(super) fn budget(sheet: &mut Sheet, budget: &PodDisruptionBudget, scene: &Scene<'_>) {
    sheet.field(0, "Name", &budget.meta.name);
    sheet.field(0, "Namespace", &budget.meta.namespace);
    match (budget.min_available, budget.max_unavailable) {
        (Some(least), _) => sheet.field(0, "Min available", int_or_percent(least)),
        (None, Some(most)) => sheet.field(0, "Max unavailable", int_or_percent(most)),
        (None, None) => {}
    }
    match &budget.selector {
        LabelSelector::Nothing => sheet.field(0, "Selector", "<unset>"),
        selector @ LabelSelector::Requirements(_) => {
            sheet.field(0, "Selector", or_none(&selector.to_string()))
        }
    }
    sheet.line(0, "Status:");
    sheet.field(2, "Allowed disruptions", budget.disruptions_allowed);
    sheet.field(2, "Current", budget.current_healthy);
    sheet.field(2, "Desired", budget.desired_healthy);
    sheet.field(2, "Total", budget.expected_pods);
    scene.events(sheet);
}

/// A priority class.
pub(super) fn priority_class(sheet: &mut Sheet, class: &PriorityClass, scene: &Scene<'_>) {
    sheet.field(0, "Name", &class.meta.name);
    sheet.field(0, "Value", class.value);
    sheet.field(0, "GlobalDefault", class.global_default);
    sheet.field(0, "PreemptionPolicy", if class.never_preempts { "Never" } else { "PreemptLowerPriority" });
    sheet.field(0, "Description", &class.description);
    let pairs: Vec<String> = class.meta.annotations.iter().map(|(k, v)| format!("{k}={v}")).collect();
    sheet.field(0, "Annotations", or_none(&pairs.join(",")));
    scene.events(sheet);
}
