//! Where in an object lowering is, and the errors it has met.

use std::cell::RefCell;
use std::fmt;

use crate::base::Quantity;

/// A value that cannot be what its field is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowerError {
    /// The JSON path: `spec.template.spec.containers[0].resources.requests.cpu`; empty for the object itself.
    pub path: String,
    /// What is wrong, in the API server's words where it has some.
    pub message: String,
}

impl fmt::Display for LowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for LowerError {}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

/// A place in an object, with the list that errors go to.
pub(crate) struct At<'a> {
    errors: &'a RefCell<Vec<LowerError>>,
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

/// Runs `lower` at the root of an object: its result if it met no error, else all errors.
pub(crate) fn collect<T>(lower: impl FnOnce(&At<'_>) -> T) -> Result<T, Vec<LowerError>> {
    let errors = RefCell::new(Vec::new());
    let result = lower(&At { errors: &errors, parent: None, step: Step::Root });
    let errors = errors.into_inner();
    if errors.is_empty() { Ok(result) } else { Err(errors) }
}

impl At<'_> {
    /// The place of a field, or of a key of a map.
    pub fn field<'b>(&'b self, name: &'b str) -> At<'b> {
        At { errors: self.errors, parent: Some(self), step: Step::Field(name) }
    }

    /// The place of an element.
    pub fn index(&self, index: usize) -> At<'_> {
        At { errors: self.errors, parent: Some(self), step: Step::Index(index) }
    }

    /// Notes an error at this place.
    pub fn error(&self, message: impl Into<String>) {
        self.errors.borrow_mut().push(LowerError { path: self.path(), message: message.into() });
    }

    fn path(&self) -> String {
        let mut path = self.parent.map_or_else(String::new, At::path);
        match self.step {
            Step::Root => {}
            Step::Field(name) => push_field(&mut path, name),
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
        path
    }

    /// Reads one of several words; an unknown one is an error and gives the first.
    ///
    /// Upstream's words: `apimachinery/pkg/util/validation/field/errors.go` `NotSupported`, v1.34.
    pub fn one_of<T: Copy>(&self, text: &str, words: &[(&str, T)], fallback: T) -> T {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let mut supported: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        supported.sort();
        self.error(format!("Unsupported value: \"{text}\": supported values: {}", supported.join(", ")));
        fallback
    }

    /// Reads a quantity; nonsense is an error and gives zero.
    pub fn quantity(&self, text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|_| {
            self.error(
                "quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            );
            Quantity::ZERO
        })
    }

    /// Lowers every element of a list at its place.
    pub fn each<T, U>(&self, list: Option<Vec<T>>, mut lower: impl FnMut(&At<'_>, T) -> U) -> Vec<U> {
        list.unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(index, item)| lower(&self.index(index), item))
            .collect()
    }

    /// Lowers what is there at the place of a field.
    pub fn opt<T, U>(&self, name: &str, value: Option<T>, lower: impl FnOnce(&At<'_>, T) -> U) -> Option<U> {
        value.map(|value| lower(&self.field(name), value))
    }
}

/// Appends a field to a path; keys with dots or slashes go in brackets, as upstream writes them.
pub(crate) fn push_field(path: &mut String, name: &str) {
    if name.contains(['.', '/', '[']) {
        path.push_str(&format!("[{name}]"));
    } else {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_paths_and_upstreams_words() {
        let errors = collect(|at| {
            let spec = at.field("spec");
            let list = spec.field("containers");
            list.index(1).field("requests").field("nvidia.com/gpu").quantity("1x");
            spec.field("restartPolicy").one_of("x", &[("B", 1), ("A", 2)], 1)
        })
        .unwrap_err();
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "spec.containers[1].requests[nvidia.com/gpu]: quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
                "spec.restartPolicy: Unsupported value: \"x\": supported values: \"A\", \"B\"",
            ]
        );
    }
}
