//! Reads `spec.traces`: Pods of files, Pods drawn from distributions.
//!
//! * [`tables`]: the fields. [`file`]: what files of Pods and of nodes have in common. [`nodes`]: files of nodes;
//!   distributions are read by [`generate`].

pub(in crate::scenario) mod file;
pub(in crate::scenario) mod generate;
pub(in crate::scenario) mod nodes;
pub mod tables;

use serde_json::{Map, Value as Json, json};

use super::code;
use super::manifests::Manifests;
use super::read::{Fields, Reader};
use super::scalar::{duration, instant, integer, name, thousandths, word};
use crate::api::manifest;
use crate::api::manifest::tree::Tree;
use crate::api::pod::TRACE_LABEL;
use crate::base::{Arc, Diagnostic, SimDuration, Span, Str};
use crate::trace::shapes::Parts;
use crate::trace::{Columns, Lasts, Selects, Shapes, Source, Table, TimeUnit, Trace, Window, check};
use file::{amounts, column, labels, time_column, told};

/// The image of Pods of which no template says more: a node pulls it once.
const IMAGE: &str = "registry.k8s.io/pause:3.10.1";

/// Reads the entries of `spec.traces`.
pub fn traces(reader: &mut Reader<'_>, tree: &Tree, manifests: &Manifests<'_>) -> Vec<Arc<Trace>> {
    let mut read: Vec<Arc<Trace>> = Vec::new();
    for element in reader.elements(tree, "trace") {
        let Some(trace) = trace(reader, element, manifests) else { continue };
        if let Some(first) = read.iter().find(|known| known.name == trace.name) {
            let message = format!("two traces are called `{}`", trace.name);
            let diagnostic = Diagnostic::error(code::DUPLICATE, message).at(trace.origin, "");
            reader.note(diagnostic.also(first.origin, "the first one"));
        }
        read.push(Arc::new(trace));
    }
    read
}

fn trace(reader: &mut Reader<'_>, tree: &Tree, manifests: &Manifests<'_>) -> Option<Trace> {
    let fields = Fields::open(reader, tree, &tables::TRACE)?;
    let called = fields.read(reader, "name", name);
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let template = template(reader, &fields, called.as_deref().unwrap_or("trace"), &namespace);
    let window = fields.read(reader, "window", window).unwrap_or_default();
    let speed = fields.read(reader, "speed", thousandths);
    if speed == Some(0) {
        let help = "`10` is ten times as fast, `0.5` half as fast";
        reader.cure::<()>(code::OUT_OF_RANGE, fields.key_span("speed"), "time does not stand still", help);
    }
    let limit = fields.read(reader, "limit", integer::<u64>).unwrap_or(u64::MAX);
    let ttl = fields.read(reader, "ttlSecondsAfterFinished", integer::<u32>);
    let at = fields.read(reader, "at", instant).unwrap_or_default();
    let source = match fields.one_of(reader, &["file", "generate"])? {
        "file" => from_file(reader, &fields, template.as_ref(), manifests),
        _ => generated(reader, &fields, template.as_ref()),
    };
    Some(Trace {
        name: called?,
        namespace,
        source: source?,
        template: template?,
        at,
        speed: speed.unwrap_or(1000),
        limit,
        window,
        ttl: ttl.map(|seconds| SimDuration::from_secs(seconds.into())),
        origin: fields.span(),
    })
}

fn window(reader: &mut Reader<'_>, tree: &Tree) -> Option<Window> {
    let fields = Fields::open(reader, tree, &tables::WINDOW)?;
    let from = fields.read(reader, "from", duration).unwrap_or_default();
    let to = fields.read(reader, "to", duration);
    if to.is_some_and(|to| to <= from) {
        return reader.error(code::OUT_OF_RANGE, fields.key_span("to"), "the window ends before it begins");
    }
    Some(Window { from, to })
}

/// What every Pod begins with, checked as a manifest is.
fn template(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    called: &str,
    namespace: &str,
) -> Option<Arc<Json>> {
    let given = fields.get("template");
    let span = given.map_or_else(|| fields.span(), Tree::head_span);
    let mut pod = given.map_or_else(|| json!({}), Tree::to_json);
    if !pod.is_object() {
        return reader.cure(
            code::BAD_VALUE,
            span,
            "a template is a mapping",
            "with `metadata` and `spec`, as in the template of a Job",
        );
    }
    for (key, value) in [("apiVersion", "v1"), ("kind", "Pod")] {
        pod[key] = json!(value);
    }
    for part in ["metadata", "spec"] {
        if !pod[part].is_object() {
            pod[part] = Json::Object(Map::new());
        }
    }
    pod["metadata"]["name"] = json!("trace");
    pod["metadata"]["namespace"] = json!(namespace);
    if !pod["metadata"]["labels"].is_object() {
        pod["metadata"]["labels"] = json!({});
    }
    pod["metadata"]["labels"][TRACE_LABEL] = json!(called);
    let spec = &mut pod["spec"];
    if spec["restartPolicy"].is_null() {
        spec["restartPolicy"] = json!("Never");
    }
    if spec["containers"].is_null() {
        spec["containers"] = json!([{"name": "main", "image": IMAGE}]);
    }
    let read = manifest::read_trees(vec![Tree::of_json(&pod, span)]);
    let sound = !read.objects.is_empty();
    read.diagnostics.into_iter().for_each(|diagnostic| reader.note(diagnostic));
    let template = Arc::new(pod);
    if sound && let Err(why) = Shapes::new(&template).get(&[], Parts::default) {
        return reader.error(code::BAD_MANIFEST, span, why);
    }
    sound.then_some(template)
}

