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

    fn add(&mut self, (namespace, part): &(Str, Sum), sign: i128) {
        let sum = self.sums.entry(namespace.clone()).or_default();
        sum.cpu += sign * part.cpu;
        sum.memory += sign * part.memory;
    }

    /// The sums. `ask` says what a Pod uses and in which namespace, none if nothing, and whether it may use another
    /// amount next time though nobody says so.
    pub fn read(&mut self, ask: impl Fn(ObjId) -> (Option<(Str, Sum)>, bool)) -> BTreeMap<Str, Sum> {
        for pod in std::mem::take(&mut self.unsettled) {
            let (part, changes) = ask(pod);
            if changes {
                self.unsettled.insert(pod);
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
