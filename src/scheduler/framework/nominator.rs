//! Pods for which preemption made room on a node, until they are placed.
//!
//! Upstream: `pkg/scheduler/backend/queue/nominator.go`, v1.34.

use std::collections::BTreeMap;

use super::pod_info::PodInfo;
use crate::api::Uid;
use crate::base::{Arc, LookupMap, Str};

/// Nominated Pods by node.
#[derive(Clone, Debug, Default)]
pub struct Nominator {
    by_node: BTreeMap<Str, Vec<Arc<PodInfo>>>,
    node_of: LookupMap<Uid, Str>,
}

impl Nominator {
    /// Pods nominated to a node, in the order of nomination.
    pub fn on_node(&self, node: &str) -> &[Arc<PodInfo>] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing is nominated anywhere.
    pub fn is_empty(&self) -> bool {
        self.node_of.is_empty()
    }

    /// The nodes to which something is nominated, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Str> {
        self.by_node.keys()
    }

    /// The node a Pod is nominated to.
    pub fn node_of(&self, uid: &str) -> Option<&Str> {
        self.node_of.get(uid)
    }

    /// Nominates a Pod, in place of an earlier nomination of it.
    pub fn add(&mut self, info: Arc<PodInfo>, node: &Str) {
        self.remove(info.uid());
        self.node_of.insert(info.uid().clone(), node.clone());
        self.by_node.entry(node.clone()).or_default().push(info);
    }

    /// Forgets the nomination of a Pod.
    pub fn remove(&mut self, uid: &str) {
        if self.is_empty() {
            return;
        }
        let Some(node) = self.node_of.remove(uid) else { return };
        let Some(pods) = self.by_node.get_mut(&node) else { return };
        pods.retain(|p| p.uid() != uid);
        if pods.is_empty() {
            self.by_node.remove(&node);
        }
    }
}
