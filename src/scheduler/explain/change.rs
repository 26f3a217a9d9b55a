//! What can be altered of a Pod or of the cluster to see whether nodes pass then.

use std::fmt;

use crate::api::taint::{TaintEffect, find_untolerated};
use crate::api::{ObjectKey, Pod, Taint, k8s, lower};
use crate::base::{Arc, Str};
use crate::scheduler::framework::{PodInfo, Snapshot, Status, cause};

/// Different taints that are tried.
const TAINTS_MAX: usize = 4;

/// One alteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The Pod tolerates a taint.
    Tolerate(Taint),
    /// Cordoned nodes are not.
    Uncordon(Vec<Str>),
    /// The Pod has no required node affinity and no node selector.
    NoNodeAffinity,
    /// The Pod has no required affinity to Pods.
    NoPodAffinity,
    /// The Pod has no required anti-affinity to Pods.
    NoPodAntiAffinity,
    /// Pods whose anti-affinity keeps the Pod away are gone.
    WithoutPods(Vec<ObjectKey>),
    /// The Pod has no hard spread constraint over this key.
    NoSpread(Str),
    /// The Pod asks for no host port.
    NoHostPorts,
    /// The Pod does not mount this claim.
    WithoutClaim(Str),
    /// The Pod has no volumes.
    WithoutVolumes,
    /// The Pod requests no resources.
    NoRequests,
    /// The Pod names no node.
    NoNodeName,
}

impl fmt::Display for Change {
    /// As the beginning of a sentence about what would happen then.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tolerate(taint) => write!(f, "tolerating the taint {taint}"),
            Self::Uncordon(nodes) => write!(f, "uncordoning {}", nodes.join(", ")),
            Self::NoNodeAffinity => f.write_str("removing its node selector and required node affinity"),
            Self::NoPodAffinity => f.write_str("removing its required Pod affinity"),
            Self::NoPodAntiAffinity => f.write_str("removing its required Pod anti-affinity"),
            Self::WithoutPods(pods) => {
                let names: Vec<String> = pods.iter().map(ToString::to_string).collect();
                write!(f, "taking away {}, which keep it off by anti-affinity", some(&names))
            }
            Self::NoSpread(key) => write!(f, "removing its hard spread constraint over {key}"),
            Self::NoHostPorts => f.write_str("giving up its host ports"),
            Self::WithoutClaim(claim) => write!(f, "doing without the claim {claim}"),
            Self::WithoutVolumes => f.write_str("doing without its volumes"),
            Self::NoRequests => f.write_str("room for its requests"),
            Self::NoNodeName => f.write_str("removing spec.nodeName"),
        }
    }
}

fn some(names: &[String]) -> String {
    match names {
        [a, b, c, rest @ ..] if rest.len() > 1 => format!("{a}, {b}, {c} and {} more", rest.len()),
        all => all.join(", "),
    }
}

