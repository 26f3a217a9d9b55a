//! `matchLabelKeys` of a Pod that is being created.

use super::lower_pod_spec;
use crate::api::Pod;
use crate::api::defaults::merge_match_label_keys;
use crate::api::k8s::core::v1::{PodAffinityTerm, PodSpec};
use crate::base::Arc;

/// Writes what `matchLabelKeys` and `mismatchLabelKeys` stand for into the selectors of a Pod that is being created.
pub fn merge_label_keys(pod: &mut Pod) {
    if !names_label_keys(&pod.spec.raw) {
        return;
    }
    let mut raw = PodSpec::clone(&pod.spec.raw);
    merge_match_label_keys(&mut raw, &pod.meta.labels);
    // A spec that was lowered once is lowered again without a mistake.
    if let Ok(mut spec) = lower_pod_spec(raw) {
        spec.priority = pod.spec.priority;
        spec.never_preempts = pod.spec.never_preempts;
        pod.spec = Arc::new(spec);
    }
}

fn names_label_keys(raw: &PodSpec) -> bool {
    let term = |t: &PodAffinityTerm| t.match_label_keys.is_some() || t.mismatch_label_keys.is_some();
    let affinity = raw.affinity.as_ref();
    let near = affinity.and_then(|a| a.pod_affinity.as_ref());
    let far = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
    let required = [
        near.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
        far.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
    ];
    let preferred = [
        near.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
        far.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
    ];
    required.into_iter().flatten().flatten().any(term)
        || preferred.into_iter().flatten().flatten().any(|w| term(&w.pod_affinity_term))
        || raw.topology_spread_constraints.iter().flatten().any(|c| c.match_label_keys.is_some())
}

#[cfg(test)]
mod tests {
    use crate::api::{Kind, Object, Pod, lower};

    #[test]
    fn the_pods_own_labels_go_into_the_selectors() {
        let term = serde_json::json!({
            "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}},
            "matchLabelKeys": ["hash", "absent"], "mismatchLabelKeys": ["tenant"],
        });
        let json = serde_json::json!({
            "metadata": {"name": "p", "namespace": "default", "labels": {"hash": "abc", "tenant": "t"}},
            "spec": {
                "containers": [{"name": "c"}],
                "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}},
            },
        });
        let Ok(Object::Pod(pod)) = lower::from_json(Kind::Pod, json) else { panic!("a Pod") };
        let mut pod = Pod::clone(&pod);
        super::merge_label_keys(&mut pod);
        assert_eq!(pod.spec.affinity.anti_required[0].selector.to_string(), "app=web,hash=abc,tenant!=t");
    }
}
