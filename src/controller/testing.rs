//! A store and a controller manager driven by hand, for unit tests of controllers.

use std::collections::BTreeMap;

use super::framework::{Controller, WorkKey};
use super::manager::{ControllerId, Manager, ManagerConfig};
use crate::api::pod::cond;
use crate::api::policy::ResourceQuota;
use crate::api::{Condition, ConditionStatus, Kind, Meta, ObjectKey, Phase, Pod, ResourceList, condition};
use crate::base::{Quantity, SimDuration, SimTime, Str};
use crate::store::metrics::NoMetrics;
use crate::store::{Change, DeleteOptions, Store, Verb};
use crate::testkit;

/// What stands in for scheduler and kubelet.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeKubelet {
    /// Pods are bound at once and ready after this time.
    pub ready_after: Option<SimDuration>,
    /// Deleted Pods are removed after this time.
    pub removed_after: Option<SimDuration>,
}

#[derive(Clone, Debug)]
enum Step {
    Wake(ControllerId),
    Ready(ObjectKey),
    Remove(ObjectKey),
}

/// A store, controllers, and everything that was written.
#[derive(Debug)]
pub struct Harness {
    /// The store; write to it, then call [`Harness::settle`] or [`Harness::advance`].
    pub store: Store,
    /// The controllers.
    pub manager: Manager,
    /// Every change so far.
    pub log: Vec<Change>,
    /// What Pods do.
    pub kubelet: FakeKubelet,
    steps: BTreeMap<(SimTime, u64), Step>,
    sequence: u64,
    nodes: u64,
}

impl Harness {
    /// Controllers over a store with the namespace `default`.
    pub fn new(controllers: Vec<Box<dyn Controller>>) -> Self {
        Self::with_config(controllers, ManagerConfig::default())
    }

    /// As [`Harness::new`], the controllers set up in another way.
    pub fn with_config(controllers: Vec<Box<dyn Controller>>, config: ManagerConfig) -> Self {
        let store = testkit::store();
        let manager = Manager::new(controllers, config, store.now());
        let mut harness = Self {
            store,
            manager,
            log: Vec::new(),
            kubelet: FakeKubelet::default(),
            steps: BTreeMap::new(),
            sequence: 0,
            nodes: 0,
        };
        harness.settle();
        harness
    }

    /// Pods are ready a second after they are created and gone a second after they are deleted.
    #[must_use]
    pub fn with_kubelet(mut self) -> Self {
        let second = Some(SimDuration::from_secs(1));
        self.kubelet = FakeKubelet { ready_after: second, removed_after: second };
        self
    }

