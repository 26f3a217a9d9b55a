//! What the recorders remember of what was said.

use std::collections::VecDeque;
use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::Emit;
use crate::api::{EventType, ObjectRef};
use crate::base::{LookupMap, Shared, SimDuration, SimTime, Str, Timestamp};
use crate::kernel::Seed;
use crate::store::ObjId;
use crate::store::kept::About;

/// Distinct messages of otherwise equal Events within [`AGGREGATE_WINDOW`] until they are combined.
const AGGREGATE_MESSAGES_MAX: usize = 10;
const AGGREGATE_WINDOW: SimDuration = SimDuration::from_mins(10);
/// Events a source may say about one object at once; one more every [`SPAM_REFILL`].
const SPAM_BURST: u64 = 25;
const SPAM_REFILL: SimDuration = SimDuration::from_mins(5);
/// A series that was silent for so long is over.
const SERIES_SILENCE: SimDuration = SimDuration::from_mins(6);
/// Events are forgotten after this time unless the API server is told otherwise (`--event-ttl`).
const EVENT_TTL: SimDuration = SimDuration::from_mins(60);
/// What is remembered of one object: as much as upstream remembers of all together (`maxLruCacheEntries`).
const SEEN_MAX: usize = 4096;
/// Lists shorter than this have room for what is in them only.
const SHORT: usize = 8;

/// No Event's place.
pub(super) const NOWHERE: ObjId = ObjId(0);

/// What the recorders remember.
#[derive(Clone, Debug)]
pub struct Correlator {
    /// How long Events are kept; zero: for good.
    pub(super) ttl: SimDuration,
    /// When Events were written, the first of all first: one that was written again since stands there again.
    pub(super) written: VecDeque<(Timestamp, ObjId)>,
    sources: LookupMap<Key, Shared<Source>>,
    pub(super) serial: u64,
}

impl Default for Correlator {
    fn default() -> Self {
        Self { ttl: EVENT_TTL, written: VecDeque::new(), sources: LookupMap::new(), serial: 0 }
    }
}

/// Stands for source, host, object and type. Of two such the same number is as unlikely as of two contents the same digest.
pub(super) type Key = [u64; 2];

impl Correlator {
    /// Who speaks of what in something that is said.
    pub(super) fn key(emit: &Emit) -> Key {
        let mut hasher = SipHasher13::new();
        let ObjectRef { kind, namespace, name, uid } = &emit.regarding;
        for part in [&emit.source, &emit.host, kind, namespace, name, uid] {
            part.hash(&mut hasher);
        }
        (emit.event_type == EventType::Warning).hash(&mut hasher);
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }

    /// What is remembered of who says this.
    pub(super) fn source(&mut self, key: Key, emit: &Emit, now: SimTime, seed: Seed) -> &mut Source {
        self.sources.or_insert_with(key, || {
            let about = About {
                source: emit.source.clone(),
                host: emit.host.clone(),
                regarding: emit.regarding.clone(),
                event_type: emit.event_type,
                seed,
            };
            Source { about: about.into(), bucket: Bucket::full(now), seen: Vec::new() }.into()
        })
    }

    /// Remembers where the Event of what was said is.
    pub(super) fn set_event(&mut self, key: Key, place: usize, event: ObjId) {
        if let Some(seen) = self.sources.get_mut(&key).and_then(|source| source.seen.get_mut(place)) {
            seen.event = event;
        }
    }
}

/// What one component has said about one object.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) about: Shared<About>,
    bucket: Bucket,
    /// In the order in which they came into the window of their reason, if they are in it.
    seen: Vec<Seen>,
}

/// Something that was said.
#[derive(Clone, Debug)]
struct Seen {
    reason: Str,
    what: What,
    /// Its place; [`NOWHERE`] if the Event was not let through or not taken.
    event: ObjId,
    /// How often; zero if it was said among combined ones only.
    count: i32,
    /// Whether it is among the distinct messages of its reason that are counted now.
    in_window: bool,
    last: SimTime,
}

/// What tells things from one another that are said for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Message(Str),
    /// All that came when there were too many messages.
    Combined,
    /// Of a series: the object's version, whatever the message.
    Version(u64),
}

