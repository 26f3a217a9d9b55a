//! Deployments, ReplicaSets, ReplicationControllers, StatefulSets and DaemonSets.

use super::{Scene, Sheet, controlled_by, date, or_none, pod, storage};
use crate::api::workload::{
    DaemonSet, Deployment, DeploymentStrategy, ReplicaSet, ReplicationController, StatefulSet,
};
use crate::api::{Condition, Meta, Phase, raise};
use crate::report::kubectl::columns::int_or_percent;

/// The label that tells a ReplicaSet's template from the Deployment's.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A Deployment.
pub(super) fn deployment(sheet: &mut Sheet, deployment: &Deployment, scene: &Scene<'_>) {
    let raised = raise::raise_deployment(deployment);
    let status = &deployment.status;
    sheet.field(0, "Name", &deployment.meta.name);
    sheet.field(0, "Namespace", &deployment.meta.namespace);
    sheet.field(0, "CreationTimestamp", date(raised.metadata.creation_timestamp.as_ref()));
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(0, "Selector", &deployment.selector);
    let counts = format!(
        "{} desired | {} updated | {} total | {} available | {} unavailable",
        deployment.replicas,
        status.updated_replicas,
        status.replicas,
        status.available_replicas,
        status.unavailable_replicas
    );
    sheet.field(0, "Replicas", counts);
    let kind = match deployment.strategy {
        DeploymentStrategy::Recreate => "Recreate",
        DeploymentStrategy::RollingUpdate { .. } => "RollingUpdate",
    };
    sheet.field(0, "StrategyType", kind);
    sheet.field(0, "MinReadySeconds", deployment.min_ready_seconds);
    if let DeploymentStrategy::RollingUpdate { max_surge, max_unavailable } = deployment.strategy {
        let (surge, unavailable) = (int_or_percent(max_surge), int_or_percent(max_unavailable));
        sheet.field(0, "RollingUpdateStrategy", format!("{unavailable} max unavailable, {surge} max surge"));
    }
    pod::template(sheet, &deployment.template.raw);
    conditions(sheet, &status.conditions);
    replica_sets(sheet, deployment, scene);
    scene.events(sheet);
}

/// The old ReplicaSets by name, and the one that has the Deployment's template.
fn replica_sets(sheet: &mut Sheet, deployment: &Deployment, scene: &Scene<'_>) {
    let mut owned: Vec<&ReplicaSet> = scene
        .store
        .list_in::<ReplicaSet>(&deployment.meta.namespace)
        .map(AsRef::as_ref)
        .filter(|set| set.meta.is_controlled_by(&deployment.meta.uid))
        .collect();
    if owned.is_empty() {
        return;
    }
    owned.sort_by(|a, b| (a.meta.created, &a.meta.name).cmp(&(b.meta.created, &b.meta.name)));
    let new = owned.iter().position(|set| has_template_of(set, deployment)).map(|at| owned.remove(at));
    owned.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    let tell = |sets: &[&ReplicaSet]| {
        let told = |s: &&ReplicaSet| {
            format!("{} ({}/{} replicas created)", s.meta.name, s.status.replicas, s.replicas)
        };
        or_none(&sets.iter().map(told).collect::<Vec<_>>().join(", ")).to_owned()
    };
    sheet.field(0, "OldReplicaSets", tell(&owned));
    sheet.field(0, "NewReplicaSet", tell(new.as_slice()));
}

fn has_template_of(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let mut template = (*set.template.raw).clone();
    if let Some(labels) = template.metadata.as_mut().and_then(|m| m.labels.as_mut()) {
        labels.remove(TEMPLATE_HASH);
    }
    template == *deployment.template.raw
}

/// A ReplicaSet.
pub(super) fn replica_set(sheet: &mut Sheet, set: &ReplicaSet, scene: &Scene<'_>) {
    set_of_replicas(sheet, set, &set.selector.to_string(), scene);
}

/// A ReplicationController.
pub(super) fn replication_controller(
    sheet: &mut Sheet,
    controller: &ReplicationController,
    scene: &Scene<'_>,
) {
    let selector =
        controller.0.match_labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    set_of_replicas(sheet, &controller.0, &selector, scene);
}

