//! What plugins that look at a node alone said of nodes in earlier cycles, for Pods that ask the same of a node.
//!
//! Between two cycles few nodes change: the one that got a Pod, and those that were heard of. What
//! [local](crate::scheduler::framework::Extensions::local) plugins said of all others for a Pod of the same wishes they would
//! say again, so it is kept with the node's generation. Plugins that look further are asked in every cycle. What is decided
//! is the same with and without; `properties` compares the two.

use super::framework::{Framework, NodeId, PodInfo, Snapshot, Status};
use crate::base::Str;

/// Wishes that are kept at a time.
const TABLES_MAX: usize = 16;

/// How often something that was kept could be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Nodes of which a verdict was kept.
    pub hits: u64,
    /// Nodes that were looked at.
    pub misses: u64,
    /// Cycles for Pods of which nothing can be kept.
    pub fallbacks: u64,
}

/// What is kept for Pods of several wishes.
#[derive(Clone, Debug)]
pub struct Memo {
    tables: Vec<Table>,
    /// Numbers uses, to find the table that was not used for longest.
    uses: u64,
    enabled: bool,
    /// How often it was of use.
    pub tally: Tally,
}

impl Default for Memo {
    fn default() -> Self {
        Self { tables: Vec::new(), uses: 0, enabled: true, tally: Tally::default() }
    }
}

/// What is kept for Pods of the same wishes. Everything is by the node's place in the scheduler's tables.
#[derive(Clone, Debug)]
pub struct Table {
    profile: Str,
    wishes: u64,
    used: u64,
    /// Of the node, when its verdict was given; 0 if there is none.
    generations: Vec<u64>,
    verdicts: Vec<Option<Box<Status>>>,
    /// By plugin: raw scores.
    scores: Vec<Vec<i64>>,
    /// Of the node, when its scores were given; 0 if there are none.
    scored: Vec<u64>,
}

impl Memo {
    /// Keeps nothing from now on, or begins to keep.
    pub fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.tables.clear();
    }

    /// What is kept for Pods like this one; none if nothing can be.
    pub fn table(&mut self, framework: &Framework, snapshot: &Snapshot, pod: &PodInfo) -> Option<Kept<'_>> {
        let wishes = pod.shape.local;
        let placed = pod.pod.node_name.as_ref().is_some_and(|node| !node.is_empty());
        if !self.enabled || wishes == 0 || placed {
            self.tally.fallbacks += 1;
            return None;
        }
        self.uses += 1;
        let found =
            self.tables.iter().position(|t| t.wishes == wishes && t.profile == framework.profile_name);
        let at = found.unwrap_or_else(|| {
            if self.tables.len() >= TABLES_MAX
                && let Some(oldest) = (0..self.tables.len()).min_by_key(|at| self.tables[*at].used)
            {
                self.tables.remove(oldest);
            }
            self.tables.push(Table::new(framework, wishes));
            self.tables.len() - 1
        });
        let table = &mut self.tables[at];
        table.used = self.uses;
        table.make_room(snapshot.slots());
        Some(Kept { table, tally: &mut self.tally })
    }
}

impl Table {
    fn new(framework: &Framework, wishes: u64) -> Self {
        Self {
            profile: framework.profile_name.clone(),
            wishes,
            used: 0,
            generations: Vec::new(),
            verdicts: Vec::new(),
            scores: vec![Vec::new(); framework.local_scores()],
            scored: Vec::new(),
        }
    }

    fn make_room(&mut self, slots: usize) {
        if self.generations.len() < slots {
            self.generations.resize(slots, 0);
            self.verdicts.resize(slots, None);
            self.scored.resize(slots, 0);
            self.scores.iter_mut().for_each(|scores| scores.resize(slots, 0));
        }
    }
}

/// What is kept for one Pod's cycle.
#[derive(Debug)]
pub struct Kept<'a> {
    table: &'a mut Table,
    tally: &'a mut Tally,
}

impl Kept<'_> {
    /// What local Filter plugins say of a node: as it was kept, or as `ask` finds out.
    ///
    /// # Errors
    /// The refusal, or a plugin broke.
    pub fn verdict(
        &mut self,
        node: NodeId,
        generation: u64,
        ask: impl FnOnce() -> Result<(), Status>,
    ) -> Result<(), Status> {
        let at = node.index();
        if self.table.generations[at] == generation {
            self.tally.hits += 1;
        } else {
            self.tally.misses += 1;
            let said = ask();
            self.table.generations[at] = generation;
            self.table.verdicts[at] = said.err().map(Box::new);
        }
        self.table.verdicts[at].as_deref().map_or(Ok(()), |refusal| Err(refusal.clone()))
    }

    /// Sees to it that the scores of a node are kept: `ask` gives those of all local plugins in their order.
    ///
    /// # Errors
    /// A plugin broke.
    pub fn score<E>(
        &mut self,
        node: NodeId,
        generation: u64,
        mut ask: impl FnMut(usize) -> Result<i64, E>,
    ) -> Result<(), E> {
        let at = node.index();
        if self.table.scored[at] != generation {
            for (plugin, scores) in self.table.scores.iter_mut().enumerate() {
                scores[at] = ask(plugin)?;
            }
            self.table.scored[at] = generation;
        }
        Ok(())
    }

    /// The scores that the local plugin number `plugin` gave, by the node's place.
    pub fn scores(&self, plugin: usize) -> &[i64] {
        &self.table.scores[plugin]
    }
}
