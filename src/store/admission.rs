//! What the API server adds to objects, or refuses, when they are created.
//!
//! Upstream: `plugin/pkg/admission/{priority,defaulttolerationseconds,nodetaint}` and
//! `plugin/pkg/admission/storage/{storageclass/setdefault,storageobjectinuseprotection}`, v1.34.
//!
//! # Fidelity
//!
//! * A Pod that brings a priority and no class keeps it, as Pods taken from a cluster do; upstream refuses a priority
//!   that is not the default class's.
//! * Every namespace has the ServiceAccount `default`; a Pod that names another one is not refused for it, and no token
//!   volume and no `imagePullSecrets` are added.
//! * A Node that is Ready when it is created, as those are that were there before the run began, is not tainted.

use super::Store;
use super::error::ApiError;
use super::table::Stored;
use crate::api::condition::{self, Condition};
use crate::api::pod::cond;
use crate::api::policy::PriorityClass;
use crate::api::service::Namespace;
use crate::api::storage::{PersistentVolume, PersistentVolumeClaim, StorageClass, annotation};
use crate::api::{
    ConditionStatus, Kind, Meta, Node, Pod, PodSpec, Taint, TaintEffect, Toleration, k8s, lower,
};
use crate::base::{Arc, LookupMap, Str, text::lit};

/// Priority of the built-in class `system-cluster-critical`.
pub const SYSTEM_CLUSTER_CRITICAL: i32 = 2_000_000_000;
/// Priority of the built-in class `system-node-critical`.
pub const SYSTEM_NODE_CRITICAL: i32 = 2_000_001_000;
/// The taint of a node whose condition `Ready` is `False`.
pub const TAINT_NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The taint of a node whose condition `Ready` is `Unknown`.
pub const TAINT_UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Holds a claim that a Pod uses.
pub const FINALIZER_PVC_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// Holds a volume that a claim uses.
pub const FINALIZER_PV_PROTECTION: &str = "kubernetes.io/pv-protection";

/// Holds a deleted namespace until its content is gone.
pub const FINALIZER_NAMESPACE: &str = "kubernetes";
/// Namespaces that may not be deleted.
///
/// Upstream: `plugin/pkg/admission/namespace/lifecycle/admission.go`, v1.34.
const IMMUTABLE_NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Settings of admission, and specs already admitted: Pods of one template share the result.
#[derive(Clone, Debug)]
pub struct Admission {
    /// `--default-not-ready-toleration-seconds`.
    pub not_ready_toleration_seconds: i64,
    /// `--default-unreachable-toleration-seconds`.
    pub unreachable_toleration_seconds: i64,
    /// What the webhook of vertical autoscalers makes of new Pods.
    pub resizers: Vec<super::webhook::Resizer>,
    admitted: LookupMap<(u64, i32, bool), Arc<PodSpec>>,
    /// Specs that LimitRanges have been applied to, by spec and ranges.
    pub(super) limited: LookupMap<(u64, u64), super::limits::Limited>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            not_ready_toleration_seconds: 300,
            unreachable_toleration_seconds: 300,
            resizers: Vec::new(),
            admitted: LookupMap::default(),
            limited: LookupMap::default(),
        }
    }
}

/// Runs the mutating admission of the object's kind. Returns why validating admission will refuse it, if it will:
/// that comes after the object has got its name, and names it.
pub(super) fn admit<T: Stored>(store: &mut Store, object: &mut T) -> Result<Option<Str>, ApiError> {
    let object = object as &mut dyn std::any::Any;
    if let Some(pod) = object.downcast_mut::<Pod>() {
        let mut refusal = super::limits::admit_pod(store, pod);
        if super::webhook::mutate(store, pod) {
            // Validation comes after all that changes the Pod.
            refusal = super::limits::check_pod_again(store, pod);
        }
        admit_pod(store, pod)?;
        return Ok(refusal);
    } else if let Some(node) = object.downcast_mut::<Node>() {
        taint_new_node(node);
    } else if let Some(claim) = object.downcast_mut::<PersistentVolumeClaim>() {
        set_default_class(store, claim);
        protect(&mut claim.meta, FINALIZER_PVC_PROTECTION);
        return Ok(super::limits::check_claim(store, claim));
    } else if let Some(volume) = object.downcast_mut::<PersistentVolume>() {
        protect(&mut volume.meta, FINALIZER_PV_PROTECTION);
    } else if let Some(namespace) = object.downcast_mut::<Namespace>()
        && !namespace.spec_finalizers.iter().any(|f| f == FINALIZER_NAMESPACE)
    {
        namespace.spec_finalizers.push(FINALIZER_NAMESPACE.into());
    }
    Ok(None)
}

