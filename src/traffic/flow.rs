//! Requests on their way: from outside and from service to service, to the Pods that answer them.
//!
//! Requests are a flow, not one event each: between two changes (of a rate, of the endpoints, of a Pod's health, of a
//! queue that is full or empty) everything is constant and worked out in closed form ([`super::queueing`]). Each service
//! gets the requests from outside and those that its callers' answers make, its endpoints share them evenly, a node that
//! runs short of CPU shares it by requests ([`super::share`]), and a request has succeeded when its Pod answered and all
//! that it called succeeded, within its caller's patience.
//!
//! A change is followed as far as it reaches and no further: from a service to those it calls ([`graph`]), from what
//! becomes of requests to its callers ([`service`]), by the CPU of a node to other Pods there ([`nodes`]). Each step
//! is a function of what it is worked out from, so that leaving out those of which nothing has changed gives, bit by
//! bit, what working out everything gives; [`Traffic::whole`] is for checking that.
//!
//! # Fidelity
//! * CPU of a Pod is one pool: a sidecar's limit bounds the Pod's sum, not the sidecar alone.
//! * Calls are made one after the other. A Pod that waits for others needs no CPU and no room for it.
//! * Probes are not slowed down by load.
//! * What services tell one another (requests, times, the part that ends well) is told to one part in a million. The CPU
//!   of a node that nobody wants counts within a hundredth for those who may use it.

mod graph;
mod marks;
mod nodes;
mod service;

use std::collections::BTreeSet;

use super::profile::{Profile, Profiles};
use super::routes::Routes;
use crate::api::{Kind, Node, Pod};
use crate::base::time::Calendar;
use crate::base::{Arc, LookupMap, SimDuration, SimTime, Str};
use crate::facts::Fact;
use crate::facts::traffic::Meter;
use crate::kernel::Seed;
use crate::params::traffic::{Health, Traffic as Plan};
use crate::params::{Behaviour, Delay};
use crate::store::{Change, ObjId, Store};
use graph::Graph;
use marks::Marks;
use nodes::Nodes;
use service::{Bearer, Service, after};

/// How often shares and flows are worked out by turns; each round comes nearer to where they agree.
const ROUNDS: usize = 3;
/// Queues are not looked at more often than this.
const LOOK_MIN: SimDuration = SimDuration::from_millis(100);

/// All services with their requests.
#[derive(Clone, Debug)]
pub struct Traffic {
    services: Vec<Service>,
    graph: Arc<Graph>,
    routes: Routes,
    profiles: Profiles,
    nodes: Nodes,
    /// Pods that bear requests.
    pods: LookupMap<ObjId, Known>,
    work: Work,
    /// Whether anybody wants to know how many requests are in Pods.
    holds: bool,
    since: SimTime,
    calendar: Calendar,
    seed: Seed,
}

/// What is known of a Pod that bears requests.
#[derive(Clone, Debug)]
struct Known {
    /// Of these services, in their order.
    services: Vec<usize>,
    health: Health,
    /// When that changes by itself.
    until: Option<SimTime>,
    profile: Option<Arc<Profile>>,
    node: Option<usize>,
}

