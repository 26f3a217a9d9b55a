use super::*;
use crate::api::pod::Terminated;
use crate::api::workload::{BoundaryPart, JobStatus};
use crate::api::{
    Condition, ConditionStatus, ContainerState, LabelSelector, Labels, Phase, PodTemplate, condition,
    fingerprint, k8s,
};
use crate::controller::testing::Harness;
use crate::store::{DeleteOptions, Propagation};
use crate::testkit;

/// A Job that runs one Pod to its end.
pub(super) fn job(name: &str) -> Job {
    Job {
        meta: Meta::named("default", name),
        parallelism: 1,
        completions: Some(1),
        indexed: false,
        backoff_limit: 6,
        backoff_limit_per_index: None,
        max_failed_indexes: None,
        active_deadline_seconds: None,
        ttl_seconds_after_finished: None,
        suspend: false,
        replace_only_failed: false,
        pod_failure_policy: None,
        success_policy: None,
        managed_by: None,
        manual_selector: false,
        selector: LabelSelector::Nothing,
        match_labels: Labels::default(),
        template: testkit::pod_template("app=work"),
        status: JobStatus::default(),
    }
}

fn harness(job: Job) -> Harness {
    let mut h = Harness::new(vec![JobController::boxed()]);
    h.store.create(job).unwrap();
    h.advance_millis(100);
    h
}

fn get(h: &Harness) -> Arc<Job> {
    h.store.list::<Job>().next().unwrap().clone()
}

fn change(h: &mut Harness, change: impl FnOnce(&mut Job)) {
    let key = get(h).key();
    h.store.update_spec::<Job>(&key, change).unwrap();
}

/// Active Pods in the order of their creation.
fn active(h: &Harness) -> Vec<Arc<Pod>> {
    h.store.list::<Pod>().filter(|p| p.is_active()).cloned().collect()
}

/// Binds the active Pods and makes them ready.
fn start(h: &mut Harness) {
    h.ready_all();
}

/// Ends a Pod as the kubelet does.
fn end(h: &mut Harness, pod: &ObjectKey, exit_code: i32) {
    let now = h.store.timestamp();
    h.store
        .update::<Pod>(pod, |p| {
            p.status.phase = if exit_code == 0 { Phase::Succeeded } else { Phase::Failed };
            let mut status = testkit::container_status("main", 0);
            status.state = ContainerState::Terminated(Arc::new(Terminated {
                exit_code,
                reason: if exit_code == 0 { "Completed" } else { "Error" }.into(),
                message: Str::new(),
                started_at: now,
                finished_at: now,
            }));
            p.status.containers = vec![status];
            let reason = if exit_code == 0 { "PodCompleted" } else { "PodFailed" };
            let unready = Condition::new("Ready", ConditionStatus::False, reason, "", now);
            condition::set(&mut p.status.conditions, unready);
        })
        .unwrap();
}

/// Ends all active Pods.
fn end_all(h: &mut Harness, exit_code: i32) {
    for pod in active(h) {
        end(h, &pod.key(), exit_code);
    }
}

/// `Type=Status/Reason` of the conditions.
fn conditions_of(h: &Harness) -> Vec<String> {
    let job = get(h);
    job.status.conditions.iter().map(|c| format!("{}={}/{}", c.kind, c.status, c.reason)).collect()
}

/// The numbers of the status: active, ready, succeeded, failed.
fn numbers(h: &Harness) -> (i32, i32, i32, i32) {
    let s = &get(h).status;
    (s.active, s.ready.unwrap_or(-1), s.succeeded, s.failed)
}

fn indexes(h: &Harness) -> Vec<i32> {
    active(h).iter().filter_map(|p| pods::completion_index(p)).collect()
}

