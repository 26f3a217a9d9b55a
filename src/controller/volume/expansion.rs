//! Claims that grow: the expand controller, which says who will do it, and the external resizers, which do.
//!
//! Upstream: `pkg/controller/volume/expand`, v1.34; kubernetes-csi/external-resizer v1.14 `pkg/controller`;
//! the kubelet's `NodeExpandVolume`.
//!
//! # Fidelity
//! * Growing a volume takes the latency `volumeProvision`, unless the scenario says otherwise of the driver.
//! * File systems are grown by the resizer in the kubelet's name, as soon as a Pod that uses the claim runs.
//! * `status.allocatedResources` and `status.allocatedResourceStatuses` are not written.
//! * An EBS volume refuses to be modified within 6 hours of the last time; other drivers refuse nothing.

use std::collections::BTreeMap;

use crate::api::condition::{self, Condition};
use crate::api::resources::STORAGE;
use crate::api::storage::{ClaimPhase, PersistentVolume, PersistentVolumeClaim};
use crate::api::{ConditionStatus, EventType, Kind, ObjectKey, ObjectRef, Phase, Pod, Resource};
use crate::base::{Arc, LookupMap, Quantity, SimDuration, SimTime, Str};
use crate::controller::aspects::Aspects;
use crate::controller::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::params::operations::{self, Operation, Operations};
use crate::params::{Delay, drivers};
use crate::store::{Change, Store};

/// The condition while the volume grows.
const RESIZING: &str = "Resizing";
/// The condition while the file system waits for a Pod.
const FILE_SYSTEM_PENDING: &str = "FileSystemResizePending";
/// How long an EBS volume that was modified refuses to be modified again.
const EBS_COOLDOWN: SimDuration = SimDuration::from_mins(360);
/// `--retry-interval-start` and `--retry-interval-max`.
const RETRY: (SimDuration, SimDuration) = (SimDuration::from_secs(1), SimDuration::from_mins(5));

fn capacity(claim: &PersistentVolumeClaim) -> Quantity {
    claim.status_capacity.get(STORAGE).unwrap_or(Quantity::ZERO)
}

/// Whether a bound claim asks for more than it has.
fn wants_more(claim: &PersistentVolumeClaim) -> bool {
    claim.phase == ClaimPhase::Bound && claim.requested() > capacity(claim)
}

/// The volume of a claim, if both agree.
fn volume_of(store: &Store, claim: &PersistentVolumeClaim) -> Option<Arc<PersistentVolume>> {
    let volume = store.find::<PersistentVolume>("", &claim.spec.volume_name)?;
    volume.claim_ref.as_ref().filter(|r| r.uid == claim.meta.uid)?;
    Some(volume.clone())
}

/// `persistentvolume-expander-controller`: says that somebody else will grow the volume.
#[derive(Clone, Debug, Default)]
pub struct Expander;

impl Expander {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self)
    }
}

