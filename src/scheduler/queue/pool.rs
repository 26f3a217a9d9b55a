//! The Pods parked as unschedulable, found by who refused them.

use std::collections::{BTreeMap, BTreeSet};

use super::QueuedPod;
use crate::base::{SimDuration, SimTime};

/// Parked Pods in the order of parking.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    pods: BTreeMap<u64, QueuedPod>,
    /// Which of them a plugin refused. An event concerns only those whose refusers registered for it.
    by_plugin: BTreeMap<&'static str, BTreeSet<u64>>,
    /// Which of them wait for more than a gate, in the order of parking.
    ungated: BTreeSet<u64>,
}

impl Pool {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// The Pod parked under this number.
    pub fn get(&self, sequence: u64) -> Option<&QueuedPod> {
        self.pods.get(&sequence)
    }

    /// All Pods, in the order of parking.
    pub fn iter(&self) -> impl Iterator<Item = &QueuedPod> {
        self.pods.values()
    }

    pub(super) fn insert(&mut self, queued: QueuedPod) {
        for plugin in &queued.unschedulable_plugins {
            self.by_plugin.entry(plugin).or_default().insert(queued.sequence);
        }
        if !queued.is_gated() {
            self.ungated.insert(queued.sequence);
        }
        self.pods.insert(queued.sequence, queued);
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<QueuedPod> {
        let queued = self.pods.remove(&sequence)?;
        for plugin in &queued.unschedulable_plugins {
            if let Some(pods) = self.by_plugin.get_mut(plugin) {
                pods.remove(&sequence);
                if pods.is_empty() {
                    self.by_plugin.remove(plugin);
                }
            }
        }
        self.ungated.remove(&sequence);
        Some(queued)
    }

    /// The numbers of the Pods that any of these plugins refused, in the order of parking.
    pub(super) fn refused_by(&self, plugins: &BTreeSet<&'static str>) -> BTreeSet<u64> {
        plugins.iter().filter_map(|plugin| self.by_plugin.get(plugin)).flatten().copied().collect()
    }

    /// Since when the Pod that is parked longest is parked; gated ones do not count.
    pub fn oldest(&self) -> Option<SimTime> {
        let first = self.ungated.first()?;
        self.pods.get(first).map(|queued| queued.timestamp)
    }

    /// The numbers of the Pods that have been parked for longer than `limit` at `now`.
    pub(super) fn older_than(&self, now: SimTime, limit: SimDuration) -> Vec<u64> {
        let old = |sequence: &&u64| {
            self.pods.get(sequence).is_some_and(|q| q.timestamp <= now && now.since(q.timestamp) > limit)
        };
        self.ungated.iter().take_while(old).copied().collect()
    }
}
