//! The work queue: every key once, delayed additions, backoff per key.
//!
//! Upstream: `client-go/util/workqueue`, v1.34: a wait that doubles with every failure of a key, and 10 retries per
//! second with a burst of 100 over all keys; the longer of both delays counts.

use std::collections::{BTreeMap, VecDeque};

use super::ApiBudget;
use super::framework::WorkKey;
use crate::base::{LookupMap, LookupSet, SimDuration, SimTime};

/// Keys to work on.
#[derive(Clone, Debug)]
pub struct WorkQueue {
    ready: VecDeque<WorkKey>,
    queued: LookupSet<WorkKey>,
    processing: LookupSet<WorkKey>,
    /// Keys that came again while they were worked on.
    dirty: LookupSet<WorkKey>,
    /// Keys that a watch will deliver. They do not touch delayed additions: a key that comes in between is worked
    /// on, and again when its delay is over.
    coming: BTreeMap<(SimTime, u64), WorkKey>,
    coming_at: LookupMap<WorkKey, SimTime>,
    delayed: BTreeMap<(SimTime, u64), WorkKey>,
    delayed_at: LookupMap<WorkKey, (SimTime, u64)>,
    failures: LookupMap<WorkKey, u32>,
    retries: ApiBudget,
    sequence: u64,
}

impl Default for WorkQueue {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            queued: LookupSet::default(),
            processing: LookupSet::default(),
            dirty: LookupSet::default(),
            coming: BTreeMap::new(),
            coming_at: LookupMap::default(),
            delayed: BTreeMap::new(),
            delayed_at: LookupMap::default(),
            failures: LookupMap::default(),
            retries: ApiBudget::new(10.0, 100),
            sequence: 0,
        }
    }
}

impl WorkQueue {
    /// Adds a key that is due at `at`. Of several delayed additions of one key the earliest counts.
    pub fn add_at(&mut self, key: WorkKey, at: SimTime, now: SimTime) {
        if at <= now {
            self.add(key);
            return;
        }
        if let Some(slot) = self.delayed_at.get(&key) {
            if slot.0 <= at {
                return;
            }
            self.delayed.remove(slot);
        }
        self.sequence += 1;
        self.delayed_at.insert(key.clone(), (at, self.sequence));
        self.delayed.insert((at, self.sequence), key);
    }

    /// Adds a key once a watch has delivered it, at `at`.
    pub fn deliver_at(&mut self, key: WorkKey, at: SimTime, now: SimTime) {
        if at <= now {
            self.add(key);
        } else if self.coming_at.get(&key).is_none_or(|last| *last != at) {
            self.sequence += 1;
            self.coming_at.insert(key.clone(), at);
            self.coming.insert((at, self.sequence), key);
        }
    }

