//! Defaults of workload kinds and PriorityClasses.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{default_pod_template, template_labels};
use super::storage::default_persistent_volume_claim;
use super::text;
use crate::api::k8s::apps::v1 as apps;
use crate::api::k8s::batch::v1 as batch;
use crate::api::k8s::core::v1 as core;
use crate::api::k8s::scheduling::v1 as scheduling;

/// Fills in a Deployment.
///
/// Upstream: `pkg/apis/apps/v1/defaults.go` `SetDefaults_Deployment`, v1.34.
pub fn default_deployment(deployment: &mut apps::Deployment) {
    let spec = deployment.spec.get_or_insert_default();
    default_pod_template(&mut spec.template);
    spec.replicas.get_or_insert(1);
    let strategy = spec.strategy.get_or_insert_default();
    text(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let rolling = strategy.rolling_update.get_or_insert_default();
        let quarter = || IntOrString::String("25%".to_owned());
        rolling.max_unavailable.get_or_insert_with(quarter);
        rolling.max_surge.get_or_insert_with(quarter);
    }
    spec.revision_history_limit.get_or_insert(10);
    spec.progress_deadline_seconds.get_or_insert(600);
}

/// Fills in a DaemonSet.
///
/// Upstream: `pkg/apis/apps/v1/defaults.go` `SetDefaults_DaemonSet`, v1.34.
pub fn default_daemon_set(set: &mut apps::DaemonSet) {
    let spec = set.spec.get_or_insert_default();
    default_pod_template(&mut spec.template);
    let strategy = spec.update_strategy.get_or_insert_default();
    text(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let rolling = strategy.rolling_update.get_or_insert_default();
        rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
        rolling.max_surge.get_or_insert(IntOrString::Int(0));
    }
    spec.revision_history_limit.get_or_insert(10);
}

/// Fills in a StatefulSet.
///
/// Upstream: `pkg/apis/apps/v1/defaults.go` `SetDefaults_StatefulSet`, v1.34 (`MaxUnavailableStatefulSet` is off).
pub fn default_stateful_set(set: &mut apps::StatefulSet) {
    let spec = set.spec.get_or_insert_default();
    default_pod_template(&mut spec.template);
    for claim in spec.volume_claim_templates.iter_mut().flatten() {
        default_persistent_volume_claim(claim);
    }
    text(&mut spec.pod_management_policy, "OrderedReady");
    let strategy = spec.update_strategy.get_or_insert_default();
    if strategy.type_.as_deref().is_none_or(str::is_empty) {
        strategy.type_ = Some("RollingUpdate".to_owned());
        strategy.rolling_update.get_or_insert_default();
    }
    if strategy.type_.as_deref() == Some("RollingUpdate")
        && let Some(rolling) = &mut strategy.rolling_update
    {
        rolling.partition.get_or_insert(0);
    }
    let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
    text(&mut retention.when_deleted, "Retain");
    text(&mut retention.when_scaled, "Retain");
    spec.replicas.get_or_insert(1);
    spec.revision_history_limit.get_or_insert(10);
}

/// Fills in a ReplicaSet.
pub fn default_replica_set(set: &mut apps::ReplicaSet) {
    let spec = set.spec.get_or_insert_default();
    default_pod_template(spec.template.get_or_insert_default());
    spec.replicas.get_or_insert(1);
}

/// Fills in a ReplicationController: selector and labels from those of the template.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_ReplicationController`, v1.34.
pub fn default_replication_controller(controller: &mut core::ReplicationController) {
    let spec = controller.spec.get_or_insert_default();
    let template = spec.template.get_or_insert_default();
    default_pod_template(template);
    if let Some(labels) = template_labels(template) {
        if spec.selector.as_ref().is_none_or(|s| s.is_empty()) {
            spec.selector = Some(labels.clone());
        }
        if controller.metadata.labels.as_ref().is_none_or(|l| l.is_empty()) {
            controller.metadata.labels = Some(labels);
        }
    }
    spec.replicas.get_or_insert(1);
}

