//! drain and evict.
//!
//! Upstream: `kubectl/pkg/drain/{drain,filters}.go`, `kubectl/pkg/cmd/drain`, v1.34: cordon all nodes, then take one after the
//! other: filter its Pods, evict all that are left at once, try refused ones again every 5 s, look once a second
//! whether they are gone. A node that cannot be drained does not keep the next from its turn.

use std::collections::VecDeque;

use super::Refusal;
use crate::api::volume::VolumeSource;
use crate::api::workload::DaemonSet;
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
    /// Nodes whose turn has not come.
    queue: VecDeque<Str>,
    /// The node that is drained, and what is left on it.
    node: Str,
    pods: Vec<Leaving>,
    deadline: Option<SimTime>,
    /// What went wrong with Pods of the node, in kubectl's words.
    errors: Vec<String>,
}

/// A Pod that must go.
#[derive(Clone, Debug)]
struct Leaving {
    key: ObjectKey,
    uid: Str,
    /// When eviction is tried again; none once it was granted.
    retry: Option<SimTime>,
    /// It was being deleted already when the drain began.
    deleting: bool,
}

/// What kubectl decides about a Pod of a node to be drained.
enum Fate {
    Evict,
    Leave,
    /// The node cannot be drained: a reason that groups Pods.
    Error(String),
}

impl World {
    pub(super) fn drain(&mut self, drain: &Drain) -> Result<(), Refusal> {
        let nodes = self.resolve_nodes(&drain.nodes)?;
        self.cordon_names(&nodes, true)?;
        self.steps.drains.push(DrainRun {
            drain: drain.clone(),
            queue: nodes.into(),
            node: Str::new(),
            pods: Vec::new(),
            deadline: None,
            errors: Vec::new(),
        });
        self.next_node(self.steps.drains.len() - 1);
        Ok(())
    }

    /// Begins with the next node that can be drained.
    fn next_node(&mut self, index: usize) {
        while let Some(run) = self.steps.drains.get_mut(index) {
            let Some(node) = run.queue.pop_front() else { return };
            let drain = run.drain.clone();
            match self.pods_to_drain(&node, &drain) {
                Ok(pods) => {
                    let deadline = drain.timeout.filter(|t| !t.is_zero()).map(|t| self.store.now() + t);
                    if let Some(run) = self.steps.drains.get_mut(index) {
                        (run.node, run.pods, run.deadline) = (node, pods, deadline);
                        run.errors.clear();
                    }
                    let now = self.store.now();
                    return self.schedule(now, Event::Drain(index));
                }
                Err(errors) => self.refuse("drain", unable_to_drain(&node, &errors)),
            }
        }
    }

    /// The Pods of a node that go, or why the node cannot be drained.
    fn pods_to_drain(&self, node: &str, drain: &Drain) -> Result<Vec<Leaving>, Vec<String>> {
        let mut pods = Vec::new();
        let mut errors: Vec<(String, Vec<String>)> = Vec::new();
        for pod in self.store.pods_on(node).filter(|p| drain.pod_selector.matches(&p.meta.labels)) {
            let key = pod.meta.key();
            match self.fate(pod, drain) {
                Fate::Evict => {
                    pods.push(Leaving {
                        key,
                        uid: pod.meta.uid.clone(),
                        retry: Some(self.store.now()),
                        deleting: pod.meta.is_deleting(),
                    });
                }
                Fate::Leave => {}
                Fate::Error(why) => match errors.iter_mut().find(|(reason, _)| *reason == why) {
                    Some((_, keys)) => keys.push(key.to_string()),
                    None => errors.push((why, vec![key.to_string()])),
                },
            }
        }
        if errors.is_empty() {
            return Ok(pods);
        }
        Err(errors.iter().map(|(why, keys)| format!("cannot delete {why}: {}", keys.join(", "))).collect())
    }

    /// Upstream: `filters.go`, in order; the first that does not let the Pod go decides.
    fn fate(&self, pod: &Pod, drain: &Drain) -> Fate {
        if self.is_overdue(pod, drain) {
            return Fate::Leave;
        }
        let error = |why: &str| Fate::Error(why.to_owned());
        let controller = pod.meta.controller();
        if let Some(owner) = controller.filter(|o| o.kind == Kind::DaemonSet.name() && !pod.is_terminal()) {
            let key = ObjectKey::new(pod.meta.namespace.clone(), owner.name.clone());
            let exists = self.store.get::<DaemonSet>(&key).is_some();
            if !exists && !drain.force {
                return Fate::Error(ApiError::not_found(Kind::DaemonSet, &key).to_string());
            }
            if exists && !drain.ignore_daemonsets {
                return error("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)");
            }
            if exists {
                return Fate::Leave;
            }
        }
        if pod.meta.annotations.contains_key(MIRROR) {
            return Fate::Leave;
        }
        if pod.is_terminal() {
            return Fate::Evict;
        }
        let scratch = |v: &crate::api::volume::Volume| matches!(v.source, VolumeSource::EmptyDir { .. });
        if !drain.delete_empty_dir_data && pod.spec.volumes.iter().any(scratch) {
            return error("Pods with local storage (use --delete-emptydir-data to override)");
        }
        if controller.is_none() && !drain.force {
            // kubectl says `cannot delete` twice here.
            return error("cannot delete Pods that declare no controller (use --force to override)");
        }
        Fate::Evict
    }

