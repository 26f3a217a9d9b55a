//! Pending events in a total order that a person can state.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::base::SimTime;

/// Orders events of one instant: lower lanes go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

/// Pending events. Earlier time first; at equal times the lower lane; at equal lanes first scheduled first.
///
/// Those of the present slot of time are a heap, which is small as a rule; those of each later slot lie in a list until their
/// slot has come.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    /// Those of the present slot and of earlier ones; empty only if all are.
    near: BinaryHeap<Reverse<Entry>>,
    /// The others, by their slots.
    far: BTreeMap<u64, Vec<Reverse<Entry>>>,
    /// The present slot.
    slot: u64,
    /// The events, each in a place that its entry names; what is moved is entries, which are small.
    places: Vec<Option<E>>,
    free: Vec<u32>,
    sequence: u64,
    now: SimTime,
}

/// The slot of an instant: slots are 2³⁰ nanoseconds long, about a second.
const fn slot_of(time: SimTime) -> u64 {
    time.as_nanos() >> 30
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
        Self {
            near: BinaryHeap::new(),
            far: BTreeMap::new(),
            slot: 0,
            places: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            now: SimTime::ZERO,
        }
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
        let entry = Reverse(Entry { time, rank, place });
        if slot_of(time) <= self.slot {
            self.near.push(entry);
        } else {
            self.far.entry(slot_of(time)).or_default().push(entry);
            self.advance();
        }
    }

    /// Goes on to the next slot with events once those of the present one are over.
    fn advance(&mut self) {
        if self.near.is_empty()
            && let Some((slot, entries)) = self.far.pop_first()
        {
            self.slot = slot;
            self.near = entries.into();
        }
    }

    /// Takes the next event if it is due no later than `until`, and moves the clock to it.
    pub fn pop_until(&mut self, until: SimTime) -> Option<(SimTime, E)> {
        if self.near.peek()?.0.time > until {
            return None;
        }
        let Reverse(Entry { time, place, .. }) = self.near.pop()?;
        self.advance();
        let event = self.places[place as usize].take();
        self.free.push(place);
        self.now = time;
        if self.places.len() > ROOM_MIN && self.len() < self.places.len() / 8 {
            self.shrink();
        }
        Some((time, event?))
    }

    /// A rush is over: gives room back.
    fn shrink(&mut self) {
        let mut places = Vec::with_capacity(self.len() * 2);
        let mut near = std::mem::take(&mut self.near).into_vec();
        for Reverse(entry) in near.iter_mut().chain(self.far.values_mut().flatten()) {
            places.push(self.places[entry.place as usize].take());
            entry.place = (places.len() - 1) as u32;
        }
        (self.places, self.free) = (places, Vec::new());
        near.shrink_to(near.len() * 2);
        self.near = near.into();
    }

    /// When the next event is due.
    pub fn next_time(&self) -> Option<SimTime> {
        self.near.peek().map(|entry| entry.0.time)
    }

    /// The instant of the last event taken.
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// How many are pending.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.near.is_empty()
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
        fn order_is_that_of_a_stable_sort(
            events in prop::collection::vec((0u64..6_000, 0u8..3, prop::bool::weighted(0.3)), 0..200),
        ) {
            let mut queue = EventQueue::default();
            let mut model = std::collections::BTreeSet::new();
            let mut now = 0;
            for (index, (millis, lane, take)) in events.into_iter().enumerate() {
                queue.push(SimTime::from_nanos(millis * 1_000_000), Lane(lane), index);
                model.insert((millis.max(now), lane, index));
                if take {
                    let (time, _, next) = model.pop_first().unwrap();
                    now = time;
                    prop_assert_eq!(queue.next_time(), Some(SimTime::from_nanos(time * 1_000_000)));
                    prop_assert_eq!(queue.pop_until(SimTime::MAX).map(|(_, index)| index), Some(next));
                }
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            }
            let rest: Vec<_> = std::iter::from_fn(|| queue.pop_until(SimTime::MAX)).map(|(_, i)| i).collect();
            prop_assert_eq!(rest, model.into_iter().map(|(_, _, i)| i).collect::<Vec<_>>());
        }
    }
}
