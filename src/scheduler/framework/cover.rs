//! What plugins say of many nodes at once, so that they need not be asked one by one.

use super::node_info::NodeId;

/// Which places of a topology key a plugin lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The key, as the snapshot numbers it; none for one that no node has ever had.
    pub key: Option<usize>,
    /// By place.
    pub passes: Vec<bool>,
    /// Whether nodes that lack the label pass.
    pub elsewhere: bool,
}

impl Gate {
    /// Lets no node pass.
    pub const CLOSED: Self = Self { key: None, passes: Vec::new(), elsewhere: false };

    /// Whether every node passes.
    pub fn is_open(&self) -> bool {
        self.elsewhere && self.passes.iter().all(|passes| *passes)
    }

    /// Whether nodes of a place pass.
    pub fn lets(&self, place: Option<usize>) -> bool {
        match place {
            Some(place) => self.passes.get(place).copied().unwrap_or(self.elsewhere),
            None => self.elsewhere,
        }
    }
}

/// How much of what a Filter plugin says in a cycle is known without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Everything: nodes that its gates let pass it lets pass, and no others.
    Gated,
    /// Nodes that its gates do not let pass it refuses; of the others it has to be asked. It never breaks.
    Asked,
    /// Nothing: it has to be asked of every node in its turn.
    Unknown,
}

/// What is known of a Score plugin before it is known which nodes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// All nodes get the same score, so that neither PreScore nor Score need be called.
    Equal,
    /// PreScore has been called; which nodes pass makes no difference to it.
    Ready,
    /// Nodes in one place of this key get the same score, but for a few that can be named: [`PreScore::by_place`] tells
    /// them. None: all nodes do, but for those.
    ///
    /// [`PreScore::by_place`]: super::PreScore::by_place
    ByPlace(Option<usize>),
    /// PreScore is to be called with the nodes that passed.
    Open,
}

/// Where the nodes are that passed.
#[derive(Clone, Copy)]
pub struct Passed<'a> {
    /// How many are in each place of the key that the plugin named.
    pub by_place: &'a [u32],
    /// How many lack its label.
    pub elsewhere: u32,
    /// Whether a node is among them.
    pub has: &'a dyn Fn(NodeId) -> bool,
}

impl std::fmt::Debug for Passed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { by_place, elsewhere, .. } = self;
        write!(f, "Passed {{ by_place: {by_place:?}, elsewhere: {elsewhere} }}")
    }
}

/// The scores of the nodes that passed, normalised to 0..=100, by where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relief {
    /// By place; 0 where no node passed but those that are named.
    pub by_place: Vec<i64>,
    /// Of nodes that lack the label; the same.
    pub elsewhere: i64,
    /// Of nodes with another score than that of their place.
    pub named: Vec<(NodeId, i64)>,
}
