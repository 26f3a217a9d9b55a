//! A volume for a claim.
//!
//! Upstream: the library's `provisionClaimOperation` and external-provisioner's `Provision`
//! (`pkg/controller/controller.go`).

use super::{Call, Provisioner, source, topology, wanted_from};
use crate::api::resources::STORAGE;
use crate::api::storage::{
    AccessMode, ClaimRef, CsiDriver, CsiNode, CsiStorageCapacity, PersistentVolume, PersistentVolumeClaim,
    PvSource, ReclaimPolicy, StorageClass, VolumePhase, annotation,
};
use crate::api::{EventType, Labels, Lasting, Node, ObjectKey, ObjectRef, ResourceList};
use crate::base::{Arc, Quantity, Str};
use crate::controller::framework::{Action, Ctx};
use crate::params::Operation;
use crate::params::drivers::{self, Makes};
use crate::params::ebs::{self, Refusal};
use crate::params::operations::{self, Ec2Error, INVALID_ARGUMENT};

/// Why there is no volume.
enum Failure {
    /// The chosen node is not the right one: back to the scheduler.
    Reschedule(String),
    /// It may be otherwise later.
    Retry(String),
    /// It will hardly ever be otherwise.
    Infeasible(String),
    /// Somebody else makes such volumes.
    NotOurs,
}

impl Provisioner {
    /// Begins or ends the making of a volume for a claim.
    pub(super) fn sync_claim(&mut self, key: &ObjectKey, ctx: &mut Ctx<'_>) -> Action {
        let now = ctx.now();
        if let Some(call) = self.calls.get(key).cloned() {
            return self.go_on(key, call, ctx);
        }
        let Some(claim) = ctx.store().get::<PersistentVolumeClaim>(key).cloned() else { return Action::Done };
        let (true, Some(driver)) = (claim.spec.volume_name.is_empty(), wanted_from(&claim).cloned()) else {
            return Action::Done;
        };
        if let Some(left) = self.held_back(&claim.meta.uid, now) {
            return Action::After(left);
        }
        let Some(class) = ctx.store().find::<StorageClass>("", &claim.class()).cloned() else {
            return self.back_off(&claim.meta.uid, &driver, now);
        };
        let selected = claim.meta.annotations.get(annotation::SELECTED_NODE).filter(|n| !n.is_empty());
        let ours = class.provisioner == driver
            || crate::api::storage::migrated_driver(&class.provisioner) == Some(driver.as_str());
        if !ours || class.wait_for_first_consumer && selected.is_none() || volume_exists(ctx, &claim) {
            return Action::Done;
        }
        let object = ctx.store().find::<CsiDriver>("", &driver).map(|d| &**d);
        if !drivers::is_installed(&driver, object, ctx.store().list::<CsiNode>().map(|n| &**n)) {
            self.unserved.entry(driver).or_default().insert(key.clone());
            return Action::Done;
        }
        match begin(&claim, &class, &driver, ctx) {
            Ok(place) => {
                let mut stream = ctx.seed().stream("volume-provision", &claim.meta.uid);
                let delay = self.said.latency(&driver, Operation::Create, now).unwrap_or(self.provision);
                let due = now + delay.sample(&mut stream);
                let ends = now + drivers::of(&driver).timeouts.0;
                let call = Call { claim, driver, place, due, ends: Some(ends) };
                self.go_on(key, call, ctx)
            }
            Err(failure) => self.fail(&claim, &driver, failure, ctx),
        }
    }

