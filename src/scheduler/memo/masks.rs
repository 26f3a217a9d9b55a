//! Which positions are in which place of a topology key, as bits.

use super::table::WORD;
use crate::scheduler::framework::whereabouts::PLACES_MAX;
use crate::scheduler::framework::{Gate, NodeId, Snapshot};

/// The positions of one key's places.
#[derive(Clone, Debug)]
struct Rows {
    key: usize,
    /// The arrangement of the snapshot that they are for.
    arrangement: u64,
    words: usize,
    /// Place by place, and last the nodes that lack the label.
    bits: Vec<u64>,
}

/// The positions of places, of all keys that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    rows: Vec<Rows>,
}

/// What gates let pass.
#[derive(Clone, Debug, Default)]
pub struct Passage<'a> {
    /// Each is one gate: the rows, one of which a position must be in.
    by_row: Vec<Vec<&'a [u64]>>,
    /// Gates of keys with many places, which are asked position by position.
    pub by_place: Vec<&'a Gate>,
    /// No position passes.
    pub closed: bool,
}

impl Masks {
    /// What the gates let pass in the snapshot.
    pub fn passage<'a>(&'a mut self, snapshot: &Snapshot, gates: &'a [Gate]) -> Passage<'a> {
        let narrow = |gate: &Gate| {
            gate.key.filter(|key| !gate.is_open() && snapshot.topology().places(*key).len() <= PLACES_MAX)
        };
        for key in gates.iter().filter_map(narrow) {
            self.prepare(snapshot, key);
        }
        let mut passage = Passage::default();
        for gate in gates.iter().filter(|gate| !gate.is_open()) {
            match gate.key {
                None => passage.closed = true,
                Some(_) if narrow(gate).is_none() => passage.by_place.push(gate),
                Some(key) => {
                    let rows = self.rows.iter().find(|rows| rows.key == key);
                    passage.by_row.push(rows.map(|rows| rows.passing(gate)).unwrap_or_default());
                }
            }
        }
        passage
    }

    /// The positions of each place of a key, word by word, and last of the nodes that lack the label; none if the key has too many
    /// places.
    pub fn rows(&mut self, snapshot: &Snapshot, key: usize) -> Option<impl Iterator<Item = &[u64]>> {
        if snapshot.topology().places(key).len() > PLACES_MAX {
            return None;
        }
        self.prepare(snapshot, key);
        let rows = self.rows.iter().find(|rows| rows.key == key)?;
        Some(rows.bits.chunks_exact(rows.words.max(1)))
    }

    fn prepare(&mut self, snapshot: &Snapshot, key: usize) {
        let at = self.rows.iter().position(|rows| rows.key == key);
        if at.is_some_and(|at| self.rows[at].arrangement == snapshot.arrangement()) {
            return;
        }
        let rows = Rows::of(snapshot, key);
        match at {
            Some(at) => self.rows[at] = rows,
            None => self.rows.push(rows),
        }
    }
}

impl Rows {
    fn of(snapshot: &Snapshot, key: usize) -> Self {
        let places = snapshot.topology().places(key);
        let words = snapshot.len().div_ceil(WORD);
        let mut bits = vec![0; (places.len() + 1) * words];
        for (position, node) in snapshot.order().iter().enumerate() {
            let row = places.of(*node).unwrap_or(places.len());
            bits[row * words + position / WORD] |= 1 << (position % WORD);
        }
        Self { key, arrangement: snapshot.arrangement(), words, bits }
    }

    fn passing(&self, gate: &Gate) -> Vec<&[u64]> {
        let last = self.bits.len() / self.words.max(1) - 1;
        let lets = |row: &usize| gate.lets((*row < last).then_some(*row));
        let rows = (0..=last).filter(lets);
        rows.map(|row| &self.bits[row * self.words..(row + 1) * self.words]).collect()
    }
}

impl Passage<'_> {
    /// Whether a node passes the gates of keys with many places.
    pub fn lets(&self, snapshot: &Snapshot, node: NodeId) -> bool {
        self.by_place
            .iter()
            .all(|gate| gate.lets(gate.key.and_then(|key| snapshot.topology().places(key).of(node))))
    }

    /// The positions of a word that pass the gates of keys with few places.
    pub fn word(&self, word: usize) -> u64 {
        self.by_row.iter().fold(u64::MAX, |all, rows| all & rows.iter().fold(0, |any, row| any | row[word]))
    }
}
