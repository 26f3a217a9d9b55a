//! Policies that choose a node and its devices.

use std::fmt;

use super::fragmentation::Typical;
use super::machine::{DEVICE, Demand, Kind, Machine};
use crate::scheduler::framework::MAX_NODE_SCORE;

/// CPU of the largest machine, in thousandths, by which amounts are made comparable.
const LARGEST_CPU: f64 = 128_000.0;
/// Devices of the largest machine, in thousandths.
const LARGEST_GPU: i64 = 8 * DEVICE;

/// How a node is chosen among those a Pod fits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// Any node, and any device.
    Random,
    /// The node whose remaining resources have the smallest scalar product with the Pod's.
    DotProd,
    /// Nodes on which devices are used in the same way.
    GpuClustering,
    /// Devices that are shared already before free ones, free ones of used nodes before idle nodes.
    GpuPacking,
    /// The node with the least left after it.
    BestFit,
    /// The node and device by which the amount of fragmentation grows least.
    Fgd,
}

impl Policy {
    /// All of them, in the order of the paper.
    pub const ALL: [Self; 6] =
        [Self::Random, Self::DotProd, Self::GpuClustering, Self::GpuPacking, Self::BestFit, Self::Fgd];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Random => "Random",
            Self::DotProd => "DotProd",
            Self::GpuClustering => "GpuClustering",
            Self::GpuPacking => "GpuPacking",
            Self::BestFit => "BestFit",
            Self::Fgd => "FGD",
        }
    }

    /// The policy of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }

    /// The score of a node that the Pod fits on, 0 to 100. Scores are coarse, so that many nodes have the same one.
    pub fn score(self, node: &Machine, demand: &Demand, typical: &Typical) -> i64 {
        match self {
            Self::Random => 0,
            Self::DotProd => dot_product(node, demand),
            Self::GpuClustering => clustering(node, demand),
            Self::GpuPacking => packing(node, demand),
            Self::BestFit => best_fit(node, demand),
            Self::Fgd => descent(node, demand, typical).0,
        }
    }

    /// The devices of a node that the Pod fits on which it gets. `draw` gives a uniform number below its argument.
    pub fn devices(
        self,
        node: &Machine,
        demand: &Demand,
        typical: &Typical,
        draw: &mut dyn FnMut(u64) -> u64,
    ) -> Vec<usize> {
        match demand.kind() {
            None => Vec::new(),
            Some(Kind::Whole(_)) => node.first_free(demand),
            Some(Kind::Share) => match self {
                Self::Random => any_device(node, demand, draw),
                Self::DotProd | Self::GpuClustering | Self::GpuPacking | Self::BestFit => {
                    node.tightest(demand)
                }
                Self::Fgd => descent(node, demand, typical).1,
            },
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part of the highest score, the fraction cut off.
// upstream: float64
fn cut(part: f64) -> i64 {
    (part * MAX_NODE_SCORE as f64) as i64
}

/// Upstream: `dot_product_score.go`, devices merged into one amount, by the largest machine.
fn dot_product(node: &Machine, demand: &Demand) -> i64 {
    let gpu = LARGEST_GPU as f64;
    let cpu = (node.milli_cpu as f64 / LARGEST_CPU) * (demand.milli_cpu as f64 / LARGEST_CPU);
    let gpu = (node.idle() as f64 / gpu) * (demand.total() as f64 / gpu);
    cut(1.0 - (cpu + gpu) / 2.0)
}

/// Upstream: `gpu_clustering_score.go`.
fn clustering(node: &Machine, demand: &Demand) -> i64 {
    let Some(kind) = demand.kind() else { return 0 };
    let quarter = MAX_NODE_SCORE / 4;
    let same = node.kinds.iter().any(|(known, _)| *known == kind);
    let rank = match (same, node.kinds.len()) {
        (true, 1) => 3,
        (true, _) => 2,
        (false, 0) => 1,
        (false, _) => 0,
    };
    quarter * (LARGEST_GPU - node.idle()) / LARGEST_GPU + quarter * rank
}

/// Upstream: `gpu_packing_score.go`.
fn packing(node: &Machine, demand: &Demand) -> i64 {
    if demand.kind().is_none() {
        return 0;
    }
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let free = node.free();
    if free == node.left.len() {
        return (MAX_NODE_SCORE / 3 - number(free)).max(number(free));
    }
    let taken = node.tightest(demand);
    let fresh = taken.iter().filter(|device| node.left[**device] == DEVICE).count();
    if fresh > 0 {
        return (MAX_NODE_SCORE / 2 - number(fresh)).max(MAX_NODE_SCORE / 3);
    }
    let left: i64 = taken.iter().map(|device| node.left[*device] * 100 / DEVICE).sum();
    (MAX_NODE_SCORE - left / 10).max(MAX_NODE_SCORE / 2)
}

/// Upstream: `best_fit_score.go`, CPU and devices with equal weight.
fn best_fit(node: &Machine, demand: &Demand) -> i64 {
    let cpu = (node.milli_cpu - demand.milli_cpu) as f64 / LARGEST_CPU * 0.5;
    let gpu = (node.idle() - demand.total()) as f64 / LARGEST_GPU as f64 * 0.5;
    cut(1.0 - (cpu + gpu))
}

/// How much less fragmented the node is with the Pod on it, and on which devices: of those of the same score the first.
///
/// Upstream: `fgd_score.go`.
fn descent(node: &Machine, demand: &Demand, typical: &Typical) -> (i64, Vec<usize>) {
    let before = typical.fragment(node);
    let with = |devices: &[usize]| {
        let mut node = node.clone();
        node.put(demand, devices);
        // upstream: float64
        cut(1.0 / (1.0 + libm::exp(-(before - typical.fragment(&node)) / DEVICE as f64)))
    };
    if demand.kind() != Some(Kind::Share) {
        let devices = node.first_free(demand);
        return (with(&devices), devices);
    }
    let fitting = (0..node.left.len()).filter(|device| node.left[*device] >= demand.milli_gpu);
    let mut best: Option<(i64, usize)> = None;
    for device in fitting {
        // Devices with the same left are alike.
        let seen = node.left[..device].contains(&node.left[device]);
        if !seen {
            let score = with(&[device]);
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, device));
            }
        }
    }
    best.map_or((0, Vec::new()), |(score, device)| (score, vec![device]))
}

