//! What a timeline comes to: when the Pods of each owner got how far, what was said how often, how it all ended.
//!
//! Recorded and simulated timelines are brought to the same form, in which random names, uids and nodes have no place, so
//! that they can be laid side by side. Times are seconds from the instant that the recording calls zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The milestones of one timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Milestones {
    /// When steps were carried out.
    pub actions: Vec<f64>,
    /// By owner, then by stage: the instants at which its Pods got there, in order.
    pub pods: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    /// By what was said about whom: how often, and when first.
    pub events: BTreeMap<String, Said>,
    /// By workload, then by number of its status: the least and the most it held.
    pub extremes: BTreeMap<String, BTreeMap<String, (i64, i64)>>,
    /// By object: what its status says at the end.
    pub end: BTreeMap<String, BTreeMap<String, Value>>,
}

/// How often something was said, and when first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Repeats counted.
    pub count: i64,
    /// Seconds.
    pub first: f64,
}

/// Numbers of statuses that are compared.
const NUMBERS: &[&str] = &[
    "replicas",
    "readyReplicas",
    "availableReplicas",
    "updatedReplicas",
    "active",
    "succeeded",
    "failed",
    "desiredNumberScheduled",
    "numberReady",
    "numberMisscheduled",
    "currentHealthy",
    "disruptionsAllowed",
];

/// Kinds whose statuses are compared.
const WORKLOADS: &[&str] = &[
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "PodDisruptionBudget",
    "PersistentVolumeClaim",
];

/// A value that is held for less is a passing one.
const HELD: f64 = 0.8;

/// Said by components that the recordings lack, or once more or less by a race.
const NOT_COMPARED: &[&str] = &[
    "RegisteredNode",
    "ExternalProvisioning",
    "SawCompletedJob",
    "WaitForFirstConsumer",
    "WaitForPodScheduled",
    "NoPods",
    "Pulling",
    "Pulled",
    "Created",
    "Started",
    "Killing",
    "BackOff",
    "Unhealthy",
    "Failed",
    "Provisioning",
    "ProvisioningSucceeded",
    "Starting",
    "NodeReady",
    "NodeSchedulable",
    "NodeNotSchedulable",
    "NodeHasSufficientMemory",
    "NodeHasNoDiskPressure",
    "NodeHasSufficientPID",
    "KubeAPIReadyz",
];

const COMBINED: &str = "(combined from similar events): ";

/// One life of an object: its changes in order.
struct Life {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    owner: Option<(String, String)>,
    existing: bool,
    changes: Vec<(f64, Value)>,
    deleted: Option<f64>,
}

/// Reads a timeline, one JSON object a line.
pub fn of_timeline(text: &str, zero: f64) -> Milestones {
    let mut out = Milestones::default();
    let mut lives: Vec<Life> = Vec::new();
    let mut end = f64::MAX;
    for line in text.lines().filter(|l| !l.is_empty()) {
        let record: Value = serde_json::from_str(line).unwrap();
        let t = record["t"].as_f64().unwrap_or(0.0) - zero;
        match record["type"].as_str() {
            Some("object") => change(&mut lives, &record, t),
            Some("action") if t >= 0.0 && out.actions.last() != Some(&t) => out.actions.push(t),
            Some("end") => end = t,
            _ => {}
        }
    }
    let names = Names::of(&lives);
    for life in &lives {
        match life.kind.as_str() {
            "Pod" => pod(life, &names, &mut out),
            "Event" => event(life, &names, &mut out),
            kind if WORKLOADS.contains(&kind) && !is_system(&life.namespace) => {
                workload(life, &names, end, &mut out)
            }
            _ => {}
        }
    }
    for stages in out.pods.values_mut() {
        stages.values_mut().for_each(|instants| instants.sort_by(f64::total_cmp));
    }
    out.pods.retain(|_, stages| !stages.is_empty());
    out
}

fn is_system(namespace: &str) -> bool {
    matches!(namespace, "kube-system" | "kube-public" | "kube-node-lease")
}

