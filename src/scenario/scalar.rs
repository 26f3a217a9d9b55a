//! Readers of single values.

use super::code;
use super::read::{Fields, Reader, found, list};
use super::shape::{Shape, Type, optional, required};
use crate::api::manifest::tree::{Tree, Value};
use crate::api::{LabelSelector, Labels, ResourceList, Taint, TaintEffect};
use crate::base::diag::did_you_mean;
use crate::base::{Quantity, SimDuration, SimTime, Str, Timestamp};
use crate::expect::Count;
use crate::params::Delay;

/// A text. Numbers and booleans are refused, as the API server refuses them.
pub fn text(reader: &mut Reader<'_>, tree: &Tree) -> Option<Str> {
    match &tree.value {
        Value::Str(text) => Some(text.as_str().into()),
        Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => {
            let help = format!("put it in quotes: \"{}\"", reader.raw(tree.span));
            reader.cure(code::BAD_VALUE, tree.span, format!("expected a text, found {}", found(tree)), help)
        }
        Value::Null | Value::Seq(_) | Value::Map(_) => reader.expected(tree, "a text"),
    }
}

/// A text that is not empty.
pub fn name(reader: &mut Reader<'_>, tree: &Tree) -> Option<Str> {
    let name = text(reader, tree)?;
    if name.is_empty() {
        reader.error(code::BAD_VALUE, tree.span, "an empty text is not a name")
    } else {
        Some(name)
    }
}

/// `true` or `false`.
pub fn boolean(reader: &mut Reader<'_>, tree: &Tree) -> Option<bool> {
    match &tree.value {
        Value::Bool(value) => Some(*value),
        Value::Null
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Seq(_)
        | Value::Map(_) => reader.expected(tree, "`true` or `false`"),
    }
}

/// A whole number of a range.
pub fn integer<T: TryFrom<i64>>(reader: &mut Reader<'_>, tree: &Tree) -> Option<T> {
    let number = match &tree.value {
        Value::Int(number) => *number,
        Value::UInt(_) => i64::MAX,
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Str(_) | Value::Seq(_) | Value::Map(_) => {
            return reader.expected(tree, "a whole number");
        }
    };
    match T::try_from(number) {
        Ok(value) => Some(value),
        Err(_) => reader.error(
            code::OUT_OF_RANGE,
            tree.span,
            format!("{} is out of range", reader.raw(tree.span).to_owned()),
        ),
    }
}

/// A whole number of type `i32` from 0 on: the API's counts.
pub fn natural(reader: &mut Reader<'_>, tree: &Tree) -> Option<i32> {
    let number: i32 = integer(reader, tree)?;
    if number < 0 {
        return reader.error(code::OUT_OF_RANGE, tree.span, format!("{number} is negative"));
    }
    Some(number)
}

/// A number from 0 on, in thousandths.
pub fn thousandths(reader: &mut Reader<'_>, tree: &Tree) -> Option<u64> {
    let written = match &tree.value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => reader.raw(tree.span).to_owned(),
        Value::Str(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Seq(_) | Value::Map(_) => {
            return reader.expected(tree, "a number");
        }
    };
    let milli = Quantity::parse(&written).ok().map(|q| q.milli_value());
    match milli.and_then(|m| u64::try_from(m).ok()) {
        Some(milli) => Some(milli),
        None => reader.error(code::BAD_VALUE, tree.span, format!("`{written}` is not a number from 0 on")),
    }
}

