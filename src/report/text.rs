//! A run as a story for people.

use std::fmt::Write;

use super::RunReport;
use super::story::Sort;
use super::story::beat::short_time;
use crate::expect::cost::{DOLLAR_DIGITS, HOUR_DIGITS, Share, Which, decimal};
use crate::expect::{Bill, Verdict, traffic};
use crate::facts::traffic::Meter;
use crate::sim::Verdict as RunVerdict;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

/// Characters of a line of the story beside its instant.
const STORY_WIDTH: usize = 105;
/// Where further lines of a beat begin: below its first word.
const STORY_INDENT: usize = 11;

/// How a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With colours.
    pub color: bool,
    /// Only the verdict and what failed.
    pub quiet: bool,
}

/// The whole report.
pub fn render(report: &RunReport, style: Style) -> String {
    let mut page = Page { out: String::new(), style };
    if !style.quiet {
        page.head(report);
        page.story(report);
    }
    page.expectations(report);
    if !style.quiet {
        page.closing(report);
        page.cost(&report.outcome.cost);
        page.notes(report);
    }
    page.foot(report);
    page.out
}

struct Page {
    out: String,
    style: Style,
}

impl Page {
    fn paint(&self, color: &str, text: &str) -> String {
        if self.style.color { format!("{color}{text}{RESET}") } else { text.to_owned() }
    }

    fn line(&mut self, text: impl AsRef<str>) {
        self.out.push_str(text.as_ref().trim_end());
        self.out.push('\n');
    }

    fn head(&mut self, report: &RunReport) {
        let name = self.paint(BOLD, &report.outcome.scenario);
        self.line(name);
        for line in wrap(&report.description, 96) {
            self.line(format!("  {line}"));
        }
        self.line("");
    }

    fn story(&mut self, report: &RunReport) {
        for beat in &report.story {
            let at = format!("{:>9}", short_time(beat.at));
            let sentence = folded(&beat.sentence(), STORY_WIDTH, STORY_INDENT);
            let text = match beat.sort {
                Sort::Step => self.paint(CYAN, &format!("▶ {sentence}")),
                Sort::Refused => self.paint(RED, &format!("▶ {sentence}")),
                Sort::Pending | Sort::Crash | Sort::Warning | Sort::Requests => self.paint(YELLOW, &sentence),
                Sort::Node | Sort::Workload | Sort::Evicted | Sort::Storage | Sort::Job => sentence,
            };
            let at = self.paint(DIM, &at);
            self.line(format!("{at}  {text}"));
        }
        if !report.story.is_empty() {
            self.line("");
        }
    }

    fn expectations(&mut self, report: &RunReport) {
        for judged in &report.outcome.expectations {
            let passed = judged.verdict == Verdict::Passed;
            if passed && self.style.quiet {
                continue;
            }
            let mark = if passed { self.paint(GREEN, "✓") } else { self.paint(RED, "✗") };
            let when = self.paint(DIM, &format!("({})", judged.when));
            self.line(format!("  {mark} {} {when}", judged.name));
            self.line(format!("      {}", folded(&judged.message, STORY_WIDTH, 6)));
        }
        if !report.outcome.expectations.is_empty() && !self.style.quiet {
            self.line("");
        }
    }

    fn closing(&mut self, report: &RunReport) {
        if !report.closing.is_empty() {
            let rows: Vec<Vec<String>> = report
                .closing
                .iter()
                .map(|l| {
                    vec![
                        l.namespace.to_string(),
                        l.name.clone(),
                        format!("{}/{}", l.ready, l.desired),
                        l.available.to_string(),
                    ]
                })
                .collect();
            let table = super::table::render(&["NAMESPACE", "NAME", "READY", "AVAILABLE"], &rows);
            for line in table.lines() {
                self.line(format!("  {line}"));
            }
            self.line("");
        }
        self.traces(report);
        self.requests(report);
        const WAITING_MAX: usize = 10;
        for (pod, why) in report.waiting.iter().take(WAITING_MAX) {
            let why = if why.is_empty() { "not tried yet" } else { why };
            let told = folded(&format!("{pod} is Pending: {why}"), STORY_WIDTH, 4);
            let text = self.paint(YELLOW, &told);
            self.line(format!("  {text}"));
        }
        if report.waiting.len() > WAITING_MAX {
            self.line(format!("  and {} more Pending Pods", report.waiting.len() - WAITING_MAX));
        }
        if !report.waiting.is_empty() {
            self.line("");
        }
    }

    fn traces(&mut self, report: &RunReport) {
        const REASONS_MAX: usize = 3;
        for trace in &report.outcome.traces {
            let tally = &trace.tally;
            let waited =
                |share| tally.waited.percentile(share).map_or_else(|| "-".to_owned(), traffic::short);
            self.line(format!(
                "  trace {}: {} Pods arrived, {} started, {} succeeded, {} failed, {} still Pending",
                tally.name, tally.arrived, tally.started, tally.succeeded, tally.failed, tally.pending
            ));
            self.line(format!(
                "    {} got a node and had waited {} (p50), {} (p99), {} (max)",
                tally.scheduled,
                waited(50),
                waited(99),
                waited(100)
            ));
            for (why, count) in trace.pending.iter().take(REASONS_MAX) {
                let why = if why.is_empty() { "not tried yet" } else { why };
                let told = folded(&format!("{count} Pending: {why}"), STORY_WIDTH, 6);
                let text = self.paint(YELLOW, &told);
                self.line(format!("    {text}"));
            }
            let (refused, first) = &trace.refused;
            if *refused > 0 {
                let told = folded(&format!("{refused} refused, the first: {first}"), STORY_WIDTH, 6);
                let text = self.paint(RED, &told);
                self.line(format!("    {text}"));
            }
        }
        if !report.outcome.traces.is_empty() {
            self.line("");
        }
    }

