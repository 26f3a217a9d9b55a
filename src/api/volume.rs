//! Volumes of a Pod.

use crate::base::Str;

/// A volume named in a Pod's spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Volume {
    /// The volume's name within the Pod.
    pub name: Str,
    /// Where it comes from.
    pub source: VolumeSource,
}

/// The sources that something in the simulation looks at; all others are [`VolumeSource::Other`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VolumeSource {
    /// A claim in the Pod's namespace.
    Claim {
        /// The claim's name.
        claim: Str,
        /// Mounted read-only.
        read_only: bool,
    },
    /// A generic ephemeral volume; its claim is named `<pod>-<volume>`.
    Ephemeral,
    /// Scratch space that dies with the Pod.
    EmptyDir {
        /// `medium: Memory`.
        memory: bool,
        /// `sizeLimit` in bytes.
        size_limit: Option<i64>,
    },
    /// A directory of the node.
    HostPath(Str),
    /// A ConfigMap.
    ConfigMap {
        /// Its name.
        name: Str,
        /// May be missing.
        optional: bool,
    },
    /// A Secret.
    Secret {
        /// Its name.
        name: Str,
        /// May be missing.
        optional: bool,
    },
    /// In-tree EBS.
    AwsEbs {
        /// The volume's id.
        volume_id: Str,
        /// Mounted read-only.
        read_only: bool,
    },
    /// In-tree GCE persistent disk.
    GcePd {
        /// The disk's name.
        pd_name: Str,
        /// Mounted read-only.
        read_only: bool,
    },
    /// iSCSI.
    Iscsi {
        /// The target's qualified name.
        iqn: Str,
        /// Mounted read-only.
        read_only: bool,
    },
    /// Ceph RBD.
    Rbd {
        /// Its monitors.
        monitors: Vec<Str>,
        /// The pool.
        pool: Str,
        /// The image.
        image: Str,
        /// Mounted read-only.
        read_only: bool,
    },
    /// An inline CSI volume.
    InlineCsi {
        /// The driver's name.
        driver: Str,
    },
    /// Whatever the simulation does not look into.
    Other,
}
