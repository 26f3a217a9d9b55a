//! What is done to the cluster while it runs: a variant per verb of the scenario file.

use std::fmt;

use super::PlannedObject;
use crate::api::{LabelSelector, Taint, TaintEffect};
use crate::base::{Arc, Quantity, SimDuration, SimTime, Span, Str};
use crate::cloud::PlannedNode;
pub use crate::expect::spec::ResourceKind;
use crate::params::DriverChange;

/// A step and its instant. It happens before everything else that is due then.
#[derive(Clone, Debug)]
pub struct TimedStep {
    /// When.
    pub at: SimTime,
    /// What.
    pub step: Step,
    /// Where it stands in the scenario.
    pub origin: Span,
}

/// One step. Every variant is the verb of the same name in the scenario file.
#[derive(Clone, Debug)]
pub enum Step {
    /// `kubectl apply -f`: the objects in order, each by a server-side apply.
    Apply(Vec<PlannedObject>),
    /// `kubectl delete`.
    Delete(Delete),
    /// `kubectl scale`.
    Scale {
        /// Which workloads.
        target: Target,
        /// The wanted number.
        replicas: i32,
    },
    /// `kubectl set image`, `set resources`, `set env`.
    Set(Set),
    /// `kubectl rollout`.
    Rollout {
        /// Which workloads.
        target: Target,
        /// What about them.
        action: RolloutAction,
    },
    /// `kubectl patch`.
    Patch {
        /// Which objects.
        target: Target,
        /// `--subresource resize`: resources of running Pods.
        resize: bool,
        /// How `patch` is meant.
        patch_type: PatchType,
        /// The patch.
        patch: Arc<serde_json::Value>,
    },
    /// `kubectl cordon`.
    Cordon(NodeSet),
    /// `kubectl uncordon`.
    Uncordon(NodeSet),
    /// `kubectl drain`.
    Drain(Drain),
    /// `kubectl taint`.
    Taint {
        /// Which nodes.
        nodes: NodeSet,
        /// Taints to add and to remove.
        taints: Vec<TaintChange>,
    },
    /// `kubectl label`: values to set, none to remove the key.
    Label {
        /// Which objects.
        target: Target,
        /// Key and new value.
        labels: Vec<(Str, Option<Str>)>,
    },
    /// `kubectl annotate`: values to set, none to remove the key.
    Annotate {
        /// Which objects.
        target: Target,
        /// Key and new value.
        annotations: Vec<(Str, Option<Str>)>,
    },
    /// The machines lose power: kubelet and containers stop at once, nothing is reported.
    FailNode(NodeSet),
    /// The machines are shut down: their kubelets may hold that back until their Pods have ended.
    ShutdownNode(NodeSet),
    /// The machines come back, with what was on their disks and without running containers.
    RestoreNode(NodeSet),
    /// All machines of a zone lose power, and its disks cannot be reached.
    FailZone(Str),
    /// The zone comes back.
    RestoreZone(Str),
    /// The kubelet stops; containers go on running, nobody looks after them.
    StopKubelet(NodeSet),
    /// The kubelet starts again.
    StartKubelet(NodeSet),
    /// The nodes reach the API server no longer, nor it them; containers go on running.
    Partition(NodeSet),
    /// The partition ends: lease and status at once.
    Heal(NodeSet),
    /// From now on a storage driver does otherwise.
    Driver(Box<DriverChange>),
    /// Machines join the cluster.
    AddNodes(AddNodes),
    /// Machines are terminated at the cloud; the node controller finds their Nodes without one.
    RemoveNode(NodeSet),
    /// The cloud has no machines of a kind to give.
    OutOfCapacity(OutOfCapacity),
    /// The eviction API is asked once for each Pod.
    Evict {
        /// Which Pods.
        target: Target,
        /// Overrides the Pods' own grace period.
        grace_period: Option<SimDuration>,
    },
    /// Containers end at once.
    Crash {
        /// Which Pods.
        target: Target,
        /// Which container; none: all regular ones.
        container: Option<Str>,
        /// Exit code.
        exit_code: i32,
        /// `Error`, `OOMKilled`, … as the runtime reports it.
        reason: Str,
    },
    /// Containers run on but answer nothing: their probes fail.
    Hang {
        /// Which Pods.
        target: Target,
        /// Which container; none: all regular ones.
        container: Option<Str>,
        /// For how long; none: until the container is restarted.
        duration: Option<SimDuration>,
    },
    /// Memory or disk fills up.
    Fill(Fill),
    /// CPU usage of Pods is set.
    Load(Load),
}

