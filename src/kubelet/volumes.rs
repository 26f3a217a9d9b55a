//! The node's side of volumes: what a Pod waits for before its sandbox is made.
//!
//! Upstream: `pkg/kubelet/volumemanager` (populator, reconciler), `pkg/kubelet/kubelet.go` `SyncPod`,
//! `pkg/volume/util/operationexecutor/operation_generator.go`, v1.34.
//!
//! A sync waits for a Pod's volumes for 2m3s and then begins anew. That the time is up is not said: since release 1.27 an
//! interrupted wait makes no Event. What is said is why a claim cannot be used, at each sync, and why a mount failed, at
//! each attempt.
//!
//! # Fidelity
//!
//! * A Pod whose volumes are not attached goes on in the very instant in which they are (upstream looks every 100 ms).
//! * The volumes of a Pod are mounted together; if one fails, all are tried again, after the pause of a single one.
//! * A claim that cannot be used is said at 25 syncs at most; then only its change is a reason for another.
//! * Volumes that Pods name without a claim (NFS, CSI) are mounted in no time and never fail. A file server that stops
//!   does not stop those that have mounted it: say so with `hang`.

use super::pod::Stage;
use super::recipe::Reference;
use super::worker::Worker;
use super::{KubeletEvent, NodeStep, PodStep};
use crate::api::storage::{
    AccessMode, ClaimPhase, CsiDriver, PersistentVolume, PersistentVolumeClaim, PvSource,
};
use crate::api::{Inert, Node, ObjectKey};
use crate::base::{SimDuration, Str, text::lit};
use crate::params::drivers::{self, EFS, IN_TREE_NFS};
use crate::params::mounts::{Fault, Mount};
use crate::params::{Delay, Operation};
use crate::store::admission::FINALIZER_PVC_PROTECTION;

/// The first pause after a failed mount.
const MOUNT_BACKOFF_FIRST: SimDuration = SimDuration::from_millis(500);
/// The longest pause.
const MOUNT_BACKOFF_MAX: SimDuration = SimDuration::from_secs(122);
/// Syncs at which a claim that cannot be used is said.
const ATTEMPTS_MAX: u32 = 25;

/// What a Pod waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// A claim to be changed.
    Claim(ObjectKey),
    /// A volume to be attached: node and volume by name.
    Attachment(Str, Str),
    /// The node, by name, to say that it uses a volume.
    Report(Str),
    /// A ConfigMap or Secret to be made: namespace and name in the table of such objects.
    Object(Str, Str),
}

/// Why volumes are not ready.
enum Unready {
    /// Something must change first.
    Wait(Wait),
    /// A claim cannot be used; the next sync looks again.
    Unusable(ObjectKey),
    /// Mounts failed, as their reasons and messages say; another attempt follows.
    Failed(Vec<(Str, String)>),
}

impl Worker<'_, '_> {
    /// Looks whether all volumes can be mounted, and mounts them.
    pub fn mount(&mut self) {
        if self.pod.stage != Stage::Volumes || !self.machine.acts() {
            return;
        }
        match self.volumes_ready() {
            Ok(()) => {
                let takes = self.mount_time();
                if takes.is_zero() {
                    self.mounted();
                } else {
                    self.pod.new_epoch();
                    let at = self.now() + takes;
                    self.at(at, PodStep::Mounted);
                }
            }
            Err(why) => self.mount_later(why),
        }
    }

    /// The drivers' calls return.
    pub fn mounted(&mut self) {
        match self.faults() {
            faults if faults.is_empty() => {
                self.pod.mount_failures = 0;
                self.make_sandbox();
            }
            faults => self.mount_later(Unready::Failed(faults)),
        }
    }

    fn mount_later(&mut self, why: Unready) {
        let failures = self.pod.mount_failures;
        let pause = match why {
            Unready::Wait(wait) => {
                self.common.waiting.or_insert_with(wait, Vec::new).push(self.pod.id);
                return;
            }
            Unready::Unusable(claim) if failures >= ATTEMPTS_MAX => {
                self.common.waiting.or_insert_with(Wait::Claim(claim), Vec::new).push(self.pod.id);
                return;
            }
            Unready::Unusable(_) => self.sample_again(&self.ctx.params.latencies.sync_retry, "sync-retry"),
            Unready::Failed(said) => {
                for (reason, message) in said {
                    self.warning(reason, message);
                }
                (MOUNT_BACKOFF_FIRST * (1 << failures.min(16))).min(MOUNT_BACKOFF_MAX)
            }
        };
        self.pod.mount_failures += 1;
        let at = self.now() + pause;
        self.at(at, PodStep::Mount);
    }

