//! NodeResourcesFit: what a Pod requests must be free, and emptier (or fuller) nodes are preferred.
//!
//! Upstream: `pkg/scheduler/framework/plugins/noderesources/{fit,least_allocated,most_allocated,
//! requested_to_capacity_ratio}.go`, v1.34.

use super::node_resources::{CpuAndMemory, Load, Scored};
use crate::api::{Node, Object, Pod};
use crate::base::Str;
use crate::base::text::lit;
use crate::scheduler::framework::args::ScoringStrategy;
use crate::scheduler::framework::resources::{PodResources, is_extended};
use crate::scheduler::framework::{
    ActionType, ClusterEvent, Code, CycleState, EnqueueExtensions, EventResource, Extensions, Filter, Hint,
    MAX_NODE_SCORE, NodeInfo, PodInfo, PreFilter, PreFiltered, PreScore, PreScored, Ready, Reason, Resources,
    Score, Setup, Snapshot, Status, Surely, cause,
};

/// The plugin's name.
pub const NAME: &str = "NodeResourcesFit";

#[derive(Clone, Debug, Default)]
struct Fit {
    ignored: Vec<Str>,
    ignored_groups: Vec<Str>,
    strategy: ScoringStrategy,
    resources: Vec<Scored>,
}

/// Makes the plugin.
///
/// Upstream's PreFilter adds up the Pod's requests; here they are part of [`PodInfo`].
pub fn new(setup: &Setup<'_>) -> Extensions {
    let args = &setup.args.node_resources_fit;
    let plugin = Fit {
        ignored: args.ignored_resources.clone(),
        ignored_groups: args.ignored_resource_groups.clone(),
        strategy: args.strategy.clone(),
        resources: Scored::all(&args.resources),
    };
    Extensions::of(NAME, plugin).pre_filter().filter().pre_score().score().enqueue().local().done()
}

impl Fit {
    fn is_ignored(&self, name: &str) -> bool {
        if self.ignored.is_empty() && self.ignored_groups.is_empty() || !is_extended(name) {
            return false;
        }
        let group = name.split('/').next().unwrap_or(name);
        self.ignored.iter().any(|i| i == name) || self.ignored_groups.iter().any(|g| g == group)
    }

    /// What is missing for a Pod that requests `wanted` where so much is free.
    fn check(&self, wanted: &Resources, pods: i64, used: &Resources, have: &Resources) -> Result<(), Status> {
        let mut missing = Missing::default();
        if pods + 1 > have.pods {
            missing.add(lit!("Too many pods"), cause::TOO_MANY_PODS, false);
        }
        let mut check = |text: Str, cause, wanted: i64, used: i64, have: i64| {
            if lacks(wanted, used, have) {
                missing.add(text, cause, wanted > have);
            }
        };
        check(
            lit!("Insufficient cpu"),
            cause::INSUFFICIENT_CPU,
            wanted.milli_cpu,
            used.milli_cpu,
            have.milli_cpu,
        );
        check(
            lit!("Insufficient memory"),
            cause::INSUFFICIENT_MEMORY,
            wanted.memory,
            used.memory,
            have.memory,
        );
        check(
            lit!("Insufficient ephemeral-storage"),
            cause::INSUFFICIENT_EPHEMERAL_STORAGE,
            wanted.ephemeral_storage,
            used.ephemeral_storage,
            have.ephemeral_storage,
        );
        for (name, amount) in &wanted.scalars {
            let (used, have) = (used.scalar(name), have.scalar(name));
            if *amount != 0 && !self.is_ignored(name) && *amount > have.wrapping_sub(used) {
                let text = format!("Insufficient {name}").into();
                missing.add(text, cause::INSUFFICIENT_RESOURCE, *amount > have);
            }
        }
        missing.status.map_or(Ok(()), Err)
    }
}

/// Whether a node has less left than is wanted.
#[inline]
const fn lacks(wanted: i64, used: i64, have: i64) -> bool {
    wanted > 0 && wanted > have.wrapping_sub(used)
}

/// What is missing so far.
#[derive(Default)]
struct Missing {
    status: Option<Status>,
}

