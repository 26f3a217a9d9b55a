//! Services and Namespaces.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`ValidateService`), v1.34.

use std::collections::BTreeSet;

use super::container::{PROTOCOLS, port_or_name};
use super::{At, Bad, Report, meta, names};
use crate::api::k8s::core::v1::{Service, ServicePort, ServiceSpec};

/// A Service.
pub(in crate::api::manifest) fn service(object: &Service, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return report.required(&at.field("ports"), "") };
    let kind = spec.type_.as_deref().filter(|t| !t.is_empty()).unwrap_or("ClusterIP");
    let headless = spec.cluster_ip.as_deref() == Some("None");
    report.one_of(&at.field("type"), Some(kind), &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    report.one_of(&at.field("sessionAffinity"), spec.session_affinity.as_deref(), &["ClientIP", "None"]);
    if spec.ports.as_ref().is_none_or(Vec::is_empty) && !headless && kind != "ExternalName" {
        report.required(&at.field("ports"), "");
    }
    of_type(spec, kind, headless, &at, report);
    ports(spec, kind, &at.field("ports"), report);
    meta::labels(spec.selector.as_ref(), &at.field("selector"), report);
    for (name, value) in [
        ("externalTrafficPolicy", &spec.external_traffic_policy),
        ("internalTrafficPolicy", &spec.internal_traffic_policy),
    ] {
        report.one_of(&at.field(name), value.as_deref(), &["Cluster", "Local"]);
    }
}

fn of_type(spec: &ServiceSpec, kind: &str, headless: bool, at: &At<'_>, report: &mut Report) {
    if headless && matches!(kind, "LoadBalancer" | "NodePort") {
        report.invalid(
            &at.field("clusterIP"),
            "None",
            format!("may not be set to 'None' for {kind} services"),
        );
    }
    if kind != "ExternalName" {
        return;
    }
    if let Some(address) = spec.cluster_ip.as_deref().filter(|a| !a.is_empty()) {
        report.invalid(
            &at.field("clusterIPs"),
            Bad::json(&[address]),
            "may not be set for ExternalName services",
        );
    }
    match spec.external_name.as_deref().map(|n| n.trim_end_matches('.')).unwrap_or_default() {
        "" => report.required(&at.field("externalName"), ""),
        name => report.invalid_each(&at.field("externalName"), name, names::dns1123_subdomain(name)),
    }
}

fn ports(spec: &ServiceSpec, kind: &str, at: &At<'_>, report: &mut Report) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let (mut taken, mut pairs, mut node_ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        service_port(port, ports.len() > 1, &mut taken, &at, report);
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        if !pairs.insert((protocol, port.port)) {
            report.duplicate(&at, Bad::json(&serde_json::json!({"protocol": protocol, "port": port.port})));
        }
        let Some(node_port) = port.node_port.filter(|p| *p != 0) else { continue };
        if matches!(kind, "ClusterIP" | "ExternalName") {
            report.forbidden(&at.field("nodePort"), &format!("may not be used when `type` is '{kind}'"));
        } else if !(30000..=32767).contains(&node_port) {
            let detail = "provided port is not in the valid range. The range of valid ports is 30000-32767";
            report.invalid(&at.field("nodePort"), node_port, detail);
        } else if !node_ports.insert((protocol, node_port)) {
            report.duplicate(&at.field("nodePort"), node_port);
        }
    }
}

/// Upstream: `validateServicePort`.
fn service_port<'p>(
    port: &'p ServicePort,
    needs_name: bool,
    taken: &mut BTreeSet<&'p str>,
    at: &At<'_>,
    report: &mut Report,
) {
    match port.name.as_deref().unwrap_or_default() {
        "" if needs_name => report.required(&at.field("name"), ""),
        "" => {}
        name => {
            report.invalid_each(&at.field("name"), name, names::dns1123_label(name));
            if !taken.insert(name) {
                report.duplicate(&at.field("name"), name);
            }
        }
    }
    for message in names::port_number(port.port) {
        report.invalid(&at.field("port"), port.port, message);
    }
    report.one_of(&at.field("protocol"), port.protocol.as_deref(), PROTOCOLS);
    if let Some(target) = &port.target_port {
        port_or_name(target, &at.field("targetPort"), report);
    }
    if let Some(protocol) = port.app_protocol.as_deref() {
        report.invalid_each(&at.field("appProtocol"), protocol, names::qualified_name(protocol));
    }
}
