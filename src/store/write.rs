//! Create, update, delete: what the API server does on each.
//!
//! Upstream: `apiserver/pkg/registry/generic/registry/store.go`, `apiserver/pkg/registry/rest/delete.go`,
//! `pkg/registry/core/pod/strategy.go`, v1.34.

use super::admission;
use super::error::ApiError;
use super::kept::KeptEvent;
use super::log::{Logged, Mark};
use super::table::{ObjId, Stored};
use super::{Change, Store, Verb};
use crate::api::{Deletion, Event, Kind, Meta, ObjectKey, Pod, PodStatus, Uid};
use crate::base::{Arc, Str, Timestamp, text::lit};
use crate::kernel::{Seed, Streams};

/// The finalizer of a foreground deletion.
pub const FINALIZER_FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an orphaning deletion.
pub const FINALIZER_ORPHAN: &str = "orphan";

/// What becomes of an owner's dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// The owner goes at once, the dependents after it.
    Background,
    /// The dependents go first.
    Foreground,
    /// The dependents stay, without the owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds the object may take; none for its own.
    pub grace_seconds: Option<i64>,
    /// What becomes of dependents; none for the kind's default.
    pub propagation: Option<Propagation>,
    /// Only the object of this identity.
    pub uid: Option<Uid>,
    /// Only this revision of it.
    pub revision: Option<u64>,
}

impl DeleteOptions {
    /// At once and without grace.
    pub fn force() -> Self {
        Self { grace_seconds: Some(0), ..Self::default() }
    }

    /// With this propagation.
    pub fn with(propagation: Propagation) -> Self {
        Self { propagation: Some(propagation), ..Self::default() }
    }
}

/// What a deletion achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The object is gone.
    Gone,
    /// It carries a deletion timestamp now (or already did).
    Accepted,
}

impl Store {
    /// Creates an object: admission, name, identity, times.
    ///
    /// # Errors
    /// The name is taken, the namespace is missing or being deleted, or admission refuses.
    pub fn create<T: Stored>(&mut self, mut object: T) -> Result<Arc<T>, ApiError> {
        self.check_namespace(&object)?;
        let refusal = admission::admit(self, &mut object)?;
        self.name_it(&mut object)?;
        if let Some(why) = refusal {
            return Err(ApiError::forbidden(T::KIND, &object.meta().name, why));
        }
        let key = object.key();
        if self.id_of::<T>(&key).is_some() {
            return Err(ApiError::AlreadyExists { kind: T::KIND, name: object.meta().name.clone() });
        }
        super::quota::charge(self, None, &object)?;
        super::service::complete(self, None, &mut object)?;
        self.revision += 1;
        let revision = self.revision;
        let id = ObjId(revision);
        let created = self.timestamp();
        let meta = object.meta_mut();
        let lasting = &mut **meta;
        if lasting.uid.is_empty() {
            lasting.uid = identity(&self.identities, id);
        }
        lasting.created = lasting.created.or(Some(created));
        meta.generation = meta.generation.max(i64::from(has_generation(T::KIND)));
        meta.resource_version = revision;
        super::job::complete(&mut object);
        let object = Arc::new(object);
        self.indexes.insert(id, &*object);
        T::table_mut(&mut self.tables).insert(id, object.clone());
        self.kinds.set(T::KIND, true);
        self.objects += 1;
        self.log_change(Verb::Added, id, None, Logged::whole(object.clone()));
        Ok(object)
    }

    /// Adds an Event with a name of its own: Events need no namespace to exist, and nobody admits or counts them.
    pub(super) fn add_event(&mut self, event: KeptEvent) -> ObjId {
        self.revision += 1;
        let id = ObjId(self.revision);
        Event::table_mut(&mut self.tables).put(id, event.clone());
        self.kinds.set(Kind::Event, true);
        self.objects += 1;
        self.log_change(Verb::Added, id, None, Logged::packed(event));
        id
    }

    /// Writes an Event over another.
    pub(super) fn replace_event(&mut self, id: ObjId, old: KeptEvent, new: KeptEvent) {
        self.revision += 1;
        Event::table_mut(&mut self.tables).put(id, new.clone());
        self.log_change(Verb::Modified, id, Some(Logged::packed(old)), Logged::packed(new));
    }

