//! Manifests: text to objects of the Kubernetes API, with the place of every mistake.
//!
//! ```text
//! text ── tree::read_documents ──► trees ── kinds (typed check, validation) ──► Loaded + diagnostics
//! ```
//!
//! A [`Loaded`] object has been read as its boundary type (`k8s-openapi`, v1.34) without a complaint
//! and holds its text as a [`tree::Tree`]; defaulting and lowering start from [`Loaded::json`].

pub mod coverage;
mod kinds;
mod notes;
pub mod tree;
pub mod validate;

use std::borrow::Cow;

use notes::Notes;
use tree::de::{TypeError, UnknownField, Words, from_tree_all};
use tree::{Key, Limits, Tree, Value, read_documents};

use super::metav1::ObjectMeta;
use super::object::Kind;
use crate::base::diag::did_you_mean;
use crate::base::{Diagnostic, Severity, SourceId, SourceMap, Span};
use validate::FieldError;

/// Kinds that v1.34 serves and that are carried without effect, with whether they live in namespaces.
pub fn carried_kinds() -> impl Iterator<Item = (&'static str, bool)> {
    kinds::SERVED.iter().filter(|row| row.simulated.is_none()).map(|row| (row.kind, row.namespaced))
}

/// What the simulation makes of an object's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It plays a part.
    Simulated(Kind),
    /// A kind of Kubernetes that is carried without effect: ConfigMap, Role, Ingress …
    Carried,
    /// A kind that Kubernetes does not know: carried without effect.
    Custom,
    /// Configuration of a component, not an object: `KubeSchedulerConfiguration`.
    Configuration,
}

/// An object as it was written.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Group and version as written: `apps/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// What the simulation makes of it.
    pub class: Class,
    /// Whether the kind lives in namespaces; a guess for kinds that Kubernetes does not know.
    pub namespaced: bool,
    /// Where it stands.
    pub origin: Span,
    /// What was written.
    pub tree: Tree,
}

impl Loaded {
    /// The object as JSON, in the version that the simulation works with: an `autoscaling/v1`
    /// autoscaler is converted to `autoscaling/v2`.
    pub fn json(&self) -> serde_json::Value {
        let mut json = self.tree.to_json();
        if self.class == Class::Simulated(Kind::HorizontalPodAutoscaler)
            && self.api_version == "autoscaling/v1"
        {
            autoscaler_to_v2(&mut json);
        }
        json
    }

    /// The name, or nothing.
    pub fn name(&self) -> &str {
        self.tree.lookup("metadata.name").and_then(Tree::as_str).unwrap_or_default()
    }

    /// The namespace, or nothing.
    pub fn namespace(&self) -> &str {
        self.tree.lookup("metadata.namespace").and_then(Tree::as_str).unwrap_or_default()
    }
}

/// The part of the conversion that a user can write; upstream: `pkg/apis/autoscaling/v1/conversion.go`, v1.34.
fn autoscaler_to_v2(json: &mut serde_json::Value) {
    if let Some(version) = json.get_mut("apiVersion") {
        *version = "autoscaling/v2".into();
    }
    let Some(spec) = json.get_mut("spec").and_then(serde_json::Value::as_object_mut) else { return };
    if let Some(percent) = spec.shift_remove("targetCPUUtilizationPercentage").filter(|p| !p.is_null()) {
        let target = serde_json::json!({"type": "Utilization", "averageUtilization": percent});
        let metric = serde_json::json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".to_owned(), serde_json::Value::Array(vec![metric]));
    }
}

/// The objects of some texts, and everything that is to be said of them.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// Objects without a mistake, in the order of the texts.
    pub objects: Vec<Loaded>,
    /// Mistakes and notes; without an error among them, `objects` is complete.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the objects of the texts `ids`. What is worth a note is noted once for all of them.
pub fn read(sources: &SourceMap, ids: &[SourceId]) -> Manifests {
    read_within(sources, ids, &Limits::default())
}

/// As [`read`], under limits.
pub fn read_within(sources: &SourceMap, ids: &[SourceId], limits: &Limits) -> Manifests {
    let mut reader = Reader::default();
    reader.texts(sources, ids, limits);
    let Reader { mut out, notes, .. } = reader;
    out.diagnostics.extend(notes.into_diagnostics());
    out
}

