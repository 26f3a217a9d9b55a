//! Pods of a DaemonSet: made for one node each, found by node.
//!
//! Upstream: `pkg/controller/daemon/util/daemonset_util.go`, v1.34.

use super::placement::tolerations;
use crate::api::selector::{NodeSelector, NodeSelectorTerm, Operator, Requirement};
use crate::api::workload::DaemonSet;
use crate::api::{Pod, PodSpec, Toleration, fingerprint, k8s};
use crate::base::{Arc, LookupMap, Str};
use crate::controller::common;
use crate::controller::framework::Ctx;
use crate::controller::history::REVISION_LABEL;

/// The field by which a Pod is tied to its node.
const NAME_FIELD: &str = "metadata.name";

/// Makes the Pods of one revision. What they share is built once; only the affinity is the node's own.
#[derive(Clone, Debug)]
pub(super) struct Maker {
    owner: common::Owner,
    /// The Pod without affinity to a node.
    base: Pod,
}

impl Maker {
    /// Of the present template, whose revision has this hash.
    pub(super) fn new(set: &DaemonSet, hash: &Str) -> Self {
        let owner = common::Owner::of(set);
        let mut base = common::pod_from_template(&set.template, &owner);
        base.meta.labels = base.meta.labels.with(REVISION_LABEL, hash.clone());
        base.spec = Arc::new(with_tolerations(&set.template.spec));
        Self { owner, base }
    }

    /// Who owns the Pods.
    pub(super) const fn owner(&self) -> &common::Owner {
        &self.owner
    }

    /// The Pod for a node.
    pub(super) fn pod(&self, node: &Str) -> Pod {
        let mut pod = self.base.clone();
        pod.spec = Arc::new(tied_to(&self.base.spec, node));
        pod
    }
}

fn with_tolerations(spec: &PodSpec) -> PodSpec {
    let mut spec = spec.clone();
    spec.tolerations = tolerations(&spec);
    let mut raw = k8s::core::v1::PodSpec::clone(&spec.raw);
    raw.tolerations = Some(spec.tolerations.iter().map(raise).collect());
    spec.fingerprint = fingerprint::of(&raw);
    spec.raw = Arc::new(raw);
    spec
}

fn raise(toleration: &Toleration) -> k8s::core::v1::Toleration {
    let text = |s: &Str| (!s.is_empty()).then(|| s.to_string());
    k8s::core::v1::Toleration {
        key: text(&toleration.key),
        operator: Some(if toleration.exists { "Exists" } else { "Equal" }.to_owned()),
        value: text(&toleration.value),
        effect: toleration.effect.map(|e| e.as_str().to_owned()),
        toleration_seconds: toleration.seconds,
    }
}

/// The spec with its required node affinity replaced by the node's name.
///
/// # Fidelity
/// The fingerprint combines that of the common part with the node's name instead of hashing the whole form.
fn tied_to(base: &PodSpec, node: &Str) -> PodSpec {
    let mut spec = base.clone();
    spec.fingerprint = fingerprint::of(&(base.fingerprint, node.as_str()));
    let requirement =
        Requirement { key: NAME_FIELD.into(), operator: Operator::In, values: vec![node.clone()] };
    let term = NodeSelectorTerm { expressions: Vec::new(), fields: vec![requirement] };
    spec.affinity.node_required = Some(NodeSelector { terms: vec![term] });
    let mut raw = k8s::core::v1::PodSpec::clone(&base.raw);
    let affinity = raw.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    affinity.required_during_scheduling_ignored_during_execution = Some(k8s::core::v1::NodeSelector {
        node_selector_terms: vec![k8s::core::v1::NodeSelectorTerm {
            match_fields: Some(vec![k8s::core::v1::NodeSelectorRequirement {
                key: NAME_FIELD.to_owned(),
                operator: "In".to_owned(),
                values: Some(vec![node.to_string()]),
            }]),
            match_expressions: None,
        }],
    });
    spec.raw = Arc::new(raw);
    spec
}

/// The node a Pod runs on or is made for.
pub(super) fn target_node(pod: &Pod) -> Option<&Str> {
    if let Some(node) = &pod.node_name {
        return Some(node);
    }
    let fields = pod.spec.affinity.node_required.iter().flat_map(|s| &s.terms).flat_map(|t| &t.fields);
    let mut named = fields.filter(|f| f.key == NAME_FIELD && f.operator == Operator::In);
    match named.next()?.values.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

/// The Pods of a DaemonSet by node.
#[derive(Debug, Default)]
pub(super) struct ByNode {
    pods: LookupMap<Str, Vec<Arc<Pod>>>,
    /// Nodes in the order in which their first Pods were made.
    pub nodes: Vec<Str>,
}

impl ByNode {
    /// Claims the Pods and sorts them by node. Ended Pods that are being deleted are left out.
    pub(super) fn claim(ctx: &mut Ctx<'_>, set: &DaemonSet) -> Self {
        let owner = common::Owner::of(set);
        let mut by_node = Self::default();
        for pod in common::claim_pods(ctx, &owner, &set.selector, |_| true) {
            let finished = pod.is_terminal() && pod.meta.is_deleting();
            if let (Some(node), false) = (target_node(&pod), finished) {
                let node = node.clone();
                by_node.add(&node, pod);
            }
        }
        by_node
    }

    fn add(&mut self, node: &Str, pod: Arc<Pod>) {
        match self.pods.get_mut(node) {
            Some(pods) => pods.push(pod),
            None => {
                self.nodes.push(node.clone());
                self.pods.insert(node.clone(), vec![pod]);
            }
        }
    }

    /// The Pods of a node; none if it has none.
    pub(super) fn on(&self, node: &str) -> Option<&[Arc<Pod>]> {
        self.pods.get(node).map(Vec::as_slice)
    }
}

/// Orders the Pods of a node: bound ones first, then the oldest, then by name.
pub(super) fn sort(pods: &mut [&Arc<Pod>]) {
    pods.sort_by(|a, b| {
        let key = |p: &Pod| (p.node_name.is_none(), p.meta.created);
        key(a).cmp(&key(b)).then_with(|| a.meta.name.cmp(&b.meta.name))
    });
}

/// Whether the Pod is of the revision with this hash.
pub(super) fn is_updated(pod: &Pod, hash: &str) -> bool {
    pod.meta.labels.get(REVISION_LABEL).is_some_and(|h| h == hash)
}
