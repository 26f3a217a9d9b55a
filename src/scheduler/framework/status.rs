//! What a plugin says of a Pod or of a Pod on a node, as data.
//!
//! Upstream: `kube-scheduler/framework/interface.go` (`Status`), `pkg/scheduler/framework/types.go`
//! (`NodeToStatus`), v1.34.

use std::collections::BTreeMap;
use std::fmt;

use super::node_info::NodeId;
use super::snapshot::Snapshot;
use crate::base::Str;

/// How serious a status is. Success has no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The plugin broke.
    Error,
    /// The Pod does not fit; evicting others may help.
    Unschedulable,
    /// The Pod does not fit and evicting others would not help.
    UnschedulableAndUnresolvable,
}

impl Code {
    /// Upstream's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Unschedulable => "Unschedulable",
            Self::UnschedulableAndUnresolvable => "UnschedulableAndUnresolvable",
        }
    }
}

/// One reason: the text that upstream writes, and a name that is the same in all releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Upstream's text.
    pub text: Str,
    /// The stable name (`InsufficientCpu`); empty for reasons that have none.
    pub cause: &'static str,
}

impl Reason {
    /// A reason with its cause.
    pub fn new(text: impl Into<Str>, cause: &'static str) -> Self {
        Self { text: text.into(), cause }
    }
}

/// A refusal or a fault, with the plugin that gave it.
///
/// One reason is the rule, so the first one takes no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How serious.
    pub code: Code,
    /// The plugin; the framework fills it in.
    pub plugin: &'static str,
    first: Option<Reason>,
    more: Vec<Reason>,
}

impl Status {
    /// A status of this code without reasons.
    pub const fn empty(code: Code) -> Self {
        Self { code, plugin: "", first: None, more: Vec::new() }
    }

    /// A status with one reason.
    pub fn new(code: Code, text: impl Into<Str>, cause: &'static str) -> Self {
        Self { first: Some(Reason::new(text, cause)), ..Self::empty(code) }
    }

    /// The Pod does not fit; evicting others may help.
    pub fn unschedulable(text: impl Into<Str>, cause: &'static str) -> Self {
        Self::new(Code::Unschedulable, text, cause)
    }

    /// The Pod does not fit and evicting others would not help.
    pub fn unresolvable(text: impl Into<Str>, cause: &'static str) -> Self {
        Self::new(Code::UnschedulableAndUnresolvable, text, cause)
    }

    /// The plugin broke.
    pub fn error(text: impl Into<Str>) -> Self {
        Self::new(Code::Error, text, "")
    }

    /// Adds a reason.
    pub fn push(&mut self, reason: Reason) {
        if self.first.is_none() {
            self.first = Some(reason);
        } else {
            self.more.push(reason);
        }
    }

    /// This status said by `plugin`.
    #[must_use]
    pub const fn with_plugin(mut self, plugin: &'static str) -> Self {
        self.plugin = plugin;
        self
    }

    /// The reasons in the order they were given.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.first.iter().chain(&self.more)
    }

    /// Upstream's `IsRejected`: a refusal, not a fault.
    pub const fn is_rejected(&self) -> bool {
        matches!(self.code, Code::Unschedulable | Code::UnschedulableAndUnresolvable)
    }

    /// All reasons, joined as upstream joins them.
    pub fn message(&self) -> String {
        let texts: Vec<&str> = self.reasons().map(|r| r.text.as_str()).collect();
        texts.join(", ")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// The status of every node that was refused, and one for all nodes that were not looked at.
#[derive(Clone, Debug)]
pub struct NodeStatuses {
    explicit: Vec<Option<Status>>,
    len: usize,
    absent: Status,
}

impl Default for NodeStatuses {
    fn default() -> Self {
        Self { explicit: Vec::new(), len: 0, absent: Status::empty(Code::UnschedulableAndUnresolvable) }
    }
}

impl NodeStatuses {
    /// No node refused yet; those not looked at count as unresolvable without a reason.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a node was refused.
    pub fn set(&mut self, node: NodeId, status: Status) {
        let index = node.index();
        if index >= self.explicit.len() {
            self.explicit.resize(index + 1, None);
        }
        if self.explicit[index].replace(status).is_none() {
            self.len += 1;
        }
    }

    /// The status of all nodes without one of their own.
    pub fn set_absent(&mut self, status: Status) {
        self.absent = status;
    }

    /// The status of nodes without one of their own.
    pub const fn absent(&self) -> &Status {
        &self.absent
    }

    /// The status of a node, be it its own or that of the absent ones.
    pub fn get(&self, node: NodeId) -> &Status {
        self.explicit(node).unwrap_or(&self.absent)
    }

    /// The node's own status.
    pub fn explicit(&self, node: NodeId) -> Option<&Status> {
        self.explicit.get(node.index()).and_then(Option::as_ref)
    }

    /// How many nodes have a status of their own.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no node has a status of its own.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The statuses that nodes have of their own.
    pub fn iter(&self) -> impl Iterator<Item = &Status> {
        self.explicit.iter().flatten()
    }

    /// Upstream's `FitError` text without a PostFilter's part: each reason with how many nodes gave it, sorted as
    /// text, after how many nodes there are. Reasons are counted, not nodes.
    ///
    /// Upstream: `pkg/scheduler/framework/types.go` `FitError.Error`, v1.34.
    pub fn fit_message(&self, nodes: usize) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in self.iter().flat_map(Status::reasons) {
            *counts.entry(&reason.text).or_default() += 1;
        }
        if self.len < nodes {
            for reason in self.absent.reasons() {
                *counts.entry(&reason.text).or_default() += nodes - self.len;
            }
        }
        let mut counted: Vec<String> =
            counts.into_iter().map(|(text, count)| format!("{count} {text}")).collect();
        counted.sort();
        let mut message = format!("0/{nodes} nodes are available:");
        if !counted.is_empty() {
            message += &format!(" {}.", counted.join(", "));
        }
        message
    }

    /// Nodes whose status, own or that of the absent ones, has this code, in the order of the snapshot.
    pub fn nodes_of_code(&self, snapshot: &Snapshot, code: Code) -> Vec<NodeId> {
        snapshot.order().iter().copied().filter(|id| self.get(*id).code == code).collect()
    }
}

