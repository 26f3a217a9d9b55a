//! What must hold in the end, when nothing has failed for a long while: everything runs, or says rightly why it cannot.

use std::collections::BTreeSet;
use wavetank::base::Arc;

use wavetank::api::policy::{HorizontalPodAutoscaler, PodDisruptionBudget, ResourceQuota};
use wavetank::api::service::{EndpointSlice, Service};
use wavetank::api::storage::{ClaimPhase, PersistentVolume, PersistentVolumeClaim, VolumeAttachment};
use wavetank::api::workload::{DaemonSet, Deployment, Job, ReplicaSet, StatefulSet};
use wavetank::api::{Kind, Meta, Node, Phase, Pod, TaintEffect, condition};
use wavetank::sim::World;
use wavetank::store::Store;

use super::naive::{self, Cluster};

/// A Pod must run this many seconds after it was made: pull, start and readiness, on a busy node too.
const STARTS_WITHIN: i64 = 60;

/// A Pod must be gone this many seconds after the end of its grace.
const ENDS_WITHIN: i64 = 10;

/// Collects what is wrong.
pub struct Judge<'a> {
    store: &'a Store,
    cluster: Cluster<'a>,
    wrong: Vec<String>,
}

/// What does not hold at the end.
pub fn not_well(world: &World) -> Vec<String> {
    let store = world.store();
    let mut judge = Judge { store, cluster: Cluster::new(store), wrong: Vec::new() };
    judge.nodes();
    judge.pods();
    judge.deployments();
    judge.stateful_sets();
    judge.daemon_sets();
    judge.jobs();
    judge.endpoints();
    judge.budgets();
    judge.quotas();
    judge.autoscalers();
    judge.volumes();
    judge.leftovers();
    judge.wrong
}

