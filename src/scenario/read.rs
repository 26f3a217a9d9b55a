//! Small readers over trees: every mistake is noted with its place, and reading goes on.

use super::code;
use super::shape::Shape;
use crate::api::manifest::tree::{Key, Tree, Value};
use crate::base::diag::did_you_mean;
use crate::base::{Diagnostic, SourceMap, Span};

/// What reading leaves behind, besides the values.
pub struct Reader<'a> {
    /// The texts that are read.
    pub sources: &'a mut SourceMap,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    /// A reader that has found nothing wrong yet.
    pub fn new(sources: &'a mut SourceMap) -> Self {
        Self { sources, diagnostics: Vec::new() }
    }

    /// Notes a mistake.
    pub fn note(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Notes an error at a place and returns nothing, so that readers can end with it.
    pub fn error<T>(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Option<T> {
        self.note(Diagnostic::error(code, message).at(span, ""));
        None
    }

    /// The same, with a cure.
    pub fn cure<T>(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.note(Diagnostic::error(code, message).at(span, "").help(help));
        None
    }

    /// A value of the wrong type.
    pub fn expected<T>(&mut self, tree: &Tree, what: &str) -> Option<T> {
        self.error(code::BAD_VALUE, tree.head_span(), format!("expected {what}, found {}", found(tree)))
    }

    /// A word that is none of those known.
    pub fn unknown_word<T>(
        &mut self,
        code: &'static str,
        span: Span,
        (what, word): (&str, &str),
        known: &[&str],
    ) -> Option<T> {
        let help = match did_you_mean(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("there is no {what} here"),
            None => format!("known here: {}", list(known)),
        };
        self.cure(code, span, format!("unknown {what} `{word}`"), help)
    }

    /// The text at a place, as it was written.
    pub fn raw(&self, span: Span) -> &str {
        self.sources.get(span.source).and_then(|s| s.text.get(span.range())).unwrap_or_default()
    }

    /// The elements of a list; nothing counts as an empty one.
    pub fn elements<'t>(&mut self, tree: &'t Tree, what: &str) -> &'t [Tree] {
        match &tree.value {
            Value::Seq(elements) => elements,
            Value::Null => &[],
            Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Map(_) => {
                let help = match tree.as_map() {
                    Some(_) => format!("begin every {what} with `- `"),
                    None => format!("write a list, also of one: `[{}]`", self.raw(tree.span)),
                };
                self.cure::<()>(
                    code::BAD_VALUE,
                    tree.head_span(),
                    format!("expected a list, found {}", found(tree)),
                    help,
                );
                &[]
            }
        }
    }

    /// Every element of a list, read; those with mistakes are left out.
    pub fn each<T>(
        &mut self,
        tree: &Tree,
        what: &str,
        mut read: impl FnMut(&mut Self, &Tree) -> Option<T>,
    ) -> Vec<T> {
        self.elements(tree, what).iter().filter_map(|element| read(self, element)).collect()
    }

    /// The entries of a mapping with keys of the user's choice; nothing counts as an empty one.
    pub fn entries<'t>(&mut self, tree: &'t Tree, what: &str) -> &'t [(Key, Tree)] {
        match &tree.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Seq(_) => {
                self.expected::<()>(tree, &format!("a mapping ({what})"));
                &[]
            }
        }
    }
}

