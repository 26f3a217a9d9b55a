//! Pages of `docs/` that the program makes lie there as it makes them, and the JSON Schema takes what the reader takes.
//!
//! `UPDATE_DOCS=1 cargo test --test it docs` rewrites the pages.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use wavetank::base::{Severity, SourceMap};
use wavetank::cli::files::{DiskFiles, looks_like_scenario};
use wavetank::cli::reference::PAGES;
use wavetank::scenario;

#[test]
fn generated_pages_are_fresh() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut stale = Vec::new();
    for page in PAGES {
        let made = (page.make)();
        assert!(!made.contains("(no shape"), "{} has a mark without a table", page.path);
        if update {
            std::fs::create_dir_all(Path::new(page.path).parent().unwrap()).unwrap();
            std::fs::write(page.path, &made).unwrap();
        } else if std::fs::read_to_string(page.path).ok().as_deref() != Some(made.as_str()) {
            stale.push(page.path);
        }
    }
    assert!(stale.is_empty(), "{stale:?} are not as the program makes them; run with UPDATE_DOCS=1");
}

#[test]
fn the_reference_describes_every_shape_of_the_file() {
    let page = scenario::reference();
    for shape in scenario::reference::shapes() {
        for field in shape.all() {
            assert!(
                page.contains(&format!("| `{}` |", field.name))
                    || page.contains(&format!("### `{}`", field.name)),
                "docs/SCENARIO.md says nothing of `{}` ({})",
                field.name,
                shape.name
            );
        }
    }
}

/// The tutorial's first scenario, read as it stands (its manifests are not there).
#[test]
fn the_tutorial_is_made_of_scenarios_that_can_be_read() {
    let page = wavetank::scenario::reference();
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|b| b.split("```").next()).collect();
    let [head, behaviour, steps, requests, traces, expectations, autoscalers] = blocks[..] else {
        panic!(
            "head, behaviour, steps, requests, traces, expectations, autoscalers: {} blocks",
            blocks.len()
        );
    };
    let text = [head, behaviour, steps, expectations].concat();
    let shop =
        std::fs::read_to_string(format!("{}/scenarios/manifests/shop.yaml", env!("CARGO_MANIFEST_DIR")))
            .unwrap();
    let jobs =
        "submission_time,start_time,end_time,cpu_milli,memory_mib,num_gpu,gpu_spec\n0,1,2,500,64,1,T4|P100\n";
    let files = wavetank::scenario::MemoryFiles::default()
        .with("s/manifests/shop.yaml", shop)
        .with("s/traces/machines.csv", "sn,cpu_milli,memory_mib,gpu\nm-0,32000,65536,8\n")
        .with("s/traces/jobs.csv.gz", jobs);
    let mut sources = wavetank::base::SourceMap::default();
    let (plan, found) = wavetank::scenario::load_text(&files, "s/first.yaml", &text, &mut sources);
    let told = wavetank::report::diagnostics::render(&found, &sources, false);
    let plan = plan.unwrap_or_else(|| panic!("{told}"));
    assert_eq!((plan.steps.len(), plan.expectations.len(), plan.behaviours.len()), (3, 4, 3));
    let text = [head, requests].concat();
    let (plan, found) = wavetank::scenario::load_text(&files, "s/first.yaml", &text, &mut sources);
    let told = wavetank::report::diagnostics::render(&found, &sources, false);
    let plan = plan.unwrap_or_else(|| panic!("{told}"));
    assert_eq!((plan.traffic.len(), plan.traffic[0].calls.len(), plan.expectations.len()), (2, 1, 2));
    let head = "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {name: autoscalers}\nspec:\n  duration: 40m\n";
    let text = format!("{head}{autoscalers}");
    let (plan, found) = wavetank::scenario::load_text(&files, "s/autoscalers.yaml", &text, &mut sources);
    let told = wavetank::report::diagnostics::render(&found, &sources, false);
    let plan = plan.unwrap_or_else(|| panic!("{told}"));
    assert_eq!((plan.node_groups.len(), plan.steps.len(), plan.expectations.len()), (7, 1, 2));
    let text = format!("{head}{traces}");
    let (plan, found) = wavetank::scenario::load_text(&files, "s/traces.yaml", &text, &mut sources);
    let told = wavetank::report::diagnostics::render(&found, &sources, false);
    let plan = plan.unwrap_or_else(|| panic!("{told}"));
    assert_eq!((plan.nodes.len(), plan.traces.len(), plan.expectations.len()), (1, 2, 1));
}

/// What of a value a JSON Schema refuses, as far as the scenario's schema uses the language; none if it takes it.
struct Validator {
    schema: Value,
}