    /// A call to the driver goes on, returns, or takes too long: then the driver works on, and the provisioner asks anew.
    fn go_on(&mut self, key: &ObjectKey, mut call: Call, ctx: &mut Ctx<'_>) -> Action {
        let now = ctx.now();
        let held_back = self.held_back(&call.claim.meta.uid, now);
        if call.due <= now && held_back.is_none() {
            self.calls.remove(key);
            return self.finish(&call, ctx);
        }
        if let Some(left) = held_back {
            self.calls.insert(key.clone(), call);
            return Action::After(left);
        }
        let (busy, timeout) = (call.driver == drivers::EBS, drivers::of(&call.driver).timeouts.0);
        let why = match call.ends {
            Some(ends) if ends > now => {
                let next = call.due.min(ends);
                self.calls.insert(key.clone(), call);
                return Action::After(next.since(now));
            }
            // Only then may the next call be made.
            Some(_) => "rpc error: code = DeadlineExceeded desc = context deadline exceeded".to_owned(),
            None if busy => format!(
                "rpc error: code = Aborted desc = Create volume request for {} is already in progress",
                volume_name(&call.claim)
            ),
            None => {
                call.ends = Some(now + timeout);
                return self.go_on(key, call, ctx);
            }
        };
        call.ends = None;
        let class = call.claim.class();
        let message = format!("failed to provision volume with StorageClass \"{class}\": {why}");
        say(ctx, &call.driver, &call.claim, EventType::Warning, "ProvisioningFailed", message);
        let again = self.back_off(&call.claim.meta.uid, &call.driver, now);
        self.calls.insert(key.clone(), call);
        again
    }

    /// The driver's call returns.
    fn finish(&mut self, operation: &Call, ctx: &mut Ctx<'_>) -> Action {
        let Call { claim, driver, place, .. } = operation;
        let Some(class) = ctx.store().find::<StorageClass>("", &claim.class()).cloned() else {
            return self.back_off(&claim.meta.uid, driver, ctx.now());
        };
        let granted = self
            .trouble(operation, &class, ctx)
            .and_then(|()| check_ebs(operation, &class, ctx))
            .and_then(|()| self.room(operation, &class, ctx))
            .and_then(|()| take_capacity(claim, &class, driver, ctx));
        if let Err(failure) = granted {
            return self.fail(claim, driver, failure, ctx);
        }
        let volume = made(claim, &class, driver, place.as_ref(), ctx);
        let name = volume.meta.name.clone();
        if ctx.create(volume).is_err() {
            // It is there already: another call was faster.
            return Action::Done;
        }
        self.failures.remove(&claim.meta.uid);
        say(
            ctx,
            driver,
            claim,
            EventType::Normal,
            "ProvisioningSucceeded",
            format!("Successfully provisioned volume {name}"),
        );
        Action::Done
    }

    /// Whether the cloud forbids the call, or it fails.
    fn trouble(&self, call: &Call, class: &StorageClass, ctx: &Ctx<'_>) -> Result<(), Failure> {
        let (claim, driver) = (&call.claim, &call.driver);
        let draw = (ctx.now(), ctx.seed());
        let Some(trouble) = self.said.trouble(driver, Operation::Create, &claim.meta.uid, draw) else {
            return Ok(());
        };
        let why = super::words(ctx, driver, (Operation::Create, &volume_name(claim)), trouble);
        Err(Failure::Retry(format!("{}{why}", front(class))))
    }

    /// Whether there is room where the volume is to go.
    fn room(&self, call: &Call, class: &StorageClass, ctx: &Ctx<'_>) -> Result<(), Failure> {
        let (claim, driver) = (&call.claim, &call.driver);
        let room = self.said.room(driver, ctx.now());
        let of_place = call.place.iter().flatten().find_map(|(_, zone)| Some((zone, *room.get(zone)?)));
        let Some((zone, room)) = of_place else { return Ok(()) };
        let there = |volume: &&Arc<PersistentVolume>| {
            volume.source.csi().is_some_and(|(d, _)| d == *driver)
                && topology::of_volume(volume)
                    .is_some_and(|place| place.iter().any(|(_, value)| value == zone))
        };
        let volumes = ctx.store().list::<PersistentVolume>().filter(there);
        let used = volumes.fold(Quantity::ZERO, |sum, volume| sum.plus(volume.size()));
        if used.plus(claim.requested()) <= room {
            return Ok(());
        }
        let (front, name) = (front(class), volume_name(claim));
        Err(if *driver == drivers::EBS {
            Failure::Retry(format!(
                "{front}rpc error: code = Internal desc = Could not create volume \"{name}\": could not create volume in EC2: InsufficientVolumeCapacity: There is not enough capacity to fulfill your EBS volume provision request."
            ))
        } else {
            let size = claim.requested();
            Failure::Reschedule(format!(
                "{front}rpc error: code = ResourceExhausted desc = no enough space left: requested={size}"
            ))
        })
    }