impl Step {
    /// The verb, as the scenario file writes it.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Delete(_) => "delete",
            Self::Scale { .. } => "scale",
            Self::Set(_) => "set",
            Self::Rollout { .. } => "rollout",
            Self::Patch { .. } => "patch",
            Self::Cordon(_) => "cordon",
            Self::Uncordon(_) => "uncordon",
            Self::Drain(_) => "drain",
            Self::Taint { .. } => "taint",
            Self::Label { .. } => "label",
            Self::Annotate { .. } => "annotate",
            Self::FailNode(_) => "failNode",
            Self::ShutdownNode(_) => "shutdownNode",
            Self::RestoreNode(_) => "restoreNode",
            Self::FailZone(_) => "failZone",
            Self::RestoreZone(_) => "restoreZone",
            Self::StopKubelet(_) => "stopKubelet",
            Self::StartKubelet(_) => "startKubelet",
            Self::Partition(_) => "partition",
            Self::Heal(_) => "heal",
            Self::Driver(_) => "driver",
            Self::AddNodes(_) => "addNodes",
            Self::RemoveNode(_) => "removeNode",
            Self::OutOfCapacity(_) => "outOfCapacity",
            Self::Evict { .. } => "evict",
            Self::Crash { .. } => "crash",
            Self::Hang { .. } => "hang",
            Self::Fill(_) => "fill",
            Self::Load(_) => "load",
        }
    }
}

/// What a verb acts on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One object.
    Named {
        /// Its kind.
        kind: ResourceKind,
        /// Its namespace; empty for cluster-scoped kinds.
        namespace: Str,
        /// Its name.
        name: Str,
    },
    /// All objects that are selected when the step happens.
    Selected {
        /// Their kind.
        kind: ResourceKind,
        /// Their namespace; empty for cluster-scoped kinds, none for all namespaces.
        namespace: Option<Str>,
        /// By labels.
        selector: LabelSelector,
        /// By fields: path and value, all of which must be equal (or differ).
        field_selector: Vec<FieldRequirement>,
        /// Only the n-th of them by creation time, then name, from 0.
        nth: Option<usize>,
    },
}

/// A condition of a field selector, `spec.nodeName=node-a`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    /// The field's path.
    pub path: Str,
    /// The value to compare with.
    pub value: Str,
    /// `!=` instead of `=`.
    pub differs: bool,
}

impl fmt::Display for Target {
    /// `deployment/web` or `pods -l app=web`, for the story of a run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { kind, namespace, name } => {
                write!(f, "{}/{name}", kind.to_string().to_ascii_lowercase())?;
                if namespace.is_empty() { Ok(()) } else { write!(f, " in {namespace}") }
            }
            Self::Selected { kind, namespace, selector, field_selector, nth } => {
                match kind {
                    ResourceKind::Known(kind) => f.write_str(kind.info().plural)?,
                    ResourceKind::Inert(kind) => write!(f, "{kind} objects")?,
                }
                if !selector.is_everything() {
                    write!(f, " -l {selector}")?;
                }
                for field in field_selector {
                    let sign = if field.differs { "!=" } else { "=" };
                    write!(f, " with {}{sign}{}", field.path, field.value)?;
                }
                if let Some(nth) = nth {
                    write!(f, ", number {nth} of them")?;
                }
                match namespace {
                    None => f.write_str(" in all namespaces"),
                    Some(ns) if ns.is_empty() => Ok(()),
                    Some(ns) => write!(f, " in {ns}"),
                }
            }
        }
    }
}