/// What is to be worked out, now or later.
#[derive(Clone, Debug, Default)]
struct Work {
    /// Something has changed since flows were worked out.
    stale: bool,
    /// Pods whose health has changed, or which have themselves.
    pods: BTreeSet<ObjId>,
    /// Services whose requests are to be sent, by their places in the order of calls.
    send: Marks,
    /// Services of which it is to be worked out what becomes of requests, by their places in the order of calls.
    answer: Marks,
    /// Services of which something is to be told.
    tell: Marks,
    /// Pods that answer or hold another number of requests, some more than once.
    moved: Vec<ObjId>,
    /// Services with queues or impatient callers.
    crowded: BTreeSet<usize>,
    /// When rates change, by service.
    rates: BTreeSet<(SimTime, usize)>,
    /// When the health of Pods changes by itself.
    health: BTreeSet<(SimTime, ObjId)>,
    /// When queues are looked at next.
    look: Option<SimTime>,
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
        let work = Work {
            stale: !services.is_empty(),
            rates: (0..services.len()).map(|index| (SimTime::ZERO, index)).collect(),
            answer: (0..services.len()).collect(),
            ..Work::default()
        };
        Self {
            graph: Arc::new(Graph::new(services)),
            routes: Routes::new(services),
            services: services.iter().map(Service::new).collect(),
            profiles: Profiles::default(),
            nodes: Nodes::default(),
            pods: LookupMap::new(),
            work,
            holds: false,
            since: SimTime::ZERO,
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
        let after = || routing.draw(|| seed.stream("service-routing", &change.revision.to_string()));
        self.routes.on_change(change, store, after);
        match change.kind() {
            Kind::Pod => self.pod_changed(change),
            Kind::Node => {
                let Some((old, new)) = change.of::<Node>() else { return };
                let cpu = |node: Option<&Arc<Node>>| node.map(|n| n.status.allocatable.cpu_milli());
                if cpu(old) != cpu(new) {
                    self.work.stale |= self.nodes.look_again(&change.latest().meta().name);
                }
            }
            _ => {}
        }
    }

