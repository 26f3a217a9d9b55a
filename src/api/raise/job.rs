//! Raising of Jobs and CronJobs.

use crate::api::k8s::batch::v1 as batch;
use crate::api::k8s::core::v1 as core;
use crate::api::object::Kind;
use crate::api::workload::{CronJob, Job, JobStatus};

use super::meta::{conditions, list, number, raise_meta, selector_with, text, texts, time};
use super::pod::raise_pod_template;
use super::workload::meta_or_none;

/// Raises a Job.
pub fn raise_job(job: &Job) -> batch::Job {
    batch::Job {
        metadata: raise_meta(&job.meta),
        spec: Some(job_spec(job)),
        status: Some(job_status(&job.status)),
    }
}

fn job_spec(job: &Job) -> batch::JobSpec {
    let replacement = if job.replace_only_failed { "Failed" } else { "TerminatingOrFailed" };
    batch::JobSpec {
        active_deadline_seconds: job.active_deadline_seconds,
        backoff_limit: Some(job.backoff_limit),
        backoff_limit_per_index: job.backoff_limit_per_index,
        completion_mode: Some(if job.indexed { "Indexed" } else { "NonIndexed" }.to_owned()),
        completions: job.completions,
        managed_by: job.managed_by.as_ref().map(ToString::to_string),
        manual_selector: Some(job.manual_selector),
        max_failed_indexes: job.max_failed_indexes,
        parallelism: Some(job.parallelism),
        pod_failure_policy: job.pod_failure_policy.as_ref().map(|p| p.value.clone()),
        pod_replacement_policy: Some(replacement.to_owned()),
        selector: selector_with(&job.selector, &job.match_labels),
        success_policy: job.success_policy.as_ref().map(|p| p.value.clone()),
        suspend: Some(job.suspend),
        template: raise_pod_template(&job.template),
        ttl_seconds_after_finished: job.ttl_seconds_after_finished,
    }
}

fn job_status(status: &JobStatus) -> batch::JobStatus {
    let uncounted = batch::UncountedTerminatedPods {
        failed: texts(&status.uncounted_failed),
        succeeded: texts(&status.uncounted_succeeded),
    };
    // The controller's first write has it, be it empty.
    let counts = status.ready.is_some()
        || status.start_time.is_some()
        || uncounted != batch::UncountedTerminatedPods::default();
    batch::JobStatus {
        active: number(status.active),
        completed_indexes: text(&status.completed_indexes),
        completion_time: status.completion_time.map(time),
        conditions: conditions!(status.conditions, batch::JobCondition, last_probe_time),
        failed: number(status.failed),
        failed_indexes: status.failed_indexes.as_ref().map(ToString::to_string),
        ready: status.ready,
        start_time: status.start_time.map(time),
        succeeded: number(status.succeeded),
        terminating: status.terminating,
        uncounted_terminated_pods: counts.then_some(uncounted),
    }
}

/// Raises a CronJob.
pub fn raise_cron_job(job: &CronJob) -> batch::CronJob {
    batch::CronJob {
        metadata: raise_meta(&job.meta),
        spec: Some(batch::CronJobSpec {
            concurrency_policy: text(&job.concurrency_policy),
            failed_jobs_history_limit: Some(job.failed_jobs_history_limit),
            job_template: batch::JobTemplateSpec {
                metadata: meta_or_none(&job.job_template.meta),
                spec: Some(job_spec(&job.job_template)),
            },
            schedule: job.schedule.to_string(),
            starting_deadline_seconds: job.starting_deadline_seconds,
            successful_jobs_history_limit: Some(job.successful_jobs_history_limit),
            suspend: Some(job.suspend),
            time_zone: job.time_zone.as_ref().map(ToString::to_string),
        }),
        status: Some(batch::CronJobStatus {
            active: list(&job.active, |(name, uid)| core::ObjectReference {
                api_version: Some(Kind::Job.info().api_version.to_owned()),
                kind: Some(Kind::Job.name().to_owned()),
                name: text(name),
                namespace: text(&job.meta.namespace),
                uid: text(uid),
                ..Default::default()
            }),
            last_schedule_time: job.last_schedule_time.map(time),
            last_successful_time: job.last_successful_time.map(time),
        }),
    }
}
