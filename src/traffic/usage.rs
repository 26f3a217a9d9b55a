//! What Pods use, and what metrics-server says of it.
//!
//! Usage is a rule, not a stream of samples: it is worked out when somebody asks. What must be kept up to date is
//! only how many Pods share a load, and since when a Pod's containers run.
//!
//! # Fidelity
//! metrics-server v0.8.0 gives the average over its last two samples, 0 to 15 s old; here the answer is the usage at
//! the moment of the question, from `first-sample` after the start of a Pod's last container on.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::resources::{CPU, MEMORY};
use crate::api::{Container, ContainerState, LabelSelector, Pod};
use crate::base::{SimDuration, SimTime, Str};
use crate::params::settings::MetricsServer;
use crate::params::{Behaviour, behaviour};
use crate::store::metrics::{
    MetricsApi, NoMetrics, PodSample, Sample, no_custom_metrics, no_external_metrics,
};
use crate::store::{Change, ObjId, Store, Verb};

/// CPU that the Pods of an app use, set from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Where the Pods live.
    pub namespace: Str,
    /// Which Pods.
    pub selector: LabelSelector,
    /// How much.
    pub amount: Amount,
}

/// How much CPU, in millicores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Of all ready, not terminating Pods together, evenly, and of each at most `cap`.
    Shared {
        /// The sum.
        total: i64,
        /// At most, per Pod.
        cap: Option<i64>,
    },
    /// Of each Pod.
    Each(i64),
}

/// What Pods use.
#[derive(Clone, Debug)]
pub struct Usage {
    server: MetricsServer,
    behaviours: Vec<Behaviour>,
    loads: Vec<Borne>,
    /// Since when all containers of a Pod run.
    running: BTreeMap<ObjId, SimTime>,
    /// Pods that will be listed, by when.
    coming: BTreeSet<(SimTime, ObjId)>,
}

/// A load and who bears it.
#[derive(Clone, Debug)]
struct Borne {
    load: Load,
    ready: BTreeSet<ObjId>,
}

impl Usage {
    /// Of containers that behave so, with a metrics-server of these settings.
    pub fn new(server: &MetricsServer, behaviours: &[Behaviour]) -> Self {
        Self {
            server: server.clone(),
            behaviours: behaviours.to_vec(),
            loads: Vec::new(),
            running: BTreeMap::new(),
            coming: BTreeSet::new(),
        }
    }

    /// Sets the load of an app; it takes the place of an earlier one with the same selector.
    pub fn set_load(&mut self, store: &Store, load: Load) {
        let bears = |pod: &Pod| pod.is_ready() && !pod.meta.is_deleting();
        let ready = store
            .select_pods(&load.namespace, &load.selector)
            .into_iter()
            .filter(|pod| bears(pod))
            .filter_map(|pod| store.id_of::<Pod>(&pod.meta.key()))
            .collect();
        let same = |b: &Borne| b.load.namespace == load.namespace && b.load.selector == load.selector;
        self.loads.retain(|b| !same(b));
        self.loads.push(Borne { load, ready });
    }

    /// Hears of a change.
    pub fn on_change(&mut self, change: &Change) {
        let Some((_, new)) = change.of::<Pod>() else { return };
        let runs = new.is_some_and(|pod| runs(pod));
        match (runs, self.running.get(&change.id).copied()) {
            (true, None) => {
                self.running.insert(change.id, change.at);
                self.coming.insert((change.at + self.server.first_sample, change.id));
                while self.coming.first().is_some_and(|(at, _)| *at < change.at) {
                    self.coming.pop_first();
                }
            }
            (false, Some(since)) => {
                self.running.remove(&change.id);
                self.coming.remove(&(since + self.server.first_sample, change.id));
            }
            (true, Some(_)) | (false, None) => {}
        }
        let meta = change.object.meta();
        for borne in &mut self.loads {
            let bears = change.verb != Verb::Deleted
                && new.is_some_and(|pod| pod.is_ready() && !pod.meta.is_deleting())
                && meta.namespace == borne.load.namespace
                && borne.load.selector.matches(&meta.labels);
            if bears {
                borne.ready.insert(change.id);
            } else {
                borne.ready.remove(&change.id);
            }
        }
    }

