//! Rows to records: what the columns mean, and in which units.

use super::BadRow;
use super::rows::Rows;
use super::shapes::{Parts, Shape, Shapes};
use super::spec::{Amount, Columns, TimeUnit};
use crate::base::{Arc, Quantity, SimDuration, Str, Timestamp};

/// At most so many Pods of one row.
const COUNT_MAX: u32 = 100_000;
/// Longer than this nothing runs: a hundred years.
const LASTS_MAX: i64 = 100 * 365 * 86_400 * 1_000_000_000;
/// Letters of a name.
const NAME_MAX: usize = 200;

/// A row, understood.
#[derive(Clone, Debug)]
pub struct Record {
    /// When its Pods arrive, in nanoseconds of the trace's own clock.
    pub at: i64,
    /// How long they run; none: until something else ends them.
    pub lasts: Option<SimDuration>,
    /// How many they are.
    pub count: u32,
    /// The name the trace gives them.
    pub name: Option<Str>,
    /// What they are.
    pub shape: Arc<Shape>,
}

/// Takes a row for what the columns say.
///
/// # Errors
/// What is wrong with it first.
pub fn record(
    columns: &Columns,
    row: &Rows,
    shapes: &mut Shapes,
    key: &mut Vec<u8>,
) -> Result<Record, BadRow> {
    let at = instant(row, columns.arrival.0, columns.arrival.1)?;
    let lasts = match &columns.lasts {
        Some(lasts) if !row.value(lasts.column).is_empty() => {
            let end = instant(row, lasts.column, lasts.unit)?;
            let begin = match lasts.since {
                None => 0,
                Some(since) if row.value(since).is_empty() => at,
                Some(since) => instant(row, since, lasts.unit)?,
            };
            let nanos = end.checked_sub(begin).filter(|n| (0..=LASTS_MAX).contains(n));
            let Some(nanos) = nanos else {
                let help = match lasts.since {
                    Some(since) => format!("`{}` must not be later", row.name(since)),
                    None => "durations are from 0 to a hundred years; is the unit right?".to_owned(),
                };
                return Err(wrong(row, lasts.column, "is no end of what has begun", &help));
            };
            Some(SimDuration::from_nanos(nanos.unsigned_abs()))
        }
        _ => None,
    };
    let count = match columns.count.filter(|c| !row.value(*c).is_empty()) {
        None => 1,
        Some(column) => whole(row, column)?.try_into().ok().filter(|n| *n <= COUNT_MAX).ok_or_else(|| {
            wrong(row, column, "is no number of Pods", &format!("a row stands for 0 to {COUNT_MAX} Pods"))
        })?,
    };
    let name = columns.name.map(|column| clean(row.value(column))).filter(|name| !name.is_empty());
    let shape = shape(columns, row, shapes, key)?;
    Ok(Record { at, lasts, count, name: name.map(Str::from), shape })
}

fn wrong(row: &Rows, column: usize, what: &str, help: &str) -> BadRow {
    BadRow {
        line: row.line(),
        column: Some(row.name(column)),
        message: format!("`{}` {what}", row.value(column)),
        help: help.to_owned(),
    }
}

/// An instant or a duration, in nanoseconds.
fn instant(row: &Rows, column: usize, unit: TimeUnit) -> Result<i64, BadRow> {
    let text = row.value(column);
    let (found, example) = match unit.nanos() {
        Some(factor) => (scaled(text, factor), "a number, such as `12` or `0.5`"),
        None => (
            Timestamp::parse_rfc3339(text).and_then(|time| time.secs().checked_mul(1_000_000_000)),
            "a time such as `2026-01-05T08:00:00Z`",
        ),
    };
    found.ok_or_else(|| match text {
        "" => BadRow {
            line: row.line(),
            column: Some(row.name(column)),
            message: "there is nothing".to_owned(),
            help: format!("expected {example}"),
        },
        _ => wrong(row, column, "is no time", &format!("expected {example}; is the unit right?")),
    })
}

/// A number times so many nanoseconds.
fn scaled(text: &str, factor: i64) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return number.checked_mul(factor);
    }
    let number: f64 = text.parse().ok()?;
    // Within the range of the type, less a margin for rounding.
    let nanos = libm::round(number * factor as f64);
    (nanos.abs() < 9e18).then_some(nanos as i64)
}

