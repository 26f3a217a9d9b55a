//! What must hold between two states of one object, whatever the scenario: an observer for tests. With
//! [`super::invariants`] it holds every test of a scenario to §12.2 of the facts.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::policy::PodDisruptionBudget;
use crate::api::storage::ClaimPhase;
use crate::api::workload::{Deployment, DeploymentStrategy, Job, ReplicaSet};
use crate::api::{ContainerStatus, Meta, Object, Pod, Uid, condition};
use crate::base::{SimDuration, SimTime};
use crate::facts::{Fact, Recorder};
use crate::store::{Change, Verb};

/// Breaches that are remembered; one is one too many.
const BREACHES_MAX: usize = 20;

/// Listens to a run and notes what cannot be.
#[derive(Clone, Debug, Default)]
pub struct History {
    at: SimTime,
    revision: u64,
    breaches: Vec<String>,
    /// The active Pods of each controller.
    active: BTreeMap<Uid, BTreeSet<Uid>>,
    /// How many Pods each ReplicaSet and each Job may have at a time.
    room: BTreeMap<Uid, Room>,
    /// The ReplicaSets of each Deployment, with the Pods they want.
    sets: BTreeMap<Uid, BTreeMap<Uid, i32>>,
    /// How many Pods each Deployment may want, its surge included.
    most: BTreeMap<Uid, i32>,
    /// Deployments with a ReplicaSet that has grown in this instant. What is moved from one to another is written into
    /// each in turn, so that only the end of the instant counts.
    grown: BTreeMap<Uid, String>,
}

/// How many Pods a controller may have.
#[derive(Clone, Copy, Debug)]
struct Room {
    wanted: i32,
    /// What was wanted before, and until when: a sync that has begun makes what was wanted then, as fast as its client may
    /// call.
    before: i32,
    changed: SimTime,
}

/// No sync makes Pods longer than that after something else is wanted.
const SYNC_MAX: SimDuration = SimDuration::from_secs(10);

impl History {
    /// Notes what a controller wants from now on; what it wanted before, if it was known.
    fn wants(&mut self, uid: &Uid, wanted: i32, now: SimTime) -> Option<i32> {
        let before = self.room.get(uid).map(|room| room.wanted);
        if before != Some(wanted) {
            let room = Room { wanted, before: before.unwrap_or(wanted), changed: now };
            self.room.insert(uid.clone(), room);
        }
        before
    }

    /// What was noted, in words.
    pub fn breaches(&self) -> &[String] {
        &self.breaches
    }

    fn note(&mut self, change: &Change, what: &str) {
        if self.breaches.len() < BREACHES_MAX {
            let kind = change.object().kind_name();
            self.breaches.push(format!("t={}: {kind} {}: {what}", change.at, change.object().meta().key()));
        }
    }

    fn change(&mut self, change: &Change) {
        if change.revision <= self.revision {
            self.note(change, "the store's revision did not grow");
        }
        if change.at < self.at {
            self.note(change, "the clock ran backwards");
        }
        if change.at > self.at {
            self.judge_growth();
        }
        (self.revision, self.at) = (change.revision, change.at);
        self.count(change);
        let Some(old) = change.old() else { return };
        let (before, after) = (old.meta(), change.object().meta());
        if before.uid != after.uid {
            self.note(change, "became another object");
        }
        if change.verb == Verb::Modified && after.resource_version <= before.resource_version {
            self.note(change, "was written without a new resourceVersion");
        }
        if before.is_deleting() && !after.is_deleting() {
            self.note(change, "is not deleted any more");
        }
        match (old, change.object()) {
            (Object::Pod(old), Object::Pod(new)) => self.pod(change, old, new),
            (Object::Job(old), Object::Job(new)) => self.job(change, old, new),
            (Object::PodDisruptionBudget(old), Object::PodDisruptionBudget(new)) => {
                self.budget(change, old, new);
            }
            (Object::PersistentVolumeClaim(old), Object::PersistentVolumeClaim(new))
                if old.phase == ClaimPhase::Bound && old.spec.volume_name != new.spec.volume_name =>
            {
                self.note(change, "was bound to another volume");
            }
            _ => {}
        }
    }

    /// Keeps count of Pods and of what is wanted: nobody makes more than that.
    fn count(&mut self, change: &Change) {
        let gone = change.verb == Verb::Deleted;
        match change.object() {
            Object::Pod(pod) => self.count_pod(change, pod, gone),
            Object::Job(job) => {
                self.wants(&job.meta.uid, job.parallelism, change.at);
            }
            Object::Deployment(deployment) => {
                self.most.insert(deployment.meta.uid.clone(), most(deployment));
            }
            Object::ReplicaSet(set) => self.count_set(change, set, gone),
            _ => {}
        }
    }

