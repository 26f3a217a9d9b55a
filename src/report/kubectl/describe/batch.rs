//! Jobs and CronJobs.

use super::{Scene, Sheet, controlled_by, date, or_none, pod};
use crate::api::workload::{CronJob, Job};
use crate::api::{k8s::batch::v1::JobSpec, raise};
use crate::report::kubectl::age;

/// Bytes of a list of indexes before it is cut at the next comma.
const INDEXES_MAX: usize = 50;

/// A Job.
pub(super) fn job(sheet: &mut Sheet, job: &Job, scene: &Scene<'_>) {
    let raised = raise::raise_job(job);
    let status = raised.status.unwrap_or_default();
    sheet.field(0, "Name", &job.meta.name);
    sheet.field(0, "Namespace", &job.meta.namespace);
    sheet.field(0, "Selector", &job.selector);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field_opt(0, "Controlled By", controlled_by(&job.meta));
    sheet.field(0, "Parallelism", job.parallelism);
    sheet.field(0, "Completions", job.completions.map_or_else(|| "<unset>".to_owned(), |n| n.to_string()));
    sheet.field(0, "Completion Mode", if job.indexed { "Indexed" } else { "NonIndexed" });
    sheet.field(0, "Suspend", job.suspend);
    sheet.field(0, "Backoff Limit", job.backoff_limit);
    sheet.field_opt(0, "TTL Seconds After Finished", job.ttl_seconds_after_finished);
    sheet.field_opt(0, "Start Time", status.start_time.as_ref().map(|t| date(Some(t))));
    sheet.field_opt(0, "Completed At", status.completion_time.as_ref().map(|t| date(Some(t))));
    if let (Some(start), Some(end)) = (job.status.start_time, job.status.completion_time) {
        sheet.field(0, "Duration", age::human(end.secs_since(start)));
    }
    sheet.field_opt(0, "Active Deadline Seconds", job.active_deadline_seconds.map(|s| format!("{s}s")));
    let ready = job.status.ready.map_or_else(String::new, |n| format!(" ({n} Ready)"));
    let (active, succeeded, failed) = (job.status.active, job.status.succeeded, job.status.failed);
    let counts = format!("{active} Active{ready} / {succeeded} Succeeded / {failed} Failed");
    sheet.field(0, "Pods Statuses", counts);
    if job.indexed {
        sheet.field(0, "Completed Indexes", cut_indexes(or_none(&job.status.completed_indexes)));
    }
    pod::template(sheet, &job.template.raw);
    scene.events(sheet);
}

fn cut_indexes(indexes: &str) -> String {
    match indexes.get(INDEXES_MAX..).and_then(|rest| rest.find(',')) {
        Some(comma) => format!("{}...", &indexes[..=INDEXES_MAX + comma]),
        None => indexes.to_owned(),
    }
}

/// A CronJob.
pub(super) fn cron_job(sheet: &mut Sheet, cron: &CronJob, scene: &Scene<'_>) {
    let raised = raise::raise_cron_job(cron);
    let (spec, status) = (raised.spec.unwrap_or_default(), raised.status.unwrap_or_default());
    sheet.field(0, "Name", &cron.meta.name);
    sheet.field(0, "Namespace", &cron.meta.namespace);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(0, "Schedule", &cron.schedule);
    sheet.field(0, "Concurrency Policy", &cron.concurrency_policy);
    sheet.field(0, "Suspend", if cron.suspend { "True" } else { "False" });
    sheet.field(0, "Successful Job History Limit", cron.successful_jobs_history_limit);
    sheet.field(0, "Failed Job History Limit", cron.failed_jobs_history_limit);
    let deadline = cron.starting_deadline_seconds.map_or_else(unset, |s| format!("{s}s"));
    sheet.field(0, "Starting Deadline Seconds", deadline);
    job_template(sheet, &spec.job_template.spec.unwrap_or_default());
    let last = status.last_schedule_time.as_ref().map_or_else(unset, |t| date(Some(t)));
    sheet.field(0, "Last Schedule Time", last);
    let active = cron.active.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    sheet.field(0, "Active Jobs", or_none(&active));
    scene.events(sheet);
}

fn unset() -> String {
    "<unset>".to_owned()
}

fn job_template(sheet: &mut Sheet, spec: &JobSpec) {
    let selector = spec.selector.clone().map_or_else(unset, |s| {
        crate::api::lower::lower_label_selector(Some(s)).map_or_else(|_| String::new(), |s| s.to_string())
    });
    sheet.field(0, "Selector", selector);
    let number = |n: Option<i32>| n.map_or_else(unset, |n| n.to_string());
    sheet.field(0, "Parallelism", number(spec.parallelism));
    sheet.field(0, "Completions", number(spec.completions));
    sheet.field_opt(0, "Active Deadline Seconds", spec.active_deadline_seconds.map(|s| format!("{s}s")));
    pod::template(sheet, &spec.template);
}
