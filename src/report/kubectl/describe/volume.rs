//! Volumes of Pods and templates.

use super::{Sheet, storage};
use crate::api::k8s::core::v1::{ProjectedVolumeSource, Volume};

/// All volumes; `level` is that of the title.
pub(super) fn volumes(sheet: &mut Sheet, level: usize, volumes: &[Volume]) {
    if volumes.is_empty() {
        sheet.field(level, "Volumes", "<none>");
        return;
    }
    sheet.line(level, "Volumes:");
    for volume in volumes {
        sheet.line(1, format_args!("{}{}:", if level > 0 { " " } else { "" }, volume.name));
        source(sheet, volume);
    }
}

/// The lines of a source: what it is, and its fields.
pub(super) fn fields(sheet: &mut Sheet, kind: &str, fields: &[(&str, String)]) {
    sheet.field(2, "Type", kind);
    for (name, value) in fields {
        sheet.field(2, name, value);
    }
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

fn flag(value: Option<bool>) -> String {
    value.unwrap_or(false).to_string()
}

fn source(sheet: &mut Sheet, volume: &Volume) {
    if let Some(path) = &volume.host_path {
        let kind = path.type_.clone().unwrap_or_else(|| "<none>".to_owned());
        let told = [("Path", path.path.clone()), ("HostPathType", kind)];
        fields(sheet, "HostPath (bare host directory volume)", &told);
    } else if let Some(empty) = &volume.empty_dir {
        let limit = empty.size_limit.as_ref().map_or_else(|| "<unset>".to_owned(), |q| q.0.clone());
        let told = [("Medium", text(empty.medium.as_deref())), ("SizeLimit", limit)];
        fields(sheet, "EmptyDir (a temporary directory that shares a pod's lifetime)", &told);
    } else if let Some(secret) = &volume.secret {
        let told = [("SecretName", text(secret.secret_name.as_deref())), ("Optional", flag(secret.optional))];
        fields(sheet, "Secret (a volume populated by a Secret)", &told);
    } else if let Some(map) = &volume.config_map {
        let told = [("Name", map.name.clone()), ("Optional", flag(map.optional))];
        fields(sheet, "ConfigMap (a volume populated by a ConfigMap)", &told);
    } else if let Some(claim) = &volume.persistent_volume_claim {
        let told = [("ClaimName", claim.claim_name.clone()), ("ReadOnly", flag(claim.read_only))];
        let kind = "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)";
        fields(sheet, kind, &told);
    } else if let Some(projected) = &volume.projected {
        fields(sheet, "Projected (a volume that contains injected data from multiple sources)", &[]);
        parts(sheet, projected);
    } else {
        rarer_source(sheet, volume);
    }
}

fn rarer_source(sheet: &mut Sheet, volume: &Volume) {
    if let Some(ephemeral) = &volume.ephemeral {
        let kind = "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)";
        fields(sheet, kind, &[]);
        if let Some(template) = &ephemeral.volume_claim_template {
            storage::claim_template(sheet, template);
        }
    } else if let Some(csi) = &volume.csi {
        let told = [
            ("Driver", csi.driver.clone()),
            ("FSType", text(csi.fs_type.as_deref())),
            ("ReadOnly", flag(csi.read_only)),
        ];
        fields(sheet, "CSI (a Container Storage Interface (CSI) volume source)", &told);
        sheet.labels(2, "VolumeAttributes", csi.volume_attributes.as_ref());
    } else if let Some(nfs) = &volume.nfs {
        let told =
            [("Server", nfs.server.clone()), ("Path", nfs.path.clone()), ("ReadOnly", flag(nfs.read_only))];
        fields(sheet, "NFS (an NFS mount that lasts the lifetime of a pod)", &told);
    } else if let Some(disk) = &volume.aws_elastic_block_store {
        let told = [
            ("VolumeID", disk.volume_id.clone()),
            ("FSType", text(disk.fs_type.as_deref())),
            ("Partition", disk.partition.unwrap_or(0).to_string()),
            ("ReadOnly", flag(disk.read_only)),
        ];
        fields(sheet, "AWSElasticBlockStore (a Persistent Disk resource in AWS)", &told);
    } else if let Some(disk) = &volume.gce_persistent_disk {
        let told = [
            ("PDName", disk.pd_name.clone()),
            ("FSType", text(disk.fs_type.as_deref())),
            ("Partition", disk.partition.unwrap_or(0).to_string()),
            ("ReadOnly", flag(disk.read_only)),
        ];
        fields(sheet, "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)", &told);
    } else if let Some(image) = &volume.image {
        let told = [
            ("Reference", text(image.reference.as_deref())),
            ("PullPolicy", text(image.pull_policy.as_deref())),
        ];
        fields(sheet, "Image (a container image or OCI artifact)", &told);
    } else if volume.downward_api.is_some() {
        fields(sheet, "DownwardAPI (a volume populated by information about the pod)", &[]);
        let items = volume.downward_api.iter().flat_map(|d| d.items.iter().flatten());
        sheet.line(2, "Items:");
        for item in items {
            let field = item.field_ref.as_ref().map(|f| f.field_path.as_str());
            let resource = item.resource_field_ref.as_ref().map(|r| r.resource.as_str());
            sheet.line(3, format_args!("{} -> {}", field.or(resource).unwrap_or_default(), item.path));
        }
    } else {
        sheet.line(1, "<unknown>");
    }
}

fn parts(sheet: &mut Sheet, projected: &ProjectedVolumeSource) {
    for part in projected.sources.iter().flatten() {
        if let Some(secret) = &part.secret {
            sheet.field(2, "SecretName", &secret.name);
            sheet.field(2, "Optional", flag(secret.optional));
        } else if part.downward_api.is_some() {
            sheet.field(2, "DownwardAPI", "true");
        } else if let Some(map) = &part.config_map {
            sheet.field(2, "ConfigMapName", &map.name);
            sheet.field(2, "Optional", flag(map.optional));
        } else if let Some(token) = &part.service_account_token {
            sheet.field(2, "TokenExpirationSeconds", token.expiration_seconds.unwrap_or(3600));
        }
    }
}
