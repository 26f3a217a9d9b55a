//! Whether a Pod is as an expectation describes it.

use super::spec::PodsSubject;
use crate::api::condition;
use crate::api::pod::{ContainerState, Pod, cond};
use crate::api::{ConditionStatus, Phase};
use crate::base::Str;

impl PodsSubject {
    /// Whether `pod`, on a node of `zone`, is meant.
    pub fn covers(&self, pod: &Pod, zone: Option<&Str>) -> bool {
        let meta = &pod.meta;
        same(self.namespace.as_ref(), Some(&meta.namespace))
            && same(self.name.as_ref(), Some(&meta.name))
            && same(self.node.as_ref(), pod.node_name.as_ref())
            && same(self.zone.as_ref(), zone)
            && self.phase.is_none_or(|p| p == pod.status.phase)
            && self.ready.is_none_or(|r| r == pod.is_ready())
            && self.scheduled.is_none_or(|s| s == pod.node_name.is_some())
            && self.terminating.is_none_or(|t| t == meta.is_deleting())
            && self.selector.matches(&meta.labels)
            && self.cause.is_none_or(|cause| waiting_message(pod).is_some_and(|m| cause.is_in(m)))
            && self.reason.as_ref().is_none_or(|r| has_reason(pod, r))
            && self.restarts.is_none_or(|count| count.holds(restarts(pod)))
            && self.condition.as_ref().is_none_or(|(kind, status)| has_condition(pod, kind, *status))
    }

    /// Whether it depends on the zone of a Pod's node.
    pub const fn needs_zone(&self) -> bool {
        self.zone.is_some()
    }
}

fn same(wanted: Option<&Str>, have: Option<&Str>) -> bool {
    wanted.is_none_or(|w| have == Some(w))
}

/// What the scheduler says about a Pod that has no node.
pub fn waiting_message(pod: &Pod) -> Option<&Str> {
    if pod.node_name.is_some() {
        return None;
    }
    condition::find(&pod.status.conditions, cond::POD_SCHEDULED)
        .filter(|c| c.status == ConditionStatus::False)
        .map(|c| &c.message)
}

fn has_condition(pod: &Pod, kind: &str, status: ConditionStatus) -> bool {
    condition::find(&pod.status.conditions, kind).is_some_and(|c| c.status == status)
}

/// Restarts of all containers together.
fn restarts(pod: &Pod) -> i64 {
    let all = pod.status.containers.iter().chain(&pod.status.init_containers);
    all.map(|c| i64::from(c.restart_count)).sum()
}

/// Whether `reason` is why the Pod ended, why a container waits or how it ended, now or last, or why
/// the Pod is not scheduled.
fn has_reason(pod: &Pod, reason: &str) -> bool {
    let status = &pod.status;
    status.reason == reason
        || status.containers.iter().chain(&status.init_containers).any(|c| {
            let now = match &c.state {
                ContainerState::Waiting { reason, .. } => Some(reason),
                ContainerState::Terminated(t) => Some(&t.reason),
                ContainerState::Running { .. } => None,
            };
            now.is_some_and(|r| r == reason)
                || c.last_termination.as_ref().is_some_and(|t| t.reason == reason)
        })
        || (status.phase == Phase::Pending
            && condition::find(&status.conditions, cond::POD_SCHEDULED)
                .is_some_and(|c| c.status == ConditionStatus::False && c.reason == reason))
}
