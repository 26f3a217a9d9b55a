//! `wavetank schedule --replicas-until-full`: how many copies of a Pod fit, and what stops the next one.

use std::collections::BTreeMap;

use serde_json::json;

use super::args::{RunOutput, Schedule};
use super::exit::Exit;
use super::output::Context;
use crate::api::Pod;
use crate::base::{Arc, Str};
use crate::report::page::{Page, Paint, count};
use crate::report::text::Style;
use crate::report::{placements, placements_text};
use crate::scheduler::Placer;
use crate::scheduler::evaluation::Evaluation;

/// Copies after which a cluster counts as boundless.
const COPIES_MAX: usize = 1_000_000;

/// What came of it.
#[derive(Debug)]
struct Filled {
    /// Copies by node.
    nodes: BTreeMap<Str, usize>,
    /// How many there are.
    copies: usize,
    /// The one that did not fit.
    next: Option<Evaluation>,
}

/// Fills the cluster with copies of the one pending Pod.
pub fn main(args: &Schedule, placer: &mut Placer, pending: &[Arc<Pod>], context: &Context) -> Exit {
    let [pod] = pending else {
        context.complain(&format!(
            "--replicas-until-full takes one Pod, and {} wait for a node: name it with --pod NAMESPACE/NAME",
            pending.len()
        ));
        return Exit::Input;
    };
    let filled = fill(placer, pod);
    let written = match args.output {
        RunOutput::Json => format!("{:#}\n", as_json(pod, &filled)),
        RunOutput::Text => as_text(pod, &filled, Style { color: context.color, quiet: context.quiet }),
    };
    context.print(&written).and(if args.require_all && filled.copies == 0 {
        Exit::Failed
    } else {
        Exit::Fine
    })
}

fn fill(placer: &mut Placer, pod: &Arc<Pod>) -> Filled {
    let mut filled = Filled { nodes: BTreeMap::new(), copies: 0, next: None };
    while filled.copies < COPIES_MAX {
        let mut copy = Pod::clone(pod);
        let number = filled.copies + 1;
        copy.meta.name = format!("{}-{number}", pod.meta.name).into();
        copy.meta.uid = format!("{}-{number}", pod.meta.uid).into();
        copy.node_name = None;
        let evaluation = placer.place(&Arc::new(copy));
        let Some(node) = evaluation.chosen.clone() else {
            filled.next = Some(evaluation);
            break;
        };
        *filled.nodes.entry(node).or_default() += 1;
        filled.copies = number;
    }
    filled
}

fn as_json(pod: &Pod, filled: &Filled) -> serde_json::Value {
    let nodes: serde_json::Map<String, serde_json::Value> =
        filled.nodes.iter().map(|(node, n)| (node.to_string(), (*n).into())).collect();
    json!({
        "pod": pod.meta.key().to_string(),
        "replicas": filled.copies,
        "nodes": nodes,
        "next": filled.next.as_ref().map(placements::to_json),
    })
}

fn as_text(pod: &Pod, filled: &Filled, style: Style) -> String {
    let mut page = Page::new(style);
    let name = page.paint(Paint::Strong, &pod.meta.key().to_string());
    page.line(format!("{name} fits {}", count(filled.copies, "time")));
    let rows: Vec<Vec<String>> =
        filled.nodes.iter().map(|(node, n)| vec![node.to_string(), n.to_string()]).collect();
    if !rows.is_empty() && !style.quiet {
        page.table(&["NODE", "COPIES"], &rows);
    }
    match &filled.next {
        None => page.line(format!("after {COPIES_MAX} copies there is no end in sight")),
        Some(next) => {
            page.line("the next one stays Pending:");
            page.line(format!("    {}", next.message.as_deref().unwrap_or_default()));
            for (why, nodes) in placements_text::grouped(&next.nodes) {
                page.line(format!("    {}: {why}", placements_text::some_names(&nodes)));
            }
        }
    }
    page.into_text()
}
