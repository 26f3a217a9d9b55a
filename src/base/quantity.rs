//! Resource quantities as Kubernetes writes them: `500m`, `1.5Gi`, `2e3`.
//!
//! Upstream: `apimachinery/pkg/api/resource/quantity.go`, v1.34.

use std::cmp::Ordering;
use std::fmt;

const NANO: i128 = 1_000_000_000;
/// Upstream caps quantities at 2^63 - 1 units.
const MAX_NANOS: i128 = i64::MAX as i128 * NANO;

/// The family of suffixes a quantity is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `Ki`, `Mi`, `Gi` …
    BinarySi,
    /// `m`, none, `k`, `M` …
    DecimalSi,
    /// `e3`, `E6` …
    DecimalExponent,
}

/// An exact amount with the format it was written in.
///
/// Equality and order are those of the amount: `1` equals `1000m`.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// `units` whole units in decimal notation.
    pub const fn from_units(units: i64) -> Self {
        Self { nanos: units as i128 * NANO, format: Format::DecimalSi }
    }

    /// `milli` thousandths in decimal notation.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * (NANO / 1000), format: Format::DecimalSi }
    }

    /// `bytes` bytes in binary notation.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self { nanos: bytes as i128 * NANO, format: Format::BinarySi }
    }

    /// Reads a quantity as the API server does; finer than a nano rounds away from zero.
    ///
    /// # Errors
    /// A sentence that says what is wrong, for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "`{text}` is not a quantity: quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            )
        })
    }

    /// The amount in whole units, rounded up (away from zero), as upstream's `Value()`.
    pub fn value(&self) -> i64 {
        round_up(self.nanos, NANO)
    }

    /// The amount in thousandths, rounded up, as upstream's `MilliValue()`.
    pub fn milli_value(&self) -> i64 {
        round_up(self.nanos, NANO / 1000)
    }

    /// The exact amount in billionths.
    pub const fn nanos(&self) -> i128 {
        self.nanos
    }

    /// The suffix family it is written with.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The same amount in another notation.
    pub const fn with_format(self, format: Format) -> Self {
        Self { nanos: self.nanos, format }
    }

    /// Whether it is below zero.
    pub const fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// The sum, in the notation of `self` unless that is zero, then of `other`, as upstream's `Add`.
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: (self.nanos + other.nanos).clamp(-MAX_NANOS, MAX_NANOS), format }
    }

    /// The difference, in the notation of `self`.
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: (self.nanos - other.nanos).clamp(-MAX_NANOS, MAX_NANOS), format: self.format }
    }
}

fn round_up(nanos: i128, unit: i128) -> i64 {
    let (quotient, rest) = (nanos / unit, nanos % unit);
    let rounded = quotient + rest.signum();
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

fn parse(text: &str) -> Option<Quantity> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let number_len = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_len);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let (scale, format) = parse_suffix(suffix)?;
    let nanos = scaled(whole, fraction, scale)?.min(MAX_NANOS);
    Some(Quantity { nanos: if negative { -nanos } else { nanos }, format })
}

/// A suffix as a rational factor: `(2^binary * 10^decimal)`.
struct Scale {
    binary: u32,
    decimal: i32,
}

fn parse_suffix(suffix: &str) -> Option<(Scale, Format)> {
    let binary = |n| Some((Scale { binary: n, decimal: 0 }, Format::BinarySi));
    let decimal = |n| Some((Scale { binary: 0, decimal: n }, Format::DecimalSi));
    match suffix {
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let decimal = exponent.parse::<i32>().ok()?;
            Some((Scale { binary: 0, decimal }, Format::DecimalExponent))
        }
    }
}