    fn count_pod(&mut self, change: &Change, pod: &Pod, gone: bool) {
        let Some(owner) = pod.meta.controller() else { return };
        let pods = self.active.entry(owner.uid.clone()).or_default();
        if gone || !pod.is_active() {
            pods.remove(&pod.meta.uid);
            return;
        }
        let new = pods.insert(pod.meta.uid.clone());
        let room = self.room.get(&owner.uid).map_or(i32::MAX, |room| {
            let late = change.at.since(room.changed) > SYNC_MAX;
            if late { room.wanted } else { room.wanted.max(room.before) }
        });
        let has = pods.len();
        if new && change.verb == Verb::Added && i32::try_from(has).unwrap_or(i32::MAX) > room {
            self.note(change, &format!("is one of {has}, and {} {} wants {room}", owner.kind, owner.name));
        }
    }

    fn count_set(&mut self, change: &Change, set: &ReplicaSet, gone: bool) {
        let wanted = if gone { 0 } else { set.replicas };
        let before = self.wants(&set.meta.uid, wanted, change.at).unwrap_or(0);
        let Some(owner) = deployment_of(&set.meta) else { return };
        self.sets.entry(owner.clone()).or_default().insert(set.meta.uid.clone(), wanted);
        if wanted > before {
            self.grown.insert(owner, format!("t={}: ReplicaSet {}", change.at, set.meta.key()));
        }
    }

    /// Deployments want no more Pods than they may have, where they have begun to want more.
    fn judge_growth(&mut self) {
        for (owner, what) in std::mem::take(&mut self.grown) {
            let sum: i32 = self.sets.get(&owner).into_iter().flat_map(BTreeMap::values).sum();
            let most = self.most.get(&owner).copied().unwrap_or(i32::MAX);
            if sum > most && self.breaches.len() < BREACHES_MAX {
                self.breaches.push(format!("{what}: makes {sum} Pods of a Deployment that may have {most}"));
            }
        }
    }

    /// Each granted eviction takes one of those allowed.
    fn budget(&mut self, change: &Change, old: &PodDisruptionBudget, new: &PodDisruptionBudget) {
        let had = |name: &str| old.disrupted_pods.iter().any(|(pod, _)| pod == name);
        let granted = new.disrupted_pods.iter().filter(|(pod, _)| !had(pod)).count();
        if granted > 0 && (granted > 1 || old.disruptions_allowed < 1) {
            self.note(change, &format!("granted {granted} evictions of {}", old.disruptions_allowed));
        }
        if new.disruptions_allowed < 0 {
            self.note(change, "allows less than nothing");
        }
    }

    fn pod(&mut self, change: &Change, old: &Pod, new: &Pod) {
        if old.node_name.is_some() && old.node_name != new.node_name {
            self.note(change, "moved to another node");
        }
        if old.is_terminal() && old.status.phase != new.status.phase {
            self.note(change, "came back from its end");
        }
        let bound = condition::is_true(&new.status.conditions, "PodScheduled");
        if old.node_name.is_none() && new.node_name.is_some() && !bound {
            self.note(change, "was bound, and does not say so");
        }
        let fewer = |(before, after): (&ContainerStatus, &ContainerStatus)| {
            before.name == after.name && after.restart_count < before.restart_count
        };
        if old.status.containers.iter().zip(&new.status.containers).any(fewer) {
            self.note(change, "has a container with fewer restarts than before");
        }
        let grace = |pod: &Pod| pod.meta.deletion.and_then(|deletion| deletion.grace_seconds);
        if grace(old).zip(grace(new)).is_some_and(|(before, after)| after > before) {
            self.note(change, "got a longer grace while it is being deleted");
        }
    }

    fn job(&mut self, change: &Change, old: &Job, new: &Job) {
        for kind in ["Complete", "Failed"] {
            let was = condition::is_true(&old.status.conditions, kind);
            if was && !condition::is_true(&new.status.conditions, kind) {
                self.note(change, "is not finished any more");
            }
        }
        if new.status.succeeded < old.status.succeeded {
            self.note(change, "lost a success");
        }
    }
}

/// Pods that a Deployment may want in all its ReplicaSets together.
fn most(deployment: &Deployment) -> i32 {
    match &deployment.strategy {
        DeploymentStrategy::Recreate => deployment.replicas,
        DeploymentStrategy::RollingUpdate { max_surge, .. } => {
            deployment.replicas + max_surge.resolve(deployment.replicas, true)
        }
    }
}

fn deployment_of(meta: &Meta) -> Option<Uid> {
    meta.controller().filter(|o| o.kind == "Deployment").map(|o| o.uid.clone())
}

impl Recorder for History {
    fn record(&mut self, fact: &Fact) {
        if let Fact::Changed(change) = fact {
            self.change(change);
        }
    }
}
