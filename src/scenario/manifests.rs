//! Manifests of a scenario: files, folders, globs and documents in place, to planned objects.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::code;
use super::files::{Files, beside};
use super::read::{Fields, Reader};
use super::scheduler_config;
use super::tables;
use crate::api::lower;
use crate::api::manifest::tree::{Limits, Tree, Value, read_documents};
use crate::api::manifest::{self, Class, Loaded};
use crate::api::{Kind, Object};
use crate::base::{Arc, Diagnostic, SourceId, Span, Str};
use crate::plan::PlannedObject;

/// At most so many Pods of one workload; what asks for more would only fill the memory.
pub const PODS_MAX: i64 = 1_000_000;
/// The kind of kube-scheduler's configuration.
const SCHEDULER_CONFIGURATION: &str = "KubeSchedulerConfiguration";
/// At most so many files in one scenario.
const FILES_MAX: usize = 10_000;

/// What a mapping without `inline` is meant to be, if it can be told: a document, or a file.
fn probably(tree: &Tree) -> Option<String> {
    let entries = tree.as_map()?;
    if tree.get("inline").is_some() {
        None
    } else if tree.get("kind").is_some() || tree.get("apiVersion").is_some() {
        Some("the document goes under `inline`: `- inline: {apiVersion: …, kind: …}`".to_owned())
    } else if let [(_, value)] = entries
        && let Some(path) = value.as_str()
    {
        Some(format!("a path is written as plain text: `- {path}`"))
    } else {
        None
    }
}

/// Reads manifests for a scenario and remembers what it has seen.
pub struct Manifests<'a> {
    files: &'a dyn Files,
    /// The scenario's own path.
    scenario: &'a str,
    /// Files that have been read, so that two steps can apply the same one.
    sources: BTreeMap<String, SourceId>,
    /// Kinds that Kubernetes does not know, with their scope.
    pub custom: Vec<(Str, bool)>,
    /// `KubeSchedulerConfiguration` documents.
    pub scheduler_config: Option<(Json, Span)>,
}

impl<'a> Manifests<'a> {
    /// Manifests beside the scenario called `scenario`.
    pub fn new(files: &'a dyn Files, scenario: &'a str) -> Self {
        Self { files, scenario, sources: BTreeMap::new(), custom: Vec::new(), scheduler_config: None }
    }

