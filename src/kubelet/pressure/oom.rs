//! A node without any memory left: the kernel kills whom its score names.
//!
//! Upstream: `pkg/kubelet/qos/policy.go` `GetContainerOOMScoreAdjust`, v1.34; Linux, `oom_badness` of `mm/oom_kill.c`.
//!
//! # Fidelity
//!
//! * The kernel kills in the instant in which memory is used up. All processes of the container die with it
//!   (`memory.oom.group`, cgroup v2).
//! * What the scenario fills of a node outside of all Pods is one process with the score of an ordinary one.
//!   It has no name: `SystemOOM` does not name its victim.

use super::limits::KILLED;
use super::{Scarce, Used, pods_limit};
use crate::api::pod::QosClass;
use crate::api::resources::MEMORY;
use crate::api::{EventType, Node, ObjectKey};
use crate::base::{SimTime, text::lit};
use crate::kubelet::pod::LocalPod;
use crate::kubelet::usage::{Level, first_above};
use crate::kubelet::{Ctx, Kubelets, NodeStep, say};
use crate::store::ObjId;
use crate::store::admission::SYSTEM_NODE_CRITICAL;

/// The kernel's readiness to kill processes that are protected, of BestEffort Pods, and its bounds for Burstable ones.
const PROTECTED: i64 = -997;
const BEST_EFFORT: i64 = 1000;
const BURSTABLE: std::ops::RangeInclusive<i64> = 3..=999;

impl LocalPod {
    /// How ready the kernel is to kill a container, from -997 to 1000.
    pub fn oom_score_adj(&self, index: usize, node_memory: i64) -> i64 {
        if self.spec.priority >= SYSTEM_NODE_CRITICAL {
            return PROTECTED;
        }
        match self.spec.qos {
            QosClass::Guaranteed => return PROTECTED,
            QosClass::BestEffort => return BEST_EFFORT,
            QosClass::Burstable => {}
        }
        let of = |index: usize| {
            let asked = self.container(index).requests.get(MEMORY).map_or(0, |q| q.value());
            let share = i128::from(asked) * 1000 / i128::from(node_memory.max(1));
            (1000 - i64::try_from(share).unwrap_or(1000)).clamp(*BURSTABLE.start(), *BURSTABLE.end())
        };
        let own = of(index);
        if self.is_sidecar(index) {
            // A sidecar is kept at least as long as what it stands beside.
            let regular = (self.init_count()..self.containers.len()).map(of).min();
            return regular.map_or(own, |least| least.min(own));
        }
        own
    }
}

/// Whom the kernel kills.
enum Victim {
    Container(ObjId, usize),
    Outside,
}

impl Kubelets {
    /// What there is of memory: all of the node, and what Pods share; none of what nothing is used of.
    fn memory_bounds(&self, number: u32, memory: &Used, ctx: &Ctx<'_>) -> Vec<(bool, i64)> {
        if memory.levels.is_empty() {
            return Vec::new();
        }
        let machine = &self.machines[number as usize];
        let node = ctx.store.get::<Node>(&ObjectKey::cluster(&machine.name));
        let Some((node, capacity)) = node.and_then(|n| Some((n, Scarce::Memory.capacity(n)?))) else {
            return Vec::new();
        };
        let reserve = Scarce::Memory
            .watches(machine, ctx)
            .first()
            .filter(|watch| !watch.limit.soft)
            .map_or(0, |watch| watch.reserve);
        [(false, capacity), (true, pods_limit(node, capacity, reserve))]
            .into_iter()
            .filter(|(pods_only, _)| !memory.levels(*pods_only).is_empty())
            .collect()
    }

    /// Works out when memory is used up.
    pub(super) fn plan_exhaustion(&mut self, number: u32, memory: &Used, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let bounds = self.memory_bounds(number, memory, ctx).into_iter();
        let above = |(pods_only, limit)| first_above(memory.levels(pods_only), limit, now);
        let at = bounds.filter_map(above).min();
        let machine = &mut self.machines[number as usize];
        if std::mem::replace(&mut machine.pressure.exhausted, at) != at {
            self.node_timer(number, at, NodeStep::OutOfMemory, ctx);
        }
    }

    /// Memory is used up, unless something has changed since: one after another is killed until it suffices.
    pub(in crate::kubelet) fn exhausted(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let machine = &mut self.machines[number as usize];
        if machine.pressure.exhausted != Some(now) || !machine.power {
            return;
        }
        machine.pressure.exhausted = None;
        loop {
            let memory = self.used(number, Scarce::Memory);
            let mut bounds = self.memory_bounds(number, &memory, ctx).into_iter();
            let Some((pods_only, _)) = bounds.find(|(pods_only, limit)| memory.at(*pods_only, now) > *limit)
            else {
                break;
            };
            match self.oom_victim(number, pods_only, now, ctx) {
                Some(Victim::Container(id, index)) => {
                    self.work(id, ctx, |worker| worker.ended(index, KILLED, lit!("OOMKilled")));
                }
                Some(Victim::Outside) => {
                    let machine = &mut self.machines[number as usize];
                    machine.pressure.own[Scarce::Memory.index()] = Level::default();
                    say::of_node(machine, EventType::Warning, "SystemOOM", "System OOM encountered", ctx);
                }
                None => break,
            }
        }
        self.plan_monitor(number, ctx);
    }

    /// Whoever has the highest score: its memory and what its readiness is worth of the node's.
    fn oom_victim(&self, number: u32, pods_only: bool, now: SimTime, ctx: &Ctx<'_>) -> Option<Victim> {
        let machine = &self.machines[number as usize];
        let node = ctx.store.get::<Node>(&ObjectKey::cluster(&machine.name))?;
        let memory = Scarce::Memory.capacity(node)?;
        let mut worst: Option<(i64, Victim)> = None;
        let mut judge = |used: i64, adj: i64, victim: Victim| {
            let points = used.saturating_add(adj.saturating_mul(memory / 1000));
            if used > 0 && worst.as_ref().is_none_or(|(most, _)| points > *most) {
                worst = Some((points, victim));
            }
        };
        for pod in machine.users.iter().filter_map(|id| self.pods.get(id)) {
            for (index, life) in pod.containers.iter().enumerate().filter(|(_, life)| life.is_running()) {
                judge(
                    life.usage(Scarce::Memory, now),
                    pod.oom_score_adj(index, memory),
                    Victim::Container(pod.id, index),
                );
            }
        }
        if !pods_only {
            judge(machine.pressure.own[Scarce::Memory.index()].at(now), 0, Victim::Outside);
        }
        worst.map(|(_, victim)| victim)
    }
}
