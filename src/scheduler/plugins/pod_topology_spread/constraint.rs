//! Constraints as the plugin works with them: selectors completed, policies resolved.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread/common.go`, `plugins/helper/spread.go`, v1.34.

use crate::api::pod::TopologySpreadConstraint;
use crate::api::selector::{Operator, Requirement};
use crate::api::taint::{TaintEffect, find_untolerated};
use crate::api::{LabelSelector, Labels, Node, ObjectKey, Pod};
use crate::base::Str;
use crate::scheduler::framework::listers::Listers;
use crate::scheduler::framework::topology::Places;
use crate::scheduler::framework::{NodeId, Snapshot};

/// A constraint of one Pod, ready to count with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// Allowed difference.
    pub max_skew: i64,
    /// The label whose values are the domains.
    pub topology_key: Str,
    /// Which Pods of the namespace count; `matchLabelKeys` are in it.
    pub selector: LabelSelector,
    /// With fewer domains than this the least count is taken to be 0.
    pub min_domains: usize,
    /// Only nodes that the Pod's node affinity allows count.
    pub honor_affinity: bool,
    /// Only nodes whose taints the Pod tolerates count.
    pub honor_taints: bool,
}

impl Constraint {
    /// Whether what runs on `node` counts.
    pub fn includes(&self, pod: &Pod, node: &Node) -> bool {
        (!self.honor_affinity || affinity_allows(pod, node))
            && (!self.honor_taints || taints_allow(pod, node))
    }

    /// Whether the Pod asks nothing of nodes by which one could be left out.
    pub fn includes_all(&self, pod: &Pod) -> bool {
        let spec = &pod.spec;
        let anywhere = spec.node_selector.is_empty() && spec.affinity.node_required.is_none();
        !self.honor_taints && (anywhere || !self.honor_affinity)
    }
}

/// The topology keys of some constraints as the snapshot numbers them.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Option<usize>>);

impl Keys {
    /// The keys of constraints, in their order.
    pub fn of(constraints: &[Constraint], snapshot: &Snapshot) -> Self {
        Self(constraints.iter().map(|c| snapshot.topology().key(&c.topology_key)).collect())
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The number of the key of the constraint number `index`; none if no node has ever had it.
    pub fn number(&self, index: usize) -> Option<usize> {
        self.0[index]
    }

    /// The places of the key of the constraint number `index`; none if no node has ever had it.
    pub fn places<'s>(&self, snapshot: &'s Snapshot, index: usize) -> Option<&'s Places> {
        self.0[index].map(|key| snapshot.topology().places(key))
    }

    /// The place of a node by the constraint number `index`; none if it lacks the label.
    pub fn place(&self, snapshot: &Snapshot, index: usize, node: NodeId) -> Option<usize> {
        self.places(snapshot, index)?.of(node)
    }

    /// Whether the node has every key.
    pub fn are_all_on(&self, snapshot: &Snapshot, node: NodeId) -> bool {
        (0..self.0.len()).all(|index| self.place(snapshot, index, node).is_some())
    }
}

/// Whether the Pod's node selector and required node affinity allow `node`.
pub fn affinity_allows(pod: &Pod, node: &Node) -> bool {
    let (labels, spec) = (&node.meta.labels, &pod.spec);
    spec.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        && spec.affinity.node_required.as_ref().is_none_or(|s| s.matches(&node.meta.name, labels))
}

fn taints_allow(pod: &Pod, node: &Node) -> bool {
    let keeps_out = |effect| matches!(effect, TaintEffect::NoSchedule | TaintEffect::NoExecute);
    find_untolerated(&node.taints, &pod.spec.tolerations, |t| keeps_out(t.effect)).is_none()
}

/// The hard or the soft ones among `constraints`, for a Pod with these labels.
pub fn resolve(constraints: &[TopologySpreadConstraint], labels: &Labels, hard: bool) -> Vec<Constraint> {
    constraints
        .iter()
        .filter(|c| c.hard == hard)
        .map(|c| Constraint {
            max_skew: i64::from(c.max_skew),
            topology_key: c.topology_key.clone(),
            selector: with_label_keys(&c.selector, &c.match_label_keys, labels),
            min_domains: usize::try_from(c.min_domains.unwrap_or(1)).unwrap_or(0),
            honor_affinity: c.honor_affinity,
            honor_taints: c.honor_taints,
        })
        .collect()
}

/// The selector, narrowed to the Pod's own values of `keys`.
fn with_label_keys(selector: &LabelSelector, keys: &[Str], labels: &Labels) -> LabelSelector {
    let LabelSelector::Requirements(all) = selector else { return LabelSelector::Nothing };
    let own = keys.iter().filter_map(|key| {
        labels.get(key).map(|value| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        })
    });
    LabelSelector::Requirements(own.chain(all.iter().cloned()).collect())
}

