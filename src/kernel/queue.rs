//! Pending events in a total order that a person can state.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::base::SimTime;

/// Orders events of one instant: lower lanes go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

/// Pending events. Earlier time first; at equal times the lower lane; at equal lanes first scheduled first.
///
/// Those of each later slot of time lie in a list until their slot has come; then they are put in order. Those that are added
/// to the present slot afterwards are a heap, which is small as a rule.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    /// Those that lay in the list of the present slot, the next one last.
    in_order: Vec<Entry>,
    /// So many of them, the next ones, have been told of by [`EventQueue::upcoming`].
    told: usize,
    /// Those that were added to the present slot or to an earlier one.
    added: BinaryHeap<Reverse<Entry>>,
    /// Those of the slots that follow the present one, a list for each. Here or further off there are some only if there are
    /// some of the present one.
    near: VecDeque<Vec<Entry>>,
    /// Those that were added when their slots were still far off.
    far: BTreeMap<u64, Vec<Entry>>,
    /// The emptied lists of slots that are over, for those to come.
    spares: Vec<Vec<Entry>>,
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

impl Entry {
    const fn sequence(&self) -> u64 {
        self.rank & ((1 << SEQUENCE_BITS) - 1)
    }
}

/// Bits of a rank that the sequence has: enough for two thousand years of a million events a second.
const SEQUENCE_BITS: u32 = 56;

/// Room for as many events is never given back.
const ROOM_MIN: usize = 1024;

/// So many slots follow the present one closely: some twenty minutes.
const NEAR: u64 = 1024;

/// So many emptied lists are kept: slots are over one by one, but come several at a time.
const SPARES_MAX: usize = 16;

/// So many events are looked through together for those to be told of before they are due: of more, what is fetched first
/// for them would have gone again before it is needed.
const TOLD_TOGETHER: usize = 16;

