//! A straightforward reading of the rules by which a node takes a Pod or refuses it, to hold the scheduler's words against.

use std::collections::BTreeMap;
use wavetank::base::Arc;

use wavetank::api::storage::{PersistentVolume, PersistentVolumeClaim};
use wavetank::api::{Labels, Node, Pod, ResourceList, Taint, TaintEffect};
use wavetank::base::Quantity;
use wavetank::store::Store;

/// The refusals of one node in the scheduler's words; none if it takes the Pod.
type Refusals = Vec<String>;

/// A cluster as a Pod finds it.
pub struct Cluster<'a> {
    store: &'a Store,
    pub nodes: Vec<&'a Arc<Node>>,
    pods: Vec<&'a Arc<Pod>>,
}

impl<'a> Cluster<'a> {
    pub fn new(store: &'a Store) -> Self {
        let nodes = store.list::<Node>().collect();
        let pods = store.list::<Pod>().filter(|p| p.node_name.is_some() && !p.is_terminal()).collect();
        Self { store, nodes, pods }
    }

    /// The same without the Pods of a node that are worth less.
    pub fn without_lesser(&self, node: &Node, priority: i32) -> Self {
        let stays =
            |p: &&&Arc<Pod>| p.node_name.as_ref() != Some(&node.meta.name) || p.spec.priority >= priority;
        let pods = self.pods.iter().filter(stays).copied().collect();
        Self { store: self.store, nodes: self.nodes.clone(), pods }
    }

    fn on<'b>(&'b self, node: &'b Node) -> impl Iterator<Item = &'b Arc<Pod>> {
        self.pods.iter().copied().filter(|p| p.node_name.as_ref() == Some(&node.meta.name))
    }

    /// How often each reason holds, as the sentence of FailedScheduling counts them.
    pub fn counts(&self, pod: &Pod) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for reason in self.nodes.iter().flat_map(|node| self.refusals(pod, node)) {
            *counts.entry(reason).or_default() += 1;
        }
        counts
    }

    /// Why a node refuses a Pod: what the first filter that refuses it says.
    pub fn refusals(&self, pod: &Pod, node: &Node) -> Refusals {
        let one = |text: &str| vec![text.to_owned()];
        let tolerated = |t: &Taint| pod.spec.tolerations.iter().any(|x| x.tolerates(t));
        if daemon_node(pod).is_some_and(|name| name != node.meta.name.as_str()) {
            return one("node(s) didn't satisfy plugin(s) [NodeAffinity]");
        }
        let cordon = Taint {
            key: "node.kubernetes.io/unschedulable".into(),
            value: "".into(),
            effect: TaintEffect::NoSchedule,
            time_added: None,
        };
        if node.unschedulable && !tolerated(&cordon) {
            return one("node(s) were unschedulable");
        }
        if node.taints.iter().any(|t| t.effect != TaintEffect::PreferNoSchedule && !tolerated(t)) {
            return one("node(s) had untolerated taint(s)");
        }
        if !selects(pod, node) {
            return one("node(s) didn't match Pod's node affinity/selector");
        }
        if self.on(node).any(|other| host_ports(other).iter().any(|port| host_ports(pod).contains(port))) {
            return one("node(s) didn't have free ports for the requested pod ports");
        }
        let room = self.no_room(pod, node);
        if !room.is_empty() {
            return room;
        }
        if self.out_of_reach(pod, node) {
            return one("node(s) didn't match PersistentVolume's node affinity");
        }
        if self.uneven(pod, node) {
            return one("node(s) didn't match pod topology spread constraints");
        }
        if self.keeps_away(pod, pod, node) {
            return one("node(s) didn't match pod anti-affinity rules");
        }
        if self.kept_away(pod, node) {
            return one("node(s) didn't satisfy existing pods anti-affinity rules");
        }
        Vec::new()
    }

    fn no_room(&self, pod: &Pod, node: &Node) -> Refusals {
        let mut used = ResourceList::default();
        self.on(node).for_each(|p| used.add(&requests(p)));
        let wanted = requests(pod);
        let mut out = Vec::new();
        let room = node.status.allocatable.get("pods").unwrap_or(Quantity::ZERO);
        if Quantity::from_units(self.on(node).count() as i64 + 1) > room {
            out.push("Too many pods".to_owned());
        }
        for name in ["cpu", "memory"] {
            let mut sum = ResourceList::default();
            sum.add(&used);
            sum.add(&wanted);
            let has = node.status.allocatable.get(name).unwrap_or(Quantity::ZERO);
            let asks = wanted.get(name).unwrap_or(Quantity::ZERO);
            if asks > Quantity::ZERO && sum.get(name).unwrap_or(Quantity::ZERO) > has {
                out.push(format!("Insufficient {name}"));
            }
        }
        out
    }

    fn out_of_reach(&self, pod: &Pod, node: &Node) -> bool {
        pod.spec.claim_names(&pod.meta.name).iter().any(|claim| {
            let claim = self.store.find::<PersistentVolumeClaim>(&pod.meta.namespace, claim);
            let volume = claim.and_then(|c| self.store.find::<PersistentVolume>("", &c.spec.volume_name));
            let affinity = volume.and_then(|v| v.node_affinity.as_ref());
            affinity.is_some_and(|a| !a.matches(&node.meta.name, &node.meta.labels))
        })
    }

    fn uneven(&self, pod: &Pod, node: &Node) -> bool {
        pod.spec.topology_spread.iter().filter(|c| c.hard).any(|constraint| {
            let key = &constraint.topology_key;
            let mut domains: BTreeMap<&str, i32> = BTreeMap::new();
            for other in &self.nodes {
                let tainted = other.taints.iter().any(|t| {
                    t.effect != TaintEffect::PreferNoSchedule
                        && !pod.spec.tolerations.iter().any(|x| x.tolerates(t))
                });
                let Some(domain) = other.meta.labels.get(key) else { continue };
                if !selects(pod, other) || (constraint.honor_taints && tainted) {
                    continue;
                }
                let here = |p: &&Arc<Pod>| {
                    p.meta.namespace == pod.meta.namespace
                        && !p.meta.is_deleting()
                        && constraint.selector.matches(&p.meta.labels)
                };
                *domains.entry(domain).or_default() += self.on(other).filter(here).count() as i32;
            }
            let least = domains.values().min().copied().unwrap_or(0);
            let here = node.meta.labels.get(key).and_then(|d| domains.get(d.as_str())).copied().unwrap_or(0);
            here + 1 - least > constraint.max_skew
        })
    }

    /// Whether a term of `whose` keeps `pod` away from where others that it selects are.
    fn keeps_away(&self, whose: &Pod, pod: &Pod, node: &Node) -> bool {
        whose.spec.affinity.anti_required.iter().any(|term| {
            self.pods.iter().any(|other| {
                other.meta.namespace == pod.meta.namespace
                    && term.selector.matches(&other.meta.labels)
                    && self.same_place(other, node, &term.topology_key)
            })
        })
    }

    fn kept_away(&self, pod: &Pod, node: &Node) -> bool {
        self.pods.iter().any(|other| {
            other.meta.namespace == pod.meta.namespace
                && other.spec.affinity.anti_required.iter().any(|term| {
                    term.selector.matches(&pod.meta.labels)
                        && self.same_place(other, node, &term.topology_key)
                })
        })
    }

    fn same_place(&self, other: &Pod, node: &Node, key: &str) -> bool {
        let of = |labels: &Labels| labels.get(key).cloned();
        let there = self.nodes.iter().find(|n| other.node_name.as_ref() == Some(&n.meta.name));
        there.and_then(|n| of(&n.meta.labels)).is_some_and(|place| of(&node.meta.labels) == Some(place))
    }
}

