//! How endpoints are dealt out to slices, with as few writes as possible.
//!
//! Upstream: `reconcileByPortMapping` in `k8s.io/endpointslice/reconciler.go`, v1.34: first what is there is brought up to
//! date, then slices that change anyway are filled up, then one unchanged slice or new ones take the rest.

use std::collections::BTreeSet;

use super::endpoints::Ports;
use super::{LABEL_MANAGED_BY, LABEL_SERVICE_NAME, MANAGED_BY};
use crate::api::service::{Endpoint, EndpointSlice, Service};
use crate::api::{Labels, Lasting, OwnerReference};
use crate::base::{Arc, LookupMap, Str};

/// Endpoints per slice (`--max-endpoints-per-slice`).
const ENDPOINTS_MAX: usize = 100;
/// The label of slices of Services without a virtual address.
const LABEL_HEADLESS: &str = "service.kubernetes.io/headless";

/// Slices to write.
#[derive(Debug, Default)]
pub(super) struct Packing {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<Arc<EndpointSlice>>,
    /// Ports for which there are endpoints.
    pub seen_ports: BTreeSet<Ports>,
}

/// Endpoints that are not placed yet.
struct Rest {
    endpoints: Vec<Option<Endpoint>>,
    by_identity: LookupMap<(Str, Str), usize>,
    next: usize,
    left: usize,
}

impl Rest {
    fn new(endpoints: Vec<Endpoint>) -> Self {
        let mut by_identity = LookupMap::new();
        for (index, endpoint) in endpoints.iter().enumerate() {
            by_identity.insert((endpoint.address.clone(), endpoint.pod_uid.clone()), index);
        }
        let left = endpoints.len();
        Self { endpoints: endpoints.into_iter().map(Some).collect(), by_identity, next: 0, left }
    }

    /// Takes the endpoint with the identity of `old`.
    fn take(&mut self, old: &Endpoint) -> Option<Endpoint> {
        let index = *self.by_identity.get(&(old.address.clone(), old.pod_uid.clone()))?;
        let taken = self.endpoints.get_mut(index)?.take()?;
        self.left -= 1;
        Some(taken)
    }

    fn pop(&mut self) -> Option<Endpoint> {
        while let Some(slot) = self.endpoints.get_mut(self.next) {
            self.next += 1;
            if let Some(endpoint) = slot.take() {
                self.left -= 1;
                return Some(endpoint);
            }
        }
        None
    }

    fn fill(&mut self, slice: &mut EndpointSlice) {
        while slice.endpoints.len() < ENDPOINTS_MAX
            && let Some(endpoint) = self.pop()
        {
            slice.endpoints.push(endpoint);
        }
    }
}

impl Packing {
    /// Deals the endpoints of one set of ports out.
    pub(super) fn pack(
        &mut self,
        service: &Service,
        ports: Ports,
        endpoints: Vec<Endpoint>,
        existing: &[Arc<EndpointSlice>],
    ) {
        let mut rest = Rest::new(endpoints);
        let labels = slice_labels(service);
        let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
        for slice in existing.iter().filter(|s| s.ports == ports) {
            let kept: Vec<Endpoint> = slice.endpoints.iter().filter_map(|old| rest.take(old)).collect();
            if kept == slice.endpoints && slice.meta.labels == labels {
                unchanged.push(slice);
            } else if kept.is_empty() && !slice.endpoints.is_empty() {
                self.delete.push(slice.clone());
            } else {
                let mut new = EndpointSlice::clone(slice);
                new.meta.labels = labels.clone();
                new.endpoints = kept;
                changed.push(new);
            }
        }
        changed.sort_by_key(|slice| std::cmp::Reverse(slice.endpoints.len()));
        changed.iter_mut().for_each(|slice| rest.fill(slice));
        while rest.left > 0 {
            if let Some(index) = fullest_with_room(&unchanged, rest.left) {
                let mut slice = EndpointSlice::clone(unchanged.remove(index));
                rest.fill(&mut slice);
                changed.push(slice);
            } else {
                let mut slice = new_slice(service, ports.clone());
                rest.fill(&mut slice);
                self.create.push(slice);
            }
        }
        self.update.extend(changed);
        self.seen_ports.insert(ports);
    }
}

/// The slice that `count` endpoints fill most without running over.
///
/// Upstream: `getSliceToFill`.
fn fullest_with_room(slices: &[&Arc<EndpointSlice>], count: usize) -> Option<usize> {
    let room = |slice: &EndpointSlice| ENDPOINTS_MAX.checked_sub(count + slice.endpoints.len());
    let fitting = slices.iter().enumerate().filter_map(|(i, slice)| room(slice).map(|room| (room, i)));
    // Upstream: an empty slice does not count, nor does anything if a whole slice is left over.
    fitting.filter(|(room, _)| count < ENDPOINTS_MAX && *room < ENDPOINTS_MAX).min().map(|(_, i)| i)
}

/// An empty slice of a Service.
pub(super) fn new_slice(service: &Service, ports: Ports) -> EndpointSlice {
    EndpointSlice {
        meta: Lasting {
            namespace: service.meta.namespace.clone(),
            generate_name: format!("{}-", service.meta.name).into(),
            labels: slice_labels(service),
            owners: vec![OwnerReference::controller_of(service)].into(),
            ..Lasting::default()
        }
        .into(),
        endpoints: Vec::new(),
        ports,
    }
}

/// Whether a slice is the one that stands for a Service without endpoints.
pub(super) fn is_placeholder(slice: &EndpointSlice, service: &Service) -> bool {
    slice.endpoints.is_empty() && slice.ports.is_empty() && slice.meta.labels == slice_labels(service)
}

/// The labels of a Service with those that say whose slice it is.
///
/// Upstream: `setEndpointSliceLabels`.
fn slice_labels(service: &Service) -> Labels {
    let mut labels = service.meta.labels.without(LABEL_HEADLESS);
    if service.cluster_ip.is_empty() || service.cluster_ip == "None" {
        labels = labels.with(LABEL_HEADLESS, "");
    }
    labels.with(LABEL_SERVICE_NAME, service.meta.name.clone()).with(LABEL_MANAGED_BY, MANAGED_BY)
}