    /// Removes an Event whose time is over.
    pub(super) fn forget_event(&mut self, id: ObjId, last: KeptEvent) {
        self.revision += 1;
        self.take_out::<Event>(id);
        self.objects -= 1;
        self.log_change(Verb::Deleted, id, Some(Logged::packed(last.clone())), Logged::packed(last));
    }

    /// Changes metadata or status; the generation stays. No change, no write.
    ///
    /// # Errors
    /// The object is not there.
    pub fn update<T: Stored>(
        &mut self,
        key: &ObjectKey,
        change: impl FnOnce(&mut T),
    ) -> Result<Arc<T>, ApiError> {
        self.write(key, change, false)
    }

    /// Changes the desired state; the generation grows if anything beyond metadata changed. No change, no write.
    ///
    /// # Errors
    /// The object is not there.
    pub fn update_spec<T: Stored>(
        &mut self,
        key: &ObjectKey,
        change: impl FnOnce(&mut T),
    ) -> Result<Arc<T>, ApiError> {
        self.write(key, change, true)
    }

    /// Writes the status of the Pod at `id` (its subresource). The same status is no write. None: the Pod is not there.
    pub fn set_pod_status(&mut self, id: ObjId, status: PodStatus) -> Option<Arc<Pod>> {
        let old = self.get_id::<Pod>(id)?.clone();
        if old.status == status {
            return Some(old);
        }
        let new =
            Pod { meta: old.meta.clone(), spec: old.spec.clone(), node_name: old.node_name.clone(), status };
        Some(self.commit(id, old, new))
    }

    fn write<T: Stored>(
        &mut self,
        key: &ObjectKey,
        change: impl FnOnce(&mut T),
        spec: bool,
    ) -> Result<Arc<T>, ApiError> {
        let missing = || ApiError::not_found(T::KIND, key);
        let id = self.id_of::<T>(key).ok_or_else(missing)?;
        let old = self.object::<T>(id).ok_or_else(missing)?;
        let mut new = T::clone(&old);
        change(&mut new);
        if spec {
            super::quota::charge(self, Some(&*old), &new)?;
            super::service::complete(self, Some(&*old), &mut new)?;
        }
        if new == *old {
            return Ok(old);
        }
        if spec && has_generation(T::KIND) {
            let meta = std::mem::replace(new.meta_mut(), old.meta().clone());
            let differs = new != *old;
            *new.meta_mut() = meta;
            if differs {
                new.meta_mut().generation = old.meta().generation + 1;
            }
        }
        Ok(self.commit(id, old, new))
    }

    /// Writes `new` over `old`, or removes it if nothing holds it any more.
    ///
    /// A write that lets go of a deleted object is not seen: watchers hear that it is gone, as it was before.
    fn commit<T: Stored>(&mut self, id: ObjId, old: Arc<T>, mut new: T) -> Arc<T> {
        if may_vanish(&new, new.meta()) {
            self.remove(id, &old);
            return Arc::new(new);
        }
        self.revision += 1;
        new.meta_mut().resource_version = self.revision;
        let new = Arc::new(new);
        self.indexes.replace(id, &*old, &*new);
        T::table_mut(&mut self.tables).replace(id, new.clone());
        self.log_change(Verb::Modified, id, Some(Logged::whole(old)), Logged::whole(new.clone()));
        new
    }

    /// Removes an object that nothing holds.
    pub(super) fn remove<T: Stored>(&mut self, id: ObjId, object: &Arc<T>) {
        self.remove_as(id, object, None);
    }

    /// Removes an object whose last state shows its deletion, or not.
    fn remove_as<T: Stored>(&mut self, id: ObjId, object: &Arc<T>, mark: Option<Box<Mark>>) {
        self.revision += 1;
        self.indexes.remove(id, &**object);
        super::service::release(self, &**object);
        self.take_out::<T>(id);
        self.objects -= 1;
        let object = Logged::whole(object.clone());
        let (at, revision, verb) = (self.now, self.revision, Verb::Deleted);
        self.log.push(Change { at, revision, verb, id, old: Some(object.clone()), object, mark });
    }

    fn take_out<T: Stored>(&mut self, id: ObjId) {
        let table = T::table_mut(&mut self.tables);
        table.remove(id);
        self.kinds.set(T::KIND, !table.is_empty());
    }

    fn log_change(&mut self, verb: Verb, id: ObjId, old: Option<Logged>, object: Logged) {
        let (at, revision) = (self.now, self.revision);
        self.log.push(Change { at, revision, verb, id, old, object, mark: None });
    }

