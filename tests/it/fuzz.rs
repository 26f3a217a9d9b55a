//! The doors: whatever comes in as text, the reader answers with objects or with diagnostics, within its limits.
//!
//! Seeds of the mutations are the project's own scenarios and manifests, and those of real projects where they are at
//! hand (`WAVETANK_REAL`). `PROPTEST_CASES` sets how many cases are tried.

use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Map, Number, Value};
use wavetank::api::manifest::tree::{Limits, Tree, read_documents};
use wavetank::base::{SimTime, SourceMap};
use wavetank::cli::files::{DiskFiles, looks_like_scenario};
use wavetank::facts::NullRecorder;
use wavetank::report::diagnostics;
use wavetank::scenario;
use wavetank::sim::{Fault, World};

/// A text that mutations begin with.
struct Seed {
    path: String,
    text: String,
}

fn gather(folder: &Path, out: &mut Vec<Seed>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, out);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
            && let Ok(text) = std::fs::read_to_string(&path)
            && text.len() < 100_000
        {
            out.push(Seed { path: path.to_string_lossy().into_owned(), text });
        }
    }
}

/// Texts of the project, and those from outside.
fn seeds() -> &'static (Vec<Seed>, Vec<Seed>) {
    static SEEDS: OnceLock<(Vec<Seed>, Vec<Seed>)> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        gather(Path::new("scenarios"), &mut own);
        assert!(own.len() > 30, "the scenarios were not found");
        if let Some(folder) = crate::support::outside("WAVETANK_REAL", "real") {
            gather(&folder, &mut others);
        }
        (own, others)
    })
}

/// Reads a text as `wavetank lint` does, shows what is to be said of it, and runs it for a while if it can run.
fn try_everything(path: &str, text: &str, run: bool) {
    let mut sources = SourceMap::default();
    let (plan, found) = if looks_like_scenario(text) {
        scenario::load_text(&DiskFiles, path, text, &mut sources)
    } else {
        let id = sources.add(path, text);
        (None, scenario::lint_manifests(&sources, &[id]))
    };
    for color in [false, true] {
        let told = diagnostics::render(&found, &sources, color);
        assert_eq!(told.is_empty(), found.is_empty());
    }
    let Some(plan) = plan.filter(|_| run) else { return };
    let mut world = World::new(&plan, &mut NullRecorder);
    world.set_limits(wavetank::kernel::limits::Limits {
        events_max: 50_000,
        same_instant_events_max: 20_000,
        objects_max: 20_000,
    });
    match world.run_until(SimTime::from_secs(90), &mut NullRecorder) {
        Ok(()) | Err(Fault::Limit(_)) => {}
        Err(fault @ Fault::Invariant { .. }) => panic!("{fault}\n{text}"),
    }
}

/// Words that stand for a value in a place where it was not expected.
const ODD: &[&str] = &[
    "",
    "~",
    "-1",
    "0",
    "99999999999999999999",
    "2147483648",
    "1e400",
    ".nan",
    "[]",
    "{}",
    "[[]]",
    "{a: b}",
    "\"\"",
    "'",
    "\"",
    "*a",
    "&a x",
    "!!str 1",
    "|",
    ">",
    "yes",
    "x: y",
    "10Ei",
    "-5Gi",
    "0.0001m",
    "3000000000h",
    "100%",
    "-50%",
    "a/b/c",
    "💥",
    "\u{0}",
    "\u{feff}",
    "2026-01-05",
    "in (",
    "=",
    ">= 3",
    "%",
    "@",
    "`",
    "\t",
    "- -",
    "? x",
];

#[derive(Clone, Debug)]
enum Mutation {
    /// The value of a line becomes another.
    Value(prop::sample::Index, prop::sample::Index),
    /// Bytes go away.
    Cut(prop::sample::Index, usize),
    /// An odd word comes in.
    Insert(prop::sample::Index, prop::sample::Index),
    /// A line comes twice.
    Repeat(prop::sample::Index),
    /// A line goes away.
    Drop(prop::sample::Index),
    /// A line moves to the right or left.
    Indent(prop::sample::Index, i8),
    /// The rest is that of another text.
    Splice(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), at()).prop_map(|(a, b)| Mutation::Value(a, b)),
        1 => (at(), 1..40usize).prop_map(|(a, n)| Mutation::Cut(a, n)),
        1 => (at(), at()).prop_map(|(a, b)| Mutation::Insert(a, b)),
        1 => at().prop_map(Mutation::Repeat),
        1 => at().prop_map(Mutation::Drop),
        1 => (at(), -3..4i8).prop_map(|(a, n)| Mutation::Indent(a, n)),
        1 => (at(), at()).prop_map(|(a, b)| Mutation::Splice(a, b)),
    ]
}

