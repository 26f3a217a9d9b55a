//! `wavetank schema` and `wavetank completions`.

use clap::CommandFactory;

use super::args::Cli;
use super::exit::Exit;
use super::output::Context;

/// The JSON Schema of the scenario file.
pub fn main(context: &Context) -> Exit {
    context.print(&super::reference::schema())
}

/// The completions of a shell.
pub fn completions(shell: clap_complete::Shell, context: &Context) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wavetank", &mut script);
    context.print(&String::from_utf8_lossy(&script))
}
