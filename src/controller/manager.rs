//! Runs the controllers: delivers changes, keeps workers busy, tells when to come back.
//!
//! # Fidelity
//! Upstream's informers deliver every object again after 12 to 24 hours (`--min-resync-period`). Here no watch loses
//! anything, so that nothing is delivered twice.

use std::collections::{BTreeMap, VecDeque};

use super::ApiBudget;
use super::aspects::Aspects;
use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use super::queue::WorkQueue;
use crate::api::Kind;
use crate::api::object::{KINDS, KindSet};
use crate::base::{SimDuration, SimTime};
use crate::params::{Delay, Latencies, Watch};
use crate::store::metrics::MetricsApi;
use crate::store::{Change, ObjId, Store};

/// A controller's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControllerId(pub usize);

/// How the controller manager is set up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManagerConfig {
    /// `--kube-api-qps`, for each controller's own client.
    pub api_qps: f64,
    /// `--kube-api-burst`.
    pub api_burst: u32,
    /// From a write to its delivery.
    pub watch_delay: Delay,
    /// What a worker spends on a sync besides API calls.
    pub sync_time: SimDuration,
    /// What one API call takes.
    pub call_time: SimDuration,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            api_qps: 20.0,
            api_burst: 30,
            watch_delay: Latencies::default().watch,
            sync_time: SimDuration::from_millis(1),
            call_time: SimDuration::from_millis(5),
        }
    }
}

/// All controllers with their queues and workers.
#[derive(Clone, Debug)]
pub struct Manager {
    slots: Vec<Slot>,
    /// For each kind, in the order of [`KINDS`], the controllers that hear of it, in their order.
    watchers: Vec<Vec<Watcher>>,
    /// The kinds of which some of them need objects.
    needed: KindSet,
    /// Which of them writes have concerned of late.
    concerned: Vec<Concerned>,
    config: ManagerConfig,
    watch: Watch,
    /// Instants at which a controller wants to run, collected until the simulator fetches them.
    wakes: VecDeque<(SimTime, ControllerId)>,
    scratch: Enqueue,
}

/// A controller that hears of a kind.
#[derive(Clone, Copy, Debug)]
struct Watcher {
    index: usize,
    /// What of a Pod concerns it.
    aspects: Aspects,
    /// The kind of which there must be objects for a Pod to concern it, and what of a Pod does all the same.
    needs: Option<(Kind, Aspects)>,
}

impl Watcher {
    /// One that hears of everything.
    const fn of_everything(index: usize) -> Self {
        Self { index, aspects: Aspects::ALL, needs: None }
    }

    /// Whether a write of a Pod that touches these concerns the controller.
    fn is_concerned(&self, touched: Aspects, there: KindSet) -> bool {
        self.aspects.touches(touched)
            && self.needs.is_none_or(|(kind, anyway)| anyway.touches(touched) || there.contains(kind))
    }
}

/// Writes of one sort are kept at most.
const SORTS_MAX: usize = 64;

/// Whom writes of one sort concern.
#[derive(Clone, Debug)]
struct Concerned {
    kind: Kind,
    /// What they touch.
    touched: Aspects,
    /// Of which of the needed kinds there are objects.
    there: KindSet,
    /// The places of those whom they concern, in their order.
    who: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Slot {
    controller: Box<dyn Controller>,
    /// Keys worked on at once.
    workers: usize,
    queue: WorkQueue,
    budget: ApiBudget,
    /// Keys being worked on, by the instant at which their worker is free again.
    running: BTreeMap<(SimTime, u64), WorkKey>,
    /// The earliest wake-up that has been asked for and has not come.
    wake: Option<SimTime>,
    sequence: u64,
}

impl Manager {
    /// Sets the controllers up; their own loops start now.
    pub fn new(controllers: Vec<Box<dyn Controller>>, config: ManagerConfig, now: SimTime) -> Self {
        let slots: Vec<Slot> = controllers
            .into_iter()
            .map(|controller| Slot {
                budget: budget_of(&*controller, &config),
                workers: controller.workers(),
                controller,
                queue: WorkQueue::default(),
                running: BTreeMap::new(),
                wake: None,
                sequence: 0,
            })
            .collect();
        let watch = Watch::new(config.watch_delay);
        let watchers: Vec<Vec<Watcher>> = KINDS.iter().map(|info| watchers(&slots, info.kind)).collect();
        let needed = watchers.iter().flatten().filter_map(|watcher| Some(watcher.needs?.0)).collect();
        let mut manager = Self {
            slots,
            watchers,
            needed,
            concerned: Vec::new(),
            config,
            watch,
            wakes: VecDeque::new(),
            scratch: Enqueue::default(),
        };
        for index in 0..manager.slots.len() {
            let mut out = Enqueue::default();
            manager.slots[index].controller.start(&mut out);
            manager.enqueue(index, out.keys, now);
        }
        manager
    }

