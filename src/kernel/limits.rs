//! Named bounds. Hitting one is a verdict with an explanation, never a hang.

use std::fmt;

use crate::base::SimTime;

/// Bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events handled in the whole run.
    pub events_max: u64,
    /// Events handled without virtual time moving.
    pub same_instant_events_max: u64,
    /// Objects in the store at once.
    pub objects_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events_max: 2_000_000_000, same_instant_events_max: 5_000_000, objects_max: 20_000_000 }
    }
}

/// Which bound was hit, when, and what happened last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitHit {
    /// The bound's name.
    pub limit: &'static str,
    /// Its value.
    pub value: u64,
    /// When it was hit.
    pub at: SimTime,
    /// The last events by name, oldest first.
    pub last: Vec<&'static str>,
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit {} ({}) was reached at t={}", self.limit, self.value, self.at)?;
        if !self.last.is_empty() {
            write!(f, "; last: {}", self.last.join(" → "))?;
        }
        Ok(())
    }
}
