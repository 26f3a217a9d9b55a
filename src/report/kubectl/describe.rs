//! `kubectl describe`.

use crate::api::Object;
use crate::store::Store;

/// Describes an object.
pub fn describe(_object: &Object, _store: &Store) -> String {
    String::new()
}
