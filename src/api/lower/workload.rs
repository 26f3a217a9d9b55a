//! Lowering of what makes Pods continuously: Deployments, ReplicaSets, StatefulSets, DaemonSets, revisions.

use super::at::{At, LowerError, collect};
use super::json::from_value;
use super::meta::{conditions, int_or_percent, labels, lower_meta, selector, text};
use super::pod::pod_template;
use super::storage::claim;
use crate::api::defaults;
use crate::api::k8s::apps::v1 as apps;
use crate::api::k8s::core::v1 as core;
use crate::api::meta::Labels;
use crate::api::metav1;
use crate::api::selector::LabelSelector;
use crate::api::workload::{
    ClaimTemplate, ControllerRevision, DaemonSet, DaemonSetStatus, Deployment, DeploymentStatus,
    DeploymentStrategy, IntOrPercent, PodTemplate, ReplicaSet, ReplicaSetStatus, ReplicationController,
    StatefulSet, StatefulSetStatus,
};
use crate::base::Arc;

/// A selector that a workload must have, and the labels it names.
pub(crate) fn required_selector(at: &At<'_>, value: metav1::LabelSelector) -> (LabelSelector, Labels) {
    let match_labels = labels(value.match_labels.clone());
    let lowered = selector(at, Some(value));
    if lowered.is_everything() {
        at.error("Required value");
    }
    (lowered, match_labels)
}

fn template(at: &At<'_>, value: core::PodTemplateSpec) -> Arc<PodTemplate> {
    Arc::new(pod_template(&at.field("template"), value))
}

/// Lowers a Deployment, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold, and a missing selector.
pub fn lower_deployment(mut value: apps::Deployment) -> Result<Deployment, Vec<LowerError>> {
    defaults::default_deployment(&mut value);
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    collect(|at| {
        let at = at.field("spec");
        let (selector, match_labels) = required_selector(&at.field("selector"), spec.selector);
        Deployment {
            meta: lower_meta(value.metadata),
            replicas: spec.replicas.unwrap_or(1),
            selector,
            match_labels,
            template: template(&at, spec.template),
            strategy: strategy(&at.field("strategy"), spec.strategy.unwrap_or_default()),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            revision_history_limit: spec.revision_history_limit.unwrap_or(10),
            paused: spec.paused.unwrap_or(false),
            progress_deadline_seconds: spec.progress_deadline_seconds.unwrap_or(600),
            status: DeploymentStatus {
                observed_generation: status.observed_generation.unwrap_or(0),
                replicas: status.replicas.unwrap_or(0),
                updated_replicas: status.updated_replicas.unwrap_or(0),
                ready_replicas: status.ready_replicas.unwrap_or(0),
                available_replicas: status.available_replicas.unwrap_or(0),
                unavailable_replicas: status.unavailable_replicas.unwrap_or(0),
                conditions: conditions!(status.conditions, last_update_time),
                collision_count: status.collision_count,
            },
        }
    })
}

fn strategy(at: &At<'_>, strategy: apps::DeploymentStrategy) -> DeploymentStrategy {
    let kind = strategy.type_.as_deref().unwrap_or("RollingUpdate");
    if at.field("type").one_of(kind, &[("Recreate", true), ("RollingUpdate", false)], true) {
        return DeploymentStrategy::Recreate;
    }
    let rolling = strategy.rolling_update.unwrap_or_default();
    let at = at.field("rollingUpdate");
    let share = |name, value: Option<_>| {
        value.map_or(IntOrPercent::Percent(25), |value| int_or_percent(&at.field(name), &value))
    };
    DeploymentStrategy::RollingUpdate {
        max_surge: share("maxSurge", rolling.max_surge),
        max_unavailable: share("maxUnavailable", rolling.max_unavailable),
    }
}

/// Lowers a ReplicaSet, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold, and a missing selector.
pub fn lower_replica_set(mut value: apps::ReplicaSet) -> Result<ReplicaSet, Vec<LowerError>> {
    defaults::default_replica_set(&mut value);
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    collect(|at| {
        let at = at.field("spec");
        let (selector, match_labels) = required_selector(&at.field("selector"), spec.selector);
        ReplicaSet {
            meta: lower_meta(value.metadata),
            replicas: spec.replicas.unwrap_or(1),
            selector,
            match_labels,
            template: template(&at, spec.template.unwrap_or_default()),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            status: ReplicaSetStatus {
                replicas: status.replicas,
                fully_labeled_replicas: status.fully_labeled_replicas.unwrap_or(0),
                ready_replicas: status.ready_replicas.unwrap_or(0),
                available_replicas: status.available_replicas.unwrap_or(0),
                observed_generation: status.observed_generation.unwrap_or(0),
                conditions: conditions!(status.conditions),
            },
        }
    })
}

