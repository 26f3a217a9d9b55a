//! The command `wavetank`.

fn main() {}