/// A number with a fraction.
pub fn decimal(reader: &mut Reader<'_>, tree: &Tree) -> Option<f64> {
    match &tree.value {
        Value::Int(value) => Some(*value as f64),
        Value::UInt(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Null | Value::Bool(_) | Value::Str(_) | Value::Seq(_) | Value::Map(_) => {
            reader.expected(tree, "a number")
        }
    }
}

/// A duration as Go writes it.
pub fn duration(reader: &mut Reader<'_>, tree: &Tree) -> Option<SimDuration> {
    match &tree.value {
        Value::Str(text) => match SimDuration::parse_go(text) {
            Ok(duration) => Some(duration),
            Err(message) => {
                reader.cure(code::BAD_VALUE, tree.span, message, "durations read like `90s`, `1m30s`, `1.5h`")
            }
        },
        Value::Int(0) => Some(SimDuration::ZERO),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => {
            let raw = reader.raw(tree.span).to_owned();
            reader.cure(
                code::BAD_VALUE,
                tree.span,
                format!("`{raw}` has no unit"),
                format!("write `{raw}s` for seconds, `{raw}m` for minutes"),
            )
        }
        Value::Null | Value::Bool(_) | Value::Seq(_) | Value::Map(_) => {
            reader.expected(tree, "a duration such as `90s` or `1m30s`")
        }
    }
}

/// An instant, as the duration since the start.
pub fn instant(reader: &mut Reader<'_>, tree: &Tree) -> Option<SimTime> {
    duration(reader, tree).map(|d| SimTime::ZERO + d)
}

static DISTRIBUTION: Shape = Shape {
    name: "Distribution",
    doc: "A distribution of durations: exactly one of these. A plain duration stands for `constant`.",
    fields: &[&[
        optional("constant", Type::Duration, "Always the same."),
        optional("uniform", Type::Shape(&UNIFORM), "Evenly spread."),
        optional("normal", Type::Shape(&NORMAL), "Bell-shaped, cut off at zero."),
        optional("lognormal", Type::Shape(&LOG_NORMAL), "Skewed, with a long tail."),
        optional("exponential", Type::Shape(&EXPONENTIAL), "Memoryless."),
    ]],
};

static UNIFORM: Shape = Shape {
    name: "Uniform",
    doc: "Evenly spread.",
    fields: &[&[
        required("min", Type::Duration, "The shortest."),
        required("max", Type::Duration, "The longest."),
    ]],
};

static NORMAL: Shape = Shape {
    name: "Normal",
    doc: "Bell-shaped, cut off at zero.",
    fields: &[&[
        required("mean", Type::Duration, "The mean."),
        required("sd", Type::Duration, "The standard deviation."),
    ]],
};

static LOG_NORMAL: Shape = Shape {
    name: "LogNormal",
    doc: "Skewed, with a long tail: `median` and one of `sigma` and `p99`.",
    fields: &[&[
        required("median", Type::Duration, "Half of all are shorter."),
        optional("sigma", Type::Number, "Standard deviation of the logarithm."),
        optional("p99", Type::Duration, "One in a hundred is longer."),
    ]],
};

static EXPONENTIAL: Shape = Shape {
    name: "Exponential",
    doc: "Memoryless.",
    fields: &[&[required("mean", Type::Duration, "The mean.")]],
};

/// The shape of a distribution, for the schema and the reference.
pub static DELAY_SHAPE: &Shape = &DISTRIBUTION;

/// A duration or a distribution of durations.
pub fn delay(reader: &mut Reader<'_>, tree: &Tree) -> Option<Delay> {
    if tree.as_map().is_none() {
        return duration(reader, tree).map(Delay::Constant);
    }
    let fields = Fields::open(reader, tree, &DISTRIBUTION)?;
    match fields.one_of(reader, &["constant", "uniform", "normal", "lognormal", "exponential"])? {
        "constant" => fields.read(reader, "constant", duration).map(Delay::Constant),
        "uniform" => fields.read(reader, "uniform", uniform),
        "normal" => fields.read(reader, "normal", normal),
        "lognormal" => fields.read(reader, "lognormal", log_normal),
        _ => fields.read(reader, "exponential", |reader, tree| {
            let fields = Fields::open(reader, tree, &EXPONENTIAL)?;
            fields.read(reader, "mean", duration).map(|mean| Delay::Exponential { mean })
        }),
    }
}

fn uniform(reader: &mut Reader<'_>, tree: &Tree) -> Option<Delay> {
    let fields = Fields::open(reader, tree, &UNIFORM)?;
    let min = fields.read(reader, "min", duration);
    let max = fields.read(reader, "max", duration);
    let (min, max) = (min?, max?);
    if min > max {
        return reader.error(
            code::OUT_OF_RANGE,
            fields.key_span("max"),
            format!("`max` {max} is less than `min` {min}"),
        );
    }
    Some(Delay::Uniform { min, max })
}

fn normal(reader: &mut Reader<'_>, tree: &Tree) -> Option<Delay> {
    let fields = Fields::open(reader, tree, &NORMAL)?;
    let mean = fields.read(reader, "mean", duration);
    let sd = fields.read(reader, "sd", duration);
    Some(Delay::Normal { mean: mean?, sd: sd? })
}

fn log_normal(reader: &mut Reader<'_>, tree: &Tree) -> Option<Delay> {
    let fields = Fields::open(reader, tree, &LOG_NORMAL)?;
    let median = fields.read(reader, "median", duration);
    match fields.one_of(reader, &["sigma", "p99"])? {
        "sigma" => {
            let sigma = fields.read(reader, "sigma", decimal)?;
            if !(0.0..=10.0).contains(&sigma) {
                return reader.error(
                    code::OUT_OF_RANGE,
                    fields.key_span("sigma"),
                    format!("`sigma` {sigma} is not between 0 and 10"),
                );
            }
            Some(Delay::LogNormal { median: median?, sigma })
        }
        _ => {
            let p99 = fields.read(reader, "p99", duration);
            let (median, p99) = (median?, p99?);
            if p99 < median || median.is_zero() {
                return reader.error(
                    code::OUT_OF_RANGE,
                    fields.key_span("p99"),
                    format!("`p99` {p99} must not be less than `median` {median}, and `median` not zero"),
                );
            }
            Some(Delay::log_normal_p99(median, p99))
        }
    }
}

/// A quantity as Kubernetes writes it, from 0 on.
pub fn quantity(reader: &mut Reader<'_>, tree: &Tree) -> Option<Quantity> {
    let written = match &tree.value {
        Value::Str(text) => text.clone(),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => reader.raw(tree.span).to_owned(),
        Value::Null | Value::Bool(_) | Value::Seq(_) | Value::Map(_) => {
            return reader.expected(tree, "a quantity such as `500m` or `2Gi`");
        }
    };
    match Quantity::parse(&written) {
        Ok(quantity) if quantity.is_negative() => {
            reader.error(code::OUT_OF_RANGE, tree.span, format!("`{written}` is negative"))
        }
        Ok(quantity) => Some(quantity),
        Err(_) => reader.cure(
            code::BAD_VALUE,
            tree.span,
            format!("`{written}` is not a quantity"),
            "quantities read like `500m`, `2`, `1.5Gi`, `100M`",
        ),
    }
}

/// Quantities by resource.
pub fn quantities(reader: &mut Reader<'_>, tree: &Tree) -> Option<ResourceList> {
    let mut list = ResourceList::default();
    for (key, tree) in reader.entries(tree, "quantities by resource") {
        if let Some(quantity) = quantity(reader, tree) {
            list.0.insert(key.text.as_str().into(), quantity);
        }
    }
    Some(list)
}

/// Texts by name.
pub fn labels(reader: &mut Reader<'_>, tree: &Tree) -> Option<Labels> {
    let mut pairs: Vec<(Str, Str)> = Vec::new();
    for (key, tree) in reader.entries(tree, "texts by name") {
        if let Some(value) = text(reader, tree) {
            pairs.push((key.text.as_str().into(), value));
        }
    }
    Some(pairs.into_iter().collect())
}

/// Texts by name, or null for names that are to go.
pub fn label_changes(reader: &mut Reader<'_>, tree: &Tree) -> Option<Vec<(Str, Option<Str>)>> {
    let mut changes = Vec::new();
    for (key, tree) in reader.entries(tree, "texts by name") {
        if tree.is_null() {
            changes.push((key.text.as_str().into(), None));
        } else if let Some(value) = text(reader, tree) {
            changes.push((key.text.as_str().into(), Some(value)));
        }
    }
    Some(changes)
}

/// A number, or a comparison.
pub fn count(reader: &mut Reader<'_>, tree: &Tree) -> Option<Count> {
    match &tree.value {
        Value::Int(number) => Some(Count::exactly(*number)),
        Value::Str(text) => match Count::parse(text) {
            Ok(count) => Some(count),
            Err(message) => reader.error(code::BAD_VALUE, tree.span, message),
        },
        Value::Null | Value::Bool(_) | Value::UInt(_) | Value::Float(_) | Value::Seq(_) | Value::Map(_) => {
            reader.expected(tree, "a number or a comparison such as `\">= 3\"`")
        }
    }
}

/// A number or comparison with at most so many decimals, in the smallest unit.
pub fn amount(reader: &mut Reader<'_>, tree: &Tree, digits: u32) -> Option<Count> {
    let written = match &tree.value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => reader.raw(tree.span).to_owned(),
        Value::Str(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Seq(_) | Value::Map(_) => {
            return reader.expected(tree, "a number or a comparison such as `\"<= 1.25\"`");
        }
    };
    match Count::parse_decimal(&written, digits) {
        Ok(count) => Some(count),
        Err(message) => reader.error(code::BAD_VALUE, tree.span, message),
    }
}

/// A label selector as kubectl writes it.
pub fn selector(reader: &mut Reader<'_>, tree: &Tree) -> Option<LabelSelector> {
    if let Some(entries) = tree.as_map() {
        let pairs: Vec<_> =
            entries.iter().filter_map(|(k, v)| Some(format!("{}={}", k.text, v.as_str()?))).collect();
        let help = if pairs.is_empty() {
            "write `app=web`".to_owned()
        } else {
            format!("write `{}`", pairs.join(","))
        };
        return reader.cure(
            code::BAD_VALUE,
            tree.head_span(),
            "selectors are written as kubectl writes them",
            help,
        );
    }
    let written = text(reader, tree)?;
    match LabelSelector::parse(&written) {
        Ok(selector) => Some(selector),
        Err(message) => reader.cure(
            code::BAD_VALUE,
            tree.span,
            message,
            "selectors read like `app=web`, `app in (web,api),tier!=db`, `!legacy`",
        ),
    }
}

/// A time as RFC 3339 writes it.
pub fn time(reader: &mut Reader<'_>, tree: &Tree) -> Option<Timestamp> {
    let written = match &tree.value {
        Value::Str(text) => text.clone(),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => reader.raw(tree.span).to_owned(),
        Value::Null | Value::Bool(_) | Value::Seq(_) | Value::Map(_) => {
            return reader.expected(tree, "a time such as `2026-01-05T08:00:00Z`");
        }
    };
    match Timestamp::parse_rfc3339(&written) {
        Some(time) => Some(time),
        None => reader.cure(
            code::BAD_VALUE,
            tree.span,
            format!("`{written}` is not a time"),
            "times read like `2026-01-05T08:00:00Z`",
        ),
    }
}

/// One of several words; `what` names the kind of word.
pub fn word(reader: &mut Reader<'_>, tree: &Tree, words: &'static [&'static str]) -> Option<&'static str> {
    let written = match &tree.value {
        Value::Str(text) => text.clone(),
        // `True` is a boolean to YAML, and a word of conditions to Kubernetes.
        Value::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Value::Null | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Seq(_) | Value::Map(_) => {
            return reader.expected(tree, &format!("one of {}", list(words)));
        }
    };
    if let Some(word) = words.iter().find(|w| **w == written) {
        return Some(word);
    }
    let help = match did_you_mean(&written, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", list(words)),
    };
    reader.cure(code::BAD_VALUE, tree.span, format!("unknown word `{written}`"), help)
}

/// A taint's effect, by its word in `tree`.
pub fn taint_effect(reader: &mut Reader<'_>, tree: &Tree) -> Option<TaintEffect> {
    word(reader, tree, &["NoSchedule", "PreferNoSchedule", "NoExecute"]).and_then(TaintEffect::parse)
}

/// `key=value:Effect` or `key:Effect`, as kubectl writes taints.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_taint(written: &str) -> Result<Taint, String> {
    let shape = || format!("`{written}` is not a taint; write `key=value:Effect` or `key:Effect`");
    let (head, effect) = written.rsplit_once(':').ok_or_else(shape)?;
    let (key, value) = head.split_once('=').unwrap_or((head, ""));
    let effect = TaintEffect::parse(effect).ok_or_else(|| {
        format!("unknown effect `{effect}`; effects are NoSchedule, PreferNoSchedule, NoExecute")
    })?;
    if key.is_empty() {
        return Err(shape());
    }
    Ok(Taint { key: key.into(), value: value.into(), effect, time_added: None })
}