/// Reads what a cluster holds, as `kubectl get -o yaml` writes it. What a server would not accept if it were created
/// now is told in warnings and kept: unknown fields and invalid values of objects that a server has made (they have
/// a uid), invalid values of other kinds than Pods.
pub fn read_snapshot(sources: &SourceMap, ids: &[SourceId]) -> Manifests {
    let mut reader = Reader { snapshot: true, ..Reader::default() };
    reader.texts(sources, ids, &Limits::default());
    let Reader { mut out, notes, .. } = reader;
    out.diagnostics.extend(notes.into_diagnostics());
    out
}

/// Reads objects that have been read as trees already: documents inside another text.
pub fn read_trees(trees: Vec<Tree>) -> Manifests {
    let mut reader = Reader::default();
    for tree in trees {
        reader.object(tree, None);
    }
    let Reader { mut out, notes, .. } = reader;
    out.diagnostics.extend(notes.into_diagnostics());
    out
}

/// What the API server refuses of an object that is changed, by its JSON form before and after: the rules for new
/// objects, so far as the change breaks them. What must not change at all is the store's business.
pub fn invalid_changes(before: &serde_json::Value, after: &serde_json::Value) -> Vec<FieldError> {
    let mut errors = invalid(after, after);
    if !errors.is_empty() {
        let known = invalid(before, after);
        errors.retain(|error| !known.contains(error));
    }
    errors
}

/// What the API server refuses of a new object, by its JSON form.
pub fn invalid_object(json: &serde_json::Value) -> Vec<FieldError> {
    invalid(json, json)
}

/// What is wrong with an object by the rules of the kind that `like` is.
fn invalid(json: &serde_json::Value, like: &serde_json::Value) -> Vec<FieldError> {
    let field = |name: &str| like.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let Some(row) = kinds::find(field("apiVersion"), field("kind")) else { return Vec::new() };
    let nowhere = Span { source: SourceId(0), start: 0, end: 0 };
    (row.check)(&Tree::of_json(json, nowhere)).field_errors
}

#[derive(Default)]
struct Reader {
    out: Manifests,
    notes: Notes,
    /// What is read is a cluster's state, not something to create.
    snapshot: bool,
}

/// What the items of a typed list are, if they do not say it themselves.
struct Inherited {
    api_version: String,
    kind: String,
    span: Span,
}

impl Reader {
    fn texts(&mut self, sources: &SourceMap, ids: &[SourceId], limits: &Limits) {
        for id in ids {
            let Some(source) = sources.get(*id) else { continue };
            let (trees, diagnostics) = read_documents(*id, &source.text, limits);
            self.out.diagnostics.extend(diagnostics);
            for tree in trees {
                self.object(tree, None);
            }
        }
    }

    fn error(&mut self, code: &'static str, message: impl Into<String>, span: Span, label: &str) {
        self.out.diagnostics.push(Diagnostic::error(code, message).at(span, label));
    }

    fn object(&mut self, mut tree: Tree, inherited: Option<&Inherited>) {
        if tree.as_map().is_none() {
            let found = match tree.kind_name() {
                name @ ("array" | "object") => format!("an {name}"),
                name => format!("a {name}"),
            };
            let message = format!("a manifest is an object with `apiVersion` and `kind`, not {found}");
            self.error("WT0105", message, tree.head_span(), "not an object");
            return;
        }
        if let (Some(inherited), Value::Map(entries)) = (inherited, &mut tree.value) {
            inherit(entries, "kind", &inherited.kind, inherited.span);
            inherit(entries, "apiVersion", &inherited.api_version, inherited.span);
        }
        if is_kustomization(&tree) {
            self.notes.left_out("Kustomization", tree.head_span());
            return;
        }
        let Some(kind) = self.header(&tree, "kind", "Object 'Kind' is missing") else { return };
        let Some(api_version) = self.header(&tree, "apiVersion", "apiVersion not set") else { return };
        if let Some(item) = kind.strip_suffix("List").filter(|_| is_list(&tree)) {
            let item = Inherited {
                api_version: api_version.clone(),
                kind: item.to_owned(),
                span: tree.path_span("kind"),
            };
            self.list(tree, &item);
            return;
        }
        let group = kinds::group(&api_version);
        match kinds::find(&api_version, &kind) {
            Some(row) => self.known(tree, row),
            None if kinds::is_built_in(group) => {
                let (message, help) = kinds::no_match(&api_version, &kind);
                let span = tree.path_span(if help.as_deref().is_some_and(|h| h.starts_with("did")) {
                    "kind"
                } else {
                    "apiVersion"
                });
                let diagnostic = Diagnostic::error("WT0108", message).at(span, "not served by v1.34");
                self.out.diagnostics.push(match help {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                });
            }
            None => self.unknown(tree, api_version, kind),
        }
    }

