//! Containers: names, ports, probes, resources, mounts.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`validateContainers` and below), v1.34.

use std::collections::{BTreeMap, BTreeSet};

use super::volume::Volumes;
use super::{At, Bad, Report, names};
use crate::api::k8s::core::v1::{
    Container, ContainerPort, EnvVar, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe,
    ResourceRequirements,
};
use crate::base::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Boundary;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What a Pod says that its containers are judged by.
pub(super) struct Context<'c> {
    pub(super) volumes: &'c Volumes<'c>,
    pub(super) grace_seconds: i64,
    pub(super) host_network: bool,
}

/// The containers and init containers of a Pod.
pub(super) fn containers(spec: &PodSpec, context: &Context<'_>, at: &At<'_>, report: &mut Report) {
    let under = at.field("containers");
    if spec.containers.is_empty() {
        report.required(&under, "");
    }
    let mut taken = BTreeSet::new();
    let mut host_ports = BTreeSet::new();
    for (i, container) in spec.containers.iter().enumerate() {
        let at = under.index(i);
        common(container, context, &at, report);
        if !taken.insert(container.name.as_str()) {
            report.duplicate(&at.field("name"), &container.name);
        }
        lifecycle_and_probes(container, context, &at, report);
        report.one_of(
            &at.field("restartPolicy"),
            container.restart_policy.as_deref(),
            &["Always", "Never", "OnFailure"],
        );
        host_port_conflicts(container, &mut host_ports, &at, report);
    }
    let under = at.field("initContainers");
    for (i, container) in spec.init_containers.iter().flatten().enumerate() {
        let at = under.index(i);
        common(container, context, &at, report);
        if !taken.insert(container.name.as_str()) {
            report.duplicate(&at.field("name"), &container.name);
        }
        report.one_of(&at.field("restartPolicy"), container.restart_policy.as_deref(), &["Always"]);
        if container.restart_policy.as_deref() == Some("Always") {
            lifecycle_and_probes(container, context, &at, report);
        } else {
            no_probes(container, &at, report);
        }
        host_port_conflicts(container, &mut BTreeSet::new(), &at, report);
    }
}

/// Upstream: `validateContainerCommon`.
fn common(container: &Container, context: &Context<'_>, at: &At<'_>, report: &mut Report) {
    if container.name.is_empty() {
        report.required(&at.field("name"), "");
    } else {
        report.invalid_each(&at.field("name"), &container.name, names::dns1123_label(&container.name));
    }
    if container.image.as_deref().is_none_or(str::is_empty) {
        report.required(&at.field("image"), "");
    }
    report.one_of(
        &at.field("terminationMessagePolicy"),
        container.termination_message_policy.as_deref(),
        &["File", "FallbackToLogsOnError"],
    );
    report.one_of(
        &at.field("imagePullPolicy"),
        container.image_pull_policy.as_deref(),
        &["Always", "IfNotPresent", "Never"],
    );
    ports(container.ports.as_deref().unwrap_or_default(), context, &at.field("ports"), report);
    env(container.env.as_deref().unwrap_or_default(), &at.field("env"), report);
    mounts(container, context, at, report);
    if let Some(requirements) = &container.resources {
        resources(requirements, &at.field("resources"), report);
    }
}

/// Upstream: `validateContainerPorts`.
fn ports(ports: &[ContainerPort], context: &Context<'_>, at: &At<'_>, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        if let Some(name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            let wrong = names::port_name(name);
            if wrong.is_empty() && !seen.insert(name) {
                report.duplicate(&at.field("name"), name);
            }
            report.invalid_each(&at.field("name"), name, wrong);
        }
        if port.container_port == 0 {
            report.required(&at.field("containerPort"), "");
        } else {
            port_number(port.container_port, &at.field("containerPort"), report);
        }
        if let Some(host) = port.host_port.filter(|p| *p != 0) {
            port_number(host, &at.field("hostPort"), report);
            if context.host_network && host != port.container_port {
                report.invalid(
                    &at.field("hostPort"),
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                );
            }
        }
        report.one_of(&at.field("protocol"), port.protocol.as_deref(), PROTOCOLS);
    }
}

/// The protocols of ports.
pub(super) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

fn port_number(port: i32, at: &At<'_>, report: &mut Report) {
    for message in names::port_number(port) {
        report.invalid(at, port, message);
    }
}

/// A port by number or name. Upstream: `ValidatePortNumOrName`.
pub(super) fn port_or_name(port: &IntOrString, at: &At<'_>, report: &mut Report) {
    match port {
        IntOrString::Int(number) => port_number(*number, at, report),
        IntOrString::String(name) => report.invalid_each(at, name, names::port_name(name)),
    }
}

/// Upstream: `AccumulateUniqueHostPorts`.
fn host_port_conflicts(
    container: &Container,
    taken: &mut BTreeSet<String>,
    at: &At<'_>,
    report: &mut Report,
) {
    let under = at.field("ports");
    for (i, port) in container.ports.iter().flatten().enumerate() {
        let Some(host) = port.host_port.filter(|p| *p != 0) else { continue };
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let key = format!("{protocol}/{}/{host}", port.host_ip.as_deref().unwrap_or_default());
        if taken.contains(&key) {
            report.duplicate(&under.index(i).field("hostPort"), &key);
        } else {
            taken.insert(key);
        }
    }
}

