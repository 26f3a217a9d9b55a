//! Strategic merge patches.

use serde_json::{Map, Value};

use super::keys::{self, List};
use crate::api::object::Kind;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Applies a strategic merge patch to an object of a kind: objects merge, lists of the API merge by their
/// keys, `null` deletes, `$patch: delete` and `$patch: replace` do what they say.
///
/// Upstream: `apimachinery/pkg/util/strategicpatch/patch.go`, v1.34.
///
/// # Errors
/// A sentence: an element of a keyed list lacks the key, a directive is unknown.
///
/// # Fidelity
/// `$setElementOrder` is ignored: elements keep their places, new ones come last.
pub fn strategic_merge(kind: Kind, target: &Value, patch: &Value) -> Result<Value, String> {
    let Value::Object(fields) = patch else {
        return Err("a strategic merge patch is an object".to_owned());
    };
    let empty = Map::new();
    let target = target.as_object().unwrap_or(&empty);
    Ok(Value::Object(merge_object(kind, "", target, fields)?.unwrap_or_default()))
}

/// The merged object; none if the patch deletes it. `at` is the name of the field that holds it.
fn merge_object(
    kind: Kind,
    at: &str,
    target: &Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, String> {
    match directive(patch)? {
        Directive::Merge => {}
        Directive::Delete => return Ok(None),
        Directive::Replace => return Ok(Some(cleaned(patch))),
    }
    let mut result = target.clone();
    if let Some(Value::Array(retained)) = patch.get(RETAIN) {
        result.retain(|name, _| retained.iter().any(|r| r == name));
    }
    for (name, value) in patch {
        if name == RETAIN || name == DIRECTIVE || name.starts_with(ORDER) {
            continue;
        }
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (result.get_mut(list), value) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        match merge_value(kind, at, name, result.get(name), value)? {
            Some(merged) => result.insert(name.clone(), merged),
            None => result.shift_remove(name),
        };
    }
    Ok(Some(result))
}

fn merge_value(
    kind: Kind,
    parent: &str,
    name: &str,
    target: Option<&Value>,
    patch: &Value,
) -> Result<Option<Value>, String> {
    match (target, patch) {
        (_, Value::Null) => Ok(None),
        (Some(Value::Object(target)), Value::Object(patch)) => {
            Ok(merge_object(kind, name, target, patch)?.map(Value::Object))
        }
        (None, Value::Object(patch)) => Ok(merge_object(kind, name, &Map::new(), patch)?.map(Value::Object)),
        (target, Value::Array(patch)) => {
            let items = target.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            merge_list(kind, parent, name, items, patch).map(Value::Array).map(Some)
        }
        (_, scalar) => Ok(Some(clean(scalar))),
    }
}

fn merge_list(
    kind: Kind,
    parent: &str,
    name: &str,
    target: &[Value],
    patch: &[Value],
) -> Result<Vec<Value>, String> {
    match keys::list(kind, parent, name) {
        List::Atomic => Ok(patch.iter().map(clean).collect()),
        List::Set => {
            let mut result = target.to_vec();
            for item in patch {
                if !result.contains(item) {
                    result.push(item.clone());
                }
            }
            Ok(result)
        }
        List::Keyed(key, _) => merge_keyed(kind, name, key, target, patch),
    }
}

fn merge_keyed(
    kind: Kind,
    name: &str,
    key: &str,
    target: &[Value],
    patch: &[Value],
) -> Result<Vec<Value>, String> {
    let replaces =
        |item: &Value| item.get(DIRECTIVE).is_some_and(|d| d == "replace") && item.get(key).is_none();
    if patch.iter().any(replaces) {
        return Ok(patch.iter().filter(|item| !replaces(item)).map(clean).collect());
    }
    let mut result = target.to_vec();
    for item in patch {
        let Value::Object(fields) = item else {
            return Err(format!("an element of `{name}` is an object"));
        };
        let Some(wanted) = fields.get(key) else {
            return Err(format!("map: {item} does not contain declared merge key: {key}"));
        };
        let place = result.iter().position(|have| have.get(key) == Some(wanted));
        let empty = Map::new();
        let have = place.and_then(|i| result[i].as_object()).unwrap_or(&empty);
        match (place, merge_object(kind, name, have, fields)?) {
            (Some(index), Some(merged)) => result[index] = Value::Object(merged),
            (None, Some(merged)) => result.push(Value::Object(merged)),
            (Some(_), None) => result.retain(|have| have.get(key) != Some(wanted)),
            (None, None) => {}
        }
    }
    Ok(result)
}

enum Directive {
    Merge,
    Delete,
    Replace,
}

fn directive(patch: &Map<String, Value>) -> Result<Directive, String> {
    match patch.get(DIRECTIVE).map(|d| d.as_str().unwrap_or_default()) {
        None | Some("merge") => Ok(Directive::Merge),
        Some("delete") => Ok(Directive::Delete),
        Some("replace") => Ok(Directive::Replace),
        Some(other) => Err(format!("unknown patch type found: {other}")),
    }
}

/// A value of a patch without directives and without what it deletes.
fn clean(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(cleaned(fields)),
        Value::Array(items) => items.iter().map(clean).collect(),
        scalar => scalar.clone(),
    }
}

