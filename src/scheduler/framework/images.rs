//! Which images are on which nodes.
//!
//! Upstream: `pkg/scheduler/backend/cache/cache.go` (`addNodeImageStates`), v1.34.

use super::node_info::NodeId;
use crate::api::Node;
use crate::base::{LookupMap, Str};

/// An image that at least one node holds.
#[derive(Clone, Debug)]
pub struct ImageState {
    /// Its size in bytes, as the node that reported it first says.
    pub size: i64,
    /// The nodes, ordered by their places.
    pub nodes: Vec<NodeId>,
}

/// All images by name.
#[derive(Clone, Debug, Default)]
pub struct Images {
    by_name: LookupMap<Str, ImageState>,
}

impl Images {
    /// The image of this name, tag included.
    pub fn get(&self, name: &str) -> Option<&ImageState> {
        self.by_name.get(name)
    }

    /// Whether no node holds any.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(super) fn add(&mut self, id: NodeId, node: &Node) {
        for (names, size) in &node.status.images {
            for name in names {
                let make = || ImageState { size: *size, nodes: Vec::new() };
                let state = self.by_name.or_insert_with(name.clone(), make);
                if let Err(at) = state.nodes.binary_search(&id) {
                    state.nodes.insert(at, id);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, id: NodeId, node: &Node) {
        for name in node.status.images.iter().flat_map(|(names, _)| names) {
            let Some(state) = self.by_name.get_mut(name.as_str()) else { continue };
            state.nodes.retain(|have| *have != id);
            if state.nodes.is_empty() {
                self.by_name.remove(name.as_str());
            }
        }
    }
}
