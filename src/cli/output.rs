//! Standard output, standard error, and files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::args::Color;
use super::exit::Exit;
use crate::base::{Diagnostic, Severity, SourceMap};
use crate::report::diagnostics::SHOWN_PER_CODE_MAX;

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
            color: decide(io::stdout().is_terminal()),
            color_errors: decide(io::stderr().is_terminal()),
            quiet,
        }
    }

    /// Writes to standard output. A reader that has gone away is no mistake.
    pub fn print(&self, text: &str) -> Exit {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Exit::Fine,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
            Err(error) => {
                self.complain(&format!("cannot write to standard output: {error}"));
                Exit::Input
            }
        }
    }

    /// Writes what is wrong to standard error.
    pub fn complain(&self, text: &str) {
        let (on, off) = if self.color_errors { ("\x1b[1m\x1b[91m", "\x1b[0m") } else { ("", "") };
        let _ = writeln!(io::stderr(), "{on}error{off}: {text}");
    }

    /// Writes a sentence to standard error as it is.
    pub fn say(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Writes a note to standard error.
    pub fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "note: {text}");
    }

    /// Writes diagnostics to standard error; notes are left out if `quiet`.
    pub fn diagnose(&self, diagnostics: &[Diagnostic], sources: &SourceMap) {
        self.diagnose_some(diagnostics, sources, SHOWN_PER_CODE_MAX);
    }

    /// As [`Self::diagnose`], every one of them in full.
    pub fn diagnose_all(&self, diagnostics: &[Diagnostic], sources: &SourceMap) {
        self.diagnose_some(diagnostics, sources, usize::MAX);
    }

    fn diagnose_some(&self, diagnostics: &[Diagnostic], sources: &SourceMap, per_code_max: usize) {
        let shown: Vec<Diagnostic> =
            diagnostics.iter().filter(|d| d.severity == Severity::Error || !self.quiet).cloned().collect();
        if !shown.is_empty() {
            let text =
                crate::report::diagnostics::render_some(&shown, sources, self.color_errors, per_code_max);
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }

    /// Writes a file that appears whole or not at all.
    pub fn write_file(&self, path: &str, content: &[u8]) -> Exit {
        let written = Draft::new(path).and_then(|mut draft| {
            draft.write_all(content)?;
            draft.commit()
        });
        match written {
            Ok(()) => Exit::Fine,
            Err(error) => {
                self.complain(&format!("cannot write {path}: {error}"));
                Exit::Input
            }
        }
    }
}

/// A file in the making: written beside its place and moved there once it is whole. What is not committed goes away.
///
/// Where something else than a regular file is (a pipe, `/dev/null`), there is nothing to replace, and it is written
/// at once.
#[derive(Debug)]
pub struct Draft {
    out: BufWriter<File>,
    /// The draft and the place it is for; none once it is there, or if it was written in place.
    moves: Option<(PathBuf, PathBuf)>,
}

impl Draft {
    /// Begins a file.
    ///
    /// # Errors
    /// The place cannot be written to.
    pub fn new(path: &str) -> io::Result<Self> {
        let place = Path::new(path);
        if place.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if place.exists() && !place.is_file() {
            let file = File::options().write(true).open(place)?;
            return Ok(Self { out: BufWriter::new(file), moves: None });
        }
        // A link stays a link: what it points to is replaced.
        let place = std::fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        let mut beside = place.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let beside = PathBuf::from(beside);
        let file = File::create(&beside)?;
        Ok(Self { out: BufWriter::new(file), moves: Some((beside, place)) })
    }

    /// Moves the file into its place.
    ///
    /// # Errors
    /// What is still to be written cannot be, or the file cannot be moved.
    pub fn commit(mut self) -> io::Result<()> {
        self.out.flush()?;
        if let Some((beside, place)) = &self.moves {
            std::fs::rename(beside, place)?;
            self.moves = None;
        }
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.moves {
            let _ = std::fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("wavetank-draft-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("out.txt");
        std::fs::write(&path, "old").unwrap();
        let mut draft = Draft::new(path.to_str().unwrap()).unwrap();
        draft.write_all(b"half").unwrap();
        draft.flush().unwrap();
        drop(draft);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "the draft is gone");
        let mut draft = Draft::new(path.to_str().unwrap()).unwrap();
        draft.write_all(b"new").unwrap();
        draft.commit().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert!(Draft::new(folder.to_str().unwrap()).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