fn mutated(text: &str, mutations: &[Mutation], all: &[Seed]) -> String {
    let mut text = text.to_owned();
    for mutation in mutations {
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let count = lines.len();
        let boundary = |text: &str, at: usize| text.floor_char_boundary(at);
        match mutation {
            Mutation::Value(at, odd) => {
                let line = &mut lines[at.index(count)];
                if let Some((key, _)) = line.clone().split_once(": ") {
                    *line = format!("{key}: {}", ODD[odd.index(ODD.len())]);
                }
                text = lines.join("\n");
            }
            Mutation::Cut(at, length) => {
                let from = boundary(&text, at.index(text.len() + 1));
                let to = boundary(&text, (from + length).min(text.len()));
                text.replace_range(from..to, "");
            }
            Mutation::Insert(at, odd) => {
                let from = boundary(&text, at.index(text.len() + 1));
                text.insert_str(from, ODD[odd.index(ODD.len())]);
            }
            Mutation::Repeat(at) => {
                let at = at.index(count);
                lines.insert(at, lines[at].clone());
                text = lines.join("\n");
            }
            Mutation::Drop(at) => {
                lines.remove(at.index(count));
                text = lines.join("\n");
            }
            Mutation::Indent(at, by) => {
                let line = &mut lines[at.index(count)];
                let indent = line.len() - line.trim_start_matches(' ').len();
                let indent = indent.saturating_add_signed(isize::from(*by));
                *line = format!("{}{}", " ".repeat(indent), line.trim_start_matches(' '));
                text = lines.join("\n");
            }
            Mutation::Splice(at, other) => {
                let from = boundary(&text, at.index(text.len() + 1));
                let other = &all[other.index(all.len())].text;
                let other_from = boundary(other, from.min(other.len()));
                text = format!("{}{}", &text[..from], &other[other_from..]);
            }
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_texts_are_read_or_refused(
        at in any::<prop::sample::Index>(),
        mutations in proptest::collection::vec(mutation(), 1..6),
        run in proptest::bool::weighted(0.2),
    ) {
        let (own, others) = seeds();
        let seed = at.get(own);
        try_everything(&seed.path, &mutated(&seed.text, &mutations, own), run);
        if !others.is_empty() {
            let seed = at.get(others);
            try_everything(&seed.path, &mutated(&seed.text, &mutations, others), false);
        }
    }

    #[test]
    fn random_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        try_everything("random", &text, false);
        let head = "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\n";
        try_everything("scenarios/random.yaml", &format!("{head}{text}"), true);
    }

    #[test]
    fn what_both_readers_take_means_the_same(
        at in any::<prop::sample::Index>(),
        mutations in proptest::collection::vec(mutation(), 0..4),
    ) {
        let (own, others) = seeds();
        for seeds in [own, others].into_iter().filter(|s| !s.is_empty()) {
            compare(&mutated(&at.get(seeds).text, &mutations, seeds));
        }
    }
}

#[test]
fn ten_megabytes_in_one_line_are_refused_or_read() {
    let long = [("a", 10 << 20), ("[", 10 << 20), ("a: ", 10 << 20), ("é", 10 << 20)];
    let odd = ["{", "- ", "\"", "*a ", "&a ", "[a,", "{a: b,", "!", "%", "\u{feff}", "#", "'", "? "];
    for (piece, bytes) in long.into_iter().chain(odd.map(|piece| (piece, 1 << 20))) {
        let text = piece.repeat(bytes / piece.len());
        let mut sources = SourceMap::default();
        let id = sources.add("long.yaml", text.as_str());
        let found = scenario::lint_manifests(&sources, &[id]);
        let told = diagnostics::render(&found, &sources, false);
        assert!(told.len() < 20_000, "{piece:?}: {} bytes are told", told.len());
    }
}

#[test]
fn what_asks_for_too_much_is_refused_with_the_limit_by_name() {
    let text = |piece: &str, count: usize| piece.repeat(count);
    let limits = Limits { input_bytes_max: 2000, nodes_max: 500, documents_max: 5, ..Limits::default() };
    for (asks, text) in [
        ("bytes", text("a", 2001)),
        ("values", format!("[{}]", text("1,", 501))),
        ("documents", text("---\na\n", 6)),
        ("deep", format!("{}{}", text("[", 129), text("]", 129))),
    ] {
        let (_, found) = read_documents(wavetank::base::SourceId(0), &text, &limits);
        let told: Vec<_> = found.iter().map(|d| (d.code, d.message.as_str())).collect();
        assert!(told.iter().any(|(code, _)| *code == "WT0103"), "{asks}: {told:?}");
    }
}

/// Compares with another reader of YAML, document by document; texts that either refuses say nothing.
fn compare(text: &str) {
    let (ours, found) = read_documents(wavetank::base::SourceId(0), text, &Limits::default());
    if !found.is_empty() {
        return;
    }
    let mut theirs = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        match serde::Deserialize::deserialize(document) {
            Ok(value) => theirs.push(value),
            Err(_) => return,
        }
    }
    let theirs: Vec<Value> = theirs.iter().filter_map(json_of).filter(|v| !v.is_null()).collect();
    if theirs.len() != ours.len() {
        // A document that JSON cannot hold is no document for us.
        return;
    }
    for (ours, theirs) in ours.iter().zip(&theirs) {
        if let Some((at, ours, theirs)) = difference(ours, theirs, String::new()) {
            panic!("{at}: {ours} here, {theirs} there\n{text}");
        }
    }
}

