//! Pods: the hot kind. A Pod is a small record; what it shares with its template lies behind one `Arc`.

use std::hash::{Hash, Hasher};

use super::condition::{self, Condition};
use super::k8s;
use super::meta::{Labels, Meta};
use super::resources::ResourceList;
use super::selector::{LabelSelector, NodeSelector, NodeSelectorTerm};
use super::taint::Toleration;
use super::volume::Volume;
use crate::base::fetch::{Skim, mix};
use crate::base::text::lit;
use crate::base::{Arc, Str, Timestamp};

/// A Pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Metadata.
    pub meta: Meta,
    /// The desired state, shared by all Pods that were made from one template.
    pub spec: Arc<PodSpec>,
    /// `spec.nodeName`: where it is bound. Not part of the shared spec.
    pub node_name: Option<Str>,
    /// The observed state.
    pub status: PodStatus,
}

impl Pod {
    /// Whether the Pod ended, either way.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Upstream's `IsPodActive`: not ended and not being deleted.
    pub fn is_active(&self) -> bool {
        !self.is_terminal() && !self.meta.is_deleting()
    }

    /// Whether the condition `Ready` is `True`.
    pub fn is_ready(&self) -> bool {
        condition::is_true(&self.status.conditions, cond::READY)
    }

    /// Whether what a container asks for has been changed in place.
    pub fn is_resized(&self) -> bool {
        let mut containers = self.status.containers.iter().chain(&self.status.init_containers);
        containers.any(|container| container.resized.is_some())
    }

    /// The `Ready` condition.
    pub fn ready_condition(&self) -> Option<&Condition> {
        condition::find(&self.status.conditions, cond::READY)
    }

    /// Whether it is ready and has been so for `min_ready_seconds` at `now`.
    ///
    /// Upstream: `pkg/api/v1/pod/util.go` `IsPodAvailable`, v1.34.
    pub fn is_available(&self, min_ready_seconds: i64, now: Timestamp) -> bool {
        self.ready_condition().is_some_and(|c| {
            c.is_true()
                && (min_ready_seconds == 0
                    || c.transition.is_some_and(|t| t.plus_secs(min_ready_seconds) <= now))
        })
    }
}

impl Skim for Pod {
    fn skim(&self) -> u64 {
        let (meta, status) = (&self.meta, &self.status);
        mix([
            meta.resource_version,
            meta.generation as u64,
            u64::from(self.node_name.is_some()),
            status.phase as u64,
            status.conditions.len() as u64,
            u64::from(status.start_time.is_some()),
            status.pod_ip.len() as u64,
            status.containers.len() as u64,
            status.init_containers.len() as u64,
            status.resize.len() as u64,
        ])
    }
}

impl Pod {
    /// As [`Skim::skim`], of what it alone points to.
    pub fn skim_parts(&self) -> u64 {
        let meta = &*self.meta.lasting;
        let conditions = self.status.conditions.iter().map(|condition| condition.status as u64);
        let containers = self.status.containers.iter().map(|container| u64::from(container.ready));
        let own = [meta.name.skim(), meta.uid.skim(), meta.owners.len() as u64, meta.finalizers.len() as u64];
        mix(own) ^ mix(conditions) ^ mix(containers)
    }
}

/// The annotation that says how long the regular containers of a Pod run before they end well, as Go writes durations.
pub const RUNS_FOR: Str = lit!("wavetank.dev/runs-for");
/// The label of Pods that come from a trace: the trace's name.
pub const TRACE_LABEL: &str = "wavetank.dev/trace";

/// Names of Pod conditions.
pub mod cond {
    /// All containers are ready and all readiness gates pass.
    pub const READY: &str = "Ready";
    /// All containers are ready.
    pub const CONTAINERS_READY: &str = "ContainersReady";
    /// All init containers have done their work.
    pub const INITIALIZED: &str = "Initialized";
    /// The Pod has a node.
    pub const POD_SCHEDULED: &str = "PodScheduled";
    /// Sandbox and network exist.
    pub const READY_TO_START: &str = "PodReadyToStartContainers";
    /// The Pod is about to end because of a disruption.
    pub const DISRUPTION_TARGET: &str = "DisruptionTarget";
}

