//! The log: what was written, in order.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use super::kept::{Kept, KeptEvent};
use super::table::{ObjId, Stored};
use crate::api::event::Said;
use crate::api::{Event, Kind, Meta, Object, ObjectKey, Resource};
use crate::base::{Arc, SimTime};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// It came to be.
    Added,
    /// It was changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One entry of the log: an object before and after one write.
#[derive(Clone, Debug)]
pub struct Change {
    /// When it was written.
    pub at: SimTime,
    /// The store's revision of the write.
    pub revision: u64,
    /// What happened.
    pub verb: Verb,
    /// The object's place in its table, never used again.
    pub id: ObjId,
    /// The object before; none if it was added.
    pub(super) old: Option<Logged>,
    /// The object after, or before it was deleted.
    pub(super) object: Logged,
    /// What its last state shows of its deletion, if it shows any.
    pub(super) mark: Option<Box<Mark>>,
}

/// The metadata of an object that has been deleted, and the object with it, once somebody asks.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    meta: Meta,
    made: OnceLock<Object>,
}

impl Mark {
    /// With this metadata.
    pub(super) const fn new(meta: Meta) -> Self {
        Self { meta, made: OnceLock::new() }
    }

    /// The object with the mark.
    fn on(&self, object: &Object) -> &Object {
        self.made.get_or_init(|| {
            let mut marked = object.clone();
            *marked.meta_mut() = self.meta.clone();
            marked
        })
    }
}

/// An object in the log: as it is, but for Events, most of which nobody looks at.
#[derive(Clone, Debug)]
pub(super) enum Logged {
    /// As it is.
    Whole(Object),
    /// As the store keeps it, and as it is once somebody has asked.
    Packed(KeptEvent, OnceLock<Object>),
}

impl Logged {
    /// An object as it is.
    pub(super) fn whole<T: Resource>(object: Arc<T>) -> Self {
        Self::Whole(T::wrap(object))
    }

    /// An Event as it is kept.
    pub(super) const fn packed(event: KeptEvent) -> Self {
        Self::Packed(event, OnceLock::new())
    }

    fn object(&self, id: ObjId) -> &Object {
        match self {
            Self::Whole(object) => object,
            Self::Packed(event, made) => made.get_or_init(|| Event::wrap(event.object(id))),
        }
    }
}

impl Change {
    /// Of an object before and after a write.
    pub fn of_object(
        (at, revision): (SimTime, u64),
        verb: Verb,
        id: ObjId,
        old: Option<Object>,
        object: Object,
    ) -> Self {
        Self {
            at,
            revision,
            verb,
            id,
            old: old.map(Logged::Whole),
            object: Logged::Whole(object),
            mark: None,
        }
    }

    /// The kind of the object.
    pub const fn kind(&self) -> Kind {
        match &self.object {
            Logged::Whole(object) => object.kind(),
            Logged::Packed(..) => Kind::Event,
        }
    }

    /// The object before; none if it was added.
    pub fn old(&self) -> Option<&Object> {
        self.old.as_ref().map(|old| old.object(self.id))
    }

    /// The object after, or its last state if it was deleted.
    pub fn object(&self) -> &Object {
        match &self.mark {
            None => self.latest(),
            Some(mark) => mark.on(self.latest()),
        }
    }

    /// The object after, or before it was deleted: the same as [`Change::object`] but for the mark of the deletion, which is
    /// put on only if somebody asks for it.
    pub fn latest(&self) -> &Object {
        self.object.object(self.id)
    }

    /// The object's key.
    pub fn key(&self) -> ObjectKey {
        self.latest().key()
    }

    /// The object as it is now; none once deleted.
    #[allow(clippy::new_ret_no_self, reason = "the counterpart of `old`")]
    pub fn new(&self) -> Option<&Object> {
        (self.verb != Verb::Deleted).then(|| self.latest())
    }

    /// Before and after, if it is of the kind `T`: `(old, new)`, new being none once deleted.
    pub fn of<T: Stored>(&self) -> Option<(Option<&Arc<T>>, Option<&Arc<T>>)> {
        if self.kind() != T::KIND {
            return None;
        }
        let object = T::unwrap(self.latest())?;
        Some((self.old().and_then(T::unwrap), (self.verb != Verb::Deleted).then_some(object)))
    }

    /// What an Event says after the write, if it is one and still there.
    pub fn said(&self) -> Option<Said<'_>> {
        match &self.object {
            _ if self.verb == Verb::Deleted => None,
            Logged::Packed(event, _) => Some(event.said()),
            Logged::Whole(Object::Event(event)) => Some(event.said()),
            Logged::Whole(_) => None,
        }
    }
}

impl Hash for Change {
    /// What is another than before: whoever has heard all changes knows the rest.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.at.as_nanos());
        state.write_u64(self.revision);
        state.write_u64(self.id.0);
        self.verb.hash(state);
        match (self.verb, &self.old, &self.object) {
            (Verb::Deleted, ..) => {}
            (_, _, Logged::Packed(event, _)) => event.hash(state),
            (_, Some(Logged::Whole(Object::Pod(old))), Logged::Whole(Object::Pod(new))) => {
                new.hash_since(old, state);
            }
            (_, _, Logged::Whole(object)) => object.hash(state),
        }
    }
}
