//! Pods and Pod templates.

use super::container::{containers, resources, seccomp};
use super::volume::volumes;
use super::{Scene, Sheet, controlled_by, date};
use crate::api::k8s::core::v1::{
    self as core, PodSpec, PodTemplateSpec, Toleration, TopologySpreadConstraint,
};
use crate::api::{LabelSelector, Pod, raise};

/// A Pod.
pub(super) fn pod(sheet: &mut Sheet, pod: &Pod, scene: &Scene<'_>) {
    let raised = raise::raise_pod(pod);
    let (spec, status) = (raised.spec.clone().unwrap_or_default(), raised.status.clone().unwrap_or_default());
    head(sheet, pod, &raised, &spec, scene);
    state(sheet, pod, &status);
    sheet.field_opt(0, "Controlled By", controlled_by(&pod.meta));
    sheet.field_opt(0, "NominatedNodeName", pod.status.nominated_node.as_deref());
    if let Some(wishes) = &spec.resources {
        sheet.line(0, "Resources:");
        resources(sheet, 1, wishes);
    }
    let init = spec.init_containers.as_deref().unwrap_or_default();
    if !init.is_empty() {
        let statuses = status.init_container_statuses.as_deref().unwrap_or_default();
        containers(sheet, 0, "Init Containers", init, Some((&raised, statuses)));
    }
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    containers(sheet, 0, "Containers", &spec.containers, Some((&raised, statuses)));
    conditions(sheet, &spec, &status);
    volumes(sheet, 0, spec.volumes.as_deref().unwrap_or_default());
    sheet.field(0, "QoS Class", pod.status.qos.as_str());
    placement(sheet, 0, &spec);
    spread(sheet, 0, spec.topology_spread_constraints.as_deref().unwrap_or_default());
    scene.events(sheet);
}

fn head(sheet: &mut Sheet, pod: &Pod, raised: &core::Pod, spec: &PodSpec, scene: &Scene<'_>) {
    sheet.field(0, "Name", &pod.meta.name);
    sheet.field(0, "Namespace", &pod.meta.namespace);
    sheet.field_opt(0, "Priority", spec.priority);
    let non_empty = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    sheet.field_opt(0, "Priority Class Name", non_empty(&spec.priority_class_name));
    sheet.field_opt(0, "Runtime Class Name", non_empty(&spec.runtime_class_name));
    sheet.field_opt(0, "Service Account", non_empty(&spec.service_account_name));
    match &pod.node_name {
        Some(node) => sheet.field(0, "Node", format_args!("{node}/{}", pod.status.host_ip)),
        None => sheet.field(0, "Node", "<none>"),
    }
    let start = raised.status.as_ref().and_then(|s| s.start_time.as_ref());
    sheet.field_opt(0, "Start Time", start.map(|t| date(Some(t))));
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    match &pod.meta.deletion {
        Some(deletion) if !pod.is_terminal() => {
            let lasts = scene.since(raised.metadata.deletion_timestamp.as_ref());
            sheet.field(0, "Status", format_args!("Terminating (lasts {lasts})"));
            let grace = deletion.grace_seconds.unwrap_or(0);
            sheet.field(0, "Termination Grace Period", format_args!("{grace}s"));
        }
        _ => sheet.field(0, "Status", pod.status.phase.as_str()),
    }
}

fn state(sheet: &mut Sheet, pod: &Pod, status: &core::PodStatus) {
    sheet.field_opt(0, "Reason", Some(&pod.status.reason).filter(|r| !r.is_empty()));
    sheet.field_opt(0, "Message", Some(&pod.status.message).filter(|m| !m.is_empty()));
    if let Some(profile) = pod.spec.raw.security_context.as_ref().and_then(|c| c.seccomp_profile.as_ref()) {
        seccomp(sheet, 0, profile);
    }
    sheet.field(0, "IP", &pod.status.pod_ip);
    let addresses: Vec<&str> = status.pod_ips.iter().flatten().map(|p| p.ip.as_str()).collect();
    if addresses.is_empty() {
        sheet.field(0, "IPs", "<none>");
    } else {
        sheet.line(0, "IPs:");
        addresses.iter().for_each(|ip| sheet.field(1, "IP", ip));
    }
}