/// The changes that have to do with what the nodes refused; all that there are if the Pod was refused as such.
pub fn candidates(snapshot: &Snapshot, pod: &Arc<Pod>, refusals: &[(Str, Vec<Status>)]) -> Vec<Change> {
    let gave = |cause: &str| {
        let mut all = refusals.iter().flat_map(|(_, statuses)| statuses).flat_map(Status::reasons);
        all.any(|reason| reason.cause == cause)
    };
    let says = |plugin: &str| refusals.iter().flat_map(|(_, statuses)| statuses).any(|s| s.plugin == plugin);
    let mut out = Vec::new();
    if gave(cause::UNTOLERATED_TAINT) {
        out.extend(taints(snapshot, pod).into_iter().map(Change::Tolerate));
    }
    if gave(cause::NODE_UNSCHEDULABLE) {
        let cordoned = snapshot.nodes().filter(|n| n.node().unschedulable).map(|n| n.name().clone());
        out.push(Change::Uncordon(cordoned.collect()));
    }
    if gave(cause::NODE_AFFINITY) {
        out.push(Change::NoNodeAffinity);
    }
    if gave(cause::NODE_NAME) {
        out.push(Change::NoNodeName);
    }
    if says("InterPodAffinity") {
        if !pod.spec.affinity.pod_required.is_empty() {
            out.push(Change::NoPodAffinity);
        }
        if !pod.spec.affinity.anti_required.is_empty() {
            out.push(Change::NoPodAntiAffinity);
        }
        let hostile = hostile(snapshot, pod);
        if !hostile.is_empty() {
            out.push(Change::WithoutPods(hostile));
        }
    }
    if says("PodTopologySpread") {
        for constraint in pod.spec.topology_spread.iter().filter(|c| c.hard) {
            out.push(Change::NoSpread(constraint.topology_key.clone()));
        }
        out.dedup();
    }
    if gave(cause::NODE_PORTS) {
        out.push(Change::NoHostPorts);
    }
    let volumes = ["VolumeBinding", "VolumeZone", "VolumeRestrictions", "NodeVolumeLimits"];
    if refusals.is_empty() || volumes.iter().any(|plugin| says(plugin)) {
        let claims = pod.spec.claim_names(&pod.meta.name);
        match claims.as_slice() {
            [] if pod.spec.volumes.is_empty() => {}
            [] => out.push(Change::WithoutVolumes),
            claims => out.extend(claims.iter().cloned().map(Change::WithoutClaim)),
        }
    }
    if says("NodeResourcesFit") {
        out.push(Change::NoRequests);
    }
    out
}

/// Taints that the Pod does not tolerate, most frequent first.
fn taints(snapshot: &Snapshot, pod: &Pod) -> Vec<Taint> {
    let mut found: Vec<(usize, Taint)> = Vec::new();
    for node in snapshot.nodes() {
        let hard = |t: &Taint| t.effect != TaintEffect::PreferNoSchedule;
        let Some(taint) = find_untolerated(&node.node().taints, &pod.spec.tolerations, hard) else {
            continue;
        };
        let taint = Taint { time_added: None, ..taint.clone() };
        match found.iter_mut().find(|(_, have)| *have == taint) {
            Some((count, _)) => *count += 1,
            None => found.push((1, taint)),
        }
    }
    found.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    found.into_iter().take(TAINTS_MAX).map(|(_, taint)| taint).collect()
}

/// Pods whose required anti-affinity means this Pod.
fn hostile(snapshot: &Snapshot, pod: &Pod) -> Vec<ObjectKey> {
    let meta = &pod.meta;
    let namespace = snapshot.listers.namespace_labels(&meta.namespace);
    let hates = |p: &&Arc<PodInfo>| {
        p.shape.required_anti_affinity.iter().any(|t| t.matches(&meta.namespace, &meta.labels, namespace))
    };
    let all = snapshot.nodes().flat_map(|n| n.pods());
    let mut keys: Vec<ObjectKey> = all.filter(hates).map(|p| p.pod.meta.key()).collect();
    keys.sort();
    keys
}

/// The Pod with the changes that are about it; none if they do not make a Pod.
pub fn altered(pod: &Arc<Pod>, changes: &[Change]) -> Option<Arc<Pod>> {
    let mut raw = k8s::core::v1::PodSpec::clone(&pod.spec.raw);
    let mut out = Pod::clone(pod);
    for change in changes {
        alter(&mut raw, change);
        if *change == Change::NoNodeName {
            out.node_name = None;
        }
    }
    let mut spec = lower::lower_pod_spec(raw).ok()?;
    spec.priority = pod.spec.priority;
    spec.never_preempts = pod.spec.never_preempts;
    out.spec = Arc::new(spec);
    Some(Arc::new(out))
}

