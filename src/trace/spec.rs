//! What a trace is, as data.

use serde_json::Value;

use super::generate::Generate;
use super::read::Record;
use crate::base::{Arc, SimDuration, SimTime, Span, Str};

/// A workload: Pods that arrive one after the other.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its name, the first part of the names of Pods that bring none.
    pub name: Str,
    /// Where its Pods live.
    pub namespace: Str,
    /// Where they come from.
    pub source: Source,
    /// What every Pod begins with: the JSON form of a Pod.
    pub template: Arc<Value>,
    /// When the first arrives.
    pub at: SimTime,
    /// How much faster than in the trace time goes by, in thousandths.
    pub speed: u64,
    /// At most so many rows.
    pub limit: u64,
    /// The part of the trace that is used.
    pub window: Window,
    /// How long Pods stay after they have ended; none: until the Pod garbage collector takes them.
    pub ttl: Option<SimDuration>,
    /// Where it stands in the scenario.
    pub origin: Span,
}

/// A part of a trace, by the time since its first row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// From here on.
    pub from: SimDuration,
    /// To just before here; none: to the end.
    pub to: Option<SimDuration>,
}

/// Where Pods come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A table whose rows are in the order of arrival.
    Table(Arc<Table>),
    /// A table that was not, in order.
    Sorted(Arc<[Record]>),
    /// Distributions.
    Generated(Arc<Generate>),
}

/// A file of rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// As the scenario names it.
    pub path: Str,
    /// Its bytes, as they lie on the disk.
    pub bytes: Arc<Vec<u8>>,
    /// How they are to be read.
    pub format: Format,
    /// What is in which column.
    pub columns: Columns,
    /// Rows that cannot be read are passed over.
    pub skip_bad: bool,
    /// The earliest arrival, in nanoseconds of the file's own clock.
    pub zero: i64,
}

/// How a text is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values.
    Csv {
        /// What separates them.
        delimiter: u8,
        /// The first row names the columns; else they are called `1`, `2` and so on.
        header: bool,
    },
    /// A JSON object in every line.
    JsonLines,
}

/// What is in which column; numbers are places in [`Columns::names`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The columns that are read.
    pub names: Vec<Str>,
    /// The Pod's name.
    pub name: Option<usize>,
    /// When it arrives.
    pub arrival: (usize, TimeUnit),
    /// How long it runs.
    pub lasts: Option<Lasts>,
    /// How many Pods the row stands for.
    pub count: Option<usize>,
    /// Its priority.
    pub priority: Option<usize>,
    /// What it requests.
    pub requests: Vec<Amount>,
    /// Its labels.
    pub labels: Vec<(Str, usize)>,
    /// What nodes it can run on.
    pub selects: Vec<Selects>,
}

impl Columns {
    /// The place of a column, which is read from now on.
    pub fn place(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() - 1
        })
    }
}

/// How long a Pod runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasts {
    /// The column with its duration, or with the instant of its end.
    pub column: usize,
    /// The column with the instant since when; where that is empty, since its arrival.
    pub since: Option<usize>,
    /// Their unit.
    pub unit: TimeUnit,
}

/// An amount of a resource in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The resource.
    pub resource: Str,
    /// Its column.
    pub column: usize,
    /// The suffix that makes a number of the column a quantity: `m`, `Mi`, or nothing.
    pub unit: Str,
    /// A column to multiply it with.
    pub times: Option<usize>,
}

/// A label that nodes must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selects {
    /// Its key.
    pub key: Str,
    /// The column with its value; nothing there: any node.
    pub column: usize,
    /// What separates values of which a node must have one.
    pub separator: Option<Str>,
}

/// What a number in a column of times counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Billionths of a second.
    Nanoseconds,
    /// Millionths.
    Microseconds,
    /// Thousandths.
    Milliseconds,
    /// Seconds.
    #[default]
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// No number, but a time as RFC 3339 writes it.
    Rfc3339,
}

impl TimeUnit {
    /// The words of the scenario file.
    pub const WORDS: &'static [&'static str] = &["ns", "us", "ms", "s", "m", "h", "rfc3339"];

    /// The unit that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "ns" => Self::Nanoseconds,
            "us" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            "m" => Self::Minutes,
            "h" => Self::Hours,
            "rfc3339" => Self::Rfc3339,
            _ => return None,
        })
    }

    /// Nanoseconds of one; none for a date.
    pub const fn nanos(self) -> Option<i64> {
        Some(match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
            Self::Minutes => 60_000_000_000,
            Self::Hours => 3_600_000_000_000,
            Self::Rfc3339 => return None,
        })
    }
}
