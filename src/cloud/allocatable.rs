//! What of a machine Pods may use: capacity less reservations and the eviction thresholds.
//!
//! Upstream: `pkg/kubelet/cm/node_container_manager_linux.go`, v1.34; reservations of EKS as its
//! machine images compute them (`nodeadm`, Karpenter `pkg/providers/instancetype/types.go`).

use super::catalogue::InstanceType;
use crate::api::ResourceList;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::base::{Quantity, Str};

const KI: i64 = 1 << 10;
const MI: i64 = 1 << 20;
const GI: i64 = 1 << 30;

/// What is taken off the capacity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reservations {
    /// kube-reserved and system-reserved together.
    pub reserved: ResourceList,
    /// `memory.available` of the hard eviction thresholds, in bytes.
    pub eviction_memory: i64,
    /// `nodefs.available` of the hard eviction thresholds, in bytes.
    pub eviction_storage: i64,
}

/// Capacity less reservations, at least zero. `pods` and extended resources are not reduced.
pub fn allocatable(capacity: &ResourceList, taken: &Reservations) -> ResourceList {
    let reduced = |name: &Str, have: &Quantity| {
        let eviction = match name.as_str() {
            MEMORY => taken.eviction_memory,
            EPHEMERAL_STORAGE => taken.eviction_storage,
            _ => 0,
        };
        let reserved = taken.reserved.get(name).unwrap_or(Quantity::ZERO);
        let left = have.minus(reserved).minus(Quantity::from_bytes(eviction));
        if left.is_negative() { Quantity::ZERO.with_format(have.format()) } else { left }
    };
    capacity.0.iter().map(|(name, have)| (name.clone(), reduced(name, have))).collect()
}

/// The capacity that a kubelet on this type reports: 7.5 % of memory stays with the hypervisor and the
/// kernel (64 MiB more on Graviton), and the root disk has 20 GiB.
pub fn capacity(instance: &InstanceType) -> ResourceList {
    let advertised = i64::from(instance.memory_mib) * MI - if instance.arm { 64 * MI } else { 0 };
    let memory = advertised * 925 / 1000 / KI * KI;
    let mut list: ResourceList = [
        (CPU, Quantity::from_units(i64::from(instance.vcpu))),
        (MEMORY, Quantity::from_bytes(memory)),
        (EPHEMERAL_STORAGE, Quantity::from_bytes(20 * GI)),
        (PODS, Quantity::from_units(i64::from(instance.pods))),
    ]
    .into_iter()
    .collect();
    if instance.gpus > 0 {
        list.0.insert("nvidia.com/gpu".into(), Quantity::from_units(i64::from(instance.gpus)));
    }
    list
}

/// kube-reserved of an EKS node: CPU 6 % of the first core, 1 % of the second, 0.5 % of the next two,
/// 0.25 % of the rest; memory 255 MiB and 11 MiB per Pod; 1 GiB of disk.
pub fn eks_kube_reserved(vcpu: u32, pods: u32) -> ResourceList {
    let cores = i64::from(vcpu);
    // In quarters of a millicore, so that no float is needed.
    let quarters = 240 * cores.clamp(0, 1)
        + 40 * (cores - 1).clamp(0, 1)
        + 20 * (cores - 2).clamp(0, 2)
        + 10 * (cores - 4).max(0);
    [
        (CPU, Quantity::from_milli(quarters / 4)),
        (MEMORY, Quantity::from_bytes((255 + 11 * i64::from(pods)) * MI)),
        (EPHEMERAL_STORAGE, Quantity::from_bytes(GI)),
    ]
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::catalogue::find;

    /// §7.11, §13.38.
    #[test]
    fn instance_types_have_the_published_allocatable() {
        for (name, cpu, memory_mi) in [
            ("t3.micro", 1930, 548),
            ("t3.small", 1930, 1418),
            ("t3.medium", 1930, 3246),
            ("t3.large", 1930, 6837),
            ("t3.xlarge", 3920, 14162),
            ("m5.large", 1930, 6903),
            ("m6i.xlarge", 3920, 14162),
            ("m5.2xlarge", 7910, 29317),
            ("m5.4xlarge", 15890, 57691),
            ("m6i.8xlarge", 31850, 118_312),
            ("m5.24xlarge", 95690, 355_262),
            ("m6g.large", 1930, 6844),
            ("m7i.large", 1930, 6903),
            ("m7g.xlarge", 3920, 14103),
            ("c6i.large", 1930, 3114),
            ("c5.xlarge", 3920, 6584),
            ("c6i.4xlarge", 15890, 27381),
            ("r5.large", 1930, 14481),
            ("r5.xlarge", 3920, 29317),
            ("g4dn.xlarge", 3920, 14481),
            ("g5.2xlarge", 7910, 29317),
            ("p4d.24xlarge", 95690, 1_082_712),
            ("p5.48xlarge", 191_450, 1_938_410),
        ] {
            let instance = find(name).unwrap();
            let taken = Reservations {
                reserved: eks_kube_reserved(instance.vcpu, instance.pods),
                eviction_memory: 100 * MI,
                eviction_storage: 2 * GI,
            };
            let left = allocatable(&capacity(instance), &taken);
            assert_eq!((left.cpu_milli(), left.memory() / MI), (cpu, memory_mi), "{name}");
            assert_eq!(left.get(EPHEMERAL_STORAGE), Some(Quantity::from_bytes(17 * GI)), "{name}");
        }
    }

    #[test]
    fn nothing_goes_below_zero_and_pods_stay() {
        let capacity: ResourceList =
            [(CPU, Quantity::from_milli(50)), (PODS, Quantity::from_units(5))].into_iter().collect();
        let taken = Reservations { reserved: eks_kube_reserved(2, 29), ..Reservations::default() };
        let left = allocatable(&capacity, &taken);
        assert_eq!((left.cpu_milli(), left.get(PODS).unwrap().value()), (0, 5));
    }
}
