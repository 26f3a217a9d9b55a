//! drain and evict.
//!
//! Upstream: `kubectl/pkg/drain/{drain,filters}.go`, v1.34: cordon, filter all Pods of the nodes, evict all that are left
//! at once, try refused ones again every 5 s, look once a second whether they are gone.

use super::Refusal;
use crate::api::volume::VolumeSource;
use crate::api::{Kind, ObjectKey, Pod};
use crate::base::{SimDuration, SimTime, Str};
use crate::controller::disruption::eviction;
use crate::facts::Fact;
use crate::plan::step::{Drain, Target};
use crate::sim::event::Event;
use crate::sim::world::World;
use crate::store::{ApiError, DeleteOptions};

const RETRY: SimDuration = SimDuration::from_secs(5);
const POLL: SimDuration = SimDuration::from_secs(1);
/// The annotation of a static Pod's mirror.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// A drain under way.
#[derive(Clone, Debug)]
pub struct DrainRun {
    drain: Drain,
    deadline: Option<SimTime>,
    /// Pods that must go: key, identity, and when eviction is tried again (none once granted).
    pods: Vec<(ObjectKey, Str, Option<SimTime>)>,
    nodes: Vec<Str>,
    done: bool,
}

/// What kubectl decides about a Pod of a node to be drained.
enum Fate {
    Evict,
    Leave,
    /// The drain cannot go on: a reason that groups Pods.
    Error(&'static str),
}

impl World {
    pub(super) fn drain(&mut self, drain: &Drain) -> Result<(), Refusal> {
        let nodes = self.resolve_nodes(&drain.nodes)?;
        self.cordon_names(&nodes, true)?;
        let mut pods = Vec::new();
        let mut errors: Vec<(&'static str, Vec<String>)> = Vec::new();
        for node in &nodes {
            let on_node: Vec<_> = self.store.pods_on(node).cloned().collect();
            for pod in on_node.iter().filter(|p| drain.pod_selector.matches(&p.meta.labels)) {
                match self.fate(pod, drain) {
                    Fate::Evict => pods.push((pod.meta.key(), pod.meta.uid.clone(), Some(self.store.now()))),
                    Fate::Leave => {}
                    Fate::Error(why) => match errors.iter_mut().find(|(reason, _)| *reason == why) {
                        Some((_, keys)) => keys.push(pod.meta.key().to_string()),
                        None => errors.push((why, vec![pod.meta.key().to_string()])),
                    },
                }
            }
        }
        if !errors.is_empty() {
            let texts: Vec<String> =
                errors.iter().map(|(why, keys)| format!("cannot delete {why}: {}", keys.join(", "))).collect();
            return Err(format!("error: unable to drain node due to error: {}", texts.join(", ")));
        }
        let deadline = drain.timeout.filter(|t| !t.is_zero()).map(|t| self.store.now() + t);
        self.steps.drains.push(DrainRun { drain: drain.clone(), deadline, pods, nodes, done: false });
        self.drain_round(self.steps.drains.len() - 1);
        Ok(())
    }

    /// Upstream: `filters.go`, in order; the first that does not let the Pod go decides.
    fn fate(&self, pod: &Pod, drain: &Drain) -> Fate {
        if pod.meta.annotations.contains_key(MIRROR) {
            return Fate::Leave;
        }
        let controller = pod.meta.controller();
        if let Some(owner) = controller.filter(|o| o.kind == Kind::DaemonSet.name()) {
            let exists = self
                .store
                .find::<crate::api::workload::DaemonSet>(&pod.meta.namespace, &owner.name)
                .is_some();
            if exists && !pod.is_terminal() {
                return if drain.ignore_daemonsets {
                    Fate::Leave
                } else {
                    Fate::Error("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)")
                };
            }
        }
        if pod.is_terminal() {
            return Fate::Evict;
        }
        let scratch = |v: &crate::api::volume::Volume| matches!(v.source, VolumeSource::EmptyDir { .. });
        if !drain.delete_empty_dir_data && pod.spec.volumes.iter().any(scratch) {
            return Fate::Error("Pods with local storage (use --delete-emptydir-data to override)");
        }
        if controller.is_none() && !drain.force {
            return Fate::Error("cannot delete Pods that declare no controller (use --force to override)");
        }
        Fate::Evict
    }

    /// One look at a drain: evicts what is due, waits for the rest.
    pub(in crate::sim) fn drain_round(&mut self, index: usize) {
        let now = self.store.now();
        let Some(mut run) = self.steps.drains.get(index).filter(|run| !run.done).cloned() else { return };
        let mut fatal = None;
        for (key, uid, retry) in &mut run.pods {
            if retry.is_none_or(|at| at > now) || self.is_gone(key, uid) {
                continue;
            }
            match self.evict_one(key, &run.drain) {
                Ok(()) => *retry = None,
                Err(ApiError::NotFound { .. }) => *retry = None,
                Err(error @ ApiError::TooManyRequests { .. }) => {
                    let line = format!(
                        "error when evicting pods/\"{}\" -n \"{}\" (will retry after 5s): {error}",
                        key.name, key.namespace
                    );
                    self.fact(Fact::Refused { at: now, verb: "drain".into(), message: line.into() });
                    *retry = Some(now + RETRY);
                }
                Err(error) if error.is_namespace_terminating() => *retry = Some(now + RETRY),
                Err(error) => fatal = Some(format!("error when evicting pods/\"{}\": {error}", key.name)),
            }
        }
        let left: Vec<_> = run.pods.iter().filter(|(key, uid, _)| !self.is_gone(key, uid)).cloned().collect();
        run.pods = left;
        let next_retry = run.pods.iter().filter_map(|(_, _, retry)| *retry).min();
        run.done = true;
        if let Some(why) = fatal {
            self.refuse("drain", why);
        } else if run.pods.is_empty() {
            let nodes = run.nodes.iter().map(Str::as_str).collect::<Vec<_>>().join(", ");
            self.fact(Fact::Action {
                at: now,
                verb: "drained".into(),
                summary: nodes.into(),
                last_lease_renewal: Vec::new(),
            });
        } else if run.deadline.is_some_and(|deadline| deadline <= now) {
            let after = run.drain.timeout.unwrap_or_default();
            self.refuse("drain", format!("global timeout reached: {after}"));
        } else {
            run.done = false;
            let poll = now + POLL;
            let at = next_retry.map_or(poll, |retry| retry.min(poll)).min(run.deadline.unwrap_or(SimTime::MAX));
            self.schedule(at, Event::Drain(index));
        }
        self.steps.drains[index] = run;
    }

    fn is_gone(&self, key: &ObjectKey, uid: &str) -> bool {
        self.store.get::<Pod>(key).is_none_or(|pod| pod.meta.uid != uid)
    }

    fn evict_one(&mut self, key: &ObjectKey, drain: &Drain) -> Result<(), ApiError> {
        let grace = drain.grace_period.map(|g| i64::try_from(g.as_secs()).unwrap_or(i64::MAX));
        if drain.disable_eviction {
            let options = DeleteOptions { grace_seconds: grace, ..DeleteOptions::default() };
            return self.store.delete::<Pod>(key, &options).map(|_| ());
        }
        eviction::evict(&mut self.store, key, grace)
    }

    pub(super) fn evict(&mut self, target: &Target, grace: Option<SimDuration>) -> Result<(), Refusal> {
        let grace = grace.map(|g| i64::try_from(g.as_secs()).unwrap_or(i64::MAX));
        let mut refusals = Vec::new();
        for object in self.resolve(target)? {
            if let Err(error) = eviction::evict(&mut self.store, &object.key(), grace) {
                refusals.push(format!("error when evicting pods/\"{}\": {error}", object.meta().name));
            }
        }
        if refusals.is_empty() { Ok(()) } else { Err(refusals.join("; ")) }
    }
}
