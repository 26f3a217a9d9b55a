//! The vertical Pod autoscaler: sees what containers use, recommends requests, and gives them to Pods that are far off.
//!
//! * [`object`]: VerticalPodAutoscalers. * [`histogram`], [`recommender`]: from usage to requests; [`checkpoint`]: what of it
//!   is kept. * [`target`]: whose Pods. * [`updater`]: which Pods are resized or evicted. What new Pods get is [`crate::store::webhook`].
//!
//! Its objects are custom resources; the components run while there is at least one of them, and cost nothing else.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/{recommender,updater,admission-controller}`, 1.5.1.
//!
//! # Fidelity
//! Recommender and updater share one clock of `--recommender-interval`, the recommender first; the webhook's lease never goes
//! stale. Checkpoints are read when an autoscaler appears, not only when the recommender starts. The eviction rate limit (off by default), startup
//! boosts, half-lives and memory intervals other than the defaults, cluster-wide maxima, `--humanize-memory`, history from Prometheus and alternative recommenders are not simulated; writing
//! checkpoints never takes `--checkpoints-timeout`. The conditions `LowConfidence`, `FetchingHistory` and `ConfigDeprecated` are
//! never set.

pub mod checkpoint;
pub mod histogram;
pub mod object;
pub mod recommender;
pub mod target;
#[cfg(test)]
mod tests;
pub mod updater;

use std::collections::BTreeMap;

use crate::api::{Container as Spec, EventType, Inert, Kind, LabelSelector, ObjectKey, ObjectRef, Pod};
use crate::base::text::lit;
use crate::base::{Arc, Quantity, SimDuration, SimTime, Str, Timestamp};
use crate::params::settings::{Settings, VpaRecommender, VpaUpdater};
use crate::store::metrics::{MetricsApi, PodSample};
use crate::store::webhook::Resizer;
use crate::store::webhook::capping::held;
use crate::store::{Change, Emit, Store};
use object::{CHECKPOINT_KIND, Mode, Vpa};
use recommender::{Aggregate, Container};
use updater::{Attempts, Turn};

/// How often checkpoints of autoscalers that are no more are deleted.
const CHECKPOINTS_GC_INTERVAL: SimDuration = SimDuration::from_mins(10);
/// How often what is known of containers of long ago is dropped.
const AGGREGATES_GC_INTERVAL: SimDuration = SimDuration::from_mins(60);

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
    /// Since when resizes of Pods have been under way.
    attempts: Attempts,
    /// Autoscalers that there are.
    objects: usize,
    /// An autoscaler went: its checkpoints are to be deleted.
    orphans: bool,
    last_checkpoints_gc: SimTime,
    last_aggregates_gc: SimTime,
    /// An autoscaler has changed since new Pods were last told.
    changed: bool,
    last: Option<SimTime>,
}

