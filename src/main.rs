//! The command line of wavetank.

fn main() -> std::process::ExitCode {
    wavetank::cli::main(std::env::args_os()).into()
}
