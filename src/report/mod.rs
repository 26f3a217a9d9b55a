//! What a run found, for people and programs: one file per format.

pub mod diagnostics;
