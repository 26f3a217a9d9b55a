//! What the topics share: scenarios from files, runs, and their stories.

use wavetank::base::{Diagnostic, Severity, SourceMap};
use wavetank::cli::files::DiskFiles;
use wavetank::cli::load::Scenario;
use wavetank::facts::{NullRecorder, Recorder, Tee};
use wavetank::report::story::{self, Narrator};
use wavetank::report::{RunReport, diagnostics, text};
use wavetank::sim::{Verdict, World};

/// The folder of the gallery.
pub fn scenarios_folder() -> String {
    format!("{}/scenarios", env!("CARGO_MANIFEST_DIR"))
}

/// Reads a scenario that must have no errors; warnings may be what it is about.
pub fn load(path: &str) -> Scenario {
    let mut sources = SourceMap::default();
    let (plan, found) = wavetank::scenario::load(&DiskFiles, path, &mut sources);
    let serious: Vec<Diagnostic> = found.iter().filter(|d| d.severity == Severity::Error).cloned().collect();
    let told = diagnostics::render(&serious, &sources, false);
    assert!(serious.is_empty(), "{path}\n{told}");
    let plan = plan.unwrap_or_else(|| panic!("{path} gives no plan"));
    Scenario { path: path.to_owned(), plan, notes: Vec::new() }
}

/// Reads a scenario that is given as text, under a name of its own.
pub fn load_text(name: &str, text: &str) -> Scenario {
    let folder = std::env::temp_dir().join(format!("wavetank-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    load(path.to_str().unwrap())
}

/// Runs a scenario with the invariants watched.
pub fn run(scenario: &Scenario) -> RunReport {
    run_with(scenario, &mut NullRecorder)
}

/// As [`run`], with somebody who listens.
pub fn run_with(scenario: &Scenario, recorder: &mut dyn Recorder) -> RunReport {
    let mut narrator = Narrator::default();
    let mut tee = Tee(&mut narrator, recorder);
    let mut world = World::new(&scenario.plan, &mut tee);
    world.check_invariants();
    let replay = format!("wavetank run {} --seed {}", scenario.path, scenario.plan.seed);
    world.run_to_end(&mut tee).unwrap_or_else(|fault| panic!("{fault}\nreplay: {replay}"));
    RunReport {
        source: scenario.path.clone(),
        description: scenario.plan.description.clone(),
        outcome: world.outcome(),
        story: narrator.into_story(),
        closing: story::closing(world.store()),
        waiting: story::waiting(world.store()),
        notes: Vec::new(),
    }
}

/// Whether everything came out as expected.
pub fn passed(report: &RunReport) -> bool {
    report.outcome.verdict() == Verdict::Passed
}

/// The story of a run.
pub fn told(report: &RunReport) -> String {
    text::render(report, text::Style { color: false, quiet: false })
}

/// A folder of material that is no part of the project: where the variable says, or else beside the project. None, with
/// a line that says so, if it is not there.
pub fn outside(variable: &str, folder: &str) -> Option<std::path::PathBuf> {
    let beside = || format!("{}/../shared/{folder}", env!("CARGO_MANIFEST_DIR")).into();
    let path = std::env::var_os(variable).map_or_else(beside, std::path::PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there ({variable} names another place)", path.display());
    None
}
