//! The vertical Pod autoscaler: sees what containers use, recommends requests, and has Pods replaced that are far off.
//!
//! * [`object`]: VerticalPodAutoscalers. * [`histogram`], [`recommender`]: from usage to requests. * [`updater`]: which Pods
//!   are evicted. What new Pods get is [`crate::store::webhook`].
//!
//! Its objects are custom resources; the components run while there is at least one of them, and cost nothing else.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/{recommender,updater,admission-controller}`, 1.5.1.
//!
//! # Fidelity
//! Recommender and updater share one clock of `--recommender-interval`, the recommender first. History is kept in memory:
//! a VerticalPodAutoscalerCheckpoint that the scenario gives is read, none is written; old aggregates are not collected.
//! `InPlaceOrRecreate` works as `Recreate`: Pods are evicted, not resized in place. A target is a Deployment, ReplicaSet,
//! ReplicationController, StatefulSet, DaemonSet or Job; an autoscaler for another autoscaler's Pods is not looked for. The
//! eviction rate limit (off by default), eviction requirements, startup boosts, rounding flags, alternative recommenders and
//! bounds of LimitRanges are not simulated. Evictions for want of memory on a node do not count as out-of-memory kills.

pub mod histogram;
pub mod object;
pub mod recommender;
#[cfg(test)]
mod tests;
pub mod updater;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::workload::{DaemonSet, Deployment, Job, ReplicaSet, ReplicationController, StatefulSet};
use crate::api::{Container as Spec, EventType, Inert, LabelSelector, ObjectKey, ObjectRef, Pod};
use crate::base::text::lit;
use crate::base::{SimDuration, SimTime, Str, Timestamp};
use crate::params::settings::{Settings, VpaRecommender, VpaUpdater};
use crate::store::metrics::{MetricsApi, PodSample};
use crate::store::webhook::{Resizer, Target};
use crate::store::{Change, Emit, Store};
use object::{CHECKPOINT_KIND, Mode, Vpa};
use recommender::{Aggregate, Container};

/// All components of the vertical autoscaler.
#[derive(Clone, Debug)]
pub struct Vertical {
    recommender: VpaRecommender,
    updater: VpaUpdater,
    /// What is known of containers, by autoscaler and container.
    aggregates: BTreeMap<ObjectKey, BTreeMap<Str, Aggregate>>,
    /// What is known of single containers, by Pod and name.
    containers: BTreeMap<(Str, Str), Container>,
    /// Containers that were killed for their memory since the last turn.
    ooms: Vec<Oom>,
    /// Autoscalers that there are.
    objects: usize,
    /// An autoscaler has changed since new Pods were last told.
    changed: bool,
    last: Option<SimTime>,
}

/// A container that was killed for its memory.
#[derive(Clone, Debug)]
struct Oom {
    pod: Arc<Pod>,
    container: Str,
    /// Bytes that it had requested.
    requested: i64,
    at: Timestamp,
}

impl Vertical {
    /// With these flags.
    pub fn new(settings: &Settings) -> Self {
        Self {
            recommender: settings.vpa_recommender.clone(),
            updater: settings.vpa_updater.clone(),
            aggregates: BTreeMap::new(),
            containers: BTreeMap::new(),
            ooms: Vec::new(),
            objects: 0,
            changed: false,
            last: None,
        }
    }

    /// Hears of a change.
    pub fn on_change(&mut self, change: &Change) {
        if let Some((old, new)) = change.of::<Inert>() {
            let is_ours = |object: Option<&Arc<Inert>>| {
                object.is_some_and(|o| object::concerns(o) && o.kind != CHECKPOINT_KIND)
            };
            let (was, is) = (is_ours(old), is_ours(new));
            self.objects = self.objects + usize::from(is) - usize::from(was);
            self.changed |= was || is;
        } else if self.objects > 0
            && let Some((Some(old), new)) = change.of::<Pod>()
        {
            match new {
                Some(new) => self.note_ooms(old, new),
                None => self.containers.retain(|(uid, _), _| *uid != old.meta.uid),
            }
        }
    }

    fn note_ooms(&mut self, old: &Arc<Pod>, new: &Arc<Pod>) {
        for status in new.status.containers.iter().filter(|status| status.restart_count > 0) {
            let Some(end) = status.last_termination.as_ref().filter(|end| end.reason == "OOMKilled") else {
                continue;
            };
            let before = old.status.containers.iter().find(|s| s.name == status.name);
            if before.is_none_or(|before| before.restart_count >= status.restart_count) {
                continue;
            }
            let spec = old.spec.containers.iter().find(|c| c.name == status.name);
            let requested = spec.and_then(|c| c.requests.get("memory")).map_or(0, |q| q.value());
            let (container, at) = (status.name.clone(), end.finished_at);
            self.ooms.push(Oom { pod: new.clone(), container, requested, at });
        }
    }

