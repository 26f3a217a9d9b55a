//! Standard output, standard error, and files that appear whole or not at all.

use std::io::{IsTerminal, Write};
use std::path::Path;

use super::args::Color;
use super::exit::Exit;
use crate::base::{Diagnostic, Severity, SourceMap};

/// How a command speaks.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Colours on standard output.
    pub color: bool,
    /// Colours on standard error.
    pub color_errors: bool,
    /// Only what failed.
    pub quiet: bool,
}

impl Context {
    /// Decides on colours.
    pub fn new(color: Color, quiet: bool) -> Self {
        let decide = |terminal: bool| match color {
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
            Color::Always => true,
            Color::Never => false,
        };
        Self {
            color: decide(std::io::stdout().is_terminal()),
            color_errors: decide(std::io::stderr().is_terminal()),
            quiet,
        }
    }

    /// Writes to standard output. A reader that has gone away is no mistake.
    pub fn print(&self, text: &str) -> Exit {
        match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => Exit::Fine,
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Fine,
            Err(error) => {
                self.complain(&format!("cannot write to standard output: {error}"));
                Exit::Input
            }
        }
    }

    /// Writes a sentence to standard error.
    pub fn complain(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "error: {text}");
    }

    /// Writes a note to standard error.
    pub fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "note: {text}");
    }

    /// Writes diagnostics to standard error; notes are left out if `quiet`.
    pub fn diagnose(&self, diagnostics: &[Diagnostic], sources: &SourceMap) {
        let shown: Vec<Diagnostic> = diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error || !self.quiet)
            .cloned()
            .collect();
        if !shown.is_empty() {
            let text = crate::report::diagnostics::render(&shown, sources, self.color_errors);
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }

    /// Writes a file that appears whole or not at all.
    pub fn write_file(&self, path: &str, content: &[u8]) -> Exit {
        match replace_file(Path::new(path), content) {
            Ok(()) => Exit::Fine,
            Err(error) => {
                self.complain(&format!("cannot write {path}: {error}"));
                Exit::Input
            }
        }
    }
}

/// Writes beside the file and moves it into place.
fn replace_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = Path::new(&beside);
    let written = std::fs::write(beside, content).and_then(|()| std::fs::rename(beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(beside);
    }
    written
}
