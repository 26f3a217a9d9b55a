//! What the judge says of an expectation.

use super::spec::When;
use crate::base::{SimTime, Span, Str};

/// Whether an expectation held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It held.
    Passed,
    /// It did not.
    Failed,
    /// The run ended before its time came.
    NotReached,
}

impl Verdict {
    /// `passed`, `failed` or `notReached`, for output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotReached => "notReached",
        }
    }
}

/// The verdict on one expectation, with its grounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The expectation's name.
    pub name: Str,
    /// When it had to hold.
    pub when: When,
    /// The verdict.
    pub verdict: Verdict,
    /// Since when it held, if it passed.
    pub since: Option<SimTime>,
    /// A sentence without a full stop: since when it held or in which spans it did not, and the
    /// value that was there.
    pub message: String,
    /// Where the expectation stands in the scenario.
    pub origin: Span,
}

/// A span in which an expectation did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breach {
    /// From here on.
    pub from: SimTime,
    /// Up to here; none if it lasted to the end of the span that counts.
    pub until: Option<SimTime>,
    /// What was there when it began.
    pub actual: String,
}

/// At most so many breaches are told in full.
const BREACHES_MAX: usize = 3;

/// `false from 12m0s to 13m5s (2 pods)`, joined.
pub(super) fn tell(breaches: &[Breach], wanted: &str) -> String {
    let told = breaches.iter().take(BREACHES_MAX).map(|b| match b.until {
        Some(until) => {
            format!("from {} to {}: {}", b.from.cut_to_millis(), until.cut_to_millis(), b.actual)
        }
        None => format!("from {} on: {}", b.from.cut_to_millis(), b.actual),
    });
    let mut text = format!("not so {}", told.collect::<Vec<_>>().join("; "));
    if breaches.len() > BREACHES_MAX {
        text.push_str(&format!("; and {} more times", breaches.len() - BREACHES_MAX));
    }
    format!("{text} (wanted {wanted})")
}
