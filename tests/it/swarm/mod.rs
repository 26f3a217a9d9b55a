//! Random scenarios, with everything watched that must always hold. While things fail, only safety is checked; then the
//! faults stop, and all must be well in the end, or say why it cannot be.
//!
//! `WAVETANK_SWARM=500 cargo test --test it swarm` tries more, `WAVETANK_SWARM=500..900` others, `WAVETANK_SWARM=7..8` one.
//! A failure prints its scenario, which runs as it is, and the call that does it again.

mod author;
mod faults;
mod judge;
mod naive;

use std::fmt::Write;
use std::ops::Range;

use rayon::prelude::*;
use wavetank::base::{SimTime, SourceMap};
use wavetank::facts::{MemoryRecorder, Tee};
use wavetank::kernel::Limits;
use wavetank::plan::Plan;
use wavetank::report::diagnostics;
use wavetank::scenario::{MemoryFiles, load_text};
use wavetank::sim::World;
use wavetank::sim::history::History;

use author::{Author, END};

/// Scenarios tried unless `WAVETANK_SWARM` says otherwise.
const TRIES: Range<u64> = 0..24;
/// Every so many scenarios one is run twice.
const TWICE_EVERY: u64 = 8;
/// More events than that mean that something goes in circles.
const EVENTS_MAX: u64 = 200_000;
/// Failures that are printed in full.
const SHOWN_MAX: usize = 3;

fn plan(text: &str) -> Plan {
    let mut sources = SourceMap::default();
    let (plan, found) = load_text(&MemoryFiles::default(), "swarm.yaml", text, &mut sources);
    plan.unwrap_or_else(|| panic!("{}\n{text}", diagnostics::render(&found, &sources, false)))
}

/// Runs a scenario and says what is wrong, or its digest. `everything`: controllers hear of what they do not watch, too.
fn attempt(text: &str, everything: bool) -> Result<String, String> {
    let plan = plan(text);
    let (mut history, mut facts) = (History::default(), MemoryRecorder::default());
    let mut recorder = Tee(&mut history, &mut facts);
    let mut world = World::new(&plan, &mut recorder);
    world.check_invariants();
    if everything {
        world.tell_everything();
    }
    world.set_limits(Limits { events_max: EVENTS_MAX, ..Limits::default() });
    world.run_until(SimTime::from_secs(END), &mut recorder).map_err(|fault| fault.to_string())?;
    let mut wrong = history.breaches().to_vec();
    wrong.extend(judge::not_well(&world));
    if wrong.is_empty() { Ok(world.outcome().digest.to_string()) } else { Err(wrong.join("\n")) }
}

/// As [`attempt`], and some twice, the second time with everything told: the bytes must be the same.
fn attempted(number: u64) -> Result<(), String> {
    let text = Author::scenario(number);
    let digest = attempt(&text, false)?;
    if number.is_multiple_of(TWICE_EVERY) && attempt(&text, true)? != digest {
        return Err("two runs differ".to_owned());
    }
    Ok(())
}

/// `500`, `500..900`, or nothing.
fn tries() -> Range<u64> {
    let Ok(said) = std::env::var("WAVETANK_SWARM") else { return TRIES };
    let (from, to) = said.split_once("..").unwrap_or(("0", &said));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) => from..to,
        _ => panic!("WAVETANK_SWARM={said}: neither a number nor a range"),
    }
}

#[test]
fn whatever_happens_nothing_breaks_and_all_is_well_in_the_end() {
    let tries = tries();
    let mut failures: Vec<(u64, String)> =
        tries.clone().into_par_iter().filter_map(|n| attempted(n).err().map(|why| (n, why))).collect();
    failures.sort();
    let mut told = String::new();
    for (number, why) in failures.iter().take(SHOWN_MAX) {
        let again = format!("WAVETANK_SWARM={number}..{} cargo test --test it swarm", number + 1);
        let _ = writeln!(told, "{}\n^ scenario {number}: {why}\nagain: {again}\n", Author::scenario(*number));
    }
    for (number, why) in failures.iter().skip(SHOWN_MAX) {
        let _ = writeln!(told, "scenario {number}: {}", why.lines().next().unwrap_or_default());
    }
    assert!(
        failures.is_empty(),
        "{} of {} scenarios went wrong\n{told}",
        failures.len(),
        tries.end - tries.start
    );
}

#[test]
fn the_judge_sees_a_node_that_nobody_mends() {
    let text = Author::scenario(0);
    let end = text.find("  steps:").unwrap();
    let broken = format!("{}  steps:\n    - {{at: 60s, failNode: node-0}}\n", &text[..end]);
    let why = attempt(&broken, false).unwrap_err();
    assert!(why.contains("node node-0 is not Ready"), "{why}");
}

/// What random scenarios have found.
#[test]
fn a_pod_that_arrives_in_the_instant_of_a_flush_does_not_stop_the_clock() {
    let node = "{name: a, capacity: {cpu: '1', memory: 1Gi, ephemeral-storage: 9Gi, pods: '9'}}";
    let pod = |name: &str, cpu: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: app, image: 'x:1', resources: {{requests: {{cpu: '{cpu}'}}}}}}]}}}}"
        )
    };
    // The Pod without room has been parked for more than five minutes at the flush of 5m30s.
    let text = format!(
        "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: flush}}\nspec:\n  duration: {END}s\n  cluster: {{nodes: [{node}]}}\n  \
         manifests: [{{inline: {}}}]\n  steps: [{{at: 330s, apply: [{{inline: {}}}]}}]\n",
        pod("large", "2"),
        pod("small", "100m")
    );
    assert_eq!(attempt(&text, false).err(), None);
}
