//! A scheduler, and the API server, the controllers and the clock that it needs, played as simply as can be.

use super::Meter;
use crate::api::storage::{
    ClaimPhase, ClaimRef, PersistentVolume, PersistentVolumeClaim, VolumePhase, annotation,
};
use crate::api::{Kind, Labels, Object, ObjectKey, Pod, Resource, Uid};
use crate::base::{Arc, LookupMap, SimDuration, SimTime, Str};
use crate::kernel::Seed;
use crate::kernel::digest::Digest;
use crate::scheduler::{Binding, Choice, Decision, Failure, Nomination, Scheduler, VolumeStep};

/// What one scheduling cycle takes of virtual time.
const CYCLE_TIME: SimDuration = SimDuration::from_millis(1);

/// Pods that were made together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Their namespace.
    pub namespace: Str,
    /// Labels that all of them have.
    pub labels: Labels,
    /// How many there are.
    pub made: usize,
    /// How many have a node.
    pub placed: usize,
    /// How many were tried, or are held back by a gate.
    pub tried: usize,
    /// Placed ones that have not been replaced.
    pub to_replace: Vec<ObjectKey>,
    /// Whether placed ones are to be replaced.
    pub steady: bool,
    /// Whether placing them is measured.
    pub measured: bool,
}

/// What is known of a Pod beside the object.
#[derive(Clone, Copy, Debug)]
struct Known {
    batch: usize,
    tried: bool,
}

/// Times of scheduling cycles, while they are taken.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Whether times are taken.
    pub on: bool,
    /// Nanoseconds of each cycle.
    pub cycles: Vec<u64>,
    /// Cycles that placed a Pod.
    pub placed: usize,
    /// Nodes that were filtered.
    pub evaluated: u64,
}

/// The cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The virtual time.
    pub now: SimTime,
    /// Pods that were made together, in order.
    pub batches: Vec<Batch>,
    /// Times that were taken.
    pub samples: Samples,
    /// A hash over all placements in their order.
    pub placements: Digest,
    objects: LookupMap<(Kind, ObjectKey), Object>,
    /// The Pods there ever were.
    pods: Vec<ObjectKey>,
    known: LookupMap<Uid, Known>,
    seed: Seed,
    attempts: u64,
}

impl Cluster {
    /// An empty cluster.
    pub fn new(scheduler: Scheduler, seed: Seed) -> Self {
        Self {
            scheduler,
            now: SimTime::ZERO,
            batches: Vec::new(),
            samples: Samples::default(),
            placements: Digest::default(),
            objects: LookupMap::new(),
            pods: Vec::new(),
            known: LookupMap::new(),
            seed,
            attempts: 0,
        }
    }

    /// Writes an object.
    pub fn put(&mut self, object: Object) {
        let old = self.objects.insert((object.kind(), object.key()), object.clone());
        self.scheduler.change(self.now, old.as_ref(), Some(&object));
    }

    /// Writes a new Pod of a batch.
    pub fn put_pod(&mut self, pod: Pod, batch: usize) {
        let gated = !pod.spec.scheduling_gates.is_empty();
        self.known.insert(pod.meta.uid.clone(), Known { batch, tried: gated });
        self.batches[batch].made += 1;
        self.pods.push(pod.meta.key());
        self.batches[batch].tried += usize::from(gated);
        self.put(Object::Pod(Arc::new(pod)));
    }

    /// Deletes an object at once.
    pub fn delete(&mut self, kind: Kind, key: &ObjectKey) {
        let Some(old) = self.objects.remove(&(kind, key.clone())) else { return };
        self.scheduler.change(self.now, Some(&old), None);
    }

    /// The Pods of a namespace that have these labels, by name.
    pub fn pods(&self, namespace: &str, labels: &Labels) -> Vec<ObjectKey> {
        let has = |pod: &Arc<Pod>| labels.iter().all(|(k, v)| pod.meta.labels.get(k) == Some(v));
        let is_meant = |key: &&ObjectKey| key.namespace == namespace && self.get(key).is_some_and(has);
        let mut keys: Vec<ObjectKey> = self.pods.iter().filter(is_meant).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.scheduler.snapshot().len()
    }

    fn get<T: Resource>(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        T::unwrap(self.objects.get(&(T::KIND, key.clone()))?)
    }

