//! Kinds without words of their own: every field under a readable name.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Scene, Sheet};
use crate::api::raise;

/// Fields that stand at the top already, or for nobody.
const SKIPPED: &[&str] = &[
    ".metadata.managedFields",
    ".metadata.name",
    ".metadata.namespace",
    ".metadata.labels",
    ".metadata.annotations",
];

/// An object of any kind.
pub(super) fn any(sheet: &mut Sheet, object: &crate::api::Object, scene: &Scene<'_>) {
    let json = raise::to_json(object);
    head(sheet, &json);
    content(sheet, 0, &json, "");
    scene.events(sheet);
}

/// A ConfigMap.
pub(super) fn config_map(sheet: &mut Sheet, object: &crate::api::Object, scene: &Scene<'_>) {
    let json = raise::to_json(object);
    head(sheet, &json);
    sheet.put("\nData\n====\n");
    for (key, value) in sorted(&json["data"]) {
        sheet.put(format_args!("{key}:\n----\n{}\n\n", value.as_str().unwrap_or_default()));
    }
    sheet.put("\nBinaryData\n====\n");
    for (key, value) in sorted(&json["binaryData"]) {
        let encoded = value.as_str().unwrap_or_default();
        let bytes = encoded.len() / 4 * 3 - encoded.bytes().rev().take_while(|b| *b == b'=').count();
        sheet.put(format_args!("{key}: {bytes} bytes\n"));
    }
    sheet.put("\n");
    scene.events(sheet);
}

fn head(sheet: &mut Sheet, json: &Value) {
    let metadata = &json["metadata"];
    sheet.field(0, "Name", metadata["name"].as_str().unwrap_or_default());
    sheet.field(0, "Namespace", metadata["namespace"].as_str().unwrap_or_default());
    sheet.labels(0, "Labels", Some(&text_map(&metadata["labels"])));
    sheet.annotations("Annotations", Some(&text_map(&metadata["annotations"])));
}

fn text_map(value: &Value) -> BTreeMap<String, String> {
    sorted(value).into_iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
}

fn sorted(value: &Value) -> BTreeMap<&String, &Value> {
    value.as_object().into_iter().flatten().collect()
}

fn content(sheet: &mut Sheet, level: usize, value: &Value, path: &str) {
    for (field, value) in sorted(value) {
        let path = format!("{path}.{field}");
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        match value {
            Value::Object(_) => {
                sheet.line(level, format_args!("{}:", label(field)));
                content(sheet, level + 1, value, &path);
            }
            Value::Array(items) => {
                sheet.line(level, format_args!("{}:", label(field)));
                for item in items {
                    match item {
                        Value::Object(_) => content(sheet, level + 1, item, &path),
                        other => sheet.line(level + 1, plain(other)),
                    }
                }
            }
            scalar => sheet.field(level, label(field), plain(scalar)),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A field's name in words: `apiVersion` is `API Version`.
fn label(field: &str) -> String {
    if field.contains(|c: char| !c.is_alphabetic() && c != '-') {
        return field.to_owned();
    }
    let words = words(field).into_iter().map(|word| {
        let upper = word.to_uppercase();
        if matches!(upper.as_str(), "API" | "URL" | "UID" | "OSB" | "GUID") {
            return upper;
        }
        let mut chars = word.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The words of a name in camel case; a run of capitals is one word, but its last begins the next.
fn words(field: &str) -> Vec<String> {
    let chars: Vec<char> = field.chars().collect();
    let mut words: Vec<String> = Vec::new();
    for (at, c) in chars.iter().copied().enumerate() {
        let before = at.checked_sub(1).map(|i| chars[i]);
        let next_is_lower = chars.get(at + 1).is_some_and(|n| n.is_lowercase());
        let begins = match before {
            None => true,
            Some(b) if b.is_alphabetic() != c.is_alphabetic() => true,
            Some(b) => c.is_uppercase() && (b.is_lowercase() || next_is_lower),
        };
        match words.last_mut() {
            Some(word) if !begins => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn names_are_told_in_words() {
        for (field, expected) in [
            ("apiVersion", "API Version"),
            ("creationTimestamp", "Creation Timestamp"),
            ("uid", "UID"),
            ("ownerReferences", "Owner References"),
            ("clusterIPs", "Cluster I Ps"),
            ("example.com/x", "example.com/x"),
        ] {
            assert_eq!(label(field), expected);
        }
    }
}
