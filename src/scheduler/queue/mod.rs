//! Pods that wait to be scheduled: active, backing off, unschedulable.
//!
//! * *Active*: ready to be tried, in the order of the QueueSort plugin.
//! * *Backoff*: refused, and something happened that may help; they wait for their backoff to end. If the active
//!   queue is empty they are taken early. Pods that failed by a fault have a queue of their own, from which none is
//!   taken early.
//! * *Unschedulable*: refused, and nothing happened that would help. Gated Pods are here too.
//!
//! Nothing ticks: the flushes that upstream does every second and every 30 seconds are computed, at the instants of
//! upstream's grid.
//!
//! Upstream: `pkg/scheduler/backend/queue/{scheduling_queue,active_queue,backoff_queue}.go`, v1.34.
//!
//! # Fidelity
//! Pods that entered at the same instant come out in the order of entering; upstream leaves their order open. The grid
//! of the 30 s flush begins at the start of the run.

pub mod backoff;
mod moves;
pub mod pool;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::framework::{ClusterEvent, EnqueueContext, Framework, Nominator, PodInfo, Snapshot, SortKey};
use crate::api::{Object, Pod, Uid};
use crate::base::{Arc, LookupMap, LookupSet, SimDuration, SimTime, Str};
use backoff::Backoff;
use pool::Pool;

/// Pods parked as unschedulable are looked at again after so long, if no flag says otherwise.
pub const MAX_IN_UNSCHEDULABLE: SimDuration = SimDuration::from_mins(5);
/// How often those that are parked for too long are looked for.
pub const FLUSH_PERIOD: SimDuration = SimDuration::from_secs(30);

/// A Pod with its history in the queue.
#[derive(Clone, Debug)]
pub struct QueuedPod {
    /// The Pod.
    pub info: Arc<PodInfo>,
    /// When it entered the queue last.
    pub timestamp: SimTime,
    /// The order of entering.
    pub(super) sequence: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// How often it was refused; backoff grows with it.
    pub unschedulable_count: u32,
    /// How often in a row it failed by a fault.
    pub consecutive_errors: u32,
    /// Plugins that refused it in its last attempt, ordered.
    pub unschedulable_plugins: Vec<&'static str>,
    /// The PreEnqueue plugin that keeps it out, or nothing.
    pub gating_plugin: &'static str,
}

impl QueuedPod {
    fn new(info: Arc<PodInfo>, timestamp: SimTime, sequence: u64) -> Self {
        Self {
            info,
            timestamp,
            sequence,
            attempts: 0,
            unschedulable_count: 0,
            consecutive_errors: 0,
            unschedulable_plugins: Vec::new(),
            gating_plugin: "",
        }
    }

    /// Whether a PreEnqueue plugin keeps it out.
    pub const fn is_gated(&self) -> bool {
        !self.gating_plugin.is_empty()
    }

    /// Notes that a plugin refused it.
    pub fn refused_by(&mut self, plugin: &'static str) {
        if let Err(at) = self.unschedulable_plugins.binary_search(&plugin)
            && !plugin.is_empty()
        {
            self.unschedulable_plugins.insert(at, plugin);
        }
    }
}

/// What the queue looks at beside itself.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The profiles by name.
    pub frameworks: &'a [Arc<Framework>],
    /// The cluster.
    pub snapshot: &'a Snapshot,
    /// Pods whose victims are being evicted right now.
    pub preempting: &'a LookupSet<Str>,
    /// The present.
    pub now: SimTime,
}

impl<'a> Env<'a> {
    /// The profile of a Pod.
    pub fn framework(&self, pod: &Pod) -> Option<&'a Framework> {
        self.frameworks.iter().find(|f| f.profile_name == pod.spec.scheduler_name).map(|f| &**f)
    }
}

/// An event that came while a Pod was being scheduled.
#[derive(Clone, Debug)]
struct InFlightEvent {
    event: ClusterEvent,
    old: Option<Object>,
    new: Option<Object>,
}

/// Where a Pod waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active((i64, u64, u64)),
    Backoff(backoff::Key),
    ErrorBackoff(backoff::Key),
    Unschedulable(u64),
}

