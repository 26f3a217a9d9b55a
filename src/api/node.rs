//! Nodes.

use super::condition::{self, Condition};
use super::k8s;
use super::meta::Meta;
use super::resources::ResourceList;
use super::taint::Taint;
use super::workload::BoundaryPart;
use crate::base::{Arc, Str};

/// The taint by which an administrator says that a node is surely down.
pub const TAINT_OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// The label that names a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// The label that names a node's region.
pub const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// The label that names the node itself.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// The label that names the machine type.
pub const INSTANCE_TYPE_LABEL: &str = "node.kubernetes.io/instance-type";
/// The older zone label, still read.
pub const ZONE_LABEL_BETA: &str = "failure-domain.beta.kubernetes.io/zone";
/// The older region label, still read.
pub const REGION_LABEL_BETA: &str = "failure-domain.beta.kubernetes.io/region";

/// The label that names a node's system.
pub const OS_LABEL: &str = "kubernetes.io/os";
/// The label that names a node's processor architecture.
pub const ARCH_LABEL: &str = "kubernetes.io/arch";
/// The label by which the EBS driver places volumes, beside the common one.
pub const EBS_ZONE_LABEL: &str = "topology.ebs.csi.aws.com/zone";
/// The label that names the node group of the scenario.
pub const NODE_GROUP_LABEL: &str = "wavetank.dev/node-group";

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Node {
    /// Metadata.
    pub meta: Meta,
    /// `spec.unschedulable`: cordoned.
    pub unschedulable: bool,
    /// Taints in order.
    pub taints: Vec<Taint>,
    /// `spec.providerID`, possibly empty.
    pub provider_id: Str,
    /// `spec.podCIDR`, possibly empty.
    pub pod_cidr: Str,
    /// The observed state.
    pub status: NodeStatus,
}

/// The observed state of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeStatus {
    /// What the machine has.
    pub capacity: ResourceList,
    /// What Pods may use.
    pub allocatable: ResourceList,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Images it holds: names and size in bytes.
    pub images: Vec<(Vec<Str>, i64)>,
    /// Its internal address.
    pub internal_ip: Str,
    /// `nodeInfo.kubeletVersion`.
    pub kubelet_version: Str,
    /// `volumesInUse`, the kubelet's: attachable volumes its Pods want or have mounted, by unique name, sorted.
    pub volumes_in_use: Vec<Str>,
    /// `volumesAttached`, the attach/detach controller's: by unique name, sorted.
    pub volumes_attached: Vec<Str>,
    /// Parts of the boundary form that no other field carries; `None` for nodes that are made here.
    pub rest: Option<Arc<BoundaryPart<k8s::core::v1::NodeStatus>>>,
}

impl Node {
    /// The zone; empty if it has none. The older label wins over the current one.
    ///
    /// Upstream: `component-helpers/node/topology/helpers.go` `GetZoneKey`, v1.34.
    pub fn zone(&self) -> Str {
        self.either_label(ZONE_LABEL_BETA, ZONE_LABEL)
    }

    /// The region; empty if it has none. The older label wins here, too.
    pub fn region(&self) -> Str {
        self.either_label(REGION_LABEL_BETA, REGION_LABEL)
    }

    fn either_label(&self, older: &str, current: &str) -> Str {
        let labels = &self.meta.labels;
        labels.get(older).or_else(|| labels.get(current)).cloned().unwrap_or_default()
    }

    /// Whether it has the taint `node.kubernetes.io/out-of-service`.
    pub fn is_out_of_service(&self) -> bool {
        self.taints.iter().any(|taint| taint.key == TAINT_OUT_OF_SERVICE)
    }

    /// Whether the condition `Ready` is `True`.
    pub fn is_ready(&self) -> bool {
        condition::is_true(&self.status.conditions, "Ready")
    }
}
