//! The nodes that a search passed over: from where it began to where it had found enough.

use super::table::WORD;

/// Some positions of one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which word.
    pub word: usize,
    /// Which positions in it have passed.
    pub bits: u64,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The positions that passed, in the order of the search.
    pub segments: Vec<Segment>,
    /// How many there are.
    pub feasible: usize,
    /// How many positions were looked at.
    pub looked_at: usize,
}

impl Window {
    /// Looks for `wanted` positions of `count` that pass, from `from` on and round to it again. `passing` tells of the positions of a
    /// word which may pass; `check` takes out those among them that do not.
    ///
    /// # Errors
    /// What `check` says.
    pub fn search<E>(
        &mut self,
        count: usize,
        from: usize,
        wanted: usize,
        passing: impl Fn(usize) -> u64,
        mut check: impl FnMut(usize, u64, usize) -> Result<u64, E>,
    ) -> Result<(), E> {
        self.segments.clear();
        (self.feasible, self.looked_at) = (0, 0);
        for range in [from..count, 0..from] {
            let mut position = range.start;
            while position < range.end && self.feasible < wanted {
                let word = position / WORD;
                let end = range.end.min((word + 1) * WORD);
                let inside = bits_between(position % WORD, end - word * WORD);
                let left = wanted - self.feasible;
                let mut bits = passing(word) & inside;
                if bits != 0 {
                    bits = check(word, bits, left)?;
                }
                let found = bits.count_ones() as usize;
                if found >= left {
                    bits = first_bits(bits, left);
                    let last = word * WORD + WORD - 1 - bits.leading_zeros() as usize;
                    self.looked_at += last + 1 - position;
                } else {
                    self.looked_at += end - position;
                }
                if bits != 0 {
                    self.segments.push(Segment { word, bits });
                    self.feasible += found.min(left);
                }
                position = end;
            }
        }
        Ok(())
    }

    /// The positions that passed, in the order of the search.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.segments.iter().flat_map(|segment| positions(*segment))
    }
}

/// The positions of a segment.
pub fn positions(segment: Segment) -> impl Iterator<Item = usize> {
    let mut bits = segment.bits;
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(segment.word * WORD + bit)
    })
}

/// The bits from `from` up to, not including, `to`.
const fn bits_between(from: usize, to: usize) -> u64 {
    let below = if to >= WORD { u64::MAX } else { (1 << to) - 1 };
    below & (u64::MAX << from)
}

/// The `count` lowest bits.
fn first_bits(bits: u64, count: usize) -> u64 {
    let mut rest = bits;
    for _ in 0..count {
        rest &= rest.wrapping_sub(1);
    }
    bits & !rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// The window over so many positions of which those pass that `passes` says, against a search one by one.
    fn compare(count: usize, from: usize, wanted: usize, passes: impl Fn(usize) -> bool) {
        let mut window = Window::default();
        let passing = |word: usize| {
            (0..WORD).filter(|bit| passes(word * WORD + bit)).fold(0u64, |bits, bit| bits | 1 << bit)
        };
        let unchecked = |_, bits, _| Ok::<_, Infallible>(bits);
        let Ok(()) = window.search(count, from, wanted, passing, unchecked);
        let (mut found, mut looked_at) = (Vec::new(), 0);
        for position in (from..count).chain(0..from) {
            if found.len() == wanted {
                break;
            }
            looked_at += 1;
            if passes(position) {
                found.push(position);
            }
        }
        assert_eq!(window.positions().collect::<Vec<_>>(), found, "{wanted} of {count} from {from}");
        assert_eq!((window.feasible, window.looked_at), (found.len(), looked_at));
    }

    #[test]
    fn a_search_by_words_finds_what_a_search_one_by_one_finds() {
        for count in [1, 63, 64, 65, 130, 200] {
            for from in (0..count).step_by(7) {
                for wanted in [1, 2, 64, 70, 500] {
                    compare(count, from, wanted, |_| true);
                    compare(count, from, wanted, |position| position % 3 == 1);
                    compare(count, from, wanted, |position| position > 150);
                    compare(count, from, wanted, |_| false);
                }
            }
        }
    }
}
