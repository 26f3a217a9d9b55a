//! Reads `spec.behaviour`.

use super::code;
use super::read::{Fields, Reader};
use super::scalar::{delay, duration, integer, name, quantity, selector, text, word};
use super::tables;
use crate::api::LabelSelector;
use crate::api::manifest::tree::Tree;
use crate::params::Delay;
use crate::params::behaviour::{
    Behaviour, Completion, CpuUse, Growing, Matches, MemoryUse, Outage, ProbeKind, ProbeOutage,
};

/// Reads an entry of `behaviour`.
pub fn behaviour(reader: &mut Reader<'_>, tree: &Tree) -> Option<Behaviour> {
    let fields = Fields::open(reader, tree, &tables::BEHAVIOUR)?;
    let matches = Matches {
        image: fields.read(reader, "image", text),
        namespace: fields.read(reader, "namespace", name),
        pod: fields.read(reader, "pod", text),
        selector: fields.read(reader, "selector", selector).unwrap_or(LabelSelector::everything()),
        container: fields.read(reader, "container", name),
    };
    let mut fails = |name| fields.read(reader, name, |r, t| word(r, t, &["fails"])).is_some();
    let (pull_fails, post_start_fails, pre_stop_fails) =
        (fails("pull"), fails("postStart"), fails("preStop"));
    let behaviour = Behaviour {
        matches,
        pull_fails,
        size: fields.read(reader, "size", quantity).map(|q| q.value()),
        startup: fields.read(reader, "startup", delay),
        shutdown: fields.read(reader, "shutdown", delay),
        shutdown_exit_code: fields.read(reader, "shutdownExitCode", exit_code),
        post_start_fails,
        pre_stop_fails,
        completes: fields.read(reader, "completes", completes),
        cpu: fields.read(reader, "cpu", cpu),
        memory: fields.read(reader, "memory", memory),
        latency: fields.read(reader, "latency", duration),
        disk: fields.read(reader, "disk", growing),
        processes: fields.read(reader, "processes", growing),
        hangs: fields.read(reader, "hangs", |r, t| {
            let fields = Fields::open(r, t, &tables::OUTAGE)?;
            Some(outage(r, &fields))
        }),
        probes: fields.read(reader, "probes", probes).unwrap_or_default(),
        origin: fields.span(),
    };
    let matters = [
        "pull",
        "size",
        "startup",
        "shutdown",
        "shutdownExitCode",
        "postStart",
        "preStop",
        "completes",
        "cpu",
        "memory",
        "latency",
        "disk",
        "processes",
        "hangs",
        "probes",
    ];
    if fields.present(&matters).is_empty() {
        return reader.cure(
            code::CHOICE,
            fields.span(),
            "the entry says nothing about the containers it matches",
            "say one of `pull`, `size`, `startup`, `shutdown`, `shutdownExitCode`, `postStart`, `preStop`, `completes`, `cpu`, `memory`, `latency`, `disk`, `processes`, `hangs`, `probes`",
        );
    }
    Some(behaviour)
}

fn growing(reader: &mut Reader<'_>, tree: &Tree) -> Option<Growing> {
    let fields = Fields::open(reader, tree, &tables::GROWING)?;
    let amount = |reader: &mut Reader<'_>, name| fields.read(reader, name, quantity).map_or(0, |q| q.value());
    Some(Growing { idle: amount(reader, "idle"), growth: amount(reader, "growth") })
}

fn outage(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Outage {
    let after = fields.read(reader, "after", delay).unwrap_or(Delay::ZERO);
    Outage { after, lasts: fields.read(reader, "lasts", delay) }
}

fn probes(reader: &mut Reader<'_>, tree: &Tree) -> Option<Vec<ProbeOutage>> {
    let mut found = Vec::new();
    for element in reader.elements(tree, "outage") {
        let Some(fields) = Fields::open(reader, element, &tables::PROBE_OUTAGE) else { continue };
        let kind = fields.read(reader, "probe", |r, t| word(r, t, &["startup", "readiness", "liveness"]));
        let outage = outage(reader, &fields);
        let kind = match kind {
            Some("startup") => ProbeKind::Startup,
            Some("readiness") => ProbeKind::Readiness,
            Some(_) => ProbeKind::Liveness,
            None => continue,
        };
        found.push(ProbeOutage { kind, outage });
    }
    Some(found)
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