fn change(lives: &mut Vec<Life>, record: &Value, t: f64) {
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let (kind, namespace, name) = (text(&record["kind"]), text(&record["namespace"]), text(&record["name"]));
    let object = &record["obj"];
    let uid = text(&object["metadata"]["uid"]);
    let known = lives.iter_mut().rev().find(|l| {
        l.kind == kind && l.namespace == namespace && l.name == name && l.uid == uid && l.deleted.is_none()
    });
    let life = match known {
        Some(life) => life,
        None => {
            let owner = object["metadata"]["ownerReferences"].get(0);
            let owner = owner.map(|o| (text(&o["kind"]), text(&o["name"])));
            let existing = record["ev"] == "EXISTING" || t < 0.0;
            lives.push(Life {
                kind,
                namespace,
                name,
                uid,
                owner,
                existing,
                changes: Vec::new(),
                deleted: None,
            });
            lives.last_mut().unwrap()
        }
    };
    if record["ev"] == "DELETED" {
        life.deleted = Some(t);
    }
    life.changes.push((t, object.clone()));
}

/// Names that stay the same from run to run for those that do not.
struct Names {
    /// Random name and its alias, longest first.
    aliases: Vec<(String, String)>,
}

impl Names {
    fn of(lives: &[Life]) -> Self {
        let mut aliases: Vec<(String, String)> = Vec::new();
        let mut sets: BTreeMap<&str, usize> = BTreeMap::new();
        for life in lives.iter().filter(|l| l.kind == "ReplicaSet") {
            if let Some((_, deployment)) = &life.owner
                && !aliases.iter().any(|(name, _)| *name == life.name)
            {
                let number = sets.entry(deployment).or_insert(0);
                *number += 1;
                aliases.push((life.name.clone(), format!("{deployment}/rs{number}")));
            }
        }
        let mut jobs: BTreeMap<&str, usize> = BTreeMap::new();
        for life in lives.iter().filter(|l| l.kind == "Job") {
            if let Some((_, cron)) = life.owner.as_ref().filter(|(kind, _)| kind == "CronJob") {
                let number = jobs.entry(cron).or_insert(0);
                *number += 1;
                aliases.push((life.name.clone(), format!("{cron}/job{number}")));
            }
        }
        for life in lives.iter().filter(|l| l.kind == "Pod") {
            if let Some((_, owner)) = &life.owner {
                let alias = aliases.iter().find(|(name, _)| name == owner);
                let owner = alias.map_or(owner.as_str(), |(_, alias)| alias);
                aliases.push((life.name.clone(), format!("{owner}-*")));
            }
        }
        for life in lives.iter().filter(|l| l.kind == "Node") {
            aliases.push((life.name.clone(), "<node>".to_owned()));
        }
        for life in lives.iter().filter(|l| !l.uid.is_empty()) {
            aliases.push((life.uid.clone(), "<uid>".to_owned()));
        }
        aliases.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        aliases.dedup();
        Self { aliases }
    }

    fn plain(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, alias) in &self.aliases {
            if out.contains(name.as_str()) {
                out = out.replace(name.as_str(), alias);
            }
        }
        without_suffixes(&out)
    }
}

/// Replaces the random ends of names of Pods that never came to be: `web/rs1-4m4xs`.
fn without_suffixes(text: &str) -> String {
    const SUFFIX: usize = 5;
    let mut parts = text.split("/rs");
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let rest = part[digits..].strip_prefix('-').unwrap_or("");
        let random = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).count();
        out.push_str("/rs");
        if random == SUFFIX {
            out.push_str(&part[..digits]);
            out.push_str("-*");
            out.push_str(&rest[SUFFIX..]);
        } else {
            out.push_str(part);
        }
    }
    out
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

