//! Who calls whom.

use petgraph::graph::DiGraph;

use crate::params::traffic::Traffic as Plan;

/// The calls between services.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// Callers before those they call.
    pub order: Vec<usize>,
    /// The place of each service in that order.
    pub place: Vec<usize>,
    /// Who calls each service, in that order, and how many thousandths of a call each of its requests makes.
    pub callers: Vec<Vec<(usize, u64)>>,
}

impl Graph {
    /// Of these services.
    pub fn new(services: &[Plan]) -> Self {
        let order = order(services);
        let mut place = vec![0; services.len()];
        for (at, service) in order.iter().enumerate() {
            place[*service] = at;
        }
        let mut callers = vec![Vec::new(); services.len()];
        for from in &order {
            for call in services[*from].calls.iter().filter(|call| call.to < services.len()) {
                callers[call.to].push((*from, call.per_request));
            }
        }
        Self { order, place, callers }
    }
}

/// Callers before those they call. Circles have been refused before; one that slips through is cut.
pub(super) fn order(services: &[Plan]) -> Vec<usize> {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(services.len(), services.len());
    let nodes: Vec<_> = services.iter().map(|_| graph.add_node(())).collect();
    for (from, service) in services.iter().enumerate() {
        for call in service.calls.iter().filter(|call| call.to < services.len()) {
            graph.add_edge(nodes[from], nodes[call.to], ());
        }
    }
    match petgraph::algo::toposort(&graph, None) {
        Ok(order) => order.into_iter().map(petgraph::graph::NodeIndex::index).collect(),
        Err(_) => (0..services.len()).collect(),
    }
}
