//! How objects lie in their tables: as they are, but for Events.
//!
//! A cluster has several times more Events than other objects, hardly one of which is ever looked at. What a recorder said
//! takes the room that it needs, and becomes an [`Event`] once somebody asks.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::ObjId;
use super::events::{Speaker, Voice};
use super::write::{identities, identity};
use crate::api::event::Said;
use crate::api::{Event, EventType, Lasting, Meta, ObjectRef, Resource};
use crate::base::{Arc, Shared, Str, Timestamp};
use crate::kernel::Seed;

/// An object at its place in a table.
pub trait Kept<T>: Clone + fmt::Debug {
    /// The object as it is.
    fn whole(object: Arc<T>) -> Self;

    /// The object that lies at this place.
    fn object(&self, id: ObjId) -> Arc<T>;

    /// Whether it lies in this namespace.
    fn is_in(&self, namespace: &str) -> bool;

    /// Whether this is its name.
    fn is_called(&self, name: &str) -> bool;
}

impl<T: Resource + Clone> Kept<T> for Arc<T> {
    fn whole(object: Arc<T>) -> Self {
        object
    }

    fn object(&self, _: ObjId) -> Arc<T> {
        self.clone()
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.meta().namespace == *namespace
    }

    fn is_called(&self, name: &str) -> bool {
        self.meta().name == *name
    }
}

/// An Event at its place.
#[derive(Clone, Debug)]
pub struct KeptEvent(Arc<Form>);

#[derive(Debug)]
enum Form {
    /// As a recorder made it.
    Note(Note),
    /// As a user made or changed it.
    Whole(Arc<Event>),
}

/// Who speaks of what: the same for all that a component says about an object.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The component.
    pub source: Str,
    /// Its node, or nothing.
    pub host: Str,
    /// The object.
    pub regarding: ObjectRef,
    /// Good or bad news.
    pub event_type: EventType,
    /// Whether it came through the `events.k8s.io` recorder.
    pub series: bool,
    /// What identities are drawn from.
    pub seed: Seed,
    /// What the first four stand for.
    pub voice: Voice,
}

impl About {
    /// This speaker with its voice.
    pub(super) fn new(speaker: Speaker, seed: Seed) -> Self {
        let voice = speaker.voice();
        let Speaker { source, host, regarding, event_type, series } = speaker;
        Self { source, host, regarding, event_type, series, seed, voice }
    }

    /// Under what a recorder remembers it.
    pub(super) const fn recorded(&self) -> (Voice, bool) {
        (self.voice, self.series)
    }

    /// The namespace of Events.
    pub(super) fn namespace(&self) -> &str {
        if self.regarding.namespace.is_empty() { "default" } else { &self.regarding.namespace }
    }
}

/// What a recorder says of an Event.
#[derive(Clone, Debug)]
pub(super) struct Note {
    /// Who speaks of what.
    pub about: Shared<About>,
    /// A CamelCase word.
    pub reason: Str,
    /// A sentence.
    pub message: Str,
    /// What follows the object's name in its own.
    pub suffix: u64,
    /// When it was first said.
    pub first: Timestamp,
    /// When it was last said: seconds after the first time, of which there are enough for a hundred years.
    pub lasted: u32,
    /// How often.
    pub count: i32,
    /// The revision of the last write.
    pub revision: u64,
}

// There are several for each Pod, for an hour: with the count of its holders it fills a line of the processor's memory.
const _: () = assert!(size_of::<Form>() <= 56);

impl Note {
    fn last(&self) -> Timestamp {
        self.first.plus_secs(self.lasted.into())
    }

    fn name(&self) -> String {
        format!("{}.{:x}", self.about.regarding.name, self.suffix)
    }

    fn event(&self, id: ObjId) -> Event {
        let about = &self.about;
        let lasting = Lasting {
            uid: identity(&identities(about.seed), id),
            created: Some(self.first),
            ..Lasting::named(about.namespace(), self.name())
        };
        let meta = Meta { resource_version: self.revision, ..lasting.into() };
        Event {
            meta,
            regarding: about.regarding.clone(),
            reason: self.reason.clone(),
            message: self.message.clone(),
            event_type: about.event_type,
            source: about.source.clone(),
            host: about.host.clone(),
            first: self.first,
            last: self.last(),
            count: self.count,
            series: about.series,
        }
    }
}

impl From<Note> for KeptEvent {
    fn from(note: Note) -> Self {
        Self(Arc::new(Form::Note(note)))
    }
}

impl KeptEvent {
    /// What it says.
    pub fn said(&self) -> Said<'_> {
        match &*self.0 {
            Form::Note(note) => Said {
                regarding: &note.about.regarding,
                event_type: note.about.event_type,
                reason: &note.reason,
                message: &note.message,
                count: note.count,
            },
            Form::Whole(event) => event.said(),
        }
    }

    /// When it came to be.
    pub(super) fn created(&self) -> Timestamp {
        match &*self.0 {
            Form::Note(note) => note.first,
            Form::Whole(event) => event.meta.created.unwrap_or_default(),
        }
    }

    /// When it was last said.
    pub(super) fn last(&self) -> Timestamp {
        match &*self.0 {
            Form::Note(note) => note.last(),
            Form::Whole(event) => event.last,
        }
    }

    /// The same, said again; the message stays if none is given.
    #[must_use]
    pub(super) fn again(&self, at: Timestamp, revision: u64, count: i32, message: Option<&Str>) -> Self {
        match &*self.0 {
            Form::Note(note) => {
                let message = message.unwrap_or(&note.message).clone();
                let lasted = at.secs_since(note.first).clamp(0, u32::MAX.into()) as u32;
                Note { lasted, revision, count, message, ..note.clone() }.into()
            }
            Form::Whole(event) => {
                let mut event = Event::clone(event);
                event.meta.resource_version = revision;
                (event.last, event.count) = (at, count);
                if let Some(message) = message {
                    event.message = message.clone();
                }
                Self::whole(Arc::new(event))
            }
        }
    }
}

impl Hash for KeptEvent {
    /// All but the revision, which is that of the write, and what follows from the rest.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &*self.0 {
            Form::Note(note) => {
                let Note { about, reason, message, suffix, first, lasted: _, revision: _, count } = note;
                about.voice.hash(state);
                (reason, message, suffix, first, note.last(), count, about.series).hash(state);
            }
            Form::Whole(event) => event.hash(state),
        }
    }
}

impl Kept<Event> for KeptEvent {
    fn whole(event: Arc<Event>) -> Self {
        Self(Arc::new(Form::Whole(event)))
    }

    fn object(&self, id: ObjId) -> Arc<Event> {
        match &*self.0 {
            Form::Note(note) => Arc::new(note.event(id)),
            Form::Whole(event) => event.clone(),
        }
    }

    fn is_in(&self, namespace: &str) -> bool {
        match &*self.0 {
            Form::Note(note) => note.about.namespace() == namespace,
            Form::Whole(event) => event.is_in(namespace),
        }
    }

    fn is_called(&self, name: &str) -> bool {
        match &*self.0 {
            // Names are made for those only that could have this one.
            Form::Note(note) => name.starts_with(&*note.about.regarding.name) && note.name() == name,
            Form::Whole(event) => event.is_called(name),
        }
    }
}
