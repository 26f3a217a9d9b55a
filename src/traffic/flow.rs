//! Requests on their way: from outside and from service to service, to the Pods that answer them.
//!
//! Requests are a flow, not one event each: between two changes (of a rate, of the endpoints, of a Pod's health, of a
//! queue that is full or empty) everything is constant and worked out in closed form ([`super::queueing`]). Each service
//! gets the requests from outside and those that its callers' answers make, its endpoints share them evenly, a node that
//! runs short of CPU shares it by requests ([`super::share`]), and a request has succeeded when its Pod answered and all
//! that it called succeeded, within its caller's patience.
//!
//! # Fidelity
//! * CPU of a Pod is one pool: a sidecar's limit bounds the Pod's sum, not the sidecar alone.
//! * Calls are made one after the other. A Pod that waits for others needs no CPU and no room for it.
//! * Probes are not slowed down by load.

use std::collections::BTreeMap;
use std::sync::Arc;

use petgraph::graph::DiGraph;

use super::profile::{Neighbours, Profile, Profiles};
use super::queueing::{self, Flow, Server};
use super::routes::Routes;
use super::share::{Claim, share};
use crate::api::{Kind, Pod};
use crate::base::time::Calendar;
use crate::base::{SimDuration, SimTime, Str};
use crate::facts::Fact;
use crate::facts::traffic::{Failure, Interval, Meter, Rates, Response};
use crate::kernel::Seed;
use crate::params::traffic::{Health, Traffic as Plan};
use crate::params::{Behaviour, Delay};
use crate::store::{Change, ObjId, Store};

/// How often shares and flows are worked out by turns; each round comes nearer to where they agree.
const ROUNDS: usize = 3;
/// Queues are not looked at more often than this.
const LOOK_MIN: SimDuration = SimDuration::from_millis(100);

/// The Pods of a node that answer requests: for each its places, by service and bearer.
type Bearing = BTreeMap<ObjId, Vec<(usize, usize)>>;

/// All services with their requests.
#[derive(Clone, Debug)]
pub struct Traffic {
    services: Vec<Service>,
    /// Callers before those they call.
    order: Arc<[usize]>,
    routes: Routes,
    profiles: Profiles,
    neighbours: BTreeMap<Str, Neighbours>,
    /// CPU that Pods use which bear requests, or live beside such and had to give way. Millicores.
    used: BTreeMap<ObjId, f64>,
    /// Something has changed since the flows were worked out.
    stale: bool,
    since: SimTime,
    next: Option<SimTime>,
    calendar: Calendar,
    seed: Seed,
}

/// A service and how it is served.
#[derive(Clone, Debug)]
struct Service {
    plan: Plan,
    /// Ordered by Pod.
    bearers: Vec<Bearer>,
    /// What becomes of its requests now.
    rates: Rates,
    /// The same since `since`; what was before that is in the meter.
    told: Rates,
    since: SimTime,
    meter: Meter,
}

/// A Pod that gets a share of a service's requests.
#[derive(Clone, Debug)]
struct Bearer {
    pod: ObjId,
    health: Health,
    profile: Option<Arc<Profile>>,
    /// Requests per second that are sent to it.
    arrivals: f64,
    /// Requests in its queue.
    waiting: f64,
    /// Millicores that it may use for this service's requests.
    cpu: f64,
    flow: Flow,
}

/// What the flows are worked out from.
pub struct Ctx<'a> {
    /// What the API server holds.
    pub store: &'a Store,
    /// What containers do.
    pub behaviours: &'a [Behaviour],
    /// Whether a Pod answers, and when that changes by itself.
    pub health: &'a dyn Fn(ObjId) -> (Health, Option<SimTime>),
    /// CPU of a Pod that is set from outside, in millicores.
    pub load: &'a dyn Fn(ObjId, &Pod) -> i64,
    /// What has happened to requests.
    pub out: &'a mut Vec<Fact>,
}

impl Traffic {
    /// Of these services, before there is any Pod.
    pub fn new(services: &[Plan], calendar: Calendar, seed: Seed) -> Self {
        let service = |plan: &Plan| Service {
            plan: plan.clone(),
            bearers: Vec::new(),
            rates: Rates::default(),
            told: Rates::default(),
            since: SimTime::ZERO,
            meter: Meter::default(),
        };
        Self {
            order: order(services).into(),
            routes: Routes::new(services),
            services: services.iter().map(service).collect(),
            profiles: Profiles::default(),
            neighbours: BTreeMap::new(),
            used: BTreeMap::new(),
            stale: !services.is_empty(),
            since: SimTime::ZERO,
            next: None,
            calendar,
            seed,
        }
    }

