//! What volume drivers do: where their volumes can be reached from, whether they are attached, how they are used.
//!
//! The drivers are not run; this table stands for them. A driver that is not in it is there if a CSIDriver or a CSINode
//! says so; it places volumes by the topology keys that CSINodes list for it, attaches them, and takes every access mode.
//!
//! # Fidelity
//! * Object storage is an API that Pods call, and no volume; it has no kind of its own here. Give it a Deployment and a Service that
//!   stand for it and an entry of `traffic` that others `calls`; `hang` is its outage. What the S3 driver shows of it as a folder
//!   (volumes written by hand) has the life of any shared folder: files that cannot be changed in place are not told apart.
//! * A driver's DaemonSet is not run: the driver is on every node whose CSINode lists it, `driverReady` after the node is Ready.
//! * The number of volumes that a CSINode reports is that of its first registration; the feature gate
//!   `MutableCSINodeAllocatableCount` is off, as upstream.
//! * Sizes of shared folders are not enforced, as upstream; what is written takes no room on any volume.

use crate::api::node::{EBS_ZONE_LABEL, HOSTNAME_LABEL, OS_LABEL, ZONE_LABEL};
use crate::api::storage::{CsiDriver, CsiNode};
use crate::base::SimDuration;

/// The EBS driver.
pub const EBS: &str = "ebs.csi.aws.com";
/// The EFS driver.
pub const EFS: &str = "efs.csi.aws.com";
/// The kubelet's own plugin for NFS.
pub const IN_TREE_NFS: &str = "kubernetes.io/nfs";
/// The provisioner that is none: volumes are made by hand.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// The label by which TopoLVM knows a node.
pub const TOPOLVM_NODE_LABEL: &str = "topology.topolvm.io/node";
/// The label by which the CSI hostpath driver knows a node.
pub const HOSTPATH_NODE_LABEL: &str = "topology.hostpath.csi/node";

/// What a driver makes its volumes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Makes {
    /// CSI volumes whose handle is this followed by hexadecimal digits; empty: the volume's name.
    Csi(&'static str),
    /// Directories of a node below this one.
    HostPath(&'static str),
    /// Directories of an NFS server.
    Nfs,
}

/// A driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Driver {
    /// Its name.
    pub name: &'static str,
    /// The labels by which its nodes report where they are.
    pub node_keys: &'static [&'static str],
    /// Those of them that it puts on the volumes it makes; none: they can be reached from everywhere.
    pub volume_keys: &'static [&'static str],
    /// Whether volumes are attached before they are mounted, if no CSIDriver says so.
    pub attaches: bool,
    /// Whether the node mounts a volume once for itself before it does for each Pod (`STAGE_UNSTAGE_VOLUME`).
    pub stages: bool,
    /// Whether file systems can be used from several nodes.
    pub shared: bool,
    /// Whether it takes snapshots, and makes volumes from them.
    pub snapshots: bool,
    /// Whether it makes volumes from others.
    pub clones: bool,
    /// Whether it makes volumes at all: of others there are only those that were written by hand.
    pub provisions: bool,
    /// What it makes.
    pub makes: Makes,
    /// The Pod that its provisioner runs in, in front of the replica's number.
    pub pod: &'static str,
    /// `--retry-interval-max` of its provisioner.
    pub retry_max: SimDuration,
    /// `--timeout` of its provisioner, and of its attacher.
    pub timeouts: (SimDuration, SimDuration),
    /// Where this was read.
    pub source: &'static str,
}

const FIVE_MINUTES: SimDuration = SimDuration::from_mins(5);

/// A network disk of one zone.
const fn disk(
    name: &'static str,
    keys: &'static [&'static str],
    pod: &'static str,
    source: &'static str,
) -> Driver {
    Driver {
        name,
        node_keys: keys,
        volume_keys: keys,
        attaches: true,
        stages: true,
        shared: false,
        snapshots: true,
        clones: true,
        provisions: true,
        makes: Makes::Csi(""),
        pod,
        retry_max: FIVE_MINUTES,
        timeouts: (SimDuration::from_secs(10), SimDuration::from_secs(15)),
        source,
    }
}

/// A file share that every node reaches.
const fn share(name: &'static str, handle: &'static str, pod: &'static str, source: &'static str) -> Driver {
    let disk = disk(name, &[], pod, source);
    Driver {
        shared: true,
        attaches: false,
        stages: false,
        snapshots: false,
        clones: false,
        makes: Makes::Csi(handle),
        ..disk
    }
}

/// Storage inside a node.
const fn local(
    name: &'static str,
    keys: &'static [&'static str],
    pod: &'static str,
    source: &'static str,
) -> Driver {
    Driver { attaches: false, stages: false, ..disk(name, keys, pod, source) }
}

