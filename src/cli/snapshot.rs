//! Snapshots: lists of API objects from files, as `kubectl get … -o yaml` writes them.

use std::collections::BTreeSet;

use super::exit::Exit;
use super::files::DiskFiles;
use super::output::Context;
use crate::api::manifest::{self, Class, Loaded};
use crate::api::{Object, lower};
use crate::base::{Arc, Diagnostic, Severity, SourceId, SourceMap};
use crate::scenario::{self, Files};
use crate::scheduler::Config;

/// The objects of a snapshot.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// In the order of the input.
    pub objects: Vec<Object>,
    /// The `KubeSchedulerConfiguration` among them, or the default.
    pub config: Config,
    /// What has no effect here, in words.
    pub notes: Vec<String>,
}

/// Reads files, folders, globs and standard input, and says what is wrong with them.
///
/// # Errors
/// The exit code, if anything cannot be read.
pub fn read(patterns: &[String], context: &Context) -> Result<Snapshot, Exit> {
    let mut sources = SourceMap::default();
    let mut ids = Vec::new();
    for pattern in patterns {
        let found = add_sources(pattern, &mut sources).map_err(|why| {
            context.complain(&format!("{pattern}: {why}"));
            Exit::Input
        })?;
        ids.extend(found);
    }
    let (snapshot, diagnostics) = assemble(&sources, &ids);
    let (notes, serious): (Vec<Diagnostic>, Vec<Diagnostic>) =
        diagnostics.into_iter().partition(|d| d.severity == Severity::Note);
    context.diagnose(&serious, &sources);
    if serious.iter().any(|d| d.severity == Severity::Error) {
        return Err(Exit::Input);
    }
    let mut snapshot = snapshot;
    snapshot.notes.extend(notes.into_iter().map(|d| d.message));
    Ok(snapshot)
}

fn add_sources(pattern: &str, sources: &mut SourceMap) -> Result<Vec<SourceId>, String> {
    let files = DiskFiles;
    let mut ids = Vec::new();
    for path in files.expand(pattern)? {
        let bytes =
            files.read(&path).map_err(|why| if path == pattern { why } else { format!("{path}: {why}") })?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{path}: the file is not text in UTF-8"))?;
        let name = if path == "-" { "<stdin>".to_owned() } else { path };
        ids.push(sources.add(name, text));
    }
    Ok(ids)
}

/// The objects of some texts, with everything that is to be said of them.
pub fn assemble(sources: &SourceMap, ids: &[SourceId]) -> (Snapshot, Vec<Diagnostic>) {
    let read = manifest::read_snapshot(sources, ids);
    let (borne, mut diagnostics) = split_borne(read.diagnostics);
    let mut snapshot = Snapshot { notes: borne, ..Snapshot::default() };
    let mut seen = BTreeSet::new();
    for loaded in &read.objects {
        if loaded.class == Class::Configuration {
            match configuration(loaded) {
                Ok(config) => snapshot.config = config.unwrap_or(snapshot.config),
                Err(found) => diagnostics.extend(found),
            }
            continue;
        }
        match object(loaded) {
            Ok(object) if seen.insert((object.kind_name(), object.key())) => snapshot.objects.push(object),
            Ok(object) => {
                let message = format!("{} \"{}\" is there twice", object.kind_name(), object.key());
                let place = loaded.tree.path_span("metadata.name");
                diagnostics.push(Diagnostic::error("WT0210", message).at(place, "again"));
            }
            Err(found) => diagnostics.extend(found),
        }
    }
    resolve_priorities(&mut snapshot.objects);
    (snapshot, diagnostics)
}

/// Takes out the warnings about what a server would not accept now: one note tells of all of them.
fn split_borne(all: Vec<Diagnostic>) -> (Vec<String>, Vec<Diagnostic>) {
    let is_borne =
        |d: &Diagnostic| d.severity == Severity::Warning && ("WT0107"..="WT0116").contains(&d.code);
    let (borne, rest): (Vec<Diagnostic>, Vec<Diagnostic>) = all.into_iter().partition(is_borne);
    let note = match borne.as_slice() {
        [] => None,
        [one] => Some(format!("an API server would not accept this now: {}", one.message)),
        [first, others @ ..] => Some(format!(
            "an API server would not accept this now: {}; and {} more such values",
            first.message,
            others.len()
        )),
    };
    (note.into_iter().collect(), rest)
}

fn configuration(loaded: &Loaded) -> Result<Option<Config>, Vec<Diagnostic>> {
    if loaded.kind != "KubeSchedulerConfiguration" {
        return Ok(None);
    }
    scenario::scheduler_config::read(&loaded.tree).map(Some)
}

/// A manifest as an object, in the namespace `default` if it names none, with an identity if it has none.
fn object(loaded: &Loaded) -> Result<Object, Vec<Diagnostic>> {
    let mut json = loaded.json();
    let mut new = false;
    if let Some(meta) = json.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        if loaded.namespaced && loaded.namespace().is_empty() {
            meta.insert("namespace".to_owned(), "default".into());
        }
        new = meta.get("uid").and_then(serde_json::Value::as_str).is_none_or(str::is_empty);
        if new {
            let namespace = meta.get("namespace").and_then(serde_json::Value::as_str).unwrap_or_default();
            let uid = format!("{namespace}.{}", loaded.name());
            meta.insert("uid".to_owned(), uid.trim_start_matches('.').into());
        }
    }
    let lowered = lower::object(json).map(|mut object| {
        if let (Object::Pod(pod), true) = (&mut object, new) {
            lower::merge_label_keys(Arc::make_mut(pod));
        }
        object
    });
    lowered.map_err(|errors| {
        let told = |error: lower::LowerError| {
            let message = format!("{} \"{}\" is invalid: {error}", loaded.kind, loaded.name());
            Diagnostic::error("WT0216", message).at(loaded.tree.path_span(&error.path), "")
        };
        errors.into_iter().map(told).collect()
    })
}

/// Pods that no API server has seen have a priority class at most: looks their priority up.
///
/// Upstream: `plugin/pkg/admission/priority/admission.go`, v1.34.
fn resolve_priorities(objects: &mut [Object]) {
    let classes: Vec<_> = objects
        .iter()
        .filter_map(|o| if let Object::PriorityClass(class) = o { Some(class.clone()) } else { None })
        .collect();
    for object in objects.iter_mut() {
        let Object::Pod(pod) = object else { continue };
        if pod.spec.raw.priority.is_some() {
            continue;
        }
        let name = pod.spec.priority_class_name.as_str();
        let (value, never) = match name {
            "system-node-critical" => (2_000_001_000, false),
            "system-cluster-critical" => (2_000_000_000, false),
            "" => match classes.iter().filter(|c| c.global_default).min_by_key(|c| c.value) {
                Some(class) => (class.value, class.never_preempts),
                None => continue,
            },
            _ => match classes.iter().find(|c| c.meta.name == name) {
                Some(class) => (class.value, class.never_preempts),
                None => continue,
            },
        };
        let spec = Arc::make_mut(&mut Arc::make_mut(pod).spec);
        spec.priority = value;
        spec.never_preempts |= never && spec.raw.preemption_policy.is_none();
    }
}
