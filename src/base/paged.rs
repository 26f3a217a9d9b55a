//! Values under numbers that only grow, in pages that copies share.

use std::collections::BTreeSet;

use super::Shared;

/// Numbers of a page.
const PAGE: u64 = 64;

/// A map from numbers to values, for numbers that are given out in rising order and that lie close to one another.
///
/// Reading takes one step however many values there are. A copy shares all pages until one of both changes them.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    pages: Vec<Option<Shared<Page<T>>>>,
    /// The pages that there are, so that those who look at all values pass over no gaps.
    there: BTreeSet<usize>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Page<T> {
    slots: [Option<T>; PAGE as usize],
    len: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), there: BTreeSet::new(), len: 0 }
    }
}

/// The page of a number, and the place on it.
const fn place(number: u64) -> (usize, usize) {
    ((number / PAGE) as usize, (number % PAGE) as usize)
}

impl<T: Clone> Paged<T> {
    /// The value under a number.
    pub fn get(&self, number: u64) -> Option<&T> {
        let (page, slot) = place(number);
        self.pages.get(page)?.as_ref()?.slots[slot].as_ref()
    }

    /// Puts a value under a number. The one that was there.
    pub fn insert(&mut self, number: u64, value: T) -> Option<T> {
        let (at, slot) = place(number);
        if at >= self.pages.len() {
            self.pages.resize(at + 1, None);
        }
        let page: &mut Page<T> = self.pages[at].get_or_insert_with(|| {
            self.there.insert(at);
            Page { slots: [const { None }; PAGE as usize], len: 0 }.into()
        });
        let old = page.slots[slot].replace(value);
        if old.is_none() {
            page.len += 1;
            self.len += 1;
        }
        old
    }

    /// Takes away what is under a number.
    pub fn remove(&mut self, number: u64) -> Option<T> {
        let (at, slot) = place(number);
        let page = self.pages.get_mut(at)?.as_mut()?;
        page.slots[slot].as_ref()?;
        let page: &mut Page<T> = page;
        let old = page.slots[slot].take();
        page.len -= 1;
        self.len -= 1;
        if page.len == 0 {
            self.pages[at] = None;
            self.there.remove(&at);
        }
        old
    }

    /// All values with their numbers, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.there.iter().flat_map(|at| {
            let slots = self.pages[*at].iter().flat_map(|page| &page.slots);
            slots.zip(*at as u64 * PAGE..).filter_map(|(slot, number)| Some((number, slot.as_ref()?)))
        })
    }

    /// The first value under this number or a higher one.
    pub fn next_from(&self, number: u64) -> Option<(u64, &T)> {
        let (first, slot) = place(number);
        self.there.range(first..).find_map(|at| {
            let start = if *at == first { slot } else { 0 };
            let slots = self.pages[*at].iter().flat_map(|page| &page.slots[start..]);
            let numbers = *at as u64 * PAGE + start as u64..;
            slots.zip(numbers).find_map(|(slot, number)| Some((number, slot.as_ref()?)))
        })
    }

    /// How many values there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is put in and taken out, it holds what an ordered map holds, and a copy keeps what it held.
        #[test]
        fn it_is_an_ordered_map(steps in prop::collection::vec((0..700u64, any::<bool>()), 1..200)) {
            let (mut paged, mut map) = (Paged::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (at, (number, put)) in steps.into_iter().enumerate() {
                if put {
                    prop_assert_eq!(paged.insert(number, at), map.insert(number, at));
                } else {
                    prop_assert_eq!(paged.remove(number), map.remove(&number));
                }
                prop_assert_eq!(paged.get(number), map.get(&number));
                prop_assert_eq!(paged.next_from(number), map.range(number..).next().map(|(n, v)| (*n, v)));
                prop_assert_eq!((paged.len(), paged.is_empty()), (map.len(), map.is_empty()));
                if at % 50 == 0 {
                    copies.push((paged.clone(), map.clone()));
                }
            }
            copies.push((paged, map));
            for (paged, map) in &copies {
                prop_assert!(paged.iter().eq(map.iter().map(|(number, value)| (*number, value))));
            }
        }
    }
}
