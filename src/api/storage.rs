//! Storage kinds: claims, volumes, classes, CSI objects, attachments.

use super::condition::Condition;
use super::k8s;
use super::meta::{Labels, Meta, ObjectKey, Uid};
use super::resources::ResourceList;
use super::selector::{LabelSelector, NodeSelector, NodeSelectorTerm};
use super::workload::BoundaryPart;
use crate::base::{Arc, Quantity, Str};

/// How a volume may be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessMode {
    /// By one node.
    ReadWriteOnce,
    /// By many, to read.
    ReadOnlyMany,
    /// By many.
    ReadWriteMany,
    /// By one Pod.
    ReadWriteOncePod,
}

impl AccessMode {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadOnlyMany => "ReadOnlyMany",
            Self::ReadWriteMany => "ReadWriteMany",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }

    /// Reads the API's word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ReadWriteOnce" => Self::ReadWriteOnce,
            "ReadOnlyMany" => Self::ReadOnlyMany,
            "ReadWriteMany" => Self::ReadWriteMany,
            "ReadWriteOncePod" => Self::ReadWriteOncePod,
            _ => return None,
        })
    }

    /// Whether one node at a time may use the volume.
    pub const fn is_single_node(self) -> bool {
        matches!(self, Self::ReadWriteOnce | Self::ReadWriteOncePod)
    }

    /// kubectl's short form.
    pub const fn short(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "RWO",
            Self::ReadOnlyMany => "ROX",
            Self::ReadWriteMany => "RWX",
            Self::ReadWriteOncePod => "RWOP",
        }
    }
}

/// What a claim asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClaimSpec {
    /// Wanted access modes.
    pub access_modes: Vec<AccessMode>,
    /// Which volumes; none if absent.
    pub selector: Option<LabelSelector>,
    /// Requests; `storage` matters.
    pub requests: ResourceList,
    /// The volume; empty until bound.
    pub volume_name: Str,
    /// The class: none if unset (the default class is filled in), `Some("")` for "no class".
    pub storage_class: Option<Str>,
    /// `volumeMode: Block`.
    pub block: bool,
    /// `volumeAttributesClassName`.
    pub attributes_class: Option<Str>,
    /// What the volume is made from: kind and name (`VolumeSnapshot`, `PersistentVolumeClaim`).
    pub data_source: Option<(Str, Str)>,
    /// Parts of the boundary form that no other field carries; `None` for claims that are made here.
    pub rest: Option<Arc<BoundaryPart<k8s::core::v1::PersistentVolumeClaimSpec>>>,
}

/// The phase of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClaimPhase {
    /// Not bound.
    #[default]
    Pending,
    /// Bound.
    Bound,
    /// Its volume vanished.
    Lost,
}

impl ClaimPhase {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Bound => "Bound",
            Self::Lost => "Lost",
        }
    }
}

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PersistentVolumeClaim {
    /// Metadata.
    pub meta: Meta,
    /// The wishes.
    pub spec: ClaimSpec,
    /// The phase.
    pub phase: ClaimPhase,
    /// Access modes of the bound volume.
    pub status_access_modes: Vec<AccessMode>,
    /// Capacity of the bound volume.
    pub status_capacity: ResourceList,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// Annotations of claims and volumes.
pub mod annotation {
    /// The controller has seen the binding through.
    pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
    /// The binding was made by the controller.
    pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
    /// The node the scheduler chose.
    pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
    /// Who shall provision.
    pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
    /// Who shall provision, the older name.
    pub const STORAGE_PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
    /// Who provisioned.
    pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
    /// The class, the older way.
    pub const CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";
    /// The class is the default one.
    pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
    /// The same, older.
    pub const DEFAULT_CLASS_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";
}

impl PersistentVolumeClaim {
    /// The class by the older annotation or the field; empty if neither.
    pub fn class(&self) -> Str {
        self.meta
            .annotations
            .get(annotation::CLASS_BETA)
            .or(self.spec.storage_class.as_ref())
            .cloned()
            .unwrap_or_default()
    }

    /// The size asked for.
    pub fn requested(&self) -> Quantity {
        self.spec.requests.get(super::resources::STORAGE).unwrap_or(Quantity::ZERO)
    }
}

/// The phase of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VolumePhase {
    /// Not yet seen.
    #[default]
    Pending,
    /// Free.
    Available,
    /// Bound.
    Bound,
    /// Its claim is gone.
    Released,
    /// Reclaiming failed.
    Failed,
}

