//! A set of numbers that lie close together.

use std::collections::BTreeMap;

/// So many are kept as a list.
const FEW: usize = 32;
/// Bits of a block.
const BLOCK: u64 = 512;

/// A set of numbers of which those that are in it at one time lie close together, as the places of objects do, which are
/// given out in ascending order.
///
/// A few of them are a list; many are blocks of bits, so that a set of ten thousand is at hand as a whole when a number is put
/// in or taken out, where a tree of numbers is fetched from memory node by node.
#[derive(Clone, Debug, Default)]
pub struct NumberSet {
    /// In ascending order; empty if there are blocks.
    few: Vec<u64>,
    /// By the numbers' quotient by [`BLOCK`]; none of them is zero.
    blocks: BTreeMap<u64, [u64; (BLOCK / 64) as usize]>,
    len: usize,
}

/// In which block a number is, in which of its words, and as which bit.
const fn bit(number: u64) -> (u64, usize, u64) {
    (number / BLOCK, (number % BLOCK / 64) as usize, 1 << (number % 64))
}

impl NumberSet {
    /// An empty one.
    pub const fn new() -> Self {
        Self { few: Vec::new(), blocks: BTreeMap::new(), len: 0 }
    }

    /// How many are in it.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: u64) -> bool {
        let (block, word, bit) = bit(number);
        self.blocks.get(&block).is_some_and(|block| block[word] & bit != 0)
            || self.few.binary_search(&number).is_ok()
    }

    /// Puts a number in. Whether it was not there.
    pub fn insert(&mut self, number: u64) -> bool {
        if self.blocks.is_empty() {
            let Err(at) = self.few.binary_search(&number) else { return false };
            if self.few.len() < FEW {
                self.few.insert(at, number);
                self.len += 1;
                return true;
            }
            self.len = 0;
            for number in std::mem::take(&mut self.few) {
                self.set(number);
            }
        }
        self.set(number)
    }

    fn set(&mut self, number: u64) -> bool {
        let (block, word, bit) = bit(number);
        let word = &mut self.blocks.entry(block).or_default()[word];
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len += usize::from(is_new);
        is_new
    }

    /// Takes a number out. Whether it was there.
    pub fn remove(&mut self, number: u64) -> bool {
        if let Ok(at) = self.few.binary_search(&number) {
            self.few.remove(at);
            self.len -= 1;
            return true;
        }
        let (at, word, bit) = bit(number);
        let Some(block) = self.blocks.get_mut(&at).filter(|block| block[word] & bit != 0) else {
            return false;
        };
        block[word] &= !bit;
        self.len -= 1;
        if block.iter().all(|word| *word == 0) {
            self.blocks.remove(&at);
        }
        true
    }

    /// All of them in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let words = self.blocks.iter().flat_map(|(block, words)| {
            words.iter().enumerate().map(move |(word, bits)| (block * BLOCK + 64 * word as u64, *bits))
        });
        self.few.iter().copied().chain(words.flat_map(|(first, bits)| ones(bits).map(move |bit| first + bit)))
    }
}

/// The places of the bits that are set.
fn ones(mut bits: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| u64::from(bits.trailing_zeros()))?;
        bits &= bits - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(
            steps in prop::collection::vec((prop::bool::weighted(0.6), prop_oneof![0..90u64, 0..5000u64, any::<u64>()]), 0..300),
        ) {
            let (mut set, mut model) = (NumberSet::new(), BTreeSet::new());
            for (insert, number) in steps {
                if insert {
                    prop_assert_eq!(set.insert(number), model.insert(number));
                } else {
                    prop_assert_eq!(set.remove(number), model.remove(&number));
                }
                prop_assert_eq!(set.contains(number), insert);
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn many_that_have_gone_leave_nothing_behind() {
        let mut set = NumberSet::new();
        (0..10_000).for_each(|n| assert!(set.insert(7 * n)));
        (0..10_000).for_each(|n| assert!(set.remove(7 * n)));
        assert!(set.is_empty() && set.blocks.is_empty());
        assert!(set.insert(3));
        assert_eq!(set.few, [3], "it begins anew");
    }
}
