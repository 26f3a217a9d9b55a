//! `wavetank run`.

use super::args::{Run, RunOutput};
use super::exit::Exit;
use super::load::{self, Scenario};
use super::output::Context;
use crate::base::SimDuration;
use crate::facts::{NullRecorder, Recorder, Tee};
use crate::plan::Plan;
use crate::report::story::{self, Narrator};
use crate::report::timeline::Timeline;
use crate::report::{RunReport, json, junit, text};
use crate::sim::{Fault, Verdict, World};

/// Runs scenarios and reports on each.
pub fn main(args: &Run, context: &Context) -> Exit {
    let until = match args.until.as_deref().map(|t| load::instant(t, "--until", context)).transpose() {
        Ok(until) => until,
        Err(exit) => return exit,
    };
    if args.timeline.is_some() && args.scenarios.len() > 1 {
        context.complain("--timeline takes one scenario");
        return Exit::Input;
    }
    let mut exit = Exit::Fine;
    let mut reports = Vec::new();
    for path in &args.scenarios {
        let mut scenario = match load::scenario(path, args.seed, context) {
            Ok(scenario) => scenario,
            Err(failed) => {
                exit = exit.and(failed);
                continue;
            }
        };
        if let Some(until) = until {
            scenario.plan.duration = Some(SimDuration::from_nanos(until.as_nanos()));
        }
        match one(&scenario, args, context) {
            Ok(report) => {
                if report.outcome.verdict() == Verdict::Failed {
                    exit = exit.and(Exit::Failed);
                }
                reports.push(report);
            }
            Err(failed) => exit = exit.and(failed),
        }
    }
    if let Some(file) = &args.junit {
        exit = exit.and(write_junit(file, &reports, context));
    }
    exit
}

fn one(scenario: &Scenario, args: &Run, context: &Context) -> Result<RunReport, Exit> {
    let mut buffer = args.timeline.as_ref().map(|_| Timeline::new(Vec::new(), scenario.plan.calendar(), &scenario.plan.name));
    let mut nothing = NullRecorder;
    let recorder: &mut dyn Recorder = match &mut buffer {
        Some(timeline) => timeline,
        None => &mut nothing,
    };
    let report = execute(scenario, recorder).map_err(|fault| explain(&fault, scenario, context))?;
    if let (Some(file), Some(timeline)) = (&args.timeline, buffer) {
        let content = timeline.finish(report.outcome.simulated).map_err(|error| {
            context.complain(&format!("cannot write the timeline: {error}"));
            Exit::Input
        })?;
        match context.write_file(file, &content) {
            Exit::Fine => {}
            failed => return Err(failed),
        }
    }
    let style = text::Style { color: context.color, quiet: context.quiet };
    let written = match args.output {
        RunOutput::Text => text::render(&report, style),
        RunOutput::Json => json::render(&report),
    };
    match context.print(&written) {
        Exit::Fine => Ok(report),
        failed => Err(failed),
    }
}

/// Runs a scenario to its end and gathers what is to be reported.
///
/// # Errors
/// A limit was hit or an invariant broke.
pub fn execute(scenario: &Scenario, recorder: &mut dyn Recorder) -> Result<RunReport, Fault> {
    let mut narrator = Narrator::default();
    let plan: &Plan = &scenario.plan;
    let mut tee = Tee(&mut narrator, recorder);
    let mut world = World::new(plan, &mut tee);
    world.run_to_end(&mut tee)?;
    let mut notes = scenario.notes.clone();
    notes.dedup();
    Ok(RunReport {
        source: scenario.path.clone(),
        description: plan.description.clone(),
        outcome: world.outcome(),
        story: narrator.into_story(),
        closing: story::closing(world.store()),
        waiting: story::waiting(world.store()),
        notes,
    })
}

/// Says why a run ended early.
pub fn explain(fault: &Fault, scenario: &Scenario, context: &Context) -> Exit {
    context.complain(&format!("{}: {fault}", scenario.path));
    match fault {
        Fault::Limit(_) => Exit::Input,
        Fault::Invariant { .. } => {
            let replay = format!("wavetank run {} --seed {}", scenario.path, scenario.plan.seed);
            context.complain(&format!("this is a bug in wavetank; replay it with: {replay}"));
            Exit::Bug
        }
    }
}

fn write_junit(file: &str, reports: &[RunReport], context: &Context) -> Exit {
    let runs: Vec<junit::Ran<'_>> = reports.iter().map(junit::Ran::Finished).collect();
    match junit::render(&runs) {
        Ok(xml) => context.write_file(file, xml.as_bytes()),
        Err(why) => {
            context.complain(&format!("cannot write JUnit: {why}"));
            Exit::Input
        }
    }
}
