//! The same input and seed give the same bytes: whenever, forked wherever, on however many threads, in whatever build.

use rayon::prelude::*;
use wavetank::base::{SimDuration, SimTime};
use wavetank::cli::load::Scenario;
use wavetank::facts::NullRecorder;
use wavetank::report::timeline::Timeline;
use wavetank::sim::World;

use crate::support::{self, scenarios_folder};

fn gallery() -> Vec<Scenario> {
    let entries = std::fs::read_dir(scenarios_folder()).unwrap().filter_map(Result::ok);
    let mut paths: Vec<String> = entries
        .map(|e| e.path().to_string_lossy().into_owned())
        .filter(|path| path.ends_with(".yaml"))
        .collect();
    paths.sort();
    assert!(paths.len() > 10, "the gallery was not found");
    paths.iter().map(|path| support::load(path)).collect()
}

fn digest(scenario: &Scenario, seed: u64) -> String {
    let mut plan = scenario.plan.clone();
    plan.seed = seed;
    let mut world = World::new(&plan, &mut NullRecorder);
    world.run_to_end(&mut NullRecorder).unwrap_or_else(|fault| panic!("{}: {fault}", scenario.path));
    world.outcome().digest.to_string()
}

fn digests(scenarios: &[Scenario], threads: usize) -> Vec<String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| scenarios.par_iter().map(|s| digest(s, s.plan.seed)).collect())
}

#[test]
fn threads_make_no_difference() {
    let scenarios = gallery();
    let alone = digests(&scenarios, 1);
    assert_eq!(alone, digests(&scenarios, 2));
    assert_eq!(alone, digests(&scenarios, 3));
}

/// Facts §12.1: what upstream leaves to chance comes from the seed, and from nothing else.
#[test]
fn seeds_do() {
    let scenario = support::load(&format!("{}/zone-outage.yaml", scenarios_folder()));
    assert_ne!(digest(&scenario, 1), digest(&scenario, 2));
}

#[test]
fn two_runs_write_the_same_timeline() {
    let scenario = support::load(&format!("{}/zone-outage.yaml", scenarios_folder()));
    let write = || {
        let mut timeline = Timeline::new(Vec::new(), scenario.plan.calendar(), &scenario.plan.name);
        let report = support::run_with(&scenario, &mut timeline);
        timeline.finish(report.outcome.simulated).unwrap()
    };
    let (first, second) = (write(), write());
    assert!(first.len() > 100_000, "a timeline of {} bytes", first.len());
    assert!(first == second, "two runs of one scenario differ");
}

#[test]
fn a_world_that_is_forked_on_the_way_goes_on_like_its_original() {
    for name in ["zone-outage", "preemption", "job-backoff", "rolling-update"] {
        let scenario = support::load(&format!("{}/{name}.yaml", scenarios_folder()));
        let whole = digest(&scenario, scenario.plan.seed);
        let mut world = World::new(&scenario.plan, &mut NullRecorder);
        let end = scenario.plan.duration.unwrap();
        for part in 1..5 {
            let at = SimTime::ZERO + SimDuration::from_nanos(end.as_nanos() / 5 * part);
            world.run_until(at, &mut NullRecorder).unwrap();
            let mut fork = world.clone();
            fork.run_to_end(&mut NullRecorder).unwrap();
            assert_eq!(fork.outcome().digest.to_string(), whole, "{name}, forked at {at}");
        }
        world.run_to_end(&mut NullRecorder).unwrap();
        assert_eq!(world.outcome().digest.to_string(), whole, "{name}, after its forks");
    }
}

/// Controllers are told of those changes only that can concern them: it would be the same if they heard of all.
#[test]
fn nobody_misses_what_nobody_tells_them() {
    let differs = |scenario: &Scenario| {
        let mut world = World::new(&scenario.plan, &mut NullRecorder);
        world.tell_everything();
        world.run_to_end(&mut NullRecorder).unwrap();
        world.outcome().digest.to_string() != digest(scenario, scenario.plan.seed)
    };
    let scenarios = gallery();
    let other: Vec<_> = scenarios.par_iter().filter(|s| differs(s)).map(|s| &s.plan.name).collect();
    assert!(other.is_empty(), "a controller looks at what it does not watch in {other:?}");
}

/// What a run comes to may change from version to version, never from build to build: debug and release builds and all
/// platforms are held against one value. Where it changes, CHANGELOG.md says why under *Results change*.
#[test]
fn the_digest_is_the_same_in_every_build() {
    let path = format!("{}/tests/golden/digests.txt", env!("CARGO_MANIFEST_DIR"));
    let lines: Vec<String> =
        gallery().iter().map(|s| format!("{} {}\n", s.plan.name, digest(s, s.plan.seed))).collect();
    let now = lines.concat();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(pinned, now, "results changed; if they should, UPDATE_DOCS=1, and say why in CHANGELOG.md");
}
