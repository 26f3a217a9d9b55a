//! What a scalar means, as go-yaml v2 resolves it for Kubernetes (YAML 1.1 with octal numbers).
//!
//! Upstream: `go.yaml.in/yaml/v2/resolve.go`, behind `sigs.k8s.io/yaml`, v1.34.

use super::Value;

/// A tag that a scalar can carry, as far as it decides the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarTag {
    /// None: the text decides if it is plain, else it is a string.
    Absent,
    /// `!!str`, `!!binary`, `!` or one that nobody knows.
    Str,
    /// `!!bool`, `!!int`, `!!float`, `!!null`: the text decides, and must agree.
    Bool,
    /// See [`ScalarTag::Bool`].
    Int,
    /// See [`ScalarTag::Bool`].
    Float,
    /// See [`ScalarTag::Bool`].
    Null,
}

/// The value of a scalar.
///
/// # Errors
/// A sentence: the text is not what its tag says, or JSON has no such number.
pub(super) fn resolve(text: &str, plain: bool, tag: ScalarTag) -> Result<Value, String> {
    let value = match tag {
        ScalarTag::Str => Value::Str(text.to_owned()),
        ScalarTag::Absent if !plain => Value::Str(text.to_owned()),
        _ => resolve_plain(text)?,
    };
    let agrees = match tag {
        ScalarTag::Absent | ScalarTag::Str => true,
        ScalarTag::Bool => matches!(value, Value::Bool(_)),
        ScalarTag::Int => matches!(value, Value::Int(_) | Value::UInt(_)),
        ScalarTag::Float => matches!(value, Value::Int(_) | Value::UInt(_) | Value::Float(_)),
        ScalarTag::Null => matches!(value, Value::Null),
    };
    if agrees { Ok(value) } else { Err(format!("cannot decode `{text}` as what its tag says")) }
}

/// Whether a plain scalar of this text is a string for every reader of YAML that Kubernetes' users have:
/// no number, boolean or null, and no time or number to the base of sixty either.
pub fn reads_as_text(text: &str) -> bool {
    matches!(resolve_plain(text), Ok(Value::Str(_)))
        && text != "<<"
        && text != "="
        && !is_time(text)
        && !is_base_60(text)
}

/// Whether text begins as a date does: `2006-1-2`.
fn is_time(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let digits = |part: Option<&str>, count: std::ops::RangeInclusive<usize>| {
        part.is_some_and(|p| count.contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
    };
    digits(parts.next(), 4..=4)
        && digits(parts.next(), 1..=2)
        && parts.next().is_some_and(|day| day.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether text is a number to the base of sixty: `190:20:30`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    unsigned.contains(':')
        && unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'_' | b'.'))
}

fn resolve_plain(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => return Err("json: unsupported value: NaN".to_owned()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Err("json: unsupported value: +Inf".to_owned());
        }
        "-.inf" | "-.Inf" | "-.INF" => return Err("json: unsupported value: -Inf".to_owned()),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
            number(text).unwrap_or_else(|| Value::Str(text.to_owned()))
        }
        _ => Value::Str(text.to_owned()),
    })
}

/// The number that a plain scalar is, if it is one; underscores may stand anywhere in it.
fn number(text: &str) -> Option<Value> {
    // A number has few bytes; a megabyte of digits is a string.
    if text.len() > 512 {
        return None;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    integer(&plain).or_else(|| float(&plain))
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint`: the prefix names the base, a leading zero is octal.
fn integer(plain: &str) -> Option<Value> {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let negative = plain.starts_with('-');
    let (digits, radix) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&unsigned[2..], 16),
        [b'0', b'o' | b'O', ..] => (&unsigned[2..], 8),
        [b'0', b'b' | b'B', ..] => (&unsigned[2..], 2),
        [b'0', _, ..] => (&unsigned[1..], 8),
        _ => (unsigned, 10),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    match i64::try_from(value) {
        Ok(value) => Some(Value::Int(value)),
        // Upstream's ParseUint takes no sign.
        Err(_) if plain.starts_with(|c: char| c.is_ascii_digit()) => {
            u64::try_from(value).ok().map(Value::UInt)
        }
        Err(_) => None,
    }
}

/// A decimal number; one that is whole becomes a whole number, as it does on its way through JSON.
fn float(plain: &str) -> Option<Value> {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    // upstream: float64
    let value: f64 = plain.parse().ok()?;
    from_f64(value)
}

/// A finite number as a value, whole if it is whole.
pub(super) fn from_f64(value: f64) -> Option<Value> {
    const WHOLE_MAX: f64 = 9.2e18;
    if !value.is_finite() {
        None
    } else if value.trunc() == value && value.abs() < WHOLE_MAX {
        Some(Value::Int(value as i64))
    } else {
        Some(Value::Float(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Value {
        resolve(text, true, ScalarTag::Absent).unwrap()
    }

    #[test]
    fn plain_scalars_mean_what_kubernetes_makes_of_them() {
        for text in ["yes", "on", "True", "y"] {
            assert_eq!(plain(text), Value::Bool(true), "{text}");
        }
        for text in ["no", "off", "FALSE", "N"] {
            assert_eq!(plain(text), Value::Bool(false), "{text}");
        }
        for (text, value) in [
            ("0", 0),
            ("0644", 420),
            ("0o17", 15),
            ("0x1F", 31),
            ("0b11", 3),
            ("-12", -12),
            ("+5", 5),
            ("1_000", 1000),
            ("1e3", 1000),
            ("2.0", 2),
            ("08", 8),
        ] {
            assert_eq!(plain(text), Value::Int(value), "{text}");
        }
        assert_eq!(plain("18446744073709551615"), Value::UInt(u64::MAX));
        assert_eq!(plain("0.5"), Value::Float(0.5));
        assert_eq!(plain(".5"), Value::Float(0.5));
        assert_eq!(plain("~"), Value::Null);
    }

    #[test]
    fn what_only_looks_like_a_number_is_a_string() {
        for text in ["1.2.3", "12:30", "2001-01-01", "100m", "1e", "-", "+", ".", "0x", "1e999", "--1", "yep"]
        {
            assert_eq!(plain(text), Value::Str(text.to_owned()), "{text}");
        }
        assert_eq!(plain(&"9".repeat(100_000)), Value::Str("9".repeat(100_000)));
    }

    #[test]
    fn quotes_and_tags_decide() {
        assert_eq!(resolve("1", false, ScalarTag::Absent), Ok(Value::Str("1".into())));
        assert_eq!(resolve("1", true, ScalarTag::Str), Ok(Value::Str("1".into())));
        assert_eq!(resolve("1", false, ScalarTag::Int), Ok(Value::Int(1)));
        assert!(resolve("x", true, ScalarTag::Int).is_err());
        assert!(resolve(".inf", true, ScalarTag::Absent).is_err());
    }
}
