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
    let mut sources = SourceMap::default();
    let (plan, diagnostics) = scenario::load(&DiskFiles, path, &mut sources);
    let (notes, serious): (Vec<Diagnostic>, Vec<Diagnostic>) =
        diagnostics.into_iter().partition(|d| d.severity == Severity::Note);
    context.diagnose(&serious, &sources);
    let mut plan = plan.ok_or(Exit::Input)?;
    if let Some(seed) = seed {
        plan.seed = seed;
    }
    Ok(Scenario { path: path.to_owned(), plan, notes: notes.into_iter().map(|d| d.message).collect() })
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