/// The drivers that are known.
#[rustfmt::skip] // one driver per line or two
pub const DRIVERS: &[Driver] = &[
    Driver {
        // Since v1.33.0 new volumes carry the common zone key only, nodes report three.
        volume_keys: &[ZONE_LABEL], makes: Makes::Csi("vol-0"), retry_max: SimDuration::from_mins(30),
        timeouts: (SimDuration::from_mins(1), SimDuration::from_mins(6)),
        ..disk(EBS, &[OS_LABEL, EBS_ZONE_LABEL, ZONE_LABEL], "ebs-csi-controller", "aws-ebs-csi-driver v1.53 pkg/driver/{node,controller}.go, chart")
    },
    disk("pd.csi.storage.gke.io", &["topology.gke.io/zone"], "csi-gce-pd-controller", "gcp-compute-persistent-disk-csi-driver docs"),
    disk("disk.csi.azure.com", &["topology.disk.csi.azure.com/zone"], "csi-azuredisk-controller", "azuredisk-csi-driver docs"),
    share(EFS, "fs-0", "efs-csi-controller", "aws-efs-csi-driver README, deploy/kubernetes"),
    Driver { stages: true, snapshots: true, clones: true, ..share("file.csi.azure.com", "", "csi-azurefile-controller", "azurefile-csi-driver docs") },
    Driver { snapshots: true, clones: true, ..share("nfs.csi.k8s.io", "", "csi-nfs-controller", "csi-driver-nfs deploy") },
    // Buckets are not made by it: volumes are written by hand (mountpoint-s3-csi-driver README).
    Driver { provisions: false, ..share("s3.csi.aws.com", "", "s3-csi-controller", "mountpoint-s3-csi-driver README") },
    local("topolvm.io", &[TOPOLVM_NODE_LABEL], "topolvm-controller", "topolvm charts/topolvm/templates/csidriver.yaml"),
    Driver { attaches: true, stages: true, ..local("hostpath.csi.k8s.io", &[HOSTPATH_NODE_LABEL], "csi-hostpathplugin", "csi-driver-host-path deploy") },
    Driver { makes: Makes::HostPath("/tmp/hostpath-provisioner"), snapshots: false, clones: false, ..local("k8s.io/minikube-hostpath", &[], "storage-provisioner", "minikube pkg/storage") },
    Driver { makes: Makes::HostPath("/opt/local-path-provisioner"), snapshots: false, clones: false, ..local("rancher.io/local-path", &[HOSTNAME_LABEL], "local-path-provisioner", "local-path-provisioner README") },
];

/// A driver that the table lacks: it takes every access mode and places volumes as CSINodes list it.
const UNKNOWN: Driver = Driver { shared: true, ..disk("", &[ZONE_LABEL], "csi-controller", "assumed") };

/// A provisioner that the table lacks and that is no CSI driver by its name (`example.com/nfs`).
const UNKNOWN_SHARE: Driver = Driver { makes: Makes::Nfs, ..share("", "", "provisioner", "assumed") };

/// What is known of a driver.
pub fn find(name: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|d| d.name == name)
}

/// Whether somebody makes volumes in a driver's name: this table stands for it, a CSIDriver names it, or a CSINode lists it.
pub fn is_installed<'a>(
    name: &str,
    object: Option<&CsiDriver>,
    mut nodes: impl Iterator<Item = &'a CsiNode>,
) -> bool {
    let known = find(name);
    known.is_none_or(|driver| driver.provisions)
        && (known.is_some()
            || object.is_some()
            || nodes.any(|node| node.drivers.iter().any(|d| d.name == name)))
}

/// What is known of a driver, or else assumed.
pub fn of(name: &str) -> &'static Driver {
    find(name).unwrap_or(if name.contains('/') { &UNKNOWN_SHARE } else { &UNKNOWN })
}

/// The labels that a node with this driver reports; the common zone label for drivers that are not known.
pub fn node_keys(name: &str) -> &'static [&'static str] {
    of(name).node_keys
}

/// Whether volumes of a driver are attached before they are mounted, as its CSIDriver says, or else the table.
pub fn attaches(name: &str, object: Option<&CsiDriver>) -> bool {
    object.map_or_else(|| of(name).attaches, |object| object.attach_required)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_carry_keys_that_nodes_report() {
        for driver in DRIVERS {
            assert!(driver.volume_keys.iter().all(|k| driver.node_keys.contains(k)), "{}", driver.name);
            assert!(driver.retry_max >= FIVE_MINUTES && !driver.source.is_empty(), "{}", driver.name);
        }
    }

    /// autoscaling-storage.md §5.10: which kinds are attached, shared, zonal, and made on demand.
    #[test]
    fn kinds_of_storage_differ_in_what_they_are() {
        let kind = |name: &str| {
            let d = find(name).unwrap();
            (d.attaches, d.shared, !d.volume_keys.is_empty(), d.provisions)
        };
        assert_eq!(kind(EBS), (true, false, true, true), "one node, one zone");
        assert_eq!(kind(EFS), (false, true, false, true), "no attach step, every zone");
        assert_eq!(kind("nfs.csi.k8s.io"), (false, true, false, true));
        assert_eq!(kind("s3.csi.aws.com"), (false, true, false, false), "volumes are written by hand");
        assert_eq!(kind("topolvm.io"), (false, false, true, true), "inside a node");
        assert!(!is_installed("s3.csi.aws.com", Some(&CsiDriver::default()), std::iter::empty()));
    }

    #[test]
    fn the_object_decides_over_the_table() {
        let object = |attach_required| CsiDriver { attach_required, ..CsiDriver::default() };
        assert!(
            attaches(EBS, None)
                && !attaches("efs.csi.aws.com", None)
                && attaches("unknown.example.com", None)
        );
        assert!(!attaches(EBS, Some(&object(false))) && attaches("efs.csi.aws.com", Some(&object(true))));
    }
}
