//! Where Pods with Pod (anti-)affinity are, by what they have in common.
//!
//! Replicas share their shape, so that each shape is asked once what it thinks of a Pod, however many replicas there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node_info::NodeId;
use super::pod_info::PodShape;
use crate::base::LookupMap;

/// Pods of one shape.
#[derive(Clone, Debug)]
pub struct Family {
    /// What they share.
    pub shape: Arc<PodShape>,
    /// How many of them are on which node, Pods bound to nodes that are gone included.
    pub nodes: BTreeMap<NodeId, u32>,
}

/// All Pods with a node that have any Pod (anti-)affinity.
#[derive(Clone, Debug, Default)]
pub struct Kin {
    /// By the address of the shape, which the family keeps alive; for looking up only.
    index: LookupMap<usize, usize>,
    families: Vec<Option<Family>>,
    free: Vec<usize>,
}

impl Kin {
    /// All families.
    pub fn iter(&self) -> impl Iterator<Item = &Family> {
        self.families.iter().flatten()
    }

    /// A Pod with Pod (anti-)affinity is on a node.
    pub(super) fn add(&mut self, node: NodeId, shape: &Arc<PodShape>) {
        let at = match self.index.get(&address(shape)) {
            Some(at) => *at,
            None => {
                let at = self.free.pop().unwrap_or(self.families.len());
                let family = Some(Family { shape: shape.clone(), nodes: BTreeMap::new() });
                match self.families.get_mut(at) {
                    Some(slot) => *slot = family,
                    None => self.families.push(family),
                }
                self.index.insert(address(shape), at);
                at
            }
        };
        if let Some(family) = &mut self.families[at] {
            *family.nodes.entry(node).or_default() += 1;
        }
    }

    /// Such a Pod is on a node no more.
    pub(super) fn remove(&mut self, node: NodeId, shape: &Arc<PodShape>) {
        let Some(at) = self.index.get(&address(shape)).copied() else { return };
        let Some(family) = &mut self.families[at] else { return };
        if let Some(count) = family.nodes.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                family.nodes.remove(&node);
            }
        }
        if family.nodes.is_empty() {
            self.families[at] = None;
            self.free.push(at);
            self.index.remove(&address(shape));
        }
    }
}

fn address(shape: &Arc<PodShape>) -> usize {
    Arc::as_ptr(shape) as usize
}
