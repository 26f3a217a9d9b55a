//! The best of the nodes that passed: by the totals of a table, and by what one more plugin gives them, if it gives the
//! same to all nodes of a place but for a few.

use super::masks::Masks;
use super::table::{Table, WORD};
use super::window::{Segment, Window, positions};
use crate::scheduler::decision::Choice;
use crate::scheduler::framework::runtime::At;
use crate::scheduler::framework::{CycleState, MAX_NODE_SCORE, NodeId, Passed, PodInfo, PreScore, Snapshot};

/// Positions that get the same on top of their totals.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    /// Word by word; none: all positions.
    words: Option<&'a [u64]>,
    more: i64,
}

/// A position with a total of its own.
#[derive(Clone, Copy, Debug)]
struct Named {
    word: usize,
    bit: u64,
    total: i64,
}

/// The nodes that passed, with what they get.
#[derive(Debug)]
pub struct Relieved<'a> {
    table: &'a Table,
    window: &'a Window,
    snapshot: &'a Snapshot,
    rows: Vec<Row<'a>>,
    /// Ordered by word.
    named: Vec<Named>,
}

/// The position that comes after `nth` others in these segments.
fn nth_of(segments: Vec<Segment>, mut nth: usize) -> Option<usize> {
    for segment in segments {
        let here = segment.bits.count_ones() as usize;
        if nth < here {
            return positions(segment).nth(nth);
        }
        nth -= here;
    }
    None
}

impl Row<'_> {
    fn bits(&self, segment: &Segment) -> u64 {
        self.words.map_or(segment.bits, |words| words[segment.word] & segment.bits)
    }
}

impl<'a> Relieved<'a> {
    /// With what the table says, and nothing more.
    pub fn plain(table: &'a Table, window: &'a Window, snapshot: &'a Snapshot) -> Self {
        let rows = vec![Row { words: None, more: 0 }];
        Self { table, window, snapshot, rows, named: Vec::new() }
    }

    /// With what a plugin gives by the places of a key, times its weight. None if it has to be asked node by node.
    pub fn by_place(
        (table, window, masks): (&'a Table, &'a Window, &'a mut Masks),
        (snapshot, state, pod): (&'a Snapshot, &CycleState, &PodInfo),
        (at, key, weight): (&At<dyn PreScore>, Option<usize>, i64),
    ) -> Option<Self> {
        let mut rows: Vec<Row<'a>> = match key {
            None => vec![Row { words: None, more: 0 }],
            Some(key) => {
                let rows = masks.rows(snapshot, key)?;
                rows.map(|words| Row { words: Some(words), more: 0 }).collect()
            }
        };
        let mut counts = vec![0; rows.len()];
        let mut words = vec![0; table.blocks().len()];
        for segment in &window.segments {
            words[segment.word] |= segment.bits;
            for (count, row) in counts.iter_mut().zip(&rows) {
                *count += row.bits(segment).count_ones();
            }
        }
        let place = |node: NodeId| {
            let position = snapshot.layout().position(node)?;
            let (word, bit) = (position / WORD, 1u64 << (position % WORD));
            (words[word] & bit != 0).then_some((word, bit))
        };
        let (elsewhere, by_place) = counts.split_last()?;
        let passed = Passed { by_place, elsewhere: *elsewhere, has: &|node| place(node).is_some() };
        let relief = at.plugin.by_place(snapshot, state, pod, passed)?;
        let is_score = |score: &i64| (0..=MAX_NODE_SCORE).contains(score);
        let named = relief.named.iter().map(|(_, score)| score);
        let mut scores = relief.by_place.iter().chain([&relief.elsewhere]).chain(named);
        if relief.by_place.len() != by_place.len() || !scores.all(is_score) {
            return None;
        }
        for (row, score) in rows.iter_mut().zip(relief.by_place.iter().chain([&relief.elsewhere])) {
            row.more = score * weight;
        }
        let mut counts = counts.iter();
        rows.retain(|_| counts.next().is_some_and(|count| *count > 0));
        let named = relief.named.iter().filter_map(|(node, score)| {
            let (word, bit) = place(*node)?;
            Some(Named { word, bit, total: table.total(*node) + score * weight })
        });
        let mut named: Vec<Named> = named.collect();
        named.sort_unstable_by_key(|named| (named.word, named.bit));
        Some(Self { table, window, snapshot, rows, named })
    }

    /// The position of one of those with the highest total.
    pub fn best(&self, choice: &mut Choice<'_>) -> usize {
        let (mut highest, mut ties) = (i64::MIN, 0);
        let mut best: Vec<Segment> = Vec::with_capacity(self.window.segments.len());
        for segment in &self.window.segments {
            let (total, bits) = self.of_segment(segment, highest.saturating_sub(1));
            if total > highest {
                (highest, ties) = (total, 0);
                best.clear();
            }
            if total == highest {
                ties += bits.count_ones() as usize;
                best.push(Segment { word: segment.word, bits });
            }
        }
        let order = self.snapshot.order();
        let first = match choice {
            Choice::Random(below) => nth_of(best, if ties > 1 { below(ties as u64) as usize } else { 0 }),
            Choice::SmallestName => {
                let tied = best.into_iter().flat_map(positions);
                tied.min_by_key(|at| self.snapshot.node(order[*at]).name())
            }
        };
        first.unwrap_or(0)
    }

    /// The highest total in a segment, and which positions have it. Where none is above `least` it may say less.
    fn of_segment(&self, segment: &Segment, least: i64) -> (i64, u64) {
        let from = self.named.partition_point(|named| named.word < segment.word);
        let named = self.named[from..].iter().take_while(|named| named.word == segment.word);
        let named = named.filter(|named| named.bit & segment.bits != 0);
        let single = named.clone().fold(0, |bits, named| bits | named.bit);
        let block = self.table.blocks()[segment.word];
        let best = i64::from(block.best);
        let of_row = |row: &Row<'_>| {
            let bits = row.bits(segment) & !single;
            match block.at_best & bits {
                // Those at the block's best have not passed, and the others may be no better than what was found.
                0 if bits == 0 || best + row.more <= least => None,
                0 => {
                    let (total, bits) = self.table.best_of(segment.word, bits);
                    Some((i64::from(total) + row.more, bits))
                }
                hit => Some((best + row.more, hit)),
            }
        };
        let rows = self.rows.iter().filter_map(of_row);
        rows.chain(named.map(|named| (named.total, named.bit))).fold((i64::MIN, 0), |best, (total, bits)| {
            match total.cmp(&best.0) {
                std::cmp::Ordering::Less => best,
                std::cmp::Ordering::Equal => (total, best.1 | bits),
                std::cmp::Ordering::Greater => (total, bits),
            }
        })
    }
}