impl Validator {
    fn new() -> Self {
        Self { schema: scenario::schema() }
    }

    fn refuses(&self, value: &Value) -> Option<String> {
        self.check(&self.schema, value, String::new()).err()
    }

    fn check(&self, schema: &Value, value: &Value, at: String) -> Result<(), String> {
        let fail = |why: String| Err(format!("{at}: {why}"));
        for (word, rule) in schema.as_object().unwrap() {
            match word.as_str() {
                "$schema" | "title" | "description" | "$defs" | "format" => {}
                "$ref" => {
                    let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                    self.check(&self.schema["$defs"][name], value, at.clone())?;
                }
                "type" => {
                    let types: Vec<&str> = match rule {
                        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
                        one => one.as_str().into_iter().collect(),
                    };
                    let is = |t: &&str| match *t {
                        "null" => value.is_null(),
                        "boolean" => value.is_boolean(),
                        "string" => value.is_string(),
                        "number" => value.is_number(),
                        "integer" => value.is_i64() || value.is_u64(),
                        "array" => value.is_array(),
                        "object" => value.is_object(),
                        other => panic!("type {other}"),
                    };
                    if !types.iter().any(is) {
                        return fail(format!("{value} is none of {types:?}"));
                    }
                }
                "enum" if !rule.as_array().unwrap().contains(value) => {
                    return fail(format!("{value} is not allowed"));
                }
                "enum" => {}
                "anyOf" => {
                    let all = rule.as_array().unwrap();
                    if !all.iter().any(|s| self.check(s, value, at.clone()).is_ok()) {
                        return fail(format!("{value} has no form that is taken"));
                    }
                }
                "minimum" if value.as_f64().is_some_and(|v| v < rule.as_f64().unwrap()) => {
                    return fail(format!("{value} < {rule}"));
                }
                "maximum" if value.as_f64().is_some_and(|v| v > rule.as_f64().unwrap()) => {
                    return fail(format!("{value} > {rule}"));
                }
                "minimum" | "maximum" => {}
                // Patterns are the reader's own grammars in other words; editors apply them.
                "pattern" => {}
                "minProperties"
                    if value.as_object().is_some_and(|o| (o.len() as u64) < rule.as_u64().unwrap()) =>
                {
                    return fail("too few fields".into());
                }
                "maxProperties"
                    if value.as_object().is_some_and(|o| (o.len() as u64) > rule.as_u64().unwrap()) =>
                {
                    return fail("too many fields".into());
                }
                "minProperties" | "maxProperties" => {}
                "items" => {
                    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, format!("{at}[{i}]"))?;
                    }
                }
                "required" => {
                    for name in rule.as_array().unwrap() {
                        if value.as_object().is_some_and(|o| !o.contains_key(name.as_str().unwrap())) {
                            return fail(format!("{name} is missing"));
                        }
                    }
                }
                "properties" => {
                    for (name, inner) in rule.as_object().unwrap() {
                        if let Some(inner_value) = value.as_object().and_then(|o| o.get(name)) {
                            self.check(inner, inner_value, format!("{at}.{name}"))?;
                        }
                    }
                }
                "additionalProperties" => {
                    let known = schema.get("properties").and_then(Value::as_object);
                    for (name, inner) in value.as_object().into_iter().flatten() {
                        if known.is_some_and(|k| k.contains_key(name)) {
                            continue;
                        }
                        match rule {
                            Value::Bool(false) => return fail(format!("unknown field {name}")),
                            Value::Bool(true) => {}
                            other => self.check(other, inner, format!("{at}.{name}"))?,
                        }
                    }
                }
                other => panic!("the schema uses `{other}`, which this test does not know"),
            }
        }
        Ok(())
    }
}

fn json(text: &str) -> Option<Value> {
    use wavetank::api::manifest::tree::{Limits, read_documents};
    let (documents, found) = read_documents(wavetank::base::SourceId(0), text, &Limits::default());
    match &documents[..] {
        [one] if found.is_empty() => Some(one.to_json()),
        _ => None,
    }
}

/// Scenarios of the gallery, and recorded ones where they are at hand (`WAVETANK_TIMELINES`).
fn scenarios() -> Vec<(String, String)> {
    let mut folders: Vec<std::path::PathBuf> = vec!["scenarios".into()];
    if let Some(folder) = crate::support::outside("WAVETANK_TIMELINES", "timelines/dev") {
        let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
        folders.extend(entries.map(|e| e.path()).filter(|p| p.is_dir()));
    }
    let files = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .filter_map(Result::ok)
        .map(|e| e.path());
    let texts = files
        .filter_map(|path| Some((path.to_string_lossy().into_owned(), std::fs::read_to_string(&path).ok()?)));
    let mut all: Vec<(String, String)> = texts.filter(|(_, text)| looks_like_scenario(text)).collect();
    all.sort();
    all
}