/// The desired state of a Pod, defaults resolved, compiled for use.
///
/// Two specs are equal if their boundary forms are; `fingerprint` stands for that form in hashes.
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// The boundary form, defaulted, without `nodeName`.
    pub raw: Arc<k8s::core::v1::PodSpec>,
    /// A stable hash of the boundary form.
    pub fingerprint: u64,
    /// Regular containers, in order; never empty in an accepted Pod.
    pub containers: Vec<Container>,
    /// Init containers in order, sidecars among them.
    pub init_containers: Vec<Container>,
    /// What happens when a container ends.
    pub restart_policy: RestartPolicy,
    /// `terminationGracePeriodSeconds`, defaulted to 30.
    pub termination_grace_seconds: i64,
    /// `activeDeadlineSeconds`.
    pub active_deadline_seconds: Option<i64>,
    /// `nodeSelector`.
    pub node_selector: Labels,
    /// Affinity, all of it.
    pub affinity: Affinity,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Topology spread constraints.
    pub topology_spread: Vec<TopologySpreadConstraint>,
    /// Which scheduler places it.
    pub scheduler_name: Str,
    /// Resolved priority; 0 if unset.
    pub priority: i32,
    /// `priorityClassName`, possibly empty.
    pub priority_class_name: Str,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    /// Names of scheduling gates.
    pub scheduling_gates: Vec<Str>,
    /// `hostNetwork`.
    pub host_network: bool,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// `overhead` of the runtime class.
    pub overhead: ResourceList,
    /// Pod-level requests; none if the field is absent.
    pub pod_requests: Option<ResourceList>,
    /// Pod-level limits; none if the field is absent.
    pub pod_limits: Option<ResourceList>,
    /// Condition types that must be `True` besides the containers' readiness.
    pub readiness_gates: Vec<Str>,
    /// `serviceAccountName`, defaulted.
    pub service_account: Str,
    /// Names of `resourceClaims` entries (dynamic resources).
    pub resource_claims: Vec<Str>,
    /// Quality of service class that follows from requests and limits.
    pub qos: QosClass,
}

impl PartialEq for PodSpec {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && (Arc::ptr_eq(&self.raw, &other.raw) || self.raw == other.raw)
    }
}

impl Eq for PodSpec {}

impl Hash for PodSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

impl PodSpec {
    /// Names of the claims the Pod mounts, ephemeral ones by the name they get for a Pod called `pod`.
    pub fn claim_names(&self, pod: &str) -> Vec<Str> {
        self.volumes
            .iter()
            .filter_map(|v| match &v.source {
                super::volume::VolumeSource::Claim { claim, .. } => Some(claim.clone()),
                super::volume::VolumeSource::Ephemeral => Some(format!("{pod}-{}", v.name).into()),
                _ => None,
            })
            .collect()
    }
}

/// What happens when a container ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// It starts again.
    #[default]
    Always,
    /// It starts again after a failure.
    OnFailure,
    /// It stays down.
    Never,
}

/// Quality of service class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QosClass {
    /// Limits equal requests, for both CPU and memory, in every container.
    Guaranteed,
    /// Something is requested.
    Burstable,
    /// Nothing is.
    #[default]
    BestEffort,
}

impl QosClass {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// A container of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name, unique in the Pod.
    pub name: Str,
    /// The image as written.
    pub image: Str,
    /// When the image is pulled.
    pub pull_policy: PullPolicy,
    /// Requests, defaulted from limits.
    pub requests: ResourceList,
    /// Limits.
    pub limits: ResourceList,
    /// Ports.
    pub ports: Vec<ContainerPort>,
    /// `restartPolicy: Always` on an init container.
    pub sidecar: bool,
    /// Startup probe.
    pub startup_probe: Option<Probe>,
    /// Readiness probe.
    pub readiness_probe: Option<Probe>,
    /// Liveness probe.
    pub liveness_probe: Option<Probe>,
    /// A `preStop` hook: how long it takes if that is known (a `sleep` action), else zero seconds.
    pub pre_stop_seconds: Option<i64>,
    /// Has a `postStart` hook.
    pub has_post_start: bool,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// If the node lacks it.
    #[default]
    IfNotPresent,
    /// Not at all.
    Never,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerPort {
    /// Its name, possibly empty.
    pub name: Str,
    /// The port inside.
    pub container_port: i32,
    /// The node's port; 0 if none.
    pub host_port: i32,
    /// The node's address; empty means all.
    pub host_ip: Str,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Str,
}

/// A probe's timing; what it asks is behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// `initialDelaySeconds`.
    pub initial_delay_seconds: i64,
    /// `periodSeconds`, at least 1.
    pub period_seconds: i64,
    /// `timeoutSeconds`, at least 1.
    pub timeout_seconds: i64,
    /// `successThreshold`, at least 1.
    pub success_threshold: i64,
    /// `failureThreshold`, at least 1.
    pub failure_threshold: i64,
    /// `terminationGracePeriodSeconds`.
    pub termination_grace_seconds: Option<i64>,
}

