//! Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers.
//!
//! Upstream: `pkg/apis/apps/validation/validation.go` and `ValidateReplicationControllerSpec`, v1.34.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{self, Use};
use super::{At, Bad, Report, meta, names, storage};
use crate::api::k8s::apps::v1::{
    DaemonSet, Deployment, DeploymentStrategy, ReplicaSet, RollingUpdateDaemonSet, StatefulSet,
    StatefulSetSpec,
};
use crate::api::k8s::core::v1::{PodTemplateSpec, ReplicationController};
use crate::api::metav1::LabelSelector;

/// A Deployment. Upstream: `ValidateDeploymentSpec`.
pub(in crate::api::manifest) fn deployment(object: &Deployment, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return report.required(&at.field("selector"), "") };
    report.nonnegative_opt(&at.field("replicas"), spec.replicas);
    selector(&spec.selector, &at, report);
    long_running(&spec.template, &spec.selector, "ReplicaSet", &Use::default(), &at, report);
    if let Some(given) = &spec.strategy {
        strategy(given, &at.field("strategy"), report);
    }
    report.nonnegative_opt(&at.field("minReadySeconds"), spec.min_ready_seconds);
    report.nonnegative_opt(&at.field("revisionHistoryLimit"), spec.revision_history_limit);
    if let Some(seconds) = spec.progress_deadline_seconds {
        let at = at.field("progressDeadlineSeconds");
        report.nonnegative(&at, seconds);
        if seconds <= spec.min_ready_seconds.unwrap_or(0) {
            report.invalid(&at, seconds, "must be greater than minReadySeconds");
        }
    }
}

/// Upstream: `ValidateDeploymentStrategy`.
fn strategy(strategy: &DeploymentStrategy, at: &At<'_>, report: &mut Report) {
    let update = strategy.rolling_update.as_ref();
    match strategy.type_.as_deref().unwrap_or_default() {
        "Recreate" if update.is_some() => {
            report.forbidden(
                &at.field("rollingUpdate"),
                "may not be specified when strategy `type` is 'Recreate'",
            );
        }
        "Recreate" => {}
        "" | "RollingUpdate" => {
            let Some(update) = update else { return };
            let at = at.field("rollingUpdate");
            let (unavailable, surge) = (update.max_unavailable.as_ref(), update.max_surge.as_ref());
            int_or_percent(unavailable, &at.field("maxUnavailable"), report);
            int_or_percent(surge, &at.field("maxSurge"), report);
            if let Some(value) = unavailable.filter(|u| is_zero(Some(u)) && is_zero(surge)) {
                report.invalid(
                    &at.field("maxUnavailable"),
                    Bad::json(value),
                    "may not be 0 when `maxSurge` is 0",
                );
            }
            not_more_than_all(unavailable, &at.field("maxUnavailable"), report);
        }
        other => report.unsupported(&at.field("type"), other, &["Recreate", "RollingUpdate"]),
    }
}

/// A number or a percentage that may not be negative. Upstream: `ValidatePositiveIntOrPercent`.
pub(super) fn int_or_percent(value: Option<&IntOrString>, at: &At<'_>, report: &mut Report) {
    match value {
        Some(IntOrString::Int(number)) => report.nonnegative(at, *number),
        Some(IntOrString::String(text)) => report.invalid_each(at, text, names::percent(text)),
        None => {}
    }
}

/// Upstream: `IsNotMoreThan100Percent`.
pub(super) fn not_more_than_all(value: Option<&IntOrString>, at: &At<'_>, report: &mut Report) {
    let Some(IntOrString::String(text)) = value else { return };
    if names::percent(text).is_empty() && percent(text) > 100 {
        report.invalid(at, text, "must not be greater than 100%");
    }
}

fn percent(text: &str) -> u64 {
    text.trim_end_matches('%').parse().unwrap_or(u64::MAX)
}

/// Whether a value is there and nothing.
fn is_zero(value: Option<&IntOrString>) -> bool {
    match value {
        Some(IntOrString::Int(number)) => *number == 0,
        Some(IntOrString::String(text)) => percent(text) == 0,
        None => false,
    }
}

