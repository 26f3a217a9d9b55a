//! Which kind a word means, as kubectl reads it.

use crate::api::{Kind, manifest};
use crate::base::Str;
use crate::plan::ResourceKind;

/// Kinds of Kubernetes that are carried as inert objects and have short names or an odd plural: kind, plural, short
/// names, whether namespaced. The others are those that manifests may have.
const INERT: &[(&str, &str, &[&str], bool)] = &[
    ("ConfigMap", "configmaps", &["cm"], true),
    ("Secret", "secrets", &[], true),
    ("ServiceAccount", "serviceaccounts", &["sa"], true),
    ("Endpoints", "endpoints", &["ep"], true),
    ("Ingress", "ingresses", &["ing"], true),
    ("IngressClass", "ingressclasses", &[], false),
    ("NetworkPolicy", "networkpolicies", &["netpol"], true),
    ("Role", "roles", &[], true),
    ("RoleBinding", "rolebindings", &[], true),
    ("ClusterRole", "clusterroles", &[], false),
    ("ClusterRoleBinding", "clusterrolebindings", &[], false),
    ("CustomResourceDefinition", "customresourcedefinitions", &["crd", "crds"], false),
    ("RuntimeClass", "runtimeclasses", &[], false),
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", &[], false),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", &[], false),
    ("PodTemplate", "podtemplates", &[], true),
    ("APIService", "apiservices", &[], false),
    ("VolumeSnapshot", "volumesnapshots", &["vs"], true),
    ("VolumeSnapshotContent", "volumesnapshotcontents", &["vsc", "vscs"], false),
    ("VolumeSnapshotClass", "volumesnapshotclasses", &["vsclass", "vsclasses"], false),
    ("VerticalPodAutoscaler", "verticalpodautoscalers", &["vpa"], true),
    ("VerticalPodAutoscalerCheckpoint", "verticalpodautoscalercheckpoints", &["vpacheckpoint"], true),
];

/// A kind as far as a scenario needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKind {
    /// The kind.
    pub kind: ResourceKind,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// The kind that `word` means: kind, plural or short name, in any case, with or without the group.
/// `custom` are the kinds of objects that the scenario's manifests have, with their scope.
pub fn parse(word: &str, custom: &[(Str, bool)]) -> Option<KnownKind> {
    if let Some(kind) = Kind::parse(word) {
        return Some(KnownKind { kind: ResourceKind::Known(kind), namespaced: kind.info().namespaced });
    }
    let word = word.to_ascii_lowercase();
    let word = word.split('.').next().unwrap_or(&word);
    let named = |kind: &str, plural: &str| kind.eq_ignore_ascii_case(word) || plural == word;
    let inert = INERT.iter().find(|(kind, plural, short, _)| named(kind, plural) || short.contains(&word));
    if let Some((kind, _, _, namespaced)) = inert {
        return Some(KnownKind { kind: ResourceKind::Inert((*kind).into()), namespaced: *namespaced });
    }
    let carried = manifest::carried_kinds().map(|(kind, namespaced)| (Str::from(kind), namespaced));
    carried
        .chain(custom.iter().cloned())
        .find(|(kind, _)| named(kind, &plural(kind)))
        .map(|(kind, namespaced)| KnownKind { kind: ResourceKind::Inert(kind), namespaced })
}

/// The plural that a kind most probably has.
pub fn plural(kind: &str) -> String {
    let word = kind.to_ascii_lowercase();
    match word.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if word.ends_with('s') || word.ends_with("ch") || word.ends_with('x') => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

/// Every word for a kind that is known without manifests, for suggestions.
pub fn words() -> Vec<&'static str> {
    let known = crate::api::object::KINDS.iter().filter(|k| !k.name.is_empty());
    known.map(|k| k.plural).chain(INERT.iter().map(|(_, plural, _, _)| *plural)).collect()
}

/// The word for a kind that was probably meant: singular and plural are both considered.
pub fn nearest(word: &str) -> Option<String> {
    let word = word.to_ascii_lowercase();
    let words = words();
    let singular: Vec<String> = words.iter().map(|w| w.trim_end_matches('s').to_owned()).collect();
    let near = crate::base::diag::did_you_mean(&word, singular.iter().map(String::as_str));
    let plural = crate::base::diag::did_you_mean(&word, words.iter().copied());
    if word.ends_with('s') { plural.or(near) } else { near.or(plural) }.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_kinds_as_kubectl_reads_them() {
        let custom = [(Str::from("Certificate"), true), (Str::from("NodePolicy"), false)];
        let parse = |word: &str| parse(word, &custom).map(|k| format!("{} {}", k.kind, k.namespaced));
        for (word, expected) in [
            ("deploy", "Deployment true"),
            ("node", "Node false"),
            ("cm", "ConfigMap true"),
            ("ConfigMaps", "ConfigMap true"),
            ("crd", "CustomResourceDefinition false"),
            ("certificates.cert-manager.io", "Certificate true"),
            ("nodepolicies", "NodePolicy false"),
            ("prioritylevelconfigurations", "PriorityLevelConfiguration false"),
            ("resourceclaims", "ResourceClaim true"),
        ] {
            assert_eq!(parse(word).as_deref(), Some(expected), "{word}");
        }
        assert_eq!(parse("widget"), None);
    }

    #[test]
    fn near_words_are_suggested() {
        assert_eq!(nearest("deploymnt").as_deref(), Some("deployment"));
        assert_eq!(nearest("statefullsets").as_deref(), Some("statefulsets"));
        assert_eq!(nearest("xyzzy"), None);
    }
}