/// A whole number, also one that is written `4.0`.
fn whole(row: &Rows, column: usize) -> Result<i64, BadRow> {
    let text = row.value(column).trim_end_matches('0');
    let text = text.strip_suffix('.').unwrap_or(row.value(column));
    text.parse().map_err(|_| wrong(row, column, "is no whole number", "expected a number such as `4`"))
}

/// A name as Kubernetes takes it: lower-case letters, digits and hyphens.
fn clean(text: &str) -> String {
    let letters = text.chars().take(NAME_MAX).map(|c| match c {
        'a'..='z' | '0'..='9' => c,
        'A'..='Z' => c.to_ascii_lowercase(),
        _ => '-',
    });
    letters.collect::<String>().trim_matches('-').to_owned()
}

/// The shape of the row's Pods, found by the texts that make it.
fn shape(
    columns: &Columns,
    row: &Rows,
    shapes: &mut Shapes,
    key: &mut Vec<u8>,
) -> Result<Arc<Shape>, BadRow> {
    key.clear();
    let amounts = columns.requests.iter().flat_map(|r| [Some(r.column), r.times]).flatten();
    let labels = columns.labels.iter().map(|(_, column)| *column);
    let selects = columns.selects.iter().map(|s| s.column);
    for column in amounts.chain(columns.priority).chain(labels).chain(selects) {
        key.extend_from_slice(row.value(column).as_bytes());
        key.push(0);
    }
    let mut first = None;
    let shape = shapes.get(key, || match parts(columns, row) {
        Ok(parts) => parts,
        Err(bad) => {
            first = Some(bad);
            // A Pod that is refused, so that nothing is kept under the key.
            Parts { labels: vec![(Str::new(), String::new())], ..Parts::default() }
        }
    });
    match (first, shape) {
        (Some(bad), _) => Err(bad),
        (None, Ok(shape)) => Ok(shape),
        (None, Err(why)) => Err(BadRow {
            line: row.line(),
            column: None,
            message: format!("the API server would refuse the Pod: {why}"),
            help: "correct the row, or leave the column out".to_owned(),
        }),
    }
}

fn parts(columns: &Columns, row: &Rows) -> Result<Parts, BadRow> {
    let mut parts = Parts::default();
    for amount in &columns.requests {
        let quantity = self::amount(amount, row)?;
        if !quantity.is_zero() {
            parts.requests.push((amount.resource.clone(), quantity.to_string()));
        }
    }
    for (key, column) in &columns.labels {
        if !row.value(*column).is_empty() {
            parts.labels.push((key.clone(), row.value(*column).to_owned()));
        }
    }
    for selects in &columns.selects {
        let text = row.value(selects.column);
        let values: Vec<String> = match &selects.separator {
            Some(separator) => text.split(separator.as_str()).map(|v| v.trim().to_owned()).collect(),
            None => vec![text.to_owned()],
        };
        let values: Vec<String> = values.into_iter().filter(|value| !value.is_empty()).collect();
        parts.selects.push((selects.key.clone(), values));
    }
    if let Some(column) = columns.priority.filter(|column| !row.value(*column).is_empty()) {
        let priority = whole(row, column)?;
        let priority = i32::try_from(priority).ok().filter(|p| *p <= 1_000_000_000);
        parts.priority = Some(priority.ok_or_else(|| {
            wrong(row, column, "is no priority", "priorities are whole numbers up to 1000000000")
        })?);
    }
    Ok(parts)
}

