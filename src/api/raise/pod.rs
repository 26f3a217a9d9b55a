//! Raising of Pods.

use crate::api::k8s::core::v1 as core;
use crate::api::pod::{ContainerState, ContainerStatus, Pod, PodStatus, Terminated};
use crate::api::workload::PodTemplate;

use super::meta::{conditions, known_time, list, raise_meta, resource_map, text, time};

/// Raises a Pod.
///
/// # Fidelity
/// Ids of containers and images, which nothing simulated has, are absent; so is what a snapshot's status said
/// of ephemeral containers and resource claims.
pub fn raise_pod(pod: &Pod) -> core::Pod {
    core::Pod {
        metadata: raise_meta(&pod.meta),
        spec: Some(core::PodSpec {
            node_name: pod.node_name.as_ref().map(ToString::to_string),
            ..(*pod.spec.raw).clone()
        }),
        status: Some(pod_status(&pod.status)),
    }
}

/// Raises a Pod template.
pub fn raise_pod_template(template: &PodTemplate) -> core::PodTemplateSpec {
    (*template.raw).clone()
}

fn pod_status(status: &PodStatus) -> core::PodStatus {
    let pod_ip = text(&status.pod_ip);
    let host_ip = text(&status.host_ip);
    core::PodStatus {
        conditions: conditions!(status.conditions, core::PodCondition, last_probe_time),
        container_statuses: list(&status.containers, container_status),
        host_ips: host_ip.clone().map(|ip| vec![core::HostIP { ip }]),
        host_ip,
        init_container_statuses: list(&status.init_containers, container_status),
        message: text(&status.message),
        nominated_node_name: status.nominated_node.as_ref().map(ToString::to_string),
        phase: Some(status.phase.as_str().to_owned()),
        pod_ips: pod_ip.clone().map(|ip| vec![core::PodIP { ip }]),
        pod_ip,
        qos_class: Some(status.qos.as_str().to_owned()),
        reason: text(&status.reason),
        resize: text(&status.resize),
        start_time: status.start_time.map(time),
        ..Default::default()
    }
}

fn container_status(status: &ContainerStatus) -> core::ContainerStatus {
    let last = status.last_termination.as_deref().map(terminated);
    let resized = status.resized.as_deref();
    let actual = resized.filter(|r| r.actual_requests.is_some() || r.actual_limits.is_some());
    core::ContainerStatus {
        allocated_resources: resized.and_then(|r| r.allocated.as_ref()).map(resource_map),
        image: status.image.to_string(),
        last_state: Some(core::ContainerState { terminated: last, ..Default::default() }),
        name: status.name.to_string(),
        ready: status.ready,
        resources: actual.map(|actual| core::ResourceRequirements {
            limits: actual.actual_limits.as_ref().map(resource_map),
            requests: actual.actual_requests.as_ref().map(resource_map),
            ..Default::default()
        }),
        restart_count: i32::try_from(status.restart_count).unwrap_or(i32::MAX),
        started: Some(status.started),
        state: Some(state(&status.state)),
        ..Default::default()
    }
}

fn state(state: &ContainerState) -> core::ContainerState {
    match state {
        ContainerState::Waiting { reason, message } => core::ContainerState {
            waiting: Some(core::ContainerStateWaiting { message: text(message), reason: text(reason) }),
            ..Default::default()
        },
        ContainerState::Running { started_at } => core::ContainerState {
            running: Some(core::ContainerStateRunning { started_at: known_time(*started_at) }),
            ..Default::default()
        },
        ContainerState::Terminated(end) => {
            core::ContainerState { terminated: Some(terminated(end)), ..Default::default() }
        }
    }
}

fn terminated(end: &Terminated) -> core::ContainerStateTerminated {
    core::ContainerStateTerminated {
        exit_code: end.exit_code,
        finished_at: known_time(end.finished_at),
        message: text(&end.message),
        reason: text(&end.reason),
        started_at: known_time(end.started_at),
        ..Default::default()
    }
}
