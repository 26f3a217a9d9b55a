//! Virtual time: integer nanoseconds on the clock, whole seconds inside API objects.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Mul, Sub};

use super::Str;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// An instant of the simulation: nanoseconds since its start.
///
/// Two instants cannot be added; their difference is a [`SimDuration`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(u64);

/// A span of virtual time in nanoseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimDuration(u64);

/// A time inside an API object: whole seconds since the Unix epoch, as `metav1.Time` has it.
///
/// The lowest number of seconds stands for the one above it, so that an optional time takes no more room than a time.
// The seconds with the sign bit turned over: ordered as they are, and never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(NonZeroU64);

/// The sign bit of a number of seconds.
const SIGN: u64 = 1 << 63;

impl SimTime {
    /// The start of the simulation.
    pub const ZERO: Self = Self(0);
    /// An instant that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `seconds` seconds after the start.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the start.
    pub const fn as_secs(self) -> u64 {
        self.0 / NANOS_PER_SECOND
    }

    /// The instant as a person reads it: cut to milliseconds.
    pub fn cut_to_millis(self) -> Self {
        Self(self.0 - self.0 % 1_000_000)
    }

    /// Seconds since the start, for output only.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }

    /// The time passed since `earlier`; zero if that lies in the future.
    pub const fn since(self, earlier: Self) -> SimDuration {
        SimDuration(self.0.saturating_sub(earlier.0))
    }

    /// The instant so long before; the start if that is later.
    pub const fn minus(self, span: SimDuration) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The next instant at or after `self` on the grid `phase + k * period`.
    ///
    /// A zero period gives `self`.
    pub fn next_on_grid(self, phase: SimDuration, period: SimDuration) -> Self {
        if period.0 == 0 {
            return self;
        }
        let phase = phase.0 % period.0;
        let past = (self.0 + period.0 - phase) % period.0;
        if past == 0 { self } else { Self(self.0.saturating_add(period.0 - past)) }
    }
}