    /// Whether there are no requests at all in this run.
    pub const fn is_none(&self) -> bool {
        self.services.is_empty()
    }

    /// Hears of a change.
    pub fn on_change(&mut self, change: &Change, store: &Store, routing: &Delay) {
        if self.is_none() {
            return;
        }
        let seed = self.seed;
        let after = || match routing {
            Delay::Constant(span) => *span,
            _ => routing.sample(&mut seed.stream("service-routing", &change.revision.to_string())),
        };
        self.routes.on_change(change, store, after);
        match change.kind() {
            Kind::Pod => {
                let Some((old, new)) = change.of::<Pod>() else { return };
                if new.is_none() {
                    self.profiles.forget(change.id);
                }
                let came =
                    old.is_none_or(|pod| pod.node_name.is_none()) || new.is_none_or(|pod| pod.is_terminal());
                let node = new.or(old).and_then(|pod| pod.node_name.as_ref());
                if let Some(node) = node.filter(|_| came) {
                    self.stale |= self.neighbours.remove(node).is_some();
                }
            }
            Kind::Node => {
                self.stale |= self.neighbours.remove(&change.object.meta().name).is_some();
            }
            _ => {}
        }
    }

    /// The health of a Pod may have changed.
    pub fn touch(&mut self, pod: ObjId) {
        let bears = |s: &Service| s.bearers.binary_search_by(|b| b.pod.cmp(&pod)).is_ok();
        self.stale |= !self.stale && self.services.iter().any(bears);
    }

    /// CPU that is set from outside has changed.
    pub fn load_changed(&mut self) {
        self.stale |= !self.neighbours.is_empty();
        self.neighbours.clear();
    }

    /// When the flows are to be worked out next; in the past: now.
    pub fn next(&self) -> Option<SimTime> {
        if self.stale { Some(self.since) } else { self.next.into_iter().chain(self.routes.next()).min() }
    }

    /// CPU that a Pod uses, in millicores; none if it neither bears requests nor gives way to such.
    pub fn used(&self, pod: ObjId) -> Option<f64> {
        self.used.get(&pod).copied()
    }

    /// Requests per second that reach a Pod and are worked on, over all services.
    pub fn served(&self, pod: ObjId) -> f64 {
        let of = |s: &Service| {
            let found = s.bearers.binary_search_by(|b| b.pod.cmp(&pod)).ok();
            found.map_or(0.0, |index| s.bearers[index].flow.served)
        };
        self.services.iter().map(of).sum()
    }

    /// Each service with what became of its requests so far, in the order of the scenario.
    pub fn meters(&self, now: SimTime) -> Vec<(Str, Meter)> {
        let total = |(index, service): (usize, &Service)| {
            let mut meter = service.meter.clone();
            meter.add(&service.interval(index, now), SimTime::ZERO, SimTime::MAX);
            (service.plan.name.clone(), meter)
        };
        self.services.iter().enumerate().map(total).collect()
    }

    /// Works the flows out anew. The Pods that use another amount of CPU now.
    pub fn run(&mut self, ctx: &mut Ctx<'_>) -> Vec<ObjId> {
        let now = ctx.store.now();
        let before = std::mem::take(&mut self.used);
        self.fill_queues(now);
        self.routes.advance(now);
        let mut wakes = self.find_bearers(ctx);
        let nodes = self.by_node();
        self.find_neighbours(&nodes, ctx);
        for round in 0..ROUNDS {
            let arrivals = self.send(now);
            self.answer(&arrivals);
            if !self.divide(&nodes, ctx) && round > 0 {
                break;
            }
        }
        self.tell(now, ctx.out);
        wakes.extend(self.changes(now));
        self.next = wakes.into_iter().filter(|at| *at > now).min();
        self.stale = false;
        self.since = now;
        differing(&before, &self.used)
    }

    /// Tells of everything up to `now`, at the end of a run.
    pub fn finish(&mut self, now: SimTime, out: &mut Vec<Fact>) {
        for (index, service) in self.services.iter_mut().enumerate() {
            service.close(index, now, out);
        }
    }

