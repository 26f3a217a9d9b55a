//! Pending events in a total order that a person can state.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::base::SimTime;

/// Orders events of one instant: lower lanes go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

/// Pending events. Earlier time first; at equal times the lower lane; at equal lanes first scheduled first.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    sequence: u64,
    now: SimTime,
}

#[derive(Clone, Debug)]
struct Entry<E> {
    time: SimTime,
    lane: Lane,
    sequence: u64,
    event: E,
}

impl<E> Entry<E> {
    const fn rank(&self) -> (SimTime, Lane, u64) {
        (self.time, self.lane, self.sequence)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// Room for as many events is never given back.
const ROOM_MIN: usize = 1024;

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, now: SimTime::ZERO }
    }
}

impl<E> EventQueue<E> {
    /// Adds an event. One in the past happens now.
    pub fn push(&mut self, time: SimTime, lane: Lane, event: E) {
        let time = time.max(self.now);
        self.sequence += 1;
        self.heap.push(Reverse(Entry { time, lane, sequence: self.sequence, event }));
    }

    /// Takes the next event if it is due no later than `until`, and moves the clock to it.
    pub fn pop_until(&mut self, until: SimTime) -> Option<(SimTime, E)> {
        if self.heap.peek()?.0.time > until {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        if self.heap.capacity() > ROOM_MIN && self.heap.len() < self.heap.capacity() / 8 {
            // A rush is over.
            self.heap.shrink_to(self.heap.len() * 2);
        }
        self.now = entry.time;
        Some((entry.time, entry.event))
    }

    /// When the next event is due.
    pub fn next_time(&self) -> Option<SimTime> {
        self.heap.peek().map(|entry| entry.0.time)
    }

    /// The instant of the last event taken.
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// How many are pending.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn time_then_lane_then_order_of_scheduling() {
        let mut queue = EventQueue::default();
        let at = SimTime::from_secs;
        queue.push(at(2), Lane(0), "late");
        queue.push(at(1), Lane(1), "second lane");
        queue.push(at(1), Lane(0), "first");
        queue.push(at(1), Lane(0), "then");
        let mut order = Vec::new();
        while let Some((_, event)) = queue.pop_until(at(1)) {
            order.push(event);
        }
        assert_eq!(order, ["first", "then", "second lane"]);
        queue.push(at(0), Lane(0), "past");
        assert_eq!(queue.pop_until(at(5)), Some((at(1), "past")), "the clock never runs backwards");
        assert_eq!(queue.pop_until(at(5)), Some((at(2), "late")));
    }

    proptest! {
        #[test]
        fn order_is_that_of_a_stable_sort(events in prop::collection::vec((0u64..20, 0u8..3), 0..200)) {
            let mut queue = EventQueue::default();
            for (index, (time, lane)) in events.iter().enumerate() {
                queue.push(SimTime::from_secs(*time), Lane(*lane), index);
            }
            let mut model: Vec<_> = events.iter().copied().enumerate().map(|(i, (t, l))| (t, l, i)).collect();
            model.sort();
            let got: Vec<_> = std::iter::from_fn(|| queue.pop_until(SimTime::MAX)).map(|(_, i)| i).collect();
            prop_assert_eq!(got, model.into_iter().map(|(_, _, i)| i).collect::<Vec<_>>());
        }
    }
}
