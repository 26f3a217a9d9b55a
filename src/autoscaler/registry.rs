//! What the autoscaler knows of its groups: how many nodes are well, which are coming, what failed.
//!
//! Upstream: `cluster-autoscaler/clusterstate/clusterstate.go`, 1.34.
//!
//! # Fidelity
//! A machine counts as unregistered from the loop after its request. Nodes that are there at the start count as started
//! long ago. A group's target and its machines never disagree for long, so that `fixNodeGroupSize` has nothing to do.

use std::collections::BTreeMap;

use super::backoff::Backoffs;
use super::taints;
use crate::api::Node;
use crate::base::text::lit;
use crate::base::{SimDuration, SimTime, Str};
use crate::cloud::fleet::{Fleet, GroupFleet, GroupId, Instance};
use crate::params::settings::ClusterAutoscaler as Flags;
use crate::store::Store;

/// A node may take so long from its registration to its first Ready (`MaxNodeStartupTime`).
const STARTUP_MAX: SimDuration = SimDuration::from_mins(15);
/// What the AWS provider says of a machine that cannot be had: class and code, and its message.
const OUT_OF_RESOURCE: &str = "OutOfResource.placeholder-cannot-be-fulfilled";
const CANNOT_PROVISION: &str = "AWS cannot provision any more instances for this node group";

/// How the nodes of a group, or of the cluster, are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Nodes that are ready.
    pub ready: u32,
    /// Nodes that were ready once and are not.
    pub unready: u32,
    /// Nodes that registered and have not become ready yet.
    pub not_started: Vec<Str>,
    /// Nodes whose machine is gone.
    pub deleted: u32,
    /// All Nodes.
    pub registered: u32,
    /// Machines without a Node.
    pub unregistered: u32,
    /// Machines without a Node for too long.
    pub long_unregistered: Vec<Str>,
}

impl Readiness {
    fn add(&mut self, node: &Node, state: NodeState) {
        self.registered += 1;
        match state {
            NodeState::Deleted => self.deleted += 1,
            NodeState::Ready => self.ready += 1,
            NodeState::NotStarted => self.not_started.push(node.meta.name.clone()),
            NodeState::Unready => self.unready += 1,
        }
    }
}

#[derive(Clone, Copy)]
enum NodeState {
    Deleted,
    Ready,
    NotStarted,
    Unready,
}

/// Nodes that a group was asked for.
#[derive(Clone, Copy, Debug)]
struct Request {
    increase: u32,
    at: SimTime,
}

/// What the autoscaler knows of its groups.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    groups: BTreeMap<GroupId, Readiness>,
    total: Readiness,
    requests: BTreeMap<GroupId, Request>,
    /// Groups that failed.
    pub backoffs: Backoffs,
}

/// Something to be said of the whole: reason and message of a Warning.
pub type Remark = (Str, String);

/// Since when a machine counts as unregistered: the first loop that can see it.
pub fn unregistered_since(flags: &Flags, instance: &Instance) -> SimTime {
    instance.requested + flags.scan_interval
}

impl Registry {
    /// Looks at nodes and machines. What there is to say of it.
    pub fn update(&mut self, store: &Store, fleet: &Fleet, flags: &Flags) -> Vec<Remark> {
        let now = store.now();
        self.read(store, fleet, flags);
        self.backoffs.forget_stale(flags, now);
        let mut remarks = self.end_requests(fleet, flags, now);
        remarks.extend(self.read_failures(fleet, flags, now));
        remarks
    }

    fn read(&mut self, store: &Store, fleet: &Fleet, flags: &Flags) {
        let now = store.now();
        let mut groups: BTreeMap<GroupId, Readiness> = BTreeMap::new();
        let mut total = Readiness::default();
        for node in store.list::<Node>() {
            let group = managed(fleet, &node.meta.name);
            let state = state_of((store, fleet, flags), node, group.is_some());
            total.add(node, state);
            if let Some(group) = group {
                groups.entry(group).or_default().add(node, state);
            }
        }
        for (id, group) in fleet.groups().filter(|(_, group)| group.group.bounds.is_some()) {
            let missing = group.instances.iter().filter(|(name, i)| {
                i.failed.is_none_or(|seen| now < seen) && store.find::<Node>("", name).is_none()
            });
            let readiness = groups.entry(id).or_default();
            for (name, instance) in missing {
                if unregistered_since(flags, instance) + flags.max_node_provision_time < now {
                    readiness.long_unregistered.push(name.clone());
                    total.long_unregistered.push(name.clone());
                } else {
                    readiness.unregistered += 1;
                    total.unregistered += 1;
                }
            }
        }
        (self.groups, self.total) = (groups, total);
    }

