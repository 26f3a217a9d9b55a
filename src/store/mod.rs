//! The API server's memory: typed tables, revisions, preconditions, finalizers, graceful deletion,
//! indexes, and a log of changes.
//!
//! Everything that components know of one another passes through here. A write takes effect at once
//! and is put into the log of [`Change`]s; whoever runs the clock drains the log and delivers each change to
//! the components that watch, after their delay.
//!
//! * [`log`]: what was written. * [`table`]: one table per kind, in which objects are [`kept`]. * [`mod@write`]: create, update, delete. * [`index`]: Pods by node, by
//!   label, by owner. * [`events`]: the recorders' folding of Events. * [`error`]: refusals in the API server's words.

pub mod admission;
pub mod census;
mod claim;
pub mod error;
pub mod events;
pub mod index;
mod job;
pub mod kept;
mod limits;
pub mod log;
pub mod metrics;
pub mod quota;
mod resize;
mod service;
pub mod table;
mod update;
pub mod webhook;
pub mod write;

pub use error::ApiError;
pub use events::{Emit, Source, Speaker, Words};
pub use index::Alike;
pub use log::{Change, Verb};
pub use table::{Held, ObjId, Stored, Table, Tables};
pub use write::{DeleteOptions, Deleted, Propagation};

use crate::api::object::KindSet;
use crate::api::{Event, EventType, Kind, LabelSelector, Node, Object, ObjectKey, ObjectRef, Pod, Uid};
use crate::base::time::Calendar;
use crate::base::{Arc, NumberSet, SimTime, Skim, Str, Timestamp, fetch, gather};
use crate::kernel::{Seed, Streams};
use admission::Admission;
use events::Correlator;
use index::Indexes;
use kept::Kept;

/// The API server's memory.
#[derive(Clone, Debug)]
pub struct Store {
    now: SimTime,
    calendar: Calendar,
    seed: Seed,
    /// What identities of objects are drawn from.
    identities: Streams,
    revision: u64,
    tables: Tables,
    /// The kinds of which there are objects.
    kinds: KindSet,
    indexes: Indexes,
    admission: Admission,
    correlator: Correlator,
    allocations: service::Allocations,
    log: Vec<Change>,
    objects: u64,
}

impl Store {
    /// An empty store of a run with this calendar and seed.
    pub fn new(calendar: Calendar, seed: Seed) -> Self {
        Self {
            now: SimTime::ZERO,
            calendar,
            seed,
            identities: write::identities(seed),
            revision: 0,
            tables: Tables::default(),
            kinds: KindSet::default(),
            indexes: Indexes::default(),
            admission: Admission::default(),
            correlator: Correlator::default(),
            allocations: service::Allocations::default(),
            log: Vec::new(),
            objects: 0,
        }
    }

    /// Moves the clock; it never runs backwards.
    pub fn advance(&mut self, now: SimTime) {
        assert!(now >= self.now, "the clock ran backwards: {} to {now}", self.now);
        self.now = now;
    }

    /// The present instant.
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// The present as times inside objects have it: whole seconds.
    pub fn timestamp(&self) -> Timestamp {
        self.calendar.timestamp(self.now)
    }

    /// Maps instants to the wall clock and back.
    pub const fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// The seed that names and identities are drawn from.
    pub const fn seed(&self) -> Seed {
        self.seed
    }