/// What becomes of something that is said.
pub(super) struct Heard {
    /// Where it is remembered.
    pub(super) place: usize,
    /// The Event there was of it; [`NOWHERE`] if there was none.
    pub(super) event: ObjId,
    /// How often it was said, this time included.
    pub(super) count: i32,
    /// Whether it is one of too many.
    pub(super) is_combined: bool,
}

impl Source {
    /// Counts something, for the recorder that combines and counts.
    pub(super) fn hear(&mut self, emit: &Emit, now: SimTime) -> Heard {
        let reason = &emit.reason;
        let is_of_reason = |seen: &Seen| seen.reason == *reason && !matches!(seen.what, What::Version(_));
        let last = self.seen.iter().filter(|seen| is_of_reason(seen)).map(|seen| seen.last).max();
        if last.is_some_and(|last| now.since(last) > AGGREGATE_WINDOW) {
            self.seen.iter_mut().filter(|seen| is_of_reason(seen)).for_each(|seen| seen.in_window = false);
            self.seen.retain(|seen| seen.in_window || seen.count > 0);
        }
        let message = What::Message(emit.message.clone());
        let mut place = self.place(reason, message);
        if !self.seen[place].in_window {
            let seen = self.seen.remove(place);
            place = self.seen.len();
            self.seen.push(Seen { in_window: true, ..seen });
        }
        self.seen[place].last = now;
        let counted = |seen: &Seen| seen.in_window && is_of_reason(seen);
        let is_combined = self.seen.iter().filter(|seen| counted(seen)).count() >= AGGREGATE_MESSAGES_MAX;
        if is_combined {
            if let Some(oldest) = self.seen.iter().position(counted) {
                self.seen[oldest].in_window = false;
                if self.seen[oldest].count == 0 {
                    self.seen.remove(oldest);
                }
            }
            place = self.place(reason, What::Combined);
        }
        let (event, count) = self.count(place, now);
        Heard { place, event, count, is_combined }
    }

    /// Counts something, for the recorder that makes a series of all that is said about one version of an object.
    pub(super) fn hear_series(&mut self, reason: &Str, version: u64, now: SimTime) -> Heard {
        let is_over =
            |seen: &Seen| matches!(seen.what, What::Version(_)) && now.since(seen.last) > SERIES_SILENCE;
        self.seen.retain(|seen| !is_over(seen));
        let place = self.place(reason, What::Version(version));
        let (event, count) = self.count(place, now);
        Heard { place, event, count, is_combined: false }
    }

    fn count(&mut self, place: usize, now: SimTime) -> (ObjId, i32) {
        let seen = &mut self.seen[place];
        seen.count += 1;
        seen.last = now;
        (seen.event, seen.count)
    }

    /// Where something is remembered from now on.
    fn place(&mut self, reason: &Str, what: What) -> usize {
        let known = self.seen.iter().position(|seen| seen.reason == *reason && seen.what == what);
        known.unwrap_or_else(|| {
            if self.seen.len() >= SEEN_MAX
                && let Some(oldest) = self.seen.iter().position(|seen| !seen.in_window)
            {
                self.seen.remove(oldest);
            }
            if self.seen.len() < SHORT {
                self.seen.reserve_exact(1);
            }
            let reason = reason.clone();
            self.seen.push(Seen {
                reason,
                what,
                event: NOWHERE,
                count: 0,
                in_window: false,
                last: SimTime::ZERO,
            });
            self.seen.len() - 1
        })
    }

    /// Takes a token of the source's budget for this object.
    pub(super) fn allow(&mut self, now: SimTime) -> bool {
        self.bucket.take(now)
    }
}

#[derive(Clone, Debug)]
struct Bucket {
    tokens: u64,
    refilled: SimTime,
}

impl Bucket {
    const fn full(now: SimTime) -> Self {
        Self { tokens: SPAM_BURST, refilled: now }
    }

    fn take(&mut self, now: SimTime) -> bool {
        let refill = now.since(self.refilled).as_nanos() / SPAM_REFILL.as_nanos();
        if self.tokens + refill >= SPAM_BURST {
            // Nothing is saved up beyond that.
            *self = Self::full(now);
        } else {
            self.tokens += refill;
            self.refilled += SPAM_REFILL * refill;
        }
        let is_left = self.tokens > 0;
        self.tokens -= u64::from(is_left);
        is_left
    }
}