/// Whether the reader refuses a scenario, and with which codes.
fn codes(path: &str, text: &str) -> Vec<&'static str> {
    let mut sources = SourceMap::default();
    let (_, found) = scenario::load_text(&DiskFiles, path, text, &mut sources);
    found.iter().filter(|d| d.severity == Severity::Error).map(|d| d.code).collect()
}

#[test]
fn the_schema_takes_every_scenario_that_the_reader_takes() {
    let validator = Validator::new();
    let all = scenarios();
    assert!(all.len() > 10, "the scenarios were not found");
    for (path, text) in all {
        assert_eq!(codes(&path, &text), Vec::<&str>::new(), "{path}");
        assert_eq!(validator.refuses(&json(&text).unwrap()), None, "{path}");
    }
}

#[test]
fn the_schema_refuses_what_is_not_in_the_grammar() {
    let validator = Validator::new();
    for name in [
        "unknown-scenario-field",
        "missing-field",
        "unknown-verb",
        "wrong-types",
        "not-a-scenario",
        "unknown-flag",
    ] {
        let text = std::fs::read_to_string(format!("scenarios/_invalid/{name}.yaml")).unwrap();
        assert!(validator.refuses(&json(&text).unwrap()).is_some(), "{name}");
    }
}

/// `True` without quotes is a boolean to YAML; the reader takes it for the word, and so must an editor.
#[test]
fn words_that_look_like_booleans_are_taken_as_such() {
    let text = std::fs::read_to_string("scenarios/bare-pods.yaml").unwrap();
    assert!(text.contains("status: Unknown"));
    for status in ["True", "False", "true", "\"True\""] {
        let text = text.replace("status: Unknown", &format!("status: {status}"));
        assert_eq!(codes("bare-pods.yaml", &text), Vec::<&str>::new(), "{status}");
        assert_eq!(Validator::new().refuses(&json(&text).unwrap()), None, "{status}");
    }
}

/// A way to a value inside another.
fn paths(value: &Value, at: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    out.push(at.clone());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| {
            at.push(name.clone());
            paths(inner, at, out);
            at.pop();
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, inner)| {
            at.push(i.to_string());
            paths(inner, at, out);
            at.pop();
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What the schema refuses, the reader refuses, and no unknown field passes the schema. But a field that is left
    /// empty (`duration:`) counts as absent, and an editor marks it.
    #[test]
    fn the_schema_is_as_strict_as_the_reader(
        at in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        odd in prop::sample::select(vec!["1", "-1", "0", "true", "\"x\"", "\"5s\"", "[]", "{}", "[\"a\"]", "1.5", "DROP", "EXTRA"]),
    ) {
        let all = scenarios();
        let (path, text) = at.get(&all);
        let mut value = json(text).unwrap();
        let mut found = Vec::new();
        paths(&value["spec"], &mut vec!["spec".to_owned()], &mut found);
        let way = place.get(&found);
        let pointer = format!("/{}", way.iter().map(|s| s.replace('~', "~0").replace('/', "~1")).collect::<Vec<_>>().join("/"));
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match odd {
            "DROP" => match value.pointer_mut(parent) {
                Some(Value::Object(fields)) => drop(fields.shift_remove(&last.replace("~1", "/").replace("~0", "~"))),
                Some(Value::Array(items)) => drop(items.remove(last.parse().unwrap())),
                _ => {}
            },
            "EXTRA" => if let Some(Value::Object(fields)) = value.pointer_mut(&pointer) {
                fields.insert("surplus".to_owned(), Value::from(1));
            },
            other => *value.pointer_mut(&pointer).unwrap() = serde_json::from_str(other).unwrap(),
        }
        let text = format!("kind: Scenario\n# wavetank.dev/\n---\n{value}");
        let text = text.rsplit_once("---\n").unwrap().1;
        let (refused, by_schema) = (codes(path, text), Validator::new().refuses(&value));
        let unknown = refused.iter().all(|code| *code == "WT0201") && !refused.is_empty();
        prop_assert!(!unknown || by_schema.is_some(), "{}: the schema takes an unknown field\n{:#}", path, value);
        if let Some(why) = by_schema {
            prop_assert!(!refused.is_empty(), "{}: the schema refuses {}, the reader does not\n{:#}", path, why, value);
        }
    }
}