impl SimDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than any run.
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A span of `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1000))
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// A span of `seconds` seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// A span of `minutes` minutes.
    pub const fn from_mins(minutes: u64) -> Self {
        Self::from_secs(minutes.saturating_mul(60))
    }

    /// The span of a number of seconds of an API field; negative ones are zero.
    pub const fn from_api_secs(seconds: i64) -> Self {
        if seconds <= 0 { Self(0) } else { Self::from_secs(seconds as u64) }
    }

    /// Nanoseconds of the span.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds of the span.
    pub const fn as_millis(self) -> u64 {
        self.0 / NANOS_PER_MILLI
    }

    /// Whole seconds of the span.
    pub const fn as_secs(self) -> u64 {
        self.0 / NANOS_PER_SECOND
    }

    /// Seconds of the span, for output only.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }

    /// Whether the span is empty.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The span shortened by `other`, at least zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The span times `num / den`, rounded down.
    pub const fn scale(self, num: u64, den: u64) -> Self {
        let wide = self.0 as u128 * num as u128 / den as u128;
        if wide > u64::MAX as u128 { Self(u64::MAX) } else { Self(wide as u64) }
    }

    /// Reads a duration as Go writes it: `90s`, `1m30s`, `1.5h`, `300ms`, `0`.
    ///
    /// # Errors
    /// A sentence that says what is wrong, for a diagnostic.
    pub fn parse_go(text: &str) -> Result<Self, String> {
        parse_go_duration(text)
    }
}

fn parse_go_duration(text: &str) -> Result<SimDuration, String> {
    let invalid = || format!("`{text}` is not a duration");
    if text == "0" {
        return Ok(SimDuration::ZERO);
    }
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative"));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err("an empty text is not a duration".to_owned());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let is_of_number = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let digits = rest
            .bytes()
            .position(|byte| !is_of_number(byte))
            .ok_or_else(|| format!("`{text}` has no unit; write `{text}s` for seconds"))?;
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.bytes().position(is_of_number).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let unit: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => return Err(format!("unknown unit `d` in `{text}`; a day is `24h`")),
            _ => return Err(format!("unknown unit `{unit}` in `{text}`; units are ns, us, ms, s, m, h")),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(invalid());
        }
        if !whole.is_empty() {
            // Long numbers are rare, and slow.
            let whole = match whole.parse::<u64>() {
                Ok(whole) => u128::from(whole),
                Err(_) => whole.parse().map_err(|_| invalid())?,
            };
            total = whole.checked_mul(unit.into()).and_then(|v| total.checked_add(v)).ok_or_else(invalid)?;
        }
        let mut scale = unit;
        for digit in fraction.bytes() {
            scale /= 10;
            total += u128::from(u64::from(digit - b'0') * scale);
        }
        rest = tail;
    }
    u64::try_from(total)
        .ok()
        .filter(|nanos| i64::try_from(*nanos).is_ok())
        .map(SimDuration)
        .ok_or_else(|| format!("`{text}` is longer than 292 years"))
}

impl SimDuration {
    fn written(self) -> Backwards {
        let nanos = self.0;
        let mut text = Backwards::default();
        match nanos {
            0 => text.put("0s"),
            1..1_000 => text.decimal(nanos, 1, "ns"),
            1_000..1_000_000 => text.decimal(nanos, 1_000, "µs"),
            1_000_000..NANOS_PER_SECOND => text.decimal(nanos, 1_000_000, "ms"),
            _ => {
                text.decimal(nanos % (60 * NANOS_PER_SECOND), NANOS_PER_SECOND, "s");
                let total = nanos / NANOS_PER_SECOND;
                let (hours, minutes) = (total / 3600, total / 60 % 60);
                if hours > 0 || minutes > 0 {
                    text.decimal(minutes, 1, "m");
                }
                if hours > 0 {
                    text.decimal(hours, 1, "h");
                }
            }
        }
        text
    }
}

impl fmt::Display for SimDuration {
    /// Writes the duration as Go's `time.Duration` does: `1h2m3.5s`, `300ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.written().as_str())
    }
}

impl From<SimDuration> for Str {
    /// As it is displayed.
    fn from(duration: SimDuration) -> Self {
        duration.written().as_str().into()
    }
}

/// A short text that is written from its end: durations are written by the million.
struct Backwards {
    bytes: [u8; Self::MAX],
    from: usize,
}

impl Default for Backwards {
    fn default() -> Self {
        Self { bytes: [0; Self::MAX], from: Self::MAX }
    }
}

impl Backwards {
    /// Longer than any duration: `5124095h34m33.709551615s`.
    const MAX: usize = 32;

    fn put(&mut self, text: &str) {
        self.from -= text.len();
        self.bytes[self.from..self.from + text.len()].copy_from_slice(text.as_bytes());
    }

    fn digit(&mut self, digit: u64) {
        self.from -= 1;
        self.bytes[self.from] = b'0' + (digit % 10) as u8;
    }

    /// A number of units, with as many decimals as it needs, and their name.
    fn decimal(&mut self, value: u64, unit: u64, name: &str) {
        self.put(name);
        let (mut whole, mut rest, mut scale) = (value / unit, value % unit, unit);
        if rest > 0 {
            while rest % 10 == 0 {
                (rest, scale) = (rest / 10, scale / 10);
            }
            while scale > 1 {
                self.digit(rest);
                (rest, scale) = (rest / 10, scale / 10);
            }
            self.put(".");
        }
        loop {
            self.digit(whole);
            whole /= 10;
            if whole == 0 {
                break;
            }
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.from..]).unwrap_or_default()
    }
}

impl fmt::Display for SimTime {
    /// Writes the instant as a duration since the start.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SimDuration(self.0).fmt(f)
    }
}

impl Add<SimDuration> for SimTime {
    type Output = SimTime;
    fn add(self, rhs: SimDuration) -> SimTime {
        SimTime(self.0.saturating_add(rhs.0))
    }
}

