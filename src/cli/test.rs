//! `wavetank test`: every scenario under some paths, on all cores, a line each.

use std::fmt::Write;
use std::sync::Mutex;

use rayon::prelude::*;

use super::args::Test;
use super::exit::Exit;
use super::files;
use super::load::{self, Scenario};
use super::output::Context;
use super::progress::Progress;
use super::run;
use crate::facts::NullRecorder;
use crate::report::{RunReport, diagnostics, junit, text};
use crate::sim::{Fault, Verdict};

/// What became of one scenario, or of one seed of it.
struct Case {
    /// The file, with the seed if several were asked for.
    name: String,
    /// The command that repeats it.
    replay: String,
    result: Result<RunReport, Broken>,
}

/// Why there is no report.
enum Broken {
    /// It could not be read: its diagnostics, rendered.
    Unread(String),
    /// It could not be run to its end.
    Fault(Fault),
}

impl Broken {
    fn exit(&self) -> Exit {
        match self {
            Self::Fault(Fault::Invariant { .. }) => Exit::Bug,
            Self::Unread(_) | Self::Fault(Fault::Limit(_)) => Exit::Input,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Unread(why) => why.trim_end().to_owned(),
            Self::Fault(fault) => fault.to_string(),
        }
    }
}

/// Runs them all and says how many failed.
pub fn main(args: &Test, context: &Context) -> Exit {
    let seeds = match args.seeds.as_deref().map(parse_seeds).transpose() {
        Ok(seeds) => seeds,
        Err(why) => {
            context.complain(&why);
            return Exit::Input;
        }
    };
    let mut exit = Exit::Fine;
    let mut todo = Vec::new();
    let mut cases = Vec::new();
    for path in &args.paths {
        match files::scenarios_under(path) {
            Ok(found) if found.is_empty() => {
                context.complain(&format!("{path}: no scenario in this folder"));
                exit = exit.and(Exit::Input);
            }
            Ok(found) => {
                found.iter().for_each(|file| prepare(file, seeds.as_ref(), &mut todo, &mut cases, context))
            }
            Err(why) => {
                context.complain(&format!("{path}: {why}"));
                exit = exit.and(Exit::Input);
            }
        }
    }
    let pool = match rayon::ThreadPoolBuilder::new().num_threads(args.jobs.unwrap_or(0)).build() {
        Ok(pool) => pool,
        Err(error) => {
            context.complain(&format!("cannot start worker threads: {error}"));
            return Exit::Input;
        }
    };
    let several = seeds.is_some();
    let progress = Mutex::new(Progress::of_many(todo.len(), context));
    let ran: Vec<Case> = pool.install(|| {
        let one = |scenario: &Scenario| {
            let case = run_case(scenario, several);
            if let Ok(mut progress) = progress.lock() {
                progress.step();
            }
            case
        };
        todo.par_iter().map(one).collect()
    });
    drop(progress);
    cases.extend(ran);
    // What could not be read stands among the others, in the order of the names; seeds keep theirs.
    cases.sort_by(|a, b| file_of(a).cmp(file_of(b)));
    let (told, worst) = tell(&cases, context);
    exit = exit.and(worst).and(context.print(&told));
    if let Some(file) = &args.junit {
        exit = exit.and(write_junit(file, &cases, context));
    }
    exit
}

fn file_of(case: &Case) -> &str {
    case.name.split(" (seed ").next().unwrap_or(&case.name)
}

fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    parsed.filter(|range| !range.is_empty()).ok_or_else(|| {
        format!("--seeds: `{text}` is not a range of seeds; write `0..50`, of which 49 is the last")
    })
}

/// Reads a scenario and puts its runs on the list, or its mistakes among the cases.
fn prepare(
    file: &str,
    seeds: Option<&std::ops::Range<u64>>,
    todo: &mut Vec<Scenario>,
    cases: &mut Vec<Case>,
    context: &Context,
) {
    let read = load::read(file);
    let (serious, sources) = (read.serious(), read.sources.clone());
    let Some(scenario) = read.scenario(file) else {
        let why = diagnostics::render(&serious, &sources, false);
        let replay = format!("wavetank lint {file}");
        cases.push(Case { name: file.to_owned(), replay, result: Err(Broken::Unread(why)) });
        return;
    };
    context.diagnose(&serious, &sources);
    let Some(seeds) = seeds else { return todo.push(scenario) };
    todo.extend(seeds.clone().map(|seed| {
        let mut plan = scenario.plan.clone();
        plan.seed = seed;
        Scenario { path: scenario.path.clone(), plan, notes: scenario.notes.clone() }
    }));
}

fn run_case(scenario: &Scenario, several: bool) -> Case {
    let result = run::execute(scenario, &mut NullRecorder, &mut ()).map_err(Broken::Fault);
    let seed = if several { format!(" (seed {})", scenario.plan.seed) } else { String::new() };
    Case { name: format!("{}{seed}", scenario.path), replay: run::replay(scenario), result }
}

/// A line per case, failures in full, and a closing line.
fn tell(cases: &[Case], context: &Context) -> (String, Exit) {
    let mut out = String::new();
    let mut worst = Exit::Fine;
    let (mut failed, mut broken) = (0, 0);
    // Writing to a string cannot fail.
    for case in cases {
        match &case.result {
            Ok(report) if report.outcome.verdict() == Verdict::Passed => {
                if !context.quiet {
                    let held = report.outcome.expectations.len();
                    let count =
                        if held == 1 { "1 expectation".to_owned() } else { format!("{held} expectations") };
                    let _ = writeln!(out, "ok      {}: {count}", case.name);
                }
            }
            Ok(report) => {
                failed += 1;
                worst = worst.and(Exit::Failed);
                let _ = writeln!(out, "FAILED  {}", case.name);
                let style = text::Style { color: context.color, quiet: true };
                indent(&mut out, &text::render(report, style));
                let _ = writeln!(out, "        replay: {}", case.replay);
            }
            Err(why) => {
                broken += 1;
                worst = worst.and(why.exit());
                let _ = writeln!(out, "BROKEN  {}", case.name);
                indent(&mut out, &why.text());
                let _ = writeln!(out, "        replay: {}", case.replay);
            }
        }
    }
    let _ = write!(out, "{} passed, {failed} failed", cases.len() - failed - broken);
    if broken > 0 {
        let _ = write!(out, ", {broken} broken");
    }
    out.push('\n');
    (out, worst)
}

fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        let _ = writeln!(out, "{}", format!("        {line}").trim_end());
    }
}

fn write_junit(file: &str, cases: &[Case], context: &Context) -> Exit {
    let texts: Vec<String> =
        cases.iter().map(|c| c.result.as_ref().err().map(Broken::text).unwrap_or_default()).collect();
    let runs: Vec<junit::Ran<'_>> = cases
        .iter()
        .zip(&texts)
        .map(|(case, why)| match &case.result {
            Ok(report) => junit::Ran::Finished(case.name.clone(), report),
            Err(_) => junit::Ran::Broken(case.name.clone(), why),
        })
        .collect();
    match junit::render(&runs) {
        Ok(xml) => context.write_file(file, xml.as_bytes()),
        Err(why) => {
            context.complain(&format!("cannot write JUnit: {why}"));
            Exit::Input
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_seeds_are_half_open() {
        assert_eq!(parse_seeds("0..50"), Ok(0..50));
        for text in ["", "5", "5..5", "9..3", "a..b"] {
            assert!(parse_seeds(text).is_err(), "{text}");
        }
    }
}
