//! The columns of every kind.

use super::{age, pod_status};
use crate::api::policy::HorizontalPodAutoscaler;
use crate::api::storage::{AccessMode, PersistentVolume, PersistentVolumeClaim};
use crate::api::workload::{IntOrPercent, Job};
use crate::api::{Event, Kind, Labels, LabelSelector, Node, Object, Pod, ResourceList, condition};
use crate::base::{Str, Timestamp};

/// A row from an object: the object, the present, wide or not.
type Row = fn(&Object, Timestamp, bool) -> Vec<String>;

/// The columns of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// The header.
    pub header: &'static [&'static str],
    /// Which column has the name.
    pub name_column: usize,
    /// Makes a row.
    pub row: Row,
}

const NONE: &str = "<none>";

/// Columns with more of them when wide.
macro_rules! columns {
    ($wide:expr, [$($header:literal),* $(,)?], [$($more:literal),* $(,)?], $row:expr) => {
        Columns {
            header: if $wide { &[$($header,)* $($more,)*] } else { &[$($header,)*] },
            name_column: 0,
            row: $row,
        }
    };
}

/// The columns of a kind; the name and the age for kinds without their own.
pub fn of(kind: Kind, wide: bool) -> Columns {
    match kind {
        Kind::Pod => columns!(
            wide,
            ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
            ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"],
            pod
        ),
        Kind::Node => columns!(
            wide,
            ["NAME", "STATUS", "ROLES", "AGE", "VERSION"],
            ["INTERNAL-IP", "ZONE", "INSTANCE-TYPE"],
            node
        ),
        Kind::Deployment => columns!(
            wide,
            ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
            ["CONTAINERS", "IMAGES", "SELECTOR"],
            workload
        ),
        Kind::ReplicaSet | Kind::ReplicationController => columns!(
            wide,
            ["NAME", "DESIRED", "CURRENT", "READY", "AGE"],
            ["CONTAINERS", "IMAGES", "SELECTOR"],
            workload
        ),
        Kind::StatefulSet => {
            columns!(wide, ["NAME", "READY", "AGE"], ["CONTAINERS", "IMAGES"], workload)
        }
        Kind::DaemonSet => columns!(
            wide,
            ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"],
            ["CONTAINERS", "IMAGES", "SELECTOR"],
            workload
        ),
        Kind::Job => columns!(
            wide,
            ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"],
            ["CONTAINERS", "IMAGES", "SELECTOR"],
            workload
        ),
        Kind::CronJob => columns!(
            wide,
            ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"],
            [],
            other
        ),
        Kind::Service => columns!(
            wide,
            ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
            ["SELECTOR"],
            other
        ),
        Kind::EndpointSlice => {
            columns!(wide, ["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"], [], other)
        }
        Kind::PersistentVolumeClaim => columns!(
            wide,
            [
                "NAME",
                "STATUS",
                "VOLUME",
                "CAPACITY",
                "ACCESS MODES",
                "STORAGECLASS",
                "VOLUMEATTRIBUTESCLASS",
                "AGE"
            ],
            ["VOLUMEMODE"],
            storage
        ),
        Kind::PersistentVolume => columns!(
            wide,
            [
                "NAME",
                "CAPACITY",
                "ACCESS MODES",
                "RECLAIM POLICY",
                "STATUS",
                "CLAIM",
                "STORAGECLASS",
                "VOLUMEATTRIBUTESCLASS",
                "REASON",
                "AGE"
            ],
            ["VOLUMEMODE"],
            storage
        ),
        Kind::StorageClass => columns!(
            wide,
            ["NAME", "PROVISIONER", "RECLAIMPOLICY", "VOLUMEBINDINGMODE", "ALLOWVOLUMEEXPANSION", "AGE"],
            [],
            storage
        ),
        Kind::VolumeAttachment => {
            columns!(wide, ["NAME", "ATTACHER", "PV", "NODE", "ATTACHED", "AGE"], [], storage)
        }
        Kind::PodDisruptionBudget => columns!(
            wide,
            ["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"],
            [],
            other
        ),
        Kind::HorizontalPodAutoscaler => columns!(
            wide,
            ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"],
            [],
            other
        ),
        Kind::Namespace => columns!(wide, ["NAME", "STATUS", "AGE"], [], other),
        Kind::PriorityClass => {
            columns!(wide, ["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"], [], other)
        }
        Kind::ControllerRevision => {
            columns!(wide, ["NAME", "CONTROLLER", "REVISION", "AGE"], [], other)
        }
        Kind::Lease => columns!(wide, ["NAME", "HOLDER", "AGE"], [], other),
        Kind::CsiNode => columns!(wide, ["NAME", "DRIVERS", "AGE"], [], storage),
        Kind::Event => Columns {
            header: if wide {
                &["LAST SEEN", "TYPE", "REASON", "OBJECT", "SUBOBJECT", "SOURCE", "MESSAGE", "FIRST SEEN", "COUNT", "NAME"]
            } else {
                &["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
            },
            name_column: usize::MAX,
            row: event,
        },
        Kind::ResourceQuota | Kind::LimitRange | Kind::CsiDriver | Kind::CsiStorageCapacity | Kind::Inert => {
            columns!(wide, ["NAME", "AGE"], [], plain)
        }
    }
}

fn text(s: &str) -> String {
    s.to_owned()
}

fn or_none(s: &str) -> String {
    if s.is_empty() { text(NONE) } else { text(s) }
}

fn age_of(object: &Object, now: Timestamp) -> String {
    age::since(object.meta().created, now)
}

fn plain(object: &Object, now: Timestamp, _wide: bool) -> Vec<String> {
    vec![object.meta().name.to_string(), age_of(object, now)]
}

fn pod(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let Object::Pod(pod) = object else { return plain(object, now, wide) };
    let sum = pod_status::summary(pod);
    let mut row = vec![
        pod.meta.name.to_string(),
        format!("{}/{}", sum.ready, sum.total),
        sum.status.clone(),
        sum.restarts_text(now),
        age_of(object, now),
    ];
    if wide {
        row.extend([
            or_none(&pod.status.pod_ip),
            or_none(pod.node_name.as_deref().unwrap_or_default()),
            or_none(pod.status.nominated_node.as_deref().unwrap_or_default()),
            readiness_gates(pod),
        ]);
    }
    row
}

fn readiness_gates(pod: &Pod) -> String {
    let gates = &pod.spec.readiness_gates;
    if gates.is_empty() {
        return text(NONE);
    }
    let passed = gates.iter().filter(|g| condition::is_true(&pod.status.conditions, g)).count();
    format!("{passed}/{}", gates.len())
}

fn node(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let Object::Node(node) = object else { return plain(object, now, wide) };
    let mut row = vec![
        node.meta.name.to_string(),
        node_status(node),
        roles(&node.meta.labels),
        age_of(object, now),
        node.status.kubelet_version.to_string(),
    ];
    if wide {
        let instance = node.meta.labels.get(crate::api::node::INSTANCE_TYPE_LABEL).cloned().unwrap_or_default();
        row.extend([or_none(&node.status.internal_ip), or_none(&node.zone()), or_none(&instance)]);
    }
    row
}

/// `Ready`, `NotReady`, with `SchedulingDisabled` behind it for cordoned nodes.
fn node_status(node: &Node) -> String {
    let ready = condition::find(&node.status.conditions, "Ready");
    let mut status = match ready {
        Some(c) if c.is_true() => text("Ready"),
        Some(_) => text("NotReady"),
        None => text("Unknown"),
    };
    if node.unschedulable {
        status.push_str(",SchedulingDisabled");
    }
    status
}

/// The roles that a node's labels name, or `<none>`.
pub fn roles(labels: &Labels) -> String {
    let roles: Vec<&str> = labels
        .iter()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None => (key == "kubernetes.io/role" && !value.is_empty()).then_some(value.as_str()),
        })
        .collect();
    or_none(&roles.join(","))
}

