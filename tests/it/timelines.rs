//! Runs against recordings of a real control plane (Kubernetes v1.34.9): each scenario is what was done to it, each
//! golden file the milestones of what it did.
//!
//! `WAVETANK_TIMELINES=FOLDER UPDATE_DOCS=1 cargo test --test it timelines` takes the milestones from recordings anew.

use std::collections::BTreeSet;
use std::fmt::Write;

use wavetank::report::timeline::Timeline;

use crate::milestones::{Milestones, of_timeline};
use crate::support;

macro_rules! recordings {
    ($($test:ident: $name:literal $(within $slack:literal)?,)*) => {
        const LISTED: &[&str] = &[$($name),*];
        $(#[test] fn $test() { comes_out_as_recorded($name, 0.0 $(+ $slack)?); })*
    };
}

// `within`: seconds that the phases of loops may add: when a lease was renewed before a failure (10 s) and which node of a
// zone is tainted first (10 s), when dead Pods are collected (20 s); or what kubectl took for the documents of one file.
recordings! {
    recording_01_deployment_create: "01-deployment-create",
    recording_02a_rolling_default: "02a-rolling-default",
    recording_02c_rolling_bad_image: "02c-rolling-bad-image",
    recording_02d_rolling_min_ready: "02d-rolling-min-ready",
    recording_03a_rollout_undo: "03a-rollout-undo",
    recording_03b_scale: "03b-scale",
    recording_03d_recreate: "03d-recreate",
    recording_04a_statefulset_wffc: "04a-statefulset-wffc" within 3.1,
    recording_04c_statefulset_bad_update: "04c-statefulset-bad-update",
    recording_05_node_failure: "05-node-failure" within 10.5,
    recording_06_zone_failure: "06-zone-failure" within 10.5,
    recording_07_full_loss: "07-full-loss" within 10.5,
    recording_08_zonal_pv_zone_dies: "08-zonal-pv-zone-dies" within 10.5,
    recording_08b_multi_attach: "08b-multi-attach" within 10.5,
    recording_09_daemonset: "09-daemonset" within 20.0,
    recording_10a_job: "10a-job",
    recording_10b_job_backoff: "10b-job-backoff",
    recording_10d_job_deadline: "10d-job-deadline",
    recording_10e_cronjob: "10e-cronjob",
    recording_11a_pdb_drain: "11a-pdb-drain",
    recording_12_hpa: "12-hpa",
    recording_13_hpa_no_requests: "13-hpa-no-requests",
    recording_14_preemption: "14-preemption",
    recording_15_quota: "15-quota",
    recording_16a_delete_background: "16a-delete-background",
    recording_16c_delete_orphan: "16c-delete-orphan",
    recording_16d_namespace: "16d-namespace",
    recording_17_topology_spread: "17-topology-spread",
    recording_18_unschedulable_messages: "18-unschedulable-messages" within 0.5,
    recording_19_crash_and_self_heal: "19-crash-and-self-heal",
}

/// What two real runs differ in: recording, part of the line, why.
const RACES: &[(&str, &str, &str)] = &[
    ("03a-rollout-undo", "ReplicaSet web/rs3", "Pods get ready in the very moment of the undo"),
    (
        "05-node-failure",
        "SuccessfulAttachVolume Pod db-*",
        "whether the volume of the node that returns stays attached",
    ),
    (
        "08-zonal-pv-zone-dies",
        "AttachVolume Pod",
        "both Pods go to the node that speaks first; whose volume is on the other one is drawn",
    ),
    (
        "14-preemption",
        "FailedScheduling Pod high/rs1",
        "how often who waits is tried depends on how fast the victims go",
    ),
    ("17-topology-spread", "FailedScheduling Pod web/rs1", "which of two nodes is seen uncordoned first"),
];

/// How far an instant may lie from the recorded one, in seconds, and how far an Event.
const INSTANT: f64 = 0.6;
const EVENT: f64 = 1.2;
/// What kubectl itself took before its call took effect, at most.
const CALL: f64 = 0.25;
/// Of the time since the last step, how much an instant may drift; real waves are a little slower.
const DRIFT: f64 = 0.12;
const DRIFT_MAX: f64 = 3.0;

fn folder() -> String {
    format!("{}/tests/golden/timelines", env!("CARGO_MANIFEST_DIR"))
}

/// The milestones of the simulated run of `tests/golden/timelines/NAME/scenario.yaml`.
fn simulated(name: &str) -> Milestones {
    let scenario = support::load(&format!("{}/{name}/scenario.yaml", folder()));
    let mut timeline = Timeline::new(Vec::new(), scenario.plan.calendar(), name);
    let report = support::run_with(&scenario, &mut timeline);
    assert!(report.outcome.refused_steps.is_empty(), "{:?}", report.outcome.refused_steps);
    let text = String::from_utf8(timeline.finish(report.outcome.simulated).unwrap()).unwrap();
    of_timeline(&text, scenario.plan.zero_at.map_or(0.0, wavetank::base::SimTime::as_secs_f64))
}

fn recorded(name: &str) -> Milestones {
    let path = format!("{}/{name}.json", folder());
    if let (Some(recordings), Some(_)) =
        (std::env::var_os("WAVETANK_TIMELINES"), std::env::var_os("UPDATE_DOCS"))
    {
        let packed = std::path::Path::new(&recordings).join(name).join("timeline.ndjson.gz");
        let milestones = of_timeline(&unpacked(&packed), 0.0);
        std::fs::write(&path, laid_out(&milestones)).unwrap();
    }
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

/// JSON with a line per entry of each section.
fn laid_out(milestones: &Milestones) -> String {
    let value = serde_json::to_value(milestones).unwrap();
    let mut out = String::from("{");
    for (place, (section, entries)) in value.as_object().unwrap().iter().enumerate() {
        let _ = write!(out, "{}\n\"{section}\": ", if place > 0 { "," } else { "" });
        match entries.as_object() {
            Some(entries) => {
                let lines =
                    entries.iter().map(|(k, v)| format!("\n  {}: {v}", serde_json::Value::from(k.as_str())));
                let _ = write!(out, "{{{}\n}}", lines.collect::<Vec<_>>().join(","));
            }
            None => out.push_str(&entries.to_string()),
        }
    }
    out + "\n}\n"
}

fn unpacked(path: &std::path::Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    text
}

fn comes_out_as_recorded(name: &str, slack: f64) {
    let (recorded, simulated) = (recorded(name), simulated(name));
    let mut differences = differences(&recorded, &simulated, slack);
    differences.retain(|line| !RACES.iter().any(|(of, part, _)| *of == name && line.contains(part)));
    assert!(differences.is_empty(), "{name} differs from its recording:\n{}", differences.join("\n"));
}

fn differences(recorded: &Milestones, simulated: &Milestones, slack: f64) -> Vec<String> {
    let mut out = Vec::new();
    pods(recorded, simulated, slack, &mut out);
    events(recorded, simulated, slack, &mut out);
    extremes(recorded, simulated, &mut out);
    ends(recorded, simulated, &mut out);
    out
}

/// How far something at `t` may have drifted since the last step.
fn drift(recorded: &Milestones, t: f64) -> f64 {
    let since = recorded.actions.iter().rfind(|a| **a <= t).map_or(0.0, |a| t - a);
    CALL + (DRIFT * since).min(DRIFT_MAX)
}

fn pods(recorded: &Milestones, simulated: &Milestones, slack: f64, out: &mut Vec<String>) {
    let owners =
        recorded.pods.keys().chain(simulated.pods.keys().filter(|k| !recorded.pods.contains_key(*k)));
    for owner in owners {
        let (Some(real), Some(ours)) = (recorded.pods.get(owner), simulated.pods.get(owner)) else {
            out.push(format!("pods of {owner}: only in one of the two"));
            continue;
        };
        let stages = real.keys().chain(ours.keys().filter(|k| !real.contains_key(*k)));
        for stage in stages {
            let (real, ours) =
                (real.get(stage).cloned().unwrap_or_default(), ours.get(stage).cloned().unwrap_or_default());
            if real.len() != ours.len() {
                out.push(format!(
                    "{owner}: {} Pods were {stage}, here {}: {real:?} {ours:?}",
                    real.len(),
                    ours.len()
                ));
                continue;
            }
            let far = real
                .iter()
                .zip(&ours)
                .find(|(r, o)| (*r - *o).abs() > INSTANT + slack + drift(recorded, **r));
            if let Some((r, o)) = far {
                out.push(format!("{owner}: a Pod was {stage} at {r:.2}, here at {o:.2}: {real:?} {ours:?}"));
            }
        }
    }
}

/// Which single steps a rollout takes depends on which readiness changes are seen together: they are added up.
fn loose(milestones: &Milestones) -> Milestones {
    let mut out = milestones.clone();
    out.events.retain(|key, _| !key.starts_with("ScalingReplicaSet"));
    out
}

fn events(recorded: &Milestones, simulated: &Milestones, slack: f64, out: &mut Vec<String>) {
    let (recorded, simulated) = (loose(recorded), loose(simulated));
    for (key, real) in &recorded.events {
        match simulated.events.get(key) {
            None => out.push(format!("never said: {key}")),
            Some(ours) if ours.count != real.count => {
                out.push(format!("said {} times, here {}: {key}", real.count, ours.count));
            }
            Some(ours) if (ours.first - real.first).abs() > EVENT + slack + drift(&recorded, real.first) => {
                out.push(format!("first said at {:.2}, here at {:.2}: {key}", real.first, ours.first));
            }
            Some(_) => {}
        }
    }
    for key in simulated.events.keys().filter(|key| !recorded.events.contains_key(*key)) {
        out.push(format!("never recorded: {key}"));
    }
}

fn extremes(recorded: &Milestones, simulated: &Milestones, out: &mut Vec<String>) {
    for (object, numbers) in &simulated.extremes {
        for (number, (least, most)) in numbers {
            let real = recorded.extremes.get(object).and_then(|n| n.get(number)).copied().unwrap_or((0, 0));
            if *least < real.0 || *most > real.1 {
                let (low, high) = real;
                out.push(format!("{object}: {number} was {low} to {high}, here {least} to {most}"));
            }
        }
    }
}

fn ends(recorded: &Milestones, simulated: &Milestones, out: &mut Vec<String>) {
    let objects = recorded.end.keys().chain(simulated.end.keys().filter(|k| !recorded.end.contains_key(*k)));
    for object in objects {
        let (real, ours) = (recorded.end.get(object), simulated.end.get(object));
        if real != ours {
            out.push(format!("{object} ended as {real:?}, here {ours:?}"));
        }
    }
}

#[test]
fn every_recording_is_listed() {
    let entries = std::fs::read_dir(folder()).unwrap().filter_map(Result::ok);
    let found: BTreeSet<String> =
        entries.filter_map(|e| e.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)).collect();
    let listed: BTreeSet<String> = LISTED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, listed, "add the recording to the list in tests/it/timelines.rs");
}
