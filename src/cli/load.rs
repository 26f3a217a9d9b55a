//! Scenarios from files, with everything that is to be said of them.

use super::exit::Exit;
use super::files::DiskFiles;
use super::output::Context;
use crate::base::{Diagnostic, Severity, SimDuration, SimTime, SourceMap};
use crate::plan::Plan;
use crate::scenario;

/// A scenario that can run.
pub struct Scenario {
    /// The file as the user named it.
    pub path: String,
    /// The plan.
    pub plan: Plan,
    /// Notes of its reading, in words.
    pub notes: Vec<String>,
}

/// Reads a scenario and writes its diagnostics to standard error.
///
/// # Errors
/// The exit code, if it cannot run.
pub fn scenario(path: &str, seed: Option<u64>, context: &Context) -> Result<Scenario, Exit> {
    let read = read(path);
    context.diagnose(&read.serious(), &read.sources);
    let mut scenario = read.scenario(path).ok_or(Exit::Input)?;
    if let Some(seed) = seed {
        scenario.plan.seed = seed;
    }
    Ok(scenario)
}

/// A scenario as it was read.
pub struct Read {
    plan: Option<Plan>,
    /// Everything that is to be said of it.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts it was read from.
    pub sources: SourceMap,
}

/// Reads a scenario.
pub fn read(path: &str) -> Read {
    let mut sources = SourceMap::default();
    let (plan, diagnostics) = scenario::load(&DiskFiles, path, &mut sources);
    Read { plan, diagnostics, sources }
}

impl Read {
    /// Errors and warnings.
    pub fn serious(&self) -> Vec<Diagnostic> {
        self.diagnostics.iter().filter(|d| d.severity != Severity::Note).cloned().collect()
    }

    /// The scenario, if it can run.
    pub fn scenario(self, path: &str) -> Option<Scenario> {
        let notes = self.diagnostics.into_iter().filter(|d| d.severity == Severity::Note).map(|d| d.message);
        Some(Scenario { path: path.to_owned(), plan: self.plan?, notes: notes.collect() })
    }
}

/// Reads an instant of the command line.
///
/// # Errors
/// The exit code, if it is none.
pub fn instant(text: &str, option: &str, context: &Context) -> Result<SimTime, Exit> {
    SimDuration::parse_go(text).map(|d| SimTime::ZERO + d).map_err(|why| {
        context.complain(&format!("{option}: {why}"));
        Exit::Input
    })
}
