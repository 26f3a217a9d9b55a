//! Jobs and CronJobs.
//!
//! Upstream: `pkg/apis/batch/validation/validation.go`, v1.34.
//!
//! # Fidelity
//! Whether a time zone of a CronJob exists is not checked here, since that needs the time zone database.

use super::pod::{self, Use};
use super::{At, Bad, Report, meta, names};
use crate::api::cron::{Schedule, Zone};
use crate::api::k8s::batch::v1::{CronJob, Job, JobSpec};

const PARALLELISM_MAX_INDEXED: i32 = 100_000;

/// A Job. Upstream: `ValidateJob`.
pub(in crate::api::manifest) fn job(object: &Job, report: &mut Report) {
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return report.required(&at.field("template"), "") };
    job_spec(spec, &at, report);
    let manual = spec.manual_selector == Some(true);
    match &spec.selector {
        None if manual => report.required(&at.field("selector"), ""),
        Some(selector) if manual => {
            meta::label_selector(selector, &at.field("selector"), report);
            let labels = spec.template.metadata.as_ref().and_then(|m| m.labels.as_ref());
            if !meta::matches(selector, labels) {
                let at = at.field("template");
                let at = at.field("metadata");
                let detail = "`selector` does not match template `labels`";
                report.invalid(&at.field("labels"), Bad::json(&labels), detail);
            }
        }
        Some(selector) => {
            report.invalid(&at.field("selector"), Bad::json(selector), "`selector` not auto-generated");
        }
        None => {}
    }
    if let (Some("Indexed"), Some(completions @ 1..), Some(name)) =
        (spec.completion_mode.as_deref(), spec.completions, object.metadata.name.as_deref())
    {
        let host = format!("{name}-{}", completions - 1);
        if !names::dns1123_label(&host).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {host}");
            let at = At::top("metadata");
            report.invalid(&at.field("name"), name, detail);
        }
    }
}

