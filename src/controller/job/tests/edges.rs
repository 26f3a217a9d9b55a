//! What happens at the edges of a Job's life.

use super::*;
use crate::controller::testing::counted_quota;

/// Facts §4.2 `TooManySucceededPods`.
#[test]
fn more_successes_than_asked_for_are_reported() {
    let mut h = harness(job("work"));
    let ours = active(&h)[0].clone();
    let mut stray = Pod::clone(&ours);
    stray.meta = crate::api::Lasting {
        labels: ours.meta.labels.clone(),
        owners: ours.meta.owners.clone(),
        finalizers: ours.meta.finalizers.clone(),
        ..crate::api::Lasting::named("default", "work-stray")
    }
    .into();
    let stray = h.store.create(stray).unwrap().meta.key();
    for pod in [ours.key(), stray] {
        end(&mut h, &pod, 0);
    }
    h.advance_secs(3);
    assert_eq!(numbers(&h).2, 2);
    assert_eq!(
        h.events_of("TooManySucceededPods"),
        ["Too many succeeded pods running after completion count reached"]
    );
    assert_eq!(conditions_of(&h)[1], "Complete=True/CompletionsReached");
}

/// Facts §4.2: a failing sync is tried again after 1 s, doubling to a minute.
#[test]
fn refused_pods_are_tried_again_ever_more_slowly() {
    let mut h = Harness::new(vec![JobController::boxed()]);
    h.store.create(counted_quota("pods", 0)).unwrap();
    h.store.create(job("work")).unwrap();
    h.advance_secs(250);
    let refused = |c: &&Change| {
        c.of::<crate::api::Event>().is_some_and(|(_, e)| e.is_some_and(|e| e.reason == "FailedCreate"))
    };
    let times: Vec<u64> = h.log.iter().filter(refused).map(|c| c.at.as_secs()).collect();
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
}

/// Facts §4.2, §8.1, §13.25: without a wish, Pods of a deleted Job are orphaned.
#[test]
fn a_plain_delete_orphans_the_pods_of_a_job() {
    let mut h = harness(job("work"));
    let key = get(&h).key();
    h.store.delete::<Job>(&key, &DeleteOptions::default()).unwrap();
    assert_eq!(get(&h).meta.finalizers, [crate::store::write::FINALIZER_ORPHAN]);
}

/// Facts §4.2 `FailIndex`: an index fails at once, whatever its limit.
#[test]
fn a_policy_may_fail_an_index_at_once() {
    let indexed = Job {
        indexed: true,
        parallelism: 2,
        completions: Some(2),
        backoff_limit: i32::MAX,
        backoff_limit_per_index: Some(5),
        ..job("idx")
    };
    let mut h = harness(with_policy(indexed, "FailIndex", &[42]));
    let first = active(&h)[0].key();
    end(&mut h, &first, 42);
    h.advance_secs(3);
    assert_eq!(get(&h).status.failed_indexes.as_deref(), Some("0"));
    assert_eq!(indexes(&h), [1]);
}

/// Facts §4.2, step 3: a held Job misses no deadline.
#[test]
fn the_deadline_does_not_run_while_a_job_is_held() {
    let mut h = harness(Job { suspend: true, active_deadline_seconds: Some(5), ..job("susp") });
    h.advance_secs(60);
    assert_eq!(conditions_of(&h), ["Suspended=True/JobSuspended"]);
    change(&mut h, |j| j.suspend = false);
    h.advance_secs(4);
    assert_eq!(active(&h).len(), 1);
    h.advance_secs(2);
    assert_eq!(conditions_of(&h)[1], "FailureTarget=True/DeadlineExceeded");
}

/// Facts §4.2, step 3: a Job that was about to fail fails, though its Pods succeed meanwhile.
#[test]
fn what_was_decided_first_stays() {
    let mut h = harness(Job { parallelism: 2, completions: Some(2), backoff_limit: 0, ..job("work") });
    start(&mut h);
    let pods = active(&h);
    end(&mut h, &pods[0].key(), 1);
    h.advance_millis(1500);
    assert_eq!(conditions_of(&h), ["FailureTarget=True/BackoffLimitExceeded"]);
    end(&mut h, &pods[1].key(), 0);
    h.advance_secs(3);
    assert_eq!(conditions_of(&h)[1], "Failed=True/BackoffLimitExceeded");
}
