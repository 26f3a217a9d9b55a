//! PrioritySort: higher priority first, then whoever has waited longer.
//!
//! Upstream: `pkg/scheduler/framework/plugins/queuesort/priority_sort.go`, v1.34.

use crate::scheduler::framework::{Extensions, PodInfo, QueueSort, Setup, SortKey};

/// The plugin's name.
pub const NAME: &str = "PrioritySort";

#[derive(Debug)]
struct PrioritySort;

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, PrioritySort).queue_sort().done()
}

impl QueueSort for PrioritySort {
    fn key(&self, _: &PodInfo, key: SortKey) -> (i64, u64, u64) {
        (-i64::from(key.priority), key.timestamp.as_nanos(), key.sequence)
    }
}
