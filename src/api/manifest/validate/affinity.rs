//! Affinity to nodes and to Pods.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`validateAffinity` and below), v1.34.

use super::{At, Report, meta, names};
use crate::api::k8s::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm,
    WeightedPodAffinityTerm,
};
use crate::api::metav1::LabelSelector;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// All three kinds of affinity.
pub(super) fn affinity(affinity: &Affinity, at: &At<'_>, report: &mut Report) {
    if let Some(node) = &affinity.node_affinity {
        node_affinity(node, &at.field("nodeAffinity"), report);
    }
    if let Some(pod) = &affinity.pod_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        pod_terms(required, preferred, &at.field("podAffinity"), report);
    }
    if let Some(pod) = &affinity.pod_anti_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        pod_terms(required, preferred, &at.field("podAntiAffinity"), report);
    }
}

fn node_affinity(affinity: &NodeAffinity, at: &At<'_>, report: &mut Report) {
    if let Some(selector) = &affinity.required_during_scheduling_ignored_during_execution {
        node_selector(selector, &at.field(REQUIRED), report);
    }
    let under = at.field(PREFERRED);
    for (i, term) in
        affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten().enumerate()
    {
        let at = under.index(i);
        weight(term.weight, &at, report);
        // Upstream bears label values here that no node can have.
        node_selector_term(&term.preference, false, &at.field("preference"), report);
    }
}

fn weight(weight: i32, at: &At<'_>, report: &mut Report) {
    if !(1..=100).contains(&weight) {
        report.invalid(&at.field("weight"), weight, "must be in the range 1-100");
    }
}

/// A node selector. Upstream: `ValidateNodeSelector`.
pub(super) fn node_selector(selector: &NodeSelector, at: &At<'_>, report: &mut Report) {
    let under = at.field("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        report.required(&under, "must have at least one node selector term");
    }
    for (i, term) in selector.node_selector_terms.iter().enumerate() {
        node_selector_term(term, true, &under.index(i), report);
    }
}

fn node_selector_term(term: &NodeSelectorTerm, check_values: bool, at: &At<'_>, report: &mut Report) {
    let under = at.field("matchExpressions");
    for (i, requirement) in term.match_expressions.iter().flatten().enumerate() {
        let at = under.index(i);
        node_requirement(requirement, &at, report);
        let values = at.field("values");
        for (j, value) in requirement.values.iter().flatten().enumerate().filter(|_| check_values) {
            report.invalid_each(&values.index(j), value, names::label_value(value));
        }
    }
    let under = at.field("matchFields");
    for (i, requirement) in term.match_fields.iter().flatten().enumerate() {
        field_requirement(requirement, &under.index(i), report);
    }
}

fn node_requirement(requirement: &NodeSelectorRequirement, at: &At<'_>, report: &mut Report) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let at_values = at.field("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            report.required(&at_values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "In" | "NotIn" => {}
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            report
                .forbidden(&at_values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Exists" | "DoesNotExist" => {}
        "Gt" | "Lt" if values.len() != 1 => {
            report.required(&at_values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "Gt" | "Lt" => {}
        other => report.invalid(&at.field("operator"), other, "not a valid selector operator"),
    }
    meta::label_name(&requirement.key, &at.field("key"), report);
}

/// Upstream: `ValidateNodeFieldSelectorRequirement`.
fn field_requirement(requirement: &NodeSelectorRequirement, at: &At<'_>, report: &mut Report) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => report.required(
            &at.field("values"),
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
        "In" | "NotIn" => {}
        other => report.invalid(&at.field("operator"), other, "not a valid selector operator"),
    }
    if requirement.key == "metadata.name" {
        let under = at.field("values");
        for (i, value) in values.iter().enumerate() {
            report.invalid_each(&under.index(i), value, names::dns1123_subdomain(value));
        }
    } else {
        report.invalid(&at.field("key"), &requirement.key, "not a valid field selector key");
    }
}

fn pod_terms(
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
    at: &At<'_>,
    report: &mut Report,
) {
    let under = at.field(REQUIRED);
    for (i, term) in required.into_iter().flatten().enumerate() {
        pod_term(term, &under.index(i), report);
    }
    let under = at.field(PREFERRED);
    for (i, term) in preferred.into_iter().flatten().enumerate() {
        let at = under.index(i);
        weight(term.weight, &at, report);
        pod_term(&term.pod_affinity_term, &at.field("podAffinityTerm"), report);
    }
}

/// Upstream: `validatePodAffinityTerm`.
fn pod_term(term: &PodAffinityTerm, at: &At<'_>, report: &mut Report) {
    if let Some(selector) = &term.label_selector {
        meta::label_selector(selector, &at.field("labelSelector"), report);
    }
    if let Some(selector) = &term.namespace_selector {
        meta::label_selector(selector, &at.field("namespaceSelector"), report);
    }
    for (i, namespace) in term.namespaces.iter().flatten().enumerate() {
        let before = report.len();
        report.invalid_each(&at.field("namespace"), namespace, names::dns1123_label(namespace));
        report.point_at(before, &at.field("namespaces").index(i));
    }
    match_label_keys(
        term.match_label_keys.as_deref().unwrap_or_default(),
        term.label_selector.as_ref(),
        at,
        report,
    );
    if term.topology_key.is_empty() {
        report.required(&at.field("topologyKey"), "can not be empty");
    } else {
        meta::label_name(&term.topology_key, &at.field("topologyKey"), report);
    }
}

/// Label keys whose values are taken from the Pod itself.
pub(super) fn match_label_keys(
    keys: &[String],
    selector: Option<&LabelSelector>,
    at: &At<'_>,
    report: &mut Report,
) {
    if keys.is_empty() {
        return;
    }
    let under = at.field("matchLabelKeys");
    let Some(selector) = selector else {
        report.forbidden(&under, "must not be specified when labelSelector is not set");
        return;
    };
    for (i, key) in keys.iter().enumerate() {
        meta::label_name(key, &under.index(i), report);
        if selector.match_labels.iter().flatten().any(|(other, _)| other == key) {
            report.invalid(&under.index(i), key, "exists in both matchLabelKeys and labelSelector");
        }
    }
}
