//! Addresses and node ports of Services: what the API server hands out and takes back.
//!
//! Upstream: `pkg/registry/core/service/storage/{alloc,storage}.go`, `pkg/registry/core/service/{ipallocator,portallocator}`,
//! v1.34.
//!
//! # Fidelity
//! IPv4 only, from kubeadm's default range. The objects `IPAddress` and `ServiceCIDR` are not kept, only what they
//! stand for.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::Store;
use super::error::ApiError;
use super::table::Stored;
use crate::api::service::{Service, ServicePort};
use crate::api::workload::BoundaryPart;
use crate::api::{Kind, k8s};
use crate::base::{Arc, Str, text::lit};

/// The range of addresses (`--service-cluster-ip-range`): kubeadm's default.
const CIDR: &str = "10.96.0.0/12";
const CIDR_BASE: u32 = u32::from_be_bytes([10, 96, 0, 0]);
/// Addresses of the range that can be given, the first being one above its base.
const CIDR_HOSTS: u32 = (1 << 20) - 2;
/// Addresses at the start of the range that are given last, so that users can ask for them.
const CIDR_STATIC: u32 = 256;
/// The range of node ports (`--service-node-port-range`) and its part that is given last.
const PORT_FIRST: i32 = 30_000;
const PORT_LAST: i32 = 32_767;
const PORTS_STATIC: i32 = 86;

/// What has been handed out.
#[derive(Clone, Debug, Default)]
pub(super) struct Allocations {
    addresses: BTreeSet<u32>,
    ports: BTreeSet<i32>,
}

/// Completes a Service that is created (`old` is none) or changed.
///
/// # Errors
/// It asks for an address or a port that is taken or out of range, or there is none left.
pub(super) fn complete<T: Stored>(store: &mut Store, old: Option<&T>, new: &mut T) -> Result<(), ApiError> {
    let Some(service) = (new as &mut dyn std::any::Any).downcast_mut::<Service>() else { return Ok(()) };
    let old = old.and_then(|old| (old as &dyn std::any::Any).downcast_ref::<Service>());
    if let Some(old) = old {
        keep_allocated(old, service);
    }
    if wants_address(service) && service.cluster_ip.is_empty() {
        service.cluster_ip = pick_address(store, service)?;
    }
    let had = old.map_or("", |o| o.cluster_ip.as_str());
    if wants_address(service) && service.cluster_ip != had {
        claim_address(store, service)?;
    }
    if let Err(error) = allocate_ports(store, old, service) {
        if let Some(offset) = offset_of(&service.cluster_ip).filter(|_| service.cluster_ip != had) {
            store.allocations.addresses.remove(&offset);
        }
        return Err(error);
    }
    set_family(service);
    // Only now is the call accepted; what the Service no longer needs goes back.
    if let Some(old) = old {
        release_unused(store, old, service);
    }
    Ok(())
}

/// Takes back what a Service had that is gone.
pub(super) fn release<T: Stored>(store: &mut Store, object: &T) {
    if let Some(service) = (object as &dyn std::any::Any).downcast_ref::<Service>() {
        release_unused(store, service, &Service::default());
    }
}

fn release_unused(store: &mut Store, old: &Service, new: &Service) {
    if old.cluster_ip != new.cluster_ip
        && let Some(offset) = offset_of(&old.cluster_ip)
    {
        store.allocations.addresses.remove(&offset);
    }
    let kept = node_ports(new);
    for port in node_ports(old).difference(&kept) {
        store.allocations.ports.remove(port);
    }
}

fn wants_address(service: &Service) -> bool {
    service.service_type != "ExternalName" && service.cluster_ip != "None"
}

fn wants_ports(service: &Service) -> bool {
    match service.service_type.as_str() {
        "NodePort" => true,
        "LoadBalancer" => {
            service.rest.as_ref().and_then(|r| r.value.allocate_load_balancer_node_ports).unwrap_or(true)
        }
        _ => false,
    }
}

/// What was handed out stays if the change says nothing of it.
///
/// Upstream: `patchAllocatedValues`; a type without addresses or ports gives them back (`dropTypeDependentFields`).
fn keep_allocated(old: &Service, new: &mut Service) {
    if new.service_type == "ExternalName" {
        if new.cluster_ip == old.cluster_ip {
            new.cluster_ip = Str::new();
        }
    } else if new.cluster_ip.is_empty() && old.service_type != "ExternalName" {
        new.cluster_ip = old.cluster_ip.clone();
    }
    if wants_ports(old) && wants_ports(new) {
        for port in &mut new.ports {
            let same = |o: &&ServicePort| o.port == port.port && o.protocol == port.protocol;
            if port.node_port == 0 {
                port.node_port = old.ports.iter().find(same).map_or(0, |o| o.node_port);
            }
        }
    } else if wants_ports(old) {
        let before = node_ports(old);
        new.ports.iter_mut().filter(|p| before.contains(&p.node_port)).for_each(|p| p.node_port = 0);
    }
}

