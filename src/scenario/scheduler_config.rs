//! A `KubeSchedulerConfiguration` in a scenario or among manifests, checked before anything runs.

use std::cmp::Reverse;

use super::code;
use crate::api::manifest::tree::{Tree, Value};
use crate::base::{Diagnostic, Span};
use crate::scheduler::Config;

/// Reads a configuration.
///
/// # Errors
/// What is wrong, in kube-scheduler's words, each where it stands.
pub fn read(tree: &Tree) -> Result<Config, Vec<Diagnostic>> {
    Config::from_json(&tree.to_json()).map_err(|wrong| {
        let told = |message: String| {
            let place = place(tree, &message);
            Diagnostic::error(code::INVALID_VALUE, message).at(place, "")
        };
        wrong.into_iter().map(told).collect()
    })
}

/// What a message is about: the field whose path it names, else the value that it quotes, else the document.
fn place(tree: &Tree, message: &str) -> Span {
    let words = message.split([' ', '"', ',']).map(|word| as_written(word.trim_matches([':', '.'])));
    let is_there = |word: &String| word.split(['.', '[']).next().is_some_and(|key| tree.entry(key).is_some());
    // The first of the deepest.
    let field = words.filter(is_there).min_by_key(|word| Reverse(word.split(['.', '[']).count()));
    let mut quoted = message.split('"').skip(1).step_by(2).filter_map(|word| find(tree, word));
    match field {
        Some(field) if field.contains(['.', '[']) => tree.path_span(&field),
        Some(field) => quoted.next().unwrap_or_else(|| tree.path_span(&field)),
        None => quoted.next().unwrap_or_else(|| tree.head_span()),
    }
}

/// A field as the document writes it: some messages name them as Go does.
fn as_written(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Where a text stands as a value below `profiles`.
fn find(tree: &Tree, text: &str) -> Option<Span> {
    fn search(tree: &Tree, text: &str) -> Option<Span> {
        match &tree.value {
            Value::Str(value) => (value.as_str() == text).then_some(tree.span),
            Value::Seq(elements) => elements.iter().find_map(|element| search(element, text)),
            Value::Map(entries) => entries.iter().find_map(|(_, value)| search(value, text)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => None,
        }
    }
    search(tree.get("profiles")?, text)
}