/// The amount in a column, times another if there is one; nothing there is no amount.
///
/// # Errors
/// It is no quantity, or below zero.
pub fn amount(amount: &Amount, row: &Rows) -> Result<Quantity, BadRow> {
    let read = |column: usize, unit: &str| -> Result<Quantity, BadRow> {
        let text = row.value(column);
        if text.is_empty() {
            return Ok(Quantity::from_units(0));
        }
        let quantity = Quantity::parse(&format!("{text}{unit}")).ok().filter(|q| !q.is_negative());
        quantity.ok_or_else(|| {
            let help = match unit {
                "" => "expected a quantity from 0 on, such as `4`, `500m` or `2Gi`".to_owned(),
                unit => format!("expected a number from 0 on; `{unit}` is added to it"),
            };
            wrong(row, column, "is no quantity", &help)
        })
    };
    let quantity = read(amount.column, &amount.unit)?;
    let Some(times) = amount.times else { return Ok(quantity) };
    let milli = i128::from(quantity.milli_value()) * i128::from(read(times, "")?.milli_value()) / 1000;
    match i64::try_from(milli) {
        Ok(milli) => Ok(Quantity::from_milli(milli).with_format(quantity.format())),
        Err(_) => Err(wrong(row, amount.column, "is too much", "is the unit right?")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shapes::tests::template;
    use super::super::spec::{Format, Lasts, Selects};
    use super::*;

    fn columns() -> Columns {
        let mut columns = Columns::default();
        columns.arrival = (columns.place("at"), TimeUnit::Milliseconds);
        columns.lasts = Some(Lasts {
            column: columns.place("end"),
            since: Some(columns.place("start")),
            unit: TimeUnit::Seconds,
        });
        columns.name = Some(columns.place("name"));
        columns.count = Some(columns.place("n"));
        columns.priority = Some(columns.place("prio"));
        let cpu =
            Amount { resource: "cpu".into(), column: columns.place("cpu"), unit: "m".into(), times: None };
        let gpu = Amount {
            resource: "example.com/gpu".into(),
            column: columns.place("gpu"),
            unit: Str::new(),
            times: Some(columns.place("share")),
        };
        columns.requests = vec![cpu, gpu];
        let model =
            Selects { key: "model".into(), column: columns.place("model"), separator: Some("|".into()) };
        columns.selects = vec![model];
        columns
    }

    fn check(text: &str) -> Vec<String> {
        let columns = columns();
        let bytes = Arc::new(format!("at,start,end,name,n,prio,cpu,gpu,share,model\n{text}").into_bytes());
        let format = Format::Csv { delimiter: b',', header: true };
        let mut rows = Rows::open(&bytes, format, &columns.names).unwrap();
        let mut shapes = Shapes::new(&template());
        let mut out = Vec::new();
        while let Some(row) = rows.advance() {
            let record = row.and_then(|()| record(&columns, &rows, &mut shapes, &mut Vec::new()));
            out.push(match record {
                Ok(r) => {
                    let requests = &r.shape.spec.containers[0].requests;
                    let of =
                        |name: &str| requests.get(name).map_or_else(|| "-".to_owned(), |q| q.to_string());
                    let lasts = r.lasts.map_or_else(|| "-".to_owned(), |l| l.to_string());
                    let name = r.name.unwrap_or_default();
                    let (cpu, gpu) = (of("cpu"), of("example.com/gpu"));
                    format!(
                        "{} {lasts} {}×{name} cpu {cpu} gpu {gpu} prio {}",
                        r.at, r.count, r.shape.spec.priority
                    )
                }
                Err(bad) => {
                    format!("{}:{}: {} ({})", bad.line, bad.column.unwrap_or_default(), bad.message, bad.help)
                }
            });
        }
        out
    }

    #[test]
    fn columns_become_pods_in_their_units() {
        let text = "1500,2,62,Job_7/A,3,9,250,2,0.5,P100|T4\n0.25,,10,,,,,,,\n2,,,,1.0,,1.5,1,2,V100\n";
        assert_eq!(
            check(text),
            [
                "1500000000 1m0s 3×job-7-a cpu 250m gpu 1 prio 9",
                "250000 9.99975s 1× cpu - gpu - prio 0",
                "2000000 - 1× cpu 2m gpu 2 prio 0",
            ]
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_a_cure() {
        for (row, told) in [
            (",,,,,,,,,", "2:at: there is nothing (expected a number, such as `12` or `0.5`)"),
            (
                "x,,,,,,,,,",
                "2:at: `x` is no time (expected a number, such as `12` or `0.5`; is the unit right?)",
            ),
            ("1e30,,,,,,,,,", "2:at: `1e30` is no time"),
            ("9,5,4,,,,,,,", "2:end: `4` is no end of what has begun (`start` must not be later)"),
            ("9,,,,-1,,,,,", "2:n: `-1` is no number of Pods (a row stands for 0 to 100000 Pods)"),
            ("9,,,,,2000000000,,,,", "2:prio: `2000000000` is no priority"),
            ("9,,,,,,-4,,,", "2:cpu: `-4` is no quantity (expected a number from 0 on; `m` is added to it)"),
            ("9,,,,,,,4x,,", "2:gpu: `4x` is no quantity"),
            ("9,,,,,,,,,a b", "2:: the API server would refuse the Pod: spec.nodeSelector"),
        ] {
            let found = check(&format!("{row}\n")).join("");
            assert!(found.starts_with(told), "{row}: {found}");
        }
    }
}