fn invalid(service: &Service, why: String) -> ApiError {
    ApiError::Invalid { kind: Kind::Service, name: service.meta.name.clone(), why: why.into() }
}

fn offset_of(address: &str) -> Option<u32> {
    let offset = u32::from(address.parse::<Ipv4Addr>().ok()?).checked_sub(CIDR_BASE)?;
    (1..=CIDR_HOSTS).contains(&offset).then_some(offset)
}

/// A random start in the upper band, from there the first that is free; the lower band if the upper is full.
fn pick_address(store: &Store, service: &Service) -> Result<Str, ApiError> {
    let mut stream = store.seed.stream_of("cluster-ip", &[&store.revision.to_le_bytes()]);
    let taken = &store.allocations.addresses;
    let mut in_band = |first: u32, size: u32| {
        let start = u32::try_from(stream.below(u64::from(size))).unwrap_or(0);
        (0..size).map(|i| first + (start + i) % size).find(|offset| !taken.contains(offset))
    };
    let offset = in_band(1 + CIDR_STATIC, CIDR_HOSTS - CIDR_STATIC)
        .or_else(|| in_band(1, CIDR_STATIC))
        .ok_or_else(|| {
            let name = &service.meta.name;
            ApiError::Internal(
                format!("Internal error occurred: failed to allocate a serviceIP for {name}: range is full")
                    .into(),
            )
        })?;
    Ok(Ipv4Addr::from(CIDR_BASE + offset).to_string().into())
}

fn claim_address(store: &mut Store, service: &Service) -> Result<(), ApiError> {
    let address = &service.cluster_ip;
    let refused = |why: String| {
        invalid(
            service,
            format!(
                "spec.clusterIPs: Invalid value: [\"{address}\"]: failed to allocate IP {address}: {why}"
            ),
        )
    };
    let offset = offset_of(address).ok_or_else(|| {
        refused(format!("provided IP is not in the valid range. The range of valid IPs is {CIDR}"))
    })?;
    if store.allocations.addresses.insert(offset) {
        Ok(())
    } else {
        Err(refused(String::from("provided IP is already allocated")))
    }
}

fn node_ports(service: &Service) -> BTreeSet<i32> {
    let health = service.rest.as_ref().and_then(|r| r.value.health_check_node_port);
    service.ports.iter().map(|p| p.node_port).chain(health).filter(|p| *p != 0).collect()
}

fn allocate_ports(store: &mut Store, old: Option<&Service>, service: &mut Service) -> Result<(), ApiError> {
    let held = old.map(node_ports).unwrap_or_default();
    // Ports that are asked for come first, so that none of them is given to another.
    let mut given: Vec<i32> = Vec::new();
    for (index, port) in service.ports.iter().enumerate().filter(|(_, p)| p.node_port != 0) {
        let number = port.node_port;
        if given.contains(&number) || held.contains(&number) {
            continue;
        }
        let refused = |why: String| {
            invalid(service, format!("spec.ports[{index}].nodePort: Invalid value: {number}: {why}"))
        };
        if !(PORT_FIRST..=PORT_LAST).contains(&number) {
            take_back(store, &given);
            let range = format!("{PORT_FIRST}-{PORT_LAST}");
            return Err(refused(format!(
                "provided port is not in the valid range. The range of valid ports is {range}"
            )));
        }
        if !store.allocations.ports.insert(number) {
            take_back(store, &given);
            return Err(refused(String::from("provided port is already allocated")));
        }
        given.push(number);
    }
    if wants_ports(service) {
        let mut ports = std::mem::take(&mut service.ports);
        let full = ports
            .iter_mut()
            .filter(|p| p.node_port == 0)
            .any(|port| pick_port(store).map(|number| port.node_port = number).is_none());
        service.ports = ports;
        if full {
            return Err(ApiError::Internal(lit!(
                "Internal error occurred: failed to allocate a nodePort: range is full"
            )));
        }
    }
    allocate_health_port(store, service)
}

fn take_back(store: &mut Store, ports: &[i32]) {
    for port in ports {
        store.allocations.ports.remove(port);
    }
}

