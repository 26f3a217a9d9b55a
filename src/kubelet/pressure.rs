//! Memory and disk that run short: containers over their limits, nodes under pressure, evictions.
//!
//! Upstream: `pkg/kubelet/eviction/{eviction_manager,helpers}.go`, `pkg/kubelet/qos/policy.go`, v1.34.
//!
//! # Fidelity
//!
//! * Only what the scenario says is used: system daemons and images take no memory and no disk, and images
//!   are not collected.
//! * A node has one file system; inodes and process numbers do not run short.
//! * The monitor looks on a grid of 10 s from the start of the run, and only when something can be found.
//! * A container over its memory limit is killed in the instant in which it crosses it.

use super::machine::Machine;
use super::pod::{LocalPod, Stage};
use super::usage::{Level, first_above};
use super::worker::Worker;
use super::{ContainerStep, Ctx, KubeletEvent, Kubelets, NodeStep, habits, say};
use crate::api::resources::{EPHEMERAL_STORAGE, MEMORY};
use crate::api::{EventType, Node, ObjectKey, Pod, ResourceList};
use crate::base::{Quantity, SimDuration, SimTime, Str, text::lit};
use crate::params::settings::ThresholdLimit;
use crate::store::ObjId;
use crate::store::admission::SYSTEM_CLUSTER_CRITICAL;

/// How often the monitor looks. Upstream: `evictionMonitoringPeriod`.
const MONITOR_PERIOD: SimDuration = SimDuration::from_secs(10);
/// How long a condition holds after it was last seen. Upstream: `evictionPressureTransitionPeriod`.
const TRANSITION_PERIOD: SimDuration = SimDuration::from_mins(5);
/// The grace of a hard eviction.
const GRACE: SimDuration = SimDuration::from_secs(1);
/// The exit code of a process that the kernel killed.
const KILLED: i32 = 137;

/// What can run short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// Memory.
    Memory,
    /// Ephemeral storage.
    Disk,
}

/// How much is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InUse {
    /// Bytes.
    Bytes(i64),
    /// Hundredths of the container's limit, or of the node's capacity.
    Percent(u32),
}

/// What a node knows of its own pressure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Memory that something outside of all Pods uses.
    memory: Level,
    /// Disk that something outside of all Pods uses.
    disk: Level,
    /// When memory was last seen to be short, while the condition holds.
    memory_seen: Option<SimTime>,
    /// The same for disk.
    disk_seen: Option<SimTime>,
    /// When the monitor looks next.
    due: Option<SimTime>,
    /// Something has changed since that was worked out.
    pub stale: bool,
}

impl Pressure {
    /// Whether the condition `MemoryPressure` holds.
    pub const fn of_memory(&self) -> bool {
        self.memory_seen.is_some()
    }

    /// Whether the condition `DiskPressure` holds.
    pub const fn of_disk(&self) -> bool {
        self.disk_seen.is_some()
    }

    fn seen(&mut self, what: Scarce) -> &mut Option<SimTime> {
        match what {
            Scarce::Memory => &mut self.memory_seen,
            Scarce::Disk => &mut self.disk_seen,
        }
    }

    const fn own(&self, what: Scarce) -> Level {
        match what {
            Scarce::Memory => self.memory,
            Scarce::Disk => self.disk,
        }
    }
}

impl Scarce {
    const fn resource(self) -> &'static str {
        match self {
            Self::Memory => MEMORY,
            Self::Disk => EPHEMERAL_STORAGE,
        }
    }

    /// What the node has, and how much of it must stay free.
    fn capacity(self, machine: &Machine, ctx: &Ctx<'_>) -> Option<(i64, i64)> {
        let node = ctx.store.get::<Node>(&ObjectKey::cluster(&machine.name))?;
        let capacity = node.status.capacity.get(self.resource())?.value();
        let signals: &[&str] = match self {
            Self::Memory => &["memory.available"],
            Self::Disk => &["nodefs.available", "imagefs.available"],
        };
        let reserve = |limit: &ThresholdLimit| match limit {
            ThresholdLimit::Amount(amount) => amount.value(),
            ThresholdLimit::Percent(percent) => part(capacity, *percent),
        };
        let thresholds = ctx.params.settings.eviction_hard.iter();
        let met = thresholds.filter(|t| signals.contains(&t.signal.as_str())).map(|t| reserve(&t.limit));
        Some((capacity, met.max()?))
    }
}

