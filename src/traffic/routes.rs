//! Which Pods the requests to a service are sent to.
//!
//! For a Service these are the ready endpoints of its slices; if there is none, those that still serve while they
//! terminate. kube-proxies follow the slices after the latency `serviceRouting`, and until then send requests to Pods
//! that are gone: that is why a rolling update loses requests without a `preStop` hook.
//!
//! Upstream: `pkg/proxy/topology.go` `CategorizeEndpoints`, v1.34.
//!
//! # Fidelity
//! * All nodes' proxies change in one instant. Requests are spread evenly over the endpoints, as iptables does with
//!   connections in the mean; sessions and topology hints are not followed.
//! * Requests to a `selector` reach its Ready, not terminating Pods after the same latency.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::bears_load;
use crate::api::service::EndpointSlice;
use crate::api::{LabelSelector, ObjectKey, Pod};
use crate::base::{LookupMap, SimDuration, SimTime, Str};
use crate::params::Traffic;
use crate::params::traffic::TrafficTarget;
use crate::store::{Change, ObjId, Store, Verb};

/// The label by which a slice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Where the requests to each service go.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    /// Services by namespace and name.
    by_service: LookupMap<(Str, Str), Vec<usize>>,
    /// Services that select Pods themselves.
    selecting: Vec<usize>,
    /// When requests take other ways, by service.
    due: BTreeSet<(SimTime, usize)>,
}

/// Where the requests to one service go.
#[derive(Clone, Debug, Default)]
struct Route {
    namespace: Str,
    selector: Option<LabelSelector>,
    /// Endpoints by slice.
    slices: BTreeMap<ObjId, Vec<(ObjId, Readiness)>>,
    /// Pods that are selected and Ready.
    selected: BTreeSet<ObjId>,
    /// Where requests go now.
    present: Arc<[ObjId]>,
    /// Where they will go, from when on.
    coming: VecDeque<(SimTime, Arc<[ObjId]>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    /// It is being deleted and still serves.
    Leaving,
    Not,
}

impl Routes {
    /// Of these services, before there is any Pod.
    pub fn new(services: &[Traffic]) -> Self {
        let mut all = Self::default();
        for (index, service) in services.iter().enumerate() {
            let mut route = Route { namespace: service.namespace.clone(), ..Route::default() };
            match &service.to {
                TrafficTarget::Service(name) => {
                    let key = (service.namespace.clone(), name.clone());
                    all.by_service.or_insert_with(key, Vec::new).push(index);
                }
                TrafficTarget::Selector(selector) => {
                    route.selector = Some(selector.clone());
                    all.selecting.push(index);
                }
            }
            all.routes.push(route);
        }
        all
    }

    /// Hears of a change; proxies follow it `after` so long.
    pub fn on_change(&mut self, change: &Change, store: &Store, after: impl Fn() -> SimDuration) {
        let meta = change.latest().meta();
        if let Some((_, new)) = change.of::<EndpointSlice>() {
            let Some(service) = meta.labels.get(SERVICE_NAME) else { return };
            let key = (meta.namespace.clone(), service.clone());
            for index in self.by_service.get(&key).cloned().unwrap_or_default() {
                let route = &mut self.routes[index];
                match new {
                    Some(slice) => route.slices.insert(change.id, endpoints(slice, store)),
                    None => route.slices.remove(&change.id),
                };
                self.due.extend(route.plan(change.at + after()).map(|at| (at, index)));
            }
        } else if let Some((_, new)) = change.of::<Pod>() {
            for index in &self.selecting {
                let route = &mut self.routes[*index];
                let selects = |s: &LabelSelector| s.matches(&meta.labels);
                let bears = change.verb != Verb::Deleted
                    && route.namespace == meta.namespace
                    && new.is_some_and(|pod| bears_load(pod))
                    && route.selector.as_ref().is_some_and(selects);
                let changed =
                    if bears { route.selected.insert(change.id) } else { route.selected.remove(&change.id) };
                if changed {
                    self.due.extend(route.plan(change.at + after()).map(|at| (at, *index)));
                }
            }
        }
    }

    /// The next instant at which requests take other ways.
    pub fn next(&self) -> Option<SimTime> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Goes on to `now`. The services whose requests take other ways from now on.
    pub fn advance(&mut self, now: SimTime) -> BTreeSet<usize> {
        let mut changed = BTreeSet::new();
        while let Some((at, index)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, index));
            let route = &mut self.routes[index];
            while route.coming.front().is_some_and(|(at, _)| *at <= now) {
                if let Some((_, pods)) = route.coming.pop_front() {
                    if route.present != pods {
                        changed.insert(index);
                    }
                    route.present = pods;
                }
            }
        }
        changed
    }

    /// The Pods to which the requests to a service go.
    pub fn of(&self, service: usize) -> Arc<[ObjId]> {
        self.routes.get(service).map(|route| Arc::clone(&route.present)).unwrap_or_default()
    }
}

impl Route {
    /// Notes where requests go from `at` on. When that is; none if nothing is other than it would be anyway.
    fn plan(&mut self, at: SimTime) -> Option<SimTime> {
        let pods: Arc<[ObjId]> = if self.selector.is_some() {
            self.selected.iter().copied().collect()
        } else {
            let all = |wanted: Readiness| {
                let found = self.slices.values().flatten().filter(move |(_, r)| *r == wanted);
                found.map(|(id, _)| *id).collect::<BTreeSet<ObjId>>()
            };
            let ready = all(Readiness::Ready);
            let used = if ready.is_empty() { all(Readiness::Leaving) } else { ready };
            used.into_iter().collect()
        };
        let last = self.coming.back().map_or(&self.present, |(_, pods)| pods);
        if *last == pods {
            return None;
        }
        // A later change never overtakes an earlier one.
        let at = self.coming.back().map_or(at, |(before, _)| at.max(*before));
        self.coming.push_back((at, pods));
        Some(at)
    }
}

/// The Pods of a slice.
fn endpoints(slice: &EndpointSlice, store: &Store) -> Vec<(ObjId, Readiness)> {
    let place = |endpoint: &crate::api::service::Endpoint| {
        let key = ObjectKey::new(slice.meta.namespace.clone(), endpoint.pod.clone());
        let readiness = match (endpoint.ready, endpoint.serving && endpoint.terminating) {
            (true, _) => Readiness::Ready,
            (false, true) => Readiness::Leaving,
            (false, false) => Readiness::Not,
        };
        Some((store.id_of::<Pod>(&key)?, readiness))
    };
    slice.endpoints.iter().filter_map(place).collect()
}
