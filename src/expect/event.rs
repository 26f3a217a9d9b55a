//! Whether an Event is as an expectation describes it.

use super::spec::EventSubject;
use crate::api::event::Said;

impl EventSubject {
    /// Whether `event` is meant.
    pub fn covers(&self, event: &Said<'_>) -> bool {
        self.reason.as_ref().is_none_or(|r| r == event.reason)
            && self.event_type.is_none_or(|t| t == event.event_type)
            && self.namespace.as_ref().is_none_or(|n| *n == event.regarding.namespace)
            && self.object.as_ref().is_none_or(|(kind, name)| {
                *kind == event.regarding.kind && name.as_ref().is_none_or(|n| *n == event.regarding.name)
            })
            && self.message.as_ref().is_none_or(|m| contains_pattern(event.message, m))
    }
}

/// Whether the pieces of `pattern` between its `*`s occur in `text`, one after another.
fn contains_pattern(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_matched_by_their_pieces() {
        let text = "0/3 nodes are available: 3 Insufficient cpu.";
        for (pattern, expected) in [
            ("Insufficient cpu", true),
            ("0/*nodes*cpu", true),
            ("cpu*nodes", false),
            ("", true),
            ("*", true),
            ("memory", false),
        ] {
            assert_eq!(contains_pattern(text, pattern), expected, "{pattern}");
        }
    }
}
