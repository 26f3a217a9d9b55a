//! Counts by topology key and value that can be tried out: a shared base with a few entries changed on top.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/filtering.go` (`topologyToMatchedTermCount`), v1.34.

use std::sync::Arc;

use crate::api::Labels;
use crate::base::{LookupMap, Str};

/// Sums by value of one topology key.
#[derive(Clone, Debug, Default)]
struct Values {
    sums: LookupMap<Str, i64>,
}

/// Sums by topology key and value. There are few keys, and many values of each.
#[derive(Clone, Debug, Default)]
pub struct TopologySums {
    keys: Vec<(Str, Values)>,
}

impl TopologySums {
    /// Adds to the sum of the place that `labels` belong to by `key`; nothing if they lack the key.
    pub fn add(&mut self, labels: &Labels, key: &Str, amount: i64) {
        let Some(value) = labels.get(key) else { return };
        let at = self.keys.iter().position(|(have, _)| have == key).unwrap_or_else(|| {
            self.keys.push((key.clone(), Values::default()));
            self.keys.len() - 1
        });
        let sums = &mut self.keys[at].1.sums;
        match sums.get_mut(value) {
            Some(sum) => *sum += amount,
            None => drop(sums.insert(value.clone(), amount)),
        }
    }

    /// The sum of a place, 0 if there is none.
    pub fn get(&self, key: &str, value: &str) -> i64 {
        let values = self.keys.iter().find(|(have, _)| have == key);
        values.and_then(|(_, values)| values.sums.get(value)).copied().unwrap_or(0)
    }

    /// Whether no place has been added to.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The sums of all places that `labels` belong to, added up.
    pub fn total(&self, labels: &Labels) -> i64 {
        self.keys
            .iter()
            .filter_map(|(key, values)| labels.get(key).and_then(|value| values.sums.get(value)))
            .sum()
    }

    fn places(&self) -> usize {
        self.keys.iter().map(|(_, values)| values.sums.len()).sum()
    }
}

/// Counts of Pods by place with changes on top. Cloning costs a counter increment and the few changes.
///
/// All counts of the base are positive: it is made of Pods that are there.
#[derive(Clone, Debug)]
pub struct TrialCounts {
    base: Arc<TopologySums>,
    changed: Vec<(Str, Str, i64)>,
    /// Places whose count is not 0.
    places: usize,
}

impl TrialCounts {
    /// Nothing changed yet.
    pub fn new(base: TopologySums) -> Self {
        Self { places: base.places(), base: Arc::new(base), changed: Vec::new() }
    }

    /// Adds to the count of the place that `labels` belong to by `key`; nothing if they lack the key.
    pub fn add(&mut self, labels: &Labels, key: &Str, delta: i64) {
        let Some(value) = labels.get(key) else { return };
        let before = self.get(key, value);
        let after = before + delta;
        match self.changed.iter_mut().find(|(k, v, _)| k == key && v == value) {
            Some(entry) => entry.2 = after,
            None => self.changed.push((key.clone(), value.clone(), after)),
        }
        self.places += usize::from(after != 0);
        self.places -= usize::from(before != 0);
    }

    /// The count of a place.
    pub fn get(&self, key: &str, value: &str) -> i64 {
        match self.changed.iter().find(|(k, v, _)| k == key && v == value) {
            Some(entry) => entry.2,
            None => self.base.get(key, value),
        }
    }

    /// Whether no place has a count other than 0.
    pub const fn is_empty(&self) -> bool {
        self.places == 0
    }

    /// Whether a place that `labels` belong to has a positive count, by whichever key.
    pub fn any_positive(&self, labels: &Labels) -> bool {
        let base = self.base.keys.iter().map(|(key, _)| key);
        let keys = base.chain(self.changed.iter().map(|(key, ..)| key));
        !self.is_empty() && keys.into_iter().any(|key| labels.get(key).is_some_and(|v| self.get(key, v) > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::labels;

    #[test]
    fn a_trial_changes_alone_and_knows_when_nothing_is_left() {
        let (zone, host) = (Str::from("zone"), Str::from("host"));
        let (a, b) = (labels("zone=a,host=1"), labels("zone=b"));
        let mut sums = TopologySums::default();
        sums.add(&a, &zone, 1);
        sums.add(&b, &host, 1);
        let original = TrialCounts::new(sums);
        let mut copy = original.clone();
        assert!(copy.any_positive(&a) && !copy.any_positive(&b));
        copy.add(&a, &zone, -1);
        assert!(copy.is_empty() && !copy.any_positive(&a));
        copy.add(&a, &host, 1);
        assert!(copy.any_positive(&a) && !original.is_empty());
        copy.add(&a, &host, -1);
        copy.add(&a, &zone, 1);
        assert_eq!((copy.get("zone", "a"), copy.get("host", "1"), copy.is_empty()), (1, 0, false));
    }
}
