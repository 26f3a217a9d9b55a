//! The command `wavetank`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wavetank::cli::main(std::env::args_os()).into()
}
