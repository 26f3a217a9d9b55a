//! What is wrong with a field, as upstream says it.
//!
//! Upstream: `apimachinery/pkg/util/validation/field/errors.go`, v1.34.

use std::fmt::Display;

/// `path: Invalid value: 0: why`.
pub(super) fn invalid(path: &str, value: impl Display, why: &str) -> String {
    format!("{path}: Invalid value: {value}: {why}")
}

/// `path: Invalid value: "x": why`.
pub(super) fn invalid_text(path: &str, value: &str, why: &str) -> String {
    format!("{path}: Invalid value: \"{value}\": {why}")
}

/// `path: Required value: why`.
pub(super) fn required(path: &str, why: &str) -> String {
    if why.is_empty() { format!("{path}: Required value") } else { format!("{path}: Required value: {why}") }
}

/// `path: Duplicate value: "x"`.
pub(super) fn duplicate(path: &str, value: &str) -> String {
    format!("{path}: Duplicate value: \"{value}\"")
}

/// `path: Unsupported value: "x": supported values: "a", "b"`.
pub(super) fn not_supported(path: &str, value: &str, supported: &[&str]) -> String {
    let list: Vec<String> = supported.iter().map(|word| format!("\"{word}\"")).collect();
    format!("{path}: Unsupported value: \"{value}\": supported values: {}", list.join(", "))
}

/// `path: Forbidden: why`.
pub(super) fn forbidden(path: &str, why: &str) -> String {
    format!("{path}: Forbidden: {why}")
}

/// Several errors as one: `[a, b]`.
pub(super) fn aggregate(errors: &[String]) -> String {
    match errors {
        [one] => one.clone(),
        all => format!("[{}]", all.join(", ")),
    }
}