/// `whole.fraction * scale` in nanos, rounded up; saturates far above the cap.
fn scaled(whole: &str, fraction: &str, scale: Scale) -> Option<i128> {
    let fraction = fraction.trim_end_matches('0');
    let whole = whole.trim_start_matches('0');
    let mut mantissa: i128 = 0;
    let mut exponent = scale.decimal.saturating_add(9);
    let mut sticky = false;
    for (index, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        if mantissa > MAX_NANOS {
            sticky |= digit != b'0';
            exponent = exponent.saturating_add(i32::from(index < whole.len()));
        } else {
            mantissa = mantissa * 10 + i128::from(digit - b'0');
            exponent = exponent.saturating_sub(i32::from(index >= whole.len()));
        }
    }
    if mantissa == 0 {
        return Some(0);
    }
    let mut value = mantissa.checked_mul(1i128 << scale.binary.min(60)).unwrap_or(i128::MAX / 2);
    while exponent > 0 && value <= MAX_NANOS {
        value = value.saturating_mul(10);
        exponent -= 1;
    }
    while exponent < 0 && value > 0 {
        sticky |= value % 10 != 0;
        value /= 10;
        exponent += 1;
    }
    Some(value.saturating_add(i128::from(sticky)))
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::hash::Hash for Quantity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl fmt::Display for Quantity {
    /// Writes the canonical form: the largest suffix that leaves no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let magnitude = self.nanos.unsigned_abs();
        if self.nanos < 0 {
            f.write_str("-")?;
        }
        // Upstream: binary notation below 1024 or with a fraction falls back to decimal.
        let whole = magnitude.is_multiple_of(NANO as u128);
        if self.format == Format::BinarySi && whole && magnitude >= 1024 * NANO as u128 {
            let mut units = magnitude / NANO as u128;
            let mut power = 0;
            while units.is_multiple_of(1024) && power < 6 {
                units /= 1024;
                power += 1;
            }
            return write!(f, "{units}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
        }
        let (mut amount, mut power) = (magnitude, 0);
        while amount.is_multiple_of(1000) && power < 9 {
            amount /= 1000;
            power += 1;
        }
        if self.format == Format::DecimalExponent {
            let exponent = (power as i32 - 3) * 3;
            return if exponent == 0 { write!(f, "{amount}") } else { write!(f, "{amount}e{exponent}") };
        }
        write!(f, "{amount}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][power])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        Quantity::parse(text).map_or_else(|_| "refused".to_owned(), |q| q.to_string())
    }

    #[test]
    fn canonical_forms_are_upstreams() {
        for (text, expected) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("500m", "500m"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("100Ki", "100Ki"),
            ("1000Ki", "1000Ki"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("2E6", "2e6"),
            ("0.1Mi", "104857600m"),
            ("123456789", "123456789"),
            ("-5", "-5"),
            ("+5", "5"),
            ("1.", "1"),
            (".5", "500m"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("512", "512"),
            ("99999999999999999999", "9223372036854775807"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ".", "-", "1.2.3", "1kb", "1 Gi", "Gi", "1e", "1ee3", "0x10", "1mi", "ten"] {
            assert_eq!(canonical(text), "refused", "{text}");
        }
    }

    #[test]
    fn values_round_up() {
        let q = |t: &str| Quantity::parse(t).unwrap();
        assert_eq!(q("100m").value(), 1);
        assert_eq!(q("1.0001").milli_value(), 1001);
        assert_eq!(q("0.1Mi").value(), 104_858);
        assert_eq!(q("1e30").value(), i64::MAX);
        assert_eq!(q("1e-30").nanos(), 1);
    }

    proptest! {
        #[test]
        fn printing_and_reading_again_keeps_the_amount(units in -1_000_000_000_000i64..1_000_000_000_000, milli: bool, binary: bool) {
            let q = if milli { Quantity::from_milli(units) } else { Quantity::from_units(units) };
            let q = q.with_format(if binary { Format::BinarySi } else { Format::DecimalSi });
            let back = Quantity::parse(&q.to_string()).unwrap();
            prop_assert_eq!(back, q);
            // A plain number is read as decimal: what was binary without a suffix may be printed with one then.
            if back.format() == q.format() {
                prop_assert_eq!(back.to_string(), q.to_string());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn any_number_like_text_is_read_or_refused(text in "[+-]?[0-9.]{0,60}[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,12}") {
            let _ = Quantity::parse(&text);
        }
    }
}
