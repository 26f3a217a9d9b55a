//! READY, STATUS and RESTARTS of a Pod.
//!
//! Upstream: `pkg/printers/internalversion/printers.go` `printPod`, v1.34.

use super::age;
use crate::api::pod::cond;
use crate::api::{ContainerState, ContainerStatus, Pod, condition};
use crate::base::Timestamp;

/// What kubectl shows of a Pod's containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSummary {
    /// Ready containers and sidecars.
    pub ready: usize,
    /// Containers and sidecars.
    pub total: usize,
    /// The STATUS column.
    pub status: String,
    /// Restarts.
    pub restarts: u32,
    /// When a container last ended to be restarted.
    pub last_restart: Option<Timestamp>,
}

impl PodSummary {
    /// The RESTARTS column.
    pub fn restarts_text(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(at) if self.restarts > 0 => {
                format!("{} ({} ago)", self.restarts, age::human(now.secs_since(at)))
            }
            _ => self.restarts.to_string(),
        }
    }
}

/// Sums a Pod up.
pub fn summary(pod: &Pod) -> PodSummary {
    let mut status = if pod.status.reason.is_empty() {
        pod.status.phase.as_str().to_owned()
    } else {
        pod.status.reason.to_string()
    };
    let scheduled = condition::find(&pod.status.conditions, cond::POD_SCHEDULED);
    if scheduled.is_some_and(|c| c.reason == "SchedulingGated") {
        "SchedulingGated".clone_into(&mut status);
    }
    let sidecars = pod.spec.init_containers.iter().filter(|c| c.sidecar).count();
    let mut sum = PodSummary {
        ready: 0,
        total: pod.spec.containers.len() + sidecars,
        status,
        restarts: 0,
        last_restart: None,
    };
    let initializing = init_containers(pod, &mut sum);
    if !initializing || condition::is_true(&pod.status.conditions, cond::INITIALIZED) {
        regular_containers(pod, &mut sum);
    }
    if pod.meta.is_deleting() {
        if pod.status.reason == "NodeLost" {
            "Unknown".clone_into(&mut sum.status);
        } else if !pod.is_terminal() {
            "Terminating".clone_into(&mut sum.status);
        }
    }
    sum
}

fn last_end(status: &ContainerStatus) -> Option<Timestamp> {
    status.last_termination.as_ref().map(|t| t.finished_at)
}

/// Looks at init containers in order up to the first that is not done; whether there is one.
fn init_containers(pod: &Pod, sum: &mut PodSummary) -> bool {
    let total = pod.spec.init_containers.len();
    for (index, status) in pod.status.init_containers.iter().enumerate() {
        let sidecar = pod.spec.init_containers.iter().any(|c| c.name == status.name && c.sidecar);
        sum.restarts += status.restart_count;
        sum.last_restart = sum.last_restart.max(last_end(status));
        let text = match &status.state {
            ContainerState::Terminated(end) if end.exit_code == 0 => continue,
            _ if sidecar && status.started => {
                sum.ready += usize::from(status.ready);
                continue;
            }
            ContainerState::Terminated(end) if end.reason.is_empty() => format!("ExitCode:{}", end.exit_code),
            ContainerState::Terminated(end) => end.reason.to_string(),
            ContainerState::Waiting { reason, .. } if !reason.is_empty() && reason != "PodInitializing" => {
                reason.to_string()
            }
            ContainerState::Waiting { .. } | ContainerState::Running { .. } => format!("{index}/{total}"),
        };
        sum.status = format!("Init:{text}");
        return true;
    }
    false
}

fn regular_containers(pod: &Pod, sum: &mut PodSummary) {
    // Restarts of init containers count only while they are what the Pod is doing; those of sidecars always.
    let is_sidecar =
        |s: &&ContainerStatus| pod.spec.init_containers.iter().any(|c| c.name == s.name && c.sidecar);
    let sidecars = || pod.status.init_containers.iter().filter(is_sidecar);
    sum.restarts = sidecars().map(|s| s.restart_count).sum();
    sum.last_restart = sidecars().filter_map(last_end).max();
    let mut has_running = false;
    for status in pod.status.containers.iter().rev() {
        sum.restarts += status.restart_count;
        sum.last_restart = sum.last_restart.max(last_end(status));
        match &status.state {
            ContainerState::Waiting { reason, .. } if !reason.is_empty() => sum.status = reason.to_string(),
            ContainerState::Terminated(end) if end.reason.is_empty() => {
                sum.status = format!("ExitCode:{}", end.exit_code);
            }
            ContainerState::Terminated(end) => sum.status = end.reason.to_string(),
            ContainerState::Running { .. } if status.ready => {
                has_running = true;
                sum.ready += 1;
            }
            ContainerState::Waiting { .. } | ContainerState::Running { .. } => {}
        }
    }
    if sum.status == "Completed" && has_running {
        let word = if pod.is_ready() { "Running" } else { "NotReady" };
        word.clone_into(&mut sum.status);
    }
}