impl AddAssign<SimDuration> for SimTime {
    fn add_assign(&mut self, rhs: SimDuration) {
        *self = *self + rhs;
    }
}

impl Sub for SimTime {
    type Output = SimDuration;
    fn sub(self, rhs: SimTime) -> SimDuration {
        self.since(rhs)
    }
}

impl Add for SimDuration {
    type Output = SimDuration;
    fn add(self, rhs: SimDuration) -> SimDuration {
        SimDuration(self.0.saturating_add(rhs.0))
    }
}

impl Sum for SimDuration {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |a, b| a + b)
    }
}

impl Mul<u64> for SimDuration {
    type Output = SimDuration;
    fn mul(self, rhs: u64) -> SimDuration {
        SimDuration(self.0.saturating_mul(rhs))
    }
}

impl Timestamp {
    /// So many seconds after the Unix epoch.
    pub const fn new(secs: i64) -> Self {
        match NonZeroU64::new(secs.cast_unsigned() ^ SIGN) {
            Some(number) => Self(number),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Seconds since the Unix epoch.
    pub const fn secs(self) -> i64 {
        (self.0.get() ^ SIGN).cast_signed()
    }

    /// Reads RFC 3339 text; fractions of a second are cut off.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self::new(t.as_second()))
    }

    /// The time as RFC 3339 text in UTC, as the API server writes it.
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_second(self.secs())
            .map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), |t| t.to_string())
    }

    /// This time `seconds` later.
    pub const fn plus_secs(self, seconds: i64) -> Self {
        Self::new(self.secs().saturating_add(seconds))
    }

    /// Seconds from `earlier` to this time, negative if that is later.
    pub const fn secs_since(self, earlier: Self) -> i64 {
        self.secs().saturating_sub(earlier.secs())
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Hash for Timestamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.secs().hash(state);
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.secs()).finish()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// The calendar of a run: maps instants to the virtual wall clock and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Calendar {
    /// The wall clock at the start of the simulation.
    pub start: Timestamp,
}

impl Calendar {
    /// The wall-clock second in which `time` lies.
    pub fn timestamp(self, time: SimTime) -> Timestamp {
        self.start.plus_secs(time.as_secs() as i64)
    }

    /// The instant at which the second `timestamp` begins; the start for earlier ones.
    pub fn instant(self, timestamp: Timestamp) -> SimTime {
        SimTime::from_secs(u64::try_from(timestamp.secs_since(self.start)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("300ms", 300_000_000),
            (".5s", 500_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
        ] {
            assert_eq!(SimDuration::parse_go(text), Ok(SimDuration(nanos)), "{text}");
        }
        for text in ["", "5", "-1s", "1x", "s", ".s", "1..2s", "1d", "999999999999h"] {
            assert!(SimDuration::parse_go(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_as_go_prints_them() {
        for text in ["0s", "1ns", "1.5µs", "300ms", "1s", "1m0s", "1m30s", "1h0m0s", "1h2m3.5s", "26h0m0s"] {
            assert_eq!(SimDuration::parse_go(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_grid_is_met_at_or_after() {
        let grid = |t: u64| {
            SimTime::from_secs(t)
                .next_on_grid(SimDuration::from_secs(3), SimDuration::from_secs(10))
                .as_secs()
        };
        assert_eq!((grid(0), grid(3), grid(4), grid(13), grid(14)), (3, 3, 13, 13, 23));
    }

    #[test]
    fn calendar_cuts_to_whole_seconds() {
        let calendar = Calendar { start: Timestamp::parse_rfc3339("2026-01-05T08:00:00Z").unwrap() };
        let at = SimTime::ZERO + SimDuration::from_millis(61_900);
        assert_eq!(calendar.timestamp(at).to_rfc3339(), "2026-01-05T08:01:01Z");
        assert_eq!(calendar.instant(calendar.timestamp(at)), SimTime::from_secs(61));
    }
}
