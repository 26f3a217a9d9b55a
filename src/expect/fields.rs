//! What expectations can read of an object: a table per kind, and the readers.

use super::spec::{Check, FlagField, NumberField, TextField};
use crate::api::condition::{self, Condition};
use crate::api::node::{EBS_ZONE_LABEL, NODE_GROUP_LABEL, ZONE_LABEL, ZONE_LABEL_BETA};
use crate::api::selector::Operator;
use crate::api::storage::PersistentVolume;
use crate::api::{Kind, Node, Object};
use crate::base::Str;

/// What can be asked of a kind.
#[derive(Clone, Copy, Debug)]
pub struct KindFields {
    /// The kind.
    pub kind: Kind,
    /// Its numbers.
    pub numbers: &'static [NumberField],
    /// Its words.
    pub texts: &'static [TextField],
    /// Its yes-or-no matters.
    pub flags: &'static [FlagField],
    /// Whether it has conditions.
    pub conditions: bool,
    /// Whether it has taints.
    pub taints: bool,
}

use FlagField as F;
use NumberField as N;
use TextField as T;

const fn workload(kind: Kind, numbers: &'static [N], flags: &'static [F]) -> KindFields {
    KindFields { kind, numbers, texts: &[], flags, conditions: true, taints: false }
}

const fn storage(kind: Kind, texts: &'static [T], flags: &'static [F], conditions: bool) -> KindFields {
    KindFields { kind, numbers: &[], texts, flags, conditions, taints: false }
}

/// Every kind that an expectation can look into. Pods, Events and endpoints have words of their own.
pub const KIND_FIELDS: &[KindFields] = &[
    workload(
        Kind::Deployment,
        &[N::Replicas, N::Desired, N::Ready, N::Available, N::Unavailable, N::Updated, N::Revision],
        &[F::RolledOut, F::Terminating],
    ),
    workload(
        Kind::StatefulSet,
        &[N::Replicas, N::Desired, N::Ready, N::Available, N::Updated, N::Current],
        &[F::RolledOut, F::Terminating],
    ),
    workload(
        Kind::DaemonSet,
        &[N::Desired, N::Current, N::Ready, N::Available, N::Unavailable, N::Updated, N::Misscheduled],
        &[F::RolledOut, F::Terminating],
    ),
    workload(Kind::ReplicaSet, &[N::Replicas, N::Desired, N::Ready, N::Available], &[F::Terminating]),
    workload(
        Kind::ReplicationController,
        &[N::Replicas, N::Desired, N::Ready, N::Available],
        &[F::Terminating],
    ),
    workload(
        Kind::Job,
        &[N::Active, N::Ready, N::Succeeded, N::Failed, N::Desired],
        &[F::Suspended, F::Terminating],
    ),
    KindFields {
        kind: Kind::CronJob,
        numbers: &[N::Active],
        texts: &[],
        flags: &[F::Suspended, F::Terminating],
        conditions: false,
        taints: false,
    },
    workload(Kind::HorizontalPodAutoscaler, &[N::Replicas, N::Desired], &[F::Terminating]),
    workload(
        Kind::PodDisruptionBudget,
        &[N::DisruptionsAllowed, N::CurrentHealthy, N::Desired],
        &[F::Terminating],
    ),
    storage(Kind::PersistentVolumeClaim, &[T::Phase, T::StorageClass, T::Volume], &[F::Terminating], true),
    storage(
        Kind::PersistentVolume,
        &[T::Phase, T::StorageClass, T::Claim, T::Zone],
        &[F::Terminating],
        false,
    ),
    storage(Kind::VolumeAttachment, &[T::Node, T::Volume], &[F::Attached, F::Terminating], false),
    KindFields {
        kind: Kind::Node,
        numbers: &[],
        texts: &[T::Zone, T::Group],
        flags: &[F::Ready, F::Cordoned, F::Terminating],
        conditions: true,
        taints: true,
    },
    storage(Kind::Namespace, &[T::Phase], &[F::Terminating], true),
];

