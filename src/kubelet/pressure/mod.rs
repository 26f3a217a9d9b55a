//! Memory, disk and process numbers that run short: nodes under pressure, evictions.
//!
//! * [`limits`]: what fills up, and containers and Pods over their own limits. * [`oom`]: a node without any memory left.
//!
//! Upstream: `pkg/kubelet/eviction/{eviction_manager,helpers}.go`, v1.34.
//!
//! # Fidelity
//!
//! * Only what the scenario says is used, and the images: system daemons take no memory and no disk.
//! * `eviction-hard` stands for the whole set of hard thresholds (`mergeDefaultEvictionSettings` is not known).
//! * A node has one file system; inodes do not run short. It has room for 4194304 processes, the kernel's
//!   `pid_max` under systemd.
//! * The monitor looks on a grid of 10 s from the start of the run, and only when something can be found.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Machine;
use super::pod::{Life, LocalPod, Stage};
use super::usage::{Level, first_above};
use super::worker::Worker;
use super::{Ctx, KubeletEvent, Kubelets, NodeStep, say};
use crate::api::resources::{EPHEMERAL_STORAGE, MEMORY};
use crate::api::{EventType, Node, ObjectKey};
use crate::base::{Quantity, SimDuration, SimTime, Str};
use crate::params::settings::{Threshold, ThresholdLimit};
use crate::store::ObjId;

mod limits;
mod oom;

pub use limits::{InUse, Place};

/// How often the monitor looks. Upstream: `evictionMonitoringPeriod`.
const MONITOR_PERIOD: SimDuration = SimDuration::from_secs(10);
/// The grace of a hard eviction.
const GRACE: SimDuration = SimDuration::from_secs(1);
/// Processes that a node has room for.
const PID_MAX: i64 = 4_194_304;

/// What can run short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// Memory.
    Memory,
    /// Ephemeral storage.
    Disk,
    /// Process numbers.
    Pids,
}

/// What a node knows of its own pressure; of each matter by [`Scarce::index`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// What something outside of all Pods uses.
    own: [Level; 3],
    /// When it was last seen to be short, while the condition holds.
    seen: [Option<SimTime>; 3],
    /// Since when limits have been crossed.
    since: BTreeMap<Limit, SimTime>,
    /// Limits for which something had to go when the monitor last looked.
    met: BTreeSet<Limit>,
    /// When the monitor looks next.
    due: Option<SimTime>,
    /// When it looks again after an eviction, off its grid.
    again: Option<SimTime>,
    /// When the kernel runs out of memory.
    exhausted: Option<SimTime>,
    /// When images are collected next.
    collects: Option<SimTime>,
}

impl Pressure {
    /// Whether the node says that this is short.
    pub const fn of(&self, what: Scarce) -> bool {
        self.seen[what.index()].is_some()
    }
}

/// The levels that something of a node is used by.
pub(super) struct Used {
    /// Those of Pods come first.
    levels: Vec<Level>,
    of_pods: usize,
}

impl Used {
    /// All, or those of Pods only.
    fn levels(&self, pods_only: bool) -> &[Level] {
        if pods_only { &self.levels[..self.of_pods] } else { &self.levels }
    }

    fn at(&self, pods_only: bool, now: SimTime) -> i64 {
        self.levels(pods_only).iter().map(|level| level.at(now)).sum()
    }
}

/// A limit by its signal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Limit {
    /// `memory.available` …
    signal: Str,
    /// Whether it may be crossed for a while.
    soft: bool,
    /// Only what Pods use counts, as in the cgroup that all Pods share.
    pods_only: bool,
}

/// A limit that the monitor watches.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watch {
    limit: Limit,
    /// How long it may be crossed.
    patience: SimDuration,
    /// What there is.
    capacity: i64,
    /// How much of it must stay free.
    reserve: i64,
    /// How much more must become free once something has to go.
    reclaim: i64,
}

