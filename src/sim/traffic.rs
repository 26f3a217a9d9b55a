//! Drives the requests: works flows out when something has changed, and tells who must know.

use super::event::Event;
use super::world::World;
use crate::base::SimTime;
use crate::kubelet::pod::Burden;

impl World {
    /// Begins to follow requests, if there are any.
    pub(super) fn begin_traffic(&mut self) {
        if !self.usage.traffic().is_none() {
            self.kubelets.watch_answers();
        }
    }

    /// Queues the next working out of the flows unless an earlier one is queued.
    pub(super) fn wake_traffic(&mut self) {
        if self.usage.traffic().is_none() {
            return;
        }
        let now = self.store.now();
        for pod in self.kubelets.take_touched() {
            let kubelets = &self.kubelets;
            self.usage.touch(pod, || kubelets.health(pod, now));
            if let Some(burden) = kubelets.burden(pod) {
                self.usage.check_in_flight(pod, burden.count);
            }
        }
        let Some(at) = self.usage.traffic().next().map(|at| at.max(now)) else { return };
        if self.traffic_wake.set(at, now) {
            self.schedule(at, Event::Traffic);
        }
    }

    /// Flows are worked out anew; autoscalers hear of it if Pods use another amount of CPU now.
    pub(super) fn flow(&mut self) {
        let now = self.store.now();
        self.traffic_wake.went_off(now);
        if self.usage.traffic().next().is_none_or(|at| at > now) {
            return;
        }
        let kubelets = &self.kubelets;
        let health = |pod| kubelets.health(pod, now);
        let whole = self.checks.then(|| self.usage.whole_flow(&self.store, &health));
        let changed = self.usage.flow(&self.store, &health, &mut self.facts);
        self.astray = whole.and_then(|whole| self.usage.traffic().difference(&whole));
        for pod in &changed {
            let Some((count, per_second)) = self.usage.in_flight(*pod) else { break };
            let burden = Burden { from: now, count, per_second };
            self.with_kubelets(|kubelets, ctx| kubelets.bear(*pod, burden, ctx));
        }
        if !changed.is_empty() {
            self.manager.on_metrics_change(self.usage.seen_from(now), Some(&changed), &self.store);
        }
    }

    /// The run is over: what has happened to requests since the last change is told.
    pub(super) fn end_traffic(&mut self) {
        let now: SimTime = self.store.now();
        self.usage.finish(now, &mut self.facts);
        self.settle();
    }
}
