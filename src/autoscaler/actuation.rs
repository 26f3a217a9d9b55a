//! Empties nodes and deletes them.
//!
//! Upstream: `cluster-autoscaler/core/scaledown/actuation/{actuator,drain,delete_in_batch}.go`, 1.34.

use super::drainability::{Budgets, Fate, fate, is_daemon};
use super::scale_down::Candidate;
use super::{ClusterAutoscaler, Ctx, Effect, TAINT_TO_BE_DELETED, status_config_map};
use crate::api::{EventType, Node, ObjectKey, ObjectRef, Pod, Taint, TaintEffect};
use crate::base::text::lit;
use crate::base::{Arc, SimDuration, SimTime, Str};

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
    /// When refused evictions are asked for again.
    next_try: SimTime,
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
    pub(super) fn begin_deletion(&mut self, ctx: &mut Ctx<'_>, candidate: &Candidate) {
        let (node, pods) = (&candidate.name, &candidate.moving);
        let key = ObjectKey::cluster(node.clone());
        let value: Str = ctx.store.timestamp().secs().to_string().into();
        let cordons = self.flags.cordon_node_before_terminating;
        let marked = ctx.store.update_spec::<Node>(&key, |node| {
            node.unschedulable |= cordons;
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
            let names: Vec<&str> = pods.iter().map(|pod| pod.pod.meta.name.as_str()).collect();
            let (used, list) = (&candidate.utilization, names.join(","));
            format!("Scale-down: removing node {node}, utilization: {used}, pods to reschedule: {list}")
        };
        let reason = if pods.is_empty() { lit!("ScaleDownEmpty") } else { lit!("ScaleDown") };
        self.say(ctx, status_config_map(), EventType::Normal, reason, text);
        let keys = |pods: &[crate::scheduler::framework::PodInfo]| -> Vec<(ObjectKey, Str)> {
            pods.iter().map(|pod| (pod.pod.meta.key(), pod.pod.meta.uid.clone())).collect()
        };
        let deletion = Deletion {
            due: ctx.store.now() + self.flags.node_delete_delay_after_taint,
            drains: !pods.is_empty(),
            pods: keys(pods),
            stage: Stage::Tainted,
            next_try: ctx.store.now(),
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
            if let Err(why) = self.look_again(ctx, node, deletion) {
                self.give_up(ctx, node, deletion, &why);
                return false;
            }
            self.evict_daemons(ctx, node, deletion);
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
                deletion.due = now + POLL;
                if now < deletion.next_try {
                    return true;
                }
                deletion.next_try = now + EVICTION_RETRY;
                for pod in refused {
                    let grace =
                        pod.spec.termination_grace_seconds.min(self.flags.max_graceful_termination_sec);
                    let text = "deleting pod for node scale down".to_owned();
                    self.say(ctx, ObjectRef::to(&**pod), EventType::Normal, lit!("ScaleDown"), text);
                    ctx.out.push(Effect::Evict(pod.meta.key(), grace));
                }
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
            Stage::Evicting(_) => {
                let refused: Vec<Arc<Pod>> = refused.into_iter().cloned().collect();
                self.say_refused(ctx, &refused);
                let why =
                    format!("Failed to drain node /{node}, due to following errors: [{}]", errors(&refused));
                self.give_up(ctx, node, deletion, &why);
                false
            }
            Stage::Ending(_) | Stage::Tainted => {
                let why = format!("Failed to drain node /{node}: pods remaining after timeout");
                self.give_up(ctx, node, deletion, &why);
                false
            }
        }
    }

    /// After the taint the node is looked at once more: a Pod may have come in the last moment, or a rule may keep it now.
    /// The Pods that must go, as they are now.
    fn look_again(&self, ctx: &Ctx<'_>, node: &Str, deletion: &mut Deletion) -> Result<(), String> {
        let budgets = if deletion.drains { Budgets::new(ctx.store) } else { Budgets::default() };
        let mut moving = Vec::new();
        for pod in ctx.store.pods_on(node) {
            if i64::from(pod.spec.priority) < self.flags.expendable_pods_priority_cutoff {
                continue;
            }
            match fate(ctx.store, &self.flags, &budgets, pod) {
                Fate::Move if !is_daemon(pod) => moving.push((pod.meta.key(), pod.meta.uid.clone())),
                Fate::Move | Fate::Skip => {}
                Fate::Block(_) if !deletion.drains => {
                    moving.push((pod.meta.key(), pod.meta.uid.clone()));
                }
                Fate::Block(reason) => {
                    let (namespace, name) = (&pod.meta.namespace, &pod.meta.name);
                    return Err(format!(
                        "GetPodsToMove for \"{node}\" returned error: {}",
                        sentence(reason, namespace, name)
                    ));
                }
            }
        }
        if !deletion.drains && !moving.is_empty() {
            return Err(format!("failed to delete empty node \"{node}\", new pods scheduled"));
        }
        deletion.pods = moving;
        Ok(())
    }

    /// Asks for the eviction of DaemonSet Pods; nobody waits for them.
    fn evict_daemons(&self, ctx: &mut Ctx<'_>, node: &Str, deletion: &Deletion) {
        let wanted = match deletion.drains {
            true => self.flags.daemonset_eviction_for_occupied_nodes,
            false => self.flags.daemonset_eviction_for_empty_nodes,
        };
        if wanted {
            let daemons: Vec<Arc<Pod>> =
                ctx.store.pods_on(node).filter(|pod| is_daemon(pod)).cloned().collect();
            for pod in daemons {
                let grace = pod.spec.termination_grace_seconds.min(self.flags.max_graceful_termination_sec);
                ctx.out.push(Effect::Evict(pod.meta.key(), grace));
            }
        }
    }

    fn say_refused(&mut self, ctx: &mut Ctx<'_>, refused: &[Arc<Pod>]) {
        for pod in refused {
            let text = "failed to delete pod for ScaleDown".to_owned();
            self.say(ctx, ObjectRef::to(&**pod), EventType::Warning, lit!("ScaleDownFailed"), text);
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
        self.want(now);
    }

    /// The Pods do not go: the node stays.
    fn give_up(&mut self, ctx: &mut Ctx<'_>, node: &Str, deletion: &Deletion, why: &str) {
        if let Some(found) = ctx.store.find::<Node>("", node) {
            let about = ObjectRef::to(&**found);
            let what = if deletion.drains { "drain and delete node" } else { "delete empty node" };
            let text = format!("failed to {what}: {why}");
            self.say(ctx, about, EventType::Warning, lit!("ScaleDownFailed"), text);
        }
        // A node that went meanwhile needs no mending.
        let cordons = self.flags.cordon_node_before_terminating;
        let _ = ctx.store.update_spec::<Node>(&ObjectKey::cluster(node.clone()), |node| {
            node.unschedulable &= !cordons;
            node.taints.retain(|t| t.key != TAINT_TO_BE_DELETED);
        });
        self.want(ctx.store.now());
    }
}

/// Why evictions were refused to the last.
fn errors(refused: &[Arc<Pod>]) -> String {
    let one = |pod: &Arc<Pod>| {
        let (namespace, name) = (&pod.meta.namespace, &pod.meta.name);
        format!(
            "failed to evict pod {namespace}/{name} within allowed timeout (last error: Cannot evict pod as it would violate the pod's disruption budget.)"
        )
    };
    refused.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// What upstream says of the Pod that keeps a node.
fn sentence(reason: &str, namespace: &str, name: &str) -> String {
    match reason {
        "NotReplicated" => format!("{namespace}/{name} is not replicated"),
        "UnmovableKubeSystemPod" => {
            format!("non-daemonset, non-mirrored, non-pdb-assigned kube-system pod present: {name}")
        }
        "NotSafeToEvictAnnotation" => format!("pod annotated as not safe to evict present: {name}"),
        "LocalStorageRequested" => format!("pod with local storage present: {name}"),
        "NotEnoughPdb" => format!("not enough pod disruption budget to move {namespace}/{name}"),
        _ => format!("replication controller for {namespace}/{name} is not available"),
    }
}