fn cleaned(fields: &Map<String, Value>) -> Map<String, Value> {
    let kept = fields.iter().filter(|(name, value)| !name.starts_with('$') && !value.is_null());
    kept.map(|(name, value)| (name.clone(), clean(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: Value) -> Value {
        json!({"metadata": {"name": "p", "finalizers": ["a", "b"]}, "spec": spec})
    }

    fn patched(target: Value, patch: Value) -> Value {
        strategic_merge(Kind::Pod, &pod(target), &json!({"spec": patch})).unwrap()["spec"].clone()
    }

    #[test]
    fn keyed_lists_merge_and_others_are_replaced() {
        let target = json!({"containers": [{"name": "a", "image": "x", "env": [{"name": "K", "value": "1"}]}, {"name": "b"}],
            "tolerations": [{"key": "x"}]});
        let patch = json!({"containers": [{"name": "c"}, {"name": "a", "image": "y", "env": [{"name": "L", "value": "2"}], "args": ["q"]}],
            "tolerations": [{"key": "y"}]});
        assert_eq!(
            patched(target, patch),
            json!({"containers": [
                {"name": "a", "image": "y", "env": [{"name": "K", "value": "1"}, {"name": "L", "value": "2"}], "args": ["q"]},
                {"name": "b"}, {"name": "c"},
            ], "tolerations": [{"key": "y"}]})
        );
    }

    #[test]
    fn directives_and_nulls_delete_and_replace() {
        let target = || json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}, {"name": "b"}], "nodeSelector": {"x": "1", "y": "2"}});
        assert_eq!(
            patched(target(), json!({"containers": [{"name": "b", "$patch": "delete"}]}))["containers"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        assert_eq!(
            patched(target(), json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}))["containers"],
            json!([{"name": "z"}])
        );
        assert_eq!(
            patched(target(), json!({"nodeSelector": {"$patch": "replace", "z": "3"}}))["nodeSelector"],
            json!({"z": "3"})
        );
        assert_eq!(
            patched(target(), json!({"nodeSelector": {"$retainKeys": ["x"], "x": "9"}}))["nodeSelector"],
            json!({"x": "9"})
        );
        assert_eq!(
            patched(target(), json!({"nodeSelector": {"x": null}}))["nodeSelector"],
            json!({"y": "2"})
        );
        assert_eq!(patched(target(), json!({"nodeSelector": null})).get("nodeSelector"), None);
        assert_eq!(
            patched(target(), json!({"affinity": {"nodeAffinity": null, "podAffinity": {}}}))["affinity"],
            json!({"podAffinity": {}})
        );
        let order = json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]});
        assert_eq!(patched(target(), order), target());
    }

    #[test]
    fn sets_grow_and_shrink() {
        let patch =
            json!({"metadata": {"finalizers": ["c", "a"], "$deleteFromPrimitiveList/finalizers": ["b"]}});
        let merged = strategic_merge(Kind::Pod, &pod(json!({})), &patch).unwrap();
        assert_eq!(merged["metadata"]["finalizers"], json!(["a", "c"]));
    }

    #[test]
    fn mistakes_are_told() {
        let merge = |patch| strategic_merge(Kind::Pod, &pod(json!({})), &patch);
        assert!(
            merge(json!({"spec": {"containers": [{"image": "x"}]}})).unwrap_err().contains("merge key: name")
        );
        assert_eq!(
            merge(json!({"spec": {"$patch": "eat"}})),
            Err("unknown patch type found: eat".to_owned())
        );
        assert!(merge(json!([])).is_err());
    }
}
