//! The state of a run and the loop that moves it.

use std::collections::BTreeMap;

use super::alarm::Alarm;
use super::event::Event;
use super::outcome::{Fault, Outcome, PodCounts};
use super::scheduling::SchedulerDriver;
use super::steps::StepState;
use super::traces::Feeds;
use super::{bootstrap, invariants};
use crate::api::{Kind, ObjectKey, Pod};
use crate::autoscaler::ClusterAutoscaler;
use crate::base::{Arc, LookupMap, SimTime, Str};
use crate::cloud::catalogue::INSTANCE_TYPES;
use crate::cloud::disks::{Disks, Opening};
use crate::cloud::fleet::Fleet;
use crate::controller::Manager;
use crate::expect::Evaluator;
use crate::expect::cost::{Amounts, Ledger, Prices};
use crate::expect::trace::Tallies;
use crate::facts::{DataFact, Fact, Recorder};
use crate::kernel::{Digest, EventQueue, LimitHit, Limits, Seed};
use crate::kubelet::{self, KubeletEvent, Kubelets, VolumeUse};
use crate::params::Operations;
use crate::plan::{Plan, Step};
use crate::scheduler::Scheduler;
use crate::scheduler::plugins::registry::Registry;
use crate::store::{Change, Store};
use crate::traffic::tally::Sum;
use crate::traffic::{Adapter, Traffic, Usage};
use crate::vertical::Vertical;

/// Room for as much is kept for what an event leads to; a rush leaves no more behind.
const ROOM: usize = 1024;
/// Events remembered for the explanation of a limit.
const LAST_EVENTS: usize = 6;

/// Everything that a run is. A copy goes on exactly like the original.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) plan: Plan,
    pub(super) queue: EventQueue<Event>,
    pub(super) store: Store,
    pub(super) manager: Manager,
    pub(super) scheduler: SchedulerDriver,
    pub(super) kubelets: Kubelets,
    pub(super) usage: Usage,
    pub(super) fleet: Fleet,
    pub(super) disks: Disks,
    /// What is said of storage drivers, and from when on.
    operations: Operations,
    pub(super) autoscaler: ClusterAutoscaler,
    pub(super) autoscaler_wake: Alarm,
    pub(super) traffic_wake: Alarm,
    pub(super) vertical: Vertical,
    pub(super) vertical_wake: Alarm,
    pub(super) steps: StepState,
    pub(super) feeds: Feeds,
    /// The manifest last applied to an object, as kubectl keeps it in an annotation.
    pub(super) applied: LookupMap<(Kind, ObjectKey), Arc<serde_json::Value>>,
    pub(super) evaluator: Evaluator,
    /// Whether Pods use anything at all.
    metered: bool,
    digest: Digest,
    limits: Limits,
    end: SimTime,
    pub(super) checks: bool,
    /// What is kept up to date and differs from what comes out if nothing is left out, if that is checked.
    pub(super) astray: Option<String>,
    events: u64,
    same_instant: u64,
    last: [&'static str; LAST_EVENTS],
    changes: Vec<Change>,
    kubelet_out: Vec<(SimTime, KubeletEvent)>,
    volume_uses: Vec<VolumeUse>,
    pub(super) facts: Vec<Fact>,
    /// What those who only listen have not been told yet, in its order.
    untold: Vec<Fact>,
}

/// So many facts are told together. The instructions of those who act and of those who listen are more than a processor keeps
/// at hand: to alternate between them for each write costs 5 % of a run.
const TOLD_TOGETHER: usize = 64;

impl World {
    /// The world at t = 0: the cluster stands, the manifests are applied.
    ///
    /// A plan that was read from a scenario has a scheduler configuration that is valid. With one that is not the
    /// scheduler is the default one, and the outcome lists the configuration among what was refused.
    pub fn new(plan: &Plan, recorder: &mut dyn Recorder) -> Self {
        match Self::with_registry(plan, &Registry::default(), recorder) {
            Ok(world) => world,
            Err(why) => {
                let mut world = Self::standing(plan, Scheduler::default(), recorder);
                world.refuse("kube-scheduler", why.join("; "));
                world.settle();
                world.tell(recorder);
                world
            }
        }
    }

    /// The same with scheduler plugins of one's own, which the plan's `KubeSchedulerConfiguration` enables.
    ///
    /// # Errors
    /// In kube-scheduler's words, why the configuration cannot be used.
    pub fn with_registry(
        plan: &Plan,
        registry: &Registry,
        recorder: &mut dyn Recorder,
    ) -> Result<Self, Vec<String>> {
        Ok(Self::standing(plan, bootstrap::scheduler(plan, registry)?, recorder))
    }

