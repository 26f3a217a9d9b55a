//! The ephemeral volume controller: makes the claims of Pods' generic ephemeral volumes.
//!
//! Upstream: `pkg/controller/volume/ephemeral/controller.go`,
//! `component-helpers/storage/ephemeral/ephemeral.go`, v1.34.

use crate::api::lower::lower_claim_spec;
use crate::api::storage::PersistentVolumeClaim;
use crate::api::volume::VolumeSource;
use crate::api::{EventType, Kind, Labels, Lasting, ObjectKey, ObjectRef, OwnerReference, Pod, Resource};
use crate::base::{Arc, Str};
use crate::controller::aspects::Aspects;
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::store::{Change, Store};

/// The ephemeral volume controller.
#[derive(Clone, Debug, Default)]
pub struct EphemeralVolumes;

impl EphemeralVolumes {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self)
    }
}

fn has_ephemeral(pod: &Pod) -> bool {
    !pod.meta.is_deleting() && pod.spec.volumes.iter().any(|v| v.source == VolumeSource::Ephemeral)
}

impl Controller for EphemeralVolumes {
    fn name(&self) -> &'static str {
        "ephemeral_volume"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Pod, Kind::PersistentVolumeClaim]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::ADDED
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        if let Some((None, Some(pod))) = change.of::<Pod>() {
            if has_ephemeral(pod) {
                out.now(WorkKey::sync(pod.key()));
            }
        } else if let Some((Some(claim), None)) = change.of::<PersistentVolumeClaim>() {
            for pod in store.pods_using(&claim.key()).filter(|p| has_ephemeral(p)) {
                out.now(WorkKey::sync(pod.key()));
            }
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(pod) = ctx.store().get::<Pod>(&key.key).filter(|p| has_ephemeral(p)).cloned() else {
            return Action::Done;
        };
        for volume in pod.spec.volumes.iter().filter(|v| v.source == VolumeSource::Ephemeral) {
            if let Err(why) = make_claim(&pod, &volume.name, ctx) {
                let message = format!("ephemeral volume {}: {why}", volume.name);
                ctx.event(ObjectRef::to(&*pod), EventType::Warning, "FailedBinding", message.as_str());
                return Action::Retry(message.into());
            }
        }
        Action::Done
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// Makes the claim of one volume unless it is there.
fn make_claim(pod: &Arc<Pod>, volume: &Str, ctx: &mut Ctx<'_>) -> Result<(), String> {
    let name = Str::from(format!("{}-{volume}", pod.meta.name));
    let key = ObjectKey { namespace: pod.meta.namespace.clone(), name: name.clone() };
    if let Some(claim) = ctx.store().get::<PersistentVolumeClaim>(&key) {
        if claim.meta.is_controlled_by(&pod.meta.uid) {
            return Ok(());
        }
        return Err(format!("PVC {key} was not created for pod {} (pod is not owner)", pod.meta.key()));
    }
    let volumes = pod.spec.raw.volumes.iter().flatten();
    let template = volumes
        .filter(|v| v.name == volume.as_str())
        .find_map(|v| v.ephemeral.as_ref()?.volume_claim_template.as_ref())
        .ok_or_else(|| format!("create PVC {name}: the volume has no template"))?;
    let spec = lower_claim_spec(template.spec.clone()).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("create PVC {name}: {}", errors.join(", "))
    })?;
    let labels = |pairs: Option<&std::collections::BTreeMap<String, String>>| -> Labels {
        pairs.into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str())).collect()
    };
    let meta = template.metadata.as_ref();
    let claim = PersistentVolumeClaim {
        meta: Lasting {
            labels: labels(meta.and_then(|m| m.labels.as_ref())),
            annotations: labels(meta.and_then(|m| m.annotations.as_ref())),
            owners: vec![OwnerReference::controller_of(&**pod)].into(),
            ..Lasting::named(key.namespace, name.clone())
        }
        .into(),
        spec,
        ..PersistentVolumeClaim::default()
    };
    ctx.create(claim).map(|_| ()).map_err(|error| format!("create PVC {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower;
    use crate::controller::testing::Harness;
    use crate::controller::volume::protection::ClaimProtection;
    use crate::controller::volume::testing::claim;
    use crate::store::DeleteOptions;
    use serde_json::json;

    fn pod() -> Pod {
        let template = json!({
            "metadata": {"labels": {"kind": "scratch"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "gp3"},
        });
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default", "name": "job"},
            "spec": {
                "containers": [{"name": "c", "image": "i"}],
                "volumes": [{"name": "tmp", "ephemeral": {"volumeClaimTemplate": template}}],
            },
        });
        let object = lower::object(object).unwrap();
        Arc::unwrap_or_clone(Pod::unwrap(&object).unwrap().clone())
    }

    #[test]
    fn the_claim_is_made_from_the_template_and_belongs_to_the_pod() {
        let mut h = Harness::new(vec![EphemeralVolumes::boxed(), ClaimProtection::boxed()]);
        let pod = h.store.create(pod()).unwrap();
        h.advance_millis(100);
        let key = ObjectKey::new("default", "job-tmp");
        let made = h.store.get::<PersistentVolumeClaim>(&key).unwrap();
        assert!(made.meta.is_controlled_by(&pod.meta.uid));
        assert_eq!(made.meta.labels.get("kind").map(Str::as_str), Some("scratch"));
        assert_eq!((made.requested().to_string().as_str(), made.class().as_str()), ("1Gi", "gp3"));
        h.store.delete::<PersistentVolumeClaim>(&key, &DeleteOptions::default()).unwrap();
        h.advance_millis(100);
        let again = h.store.get::<PersistentVolumeClaim>(&key).unwrap();
        assert!(!again.meta.is_deleting(), "a claim that was deleted is made again");
    }

    #[test]
    fn another_claim_of_the_name_is_in_the_way() {
        // autoscaling-storage.md §5.10, generic ephemeral volumes: conflict.
        let mut h = Harness::new(vec![EphemeralVolumes::boxed()]);
        h.store.create(claim("job-tmp", None)).unwrap();
        h.store.create(pod()).unwrap();
        h.advance_millis(100);
        let message = "ephemeral volume tmp: PVC default/job-tmp was not created for pod default/job (pod is not owner)";
        assert_eq!(h.events_of("FailedBinding"), [message]);
    }
}