/// Facts §4.2: batches of a second; order of the conditions; `Completed`.
#[test]
fn waves_of_pods_run_until_the_completions_are_reached() {
    let mut h = harness(Job { parallelism: 3, completions: Some(6), ..job("work") });
    assert_eq!((active(&h).len(), numbers(&h)), (3, (3, 0, 0, 0)));
    assert_eq!(get(&h).status.start_time, Some(testkit::calendar().start));
    start(&mut h);
    h.advance_millis(900);
    assert_eq!(numbers(&h).1, 0, "Pods' changes are batched for a second");
    h.advance_millis(300);
    assert_eq!(numbers(&h), (3, 3, 0, 0));
    h.advance_secs(2);
    end_all(&mut h, 0);
    h.advance_millis(900);
    assert_eq!((active(&h).len(), numbers(&h).2), (0, 0));
    h.advance_millis(300);
    assert_eq!((active(&h).len(), numbers(&h)), (3, (3, 0, 3, 0)));
    assert!(h.store.list::<Pod>().filter(|p| p.is_terminal()).all(|p| !pods::is_tracked(p)));
    end_all(&mut h, 0);
    h.clear_log();
    h.advance_secs(2);
    assert_eq!(numbers(&h), (0, 0, 6, 0));
    assert_eq!(
        conditions_of(&h),
        ["SuccessCriteriaMet=True/CompletionsReached", "Complete=True/CompletionsReached"]
    );
    assert_eq!(get(&h).status.conditions[1].message, "Reached expected number of succeeded pods");
    assert!(get(&h).status.completion_time.is_some());
    let steps: Vec<(usize, usize)> = h
        .log
        .iter()
        .filter_map(|c| {
            c.of::<Job>()?.1.map(|j| (j.status.uncounted_succeeded.len(), j.status.conditions.len()))
        })
        .collect();
    assert_eq!(
        steps,
        [(3, 1), (0, 2)],
        "first identities and the interim condition, then the counts and the end"
    );
    assert_eq!(h.events_of("Completed"), ["Job completed"]);
    assert_eq!(h.events_of("SuccessfulCreate").len(), 6);
}

/// Facts §4.2: finalizer and labels.
#[test]
fn pods_carry_labels_finalizer_and_owner_of_their_job() {
    let h = harness(job("work"));
    let (job, pod) = (get(&h), active(&h)[0].clone());
    let label = |k: &str| pod.meta.labels.get(k).map(|v| v.to_string()).unwrap_or_default();
    assert_eq!(label("batch.kubernetes.io/job-name"), "work");
    assert_eq!(label("job-name"), "work");
    assert_eq!(label("batch.kubernetes.io/controller-uid"), job.meta.uid.as_str());
    assert!(job.selector.matches(&pod.meta.labels) && pods::is_tracked(&pod));
    assert!(pod.meta.is_controlled_by(&job.meta.uid) && pod.meta.name.starts_with("work-"));
}

/// Facts §4.2: failure backoff and `backoffLimit`; §13.23, §13.25.
#[test]
fn failures_wait_ten_seconds_and_twice_as_long_each_time_until_the_limit() {
    let mut h = harness(Job { backoff_limit: 3, ..job("fail") });
    let mut created = Vec::new();
    for _ in 0..4 {
        while active(&h).is_empty() {
            h.advance_millis(100);
        }
        created.push(h.store.now().as_secs());
        start(&mut h);
        h.advance_millis(3050);
        end_all(&mut h, 1);
    }
    assert_eq!(created, [0, 13, 36, 79], "10, 20 and 40 s after the whole second of the failure");
    assert!(conditions_of(&h).is_empty());
    h.advance_secs(2);
    assert_eq!(
        conditions_of(&h),
        ["FailureTarget=True/BackoffLimitExceeded", "Failed=True/BackoffLimitExceeded"]
    );
    assert_eq!((numbers(&h), h.store.count::<Pod>()), ((0, 0, 0, 4), 4));
    assert_eq!(h.events_of("BackoffLimitExceeded"), ["Job has reached the specified backoff limit"]);
    assert!(get(&h).status.completion_time.is_none());
}

