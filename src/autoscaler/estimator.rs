//! How many nodes of a group some Pods need.
//!
//! Upstream: `cluster-autoscaler/estimator/{binpacking_estimator,decreasing_pod_orderer}.go`, 1.34.

use super::pending::Group;
use super::simulator::Simulator;
use super::template::Template;
use crate::api::node::HOSTNAME_LABEL;
use crate::base::Str;
use crate::scheduler::framework::{NodeId, PodInfo, Status};

/// What the estimator found.
#[derive(Clone, Debug, Default)]
pub struct Estimate {
    /// New nodes that hold at least one of the Pods.
    pub nodes: usize,
    /// The Pods that they hold.
    pub pods: Vec<PodInfo>,
}

/// Packs Pods into new nodes of a template, at most `nodes_max` of them.
pub fn estimate(
    simulator: &Simulator<'_>,
    template: &Template,
    groups: &[&Group],
    nodes_max: usize,
) -> Estimate {
    let mut packing = Packing {
        simulator: simulator.clone(),
        template,
        nodes: Vec::new(),
        used: Vec::new(),
        next: 0,
        nodes_max,
        placed: Vec::new(),
    };
    let mut ordered: Vec<&&Group> = groups.iter().collect();
    // upstream: float64; the largest first, in the given order among equals.
    ordered.sort_by(|a, b| score(template, b.sample()).total_cmp(&score(template, a.sample())));
    let mut may_grow = true;
    for group in ordered {
        let rest = packing.fill_present(&group.pods);
        may_grow = may_grow && packing.add_nodes(rest);
    }
    Estimate { nodes: packing.used.iter().filter(|used| **used).count(), pods: packing.placed }
}

/// The share of a node that a Pod asks for.
fn score(template: &Template, pod: &PodInfo) -> f64 {
    let share = |asked: i64, room: i64| if room > 0 { asked as f64 / room as f64 } else { 0.0 };
    let (requests, room) = (&pod.resources.requests, &template.node.status.allocatable);
    share(requests.milli_cpu, room.cpu_milli()) + share(requests.memory, room.memory())
}

struct Packing<'a> {
    simulator: Simulator<'a>,
    template: &'a Template,
    /// New nodes in the order of their making.
    nodes: Vec<(Str, NodeId)>,
    used: Vec<bool>,
    /// Where the search for a node that is there already begins.
    next: usize,
    nodes_max: usize,
    placed: Vec<PodInfo>,
}

impl Packing<'_> {
    /// Puts Pods on new nodes that are there already, until one fits none; what is left.
    fn fill_present<'p>(&mut self, pods: &'p [PodInfo]) -> &'p [PodInfo] {
        let places: Vec<NodeId> = self.nodes.iter().map(|(_, id)| *id).collect();
        for (index, pod) in pods.iter().enumerate() {
            let found =
                if places.is_empty() { None } else { self.simulator.find(pod, &places, self.next, |_| true) };
            let Some(place) = found else { return &pods[index..] };
            self.next = (place + 1) % places.len();
            self.put(pod, place);
        }
        &[]
    }

    /// Puts the rest on the newest node or on one more. False if no more nodes may be added.
    fn add_nodes(&mut self, pods: &[PodInfo]) -> bool {
        for pod in pods {
            if let Some(newest) = self.nodes.len().checked_sub(1) {
                match self.simulator.fits(pod, &self.nodes[newest].0) {
                    Ok(()) => {
                        self.put(pod, newest);
                        continue;
                    }
                    Err(status) if spreads_over_hosts(pod) && is_spread_mismatch(&status) => {
                        if self.put_elsewhere(pod, newest) {
                            continue;
                        }
                    }
                    Err(_) => {}
                }
                // A new node that holds nothing refused it: another one would too.
                if !self.used[newest] {
                    return true;
                }
            }
            if self.nodes.len() >= self.nodes_max {
                return false;
            }
            let name = self.template.add_to(&mut self.simulator, self.nodes.len());
            let Some(info) = self.simulator.snapshot.get(&name) else { return false };
            self.nodes.push((name.clone(), info.id));
            self.used.push(false);
            if self.simulator.fits(pod, &name).is_err() {
                return true;
            }
            self.put(pod, self.nodes.len() - 1);
        }
        true
    }

    /// Puts a Pod on any node but the newest one, old ones included. Whether there was one.
    fn put_elsewhere(&mut self, pod: &PodInfo, newest: usize) -> bool {
        let nodes: Vec<NodeId> = self.simulator.snapshot.order().to_vec();
        let not_newest = self.nodes[newest].0.clone();
        let Some(place) = self.simulator.find(pod, &nodes, 0, |name| not_newest != name) else {
            return false;
        };
        let id = nodes[place];
        match self.nodes.iter().position(|(_, new)| *new == id) {
            Some(index) => self.put(pod, index),
            None => {
                let name = self.simulator.snapshot.node(id).name().clone();
                self.simulator.place(pod, &name);
                self.placed.push(pod.clone());
            }
        }
        true
    }

    fn put(&mut self, pod: &PodInfo, place: usize) {
        let name = self.nodes[place].0.clone();
        self.simulator.place(pod, &name);
        self.used[place] = true;
        self.placed.push(pod.clone());
    }
}

/// Whether a Pod asks to be spread over hosts.
fn spreads_over_hosts(pod: &PodInfo) -> bool {
    pod.pod.spec.topology_spread.iter().any(|constraint| constraint.topology_key == HOSTNAME_LABEL)
}

/// Whether a refusal comes from where other Pods lie, so that another node may do.
fn is_spread_mismatch(status: &Status) -> bool {
    status.reasons().any(|reason| reason.text == "node(s) didn't match pod topology spread constraints")
}
