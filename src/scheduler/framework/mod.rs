//! What plugins are made of and what they see: the scheduling framework.
//!
//! A plugin is a type with a name, the extension points it implements (one trait each) and a function that makes
//! it from [`Setup`]: `fn new(setup: &Setup<'_>) -> Extensions`. It is a pure function of the Pod, the
//! [`Snapshot`] and its arguments; what it remembers within a cycle it keeps in the [`CycleState`] under a type of
//! its own. Plugins do not know one another.
//!
//! | extension point | trait | when |
//! |---|---|---|
//! | PreEnqueue | [`PreEnqueue`] | before a Pod enters the active queue |
//! | QueueSort | [`QueueSort`] | orders the active queue; exactly one plugin |
//! | PreFilter | [`PreFilter`] | once a cycle; with AddPod and RemovePod for dry runs |
//! | Filter | [`Filter`] | per node |
//! | PostFilter | [`PostFilter`] | once, if no node passed |
//! | PreScore | [`PreScore`] | once, over the nodes that passed |
//! | Score, NormalizeScore | [`Score`] | per node, then once |
//! | Reserve, PreBind | [`Reserve`] | on the chosen node; says what must be written before binding |
//! | EventsToRegister | [`EnqueueExtensions`] | which events may help a Pod that the plugin refused |
//!
//! Upstream: `pkg/scheduler/framework/{interface,types}.go`, `kube-scheduler/framework`, v1.34.
//!
//! # Fidelity
//! There are no Permit, Bind and PostBind plugins and no extenders.

pub mod args;
mod assumed;
pub mod cover;
pub mod events;
pub mod fit_error;
pub mod images;
pub mod kin;
pub mod layout;
pub mod listers;
pub mod looks;
pub mod node_info;
pub mod node_tree;
pub mod nominator;
pub mod pod_info;
pub mod resources;
pub mod runtime;
pub mod snapshot;
pub mod state;
pub mod status;
pub mod topology;
pub mod whereabouts;

pub use args::{PluginArgs, Setup};
pub use cover::{Cover, Foreseen, Gate, Passed, Relief};
pub use events::{ActionType, ClusterEvent, EventResource, Hint};
pub use listers::Listers;
pub use node_info::{NodeId, NodeInfo};
pub use nominator::Nominator;
pub use pod_info::{AffinityTerm, PodInfo, PodShape, Shapes};
pub use resources::Resources;
pub use runtime::{Framework, Handle};
pub use snapshot::Snapshot;
pub use state::CycleState;
pub use status::{Code, NodeStatuses, Reason, Status, cause};

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync;

use super::decision::{Choice, Nomination, VolumeStep};
use super::preemption::Preempted;
use crate::api::{Object, ObjectKey};
use crate::base::{Arc, LookupSet, SimTime, Str};

/// The highest score a node may have after normalisation.
pub const MAX_NODE_SCORE: i64 = 100;

/// Decides whether a Pod may enter the active queue.
pub trait PreEnqueue: Debug + Send + Sync {
    /// Lets the Pod in or says why not.
    ///
    /// # Errors
    /// Why the Pod is gated.
    fn pre_enqueue(&self, ctx: &EnqueueContext<'_>, pod: &PodInfo) -> Result<(), Status>;
}

/// What PreEnqueue plugins see.
#[derive(Clone, Copy, Debug)]
pub struct EnqueueContext<'a> {
    /// Identities of Pods whose victims are being evicted right now.
    pub preempting: &'a LookupSet<Str>,
}

/// What the active queue is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The Pod's priority.
    pub priority: i32,
    /// When it entered the queue after its last failure.
    pub timestamp: SimTime,
    /// The order of entering among equals.
    pub sequence: u64,
}

/// Orders the active queue.
pub trait QueueSort: Debug + Send + Sync {
    /// A key for the Pod; the smallest is taken first.
    fn key(&self, pod: &PodInfo, key: SortKey) -> (i64, u64, u64);
}