    /// The text of another file beside the scenario.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn text(&self, path: &str) -> Result<String, String> {
        String::from_utf8(self.bytes(path)?).map_err(|_| "the file is not text in UTF-8".to_owned())
    }

    /// The bytes of another file beside the scenario.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        self.files.read(&beside(self.scenario, path))
    }

    /// Reads a list of manifests, or a single one.
    pub fn read(&mut self, reader: &mut Reader<'_>, tree: &Tree) -> Vec<PlannedObject> {
        let mut documents = Vec::new();
        if matches!(tree.value, Value::Str(_)) {
            self.entry(reader, tree, &mut documents);
        } else {
            for entry in reader.elements(tree, "manifest") {
                self.entry(reader, entry, &mut documents);
            }
        }
        let read = manifest::read_trees(documents);
        for diagnostic in read.diagnostics {
            // The same file may be applied by several steps.
            if !reader.diagnostics.contains(&diagnostic) {
                reader.note(diagnostic);
            }
        }
        read.objects.iter().filter_map(|loaded| self.planned(reader, loaded)).collect()
    }

    fn entry(&mut self, reader: &mut Reader<'_>, tree: &Tree, documents: &mut Vec<Tree>) {
        match &tree.value {
            Value::Str(path) => self.path(reader, path, tree.span, documents),
            Value::Map(_) => {
                if let Some(help) = probably(tree) {
                    let message = "a manifest here is a path, or `inline` with documents";
                    reader.cure::<()>(code::BAD_VALUE, tree.head_span(), message, help);
                    return;
                }
                let Some(fields) = Fields::open(reader, tree, &tables::INLINE) else { return };
                let Some(inline) = fields.get("inline") else { return };
                match &inline.value {
                    Value::Str(_) if in_place(reader, inline.span, documents) => {}
                    Value::Str(text) => {
                        let line = reader.sources.line_column(inline.span).map_or(0, |(line, _)| line);
                        let name = format!("{}:{line}: inline", self.scenario);
                        let id = reader.sources.add(name, text.as_str());
                        documents_of(reader, id, documents);
                    }
                    Value::Seq(all) => documents.extend(all.iter().cloned()),
                    Value::Null
                    | Value::Bool(_)
                    | Value::Int(_)
                    | Value::UInt(_)
                    | Value::Float(_)
                    | Value::Map(_) => documents.push(inline.clone()),
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Seq(_) => {
                reader.expected::<()>(tree, "a path, or `inline` with documents");
            }
        }
    }

    fn path(&mut self, reader: &mut Reader<'_>, path: &str, span: Span, documents: &mut Vec<Tree>) {
        let pattern = beside(self.scenario, path);
        let paths = match self.files.expand(&pattern) {
            Ok(paths) => paths,
            Err(why) => {
                let help = "paths are relative to the scenario file";
                reader.cure::<()>(code::FILE, span, format!("`{path}`: {why}"), help);
                return;
            }
        };
        if paths.is_empty() {
            reader.error::<()>(code::FILE, span, format!("`{path}` stands for no file"));
        }
        for path in paths {
            if let Some(id) = self.source(reader, &path, span) {
                documents_of(reader, id, documents);
            }
        }
    }

    fn source(&mut self, reader: &mut Reader<'_>, path: &str, span: Span) -> Option<SourceId> {
        if let Some(id) = self.sources.get(path) {
            return Some(*id);
        }
        if self.sources.len() >= FILES_MAX {
            return reader.error(code::LIMIT, span, format!("more than {FILES_MAX} files"));
        }
        let text = self.files.read(path).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| "the file is not text in UTF-8".to_owned())
        });
        match text {
            Ok(text) => {
                let id = reader.sources.add(path, text);
                self.sources.insert(path.to_owned(), id);
                Some(id)
            }
            Err(why) => reader.error(code::FILE, span, format!("`{path}`: {why}")),
        }
    }

    fn planned(&mut self, reader: &mut Reader<'_>, loaded: &Loaded) -> Option<PlannedObject> {
        match loaded.class {
            Class::Configuration => {
                if loaded.kind == SCHEDULER_CONFIGURATION {
                    let wrong = scheduler_config::read(&loaded.tree).err();
                    wrong.into_iter().flatten().for_each(|diagnostic| reader.note(diagnostic));
                    self.scheduler_config = Some((loaded.json(), loaded.origin));
                }
                return None;
            }
            Class::Custom => {
                let kind = Str::from(loaded.kind.as_str());
                if !self.custom.iter().any(|(known, _)| *known == kind) {
                    self.custom.push((kind, loaded.namespaced));
                }
            }
            Class::Simulated(_) | Class::Carried => {}
        }
        if loaded.name().is_empty() {
            let place = loaded.tree.path_span("metadata.generateName");
            return reader.cure(
                code::BAD_MANIFEST,
                place,
                "cannot use generate name with apply",
                "give the object a `metadata.name`",
            );
        }
        let json = applied(loaded);
        match lower::object(json.clone()) {
            Ok(object) => {
                if let Some(error) = too_many_pods(loaded, &object) {
                    reader.note(error);
                    return None;
                }
                let origin = loaded.tree.path_span("metadata.name");
                Some(PlannedObject { json: Arc::new(json), object, origin })
            }
            Err(errors) => {
                for error in errors {
                    reader.note(bad_manifest(loaded, &error));
                }
                None
            }
        }
    }
}

/// What the simulation cannot make of an object that the API server would take.
pub(super) fn cannot_be_applied(loaded: &Loaded) -> Vec<Diagnostic> {
    if loaded.kind == SCHEDULER_CONFIGURATION {
        return scheduler_config::read(&loaded.tree).err().unwrap_or_default();
    }
    if loaded.class == Class::Configuration || loaded.name().is_empty() {
        return Vec::new();
    }
    match lower::object(applied(loaded)) {
        Ok(object) => too_many_pods(loaded, &object).into_iter().collect(),
        Err(errors) => errors.iter().map(|error| bad_manifest(loaded, error)).collect(),
    }
}

fn too_many_pods(loaded: &Loaded, object: &Object) -> Option<Diagnostic> {
    let (pods, path) = match object {
        Object::Deployment(o) => (o.replicas, "spec.replicas"),
        Object::ReplicaSet(o) => (o.replicas, "spec.replicas"),
        Object::ReplicationController(o) => (o.0.replicas, "spec.replicas"),
        Object::StatefulSet(o) => (o.replicas, "spec.replicas"),
        Object::Job(o) => (o.parallelism.min(o.completions.unwrap_or(i32::MAX)), "spec.parallelism"),
        Object::CronJob(o) => {
            let job = &o.job_template;
            (job.parallelism.min(job.completions.unwrap_or(i32::MAX)), "spec.jobTemplate.spec.parallelism")
        }
        _ => return None,
    };
    (i64::from(pods) > PODS_MAX).then(|| {
        let message =
            format!("{} \"{}\" asks for {pods} Pods, more than {PODS_MAX}", loaded.kind, loaded.name());
        Diagnostic::error(code::LIMIT, message).at(loaded.tree.path_span(path), "")
    })
}

