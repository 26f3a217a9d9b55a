//! The machines of all node groups: what an autoscaling group of the cloud knows.
//!
//! A group has a target. A machine that was asked for joins later; one that was terminated is gone at once. Where the
//! cloud has no machine of a type to give, what was asked for is a placeholder until it has one again.
//!
//! # Fidelity
//! After EC2 Auto Scaling: a group over several zones puts a new machine into the zone in which it has the fewest (a tie
//! is drawn), passes over zones that have none to give, and once its zones differ by two evens them out by itself: it
//! launches where it has fewest, then terminates the oldest machine where it has most, without asking Kubernetes. How
//! long it takes to notice is not published (`latencies.zoneRebalance`). The Node goes with its machine, at once; the
//! cloud node controller would delete it after it has become NotReady. Machines that lose power are not replaced.

use std::collections::BTreeMap;

use super::group::{NodeGroup, PlannedNode};
use crate::base::{SimDuration, SimTime, Str};
use crate::kernel::Seed;
use crate::params::Latencies;

/// The provider asks the cloud for the state of its groups so often.
///
/// Upstream: `cluster-autoscaler/cloudprovider/aws/aws_manager.go`, 1.34.
const REFRESH: SimDuration = SimDuration::from_mins(1);

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
    /// Where it is.
    pub zone: Str,
    /// For a placeholder of a machine that cannot be had: from when on that can be read off the group.
    pub failed: Option<SimTime>,
}

/// A group and its machines.
#[derive(Clone, Debug)]
pub struct GroupFleet {
    /// What it is.
    pub group: NodeGroup,
    /// How many machines it is to have.
    pub target: u32,
    /// Its machines by the names of their Nodes; placeholders by names of their own.
    pub instances: BTreeMap<Str, Instance>,
    /// Machines that it ever had.
    made: u32,
    /// Placeholders that it ever had.
    placeholders: u32,
}

/// Machines that the cloud does not have to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Of this type; none: of any.
    pub instance_type: Option<Str>,
    /// In this zone; none: in all.
    pub zone: Option<Str>,
    /// Until then; none: for good.
    pub until: Option<SimTime>,
}

/// What became of a request for a machine.
#[derive(Clone, Debug)]
pub enum Launch {
    /// It boots, and its Node registers then.
    Boots(SimTime, Box<PlannedNode>),
    /// There is none to be had; the group's activities say so from then on.
    Fails(SimTime),
}

/// The machines of all groups.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    groups: Vec<GroupFleet>,
    of_node: BTreeMap<Str, GroupId>,
    shortages: Vec<Shortage>,
}

