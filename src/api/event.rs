//! Events, as `kubectl get events` shows them.

use super::meta::Meta;
use super::object::ObjectRef;
use crate::base::{Str, Timestamp};

/// Whether an Event is good or bad news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Look here.
    Warning,
}

impl EventType {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an Event says.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// What it is about.
    pub regarding: &'a ObjectRef,
    /// Good or bad news.
    pub event_type: EventType,
    /// A CamelCase word.
    pub reason: &'a Str,
    /// A sentence.
    pub message: &'a Str,
    /// How often.
    pub count: i32,
}

impl Event {
    /// What it says.
    pub const fn said(&self) -> Said<'_> {
        Said {
            regarding: &self.regarding,
            event_type: self.event_type,
            reason: &self.reason,
            message: &self.message,
            count: self.count,
        }
    }
}

/// An Event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Metadata; the name is the object's with a suffix.
    pub meta: Meta,
    /// What it is about.
    pub regarding: ObjectRef,
    /// A CamelCase word.
    pub reason: Str,
    /// A sentence.
    pub message: Str,
    /// Good or bad news.
    pub event_type: EventType,
    /// The component that says it.
    pub source: Str,
    /// The node of that component, or nothing.
    pub host: Str,
    /// When it was first said.
    pub first: Timestamp,
    /// When it was last said.
    pub last: Timestamp,
    /// How often.
    pub count: i32,
    /// Whether it came through the `events.k8s.io` recorder, whose repeats form a series.
    pub series: bool,
}
