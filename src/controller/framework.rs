//! What a controller is, and what it may do while it works on a key.

use super::ApiBudget;
use super::aspects::Aspects;
use crate::api::{EventType, Kind, Meta, Object, ObjectKey, ObjectRef};
use crate::base::{Arc, SimDuration, SimTime, Str, Timestamp};
use crate::kernel::Seed;
use crate::store::metrics::{MetricsApi, NoMetrics};
use crate::store::{ApiError, Change, DeleteOptions, Deleted, Emit, ObjId, Store, Stored};

/// What a worker works on: the sync of an object, or another task of the controller by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkKey {
    /// `sync` unless the controller has several loops.
    pub task: &'static str,
    /// The object, or nothing for a task of the whole controller.
    pub key: ObjectKey,
}

impl WorkKey {
    /// The sync of an object.
    pub const fn sync(key: ObjectKey) -> Self {
        Self { task: "sync", key }
    }

    /// A task about an object.
    pub const fn task(task: &'static str, key: ObjectKey) -> Self {
        Self { task, key }
    }

    /// A task of the whole controller.
    pub fn whole(task: &'static str) -> Self {
        Self { task, key: ObjectKey::default() }
    }
}

/// What becomes of a key after a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until something changes.
    Done,
    /// Again after this time, even if nothing changes. Failures are forgotten.
    After(SimDuration),
    /// Again after its backoff.
    Retry(Str),
}

/// Where a controller puts keys when it hears of a change.
#[derive(Clone, Debug, Default)]
pub struct Enqueue {
    pub(super) keys: Vec<(WorkKey, SimDuration)>,
    pub(super) late: Vec<(WorkKey, SimDuration)>,
    pub(super) fixed: Vec<(WorkKey, SimTime)>,
}

impl Enqueue {
    /// Due as soon as the change is delivered.
    pub fn now(&mut self, key: WorkKey) {
        self.keys.push((key, SimDuration::ZERO));
    }

    /// Due so long after the change is delivered.
    pub fn after(&mut self, key: WorkKey, delay: SimDuration) {
        self.keys.push((key, delay));
    }

    /// Due as soon as the change is delivered, which takes so much longer than usual.
    pub fn late(&mut self, key: WorkKey, by: SimDuration) {
        self.late.push((key, by));
    }

    /// Due at an instant, however long the change takes to be delivered; but not before it is.
    pub fn at(&mut self, key: WorkKey, at: SimTime) {
        self.fixed.push((key, at));
    }

    /// Whether nothing was put.
    pub(super) const fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.late.is_empty() && self.fixed.is_empty()
    }

    /// What was put, with delays, for tests.
    pub fn keys(&self) -> &[(WorkKey, SimDuration)] {
        &self.keys
    }
}

/// A controller.
///
/// `reconcile` is level-triggered: it takes a key, reads the store, moves one step and returns; called twice it
/// does nothing the second time. What a controller remembers between calls is what upstream's remembers (backoffs,
/// start times), never a copy of objects.
pub trait Controller: std::fmt::Debug + Send + Sync {
    /// The component's name, which is also the source of its Events.
    fn name(&self) -> &'static str;

    /// The kinds of whose changes it hears; none: all but Events.
    fn watches(&self) -> &'static [Kind] {
        &[]
    }

    /// Of Pods it hears of writes only that touch one of these.
    fn of_pods(&self) -> Aspects {
        Aspects::ANY
    }

    /// The kind of which there must be objects for Pods to concern it, and the aspects of Pods that concern it all the same;
    /// none if Pods do whatever else there is.
    fn needs(&self) -> Option<(Kind, Aspects)> {
        None
    }

    /// The source of its Events, if that is not its name.
    fn event_source(&self) -> &'static str {
        self.name()
    }

    /// Keys worked on at once.
    fn workers(&self) -> usize {
        5
    }

    /// Retries until a failing key is dropped; none for no end.
    fn retries_max(&self) -> Option<u32> {
        None
    }

    /// By how much its client's rate and burst exceed those of the others.
    fn api_budget_factor(&self) -> (u32, u32) {
        (1, 1)
    }

    /// The wait after the first failure of a key, which doubles with each, and the longest wait.
    fn retry_backoff(&self) -> (SimDuration, SimDuration) {
        (SimDuration::from_millis(5), SimDuration::from_secs(1000))
    }

    /// Keys that are due when the controller starts (loops of its own).
    fn start(&mut self, _out: &mut Enqueue) {}

    /// Hears of a change at the instant of its write and names the keys to work on once it is delivered.
    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue);

    /// Hears that the answers of metrics APIs change from `at` on, in a way that nobody could foresee: about these Pods,
    /// or, if none are named, about any.
    fn on_metrics_change(
        &mut self,
        _at: SimTime,
        _pods: Option<&[ObjId]>,
        _store: &Store,
        _out: &mut Enqueue,
    ) {
    }

    /// Works on a key.
    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action;

    /// A copy with everything it remembers.
    fn clone_box(&self) -> Box<dyn Controller>;
}

impl Clone for Box<dyn Controller> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

