//! What a person or a machine reads of a run: finished data in, text out. Nothing here judges.
//!
//! * [`story`]: what happened when, gathered while the run goes on. * [`text`], [`json`], [`junit`]: a run as a whole.
//! * [`timeline`]: every change of an object, a line each. * [`diagnostics`]: mistakes with place and cure.
//! * [`table`]: kubectl's columns. [`page`]: text for a terminal.
//! * [`placements`], [`placements_text`]: what `schedule` found. [`explanation`]: why a Pod is where it is.

pub mod diagnostics;
pub mod explanation;
pub mod holding;
pub mod json;
pub mod junit;
pub mod kubectl;
pub mod page;
pub mod placements;
pub mod placements_text;
pub mod story;
pub mod table;
pub mod text;
pub mod timeline;
pub mod yaml;

use crate::base::Str;
use crate::sim::Outcome;
use story::Beat;

/// A finished run, ready to be written.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The file the scenario was read from, as the user named it.
    pub source: String,
    /// The scenario's description, possibly empty.
    pub description: Str,
    /// What the run came to.
    pub outcome: Outcome,
    /// What happened when; empty if nobody wanted to know.
    pub story: Vec<Beat>,
    /// How the workloads stand at the end.
    pub closing: Vec<story::WorkloadLine>,
    /// Pods that wait for a node at the end, with the scheduler's sentence.
    pub waiting: Vec<(String, String)>,
    /// What is not simulated, and other things worth knowing.
    pub notes: Vec<String>,
}