    /// One scheduling cycle, if a Pod waits for one.
    pub fn cycle(&mut self, meter: &mut dyn Meter) -> bool {
        self.scheduler.wake(self.now);
        self.attempts += 1;
        let (seed, attempt, mut stream) = (self.seed, self.attempts, None);
        let mut draw = |bound: u64| {
            let make = || seed.stream_of("bench", &[&attempt.to_le_bytes()]);
            stream.get_or_insert_with(make).below(bound)
        };
        let begin = meter.wall();
        let Some(queued) = self.scheduler.pop(self.now) else { return false };
        let attempt = self.scheduler.schedule_one(self.now, queued, &mut Choice::Random(&mut draw));
        let end = meter.wall();
        if self.samples.on {
            self.samples.cycles.push(end.saturating_sub(begin));
            self.samples.evaluated += attempt.evaluated as u64;
        }
        self.now += CYCLE_TIME;
        let uid = attempt.pod.meta.uid.clone();
        if let Some(known) = self.known.get_mut(&uid).filter(|known| !known.tried) {
            known.tried = true;
            self.batches[known.batch].tried += 1;
        }
        match attempt.decision {
            Decision::Bind(binding) => self.bind(&attempt.pod, binding),
            Decision::Failed(failure) => self.failed(&attempt.pod, &failure),
            Decision::Skipped(_) => {}
        }
        true
    }

    fn bind(&mut self, pod: &Arc<Pod>, binding: Binding) {
        let key = pod.meta.key();
        if binding.volumes.iter().any(|step| !self.carry_out(step)) {
            let why = "no provisioner runs here";
            self.scheduler.binding_failed(self.now, &key, &pod.meta.uid, why);
            return;
        }
        self.placements.record(&(key.namespace.as_str(), key.name.as_str(), binding.node.as_str()));
        self.samples.placed += usize::from(self.samples.on);
        let mut bound = Pod::clone(pod);
        Binding::annotate(&binding.annotations, &mut bound.meta);
        bound.node_name = Some(binding.node);
        bound.status.nominated_node = None;
        self.scheduler.finish_binding(self.now, &key, &pod.meta.uid);
        self.put(Object::Pod(Arc::new(bound)));
        if let Some(known) = self.known.get(&pod.meta.uid) {
            let batch = &mut self.batches[known.batch];
            batch.placed += 1;
            if batch.steady {
                batch.to_replace.push(key);
            }
        }
    }

    /// Binds a claim and a volume as the PV controller does. False for a volume that would have to be made.
    fn carry_out(&mut self, step: &VolumeStep) -> bool {
        let VolumeStep::Bind { claim, volume } = step else { return false };
        let (Some(pvc), Some(pv)) = (
            self.get::<PersistentVolumeClaim>(claim).cloned(),
            self.get::<PersistentVolume>(&ObjectKey::cluster(volume.clone())).cloned(),
        ) else {
            return false;
        };
        let (mut pvc, mut pv) = (PersistentVolumeClaim::clone(&pvc), PersistentVolume::clone(&pv));
        pv.claim_ref = Some(ClaimRef { key: claim.clone(), uid: pvc.meta.uid.clone() });
        pv.phase = VolumePhase::Bound;
        pvc.spec.volume_name = volume.clone();
        pvc.phase = ClaimPhase::Bound;
        pvc.meta.annotations = pvc.meta.annotations.with(annotation::BIND_COMPLETED, "yes");
        self.put(Object::from(pv));
        self.put(Object::from(pvc));
        true
    }

    fn failed(&mut self, pod: &Arc<Pod>, failure: &Failure) {
        let key = pod.meta.key();
        match &failure.nomination {
            Nomination::Keep => {}
            Nomination::Set(node) => self.nominate(&key, Some(node.clone())),
            Nomination::Clear => self.nominate(&key, None),
        }
        for cleared in &failure.clear_nominations {
            self.nominate(cleared, None);
        }
        if !matches!(failure.nomination, Nomination::Set(_)) {
            return;
        }
        // The preemptor may be tried again just before its last victim goes.
        let victims: Vec<&ObjectKey> =
            failure.victims.iter().filter(|v| self.get::<Pod>(v).is_some()).collect();
        let Some((last, others)) = victims.split_last() else {
            return self.scheduler.preemption_found_nobody(self.now, &pod.meta.uid);
        };
        for victim in others {
            self.delete(Kind::Pod, victim);
        }
        self.scheduler.preemption_issued(self.now, &key, &pod.meta.uid);
        self.delete(Kind::Pod, last);
    }

    fn nominate(&mut self, key: &ObjectKey, node: Option<Str>) {
        let Some(pod) = self.get::<Pod>(key).filter(|pod| pod.status.nominated_node != node) else { return };
        let mut pod = Pod::clone(pod);
        pod.status.nominated_node = node;
        self.put(Object::Pod(Arc::new(pod)));
    }
}