fn conditions(sheet: &mut Sheet, spec: &PodSpec, status: &core::PodStatus) {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if !gates.is_empty() {
        sheet.line(0, "Readiness Gates:");
        sheet.line(1, "Type\tStatus");
        for gate in gates {
            let status =
                conditions.iter().find(|c| c.type_ == gate.condition_type).map_or("<none>", |c| &c.status);
            sheet.line(1, format_args!("{} \t{status} ", gate.condition_type));
        }
    }
    if !conditions.is_empty() {
        sheet.line(0, "Conditions:");
        sheet.line(1, "Type\tStatus");
        for condition in conditions {
            sheet.line(1, format_args!("{} \t{} ", condition.type_, condition.status));
        }
    }
}

/// Node selectors and tolerations.
fn placement(sheet: &mut Sheet, level: usize, spec: &PodSpec) {
    let indent = "  ".repeat(level);
    sheet.labels(0, &format!("{indent}Node-Selectors"), spec.node_selector.as_ref());
    let mut tolerations: Vec<&Toleration> = spec.tolerations.iter().flatten().collect();
    tolerations.sort_by(|a, b| a.key.cmp(&b.key));
    let lines: Vec<String> = tolerations.into_iter().map(toleration).collect();
    sheet.list(0, &format!("{indent}Tolerations"), &lines);
}

fn toleration(toleration: &Toleration) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, value, effect) = (part(&toleration.key), part(&toleration.value), part(&toleration.effect));
    let mut text = key;
    if !value.is_empty() {
        text = format!("{text}={value}");
    }
    if !effect.is_empty() {
        text = format!("{text}:{effect}");
    }
    if toleration.operator.as_deref() == Some("Exists") && value.is_empty() {
        text += if text.is_empty() { "op=Exists" } else { " op=Exists" };
    }
    if let Some(seconds) = toleration.toleration_seconds {
        text = format!("{text} for {seconds}s");
    }
    text
}

fn spread(sheet: &mut Sheet, level: usize, constraints: &[TopologySpreadConstraint]) {
    if constraints.is_empty() {
        return;
    }
    let mut constraints: Vec<&TopologySpreadConstraint> = constraints.iter().collect();
    constraints.sort_by(|a, b| a.topology_key.cmp(&b.topology_key));
    let lines: Vec<String> = constraints
        .into_iter()
        .map(|c| {
            let selector = c.label_selector.as_ref().map_or_else(String::new, |s| {
                let text = crate::api::lower::lower_label_selector(Some(s.clone()))
                    .map_or_else(|_| String::new(), |s: LabelSelector| s.to_string());
                format!(" for selector {}", super::or_none(&text))
            });
            let (key, when, skew) = (&c.topology_key, &c.when_unsatisfiable, c.max_skew);
            format!("{key}:{when} when max skew {skew} is exceeded{selector}")
        })
        .collect();
    sheet.list(level, "Topology Spread Constraints", &lines);
}

/// A Pod template.
pub(super) fn template(sheet: &mut Sheet, template: &PodTemplateSpec) {
    sheet.line(0, "Pod Template:");
    let metadata = template.metadata.clone().unwrap_or_default();
    sheet.labels(0, "  Labels", metadata.labels.as_ref());
    if metadata.annotations.as_ref().is_some_and(|a| !a.is_empty()) {
        sheet.annotations("  Annotations", metadata.annotations.as_ref());
    }
    let Some(spec) = &template.spec else { return };
    let non_empty = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    sheet.field_opt(1, "Service Account", non_empty(&spec.service_account_name));
    if let Some(init) = spec.init_containers.as_deref().filter(|c| !c.is_empty()) {
        containers(sheet, 1, "Init Containers", init, None);
    }
    containers(sheet, 1, "Containers", &spec.containers, None);
    volumes(sheet, 1, spec.volumes.as_deref().unwrap_or_default());
    spread(sheet, 1, spec.topology_spread_constraints.as_deref().unwrap_or_default());
    sheet.field_opt(1, "Priority Class Name", non_empty(&spec.priority_class_name));
    placement(sheet, 1, spec);
}
