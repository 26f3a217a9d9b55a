//! Claims, volumes, classes, CSINodes.

use super::volume::fields;
use super::{Scene, Sheet, date, or_none};
use crate::api::k8s::core::v1 as core;
use crate::api::storage::{AccessMode, CsiNode, PersistentVolume, PersistentVolumeClaim, StorageClass};
use crate::api::volume::VolumeSource;
use crate::api::{Pod, raise};

/// The older place of a claim's class.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// A claim.
pub(super) fn claim(sheet: &mut Sheet, claim: &PersistentVolumeClaim, scene: &Scene<'_>) {
    let raised = raise::raise_persistent_volume_claim(claim);
    let (spec, status) = (raised.spec.clone().unwrap_or_default(), raised.status.clone().unwrap_or_default());
    sheet.field(0, "Name", &claim.meta.name);
    sheet.field(0, "Namespace", &claim.meta.namespace);
    sheet.field(0, "StorageClass", class_of(&raised));
    match &raised.metadata.deletion_timestamp {
        Some(at) => sheet.field(0, "Status", format_args!("Terminating (lasts {})", scene.since(Some(at)))),
        None => sheet.field(0, "Status", claim.phase.as_str()),
    }
    let volume = spec.volume_name.as_deref().unwrap_or_default();
    sheet.field(0, "Volume", volume);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(
        0,
        "Finalizers",
        format_args!("[{}]", raised.metadata.finalizers.unwrap_or_default().join(" ")),
    );
    let bound = !volume.is_empty();
    let capacity = status.capacity.as_ref().and_then(|c| c.get("storage")).map_or("0", |q| &q.0);
    sheet.field(0, "Capacity", if bound { capacity } else { "" });
    let modes = status.access_modes.unwrap_or_default();
    sheet.field(0, "Access Modes", if bound { short_modes(&modes) } else { String::new() });
    sheet.field_opt(0, "VolumeMode", spec.volume_mode);
    if let Some(source) = &spec.data_source {
        sheet.line(0, "DataSource:");
        sheet.field_opt(1, "APIGroup", source.api_group.as_deref());
        sheet.field(1, "Kind", &source.kind);
        sheet.field(1, "Name", &source.name);
    }
    sheet.list(0, "Used By", &users(claim, scene));
    let conditions = status.conditions.unwrap_or_default();
    if !conditions.is_empty() {
        sheet.line(0, "Conditions:");
        sheet.line(1, "Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage");
        sheet.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
        for c in conditions {
            let (probed, changed) = (date(c.last_probe_time.as_ref()), date(c.last_transition_time.as_ref()));
            let (reason, message) = (c.reason.unwrap_or_default(), c.message.unwrap_or_default());
            sheet.line(
                1,
                format_args!("{} \t{} \t{probed} \t{changed} \t{reason} \t{message}", c.type_, c.status),
            );
        }
    }
    scene.events(sheet);
}

/// Names of the Pods that name the claim or own it.
fn users(claim: &PersistentVolumeClaim, scene: &Scene<'_>) -> Vec<String> {
    let names = |pod: &Pod| {
        pod.spec
            .volumes
            .iter()
            .any(|v| matches!(&v.source, VolumeSource::Claim { claim: name, .. } if *name == claim.meta.name))
    };
    let owns = |pod: &Pod| claim.meta.owners.iter().any(|o| o.kind == "Pod" && o.uid == pod.meta.uid);
    let mut users: Vec<String> = scene
        .store
        .list_in::<Pod>(&claim.meta.namespace)
        .filter(|pod| names(pod) || owns(pod))
        .map(|pod| pod.meta.name.to_string())
        .collect();
    users.sort();
    users
}

fn class_of(claim: &core::PersistentVolumeClaim) -> String {
    let annotated = claim.metadata.annotations.as_ref().and_then(|a| a.get(CLASS_ANNOTATION));
    let named = claim.spec.as_ref().and_then(|s| s.storage_class_name.as_ref());
    annotated.or(named).cloned().unwrap_or_default()
}

fn short_modes(modes: &[String]) -> String {
    let short: Vec<&str> = modes.iter().filter_map(|m| AccessMode::parse(m)).map(AccessMode::short).collect();
    short.join(",")
}

