//! Records to arrivals: windows, limits and the speed of time; one record ahead of the clock.

use super::generate::Generator;
use super::read::{Record, record};
use super::rows::Rows;
use super::shapes::{Shape, Shapes};
use super::spec::{Source, Table, Trace, Window};
use crate::base::text::concat;
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::kernel::Seed;

/// Pods that arrive together: those of a row.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When.
    pub at: SimTime,
    /// The place of the row in the trace, from 0 on.
    pub number: u64,
    /// How many.
    pub count: u32,
    /// The name the trace gives them.
    pub name: Option<Str>,
    /// How long each runs.
    pub lasts: Option<SimDuration>,
    /// What they are.
    pub shape: Arc<Shape>,
}

/// The Pods of a trace in the order of their arrival.
#[derive(Clone, Debug)]
pub struct Stream {
    trace: Arc<Trace>,
    feed: Feed,
    /// Rows so far, used or not.
    rows: u64,
    /// Rows that were used.
    used: u64,
}

#[derive(Clone, Debug)]
enum Feed {
    Table {
        table: Arc<Table>,
        rows: Box<Rows>,
        shapes: Shapes,
        key: Vec<u8>,
    },
    Sorted {
        records: Arc<[Record]>,
        next: usize,
    },
    Generated(Box<Generator>),
    /// Nothing more comes.
    Over,
}

impl Stream {
    /// Before the first Pod. A table was checked when it was read; should it not be readable, nothing comes of it.
    pub fn new(trace: &Arc<Trace>, seed: Seed) -> Self {
        let feed = match &trace.source {
            Source::Table(table) => match Rows::open(&table.bytes, table.format, &table.columns.names) {
                Ok(rows) => Feed::Table {
                    table: Arc::clone(table),
                    rows: Box::new(rows),
                    shapes: Shapes::new(&trace.template),
                    key: Vec::new(),
                },
                Err(_) => Feed::Over,
            },
            Source::Sorted(records) => Feed::Sorted { records: Arc::clone(records), next: 0 },
            Source::Generated(spec) => {
                Feed::Generated(Box::new(Generator::new(&trace.name, spec, &trace.template, seed)))
            }
        };
        Self { trace: Arc::clone(trace), feed, rows: 0, used: 0 }
    }

    /// The trace.
    pub const fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// The next row and its instant since the first one's, in nanoseconds.
    fn row(&mut self) -> Option<(i64, Record)> {
        loop {
            let (zero, record) = match &mut self.feed {
                Feed::Over => return None,
                Feed::Sorted { records, next } => {
                    let record = records.get(*next)?.clone();
                    *next += 1;
                    (records.first().map_or(0, |first| first.at), Ok(record))
                }
                Feed::Generated(generator) => (0, generator.draw()?.map_err(|_| ())),
                Feed::Table { table, rows, shapes, key } => {
                    let row = rows.advance()?;
                    let record = row.and_then(|()| record(&table.columns, rows, shapes, key));
                    (table.zero, record.map_err(|_| ()))
                }
            };
            self.rows += 1;
            // Rows that cannot be read are passed over: if they must not be, the file was refused.
            if let Ok(record) = record {
                return Some((record.at.saturating_sub(zero), record));
            }
        }
    }
}

impl Iterator for Stream {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let Window { from, to } = self.trace.window;
        loop {
            if self.used == self.trace.limit {
                self.feed = Feed::Over;
            }
            let (since, record) = self.row()?;
            let since = SimDuration::from_nanos(u64::try_from(since).unwrap_or(0));
            if to.is_some_and(|to| since >= to) {
                self.feed = Feed::Over;
                continue;
            }
            if since < from {
                continue;
            }
            self.used += 1;
            let slowed = |span: SimDuration| span.scale(1000, self.trace.speed.max(1));
            return Some(Arrival {
                at: self.trace.at + slowed(since.saturating_sub(from)),
                number: self.rows - 1,
                count: record.count,
                name: record.name,
                lasts: record.lasts.map(slowed),
                shape: record.shape,
            });
        }
    }
}

impl Arrival {
    /// The name of its Pod number `index`.
    pub fn pod_name(&self, trace: &Trace, index: u32) -> Str {
        match (&self.name, self.count) {
            (Some(name), 1) => name.clone(),
            (Some(name), _) => concat(&[name, "-", itoa::Buffer::new().format(index)]),
            (None, 1) => concat(&[&trace.name, "-", itoa::Buffer::new().format(self.number)]),
            (None, _) => format!("{}-{}-{index}", trace.name, self.number).into(),
        }
    }
}
