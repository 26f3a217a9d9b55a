//! Instance types: a snapshot of common EC2 types. Data, not code.
//!
//! Sources: Karpenter AWS provider (prices of us-east-1 Linux on demand, list of 2026-01-19; ENI limits), amazon-vpc-cni-k8s
//! `misc/eni-max-pods.txt` (Pods), aws-ebs-csi-driver v1.53 `pkg/cloud/volume_limits_table.go` (volumes).

use crate::base::diag::did_you_mean;

/// The CSI driver of EBS.
pub use crate::params::drivers::EBS as EBS_DRIVER;

/// How many volumes can be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachLimit {
    /// Shared with network interfaces.
    Shared(i32),
    /// For volumes alone.
    Dedicated(i32),
}

/// A machine type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// `m6i.large`.
    pub name: &'static str,
    /// CPUs.
    pub vcpu: u32,
    /// Memory in MiB as advertised.
    pub memory_mib: u32,
    /// Pods that get an address (secondary-IP mode of the VPC CNI).
    pub pods: u32,
    /// `arm64` rather than `amd64`.
    pub arm: bool,
    /// GPUs (`nvidia.com/gpu`).
    pub gpus: u32,
    /// Volumes that can be attached.
    pub attach_limit: AttachLimit,
    /// Price in hundred-thousandths of a dollar per hour.
    pub price: u32,
}

const fn amd(name: &'static str, vcpu: u32, gib: u32, pods: u32, price: u32) -> InstanceType {
    let attach_limit = AttachLimit::Shared(27);
    InstanceType { name, vcpu, memory_mib: gib * 1024, pods, arm: false, gpus: 0, attach_limit, price }
}

const fn arm(name: &'static str, vcpu: u32, gib: u32, pods: u32, price: u32) -> InstanceType {
    InstanceType { arm: true, ..amd(name, vcpu, gib, pods, price) }
}

const fn limited(base: InstanceType, attach_limit: AttachLimit) -> InstanceType {
    InstanceType { attach_limit, ..base }
}

/// Types before Nitro attach 39 disks, whatever their interfaces.
const fn before_nitro(base: InstanceType) -> InstanceType {
    limited(base, AttachLimit::Dedicated(39))
}

const fn gpu(base: InstanceType, gpus: u32, attach_limit: AttachLimit) -> InstanceType {
    InstanceType { gpus, attach_limit, ..base }
}

/// The catalogue, by family and size.
pub const INSTANCE_TYPES: &[InstanceType] = &[
    before_nitro(amd("t2.medium", 2, 4, 17, 4_640)),
    before_nitro(amd("t2.large", 2, 8, 35, 9_280)),
    amd("t3.micro", 2, 1, 4, 1_040),
    amd("t3.small", 2, 2, 11, 2_080),
    amd("t3.medium", 2, 4, 17, 4_160),
    amd("t3.large", 2, 8, 35, 8_320),
    amd("t3.xlarge", 4, 16, 58, 16_640),
    before_nitro(amd("m4.large", 2, 8, 20, 10_000)),
    before_nitro(amd("m4.xlarge", 4, 16, 58, 20_000)),
    amd("m5.large", 2, 8, 29, 9_600),
    amd("m5.xlarge", 4, 16, 58, 19_200),
    amd("m5.2xlarge", 8, 32, 58, 38_400),
    amd("m5.4xlarge", 16, 64, 234, 76_800),
    amd("m5.24xlarge", 96, 384, 737, 460_800),
    limited(amd("m5.metal", 96, 384, 737, 460_800), AttachLimit::Shared(31)),
    limited(amd("m5d.large", 2, 8, 29, 11_300), AttachLimit::Shared(26)),
    limited(amd("m5d.4xlarge", 16, 64, 234, 90_400), AttachLimit::Shared(25)),
    limited(amd("m5d.16xlarge", 64, 256, 737, 361_600), AttachLimit::Shared(23)),
    amd("m6i.large", 2, 8, 29, 9_600),
    amd("m6i.xlarge", 4, 16, 58, 19_200),
    amd("m6i.2xlarge", 8, 32, 58, 38_400),
    amd("m6i.4xlarge", 16, 64, 234, 76_800),
    amd("m6i.8xlarge", 32, 128, 234, 153_600),
    arm("m6g.large", 2, 8, 29, 7_700),
    limited(amd("m7i.large", 2, 8, 29, 10_080), AttachLimit::Dedicated(32)),
    limited(amd("m7i.xlarge", 4, 16, 58, 20_160), AttachLimit::Dedicated(32)),
    limited(amd("m7i.4xlarge", 16, 64, 234, 80_640), AttachLimit::Dedicated(32)),
    limited(amd("m7i.16xlarge", 64, 256, 737, 322_560), AttachLimit::Dedicated(48)),
    limited(amd("m7i.24xlarge", 96, 384, 737, 483_840), AttachLimit::Dedicated(64)),
    limited(amd("m7i.48xlarge", 192, 768, 737, 967_680), AttachLimit::Dedicated(128)),
    arm("m7g.xlarge", 4, 16, 58, 16_320),
    limited(arm("m7g.metal", 64, 256, 737, 261_120), AttachLimit::Shared(31)),
    limited(arm("m8g.large", 2, 8, 29, 8_976), AttachLimit::Dedicated(32)),
    limited(arm("m8g.xlarge", 4, 16, 58, 17_952), AttachLimit::Dedicated(32)),
    before_nitro(amd("c4.large", 2, 4, 29, 10_000)),
    amd("c5.large", 2, 4, 29, 8_500),
    amd("c5.xlarge", 4, 8, 58, 17_000),
    amd("c6i.large", 2, 4, 29, 8_500),
    amd("c6i.xlarge", 4, 8, 58, 17_000),
    amd("c6i.4xlarge", 16, 32, 234, 68_000),
    limited(amd("c7i.large", 2, 4, 29, 8_925), AttachLimit::Dedicated(32)),
    amd("r5.large", 2, 16, 29, 12_600),
    amd("r5.xlarge", 4, 32, 58, 25_200),
    amd("r6i.large", 2, 16, 29, 12_600),
    limited(amd("r7i.large", 2, 16, 29, 13_230), AttachLimit::Dedicated(32)),
    InstanceType { memory_mib: 15_616, ..before_nitro(amd("i3.large", 2, 15, 29, 15_600)) },
    gpu(amd("g4dn.xlarge", 4, 16, 29, 52_600), 1, AttachLimit::Shared(25)),
    gpu(amd("g5.xlarge", 4, 16, 58, 100_600), 1, AttachLimit::Shared(25)),
    gpu(amd("g5.2xlarge", 8, 32, 58, 121_200), 1, AttachLimit::Shared(25)),
    gpu(amd("p4d.24xlarge", 96, 1152, 737, 2_196_000), 8, AttachLimit::Dedicated(28)),
    gpu(amd("p5.48xlarge", 192, 2048, 100, 5_504_000), 8, AttachLimit::Dedicated(64)),
];

