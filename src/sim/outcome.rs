//! What a run comes to.

use std::fmt;

use crate::api::Phase;
use crate::base::{SimTime, Str};
use crate::expect::trace::Tally;
use crate::expect::{self, Judgement};
use crate::facts::traffic::Meter;
use crate::kernel::LimitHit;
use crate::kernel::digest::DigestValue;

/// The end of a run, judged.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: Str,
    /// The seed.
    pub seed: u64,
    /// A hash over every recorded change.
    pub digest: DigestValue,
    /// How long the simulated time was.
    pub simulated: SimTime,
    /// Every expectation with its verdict, in the order of the scenario.
    pub expectations: Vec<Judgement>,
    /// Pods at the end, by what they are doing.
    pub pods: PodCounts,
    /// Services that got requests, by name, with what became of these.
    pub requests: Vec<(Str, Meter)>,
    /// What became of the Pods of traces, in the order of the scenario.
    pub traces: Vec<TraceOutcome>,
    /// What the nodes cost, and how much of them was made use of.
    pub cost: expect::Bill,
    /// Events of the engine that were handled.
    pub events: u64,
    /// Steps that were refused: instant, verb, words.
    pub refused_steps: Vec<(SimTime, Str, Str)>,
}

/// What became of the Pods of a trace.
#[derive(Clone, Debug)]
pub struct TraceOutcome {
    /// Their numbers, and how long they waited.
    pub tally: Tally,
    /// Pods that the API server refused, and what it said of the first.
    pub refused: (u64, Str),
    /// Why Pods wait for a node, in the scheduler's words, with the number of Pods, most of them first.
    pub pending: Vec<(Str, u32)>,
}

/// Pods by what they are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodCounts {
    /// Running and not being deleted.
    pub running: u32,
    /// Of those, ready.
    pub ready: u32,
    /// Waiting for a node or for their containers.
    pub pending: u32,
    /// Ended well.
    pub succeeded: u32,
    /// Ended badly.
    pub failed: u32,
    /// Being deleted.
    pub terminating: u32,
}

impl PodCounts {
    /// Counts one Pod.
    pub fn add(&mut self, pod: &crate::api::Pod) {
        if pod.meta.is_deleting() && !pod.is_terminal() {
            self.terminating += 1;
            return;
        }
        match pod.status.phase {
            Phase::Running => {
                self.running += 1;
                self.ready += u32::from(pod.is_ready());
            }
            Phase::Pending | Phase::Unknown => self.pending += 1,
            Phase::Succeeded => self.succeeded += 1,
            Phase::Failed => self.failed += 1,
        }
    }
}

/// Whether the run came out as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every expectation held, or there was none.
    Passed,
    /// At least one did not.
    Failed,
}

impl Outcome {
    /// The verdict over all expectations.
    pub fn verdict(&self) -> Verdict {
        let held = self.expectations.iter().all(|e| e.verdict == expect::Verdict::Passed);
        if held { Verdict::Passed } else { Verdict::Failed }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
        })
    }
}

/// Why a run could not be carried to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A named limit was hit.
    #[error("{0}")]
    Limit(LimitHit),
    /// Something that must always hold did not.
    #[error("at t={at}: {what}")]
    Invariant {
        /// When.
        at: SimTime,
        /// What.
        what: String,
    },
}
