//! Machines and their agents: registration, leases, node statuses.
//!
//! Upstream: `pkg/kubelet/{kubelet_node_status,nodestatus/setters}.go`, `component-helpers/apimachinery/lease`, v1.34.

use std::collections::{BTreeMap, BTreeSet};

use super::images::Images;
use super::preemption::Admitting;
use super::pressure::{Pressure, Scarce};
use super::shutdown::Shutdown;
use super::{Ctx, say};
use crate::api::policy::{Lease, Renewals};
use crate::api::storage::{CsiNode, CsiNodeDriver};
use crate::api::{
    Condition, ConditionStatus, EventType, Meta, Node, ObjectKey, OwnerReference, ResourceList, Taint,
    condition,
};
use crate::base::fetch::mix;
use crate::base::text::{concat, lit};
use crate::base::{NumberSet, Quantity, SimDuration, SimTime, Skim, Str, Timestamp};
use crate::store::{ApiError, ObjId};

/// The namespace of node leases.
const NAMESPACE_NODE_LEASE: Str = lit!("kube-node-lease");
/// What a new machine says until its network works.
pub const NETWORK_NOT_READY: Str = lit!(
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"
);
/// Upstream: `--node-status-max-images`.
const IMAGES_MAX: usize = 50;
/// Addresses of Pods per node before they are handed out again.
const POD_ADDRESSES: usize = 254;

/// A machine with its agent and its container runtime.
// The fields lie in this order, and begin where a line of the processor's memory does: what each Pod that comes or goes needs lies
// together at the beginning.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Machine {
    /// The node's name.
    pub name: Str,
    /// Its number, in the order of joining.
    pub number: u32,
    /// Its life: timers of an earlier one do nothing.
    pub epoch: u32,
    /// It has power.
    pub power: bool,
    /// Its kubelet runs.
    pub kubelet: bool,
    /// It reaches the API server.
    pub connected: bool,
    /// Its network works: Pods without the host's network can start.
    pub network: bool,
    /// It has lost power since its containers were started.
    pub rebooted: bool,
    /// Room has become free since those of [`Machine::deferred`] were last looked at.
    pub freed: bool,
    /// Whether a status that says which volumes are in use is planned.
    pub report_planned: bool,
    /// It has said that nothing may be scheduled on it.
    pub cordoned: bool,
    /// The address that its Pods show as `hostIP`.
    pub ip: Str,
    /// How the addresses of its Pods begin.
    network_prefix: Str,
    /// What its admitted Pods request.
    pub used: Requested,
    /// How many those are.
    pub admitted: i64,
    addresses: Addresses,
    /// It is being shut down, with time for its Pods to end.
    pub shutdown: Option<Box<Shutdown>>,
    /// Its Pods.
    pub pods: NumberSet,
    /// Its images.
    pub images: Images,
    /// Pods whose resize waits for room, in the order of asking.
    pub deferred: Vec<ObjId>,
    /// Critical Pods for which others are being ended.
    pub admitting: Vec<Admitting>,
    /// Those of its Pods that use memory, disk or process numbers, now or later.
    pub users: BTreeSet<ObjId>,
    /// Something has changed since [`Machine::pressure`] was worked out.
    pub stale: bool,
    /// Memory, disk and process numbers that run short.
    pub pressure: Pressure,
    /// Ports of the node that are taken.
    pub host_ports: BTreeMap<(i32, Str), u32>,
    /// Attachable volumes in use, by unique name, with the number of Pods.
    pub volumes: BTreeMap<Str, u32>,
    /// Volumes that one Pod alone may use (`ReadWriteOncePod`), by name, with the Pod that has mounted them.
    pub sole: BTreeMap<Str, ObjId>,
    /// CSI drivers that have not registered yet.
    pub drivers: Vec<CsiNodeDriver>,
    renewals: Option<Renewals>,
}

/// What Pods request together, by resource name: a few amounts side by side.
#[derive(Clone, Debug, Default)]
pub struct Requested(Vec<(Str, Quantity)>);

impl Requested {
    /// How much of a resource; zero if nobody has requested any.
    pub fn of(&self, name: &str) -> Quantity {
        self.0.iter().find(|(known, _)| known == name).map_or(Quantity::ZERO, |(_, amount)| *amount)
    }