impl Missing {
    #[cold]
    fn add(&mut self, text: Str, cause: &'static str, unresolvable: bool) {
        let status = self.status.get_or_insert_with(|| Status::empty(Code::Unschedulable));
        status.push(Reason::new(text, cause));
        if unresolvable {
            status.code = Code::UnschedulableAndUnresolvable;
        }
    }
}

impl PreFilter for Fit {
    fn pre_filter(&self, _: &Snapshot, _: &mut CycleState, _: &PodInfo) -> Result<PreFiltered, Status> {
        Ok(PreFiltered::AllNodes)
    }
}

impl Filter for Fit {
    fn filter(&self, _: &Snapshot, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
        self.check(&pod.resources.incoming, node.pods().len() as i64, node.requested(), node.allocatable())
    }

    fn surely(&self, _: &CycleState, pod: &PodInfo) -> Option<Surely> {
        let Resources { milli_cpu, memory, ephemeral_storage, pods: _, scalars } =
            pod.resources.incoming.clone();
        scalars.is_empty().then(|| {
            Surely::new(move |node| {
                let (used, have) = (node.requested(), node.allocatable());
                (node.pods().len() as i64) < have.pods
                    && !lacks(milli_cpu, used.milli_cpu, have.milli_cpu)
                    && !lacks(memory, used.memory, have.memory)
                    && !lacks(ephemeral_storage, used.ephemeral_storage, have.ephemeral_storage)
            })
        })
    }
}

/// What the Pod counts for in scores, parallel to the scored resources.
#[derive(Clone, Debug)]
struct Requests(Vec<i64>);

impl PreScore for Fit {
    fn pre_score(
        &self,
        _: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        _: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        state.write(self.requests(pod));
        Ok(PreScored::Score)
    }
}

impl Score for Fit {
    fn score(&self, _: &Snapshot, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<i64, Status> {
        Ok(match state.read() {
            Some(requests) => self.total(requests, node),
            // PreScore is disabled.
            None => self.total(&self.requests(pod), node),
        })
    }

    fn ready(&self, _: &CycleState, pod: &PodInfo) -> Option<Ready> {
        let (own, requests) = (self.clone(), self.requests(pod));
        Some(match (&self.strategy, CpuAndMemory::of(&self.resources, &requests.0)) {
            (ScoringStrategy::LeastAllocated, Some(two)) => {
                Ready::new(move |node| match two.both(node, false) {
                    Some(loads) => mean(loads.into_iter(), least_allocated),
                    None => mean(two.loads(node, false), least_allocated),
                })
            }
            _ => Ready::new(move |node| own.total(&requests, node)),
        })
    }

    fn normalizes(&self) -> bool {
        false
    }
}

impl Fit {
    /// The score of a node for what a Pod counts for of each resource.
    fn total(&self, Requests(requests): &Requests, node: &NodeInfo) -> i64 {
        let loads = Scored::loads(&self.resources, requests, node, false);
        match &self.strategy {
            ScoringStrategy::LeastAllocated => mean(loads, least_allocated),
            ScoringStrategy::MostAllocated => mean(loads, most_allocated),
            ScoringStrategy::RequestedToCapacityRatio(shape) => {
                let (score, weights) = sums(loads, |Load { have, used, .. }| {
                    let percent = if used > have { 100 } else { used.wrapping_mul(100) / have };
                    Some(broken_line(shape, percent)).filter(|score| *score > 0)
                });
                if weights == 0 { 0 } else { libm::round(score as f64 / weights as f64) as i64 }
            }
        }
    }

