//! Placements as the real scheduler framework of v1.34.1 decided them, field by field.
//!
//! `tests/golden/oracle/KIND.cases.ndjson.gz` holds clusters and Pods to place, `KIND.expected.ndjson.gz` the
//! decisions in the same order; one test per kind. `cargo test --test it oracle::fit` runs one kind. With
//! `ORACLE_CASE=<id>` only that case is run and both results are printed in full.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;
use wavetank::api::{Kind, Object, lower};
use wavetank::report::placements;
use wavetank::scheduler::plugins::registry::Registry;
use wavetank::scheduler::{Config, Placer, Wording};

/// Differences that are shown per kind.
const SHOWN_MAX: usize = 25;

/// The lists of a case with the kind of their objects.
const LISTS: &[(&str, Kind)] = &[
    ("namespaces", Kind::Namespace),
    ("nodes", Kind::Node),
    ("pvs", Kind::PersistentVolume),
    ("pvcs", Kind::PersistentVolumeClaim),
    ("storageClasses", Kind::StorageClass),
    ("csiNodes", Kind::CsiNode),
    ("csiDrivers", Kind::CsiDriver),
    ("csiStorageCapacities", Kind::CsiStorageCapacity),
    ("services", Kind::Service),
    ("replicaSets", Kind::ReplicaSet),
    ("statefulSets", Kind::StatefulSet),
    ("replicationControllers", Kind::ReplicationController),
    ("pdbs", Kind::PodDisruptionBudget),
    ("priorityClasses", Kind::PriorityClass),
    ("pods", Kind::Pod),
];

fn lines(file: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/oracle").join(file);
    let content = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    BufReader::new(GzDecoder::new(content))
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn objects<'a>(case: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    case.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn read(kind: Kind, value: &Value) -> Object {
    lower::from_json(kind, value.clone()).unwrap_or_else(|errors| panic!("{kind}: {errors:?}"))
}

/// What wavetank decides.
fn decide(case: &Value) -> Value {
    let config = match case.get("schedulerConfig").and_then(Value::as_str) {
        Some(text) => Config::from_json(&serde_json::from_str(text).unwrap()).unwrap(),
        None => Config::default(),
    };
    let mut placer = Placer::new(config.build(&Registry::default(), Wording::default()).unwrap());
    for (list, kind) in LISTS {
        objects(case, list).for_each(|value| placer.add(read(*kind, value)));
    }
    let pods = objects(case, "pending").map(|value| {
        let Object::Pod(pod) = read(Kind::Pod, value) else { unreachable!("read as a Pod") };
        placements::to_json(&placer.place(&pod))
    });
    serde_json::json!({"id": case["id"], "kind": case["kind"], "pods": pods.collect::<Vec<_>>()})
}

/// Appends `(path, expected, got)` for everything that differs.
fn differ(path: &str, expected: &Value, got: &Value, out: &mut Vec<(String, String, String)>) {
    match (expected, got) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                differ(&format!("{path}.{key}"), a, b, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if path.ends_with(".reasons") => {
            let sorted = |all: &[Value]| {
                let mut texts: Vec<String> = all.iter().map(Value::to_string).collect();
                texts.sort();
                texts
            };
            if sorted(a) != sorted(b) {
                out.push((path.to_owned(), expected.to_string(), got.to_string()));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                let name = ["name", "node", "pod"].iter().find_map(|key| a.get(key)?.as_str());
                let step = name.map_or_else(|| index.to_string(), str::to_owned);
                differ(&format!("{path}[{step}]"), a, b, out);
            }
        }
        _ if expected == got => {}
        _ => out.push((path.to_owned(), expected.to_string(), got.to_string())),
    }
}

/// The field of a difference, without names: `nodes.filter.reasons`.
fn field(path: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for c in path.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out.trim_start_matches('.').to_owned()
}

fn check(kind: &str) {
    let only = std::env::var("ORACLE_CASE").ok();
    let (cases, expected) =
        (lines(&format!("{kind}.cases.ndjson.gz")), lines(&format!("{kind}.expected.ndjson.gz")));
    assert_eq!(cases.len(), expected.len());
    let (mut pods, mut wrong_pods) = (0, 0);
    let mut fields: BTreeMap<String, usize> = BTreeMap::new();
    let mut shown = String::new();
    let mut count = 0;
    for (case, expected) in cases.iter().zip(&expected) {
        let id = case["id"].as_str().unwrap();
        if only.as_deref().is_some_and(|only| only != id) {
            continue;
        }
        let got = decide(case);
        if only.is_some() {
            println!("expected {expected:#}\ngot {got:#}");
        }
        pods += expected["pods"].as_array().map_or(0, Vec::len);
        for (expected, got) in objects(expected, "pods").zip(objects(&got, "pods")) {
            let pod = expected["pod"].as_str().unwrap_or_default();
            let mut differences = Vec::new();
            differ("", expected, got, &mut differences);
            wrong_pods += usize::from(!differences.is_empty());
            for (path, expected, got) in differences {
                *fields.entry(field(&path)).or_default() += 1;
                count += 1;
                if count <= SHOWN_MAX {
                    let _ = writeln!(shown, "{id} {pod} {path}\n  expected {expected}\n  got      {got}");
                }
            }
        }
        assert_eq!(objects(expected, "pods").count(), objects(&got, "pods").count(), "{id}");
    }
    println!("{kind}: {} cases, {pods} Pods, {wrong_pods} differ in {count} fields {fields:?}", cases.len());
    assert_eq!(count, 0, "{kind}: {wrong_pods} of {pods} Pods differ: {fields:?}\n{shown}");
}

macro_rules! kinds {
    ($($kind:ident)*) => {
        $(#[test] fn $kind() { check(stringify!($kind)); })*

        #[test]
        fn every_kind_of_the_folder_has_a_test() {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/oracle");
            let mut found: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".cases.ndjson.gz").map(str::to_owned))
                .collect();
            found.sort();
            assert_eq!(found, [$(stringify!($kind)),*]);
        }
    };
}

kinds! {
    balanced config fit fit_advanced image_locality micro mixed mixed_large mixed_tight node_affinity node_basics
    nominated pod_affinity pod_affinity_ns pod_affinity_preferred ports preemption preemption_pdb spread_default
    spread_hard spread_soft taints volume_bound volume_errors volume_limits volume_restrictions volume_static
    volume_wffc volume_zone
}