impl Watch {
    /// How much must be free now.
    fn wanted(&self, pressure: &Pressure) -> i64 {
        let more = if pressure.met.contains(&self.limit) { self.reclaim } else { 0 };
        self.reserve.saturating_add(more)
    }
}

impl Scarce {
    /// All, in the order in which they are reclaimed: memory outranks the others.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Disk, Self::Pids];

    const fn index(self) -> usize {
        match self {
            Self::Memory => 0,
            Self::Disk => 1,
            Self::Pids => 2,
        }
    }

    /// The resource as Events and messages name it.
    const fn resource(self) -> &'static str {
        match self {
            Self::Memory => MEMORY,
            Self::Disk => EPHEMERAL_STORAGE,
            Self::Pids => "pids",
        }
    }

    /// The condition of a node that is short of it.
    pub const fn condition(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::Disk => "DiskPressure",
            Self::Pids => "PIDPressure",
        }
    }

    const fn signals(self) -> &'static [&'static str] {
        match self {
            Self::Memory => &["memory.available"],
            Self::Disk => &["nodefs.available", "imagefs.available"],
            Self::Pids => &["pid.available"],
        }
    }

    /// An amount of it as statistics have it.
    fn amount(self, value: i64) -> Quantity {
        match self {
            Self::Memory | Self::Disk => Quantity::from_bytes(value - value % 1024),
            Self::Pids => Quantity::from_units(value),
        }
    }

    /// How much a node has.
    fn capacity(self, node: &Node) -> Option<i64> {
        match self {
            Self::Memory | Self::Disk => node.status.capacity.get(self.resource()).map(|q| q.value()),
            Self::Pids => Some(PID_MAX),
        }
    }

    /// What the monitor watches of it: the node as a whole, and what all Pods together may use; hard limits first.
    ///
    /// Upstream: `ParseThresholdConfig`, and `addAllocatableThresholds` for the cgroup of all Pods, whose limit is the
    /// node's capacity less what is reserved.
    fn watches(self, machine: &Machine, ctx: &Ctx<'_>) -> Vec<Watch> {
        let Some(node) = ctx.store.get::<Node>(&ObjectKey::cluster(&machine.name)) else { return Vec::new() };
        let Some(capacity) = self.capacity(node) else { return Vec::new() };
        let settings = ctx.params.settings;
        let amount = |limit: &ThresholdLimit| match limit {
            ThresholdLimit::Amount(amount) => amount.value(),
            ThresholdLimit::Percent(percent) => part(capacity, *percent),
        };
        let watch = |threshold: &Threshold, patience: Option<SimDuration>| {
            let reclaims = settings.eviction_minimum_reclaim.iter().filter(|r| r.signal == threshold.signal);
            Watch {
                limit: Limit { signal: threshold.signal.clone(), soft: patience.is_some(), pods_only: false },
                patience: patience.unwrap_or_default(),
                capacity,
                reserve: amount(&threshold.limit),
                reclaim: reclaims.map(|r| amount(&r.limit)).max().unwrap_or(0),
            }
        };
        let ours = |threshold: &&Threshold| self.signals().contains(&threshold.signal.as_str());
        // Of hard limits on one file system the highest is crossed first.
        let hard = settings.eviction_hard.iter().filter(ours).map(|threshold| watch(threshold, None));
        let mut watches: Vec<Watch> = hard.max_by_key(|watch| watch.reserve).into_iter().collect();
        if let Some(hard) = watches.first().filter(|_| self == Self::Memory) {
            let room = pods_limit(node, capacity, hard.reserve);
            let mut pods = Watch { capacity: room, ..hard.clone() };
            pods.limit.pods_only = true;
            watches.extend((room < capacity).then_some(pods));
        }
        let patience = |signal: &Str| {
            let periods = settings.eviction_soft_grace_period.iter();
            periods.filter(|(name, _)| name == signal).map(|(_, period)| *period).next()
        };
        let soft = settings.eviction_soft.iter().filter(ours);
        watches.extend(
            soft.map(|threshold| watch(threshold, Some(patience(&threshold.signal).unwrap_or_default()))),
        );
        watches
    }
}

