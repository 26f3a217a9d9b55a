//! Which fields are simulated: one [`table`], used for notes and for a page of the docs.
//!
//! A row stands for its field and everything below it, unless a row below says otherwise. A test holds
//! the table against the boundary types: every field has a row, and every row has a field.

#[cfg(test)]
mod fields;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::tree::{Tree, Value};
use crate::base::Span;

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coverage {
    /// The simulation acts on it.
    Simulated,
    /// It is accepted, and does not matter for anything that is simulated.
    NoEffect,
    /// It would matter in a real cluster, and has no effect here.
    NotSimulated,
}

impl Coverage {
    const fn words(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::NoEffect => "no effect on what is simulated",
            Self::NotSimulated => "**not simulated**",
        }
    }
}

/// A field and what becomes of it; `[]` stands for the elements of a list.
pub type Row = (&'static str, Coverage);

/// Fields that stand together.
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The rows, with paths below the places of the section.
    pub rows: &'static [Row],
}

/// The sections of a kind, each with the path at which it starts; an empty path is the object.
pub(super) struct KindCoverage {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) parts: &'static [(&'static str, &'static Section)],
}

/// All fields of a kind with what becomes of them.
pub(super) struct Fields(BTreeMap<String, Coverage>);

impl Fields {
    /// The fields of a kind; none if the kind plays no part in the simulation.
    pub(super) fn of(kind: &str, api_version: &str) -> Self {
        let rows = table::KINDS.iter().filter(|row| row.kind == kind && row.api_version == api_version);
        let parts = rows.flat_map(|row| row.parts);
        Self(
            parts
                .flat_map(|(at, section)| section.rows.iter().map(|(path, c)| (join(at, path), *c)))
                .collect(),
        )
    }

    /// The fields of `tree` that are set and not simulated: the path, and the place of the first of them.
    pub(super) fn not_simulated(&self, tree: &Tree) -> Vec<(String, Span)> {
        let mut found = BTreeMap::new();
        if !self.0.is_empty() {
            self.visit(tree, &mut String::new(), &mut found);
        }
        found.into_iter().collect()
    }

    fn visit(&self, tree: &Tree, path: &mut String, found: &mut BTreeMap<String, Span>) {
        let length = path.len();
        match &tree.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(&key.text);
                    if self.0.get(path.as_str()) == Some(&Coverage::NotSimulated) {
                        if is_set(value) {
                            found.entry(path.clone()).or_insert(key.span);
                        }
                    } else if self.has_rows_below(path) {
                        self.visit(value, path, found);
                    }
                    path.truncate(length);
                }
            }
            Value::Seq(elements) => {
                path.push_str("[]");
                if self.has_rows_below(path) {
                    elements.iter().for_each(|element| self.visit(element, path, found));
                }
                path.truncate(length);
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Str(_) => {}
        }
    }

    fn has_rows_below(&self, path: &str) -> bool {
        // Rows below `a` start with `a.` or `a[`; both sort after `a` itself.
        self.0
            .range::<str, _>((std::ops::Bound::Excluded(path), std::ops::Bound::Unbounded))
            .map(|(row, _)| row)
            .take_while(|row| row.starts_with(path))
            .any(|row| matches!(row.as_bytes().get(path.len()), Some(b'.' | b'[')))
    }
}

/// Whether a field says something: not what it means anyway when it is left out.
fn is_set(tree: &Tree) -> bool {
    match &tree.value {
        Value::Null | Value::Bool(false) => false,
        Value::Str(text) => !text.is_empty(),
        Value::Seq(elements) => !elements.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        Value::Bool(true) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => true,
    }
}

fn join(at: &str, path: &str) -> String {
    if at.is_empty() { path.to_owned() } else { format!("{at}.{path}") }
}

/// The table as a page of the docs, in Markdown.
pub fn render_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for section in table::SECTIONS {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n## {}\n", section.title);
        let places = places(section);
        if !places.is_empty() {
            let _ = writeln!(out, "At {}.\n", places.join(", "));
        }
        out.push_str("| field | |\n|---|---|\n");
        for (path, coverage) in section.rows {
            let _ = writeln!(out, "| `{path}` | {} |", coverage.words());
        }
    }
    out
}

const INTRODUCTION: &str = "# Which fields are simulated\n\n\
Generated from `src/api/manifest/coverage/table.rs`. A row stands for its field and for everything below it, unless a row\n\
below says otherwise; `[]` stands for the elements of a list. A field that is set and *not simulated* is named once in a note.\n\
Kinds that are not listed here are carried as they are, and nothing acts on them.\n";

/// Where a section is used, if that is not one kind's own.
fn places(section: &Section) -> Vec<String> {
    let uses = table::KINDS.iter().flat_map(|kind| {
        kind.parts
            .iter()
            .filter(|(at, part)| part.title == section.title && !at.is_empty())
            .map(|(at, _)| format!("{} `{at}`", kind.kind))
    });
    uses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::manifest::read;
    use crate::base::SourceMap;

    #[test]
    fn the_page_in_the_docs_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/COVERAGE.md");
        let page = render_markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == page, "docs/COVERAGE.md is not the table; run this test with UPDATE_DOCS=1");
    }

    fn notes(text: &str) -> Vec<String> {
        let mut sources = SourceMap::default();
        let id = sources.add("test.yaml", text);
        read(&sources, &[id]).diagnostics.into_iter().map(|d| d.message).collect()
    }

    #[test]
    fn a_field_that_is_not_simulated_is_named_once_for_all_objects() {
        let one = |name: &str| {
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{a: b}}}}\n\
                 \x20 template:\n    metadata: {{labels: {{a: b}}}}\n    spec:\n      hostIPC: true\n      hostPID: false\n\
                 \x20     containers:\n      - {{name: c, image: i, env: [{{name: A, value: b}}]}}\n---\n"
            )
        };
        let text = format!("{}{}{}", one("a"), one("b"), one("c"));
        assert_eq!(notes(&text), ["not simulated: `spec.template.spec.hostIPC`, 3 objects"]);
    }

    #[test]
    fn rows_below_a_simulated_field_are_found_in_lists() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n\
            \x20 - {name: c, image: i, lifecycle: {preStop: {exec: {command: [sleep, '5']}}}}\n\
            \x20 - {name: d, image: i, lifecycle: {preStop: {sleep: {seconds: 5}}}}\n";
        assert_eq!(notes(text), ["not simulated: `spec.containers[].lifecycle.preStop.exec`, 1 object"]);
    }
}