/// What can be asked of `kind`.
pub fn fields_of(kind: Kind) -> Option<&'static KindFields> {
    KIND_FIELDS.iter().find(|f| f.kind == kind)
}

/// A number of an object; none if its kind has no such number.
pub fn number(object: &Object, field: NumberField) -> Option<i64> {
    let value: i32 = match object {
        Object::Deployment(d) => match field {
            N::Replicas => d.status.replicas,
            N::Desired => d.replicas,
            N::Ready => d.status.ready_replicas,
            N::Available => d.status.available_replicas,
            N::Unavailable => d.status.unavailable_replicas,
            N::Updated => d.status.updated_replicas,
            N::Revision => d.meta.annotations.get("deployment.kubernetes.io/revision")?.parse().ok()?,
            _ => return None,
        },
        Object::StatefulSet(s) => match field {
            N::Replicas => s.status.replicas,
            N::Desired => s.replicas,
            N::Ready => s.status.ready_replicas,
            N::Available => s.status.available_replicas,
            N::Updated => s.status.updated_replicas,
            N::Current => s.status.current_replicas,
            _ => return None,
        },
        Object::DaemonSet(d) => match field {
            N::Desired => d.status.desired_number_scheduled,
            N::Current => d.status.current_number_scheduled,
            N::Ready => d.status.number_ready,
            N::Available => d.status.number_available,
            N::Unavailable => d.status.number_unavailable,
            N::Updated => d.status.updated_number_scheduled,
            N::Misscheduled => d.status.number_misscheduled,
            _ => return None,
        },
        Object::ReplicaSet(r) => replica_set_number(r, field)?,
        Object::ReplicationController(r) => replica_set_number(&r.0, field)?,
        Object::Job(j) => match field {
            N::Active => j.status.active,
            N::Ready => j.status.ready.unwrap_or(0),
            N::Succeeded => j.status.succeeded,
            N::Failed => j.status.failed,
            N::Desired => j.completions.unwrap_or(j.parallelism),
            _ => return None,
        },
        Object::CronJob(c) if field == N::Active => i32::try_from(c.active.len()).unwrap_or(i32::MAX),
        Object::HorizontalPodAutoscaler(h) => match field {
            N::Replicas => h.current_replicas,
            N::Desired => h.desired_replicas,
            _ => return None,
        },
        Object::PodDisruptionBudget(b) => match field {
            N::DisruptionsAllowed => b.disruptions_allowed,
            N::CurrentHealthy => b.current_healthy,
            N::Desired => b.desired_healthy,
            _ => return None,
        },
        _ => return None,
    };
    Some(i64::from(value))
}

fn replica_set_number(set: &crate::api::workload::ReplicaSet, field: NumberField) -> Option<i32> {
    Some(match field {
        N::Replicas => set.status.replicas,
        N::Desired => set.replicas,
        N::Ready => set.status.ready_replicas,
        N::Available => set.status.available_replicas,
        _ => return None,
    })
}

/// Words of an object; empty if there is none. A volume may have several zones.
pub fn texts(object: &Object, field: TextField) -> Vec<Str> {
    let one = |text: Str| if text.is_empty() { Vec::new() } else { vec![text] };
    match (object, field) {
        (Object::PersistentVolumeClaim(c), T::Phase) => one(c.phase.as_str().into()),
        (Object::PersistentVolumeClaim(c), T::StorageClass) => one(c.class()),
        (Object::PersistentVolumeClaim(c), T::Volume) => one(c.spec.volume_name.clone()),
        (Object::PersistentVolume(v), T::Phase) => one(v.phase.as_str().into()),
        (Object::PersistentVolume(v), T::StorageClass) => one(v.class()),
        (Object::PersistentVolume(v), T::Claim) => {
            v.claim_ref.iter().map(|c| c.key.to_string().into()).collect()
        }
        (Object::PersistentVolume(v), T::Zone) => volume_zones(v),
        (Object::VolumeAttachment(a), T::Node) => one(a.node_name.clone()),
        (Object::VolumeAttachment(a), T::Volume) => one(a.pv_name.clone()),
        (Object::Node(n), T::Zone) => one(n.zone()),
        (Object::Node(n), T::Group) => n.meta.labels.get(NODE_GROUP_LABEL).cloned().into_iter().collect(),
        (Object::Namespace(n), T::Phase) => one(if n.terminating { "Terminating" } else { "Active" }.into()),
        _ => Vec::new(),
    }
}