    /// Deletes an object, gracefully where its kind has grace, keeping it while finalizers hold it.
    ///
    /// # Errors
    /// It is not there, or a precondition does not hold.
    pub fn delete<T: Stored>(
        &mut self,
        key: &ObjectKey,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let missing = || ApiError::not_found(T::KIND, key);
        let id = self.id_of::<T>(key).ok_or_else(missing)?;
        self.delete_at::<T>(id, options).ok_or_else(missing)?
    }

    /// The same of what is at `id`; none if nothing is there any more.
    pub fn delete_at<T: Stored>(
        &mut self,
        id: ObjId,
        options: &DeleteOptions,
    ) -> Option<Result<Deleted, ApiError>> {
        let old = self.object::<T>(id)?;
        Some(self.delete_object_at(id, &old, options))
    }

    fn delete_object_at<T: Stored>(
        &mut self,
        id: ObjId,
        old: &Arc<T>,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        check_preconditions(&**old, options)?;
        admission::admit_deletion(T::KIND, &old.meta().name)?;
        let mut meta = old.meta().clone();
        put_propagation_finalizer(&mut meta, T::KIND, options.propagation);
        let grace = effective_grace(&**old, options.grace_seconds);
        mark_deleted(&mut meta, T::KIND, self.timestamp(), grace);
        let gone = may_vanish(&**old, &meta);
        if gone && old.meta().deletion.is_none() {
            // Nothing holds it: it vanishes at once. Of all kinds, only Pods show the mark in their last state.
            let shown = (T::KIND == Kind::Pod).then(|| Box::new(Mark::new(meta)));
            self.remove_as(id, old, shown);
            return Ok(Deleted::Gone);
        }
        let mut new = T::clone(old);
        *new.meta_mut() = meta;
        admission::mark_namespace_terminating(&mut new);
        if new != **old {
            self.commit(id, old.clone(), new);
        } else if gone {
            self.remove(id, old);
        }
        Ok(if gone { Deleted::Gone } else { Deleted::Accepted })
    }

    fn check_namespace<T: Stored>(&self, object: &T) -> Result<(), ApiError> {
        let meta = object.meta();
        if meta.namespace.is_empty() || matches!(T::KIND, Kind::Event | Kind::Lease) {
            return Ok(());
        }
        self.check_content(&meta.namespace, T::KIND, meta.name_or_prefix())
    }

    /// Whether something may be created in a namespace: an object, or a subresource of one.
    ///
    /// # Errors
    /// The namespace is missing (404) or being deleted (403).
    pub fn check_content(&self, namespace: &Str, kind: Kind, name: &Str) -> Result<(), ApiError> {
        let Some(found) = self.get::<crate::api::service::Namespace>(&ObjectKey::cluster(namespace)) else {
            return Err(ApiError::NotFound { kind: Kind::Namespace, name: namespace.clone() });
        };
        if found.terminating {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            return Err(ApiError::Forbidden {
                kind,
                name: name.clone(),
                why: why.into(),
                namespace_terminating: true,
            });
        }
        Ok(())
    }

    fn name_it<T: Stored>(&self, object: &mut T) -> Result<(), ApiError> {
        if !object.meta().name.is_empty() {
            return Ok(());
        }
        if object.meta().generate_name.is_empty() {
            return Err(ApiError::Invalid {
                kind: T::KIND,
                name: Str::new(),
                why: lit!("metadata.name: Required value: name or generateName is required"),
            });
        }
        // Upstream tries up to eight names.
        let mut taken = Str::new();
        for attempt in 0..8 {
            let name = self.generate_name(&object.meta().generate_name, attempt);
            object.meta_mut().name = name.clone();
            if self.id_of::<T>(&object.key()).is_none() {
                return Ok(());
            }
            taken = name;
        }
        Err(ApiError::AlreadyExists { kind: T::KIND, name: taken })
    }
}

/// What identities of objects are drawn from.
pub(super) fn identities(seed: Seed) -> Streams {
    seed.streams("uid")
}

/// The identity of an object that is created at a place, as a UUID.
pub(super) fn identity(streams: &Streams, id: ObjId) -> Uid {
    streams.of(&[&id.0.to_le_bytes()]).uuid()
}

/// Takes over the desired state of `new`, keeping what only the store assigns.
pub(super) fn adopt<T: Stored>(live: &mut T, mut new: T) {
    let (from, to) = (live.meta(), new.meta_mut());
    to.uid = from.uid.clone();
    to.created = from.created;
    to.deletion = from.deletion;
    to.generation = from.generation;
    to.resource_version = from.resource_version;
    *live = new;
}