fn containers_and_images(object: &Object) -> Vec<String> {
    let spec = match object {
        Object::Deployment(o) => &o.template.spec,
        Object::ReplicaSet(o) => &o.template.spec,
        Object::ReplicationController(o) => &o.0.template.spec,
        Object::StatefulSet(o) => &o.template.spec,
        Object::DaemonSet(o) => &o.template.spec,
        Object::Job(o) => &o.template.spec,
        _ => return Vec::new(),
    };
    let join = |f: fn(&crate::api::Container) -> &Str| {
        spec.containers.iter().map(|c| f(c).as_str()).collect::<Vec<_>>().join(",")
    };
    vec![join(|c| &c.name), join(|c| &c.image)]
}

fn workload(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let name = object.meta().name.to_string();
    let age = age_of(object, now);
    let number = |n: i32| n.to_string();
    let (mut row, selector): (Vec<String>, Option<&LabelSelector>) = match object {
        Object::Deployment(d) => (
            vec![
                name,
                format!("{}/{}", d.status.ready_replicas, d.replicas),
                number(d.status.updated_replicas),
                number(d.status.available_replicas),
                age,
            ],
            Some(&d.selector),
        ),
        Object::ReplicaSet(r) => (replica_set_row(name, r, age), Some(&r.selector)),
        Object::ReplicationController(r) => (replica_set_row(name, &r.0, age), Some(&r.0.selector)),
        Object::StatefulSet(s) => {
            (vec![name, format!("{}/{}", s.status.ready_replicas, s.replicas), age], None)
        }
        Object::DaemonSet(d) => (
            vec![
                name,
                number(d.status.desired_number_scheduled),
                number(d.status.current_number_scheduled),
                number(d.status.number_ready),
                number(d.status.updated_number_scheduled),
                number(d.status.number_available),
                labels_text(&d.template.spec.node_selector),
                age,
            ],
            Some(&d.selector),
        ),
        Object::Job(j) => {
            (vec![name, job_status(j), job_completions(j), job_duration(j, now), age], Some(&j.selector))
        }
        _ => return plain(object, now, wide),
    };
    if wide {
        row.extend(containers_and_images(object));
        row.extend(selector.map(ToString::to_string));
    }
    row
}