/// Facts §4.2, steps 3 and 4; §13.25.
#[test]
fn a_failure_ends_the_other_pods_too() {
    let mut h = harness(Job { parallelism: 2, completions: Some(2), backoff_limit: 0, ..job("fail") });
    h.kubelet.removed_after = Some(SimDuration::from_secs(2));
    start(&mut h);
    let first = active(&h)[0].key();
    end(&mut h, &first, 1);
    h.advance_millis(1500);
    assert_eq!(conditions_of(&h), ["FailureTarget=True/BackoffLimitExceeded"], "a Pod is still terminating");
    let status = get(&h).status.clone();
    assert_eq!((status.active, status.terminating, status.failed), (0, Some(1), 2));
    h.advance_secs(4);
    assert_eq!(conditions_of(&h)[1], "Failed=True/BackoffLimitExceeded");
    assert_eq!(h.events_of("SuccessfulDelete").len(), 1);
}

/// Facts §4.2: `activeDeadlineSeconds`.
#[test]
fn the_deadline_counts_from_the_start_and_waits_for_pods_to_end() {
    let mut h = harness(Job {
        parallelism: 2,
        completions: Some(2),
        active_deadline_seconds: Some(15),
        ..job("slow")
    });
    h.kubelet.removed_after = Some(SimDuration::from_secs(1));
    start(&mut h);
    h.advance_millis(14_800);
    assert_eq!(active(&h).len(), 2);
    h.advance_millis(200);
    assert_eq!(active(&h).len(), 0);
    assert_eq!(conditions_of(&h), ["FailureTarget=True/DeadlineExceeded"]);
    h.advance_millis(3000);
    assert_eq!(conditions_of(&h)[1], "Failed=True/DeadlineExceeded");
    assert_eq!((numbers(&h).3, get(&h).status.terminating), (2, Some(0)));
    assert_eq!(h.events_of("DeadlineExceeded"), ["Job was active longer than specified deadline"]);
}

/// Facts §4.2: suspend and resume.
#[test]
fn a_held_job_has_no_pods_and_does_not_count_those_it_takes_away() {
    let mut h = harness(Job { suspend: true, parallelism: 2, completions: Some(2), ..job("susp") });
    h.kubelet.removed_after = Some(SimDuration::from_secs(1));
    assert!(active(&h).is_empty() && get(&h).status.start_time.is_none());
    assert_eq!(conditions_of(&h), ["Suspended=True/JobSuspended"]);
    h.advance_secs(10);
    change(&mut h, |j| j.suspend = false);
    h.advance_millis(50);
    assert_eq!((active(&h).len(), conditions_of(&h)), (2, vec!["Suspended=False/JobResumed".to_owned()]));
    assert_eq!(get(&h).status.start_time, Some(testkit::calendar().start.plus_secs(10)));
    start(&mut h);
    h.advance_secs(4);
    change(&mut h, |j| j.suspend = true);
    h.advance_millis(50);
    assert!(active(&h).is_empty());
    assert_eq!((numbers(&h), get(&h).status.terminating), ((0, 0, 0, 0), Some(2)));
    h.advance_secs(3);
    assert_eq!((numbers(&h).3, get(&h).status.terminating), (0, Some(0)));
    assert_eq!(h.events_of("Suspended"), ["Job suspended"]);
    assert_eq!(h.events_of("Resumed"), ["Job resumed"]);
}

