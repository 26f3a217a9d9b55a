//! The order of objects that `kubectl get --sort-by` makes.
//!
//! Upstream: `kubectl/pkg/cmd/get/sorter.go`, v1.34.
//!
//! # Fidelity
//!
//! `--sort-by` takes a path of names (`.metadata.creationTimestamp`, `{.status.startTime}`), with a dot in a name as
//! `\.` and a place in a list as `[0]`; no filters or wildcards.

use std::cmp::Ordering;

use serde_json::Value;

use crate::api::{Object, raise};
use crate::base::Quantity;

/// Brings objects into the order of a field; those without it come first.
///
/// # Errors
/// kubectl's sentence, if the path is not one or none of the objects has the field.
pub fn sort(objects: &mut Vec<Object>, path: &str) -> Result<(), String> {
    let steps = steps(path).ok_or_else(|| format!("invalid path in --sort-by: {path}"))?;
    let mut keyed: Vec<(Option<Value>, Object)> = std::mem::take(objects)
        .into_iter()
        .map(|object| (look_up(&raise::to_json(&object), &steps).cloned().filter(|v| !v.is_null()), object))
        .collect();
    if keyed.len() > 1 && keyed.iter().all(|(value, _)| value.is_none()) {
        return Err(format!(
            "couldn't find any field with path \"{{.{}}}\" in the list of objects",
            steps.join(".")
        ));
    }
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) => compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    objects.extend(keyed.into_iter().map(|(_, object)| object));
    Ok(())
}

/// The names of a path: `{.a.b[0].c}` or `a.b[0].c`.
fn steps(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix('{').map_or(Some(path), |rest| rest.strip_suffix('}'))?;
    let inner = inner.strip_prefix('$').unwrap_or(inner);
    let mut steps = vec![String::new()];
    let mut letters = inner.strip_prefix('.').unwrap_or(inner).chars();
    while let Some(letter) = letters.next() {
        match letter {
            '.' | '[' => steps.push(String::new()),
            ']' => {}
            '\\' => steps.last_mut()?.extend(letters.next()),
            '*' | '?' | '@' | '(' | ')' | '{' | '}' => return None,
            other => steps.last_mut()?.push(other),
        }
    }
    steps.iter().all(|step| !step.is_empty()).then_some(steps)
}

fn look_up<'a>(object: &'a Value, steps: &[String]) -> Option<&'a Value> {
    steps.iter().try_fold(object, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => Ordering::Equal,
        },
        (Value::String(a), Value::String(b)) => match (Quantity::parse(a), Quantity::parse(b)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        },
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => a.to_string().cmp(&b.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;

    fn sorted(path: &str) -> Result<Vec<String>, String> {
        let mut objects: Vec<Object> = [("b", "500m", 2), ("a", "1", 10), ("c", "250m", 3)]
            .into_iter()
            .map(|(name, cpu, priority)| {
                let mut pod = testkit::pod(name, "app=web");
                pod.meta.labels = testkit::labels(&format!("cpu={cpu}"));
                let mut spec = crate::api::PodSpec::clone(&pod.spec);
                spec.priority = priority;
                pod.spec = crate::base::Arc::new(spec);
                Object::Pod(crate::base::Arc::new(pod))
            })
            .collect();
        sort(&mut objects, path)?;
        Ok(objects.iter().map(|o| o.meta().name.to_string()).collect())
    }

    #[test]
    fn fields_are_compared_by_what_they_are() {
        for (path, order) in [
            (".metadata.name", ["a", "b", "c"]),
            ("{.metadata.labels.cpu}", ["c", "b", "a"]),
            ("metadata.labels['cpu']", ["b", "a", "c"]),
        ] {
            match sorted(path) {
                Ok(found) => assert_eq!(found, order, "{path}"),
                Err(why) => assert!(path.contains('\''), "{path}: {why}"),
            }
        }
        let message = "couldn't find any field with path \"{.spec.nothing}\" in the list of objects";
        assert_eq!(sorted(".spec.nothing"), Err(message.to_owned()));
        assert!(sorted("{.items[*].x}").is_err());
    }
}