/// What a PreFilter plugin says of a Pod that it does not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreFiltered {
    /// Every node is to be filtered.
    AllNodes,
    /// Only nodes of these names can pass.
    Nodes(BTreeSet<Str>),
    /// The plugin has nothing against any node: its Filter, AddPod and RemovePod are not called in this cycle.
    Skip,
}

/// Looks at a Pod before its nodes, and keeps track of Pods that dry runs put or take.
pub trait PreFilter: Debug + Send + Sync {
    /// Works out what Filter needs.
    ///
    /// # Errors
    /// The Pod fits nowhere, or the plugin broke.
    fn pre_filter(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<PreFiltered, Status>;

    /// A dry run has put `added` on `node` (which holds it already).
    ///
    /// # Errors
    /// The plugin broke.
    fn add_pod(
        &self,
        _snapshot: &Snapshot,
        _state: &mut CycleState,
        _pod: &PodInfo,
        _added: &PodInfo,
        _node: &NodeInfo,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// A dry run has taken `removed` from `node` (which holds it no more).
    ///
    /// # Errors
    /// The plugin broke.
    fn remove_pod(
        &self,
        _snapshot: &Snapshot,
        _state: &mut CycleState,
        _pod: &PodInfo,
        _removed: &PodInfo,
        _node: &NodeInfo,
    ) -> Result<(), Status> {
        Ok(())
    }
}

/// Lets a node pass or refuses it.
pub trait Filter: Debug + Send + Sync {
    /// Whether the Pod can run on the node. `node` may be a copy that a dry run has changed.
    ///
    /// # Errors
    /// Why it cannot, or the plugin broke.
    fn filter(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Status>;

    /// A quick look for Pods of the same wishes as this one, for plugins that are [local](Extensions::local): it is taken at
    /// every node that has changed. [`Self::filter`] is called for those that it does not take.
    fn surely(&self, _state: &CycleState, _pod: &PodInfo) -> Option<Surely> {
        None
    }

    /// What [`Self::filter`] will say of all nodes in this cycle, if that can be told at once: gates are pushed, all of which a
    /// node must pass. Called after PreFilter, unless that said [`PreFiltered::Skip`]. A plugin that does not implement it is
    /// asked of every node. One that does says the same, here and in PreFilter, for all Pods of one spec, one namespace, equal
    /// labels and equal owners.
    fn cover(
        &self,
        _snapshot: &Snapshot,
        _state: &CycleState,
        _pod: &PodInfo,
        _gates: &mut Vec<Gate>,
    ) -> Cover {
        Cover::Unknown
    }
}

/// What a PostFilter plugin found.
#[derive(Clone, Debug, Default)]
pub struct PostFiltered {
    /// What becomes of the Pod's nomination; `Nomination::Keep` is upstream's nil result.
    pub nomination: Option<Nomination>,
    /// Pods to evict, most important first.
    pub victims: Vec<Arc<PodInfo>>,
    /// Pods of lower priority that lose their nomination to the same node.
    pub clear_nominations: Vec<ObjectKey>,
    /// None is success: the Pod can be scheduled later. Otherwise why not.
    pub status: Option<Status>,
    /// What preemption found on every node, if the choice was to look at all of them.
    pub preempted: Option<Arc<Preempted>>,
}

/// Tries to make room for a Pod that fits nowhere.
pub trait PostFilter: Debug + Send + Sync {
    /// Called once after no node passed; `statuses` says why.
    fn post_filter(
        &self,
        handle: &Handle<'_>,
        state: &CycleState,
        pod: &PodInfo,
        statuses: &NodeStatuses,
        choice: &mut Choice<'_>,
    ) -> PostFiltered;
}

/// What a PreScore plugin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreScored {
    /// Score is to be called.
    Score,
    /// The plugin has no preference: its Score is not called in this cycle.
    Skip,
}

/// Looks at the nodes that passed before they are scored.
pub trait PreScore: Debug + Send + Sync {
    /// Works out what Score needs.
    ///
    /// # Errors
    /// The plugin broke.
    fn pre_score(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
    ) -> Result<PreScored, Status>;

    /// The same before it is known which nodes pass, for plugins to which that makes no difference.
    ///
    /// # Errors
    /// The plugin broke.
    fn foresee(
        &self,
        _snapshot: &Snapshot,
        _state: &mut CycleState,
        _pod: &PodInfo,
    ) -> Result<Foreseen, Status> {
        Ok(Foreseen::Open)
    }

    /// The scores of the nodes that passed, for plugins that have foreseen [`Foreseen::ByPlace`]: what Score would give each
    /// of them after PreScore, normalised. None: nodes have to be asked after all.
    fn by_place(
        &self,
        _snapshot: &Snapshot,
        _state: &CycleState,
        _pod: &PodInfo,
        _passed: Passed<'_>,
    ) -> Option<Relief> {
        None
    }
}

/// Scores nodes.
pub trait Score: Debug + Send + Sync {
    /// The node's score, in any range if [`Self::normalize`] brings it to 0..=100.
    ///
    /// # Errors
    /// The plugin broke.
    fn score(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<i64, Status>;

    /// The same for Pods of the same wishes as this one, worked out beforehand, for plugins that are
    /// [local](Extensions::local) and cannot break: it is called for every node that has changed. `state` is that of a cycle
    /// after PreScore. None: [`Self::score`] is called.
    fn ready(&self, _state: &CycleState, _pod: &PodInfo) -> Option<Ready> {
        None
    }

    /// The scores of nodes, added to `scores` in their order: as [`Self::score`] gives them, all at once.
    ///
    /// # Errors
    /// The plugin broke.
    fn score_all(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
        scores: &mut Vec<i64>,
    ) -> Result<(), Status> {
        for node in nodes {
            scores.push(self.score(snapshot, state, pod, node)?);
        }
        Ok(())
    }

    /// Whether [`Self::normalize`] does anything.
    fn normalizes(&self) -> bool {
        true
    }

    /// Brings the scores (parallel to `nodes`) to 0..=100.
    ///
    /// # Errors
    /// The plugin broke.
    fn normalize(
        &self,
        _snapshot: &Snapshot,
        _state: &CycleState,
        _pod: &PodInfo,
        _nodes: &[&NodeInfo],
        _scores: &mut [i64],
    ) -> Result<(), Status> {
        Ok(())
    }
}

/// What a plugin says of nodes to Pods of the same wishes, worked out beforehand as far as it goes.
pub struct Beforehand<T>(sync::Arc<dyn Fn(&[&NodeInfo], &mut [T]) + Send + Sync>);

/// What a Score plugin gives nodes.
pub type Ready = Beforehand<i64>;

/// A quick look at nodes: those that it takes the Filter plugin lets pass, too.
pub type Surely = Beforehand<bool>;

impl<T> Beforehand<T> {
    /// Says so of a node.
    pub fn new(says: impl Fn(&NodeInfo) -> T + Send + Sync + 'static) -> Self {
        Self(sync::Arc::new(move |nodes, said| {
            said.iter_mut().zip(nodes).for_each(|(said, node)| *said = says(node));
        }))
    }

    /// Puts down what is said of nodes, in their order; `said` has as many places.
    pub fn of(&self, nodes: &[&NodeInfo], said: &mut [T]) {
        (self.0)(nodes, said);
    }
}

impl<T> Clone for Beforehand<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Debug for Beforehand<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Beforehand")
    }
}

/// Takes what the Pod needs beside the node.
pub trait Reserve: Debug + Send + Sync {
    /// What has to be written before the Pod can be bound to `node`, in order.
    ///
    /// # Errors
    /// The node does not do after all, or the plugin broke.
    fn reserve(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<Vec<VolumeStep>, Status>;

    /// What is written into the Pod's annotations when it is bound to `node`: what it gets of it.
    fn annotations(
        &self,
        _snapshot: &Snapshot,
        _state: &CycleState,
        _pod: &PodInfo,
        _node: &NodeInfo,
    ) -> Vec<(Str, Str)> {
        Vec::new()
    }
}

/// Says which events may help Pods that the plugin refused.
pub trait EnqueueExtensions: Debug + Send + Sync {
    /// The events. A plugin that refuses Pods and registers nothing is never asked again.
    fn events(&self) -> Vec<ClusterEvent>;

