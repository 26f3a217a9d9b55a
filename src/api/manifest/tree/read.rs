//! Text to trees: the events of the YAML parser, put together under limits.

use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle, Tag};

use super::scalar::{self, ScalarTag};
use super::{Key, Limits, Tree, Value, json};
use crate::base::{Diagnostic, LookupSet, SourceId, Span};

/// Syntax errors after which the rest of a text is not read.
const SYNTAX_ERRORS_MAX: usize = 50;
/// Bytes of text that weigh as much as one value when an alias copies them.
const BYTES_PER_WEIGHT: usize = 64;

/// Reads every document of a text: YAML documents, one JSON value, or a stream of JSON values.
///
/// Empty documents are left out. A document with a mistake is left out too and the mistake is
/// among the diagnostics; the documents after it are still read.
///
/// # Fidelity
/// A mapping key given twice is an error here. `kubectl` before 1.25 let the last one win.
pub fn read_documents(source: SourceId, text: &str, limits: &Limits) -> (Vec<Tree>, Vec<Diagnostic>) {
    let mut reader = Reader::new(source, limits);
    if text.len() > limits.input_bytes_max.min(u32::MAX as usize) {
        let message =
            format!("the text has {} bytes, more than the {} allowed", text.len(), limits.input_bytes_max);
        return (Vec::new(), vec![Diagnostic::error("WT0103", message).at(reader.span(0, 0), "")]);
    }
    let whole = 0..text.len();
    let pieces = json::split_stream(text).unwrap_or_else(|| vec![whole]);
    for piece in pieces {
        reader.base = piece.start;
        if reader.read_piece(text.get(piece).unwrap_or_default()).is_err() {
            break;
        }
    }
    (reader.documents, reader.diagnostics)
}

/// The reader has met a limit and said so.
struct Stopped;

/// A value that an alias can stand for.
struct Anchor {
    tree: Tree,
    weight: usize,
    depth: usize,
}

/// A sequence or mapping whose end has not come yet.
struct Frame {
    start: u32,
    anchor: usize,
    weight: usize,
    depth: usize,
    flow: bool,
    content: Content,
}

enum Content {
    Seq(Vec<Tree>),
    Map { entries: Vec<(Key, Tree)>, slot: Slot, merged: Vec<Tree> },
}

/// What the next value inside a mapping is.
enum Slot {
    Key,
    Value(Key),
    Merge,
    /// The value of a key that was refused.
    Dropped,
}

/// A finished value with what it weighs and how deep it is.
struct Node {
    tree: Tree,
    weight: usize,
    depth: usize,
    plain: bool,
}

struct Reader<'l> {
    source: SourceId,
    limits: &'l Limits,
    /// Where the piece that is read starts in the text.
    base: usize,
    /// Where it ends within a line: a block that ends there has no line feed at its end.
    open_end: Option<usize>,
    frames: Vec<Frame>,
    root: Option<Tree>,
    refused: bool,
    anchors: BTreeMap<usize, Anchor>,
    nodes: usize,
    expansion: usize,
    documents: Vec<Tree>,
    diagnostics: Vec<Diagnostic>,
}

/// The text of a block at the end of a piece that ends within a line: the line feed that no line of the piece has is
/// not part of it.
fn without_line_feed<'t>(text: &'t str, piece: &str) -> &'t str {
    let Some(body) = text.strip_suffix('\n') else { return text };
    let (last, written) = (body.rsplit('\n').next(), piece.rsplit('\n').next());
    let (last, written) = (last.unwrap_or_default(), written.unwrap_or_default());
    let is_content = !written.trim().is_empty() || (!last.is_empty() && written.ends_with(last));
    if is_content { body } else { text }
}

