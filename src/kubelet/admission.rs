//! Whether a node takes a Pod that was bound to it.
//!
//! Upstream: `pkg/kubelet/lifecycle/predicate.go`, `pkg/kubelet/kubelet.go` `HandlePodAdditions`, v1.34.
//!
//! # Fidelity
//!
//! Devices, topology and CPU managers admit everything.

use super::PodStep;
use super::pod::{Stage, Verdict};
use super::preemption::Missing;
use super::pressure::Scarce;
use super::worker::Worker;
use crate::api::pod::QosClass;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::api::taint::find_untolerated;
use crate::api::{Node, ObjectKey, TaintEffect};
use crate::base::{SimDuration, Str, text::lit};

/// The annotation of a static Pod's mirror.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Why a Pod is refused: a word and a sentence.
type Refusal = (Str, Str);

/// What keeps a Pod from its node.
enum Obstacle {
    /// It is refused.
    Refused(Refusal),
    /// It is critical, and nothing but room is missing.
    Room(Missing),
}

impl From<Refusal> for Obstacle {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Worker<'_, '_> {
    /// The Pod has been seen for the first time. What must be freed for it first, if it is critical and finds no room.
    pub fn arrive(&mut self) -> Option<Missing> {
        match self.admit() {
            Ok(()) => {
                self.take_room();
                self.admitted();
                None
            }
            Err(Obstacle::Refused(refusal)) => {
                self.reject(refusal);
                None
            }
            Err(Obstacle::Room(missing)) => Some(missing),
        }
    }

    /// The node does not take the Pod.
    ///
    /// Upstream: `rejectPod`.
    pub fn reject(&mut self, (reason, message): Refusal) {
        self.warning(reason.clone(), message.clone());
        self.pod.verdict = Some(Box::new(Verdict {
            reason,
            message: format!("Pod was rejected: {message}").into(),
            disruption: None,
            rejected: true,
        }));
        self.finish();
    }

    /// The node takes the Pod, which has its room.
    pub fn admitted(&mut self) {
        self.report();
        if let Some(seconds) = self.pod.spec.active_deadline_seconds {
            let at = self.now() + SimDuration::from_api_secs(seconds);
            let (pod, epoch, step) = (self.pod.id, u32::MAX, PodStep::Deadline);
            self.ctx.out.push((at, super::KubeletEvent::Pod { pod, epoch, step }));
        }
        self.proceed();
    }

    fn admit(&self) -> Result<(), Obstacle> {
        let Some(node) = self.ctx.store.get::<Node>(&ObjectKey::cluster(&self.machine.name)) else {
            return Ok(());
        };
        self.bears_pressure()?;
        let missing = self.missing_room(node);
        if missing.is_empty() {
            return Ok(self.fits_otherwise(node)?);
        }
        if self.pod.is_critical() {
            self.fits_otherwise(node)?;
            return Err(Obstacle::Room(
                missing.into_iter().map(|(name, lack)| (name, lack.missing())).collect(),
            ));
        }
        Err(Obstacle::Refused(out_of(&missing[0])))
    }

