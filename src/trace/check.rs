//! Everything that is wrong with a file, before the clock starts.

use serde_json::Value;

use super::BadRow;
use super::read::{Record, record};
use super::rows::Rows;
use super::shapes::Shapes;
use super::spec::{Source, Table};
use crate::base::Arc;

/// Bad rows that are told one by one.
const TOLD_MAX: usize = 10;

/// What was found in a file.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Rows that can be read.
    pub rows: u64,
    /// Rows that cannot.
    pub bad: u64,
    /// The first of them.
    pub told: Vec<BadRow>,
}

/// Reads a file once from end to end and throws away what it reads. Rows that are not in the order of arrival are
/// read once more, and kept in order.
///
/// # Errors
/// The file as a whole cannot be read, or lacks a column.
pub fn check(mut table: Table, template: &Arc<Value>) -> Result<(Source, Checked), BadRow> {
    let mut checked = Checked::default();
    let (mut earliest, mut last, mut sorted) = (i64::MAX, i64::MIN, true);
    let bad = each(&table, template, &mut |record| {
        checked.rows += 1;
        earliest = earliest.min(record.at);
        sorted &= record.at >= last;
        last = record.at;
    })?;
    (checked.bad, checked.told) = bad;
    if checked.rows > 0 {
        table.zero = earliest;
    }
    if sorted {
        return Ok((Source::Table(Arc::new(table)), checked));
    }
    let mut records = Vec::new();
    each(&table, template, &mut |record| records.push(record))?;
    // Rows of one instant keep the order of the file.
    records.sort_by_key(|record| record.at);
    Ok((Source::Sorted(records.into()), checked))
}

/// Hands every record to `take`; how many rows are bad, and the first of them.
fn each(
    table: &Table,
    template: &Arc<Value>,
    take: &mut dyn FnMut(Record),
) -> Result<(u64, Vec<BadRow>), BadRow> {
    let mut rows = Rows::open(&table.bytes, table.format, &table.columns.names)?;
    let mut shapes = Shapes::new(template);
    let (mut bad, mut told, mut key) = (0, Vec::new(), Vec::new());
    while let Some(row) = rows.advance() {
        match row.and_then(|()| record(&table.columns, &rows, &mut shapes, &mut key)) {
            Ok(record) => take(record),
            Err(row) => {
                bad += 1;
                if told.len() < TOLD_MAX {
                    told.push(row);
                }
            }
        }
    }
    Ok((bad, told))
}