    /// Of what there is too little room for a Pod that requests so much as well, by name: how much it asks for, how much is
    /// used, and how much there is. What the room does not name is not looked at.
    pub fn lacking<'a>(
        &'a self,
        room: &'a ResourceList,
        requests: &'a ResourceList,
    ) -> impl Iterator<Item = (&'a Str, [Quantity; 3])> {
        let asked = requests.0.iter().filter(|(_, asked)| !asked.is_zero());
        asked.filter_map(|(name, asked)| {
            let (room, used) = (room.get(name)?, self.of(name));
            (used.plus(*asked) > room).then_some((name, [*asked, used, room]))
        })
    }

    /// Another Pod requests so much.
    pub fn add(&mut self, requests: &ResourceList) {
        for (name, amount) in &requests.0 {
            match self.0.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum = sum.plus(*amount),
                None => self.0.push((name.clone(), *amount)),
            }
        }
    }

    /// So much is requested no longer.
    pub fn take_back(&mut self, requests: &ResourceList) {
        for (name, amount) in &requests.0 {
            if let Some((_, sum)) = self.0.iter_mut().find(|(known, _)| known == name) {
                *sum = sum.minus(*amount);
            }
        }
    }
}

impl Skim for Requested {
    fn skim(&self) -> u64 {
        mix(self.0.iter().map(|(name, amount)| name.len() as u64 ^ u64::from(amount.is_zero())))
    }
}

/// The addresses of a node's Pods: each as its place among them.
#[derive(Clone, Copy, Debug, Default)]
struct Addresses {
    /// The one to try next.
    next: usize,
    /// A bit for each that is taken.
    taken: [u64; POD_ADDRESSES.div_ceil(64)],
}

impl Addresses {
    const fn is_taken(&self, place: usize) -> bool {
        self.taken[place / 64] >> (place % 64) & 1 == 1
    }

    /// Takes the next free one, over and over; if none is free, the next one.
    fn take(&mut self) -> usize {
        let mut places = (0..POD_ADDRESSES).map(|step| (self.next + step) % POD_ADDRESSES);
        let place = places.find(|place| !self.is_taken(*place)).unwrap_or(self.next);
        self.next = (place + 1) % POD_ADDRESSES;
        self.taken[place / 64] |= 1 << (place % 64);
        place
    }

    /// Gives one back.
    fn free(&mut self, place: usize) {
        if place < POD_ADDRESSES {
            self.taken[place / 64] &= !(1 << (place % 64));
        }
    }
}

impl Machine {
    /// A machine that has just got power.
    pub fn new(name: Str, number: u32, ip: Str) -> Self {
        let [_, b, c, _] = pod_network(number).to_be_bytes();
        let network_prefix = format!("10.{b}.{c}.").into();
        Self {
            name,
            number,
            epoch: 0,
            power: true,
            kubelet: true,
            connected: true,
            network: false,
            rebooted: false,
            freed: false,
            report_planned: false,
            cordoned: false,
            ip,
            network_prefix,
            used: Requested::default(),
            admitted: 0,
            addresses: Addresses::default(),
            shutdown: None,
            pods: NumberSet::new(),
            images: Images::default(),
            deferred: Vec::new(),
            admitting: Vec::new(),
            users: BTreeSet::new(),
            stale: false,
            pressure: Pressure::default(),
            host_ports: BTreeMap::new(),
            volumes: BTreeMap::new(),
            sole: BTreeMap::new(),
            drivers: Vec::new(),
            renewals: None,
        }
    }

    /// A number that is made of all that a Pod needs of it that comes or goes.
    pub fn skim_for(&self, pod: ObjId) -> u64 {
        mix([
            self.admitted as u64,
            self.addresses.next as u64,
            u64::from(self.shutdown.is_some()),
            u64::from(self.pods.contains(pod.0)),
            self.used.skim(),
            u64::from(self.images.has("", SimTime::ZERO)),
            u64::from(self.stale),
            self.deferred.len() as u64,
            self.admitting.len() as u64,
        ])
    }

    /// Whether its agent works, heard or not.
    pub const fn acts(&self) -> bool {
        self.power && self.kubelet
    }

    /// Whether its agent works and reaches the API server.
    pub const fn hears(&self) -> bool {
        self.acts() && self.connected
    }

    /// The last renewal of its lease at or before `now`.
    pub fn last_renewal(&self, now: SimTime) -> Option<SimTime> {
        self.renewals.and_then(|rule| rule.last_at(now))
    }

    /// An address for a Pod's sandbox: the next free one, over and over.
    pub fn take_address(&mut self) -> Str {
        let place = self.addresses.take();
        concat(&[&self.network_prefix, itoa::Buffer::new().format(place + 1)])
    }

