//! Lowering of Services, EndpointSlices and Events.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::at::{At, LowerError, collect};
use super::container::PROTOCOLS;
use super::meta::{labels, lower_meta, micro_time, non_empty, text, time};
use crate::api::defaults;
use crate::api::event::{Event, EventType};
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::discovery::v1 as discovery;
use crate::api::k8s::events::v1 as events;
use crate::api::object::ObjectRef;
use crate::api::service::{Endpoint, EndpointSlice, Service, ServicePort};
use crate::api::workload::BoundaryPart;
use crate::base::{Arc, Timestamp};

const TYPES: &[(&str, ())] =
    &[("ClusterIP", ()), ("ExternalName", ()), ("LoadBalancer", ()), ("NodePort", ())];

/// Lowers a Service, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_service(mut value: core::Service) -> Result<Service, Vec<LowerError>> {
    defaults::default_service(&mut value);
    collect(|at| service(at, value))
}

fn service(at: &At<'_>, value: core::Service) -> Service {
    let mut spec = value.spec.unwrap_or_default();
    let at = at.field("spec");
    let service_type = text(spec.type_.take());
    at.field("type").one_of(&service_type, TYPES, ());
    let ingress = value.status.and_then(|s| s.load_balancer).and_then(|l| l.ingress).unwrap_or_default();
    let address = ingress.into_iter().next().and_then(|i| non_empty(i.ip).or(non_empty(i.hostname)));
    let cluster_ip = text(spec.cluster_ip.take());
    // One address alone says nothing that `clusterIP` does not.
    spec.cluster_ips = spec.cluster_ips.filter(|ips| ips.iter().ne([cluster_ip.as_str()]));
    let lowered = Service {
        meta: lower_meta(value.metadata),
        selector: spec.selector.take().map(|s| labels(Some(s))),
        service_type,
        cluster_ip,
        external_name: text(spec.external_name.take()),
        ports: at.field("ports").each(spec.ports.take(), port),
        publish_not_ready: spec.publish_not_ready_addresses.take().unwrap_or(false),
        load_balancer: address.unwrap_or_default(),
        rest: None,
    };
    Service { rest: Some(Arc::new(BoundaryPart::new(spec))), ..lowered }
}

fn port(at: &At<'_>, port: core::ServicePort) -> ServicePort {
    let protocol = text(port.protocol);
    at.field("protocol").one_of(&protocol, PROTOCOLS, ());
    ServicePort {
        name: text(port.name),
        protocol,
        port: port.port,
        target_port: match port.target_port {
            Some(IntOrString::String(name)) => name.into(),
            Some(IntOrString::Int(number)) => number.to_string().into(),
            None => port.port.to_string().into(),
        },
        node_port: port.node_port.unwrap_or(0),
        app_protocol: text(port.app_protocol),
    }
}

/// Lowers an EndpointSlice.
///
/// # Errors
/// None so far; the signature is that of all kinds.
///
/// # Fidelity
/// Only the first address of an endpoint is kept (consumers read no other), and neither hints nor `appProtocol`.
pub fn lower_endpoint_slice(mut value: discovery::EndpointSlice) -> Result<EndpointSlice, Vec<LowerError>> {
    defaults::default_endpoint_slice(&mut value);
    Ok(EndpointSlice {
        meta: lower_meta(value.metadata),
        endpoints: value.endpoints.into_iter().map(endpoint).collect(),
        ports: value
            .ports
            .unwrap_or_default()
            .into_iter()
            .map(|p| (text(p.name), text(p.protocol), p.port.unwrap_or(0)))
            .collect(),
    })
}

/// Absent conditions mean ready and serving, as the API says consumers must read them.
fn endpoint(endpoint: discovery::Endpoint) -> Endpoint {
    let conditions = endpoint.conditions.unwrap_or_default();
    let target = endpoint.target_ref.unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    Endpoint {
        address: text(endpoint.addresses.into_iter().next()),
        pod: text(target.name),
        pod_uid: text(target.uid),
        node_name: text(endpoint.node_name),
        zone: text(endpoint.zone),
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
    }
}

const EVENT_TYPES: &[(&str, EventType)] = &[("Normal", EventType::Normal), ("Warning", EventType::Warning)];

fn reference(reference: core::ObjectReference) -> ObjectRef {
    ObjectRef {
        kind: text(reference.kind),
        namespace: text(reference.namespace),
        name: text(reference.name),
        uid: text(reference.uid),
    }
}

