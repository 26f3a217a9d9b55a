//! Why a Pod is where it is, or nowhere, as a colleague would answer: the answer first, then node by node, then what
//! would have to change.

use std::collections::BTreeMap;

use super::page::{Page, Paint, count};
use super::placements_text::{how_chosen, some_names, words};
use super::text::Style;
use crate::api::condition;
use crate::api::pod::cond;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::api::{Node, Phase, Pod};
use crate::base::{Quantity, SimTime, Str};
use crate::params::drivers;
use crate::scheduler::evaluation::{Evaluation, NodeEvaluation, PostFilter};
use crate::scheduler::explain::chain::ClaimState;
use crate::scheduler::explain::lack::Missing;
use crate::scheduler::explain::{Change, ClaimChain, Cure, Explanation, Lack, NewNode};
use crate::scheduler::framework::Status;

/// Nodes that are shown in a table before the rest is only counted.
const ROWS_MAX: usize = 40;

/// What is to be told of a Pod.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The Pod.
    pub pod: &'a Pod,
    /// What the plugins say now.
    pub now: &'a Explanation,
    /// For a Pod with a node: the cycle in which it was placed, and when that was.
    pub placed: Option<(SimTime, &'a Evaluation)>,
    /// What holds it on its node.
    pub held: &'a [String],
    /// The nodes, by name.
    pub nodes: &'a BTreeMap<Str, &'a Node>,
}

/// The whole answer.
pub fn render(subject: &Subject<'_>, style: Style) -> String {
    let mut page = Page::new(style);
    match (&subject.pod.node_name, subject.pod.is_terminal()) {
        (_, true) => ended(&mut page, subject),
        (Some(node), false) => running(&mut page, subject, node),
        (None, false) => pending(&mut page, subject),
    }
    page.into_text()
}

fn ended(page: &mut Page, subject: &Subject<'_>) {
    let pod = subject.pod;
    let how = if pod.status.phase == Phase::Succeeded { "ended well" } else { "failed" };
    let place = pod.node_name.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
    page.line(format!("{} {how}{place}; it needs no node any more.", name(page, pod)));
    if !pod.status.reason.is_empty() {
        page.wrapped(&format!("{}: {}", pod.status.reason, pod.status.message), 2);
    }
}

fn name(page: &Page, pod: &Pod) -> String {
    page.paint(Paint::Strong, &pod.meta.key().to_string())
}

fn running(page: &mut Page, subject: &Subject<'_>, node: &Str) {
    let pod = subject.pod;
    let on = page.paint(Paint::Good, node);
    let leaving = if pod.meta.is_deleting() { ", and is being deleted" } else { "" };
    page.line(format!("{} is on {on}{leaving}.", name(page, pod)));
    match subject.placed {
        None => page.wrapped("No scheduler placed it: it was created with spec.nodeName.", 2),
        Some((at, evaluation)) => {
            let how = how_chosen(evaluation);
            let how = how.trim_start_matches('(').trim_end_matches(')');
            let sampled = !evaluation.nominated_first && !evaluation.ties.contains(node);
            let how = if sampled {
                "it had the highest score of those it looked at, which were not all"
            } else {
                how
            };
            page.wrapped(&format!("The scheduler took that node at {at}: {how}."), 2);
            scores(page, evaluation);
            refused_nodes(page, subject, &evaluation.nodes, &[]);
        }
    }
    held(page, subject.held);
    chains(page, &subject.now.chains, subject);
    anew(page, subject, node);
}

/// What a Pod that does not run waits for on its node.
fn held(page: &mut Page, held: &[String]) {
    if !held.is_empty() {
        page.heading("What it waits for there");
        held.iter().for_each(|line| page.bullet(line));
    }
}

/// What would become of a Pod without its scheduling gates.
fn behind_gates(page: &mut Page, then: Option<&Evaluation>) {
    let Some(then) = then else { return };
    page.gap();
    match &then.chosen {
        Some(node) => {
            page.wrapped(&format!("Without its gates it would go to {node} {}.", how_chosen(then)), 2)
        }
        None => {
            page.line("  Without its gates it would stay Pending all the same:");
            page.line(format!("  {}", then.message.as_deref().unwrap_or_default()));
        }
    }
}