/// Which nodes a verb acts on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NodeSet {
    /// By name.
    Names(Vec<Str>),
    /// By labels, when the step happens.
    Selector(LabelSelector),
    /// All of a zone, when the step happens.
    Zone(Str),
    /// All of a node group of the scenario, when the step happens.
    Group(Str),
    /// The node that this Pod is on when it is first asked for in the run; later steps that name
    /// the same Pod mean the same node.
    Hosting {
        /// The Pod's namespace.
        namespace: Str,
        /// The Pod's name.
        pod: Str,
    },
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(names) => {
                for (i, name) in names.iter().enumerate() {
                    write!(f, "{}{name}", if i > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
            Self::Selector(selector) => write!(f, "nodes -l {selector}"),
            Self::Zone(zone) => write!(f, "zone {zone}"),
            Self::Group(group) => write!(f, "node group {group}"),
            Self::Hosting { namespace, pod } => write!(f, "the node of pod {namespace}/{pod}"),
        }
    }
}

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cascade {
    /// They go after it.
    #[default]
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// `kubectl delete`, without waiting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delete {
    /// Which objects.
    pub target: Target,
    /// What becomes of their dependents.
    pub cascade: Cascade,
    /// `--force`: with a grace period of zero, the object vanishes at once.
    pub force: bool,
    /// `--grace-period`; none: the object's own.
    pub grace_period: Option<SimDuration>,
}

/// `kubectl set`; container `*` means all containers.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Which workloads.
    pub target: Target,
    /// Container and new image.
    pub image: Vec<(Str, Str)>,
    /// Container, and what to set of its resources.
    pub resources: Vec<(Str, SetResources)>,
    /// Container, variable, and new value; none removes the variable.
    pub env: Vec<(Str, Str, Option<Str>)>,
}

/// New requests and limits of a container; resources that are not named stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetResources {
    /// Requests.
    pub requests: Vec<(Str, Quantity)>,
    /// Limits.
    pub limits: Vec<(Str, Quantity)>,
}

/// What `rollout` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RolloutAction {
    /// Back to a revision; none: the one before.
    Undo {
        /// `toRevision`.
        to_revision: Option<i64>,
    },
    /// All Pods are replaced.
    Restart,
    /// The rollout is held.
    Pause,
    /// It goes on.
    Resume,
}

/// How a patch is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PatchType {
    /// Strategic merge: lists with merge keys are merged by them.
    #[default]
    Strategic,
    /// JSON merge patch: lists are replaced.
    Merge,
    /// JSON patch: a list of operations.
    Json,
}

/// `kubectl drain`, all nodes at once. A refused eviction is tried again every 5 s.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drain {
    /// Which nodes.
    pub nodes: NodeSet,
    /// `--ignore-daemonsets`.
    pub ignore_daemonsets: bool,
    /// `--delete-emptydir-data`.
    pub delete_empty_dir_data: bool,
    /// `--force`: Pods without a controller too.
    pub force: bool,
    /// `--disable-eviction`: delete, so that budgets are not asked.
    pub disable_eviction: bool,
    /// `--pod-selector`.
    pub pod_selector: LabelSelector,
    /// `--grace-period`; none: the Pods' own.
    pub grace_period: Option<SimDuration>,
    /// `--timeout`; none: for ever.
    pub timeout: Option<SimDuration>,
    /// `--skip-wait-for-delete-timeout`: Pods that should have been gone for longer are left alone; none: none are.
    pub skip_wait_for_delete: Option<SimDuration>,
}

/// One argument of `kubectl taint`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaintChange {
    /// `key=value:Effect`.
    Add(Taint),
    /// `key-` or `key:Effect-`.
    Remove {
        /// The key.
        key: Str,
        /// Only this effect; none: all.
        effect: Option<TaintEffect>,
    },
}

/// Machines that join the cluster.
#[derive(Clone, Debug)]
pub enum AddNodes {
    /// These: their Node objects appear at once and are Ready after `latencies.nodeReady`.
    Nodes(Vec<PlannedNode>),
    /// So many more of a node group of the scenario, through the cloud: after `latencies.nodeBoot`.
    Group {
        /// The group as the scenario names it.
        group: Str,
        /// How many.
        count: u32,
    },
}

/// Machines that the cloud does not have to give.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutOfCapacity {
    /// Of this type; none: of any.
    pub instance_type: Option<Str>,
    /// In this zone; none: in all.
    pub zone: Option<Str>,
    /// For so long; none: for good.
    pub duration: Option<SimDuration>,
}

