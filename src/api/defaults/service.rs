//! Defaults of Namespaces, Nodes, Services, EndpointSlices and LimitRanges.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{canonical, resource_list, text};
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::discovery::v1 as discovery;

/// How long a Service remembers a client by default: three hours.
const CLIENT_IP_SECONDS: i32 = 10_800;

/// Fills in a Namespace: its name as a label, and its phase.
pub fn default_namespace(namespace: &mut core::Namespace) {
    if let Some(name) = namespace.metadata.name.clone().filter(|n| !n.is_empty()) {
        let labels = namespace.metadata.labels.get_or_insert_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    text(&mut namespace.status.get_or_insert_default().phase, "Active");
}

/// Fills in a Node: allocatable resources from capacity.
pub fn default_node(node: &mut core::Node) {
    let status = node.status.get_or_insert_default();
    resource_list(&mut status.capacity);
    resource_list(&mut status.allocatable);
    if status.allocatable.is_none() {
        status.allocatable.clone_from(&status.capacity);
    }
}

/// Fills in a Service.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_Service`, v1.34.
pub fn default_service(service: &mut core::Service) {
    let spec = service.spec.get_or_insert_default();
    text(&mut spec.session_affinity, "None");
    match spec.session_affinity.as_deref() {
        Some("None") => spec.session_affinity_config = None,
        Some("ClientIP") => {
            let config = spec.session_affinity_config.get_or_insert_default();
            config.client_ip.get_or_insert_default().timeout_seconds.get_or_insert(CLIENT_IP_SECONDS);
        }
        _ => {}
    }
    text(&mut spec.type_, "ClusterIP");
    canonical::no_empty(&mut spec.cluster_ip);
    canonical::no_empty(&mut spec.external_name);
    canonical::no_false(&mut spec.publish_not_ready_addresses);
    canonical::no_empty_map(&mut spec.selector);
    for port in spec.ports.iter_mut().flatten() {
        canonical::no_zero(&mut port.node_port);
        canonical::no_empty(&mut port.name);
        text(&mut port.protocol, "TCP");
        let unset = match &port.target_port {
            None | Some(IntOrString::Int(0)) => true,
            Some(IntOrString::String(name)) => name.is_empty(),
            Some(IntOrString::Int(_)) => false,
        };
        if unset {
            port.target_port = Some(IntOrString::Int(port.port));
        }
    }
    default_traffic(spec);
    if spec.type_.as_deref() == Some("LoadBalancer") {
        let ingress =
            service.status.as_mut().and_then(|s| s.load_balancer.as_mut()).and_then(|l| l.ingress.as_mut());
        for point in
            ingress.into_iter().flatten().filter(|i| i.ip.as_deref().is_some_and(|ip| !ip.is_empty()))
        {
            point.ip_mode.get_or_insert_with(|| "VIP".to_owned());
        }
    }
}

fn default_traffic(spec: &mut core::ServiceSpec) {
    let kind = spec.type_.as_deref().unwrap_or_default();
    let balanced = kind == "LoadBalancer";
    let external_ips = kind == "ClusterIP" && spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    let internal = ["ClusterIP", "NodePort", "LoadBalancer"].contains(&kind);
    if balanced || kind == "NodePort" || external_ips {
        text(&mut spec.external_traffic_policy, "Cluster");
    }
    if internal {
        spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
    }
    if balanced {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
}

/// Fills in the ports of an EndpointSlice.
pub fn default_endpoint_slice(slice: &mut discovery::EndpointSlice) {
    for port in slice.ports.iter_mut().flatten() {
        port.name.get_or_insert_default();
        port.protocol.get_or_insert_with(|| "TCP".to_owned());
    }
}

/// Fills in default limits from maxima, default requests from default limits, then from minima.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_LimitRangeItem`, v1.34.
pub fn default_limit_range(range: &mut core::LimitRange) {
    for item in range.spec.get_or_insert_default().limits.iter_mut() {
        for list in [
            &mut item.max,
            &mut item.min,
            &mut item.default,
            &mut item.default_request,
            &mut item.max_limit_request_ratio,
        ] {
            resource_list(list);
        }
        if item.type_ != "Container" {
            continue;
        }
        let mut default = item.default.take().unwrap_or_default();
        let mut request = item.default_request.take().unwrap_or_default();
        for (name, amount) in item.max.iter().flatten() {
            default.entry(name.clone()).or_insert_with(|| amount.clone());
        }
        for (name, amount) in default.iter().chain(item.min.iter().flatten()) {
            request.entry(name.clone()).or_insert_with(|| amount.clone());
        }
        item.default = Some(default).filter(|l| !l.is_empty());
        item.default_request = Some(request).filter(|l| !l.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    #[test]
    fn services_are_filled_in() {
        let mut service: core::Service = from_value(json!({
            "spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{"port": 80}, {"port": 443, "targetPort": "https"}]},
        }))
        .unwrap();
        default_service(&mut service);
        assert_eq!(
            serde_json::to_value(service.spec).unwrap(),
            json!({
                "allocateLoadBalancerNodePorts": true, "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster",
                "ports": [
                    {"port": 80, "protocol": "TCP", "targetPort": 80},
                    {"port": 443, "protocol": "TCP", "targetPort": "https"},
                ],
                "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                "type": "LoadBalancer",
            })
        );
    }

    /// §9.2.
    #[test]
    fn limit_ranges_fill_their_own_gaps() {
        let mut range: core::LimitRange = from_value(json!({
            "spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi", "cpu": "1"}}, {"type": "Pod", "max": {"cpu": "4"}}]},
        }))
        .unwrap();
        default_limit_range(&mut range);
        assert_eq!(
            serde_json::to_value(range.spec).unwrap()["limits"],
            json!([
                {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Mi"}, "default": {"cpu": "2"},
                 "defaultRequest": {"cpu": "2", "memory": "1Mi"}},
                {"type": "Pod", "max": {"cpu": "4"}},
            ])
        );
    }

    #[test]
    fn nodes_and_namespaces_are_filled_in() {
        let mut node: core::Node = from_value(json!({"status": {"capacity": {"cpu": 4}}})).unwrap();
        default_node(&mut node);
        assert_eq!(serde_json::to_value(node.status).unwrap()["allocatable"], json!({"cpu": "4"}));
        let mut namespace: core::Namespace = from_value(json!({"metadata": {"name": "a"}})).unwrap();
        default_namespace(&mut namespace);
        assert_eq!(namespace.metadata.labels.unwrap()["kubernetes.io/metadata.name"], "a");
    }
}