fn bad_manifest(loaded: &Loaded, error: &lower::LowerError) -> Diagnostic {
    let message = format!("{} \"{}\" is invalid: {error}", loaded.kind, loaded.name());
    Diagnostic::error(code::BAD_MANIFEST, message).at(loaded.tree.path_span(&error.path), "")
}

/// Reads the documents of a literal block (`inline: |`) where they stand, so that mistakes have their place in the
/// scenario file. False if the text is not one, or is divided in a way that only a reader of the whole sees.
fn in_place(reader: &mut Reader<'_>, span: Span, documents: &mut Vec<Tree>) -> bool {
    let Some(pieces) = reader.sources.get(span.source).and_then(|s| pieces_of(&s.text, span)) else {
        return false;
    };
    for (start, text) in pieces {
        let (trees, diagnostics) = read_documents(span.source, &text, &Limits::default());
        for mut diagnostic in diagnostics {
            for (span, _) in diagnostic.label.iter_mut().chain(&mut diagnostic.related) {
                *span = moved(*span, start);
            }
            reader.note(diagnostic);
        }
        documents.extend(trees.into_iter().map(|mut tree| {
            tree.move_by(start);
            tree
        }));
    }
    true
}

fn moved(span: Span, by: u32) -> Span {
    Span { source: span.source, start: span.start.saturating_add(by), end: span.end.saturating_add(by) }
}

/// The documents of a literal block with the bytes at which they begin in the whole text.
fn pieces_of(text: &str, span: Span) -> Option<Vec<(u32, String)>> {
    // The value begins with its first line; the line before it says that it is literal.
    let body = text.get(..span.start as usize)?.rfind('\n')? + 1;
    let header = text[..body].lines().next_back()?.split(" #").next().unwrap_or_default().trim_end();
    if !["|", "|-", "|+"].iter().any(|mark| header.ends_with(&format!(": {mark}"))) {
        return None;
    }
    let lines = || text.get(body..span.end as usize).unwrap_or_default().split_inclusive('\n');
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let depth = lines().filter(|l| !l.trim().is_empty()).map(indent).min()?;
    let (mut pieces, mut at) = (vec![(body as u32, String::new())], body);
    for line in lines() {
        let content = line.get(depth..).unwrap_or_default().trim_end();
        at += line.len();
        match content {
            "---" => pieces.push((at as u32, String::new())),
            _ if content.starts_with("---") || content.starts_with("...") || content.starts_with('%') => {
                return None;
            }
            _ => pieces.last_mut()?.1.push_str(line),
        }
    }
    Some(pieces)
}

fn documents_of(reader: &mut Reader<'_>, id: SourceId, documents: &mut Vec<Tree>) {
    let Some(text) = reader.sources.get(id).map(|s| Arc::clone(&s.text)) else { return };
    let (trees, diagnostics) = read_documents(id, &text, &Limits::default());
    for diagnostic in diagnostics {
        if !reader.diagnostics.contains(&diagnostic) {
            reader.note(diagnostic);
        }
    }
    documents.extend(trees);
}

/// What the API server would take of a manifest: the namespace filled in, and without what only the
/// server writes. A Node keeps its status, as creating one does.
///
/// Upstream: `pkg/registry/*/strategy.go` `PrepareForCreate`, `apiserver/pkg/registry/rest/create.go`, v1.34.
fn applied(loaded: &Loaded) -> Json {
    let mut json = loaded.json();
    let Some(fields) = json.as_object_mut() else { return json };
    if matches!(loaded.class, Class::Simulated(kind) if kind != Kind::Node) {
        fields.shift_remove("status");
    }
    if let Some(meta) = fields.get_mut("metadata").and_then(Json::as_object_mut) {
        for server in [
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
            "selfLink",
        ] {
            meta.shift_remove(server);
        }
        if loaded.namespaced || loaded.class == Class::Custom && meta.contains_key("namespace") {
            let unset = meta.get("namespace").is_none_or(|n| n.as_str().is_none_or(str::is_empty));
            if unset {
                meta.insert("namespace".to_owned(), Json::from("default"));
            }
        } else {
            meta.shift_remove("namespace");
        }
    }
    json
}

/// Kind, namespace and name of a planned object, for looking it up.
pub fn identity(object: &Object) -> (Str, Str, Str) {
    let meta = object.meta();
    (object.kind_name(), meta.namespace.clone(), meta.name.clone())
}
