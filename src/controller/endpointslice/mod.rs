//! The EndpointSlice controller: who answers for a Service.
//!
//! Upstream: `pkg/controller/endpointslice/endpointslice_controller.go` and `k8s.io/endpointslice`, v1.34.
//!
//! * [`endpoints`]: which Pods are endpoints, and in which state. * [`packing`]: how endpoints are dealt out to slices.
//!
//! # Fidelity
//! One address family: a Pod has one address, and a Service one family. Neither hints (`trafficDistribution`,
//! topology aware routing) nor host names are written, and the annotation
//! `endpoints.kubernetes.io/last-change-trigger-time` is not. Where upstream takes endpoints out of a hash map, here
//! the oldest Pod goes first. Slices of an earlier Service of the same name are left to the garbage collector.

mod endpoints;
mod packing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use endpoints::Desired;
use packing::{Packing, is_placeholder, new_slice};

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::selectors::Selectors;
use crate::api::service::{EndpointSlice, Service};
use crate::api::{EventType, Kind, LabelSelector, Object, ObjectKey, ObjectRef, Pod, Resource, Uid};
use crate::base::{Arc, LookupMap, SimDuration};
use crate::controller::aspects::Aspects;
use crate::store::{ApiError, Change, DeleteOptions, Store, Verb};

/// The value of the label that says who manages a slice.
pub const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
/// The label with that value.
pub const LABEL_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The label with the Service's name.
pub const LABEL_SERVICE_NAME: &str = "kubernetes.io/service-name";
/// From a change of a slice by somebody else to the sync.
const SLICE_CHANGE_DELAY: SimDuration = SimDuration::from_secs(1);

/// The EndpointSlice controller.
#[derive(Clone, Debug)]
pub struct EndpointSliceController {
    workers: usize,
    /// Generations of slices as this controller wrote them, by identity.
    written: LookupMap<Uid, i64>,
    /// Which Pods Services select.
    selectors: Selectors<ObjectKey>,
}

impl Default for EndpointSliceController {
    fn default() -> Self {
        Self::new(5)
    }
}

impl EndpointSliceController {
    /// With `--concurrent-service-endpoint-syncs`.
    pub fn new(workers: usize) -> Self {
        Self { workers, written: LookupMap::new(), selectors: Selectors::default() }
    }

    fn slice_changed(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        let meta = change.latest().meta();
        let managed = meta.labels.get(LABEL_MANAGED_BY).is_some_and(|v| v == MANAGED_BY);
        let known = self.written.get(&meta.uid).copied();
        let foreign = match change.verb {
            Verb::Deleted => {
                self.written.remove(&meta.uid);
                known.is_some()
            }
            Verb::Added | Verb::Modified => managed && known != Some(meta.generation),
        };
        let Some(service) = meta.labels.get(LABEL_SERVICE_NAME).filter(|_| foreign) else { return };
        let key = ObjectKey::new(meta.namespace.clone(), service.clone());
        if store.get::<Service>(&key).is_some() {
            out.after(WorkKey::sync(key), SLICE_CHANGE_DELAY);
        }
    }

    /// Writes what has been planned. Creations become changes of slices that would be deleted.
    ///
    /// Upstream: `finalize`.
    fn finalize(&mut self, ctx: &mut Ctx<'_>, service: &Service, mut plan: Packing) -> Result<(), String> {
        while !plan.create.is_empty() && !plan.delete.is_empty() {
            let (Some(mut slice), old) = (plan.create.pop(), plan.delete.remove(0)) else { break };
            slice.meta.name = old.meta.name.clone();
            plan.update.push(slice);
        }
        let named = |what: &str, slice: &EndpointSlice, error: &ApiError| {
            let Service { meta, .. } = service;
            format!("failed to {what} {} EndpointSlice for Service {}: {error}", slice.meta.name, meta.key())
        };
        if !service.meta.is_deleting() {
            for slice in plan.create {
                match ctx.create(slice) {
                    Ok(created) => self.remember(&created),
                    Err(error) if error.is_namespace_terminating() => return Ok(()),
                    Err(error) => {
                        let key = service.meta.key();
                        return Err(format!("failed to create EndpointSlice for Service {key}: {error}"));
                    }
                }
            }
        }
        for slice in plan.update {
            let (labels, ports, endpoints) = (&slice.meta.labels, &slice.ports, &slice.endpoints);
            let written = ctx.update_spec::<EndpointSlice>(&slice.key(), |live| {
                live.meta.labels = labels.clone();
                live.ports.clone_from(ports);
                live.endpoints.clone_from(endpoints);
            });
            match written {
                Ok(written) => self.remember(&written),
                Err(error) => return Err(named("update", &slice, &error)),
            }
        }
        for slice in plan.delete {
            self.written.remove(&slice.meta.uid);
            if let Err(error) = ctx.delete::<EndpointSlice>(&slice.key(), &DeleteOptions::default()) {
                return Err(named("delete", &slice, &error));
            }
        }
        Ok(())
    }

