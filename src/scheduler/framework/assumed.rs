//! Claims and volumes as VolumeBinding assumes them, from its decision until the API shows what was written.
//!
//! Upstream: `pkg/scheduler/util/assumecache/assume_cache.go`, `plugins/volumebinding/binder.go`
//! (`AssumePodVolumes`, `RevertAssumedPodVolumes`), v1.34.
//!
//! # Fidelity
//! Upstream keeps these for each profile; here all profiles share them.

use std::collections::BTreeMap;

use super::listers::Listers;
use crate::api::storage::{ClaimRef, PersistentVolume, PersistentVolumeClaim, annotation};
use crate::api::{Object, ObjectKey};
use crate::base::{Arc, Str};
use crate::scheduler::decision::VolumeStep;

/// What is assumed, in place of what the API has.
#[derive(Clone, Debug, Default)]
pub(super) struct Assumed {
    claims: BTreeMap<ObjectKey, Arc<PersistentVolumeClaim>>,
    volumes: BTreeMap<Str, Arc<PersistentVolume>>,
}

impl Assumed {
    /// A newer object from the API replaces what was assumed of it.
    pub(super) fn forget(&mut self, object: &Object) {
        match object {
            Object::PersistentVolumeClaim(claim) => drop(self.claims.remove(&claim.meta.key())),
            Object::PersistentVolume(volume) => drop(self.volumes.remove(&volume.meta.name)),
            _ => {}
        }
    }
}

impl Listers {
    /// A claim, as assumed if it is.
    pub fn latest_claim(&self, key: &ObjectKey) -> Option<&Arc<PersistentVolumeClaim>> {
        self.assumed.claims.get(key).or_else(|| self.claims.at(key))
    }

    /// A volume, as assumed if it is.
    pub fn latest_volume(&self, name: &str) -> Option<&Arc<PersistentVolume>> {
        self.assumed.volumes.get(name).or_else(|| self.volumes.named(name))
    }

    /// The volumes of a class by name, as assumed if they are.
    pub fn latest_volumes_of_class(&self, class: &str) -> impl Iterator<Item = &Arc<PersistentVolume>> {
        self.volumes_of_class(class).filter_map(|name| self.latest_volume(name))
    }

    /// Assumes that these steps, decided for a Pod, have been written.
    pub fn assume(&mut self, steps: &[VolumeStep]) {
        self.changes += steps.len() as u64;
        for step in steps {
            match step {
                VolumeStep::Bind { claim, volume } => self.assume_binding(claim, volume),
                VolumeStep::Provision { claim, node } => {
                    if let Some(have) = self.latest_claim(claim) {
                        let mut assumed = (**have).clone();
                        assumed.meta.annotations =
                            assumed.meta.annotations.with(annotation::SELECTED_NODE, node.clone());
                        self.assumed.claims.insert(claim.clone(), Arc::new(assumed));
                    }
                }
                VolumeStep::Wait { .. } => {}
            }
        }
    }

    fn assume_binding(&mut self, claim: &ObjectKey, volume: &Str) {
        let (Some(owner), Some(have)) = (self.latest_claim(claim), self.latest_volume(volume)) else {
            return;
        };
        let mut assumed = (**have).clone();
        let was_reserved = assumed.claim_ref.as_ref().is_some_and(|r| r.key == *claim);
        assumed.claim_ref = Some(ClaimRef { key: claim.clone(), uid: owner.meta.uid.clone() });
        if !was_reserved {
            assumed.meta.annotations = assumed.meta.annotations.with(annotation::BOUND_BY_CONTROLLER, "yes");
        }
        self.assumed.volumes.insert(volume.clone(), Arc::new(assumed));
    }

    /// Takes back what was assumed: the steps will not be written, or the Pod was not bound after them.
    pub fn revert(&mut self, steps: &[VolumeStep]) {
        self.changes += steps.len() as u64;
        for step in steps {
            match step {
                VolumeStep::Bind { volume, .. } => drop(self.assumed.volumes.remove(volume)),
                VolumeStep::Provision { claim, .. } => drop(self.assumed.claims.remove(claim)),
                VolumeStep::Wait { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Meta;

    #[test]
    fn an_assumption_lasts_until_the_api_says_something_newer() {
        let claim = Object::PersistentVolumeClaim(Arc::new(PersistentVolumeClaim {
            meta: Meta::named("default", "data"),
            ..Default::default()
        }));
        let mut listers = Listers::default();
        listers.change(None, Some(&claim));
        let key = claim.meta().key();
        let steps = [VolumeStep::Provision { claim: key.clone(), node: "n1".into() }];
        let node = |l: &Listers| {
            l.latest_claim(&key).and_then(|c| c.meta.annotations.get(annotation::SELECTED_NODE).cloned())
        };
        listers.assume(&steps);
        assert_eq!(node(&listers).as_deref(), Some("n1"));
        listers.revert(&steps);
        assert_eq!(node(&listers), None);
        listers.assume(&steps);
        listers.change(Some(&claim), Some(&claim));
        assert_eq!(node(&listers), None);
    }
}
