//! Events: how recorders fold what components say before it reaches the API server.
//!
//! Upstream: `client-go/tools/record/events_cache.go` (most components) and
//! `client-go/tools/events/event_broadcaster.go` (the scheduler), v1.34.

use std::collections::VecDeque;
use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::{ObjId, Store};
use crate::api::service::Namespace;
use crate::api::{Event, EventType, Meta, ObjectRef};
use crate::base::{Few, LookupMap, SimDuration, SimTime, Str, Timestamp};

/// Distinct messages of otherwise equal Events within [`AGGREGATE_WINDOW`] until they are combined.
const AGGREGATE_MESSAGES_MAX: usize = 10;
const AGGREGATE_WINDOW: SimDuration = SimDuration::from_mins(10);
/// Events a source may say about one object at once; one more every [`SPAM_REFILL`].
const SPAM_BURST: u64 = 25;
const SPAM_REFILL: SimDuration = SimDuration::from_mins(5);
/// Fewer things than this are not looked through for those that can be forgotten.
const SWEEP_MIN: usize = 4096;
/// A series that was silent for so long is over.
const SERIES_SILENCE: SimDuration = SimDuration::from_mins(6);
/// Events are forgotten after this time unless the API server is told otherwise (`--event-ttl`).
const EVENT_TTL: SimDuration = SimDuration::from_mins(60);

/// Something a component has to say about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emit {
    /// The component.
    pub source: Str,
    /// Its node, or nothing.
    pub host: Str,
    /// What it is about.
    pub regarding: ObjectRef,
    /// Good or bad news.
    pub event_type: EventType,
    /// A CamelCase word.
    pub reason: Str,
    /// A sentence.
    pub message: Str,
    /// Through the `events.k8s.io` recorder, which folds repeats about one version of the object, whatever their message.
    pub series: bool,
}

/// What the recorders remember.
#[derive(Clone, Debug)]
pub struct Correlator {
    /// How long Events are kept; zero: for good.
    ttl: SimDuration,
    /// When Events were written, the first of all first: one that was written again since stands there again.
    written: VecDeque<(Timestamp, ObjId)>,
    observed: LookupMap<Key, Observed>,
    aggregates: LookupMap<Key, Aggregate>,
    spam: LookupMap<Key, Bucket>,
    serial: u64,
    /// So many things may be remembered until those that make no difference any more are forgotten.
    sweep_at: usize,
}

impl Default for Correlator {
    fn default() -> Self {
        Self {
            ttl: EVENT_TTL,
            written: VecDeque::new(),
            observed: LookupMap::new(),
            aggregates: LookupMap::new(),
            spam: LookupMap::new(),
            serial: 0,
            sweep_at: 0,
        }
    }
}

/// Stands for source, host, object and type, with reason and message (or the object's version) where they count. Of two
/// such the same number is as unlikely as of two contents the same digest.
type Key = [u64; 2];

#[derive(Clone, Debug)]
struct Observed {
    /// Its place; none: the Event was not let through or not taken.
    event: ObjId,
    count: i32,
    last: SimTime,
}

/// No Event's place.
const NOWHERE: ObjId = ObjId(0);

/// Distinct messages, oldest first.
#[derive(Clone, Debug, Default)]
struct Aggregate {
    oldest: Option<Str>,
    later: Few<Str>,
    last: SimTime,
}

#[derive(Clone, Debug)]
struct Bucket {
    tokens: u64,
    refilled: SimTime,
}

impl Aggregate {
    fn len(&self) -> usize {
        usize::from(self.oldest.is_some()) + self.later.len()
    }

    fn clear(&mut self) {
        self.oldest = None;
        self.later.clear();
    }

    fn note(&mut self, message: &Str) {
        match &self.oldest {
            None => self.oldest = Some(message.clone()),
            Some(oldest) if oldest == message || self.later.contains(message) => {}
            Some(_) => self.later.push(message.clone()),
        }
    }

    fn drop_oldest(&mut self) {
        self.oldest = if self.later.is_empty() { None } else { Some(self.later.remove(0)) };
    }

    fn is_over(&self, now: SimTime) -> bool {
        now.since(self.last) > AGGREGATE_WINDOW
    }
}