    fn remember(&mut self, slice: &EndpointSlice) {
        self.written.insert(slice.meta.uid.clone(), slice.meta.generation);
    }

    fn sync(&mut self, service: &Arc<Service>, ctx: &mut Ctx<'_>) -> Result<(), String> {
        let Some(selector) = &service.selector else { return Ok(()) };
        let store = ctx.store();
        let existing = slices_of(store, service);
        let desired = Desired::of(store, service, &LabelSelector::from_labels(selector));
        let mut plan = Packing::default();
        for (ports, group) in desired.groups {
            plan.pack(service, ports, group, &existing);
        }
        let unwanted = existing.iter().filter(|slice| !plan.seen_ports.contains(&slice.ports));
        plan.delete.extend(unwanted.cloned());
        if existing.len() == plan.delete.len() && plan.create.is_empty() {
            match plan.delete.as_slice() {
                [only] if is_placeholder(only, service) => plan.delete.clear(),
                _ => plan.create.push(new_slice(service, Vec::new())),
            }
        }
        let mut errors = desired.errors;
        errors.extend(self.finalize(ctx, service, plan).err());
        match errors.as_slice() {
            [] => Ok(()),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }
}

impl Controller for EndpointSliceController {
    fn name(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Service, Kind::EndpointSlice, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::ADDED
            | Aspects::DELETED
            | Aspects::DELETION
            | Aspects::READY
            | Aspects::ADDRESS
            | Aspects::LABELS
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn retries_max(&self) -> Option<u32> {
        Some(15)
    }

    fn retry_backoff(&self) -> (SimDuration, SimDuration) {
        (SimDuration::from_secs(1), SimDuration::from_secs(1000))
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::Service => {
                let key = change.key();
                match change.of::<Service>().and_then(|(_, service)| service?.selector.as_ref()) {
                    Some(labels) => {
                        self.selectors.set(&key, &key.namespace, &LabelSelector::from_labels(labels));
                    }
                    None => self.selectors.remove(&key),
                }
                out.now(WorkKey::sync(key));
            }
            Kind::EndpointSlice => self.slice_changed(change, store, out),
            Kind::Pod if self.selectors.is_empty() => {}
            Kind::Pod => {
                if let Some((old, new)) = change.of::<Pod>() {
                    self.pod_changed(old, new, out);
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(service) = ctx.store().get::<Service>(&key.key).cloned() else { return Action::Done };
        if service.service_type == "ExternalName" {
            return Action::Done;
        }
        match self.sync(&service, ctx) {
            Ok(()) => Action::Done,
            Err(error) => {
                let text = format!("Error updating Endpoint Slices for Service {}: {error}", key.key);
                ctx.event(ObjectRef::to(&*service), EventType::Warning, "FailedToUpdateEndpointSlices", text);
                Action::Retry(error.into())
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The slices that this controller keeps for a Service.
fn slices_of(store: &Store, service: &Service) -> Vec<Arc<EndpointSlice>> {
    let ours = |slice: &EndpointSlice| {
        let labels = &slice.meta.labels;
        !slice.meta.is_deleting()
            && labels.get(LABEL_MANAGED_BY).is_some_and(|v| v == MANAGED_BY)
            && labels.get(LABEL_SERVICE_NAME) == Some(&service.meta.name)
    };
    let owned = store.dependents(&service.meta.uid);
    owned
        .iter()
        .filter_map(|object: &Object| EndpointSlice::unwrap(object))
        .filter(|s| ours(s))
        .cloned()
        .collect()
}

impl EndpointSliceController {
    /// The Services that select a Pod.
    fn services_of(&self, pod: &Pod) -> BTreeSet<ObjectKey> {
        self.selectors.matching(&pod.meta.namespace, &pod.meta.labels).into_iter().collect()
    }

    /// Upstream: `GetServicesToUpdateOnPodChange`.
    fn pod_changed(&self, old: Option<&Arc<Pod>>, new: Option<&Arc<Pod>>, out: &mut Enqueue) {
        let enqueue = |services: BTreeSet<ObjectKey>, out: &mut Enqueue| {
            services.into_iter().for_each(|key| out.now(WorkKey::sync(key)));
        };
        let (Some(before), Some(after)) = (old, new) else {
            if let Some(pod) = new.or(old) {
                enqueue(self.services_of(pod), out);
            }
            return;
        };
        let endpoint = before.meta.deletion != after.meta.deletion
            || before.is_ready() != after.is_ready()
            || before.status.pod_ip != after.status.pod_ip;
        let labels = before.meta.labels != after.meta.labels;
        if !endpoint && !labels {
            return;
        }
        let mut services = self.services_of(after);
        if labels {
            let former = self.services_of(before);
            services = if endpoint { &services | &former } else { &services ^ &former };
        }
        enqueue(services, out);
    }
}