    /// Requests that were answered, or were not in time.
    fn end_requests(&mut self, fleet: &Fleet, flags: &Flags, now: SimTime) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for (id, request) in self.requests.clone() {
            let group = fleet.group(id);
            if !self.is_coming(id, group) {
                self.requests.remove(&id);
            } else if request.at + flags.max_node_provision_time < now {
                self.requests.remove(&id);
                let (name, after) = (&group.group.name, now.since(request.at));
                let message = format!("Scale-up timed out for node group {name} after {after}");
                self.backoffs.fail(flags, id, now, (lit!("timeout"), message.into()));
                let text = format!("Nodes added to group {name} failed to register within {after}");
                remarks.push((lit!("ScaleUpTimedOut"), text));
            }
        }
        remarks
    }

    /// Machines that the cloud says it cannot give.
    fn read_failures(&mut self, fleet: &Fleet, flags: &Flags, now: SimTime) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for (id, group) in fleet.groups().filter(|(_, group)| group.group.bounds.is_some()) {
            let failed =
                group.instances.values().filter(|i| i.failed.is_some_and(|seen| seen <= now)).count();
            let failed = u32::try_from(failed).unwrap_or(u32::MAX);
            if failed == 0 || !self.is_scaling_up(id, group) {
                continue;
            }
            let name = &group.group.name;
            let text = format!(
                "Failed adding {failed} nodes to group {name} due to {OUT_OF_RESOURCE}; source errors: {CANNOT_PROVISION}"
            );
            remarks.push((lit!("ScaleUpFailed"), text));
            if let Some(request) = self.requests.get_mut(&id) {
                request.increase = request.increase.saturating_sub(failed);
                if request.increase == 0 {
                    self.requests.remove(&id);
                }
            }
            let error = (lit!("placeholder-cannot-be-fulfilled"), Str::from(CANNOT_PROVISION));
            self.backoffs.fail(flags, id, now, error);
        }
        remarks
    }

    /// Notes that a group was asked for more nodes.
    pub fn ask(&mut self, id: GroupId, increase: u32, now: SimTime) {
        let request = self.requests.entry(id).or_insert(Request { increase: 0, at: now });
        request.increase += increase;
        request.at = now;
    }

    /// How the nodes of a group are.
    pub fn of(&self, id: GroupId) -> Readiness {
        self.groups.get(&id).cloned().unwrap_or_default()
    }

    /// How all nodes are.
    pub const fn total(&self) -> &Readiness {
        &self.total
    }

    fn is_coming(&self, id: GroupId, group: &GroupFleet) -> bool {
        let readiness = self.of(id);
        let started = u32::try_from(readiness.not_started.len()).unwrap_or(u32::MAX);
        group.target > readiness.registered.saturating_sub(started)
    }

    /// Whether a group was asked for nodes and has not got all of them.
    pub fn is_scaling_up(&self, id: GroupId, group: &GroupFleet) -> bool {
        self.requests.contains_key(&id) && self.is_coming(id, group)
    }

    /// Nodes of a group that are to come: how many, and which of them have registered.
    pub fn upcoming(&self, id: GroupId, group: &GroupFleet) -> (u32, Vec<Str>) {
        let readiness = self.of(id);
        let long = u32::try_from(readiness.long_unregistered.len()).unwrap_or(u32::MAX);
        let there = readiness.ready + readiness.unready + long;
        match group.target.saturating_sub(there) {
            0 => (0, Vec::new()),
            count => (count, readiness.not_started),
        }
    }

    /// Few nodes are unready, or a small share.
    pub fn is_healthy(&self, flags: &Flags) -> bool {
        is_tolerable(flags, self.total.unready.into(), self.total.registered.into())
    }

    /// Few nodes of a group are missing, or a small share.
    pub fn is_group_healthy(&self, flags: &Flags, id: GroupId, group: &GroupFleet) -> bool {
        let readiness = self.of(id);
        let asked = self.requests.get(&id).map_or(0, |request| request.increase);
        let long = i64::try_from(readiness.long_unregistered.len()).unwrap_or(i64::MAX);
        let least = i64::from(group.target) - long - i64::from(asked);
        let missing = (least - i64::from(readiness.ready)).max(0);
        let not_started = i64::try_from(readiness.not_started.len()).unwrap_or(i64::MAX);
        let all = i64::from(readiness.ready + readiness.unready) + not_started;
        is_tolerable(flags, missing, all)
    }

    /// When something can be given up though nothing is written meanwhile.
    pub fn deadlines<'a>(&'a self, fleet: &'a Fleet, flags: &'a Flags) -> impl Iterator<Item = SimTime> + 'a {
        let just_after = SimDuration::from_nanos(1);
        let requests = self.requests.values().map(move |r| r.at + flags.max_node_provision_time + just_after);
        let managed = fleet.groups().filter(|(_, group)| group.group.bounds.is_some());
        let machines = managed.flat_map(move |(_, group)| {
            group.instances.values().filter_map(move |i| match (i.failed, i.joined) {
                (Some(seen), _) => Some(seen),
                (None, None) => {
                    Some(unregistered_since(flags, i) + flags.max_node_provision_time + just_after)
                }
                (None, Some(_)) => None,
            })
        });
        let starting = self.groups.iter().flat_map(move |(id, readiness)| {
            let machines = &fleet.group(*id).instances;
            readiness.not_started.iter().filter_map(|name| Some(machines.get(name)?.joined? + STARTUP_MAX))
        });
        requests.chain(machines).chain(starting)
    }
}

/// The managed group of a node.
fn managed(fleet: &Fleet, node: &str) -> Option<GroupId> {
    fleet.group_of(node).filter(|id| fleet.group(*id).group.bounds.is_some())
}

fn state_of((store, fleet, flags): (&Store, &Fleet, &Flags), node: &Node, managed: bool) -> NodeState {
    let created = node.meta.created.map_or(SimTime::ZERO, |at| store.calendar().instant(at));
    if managed && !fleet.has_machine(&node.meta.name) {
        NodeState::Deleted
    } else if taints::is_ready(flags, node) {
        NodeState::Ready
    } else if created > SimTime::ZERO && store.now() < created + STARTUP_MAX {
        NodeState::NotStarted
    } else {
        NodeState::Unready
    }
}

/// Upstream: float64.
fn is_tolerable(flags: &Flags, bad: i64, all: i64) -> bool {
    bad <= flags.ok_total_unready_count
        || bad as f64 <= flags.max_total_unready_percentage / 100.0 * all as f64
}
