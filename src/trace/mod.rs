//! Workloads from files and generators: Pods that arrive, run for a time and end.
//!
//! A trace of a real cluster is a table with a row per Pod; its columns have names and units of their own, which the
//! scenario says. Rows are read one ahead of the clock, never all at once, and Pods that are alike but for their
//! names share everything they have.
//!
//! ```text
//! bytes ─► rows (CSV, JSON lines, packed) ─► read (columns, units) ─► Record ─┐
//!                                   generate (distributions, a seed) ─────────┴─► stream ─► Arrival
//! ```
//!
//! * [`spec`]: what a trace is, as data. [`rows`]: texts to rows. [`read`](mod@read): rows to records.
//! * [`shapes`]: what Pods share. [`generate`]: records from distributions. [`stream`]: records to arrivals, in order.
//! * [`mod@check`]: everything that is wrong with a file, before the clock starts.
//!
//! # Fidelity
//! Pods of a trace are bare Pods with `restartPolicy: Never`. Their containers run for as long as the annotation
//! `wavetank.dev/runs-for` says and end well, whatever else runs beside them. Ended Pods stay until their
//! `ttlSecondsAfterFinished` is over, as with Jobs; without one until the Pod garbage collector takes the oldest of
//! more than `terminated-pod-gc-threshold`, as it does with bare Pods.

pub mod check;
pub mod generate;
pub mod read;
pub mod rows;
pub mod shapes;
pub mod spec;
pub mod stream;

pub use check::{Checked, check};
pub use generate::{Draw, Generate, Intervals};
pub use shapes::{Shape, Shapes};
pub use spec::{Amount, Columns, Format, Lasts, Selects, Source, Table, TimeUnit, Trace, Window};
pub use stream::{Arrival, Stream};

/// Something that is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The line of the file, from 1 on.
    pub line: u64,
    /// The column, if one is at fault.
    pub column: Option<crate::base::Str>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}