/// Zones from which a volume can be reached, by its node affinity or its labels.
fn volume_zones(volume: &PersistentVolume) -> Vec<Str> {
    let is_zone = |key: &str| [ZONE_LABEL, ZONE_LABEL_BETA, EBS_ZONE_LABEL].contains(&key);
    let terms = volume.node_affinity.iter().flat_map(|a| &a.terms);
    let mut zones: Vec<Str> = terms
        .flat_map(|t| &t.expressions)
        .filter(|r| r.operator == Operator::In && is_zone(&r.key))
        .flat_map(|r| r.values.iter().cloned())
        .collect();
    if zones.is_empty() {
        let labels = &volume.meta.labels;
        zones.extend(labels.iter().filter(|(k, _)| is_zone(k)).map(|(_, v)| v.clone()));
    }
    zones.sort_unstable();
    zones.dedup();
    zones
}

/// A yes-or-no matter of an object; none if its kind has no such matter.
pub fn flag(object: &Object, field: FlagField) -> Option<bool> {
    match (object, field) {
        (object, F::Terminating) => Some(match object {
            Object::Namespace(n) => n.terminating || n.meta.is_deleting(),
            _ => object.meta().is_deleting(),
        }),
        (Object::Node(n), F::Ready) => Some(n.is_ready()),
        (Object::Node(n), F::Cordoned) => Some(n.unschedulable),
        (Object::Job(j), F::Suspended) => Some(j.suspend),
        (Object::CronJob(c), F::Suspended) => Some(c.suspend),
        (Object::VolumeAttachment(a), F::Attached) => Some(a.attached),
        (object, F::RolledOut) => rolled_out(object),
        _ => None,
    }
}

/// Whether `kubectl rollout status` would say that the rollout is done.
///
/// Upstream: `kubectl/pkg/polymorphichelpers/rollout_status.go`, v1.34.
fn rolled_out(object: &Object) -> Option<bool> {
    Some(match object {
        Object::Deployment(d) => {
            let s = &d.status;
            d.meta.generation <= s.observed_generation
                && s.updated_replicas >= d.replicas
                && s.replicas <= s.updated_replicas
                && s.available_replicas >= s.updated_replicas
        }
        Object::DaemonSet(d) => {
            let s = &d.status;
            d.meta.generation <= s.observed_generation
                && s.updated_number_scheduled >= s.desired_number_scheduled
                && s.number_available >= s.desired_number_scheduled
        }
        Object::StatefulSet(s) => {
            let status = &s.status;
            let updated_enough = s.partition > 0 && status.updated_replicas >= s.replicas - s.partition;
            s.meta.generation <= status.observed_generation
                && status.ready_replicas >= s.replicas
                && (updated_enough || status.update_revision == status.current_revision)
        }
        _ => return None,
    })
}

/// Conditions of an object.
pub fn conditions(object: &Object) -> &[Condition] {
    match object {
        Object::Pod(o) => &o.status.conditions,
        Object::Node(o) => &o.status.conditions,
        Object::Namespace(o) => &o.conditions,
        Object::PersistentVolumeClaim(o) => &o.conditions,
        Object::ReplicationController(o) => &o.0.status.conditions,
        Object::Deployment(o) => &o.status.conditions,
        Object::ReplicaSet(o) => &o.status.conditions,
        Object::StatefulSet(o) => &o.status.conditions,
        Object::DaemonSet(o) => &o.status.conditions,
        Object::Job(o) => &o.status.conditions,
        Object::HorizontalPodAutoscaler(o) => &o.conditions,
        Object::PodDisruptionBudget(o) => &o.conditions,
        _ => &[],
    }
}

