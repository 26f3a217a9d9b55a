//! Reads `spec.behaviour`.

use super::code;
use super::read::{Fields, Reader};
use super::scalar::{delay, duration, integer, name, quantity, selector, text, word};
use super::tables;
use crate::api::LabelSelector;
use crate::api::manifest::tree::Tree;
use crate::params::behaviour::{Behaviour, Completion, CpuUse, Matches, MemoryUse};

/// Reads an entry of `behaviour`.
pub fn behaviour(reader: &mut Reader<'_>, tree: &Tree) -> Option<Behaviour> {
    let fields = Fields::open(reader, tree, &tables::BEHAVIOUR)?;
    let matches = Matches {
        image: fields.read(reader, "image", text),
        namespace: fields.read(reader, "namespace", name),
        selector: fields.read(reader, "selector", selector).unwrap_or(LabelSelector::everything()),
        container: fields.read(reader, "container", name),
    };
    let pull = fields.read(reader, "pull", |r, t| word(r, t, &["fails"]));
    let behaviour = Behaviour {
        matches,
        pull_fails: pull.is_some(),
        size: fields.read(reader, "size", quantity).map(|q| q.value()),
        startup: fields.read(reader, "startup", delay),
        shutdown: fields.read(reader, "shutdown", delay),
        completes: fields.read(reader, "completes", completes),
        cpu: fields.read(reader, "cpu", cpu),
        memory: fields.read(reader, "memory", memory),
        latency: fields.read(reader, "latency", duration),
        origin: fields.span(),
    };
    let matters = ["pull", "size", "startup", "shutdown", "completes", "cpu", "memory", "latency"];
    if fields.present(&matters).is_empty() {
        return reader.cure(
            code::CHOICE,
            fields.span(),
            "the entry says nothing about the containers it matches",
            "say one of `pull`, `size`, `startup`, `shutdown`, `completes`, `cpu`, `memory`, `latency`",
        );
    }
    Some(behaviour)
}

fn completes(reader: &mut Reader<'_>, tree: &Tree) -> Option<Completion> {
    let fields = Fields::open(reader, tree, &tables::COMPLETES)?;
    let after = fields.read(reader, "after", delay);
    let exit_code = fields.read(reader, "exitCode", exit_code).unwrap_or(0);
    let fail_first = fields.read(reader, "failFirst", integer::<u32>);
    if fail_first.is_some() && exit_code == 0 {
        return reader.cure(
            code::CHOICE,
            fields.key_span("failFirst"),
            "`failFirst` without an `exitCode` to fail with",
            "add `exitCode: 1`",
        );
    }
    Some(Completion { after: after?, exit_code, fail_first })
}

/// An exit code of a process.
pub fn exit_code(reader: &mut Reader<'_>, tree: &Tree) -> Option<i32> {
    let code: i32 = integer(reader, tree)?;
    if (0..=255).contains(&code) {
        return Some(code);
    }
    reader.error(code::OUT_OF_RANGE, tree.span, format!("the exit code {code} is not between 0 and 255"))
}

fn cpu(reader: &mut Reader<'_>, tree: &Tree) -> Option<CpuUse> {
    let fields = Fields::open(reader, tree, &tables::CPU_USE)?;
    let milli =
        |reader: &mut Reader<'_>, name| fields.read(reader, name, quantity).map_or(0, |q| q.milli_value());
    Some(CpuUse { idle: milli(reader, "idle"), per_request: milli(reader, "perRequest") })
}

fn memory(reader: &mut Reader<'_>, tree: &Tree) -> Option<MemoryUse> {
    let fields = Fields::open(reader, tree, &tables::MEMORY_USE)?;
    let bytes = |reader: &mut Reader<'_>, name| fields.read(reader, name, quantity).map_or(0, |q| q.value());
    Some(MemoryUse {
        idle: bytes(reader, "idle"),
        per_request: bytes(reader, "perRequest"),
        growth: bytes(reader, "growth"),
    })
}
