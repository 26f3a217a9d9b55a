//! JSON values as YAML, as `kubectl -o yaml` prints them.
//!
//! Keys are sorted, sequences stand in the column of their key, text that would read as something else is quoted,
//! long text is folded at spaces.
//!
//! Upstream: `go.yaml.in/yaml/v2/encode.go` and `emitterc.go`, behind `sigs.k8s.io/yaml`, v1.34.

mod text;

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// Keys longer than this stand on a line of their own, behind `?`.
const SIMPLE_KEY_MAX: usize = 128;

/// The value as a YAML document.
pub fn render(value: &Value) -> String {
    let mut out = String::new();
    emit(&mut out, value, 0, Place::Top);
    out
}

/// What stands to the left of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing.
    Top,
    /// `key:`
    Key,
    /// `- `
    Item,
}

/// Writes a value; `column` is that of the key or dash to the left.
fn emit(out: &mut String, value: &Value, column: usize, place: Place) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let own = if place == Place::Top { 0 } else { column + 2 };
            emit_mapping(out, fields, own, place == Place::Key);
        }
        Value::Array(items) if !items.is_empty() => {
            let own = if place == Place::Item { column + 2 } else { column };
            for (index, item) in items.iter().enumerate() {
                begin_line(out, own, index > 0 || place == Place::Key);
                out.push_str("- ");
                emit(out, item, own, Place::Item);
            }
        }
        scalar => {
            if place == Place::Key {
                out.push(' ');
            }
            emit_scalar(out, scalar, column + 2);
            out.push('\n');
        }
    }
}

fn emit_mapping(out: &mut String, fields: &Map<String, Value>, column: usize, below_key: bool) {
    let mut entries: Vec<(&String, &Value)> = fields.iter().collect();
    entries.sort_by(|a, b| natural(a.0, b.0));
    for (index, (key, value)) in entries.into_iter().enumerate() {
        begin_line(out, column, index > 0 || below_key);
        if key.len() > SIMPLE_KEY_MAX {
            out.push_str("? ");
            text::key(out, key);
            begin_line(out, column, true);
        } else {
            text::key(out, key);
        }
        out.push(':');
        emit(out, value, column, Place::Key);
    }
}

/// Starts a line at a column, unless the cursor is already there behind a dash.
fn begin_line(out: &mut String, column: usize, wanted: bool) {
    if !wanted {
        return;
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.extend(std::iter::repeat_n(' ', column));
}

fn emit_scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(value) => text::value(out, value, indent),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// Whole numbers as they are, others as Go's `%g` writes them.
fn number_text(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    // upstream: float64
    let value = number.as_f64().unwrap_or_default();
    if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        return value.to_string();
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => scientific,
    }
}

/// The order of keys: letters after all else, runs of digits by their value.
///
/// Upstream: `go.yaml.in/yaml/v2/sorter.go`, v1.34.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let (x, y) = (a[at], b[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero inside a longer number counts as a digit of it, not as a leading zero.
    let inside =
        (x == '0' || y == '0') && a[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let run = |text: &[char]| -> (u64, usize) {
        let digits: Vec<u64> = text[at..].iter().map_while(|c| c.to_digit(10)).map(u64::from).collect();
        let value = digits.iter().fold(u64::from(inside), |sum, d| sum.wrapping_mul(10).wrapping_add(*d));
        (value, digits.len())
    };
    let ((x_value, x_len), (y_value, y_len)) = (run(&a), run(&b));
    x_value.cmp(&y_value).then(x_len.cmp(&y_len)).then(x.cmp(&y))
}

#[cfg(test)]
mod tests;
