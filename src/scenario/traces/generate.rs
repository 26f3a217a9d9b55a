//! Distributions that Pods are drawn from.

use super::tables;
use crate::api::manifest::tree::Tree;
use crate::base::Str;
use crate::scenario::code;
use crate::scenario::read::{Fields, Reader};
use crate::scenario::scalar::{delay, duration, integer, name, quantity};
use crate::trace::{Draw, Generate, Intervals};

/// Reads `generate`.
pub fn generate(reader: &mut Reader<'_>, tree: &Tree) -> Option<Generate> {
    let fields = Fields::open(reader, tree, &tables::GENERATE)?;
    let count = fields.read(reader, "count", integer::<u64>);
    let intervals = match fields.one_of(reader, &["over", "interval"])? {
        "over" => fields.read(reader, "over", duration).map(Intervals::Over),
        _ => fields.read(reader, "interval", delay).map(Intervals::Each),
    };
    let lasts = fields.read(reader, "duration", delay);
    let mut requests: Vec<(Str, Draw)> = Vec::new();
    let before = reader.diagnostics.len();
    for (key, tree) in fields.get("requests").map_or(&[][..], |t| reader.entries(t, "amounts by resource")) {
        if let Some(draw) = draw(reader, tree, &requests) {
            requests.push((key.text.as_str().into(), draw));
        }
    }
    let sound = reader.diagnostics.len() == before;
    sound.then_some(Generate { count: count?, intervals: intervals?, lasts, requests })
}

/// A quantity in thousandths.
fn milli(reader: &mut Reader<'_>, tree: &Tree) -> Option<i64> {
    let quantity = quantity(reader, tree)?;
    let milli = i64::try_from(quantity.nanos() / 1_000_000).ok();
    milli.or_else(|| reader.error(code::OUT_OF_RANGE, tree.span, "that is too much"))
}

fn draw(reader: &mut Reader<'_>, tree: &Tree, earlier: &[(Str, Draw)]) -> Option<Draw> {
    if tree.as_map().is_none() {
        return milli(reader, tree).map(Draw::Constant);
    }
    let fields = Fields::open(reader, tree, &tables::DRAW)?;
    match fields.one_of(reader, &["uniform", "oneOf", "per"])? {
        "uniform" => fields.read(reader, "uniform", uniform),
        "oneOf" => fields.read(reader, "oneOf", one_of),
        _ => fields.read(reader, "per", |reader, tree| per(reader, tree, earlier)),
    }
}

fn uniform(reader: &mut Reader<'_>, tree: &Tree) -> Option<Draw> {
    let fields = Fields::open(reader, tree, &tables::UNIFORM)?;
    let mut read = |field| fields.read(reader, field, milli);
    let (min, max, step) = (read("min"), read("max"), read("step"));
    let (min, max, step) = (min?, max?, step?);
    if min > max {
        return reader.error(code::OUT_OF_RANGE, fields.key_span("max"), "`max` is less than `min`");
    }
    if step == 0 {
        return reader.error(code::OUT_OF_RANGE, fields.key_span("step"), "`step` must not be zero");
    }
    Some(Draw::Uniform { min, max, step })
}

fn one_of(reader: &mut Reader<'_>, tree: &Tree) -> Option<Draw> {
    let mut choices = Vec::new();
    for (key, weight) in reader.entries(tree, "weights by amount") {
        let amount = crate::base::Quantity::parse(&key.text).ok().filter(|q| !q.is_negative());
        let amount = amount.and_then(|q| i64::try_from(q.nanos() / 1_000_000).ok());
        let Some(amount) = amount else {
            let message = format!("`{}` is no quantity", key.text);
            reader.cure::<()>(code::BAD_VALUE, key.span, message, "write `{\"0\": 70, \"1\": 30}`");
            continue;
        };
        if let Some(weight) = integer::<u32>(reader, weight) {
            choices.push((weight, amount));
        }
    }
    if choices.iter().all(|(weight, _)| *weight == 0) {
        return reader.error(code::OUT_OF_RANGE, tree.head_span(), "nothing can be drawn");
    }
    Some(Draw::OneOf(choices))
}

fn per(reader: &mut Reader<'_>, tree: &Tree, earlier: &[(Str, Draw)]) -> Option<Draw> {
    let fields = Fields::open(reader, tree, &tables::PER)?;
    let resource = fields.read(reader, "resource", name);
    let amount = fields.read(reader, "amount", milli);
    let resource = resource?;
    let Some(of) = earlier.iter().position(|(known, _)| *known == resource) else {
        let known: Vec<&str> = earlier.iter().map(|(name, _)| name.as_str()).collect();
        let span = fields.key_span("resource");
        return reader.unknown_word(code::BAD_VALUE, span, ("earlier resource", &resource), &known);
    };
    Some(Draw::Per { of, amount: amount? })
}
