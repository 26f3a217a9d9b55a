//! Who a Pod of a StatefulSet is: name, ordinal, labels, volumes.
//!
//! Upstream: `pkg/controller/statefulset/stateful_set_utils.go`, v1.34.

use crate::api::volume::{Volume, VolumeSource};
use crate::api::workload::{ControllerRevision, StatefulSet};
use crate::api::{Labels, Pod, PodSpec, PodTemplate, fingerprint, k8s};
use crate::base::{Arc, Str};
use crate::controller::common;
use crate::controller::history::REVISION_LABEL;

/// The label with the Pod's own name.
pub const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// The label with the Pod's ordinal.
pub const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The set's name and the ordinal in the name of a Pod; no ordinal if it is not a 32-bit number.
pub fn parent_and_ordinal(pod: &str) -> Option<(&str, Option<i32>)> {
    let (parent, digits) = pod.rsplit_once('-')?;
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| (parent, digits.parse().ok()))
}

/// The ordinal of a Pod.
pub fn ordinal(pod: &Pod) -> Option<i32> {
    parent_and_ordinal(&pod.meta.name)?.1
}

/// Whether the Pod's name makes it a member of the set.
pub fn is_member(set: &StatefulSet, pod: &Pod) -> bool {
    parent_and_ordinal(&pod.meta.name).is_some_and(|(parent, _)| parent == set.meta.name)
}

/// Whether the set wants a Pod of this ordinal.
pub fn in_range(set: &StatefulSet, ordinal: i32) -> bool {
    let offset = i64::from(ordinal) - i64::from(set.ordinals_start);
    (0..i64::from(set.replicas)).contains(&offset)
}

/// `<set>-<ordinal>`.
pub fn pod_name(set: &StatefulSet, ordinal: i32) -> Str {
    format!("{}-{ordinal}", set.meta.name).into()
}

/// `<template>-<set>-<ordinal>`.
pub fn claim_name(template: &str, set: &StatefulSet, ordinal: i32) -> Str {
    format!("{template}-{}-{ordinal}", set.meta.name).into()
}

/// The name of the revision a Pod was made from; empty if it has none.
pub fn revision_of(pod: &Pod) -> &str {
    pod.meta.labels.get(REVISION_LABEL).map_or("", Str::as_str)
}

/// Whether name and labels of the Pod are those of a member.
pub fn identity_matches(set: &StatefulSet, pod: &Pod) -> bool {
    let named = matches!(parent_and_ordinal(&pod.meta.name),
        Some((parent, Some(ordinal))) if parent == set.meta.name && pod.meta.name == pod_name(set, ordinal));
    named && pod.meta.labels.get(POD_NAME_LABEL) == Some(&pod.meta.name)
}

/// Whether the Pod mounts the claims of the set.
pub fn storage_matches(set: &StatefulSet, pod: &Pod) -> bool {
    let Some(ordinal) = ordinal(pod) else { return false };
    set.claim_templates.iter().all(|template| {
        let wanted = claim_name(&template.meta.name, set, ordinal);
        pod.spec.volumes.iter().any(|v| {
            v.name == template.meta.name
                && matches!(&v.source, VolumeSource::Claim { claim, .. } if *claim == wanted)
        })
    })
}

/// The labels of a member besides those of the template.
pub fn identity_labels(labels: &Labels, name: &Str, ordinal: i32) -> Labels {
    labels.with(POD_NAME_LABEL, name.clone()).with(POD_INDEX_LABEL, ordinal.to_string())
}

/// The Pod of an ordinal at a revision.
pub fn new_pod(set: &StatefulSet, revision: &ControllerRevision, ordinal: i32) -> Pod {
    let template = &revision.template;
    let name = pod_name(set, ordinal);
    let mut pod = common::pod_from_template(template, &common::Owner::of(set));
    pod.meta.generate_name = Str::new();
    pod.meta.name = name.clone();
    pod.meta.labels =
        identity_labels(&pod.meta.labels, &name, ordinal).with(REVISION_LABEL, revision.meta.name.clone());
    pod.spec = Arc::new(member_spec(set, template, ordinal, &name));
    pod
}

/// The template's spec with host name, subdomain and the ordinal's claims.
fn member_spec(set: &StatefulSet, template: &PodTemplate, ordinal: i32, name: &Str) -> PodSpec {
    let mut spec = with_claims(set, &template.spec, ordinal);
    let mut raw = k8s::core::v1::PodSpec::clone(&spec.raw);
    raw.hostname = Some(name.to_string());
    raw.subdomain = (!set.service_name.is_empty()).then(|| set.service_name.to_string());
    spec.fingerprint = fingerprint::of(&raw);
    spec.raw = Arc::new(raw);
    spec
}

/// The spec with the set's claims in the place of volumes of the same name.
pub fn with_claims(set: &StatefulSet, spec: &PodSpec, ordinal: i32) -> PodSpec {
    let mut spec = spec.clone();
    if set.claim_templates.is_empty() {
        return spec;
    }
    let mut raw = k8s::core::v1::PodSpec::clone(&spec.raw);
    let (mut volumes, mut raw_volumes) = (Vec::new(), Vec::new());
    for template in &set.claim_templates {
        let claim = claim_name(&template.meta.name, set, ordinal);
        raw_volumes.push(k8s::core::v1::Volume {
            name: template.meta.name.to_string(),
            persistent_volume_claim: Some(k8s::core::v1::PersistentVolumeClaimVolumeSource {
                claim_name: claim.to_string(),
                read_only: None,
            }),
            ..k8s::core::v1::Volume::default()
        });
        volumes.push(Volume {
            name: template.meta.name.clone(),
            source: VolumeSource::Claim { claim, read_only: false },
        });
    }
    volumes.extend(spec.volumes.iter().filter(|v| !set.owns_volume(&v.name)).cloned());
    raw_volumes.extend(raw.volumes.take().into_iter().flatten().filter(|v| !set.owns_volume(&v.name)));
    raw.volumes = Some(raw_volumes);
    spec.volumes = volumes;
    spec.fingerprint = fingerprint::of(&raw);
    spec.raw = Arc::new(raw);
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_parent_and_ordinal() {
        for (name, expected) in [
            ("db-0", Some(("db", Some(0)))),
            ("db-a-12", Some(("db-a", Some(12)))),
            ("db", None),
            ("db-", None),
            ("db-x", None),
            ("db-99999999999", Some(("db", None))),
        ] {
            assert_eq!(parent_and_ordinal(name), expected, "{name}");
        }
    }
}
