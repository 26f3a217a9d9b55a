//! Small clusters for the tests of this plugin.

use super::constraint::Constraint;
use crate::api::{LabelSelector, Lasting, Node};
use crate::base::Arc;
use crate::scheduler::framework::{NodeInfo, PodInfo, Snapshot};
use crate::testkit;

/// Nodes with Pods of the label `app=web` on them.
pub struct Cluster {
    /// What plugins see of it.
    pub snapshot: Snapshot,
    names: Vec<String>,
}

impl Cluster {
    /// Nodes by name and labels, with so many Pods on each.
    pub fn new(nodes: &[(&str, &str)], counts: &[u32]) -> Self {
        let mut snapshot = Snapshot::default();
        for ((name, labels), count) in nodes.iter().zip(counts) {
            let meta = Lasting { labels: testkit::labels(labels), ..Lasting::named("", *name) }.into();
            snapshot.set_node(&Arc::new(Node { meta, ..Node::default() }));
            for number in 0..*count {
                let mut pod = testkit::pod(&format!("{name}-{number}"), "app=web");
                pod.meta.uid = pod.meta.name.clone();
                snapshot.add_pod(&(*name).into(), Arc::new(PodInfo::new(Arc::new(pod))));
            }
        }
        Self { snapshot, names: nodes.iter().map(|(name, _)| (*name).to_owned()).collect() }
    }

    /// The nodes in the order they were given.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.names.iter().filter_map(|name| self.snapshot.get(name))
    }
}

/// A constraint over Pods that the selector selects.
pub fn constraint(key: &str, selector: &str, max_skew: i64, min_domains: usize) -> Constraint {
    Constraint {
        max_skew,
        topology_key: key.into(),
        selector: LabelSelector::parse(selector).unwrap(),
        min_domains,
        honor_affinity: true,
        honor_taints: false,
    }
}
