//! Sets of completion indexes in their compressed form: `0-2,5`.
//!
//! Upstream: `orderedIntervals` in `pkg/controller/job/indexed_job_utils.go`, v1.34.

use std::collections::BTreeSet;

/// A set of indexes as intervals in order, first and last included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Intervals(Vec<(i32, i32)>);

impl Intervals {
    /// Reads the form; what lies at or beyond `completions` is cut off, what cannot be read is left out.
    pub(super) fn parse(text: &str, completions: i32) -> Self {
        let mut result = Self::default();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let mut limits = part.split('-');
            let Some(first) = limits.next().and_then(|t| t.parse::<i32>().ok()) else { continue };
            if first >= completions {
                break;
            }
            let last = match limits.next() {
                None => first,
                Some(text) => match text.parse::<i32>() {
                    Ok(last) => last.min(completions - 1),
                    Err(_) => continue,
                },
            };
            match result.0.last_mut() {
                Some(previous) if previous.1 == first.saturating_sub(1) => previous.1 = last,
                Some(_) | None => result.0.push((first, last)),
            }
        }
        result
    }

    /// The set with more indexes.
    pub(super) fn with(&self, indexes: &BTreeSet<i32>) -> Self {
        self.merged(&Self(indexes.iter().map(|i| (*i, *i)).collect()))
    }

    /// The union.
    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut all: Vec<_> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut result: Vec<(i32, i32)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match result.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => {
                    previous.1 = previous.1.max(last);
                }
                Some(_) | None => result.push((first, last)),
            }
        }
        Self(result)
    }

    /// How many indexes there are.
    pub(super) fn total(&self) -> i32 {
        let total: i64 = self.0.iter().map(|(first, last)| i64::from(*last) - i64::from(*first) + 1).sum();
        i32::try_from(total).unwrap_or(i32::MAX)
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an index is in the set.
    pub(super) fn has(&self, index: i32) -> bool {
        let place = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(place).is_some_and(|(first, _)| *first <= index)
    }

    /// The lowest indexes below `completions` that are not in the set.
    pub(super) fn gaps(&self, count: usize, completions: i32) -> Vec<i32> {
        let mut result = Vec::new();
        let mut candidate = 0;
        for (first, last) in self.0.iter().copied().chain([(completions, completions)]) {
            while candidate < completions && candidate < first && result.len() < count {
                result.push(candidate);
                candidate += 1;
            }
            candidate = candidate.max(last.saturating_add(1));
        }
        result
    }

    /// How many indexes both sets have.
    pub(super) fn overlap(&self, other: &Self) -> i32 {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut count: i64 = 0;
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            count += (i64::from(x.1.min(y.1)) - i64::from(x.0.max(y.0)) + 1).max(0);
            if x.1 <= y.1 {
                a.next();
            } else {
                b.next();
            }
        }
        i32::try_from(count).unwrap_or(i32::MAX)
    }
}

impl std::fmt::Display for Intervals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(indexes: &[i32]) -> BTreeSet<i32> {
        indexes.iter().copied().collect()
    }

    /// Facts §4.2: `0-2,5` and `3,4`.
    #[test]
    fn indexes_are_compressed_pairs_are_not() {
        for (indexes, text) in [
            (&[][..], ""),
            (&[0], "0"),
            (&[3, 4], "3,4"),
            (&[0, 1, 2, 5], "0-2,5"),
            (&[1, 3, 4, 5, 7, 8], "1,3-5,7,8"),
        ] {
            let intervals = Intervals::default().with(&set(indexes));
            assert_eq!(intervals.to_string(), text);
            assert_eq!(Intervals::parse(text, 100), intervals, "{text}");
            assert_eq!(intervals.total(), indexes.len() as i32);
            assert!(indexes.iter().all(|i| intervals.has(*i)) && !intervals.has(99));
        }
    }

    #[test]
    fn reading_cuts_at_the_completions_and_passes_over_nonsense() {
        for (text, completions, expected) in
            [("0-9", 5, "0-4"), ("0,5,7", 5, "0"), ("x,1-2-3,4-y,6", 10, "1,2,6"), ("0,1,2", 10, "0-2")]
        {
            assert_eq!(Intervals::parse(text, completions).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn merging_joins_neighbours() {
        let a = Intervals::parse("0-2,6", 100);
        assert_eq!(a.with(&set(&[3, 5])).to_string(), "0-3,5,6");
        assert_eq!(a.merged(&Intervals::parse("1-7", 100)).to_string(), "0-7");
    }

    #[test]
    fn gaps_are_filled_from_the_lowest() {
        let taken = Intervals::parse("1,3,4", 100);
        assert_eq!(taken.gaps(3, 100), [0, 2, 5]);
        assert_eq!(taken.gaps(9, 6), [0, 2, 5]);
        assert_eq!(Intervals::default().gaps(2, 1), [0]);
    }

    #[test]
    fn overlaps_are_counted() {
        let succeeded = Intervals::parse("0-3,8", 100);
        assert_eq!(succeeded.overlap(&Intervals::parse("2-9", 100)), 3);
        assert_eq!(succeeded.overlap(&Intervals::parse("4-7", 100)), 0);
        assert_eq!(succeeded.overlap(&succeeded), 5);
    }
}