/// What a controller may use while it works on a key. Every write is counted against its API budget.
pub struct Ctx<'a> {
    pub(super) store: &'a mut Store,
    pub(super) budget: &'a mut ApiBudget,
    pub(super) source: Str,
    pub(super) calls: u64,
    /// Whether Events wait for the calls, and how many do.
    events_behind: bool,
    waiting_events: u64,
    pub(super) metrics: &'a dyn MetricsApi,
}

impl<'a> Ctx<'a> {
    /// A context for a controller of this name.
    pub fn new(store: &'a mut Store, budget: &'a mut ApiBudget, source: Str) -> Self {
        Self { store, budget, source, calls: 0, events_behind: false, waiting_events: 0, metrics: &NoMetrics }
    }

    /// With metrics APIs.
    #[must_use]
    pub fn with_metrics(self, metrics: &'a dyn MetricsApi) -> Self {
        Self { metrics, ..self }
    }

    /// The metrics APIs.
    pub const fn metrics(&self) -> &'a dyn MetricsApi {
        self.metrics
    }

    /// The store, to read.
    pub fn store(&self) -> &Store {
        self.store
    }

    /// The present instant.
    pub fn now(&self) -> SimTime {
        self.store.now()
    }

    /// The present in whole seconds.
    pub fn timestamp(&self) -> Timestamp {
        self.store.timestamp()
    }

    /// The seed of the run, for addressed random streams.
    pub fn seed(&self) -> Seed {
        self.store.seed()
    }

    /// How long the next API call would have to wait for the client's rate limit. A sync that makes many
    /// calls stops when this is not zero and asks to go on after it.
    pub fn throttled(&self) -> SimDuration {
        self.budget.wait(self.now())
    }

    /// From now on several workers call side by side: Events, which one goroutine sends one after another, fall behind
    /// their calls.
    pub const fn events_behind_calls(&mut self) {
        self.events_behind = true;
    }

    /// Ends the work on a key.
    pub(super) fn send_events(&mut self) {
        for _ in 0..std::mem::take(&mut self.waiting_events) {
            self.budget.spend_aside(self.store.now());
        }
    }

    fn spend(&mut self) {
        self.calls += 1;
        let now = self.store.now();
        self.budget.spend(now);
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create<T: Stored>(&mut self, object: T) -> Result<Arc<T>, ApiError> {
        self.spend();
        self.store.create(object)
    }

    /// Changes metadata or status; without a change there is no call.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub fn update<T: Stored>(
        &mut self,
        key: &ObjectKey,
        change: impl FnOnce(&mut T),
    ) -> Result<Arc<T>, ApiError> {
        let before = self.store.revision();
        let result = self.store.update(key, change);
        if self.store.revision() != before {
            self.spend();
        }
        result
    }

    /// Changes the desired state; without a change there is no call.
    ///
    /// # Errors
    /// As [`Store::update_spec`].
    pub fn update_spec<T: Stored>(
        &mut self,
        key: &ObjectKey,
        change: impl FnOnce(&mut T),
    ) -> Result<Arc<T>, ApiError> {
        let before = self.store.revision();
        let result = self.store.update_spec(key, change);
        if self.store.revision() != before {
            self.spend();
        }
        result
    }

    /// Changes only metadata of an object of whatever kind.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub fn update_meta(&mut self, object: &Object, change: impl FnOnce(&mut Meta)) -> Result<(), ApiError> {
        self.spend();
        self.store.update_meta(object.kind(), &object.key(), change).map(|_| ())
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn delete<T: Stored>(
        &mut self,
        key: &ObjectKey,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        self.spend();
        self.store.delete::<T>(key, options)
    }

    /// Deletes an object of whatever kind.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn delete_object(&mut self, object: &Object, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        self.spend();
        self.store.delete_object(object.kind(), &object.key(), options)
    }

    /// Deletes objects of one kind by one call. Those that are gone already are passed over.
    ///
    /// # Errors
    /// The first refusal; objects after it stay.
    pub fn delete_collection(&mut self, objects: &[Object], options: &DeleteOptions) -> Result<(), ApiError> {
        self.spend();
        for object in objects {
            match self.store.delete_object(object.kind(), &object.key(), options) {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says something about an object.
    pub fn event(
        &mut self,
        regarding: ObjectRef,
        event_type: EventType,
        reason: impl Into<Str>,
        message: impl Into<Str>,
    ) {
        self.event_as(self.source.clone(), regarding, event_type, reason, message);
    }

    /// Says something under another name than the controller's, as sidecars of drivers do.
    pub fn event_as(
        &mut self,
        source: Str,
        regarding: ObjectRef,
        event_type: EventType,
        reason: impl Into<Str>,
        message: impl Into<Str>,
    ) {
        // Events go through the same client and take from the same bucket, but nobody waits for them.
        if self.events_behind {
            self.waiting_events += 1;
        } else {
            self.budget.spend_aside(self.store.now());
        }
        self.store.emit(Emit {
            source,
            host: Str::new(),
            regarding,
            event_type,
            reason: reason.into(),
            message: message.into(),
            series: false,
        });
    }
}
