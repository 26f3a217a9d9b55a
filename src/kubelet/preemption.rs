//! Critical Pods that find no room: running Pods are ended for them.
//!
//! Upstream: `pkg/kubelet/preemption/preemption.go`, v1.34. The kubelet waits for each victim before it ends the next
//! one, and takes the critical Pod in when all of them have ended.
//!
//! # Fidelity
//!
//! Upstream takes Pods that are equally near to what is missing, and of equal requests, in the order of a map; here the
//! oldest goes first. Its kubelet looks at nothing else while it waits; here it does.

use super::pod::{LocalPod, Stage, Verdict};
use super::terminate::REPORT;
use super::worker::Worker;
use super::{Ctx, Kubelets, NodeStep};
use crate::api::pod::QosClass;
use crate::api::resources::{CPU, MEMORY, PODS};
use crate::base::{SimDuration, Str, text::lit};
use crate::store::ObjId;
use crate::store::admission::SYSTEM_CLUSTER_CRITICAL;

/// What is missing of each resource; CPU in millicores.
pub type Missing = Vec<(Str, i64)>;

/// A critical Pod that waits until its victims have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitting {
    /// The Pod.
    pod: ObjId,
    /// Whom it needs to end, the next one last.
    victims: Vec<ObjId>,
    /// The one that is being ended.
    ending: Option<ObjId>,
}

/// What victims say.
const MESSAGE: Str = lit!("Preempted in order to admit critical pod");
/// How often a victim is looked at that has not ended when it should have.
const POLL: SimDuration = SimDuration::from_millis(100);

/// What a Pod requests of a resource.
fn request(pod: &LocalPod, resource: &str) -> i64 {
    let amount = pod.recipe.requests.get(resource);
    match resource {
        PODS => 1,
        CPU => amount.map_or(0, |q| q.milli_value()),
        _ => amount.map_or(0, |q| q.value()),
    }
}

/// What is missing still once these Pods have ended.
fn without(missing: &Missing, pods: &[&LocalPod]) -> Missing {
    let left = |(name, amount): &(Str, i64)| {
        let freed: i64 = pods.iter().map(|pod| request(pod, name)).sum();
        (amount - freed > 0).then(|| (name.clone(), amount - freed))
    };
    missing.iter().filter_map(left).collect()
}

/// How far a Pod is from giving what is missing: the squared shares that it leaves open. Upstream: float64.
fn distance(missing: &Missing, pod: &LocalPod) -> f64 {
    let open = |(name, amount): &(Str, i64)| {
        let left = (amount - request(pod, name)).max(0) as f64 / *amount as f64;
        left * left
    };
    missing.iter().map(open).sum()
}

/// Of these Pods those that give what is missing: again and again the nearest, of equally near ones the smaller.
fn nearest<'p>(pods: &[&'p LocalPod], missing: Missing) -> Option<Vec<&'p LocalPod>> {
    let (mut pods, mut missing, mut chosen) = (pods.to_vec(), missing, Vec::new());
    let size = |pod: &LocalPod| (request(pod, MEMORY), request(pod, CPU));
    while !missing.is_empty() {
        let order = |a: &LocalPod, b: &LocalPod| {
            distance(&missing, a).total_cmp(&distance(&missing, b)).then_with(|| size(a).cmp(&size(b)))
        };
        let best = (0..pods.len()).min_by(|a, b| order(pods[*a], pods[*b]))?;
        let pod = pods.swap_remove(best);
        missing = without(&missing, &[pod]);
        chosen.push(pod);
    }
    Some(chosen)
}

/// Whom a critical Pod ends: as little as possible of the better classes of service.
///
/// Upstream: `getPodsToPreempt`.
fn victims<'p>(candidates: &[&'p LocalPod], missing: &Missing) -> Result<Vec<&'p LocalPod>, String> {
    let of = |class: QosClass| -> Vec<&LocalPod> {
        candidates.iter().filter(|pod| pod.spec.qos == class).copied().collect()
    };
    let (best_effort, burstable, guaranteed) =
        (of(QosClass::BestEffort), of(QosClass::Burstable), of(QosClass::Guaranteed));
    let lower = [best_effort.as_slice(), &burstable].concat();
    let fails = |missing: &Missing| {
        let list: String =
            missing.iter().map(|(name, amount)| format!("(res: {name}, q: {amount}), ")).collect();
        format!("no set of running pods found to reclaim resources: [{list}]")
    };
    let unmet = without(missing, candidates);
    let (None, Some(from_guaranteed)) = (unmet.first(), nearest(&guaranteed, without(missing, &lower)))
    else {
        return Err(fails(&unmet));
    };
    let chosen = [best_effort.as_slice(), &from_guaranteed].concat();
    let from_burstable = nearest(&burstable, without(missing, &chosen)).unwrap_or_default();
    let chosen = [from_burstable.as_slice(), &from_guaranteed].concat();
    let from_best_effort = nearest(&best_effort, without(missing, &chosen)).unwrap_or_default();
    Ok([from_best_effort, from_burstable, from_guaranteed].concat())
}