/// What would become of a Pod with a node if it were placed now.
fn anew(page: &mut Page, subject: &Subject<'_>, node: &Str) {
    let now = &subject.now.evaluation;
    if subject.pod.meta.controller().is_some_and(|owner| owner.kind == "DaemonSet") {
        return;
    }
    page.gap();
    match &now.chosen {
        _ if now.ties.contains(node) => {
            page.wrapped(&format!("Placed anew now, it could come to {node} again."), 2)
        }
        Some(other) => {
            page.wrapped(&format!("Placed anew now, it would go to {other} {}.", how_chosen(now)), 2)
        }
        None => {
            page.line("  Placed anew now, it would stay Pending:");
            page.line(format!("  {}", now.message.as_deref().unwrap_or_default()));
        }
    }
}

fn pending(page: &mut Page, subject: &Subject<'_>) {
    let (pod, now) = (subject.pod, &subject.now.evaluation);
    let state = page.paint(Paint::Bad, "is Pending");
    page.line(format!("{} {state}.", name(page, pod)));
    if let Some(gate) = &now.pre_enqueue {
        page.wrapped(
            &format!("It is held back before scheduling by {}: {}.", gate.plugin, gate.message()),
            2,
        );
        behind_gates(page, subject.now.behind_gates.as_ref());
        return;
    }
    if let Some(said) = condition::find(&pod.status.conditions, cond::POD_SCHEDULED)
        && !said.message.is_empty()
    {
        page.line(format!("  The scheduler said: {}", said.message));
    }
    if let Some(node) = &now.chosen {
        let why = if pod.status.nominated_node.is_some() { "it is nominated, or waits" } else { "it waits" };
        let text =
            format!("By now it fits: {node} {}. So {why} for its next turn in the queue.", how_chosen(now));
        page.wrapped(&text, 2);
        scores(page, now);
        return;
    }
    if pod_said(pod) != now.message.as_deref() {
        page.line(format!("  Now it says: {}", now.message.as_deref().unwrap_or_default()));
    }
    if let Some(refusal) = &now.pre_filter {
        page.wrapped(&format!("{} refuses it before any node is looked at.", refusal.plugin), 2);
    }
    refused_nodes(page, subject, &now.nodes, &subject.now.refusals);
    chains(page, &subject.now.chains, subject);
    ways_out(page, subject);
}

fn pod_said(pod: &Pod) -> Option<&str> {
    condition::find(&pod.status.conditions, cond::POD_SCHEDULED).map(|c| c.message.as_str())
}

/// A table of the scores, best first.
fn scores(page: &mut Page, evaluation: &Evaluation) {
    let mut scored: Vec<&NodeEvaluation> = evaluation.nodes.iter().filter(|n| n.scores.is_some()).collect();
    if scored.is_empty() {
        return;
    }
    scored.sort_by(|a, b| b.total.cmp(&a.total).then(a.name.cmp(&b.name)));
    let plugins: Vec<&str> = scored[0].scores.iter().flatten().map(|(plugin, _)| *plugin).collect();
    let header: Vec<&str> = ["NODE", "TOTAL"].into_iter().chain(plugins).collect();
    let rows: Vec<Vec<String>> = scored
        .iter()
        .take(ROWS_MAX)
        .map(|node| {
            let own = node.scores.iter().flatten().map(|(_, score)| score.to_string());
            [node.name.to_string(), node.total.unwrap_or(0).to_string()].into_iter().chain(own).collect()
        })
        .collect();
    page.heading("Scores, with their weights");
    page.table(&header, &rows);
    rest(page, scored.len());
}

fn rest(page: &mut Page, len: usize) {
    if len > ROWS_MAX {
        page.line(format!("  and {} more", len - ROWS_MAX));
    }
}

/// A table of the refusals. `all` has what later plugins would say as well.
fn refused_nodes(
    page: &mut Page,
    subject: &Subject<'_>,
    nodes: &[NodeEvaluation],
    all: &[(Str, Vec<Status>)],
) {
    let refused: Vec<&NodeEvaluation> = nodes.iter().filter(|n| n.filter.is_some()).collect();
    if refused.is_empty() {
        return;
    }
    page.heading(if refused.len() == nodes.len() { "Node by node" } else { "Refused by" });
    let rows: Vec<Vec<String>> =
        refused.iter().take(ROWS_MAX).map(|n| refused_row(subject, n, all)).collect();
    page.table(&["NODE", "ZONE", "PLUGIN", "REASON"], &rows);
    rest(page, refused.len());
}