    /// When [`Self::run`] must be called.
    pub fn next(&self, now: SimTime) -> Option<SimTime> {
        if self.changed {
            return Some(now);
        }
        (self.objects > 0).then(|| self.next_turn(now))
    }

    fn next_turn(&self, now: SimTime) -> SimTime {
        let interval = self.recommender.recommender_interval.max(SimDuration::from_secs(1));
        let at = now.next_on_grid(SimDuration::ZERO, interval);
        if at == SimTime::ZERO || self.last == Some(at) { at + interval } else { at }
    }

    /// Tells new Pods what has changed and takes a turn if one is due. `evict` asks for an eviction and says whether it
    /// was granted.
    pub fn run(
        &mut self,
        store: &mut Store,
        metrics: &dyn MetricsApi,
        evict: impl Fn(&mut Store, &ObjectKey) -> bool,
    ) {
        let now = store.now();
        let due = self.objects > 0 && self.next_turn(now) <= now;
        if due {
            self.last = Some(now);
            self.turn(store, metrics, evict);
        }
        if std::mem::take(&mut self.changed) || due {
            let resizers = autoscalers(store).into_iter().filter_map(|vpa| resizer(store, &vpa)).collect();
            store.admission_mut().resizers = resizers;
        }
    }

    fn turn(
        &mut self,
        store: &mut Store,
        metrics: &dyn MetricsApi,
        evict: impl Fn(&mut Store, &ObjectKey) -> bool,
    ) {
        let mut list = autoscalers(store);
        self.aggregates.retain(|key, _| list.iter().any(|vpa| vpa.key == *key));
        let ooms = std::mem::take(&mut self.ooms);
        for vpa in &mut list {
            let pods = pods_of(store, vpa);
            let first = !self.aggregates.contains_key(&vpa.key);
            let mut aggregates = self.aggregates.remove(&vpa.key).unwrap_or_default();
            if first {
                load_checkpoints(store, vpa, &mut aggregates);
            }
            self.read(store, metrics, &pods, &mut aggregates);
            for oom in ooms.iter().filter(|oom| pods.iter().any(|pod| pod.meta.uid == oom.pod.meta.uid)) {
                let container = self.containers.entry(id_of(&oom.pod, &oom.container)).or_default();
                let aggregate = aggregates.entry(oom.container.clone()).or_default();
                let at = store.calendar().instant(oom.at);
                aggregate.add_oom(&self.recommender, container, oom.requested, at);
            }
            self.recommend(store, vpa, &aggregates, !pods.is_empty());
            self.aggregates.insert(vpa.key.clone(), aggregates);
        }
        for vpa in list.iter().filter(|vpa| matches!(vpa.mode, Mode::Recreate | Mode::InPlaceOrRecreate)) {
            let pods = pods_of(store, vpa);
            let grant = |store: &mut Store, pod: &Arc<Pod>| {
                let granted = evict(store, &pod.meta.key());
                if granted {
                    say_evicted(store, vpa, pod);
                }
                granted
            };
            updater::update(store, &self.updater, vpa, &pods, grant);
        }
    }

    /// Reads what the containers of some Pods use.
    fn read(
        &mut self,
        store: &Store,
        metrics: &dyn MetricsApi,
        pods: &[Arc<Pod>],
        aggregates: &mut BTreeMap<Str, Aggregate>,
    ) {
        if metrics.resource_metrics().is_err() {
            return;
        }
        for pod in pods {
            let Some(id) = store.id_of::<Pod>(&pod.meta.key()) else { continue };
            for Spec { name, .. } in &pod.spec.containers {
                let sample = |resource: &str| match metrics.pod_usage(store, id, pod, resource, Some(name)) {
                    PodSample::Value(sample) => Some(sample),
                    PodSample::Missing | PodSample::NoContainer => None,
                };
                let (Some(cpu), Some(memory)) = (sample("cpu"), sample("memory")) else { continue };
                let container = self.containers.entry(id_of(pod, name)).or_default();
                let aggregate = aggregates.entry(name.clone()).or_default();
                aggregate.add_cpu(container, cpu.milli, cpu.at);
                aggregate.add_memory(container, memory.milli / 1000, memory.at, false);
            }
        }
    }

    /// Writes what is recommended, if that has changed.
    fn recommend(
        &self,
        store: &mut Store,
        vpa: &mut Vpa,
        aggregates: &BTreeMap<Str, Aggregate>,
        matched: bool,
    ) {
        let before = vpa.clone();
        let list = recommender::recommend(&self.recommender, vpa, aggregates);
        if !list.is_empty() {
            vpa.recommendation = Some(list);
        }
        let now = store.timestamp();
        let words = if matched { ("", "") } else { ("NoPodsMatched", "No pods match this VPA object") };
        if matched {
            vpa.remove_condition("NoPodsMatched");
        } else {
            vpa.set_condition("NoPodsMatched", true, words, now);
        }
        let has = vpa.recommendation.as_ref().is_some_and(|list| !list.is_empty());
        vpa.set_condition("RecommendationProvided", has, if has { ("", "") } else { words }, now);
        if before != *vpa {
            // An autoscaler that goes in this moment needs no status.
            let _ = store.update::<Inert>(&vpa.key, |object| object.body = vpa.body(&object.body).into());
        }
    }
}

