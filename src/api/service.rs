//! Namespaces, Services and EndpointSlices.

use super::condition::Condition;
use super::k8s;
use super::meta::{Labels, Meta};
use super::workload::BoundaryPart;
use crate::base::{Arc, Str};

/// A Namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Namespace {
    /// Metadata.
    pub meta: Meta,
    /// `spec.finalizers`; `kubernetes` until its content is gone.
    pub spec_finalizers: Vec<Str>,
    /// `status.phase: Terminating`.
    pub terminating: bool,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Service {
    /// Metadata.
    pub meta: Meta,
    /// Which Pods; none if absent (endpoints are managed by hand).
    pub selector: Option<Labels>,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub service_type: Str,
    /// The virtual address; `None` for headless Services.
    pub cluster_ip: Str,
    /// `externalName`.
    pub external_name: Str,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// Address of the load balancer, once it has one.
    pub load_balancer: Str,
    /// Parts of the boundary form that no other field carries.
    pub rest: Option<Arc<BoundaryPart<k8s::core::v1::ServiceSpec>>>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// Its name, possibly empty.
    pub name: Str,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Str,
    /// The port.
    pub port: i32,
    /// The Pods' port: a number or a name.
    pub target_port: Str,
    /// The nodes' port; 0 if none.
    pub node_port: i32,
    /// `appProtocol`, possibly empty.
    pub app_protocol: Str,
}

/// An EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EndpointSlice {
    /// Metadata.
    pub meta: Meta,
    /// Endpoints, ordered by the name of their Pod.
    pub endpoints: Vec<Endpoint>,
    /// Ports: name, protocol, number.
    pub ports: Vec<(Str, Str, i32)>,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its address.
    pub address: Str,
    /// The Pod behind it.
    pub pod: Str,
    /// The Pod's identity.
    pub pod_uid: Str,
    /// The node it is on.
    pub node_name: Str,
    /// The node's zone.
    pub zone: Str,
    /// Takes new connections.
    pub ready: bool,
    /// Can answer.
    pub serving: bool,
    /// Is being deleted.
    pub terminating: bool,
}