/// Events have long been waiting once so many others were added after them: what they are about is no longer at hand.
const LONG_AGO: u64 = 1024;

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self {
            in_order: Vec::new(),
            told: 0,
            added: BinaryHeap::new(),
            near: VecDeque::new(),
            far: BTreeMap::new(),
            spares: Vec::new(),
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
        let entry = Entry { time, rank, place };
        let slot = slot_of(time);
        if slot <= self.slot {
            self.added.push(Reverse(entry));
            return;
        }
        let ahead = slot - self.slot;
        let list = if ahead <= NEAR {
            let place = ahead as usize - 1;
            if place >= self.near.len() {
                self.near.resize_with(place + 1, Vec::new);
            }
            &mut self.near[place]
        } else {
            self.far.entry(slot).or_default()
        };
        if list.capacity() == 0 {
            *list = self.spares.pop().unwrap_or_default();
        }
        list.push(entry);
        self.advance();
    }

    /// Goes on to the next slot with events once those of the present one are over.
    fn advance(&mut self) {
        if !self.is_empty() {
            return;
        }
        let near = self.near.iter().zip(self.slot + 1..).find(|(list, _)| !list.is_empty());
        let far = self.far.first_key_value();
        let Some(slot) = near.map(|(_, slot)| slot).into_iter().chain(far.map(|(slot, _)| *slot)).min()
        else {
            return;
        };
        let passed = usize::try_from(slot - self.slot).unwrap_or(usize::MAX).min(self.near.len());
        // Those before the last one are empty.
        let mut entries = self.near.drain(..passed).next_back().unwrap_or_default();
        entries.extend(self.far.remove(&slot).unwrap_or_default());
        entries.sort_unstable_by(|a, b| b.cmp(a));
        let mut emptied = std::mem::replace(&mut self.in_order, entries);
        if self.spares.len() < SPARES_MAX {
            emptied.shrink_to(ROOM_MIN);
            self.spares.push(emptied);
        }
        (self.slot, self.told) = (slot, 0);
    }

    /// The next entry, and whether it is one that was added.
    fn peek(&self) -> Option<(&Entry, bool)> {
        match (self.in_order.last(), self.added.peek()) {
            (Some(first), Some(Reverse(added))) if added < first => Some((added, true)),
            (Some(first), _) => Some((first, false)),
            (None, added) => added.map(|added| (&added.0, true)),
        }
    }

    /// Takes the next event if it is due no later than `until`, and moves the clock to it.
    pub fn pop_until(&mut self, until: SimTime) -> Option<(SimTime, E)> {
        let (&Entry { time, place, .. }, was_added) = self.peek()?;
        if time > until {
            return None;
        }
        if was_added {
            self.added.pop();
        } else {
            self.in_order.pop();
            self.told = self.told.saturating_sub(1);
        }
        self.advance();
        let event = self.places[place as usize].take();
        self.free.push(place);
        self.now = time;
        if self.places.len() > ROOM_MIN && self.len() < self.places.len() / 8 {
            self.shrink();
        }
        Some((time, event?))
    }

    /// Those of the events that come next that have long been waiting: each is told of once, some of them together. None
    /// before those that were looked through last are over.
    pub fn upcoming(&mut self) -> impl Iterator<Item = &E> {
        let next = if self.told == 0 {
            self.told = self.in_order.len().min(TOLD_TOGETHER);
            self.told
        } else {
            0
        };
        let before = self.sequence.saturating_sub(LONG_AGO);
        let entries = self.in_order.iter().rev().take(next).filter(move |entry| entry.sequence() < before);
        entries.filter_map(|entry| self.places[entry.place as usize].as_ref())
    }

    /// A rush is over: gives room back.
    fn shrink(&mut self) {
        let mut places = Vec::with_capacity(self.len() * 2);
        let mut added = std::mem::take(&mut self.added).into_vec();
        let present = self.in_order.iter_mut().chain(added.iter_mut().map(|entry| &mut entry.0));
        let later = self.near.iter_mut().flatten().chain(self.far.values_mut().flatten());
        for entry in present.chain(later) {
            places.push(self.places[entry.place as usize].take());
            entry.place = (places.len() - 1) as u32;
        }
        (self.places, self.free) = (places, Vec::new());
        added.shrink_to(added.len() * 2);
        self.added = added.into();
        self.in_order.shrink_to(self.in_order.len() * 2);
    }

    /// When the next event is due.
    pub fn next_time(&self) -> Option<SimTime> {
        self.peek().map(|(entry, _)| entry.time)
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
        self.in_order.is_empty() && self.added.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SimDuration;
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
    fn what_comes_next_is_told_of_once_and_in_order_if_it_waits_long() {
        let mut queue = EventQueue::default();
        let count = TOLD_TOGETHER + 3;
        let at = |n: usize| SimTime::from_secs(60) + SimDuration::from_nanos(n as u64);
        // Before this one is over, no other slot comes.
        queue.push(SimTime::from_nanos(1), Lane(0), 0);
        (1..=count).rev().for_each(|n| queue.push(at(n), Lane(0), n));
        // Each of these is over before the next is added.
        (0..LONG_AGO).for_each(|_| {
            queue.push(SimTime::ZERO, Lane(0), 0);
            assert_eq!(queue.pop_until(SimTime::ZERO), Some((SimTime::ZERO, 0)));
            assert_eq!(queue.upcoming().count(), 0, "their slot has not come");
        });
        let young = count + 1;
        queue.push(at(young), Lane(0), young);
        let mut told = Vec::new();
        while let Some((_, event)) = queue.pop_until(SimTime::MAX) {
            let known = told.contains(&event);
            assert_eq!(known, (1..=count).contains(&event), "{event} comes");
            told.extend(queue.upcoming().copied());
        }
        assert_eq!(told, (1..=count).collect::<Vec<_>>());
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
        /// Whoever asks what comes next changes nothing by it, and is told of nothing that is over.
        #[test]
        fn order_is_that_of_a_stable_sort(
            events in prop::collection::vec(
                (prop_oneof![0u64..6_000, 0u64..4_000_000], 0u8..3, prop::bool::weighted(0.3)),
                0..200,
            ),
            asks in any::<bool>(),
        ) {
            let mut queue = EventQueue::default();
            let mut model = std::collections::BTreeSet::new();
            let mut now = 0;
            for (index, (millis, lane, take)) in events.into_iter().enumerate() {
                queue.push(SimTime::from_nanos(millis * 1_000_000), Lane(lane), index);
                model.insert((millis.max(now), lane, index));
                if asks {
                    for told in queue.upcoming() {
                        prop_assert!(model.iter().any(|(_, _, index)| index == told));
                    }
                }
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