    fn standing(plan: &Plan, scheduler: Scheduler, recorder: &mut dyn Recorder) -> Self {
        let seed = Seed(plan.seed);
        let store = Store::new(plan.calendar(), seed);
        let end = plan.duration.map_or(SimTime::MAX, |d| SimTime::ZERO + d);
        let fleet = Fleet::new(&plan.node_groups);
        let mut world = Self {
            queue: EventQueue::default(),
            store,
            manager: bootstrap::controllers(plan),
            scheduler: SchedulerDriver::new(scheduler, plan),
            kubelets: Kubelets::default(),
            autoscaler: ClusterAutoscaler::new(&plan.settings.cluster_autoscaler, &fleet),
            fleet,
            disks: Disks::default(),
            operations: bootstrap::operations(plan),
            autoscaler_wake: Alarm::default(),
            traffic_wake: Alarm::default(),
            usage: Usage::new(
                &plan.settings.metrics_server,
                &plan.behaviours,
                (
                    Traffic::new(&plan.traffic, plan.calendar(), seed),
                    Adapter::new(&plan.metrics, plan.calendar()),
                ),
                seed,
            ),
            vertical: Vertical::new(&plan.settings),
            vertical_wake: Alarm::default(),
            steps: StepState::default(),
            feeds: Feeds::new(&plan.traces, seed),
            applied: LookupMap::new(),
            evaluator: Evaluator::new(
                &plan.expectations,
                Ledger::new(prices(plan)),
                Tallies::new(plan.traces.iter().map(|trace| trace.name.clone())),
            ),
            metered: uses_anything(plan),
            digest: Digest::default(),
            limits: Limits::default(),
            end,
            checks: false,
            astray: None,
            events: 0,
            same_instant: 0,
            last: [""; LAST_EVENTS],
            changes: Vec::new(),
            kubelet_out: Vec::new(),
            volume_uses: Vec::new(),
            facts: Vec::new(),
            untold: Vec::new(),
            plan: plan.clone(),
        };
        if world.metered {
            world.usage.count_namespaces();
        }
        world.begin_traffic();
        bootstrap::set_up(&mut world);
        world.tell(recorder);
        world
    }

    /// Checks the invariants after every event from now on. Costly; for tests.
    pub fn check_invariants(&mut self) {
        self.checks = true;
    }

    /// Tells every controller of every change from now on, whatever it watches, which makes no difference. Slow; for tests.
    pub fn tell_everything(&mut self) {
        self.manager.tell_everything();
    }

    /// Replaces the limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What the API server holds.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The scheduler with its queue.
    pub const fn scheduler(&self) -> &SchedulerDriver {
        &self.scheduler
    }

    /// What metrics-server and the adapters of other metrics answer.
    pub const fn metrics(&self) -> &dyn crate::store::metrics::MetricsApi {
        &self.usage
    }

    /// The present instant.
    pub const fn now(&self) -> SimTime {
        self.store.now()
    }