    /// The revision of the last write.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// How many objects there are.
    pub const fn len(&self) -> u64 {
        self.objects
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// Settings of admission.
    pub fn admission_mut(&mut self) -> &mut Admission {
        &mut self.admission
    }

    /// Takes all changes since the last call, in the order of their writes.
    pub fn drain_changes(&mut self) -> Vec<Change> {
        self.take_changes(Vec::new())
    }

    /// The same; the log goes on in the room of `emptied`.
    pub(crate) fn take_changes(&mut self, emptied: Vec<Change>) -> Vec<Change> {
        std::mem::replace(&mut self.log, emptied)
    }

    /// Whether changes wait to be taken.
    pub fn has_changes(&self) -> bool {
        !self.log.is_empty()
    }

    /// The object under `key`.
    pub fn get<T: Held>(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        T::table(&self.tables).get(key)
    }

    /// The object under namespace and name; an empty namespace for cluster-scoped kinds.
    pub fn find<T: Held>(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        T::table(&self.tables).find(namespace, name)
    }

    /// The object with this id.
    pub fn get_id<T: Held>(&self, id: ObjId) -> Option<&Arc<T>> {
        T::table(&self.tables).kept(id)
    }

    /// Those of these Pods that are there, of which everything has been fetched that belongs to them alone.
    pub fn fetch_pods(&self, ids: &[ObjId]) -> Vec<(ObjId, &Pod)> {
        let pods = gather(ids.iter().filter_map(|id| Some((*id, &**self.get_id::<Pod>(*id)?))));
        fetch(pods.iter().map(|(_, pod)| pod.skim()));
        fetch(pods.iter().map(|(_, pod)| pod.skim_parts()));
        pods
    }

    /// Fetches of these Pods what [`Self::fetch_pods`] does, and what is needed to remove them.
    pub fn fetch_for_removal(&self, ids: &[ObjId]) {
        let (pods, table) = (self.fetch_pods(ids), Pod::table(&self.tables));
        fetch(
            pods.into_iter().map(|(id, pod)| table.skim_for(id, &pod.meta) ^ self.indexes.skim_for(id, pod)),
        );
    }

    /// A number that is made of all that is needed of a node when a Pod is bound to it.
    pub fn skim_node(&self, name: &str) -> u64 {
        let node =
            self.find::<Node>("", name).map_or(0, |node| (node.meta.labels.len() ^ node.taints.len()) as u64);
        node ^ u64::from(self.indexes.pods_on(name).is_some_and(|pods| pods.contains(u64::MAX)))
    }

    /// The object with this id, whatever its kind.
    pub(crate) fn object<T: Stored>(&self, id: ObjId) -> Option<Arc<T>> {
        Some(T::table(&self.tables).kept(id)?.object(id))
    }

    /// All Events, in the order of their creation, each made when it is asked for.
    pub fn events(&self) -> impl Iterator<Item = Arc<Event>> {
        Event::table(&self.tables).objects().map(|(_, event)| event)
    }

    /// Events about objects, and of types, that are `wanted`, in the order of their creation. Others are not made.
    pub fn events_about(
        &self,
        wanted: impl Fn(&ObjectRef, EventType) -> bool,
    ) -> impl Iterator<Item = Arc<Event>> {
        let table = Event::table(&self.tables);
        table
            .all_kept()
            .filter(move |(_, event)| {
                let said = event.said();
                wanted(said.regarding, said.event_type)
            })
            .map(|(id, event)| event.object(id))
    }

    /// The id of the object under `key`.
    pub fn id_of<T: Stored>(&self, key: &ObjectKey) -> Option<ObjId> {
        T::table(&self.tables).id_of(key)
    }

    /// All objects of a kind, in the order of their creation.
    pub fn list<T: Held>(&self) -> impl Iterator<Item = &Arc<T>> {
        T::table(&self.tables).iter()
    }

    /// All objects of a kind in a namespace, in the order of their creation.
    pub fn list_in<T: Held>(&self, namespace: &str) -> impl Iterator<Item = &Arc<T>> {
        T::table(&self.tables).iter_in(namespace)
    }

    /// How many objects of a kind there are.
    pub fn count<T: Stored>(&self) -> usize {
        T::table(&self.tables).len()
    }

    /// The kinds of which there are objects.
    pub const fn kinds(&self) -> KindSet {
        self.kinds
    }

    /// An object of a kind known only at run time.
    pub fn get_object(&self, kind: Kind, key: &ObjectKey) -> Option<Object> {
        self.tables.get_object(kind, key)
    }

    /// All objects of a kind known only at run time, in the order of their creation.
    pub fn list_objects(&self, kind: Kind) -> Vec<Object> {
        self.tables.list_objects(kind)
    }

    /// All objects of a kind known only at run time in a namespace, in the order of their creation.
    pub fn list_objects_in(&self, kind: Kind, namespace: &str) -> Vec<Object> {
        self.tables.list_objects_in(kind, namespace)
    }

    /// The Pods at these places, in the order of their creation.
    fn pods_at<'a>(&'a self, places: Option<&'a NumberSet>) -> impl Iterator<Item = &'a Arc<Pod>> + use<'a> {
        places.into_iter().flat_map(NumberSet::iter).filter_map(|id| self.get_id::<Pod>(ObjId(id)))
    }

