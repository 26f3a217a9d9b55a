//! Which lists merge by a key, and by which.
//!
//! Upstream: the tags `patchStrategy`, `patchMergeKey` and `+listMapKey` in `staging/src/k8s.io/api/*/types.go`, v1.34.

use serde_json::Value;

use crate::api::object::Kind;

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// As a whole.
    Atomic,
    /// As a set of scalars.
    Set,
    /// Element by element: the key of a strategic merge patch, and the second key of server-side apply.
    Keyed(&'static str, Option<&'static str>),
}

/// How the list `field` of an object at `parent` is merged; both are names of fields, elements have none.
pub(crate) fn list(kind: Kind, parent: &str, field: &str) -> List {
    let keyed = |key| List::Keyed(key, None);
    match (parent, field) {
        ("metadata", "ownerReferences") => keyed("uid"),
        ("metadata", "finalizers") | ("spec", "podCIDRs") => List::Set,
        (
            "spec",
            "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "imagePullSecrets",
        ) => keyed("name"),
        ("spec", "schedulingGates" | "resourceClaims") => keyed("name"),
        ("spec", "topologySpreadConstraints") => List::Keyed("topologyKey", Some("whenUnsatisfiable")),
        ("spec", "hostAliases") | ("status", "podIPs" | "hostIPs") => keyed("ip"),
        ("spec", "ports") if kind == Kind::Service => List::Keyed("port", Some("protocol")),
        ("spec", "drivers") if kind == Kind::CsiNode => keyed("name"),
        ("status", "addresses") if kind == Kind::Node => keyed("type"),
        ("status", "conditions") => keyed("type"),
        ("containers" | "initContainers" | "ephemeralContainers", field) => match field {
            "ports" => List::Keyed("containerPort", Some("protocol")),
            "env" => keyed("name"),
            "volumeMounts" => keyed("mountPath"),
            "volumeDevices" => keyed("devicePath"),
            _ => List::Atomic,
        },
        // A ServiceAccount's lists stand beside its metadata.
        ("", "secrets" | "imagePullSecrets") if kind == Kind::Inert => keyed("name"),
        _ => List::Atomic,
    }
}

/// Whether an object keeps only the keys that a re-applied manifest gives it (`retainKeys`): unions, of which
/// the old member must go when another is chosen.
pub(crate) fn retains_keys(kind: Kind, parent: &str, field: &str) -> bool {
    match (parent, field) {
        ("spec", "strategy") => kind == Kind::Deployment,
        ("spec", "volumes" | "resourceClaims") => true,
        _ => false,
    }
}

/// The key of an element; an absent protocol is TCP.
pub(crate) fn key_of(element: &Value, key: &str, second: Option<&str>) -> Option<(Value, Value)> {
    let first = element.get(key)?.clone();
    let second = second.map_or(Value::Null, |name| {
        element
            .get(name)
            .cloned()
            .unwrap_or_else(|| if name == "protocol" { "TCP".into() } else { Value::Null })
    });
    Some((first, second))
}
