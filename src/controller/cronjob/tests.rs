use super::*;
use crate::api::lower;
use crate::api::{Condition, ConditionStatus};
use crate::base::Timestamp;
use crate::controller::testing::Harness;
use crate::testkit;
use serde_json::json;

pub(super) fn cron_job(schedule: &str) -> CronJob {
    let value = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick", "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "app:v1"}]}}}}},
    });
    let object = lower::object(value).unwrap();
    CronJob::unwrap(&object).map(|job| CronJob::clone(job)).unwrap()
}

fn every_minute(policy: &str) -> CronJob {
    CronJob { concurrency_policy: policy.into(), ..cron_job("* * * * *") }
}

/// The run begins at a full minute.
fn harness(job: CronJob) -> Harness {
    let mut h = Harness::new(vec![Box::new(CronJobController::new(5))]);
    h.store.create(job).unwrap();
    h
}

fn tick(h: &Harness) -> Arc<CronJob> {
    h.store.find::<CronJob>("default", "tick").unwrap().clone()
}

/// Names of the Jobs, with the minutes since the start in the place of those since the epoch.
fn jobs(h: &Harness) -> Vec<i64> {
    let start = testkit::calendar().start.secs() / 60;
    h.store
        .list::<Job>()
        .map(|j| j.meta.name.rsplit('-').next().unwrap().parse::<i64>().unwrap() - start)
        .collect()
}

fn end(h: &mut Harness, minute: i64, kind: &'static str) {
    let minute = testkit::calendar().start.secs() / 60 + minute;
    let now = h.store.timestamp();
    h.store
        .update::<Job>(&ObjectKey::new("default", format!("tick-{minute}")), |job| {
            job.status.start_time = Some(now.plus_secs(-5));
            job.status.completion_time = (kind == "Complete").then_some(now);
            job.status.conditions.push(Condition::new(kind, ConditionStatus::True, "x", "", now));
        })
        .unwrap();
}

/// Facts §4.3: name, annotation and Event of a Job.
#[test]
fn a_job_is_made_a_tenth_of_a_second_after_every_minute() {
    let mut h = harness(every_minute("Allow"));
    h.advance_millis(60_050);
    assert!(jobs(&h).is_empty());
    h.advance_millis(100);
    assert_eq!(jobs(&h), [1]);
    let job = h.store.list::<Job>().next().unwrap().clone();
    assert_eq!(
        job.meta.annotations.get("batch.kubernetes.io/cronjob-scheduled-timestamp").map(Str::as_str),
        Some(testkit::calendar().start.plus_secs(60).to_rfc3339().as_str())
    );
    assert!(job.match_labels.contains_key("batch.kubernetes.io/controller-uid"));
    let cron = tick(&h);
    assert_eq!(
        (cron.active.len(), cron.last_schedule_time),
        (1, Some(testkit::calendar().start.plus_secs(60)))
    );
    h.advance_secs(120);
    assert_eq!((jobs(&h).len(), tick(&h).active.len()), (3, 3));
    assert_eq!(h.events_of("SuccessfulCreate")[0], format!("Created job {}", job.meta.name));
}

/// Facts §4.3: `Forbid`; §13.27.
#[test]
fn forbid_waits_for_the_end_and_makes_up_for_the_missed_time() {
    let mut h = harness(every_minute("Forbid"));
    h.advance_secs(130);
    assert_eq!(jobs(&h), [1]);
    assert_eq!(
        h.events_of("JobAlreadyActive"),
        ["Not starting job because prior execution is running and concurrency policy is Forbid"]
    );
    end(&mut h, 1, "Complete");
    h.advance_millis(100);
    assert_eq!(jobs(&h), [1, 2]);
    assert_eq!(tick(&h).last_successful_time, Some(testkit::calendar().start.plus_secs(130)));
    assert!(h.events_of("SawCompletedJob")[0].ends_with(", condition: Complete"));
}

/// Facts §4.3: `Replace`.
#[test]
fn replace_deletes_what_runs() {
    let mut h = harness(every_minute("Replace"));
    h.advance_secs(121);
    assert_eq!((jobs(&h), tick(&h).active.len()), (vec![2], 1));
    assert_eq!(h.events_of("SuccessfulDelete").len(), 1);
}

/// Facts §4.3: `startingDeadlineSeconds`.
#[test]
fn a_start_that_comes_too_late_is_missed() {
    let mut job = every_minute("Forbid");
    job.starting_deadline_seconds = Some(10);
    let mut h = harness(job);
    h.advance_secs(150);
    end(&mut h, 1, "Failed");
    h.advance_secs(5);
    assert_eq!(jobs(&h), [1], "the time at 120 s is past its deadline");
    h.advance_secs(30);
    assert_eq!(jobs(&h), [1, 3]);
    assert!(h.events_of("SawCompletedJob")[0].ends_with(", condition: Failed"));
}

/// Facts §4.3: history limits.
#[test]
fn only_the_last_ended_jobs_are_kept() {
    let mut job = every_minute("Allow");
    job.successful_jobs_history_limit = 2;
    let mut h = harness(job);
    for minute in 1..=4 {
        h.advance_secs(61);
        end(&mut h, minute, if minute == 2 { "Failed" } else { "Complete" });
        h.advance_secs(1);
    }
    assert_eq!(jobs(&h), [2, 3, 4], "one failed and two succeeded");
}

/// Facts §4.3: one Job for any number of misses.
#[test]
fn suspension_ends_with_a_single_job() {
    let mut h = harness(CronJob { suspend: true, ..every_minute("Allow") });
    h.advance_secs(600);
    assert!(jobs(&h).is_empty());
    let key = tick(&h).key();
    h.store.update_spec::<CronJob>(&key, |c| c.suspend = false).unwrap();
    h.advance_secs(1);
    assert_eq!(jobs(&h), [10]);
}

#[test]
fn a_changed_schedule_counts_from_now_on() {
    let mut h = harness(cron_job("0 0 1 1 *"));
    h.advance_secs(30);
    let key = tick(&h).key();
    h.store.update_spec::<CronJob>(&key, |c| c.schedule = "*/2 * * * *".into()).unwrap();
    h.advance_secs(91);
    assert_eq!(jobs(&h), [2]);
}

/// Facts §4.3 `MissingJob`.
#[test]
fn a_job_that_somebody_deletes_goes_missing() {
    let mut h = harness(every_minute("Allow"));
    h.advance_secs(61);
    let key = h.store.list::<Job>().next().unwrap().key();
    h.store
        .delete::<Job>(&key, &crate::store::DeleteOptions::with(crate::store::Propagation::Background))
        .unwrap();
    h.advance_secs(1);
    assert!(tick(&h).active.is_empty());
    assert_eq!(h.events_of("MissingJob"), [format!("Active job went missing: {}", key.name)]);
    assert_ne!(tick(&h).last_schedule_time, None::<Timestamp>);
}

#[test]
fn an_idle_schedule_costs_no_events() {
    let mut h = harness(cron_job("0 0 1 1 *"));
    h.advance_secs(1);
    h.clear_log();
    h.advance_secs(86_400 * 30);
    assert!(h.log.is_empty());
}

mod edges;