    /// Pods bound to a node, ended ones included, in the order of their creation.
    pub fn pods_on<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a Arc<Pod>> + use<'a> {
        self.pods_at(self.indexes.pods_on(node))
    }

    /// Pods that are bound to no node, ended ones included, in the order of their creation.
    pub fn unbound_pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods_at(Some(self.indexes.unbound_pods()))
    }

    /// Pods managed by the object with this identity, in the order of their creation.
    pub fn pods_of<'a>(&'a self, controller: &str) -> impl Iterator<Item = &'a Arc<Pod>> + use<'a> {
        self.pods_at(self.indexes.pods_of(controller))
    }

    /// How many Pods the object with this identity manages, by their labels.
    pub fn alike_pods_of(&self, controller: &str) -> &[Alike] {
        self.indexes.alike_of(controller)
    }

    /// The zones that have nodes, with how many are ready in each.
    pub const fn zones(&self) -> &census::Zones {
        self.indexes.zones()
    }

    /// Pods of a namespace that nobody manages, in the order of their creation.
    pub fn orphan_pods<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Arc<Pod>> + use<'a> {
        self.pods_at(self.indexes.orphan_pods(namespace))
    }

    /// Pods of a namespace that a selector selects, in the order of their creation. Uses the label index.
    pub fn select_pods(&self, namespace: &str, selector: &LabelSelector) -> Vec<&Arc<Pod>> {
        self.select_pod_ids(namespace, selector).into_iter().map(|(_, pod)| pod).collect()
    }

    /// The same, with their ids.
    pub fn select_pod_ids(&self, namespace: &str, selector: &LabelSelector) -> Vec<(ObjId, &Arc<Pod>)> {
        let with_object = |id| Some((ObjId(id), self.get_id::<Pod>(ObjId(id))?));
        // Pods of one template share their labels.
        let mut last = None;
        let selected = |(_, pod): &(ObjId, &Arc<Pod>)| {
            let labels = &pod.meta.labels;
            let known = last.filter(|(place, _)| *place == labels.place());
            let (place, is) = known.unwrap_or_else(|| (labels.place(), selector.matches(labels)));
            last = Some((place, is));
            is
        };
        match self.indexes.candidates(namespace, selector) {
            Some(ids) => ids.iter().filter_map(with_object).filter(selected).collect(),
            None => {
                let pods = self.list_in::<Pod>(namespace);
                pods.filter_map(|pod| Some((self.id_of::<Pod>(&pod.meta.key())?, pod)))
                    .filter(selected)
                    .collect()
            }
        }
    }

    /// Pods that name a claim, bound or not, ended ones included, in the order of their creation; those for
    /// which it would be an ephemeral claim too, whoever owns it.
    pub fn pods_using<'a>(&'a self, claim: &ObjectKey) -> impl Iterator<Item = &'a Arc<Pod>> + use<'a> {
        self.pods_at(self.indexes.pods_using(claim))
    }

    /// Objects that name the object with this identity as an owner, in the order of their creation.
    pub fn dependents(&self, owner: &Uid) -> Vec<Object> {
        self.indexes
            .dependents(owner)
            .into_iter()
            .flatten()
            .filter_map(|(id, kind)| self.tables.get_object_id(*kind, *id))
            .collect()
    }

    /// The object with this identity, of whatever kind.
    pub fn by_uid(&self, uid: &str) -> Option<Object> {
        let (id, kind) = self.indexes.by_uid(uid, Pod::table(&self.tables))?;
        self.tables.get_object_id(kind, id)
    }

    /// A name for an object of `kind` from its prefix, as the API server generates it.
    ///
    /// Upstream: `apiserver/pkg/storage/names/generate.go`, v1.34: 58 characters of the prefix and 5 random ones.
    pub(crate) fn generate_name(&self, prefix: &str, attempt: u64) -> Str {
        let mut end = prefix.len().min(58);
        while !prefix.is_char_boundary(end) {
            end -= 1;
        }
        let counter = self.revision.to_le_bytes();
        let mut stream =
            self.seed.stream_of("generate-name", &[prefix.as_bytes(), &counter, &attempt.to_le_bytes()]);
        format!("{}{}", &prefix[..end], stream.name_suffix(5)).into()
    }
}

#[cfg(test)]
mod tests;
