//! Node groups, dealt out to zones, and the nodes they are made of.

use crate::api::node::{
    ARCH_LABEL, HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, NODE_GROUP_LABEL, Node, NodeStatus, OS_LABEL,
    REGION_LABEL, ZONE_LABEL,
};
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::api::storage::{CsiNode, CsiNodeDriver};
use crate::api::{Labels, Lasting, Meta, ResourceList, Taint};
use crate::base::{Quantity, Str};
use crate::params::drivers::{self, HOSTPATH_NODE_LABEL, TOPOLVM_NODE_LABEL};

/// A node, fully resolved, before it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNode {
    /// The Node, without conditions: those are the kubelet's.
    pub node: Node,
    /// What drivers it has and how many volumes they attach.
    pub csi_node: CsiNode,
    /// Its zone; empty if it has none.
    pub zone: Str,
    /// The node group it belongs to, by [`NodeGroup::name`].
    pub group: Option<Str>,
}

impl PlannedNode {
    /// Its name.
    pub fn name(&self) -> &Str {
        &self.node.meta.name
    }
}

/// What all nodes of a group have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTemplate {
    /// The machine type, possibly empty.
    pub instance_type: Str,
    /// `amd64` or `arm64`; empty means `amd64`.
    pub arch: Str,
    /// What the machine has.
    pub capacity: ResourceList,
    /// What Pods may use.
    pub allocatable: ResourceList,
    /// Labels beyond the well-known ones; they win over those.
    pub labels: Labels,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Drivers, with the volumes each can attach.
    pub volume_limits: Vec<(Str, Option<i32>)>,
    /// `v1.34.9`.
    pub kubelet_version: Str,
    /// Price in hundred-thousandths of a dollar per hour; 0 if unknown.
    pub price: u32,
}

impl NodeTemplate {
    /// A node of this template.
    pub fn node(&self, name: impl Into<Str>, zone: &Str, group: Option<&NodeGroup>) -> PlannedNode {
        let name = name.into();
        let labels = self.labels_of(&name, zone, group);
        let node = Node {
            meta: Lasting { labels, ..Lasting::named("", name.clone()) }.into(),
            taints: self.taints.clone(),
            status: NodeStatus {
                capacity: self.capacity.clone(),
                allocatable: self.allocatable.clone(),
                kubelet_version: self.kubelet_version.clone(),
                ..NodeStatus::default()
            },
            ..Node::default()
        };
        let drivers = self.volume_limits.iter().map(|(driver, limit)| driver_of(&name, driver, *limit));
        let csi_node = CsiNode { meta: Meta::named("", name.clone()), drivers: drivers.collect() };
        PlannedNode { node, csi_node, zone: zone.clone(), group: group.map(|g| g.name.clone()) }
    }

    fn labels_of(&self, name: &Str, zone: &Str, group: Option<&NodeGroup>) -> Labels {
        let mut labels: Vec<(Str, Str)> = vec![
            (HOSTNAME_LABEL.into(), name.clone()),
            (OS_LABEL.into(), "linux".into()),
            (ARCH_LABEL.into(), if self.arch.is_empty() { "amd64".into() } else { self.arch.clone() }),
        ];
        if !self.instance_type.is_empty() {
            labels.push((INSTANCE_TYPE_LABEL.into(), self.instance_type.clone()));
        }
        if let Some(group) = group {
            labels.push((NODE_GROUP_LABEL.into(), group.of.clone()));
        }
        if !zone.is_empty() {
            labels.push((ZONE_LABEL.into(), zone.clone()));
            if let Some(region) = region_of(zone) {
                labels.push((REGION_LABEL.into(), region.into()));
            }
        }
        for key in self.volume_limits.iter().flat_map(|(driver, _)| drivers::node_keys(driver)) {
            let value = match *key {
                OS_LABEL | HOSTNAME_LABEL | ZONE_LABEL => continue,
                TOPOLVM_NODE_LABEL | HOSTPATH_NODE_LABEL => name,
                _ => zone,
            };
            if !value.is_empty() {
                labels.push(((*key).into(), value.clone()));
            }
        }
        labels.into_iter().chain(self.labels.iter().map(|(k, v)| (k.clone(), v.clone()))).collect()
    }
}

fn driver_of(node: &Str, driver: &Str, allocatable: Option<i32>) -> CsiNodeDriver {
    let topology_keys = drivers::node_keys(driver).iter().map(|key| Str::from(*key)).collect();
    CsiNodeDriver { name: driver.clone(), node_id: node.clone(), topology_keys, allocatable }
}