fn refused_row(subject: &Subject<'_>, node: &NodeEvaluation, all: &[(Str, Vec<Status>)]) -> Vec<String> {
    let filter = node.filter.as_ref();
    let plugin = filter.map_or("", |s| s.plugin);
    let zone = subject.nodes.get(&node.name).map(|n| n.zone()).unwrap_or_default();
    let mut reason = filter.map(Status::message).unwrap_or_default();
    if let Some(state) = subject.nodes.get(&node.name).and_then(|n| troubled(n)) {
        reason += &format!(" ({state})");
    }
    let further = all.iter().find(|(name, _)| *name == node.name).map(|(_, statuses)| statuses.as_slice());
    let further: Vec<String> =
        further.unwrap_or_default().iter().filter(|s| s.plugin != plugin).map(words).collect();
    if !further.is_empty() {
        reason += &format!("; besides {}", further.join("; "));
    }
    let plugin = if plugin.is_empty() { "-" } else { plugin };
    vec![
        node.name.to_string(),
        if zone.is_empty() { "-".to_owned() } else { zone.to_string() },
        plugin.to_owned(),
        reason,
    ]
}

/// What is wrong with a node itself.
fn troubled(node: &Node) -> Option<&'static str> {
    let ready = condition::find(&node.status.conditions, "Ready")?;
    match (ready.is_true(), ready.status.as_str(), node.unschedulable) {
        (true, _, false) => None,
        (true, _, true) => Some("the node is cordoned"),
        (false, "Unknown", _) => Some("the node is unreachable"),
        (false, _, _) => Some("the node is not ready"),
    }
}

fn chains(page: &mut Page, chains: &[ClaimChain], subject: &Subject<'_>) {
    let relevant: Vec<&ClaimChain> = chains.iter().filter(|c| says_something(&c.state)).collect();
    if relevant.is_empty() {
        return;
    }
    page.heading("Its volumes");
    for chain in relevant {
        page.bullet(&format!("claim {} {}", chain.claim, claim_words(&chain.state)));
        let ClaimState::Bound { nodes, reach: Some(reach), others, .. } = &chain.state else { continue };
        if nodes.is_empty() {
            page.line(format!("      no node has {reach}{}", others_words(*others)));
            continue;
        }
        for (node, refusals) in nodes.iter().take(ROWS_MAX) {
            let state = subject.nodes.get(node).and_then(|n| troubled(n));
            let said = match refusals.as_slice() {
                [] => "nothing against it".to_owned(),
                some => some.iter().map(words).collect::<Vec<_>>().join("; "),
            };
            let state = state.map(|s| format!(" ({s})")).unwrap_or_default();
            page.line(format!("      {node}: {said}{state}"));
        }
        rest(page, nodes.len());
        if *others > 0 {
            page.line(format!("      the other {} cannot reach it", count(*others, "node")));
        }
    }
}

fn others_words(others: usize) -> String {
    if others == 0 { String::new() } else { format!("; the {} cannot reach it", count(others, "node")) }
}

const fn says_something(state: &ClaimState) -> bool {
    !matches!(state, ClaimState::Bound { reach: None, directory: None, .. })
}

fn claim_words(state: &ClaimState) -> String {
    match state {
        ClaimState::Missing => "does not exist".to_owned(),
        ClaimState::VolumeMissing { volume } => format!("is bound to the volume {volume}, which is gone"),
        ClaimState::Unbound { class, class_exists: false, .. } if class.is_empty() => {
            "is not bound and has no class: it waits for a volume that fits".to_owned()
        }
        ClaimState::Unbound { class, class_exists: false, .. } => {
            format!("is not bound, and its class {class} does not exist")
        }
        ClaimState::Unbound { class, idle_provisioner: Some(who), .. } if who == drivers::NO_PROVISIONER => {
            format!(
                "is not bound; volumes of its class {class} are made by hand, and none that is there suits it"
            )
        }
        ClaimState::Unbound { class, idle_provisioner: Some(who), .. } => format!(
            "is not bound; nobody runs the provisioner {who} of its class {class}: no CSIDriver and no CSINode names it"
        ),
        ClaimState::Unbound { class, waits_for_pod: true, .. } => {
            format!("is not bound; its class {class} makes the volume where the Pod goes")
        }
        ClaimState::Unbound { class, .. } => {
            format!("is not bound yet, and its class {class} binds without waiting for a Pod")
        }
        ClaimState::Bound { volume, directory: Some(path), .. } => {
            format!(
                "is bound to {volume}, which is {path} of whichever node the Pod is on: elsewhere it finds other data"
            )
        }
        ClaimState::Bound { volume, reach: None, .. } => {
            format!("is bound to {volume}, reachable from everywhere")
        }
        ClaimState::Bound { volume, reach: Some(reach), .. } => {
            format!("is bound to {volume}, which can be reached only from nodes with {reach}")
        }
    }
}

