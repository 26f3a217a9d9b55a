//! The kubelets of all nodes: what becomes of Pods once they are bound, and what nodes say of themselves.
//!
//! One deterministic module stands for all agents and container runtimes. It reacts to changes of the store
//! ([`Kubelets::on_change`]), to its own timers ([`Kubelets::handle`]) and to what befalls machines
//! ([`Kubelets::fail_node`] and its kin), and writes statuses, leases and Events as each node's kubelet would.
//!
//! * [`kubelets`]: the entry points. * [`machine`]: machines and agents: registration, leases, failures.
//! * [`pod`]: what an agent knows of a Pod. * [`worker`]: the steps of one Pod: [`start`], [`exit`], [`terminate`],
//!   and [`resume`]: what is due, was changed, was missed.
//! * [`preemption`]: room for critical Pods. * [`admission`], [`volumes`], [`images`], [`probes`]: what stands between a bound Pod and a ready one.
//! * [`pressure`]: memory, disk and process numbers that run short, by [`usage`]. * [`shutdown`]: machines that go off with notice.
//!   * [`recipe`]: what a spec asks of a node. * [`habits`]: what the scenario says containers do.
//! * [`resize`]: resources that change in place. * [`status`]: the status of a Pod from what its containers do. * [`say`]: Events in the kubelet's words.
//!
//! Nothing ticks for nothing: a healthy node and a ready Pod cost no event. Lease renewals are a rule in the
//! Lease ([`crate::api::policy::Renewals`]), and a probe whose answer cannot change is not asked.
//!
//! # Fidelity
//!
//! * The kubelet sees what happens at once instead of at its next relist (up to 1 s); what a start takes
//!   altogether is the latency `containerStart`. What one sync writes in several steps is written once.
//! * A sync that failed is tried again after the latency `syncRetry`, 12 s each time unless the scenario gives a
//!   distribution; upstream draws 10 s to 15 s.
//! * Containers of one Pod are tried again each in its own time; upstream tries all of them in every sync of the Pod.
//!   Once the recorder drops a container's `BackOff` Event its back-off is waited for in one piece.
//! * The runtime and the API server always answer: `container runtime is down`, `FailedCreatePodSandBox`, retries of
//!   registrations and of statuses do not happen, and calls of kubelets take no time and no budget (`kube-api-qps`).
//! * Static Pods are the mirror Pods that the scenario brings; no folder is read for them. Ephemeral containers do not run.
//! * Dead containers are not collected. A process that cannot be started (`StartError`, 128) is one that ends.
//! * A Pod that waits for its node's network says so once and goes on in the instant in which it is there.
//! * Renewals of leases lie exactly on their grid; upstream adds up to 4 % of jitter to each.
//! * A node's unchanged status is not posted every five minutes, so heartbeat times are those of changes; unchanged Pods
//!   are not synced every minute.
//! * A container that never started ends, when its Pod is deleted, with exit code 0 like all others;
//!   upstream gives it code 137 and the reason `ContainerStatusUnknown`.
//! * A Pod shows its address once one of its containers has started; upstream shows it with the sandbox.
//! * Processes obey SIGTERM with exit code 0, or the `shutdownExitCode` of their behaviour, unless their `shutdown` is
//!   longer than the grace period (137). A container that hangs does not obey.

use crate::api::{Labels, ObjectKey, PodSpec, Uid};
use crate::base::{Arc, SimDuration, SimTime, Str};
pub use crate::params::behaviour::ProbeKind;
use crate::params::settings::Kubelet as KubeletSettings;
use crate::params::{Behaviour, KubeVersion, Latencies, Operations};
use crate::store::{ObjId, Store};

mod admission;
mod exit;
mod habits;
mod images;
pub mod kubelets;
pub mod machine;
pub mod pod;
mod preemption;
pub mod pressure;
mod probes;
mod recipe;
pub mod resize;
mod resume;
mod say;
pub mod shutdown;
mod start;
mod status;
mod terminate;
mod usage;
mod volumes;
mod worker;

#[cfg(test)]
mod tests;

pub use kubelets::Kubelets;

