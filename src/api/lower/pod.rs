//! Lowering of Pods and Pod templates.

use super::at::{At, LowerError, collect};
use super::container::{container, container_status};
use super::meta::{
    conditions, labels, lower_meta, node_selector, node_selector_term, non_empty, resources, selector, text,
    texts, time,
};
use super::qos::qos_class;
use super::volume::volume;
use crate::api::defaults;
use crate::api::fingerprint::fingerprint;
use crate::api::k8s::core::v1 as core;
use crate::api::meta::Lasting;
use crate::api::pod::{
    Affinity, Phase, Pod, PodAffinityTerm, PodSpec, PodStatus, QosClass, RestartPolicy,
    TopologySpreadConstraint,
};
use crate::api::taint::{TaintEffect, Toleration};
use crate::api::workload::PodTemplate;
use crate::base::{Arc, Str};

/// Lowers a Pod, filling in what the API server would.
///
/// The node's name goes to [`Pod::node_name`], out of the shared spec.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_pod(mut value: core::Pod) -> Result<Pod, Vec<LowerError>> {
    defaults::default_pod(&mut value);
    collect(|at| {
        let mut raw = value.spec.unwrap_or_default();
        let node_name = raw.node_name.take().filter(|n| !n.is_empty()).map(Str::from);
        let spec = pod_spec(&at.field("spec"), raw);
        let mut status = pod_status(&at.field("status"), value.status.unwrap_or_default());
        status.qos = spec.qos;
        Pod { meta: lower_meta(value.metadata), spec: Arc::new(spec), node_name, status }
    })
}

/// Lowers the spec of a Pod (not of a template); a node's name in it is dropped.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_pod_spec(mut value: core::PodSpec) -> Result<PodSpec, Vec<LowerError>> {
    value.node_name = None;
    defaults::default_pod_spec(&mut value);
    defaults::default_requests(&mut value);
    collect(|at| pod_spec(at, value))
}

/// Lowers a Pod template. The lowered spec is the one its Pods get: requests follow from limits there,
/// while the template itself stays as written.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_pod_template(value: core::PodTemplateSpec) -> Result<PodTemplate, Vec<LowerError>> {
    collect(|at| pod_template(at, value))
}

pub(crate) fn pod_template(at: &At<'_>, mut raw: core::PodTemplateSpec) -> PodTemplate {
    defaults::default_pod_template(&mut raw);
    let meta = lower_meta(raw.metadata.clone().unwrap_or_default());
    let mut spec = raw.spec.clone().unwrap_or_default();
    defaults::default_requests(&mut spec);
    let Lasting { labels, annotations, finalizers, .. } = &*meta;
    PodTemplate {
        fingerprint: fingerprint(&raw),
        raw: Arc::new(raw),
        labels: labels.clone(),
        annotations: annotations.clone(),
        finalizers: finalizers.clone(),
        spec: Arc::new(pod_spec(&at.field("spec"), spec)),
    }
}

const RESTART_POLICIES: &[(&str, RestartPolicy)] = &[
    ("Always", RestartPolicy::Always),
    ("OnFailure", RestartPolicy::OnFailure),
    ("Never", RestartPolicy::Never),
];

fn pod_spec(at: &At<'_>, raw: core::PodSpec) -> PodSpec {
    let spec = raw.clone();
    let containers = at.field("containers").each(Some(spec.containers), container);
    let init_containers = at.field("initContainers").each(spec.init_containers, container);
    let resources_at = at.field("resources");
    let (pod_requests, pod_limits) = spec.resources.map_or((None, None), |r| {
        let list = |name, list: Option<_>| list.map(|l| resources(&resources_at.field(name), Some(l)));
        (list("requests", r.requests), list("limits", r.limits))
    });
    let preemption = spec.preemption_policy.as_deref().unwrap_or("PreemptLowerPriority");
    PodSpec {
        fingerprint: fingerprint(&raw),
        raw: Arc::new(raw),
        qos: qos_class(pod_requests.as_ref(), pod_limits.as_ref(), &containers, &init_containers),
        containers,
        init_containers,
        restart_policy: at.field("restartPolicy").one_of(
            spec.restart_policy.as_deref().unwrap_or("Always"),
            RESTART_POLICIES,
            RestartPolicy::Always,
        ),
        termination_grace_seconds: spec.termination_grace_period_seconds.unwrap_or(30),
        active_deadline_seconds: spec.active_deadline_seconds,
        node_selector: labels(spec.node_selector),
        affinity: at.opt("affinity", spec.affinity, affinity).unwrap_or_default(),
        tolerations: at.field("tolerations").each(spec.tolerations, toleration),
        topology_spread: at.field("topologySpreadConstraints").each(spec.topology_spread_constraints, spread),
        scheduler_name: text(spec.scheduler_name),
        priority: spec.priority.unwrap_or(0),
        priority_class_name: text(spec.priority_class_name),
        never_preempts: at.field("preemptionPolicy").one_of(preemption, PREEMPTION_POLICIES, false),
        scheduling_gates: spec
            .scheduling_gates
            .unwrap_or_default()
            .into_iter()
            .map(|g| g.name.into())
            .collect(),
        host_network: spec.host_network.unwrap_or(false),
        volumes: at.field("volumes").each(spec.volumes, volume),
        overhead: resources(&at.field("overhead"), spec.overhead),
        pod_requests,
        pod_limits,
        readiness_gates: spec
            .readiness_gates
            .unwrap_or_default()
            .into_iter()
            .map(|g| g.condition_type.into())
            .collect(),
        service_account: non_empty(spec.service_account_name)
            .unwrap_or_else(|| crate::base::text::lit!("default")),
        resource_claims: spec
            .resource_claims
            .unwrap_or_default()
            .into_iter()
            .map(|c| c.name.into())
            .collect(),
    }
}

