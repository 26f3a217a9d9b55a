//! Whether a schedule can be read.
//!
//! Upstream: `github.com/robfig/cron/v3/parser.go` (`ParseStandard`), with its messages.

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

/// Checks a schedule of five fields or a descriptor like `@hourly`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    if schedule.starts_with('@') {
        return descriptor(schedule);
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        for range in text.split(',').filter(|r| !r.is_empty()) {
            check_range(range, field)?;
        }
    }
    Ok(())
}

fn descriptor(text: &str) -> Result<(), String> {
    if let Some(every) = text.strip_prefix("@every ") {
        return crate::base::SimDuration::parse_go(every)
            .map(|_| ())
            .map_err(|error| format!("failed to parse duration {text}: {error}"));
    }
    match text {
        "@yearly" | "@annually" | "@monthly" | "@weekly" | "@daily" | "@midnight" | "@hourly" => Ok(()),
        _ => Err(format!("unrecognized descriptor: {text}")),
    }
}

/// One of the parts between commas: `*`, `5`, `1-5`, `*/10`, `1-5/2`.
fn check_range(text: &str, field: &Field) -> Result<(), String> {
    let mut slashes = text.split('/');
    let range = slashes.next().unwrap_or_default();
    let step = slashes.next();
    if slashes.next().is_some() {
        return Err(format!("too many slashes: {text}"));
    }
    let mut hyphens = range.split('-');
    let low = hyphens.next().unwrap_or_default();
    let high = hyphens.next();
    let (start, end) = if matches!(low, "*" | "?") {
        (field.min, field.max)
    } else {
        if hyphens.next().is_some() {
            return Err(format!("too many hyphens: {text}"));
        }
        let start = number(low, field)?;
        let end = match (high, step) {
            (Some(high), _) => number(high, field)?,
            // `5/10` counts from 5 to the end.
            (None, Some(_)) => field.max,
            (None, None) => start,
        };
        (start, end)
    };
    if let Some(step) = step
        && parse(step)? == 0
    {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    if start < field.min {
        Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.min))
    } else if end > field.max {
        Err(format!("end of range ({end}) above maximum ({}): {text}", field.max))
    } else if start > end {
        Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"))
    } else {
        Ok(())
    }
}

fn number(text: &str, field: &Field) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match field.names.iter().position(|name| *name == lower) {
        Some(index) => Ok(field.min + u32::try_from(index).unwrap_or(0)),
        None => parse(text),
    }
}

fn parse(text: &str) -> Result<u32, String> {
    let number: i64 = text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })?;
    u32::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
}

#[cfg(test)]
mod tests {
    use super::check;

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
            assert_eq!(check(schedule), Ok(()), "{schedule}");
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
            assert_eq!(check(schedule), Err(reason.to_owned()), "{schedule}");
        }
    }
}
