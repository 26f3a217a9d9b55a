//! Drives the cluster autoscaler and carries out what it asks for, and what the cloud does by itself.

use super::event::Event;
use super::world::World;
use crate::autoscaler::{Ctx, Effect};
use crate::base::{SimTime, Str};
use crate::cloud::fleet::{Chances, GroupId, Launch, Shortage};
use crate::controller::disruption::eviction;
use crate::facts::Fact;

impl World {
    /// Queues the autoscaler's next turn unless an earlier one is queued.
    pub(super) fn wake_autoscaler(&mut self) {
        let now = self.store.now();
        let Some(at) = self.autoscaler.next().map(|at| at.max(now)) else { return };
        if self.autoscaler_wake.set(at, now) {
            self.schedule(at, Event::Autoscaler);
        }
    }

    /// The autoscaler's turn.
    pub(super) fn autoscale(&mut self) {
        let now = self.store.now();
        self.autoscaler_wake.went_off(now);
        // The autoscaler watches for itself; it does not see the cluster with the scheduler's delay.
        self.scheduler.hear(now);
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

    /// Queues the vertical autoscaler's next turn unless an earlier one is queued.
    pub(super) fn wake_vertical(&mut self) {
        let now = self.store.now();
        let Some(at) = self.vertical.next(now).map(|at| at.max(now)) else { return };
        if self.vertical_wake.set(at, now) {
            self.schedule(at, Event::Vertical);
        }
    }

    /// The vertical autoscaler's turn.
    pub(super) fn scale_vertically(&mut self) {
        let now = self.store.now();
        self.vertical_wake.went_off(now);
        let evict = |store: &mut crate::store::Store, pod: &crate::api::ObjectKey| {
            eviction::evict(store, pod, None).is_ok()
        };
        self.vertical.run(&mut self.store, &self.usage, evict);
    }

    /// Asks the cloud for one more machine of a group.
    pub(super) fn request_machine(&mut self, group: GroupId) {
        let (now, seed) = (self.store.now(), self.store.seed());
        let chances = Chances { latencies: &self.plan.latencies, seed };
        if let Launch::Boots(at, node) = self.fleet.request(group, now, chances) {
            self.schedule(at, Event::NodeJoins(node));
        }
    }

    /// The cloud runs short of machines.
    pub(super) fn run_short(&mut self, shortage: Shortage) {
        if let Some(until) = shortage.until {
            self.schedule(until, Event::Capacity);
        }
        self.fleet.run_short(shortage);
    }

    /// What could not be had before is asked for again.
    pub(super) fn capacity_returns(&mut self) {
        let (now, seed) = (self.store.now(), self.store.seed());
        let chances = Chances { latencies: &self.plan.latencies, seed };
        for (at, node) in self.fleet.retry(now, chances) {
            self.schedule(at, Event::NodeJoins(Box::new(node)));
        }
        let groups: Vec<GroupId> = self.fleet.groups().map(|(id, _)| id).collect();
        groups.into_iter().for_each(|group| self.watch_balance(group));
    }

    /// A group whose zones are uneven will even them out.
    pub(super) fn watch_balance(&mut self, group: GroupId) {
        let now = self.store.now();
        if self.fleet.zone_to_fill(group, now).is_some() {
            let name = &self.fleet.group(group).group.name;
            let mut stream = self
                .store
                .seed()
                .stream_of("zone-rebalance", &[name.as_bytes(), &now.as_nanos().to_le_bytes()]);
            let delay = self.plan.latencies.zone_rebalance.sample(&mut stream);
            self.schedule(now + delay, Event::Rebalance(group));
        }
    }

    /// A group launches a machine where it has too few. The one that is too many then goes when the new one is there.
    pub(super) fn rebalance(&mut self, group: GroupId) {
        let (now, seed) = (self.store.now(), self.store.seed());
        let Some(zone) = self.fleet.zone_to_fill(group, now) else { return };
        let chances = Chances { latencies: &self.plan.latencies, seed };
        let (at, node) = self.fleet.launch_in(group, &zone, now, chances);
        self.schedule(at, Event::NodeJoins(Box::new(node)));
    }

    /// A group that has more machines than it is to have terminates one: no drain, no budget is asked.
    pub(super) fn shed_surplus(&mut self, group: GroupId) {
        let Some(node) = self.fleet.surplus(group) else { return };
        self.fact(Fact::Action {
            at: self.store.now(),
            verb: "rebalance".into(),
            summary: format!("group {} terminates {node}", self.fleet.group(group).group.name).into(),
            last_lease_renewal: Vec::new(),
        });
        self.fleet.release(&node);
        self.machine_gone(&node);
        self.watch_balance(group);
    }

    /// A machine of the cloud is terminated, and its Node goes with it.
    pub(super) fn terminate(&mut self, node: &Str) {
        self.fleet.terminate(node);
        self.machine_gone(node);
        if let Some(group) = self.fleet.group_of(node) {
            self.watch_balance(group);
        }
    }

    fn machine_gone(&mut self, node: &Str) {
        self.with_kubelets(|kubelets, ctx| kubelets.fail_node(node, ctx));
        let said = self.disks.machine_gone(node, self.store.now());
        self.data(said);
        let key = crate::api::ObjectKey::cluster(node.clone());
        // A Node that somebody deleted before is gone already.
        let _ = self.store.delete::<crate::api::Node>(&key, &crate::store::DeleteOptions::default());
    }
}
