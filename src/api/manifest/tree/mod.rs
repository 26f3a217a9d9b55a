//! Trees of values with the place of every key and value, read from YAML or JSON.
//!
//! This is the one door through which text comes in: manifests, scenarios and configurations are
//! all [`Tree`]s first. Plain scalars mean what `sigs.k8s.io/yaml` makes of them, because that is
//! what `kubectl` reads manifests with: `yes` is a boolean, `0644` is 420, `1` is never a string.

pub mod de;
mod json;
mod read;
mod scalar;
#[cfg(test)]
mod tests;

pub use read::read_documents;
pub use scalar::reads_as_text;

use crate::base::Span;

/// How much a text may ask of the reader; beyond it the reader stops with a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one text.
    pub input_bytes_max: usize,
    /// Sequences and mappings inside one another, after aliases are put in place.
    pub depth_max: usize,
    /// Values in one text, after aliases are put in place.
    pub nodes_max: usize,
    /// Weight of everything that anchors and aliases copy: one per value and one per 64 bytes of text.
    pub alias_expansion_max: usize,
    /// Documents in one text.
    pub documents_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes_max: 256 << 20,
            depth_max: 128,
            nodes_max: 20_000_000,
            alias_expansion_max: 100_000,
            documents_max: 1_000_000,
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The text of the value; empty for a value that was left out (`key:`).
    pub span: Span,
    /// The value.
    pub value: Value,
}

/// The key of an entry and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key as a string, also if it was written as a number or a boolean.
    pub text: String,
    /// The text of the key.
    pub span: Span,
}

/// A value of JSON's kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number that fits an `i64`.
    Int(i64),
    /// A whole number beyond `i64`.
    UInt(u64),
    /// A number with a fraction, or too large for the whole ones; always finite.
    Float(f64),
    /// A string.
    Str(String),
    /// A sequence.
    Seq(Vec<Tree>),
    /// A mapping in the order of the text; keys differ from one another.
    Map(Vec<(Key, Tree)>),
}

/// One step from a value to a value inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into a mapping.
    Key(&'a str),
    /// Into a sequence.
    Index(usize),
}

impl Tree {
    /// A JSON value that was never text: all of it stands at `span`.
    pub fn of_json(value: &serde_json::Value, span: Span) -> Self {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Value::Int(int),
                (None, Some(int)) => Value::UInt(int),
                (None, None) => Value::Float(number.as_f64().unwrap_or_default()),
            },
            serde_json::Value::String(text) => Value::Str(text.clone()),
            serde_json::Value::Array(elements) => {
                Value::Seq(elements.iter().map(|element| Self::of_json(element, span)).collect())
            }
            serde_json::Value::Object(entries) => {
                let entry = |(key, value): (&String, _)| {
                    (Key { text: key.clone(), span }, Self::of_json(value, span))
                };
                Value::Map(entries.iter().map(entry).collect())
            }
        };
        Self { span, value }
    }

    /// Moves every place in the tree, for a text that is a piece of another.
    pub fn move_by(&mut self, bytes: u32) {
        let moved = |span: Span| Span {
            source: span.source,
            start: span.start.saturating_add(bytes),
            end: span.end.saturating_add(bytes),
        };
        self.span = moved(self.span);
        match &mut self.value {
            Value::Seq(elements) => elements.iter_mut().for_each(|tree| tree.move_by(bytes)),
            Value::Map(entries) => entries.iter_mut().for_each(|(key, tree)| {
                key.span = moved(key.span);
                tree.move_by(bytes);
            }),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Str(_) => {}
        }
    }

    /// The entry under `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        self.entry(key).map(|(_, tree)| tree)
    }

    /// The entry under `key` with the place of the key.
    pub fn entry(&self, key: &str) -> Option<(&Key, &Tree)> {
        self.as_map()?.iter().find(|(k, _)| k.text == key).map(|(k, tree)| (k, tree))
    }

    /// The element at `index`, if this is a sequence that has it.
    pub fn index(&self, index: usize) -> Option<&Tree> {
        self.as_seq()?.get(index)
    }

    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Str(text) = &self.value { Some(text) } else { None }
    }

    /// The entries, if this is a mapping.
    pub fn as_map(&self) -> Option<&[(Key, Tree)]> {
        if let Value::Map(entries) = &self.value { Some(entries) } else { None }
    }

    /// The elements, if this is a sequence.
    pub fn as_seq(&self) -> Option<&[Tree]> {
        if let Value::Seq(elements) = &self.value { Some(elements) } else { None }
    }

    /// Whether this is `null` or was left out.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What kind of value this is, in the words of Go's JSON package.
    pub fn kind_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => "number",
            Value::Str(_) => "string",
            Value::Seq(_) => "array",
            Value::Map(_) => "object",
        }
    }

    /// The value at the end of `steps`, if there is one.
    pub fn walk<'a>(&self, steps: impl IntoIterator<Item = Step<'a>>) -> Option<&Tree> {
        steps.into_iter().try_fold(self, |tree, step| match step {
            Step::Key(key) => tree.get(key),
            Step::Index(index) => tree.index(index),
        })
    }

    /// The value at a path as Kubernetes writes it (`spec.containers[0].name`, `labels[a.b/c]`).
    pub fn lookup(&self, path: &str) -> Option<&Tree> {
        let steps = parse_path(path);
        self.walk(steps.iter().copied())
    }

    /// Where a path leads: the value, the key of a value that was left out, or the nearest parent
    /// that is there.
    pub fn path_span(&self, path: &str) -> Span {
        let (mut tree, mut span) = (self, self.span);
        for step in parse_path(path) {
            let (next, next_span) = match step {
                Step::Key(key) => match tree.entry(key) {
                    Some((key, next)) => (next, if is_short(next) { next.span } else { key.span }),
                    None => break,
                },
                Step::Index(index) => match tree.index(index) {
                    Some(next) => (next, next.span),
                    None => break,
                },
            };
            (tree, span) = (next, next_span);
        }
        if span == self.span { self.head_span() } else { span }
    }

    /// The place to show for the whole value: its first key, or all of it.
    pub fn head_span(&self) -> Span {
        match &self.value {
            Value::Map(entries) => entries.first().map_or(self.span, |(key, _)| key.span),
            Value::Seq(elements) => elements.first().map_or(self.span, Tree::head_span),
            _ => self.span,
        }
    }

    /// The value as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::from(*value),
            Value::Int(value) => Json::from(*value),
            Value::UInt(value) => Json::from(*value),
            Value::Float(value) => Json::from(*value),
            Value::Str(value) => Json::from(value.as_str()),
            Value::Seq(elements) => elements.iter().map(Tree::to_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|(key, tree)| (key.text.clone(), tree.to_json())).collect())
            }
        }
    }
}

/// Whether a value's own text is what to point at; otherwise its key is.
fn is_short(tree: &Tree) -> bool {
    !matches!(tree.value, Value::Map(_) | Value::Seq(_)) && tree.span.start < tree.span.end
}

/// The steps of a path; text in brackets is an index if it is a number, else a key.
pub fn parse_path(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (inner, after) = tail.split_once(']').unwrap_or((tail, ""));
            steps.push(inner.parse().map_or(Step::Key(inner), Step::Index));
            rest = after;
        } else if let Some(tail) = rest.strip_prefix('.') {
            rest = tail;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            steps.push(Step::Key(name));
            rest = after;
        }
    }
    steps
}
