//! The last Pod that fitted nowhere. Another one like it fares the same while nothing has changed.

use crate::api::{Labels, OwnerReference};
use crate::base::{Arc, Few, Str};
use crate::scheduler::decision::{Failure, Nomination};
use crate::scheduler::framework::{Handle, PodInfo, PodShape};

/// What Pods have in common for which plugins find the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sort {
    profile: Str,
    labels: Labels,
    owners: Few<OwnerReference>,
}

/// How far the cluster had changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    nodes: u64,
    arrangement: u64,
    objects: u64,
}

/// A failed cycle that made room for nobody.
#[derive(Clone, Debug)]
pub struct Missed {
    sort: Sort,
    shape: Arc<PodShape>,
    seen: Seen,
    /// Nodes that were filtered.
    pub evaluated: usize,
    /// Plugins that refused the Pod.
    pub refused_by: Vec<&'static str>,
    /// What was said of it.
    pub failure: Failure,
}

impl Missed {
    /// Notes a failed cycle, unless another Pod like it might fare otherwise: because something was nominated or is to be
    /// evicted, or because the Pod is the only one of its sort.
    pub fn of(
        handle: &Handle<'_>,
        pod: &PodInfo,
        evaluated: usize,
        refused_by: &[&'static str],
        failure: &Failure,
    ) -> Option<Self> {
        let decided = matches!(failure.nomination, Nomination::Set(_))
            || !failure.victims.is_empty()
            || !failure.clear_nominations.is_empty();
        if decided {
            return None;
        }
        let (sort, seen) = (sort(handle, pod)?, seen(handle));
        let (refused_by, failure) = (refused_by.to_vec(), failure.clone());
        Some(Self { sort, shape: pod.shape.clone(), seen, evaluated, refused_by, failure })
    }

    /// Whether a Pod fares the same.
    pub fn is_for(&self, handle: &Handle<'_>, pod: &PodInfo) -> bool {
        Arc::ptr_eq(&self.shape, &pod.shape)
            && self.seen == seen(handle)
            && sort(handle, pod).is_some_and(|sort| sort == self.sort)
    }
}

fn seen(handle: &Handle<'_>) -> Seen {
    let snapshot = handle.snapshot;
    Seen {
        nodes: snapshot.touched().count(),
        arrangement: snapshot.arrangement(),
        objects: snapshot.listers.changes(),
    }
}

fn sort(handle: &Handle<'_>, info: &PodInfo) -> Option<Sort> {
    let pod = &info.pod;
    let alone = info.shape.local == 0
        || info.shape.has_ephemeral
        || pod.node_name.is_some()
        || pod.status.nominated_node.is_some()
        || !handle.nominator.is_empty();
    (!alone).then(|| Sort {
        profile: handle.framework.profile_name.clone(),
        labels: pod.meta.labels.clone(),
        owners: pod.meta.owners.clone(),
    })
}
