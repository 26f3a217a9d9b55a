//! Containers of Pods and templates.

use super::{Sheet, date, or_none};
use crate::api::k8s::core::v1::{
    Container, ContainerPort, ContainerState, ContainerStatus, EnvFromSource, EnvVar, Pod, Probe,
    ResourceFieldSelector, ResourceRequirements, SeccompProfile,
};
use crate::base::Quantity;

/// All containers of one sort. `level` is that of the title; statuses and values of fields are those of `pod`.
pub(super) fn containers(
    sheet: &mut Sheet,
    level: usize,
    title: &str,
    containers: &[Container],
    live: Option<(&Pod, &[ContainerStatus])>,
) {
    sheet.line(level, format_args!("{title}:{}", if containers.is_empty() { " <none>" } else { "" }));
    let pod = live.map(|(pod, _)| pod);
    for container in containers {
        let status = live.and_then(|(_, all)| all.iter().find(|s| s.name == container.name));
        let indent = if level > 0 { " " } else { "" };
        sheet.line(1, format_args!("{indent}{}:", container.name));
        basics(sheet, container, status);
        commands(sheet, "Command", container.command.as_deref());
        commands(sheet, "Args", container.args.as_deref());
        if let Some(status) = status {
            state(sheet, "State", status.state.as_ref());
            if status.last_state.as_ref().is_some_and(|s| s.terminated.is_some()) {
                state(sheet, "Last State", status.last_state.as_ref());
            }
            sheet.field(2, "Ready", if status.ready { "True" } else { "False" });
            sheet.field(2, "Restart Count", status.restart_count);
        }
        if let Some(wishes) = &container.resources {
            resources(sheet, 2, wishes);
        }
        sheet.field_opt(2, "Liveness", container.liveness_probe.as_ref().map(probe));
        sheet.field_opt(2, "Readiness", container.readiness_probe.as_ref().map(probe));
        sheet.field_opt(2, "Startup", container.startup_probe.as_ref().map(probe));
        environment_from(sheet, container.env_from.as_deref().unwrap_or_default());
        environment(sheet, container, pod);
        mounts(sheet, container);
    }
}

fn basics(sheet: &mut Sheet, container: &Container, status: Option<&ContainerStatus>) {
    if let Some(status) = status {
        sheet.field(2, "Container ID", status.container_id.as_deref().unwrap_or_default());
    }
    sheet.field(2, "Image", container.image.as_deref().unwrap_or_default());
    if let Some(status) = status {
        sheet.field(2, "Image ID", &status.image_id);
    }
    let all = container.ports.as_deref().unwrap_or_default();
    ports(sheet, "Port", all, |p| p.container_port);
    ports(sheet, "Host Port", all, |p| p.host_port.unwrap_or(0));
    if let Some(profile) = container.security_context.as_ref().and_then(|c| c.seccomp_profile.as_ref()) {
        seccomp(sheet, 2, profile);
    }
}

/// A seccomp profile.
pub(super) fn seccomp(sheet: &mut Sheet, level: usize, profile: &SeccompProfile) {
    sheet.field(level, "SeccompProfile", &profile.type_);
    if profile.type_ == "Localhost" {
        sheet.field(
            level + level / 2,
            "LocalhostProfile",
            profile.localhost_profile.as_deref().unwrap_or_default(),
        );
    }
}

fn ports(sheet: &mut Sheet, name: &str, ports: &[ContainerPort], number: fn(&ContainerPort) -> i32) {
    let texts: Vec<String> = ports
        .iter()
        .map(|port| {
            let text = format!("{}/{}", number(port), port.protocol.as_deref().unwrap_or("TCP"));
            match port.name.as_deref().unwrap_or_default() {
                "" => text,
                name => format!("{text} ({name})"),
            }
        })
        .collect();
    let plural = if texts.len() > 1 { "s" } else { "" };
    sheet.field(2, format_args!("{name}{plural}"), or_none(&texts.join(", ")));
}

fn commands(sheet: &mut Sheet, title: &str, words: Option<&[String]>) {
    let Some(words) = words.filter(|w| !w.is_empty()) else { return };
    sheet.line(2, format_args!("{title}:"));
    for line in words.iter().flat_map(|word| word.split('\n')) {
        sheet.line(3, line);
    }
}