impl Controller for Expander {
    fn name(&self) -> &'static str {
        "volume_expand"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PersistentVolumeClaim]
    }

    fn on_change(&mut self, change: &Change, _store: &Store, out: &mut Enqueue) {
        let Some((old, Some(claim))) = change.of::<PersistentVolumeClaim>() else { return };
        let grew = old.is_none_or(|o| claim.requested() > o.requested() || capacity(claim) > capacity(o));
        if grew && wants_more(claim) {
            out.now(WorkKey::sync(claim.key()));
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let claim = ctx.store().get::<PersistentVolumeClaim>(&key.key).filter(|c| wants_more(c)).cloned();
        let Some(claim) = claim else { return Action::Done };
        if volume_of(ctx.store(), &claim).is_some() {
            let message = "waiting for an external controller to expand this PVC";
            ctx.event(ObjectRef::to(&*claim), EventType::Normal, "ExternalExpanding", message);
        }
        Action::Done
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The external resizers of all drivers.
#[derive(Clone, Debug)]
pub struct Resizer {
    modify: Delay,
    operations: Operations,
    /// Calls to drivers that have not returned: the size, and when they do.
    calls: BTreeMap<ObjectKey, (Quantity, SimTime)>,
    /// When a volume was modified last.
    modified: LookupMap<Str, SimTime>,
    /// Failures since the last good call, and when the next one is made.
    failures: LookupMap<ObjectKey, (u32, SimTime)>,
}

impl Resizer {
    /// Resizers whose drivers take so long.
    pub fn boxed(modify: Delay, operations: Operations) -> Box<dyn Controller> {
        Box::new(Self {
            modify,
            operations,
            calls: BTreeMap::new(),
            modified: LookupMap::new(),
            failures: LookupMap::new(),
        })
    }
}

impl Controller for Resizer {
    fn name(&self) -> &'static str {
        "csi-resizer"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PersistentVolumeClaim, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::VOLUMES
    }

    fn workers(&self) -> usize {
        10
    }

    fn on_change(&mut self, change: &Change, _store: &Store, out: &mut Enqueue) {
        if let Some((_, Some(claim))) = change.of::<PersistentVolumeClaim>() {
            if wants_more(claim) {
                out.now(WorkKey::sync(claim.key()));
            }
        } else if let Some((old, Some(pod))) = change.of::<Pod>() {
            let runs = |p: &Pod| p.status.phase == Phase::Running;
            if !pod.spec.volumes.is_empty() && runs(pod) && !old.is_some_and(|o| runs(o)) {
                for name in pod.spec.claim_names(&pod.meta.name) {
                    out.now(WorkKey::sync(ObjectKey { namespace: pod.meta.namespace.clone(), name }));
                }
            }
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let claim = ctx.store().get::<PersistentVolumeClaim>(&key.key).filter(|c| wants_more(c)).cloned();
        let Some((claim, volume)) = claim.and_then(|c| Some((c.clone(), volume_of(ctx.store(), &c)?))) else {
            self.calls.remove(&key.key);
            return Action::Done;
        };
        let Some((driver, _)) = volume.source.csi() else { return Action::Done };
        if condition::is_true(&claim.conditions, FILE_SYSTEM_PENDING) && volume.size() >= claim.requested() {
            grow_file_system(&claim, &volume, ctx);
            return Action::Done;
        }
        self.grow(&claim, &volume, &driver, ctx)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

fn say(
    ctx: &mut Ctx<'_>,
    driver: &str,
    claim: &PersistentVolumeClaim,
    kind: EventType,
    reason: &'static str,
    message: String,
) {
    ctx.event_as(format!("external-resizer {driver}").into(), ObjectRef::to(claim), kind, reason, message);
}

/// Writes the conditions of a claim that grows; none: it has done so, to this size.
fn set_conditions(
    ctx: &mut Ctx<'_>,
    claim: &PersistentVolumeClaim,
    kind: Option<(&'static str, &'static str)>,
    done: Option<Quantity>,
) {
    let at = ctx.timestamp();
    // A claim that has vanished needs no conditions.
    let _ = ctx.update::<PersistentVolumeClaim>(&claim.meta.key(), |c| {
        c.conditions.retain(|old| kind.is_some_and(|(kind, _)| old.kind == kind));
        if let Some((kind, message)) = kind {
            condition::set(&mut c.conditions, Condition::new(kind, ConditionStatus::True, "", message, at));
        }
        if let Some(size) = done {
            c.status_capacity.0.insert(STORAGE.into(), size);
        }
    });
}

impl Resizer {
    /// Has the driver grow the volume.
    fn grow(
        &mut self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
        driver: &Str,
        ctx: &mut Ctx<'_>,
    ) -> Action {
        let (now, key, size) = (ctx.now(), claim.meta.key(), claim.requested());
        if let Some((_, due)) = self.calls.get(&key).filter(|(asked, _)| *asked == size) {
            if *due > now {
                return Action::After(due.since(now));
            }
            self.calls.remove(&key);
            if let Some(trouble) =
                self.operations.trouble(driver, Operation::Expand, &claim.meta.uid, (now, ctx.seed()))
            {
                let handle = volume.source.csi().map(|(_, h)| h).unwrap_or_default();
                let mut stream =
                    ctx.seed().stream_of("request-id", &[handle.as_bytes(), &now.as_nanos().to_le_bytes()]);
                let why = operations::words(
                    driver,
                    Operation::Expand,
                    &format!("{handle:?}"),
                    trouble,
                    &mut stream,
                );
                return self.refuse(claim, volume, driver, &why, ctx);
            }
            self.finish(claim, volume, driver, ctx);
            return Action::Done;
        }
        if let Some((_, at)) = self.failures.get(&key).filter(|(_, at)| *at > now) {
            return Action::After(at.since(now));
        }
        set_conditions(ctx, claim, Some((RESIZING, "")), None);
        let name = &volume.meta.name;
        say(
            ctx,
            driver,
            claim,
            EventType::Normal,
            "Resizing",
            format!("External resizer is resizing volume {name}"),
        );
        let cooling = self.modified.get(name).is_some_and(|at| now.since(*at) < EBS_COOLDOWN);
        if driver == drivers::EBS && cooling {
            let handle = volume.source.csi().map(|(_, h)| h).unwrap_or_default();
            let why = format!(
                "rpc error: code = Internal desc = Could not resize volume \"{handle}\": VolumeModificationRateExceeded: You've reached \
                 the maximum modification rate per volume limit. Wait at least 6 hours between modifications per EBS volume."
            );
            return self.refuse(claim, volume, driver, &why, ctx);
        }
        let mut stream =
            ctx.seed().stream_of("volume-modify", &[name.as_bytes(), &now.as_nanos().to_le_bytes()]);
        let delay = self.operations.latency(driver, Operation::Expand, now).unwrap_or(self.modify);
        let due = now + delay.sample(&mut stream);
        self.calls.insert(key, (size, due));
        Action::After(due.since(now))
    }

    fn refuse(
        &mut self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
        driver: &Str,
        why: &str,
        ctx: &mut Ctx<'_>,
    ) -> Action {
        let name = &volume.meta.name;
        let message = format!("resize volume \"{name}\" by resizer \"{driver}\" failed: {why}");
        say(ctx, driver, claim, EventType::Warning, "VolumeResizeFailed", message);
        let key = claim.meta.key();
        let failures = self.failures.get(&key).map_or(0, |(count, _)| *count);
        let pause = (RETRY.0 * 2u64.saturating_pow(failures.min(20))).min(RETRY.1);
        self.failures.insert(key, (failures + 1, ctx.now() + pause));
        Action::After(pause)
    }

    /// The driver's call returns.
    fn finish(
        &mut self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
        driver: &Str,
        ctx: &mut Ctx<'_>,
    ) {
        let size = claim.requested();
        self.modified.insert(volume.meta.name.clone(), ctx.now());
        self.failures.remove(&claim.meta.key());
        // A volume that has vanished has no size.
        let _ = ctx.update_spec::<PersistentVolume>(&volume.meta.key(), |v| {
            v.capacity.0.insert(STORAGE.into(), size);
        });
        if claim.spec.block || drivers::of(driver).shared && drivers::find(driver).is_some() {
            set_conditions(ctx, claim, None, Some(size));
            say(
                ctx,
                driver,
                claim,
                EventType::Normal,
                "VolumeResizeSuccessful",
                "Resize volume succeeded".to_owned(),
            );
            return;
        }
        let message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node.";
        set_conditions(ctx, claim, Some((FILE_SYSTEM_PENDING, message)), None);
        let message = "Require file system resize of volume on node".to_owned();
        say(ctx, driver, claim, EventType::Normal, "FileSystemResizeRequired", message);
    }
}

/// The node's part: the file system grows while the volume is mounted.
fn grow_file_system(claim: &PersistentVolumeClaim, volume: &PersistentVolume, ctx: &mut Ctx<'_>) {
    let running: Vec<Arc<Pod>> = ctx
        .store()
        .pods_using(&claim.meta.key())
        .filter(|p| p.status.phase == Phase::Running)
        .cloned()
        .collect();
    let Some(node) = running.first().and_then(|p| p.node_name.clone()) else { return };
    set_conditions(ctx, claim, None, Some(volume.size()));
    let message =
        format!("MountVolume.NodeExpandVolume succeeded for volume \"{}\" {node}", volume.meta.name);
    for object in running.iter().map(|p| ObjectRef::to(&**p)).chain([ObjectRef::to(claim)]) {
        ctx.event_as(
            "kubelet".into(),
            object,
            EventType::Normal,
            "FileSystemResizeSuccessful",
            message.as_str(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::Harness;
    use crate::controller::volume::binder::Binder;
    use crate::controller::volume::testing::{claim, live_claim, live_volume, pod_with, storage, volume};

    /// A bound claim on an EBS volume.
    fn bound() -> Harness {
        use crate::api::storage::PvSource;
        let mut h = Harness::new(vec![
            Binder::boxed(),
            Expander::boxed(),
            Resizer::boxed(Delay::millis(1000), Operations::default()),
        ]);
        let mut pv = volume("pv", "gp3", "10Gi");
        pv.source = PvSource::Csi { driver: drivers::EBS.into(), handle: "vol-1".into() };
        h.store.create(pv).unwrap();
        h.store.create(claim("data", Some("gp3"))).unwrap();
        h.advance_secs(16);
        assert_eq!(live_claim(&h, "data").phase, ClaimPhase::Bound);
        h
    }

    fn grow(h: &mut Harness, size: &str) {
        let key = ObjectKey::new("default", "data");
        h.store.update_spec::<PersistentVolumeClaim>(&key, |c| c.spec.requests = storage(size)).unwrap();
        h.settle();
    }

    fn start_pod(h: &mut Harness) {
        let pod = h.store.create(pod_with("p", "data", Some("n"))).unwrap();
        h.set_ready(&pod.key(), true);
        h.advance_secs(1);
    }

    #[test]
    fn a_mounted_claim_grows_in_upstreams_steps() {
        // autoscaling-storage.md §5.11, expansion: events.
        let mut h = bound();
        start_pod(&mut h);
        grow(&mut h, "20Gi");
        h.advance_millis(500);
        assert!(condition::is_true(&live_claim(&h, "data").conditions, RESIZING));
        h.advance_secs(2);
        let live = live_claim(&h, "data");
        assert!(
            live.conditions.is_empty() && live.status_capacity == storage("20Gi"),
            "{:?}",
            live.conditions
        );
        assert_eq!(live_volume(&h, "pv").capacity, storage("20Gi"));
        let said: Vec<String> = h.events().into_iter().filter(|e| !e.starts_with("Failed")).collect();
        assert_eq!(
            said,
            [
                "ExternalExpanding: waiting for an external controller to expand this PVC",
                "Resizing: External resizer is resizing volume pv",
                "FileSystemResizeRequired: Require file system resize of volume on node",
                "FileSystemResizeSuccessful: MountVolume.NodeExpandVolume succeeded for volume \"pv\" n",
                "FileSystemResizeSuccessful: MountVolume.NodeExpandVolume succeeded for volume \"pv\" n",
            ]
        );
    }

    #[test]
    fn the_file_system_of_an_idle_claim_waits_for_a_pod() {
        let mut h = bound();
        grow(&mut h, "20Gi");
        h.advance_secs(600);
        let live = live_claim(&h, "data");
        assert!(condition::is_true(&live.conditions, FILE_SYSTEM_PENDING));
        assert_eq!(live.status_capacity, storage("10Gi"));
        start_pod(&mut h);
        assert_eq!(live_claim(&h, "data").status_capacity, storage("20Gi"));
    }

    #[test]
    fn a_block_volume_has_no_file_system_to_grow() {
        let mut h = bound();
        h.store
            .update::<PersistentVolumeClaim>(&ObjectKey::new("default", "data"), |c| c.spec.block = true)
            .unwrap();
        grow(&mut h, "20Gi");
        h.advance_secs(3);
        assert_eq!(h.events_of("VolumeResizeSuccessful"), ["Resize volume succeeded"]);
        assert_eq!(live_claim(&h, "data").status_capacity, storage("20Gi"));
    }

    #[test]
    fn an_ebs_volume_rests_for_six_hours() {
        // autoscaling-storage.md §5.6, modify cooldown.
        let mut h = bound();
        start_pod(&mut h);
        grow(&mut h, "20Gi");
        h.advance_secs(10);
        grow(&mut h, "30Gi");
        h.advance_secs(6 * 3600 - 60);
        assert_eq!(live_claim(&h, "data").status_capacity, storage("20Gi"));
        assert!(h.events_of("VolumeResizeFailed")[0].contains("VolumeModificationRateExceeded"));
        h.advance_secs(360);
        assert_eq!(live_claim(&h, "data").status_capacity, storage("30Gi"));
    }
}