    /// A field of the head of an object that must be a string.
    fn header(&mut self, tree: &Tree, name: &str, missing: &str) -> Option<String> {
        match tree.entry(name) {
            Some((_, value)) if value.as_str().is_some_and(|text| !text.is_empty()) => {
                value.as_str().map(str::to_owned)
            }
            Some((_, value)) if !value.is_null() && value.as_str().is_none() => {
                let message = format!(
                    "json: cannot unmarshal {} into Go struct field TypeMeta.{name} of type string",
                    value.kind_name()
                );
                self.error("WT0106", message, tree.path_span(name), "must be a string");
                None
            }
            _ => {
                let mut diagnostic =
                    Diagnostic::error("WT0105", missing).at(tree.head_span(), "this document");
                let near = tree
                    .as_map()
                    .and_then(|entries| did_you_mean(name, entries.iter().map(|(key, _)| key.text.as_str())));
                diagnostic = match near {
                    Some(near) => diagnostic.help(format!("did you mean `{name}` where it says `{near}`?")),
                    None => diagnostic.help("only objects of the Kubernetes API can be read here"),
                };
                self.out.diagnostics.push(diagnostic);
                None
            }
        }
    }

    fn list(&mut self, tree: Tree, item: &Inherited) {
        let Value::Map(entries) = tree.value else { return };
        for (key, value) in entries {
            match (key.text.as_str(), value.value) {
                ("items", Value::Seq(items)) => {
                    for tree in items {
                        self.object(tree, (!item.kind.is_empty()).then_some(item));
                    }
                }
                ("apiVersion" | "kind" | "metadata" | "items", _) => {}
                (other, _) => {
                    let message = format!("unknown field {other:?}");
                    self.error("WT0107", message, key.span, "a list has `items` only");
                }
            }
        }
    }

    fn known(&mut self, tree: Tree, row: &'static kinds::Served) {
        let checked = (row.check)(&tree);
        let name = tree.lookup("metadata.name").and_then(Tree::as_str).unwrap_or_default().to_owned();
        let made = self.snapshot && tree.lookup("metadata.uid").is_some();
        let borne = made || self.snapshot && row.simulated != Some(Kind::Pod);
        let owner = format!("{} {name:?} is invalid", row.kind);
        let unknown = checked.unknown.iter().map(|field| softened(unknown_field(field), made));
        let invalid = checked.field_errors.iter().map(|e| softened(e.diagnostic(&owner, &tree), borne));
        let found: Vec<Diagnostic> =
            unknown.chain(checked.type_errors.iter().map(type_error)).chain(invalid).collect();
        let refused = found.iter().any(|d| d.severity == Severity::Error);
        self.out.diagnostics.extend(found);
        if refused {
            return;
        }
        let class = row.simulated.map_or(Class::Carried, Class::Simulated);
        if row.missed {
            self.notes.carried(row.kind, tree.path_span("kind"));
        }
        self.notes.coverage(row.kind, row.api_version, &tree);
        let origin = tree.span;
        let (api_version, kind) = (row.api_version.to_owned(), row.kind.to_owned());
        self.out.objects.push(Loaded { api_version, kind, class, namespaced: row.namespaced, origin, tree });
    }

    fn unknown(&mut self, tree: Tree, api_version: String, kind: String) {
        let group = kinds::group(&api_version);
        if group == "kustomize.config.k8s.io" {
            self.notes.left_out(&kind, tree.path_span("kind"));
            return;
        }
        let class = if group == "kubescheduler.config.k8s.io" { Class::Configuration } else { Class::Custom };
        if class == Class::Custom && !self.custom_metadata(&tree, &kind) {
            return;
        }
        let acted_on = kinds::custom_scope(group, &kind);
        if class == Class::Custom && acted_on.is_none() {
            self.notes.custom(&kind, &api_version, tree.path_span("kind"));
        }
        let origin = tree.span;
        let namespaced = acted_on.unwrap_or_else(|| tree.lookup("metadata.namespace").is_some());
        self.out.objects.push(Loaded { api_version, kind, class, namespaced, origin, tree });
    }