/// Upstream: `pkg/kubelet/types/pod_update.go` `Preemptable`.
fn preemptable(preemptor: &LocalPod, other: &LocalPod) -> bool {
    !other.is_critical() || preemptor.spec.priority > other.spec.priority
}

impl LocalPod {
    /// Upstream: `IsCriticalPod`: such Pods are never evicted for pressure, and find room at their node.
    pub fn is_critical(&self) -> bool {
        self.mirror || self.spec.priority >= SYSTEM_CLUSTER_CRITICAL
    }
}

impl Worker<'_, '_> {
    /// The Pod must end so that a critical one has room.
    fn preempt(&mut self) {
        self.warning(lit!("Preempting"), MESSAGE);
        self.pod.verdict = Some(Box::new(Verdict {
            reason: lit!("Preempting"),
            message: MESSAGE,
            disruption: Some(lit!("Pod was preempted by Kubelet to accommodate a critical pod.")),
            rejected: false,
        }));
        self.terminate(SimDuration::from_api_secs(self.pod.spec.termination_grace_seconds));
    }
}

impl Kubelets {
    /// A critical Pod lacks room: others are ended for it, or it is refused if that would not suffice.
    pub(super) fn make_room(&mut self, id: ObjId, number: u32, missing: &Missing, ctx: &mut Ctx<'_>) {
        let Some(preemptor) = self.pods.get(&id) else { return };
        let candidates: Vec<&LocalPod> = self
            .pods_on(number)
            .filter(|pod| pod.id != id && pod.admitted && preemptable(preemptor, pod))
            .collect();
        match victims(&candidates, missing) {
            Err(why) => {
                let message = format!(
                    "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: {why}"
                );
                self.work(id, ctx, |worker| {
                    worker.reject((lit!("UnexpectedAdmissionError"), message.into()))
                });
            }
            Ok(victims) => {
                let victims: Vec<ObjId> = victims.iter().rev().map(|pod| pod.id).collect();
                // Nobody else gets the room meanwhile.
                self.work(id, ctx, |worker| {
                    worker.pod.stage = Stage::Admitting;
                    worker.take_room();
                });
                let admitting = Admitting { pod: id, victims, ending: None };
                self.machines[number as usize].admitting.push(admitting);
                self.admission_goes_on(number, ctx);
            }
        }
    }

    /// The next victim of each critical Pod that waits, if the one before has ended; after the last the Pod is taken in.
    pub(super) fn admission_goes_on(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        if !self.machines[number as usize].acts() {
            return;
        }
        for mut admitting in std::mem::take(&mut self.machines[number as usize].admitting) {
            if self.ends_victims(number, &mut admitting, ctx) {
                self.work(admitting.pod, ctx, |worker| {
                    if worker.pod.stage == Stage::Admitting {
                        worker.admitted();
                    }
                });
            } else {
                self.machines[number as usize].admitting.push(admitting);
            }
        }
    }

    /// Whether all victims have ended; if not, it is looked at again when the present one should have.
    fn ends_victims(&mut self, number: u32, admitting: &mut Admitting, ctx: &mut Ctx<'_>) -> bool {
        let now = ctx.store.now();
        loop {
            let stage = admitting.ending.and_then(|id| self.pods.get(&id)).map(|pod| pod.stage);
            if let Some(Stage::Terminating { ends }) = stage {
                let due = (ends + REPORT).since(now);
                self.node_at(number, if due.is_zero() { POLL } else { due }, NodeStep::Preempt, ctx);
                return false;
            }
            admitting.ending = admitting.victims.pop();
            let Some(victim) = admitting.ending else { return true };
            self.work(victim, ctx, |worker| worker.preempt());
        }
    }
}