    /// Queues have grown and shrunk since flows were worked out.
    fn fill_queues(&mut self, now: SimTime) {
        let passed = now.since(self.since).as_secs_f64();
        for bearer in self.services.iter_mut().flat_map(|s| &mut s.bearers) {
            bearer.waiting = (bearer.waiting + bearer.flow.growth * passed).max(0.0);
        }
    }

    /// Brings the bearers of all services up to date. Instants at which their health changes by itself.
    fn find_bearers(&mut self, ctx: &Ctx<'_>) -> Vec<SimTime> {
        let mut wakes = Vec::new();
        for (index, service) in self.services.iter_mut().enumerate() {
            let pods = self.routes.of(index);
            let mut before = std::mem::take(&mut service.bearers).into_iter().peekable();
            for pod in pods.iter() {
                while before.next_if(|b| b.pod < *pod).is_some() {}
                let (health, until) = (ctx.health)(*pod);
                wakes.extend(until);
                let old = before.next_if(|b| b.pod == *pod);
                let profile = match &old {
                    Some(Bearer { profile: Some(profile), .. }) => Some(Arc::clone(profile)),
                    _ => self.profiles.get(*pod, ctx.store, ctx.behaviours),
                };
                let waiting = old.as_ref().filter(|_| health == Health::Answers).map_or(0.0, |b| b.waiting);
                let cpu =
                    old.map_or_else(|| profile.as_ref().map_or(0.0, |p| p.limit.min(1000.0)), |b| b.cpu);
                let flow = Flow::default();
                service.bearers.push(Bearer {
                    pod: *pod,
                    health,
                    profile,
                    arrivals: 0.0,
                    waiting,
                    cpu,
                    flow,
                });
            }
        }
        wakes
    }

    /// Requests per second to each service, callers being worked out before those they call.
    fn send(&mut self, now: SimTime) -> Vec<f64> {
        let mut arrivals = vec![0.0; self.services.len()];
        for index in Arc::clone(&self.order).iter().copied() {
            let service = &self.services[index];
            let noise = (self.seed, service.plan.name.as_str());
            let outside = service.plan.rate.as_ref().map_or(0.0, |rate| rate.at(now, self.calendar, noise));
            arrivals[index] += outside;
            let called = service.plan.calls.iter().map(|call| {
                let response = self.services[call.to].rates.response;
                call.per_request as f64 / 1000.0 * (response.fixed + response.wait)
            });
            let patience = service.plan.patience.as_secs_f64() - called.sum::<f64>();
            let service = &mut self.services[index];
            let each = arrivals[index] / service.bearers.len().max(1) as f64;
            for bearer in &mut service.bearers {
                bearer.answer(each, patience);
            }
            let served: f64 = service.bearers.iter().map(|b| b.flow.served).sum();
            for call in &service.plan.calls {
                arrivals[call.to] += served * call.per_request as f64 / 1000.0;
            }
        }
        arrivals
    }

    /// What becomes of the requests to each service, those that are called being worked out before their callers.
    fn answer(&mut self, arrivals: &[f64]) {
        for index in Arc::clone(&self.order).iter().copied().rev() {
            let mut chance = 1.0;
            let mut response = self.services[index].own_response();
            for call in &self.services[index].plan.calls {
                let times = call.per_request as f64 / 1000.0;
                let called = &self.services[call.to].rates;
                chance *= libm::pow(called.success(), times);
                response = response.then(called.response, times);
            }
            let service = &mut self.services[index];
            service.rates = service.rates_of(arrivals[index], chance, response);
        }
    }

    /// The Pods that answer, by their nodes.
    fn by_node(&self) -> BTreeMap<Str, Bearing> {
        let mut nodes: BTreeMap<Str, Bearing> = BTreeMap::new();
        for (s, service) in self.services.iter().enumerate() {
            for (b, bearer) in service.bearers.iter().enumerate() {
                if let Some(profile) = bearer.profile.as_ref().filter(|_| bearer.health == Health::Answers) {
                    nodes
                        .entry(profile.node.clone())
                        .or_default()
                        .entry(bearer.pod)
                        .or_default()
                        .push((s, b));
                }
            }
        }
        nodes
    }

    /// Brings what is known of these nodes' other Pods up to date, and forgets that of others.
    fn find_neighbours(&mut self, nodes: &BTreeMap<Str, Bearing>, ctx: &Ctx<'_>) {
        self.neighbours.retain(|name, _| nodes.contains_key(name));
        for (name, bearing) in nodes {
            if self.neighbours.contains_key(name) {
                continue;
            }
            let profiles = &mut self.profiles;
            let neighbours = Neighbours::of(
                name,
                ctx.store,
                |id| bearing.contains_key(&id),
                |id| profiles.get(id, ctx.store, ctx.behaviours),
                ctx.load,
            );
            self.neighbours.insert(name.clone(), neighbours);
        }
    }