fn state(sheet: &mut Sheet, title: &str, state: Option<&ContainerState>) {
    let Some(state) = state else { return sheet.field(2, title, "Waiting") };
    if let Some(running) = &state.running {
        sheet.field(2, title, "Running");
        sheet.field(3, "Started", date(running.started_at.as_ref()));
    } else if let Some(ended) = &state.terminated {
        sheet.field(2, title, "Terminated");
        sheet.field_opt(3, "Reason", ended.reason.as_deref().filter(|r| !r.is_empty()));
        sheet.field_opt(3, "Message", ended.message.as_deref().filter(|m| !m.is_empty()));
        sheet.field(3, "Exit Code", ended.exit_code);
        sheet.field_opt(3, "Signal", ended.signal.filter(|s| *s > 0));
        sheet.field(3, "Started", date(ended.started_at.as_ref()));
        sheet.field(3, "Finished", date(ended.finished_at.as_ref()));
    } else {
        sheet.field(2, title, "Waiting");
        let reason = state.waiting.as_ref().and_then(|w| w.reason.as_deref());
        sheet.field_opt(3, "Reason", reason.filter(|r| !r.is_empty()));
    }
}

/// Limits and requests.
pub(super) fn resources(sheet: &mut Sheet, level: usize, wishes: &ResourceRequirements) {
    for (title, amounts) in [("Limits", &wishes.limits), ("Requests", &wishes.requests)] {
        let Some(amounts) = amounts.as_ref().filter(|a| !a.is_empty()) else { continue };
        sheet.line(level, format_args!("{title}:"));
        for (name, amount) in amounts {
            sheet.field(level + 1, name, &amount.0);
        }
    }
}

fn probe(probe: &Probe) -> String {
    let attributes = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay_seconds.unwrap_or(0),
        probe.timeout_seconds.unwrap_or(1),
        probe.period_seconds.unwrap_or(10),
        probe.success_threshold.unwrap_or(1),
        probe.failure_threshold.unwrap_or(3),
    );
    let asked = if let Some(exec) = &probe.exec {
        format!("exec [{}]", exec.command.as_deref().unwrap_or_default().join(" "))
    } else if let Some(http) = &probe.http_get {
        let scheme = http.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let path = http.path.as_deref().unwrap_or_default();
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        let host = http.host.as_deref().unwrap_or_default();
        format!("http-get {scheme}://{host}:{}{slash}{path}", port_text(&http.port))
    } else if let Some(tcp) = &probe.tcp_socket {
        format!("tcp-socket {}:{}", tcp.host.as_deref().unwrap_or_default(), port_text(&tcp.port))
    } else if let Some(grpc) = &probe.grpc {
        format!("grpc <pod>:{} {}", grpc.port, grpc.service.as_deref().unwrap_or_default())
    } else {
        "unknown".to_owned()
    };
    format!("{asked} {attributes}")
}

/// A port by number or name.
pub(super) fn port_text(port: &k8s_openapi::apimachinery::pkg::util::intstr::IntOrString) -> String {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

fn environment_from(sheet: &mut Sheet, sources: &[EnvFromSource]) {
    if sources.is_empty() {
        return;
    }
    sheet.line(2, "Environment Variables from:");
    for source in sources {
        let (from, name, optional) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(map), _) => ("ConfigMap", map.name.as_str(), map.optional),
            (None, Some(secret)) => ("Secret", secret.name.as_str(), secret.optional),
            (None, None) => ("", "", None),
        };
        let optional = optional.unwrap_or(false);
        match source.prefix.as_deref().unwrap_or_default() {
            "" => sheet.line(3, format_args!("{name}\t{from}\tOptional: {optional}")),
            prefix => {
                sheet.line(3, format_args!("{name}\t{from} with prefix '{prefix}'\tOptional: {optional}"))
            }
        }
    }
}

