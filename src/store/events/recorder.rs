//! What the recorders remember of what was said.

use std::collections::VecDeque;

use super::{Speaker, Voice, Words};
use crate::api::Event;
use crate::base::fetch::mix;
use crate::base::{LookupMap, Shared, SimDuration, SimTime, Skim, Str, Timestamp};
use crate::kernel::Seed;
use crate::store::kept::About;
use crate::store::{ObjId, Table};

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
/// Fewer sources than this are not looked through for those that can be forgotten.
const SWEEP_MIN: usize = 4096;
/// Lists shorter than this have room for what is in them only.
const SHORT: usize = 8;

/// No Event's place.
pub(super) const NOWHERE: ObjId = ObjId(0);

/// What the recorders remember.
#[derive(Clone, Debug)]
pub struct Correlator {
    /// How long Events are kept; zero: for good.
    pub(super) ttl: SimDuration,
    pub(super) expiry: Expiry,
    sources: LookupMap<(Voice, bool), Shared<Source>>,
    pub(super) serial: u64,
    /// So many sources may be remembered until those that make no difference any more are forgotten.
    sweep_at: usize,
}

impl Default for Correlator {
    fn default() -> Self {
        Self { ttl: EVENT_TTL, expiry: Expiry::default(), sources: LookupMap::new(), serial: 0, sweep_at: 0 }
    }
}

/// Which Event's time may be over next: Events are looked at in the order in which they were written, those that were
/// written again once for each time.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiry {
    /// Events from this place on were not looked at for their creation.
    next: u64,
    /// Writes after the creation: when, the revision, the Event.
    again: VecDeque<(Timestamp, u64, ObjId)>,
    /// Nothing that was not looked at was written before this time.
    all_since: Option<Timestamp>,
}

impl Expiry {
    /// Hears that an Event was written again.
    pub(super) fn repeated(&mut self, at: Timestamp, revision: u64, id: ObjId) {
        self.again.push_back((at, revision, id));
    }

    /// The next Event that was written before `limit`: it may be gone, or have been written again since.
    pub(super) fn next(&mut self, events: &Table<Event>, limit: Timestamp, now: Timestamp) -> Option<ObjId> {
        if self.all_since.is_some_and(|since| limit <= since) {
            return None;
        }
        let mut born = events.next_from(ObjId(self.next));
        while let Some((id, _)) = born.filter(|(_, event)| event.created() > now) {
            // Whoever made it says that it comes from the future: nobody knows when its time is over.
            self.next = id.0 + 1;
            born = events.next_from(ObjId(self.next));
        }
        let born = born.map(|(id, event)| (event.created(), id.0, id));
        let again = self.again.front().copied();
        let first = match (born, again) {
            (Some(born), Some(again)) if again.1 < born.1 => Some(again),
            (Some(born), _) => Some(born),
            (None, again) => again,
        };
        let Some((_, revision, id)) = first.filter(|(at, _, _)| *at < limit) else {
            let since = |entry: Option<(Timestamp, u64, ObjId)>| entry.map_or(now, |(at, _, _)| at);
            self.all_since = Some(since(born).min(since(again)));
            return None;
        };
        if revision == id.0 {
            self.next = id.0 + 1;
        } else {
            self.again.pop_front();
        }
        Some(id)
    }
}

impl Correlator {
    /// Takes out what is remembered of who says this, which is to be put back.
    pub(super) fn take(&mut self, speaker: Speaker, now: SimTime, seed: Seed) -> Shared<Source> {
        let about = About::new(speaker, seed);
        self.sources.remove(&about.recorded()).unwrap_or_else(|| Source::new(about, now).into())
    }

    /// Remembers what was taken out.
    pub(super) fn put_back(&mut self, source: Shared<Source>, now: SimTime) {
        if self.sources.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.sources.retain(|_, source| !source.is_idle(now));
            self.sweep_at = 2 * self.sources.len();
        }
        self.sources.insert(source.about.recorded(), source);
    }
}

/// What a recorder remembers of what one component has said about one object.
#[derive(Clone, Debug)]
pub struct Source {
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

impl Seen {
    /// Whether it is a series that has come to its end.
    fn is_over(&self, now: SimTime) -> bool {
        matches!(self.what, What::Version(_)) && now.since(self.last) > SERIES_SILENCE
    }
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

impl Skim for Source {
    fn skim(&self) -> u64 {
        self.bucket.tokens ^ self.seen.len() as u64
    }
}

impl Source {
    /// Nothing was said yet.
    pub(super) fn new(about: About, now: SimTime) -> Self {
        Self { about: about.into(), bucket: Bucket::full(now), seen: Vec::new() }
    }

    /// A number that is made of what the value points to.
    pub fn skim_parts(&self) -> u64 {
        let seen = self.seen.iter().map(|seen| seen.event.0 ^ u64::from(seen.in_window));
        mix(seen) ^ self.about.host.len() as u64 ^ self.about.regarding.uid.len() as u64
    }

    /// Remembers where the Event of what was said is.
    pub(super) fn set_event(&mut self, place: usize, event: ObjId) {
        if let Some(seen) = self.seen.get_mut(place) {
            seen.event = event;
        }
    }

    /// Counts something, for the recorder that combines and counts.
    pub(super) fn hear(&mut self, words: &Words, now: SimTime) -> Heard {
        let reason = &words.reason;
        let is_of_reason = |seen: &Seen| seen.reason == *reason && !matches!(seen.what, What::Version(_));
        let last = self.seen.iter().filter(|seen| is_of_reason(seen)).map(|seen| seen.last).max();
        if last.is_some_and(|last| now.since(last) > AGGREGATE_WINDOW) {
            self.seen.iter_mut().filter(|seen| is_of_reason(seen)).for_each(|seen| seen.in_window = false);
            self.seen.retain(|seen| seen.in_window || seen.count > 0);
        }
        let message = What::Message(words.message.clone());
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
            if self.seen.is_empty() {
                // What a kubelet says of an ordinary Pod; the scheduler says one thing.
                self.seen.reserve_exact(if matches!(what, What::Version(_)) { 1 } else { 3 });
            } else if self.seen.len() < SHORT {
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

    /// Whether it is as if it had never said anything.
    fn is_idle(&self, now: SimTime) -> bool {
        self.bucket.is_full(now) && self.seen.iter().all(|seen| seen.is_over(now))
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
        if self.is_full(now) {
            // Nothing is saved up beyond that.
            *self = Self::full(now);
        } else {
            let refill = self.refill(now);
            self.tokens += refill;
            self.refilled += SPAM_REFILL * refill;
        }
        let is_left = self.tokens > 0;
        self.tokens -= u64::from(is_left);
        is_left
    }

    /// Tokens that have come since it was refilled.
    fn refill(&self, now: SimTime) -> u64 {
        now.since(self.refilled).as_nanos() / SPAM_REFILL.as_nanos()
    }

    /// Whether it is what a new one would be.
    fn is_full(&self, now: SimTime) -> bool {
        self.tokens + self.refill(now) >= SPAM_BURST
    }
}