    /// Whether what happened may help `pod`. `registered` is the entry of [`Self::events`] that covers it; an
    /// added object has no `old`, a deleted one no `new`.
    fn hint(
        &self,
        _snapshot: &Snapshot,
        _registered: ClusterEvent,
        _pod: &PodInfo,
        _old: Option<&Object>,
        _new: Option<&Object>,
    ) -> Hint {
        Hint::Queue
    }
}

/// A plugin with the extension points it implements.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    /// The plugin's name.
    pub name: &'static str,
    /// PreEnqueue.
    pub pre_enqueue: Option<sync::Arc<dyn PreEnqueue>>,
    /// QueueSort.
    pub queue_sort: Option<sync::Arc<dyn QueueSort>>,
    /// PreFilter.
    pub pre_filter: Option<sync::Arc<dyn PreFilter>>,
    /// Filter.
    pub filter: Option<sync::Arc<dyn Filter>>,
    /// PostFilter.
    pub post_filter: Option<sync::Arc<dyn PostFilter>>,
    /// PreScore.
    pub pre_score: Option<sync::Arc<dyn PreScore>>,
    /// Score.
    pub score: Option<sync::Arc<dyn Score>>,
    /// Reserve.
    pub reserve: Option<sync::Arc<dyn Reserve>>,
    /// EventsToRegister.
    pub enqueue: Option<sync::Arc<dyn EnqueueExtensions>>,
    /// A Bind plugin; what it does is the caller's part.
    pub binds: bool,
    /// What Filter and Score (before normalising) say of a node depends on nothing but the node, the sums of what is on
    /// it, and what all Pods of one [`pod_info::PodShape::local`] share. PreScore depends on the latter alone, and normalising
    /// keeps nodes equal of which Score says 0.
    pub local: bool,
    /// It is local, and what is on a node makes no difference to it: it looks at the node's object alone.
    pub of_object: bool,
}

impl Extensions {
    /// Begins the list of what `plugin` implements.
    pub fn of<P>(name: &'static str, plugin: P) -> ExtensionsOf<P> {
        ExtensionsOf { plugin: sync::Arc::new(plugin), all: Self { name, ..Self::default() } }
    }
}

/// The list of what a plugin implements, in the making: one call for each trait.
#[derive(Debug)]
pub struct ExtensionsOf<P> {
    plugin: sync::Arc<P>,
    all: Extensions,
}

macro_rules! points {
    ($($point:ident: $trait:ident, $doc:literal;)*) => {
        $(impl<P: $trait + 'static> ExtensionsOf<P> {
            #[doc = $doc]
            #[must_use]
            pub fn $point(mut self) -> Self {
                self.all.$point = Some(self.plugin.clone());
                self
            }
        })*
    };
}

