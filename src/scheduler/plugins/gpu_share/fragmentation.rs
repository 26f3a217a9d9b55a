//! Fragmentation: how much of a node's idle GPUs is of no use to Pods as they usually are.
//!
//! For one kind of Pod all of it counts if the Pod does not fit (for want of CPU, of devices, or of the model) or uses no
//! device; else what is left of those devices that have less than it asks of one. Over all usual kinds of Pods these
//! amounts are weighed by how often the kind comes.

use std::collections::BTreeMap;

use super::machine::{Demand, Machine};

/// The part of all Pods, in percent, that the usual kinds cover.
pub const POPULARITY: f64 = 95.0;

/// What Pods are usually like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Typical {
    /// Kinds of Pods with how often they come; all together 1.
    pub kinds: Vec<(Demand, f64)>,
}

impl Typical {
    /// The most frequent kinds among these Pods, until they are so many percent of all of them. Of equally frequent kinds the
    /// larger one comes first.
    pub fn of<'a>(pods: impl IntoIterator<Item = &'a Demand>, popularity: f64) -> Self {
        let mut counts: BTreeMap<&Demand, f64> = BTreeMap::new();
        let mut total = 0.0;
        for pod in pods {
            *counts.entry(pod).or_default() += 1.0;
            total += 1.0;
        }
        let mut sorted: Vec<(&Demand, f64)> = counts.into_iter().collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(a.0)));
        let mut covered = 0.0;
        let mut kinds = Vec::new();
        for (demand, count) in sorted {
            if covered >= popularity * total / 100.0 {
                break;
            }
            covered += count;
            kinds.push((demand.clone(), count));
        }
        for (_, count) in &mut kinds {
            *count /= covered;
        }
        Self { kinds }
    }

    /// How much of the node's idle devices is of no use, in thousandths of a device.
    pub fn fragment(&self, node: &Machine) -> f64 {
        let idle = node.idle();
        if idle == 0 {
            return 0.0;
        }
        self.kinds.iter().map(|(demand, often)| often * of_no_use(node, demand, idle) as f64).sum()
    }
}

/// How much of what is idle is of no use to one kind of Pod.
fn of_no_use(node: &Machine, demand: &Demand, idle: i64) -> i64 {
    let fits = demand.kind().is_some() && node.fits(demand);
    if !fits {
        return idle;
    }
    node.left.iter().filter(|left| **left < demand.milli_gpu).sum()
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::{demand, machine};
    use super::*;

    #[test]
    fn usual_kinds_are_the_most_frequent_ones() {
        let (a, b, c) = (demand(4000, 1, 500), demand(2000, 0, 0), demand(8000, 8, 1000));
        let pods: Vec<&Demand> = [&a; 6].into_iter().chain([&b; 3]).chain([&c]).collect();
        let whole = Typical::of(pods.iter().copied(), 95.0);
        assert_eq!(whole.kinds, [(a.clone(), 0.6), (b.clone(), 0.3), (c.clone(), 0.1)]);
        let most = Typical::of(pods.iter().copied(), 90.0);
        assert_eq!(most.kinds, [(a, 6.0 / 9.0), (b, 3.0 / 9.0)]);
    }

    #[test]
    fn the_amount_is_worked_out_by_hand() {
        let typical = Typical {
            kinds: vec![(demand(4000, 1, 500), 0.5), (demand(2000, 0, 0), 0.2), (demand(8000, 2, 1000), 0.3)],
        };
        for (cpu, left, expected) in [
            // Half a device: 300 is too little, so of no use. No device: all 2300. Two whole ones: both fit, 300 is left over.
            (16_000, &[300, 1000, 1000][..], 0.5 * 300.0 + 0.2 * 2300.0 + 0.3 * 300.0),
            // Only one is free: all is lost to the third kind.
            (16_000, &[300, 700, 1000][..], 0.5 * 300.0 + 0.2 * 2000.0 + 0.3 * 2000.0),
            // Not enough CPU for anybody but the second kind, which uses no device.
            (2000, &[1000, 1000][..], 2000.0),
            (16_000, &[0, 0][..], 0.0),
        ] {
            let found = typical.fragment(&machine(cpu, left));
            assert!((found - expected).abs() < 1e-9, "{cpu} {left:?}: {found}, not {expected}");
        }
        let elsewhere = Demand { models: vec!["T4".into()], ..demand(1000, 1, 500) };
        let typical = Typical { kinds: vec![(elsewhere, 1.0)] };
        assert!((typical.fragment(&machine(16_000, &[1000])) - 1000.0).abs() < 1e-9);
    }
}