/// The selector of a controller, which has to select something in particular. A selector that was
/// written empty is told as one that was left out.
fn selector(selector: &LabelSelector, at: &At<'_>, report: &mut Report) {
    if meta::is_empty(selector) {
        report.required(&at.field("selector"), "");
    }
    meta::label_selector(selector, &at.field("selector"), report);
}

/// The template of Pods that run for ever. Upstream: `ValidatePodTemplateSpecForReplicaSet`.
fn long_running(
    template: &PodTemplateSpec,
    selector: &LabelSelector,
    kind: &str,
    of: &Use<'_>,
    at: &At<'_>,
    report: &mut Report,
) {
    let at = at.field("template");
    let labels = template.metadata.as_ref().and_then(|m| m.labels.as_ref());
    if !meta::is_empty(selector) && !meta::matches(selector, labels) {
        let empty = std::collections::BTreeMap::new();
        let value = Bad::json(labels.unwrap_or(&empty));
        let under = at.field("metadata");
        report.invalid(&under.field("labels"), value, "`selector` does not match template `labels`");
    }
    pod::pod_template(template, of, &at, report);
    let Some(spec) = &template.spec else { return };
    let at = at.field("spec");
    if let Some(policy) = spec.restart_policy.as_deref().filter(|p| matches!(*p, "OnFailure" | "Never")) {
        report.unsupported(&at.field("restartPolicy"), policy, &["Always"]);
    }
    if spec.active_deadline_seconds.is_some() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        report.forbidden(&at.field("activeDeadlineSeconds"), &detail);
    }
}

/// A ReplicaSet. Upstream: `ValidateReplicaSetSpec`.
pub(in crate::api::manifest) fn replica_set(object: &ReplicaSet, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return report.required(&at.field("selector"), "") };
    report.nonnegative_opt(&at.field("replicas"), spec.replicas);
    report.nonnegative_opt(&at.field("minReadySeconds"), spec.min_ready_seconds);
    selector(&spec.selector, &at, report);
    match &spec.template {
        Some(template) => long_running(template, &spec.selector, "ReplicaSet", &Use::default(), &at, report),
        None => report.required(&at.field("template"), ""),
    }
}

/// A ReplicationController. Upstream: `ValidateReplicationControllerSpec`.
pub(in crate::api::manifest) fn replication_controller(object: &ReplicationController, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return report.required(&at.field("template"), "") };
    report.nonnegative_opt(&at.field("replicas"), spec.replicas);
    report.nonnegative_opt(&at.field("minReadySeconds"), spec.min_ready_seconds);
    let Some(template) = &spec.template else { return report.required(&at.field("template"), "") };
    // Without a selector the labels of the template are taken.
    let labels = template.metadata.as_ref().and_then(|m| m.labels.clone());
    let given = spec.selector.clone().filter(|s| !s.is_empty()).or(labels);
    if given.as_ref().is_none_or(std::collections::BTreeMap::is_empty) {
        report.required(&at.field("selector"), "");
    }
    let selector = LabelSelector { match_labels: given, match_expressions: None };
    long_running(template, &selector, "ReplicationController", &Use::default(), &at, report);
}

/// A StatefulSet. Upstream: `ValidateStatefulSetSpec`.
pub(in crate::api::manifest) fn stateful_set(object: &StatefulSet, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return report.required(&at.field("selector"), "") };
    stateful_words(spec, &at, report);
    let under = at.field("volumeClaimTemplates");
    let templates = spec.volume_claim_templates.as_deref().unwrap_or_default();
    for (i, template) in templates.iter().enumerate() {
        storage::claim_spec_opt(template.spec.as_ref(), &under.index(i).field("spec"), report);
    }
    report.nonnegative_opt(&at.field("replicas"), spec.replicas);
    report.nonnegative_opt(&at.field("minReadySeconds"), spec.min_ready_seconds);
    if let Some(start) = spec.ordinals.as_ref().and_then(|o| o.start) {
        report.nonnegative(&at.field("ordinals").field("start"), start);
    }
    if let Some(service) = spec.service_name.as_deref().filter(|s| !s.is_empty()) {
        report.invalid_each(&at.field("serviceName"), service, names::dns1123_label(service));
    }
    selector(&spec.selector, &at, report);
    let added: Vec<&str> = templates.iter().filter_map(|t| t.metadata.name.as_deref()).collect();
    let of = Use { added_volumes: &added, named_by_controller: true, ..Use::default() };
    long_running(&spec.template, &spec.selector, "StatefulSet", &of, &at, report);
}

