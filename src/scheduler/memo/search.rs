//! Finding the nodes that pass, and the best of them, with what is kept.

use super::Kept;
use super::masks::Passage;
use super::table::{Table, WORD};
use super::window::{Segment, Window, positions};
use crate::scheduler::cycle::select_host;
use crate::scheduler::decision::Choice;
use crate::scheduler::framework::runtime::{At, Weighted, pre_score_failed, run_filters};
use crate::scheduler::framework::{
    Cover, CycleState, Filter, Foreseen, Gate, Handle, NodeId, NodeInfo, PodInfo, PreScore, Snapshot, Status,
};

/// No node passes, which is told of every node with its reason the long way.
const NOTHING_FITS: &str = "no node fits";

/// A Pod before the nodes.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The profile and the cluster.
    pub handle: &'a Handle<'a>,
    /// The Pod.
    pub pod: &'a PodInfo,
}

/// What has to be asked of single nodes.
struct Asking<'a> {
    before: Before<'a>,
    state: &'a CycleState,
    filters: Vec<&'a At<dyn Filter>>,
    /// Positions of nodes to which Pods are nominated that count, with their words.
    nominated: Vec<(usize, u64)>,
}

impl Kept<'_> {
    /// Looks for `wanted` nodes that pass, from the position `from` on: how many there are and how many were looked at. None if
    /// a plugin has to be asked of every node; if none passes it has to be asked why. `state` is that of the cycle after PreFilter.
    pub fn search(
        &mut self,
        before: Before<'_>,
        state: &CycleState,
        from: usize,
        wanted: usize,
    ) -> Option<(usize, usize)> {
        match self.try_search(before, state, from, wanted) {
            Ok(()) => {
                if self.window.feasible > 0 {
                    self.tally.short += 1;
                } else {
                    *self.tally.long.entry(NOTHING_FITS).or_default() += 1;
                }
                Some((self.window.feasible, self.window.looked_at))
            }
            Err(plugin) => {
                *self.tally.long.entry(plugin).or_default() += 1;
                None
            }
        }
    }

    /// Brings the table up to date.
    ///
    /// # Errors
    /// The plugin that broke.
    pub fn refresh(&mut self, before: Before<'_>, state: &CycleState) -> Result<(), &'static str> {
        let Handle { framework, snapshot, .. } = *before.handle;
        self.tally.refreshed += self.table.refresh(framework, snapshot, state, before.pod)? as u64;
        Ok(())
    }

    fn try_search(
        &mut self,
        before: Before<'_>,
        state: &CycleState,
        from: usize,
        wanted: usize,
    ) -> Result<(), &'static str> {
        self.refresh(before, state)?;
        let Handle { framework, snapshot, .. } = *before.handle;
        let mut gates: Vec<Gate> = Vec::new();
        let mut asking = Asking { before, state, filters: Vec::new(), nominated: Vec::new() };
        for at in framework.filter.iter().filter(|at| !at.local && state.skip_filter & at.bit == 0) {
            match at.plugin.cover(snapshot, state, before.pod, &mut gates) {
                Cover::Gated => {}
                Cover::Asked => {
                    *self.tally.asked.entry(at.name).or_default() += 1;
                    asking.filters.push(at);
                }
                Cover::Unknown => return Err(at.name),
            }
        }
        asking.find_nominated();
        let passage = self.masks.passage(snapshot, &gates);
        let blocks = self.table.blocks();
        let passing = |word: usize| {
            if passage.closed { 0 } else { blocks[word].passing & passage.word(word) }
        };
        let check = |word, bits, left| asking.check(&passage, Segment { word, bits }, left);
        self.window.search(snapshot.len(), from % snapshot.len().max(1), wanted, passing, check)
    }

    /// One of the best of the nodes that the search found.
    ///
    /// # Errors
    /// A plugin broke.
    pub fn choose(
        &mut self,
        before: Before<'_>,
        state: &mut CycleState,
        choice: &mut Choice<'_>,
    ) -> Result<NodeId, Status> {
        let snapshot = before.handle.snapshot;
        let order = snapshot.order();
        if self.window.feasible == 1 {
            return Ok(order[self.window.positions().next().unwrap_or(0)]);
        }
        let open = foresee(before, state)?;
        if open.is_empty() && self.is_summed_up(before, state) {
            return Ok(order[best(self.table, self.window, snapshot, choice)]);
        }
        let nodes: Vec<&NodeInfo> = self.window.positions().map(|at| snapshot.node(order[at])).collect();
        let totals = self.totals(before, state, &nodes, &open)?;
        Ok(nodes[select_host(&nodes, &totals, choice)].id)
    }

    /// Whether the totals of the table are all there is to say, but for what is the same for all nodes.
    fn is_summed_up(&self, before: Before<'_>, state: &CycleState) -> bool {
        before.handle.framework.score.iter().all(|weighted| self.is_told(weighted, state))
    }

    /// Whether nothing is to be added to the totals of the table for what a plugin says.
    fn is_told(&self, Weighted { at, .. }: &Weighted, state: &CycleState) -> bool {
        if at.local {
            !at.plugin.normalizes() || self.table.skips(at.bit) || self.table.is_even(at.bit)
        } else {
            state.skip_score & at.bit != 0
        }
    }

    /// The weighted scores of nodes that passed, added up, but for what is the same for all of them. `open` are the PreScore plugins
    /// that are still to be called.
    ///
    /// # Errors
    /// A plugin broke or gave a score beyond 0..=100.
    pub fn totals(
        &mut self,
        before: Before<'_>,
        state: &mut CycleState,
        nodes: &[&NodeInfo],
        open: &[&At<dyn PreScore>],
    ) -> Result<Vec<i64>, Status> {
        let Before { handle: Handle { framework, snapshot, .. }, pod } = before;
        for at in open {
            at.run(snapshot, state, pod, nodes)?;
        }
        let mut totals: Vec<i64> = nodes.iter().map(|node| self.table.total(node.id)).collect();
        let mut scores = Vec::with_capacity(nodes.len());
        for weighted in &framework.score {
            let at = &weighted.at;
            if self.is_told(weighted, state) {
                continue;
            }
            scores.clear();
            if at.local {
                scores.extend(nodes.iter().map(|node| self.table.raw(at.bit, node.id)));
                let state = self.table.state().unwrap_or(state);
                weighted.weigh(snapshot, state, pod, nodes, &mut scores)?;
            } else {
                weighted.score(snapshot, state, pod, nodes, &mut scores)?;
            }
            *self.tally.asked.entry(at.name).or_default() += 1;
            for (total, score) in totals.iter_mut().zip(&scores) {
                *total += score;
            }
        }
        Ok(totals)
    }
}