/// Lowers a ReplicationController, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold, and a selector that is missing and that no label of the template gives.
pub fn lower_replication_controller(
    mut value: core::ReplicationController,
) -> Result<ReplicationController, Vec<LowerError>> {
    defaults::default_replication_controller(&mut value);
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    collect(|at| {
        let at = at.field("spec");
        let match_labels = labels(spec.selector);
        if match_labels.is_empty() {
            at.field("selector").error("Required value");
        }
        ReplicationController(ReplicaSet {
            meta: lower_meta(value.metadata),
            replicas: spec.replicas.unwrap_or(1),
            selector: LabelSelector::from_labels(&match_labels),
            match_labels,
            template: template(&at, spec.template.unwrap_or_default()),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            status: ReplicaSetStatus {
                replicas: status.replicas,
                fully_labeled_replicas: status.fully_labeled_replicas.unwrap_or(0),
                ready_replicas: status.ready_replicas.unwrap_or(0),
                available_replicas: status.available_replicas.unwrap_or(0),
                observed_generation: status.observed_generation.unwrap_or(0),
                conditions: conditions!(status.conditions),
            },
        })
    })
}

/// Lowers a StatefulSet, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold, and a missing selector.
pub fn lower_stateful_set(mut value: apps::StatefulSet) -> Result<StatefulSet, Vec<LowerError>> {
    defaults::default_stateful_set(&mut value);
    collect(|at| stateful_set(at, value))
}

const UPDATES: &[(&str, bool)] = &[("OnDelete", true), ("RollingUpdate", false)];

fn stateful_set(at: &At<'_>, value: apps::StatefulSet) -> StatefulSet {
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    let at = at.field("spec");
    let (selector, match_labels) = required_selector(&at.field("selector"), spec.selector);
    let update = spec.update_strategy.unwrap_or_default();
    let retention = spec.persistent_volume_claim_retention_policy.unwrap_or_default();
    let retention_at = at.field("persistentVolumeClaimRetentionPolicy");
    let deletes = |name, word: Option<String>| {
        let word = word.unwrap_or_else(|| "Retain".to_owned());
        retention_at.field(name).one_of(&word, &[("Retain", false), ("Delete", true)], false)
    };
    let management = spec.pod_management_policy.as_deref().unwrap_or("OrderedReady");
    let update_type = update.type_.as_deref().unwrap_or("RollingUpdate");
    StatefulSet {
        meta: lower_meta(value.metadata),
        replicas: spec.replicas.unwrap_or(1),
        ordinals_start: spec.ordinals.and_then(|o| o.start).unwrap_or(0),
        selector,
        match_labels,
        template: template(&at, spec.template),
        claim_templates: at.field("volumeClaimTemplates").each(spec.volume_claim_templates, |at, value| {
            let claim = claim(at, value);
            Arc::new(ClaimTemplate { meta: claim.meta, spec: claim.spec })
        }),
        service_name: text(spec.service_name),
        parallel: at.field("podManagementPolicy").one_of(
            management,
            &[("OrderedReady", false), ("Parallel", true)],
            false,
        ),
        on_delete: at.field("updateStrategy").field("type").one_of(update_type, UPDATES, false),
        partition: update.rolling_update.and_then(|r| r.partition).unwrap_or(0),
        min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
        revision_history_limit: spec.revision_history_limit.unwrap_or(10),
        delete_claims_when_deleted: deletes("whenDeleted", retention.when_deleted),
        delete_claims_when_scaled: deletes("whenScaled", retention.when_scaled),
        status: stateful_set_status(status),
    }
}

fn stateful_set_status(status: apps::StatefulSetStatus) -> StatefulSetStatus {
    StatefulSetStatus {
        observed_generation: status.observed_generation.unwrap_or(0),
        replicas: status.replicas,
        ready_replicas: status.ready_replicas.unwrap_or(0),
        available_replicas: status.available_replicas.unwrap_or(0),
        current_replicas: status.current_replicas.unwrap_or(0),
        updated_replicas: status.updated_replicas.unwrap_or(0),
        current_revision: text(status.current_revision),
        update_revision: text(status.update_revision),
        collision_count: status.collision_count,
        conditions: conditions!(status.conditions),
    }
}

/// Lowers a DaemonSet, filling in what the API server would.
///
/// # Errors
/// Every value that its field cannot hold, and a missing selector.
pub fn lower_daemon_set(mut value: apps::DaemonSet) -> Result<DaemonSet, Vec<LowerError>> {
    defaults::default_daemon_set(&mut value);
    let (spec, status) = (value.spec.unwrap_or_default(), value.status.unwrap_or_default());
    collect(|at| {
        let at = at.field("spec");
        let (selector, match_labels) = required_selector(&at.field("selector"), spec.selector);
        let update = spec.update_strategy.unwrap_or_default();
        let update_type = update.type_.as_deref().unwrap_or("RollingUpdate");
        let update_at = at.field("updateStrategy");
        let rolling = update.rolling_update.unwrap_or_default();
        let rolling_at = update_at.field("rollingUpdate");
        let share = |name, value: Option<_>, default| {
            value.map_or(IntOrPercent::Int(default), |value| int_or_percent(&rolling_at.field(name), &value))
        };
        DaemonSet {
            meta: lower_meta(value.metadata),
            selector,
            match_labels,
            template: template(&at, spec.template),
            on_delete: update_at.field("type").one_of(update_type, UPDATES, false),
            max_unavailable: share("maxUnavailable", rolling.max_unavailable, 1),
            max_surge: share("maxSurge", rolling.max_surge, 0),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            revision_history_limit: spec.revision_history_limit.unwrap_or(10),
            status: daemon_set_status(status),
        }
    })
}