fn set_of_replicas(sheet: &mut Sheet, set: &ReplicaSet, selector: &str, scene: &Scene<'_>) {
    let metadata = raise::raise_meta(&set.meta);
    sheet.field(0, "Name", &set.meta.name);
    sheet.field(0, "Namespace", &set.meta.namespace);
    sheet.field(0, "Selector", or_none(selector));
    sheet.labels(0, "Labels", metadata.labels.as_ref());
    sheet.annotations("Annotations", metadata.annotations.as_ref());
    sheet.field_opt(0, "Controlled By", controlled_by(&set.meta));
    sheet.field(0, "Replicas", format_args!("{} current / {} desired", set.status.replicas, set.replicas));
    pods_status(sheet, &set.meta, scene);
    pod::template(sheet, &set.template.raw);
    conditions(sheet, &set.status.conditions);
    scene.events(sheet);
}

/// A StatefulSet.
pub(super) fn stateful_set(sheet: &mut Sheet, set: &StatefulSet, scene: &Scene<'_>) {
    let raised = raise::raise_stateful_set(set);
    sheet.field(0, "Name", &set.meta.name);
    sheet.field(0, "Namespace", &set.meta.namespace);
    sheet.field(0, "CreationTimestamp", date(raised.metadata.creation_timestamp.as_ref()));
    sheet.field(0, "Selector", &set.selector);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(0, "Replicas", format_args!("{} desired | {} total", set.replicas, set.status.replicas));
    if set.on_delete {
        sheet.field(0, "Update Strategy", "OnDelete");
    } else {
        sheet.field(0, "Update Strategy", "RollingUpdate");
        sheet.field(1, "Partition", set.partition);
    }
    pods_status(sheet, &set.meta, scene);
    pod::template(sheet, &set.template.raw);
    let claims = raised.spec.and_then(|s| s.volume_claim_templates).unwrap_or_default();
    storage::claim_templates(sheet, &claims);
    scene.events(sheet);
}

/// A DaemonSet.
pub(super) fn daemon_set(sheet: &mut Sheet, set: &DaemonSet, scene: &Scene<'_>) {
    let metadata = raise::raise_meta(&set.meta);
    let status = &set.status;
    sheet.field(0, "Name", &set.meta.name);
    sheet.field(0, "Namespace", &set.meta.namespace);
    sheet.field(0, "Selector", &set.selector);
    let nodes = set.template.spec.node_selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
    sheet.field(0, "Node-Selector", or_none(&nodes.join(",")));
    sheet.labels(0, "Labels", metadata.labels.as_ref());
    sheet.annotations("Annotations", metadata.annotations.as_ref());
    for (what, count) in [
        ("Desired Number of Nodes Scheduled", status.desired_number_scheduled),
        ("Current Number of Nodes Scheduled", status.current_number_scheduled),
        ("Number of Nodes Scheduled with Up-to-date Pods", status.updated_number_scheduled),
        ("Number of Nodes Scheduled with Available Pods", status.number_available),
        ("Number of Nodes Misscheduled", status.number_misscheduled),
    ] {
        sheet.line(0, format_args!("{what}: {count}"));
    }
    pods_status(sheet, &set.meta, scene);
    pod::template(sheet, &set.template.raw);
    scene.events(sheet);
}

fn pods_status(sheet: &mut Sheet, owner: &Meta, scene: &Scene<'_>) {
    let (mut running, mut waiting, mut succeeded, mut failed) = (0, 0, 0, 0);
    for pod in scene.store.pods_of(&owner.uid) {
        match pod.status.phase {
            Phase::Running => running += 1,
            Phase::Pending => waiting += 1,
            Phase::Succeeded => succeeded += 1,
            Phase::Failed => failed += 1,
            Phase::Unknown => {}
        }
    }
    let counts = format!("{running} Running / {waiting} Waiting / {succeeded} Succeeded / {failed} Failed");
    sheet.field(0, "Pods Status", counts);
}

fn conditions(sheet: &mut Sheet, conditions: &[Condition]) {
    if conditions.is_empty() {
        return;
    }
    sheet.line(0, "Conditions:");
    sheet.line(1, "Type\tStatus\tReason");
    sheet.line(1, "----\t------\t------");
    for Condition { kind, status, reason, .. } in conditions {
        sheet.line(1, format_args!("{kind} \t{status}\t{reason}"));
    }
}
