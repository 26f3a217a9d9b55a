//! `wavetank lint`: reads scenarios and manifests, runs nothing, reports every mistake.

use super::args::Lint;
use super::exit::Exit;
use super::files::{DiskFiles, looks_like_scenario, scenarios_under};
use super::output::Context;
use crate::base::{Diagnostic, Severity, SourceMap};
use crate::scenario::{self, Files};

/// Lints everything that is named.
pub fn main(args: &Lint, context: &Context) -> Exit {
    let mut exit = Exit::Fine;
    let (mut errors, mut warnings, mut files) = (0, 0, 0);
    for path in &args.paths {
        let found = match expand(path) {
            Ok(found) => found,
            Err(why) => {
                context.complain(&format!("{path}: {why}"));
                exit = exit.and(Exit::Input);
                continue;
            }
        };
        for file in found {
            let mut sources = SourceMap::default();
            let diagnostics = lint_file(&file, &mut sources);
            let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
            errors += count(Severity::Error);
            warnings += count(Severity::Warning);
            files += 1;
            context.diagnose(&diagnostics, &sources);
        }
    }
    if errors > 0 {
        exit = exit.and(Exit::Input);
    }
    let summary = format!("{files} files, {errors} errors, {warnings} warnings\n");
    if context.quiet { exit } else { exit.and(context.print(&summary)) }
}

/// Scenarios under a folder, or else the files that a path stands for.
fn expand(path: &str) -> Result<Vec<String>, String> {
    match scenarios_under(path) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => DiskFiles.expand(path),
    }
}

fn lint_file(file: &str, sources: &mut SourceMap) -> Vec<Diagnostic> {
    let content = match DiskFiles.read(file) {
        Ok(content) => content,
        Err(why) => return vec![Diagnostic::error("WT0101", format!("cannot read {file}: {why}"))],
    };
    let text = String::from_utf8_lossy(&content);
    if looks_like_scenario(&text) {
        return scenario::lint(&DiskFiles, file, sources);
    }
    let id = sources.add(file, text.as_ref());
    crate::api::manifest::read(sources, &[id]).diagnostics
}