    /// How many events have been carried out.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// What the last event was: the name of a controller, or of what else was due.
    pub fn last_event(&self) -> Option<&'static str> {
        self.last_events().next_back()
    }

    /// When the run ends; [`SimTime::MAX`] if it ends when nothing is due any more.
    pub const fn end(&self) -> SimTime {
        self.end
    }

    /// Goes on to the end of the run.
    ///
    /// # Errors
    /// A limit was hit or an invariant broke.
    pub fn run_to_end(&mut self, recorder: &mut dyn Recorder) -> Result<(), Fault> {
        self.run_until(self.end, recorder)?;
        if self.end != SimTime::MAX {
            self.store.advance(self.end);
        }
        self.end_traffic();
        self.tell(recorder);
        Ok(())
    }

    /// Goes on until everything that is due at `until` has happened.
    ///
    /// # Errors
    /// A limit was hit or an invariant broke.
    pub fn run_until(&mut self, until: SimTime, recorder: &mut dyn Recorder) -> Result<(), Fault> {
        self.run_until_watched(until, recorder, &mut |_| {})
    }

    /// As [`World::run_until`]; `watch` sees the world before and after each event.
    ///
    /// # Errors
    /// A limit was hit or an invariant broke.
    pub fn run_until_watched(
        &mut self,
        until: SimTime,
        recorder: &mut dyn Recorder,
        watch: &mut dyn FnMut(&Self),
    ) -> Result<(), Fault> {
        let until = until.min(self.end);
        watch(self);
        let stopped = loop {
            match self.step_until(until, recorder) {
                Ok(true) => watch(self),
                Ok(false) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        self.tell(recorder);
        stopped?;
        if until != SimTime::MAX {
            self.store.advance(until);
        }
        Ok(())
    }

    /// Goes on by one event. False if nothing is due before the end of the run.
    ///
    /// # Errors
    /// A limit was hit or an invariant broke.
    pub fn next_event(&mut self, recorder: &mut dyn Recorder) -> Result<bool, Fault> {
        let stepped = self.step_until(self.end, recorder);
        self.tell(recorder);
        stepped
    }

    fn step_until(&mut self, until: SimTime, recorder: &mut dyn Recorder) -> Result<bool, Fault> {
        self.look_ahead();
        let Some((now, event)) = self.queue.pop_until(until) else { return Ok(false) };
        if now > self.store.now() {
            self.store.advance(now);
            self.same_instant = 0;
        }
        self.count(&event)?;
        self.dispatch(event);
        self.settle();
        if self.untold.len() >= TOLD_TOGETHER {
            self.tell(recorder);
        }
        if self.metered && self.evaluator.costs().wants_usage(now) {
            self.tell(recorder);
            self.read_meters(now);
        }
        if self.checks {
            invariants::check(self).map_err(|what| Fault::Invariant { at: now, what })?;
        }
        Ok(true)
    }

    fn count(&mut self, event: &Event) -> Result<(), Fault> {
        self.last[(self.events % LAST_EVENTS as u64) as usize] = match event {
            Event::Controller(id) => self.manager.name(*id),
            other => other.name(),
        };
        self.events += 1;
        self.same_instant += 1;
        let limits = self.limits;
        let (limit, value) = if self.events > limits.events_max {
            ("events_max", limits.events_max)
        } else if self.same_instant > limits.same_instant_events_max {
            ("same_instant_events_max", limits.same_instant_events_max)
        } else if self.store.len() > limits.objects_max {
            ("objects_max", limits.objects_max)
        } else {
            return Ok(());
        };
        Err(Fault::Limit(LimitHit { limit, value, at: self.store.now(), last: self.last_events().collect() }))
    }

    /// What the last events were, the last one last.
    fn last_events(&self) -> impl DoubleEndedIterator<Item = &'static str> {
        let count = self.events.min(LAST_EVENTS as u64);
        (self.events - count..self.events).map(|at| self.last[(at % LAST_EVENTS as u64) as usize])
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Step(index) => self.carry_out(index),
            Event::Controller(id) => self.manager.run(id, &mut self.store, &self.usage),
            Event::Kubelet(event) => {
                self.with_kubelets(|kubelets, ctx| kubelets.handle(event, ctx));
            }
            Event::Scheduler => self.scheduling_cycle(),
            Event::PreBind(placement) => self.pre_bind(*placement),
            Event::Bind(placement) => self.bind(&placement),
            Event::Preempt(preemption) => self.preempt(*preemption),
            Event::Autoscaler => self.autoscale(),
            Event::Trace(index) => self.trace_due(index),
            Event::Traffic => self.flow(),
            Event::Vertical => self.scale_vertically(),
            Event::Drain(index) => self.drain_round(index),
            Event::NodeJoins(node) => self.node_joins(*node),
            Event::Capacity => self.capacity_returns(),
            Event::Rebalance(group) => self.rebalance(group),
        }
    }

    /// Calls the kubelets with what they may use, and queues the timers they ask for.
    pub(super) fn with_kubelets<R>(
        &mut self,
        call: impl FnOnce(&mut Kubelets, &mut kubelet::Ctx<'_>) -> R,
    ) -> R {
        let mut ctx = kubelet::Ctx {
            store: &mut self.store,
            params: kubelet::Params {
                latencies: &self.plan.latencies,
                behaviours: &self.plan.behaviours,
                operations: &self.operations,
                settings: &self.plan.settings.kubelet,
                version: self.plan.version,
                events: true,
            },
            out: &mut self.kubelet_out,
            uses: &mut self.volume_uses,
        };
        let result = call(&mut self.kubelets, &mut ctx);
        if !self.volume_uses.is_empty() {
            for used in std::mem::take(&mut self.volume_uses) {
                self.volumes_used(&used);
            }
        }
        result
    }

    /// Containers begin or cease to use volumes.
    fn volumes_used(&mut self, used: &VolumeUse) {
        let VolumeUse { pod, uid, labels, node, spec, begins } = used;
        let said = if *begins {
            self.disks.open(&Opening { pod, uid, labels, node, spec }, &self.store)
        } else {
            self.disks.close(uid, self.store.now())
        };
        self.data(said);
    }

    /// Says what happened to data.
    pub(super) fn data(&mut self, said: Vec<DataFact>) {
        if said.is_empty() {
            return;
        }
        self.facts.extend(said.into_iter().map(|fact| Fact::Data(Box::new(fact))));
    }

    pub(super) fn schedule(&mut self, at: SimTime, event: Event) {
        let lane = event.lane();
        self.queue.push(at, lane, event);
    }

    /// Says that something happened beyond the change of an object.
    pub(super) fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Delivers all changes to everybody who watches, until nothing is left to deliver.
    pub(super) fn settle(&mut self) {
        loop {
            self.untold.append(&mut self.facts);
            if !self.store.has_changes() {
                break;
            }
            let mut changes = self.store.take_changes(std::mem::take(&mut self.changes));
            for change in changes.drain(..) {
                self.deliver(change);
            }
            changes.shrink_to(ROOM);
            self.changes = changes;
        }
        let mut timers = std::mem::take(&mut self.kubelet_out);
        for (at, event) in timers.drain(..) {
            self.schedule(at, Event::Kubelet(event));
        }
        timers.shrink_to(ROOM);
        self.kubelet_out = timers;
        while let Some((at, id)) = self.manager.next_wake() {
            self.schedule(at, Event::Controller(id));
        }
        self.wake_scheduler();
        self.wake_autoscaler();
        self.wake_traffic();
        self.wake_vertical();
        self.wake_traces();
    }

    fn deliver(&mut self, change: Change) {
        self.manager.on_change(&change, &self.store);
        // Events are for people.
        if change.kind() != Kind::Event {
            self.tell_components(&change);
        }
        self.untold.push(Fact::Changed(change));
    }

    /// Tells those who only listen what has happened since they were told last.
    fn tell(&mut self, recorder: &mut dyn Recorder) {
        let mut untold = std::mem::take(&mut self.untold);
        untold.iter().for_each(|fact| self.evaluator.record(fact));
        untold.iter().for_each(|fact| self.digest.record(fact));
        untold.iter().for_each(|fact| recorder.record(fact));
        untold.clear();
        untold.shrink_to(ROOM);
        self.untold = untold;
    }

    /// Tells everybody who acts.
    fn tell_components(&mut self, change: &Change) {
        self.scheduler.on_change(change, self.store.seed());
        self.usage.on_change(change, &self.store, &self.plan.latencies.service_routing);
        self.autoscaler.on_change(change);
        let said = self.disks.on_change(change, &self.store);
        self.data(said);
        self.vertical.on_change(change);
        self.feeds.on_change(change);
        self.with_kubelets(|kubelets, ctx| kubelets.on_change(change, ctx));
    }

    /// Tells the ledger what Pods use.
    fn read_meters(&mut self, now: SimTime) {
        let sums = self.usage.by_namespace(&self.store);
        if self.checks {
            self.check_meters(&sums);
        }
        let used = sums.into_iter().map(|(name, sum)| (name, Amounts { cpu: sum.cpu, memory: sum.memory }));
        self.evaluator.usage(now, used.collect());
    }

    /// Namespaces use as much as their Pods together.
    fn check_meters(&mut self, sums: &BTreeMap<Str, Sum>) {
        let mut anew = self.usage.by_namespace_anew(&self.store);
        anew.retain(|_, sum| *sum != Sum::default());
        let mut sums = sums.clone();
        sums.retain(|_, sum| *sum != Sum::default());
        if sums != anew {
            self.astray = Some(format!("namespaces use {anew:?}, counted are {sums:?}"));
        }
    }

    /// The outcome as of now.
    pub fn outcome(&self) -> Outcome {
        let mut pods = PodCounts::default();
        self.store.list::<Pod>().for_each(|pod| pods.add(pod));
        Outcome {
            scenario: self.plan.name.clone(),
            seed: self.plan.seed,
            digest: self.digest.value(),
            simulated: self.store.now(),
            expectations: self.evaluator.clone().finish(self.store.now()),
            pods,
            traces: self.trace_outcomes(&self.evaluator),
            cost: self.evaluator.costs().bill(self.store.now()),
            events: self.events,
            requests: self.usage.traffic().meters(self.store.now()),
            refused_steps: self.steps.refused.clone(),
        }
    }

    /// Names of the nodes of a zone, in the order of their creation.
    pub(super) fn nodes_of_zone(&self, zone: &str) -> Vec<Str> {
        self.store
            .list::<crate::api::Node>()
            .filter(|n| n.zone() == zone)
            .map(|n| n.meta.name.clone())
            .collect()
    }
}

/// What machines cost: those of node groups as these say, others by their type.
fn prices(plan: &Plan) -> Prices {
    Prices {
        by_group: plan.node_groups.iter().map(|g| (g.of.clone(), g.template.price)).collect(),
        by_type: INSTANCE_TYPES.iter().map(|kind| (kind.name.into(), kind.price)).collect(),
    }
}

/// Whether anything in the plan makes Pods use CPU or memory.
fn uses_anything(plan: &Plan) -> bool {
    plan.behaviours.iter().any(|b| b.cpu.is_some() || b.memory.is_some())
        || !plan.traffic.is_empty()
        || plan.steps.iter().any(|step| matches!(step.step, Step::Load(_) | Step::Fill(_)))
}