/// Upstream: `validateJobSpec`.
fn job_spec(spec: &JobSpec, at: &At<'_>, report: &mut Report) {
    for (name, value) in [
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ] {
        report.nonnegative_opt(&at.field(name), value);
    }
    report.nonnegative_opt(&at.field("activeDeadlineSeconds"), spec.active_deadline_seconds);
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        report.required(&at.field("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    report.one_of(&at.field("completionMode"), spec.completion_mode.as_deref(), &["NonIndexed", "Indexed"]);
    if spec.completion_mode.as_deref() == Some("Indexed") {
        indexed(spec, at, report);
    } else {
        not_indexed(spec, at, report);
    }
    let replacement = spec.pod_replacement_policy.as_deref();
    let supported: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    report.one_of(&at.field("podReplacementPolicy"), replacement, supported);
    pod::pod_template(&spec.template, &Use::default(), &at.field("template"), report);
    restart_policy(spec, at, report);
    failure_policy(spec, at, report);
}

fn indexed(spec: &JobSpec, at: &At<'_>, report: &mut Report) {
    if spec.completions.is_none() {
        report.required(&at.field("completions"), "when completion mode is Indexed");
    }
    if let Some(parallelism) = spec.parallelism.filter(|p| *p > PARALLELISM_MAX_INDEXED) {
        let detail = format!(
            "must be less than or equal to {PARALLELISM_MAX_INDEXED} when completion mode is Indexed"
        );
        report.invalid(&at.field("parallelism"), parallelism, detail);
    }
    if let (Some(completions), Some(failed)) = (spec.completions, spec.max_failed_indexes)
        && failed > completions
    {
        report.invalid(&at.field("maxFailedIndexes"), failed, "must be less than or equal to completions");
    }
}

fn not_indexed(spec: &JobSpec, at: &At<'_>, report: &mut Report) {
    for (name, value) in [
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ] {
        if let Some(value) = value {
            report.invalid(&at.field(name), value, "requires indexed completion mode");
        }
    }
    if let Some(policy) = &spec.success_policy {
        report.invalid(&at.field("successPolicy"), Bad::json(policy), "requires indexed completion mode");
    }
}

fn restart_policy(spec: &JobSpec, at: &At<'_>, report: &mut Report) {
    let Some(template) = &spec.template.spec else { return };
    let at = at.field("template");
    let at = at.field("spec");
    let at = at.field("restartPolicy");
    match template.restart_policy.as_deref().unwrap_or_default() {
        "" | "Always" => report.required(&at, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec.pod_failure_policy.is_some() => {
            report.invalid(
                &at,
                "OnFailure",
                "only \"Never\" is supported when podFailurePolicy is specified",
            );
        }
        _ => {}
    }
}

/// Upstream: `validatePodFailurePolicyRule`.
fn failure_policy(spec: &JobSpec, at: &At<'_>, report: &mut Report) {
    let Some(policy) = &spec.pod_failure_policy else { return };
    let at = at.field("podFailurePolicy");
    let under = at.field("rules");
    for (i, rule) in policy.rules.iter().enumerate() {
        let at = under.index(i);
        if rule.action.is_empty() {
            report.required(
                &at.field("action"),
                "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]",
            );
        }
        report.one_of(&at.field("action"), Some(&rule.action), &["Count", "FailIndex", "FailJob", "Ignore"]);
        if rule.action == "FailIndex" && spec.backoff_limit_per_index.is_none() {
            report.invalid(&at.field("action"), &rule.action, "requires the backoffLimitPerIndex to be set");
        }
        let conditions = rule.on_pod_conditions.as_ref().is_some_and(|list| !list.is_empty());
        match (&rule.on_exit_codes, conditions) {
            (None, false) => {
                report.invalid(&at, "", "specifying one of OnExitCodes and OnPodConditions is required")
            }
            (Some(_), true) => {
                report.invalid(&at, "", "specifying both OnExitCodes and OnPodConditions is not supported")
            }
            (Some(codes), false) => {
                let at = at.field("onExitCodes");
                report.one_of(&at.field("operator"), Some(&codes.operator), &["In", "NotIn"]);
                if codes.values.is_empty() {
                    report.invalid(
                        &at.field("values"),
                        Bad::json(&codes.values),
                        "at least one value is required",
                    );
                } else if codes.operator == "In" && codes.values.contains(&0) {
                    report.invalid(&at.field("values"), 0, "must not be 0 for the In operator");
                }
            }
            (None, true) => {}
        }
    }
}

/// A CronJob. Upstream: `ValidateCronJobCreate`.
pub(in crate::api::manifest) fn cron_job(object: &CronJob, report: &mut Report) {
    if let Some(name) = object.metadata.name.as_deref().filter(|n| n.len() > 52) {
        let at = At::top("metadata");
        report.invalid(&at.field("name"), name, "must be no more than 52 characters");
    }
    let at = At::top("spec");
    let Some(spec) = &object.spec else { return report.required(&at.field("schedule"), "") };
    if spec.schedule.is_empty() {
        report.required(&at.field("schedule"), "");
    } else if spec.schedule.contains("TZ") {
        let detail = match spec.time_zone {
            Some(_) => "cannot use both timeZone field and TZ or CRON_TZ in schedule",
            None => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        };
        report.invalid(&at.field("schedule"), &spec.schedule, detail);
    } else if let Err(detail) = Schedule::parse(&spec.schedule) {
        report.invalid(&at.field("schedule"), &spec.schedule, detail);
    }
    match spec.time_zone.as_deref() {
        Some("") => report.invalid(&at.field("timeZone"), "", "timeZone must be nil or non-empty string"),
        Some(zone) if zone.eq_ignore_ascii_case("local") => report.invalid(
            &at.field("timeZone"),
            zone,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        ),
        Some(zone) => {
            if let Err(detail) = Zone::find(zone) {
                report.invalid(&at.field("timeZone"), zone, detail);
            }
        }
        None => {}
    }
    report.nonnegative_opt(&at.field("startingDeadlineSeconds"), spec.starting_deadline_seconds);
    report.nonnegative_opt(&at.field("successfulJobsHistoryLimit"), spec.successful_jobs_history_limit);
    report.nonnegative_opt(&at.field("failedJobsHistoryLimit"), spec.failed_jobs_history_limit);
    report.one_of(
        &at.field("concurrencyPolicy"),
        spec.concurrency_policy.as_deref(),
        &["Allow", "Forbid", "Replace"],
    );
    let at = at.field("jobTemplate");
    let at = at.field("spec");
    let Some(job) = &spec.job_template.spec else { return report.required(&at.field("template"), "") };
    if let Some(selector) = &job.selector {
        report.invalid(&at.field("selector"), Bad::json(selector), "`selector` will be auto-generated");
    }
    if job.manual_selector == Some(true) {
        report.unsupported(&at.field("manualSelector"), "true", &["nil", "false"]);
    }
    job_spec(job, &at, report);
}