/// Memory that all Pods of a node may use together. Upstream: `enforceNodeAllocatable: [pods]`: allocatable
/// without the part that is kept free for evictions.
fn pods_limit(node: &Node, capacity: i64, reserve: i64) -> i64 {
    let allocatable = node.status.allocatable.get(MEMORY).map_or(capacity, |q| q.value());
    allocatable.saturating_add(reserve).min(capacity)
}

fn part(whole: i64, percent: u32) -> i64 {
    i64::try_from(i128::from(whole) * i128::from(percent) / 100).unwrap_or(i64::MAX)
}

impl Life {
    /// What the container uses of it: memory and processes go with the process, the disk stays.
    fn levels(&self, what: Scarce) -> impl Iterator<Item = Level> + use<> {
        let uses = self.uses();
        let (first, second) = match what {
            Scarce::Memory if self.is_running() => (Some(uses.memory), Some(uses.in_flight)),
            Scarce::Pids if self.is_running() => (Some(uses.pids), None),
            Scarce::Memory | Scarce::Pids => (None, None),
            Scarce::Disk => (Some(uses.disk), None),
        };
        first.into_iter().chain(second)
    }

    fn usage(&self, what: Scarce, now: SimTime) -> i64 {
        self.levels(what).map(|level| level.at(now)).sum()
    }

    /// Whether it uses anything, now or later.
    pub fn uses_something(&self) -> bool {
        !self.uses().is_nothing()
    }
}

impl LocalPod {
    /// What the Pod uses.
    fn usage(&self, what: Scarce, now: SimTime) -> i64 {
        self.levels(what).map(|level| level.at(now)).sum()
    }

    /// Whether its containers or scratch volumes use anything, now or later.
    pub fn uses_something(&self) -> bool {
        !self.scratch.is_empty() || self.containers.iter().any(Life::uses_something)
    }

    /// What its containers use, and its scratch volumes.
    fn levels(&self, what: Scarce) -> impl Iterator<Item = Level> {
        let scratch = if what == Scarce::Disk { self.scratch.as_slice() } else { &[] };
        let containers = self.containers.iter().flat_map(move |life| life.levels(what));
        containers.chain(scratch.iter().map(|(_, level)| *level))
    }
}

impl Machine {
    /// What is used of something: by Pods, so much, and by what is not theirs.
    fn used_beside(&self, what: Scarce, mut levels: Vec<Level>) -> Used {
        let of_pods = levels.len();
        levels.extend(Some(self.pressure.own[what.index()]).filter(|level| !level.is_nothing()));
        if what == Scarce::Disk {
            let images = self.images.bytes(SimTime::ZERO);
            levels.extend((images > 0).then(|| Level::growing(SimTime::ZERO, images, 0)));
        }
        Used { levels, of_pods }
    }
}

impl Pressure {
    /// Notes which limits are crossed. For which one something must go now: the first that is crossed for too long.
    fn take_note(
        &mut self,
        short: [(Scarce, Vec<(Watch, i64)>); 3],
        now: SimTime,
    ) -> Option<(Scarce, (Watch, i64))> {
        let crossed = || short.iter().flat_map(|(_, crossed)| crossed).map(|(watch, _)| watch);
        let since = |watch: &Watch| self.since.get(&watch.limit).copied().unwrap_or(now);
        self.since = crossed().map(|watch| (watch.limit.clone(), since(watch))).collect();
        let is_due =
            |watch: &Watch| self.since.get(&watch.limit).is_some_and(|at| now >= *at + watch.patience);
        self.met = crossed().filter(|watch| is_due(watch)).map(|watch| watch.limit.clone()).collect();
        let all = short.into_iter().flat_map(|(what, crossed)| crossed.into_iter().map(move |c| (what, c)));
        all.into_iter().find(|(_, (watch, _))| self.met.contains(&watch.limit))
    }
}