/// Stable names of reasons, for expectations.
pub mod cause {
    /// Not enough CPU is free.
    pub const INSUFFICIENT_CPU: &str = "InsufficientCpu";
    /// Not enough memory is free.
    pub const INSUFFICIENT_MEMORY: &str = "InsufficientMemory";
    /// Not enough ephemeral storage is free.
    pub const INSUFFICIENT_EPHEMERAL_STORAGE: &str = "InsufficientEphemeralStorage";
    /// Not enough of an extended resource is free.
    pub const INSUFFICIENT_RESOURCE: &str = "InsufficientResource";
    /// The node holds as many Pods as it may.
    pub const TOO_MANY_PODS: &str = "TooManyPods";
    /// The Pod does not tolerate a taint.
    pub const UNTOLERATED_TAINT: &str = "UntoleratedTaint";
    /// The node is not one the Pod asks for.
    pub const NODE_AFFINITY: &str = "NodeAffinity";
    /// The Pod names another node.
    pub const NODE_NAME: &str = "NodeName";
    /// The node is cordoned.
    pub const NODE_UNSCHEDULABLE: &str = "NodeUnschedulable";
    /// A host port is taken.
    pub const NODE_PORTS: &str = "NodePorts";
    /// No Pod to be near to is there.
    pub const POD_AFFINITY: &str = "PodAffinity";
    /// A Pod to keep away from is there.
    pub const POD_ANTI_AFFINITY: &str = "PodAntiAffinity";
    /// The Pods would be spread too unevenly.
    pub const TOPOLOGY_SPREAD: &str = "TopologySpread";
    /// The Pod's volume cannot be reached from the node.
    pub const VOLUME_NODE_AFFINITY_CONFLICT: &str = "VolumeNodeAffinityConflict";
    /// No volume fits the Pod's claims.
    pub const VOLUME_BIND_CONFLICT: &str = "VolumeBindConflict";
    /// No room for a new volume.
    pub const NOT_ENOUGH_STORAGE: &str = "NotEnoughStorage";
    /// A claim of the Pod is not bound yet.
    pub const UNBOUND_IMMEDIATE_CLAIMS: &str = "UnboundImmediateClaims";
    /// A claim of the Pod does not exist.
    pub const CLAIM_NOT_FOUND: &str = "ClaimNotFound";
    /// A claim of the Pod is being deleted.
    pub const CLAIM_BEING_DELETED: &str = "ClaimBeingDeleted";
    /// The volume of a bound claim is gone.
    pub const VOLUME_NOT_FOUND: &str = "VolumeNotFound";
    /// The node has as many volumes attached as it may.
    pub const MAX_VOLUME_COUNT: &str = "MaxVolumeCount";
    /// The Pod's volume is in another zone, by its labels.
    pub const VOLUME_ZONE: &str = "VolumeZone";
    /// No device has as much left as the Pod asks of it.
    pub const GPU_DEVICES: &str = "GpuDevices";
    /// Another Pod has the disk.
    pub const DISK_CONFLICT: &str = "DiskConflict";
    /// Another Pod has the ReadWriteOncePod claim.
    pub const READ_WRITE_ONCE_POD_IN_USE: &str = "ReadWriteOncePodInUse";
    /// The Pod has scheduling gates.
    pub const SCHEDULING_GATED: &str = "SchedulingGated";
    /// There are no nodes.
    pub const NO_NODES: &str = "NoNodes";
}
