//! What the Pods of each namespace use together, kept up to date without looking at all of them.

use std::collections::BTreeMap;

use crate::base::{LookupMap, Str};
use crate::store::ObjId;

/// CPU in millicores and memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Millicores.
    pub cpu: i128,
    /// Bytes.
    pub memory: i128,
}

/// Sums by namespace, and what each Pod has in them.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    parts: LookupMap<ObjId, (Str, Sum)>,
    sums: BTreeMap<Str, Sum>,
    /// Pods that may use another amount than they were counted with, some more than once.
    unsettled: Vec<ObjId>,
    /// With so many it is looked for those that stand there more than once.
    full: usize,
}

/// Fewer Pods than these may stand there more than once.
const FULL_MIN: usize = 4096;

impl Tally {
    /// A Pod may use another amount.
    pub fn unsettle(&mut self, pod: ObjId) {
        self.unsettled.push(pod);
        if self.unsettled.len() > self.full.max(FULL_MIN) {
            self.once();
            self.full = 2 * self.unsettled.len();
        }
    }

    /// Each Pod stands there once, in order.
    fn once(&mut self) {
        self.unsettled.sort_unstable();
        self.unsettled.dedup();
    }

    fn add(&mut self, (namespace, part): &(Str, Sum), sign: i128) {
        let sum = self.sums.entry(namespace.clone()).or_default();
        sum.cpu += sign * part.cpu;
        sum.memory += sign * part.memory;
    }

    /// The sums. `ask` says what a Pod uses and in which namespace, none if nothing, and whether it may use another
    /// amount next time though nobody says so.
    pub fn read(&mut self, ask: impl Fn(ObjId) -> (Option<(Str, Sum)>, bool)) -> BTreeMap<Str, Sum> {
        self.once();
        for pod in std::mem::take(&mut self.unsettled) {
            let (part, changes) = ask(pod);
            if changes {
                self.unsettled.push(pod);
            }
            match (part, self.parts.get_mut(&pod)) {
                (Some(is), Some(was)) if is == *was => {}
                (Some(is), Some(was)) => {
                    let was = std::mem::replace(was, is.clone());
                    self.add(&was, -1);
                    self.add(&is, 1);
                }
                (Some(is), None) => {
                    self.add(&is, 1);
                    self.parts.insert(pod, is);
                }
                (None, Some(_)) => {
                    if let Some(was) = self.parts.remove(&pod) {
                        self.add(&was, -1);
                    }
                }
                (None, None) => {}
            }
        }
        self.sums.clone()
    }
}