impl Worker<'_, '_> {
    /// How long the Pod may take to end when it is evicted for a limit.
    fn grace_for(&self, limit: &Limit) -> SimDuration {
        if !limit.soft {
            return GRACE;
        }
        let longest = self.ctx.params.settings.eviction_max_pod_grace_period;
        SimDuration::from_api_secs(longest.min(self.pod.spec.termination_grace_seconds)).max(GRACE)
    }

    /// What an eviction says of the containers that use more than they asked for.
    fn larger_consumption(&self, what: Scarce, now: SimTime) -> String {
        let mut text = String::new();
        if what == Scarce::Pids {
            return text;
        }
        for (index, life) in self.pod.containers.iter().enumerate() {
            let container = self.pod.container(index);
            let used = life.usage(what, now);
            let asked = container.requests.get(what.resource()).unwrap_or(Quantity::ZERO);
            if used > asked.value() {
                let used = what.amount(used);
                text += &format!(
                    "Container {} was using {used}, request is {asked}, has larger consumption of {}. ",
                    container.name,
                    what.resource()
                );
            }
        }
        text
    }
}

impl Kubelets {
    /// Works out when the monitor, the kernel and the image collector find something next.
    pub(super) fn plan_monitor(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        self.machines[number as usize].stale = false;
        let transition = ctx.params.settings.eviction_pressure_transition_period;
        let mut at: Option<SimTime> = None;
        let all = self.all_used(number);
        for (what, used) in Scarce::ALL.into_iter().zip(&all) {
            let short = self.short_from(number, (what, used), now, ctx);
            let ends =
                self.machines[number as usize].pressure.seen[what.index()].map(|seen| seen + transition);
            at = at.into_iter().chain(short).chain(ends).min();
        }
        at = at.into_iter().chain(self.over_limit_from(number, now)).min();
        let tick = |at: SimTime| at.next_on_grid(SimDuration::ZERO, MONITOR_PERIOD);
        let soon = now + SimDuration::from_nanos(1);
        let again = self.machines[number as usize].pressure.again.filter(|at| *at > now);
        let at = at.map(|at| tick(at.max(soon))).into_iter().chain(again).min();
        self.monitor_at(number, at, ctx);
        let [memory, disk, _] = &all;
        self.plan_exhaustion(number, memory, ctx);
        self.plan_collection(number, disk, ctx);
    }

    fn monitor_at(&mut self, number: u32, at: Option<SimTime>, ctx: &mut Ctx<'_>) {
        if self.machines[number as usize].pressure.due != at {
            self.node_timer(number, at, NodeStep::Monitor, ctx);
        }
        self.machines[number as usize].pressure.due = at;
    }

    fn node_timer(&self, number: u32, at: Option<SimTime>, step: NodeStep, ctx: &mut Ctx<'_>) {
        let epoch = self.machines[number as usize].epoch;
        ctx.out.extend(at.map(|at| (at, KubeletEvent::Node { node: number, epoch, step })));
    }

    /// What is used of everything.
    fn all_used(&self, number: u32) -> [Used; 3] {
        let mut all = [const { Vec::new() }; 3];
        let machine = &self.machines[number as usize];
        for pod in machine.users.iter().filter_map(|id| self.pods.get(id)) {
            for (what, levels) in Scarce::ALL.into_iter().zip(&mut all) {
                levels.extend(pod.levels(what).filter(|level| !level.is_nothing()));
            }
        }
        let [memory, disk, pids] = all;
        [(Scarce::Memory, memory), (Scarce::Disk, disk), (Scarce::Pids, pids)]
            .map(|(what, levels)| machine.used_beside(what, levels))
    }