    /// Gives an address back.
    pub fn free_address(&mut self, address: &str) {
        let last = address.strip_prefix(&*self.network_prefix).and_then(|last| last.parse::<usize>().ok());
        if let Some(place) = last.and_then(|last| last.checked_sub(1)) {
            self.addresses.free(place);
        }
    }

    /// From now on the lease is renewed.
    pub fn begin_renewals(&mut self, node_uid: &Str, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let seconds = ctx.params.settings.node_lease_duration_seconds.max(1);
        let period = SimDuration::from_api_secs(seconds).scale(1, 4);
        let rule = Renewals { since: now, phase: self.phase(period, ctx), period, until: None };
        self.renewals = Some(rule);
        let (at, name) = (ctx.store.timestamp(), self.name.clone());
        let duration_seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        let key = ObjectKey { namespace: NAMESPACE_NODE_LEASE, name: name.clone() };
        let renewed = ctx.store.update::<Lease>(&key, |lease| {
            lease.holder = name.clone();
            lease.renew_time = Some(at);
            lease.renewals = Some(rule);
        });
        if renewed.is_ok() {
            return;
        }
        let mut meta = Meta::named(NAMESPACE_NODE_LEASE, name.clone());
        meta.owners.push(OwnerReference {
            api_version: lit!("v1"),
            kind: lit!("Node"),
            name: name.clone(),
            uid: node_uid.clone(),
            controller: false,
            block_owner_deletion: false,
        });
        let lease =
            Lease { meta, holder: name, duration_seconds, renew_time: Some(at), renewals: Some(rule) };
        // A lease that cannot be written leaves the node silent, as in a real cluster.
        let _ = ctx.store.create(lease);
    }

    /// Where the renewals lie: spread out over the nodes that were there from the start; later ones renew
    /// from their own start on.
    fn phase(&self, period: SimDuration, ctx: &Ctx<'_>) -> SimDuration {
        let (now, stagger) = (ctx.store.now(), ctx.params.latencies.lease_stagger);
        if stagger.is_zero() {
            SimDuration::ZERO
        } else if now == SimTime::ZERO {
            ctx.store.seed().stream("lease-phase", &self.name).duration_between(SimDuration::ZERO, stagger)
        } else {
            SimDuration::from_nanos(now.as_nanos() % period.as_nanos().max(1))
        }
    }

    /// From now on nobody hears a renewal: one that would be due in this very instant does not come.
    pub fn end_renewals(&mut self, ctx: &mut Ctx<'_>) -> Option<SimTime> {
        let now = ctx.store.now();
        let rule = self.renewals.as_mut()?;
        if rule.until.is_none() {
            let before = SimTime::from_nanos(now.as_nanos().saturating_sub(1));
            rule.until = Some(before.max(rule.since));
            let rule = *rule;
            let last = rule.last_at(now).map(|at| ctx.store.calendar().timestamp(at));
            let key = ObjectKey { namespace: NAMESPACE_NODE_LEASE, name: self.name.clone() };
            // The lease may be gone with its Node.
            let _ = ctx.store.update::<Lease>(&key, |lease| {
                lease.renewals = Some(rule);
                lease.renew_time = last;
            });
        }
        self.last_renewal(now)
    }

    /// Posts the node's status.
    pub fn post_status(&self, ctx: &mut Ctx<'_>) {
        if !self.hears() {
            return;
        }
        let at = ctx.store.timestamp();
        let mut said = Vec::new();
        let volumes: Vec<Str> = self.volumes.keys().cloned().collect();
        // A Node that somebody has deleted is not made anew.
        let _ = ctx.store.update::<Node>(&ObjectKey::cluster(&self.name), |node| {
            said = set_conditions(&mut node.status.conditions, self, at);
            node.status.volumes_in_use = volumes;
        });
        for reason in said {
            let message = format!("Node {} status is now: {reason}", self.name);
            say::of_node(self, EventType::Normal, reason, &message, ctx);
        }
    }

    /// When the node's status is computed next, whether it changes or not: beside the renewals.
    pub fn next_status(&self, now: SimTime, every: SimDuration) -> SimTime {
        let phase = self.renewals.map_or(SimDuration::ZERO, |rule| rule.phase);
        (now + SimDuration::from_nanos(1)).next_on_grid(phase, every.max(SimDuration::from_secs(1)))
    }