fn alter(raw: &mut k8s::core::v1::PodSpec, change: &Change) {
    match change {
        Change::Tolerate(taint) => raw.tolerations.get_or_insert_default().push(k8s::core::v1::Toleration {
            key: Some(taint.key.to_string()),
            operator: Some("Exists".to_owned()),
            effect: Some(taint.effect.as_str().to_owned()),
            ..Default::default()
        }),
        Change::NoNodeAffinity => {
            raw.node_selector = None;
            if let Some(node) = raw.affinity.as_mut().and_then(|a| a.node_affinity.as_mut()) {
                node.required_during_scheduling_ignored_during_execution = None;
            }
        }
        Change::NoPodAffinity => {
            if let Some(pods) = raw.affinity.as_mut().and_then(|a| a.pod_affinity.as_mut()) {
                pods.required_during_scheduling_ignored_during_execution = None;
            }
        }
        Change::NoPodAntiAffinity => {
            if let Some(pods) = raw.affinity.as_mut().and_then(|a| a.pod_anti_affinity.as_mut()) {
                pods.required_during_scheduling_ignored_during_execution = None;
            }
        }
        Change::NoSpread(key) => {
            let soft = |c: &k8s::core::v1::TopologySpreadConstraint| c.when_unsatisfiable != "DoNotSchedule";
            if let Some(all) = &mut raw.topology_spread_constraints {
                all.retain(|c| soft(c) || c.topology_key != key.as_str());
            }
        }
        Change::NoHostPorts => {
            let containers = raw.containers.iter_mut().chain(raw.init_containers.iter_mut().flatten());
            containers.flat_map(|c| c.ports.iter_mut().flatten()).for_each(|port| port.host_port = None);
            raw.host_network = None;
        }
        Change::WithoutClaim(claim) => {
            let is = |v: &k8s::core::v1::Volume| {
                v.persistent_volume_claim.as_ref().is_some_and(|c| c.claim_name == claim.as_str())
                    || v.ephemeral.is_some() && claim.ends_with(&format!("-{}", v.name))
            };
            if let Some(all) = &mut raw.volumes {
                all.retain(|v| !is(v));
            }
        }
        Change::WithoutVolumes => raw.volumes = None,
        Change::NoRequests => {
            let containers = raw.containers.iter_mut().chain(raw.init_containers.iter_mut().flatten());
            containers.for_each(|c| c.resources = None);
            raw.resources = None;
            raw.overhead = None;
        }
        Change::Uncordon(_) | Change::WithoutPods(_) | Change::NoNodeName => {}
    }
}

/// The cluster with the changes that are about it; none if there are none.
pub fn altered_cluster(snapshot: &Snapshot, changes: &[Change]) -> Option<Snapshot> {
    let mut out: Option<Snapshot> = None;
    for change in changes {
        match change {
            Change::Uncordon(names) => {
                let to = out.get_or_insert_with(|| snapshot.clone());
                for name in names {
                    let Some(node) = to.get(name).map(|n| n.node().clone()) else { continue };
                    let mut node = crate::api::Node::clone(&node);
                    node.unschedulable = false;
                    node.taints.retain(|t| t.key != "node.kubernetes.io/unschedulable");
                    to.set_node(&Arc::new(node));
                }
            }
            Change::WithoutPods(keys) => {
                let to = out.get_or_insert_with(|| snapshot.clone());
                let gone: Vec<(Str, Str)> = snapshot
                    .nodes()
                    .flat_map(|n| n.pods().iter().map(move |p| (n.name(), p)))
                    .filter(|(_, p)| keys.binary_search(&p.pod.meta.key()).is_ok())
                    .map(|(node, p)| (node.clone(), p.uid().clone()))
                    .collect();
                for (node, uid) in gone {
                    to.remove_pod(&node, &uid);
                }
            }
            Change::Tolerate(_)
            | Change::NoNodeAffinity
            | Change::NoPodAffinity
            | Change::NoPodAntiAffinity
            | Change::NoSpread(_)
            | Change::NoHostPorts
            | Change::WithoutClaim(_)
            | Change::WithoutVolumes
            | Change::NoRequests
            | Change::NoNodeName => {}
        }
    }
    out
}