/// A value of the other reader as JSON; none if JSON has no such value.
fn json_of(value: &serde_yaml::Value) -> Option<Value> {
    Some(match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(value) => Value::from(*value),
        serde_yaml::Value::Number(number) => {
            let number = number
                .as_i64()
                .map(Number::from)
                .or_else(|| number.as_u64().map(Number::from))
                .or_else(|| Number::from_f64(number.as_f64()?))?;
            Value::Number(number)
        }
        serde_yaml::Value::String(text) => Value::from(text.as_str()),
        serde_yaml::Value::Sequence(items) => Value::Array(items.iter().map(json_of).collect::<Option<_>>()?),
        serde_yaml::Value::Mapping(fields) => {
            let mut out = Map::new();
            for (key, value) in fields {
                let key = match json_of(key)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                out.insert(key, json_of(value)?);
            }
            Value::Object(out)
        }
        serde_yaml::Value::Tagged(tagged) => json_of(&tagged.value)?,
    })
}

/// The first place where two readings differ and may not.
///
/// They may differ where YAML 1.1, which Kubernetes reads, and YAML 1.2 do: `yes`, `0644`, `1_000`; merge keys; whole
/// numbers that are written with a fraction; keys that are not text; tags.
fn difference(ours: &Tree, theirs: &Value, at: String) -> Option<(String, String, String)> {
    use wavetank::api::manifest::tree::Value as Ours;
    let differs = || Some((at.clone(), format!("{:?}", ours.value), theirs.to_string()));
    match (&ours.value, theirs) {
        (Ours::Map(fields), Value::Object(others)) => {
            if others.contains_key("<<") {
                return None;
            }
            let plain = |key: &str| key.starts_with(|c: char| c.is_alphabetic()) && !is_word_of_1_1(key);
            for (key, value) in fields {
                match others.get(&key.text) {
                    Some(other) => {
                        let found = difference(value, other, format!("{at}.{}", key.text));
                        if found.is_some() {
                            return found;
                        }
                    }
                    None if plain(&key.text) => return differs(),
                    None => {}
                }
            }
            if fields.len() == others.len() { None } else { differs() }
        }
        (Ours::Seq(items), Value::Array(others)) if items.len() == others.len() => items
            .iter()
            .zip(others)
            .enumerate()
            .find_map(|(i, (item, other))| difference(item, other, format!("{at}[{i}]"))),
        (Ours::Str(text), Value::String(other)) if text == other => None,
        (Ours::Bool(value), Value::Bool(other)) if value == other => None,
        (Ours::Null, Value::Null) => None,
        (Ours::Int(_) | Ours::UInt(_) | Ours::Float(_), Value::Number(other)) => {
            // upstream: float64
            let (a, b) = (ours.to_json().as_f64()?, other.as_f64()?);
            let same = (a - b).abs() <= a.abs().max(b.abs()) * 1e-12;
            // `0644` is octal in YAML 1.1 only.
            if same || ours.span.end - ours.span.start > 1 { None } else { differs() }
        }
        // `yes` and `0644`, `1_000`, `0b1`: words and numbers of YAML 1.1 only.
        (Ours::Bool(_), Value::String(other)) if is_word_of_1_1(other) => None,
        (Ours::Int(_) | Ours::UInt(_) | Ours::Float(_), Value::String(other))
            if other.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) =>
        {
            None
        }
        // A number that no `f64` holds is text here, and infinite or as long there.
        (Ours::Str(text), Value::Number(_)) if text.len() > 15 || text.starts_with(['+', '-', '0', '.']) => {
            None
        }
        (Ours::Str(text), Value::Null) if text.is_empty() => None,
        _ => differs(),
    }
}