    fn requests(&mut self, report: &RunReport) {
        if report.outcome.requests.is_empty() {
            return;
        }
        let time =
            |meter: &Meter, share| meter.percentile(share).map_or_else(|| "-".to_owned(), traffic::short);
        let rows: Vec<Vec<String>> = report
            .outcome
            .requests
            .iter()
            .map(|(name, meter)| {
                vec![
                    name.to_string(),
                    traffic::whole(meter.offered).to_string(),
                    traffic::whole(meter.failures()).to_string(),
                    meter.availability().map_or_else(|| "-".to_owned(), traffic::percent),
                    time(meter, 50.0),
                    time(meter, 99.0),
                ]
            })
            .collect();
        let head = ["SERVICE", "REQUESTS", "FAILED", "ANSWERED", "P50", "P99"];
        for line in super::table::render(&head, &rows).lines() {
            self.line(format!("  {line}"));
        }
        self.line("");
    }

    fn notes(&mut self, report: &RunReport) {
        for note in &report.notes {
            let text = self.paint(DIM, &folded(&format!("note: {note}"), STORY_WIDTH, 4));
            self.line(format!("  {text}"));
        }
        if !report.notes.is_empty() {
            self.line("");
        }
    }

    fn foot(&mut self, report: &RunReport) {
        let outcome = &report.outcome;
        let total = outcome.expectations.len();
        let held = outcome.expectations.iter().filter(|e| e.verdict == Verdict::Passed).count();
        let verdict = match (outcome.verdict(), total) {
            (_, 0) => self.paint(BOLD, "nothing was expected"),
            (RunVerdict::Passed, _) => self.paint(GREEN, &format!("passed: {held} of {total} expectations")),
            (RunVerdict::Failed, _) => {
                self.paint(RED, &format!("failed: {held} of {total} expectations held"))
            }
        };
        let pods = &outcome.pods;
        let mut counts = format!("{} running ({} ready)", pods.running, pods.ready);
        for (count, what) in [
            (pods.pending, "pending"),
            (pods.succeeded, "succeeded"),
            (pods.failed, "failed"),
            (pods.terminating, "terminating"),
        ] {
            if count > 0 {
                let _ = write!(counts, ", {count} {what}");
            }
        }
        self.line(format!("{} · {verdict} · {}", outcome.scenario, outcome.simulated));
        self.line(format!("pods: {counts} · seed {} · digest {}", outcome.seed, outcome.digest));
    }

    /// What the nodes cost and what was made of them; in detail where prices are known.
    fn cost(&mut self, bill: &Bill) {
        if bill.machines.is_empty() {
            return;
        }
        let hours = decimal(bill.node_millihours(&Which::default()), HOUR_DIGITS);
        let price = match bill.is_priced(&Which::default()) {
            true => format!(" for ${}", decimal(bill.dollars(&Which::default()), DOLLAR_DIGITS)),
            false => String::new(),
        };
        let share = |share| bill.share(share, None);
        self.line(format!(
            "  cost: {hours} node-hours{price} · requested {} % of CPU, {} % of memory · used {} %, {} %",
            share(Share::CpuRequested),
            share(Share::MemoryRequested),
            share(Share::CpuUsed),
            share(Share::MemoryUsed),
        ));
        if bill.is_priced(&Which::default()) {
            self.bill(bill);
        }
        self.line("");
    }

    /// The cost by machines, and what was made of them by namespace.
    fn bill(&mut self, bill: &Bill) {
        for machines in &bill.machines {
            let known: Vec<&str> = [machines.group.as_str(), machines.instance_type.as_str()]
                .into_iter()
                .filter(|s| !s.is_empty())
                .collect();
            let name = if known.is_empty() { "nodes".to_owned() } else { known.join(" ") };
            let number = |n: i128| i64::try_from(n).unwrap_or(i64::MAX);
            let hours = decimal(number(machines.node_millihours()), HOUR_DIGITS);
            let cost = match machines.price {
                0 => "no price known".to_owned(),
                _ => format!("${}", decimal(number(machines.cost()), DOLLAR_DIGITS)),
            };
            self.line(format!("    {name}: {hours} node-hours, {cost}"));
        }
        for namespace in &bill.namespaces {
            let cores = |n: i128| decimal(i64::try_from(n).unwrap_or(i64::MAX), HOUR_DIGITS);
            let (requested, used) = (cores(namespace.requested.cpu), cores(namespace.used.cpu));
            let name = &namespace.namespace;
            self.line(format!("    namespace {name}: {requested} core-hours requested, {used} used"));
        }
    }
}

/// Text of several lines, all but the first indented.
fn folded(text: &str, width: usize, indent: usize) -> String {
    wrap(text, width).join(&format!("\n{}", " ".repeat(indent)))
}

/// Breaks text into lines of at most `width` characters, at spaces.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), Vec::<String>::new());
        assert_eq!(wrap("longerthanseven x", 7), ["longerthanseven", "x"]);
    }
}
