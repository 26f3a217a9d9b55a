//! Rows of Services, policies, autoscalers, Events and what else there is.

use super::{NONE, age, age_of, int_or_percent, labels_text, or_none, plain, text};
use crate::api::k8s::autoscaling::v2::{MetricSpec, MetricStatus, MetricTarget, MetricValueStatus};
use crate::api::policy::{HorizontalPodAutoscaler, ResourceQuota};
use crate::api::service::Service;
use crate::api::{Event, Object, raise};
use crate::base::Timestamp;

/// Bytes of a load balancer's address in a table that is not wide.
const BALANCER_MAX: usize = 16;
/// Metrics of an autoscaler that are shown.
const METRICS_MAX: usize = 2;

pub(super) fn other(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let age = age_of(object, now);
    let meta = object.meta();
    let name = meta.name.to_string();
    match object {
        Object::Service(service) => {
            let mut row = vec![
                name,
                service.service_type.to_string(),
                or_none(&service.cluster_ip),
                external_ip(service, wide),
                service_ports(service),
                age,
            ];
            if wide {
                row.push(service.selector.as_ref().map_or_else(|| text(NONE), labels_text));
            }
            row
        }
        Object::EndpointSlice(slice) => {
            let ports: Vec<String> = slice.ports.iter().map(|p| p.2.to_string()).collect();
            let mut addresses: Vec<String> =
                slice.endpoints.iter().take(3).map(|e| e.address.to_string()).collect();
            if slice.endpoints.len() > 3 {
                addresses.push(format!("+ {} more...", slice.endpoints.len() - 3));
            }
            let unset = |s: String| if s.is_empty() { text("<unset>") } else { s };
            vec![name, text("IPv4"), unset(ports.join(",")), unset(addresses.join(",")), age]
        }
        Object::Namespace(ns) => {
            vec![name, text(if ns.terminating { "Terminating" } else { "Active" }), age]
        }
        Object::PodDisruptionBudget(budget) => vec![
            name,
            budget.min_available.map_or_else(|| text("N/A"), int_or_percent),
            budget.max_unavailable.map_or_else(|| text("N/A"), int_or_percent),
            budget.disruptions_allowed.to_string(),
            age,
        ],
        Object::HorizontalPodAutoscaler(hpa) => autoscaler_row(hpa, age),
        Object::ResourceQuota(quota) => quota_row(quota, age),
        Object::PriorityClass(class) => vec![
            name,
            class.value.to_string(),
            class.global_default.to_string(),
            age,
            text(if class.never_preempts { "Never" } else { "PreemptLowerPriority" }),
        ],
        Object::ControllerRevision(revision) => {
            let owner = meta
                .controller()
                .map(|o| format!("{}.apps/{}", o.kind.to_lowercase(), o.name))
                .unwrap_or_default();
            vec![name, or_none(&owner), revision.revision.to_string(), age]
        }
        Object::Lease(lease) => vec![name, lease.holder.to_string(), age],
        _ => plain(object, now, wide),
    }
}

fn external_ip(service: &Service, wide: bool) -> String {
    match service.service_type.as_str() {
        "LoadBalancer" if service.load_balancer.is_empty() => text("<pending>"),
        // The address is cut to what fits a column.
        "LoadBalancer" if !wide && service.load_balancer.len() > BALANCER_MAX => {
            let shown = service.load_balancer.floor_char_boundary(BALANCER_MAX - 3);
            format!("{}...", &service.load_balancer[..shown])
        }
        "LoadBalancer" => service.load_balancer.to_string(),
        "ExternalName" => service.external_name.to_string(),
        _ => text(NONE),
    }
}

fn service_ports(service: &Service) -> String {
    let ports: Vec<String> = service
        .ports
        .iter()
        .map(|p| match p.node_port {
            0 => format!("{}/{}", p.port, p.protocol),
            node_port => format!("{}:{node_port}/{}", p.port, p.protocol),
        })
        .collect();
    or_none(&ports.join(","))
}

fn quota_row(quota: &ResourceQuota, age: String) -> Vec<String> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in &quota.status_hard.0 {
        let used = quota.used.get(name).map_or_else(|| text("0"), |q| q.to_string());
        let column = if name.starts_with("limits.") { &mut limits } else { &mut requests };
        column.push(format!("{name}: {used}/{hard}"));
    }
    vec![quota.meta.name.to_string(), requests.join(", "), limits.join(", "), age]
}