/// The constraints that `defaults` give a Pod without any of its own: none unless a Service or an owner selects it.
pub fn resolve_defaults(
    defaults: &[TopologySpreadConstraint],
    pod: &Pod,
    hard: bool,
    listers: &Listers,
) -> Vec<Constraint> {
    if !defaults.iter().any(|constraint| constraint.hard == hard) {
        return Vec::new();
    }
    let selector = default_selector(pod, listers);
    if selector.is_everything() {
        return Vec::new();
    }
    let mut constraints = resolve(defaults, &pod.meta.labels, hard);
    for constraint in &mut constraints {
        constraint.selector = selector.clone();
    }
    constraints
}

/// What the Services that select the Pod and the controller that owns it select, together.
fn default_selector(pod: &Pod, listers: &Listers) -> LabelSelector {
    let labels = &pod.meta.labels;
    let mut wanted = Labels::default();
    for service in listers.services.in_namespace(&pod.meta.namespace) {
        let Some(selector) = &service.selector else { continue };
        if selector.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            wanted = wanted.merged(selector);
        }
    }
    let Some(owner) = pod.meta.controller() else { return LabelSelector::from_labels(&wanted) };
    let key = ObjectKey { namespace: pod.meta.namespace.clone(), name: owner.name.clone() };
    let own = match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("v1", "ReplicationController") => listers.replication_controllers.at(&key).map(|rc| &rc.0.selector),
        ("apps/v1", "ReplicaSet") => listers.replica_sets.at(&key).map(|rs| &rs.selector),
        ("apps/v1", "StatefulSet") => listers.stateful_sets.at(&key).map(|set| &set.selector),
        _ => None,
    };
    let LabelSelector::Requirements(mut all) = LabelSelector::from_labels(&wanted) else {
        return LabelSelector::Nothing;
    };
    if let Some(LabelSelector::Requirements(more)) = own {
        all.extend(more.iter().filter(|r| !wanted_already(&wanted, r)).cloned());
    }
    LabelSelector::Requirements(all)
}

fn wanted_already(wanted: &Labels, requirement: &Requirement) -> bool {
    requirement.operator == Operator::In
        && matches!(requirement.values.as_slice(), [one] if wanted.get(&requirement.key) == Some(one))
}

/// The constraints of the scheduler's own making: 3 over nodes and 5 over zones, both soft.
pub fn system_defaults() -> Vec<TopologySpreadConstraint> {
    let soft = |key: &str, max_skew| TopologySpreadConstraint {
        max_skew,
        topology_key: key.into(),
        hard: false,
        selector: LabelSelector::Nothing,
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
        match_label_keys: Vec::new(),
    };
    vec![soft(crate::api::node::HOSTNAME_LABEL, 3), soft(crate::api::node::ZONE_LABEL, 5)]
}

/// Whether the node has every topology key.
pub fn has_all_keys(labels: &Labels, constraints: &[Constraint]) -> bool {
    constraints.iter().all(|c| labels.contains_key(&c.topology_key))
}

/// Whether a selector counts no Pods at all: an empty one counts as none.
pub fn counts_nothing(selector: &LabelSelector) -> bool {
    selector.is_everything() || *selector == LabelSelector::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Object, OwnerReference};
    use crate::base::Arc;
    use crate::testkit::{labels, pod, replica_set, service};

    #[test]
    fn label_keys_add_the_pods_own_values() {
        let own = labels("app=web,hash=1");
        let selector = LabelSelector::parse("app=web").unwrap();
        let narrowed = |keys: &[&str]| {
            let keys: Vec<Str> = keys.iter().map(|k| Str::from(*k)).collect();
            with_label_keys(&selector, &keys, &own).to_string()
        };
        assert_eq!(narrowed(&["hash", "missing"]), "hash=1,app=web");
        assert_eq!(narrowed(&["missing"]), "app=web");
        assert_eq!(
            with_label_keys(&LabelSelector::Nothing, &["hash".into()], &own),
            LabelSelector::Nothing,
            "no selector stays no selector"
        );
    }

    #[test]
    fn defaults_need_a_service_or_an_owner_that_selects_the_pod() {
        let mut listers = Listers::default();
        listers.change(None, Some(&Object::Service(Arc::new(service("web")))));
        listers.change(None, Some(&Object::ReplicaSet(Arc::new(replica_set("api", 1)))));
        let defaults = system_defaults();
        let selector = |text: &str, owner: Option<&str>| {
            let mut pod = pod("p", text);
            pod.meta.owners.extend(owner.map(|name| OwnerReference {
                api_version: "apps/v1".into(),
                kind: "ReplicaSet".into(),
                name: name.into(),
                uid: "u".into(),
                controller: true,
                block_owner_deletion: true,
            }));
            let soft = resolve_defaults(&defaults, &pod, false, &listers);
            assert!(resolve_defaults(&defaults, &pod, true, &listers).is_empty());
            soft.first().map(|c| c.selector.to_string())
        };
        assert_eq!(selector("app=web", None).as_deref(), Some("app=web"));
        assert_eq!(selector("app=api", Some("api")).as_deref(), Some("app=api"));
        assert_eq!(selector("app=api", Some("gone")), None);
        assert_eq!(selector("app=other", None), None);
    }
}