    fn requests(&self, pod: &PodInfo) -> Requests {
        Requests(self.resources.iter().map(|r| r.request(&pod.resources.score_list)).collect())
    }
}

/// The scores of resources, times their weights, and those weights, added up. `score` is that of one of them; none if it does
/// not count after all.
#[inline]
fn sums(loads: impl Iterator<Item = Load>, score: impl Fn(Load) -> Option<i64>) -> (i64, i64) {
    loads.fold((0i64, 0i64), |(sum, weights), load| match score(load) {
        Some(score) => (sum.wrapping_add(score.wrapping_mul(load.weight)), weights + load.weight),
        None => (sum, weights),
    })
}

#[inline]
fn mean(loads: impl Iterator<Item = Load>, score: impl Fn(Load) -> i64) -> i64 {
    let (sum, weights) = sums(loads, |load| Some(score(load)));
    if weights == 0 { 0 } else { sum / weights }
}

#[inline]
fn least_allocated(Load { have, used, .. }: Load) -> i64 {
    have.wrapping_sub(used).max(0).wrapping_mul(MAX_NODE_SCORE) / have
}

#[inline]
fn most_allocated(Load { have, used, .. }: Load) -> i64 {
    used.min(have).wrapping_mul(MAX_NODE_SCORE) / have
}

/// The value of a broken line at `x`; scores of 0 to 10 are scaled to 0 to 100.
fn broken_line(shape: &[(i64, i64)], x: i64) -> i64 {
    let scaled = |score: i64| score * (MAX_NODE_SCORE / 10);
    let Some(i) = shape.iter().position(|(at, _)| x <= *at) else {
        return shape.last().map_or(0, |(_, score)| scaled(*score));
    };
    let (x1, y1) = (shape[i].0, scaled(shape[i].1));
    let Some((x0, y0)) = i.checked_sub(1).map(|i| (shape[i].0, scaled(shape[i].1))) else { return y1 };
    y0 + (y1 - y0) * (x - x0) / (x1 - x0)
}

impl EnqueueExtensions for Fit {
    fn events(&self) -> Vec<ClusterEvent> {
        vec![
            ClusterEvent::new(EventResource::Pod, ActionType::DELETE | ActionType::UPDATE_POD_SCALE_DOWN),
            ClusterEvent::new(EventResource::Node, ActionType::ADD | ActionType::UPDATE_NODE_ALLOCATABLE),
        ]
    }

    fn hint(
        &self,
        _: &Snapshot,
        _: ClusterEvent,
        pod: &PodInfo,
        old: Option<&Object>,
        new: Option<&Object>,
    ) -> Hint {
        match (old, new) {
            (Some(Object::Pod(deleted)), None) => {
                Hint::queue_if(deleted.node_name.is_some() || deleted.status.nominated_node.is_some())
            }
            (Some(Object::Pod(old)), Some(Object::Pod(new))) => Hint::queue_if(scaled_down(pod, old, new)),
            (old, Some(Object::Node(new))) => {
                let old = match old {
                    Some(Object::Node(old)) => Some(&**old),
                    _ => None,
                };
                Hint::queue_if(helps(pod, old, new))
            }
            _ => Hint::Queue,
        }
    }
}

/// Whether a node that came or changed may hold the Pod now. Only its own size counts, not what is on it.
fn helps(pod: &PodInfo, old: Option<&Node>, new: &Node) -> bool {
    let wanted = &pod.resources.incoming;
    let have = Resources::from_list(&new.status.allocatable);
    if Fit::default().check(wanted, 0, &Resources::default(), &have).is_err() {
        return false;
    }
    let Some(old) = old else { return true };
    let had = Resources::from_list(&old.status.allocatable);
    have.pods > had.pods
        || (wanted.milli_cpu > 0 && have.milli_cpu > had.milli_cpu)
        || (wanted.memory > 0 && have.memory > had.memory)
        || (wanted.ephemeral_storage > 0 && have.ephemeral_storage > had.ephemeral_storage)
        || wanted.scalars.iter().any(|(name, amount)| *amount != 0 && have.scalar(name) > had.scalar(name))
}

/// Whether a resize in place freed something that the Pod requests.
fn scaled_down(pod: &PodInfo, old: &Pod, new: &Pod) -> bool {
    if new.meta.uid == *pod.uid() {
        return true;
    }
    if new.node_name.is_none() {
        return false;
    }
    let wanted = &pod.resources.requests;
    let (had, have) = (PodResources::of(old).requests, PodResources::of(new).requests);
    (wanted.milli_cpu != 0 && had.milli_cpu > have.milli_cpu)
        || (wanted.memory != 0 && had.memory > have.memory)
        || (wanted.ephemeral_storage != 0 && had.ephemeral_storage > have.ephemeral_storage)
        || wanted.scalars.iter().any(|(name, amount)| *amount != 0 && had.scalar(name) > have.scalar(name))
}
