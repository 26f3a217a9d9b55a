//! `wavetank test`: every scenario under some paths, on all cores, a line each.

use std::fmt::Write;

use rayon::prelude::*;

use super::args::Test;
use super::exit::Exit;
use super::files;
use super::load::{self, Scenario};
use super::output::Context;
use super::run;
use crate::facts::NullRecorder;
use crate::report::{RunReport, junit, text};
use crate::sim::{Fault, Verdict};

/// One run of one scenario.
struct Case {
    name: String,
    result: Result<RunReport, Fault>,
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
    let mut scenarios = Vec::new();
    let mut broken = Vec::new();
    for path in &args.paths {
        let found = match files::scenarios_under(path) {
            Ok(found) => found,
            Err(why) => {
                context.complain(&format!("{path}: {why}"));
                exit = exit.and(Exit::Input);
                continue;
            }
        };
        for file in found {
            match load::scenario(&file, None, context) {
                Ok(scenario) => scenarios.extend(with_seeds(scenario, seeds.as_ref())),
                Err(failed) => {
                    exit = exit.and(failed);
                    broken.push(file);
                }
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
    let cases: Vec<Case> = pool.install(|| scenarios.par_iter().map(run_case).collect());
    let (told, worst) = tell(&cases, &broken, context);
    exit = exit.and(worst).and(context.print(&told));
    if let Some(file) = &args.junit {
        exit = exit.and(write_junit(file, &cases, &broken, context));
    }
    exit
}

fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    parsed
        .filter(|range| !range.is_empty())
        .ok_or_else(|| format!("--seeds: `{text}` is not a range; write `0..50`"))
}

fn with_seeds(scenario: Scenario, seeds: Option<&std::ops::Range<u64>>) -> Vec<Scenario> {
    let Some(seeds) = seeds else { return vec![scenario] };
    seeds
        .clone()
        .map(|seed| {
            let mut plan = scenario.plan.clone();
            plan.seed = seed;
            Scenario { path: scenario.path.clone(), plan, notes: scenario.notes.clone() }
        })
        .collect()
}

fn run_case(scenario: &Scenario) -> Case {
    let result = run::execute(scenario, &mut NullRecorder);
    Case { name: format!("{} (seed {})", scenario.path, scenario.plan.seed), result }
}

/// A line per case, failures in full, and a closing line.
fn tell(cases: &[Case], broken: &[String], context: &Context) -> (String, Exit) {
    let mut out = String::new();
    let mut worst = Exit::Fine;
    let mut failed = broken.len();
    for case in cases {
        match &case.result {
            Ok(report) if report.outcome.verdict() == Verdict::Passed => {
                if !context.quiet {
                    let held = report.outcome.expectations.len();
                    let _ = writeln!(out, "ok      {}: {held} expectations", case.name);
                }
            }
            Ok(report) => {
                failed += 1;
                worst = worst.and(Exit::Failed);
                let _ = writeln!(out, "FAILED  {}", case.name);
                let style = text::Style { color: context.color, quiet: true };
                out.push_str(&text::render(report, style));
            }
            Err(fault) => {
                failed += 1;
                let exit = if matches!(fault, Fault::Invariant { .. }) { Exit::Bug } else { Exit::Input };
                worst = worst.and(exit);
                let _ = writeln!(out, "BROKEN  {}: {fault}", case.name);
            }
        }
    }
    for file in broken {
        let _ = writeln!(out, "BROKEN  {file}: cannot be read");
    }
    let total = cases.len() + broken.len();
    let _ = writeln!(out, "{} passed, {failed} failed", total - failed);
    (out, worst)
}

fn write_junit(file: &str, cases: &[Case], broken: &[String], context: &Context) -> Exit {
    let faults: Vec<(&str, String)> = cases
        .iter()
        .filter_map(|case| Some((case.name.as_str(), case.result.as_ref().err()?.to_string())))
        .collect();
    let finished = cases.iter().filter_map(|case| case.result.as_ref().ok()).map(junit::Ran::Finished);
    let faulty = faults.iter().map(|(name, why)| junit::Ran::Broken(name, why));
    let unread = broken.iter().map(|file| junit::Ran::Broken(file, "cannot be read"));
    let runs: Vec<junit::Ran<'_>> = finished.chain(faulty).chain(unread).collect();
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