/// Upstream: `ValidateEnv`.
fn env(vars: &[EnvVar], at: &At<'_>, report: &mut Report) {
    for (i, var) in vars.iter().enumerate() {
        let at = at.index(i);
        if var.name.is_empty() {
            report.required(&at.field("name"), "");
        } else {
            report.invalid_each(&at.field("name"), &var.name, names::env_var_name(&var.name));
        }
        let Some(from) = &var.value_from else { continue };
        let sources = [
            from.field_ref.is_some(),
            from.resource_field_ref.is_some(),
            from.config_map_key_ref.is_some(),
            from.secret_key_ref.is_some(),
            from.file_key_ref.is_some(),
        ];
        let at = at.field("valueFrom");
        if var.value.as_deref().is_some_and(|v| !v.is_empty()) {
            report.invalid(&at, "", "may not be specified when `value` is not empty");
        } else {
            match sources.iter().filter(|s| **s).count() {
                0 => report.invalid(&at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"),
                1 => {}
                _ => report.invalid(&at, "", "may not have more than one field specified at a time"),
            }
        }
    }
}

/// Upstream: `ValidateVolumeMounts`, `ValidateVolumeDevices`.
fn mounts(container: &Container, context: &Context<'_>, at: &At<'_>, report: &mut Report) {
    let mut paths = BTreeSet::new();
    let under = at.field("volumeMounts");
    for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let at = under.index(i);
        if mount.name.is_empty() {
            report.required(&at.field("name"), "");
        }
        if !context.volumes.contains_key(mount.name.as_str()) {
            report.not_found(&at.field("name"), &mount.name);
        }
        if mount.mount_path.is_empty() {
            report.required(&at.field("mountPath"), "");
        }
        if !paths.insert(mount.mount_path.as_str()) {
            report.invalid(&at.field("mountPath"), &mount.mount_path, "must be unique");
        }
    }
    let under = at.field("volumeDevices");
    for (i, device) in container.volume_devices.iter().flatten().enumerate() {
        let at = under.index(i);
        match context.volumes.get(device.name.as_str()) {
            Some(true) => {}
            Some(false) => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                report.invalid(&at.field("name"), &device.name, detail);
            }
            None => report.not_found(&at.field("name"), &device.name),
        }
        if device.device_path.is_empty() {
            report.required(&at.field("devicePath"), "");
        }
    }
}

fn lifecycle_and_probes(container: &Container, context: &Context<'_>, at: &At<'_>, report: &mut Report) {
    if let Some(lifecycle) = &container.lifecycle {
        handlers(lifecycle, context, &at.field("lifecycle"), report);
    }
    for (name, given) in [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ] {
        let Some(given) = given else { continue };
        let at = at.field(name);
        probe(given, &at, report);
        if name == "readinessProbe" {
            if let Some(seconds) = given.termination_grace_period_seconds {
                let detail = "must not be set for readinessProbes";
                report.invalid(&at.field("terminationGracePeriodSeconds"), seconds, detail);
            }
        } else if let Some(threshold) = given.success_threshold.filter(|t| *t != 1 && *t != 0) {
            report.invalid(&at.field("successThreshold"), threshold, "must be 1");
        }
    }
}

fn no_probes(container: &Container, at: &At<'_>, report: &mut Report) {
    for (name, given) in [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ] {
        if given {
            report.forbidden(
                &at.field(name),
                "may not be set for init containers without restartPolicy=Always",
            );
        }
    }
}

