//! What an expectation is, as data.

use std::fmt;

pub use super::cost::CostSubject;
pub use super::data::{DataSubject, Whose};
use super::{Cause, Count};
use crate::api::pod::Phase;
use crate::api::{ConditionStatus, Kind, LabelSelector};
use crate::base::{SimTime, Span, Str};

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// What people call it; derived from the subject if the scenario gives no name.
    pub name: Str,
    /// When it must hold.
    pub when: When,
    /// What must hold.
    pub subject: Subject,
    /// Where it stands in the scenario.
    pub origin: Span,
}

/// When an expectation must hold. An instant is looked at after all that happens in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// At this instant.
    At(SimTime),
    /// At some instant no later than this.
    By(SimTime),
    /// At every instant of the span, both ends included.
    During(SimTime, SimTime),
    /// At the end of the run.
    End,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(t) => write!(f, "at {t}"),
            Self::By(t) => write!(f, "by {t}"),
            Self::During(a, b) => write!(f, "from {a} to {b}"),
            Self::End => f.write_str("at the end"),
        }
    }
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One object of a kind with a status, by name: all checks must pass.
    Object(ObjectSubject),
    /// How many objects of a kind pass all checks: claims, volumes, nodes, workloads.
    Objects(ObjectsSubject),
    /// How many Pods are as described.
    Pods(PodsSubject),
    /// How often something was said.
    Event(EventSubject),
    /// How many endpoints a Service has.
    Endpoints(EndpointsSubject),
    /// Whether an object exists.
    Exists(ExistsSubject),
    /// What is on volumes.
    Data(DataSubject),
    /// What becomes of requests.
    Traffic(super::traffic::TrafficSubject),
    /// What the cluster has cost.
    Cost(CostSubject),
    /// What became of the Pods of a trace.
    Trace(super::trace::TraceSubject),
}

/// One object by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSubject {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Str,
    /// Its name.
    pub name: Str,
    /// What must be true of it.
    pub checks: Vec<Check>,
}

/// Objects by selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsSubject {
    /// Their kind.
    pub kind: Kind,
    /// Their namespace; none: all.
    pub namespace: Option<Str>,
    /// By labels.
    pub selector: LabelSelector,
    /// What must be true of those counted.
    pub checks: Vec<Check>,
    /// How many there must be.
    pub count: Count,
}

/// One thing that must be true of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A number of its spec or status.
    Number(NumberField, Count),
    /// A word of its status: `phase`, `zone`, `storageClass`, `volume` …
    Text(TextField, Str),
    /// Yes or no: `ready`, `cordoned` …
    Flag(FlagField, bool),
    /// A condition has a status and, if given, a reason.
    Condition {
        /// The condition's type.
        kind: Str,
        /// Its status; `True` unless given.
        status: ConditionStatus,
        /// Its reason.
        reason: Option<Str>,
    },
    /// A node has a taint: its key, and value and effect if given.
    Taint {
        /// The key.
        key: Str,
        /// The value.
        value: Option<Str>,
        /// The effect.
        effect: Option<crate::api::TaintEffect>,
    },
}

/// Numbers of objects, by the name that expectations use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberField {
    /// Pods that the workload has.
    Replicas,
    /// Pods that the workload wants.
    Desired,
    /// Ready Pods.
    Ready,
    /// Available Pods.
    Available,
    /// Missing Pods.
    Unavailable,
    /// Pods of the newest template.
    Updated,
    /// Pods of the revision before the rollout (StatefulSet).
    Current,
    /// Pods of a Job that run.
    Active,
    /// Pods of a Job that succeeded.
    Succeeded,
    /// Pods of a Job that failed.
    Failed,
    /// Nodes with a Pod that should have none (DaemonSet).
    Misscheduled,
    /// Evictions a budget would grant now.
    DisruptionsAllowed,
    /// Healthy Pods a budget sees.
    CurrentHealthy,
    /// The revision of a Deployment's rollout.
    Revision,
}