/// Which queue a Pod was put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// The active queue.
    Active,
    /// One of the backoff queues.
    Backoff,
    /// The pool of the unschedulable.
    Unschedulable,
}

/// The scheduling queue.
#[derive(Clone, Debug)]
pub struct Queue {
    active: BTreeMap<(i64, u64, u64), QueuedPod>,
    backoff: BTreeMap<backoff::Key, QueuedPod>,
    error_backoff: BTreeMap<backoff::Key, QueuedPod>,
    unschedulable: Pool,
    places: LookupMap<Uid, Place>,
    /// Pods that were taken out and are not back, with what happened since.
    in_flight: Vec<(Uid, Vec<InFlightEvent>)>,
    /// Nominated Pods.
    pub nominator: Nominator,
    times: Backoff,
    /// How long a Pod is parked before it is looked at again unasked.
    max_parked: SimDuration,
    sequence: u64,
}

impl Queue {
    /// An empty queue.
    pub fn new(times: Backoff) -> Self {
        Self {
            active: BTreeMap::new(),
            backoff: BTreeMap::new(),
            error_backoff: BTreeMap::new(),
            unschedulable: Pool::default(),
            places: LookupMap::new(),
            in_flight: Vec::new(),
            nominator: Nominator::default(),
            times,
            max_parked: MAX_IN_UNSCHEDULABLE,
            sequence: 0,
        }
    }

    /// Parks Pods for so long.
    pub const fn set_max_parked(&mut self, span: SimDuration) {
        self.max_parked = span;
    }

    /// How many Pods are active, backing off, and unschedulable.
    pub fn lengths(&self) -> (usize, usize, usize) {
        (self.active.len(), self.backoff.len() + self.error_backoff.len(), self.unschedulable.len())
    }

    /// Which queue a Pod is in, if any.
    pub fn place_of(&self, uid: &str) -> Option<Went> {
        self.places.get(uid).map(|place| match place {
            Place::Active(_) => Went::Active,
            Place::Backoff(_) | Place::ErrorBackoff(_) => Went::Backoff,
            Place::Unschedulable(_) => Went::Unschedulable,
        })
    }

    /// The Pod as it waits, if it does.
    pub fn get(&self, uid: &str) -> Option<&QueuedPod> {
        match self.places.get(uid)? {
            Place::Active(key) => self.active.get(key),
            Place::Backoff(key) => self.backoff.get(key),
            Place::ErrorBackoff(key) => self.error_backoff.get(key),
            Place::Unschedulable(sequence) => self.unschedulable.get(*sequence),
        }
    }

    /// Whether [`Self::pop`] would give something.
    pub fn has_ready(&self) -> bool {
        !self.active.is_empty() || !self.backoff.is_empty()
    }

    /// Whether an event may move a Pod: one is parked, or was taken out and may come back.
    pub fn awaits_changes(&self) -> bool {
        !self.unschedulable.is_empty() || !self.in_flight.is_empty()
    }

