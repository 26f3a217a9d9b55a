//! Mounts: what they are called at the node, and what drivers and the kubelet's own plugins say of those that fail.
//!
//! Upstream: aws-ebs-csi-driver v1.53 `pkg/driver/node.go`; aws-efs-csi-driver `pkg/driver/node.go` and efs-utils `mount_efs`;
//! `k8s.io/mount-utils`, v1.34. Other drivers' words are assumed.

use super::drivers::{self, EBS, EFS, IN_TREE_NFS};
use super::operations::Trouble;
use crate::base::{Str, sha256};

/// The kubelet's folder.
const KUBELET: &str = "/var/lib/kubelet";

/// A volume that is mounted for a Pod.
#[derive(Clone, Copy, Debug)]
pub struct Mount<'a> {
    /// The driver, or the kubelet's own plugin (`kubernetes.io/nfs`).
    pub driver: &'a str,
    /// What the driver knows the volume by; for a share, `server:path`.
    pub handle: &'a str,
    /// The PersistentVolume.
    pub volume: &'a str,
    /// The Pod's identity.
    pub pod: &'a str,
    /// The zone of the node; empty if it has none.
    pub zone: &'a str,
    /// Its region; empty if it has none.
    pub region: &'a str,
    /// Whether it is a device rather than a file system.
    pub block: bool,
}

/// Why a mount fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// As a scenario says.
    Trouble(Trouble),
    /// The file system has no mount target in the node's zone, but in these.
    NoTarget(&'a [Str]),
}

impl Mount<'_> {
    /// The reason of the Event, and what stands in front of the driver's words.
    ///
    /// Drivers that stage a volume fail where it is mounted for the whole node, others where it is for the Pod.
    pub fn step(&self) -> (&'static str, &'static str) {
        match (self.block, drivers::of(self.driver).stages) {
            (true, true) => ("FailedMapVolume", "MapVolume.SetUpDevice failed"),
            (true, false) => ("FailedMapVolume", "MapVolume.MapPodDevice failed"),
            (false, true) => ("FailedMount", "MountVolume.MountDevice failed"),
            (false, false) => ("FailedMount", "MountVolume.SetUp failed"),
        }
    }

    /// Where it is mounted.
    fn target(&self) -> String {
        let Self { driver, handle, volume, pod, .. } = self;
        if drivers::of(driver).stages {
            let hash = sha256::hex(handle);
            return format!("{KUBELET}/plugins/kubernetes.io/csi/{driver}/{hash}/globalmount");
        }
        match driver.strip_prefix("kubernetes.io/") {
            Some(plugin) => format!("{KUBELET}/pods/{pod}/volumes/kubernetes.io~{plugin}/{volume}"),
            None => format!("{KUBELET}/pods/{pod}/volumes/kubernetes.io~csi/{volume}/mount"),
        }
    }

    /// What is said of a mount that fails.
    pub fn words(&self, fault: Fault<'_>) -> String {
        let target = self.target();
        match (self.driver, fault) {
            (EFS, fault) => self.of_efs(fault, &target),
            (IN_TREE_NFS, Fault::Trouble(trouble)) => self.of_nfs(trouble, &target),
            ("nfs.csi.k8s.io", Fault::Trouble(trouble)) => {
                format!("rpc error: code = Internal desc = {}", self.of_nfs(trouble, &target))
            }
            (EBS, Fault::Trouble(_)) => {
                let device = "/dev/nvme1n1";
                let output = format!(
                    "mount: {target}: wrong fs type, bad option, bad superblock on {device}, missing codepage or helper program, or other error."
                );
                let failed = failed(32, &format!("-t ext4 -o defaults {device} {target}"), &output);
                format!(
                    "rpc error: code = Internal desc = could not format {device:?} and mount it at {target:?}: {failed}"
                )
            }
            (_, Fault::Trouble(Trouble::Denied)) => {
                format!("rpc error: code = PermissionDenied desc = not authorized to mount {:?}", self.handle)
            }
            (_, Fault::Trouble(Trouble::Error) | Fault::NoTarget(_)) => {
                format!("rpc error: code = Internal desc = cannot mount {:?}", self.handle)
            }
        }
    }

    fn of_efs(&self, fault: Fault<'_>, target: &str) -> String {
        let Self { handle, zone, region, .. } = self;
        let output = match fault {
            Fault::Trouble(Trouble::Denied) => {
                "mount.nfs4: access denied by server while mounting 127.0.0.1:/".to_owned()
            }
            Fault::Trouble(Trouble::Error) => "mount.nfs4: Connection reset by peer".to_owned(),
            Fault::NoTarget(zones) => {
                let zones: Vec<String> = zones.iter().map(|zone| format!("'{zone}'")).collect();
                format!(
                    "Failed to resolve \"{handle}.efs.{region}.amazonaws.com\". The file system mount target ip address cannot be found, please pass mount target ip address via mount options. \nNo matching mount target in the az {zone}. Please create one mount target in {zone}, or try the mount target in another AZ by passing the availability zone name option. Available mount target(s) are in az [{}]",
                    zones.join(", ")
                )
            }
        };
        let source = format!("{handle}:/");
        let failed = failed(1, &format!("-t efs -o tls {source} {target}"), &output);
        format!("rpc error: code = Internal desc = Could not mount {source:?} at {target:?}: {failed}")
    }

    fn of_nfs(&self, trouble: Trouble, target: &str) -> String {
        let source = self.handle;
        let output = match trouble {
            Trouble::Denied => format!("mount.nfs: access denied by server while mounting {source}"),
            Trouble::Error => format!("mount.nfs: Connection timed out for {source} on {target}"),
        };
        failed(32, &format!("-t nfs {source} {target}"), &output)
    }
}

