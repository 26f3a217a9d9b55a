//! Metadata, labels and selectors.
//!
//! Upstream: `apimachinery/pkg/api/validation/objectmeta.go` and
//! `apimachinery/pkg/apis/meta/v1/validation/validation.go`, v1.34.

use std::collections::BTreeMap;

use super::names;
use super::{At, Bad, NameRule, Report, Scope};
use crate::api::metav1::{LabelSelector, ObjectMeta, OwnerReference};

const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

/// The metadata of an object. Upstream: `ValidateObjectMetaAccessor`.
pub(in crate::api::manifest) fn object_meta(meta: &ObjectMeta, scope: Scope, report: &mut Report) {
    let root = At::Root;
    let at = root.field("metadata");
    name(meta, scope, &at, report);
    if let (Some(namespace), Scope::Namespaced(_) | Scope::Any) = (meta.namespace.as_deref(), scope)
        && !namespace.is_empty()
    {
        report.invalid_each(&at.field("namespace"), namespace, names::dns1123_label(namespace));
    }
    labels(meta.labels.as_ref(), &at.field("labels"), report);
    annotations(meta.annotations.as_ref(), &at.field("annotations"), report);
    owner_references(
        meta.owner_references.as_deref().unwrap_or_default(),
        &at.field("ownerReferences"),
        report,
    );
    let finalizers = at.field("finalizers");
    for (i, finalizer) in meta.finalizers.iter().flatten().enumerate() {
        report.invalid_each(&finalizers.index(i), finalizer, names::qualified_name(finalizer));
    }
}

fn name(meta: &ObjectMeta, scope: Scope, at: &At<'_>, report: &mut Report) {
    let rule = match scope {
        Scope::Namespaced(rule) | Scope::Cluster(rule) => rule,
        Scope::Any => NameRule::Path,
    };
    let check = |name: &str| match rule {
        NameRule::Subdomain => names::dns1123_subdomain(name),
        NameRule::Label => names::dns1123_label(name),
        NameRule::Label1035 => names::dns1035_label(name),
        NameRule::Path => names::path_segment(name),
    };
    let given = meta.name.as_deref().unwrap_or_default();
    let prefix = meta.generate_name.as_deref().unwrap_or_default();
    if !prefix.is_empty() {
        // The suffix that will follow lets a prefix end in a dash.
        let masked = prefix.strip_suffix('-').map_or(prefix.to_owned(), |p| format!("{p}a"));
        report.invalid_each(&at.field("generateName"), prefix, check(&masked));
    }
    if !given.is_empty() {
        report.invalid_each(&at.field("name"), given, check(given));
    } else if prefix.is_empty() {
        report.required(&at.field("name"), "name or generateName is required");
    }
}

/// A map of labels. Upstream: `ValidateLabels`.
pub(super) fn labels(labels: Option<&BTreeMap<String, String>>, at: &At<'_>, report: &mut Report) {
    for (key, value) in labels.into_iter().flatten() {
        // Upstream names the map only; the entry is where the mistake is.
        let before = report.len();
        label_name(key, at, report);
        report.invalid_each(at, value, names::label_value(value));
        report.point_at(before, &at.key(key));
    }
}

/// The key of a label. Upstream: `ValidateLabelName`.
pub(super) fn label_name(key: &str, at: &At<'_>, report: &mut Report) {
    report.invalid_each(at, key, names::qualified_name(key));
}

/// A map of annotations. Upstream: `ValidateAnnotations`.
pub(super) fn annotations(map: Option<&BTreeMap<String, String>>, at: &At<'_>, report: &mut Report) {
    let mut bytes = 0usize;
    for (key, value) in map.into_iter().flatten() {
        let before = report.len();
        report.invalid_each(at, key, names::qualified_name(&key.to_lowercase()));
        report.point_at(before, &at.key(key));
        bytes = bytes.saturating_add(key.len() + value.len());
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        report.too_long(at, ANNOTATIONS_BYTES_MAX);
    }
}

fn owner_references(owners: &[OwnerReference], at: &At<'_>, report: &mut Report) {
    let mut controller: Option<&OwnerReference> = None;
    for (i, owner) in owners.iter().enumerate() {
        let at = at.index(i);
        for (name, value) in [
            ("apiVersion", &owner.api_version),
            ("kind", &owner.kind),
            ("name", &owner.name),
            ("uid", &owner.uid),
        ] {
            if value.is_empty() {
                let detail =
                    if name == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                report.invalid(&at.field(name), value, detail);
            }
        }
        if owner.controller == Some(true) {
            if let Some(first) = controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and {}/{}",
                    first.kind, first.name, owner.kind, owner.name
                );
                report.invalid(&at, Bad::json(&owner.name), detail);
            }
            controller = Some(owner);
        }
    }
}

/// A label selector. Upstream: `ValidateLabelSelector`.
pub(super) fn label_selector(selector: &LabelSelector, at: &At<'_>, report: &mut Report) {
    labels(selector.match_labels.as_ref(), &at.field("matchLabels"), report);
    let expressions = at.field("matchExpressions");
    for (i, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let at = expressions.index(i);
        let values = requirement.values.as_deref().unwrap_or_default();
        match requirement.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                report.required(&at.field("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                report.forbidden(
                    &at.field("values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "Exists" | "DoesNotExist" => {}
            other => report.invalid(&at.field("operator"), other, "not a valid selector operator"),
        }
        label_name(&requirement.key, &at.field("key"), report);
        let at_values = at.field("values");
        for (j, value) in values.iter().enumerate() {
            report.invalid_each(&at_values.index(j), value, names::label_value(value));
        }
    }
}

/// Whether a selector matches a set of labels; one without requirements matches everything.
pub(super) fn matches(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let get = |key: &str| labels.and_then(|labels| labels.get(key));
    let exact = selector.match_labels.iter().flatten().all(|(key, value)| get(key) == Some(value));
    exact
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let value = get(&requirement.key);
            let listed = value.is_some_and(|v| requirement.values.iter().flatten().any(|other| other == v));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => true,
            }
        })
}

/// Whether a selector has no requirement.
pub(super) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}
