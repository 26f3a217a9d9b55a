//! Where a rule is in an object, and the errors it has found.

use std::fmt;

use crate::api::manifest::tree::Tree;
use crate::base::Diagnostic;

/// The place of a field in an object.
#[derive(Clone, Copy)]
pub(in crate::api::manifest) enum At<'p> {
    /// The object.
    Root,
    /// A field.
    Field(&'p At<'p>, &'p str),
    /// An entry of a map.
    Key(&'p At<'p>, &'p str),
    /// An element of a list.
    Index(&'p At<'p>, usize),
}

impl At<'static> {
    /// A field of the object.
    pub(in crate::api::manifest) const fn top(name: &'static str) -> At<'static> {
        At::Field(&At::Root, name)
    }
}

impl<'p> At<'p> {
    /// A field of what is at this place.
    pub(in crate::api::manifest) fn field(&'p self, name: &'p str) -> At<'p> {
        At::Field(self, name)
    }

    /// An entry of the map at this place.
    pub(in crate::api::manifest) fn key(&'p self, key: &'p str) -> At<'p> {
        At::Key(self, key)
    }

    /// An element of the list at this place.
    pub(in crate::api::manifest) fn index(&'p self, index: usize) -> At<'p> {
        At::Index(self, index)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Root => Ok(()),
            At::Field(At::Root, name) => f.write_str(name),
            At::Field(parent, name) => write!(f, "{parent}.{name}"),
            At::Key(parent, key) => write!(f, "{parent}[{key}]"),
            At::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What is wrong with a field.
///
/// Upstream: `apimachinery/pkg/util/validation/field/errors.go`, v1.34.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// It has to be given.
    Required,
    /// It is malformed or out of bounds.
    Invalid,
    /// It is none of the values allowed.
    Unsupported,
    /// It is given twice.
    Duplicate,
    /// It may not be given here.
    Forbidden,
    /// It refers to something that is not there.
    NotFound,
    /// It is too long.
    TooLong,
}

impl FieldErrorKind {
    /// Upstream's words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid => "Invalid value",
            Self::Unsupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::TooLong => "Too long",
        }
    }

    /// The code of the diagnostic.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Required => "WT0110",
            Self::Invalid => "WT0111",
            Self::Unsupported => "WT0112",
            Self::Duplicate => "WT0113",
            Self::Forbidden => "WT0114",
            Self::NotFound => "WT0115",
            Self::TooLong => "WT0116",
        }
    }
}

/// A field that the API server refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field.
    pub path: String,
    /// What is wrong with it.
    pub kind: FieldErrorKind,
    /// The value as upstream prints it, where it does.
    pub value: Option<String>,
    /// Why.
    pub detail: String,
    /// The field to point at, where that is nearer to the mistake than `path`.
    pub place: Option<String>,
}