/// Claim templates of a StatefulSet.
pub(super) fn claim_templates(sheet: &mut Sheet, templates: &[core::PersistentVolumeClaim]) {
    if templates.is_empty() {
        sheet.field(0, "Volume Claims", "<none>");
        return;
    }
    sheet.line(0, "Volume Claims:");
    for template in templates {
        let spec = template.spec.clone().unwrap_or_default();
        sheet.field(1, "Name", template.metadata.name.as_deref().unwrap_or_default());
        sheet.field(1, "StorageClass", class_of(template));
        sheet.labels(1, "Labels", template.metadata.labels.as_ref());
        sheet.labels(1, "Annotations", template.metadata.annotations.as_ref());
        let requests = spec.resources.and_then(|r| r.requests).unwrap_or_default();
        sheet.field(1, "Capacity", requests.get("storage").map_or("<default>", |q| &q.0));
        sheet.field(1, "Access Modes", format_args!("[{}]", spec.access_modes.unwrap_or_default().join(" ")));
    }
}

/// The claim template of an ephemeral volume.
pub(super) fn claim_template(sheet: &mut Sheet, template: &core::PersistentVolumeClaimTemplate) {
    let metadata = template.metadata.clone().unwrap_or_default();
    let claim = core::PersistentVolumeClaim {
        metadata: metadata.clone(),
        spec: Some(template.spec.clone()),
        ..core::PersistentVolumeClaim::default()
    };
    sheet.field(2, "StorageClass", class_of(&claim));
    sheet.field(2, "Volume", template.spec.volume_name.as_deref().unwrap_or_default());
    sheet.labels(2, "Labels", metadata.labels.as_ref());
    sheet.labels(2, "Annotations", metadata.annotations.as_ref());
    sheet.field(2, "Capacity", "");
    sheet.field(2, "Access Modes", "");
    sheet.field_opt(2, "VolumeMode", template.spec.volume_mode.as_deref());
}

/// A volume.
pub(super) fn persistent_volume(sheet: &mut Sheet, volume: &PersistentVolume, scene: &Scene<'_>) {
    let raised = raise::raise_persistent_volume(volume);
    let spec = raised.spec.unwrap_or_default();
    sheet.field(0, "Name", &volume.meta.name);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(
        0,
        "Finalizers",
        format_args!("[{}]", raised.metadata.finalizers.unwrap_or_default().join(" ")),
    );
    sheet.field(0, "StorageClass", volume.class());
    match &raised.metadata.deletion_timestamp {
        Some(at) => sheet.field(0, "Status", format_args!("Terminating (lasts {})", scene.since(Some(at)))),
        None => sheet.field(0, "Status", volume.phase.as_str()),
    }
    sheet.field(0, "Claim", volume.claim_ref.as_ref().map_or_else(String::new, |r| r.key.to_string()));
    sheet.field(0, "Reclaim Policy", volume.reclaim_policy.as_str());
    sheet.field(0, "Access Modes", short_modes(spec.access_modes.as_deref().unwrap_or_default()));
    sheet.field_opt(0, "VolumeMode", spec.volume_mode.as_deref());
    let capacity = spec.capacity.as_ref().and_then(|c| c.get("storage")).map_or("0", |q| &q.0);
    sheet.field(0, "Capacity", capacity);
    affinity(sheet, spec.node_affinity.as_ref().and_then(|a| a.required.as_ref()));
    let message = raised.status.and_then(|s| s.message).unwrap_or_default();
    sheet.field(0, "Message", message);
    sheet.line(0, "Source:");
    volume_source(sheet, &spec);
    scene.events(sheet);
}

fn affinity(sheet: &mut Sheet, required: Option<&core::NodeSelector>) {
    let Some(required) = required else { return sheet.field(0, "Node Affinity", "<none>") };
    sheet.field(0, "Node Affinity", "");
    if required.node_selector_terms.is_empty() {
        return sheet.field(1, "Required Terms", "<none>");
    }
    sheet.field(1, "Required Terms", "");
    for (index, term) in required.node_selector_terms.iter().enumerate() {
        let told = term.match_expressions.iter().flatten().map(|r| {
            let values = r.values.as_deref().unwrap_or_default();
            let values = if values.is_empty() { String::new() } else { format!(" [{}]", values.join(", ")) };
            format!("{} {}{values}", r.key, r.operator.to_lowercase())
        });
        sheet.list(2, &format!("Term {index}"), &told.collect::<Vec<_>>());
    }
}

