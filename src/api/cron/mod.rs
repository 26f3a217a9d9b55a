//! Cron schedules: when they fire, in which time zone.
//!
//! Upstream: `github.com/robfig/cron/v3` (`ParseStandard`, `spec.go`, `constantdelay.go`), as Kubernetes v1.34 uses it.
//!
//! # Fidelity
//! Time zones come from the IANA database that is built in, not from the machine. A CronJob without `timeZone`
//! runs in UTC.

mod parse;

use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::base::{SimDuration, Timestamp};

/// Years after which a schedule that never fires is given up.
const YEARS_MAX: i16 = 5;

/// A schedule, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Minutes, hours, days and months, as sets of bits.
    Fields(Fields),
    /// `@every`: so many seconds after the last time, at least one.
    Every(i64),
}

/// The five fields of a schedule. Bit *n* stands for the number *n*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether days of the month and weekdays must both fit: one of them is `*`.
    both_days: bool,
}

/// A time zone by its IANA name.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// Finds a zone.
    ///
    /// # Errors
    /// Nobody knows the name; in Go's words.
    pub fn find(name: &str) -> Result<Self, String> {
        match name {
            "" | "UTC" => Ok(Self::UTC),
            _ => TimeZoneDatabase::bundled()
                .get(name)
                .map(Self)
                .map_err(|_| format!("unknown time zone {name}")),
        }
    }

    /// The time as RFC 3339 text with the zone's offset.
    pub fn rfc3339(&self, at: Timestamp) -> String {
        let Ok(instant) = jiff::Timestamp::from_second(at.secs()) else { return at.to_rfc3339() };
        let offset = self.0.to_offset(instant);
        if offset.is_zero() { at.to_rfc3339() } else { instant.display_with_offset(offset).to_string() }
    }

    fn local(&self, seconds: i64) -> Option<DateTime> {
        jiff::Timestamp::from_second(seconds).ok().map(|at| self.0.to_datetime(at))
    }

    /// The instant of a local time; of one that a change of clocks skips, the one after the change.
    fn instant(&self, local: DateTime) -> Option<i64> {
        self.0.to_ambiguous_timestamp(local).compatible().ok().map(|at| at.as_second())
    }
}

impl Schedule {
    /// Reads a schedule of five fields or a descriptor like `@hourly`.
    ///
    /// # Errors
    /// What is wrong with it, in the words of the library that Kubernetes uses.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text)
    }

    /// The first time after `after` at which it fires; none if it does not within five years.
    pub fn next(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        match self {
            Self::Every(seconds) => Some(after.plus_secs(*seconds)),
            Self::Fields(fields) => fields.next(after.secs(), zone).map(Timestamp::new),
        }
    }

    pub(super) fn every(delay: SimDuration) -> Self {
        Self::Every(i64::try_from(delay.as_secs()).unwrap_or(i64::MAX).max(1))
    }
}

const fn has(bits: u64, number: i8) -> bool {
    number >= 0 && bits & (1 << number as u32) != 0
}

impl Fields {
    fn day_fits(&self, date: Date) -> bool {
        let (day, weekday) =
            (has(self.days, date.day()), has(self.weekdays, date.weekday().to_sunday_zero_offset()));
        if self.both_days { day && weekday } else { day || weekday }
    }

    /// The first midnight of a day that fits, from this date on.
    fn day_from(&self, mut date: Date, year_last: i16) -> Option<Date> {
        while date.year() <= year_last {
            if !has(self.months, date.month()) {
                date = date.first_of_month().checked_add(jiff::Span::new().months(1)).ok()?;
            } else if self.day_fits(date) {
                return Some(date);
            } else {
                date = date.tomorrow().ok()?;
            }
        }
        None
    }

    fn next(&self, after: i64, zone: &Zone) -> Option<i64> {
        // Full minutes only.
        let mut at = after.div_euclid(60).checked_add(1)?.checked_mul(60)?;
        let mut local = zone.local(at)?;
        let year_last = local.year().saturating_add(YEARS_MAX);
        loop {
            let day = self.day_from(local.date(), year_last)?;
            if day != local.date() {
                at = zone.instant(day.at(0, 0, 0, 0))?;
                local = zone.local(at)?;
            }
            // Hours and minutes pass on the clock that nobody changes, so that an hour that is skipped does not
            // fire, and one that comes twice fires twice.
            if !has(self.hours, local.hour()) {
                at = at.checked_add(3600 - i64::from(local.minute()) * 60 - i64::from(local.second()))?;
            } else if has(self.minutes, local.minute()) {
                return Some(at);
            } else {
                at = at.checked_add(60 - i64::from(local.second()))?;
            }
            local = zone.local(at)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    /// The next times after an instant, in the zone.
    fn times(schedule: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let (schedule, zone) = (Schedule::parse(schedule).unwrap(), Zone::find(zone).unwrap());
        let next = |last: &Timestamp| schedule.next(*last, &zone);
        std::iter::successors(next(&at(after)), next).take(count).map(|t| zone.rfc3339(t)).collect()
    }

    #[test]
    fn schedules_fire_when_they_say() {
        for (schedule, after, expected) in [
            ("* * * * *", "2026-01-05T08:00:00Z", "2026-01-05T08:01:00Z"),
            ("* * * * *", "2026-01-05T08:00:59Z", "2026-01-05T08:01:00Z"),
            ("*/15 * * * *", "2026-01-05T08:46:00Z", "2026-01-05T09:00:00Z"),
            ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("30 6-16/4 * * 1-5", "2026-01-09T14:30:00Z", "2026-01-12T06:30:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("@hourly", "2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z"),
            ("@weekly", "2026-01-05T08:00:00Z", "2026-01-11T00:00:00Z"),
            ("@every 90s", "2026-01-05T08:00:07Z", "2026-01-05T08:01:37Z"),
            // Day of the month or weekday, unless one of them is `*`.
            ("0 0 13 * 5", "2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z"),
            ("0 0 13 * *", "2026-01-05T00:00:00Z", "2026-01-13T00:00:00Z"),
            ("0 0 */2 * 1", "2026-01-05T00:00:00Z", "2026-01-07T00:00:00Z"),
        ] {
            assert_eq!(times(schedule, "", after, 1), [expected], "{schedule}");
        }
    }

    #[test]
    fn a_day_that_does_not_exist_never_comes() {
        assert!(times("59 23 31 2 *", "", "2026-01-05T00:00:00Z", 1).is_empty());
    }

    #[test]
    fn clocks_that_change_skip_times_or_repeat_them() {
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 2),
            ["2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"]
        );
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", 3),
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"]
        );
        assert_eq!(
            times("0 9 * * *", "America/New_York", "2026-01-05T13:59:59Z", 1),
            ["2026-01-05T09:00:00-05:00"]
        );
        assert_eq!(Zone::find("Mars/Olympus"), Err("unknown time zone Mars/Olympus".to_owned()));
    }
}
