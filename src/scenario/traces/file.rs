//! What files of Pods and files of nodes have in common: the table itself, and its columns.

use super::tables;
use crate::api::manifest::tree::{Tree, Value};
use crate::base::{Arc, Diagnostic, Quantity, Span, Str};
use crate::scenario::code;
use crate::scenario::manifests::Manifests;
use crate::scenario::read::{Fields, Reader};
use crate::scenario::scalar::{boolean, text, word};
use crate::trace::{Amount, BadRow, Format, TimeUnit};

/// A file that is a table.
pub struct TableFile {
    /// As the scenario names it.
    pub path: Str,
    /// What is in it.
    pub bytes: Arc<Vec<u8>>,
    /// How it is to be read.
    pub format: Format,
}

/// Opens the `file` of an entry.
pub fn open(reader: &mut Reader<'_>, fields: &Fields<'_>, manifests: &Manifests<'_>) -> Option<TableFile> {
    let tree = fields.get("file")?;
    let path = text(reader, tree)?;
    let format = format(reader, fields, &path);
    let bytes = match manifests.bytes(&path) {
        Ok(bytes) => bytes,
        Err(why) => {
            let help = "paths are relative to the scenario file";
            return reader.cure(code::FILE, tree.span, format!("`{path}`: {why}"), help);
        }
    };
    Some(TableFile { path, bytes: Arc::new(bytes), format: format? })
}

fn format(reader: &mut Reader<'_>, fields: &Fields<'_>, path: &str) -> Option<Format> {
    let given = match fields.get("format") {
        Some(tree) => Some(word(reader, tree, &["csv", "ndjson"])?),
        None => None,
    };
    let plain = path.strip_suffix(".gz").unwrap_or(path);
    let json = given.map_or_else(
        || [".ndjson", ".jsonl", ".json"].iter().any(|ending| plain.ends_with(ending)),
        |given| given == "ndjson",
    );
    if json {
        if let [field, ..] = fields.present(&["delimiter", "header"])[..] {
            let message = format!("`{field}` is about comma-separated values");
            return reader.error(code::CHOICE, fields.key_span(field), message);
        }
        return Some(Format::JsonLines);
    }
    let delimiter = match fields.get("delimiter") {
        None => b',',
        Some(tree) => match text(reader, tree)?.as_bytes() {
            [one] if !matches!(one, b'"' | b'\n' | b'\r' | b'#') => *one,
            _ => {
                let help = "write for example `\";\"` or `\"\\t\"`";
                return reader.cure(code::BAD_VALUE, tree.span, "a delimiter is one character", help);
            }
        },
    };
    Some(Format::Csv { delimiter, header: fields.read(reader, "header", boolean).unwrap_or(true) })
}

/// The name of a column, or its number.
pub fn column(reader: &mut Reader<'_>, tree: &Tree) -> Option<Str> {
    match &tree.value {
        Value::Int(number) => Some(number.to_string().into()),
        Value::Str(name) if !name.is_empty() => Some(name.as_str().into()),
        Value::Null
        | Value::Bool(_)
        | Value::UInt(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Seq(_)
        | Value::Map(_) => reader.expected(tree, "the name of a column"),
    }
}

/// The unit of a column of times.
pub fn unit(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<TimeUnit> {
    match fields.get("unit") {
        None => Some(TimeUnit::Seconds),
        Some(tree) => word(reader, tree, TimeUnit::WORDS).and_then(TimeUnit::parse),
    }
}

/// A column of instants.
pub fn time_column(reader: &mut Reader<'_>, tree: &Tree) -> Option<(Str, TimeUnit)> {
    if tree.as_map().is_none() {
        return Some((column(reader, tree)?, TimeUnit::Seconds));
    }
    let fields = Fields::open(reader, tree, &tables::TIME_COLUMN)?;
    let name = fields.read(reader, "column", column);
    Some((name?, unit(reader, &fields)?))
}

/// The place of a column in a list, at whose end it is put if it is not there.
fn place(names: &mut Vec<Str>, name: &Str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.clone());
        names.len() - 1
    })
}

/// Columns of amounts by resource.
pub fn amounts(reader: &mut Reader<'_>, tree: &Tree, names: &mut Vec<Str>) -> Vec<Amount> {
    let mut amounts = Vec::new();
    for (key, tree) in reader.entries(tree, "columns by resource") {
        let resource: Str = key.text.as_str().into();
        if tree.as_map().is_none() {
            if let Some(name) = column(reader, tree) {
                amounts.push(Amount { resource, column: place(names, &name), unit: Str::new(), times: None });
            }
            continue;
        }
        let Some(fields) = Fields::open(reader, tree, &tables::AMOUNT_COLUMN) else { continue };
        let unit = fields.read(reader, "unit", text).unwrap_or_default();
        if Quantity::parse(&format!("1{unit}")).is_err() {
            let help = "`m`, `k`, `M`, `G`, `Ki`, `Mi`, `Gi` and so on";
            let message = format!("`{unit}` is no suffix of quantities");
            reader.cure::<()>(code::BAD_VALUE, fields.key_span("unit"), message, help);
        }
        let times = fields.read(reader, "times", column);
        if let Some(name) = fields.read(reader, "column", column) {
            let column = place(names, &name);
            let times = times.map(|name| place(names, &name));
            amounts.push(Amount { resource, column, unit, times });
        }
    }
    amounts
}

/// Columns by label.
pub fn labels(reader: &mut Reader<'_>, tree: &Tree, names: &mut Vec<Str>) -> Vec<(Str, usize)> {
    let mut labels = Vec::new();
    for (key, tree) in reader.entries(tree, "columns by label") {
        if let Some(name) = column(reader, tree) {
            labels.push((key.text.as_str().into(), place(names, &name)));
        }
    }
    labels
}

/// A bad row in a sentence: file, line, column, what is wrong.
pub fn sentence(path: &Str, bad: &BadRow) -> String {
    let place = match &bad.column {
        Some(column) => format!("`{path}` line {}, column `{column}`", bad.line),
        None => format!("`{path}` line {}", bad.line),
    };
    format!("{place}: {}", bad.message)
}

/// What is to be said of a bad row.
pub fn told(path: &Str, bad: &BadRow, span: Span) -> Diagnostic {
    Diagnostic::error(code::BAD_ROW, sentence(path, bad)).at(span, "").help(bad.help.clone())
}
