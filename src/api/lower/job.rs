//! Lowering of Jobs and CronJobs.

use super::at::{At, LowerError, collect};
use super::meta::{conditions, labels, lower_meta, non_empty, selector, text, texts, time};
use super::pod::pod_template;
use crate::api::defaults;
use crate::api::k8s::batch::v1 as batch;
use crate::api::workload::{BoundaryPart, CronJob, Job, JobStatus};
use crate::base::Arc;

/// Lowers a Job, filling in what the API server would. A selector that is not there yet selects nothing:
/// it is generated from the uid when the Job is created.
///
/// # Errors
/// Every value that its field cannot hold.
pub fn lower_job(mut value: batch::Job) -> Result<Job, Vec<LowerError>> {
    defaults::default_job(&mut value);
    collect(|at| job(at, value))
}

fn job(at: &At<'_>, value: batch::Job) -> Job {
    const MODES: &[(&str, bool)] = &[("Indexed", true), ("NonIndexed", false)];
    const REPLACEMENTS: &[(&str, bool)] = &[("Failed", true), ("TerminatingOrFailed", false)];
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    let at = at.field("spec");
    let mode = spec.completion_mode.as_deref().unwrap_or("NonIndexed");
    let replacement = spec.pod_replacement_policy.as_deref().unwrap_or("TerminatingOrFailed");
    let match_labels = labels(spec.selector.as_ref().and_then(|s| s.match_labels.clone()));
    Job {
        meta: lower_meta(value.metadata),
        parallelism: spec.parallelism.unwrap_or(1),
        completions: spec.completions,
        indexed: at.field("completionMode").one_of(mode, MODES, false),
        backoff_limit: spec.backoff_limit.unwrap_or(6),
        backoff_limit_per_index: spec.backoff_limit_per_index,
        max_failed_indexes: spec.max_failed_indexes,
        active_deadline_seconds: spec.active_deadline_seconds,
        ttl_seconds_after_finished: spec.ttl_seconds_after_finished,
        suspend: spec.suspend.unwrap_or(false),
        replace_only_failed: at.field("podReplacementPolicy").one_of(replacement, REPLACEMENTS, false),
        pod_failure_policy: spec.pod_failure_policy.map(|p| Arc::new(BoundaryPart::new(p))),
        success_policy: spec.success_policy.map(|p| Arc::new(BoundaryPart::new(p))),
        managed_by: non_empty(spec.managed_by),
        manual_selector: spec.manual_selector.unwrap_or(false),
        selector: selector(&at.field("selector"), spec.selector),
        match_labels,
        template: Arc::new(pod_template(&at.field("template"), spec.template)),
        status: job_status(status),
    }
}

fn job_status(status: batch::JobStatus) -> JobStatus {
    let uncounted = status.uncounted_terminated_pods.unwrap_or_default();
    JobStatus {
        start_time: time(status.start_time),
        completion_time: time(status.completion_time),
        active: status.active.unwrap_or(0),
        ready: status.ready,
        terminating: status.terminating,
        succeeded: status.succeeded.unwrap_or(0),
        failed: status.failed.unwrap_or(0),
        completed_indexes: text(status.completed_indexes),
        failed_indexes: status.failed_indexes.map(Into::into),
        uncounted_succeeded: texts(uncounted.succeeded),
        uncounted_failed: texts(uncounted.failed),
        conditions: conditions!(status.conditions, last_probe_time),
    }
}

/// Lowers a CronJob, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold. The schedule is read by the controller.
///
/// # Fidelity
/// The Job template is kept with the defaults that its Jobs get on creation.
pub fn lower_cron_job(mut value: batch::CronJob) -> Result<CronJob, Vec<LowerError>> {
    defaults::default_cron_job(&mut value);
    const POLICIES: &[(&str, ())] = &[("Allow", ()), ("Forbid", ()), ("Replace", ())];
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    let mut template = batch::Job {
        metadata: spec.job_template.metadata.unwrap_or_default(),
        spec: spec.job_template.spec,
        status: None,
    };
    defaults::default_job(&mut template);
    collect(|at| {
        let at = at.field("spec");
        let policy = text(spec.concurrency_policy);
        at.field("concurrencyPolicy").one_of(&policy, POLICIES, ());
        CronJob {
            meta: lower_meta(value.metadata),
            schedule: spec.schedule.into(),
            time_zone: non_empty(spec.time_zone),
            concurrency_policy: policy,
            suspend: spec.suspend.unwrap_or(false),
            starting_deadline_seconds: spec.starting_deadline_seconds,
            successful_jobs_history_limit: spec.successful_jobs_history_limit.unwrap_or(3),
            failed_jobs_history_limit: spec.failed_jobs_history_limit.unwrap_or(1),
            job_template: Arc::new(job(&at.field("jobTemplate"), template)),
            active: status
                .active
                .unwrap_or_default()
                .into_iter()
                .map(|r| (text(r.name), text(r.uid)))
                .collect(),
            last_schedule_time: time(status.last_schedule_time),
            last_successful_time: time(status.last_successful_time),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::json::from_value;
    use crate::api::selector::LabelSelector;
    use serde_json::json;

    #[test]
    fn jobs_are_read() {
        let value = json!({"spec": {"completions": 3, "completionMode": "Indexed", "template": {"spec": {"restartPolicy": "Never"}},
            "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}}});
        let job = lower_job(from_value(value).unwrap()).unwrap();
        assert_eq!((job.parallelism, job.completions, job.backoff_limit), (1, Some(3), 6));
        assert!(job.indexed && job.replace_only_failed);
        assert_eq!(job.selector, LabelSelector::Nothing);
        let policy = &job.pod_failure_policy.unwrap().value;
        let pattern = &policy.rules[0].on_pod_conditions.as_ref().unwrap()[0];
        assert_eq!(pattern.status, "True");
    }

    #[test]
    fn cron_jobs_are_read() {
        let value = json!({"spec": {"schedule": "*/5 * * * *", "concurrencyPolicy": "Sometimes",
            "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"completionMode": "x", "template": {}}}}});
        let errors = lower_cron_job(from_value(value.clone()).unwrap()).unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["spec.concurrencyPolicy", "spec.jobTemplate.spec.completionMode"]);
        let mut value = value;
        value["spec"]["concurrencyPolicy"] = json!("Forbid");
        value["spec"]["jobTemplate"]["spec"]["completionMode"] = json!(null);
        let job = lower_cron_job(from_value(value).unwrap()).unwrap();
        assert_eq!((job.successful_jobs_history_limit, job.failed_jobs_history_limit), (3, 1));
        assert!(job.job_template.meta.labels.contains_key("a"));
    }
}