    /// Delivers what was written to the controllers, without moving the clock.
    pub fn settle(&mut self) {
        while self.store.has_changes() {
            for change in self.store.drain_changes() {
                self.manager.on_change(&change, &self.store);
                self.act_as_kubelet(&change);
                self.log.push(change);
            }
        }
        while let Some((at, id)) = self.manager.next_wake() {
            self.put(at, Step::Wake(id));
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, span: SimDuration) {
        let end = self.store.now() + span;
        self.settle();
        while let Some(entry) = self.steps.first_entry() {
            let (at, _) = *entry.key();
            if at > end {
                break;
            }
            let step = entry.remove();
            self.store.advance(at.max(self.store.now()));
            match step {
                Step::Wake(id) => self.manager.run(id, &mut self.store, &NoMetrics),
                Step::Ready(pod) => self.set_ready(&pod, true),
                Step::Remove(pod) => self.remove_pod(&pod),
            }
            self.settle();
        }
        self.store.advance(end);
    }

    /// Lets seconds pass.
    pub fn advance_secs(&mut self, seconds: u64) {
        self.advance(SimDuration::from_secs(seconds));
    }

    /// Lets milliseconds pass.
    pub fn advance_millis(&mut self, millis: u64) {
        self.advance(SimDuration::from_millis(millis));
    }

    fn put(&mut self, at: SimTime, step: Step) {
        self.sequence += 1;
        self.steps.insert((at, self.sequence), step);
    }

    fn act_as_kubelet(&mut self, change: &Change) {
        let Some((old, Some(pod))) = change.of::<Pod>() else { return };
        let (pod, key) = (pod.clone(), pod.meta.key());
        let newly_deleted = pod.meta.is_deleting() && !old.is_some_and(|o| o.meta.is_deleting());
        if change.verb == Verb::Added
            && let Some(delay) = self.kubelet.ready_after
        {
            self.bind(&key);
            self.put(change.at + delay, Step::Ready(key));
        } else if newly_deleted && let Some(delay) = self.kubelet.removed_after {
            self.put(change.at + delay, Step::Remove(key));
        }
    }

    /// Binds a Pod to a node of its own, unless it has one.
    pub fn bind(&mut self, pod: &ObjectKey) {
        self.nodes += 1;
        let node = format!("node-{}", self.nodes);
        let _ = self.store.update::<Pod>(pod, |pod| {
            pod.node_name.get_or_insert(node.into());
        });
    }

    /// Makes a Pod Running and ready, or not ready. A Pod that has gone stays gone.
    pub fn set_ready(&mut self, pod: &ObjectKey, ready: bool) {
        let now = self.store.timestamp();
        let _ = self.store.update::<Pod>(pod, |pod| {
            pod.status.phase = Phase::Running;
            if pod.status.pod_ip.is_empty() {
                pod.status.pod_ip = format!("10.0.0.{}", pod.meta.resource_version).into();
            }
            let status = ConditionStatus::of(ready);
            condition::set(&mut pod.status.conditions, Condition::new(cond::READY, status, "", "", now));
        });
    }

    /// Binds all Pods that are not being deleted and makes them ready.
    pub fn ready_all(&mut self) {
        let pods: Vec<_> = self.store.list::<Pod>().filter(|p| p.is_active()).map(|p| p.meta.key()).collect();
        for pod in pods {
            self.bind(&pod);
            self.set_ready(&pod, true);
        }
    }

    /// Ends a deletion as the kubelet does.
    pub fn remove_pod(&mut self, pod: &ObjectKey) {
        let _ = self.store.delete::<Pod>(pod, &DeleteOptions::force());
    }

    /// Active Pods.
    pub fn active_pods(&self) -> usize {
        self.store.list::<Pod>().filter(|p| p.is_active()).count()
    }

    /// Events in the order in which they were first said: `Reason: message`.
    pub fn events(&self) -> Vec<String> {
        self.store.events().map(|e| format!("{}: {}", e.reason, e.message)).collect()
    }

    /// Events with a reason: the messages.
    pub fn events_of(&self, reason: &str) -> Vec<String> {
        self.store.events().filter(|e| e.reason == reason).map(|e| e.message.to_string()).collect()
    }

    /// Forgets what was written so far.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// What was written to objects of a kind, in order: `verb name`.
    pub fn writes(&self, kind: Kind) -> Vec<String> {
        self.log
            .iter()
            .filter(|c| c.kind() == kind)
            .map(|c| format!("{:?} {}", c.verb, c.object().meta().name))
            .collect()
    }
}

/// The sync of an object of the namespace `default`.
pub fn sync(name: &str) -> WorkKey {
    WorkKey::sync(ObjectKey::new("default", name))
}

/// A quota of one resource that nothing has used yet and that has been counted.
pub fn counted_quota(resource: &'static str, amount: i64) -> ResourceQuota {
    let list = |n| [(Str::from(resource), Quantity::from_units(n))].into_iter().collect::<ResourceList>();
    ResourceQuota {
        meta: Meta::named("default", "q"),
        hard: list(amount),
        status_hard: list(amount),
        used: list(0),
        ..ResourceQuota::default()
    }
}
