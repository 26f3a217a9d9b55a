//! The node's side of volumes: what a Pod waits for before its sandbox is made.
//!
//! Upstream: `pkg/kubelet/volumemanager`, `pkg/volume/util/operationexecutor`, v1.34.
//!
//! # Fidelity
//!
//! A Pod whose claims are not bound, or whose volumes are not attached, goes on in the very instant in which
//! they are (upstream polls every 100 ms to 300 ms).

use super::PodStep;
use super::pod::Stage;
use super::recipe::Reference;
use super::worker::Worker;
use crate::api::storage::{ClaimPhase, CsiDriver, PersistentVolume, PersistentVolumeClaim};
use crate::api::{Inert, ObjectKey};
use crate::base::{SimDuration, Str, text::lit};
use crate::params::drivers;

/// The first pause after a failed mount.
const MOUNT_BACKOFF_FIRST: SimDuration = SimDuration::from_millis(500);
/// The longest pause.
const MOUNT_BACKOFF_MAX: SimDuration = SimDuration::from_secs(122);

/// What a Pod waits for in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// A claim to be bound.
    Claim(ObjectKey),
    /// A volume to be attached: node and volume by name.
    Attachment(Str, Str),
    /// A ConfigMap or Secret to be made: namespace and name in the table of such objects.
    Object(Str, Str),
}

/// Why volumes are not ready.
enum Unready {
    /// Something in the store must change first.
    Wait(Wait),
    /// An attempt failed; another follows.
    Failed(String),
}

impl Worker<'_, '_> {
    /// Looks whether all volumes can be mounted, and mounts them.
    pub fn mount(&mut self) {
        if self.pod.stage != Stage::Volumes || !self.machine.acts() {
            return;
        }
        match self.volumes_ready() {
            Ok(()) => {
                self.pod.mount_failures = 0;
                let takes = if self.pod.recipe.claims.is_empty() {
                    SimDuration::ZERO
                } else {
                    self.sample(&self.ctx.params.latencies.volume_mount, "volume-mount")
                };
                if takes.is_zero() {
                    self.make_sandbox();
                } else {
                    self.pod.new_epoch();
                    let at = self.now() + takes;
                    self.at(at, PodStep::Mounted);
                }
            }
            Err(Unready::Wait(wait)) => {
                self.common.waiting.or_insert_with(wait, Vec::new).push(self.pod.id);
            }
            Err(Unready::Failed(message)) => {
                self.warning(lit!("FailedMount"), message);
                let shift = self.pod.mount_failures.min(16);
                self.pod.mount_failures += 1;
                let pause = (MOUNT_BACKOFF_FIRST * (1 << shift)).min(MOUNT_BACKOFF_MAX);
                let at = self.now() + pause;
                self.at(at, PodStep::Mount);
            }
        }
    }

    fn volumes_ready(&mut self) -> Result<(), Unready> {
        let recipe = self.pod.recipe.clone();
        let mut volumes = Vec::new();
        for (volume, claim) in &recipe.claims {
            volumes.push(self.bound_volume(volume, claim.as_ref())?);
        }
        self.use_volumes(&volumes);
        for name in &volumes {
            if self.must_be_attached(name) {
                let place = (self.machine.name.clone(), name.clone());
                if self.common.attached.get(&place) != Some(&true) {
                    return Err(Unready::Wait(Wait::Attachment(place.0, place.1)));
                }
            }
        }
        for (volume, reference) in &recipe.mounts {
            if let Some(missing) = self.missing(reference) {
                let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : {missing}");
                return Err(Unready::Failed(message));
            }
        }
        Ok(())
    }

    /// The volume behind a claim.
    fn bound_volume(&mut self, volume: &Str, claim: Option<&Str>) -> Result<Str, Unready> {
        let name = claim.cloned().unwrap_or_else(|| format!("{}-{volume}", self.pod.key.name).into());
        let key = ObjectKey { namespace: self.pod.key.namespace.clone(), name };
        let found = self.ctx.store.get::<PersistentVolumeClaim>(&key);
        let problem = match found {
            None => format!(
                "failed to fetch PVC from API server: persistentvolumeclaims \"{}\" not found",
                key.name
            ),
            Some(found) if found.meta.is_deleting() => String::from("PVC is being deleted"),
            Some(found) if found.phase != ClaimPhase::Bound || found.spec.volume_name.is_empty() => {
                String::from("PVC is not bound")
            }
            Some(found) => return Ok(found.spec.volume_name.clone()),
        };
        self.warning(
            lit!("FailedMount"),
            format!(
                "Unable to attach or mount volumes: unmounted volumes=[{volume}], unattached volumes=[], failed to process volumes=[{volume}]: error processing PVC {key}: {problem}"
            ),
        );
        Err(Unready::Wait(Wait::Claim(key)))
    }

    /// Whether somebody must attach a volume to the node before it can be mounted.
    fn must_be_attached(&self, name: &str) -> bool {
        let Some(volume) = self.ctx.store.find::<PersistentVolume>("", name) else { return false };
        let Some(attach_name) = volume.attach_name() else { return false };
        let driver = attach_name.trim_start_matches("kubernetes.io/csi/").split('^').next().unwrap_or("");
        drivers::attaches(driver, self.ctx.store.find::<CsiDriver>("", driver).map(|d| &**d))
    }

    /// From now on the node says that it uses these volumes.
    fn use_volumes(&mut self, volumes: &[Str]) {
        if volumes.is_empty() || std::mem::replace(&mut self.pod.mounted, true) {
            return;
        }
        let before = self.machine.volumes.len();
        self.pod.volumes = self.attach_names(volumes);
        for name in &self.pod.volumes {
            *self.machine.volumes.entry(name.clone()).or_insert(0) += 1;
        }
        if self.machine.volumes.len() != before {
            self.machine.post_volumes(self.ctx);
        }
    }

    fn attach_names(&self, volumes: &[Str]) -> Vec<Str> {
        let attachable = volumes.iter().filter(|name| self.must_be_attached(name));
        let found = attachable.filter_map(|name| self.ctx.store.find::<PersistentVolume>("", name));
        found.filter_map(|volume| volume.attach_name()).collect()
    }

    /// The Pod's volumes are unmounted.
    pub fn unmount(&mut self) {
        if !std::mem::take(&mut self.pod.mounted) {
            return;
        }
        let before = self.machine.volumes.len();
        for name in std::mem::take(&mut self.pod.volumes) {
            if let Some(count) = self.machine.volumes.get_mut(&name) {
                *count -= 1;
                if *count == 0 {
                    self.machine.volumes.remove(&name);
                }
            }
        }
        if self.machine.volumes.len() != before {
            self.machine.post_volumes(self.ctx);
        }
    }

    /// What is wrong with a ConfigMap or Secret that must be there, if something is.
    pub fn missing(&self, reference: &Reference) -> Option<String> {
        let namespace = &self.pod.key.namespace;
        let name = Inert::table_name(reference.kind, &reference.name);
        let Some(object) = self.ctx.store.find::<Inert>(namespace, &name) else {
            return Some(format!("{} \"{}\" not found", reference.kind.to_lowercase(), reference.name));
        };
        let key = reference.key.as_ref()?;
        let body: serde_json::Value = serde_json::from_str(&object.body).unwrap_or_default();
        let holds = |field: &str| body.get(field).is_some_and(|data| data.get(key.as_str()).is_some());
        let found = ["data", "stringData", "binaryData"].into_iter().any(holds);
        (!found)
            .then(|| format!("couldn't find key {key} in {} {namespace}/{}", reference.kind, reference.name))
    }
}
