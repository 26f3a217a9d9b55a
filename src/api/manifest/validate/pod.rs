//! Pods and the spec of Pod templates.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`ValidatePodSpec` and below), v1.34.

use std::collections::BTreeSet;

use super::container::{self, Context};
use super::{At, Report, affinity, meta, names, volume};
use crate::api::k8s::core::v1::{Pod, PodSpec, PodTemplateSpec, Toleration, TopologySpreadConstraint};

/// A Pod. Upstream: `ValidatePodCreate`.
pub(in crate::api::manifest) fn pod(pod: &Pod, report: &mut Report) {
    let spec_at = At::Root;
    let at = spec_at.field("spec");
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    match &pod.spec {
        Some(spec) => {
            pod_spec(spec, &Use { pod_name: name, ..Use::default() }, &at, report);
            if spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
                report.forbidden(&at.field("ephemeralContainers"), "cannot be set on create");
            }
        }
        None => report.required(&at.field("containers"), ""),
    }
}

/// What a Pod spec is part of.
#[derive(Clone, Copy, Default)]
pub(super) struct Use<'u> {
    /// The name of the Pod, or nothing in a template.
    pub(super) pod_name: &'u str,
    /// Volumes that the controller adds.
    pub(super) added_volumes: &'u [&'u str],
    /// Whether the controller sets host name and subdomain.
    pub(super) named_by_controller: bool,
}

/// A Pod template. Upstream: `ValidatePodTemplateSpec`.
pub(super) fn pod_template(template: &PodTemplateSpec, of: &Use<'_>, at: &At<'_>, report: &mut Report) {
    if let Some(metadata) = &template.metadata {
        let under = at.field("metadata");
        // Upstream leaves `metadata` out of these paths; the place keeps it.
        let before = report.len();
        meta::labels(metadata.labels.as_ref(), &under.field("labels"), report);
        meta::annotations(metadata.annotations.as_ref(), &under.field("annotations"), report);
        report.point_at(before, &under);
    }
    match &template.spec {
        Some(spec) => {
            pod_spec(spec, of, &at.field("spec"), report);
            if spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
                let at = at.field("spec");
                report.forbidden(
                    &at.field("ephemeralContainers"),
                    "ephemeral containers not allowed in pod template",
                );
            }
        }
        None => report.required(&at.field("spec").field("containers"), ""),
    }
}

/// The spec of a Pod. Upstream: `ValidatePodSpec`.
pub(super) fn pod_spec(spec: &PodSpec, of: &Use<'_>, at: &At<'_>, report: &mut Report) {
    let volumes = volume::volumes(spec, of, &at.field("volumes"), report);
    let context = Context {
        volumes: &volumes,
        grace_seconds: spec.termination_grace_period_seconds.unwrap_or(30),
        host_network: spec.host_network == Some(true),
    };
    container::containers(spec, &context, at, report);
    words(spec, at, report);
    scheduling(spec, at, report);
    named(spec, of, at, report);
    if let Some(seconds) = spec.active_deadline_seconds
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        report.invalid(
            &at.field("activeDeadlineSeconds"),
            seconds,
            "must be between 1 and 2147483647, inclusive",
        );
    }
    // Upstream turns a negative grace period into 1 before it validates.
    container::quantities(spec.overhead.as_ref(), &at.field("overhead"), report);
}

