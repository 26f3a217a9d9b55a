//! Lowering of containers, probes and container statuses.

use super::at::At;
use super::meta::{resources, text, time};
use crate::api::k8s::core::v1 as core;
use crate::api::pod::{
    Container, ContainerPort, ContainerState, ContainerStatus, Probe, PullPolicy, ResizedResources,
    Terminated,
};
use crate::base::{Arc, Timestamp};

const PULL_POLICIES: &[(&str, PullPolicy)] = &[
    ("Always", PullPolicy::Always),
    ("IfNotPresent", PullPolicy::IfNotPresent),
    ("Never", PullPolicy::Never),
];

/// Lowers a container that defaulting has filled in.
pub(crate) fn container(at: &At<'_>, container: core::Container) -> Container {
    let resources_at = at.field("resources");
    let amounts = container.resources.unwrap_or_default();
    let lifecycle = container.lifecycle.unwrap_or_default();
    let policy = container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    Container {
        name: container.name.into(),
        image: text(container.image),
        pull_policy: at.field("imagePullPolicy").one_of(policy, PULL_POLICIES, PullPolicy::IfNotPresent),
        requests: resources(&resources_at.field("requests"), amounts.requests),
        limits: resources(&resources_at.field("limits"), amounts.limits),
        ports: at.field("ports").each(container.ports, port),
        sidecar: container.restart_policy.as_deref() == Some("Always"),
        startup_probe: container.startup_probe.as_ref().map(probe),
        readiness_probe: container.readiness_probe.as_ref().map(probe),
        liveness_probe: container.liveness_probe.as_ref().map(probe),
        pre_stop_seconds: lifecycle.pre_stop.map(|hook| hook.sleep.map_or(0, |sleep| sleep.seconds)),
        has_post_start: lifecycle.post_start.is_some(),
    }
}

fn port(at: &At<'_>, port: core::ContainerPort) -> ContainerPort {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    at.field("protocol").one_of(protocol, PROTOCOLS, ());
    ContainerPort {
        name: text(port.name),
        container_port: port.container_port,
        host_port: port.host_port.unwrap_or(0),
        host_ip: text(port.host_ip),
        protocol: protocol.into(),
    }
}

/// The words of protocols.
pub(crate) const PROTOCOLS: &[(&str, ())] = &[("TCP", ()), ("UDP", ()), ("SCTP", ())];

fn probe(probe: &core::Probe) -> Probe {
    let at_least_one = |value: Option<i32>, default: i32| i64::from(value.unwrap_or(default).max(1));
    Probe {
        initial_delay_seconds: i64::from(probe.initial_delay_seconds.unwrap_or(0).max(0)),
        period_seconds: at_least_one(probe.period_seconds, 10),
        timeout_seconds: at_least_one(probe.timeout_seconds, 1),
        success_threshold: at_least_one(probe.success_threshold, 1),
        failure_threshold: at_least_one(probe.failure_threshold, 3),
        termination_grace_seconds: probe.termination_grace_period_seconds,
    }
}

/// Lowers the status of a container. A running state without a time counts as running since the epoch.
pub(crate) fn container_status(at: &At<'_>, status: core::ContainerStatus) -> ContainerStatus {
    let list = |at: At<'_>, list: Option<_>| list.map(|l| resources(&at, Some(l)));
    let allocated = list(at.field("allocatedResources"), status.allocated_resources);
    let core::ResourceRequirements { requests, limits, .. } = status.resources.unwrap_or_default();
    let actual_requests = list(at.field("resources").field("requests"), requests);
    let actual_limits = list(at.field("resources").field("limits"), limits);
    let resized = ResizedResources { allocated, actual_requests, actual_limits };
    let resized = (resized != ResizedResources::default()).then(|| Arc::new(resized));
    let last = status.last_state.and_then(|s| s.terminated);
    let restart_count = u32::try_from(status.restart_count).unwrap_or_else(|_| {
        at.field("restartCount")
            .error(format!("Invalid value: {}: must be greater than or equal to 0", status.restart_count));
        0
    });
    ContainerStatus {
        name: status.name.into(),
        image: status.image.into(),
        state: state(status.state.unwrap_or_default()),
        last_termination: last.map(|t| Arc::new(terminated(t))),
        ready: status.ready,
        started: status.started.unwrap_or(false),
        restart_count,
        resized,
    }
}

fn state(state: core::ContainerState) -> ContainerState {
    if let Some(running) = state.running {
        ContainerState::Running { started_at: time(running.started_at).unwrap_or(Timestamp::new(0)) }
    } else if let Some(end) = state.terminated {
        ContainerState::Terminated(Arc::new(terminated(end)))
    } else {
        let waiting = state.waiting.unwrap_or_default();
        ContainerState::Waiting { reason: text(waiting.reason), message: text(waiting.message) }
    }
}

fn terminated(end: core::ContainerStateTerminated) -> Terminated {
    Terminated {
        exit_code: end.exit_code,
        reason: text(end.reason),
        message: text(end.message),
        started_at: time(end.started_at).unwrap_or(Timestamp::new(0)),
        finished_at: time(end.finished_at).unwrap_or(Timestamp::new(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::at::collect;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    #[test]
    fn hooks_and_probes_are_read() {
        let boundary: core::Container = from_value(json!({
            "name": "c",
            "restartPolicy": "Always",
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            "readinessProbe": {"periodSeconds": 3, "httpGet": {"port": 80}},
            "ports": [{"containerPort": 80, "hostPort": 8080, "protocol": "UDP"}],
        }))
        .unwrap();
        let lowered = collect(|at| container(at, boundary)).unwrap();
        assert!(lowered.sidecar && !lowered.has_post_start);
        assert_eq!(lowered.pre_stop_seconds, Some(5));
        assert_eq!(lowered.readiness_probe.map(|p| (p.period_seconds, p.failure_threshold)), Some((3, 3)));
        assert_eq!((lowered.ports[0].host_port, lowered.ports[0].protocol.as_str()), (8080, "UDP"));
    }

    #[test]
    fn statuses_are_read() {
        let boundary: core::ContainerStatus = from_value(json!({
            "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:10Z"}},
            "allocatedResources": {"cpu": "1"},
        }))
        .unwrap();
        let status = collect(|at| container_status(at, boundary)).unwrap();
        assert_eq!(status.restart_count, 3);
        assert_eq!(
            status.state,
            ContainerState::Waiting { reason: "CrashLoopBackOff".into(), message: "".into() }
        );
        assert_eq!(status.last_termination.map(|t| t.exit_code), Some(137));
        let resized = status.resized.unwrap();
        assert_eq!(resized.allocated.as_ref().map(|l| l.cpu_milli()), Some(1000));
        assert_eq!(resized.actual_requests, None);
    }
}