    fn fail(
        &mut self,
        claim: &PersistentVolumeClaim,
        driver: &str,
        failure: Failure,
        ctx: &mut Ctx<'_>,
    ) -> Action {
        let now = ctx.now();
        let warn = |ctx: &mut Ctx<'_>, message: String| {
            say(ctx, driver, claim, EventType::Warning, "ProvisioningFailed", message);
        };
        match failure {
            Failure::Infeasible(why) => {
                warn(
                    ctx,
                    format!(
                        "Volume provisioning failed with infeasible error. Retries will be delayed. {why}"
                    ),
                );
                let delay = drivers::of(driver).retry_max;
                self.failures.insert(claim.meta.uid.clone(), (0, now + delay));
                Action::After(delay)
            }
            Failure::Retry(why) => {
                warn(ctx, why);
                self.back_off(&claim.meta.uid, driver, now)
            }
            Failure::NotOurs => Action::Done,
            // Without a node that was chosen there is nothing that the scheduler could choose anew.
            Failure::Reschedule(why) if !claim.meta.annotations.contains_key(annotation::SELECTED_NODE) => {
                warn(ctx, why);
                self.back_off(&claim.meta.uid, driver, now)
            }
            Failure::Reschedule(why) => {
                warn(ctx, why);
                // A claim that has vanished needs no node.
                let _ = ctx.update::<PersistentVolumeClaim>(&claim.meta.key(), |c| {
                    c.meta.annotations = c.meta.annotations.without(annotation::SELECTED_NODE);
                });
                self.failures.remove(&claim.meta.uid);
                Action::Done
            }
        }
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
    let source = super::event_source(ctx.seed(), driver);
    ctx.event_as(source, ObjectRef::to(claim), kind, reason, message);
}

fn volume_name(claim: &PersistentVolumeClaim) -> Str {
    format!("pvc-{}", claim.meta.uid).into()
}

fn volume_exists(ctx: &Ctx<'_>, claim: &PersistentVolumeClaim) -> bool {
    ctx.store().find::<PersistentVolume>("", &volume_name(claim)).is_some()
}

/// Checks what is asked for and finds the place.
fn begin(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    driver: &str,
    ctx: &mut Ctx<'_>,
) -> Result<Option<topology::Segment>, Failure> {
    let selected = claim.meta.annotations.get(annotation::SELECTED_NODE).filter(|n| !n.is_empty());
    let node = selected.and_then(|name| ctx.store().find::<Node>("", name)).cloned();
    if let (Some(name), None) = (selected, &node) {
        return Err(Failure::Reschedule(format!("node \"{name}\" not found")));
    }
    let key = claim.meta.key();
    let message = format!("External provisioner is provisioning volume for claim \"{key}\"");
    say(ctx, driver, claim, EventType::Normal, "Provisioning", message);
    let prefix = front(class);
    let known = drivers::of(driver);
    if matches!(known.makes, Makes::HostPath(_)) && !known.volume_keys.is_empty() && node.is_none() {
        return Err(Failure::Retry(format!("{prefix}configuration error, no node was specified")));
    }
    if claim.spec.selector.is_some() {
        return Err(Failure::Retry(format!("{prefix}claim Selector is not supported")));
    }
    if !known.shared && !claim.spec.block {
        check_modes(claim, driver)?;
    }
    let source = source::check(claim, class, driver, ctx.store()).map_err(|wrong| match wrong {
        source::Wrong::NotOurs => Failure::NotOurs,
        source::Wrong::Now(why) => Failure::Retry(format!("{prefix}{why}")),
    })?;
    if let Some(place) = source {
        return match node.filter(|node| !topology::reaches(&place, node)) {
            Some(node) => Err(Failure::Retry(format!(
                "{prefix}rpc error: code = InvalidArgument desc = the source volume cannot be reached from node {:?}",
                node.meta.name
            ))),
            None => Ok(Some(place)),
        };
    }
    topology::place(ctx.store(), driver, class, &claim.meta.name, node.as_deref()).map_err(|why| match why {
        topology::Unplaced::Gone(why) => Failure::Reschedule(format!("{prefix}{why}")),
        topology::Unplaced::Now(why) => {
            Failure::Retry(format!("{prefix}error generating accessibility requirements: {why}"))
        }
    })
}

