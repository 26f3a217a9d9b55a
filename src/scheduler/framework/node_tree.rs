//! The order in which nodes are looked at: zone by zone in turn.
//!
//! Upstream: `pkg/scheduler/backend/cache/node_tree.go`, v1.34.

use super::node_info::NodeId;
use crate::api::Node;
use crate::base::Str;

/// Region and zone of a node.
fn zone_key(node: &Node) -> (Str, Str) {
    (node.region(), node.zone())
}

/// Nodes by zone, zones in the order in which they appeared.
#[derive(Clone, Debug, Default)]
pub struct NodeTree {
    zones: Vec<((Str, Str), Vec<NodeId>)>,
}

impl NodeTree {
    /// Adds a node, which is in no zone yet, at the end of its own.
    pub fn add(&mut self, id: NodeId, node: &Node) {
        let key = zone_key(node);
        match self.zones.iter_mut().find(|(zone, _)| *zone == key) {
            Some((_, nodes)) => nodes.push(id),
            None => self.zones.push((key, vec![id])),
        }
    }

    /// Removes a node; a zone without nodes disappears.
    pub fn remove(&mut self, id: NodeId, node: &Node) {
        let key = zone_key(node);
        if let Some(index) = self.zones.iter().position(|(zone, _)| *zone == key) {
            self.zones[index].1.retain(|have| *have != id);
            if self.zones[index].1.is_empty() {
                self.zones.remove(index);
            }
        }
    }

    /// Moves a node whose zone changed; says whether it moved.
    pub fn update(&mut self, id: NodeId, old: &Node, new: &Node) -> bool {
        if zone_key(old) == zone_key(new) {
            return false;
        }
        self.remove(id, old);
        self.add(id, new);
        true
    }

    /// The first node of each zone, then the second of each, and so on.
    pub fn order(&self) -> Vec<NodeId> {
        let longest = self.zones.iter().map(|(_, nodes)| nodes.len()).max().unwrap_or(0);
        (0..longest)
            .flat_map(|i| self.zones.iter().filter_map(move |(_, nodes)| nodes.get(i).copied()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Lasting;
    use crate::api::node::ZONE_LABEL;

    fn node(zone: &str) -> Node {
        let labels =
            if zone.is_empty() { Default::default() } else { [(ZONE_LABEL, zone)].into_iter().collect() };
        Node { meta: Lasting { labels, ..Lasting::named("", "n") }.into(), ..Node::default() }
    }

    fn ids(tree: &NodeTree) -> Vec<u32> {
        tree.order().iter().map(|id| id.0).collect()
    }

    #[test]
    fn zones_take_turns() {
        let mut tree = NodeTree::default();
        for (id, zone) in [(0, "a"), (1, "a"), (2, "a"), (3, "b"), (4, "c"), (5, "c")] {
            tree.add(NodeId(id), &node(zone));
        }
        assert_eq!(ids(&tree), [0, 3, 4, 1, 5, 2]);
        tree.remove(NodeId(3), &node("b"));
        assert_eq!(ids(&tree), [0, 4, 1, 5, 2]);
        assert!(tree.update(NodeId(0), &node("a"), &node("b")));
        assert!(!tree.update(NodeId(4), &node("c"), &node("c")));
        assert_eq!(ids(&tree), [1, 4, 0, 2, 5]);
    }
}
