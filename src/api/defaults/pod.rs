//! Defaults of Pods and Pod templates.

use std::collections::BTreeMap;

use super::{canonical, container, pod_level, resource_list, text, volume};
use crate::api::k8s::core::v1 as core;
use crate::api::meta::Labels;
use crate::api::metav1;

/// Fills in a Pod: its spec as [`default_pod_spec`] and [`default_requests`] do, and the status' phase.
pub fn default_pod(pod: &mut core::Pod) {
    let spec = pod.spec.get_or_insert_default();
    default_pod_spec(spec);
    default_requests(spec);
    text(&mut pod.status.get_or_insert_default().phase, "Pending");
}

/// Fills in a Pod's spec wherever it stands, in a Pod or in a template.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_PodSpec` and the generated defaults; the alias of
/// `serviceAccountName` from `pkg/apis/core/v1/conversion.go`, v1.34.
pub fn default_pod_spec(spec: &mut core::PodSpec) {
    canonical::pod_spec(spec);
    text(&mut spec.dns_policy, "ClusterFirst");
    text(&mut spec.restart_policy, "Always");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(30);
    text(&mut spec.scheduler_name, "default-scheduler");
    let account = spec.service_account_name.take().filter(|n| !n.is_empty()).or(spec.service_account.take());
    spec.service_account_name = account.clone().filter(|n| !n.is_empty());
    spec.service_account = spec.service_account_name.clone();
    spec.volumes.iter_mut().flatten().for_each(volume::volume);
    spec.init_containers.iter_mut().flatten().for_each(container::container);
    spec.containers.iter_mut().for_each(container::container);
    resource_list(&mut spec.overhead);
    if let Some(resources) = &mut spec.resources {
        resource_list(&mut resources.limits);
        resource_list(&mut resources.requests);
    }
}

/// Fills in what only Pods get, not templates: requests from limits, service links, ports of the host's network.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_Pod`, v1.34.
pub(crate) fn default_requests(spec: &mut core::PodSpec) {
    let host_network = spec.host_network == Some(true);
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        if let Some(resources) = &mut container.resources
            && let Some(limits) = &resources.limits
        {
            let requests = resources.requests.get_or_insert_default();
            for (name, limit) in limits {
                requests.entry(name.clone()).or_insert_with(|| limit.clone());
            }
        }
        for port in container.ports.iter_mut().flatten().filter(|_| host_network) {
            port.host_port = port.host_port.filter(|p| *p != 0).or(Some(port.container_port));
        }
    }
    pod_level::pod_resources(spec);
    spec.enable_service_links.get_or_insert(true);
}

/// Fills in a Pod template.
pub fn default_pod_template(template: &mut core::PodTemplateSpec) {
    let meta = template.metadata.get_or_insert_default();
    canonical::no_empty_map(&mut meta.labels);
    canonical::no_empty_map(&mut meta.annotations);
    meta.creation_timestamp = None;
    default_pod_spec(template.spec.get_or_insert_default());
}

/// Adds what `matchLabelKeys` and `mismatchLabelKeys` stand for to the selectors of a Pod that is being created.
///
/// Terms and constraints without a selector select nothing and are left alone. Not idempotent, as upstream.
///
/// Upstream: `pkg/registry/core/pod/strategy.go` `mutatePodAffinity`, `mutateTopologySpreadConstraints`, v1.34.
pub fn merge_match_label_keys(spec: &mut core::PodSpec, labels: &Labels) {
    let mut terms: Vec<&mut core::PodAffinityTerm> = Vec::new();
    if let Some(affinity) = &mut spec.affinity {
        if let Some(pod) = &mut affinity.pod_affinity {
            terms.extend(pod.required_during_scheduling_ignored_during_execution.iter_mut().flatten());
            let preferred = pod.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
            terms.extend(preferred.map(|weighted| &mut weighted.pod_affinity_term));
        }
        if let Some(anti) = &mut affinity.pod_anti_affinity {
            terms.extend(anti.required_during_scheduling_ignored_during_execution.iter_mut().flatten());
            let preferred = anti.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
            terms.extend(preferred.map(|weighted| &mut weighted.pod_affinity_term));
        }
    }
    for term in terms {
        merge(&mut term.label_selector, term.match_label_keys.as_deref(), "In", labels);
        merge(&mut term.label_selector, term.mismatch_label_keys.as_deref(), "NotIn", labels);
    }
    for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
        merge(&mut constraint.label_selector, constraint.match_label_keys.as_deref(), "In", labels);
    }
}

