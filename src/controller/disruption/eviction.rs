//! The eviction subresource.

use crate::api::{ObjectKey, Pod};
use crate::store::{ApiError, DeleteOptions, Store};

/// Evicts a Pod if its disruption budget allows it.
pub fn evict(store: &mut Store, pod: &ObjectKey, grace_seconds: Option<i64>) -> Result<(), ApiError> {
    store.delete::<Pod>(pod, &DeleteOptions { grace_seconds, ..DeleteOptions::default() }).map(|_| ())
}