/// Facts §4.2: indexed Jobs.
#[test]
fn indexes_are_handed_out_from_the_lowest_and_compressed() {
    let mut h = harness(Job { indexed: true, parallelism: 3, completions: Some(5), ..job("idx") });
    assert_eq!(indexes(&h), [0, 1, 2]);
    let pod = active(&h)[1].clone();
    assert!(pod.meta.name.starts_with("idx-1-"), "{}", pod.meta.name);
    assert_eq!(pod.spec.raw.hostname.as_deref(), Some("idx-1"));
    assert_eq!(pod.meta.labels.get(pods::COMPLETION_INDEX).map(Str::as_str), Some("1"));
    let variables = pod.spec.raw.containers[0].env.clone().unwrap();
    assert_eq!(variables[0].name, "JOB_COMPLETION_INDEX");
    for index in [0, 2] {
        let key = active(&h).iter().find(|p| pods::completion_index(p) == Some(index)).unwrap().key();
        end(&mut h, &key, 0);
    }
    h.advance_secs(2);
    assert_eq!((get(&h).status.completed_indexes.as_str(), indexes(&h)), ("0,2", vec![1, 3, 4]));
    end_all(&mut h, 0);
    h.advance_secs(2);
    assert_eq!((get(&h).status.completed_indexes.as_str(), numbers(&h).2), ("0-4", 5));
    assert_eq!(conditions_of(&h)[1], "Complete=True/CompletionsReached");
}

/// Facts §4.2: `backoffLimitPerIndex`, `FailedIndexes`.
#[test]
fn with_a_limit_per_index_others_go_on_and_the_job_fails_at_the_end() {
    let mut h = harness(Job {
        indexed: true,
        parallelism: 2,
        completions: Some(2),
        backoff_limit: i32::MAX,
        backoff_limit_per_index: Some(1),
        ..job("idx")
    });
    let of = |h: &Harness, index| {
        active(h).iter().find(|p| pods::completion_index(p) == Some(index)).unwrap().clone()
    };
    let first = of(&h, 0);
    assert_eq!(first.meta.annotations.get(pods::INDEX_FAILURE_COUNT).map(Str::as_str), Some("0"));
    end(&mut h, &first.key(), 1);
    h.advance_secs(3);
    assert!(
        pods::is_tracked(h.store.get::<Pod>(&first.key()).unwrap()),
        "kept until its index has a new Pod"
    );
    h.advance_secs(8);
    let second = of(&h, 0);
    assert_eq!(second.meta.annotations.get(pods::INDEX_FAILURE_COUNT).map(Str::as_str), Some("1"));
    h.advance_secs(2);
    assert!(!pods::is_tracked(h.store.get::<Pod>(&first.key()).unwrap()));
    end(&mut h, &second.key(), 1);
    h.advance_secs(2);
    assert_eq!(get(&h).status.failed_indexes.as_deref(), Some("0"));
    assert_eq!(indexes(&h), [1]);
    end_all(&mut h, 0);
    h.advance_secs(2);
    assert_eq!(conditions_of(&h), ["FailureTarget=True/FailedIndexes", "Failed=True/FailedIndexes"]);
    assert_eq!(h.events_of("FailedIndexes"), ["Job has failed indexes"]);
}

/// Facts §4.2: `maxFailedIndexes`.
#[test]
fn too_many_failed_indexes_end_the_job() {
    let mut h = harness(Job {
        indexed: true,
        parallelism: 4,
        completions: Some(4),
        backoff_limit: i32::MAX,
        backoff_limit_per_index: Some(0),
        max_failed_indexes: Some(1),
        ..job("idx")
    });
    for pod in active(&h).into_iter().take(2) {
        end(&mut h, &pod.key(), 1);
    }
    h.advance_secs(2);
    assert_eq!(conditions_of(&h)[0], "FailureTarget=True/MaxFailedIndexesExceeded");
    assert!(active(&h).is_empty());
}