    /// When the next flush has something to do: a backoff ends, or a Pod is parked for too long.
    pub fn next_flush(&self) -> Option<SimTime> {
        let backoff = [&self.backoff, &self.error_backoff]
            .into_iter()
            .filter_map(|queue| queue.first_key_value())
            .map(|(key, _)| Backoff::flush_after(key.expiry));
        let parked = self.unschedulable.oldest().map(|since| {
            // Parked for longer than the limit, not as long.
            let beyond = since + self.max_parked + SimDuration::from_nanos(1);
            beyond.next_on_grid(SimDuration::ZERO, FLUSH_PERIOD)
        });
        backoff.chain(parked).min()
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// A new Pod without a node.
    pub fn add(&mut self, env: &Env<'_>, info: Arc<PodInfo>) {
        let sequence = self.next_sequence();
        self.move_to_active(env, QueuedPod::new(info, env.now, sequence), true);
    }

    /// Takes the next Pod: the head of the active queue, else of the backoff queue.
    pub fn pop(&mut self) -> Option<QueuedPod> {
        let (_, mut queued) = self.active.pop_first().or_else(|| {
            self.backoff.pop_first().map(|(key, queued)| ((key.order.0, key.order.1, key.order.2), queued))
        })?;
        let uid = queued.info.uid().clone();
        self.places.remove(&uid);
        queued.attempts += 1;
        queued.unschedulable_plugins.clear();
        queued.gating_plugin = "";
        self.in_flight.push((uid, Vec::new()));
        Some(queued)
    }

    /// A Pod that was taken out will not come back from this attempt.
    pub fn done(&mut self, uid: &str) {
        self.in_flight.retain(|(have, _)| have != uid);
    }

    /// A Pod comes back from a failed attempt. Where it goes depends on who refused it and on what happened since.
    pub fn add_unschedulable(&mut self, env: &Env<'_>, mut queued: QueuedPod) -> Went {
        let uid = queued.info.uid().clone();
        if let Some(place) = self.place_of(&uid) {
            self.done(&uid);
            return place;
        }
        if queued.unschedulable_plugins.is_empty() {
            queued.consecutive_errors += 1;
        } else {
            queued.unschedulable_count += 1;
            queued.consecutive_errors = 0;
        }
        queued.timestamp = env.now;
        queued.sequence = self.next_sequence();
        let useful = queued.unschedulable_plugins.is_empty() || {
            let happened = self.in_flight.iter().find(|(have, _)| *have == uid).map(|(_, events)| events);
            happened
                .into_iter()
                .flatten()
                .any(|e| moves::is_worth_requeuing(env, &queued, e.event, e.old.as_ref(), e.new.as_ref()))
        };
        self.done(&uid);
        self.requeue(env, queued, useful)
    }

    /// A Pod without a node changed. `events` say how.
    pub fn update(&mut self, env: &Env<'_>, info: Arc<PodInfo>, old: &Arc<Pod>, events: &[ClusterEvent]) {
        let uid = info.uid().clone();
        let (old_object, new_object) = (Object::Pod(old.clone()), Object::Pod(info.pod.clone()));
        if let Some((_, happened)) = self.in_flight.iter_mut().find(|(have, _)| *have == uid) {
            happened.extend(events.iter().map(|event| InFlightEvent {
                event: *event,
                old: Some(old_object.clone()),
                new: Some(new_object.clone()),
            }));
            return;
        }
        match self.places.get(&uid).copied() {
            Some(Place::Unschedulable(sequence)) => {
                let Some(mut queued) = self.unschedulable.remove(sequence) else { return };
                self.places.remove(&uid);
                queued.info = info.clone();
                self.update_nominated(old, &info);
                let useful = events.iter().any(|event| {
                    moves::is_worth_requeuing(env, &queued, *event, Some(&old_object), Some(&new_object))
                });
                self.requeue(env, queued, useful);
            }
            Some(_) => {
                self.replace(&uid, &info);
                self.update_nominated(old, &info);
            }
            None => {
                let sequence = self.next_sequence();
                self.move_to_active(env, QueuedPod::new(info, env.now, sequence), true);
            }
        }
    }

    /// A Pod is gone, bound, or ended.
    pub fn delete(&mut self, uid: &str) {
        self.nominator.remove(uid);
        self.take(uid);
    }

    /// Moves the Pods whose backoff is over to the active queue.
    pub fn flush_backoff(&mut self, env: &Env<'_>) {
        let mut over = Vec::new();
        for queue in [&mut self.backoff, &mut self.error_backoff] {
            while let Some(entry) = queue.first_entry()
                && !Backoff::is_backing_off_at(entry.key().expiry, env.now)
            {
                over.push(entry.remove());
            }
        }
        for queued in over {
            self.places.remove(queued.info.uid());
            // PreEnqueue ran when the Pod entered the backoff queue.
            self.put_active(env, queued, false);
        }
    }

    /// Moves the Pods that are parked for too long.
    pub fn flush_unschedulable(&mut self, env: &Env<'_>) {
        let grid =
            SimTime::from_nanos(env.now.as_nanos() / FLUSH_PERIOD.as_nanos() * FLUSH_PERIOD.as_nanos());
        for sequence in self.unschedulable.older_than(grid, self.max_parked) {
            if let Some(queued) = self.take_unschedulable(sequence) {
                self.requeue(env, queued, true);
            }
        }
    }

    fn take_unschedulable(&mut self, sequence: u64) -> Option<QueuedPod> {
        let queued = self.unschedulable.remove(sequence)?;
        self.places.remove(queued.info.uid());
        Some(queued)
    }

    fn take(&mut self, uid: &str) -> Option<QueuedPod> {
        match self.places.remove(uid)? {
            Place::Active(key) => self.active.remove(&key),
            Place::Backoff(key) => self.backoff.remove(&key),
            Place::ErrorBackoff(key) => self.error_backoff.remove(&key),
            Place::Unschedulable(sequence) => self.unschedulable.remove(sequence),
        }
    }

    fn replace(&mut self, uid: &str, info: &Arc<PodInfo>) {
        let queued = match self.places.get(uid) {
            Some(Place::Active(key)) => self.active.get_mut(key),
            Some(Place::Backoff(key)) => self.backoff.get_mut(key),
            Some(Place::ErrorBackoff(key)) => self.error_backoff.get_mut(key),
            Some(Place::Unschedulable(_)) | None => None,
        };
        if let Some(queued) = queued {
            queued.info = info.clone();
        }
    }

    /// Puts a Pod where it belongs: parked unless something is `useful`, else backing off or active.
    fn requeue(&mut self, env: &Env<'_>, queued: QueuedPod, useful: bool) -> Went {
        if !useful {
            return self.park(queued);
        }
        if self.times.is_backing_off(&queued, env.now) {
            return self.move_to_backoff(env, queued);
        }
        self.move_to_active(env, queued, false)
    }

    fn park(&mut self, queued: QueuedPod) -> Went {
        self.places.insert(queued.info.uid().clone(), Place::Unschedulable(queued.sequence));
        self.unschedulable.insert(queued);
        Went::Unschedulable
    }

    fn move_to_active(&mut self, env: &Env<'_>, mut queued: QueuedPod, nominate: bool) -> Went {
        run_pre_enqueue(env, &mut queued);
        if queued.is_gated() {
            return self.park(queued);
        }
        self.put_active(env, queued, nominate)
    }

    fn put_active(&mut self, env: &Env<'_>, queued: QueuedPod, nominate: bool) -> Went {
        let info = queued.info.clone();
        let key = sort_key(env, &queued);
        self.places.insert(info.uid().clone(), Place::Active(key));
        self.active.insert(key, queued);
        if nominate {
            self.nominate_as_said(&info);
        }
        Went::Active
    }

    fn move_to_backoff(&mut self, env: &Env<'_>, mut queued: QueuedPod) -> Went {
        run_pre_enqueue(env, &mut queued);
        if queued.is_gated() {
            return self.park(queued);
        }
        let (uid, by_fault) = (queued.info.uid().clone(), queued.unschedulable_plugins.is_empty());
        let key = backoff::Key { expiry: self.times.expiry(&queued), order: sort_key(env, &queued) };
        if by_fault {
            self.places.insert(uid, Place::ErrorBackoff(key));
            self.error_backoff.insert(key, queued);
        } else {
            self.places.insert(uid, Place::Backoff(key));
            self.backoff.insert(key, queued);
        }
        Went::Backoff
    }
}

fn sort_key(env: &Env<'_>, queued: &QueuedPod) -> (i64, u64, u64) {
    let key =
        SortKey { priority: queued.info.priority(), timestamp: queued.timestamp, sequence: queued.sequence };
    let sort = env.frameworks.first().and_then(|f| f.queue_sort.as_ref());
    let (a, b, _) = sort.map_or((0, 0, 0), |sort| sort.key(&queued.info, key));
    // The last part keeps keys apart, whatever the plugin says.
    (a, b, queued.sequence)
}

/// Runs PreEnqueue and notes who keeps the Pod out.
fn run_pre_enqueue(env: &Env<'_>, queued: &mut QueuedPod) {
    let Some(framework) = env.framework(&queued.info.pod) else { return };
    let ctx = EnqueueContext { preempting: env.preempting };
    match framework.run_pre_enqueue(&ctx, &queued.info) {
        Ok(()) => queued.gating_plugin = "",
        Err(status) => {
            queued.refused_by(status.plugin);
            queued.gating_plugin = status.plugin;
        }
    }
}