    /// All that is not room.
    fn fits_otherwise(&self, node: &Node) -> Result<(), Refusal> {
        let spec = &self.pod.spec;
        let labels = &node.meta.labels;
        let selected = spec.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        let affine = spec.affinity.node_required.as_ref();
        if !selected || affine.is_some_and(|term| !term.matches(&node.meta.name, labels)) {
            return Err(predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"));
        }
        if self.pod.recipe.host_ports.iter().any(|port| self.machine.host_ports.contains_key(port)) {
            return Err(predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
        }
        let no_execute = |t: &crate::api::Taint| t.effect == TaintEffect::NoExecute;
        if !self.pod.mirror && find_untolerated(&node.taints, &spec.tolerations, no_execute).is_some() {
            return Err(predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate"));
        }
        if self.machine.shutdown.is_some() {
            return Err((lit!("NodeShutdown"), lit!("Pod was rejected as the node is shutting down.")));
        }
        Ok(())
    }

    /// Whether a node under pressure takes the Pod.
    ///
    /// Upstream: `eviction_manager.go` `Admit`.
    fn bears_pressure(&self) -> Result<(), Refusal> {
        let pressure = &self.machine.pressure;
        let held: Vec<&str> =
            Scarce::ALL.into_iter().filter(|what| pressure.of(*what)).map(Scarce::condition).collect();
        if held.is_empty() || self.pod.is_critical() {
            return Ok(());
        }
        let taint = crate::api::Taint {
            key: lit!("node.kubernetes.io/memory-pressure"),
            value: Str::new(),
            effect: TaintEffect::NoSchedule,
            time_added: None,
        };
        let tolerates = || self.pod.spec.tolerations.iter().any(|t| t.tolerates(&taint));
        let memory_only = held == [Scarce::Memory.condition()];
        if memory_only && (self.pod.spec.qos != QosClass::BestEffort || tolerates()) {
            return Ok(());
        }
        Err((lit!("Evicted"), format!("The node had condition: [{}]. ", held.join(" ")).into()))
    }

    /// What the node lacks for the Pod, by the requests of all admitted Pods, in the scheduler's order.
    ///
    /// Upstream: `noderesources.Fits`.
    fn missing_room(&self, node: &Node) -> Vec<(Str, Lack)> {
        let room = &node.status.allocatable;
        // What no node knows of is the cluster's business.
        let lacking = self.machine.used.lacking(room, &self.pod.recipe.requests);
        let mut missing: Vec<(Str, Lack)> = lacking
            .map(|(name, amounts)| {
                let [asked, used, room] =
                    amounts.map(|q| if name == CPU { q.milli_value() } else { q.value() });
                (name.clone(), Lack { asked, used, room })
            })
            .collect();
        let first = [CPU, MEMORY, EPHEMERAL_STORAGE];
        missing.sort_by_key(|(name, _)| first.iter().position(|f| name == f).unwrap_or(first.len()));
        let admitted = self.machine.admitted;
        if let Some(pods) = room.get(PODS).map(|pods| pods.value()).filter(|pods| admitted + 1 > *pods) {
            missing.insert(0, (Str::from(PODS), Lack { asked: 1, used: admitted, room: pods }));
        }
        missing
    }

    /// The Pod gets its room.
    pub fn take_room(&mut self) {
        self.pod.admitted = true;
        self.machine.admitted += 1;
        self.machine.used.add(&self.pod.recipe.requests);
        for port in &self.pod.recipe.host_ports {
            *self.machine.host_ports.entry(port.clone()).or_insert(0) += 1;
        }
    }

    /// Gives the Pod's room back.
    pub fn unadmit(&mut self) {
        if !std::mem::take(&mut self.pod.admitted) {
            return;
        }
        self.machine.admitted -= 1;
        self.machine.used.take_back(&self.pod.recipe.requests);
        self.machine.freed = true;
        for port in &self.pod.recipe.host_ports {
            if let Some(count) = self.machine.host_ports.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.machine.host_ports.remove(port);
                }
            }
        }
    }

    /// `activeDeadlineSeconds` is over.
    ///
    /// Upstream: `pkg/kubelet/active_deadline.go`, v1.34.
    pub fn deadline(&mut self) {
        if self.pod.is_over() {
            return;
        }
        let message = lit!("Pod was active on the node longer than the specified deadline");
        self.normal(lit!("DeadlineExceeded"), message.clone());
        let reason = lit!("DeadlineExceeded");
        self.pod.verdict = Some(Box::new(Verdict { reason, message, disruption: None, rejected: false }));
        self.terminate(SimDuration::from_api_secs(self.pod.spec.termination_grace_seconds));
    }

    /// The kubelet evicts the Pod; `disruption`: for the sake of others, not for what it did itself.
    pub fn evict(&mut self, message: &Str, grace: SimDuration, disruption: bool) -> bool {
        if self.pod.is_over() || self.pod.deleted || !self.machine.acts() {
            return false;
        }
        self.warning(lit!("Evicted"), message.clone());
        let (reason, message) = (lit!("Evicted"), message.clone());
        let disruption = disruption.then(|| message.clone());
        self.pod.verdict = Some(Box::new(Verdict { reason, message, disruption, rejected: false }));
        if matches!(self.pod.stage, Stage::Admitting | Stage::Arrived) {
            self.finish();
        } else {
            self.terminate(grace);
        }
        true
    }
}

fn predicate(name: &'static str, why: &str) -> Refusal {
    (name.into(), format!("Predicate {name} failed: {why}").into())
}

/// A resource that a node has not enough of; CPU in millicores.
#[derive(Clone, Copy, Debug)]
struct Lack {
    asked: i64,
    used: i64,
    room: i64,
}

impl Lack {
    /// How much must be freed.
    const fn missing(self) -> i64 {
        self.asked - (self.room - self.used)
    }
}

fn out_of((resource, Lack { asked, used, room }): &(Str, Lack)) -> Refusal {
    let message = format!(
        "Node didn't have enough resource: {resource}, requested: {asked}, used: {used}, capacity: {room}"
    );
    (format!("OutOf{resource}").into(), message.into())
}