/// The words of `preemptionPolicy`; true means never.
pub(crate) const PREEMPTION_POLICIES: &[(&str, bool)] = &[("PreemptLowerPriority", false), ("Never", true)];

fn affinity(at: &At<'_>, affinity: core::Affinity) -> Affinity {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let weighted = |at: &At<'_>, w: core::WeightedPodAffinityTerm| {
        (w.weight, affinity_term(&at.field("podAffinityTerm"), w.pod_affinity_term))
    };
    let node = affinity.node_affinity.unwrap_or_default();
    let pod = affinity.pod_affinity.unwrap_or_default();
    let anti = affinity.pod_anti_affinity.unwrap_or_default();
    let (node_at, pod_at, anti_at) =
        (at.field("nodeAffinity"), at.field("podAffinity"), at.field("podAntiAffinity"));
    Affinity {
        node_required: node_at.opt(
            REQUIRED,
            node.required_during_scheduling_ignored_during_execution,
            node_selector,
        ),
        node_preferred: node_at
            .field(PREFERRED)
            .each(node.preferred_during_scheduling_ignored_during_execution, |at, term| {
                (term.weight, node_selector_term(&at.field("preference"), term.preference))
            }),
        pod_required: pod_at
            .field(REQUIRED)
            .each(pod.required_during_scheduling_ignored_during_execution, affinity_term),
        pod_preferred: pod_at
            .field(PREFERRED)
            .each(pod.preferred_during_scheduling_ignored_during_execution, weighted),
        anti_required: anti_at
            .field(REQUIRED)
            .each(anti.required_during_scheduling_ignored_during_execution, affinity_term),
        anti_preferred: anti_at
            .field(PREFERRED)
            .each(anti.preferred_during_scheduling_ignored_during_execution, weighted),
    }
}

fn affinity_term(at: &At<'_>, term: core::PodAffinityTerm) -> PodAffinityTerm {
    PodAffinityTerm {
        selector: selector(&at.field("labelSelector"), term.label_selector),
        namespaces: texts(term.namespaces),
        namespace_selector: at
            .opt("namespaceSelector", term.namespace_selector, |at, s| selector(at, Some(s))),
        topology_key: term.topology_key.into(),
    }
}

fn spread(at: &At<'_>, constraint: core::TopologySpreadConstraint) -> TopologySpreadConstraint {
    const HONOR: &[(&str, bool)] = &[("Honor", true), ("Ignore", false)];
    const WHEN: &[(&str, bool)] = &[("DoNotSchedule", true), ("ScheduleAnyway", false)];
    let policy = |name, word: Option<String>, default| {
        word.map_or(default, |word| at.field(name).one_of(&word, HONOR, default))
    };
    TopologySpreadConstraint {
        max_skew: constraint.max_skew,
        topology_key: constraint.topology_key.into(),
        hard: at.field("whenUnsatisfiable").one_of(&constraint.when_unsatisfiable, WHEN, true),
        selector: selector(&at.field("labelSelector"), constraint.label_selector),
        min_domains: constraint.min_domains,
        honor_affinity: policy("nodeAffinityPolicy", constraint.node_affinity_policy, true),
        honor_taints: policy("nodeTaintsPolicy", constraint.node_taints_policy, false),
        match_label_keys: texts(constraint.match_label_keys),
    }
}

/// The words of taint effects.
pub(crate) const EFFECTS: &[(&str, TaintEffect)] = &[
    ("NoSchedule", TaintEffect::NoSchedule),
    ("PreferNoSchedule", TaintEffect::PreferNoSchedule),
    ("NoExecute", TaintEffect::NoExecute),
];