/// Fills in a Job.
///
/// Upstream: `pkg/apis/batch/v1/defaults.go` `SetDefaults_Job`, v1.34.
pub fn default_job(job: &mut batch::Job) {
    let spec = job.spec.get_or_insert_default();
    default_job_spec(spec);
    if job.metadata.labels.as_ref().is_none_or(|l| l.is_empty())
        && let Some(labels) = template_labels(&spec.template)
    {
        job.metadata.labels = Some(labels);
    }
}

fn default_job_spec(spec: &mut batch::JobSpec) {
    default_pod_template(&mut spec.template);
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
    spec.backoff_limit.get_or_insert(limit);
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".to_owned());
    spec.suspend.get_or_insert(false);
    let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
    spec.pod_replacement_policy.get_or_insert_with(|| replacement.to_owned());
    spec.manual_selector.get_or_insert(false);
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        if pattern.status.is_empty() {
            pattern.status = "True".to_owned();
        }
    }
}

/// Fills in a CronJob. The spec of its Jobs is filled in when they are made, but for their Pod template.
///
/// Upstream: `pkg/apis/batch/v1/defaults.go` `SetDefaults_CronJob`, v1.34.
pub fn default_cron_job(job: &mut batch::CronJob) {
    let spec = job.spec.get_or_insert_default();
    text(&mut spec.concurrency_policy, "Allow");
    spec.suspend.get_or_insert(false);
    spec.successful_jobs_history_limit.get_or_insert(3);
    spec.failed_jobs_history_limit.get_or_insert(1);
    default_pod_template(&mut spec.job_template.spec.get_or_insert_default().template);
}

/// Fills in a PriorityClass.
pub fn default_priority_class(class: &mut scheduling::PriorityClass) {
    class.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn workloads_are_filled_in() {
        let mut deployment = apps::Deployment::default();
        default_deployment(&mut deployment);
        let value = serde_json::to_value(deployment.spec).unwrap();
        assert_eq!(
            value["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
        );
        assert_eq!(
            (&value["replicas"], &value["revisionHistoryLimit"], &value["progressDeadlineSeconds"]),
            (&json!(1), &json!(10), &json!(600))
        );

        let mut set = apps::StatefulSet::default();
        default_stateful_set(&mut set);
        let value = serde_json::to_value(set.spec).unwrap();
        assert_eq!(
            value["updateStrategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
        );
        assert_eq!(
            value["persistentVolumeClaimRetentionPolicy"],
            json!({"whenDeleted": "Retain", "whenScaled": "Retain"})
        );

        let mut set = apps::DaemonSet::default();
        default_daemon_set(&mut set);
        let value = serde_json::to_value(set.spec).unwrap();
        assert_eq!(
            value["updateStrategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})
        );
    }

    #[test]
    fn a_job_with_parallelism_alone_is_a_work_queue() {
        let mut spec =
            batch::JobSpec { parallelism: Some(3), backoff_limit_per_index: Some(1), ..Default::default() };
        default_job_spec(&mut spec);
        assert_eq!((spec.completions, spec.parallelism, spec.backoff_limit), (None, Some(3), Some(i32::MAX)));
        let mut spec = batch::JobSpec::default();
        default_job_spec(&mut spec);
        assert_eq!((spec.completions, spec.parallelism, spec.backoff_limit), (Some(1), Some(1), Some(6)));
    }

    #[test]
    fn a_replication_controller_takes_its_templates_labels() {
        let labels = std::collections::BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let mut controller = core::ReplicationController::default();
        let template = controller.spec.get_or_insert_default().template.get_or_insert_default();
        template.metadata.get_or_insert_default().labels = Some(labels.clone());
        default_replication_controller(&mut controller);
        assert_eq!(controller.metadata.labels, Some(labels.clone()));
        assert_eq!(controller.spec.unwrap().selector, Some(labels));
    }
}