    fn pod_changed(&mut self, change: &Change) {
        let Some((old, new)) = change.of::<Pod>() else { return };
        let other = match (old, new) {
            (Some(a), Some(b)) => !Arc::ptr_eq(&a.spec, &b.spec) || a.meta.labels != b.meta.labels,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if other {
            self.profiles.forget(change.id);
            if self.pods.contains_key(&change.id) {
                self.work.pods.insert(change.id);
                self.work.stale = true;
            }
        }
        let came = old.is_none_or(|pod| pod.node_name.is_none()) || new.is_none_or(|pod| pod.is_terminal());
        let node = new.or(old).and_then(|pod| pod.node_name.as_ref());
        if let Some(node) = node.filter(|_| came || other) {
            self.work.stale |= self.nodes.look_again(node);
        }
    }

    /// The health of a Pod may have changed: this is what it is now. Only a change leads to work.
    pub fn touch(&mut self, pod: ObjId, health: impl FnOnce() -> (Health, Option<SimTime>)) {
        let Some(known) = self.pods.get_mut(&pod) else { return };
        let (health, until) = health();
        self.work.health_until(pod, known, until);
        if health != known.health {
            self.work.pods.insert(pod);
            self.work.stale = true;
        }
    }

    /// How many requests a Pod holds is to be told again: a process of it is new.
    pub fn tell_again(&mut self, pod: ObjId) {
        self.work.moved.push(pod);
        self.work.stale = true;
    }

    /// CPU that is set from outside has changed.
    pub fn load_changed(&mut self) {
        self.work.stale |= self.nodes.load_changed();
    }

    /// When the flows are to be worked out next; in the past: now.
    pub fn next(&self) -> Option<SimTime> {
        let work = &self.work;
        if work.stale {
            return Some(self.since);
        }
        let rate = work.rates.first().map(|(at, _)| *at);
        let health = work.health.first().map(|(at, _)| *at);
        rate.into_iter().chain(health).chain(work.look).chain(self.routes.next()).min()
    }

    /// CPU that a Pod uses, in millicores; none if it neither bears requests nor gives way to such.
    pub fn used(&self, pod: ObjId) -> Option<f64> {
        self.nodes.used(pod)
    }

    /// How many requests a Pod works on or has in its queue, and how many more every second.
    pub fn in_flight(&self, pod: ObjId) -> (f64, f64) {
        self.bearers(pod).map(|b| b.in_flight).fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d))
    }

    /// Requests per second that reach a Pod and are worked on, over all services.
    pub fn served(&self, pod: ObjId) -> f64 {
        self.bearers(pod).map(|b| b.flow.served).sum()
    }

    /// What a Pod is to each of its services.
    fn bearers(&self, pod: ObjId) -> impl Iterator<Item = &Bearer> {
        let services = self.pods.get(&pod).map(|known| known.services.as_slice()).unwrap_or_default();
        services.iter().filter_map(move |s| self.services[*s].bearer(pod))
    }

    /// From now on it is worked out how many requests are in Pods.
    pub fn watch_in_flight(&mut self) {
        self.holds = true;
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

    /// Works out anew what follows from what has changed. The Pods that use another amount of CPU now, or that answer or
    /// hold another number of requests, in their order.
    pub fn run(&mut self, ctx: &mut Ctx<'_>) -> Vec<ObjId> {
        let now = ctx.store.now();
        self.fill_queues(now);
        self.follow_routes(now, ctx);
        self.follow_pods(now, ctx);
        self.follow_rates(now);
        for round in 0..ROUNDS {
            self.send();
            self.answer();
            if !self.divide(ctx) && round > 0 {
                break;
            }
        }
        let mut from = 0;
        while let Some(index) = self.work.tell.take_from(from) {
            from = index + 1;
            self.services[index].tell(index, now, ctx.out);
        }
        self.look_next(now);
        self.work.stale = false;
        self.since = now;
        let mut moved = std::mem::take(&mut self.work.moved);
        self.nodes.take_changed(&mut moved);
        moved.sort_unstable();
        moved.dedup();
        moved
    }

    /// Tells of everything up to `now`, at the end of a run.
    pub fn finish(&mut self, now: SimTime, out: &mut Vec<Fact>) {
        for (index, service) in self.services.iter_mut().enumerate() {
            service.close(index, now, out);
        }
    }

    /// The same, but with nothing left out when it is worked out next.
    #[must_use]
    pub fn whole(&self) -> Self {
        let mut whole = self.clone();
        let all = 0..self.services.len();
        let bearers = self.services.iter().flat_map(|s| s.bearers.iter().map(|b| b.pod));
        whole.work.pods.extend(bearers);
        whole.work.send.extend(all.clone());
        whole.work.answer.extend(all.clone());
        whole.work.crowded.extend(all.clone());
        whole.work.rates = all.map(|index| (SimTime::ZERO, index)).collect();
        whole.nodes = Nodes::default();
        for known in whole.work.pods.clone() {
            if let Some(known) = whole.pods.get_mut(&known) {
                known.node = None;
            }
        }
        whole
    }

    /// In what it differs from another, to the last bit; none if in nothing.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let numbers = |of: &Self, index: usize| of.services[index].numbers(|pod| of.used(pod));
        for (index, service) in self.services.iter().enumerate() {
            let (mine, theirs) = (numbers(self, index), numbers(other, index));
            let bits = |numbers: &[f64]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<u64>>();
            if bits(&mine) != bits(&theirs) {
                return Some(format!("{}: {mine:?} instead of {theirs:?}", service.plan.name));
            }
        }
        let (mine, theirs) = (self.next(), other.next());
        (mine != theirs).then(|| format!("{mine:?} instead of {theirs:?} is next"))
    }

    /// Queues have grown and shrunk since flows were worked out.
    fn fill_queues(&mut self, now: SimTime) {
        let passed = now.since(self.since).as_secs_f64();
        for index in &self.work.crowded {
            if self.services[*index].fill_queues(passed) {
                self.work.send.insert(self.graph.place[*index]);
            }
        }
    }

    /// Requests take other ways from now on.
    fn follow_routes(&mut self, now: SimTime, ctx: &Ctx<'_>) {
        for index in self.routes.advance(now) {
            self.find_bearers(index, ctx);
            self.work.send.insert(self.graph.place[index]);
        }
    }

    /// Brings the bearers of a service up to date.
    fn find_bearers(&mut self, index: usize, ctx: &Ctx<'_>) {
        let pods = self.routes.of(index);
        let mut before = std::mem::take(&mut self.services[index].bearers).into_iter().peekable();
        let mut after = Vec::with_capacity(pods.len());
        for pod in pods.iter() {
            while let Some(gone) = before.next_if(|b| b.pod < *pod) {
                self.no_bearer(gone.pod, index);
            }
            let old = before.next_if(|b| b.pod == *pod);
            after.push(old.unwrap_or_else(|| self.new_bearer(*pod, index, ctx)));
        }
        for gone in before {
            self.no_bearer(gone.pod, index);
        }
        self.services[index].bearers = after;
    }

    fn new_bearer(&mut self, pod: ObjId, service: usize, ctx: &Ctx<'_>) -> Bearer {
        let mut known = self.pods.remove(&pod).unwrap_or_else(|| self.new_pod(pod, ctx));
        let at = known.services.partition_point(|s| *s < service);
        known.services.insert(at, service);
        known.join(pod, &mut self.nodes);
        let profile = known.profile.clone();
        let bearer = Bearer {
            pod,
            health: known.health,
            arrivals: 0.0,
            waiting: 0.0,
            cpu: profile.as_ref().map_or(0.0, |p| p.limit.min(1000.0)),
            in_flight: (0.0, 0.0),
            claimed: None,
            flow: super::queueing::Flow::default(),
            node: known.node,
            profile,
        };
        self.pods.insert(pod, known);
        bearer
    }

    /// A Pod of which nothing was known.
    fn new_pod(&mut self, pod: ObjId, ctx: &Ctx<'_>) -> Known {
        let (health, until) = (ctx.health)(pod);
        let profile = self.profiles.get(pod, ctx.store, ctx.behaviours);
        let node = profile.as_ref().map(|profile| self.nodes.number(&profile.node));
        let mut known = Known { services: Vec::new(), health, until: None, profile, node };
        self.work.health_until(pod, &mut known, until);
        known
    }

    fn no_bearer(&mut self, pod: ObjId, service: usize) {
        let Some(known) = self.pods.get_mut(&pod) else { return };
        known.services.retain(|s| *s != service);
        if known.services.is_empty() {
            known.leave(pod, &mut self.nodes);
            self.work.health_until(pod, known, None);
            self.pods.remove(&pod);
        } else {
            known.join(pod, &mut self.nodes);
        }
    }

    /// The health of Pods has changed, or what they are.
    fn follow_pods(&mut self, now: SimTime, ctx: &Ctx<'_>) {
        while let Some((at, pod)) = self.work.health.first().copied().filter(|(at, _)| *at <= now) {
            self.work.health.remove(&(at, pod));
            self.work.pods.insert(pod);
        }
        for pod in std::mem::take(&mut self.work.pods) {
            self.follow_pod(pod, ctx);
        }
    }

    fn follow_pod(&mut self, pod: ObjId, ctx: &Ctx<'_>) {
        let Some(known) = self.pods.get_mut(&pod) else { return };
        let (health, until) = (ctx.health)(pod);
        self.work.health_until(pod, known, until);
        known.leave(pod, &mut self.nodes);
        known.health = health;
        if let Some(profile) = self.profiles.get(pod, ctx.store, ctx.behaviours) {
            known.profile = Some(profile);
        }
        known.node = known.profile.as_ref().map(|profile| self.nodes.number(&profile.node));
        known.join(pod, &mut self.nodes);
        for service in &known.services {
            let Some(bearer) = self.services[*service].bearer_mut(pod) else { continue };
            bearer.health = health;
            bearer.profile.clone_from(&known.profile);
            bearer.node = known.node;
            bearer.claimed = None;
            if health != Health::Answers {
                bearer.waiting = 0.0;
            }
            self.work.send.insert(self.graph.place[*service]);
        }
    }

    /// Other rates come from outside.
    fn follow_rates(&mut self, now: SimTime) {
        while let Some((at, index)) = self.work.rates.first().copied().filter(|(at, _)| *at <= now) {
            self.work.rates.remove(&(at, index));
            let service = &mut self.services[index];
            let Some(rate) = &service.plan.rate else { continue };
            service.outside = rate.at(now, self.calendar, (self.seed, service.plan.name.as_str()));
            self.work.rates.extend(rate.next_change(now, self.calendar).map(|at| (at, index)));
            self.work.send.insert(self.graph.place[index]);
        }
    }

    /// Requests go to the Pods, callers being worked out before those they call.
    fn send(&mut self) {
        let graph = Arc::clone(&self.graph);
        let mut from = 0;
        while let Some(place) = self.work.send.take_from(from) {
            from = place + 1;
            let index = graph.order[place];
            let called = graph.callers[index].iter();
            let asked: f64 =
                called.map(|(caller, times)| self.services[*caller].asks * *times as f64 / 1000.0).sum();
            let patience = self.patience(index);
            let service = &mut self.services[index];
            let (before, nodes, moved) = (service.asks, &mut self.nodes, &mut self.work.moved);
            service.send(asked + service.outside, patience, |bearer| {
                moved.push(bearer.pod);
                if let Some(node) = bearer.node {
                    nodes.suspect(node, bearer.pod);
                }
            });
            if service.crowded {
                self.work.crowded.insert(index);
            } else {
                self.work.crowded.remove(&index);
            }
            if service.asks.to_bits() != before.to_bits() {
                self.work.send.extend(service.plan.calls.iter().map(|call| graph.place[call.to]));
            }
            self.work.answer.insert(place);
        }
    }

    /// How long a service's callers wait for its own part in an answer, in seconds.
    fn patience(&self, index: usize) -> f64 {
        let plan = &self.services[index].plan;
        let called = plan.calls.iter().map(|call| {
            let response = self.services[call.to].seen.response;
            call.per_request as f64 / 1000.0 * (response.fixed + response.wait)
        });
        plan.patience.as_secs_f64() - called.sum::<f64>()
    }

    /// What becomes of the requests to each service, those that are called being worked out before their callers.
    fn answer(&mut self) {
        let graph = Arc::clone(&self.graph);
        let mut to = self.services.len();
        while let Some(place) = self.work.answer.take_before(to) {
            to = place;
            let index = graph.order[place];
            let calls = self.services[index].plan.calls.iter();
            let called: Vec<_> =
                calls.map(|call| (call.per_request as f64 / 1000.0, self.services[call.to].seen)).collect();
            let service = &mut self.services[index];
            let before = service.seen;
            service.answer(&called);
            if self.holds {
                let moved = &mut self.work.moved;
                service.hold(&called, |pod| moved.push(pod));
            }
            self.work.tell.insert(index);
            if service.seen != before {
                for (caller, _) in &graph.callers[index] {
                    self.work.answer.insert(graph.place[*caller]);
                    // Whoever has no queue does not ask how long its callers wait.
                    if self.services[*caller].crowded {
                        self.work.send.insert(graph.place[*caller]);
                    }
                }
            }
        }
    }

    /// Divides the CPU of nodes among their Pods. Whether anybody gets another part than before.
    fn divide(&mut self, ctx: &Ctx<'_>) -> bool {
        let (send, graph) = (&mut self.work.send, &self.graph);
        self.nodes.divide(&mut self.services, &mut self.profiles, ctx, |service| {
            send.insert(graph.place[service]);
        })
    }

    /// Works out when a queue is full or empty, or is looked at again.
    fn look_next(&mut self, now: SimTime) {
        let lasts = self.work.crowded.iter().map(|index| self.services[*index].lasts());
        let lasts = lasts.fold(f64::INFINITY, f64::min);
        self.work.look = lasts.is_finite().then(|| now + after(lasts).max(LOOK_MIN));
    }
}

impl Known {
    /// Counts among those that use CPU of the node for requests, if it answers.
    fn join(&self, pod: ObjId, nodes: &mut Nodes) {
        let answers = self.health == Health::Answers;
        if let (Some(node), Some(profile)) = (self.node.filter(|_| answers), &self.profile) {
            nodes.join(node, pod, &self.services, profile);
        }
    }

    fn leave(&self, pod: ObjId, nodes: &mut Nodes) {
        if let Some(node) = self.node {
            nodes.leave(node, pod);
        }
    }
}

impl Work {
    /// The health of a Pod changes by itself at this instant.
    fn health_until(&mut self, pod: ObjId, known: &mut Known, until: Option<SimTime>) {
        let before = std::mem::replace(&mut known.until, until);
        if before != until {
            before.map(|at| self.health.remove(&(at, pod)));
            self.health.extend(until.map(|at| (at, pod)));
        }
    }
}

#[cfg(test)]
mod tests;
