//! Empties nodes and deletes them.
//!
//! Upstream: `cluster-autoscaler/core/scaledown/actuation/{actuator,drain,delete_in_batch}.go`, 1.34.

use std::sync::Arc;

use super::{ClusterAutoscaler, Ctx, Effect, TAINT_TO_BE_DELETED, status_config_map};
use crate::api::{EventType, Node, ObjectKey, ObjectRef, Pod, Taint, TaintEffect};
use crate::base::text::lit;
use crate::base::{SimDuration, SimTime, Str};

/// From the taint to the first eviction (`--node-delete-delay-after-taint`).
const AFTER_TAINT: SimDuration = SimDuration::from_secs(5);
/// Refused evictions are asked for again.
const EVICTION_RETRY: SimDuration = SimDuration::from_secs(10);
/// How often it is looked whether the Pods are gone.
const POLL: SimDuration = SimDuration::from_secs(5);
/// Pods may take so much longer than their grace period.
const HEADROOM: SimDuration = SimDuration::from_secs(30);

/// A node on its way out.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// When the next step is due.
    pub due: SimTime,
    /// Whether Pods must move first.
    pub drains: bool,
    pods: Vec<(ObjectKey, Str)>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The taint is on; the scheduler gets time to see it.
    Tainted,
    /// Evictions are asked for until this instant.
    Evicting(SimTime),
    /// All evictions are granted; the Pods end until this instant.
    Ending(SimTime),
}

impl ClusterAutoscaler {
    /// Marks a node as about to be deleted.
    pub(super) fn begin_deletion(
        &mut self,
        ctx: &mut Ctx<'_>,
        node: &Str,
        utilization: f64,
        pods: Vec<Arc<Pod>>,
    ) {
        let now = ctx.store.now();
        let key = ObjectKey::cluster(node.clone());
        let value: Str = ctx.store.timestamp().0.to_string().into();
        let marked = ctx.store.update_spec::<Node>(&key, |node| {
            node.unschedulable = true;
            node.taints.push(Taint {
                key: TAINT_TO_BE_DELETED.into(),
                value,
                effect: TaintEffect::NoSchedule,
                time_added: None,
            });
        });
        let Ok(marked) = marked else { return };
        let about = ObjectRef::to(&*marked);
        let text = "marked the node as toBeDeleted/unschedulable".to_owned();
        self.say(ctx, about, EventType::Normal, lit!("ScaleDown"), text);
        let text = if pods.is_empty() {
            format!("Scale-down: removing empty node \"{node}\"")
        } else {
            let names: Vec<&str> = pods.iter().map(|pod| pod.meta.name.as_str()).collect();
            let list = names.join(",");
            format!(
                "Scale-down: removing node {node}, utilization: {utilization}, pods to reschedule: {list}"
            )
        };
        let reason = if pods.is_empty() { lit!("ScaleDownEmpty") } else { lit!("ScaleDown") };
        self.say(ctx, status_config_map(), EventType::Normal, reason, text);
        let deletion = Deletion {
            due: now + AFTER_TAINT,
            drains: !pods.is_empty(),
            pods: pods.iter().map(|pod| (pod.meta.key(), pod.meta.uid.clone())).collect(),
            stage: Stage::Tainted,
        };
        self.unneeded.remove(node);
        self.deletions.insert(node.clone(), deletion);
    }

    /// Takes the next step of every deletion that is due.
    pub(super) fn go_on_deleting(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let due: Vec<Str> =
            self.deletions.iter().filter(|(_, d)| d.due <= now).map(|(name, _)| name.clone()).collect();
        for node in due {
            let Some(mut deletion) = self.deletions.remove(&node) else { continue };
            if self.step(ctx, &node, &mut deletion) {
                self.deletions.insert(node, deletion);
            }
        }
    }