/// A new node is tainted `not-ready` until it has been seen ready (`TaintNodesByCondition`).
fn taint_new_node(node: &mut Node) {
    let taint = Taint {
        key: TAINT_NOT_READY.into(),
        value: Str::new(),
        effect: TaintEffect::NoSchedule,
        time_added: None,
    };
    if !node.is_ready() && !node.taints.iter().any(|t| t.matches(&taint)) {
        node.taints.push(taint);
    }
}

/// Holds a deleted object until the protection controllers have seen that nobody uses it.
fn protect(meta: &mut Meta, finalizer: &'static str) {
    if !meta.has_finalizer(finalizer) {
        meta.finalizers.push(finalizer.into());
    }
}

/// A claim that names no class gets the default one (`DefaultStorageClass`).
fn set_default_class(store: &Store, claim: &mut PersistentVolumeClaim) {
    if !claim.meta.annotations.contains_key(annotation::CLASS_BETA) && claim.spec.storage_class.is_none() {
        claim.spec.storage_class = default_storage_class(store).map(|c| c.meta.name.clone());
    }
}

/// The default class: of several the newest, then the first by name.
///
/// Upstream: `pkg/volume/util/storageclass.go` `GetDefaultClass`, v1.34.
pub fn default_storage_class(store: &Store) -> Option<&Arc<StorageClass>> {
    let defaults = store.list::<StorageClass>().filter(|c| c.is_default());
    defaults.min_by_key(|c| (std::cmp::Reverse(c.meta.created), c.meta.name.clone()))
}

fn admit_pod(store: &mut Store, pod: &mut Pod) -> Result<(), ApiError> {
    let (priority, never) = resolve_priority(store, pod)?;
    lower::merge_label_keys(pod);
    pod.status.qos = pod.spec.qos;
    say_gated(pod);
    let key = (pod.spec.fingerprint, priority, never);
    if let Some(spec) = store.admission.admitted.get(&key) {
        pod.spec = spec.clone();
        return Ok(());
    }
    let spec = Arc::new(admitted_spec(&store.admission, &pod.spec, priority, never));
    store.admission.admitted.insert(key, spec.clone());
    // What has been admitted once stays as it is when it is created again.
    store.admission.admitted.insert((spec.fingerprint, priority, never), spec.clone());
    pod.spec = spec;
    Ok(())
}

/// A Pod with scheduling gates says from the beginning why it has no node.
///
/// Upstream: `pkg/registry/core/pod/strategy.go` (`applySchedulingGatedCondition`), v1.34.
fn say_gated(pod: &mut Pod) {
    let conditions = &mut pod.status.conditions;
    if pod.spec.scheduling_gates.is_empty() || condition::find(conditions, cond::POD_SCHEDULED).is_some() {
        return;
    }
    conditions.push(Condition {
        kind: cond::POD_SCHEDULED.into(),
        status: ConditionStatus::False,
        reason: lit!("SchedulingGated"),
        message: lit!("Scheduling is blocked due to non-empty scheduling gates"),
        transition: None,
        updated: None,
    });
}

fn resolve_priority(store: &Store, pod: &Pod) -> Result<(i32, bool), ApiError> {
    let spec = &pod.spec;
    let name = &spec.priority_class_name;
    if name.is_empty() {
        // Upstream: of several global defaults the lowest value counts.
        let default = store.list::<PriorityClass>().filter(|c| c.global_default).min_by_key(|c| c.value);
        return match default {
            _ if spec.raw.priority.is_some() => Ok((spec.priority, spec.never_preempts)),
            Some(class) => Ok((class.value, class.never_preempts || spec.never_preempts)),
            None => Ok((0, spec.never_preempts)),
        };
    }
    match name.as_str() {
        "system-node-critical" => return Ok((SYSTEM_NODE_CRITICAL, spec.never_preempts)),
        "system-cluster-critical" => return Ok((SYSTEM_CLUSTER_CRITICAL, spec.never_preempts)),
        _ => {}
    }
    let forbidden = |why: String| ApiError::forbidden(Kind::Pod, pod.meta.name_or_prefix(), why);
    let class = store
        .find::<PriorityClass>("", name)
        .ok_or_else(|| forbidden(format!("no PriorityClass with name {name} was found")))?;
    if let Some(given) = spec.raw.priority.filter(|given| *given != class.value) {
        return Err(forbidden(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
            class.value
        )));
    }
    Ok((class.value, class.never_preempts || spec.never_preempts))
}