/// What a value is, in words.
pub fn found(tree: &Tree) -> String {
    match &tree.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Int(value) => format!("the number {value}"),
        Value::UInt(value) => format!("the number {value}"),
        Value::Float(value) => format!("the number {value}"),
        Value::Str(text) if text.chars().count() > 40 || text.contains('\n') => "a text".to_owned(),
        Value::Str(text) => format!("the text `{text}`"),
        Value::Seq(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

/// `a`, `b`, `c`.
pub fn list(words: &[&str]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}

/// A mapping of a known shape, whose unknown and missing fields have been noted.
pub struct Fields<'t> {
    tree: &'t Tree,
    shape: &'static Shape,
}

impl<'t> Fields<'t> {
    /// Takes `tree` as a mapping of `shape`. Nothing counts as an empty mapping.
    pub fn open(reader: &mut Reader<'_>, tree: &'t Tree, shape: &'static Shape) -> Option<Self> {
        if !tree.is_null() && tree.as_map().is_none() {
            let fields: Vec<_> = shape.all().take(4).map(|f| f.name).collect();
            let help = format!("a mapping with {} and so on", list(&fields));
            return reader.cure(
                code::BAD_VALUE,
                tree.head_span(),
                format!("expected a mapping, found {}", found(tree)),
                help,
            );
        }
        let this = Self { tree, shape };
        for (key, _) in tree.as_map().unwrap_or_default() {
            if shape.field(&key.text).is_none() {
                this.unknown(reader, key);
            }
        }
        for field in shape.all().filter(|f| f.required) {
            if this.get(field.name).is_none() {
                let place = tree.entry(field.name).map_or(tree.head_span(), |(key, _)| key.span);
                reader.note(
                    Diagnostic::error(code::MISSING_FIELD, format!("`{}` is missing", field.name))
                        .at(place, "")
                        .help(format!("`{}`: {}", field.name, field.doc)),
                );
            }
        }
        // What is there is still worth reading; callers ask for required fields and stop by themselves.
        Some(this)
    }

    fn unknown(&self, reader: &mut Reader<'_>, key: &Key) {
        let help = match self.shape.nearest(&key.text) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let names: Vec<_> = self.shape.all().map(|f| f.name).collect();
                format!("known here: {}", list(&names))
            }
        };
        reader.note(
            Diagnostic::error(code::UNKNOWN_FIELD, format!("unknown field `{}`", key.text))
                .at(key.span, "")
                .help(help),
        );
    }

    /// The value of a field, if it is there and not null.
    pub fn get(&self, name: &str) -> Option<&'t Tree> {
        debug_assert!(self.shape.field(name).is_some(), "{} has no field {name}", self.shape.name);
        self.tree.get(name).filter(|t| !t.is_null())
    }

    /// The words that a field takes, if it takes words.
    pub fn words(&self, name: &str) -> Option<&'static [&'static str]> {
        match self.shape.field(name)?.takes {
            super::shape::Type::Words(words) => Some(words),
            _ => None,
        }
    }

    /// The value of a field, read.
    pub fn read<T>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        read: impl FnOnce(&mut Reader<'_>, &Tree) -> Option<T>,
    ) -> Option<T> {
        self.get(name).and_then(|tree| read(reader, tree))
    }

    /// The value of a list field, each element read.
    pub fn each<T>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        read: impl FnMut(&mut Reader<'_>, &Tree) -> Option<T>,
    ) -> Vec<T> {
        self.get(name).map(|tree| reader.each(tree, name, read)).unwrap_or_default()
    }

    /// The place to show for the whole mapping.
    pub fn span(&self) -> Span {
        self.tree.head_span()
    }

    /// The place of a field's key, or of the mapping if the field is not there.
    pub fn key_span(&self, name: &str) -> Span {
        self.tree.entry(name).map_or_else(|| self.span(), |(key, _)| key.span)
    }

    /// Which of `names` are there.
    pub fn present(&self, names: &[&'static str]) -> Vec<&'static str> {
        names.iter().copied().filter(|name| self.get(name).is_some()).collect()
    }

    /// The one of `names` that is there; notes a mistake if none or several are.
    pub fn one_of(&self, reader: &mut Reader<'_>, names: &[&'static str]) -> Option<&'static str> {
        match self.present(names)[..] {
            [one] => Some(one),
            [] => reader.error(code::CHOICE, self.span(), format!("one of {} must be given", list(names))),
            [first, second, ..] => {
                reader.note(
                    Diagnostic::error(code::CHOICE, format!("`{first}` and `{second}` exclude one another"))
                        .at(self.key_span(second), "")
                        .also(self.key_span(first), "the other one"),
                );
                None
            }
        }
    }
}
