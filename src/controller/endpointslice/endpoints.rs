//! Which Pods are endpoints of a Service, and in which state.
//!
//! Upstream: `k8s.io/endpointslice/utils.go`, v1.34.

use std::collections::BTreeMap;

use crate::api::node::ZONE_LABEL;
use crate::api::service::{Endpoint, Service, ServicePort};
use crate::api::{Container, LabelSelector, Node, Pod};
use crate::base::Str;
use crate::store::Store;

/// Ports of a slice: name, protocol, number.
pub(super) type Ports = Vec<(Str, Str, i32)>;

/// What the slices of a Service shall hold.
#[derive(Debug, Default)]
pub(super) struct Desired {
    /// Endpoints by their ports, oldest Pod first.
    pub groups: BTreeMap<Ports, Vec<Endpoint>>,
    /// Pods that had to be left out.
    pub errors: Vec<String>,
}

impl Desired {
    pub(super) fn of(store: &Store, service: &Service, selector: &LabelSelector) -> Self {
        let mut desired = Self::default();
        for pod in store.select_pods(&service.meta.namespace, selector) {
            if pod.is_terminal() || pod.status.pod_ip.is_empty() {
                continue;
            }
            let group = desired.groups.entry(ports(service, pod)).or_default();
            let node = pod.node_name.as_ref().and_then(|name| store.find::<Node>("", name));
            if node.is_none() && !service.publish_not_ready {
                desired.errors.push(format!(
                    "skipping Pod {} for Service {}: Node {} Not Found",
                    pod.meta.name,
                    service.meta.key(),
                    pod.node_name.as_deref().unwrap_or_default()
                ));
                continue;
            }
            group.push(endpoint(pod, node.map(|n| &**n), service));
        }
        desired
    }
}

fn endpoint(pod: &Pod, node: Option<&Node>, service: &Service) -> Endpoint {
    let serving = pod.is_ready();
    let terminating = pod.meta.is_deleting();
    Endpoint {
        address: pod.status.pod_ip.clone(),
        pod: pod.meta.name.clone(),
        pod_uid: pod.meta.uid.clone(),
        node_name: pod.node_name.clone().unwrap_or_default(),
        zone: node.and_then(|n| n.meta.labels.get(ZONE_LABEL)).cloned().unwrap_or_default(),
        // Even a ready Pod is no ready endpoint once it is being deleted.
        ready: service.publish_not_ready || (serving && !terminating),
        serving,
        terminating,
    }
}

/// The Pod's ports for a Service; a named port that the Pod lacks is left out.
fn ports(service: &Service, pod: &Pod) -> Ports {
    let number = |port: &ServicePort| match port.target_port.parse() {
        Ok(number) => Some(number),
        Err(_) => named_port(pod, port),
    };
    service
        .ports
        .iter()
        .filter_map(|port| Some((port.name.clone(), port.protocol.clone(), number(port)?)))
        .collect()
}

fn named_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let sidecars = pod.spec.init_containers.iter().filter(|c| c.sidecar);
    let in_container = |container: &Container| {
        let found =
            container.ports.iter().find(|p| p.name == port.target_port && p.protocol == port.protocol);
        found.map(|p| p.container_port)
    };
    pod.spec.containers.iter().chain(sidecars).find_map(in_container)
}