impl VolumePhase {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Available => "Available",
            Self::Bound => "Bound",
            Self::Released => "Released",
            Self::Failed => "Failed",
        }
    }
}

/// What happens to a volume when its claim goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReclaimPolicy {
    /// It stays, with its data.
    #[default]
    Retain,
    /// It goes too.
    Delete,
    /// It is wiped (deprecated).
    Recycle,
}

impl ReclaimPolicy {
    /// All of them with the API's words.
    pub const WORDS: &[(&str, Self)] =
        &[("Retain", Self::Retain), ("Delete", Self::Delete), ("Recycle", Self::Recycle)];

    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retain => "Retain",
            Self::Delete => "Delete",
            Self::Recycle => "Recycle",
        }
    }
}

/// Where a volume's data lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PvSource {
    /// A CSI volume.
    Csi {
        /// The driver.
        driver: Str,
        /// The driver's handle.
        handle: Str,
    },
    /// In-tree EBS.
    AwsEbs(Str),
    /// In-tree GCE persistent disk.
    GcePd(Str),
    /// In-tree Azure disk.
    AzureDisk(Str),
    /// NFS.
    Nfs {
        /// The server.
        server: Str,
        /// The path.
        path: Str,
    },
    /// A directory of whichever node.
    HostPath(Str),
    /// A disk of one node.
    Local(Str),
    /// Anything else, by the field's name.
    Other(Str),
}

/// The claim a volume belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimRef {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Identity; empty while only reserved by name.
    pub uid: Uid,
}

/// A PersistentVolume.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PersistentVolume {
    /// Metadata.
    pub meta: Meta,
    /// Capacity; `storage` matters.
    pub capacity: ResourceList,
    /// Possible access modes.
    pub access_modes: Vec<AccessMode>,
    /// Its claim.
    pub claim_ref: Option<ClaimRef>,
    /// What happens when the claim goes.
    pub reclaim_policy: ReclaimPolicy,
    /// The class, possibly empty.
    pub storage_class: Str,
    /// `volumeMode: Block`.
    pub block: bool,
    /// From which nodes it can be reached; none means all.
    pub node_affinity: Option<NodeSelector>,
    /// Where the data lies.
    pub source: PvSource,
    /// `volumeAttributesClassName`.
    pub attributes_class: Option<Str>,
    /// `mountOptions`.
    pub mount_options: Vec<Str>,
    /// Parts of the boundary form that no other field carries; `None` for volumes that are made here.
    pub rest: Option<Arc<BoundaryPart<k8s::core::v1::PersistentVolumeSpec>>>,
    /// The phase.
    pub phase: VolumePhase,
    /// Why, for failed ones.
    pub reason: Str,
    /// A sentence to it.
    pub message: Str,
}

impl PersistentVolume {
    /// The class by the older annotation or the field; empty if neither.
    pub fn class(&self) -> Str {
        self.meta.annotations.get(annotation::CLASS_BETA).unwrap_or(&self.storage_class).clone()
    }

    /// Whether one node at a time can have it.
    pub fn is_single_node(&self) -> bool {
        self.access_modes.iter().all(|mode| mode.is_single_node())
    }

    /// The name by which nodes list it as attached and in use; none for volumes that nobody attaches.
    ///
    /// Upstream: `pkg/volume/util/util.go` `GetUniqueVolumeName`, v1.34; in-tree disks by their CSI drivers.
    pub fn attach_name(&self) -> Option<Str> {
        let (driver, handle) = self.source.csi()?;
        Some(format!("kubernetes.io/csi/{driver}^{handle}").into())
    }

    /// Its size.
    pub fn size(&self) -> Quantity {
        self.capacity.get(super::resources::STORAGE).unwrap_or(Quantity::ZERO)
    }
}

