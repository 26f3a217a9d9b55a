//! Raising of Services, EndpointSlices and Events.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::defaults;
use crate::api::event::Event;
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::discovery::v1 as discovery;
use crate::api::service::{Endpoint, EndpointSlice, Service, ServicePort};

use super::meta::{flag, known_time, list, map, micro_time, number, raise_meta, text};

/// Raises a Service.
pub fn raise_service(service: &Service) -> core::Service {
    let mut spec = service.rest.as_ref().map(|rest| rest.value.clone()).unwrap_or_default();
    spec.type_ = text(&service.service_type);
    spec.selector = service.selector.as_ref().map(map);
    spec.cluster_ip = text(&service.cluster_ip);
    if spec
        .cluster_ips
        .as_ref()
        .is_none_or(|ips| ips.first().map(String::as_str) != Some(&*service.cluster_ip))
    {
        spec.cluster_ips = spec.cluster_ip.clone().map(|ip| vec![ip]);
    }
    spec.external_name = text(&service.external_name);
    spec.ports = list(&service.ports, port);
    spec.publish_not_ready_addresses = flag(service.publish_not_ready);
    let ingress = text(&service.load_balancer).map(|address| {
        let is_ip = address.parse::<IpAddr>().is_ok();
        let (ip, hostname) = if is_ip { (Some(address), None) } else { (None, Some(address)) };
        vec![core::LoadBalancerIngress {
            ip_mode: is_ip.then(|| "VIP".to_owned()),
            hostname,
            ip,
            ports: None,
        }]
    });
    let mut raised = core::Service {
        metadata: raise_meta(&service.meta),
        spec: Some(spec),
        status: Some(core::ServiceStatus {
            conditions: None,
            load_balancer: Some(core::LoadBalancerStatus { ingress }),
        }),
    };
    defaults::default_service(&mut raised);
    raised
}

fn port(port: &ServicePort) -> core::ServicePort {
    core::ServicePort {
        app_protocol: text(&port.app_protocol),
        name: text(&port.name),
        node_port: number(port.node_port),
        port: port.port,
        protocol: text(&port.protocol),
        target_port: Some(
            port.target_port
                .parse()
                .map_or_else(|_| IntOrString::String(port.target_port.to_string()), IntOrString::Int),
        ),
    }
}

/// Raises an EndpointSlice.
pub fn raise_endpoint_slice(slice: &EndpointSlice) -> discovery::EndpointSlice {
    let six = slice.endpoints.iter().any(|e| e.address.contains(':'));
    let namespace = text(&slice.meta.namespace);
    discovery::EndpointSlice {
        address_type: if six { "IPv6" } else { "IPv4" }.to_owned(),
        endpoints: slice.endpoints.iter().map(|e| endpoint(e, namespace.clone())).collect(),
        metadata: raise_meta(&slice.meta),
        ports: list(&slice.ports, |(name, protocol, port)| discovery::EndpointPort {
            app_protocol: None,
            name: Some(name.to_string()),
            port: number(*port),
            protocol: Some(protocol.to_string()),
        }),
    }
}

fn endpoint(endpoint: &Endpoint, namespace: Option<String>) -> discovery::Endpoint {
    discovery::Endpoint {
        addresses: text(&endpoint.address).into_iter().collect(),
        conditions: Some(discovery::EndpointConditions {
            ready: Some(endpoint.ready),
            serving: Some(endpoint.serving),
            terminating: Some(endpoint.terminating),
        }),
        node_name: text(&endpoint.node_name),
        target_ref: text(&endpoint.pod).map(|name| core::ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(name),
            namespace,
            uid: text(&endpoint.pod_uid),
            ..Default::default()
        }),
        zone: text(&endpoint.zone),
        ..Default::default()
    }
}

/// Raises an Event: one of a series as the newer recorder writes it, others as the older one does.
pub fn raise_event(event: &Event) -> core::Event {
    let regarding = &event.regarding;
    let host = text(&event.host);
    let component = text(&event.source);
    let repeated = event.series && (event.count > 1 || event.last != event.first);
    core::Event {
        count: (!event.series).then_some(event.count),
        event_time: event.series.then(|| micro_time(event.first)),
        first_timestamp: known_time(event.first).filter(|_| !event.series),
        involved_object: core::ObjectReference {
            kind: text(&regarding.kind),
            name: text(&regarding.name),
            namespace: text(&regarding.namespace),
            uid: text(&regarding.uid),
            ..Default::default()
        },
        last_timestamp: known_time(event.last).filter(|_| !event.series),
        message: text(&event.message),
        metadata: raise_meta(&event.meta),
        reason: text(&event.reason),
        reporting_component: component.clone(),
        reporting_instance: host.clone(),
        series: repeated.then(|| core::EventSeries {
            count: Some(event.count),
            last_observed_time: Some(micro_time(event.last)),
        }),
        source: (!event.series || host.is_some())
            .then(|| core::EventSource { component: component.filter(|_| !event.series), host }),
        type_: Some(event.event_type.as_str().to_owned()),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_made_here_is_complete() {
        let service = Service {
            service_type: "LoadBalancer".into(),
            cluster_ip: "10.0.0.1".into(),
            load_balancer: "1.2.3.4".into(),
            ports: vec![ServicePort {
                port: 80,
                target_port: "http".into(),
                protocol: "TCP".into(),
                ..ServicePort::default()
            }],
            ..Service::default()
        };
        let value = serde_json::to_value(raise_service(&service)).unwrap();
        assert_eq!(value["spec"]["clusterIPs"], json!(["10.0.0.1"]));
        assert_eq!(value["spec"]["sessionAffinity"], "None");
        assert_eq!(value["spec"]["ports"][0]["targetPort"], "http");
        assert_eq!(value["status"]["loadBalancer"]["ingress"], json!([{"ip": "1.2.3.4", "ipMode": "VIP"}]));
    }
}
