//! Placements for people: a line per Pod that found a node, the scheduler's sentence and the nodes' refusals for
//! those that did not.

use std::collections::BTreeMap;

use super::page::{Page, Paint, count};
use super::text::Style;
use crate::scheduler::evaluation::{Evaluation, NodeEvaluation, PostFilter};
use crate::scheduler::framework::status::Status;

/// Names that are listed before the rest is only counted.
const NAMES_MAX: usize = 4;

/// All placements, then a line that counts them.
pub fn render(all: &[Evaluation], style: Style) -> String {
    let mut page = Page::new(style);
    for evaluation in all {
        placement(&mut page, evaluation);
    }
    let placed = all.iter().filter(|e| e.is_placed()).count();
    if !style.quiet || placed < all.len() {
        let paint = if placed == all.len() { Paint::Good } else { Paint::Bad };
        let text = format!("{placed} of {} found a node", count(all.len(), "Pod"));
        let text = page.paint(paint, &text);
        page.line(text);
    }
    page.into_text()
}

fn placement(page: &mut Page, evaluation: &Evaluation) {
    let name = page.paint(Paint::Strong, &evaluation.pod.to_string());
    match &evaluation.chosen {
        Some(_) if page.style().quiet => {}
        Some(node) => {
            let node = page.paint(Paint::Good, node);
            let how = page.paint(Paint::Faint, &how_chosen(evaluation));
            page.line(format!("{name} → {node}  {how}"));
            for bound in &evaluation.volumes {
                let how = if bound.provisioned { "a new volume" } else { "volume" };
                page.line(format!("    claim {} gets {how} {}", bound.claim, bound.volume));
            }
        }
        None => {
            let state = page.paint(Paint::Bad, "stays Pending");
            page.line(format!("{name} {state}"));
            refused(page, evaluation);
        }
    }
}

/// Why it was that node, in brackets.
pub fn how_chosen(evaluation: &Evaluation) -> String {
    let nodes = evaluation.nodes.len();
    if evaluation.nominated_first {
        return "(the nominated node, where preemption made room)".to_owned();
    }
    if evaluation.scoring_skipped {
        return format!("(the only one of {} that fits)", count(nodes, "node"));
    }
    let best = evaluation.nodes.iter().filter_map(|n| n.total).max().unwrap_or(0);
    let ties = match evaluation.ties.len() {
        0 | 1 => String::new(),
        2 => ", as has another; one of them is drawn".to_owned(),
        n => format!(", as have {} others; one of them is drawn", n - 1),
    };
    format!(
        "({} of {} fit; it has the highest score, {best}{ties})",
        evaluation.feasible,
        count(nodes, "node")
    )
}

fn refused(page: &mut Page, evaluation: &Evaluation) {
    if let Some(message) = &evaluation.message {
        page.line(format!("    {message}"));
    }
    if let Some(gate) = &evaluation.pre_enqueue {
        page.line(format!("    {}: {}", gate.plugin, gate.message()));
    }
    for (why, nodes) in grouped(&evaluation.nodes) {
        page.line(format!("    {}: {why}", some_names(&nodes)));
    }
    if let Some(post) = &evaluation.post_filter {
        preemption(page, post);
    }
}

/// What preemption would do.
pub fn preemption(page: &mut Page, post: &PostFilter) {
    let Some(node) = &post.nominated else { return };
    let victims: Vec<String> = post.victims.iter().map(ToString::to_string).collect();
    let budgets = match post.pdb_violations {
        0 => String::new(),
        n => format!(", against {}", count(n, "disruption budget")),
    };
    page.line(format!(
        "    preemption would make room on {node} by evicting {}{budgets}",
        some_names(&victims.iter().map(String::as_str).collect::<Vec<_>>())
    ));
}

/// Refusals with the nodes that gave them, most frequent first.
pub fn grouped(nodes: &[NodeEvaluation]) -> Vec<(String, Vec<&str>)> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        if let Some(refusal) = &node.filter {
            groups.entry(words(refusal)).or_default().push(&node.name);
        }
    }
    let mut groups: Vec<(String, Vec<&str>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
    groups
}

/// A refusal in one line: `Insufficient cpu (NodeResourcesFit)`.
pub fn words(refusal: &Status) -> String {
    match refusal.plugin {
        "" => refusal.message(),
        plugin => format!("{} ({plugin})", refusal.message()),
    }
}

/// A list of names that does not get long.
pub fn some_names(names: &[&str]) -> String {
    if names.len() <= NAMES_MAX + 1 {
        return names.join(", ");
    }
    format!("{} and {} more", names[..NAMES_MAX].join(", "), names.len() - NAMES_MAX)
}