    /// Divides the CPU of nodes among their Pods. Whether anybody gets another part than before.
    fn divide(&mut self, nodes: &BTreeMap<Str, Bearing>, ctx: &Ctx<'_>) -> bool {
        let mut changed = false;
        let mut used = BTreeMap::new();
        let known = std::mem::take(&mut self.neighbours);
        for (bearing, neighbours) in nodes.iter().filter_map(|(name, b)| Some((b, known.get(name)?))) {
            changed |= self.divide_node(neighbours, bearing, (ctx, &mut used));
        }
        self.neighbours = known;
        self.used = used;
        changed
    }

    fn divide_node(
        &mut self,
        neighbours: &Neighbours,
        bearing: &Bearing,
        (ctx, used): (&Ctx<'_>, &mut BTreeMap<ObjId, f64>),
    ) -> bool {
        let mut claims = Vec::with_capacity(bearing.len() + neighbours.claims.len());
        let mut wanted = neighbours.wanted;
        for (pod, places) in bearing {
            let claim = self.claim(*pod, places, neighbours.capacity, ctx);
            wanted += claim.wants;
            claims.push(claim);
        }
        let short = wanted > neighbours.capacity;
        let got = if short {
            claims.extend(neighbours.claims.iter().map(|(_, claim)| *claim));
            share(neighbours.capacity, &claims)
        } else {
            claims.iter().map(|claim| claim.wants).collect()
        };
        if short {
            let given = neighbours.claims.iter().zip(&got[bearing.len()..]);
            used.extend(given.map(|((id, _), milli)| (*id, *milli)));
        }
        let spare = (neighbours.capacity - wanted).max(0.0);
        let mut changed = false;
        for ((pod, places), got) in bearing.iter().zip(got) {
            used.insert(*pod, got);
            changed |= self.give(places, got, spare);
        }
        changed
    }

    /// What a Pod wants of its node.
    fn claim(&self, pod: ObjId, places: &[(usize, usize)], capacity: f64, ctx: &Ctx<'_>) -> Claim {
        let mut claim = Claim { weight: 0.0, wants: 0.0 };
        for (s, b) in places {
            let bearer = &self.services[*s].bearers[*b];
            let Some(profile) = &bearer.profile else { continue };
            if claim.weight == 0.0 {
                let load = ctx.store.get_id::<Pod>(pod).map_or(0, |object| (ctx.load)(pod, object));
                claim = Claim { weight: profile.weight, wants: profile.idle + load as f64 };
            }
            claim.wants += bearer.wants(capacity);
            claim.wants = claim.wants.min(profile.limit).min(capacity);
        }
        claim
    }

    /// Gives a Pod what it got; `spare` is what nobody wants. Whether it may use another amount than before.
    fn give(&mut self, places: &[(usize, usize)], got: f64, spare: f64) -> bool {
        let wants: Vec<f64> = places.iter().map(|(s, b)| self.services[*s].bearers[*b].need()).collect();
        let total: f64 = wants.iter().sum();
        let mut changed = false;
        for ((s, b), wants) in places.iter().zip(wants) {
            let bearer = &mut self.services[*s].bearers[*b];
            let Some(profile) = &bearer.profile else { continue };
            let room = ((got + spare).min(profile.limit) - profile.idle).max(0.0);
            let part = if total > 0.0 { wants / total } else { 1.0 / places.len() as f64 };
            let cpu = room * part;
            changed |= (cpu - bearer.cpu).abs() > 1e-6;
            bearer.cpu = cpu;
        }
        changed
    }

    /// Closes the spans of services whose flows are others now.
    fn tell(&mut self, now: SimTime, out: &mut Vec<Fact>) {
        for (index, service) in self.services.iter_mut().enumerate() {
            if service.rates != service.told {
                service.close(index, now, out);
                service.told = service.rates;
            }
        }
    }

    /// Instants at which flows change by themselves.
    fn changes(&self, now: SimTime) -> Vec<SimTime> {
        let mut wakes: Vec<SimTime> = Vec::new();
        for service in &self.services {
            wakes.extend(service.plan.rate.as_ref().and_then(|rate| rate.next_change(now)));
            let lasts = service.bearers.iter().map(|b| b.flow.lasts).fold(f64::INFINITY, f64::min);
            if lasts.is_finite() {
                let nanos = SimDuration::from_nanos(libm::ceil(lasts * 1e9) as u64);
                wakes.push(now + nanos.max(LOOK_MIN));
            }
        }
        wakes
    }
}

impl Service {
    fn interval(&self, index: usize, now: SimTime) -> Interval {
        let name = self.plan.name.clone();
        Interval { service: index, name, from: self.since, to: now, rates: self.told }
    }