fn selects(pod: &Pod, node: &Node) -> bool {
    let selected = pod.spec.node_selector.iter().all(|(key, value)| node.meta.labels.get(key) == Some(value));
    let required = pod.spec.affinity.node_required.as_ref();
    selected && required.is_none_or(|r| r.matches(&node.meta.name, &node.meta.labels))
}

/// The node that a DaemonSet's Pod is for.
fn daemon_node(pod: &Pod) -> Option<&str> {
    let required = pod.spec.affinity.node_required.as_ref()?;
    required.terms.iter().flat_map(|t| &t.fields).find_map(|f| f.values.first()).map(|v| v.as_str())
}

fn host_ports(pod: &Pod) -> Vec<i32> {
    pod.spec.containers.iter().flat_map(|c| &c.ports).map(|p| p.host_port).filter(|p| *p != 0).collect()
}

pub fn requests(pod: &Pod) -> ResourceList {
    let mut sum = ResourceList::default();
    pod.spec.containers.iter().for_each(|c| sum.add(&c.requests));
    sum
}

/// The counts that a sentence of the scheduler gives, and of how many nodes it speaks.
pub fn read(message: &str) -> Option<(usize, BTreeMap<String, usize>)> {
    let (nodes, rest) = message.strip_prefix("0/")?.split_once(" nodes are available: ")?;
    let sentence = rest.split(". ").next()?.trim_end_matches('.');
    let reason = |part: &str| {
        let (count, text) = part.split_once(' ')?;
        Some((text.to_owned(), count.parse().ok()?))
    };
    let counts: Option<BTreeMap<String, usize>> = sentence.split(", ").map(reason).collect();
    Some((nodes.parse().ok()?, counts?))
}