/// Affinity of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Required node affinity; none if absent.
    pub node_required: Option<NodeSelector>,
    /// Preferred node affinity with weights.
    pub node_preferred: Vec<(i32, NodeSelectorTerm)>,
    /// Required Pod affinity.
    pub pod_required: Vec<PodAffinityTerm>,
    /// Preferred Pod affinity with weights.
    pub pod_preferred: Vec<(i32, PodAffinityTerm)>,
    /// Required Pod anti-affinity.
    pub anti_required: Vec<PodAffinityTerm>,
    /// Preferred Pod anti-affinity with weights.
    pub anti_preferred: Vec<(i32, PodAffinityTerm)>,
}

/// A term of Pod (anti-)affinity. `matchLabelKeys` have been merged into the selector at admission.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodAffinityTerm {
    /// Which Pods.
    pub selector: LabelSelector,
    /// Namespaces by name; empty with no selector means the Pod's own.
    pub namespaces: Vec<Str>,
    /// Namespaces by label; none if the field is absent.
    pub namespace_selector: Option<LabelSelector>,
    /// The label whose equal values make one place.
    pub topology_key: Str,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopologySpreadConstraint {
    /// Allowed difference.
    pub max_skew: i32,
    /// The label whose values are the domains.
    pub topology_key: Str,
    /// `DoNotSchedule` rather than `ScheduleAnyway`.
    pub hard: bool,
    /// Which Pods are counted.
    pub selector: LabelSelector,
    /// `minDomains`.
    pub min_domains: Option<i32>,
    /// `nodeAffinityPolicy: Honor` (the default).
    pub honor_affinity: bool,
    /// `nodeTaintsPolicy: Honor` (not the default).
    pub honor_taints: bool,
    /// Keys of the Pod's own labels that are added to the selector.
    pub match_label_keys: Vec<Str>,
}

/// The phase of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Not all containers have run yet.
    #[default]
    Pending,
    /// Bound and started.
    Running,
    /// All containers ended well.
    Succeeded,
    /// At least one ended badly, and none runs.
    Failed,
    /// Not written by current components.
    Unknown,
}

impl Phase {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }

    /// Reads the API's word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            "Unknown" => Self::Unknown,
            _ => return None,
        })
    }
}

/// The observed state of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodStatus {
    /// The phase.
    pub phase: Phase,
    /// Conditions in the order they appeared.
    pub conditions: Vec<Condition>,
    /// Why, for Pods ended by the system (`Evicted`).
    pub reason: Str,
    /// A sentence to the reason.
    pub message: Str,
    /// Where preemption made room.
    pub nominated_node: Option<Str>,
    /// When the kubelet first saw it.
    pub start_time: Option<Timestamp>,
    /// The node's address.
    pub host_ip: Str,
    /// Its own address.
    pub pod_ip: Str,
    /// Quality of service class.
    pub qos: QosClass,
    /// Regular containers, in the order of the spec.
    pub containers: Vec<ContainerStatus>,
    /// Init containers, in the order of the spec.
    pub init_containers: Vec<ContainerStatus>,
    /// `Infeasible` or `Deferred` in-place resize, else empty.
    pub resize: Str,
}

/// The observed state of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerStatus {
    /// The container's name.
    pub name: Str,
    /// The image.
    pub image: Str,
    /// What it does now.
    pub state: ContainerState,
    /// How it last ended.
    pub last_termination: Option<Arc<Terminated>>,
    /// Its readiness probe passes, or it has none.
    pub ready: bool,
    /// Its startup probe has passed, or it has none.
    pub started: bool,
    /// Starts after the first.
    pub restart_count: u32,
    /// In-place resize: what the kubelet has allocated, and what the runtime applied.
    pub resized: Option<Arc<ResizedResources>>,
}

/// Resources of a container whose requests were changed in place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResizedResources {
    /// `allocatedResources`.
    pub allocated: Option<ResourceList>,
    /// `resources.requests`.
    pub actual_requests: Option<ResourceList>,
    /// `resources.limits`.
    pub actual_limits: Option<ResourceList>,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// It has not started, or waits to start again.
    Waiting {
        /// `ContainerCreating`, `CrashLoopBackOff` …
        reason: Str,
        /// A sentence, often empty.
        message: Str,
    },
    /// It runs.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// It ended.
    Terminated(Arc<Terminated>),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terminated {
    /// Exit code.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled` …
    pub reason: Str,
    /// A sentence, often empty.
    pub message: Str,
    /// When it had started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}