fn is_word_of_1_1(word: &str) -> bool {
    matches!(
        word.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null" | "~"
    )
}

#[test]
fn the_projects_own_texts_mean_the_same_to_both_readers() {
    let (own, others) = seeds();
    own.iter().chain(others).for_each(|seed| compare(&seed.text));
}

/// What stands in a cell of a table.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..5000u32).prop_map(|n| n.to_string()),
        1 => "[-+.eE0-9]{0,12}",
        1 => "[a-zA-Z|]{0,8}",
        1 => "\\PC{0,6}",
        1 => Just("\"a,\nb\"".to_owned()),
        1 => Just("9223372036854775807".to_owned()),
    ]
}

proptest! {
    /// Whatever a file of Pods or of nodes holds, packed or cut off: it is refused with its place, or it runs.
    #[test]
    fn tables_are_read_or_refused(
        rows in prop::collection::vec(prop::collection::vec(cell(), 0..7), 0..12),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        at in any::<prop::sample::Index>(),
        packed in any::<bool>(),
        skip in any::<bool>(),
        format in prop_oneof![Just("csv"), Just("ndjson")],
    ) {
        let mut table = b"at,run,cpu,n,model,prio\n".to_vec();
        for row in &rows {
            let line = match format {
                "csv" => row.join(","),
                _ => serde_json::json!({"at": row.first(), "run": row.get(1), "cpu": row.get(2), "n": 1}).to_string(),
            };
            table.extend(line.into_bytes());
            table.push(b'\n');
        }
        if packed {
            use std::io::Write;
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(&table).unwrap();
            table = packer.finish().unwrap();
        }
        let place = at.index(table.len());
        if !bytes.is_empty() && bytes[0] < 128 {
            table.splice(place..place, bytes);
        }
        let bad = if skip { "skip" } else { "refuse" };
        let text = format!(
            "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: t}}\nspec:\n  duration: 10m\n  \
             cluster:\n    nodes: [{{name: x}}]\n    nodeFiles: [{{file: t, format: {format}, columns: {{capacity: {{cpu: cpu}}}}, limit: 4}}]\n  \
             traces:\n    - {{name: t, file: t, format: {format}, badRows: {bad}, limit: 20, columns: {{arrival: at, duration: run, \
             priority: prio, requests: {{cpu: {{column: cpu, unit: m}}}}, nodeSelector: {{model: {{column: model, separator: \"|\"}}}}}}}}\n"
        );
        let files = scenario::MemoryFiles::default().with("t", table);
        let mut sources = SourceMap::default();
        let (plan, found) = scenario::load_text(&files, "s.yaml", &text, &mut sources);
        prop_assert!(plan.is_some() || !found.is_empty());
        if let Some(plan) = plan.filter(|plan| plan.nodes.len() < 50) {
            let mut world = World::new(&plan, &mut NullRecorder);
            world.set_limits(wavetank::kernel::limits::Limits {
                events_max: 5_000,
                same_instant_events_max: 5_000,
                objects_max: 5_000,
            });
            match world.run_to_end(&mut NullRecorder) {
                Ok(()) | Err(Fault::Limit(_)) => {}
                Err(fault @ Fault::Invariant { .. }) => panic!("{fault}"),
            }
        }
    }
}