/// In-tree sources that CSI drivers serve today, by provisioner, with the driver.
///
/// Upstream: `csi-translation-lib/plugins`, v1.34.
pub const MIGRATED: &[(&str, &str)] = &[
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/azure-file", "file.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
];

/// The driver that serves an in-tree provisioner, if one does.
pub fn migrated_driver(provisioner: &str) -> Option<&'static str> {
    MIGRATED.iter().find(|(in_tree, _)| *in_tree == provisioner).map(|(_, driver)| *driver)
}

impl PvSource {
    /// The CSI driver and its handle, in-tree sources translated; none for what no driver serves.
    pub fn csi(&self) -> Option<(Str, Str)> {
        match self {
            Self::Csi { driver, handle } => Some((driver.clone(), handle.clone())),
            Self::AwsEbs(id) => {
                // `aws://zone/vol-1` and `vol-1` are the same volume.
                let handle = id.rsplit('/').next().unwrap_or(id);
                Some(("ebs.csi.aws.com".into(), handle.into()))
            }
            Self::GcePd(name) => Some(("pd.csi.storage.gke.io".into(), name.clone())),
            Self::AzureDisk(name) => Some(("disk.csi.azure.com".into(), name.clone())),
            Self::Nfs { .. } | Self::HostPath(_) | Self::Local(_) | Self::Other(_) => None,
        }
    }
}

/// A StorageClass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StorageClass {
    /// Metadata.
    pub meta: Meta,
    /// Who provisions.
    pub provisioner: Str,
    /// `parameters`.
    pub parameters: Labels,
    /// Reclaim policy of its volumes; `Delete` by default.
    pub reclaim_policy: ReclaimPolicy,
    /// `volumeBindingMode: WaitForFirstConsumer`.
    pub wait_for_first_consumer: bool,
    /// Whether claims may grow.
    pub allow_expansion: bool,
    /// Where volumes may be made; empty means anywhere.
    pub allowed_topologies: Vec<NodeSelectorTerm>,
    /// `mountOptions`.
    pub mount_options: Vec<Str>,
}

impl StorageClass {
    /// Whether it is marked as the default class.
    pub fn is_default(&self) -> bool {
        let yes = |key| self.meta.annotations.get(key).is_some_and(|v| v == "true");
        yes(annotation::DEFAULT_CLASS) || yes(annotation::DEFAULT_CLASS_BETA)
    }
}

/// A CSINode: what drivers a node has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CsiNode {
    /// Metadata; the name is the node's.
    pub meta: Meta,
    /// Drivers.
    pub drivers: Vec<CsiNodeDriver>,
}

/// A driver on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CsiNodeDriver {
    /// The driver's name.
    pub name: Str,
    /// The node's name at the driver.
    pub node_id: Str,
    /// Labels the driver places volumes by.
    pub topology_keys: Vec<Str>,
    /// Volumes that can be attached; none means no limit.
    pub allocatable: Option<i32>,
}

/// A CSIDriver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CsiDriver {
    /// Metadata; the name is the driver's.
    pub meta: Meta,
    /// Whether volumes are attached before they are mounted; true by default.
    pub attach_required: bool,
    /// Whether CSIStorageCapacity objects are looked at.
    pub storage_capacity: bool,
    /// Parts of the boundary form that no other field carries.
    pub rest: Option<Arc<BoundaryPart<k8s::storage::v1::CSIDriverSpec>>>,
}

/// A CSIStorageCapacity: room in one segment of the topology.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CsiStorageCapacity {
    /// Metadata.
    pub meta: Meta,
    /// The class.
    pub storage_class: Str,
    /// Which nodes; none means no node.
    pub node_topology: Option<LabelSelector>,
    /// Room.
    pub capacity: Option<Quantity>,
    /// The largest volume.
    pub maximum_volume_size: Option<Quantity>,
}

/// A VolumeAttachment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VolumeAttachment {
    /// Metadata.
    pub meta: Meta,
    /// The driver.
    pub attacher: Str,
    /// The node.
    pub node_name: Str,
    /// The volume.
    pub pv_name: Str,
    /// Whether it is attached.
    pub attached: bool,
    /// Why attaching failed, or nothing.
    pub attach_error: Str,
    /// Why detaching failed, or nothing.
    pub detach_error: Str,
}
