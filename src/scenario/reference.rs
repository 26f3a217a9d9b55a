//! The reference page of the scenario file: hand-written text around tables that come from the code.

use std::fmt::Write;

use super::scalar::DELAY_SHAPE;
use super::shape::{Field, Shape, Type};
use super::tables::{EXPECTATION, SCENARIO, STEP, SUBJECTS, VERBS};
use crate::cloud::allocatable::{Reservations, allocatable, capacity, eks_kube_reserved};
use crate::cloud::catalogue::INSTANCE_TYPES;
use crate::expect::Cause;
use crate::params::latency::{LatencyInfo, PLAIN, SPECIAL};
use crate::params::settings::COMPONENTS;

/// The text of the page; `{{…}}` marks where tables go.
const TEXT: &str = include_str!("reference.md");

/// The reference page of the scenario file, as Markdown.
pub fn reference() -> String {
    let mut out = String::new();
    let mut rest = TEXT;
    while let Some((before, after)) = rest.split_once("{{") {
        let (mark, after) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(&table(mark));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn table(mark: &str) -> String {
    match mark {
        "verbs" => verbs(),
        "subjects" => shapes_of(SUBJECTS),
        "latencies" => latencies(),
        "settings" => settings(),
        "causes" => causes(),
        "catalogue" => catalogue(),
        "Distribution" => shape_with_parts(DELAY_SHAPE),
        name => match find(name) {
            Some(shape) => fields(shape),
            None => format!("(no shape {name})"),
        },
    }
}

/// Every shape that the file is made of, in the order in which they are met.
pub fn shapes() -> Vec<&'static Shape> {
    let mut out: Vec<&'static Shape> = Vec::new();
    collect(&Type::Shape(&SCENARIO), &mut out);
    collect(&Type::Delay, &mut out);
    out
}

fn collect(takes: &Type, out: &mut Vec<&'static Shape>) {
    match takes {
        Type::Shape(shape) => {
            if !out.iter().any(|known| std::ptr::eq(*known, *shape)) {
                out.push(shape);
                shape.all().for_each(|field| collect(&field.takes, out));
            }
        }
        Type::List(inner) | Type::MapOf(inner) => collect(inner, out),
        Type::OneOf(types) => types.iter().for_each(|t| collect(t, out)),
        Type::Delay => collect(&Type::Shape(DELAY_SHAPE), out),
        Type::Bool
        | Type::Integer(_)
        | Type::Number
        | Type::Text
        | Type::Words(_)
        | Type::Duration
        | Type::Quantity
        | Type::QuantityOrPercent
        | Type::Count
        | Type::Amount
        | Type::Selector
        | Type::Time
        | Type::Version
        | Type::TextMap
        | Type::QuantityMap
        | Type::IntegerMap
        | Type::Json
        | Type::Settings
        | Type::Latencies
        | Type::Cause => {}
    }
}

fn find(name: &str) -> Option<&'static Shape> {
    shapes().into_iter().find(|s| s.name == name)
}

