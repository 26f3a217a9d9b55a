//! Drives the cluster autoscaler and carries out what it asks for.

use super::event::Event;
use super::world::World;
use crate::autoscaler::{Ctx, Effect};
use crate::base::{SimTime, Str};
use crate::controller::disruption::eviction;

impl World {
    /// Queues the autoscaler's next turn unless an earlier one is queued.
    pub(super) fn wake_autoscaler(&mut self) {
        let now = self.store.now();
        let Some(at) = self.autoscaler.next().map(|at| at.max(now)) else { return };
        if self.autoscaler_wake.is_none_or(|wake| at < wake || wake < now) {
            self.autoscaler_wake = Some(at);
            self.schedule(at, Event::Autoscaler);
        }
    }

    /// The autoscaler's turn.
    pub(super) fn autoscale(&mut self) {
        let now = self.store.now();
        self.autoscaler_wake = self.autoscaler_wake.filter(|wake| *wake > now);
        // The autoscaler watches for itself; it does not see the cluster with the scheduler's delay.
        let scheduler = self.scheduler.as_of(SimTime::MAX);
        let Some(framework) = scheduler.default_framework() else { return };
        let mut effects = Vec::new();
        let mut ctx = Ctx {
            store: &mut self.store,
            framework,
            snapshot: scheduler.snapshot(),
            fleet: &mut self.fleet,
            latencies: &self.plan.latencies,
            out: &mut effects,
        };
        self.autoscaler.run(&mut ctx);
        for effect in effects {
            match effect {
                Effect::Joins(at, node) => self.schedule(at, Event::NodeJoins(node)),
                Effect::Terminate(node) => self.terminate(&node),
                Effect::Evict(pod, grace) => {
                    // A refused eviction is asked for again by the autoscaler.
                    let _ = eviction::evict(&mut self.store, &pod, Some(grace));
                }
            }
        }
    }

    /// A machine of the cloud is terminated, and its Node goes with it.
    pub(super) fn terminate(&mut self, node: &Str) {
        self.fleet.terminate(node);
        self.with_kubelets(|kubelets, ctx| kubelets.fail_node(node, ctx));
        let said = self.disks.machine_gone(node, self.store.now());
        self.data(said);
        let key = crate::api::ObjectKey::cluster(node.clone());
        // A Node that somebody deleted before is gone already.
        let _ = self.store.delete::<crate::api::Node>(&key, &crate::store::DeleteOptions::default());
    }
}