/// Calls PreScore plugins that need not know which nodes passed; gives the others.
fn foresee<'a>(before: Before<'a>, state: &mut CycleState) -> Result<Vec<&'a At<dyn PreScore>>, Status> {
    let Handle { framework, snapshot, .. } = *before.handle;
    let mut open = Vec::new();
    for at in framework.pre_score.iter().filter(|at| !at.local) {
        match at.plugin.foresee(snapshot, state, before.pod) {
            Ok(Foreseen::Equal) => state.skip_score |= at.bit,
            Ok(Foreseen::Ready) => {}
            Ok(Foreseen::Open) => open.push(at),
            Err(status) => return Err(pre_score_failed(at.name, &status)),
        }
    }
    Ok(open)
}

/// The position of one of those with the highest total in a window.
fn best(table: &Table, window: &Window, snapshot: &Snapshot, choice: &mut Choice<'_>) -> usize {
    let order = snapshot.order();
    let blocks = table.blocks();
    let of_segment = |segment: &Segment, least: i32| {
        let block = blocks[segment.word];
        match block.at_best & segment.bits {
            // Those at the block's best have not passed, and the others may be no better than what was found.
            0 if block.best <= least => (i32::MIN, 0),
            0 => table.best_of(&order[segment.word * WORD..], segment.bits),
            hit => (block.best, hit),
        }
    };
    let (mut highest, mut ties) = (i32::MIN, 0);
    for segment in &window.segments {
        let (total, bits) = of_segment(segment, highest);
        if total > highest {
            (highest, ties) = (total, 0);
        }
        if total == highest {
            ties += bits.count_ones() as usize;
        }
    }
    let mut tied = window.segments.iter().flat_map(|segment| {
        let (total, bits) = of_segment(segment, highest.saturating_sub(1));
        positions(Segment { word: segment.word, bits: if total == highest { bits } else { 0 } })
    });
    let first = match choice {
        Choice::Random(below) if ties > 1 => tied.nth(below(ties as u64) as usize),
        Choice::Random(_) => tied.next(),
        Choice::SmallestName => tied.min_by_key(|at| snapshot.node(order[*at]).name()),
    };
    first.unwrap_or(0)
}

impl Asking<'_> {
    /// Finds the nodes on which others count as if they were there.
    fn find_nominated(&mut self) {
        let Before { handle: Handle { snapshot, nominator, .. }, pod } = self.before;
        for name in nominator.nodes() {
            let others = nominator.on_node(name).iter();
            let mut counts = others.filter(|p| p.priority() >= pod.priority() && p.uid() != pod.uid());
            let Some(node) = snapshot.get(name).filter(|_| counts.next().is_some()) else { continue };
            if let Some(position) = snapshot.layout().position(node.id) {
                self.nominated.push((position / WORD, 1 << (position % WORD)));
            }
        }
    }

    /// Those of the positions that pass, at most `left`.
    fn check(&self, passage: &Passage<'_>, segment: Segment, left: usize) -> Result<u64, &'static str> {
        let nominated = self.nominated.iter().filter(|(word, _)| *word == segment.word);
        let special = nominated.fold(0, |bits, (_, bit)| bits | bit);
        if self.filters.is_empty() && passage.by_place.is_empty() && special & segment.bits == 0 {
            return Ok(segment.bits);
        }
        let snapshot = self.before.handle.snapshot;
        let (mut passed, mut found) = (0, 0);
        for position in positions(segment) {
            let bit = 1u64 << (position % WORD);
            let node = snapshot.order()[position];
            if passage.lets(snapshot, node) && self.passes(node, special & bit != 0)? {
                passed |= bit;
                found += 1;
                if found >= left {
                    break;
                }
            }
        }
        Ok(passed)
    }

    /// Whether the plugins that must be asked let the node pass.
    fn passes(&self, node: NodeId, with_others: bool) -> Result<bool, &'static str> {
        let Before { handle, pod } = self.before;
        let info = handle.snapshot.node(node);
        let verdict = |said: Result<(), Status>| match said {
            Ok(()) => Ok(true),
            Err(status) if status.is_rejected() => Ok(false),
            Err(status) => Err(status.plugin),
        };
        if with_others && !verdict(handle.run_filter_with_others(self.state, pod, info))? {
            return Ok(false);
        }
        for at in &self.filters {
            if !verdict(run_filters(std::slice::from_ref(*at), handle.snapshot, self.state, pod, info))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