fn replica_set_row(name: String, set: &crate::api::workload::ReplicaSet, age: String) -> Vec<String> {
    let status = &set.status;
    vec![name, set.replicas.to_string(), status.replicas.to_string(), status.ready_replicas.to_string(), age]
}

fn labels_text(labels: &Labels) -> String {
    or_none(&labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","))
}

fn job_status(job: &Job) -> String {
    let holds = |kind| condition::is_true(&job.status.conditions, kind);
    let word = if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if job.meta.is_deleting() {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else if holds("FailureTarget") {
        "FailureTarget"
    } else if holds("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    text(word)
}

fn job_completions(job: &Job) -> String {
    match job.completions {
        Some(wanted) => format!("{}/{wanted}", job.status.succeeded),
        None if job.parallelism > 1 => format!("{}/1 of {}", job.status.succeeded, job.parallelism),
        None => format!("{}/1", job.status.succeeded),
    }
}

fn job_duration(job: &Job, now: Timestamp) -> String {
    let Some(start) = job.status.start_time else { return String::new() };
    let failed = condition::find(&job.status.conditions, "Failed").filter(|c| c.is_true());
    let end = job.status.completion_time.or_else(|| failed.and_then(|c| c.transition)).unwrap_or(now);
    age::human(end.secs_since(start))
}

fn modes(modes: &[AccessMode]) -> String {
    modes.iter().map(|m| m.short()).collect::<Vec<_>>().join(",")
}

fn capacity(list: &ResourceList) -> String {
    list.get(crate::api::resources::STORAGE).map_or_else(String::new, |q| q.to_string())
}

fn claim_row(claim: &PersistentVolumeClaim, age: String, wide: bool) -> Vec<String> {
    let phase = if claim.meta.is_deleting() { "Terminating" } else { claim.phase.as_str() };
    let bound = !claim.spec.volume_name.is_empty();
    let mut row = vec![
        claim.meta.name.to_string(),
        text(phase),
        claim.spec.volume_name.to_string(),
        if bound { capacity(&claim.status_capacity) } else { String::new() },
        if bound { modes(&claim.status_access_modes) } else { String::new() },
        claim.class().to_string(),
        claim.spec.attributes_class.as_ref().map_or_else(|| text("<unset>"), ToString::to_string),
        age,
    ];
    if wide {
        row.push(text(if claim.spec.block { "Block" } else { "Filesystem" }));
    }
    row
}

fn volume_row(volume: &PersistentVolume, age: String, wide: bool) -> Vec<String> {
    let phase = if volume.meta.is_deleting() { "Terminating" } else { volume.phase.as_str() };
    let mut row = vec![
        volume.meta.name.to_string(),
        capacity(&volume.capacity),
        modes(&volume.access_modes),
        text(volume.reclaim_policy.as_str()),
        text(phase),
        volume.claim_ref.as_ref().map_or_else(String::new, |r| r.key.to_string()),
        volume.class().to_string(),
        volume.attributes_class.as_ref().map_or_else(|| text("<unset>"), ToString::to_string),
        volume.reason.to_string(),
        age,
    ];
    if wide {
        row.push(text(if volume.block { "Block" } else { "Filesystem" }));
    }
    row
}

fn storage(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let age = age_of(object, now);
    let name = object.meta().name.to_string();
    match object {
        Object::PersistentVolumeClaim(claim) => claim_row(claim, age, wide),
        Object::PersistentVolume(volume) => volume_row(volume, age, wide),
        Object::StorageClass(class) => vec![
            if class.is_default() { format!("{name} (default)") } else { name },
            class.provisioner.to_string(),
            text(class.reclaim_policy.as_str()),
            text(if class.wait_for_first_consumer { "WaitForFirstConsumer" } else { "Immediate" }),
            class.allow_expansion.to_string(),
            age,
        ],
        Object::VolumeAttachment(a) => vec![
            name,
            a.attacher.to_string(),
            a.pv_name.to_string(),
            a.node_name.to_string(),
            a.attached.to_string(),
            age,
        ],
        Object::CsiNode(node) => vec![name, node.drivers.len().to_string(), age],
        _ => plain(object, now, wide),
    }
}

fn other(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let age = age_of(object, now);
    let meta = object.meta();
    let name = meta.name.to_string();
    match object {
        Object::Service(service) => {
            let mut row = vec![
                name,
                service.service_type.to_string(),
                or_none(&service.cluster_ip),
                external_ip(service),
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
        Object::CronJob(cron) => vec![
            name,
            cron.schedule.to_string(),
            or_none(cron.time_zone.as_deref().unwrap_or_default()),
            text(if cron.suspend { "True" } else { "False" }),
            cron.active.len().to_string(),
            cron.last_schedule_time.map_or_else(|| text(NONE), |at| age::human(now.secs_since(at))),
            age,
        ],
        Object::PodDisruptionBudget(budget) => vec![
            name,
            budget.min_available.map_or_else(|| text("N/A"), int_or_percent),
            budget.max_unavailable.map_or_else(|| text("N/A"), int_or_percent),
            budget.disruptions_allowed.to_string(),
            age,
        ],
        Object::HorizontalPodAutoscaler(hpa) => autoscaler_row(hpa, age),
        Object::PriorityClass(class) => vec![
            name,
            class.value.to_string(),
            class.global_default.to_string(),
            age,
            text(if class.never_preempts { "Never" } else { "PreemptLowerPriority" }),
        ],
        Object::ControllerRevision(revision) => {
            let owner =
                meta.controller().map(|o| format!("{}.apps/{}", o.kind.to_lowercase(), o.name)).unwrap_or_default();
            vec![name, or_none(&owner), revision.revision.to_string(), age]
        }
        Object::Lease(lease) => vec![name, lease.holder.to_string(), age],
        _ => plain(object, now, wide),
    }
}

fn autoscaler_row(hpa: &HorizontalPodAutoscaler, age: String) -> Vec<String> {
    let targets: Vec<String> = hpa
        .current_metrics
        .iter()
        .map(|(name, percent, value)| match (percent, value) {
            (Some(percent), _) => format!("{name}: {percent}%"),
            (None, Some(value)) => format!("{name}: {value}"),
            (None, None) => format!("{name}: <unknown>"),
        })
        .collect();
    let targets = targets.join(", ");
    vec![
        hpa.meta.name.to_string(),
        format!("{}/{}", hpa.target_kind, hpa.target_name),
        if targets.is_empty() { text("<unknown>") } else { targets },
        hpa.min_replicas.to_string(),
        hpa.max_replicas.to_string(),
        hpa.current_replicas.to_string(),
        age,
    ]
}

/// A number or a percentage as it is written.
pub fn int_or_percent(value: IntOrPercent) -> String {
    match value {
        IntOrPercent::Int(n) => n.to_string(),
        IntOrPercent::Percent(p) => format!("{p}%"),
    }
}

fn external_ip(service: &crate::api::service::Service) -> String {
    match service.service_type.as_str() {
        "LoadBalancer" if service.load_balancer.is_empty() => text("<pending>"),
        "LoadBalancer" => service.load_balancer.to_string(),
        "ExternalName" => service.external_name.to_string(),
        _ => text(NONE),
    }
}

fn service_ports(service: &crate::api::service::Service) -> String {
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

fn event(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let Object::Event(event) = object else { return plain(object, now, wide) };
    let Event { regarding, reason, message, event_type, .. } = &**event;
    let about = format!("{}/{}", regarding.kind.to_lowercase(), regarding.name);
    let last = last_seen(event, now);
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