    /// Checks the metadata of an object whose kind is not known; false if there is a mistake.
    fn custom_metadata(&mut self, tree: &Tree, kind: &str) -> bool {
        let before = self.out.diagnostics.len();
        let Some(metadata) = tree.get("metadata") else {
            self.error(
                "WT0110",
                format!(
                    "{kind} \"\" is invalid: metadata.name: Required value: name or generateName is required"
                ),
                tree.path_span("kind"),
                "has no name",
            );
            return false;
        };
        let (meta, unknown, errors) = from_tree_all::<ObjectMeta>(metadata, Words::Kubernetes);
        let under =
            |path: &str| if path.is_empty() { "metadata".to_owned() } else { format!("metadata.{path}") };
        for field in unknown {
            let path = under(&field.path);
            self.out.diagnostics.push(unknown_field(&UnknownField { path, ..field }));
        }
        for error in &errors {
            self.out.diagnostics.push(type_error(error));
        }
        if let (Some(meta), true) = (meta, errors.is_empty()) {
            let mut report = validate::Report::default();
            validate::meta::object_meta(&meta, validate::Scope::Any, &mut report);
            let owner = format!("{kind} {:?} is invalid", meta.name.unwrap_or_default());
            let found = report.into_errors();
            self.out.diagnostics.extend(found.iter().map(|e| e.diagnostic(&owner, tree)));
        }
        self.out.diagnostics.len() == before
    }
}

/// Whether a document without a kind is one that kustomize gives a kind to.
///
/// Upstream: `kustomize/api/types/kustomization.go` `FixKustomizationPostUnmarshalling`.
fn is_kustomization(tree: &Tree) -> bool {
    const FIELDS: [&str; 8] = [
        "resources",
        "bases",
        "components",
        "patches",
        "images",
        "configMapGenerator",
        "namePrefix",
        "transformers",
    ];
    let entries = tree.as_map().unwrap_or_default();
    let has = |name: &str| entries.iter().any(|(key, _)| key.text == name);
    !has("kind")
        && !has("apiVersion")
        && !has("spec")
        && entries.iter().any(|(key, _)| FIELDS.contains(&key.text.as_str()))
}

/// An error as a warning, if it is to be borne.
fn softened(mut diagnostic: Diagnostic, borne: bool) -> Diagnostic {
    if borne && diagnostic.severity == Severity::Error {
        diagnostic.severity = Severity::Warning;
    }
    diagnostic
}

fn is_list(tree: &Tree) -> bool {
    tree.get("items").is_some_and(|items| items.is_null() || items.as_seq().is_some())
}

fn inherit(entries: &mut Vec<(Key, Tree)>, name: &str, text: &str, span: Span) {
    if !entries.iter().any(|(key, _)| key.text == name) {
        let key = Key { text: name.to_owned(), span };
        entries.insert(0, (key, Tree { span, value: Value::Str(text.to_owned()) }));
    }
}

fn unknown_field(field: &UnknownField) -> Diagnostic {
    let diagnostic = Diagnostic::error("WT0107", format!("unknown field {:?}", field.path))
        .at(field.span, "unknown field");
    if field.name == "$patch" {
        return diagnostic
            .help("`$patch` belongs to a patch of kustomize or `kubectl patch`, not to an object");
    }
    match did_you_mean(&field.name, field.candidates.iter().copied()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None if (1..=12).contains(&field.candidates.len()) => {
            diagnostic.help(format!("fields here are: {}", field.candidates.join(", ")))
        }
        None => diagnostic,
    }
}

fn type_error(error: &TypeError) -> Diagnostic {
    let label: Cow<'_, str> = match error.message.rsplit_once(" of type ") {
        Some((_, go_type)) => format!("must be of type {go_type}").into(),
        None => "".into(),
    };
    let diagnostic = Diagnostic::error("WT0106", error.message.clone()).at(error.span, label);
    if error.message.starts_with("quantities must match") {
        return diagnostic.help("amounts read like `500m`, `2`, `512Mi`, `1G`");
    }
    match error.message.rsplit_once(" of type ") {
        Some((found, "string")) if found.contains("unmarshal number") || found.contains("unmarshal bool") => {
            diagnostic.help("put it in quotes")
        }
        _ => diagnostic,
    }
}
