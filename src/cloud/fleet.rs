//! The machines of all node groups: what an autoscaling group of the cloud knows.
//!
//! A group has a target. A machine that was asked for joins later; one that was terminated is gone at once.

use std::collections::BTreeMap;

use super::group::{NodeGroup, PlannedNode};
use crate::base::{SimTime, Str};
use crate::kernel::Seed;
use crate::params::Latencies;

/// The place of a group in the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub usize);

/// A machine of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// When it was asked for.
    pub requested: SimTime,
    /// When its Node registered; none while it boots.
    pub joined: Option<SimTime>,
}

/// A group and its machines.
#[derive(Clone, Debug)]
pub struct GroupFleet {
    /// What it is.
    pub group: NodeGroup,
    /// How many machines it is to have.
    pub target: u32,
    /// Its machines by the names of their Nodes.
    pub instances: BTreeMap<Str, Instance>,
    /// Machines that it ever had.
    made: u32,
}

/// The machines of all groups.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    groups: Vec<GroupFleet>,
    of_node: BTreeMap<Str, GroupId>,
}

impl Fleet {
    /// The groups with the machines they have at the start.
    pub fn new(groups: &[NodeGroup]) -> Self {
        let mut fleet = Self::default();
        for (index, group) in groups.iter().enumerate() {
            let mut machines = GroupFleet {
                group: group.clone(),
                target: group.size,
                instances: BTreeMap::new(),
                made: group.size,
            };
            for number in 1..=group.size {
                let name = group.node(number).name().clone();
                let instance = Instance { requested: SimTime::ZERO, joined: Some(SimTime::ZERO) };
                machines.instances.insert(name.clone(), instance);
                fleet.of_node.insert(name, GroupId(index));
            }
            fleet.groups.push(machines);
        }
        fleet
    }

    /// All groups with their places.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &GroupFleet)> {
        self.groups.iter().enumerate().map(|(index, group)| (GroupId(index), group))
    }

    /// A group.
    pub fn group(&self, id: GroupId) -> &GroupFleet {
        &self.groups[id.0]
    }

    /// The group that a Node belongs to.
    pub fn group_of(&self, node: &str) -> Option<GroupId> {
        self.of_node.get(node).copied()
    }

    /// Asks for one more machine: its Node, and when that registers.
    pub fn request(
        &mut self,
        id: GroupId,
        now: SimTime,
        latencies: &Latencies,
        seed: Seed,
    ) -> (SimTime, PlannedNode) {
        let machines = &mut self.groups[id.0];
        machines.made += 1;
        machines.target += 1;
        let node = machines.group.node(machines.made);
        let name = node.name().clone();
        machines.instances.insert(name.clone(), Instance { requested: now, joined: None });
        let activity = latencies.scaling_activity.sample(&mut seed.stream("scaling-activity", &name));
        let boot = latencies.node_boot.sample(&mut seed.stream("node-boot", &name));
        self.of_node.insert(name, id);
        (now + activity + boot, node)
    }

    /// Whether a machine that was asked for is still wanted; if so it has joined.
    pub fn join(&mut self, node: &str, now: SimTime) -> bool {
        let Some(id) = self.group_of(node) else { return true };
        match self.groups[id.0].instances.get_mut(node) {
            Some(instance) => {
                instance.joined = Some(now);
                true
            }
            None => false,
        }
    }

    /// Terminates a machine and lowers its group's target.
    pub fn terminate(&mut self, node: &str) {
        let Some(id) = self.group_of(node) else { return };
        let machines = &mut self.groups[id.0];
        if machines.instances.remove(node).is_some() {
            machines.target = machines.target.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::group::NodeTemplate;

    #[test]
    fn a_machine_is_asked_for_boots_joins_and_goes() {
        let zones: Vec<Str> = vec!["a".into(), "b".into()];
        let groups = NodeGroup::per_zone(&"w".into(), &zones, &NodeTemplate::default(), 3, Some((1, 9)));
        let mut fleet = Fleet::new(&groups);
        let id = fleet.group_of("w-b-1").unwrap();
        let (at, node) = fleet.request(id, SimTime::from_secs(10), &Latencies::default(), Seed(1));
        assert_eq!((node.name().as_str(), fleet.group(id).target), ("w-b-2", 2));
        assert!(at > SimTime::from_secs(20), "{at}");
        assert!(fleet.join("w-b-2", at) && fleet.group(id).instances["w-b-2"].joined == Some(at));
        fleet.terminate("w-b-1");
        assert_eq!((fleet.group(id).target, fleet.group(id).instances.len()), (1, 1));
        // A machine that was given up while it booted does not join.
        let (_, given_up) = fleet.request(id, at, &Latencies::default(), Seed(1));
        assert_eq!(given_up.name(), "w-b-3");
        fleet.terminate("w-b-3");
        assert!(!fleet.join("w-b-3", at));
        assert!(fleet.join("by-hand", at));
    }
}
