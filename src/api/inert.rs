//! Objects that the simulation carries but does not move: CRDs, RBAC, ConfigMaps, Ingresses …

use std::hash::{Hash, Hasher};

use super::meta::Meta;
use crate::base::{Arc, Str};

/// An object of a kind that nothing in the simulation acts on.
#[derive(Clone, Debug)]
pub struct Inert {
    /// Metadata.
    pub meta: Meta,
    /// Group and version.
    pub api_version: Str,
    /// The kind.
    pub kind: Str,
    /// Whether the kind lives in namespaces.
    pub namespaced: bool,
    /// The object without metadata, as JSON text.
    pub body: Arc<str>,
}

impl Inert {
    /// The body, parsed; null if it is broken.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A text of the body by its path; empty if it is not there.
    pub fn text(&self, path: &[&str]) -> Str {
        let body = self.json();
        let found = path.iter().try_fold(&body, |value, field| value.get(field));
        found.and_then(serde_json::Value::as_str).unwrap_or_default().into()
    }
}

impl Inert {
    /// Sets a field of a part of the body, `status.readyToUse`; null takes it away.
    pub fn set(&mut self, part: &str, field: &str, value: serde_json::Value) {
        let mut body = self.json();
        if !body.is_object() {
            body = serde_json::json!({});
        }
        if value.is_null() {
            if let Some(part) = body.get_mut(part).and_then(serde_json::Value::as_object_mut) {
                part.shift_remove(field);
            }
        } else {
            if !body.get(part).is_some_and(serde_json::Value::is_object) {
                body[part] = serde_json::json!({});
            }
            body[part][field] = value;
        }
        self.body = body.to_string().into();
    }
}

impl PartialEq for Inert {
    fn eq(&self, other: &Self) -> bool {
        self.meta == other.meta
            && self.api_version == other.api_version
            && self.kind == other.kind
            && self.body == other.body
    }
}

impl Eq for Inert {}

impl Hash for Inert {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meta.hash(state);
        self.api_version.hash(state);
        self.kind.hash(state);
        self.body.hash(state);
    }
}