/// Facts §4.2: `SuccessPolicy`.
#[test]
fn a_success_policy_ends_the_rest() {
    let policy = k8s::batch::v1::SuccessPolicy {
        rules: vec![k8s::batch::v1::SuccessPolicyRule {
            succeeded_indexes: Some("0".into()),
            succeeded_count: None,
        }],
    };
    let fingerprint = fingerprint::of(&policy);
    let mut h = harness(Job {
        indexed: true,
        parallelism: 3,
        completions: Some(3),
        success_policy: Some(Arc::new(BoundaryPart { value: policy, fingerprint })),
        ..job("idx")
    });
    h.kubelet.removed_after = Some(SimDuration::from_secs(1));
    start(&mut h);
    let leader = active(&h)[0].key();
    end(&mut h, &leader, 0);
    h.advance_secs(5);
    assert_eq!(conditions_of(&h), ["SuccessCriteriaMet=True/SuccessPolicy", "Complete=True/SuccessPolicy"]);
    assert_eq!(get(&h).status.conditions[0].message, "Matched rules at index 0");
    assert_eq!((numbers(&h).2, h.store.list::<Pod>().count()), (1, 1));
}

fn with_policy(mut job: Job, action: &str, exit_codes: &[i32]) -> Job {
    let value = k8s::batch::v1::PodFailurePolicy {
        rules: vec![k8s::batch::v1::PodFailurePolicyRule {
            action: action.into(),
            on_exit_codes: Some(k8s::batch::v1::PodFailurePolicyOnExitCodesRequirement {
                container_name: None,
                operator: "In".into(),
                values: exit_codes.to_vec(),
            }),
            on_pod_conditions: None,
        }],
    };
    let fingerprint = fingerprint::of(&value);
    job.pod_failure_policy = Some(Arc::new(BoundaryPart { value, fingerprint }));
    job
}

/// Facts §4.2: `podFailurePolicy`.
#[test]
fn a_failure_policy_fails_the_job_or_ignores_the_pod() {
    let mut h = harness(with_policy(job("work"), "FailJob", &[42]));
    let pod = active(&h)[0].key();
    end(&mut h, &pod, 42);
    h.advance_secs(2);
    assert_eq!(conditions_of(&h), ["FailureTarget=True/PodFailurePolicy", "Failed=True/PodFailurePolicy"]);
    let words =
        format!("Container main for pod {pod} failed with exit code 42 matching FailJob rule at index 0");
    assert_eq!(h.events_of("PodFailurePolicy"), [words]);
    let mut h = harness(with_policy(Job { backoff_limit: 0, ..job("work") }, "Ignore", &[42]));
    end_all(&mut h, 42);
    h.advance_secs(15);
    assert_eq!((numbers(&h).3, active(&h).len()), (0, 1), "not counted, but the wait applies");
}

/// Facts §4.2: `podReplacementPolicy`; §13.24.
#[test]
fn a_terminating_pod_is_replaced_at_once_unless_only_failed_ones_are() {
    for (only_failed, replaced) in [(false, 1), (true, 0)] {
        let mut h = harness(Job { replace_only_failed: only_failed, ..job("work") });
        start(&mut h);
        let pod = active(&h)[0].key();
        h.store.delete::<Pod>(&pod, &DeleteOptions::default()).unwrap();
        h.advance_secs(15);
        assert_eq!(active(&h).len(), replaced);
        assert_eq!((numbers(&h).3, get(&h).status.terminating), (replaced as i32, Some(1)));
    }
}

/// Facts §4.2, step 3; §13.26.
#[test]
fn restarts_of_containers_count_with_on_failure() {
    let mut spec = testkit::pod_spec("app:v1");
    spec.restart_policy = crate::api::pod::RestartPolicy::OnFailure;
    let template = PodTemplate { spec: Arc::new(spec), ..(*testkit::pod_template("app=work")).clone() };
    let mut h = harness(Job { template: Arc::new(template), backoff_limit: 2, ..job("work") });
    start(&mut h);
    let pod = active(&h)[0].key();
    let restarts = |h: &mut Harness, n| {
        h.store
            .update::<Pod>(&pod, |p| p.status.containers = vec![testkit::container_status("main", n)])
            .unwrap();
        h.advance_secs(2);
    };
    restarts(&mut h, 1);
    assert!(conditions_of(&h).is_empty());
    restarts(&mut h, 2);
    assert_eq!(conditions_of(&h), ["FailureTarget=True/BackoffLimitExceeded"]);
    assert!(active(&h).is_empty(), "running Pods are ended");
}