fn volume_source(sheet: &mut Sheet, spec: &core::PersistentVolumeSpec) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let flag = |value: Option<bool>| value.unwrap_or(false).to_string();
    if let Some(csi) = &spec.csi {
        let told = [
            ("Driver", csi.driver.clone()),
            ("FSType", text(&csi.fs_type)),
            ("VolumeHandle", csi.volume_handle.clone()),
            ("ReadOnly", flag(csi.read_only)),
        ];
        fields(sheet, "CSI (a Container Storage Interface (CSI) volume source)", &told);
        sheet.labels(2, "VolumeAttributes", csi.volume_attributes.as_ref());
    } else if let Some(path) = &spec.host_path {
        let kind = path.type_.clone().unwrap_or_else(|| "<none>".to_owned());
        let told = [("Path", path.path.clone()), ("HostPathType", kind)];
        fields(sheet, "HostPath (bare host directory volume)", &told);
    } else if let Some(local) = &spec.local {
        fields(
            sheet,
            "LocalVolume (a persistent volume backed by local storage on a node)",
            &[("Path", local.path.clone())],
        );
    } else if let Some(nfs) = &spec.nfs {
        let told =
            [("Server", nfs.server.clone()), ("Path", nfs.path.clone()), ("ReadOnly", flag(nfs.read_only))];
        fields(sheet, "NFS (an NFS mount that lasts the lifetime of a pod)", &told);
    } else if let Some(disk) = &spec.aws_elastic_block_store {
        let told = [
            ("VolumeID", disk.volume_id.clone()),
            ("FSType", text(&disk.fs_type)),
            ("Partition", disk.partition.unwrap_or(0).to_string()),
            ("ReadOnly", flag(disk.read_only)),
        ];
        fields(sheet, "AWSElasticBlockStore (a Persistent Disk resource in AWS)", &told);
    } else {
        sheet.line(1, "<unknown>");
    }
}

/// A class.
pub(super) fn class(sheet: &mut Sheet, class: &StorageClass, scene: &Scene<'_>) {
    let raised = raise::raise_storage_class(class);
    let pairs = |map: &Option<std::collections::BTreeMap<String, String>>| {
        let all: Vec<String> = map.iter().flatten().map(|(k, v)| format!("{k}={v}")).collect();
        or_none(&all.join(",")).to_owned()
    };
    sheet.field(0, "Name", &class.meta.name);
    sheet.field(0, "IsDefaultClass", if class.is_default() { "Yes" } else { "No" });
    sheet.field(0, "Annotations", pairs(&raised.metadata.annotations));
    sheet.field(0, "Provisioner", &class.provisioner);
    sheet.field(0, "Parameters", pairs(&raised.parameters));
    let expansion = raised.allow_volume_expansion.map(|b| if b { "True" } else { "False" });
    sheet.field(0, "AllowVolumeExpansion", expansion.unwrap_or("<unset>"));
    let options = raised.mount_options.unwrap_or_default();
    if options.is_empty() {
        sheet.field(0, "MountOptions", "<none>");
    } else {
        sheet.line(0, "MountOptions:");
        options.iter().for_each(|option| sheet.line(1, option));
    }
    sheet.field_opt(0, "ReclaimPolicy", raised.reclaim_policy);
    sheet.field_opt(0, "VolumeBindingMode", raised.volume_binding_mode);
    if let Some(terms) = raised.allowed_topologies.filter(|t| !t.is_empty()) {
        sheet.field(0, "AllowedTopologies", "");
        for (index, term) in terms.iter().enumerate() {
            let told = term.match_label_expressions.iter().flatten();
            let told = told.map(|r| format!("{} in [{}]", r.key, r.values.join(", ")));
            sheet.list(1, &format!("Term {index}"), &told.collect::<Vec<_>>());
        }
    }
    scene.events(sheet);
}

/// A CSINode.
pub(super) fn csi_node(sheet: &mut Sheet, node: &CsiNode, scene: &Scene<'_>) {
    let raised = raise::raise_csi_node(node);
    sheet.field(0, "Name", &node.meta.name);
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(0, "CreationTimestamp", date(raised.metadata.creation_timestamp.as_ref()));
    sheet.line(0, "Spec:");
    if !raised.spec.drivers.is_empty() {
        sheet.line(1, "Drivers:");
    }
    for driver in &raised.spec.drivers {
        sheet.line(2, format_args!("{}:", driver.name));
        sheet.field(3, "Node ID", &driver.node_id);
        if let Some(count) = driver.allocatable.as_ref().and_then(|a| a.count) {
            sheet.line(3, "Allocatables:");
            sheet.field(4, "Count", count);
        }
        let keys = driver.topology_keys.as_ref();
        sheet.field_opt(3, "Topology Keys", keys.map(|keys| format!("[{}]", keys.join(" "))));
    }
    scene.events(sheet);
}