/// Whether objects of the kind count generations.
const fn has_generation(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Node
            | Kind::Namespace
            | Kind::Service
            | Kind::Event
            | Kind::PersistentVolume
            | Kind::PersistentVolumeClaim
            | Kind::ResourceQuota
            | Kind::LimitRange
            | Kind::ControllerRevision
            | Kind::StorageClass
            | Kind::CsiNode
            | Kind::CsiDriver
            | Kind::CsiStorageCapacity
            | Kind::VolumeAttachment
            | Kind::Lease
            | Kind::Inert
    )
}

/// Whether nothing holds an object any more once it has this metadata.
fn may_vanish<T: Stored>(object: &T, meta: &Meta) -> bool {
    let Some(deletion) = meta.deletion else { return false };
    meta.finalizers.is_empty()
        && (T::KIND != Kind::Pod || deletion.grace_seconds.unwrap_or(0) == 0)
        && !admission::namespace_is_held(object)
}

/// Upstream: `CheckGracefulDelete` of Pods; all other kinds have no grace.
fn effective_grace<T: Stored>(object: &T, asked: Option<i64>) -> i64 {
    match super::index::as_pod(object) {
        None => 0,
        Some(pod) => {
            if pod.node_name.is_none() || pod.is_terminal() {
                return 0;
            }
            let grace = asked.unwrap_or(pod.spec.termination_grace_seconds);
            if grace < 0 { 1 } else { grace }
        }
    }
}

fn check_preconditions<T: Stored>(object: &T, options: &DeleteOptions) -> Result<(), ApiError> {
    let meta = object.meta();
    let conflict =
        |why: String| ApiError::Conflict { kind: T::KIND, name: meta.name.clone(), why: why.into() };
    if let Some(uid) = &options.uid
        && *uid != meta.uid
    {
        return Err(conflict(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta.uid
        )));
    }
    if let Some(revision) = options.revision
        && revision != meta.resource_version
    {
        return Err(conflict(format!(
            "Precondition failed: ResourceVersion in precondition: {revision}, ResourceVersion in object meta: {}",
            meta.resource_version
        )));
    }
    Ok(())
}

/// Sets when an object that is deleted with this grace, in seconds, goes.
fn mark_deleted(meta: &mut Meta, kind: Kind, now: Timestamp, grace: i64) {
    match meta.deletion {
        None => {
            meta.deletion = Some(Deletion { timestamp: now.plus_secs(grace), grace_seconds: Some(grace) });
            meta.generation += i64::from(has_generation(kind));
        }
        Some(Deletion { timestamp, grace_seconds }) => {
            let had = grace_seconds.unwrap_or(0);
            if grace < had {
                let start = timestamp.plus_secs(-had);
                let end = start.plus_secs(grace);
                // Upstream: the end never lies in the past; a positive grace then becomes one second.
                let (end, grace) =
                    if end < now && grace > 0 { (now.plus_secs(1), 1) } else { (end.max(now), grace) };
                meta.deletion = Some(Deletion { timestamp: end, grace_seconds: Some(grace) });
            }
        }
    }
}

/// Puts the finalizer of the wished propagation on, and takes the other off.
fn put_propagation_finalizer(meta: &mut Meta, kind: Kind, propagation: Option<Propagation>) {
    let has = |name: &str| meta.finalizers.iter().any(|f| f == name);
    // Upstream: without a wish, a finalizer that is there already decides, then the kind's default.
    let propagation = propagation.unwrap_or_else(|| {
        if has(FINALIZER_FOREGROUND) {
            Propagation::Foreground
        } else if has(FINALIZER_ORPHAN) || kind == Kind::Job {
            Propagation::Orphan
        } else {
            Propagation::Background
        }
    });
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FINALIZER_FOREGROUND),
        Propagation::Orphan => Some(FINALIZER_ORPHAN),
    };
    let other = |f: &Str| (f == FINALIZER_FOREGROUND || f == FINALIZER_ORPHAN) && Some(f.as_str()) != wanted;
    if meta.finalizers.iter().any(other) {
        meta.finalizers.retain(|f| !other(f));
    }
    if let Some(wanted) = wanted
        && !meta.finalizers.iter().any(|f| f == wanted)
    {
        meta.finalizers.push(wanted.into());
    }
}
