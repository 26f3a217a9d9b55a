//! Events: how recorders fold what components say before it reaches the API server.
//!
//! Upstream: `client-go/tools/record/events_cache.go` (most components) and
//! `client-go/tools/events/event_broadcaster.go` (the scheduler), v1.34.
//!
//! # Fidelity
//! Upstream's recorders each remember 4,096 things and forget those that were not heard of for longest; here each remembers as
//! many of every object. What is said again after upstream has forgotten it begins a new Event there.

mod recorder;

pub(super) use recorder::Correlator;
use recorder::NOWHERE;
pub use recorder::Source;

use super::kept::{About, KeptEvent, Note};
use super::{ObjId, Store, Stored};
use crate::api::{Event, EventType, Kind, Object, ObjectKey, ObjectRef};
use crate::base::{Shared, SimDuration, SimTime, Str};
use crate::kernel::Digest;

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

/// A component, what it speaks of, and whether that is good or bad news: what a recorder counts by. Of two such the same
/// number is as unlikely as of two contents the same digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Voice([u64; 2]);

/// Who speaks of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The component.
    pub source: Str,
    /// Its node, or nothing.
    pub host: Str,
    /// What it is about.
    pub regarding: ObjectRef,
    /// Good or bad news.
    pub event_type: EventType,
    /// Through the `events.k8s.io` recorder. A component has one recorder: it speaks through the same at all times.
    pub series: bool,
}

impl Speaker {
    /// Its voice.
    pub(super) fn voice(&self) -> Voice {
        let ObjectRef { kind, namespace, name, uid } = &self.regarding;
        let hash = Digest::of(&(&self.source, &self.host, kind, namespace, name, uid, self.event_type)).0;
        Voice([(hash >> 64) as u64, hash as u64])
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// A CamelCase word.
    pub reason: Str,
    /// A sentence.
    pub message: Str,
}

impl Store {
    /// Events are forgotten after this time from now on; zero: never. As etcd's leases, in whole seconds.
    pub const fn keep_events_for(&mut self, ttl: SimDuration) {
        self.correlator.ttl = ttl;
    }

    /// Says something about an object; repeats are folded as the component's recorder folds them. Whether the recorder
    /// let it through: it does not when a source says too much about one object.
    pub fn emit(&mut self, emit: Emit) -> bool {
        let Emit { source, host, regarding, event_type, reason, message, series } = emit;
        self.emit_as(Speaker { source, host, regarding, event_type, series }, Words { reason, message })
    }

    /// The same, by somebody who has speaker and words apart.
    pub fn emit_as(&mut self, speaker: Speaker, words: Words) -> bool {
        let mut source = self.correlator.take(speaker, self.now, self.seed);
        let allowed = self.say(&mut source, words);
        self.correlator.put_back(source, self.now);
        allowed
    }

    /// The same, by somebody who keeps what the recorder remembers: who it is needs to be told only the first time.
    pub fn emit_from(
        &mut self,
        source: &mut Option<Shared<Source>>,
        speaker: impl FnOnce() -> Speaker,
        words: Words,
    ) -> bool {
        let begin = || Source::new(About::new(speaker(), self.seed), self.now).into();
        let source: &mut Source = source.get_or_insert_with(begin);
        self.say(source, words)
    }

    /// Says what is said of an object once in its life: nothing of it need be remembered.
    pub fn emit_once(&mut self, speaker: Speaker, words: Words) {
        let about = About::new(speaker, self.seed);
        self.create_event(about.into(), words, 1);
    }

    fn say(&mut self, source: &mut Source, words: Words) -> bool {
        if source.about.series {
            self.say_in_series(source, words);
            return true;
        }
        self.say_singly(source, words)
    }

    fn say_singly(&mut self, source: &mut Source, mut words: Words) -> bool {
        let heard = source.hear(&words, self.now);
        let allowed = source.allow(self.now);
        if allowed {
            if heard.is_combined {
                words.message = format!("(combined from similar events): {}", words.message).into();
            }
            if !self.repeat_event(heard.event, heard.count, Some(&words.message)) {
                let event = self.create_event(source.about.clone(), words, heard.count);
                source.set_event(heard.place, event);
            }
        }
        allowed
    }

    fn say_in_series(&mut self, source: &mut Source, words: Words) {
        // Upstream's key holds the whole reference, its resourceVersion included: once the object was written (a
        // condition with a new message, say), what is said of it begins a new Event.
        let version =
            self.regarded(&source.about.regarding).map_or(0, |object| object.meta().resource_version);
        let heard = source.hear_series(&words.reason, version, self.now);
        match heard.count {
            1 => {
                let event = self.create_event(source.about.clone(), words, 1);
                source.set_event(heard.place, event);
            }
            // Upstream writes the second occurrence; later ones stay in the recorder until the series is refreshed or
            // finished. An Event that has expired meanwhile is simply gone.
            2 => {
                self.repeat_event(heard.event, 2, None);
            }
            _ => {}
        }
    }

    /// The object that a reference is to; none if it is gone.
    fn regarded(&self, regarding: &ObjectRef) -> Option<Object> {
        let ObjectRef { kind, namespace, name, uid } = regarding;
        let key = ObjectKey { namespace: namespace.clone(), name: name.clone() };
        self.get_object(Kind::named(kind)?, &key).filter(|object| object.meta().uid == *uid)
    }

    fn create_event(&mut self, about: Shared<About>, words: Words, count: i32) -> ObjId {
        self.expire_events();
        self.correlator.serial += 1;
        if self.indexes.is_terminating(about.namespace()) {
            // The API server takes nothing new, Events no more than the rest.
            return NOWHERE;
        }
        // The wall clock's nanoseconds, as upstream has it; a counter keeps those of one instant apart.
        let start = u64::try_from(self.calendar().timestamp(SimTime::ZERO).secs()).unwrap_or(0);
        let suffix = start.saturating_mul(1_000_000_000) + self.now.as_nanos() + self.correlator.serial;
        let at = self.timestamp();
        let note = Note {
            about,
            reason: words.reason,
            message: words.message,
            suffix,
            first: at,
            lasted: 0,
            revision: self.revision + 1,
            count,
        };
        self.add_event(note.into())
    }

    /// Says an Event again; the message stays if none is given. Whether the Event is still there.
    fn repeat_event(&mut self, id: ObjId, count: i32, message: Option<&Str>) -> bool {
        let Some(old) = self.kept_event(id) else { return false };
        let new = old.again(self.timestamp(), self.revision + 1, count, message);
        self.replace_event(id, old, new);
        if !self.correlator.ttl.is_zero() {
            self.correlator.expiry.repeated(self.timestamp(), self.revision, id);
        }
        true
    }

    /// Forgets Events older than their time to live; called when one is added, so that nothing ticks for it.
    fn expire_events(&mut self) {
        let ttl = self.correlator.ttl;
        if ttl.is_zero() {
            return;
        }
        let Some(limit) = self.now.as_nanos().checked_sub(ttl.as_nanos()) else { return };
        let (now, limit) = (self.timestamp(), self.calendar.timestamp(SimTime::from_nanos(limit)));
        while let Some(id) = self.correlator.expiry.next(Event::table(&self.tables), limit, now) {
            if let Some(event) = self.kept_event(id).filter(|event| event.last() < limit) {
                self.forget_event(id, event);
            }
        }
    }

    fn kept_event(&self, id: ObjId) -> Option<KeptEvent> {
        Event::table(&self.tables).kept(id).cloned()
    }
}
