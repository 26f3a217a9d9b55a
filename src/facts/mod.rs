//! The closed list of what can be said to have happened, and who listens.
//!
//! Observers never steer: a [`Recorder`] sees facts and cannot change the run.

pub mod traffic;

use std::hash::{Hash, Hasher};

use crate::base::{SimTime, Str};
use crate::store::Change;

pub mod data;

pub use data::{Content, DataChange, DataFact, Place};

/// Something that happened. Nearly all facts are changes: what takes more room than they lies elsewhere.
#[derive(Clone, Debug)]
pub enum Fact {
    /// An API object was written.
    Changed(Change),
    /// A step of the scenario was carried out.
    Action {
        /// When.
        at: SimTime,
        /// The verb.
        verb: Str,
        /// In a few words.
        summary: Str,
        /// For steps that stop nodes: the nodes and their last lease renewals.
        last_lease_renewal: Vec<(Str, SimTime)>,
    },
    /// A step was refused, in the words of the API server or of kubectl.
    Refused {
        /// When.
        at: SimTime,
        /// The verb.
        verb: Str,
        /// Why.
        message: Str,
    },
    /// Data came to be, were found, or were lost.
    Data(Box<DataFact>),
    /// Requests to a service came and were answered, or not.
    Traffic(Box<traffic::Interval>),
}

impl Fact {
    /// When it happened.
    pub const fn at(&self) -> SimTime {
        match self {
            Self::Changed(change) => change.at,
            Self::Action { at, .. } | Self::Refused { at, .. } => *at,
            Self::Data(data) => data.at,
            Self::Traffic(interval) => interval.to,
        }
    }
}

impl Hash for Fact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Changed(change) => {
                state.write_u8(0);
                change.hash(state);
            }
            Self::Action { at, verb, summary, last_lease_renewal } => {
                state.write_u8(1);
                (at, verb, summary, last_lease_renewal).hash(state);
            }
            Self::Refused { at, verb, message } => {
                state.write_u8(2);
                (at, verb, message).hash(state);
            }
            Self::Data(data) => {
                state.write_u8(3);
                data.hash(state);
            }
            Self::Traffic(interval) => {
                state.write_u8(4);
                interval.hash(state);
            }
        }
    }
}

/// Listens to a run.
pub trait Recorder {
    /// Hears a fact, in the order in which facts happen.
    fn record(&mut self, fact: &Fact);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullRecorder;

impl Recorder for NullRecorder {
    fn record(&mut self, _fact: &Fact) {}
}

/// Keeps everything.
#[derive(Clone, Debug, Default)]
pub struct MemoryRecorder {
    /// What was heard.
    pub facts: Vec<Fact>,
}

impl Recorder for MemoryRecorder {
    fn record(&mut self, fact: &Fact) {
        self.facts.push(fact.clone());
    }
}

/// Passes on to two others.
pub struct Tee<'a>(pub &'a mut dyn Recorder, pub &'a mut dyn Recorder);

impl Recorder for Tee<'_> {
    fn record(&mut self, fact: &Fact) {
        self.0.record(fact);
        self.1.record(fact);
    }
}
