//! The short way of a scheduling cycle: what plugins would say is kept from earlier cycles or told at once, so that few nodes
//! are asked.
//!
//! Between two cycles few nodes change: the one that got a Pod, and those that were heard of. What
//! [local](crate::scheduler::framework::Extensions::local) plugins said of all others for a Pod of the same wishes they would
//! say again. A [`table`] keeps it for Pods of one sort of wishes, and asks again of nodes that the snapshot says have changed.
//! Plugins that look further say what they can by [gates](crate::scheduler::framework::Gate), which let the nodes of
//! some places pass; [`masks`] knows which nodes those are. A [`window`] is what a search over the nodes finds, 64 nodes a step.
//!
//! What is decided is the same as if every plugin was asked of every node; `properties` compares the two. Where a plugin
//! cannot be covered it is asked, and the [`Tally`] says how often that happened.

pub mod masks;
pub mod missed;
mod relief;
pub mod search;
pub mod table;
pub mod window;

use std::collections::BTreeMap;

use super::decision::Failure;
use super::framework::{Framework, Handle, PodInfo};
use masks::Masks;
use missed::Missed;
use table::Table;
use window::Window;

/// Wishes that are kept at a time.
const TABLES_MAX: usize = 16;

/// How much was known without asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cycles in which the nodes were found the short way.
    pub short: u64,
    /// Cycles for Pods that fared like the one before them that fitted nowhere.
    pub repeated: u64,
    /// Cycles in which plugins were asked of node after node, by what made that necessary: a plugin's name, or what the Pod is.
    pub long: BTreeMap<&'static str, u64>,
    /// Cycles of the short way in which a plugin still had to be asked of single nodes, or to score them one by one.
    pub asked: BTreeMap<&'static str, u64>,
    /// Nodes of which local plugins were asked, because they had changed or were new to a table.
    pub refreshed: u64,
}

impl Tally {
    /// Cycles that went the long way.
    pub fn fallbacks(&self) -> u64 {
        self.long.values().sum()
    }

    /// What it comes to, in one line: `900 cycles the short way, 100 the long way (no node fits 100)`.
    pub fn render(&self) -> String {
        let by_name = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let mut out = format!("{} cycles the short way, {} the long way", self.short, self.fallbacks());
        if !self.long.is_empty() {
            out += &format!(" ({})", by_name(&self.long));
        }
        if self.repeated > 0 {
            out += &format!(", {} as the Pod before", self.repeated);
        }
        if !self.asked.is_empty() {
            out += &format!("; asked node by node: {}", by_name(&self.asked));
        }
        out
    }
}

/// What is kept for Pods of several wishes.
#[derive(Clone, Debug)]
pub struct Memo {
    tables: Vec<Table>,
    /// Numbers uses, to find the table that was not used for longest.
    uses: u64,
    enabled: bool,
    masks: Masks,
    window: Window,
    missed: Option<Missed>,
    /// How often it was of use.
    pub tally: Tally,
}

impl Default for Memo {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            uses: 0,
            enabled: true,
            masks: Masks::default(),
            window: Window::default(),
            missed: None,
            tally: Tally::default(),
        }
    }
}

/// What is kept for one Pod's cycle.
#[derive(Debug)]
pub struct Kept<'a> {
    /// For Pods of its wishes.
    pub table: &'a mut Table,
    masks: &'a mut Masks,
    window: &'a mut Window,
    /// To count in.
    pub tally: &'a mut Tally,
}

impl Memo {
    /// Keeps nothing from now on, or begins to keep.
    pub fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.tables.clear();
        self.missed = None;
    }

    /// What came of a Pod like this one that fitted nowhere, if nothing has changed since.
    pub fn missed(&mut self, handle: &Handle<'_>, pod: &PodInfo) -> Option<Missed> {
        let missed = self.missed.as_ref().filter(|missed| missed.is_for(handle, pod)).cloned();
        self.tally.repeated += u64::from(missed.is_some());
        missed
    }

    /// A Pod fitted nowhere; plugins said so of Pods like it, not of it alone.
    pub fn miss(
        &mut self,
        handle: &Handle<'_>,
        pod: &PodInfo,
        (evaluated, refused_by): (usize, &[&'static str]),
        failure: &Failure,
    ) {
        if self.enabled {
            self.missed = Missed::of(handle, pod, evaluated, refused_by, failure);
        }
    }

    /// What is kept for Pods like this one; none if nothing can be.
    pub fn of(&mut self, framework: &Framework, pod: &PodInfo) -> Option<Kept<'_>> {
        let wishes = pod.shape.local;
        let why = if !self.enabled {
            Some("switched off")
        } else if wishes == 0 {
            Some("resized Pod")
        } else if pod.pod.node_name.as_ref().is_some_and(|node| !node.is_empty()) {
            Some("Pod with a node")
        } else {
            None
        };
        if let Some(why) = why {
            *self.tally.long.entry(why).or_default() += 1;
            return None;
        }
        self.uses += 1;
        let found = self.tables.iter().position(|t| t.is_for(framework, wishes));
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
        Some(Kept { table, masks: &mut self.masks, window: &mut self.window, tally: &mut self.tally })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_says_what_had_to_be_asked() {
        let mut tally = Tally { short: 7, ..Tally::default() };
        assert_eq!(tally.render(), "7 cycles the short way, 0 the long way");
        tally.long = [("Mine", 2), ("no node fits", 1)].into_iter().collect();
        tally.asked = [("NodeVolumeLimits", 5)].into_iter().collect();
        assert_eq!(
            tally.render(),
            "7 cycles the short way, 3 the long way (Mine 2, no node fits 1); asked node by node: NodeVolumeLimits 5"
        );
    }
}
