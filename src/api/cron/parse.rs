//! Reading schedules.
//!
//! Upstream: `github.com/robfig/cron/v3/parser.go` (`ParseStandard`), with its messages.

use super::{Fields, Schedule};

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The bounds of a field, and the names that stand for its numbers from `min` on.
struct Field {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field { min: 1, max: 12, names: MONTHS },
    Field { min: 0, max: 6, names: DAYS },
];

/// Reads a schedule of five fields or a descriptor like `@hourly`.
pub(super) fn parse(schedule: &str) -> Result<Schedule, String> {
    if schedule.starts_with('@') {
        return descriptor(schedule);
    }
    let texts: Vec<&str> = schedule.split_whitespace().collect();
    if texts.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", texts.len(), texts.join(" ")));
    }
    let mut read = [Bits::default(); 5];
    for ((text, field), bits) in texts.iter().zip(&FIELDS).zip(&mut read) {
        for range in text.split(',').filter(|r| !r.is_empty()) {
            let more = read_range(range, field)?;
            bits.set |= more.set;
            bits.all |= more.all;
        }
    }
    let [minutes, hours, days, months, weekdays] = read;
    Ok(Schedule::Fields(Fields {
        minutes: minutes.set,
        hours: hours.set,
        days: days.set,
        months: months.set,
        weekdays: weekdays.set,
        both_days: days.all || weekdays.all,
    }))
}

/// What a field allows, and whether it was written as `*`.
#[derive(Clone, Copy, Default)]
struct Bits {
    set: u64,
    all: bool,
}

fn descriptor(text: &str) -> Result<Schedule, String> {
    if let Some(every) = text.strip_prefix("@every ") {
        return crate::base::SimDuration::parse_go(every)
            .map(Schedule::every)
            .map_err(|error| format!("failed to parse duration {text}: {error}"));
    }
    match text {
        "@yearly" | "@annually" => parse("0 0 1 1 *"),
        "@monthly" => parse("0 0 1 * *"),
        "@weekly" => parse("0 0 * * 0"),
        "@daily" | "@midnight" => parse("0 0 * * *"),
        "@hourly" => parse("0 * * * *"),
        _ => Err(format!("unrecognized descriptor: {text}")),
    }
}

/// One of the parts between commas: `*`, `5`, `1-5`, `*/10`, `1-5/2`.
fn read_range(text: &str, field: &Field) -> Result<Bits, String> {
    let mut slashes = text.split('/');
    let range = slashes.next().unwrap_or_default();
    let step = slashes.next();
    if slashes.next().is_some() {
        return Err(format!("too many slashes: {text}"));
    }
    let (start, end, star) = bounds(text, range, step.is_some(), field)?;
    let step = step.map_or(Ok(1), parse_number)?;
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    if start < field.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.min));
    }
    if end > field.max {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", field.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    let mut set = 0;
    let mut number = start;
    while number <= end {
        set |= 1u64 << number;
        number = number.saturating_add(step);
    }
    Ok(Bits { set, all: star && step == 1 })
}

/// First and last number of a range, and whether it is `*`.
fn bounds(text: &str, range: &str, stepped: bool, field: &Field) -> Result<(u32, u32, bool), String> {
    let mut hyphens = range.split('-');
    let low = hyphens.next().unwrap_or_default();
    let high = hyphens.next();
    if matches!(low, "*" | "?") {
        return Ok((field.min, field.max, true));
    }
    if hyphens.next().is_some() {
        return Err(format!("too many hyphens: {text}"));
    }
    let start = number(low, field)?;
    let end = match high {
        Some(high) => number(high, field)?,
        // `5/10` counts from 5 to the end.
        None if stepped => field.max,
        None => start,
    };
    Ok((start, end, false))
}

fn number(text: &str, field: &Field) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match field.names.iter().position(|name| *name == lower) {
        Some(index) => Ok(field.min + u32::try_from(index).unwrap_or(0)),
        None => parse_number(text),
    }
}

fn parse_number(text: &str) -> Result<u32, String> {
    let number: i64 = text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })?;
    u32::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn schedules_that_can_be_read_pass() {
        for schedule in [
            "* * * * *",
            "*/5 0 1,15 * 1-5",
            "0 0 * jan-mar SUN",
            "5/10 * * * ?",
            "@hourly",
            "@every 1h30m",
            " 1 2 3 4 5 ",
        ] {
            assert!(parse(schedule).is_ok(), "{schedule}");
        }
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        for (schedule, reason) in [
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("@sometimes", "unrecognized descriptor: @sometimes"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ] {
            assert_eq!(parse(schedule), Err(reason.to_owned()), "{schedule}");
        }
    }
}
