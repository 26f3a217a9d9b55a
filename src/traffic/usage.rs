//! What Pods use, and what metrics-server says of it.
//!
//! Usage is a rule, not a stream of samples: it is worked out when somebody asks. What must be kept up to date is
//! only how many Pods share a load, and since when a Pod's containers run.
//!
//! metrics-server answers with the mean between its last two [`scrape`](super::scrape)s, unless the setting `first-sample`
//! puts a fake in its place that answers with the usage at the moment of the question.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::resources::{CPU, MEMORY};
use crate::api::{Container, ContainerState, LabelSelector, Phase, Pod};
use crate::base::{Arc, LookupMap, SimDuration, SimTime, Str, fetch};
use crate::facts::Fact;
use crate::params::behaviour::{self, CpuUse};
use crate::params::settings::MetricsServer;
use crate::params::traffic::Health;
use crate::params::{Behaviour, Delay};
use crate::store::metrics::{MetricsApi, NoMetrics, PodSample, Sample};
use crate::store::{Change, ObjId, Store, Verb};

use super::adapter::Adapter;
use super::bears_load;
use super::flow::{self, Traffic};
use super::scrape::{Levels, Scrapes, Window};
use super::tally::{Sum, Tally};
use crate::kernel::Seed;

/// CPU that the Pods of an app use, set from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Where the Pods live.
    pub namespace: Str,
    /// Which Pods.
    pub selector: LabelSelector,
    /// How much.
    pub amount: Amount,
}

/// How much CPU, in millicores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Of all ready, not terminating Pods together, evenly, and of each at most `cap`.
    Shared {
        /// The sum.
        total: i64,
        /// At most, per Pod.
        cap: Option<i64>,
    },
    /// Of each Pod.
    Each(i64),
}

/// What Pods use.
#[derive(Clone, Debug)]
pub struct Usage {
    server: MetricsServer,
    behaviours: Vec<Behaviour>,
    traffic: Traffic,
    adapter: Adapter,
    loads: Vec<Borne>,
    /// Since when all containers of a Pod run.
    running: LookupMap<ObjId, SimTime>,
    /// Whether the memory of any container grows by itself.
    leaking: bool,
    /// Whether that of any follows requests.
    per_request: bool,
    scrapes: Scrapes,
    levels: Levels,
    /// Requests in Pods, if memory follows them.
    in_flight: Levels,
    /// What namespaces use, if anybody wants to know.
    tally: Option<Tally>,
}

/// A load and who bears it.
#[derive(Clone, Debug)]
struct Borne {
    load: Load,
    ready: BTreeSet<ObjId>,
}

impl Usage {
    /// Of containers that behave so and bear these requests, with a metrics-server of these settings and an adapter.
    pub fn new(
        server: &MetricsServer,
        behaviours: &[Behaviour],
        (traffic, adapter): (Traffic, Adapter),
        seed: Seed,
    ) -> Self {
        let per_request = behaviours.iter().any(|b| b.memory.is_some_and(|m| m.per_request != 0));
        let mut traffic = traffic;
        if per_request {
            traffic.watch_in_flight();
        }
        let period = server.metric_resolution.max(SimDuration::from_secs(1));
        let phase = seed.stream("metrics-server", "").below(period.as_nanos());
        Self {
            scrapes: Scrapes { phase: SimDuration::from_nanos(phase), period },
            levels: Levels::default(),
            in_flight: Levels::default(),
            tally: None,
            server: server.clone(),
            behaviours: behaviours.to_vec(),
            traffic,
            adapter,
            loads: Vec::new(),
            running: LookupMap::new(),
            per_request,
            leaking: behaviours.iter().any(|b| b.memory.is_some_and(|m| m.growth != 0)),
        }
    }