    /// Says whether something may be scheduled on the node, if that has changed.
    ///
    /// Upstream: `recordNodeSchedulableEvent`.
    pub fn note_cordon(&mut self, ctx: &mut Ctx<'_>) {
        let node = ctx.store.find::<Node>("", &self.name);
        let Some(cordoned) = node.map(|node| node.unschedulable).filter(|_| self.hears()) else { return };
        if std::mem::replace(&mut self.cordoned, cordoned) != cordoned {
            let reason = if cordoned { "NodeNotSchedulable" } else { "NodeSchedulable" };
            let message = format!("Node {} status is now: {reason}", self.name);
            say::of_node(self, EventType::Normal, reason, &message, ctx);
        }
    }

    /// Tells of an image that the node has now. Upstream lists at most 50, the largest first.
    pub fn post_image(&self, image: Str, size: i64, ctx: &mut Ctx<'_>) {
        if self.hears() {
            let _ = ctx.store.update::<Node>(&ObjectKey::cluster(&self.name), |node| {
                let images = &mut node.status.images;
                if !images.iter().any(|(names, _)| names.contains(&image)) {
                    images.push((vec![image], size));
                    images.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
                    images.truncate(IMAGES_MAX);
                }
            });
        }
    }

    /// Tells of images that are gone.
    pub fn post_images_gone(&self, gone: &[String], ctx: &mut Ctx<'_>) {
        if self.hears() && !gone.is_empty() {
            let _ = ctx.store.update::<Node>(&ObjectKey::cluster(&self.name), |node| {
                node.status
                    .images
                    .retain(|(names, _)| !names.iter().any(|name| gone.iter().any(|g| name == g)));
            });
        }
    }

    /// Its CSI drivers have registered: the taints that kept Pods away until then come off.
    pub fn take_startup_taints_off(&self, ctx: &mut Ctx<'_>) {
        let Some(node) = ctx.store.find::<Node>("", &self.name) else { return };
        let suffix = |taint: &Taint| taint.key.ends_with("/agent-not-ready");
        let Some(csi_node) = ctx.store.find::<CsiNode>("", &self.name) else { return };
        if self.hears() && node.taints.iter().any(suffix) {
            let drivers = csi_node.drivers.clone();
            let _ = ctx.store.update::<Node>(&ObjectKey::cluster(&self.name), |node| {
                node.taints.retain(|taint| !is_startup_taint(taint, &drivers));
            });
        }
    }

    /// Tells which volumes are in use, and nothing else.
    pub fn post_volumes(&self, ctx: &mut Ctx<'_>) {
        if self.hears() {
            let volumes: Vec<Str> = self.volumes.keys().cloned().collect();
            let _ = ctx.store.update::<Node>(&ObjectKey::cluster(&self.name), |node| {
                node.status.volumes_in_use = volumes;
            });
        }
    }
}

/// Whether a taint is one that a node's CSI driver takes off once it has registered.
///
/// Upstream: aws-ebs-csi-driver v1.53 `pkg/driver/node.go` (`removeNotReadyTaint`); other drivers do alike.
pub fn is_startup_taint(taint: &Taint, drivers: &[CsiNodeDriver]) -> bool {
    taint.key.strip_suffix("/agent-not-ready").is_some_and(|name| drivers.iter().any(|d| d.name == *name))
}

/// Registers a machine's Node, CSINode and lease.
///
/// # Errors
/// The API server refuses the Node.
pub fn register(
    machine: &mut Machine,
    mut node: Node,
    csi_node: CsiNode,
    ctx: &mut Ctx<'_>,
) -> Result<(), ApiError> {
    if node.status.internal_ip.is_empty() {
        node.status.internal_ip = machine.ip.clone();
    }
    machine.ip = node.status.internal_ip.clone();
    if node.status.kubelet_version.is_empty() {
        node.status.kubelet_version = ctx.params.version.kubelet().into();
    }
    if node.pod_cidr.is_empty() {
        let [_, b, c, _] = pod_network(machine.number).to_be_bytes();
        node.pod_cidr = format!("10.{b}.{c}.0/24").into();
    }
    set_conditions(&mut node.status.conditions, machine, ctx.store.timestamp());
    let node = ctx.store.create(node)?;
    machine.cordoned = node.unschedulable;
    // A CSINode that a manifest brought stays.
    let _ = ctx.store.create(csi_node);
    machine.begin_renewals(&node.meta.uid, ctx);
    Ok(())
}

/// Reason, message and Event of a condition of pressure, when it holds and when it does not.
const fn pressure_words(what: Scarce) -> ([&'static str; 3], [&'static str; 3]) {
    match what {
        Scarce::Memory => (
            [
                "KubeletHasInsufficientMemory",
                "kubelet has insufficient memory available",
                "NodeHasInsufficientMemory",
            ],
            [
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
                "NodeHasSufficientMemory",
            ],
        ),
        Scarce::Disk => (
            ["KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"],
            ["KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"],
        ),
        Scarce::Pids => (
            ["KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"],
            ["KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"],
        ),
    }
}

