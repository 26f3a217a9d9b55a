//! Numbers below a small bound that are marked, found in their order.

/// A set of numbers that are places in a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Vec<u64>);

const BITS: usize = u64::BITS as usize;

impl Marks {
    /// Marks a number.
    pub fn insert(&mut self, number: usize) {
        let word = number / BITS;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % BITS);
    }

    /// Takes the mark off a number.
    fn remove(&mut self, number: usize) {
        self.0[number / BITS] &= !(1 << (number % BITS));
    }

    /// Takes the mark off the first number from `from` on; that number.
    pub fn take_from(&mut self, from: usize) -> Option<usize> {
        let start = from / BITS;
        let mut words = self.0.iter().enumerate().skip(start);
        let found = words.find_map(|(at, word)| {
            let word = if at == start { word & (u64::MAX << (from % BITS)) } else { *word };
            (word != 0).then(|| at * BITS + word.trailing_zeros() as usize)
        })?;
        self.remove(found);
        Some(found)
    }

    /// Takes the mark off the last number before `to`; that number.
    pub fn take_before(&mut self, to: usize) -> Option<usize> {
        let end = to / BITS;
        let mut words = self.0.iter().enumerate().take(end + 1).rev();
        let found = words.find_map(|(at, word)| {
            let word = if at == end { word & ((1 << (to % BITS)) - 1) } else { *word };
            (word != 0).then(|| (at + 1) * BITS - 1 - word.leading_zeros() as usize)
        })?;
        self.remove(found);
        Some(found)
    }
}

impl Extend<usize> for Marks {
    fn extend<I: IntoIterator<Item = usize>>(&mut self, numbers: I) {
        numbers.into_iter().for_each(|number| self.insert(number));
    }
}

impl FromIterator<usize> for Marks {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        let mut marks = Self::default();
        marks.extend(numbers);
        marks
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It finds what an ordered set finds.
        #[test]
        fn it_is_an_ordered_set(steps in prop::collection::vec((0..3u8, 0..300usize), 0..200)) {
            let (mut marks, mut set) = (Marks::default(), BTreeSet::new());
            for (step, number) in steps {
                let (mine, theirs) = match step {
                    0 => {
                        marks.insert(number);
                        set.insert(number);
                        (None, None)
                    }
                    1 => (marks.take_from(number), set.range(number..).next().copied()),
                    _ => (marks.take_before(number), set.range(..number).next_back().copied()),
                };
                prop_assert_eq!(mine, theirs);
                theirs.map(|number| set.remove(&number));
            }
        }
    }
}