fn daemon_set_status(status: apps::DaemonSetStatus) -> DaemonSetStatus {
    DaemonSetStatus {
        current_number_scheduled: status.current_number_scheduled,
        number_misscheduled: status.number_misscheduled,
        desired_number_scheduled: status.desired_number_scheduled,
        number_ready: status.number_ready,
        observed_generation: status.observed_generation.unwrap_or(0),
        updated_number_scheduled: status.updated_number_scheduled.unwrap_or(0),
        number_available: status.number_available.unwrap_or(0),
        number_unavailable: status.number_unavailable.unwrap_or(0),
        collision_count: status.collision_count,
        conditions: conditions!(status.conditions),
    }
}

/// Lowers a revision of a StatefulSet or DaemonSet; its data is a patch that replaces the template.
///
/// # Errors
/// Every value of the template that its field cannot hold.
pub fn lower_controller_revision(
    value: apps::ControllerRevision,
) -> Result<ControllerRevision, Vec<LowerError>> {
    let data = value.data.unwrap_or_default().0;
    let boundary = data.pointer("/spec/template").cloned().unwrap_or_default();
    collect(|at| {
        let (data_at, spec_at);
        data_at = at.field("data");
        spec_at = data_at.field("spec");
        let boundary = from_value::<Option<core::PodTemplateSpec>>(boundary).unwrap_or_else(|error| {
            spec_at.field("template").field(&error.path).error(error.message);
            None
        });
        ControllerRevision {
            meta: lower_meta(value.metadata),
            template: template(&spec_at, boundary.unwrap_or_default()),
            revision: value.revision,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEMPLATE: &str =
        r#"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}"#;

    fn spec(extra: serde_json::Value) -> serde_json::Value {
        let template: serde_json::Value = serde_json::from_str(TEMPLATE).unwrap();
        let mut spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
        for (key, value) in extra.as_object().unwrap() {
            spec[key] = value.clone();
        }
        json!({"metadata": {"name": "x"}, "spec": spec})
    }

    #[test]
    fn deployments_are_read() {
        let lower = |extra| lower_deployment(from_value(spec(extra)).unwrap());
        let plain = lower(json!({})).unwrap();
        assert_eq!(
            plain.strategy,
            DeploymentStrategy::RollingUpdate {
                max_surge: IntOrPercent::Percent(25),
                max_unavailable: IntOrPercent::Percent(25)
            }
        );
        assert_eq!(
            (plain.replicas, plain.revision_history_limit, plain.progress_deadline_seconds),
            (1, 10, 600)
        );
        let recreate = lower(json!({"strategy": {"type": "Recreate"}, "replicas": 0})).unwrap();
        assert_eq!((recreate.strategy, recreate.replicas), (DeploymentStrategy::Recreate, 0));
        let errors = lower(json!({"strategy": {"type": "Slow"}, "selector": {}})).unwrap_err();
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "spec.selector: Required value",
                "spec.strategy.type: Unsupported value: \"Slow\": supported values: \"Recreate\", \"RollingUpdate\"",
            ]
        );
    }

    #[test]
    fn stateful_sets_are_read() {
        let extra = json!({"serviceName": "s", "podManagementPolicy": "Parallel", "updateStrategy": {"type": "OnDelete"},
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}, "ordinals": {"start": 5},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}]});
        let set = lower_stateful_set(from_value(spec(extra)).unwrap()).unwrap();
        assert!(
            set.parallel && set.on_delete && set.delete_claims_when_scaled && !set.delete_claims_when_deleted
        );
        assert_eq!((set.ordinals_start, set.claim_templates[0].meta.name.as_str()), (5, "data"));
    }

    #[test]
    fn daemon_sets_replica_sets_and_controllers_are_read() {
        let set = lower_daemon_set(from_value(spec(json!({}))).unwrap()).unwrap();
        assert_eq!((set.max_unavailable, set.max_surge), (IntOrPercent::Int(1), IntOrPercent::Int(0)));
        let set = lower_replica_set(from_value(spec(json!({"replicas": 3}))).unwrap()).unwrap();
        assert_eq!((set.replicas, set.selector.to_string().as_str()), (3, "a=b"));
        let controller = from_value(spec(json!({"selector": null}))).unwrap();
        let controller = lower_replication_controller(controller).unwrap();
        assert_eq!(controller.0.selector.to_string(), "a=b");
    }

    #[test]
    fn revisions_carry_a_template() {
        let template: serde_json::Value = serde_json::from_str(TEMPLATE).unwrap();
        let value = json!({"revision": 2, "data": {"spec": {"template": template}}});
        let revision = lower_controller_revision(from_value(value).unwrap()).unwrap();
        let set = lower_daemon_set(from_value(spec(json!({}))).unwrap()).unwrap();
        assert_eq!((revision.revision, revision.template), (2, set.template));
    }
}
