//! What a Job's Pods say: whether they failed, when they ended, which index they have.
//!
//! Upstream: `pkg/controller/job/{job_controller,backoff_utils,indexed_job_utils}.go`, v1.34.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::api::pod::cond;
use crate::api::workload::Job;
use crate::api::{ConditionStatus, ContainerState, ContainerStatus, Phase, Pod, condition};
use crate::base::{Arc, Timestamp};

/// The finalizer of Pods that are not counted yet.
pub const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The annotation and label with the Pod's completion index.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The annotation with the failures of the Pod's index so far.
pub const INDEX_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
/// The annotation with the ignored failures of the Pod's index so far.
pub const INDEX_IGNORED_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// Whether the Pod is still to be counted.
pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.meta.has_finalizer(TRACKING_FINALIZER)
}

/// Whether only Pods that ended are replaced, not those being deleted.
pub(super) const fn replaces_only_failed(job: &Job) -> bool {
    job.replace_only_failed || job.pod_failure_policy.is_some()
}

/// Whether the Pod counts as failed.
pub(super) fn is_failed(pod: &Pod, job: &Job) -> bool {
    match pod.status.phase {
        Phase::Failed => true,
        Phase::Succeeded => false,
        Phase::Pending | Phase::Running | Phase::Unknown => {
            !replaces_only_failed(job) && pod.meta.is_deleting()
        }
    }
}

/// The Pod's completion index, if it has a valid one.
pub(super) fn completion_index(pod: &Pod) -> Option<i32> {
    pod.meta.annotations.get(COMPLETION_INDEX)?.parse().ok().filter(|i| *i >= 0)
}

/// The Pod's completion index, if the Job has it.
pub(super) fn valid_index(pod: &Pod, job: &Job) -> Option<i32> {
    completion_index(pod).filter(|i| *i < job.completions.unwrap_or(0))
}

/// The indexes of Pods.
pub(super) fn indexes_of<'a>(pods: impl IntoIterator<Item = &'a Arc<Pod>>) -> BTreeSet<i32> {
    pods.into_iter().filter_map(|p| completion_index(p)).collect()
}

fn count_in(pod: &Pod, annotation: &str) -> i32 {
    pod.meta.annotations.get(annotation).and_then(|v| v.parse().ok()).filter(|n| *n >= 0).unwrap_or(0)
}

/// Failures of the Pod's index before it that count.
pub(super) fn index_failures(pod: &Pod) -> i32 {
    count_in(pod, INDEX_FAILURE_COUNT)
}

/// Failures of the Pod's index before it that were ignored.
pub(super) fn index_ignored_failures(pod: &Pod) -> i32 {
    count_in(pod, INDEX_IGNORED_FAILURE_COUNT)
}

/// All failures of the Pod's index before it.
pub(super) fn index_all_failures(pod: &Pod) -> i32 {
    index_failures(pod).saturating_add(index_ignored_failures(pod))
}

/// When the Pod ended: by its containers, else by its readiness, its deletion, its creation.
pub(super) fn finish_time(pod: &Pod) -> Timestamp {
    finish_of_containers(pod).or_else(|| unready_since(pod)).or_else(|| deleted_at(pod)).unwrap_or_else(
        || {
            // Upstream: should not happen where kubelets and Pod GC run.
            pod.meta.created.unwrap_or_default()
        },
    )
}

fn finish_of_containers(pod: &Pod) -> Option<Timestamp> {
    let is_sidecar =
        |s: &&ContainerStatus| pod.spec.init_containers.iter().any(|c| c.sidecar && c.name == s.name);
    let regular = latest_finish(pod.status.containers.iter(), None);
    latest_finish(pod.status.init_containers.iter().filter(is_sidecar), regular)
}

fn latest_finish<'a>(
    statuses: impl Iterator<Item = &'a ContainerStatus>,
    before: Option<Timestamp>,
) -> Option<Timestamp> {
    let mut latest = before;
    for status in statuses {
        match &status.state {
            ContainerState::Terminated(end) => latest = latest.max(Some(end.finished_at)),
            ContainerState::Waiting { .. } | ContainerState::Running { .. } => return None,
        }
    }
    latest
}

fn unready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition::find(&pod.status.conditions, cond::READY)?;
    if ready.status == ConditionStatus::False { ready.transition } else { None }
}

