//! What is attached where, and what is going on.
//!
//! Upstream: `cache/actual_state_of_world.go`; `pkg/util/goroutinemap/exponentialbackoff`, v1.34.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::ObjectRef;
use crate::api::storage::VolumeAttachment;
use crate::base::sha256;
use crate::base::{SimDuration, SimTime, Str};
use crate::kernel::Seed;

/// How long attaching and detaching may take (`csi_attacher.go`: `csiTimeout`).
const TIMEOUT: SimDuration = SimDuration::from_mins(2);
/// The first and the longest wait between looks at an attachment, and how much longer each is than the one before.
const LOOK_FIRST: SimDuration = SimDuration::from_millis(500);
const LOOK_MAX: SimDuration = SimDuration::from_secs(7);
const LOOK_GROWTH: (u64, u64) = (105, 100);
/// The first and the longest pause after a failed operation.
const BACKOFF_FIRST: SimDuration = SimDuration::from_millis(500);
const BACKOFF_MAX: SimDuration = SimDuration::from_secs(122);

/// Whether a volume is attached to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// It is not.
    #[default]
    Detached,
    /// It may be: attaching failed.
    Uncertain,
    /// It is.
    Attached,
}

/// What is done to a volume on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Attach,
    Detach,
}

/// Something that the external attacher was asked for.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub doing: Doing,
    /// The Pods that wanted it when it began.
    pub pods: Vec<ObjectRef>,
    /// When it is given up.
    pub deadline: SimTime,
    /// The next look at the attachment, if something has changed since the last.
    pub look: Option<SimTime>,
    /// The last look that has been computed, its number, and the wait after it.
    last: (SimTime, u64, SimDuration),
}

impl Operation {
    pub fn new(doing: Doing, pods: Vec<ObjectRef>, now: SimTime) -> Self {
        Self { doing, pods, deadline: now + TIMEOUT, look: None, last: (now, 0, LOOK_FIRST) }
    }

    /// Whether a look at the attachment as it is now would end it, well or badly.
    pub fn may_end(&self, attachment: Option<&VolumeAttachment>) -> bool {
        match (self.doing, attachment) {
            (Doing::Attach, None) => false,
            (Doing::Attach, Some(a)) => a.attached || a.meta.is_deleting() || !a.attach_error.is_empty(),
            (Doing::Detach, None) => true,
            (Doing::Detach, Some(a)) => !a.detach_error.is_empty(),
        }
    }

    /// When the controller looks at the attachment for the first time after `at`. Looks lie half a second apart and
    /// more, up to a tenth later at random.
    pub fn next_look(&mut self, at: SimTime, seed: Seed, volume: &str, node: &str) -> SimTime {
        if let Some(look) = self.look.filter(|look| *look >= at) {
            return look;
        }
        let (mut last, mut count, mut wait) = self.last;
        while last < at || count == 0 {
            let parts =
                [volume.as_bytes(), node.as_bytes(), &count.to_le_bytes(), &last.as_nanos().to_le_bytes()];
            let jitter = seed.stream_of("attach-look", &parts).below(1_000_001);
            last += wait + wait.scale(jitter, 10_000_000);
            count += 1;
            wait = wait.scale(LOOK_GROWTH.0, LOOK_GROWTH.1).min(LOOK_MAX);
        }
        self.last = (last, count, wait);
        let look = last.min(self.deadline);
        self.look = Some(look);
        look
    }
}

/// A volume on a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub state: State,
    pub operation: Option<Operation>,
    /// Whether the node's status lists it as attached.
    pub reported: bool,
    /// Since when it could be detached if the node did not use it.
    pub detach_since: Option<SimTime>,
    /// When the node's use of it is ignored, if it still is not healthy then.
    pub force_at: Option<SimTime>,
    /// What has failed since the last good operation, how often in a row, and until when it is not tried again.
    pub failed: Option<Doing>,
    pub failures: u32,
    pub retry_at: Option<SimTime>,
    /// When it is found out that the attachment has been deleted by somebody else.
    pub lost: Option<SimTime>,
    /// Whether it was said that another node has the volume.
    pub multi_attach_said: bool,
}

impl Place {
    /// Whether there is anything to remember.
    pub fn matters(&self) -> bool {
        self.state != State::Detached
            || self.operation.is_some()
            || self.retry_at.is_some()
            || self.multi_attach_said
    }

    /// Notes that an operation has failed.
    pub fn back_off(&mut self, doing: Doing, now: SimTime) {
        if self.failed.replace(doing) != Some(doing) {
            self.failures = 0;
        }
        let pause = (BACKOFF_FIRST * 2u64.saturating_pow(self.failures.min(16))).min(BACKOFF_MAX);
        self.failures += 1;
        self.retry_at = Some(now + pause);
    }

    /// Whether an operation has failed and is not tried again yet. Another operation does not wait for it: upstream's
    /// `nestedpendingoperations` begins anew where the name of the operation is another.
    pub fn held_back(&self, doing: Doing, now: SimTime) -> bool {
        self.failed == Some(doing) && self.retry_at.is_some_and(|at| at > now)
    }
}

/// A volume that a driver attaches.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub driver: Str,
    pub handle: Str,
    /// Nodes by name.
    pub places: BTreeMap<Str, Place>,
    /// The next pass that looks at it.
    pub next_pass: Option<SimTime>,
}

impl Volume {
    pub fn new(driver: Str, handle: Str) -> Self {
        Self { driver, handle, places: BTreeMap::new(), next_pass: None }
    }

    /// The name in node statuses.
    pub fn unique_name(&self) -> Str {
        format!("kubernetes.io/csi/{}^{}", self.driver, self.handle).into()
    }

    /// The name of the attachment to a node.
    pub fn attachment(&self, node: &str) -> Str {
        format!("csi-{}", sha256::hex(&format!("{}{}{node}", self.handle, self.driver))).into()
    }

    /// Whether something is going on: on this node for a volume that several may have, else on any.
    pub fn is_busy(&self, node: &str, shared: bool) -> bool {
        let busy = |place: &Place| place.operation.is_some();
        if shared { self.places.get(node).is_some_and(busy) } else { self.places.values().any(busy) }
    }

    /// Nodes that are known to have it.
    pub fn attached_to(&self) -> BTreeSet<Str> {
        let attached = self.places.iter().filter(|(_, place)| place.state == State::Attached);
        attached.map(|(node, _)| node.clone()).collect()
    }

    /// When it must be looked at even if nothing happens.
    pub fn due(&self) -> Option<SimTime> {
        let of_place = |place: &Place| {
            let operation = place.operation.as_ref();
            let looks = [operation.and_then(|o| o.look), operation.map(|o| o.deadline)];
            let idle = [place.force_at, place.retry_at, place.lost];
            looks.into_iter().chain(idle.into_iter().filter(|_| operation.is_none())).flatten().min()
        };
        self.places.values().filter_map(of_place).chain(self.next_pass).min()
    }
}