    fn used(&self, number: u32, what: Scarce) -> Used {
        let machine = &self.machines[number as usize];
        let pods = machine.users.iter().filter_map(|id| self.pods.get(id)).flat_map(|pod| pod.levels(what));
        machine.used_beside(what, pods.filter(|level| !level.is_nothing()).collect())
    }

    /// When something will be short, from `now` on.
    fn short_from(
        &self,
        number: u32,
        (what, used): (Scarce, &Used),
        now: SimTime,
        ctx: &Ctx<'_>,
    ) -> Option<SimTime> {
        if used.levels.is_empty() {
            return None;
        }
        let watches = what.watches(&self.machines[number as usize], ctx).into_iter();
        let pressure = &self.machines[number as usize].pressure;
        let above = |watch: Watch| {
            let limit = watch.capacity.saturating_sub(watch.wanted(pressure));
            first_above(used.levels(watch.limit.pods_only), limit, now)
        };
        watches.filter_map(above).min()
    }

    /// When the disk is full enough for images to be collected.
    pub(super) fn full_from(&self, number: u32, disk: &Used, ctx: &Ctx<'_>) -> Option<SimTime> {
        let machine = &self.machines[number as usize];
        let capacity = Scarce::Disk.capacity(ctx.store.get::<Node>(&ObjectKey::cluster(&machine.name))?)?;
        let high = u32::try_from(ctx.params.settings.image_gc_high_threshold).unwrap_or(100);
        // Upstream: hundredths that are free, rounded down, taken from 100.
        let above = part(capacity, high.saturating_sub(1));
        first_above(disk.levels(false), above, ctx.store.now())
    }

    /// What images must give up now; none if there is room enough.
    pub(super) fn image_bytes_to_free(&self, number: u32, ctx: &Ctx<'_>) -> Option<i64> {
        let now = ctx.store.now();
        let disk = self.used(number, Scarce::Disk);
        self.full_from(number, &disk, ctx).filter(|at| *at <= now)?;
        let machine = &self.machines[number as usize];
        let capacity = Scarce::Disk.capacity(ctx.store.get::<Node>(&ObjectKey::cluster(&machine.name))?)?;
        let used = disk.at(false, now);
        let low = u32::try_from(ctx.params.settings.image_gc_low_threshold).unwrap_or(100);
        Some(part(capacity, 100_u32.saturating_sub(low)) - capacity.saturating_sub(used).max(0))
    }

    pub(super) fn collect_at(&mut self, number: u32, at: Option<SimTime>, ctx: &mut Ctx<'_>) {
        if self.machines[number as usize].pressure.collects != at {
            self.node_timer(number, at, NodeStep::Images, ctx);
        }
        self.machines[number as usize].pressure.collects = at;
    }

    pub(super) fn collection_is_due(&mut self, number: u32, now: SimTime) -> bool {
        let collects = &mut self.machines[number as usize].pressure.collects;
        let due = *collects == Some(now);
        if due {
            *collects = None;
        }
        due
    }

    /// The watched limits that are crossed now, with what is left; `reclaimed`: those for which something had to go until
    /// as much more is free as is wanted then.
    fn crossed(&self, number: u32, what: Scarce, reclaimed: bool, ctx: &Ctx<'_>) -> Vec<(Watch, i64)> {
        let now = ctx.store.now();
        let machine = &self.machines[number as usize];
        let used = self.used(number, what);
        let crosses = |watch: Watch| {
            let left = watch.capacity.saturating_sub(used.at(watch.limit.pods_only, now));
            let wanted = if reclaimed { watch.wanted(&machine.pressure) } else { watch.reserve };
            (left < wanted).then_some((watch, left.max(0)))
        };
        what.watches(machine, ctx).into_iter().filter_map(crosses).collect()
    }