fn merge(
    selector: &mut Option<metav1::LabelSelector>,
    keys: Option<&[String]>,
    operator: &str,
    labels: &Labels,
) {
    let Some(selector) = selector else { return };
    for key in keys.unwrap_or_default() {
        if let Some(value) = labels.get(key) {
            selector.match_expressions.get_or_insert_default().push(metav1::LabelSelectorRequirement {
                key: key.clone(),
                operator: operator.to_owned(),
                values: Some(vec![value.to_string()]),
            });
        }
    }
}

/// Labels of a template's Pods, if it has some.
pub(crate) fn template_labels(template: &core::PodTemplateSpec) -> Option<BTreeMap<String, String>> {
    template.metadata.as_ref().and_then(|m| m.labels.clone()).filter(|l| !l.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    #[test]
    fn an_almost_empty_pod_is_filled_in() {
        let mut pod: core::Pod = from_value(json!({
            "metadata": {"name": "a"},
            "spec": {
                "hostNetwork": true,
                "serviceAccount": "robot",
                "containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}],
                                "resources": {"limits": {"cpu": "1", "memory": "1024Mi"}, "requests": {"cpu": "0.1"}}}],
                "volumes": [{"name": "v"}],
            },
        }))
        .unwrap();
        default_pod(&mut pod);
        assert_eq!(
            serde_json::to_value(pod.spec).unwrap(),
            json!({
                "containers": [{
                    "image": "nginx", "imagePullPolicy": "Always", "name": "c",
                    "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "hostNetwork": true, "restartPolicy": "Always",
                "schedulerName": "default-scheduler", "securityContext": {}, "serviceAccount": "robot",
                "serviceAccountName": "robot", "terminationGracePeriodSeconds": 30,
                "volumes": [{"emptyDir": {}, "name": "v"}],
            })
        );
    }

    #[test]
    fn templates_do_not_get_requests_from_limits() {
        let mut template: core::PodTemplateSpec = from_value(json!({
            "metadata": {"creationTimestamp": null, "labels": {}},
            "spec": {"hostNetwork": false, "containers": [{"name": "c", "resources": {"limits": {"cpu": 1}}}]},
        }))
        .unwrap();
        default_pod_template(&mut template);
        let spec = template.spec.unwrap();
        assert_eq!(spec.host_network, None);
        assert_eq!(spec.enable_service_links, None);
        assert_eq!(
            serde_json::to_value(&spec.containers[0].resources).unwrap(),
            json!({"limits": {"cpu": "1"}})
        );
    }

    #[test]
    fn label_keys_merge_into_selectors() {
        let mut spec: core::PodSpec = from_value(json!({
            "containers": [],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "z", "labelSelector": {}, "matchLabelKeys": ["a", "x"], "mismatchLabelKeys": ["b"]},
                {"topologyKey": "z", "matchLabelKeys": ["a"]},
            ]}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}, "matchLabelKeys": ["b"]},
            ],
        }))
        .unwrap();
        merge_match_label_keys(&mut spec, &[("a", "1"), ("b", "2")].into_iter().collect());
        let value = serde_json::to_value(&spec).unwrap();
        let terms = &value["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(
            terms[0]["labelSelector"]["matchExpressions"],
            json!([{"key": "a", "operator": "In", "values": ["1"]}, {"key": "b", "operator": "NotIn", "values": ["2"]}])
        );
        assert_eq!(terms[1]["labelSelector"], json!(null));
        assert_eq!(
            value["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"],
            json!([{"key": "b", "operator": "In", "values": ["2"]}])
        );
    }
}