    /// Sets the load of an app; it takes the place of an earlier one with the same selector.
    pub fn set_load(&mut self, store: &Store, load: Load) {
        let ready = store
            .select_pods(&load.namespace, &load.selector)
            .into_iter()
            .filter(|pod| bears_load(pod))
            .filter_map(|pod| store.id_of::<Pod>(&pod.meta.key()))
            .collect();
        let same = |b: &Borne| b.load.namespace == load.namespace && b.load.selector == load.selector;
        self.loads.retain(|b| !same(b));
        let selector = load.selector.clone();
        let namespace = load.namespace.clone();
        self.loads.push(Borne { load, ready });
        self.traffic.load_changed();
        self.level_selected(store, &namespace, &selector);
    }

    /// Whether metrics-server is a fake that answers at the moment of the question.
    const fn is_live(&self) -> bool {
        !self.server.first_sample.is_zero()
    }

    /// Notes how much CPU the selected Pods use from now on.
    fn level_selected(&mut self, store: &Store, namespace: &str, selector: &LabelSelector) {
        let pods = store.select_pods(namespace, selector);
        let ids: Vec<ObjId> = pods.iter().filter_map(|pod| store.id_of::<Pod>(&pod.meta.key())).collect();
        self.level(store, &ids);
    }

    /// Fetches from memory what is known of these Pods, which are about to end.
    pub fn fetch(&self, pods: &[ObjId]) {
        fetch(pods.iter().map(|pod| u64::from(self.running.contains_key(pod))));
    }

    /// From now on it is noted what namespaces use.
    pub fn count_namespaces(&mut self) {
        self.tally.get_or_insert_default();
    }

    /// What the running Pods of each namespace use, as metrics-server says; nothing unless
    /// [`Usage::count_namespaces`] has been called before.
    pub fn by_namespace(&mut self, store: &Store) -> BTreeMap<Str, Sum> {
        let Some(mut tally) = self.tally.take() else { return BTreeMap::new() };
        let sums = tally.read(|id| {
            let pod = store.get_id::<Pod>(id).filter(|pod| pod.status.phase == Phase::Running);
            let Some(pod) = pod else { return (None, false) };
            let part = (pod.meta.namespace.clone(), self.sum_of(store, id, pod));
            (Some(part), self.next_change_of(id, pod, store.now()).is_some())
        });
        self.tally = Some(tally);
        sums
    }

    /// The same, of all Pods that there are: for checking.
    pub fn by_namespace_anew(&self, store: &Store) -> BTreeMap<Str, Sum> {
        let mut sums: BTreeMap<Str, Sum> = BTreeMap::new();
        for pod in store.list::<Pod>().filter(|pod| pod.status.phase == Phase::Running) {
            let Some(id) = store.id_of::<Pod>(&pod.meta.key()) else { continue };
            let part = self.sum_of(store, id, pod);
            let sum = sums.entry(pod.meta.namespace.clone()).or_default();
            sum.cpu += part.cpu;
            sum.memory += part.memory;
        }
        sums
    }

    fn sum_of(&self, store: &Store, id: ObjId, pod: &Pod) -> Sum {
        let read = |resource: &str| match self.pod_usage(store, id, pod, resource, None) {
            PodSample::Value(sample) => i128::from(sample.milli),
            PodSample::Missing | PodSample::NoContainer => 0,
        };
        Sum { cpu: read(CPU), memory: read(MEMORY) / 1000 }
    }

    /// The first instant after `now` at which answers about a Pod change by themselves.
    fn next_change_of(&self, id: ObjId, pod: &Pod, now: SimTime) -> Option<SimTime> {
        let since = self.running.get(&id).copied()?;
        let listed = Some(self.listed_from(since)).filter(|at| *at > now);
        let leaks = self.leaking && self.of_containers(pod, None, |b| b.memory.map(|m| m.growth)) != 0;
        let leaks = leaks.then(|| if self.is_live() { now } else { self.scrapes.next(now) });
        let levels = [Some(&self.levels), self.per_request.then_some(&self.in_flight)].into_iter().flatten();
        let seen = levels.filter(|_| !self.is_live()).filter_map(|l| l.next_change(id, self.scrapes, now));
        listed.into_iter().chain(leaks).chain(seen).min()
    }