fn words(spec: &PodSpec, at: &At<'_>, report: &mut Report) {
    for (name, value, supported) in [
        ("restartPolicy", &spec.restart_policy, &["Always", "OnFailure", "Never"][..]),
        ("dnsPolicy", &spec.dns_policy, &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
        ("preemptionPolicy", &spec.preemption_policy, &["PreemptLowerPriority", "Never"]),
    ] {
        report.one_of(&at.field(name), value.as_deref(), supported);
    }
    if let Some(os) = &spec.os {
        let at = at.field("os");
        report.one_of(&at.field("name"), Some(&os.name), &["linux", "windows"]);
    }
}

fn scheduling(spec: &PodSpec, at: &At<'_>, report: &mut Report) {
    meta::labels(spec.node_selector.as_ref(), &at.field("nodeSelector"), report);
    if let Some(rules) = &spec.affinity {
        affinity::affinity(rules, &at.field("affinity"), report);
    }
    let under = at.field("tolerations");
    for (i, one) in spec.tolerations.iter().flatten().enumerate() {
        toleration(one, &under.index(i), report);
    }
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    let under = at.field("topologySpreadConstraints");
    for (i, one) in constraints.iter().enumerate() {
        spread_constraint(one, &constraints[i + 1..], &under.index(i), report);
    }
    let mut seen = BTreeSet::new();
    let under = at.field("schedulingGates");
    for (i, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        report.invalid_each(&under.index(i), &gate.name, names::qualified_name(&gate.name));
        if !seen.insert(&gate.name) {
            report.duplicate(&under.index(i), &gate.name);
        }
    }
    let under = at.field("readinessGates");
    for (i, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let at = under.index(i);
        report.invalid_each(
            &at.field("conditionType"),
            &gate.condition_type,
            names::qualified_name(&gate.condition_type),
        );
    }
}

fn named(spec: &PodSpec, of: &Use<'_>, at: &At<'_>, report: &mut Report) {
    type Rule = fn(&str) -> Vec<String>;
    let mut check = |name: &str, value: &Option<String>, rule: Rule| {
        if let Some(value) = value.as_deref().filter(|v| !v.is_empty()) {
            report.invalid_each(&at.field(name), value, rule(value));
        }
    };
    check("serviceAccountName", &spec.service_account_name, names::dns1123_subdomain);
    check("nodeName", &spec.node_name, names::dns1123_subdomain);
    check("priorityClassName", &spec.priority_class_name, names::dns1123_subdomain);
    check("runtimeClassName", &spec.runtime_class_name, names::dns1123_subdomain);
    if !of.named_by_controller {
        check("hostname", &spec.hostname, names::dns1123_label);
        check("subdomain", &spec.subdomain, names::dns1123_label);
    }
}

/// Upstream: `ValidateTolerations`.
fn toleration(toleration: &Toleration, at: &At<'_>, report: &mut Report) {
    let key = toleration.key.as_deref().unwrap_or_default();
    let operator = toleration.operator.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    let effect = toleration.effect.as_deref().unwrap_or_default();
    if !key.is_empty() {
        meta::label_name(key, &at.field("key"), report);
    } else if operator != "Exists" {
        let detail =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        report.invalid(&at.field("operator"), operator, detail);
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        report.invalid(
            &at.field("effect"),
            effect,
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        );
    }
    match operator {
        "" | "Equal" => report.invalid_each(&at.field("operator"), value, names::label_value(value)),
        "Exists" if !value.is_empty() => {
            report.invalid(&at.field("operator"), value, "value must be empty when `operator` is 'Exists'");
        }
        "Exists" => {}
        other => report.unsupported(&at.field("operator"), other, &["Equal", "Exists"]),
    }
    report.one_of(&at.field("effect"), Some(effect), EFFECTS);
}

/// The effects of taints.
pub(super) const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Upstream: `validateTopologySpreadConstraints`.
fn spread_constraint(
    constraint: &TopologySpreadConstraint,
    later: &[TopologySpreadConstraint],
    at: &At<'_>,
    report: &mut Report,
) {
    if constraint.max_skew <= 0 {
        report.invalid(&at.field("maxSkew"), constraint.max_skew, "must be greater than zero");
    }
    if constraint.topology_key.is_empty() {
        report.required(&at.field("topologyKey"), "can not be empty");
    } else {
        meta::label_name(&constraint.topology_key, &at.field("topologyKey"), report);
    }
    let when = constraint.when_unsatisfiable.as_str();
    if !matches!(when, "DoNotSchedule" | "ScheduleAnyway") {
        report.unsupported(&at.field("whenUnsatisfiable"), when, &["DoNotSchedule", "ScheduleAnyway"]);
    }
    if later.iter().any(|o| o.topology_key == constraint.topology_key && o.when_unsatisfiable == when) {
        let value = format!("{{{}, {when}}}", constraint.topology_key);
        let before = report.len();
        report.duplicate(&at.field("{topologyKey, whenUnsatisfiable}"), &value);
        report.point_at(before, &at.field("topologyKey"));
    }
    if let Some(domains) = constraint.min_domains {
        if domains <= 0 {
            report.invalid(&at.field("minDomains"), domains, "must be greater than zero");
        }
        if when != "DoNotSchedule" {
            let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
            report.invalid(&at.field("minDomains"), domains, detail);
        }
    }
    for (name, value) in [
        ("nodeAffinityPolicy", &constraint.node_affinity_policy),
        ("nodeTaintsPolicy", &constraint.node_taints_policy),
    ] {
        report.one_of(&at.field(name), value.as_deref(), &["Honor", "Ignore"]);
    }
    affinity::match_label_keys(
        constraint.match_label_keys.as_deref().unwrap_or_default(),
        constraint.label_selector.as_ref(),
        at,
        report,
    );
    if let Some(selector) = &constraint.label_selector {
        meta::label_selector(selector, &at.field("labelSelector"), report);
    }
}
