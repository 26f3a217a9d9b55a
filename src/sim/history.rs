//! What must hold between two states of one object, whatever the scenario: an observer for tests.

use crate::api::storage::ClaimPhase;
use crate::api::workload::Job;
use crate::api::{Object, Pod, condition};
use crate::base::SimTime;
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
}

impl History {
    /// What was noted, in words.
    pub fn breaches(&self) -> &[String] {
        &self.breaches
    }

    fn note(&mut self, change: &Change, what: &str) {
        if self.breaches.len() < BREACHES_MAX {
            let kind = change.object.kind_name();
            self.breaches.push(format!("t={}: {kind} {}: {what}", change.at, change.object.meta().key()));
        }
    }

    fn change(&mut self, change: &Change) {
        if change.revision <= self.revision {
            self.note(change, "the store's revision did not grow");
        }
        if change.at < self.at {
            self.note(change, "the clock ran backwards");
        }
        (self.revision, self.at) = (change.revision, change.at);
        let Some(old) = &change.old else { return };
        let (before, after) = (old.meta(), change.object.meta());
        if before.uid != after.uid {
            self.note(change, "became another object");
        }
        if change.verb == Verb::Modified && after.resource_version <= before.resource_version {
            self.note(change, "was written without a new resourceVersion");
        }
        if before.is_deleting() && !after.is_deleting() {
            self.note(change, "is not deleted any more");
        }
        match (old, &change.object) {
            (Object::Pod(old), Object::Pod(new)) => self.pod(change, old, new),
            (Object::Job(old), Object::Job(new)) => self.job(change, old, new),
            (Object::PersistentVolumeClaim(old), Object::PersistentVolumeClaim(new))
                if old.phase == ClaimPhase::Bound && old.spec.volume_name != new.spec.volume_name =>
            {
                self.note(change, "was bound to another volume");
            }
            _ => {}
        }
    }

    fn pod(&mut self, change: &Change, old: &Pod, new: &Pod) {
        if old.node_name.is_some() && old.node_name != new.node_name {
            self.note(change, "moved to another node");
        }
        if old.is_terminal() && old.status.phase != new.status.phase {
            self.note(change, "came back from its end");
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

impl Recorder for History {
    fn record(&mut self, fact: &Fact) {
        if let Fact::Changed(change) = fact {
            self.change(change);
        }
    }
}
