//! The command line: one file per command, exit codes in one place.
//!
//! * [`args`]: what can be typed, as one definition: parsing, help, completions and the reference page come from it.
//! * [`load`]: scenarios from files, with diagnostics. [`snapshot`]: lists of API objects from files. [`files`]: the file system. [`exit`]: exit codes.

pub mod args;
pub mod bench;
pub mod events;
pub mod exit;
pub mod explain;
pub mod files;
pub mod fill;
pub mod get;
pub mod lint;
pub mod load;
pub mod output;
pub mod progress;
pub mod reference;
pub mod run;
pub mod schedule;
pub mod schema;
pub mod snapshot;
pub mod stats;
pub mod test;
pub mod top;

use clap::Parser;

pub use exit::Exit;

/// Parses the arguments, runs the command, and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    let typed: Vec<std::ffi::OsString> = arguments.into_iter().collect();
    let parsed = match args::Cli::try_parse_from(&typed) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version go to standard output and are no mistake.
            let _ = error.print();
            return if error.use_stderr() { Exit::Input } else { Exit::Fine };
        }
    };
    let context = output::Context::new(parsed.color, parsed.quiet);
    // What fails so is a bug of ours; the message and its place are on standard error already.
    std::panic::catch_unwind(|| dispatch(&parsed.command, &context)).unwrap_or_else(|_| {
        let words: Vec<String> = typed.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        context.complain(&format!("this is a bug in wavetank; replay it with: {}", words.join(" ")));
        Exit::Bug
    })
}

fn dispatch(command: &args::Command, context: &output::Context) -> Exit {
    match command {
        args::Command::Run(run) => run::main(run, context),
        args::Command::Test(test) => test::main(test, context),
        args::Command::Lint(lint) => lint::main(lint, context),
        args::Command::Get(get) => get::main(get, context),
        args::Command::Events(events) => events::main(events, context),
        args::Command::Describe(describe) => get::describe(describe, context),
        args::Command::Schedule(schedule) => schedule::main(schedule, context),
        args::Command::Explain(explain) => explain::main(explain, context),
        args::Command::Bench(bench) => bench::main(bench, context),
        args::Command::Schema => schema::main(context),
        args::Command::Completions { shell } => schema::completions(*shell, context),
    }
}