    /// With as many workers as the flags say; none: as many as the controller itself has.
    #[must_use]
    pub fn with_workers(mut self, of: impl Fn(&str) -> Option<usize>) -> Self {
        for slot in &mut self.slots {
            slot.workers = of(slot.controller.name()).unwrap_or(slot.workers).max(1);
        }
        self
    }

    /// Tells every controller of every change from now on, Events apart, whatever it watches. It must make no difference;
    /// for tests.
    pub fn tell_everything(&mut self) {
        let all: Vec<Watcher> = (0..self.slots.len()).map(Watcher::of_everything).collect();
        for (info, watchers) in KINDS.iter().zip(&mut self.watchers) {
            if info.kind != Kind::Event {
                watchers.clone_from(&all);
            }
        }
        self.concerned.clear();
    }

    /// Hears of a change at the instant of its write.
    pub fn on_change(&mut self, change: &Change, store: &Store) {
        let delivered = self.watch.heard(change.at, change.revision, store.seed());
        let kind = change.kind() as usize;
        if self.watchers[kind].is_empty() {
            return;
        }
        let sort = self.sort_of(change, store);
        for at in 0..self.concerned[sort].who.len() {
            let index = self.concerned[sort].who[at];
            self.slots[index].controller.on_change(change, store, &mut self.scratch);
            if !self.scratch.is_empty() {
                self.enqueue_all(index, delivered, change.at);
            }
        }
    }

    /// The place among the sorts of writes of the one that this is of.
    fn sort_of(&mut self, change: &Change, store: &Store) -> usize {
        let (kind, touched) = (change.kind(), Aspects::of(change));
        let there = store.kinds().and(self.needed);
        let is = |sort: &Concerned| sort.touched == touched && sort.there == there && sort.kind == kind;
        if let Some(known) = self.concerned.iter().position(is) {
            return known;
        }
        if self.concerned.len() >= SORTS_MAX {
            self.concerned.clear();
        }
        let concerned = self.watchers[kind as usize].iter().filter(|w| w.is_concerned(touched, there));
        let who = concerned.map(|watcher| watcher.index).collect();
        self.concerned.push(Concerned { kind, touched, there, who });
        self.concerned.len() - 1
    }

    /// Puts what a controller wants to look at after a change into its queue.
    fn enqueue_all(&mut self, index: usize, delivered: SimTime, now: SimTime) {
        let mut out = std::mem::take(&mut self.scratch);
        if !out.keys.is_empty() {
            out.keys = self.enqueue_at(index, out.keys, delivered, now);
        }
        for (key, at) in out.fixed.drain(..) {
            self.slots[index].queue.add_at(key, at.max(delivered), now);
            self.ask_for_wake(index, now);
        }
        for (key, by) in out.late.drain(..) {
            self.slots[index].queue.deliver_at(key, delivered + by, now);
            self.ask_for_wake(index, now);
        }
        self.scratch = out;
    }

    /// Hears that the answers of metrics APIs about these Pods, or about any, change from `at` on.
    pub fn on_metrics_change(&mut self, at: SimTime, pods: Option<&[ObjId]>, store: &Store) {
        let now = store.now();
        for index in 0..self.slots.len() {
            let mut out = Enqueue::default();
            self.slots[index].controller.on_metrics_change(at, pods, store, &mut out);
            for (key, at) in out.fixed.drain(..) {
                self.slots[index].queue.add_at(key, at.max(now), now);
                self.ask_for_wake(index, now);
            }
            if !out.keys.is_empty() {
                self.enqueue(index, out.keys, now);
            }
        }
    }

    fn enqueue(&mut self, index: usize, keys: Vec<(WorkKey, SimDuration)>, now: SimTime) {
        self.enqueue_at(index, keys, now, now);
    }