fn stateful_words(spec: &StatefulSetSpec, at: &At<'_>, report: &mut Report) {
    if let Some(policy) = spec.pod_management_policy.as_deref()
        && !matches!(policy, "" | "OrderedReady" | "Parallel")
    {
        report.invalid(&at.field("podManagementPolicy"), policy, "must be 'OrderedReady' or 'Parallel'");
    }
    if let Some(strategy) = &spec.update_strategy {
        let at = at.field("updateStrategy");
        let update = strategy.rolling_update.as_ref();
        match (strategy.type_.as_deref().unwrap_or_default(), update) {
            ("OnDelete", Some(update)) => {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                report.invalid(&at.field("rollingUpdate"), Bad::json(update), detail);
            }
            ("OnDelete", None) => {}
            ("" | "RollingUpdate", update) => {
                let at = at.field("rollingUpdate");
                report.nonnegative_opt(&at.field("partition"), update.and_then(|u| u.partition));
                let most = update.and_then(|u| u.max_unavailable.as_ref());
                int_or_percent(most, &at.field("maxUnavailable"), report);
                if let Some(most) = most.filter(|m| is_zero(Some(m))) {
                    report.invalid(&at.field("maxUnavailable"), Bad::json(most), "cannot be 0");
                }
                not_more_than_all(most, &at.field("maxUnavailable"), report);
            }
            _ => report.invalid(&at, Bad::json(strategy), "must be 'RollingUpdate' or 'OnDelete'"),
        }
    }
    if let Some(policy) = &spec.persistent_volume_claim_retention_policy {
        let at = at.field("persistentVolumeClaimRetentionPolicy");
        report.one_of(&at.field("whenDeleted"), policy.when_deleted.as_deref(), &["Retain", "Delete"]);
        report.one_of(&at.field("whenScaled"), policy.when_scaled.as_deref(), &["Retain", "Delete"]);
    }
    report.nonnegative_opt(&at.field("revisionHistoryLimit"), spec.revision_history_limit);
}

/// A DaemonSet. Upstream: `ValidateDaemonSetSpec`.
pub(in crate::api::manifest) fn daemon_set(object: &DaemonSet, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return report.required(&at.field("selector"), "") };
    selector(&spec.selector, &at, report);
    long_running(&spec.template, &spec.selector, "DaemonSet", &Use::default(), &at, report);
    report.nonnegative_opt(&at.field("minReadySeconds"), spec.min_ready_seconds);
    report.nonnegative_opt(&at.field("revisionHistoryLimit"), spec.revision_history_limit);
    let Some(strategy) = &spec.update_strategy else { return };
    let at = at.field("updateStrategy");
    report.one_of(&at.field("type"), strategy.type_.as_deref(), &["OnDelete", "RollingUpdate"]);
    if let Some(update) =
        strategy.rolling_update.as_ref().filter(|_| strategy.type_.as_deref() != Some("OnDelete"))
    {
        rolling_daemon_set(update, &at.field("rollingUpdate"), report);
    }
}

/// Upstream: `ValidateRollingUpdateDaemonSet`.
fn rolling_daemon_set(update: &RollingUpdateDaemonSet, at: &At<'_>, report: &mut Report) {
    let (unavailable, surge) = (update.max_unavailable.as_ref(), update.max_surge.as_ref());
    for (name, value) in [("maxUnavailable", unavailable), ("maxSurge", surge)] {
        int_or_percent(value, &at.field(name), report);
        not_more_than_all(value, &at.field(name), report);
    }
    // Absent ones default to 1 and 0.
    let (some_unavailable, some_surge) = (!is_zero(unavailable), surge.is_some() && !is_zero(surge));
    match (some_unavailable, some_surge, surge) {
        (true, true, Some(surge)) => {
            report.invalid(
                &at.field("maxSurge"),
                Bad::json(surge),
                "may not be set when maxUnavailable is non-zero",
            );
        }
        (false, false, _) => report.required(&at.field("maxUnavailable"), "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}
