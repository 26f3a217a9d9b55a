//! Machines that go off with notice: the kubelet holds the shutdown back until its Pods have ended.
//!
//! Upstream: `pkg/kubelet/nodeshutdown/nodeshutdown_manager.go` and `nodeshutdown_manager_linux.go`, v1.34. Without
//! `shutdown-grace-period` the kubelet does not ask for time, and the machine goes off at once.
//!
//! # Fidelity
//!
//! A machine goes off in the instant in which its kubelet lets it go.

use super::pod::{Stage, Verdict};
use super::worker::Worker;
use super::{Ctx, Kubelets, NodeStep, say};
use crate::api::EventType;
use crate::base::{SimDuration, SimTime, Str, text::lit};
use crate::store::ObjId;
use crate::store::admission::SYSTEM_CLUSTER_CRITICAL;

/// A shutdown under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Groups of Pods that have yet to be ended, the next one last.
    groups: Vec<Group>,
    /// Those that are being ended.
    ending: Vec<ObjId>,
    /// Until when they are waited for.
    until: SimTime,
}

/// Pods that are ended together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    /// How long they may take.
    grace: SimDuration,
    /// Who they are.
    pods: Vec<ObjId>,
}

/// How often it is looked whether the Pods of a group have ended.
const POLL: SimDuration = SimDuration::from_millis(100);

/// How long Pods from each priority on may take, the lowest first.
///
/// Upstream: `NewManager`, `migrateConfig`.
fn periods(settings: &crate::params::settings::Kubelet) -> Vec<(i32, SimDuration)> {
    let mut periods = settings.shutdown_grace_period_by_pod_priority.clone();
    let (total, critical) = (settings.shutdown_grace_period, settings.shutdown_grace_period_critical_pods);
    if periods.is_empty() && !total.is_zero() && critical <= total {
        periods = vec![(0, total.saturating_sub(critical)), (SYSTEM_CLUSTER_CRITICAL, critical)];
    }
    periods.sort_by_key(|(priority, _)| *priority);
    periods
}

impl Worker<'_, '_> {
    /// The Pod must end before the machine goes off.
    fn end_for_shutdown(&mut self, grace: SimDuration) {
        let message = lit!("Pod was terminated in response to imminent node shutdown.");
        let reason = lit!("Terminated");
        self.pod.verdict =
            Some(Box::new(Verdict { reason, disruption: Some(message.clone()), message, rejected: false }));
        let own = SimDuration::from_api_secs(self.pod.spec.termination_grace_seconds);
        if matches!(self.pod.stage, Stage::Admitting | Stage::Arrived) {
            self.finish();
        } else {
            self.terminate(own.min(grace));
        }
    }
}

impl Kubelets {
    /// The machine is asked to shut down. With a grace period its Pods are ended first, the critical ones last;
    /// without one it goes off now. Whether it is known and has power; the last renewal of its lease if it went off.
    pub fn shut_down_node(&mut self, node: &str, ctx: &mut Ctx<'_>) -> Option<SimTime> {
        let number = self.machine(node)?;
        let periods = periods(ctx.params.settings);
        let machine = &self.machines[number as usize];
        if !machine.acts() || periods.iter().all(|(_, grace)| grace.is_zero()) {
            return self.fail_node(node, ctx);
        }
        if machine.shutdown.is_some() {
            return None;
        }
        let groups = self.groups(number, &periods);
        let until = ctx.store.now();
        let machine = &mut self.machines[number as usize];
        machine.shutdown = Some(Box::new(Shutdown { groups, ending: Vec::new(), until }));
        let message = "Shutdown manager detected shutdown event";
        say::of_node(machine, EventType::Normal, "Shutdown", message, ctx);
        machine.post_status(ctx);
        self.shutdown_goes_on(number, ctx);
        None
    }

    /// The Pods of a node by the period that they are given: a priority belongs to the highest one that is not above
    /// it, or to the lowest.
    ///
    /// Upstream: `groupByPriority`, `groupIndex`.
    fn groups(&self, number: u32, periods: &[(i32, SimDuration)]) -> Vec<Group> {
        let mut groups: Vec<Group> =
            periods.iter().map(|(_, grace)| Group { grace: *grace, pods: Vec::new() }).collect();
        for id in self.pods_of(number) {
            let Some(pod) = self.pods.get(&id).filter(|pod| pod.stage != Stage::Ended) else { continue };
            let above = periods.partition_point(|(priority, _)| *priority <= pod.spec.priority);
            if let Some(group) = groups.get_mut(above.saturating_sub(1)) {
                group.pods.push(id);
            }
        }
        // The lowest priority ends first.
        groups.reverse();
        groups
    }

    /// The next group of Pods, if the one before has ended or has had its time; after the last the machine goes off.
    pub(super) fn shutdown_goes_on(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let Some(mut shutdown) = self.machines[number as usize].shutdown.take() else { return };
        if !self.machines[number as usize].acts() {
            return;
        }
        loop {
            let left = |id: &ObjId| self.pods.get(id).is_some_and(|pod| pod.stage != Stage::Ended);
            shutdown.ending.retain(left);
            if !shutdown.ending.is_empty() && now < shutdown.until {
                let after = POLL.min(shutdown.until - now);
                self.machines[number as usize].shutdown = Some(shutdown);
                self.node_at(number, after, NodeStep::Shutdown, ctx);
                return;
            }
            let Some(group) = shutdown.groups.pop() else { break };
            // Upstream: whole seconds.
            let grace = SimDuration::from_secs(group.grace.as_secs());
            for id in &group.pods {
                self.work(*id, ctx, |worker| worker.end_for_shutdown(grace));
            }
            shutdown.ending = group.pods;
            shutdown.until = now + grace;
            // Pods that come meanwhile must find the shutdown.
            self.machines[number as usize].shutdown = Some(shutdown.clone());
        }
        let name: Str = self.machines[number as usize].name.clone();
        self.fail_node(&name, ctx);
    }
}
