//! What fills up, and who uses more than it may: containers over their memory limits, Pods over their limits of disk.
//!
//! Upstream: `localStorageEviction` of `pkg/kubelet/eviction/eviction_manager.go`, v1.34.
//!
//! # Fidelity
//!
//! * A container over its memory limit is killed in the instant in which it crosses it.
//! * An `emptyDir` with `medium: Memory` cannot be filled.

use super::{GRACE, Scarce, part};
use crate::api::pod::PodSpec;
use crate::api::resources::{EPHEMERAL_STORAGE, MEMORY};
use crate::api::{Node, ObjectKey};
use crate::base::{Quantity, SimDuration, SimTime, Str, text::lit};
use crate::kubelet::pod::{Burden, LocalPod};
use crate::kubelet::usage::{Level, Uses, first_above};
use crate::kubelet::worker::Worker;
use crate::kubelet::{ContainerStep, Ctx, Kubelets, habits};
use crate::params::behaviour::Growing;
use crate::store::ObjId;

/// The exit code of a process that the kernel killed.
pub(super) const KILLED: i32 = 137;

/// How much is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InUse {
    /// Bytes, or processes.
    Amount(i64),
    /// Hundredths of the container's or the volume's limit, or of the node's capacity.
    Percent(u32),
}

/// What of a Pod fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// A container; none: the first one.
    Container(Option<&'a str>),
    /// An `emptyDir` volume on the node's disk.
    Volume(&'a str),
}

/// A limit of disk that a Pod has.
struct DiskLimit {
    limit: Quantity,
    /// Whose use counts.
    levels: Vec<Level>,
    /// Why the Pod must go if it is more.
    message: String,
}

/// An `emptyDir` on the node's disk and its size limit; none if there is no such volume.
fn scratch_volume(spec: &PodSpec, name: &str) -> Option<Option<Quantity>> {
    let volume = spec.raw.volumes.iter().flatten().find(|volume| volume.name == name)?;
    let dir = volume.empty_dir.as_ref().filter(|dir| dir.medium.as_deref() != Some("Memory"))?;
    Some(dir.size_limit.as_ref().and_then(|size| Quantity::parse(&size.0).ok()))
}

impl LocalPod {
    /// The limits of disk, in the order in which they are looked at.
    fn disk_limits(&self) -> Vec<DiskLimit> {
        let mut limits = Vec::new();
        for (name, level) in self.scratch.iter() {
            let limit = scratch_volume(&self.spec, name).flatten().filter(|limit| limit.value() > 0);
            let Some(limit) = limit else { continue };
            let message = format!("Usage of EmptyDir volume \"{name}\" exceeds the limit \"{limit}\". ");
            limits.push(DiskLimit { limit, levels: vec![*level], message });
        }
        if let Some(limit) = self.recipe.disk_limit {
            let message =
                format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. ");
            limits.push(DiskLimit { limit, levels: self.levels(Scarce::Disk).collect(), message });
        }
        for (index, life) in self.containers.iter().enumerate().skip(self.init_count()) {
            let container = self.container(index);
            let Some(limit) = container.limits.get(EPHEMERAL_STORAGE).filter(|q| !q.is_zero()) else {
                continue;
            };
            let name = &container.name;
            let message =
                format!("Container {name} exceeded its local ephemeral storage limit \"{limit}\". ");
            limits.push(DiskLimit { limit, levels: vec![life.uses().disk], message });
        }
        limits
    }

    fn writes(&self) -> bool {
        !self.scratch.is_empty() || self.containers.iter().any(|life| !life.uses().disk.is_nothing())
    }
}

impl Worker<'_, '_> {
    /// A container has started: its memory, its processes, what it writes.
    pub fn begin_usage(&mut self, index: usize) {
        let now = self.now();
        let habits = habits::of(&self.ctx.params, self.pod, index);
        let growing = |from: Option<(i64, i64)>| {
            from.map_or_else(Level::default, |(idle, growth)| Level::growing(now, idle, growth))
        };
        let (memory, pids) = (
            growing(habits.memory.map(|m| (m.idle, m.growth))),
            growing(habits.processes.map(|p| (p.idle, p.growth))),
        );
        let per_request = habits.memory.map_or(0, |m| m.per_request);
        if per_request != 0 {
            // A new process has no requests yet.
            self.pod.burden = Burden::default();
        }
        let life = &mut self.pod.containers[index];
        let old = *life.uses();
        // What was written before stays.
        let grown = |d: Growing| Level::growing(now, old.disk.at(now).max(d.idle), d.growth);
        let disk = habits.disk.map_or(old.disk, grown);
        let new = Uses { memory, pids, disk, per_request, in_flight: Level::default() };
        if new != old {
            *life.uses_mut() = new;
        }
        if (old.memory, old.pids, old.disk) == (memory, pids, disk) && memory.is_nothing() {
            return;
        }
        self.machine.stale = true;
        self.plan_kill(index);
    }

    /// The Pod works on other requests: its containers hold them in memory.
    fn bear(&mut self, burden: Burden) {
        self.pod.burden = burden;
        for index in 0..self.pod.containers.len() {
            let life = &mut self.pod.containers[index];
            let per_request = life.uses().per_request;
            if per_request != 0 && life.is_running() {
                life.uses_mut().in_flight = burden.memory(per_request);
                self.machine.stale = true;
                self.plan_kill(index);
            }
        }
    }

    /// Works out when the container crosses its memory limit.
    pub fn plan_kill(&mut self, index: usize) {
        let now = self.now();
        let limit = self.pod.container(index).limits.get(MEMORY).map(|q| q.value());
        let life = &mut self.pod.containers[index];
        life.over_limit =
            limit.and_then(|limit| first_above(&[life.uses().memory, life.uses().in_flight], limit, now));
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

    /// Something of the Pod fills up. Whether there is such a container or volume, and a limit if the amount is
    /// a part of it.
    fn fill(&mut self, place: Place<'_>, what: Scarce, amount: InUse, over: SimDuration) -> bool {
        let now = self.now();
        if !self.machine.power || self.pod.is_over() {
            return false;
        }
        let target = |limit: Option<i64>| match (amount, limit) {
            (InUse::Amount(amount), _) => Some(amount),
            (InUse::Percent(percent), Some(limit)) => Some(part(limit, percent)),
            (InUse::Percent(_), None) => None,
        };
        let filled = match place {
            Place::Volume(name) => {
                let limit =
                    scratch_volume(&self.pod.spec, name).filter(|_| what == Scarce::Disk && self.pod.sandbox);
                limit
                    .and_then(|limit| target(limit.map(|q| q.value())))
                    .map(|target| self.fill_volume(name, now, target, over))
            }
            Place::Container(name) => {
                let index = (0..self.pod.containers.len()).find(|index| match name {
                    Some(name) => self.pod.container(*index).name == name,
                    None => self.pod.is_regular(*index),
                });
                let index = index.filter(|index| self.pod.containers[*index].is_running());
                index.and_then(|index| {
                    let limit = self.pod.container(index).limits.get(what.resource()).map(|q| q.value());
                    target(limit).map(|target| self.fill_container(index, what, (now, target, over)))
                })
            }
        };
        self.machine.stale |= filled.is_some();
        filled.is_some()
    }

    fn fill_volume(&mut self, name: &str, now: SimTime, target: i64, over: SimDuration) {
        let scratch = &mut self.pod.scratch;
        let place = scratch.iter().position(|(volume, _)| volume == name).unwrap_or_else(|| {
            scratch.push((Str::from(name), Level::default()));
            scratch.len() - 1
        });
        scratch[place].1 = scratch[place].1.fill(now, target, over);
    }

    fn fill_container(
        &mut self,
        index: usize,
        what: Scarce,
        (now, target, over): (SimTime, i64, SimDuration),
    ) {
        let uses = self.pod.containers[index].uses_mut();
        match what {
            Scarce::Memory => {
                let target = target.saturating_sub(uses.in_flight.at(now)).max(0);
                uses.memory = uses.memory.fill(now, target, over);
                self.plan_kill(index);
            }
            Scarce::Disk => uses.disk = uses.disk.fill(now, target, over),
            Scarce::Pids => uses.pids = uses.pids.fill(now, target, over),
        }
    }

    /// Why this Pod must go by itself, whatever the node has left: it writes more than it may.
    fn over_disk_limit(&self, now: SimTime) -> Option<String> {
        if self.pod.is_over() || !self.pod.writes() {
            return None;
        }
        let limits = self.pod.disk_limits().into_iter();
        let over =
            |limit: &DiskLimit| limit.levels.iter().map(|l| l.at(now)).sum::<i64>() > limit.limit.value();
        limits.filter(over).map(|limit| limit.message).next()
    }
}

impl Kubelets {
    /// Something of a Pod fills up to an amount. Whether there is such a container or volume, and a limit if the
    /// amount is a part of it.
    pub fn fill_pod(
        &mut self,
        pod: &ObjectKey,
        place: Place<'_>,
        (what, amount, over): (Scarce, InUse, SimDuration),
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let Some(id) = ctx.store.id_of::<crate::api::Pod>(pod) else { return false };
        self.work(id, ctx, |worker| worker.fill(place, what, amount, over)).unwrap_or(false)
    }

    /// How many requests a Pod works on, as far as it was told; none if it is not known.
    pub fn burden(&self, pod: ObjId) -> Option<Burden> {
        self.pods.get(&pod).map(|pod| pod.burden)
    }

    /// A Pod works on other requests from now on: they take memory of its containers.
    pub fn bear(&mut self, pod: ObjId, burden: Burden, ctx: &mut Ctx<'_>) {
        self.work(pod, ctx, |worker| worker.bear(burden));
    }

    /// Something of a node fills up to an amount, by something outside of all Pods. Whether the node is known and
    /// has power, and a capacity of it.
    pub fn fill_node(
        &mut self,
        node: &str,
        (what, amount, over): (Scarce, InUse, SimDuration),
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let now = ctx.store.now();
        let Some(number) = self.machine(node) else { return false };
        let machine = &mut self.machines[number as usize];
        let capacity =
            ctx.store.get::<Node>(&ObjectKey::cluster(&machine.name)).and_then(|n| what.capacity(n));
        let Some(capacity) = capacity.filter(|_| machine.power) else { return false };
        let target = match amount {
            InUse::Amount(amount) => amount,
            InUse::Percent(percent) => part(capacity, percent),
        };
        let own = &mut machine.pressure.own[what.index()];
        *own = own.fill(now, target, over);
        self.plan_monitor(number, ctx);
        true
    }

    /// When a Pod will have written more than it may.
    pub(super) fn over_limit_from(&self, number: u32, now: SimTime) -> Option<SimTime> {
        let pods = self.pods_on(number);
        let writers = pods.filter(|pod| !pod.is_over() && pod.writes());
        let limits = writers.flat_map(|pod| pod.disk_limits());
        limits.filter_map(|limit| first_above(&limit.levels, limit.limit.value(), now)).min()
    }

    /// Evicts Pods that write more than they may. Whether there were any.
    pub(super) fn evict_over_limit(&mut self, number: u32, now: SimTime, ctx: &mut Ctx<'_>) -> bool {
        let mut any = false;
        for id in self.pods_of(number) {
            let evicted = self.work(id, ctx, |worker| {
                let why = worker.over_disk_limit(now).filter(|_| !worker.pod.is_critical());
                why.is_some_and(|why| worker.evict(&why.into(), GRACE, false))
            });
            any |= evicted.unwrap_or(false);
        }
        any
    }
}
