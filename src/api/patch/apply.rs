//! Re-applying a manifest to an object that exists.

use serde_json::{Map, Value};

use super::keys::{self, List};
use crate::api::object::Kind;

/// Metadata that only the store writes.
const SYSTEM: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// The live object after a manifest was applied again: what the manifest sets is set; what it set last time and
/// no longer does goes; what others set stays. `null` in the manifest deletes. Status and the store's own
/// metadata stay as they are.
///
/// Lists merge by the keys of server-side apply. Unions (a Deployment's strategy, a volume's source) keep only
/// what the manifest gives, as `kubectl apply` does with `retainKeys`.
///
/// # Errors
/// A sentence: the manifest or the live object is no object, an element of a keyed list lacks the key.
pub fn three_way_apply(
    kind: Kind,
    last_applied: Option<&Value>,
    live: &Value,
    new: &Value,
) -> Result<Value, String> {
    let (Value::Object(live), Value::Object(new)) = (live, new) else {
        return Err("a manifest is an object".to_owned());
    };
    let (mut wanted, mut last) =
        (new.clone(), last_applied.and_then(Value::as_object).cloned().unwrap_or_default());
    for manifest in [&mut wanted, &mut last] {
        manifest.shift_remove("status");
        if let Some(Value::Object(meta)) = manifest.get_mut("metadata") {
            meta.retain(|name, _| !SYSTEM.contains(&name.as_str()));
        }
    }
    let merge = Merge { kind };
    merge.object("", &last, live, &wanted).map(Value::Object)
}

struct Merge {
    kind: Kind,
}

type Fields = Map<String, Value>;

impl Merge {
    /// Merges the fields of the object that the field `at` holds.
    fn object(&self, at: &str, last: &Fields, live: &Fields, new: &Fields) -> Result<Fields, String> {
        let mut result = live.clone();
        for (name, old) in last.iter().filter(|(name, _)| !new.contains_key(*name)) {
            let rest = result.get(name).and_then(|value| self.without(at, name, value, old));
            match rest {
                Some(rest) => result.insert(name.clone(), rest),
                None => result.shift_remove(name),
            };
        }
        for (name, wanted) in new {
            if wanted.is_null() {
                result.shift_remove(name);
                continue;
            }
            let merged = self.value(at, name, [last.get(name), live.get(name)], wanted)?;
            result.insert(name.clone(), merged);
        }
        Ok(result)
    }

    fn value(
        &self,
        at: &str,
        name: &str,
        [last, live]: [Option<&Value>; 2],
        new: &Value,
    ) -> Result<Value, String> {
        let empty = Fields::new();
        match new {
            Value::Object(new) => {
                let fields =
                    |value: Option<&Value>| value.and_then(Value::as_object).unwrap_or(&empty).clone();
                let mut merged = self.object(name, &fields(last), &fields(live), new)?;
                if keys::retains_keys(self.kind, at, name) {
                    merged.retain(|key, _| new.contains_key(key));
                }
                Ok(Value::Object(merged))
            }
            Value::Array(new) => {
                let items =
                    |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
                self.list(at, name, [&items(last), &items(live)], new).map(Value::Array)
            }
            scalar => Ok(scalar.clone()),
        }
    }

    fn list(
        &self,
        at: &str,
        name: &str,
        [last, live]: [&[Value]; 2],
        new: &[Value],
    ) -> Result<Vec<Value>, String> {
        match keys::list(self.kind, at, name) {
            List::Atomic => Ok(new.to_vec()),
            List::Set => {
                let others = live.iter().filter(|item| !last.contains(item) && !new.contains(item));
                Ok(new.iter().chain(others).cloned().collect())
            }
            List::Keyed(key, second) => {
                let key_of = |item: &Value| keys::key_of(item, key, second);
                let find = |list: &[Value], wanted: &_| {
                    list.iter().find(|i| key_of(i).as_ref() == Some(wanted)).cloned()
                };
                let retains = keys::retains_keys(self.kind, at, name);
                let mut result = Vec::new();
                for item in new {
                    let (Value::Object(fields), Some(wanted)) = (item, key_of(item)) else {
                        return Err(format!("an element of `{name}` lacks its key `{key}`: {item}"));
                    };
                    let have =
                        |list| find(list, &wanted).and_then(|v| v.as_object().cloned()).unwrap_or_default();
                    let mut merged = self.object(name, &have(last), &have(live), fields)?;
                    if retains {
                        merged.retain(|key, _| fields.contains_key(key));
                    }
                    result.push(Value::Object(merged));
                }
                let named =
                    |list: &[Value], item: &Value| key_of(item).is_some_and(|key| find(list, &key).is_some());
                let others = live.iter().filter(|item| !named(new, item) && !named(last, item));
                result.extend(others.cloned());
                Ok(result)
            }
        }
    }