    fn add(&mut self, key: WorkKey) {
        if self.processing.contains(&key) {
            self.dirty.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    /// Adds a key after its backoff, from the `first` to the `longest`, and returns how often it has failed.
    pub fn add_rate_limited(
        &mut self,
        key: WorkKey,
        (first, longest): (SimDuration, SimDuration),
        now: SimTime,
    ) -> u32 {
        let failures = self.failures.or_insert_with(key.clone(), || 0);
        let backoff = first * 2u64.saturating_pow((*failures).min(30));
        *failures += 1;
        let count = *failures;
        let bucket = self.retries.wait(now);
        self.retries.spend(now);
        let delay = backoff.min(longest).max(bucket);
        self.add_at(key, now + delay, now);
        count
    }

    /// Forgets a key's failures.
    pub fn forget(&mut self, key: &WorkKey) {
        self.failures.remove(key);
    }

    /// Takes the next key that is due.
    pub fn pop(&mut self, now: SimTime) -> Option<WorkKey> {
        while let Some(entry) = self.coming.first_entry() {
            let at = entry.key().0;
            if at > now {
                break;
            }
            let key = entry.remove();
            if self.coming_at.get(&key).is_some_and(|last| *last == at) {
                self.coming_at.remove(&key);
            }
            self.add(key);
        }
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.delayed_at.remove(&key);
            self.add(key);
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.processing.insert(key.clone());
        Some(key)
    }

    /// Takes back a delayed addition.
    pub fn drop_delayed(&mut self, key: &WorkKey) {
        if let Some(slot) = self.delayed_at.remove(key) {
            self.delayed.remove(&slot);
        }
    }

    /// Whether a key came again while it is worked on.
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Says that work on a key has ended; one that came again meanwhile is due at once.
    pub fn done(&mut self, key: &WorkKey) {
        self.processing.remove(key);
        if self.dirty.remove(key) {
            self.add(key.clone());
        }
    }

    /// When there is something to take: now, later, or not at all.
    pub fn next_due(&self, now: SimTime) -> Option<SimTime> {
        if self.ready.is_empty() {
            let first = |keys: &BTreeMap<(SimTime, u64), WorkKey>| keys.keys().next().map(|(at, _)| *at);
            first(&self.coming).into_iter().chain(first(&self.delayed)).min().map(|at| at.max(now))
        } else {
            Some(now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ObjectKey;

    fn key(name: &str) -> WorkKey {
        WorkKey::sync(ObjectKey::new("default", name))
    }

    /// Facts §0.1: a key is never with two workers; additions meanwhile collapse into one.
    #[test]
    fn a_key_is_worked_on_once_and_again_if_it_came_meanwhile() {
        let (mut queue, now) = (WorkQueue::default(), SimTime::ZERO);
        queue.add_at(key("a"), now, now);
        queue.add_at(key("a"), now, now);
        assert_eq!(queue.pop(now), Some(key("a")));
        queue.add_at(key("a"), now, now);
        assert_eq!(queue.pop(now), None, "never by two workers at once");
        queue.done(&key("a"));
        assert_eq!(queue.pop(now), Some(key("a")));
        queue.done(&key("a"));
        assert_eq!(queue.pop(now), None);
    }

    #[test]
    fn the_earliest_of_delayed_additions_counts() {
        let (mut queue, now) = (WorkQueue::default(), SimTime::ZERO);
        let at = SimTime::from_secs;
        queue.add_at(key("a"), at(5), now);
        queue.add_at(key("a"), at(3), now);
        queue.add_at(key("a"), at(9), now);
        assert_eq!(queue.next_due(now), Some(at(3)));
        assert_eq!(queue.pop(at(3)), Some(key("a")));
        queue.done(&key("a"));
        assert_eq!(queue.next_due(at(3)), None);
    }

    #[test]
    fn a_delivery_does_not_take_the_place_of_a_retry() {
        let (mut queue, now) = (WorkQueue::default(), SimTime::ZERO);
        let at = SimTime::from_secs;
        queue.add_at(key("a"), at(5), now);
        queue.deliver_at(key("a"), at(3), now);
        for due in [3, 5] {
            assert_eq!(queue.next_due(now), Some(at(due)));
            assert_eq!(queue.pop(at(due)), Some(key("a")));
            queue.done(&key("a"));
        }
        assert_eq!(queue.next_due(at(5)), None);
    }

    /// Facts §0.1: 5 ms, doubling.
    #[test]
    fn failures_back_off_until_forgotten() {
        let (mut queue, now) = (WorkQueue::default(), SimTime::ZERO);
        let backoff = (SimDuration::from_millis(5), SimDuration::from_secs(1000));
        for expected in [5, 10, 20] {
            queue.add_rate_limited(key("a"), backoff, now);
            let due = queue.next_due(now).unwrap();
            assert_eq!(due.since(now), SimDuration::from_millis(expected));
            assert!(queue.pop(due).is_some());
            queue.done(&key("a"));
        }
        queue.forget(&key("a"));
        assert_eq!(queue.add_rate_limited(key("a"), backoff, now), 1);
    }

    /// Facts §0.1: over all keys 10 retries a second after a burst of 100; the longer delay counts. A key waits 1000 s
    /// at most.
    #[test]
    fn many_failing_keys_wait_for_each_other() {
        let (mut queue, now) = (WorkQueue::default(), SimTime::ZERO);
        let backoff = (SimDuration::from_millis(5), SimDuration::from_secs(1000));
        for i in 0..101 {
            queue.add_rate_limited(key(&format!("k{i}")), backoff, now);
        }
        let due: Vec<_> = queue.delayed.keys().map(|(at, _)| at.since(now).as_millis()).collect();
        assert_eq!((due[99], due[100]), (5, 100));
        let mut queue = WorkQueue::default();
        for _ in 0..40 {
            queue.add_rate_limited(key("a"), backoff, now);
            let due = queue.next_due(now).unwrap();
            assert!(due.since(now) <= SimDuration::from_secs(1000));
            assert!(queue.pop(due).is_some());
            queue.done(&key("a"));
        }
    }
}