impl fmt::Display for FieldError {
    /// As upstream's `field.Error`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind.words())?;
        if let Some(value) = &self.value {
            write!(f, ": {value}")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl FieldError {
    /// The error as a diagnostic about `owner` (`Deployment "web" is invalid`), placed in its text.
    pub(in crate::api::manifest) fn diagnostic(&self, owner: &str, tree: &Tree) -> Diagnostic {
        let span = tree.path_span(self.place.as_deref().unwrap_or(&self.path));
        Diagnostic::error(self.kind.code(), format!("{owner}: {self}")).at(span, self.kind.words())
    }
}

/// A refused value, as upstream prints it.
pub(in crate::api::manifest) struct Bad(String);

impl From<&str> for Bad {
    fn from(text: &str) -> Self {
        Self(format!("{text:?}"))
    }
}

impl From<&String> for Bad {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<i32> for Bad {
    fn from(value: i32) -> Self {
        Self(value.to_string())
    }
}

impl From<i64> for Bad {
    fn from(value: i64) -> Self {
        Self(value.to_string())
    }
}

impl Bad {
    /// A value of a type that upstream prints as JSON.
    pub(in crate::api::manifest) fn json(value: &impl serde::Serialize) -> Self {
        Self(serde_json::to_string(value).unwrap_or_default())
    }
}

/// The errors that the rules have found so far.
#[derive(Debug, Default)]
pub(in crate::api::manifest) struct Report {
    errors: Vec<FieldError>,
}

impl Report {
    fn push(&mut self, at: &At<'_>, kind: FieldErrorKind, value: Option<Bad>, detail: impl Into<String>) {
        let value = value.map(|bad| bad.0);
        self.errors.push(FieldError {
            path: at.to_string(),
            kind,
            value,
            detail: detail.into(),
            place: None,
        });
    }

    /// Lets the errors after the first `from` point at `at`, while they name what upstream names.
    pub(in crate::api::manifest) fn point_at(&mut self, from: usize, at: &At<'_>) {
        for error in self.errors.iter_mut().skip(from) {
            error.place.get_or_insert_with(|| at.to_string());
        }
    }

    /// How many errors were found so far.
    pub(in crate::api::manifest) fn len(&self) -> usize {
        self.errors.len()
    }

    /// The field has to be given.
    pub(in crate::api::manifest) fn required(&mut self, at: &At<'_>, detail: &str) {
        self.push(at, FieldErrorKind::Required, None, detail);
    }

    /// The field has a bad value.
    pub(in crate::api::manifest) fn invalid(
        &mut self,
        at: &At<'_>,
        value: impl Into<Bad>,
        detail: impl Into<String>,
    ) {
        self.push(at, FieldErrorKind::Invalid, Some(value.into()), detail);
    }

    /// The field has none of the values `supported`.
    pub(in crate::api::manifest) fn unsupported(&mut self, at: &At<'_>, value: &str, supported: &[&str]) {
        let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        self.push(at, FieldErrorKind::Unsupported, Some(value.into()), detail);
    }

    /// The value is already there.
    pub(in crate::api::manifest) fn duplicate(&mut self, at: &At<'_>, value: impl Into<Bad>) {
        self.push(at, FieldErrorKind::Duplicate, Some(value.into()), "");
    }

    /// The field may not be given.
    pub(in crate::api::manifest) fn forbidden(&mut self, at: &At<'_>, detail: &str) {
        self.push(at, FieldErrorKind::Forbidden, None, detail);
    }

    /// What the value names is not there.
    pub(in crate::api::manifest) fn not_found(&mut self, at: &At<'_>, value: &str) {
        self.push(at, FieldErrorKind::NotFound, Some(value.into()), "");
    }

    /// The value has more than `max` bytes.
    pub(in crate::api::manifest) fn too_long(&mut self, at: &At<'_>, max: usize) {
        self.push(at, FieldErrorKind::TooLong, None, format!("may not be more than {max} bytes"));
    }

    /// Every message about a string, as *invalid*.
    pub(in crate::api::manifest) fn invalid_each(&mut self, at: &At<'_>, value: &str, messages: Vec<String>) {
        for message in messages {
            self.invalid(at, value, message);
        }
    }

    /// A number that may not be negative. Upstream: `ValidateNonnegativeField`.
    pub(in crate::api::manifest) fn nonnegative(&mut self, at: &At<'_>, value: impl Into<i64>) {
        let value = value.into();
        if value < 0 {
            self.invalid(at, value, "must be greater than or equal to 0");
        }
    }

    /// An optional number that may not be negative.
    pub(in crate::api::manifest) fn nonnegative_opt<N: Into<i64> + Copy>(
        &mut self,
        at: &At<'_>,
        value: Option<N>,
    ) {
        if let Some(value) = value {
            self.nonnegative(at, value);
        }
    }

    /// One word of a closed list, if it is given.
    pub(in crate::api::manifest) fn one_of(&mut self, at: &At<'_>, value: Option<&str>, supported: &[&str]) {
        if let Some(value) = value.filter(|v| !v.is_empty() && !supported.contains(v)) {
            self.unsupported(at, value, supported);
        }
    }

    /// What was found, in the order in which it was found.
    pub(in crate::api::manifest) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }
}