/// What the kubelets are given to work with.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The API server's memory; its clock is the present.
    pub store: &'a mut Store,
    /// Parameters of the model.
    pub params: Params<'a>,
    /// Timers: what [`Kubelets::handle`] is to be called with, and when. In the order of their making.
    pub out: &'a mut Vec<(SimTime, KubeletEvent)>,
    /// Pods whose containers began or ceased to use their volumes. In the order in which they did.
    pub uses: &'a mut Vec<VolumeUse>,
}

/// Containers of a Pod begin or cease to use its volumes, whatever the API has heard of it.
#[derive(Clone, Debug)]
pub struct VolumeUse {
    /// The Pod.
    pub pod: ObjectKey,
    /// Its identity.
    pub uid: Uid,
    /// Its labels.
    pub labels: Labels,
    /// The node they run on.
    pub node: Str,
    /// What it is to be.
    pub spec: Arc<PodSpec>,
    /// Whether they begin.
    pub begins: bool,
}

/// The parameters of the model that kubelets read.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// How long things take.
    pub latencies: &'a Latencies,
    /// What containers do. The first entry that matches and says something about a matter decides it.
    pub behaviours: &'a [Behaviour],
    /// What is said of storage drivers.
    pub operations: &'a Operations,
    /// Flags of every kubelet.
    pub settings: &'a KubeletSettings,
    /// The release that nodes report.
    pub version: KubeVersion,
    /// Whether Events about Pods are said; without them large runs write a third as much.
    pub events: bool,
}

/// A timer of a kubelet. It names what it is about by identity and by a count of lives, so that a timer
/// that has been overtaken does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KubeletEvent {
    /// About a Pod.
    Pod {
        /// The Pod.
        pod: ObjId,
        /// Its life.
        epoch: u32,
        /// What is due.
        step: PodStep,
    },
    /// About a container.
    Container {
        /// The Pod.
        pod: ObjId,
        /// The container: init containers first, then regular ones.
        container: u16,
        /// Its life.
        epoch: u32,
        /// What is due.
        step: ContainerStep,
    },
    /// About a node.
    Node {
        /// The node's number.
        node: u32,
        /// Its life.
        epoch: u32,
        /// What is due.
        step: NodeStep,
    },
}

/// What is due for a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PodStep {
    /// Another attempt at its volumes.
    Mount,
    /// Its volumes are mounted.
    Mounted,
    /// The sandbox is there: containers start.
    Start,
    /// All its containers have ended.
    End,
    /// `activeDeadlineSeconds` is over.
    Deadline,
    /// Resources that were allocated anew show as applied.
    Resized,
}

/// What is due for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerStep {
    /// Its image is there, or cannot be had.
    Pulled,
    /// Another attempt at the image or at a start.
    Retry,
    /// It starts anew.
    Restart,
    /// Its `postStart` hook has ended.
    Hooked,
    /// Its `preStop` hook has failed.
    PreStopFailed,
    /// It ends.
    Exit,
    /// It crosses its memory limit.
    OutOfMemory,
    /// It becomes ready by the latency `probeReady`.
    Ready,
    /// A probe is asked.
    Probe(ProbeKind),
    /// It answers again.
    Recover,
    /// It answers nothing any more, for so long or until it is restarted.
    Hang(Option<SimDuration>),
    /// A probe fails from now on, or passes again.
    ProbeFails(ProbeKind, bool),
}

/// What is due for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeStep {
    /// It becomes Ready.
    Ready,
    /// After a time without its agent or without the API server: its lease and its status are written.
    Heard,
    /// Then its Pods are looked at.
    Resync,
    /// The eviction monitor looks at memory, disk and process numbers.
    Monitor,
    /// Memory is used up.
    OutOfMemory,
    /// Images are collected.
    Images,
    /// Its status says which volumes it uses.
    Volumes,
    /// Its CSI drivers register.
    Drivers,
    /// The next Pods are ended before the machine goes off, or it goes off.
    Shutdown,
    /// The next Pod is ended for a critical one, or that one is taken in.
    Preempt,
    /// Its status is computed: it may have been cordoned or uncordoned.
    Status,
}