/// How long machines take, and what draws it.
#[derive(Clone, Copy, Debug)]
pub struct Chances<'a> {
    /// Latencies of the run.
    pub latencies: &'a Latencies,
    /// What all draws are derived from.
    pub seed: Seed,
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
                placeholders: 0,
            };
            for number in 1..=group.size {
                let node = group.node(number);
                let instance = Instance {
                    requested: SimTime::ZERO,
                    joined: Some(SimTime::ZERO),
                    zone: node.zone.clone(),
                    failed: None,
                };
                machines.instances.insert(node.name().clone(), instance);
                fleet.of_node.insert(node.name().clone(), GroupId(index));
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

    /// Whether a Node's machine is there.
    pub fn has_machine(&self, node: &str) -> bool {
        self.group_of(node).is_some_and(|id| self.groups[id.0].instances.contains_key(node))
    }

    /// Asks for one more machine.
    pub fn request(&mut self, id: GroupId, now: SimTime, chances: Chances<'_>) -> Launch {
        self.groups[id.0].target += 1;
        self.launch(id, now, chances)
    }

    /// Launches a machine where the cloud has one, else notes that it has not.
    fn launch(&mut self, id: GroupId, now: SimTime, chances: Chances<'_>) -> Launch {
        let Some(zone) = self.zone_of_next(id, now, chances.seed) else {
            let machines = &mut self.groups[id.0];
            let name: Str = format!("i-placeholder-{}-{}", machines.group.name, machines.placeholders).into();
            machines.placeholders += 1;
            let activity = chances
                .latencies
                .scaling_activity
                .sample(&mut chances.seed.stream("scaling-activity", &name));
            let seen = (now + activity).next_on_grid(SimDuration::ZERO, REFRESH);
            let zone = machines.group.zone.clone();
            let placeholder = Instance { requested: now, joined: None, zone, failed: Some(seen) };
            machines.instances.insert(name, placeholder);
            return Launch::Fails(seen);
        };
        let (at, node) = self.launch_in(id, &zone, now, chances);
        Launch::Boots(at, Box::new(node))
    }

    /// Launches a machine in a zone; the target stays.
    pub fn launch_in(
        &mut self,
        id: GroupId,
        zone: &Str,
        now: SimTime,
        chances: Chances<'_>,
    ) -> (SimTime, PlannedNode) {
        let machines = &mut self.groups[id.0];
        machines.made += 1;
        let node = machines.group.node_in(machines.made, zone);
        let name = node.name().clone();
        let instance = Instance { requested: now, joined: None, zone: zone.clone(), failed: None };
        machines.instances.insert(name.clone(), instance);
        let Chances { latencies, seed } = chances;
        let activity = latencies.scaling_activity.sample(&mut seed.stream("scaling-activity", &name));
        let boot = latencies.node_boot.sample(&mut seed.stream("node-boot", &name));
        self.of_node.insert(name, id);
        (now + activity + boot, node)
    }

    /// The zone of the next machine: of those with a machine to give the one with the fewest, drawn if there are
    /// several. None if no zone has one.
    fn zone_of_next(&self, id: GroupId, now: SimTime, seed: Seed) -> Option<Str> {
        let machines = &self.groups[id.0];
        let group = &machines.group;
        if !group.spans_zones() {
            return self.has_capacity(group, &group.zone, now).then(|| group.zone.clone());
        }
        let open: Vec<&Str> = group.zones.iter().filter(|zone| self.has_capacity(group, zone, now)).collect();
        let least = open.iter().map(|zone| machines.count_in(zone)).min()?;
        let fewest: Vec<&Str> = open.into_iter().filter(|zone| machines.count_in(zone) == least).collect();
        let name = format!("{}-{}", group.name, machines.made + 1);
        let drawn = seed.stream("zone-of-machine", &name).below(fewest.len() as u64);
        usize::try_from(drawn).ok().and_then(|index| fewest.get(index)).map(|zone| (*zone).clone())
    }

    fn has_capacity(&self, group: &NodeGroup, zone: &str, now: SimTime) -> bool {
        let covers = |shortage: &Shortage| {
            shortage.until.is_none_or(|until| now < until)
                && shortage.zone.as_ref().is_none_or(|z| z == zone)
                && shortage.instance_type.as_ref().is_none_or(|t| *t == group.template.instance_type)
        };
        !self.shortages.iter().any(covers)
    }

    /// From now on the cloud is short of machines.
    pub fn run_short(&mut self, shortage: Shortage) {
        self.shortages.push(shortage);
    }

    /// Launches what could not be had before and can be now. Groups go on trying for what is missing to their target.
    pub fn retry(&mut self, now: SimTime, chances: Chances<'_>) -> Vec<(SimTime, PlannedNode)> {
        self.shortages.retain(|shortage| shortage.until.is_none_or(|until| now < until));
        let mut launched = Vec::new();
        for index in 0..self.groups.len() {
            let id = GroupId(index);
            while let Some(placeholder) = self.groups[index].placeholder() {
                let Some(zone) = self.zone_of_next(id, now, chances.seed) else { break };
                self.groups[index].instances.remove(&placeholder);
                launched.push(self.launch_in(id, &zone, now, chances));
            }
        }
        launched
    }

    /// Gives up the placeholders of a group that can be seen as such: the target is lowered. How many there were.
    pub fn give_up_failed(&mut self, id: GroupId, now: SimTime) -> u32 {
        let machines = &mut self.groups[id.0];
        let before = machines.instances.len();
        machines.instances.retain(|_, i| i.failed.is_none_or(|seen| now < seen));
        let gone = u32::try_from(before - machines.instances.len()).unwrap_or(u32::MAX);
        machines.target = machines.target.saturating_sub(gone);
        gone
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
        if self.release(node) {
            let machines = &mut self.groups[id.0];
            machines.target = machines.target.saturating_sub(1);
        }
    }

    /// Terminates a machine; the target stays. Whether there was one.
    pub fn release(&mut self, node: &str) -> bool {
        self.group_of(node).is_some_and(|id| self.groups[id.0].instances.remove(node).is_some())
    }

    /// The zone into which a group moves a machine to even out its zones; none if they are even enough.
    pub fn zone_to_fill(&self, id: GroupId, now: SimTime) -> Option<Str> {
        let machines = &self.groups[id.0];
        let group = &machines.group;
        if !group.spans_zones() {
            return None;
        }
        let open = group.zones.iter().filter(|zone| self.has_capacity(group, zone, now));
        let fewest = open.min_by_key(|zone| machines.count_in(zone))?;
        let most = group.zones.iter().map(|zone| machines.count_in(zone)).max()?;
        (most >= machines.count_in(fewest) + 2).then(|| fewest.clone())
    }

    /// The machine that a group with more than it is to have terminates: the oldest of the fullest zone.
    pub fn surplus(&self, id: GroupId) -> Option<Str> {
        let machines = &self.groups[id.0];
        let joined = machines.instances.values().filter(|i| i.joined.is_some()).count();
        if u32::try_from(joined).unwrap_or(u32::MAX) <= machines.target {
            return None;
        }
        let fullest = |zone: &Str| machines.count_in(zone);
        let candidates = machines.instances.iter().filter(|(_, i)| i.joined.is_some());
        candidates
            .min_by_key(|(name, i)| (std::cmp::Reverse(fullest(&i.zone)), i.requested, (*name).clone()))
            .map(|(name, _)| name.clone())
    }
}

