//! What is said about a namespace while it is emptied.
//!
//! Upstream: `pkg/controller/namespace/deletion/status_condition_utils.go`, v1.34.

use std::collections::BTreeMap;

use crate::api::condition;
use crate::api::{Condition, ConditionStatus};
use crate::base::{Str, Timestamp};

/// The conditions in their order: type, and reason and message as long as nothing is wrong.
const CONDITIONS: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

/// What a pass found.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// Whether what is left is reported: upstream does not while Pods are left.
    pub count_content: bool,
    /// What could not be deleted, and why.
    pub failures: Vec<String>,
    remaining: Vec<String>,
    finalizers: BTreeMap<Str, usize>,
}

impl Report {
    /// Counts what is left of a kind.
    pub(super) fn add(&mut self, plural: &str, group: &str, count: usize, finalizers: BTreeMap<Str, usize>) {
        self.remaining.push(format!("{plural}.{group} has {count} resource instances"));
        for (finalizer, count) in finalizers {
            *self.finalizers.entry(finalizer).or_default() += count;
        }
    }

    /// Puts the conditions in their places.
    pub(super) fn write(&self, conditions: &mut Vec<Condition>, now: Timestamp) {
        for (kind, reason, message) in CONDITIONS {
            let bad = self.finding(kind);
            let status = ConditionStatus::of(bad.is_some());
            let (reason, message) =
                bad.map_or_else(|| (Str::from(reason), Str::from(message)), |(r, m)| (r.into(), m.into()));
            condition::set(conditions, Condition::new(kind, status, reason, message, now));
        }
    }

    fn finding(&self, kind: &str) -> Option<(&'static str, String)> {
        match kind {
            "NamespaceDeletionContentFailure" if !self.failures.is_empty() => {
                let text = format!(
                    "Failed to delete all resource types, {} remaining: {}",
                    self.failures.len(),
                    sorted(self.failures.clone())
                );
                Some(("ContentDeletionFailed", text))
            }
            "NamespaceContentRemaining" if self.count_content && !self.remaining.is_empty() => Some((
                "SomeResourcesRemain",
                format!("Some resources are remaining: {}", sorted(self.remaining.clone())),
            )),
            "NamespaceFinalizersRemaining" if self.count_content && !self.finalizers.is_empty() => {
                let each = self.finalizers.iter().map(|(f, n)| format!("{f} in {n} resource instances"));
                let text = format!(
                    "Some content in the namespace has finalizers remaining: {}",
                    sorted(each.collect())
                );
                Some(("SomeFinalizersRemain", text))
            }
            _ => None,
        }
    }
}

fn sorted(mut texts: Vec<String>) -> String {
    texts.sort();
    texts.join(", ")
}