impl<'l> Reader<'l> {
    fn new(source: SourceId, limits: &'l Limits) -> Self {
        Self {
            source,
            limits,
            base: 0,
            open_end: None,
            frames: Vec::new(),
            root: None,
            refused: false,
            anchors: BTreeMap::new(),
            nodes: 0,
            expansion: 0,
            documents: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let place = |at: usize| u32::try_from(self.base.saturating_add(at)).unwrap_or(u32::MAX);
        Span { source: self.source, start: place(start), end: place(end.max(start)) }
    }

    fn event_span(&self, span: &granit_parser::Span) -> Span {
        let start = span.start.byte_offset().unwrap_or(0);
        self.span(start, span.end.byte_offset().unwrap_or(start))
    }

    fn read_piece(&mut self, text: &str) -> Result<(), Stopped> {
        let mut options = granit_parser::options! { flow_nesting_limit: 1024, block_nesting_limit: 1024 };
        options.set_emit_comments(false);
        let mut parser = Parser::new_from_str_with_options(text, options);
        self.open_end = (!text.ends_with('\n')).then_some(text.len());
        let mut errors = 0;
        loop {
            match parser.next_event() {
                None => return Ok(()),
                Some(Ok((event, span))) => self.event(event, &span, text)?,
                Some(Err(error)) => {
                    self.syntax_error(text, &error);
                    self.abandon_document();
                    errors += 1;
                    if errors >= SYNTAX_ERRORS_MAX || !matches!(parser.proceed_next_document(), Ok(true)) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn abandon_document(&mut self) {
        self.frames.clear();
        self.anchors.clear();
        self.root = None;
        self.refused = false;
    }

    fn event(&mut self, event: Event<'_>, at: &granit_parser::Span, piece: &str) -> Result<(), Stopped> {
        let span = self.event_span(at);
        match event {
            Event::DocumentStart(..) => self.abandon_document(),
            Event::DocumentEnd => return self.end_document(span),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                // Upstream: `go.yaml.in/yaml/v2/scannerc.go` yaml_parser_scan_block_scalar.
                let open = block && self.open_end.is_some() && at.end.byte_offset() >= self.open_end;
                let value = self.scalar(
                    if open { without_line_feed(&text, piece) } else { &text },
                    plain,
                    tag.as_deref(),
                    span,
                );
                let weight = 1 + text.len() / BYTES_PER_WEIGHT;
                let node =
                    Node { tree: Tree { span, value }, weight, depth: 0, plain: plain && tag.is_none() };
                return self.finish(node, anchor);
            }
            Event::SequenceStart(style, anchor, _) => {
                self.open(span, anchor, style == StructureStyle::Flow, Content::Seq(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, _) => {
                let content = Content::Map { entries: Vec::new(), slot: Slot::Key, merged: Vec::new() };
                self.open(span, anchor, style == StructureStyle::Flow, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(span),
            Event::Alias(id) => return self.alias(id, span),
            // Comments and anchor names are not asked for; the stream's ends say nothing.
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, plain: bool, tag: Option<&Tag>, span: Span) -> Value {
        let tag = match tag.map(Tag::core_suffix) {
            None => ScalarTag::Absent,
            Some(Some("bool")) => ScalarTag::Bool,
            Some(Some("int")) => ScalarTag::Int,
            Some(Some("float")) => ScalarTag::Float,
            Some(Some("null")) => ScalarTag::Null,
            Some(_) => ScalarTag::Str,
        };
        scalar::resolve(text, plain, tag).unwrap_or_else(|message| {
            self.refuse(Diagnostic::error("WT0104", message).at(span, "not a value of JSON"));
            Value::Null
        })
    }

    fn refuse(&mut self, diagnostic: Diagnostic) {
        self.refused = true;
        self.diagnostics.push(diagnostic);
    }

    fn stop<T>(&mut self, span: Span, message: String) -> Result<T, Stopped> {
        self.diagnostics.push(Diagnostic::error("WT0103", message).at(span, "here the reader stops"));
        Err(Stopped)
    }

    fn open(&mut self, span: Span, anchor: usize, flow: bool, content: Content) -> Result<(), Stopped> {
        if self.frames.len() >= self.limits.depth_max {
            return self.stop(span, format!("values are nested more than {} deep", self.limits.depth_max));
        }
        self.frames.push(Frame { start: span.start, anchor, weight: 1, depth: 0, flow, content });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Stopped> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let last = match &frame.content {
            Content::Seq(elements) => elements.last().map(|tree| tree.span.end),
            Content::Map { entries, .. } => entries.last().map(|(key, tree)| key.span.end.max(tree.span.end)),
        };
        // A flow collection ends at its bracket; a block collection with its last value, while its
        // end event stands at whatever comes next.
        let end = if frame.flow { end.end } else { last.unwrap_or(end.start) };
        let span = Span { source: self.source, start: frame.start, end: end.max(frame.start) };
        let value = match frame.content {
            Content::Seq(elements) => Value::Seq(elements),
            Content::Map { entries, merged, .. } => Value::Map(self.finish_map(entries, merged)),
        };
        let node =
            Node { tree: Tree { span, value }, weight: frame.weight, depth: frame.depth + 1, plain: false };
        self.finish(node, frame.anchor)
    }

    fn finish_map(&mut self, entries: Vec<(Key, Tree)>, merged: Vec<Tree>) -> Vec<(Key, Tree)> {
        let mut entries = self.without_duplicates(entries);
        if merged.is_empty() {
            return entries;
        }
        let mut seen = LookupSet::new();
        for (key, _) in &entries {
            seen.insert(key.text.clone());
        }
        for tree in merged {
            let Value::Map(more) = tree.value else { continue };
            for (key, tree) in more {
                if seen.insert(key.text.clone()) {
                    entries.push((key, tree));
                }
            }
        }
        entries
    }

    fn without_duplicates(&mut self, entries: Vec<(Key, Tree)>) -> Vec<(Key, Tree)> {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|a, b| entries[*a].0.text.cmp(&entries[*b].0.text).then(a.cmp(b)));
        let twice: Vec<(usize, usize)> = order
            .windows(2)
            .filter(|pair| entries[pair[0]].0.text == entries[pair[1]].0.text)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        if twice.is_empty() {
            return entries;
        }
        let mut drop = vec![false; entries.len()];
        for (first, second) in twice {
            let (one, two) = (&entries[first].0, &entries[second].0);
            let message = format!("key {:?} already set in map", two.text);
            let diagnostic = Diagnostic::error("WT0102", message).at(two.span, "set again here");
            let diagnostic = diagnostic.also(one.span, "first set here");
            self.refused = true;
            self.diagnostics.push(diagnostic);
            drop[second] = true;
        }
        entries.into_iter().zip(drop).filter(|(_, drop)| !drop).map(|(entry, _)| entry).collect()
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Stopped> {
        let Some(anchor) = self.anchors.get(&id) else {
            self.refuse(Diagnostic::error("WT0101", "anchor value contains itself").at(span, "this alias"));
            return self.finish(
                Node { tree: Tree { span, value: Value::Null }, weight: 1, depth: 0, plain: false },
                0,
            );
        };
        let (weight, depth) = (anchor.weight, anchor.depth);
        self.expand(weight, span)?;
        if self.frames.len() + depth > self.limits.depth_max {
            return self.stop(span, format!("values are nested more than {} deep", self.limits.depth_max));
        }
        let Some(anchor) = self.anchors.get(&id) else { return Ok(()) };
        let node = Node { tree: anchor.tree.clone(), weight, depth, plain: false };
        self.finish(node, 0)
    }

    /// Accounts for a copy of something that weighs `weight`.
    fn expand(&mut self, weight: usize, span: Span) -> Result<(), Stopped> {
        self.expansion = self.expansion.saturating_add(weight);
        if self.expansion > self.limits.alias_expansion_max {
            return self.stop(span, "document contains excessive aliasing".to_owned());
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Stopped> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.nodes_max {
            return self.stop(node.tree.span, format!("more than {} values", self.limits.nodes_max));
        }
        if anchor != 0 {
            self.expand(node.weight, node.tree.span)?;
            let copy = Anchor { tree: node.tree.clone(), weight: node.weight, depth: node.depth };
            self.anchors.insert(anchor, copy);
        }
        let Some(mut frame) = self.frames.pop() else {
            self.root = Some(node.tree);
            return Ok(());
        };
        frame.weight = frame.weight.saturating_add(node.weight);
        frame.depth = frame.depth.max(node.depth);
        match &mut frame.content {
            Content::Seq(elements) => elements.push(node.tree),
            Content::Map { entries, slot, merged } => {
                *slot = match std::mem::replace(slot, Slot::Key) {
                    Slot::Key => self.key(node),
                    Slot::Value(key) => {
                        entries.push((key, node.tree));
                        Slot::Key
                    }
                    Slot::Merge => {
                        self.merge(node.tree, merged);
                        Slot::Key
                    }
                    Slot::Dropped => Slot::Key,
                };
            }
        }
        self.frames.push(frame);
        Ok(())
    }

    fn key(&mut self, node: Node) -> Slot {
        let span = node.tree.span;
        let text = match node.tree.value {
            Value::Str(text) if node.plain && text == "<<" => return Slot::Merge,
            Value::Str(text) => text,
            Value::Int(value) => value.to_string(),
            Value::UInt(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Null | Value::Seq(_) | Value::Map(_) => {
                let diagnostic = Diagnostic::error("WT0104", "invalid map key").at(span, "a key is a string");
                self.refuse(
                    diagnostic.help("if the text is a template, render it first, as `helm template` does"),
                );
                return Slot::Dropped;
            }
        };
        Slot::Value(Key { text, span })
    }

    fn merge(&mut self, tree: Tree, merged: &mut Vec<Tree>) {
        let span = tree.span;
        match tree.value {
            Value::Map(_) => merged.push(tree),
            Value::Seq(elements) if elements.iter().all(|e| e.as_map().is_some()) => merged.extend(elements),
            _ => {
                let message = "map merge requires map or sequence of maps as the value";
                self.refuse(Diagnostic::error("WT0104", message).at(span, "not a map"));
            }
        }
    }

    fn end_document(&mut self, span: Span) -> Result<(), Stopped> {
        let root = self.root.take();
        let refused = self.refused;
        self.abandon_document();
        let Some(root) = root.filter(|tree| !tree.is_null() && !refused) else { return Ok(()) };
        if self.documents.len() >= self.limits.documents_max {
            return self.stop(span, format!("more than {} documents", self.limits.documents_max));
        }
        self.documents.push(root);
        Ok(())
    }

    fn syntax_error(&mut self, text: &str, error: &ScanError) {
        let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
        let span = self.span(at, at);
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            let message = format!("values are nested more than {} deep", self.limits.depth_max);
            self.diagnostics.push(Diagnostic::error("WT0103", message).at(span, "here the reader stops"));
            return;
        }
        let mut diagnostic = Diagnostic::error("WT0101", error.kind().to_string()).at(span, "");
        let line_start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |i| i + 1);
        let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        if line.contains("{{") || text.get(..at).is_some_and(|before| before.contains("{{")) {
            diagnostic =
                diagnostic.help("if the text is a template, render it first, as `helm template` does");
        } else if line.contains('\t') {
            diagnostic = diagnostic.help("YAML is indented with spaces; a tab is not allowed there");
        } else if matches!(diagnostic.message.as_str(), m if m.starts_with("while parsing a block")) {
            let help = "look at the indentation: what belongs together begins in one column";
            diagnostic = diagnostic.help(help);
        }
        self.diagnostics.push(diagnostic);
    }
}