    /// Notes how much CPU these Pods use from now on.
    fn level<'a>(&mut self, store: &Store, pods: impl IntoIterator<Item = &'a ObjId> + Clone) {
        if let Some(tally) = &mut self.tally {
            pods.clone().into_iter().for_each(|pod| tally.unsettle(*pod));
        }
        if self.is_live() {
            return;
        }
        let now = store.now();
        let oldest = now.minus(self.scrapes.period * 2);
        for id in pods {
            if !self.running.contains_key(id) {
                continue;
            }
            let Some(pod) = store.get_id::<Pod>(*id) else { continue };
            let milli = self.traffic.used(*id).unwrap_or_else(|| self.cpu(*id, pod, None) as f64);
            self.levels.set(*id, now, milli, oldest);
            if self.per_request {
                self.in_flight.set(*id, now, self.traffic.in_flight(*id).0, oldest);
            }
        }
    }

    /// From when on the metrics APIs can show what is used from `now` on.
    pub fn seen_from(&self, now: SimTime) -> SimTime {
        let at_once = self.is_live() || self.adapter.serves(false);
        if at_once { now } else { self.scrapes.next(now) }
    }

    /// The requests on their way.
    pub const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// What becomes of requests to a Pod may have changed: this is it now.
    pub fn touch(&mut self, pod: ObjId, health: impl FnOnce() -> (Health, Option<SimTime>)) {
        self.traffic.touch(pod, health);
    }

    /// How many requests a Pod holds is to be told again, unless it is so many.
    pub fn check_in_flight(&mut self, pod: ObjId, count: f64) {
        if self.per_request && self.traffic.in_flight(pod).0 != count {
            self.traffic.tell_again(pod);
        }
    }

    /// Works the flow of requests out anew. The Pods that use another amount now, in their order.
    pub fn flow(
        &mut self,
        store: &Store,
        health: &dyn Fn(ObjId) -> (Health, Option<SimTime>),
        out: &mut Vec<Fact>,
    ) -> Vec<ObjId> {
        let load = |id: ObjId, pod: &Pod| load_of(&self.loads, id, pod);
        let behaviours = &self.behaviours;
        let changed = self.traffic.run(&mut flow::Ctx { store, behaviours, health, load: &load, out });
        self.level(store, &changed);
        changed
    }

    /// What comes out of the requests now if nothing is left out: nothing else than what [`Usage::flow`] brings about.
    pub fn whole_flow(&self, store: &Store, health: &dyn Fn(ObjId) -> (Health, Option<SimTime>)) -> Traffic {
        let mut whole = self.traffic.whole();
        let load = |id: ObjId, pod: &Pod| load_of(&self.loads, id, pod);
        let (behaviours, out) = (&self.behaviours, &mut Vec::new());
        whole.run(&mut flow::Ctx { store, behaviours, health, load: &load, out });
        whole
    }

    /// How many requests a Pod works on or has in its queue, and how many more every second; none unless the memory of
    /// containers follows them.
    pub fn in_flight(&self, pod: ObjId) -> Option<(f64, f64)> {
        self.per_request.then(|| self.traffic.in_flight(pod))
    }

    /// Tells what has happened to requests up to the end of the run.
    pub fn finish(&mut self, now: SimTime, out: &mut Vec<Fact>) {
        self.traffic.finish(now, out);
    }

    /// Hears of a change; requests follow one of endpoints after the latency `routing`.
    pub fn on_change(&mut self, change: &Change, store: &Store, routing: &Delay) {
        self.traffic.on_change(change, store, routing);
        let Some((old, new)) = change.of::<Pod>() else { return };
        if let Some(tally) = &mut self.tally {
            tally.unsettle(change.id);
        }
        match [old, new].map(|pod| pod.is_some_and(|pod| runs(pod))) {
            [false, true] => {
                self.running.insert(change.id, change.at);
                self.level(store, &[change.id]);
            }
            [true, false] => {
                self.running.remove(&change.id);
                self.levels.forget(change.id);
                self.in_flight.forget(change.id);
            }
            [true, true] | [false, false] => {}
        }
        if self.loads.is_empty() {
            return;
        }
        let meta = change.latest().meta();
        let mut changed: Vec<(Str, LabelSelector)> = Vec::new();
        for borne in &mut self.loads {
            let bears = change.verb != Verb::Deleted
                && new.is_some_and(|pod| bears_load(pod))
                && meta.namespace == borne.load.namespace
                && borne.load.selector.matches(&meta.labels);
            let other = if bears { borne.ready.insert(change.id) } else { borne.ready.remove(&change.id) };
            if other {
                changed.push((borne.load.namespace.clone(), borne.load.selector.clone()));
            }
        }
        if !changed.is_empty() {
            self.traffic.load_changed();
        }
        for (namespace, selector) in changed {
            self.level_selected(store, &namespace, &selector);
        }
    }

    /// When a Pod is listed whose last container runs since then.
    fn listed_from(&self, since: SimTime) -> SimTime {
        if self.is_live() { since + self.server.first_sample } else { self.scrapes.first_of(since) }
    }

    /// Millicores that a Pod uses, shared evenly by its containers: the first has what is left over.
    fn cpu(&self, id: ObjId, pod: &Pod, container: Option<&str>) -> i64 {
        if let Some(used) = self.traffic.used(id) {
            return self.part_of(used, pod, container);
        }
        let idle = self.of_containers(pod, container, |b| b.cpu.map(|use_| use_.idle));
        let loads = load_of(&self.loads, id, pod);
        let count = i64::try_from(pod.spec.containers.len()).unwrap_or(1).max(1);
        let share = match container {
            None => loads,
            Some(name) => {
                let first = pod.spec.containers.first().is_some_and(|c| c.name == name);
                loads / count + if first { loads % count } else { 0 }
            }
        };
        idle + share
    }

    /// The part of a container in what its Pod uses: by what requests cost it, what it uses without any on top.
    fn part_of(&self, used: f64, pod: &Pod, container: Option<&str>) -> i64 {
        if container.is_none() {
            return libm::round(used) as i64;
        }
        let of = |container, what: fn(&CpuUse) -> i64| {
            self.of_containers(pod, container, |b| b.cpu.as_ref().map(what)) as f64
        };
        let (idle, cost): (fn(&CpuUse) -> i64, fn(&CpuUse) -> i64) = (|c| c.idle, |c| c.per_request);
        let all = of(None, cost);
        let share =
            if all > 0.0 { of(container, cost) / all } else { 1.0 / pod.spec.containers.len().max(1) as f64 };
        libm::round(of(container, idle) + (used - of(None, idle)).max(0.0) * share) as i64
    }

    /// The sum over the containers that are meant of what the first behaviour with an opinion says.
    fn of_containers(
        &self,
        pod: &Pod,
        container: Option<&str>,
        what: impl Fn(&Behaviour) -> Option<i64>,
    ) -> i64 {
        let meant = |c: &&Container| container.is_none_or(|name| c.name == name);
        let one = |c: &Container| {
            let covers = |b: &&Behaviour| {
                b.matches.covers((&pod.meta.namespace, &pod.meta.name), &pod.meta.labels, &c.name, &c.image)
            };
            self.behaviours.iter().filter(covers).find_map(&what).unwrap_or(0)
        };
        pod.spec.containers.iter().filter(meant).map(one).sum()
    }
}