fn pod(life: &Life, names: &Names, out: &mut Milestones) {
    let owner = match &life.owner {
        Some((kind, name)) => format!("{kind} {}", names.plain(name)),
        None => format!("Pod {}", life.name),
    };
    let stages = out.pods.entry(owner).or_default();
    let mut reached = |stage: &str, t: f64| {
        if t >= 0.0 {
            stages.entry(stage.to_owned()).or_default().push(t);
        }
    };
    let says = |stage: &str, object: &Value| match stage {
        "bound" => object["spec"]["nodeName"].as_str().is_some_and(|n| !n.is_empty()),
        "running" => object["status"]["phase"] == "Running",
        "ready" => condition(object, "Ready").is_some_and(|c| c["status"] == "True"),
        "asked to end" => !object["metadata"]["deletionTimestamp"].is_null(),
        "succeeded" => object["status"]["phase"] == "Succeeded",
        _ => object["status"]["phase"] == "Failed",
    };
    if !life.existing {
        reached("created", life.changes[0].0);
    }
    for stage in ["bound", "running", "ready", "asked to end", "succeeded", "failed"] {
        let mut before = false;
        for (t, object) in &life.changes {
            let now = says(stage, object);
            if now && !before {
                reached(stage, *t);
            } else if before && !now && stage == "ready" {
                reached("not ready", *t);
            }
            before = now;
        }
    }
    if let Some(t) = life.deleted {
        reached("removed", t);
    }
}

fn event(life: &Life, names: &Names, out: &mut Milestones) {
    let count = |object: &Value| {
        let counts = [&object["series"]["count"], &object["count"], &object["deprecatedCount"]];
        counts.into_iter().filter_map(Value::as_i64).max().unwrap_or(1)
    };
    let mut before = 0;
    for (t, object) in &life.changes {
        let total = count(object);
        let (more, reason) = (total - before, object["reason"].as_str().unwrap_or(""));
        before = before.max(total);
        if *t < 0.0 || more <= 0 || NOT_COMPARED.contains(&reason) || life.deleted == Some(*t) {
            continue;
        }
        let about = [&object["regarding"], &object["involvedObject"]]
            .into_iter()
            .find(|o| !o.is_null())
            .unwrap_or(&Value::Null);
        let message = object["message"].as_str().or(object["note"].as_str()).unwrap_or("");
        let message = names.plain(message.trim_start_matches(COMBINED));
        let whom = names.plain(about["name"].as_str().unwrap_or(""));
        let key = format!("{reason} {} {whom}: {message}", about["kind"].as_str().unwrap_or(""));
        let said = out.events.entry(key).or_insert(Said { count: 0, first: *t });
        said.count += more;
        said.first = said.first.min(*t);
    }
}

fn workload(life: &Life, names: &Names, end: f64, out: &mut Milestones) {
    let name = format!("{} {}", life.kind, names.plain(&life.name));
    for number in NUMBERS {
        let values: Vec<(f64, i64)> = life
            .changes
            .iter()
            .map(|(t, object)| (*t, object["status"][number].as_i64().unwrap_or(0)))
            .collect();
        let mut range: Option<(i64, i64)> = None;
        for (place, (t, value)) in values.iter().enumerate() {
            let next = values[place + 1..].iter().find(|(_, v)| v != value).map(|(t, _)| *t);
            let until = next.or(life.deleted).unwrap_or(end);
            if until >= 0.0 && until - t >= HELD {
                let (least, most) = range.unwrap_or((*value, *value));
                range = Some((least.min(*value), most.max(*value)));
            }
        }
        if let Some(range) = range.filter(|r| *r != (0, 0)) {
            out.extremes.entry(name.clone()).or_default().insert((*number).to_owned(), range);
        }
    }
    if life.deleted.is_some() {
        return;
    }
    let Some((_, last)) = life.changes.last() else { return };
    let status = &last["status"];
    let mut says = BTreeMap::new();
    for number in NUMBERS {
        if let Some(value) = status[number].as_i64().filter(|v| *v != 0) {
            says.insert((*number).to_owned(), Value::from(value));
        }
    }
    if let Some(phase) = status["phase"].as_str() {
        says.insert("phase".to_owned(), phase.into());
    }
    for condition in status["conditions"].as_array().into_iter().flatten() {
        let word = |field: &str| condition[field].as_str().unwrap_or("").to_owned();
        says.insert(word("type"), format!("{} {}", word("status"), word("reason")).trim_end().into());
    }
    out.end.insert(name, says);
}