/// The region of a zone named as AWS names them (`us-west-2a`), else none.
pub fn region_of(zone: &str) -> Option<&str> {
    let region = zone.strip_suffix(|c: char| c.is_ascii_lowercase())?;
    region.ends_with(|c: char| c.is_ascii_digit()).then_some(region)
}

/// What a cloud tells the cluster autoscaler of a machine of a group that has none: upstream the tags
/// `k8s.io/cluster-autoscaler/node-template/…` of an autoscaling group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateTags {
    /// Labels beyond those the provider always knows: architecture, system, type, region, zone.
    pub labels: Labels,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Labels that this provider does not know, though it could.
    pub without_labels: Vec<Str>,
}

/// A node group: what an autoscaling group is to the cluster autoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeGroup {
    /// Its own name: `<group>-<zone>`, or the scenario's if there are no zones or it spans them.
    pub name: Str,
    /// The scenario's group that it is a part of.
    pub of: Str,
    /// Its zone, the first one if it spans several; empty if there are none.
    pub zone: Str,
    /// All zones in which the cloud may put its machines; empty if there are none.
    pub zones: Vec<Str>,
    /// What the autoscaler is told of an empty group; none: all that its nodes will have.
    pub tags: Option<TemplateTags>,
    /// What its nodes have in common.
    pub template: NodeTemplate,
    /// Nodes at the start.
    pub size: u32,
    /// The cluster autoscaler's lower and upper bound; none: it leaves the group alone.
    pub bounds: Option<(u32, u32)>,
}

impl NodeGroup {
    /// The `number`-th node that the group ever has, from 1: `<group>-<zone>-<number>`. A group that spans zones
    /// takes them in turn.
    pub fn node(&self, number: u32) -> PlannedNode {
        let index = number.saturating_sub(1) as usize % self.zones.len().max(1);
        let zone = self.zones.get(index).unwrap_or(&self.zone);
        self.node_in(number, zone)
    }

    /// The same in a zone of the cloud's choice.
    pub fn node_in(&self, number: u32, zone: &Str) -> PlannedNode {
        self.template.node(format!("{}-{number}", self.name), zone, Some(self))
    }

    /// Whether the cloud has a choice of zones.
    pub const fn spans_zones(&self) -> bool {
        self.zones.len() > 1
    }

    /// A group of the scenario as one group over all zones: the cloud picks the zone of a new machine.
    pub fn spanning(
        of: &Str,
        zones: &[Str],
        template: &NodeTemplate,
        size: u32,
        bounds: Option<(u32, u32)>,
    ) -> Self {
        Self {
            name: of.clone(),
            of: of.clone(),
            zone: zones.first().cloned().unwrap_or_default(),
            zones: zones.to_vec(),
            tags: None,
            template: template.clone(),
            size,
            bounds,
        }
    }

    /// A group of the scenario as one group per zone; sizes and bounds are dealt out in turn.
    pub fn per_zone(
        of: &Str,
        zones: &[Str],
        template: &NodeTemplate,
        size: u32,
        bounds: Option<(u32, u32)>,
    ) -> Vec<Self> {
        let group = |name: Str, zone: Str, index: usize, parts: usize| Self {
            name,
            of: of.clone(),
            zones: if zone.is_empty() { Vec::new() } else { vec![zone.clone()] },
            zone,
            tags: None,
            template: template.clone(),
            size: share(size, index, parts),
            bounds: bounds.map(|(min, max)| (share(min, index, parts), share(max, index, parts))),
        };
        if zones.is_empty() {
            return vec![group(of.clone(), Str::new(), 0, 1)];
        }
        let named =
            |(i, zone): (usize, &Str)| group(format!("{of}-{zone}").into(), zone.clone(), i, zones.len());
        zones.iter().enumerate().map(named).collect()
    }

    /// The nodes of several groups at the start, dealt out in turn: the first of each, then the second.
    pub fn nodes_in_turn(groups: &[Self]) -> Vec<PlannedNode> {
        let rounds = groups.iter().map(|g| g.size).max().unwrap_or(0);
        (1..=rounds)
            .flat_map(|round| groups.iter().filter(move |g| round <= g.size).map(move |g| g.node(round)))
            .collect()
    }
}

/// What the `index`-th of `parts` gets of `total` things that are dealt out in turn.
fn share(total: u32, index: usize, parts: usize) -> u32 {
    let parts = u32::try_from(parts.max(1)).unwrap_or(u32::MAX);
    total / parts + u32::from((index as u64) < u64::from(total % parts))
}