/// What stands in front of every failure.
fn front(class: &StorageClass) -> String {
    format!("failed to provision volume with StorageClass \"{}\": ", class.meta.name)
}

/// A disk with a file system is used by one node only.
fn check_modes(claim: &PersistentVolumeClaim, driver: &str) -> Result<(), Failure> {
    let word = |mode: &AccessMode| match mode {
        AccessMode::ReadOnlyMany => Some("MULTI_NODE_READER_ONLY"),
        AccessMode::ReadWriteMany => Some("MULTI_NODE_MULTI_WRITER"),
        AccessMode::ReadWriteOnce | AccessMode::ReadWriteOncePod => None,
    };
    let words: Vec<&str> = claim.spec.access_modes.iter().filter_map(word).collect();
    if words.is_empty() {
        return Ok(());
    }
    // The words of the EBS driver (`pkg/driver/controller.go`); others say more.
    let why = if driver == drivers::EBS {
        "Volume capabilities not supported".to_owned()
    } else {
        format!("Volume capabilities {} not supported", words.join(", "))
    };
    Err(Failure::Infeasible(format!("rpc error: code = InvalidArgument desc = {why}")))
}

/// Whether EBS makes such volumes.
fn check_ebs(call: &Call, class: &StorageClass, ctx: &Ctx<'_>) -> Result<(), Failure> {
    let Call { claim, driver, .. } = call;
    if *driver != drivers::EBS {
        return Ok(());
    }
    let gib = u64::try_from(size(claim, driver).get(STORAGE).unwrap_or(Quantity::ZERO).value() >> 30);
    let shared = claim.spec.block && claim.spec.access_modes.contains(&AccessMode::ReadWriteMany);
    let Err(refusal) = ebs::check(&class.parameters, gib.unwrap_or(0), shared) else { return Ok(()) };
    let (front, name) = (front(class), volume_name(claim));
    Err(match refusal {
        Refusal::Argument(why) => {
            Failure::Infeasible(format!("rpc error: code = InvalidArgument desc = {why}"))
        }
        Refusal::Driver(why) => Failure::Retry(format!(
            "{front}rpc error: code = Internal desc = Could not create volume {name:?}: {why}"
        )),
        Refusal::Ec2 { code, message, wrong } => {
            let mut stream = super::request_id(ctx, &name);
            let error = Ec2Error::of(code, &message);
            let say = |error: &Ec2Error<'_>, stream: &mut _| {
                operations::ec2_words(Operation::Create, &format!("{name:?}"), error, stream)
            };
            if wrong {
                Failure::Infeasible(say(&error.passed_on_as(INVALID_ARGUMENT), &mut stream))
            } else {
                Failure::Retry(format!("{front}{}", say(&error, &mut stream)))
            }
        }
    })
}