/// CPU of a Pod that is set from outside.
fn load_of(loads: &[Borne], id: ObjId, pod: &Pod) -> i64 {
    loads.iter().map(|borne| borne.cpu_of(id, pod)).sum()
}

impl Borne {
    fn cpu_of(&self, id: ObjId, pod: &Pod) -> i64 {
        match self.load.amount {
            Amount::Each(milli) => {
                let meant =
                    pod.meta.namespace == self.load.namespace && self.load.selector.matches(&pod.meta.labels);
                if meant { milli } else { 0 }
            }
            Amount::Shared { total, cap } => {
                if !self.ready.contains(&id) {
                    return 0;
                }
                let share = total / i64::try_from(self.ready.len()).unwrap_or(1).max(1);
                cap.map_or(share, |cap| share.min(cap))
            }
        }
    }
}

/// Whether all regular containers of a Pod run.
fn runs(pod: &Pod) -> bool {
    let running = |c: &crate::api::ContainerStatus| matches!(c.state, ContainerState::Running { .. });
    !pod.status.containers.is_empty() && pod.status.containers.iter().all(running)
}

impl MetricsApi for Usage {
    fn resource_metrics(&self) -> Result<(), Str> {
        if self.server.enabled { Ok(()) } else { NoMetrics.resource_metrics() }
    }

