//! In which order nodes are looked at, and which nodes have changed of late.

use std::collections::VecDeque;

use super::node_info::NodeId;

/// The order of nodes, and each node's position in it.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    order: Vec<NodeId>,
    positions: Vec<u32>,
}

/// Stands for a node that is not in the order.
const NOWHERE: u32 = u32::MAX;

impl Layout {
    /// Nodes in an order; all their places are below `slots`.
    pub fn new(order: Vec<NodeId>, slots: usize) -> Self {
        let mut positions = vec![NOWHERE; slots];
        for (position, id) in order.iter().enumerate() {
            positions[id.index()] = position as u32;
        }
        Self { order, positions }
    }

    /// The nodes in their order.
    pub fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// The position of a node; none if it is not there.
    pub fn position(&self, node: NodeId) -> Option<usize> {
        let position = *self.positions.get(node.index())?;
        (position != NOWHERE).then_some(position as usize)
    }
}

/// The nodes that changed last, in the order of the changes. Whoever keeps something of nodes remembers how far it has
/// read, and asks again of those that have changed since.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    recent: VecDeque<NodeId>,
    /// How many changes were before those.
    forgotten: u64,
}

impl Touched {
    /// At least so many changes are remembered.
    const LEAST: usize = 256;

    /// A node has changed. Of a cluster of `nodes` no more changes are remembered than make it worth to look at all anew.
    pub(super) fn push(&mut self, node: NodeId, nodes: usize) {
        if self.recent.len() >= Self::LEAST.max(nodes / 4) {
            self.recent.pop_front();
            self.forgotten += 1;
        }
        self.recent.push_back(node);
    }

    /// How many changes there have been.
    pub fn count(&self) -> u64 {
        self.forgotten + self.recent.len() as u64
    }

    /// The nodes that changed after the first `count` changes; none if that is too long ago.
    pub fn since(&self, count: u64) -> Option<impl Iterator<Item = NodeId>> {
        let known = usize::try_from(count.checked_sub(self.forgotten)?).ok()?;
        (known <= self.recent.len()).then(|| self.recent.range(known..).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_order() {
        let layout = Layout::new([3, 0, 2].map(NodeId).to_vec(), 5);
        assert_eq!(
            [0, 1, 2, 3, 9].map(|n| layout.position(NodeId(n))),
            [Some(1), None, Some(2), Some(0), None]
        );
    }

    #[test]
    fn changes_are_known_until_there_were_too_many() {
        let mut touched = Touched::default();
        let since = |touched: &Touched, count| {
            touched.since(count).map(|nodes| nodes.map(|node| node.0).collect::<Vec<_>>())
        };
        (0..3).for_each(|n| touched.push(NodeId(n), 10));
        assert_eq!(
            (since(&touched, 1), since(&touched, 3), since(&touched, 4)),
            (Some(vec![1, 2]), Some(vec![]), None)
        );
        (0..Touched::LEAST as u32).for_each(|n| touched.push(NodeId(n), 10));
        assert_eq!(
            (since(&touched, 2), since(&touched, 3).map(|all| all.len())),
            (None, Some(Touched::LEAST))
        );
        assert_eq!(touched.count(), 3 + Touched::LEAST as u64);
    }
}
