//! Machines that go off with notice: the kubelet holds the shutdown back until its Pods have ended.
//!
//! Upstream: `pkg/kubelet/nodeshutdown/nodeshutdown_manager.go` and `nodeshutdown_manager_linux.go`, v1.34. Without
//! `shutdown-grace-period` the kubelet does not ask for time, and the machine goes off at once.
//!
//! # Fidelity
//!
//! * Pods are grouped into critical and other ones; `shutdownGracePeriodByPodPriority` cannot be set.
//! * A machine goes off in the instant in which its kubelet lets it go.

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

impl Worker<'_, '_> {
    /// The Pod must end before the machine goes off.
    fn end_for_shutdown(&mut self, grace: SimDuration) {
        let message = lit!("Pod was terminated in response to imminent node shutdown.");
        let reason = lit!("Terminated");
        self.pod.verdict = Some(Box::new(Verdict { reason, message, disruption: true, rejected: false }));
        let own = SimDuration::from_api_secs(self.pod.spec.termination_grace_seconds);
        if self.pod.stage == Stage::Arrived {
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
        let settings = ctx.params.settings;
        let (total, critical) =
            (settings.shutdown_grace_period, settings.shutdown_grace_period_critical_pods);
        let machine = &self.machines[number as usize];
        if !machine.acts() || total.is_zero() || critical > total {
            return self.fail_node(node, ctx);
        }
        if machine.shutdown.is_some() {
            return None;
        }
        let pods = self
            .pods_of(number)
            .into_iter()
            .filter(|id| self.pods.get(id).is_some_and(|p| p.stage != Stage::Ended));
        let is_critical =
            |id: &ObjId| self.pods.get(id).is_some_and(|p| p.spec.priority >= SYSTEM_CLUSTER_CRITICAL);
        let (vital, others): (Vec<ObjId>, Vec<ObjId>) = pods.partition(is_critical);
        let groups = vec![
            Group { grace: critical, pods: vital },
            Group { grace: total.saturating_sub(critical), pods: others },
        ];
        let until = ctx.store.now();
        let machine = &mut self.machines[number as usize];
        machine.shutdown = Some(Shutdown { groups, ending: Vec::new(), until });
        let message = "Shutdown manager detected shutdown event";
        say::of_node(machine, EventType::Normal, "Shutdown", message, ctx);
        machine.post_status(ctx);
        self.shutdown_goes_on(number, ctx);
        None
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