impl fmt::Display for OutOfCapacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no ")?;
        f.write_str(self.instance_type.as_deref().unwrap_or("machine"))?;
        f.write_str(" to be had")?;
        if let Some(zone) = &self.zone {
            write!(f, " in {zone}")?;
        }
        self.duration.map_or(Ok(()), |duration| write!(f, " for {duration}"))
    }
}

/// What fills up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fill {
    /// Where.
    pub place: FillPlace,
    /// What.
    pub matter: FillMatter,
    /// How much is used then.
    pub amount: FillAmount,
    /// How long filling takes, at an even pace; zero: at once.
    pub over: SimDuration,
}

/// Where something fills up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FillPlace {
    /// A container of each Pod (none: the first one).
    Container(Target, Option<Str>),
    /// An `emptyDir` volume of each Pod.
    Volume(Target, Str),
    /// Nodes, by something outside of all Pods.
    Nodes(NodeSet),
}

/// What of it fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FillMatter {
    /// Memory.
    Memory,
    /// Ephemeral storage.
    Disk,
    /// Process numbers.
    Processes,
}

/// How much is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FillAmount {
    /// Bytes, or processes.
    Amount(i64),
    /// Hundredths of the limit of the container or the volume, or of the node's capacity.
    Percent(u32),
}

impl fmt::Display for Fill {
    /// `memory of pods -l app=web to 90%`, for the story of a run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matter = match self.matter {
            FillMatter::Memory => "memory",
            FillMatter::Disk => "disk",
            FillMatter::Processes => "processes",
        };
        match &self.place {
            FillPlace::Container(target, None) => write!(f, "{matter} of {target}")?,
            FillPlace::Container(target, Some(name)) => {
                write!(f, "{matter} of container {name} of {target}")?
            }
            FillPlace::Volume(target, name) => write!(f, "volume {name} of {target}")?,
            FillPlace::Nodes(nodes) => write!(f, "{matter} of {nodes}")?,
        }
        match (self.amount, self.matter) {
            (FillAmount::Percent(percent), _) => write!(f, " to {percent}%"),
            (FillAmount::Amount(number), FillMatter::Processes) => write!(f, " to {number}"),
            (FillAmount::Amount(bytes), FillMatter::Memory | FillMatter::Disk) => {
                write!(f, " to {}", Quantity::from_bytes(bytes))
            }
        }
    }
}

/// CPU usage set from outside, until the next `load` with the same selector and namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Load {
    /// Where the Pods live.
    pub namespace: Str,
    /// Which Pods.
    pub selector: LabelSelector,
    /// How much.
    pub amount: LoadAmount,
}

/// How much CPU is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadAmount {
    /// Millicores of the whole app, shared evenly by its Ready, not terminating Pods.
    Total {
        /// The sum, in millicores.
        milli: i64,
        /// At most, per Pod, in millicores.
        cap: Option<i64>,
    },
    /// Millicores of each Pod.
    PerPod {
        /// The usage, in millicores.
        milli: i64,
    },
}

impl std::fmt::Display for LoadAmount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Total { milli, cap: None } => write!(f, "{milli}m of CPU in all"),
            Self::Total { milli, cap: Some(cap) } => {
                write!(f, "{milli}m of CPU in all, at most {cap}m each,")
            }
            Self::PerPod { milli } => write!(f, "{milli}m of CPU each"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Kind;

    #[test]
    fn targets_read_as_a_person_would_say_them() {
        let named = Target::Named {
            kind: ResourceKind::Known(Kind::Deployment),
            namespace: "shop".into(),
            name: "web".into(),
        };
        assert_eq!(named.to_string(), "deployment/web in shop");
        let selected = Target::Selected {
            kind: ResourceKind::Known(Kind::Pod),
            namespace: Some("default".into()),
            selector: LabelSelector::parse("app=db").unwrap(),
            field_selector: vec![FieldRequirement {
                path: "spec.nodeName".into(),
                value: "n1".into(),
                differs: false,
            }],
            nth: None,
        };
        assert_eq!(selected.to_string(), "pods -l app=db with spec.nodeName=n1 in default");
    }
}