fn id_of(pod: &Pod, container: &Str) -> (Str, Str) {
    (pod.meta.uid.clone(), container.clone())
}

/// All autoscalers.
fn autoscalers(store: &Store) -> Vec<Vpa> {
    let objects = store.list::<Inert>().filter(|object| object::concerns(object));
    objects
        .filter_map(|object| {
            let table_name = Inert::table_name(&object.kind, &object.meta.name);
            Vpa::read(ObjectKey::new(object.meta.namespace.clone(), table_name), object)
        })
        .collect()
}

/// The selector of an autoscaler's target.
fn selector_of(store: &Store, vpa: &Vpa) -> Option<LabelSelector> {
    let key = ObjectKey::new(vpa.key.namespace.clone(), vpa.target.1.clone());
    match vpa.target.0.as_str() {
        "Deployment" => store.get::<Deployment>(&key).map(|o| o.selector.clone()),
        "ReplicaSet" => store.get::<ReplicaSet>(&key).map(|o| o.selector.clone()),
        "ReplicationController" => store.get::<ReplicationController>(&key).map(|o| o.0.selector.clone()),
        "StatefulSet" => store.get::<StatefulSet>(&key).map(|o| o.selector.clone()),
        "DaemonSet" => store.get::<DaemonSet>(&key).map(|o| o.selector.clone()),
        "Job" => store.get::<Job>(&key).map(|o| o.selector.clone()),
        _ => None,
    }
}

/// The Pods of an autoscaler that have not ended.
fn pods_of(store: &Store, vpa: &Vpa) -> Vec<Arc<Pod>> {
    let Some(selector) = selector_of(store, vpa) else { return Vec::new() };
    let pods = store.select_pods(&vpa.key.namespace, &selector).into_iter();
    pods.filter(|pod| !pod.is_terminal()).cloned().collect()
}

/// What new Pods of an autoscaler get.
fn resizer(store: &Store, vpa: &Vpa) -> Option<Resizer> {
    let list = vpa.recommendation.as_ref().filter(|_| vpa.mode != Mode::Off)?;
    let target = |r: &object::Recommendation| {
        let policy = vpa.policy(&r.container);
        let amounts = policy.map_or(r.target, |p| r.target.within(&p.min, &p.max));
        let requests_only = policy.is_some_and(|p| p.requests_only);
        (r.container.clone(), Target { cpu: amounts.cpu, memory: amounts.memory, requests_only })
    };
    Some(Resizer {
        name: vpa.name.clone(),
        namespace: vpa.key.namespace.clone(),
        selector: selector_of(store, vpa)?,
        containers: list.iter().map(target).collect(),
    })
}

/// Reads the history that checkpoints hold.
fn load_checkpoints(store: &Store, vpa: &Vpa, aggregates: &mut BTreeMap<Str, Aggregate>) {
    let start = store.calendar().start.0;
    let instant = |text: &str| Timestamp::parse_rfc3339(text).map(|at| (at.0 - start) as f64);
    for object in store.list_in::<Inert>(&vpa.key.namespace) {
        if !object::concerns(object) || object.kind != CHECKPOINT_KIND {
            continue;
        }
        let body: serde_json::Value = serde_json::from_str(&object.body).unwrap_or_default();
        if body["spec"]["vpaObjectName"].as_str() == Some(vpa.name.as_str())
            && let Some(container) = body["spec"]["containerName"].as_str()
        {
            aggregates.entry(container.into()).or_default().load(&body["status"], instant);
        }
    }
}

fn say_evicted(store: &mut Store, vpa: &Vpa, pod: &Arc<Pod>) {
    let about = ObjectRef {
        kind: object::KIND.into(),
        namespace: vpa.key.namespace.clone(),
        name: vpa.name.clone(),
        ..ObjectRef::default()
    };
    let name = &pod.meta.name;
    for (regarding, reason, message) in [
        (
            ObjectRef::to(&**pod),
            lit!("EvictedByVPA"),
            "Pod was evicted by VPA Updater to apply resource recommendation.".to_owned(),
        ),
        (
            about,
            lit!("EvictedPod"),
            format!("VPA Updater evicted Pod {name} to apply resource recommendation."),
        ),
    ] {
        store.emit(Emit {
            source: lit!("vpa-updater"),
            host: Str::new(),
            regarding,
            event_type: EventType::Normal,
            reason,
            message: message.into(),
            series: false,
        });
    }
}
