//! Exit codes, all of them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All well.
    Fine,
    /// An expectation failed, or a Pod found no node though all were required to.
    Failed,
    /// The input or the call is wrong.
    Input,
    /// An invariant broke: a bug of ours.
    Bug,
}

impl Exit {
    /// The worse of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Input => 2,
            Exit::Bug => 3,
        })
    }
}
