//! What happens when a CronJob's world is not as it left it.

use super::*;
use crate::api::OwnerReference;

/// Facts §4.3, §13.27: more than a hundred missed times are reported, and one Job is started still.
#[test]
fn too_many_missed_times_are_reported_and_the_last_is_made_up_for() {
    let mut job = every_minute("Allow");
    job.last_schedule_time = Some(testkit::calendar().start.plus_secs(-7200));
    let mut h = harness(job);
    h.advance_secs(1);
    assert_eq!(jobs(&h), [0]);
    assert_eq!(
        h.events_of("TooManyMissedTimes"),
        ["too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"]
    );
}

/// Facts §4.3 `UnexpectedJob`.
#[test]
fn a_job_that_somebody_else_made_is_reported() {
    let mut h = harness(cron_job("0 0 1 1 *"));
    h.advance_secs(1);
    let cron = tick(&h);
    let mut child = (*cron.job_template).clone();
    child.meta = Meta::named("default", "tick-by-hand");
    child.meta.owners = vec![OwnerReference::controller_of(&*cron)].into();
    h.store.create(child).unwrap();
    h.advance_secs(1);
    assert_eq!(
        h.events_of("UnexpectedJob"),
        ["Saw a job that the controller did not create or forgot: tick-by-hand"]
    );
    assert!(tick(&h).active.is_empty());
}

/// Facts §4.3: a schedule is read in its time zone, and the Job says when in that zone.
#[test]
fn a_schedule_counts_in_its_time_zone() {
    let mut job = cron_job("1 17 * * *");
    job.time_zone = Some("Asia/Tokyo".into());
    let mut h = harness(job);
    h.advance_secs(61);
    assert_eq!(jobs(&h), [1], "08:01 in Greenwich");
    let annotation = "batch.kubernetes.io/cronjob-scheduled-timestamp";
    let made = h.store.list::<Job>().next().unwrap().meta.annotations.get(annotation).unwrap().clone();
    assert!(made.ends_with("T17:01:00+09:00"), "{made}");
}

/// Facts §4.3 `FailedCreate`: a refusal is reported and tried again.
#[test]
fn a_refused_job_is_reported() {
    let mut h = harness(every_minute("Allow"));
    h.store.create(crate::controller::testing::counted_quota("count/jobs.batch", 0)).unwrap();
    h.advance_secs(61);
    let said = h.events_of("FailedCreate");
    assert!(said[0].starts_with("Error creating job: jobs.batch \"tick-"), "{said:?}");
    let quota = ObjectKey::new("default", "q");
    let gone = crate::store::DeleteOptions::default();
    h.store.delete::<crate::api::policy::ResourceQuota>(&quota, &gone).unwrap();
    h.advance_secs(30);
    assert_eq!(jobs(&h), [1]);
}
