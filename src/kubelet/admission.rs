//! Whether a node takes a Pod that was bound to it.
//!
//! Upstream: `pkg/kubelet/lifecycle/predicate.go`, `pkg/kubelet/kubelet.go` `HandlePodAdditions`, v1.34.
//!
//! # Fidelity
//!
//! * A critical Pod that finds no room is refused like all others; upstream ends running Pods for it (`Preempting`).
//! * Devices, topology and CPU managers admit everything.

use super::PodStep;
use super::pod::{Stage, Verdict};
use super::pressure::Scarce;
use super::worker::Worker;
use crate::api::pod::QosClass;
use crate::api::resources::{CPU, PODS};
use crate::api::taint::find_untolerated;
use crate::api::{Node, ObjectKey, TaintEffect};
use crate::base::{Quantity, SimDuration, Str, text::lit};

/// The annotation of a static Pod's mirror.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Why a Pod is refused: a word and a sentence.
type Refusal = (Str, Str);

impl Worker<'_, '_> {
    /// The Pod has been seen for the first time.
    pub fn arrive(&mut self) {
        if let Err((reason, message)) = self.admit() {
            self.warning(reason.clone(), message.clone());
            self.pod.verdict = Some(Box::new(Verdict {
                reason,
                message: format!("Pod was rejected: {message}").into(),
                disruption: false,
                rejected: true,
            }));
            self.finish();
            return;
        }
        self.take_room();
        self.report();
        if let Some(seconds) = self.pod.spec.active_deadline_seconds {
            let at = self.now() + SimDuration::from_api_secs(seconds);
            let (pod, epoch, step) = (self.pod.id, u32::MAX, PodStep::Deadline);
            self.ctx.out.push((at, super::KubeletEvent::Pod { pod, epoch, step }));
        }
        self.proceed();
    }

    fn admit(&self) -> Result<(), Refusal> {
        let Some(node) = self.ctx.store.get::<Node>(&ObjectKey::cluster(&self.machine.name)) else {
            return Ok(());
        };
        self.bears_pressure()?;
        self.fits(node)?;
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
        if find_untolerated(&node.taints, &spec.tolerations, no_execute).is_some() {
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

    /// Whether the node has room, by the requests of all admitted Pods.
    fn fits(&self, node: &Node) -> Result<(), Refusal> {
        let room = &node.status.allocatable;
        if let Some(pods) = room.get(PODS)
            && Quantity::from_units(self.machine.admitted + 1) > pods
        {
            return Err(out_of(PODS, 1, self.machine.admitted, pods.value()));
        }
        for (name, asked) in self.pod.recipe.requests.0.iter().filter(|(_, amount)| !amount.is_zero()) {
            let Some(room) = room.get(name) else {
                // What no node knows of is the cluster's business.
                continue;
            };
            let used = self.machine.used.get(name).unwrap_or(Quantity::ZERO);
            if used.plus(*asked) > room {
                let number = |q: Quantity| if name == CPU { q.milli_value() } else { q.value() };
                return Err(out_of(name, number(*asked), number(used), number(room)));
            }
        }
        Ok(())
    }

    fn take_room(&mut self) {
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
        self.machine.take_back(&self.pod.recipe.requests);
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
        self.pod.verdict = Some(Box::new(Verdict { reason, message, disruption: false, rejected: false }));
        self.terminate(SimDuration::from_api_secs(self.pod.spec.termination_grace_seconds));
    }

    /// The kubelet evicts the Pod; `disruption`: for the sake of others, not for what it did itself.
    pub fn evict(&mut self, message: &Str, grace: SimDuration, disruption: bool) -> bool {
        if self.pod.is_over() || self.pod.deleted || !self.machine.acts() {
            return false;
        }
        self.warning(lit!("Evicted"), message.clone());
        let (reason, message) = (lit!("Evicted"), message.clone());
        self.pod.verdict = Some(Box::new(Verdict { reason, message, disruption, rejected: false }));
        if self.pod.stage == Stage::Arrived {
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

fn out_of(resource: &str, asked: i64, used: i64, room: i64) -> Refusal {
    let message = format!(
        "Node didn't have enough resource: {resource}, requested: {asked}, used: {used}, capacity: {room}"
    );
    (format!("OutOf{resource}").into(), message.into())
}
