//! What is worth saying once about many objects.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::coverage::Fields;
use super::tree::Tree;
use crate::base::{Diagnostic, Span};

/// How many objects something holds for, and where the first of them stands.
struct Count {
    objects: usize,
    first: Span,
}

/// Notes that gather while objects are read.
#[derive(Default)]
pub(super) struct Notes {
    custom: IndexMap<(String, String), Count>,
    carried: IndexMap<&'static str, Count>,
    not_simulated: IndexMap<String, Count>,
    left_out: IndexMap<String, Count>,
    /// The rows of the kinds met so far.
    fields: BTreeMap<(&'static str, &'static str), Fields>,
}

fn bump<K: std::hash::Hash + Eq>(map: &mut IndexMap<K, Count>, key: K, span: Span) {
    map.entry(key).or_insert(Count { objects: 0, first: span }).objects += 1;
}

fn objects(count: usize) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

impl Notes {
    /// An object of a kind that Kubernetes does not know.
    pub(super) fn custom(&mut self, kind: &str, api_version: &str, span: Span) {
        bump(&mut self.custom, (kind.to_owned(), api_version.to_owned()), span);
    }

    /// The input of kustomize.
    pub(super) fn left_out(&mut self, kind: &str, span: Span) {
        bump(&mut self.left_out, kind.to_owned(), span);
    }

    /// An object of a kind that would have an effect in a real cluster.
    pub(super) fn carried(&mut self, kind: &'static str, span: Span) {
        bump(&mut self.carried, kind, span);
    }

    /// The fields of an object that are not simulated.
    pub(super) fn coverage(&mut self, kind: &'static str, api_version: &'static str, tree: &Tree) {
        let fields = self.fields.entry((kind, api_version)).or_insert_with(|| Fields::of(kind, api_version));
        for (path, span) in fields.not_simulated(tree) {
            bump(&mut self.not_simulated, path, span);
        }
    }

    /// One note for each kind and field.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        for ((kind, api_version), count) in self.custom {
            let message = format!(
                "{kind} ({api_version}) is not a kind of Kubernetes itself: carried without effect, {}",
                objects(count.objects)
            );
            out.push(Diagnostic::note("WT0120", message).at(count.first, "the first of them"));
        }
        if let Some((_, first)) = self.left_out.first() {
            let list: Vec<String> =
                self.left_out.iter().map(|(kind, c)| format!("{} {kind}", c.objects)).collect();
            let message = format!("not for the API server: {}; left out", list.join(", "));
            let diagnostic = Diagnostic::warning("WT0124", message).at(first.first, "input of kustomize");
            out.push(diagnostic.help("to read what it makes, render it: `kubectl kustomize DIR`"));
        }
        if let Some((_, first)) = self.carried.first() {
            let list: Vec<String> =
                self.carried.iter().map(|(kind, c)| format!("{} {kind}", c.objects)).collect();
            let message = format!("not simulated: {}; carried without effect", list.join(", "));
            out.push(Diagnostic::note("WT0123", message).at(first.first, "the first of them"));
        }
        for (path, count) in self.not_simulated {
            let message = format!("not simulated: `{path}`, {}", objects(count.objects));
            out.push(Diagnostic::note("WT0121", message).at(count.first, "has no effect here"));
        }
        out
    }
}