/// A container that was killed for its memory.
#[derive(Clone, Debug)]
struct Oom {
    pod: Arc<Pod>,
    container: Str,
    /// Bytes that it had requested, or used when its Pod was evicted for want of memory.
    requested: i64,
    /// When it ended, if it was killed.
    ended: Option<Timestamp>,
    heard: SimTime,
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
            attempts: Attempts::new(),
            objects: 0,
            orphans: false,
            last_checkpoints_gc: SimTime::ZERO,
            last_aggregates_gc: SimTime::ZERO,
            changed: false,
            last: None,
        }
    }

    /// Hears of a change.
    #[inline]
    pub fn on_change(&mut self, change: &Change) {
        // Of the kinds without a type of their own are its objects; Pods are its business while there are some.
        if self.objects > 0 || change.kind() == Kind::Inert {
            self.follow(change);
        }
    }

    fn follow(&mut self, change: &Change) {
        if let Some((old, new)) = change.of::<Inert>() {
            let is_ours = |object: Option<&Arc<Inert>>| {
                object.is_some_and(|o| object::concerns(o) && o.kind != CHECKPOINT_KIND)
            };
            let (was, is) = (is_ours(old), is_ours(new));
            self.objects = self.objects + usize::from(is) - usize::from(was);
            self.changed |= was || is;
            self.orphans |= was && !is && self.aggregates.values().any(|known| !known.is_empty());
        } else if let Some((Some(old), new)) = change.of::<Pod>() {
            match new {
                Some(new) => {
                    self.note_ooms(old, new, change.at);
                    self.note_eviction(old, new, change.at);
                }
                None => self.containers.retain(|(uid, _), _| *uid != old.meta.uid),
            }
        }
    }

    fn note_ooms(&mut self, old: &Arc<Pod>, new: &Arc<Pod>, at: SimTime) {
        for status in new.status.containers.iter().filter(|status| status.restart_count > 0) {
            let Some(end) = status.last_termination.as_ref().filter(|end| end.reason == "OOMKilled") else {
                continue;
            };
            let before = old.status.containers.iter().find(|s| s.name == status.name);
            if before.is_none_or(|before| before.restart_count >= status.restart_count) {
                continue;
            }
            let had = held(old).into_iter().find(|held| held.container == status.name);
            let requested = had.and_then(|held| held.requests.memory).unwrap_or(0);
            let (container, ended) = (status.name.clone(), Some(end.finished_at));
            self.ooms.push(Oom { pod: new.clone(), container, requested, ended, heard: at });
        }
    }

    /// A Pod that its node evicts for want of memory: its containers that use more than they asked for need what they use.
    fn note_eviction(&mut self, old: &Arc<Pod>, new: &Arc<Pod>, at: SimTime) {
        if old.is_terminal() || new.status.reason != "Evicted" {
            return;
        }
        for (container, used) in starved_of_memory(&new.status.message) {
            self.ooms.push(Oom { pod: new.clone(), container, requested: used, ended: None, heard: at });
        }
    }

    /// When [`Self::run`] must be called.
    pub fn next(&self, now: SimTime) -> Option<SimTime> {
        if self.changed {
            return Some(now);
        }
        (self.objects > 0 || self.orphans).then(|| self.next_turn(now))
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
        let due = (self.objects > 0 || self.orphans) && self.next_turn(now) <= now;
        if due {
            self.last = Some(now);
            self.turn(store, metrics, evict);
        }
        if std::mem::take(&mut self.changed) || due {
            let list = autoscalers(store).into_iter().filter(|vpa| vpa.mode != Mode::Off);
            let resizers = list.filter_map(|vpa| resizer(store, &vpa)).collect();
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
            let selector = match target::selector_of(store, vpa) {
                Ok(selector) => selector,
                Err(why) => {
                    vpa.set_condition("ConfigUnsupported", true, ("", &why), store.timestamp());
                    self.recommend(store, vpa, &BTreeMap::new(), false);
                    continue;
                }
            };
            vpa.remove_condition("ConfigUnsupported");
            let pods = pods_of(store, vpa, &selector);
            let first = !self.aggregates.contains_key(&vpa.key);
            let mut aggregates = self.aggregates.remove(&vpa.key).unwrap_or_default();
            if first {
                checkpoint::load(store, vpa, &mut aggregates);
            }
            self.read(store, metrics, &pods, &mut aggregates);
            let matches =
                |pod: &Pod| pod.meta.namespace == vpa.key.namespace && selector.matches(&pod.meta.labels);
            for oom in ooms.iter().filter(|oom| matches(&oom.pod)) {
                let container = self.containers.entry(id_of(&oom.pod, &oom.container)).or_default();
                let aggregate = aggregates.entry(oom.container.clone()).or_default();
                let at = oom.ended.map_or(oom.heard, |ended| store.calendar().instant(ended));
                aggregate.add_oom(&self.recommender, container, oom.requested, at);
            }
            self.recommend(store, vpa, &aggregates, !pods.is_empty());
            checkpoint::save(store, vpa, &self.without_peaks(store.now(), &pods, &aggregates));
            self.aggregates.insert(vpa.key.clone(), aggregates);
        }
        self.collect_garbage(store, &list);
        self.update(store, &list, evict);
    }

    /// Every Pod belongs to the oldest autoscaler that is for it.
    fn update(&mut self, store: &mut Store, list: &[Vpa], evict: impl Fn(&mut Store, &ObjectKey) -> bool) {
        let acting = list.iter().filter(|vpa| matches!(vpa.mode, Mode::Recreate | Mode::InPlaceOrRecreate));
        let acting: Vec<(&Vpa, Resizer)> =
            acting.filter_map(|vpa| Some((vpa, resizer(store, vpa)?))).collect();
        for (place, (vpa, resizer)) in acting.iter().enumerate() {
            let is_older =
                |pod: &Pod| acting[..place].iter().any(|(_, other)| other.covers(store, &pod.meta));
            let mut pods = pods_of(store, vpa, &resizer.selector);
            pods.retain(|pod| pod.node_name.is_some() && resizer.covers(store, &pod.meta) && !is_older(pod));
            let grant = |store: &mut Store, pod: &Arc<Pod>| {
                let granted = evict(store, &pod.meta.key());
                if granted {
                    say_evicted(store, vpa, pod);
                }
                granted
            };
            let attempts = &mut self.attempts;
            Turn { flags: &self.updater, vpa, resizer, attempts }.update(store, &pods, grant);
        }
    }

    /// What checkpoints hold: the peak of the present day is not over.
    fn without_peaks(
        &self,
        now: SimTime,
        pods: &[Arc<Pod>],
        aggregates: &BTreeMap<Str, Aggregate>,
    ) -> BTreeMap<Str, Aggregate> {
        let mut aggregates = aggregates.clone();
        for pod in pods {
            for Spec { name, .. } in &pod.spec.containers {
                let known = self.containers.get(&id_of(pod, name));
                if let (Some(container), Some(aggregate)) = (known, aggregates.get_mut(name)) {
                    aggregate.without_peak(container, now);
                }
            }
        }
        aggregates
    }

    fn collect_garbage(&mut self, store: &mut Store, list: &[Vpa]) {
        let now = store.now();
        if now.since(self.last_checkpoints_gc) > CHECKPOINTS_GC_INTERVAL {
            self.last_checkpoints_gc = now;
            self.orphans = false;
            checkpoint::collect_garbage(store, list);
        }
        if now.since(self.last_aggregates_gc) > AGGREGATES_GC_INTERVAL {
            self.last_aggregates_gc = now;
            for aggregates in self.aggregates.values_mut() {
                aggregates.retain(|_, aggregate| !aggregate.is_expired(now));
            }
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
        // A status that is there already is no write; an autoscaler that goes in this moment needs none.
        let _ = store.update::<Inert>(&vpa.key, |object| object.body = vpa.body(&object.body).into());
    }
}