fn generated(reader: &mut Reader<'_>, fields: &Fields<'_>, template: Option<&Arc<Json>>) -> Option<Source> {
    if let [field, ..] = fields.present(&["columns", "badRows", "format", "delimiter", "header"])[..] {
        let message = format!("`{field}` is about files");
        return reader.error(code::CHOICE, fields.key_span(field), message);
    }
    let spec = fields.read(reader, "generate", generate::generate)?;
    // Amounts are right or wrong all together: one Pod shows it.
    let parts = Parts {
        requests: spec.requests.iter().map(|(resource, _)| (resource.clone(), "1".to_owned())).collect(),
        ..Parts::default()
    };
    if let Err(why) = Shapes::new(template?).get(&[], || parts) {
        return reader.error(code::BAD_VALUE, fields.key_span("generate"), why);
    }
    Some(Source::Generated(Arc::new(spec)))
}

fn from_file(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    template: Option<&Arc<Json>>,
    manifests: &Manifests<'_>,
) -> Option<Source> {
    let file = file::open(reader, fields, manifests);
    let columns = match fields.get("columns") {
        Some(tree) => columns(reader, tree),
        None => reader.cure(
            code::MISSING_FIELD,
            fields.span(),
            "`columns` is missing",
            "`columns: {arrival: …, duration: …, requests: {cpu: …}}` says what is in which column",
        ),
    };
    let skip_bad = fields.read(reader, "badRows", |r, t| word(r, t, &["refuse", "skip"])) == Some("skip");
    let (file, columns, template) = (file?, columns?, template?);
    let span = fields.key_span("file");
    let table =
        Table { path: file.path.clone(), bytes: file.bytes, format: file.format, columns, skip_bad, zero: 0 };
    let (source, checked) = match check(table, template) {
        Ok(found) => found,
        Err(bad) => {
            reader.note(told(&file.path, &bad, span));
            return None;
        }
    };
    if skip_bad {
        if let Some(first) = checked.told.first() {
            let message = format!("{} of {} rows are passed over", checked.bad, checked.bad + checked.rows);
            let first = format!("the first: {}", file::sentence(&file.path, first));
            reader.note(Diagnostic::note(code::BAD_ROW, message).at(span, "").help(first));
        }
    } else if checked.bad > 0 {
        for bad in &checked.told {
            reader.note(told(&file.path, bad, span));
        }
        more(reader, checked.bad, checked.told.len(), &file.path, span);
        return None;
    }
    if checked.rows == 0 {
        let message = format!("`{}` has no row that can be used", file.path);
        return reader.error(code::BAD_ROW, span, message);
    }
    Some(source)
}

fn more(reader: &mut Reader<'_>, bad: u64, told: usize, path: &Str, span: Span) {
    let left = bad.saturating_sub(told as u64);
    if left > 0 {
        let message = format!("`{path}`: {left} more rows cannot be read");
        let help = "`badRows: skip` passes such rows over and counts them";
        reader.cure::<()>(code::BAD_ROW, span, message, help);
    }
}

fn columns(reader: &mut Reader<'_>, tree: &Tree) -> Option<Columns> {
    let fields = Fields::open(reader, tree, &tables::TRACE_COLUMNS)?;
    let mut columns = Columns::default();
    let before = reader.diagnostics.len();
    if let Some((column, unit)) = fields.read(reader, "arrival", time_column) {
        columns.arrival = (columns.place(&column), unit);
    }
    columns.lasts = fields.read(reader, "duration", |r, t| lasts(r, t, &mut columns));
    for (field, place) in [("name", 0), ("count", 1), ("priority", 2)] {
        let place_of = fields.read(reader, field, column).map(|name| columns.place(&name));
        match place {
            0 => columns.name = place_of,
            1 => columns.count = place_of,
            _ => columns.priority = place_of,
        }
    }
    if let Some(tree) = fields.get("requests") {
        columns.requests = amounts(reader, tree, &mut columns.names);
    }
    if let Some(tree) = fields.get("labels") {
        columns.labels = labels(reader, tree, &mut columns.names);
    }
    for (key, tree) in fields.get("nodeSelector").map_or(&[][..], |t| reader.entries(t, "columns by label")) {
        if let Some((name, separator)) = selector_column(reader, tree) {
            let column = columns.place(&name);
            columns.selects.push(Selects { key: key.text.as_str().into(), column, separator });
        }
    }
    (reader.diagnostics.len() == before && fields.get("arrival").is_some()).then_some(columns)
}

fn lasts(reader: &mut Reader<'_>, tree: &Tree, columns: &mut Columns) -> Option<Lasts> {
    if tree.as_map().is_none() {
        let name = column(reader, tree)?;
        return Some(Lasts { column: columns.place(&name), since: None, unit: TimeUnit::Seconds });
    }
    let fields = Fields::open(reader, tree, &tables::DURATION_COLUMN)?;
    let name = fields.read(reader, "column", column)?;
    let unit = file::unit(reader, &fields)?;
    let since = fields.read(reader, "since", column);
    if unit == TimeUnit::Rfc3339 && since.is_none() {
        let help = "`since` names the column with the beginning";
        return reader.cure(code::CHOICE, fields.key_span("unit"), "a duration is no date", help);
    }
    let since = since.map(|name| columns.place(&name));
    Some(Lasts { column: columns.place(&name), since, unit })
}

fn selector_column(reader: &mut Reader<'_>, tree: &Tree) -> Option<(Str, Option<Str>)> {
    if tree.as_map().is_none() {
        return Some((column(reader, tree)?, None));
    }
    let fields = Fields::open(reader, tree, &tables::SELECTOR_COLUMN)?;
    let name = fields.read(reader, "column", column)?;
    Some((name, fields.read(reader, "separator", super::scalar::name)))
}
