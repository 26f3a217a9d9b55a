//! The command line of wavetank.

/// A run makes and gives back very many small objects, which this allocator is better at than most systems' own.
#[cfg(all(unix, feature = "jemalloc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    wavetank::cli::main(std::env::args_os()).into()
}