/// The keys of something that is said, from the coarsest to the finest.
struct Keys {
    /// Who speaks of what.
    object: Key,
    /// For which reason.
    reason: Key,
    so_far: SipHasher13,
}

impl Keys {
    fn of(emit: &Emit) -> Self {
        let mut hasher = SipHasher13::new();
        let ObjectRef { kind, namespace, name, uid } = &emit.regarding;
        for part in [&emit.source, &emit.host, kind, namespace, name, uid] {
            part.hash(&mut hasher);
        }
        (emit.event_type == EventType::Warning).hash(&mut hasher);
        let object = key_of(&hasher);
        emit.reason.hash(&mut hasher);
        Self { object, reason: key_of(&hasher), so_far: hasher }
    }

    /// The finest: with a message, or what stands for it.
    fn with(&self, message: &str) -> Key {
        let mut hasher = self.so_far;
        message.hash(&mut hasher);
        key_of(&hasher)
    }
}

fn key_of(hasher: &SipHasher13) -> Key {
    let hash = hasher.finish128();
    [hash.h1, hash.h2]
}

impl Store {
    /// Events are forgotten after this time from now on; zero: never. As etcd's leases, in whole seconds.
    pub const fn keep_events_for(&mut self, ttl: SimDuration) {
        self.correlator.ttl = ttl;
    }

    /// Says something about an object; repeats are folded as the component's recorder folds them. Whether the recorder
    /// let it through: it does not when a source says too much about one object.
    pub fn emit(&mut self, emit: Emit) -> bool {
        if emit.series {
            self.emit_series(emit);
            return true;
        }
        self.emit_correlated(emit)
    }

    fn emit_correlated(&mut self, mut emit: Emit) -> bool {
        let now = self.now;
        self.correlator.sweep(now);
        let keys = Keys::of(&emit);
        let aggregate = self.correlator.aggregates.or_insert_with(keys.reason, Aggregate::default);
        if aggregate.is_over(now) {
            aggregate.clear();
        }
        aggregate.last = now;
        aggregate.note(&emit.message);
        let combined = aggregate.len() >= AGGREGATE_MESSAGES_MAX;
        let key = if combined {
            aggregate.drop_oldest();
            emit.message = format!("(combined from similar events): {}", emit.message).into();
            keys.reason
        } else {
            keys.with(&emit.message)
        };
        let count = self.correlator.observed.get(&key).map_or(0, |o| o.count) + 1;
        let allowed = self.correlator.allow(keys.object, now);
        let known = self.correlator.observed.get(&key).map(|o| o.event);
        let event = match known {
            Some(event) if allowed => self.repeat_event(event, &emit, count),
            Some(event) => event,
            None if allowed => self.create_event(&emit, count),
            None => NOWHERE,
        };
        self.correlator.observed.insert(key, Observed { event, count, last: now });
        allowed
    }

    fn emit_series(&mut self, emit: Emit) {
        let now = self.now;
        // Upstream's key holds the whole reference, its resourceVersion included: once the object was written (a
        // condition with a new message, say), what is said of it begins a new Event.
        let version = self.by_uid(&emit.regarding.uid).map_or(0, |object| object.meta().resource_version);
        let key = Keys::of(&emit).with(&version.to_string());
        let known = self.correlator.observed.get(&key).cloned();
        let observed = match known {
            Some(known) if now.since(known.last) <= SERIES_SILENCE => {
                let count = known.count + 1;
                // Upstream writes the second occurrence; later ones stay in the recorder until the
                // series is refreshed or finished.
                let event = if count == 2 { self.repeat_series(known.event, count) } else { known.event };
                Observed { event, count, last: now }
            }
            _ => Observed { event: self.create_event(&emit, 1), count: 1, last: now },
        };
        self.correlator.observed.insert(key, observed);
    }