/// Takes the room for a volume from the capacity of its place, for drivers that publish theirs.
fn take_capacity(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    driver: &str,
    ctx: &mut Ctx<'_>,
) -> Result<(), Failure> {
    let publishes = ctx.store().find::<CsiDriver>("", driver).is_some_and(|d| d.storage_capacity);
    let selected = claim.meta.annotations.get(annotation::SELECTED_NODE);
    let Some(node) = selected.and_then(|name| ctx.store().find::<Node>("", name)).filter(|_| publishes)
    else {
        return Ok(());
    };
    let size = claim.requested();
    let of_node = |c: &&Arc<CsiStorageCapacity>| {
        c.storage_class == class.meta.name
            && c.node_topology.as_ref().is_some_and(|t| t.matches(&node.meta.labels))
    };
    let room = ctx.store().list::<CsiStorageCapacity>().find(of_node).cloned();
    match room.and_then(|room| Some((room.meta.key(), room.capacity.filter(|have| *have >= size)?))) {
        Some((key, have)) => {
            // The object was there a moment ago, and nothing else runs meanwhile.
            let _ = ctx.update::<CsiStorageCapacity>(&key, |c| c.capacity = Some(have.minus(size)));
            Ok(())
        }
        None => Err(Failure::Reschedule(format!(
            "{}rpc error: code = ResourceExhausted desc = no enough space left: requested={size}",
            front(class)
        ))),
    }
}

/// The volume that a driver has made.
fn made(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    driver: &str,
    place: Option<&topology::Segment>,
    ctx: &Ctx<'_>,
) -> PersistentVolume {
    let name = volume_name(claim);
    let delete = class.reclaim_policy == ReclaimPolicy::Delete;
    let annotations: Labels = [(annotation::PROVISIONED_BY, driver)].into_iter().collect();
    let is_csi = matches!(drivers::of(driver).makes, Makes::Csi(_));
    PersistentVolume {
        meta: Lasting {
            annotations,
            finalizers: (delete && is_csi).then(|| super::volumes::FINALIZER.into()).into_iter().collect(),
            ..Lasting::named("", name.clone())
        }
        .into(),
        capacity: size(claim, driver),
        access_modes: claim.spec.access_modes.clone(),
        claim_ref: Some(ClaimRef { key: claim.meta.key(), uid: claim.meta.uid.clone() }),
        reclaim_policy: class.reclaim_policy,
        storage_class: claim.class(),
        block: claim.spec.block,
        node_affinity: place.and_then(|place| topology::affinity(driver, place)),
        source: data(claim, driver, &name, ctx),
        attributes_class: claim.spec.attributes_class.clone(),
        mount_options: class.mount_options.clone(),
        rest: None,
        phase: VolumePhase::Pending,
        reason: Str::new(),
        message: Str::new(),
    }
}

/// EBS volumes have whole gibibytes.
fn size(claim: &PersistentVolumeClaim, driver: &str) -> ResourceList {
    let asked = claim.requested();
    let gibibytes = asked.value().saturating_add((1 << 30) - 1) >> 30;
    let whole = Quantity::from_bytes(gibibytes.max(1) << 30);
    let size = if driver == drivers::EBS && whole != asked { whole } else { asked };
    [(STORAGE, size)].into_iter().collect()
}

fn data(claim: &PersistentVolumeClaim, driver: &str, name: &Str, ctx: &Ctx<'_>) -> PvSource {
    match drivers::of(driver).makes {
        Makes::Csi("") => PvSource::Csi { driver: driver.into(), handle: name.clone() },
        Makes::Csi(prefix) => {
            let number = ctx.seed().stream("volume-handle", &claim.meta.uid).next_u64();
            PvSource::Csi { driver: driver.into(), handle: format!("{prefix}{number:016x}").into() }
        }
        Makes::HostPath(folder) => {
            let key = claim.meta.key();
            PvSource::HostPath(format!("{folder}/{name}_{}_{}", key.namespace, key.name).into())
        }
        Makes::Nfs => {
            let key = claim.meta.key();
            PvSource::Nfs {
                server: Str::new(),
                path: format!("/{}-{}-{name}", key.namespace, key.name).into(),
            }
        }
    }
}