fn environment(sheet: &mut Sheet, container: &Container, pod: Option<&Pod>) {
    let variables = container.env.as_deref().unwrap_or_default();
    sheet.line(2, format_args!("Environment:{}", if variables.is_empty() { "\t<none>" } else { "" }));
    for variable in variables {
        let EnvVar { name, value, value_from } = variable;
        let Some(from) = value_from else {
            for (index, line) in value.as_deref().unwrap_or_default().split('\n').enumerate() {
                let head = if index == 0 { format!("{name}:") } else { String::new() };
                sheet.line(3, format_args!("{head}\t{line}"));
            }
            continue;
        };
        if let Some(field) = &from.field_ref {
            let value = pod.map(|pod| pod_field(pod, &field.field_path)).unwrap_or_default();
            let version = field.api_version.as_deref().unwrap_or("v1");
            sheet.field(3, name, format_args!("{value} ({version}:{})", field.field_path));
        } else if let Some(field) = &from.resource_field_ref {
            sheet.field(3, name, format_args!("{} ({})", container_amount(container, field), field.resource));
        } else if let Some(key) = &from.secret_key_ref {
            let optional = key.optional.unwrap_or(false);
            let set =
                format!("<set to the key '{}' in secret '{}'>\tOptional: {optional}", key.key, key.name);
            sheet.field(3, name, set);
        } else if let Some(key) = &from.config_map_key_ref {
            let optional = key.optional.unwrap_or(false);
            let set =
                format!("<set to the key '{}' of config map '{}'>\tOptional: {optional}", key.key, key.name);
            sheet.field(3, name, set);
        }
    }
}

/// The value of a field of the Pod that kubectl can look up; it knows those of the metadata.
fn pod_field(pod: &Pod, path: &str) -> String {
    let meta = &pod.metadata;
    let inside = |prefix: &str| path.strip_prefix(prefix)?.strip_suffix("']");
    if let Some(key) = inside("metadata.labels['") {
        return meta.labels.as_ref().and_then(|l| l.get(key)).cloned().unwrap_or_default();
    }
    if let Some(key) = inside("metadata.annotations['") {
        return meta.annotations.as_ref().and_then(|l| l.get(key)).cloned().unwrap_or_default();
    }
    let field = match path {
        "metadata.name" => &meta.name,
        "metadata.namespace" => &meta.namespace,
        "metadata.uid" => &meta.uid,
        _ => &None,
    };
    field.clone().unwrap_or_default()
}

/// An amount of the container in units of the divisor, rounded up.
fn container_amount(container: &Container, field: &ResourceFieldSelector) -> String {
    let (list, resource) = match field.resource.split_once('.') {
        Some(("limits", resource)) => {
            (container.resources.as_ref().and_then(|r| r.limits.as_ref()), resource)
        }
        Some(("requests", resource)) => {
            (container.resources.as_ref().and_then(|r| r.requests.as_ref()), resource)
        }
        _ => return String::new(),
    };
    let read = |text: &str| Quantity::parse(text).ok();
    let amount = list.and_then(|l| l.get(resource)).and_then(|q| read(&q.0));
    let divisor = field.divisor.as_ref().and_then(|q| read(&q.0));
    let units = |q: &Quantity| if resource == "cpu" { q.milli_value() } else { q.value() };
    let one = if resource == "cpu" { 1000 } else { 1 };
    let divisor = divisor.as_ref().map(units).filter(|d| *d > 0).unwrap_or(one);
    match amount.as_ref().map_or(0, units) {
        0 if field.resource.starts_with("limits.") && matches!(resource, "cpu" | "memory") => {
            "node allocatable".to_owned()
        }
        amount => (amount / divisor + i64::from(amount % divisor > 0)).to_string(),
    }
}

fn mounts(sheet: &mut Sheet, container: &Container) {
    let mut mounts: Vec<_> = container.volume_mounts.iter().flatten().collect();
    mounts.sort_by(|a, b| a.mount_path.cmp(&b.mount_path));
    sheet.line(2, format_args!("Mounts:{}", if mounts.is_empty() { "\t<none>" } else { "" }));
    for mount in mounts {
        let mode = if mount.read_only.unwrap_or(false) { "ro" } else { "rw" };
        let path = match mount.sub_path.as_deref().unwrap_or_default() {
            "" => String::new(),
            path => format!(",path={path:?}"),
        };
        sheet.line(3, format_args!("{} from {} ({mode}{path})", mount.mount_path, mount.name));
    }
    let mut devices: Vec<_> = container.volume_devices.iter().flatten().collect();
    if devices.is_empty() {
        return;
    }
    devices.sort_by(|a, b| a.device_path.cmp(&b.device_path));
    sheet.line(2, "Devices:");
    for device in devices {
        sheet.line(3, format_args!("{} from {}", device.device_path, device.name));
    }
}
