//! What is wrong with a value, and how it is said.

use std::fmt;

use serde::de;

use super::{Node, Path, TypeError, Words};
use crate::base::diag::did_you_mean;

/// Upstream: `resource.ErrFormatWrong`.
pub(super) const NOT_A_QUANTITY: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// A type error on its way out: first only its words, then with its place.
#[derive(Debug)]
pub(super) enum Fault {
    /// A sentence without a place.
    Said(String),
    /// A value of another type than asked for, without a place.
    Invalid { found: String, wanted: String },
    /// With its place.
    Placed(Box<TypeError>),
}

impl Fault {
    /// A value of kind `found` where the type `go_type` was asked for.
    pub(super) fn mismatch(node: &Node<'_, '_>, found: &str, go_type: &str) -> Self {
        Self::Said(unmarshal(node, found, go_type)).placed(node)
    }

    /// The fault with the place of `node`, unless it has one already; the node counts as `null` from now on.
    pub(super) fn placed(self, node: &Node<'_, '_>) -> Self {
        self.placed_with(node, node.place())
    }

    /// As [`Fault::placed`], pointing at the key of `node`.
    pub(super) fn placed_at_key(self, node: &Node<'_, '_>) -> Self {
        let span = node.key.map_or(node.tree.span, |key| key.span);
        self.placed_with(node, span)
    }

    fn placed_with(self, node: &Node<'_, '_>, span: crate::base::Span) -> Self {
        let message = match self {
            Self::Placed(error) => return Self::Placed(error),
            Self::Said(message) => message,
            Self::Invalid { found, wanted } => match node.context.words {
                Words::Kubernetes => unmarshal(node, node.tree.kind_name(), go_name(&wanted)),
                Words::Plain => format!("expected {wanted}, found {found}"),
            },
        };
        node.context.nulled.borrow_mut().push(node.address());
        Self::Placed(Box::new(TypeError { path: node.path.to_string(), span, message }))
    }

    pub(super) fn into_type_error(self) -> TypeError {
        match self {
            Self::Placed(error) => *error,
            // Every fault is placed on its way out; the words are what matters here.
            Self::Said(message) => TypeError { path: String::new(), span: NOWHERE, message },
            Self::Invalid { found, wanted } => TypeError {
                path: String::new(),
                span: NOWHERE,
                message: format!("expected {wanted}, found {found}"),
            },
        }
    }
}

const NOWHERE: crate::base::Span = crate::base::Span { source: crate::base::SourceId(0), start: 0, end: 0 };

/// Go's name for what a visitor says it expects.
fn go_name(wanted: &str) -> &str {
    match wanted {
        "IntOrString" => "intstr.IntOrString",
        "a 32-bit integer" => "int32",
        other => other,
    }
}

/// The sentence for a value of the wrong type.
fn unmarshal(node: &Node<'_, '_>, found: &str, go_type: &str) -> String {
    match node.context.words {
        Words::Plain => format!("expected {}, found {}", plain_type(go_type), plain_kind(found)),
        Words::Kubernetes => match innermost_struct(node.path) {
            Some(name) => {
                let fields = go_path(node.path);
                format!(
                    "json: cannot unmarshal {found} into Go struct field {name}.{fields} of type {go_type}"
                )
            }
            None => format!("json: cannot unmarshal {found} into Go value of type {go_type}"),
        },
    }
}

fn plain_kind(found: &str) -> String {
    match found {
        "null" => "nothing".to_owned(),
        "bool" => "a boolean".to_owned(),
        "number" => "a number".to_owned(),
        "string" => "a string".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "a mapping".to_owned(),
        other => format!("the {other}"),
    }
}

fn plain_type(go_type: &str) -> String {
    match go_type {
        "string" => "a string".to_owned(),
        "bool" => "`true` or `false`".to_owned(),
        "float64" => "a number".to_owned(),
        "null" => "nothing".to_owned(),
        _ if go_type.starts_with("[]") => "a list".to_owned(),
        _ if go_type.starts_with("map[") || go_type.starts_with("v1.") => "a mapping".to_owned(),
        "int8" | "int16" | "int32" | "int64" => "a whole number".to_owned(),
        "uint8" | "uint16" | "uint32" | "uint64" => "a whole number, zero or more".to_owned(),
        other => other.to_owned(),
    }
}

fn innermost_struct(path: &Path<'_>) -> Option<&'static str> {
    match path {
        Path::Root => None,
        Path::Field(_, of, _) => Some(of.name),
        Path::Key(parent, _) | Path::Index(parent, _) => innermost_struct(parent),
    }
}

/// The fields on the way, without the indexes and map keys between them, as Go lists them.
fn go_path(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Field(parent, _, name) => match go_path(parent) {
            parent if parent.is_empty() => (*name).to_owned(),
            parent => format!("{parent}.{name}"),
        },
        Path::Key(parent, _) | Path::Index(parent, _) => go_path(parent),
    }
}

/// The words for what is wrong inside a type that wraps a string.
pub(super) fn of_newtype(name: &str, node: &Node<'_, '_>, fault: Fault) -> Fault {
    let time = matches!(name, "Time" | "MicroTime");
    match (&fault, node.tree.as_str(), node.context.words) {
        (Fault::Placed(error), Some(text), Words::Kubernetes)
            if time && !error.message.starts_with("json:") =>
        {
            let message =
                format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": not a time of RFC 3339");
            Fault::Placed(Box::new(TypeError { message, ..(**error).clone() }))
        }
        _ => fault,
    }
}

/// The sentence for a mapping that should name one of `variants`.
pub(super) fn one_of(variants: &[&str]) -> String {
    format!("expected exactly one of {}", quoted(variants))
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(message) => f.write_str(message),
            Self::Invalid { found, wanted } => write!(f, "expected {wanted}, found {found}"),
            Self::Placed(error) => f.write_str(&error.message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Said(message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::Invalid { found: found.to_string(), wanted: wanted.to_string() }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::Said(match did_you_mean(field, expected.iter().copied()) {
            Some(near) => format!("unknown field `{field}`, did you mean `{near}`?"),
            None => format!("unknown field `{field}`, expected one of {}", quoted(expected)),
        })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::Said(match did_you_mean(variant, expected.iter().copied()) {
            Some(near) => format!("unknown value `{variant}`, did you mean `{near}`?"),
            None => format!("unknown value `{variant}`, expected one of {}", quoted(expected)),
        })
    }
}
