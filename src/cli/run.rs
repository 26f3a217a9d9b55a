//! `wavetank run`.

use super::args::{Run, RunOutput};
use super::exit::Exit;
use super::load::{self, Scenario};
use super::output::{Context, Draft};
use super::progress::Progress;
use super::stats::Stats;
use crate::base::{SimDuration, SimTime};
use crate::facts::{NullRecorder, Recorder};
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
    for (number, path) in args.scenarios.iter().enumerate() {
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
        let last = number + 1 == args.scenarios.len();
        match one(&scenario, last, args, context) {
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

fn one(scenario: &Scenario, last: bool, args: &Run, context: &Context) -> Result<RunReport, Exit> {
    let mut timeline = match &args.timeline {
        Some(file) => {
            let draft = Draft::new(file).map_err(|error| cannot_write(file, &error, context))?;
            Some((file, Timeline::new(draft, scenario.plan.calendar(), &scenario.plan.name)))
        }
        None => None,
    };
    let progress = Progress::of_run(&scenario.plan, context);
    let story = !context.quiet && matches!(args.output, RunOutput::Text);
    let mut watch = Onlookers { progress, stats: args.stats.then(Stats::begin), last, story };
    let ran = match &mut timeline {
        Some((_, timeline)) => execute(scenario, timeline, &mut watch),
        None => execute(scenario, &mut NullRecorder, &mut watch),
    };
    let Onlookers { progress, stats, .. } = watch;
    drop(progress);
    let report = ran.map_err(|fault| explain(&fault, scenario, context))?;
    if let Some((file, timeline)) = timeline {
        let written = timeline.finish(report.outcome.simulated).and_then(Draft::commit);
        written.map_err(|error| cannot_write(file, &error, context))?;
    }
    let style = text::Style { color: context.color, quiet: context.quiet };
    let written = match args.output {
        RunOutput::Text => text::render(&report, style),
        RunOutput::Json => json::render(&report),
    };
    let printed = context.print(&written);
    if let Some(stats) = stats {
        context.say(&stats.render(report.outcome.simulated.since(SimTime::ZERO)));
    }
    match printed {
        Exit::Fine => Ok(report),
        failed @ (Exit::Failed | Exit::Input | Exit::Bug) => Err(failed),
    }
}

fn cannot_write(file: &str, error: &std::io::Error, context: &Context) -> Exit {
    context.complain(&format!("cannot write {file}: {error}"));
    Exit::Input
}

/// Looks on while a run goes on.
pub trait Watch {
    /// An event has been carried out with all that it set off, or the cluster has been set up.
    fn event(&mut self, world: &World);

    /// Whether the story of the run will be shown.
    fn wants_story(&self) -> bool {
        false
    }

    /// The run is over, and nobody needs the cluster any more.
    fn ended(&mut self, world: World) {
        drop(world);
    }
}

impl Watch for () {
    fn event(&mut self, _: &World) {}
}

/// Those who look on while a run of the command goes on.
struct Onlookers {
    progress: Progress,
    stats: Option<Stats>,
    /// Whether no other run comes after this one.
    last: bool,
    /// Whether the output tells the story.
    story: bool,
}

impl Watch for Onlookers {
    fn event(&mut self, world: &World) {
        self.progress.event(world);
        if let Some(stats) = &mut self.stats {
            stats.event(world);
        }
    }

    fn wants_story(&self) -> bool {
        self.story
    }

    fn ended(&mut self, world: World) {
        // The process ends soon, and all its memory at once with it: giving back every object by itself takes a
        // noticeable part of a short run.
        if self.last {
            std::mem::forget(world);
        }
    }
}

/// Runs a scenario to its end and gathers what is to be reported.
///
/// # Errors
/// A limit was hit, an invariant broke, or something of ours failed in a way that nobody foresaw.
pub fn execute(
    scenario: &Scenario,
    recorder: &mut dyn Recorder,
    watch: &mut dyn Watch,
) -> Result<RunReport, Fault> {
    // A run that fails so is thrown away as a whole, so that nothing half done is seen again.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| carry_out(scenario, recorder, watch)))
        .unwrap_or_else(|payload| Err(Fault::Invariant { at: SimTime::ZERO, what: panic_text(&*payload) }))
}

/// What a panic has to say.
pub fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("for a reason that it did not tell"))
}

fn carry_out(
    scenario: &Scenario,
    recorder: &mut dyn Recorder,
    watch: &mut dyn Watch,
) -> Result<RunReport, Fault> {
    let mut narrator = watch.wants_story().then(Narrator::default);
    let plan: &Plan = &scenario.plan;
    let mut tee;
    let recorder: &mut dyn Recorder = match &mut narrator {
        Some(narrator) => {
            tee = crate::facts::Tee(narrator, recorder);
            &mut tee
        }
        None => recorder,
    };
    let mut world = World::new(plan, recorder);
    world.run_until_watched(world.end(), recorder, &mut |world| watch.event(world))?;
    world.run_to_end(recorder)?;
    let mut notes = scenario.notes.clone();
    notes.dedup();
    let report = RunReport {
        source: scenario.path.clone(),
        description: plan.description.clone(),
        outcome: world.outcome(),
        story: narrator.map(Narrator::into_story).unwrap_or_default(),
        closing: story::closing(world.store()),
        waiting: story::waiting(world.store()),
        notes,
    };
    watch.ended(world);
    Ok(report)
}

/// Says why a run ended early.
pub fn explain(fault: &Fault, scenario: &Scenario, context: &Context) -> Exit {
    context.complain(&format!("{}: {fault}", scenario.path));
    match fault {
        Fault::Limit(_) => Exit::Input,
        Fault::Invariant { .. } => {
            context.complain(&format!("this is a bug in wavetank; replay it with: {}", replay(scenario)));
            Exit::Bug
        }
    }
}

/// The command that repeats a run.
pub fn replay(scenario: &Scenario) -> String {
    format!("wavetank run {} --seed {}", scenario.path, scenario.plan.seed)
}

fn write_junit(file: &str, reports: &[RunReport], context: &Context) -> Exit {
    let runs: Vec<junit::Ran<'_>> = reports
        .iter()
        .map(|report| junit::Ran::Finished(report.outcome.scenario.to_string(), report))
        .collect();
    match junit::render(&runs) {
        Ok(xml) => context.write_file(file, xml.as_bytes()),
        Err(why) => {
            context.complain(&format!("cannot write JUnit: {why}"));
            Exit::Input
        }
    }
}