fn deleted_at(pod: &Pod) -> Option<Timestamp> {
    let deletion = pod.meta.deletion?;
    Some(deletion.timestamp.plus_secs(-deletion.grace_seconds.unwrap_or(0)))
}

/// Orders active Pods so that those in earlier stages come first and are deleted first.
///
/// Upstream: `ActivePods` in `pkg/controller/controller_utils.go`, v1.34.
pub(super) fn sort_active(pods: &mut [Arc<Pod>]) {
    pods.sort_by_cached_key(|pod| {
        let ready = pod.ready_condition().filter(|c| c.is_true());
        let stage = match pod.status.phase {
            Phase::Unknown => 1,
            Phase::Running => 2,
            Phase::Pending | Phase::Succeeded | Phase::Failed => 0,
        };
        let sidecar =
            |s: &&ContainerStatus| pod.spec.init_containers.iter().any(|c| c.sidecar && c.name == s.name);
        let regular_restarts = pod.status.containers.iter().map(|s| s.restart_count).max();
        let sidecar_restarts =
            pod.status.init_containers.iter().filter(sidecar).map(|s| s.restart_count).max();
        // Without a time comes first, then the youngest.
        let youngest_first = |t: Option<Timestamp>| Reverse(t.map_or(i64::MAX, |t| t.secs()));
        (
            (pod.node_name.is_some(), stage, ready.is_some()),
            youngest_first(ready.and_then(|c| c.transition)),
            Reverse((regular_restarts.unwrap_or(0), sidecar_restarts.unwrap_or(0))),
            youngest_first(pod.meta.created),
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pod::Terminated;
    use crate::api::{Condition, Deletion};
    use crate::testkit;

    /// Facts §4.2: failure time.
    #[test]
    fn the_end_of_a_pod_is_found_in_four_places() {
        let start = testkit::calendar().start;
        let mut pod = testkit::pod("p", "app=a");
        pod.meta.created = Some(start);
        assert_eq!(finish_time(&pod), start);
        pod.meta.deletion = Some(Deletion { timestamp: start.plus_secs(40), grace_seconds: Some(30) });
        assert_eq!(finish_time(&pod), start.plus_secs(10));
        let unready = Condition::new("Ready", ConditionStatus::False, "", "", start.plus_secs(7));
        pod.status.conditions.push(unready);
        assert_eq!(finish_time(&pod), start.plus_secs(7));
        let ended = |at: i64| {
            ContainerState::Terminated(Arc::new(Terminated {
                exit_code: 1,
                reason: "Error".into(),
                message: "".into(),
                started_at: start,
                finished_at: start.plus_secs(at),
            }))
        };
        let status = |state| ContainerStatus { state, ..testkit::container_status("main", 0) };
        pod.status.containers = vec![status(ended(3)), status(ended(5)), status(ended(4))];
        assert_eq!(finish_time(&pod), start.plus_secs(5));
        pod.status.containers.push(testkit::container_status("side", 0));
        assert_eq!(finish_time(&pod), start.plus_secs(7), "a container still runs");
    }

    #[test]
    fn pods_in_earlier_stages_go_first() {
        let start = testkit::calendar().start;
        let pod = |name: &str, change: &dyn Fn(&mut Pod)| {
            let mut pod = testkit::pod(name, "app=a");
            pod.node_name = Some("n".into());
            pod.status.phase = Phase::Running;
            pod.meta.created = Some(start);
            pod.status.conditions.push(Condition::new("Ready", ConditionStatus::True, "", "", start));
            change(&mut pod);
            Arc::new(pod)
        };
        let mut pods = vec![
            pod("old", &|_| {}),
            pod("restarted", &|p| p.status.containers = vec![testkit::container_status("main", 3)]),
            pod("younger", &|p| p.status.conditions[0].transition = Some(start.plus_secs(5))),
            pod("unready", &|p| p.status.conditions.clear()),
            pod("pending", &|p| p.status.phase = Phase::Pending),
            pod("unbound", &|p| p.node_name = None),
        ];
        sort_active(&mut pods);
        let names: Vec<_> = pods.iter().map(|p| p.meta.name.as_str()).collect();
        assert_eq!(names, ["unbound", "pending", "unready", "younger", "restarted", "old"]);
    }
}
