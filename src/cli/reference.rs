//! The reference page of the command line, from the same definition as the parser.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::args::Cli;

/// The page in Markdown, as it lies in `docs/CLI.md`.
pub fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut out = String::from(
        "# Command-line reference\n\nGenerated from the program; `tests/it` compares this page with it.\n\n\
         Exit status: 0 all well · 1 an expectation failed (or, with `schedule --require-all`, a Pod found no node) · \
         2 the input or the call is wrong · 3 wavetank broke an invariant of its own (a bug; the replay command is printed).\n",
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
