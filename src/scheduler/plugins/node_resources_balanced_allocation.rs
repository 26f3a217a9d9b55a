//! NodeResourcesBalancedAllocation: nodes whose resources are used evenly are preferred.
//!
//! Upstream: `pkg/scheduler/framework/plugins/noderesources/balanced_allocation.go`, v1.34.

use super::node_resources::{CpuAndMemory, Load, Scored};
use crate::scheduler::framework::{
    CycleState, Extensions, MAX_NODE_SCORE, NodeInfo, PodInfo, PreScore, PreScored, Ready, Score, Setup,
    Snapshot, Status,
};

/// The plugin's name.
pub const NAME: &str = "NodeResourcesBalancedAllocation";

#[derive(Debug)]
struct BalancedAllocation {
    resources: Vec<Scored>,
}

/// Makes the plugin.
pub fn new(setup: &Setup<'_>) -> Extensions {
    let resources = Scored::all(&setup.args.node_resources_balanced_allocation.resources);
    Extensions::of(NAME, BalancedAllocation { resources }).pre_score().score().local().done()
}

/// What the Pod requests, parallel to the scored resources.
#[derive(Clone, Debug)]
struct Requests(Vec<i64>);

impl BalancedAllocation {
    /// None for a best-effort Pod, which would gather on one node otherwise.
    fn requests(&self, pod: &PodInfo) -> Option<Requests> {
        let requests: Vec<i64> = self.resources.iter().map(|r| r.request(&pod.resources.list)).collect();
        requests.iter().any(|request| *request != 0).then_some(Requests(requests))
    }

    /// The score of a node once a Pod with these requests is on it.
    fn score_of(&self, Requests(requests): &Requests, node: &NodeInfo) -> i64 {
        balance(|| Scored::loads(&self.resources, requests, node, true))
    }
}

impl PreScore for BalancedAllocation {
    fn pre_score(
        &self,
        _: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        _: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        let Some(requests) = self.requests(pod) else { return Ok(PreScored::Skip) };
        state.write(requests);
        Ok(PreScored::Score)
    }
}

impl Score for BalancedAllocation {
    fn score(&self, _: &Snapshot, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<i64, Status> {
        let requests = match state.read::<Requests>() {
            Some(requests) => return Ok(self.score_of(requests, node)),
            // PreScore is disabled.
            None => self.requests(pod),
        };
        Ok(requests.map_or(0, |requests| self.score_of(&requests, node)))
    }

    fn ready(&self, _: &CycleState, pod: &PodInfo) -> Option<Ready> {
        let (resources, Requests(requests)) = (self.resources.clone(), self.requests(pod)?);
        Some(match CpuAndMemory::of(&resources, &requests) {
            Some(two) => Ready::new(move |node| match two.both(node, true) {
                Some(loads) => balance_of_two(loads.map(fraction)),
                None => balance(|| two.loads(node, true)),
            }),
            None => Ready::new(move |node| balance(|| Scored::loads(&resources, &requests, node, true))),
        })
    }

    fn normalizes(&self) -> bool {
        false
    }
}

/// The score of a node on which resources are used so.
#[inline]
fn balance<I: Iterator<Item = Load>>(loads: impl Fn() -> I) -> i64 {
    score(deviation(|| loads().map(fraction)))
}

/// The same where two resources are.
#[inline]
fn balance_of_two(fractions: [f64; 2]) -> i64 {
    score(deviation_of_two(fractions))
}

#[inline]
fn score(deviation: f64) -> i64 {
    ((1.0 - deviation) * MAX_NODE_SCORE as f64) as i64
}

#[inline]
fn fraction(Load { have, used, .. }: Load) -> f64 {
    (used as f64 / have as f64).min(1.0)
}

/// The standard deviation of two fractions.
#[inline]
fn deviation_of_two([a, b]: [f64; 2]) -> f64 {
    ((a - b) / 2.0).abs()
}

/// The standard deviation of the fractions, in the order of operations that upstream has.
#[inline]
fn deviation<I: Iterator<Item = f64>>(fractions: impl Fn() -> I) -> f64 {
    let (mut n, mut total, mut first) = (0, 0.0, [0.0; 2]);
    for fraction in fractions() {
        if let Some(place) = first.get_mut(n) {
            *place = fraction;
        }
        n += 1;
        total += fraction;
    }
    match n {
        0 | 1 => 0.0,
        2 => deviation_of_two(first),
        _ => {
            let mean = total / n as f64;
            let sum = fractions().fold(0.0, |sum, f| sum + (f - mean) * (f - mean));
            libm::sqrt(sum / n as f64)
        }
    }
}
