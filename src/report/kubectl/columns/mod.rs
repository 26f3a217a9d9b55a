//! The columns of every kind.
//!
//! Upstream: `pkg/printers/internalversion/printers.go`, v1.34.
//!
//! # Fidelity
//! Objects of custom kinds show their name and age: `additionalPrinterColumns` of their definitions are not read.

mod inert;
mod other;
mod storage;
mod workload;

pub use other::last_seen;

use super::{age, pod_status};
use crate::api::workload::IntOrPercent;
use crate::api::{Kind, Labels, Node, Object, Pod, condition};
use crate::base::Timestamp;
use inert::inert;
use other::{event, other};
use storage::storage;
use workload::workload;

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
            ["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"],
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
            ["CONTAINERS", "IMAGES", "SELECTOR"],
            workload
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
                &[
                    "LAST SEEN",
                    "TYPE",
                    "REASON",
                    "OBJECT",
                    "SUBOBJECT",
                    "SOURCE",
                    "MESSAGE",
                    "FIRST SEEN",
                    "COUNT",
                    "NAME",
                ]
            } else {
                &["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
            },
            name_column: usize::MAX,
            row: event,
        },
        Kind::ResourceQuota => columns!(wide, ["NAME", "REQUEST", "LIMIT", "AGE"], [], other),
        Kind::LimitRange => columns!(wide, ["NAME", "CREATED AT"], [], created_at),
        Kind::CsiDriver => columns!(
            wide,
            [
                "NAME",
                "ATTACHREQUIRED",
                "PODINFOONMOUNT",
                "STORAGECAPACITY",
                "TOKENREQUESTS",
                "REQUIRESREPUBLISH",
                "MODES",
                "AGE"
            ],
            [],
            storage
        ),
        Kind::CsiStorageCapacity => columns!(wide, ["NAME", "STORAGECLASSNAME", "CAPACITY"], [], storage),
        Kind::Inert => columns!(wide, ["NAME", "AGE"], [], plain),
    }
}

/// The columns of a kind that is carried without effect.
pub fn of_inert(kind: &str, wide: bool) -> Columns {
    match kind {
        "ConfigMap" => columns!(wide, ["NAME", "DATA", "AGE"], [], inert),
        "Secret" => columns!(wide, ["NAME", "TYPE", "DATA", "AGE"], [], inert),
        "ServiceAccount" => columns!(wide, ["NAME", "SECRETS", "AGE"], [], inert),
        "Ingress" => columns!(wide, ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"], [], inert),
        "IngressClass" => columns!(wide, ["NAME", "CONTROLLER", "PARAMETERS", "AGE"], [], inert),
        "NetworkPolicy" => columns!(wide, ["NAME", "POD-SELECTOR", "AGE"], [], inert),
        "RoleBinding" | "ClusterRoleBinding" => {
            columns!(wide, ["NAME", "ROLE", "AGE"], ["USERS", "GROUPS", "SERVICEACCOUNTS"], inert)
        }
        "RuntimeClass" => columns!(wide, ["NAME", "HANDLER", "AGE"], [], inert),
        "Role" | "ClusterRole" | "CustomResourceDefinition" => {
            columns!(wide, ["NAME", "CREATED AT"], [], created_at)
        }
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            columns!(wide, ["NAME", "WEBHOOKS", "AGE"], [], inert)
        }
        _ => columns!(wide, ["NAME", "AGE"], [], plain),
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

fn created_at(object: &Object, _now: Timestamp, _wide: bool) -> Vec<String> {
    let at = object.meta().created.map_or_else(|| text("<unknown>"), Timestamp::to_rfc3339);
    vec![object.meta().name.to_string(), at]
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
        let status = crate::api::raise::raise_node(node).status.unwrap_or_default();
        let address = |kind: &str| {
            let all = status.addresses.iter().flatten();
            or_none(all.filter(|a| a.type_ == kind).map(|a| a.address.as_str()).next().unwrap_or_default())
        };
        let info = status.node_info.clone().unwrap_or_default();
        let known = |s: &str| if s.is_empty() { text("<unknown>") } else { text(s) };
        row.extend([address("InternalIP"), address("ExternalIP")]);
        row.extend([&info.os_image, &info.kernel_version, &info.container_runtime_version].map(|s| known(s)));
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

/// Labels as `a=b,c=d`, or `<none>`.
pub(super) fn labels_text(labels: &Labels) -> String {
    or_none(&labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","))
}

/// A number or a percentage as it is written.
pub fn int_or_percent(value: IntOrPercent) -> String {
    match value {
        IntOrPercent::Int(n) => n.to_string(),
        IntOrPercent::Percent(p) => format!("{p}%"),
    }
}

#[cfg(test)]
mod tests;