fn part(whole: i64, percent: u32) -> i64 {
    i64::try_from(i128::from(whole) * i128::from(percent) / 100).unwrap_or(i64::MAX)
}

impl LocalPod {
    /// What the Pod's containers use.
    fn usage(&self, what: Scarce, now: SimTime) -> i64 {
        self.levels(what).map(|level| level.at(now)).sum()
    }

    fn levels(&self, what: Scarce) -> impl Iterator<Item = Level> {
        let uses = move |life: &&super::pod::Life| what == Scarce::Disk || life.is_running();
        self.containers.iter().filter(uses).map(move |life| match what {
            Scarce::Memory => life.memory,
            Scarce::Disk => life.disk,
        })
    }

    /// Upstream: `IsCriticalPod`: such Pods are never evicted for pressure.
    pub fn is_critical(&self) -> bool {
        self.mirror || self.spec.priority >= SYSTEM_CLUSTER_CRITICAL
    }
}

impl Worker<'_, '_> {
    /// A container has started: its memory.
    pub fn begin_usage(&mut self, index: usize) {
        let now = self.now();
        let memory = habits::of(&self.ctx.params, self.pod, index).memory;
        let level = memory.map_or_else(Level::default, |m| Level::growing(now, m.idle, m.growth));
        let life = &mut self.pod.containers[index];
        if level.is_nothing() && life.memory.is_nothing() {
            return;
        }
        life.memory = level;
        self.machine.pressure.stale = true;
        self.plan_kill(index);
    }

    /// Works out when the container crosses its memory limit.
    fn plan_kill(&mut self, index: usize) {
        let now = self.now();
        let limit = self.pod.container(index).limits.get(MEMORY).map(|q| q.value());
        let life = &mut self.pod.containers[index];
        life.over_limit = limit.and_then(|limit| first_above(&[life.memory], limit, now));
        if let Some(at) = life.over_limit {
            self.container_at(index, at, ContainerStep::OutOfMemory);
        }
    }

    /// The container has crossed its memory limit, unless something has changed since.
    pub fn out_of_memory(&mut self, index: usize) {
        if self.pod.containers[index].over_limit == Some(self.now()) {
            self.ended(index, KILLED, lit!("OOMKilled"));
        }
    }

    /// Something of a running container fills up. Whether there is such a container.
    pub fn fill(&mut self, index: usize, what: Scarce, amount: InUse, over: SimDuration) -> bool {
        let now = self.now();
        let limits = &self.pod.container(index).limits;
        let limit = limits.get(what.resource()).map(|q| q.value());
        let target = match (amount, limit) {
            (InUse::Bytes(bytes), _) => bytes,
            (InUse::Percent(percent), Some(limit)) => part(limit, percent),
            (InUse::Percent(_), None) => return false,
        };
        let life = &mut self.pod.containers[index];
        if !life.is_running() || !self.machine.power {
            return false;
        }
        self.machine.pressure.stale = true;
        match what {
            Scarce::Memory => {
                life.memory = life.memory.fill(now, target, over);
                self.plan_kill(index);
            }
            Scarce::Disk => life.disk = life.disk.fill(now, target, over),
        }
        true
    }

    /// Why this Pod must go by itself, whatever the node has left: it writes more than it may.
    fn over_disk_limit(&self, now: SimTime) -> Option<String> {
        let limit = |list: &ResourceList| list.get(EPHEMERAL_STORAGE);
        for (index, life) in self.pod.containers.iter().enumerate() {
            let container = self.pod.container(index);
            if let Some(limit) = limit(&container.limits)
                && life.disk.at(now) > limit.value()
            {
                return Some(format!(
                    "Container {} exceeded its local ephemeral storage limit \"{limit}\". ",
                    container.name
                ));
            }
        }
        None
    }

