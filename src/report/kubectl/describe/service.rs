//! Services and EndpointSlices.

use super::container::port_text;
use super::{Scene, Sheet, or_none};
use crate::api::raise;
use crate::api::service::{EndpointSlice, Service};

/// The label by which an EndpointSlice belongs to a Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Endpoints that are shown.
const ENDPOINTS_MAX: usize = 3;

/// A Service.
pub(super) fn service(sheet: &mut Sheet, service: &Service, scene: &Scene<'_>) {
    let raised = raise::raise_service(service);
    let spec = raised.spec.unwrap_or_default();
    sheet.field(0, "Name", &service.meta.name);
    sheet.field(0, "Namespace", &service.meta.namespace);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    let selector: Vec<String> = spec.selector.iter().flatten().map(|(k, v)| format!("{k}={v}")).collect();
    sheet.field(0, "Selector", or_none(&selector.join(",")));
    sheet.field(0, "Type", &service.service_type);
    sheet.field_opt(0, "IP Family Policy", spec.ip_family_policy.as_deref());
    sheet.field(0, "IP Families", or_none(&spec.ip_families.unwrap_or_default().join(",")));
    sheet.field(0, "IP", spec.cluster_ip.as_deref().unwrap_or_default());
    sheet.field(0, "IPs", or_none(&spec.cluster_ips.unwrap_or_default().join(",")));
    sheet.field_opt(0, "External IPs", spec.external_ips.filter(|e| !e.is_empty()).map(|e| e.join(",")));
    sheet.field_opt(0, "Desired LoadBalancer IP", spec.load_balancer_ip.filter(|ip| !ip.is_empty()));
    sheet.field_opt(0, "External Name", spec.external_name.filter(|name| !name.is_empty()));
    let ingress = raised.status.and_then(|s| s.load_balancer).and_then(|b| b.ingress).unwrap_or_default();
    if !ingress.is_empty() {
        let told = ingress.iter().map(|i| match (&i.ip, &i.ip_mode) {
            (Some(ip), Some(mode)) => format!("{ip} ({mode})"),
            (Some(ip), None) => ip.clone(),
            (None, _) => i.hostname.clone().unwrap_or_default(),
        });
        sheet.field(0, "LoadBalancer Ingress", told.collect::<Vec<_>>().join(", "));
    }
    for port in spec.ports.iter().flatten() {
        let name = port.name.as_deref().filter(|n| !n.is_empty());
        let shown = name.unwrap_or("<unset>");
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        sheet.field(0, "Port", format_args!("{shown}\t{}/{protocol}", port.port));
        let target = port.target_port.as_ref().map_or_else(|| port.port.to_string(), port_text);
        sheet.field(0, "TargetPort", format_args!("{target}/{protocol}"));
        if let Some(node_port) = port.node_port.filter(|p| *p != 0) {
            sheet.field(0, "NodePort", format_args!("{shown}\t{node_port}/{protocol}"));
        }
        sheet.field(0, "Endpoints", endpoints(service, name.unwrap_or_default(), scene));
    }
    sheet.field(0, "Session Affinity", spec.session_affinity.as_deref().unwrap_or_default());
    sheet.field_opt(0, "External Traffic Policy", spec.external_traffic_policy.filter(|p| !p.is_empty()));
    sheet.field_opt(0, "Internal Traffic Policy", spec.internal_traffic_policy);
    sheet.field_opt(0, "HealthCheck NodePort", spec.health_check_node_port.filter(|p| *p != 0));
    let ranges = spec.load_balancer_source_ranges.filter(|r| !r.is_empty()).map(|r| r.join(","));
    sheet.field_opt(0, "LoadBalancer Source Ranges", ranges);
    sheet.field_opt(0, "Traffic Distribution", spec.traffic_distribution);
    scene.events(sheet);
}

/// The ready endpoints of a port, a few in full.
fn endpoints(service: &Service, port: &str, scene: &Scene<'_>) -> String {
    let slices: Vec<&EndpointSlice> = scene
        .store
        .list_in::<EndpointSlice>(&service.meta.namespace)
        .map(AsRef::as_ref)
        .filter(|s| s.meta.labels.get(SERVICE_NAME).is_some_and(|name| *name == service.meta.name))
        .collect();
    if slices.is_empty() {
        return "<none>".to_owned();
    }
    let mut list = Vec::new();
    for slice in slices {
        let ready = || slice.endpoints.iter().filter(|e| e.ready);
        if slice.ports.is_empty() {
            list.extend(ready().map(|e| e.address.to_string()));
        }
        for (_, _, number) in slice.ports.iter().filter(|(name, _, _)| name == port) {
            list.extend(ready().map(|e| match e.address.contains(':') {
                true => format!("[{}]:{number}", e.address),
                false => format!("{}:{number}", e.address),
            }));
        }
    }
    let more = list.len().saturating_sub(ENDPOINTS_MAX);
    list.truncate(ENDPOINTS_MAX);
    let shown = list.join(",");
    if more > 0 { format!("{shown} + {more} more...") } else { shown }
}

/// An EndpointSlice.
pub(super) fn endpoint_slice(sheet: &mut Sheet, slice: &EndpointSlice, scene: &Scene<'_>) {
    let raised = raise::raise_endpoint_slice(slice);
    sheet.field(0, "Name", &slice.meta.name);
    sheet.field(0, "Namespace", &slice.meta.namespace);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(0, "AddressType", &raised.address_type);
    if slice.ports.is_empty() {
        sheet.line(0, "Ports: <unset>");
    } else {
        sheet.line(0, "Ports:");
        sheet.line(1, "Name\tPort\tProtocol");
        sheet.line(1, "----\t----\t--------");
        for (name, protocol, number) in &slice.ports {
            let name = if name.is_empty() { "<unset>" } else { name };
            sheet.line(1, format_args!("{name}\t{number}\t{protocol}"));
        }
    }
    if slice.endpoints.is_empty() {
        sheet.line(0, "Endpoints: <none>");
    } else {
        sheet.line(0, "Endpoints:");
    }
    let unset = |text: &str| if text.is_empty() { "<unset>".to_owned() } else { text.to_owned() };
    for endpoint in &slice.endpoints {
        sheet.field(1, "- Addresses", or_none(&endpoint.address));
        sheet.line(2, "Conditions:");
        sheet.field(3, "Ready", endpoint.ready);
        sheet.field(2, "Hostname", "<unset>");
        if !endpoint.pod.is_empty() {
            sheet.field(2, "TargetRef", format_args!("Pod/{}", endpoint.pod));
        }
        sheet.field(2, "NodeName", unset(&endpoint.node_name));
        sheet.field(2, "Zone", unset(&endpoint.zone));
    }
    scene.events(sheet);
}