/// Facts §4.2: no completions.
#[test]
fn a_work_queue_ends_with_its_first_success() {
    let mut h = harness(Job { parallelism: 3, completions: None, ..job("queue") });
    assert_eq!(active(&h).len(), 3);
    let first = active(&h)[0].key();
    end(&mut h, &first, 0);
    h.advance_secs(3);
    assert_eq!((active(&h).len(), numbers(&h).2), (2, 1), "none is made any more");
    end_all(&mut h, 0);
    h.advance_secs(2);
    assert_eq!(conditions_of(&h)[1], "Complete=True/CompletionsReached");
    assert_eq!(numbers(&h).2, 3);
}

/// Facts §4.2: surplus.
#[test]
fn lower_parallelism_takes_pods_away_without_counting_them() {
    let mut h = harness(Job { parallelism: 4, completions: Some(8), ..job("work") });
    change(&mut h, |j| j.parallelism = 1);
    h.advance_millis(50);
    assert_eq!((active(&h).len(), numbers(&h).0), (1, 1));
    h.advance_secs(3);
    assert_eq!((numbers(&h).3, h.store.count::<Pod>()), (0, 1));
}

#[test]
fn pods_of_a_job_that_is_gone_are_released() {
    let mut h = harness(job("work"));
    start(&mut h);
    let (job, pod) = (get(&h).key(), active(&h)[0].key());
    h.store.delete::<Job>(&job, &DeleteOptions::with(Propagation::Background)).unwrap();
    h.advance_millis(100);
    assert!(!pods::is_tracked(h.store.get::<Pod>(&pod).unwrap()));
}

#[test]
fn jobs_of_another_controller_are_left_alone() {
    let h = harness(Job { managed_by: Some("example.com/queue".into()), ..job("work") });
    assert!(active(&h).is_empty() && get(&h).status == JobStatus::default());
    let h = harness(Job { managed_by: Some(OWN_NAME.into()), ..job("work") });
    assert_eq!(active(&h).len(), 1);
}

#[test]
fn the_rate_limit_spreads_a_wide_job_and_every_pod_is_counted_once() {
    let mut h = harness(Job { parallelism: 60, completions: Some(60), ..job("wide") });
    assert!((10..40).contains(&active(&h).len()), "{}", active(&h).len());
    h.advance_secs(20);
    assert_eq!((active(&h).len(), numbers(&h).0), (60, 60));
    end_all(&mut h, 0);
    h.advance_secs(20);
    assert_eq!((numbers(&h), h.store.count::<Pod>()), ((0, 0, 60, 0), 60));
    assert_eq!(conditions_of(&h)[1], "Complete=True/CompletionsReached");
}

/// Facts §4.2: 500 uncounted Pods at most.
#[test]
fn more_pods_than_fit_into_the_status_are_counted_in_turns() {
    let mut h = Harness::with_config(
        vec![JobController::boxed()],
        crate::controller::manager::ManagerConfig { api_qps: 0.0, ..Default::default() },
    );
    h.store.create(Job { parallelism: 600, completions: Some(600), ..job("huge") }).unwrap();
    h.advance_secs(20);
    assert_eq!(active(&h).len(), 600);
    end_all(&mut h, 0);
    h.clear_log();
    h.advance_secs(30);
    assert_eq!(numbers(&h), (0, 0, 600, 0));
    let most =
        h.log.iter().filter_map(|c| c.of::<Job>()?.1.map(|j| j.status.uncounted_succeeded.len())).max();
    assert_eq!(most, Some(500));
    assert_eq!(conditions_of(&h)[1], "Complete=True/CompletionsReached");
}

mod edges;