points! {
    pre_enqueue: PreEnqueue, "It decides whether Pods may enter the active queue.";
    queue_sort: QueueSort, "It orders the active queue.";
    pre_filter: PreFilter, "It looks at a Pod before its nodes.";
    filter: Filter, "It lets nodes pass or refuses them.";
    post_filter: PostFilter, "It tries to make room for Pods that fit nowhere.";
    pre_score: PreScore, "It looks at the nodes that passed before they are scored.";
    score: Score, "It scores nodes.";
    reserve: Reserve, "It takes what Pods need beside the node.";
    enqueue: EnqueueExtensions, "It says which events may help Pods that it refused.";
}

impl<P> ExtensionsOf<P> {
    /// The list.
    pub fn done(self) -> Extensions {
        self.all
    }

    /// What it says of a node depends on nothing but the node and a Pod's own wishes; see [`Extensions::local`].
    #[must_use]
    pub fn local(mut self) -> Self {
        self.all.local = true;
        self
    }

    /// It is local, and looks at the node's object alone; see [`Extensions::of_object`].
    #[must_use]
    pub fn of_object(mut self) -> Self {
        self.all.of_object = true;
        self.local()
    }

    /// It binds Pods.
    #[must_use]
    pub fn binds(mut self) -> Self {
        self.all.binds = true;
        self
    }
}