    /// What an eviction says of the containers that use more than they asked for.
    fn larger_consumption(&self, what: Scarce, now: SimTime) -> String {
        let mut text = String::new();
        for (index, life) in self.pod.containers.iter().enumerate() {
            let container = self.pod.container(index);
            let used = match what {
                Scarce::Memory if life.is_running() => life.memory.at(now),
                Scarce::Memory => 0,
                Scarce::Disk => life.disk.at(now),
            };
            let asked = container.requests.get(what.resource()).unwrap_or(Quantity::ZERO);
            if used > asked.value() {
                let used = kibibytes(used);
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

/// An amount in `Ki`, as statistics of containers have it.
fn kibibytes(bytes: i64) -> Quantity {
    Quantity::from_bytes(bytes - bytes % 1024)
}

impl Kubelets {
    /// Memory or disk of a Pod's container fills up to an amount; `container` none: the first one. Whether
    /// there is such a container, and a limit if the amount is a part of it.
    pub fn fill_pod(
        &mut self,
        pod: &ObjectKey,
        container: Option<&str>,
        fill: (Scarce, InUse, SimDuration),
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let Some(id) = ctx.store.id_of::<Pod>(pod) else { return false };
        let filled = self.work(id, ctx, |worker| {
            let meant = (0..worker.pod.containers.len()).find(|index| match container {
                Some(name) => worker.pod.container(*index).name == name,
                None => worker.pod.is_regular(*index),
            });
            meant.is_some_and(|index| worker.fill(index, fill.0, fill.1, fill.2))
        });
        filled.unwrap_or(false)
    }

    /// Memory or disk of a node fills up to an amount, by something outside of all Pods. Whether the node is
    /// known and has power.
    pub fn fill_node(
        &mut self,
        node: &str,
        (what, amount, over): (Scarce, InUse, SimDuration),
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let now = ctx.store.now();
        let Some(number) = self.machine(node) else { return false };
        let machine = &mut self.machines[number as usize];
        let Some((capacity, _)) = what.capacity(machine, ctx).filter(|_| machine.power) else { return false };
        let target = match amount {
            InUse::Bytes(bytes) => bytes,
            InUse::Percent(percent) => part(capacity, percent),
        };
        match what {
            Scarce::Memory => machine.pressure.memory = machine.pressure.memory.fill(now, target, over),
            Scarce::Disk => machine.pressure.disk = machine.pressure.disk.fill(now, target, over),
        }
        self.plan_monitor(number, ctx);
        true
    }

    /// Works out when the monitor finds something next.
    pub(super) fn plan_monitor(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        self.machines[number as usize].pressure.stale = false;
        let mut at: Option<SimTime> = None;
        for what in [Scarce::Memory, Scarce::Disk] {
            let short = self.short_from(number, what, now, ctx);
            let ends =
                self.machines[number as usize].pressure.seen(what).map(|seen| seen + TRANSITION_PERIOD);
            at = at.into_iter().chain(short).chain(ends).min();
        }
        at = at.into_iter().chain(self.over_limit_from(number, now)).min();
        let tick = |at: SimTime| at.next_on_grid(SimDuration::ZERO, MONITOR_PERIOD);
        let soon = now + SimDuration::from_nanos(1);
        self.monitor_at(number, at.map(|at| tick(at.max(soon))), ctx);
    }

    fn monitor_at(&mut self, number: u32, at: Option<SimTime>, ctx: &mut Ctx<'_>) {
        let machine = &mut self.machines[number as usize];
        if machine.pressure.due != at
            && let Some(at) = at
        {
            let (node, epoch) = (number, machine.epoch);
            ctx.out.push((at, KubeletEvent::Node { node, epoch, step: NodeStep::Monitor }));
        }
        machine.pressure.due = at;
    }

    fn levels(&self, number: u32, what: Scarce) -> Vec<Level> {
        let machine = &self.machines[number as usize];
        let pods = machine.pods.iter().filter_map(|id| self.pods.get(id));
        let levels = pods.flat_map(|pod| pod.levels(what)).filter(|level| !level.is_nothing());
        levels.chain([machine.pressure.own(what)].into_iter().filter(|level| !level.is_nothing())).collect()
    }

    fn short_from(&self, number: u32, what: Scarce, now: SimTime, ctx: &Ctx<'_>) -> Option<SimTime> {
        let levels = self.levels(number, what);
        if levels.is_empty() {
            return None;
        }
        let (capacity, reserve) = what.capacity(&self.machines[number as usize], ctx)?;
        first_above(&levels, capacity.saturating_sub(reserve), now)
    }

    /// When a container will have written more than it may.
    fn over_limit_from(&self, number: u32, now: SimTime) -> Option<SimTime> {
        let pods = self.machines[number as usize].pods.iter().filter_map(|id| self.pods.get(id));
        let crossing = |pod: &LocalPod| {
            let containers = pod.containers.iter().enumerate().filter(|(_, life)| !life.disk.is_nothing());
            let at = containers.filter_map(|(index, life)| {
                let limit = pod.container(index).limits.get(EPHEMERAL_STORAGE)?.value();
                first_above(&[life.disk], limit, now)
            });
            at.min()
        };
        pods.filter(|pod| !pod.is_over()).filter_map(|pod| crossing(pod)).min()
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
        let mut short = Vec::new();
        let before = machine.pressure.clone();
        for what in [Scarce::Memory, Scarce::Disk] {
            let used: i64 = self.levels(number, what).iter().map(|level| level.at(now)).sum();
            let capacity = what.capacity(&self.machines[number as usize], ctx);
            let seen = self.machines[number as usize].pressure.seen(what);
            match capacity {
                Some((capacity, reserve)) if capacity.saturating_sub(used) < reserve => {
                    *seen = Some(now);
                    short.push((what, reserve, capacity.saturating_sub(used).max(0)));
                }
                _ => *seen = seen.filter(|seen| now < *seen + TRANSITION_PERIOD),
            }
        }
        let machine = &self.machines[number as usize];
        if (machine.pressure.of_memory(), machine.pressure.of_disk())
            != (before.of_memory(), before.of_disk())
        {
            machine.post_status(ctx);
        }
        let again = if self.evict_over_limit(number, now, ctx) {
            None
        } else {
            // Memory outranks disk.
            short.first().and_then(|short| self.reclaim(number, *short, ctx))
        };
        match again {
            Some(at) => self.monitor_at(number, Some(at), ctx),
            None => self.plan_monitor(number, ctx),
        }
    }

    /// Evicts Pods that write more than they may. Whether there were any.
    fn evict_over_limit(&mut self, number: u32, now: SimTime, ctx: &mut Ctx<'_>) -> bool {
        let mut any = false;
        for id in self.pods_of(number) {
            let evicted = self.work(id, ctx, |worker| {
                let why = if worker.pod.is_over() { None } else { worker.over_disk_limit(now) };
                why.is_some_and(|why| worker.evict(&why.into(), GRACE))
            });
            any |= evicted.unwrap_or(false);
        }
        any
    }

    /// Evicts one Pod for what is short. When to look again: when it is gone.
    fn reclaim(
        &mut self,
        number: u32,
        (what, reserve, available): (Scarce, i64, i64),
        ctx: &mut Ctx<'_>,
    ) -> Option<SimTime> {
        let now = ctx.store.now();
        let resource = what.resource();
        let message = format!("Attempting to reclaim {resource}");
        let machine = &self.machines[number as usize];
        say::of_node(machine, EventType::Warning, "EvictionThresholdMet", &message, ctx);
        let victim = self.victim(number, what, now)?;
        let (limit, left) = (Quantity::from_bytes(reserve), kibibytes(available));
        let head = format!(
            "The node was low on resource: {resource}. Threshold quantity: {limit}, available: {left}. "
        );
        let ends = self.work(victim, ctx, |worker| {
            let message = Str::from(head + &worker.larger_consumption(what, now));
            worker.evict(&message, GRACE);
            match worker.pod.stage {
                Stage::Terminating { ends } => ends,
                Stage::Arrived | Stage::Volumes | Stage::Sandbox | Stage::Live | Stage::Ended => now,
            }
        });
        // Upstream looks whether it is gone once a second, and then goes on at once.
        ends.map(|ends| ends + SimDuration::from_secs(1))
    }

    /// Who goes first: those over their request, then the least important, then the greediest.
    ///
    /// Upstream: `rankMemoryPressure`, `rankDiskPressureFunc`.
    fn victim(&self, number: u32, what: Scarce, now: SimTime) -> Option<ObjId> {
        let pods = self.machines[number as usize].pods.iter().filter_map(|id| self.pods.get(id));
        let candidates = pods.filter(|pod| !pod.is_over() && !pod.is_critical());
        let rank = |pod: &LocalPod| {
            let request = pod.recipe.requests.get(what.resource()).map_or(0, |q| q.value());
            let over = pod.usage(what, now).saturating_sub(request);
            (over <= 0, pod.spec.priority, std::cmp::Reverse(over), pod.id)
        };
        candidates.min_by_key(|pod| rank(pod)).map(|pod| pod.id)
    }
}