impl GroupFleet {
    /// Machines in a zone, those that boot included.
    pub fn count_in(&self, zone: &str) -> usize {
        self.instances.values().filter(|i| i.failed.is_none() && i.zone == zone).count()
    }

    fn placeholder(&self) -> Option<Str> {
        self.instances.iter().find(|(_, i)| i.failed.is_some()).map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::group::NodeTemplate;

    fn zones(names: &str) -> Vec<Str> {
        names.split(' ').map(Str::from).collect()
    }

    fn spanning(size: u32) -> Fleet {
        let template = NodeTemplate { instance_type: "m6i.large".into(), ..NodeTemplate::default() };
        Fleet::new(&[NodeGroup::spanning(&"w".into(), &zones("a b c"), &template, size, Some((0, 9)))])
    }

    const W: GroupId = GroupId(0);

    /// What becomes of a request, and in which zone.
    fn ask(fleet: &mut Fleet, at: u64, seed: u64) -> Option<Str> {
        let latencies = Latencies::default();
        let chances = Chances { latencies: &latencies, seed: Seed(seed) };
        match fleet.request(W, SimTime::from_secs(at), chances) {
            Launch::Boots(_, node) => Some(node.zone.clone()),
            Launch::Fails(_) => None,
        }
    }

    #[test]
    fn a_machine_is_asked_for_boots_joins_and_goes() {
        let groups =
            NodeGroup::per_zone(&"w".into(), &zones("a b"), &NodeTemplate::default(), 3, Some((1, 9)));
        let mut fleet = Fleet::new(&groups);
        let id = fleet.group_of("w-b-1").unwrap();
        let latencies = Latencies::default();
        let chances = Chances { latencies: &latencies, seed: Seed(1) };
        let Launch::Boots(at, node) = fleet.request(id, SimTime::from_secs(10), chances) else { panic!() };
        assert_eq!((node.name().as_str(), fleet.group(id).target), ("w-b-2", 2));
        assert!(at > SimTime::from_secs(20), "{at}");
        assert!(fleet.join("w-b-2", at) && fleet.group(id).instances["w-b-2"].joined == Some(at));
        fleet.terminate("w-b-1");
        assert_eq!((fleet.group(id).target, fleet.group(id).instances.len()), (1, 1));
        // A machine that was given up while it booted does not join.
        let Launch::Boots(_, given_up) = fleet.request(id, at, chances) else { panic!() };
        assert_eq!(given_up.name(), "w-b-3");
        fleet.terminate("w-b-3");
        assert!(!fleet.join("w-b-3", at));
        assert!(fleet.join("by-hand", at));
    }

    #[test]
    fn a_new_machine_goes_where_there_are_fewest() {
        let mut fleet = spanning(2);
        assert_eq!(ask(&mut fleet, 0, 1).as_deref(), Some("c"));
        let mut drawn = std::collections::BTreeSet::new();
        for seed in 0..40 {
            drawn.insert(ask(&mut fleet.clone(), 0, seed).unwrap());
        }
        assert_eq!(drawn.len(), 3, "a tie is drawn: {drawn:?}");
    }

    #[test]
    fn a_zone_without_machines_is_passed_over_and_a_group_without_any_gets_none() {
        let short = |zone: Option<&str>, kind: Option<&str>, until: Option<u64>| Shortage {
            zone: zone.map(Str::from),
            instance_type: kind.map(Str::from),
            until: until.map(SimTime::from_secs),
        };
        for (shortage, at, expected) in [
            (short(Some("c"), None, None), 5, vec![Some("a"), Some("b")]),
            (short(Some("c"), Some("m6i.large"), None), 5, vec![Some("a"), Some("b")]),
            (short(Some("c"), Some("c6i.large"), None), 5, vec![Some("c")]),
            (short(Some("c"), None, Some(5)), 5, vec![Some("c")]),
            (short(None, Some("m6i.large"), Some(6)), 5, vec![None]),
        ] {
            let mut fleet = spanning(2);
            fleet.run_short(shortage.clone());
            let zone = ask(&mut fleet, at, 1);
            assert!(expected.contains(&zone.as_deref()), "{shortage:?} {zone:?}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_a_placeholder_until_it_is_given_up_or_can_be_had() {
        let mut fleet = spanning(1);
        let until = Some(SimTime::from_secs(600));
        fleet.run_short(Shortage { instance_type: Some("m6i.large".into()), zone: None, until });
        assert_eq!(ask(&mut fleet, 50, 1), None);
        let placeholder = &fleet.group(W).instances["i-placeholder-w-0"];
        // The activity fails within 10 to 30 s, and the provider looks every minute.
        assert!([60, 120].map(|s| Some(SimTime::from_secs(s))).contains(&placeholder.failed));
        let mut given_up = fleet.clone();
        assert_eq!(given_up.give_up_failed(W, SimTime::from_secs(50)), 0);
        assert_eq!(given_up.give_up_failed(W, SimTime::from_secs(120)), 1);
        assert_eq!((given_up.group(W).target, given_up.group(W).instances.len()), (1, 1));
        let latencies = Latencies::default();
        let chances = Chances { latencies: &latencies, seed: Seed(1) };
        assert!(fleet.retry(SimTime::from_secs(599), chances).is_empty());
        assert_eq!(fleet.retry(SimTime::from_secs(600), chances).len(), 1);
        assert_eq!((fleet.group(W).target, fleet.group(W).instances.len()), (2, 2));
    }

    #[test]
    fn zones_that_differ_by_two_are_evened_out() {
        let now = SimTime::from_secs(100);
        let mut fleet = spanning(5);
        // a 2, b 2, c 1.
        assert_eq!(fleet.zone_to_fill(W, now), None);
        fleet.terminate("w-3");
        assert_eq!(fleet.zone_to_fill(W, now).as_deref(), Some("c"));
        let latencies = Latencies::default();
        let chances = Chances { latencies: &latencies, seed: Seed(1) };
        let (at, node) = fleet.launch_in(W, &"c".into(), now, chances);
        assert_eq!(fleet.surplus(W), None, "the new one comes first");
        assert!(fleet.join(node.name(), at));
        assert_eq!(fleet.surplus(W).as_deref(), Some("w-1"));
        assert!(fleet.release("w-1"));
        assert_eq!((fleet.surplus(W), fleet.group(W).target), (None, 4));
        let closed = Shortage { instance_type: None, zone: Some("c".into()), until: None };
        fleet.release(node.name());
        fleet.run_short(closed);
        assert_eq!(fleet.zone_to_fill(W, now), None, "nothing is moved to where nothing can be had");
    }
}