impl Check {
    /// Whether it is true of `object`.
    pub fn holds(&self, object: &Object) -> bool {
        match self {
            Self::Number(field, count) => number(object, *field).is_some_and(|n| count.holds(n)),
            Self::Text(field, wanted) => texts(object, *field).contains(wanted),
            Self::Flag(field, wanted) => flag(object, *field) == Some(*wanted),
            Self::Condition { kind, status, reason } => condition::find(conditions(object), kind)
                .is_some_and(|c| c.status == *status && reason.as_ref().is_none_or(|r| *r == c.reason)),
            Self::Taint { key, value, effect } => node(object).is_some_and(|n| {
                n.taints.iter().any(|t| {
                    t.key == *key
                        && value.as_ref().is_none_or(|v| *v == t.value)
                        && effect.is_none_or(|e| e == t.effect)
                })
            }),
        }
    }

    /// What `object` has where the check looks: `available 2`, `phase Pending`.
    pub fn actual(&self, object: &Object) -> String {
        match self {
            Self::Number(field, _) => {
                let value = number(object, *field).map_or_else(|| "unset".to_owned(), |n| n.to_string());
                format!("{} {value}", field.as_str())
            }
            Self::Text(field, _) => {
                let texts = texts(object, *field);
                let joined = texts.iter().map(Str::as_str).collect::<Vec<_>>().join(", ");
                format!("{} {}", field.as_str(), if joined.is_empty() { "unset" } else { &joined })
            }
            Self::Flag(field, _) => match flag(object, *field) {
                Some(value) => format!("{} {value}", field.as_str()),
                None => format!("{} unset", field.as_str()),
            },
            Self::Condition { kind, .. } => match condition::find(conditions(object), kind) {
                Some(c) if c.reason.is_empty() => format!("condition {kind} {}", c.status.as_str()),
                Some(c) => format!("condition {kind} {} ({})", c.status.as_str(), c.reason),
                None => format!("no condition {kind}"),
            },
            Self::Taint { .. } => {
                let taints: Vec<_> =
                    node(object).iter().flat_map(|n| &n.taints).map(ToString::to_string).collect();
                if taints.is_empty() {
                    "no taints".to_owned()
                } else {
                    format!("taints {}", taints.join(", "))
                }
            }
        }
    }
}