/// What a field takes, in a word or two.
fn type_word(takes: &Type) -> String {
    match takes {
        Type::Bool => "`true` or `false`".to_owned(),
        Type::Integer(_) => "whole number".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Text => "text".to_owned(),
        Type::Words(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        Type::Duration => "duration".to_owned(),
        Type::Delay => "duration or [distribution](#distributions)".to_owned(),
        Type::Quantity => "quantity".to_owned(),
        Type::QuantityOrPercent => "quantity or percentage".to_owned(),
        Type::Count => "number or comparison".to_owned(),
        Type::Amount => "number or comparison, with decimals".to_owned(),
        Type::Selector => "selector".to_owned(),
        Type::Time => "time".to_owned(),
        Type::Version => "version".to_owned(),
        Type::TextMap => "texts by name".to_owned(),
        Type::QuantityMap => "quantities by resource".to_owned(),
        Type::IntegerMap => "numbers by name".to_owned(),
        Type::MapOf(inner) => format!("{} by name", type_word(inner)),
        Type::List(inner) => format!("list of {}", type_word(inner)),
        Type::Shape(shape) => format!("mapping ({})", shape.name),
        Type::OneOf(types) => types.iter().map(type_word).collect::<Vec<_>>().join("; or "),
        Type::Json => "anything".to_owned(),
        Type::Settings => "[flags by component](#flags)".to_owned(),
        Type::Latencies => "[delays by name](#latencies)".to_owned(),
        Type::Cause => "[cause](#causes)".to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn field_rows<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let mut out = String::from("| field | takes | default | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let default = if field.required { "**required**" } else { field.default };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            field.name,
            escaped(&type_word(&field.takes)),
            escaped(default),
            escaped(field.doc)
        );
    }
    out
}

fn fields(shape: &'static Shape) -> String {
    format!("{}\n\n{}", shape.doc, field_rows(shape.all()))
}

fn shape_with_parts(shape: &'static Shape) -> String {
    let mut parts = Vec::new();
    collect(&Type::Shape(shape), &mut parts);
    let told = parts.iter().map(|part| {
        if std::ptr::eq(*part, shape) { fields(part) } else { format!("`{}`: {}", part.name, fields(part)) }
    });
    told.collect::<Vec<_>>().join("\n")
}

/// A section for each field that takes a mapping.
fn shapes_of(list: &'static [Field]) -> String {
    let mut out = String::new();
    for field in list {
        let _ = writeln!(out, "### `{}`\n\n{}\n", field.name, field.doc);
        let mut parts = Vec::new();
        collect(&field.takes, &mut parts);
        if let Some(shape) = parts.first() {
            let _ = writeln!(out, "{}", fields(shape));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn verbs() -> String {
    let mut out = String::new();
    for verb in VERBS {
        let _ = writeln!(out, "### `{}`\n\n{} Takes: {}.\n", verb.name, verb.doc, type_word(&verb.takes));
        let mut parts = Vec::new();
        collect(&verb.takes, &mut parts);
        // `Nodes`, `Inline` and `Node` are described once, in sections of their own.
        for shape in parts.iter().filter(|s| !["Nodes", "Inline", "Node", "Taint"].contains(&s.name)) {
            let _ = writeln!(out, "{}", fields(shape));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn latencies() -> String {
    let mut out =
        String::from("| latency | default | meaning | source of the default |\n|---|---|---|---|\n");
    for LatencyInfo { name, doc, default, source } in SPECIAL.iter().chain(PLAIN) {
        let _ = writeln!(out, "| `{name}` | {default} | {doc} | {source} |");
    }
    out
}

fn settings() -> String {
    let mut out = String::new();
    for component in COMPONENTS {
        let _ = writeln!(out, "### {}\n\n| flag | default | meaning |\n|---|---|---|", component.name);
        for flag in component.flags {
            let _ = writeln!(out, "| `{}` | {} | {} |", flag.name, escaped(flag.default), escaped(flag.doc));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

fn causes() -> String {
    let mut out = String::from("| cause | meaning | the scheduler's words |\n|---|---|---|\n");
    for cause in Cause::ALL {
        let texts = cause.texts().iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "| `{cause}` | {} | {texts} |", cause.doc());
    }
    out
}

fn catalogue() -> String {
    let mut out = String::from(
        "| type | vCPU | memory | Pods | allocatable CPU, memory | volumes | $/h |\n|---|---|---|---|---|---|---|\n",
    );
    for instance in INSTANCE_TYPES {
        let taken = Reservations {
            reserved: eks_kube_reserved(instance.vcpu, instance.pods),
            eviction_memory: 100 << 20,
            eviction_storage: 2 << 30,
        };
        let left = allocatable(&capacity(instance), &taken);
        let _ = writeln!(
            out,
            "| `{}` | {} | {}Gi | {} | {}m, {}Mi | {} | {}.{:05} |",
            instance.name,
            instance.vcpu,
            instance.memory_mib / 1024,
            instance.pods,
            left.cpu_milli(),
            left.memory() >> 20,
            instance.volumes(),
            instance.price / 100_000,
            instance.price % 100_000,
        );
    }
    out
}

/// Shapes with sections of their own on the page.
pub fn described() -> [&'static Shape; 3] {
    [&SCENARIO, &STEP, &EXPECTATION]
}