    /// One case of a delay, another at each instant.
    fn sample_again(&self, delay: &Delay, purpose: &'static str) -> SimDuration {
        delay.draw(|| {
            let parts = [self.pod.uid.as_bytes(), &self.now().as_nanos().to_le_bytes()];
            self.ctx.store.seed().stream_of(purpose, &parts)
        })
    }

    /// How long it takes to mount what the claims are bound to: as long as the slowest driver.
    fn mount_time(&self) -> SimDuration {
        let (now, operations) = (self.now(), self.ctx.params.operations);
        let usual = &self.ctx.params.latencies.volume_mount;
        let of = |volume: &PersistentVolume| {
            let said = operations.latency(&plugin_of(&volume.source), Operation::Mount, now);
            self.sample(said.as_ref().unwrap_or(usual), "volume-mount")
        };
        self.claimed_volumes().map(of).max().unwrap_or(SimDuration::ZERO)
    }

    /// The volumes that the Pod's claims are bound to.
    fn claimed_volumes(&self) -> impl Iterator<Item = &PersistentVolume> {
        let store = &*self.ctx.store;
        let names = self.pod.recipe.claims.iter().filter_map(move |(volume, claim)| {
            let key = self.claim_key(volume, claim.as_ref());
            Some(store.get::<PersistentVolumeClaim>(&key)?.spec.volume_name.clone())
        });
        names.filter_map(move |name| store.find::<PersistentVolume>("", &name).map(|v| &**v))
    }

    /// What is wrong with mounts of claimed volumes: reasons and messages of Events.
    fn faults(&mut self) -> Vec<(Str, String)> {
        let mut said = Vec::new();
        let mut alone = Vec::new();
        let node = self.ctx.store.find::<Node>("", &self.machine.name).cloned();
        for volume in self.claimed_volumes() {
            let name = &volume.meta.name;
            let front = |map: &'static str, mount: &'static str| {
                if volume.block { ("FailedMapVolume", map) } else { ("FailedMount", mount) }
            };
            let mut fail = |reason: &str, step: &str, why: &str| {
                said.push((reason.into(), format!("{step} for volume \"{name}\" : {why}")));
            };
            let reaches = |n: &Node| {
                volume.node_affinity.as_ref().is_none_or(|a| a.matches(&n.meta.name, &n.meta.labels))
            };
            if node.as_ref().is_some_and(|n| !reaches(n)) {
                let why = "no matching NodeSelectorTerms";
                let (reason, step) =
                    front("MapVolume.NodeAffinity check failed", "MountVolume.NodeAffinity check failed");
                fail(reason, step, why);
                continue;
            }
            let sole = volume.access_modes == [AccessMode::ReadWriteOncePod];
            if sole && self.machine.sole.get(name).is_some_and(|pod| *pod != self.pod.id) {
                let why = "volume uses the ReadWriteOncePod access mode and is already in use by another pod";
                let (reason, step) = front("MapVolume.SetUpDevice failed", "MountVolume.SetUp failed");
                fail(reason, step, why);
                continue;
            }
            if let Some((reason, step, why)) = self.fault(volume, node.as_deref()) {
                fail(reason, step, &why);
            } else if sole {
                alone.push(name.clone());
            }
        }
        if said.is_empty() {
            alone.into_iter().for_each(|name| {
                self.machine.sole.insert(name, self.pod.id);
            });
        }
        said
    }

    /// What the driver says of a mount that fails, if it does.
    fn fault(
        &self,
        volume: &PersistentVolume,
        node: Option<&Node>,
    ) -> Option<(&'static str, &'static str, String)> {
        let (now, operations) = (self.now(), self.ctx.params.operations);
        let (driver, handle) = (plugin_of(&volume.source), handle_of(&volume.source));
        let zone = node.map(Node::zone).unwrap_or_default();
        if self.machine.drivers.iter().any(|d| d.name == driver) {
            let (reason, step, caller) = unregistered(&driver);
            let why =
                format!("{caller}: driver name {driver} not found in the list of registered CSI drivers");
            return Some((reason, step, why));
        }
        let targets = operations.mount_targets(&driver, now).filter(|_| driver == EFS);
        let fault = match targets.filter(|zones| !zones.contains(&zone)) {
            Some(zones) => Fault::NoTarget(zones),
            None => {
                let seed = self.ctx.store.seed();
                let entity = format!("{}/{}", self.pod.uid, volume.meta.name);
                Fault::Trouble(operations.trouble(&driver, Operation::Mount, &entity, (now, seed))?)
            }
        };
        let mount = Mount {
            driver: &driver,
            handle: &handle,
            volume: &volume.meta.name,
            pod: &self.pod.uid,
            zone: &zone,
            region: &node.map(Node::region).unwrap_or_default(),
            block: volume.block,
        };
        let (reason, step) = mount.step();
        Some((reason, step, mount.words(fault)))
    }

