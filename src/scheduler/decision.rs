//! What a scheduling cycle decides, as data: the caller writes it to the API.

use crate::api::{Meta, ObjectKey, Pod};
use crate::base::{Arc, Str};

/// The texts that differ between releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wording {
    /// Up to v1.34.1 the reason names the taint: `node(s) had untolerated taint {key: value}`; from v1.34.2 on it
    /// says `node(s) had untolerated taint(s)`.
    pub names_taints: bool,
    /// Up to v1.32 the reason is `node(s) had volume node affinity conflict`; from v1.33 on
    /// `node(s) didn't match PersistentVolume's node affinity`.
    pub volume_conflict: bool,
    /// Up to v1.33 the reason is `node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access
    /// mode`; from v1.34 on `node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already
    /// in-use by another pod`.
    pub same_name: bool,
}

impl Default for Wording {
    /// v1.34.1, which `1.34` stands for.
    fn default() -> Self {
        Self { names_taints: true, volume_conflict: false, same_name: false }
    }
}

impl Wording {
    /// The texts of a release written as `1.34`, `1.34.2` or `v1.34.2`; unreadable ones count as `1.34`.
    pub fn of_release(release: &str) -> Self {
        let mut parts = release.trim_start_matches('v').split('.').map(|p| p.parse::<u32>().ok());
        let (major, minor, patch) = (parts.next().flatten(), parts.next().flatten(), parts.next().flatten());
        let minor = if major == Some(1) { minor.unwrap_or(34) } else { 34 };
        Self {
            names_taints: minor < 34 || (minor == 34 && patch.unwrap_or(0) < 2),
            volume_conflict: minor < 33,
            same_name: minor < 34,
        }
    }
}

/// How to choose among equals: nodes of the same score, where to begin looking for victims.
pub enum Choice<'a> {
    /// The smallest name, and every node is looked at in order: for snapshots and tests.
    SmallestName,
    /// As upstream: by draws. The function gives a uniform number below its argument, which is at least 1.
    Random(&'a mut dyn FnMut(u64) -> u64),
}

/// One scheduling cycle and what came of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The Pod as the scheduler knew it.
    pub pod: Arc<Pod>,
    /// The name of the profile that ran, which is the Pod's `schedulerName`.
    pub scheduler_name: Str,
    /// What was decided.
    pub decision: Decision,
    /// Nodes that were filtered.
    pub evaluated: usize,
    /// Nodes that passed.
    pub feasible: usize,
}

/// What was decided.
#[derive(Clone, Debug)]
pub enum Decision {
    /// There was nothing to decide.
    Skipped(Skip),
    /// The Pod fits; it is assumed to be there from now on.
    Bind(Binding),
    /// It does not, or the cycle broke; the Pod is back in the queue.
    Failed(Box<Failure>),
}

/// Why there was nothing to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The Pod is being deleted: Warning `FailedScheduling` with `skip schedule deleting pod: <ns>/<name>`.
    Deleting,
    /// A binding of it is under way already.
    Assumed,
    /// It is gone, bound or belongs to another scheduler.
    Gone,
}

/// A placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The node.
    pub node: Str,
    /// What has to be written for its claims before it can be bound, in order.
    pub volumes: Vec<VolumeStep>,
    /// What is written into its annotations with the binding.
    pub annotations: Vec<(Str, Str)>,
}

impl Binding {
    /// Writes annotations that come with a binding to those of the Pod.
    pub fn annotate(annotations: &[(Str, Str)], meta: &mut Meta) {
        for (key, value) in annotations {
            meta.annotations = meta.annotations.with(key.clone(), value.clone());
        }
    }
}

/// A write that VolumeBinding does before a Pod is bound (upstream's PreBind).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeStep {
    /// Set the volume's `claimRef` to the claim; the PV controller does the rest.
    Bind {
        /// The claim.
        claim: ObjectKey,
        /// The PersistentVolume.
        volume: Str,
    },
    /// Annotate the claim with `volume.kubernetes.io/selected-node`; the provisioner does the rest.
    Provision {
        /// The claim.
        claim: ObjectKey,
        /// The node.
        node: Str,
    },
    /// Nothing to write: the claim is bound to a volume already and only its binding must be complete.
    Wait {
        /// The claim.
        claim: ObjectKey,
    },
}

/// Why a Pod was not placed and what upstream would write about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Reason of the condition `PodScheduled=False`: `Unschedulable` or `SchedulerError`.
    pub reason: &'static str,
    /// Its message, in full.
    pub message: String,
    /// What becomes of `status.nominatedNodeName`.
    pub nomination: Nomination,
    /// Pods to evict in favour of this one, most important first; those being deleted already are left out.
    pub victims: Vec<ObjectKey>,
    /// Pods of lower priority that lose their nomination to the same node.
    pub clear_nominations: Vec<ObjectKey>,
    /// Stable names of the reasons with how many nodes gave each, for expectations: `InsufficientCpu`, 3.
    pub causes: Vec<(Str, u32)>,
}

impl Failure {
    /// The text of the event, cut to the 1024 bytes an event note may have.
    ///
    /// Upstream: `pkg/scheduler/schedule_one.go` `truncateMessage`, v1.34.
    pub fn event_message(&self) -> String {
        truncate_note(&self.message)
    }
}

/// Cuts a text to what an event note may hold; the cut never splits a character.
pub fn truncate_note(message: &str) -> String {
    const LIMIT: usize = 1024;
    const SUFFIX: &str = " ...";
    if message.len() <= LIMIT {
        return message.to_owned();
    }
    let mut end = LIMIT - SUFFIX.len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{SUFFIX}", &message[..end])
}

/// What becomes of `status.nominatedNodeName` after a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nomination {
    /// It stays as it is.
    Keep,
    /// It is set to this node.
    Set(Str),
    /// It is emptied.
    Clear,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_choose_their_words() {
        let of = |r| {
            let w = Wording::of_release(r);
            (w.names_taints, w.volume_conflict)
        };
        assert_eq!(of("1.34"), (true, false));
        assert_eq!(of("v1.34.2"), (false, false));
        assert_eq!(of("1.35.0"), (false, false));
        assert_eq!(of("1.33.9"), (true, false));
        assert_eq!(of("1.32"), (true, true));
        assert_eq!(of("latest"), (true, false));
    }

    #[test]
    fn notes_are_cut_as_upstream_cuts_them() {
        assert_eq!(truncate_note("short"), "short");
        let cut = truncate_note(&"x".repeat(1025));
        assert_eq!((cut.len(), cut.ends_with("x ...")), (1024, true));
        assert!(truncate_note(&"é".repeat(600)).len() <= 1024);
    }
}
