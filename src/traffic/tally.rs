//! What the Pods of each namespace use together, kept up to date without looking at all of them.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Pods that may use another amount than they were counted with.
    unsettled: BTreeSet<ObjId>,
}

impl Tally {
    /// A Pod may use another amount.
    pub fn unsettle(&mut self, pod: ObjId) {
        self.unsettled.insert(pod);
    }

    /// The sums. `ask` says what a Pod uses and in which namespace, none if nothing, and whether it may use another
    /// amount next time though nobody says so.
    pub fn read(&mut self, ask: impl Fn(ObjId) -> (Option<(Str, Sum)>, bool)) -> BTreeMap<Str, Sum> {
        for pod in std::mem::take(&mut self.unsettled) {
            let (part, changes) = ask(pod);
            if changes {
                self.unsettled.insert(pod);
            }
            let before = match &part {
                Some(part) => self.parts.insert(pod, part.clone()),
                None => self.parts.remove(&pod),
            };
            if let Some((namespace, was)) = before {
                let sum = self.sums.entry(namespace).or_default();
                sum.cpu -= was.cpu;
                sum.memory -= was.memory;
            }
            if let Some((namespace, is)) = part {
                let sum = self.sums.entry(namespace).or_default();
                sum.cpu += is.cpu;
                sum.memory += is.memory;
            }
        }
        self.sums.clone()
    }
}