    /// What is left of a live value once what `old` set is gone; none if that is nothing.
    fn without(&self, at: &str, name: &str, live: &Value, old: &Value) -> Option<Value> {
        match (live, old) {
            (Value::Object(live), Value::Object(old)) => {
                let mut rest = live.clone();
                for (field, value) in old {
                    let left = rest.get(field).and_then(|have| self.without(name, field, have, value));
                    match left {
                        Some(left) => rest.insert(field.clone(), left),
                        None => rest.shift_remove(field),
                    };
                }
                (!rest.is_empty()).then_some(Value::Object(rest))
            }
            (Value::Array(live), Value::Array(old)) => {
                let gone = |item: &&Value| match keys::list(self.kind, at, name) {
                    List::Atomic => true,
                    List::Set => old.contains(item),
                    List::Keyed(key, second) => {
                        let wanted = keys::key_of(item, key, second);
                        wanted.is_some() && old.iter().any(|o| keys::key_of(o, key, second) == wanted)
                    }
                };
                let rest: Vec<Value> = live.iter().filter(|item| !gone(item)).cloned().collect();
                (!rest.is_empty()).then_some(Value::Array(rest))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::object;
    use crate::api::raise::to_json;
    use serde_json::json;

    fn manifest(spec: Value) -> Value {
        let mut value = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "1"}, "creationTimestamp": null},
            "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "c", "image": "i:1"}]}}},
        });
        for (name, field) in spec.as_object().unwrap() {
            value["spec"][name] = field.clone();
        }
        value
    }

    fn live(value: Value) -> Value {
        to_json(&object(value).unwrap())
    }

    fn apply(last: &Value, live: &Value, new: &Value) -> Value {
        to_json(&object(three_way_apply(Kind::Deployment, Some(last), live, new).unwrap()).unwrap())
    }

    #[test]
    fn applying_the_same_again_changes_nothing() {
        let first = manifest(json!({"replicas": 2}));
        let mut now = live(first.clone());
        now["metadata"]["uid"] = json!("u");
        now["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        now["status"] = json!({"replicas": 2});
        assert_eq!(apply(&first, &now, &first), now);
    }

    #[test]
    fn fields_of_the_manifest_win_and_those_of_others_stay() {
        let first = manifest(json!({}));
        let mut now = live(first.clone());
        now["spec"]["replicas"] = json!(7);
        now["metadata"]["annotations"] = json!({"other": "1"});
        let new = manifest(json!({"minReadySeconds": 5}));
        let result = apply(&first, &now, &new);
        assert_eq!((&result["spec"]["replicas"], &result["spec"]["minReadySeconds"]), (&json!(7), &json!(5)));
        assert_eq!(result["metadata"]["annotations"], json!({"other": "1"}));
    }

    #[test]
    fn fields_that_are_no_longer_set_go() {
        let first = manifest(json!({"replicas": 7, "strategy": {"rollingUpdate": {"maxSurge": 5}}}));
        let mut new = manifest(json!({}));
        new["metadata"]["labels"] = json!({"b": "2"});
        let result = apply(&first, &live(first.clone()), &new);
        assert_eq!(result["spec"]["replicas"], json!(1));
        assert_eq!(result["spec"]["strategy"]["rollingUpdate"]["maxSurge"], json!("25%"));
        assert_eq!(result["metadata"]["labels"], json!({"b": "2"}));
    }

    #[test]
    fn another_strategy_drops_the_old_ones_settings() {
        let first = manifest(json!({}));
        let new = manifest(json!({"strategy": {"type": "Recreate"}}));
        let merged = three_way_apply(Kind::Deployment, Some(&first), &live(first.clone()), &new).unwrap();
        assert_eq!(merged["spec"]["strategy"], json!({"type": "Recreate"}));
    }

    #[test]
    fn containers_ports_and_volumes_merge_by_key() {
        let pod = |containers: Value, volumes: Value| {
            let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers, "volumes": volumes}});
            manifest(json!({"template": template}))
        };
        let ports = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]);
        let first = pod(
            json!([{"name": "c", "image": "i:1", "env": [{"name": "A", "value": "1"}], "ports": ports}, {"name": "d", "image": "j:1"}]),
            json!([{"name": "v", "emptyDir": {}}]),
        );
        let mut now = live(first.clone());
        let injected = json!({"name": "sidecar", "image": "s:1"});
        now["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(injected);
        let new = pod(
            json!([{"name": "c", "image": "i:2", "ports": ports}]),
            json!([{"name": "v", "configMap": {"name": "m"}}]),
        );
        let result = apply(&first, &now, &new);
        let spec = &result["spec"]["template"]["spec"];
        let names: Vec<&Value> = spec["containers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(names, ["c", "sidecar"]);
        assert_eq!(
            (&spec["containers"][0]["image"], spec["containers"][0].get("env")),
            (&json!("i:2"), None)
        );
        assert_eq!(spec["containers"][0]["ports"].as_array().map(Vec::len), Some(2));
        assert_eq!(spec["volumes"], json!([{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}]));
    }

    #[test]
    fn nulls_delete_and_nonsense_is_refused() {
        let now = live(manifest(json!({"minReadySeconds": 5})));
        let result = apply(&json!({}), &now, &manifest(json!({"minReadySeconds": null})));
        assert_eq!(result["spec"].get("minReadySeconds"), None);
        assert!(three_way_apply(Kind::Deployment, None, &now, &json!([])).is_err());
        let nameless = manifest(json!({"template": {"spec": {"containers": [{"image": "i"}]}}}));
        assert!(three_way_apply(Kind::Deployment, None, &now, &nameless).is_err());
    }
}