/// Sets the conditions of a node. Reasons that its Events tell of, for those that changed.
fn set_conditions(conditions: &mut Vec<Condition>, machine: &Machine, at: Timestamp) -> Vec<&'static str> {
    let mut said = Vec::new();
    let mut put = |kind: &'static str, holds: bool, reason: &'static str, message: Str, event| {
        let status = ConditionStatus::of(holds);
        let before = condition::find(conditions, kind).map(|c| c.status);
        let mut new = Condition::new(kind, status, reason, message, at);
        new.updated = Some(at);
        condition::set(conditions, new);
        if before != Some(status) {
            said.push(event);
        }
    };
    let pressure = &machine.pressure;
    for what in Scarce::ALL {
        let (holds, (yes, no)) = (pressure.of(what), pressure_words(what));
        let [reason, message, event] = if holds { yes } else { no };
        put(what.condition(), holds, reason, message.into(), event);
    }
    if machine.shutdown.is_some() {
        put("Ready", false, "KubeletNotReady", lit!("node is shutting down"), "NodeNotReady");
    } else if machine.network {
        put("Ready", true, "KubeletReady", lit!("kubelet is posting ready status"), "NodeReady");
    } else {
        put("Ready", false, "KubeletNotReady", NETWORK_NOT_READY, "NodeNotReady");
    }
    said
}

/// The network of a node's Pods: `10.244.0.0/24` onwards, after its end from `10.128.0.0/24` on.
const fn pod_network(number: u32) -> u32 {
    const FIRST: u32 = 10 << 24 | 244 << 16;
    const FITS: u32 = 12 << 8;
    if number < FITS {
        FIRST + (number << 8)
    } else {
        (10 << 24 | 128 << 16) + (((number - FITS) % (116 << 8)) << 8)
    }
}

/// The address of a node: `10.0.0.10` onwards.
pub fn node_address(number: u32) -> Str {
    let [_, b, c, d] = ((number + 10) % (128 << 16)).to_be_bytes();
    format!("10.{b}.{c}.{d}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_handed_out_in_turn_and_again_once_they_are_free() {
        let mut addresses = Addresses::default();
        let taken: Vec<usize> = (0..POD_ADDRESSES).map(|_| addresses.take()).collect();
        assert_eq!(taken, (0..POD_ADDRESSES).collect::<Vec<_>>());
        [200, 70, 3].into_iter().for_each(|place| addresses.free(place));
        addresses.free(POD_ADDRESSES + 1);
        assert_eq!([0; 3].map(|_| addresses.take()), [3, 70, 200]);
        addresses.free(100);
        assert_eq!(addresses.take(), 100, "the next free one comes after all others, too");
        assert_eq!(addresses.take(), 101, "none is free: the next one");
    }

    #[test]
    fn what_is_requested_is_added_up_and_leaves_room_or_not() {
        let list = |text: &str| -> ResourceList {
            let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            pairs.map(|(name, amount)| (name, Quantity::parse(amount).unwrap())).collect()
        };
        let mut used = Requested::default();
        let room = list("cpu=4,memory=8Gi");
        let leaves = |used: &Requested, text| used.lacking(&room, &list(text)).next().is_none();
        for _ in 0..2 {
            assert!(leaves(&used, "cpu=2,example.com/other=9"), "what the room does not name is free");
            used.add(&list("cpu=2,memory=1Gi"));
        }
        assert!(!leaves(&used, "cpu=1m") && leaves(&used, "cpu=0,memory=6Gi"));
        used.take_back(&list("cpu=500m"));
        assert_eq!([used.of("cpu").milli_value(), used.of("pods").milli_value()], [3500, 0]);
        assert!(leaves(&used, "cpu=500m") && !leaves(&used, "memory=7Gi"));
    }

    #[test]
    fn an_address_that_is_none_of_the_node_frees_nothing() {
        let mut machine = Machine::new("n".into(), 1, node_address(1));
        assert_eq!(machine.take_address(), "10.244.1.1");
        for address in ["10.244.1.0", "10.244.1.300", "10.244.2.1", "", "10.244.1.x"] {
            machine.free_address(address);
        }
        assert_eq!((machine.take_address(), machine.addresses.taken[0]), ("10.244.1.2".into(), 0b11));
        machine.free_address("10.244.1.1");
        assert_eq!(machine.addresses.taken[0], 0b10);
    }
}
