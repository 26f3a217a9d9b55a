//! `wavetank lint`: reads scenarios and manifests, runs nothing, reports every mistake.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::args::Lint;
use super::exit::Exit;
use super::files::{DiskFiles, looks_like_scenario, texts_under};
use super::output::Context;
use crate::base::{Diagnostic, Severity, SourceId, SourceMap};
use crate::scenario::{self, Files, code};

/// Lints everything that is named.
pub fn main(args: &Lint, context: &Context) -> Exit {
    let mut linter = Linter::default();
    for path in &args.paths {
        let is_folder = std::path::Path::new(path).is_dir();
        match texts_under(path) {
            Ok(found) => found.iter().for_each(|file| linter.add(file, is_folder)),
            Err(why) => linter.unread(path, &why),
        }
    }
    linter.finish(context)
}

/// Gathers what is to be read, and what is to be said of it.
#[derive(Default)]
struct Linter {
    sources: SourceMap,
    diagnostics: Vec<Diagnostic>,
    manifests: Vec<SourceId>,
    /// Files that were read, by their real place: what a scenario reads is not read again beside it.
    seen: BTreeSet<PathBuf>,
    files: usize,
    /// Files of folders that have no objects: values, policies, configurations of other tools.
    passed_over: usize,
}

impl Linter {
    fn unread(&mut self, path: &str, why: &str) {
        self.diagnostics.push(Diagnostic::error(code::FILE, format!("`{path}`: {why}")));
    }

    fn add(&mut self, file: &str, in_folder: bool) {
        if !self.is_new(file) {
            return;
        }
        let text = DiskFiles.read(file).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| "the file is not text in UTF-8".to_owned())
        });
        if in_folder && text.as_ref().is_ok_and(|text| !may_have_objects(text)) {
            self.passed_over += 1;
            return;
        }
        self.files += 1;
        match text {
            Ok(text) if looks_like_scenario(&text) => self.scenario(file, &text),
            Ok(text) => {
                let name = if file == "-" { "<stdin>" } else { file };
                self.manifests.push(self.sources.add(name, text));
            }
            Err(why) => self.unread(file, &why),
        }
    }

    fn scenario(&mut self, file: &str, text: &str) {
        let before = self.sources.len();
        let (_, diagnostics) = scenario::load_text(&DiskFiles, file, text, &mut self.sources);
        self.diagnostics.extend(diagnostics);
        let read: Vec<String> = (before..self.sources.len())
            .filter_map(|i| self.sources.get(SourceId(i as u32)))
            .map(|s| s.name.clone())
            .collect();
        for name in read {
            if self.is_new(&name) {
                self.files += 1;
            } else {
                // It stands before the scenario in the order of names.
                let same = |id: &SourceId| self.sources.get(*id).is_some_and(|s| s.name == name);
                self.manifests.retain(|id| !same(id));
            }
        }
    }

    /// Whether a file was not met before; notes that it was met.
    fn is_new(&mut self, file: &str) -> bool {
        file == "-"
            || std::fs::canonicalize(file).map_or(!file.contains(": inline"), |place| self.seen.insert(place))
    }

    fn finish(mut self, context: &Context) -> Exit {
        self.diagnostics.extend(scenario::lint_manifests(&self.sources, &self.manifests));
        // The same file may be read by several scenarios.
        let mut told = BTreeSet::new();
        let mut unique = std::mem::take(&mut self.diagnostics);
        unique.retain(|d| told.insert((d.code, d.message.clone(), self.place(d))));
        context.diagnose_all(&unique, &self.sources);
        let count = |severity| unique.iter().filter(|d| d.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let number = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let summary = format!(
            "{}: {}, {}\n",
            number(self.files, "file"),
            number(errors, "error"),
            number(warnings, "warning")
        );
        if self.passed_over > 0 && !context.quiet {
            let files = number(self.passed_over, "file");
            context.say(&format!("{files} without `apiVersion` and `kind`: passed over"));
        }
        let exit = if errors > 0 { Exit::Input } else { Exit::Fine };
        if context.quiet { exit } else { exit.and(context.print(&summary)) }
    }

    /// The file and the byte that a diagnostic points at.
    fn place(&self, diagnostic: &Diagnostic) -> Option<(String, u32)> {
        let (span, _) = diagnostic.label.as_ref()?;
        Some((self.sources.get(span.source)?.name.clone(), span.start))
    }
}

/// Whether a text of a folder may have objects of the API: something in it is called `apiVersion` or `kind`.
fn may_have_objects(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches([' ', '-', '{', '"', '\t']);
        line.starts_with("apiVersion") || line.starts_with("kind")
    }) || text.lines().count() < 3 && (text.contains("\"kind\"") || text.contains("kind:"))
}