/// The capacity of a machine that is described by hand; what is missing gets a default.
pub fn with_defaults(mut capacity: ResourceList, pods: i64) -> ResourceList {
    for (name, default) in [
        (CPU, Quantity::from_units(4)),
        (MEMORY, Quantity::from_bytes(16 << 30)),
        (EPHEMERAL_STORAGE, Quantity::from_bytes(100 << 30)),
        (PODS, Quantity::from_units(pods)),
    ] {
        capacity.0.entry(name.into()).or_insert(default);
    }
    capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(names: &[&str]) -> Vec<Str> {
        names.iter().map(|z| Str::from(*z)).collect()
    }

    #[test]
    fn groups_are_dealt_out_in_turn() {
        let z = zones(&["us-west-2a", "us-west-2b", "us-west-2c"]);
        let groups = NodeGroup::per_zone(&"w".into(), &z, &NodeTemplate::default(), 7, Some((3, 12)));
        let sizes: Vec<_> = groups.iter().map(|g| (g.size, g.bounds)).collect();
        assert_eq!(sizes, [(3, Some((1, 4))), (2, Some((1, 4))), (2, Some((1, 4)))]);
        let nodes = NodeGroup::nodes_in_turn(&groups);
        let names: Vec<_> = nodes.iter().map(|n| n.name().as_str()).collect();
        assert_eq!(names[..4], ["w-us-west-2a-1", "w-us-west-2b-1", "w-us-west-2c-1", "w-us-west-2a-2"]);
        assert_eq!(names.len(), 7);
    }

    #[test]
    fn a_group_without_zones_is_one_group() {
        let groups = NodeGroup::per_zone(&"w".into(), &[], &NodeTemplate::default(), 2, None);
        assert_eq!(NodeGroup::nodes_in_turn(&groups)[1].name(), "w-2");
        assert_eq!(groups[0].node(1).zone, "");
    }

    #[test]
    fn a_group_that_spans_zones_takes_them_in_turn() {
        let group =
            NodeGroup::spanning(&"w".into(), &zones(&["a", "b"]), &NodeTemplate::default(), 3, Some((3, 9)));
        let nodes = NodeGroup::nodes_in_turn(std::slice::from_ref(&group));
        let found: Vec<_> = nodes.iter().map(|n| (n.name().as_str(), n.zone.as_str())).collect();
        assert_eq!(found, [("w-1", "a"), ("w-2", "b"), ("w-3", "a")]);
        assert!(group.spans_zones() && group.bounds == Some((3, 9)));
        assert_eq!(group.node_in(4, &"b".into()).zone, "b");
    }

    /// autoscaling-storage.md §5.6, §7.44: nodes have both keys of a zone, and the driver reports them.
    #[test]
    fn nodes_carry_the_well_known_labels() {
        let template = NodeTemplate {
            instance_type: "m6g.large".into(),
            arch: "arm64".into(),
            labels: [("pool", "general")].into_iter().collect(),
            volume_limits: vec![("ebs.csi.aws.com".into(), Some(25))],
            ..NodeTemplate::default()
        };
        let groups = NodeGroup::per_zone(&"w".into(), &zones(&["eu-west-1b"]), &template, 1, None);
        let node = groups[0].node(1);
        let labels: Vec<_> = node.node.meta.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            labels,
            [
                "kubernetes.io/arch=arm64",
                "kubernetes.io/hostname=w-eu-west-1b-1",
                "kubernetes.io/os=linux",
                "node.kubernetes.io/instance-type=m6g.large",
                "pool=general",
                "topology.ebs.csi.aws.com/zone=eu-west-1b",
                "topology.kubernetes.io/region=eu-west-1",
                "topology.kubernetes.io/zone=eu-west-1b",
                "wavetank.dev/node-group=w",
            ]
        );
        let driver = &node.csi_node.drivers[0];
        assert_eq!(driver.allocatable, Some(25));
        let keys = ["kubernetes.io/os", "topology.ebs.csi.aws.com/zone", "topology.kubernetes.io/zone"];
        assert_eq!(driver.topology_keys, keys);
        assert_eq!(node.group.as_deref(), Some("w-eu-west-1b"));
    }

    #[test]
    fn regions_follow_from_zones_that_are_named_so() {
        assert_eq!(region_of("us-west-2a"), Some("us-west-2"));
        assert_eq!(region_of("zone-a"), None);
        assert_eq!(region_of(""), None);
    }
}