    fn volumes_ready(&mut self) -> Result<(), Unready> {
        let volumes = self.bound_volumes()?;
        self.use_volumes(&volumes);
        for name in &volumes {
            if !self.must_be_attached(name) {
                continue;
            }
            let node = self.machine.name.clone();
            if !self.is_reported(name) {
                return Err(Unready::Wait(Wait::Report(node)));
            }
            if self.common.attached.get(&(node.clone(), name.clone())) != Some(&true) {
                return Err(Unready::Wait(Wait::Attachment(node, name.clone())));
            }
        }
        let recipe = self.pod.recipe.clone();
        let failed = |(volume, missing)| {
            (lit!("FailedMount"), format!("MountVolume.SetUp failed for volume \"{volume}\" : {missing}"))
        };
        let found = recipe.mounts.iter().find_map(|(volume, r)| Some((volume, self.missing(r)?)));
        found.map_or(Ok(()), |missing| Err(Unready::Failed(vec![failed(missing)])))
    }

    fn claim_key(&self, volume: &Str, claim: Option<&Str>) -> ObjectKey {
        let name = claim.cloned().unwrap_or_else(|| format!("{}-{volume}", self.pod.key.name).into());
        ObjectKey { namespace: self.pod.key.namespace.clone(), name }
    }

    /// The volumes behind the Pod's claims. If some cannot be used, all that is wrong is said.
    fn bound_volumes(&mut self) -> Result<Vec<Str>, Unready> {
        let recipe = self.pod.recipe.clone();
        let (mut volumes, mut wrong) = (Vec::new(), Vec::new());
        for (volume, claim) in &recipe.claims {
            let key = self.claim_key(volume, claim.as_ref());
            match bound(self.ctx.store.get::<PersistentVolumeClaim>(&key).map(|c| &**c), &key) {
                Ok(name) => volumes.push((volume, name)),
                Err(why) => wrong.push((volume, key, why)),
            }
        }
        let Some((_, first, _)) = wrong.first() else {
            return Ok(volumes.into_iter().map(|(_, name)| name).collect());
        };
        let first = first.clone();
        let place = |name: &Str| (self.machine.name.clone(), name.clone());
        let detached =
            |name: &Str| self.must_be_attached(name) && self.common.attached.get(&place(name)) != Some(&true);
        let unattached: Vec<&str> =
            volumes.iter().filter(|(_, name)| detached(name)).map(|(volume, _)| volume.as_str()).collect();
        let unmounted: Vec<&str> = recipe.claims.iter().map(|(volume, _)| volume.as_str()).collect();
        let failed: Vec<&str> = wrong.iter().map(|(volume, ..)| volume.as_str()).collect();
        let why: Vec<String> =
            wrong.iter().map(|(_, key, why)| format!("error processing PVC {key}: {why}")).collect();
        let message = format!(
            "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[{}], failed to process volumes=[{}]: {}",
            unmounted.join(" "),
            unattached.join(" "),
            failed.join(" "),
            why.join("; ")
        );
        self.warning(lit!("FailedMount"), message);
        Err(Unready::Unusable(first))
    }

    /// Whether somebody must attach a volume to the node before it can be mounted.
    fn must_be_attached(&self, name: &str) -> bool {
        let Some(volume) = self.ctx.store.find::<PersistentVolume>("", name) else { return false };
        let Some(attach_name) = volume.attach_name() else { return false };
        let driver = attach_name.trim_start_matches("kubernetes.io/csi/").split('^').next().unwrap_or("");
        drivers::attaches(driver, self.ctx.store.find::<CsiDriver>("", driver).map(|d| &**d))
    }

    /// From now on the node uses these volumes.
    fn use_volumes(&mut self, volumes: &[Str]) {
        if volumes.is_empty() || std::mem::replace(&mut self.pod.mounted, true) {
            return;
        }
        let before = self.machine.volumes.len();
        self.pod.volumes = self.attach_names(volumes).into();
        for name in self.pod.volumes.iter() {
            *self.machine.volumes.entry(name.clone()).or_insert(0) += 1;
        }
        if self.machine.volumes.len() != before {
            self.report_volumes();
        }
    }

