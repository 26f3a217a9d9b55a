//! Raising of what makes Pods continuously.

use serde_json::json;

use crate::api::k8s::apps::v1 as apps;
use crate::api::k8s::core::v1 as core;
use crate::api::meta::Meta;
use crate::api::workload::{
    ControllerRevision, DaemonSet, Deployment, DeploymentStrategy, IntOrPercent, ReplicaSet,
    ReplicationController, StatefulSet,
};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;

use super::meta::{
    conditions, flag, generation, int_or_string, list, map, number, raise_meta, selector_with, text,
};
use super::pod::raise_pod_template;
use super::storage::raise_claim_spec;

/// Raises a Deployment.
pub fn raise_deployment(deployment: &Deployment) -> apps::Deployment {
    let status = &deployment.status;
    let strategy = match deployment.strategy {
        DeploymentStrategy::Recreate => {
            apps::DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }
        }
        DeploymentStrategy::RollingUpdate { max_surge, max_unavailable } => apps::DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(apps::RollingUpdateDeployment {
                max_surge: Some(int_or_string(max_surge)),
                max_unavailable: Some(int_or_string(max_unavailable)),
            }),
        },
    };
    apps::Deployment {
        metadata: raise_meta(&deployment.meta),
        spec: Some(apps::DeploymentSpec {
            min_ready_seconds: number(deployment.min_ready_seconds),
            paused: flag(deployment.paused),
            progress_deadline_seconds: Some(deployment.progress_deadline_seconds),
            replicas: Some(deployment.replicas),
            revision_history_limit: Some(deployment.revision_history_limit),
            selector: selector_with(&deployment.selector, &deployment.match_labels).unwrap_or_default(),
            strategy: Some(strategy),
            template: raise_pod_template(&deployment.template),
        }),
        status: Some(apps::DeploymentStatus {
            available_replicas: number(status.available_replicas),
            collision_count: status.collision_count,
            conditions: conditions!(status.conditions, apps::DeploymentCondition, last_update_time),
            observed_generation: generation(status.observed_generation),
            ready_replicas: number(status.ready_replicas),
            replicas: number(status.replicas),
            terminating_replicas: None,
            unavailable_replicas: number(status.unavailable_replicas),
            updated_replicas: number(status.updated_replicas),
        }),
    }
}

/// Raises a ReplicaSet.
pub fn raise_replica_set(set: &ReplicaSet) -> apps::ReplicaSet {
    let status = &set.status;
    apps::ReplicaSet {
        metadata: raise_meta(&set.meta),
        spec: Some(apps::ReplicaSetSpec {
            min_ready_seconds: number(set.min_ready_seconds),
            replicas: Some(set.replicas),
            selector: selector_with(&set.selector, &set.match_labels).unwrap_or_default(),
            template: Some(raise_pod_template(&set.template)),
        }),
        status: Some(apps::ReplicaSetStatus {
            available_replicas: number(status.available_replicas),
            conditions: conditions!(status.conditions, apps::ReplicaSetCondition),
            fully_labeled_replicas: number(status.fully_labeled_replicas),
            observed_generation: generation(status.observed_generation),
            ready_replicas: number(status.ready_replicas),
            replicas: status.replicas,
            terminating_replicas: None,
        }),
    }
}

/// Raises a ReplicationController.
pub fn raise_replication_controller(controller: &ReplicationController) -> core::ReplicationController {
    let (set, status) = (&controller.0, &controller.0.status);
    core::ReplicationController {
        metadata: raise_meta(&set.meta),
        spec: Some(core::ReplicationControllerSpec {
            min_ready_seconds: number(set.min_ready_seconds),
            replicas: Some(set.replicas),
            selector: Some(map(&set.match_labels)),
            template: Some(raise_pod_template(&set.template)),
        }),
        status: Some(core::ReplicationControllerStatus {
            available_replicas: number(status.available_replicas),
            conditions: conditions!(status.conditions, core::ReplicationControllerCondition),
            fully_labeled_replicas: number(status.fully_labeled_replicas),
            observed_generation: generation(status.observed_generation),
            ready_replicas: number(status.ready_replicas),
            replicas: status.replicas,
        }),
    }
}