fn pick_port(store: &mut Store) -> Option<i32> {
    let taken = store.allocations.ports.len().to_le_bytes();
    let mut stream = store.seed.stream_of("node-port", &[&store.revision.to_le_bytes(), &taken]);
    let ports = &store.allocations.ports;
    let mut in_band = |first: i32, size: i32| {
        let start = i32::try_from(stream.below(u64::from(size.unsigned_abs()))).unwrap_or(0);
        (0..size).map(|i| first + (start + i) % size).find(|port| !ports.contains(port))
    };
    let upper = PORT_LAST - PORT_FIRST + 1 - PORTS_STATIC;
    let port = in_band(PORT_FIRST + PORTS_STATIC, upper).or_else(|| in_band(PORT_FIRST, PORTS_STATIC))?;
    store.allocations.ports.insert(port);
    Some(port)
}

/// Load balancers that keep the client's address need a port to be asked for local endpoints.
fn allocate_health_port(store: &mut Store, service: &mut Service) -> Result<(), ApiError> {
    let Some(rest) = &service.rest else { return Ok(()) };
    let local = rest.value.external_traffic_policy.as_deref() == Some("Local");
    if service.service_type != "LoadBalancer" || !local || rest.value.health_check_node_port.is_some() {
        return Ok(());
    }
    let Some(port) = pick_port(store) else {
        let text = "Internal error occurred: failed to allocate a HealthCheck NodePort : range is full";
        return Err(ApiError::Internal(text.into()));
    };
    edit_rest(service, |spec| spec.health_check_node_port = Some(port));
    Ok(())
}

/// The family and its policy, which every Service with endpoints of its own has.
fn set_family(service: &mut Service) {
    let has = service.rest.as_ref().is_some_and(|r| r.value.ip_families.is_some());
    if has || service.rest.is_none() || service.service_type == "ExternalName" {
        return;
    }
    edit_rest(service, |spec| {
        spec.ip_families = Some(vec![String::from("IPv4")]);
        spec.ip_family_policy.get_or_insert_with(|| String::from("SingleStack"));
    });
}

fn edit_rest(service: &mut Service, edit: impl FnOnce(&mut k8s::core::v1::ServiceSpec)) {
    let mut spec = service.rest.as_ref().map(|r| r.value.clone()).unwrap_or_default();
    edit(&mut spec);
    service.rest = Some(Arc::new(BoundaryPart::new(spec)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ObjectKey;
    use crate::store::DeleteOptions;
    use crate::testkit;

    fn service(name: &str, address: &str) -> Service {
        Service { cluster_ip: address.into(), ..testkit::service(name) }
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("default", name)
    }

    fn node_port(name: &str, port: i32) -> Service {
        let mut service = Service { service_type: "NodePort".into(), ..service(name, "") };
        service.ports[0].node_port = port;
        service
    }

    #[test]
    fn addresses_come_from_the_upper_band_and_are_given_once() {
        let mut store = testkit::store();
        let a = store.create(service("a", "")).unwrap();
        let b = store.create(service("b", "")).unwrap();
        assert_ne!(a.cluster_ip, b.cluster_ip);
        assert!(offset_of(&a.cluster_ip).unwrap() > CIDR_STATIC);
        for (name, address, tail) in [
            ("c", a.cluster_ip.as_str(), "provided IP is already allocated"),
            (
                "d",
                "10.0.0.1",
                "provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/12",
            ),
        ] {
            assert_eq!(
                store.create(service(name, address)).unwrap_err().to_string(),
                format!(
                    "Service \"{name}\" is invalid: spec.clusterIPs: Invalid value: [\"{address}\"]: \
                     failed to allocate IP {address}: {tail}"
                )
            );
        }
        store.delete::<Service>(&key("a"), &DeleteOptions::default()).unwrap();
        assert!(store.create(service("c", &a.cluster_ip)).is_ok(), "what is deleted can be given again");
        assert!(store.create(service("e", "None")).unwrap().cluster_ip == "None");
    }

    #[test]
    fn node_ports_are_given_kept_and_taken_back() {
        let mut store = testkit::store();
        let a = store.create(node_port("a", 0)).unwrap();
        let given = a.ports[0].node_port;
        assert!((30_086..=32_767).contains(&given), "{given}");
        assert_eq!(
            store.create(node_port("b", given)).unwrap_err().to_string(),
            format!(
                "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: {given}: provided port is already allocated"
            )
        );
        assert!(store.create(node_port("b", 80)).unwrap_err().to_string().ends_with("is 30000-32767"));
        let kept = store
            .update_spec::<Service>(&key("a"), |s| {
                s.cluster_ip = Str::new();
                s.ports[0].node_port = 0;
                s.publish_not_ready = true;
            })
            .unwrap();
        assert_eq!((kept.ports[0].node_port, &kept.cluster_ip), (given, &a.cluster_ip));
        let plain = store.update_spec::<Service>(&key("a"), |s| s.service_type = "ClusterIP".into()).unwrap();
        assert_eq!(plain.ports[0].node_port, 0);
        assert!(store.create(node_port("b", given)).is_ok());
    }
}
