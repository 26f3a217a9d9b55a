//! Pending events in a total order that a person can state.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::SimTime;

/// Orders events of one instant: lower lanes go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

/// Pending events. Earlier time first; at equal times the lower lane; at equal lanes first scheduled first.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<Entry>>,
    /// The events, each in a place that its entry names; the heap moves entries, which are small.
    places: Vec<Option<E>>,
    free: Vec<u32>,
    sequence: u64,
    now: SimTime,
}

/// Ordered as its fields are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    time: SimTime,
    /// The lane, and below it the sequence.
    rank: u64,
    place: u32,
}

/// Bits of a rank that the sequence has: enough for two thousand years of a million events a second.
const SEQUENCE_BITS: u32 = 56;

/// Room for as many events is never given back.
const ROOM_MIN: usize = 1024;

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        let (places, free) = (Vec::new(), Vec::new());
        Self { heap: BinaryHeap::new(), places, free, sequence: 0, now: SimTime::ZERO }
    }
}

impl<E> EventQueue<E> {
    /// Adds an event. One in the past happens now.
    pub fn push(&mut self, time: SimTime, lane: Lane, event: E) {
        let time = time.max(self.now);
        self.sequence += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = Some(event);
                place
            }
            None => {
                self.places.push(Some(event));
                (self.places.len() - 1) as u32
            }
        };
        let rank = u64::from(lane.0) << SEQUENCE_BITS | self.sequence;
        self.heap.push(Reverse(Entry { time, rank, place }));
    }

    /// Takes the next event if it is due no later than `until`, and moves the clock to it.
    pub fn pop_until(&mut self, until: SimTime) -> Option<(SimTime, E)> {
        if self.heap.peek()?.0.time > until {
            return None;
        }
        let Reverse(Entry { time, place, .. }) = self.heap.pop()?;
        let event = self.places[place as usize].take();
        self.free.push(place);
        self.now = time;
        if self.places.len() > ROOM_MIN && self.heap.len() < self.places.len() / 8 {
            self.shrink();
        }
        Some((time, event?))
    }

    /// A rush is over: gives room back.
    fn shrink(&mut self) {
        let mut places = Vec::with_capacity(self.heap.len() * 2);
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        for Reverse(entry) in &mut entries {
            places.push(self.places[entry.place as usize].take());
            entry.place = (places.len() - 1) as u32;
        }
        (self.places, self.free) = (places, Vec::new());
        self.heap = entries.into();
        self.heap.shrink_to(self.heap.len() * 2);
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

    #[test]
    fn a_rush_leaves_no_room_behind_and_no_event() {
        let mut queue = EventQueue::default();
        (0..8 * ROOM_MIN).rev().for_each(|n| queue.push(SimTime::from_secs(n as u64), Lane(0), n));
        for expected in 0..8 * ROOM_MIN - 100 {
            assert_eq!(queue.pop_until(SimTime::MAX).map(|(_, n)| n), Some(expected));
        }
        assert!(queue.places.capacity() < 4 * ROOM_MIN);
        queue.push(SimTime::ZERO, Lane(1), 0);
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop_until(SimTime::MAX)).map(|(_, n)| n).collect();
        assert_eq!((rest[0], rest[1], rest.len()), (0, 8 * ROOM_MIN - 100, 101));
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
