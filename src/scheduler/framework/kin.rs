//! Where Pods with Pod (anti-)affinity are, by what they have in common.
//!
//! Replicas share their shape, so that each shape is asked once what it thinks of a Pod, however many replicas there are.

use super::node_info::NodeId;
use super::pod_info::PodShape;
use super::whereabouts::{Site, Whereabouts};
use crate::base::{Arc, LookupMap};

/// Pods of one shape.
#[derive(Clone, Debug)]
pub struct Family {
    /// What they share.
    pub shape: Arc<PodShape>,
    /// Where they are.
    pub whereabouts: Whereabouts,
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

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.families.len() == self.free.len()
    }

    /// A Pod with Pod (anti-)affinity is on a node, whose places are given.
    pub(super) fn add(&mut self, node: NodeId, shape: &Arc<PodShape>, site: &Site) {
        let at = match self.index.get(&address(shape)) {
            Some(at) => *at,
            None => {
                let at = self.free.pop().unwrap_or(self.families.len());
                let family = Some(Family { shape: shape.clone(), whereabouts: Whereabouts::default() });
                match self.families.get_mut(at) {
                    Some(slot) => *slot = family,
                    None => self.families.push(family),
                }
                self.index.insert(address(shape), at);
                at
            }
        };
        if let Some(family) = &mut self.families[at] {
            family.whereabouts.add(node, site);
        }
    }

    /// Such a Pod is on a node no more.
    pub(super) fn remove(&mut self, node: NodeId, shape: &Arc<PodShape>, site: &Site) {
        let Some(at) = self.index.get(&address(shape)).copied() else { return };
        let Some(family) = &mut self.families[at] else { return };
        if family.whereabouts.remove(node, site) {
            self.families[at] = None;
            self.free.push(at);
            self.index.remove(&address(shape));
        }
    }

    /// All of them, to be counted anew.
    pub(super) fn whereabouts_mut(&mut self) -> impl Iterator<Item = &mut Whereabouts> {
        self.families.iter_mut().flatten().map(|family| &mut family.whereabouts)
    }
}

fn address(shape: &Arc<PodShape>) -> usize {
    Arc::as_ptr(shape) as usize
}