fn id_of(pod: &Pod, container: &Str) -> (Str, Str) {
    (pod.meta.uid.clone(), container.clone())
}

/// All autoscalers, the oldest first.
fn autoscalers(store: &Store) -> Vec<Vpa> {
    let objects = store.list::<Inert>().filter(|object| object::concerns(object));
    let read = |object: &Arc<Inert>| {
        let table_name = Inert::table_name(&object.kind, &object.meta.name);
        Vpa::read(ObjectKey::new(object.meta.namespace.clone(), table_name), object)
    };
    let mut list: Vec<Vpa> = objects.filter_map(read).collect();
    list.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    list
}

/// The Pods of an autoscaler that have not ended.
fn pods_of(store: &Store, vpa: &Vpa, selector: &LabelSelector) -> Vec<Arc<Pod>> {
    let pods = store.select_pods(&vpa.key.namespace, selector).into_iter();
    pods.filter(|pod| !pod.is_terminal()).cloned().collect()
}

/// What the Pods of an autoscaler get.
fn resizer(store: &Store, vpa: &Vpa) -> Option<Resizer> {
    Some(Resizer {
        name: vpa.name.clone(),
        namespace: vpa.key.namespace.clone(),
        target: vpa.target.clone(),
        selector: target::selector_of(store, vpa).ok()?,
        policies: vpa.policies.clone(),
        list: vpa.recommendation.clone().unwrap_or_default(),
    })
}

/// Containers that an eviction's message names for their memory, with the bytes that they used.
fn starved_of_memory(message: &str) -> Vec<(Str, i64)> {
    let one = |sentence: &str| {
        let (container, rest) = sentence.split_once(" was using ")?;
        let used = rest.strip_suffix(", has larger consumption of memory")?.split(',').next()?;
        Some((Str::from(container), Quantity::parse(used).ok()?.value()))
    };
    message.split("Container ").filter_map(|part| one(part.trim_end_matches([' ', '.']))).collect()
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
