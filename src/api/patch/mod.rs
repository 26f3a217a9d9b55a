//! Patches and re-applied manifests, on JSON values.
//!
//! A patched object is raised to JSON, patched, and lowered again, so that a patch can reach every field.

mod apply;
mod keys;
mod strategic;

pub use apply::three_way_apply;
pub use strategic::strategic_merge;

use serde_json::{Map, Value};

/// Operations that a JSON patch may have.
///
/// Upstream: `maxJSONPatchOperations` in `apiserver/pkg/endpoints/handlers/patch.go`, v1.34.
const OPERATIONS_MAX: usize = 10_000;

/// Applies a JSON patch (RFC 6902): all operations, or none.
///
/// # Errors
/// The patch is no list of operations, or one of them cannot be carried out.
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, String> {
    let refused =
        |why: String| format!("the server rejected our request due to an error in our request: {why}");
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|error| refused(error.to_string()))?;
    let count = operations.0.len();
    if count > OPERATIONS_MAX {
        return Err(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {count}"
        ));
    }
    let mut result = target.clone();
    json_patch::patch(&mut result, &operations).map_err(|error| refused(error.to_string()))?;
    Ok(result)
}

/// Applies a JSON merge patch (RFC 7386): objects merge, `null` deletes, anything else replaces.
pub fn json_merge(target: &Value, patch: &Value) -> Value {
    let Value::Object(fields) = patch else { return patch.clone() };
    let mut result = match target {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    for (name, value) in fields {
        if value.is_null() {
            result.shift_remove(name);
        } else {
            let merged = json_merge(result.get(name).unwrap_or(&Value::Null), value);
            result.insert(name.clone(), merged);
        }
    }
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_patches_follow_the_rfc() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [1]}), json!({"a": [2, 3]}), json!({"a": [2, 3]})),
            (json!([1]), json!({"a": {"b": null}}), json!({"a": {}})),
            (json!({}), json!(["x"]), json!(["x"])),
        ] {
            assert_eq!(json_merge(&target, &patch), expected, "{target} {patch}");
        }
    }

    #[test]
    fn json_patches_are_carried_out_whole_or_not_at_all() {
        let target = json!({"spec": {"replicas": 1, "list": ["a", "b"]}});
        for (patch, expected) in [
            (
                json!([{"op": "replace", "path": "/spec/replicas", "value": 3}]),
                json!({"spec": {"replicas": 3, "list": ["a", "b"]}}),
            ),
            (
                json!([{"op": "add", "path": "/spec/list/-", "value": "c"}, {"op": "remove", "path": "/spec/list/0"}]),
                json!({"spec": {"replicas": 1, "list": ["b", "c"]}}),
            ),
            (
                json!([{"op": "test", "path": "/spec/replicas", "value": 1}, {"op": "move", "from": "/spec/list", "path": "/list"}]),
                json!({"spec": {"replicas": 1}, "list": ["a", "b"]}),
            ),
            (
                json!([{"op": "copy", "from": "/spec/replicas", "path": "/a~1b"}]),
                json!({"spec": {"replicas": 1, "list": ["a", "b"]}, "a/b": 1}),
            ),
        ] {
            assert_eq!(json_patch(&target, &patch).unwrap(), expected, "{patch}");
        }
        for wrong in [
            json!([{"op": "replace", "path": "/spec/nothing", "value": 3}]),
            json!([{"op": "test", "path": "/spec/replicas", "value": 2}]),
            json!([{"op": "twist", "path": "/spec"}]),
            json!({"op": "add"}),
        ] {
            assert!(json_patch(&target, &wrong).is_err(), "{wrong}");
        }
    }
}