fn autoscaler_row(hpa: &HorizontalPodAutoscaler, age: String) -> Vec<String> {
    let status = raise::raise_horizontal_pod_autoscaler(hpa).status.unwrap_or_default();
    let seen = status.current_metrics.unwrap_or_default();
    let wanted = hpa.spec.value.metrics.as_deref().unwrap_or_default();
    let mut targets: Vec<String> = wanted.iter().enumerate().map(|(i, m)| metric(m, seen.get(i))).collect();
    let more = targets.len().saturating_sub(METRICS_MAX);
    targets.truncate(METRICS_MAX);
    let mut targets = or_none(&targets.join(", "));
    if more > 0 {
        targets = format!("{targets} + {more} more...");
    }
    vec![
        hpa.meta.name.to_string(),
        format!("{}/{}", hpa.target_kind, hpa.target_name),
        targets,
        hpa.min_replicas.to_string(),
        hpa.max_replicas.to_string(),
        hpa.current_replicas.to_string(),
        age,
    ]
}

/// `cpu: 40%/50%`: a metric as seen and as wanted.
fn metric(wanted: &MetricSpec, seen: Option<&MetricStatus>) -> String {
    let (prefix, target, current, of_pods) = if let Some(m) = &wanted.resource {
        let current = seen.and_then(|s| s.resource.as_ref()).map(|s| &s.current);
        (format!("{}: ", m.name), &m.target, current, true)
    } else if let Some(m) = &wanted.container_resource {
        let current = seen.and_then(|s| s.container_resource.as_ref()).map(|s| &s.current);
        (format!("{}: ", m.name), &m.target, current, true)
    } else if let Some(m) = &wanted.pods {
        let current = seen.and_then(|s| s.pods.as_ref()).map(|s| &s.current);
        (String::new(), &m.target, current, true)
    } else if let Some(m) = &wanted.object {
        let current = seen.and_then(|s| s.object.as_ref()).map(|s| &s.current);
        (String::new(), &m.target, current, false)
    } else if let Some(m) = &wanted.external {
        let current = seen.and_then(|s| s.external.as_ref()).map(|s| &s.current);
        (String::new(), &m.target, current, false)
    } else {
        return text("<unknown type>");
    };
    format!("{prefix}{}", target_text(target, current, of_pods))
}

fn target_text(target: &MetricTarget, current: Option<&MetricValueStatus>, of_pods: bool) -> String {
    let unknown = || text("<unknown>");
    let average = || current.and_then(|c| c.average_value.as_ref()).map_or_else(unknown, |q| q.0.clone());
    if let Some(wanted) = &target.average_value {
        let mark = if of_pods { "" } else { " (avg)" };
        return format!("{}/{}{mark}", average(), wanted.0);
    }
    if let Some(wanted) = &target.value {
        let value = current.and_then(|c| c.value.as_ref()).map_or_else(unknown, |q| q.0.clone());
        return format!("{value}/{}", wanted.0);
    }
    let used =
        current.and_then(|c| c.average_utilization).map_or_else(unknown, |percent| format!("{percent}%"));
    let wanted = target.average_utilization.map_or_else(|| text("<auto>"), |percent| format!("{percent}%"));
    format!("{used}/{wanted}")
}

pub(super) fn event(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let Object::Event(event) = object else { return plain(object, now, wide) };
    let Event { regarding, reason, message, event_type, .. } = &**event;
    let about = format!("{}/{}", regarding.kind.to_lowercase(), regarding.name);
    let last = age::human(now.secs_since(event.last));
    let mut row = vec![last, text(event_type.as_str()), reason.to_string(), about];
    if wide {
        let source = if event.host.is_empty() {
            event.source.to_string()
        } else {
            format!("{}, {}", event.source, event.host)
        };
        row.extend([String::new(), source]);
    }
    row.push(message.trim().to_owned());
    if wide {
        row.extend([
            age::human(now.secs_since(event.first)),
            event.count.to_string(),
            event.meta.name.to_string(),
        ]);
    }
    row
}

/// `5m`, or `10s (x3 over 5m)` for what was said several times.
pub fn last_seen(event: &Event, now: Timestamp) -> String {
    let last = age::human(now.secs_since(event.last));
    if event.count > 1 {
        format!("{last} (x{} over {})", event.count, age::human(now.secs_since(event.first)))
    } else {
        last
    }
}
