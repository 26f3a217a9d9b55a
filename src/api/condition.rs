//! Status conditions, the same shape for every kind.

use std::fmt;

use crate::base::{Str, Timestamp};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

impl ConditionStatus {
    /// `True` or `False`.
    pub const fn of(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }

    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }

    /// Reads the API's word; anything else is `Unknown`.
    pub fn parse(text: &str) -> Self {
        match text {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One condition of an object's status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The type, unique within the object.
    pub kind: Str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// A CamelCase word.
    pub reason: Str,
    /// A sentence.
    pub message: Str,
    /// When the status last changed.
    pub transition: Option<Timestamp>,
    /// `lastUpdateTime` (Deployments), `lastHeartbeatTime` (Nodes) or `lastProbeTime` (Pods, Jobs).
    pub updated: Option<Timestamp>,
}

impl Condition {
    /// A condition that changed at `at`.
    pub fn new(
        kind: impl Into<Str>,
        status: ConditionStatus,
        reason: impl Into<Str>,
        message: impl Into<Str>,
        at: Timestamp,
    ) -> Self {
        Self {
            kind: kind.into(),
            status,
            reason: reason.into(),
            message: message.into(),
            transition: Some(at),
            updated: None,
        }
    }

    /// Whether it is `True`.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Finds the condition of a type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.kind == kind)
}

/// Whether the condition of a type is present and `True`.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(Condition::is_true)
}

/// Puts `condition` in its place; an unchanged status keeps its transition time. True if anything changed.
pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) -> bool {
    match conditions.iter_mut().find(|c| c.kind == condition.kind) {
        None => {
            conditions.push(condition);
            true
        }
        Some(old) => {
            if old.status == condition.status {
                condition.transition = old.transition;
            }
            let changed = *old != condition;
            *old = condition;
            changed
        }
    }
}

/// Whether a condition says this already: its type, status, reason and message.
pub fn says(
    conditions: &[Condition],
    (kind, status, reason, message): (&str, ConditionStatus, &str, &str),
) -> bool {
    find(conditions, kind).is_some_and(|c| {
        c.status == status && c.reason == reason && c.message == message && c.updated.is_none()
    })
}

/// Puts a condition of these words in its place, as [`set`] does: nothing is made of them where they stand already.
pub fn put(
    conditions: &mut Vec<Condition>,
    (kind, status, reason, message): (&str, ConditionStatus, &str, &str),
    at: Timestamp,
) -> bool {
    !says(conditions, (kind, status, reason, message))
        && set(conditions, Condition::new(kind, status, reason, message, at))
}

/// Takes the condition of a type away. True if it was there.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.kind != kind);
    before != conditions.len()
}