/// Raises a StatefulSet.
pub fn raise_stateful_set(set: &StatefulSet) -> apps::StatefulSet {
    let rolling =
        apps::RollingUpdateStatefulSetStrategy { partition: Some(set.partition), max_unavailable: None };
    let kept = |deleted: bool| Some(if deleted { "Delete" } else { "Retain" }.to_owned());
    let spec = apps::StatefulSetSpec {
        min_ready_seconds: number(set.min_ready_seconds),
        ordinals: number(set.ordinals_start).map(|start| apps::StatefulSetOrdinals { start: Some(start) }),
        persistent_volume_claim_retention_policy: Some(
            apps::StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: kept(set.delete_claims_when_deleted),
                when_scaled: kept(set.delete_claims_when_scaled),
            },
        ),
        pod_management_policy: Some(if set.parallel { "Parallel" } else { "OrderedReady" }.to_owned()),
        replicas: Some(set.replicas),
        revision_history_limit: Some(set.revision_history_limit),
        selector: selector_with(&set.selector, &set.match_labels).unwrap_or_default(),
        service_name: text(&set.service_name),
        template: raise_pod_template(&set.template),
        update_strategy: Some(apps::StatefulSetUpdateStrategy {
            type_: Some(if set.on_delete { "OnDelete" } else { "RollingUpdate" }.to_owned()),
            rolling_update: Some(rolling).filter(|_| !set.on_delete || set.partition != 0),
        }),
        volume_claim_templates: list(&set.claim_templates, |template| core::PersistentVolumeClaim {
            metadata: raise_meta(&template.meta),
            spec: Some(raise_claim_spec(&template.spec)),
            status: Some(core::PersistentVolumeClaimStatus {
                phase: Some("Pending".to_owned()),
                ..Default::default()
            }),
        }),
    };
    apps::StatefulSet {
        metadata: raise_meta(&set.meta),
        spec: Some(spec),
        status: Some(stateful_set_status(set)),
    }
}

fn stateful_set_status(set: &StatefulSet) -> apps::StatefulSetStatus {
    let status = &set.status;
    apps::StatefulSetStatus {
        // Upstream writes this one even if it is zero.
        available_replicas: Some(status.available_replicas),
        collision_count: status.collision_count,
        conditions: conditions!(status.conditions, apps::StatefulSetCondition),
        current_replicas: number(status.current_replicas),
        current_revision: text(&status.current_revision),
        observed_generation: generation(status.observed_generation),
        ready_replicas: number(status.ready_replicas),
        replicas: status.replicas,
        update_revision: text(&status.update_revision),
        updated_replicas: number(status.updated_replicas),
    }
}

/// Raises a DaemonSet.
pub fn raise_daemon_set(set: &DaemonSet) -> apps::DaemonSet {
    let status = &set.status;
    let rolling = apps::RollingUpdateDaemonSet {
        max_surge: Some(int_or_string(set.max_surge)),
        max_unavailable: Some(int_or_string(set.max_unavailable)),
    };
    let plain = (set.max_unavailable, set.max_surge) == (IntOrPercent::Int(1), IntOrPercent::Int(0));
    apps::DaemonSet {
        metadata: raise_meta(&set.meta),
        spec: Some(apps::DaemonSetSpec {
            min_ready_seconds: number(set.min_ready_seconds),
            revision_history_limit: Some(set.revision_history_limit),
            selector: selector_with(&set.selector, &set.match_labels).unwrap_or_default(),
            template: raise_pod_template(&set.template),
            update_strategy: Some(apps::DaemonSetUpdateStrategy {
                type_: Some(if set.on_delete { "OnDelete" } else { "RollingUpdate" }.to_owned()),
                rolling_update: Some(rolling).filter(|_| !set.on_delete || !plain),
            }),
        }),
        status: Some(apps::DaemonSetStatus {
            collision_count: status.collision_count,
            conditions: conditions!(status.conditions, apps::DaemonSetCondition),
            current_number_scheduled: status.current_number_scheduled,
            desired_number_scheduled: status.desired_number_scheduled,
            number_available: number(status.number_available),
            number_misscheduled: status.number_misscheduled,
            number_ready: status.number_ready,
            number_unavailable: number(status.number_unavailable),
            observed_generation: generation(status.observed_generation),
            updated_number_scheduled: number(status.updated_number_scheduled),
        }),
    }
}

/// Raises a revision; its data is the patch that upstream's controllers write.
///
/// Upstream: `pkg/controller/daemon/update.go` `getPatch`, v1.34.
pub fn raise_controller_revision(revision: &ControllerRevision) -> apps::ControllerRevision {
    let mut template = serde_json::to_value(&*revision.template.raw).unwrap_or_default();
    if let Some(fields) = template.as_object_mut() {
        fields.insert("$patch".to_owned(), "replace".into());
    }
    apps::ControllerRevision {
        data: Some(RawExtension(json!({"spec": {"template": template}}))),
        metadata: raise_meta(&revision.meta),
        revision: revision.revision,
    }
}

/// Metadata that is absent if there is nothing in it.
pub(crate) fn meta_or_none(meta: &Meta) -> Option<crate::api::metav1::ObjectMeta> {
    Some(raise_meta(meta)).filter(|m| *m != Default::default())
}