/// Lowers an Event, of either recorder.
///
/// # Errors
/// An unknown type.
pub fn lower_event(value: core::Event) -> Result<Event, Vec<LowerError>> {
    let source = value.source.unwrap_or_default();
    let series = value.series.unwrap_or_default();
    let at_once = micro_time(value.event_time);
    let first = time(value.first_timestamp).or(at_once).unwrap_or(Timestamp::new(0));
    let last = time(value.last_timestamp).or(micro_time(series.last_observed_time));
    collect(|at| Event {
        meta: lower_meta(value.metadata),
        regarding: reference(value.involved_object),
        reason: text(value.reason),
        message: text(value.message),
        event_type: at.field("type").one_of(
            value.type_.as_deref().unwrap_or("Normal"),
            EVENT_TYPES,
            EventType::Normal,
        ),
        source: non_empty(source.component).or(non_empty(value.reporting_component)).unwrap_or_default(),
        host: text(source.host),
        first,
        last: last.unwrap_or(first),
        count: value.count.or(series.count).unwrap_or(1),
        series: at_once.is_some(),
    })
}

/// An Event of `events.k8s.io/v1` under the names of `v1`, as the API server converts it.
pub(crate) fn core_event(event: events::Event) -> core::Event {
    core::Event {
        action: event.action,
        count: event.deprecated_count,
        event_time: event.event_time,
        first_timestamp: event.deprecated_first_timestamp,
        involved_object: event.regarding.unwrap_or_default(),
        last_timestamp: event.deprecated_last_timestamp,
        message: event.note,
        metadata: event.metadata,
        reason: event.reason,
        related: event.related,
        reporting_component: event.reporting_controller,
        reporting_instance: event.reporting_instance,
        series: event.series.map(|s| core::EventSeries {
            count: Some(s.count),
            last_observed_time: Some(s.last_observed_time),
        }),
        source: event.deprecated_source,
        type_: event.type_,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    #[test]
    fn services_are_read() {
        let value = json!({
            "spec": {"selector": {"a": "b"}, "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                     "ports": [{"port": 80, "targetPort": "http"}, {"port": 81}]},
            "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}},
        });
        let service = lower_service(from_value(value).unwrap()).unwrap();
        let targets: Vec<&str> = service.ports.iter().map(|p| p.target_port.as_str()).collect();
        assert_eq!(targets, ["http", "81"]);
        assert_eq!(
            (service.service_type.as_str(), service.load_balancer.as_str()),
            ("ClusterIP", "lb.example")
        );
        assert_eq!(service.rest.unwrap().value.cluster_ips, None);
        let wrong = json!({"spec": {"type": "Balanced", "ports": [{"port": 1, "protocol": "tcp"}]}});
        let errors = lower_service(from_value(wrong).unwrap()).unwrap_err();
        assert_eq!(
            errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
            ["spec.type", "spec.ports[0].protocol"]
        );
    }

    #[test]
    fn events_of_both_recorders_are_read() {
        let old = json!({"involvedObject": {"kind": "Pod", "name": "p"}, "reason": "Pulled", "type": "Normal", "count": 3,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:05Z", "source": {"component": "kubelet", "host": "n"}});
        let old = lower_event(from_value(old).unwrap()).unwrap();
        assert_eq!((old.count, old.last.secs_since(old.first), old.series), (3, 5, false));
        let new = json!({"regarding": {"kind": "Pod", "name": "p"}, "note": "no", "type": "Warning", "reportingController": "default-scheduler",
            "eventTime": "2026-01-01T00:00:00.500000Z", "series": {"count": 4, "lastObservedTime": "2026-01-01T00:00:09.000000Z"}});
        let new = lower_event(core_event(from_value(new).unwrap())).unwrap();
        assert_eq!((new.count, new.last.secs_since(new.first), new.series), (4, 9, true));
        assert_eq!((new.source.as_str(), new.event_type), ("default-scheduler", EventType::Warning));
    }

    #[test]
    fn endpoints_without_conditions_are_ready() {
        let value = json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]});
        let slice = lower_endpoint_slice(from_value(value).unwrap()).unwrap();
        assert!(slice.endpoints[0].ready && slice.endpoints[0].serving && !slice.endpoints[0].terminating);
        assert_eq!(slice.ports, [("".into(), "TCP".into(), 80)]);
    }
}