fn node(object: &Object) -> Option<&Node> {
    if let Object::Node(node) = object { Some(node) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::node::NodeStatus;
    use crate::api::selector::{NodeSelector, NodeSelectorTerm, Requirement};
    use crate::api::storage::{ClaimPhase, PersistentVolumeClaim, PvSource, VolumeAttachment};
    use crate::api::{ConditionStatus, Meta, Taint, TaintEffect};
    use crate::base::Timestamp;
    use crate::expect::Count;

    fn claim() -> Object {
        PersistentVolumeClaim {
            meta: Meta::named("shop", "data"),
            spec: crate::api::storage::ClaimSpec {
                volume_name: "pv-1".into(),
                storage_class: Some("gp3".into()),
                ..Default::default()
            },
            phase: ClaimPhase::Bound,
            ..Default::default()
        }
        .into()
    }

    #[test]
    fn every_field_of_the_table_has_a_reader() {
        let node: Object = Node { meta: Meta::named("", "n"), ..Node::default() }.into();
        for field in fields_of(Kind::Node).unwrap().flags {
            assert!(flag(&node, *field).is_some(), "{field:?}");
        }
        let budget: Object = crate::api::policy::PodDisruptionBudget::default().into();
        for field in fields_of(Kind::PodDisruptionBudget).unwrap().numbers {
            assert!(number(&budget, *field).is_some(), "{field:?}");
        }
        let attachment: Object = VolumeAttachment {
            node_name: "n".into(),
            pv_name: "v".into(),
            attached: true,
            ..Default::default()
        }
        .into();
        for field in fields_of(Kind::VolumeAttachment).unwrap().texts {
            assert_eq!(texts(&attachment, *field).len(), 1, "{field:?}");
        }
        assert_eq!(flag(&attachment, F::Attached), Some(true));
        for field in fields_of(Kind::PersistentVolumeClaim).unwrap().texts {
            assert_eq!(texts(&claim(), *field).len(), 1, "{field:?}");
        }
    }

    #[test]
    fn claims_show_their_phase() {
        let bound = Check::Text(T::Phase, "Bound".into());
        assert!(bound.holds(&claim()));
        assert!(!Check::Text(T::Phase, "Pending".into()).holds(&claim()));
        assert_eq!(bound.actual(&claim()), "phase Bound");
        assert!(!Check::Number(N::Ready, Count::exactly(0)).holds(&claim()));
    }

    #[test]
    fn volumes_show_the_zones_of_their_affinity() {
        let requirement = Requirement {
            key: ZONE_LABEL.into(),
            operator: Operator::In,
            values: vec!["b".into(), "a".into()],
        };
        let volume: Object = PersistentVolume {
            meta: Meta::named("", "pv"),
            capacity: Default::default(),
            access_modes: Vec::new(),
            claim_ref: None,
            reclaim_policy: Default::default(),
            storage_class: "gp3".into(),
            block: false,
            node_affinity: Some(NodeSelector {
                terms: vec![NodeSelectorTerm { expressions: vec![requirement], fields: Vec::new() }],
            }),
            source: PvSource::HostPath("/".into()),
            attributes_class: None,
            mount_options: Vec::new(),
            rest: None,
            phase: Default::default(),
            reason: Str::new(),
            message: Str::new(),
        }
        .into();
        assert_eq!(texts(&volume, T::Zone), ["a", "b"]);
        assert!(Check::Text(T::Zone, "a".into()).holds(&volume));
    }

    #[test]
    fn nodes_show_taints_cordons_and_conditions() {
        let taint =
            Taint { key: "k".into(), value: "v".into(), effect: TaintEffect::NoExecute, time_added: None };
        let node: Object = Node {
            meta: Meta::named("", "n"),
            unschedulable: true,
            taints: vec![taint],
            status: NodeStatus {
                conditions: vec![Condition::new(
                    "Ready",
                    ConditionStatus::Unknown,
                    "NodeStatusUnknown",
                    "",
                    Timestamp::new(0),
                )],
                ..NodeStatus::default()
            },
            ..Node::default()
        }
        .into();
        let check = |key: &str, value: Option<&str>, effect| Check::Taint {
            key: key.into(),
            value: value.map(Into::into),
            effect,
        };
        assert!(check("k", None, None).holds(&node));
        assert!(check("k", Some("v"), Some(TaintEffect::NoExecute)).holds(&node));
        assert!(!check("k", Some("w"), None).holds(&node));
        assert!(!check("k", None, Some(TaintEffect::NoSchedule)).holds(&node));
        assert_eq!(check("x", None, None).actual(&node), "taints k=v:NoExecute");
        assert!(Check::Flag(F::Cordoned, true).holds(&node));
        assert!(Check::Flag(F::Ready, false).holds(&node));
        let unknown = |reason: Option<&str>| Check::Condition {
            kind: "Ready".into(),
            status: ConditionStatus::Unknown,
            reason: reason.map(Into::into),
        };
        assert!(unknown(None).holds(&node) && unknown(Some("NodeStatusUnknown")).holds(&node));
        assert!(!unknown(Some("Other")).holds(&node));
        assert_eq!(unknown(None).actual(&node), "condition Ready Unknown (NodeStatusUnknown)");
    }
}
