//! What a Filter plugin says of all nodes at once, so that they need not be asked one by one.

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
    /// PreScore is to be called with the nodes that passed.
    Open,
}