    /// Millicores that a Pod uses, shared evenly by its containers: the first has what is left over.
    fn cpu(&self, id: ObjId, pod: &Pod, container: Option<&str>) -> i64 {
        let idle = self.of_containers(pod, container, |b| b.cpu.map(|use_| use_.idle));
        let loads = self.loads.iter().map(|borne| borne.cpu_of(id, pod)).sum::<i64>();
        let count = i64::try_from(pod.spec.containers.len()).unwrap_or(1).max(1);
        let share = match container {
            None => loads,
            Some(name) => {
                let first = pod.spec.containers.first().is_some_and(|c| c.name == name);
                loads / count + if first { loads % count } else { 0 }
            }
        };
        idle + share
    }

    /// The sum over the containers that are meant of what the first behaviour with an opinion says.
    fn of_containers(
        &self,
        pod: &Pod,
        container: Option<&str>,
        what: impl Fn(&Behaviour) -> Option<i64>,
    ) -> i64 {
        let meant = |c: &&Container| container.is_none_or(|name| c.name == name);
        let one = |c: &Container| {
            let covers =
                |b: &&Behaviour| b.matches.covers(&pod.meta.namespace, &pod.meta.labels, &c.name, &c.image);
            self.behaviours.iter().filter(covers).find_map(&what).unwrap_or(0)
        };
        pod.spec.containers.iter().filter(meant).map(one).sum()
    }
}

impl Borne {
    fn cpu_of(&self, id: ObjId, pod: &Pod) -> i64 {
        match self.load.amount {
            Amount::Each(milli) => {
                let meant =
                    pod.meta.namespace == self.load.namespace && self.load.selector.matches(&pod.meta.labels);
                if meant { milli } else { 0 }
            }
            Amount::Shared { total, cap } => {
                if !self.ready.contains(&id) {
                    return 0;
                }
                let share = total / i64::try_from(self.ready.len()).unwrap_or(1).max(1);
                cap.map_or(share, |cap| share.min(cap))
            }
        }
    }
}

/// Whether all regular containers of a Pod run.
fn runs(pod: &Pod) -> bool {
    let running = |c: &crate::api::ContainerStatus| matches!(c.state, ContainerState::Running { .. });
    !pod.status.containers.is_empty() && pod.status.containers.iter().all(running)
}

impl MetricsApi for Usage {
    fn resource_metrics(&self) -> Result<(), Str> {
        if self.server.enabled { Ok(()) } else { NoMetrics.resource_metrics() }
    }

    fn pod_usage(
        &self,
        store: &Store,
        id: ObjId,
        pod: &Pod,
        resource: &str,
        container: Option<&str>,
    ) -> PodSample {
        let now = store.now();
        if self.running.get(&id).is_none_or(|since| *since + self.server.first_sample > now) {
            return PodSample::Missing;
        }
        if container.is_some_and(|name| !pod.spec.containers.iter().any(|c| c.name == name)) {
            return PodSample::NoContainer;
        }
        let milli = match resource {
            CPU => self.cpu(id, pod, container),
            MEMORY => {
                let running = self.running.get(&id).map_or(SimDuration::ZERO, |since| now.since(*since));
                let bytes =
                    self.of_containers(pod, container, |b| b.memory.map(|m| memory_after(m, running)));
                bytes.saturating_mul(1000)
            }
            _ => return PodSample::Missing,
        };
        PodSample::Value(Sample { milli, at: now, window: self.server.window })
    }

    fn pod_metric(
        &self,
        _: &Store,
        _: ObjId,
        _: &Pod,
        _: &str,
        _: &LabelSelector,
    ) -> Result<Option<Sample>, Str> {
        Err(no_custom_metrics())
    }

    fn object_metric(
        &self,
        _: &Store,
        _: &str,
        _: (&str, &str),
        _: &str,
        _: &LabelSelector,
    ) -> Result<i64, Str> {
        Err(no_custom_metrics())
    }

    fn external_metric(&self, _: &Store, _: &str, _: &str, _: &LabelSelector) -> Result<Vec<i64>, Str> {
        Err(no_external_metrics())
    }

    fn next_change(&self, now: SimTime) -> Option<SimTime> {
        let leaks = self.behaviours.iter().any(|b| b.memory.is_some_and(|m| m.growth != 0));
        let listed = self.coming.iter().map(|(at, _)| *at).find(|at| *at > now);
        if leaks { Some(now) } else { listed }
    }
}

/// Bytes of a container that has run for so long.
fn memory_after(memory: behaviour::MemoryUse, running: SimDuration) -> i64 {
    let seconds = i64::try_from(running.as_secs()).unwrap_or(i64::MAX);
    memory.idle.saturating_add(memory.growth.saturating_mul(seconds))
}
