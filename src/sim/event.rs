//! What can be due.

use crate::api::ObjectKey;
use crate::base::Str;
use crate::cloud::fleet::GroupId;
use crate::controller::ControllerId;
use crate::kernel::Lane;
use crate::kubelet::KubeletEvent;
use crate::scheduler::VolumeStep;

/// Something that is due at an instant.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step of the scenario, by its place in the plan.
    Step(usize),
    /// A controller has keys to work on and a worker to do it.
    Controller(ControllerId),
    /// A kubelet's timer.
    Kubelet(KubeletEvent),
    /// The scheduler has something to do: a Pod to take, a backoff that ends.
    Scheduler,
    /// The claims of a placed Pod are looked at.
    PreBind(Box<Placement>),
    /// A placed Pod is bound.
    Bind(Box<Placement>),
    /// Pods are evicted in favour of another.
    Preempt(Box<Preemption>),
    /// The cluster autoscaler's turn.
    Autoscaler,
    /// Pods of a trace arrive, or ended ones of it go; by its place in the plan.
    Trace(usize),
    /// Something has changed for requests on their way.
    Traffic,
    /// The vertical autoscaler's turn.
    Vertical,
    /// A drain looks at its Pods.
    Drain(usize),
    /// A machine that was asked for joins.
    NodeJoins(Box<crate::plan::PlannedNode>),
    /// The cloud may have machines again that it had not.
    Capacity,
    /// A node group over several zones evens them out.
    Rebalance(GroupId),
}

/// A Pod on its way to its node.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The Pod.
    pub pod: ObjectKey,
    /// Its identity; another Pod of its name is not meant.
    pub uid: Str,
    /// The node.
    pub node: Str,
    /// Which scheduler placed it.
    pub scheduler_name: Str,
    /// What must be so before it can be bound.
    pub volumes: Vec<VolumeStep>,
    /// What is written into its annotations with the binding.
    pub annotations: Vec<(Str, Str)>,
    /// When binding of volumes is given up.
    pub deadline: crate::base::SimTime,
}

/// Pods that make room.
#[derive(Clone, Debug)]
pub struct Preemption {
    /// The Pod that needs the room.
    pub pod: ObjectKey,
    /// Its identity.
    pub uid: Str,
    /// The node.
    pub node: Str,
    /// Who goes.
    pub victims: Vec<ObjectKey>,
    /// How far it is.
    pub stage: PreemptionStage,
    /// Pods of lower priority that lose their nomination to the same node.
    pub clear_nominations: Vec<ObjectKey>,
    /// Which scheduler wants it.
    pub scheduler_name: Str,
    /// Whether a victim was gone when its turn came.
    pub failed: bool,
}

/// What is next in an eviction of Pods by the scheduler: all but the last at the same time, then the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreemptionStage {
    /// All but the last get the condition that says why.
    MarkFirst,
    /// All but the last are deleted.
    DeleteFirst,
    /// The last gets the condition.
    MarkLast,
    /// The last is deleted.
    DeleteLast,
}

impl Event {
    /// The lane: steps go before everything else that is due at their instant.
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Step(_) => Lane(0),
            Self::NodeJoins(_) | Self::Capacity | Self::Rebalance(_) | Self::Trace(_) => Lane(1),
            Self::Kubelet(_) => Lane(2),
            Self::Controller(_) => Lane(3),
            Self::PreBind(_) | Self::Bind(_) | Self::Preempt(_) => Lane(4),
            Self::Scheduler => Lane(5),
            Self::Drain(_) | Self::Autoscaler | Self::Vertical => Lane(6),
            // After all that changes at its instant.
            Self::Traffic => Lane(7),
        }
    }

    /// The name, for explanations.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Step(_) => "step",
            Self::NodeJoins(_) => "node joins",
            Self::Capacity => "capacity",
            Self::Rebalance(_) => "zone rebalancing",
            Self::Kubelet(_) => "kubelet",
            Self::Controller(_) => "controller",
            Self::PreBind(_) => "bind volumes",
            Self::Bind(_) => "bind",
            Self::Preempt(_) => "preempt",
            Self::Scheduler => "scheduler",
            Self::Autoscaler => "cluster autoscaler",
            Self::Trace(_) => "trace",
            Self::Traffic => "traffic",
            Self::Vertical => "vertical autoscaler",
            Self::Drain(_) => "drain",
        }
    }
}