/// A command that failed, as the kubelet's library says it.
fn failed(status: u8, arguments: &str, output: &str) -> String {
    format!(
        "mount failed: exit status {status}\nMounting command: mount\nMounting arguments: {arguments}\nOutput: {output}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount<'a>(driver: &'a str, handle: &'a str) -> Mount<'a> {
        Mount {
            driver,
            handle,
            volume: "pv",
            pod: "uid",
            zone: "eu-central-1b",
            region: "eu-central-1",
            block: false,
        }
    }

    #[test]
    fn a_driver_that_stages_fails_for_the_node_and_another_for_the_pod() {
        assert_eq!(mount(EBS, "vol-1").step(), ("FailedMount", "MountVolume.MountDevice failed"));
        assert_eq!(mount(EFS, "fs-1").step(), ("FailedMount", "MountVolume.SetUp failed"));
        let device = Mount { block: true, ..mount(EBS, "vol-1") };
        assert_eq!(device.step(), ("FailedMapVolume", "MapVolume.SetUpDevice failed"));
        let staged = mount(EBS, "vol-1").words(Fault::Trouble(Trouble::Error));
        assert!(staged.contains("/var/lib/kubelet/plugins/kubernetes.io/csi/ebs.csi.aws.com/"), "{staged}");
    }

    /// autoscaling-storage.md §5.10: EFS mounts through the target of the node's zone.
    #[test]
    fn a_zone_without_a_mount_target_is_named_by_the_mount_helper() {
        let zones = [Str::from("eu-central-1a")];
        let said = mount(EFS, "fs-0263715a9518b3f0c").words(Fault::NoTarget(&zones));
        let target = "/var/lib/kubelet/pods/uid/volumes/kubernetes.io~csi/pv/mount";
        let front = format!(
            "rpc error: code = Internal desc = Could not mount \"fs-0263715a9518b3f0c:/\" at \"{target}\": mount failed: exit status 1\n"
        );
        assert!(said.starts_with(&front), "{said}");
        let end = "No matching mount target in the az eu-central-1b. Please create one mount target in eu-central-1b, or try the mount target in another AZ by passing the availability zone name option. Available mount target(s) are in az ['eu-central-1a']";
        assert!(said.ends_with(end), "{said}");
    }

    /// autoscaling-storage.md §5.10: NFS.
    #[test]
    fn a_file_server_that_does_not_answer_times_out() {
        let said = mount(IN_TREE_NFS, "10.0.0.9:/data").words(Fault::Trouble(Trouble::Error));
        assert!(said.starts_with("mount failed: exit status 32\nMounting command: mount\n"), "{said}");
        assert!(
            said.contains("/pods/uid/volumes/kubernetes.io~nfs/pv") && said.contains("timed out"),
            "{said}"
        );
    }
}