    fn create_event(&mut self, emit: &Emit, count: i32) -> ObjId {
        self.expire_events();
        self.correlator.serial += 1;
        let namespace = match emit.regarding.namespace.as_str() {
            "" => Str::from("default"),
            _ => emit.regarding.namespace.clone(),
        };
        if self.find::<Namespace>("", &namespace).is_some_and(|n| n.terminating) {
            // The API server takes nothing new, Events no more than the rest.
            return NOWHERE;
        }
        // The wall clock's nanoseconds, as upstream has it; a counter keeps those of one instant apart.
        let start = u64::try_from(self.calendar().timestamp(SimTime::ZERO).0).unwrap_or(0);
        let nanos = start.saturating_mul(1_000_000_000) + self.now.as_nanos() + self.correlator.serial;
        let name = format!("{}.{nanos:x}", emit.regarding.name);
        let at = self.timestamp();
        let event = Event {
            meta: Meta::named(namespace, name),
            regarding: emit.regarding.clone(),
            reason: emit.reason.clone(),
            message: emit.message.clone(),
            event_type: emit.event_type,
            source: emit.source.clone(),
            host: emit.host.clone(),
            first: at,
            last: at,
            count,
            series: emit.series,
        };
        // Names are unique by the counter, and Events need no namespace to exist.
        let created = self.create_as(event, true);
        debug_assert!(created.is_ok(), "an Event was refused: {created:?}");
        let id = created.map_or(NOWHERE, |event| ObjId(event.meta.resource_version));
        self.note_written(id);
        id
    }

    fn repeat_event(&mut self, id: ObjId, emit: &Emit, count: i32) -> ObjId {
        let at = self.timestamp();
        let change = |event: &mut Event| {
            event.count = count;
            event.last = at;
            event.message = emit.message.clone();
        };
        if !matches!(self.write_at(id, change, false), Ok(Some(_))) {
            return self.create_event(emit, count);
        }
        self.note_written(id);
        id
    }

    fn repeat_series(&mut self, id: ObjId, count: i32) -> ObjId {
        let at = self.timestamp();
        let change = |event: &mut Event| {
            event.count = count;
            event.last = at;
        };
        // An Event that has expired meanwhile is simply gone.
        if matches!(self.write_at(id, change, false), Ok(Some(_))) {
            self.note_written(id);
        }
        id
    }

    fn note_written(&mut self, id: ObjId) {
        if id != NOWHERE && !self.correlator.ttl.is_zero() {
            self.correlator.written.push_back((self.timestamp(), id));
        }
    }

    /// Forgets Events older than their time to live; called when one is added, so that nothing ticks for it.
    fn expire_events(&mut self) {
        let ttl = self.correlator.ttl;
        if ttl.is_zero() {
            return;
        }
        let Some(limit) = self.now.as_nanos().checked_sub(ttl.as_nanos()) else { return };
        let limit = self.calendar.timestamp(SimTime::from_nanos(limit));
        while let Some((_, id)) = self.correlator.written.front().copied().filter(|(at, _)| *at < limit) {
            self.correlator.written.pop_front();
            // Of one that was written again since another entry tells.
            if let Some(event) = self.get_id::<Event>(id).filter(|event| event.last < limit).cloned() {
                self.remove(id, &event);
            }
        }
    }
}

impl Correlator {
    /// Forgets what makes no difference any more, now and then: aggregates whose window is over, full buckets.
    fn sweep(&mut self, now: SimTime) {
        if self.aggregates.len() + self.spam.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.aggregates.retain(|_, aggregate| !aggregate.is_over(now));
        self.spam.retain(|_, bucket| !bucket.is_full(now));
        self.sweep_at = 2 * (self.aggregates.len() + self.spam.len());
    }

    /// Takes a token of a source's budget for one object.
    fn allow(&mut self, key: Key, now: SimTime) -> bool {
        let bucket = self.spam.or_insert_with(key, || Bucket { tokens: SPAM_BURST, refilled: now });
        if bucket.is_full(now) {
            // Nothing is saved up beyond that.
            *bucket = Bucket { tokens: SPAM_BURST, refilled: now };
        } else {
            let refill = bucket.refill(now);
            bucket.tokens += refill;
            bucket.refilled += SPAM_REFILL * refill;
        }
        let allowed = bucket.tokens > 0;
        bucket.tokens -= u64::from(allowed);
        allowed
    }
}

impl Bucket {
    /// Tokens that have come since it was refilled.
    fn refill(&self, now: SimTime) -> u64 {
        now.since(self.refilled).as_nanos() / SPAM_REFILL.as_nanos()
    }

    /// Whether it is what a new one would be.
    fn is_full(&self, now: SimTime) -> bool {
        self.tokens + self.refill(now) >= SPAM_BURST
    }
}