impl NumberField {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Replicas,
        Self::Desired,
        Self::Ready,
        Self::Available,
        Self::Unavailable,
        Self::Updated,
        Self::Current,
        Self::Active,
        Self::Succeeded,
        Self::Failed,
        Self::Misscheduled,
        Self::DisruptionsAllowed,
        Self::CurrentHealthy,
        Self::Revision,
    ];

    /// The name in the scenario file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replicas => "replicas",
            Self::Desired => "desired",
            Self::Ready => "ready",
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Updated => "updated",
            Self::Current => "current",
            Self::Active => "active",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Misscheduled => "misscheduled",
            Self::DisruptionsAllowed => "disruptionsAllowed",
            Self::CurrentHealthy => "currentHealthy",
            Self::Revision => "revision",
        }
    }
}

/// Words of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextField {
    /// `status.phase` of claims and volumes.
    Phase,
    /// The zone of a node or of a volume.
    Zone,
    /// The storage class of a claim or volume.
    StorageClass,
    /// The volume of a claim.
    Volume,
    /// The claim of a volume, `namespace/name`.
    Claim,
    /// The node group of a node.
    Group,
    /// The node of a volume attachment.
    Node,
}

impl TextField {
    /// The name in the scenario file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Zone => "zone",
            Self::StorageClass => "storageClass",
            Self::Volume => "volume",
            Self::Claim => "claim",
            Self::Group => "group",
            Self::Node => "node",
        }
    }
}

/// Yes-or-no matters of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlagField {
    /// A node is Ready.
    Ready,
    /// A node is cordoned.
    Cordoned,
    /// A CronJob, Job is held.
    Suspended,
    /// A Deployment's rollout is done: all Pods are of the newest template and available.
    RolledOut,
    /// A volume attachment is attached.
    Attached,
    /// The object is being deleted.
    Terminating,
}

impl FlagField {
    /// The name in the scenario file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cordoned => "cordoned",
            Self::Suspended => "suspended",
            Self::RolledOut => "rolledOut",
            Self::Attached => "attached",
            Self::Terminating => "terminating",
        }
    }
}

/// Pods as described, and how many of them there must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodsSubject {
    /// Their namespace; none: all.
    pub namespace: Option<Str>,
    /// By name.
    pub name: Option<Str>,
    /// By labels.
    pub selector: LabelSelector,
    /// In this phase.
    pub phase: Option<Phase>,
    /// Not scheduled, for this cause among others.
    pub cause: Option<Cause>,
    /// On this node.
    pub node: Option<Str>,
    /// On a node of this zone.
    pub zone: Option<Str>,
    /// Ready or not.
    pub ready: Option<bool>,
    /// Bound to a node or not.
    pub scheduled: Option<bool>,
    /// Being deleted or not.
    pub terminating: Option<bool>,
    /// Ended or waiting for this reason: `Evicted`, `CrashLoopBackOff`, `ImagePullBackOff` …
    pub reason: Option<Str>,
    /// Restarts of its containers together.
    pub restarts: Option<Count>,
    /// With a condition of this type that is true.
    pub condition: Option<(Str, ConditionStatus)>,
    /// How many.
    pub count: Count,
}

/// Something that was said, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSubject {
    /// The reason.
    pub reason: Option<Str>,
    /// `Normal` or `Warning`.
    pub event_type: Option<crate::api::EventType>,
    /// Kind of the object it is about; with or without a name.
    pub object: Option<(Str, Option<Str>)>,
    /// Namespace of that object; none: all.
    pub namespace: Option<Str>,
    /// Text within the message; `*` stands for any text.
    pub message: Option<Str>,
    /// How often it was said by the instant, repeats counted.
    pub count: Count,
}

/// Endpoints of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointsSubject {
    /// The Service's namespace.
    pub namespace: Str,
    /// The Service.
    pub service: Str,
    /// Ready ones.
    pub ready: Option<Count>,
    /// Ones that can answer.
    pub serving: Option<Count>,
    /// Ones that are being deleted.
    pub terminating: Option<Count>,
}

/// An object that must exist or must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistsSubject {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Str,
    /// Its name.
    pub name: Str,
    /// Whether it must exist.
    pub exists: bool,
}

/// The kind of a target: one the store has a table for, or the kind of inert objects by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// A kind with a table.
    Known(Kind),
    /// Inert objects of this kind, `ConfigMap`.
    Inert(Str),
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(kind) => kind.fmt(f),
            Self::Inert(kind) => f.write_str(kind),
        }
    }
}