    /// One step. Whether there will be another.
    fn step(&mut self, ctx: &mut Ctx<'_>, node: &Str, deletion: &mut Deletion) -> bool {
        let now = ctx.store.now();
        if ctx.store.find::<Node>("", node).is_none() {
            return false;
        }
        if deletion.stage == Stage::Tainted {
            if !deletion.drains {
                self.delete(ctx, node, deletion);
                return false;
            }
            deletion.stage = Stage::Evicting(now + self.flags.max_pod_eviction_time);
        }
        let left: Vec<Arc<Pod>> = deletion
            .pods
            .iter()
            .filter_map(|(key, uid)| ctx.store.get::<Pod>(key).filter(|pod| pod.meta.uid == *uid).cloned())
            .filter(|pod| !pod.is_terminal())
            .collect();
        let refused: Vec<&Arc<Pod>> = left.iter().filter(|pod| !pod.meta.is_deleting()).collect();
        match deletion.stage {
            _ if left.is_empty() => {
                self.delete(ctx, node, deletion);
                false
            }
            Stage::Evicting(until) if !refused.is_empty() && now < until => {
                for pod in refused {
                    let grace =
                        pod.spec.termination_grace_seconds.min(self.flags.max_graceful_termination_sec);
                    let text = "deleting pod for node scale down".to_owned();
                    self.say(ctx, ObjectRef::to(&**pod), EventType::Normal, lit!("ScaleDown"), text);
                    ctx.out.push(Effect::Evict(pod.meta.key(), grace));
                }
                deletion.due = now + EVICTION_RETRY.min(POLL);
                true
            }
            Stage::Evicting(_) if refused.is_empty() => {
                let grace = left.iter().map(|pod| pod.spec.termination_grace_seconds).max().unwrap_or(0);
                let grace = grace.min(self.flags.max_graceful_termination_sec);
                deletion.stage = Stage::Ending(now + SimDuration::from_api_secs(grace) + HEADROOM);
                deletion.due = now + POLL;
                true
            }
            Stage::Ending(until) if now < until => {
                deletion.due = now + POLL;
                true
            }
            Stage::Evicting(_) | Stage::Ending(_) | Stage::Tainted => {
                self.give_up(ctx, node, &left);
                false
            }
        }
    }

    fn delete(&mut self, ctx: &mut Ctx<'_>, node: &Str, deletion: &Deletion) {
        let now = ctx.store.now();
        if let Some(found) = ctx.store.find::<Node>("", node) {
            let about = ObjectRef::to(&**found);
            let text = "nodes removed by cluster autoscaler".to_owned();
            self.say(ctx, about, EventType::Normal, lit!("ScaleDown"), text);
        }
        let (reason, text) = if deletion.drains {
            (lit!("ScaleDown"), format!("Scale-down: node {node} removed with drain"))
        } else {
            (lit!("ScaleDownEmpty"), format!("Scale-down: empty node {node} removed"))
        };
        self.say(ctx, status_config_map(), EventType::Normal, reason, text);
        ctx.fleet.terminate(node);
        ctx.out.push(Effect::Terminate(node.clone()));
        self.last_delete = Some(now);
        self.want(now);
    }

    /// The Pods do not go: the node stays.
    fn give_up(&mut self, ctx: &mut Ctx<'_>, node: &Str, left: &[Arc<Pod>]) {
        for pod in left.iter().filter(|pod| !pod.meta.is_deleting()) {
            let text = "failed to delete pod for ScaleDown".to_owned();
            self.say(ctx, ObjectRef::to(&**pod), EventType::Warning, lit!("ScaleDownFailed"), text);
        }
        let names: Vec<&str> = left.iter().map(|pod| pod.meta.name.as_str()).collect();
        if let Some(found) = ctx.store.find::<Node>("", node) {
            let about = ObjectRef::to(&**found);
            let why = format!("pods remaining after timeout: {}", names.join(", "));
            let text = format!("failed to drain and delete node: {why}");
            self.say(ctx, about, EventType::Warning, lit!("ScaleDownFailed"), text);
        }
        // A node that went meanwhile needs no mending.
        let _ = ctx.store.update_spec::<Node>(&ObjectKey::cluster(node.clone()), |node| {
            node.unschedulable = false;
            node.taints.retain(|t| t.key != TAINT_TO_BE_DELETED);
        });
        self.last_failure = Some(ctx.store.now());
        self.want(ctx.store.now());
    }
}