    /// Puts keys into a queue and gives the emptied vector back.
    fn enqueue_at(
        &mut self,
        index: usize,
        mut keys: Vec<(WorkKey, SimDuration)>,
        from: SimTime,
        now: SimTime,
    ) -> Vec<(WorkKey, SimDuration)> {
        let slot = &mut self.slots[index];
        for (key, delay) in keys.drain(..) {
            if delay.is_zero() {
                slot.queue.deliver_at(key, from, now);
            } else {
                slot.queue.add_at(key, from + delay, now);
            }
        }
        self.ask_for_wake(index, now);
        keys
    }

    /// Asks for the next instant at which this controller has something to do and a worker to do it.
    fn ask_for_wake(&mut self, index: usize, now: SimTime) {
        let slot = &mut self.slots[index];
        let first_free = slot.running.keys().next().map_or(now, |(at, _)| *at);
        let free = if slot.running.len() < slot.workers { now } else { first_free };
        let due = slot.queue.next_due(now).map(|due| due.max(free));
        // A key that came again while it is worked on is due when its worker is free.
        let again = slot.queue.has_dirty().then_some(first_free);
        let Some(at) = due.into_iter().chain(again).min() else { return };
        if slot.wake.is_none_or(|wake| at < wake || wake < now) {
            slot.wake = Some(at);
            self.wakes.push_back((at, ControllerId(index)));
        }
    }

    /// The next instant at which [`Manager::run`] must be called, of those that have not been asked for.
    pub fn next_wake(&mut self) -> Option<(SimTime, ControllerId)> {
        self.wakes.pop_front()
    }

    /// The name of a controller.
    pub fn name(&self, id: ControllerId) -> &'static str {
        self.slots.get(id.0).map_or("", |slot| slot.controller.name())
    }

    /// Lets a controller work on what is due, as far as its workers go.
    pub fn run(&mut self, id: ControllerId, store: &mut Store, metrics: &dyn MetricsApi) {
        let now = store.now();
        let config = self.config;
        let Some(slot) = self.slots.get_mut(id.0) else { return };
        slot.wake = slot.wake.filter(|wake| *wake > now);
        slot.free_workers(now);
        while slot.running.len() < slot.workers {
            let Some(key) = slot.queue.pop(now) else { break };
            slot.work(&key, store, metrics, &config);
        }
        self.ask_for_wake(id.0, now);
    }
}

/// The controllers that hear of a kind. Events are for people.
fn watchers(slots: &[Slot], kind: Kind) -> Vec<Watcher> {
    let hears = |slot: &Slot| {
        let watched = slot.controller.watches();
        kind != Kind::Event && (watched.is_empty() || watched.contains(&kind))
    };
    let heard = slots.iter().enumerate().filter(|(_, slot)| hears(slot));
    heard
        .map(|(index, Slot { controller, .. })| match kind {
            Kind::Pod => Watcher { index, aspects: controller.of_pods(), needs: controller.needs() },
            _ => Watcher::of_everything(index),
        })
        .collect()
}

fn budget_of(controller: &dyn Controller, config: &ManagerConfig) -> ApiBudget {
    let (rate, burst) = controller.api_budget_factor();
    ApiBudget::new(config.api_qps * f64::from(rate), config.api_burst.saturating_mul(burst))
}

impl Slot {
    fn free_workers(&mut self, now: SimTime) {
        while let Some(entry) = self.running.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            self.queue.done(&key);
        }
    }

    fn work(&mut self, key: &WorkKey, store: &mut Store, metrics: &dyn MetricsApi, config: &ManagerConfig) {
        let now = store.now();
        let name = self.controller.event_source();
        let mut ctx = Ctx::new(store, &mut self.budget, name.into()).with_metrics(metrics);
        let action = self.controller.reconcile(key, &mut ctx);
        ctx.send_events();
        let calls = ctx.calls;
        let busy = config.sync_time + (config.call_time * calls).max(self.budget.wait(now));
        match action {
            Action::Done => self.queue.forget(key),
            Action::After(delay) => {
                self.queue.forget(key);
                self.queue.add_at(key.clone(), now + delay.max(SimDuration::from_nanos(1)), now);
            }
            Action::Retry(_) => {
                let failures = self.queue.add_rate_limited(key.clone(), self.controller.retry_backoff(), now);
                if self.controller.retries_max().is_some_and(|max| failures > max) {
                    self.queue.drop_delayed(key);
                    self.queue.forget(key);
                }
            }
        }
        self.sequence += 1;
        self.running.insert((now + busy, self.sequence), key.clone());
    }
}