/// The type called `name`.
///
/// # Errors
/// The name that was probably meant, if one is near.
pub fn find(name: &str) -> Result<&'static InstanceType, Option<&'static str>> {
    INSTANCE_TYPES
        .iter()
        .find(|t| t.name == name)
        .ok_or_else(|| did_you_mean(name, INSTANCE_TYPES.iter().map(|t| t.name)))
}

impl InstanceType {
    /// The count that the EBS driver reports in the CSINode: the limit less the root disk and, if it
    /// is shared, less one interface that the VPC CNI keeps warm; at least 1.
    ///
    /// Upstream: aws-ebs-csi-driver v1.53 `pkg/driver/node.go` `getVolumesLimit`.
    pub fn volumes(&self) -> i32 {
        match self.attach_limit {
            AttachLimit::Shared(limit) => (limit - 2).max(1),
            AttachLimit::Dedicated(limit) => (limit - 1).max(1),
        }
    }

    /// `amd64` or `arm64`.
    pub const fn arch(&self) -> &'static str {
        if self.arm { "arm64" } else { "amd64" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_by_name_and_near_names_suggested() {
        assert_eq!(find("m6i.large").map(|t| t.vcpu), Ok(2));
        assert_eq!(find("m6i.lage"), Err(Some("m6i.large")));
        assert_eq!(find("quantum.huge"), Err(None));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = INSTANCE_TYPES.iter().map(|t| t.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), INSTANCE_TYPES.len());
    }

    /// autoscaling-storage.md §5.6: the attach limit by family, for one root disk and two interfaces.
    #[test]
    fn attach_limits_are_those_the_driver_reports() {
        for (names, count) in [
            (&["c4.large", "i3.large", "m4.large", "t2.medium"][..], 38),
            (&["m5.large", "m6i.large", "t3.large", "m7g.xlarge"], 25),
            (&["m5d.large"], 24),
            (&["m5d.4xlarge"], 23),
            (&["m5d.16xlarge"], 21),
            (&["m5.metal", "m7g.metal"], 29),
            (&["m7i.large", "m7i.4xlarge", "r7i.large", "m8g.large", "c7i.large"], 31),
            (&["m7i.16xlarge"], 47),
            (&["m7i.24xlarge"], 63),
            (&["m7i.48xlarge"], 127),
        ] {
            for name in names {
                assert_eq!(find(name).unwrap().volumes(), count, "{name}");
            }
        }
        let tiny = limited(*find("m5.large").unwrap(), AttachLimit::Shared(1));
        assert_eq!(tiny.volumes(), 1, "none would mean no limit");
    }
}
