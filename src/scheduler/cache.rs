//! Pods that have a node, those included whose binding is still under way.
//!
//! Upstream: `pkg/scheduler/backend/cache/cache.go`, v1.34. Assumed Pods never expire, as upstream's default.

use super::decision::Binding;
use super::framework::{NodeId, PodInfo, Shapes, Snapshot};
use crate::api::{Pod, Uid};
use crate::base::{Arc, LookupMap, Skim, Str, fetch, gather};

/// A Pod that takes room on a node.
#[derive(Clone, Copy, Debug)]
struct Placed {
    /// It stays with the name while there is a Pod.
    node: NodeId,
    assumed: bool,
}

/// The snapshot with what is needed to keep it.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// The cluster.
    pub snapshot: Snapshot,
    /// What Pods of one template share.
    pub shapes: Shapes,
    placed: LookupMap<Uid, Placed>,
    assumed: usize,
}

impl Cache {
    /// Whether a binding of the Pod is under way.
    pub fn is_assumed(&self, uid: &str) -> bool {
        self.placed.get(uid).is_some_and(|p| p.assumed)
    }

    /// How many bindings are under way.
    pub const fn assumed(&self) -> usize {
        self.assumed
    }

    /// From now on the Pod counts as being on the node, with these annotations more.
    pub fn assume(&mut self, info: &PodInfo, node: &Str, annotations: &[(Str, Str)]) {
        let mut pod = Pod::clone(&info.pod);
        pod.node_name = Some(node.clone());
        Binding::annotate(annotations, &mut pod.meta);
        let info = PodInfo { pod: Arc::new(pod), ..info.clone() };
        self.put(Arc::new(info), node, true);
    }

    /// A binding failed. Gives the Pod as it was assumed.
    pub fn forget(&mut self, uid: &Uid) -> Option<Arc<PodInfo>> {
        if !self.is_assumed(uid) {
            return None;
        }
        self.take(uid)
    }

    /// A Pod with a node came or changed.
    pub fn set_pod(&mut self, pod: &Arc<Pod>) {
        let Some(node) = &pod.node_name else { return };
        if let Some(placed) = self.placed.get_mut(&pod.meta.uid)
            && self.snapshot.node(placed.node).name() == node
            && self.snapshot.renew_pod(placed.node, pod)
        {
            self.assumed -= usize::from(std::mem::take(&mut placed.assumed));
            return;
        }
        self.take(&pod.meta.uid);
        let info = self.info(pod.clone());
        self.put(info, node, false);
    }

    /// Fetches from memory what these Pods' ends will need.
    pub fn fetch<'a>(&self, pods: impl Iterator<Item = &'a Pod>) {
        let placed = gather(pods.filter_map(|pod| Some((pod, self.placed.get(&pod.meta.uid)?.node))));
        fetch(placed.iter().map(|(_, node)| self.snapshot.node(*node).skim()));
        fetch(placed.iter().map(|(pod, node)| self.snapshot.node(*node).skim_pod(&pod.meta.uid)));
    }

    /// A Pod with a node went or ended.
    pub fn remove_pod(&mut self, uid: &Uid) {
        self.take(uid);
    }

    /// What is known of a Pod without a node.
    pub fn info(&mut self, pod: Arc<Pod>) -> Arc<PodInfo> {
        let info = self.shapes.info(pod);
        self.watch(&info);
        Arc::new(info)
    }

    /// Pods are counted by the topology keys that this one names.
    fn watch(&mut self, info: &PodInfo) {
        info.shape.topology_keys.iter().for_each(|key| self.snapshot.watch(key));
    }

    fn put(&mut self, info: Arc<PodInfo>, node: &Str, assumed: bool) {
        let uid = info.uid().clone();
        let node = self.snapshot.add_pod(node, info);
        self.placed.insert(uid, Placed { node, assumed });
        self.assumed += usize::from(assumed);
    }

    fn take(&mut self, uid: &Uid) -> Option<Arc<PodInfo>> {
        let placed = self.placed.remove(uid)?;
        self.assumed -= usize::from(placed.assumed);
        self.snapshot.remove_pod_at(placed.node, uid)
    }
}
