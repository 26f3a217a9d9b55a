//! The generated pages of `docs/`, each from the same definition as what it describes.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::args::Cli;
use crate::base::diag_codes::DIAG_CODES;

/// A page of the documentation that the program makes.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where it lies, from the root of the project.
    pub path: &'static str,
    /// Makes it.
    pub make: fn() -> String,
}

/// All of them.
pub const PAGES: &[Page] = &[
    Page { path: "docs/CLI.md", make: command_line },
    Page { path: "docs/SCENARIO.md", make: crate::scenario::reference },
    Page { path: "docs/schema/scenario.json", make: schema },
    Page { path: "docs/DIAGNOSTICS.md", make: diagnostics },
    Page { path: "docs/COVERAGE.md", make: crate::api::manifest::coverage::render_markdown },
];

/// The JSON Schema of the scenario file, as `wavetank schema` prints it.
pub fn schema() -> String {
    format!("{:#}\n", crate::scenario::schema())
}

/// The command line.
fn command_line() -> String {
    let mut root = Cli::command();
    root.build();
    let mut out = String::from(
        "# Command-line reference\n\nGenerated from the program; `tests/it/docs.rs` compares this page with it.\n\n\
         Exit status: 0 all well · 1 an expectation failed (or, with `schedule --require-all`, a Pod found no node) · \
         2 the input or the call is wrong · 3 wavetank broke an invariant of its own (a bug; the replay command is printed).\n\n\
         `-` is standard input. Output files appear whole or not at all. Long work shows its progress on a terminal, and \
         nothing in a pipe. `NO_COLOR` is heeded.\n",
    );
    for command in root.get_subcommands().filter(|c| c.get_name() != "help") {
        section(&mut out, command);
    }
    out
}

fn section(out: &mut String, command: &Command) {
    let help = command.clone().disable_colored_help(true).term_width(100).render_long_help();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "\n## `wavetank {}`\n\n```text\n{}\n```\n",
        command.get_name(),
        trimmed(&help.to_string())
    );
}

fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// What codes of diagnostics mean.
fn diagnostics() -> String {
    let mut out = String::from(
        "# Diagnostics\n\nGenerated from `src/base/diag_codes.rs`; `tests/it/docs.rs` compares this page with it.\n\n\
         Every complaint about an input has a code, its place and, where there is one, a cure. `scenarios/_invalid` has an \
         example of each, and `tests/it/snapshots` what is said of it. Texts of the API server are the API server's.\n",
    );
    for (head, what) in [
        ("WT01", "Manifests"),
        ("WT02", "Scenarios"),
        ("WT03", "Expectations"),
        ("WT04", "Probably not meant"),
    ] {
        let _ = write!(out, "\n## {what}\n\n| code | about | explanation |\n|---|---|---|\n");
        for row in DIAG_CODES.iter().filter(|row| row.code.starts_with(head)) {
            let _ = writeln!(out, "| {} | {} | {} |", row.code, row.title, row.explanation);
        }
    }
    out
}
