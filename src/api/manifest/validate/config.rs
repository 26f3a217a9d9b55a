//! ConfigMaps and Secrets.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`ValidateConfigMap`, `ValidateSecret`), v1.34.

use super::{At, Report, names};
use crate::api::k8s::core::v1::{ConfigMap, Secret};

/// Bytes of all values together; upstream: `core.MaxSecretSize`.
const BYTES_MAX: usize = 1 << 20;

/// A ConfigMap.
pub(in crate::api::manifest) fn config_map(object: &ConfigMap, report: &mut Report) {
    let root = At::Root;
    let text = object.data.iter().flatten().map(|(key, value)| (key, value.len()));
    let binary = object.binary_data.iter().flatten().map(|(key, value)| (key, value.0.len()));
    let bytes = keys(text, &root.field("data"), report) + keys(binary, &root.field("binaryData"), report);
    if bytes > BYTES_MAX {
        report.too_long(&root, BYTES_MAX);
    }
}

/// A Secret.
pub(in crate::api::manifest) fn secret(object: &Secret, report: &mut Report) {
    let root = At::Root;
    let binary = object.data.iter().flatten().map(|(key, value)| (key, value.0.len()));
    let text = object.string_data.iter().flatten().map(|(key, value)| (key, value.len()));
    let bytes = keys(binary, &root.field("data"), report) + keys(text, &root.field("stringData"), report);
    if bytes > BYTES_MAX {
        report.too_long(&root.field("data"), BYTES_MAX);
    }
}

/// Checks keys, and adds up the bytes of their values.
fn keys<'k>(entries: impl Iterator<Item = (&'k String, usize)>, at: &At<'_>, report: &mut Report) -> usize {
    let mut bytes = 0usize;
    for (key, length) in entries {
        report.invalid_each(&at.key(key), key, names::config_key(key));
        bytes = bytes.saturating_add(length);
    }
    bytes
}