    /// One look at a drain: evicts what is due, waits for the rest.
    pub(in crate::sim) fn drain_round(&mut self, index: usize) {
        let now = self.store.now();
        let Some(mut run) = self.steps.drains.get(index).cloned() else { return };
        for mut pod in std::mem::take(&mut run.pods) {
            if self.is_gone(&pod, &run.drain) {
                continue;
            }
            match self.push_out(&mut pod, &run) {
                Ok(()) if self.is_gone(&pod, &run.drain) => {}
                Ok(()) => run.pods.push(pod),
                Err(error) => run.errors.push(error),
            }
        }
        let next = next_look(&run, now);
        let (node, errors) = (run.node.clone(), run.errors.clone());
        self.steps.drains[index] = run;
        if let Some(at) = next {
            return self.schedule(at, Event::Drain(index));
        }
        if errors.is_empty() {
            let verb = "drained".into();
            self.fact(Fact::Action { at: now, verb, summary: node, last_lease_renewal: Vec::new() });
        } else {
            self.refuse("drain", unable_to_drain(&node, &errors));
        }
        self.next_node(index);
    }

    /// Evicts a Pod if that is due.
    ///
    /// # Errors
    /// kubectl gives the Pod up.
    fn push_out(&mut self, pod: &mut Leaving, run: &DrainRun) -> Result<(), String> {
        let now = self.store.now();
        let (name, namespace) = (&pod.key.name, &pod.key.namespace);
        let evicting = format!("error when evicting pods/\"{name}\" -n \"{namespace}\"");
        let over = run.deadline.is_some_and(|deadline| deadline <= now);
        let Some(retry) = pod.retry else {
            return if over {
                Err(format!(
                    "error when waiting for pod \"{name}\" in namespace \"{namespace}\" to terminate: context deadline exceeded"
                ))
            } else {
                Ok(())
            };
        };
        if retry > now {
            return Ok(());
        }
        if over {
            let after = run.drain.timeout.unwrap_or_default();
            return Err(format!("{evicting}: global timeout reached: {after}"));
        }
        match self.evict_one(&pod.key, &run.drain) {
            Ok(()) | Err(ApiError::NotFound { .. }) => pod.retry = None,
            Err(error @ ApiError::TooManyRequests { .. }) => {
                let line = format!("{evicting} (will retry after 5s): {error}");
                self.fact(Fact::Refused { at: now, verb: "drain".into(), message: line.into() });
                pod.retry = Some(now + RETRY);
            }
            // Such a Pod goes with its namespace; kubectl asks until it is marked.
            Err(error) if error.is_namespace_terminating() && pod.deleting => pod.retry = None,
            Err(error) if error.is_namespace_terminating() => {
                let line = format!(
                    "error when evicting pod \"{name}\" from terminating namespace \"{namespace}\" (will retry after 5s): {error}"
                );
                self.fact(Fact::Refused { at: now, verb: "drain".into(), message: line.into() });
                pod.retry = Some(now + RETRY);
            }
            Err(error) => return Err(format!("{evicting}: {error}")),
        }
        Ok(())
    }

    /// Whether a drain need not wait for a Pod any more.
    fn is_gone(&self, pod: &Leaving, drain: &Drain) -> bool {
        let live = self.store.get::<Pod>(&pod.key);
        live.is_none_or(|live| live.meta.uid != pod.uid || self.is_overdue(live, drain))
    }

    /// Whether a Pod should have been gone for longer than kubectl waits. Upstream: `skipDeletedFilter`.
    fn is_overdue(&self, pod: &Pod, drain: &Drain) -> bool {
        drain.skip_wait_for_delete.zip(pod.meta.deletion).is_some_and(|(limit, deletion)| {
            let late = self.store.now().since(self.store.calendar().instant(deletion.timestamp));
            late.as_secs() > limit.as_secs()
        })
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

/// Several errors are listed in brackets, as Go joins them.
fn unable_to_drain(node: &str, errors: &[String]) -> String {
    let error = match errors {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    format!("error: unable to drain node \"{node}\" due to error: {error}, continuing command...")
}

/// When a drain is looked at again; none once nothing is left on the node.
fn next_look(run: &DrainRun, now: SimTime) -> Option<SimTime> {
    let waits = run.pods.iter().any(|pod| pod.retry.is_none());
    let retry = run.pods.iter().filter_map(|pod| pod.retry).min();
    let end = run.deadline.filter(|deadline| waits && *deadline > now);
    [waits.then_some(now + POLL), retry, end].into_iter().flatten().min()
}
