//! Making a template new without changing what it describes.
//!
//! Upstream: `kubectl/pkg/polymorphichelpers/objectrestarter.go`, v1.34.

use crate::api::{PodTemplate, fingerprint};
use crate::base::{Arc, Str};

/// The annotation that does it.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The template as `kubectl rollout restart` writes it at `now`.
///
/// # Errors
/// kubectl's words: the template of `name` was restarted in this very second.
pub fn restarted(template: &PodTemplate, name: &str, now: &str) -> Result<Arc<PodTemplate>, String> {
    if template.annotations.get(RESTARTED_AT).is_some_and(|at| *at == now) {
        let why = "if restart has already been triggered within the past second, please wait before attempting \
                   to trigger another";
        return Err(format!("failed to create patch for {name}: {why}"));
    }
    let mut template = template.clone();
    let mut raw = (*template.raw).clone();
    let metadata = raw.metadata.get_or_insert_default();
    metadata.annotations.get_or_insert_default().insert(RESTARTED_AT.to_owned(), now.to_owned());
    template.annotations = template.annotations.with(RESTARTED_AT, Str::from(now));
    template.fingerprint = fingerprint::of(&raw);
    template.raw = Arc::new(raw);
    Ok(Arc::new(template))
}
