//! Rows of what makes Pods.

use super::{NONE, age, age_of, labels_text, or_none, plain, text};
use crate::api::workload::{CronJob, Job};
use crate::api::{LabelSelector, Object, condition};
use crate::base::{Str, Timestamp};

fn containers_and_images(object: &Object) -> Vec<String> {
    let spec = match object {
        Object::Deployment(o) => &o.template.spec,
        Object::ReplicaSet(o) => &o.template.spec,
        Object::ReplicationController(o) => &o.0.template.spec,
        Object::StatefulSet(o) => &o.template.spec,
        Object::DaemonSet(o) => &o.template.spec,
        Object::Job(o) => &o.template.spec,
        Object::CronJob(o) => &o.job_template.template.spec,
        _ => return Vec::new(),
    };
    let join = |f: fn(&crate::api::Container) -> &Str| {
        spec.containers.iter().map(|c| f(c).as_str()).collect::<Vec<_>>().join(",")
    };
    vec![join(|c| &c.name), join(|c| &c.image)]
}

pub(super) fn workload(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let name = object.meta().name.to_string();
    let age = age_of(object, now);
    let number = |n: i32| n.to_string();
    let (mut row, selector): (Vec<String>, Option<&LabelSelector>) = match object {
        Object::Deployment(d) => (
            vec![
                name,
                format!("{}/{}", d.status.ready_replicas, d.replicas),
                number(d.status.updated_replicas),
                number(d.status.available_replicas),
                age,
            ],
            Some(&d.selector),
        ),
        Object::ReplicaSet(r) => (replica_set_row(name, r, age), Some(&r.selector)),
        Object::ReplicationController(r) => (replica_set_row(name, &r.0, age), Some(&r.0.selector)),
        Object::StatefulSet(s) => {
            (vec![name, format!("{}/{}", s.status.ready_replicas, s.replicas), age], None)
        }
        Object::DaemonSet(d) => (
            vec![
                name,
                number(d.status.desired_number_scheduled),
                number(d.status.current_number_scheduled),
                number(d.status.number_ready),
                number(d.status.updated_number_scheduled),
                number(d.status.number_available),
                labels_text(&d.template.spec.node_selector),
                age,
            ],
            Some(&d.selector),
        ),
        Object::Job(j) => {
            (vec![name, job_status(j), job_completions(j), job_duration(j, now), age], Some(&j.selector))
        }
        Object::CronJob(c) => (cron_job_row(name, c, age, now), Some(&LabelSelector::Nothing)),
        _ => return plain(object, now, wide),
    };
    if wide {
        row.extend(containers_and_images(object));
        row.extend(selector.map(|s| or_none(&s.to_string())));
    }
    row
}

fn replica_set_row(name: String, set: &crate::api::workload::ReplicaSet, age: String) -> Vec<String> {
    let status = &set.status;
    vec![name, set.replicas.to_string(), status.replicas.to_string(), status.ready_replicas.to_string(), age]
}

fn cron_job_row(name: String, cron: &CronJob, age: String, now: Timestamp) -> Vec<String> {
    vec![
        name,
        cron.schedule.to_string(),
        or_none(cron.time_zone.as_deref().unwrap_or_default()),
        text(if cron.suspend { "True" } else { "False" }),
        cron.active.len().to_string(),
        cron.last_schedule_time.map_or_else(|| text(NONE), |at| age::human(now.secs_since(at))),
        age,
    ]
}

fn job_status(job: &Job) -> String {
    let holds = |kind| condition::is_true(&job.status.conditions, kind);
    let word = if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if job.meta.is_deleting() {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else if holds("FailureTarget") {
        "FailureTarget"
    } else if holds("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    text(word)
}

fn job_completions(job: &Job) -> String {
    match job.completions {
        Some(wanted) => format!("{}/{wanted}", job.status.succeeded),
        None if job.parallelism > 1 => format!("{}/1 of {}", job.status.succeeded, job.parallelism),
        None => format!("{}/1", job.status.succeeded),
    }
}

fn job_duration(job: &Job, now: Timestamp) -> String {
    let Some(start) = job.status.start_time else { return String::new() };
    let failed = condition::find(&job.status.conditions, "Failed").filter(|c| c.is_true());
    let end = job.status.completion_time.or_else(|| failed.and_then(|c| c.transition)).unwrap_or(now);
    age::human(end.secs_since(start))
}