fn ways_out(page: &mut Page, subject: &Subject<'_>) {
    let now = subject.now;
    let mut lines: Vec<String> = now.lacks.iter().map(lack_words).collect();
    lines.extend(now.cures.iter().filter(|c| !only_room(c)).map(cure_words));
    if let Some(post) = &now.evaluation.post_filter {
        lines.extend(preemption_words(subject.pod, post));
    }
    if let Some(NewNode { like, labels }) = &now.new_node {
        let but: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let but = if but.is_empty() { String::new() } else { format!(", but with {},", but.join(" and ")) };
        lines.push(format!("one more node like {like}{but} would take it"));
    }
    page.heading("What would have to change");
    if lines.is_empty() {
        lines.push("no single change of the Pod lets a node pass, nor do two or three together".to_owned());
    }
    lines.iter().for_each(|line| page.bullet(line));
}

/// Whether nothing but room is asked for, which the lacks say better.
fn only_room(cure: &Cure) -> bool {
    cure.changes == [Change::NoRequests]
}

fn lack_words(lack: &Lack) -> String {
    let all: Vec<String> = lack.missing.iter().map(missing_words).collect();
    let joined = all.join(" and ");
    if lack.never {
        let too_much = lack.missing.iter().filter(|m| m.asked > m.allocatable);
        let too_much: Vec<String> = too_much
            .map(|m| {
                format!(
                    "{} of the {} it asks for",
                    amount(&m.resource, m.allocatable),
                    amount(&m.resource, m.asked)
                )
            })
            .collect();
        return format!(
            "{} is too small even if it were empty: it has {}",
            lack.node,
            too_much.join(" and ")
        );
    }
    format!("{} lacks {joined} and has nothing else against it", lack.node)
}

fn missing_words(missing: &Missing) -> String {
    match missing.resource.as_str() {
        PODS => format!("a place for one more Pod (it may hold {})", missing.allocatable),
        _ => amount(&missing.resource, missing.amount),
    }
}

/// `300m CPU`, `512Mi memory`, `2 nvidia.com/gpu`.
fn amount(resource: &str, n: i64) -> String {
    match resource {
        CPU => format!("{} CPU", Quantity::from_milli(n)),
        MEMORY => format!("{} memory", bytes(n)),
        EPHEMERAL_STORAGE => format!("{} ephemeral storage", bytes(n)),
        other => format!("{n} {other}"),
    }
}

/// Bytes in the largest unit that keeps three digits, rounded up.
fn bytes(n: i64) -> String {
    for (unit, size) in [("Gi", 1i64 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)] {
        if n >= size * 10 || (n >= size && n % size == 0) {
            return format!("{}{unit}", n.saturating_add(size - 1) / size);
        }
    }
    n.to_string()
}

fn cure_words(cure: &Cure) -> String {
    let changes: Vec<String> = cure.changes.iter().map(ToString::to_string).collect();
    let nodes: Vec<&str> = cure.nodes.iter().map(Str::as_str).collect();
    format!(
        "{} would leave {}: {}",
        changes.join(" and "),
        count(nodes.len(), "candidate"),
        some_names(&nodes)
    )
}

fn preemption_words(pod: &Pod, post: &PostFilter) -> Option<String> {
    if let Some(node) = &post.nominated {
        let victims: Vec<String> = post.victims.iter().map(ToString::to_string).collect();
        let victims: Vec<&str> = victims.iter().map(String::as_str).collect();
        return Some(format!("preemption can make room on {node} by evicting {}", some_names(&victims)));
    }
    if pod.spec.never_preempts {
        return Some("it may not evict others: its preemptionPolicy is Never".to_owned());
    }
    let tried = !post.candidates.is_empty();
    tried.then(|| {
        format!("evicting Pods of lower priority than its own ({}) helps on no node", pod.spec.priority)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_say_them() {
        assert_eq!(amount(CPU, 300), "300m CPU");
        assert_eq!(amount(CPU, 2000), "2 CPU");
        assert_eq!(amount(MEMORY, 1 << 30), "1Gi memory");
        assert_eq!(amount(MEMORY, (1 << 30) + 1), "1025Mi memory");
        assert_eq!(amount("nvidia.com/gpu", 2), "2 nvidia.com/gpu");
        assert_eq!(bytes(5), "5");
    }
}