    fn attach_names(&self, volumes: &[Str]) -> Vec<Str> {
        let attachable = volumes.iter().filter(|name| self.must_be_attached(name));
        let found = attachable.filter_map(|name| self.ctx.store.find::<PersistentVolume>("", name));
        found.filter_map(|volume| volume.attach_name()).collect()
    }

    /// The node's next status says which volumes it uses.
    fn report_volumes(&mut self) {
        let after = self.sample_report();
        if after.is_zero() {
            self.machine.post_volumes(self.ctx);
        } else if !std::mem::replace(&mut self.machine.report_planned, true) {
            let (node, epoch) = (self.machine.number, self.machine.epoch);
            let at = self.now() + after;
            self.ctx.out.push((at, KubeletEvent::Node { node, epoch, step: NodeStep::Volumes }));
        }
    }

    /// Whether the node says that it uses a volume; before that, upstream does not look whether it is attached.
    fn is_reported(&self, name: &str) -> bool {
        let unique = self.ctx.store.find::<PersistentVolume>("", name).and_then(|v| v.attach_name());
        let node = self.ctx.store.find::<Node>("", &self.machine.name);
        unique.is_none_or(|unique| node.is_none_or(|n| n.status.volumes_in_use.contains(&unique)))
    }

    fn sample_report(&self) -> SimDuration {
        self.ctx.params.latencies.volume_report.draw(|| {
            let parts = [self.machine.name.as_bytes(), &self.now().as_nanos().to_le_bytes()];
            self.ctx.store.seed().stream_of("volume-report", &parts)
        })
    }

    /// The Pod's volumes are unmounted.
    pub fn unmount(&mut self) {
        if !std::mem::take(&mut self.pod.mounted) {
            return;
        }
        let id = self.pod.id;
        self.machine.sole.retain(|_, pod| *pod != id);
        let before = self.machine.volumes.len();
        for name in std::mem::take(&mut self.pod.volumes).iter() {
            if let Some(count) = self.machine.volumes.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.machine.volumes.remove(name);
                }
            }
        }
        if self.machine.volumes.len() != before {
            self.report_volumes();
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

/// The volume that a claim is bound to.
///
/// # Errors
/// Why it cannot be used, in upstream's words (`getPVCExtractPV`).
fn bound(claim: Option<&PersistentVolumeClaim>, key: &ObjectKey) -> Result<Str, String> {
    let Some(claim) = claim else {
        return Err(format!(
            "failed to fetch PVC from API server: persistentvolumeclaims \"{}\" not found",
            key.name
        ));
    };
    if claim.meta.is_deleting() && !claim.meta.has_finalizer(FINALIZER_PVC_PROTECTION) {
        return Err("PVC is being deleted".to_owned());
    }
    if claim.phase != ClaimPhase::Bound {
        return Err("PVC is not bound".to_owned());
    }
    if claim.spec.volume_name.is_empty() {
        return Err("PVC has empty pvc.Spec.VolumeName".to_owned());
    }
    Ok(claim.spec.volume_name.clone())
}

/// What fails for want of a driver: the reason and the step of the Event, and who says so.
fn unregistered(driver: &str) -> (&'static str, &'static str, &'static str) {
    if drivers::of(driver).stages {
        let caller = "kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient";
        ("FailedMount", "MountVolume.MountDevice failed", caller)
    } else {
        let caller = "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client";
        ("FailedMount", "MountVolume.SetUp failed", caller)
    }
}

/// Who mounts a volume: its driver, or a plugin of the kubelet.
fn plugin_of(source: &PvSource) -> Str {
    match source {
        PvSource::Nfs { .. } => IN_TREE_NFS.into(),
        PvSource::HostPath(_) => "kubernetes.io/host-path".into(),
        PvSource::Local(_) => "kubernetes.io/local-volume".into(),
        PvSource::Other(kind) => format!("kubernetes.io/{kind}").into(),
        PvSource::Csi { .. } | PvSource::AwsEbs(_) | PvSource::GcePd(_) | PvSource::AzureDisk(_) => {
            source.csi().map(|(driver, _)| driver).unwrap_or_default()
        }
    }
}

/// What it knows the volume by.
fn handle_of(source: &PvSource) -> Str {
    match source {
        PvSource::Nfs { server, path } => format!("{server}:{path}").into(),
        PvSource::HostPath(path) | PvSource::Local(path) => path.clone(),
        PvSource::Other(kind) => kind.clone(),
        PvSource::Csi { .. } | PvSource::AwsEbs(_) | PvSource::GcePd(_) | PvSource::AzureDisk(_) => {
            source.csi().map(|(_, handle)| handle).unwrap_or_default()
        }
    }
}