fn admitted_spec(admission: &Admission, spec: &PodSpec, priority: i32, never: bool) -> PodSpec {
    let mut new = spec.clone();
    new.priority = priority;
    new.never_preempts = never;
    for (key, seconds) in [
        (TAINT_NOT_READY, admission.not_ready_toleration_seconds),
        (TAINT_UNREACHABLE, admission.unreachable_toleration_seconds),
    ] {
        let covered = new.tolerations.iter().any(|t| {
            (t.key == key || t.key.is_empty()) && t.effect.is_none_or(|e| e == TaintEffect::NoExecute)
        });
        if !covered {
            new.tolerations.push(Toleration {
                key: key.into(),
                exists: true,
                value: Str::new(),
                effect: Some(TaintEffect::NoExecute),
                seconds: Some(seconds),
            });
        }
    }
    let mut raw = k8s::core::v1::PodSpec::clone(&spec.raw);
    raw.priority = Some(priority);
    let policy = if never { lit!("Never") } else { lit!("PreemptLowerPriority") };
    raw.preemption_policy = Some(policy.to_string());
    let added = &new.tolerations[spec.tolerations.len()..];
    raw.tolerations.get_or_insert_default().extend(added.iter().map(|t| k8s::core::v1::Toleration {
        key: Some(t.key.to_string()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: t.seconds,
        value: None,
    }));
    new.fingerprint = crate::api::fingerprint::fingerprint(&raw);
    new.raw = Arc::new(raw);
    new
}

/// Refuses the deletion of namespaces that a cluster cannot be without.
pub(super) fn admit_deletion(kind: Kind, name: &Str) -> Result<(), ApiError> {
    if kind == Kind::Namespace && IMMUTABLE_NAMESPACES.contains(&name.as_str()) {
        return Err(ApiError::forbidden(kind, name, "this namespace may not be deleted"));
    }
    Ok(())
}

/// Sets the phase of a namespace whose deletion was accepted.
pub(super) fn mark_namespace_terminating<T: Stored>(object: &mut T) {
    if let Some(namespace) = (object as &mut dyn std::any::Any).downcast_mut::<Namespace>() {
        namespace.terminating = true;
    }
}

/// Whether a namespace still has its own finalizers.
pub(super) fn namespace_is_held<T: Stored>(object: &T) -> bool {
    (object as &dyn std::any::Any).downcast_ref::<Namespace>().is_some_and(|n| !n.spec_finalizers.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;

    fn class(name: &'static str, value: i32, global_default: bool) -> PriorityClass {
        PriorityClass { meta: Meta::named("", name), value, global_default, ..PriorityClass::default() }
    }

    fn pod(change: impl FnOnce(&mut k8s::core::v1::PodSpec)) -> Pod {
        let mut pod = testkit::pod("p", "app=web");
        let mut raw = k8s::core::v1::PodSpec::clone(&pod.spec.raw);
        change(&mut raw);
        let boundary = k8s::core::v1::Pod { spec: Some(raw), ..Default::default() };
        pod.spec = lower::lower_pod(boundary).unwrap().spec;
        pod
    }

    fn priority(
        classes: &[PriorityClass],
        change: impl FnOnce(&mut k8s::core::v1::PodSpec),
    ) -> Result<i32, String> {
        let mut store = testkit::store();
        classes.iter().for_each(|class| {
            store.create(class.clone()).unwrap();
        });
        store.create(pod(change)).map(|pod| pod.spec.priority).map_err(|e| e.to_string())
    }

    /// §9.3, §13.41.
    #[test]
    fn priority_comes_from_the_class() {
        let named = |name: &'static str| {
            move |spec: &mut k8s::core::v1::PodSpec| spec.priority_class_name = Some(name.into())
        };
        let classes = [class("high", 1000, false), class("a", 50, true), class("b", 20, true)];
        assert_eq!(priority(&[], |_| {}), Ok(0));
        assert_eq!(priority(&classes, |_| {}), Ok(20), "of several defaults the lowest value");
        assert_eq!(priority(&classes, named("high")), Ok(1000));
        assert_eq!(priority(&[], named("system-node-critical")), Ok(2_000_001_000));
        assert_eq!(priority(&[], named("system-cluster-critical")), Ok(2_000_000_000));
        let refused = priority(&classes, named("low")).unwrap_err();
        assert!(
            refused.ends_with("pods \"p\" is forbidden: no PriorityClass with name low was found"),
            "{refused}"
        );
        let refused = priority(&classes, |spec| {
            spec.priority_class_name = Some("high".into());
            spec.priority = Some(7);
        });
        assert!(
            refused
                .unwrap_err()
                .contains("must not be provided in pod spec; priority admission controller computed 1000")
        );
    }

    /// §9.3: preemption is part of the class; the priority is resolved once, and what becomes of the class later does not
    /// matter.
    #[test]
    fn priority_is_resolved_once() {
        let mut store = testkit::store();
        store.create(PriorityClass { never_preempts: true, ..class("high", 1000, false) }).unwrap();
        let made = store.create(pod(|spec| spec.priority_class_name = Some("high".into()))).unwrap();
        assert_eq!((made.spec.priority, made.spec.never_preempts), (1000, true));
        assert_eq!(made.spec.raw.preemption_policy.as_deref(), Some("Never"));
        let key = crate::api::ObjectKey::cluster("high");
        store.delete::<PriorityClass>(&key, &crate::store::DeleteOptions::force()).unwrap();
        store.create(class("high", 5, false)).unwrap();
        assert_eq!(store.get::<Pod>(&made.meta.key()).unwrap().spec.priority, 1000);
        store.delete::<Pod>(&made.meta.key(), &crate::store::DeleteOptions::force()).unwrap();
        let plain = store.create(pod(|_| {})).unwrap();
        assert_eq!((plain.spec.priority, plain.spec.never_preempts), (0, false));
        assert_eq!(plain.spec.raw.preemption_policy.as_deref(), Some("PreemptLowerPriority"));
    }

    /// §9.4, §13.1: a toleration of the key, or of all keys, for `NoExecute` or all effects takes the place of the default.
    #[test]
    fn default_tolerations_are_added_where_none_covers_them() {
        let toleration = |key: &str, effect: &str| k8s::core::v1::Toleration {
            key: (!key.is_empty()).then(|| key.to_owned()),
            operator: Some("Exists".into()),
            effect: (!effect.is_empty()).then(|| effect.to_owned()),
            ..Default::default()
        };
        for (key, effect, added) in [
            ("other", "NoExecute", &[TAINT_NOT_READY, TAINT_UNREACHABLE][..]),
            (TAINT_NOT_READY, "NoExecute", &[TAINT_UNREACHABLE]),
            (TAINT_NOT_READY, "NoSchedule", &[TAINT_NOT_READY, TAINT_UNREACHABLE]),
            (TAINT_UNREACHABLE, "", &[TAINT_NOT_READY]),
            ("", "", &[]),
        ] {
            let mut store = testkit::store();
            let pod =
                store.create(pod(|spec| spec.tolerations = Some(vec![toleration(key, effect)]))).unwrap();
            let found: Vec<&str> = pod.spec.tolerations[1..].iter().map(|t| t.key.as_str()).collect();
            assert_eq!(found, added, "{key} {effect}");
            assert!(pod.spec.tolerations[1..].iter().all(|t| t.seconds == Some(300)));
        }
    }

    /// §6.4: a node is tainted before anybody has seen it ready.
    #[test]
    fn a_new_node_is_tainted_until_it_is_ready() {
        let mut store = testkit::store();
        let node = store.create(Node { meta: Meta::named("", "n"), ..Node::default() }).unwrap();
        let taints: Vec<String> = node.taints.iter().map(Taint::to_string).collect();
        assert_eq!(taints, ["node.kubernetes.io/not-ready:NoSchedule"]);
    }
}