    fn pod_usage(
        &self,
        store: &Store,
        id: ObjId,
        pod: &Pod,
        resource: &str,
        container: Option<&str>,
    ) -> PodSample {
        let now = store.now();
        let Some(since) = self.running.get(&id).copied() else { return PodSample::Missing };
        let window = if self.is_live() {
            let from = now.minus(self.server.window);
            (since + self.server.first_sample <= now).then_some(Window { from, to: now })
        } else {
            self.scrapes.window(since, now)
        };
        let Some(window) = window else { return PodSample::Missing };
        if container.is_some_and(|name| !pod.spec.containers.iter().any(|c| c.name == name)) {
            return PodSample::NoContainer;
        }
        let milli = match resource {
            CPU if self.is_live() => self.cpu(id, pod, container),
            CPU => self.part_of(self.levels.mean(id, window), pod, container),
            MEMORY => {
                let running = window.to.since(since);
                let held = match (self.per_request, self.is_live()) {
                    (false, _) => 0.0,
                    (true, true) => self.traffic.in_flight(id).0,
                    (true, false) => self.in_flight.at(id, window.to),
                };
                let bytes = self.of_containers(pod, container, |b| {
                    b.memory.map(|m| {
                        let of_requests = libm::round(m.per_request as f64 * held) as i64;
                        memory_after(m, running).saturating_add(of_requests)
                    })
                });
                bytes.saturating_mul(1000)
            }
            _ => return PodSample::Missing,
        };
        PodSample::Value(Sample { milli, at: window.to, window: window.to.since(window.from) })
    }

    fn pod_metric(
        &self,
        store: &Store,
        id: ObjId,
        pod: &Pod,
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<Option<Sample>, Str> {
        self.adapter.of_pod((store, &self.traffic), (id, pod), metric, selector)
    }

    fn object_metric(
        &self,
        store: &Store,
        namespace: &str,
        object: (&str, &str),
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<i64, Str> {
        self.adapter.of_object(store, namespace, object, metric, selector)
    }

    fn external_metric(
        &self,
        store: &Store,
        namespace: &str,
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<Vec<i64>, Str> {
        self.adapter.external(store, namespace, metric, selector)
    }

    fn next_change(&self, now: SimTime, pods: &[(ObjId, &Arc<Pod>)]) -> Option<SimTime> {
        let of_pod = |(id, pod): &(ObjId, &Arc<Pod>)| self.next_change_of(*id, pod, now);
        pods.iter().filter_map(of_pod).chain(self.adapter.next_change(now)).min()
    }
}

/// Bytes of a container that has run for so long.
fn memory_after(memory: behaviour::MemoryUse, running: SimDuration) -> i64 {
    let seconds = i64::try_from(running.as_secs()).unwrap_or(i64::MAX);
    memory.idle.saturating_add(memory.growth.saturating_mul(seconds))
}