    /// The monitor looks.
    pub(super) fn monitor(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let machine = &mut self.machines[number as usize];
        if machine.pressure.due != Some(now) {
            return;
        }
        machine.pressure.due = None;
        if !machine.acts() {
            return;
        }
        let transition = ctx.params.settings.eviction_pressure_transition_period;
        let before = Scarce::ALL.map(|what| machine.pressure.of(what));
        let short = Scarce::ALL.map(|what| (what, self.crossed(number, what, true, ctx)));
        let machine = &mut self.machines[number as usize];
        for ((_, crossed), seen) in short.iter().zip(&mut machine.pressure.seen) {
            *seen = if crossed.is_empty() { seen.filter(|seen| now < *seen + transition) } else { Some(now) };
        }
        let due = machine.pressure.take_note(short, now);
        if Scarce::ALL.map(|what| machine.pressure.of(what)) != before {
            machine.post_status(ctx);
        }
        let again = if self.evict_over_limit(number, now, ctx) {
            None
        } else {
            due.and_then(|(what, crossed)| self.reclaim(number, what, crossed, ctx))
        };
        self.machines[number as usize].pressure.again = again;
        match again {
            Some(at) => self.monitor_at(number, Some(at), ctx),
            None => self.plan_monitor(number, ctx),
        }
    }

    /// Makes room for what is short: of disk by images that nobody uses, else by one Pod. When to look again:
    /// when it is gone.
    fn reclaim(
        &mut self,
        number: u32,
        what: Scarce,
        (watch, left): (Watch, i64),
        ctx: &mut Ctx<'_>,
    ) -> Option<SimTime> {
        let now = ctx.store.now();
        let resource = what.resource();
        let message = format!("Attempting to reclaim {resource}");
        let machine = &self.machines[number as usize];
        say::of_node(machine, EventType::Warning, "EvictionThresholdMet", &message, ctx);
        if what == Scarce::Disk {
            self.delete_images(number, i64::MAX, ctx);
            if Scarce::ALL.iter().all(|what| self.crossed(number, *what, false, ctx).is_empty()) {
                return None;
            }
        }
        let victim = self.victim(number, what, now)?;
        let (limit, left) = (what.amount(watch.reserve), what.amount(left));
        let limit = if what == Scarce::Pids { limit } else { Quantity::from_bytes(watch.reserve) };
        let head = format!(
            "The node was low on resource: {resource}. Threshold quantity: {limit}, available: {left}. "
        );
        let ends = self.work(victim, ctx, |worker| {
            let message = head + &worker.larger_consumption(what, now);
            let grace = worker.grace_for(&watch.limit);
            worker.evict(&message.into(), grace, true);
            match worker.pod.stage {
                Stage::Terminating { ends } => ends,
                Stage::Admitting
                | Stage::Arrived
                | Stage::Volumes
                | Stage::Sandbox
                | Stage::Live
                | Stage::Ended => now,
            }
        });
        // Upstream looks whether it is gone once a second, and then goes on at once.
        ends.map(|ends| ends + SimDuration::from_secs(1))
    }

    /// Who goes first: those over their request, then the least important, then the greediest. For process
    /// numbers nobody has a request.
    ///
    /// Upstream: `rankMemoryPressure`, `rankDiskPressureFunc`, `rankPIDPressure`.
    fn victim(&self, number: u32, what: Scarce, now: SimTime) -> Option<ObjId> {
        let pods = self.pods_on(number);
        let candidates = pods.filter(|pod| !pod.is_over() && !pod.is_critical());
        let rank = |pod: &LocalPod| {
            let request = pod.recipe.requests.get(what.resource()).map_or(0, |q| q.value());
            let over = pod.usage(what, now).saturating_sub(request);
            let within = over <= 0 && what != Scarce::Pids;
            (within, pod.spec.priority, std::cmp::Reverse(over), pod.id)
        };
        candidates.min_by_key(|pod| rank(pod)).map(|pod| pod.id)
    }
}
