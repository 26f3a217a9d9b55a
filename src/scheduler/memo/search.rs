//! Finding the nodes that pass, and the best of them, with what is kept.

use super::Kept;
use super::masks::Passage;
use super::relief::Relieved;
use super::table::WORD;
use super::window::{Segment, positions};
use crate::scheduler::cycle::select_host;
use crate::scheduler::decision::Choice;
use crate::scheduler::framework::runtime::{At, Weighted, pre_score_failed, run_filters};
use crate::scheduler::framework::{
    Cover, CycleState, Filter, Foreseen, Gate, Handle, NodeId, NodeInfo, PodInfo, PreScore, Status,
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
        self.window.search(snapshot.len(), from % snapshot.len().max(1), wanted, passing, check)?;
        self.table.find_best(self.window.segments.iter().map(|segment| segment.word));
        Ok(())
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
        let Ahead { open, by_place } = foresee(before, state)?;
        if let Some(position) = self.at_once(before, state, (open.len(), &by_place), choice) {
            return Ok(order[position]);
        }
        let nodes: Vec<&NodeInfo> = self.window.positions().map(|at| snapshot.node(order[at])).collect();
        let totals = self.totals(before, state, &nodes, &open)?;
        Ok(nodes[select_host(&nodes, &totals, choice)].id)
    }

    /// The position of one of the best if that can be told without looking at single nodes: if nothing is to be added to the totals
    /// of the table, or what one plugin gives by place.
    fn at_once(
        &mut self,
        before: Before<'_>,
        state: &CycleState,
        (open, by_place): (usize, &[(&At<dyn PreScore>, Option<usize>)]),
        choice: &mut Choice<'_>,
    ) -> Option<usize> {
        let Before { handle: Handle { framework, snapshot, .. }, pod } = before;
        let told_but_for =
            |bit| framework.score.iter().all(|w| w.at.bit & bit != 0 || self.is_told(w, state));
        let relieved = match by_place {
            [] if open == 0 && told_but_for(0) => Relieved::plain(self.table, self.window, snapshot),
            [(at, key)] if open == 1 && told_but_for(at.bit) => {
                let weighted = framework.score.iter().find(|weighted| weighted.at.bit == at.bit)?;
                let kept = (&*self.table, &*self.window, &mut *self.masks);
                Relieved::by_place(kept, (snapshot, state, pod), (at, *key, weighted.weight))?
            }
            _ => return None,
        };
        Some(relieved.best(choice))
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

/// PreScore plugins that still have something to say.
struct Ahead<'a> {
    /// All of them.
    open: Vec<&'a At<dyn PreScore>>,
    /// Those whose scores go by the places of a key.
    by_place: Vec<(&'a At<dyn PreScore>, Option<usize>)>,
}

/// Calls PreScore plugins that need not know which nodes passed.
fn foresee<'a>(before: Before<'a>, state: &mut CycleState) -> Result<Ahead<'a>, Status> {
    let Handle { framework, snapshot, .. } = *before.handle;
    let mut ahead = Ahead { open: Vec::new(), by_place: Vec::new() };
    for at in framework.pre_score.iter().filter(|at| !at.local) {
        match at.plugin.foresee(snapshot, state, before.pod) {
            Ok(Foreseen::Equal) => state.skip_score |= at.bit,
            Ok(Foreseen::Ready) => {}
            Ok(Foreseen::ByPlace(key)) => {
                ahead.open.push(at);
                ahead.by_place.push((at, key));
            }
            Ok(Foreseen::Open) => ahead.open.push(at),
            Err(status) => return Err(pre_score_failed(at.name, &status)),
        }
    }
    Ok(ahead)
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