impl Judge<'_> {
    fn blame(&mut self, what: String) {
        self.wrong.push(what);
    }

    fn nodes(&mut self) {
        for node in self.store.list::<Node>() {
            if !node.is_ready() {
                self.blame(format!("node {} is not Ready", node.meta.name));
            } else if let Some(taint) = node.taints.iter().find(|t| t.key.starts_with("node.kubernetes.io/"))
            {
                self.blame(format!("node {} is well and has the taint {taint}", node.meta.name));
            }
        }
    }

    fn pods(&mut self) {
        for pod in self.store.list::<Pod>() {
            let key = pod.meta.key();
            if pod.meta.is_deleting() {
                if !self.may_still_go(&pod.meta) {
                    self.blame(format!("pod {key} is still being deleted"));
                }
            } else if pod.node_name.is_some() {
                let image_missing = pod.spec.containers.iter().any(|c| c.image.ends_with(":bad"));
                let left_alone = image_missing && self.is_outdated(pod);
                if !(pod.is_terminal() || pod.is_ready() || left_alone || self.is_new(pod)) {
                    self.blame(format!("pod {key} has a node and is not Ready ({:?})", pod.status.phase));
                }
            } else if pod.status.phase == Phase::Pending {
                self.waiting(pod);
            } else if !pod.is_terminal() {
                self.blame(format!("pod {key} has no node and is {:?}", pod.status.phase));
            }
        }
    }

    /// Whether a Pod came so late (an autoscaler wanted it) that it may still be starting.
    fn is_new(&self, pod: &Pod) -> bool {
        let age = pod.meta.created.map(|at| self.store.timestamp().secs() - at.secs());
        age.is_some_and(|seconds| seconds < STARTS_WITHIN)
    }

    /// Whether an object was marked so late (an autoscaler wanted less) that its grace is not over.
    fn may_still_go(&self, meta: &Meta) -> bool {
        meta.deletion
            .is_some_and(|deletion| deletion.timestamp.secs() + ENDS_WITHIN > self.store.timestamp().secs())
    }

    /// Whether nobody mends a Pod: it is of an older template of a Deployment that waits for room or is forbidden more
    /// Pods, or it or its ReplicaSet is an orphan.
    fn is_outdated(&self, pod: &Pod) -> bool {
        if pod.meta.controller().is_none() {
            return true;
        }
        let set =
            pod.meta.controller().and_then(|o| self.store.find::<ReplicaSet>(&pod.meta.namespace, &o.name));
        if set.is_some_and(|s| s.meta.controller().is_none()) {
            return true;
        }
        let owner = set.and_then(|s| s.meta.controller());
        let deployment = owner.and_then(|o| self.store.find::<Deployment>(&pod.meta.namespace, &o.name));
        deployment.is_some_and(|d| self.waits(&d.meta) || is_forbidden(d))
    }

    /// A Pod without a node must have been told why, in words that are true.
    fn waiting(&mut self, pod: &Arc<Pod>) {
        let key = pod.meta.key();
        let Some(why) = condition::find(&pod.status.conditions, "PodScheduled") else {
            return self.blame(format!("pod {key} waits and nobody has said why"));
        };
        if self.cluster.nodes.is_empty() && why.message == "no nodes available to schedule pods" {
            return;
        }
        for node in &self.cluster.nodes.clone() {
            let room = self.cluster.without_lesser(node, pod.spec.priority);
            if self.cluster.refusals(pod, node).is_empty() {
                self.blame(format!("pod {key} waits and would fit on {}: {}", node.meta.name, why.message));
            } else if !pod.spec.never_preempts && room.refusals(pod, node).is_empty() {
                self.blame(format!(
                    "pod {key} waits and could preempt on {}: {}",
                    node.meta.name, why.message
                ));
            }
        }
        // Room that others have just taken is not told anew.
        let moves = self.store.list::<Pod>().any(|p| p.status.nominated_node.is_some() || self.is_new(p));
        let Some((nodes, counts)) = naive::read(&why.message) else {
            return self.blame(format!("pod {key} waits: {}", why.message));
        };
        let expected = self.cluster.counts(pod);
        if !moves && (nodes != self.cluster.nodes.len() || counts != expected) {
            self.blame(format!(
                "pod {key} waits: {}; but {} nodes, {expected:?}",
                why.message,
                self.cluster.nodes.len()
            ));
        }
    }

    /// Pods of a controller, or of its ReplicaSets.
    fn pods_of(&self, owner: &Meta) -> Vec<Arc<Pod>> {
        let mut pods: Vec<Arc<Pod>> = self.store.pods_of(&owner.uid).cloned().collect();
        for set in
            self.store.list_in::<ReplicaSet>(&owner.namespace).filter(|s| s.meta.is_controlled_by(&owner.uid))
        {
            pods.extend(self.store.pods_of(&set.meta.uid).cloned());
        }
        pods
    }

    /// Whether a Pod of a controller waits for a node (which [`Judge::waiting`] has looked at).
    fn waits(&self, owner: &Meta) -> bool {
        self.pods_of(owner).iter().any(|p| p.node_name.is_none())
    }

    /// Whether a controller has just made a Pod.
    fn grows(&self, owner: &Meta) -> bool {
        self.pods_of(owner).iter().any(|p| self.is_new(p))
    }

    fn deployments(&mut self) {
        for deployment in self.store.list::<Deployment>() {
            let (status, wanted) = (&deployment.status, deployment.replicas);
            let key = deployment.meta.key();
            let active = self.pods_of(&deployment.meta).iter().filter(|p| p.is_active()).count();
            if status.replicas as usize != active {
                self.blame(format!("deployment {key} says {} replicas and has {active}", status.replicas));
            }
            if status.observed_generation != deployment.meta.generation {
                self.blame(format!("deployment {key} has not been looked at"));
            }
            let whole = [status.replicas, status.updated_replicas, status.available_replicas] == [wanted; 3];
            let excused = self.waits(&deployment.meta) || self.grows(&deployment.meta);
            if !whole && !excused && !is_forbidden(deployment) {
                self.blame(format!("deployment {key} wants {wanted} and has {status:?}"));
            }
        }
    }

    fn stateful_sets(&mut self) {
        for set in self.store.list::<StatefulSet>() {
            let (status, key) = (&set.status, set.meta.key());
            let whole =
                [status.replicas, status.ready_replicas, status.updated_replicas] == [set.replicas; 3];
            if !whole && !self.waits(&set.meta) {
                self.blame(format!("statefulset {key} wants {} and has {status:?}", set.replicas));
            }
            for pod in self.pods_of(&set.meta) {
                let ordinal = pod.meta.name.rsplit('-').next().and_then(|n| n.parse::<i32>().ok());
                if whole && ordinal.is_none_or(|n| n >= set.replicas) {
                    self.blame(format!("statefulset {key} wants {} and has {}", set.replicas, pod.meta.name));
                }
            }
        }
    }

    fn daemon_sets(&mut self) {
        for set in self.store.list::<DaemonSet>() {
            let spec = &set.template.spec;
            let takes = |node: &&Arc<Node>| {
                let selected = spec.node_selector.iter().all(|(k, v)| node.meta.labels.get(k) == Some(v));
                selected
                    && node.taints.iter().all(|t| {
                        t.effect == TaintEffect::PreferNoSchedule
                            || t.key == "node.kubernetes.io/unschedulable"
                            || spec.tolerations.iter().any(|x| x.tolerates(t))
                    })
            };
            let wanted = self.store.list::<Node>().filter(takes).count();
            let (status, key) = (&set.status, set.meta.key());
            if status.desired_number_scheduled as usize != wanted {
                self.blame(format!(
                    "daemonset {key} should want {wanted} and wants {}",
                    status.desired_number_scheduled
                ));
            }
            if (status.number_ready as usize != wanted || status.number_misscheduled != 0)
                && !self.waits(&set.meta)
            {
                self.blame(format!("daemonset {key} should have {wanted} and has {status:?}"));
            }
        }
    }

    fn jobs(&mut self) {
        for job in self.store.list::<Job>() {
            let done = ["Complete", "Failed"].iter().any(|c| condition::is_true(&job.status.conditions, c));
            if !done && !self.waits(&job.meta) {
                self.blame(format!("job {} does not end: {:?}", job.meta.key(), job.status));
            }
        }
    }

    fn endpoints(&mut self) {
        for service in self.store.list::<Service>() {
            let Some(selector) = &service.selector else { continue };
            let matches = |p: &&Arc<Pod>| selector.iter().all(|(k, v)| p.meta.labels.get(k) == Some(v));
            let mine = self.store.list_in::<Pod>(&service.meta.namespace).filter(matches);
            let ready: BTreeSet<String> =
                mine.filter(|p| p.is_ready() && p.is_active()).map(|p| p.meta.name.to_string()).collect();
            let slices = self
                .store
                .list_in::<EndpointSlice>(&service.meta.namespace)
                .filter(|s| s.meta.labels.get("kubernetes.io/service-name") == Some(&service.meta.name));
            let said: BTreeSet<String> =
                slices.flat_map(|s| &s.endpoints).filter(|e| e.ready).map(|e| e.pod.to_string()).collect();
            if said != ready {
                self.blame(format!(
                    "service {} has the endpoints {said:?} and should have {ready:?}",
                    service.meta.key()
                ));
            }
        }
    }

    fn budgets(&mut self) {
        for budget in self.store.list::<PodDisruptionBudget>() {
            let selected = |p: &&Arc<Pod>| budget.selector.matches(&p.meta.labels) && p.is_active();
            let healthy = self
                .store
                .list_in::<Pod>(&budget.meta.namespace)
                .filter(selected)
                .filter(|p| p.is_ready())
                .count();
            if budget.current_healthy as usize != healthy {
                let (key, said) = (budget.meta.key(), budget.current_healthy);
                self.blame(format!("budget {key} sees {said} healthy Pods and there are {healthy}"));
            }
        }
    }

    fn quotas(&mut self) {
        for quota in self.store.list::<ResourceQuota>() {
            let pods =
                self.store.list_in::<Pod>(&quota.meta.namespace).filter(|p| !p.is_terminal()).count() as i64;
            let used = quota.used.get("pods").unwrap_or(wavetank::base::Quantity::ZERO);
            if used != wavetank::base::Quantity::from_units(pods) {
                self.blame(format!("quota {} counts {used} Pods and there are {pods}", quota.meta.key()));
            }
        }
    }

    fn autoscalers(&mut self) {
        for scaler in self.store.list::<HorizontalPodAutoscaler>() {
            let target = self.store.find::<Deployment>(&scaler.meta.namespace, &scaler.target_name);
            let Some(wanted) = target.map(|d| d.replicas) else { continue };
            if wanted != 0 && !(scaler.min_replicas..=scaler.max_replicas).contains(&wanted) {
                let (min, max) = (scaler.min_replicas, scaler.max_replicas);
                self.blame(format!(
                    "autoscaler {}: {wanted} is not between {min} and {max}",
                    scaler.meta.key()
                ));
            }
        }
    }

    fn volumes(&mut self) {
        let used = |claim: &PersistentVolumeClaim, node: Option<&str>| {
            self.store.list_in::<Pod>(&claim.meta.namespace).any(|p| {
                !p.is_terminal()
                    && node.is_none_or(|n| p.node_name.as_deref() == Some(n))
                    && p.spec.claim_names(&p.meta.name).contains(&claim.meta.name)
            })
        };
        let mut wrong = Vec::new();
        for attachment in self.store.list::<VolumeAttachment>() {
            let (volume, node) = (&attachment.pv_name, &attachment.node_name);
            let claim = self
                .store
                .find::<PersistentVolume>("", volume)
                .and_then(|v| v.claim_ref.as_ref())
                .and_then(|r| self.store.get::<PersistentVolumeClaim>(&r.key));
            if !claim.is_some_and(|c| used(c, Some(node))) {
                wrong.push(format!("volume {volume} is attached to {node}, where nobody uses it"));
            } else if !attachment.attached {
                wrong.push(format!("volume {volume} is not attached to {node}, where it is used"));
            }
        }
        for claim in self.store.list::<PersistentVolumeClaim>() {
            if claim.phase == ClaimPhase::Lost || (claim.meta.is_deleting() && !used(claim, None)) {
                wrong.push(format!(
                    "claim {} is {:?}, deleted: {}",
                    claim.meta.key(),
                    claim.phase,
                    claim.meta.is_deleting()
                ));
            }
        }
        for volume in self.store.list::<PersistentVolume>() {
            let claim =
                volume.claim_ref.as_ref().and_then(|r| self.store.get::<PersistentVolumeClaim>(&r.key));
            if claim.is_none() {
                wrong.push(format!("volume {} is kept for a claim that is gone", volume.meta.name));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Nothing outlives its owner, and nothing that is to go stays.
    fn leftovers(&mut self) {
        let kinds =
            [Kind::Pod, Kind::ReplicaSet, Kind::Job, Kind::Deployment, Kind::StatefulSet, Kind::Namespace];
        for object in kinds.iter().flat_map(|kind| self.store.list_objects(*kind)) {
            let meta = object.meta();
            if meta.is_deleting() && !self.may_still_go(meta) {
                self.blame(format!("{} {} does not go", object.kind_name(), meta.key()));
            }
            let gone = |owner: &str| self.store.by_uid(owner).is_none();
            if let Some(owner) = meta.controller().filter(|o| gone(&o.uid)) {
                self.blame(format!("{} {} outlives its {}", object.kind_name(), meta.key(), owner.kind));
            }
        }
    }
}

/// Whether the quota of its namespace keeps a Deployment from what it wants.
fn is_forbidden(deployment: &Deployment) -> bool {
    deployment.meta.namespace == "team" && condition::is_true(&deployment.status.conditions, "ReplicaFailure")
}
