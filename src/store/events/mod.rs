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

use super::kept::{About, KeptEvent, Note};
use super::{ObjId, Store, Stored};
use crate::api::{Event, EventType, ObjectRef};
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

impl Voice {
    /// Who speaks of what in something that is said.
    pub fn of(emit: &Emit) -> Self {
        let ObjectRef { kind, namespace, name, uid } = &emit.regarding;
        let hash = Digest::of(&(&emit.source, &emit.host, kind, namespace, name, uid, emit.event_type)).0;
        Self([(hash >> 64) as u64, hash as u64])
    }
}

impl Store {
    /// Events are forgotten after this time from now on; zero: never. As etcd's leases, in whole seconds.
    pub const fn keep_events_for(&mut self, ttl: SimDuration) {
        self.correlator.ttl = ttl;
    }

    /// Says something about an object; repeats are folded as the component's recorder folds them. Whether the recorder
    /// let it through: it does not when a source says too much about one object.
    pub fn emit(&mut self, emit: Emit) -> bool {
        self.emit_in(Voice::of(&emit), emit)
    }

    /// The same by somebody who knows its voice.
    pub fn emit_in(&mut self, voice: Voice, emit: Emit) -> bool {
        if emit.series {
            self.emit_series(voice, &emit);
            return true;
        }
        self.emit_correlated(voice, emit)
    }

    /// Nothing more will be said in this voice: its recorder need not remember what was.
    pub fn fall_silent(&mut self, voice: Voice) {
        self.correlator.forget(voice);
    }

    fn emit_correlated(&mut self, voice: Voice, mut emit: Emit) -> bool {
        let now = self.now;
        let source = self.correlator.source(voice, &emit, now, self.seed);
        let heard = source.hear(&emit, now);
        let allowed = source.allow(now);
        if allowed {
            let about = source.about.clone();
            if heard.is_combined {
                emit.message = format!("(combined from similar events): {}", emit.message).into();
            }
            if !self.repeat_event(heard.event, heard.count, Some(&emit.message)) {
                let event = self.create_event(about, &emit, heard.count);
                self.correlator.set_event(voice, heard.place, event);
            }
        }
        allowed
    }

    fn emit_series(&mut self, voice: Voice, emit: &Emit) {
        // Upstream's key holds the whole reference, its resourceVersion included: once the object was written (a
        // condition with a new message, say), what is said of it begins a new Event.
        let version = self.by_uid(&emit.regarding.uid).map_or(0, |object| object.meta().resource_version);
        let now = self.now;
        let source = self.correlator.source(voice, emit, now, self.seed);
        let heard = source.hear_series(&emit.reason, version, now);
        match heard.count {
            1 => {
                let about = source.about.clone();
                let event = self.create_event(about, emit, 1);
                self.correlator.set_event(voice, heard.place, event);
            }
            // Upstream writes the second occurrence; later ones stay in the recorder until the series is refreshed or
            // finished. An Event that has expired meanwhile is simply gone.
            2 => {
                self.repeat_event(heard.event, 2, None);
            }
            _ => {}
        }
    }

    fn create_event(&mut self, about: Shared<About>, emit: &Emit, count: i32) -> ObjId {
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
            reason: emit.reason.clone(),
            message: emit.message.clone(),
            suffix,
            first: at,
            last: at,
            revision: self.revision + 1,
            count,
            series: emit.series,
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
