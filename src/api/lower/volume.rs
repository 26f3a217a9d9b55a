//! Lowering of a Pod's volumes.

use super::at::At;
use super::meta::{text, texts};
use crate::api::k8s::core::v1 as core;
use crate::api::volume::{Volume, VolumeSource};

/// Lowers a volume of a Pod.
pub(crate) fn volume(at: &At<'_>, mut volume: core::Volume) -> Volume {
    let name = std::mem::take(&mut volume.name).into();
    Volume { name, source: source(at, volume) }
}

fn source(at: &At<'_>, volume: core::Volume) -> VolumeSource {
    let read_only = |flag: Option<bool>| flag.unwrap_or(false);
    if let Some(claim) = volume.persistent_volume_claim {
        VolumeSource::Claim { claim: claim.claim_name.into(), read_only: read_only(claim.read_only) }
    } else if volume.ephemeral.is_some() {
        VolumeSource::Ephemeral
    } else if let Some(empty) = volume.empty_dir {
        let limit_at = at.field("emptyDir");
        VolumeSource::EmptyDir {
            memory: empty.medium.as_deref() == Some("Memory"),
            size_limit: limit_at.opt("sizeLimit", empty.size_limit, |at, q| at.quantity(&q.0).value()),
        }
    } else if let Some(path) = volume.host_path {
        VolumeSource::HostPath(path.path.into())
    } else if let Some(map) = volume.config_map {
        VolumeSource::ConfigMap { name: map.name.into(), optional: map.optional.unwrap_or(false) }
    } else if let Some(secret) = volume.secret {
        VolumeSource::Secret { name: text(secret.secret_name), optional: secret.optional.unwrap_or(false) }
    } else if let Some(csi) = volume.csi {
        VolumeSource::InlineCsi { driver: csi.driver.into() }
    } else if let Some(ebs) = volume.aws_elastic_block_store {
        VolumeSource::AwsEbs { volume_id: ebs.volume_id.into(), read_only: read_only(ebs.read_only) }
    } else if let Some(disk) = volume.gce_persistent_disk {
        VolumeSource::GcePd { pd_name: disk.pd_name.into(), read_only: read_only(disk.read_only) }
    } else if let Some(iscsi) = volume.iscsi {
        VolumeSource::Iscsi { iqn: iscsi.iqn.into(), read_only: read_only(iscsi.read_only) }
    } else if let Some(rbd) = volume.rbd {
        VolumeSource::Rbd {
            monitors: texts(Some(rbd.monitors)),
            pool: text(rbd.pool),
            image: rbd.image.into(),
            read_only: read_only(rbd.read_only),
        }
    } else {
        VolumeSource::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::at::collect;
    use crate::api::lower::json::from_value;
    use serde_json::json;

    #[test]
    fn sources_are_told_apart() {
        let lower = |source: serde_json::Value| {
            let mut value = source;
            value["name"] = json!("v");
            let boundary: core::Volume = from_value(value).unwrap();
            collect(|at| volume(at, boundary)).unwrap().source
        };
        assert_eq!(
            lower(json!({"persistentVolumeClaim": {"claimName": "c"}})),
            VolumeSource::Claim { claim: "c".into(), read_only: false }
        );
        assert_eq!(
            lower(json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})),
            VolumeSource::EmptyDir { memory: true, size_limit: Some(1_048_576) }
        );
        assert_eq!(lower(json!({"ephemeral": {}})), VolumeSource::Ephemeral);
        assert_eq!(lower(json!({"csi": {"driver": "d"}})), VolumeSource::InlineCsi { driver: "d".into() });
        assert_eq!(lower(json!({"nfs": {"server": "s", "path": "/"}})), VolumeSource::Other);
    }
}