fn toleration(at: &At<'_>, toleration: core::Toleration) -> Toleration {
    let operator = toleration.operator.as_deref().filter(|o| !o.is_empty()).unwrap_or("Equal");
    Toleration {
        key: text(toleration.key),
        exists: at.field("operator").one_of(operator, &[("Equal", false), ("Exists", true)], false),
        value: text(toleration.value),
        effect: toleration
            .effect
            .filter(|e| !e.is_empty())
            .map(|effect| at.field("effect").one_of(&effect, EFFECTS, TaintEffect::NoSchedule)),
        seconds: toleration.toleration_seconds,
    }
}

const PHASES: &[(&str, Phase)] = &[
    ("Pending", Phase::Pending),
    ("Running", Phase::Running),
    ("Succeeded", Phase::Succeeded),
    ("Failed", Phase::Failed),
    ("Unknown", Phase::Unknown),
];

fn pod_status(at: &At<'_>, status: core::PodStatus) -> PodStatus {
    PodStatus {
        phase: at.field("phase").one_of(status.phase.as_deref().unwrap_or("Pending"), PHASES, Phase::Pending),
        conditions: conditions!(status.conditions, last_probe_time),
        reason: text(status.reason),
        message: text(status.message),
        nominated_node: non_empty(status.nominated_node_name),
        start_time: time(status.start_time),
        host_ip: text(status.host_ip),
        pod_ip: text(status.pod_ip),
        qos: QosClass::BestEffort,
        containers: at.field("containerStatuses").each(status.container_statuses, container_status),
        init_containers: at
            .field("initContainerStatuses")
            .each(status.init_container_statuses, container_status),
        resize: text(status.resize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    fn lower(value: serde_json::Value) -> Result<Pod, Vec<LowerError>> {
        lower_pod(from_value(value).unwrap())
    }

    #[test]
    fn a_pod_is_lowered_with_its_defaults() {
        let pod = lower(json!({
            "metadata": {"name": "a", "namespace": "d", "labels": {"app": "x"}},
            "spec": {
                "nodeName": "n1",
                "containers": [{"name": "c", "image": "x:1", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}],
                "tolerations": [{"operator": "Exists"}],
            },
        }))
        .unwrap();
        assert_eq!(pod.node_name.as_deref(), Some("n1"));
        assert_eq!(pod.spec.raw.node_name, None);
        assert_eq!(pod.spec.containers[0].requests.cpu_milli(), 1000);
        assert_eq!((pod.spec.qos, pod.status.qos), (QosClass::Guaranteed, QosClass::Guaranteed));
        assert_eq!(pod.spec.termination_grace_seconds, 30);
        assert_eq!(pod.spec.scheduler_name, "default-scheduler");
        assert_eq!(pod.spec.service_account, "default");
        assert!(pod.spec.tolerations[0].exists);
        assert_eq!(pod.status.phase, Phase::Pending);
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let errors = lower(json!({
            "spec": {
                "restartPolicy": "Sometimes",
                "containers": [{"name": "c", "resources": {"requests": {"cpu": "lots"}}}],
                "tolerations": [{"operator": "Is", "effect": "None"}],
                "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "z", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "=="}]}},
                ]}},
            },
        }))
        .unwrap_err();
        let mut paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchExpressions[0].operator",
                "spec.containers[0].resources.requests.cpu",
                "spec.restartPolicy",
                "spec.tolerations[0].effect",
                "spec.tolerations[0].operator",
            ]
        );
        let restart = errors.iter().find(|e| e.path == "spec.restartPolicy").unwrap();
        assert_eq!(
            restart.message,
            "Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\""
        );
    }

    #[test]
    fn a_templates_pods_get_requests_from_limits() {
        let template: core::PodTemplateSpec = from_value(json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}}}]},
        }))
        .unwrap();
        let lowered = lower_pod_template(template.clone()).unwrap();
        assert_eq!(lowered.spec.containers[0].requests.cpu_milli(), 2000);
        let written = lowered.raw.spec.as_ref().unwrap().containers[0].resources.clone().unwrap();
        assert_eq!(written.requests, None);
        assert_eq!(lower_pod_template((*lowered.raw).clone()).unwrap(), lowered);
        let direct = lower_pod_spec(template.spec.unwrap()).unwrap();
        assert_eq!(direct, *lowered.spec);
    }

    #[test]
    fn numbers_and_texts_of_an_amount_have_one_fingerprint() {
        let spec = |cpu: serde_json::Value| {
            let value =
                json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
            lower(value).unwrap().spec.fingerprint
        };
        assert_eq!(spec(json!("0.5")), spec(json!(0.5)));
        assert_eq!(spec(json!("0.5")), spec(json!("500m")));
        assert_ne!(spec(json!("0.5")), spec(json!("501m")));
    }
}