/// Any device that the Pod fits into.
fn any_device(node: &Machine, demand: &Demand, draw: &mut dyn FnMut(u64) -> u64) -> Vec<usize> {
    let fitting: Vec<usize> =
        (0..node.left.len()).filter(|device| node.left[*device] >= demand.milli_gpu).collect();
    let Ok(chosen) = usize::try_from(draw(fitting.len().max(1) as u64)) else { return Vec::new() };
    fitting.get(chosen).copied().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::{demand, machine};
    use super::*;

    fn score(policy: Policy, node: &Machine, pod: &Demand) -> i64 {
        policy.score(node, pod, &Typical::default())
    }

    #[test]
    fn names_are_those_of_the_paper() {
        assert_eq!(Policy::ALL.map(|policy| Policy::parse(policy.as_str())), Policy::ALL.map(Some));
        assert_eq!(Policy::parse("fgd"), None);
    }

    #[test]
    fn packing_takes_shared_devices_first_and_idle_nodes_last() {
        for (left, pod, expected) in [
            (&[200, 1000, 1000, 500][..], demand(100, 2, 1000), 48),
            (&[1000; 4][..], demand(100, 2, 1000), 29),
            (&[1000; 8][..], demand(100, 2, 1000), 25),
            (&[200, 1000, 1000, 500][..], demand(100, 2, 200), 93),
            (&[200, 1000, 1000, 500][..], demand(100, 1, 300), 95),
            (&[200, 1000][..], demand(100, 0, 0), 0),
        ] {
            assert_eq!(score(Policy::GpuPacking, &machine(1000, left), &pod), expected, "{left:?} {pod:?}");
        }
    }

    #[test]
    fn clustering_keeps_kinds_of_pods_together() {
        let pod = demand(100, 1, 500);
        let with = |kinds: &[(Kind, usize)]| Machine { kinds: kinds.to_vec(), ..machine(1000, &[1000; 4]) };
        for (kinds, expected) in [
            (&[(Kind::Share, 3)][..], 75 + 12),
            (&[(Kind::Share, 1), (Kind::Whole(1), 1)][..], 50 + 12),
            (&[][..], 25 + 12),
            (&[(Kind::Whole(1), 1)][..], 12),
        ] {
            assert_eq!(score(Policy::GpuClustering, &with(kinds), &pod), expected, "{kinds:?}");
        }
        assert_eq!(score(Policy::GpuClustering, &with(&[]), &demand(100, 0, 0)), 0);
    }

    #[test]
    fn best_fit_and_dot_product_are_worked_out_by_hand() {
        let node = machine(64_000, &[1000, 1000]);
        let pod = demand(32_000, 1, 1000);
        // (32 of 128 cores + 1 of 8 devices) ÷ 2 remain: 18.75 %.
        assert_eq!(score(Policy::BestFit, &node, &pod), 81);
        // (0.5 × 0.25 + 0.25 × 0.125) ÷ 2 = 7.8 %.
        assert_eq!(score(Policy::DotProd, &node, &pod), 92);
    }

    #[test]
    fn descent_prefers_the_device_whose_rest_is_of_use() {
        let typical = Typical { kinds: vec![(demand(1000, 1, 500), 1.0)] };
        let node = machine(16_000, &[1000, 500]);
        // On the first device 500 are left, which is of use: nothing changes. On the second nothing is left either: of equal ones the first.
        let pod = demand(1000, 1, 500);
        assert_eq!(Policy::Fgd.score(&node, &pod, &typical), 50);
        // 400 leave 600 (of use) on the first, 100 (of none) on the second.
        let pod = demand(1000, 1, 400);
        let mut none = |_| 0;
        assert_eq!(Policy::Fgd.devices(&node, &pod, &typical, &mut none), [0]);
        // 600 leave 400 of no use on the first: (0 − 400) ÷ 1000.
        let pod = demand(1000, 1, 600);
        assert_eq!(Policy::Fgd.score(&node, &pod, &typical), 40);
        // A Pod that takes the last CPU makes all of it useless: 1500.
        let pod = demand(15_500, 0, 0);
        assert_eq!(Policy::Fgd.score(&node, &pod, &typical), 18);
    }

    #[test]
    fn whole_devices_are_the_first_free_ones_and_random_shares_any() {
        let node = machine(16_000, &[300, 1000, 800, 1000]);
        let mut last = |bound: u64| bound - 1;
        let typical = Typical::default();
        for policy in Policy::ALL {
            assert_eq!(policy.devices(&node, &demand(1, 2, 1000), &typical, &mut last), [1, 3], "{policy}");
            assert!(policy.devices(&node, &demand(1, 0, 0), &typical, &mut last).is_empty(), "{policy}");
        }
        assert_eq!(Policy::Random.devices(&node, &demand(1, 1, 500), &typical, &mut last), [3]);
        assert_eq!(Policy::BestFit.devices(&node, &demand(1, 1, 500), &typical, &mut last), [2]);
    }
}