    /// Closes the span that began with the last change.
    fn close(&mut self, index: usize, now: SimTime, out: &mut Vec<Fact>) {
        let interval = self.interval(index, now);
        self.since = now;
        if interval.to > interval.from && interval.rates.offered + interval.rates.succeeded > 0.0 {
            self.meter.add(&interval, SimTime::ZERO, SimTime::MAX);
            out.push(Fact::Traffic(interval));
        }
    }

    /// How long its Pods' own answers take.
    fn own_response(&self) -> Response {
        let parts: Vec<(f64, Response)> =
            self.bearers.iter().map(|b| (b.flow.answered, b.flow.response)).collect();
        Response::one_of(&parts)
    }

    /// What becomes of so many requests, if those that it makes succeed with a chance and all takes so long.
    fn rates_of(&self, offered: f64, chance: f64, response: Response) -> Rates {
        let mut rates = Rates { offered, response, ..Rates::default() };
        let each = offered / self.bearers.len().max(1) as f64;
        let mut fail = |why: Failure, count: f64| rates.failed[why as usize] += count;
        if self.bearers.is_empty() {
            fail(Failure::NoEndpoints, offered);
        }
        let mut answered = 0.0;
        for bearer in &self.bearers {
            match bearer.health {
                Health::Refuses => fail(Failure::Refused, each),
                Health::Silent => fail(Failure::Unreachable, each),
                Health::Answers => {
                    fail(Failure::TimedOut, bearer.flow.timed_out);
                    answered += bearer.flow.answered;
                }
            }
        }
        fail(Failure::Dependency, answered * (1.0 - chance));
        let late = answered * chance * response.beyond(self.plan.patience.as_secs_f64());
        fail(Failure::TimedOut, late);
        rates.succeeded = answered * chance - late;
        rates
    }
}

impl Bearer {
    /// Works on so many requests per second.
    fn answer(&mut self, arrivals: f64, patience: f64) {
        self.flow = match (&self.profile, self.health) {
            (Some(profile), Health::Answers) => {
                let server = Server { cpu: self.cpu, cost: profile.cost, latency: profile.latency };
                queueing::flow(arrivals, self.waiting, server, patience)
            }
            _ => Flow { lasts: f64::INFINITY, ..Flow::default() },
        };
        self.arrivals = arrivals;
    }

    /// Millicores that its requests need, as they come.
    fn need(&self) -> f64 {
        self.profile.as_ref().map_or(0.0, |profile| profile.cost * self.arrivals)
    }

    /// Millicores that it would use if it could: all there is as long as there is a queue.
    fn wants(&self, capacity: f64) -> f64 {
        let costs = self.profile.as_ref().is_some_and(|profile| profile.cost > 0.0);
        if self.waiting > 1e-6 && costs { capacity } else { self.need() }
    }
}

/// The keys whose values differ, or which only one of two maps has.
fn differing(before: &BTreeMap<ObjId, f64>, after: &BTreeMap<ObjId, f64>) -> Vec<ObjId> {
    let gone = before.keys().filter(|pod| !after.contains_key(pod));
    let other = after.iter().filter(|(pod, milli)| before.get(pod) != Some(milli)).map(|(pod, _)| pod);
    gone.chain(other).copied().collect()
}

/// Callers before those they call. Circles have been refused before; one that slips through is cut.
fn order(services: &[Plan]) -> Vec<usize> {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(services.len(), services.len());
    let nodes: Vec<_> = services.iter().map(|_| graph.add_node(())).collect();
    for (from, service) in services.iter().enumerate() {
        for call in service.calls.iter().filter(|call| call.to < services.len()) {
            graph.add_edge(nodes[from], nodes[call.to], ());
        }
    }
    match petgraph::algo::toposort(&graph, None) {
        Ok(order) => order.into_iter().map(petgraph::graph::NodeIndex::index).collect(),
        Err(_) => (0..services.len()).collect(),
    }
}

#[cfg(test)]
mod tests;
