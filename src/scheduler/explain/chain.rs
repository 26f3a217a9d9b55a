//! From a Pod over its claims and volumes to the nodes that can reach them.

use crate::api::node::HOSTNAME_LABEL;
use crate::api::selector::{NodeSelectorTerm, Operator};
use crate::api::storage::{ClaimPhase, PvSource, migrated_driver};
use crate::api::{ObjectKey, Pod};
use crate::base::Str;
use crate::params::drivers;
use crate::scheduler::framework::{Listers, Snapshot, Status};

/// A claim of a Pod and where it holds the Pod.
#[derive(Clone, Debug)]
pub struct ClaimChain {
    /// The claim.
    pub claim: ObjectKey,
    /// What became of it.
    pub state: ClaimState,
}

/// What became of a claim.
#[derive(Clone, Debug)]
pub enum ClaimState {
    /// There is no such claim.
    Missing,
    /// It has no volume yet.
    Unbound {
        /// Its class, possibly empty.
        class: Str,
        /// Whether the class exists.
        class_exists: bool,
        /// Whether it gets its volume with the Pod's node.
        waits_for_pod: bool,
        /// The class's provisioner, if nobody runs it.
        idle_provisioner: Option<Str>,
    },
    /// It is bound to a volume that is gone.
    VolumeMissing {
        /// The volume.
        volume: Str,
    },
    /// It is bound.
    Bound {
        /// The volume.
        volume: Str,
        /// From where the volume can be reached, in words; none if from everywhere.
        reach: Option<String>,
        /// The directory that it is, of whichever node it is mounted on.
        directory: Option<Str>,
        /// The nodes that can reach it, with what they have against the Pod; sorted by name.
        nodes: Vec<(Str, Vec<Status>)>,
        /// How many nodes cannot.
        others: usize,
    },
}

/// The chains of a Pod's claims, in the order of its volumes.
pub fn chains(snapshot: &Snapshot, pod: &Pod, refusals: &[(Str, Vec<Status>)]) -> Vec<ClaimChain> {
    let names = pod.spec.claim_names(&pod.meta.name);
    let chain = |name: Str| {
        let claim = ObjectKey::new(pod.meta.namespace.clone(), name);
        ClaimChain { state: state(snapshot, &claim, refusals), claim }
    };
    names.into_iter().map(chain).collect()
}

fn state(snapshot: &Snapshot, key: &ObjectKey, refusals: &[(Str, Vec<Status>)]) -> ClaimState {
    let listers = &snapshot.listers;
    let Some(claim) = listers.claims.at(key) else { return ClaimState::Missing };
    if claim.spec.volume_name.is_empty() || claim.phase == ClaimPhase::Pending {
        let class = listers.classes.named(&claim.class());
        return ClaimState::Unbound {
            class: claim.class(),
            class_exists: class.is_some(),
            waits_for_pod: class.is_some_and(|c| c.wait_for_first_consumer),
            idle_provisioner: class.map(|c| &c.provisioner).filter(|p| !is_run(listers, p)).cloned(),
        };
    }
    let volume = claim.spec.volume_name.clone();
    let Some(found) = listers.volumes.named(&volume) else { return ClaimState::VolumeMissing { volume } };
    let affinity = found.node_affinity.as_ref();
    let reaches = |name: &str| {
        let node = snapshot.get(name);
        node.is_some_and(|n| affinity.is_none_or(|a| a.matches(n.name(), &n.node().meta.labels)))
    };
    let nodes: Vec<_> = refusals.iter().filter(|(name, _)| reaches(name)).cloned().collect();
    ClaimState::Bound {
        volume,
        directory: match &found.source {
            PvSource::HostPath(path) if affinity.is_none() => Some(path.clone()),
            _ => None,
        },
        reach: affinity.map(|a| a.terms.iter().map(words).collect::<Vec<_>>().join(" or ")),
        others: refusals.len() - nodes.len(),
        nodes,
    }
}

/// Whether somebody makes volumes in the name of a provisioner.
fn is_run(listers: &Listers, provisioner: &str) -> bool {
    let driver = migrated_driver(provisioner).unwrap_or(provisioner);
    let object = listers.csi_drivers.named(driver).map(|d| &**d);
    drivers::is_installed(driver, object, listers.csi_nodes.iter().map(|n| &**n))
}

/// Labels that a node must have to reach the volumes of a Pod, as far as they leave no choice.
pub fn wanted_labels(listers: &Listers, pod: &Pod) -> Vec<(Str, Str)> {
    let mut out: Vec<(Str, Str)> = Vec::new();
    for name in pod.spec.claim_names(&pod.meta.name) {
        let volume = listers.claims.get(&pod.meta.namespace, &name).map(|c| &c.spec.volume_name);
        let volume = volume.and_then(|name| listers.volumes.named(name));
        let Some([term]) = volume.and_then(|v| v.node_affinity.as_ref()).map(|a| a.terms.as_slice()) else {
            continue;
        };
        for requirement in &term.expressions {
            if let (Operator::In, [value]) = (requirement.operator, requirement.values.as_slice())
                && requirement.key != HOSTNAME_LABEL
            {
                out.push((requirement.key.clone(), value.clone()));
            }
        }
    }
    out.sort();
    out.dedup();
    out
}

fn words(term: &NodeSelectorTerm) -> String {
    let all = term.expressions.iter().chain(&term.fields).map(ToString::to_string);
    all.collect::<Vec<_>>().join(" and ")
}