/// Upstream: `validateProbe`.
fn probe(probe: &Probe, at: &At<'_>, report: &mut Report) {
    let given = [
        ("exec", probe.exec.is_some()),
        ("httpGet", probe.http_get.is_some()),
        ("tcpSocket", probe.tcp_socket.is_some()),
        ("grpc", probe.grpc.is_some()),
    ];
    one_handler(&given, at, report);
    if probe.exec.as_ref().is_some_and(|exec| exec.command.as_ref().is_none_or(Vec::is_empty)) {
        report.required(&at.field("exec").field("command"), "");
    }
    if let Some(http) = &probe.http_get {
        http_get(http, &at.field("httpGet"), report);
    }
    if let Some(tcp) = &probe.tcp_socket {
        port_or_name(&tcp.port, &at.field("tcpSocket").field("port"), report);
    }
    if let Some(grpc) = &probe.grpc {
        port_number(grpc.port, &at.field("grpc").field("port"), report);
    }
    for (name, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        report.nonnegative_opt(&at.field(name), value);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|s| *s <= 0) {
        report.invalid(&at.field("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
}

fn one_handler(given: &[(&str, bool)], at: &At<'_>, report: &mut Report) {
    let mut present = given.iter().filter(|(_, given)| *given);
    if present.next().is_none() {
        report.required(at, "must specify a handler type");
    }
    for (name, _) in present {
        report.forbidden(&at.field(name), "may not specify more than 1 handler type");
    }
}

fn http_get(http: &HTTPGetAction, at: &At<'_>, report: &mut Report) {
    port_or_name(&http.port, &at.field("port"), report);
    report.one_of(&at.field("scheme"), http.scheme.as_deref(), &["HTTP", "HTTPS"]);
}

fn handlers(lifecycle: &Lifecycle, context: &Context<'_>, at: &At<'_>, report: &mut Report) {
    for (name, given) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        let Some(given) = given else { continue };
        handler(given, context, &at.field(name), report);
    }
}

fn handler(handler: &LifecycleHandler, context: &Context<'_>, at: &At<'_>, report: &mut Report) {
    let given = [
        ("exec", handler.exec.is_some()),
        ("httpGet", handler.http_get.is_some()),
        ("tcpSocket", handler.tcp_socket.is_some()),
        ("sleep", handler.sleep.is_some()),
    ];
    one_handler(&given, at, report);
    if let Some(http) = &handler.http_get {
        http_get(http, &at.field("httpGet"), report);
    }
    if let Some(sleep) = &handler.sleep {
        let grace = context.grace_seconds;
        if sleep.seconds < 0 || sleep.seconds > grace {
            let detail =
                format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
            report.invalid(&at.field("sleep"), sleep.seconds, detail);
        }
    }
}

/// A resource list whose amounts may not be negative.
pub(super) fn quantities(list: Option<&BTreeMap<String, Boundary>>, at: &At<'_>, report: &mut Report) {
    for (name, quantity) in list.into_iter().flatten() {
        amount(name, quantity, &at.key(name), report);
    }
}

/// Upstream: `ValidateResourceQuantityValue`.
pub(super) fn amount(name: &str, quantity: &Boundary, at: &At<'_>, report: &mut Report) {
    let Ok(value) = Quantity::parse(&quantity.0) else { return };
    if value.is_negative() {
        report.invalid(at, &quantity.0, "must be greater than or equal to 0");
    }
    if is_counted(name) && value.nanos() % 1_000_000_000 != 0 {
        report.invalid(at, &quantity.0, "must be an integer");
    }
}

/// Upstream: `helper.IsNativeResource`.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Upstream: `helper.IsExtendedResourceName`.
fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Upstream: `helper.IsIntegerResourceName`.
fn is_counted(name: &str) -> bool {
    const COUNTED: [&str; 11] = [
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
        "openshift.io/imagestreams",
        "count",
    ];
    COUNTED.contains(&name) || is_extended(name)
}

/// Upstream: `validateResourceRequirements`.
fn resources(requirements: &ResourceRequirements, at: &At<'_>, report: &mut Report) {
    let (limits, requests) = (requirements.limits.as_ref(), requirements.requests.as_ref());
    let (at_limits, at_requests) = (at.field("limits"), at.field("requests"));
    for (name, quantity) in limits.into_iter().flatten() {
        resource_name(name, &at_limits.key(name), report);
        amount(name, quantity, &at_limits.key(name), report);
    }
    for (name, quantity) in requests.into_iter().flatten() {
        resource_name(name, &at_requests.key(name), report);
        amount(name, quantity, &at_requests.key(name), report);
        let before = report.len();
        request_and_limit(name, quantity, limits.and_then(|l| l.get(name)), at, report);
        report.point_at(before, &at_requests.key(name));
    }
    let mut named =
        limits.into_iter().flatten().chain(requests.into_iter().flatten()).map(|(name, _)| name.as_str());
    if named.clone().any(is_huge_pages) && !named.any(|name| matches!(name, "cpu" | "memory")) {
        report.forbidden(at, "HugePages require cpu or memory");
    }
}

fn request_and_limit(
    name: &str,
    request: &Boundary,
    limit: Option<&Boundary>,
    at: &At<'_>,
    report: &mut Report,
) {
    let overcommits = is_native(name) && !is_huge_pages(name);
    let Some(limit) = limit else {
        if !overcommits {
            report.required(&at.field("limits"), "Limit must be set for non overcommitable resources");
        }
        return;
    };
    let (Ok(asked), Ok(allowed)) = (Quantity::parse(&request.0), Quantity::parse(&limit.0)) else { return };
    let at = at.field("requests");
    if !overcommits && asked.nanos() != allowed.nanos() {
        report.invalid(&at, &request.0, format!("must be equal to {name} limit of {}", limit.0));
    } else if asked.nanos() > allowed.nanos() {
        report.invalid(&at, &request.0, format!("must be less than or equal to {name} limit of {}", limit.0));
    }
}

/// Upstream: `validateContainerResourceName`.
fn resource_name(name: &str, at: &At<'_>, report: &mut Report) {
    let wrong = names::qualified_name(name);
    if !wrong.is_empty() {
        report.invalid_each(at, name, wrong);
    } else if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_pages(name) {
            report.invalid(at, Bad::from(name), "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        report.invalid(at, name, "doesn't follow extended resource name standard");
    }
}
