//! Which fields are simulated.

use super::tree::Tree;
use crate::base::Span;

/// The fields of an object that are set and not simulated: the path as the table has it, and the place.
pub(super) fn not_simulated(_kind: &str, _api_version: &str, _tree: &Tree) -> Vec<(String, Span)> {
    Vec::new()
}
