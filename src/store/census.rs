//! Nodes by zone and health, counted as they change.

use std::collections::BTreeMap;

use crate::api::Node;
use crate::base::Str;

/// Nodes with this label are left out when a zone's health is judged.
///
/// Upstream: `k8s.io/api/core/v1/annotation_key_constants.go` `LabelNodeExcludeDisruption`, v1.34.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-disruption";

/// Region and zone.
pub type ZoneKey = (Str, Str);

/// The zone of a node; nodes without labels are one zone.
pub fn zone_key(node: &Node) -> ZoneKey {
    (node.region(), node.zone())
}

/// Nodes of a zone by health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Ready ones.
    pub ready: usize,
    /// All others.
    pub not_ready: usize,
}

impl Census {
    /// All of them.
    pub const fn all(self) -> usize {
        self.ready + self.not_ready
    }

    const fn of(&mut self, is_ready: bool) -> &mut usize {
        if is_ready { &mut self.ready } else { &mut self.not_ready }
    }
}

/// All zones that have nodes, those left out that have [`EXCLUDE_LABEL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zones(BTreeMap<ZoneKey, Census>);

/// How a node counts; none if it does not.
fn counts(node: &Node) -> Option<(ZoneKey, bool)> {
    (!node.meta.labels.contains_key(EXCLUDE_LABEL)).then(|| (zone_key(node), node.is_ready()))
}

impl Zones {
    /// The zones.
    pub const fn all(&self) -> &BTreeMap<ZoneKey, Census> {
        &self.0
    }

    pub(super) fn insert(&mut self, node: &Node) {
        if let Some((zone, is_ready)) = counts(node) {
            *self.0.entry(zone).or_default().of(is_ready) += 1;
        }
    }

    pub(super) fn remove(&mut self, node: &Node) {
        let Some((zone, is_ready)) = counts(node) else { return };
        let Some(census) = self.0.get_mut(&zone) else { return };
        *census.of(is_ready) -= 1;
        if census.all() == 0 {
            self.0.remove(&zone);
        }
    }

    pub(super) fn replace(&mut self, old: &Node, new: &Node) {
        if old.meta.labels != new.meta.labels || old.is_ready() != new.is_ready() {
            self.remove(old);
            self.insert(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::condition::Condition;
    use crate::api::node::{REGION_LABEL, ZONE_LABEL, ZONE_LABEL_BETA};
    use crate::api::{ConditionStatus, Labels};
    use crate::base::Timestamp;

    fn node(labels: &[(&'static str, &'static str)], is_ready: bool) -> Node {
        let mut node = Node::default();
        node.meta.labels = labels.iter().copied().collect::<Labels>();
        let ready = Condition::new("Ready", ConditionStatus::of(is_ready), "", "", Timestamp::default());
        node.status.conditions = vec![ready];
        node
    }

    /// §6.6: older labels first, the region counts, nodes without labels are one zone.
    #[test]
    fn zones_are_told_apart_by_labels() {
        let key = |labels| zone_key(&node(labels, true));
        assert_eq!(key(&[(ZONE_LABEL, "new"), (ZONE_LABEL_BETA, "old")]), (Str::new(), "old".into()));
        assert_eq!(key(&[(ZONE_LABEL, "a"), (REGION_LABEL, "r")]), ("r".into(), "a".into()));
        assert_eq!(key(&[]), (Str::new(), Str::new()));
    }

    proptest! {
        /// Whatever comes, goes and changes, the numbers are those of the nodes that there are; excluded ones do not count.
        #[test]
        fn it_counts_the_nodes_that_there_are(steps in prop::collection::vec((0..6usize, 0..8usize), 0..60)) {
            let kinds: Vec<Option<Node>> = [
                None,
                Some(node(&[(ZONE_LABEL, "a")], true)),
                Some(node(&[(ZONE_LABEL, "a")], false)),
                Some(node(&[(ZONE_LABEL, "b")], true)),
                Some(node(&[], false)),
                Some(node(&[(ZONE_LABEL, "a"), (EXCLUDE_LABEL, "")], true)),
                Some(node(&[(ZONE_LABEL, "a"), (REGION_LABEL, "r")], true)),
                None,
            ]
            .into();
            let (mut zones, mut nodes) = (Zones::default(), vec![None; 6]);
            for (at, kind) in steps {
                let new = kinds[kind].clone();
                match (&nodes[at], &new) {
                    (None, None) => {}
                    (None, Some(new)) => zones.insert(new),
                    (Some(old), None) => zones.remove(old),
                    (Some(old), Some(new)) => zones.replace(old, new),
                }
                nodes[at] = new;
                let mut anew = Zones::default();
                nodes.iter().flatten().for_each(|node: &Node| anew.insert(node));
                prop_assert_eq!(&zones, &anew);
                let excluded = |node: &&Node| node.meta.labels.contains_key(EXCLUDE_LABEL);
                let there = nodes.iter().flatten().filter(|node| !excluded(node)).count();
                prop_assert_eq!(zones.all().values().map(|census| census.all()).sum::<usize>(), there);
            }
        }
    }
}
